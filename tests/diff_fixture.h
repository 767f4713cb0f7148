/* A store with a head that is changed by path, and diffs of it as text: for the tests of history/diff. */
#ifndef TIDFS_TESTS_DIFF_FIXTURE_H
#define TIDFS_TESTS_DIFF_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history/diff_private.h"
#include "store/head.h"

struct fixture {
    char base[64], directory[96];
    struct store *store;
    struct head *head;
    uint64_t random;
};

static const struct head_caller caller = {1000, 1000, 022};

static inline int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = {0};
    assert_non_null(f);
    strcpy(f->base, "/tmp/test_diff.XXXXXX");
    assert_non_null(mkdtemp(f->base));
    (void)snprintf(f->directory, sizeof f->directory, "%s/store", f->base);
    struct head_options options = {.dirty_limit_bytes = UINT64_C(64) << 20};
    if (store_create(f->directory, 0, 0, &err) < 0 ||
        store_open(f->directory, &(struct store_options){.writable = true}, &f->store, &err) < 0 ||
        head_open(f->store, &options, &f->head, &err) < 0)
        fail_msg("%s", err.text);
    *state = f;
    return 0;
}

static inline int teardown(void **state) {
    struct fixture *f = *state;
    char command[128];
    assert_int_equal(head_close(f->head), 0);
    store_close(f->store);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->base);
    int rc = system(command);
    free(f);
    return rc;
}

/* ---- changes of the head, by path; each asserts that it worked ---- */

/* The directory that holds the last name of a path. */
static inline uint64_t parent_of(struct fixture *f, const char *path, const char **name) {
    uint64_t oid = ROOT_OID;
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        struct head_attr attr;
        assert_int_equal(head_lookup(f->head, oid, path, (size_t)(slash - path), &attr), 0);
        head_forget(f->head, attr.oid, 1);
        oid = attr.oid;
    }
    *name = path;
    return oid;
}

static inline uint64_t find(struct fixture *f, const char *path) {
    struct head_attr attr;
    const char *name;
    uint64_t parent = parent_of(f, path, &name);
    assert_int_equal(head_lookup(f->head, parent, name, strlen(name), &attr), 0);
    head_forget(f->head, attr.oid, 1);
    return attr.oid;
}

static inline uint64_t make(struct fixture *f, const char *path, uint32_t mode, uint64_t rdev, const char *target) {
    struct head_attr attr;
    const char *name;
    uint64_t parent = parent_of(f, path, &name);
    assert_int_equal(head_make(f->head, parent, name, strlen(name), mode, rdev, target, &caller, &attr), 0);
    head_forget(f->head, attr.oid, 1);
    return attr.oid;
}

static inline void make_directory(struct fixture *f, const char *path) {
    (void)make(f, path, S_IFDIR | 0777, 0, NULL);
}

static inline void rewrite(struct fixture *f, const char *path, const char *content) {
    uint64_t oid = find(f, path);
    struct head_attr set = {.size = 0}, attr;
    assert_int_equal(head_setattr(f->head, oid, HEAD_SET_SIZE, &set, &attr), 0);
    assert_int_equal(head_write(f->head, oid, 0, strlen(content), (const uint8_t *)content, false), strlen(content));
}

static inline void make_file(struct fixture *f, const char *path, const char *content) {
    (void)make(f, path, S_IFREG | 0666, 0, NULL);
    rewrite(f, path, content);
}

static inline void make_link(struct fixture *f, const char *path, const char *new_path) {
    struct head_attr attr;
    const char *name;
    uint64_t oid = find(f, path), parent = parent_of(f, new_path, &name);
    assert_int_equal(head_link(f->head, oid, parent, name, strlen(name), &attr), 0);
    head_forget(f->head, attr.oid, 1);
}

static inline void delete (struct fixture *f, const char *path) {
    const char *name;
    uint64_t parent = parent_of(f, path, &name);
    assert_int_equal(head_unlink(f->head, parent, name, strlen(name)), 0);
}

