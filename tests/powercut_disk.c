#include "tests/powercut_disk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t dice_throw(struct dice *dice) {
    /* splitmix64 */
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t dice_below(struct dice *dice, uint64_t below) {
    return dice_throw(dice) % below;
}

/* ---- choosing ---- */

void disk_init(struct disk *disk, const struct recording *recording, size_t cut) {
    *disk = (struct disk){.recording = recording, .cut = cut};
    bool *synced = calloc(recording->node_count + 1, sizeof *synced);
    disk->fates = calloc(cut + 1, sizeof *disk->fates);
    disk->pending = calloc(cut + 1, sizeof *disk->pending);
    assert_true(synced && disk->fates && disk->pending);
    for (size_t i = cut; i-- > 0;) {
        const struct event *event = &recording->events[i];
        if (event_is_note(event))
            continue;
        if (event->kind == EVENT_SYNC)
            synced[event->node] = true;
        else if (!synced[event->node])
            disk->pending[disk->pending_count++] = i;
    }
    for (size_t i = 0; i < disk->pending_count / 2; i++) {
        size_t swapped = disk->pending[i];
        disk->pending[i] = disk->pending[disk->pending_count - 1 - i];
        disk->pending[disk->pending_count - 1 - i] = swapped;
    }
    free(synced);
}

void disk_release(struct disk *disk) {
    free(disk->fates);
    free(disk->pending);
}

void disk_choose_subset(struct disk *disk, uint64_t mask) {
    assert_true(disk->pending_count < 64);
    for (size_t i = 0; i < disk->pending_count; i++)
        disk->fates[disk->pending[i]] = mask >> i & 1 ? FATE_WHOLE : FATE_LOST;
}

static enum fate choose_fate(struct dice *dice, bool write, unsigned kept) {
    if (write && dice_below(dice, 8) == 0)
        return (enum fate)dice_below(dice, FATE_COUNT);
    return dice_below(dice, 100) < kept ? FATE_WHOLE : FATE_LOST;
}

/* Each file and directory has its own luck, and a file may have it up to some moment only: what hides between two files shows
 * where one has got far and the other has not. */
void disk_choose(struct disk *disk, struct dice *dice) {
    static const unsigned lucks[] = {0, 0, 10, 50, 90, 100, 100};
    const struct recording *recording = disk->recording;
    unsigned *luck = calloc(recording->node_count + 1, sizeof *luck);
    size_t *until = calloc(recording->node_count + 1, sizeof *until);
    assert_true(luck && until);
    for (size_t i = 0; i < recording->node_count; i++) {
        luck[i] = lucks[dice_below(dice, sizeof lucks / sizeof lucks[0])];
        until[i] = dice_below(dice, 3) != 0 || disk->pending_count == 0
                       ? disk->cut
                       : disk->pending[dice_below(dice, disk->pending_count)];
    }
    for (size_t i = 0; i < disk->pending_count; i++) {
        size_t number = disk->pending[i];
        const struct event *event = &recording->events[number];
        disk->fates[number] = number > until[event->node]
                                  ? FATE_LOST
                                  : (uint8_t)choose_fate(dice, event->kind == EVENT_WRITE, luck[event->node]);
    }
    disk->rubbish = dice_below(dice, 4) == 0;
    disk->memory = dice_below(dice, 2) == 0;
    disk->tear.state = dice_throw(dice);
    free(luck);
    free(until);
}

void disk_tear_last(struct disk *disk, struct dice *dice) {
    size_t last = disk->pending_count > 0 ? disk->pending[disk->pending_count - 1] : disk->cut;
    disk->tear.state = dice_throw(dice);
    if (last + 1 == disk->cut && disk->recording->events[last].kind == EVENT_WRITE)
        disk->fates[last] = (uint8_t)(FATE_TORN + dice_below(dice, FATE_COUNT - FATE_TORN));
}

/* ---- what is in a file ---- */

struct content {
    uint8_t *data;
    size_t size, capacity; /* bytes at and after `size` are what was written there without the size that goes with it */
};

static void content_reserve(struct content *content, size_t size) {
    if (size <= content->capacity)
        return;
    size_t capacity = size + size / 2;
    content->data = realloc(content->data, capacity);
    assert_non_null(content->data);
    memset(content->data + content->capacity, 0, capacity - content->capacity);
    content->capacity = capacity;
}

static void apply_sectors(struct content *content, const struct event *event, enum fate fate, struct dice *tear) {
    size_t whole = fate == FATE_BEGUN ? dice_below(tear, event->length / SECTOR + 2) : 0;
    for (size_t at = 0, count = 0; at < event->length; count++) {
        size_t piece = SECTOR - (event->offset + at) % SECTOR;
        if (piece > event->length - at)
            piece = event->length - at;
        if (fate == FATE_BEGUN ? count < whole : dice_below(tear, 2) == 0)
            memcpy(content->data + event->offset + at, event->data + at, piece);
        at += piece;
    }
}

