/* Diffs path by path, and logs transaction by transaction, from what the instants hold. */
#include "history/diff.h"
#include "history/log.h"
#include "tests/model.h"

/* ---- a tree by paths ---- */

struct path {
    char *text;
    const struct version *version;
};
struct paths {
    struct path *items;
    size_t count, capacity;
};

static void paths_add(struct paths *paths, const struct instant *instant, const struct version *version, char *text) {
    char name[NAME_BYTES_MAX + 1];
    if (paths->count == paths->capacity) {
        paths->capacity = paths->capacity * 2 + 64;
        paths->items = realloc(paths->items, paths->capacity * sizeof *paths->items);
        assert_non_null(paths->items);
    }
    paths->items[paths->count++] = (struct path){text, version};
    if (!S_ISDIR(version->object.mode))
        return;
    for (uint32_t i = 0; i < version->object.names->count; i++) {
        const struct name *entry = &version->object.names->items[i];
        char *below;
        (void)name_text(entry->id, name);
        assert_true(asprintf(&below, "%s%s%s", text, *text ? "/" : "", name) >= 0);
        paths_add(paths, instant, instant_find(instant, entry->oid), below);
    }
}

static int by_text(const void *a, const void *b) {
    return strcmp(((const struct path *)a)->text, ((const struct path *)b)->text);
}

static void paths_init(struct paths *paths, const struct instant *instant) {
    char *root = strdup("");
    *paths = (struct paths){0};
    assert_non_null(root);
    paths_add(paths, instant, instant_find(instant, ROOT_OID), root);
    qsort(paths->items, paths->count, sizeof *paths->items, by_text);
}

static void paths_release(struct paths *paths) {
    for (size_t i = 0; i < paths->count; i++)
        free(paths->items[i].text);
    free(paths->items);
}

/* ---- diffs ---- */

