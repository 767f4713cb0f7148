#include <xxhash.h>

#include "tests/model.h"

size_t message_text(uint32_t message, char text[256]) {
    return (size_t)snprintf(text, 256, "message %" PRIu32 "%s", message, message % 3 ? "" : "\nof two lines, \xc3\xa4");
}

struct version *instant_find(const struct instant *instant, uint64_t oid) {
    size_t low = 0, high = instant->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (instant->versions[middle]->object.oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < instant->count && instant->versions[low]->object.oid == oid ? instant->versions[low] : NULL;
}

static void version_drop_content(struct version *version) {
    content_release(version->object.content);
    version->object.content = NULL;
}

static void version_release(struct version *version) {
    if (--version->refs > 0)
        return;
    version_drop_content(version);
    if (version->object.names && --version->object.names->refs == 0)
        free(version->object.names);
    free(version);
}

/* Counted once more for as long as it is among those that keep their content. */
static void keep_content(struct history *history, struct version *version) {
    struct version **kept = &history->kept[history->next_kept++ % CONTENTS_KEPT];
    if (*kept) {
        version_drop_content(*kept);
        version_release(*kept);
    }
    *kept = version;
    version->refs++;
}

/* What is kept for good takes no more than it needs. */
static void shrink(struct object *object) {
    struct content *content = object->content;
    if (object->size > SMALL || content->capacity <= SMALL)
        return;
    object->content = content_new(object->size);
    memcpy(object->content->bytes, content->bytes, object->size);
    memcpy(object->content->data, content->data, object->size);
    content_release(content);
}

static struct version *version_new(struct history *history, struct object *object, uint64_t seq) {
    struct version *version = calloc(1, sizeof *version);
    assert_non_null(version);
    if (object->content)
        shrink(object);
    version->refs = 1;
    version->seq = seq;
    version->object = *object;
    version->object.held = 0;
    version->object.dirty = false;
    if (object->names)
        object->names->refs++;
    if (object->content) {
        object->content->refs++;
        version->content_sum = XXH3_64bits(object->content->bytes, object->size);
        version->data_sum = XXH3_64bits(object->content->data, object->size);
        version->allocated = object_allocated(object);
        if (object->size > SMALL)
            keep_content(history, version);
    }
    object->dirty = false;
    return version;
}

void history_seal(struct history *history, struct tree *tree, uint64_t tid, const char *user, uint32_t message) {
    if (history->count == history->capacity) {
        history->capacity = history->capacity * 2 + 64;
        history->items = realloc(history->items, history->capacity * sizeof *history->items);
        assert_non_null(history->items);
    }
    const struct instant *previous = history->count ? &history->items[history->count - 1] : NULL;
    struct instant *instant = &history->items[history->count++];
    *instant = (struct instant){.seq = history->count, .tid = tid, .user = user, .message = message, .wall = tree->now};
    instant->versions = calloc(tree->count, sizeof(struct version *));
    assert_non_null(instant->versions);
    size_t stayed = 0;
    for (size_t i = 0; i < tree->count; i++) {
        struct object *object = &tree->objects[i];
        if (object->gone)
            continue;
        struct version *version = previous ? instant_find(previous, object->oid) : NULL;
        stayed += version != NULL;
        if (object->dirty) {
            version = version_new(history, object, instant->seq);
            instant->objects++;
        } else {
            assert_non_null(version);
            version->refs++;
        }
        instant->versions[instant->count++] = version;
    }
    if (previous)
        instant->objects += previous->count - stayed; /* those that ended */
    tree->pending = false;
    history->last_oid = tree->last_oid;
}

void history_release(struct history *history) {
    for (size_t i = 0; i < CONTENTS_KEPT; i++)
        if (history->kept[i])
            version_release(history->kept[i]);
    for (size_t i = 0; i < history->count; i++) {
        for (size_t j = 0; j < history->items[i].count; j++)
            version_release(history->items[i].versions[j]);
        free(history->items[i].versions);
    }
    free(history->items);
}
