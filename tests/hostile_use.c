/* All that can be done to read a store. See tests/hostile.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history/diff.h"
#include "history/log.h"
#include "history/patch.h"
#include "history/path.h"
#include "history/resolve.h"
#include "history/view.h"
#include "tests/hostile.h"

#define DEPTH_MAX   12
#define LOOKS_MAX   500 /* at objects of one tree: some have no end */
#define BUFFER_SIZE 65536

void hostile_require(bool holds, const char *what) {
    if (!holds) {
        (void)fprintf(stderr, "does not hold: %s\n", what);
        abort();
    }
}

static void read_version(struct store *store, const struct view_attr *attr) {
    uint8_t buffer[BUFFER_SIZE];
    const uint64_t size = (uint64_t)attr->stat.st_size;
    const uint64_t offsets[] = {0, 100, size / 2, size > 10 ? size - 10 : 0, size, INT64_MAX};
    size_t done;
    uint64_t found;
    char text[8192];
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        (void)view_file_read(store, attr->revision, offsets[i], BUFFER_SIZE, buffer, &done);
        (void)view_file_seek(store, attr->revision, offsets[i], SEEK_DATA, &found);
    }
    (void)view_file_seek(store, attr->revision, 0, SEEK_HOLE, &found);
    (void)view_file_readlink(store, attr->revision, text, sizeof text, &done);
    (void)view_file_listxattr(store, attr->revision, text, sizeof text, &done);
    (void)view_file_getxattr(store, attr->revision, "user.a", text, sizeof text, &done);
    (void)view_file_source(store, attr->revision, &found, &found);
}

struct tour {
    struct store *store;
    struct view *view;
    unsigned depth, looks;
};

static void look_into(struct tour *tour, uint64_t directory);

static bool look_at(void *context, const struct view_entry *entry) {
    struct tour *tour = context;
    struct view_attr attr;
    char path[4096];
    hostile_require(strlen(entry->name) == entry->length && entry->length >= 1 && entry->length <= NAME_BYTES_MAX,
                    "an entry has a name");
    hostile_require(strchr(entry->name, '/') == NULL, "a name has no slash");
    hostile_require(strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0, "a name leads down");
    if (++tour->looks > LOOKS_MAX)
        return false;
    (void)view_lookup(tour->view, ROOT_OID, entry->name, entry->length, &attr);
    if (view_getattr(tour->view, entry->oid, &attr) < 0)
        return true;
    (void)path_of(tour->store, entry->oid, view_before(tour->view), path, sizeof path);
    if (!S_ISDIR(attr.stat.st_mode))
        read_version(tour->store, &attr);
    else if (tour->depth < DEPTH_MAX)
        look_into(tour, entry->oid);
    return true;
}

static void look_into(struct tour *tour, uint64_t directory) {
    uint64_t parent;
    char text[8192];
    size_t length;
    tour->depth++;
    (void)view_readdir(tour->view, directory, 0, tour->depth % 2 == 0, look_at, tour);
    (void)view_parent(tour->view, directory, &parent);
    (void)view_listxattr(tour->view, directory, text, sizeof text, &length);
    tour->depth--;
}

static void look_around(struct store *store, uint64_t before) {
    struct view_pool_options options = {.idle_max = 2, .idle_ns = 1};
    struct view_pool *pool = view_pool_new(store, &options);
    struct tour tour = {.store = store};
    struct view_attr attr;
    hostile_require(pool != NULL, "there is memory");
    if (view_pool_open(pool, before, &tour.view) == 0) {
        (void)view_walk(tour.view, "dir/sub/deep", &attr);
        (void)view_walk(tour.view, "dir/self/self/self", &attr);
        look_into(&tour, ROOT_OID);
        view_pool_done(pool, tour.view);
    }
    view_pool_free(pool);
}

static void compare(struct store *store, uint64_t a, uint64_t b) {
    static const char *const paths[] = {"dir", "many/a/b/a", "dir/self"};
    const struct diff_options ways[] = {
        {.before_a = a, .before_b = b},
        {.before_a = a, .before_b = b, .no_renames = true},
        {.before_a = a, .before_b = b, .each_file = true},
        {.before_a = a, .before_b = b, .paths = paths, .path_count = 3},
    };
    FILE *out = fopen("/dev/null", "we");
    hostile_require(out != NULL, "/dev/null opens");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct change_list changes = {0};
        bool moved;
        if (diff_run(store, &ways[i], &changes) == STORE_OK)
            for (size_t j = 0; j < changes.count && j < 50; j++)
                (void)patch_write(store, &changes.items[j], 3, out, NULL);
        change_list_release(&changes);
        (void)diff_paths_moved(store, &ways[i], &moved);
    }
    (void)fclose(out);
}

static void tell_past(struct store *store) {
    static const char *const paths[] = {"", "dir/file", "gone", "many/a", "dir/self"};
    const struct timespec now = {.tv_sec = 4000000000};
    static const char *const times[] = {"now", "v1", "now~1", "now~3", "2026", "zero", "far", "@0", "7fffffffffffffff"};
    uint64_t oid;
    for (size_t i = 0; i < 2 * sizeof paths / sizeof paths[0]; i++) {
        struct log_options options = {.range = {0, UINT64_MAX},
                                      .paths = &paths[i / 2],
                                      .path_count = i == 0 ? 0 : 1,
                                      .follow = i % 2 == 0,
                                      .reverse = i % 3 == 0};
        struct log_walk *walk;
        size_t absent;
        struct transaction transaction;
        if (log_walk_open(store, &options, &walk, &absent) != STORE_OK)
            continue;
        for (unsigned told = 0; told < LOOKS_MAX && log_walk_next(walk, &transaction) == STORE_OK; told++)
            transaction_release(&transaction);
        log_walk_close(walk);
        (void)log_find_path(store, paths[i / 2], UINT64_MAX - 1, &oid);
    }
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct resolved resolved;
        struct error err;
        (void)resolve_text(store, times[i], strlen(times[i]), RESOLVE_AT, now, &resolved, &err);
    }
}

static void count_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    hostile_require(strlen(problem->text) > 0, "a problem is told");
}

uint64_t hostile_verify(struct store *store) {
    struct verify_options options = {.problem = count_problem};
    uint64_t problems = 0;
    int rc = storage_verify(store_storage(store), &options, &problems);
    return rc == STORE_OK ? problems : 1; /* that it could not be done is a finding, too */
}

static void list_tags(struct store *store) {
    struct tag *tags = NULL;
    size_t count = 0;
    uint64_t a = 0, b = 0;
    (void)storage_tag_list(store_storage(store), &tags, &count);
    free(tags);
    (void)storage_space(store_storage(store), &a, &b);
}

bool hostile_read(const char *directory, char why[512], uint64_t *problems) {
    struct store *store;
    struct error err = {0};
    int rc = store_open(directory, &(struct store_options){.cache_bytes = 1 << 20}, &store, &err);
    if (rc != STORE_OK) {
        hostile_require(rc < 0 && rc == (int)err.code && strlen(err.text) > 10, "a refusal has a reason");
        strcpy(why, err.text);
        return false;
    }
    uint64_t last = store_last(store);
    for (uint64_t before = last + 1; before > 0 && before + 6 > last; before--)
        look_around(store, before);
    look_around(store, 1);
    look_around(store, 3);
    compare(store, 1, last + 1);
    compare(store, last + 1, 2);
    compare(store, 3, 4 <= last + 1 ? 4 : last + 1);
    tell_past(store);
    list_tags(store);
    *problems = hostile_verify(store);
    store_close(store);
    return true;
}