static bool times_differ(struct timespec a, struct timespec b) {
    return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

static unsigned what_differs(const struct version *a, const struct version *b) {
    const struct object *x = &a->object, *y = &b->object;
    bool same = x->oid == y->oid, directory = S_ISDIR(x->mode);
    bool mtime = times_differ(x->mtime, y->mtime), atime = times_differ(x->atime, y->atime);
    unsigned what = 0;
    if (!directory &&
        (x->size != y->size || a->content_sum != b->content_sum || x->target != y->target || x->rdev != y->rdev))
        what |= CHANGED_CONTENT;
    if (x->mode != y->mode)
        what |= CHANGED_MODE;
    if (x->uid != y->uid || x->gid != y->gid)
        what |= CHANGED_OWNER;
    if (memcmp(x->xattrs, y->xattrs, sizeof x->xattrs) != 0 || memcmp(&x->access, &y->access, sizeof x->access) != 0 ||
        memcmp(&x->inherited, &y->inherited, sizeof x->inherited) != 0)
        what |= CHANGED_XATTR;
    /* A directory's times are no change if entries came or went. */
    if (directory ? same && x->additions == y->additions && x->size == y->size && (mtime || atime)
                  : mtime || (same && atime))
        what |= CHANGED_TIMES;
    return what;
}

static void compare_change(struct model *model, const struct change *change, const struct change *expected) {
    const char *path = expected->new_path ? expected->new_path : expected->old_path;
    want(model,
         change->kind == expected->kind && change->what == expected->what && change->linked == expected->linked &&
             change->replaced == expected->replaced && change->old.oid == expected->old.oid &&
             change->new.oid == expected->new.oid && !change->old_path == !expected->old_path &&
             !change->new_path ==
                 !expected->new_path &&strcmp(change->new_path ? change->new_path : change->old_path, path) == 0,
         "diff: %c %u of %s (%" PRIu64 " %" PRIu64 "), expected %c %u of %s (%" PRIu64 " %" PRIu64 ")", change->kind,
         change->what, change->new_path ? change->new_path : change->old_path, change->old.oid, change->new.oid,
         expected->kind, expected->what, path, expected->old.oid, expected->new.oid);
}

/* What comes next of the two sides; false: they do not differ there. */
static bool next_change(const struct paths *old, const struct paths *new, const struct instant *a,
                        const struct instant *b, size_t *i, size_t *j, struct change *change) {
    const struct path *x = *i < old->count ? &old->items[*i] : NULL, *y = *j < new->count ? &new->items[*j] : NULL;
    int order = !x ? 1 : !y ? -1 : strcmp(x->text, y->text);
    *change = (struct change){0};
    if (order <= 0) {
        change->old_path = x->text;
        change->old.oid = x->version->object.oid;
        ++*i;
    }
    if (order >= 0) {
        change->new_path = y->text;
        change->new.oid = y->version->object.oid;
        ++*j;
    }
    if (order < 0) {
        change->kind = CHANGE_DELETED;
        change->linked = instant_find(b, change->old.oid) != NULL;
        return true;
    }
    if (order > 0) {
        change->kind = CHANGE_ADDED;
        change->linked = instant_find(a, change->new.oid) != NULL;
        return true;
    }
    bool same_type = ((x->version->object.mode ^ y->version->object.mode) & S_IFMT) == 0;
    change->kind = same_type ? CHANGE_MODIFIED : CHANGE_TYPE;
    change->replaced = change->old.oid != change->new.oid;
    change->what = same_type ? what_differs(x->version, y->version) : 0;
    return !same_type || change->what;
}

void compare_diff(struct model *model, const struct instant *a, const struct instant *b) {
    struct paths old, new;
    struct change_list changes;
    struct change expected;
    size_t count = 0;
    const struct diff_options options = {.before_a = a->seq + 1, .before_b = b->seq + 1, .no_renames = true};
    int rc = diff_run(model->store, &options, &changes);
    want(model, rc == STORE_OK, "diff of %" PRIu64 " and %" PRIu64 ": %s", a->seq, b->seq, store_error_text(rc));
    paths_init(&old, a);
    paths_init(&new, b);
    for (size_t i = 0, j = 0; i < old.count || j < new.count;) {
        if (!next_change(&old, &new, a, b, &i, &j, &expected))
            continue;
        want(model, count < changes.count, "diff of %" PRIu64 " and %" PRIu64 ": %s is missing", a->seq, b->seq,
             expected.new_path ? expected.new_path : expected.old_path);
        compare_change(model, &changes.items[count++], &expected);
    }
    want(model, count == changes.count, "diff of %" PRIu64 " and %" PRIu64 ": %zu changes, expected %zu", a->seq,
         b->seq, changes.count, count);
    paths_release(&old);
    paths_release(&new);
    change_list_release(&changes);
}

/* ---- logs ---- */

#define DEPTH_MAX 64

/* What a path, a list of names, leads to; NULL. */
static const struct version *walk(const struct instant *instant, const uint32_t *path, size_t depth) {
    const struct version *version = instant_find(instant, ROOT_OID);
    for (size_t i = 0; i < depth && version; i++) {
        uint64_t oid = 0;
        for (uint32_t j = 0; S_ISDIR(version->object.mode) && j < version->object.names->count; j++)
            if (version->object.names->items[j].id == path[i])
                oid = version->object.names->items[j].oid;
        version = oid ? instant_find(instant, oid) : NULL;
    }
    return version;
}

/* Whether two successive instants differ in the object or in anything below it. */
static bool changed_below(const struct instant *a, const struct instant *b, const struct version *x,
                          const struct version *y) {
    if (x != y)
        return true;
    if (!x || !S_ISDIR(x->object.mode))
        return false;
    for (uint32_t i = 0; i < x->object.names->count; i++) {
        uint64_t oid = x->object.names->items[i].oid;
        if (changed_below(a, b, instant_find(a, oid), instant_find(b, oid)))
            return true;
    }
    return false;
}

static size_t random_path(struct model *model, const struct instant *instant, uint32_t path[DEPTH_MAX]) {
    const struct version *version = instant_find(instant, ROOT_OID);
    size_t depth = 0;
    while (depth < DEPTH_MAX && S_ISDIR(version->object.mode) && version->object.names->count &&
           !(depth > 0 && model_one_in(model, 5))) {
        const struct name *name = &version->object.names->items[model_random(model, version->object.names->count)];
        path[depth++] = name->id;
        version = instant_find(instant, name->oid);
    }
    return depth;
}

/* The log of a path that some instant had, over a part of history. */
void compare_log(struct model *model) {
    const struct history *history = &model->history;
    uint32_t path[DEPTH_MAX];
    char text[DEPTH_MAX * (NAME_BYTES_MAX + 1)] = "", *end = text;
    size_t at = model_random(model, history->count), depth = random_path(model, &history->items[at], path);
    for (size_t i = 0; i < depth; i++) {
        if (i > 0)
            *end++ = '/';
        end += name_text(path[i], end);
    }
    const char *const paths[] = {text};
    /* Not before it led somewhere, which would be an error. */
    struct log_options options = {.range = {1, at + 1 + model_random(model, history->count - at)},
                                  .paths = paths,
                                  .path_count = 1,
                                  .reverse = model_one_in(model, 2)};
    options.range.first += model_one_in(model, 2) ? model_random(model, at + 1) : 0;
    struct log_walk *log;
    size_t absent;
    int rc = log_walk_open(model->store, &options, &log, &absent);
    want(model, rc == STORE_OK, "log of %s up to %" PRIu64 ": %s", text, options.range.last, store_error_text(rc));
    uint64_t length = options.range.last - options.range.first + 1;
    for (uint64_t i = 0; i < length; i++) {
        uint64_t seq = options.reverse ? options.range.first + i : options.range.last - i;
        const struct instant *b = &history->items[seq - 1], *a = seq > 1 ? b - 1 : NULL;
        const struct version *x = a ? walk(a, path, depth) : NULL, *y = walk(b, path, depth);
        if (a ? !changed_below(a, b, x, y) : !y)
            continue;
        struct transaction transaction;
        rc = log_walk_next(log, &transaction);
        want(model, rc == STORE_OK && transaction.seq == seq,
             "log of %s in %" PRIu64 "..%" PRIu64 " tells transaction %" PRIu64 " (%d), expected %" PRIu64, text,
             options.range.first, options.range.last, rc == STORE_OK ? transaction.seq : 0, rc, seq);
        transaction_release(&transaction);
    }
    struct transaction more;
    rc = log_walk_next(log, &more);
    want(model, rc == STORE_ABSENT, "log of %s in %" PRIu64 "..%" PRIu64 " tells transaction %" PRIu64 " too much",
         text, options.range.first, options.range.last, rc == STORE_OK ? more.seq : 0);
    log_walk_close(log);
}