static inline void delete_directory(struct fixture *f, const char *path) {
    const char *name;
    uint64_t parent = parent_of(f, path, &name);
    assert_int_equal(head_rmdir(f->head, parent, name, strlen(name)), 0);
}

static inline void move_with(struct fixture *f, const char *from, const char *to, unsigned flags) {
    const char *name, *new_name;
    uint64_t parent = parent_of(f, from, &name), new_parent = parent_of(f, to, &new_name);
    assert_int_equal(head_rename(f->head, parent, name, strlen(name), new_parent, new_name, strlen(new_name), flags),
                     0);
}

static inline void move(struct fixture *f, const char *from, const char *to) {
    move_with(f, from, to, 0);
}

static inline void set_mode(struct fixture *f, const char *path, uint32_t mode) {
    struct head_attr set = {.mode = mode}, attr;
    assert_int_equal(head_setattr(f->head, path[0] ? find(f, path) : ROOT_OID, HEAD_SET_MODE, &set, &attr), 0);
}

static inline void set_times(struct fixture *f, const char *path, unsigned which, int64_t seconds) {
    struct head_attr set = {.atime = {seconds, 1}, .mtime = {seconds, 2}}, attr;
    assert_int_equal(head_setattr(f->head, find(f, path), which, &set, &attr), 0);
}

/* Seals, and gives the instant after. */
static inline uint64_t seal(struct fixture *f) {
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    return store_last(f->store) + 1;
}

/* ---- changes as text ---- */

static inline void add_words(char *text, size_t size, const struct change *change) {
    static const char *const names[] = {"content", "mode", "owner", "xattr", "times"};
    size_t at = strlen(text);
    at += (size_t)snprintf(text + at, size - at, "%c ", change->kind);
    if (change->old_path && change->new_path && strcmp(change->old_path, change->new_path) != 0)
        at += (size_t)snprintf(text + at, size - at, "%s > ", change->old_path);
    at += (size_t)snprintf(text + at, size - at, "%s", change->new_path ? change->new_path : change->old_path);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (change->what & 1U << i)
            at += (size_t)snprintf(text + at, size - at, " %s", names[i]);
    (void)snprintf(text + at, size - at, "%s%s\n", change->linked ? " linked" : "",
                   change->replaced ? " replaced" : "");
}

static inline char *changes_text(const struct change_list *changes) {
    size_t size = changes->count * 1024 + 1;
    char *text = calloc(1, size);
    assert_non_null(text);
    for (size_t i = 0; i < changes->count; i++)
        add_words(text, size, &changes->items[i]);
    return text;
}

static inline void run(struct fixture *f, const struct diff_options *options, enum diff_strategy strategy,
                       struct change_list *changes) {
    assert_int_equal(diff_run_by(f->store, options, strategy, changes), STORE_OK);
}

static inline void expect_with(struct fixture *f, const struct diff_options *options, const char *expected) {
    for (enum diff_strategy strategy = DIFF_AUTO; strategy <= DIFF_WALK; strategy++) {
        struct change_list changes;
        run(f, options, strategy, &changes);
        char *text = changes_text(&changes);
        assert_string_equal(text, expected);
        free(text);
        change_list_release(&changes);
    }
}

/* Without times, for the clock may stand still between two changes. */
static inline void expect(struct fixture *f, uint64_t a, uint64_t b, const char *expected) {
    expect_with(f, &(struct diff_options){.before_a = a, .before_b = b, .ignore_times = true}, expected);
}

static inline void expect_by_path(struct fixture *f, uint64_t a, uint64_t b, const char *expected) {
    struct diff_options options = {.before_a = a, .before_b = b, .ignore_times = true, .no_renames = true};
    expect_with(f, &options, expected);
}

static inline void expect_each_file(struct fixture *f, uint64_t a, uint64_t b, const char *expected) {
    struct diff_options options = {.before_a = a, .before_b = b, .ignore_times = true, .each_file = true};
    expect_with(f, &options, expected);
}

#endif