static void apply_write(struct content *content, const struct event *event, enum fate fate, struct dice *tear) {
    size_t end = event->offset + event->length;
    content_reserve(content, end);
    if (fate == FATE_WHOLE || fate == FATE_DATA_ONLY)
        memcpy(content->data + event->offset, event->data, event->length);
    else if (fate == FATE_TORN || fate == FATE_BEGUN)
        apply_sectors(content, event, fate, tear);
    if (fate != FATE_DATA_ONLY && end > content->size)
        content->size = end;
}

static void apply_truncate(struct content *content, size_t size) {
    content_reserve(content, size);
    memset(content->data + size, 0, content->capacity - size);
    content->size = size;
}

static void fill_with_rubbish(struct content *content, struct dice *tear, size_t most) {
    content_reserve(content, most);
    for (size_t at = content->size; at < most; at++)
        content->data[at] = at % SECTOR == 0 ? (uint8_t)dice_throw(tear) : (uint8_t)(content->data[at - 1] * 5 + 1);
}

/* Where the node was last synced: 0 if never, else the number of the event after. */
static size_t durable_until(const struct disk *disk, size_t node, size_t *largest) {
    size_t until = 0;
    *largest = 0;
    for (size_t i = 0; i < disk->cut; i++) {
        const struct event *event = &disk->recording->events[i];
        if (event_is_note(event) || event->node != node)
            continue;
        if (event->kind == EVENT_SYNC)
            until = i + 1;
        if (event->kind == EVENT_WRITE && event->offset + event->length > *largest)
            *largest = event->offset + event->length;
    }
    return until;
}

/* The caller frees data. */
static struct content file_content(const struct disk *disk, size_t number) {
    const struct node *node = &disk->recording->nodes[number];
    struct content content = {0};
    struct dice tear = {disk->tear.state + number};
    size_t largest, durable = durable_until(disk, number, &largest);
    content_reserve(&content, node->size + 1);
    if (node->size > 0)
        memcpy(content.data, node->data, node->size);
    content.size = node->size;
    for (size_t i = 0; i <= disk->cut; i++) {
        if (i == durable && disk->rubbish)
            fill_with_rubbish(&content, &tear, largest);
        if (i == disk->cut)
            break;
        const struct event *event = &disk->recording->events[i];
        enum fate fate = (enum fate)disk->fates[i];
        if (event_is_note(event) || event->node != number || fate == FATE_LOST)
            continue;
        if (event->kind == EVENT_WRITE)
            apply_write(&content, event, fate, &tear);
        else if (event->kind == EVENT_TRUNCATE)
            apply_truncate(&content, event->offset);
    }
    return content;
}

/* ---- what is in a directory ---- */

struct names {
    struct node_entry *items;
    size_t count;
};

static void names_set(struct names *names, const char *name, size_t node) {
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].name, name) == 0) {
            if (node == NO_NODE)
                names->items[i] = names->items[--names->count];
            else
                names->items[i].node = node;
            return;
        }
    if (node == NO_NODE)
        return;
    names->items = reallocarray(names->items, names->count + 1, sizeof *names->items);
    assert_non_null(names->items);
    strcpy(names->items[names->count].name, name);
    names->items[names->count++].node = node;
}

/* The caller frees items. */
static struct names directory_names(const struct disk *disk, size_t number) {
    const struct node *node = &disk->recording->nodes[number];
    struct names names = {0};
    for (size_t i = 0; i < node->entry_count; i++)
        names_set(&names, node->entries[i].name, node->entries[i].node);
    for (size_t i = 0; i < disk->cut; i++) {
        const struct event *event = &disk->recording->events[i];
        if (event_is_note(event) || event->node != number || disk->fates[i] == FATE_LOST)
            continue;
        if (event->kind == EVENT_RENAME)
            names_set(&names, event->old_name, NO_NODE);
        if (event->kind == EVENT_LINK || event->kind == EVENT_RENAME || event->kind == EVENT_UNLINK)
            names_set(&names, event->name, event->child);
    }
    return names;
}

/* ---- making the files ---- */

/* SQLite's lock on it is what matters of it, and that is gone with the power. */
static void write_shared_memory(const struct disk *disk, const char *path) {
    uint8_t rubbish[3 * 4096];
    struct dice dice = disk->tear;
    if (!disk->memory)
        return;
    for (size_t at = 0; at < sizeof rubbish; at++)
        rubbish[at] = (uint8_t)dice_throw(&dice);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(rubbish, 1, sizeof rubbish, file), sizeof rubbish);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const struct disk *disk, size_t number, const char *path) {
    if (disk->recording->nodes[number].shared_memory) {
        write_shared_memory(disk, path);
        return;
    }
    struct content content = file_content(disk, number);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t at = 0; at < content.size;) {
        ssize_t written = write(fd, content.data + at, content.size - at);
        assert_true(written > 0);
        at += (size_t)written;
    }
    assert_int_equal(close(fd), 0);
    free(content.data);
}

static void write_directory(const struct disk *disk, size_t number, const char *path) {
    struct names names = directory_names(disk, number);
    for (size_t i = 0; i < names.count; i++) {
        char below[PATH_MAX];
        (void)snprintf(below, sizeof below, "%s/%s", path, names.items[i].name);
        if (disk->recording->nodes[names.items[i].node].directory) {
            assert_int_equal(mkdir(below, 0700), 0);
            write_directory(disk, names.items[i].node, below);
        } else {
            write_file(disk, names.items[i].node, below);
        }
    }
    free(names.items);
}

static void empty_directory(const char *path) {
    DIR *stream = opendir(path);
    assert_non_null(stream);
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        char below[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR) {
            empty_directory(below);
            assert_int_equal(rmdir(below), 0);
        } else {
            assert_int_equal(unlink(below), 0);
        }
    }
    (void)closedir(stream);
}

void disk_write(const struct disk *disk, const char *directory) {
    empty_directory(directory);
    write_directory(disk, 0, directory);
}

/* ---- comparing ---- */

static char *differs(const char *path, const char *how) {
    static char text[PATH_MAX + 64];
    (void)snprintf(text, sizeof text, "%s %s", path, how);
    return text;
}

static char *compare_file(const struct disk *disk, size_t number, const char *path) {
    struct content content = file_content(disk, number);
    FILE *file = fopen(path, "rb");
    uint8_t *found = malloc(content.size + 2);
    assert_non_null(found);
    size_t size = file ? fread(found, 1, content.size + 1, file) : 0;
    char *different = !file                                            ? differs(path, "is missing")
                      : size != content.size                           ? differs(path, "has another size")
                      : memcmp(found, content.data, content.size) != 0 ? differs(path, "has another content")
                                                                       : NULL;
    if (file)
        (void)fclose(file);
    free(found);
    free(content.data);
    return different;
}

static char *compare_directory(const struct disk *disk, size_t number, const char *path) {
    struct names names = directory_names(disk, number);
    char *different = NULL;
    size_t found = 0;
    DIR *stream = opendir(path);
    if (!stream)
        different = differs(path, "is missing");
    while (stream && readdir(stream) != NULL)
        found++;
    if (stream)
        (void)closedir(stream);
    if (!different && found != names.count + 2)
        different = differs(path, "has other names");
    for (size_t i = 0; i < names.count && !different; i++) {
        char below[PATH_MAX];
        const struct node *node = &disk->recording->nodes[names.items[i].node];
        (void)snprintf(below, sizeof below, "%s/%s", path, names.items[i].name);
        if (node->directory)
            different = compare_directory(disk, names.items[i].node, below);
        else if (!node->shared_memory)
            different = compare_file(disk, names.items[i].node, below);
    }
    free(names.items);
    return different;
}

char *disk_compare(const struct disk *disk, const char *directory) {
    return compare_directory(disk, 0, directory);
}

/* ---- telling ---- */

static const char *node_name(const struct recording *recording, size_t number) {
    const char *name = number == 0 ? "." : "?";
    for (size_t i = 0; i < recording->node_count; i++)
        for (size_t j = 0; j < recording->nodes[i].entry_count; j++)
            if (recording->nodes[i].entries[j].node == number)
                name = recording->nodes[i].entries[j].name;
    for (size_t i = 0; i < recording->event_count; i++)
        if (recording->events[i].child == number)
            name = recording->events[i].name;
    return name;
}

void disk_print(const struct disk *disk, FILE *out) {
    static const char *const fates[] = {"whole", "lost", "torn", "begun", "size only", "data only"};
    for (size_t i = 0; i < disk->pending_count; i++) {
        size_t number = disk->pending[i];
        const struct event *event = &disk->recording->events[number];
        const char *node = node_name(disk->recording, event->node);
        const char *fate = fates[disk->fates[number]];
        switch (event->kind) {
        case EVENT_WRITE:
            (void)fprintf(out, "    %zu write %s %" PRIu64 "+%zu: %s\n", number, node, event->offset, event->length,
                          fate);
            break;
        case EVENT_TRUNCATE:
            (void)fprintf(out, "    %zu truncate %s to %" PRIu64 ": %s\n", number, node, event->offset, fate);
            break;
        case EVENT_LINK:
            (void)fprintf(out, "    %zu make %s in %s: %s\n", number, event->name, node, fate);
            break;
        case EVENT_UNLINK:
            (void)fprintf(out, "    %zu unlink %s in %s: %s\n", number, event->name, node, fate);
            break;
        case EVENT_RENAME:
            (void)fprintf(out, "    %zu rename %s to %s in %s: %s\n", number, event->old_name, event->name, node, fate);
            break;
        default:
            break;
        }
    }
}
