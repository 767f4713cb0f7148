/* Diffs: each rule by example, and random histories against a comparison of both trees path by path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "history/diff_private.h"
#include "store/head.h"
#include "store/store_private.h"
#include "tests/sample.h"

struct fixture {
    char base[64], directory[96];
    struct store *store;
    struct head *head;
    uint64_t random;
};

static const struct head_caller caller = {1000, 1000, 022};

static void open_all(struct fixture *f, bool writable) {
    struct error err = {0};
    if (store_open(f->directory, &(struct store_options){.writable = writable}, &f->store, &err) < 0)
        fail_msg("%s", err.text);
    struct head_options options = {.dirty_limit_bytes = UINT64_C(64) << 20};
    if (writable)
        assert_int_equal(head_open(f->store, &options, &f->head, &err), 0);
}

static void close_all(struct fixture *f) {
    if (f->head)
        assert_int_equal(head_close(f->head), 0);
    store_close(f->store);
    f->head = NULL;
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = {0};
    assert_non_null(f);
    strcpy(f->base, "/tmp/test_diff.XXXXXX");
    assert_non_null(mkdtemp(f->base));
    (void)snprintf(f->directory, sizeof f->directory, "%s/store", f->base);
    if (store_create(f->directory, 0, 0, &err) < 0)
        fail_msg("%s", err.text);
    open_all(f, true);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    char command[128];
    close_all(f);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->base);
    int rc = system(command);
    free(f);
    return rc;
}

/* ---- changes of the head, by path; each asserts that it worked ---- */

/* The directory that holds the last name of a path. */
static uint64_t parent_of(struct fixture *f, const char *path, const char **name) {
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

static uint64_t find(struct fixture *f, const char *path) {
    struct head_attr attr;
    const char *name;
    uint64_t parent = parent_of(f, path, &name);
    assert_int_equal(head_lookup(f->head, parent, name, strlen(name), &attr), 0);
    head_forget(f->head, attr.oid, 1);
    return attr.oid;
}

static uint64_t make(struct fixture *f, const char *path, uint32_t mode, uint64_t rdev, const char *target) {
    struct head_attr attr;
    const char *name;
    uint64_t parent = parent_of(f, path, &name);
    assert_int_equal(head_make(f->head, parent, name, strlen(name), mode, rdev, target, &caller, &attr), 0);
    head_forget(f->head, attr.oid, 1);
    return attr.oid;
}

static void make_directory(struct fixture *f, const char *path) {
    (void)make(f, path, S_IFDIR | 0777, 0, NULL);
}

static void rewrite(struct fixture *f, const char *path, const char *content) {
    uint64_t oid = find(f, path);
    struct head_attr set = {.size = 0}, attr;
    assert_int_equal(head_setattr(f->head, oid, HEAD_SET_SIZE, &set, &attr), 0);
    assert_int_equal(head_write(f->head, oid, 0, strlen(content), (const uint8_t *)content, false), strlen(content));
}

static void make_file(struct fixture *f, const char *path, const char *content) {
    (void)make(f, path, S_IFREG | 0666, 0, NULL);
    rewrite(f, path, content);
}

static void make_link(struct fixture *f, const char *path, const char *new_path) {
    struct head_attr attr;
    const char *name;
    uint64_t oid = find(f, path), parent = parent_of(f, new_path, &name);
    assert_int_equal(head_link(f->head, oid, parent, name, strlen(name), &attr), 0);
    head_forget(f->head, attr.oid, 1);
}

static void delete (struct fixture *f, const char *path) {
    const char *name;
    uint64_t parent = parent_of(f, path, &name);
    assert_int_equal(head_unlink(f->head, parent, name, strlen(name)), 0);
}

static void delete_directory(struct fixture *f, const char *path) {
    const char *name;
    uint64_t parent = parent_of(f, path, &name);
    assert_int_equal(head_rmdir(f->head, parent, name, strlen(name)), 0);
}

static void move_with(struct fixture *f, const char *from, const char *to, unsigned flags) {
    const char *name, *new_name;
    uint64_t parent = parent_of(f, from, &name), new_parent = parent_of(f, to, &new_name);
    assert_int_equal(head_rename(f->head, parent, name, strlen(name), new_parent, new_name, strlen(new_name), flags),
                     0);
}

static void move(struct fixture *f, const char *from, const char *to) {
    move_with(f, from, to, 0);
}

static void set_mode(struct fixture *f, const char *path, uint32_t mode) {
    struct head_attr set = {.mode = mode}, attr;
    assert_int_equal(head_setattr(f->head, path[0] ? find(f, path) : ROOT_OID, HEAD_SET_MODE, &set, &attr), 0);
}

static void set_times(struct fixture *f, const char *path, unsigned which, int64_t seconds) {
    struct head_attr set = {.atime = {seconds, 1}, .mtime = {seconds, 2}}, attr;
    assert_int_equal(head_setattr(f->head, find(f, path), which, &set, &attr), 0);
}

/* Seals, and gives the instant after. */
static uint64_t seal(struct fixture *f) {
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    return store_last(f->store) + 1;
}

/* ---- changes as text ---- */

static void add_words(char *text, size_t size, const struct change *change) {
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

static char *changes_text(const struct change_list *changes) {
    size_t size = changes->count * 1024 + 1;
    char *text = calloc(1, size);
    assert_non_null(text);
    for (size_t i = 0; i < changes->count; i++)
        add_words(text, size, &changes->items[i]);
    return text;
}

static void run(struct fixture *f, const struct diff_options *options, enum diff_strategy strategy,
                struct change_list *changes) {
    assert_int_equal(diff_run_by(f->store, options, strategy, changes), STORE_OK);
}

static void expect_with(struct fixture *f, const struct diff_options *options, const char *expected) {
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
static void expect(struct fixture *f, uint64_t a, uint64_t b, const char *expected) {
    expect_with(f, &(struct diff_options){.before_a = a, .before_b = b, .ignore_times = true}, expected);
}

static void expect_by_path(struct fixture *f, uint64_t a, uint64_t b, const char *expected) {
    struct diff_options options = {.before_a = a, .before_b = b, .ignore_times = true, .no_renames = true};
    expect_with(f, &options, expected);
}

static void expect_each_file(struct fixture *f, uint64_t a, uint64_t b, const char *expected) {
    struct diff_options options = {.before_a = a, .before_b = b, .ignore_times = true, .each_file = true};
    expect_with(f, &options, expected);
}

/* ---- by example ---- */

static void test_diff__from_nothing_everything_is_added(void **state) {
    struct fixture *f = *state;
    make_directory(f, "d");
    make_file(f, "d/f", "1");
    (void)make(f, "d.l", S_IFLNK | 0777, 0, "d/f");
    uint64_t b = seal(f);
    expect(f, 1, b, "A d\nA d.l\nA d/f\n");
    expect(f, b, 1, "D d\nD d.l\nD d/f\n");
    expect(f, b, b, "");
    expect(f, 1, 1, "");
    expect(f, 1, 2, ""); /* the empty root */
}

static void test_diff__sides_carry_the_inodes(void **state) {
    struct fixture *f = *state;
    struct change_list changes;
    struct inode_version *inode;
    make_file(f, "a", "12345");
    uint64_t a = seal(f);
    rewrite(f, "a", "123");
    set_mode(f, "a", 0600);
    make_link(f, "a", "b");
    uint64_t b = seal(f), oid = find(f, "a");
    run(f, &(struct diff_options){.before_a = a, .before_b = b}, DIFF_AUTO, &changes);
    assert_int_equal(changes.count, 2);
    const struct change *change = &changes.items[0];
    assert_int_equal(change->old.oid, oid);
    assert_int_equal(change->new.oid, oid);
    assert_int_equal(change->old.size, 5);
    assert_int_equal(change->new.size, 3);
    assert_int_equal(change->old.mode, S_IFREG | 0644);
    assert_int_equal(change->new.mode, S_IFREG | 0600);
    assert_int_equal(change->old.nlink, 1);
    assert_int_equal(change->new.nlink, 2);
    assert_int_equal(change->new.uid, 1000);
    assert_int_equal(store_inode(f->store, oid, a, &inode), STORE_OK);
    assert_int_equal(change->old.revision, inode->revision);
    store_release(f->store, inode);
    assert_null(changes.items[1].old_path);
    assert_int_equal(changes.items[1].old.oid, 0);
    unsigned what;
    assert_int_equal(diff_objects(f->store, change->old.revision, change->new.revision, &what), STORE_OK);
    assert_int_equal(what & ~(unsigned)CHANGED_TIMES, CHANGED_CONTENT | CHANGED_MODE);
    assert_int_equal(diff_objects(f->store, change->old.revision, change->old.revision, &what), STORE_OK);
    assert_int_equal(what, 0);
    change_list_release(&changes);
    assert_int_equal(diff_objects(f->store, UINT64_C(1) << 40, 1, &what), STORE_ABSENT);
}

static void test_diff__kinds_of_modification_are_told_apart(void **state) {
    struct fixture *f = *state;
    const char *const names[] = {"content", "mode", "none", "owner", "times", "xattr"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        make_file(f, names[i], "same");
        set_times(f, names[i], HEAD_SET_ATIME | HEAD_SET_MTIME, 1000);
    }
    uint64_t a = seal(f);
    rewrite(f, "content", "more");
    set_times(f, "content", HEAD_SET_MTIME, 1000);
    set_mode(f, "mode", 0700);
    rewrite(f, "none", "same"); /* the same bytes, stored anew */
    set_times(f, "none", HEAD_SET_MTIME, 1000);
    struct head_attr set = {.uid = 7, .gid = 8}, attr;
    assert_int_equal(head_setattr(f->head, find(f, "owner"), HEAD_SET_UID | HEAD_SET_GID, &set, &attr), 0);
    set_times(f, "times", HEAD_SET_MTIME, 2000);
    assert_int_equal(head_setxattr(f->head, find(f, "xattr"), "user.a", "x", 1, 0), 0);
    uint64_t b = seal(f);
    set_times(f, "none", HEAD_SET_ATIME, 3000);
    assert_int_equal(head_setxattr(f->head, find(f, "xattr"), "user.a", "y", 1, 0), 0);
    uint64_t c = seal(f);
    struct diff_options options = {.before_a = a, .before_b = b};
    expect_with(f, &options, "M content content\nM mode mode\nM owner owner\nM times times\nM xattr xattr\n");
    options = (struct diff_options){.before_a = b, .before_b = c};
    expect_with(f, &options, "M none times\nM xattr xattr\n");
    options.ignore_times = true;
    expect_with(f, &options, "M xattr xattr\n");
}

static void test_diff__the_root_has_an_empty_path(void **state) {
    struct fixture *f = *state;
    uint64_t a = seal(f);
    set_mode(f, "", 0700);
    make_file(f, "a", "");
    uint64_t b = seal(f);
    expect(f, a, b, "M  mode\nA a\n");
    expect_by_path(f, b, a, "M  mode\nD a\n");
    expect_each_file(f, a, b, "M  mode\nA a\n");
    const char *paths[] = {"a"};
    expect_with(f, &(struct diff_options){.before_a = a, .before_b = b, .paths = paths, .path_count = 1}, "A a\n");
    paths[0] = "";
    struct diff_options all = {.before_a = a, .before_b = b, .paths = paths, .path_count = 1, .ignore_times = true};
    expect_with(f, &all, "M  mode\nA a\n");
}

static void test_diff__a_directory_s_times_count_if_its_entries_stayed(void **state) {
    struct fixture *f = *state;
    make_directory(f, "touched");
    make_directory(f, "visited");
    make_directory(f, "filled");
    make_file(f, "filled/a", "");
    uint64_t a = seal(f);
    set_times(f, "touched", HEAD_SET_MTIME, 1000);
    make_file(f, "visited/temporary", "");
    delete (f, "visited/temporary");
    set_times(f, "visited", HEAD_SET_MTIME, 1000);
    delete (f, "filled/a");
    set_times(f, "filled", HEAD_SET_MTIME, 1000);
    set_mode(f, "filled", 0700);
    uint64_t b = seal(f);
    struct diff_options options = {.before_a = a, .before_b = b};
    expect_with(f, &options, "M filled mode\nD filled/a\nM touched times\n");
}

static void test_diff__a_rename_is_a_rename(void **state) {
    struct fixture *f = *state;
    make_directory(f, "d");
    make_directory(f, "e");
    make_file(f, "a", "1");
    make_file(f, "d/b", "2");
    uint64_t a = seal(f);
    move(f, "a", "z");
    move(f, "d/b", "e/c");
    set_mode(f, "e/c", 0600);
    uint64_t b = seal(f);
    expect(f, a, b, "R d/b > e/c mode\nR a > z\n");
    expect(f, b, a, "R z > a\nR e/c > d/b mode\n");
    expect_by_path(f, a, b, "D a linked\nD d/b linked\nA e/c linked\nA z linked\n");
    expect_each_file(f, a, b, "R d/b > e/c mode\nR a > z\n");
    move(f, "z", "a");
    uint64_t c = seal(f);
    expect(f, a, c, "R d/b > e/c mode\n");
}

static void test_diff__a_rename_over_something_replaces_it(void **state) {
    struct fixture *f = *state;
    make_directory(f, "d");
    make_directory(f, "e");
    make_file(f, "e/x", "3");
    make_file(f, "a", "1");
    make_file(f, "b", "2");
    uint64_t a = seal(f);
    move(f, "a", "b");
    delete (f, "e/x");
    move(f, "d", "e");
    uint64_t b = seal(f);
    expect(f, a, b, "R a > b replaced\nR d > e replaced\nD e/x\n");
    expect(f, b, a, "R b > a\nA b\nR e > d\nA e\nA e/x\n");
    expect_by_path(f, a, b, "D a linked\nM b content replaced\nD d linked\nD e/x\n");
    expect_each_file(f, a, b, "D a linked\nM b content replaced\nD d linked\nD e/x\n");
}

static void test_diff__an_editor_s_save_is_a_modification(void **state) {
    struct fixture *f = *state;
    make_directory(f, "d");
    make_file(f, "d/a", "1");
    make_file(f, "d/same", "1");
    set_times(f, "d/same", HEAD_SET_MTIME, 1000);
    make_file(f, "t", "1");
    uint64_t a = seal(f);
    make_file(f, "d/a.new", "2");
    move(f, "d/a.new", "d/a");
    make_file(f, "d/same.new", "1");
    set_times(f, "d/same.new", HEAD_SET_MTIME, 1000);
    move(f, "d/same.new", "d/same");
    delete (f, "t");
    make_directory(f, "t");
    uint64_t b = seal(f);
    struct diff_options options = {.before_a = a, .before_b = b, .ignore_times = true};
    expect_with(f, &options, "M d/a content replaced\nT t replaced\n");
    expect_by_path(f, b, a, "M d/a content replaced\nT t replaced\n");
    move(f, "d", "e");
    uint64_t c = seal(f);
    expect(f, a, c, "R d > e\nM d/a > e/a content replaced\nT t replaced\n");
}

static void test_diff__a_swap_is_two_renames(void **state) {
    struct fixture *f = *state;
    make_directory(f, "d");
    make_directory(f, "e");
    make_file(f, "a", "1");
    make_file(f, "b", "2");
    make_file(f, "d/f", "1");
    make_file(f, "e/f", "1");
    make_file(f, "d/g", "1");
    make_file(f, "e/g", "2");
    uint64_t a = seal(f);
    move_with(f, "a", "b", RENAME_EXCHANGE);
    move_with(f, "d", "e", RENAME_EXCHANGE);
    uint64_t b = seal(f);
    expect(f, a, b, "R b > a\nR a > b\nR e > d\nR d > e\n");
    const char *by_path =
        "M a content replaced\nM b content replaced\nM d/g content replaced\nM e/g content replaced\n";
    expect_by_path(f, a, b, by_path);
    expect_each_file(f, a, b, by_path);
}

static void test_diff__a_chain_of_renames_is_modifications_for_a_patch(void **state) {
    struct fixture *f = *state;
    make_file(f, "a", "1");
    make_file(f, "b", "2");
    uint64_t a = seal(f);
    move(f, "b", "c");
    move(f, "a", "b");
    uint64_t b = seal(f);
    expect(f, a, b, "R a > b\nR b > c\n");
    expect_each_file(f, a, b, "D a linked\nM b content replaced\nA c linked\n");
}

static void test_diff__a_renamed_directory_brings_its_children_along(void **state) {
    struct fixture *f = *state;
    make_directory(f, "d");
    make_directory(f, "d/s");
    make_file(f, "d/s/same", "1");
    make_file(f, "d/s/edited", "1");
    make_file(f, "d/s/out", "1");
    make_file(f, "in", "1");
    make_file(f, "d/gone", "1");
    uint64_t a = seal(f);
    move(f, "d", "e");
    rewrite(f, "e/s/edited", "22");
    move(f, "e/s/out", "out");
    move(f, "in", "e/in");
    delete (f, "e/gone");
    make_file(f, "e/new", "1");
    uint64_t b = seal(f);
    expect(f, a, b, "D d/gone\nR d > e\nR in > e/in\nA e/new\nM d/s/edited > e/s/edited content\nR d/s/out > out\n");
    expect_by_path(f, a, b,
                   "D d linked\nD d/gone\nD d/s linked\nD d/s/edited linked\nD d/s/out linked\nD d/s/same linked\n"
                   "A e linked\nA e/in linked\nA e/new\nA e/s linked\nA e/s/edited linked\nA e/s/same linked\n"
                   "D in linked\nA out linked\n");
    expect_each_file(f, a, b,
                     "D d linked\nD d/gone\nD d/s linked\nA e linked\nR in > e/in\nA e/new\nA e/s linked\n"
                     "R d/s/edited > e/s/edited content\nR d/s/same > e/s/same\nR d/s/out > out\n");
    const char *paths[] = {"d/s"};
    struct diff_options options = {.before_a = a, .before_b = b, .ignore_times = true, .paths = paths, .path_count = 1};
    expect_with(f, &options, "M d/s/edited > e/s/edited content\nR d/s/out > out\n");
    options.each_file = true;
    expect_with(f, &options,
                "D d/s linked\nR d/s/edited > e/s/edited content\nR d/s/same > e/s/same\nR d/s/out > out\n");
    paths[0] = "d/s/same";
    expect_with(f, &options, "R d/s/same > e/s/same\n");
}

static void test_diff__a_directory_made_anew_is_compared_with_the_one_before(void **state) {
    struct fixture *f = *state;
    make_directory(f, "d");
    make_directory(f, "d/s");
    make_file(f, "d/s/a", "1");
    make_file(f, "d/s/b", "1");
    make_file(f, "d/s/kept", "1");
    uint64_t a = seal(f);
    make_directory(f, "n");
    make_directory(f, "n/s");
    make_file(f, "n/s/a", "2");
    make_file(f, "n/s/b", "1");
    move(f, "d/s/kept", "n/s/kept");
    delete (f, "d/s/a");
    delete (f, "d/s/b");
    delete_directory(f, "d/s");
    delete_directory(f, "d");
    move(f, "n", "d");
    uint64_t b = seal(f);
    expect(f, a, b, "M d/s/a content replaced\n");
    expect(f, b, a, "M d/s/a content replaced\n");
    expect_by_path(f, a, b, "M d/s/a content replaced\n");
    set_mode(f, "d/s", 0700);
    uint64_t c = seal(f);
    expect(f, a, c, "M d/s mode replaced\nM d/s/a content replaced\n");
}

static void test_diff__a_renamed_directory_and_a_new_one_in_its_place(void **state) {
    struct fixture *f = *state;
    make_directory(f, "d");
    make_file(f, "d/a", "1");
    make_file(f, "d/g", "1");
    uint64_t a = seal(f);
    move(f, "d", "d.old");
    make_directory(f, "d");
    make_file(f, "d/a", "1");
    make_file(f, "d/g", "2");
    delete (f, "d.old/g");
    uint64_t b = seal(f);
    expect(f, a, b, "A d\nR d > d.old\nA d/a\nD d/g\nA d/g\n");
    expect(f, b, a, "R d.old > d replaced\nD d/a\nD d/g\nA d/g\n");
    expect_by_path(f, a, b, "A d.old linked\nA d.old/a linked\nM d/g content replaced\n");
    /* The old one stands there still, for another: nothing to rename. */
    expect_each_file(f, a, b, "A d.old linked\nA d.old/a linked\nM d/g content replaced\n");
}

static void test_diff__directories_that_change_places_keep_a_path(void **state) {
    struct fixture *f = *state;
    make_directory(f, "p");
    make_directory(f, "q");
    make_directory(f, "p/m");
    make_file(f, "p/m/f", "1");
    uint64_t a = seal(f);
    move_with(f, "p", "q", RENAME_EXCHANGE);
    move(f, "q/m", "p/m");
    uint64_t b = seal(f);
    expect(f, a, b, "R q > p\nR p/m\nR p > q\n");
    expect_by_path(f, a, b, "");
    expect_each_file(f, a, b, "");
    rewrite(f, "p/m/f", "2");
    uint64_t c = seal(f);
    expect_by_path(f, a, c, "M p/m/f content\n");
}

static void test_diff__hard_links_are_paired_in_the_order_of_their_paths(void **state) {
    struct fixture *f = *state;
    make_file(f, "a", "1");
    make_link(f, "a", "b");
    make_link(f, "a", "c");
    uint64_t a = seal(f);
    move(f, "c", "y");
    move(f, "b", "z");
    make_link(f, "z", "d");
    uint64_t b = seal(f);
    expect(f, a, b, "R b > d\nR c > y\nA z linked\n");
    expect(f, b, a, "R d > b\nR y > c\nD z linked\n");
    expect_by_path(f, a, b, "D b linked\nD c linked\nA d linked\nA y linked\nA z linked\n");
    rewrite(f, "a", "2");
    uint64_t c = seal(f);
    expect(f, b, c, "M a content\nM d content\nM y content\nM z content\n");
    expect(f, a, c, "M a content\nR b > d content\nR c > y content\nA z linked\n");
    delete (f, "y");
    uint64_t d = seal(f);
    expect(f, c, d, "D y linked\n");
}

static void test_diff__a_hard_link_made_a_file_of_its_own_is_told(void **state) {
    struct fixture *f = *state;
    make_file(f, "a", "1");
    make_link(f, "a", "b");
    uint64_t a = seal(f);
    delete (f, "b");
    make_file(f, "b", "1");
    uint64_t b = seal(f);
    expect(f, a, b, "M b replaced\n");
    expect_by_path(f, a, b, "");
    delete (f, "b");
    make_file(f, "b", "1");
    uint64_t c = seal(f);
    expect(f, b, c, "");
}

static void test_diff__paths_limit_what_is_told(void **state) {
    struct fixture *f = *state;
    make_directory(f, "a");
    make_directory(f, "ab");
    make_file(f, "a/f", "1");
    make_file(f, "ab/f", "1");
    make_file(f, "x", "1");
    uint64_t a = seal(f);
    rewrite(f, "a/f", "2");
    rewrite(f, "ab/f", "2");
    move(f, "x", "y");
    uint64_t b = seal(f);
    const char *paths[] = {"a", "y"};
    struct diff_options options = {.before_a = a, .before_b = b, .ignore_times = true, .paths = paths, .path_count = 2};
    expect_with(f, &options, "M a/f content\nR x > y\n");
    paths[1] = "nothing/there";
    expect_with(f, &options, "M a/f content\n");
    paths[0] = "a/f";
    expect_with(f, &options, "M a/f content\n");
    paths[0] = "x";
    expect_with(f, &options, "R x > y\n");
    paths[0] = "x/below";
    expect_with(f, &options, "");
}

static void test_diff__names_are_bytes(void **state) {
    struct fixture *f = *state;
    make_file(f, "a\xff\n", "1");
    make_file(f, "a b", "1");
    uint64_t a = seal(f);
    move(f, "a\xff\n", "a\x01");
    uint64_t b = seal(f);
    expect(f, a, b, "R a\xff\n > a\x01\n");
    expect(f, 1, b, "A a\x01\nA a b\n");
}

static void test_diff__symlinks_and_devices_have_content(void **state) {
    struct fixture *f = *state;
    (void)make(f, "l", S_IFLNK | 0777, 0, "a");
    (void)make(f, "c", S_IFCHR | 0600, makedev(1, 3), NULL);
    (void)make(f, "p", S_IFIFO | 0600, 0, NULL);
    uint64_t a = seal(f);
    delete (f, "l");
    delete (f, "c");
    delete (f, "p");
    (void)make(f, "l", S_IFLNK | 0777, 0, "b");
    (void)make(f, "c", S_IFCHR | 0600, makedev(1, 5), NULL);
    (void)make(f, "p", S_IFIFO | 0600, 0, NULL);
    uint64_t b = seal(f);
    expect(f, a, b, "M c content replaced\nM l content replaced\n");
}

static void write_block(struct fixture *f, const char *path, uint64_t offset, size_t length, uint8_t byte) {
    uint8_t *block = malloc(length);
    assert_non_null(block);
    memset(block, byte, length);
    assert_int_equal(head_write(f->head, find(f, path), offset, length, block, false), (int64_t)length);
    free(block);
}

static void test_diff__large_and_sparse_content_is_compared(void **state) {
    struct fixture *f = *state;
    const uint64_t far = (UINT64_C(1) << 50) + 12345;
    const char *const names[] = {"last", "middle", "same", "zeros"};
    for (size_t i = 0; i < 4; i++) {
        make_file(f, names[i], "");
        write_block(f, names[i], 1000, (size_t)3 * CHUNK_BYTES, 'x');
        write_block(f, names[i], far, 10, 'y');
    }
    uint64_t a = seal(f);
    write_block(f, "last", far + 9, 1, 'z');
    write_block(f, "middle", far / 2, 1, 'z');
    write_block(f, "same", 1000 + CHUNK_BYTES / 2, CHUNK_BYTES, 'x');
    write_block(f, "zeros", far / 2, 10, 0);
    uint64_t b = seal(f);
    expect(f, a, b, "M last content\nM middle content\n");
    expect(f, b, a, "M last content\nM middle content\n");
}

static void count_progress(void *context, uint64_t done, uint64_t total) {
    assert_true(total == 0 || done <= total);
    ++*(int *)context;
}

static void test_diff__progress_is_told_and_arguments_are_checked(void **state) {
    struct fixture *f = *state;
    struct change_list changes;
    int calls = 0;
    make_file(f, "a", "1");
    uint64_t b = seal(f);
    struct diff_options options = {.before_a = 1, .before_b = b, .progress = count_progress, .context = &calls};
    run(f, &options, DIFF_SCAN, &changes);
    assert_true(calls > 0);
    change_list_release(&changes);
    options.before_b = b + 1;
    assert_int_equal(diff_run(f->store, &options, &changes), STORE_INVALID);
    options.before_b = 0;
    assert_int_equal(diff_run(f->store, &options, &changes), STORE_INVALID);
    assert_int_equal(changes.count, 0);
}

/* ---- damage and failures ---- */

static void test_diff__what_was_packed_away_is_refused(void **state) {
    (void)state;
    struct sample *sample = sample_new(NULL);
    struct change_list changes;
    unsigned what;
    uint64_t oid = sample_make(sample, ROOT_OID, "a", S_IFREG | 0644, "1");
    (void)sample_commit(sample, "");
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, oid, 3, &inode), STORE_OK);
    uint64_t revision = inode->revision;
    store_release(sample->store, inode);
    sample_write(sample, oid, "2");
    (void)sample_commit(sample, "");
    sample_write(sample, oid, "1");
    (void)sample_commit(sample, "");
    assert_int_equal(store_inode(sample->store, oid, 5, &inode), STORE_OK);
    assert_int_equal(diff_objects(sample->store, revision, inode->revision, &what), STORE_OK);
    assert_int_equal(what & CHANGED_CONTENT, 0);
    sample_move_horizon(sample, 3, 1000);
    assert_int_equal(diff_run(sample->store, &(struct diff_options){.before_a = 3, .before_b = 5}, &changes),
                     STORE_PACKED);
    assert_int_equal(diff_run(sample->store, &(struct diff_options){.before_a = 5, .before_b = 1}, &changes),
                     STORE_PACKED);
    assert_int_equal(diff_run(sample->store, &(struct diff_options){.before_a = 4, .before_b = 5}, &changes), STORE_OK);
    assert_int_equal(changes.count, 1);
    change_list_release(&changes);
    assert_int_equal(diff_objects(sample->store, revision, inode->revision, &what), STORE_PACKED);
    store_release(sample->store, inode);
    sample_free(sample);
}

static void test_diff__a_circle_of_directories_is_damage(void **state) {
    (void)state;
    struct sample *sample = sample_new(NULL);
    struct change_list changes;
    uint64_t a = sample_make(sample, ROOT_OID, "a", S_IFDIR | 0755, NULL);
    uint64_t b = sample_make(sample, a, "b", S_IFDIR | 0755, NULL);
    uint64_t before_a = 1 + (sample_commit(sample, ""), sample_last(sample));
    sample_move(sample, ROOT_OID, "a", b, "c");
    (void)sample_make(sample, b, "f", S_IFREG | 0644, "1");
    uint64_t before_b = 1 + (sample_commit(sample, ""), sample_last(sample));
    for (int mode = 0; mode < 3; mode++) {
        struct diff_options options = {
            .before_a = before_a, .before_b = before_b, .no_renames = mode == 1, .each_file = mode == 2};
        assert_int_equal(diff_run(sample->store, &options, &changes), STORE_CORRUPT);
        assert_int_equal(changes.count, 0);
        options.before_a = before_b;
        options.before_b = before_a;
        assert_int_equal(diff_run(sample->store, &options, &changes), STORE_CORRUPT);
        options.before_b = 1;
        assert_int_equal(diff_run(sample->store, &options, &changes), STORE_CORRUPT);
    }
    sample_free(sample);
}

/* As another process that keeps nothing in memory, on a storage that can be made to fail. */
static struct store *open_faulty(struct fixture *f, struct storage **fault) {
    struct store *store;
    struct error err = {0};
    if (store_open(f->directory, &(struct store_options){.cache_bytes = 1}, &store, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(storage_fault_open(store->storage, fault), STORE_OK);
    store->storage = *fault;
    return store;
}

static void test_diff__a_body_that_cannot_be_read_is_told_as_changed(void **state) {
    struct fixture *f = *state;
    struct storage *fault;
    struct change_list changes;
    make_file(f, "a", "1");
    uint64_t a = seal(f);
    rewrite(f, "a", "1");
    make_file(f, "b", "1");
    uint64_t b = seal(f);
    expect(f, a, b, "A b\n");
    struct store *store = open_faulty(f, &fault);
    storage_fault_set(fault, &(struct storage_fault){.op = "body_read", .nth = 1, .code = STORE_CORRUPT});
    struct diff_options options = {.before_a = a, .before_b = b, .ignore_times = true};
    assert_int_equal(diff_run(store, &options, &changes), STORE_OK);
    char *text = changes_text(&changes);
    assert_string_equal(text, "M a content\nA b\n");
    free(text);
    change_list_release(&changes);
    store_close(store);
}

/* Every call of the storage fails once. */
static void fail_each_call(struct store *store, struct storage *fault, const struct diff_options *options,
                           enum diff_strategy strategy) {
    for (uint64_t nth = 1;; nth++) {
        struct change_list changes;
        storage_fault_set(fault, &(struct storage_fault){.nth = nth, .code = STORE_IO});
        int rc = diff_run_by(store, options, strategy, &changes);
        bool failed = storage_fault_count(fault) >= nth;
        assert_int_equal(rc, failed ? STORE_IO : STORE_OK);
        assert_int_equal(changes.count > 0, !failed);
        change_list_release(&changes);
        if (!failed) {
            assert_true(nth > 20);
            return;
        }
    }
}

static void test_diff__a_failed_read_fails_the_diff(void **state) {
    struct fixture *f = *state;
    struct storage *fault;
    make_directory(f, "d");
    make_directory(f, "d/s");
    make_file(f, "d/s/a", "1");
    make_file(f, "d/s/b", "1");
    make_link(f, "d/s/b", "d/link");
    make_directory(f, "gone");
    make_file(f, "gone/a", "1");
    assert_int_equal(head_setxattr(f->head, find(f, "d/s/a"), "user.a", "x", 1, 0), 0);
    uint64_t a = seal(f);
    assert_int_equal(head_setxattr(f->head, find(f, "d/s/a"), "user.a", "y", 1, 0), 0);
    rewrite(f, "d/s/a", "2");
    move(f, "d", "e");
    move(f, "e/link", "gone/b");
    delete (f, "gone/a");
    move(f, "gone/b", "b");
    delete_directory(f, "gone");
    make_directory(f, "gone");
    make_file(f, "gone/a", "1");
    uint64_t b = seal(f);
    struct store *store = open_faulty(f, &fault);
    const char *paths[] = {"d/s", "gone"};
    for (int mode = 0; mode < 6; mode++) {
        struct diff_options options = {.before_a = a,
                                       .before_b = b,
                                       .no_renames = mode % 3 == 1,
                                       .each_file = mode % 3 == 2,
                                       .paths = paths,
                                       .path_count = mode < 3 ? 0 : 2};
        fail_each_call(store, fault, &options, DIFF_SCAN);
        fail_each_call(store, fault, &options, DIFF_WALK);
    }
    store_close(store);
}

/* ---- random histories ---- */

static uint64_t random_below(struct fixture *f, uint64_t bound) {
    f->random = f->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (f->random >> 33) % bound;
}

/* A directory of the head, and a name that it may have or not. */
static uint64_t random_slot(struct fixture *f, char name[2]) {
    uint64_t oid = ROOT_OID;
    struct head_attr attr;
    for (uint64_t depth = random_below(f, 5);; depth--) {
        name[0] = (char)('a' + random_below(f, 4));
        name[1] = '\0';
        if (depth == 0 || head_lookup(f->head, oid, name, 1, &attr) != 0)
            return oid;
        head_forget(f->head, attr.oid, 1);
        if (S_ISDIR(attr.mode))
            oid = attr.oid;
    }
}

static uint64_t random_object(struct fixture *f) {
    struct head_attr attr;
    char name[2];
    uint64_t directory = random_slot(f, name);
    if (head_lookup(f->head, directory, name, 1, &attr) != 0)
        return directory;
    head_forget(f->head, attr.oid, 1);
    return attr.oid;
}

/* Few values, so that things become equal again. */
static void random_attributes(struct fixture *f, uint64_t oid) {
    struct head_attr set = {.mode = random_below(f, 2) ? 0644 : 0755,
                            .uid = (uint32_t)random_below(f, 2),
                            .atime = {1000, 0},
                            .mtime = {1000 + (time_t)random_below(f, 2), 0}};
    struct head_attr attr;
    char value[2] = {(char)('0' + random_below(f, 2)), '\0'};
    switch (random_below(f, 8)) {
    case 0:
        (void)head_setattr(f->head, oid, HEAD_SET_MODE, &set, &attr);
        break;
    case 1:
        (void)head_setattr(f->head, oid, HEAD_SET_UID, &set, &attr);
        break;
    case 2:
        (void)head_setxattr(f->head, oid, "user.a", value, 1, 0);
        break;
    case 3:
        (void)head_removexattr(f->head, oid, "user.a");
        break;
    case 4:
        (void)head_write(f->head, oid, random_below(f, 3), 1, (const uint8_t *)value, false);
        break;
    default:
        (void)head_setattr(f->head, oid, HEAD_SET_MTIME | HEAD_SET_ATIME, &set, &attr);
        break;
    }
}

static void random_make(struct fixture *f, uint64_t directory, const char *name) {
    static const uint32_t types[] = {S_IFDIR, S_IFDIR, S_IFREG, S_IFREG, S_IFREG, S_IFLNK, S_IFIFO};
    uint32_t type = types[random_below(f, sizeof types / sizeof types[0])];
    struct head_attr attr;
    const char *target = type != S_IFLNK ? NULL : random_below(f, 2) ? "x" : "y";
    if (head_make(f->head, directory, name, 1, type | 0755, 0, target, &caller, &attr) != 0)
        return;
    head_forget(f->head, attr.oid, 1);
    struct head_attr set = {.mtime = {1000, 0}, .atime = {1000, 0}};
    if (type == S_IFREG)
        (void)head_write(f->head, attr.oid, 0, 1, (const uint8_t *)(random_below(f, 2) ? "0" : "1"), false);
    (void)head_setattr(f->head, attr.oid, HEAD_SET_MTIME | HEAD_SET_ATIME, &set, &attr);
}

/* Fails or not. */
static void random_change(struct fixture *f) {
    char name[2], other[2];
    struct head_attr attr;
    uint64_t directory = random_slot(f, name), to = random_slot(f, other);
    switch (random_below(f, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        random_make(f, directory, name);
        break;
    case 4:
    case 5:
    case 6:
        (void)head_rename(f->head, directory, name, 1, to, other, 1, 0);
        break;
    case 7:
        (void)head_rename(f->head, directory, name, 1, to, other, 1, RENAME_EXCHANGE);
        break;
    case 8:
    case 9:
        if (head_link(f->head, random_object(f), directory, name, 1, &attr) == 0)
            head_forget(f->head, attr.oid, 1);
        break;
    case 10:
    case 11:
        (void)head_unlink(f->head, directory, name, 1);
        break;
    case 12:
        (void)head_rmdir(f->head, directory, name, 1);
        break;
    default:
        random_attributes(f, random_object(f));
        break;
    }
}

/* ---- a tree, read as a whole ---- */

struct node {
    char *path;
    uint64_t oid, parent;
    struct inode_record record; /* without its target */
    char *content;              /* of a file or symlink, with its length before it; and the attributes, as text */
    char *xattrs;
    bool away, told; /* for test_apply */
    struct node *above;
    char *name;
};
struct tree {
    struct node *items;
    size_t count, capacity;
};

static void tree_release(struct tree *tree) {
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->items[i].path);
        free(tree->items[i].content);
        free(tree->items[i].xattrs);
        free(tree->items[i].name);
    }
    free(tree->items);
}

static void read_node(struct fixture *f, uint64_t oid, uint64_t before, struct node *node) {
    struct inode_version *inode;
    struct xattrs_version *xattrs;
    uint8_t buffer[64] = {0};
    size_t done = 0;
    assert_int_equal(store_inode(f->store, oid, before, &inode), STORE_OK);
    node->oid = oid;
    node->record = inode->record;
    node->record.target = NULL;
    if (S_ISREG(inode->record.mode))
        assert_int_equal(store_read(f->store, inode, before, 0, sizeof buffer - 1, buffer, &done), STORE_OK);
    /* Holes read as zeros, which end no text here. */
    for (size_t i = 0; i < done; i++)
        buffer[i] = buffer[i] ? buffer[i] : '.';
    node->content = strdup(inode->record.target ? inode->record.target : (char *)buffer);
    char text[64] = "";
    if (inode->record.has_xattrs) {
        assert_int_equal(store_xattrs(f->store, oid, before, &xattrs), STORE_OK);
        if (xattrs->set.count == 1)
            (void)snprintf(text, sizeof text, "%s=%.*s", xattrs->set.items[0].name, (int)xattrs->set.items[0].length,
                           (const char *)xattrs->set.items[0].value);
        store_release(f->store, xattrs);
    }
    node->xattrs = strdup(text);
    store_release(f->store, inode);
}

static void read_directory(struct fixture *f, struct tree *tree, const char *path, uint64_t oid, uint64_t before) {
    struct list_version *list;
    assert_int_equal(store_list(f->store, oid, before, &list), STORE_OK);
    for (size_t i = 0; i < list->list.count; i++) {
        const struct entry *entry = &list->list.items[i];
        assert_true(tree->count < tree->capacity);
        struct node *node = &tree->items[tree->count++];
        size_t size = strlen(path) + entry->name_length + 2;
        *node = (struct node){.parent = oid, .path = malloc(size), .name = strdup(entry->name)};
        assert_non_null(node->path);
        (void)snprintf(node->path, size, "%s%s%s", path, path[0] ? "/" : "", entry->name);
        read_node(f, entry->oid, before, node);
        if (entry->type == S_IFDIR)
            read_directory(f, tree, node->path, entry->oid, before);
    }
    store_release(f->store, list);
}

static int compare_nodes(const void *a, const void *b) {
    return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

static struct node *tree_find(const struct tree *tree, const char *path) {
    struct node key = {.path = (char *)(uintptr_t)path};
    return bsearch(&key, tree->items, tree->count, sizeof *tree->items, compare_nodes);
}

/* Sorted by path; the root is left out. */
static void tree_read(struct fixture *f, uint64_t before, struct tree *tree) {
    *tree = (struct tree){.capacity = 100000};
    tree->items = calloc(tree->capacity, sizeof *tree->items);
    assert_non_null(tree->items);
    if (before > 1)
        read_directory(f, tree, "", ROOT_OID, before);
    qsort(tree->items, tree->count, sizeof *tree->items, compare_nodes);
    for (size_t i = 0; i < tree->count; i++) {
        struct node *node = &tree->items[i];
        const char *slash = strrchr(node->path, '/');
        if (slash) {
            char *directory = strndup(node->path, (size_t)(slash - node->path));
            node->above = tree_find(tree, directory);
            assert_non_null(node->above);
            free(directory);
        }
    }
}

static bool tree_has(const struct tree *tree, uint64_t oid) {
    for (size_t i = 0; i < tree->count; i++)
        if (tree->items[i].oid == oid)
            return true;
    return false;
}

/* What differs, from the definition. */
static unsigned compare(const struct node *a, const struct node *b) {
    unsigned what = 0;
    bool same_object = a->oid == b->oid, directory = S_ISDIR(a->record.mode);
    bool same_mtime =
        a->record.mtime.tv_sec == b->record.mtime.tv_sec && a->record.mtime.tv_nsec == b->record.mtime.tv_nsec;
    bool same_atime =
        a->record.atime.tv_sec == b->record.atime.tv_sec && a->record.atime.tv_nsec == b->record.atime.tv_nsec;
    if (!directory && strcmp(a->content, b->content) != 0)
        what |= CHANGED_CONTENT;
    if (a->record.mode != b->record.mode)
        what |= CHANGED_MODE;
    if (a->record.uid != b->record.uid || a->record.gid != b->record.gid)
        what |= CHANGED_OWNER;
    if (strcmp(a->xattrs, b->xattrs) != 0)
        what |= CHANGED_XATTR;
    if (directory ? same_object && a->record.next_index == b->record.next_index && a->record.size == b->record.size &&
                        (!same_mtime || !same_atime)
                  : !same_mtime || (same_object && !same_atime))
        what |= CHANGED_TIMES;
    return what;
}

static unsigned compare_roots(struct fixture *f, uint64_t a, uint64_t b) {
    struct node x = {0}, y = {0};
    if (a == 1 || b == 1)
        return 0;
    read_node(f, ROOT_OID, a, &x);
    read_node(f, ROOT_OID, b, &y);
    unsigned what = compare(&x, &y);
    free(x.content);
    free(x.xattrs);
    free(y.content);
    free(y.xattrs);
    return what;
}

/* What no_renames must give. */
static char *expected_by_path(struct fixture *f, const struct tree *a, const struct tree *b, unsigned root) {
    size_t size = (a->count + b->count + 1) * 256, i = 0, j = 0;
    char *text = calloc(1, size);
    assert_non_null(text);
    (void)f;
    if (root != 0)
        add_words(text, size, &(struct change){.kind = 'M', .old_path = "", .new_path = "", .what = root});
    while (i < a->count || j < b->count) {
        const struct node *x = i < a->count ? &a->items[i] : NULL, *y = j < b->count ? &b->items[j] : NULL;
        int order = !x ? 1 : !y ? -1 : strcmp(x->path, y->path);
        struct change change = {0};
        if (order < 0) {
            change = (struct change){.kind = 'D', .old_path = x->path, .linked = tree_has(b, x->oid)};
            i++;
        } else if (order > 0) {
            change = (struct change){.kind = 'A', .new_path = y->path, .linked = tree_has(a, y->oid)};
            j++;
        } else {
            bool same_type = (x->record.mode & S_IFMT) == (y->record.mode & S_IFMT);
            change = (struct change){.kind = same_type ? 'M' : 'T',
                                     .old_path = x->path,
                                     .new_path = y->path,
                                     .replaced = x->oid != y->oid,
                                     .what = same_type ? compare(x, y) : 0};
            i++;
            j++;
            if (same_type && change.what == 0)
                continue;
        }
        add_words(text, size, &change);
    }
    return text;
}

/* ---- what must hold of every diff ---- */

static void check_order(const struct change_list *changes) {
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *x = &changes->items[i];
        const char *path = x->new_path ? x->new_path : x->old_path;
        assert_int_equal(x->old_path != NULL, x->old.oid != 0);
        assert_int_equal(x->new_path != NULL, x->new.oid != 0);
        if (x->kind != CHANGE_MODIFIED && x->kind != CHANGE_RENAMED)
            assert_int_equal(x->what, 0);
        if (i > 0) {
            const struct change *before = &changes->items[i - 1];
            assert_true(strcmp(before->new_path ? before->new_path : before->old_path, path) <= 0);
        }
        for (size_t j = 0; j < i; j++) {
            const struct change *y = &changes->items[j];
            assert_false(x->new_path && y->new_path && strcmp(x->new_path, y->new_path) == 0);
            assert_false(x->old_path && y->old_path && strcmp(x->old_path, y->old_path) == 0);
        }
    }
}

/* The node at a path after what is away is away; NULL if there is none. */
static struct node *find_now(struct tree *tree, const char *path) {
    char *copy = strdup(path), *rest = copy;
    struct node *above = NULL;
    assert_non_null(copy);
    while (rest) {
        char *name = strsep(&rest, "/");
        struct node *found = NULL;
        for (size_t i = 0; i < tree->count && !found; i++) {
            struct node *node = &tree->items[i];
            if (!node->away && node->above == above && strcmp(node->name, name) == 0)
                found = node;
        }
        above = found;
        if (!found)
            break;
    }
    free(copy);
    return above;
}

static void put(struct tree *tree, struct node *node, const char *path) {
    const char *slash = strrchr(path, '/');
    struct node *above = NULL;
    assert_null(find_now(tree, path));
    if (slash) {
        char *directory = strndup(path, (size_t)(slash - path));
        above = find_now(tree, directory);
        assert_non_null(above);
        free(directory);
    }
    free(node->name);
    node->name = strdup(slash ? slash + 1 : path);
    node->above = above;
    node->away = false;
    node->told = true;
}

/* Applies the changes to `a` as the header says, and compares with `b`. */
static void check_apply(struct tree *a, const struct tree *b, const struct change_list *changes, bool by_path) {
    struct node **moved = calloc(changes->count + 1, sizeof *moved);
    assert_non_null(moved);
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        if (change->old_path && change->old_path[0]) {
            moved[i] = tree_find(a, change->old_path);
            assert_non_null(moved[i]);
            assert_int_equal(moved[i]->oid, change->old.oid);
        }
        if (change->kind == CHANGE_RENAMED && change->replaced) {
            struct node *replaced = tree_find(a, change->new_path);
            assert_non_null(replaced);
            replaced->away = true;
        }
    }
    for (size_t i = 0; i < changes->count; i++)
        if (moved[i])
            moved[i]->away = true;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        if (!change->new_path || !change->new_path[0])
            continue;
        if (!moved[i]) {
            assert_true(a->count < a->capacity);
            moved[i] = &a->items[a->count++];
            *moved[i] = (struct node){.away = true};
        }
        put(a, moved[i], change->new_path);
        moved[i]->oid = change->new.oid;
    }
    free(moved);
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].away)
            continue;
        count++;
        for (const struct node *above = a->items[i].above; above; above = above->above)
            assert_false(above->away);
    }
    assert_int_equal(count, b->count);
    for (size_t i = 0; i < b->count; i++) {
        const struct node *wanted = &b->items[i], *got = find_now(a, wanted->path);
        assert_non_null(got);
        if (got->told) {
            assert_int_equal(got->oid, wanted->oid);
            continue;
        }
        assert_int_equal(got->record.mode & S_IFMT, wanted->record.mode & S_IFMT);
        assert_int_equal(compare(got, wanted), 0);
        if (!by_path && got->oid != wanted->oid && !S_ISDIR(got->record.mode))
            assert_true(got->record.nlink == 1 && wanted->record.nlink == 1);
    }
}

/* Nothing is told that is none, and nothing as two that is one. */
static void check_sense(const struct tree *a, const struct tree *b, const struct change_list *changes,
                        const struct diff_options *options) {
    bool by_path = options->no_renames || options->each_file;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *x = &changes->items[i];
        const struct node *old = x->old_path && x->old_path[0] ? tree_find(a, x->old_path) : NULL;
        const struct node *new = x->new_path && x->new_path[0] ? tree_find(b, x->new_path) : NULL;
        assert_false(options->no_renames && x->kind == CHANGE_RENAMED);
        if (x->kind == CHANGE_RENAMED) {
            assert_int_equal(x->old.oid, x->new.oid);
            assert_int_equal(x->what, compare(old, new));
            assert_true(options->each_file || old->parent != new->parent || strcmp(old->name, new->name) != 0);
        }
        if (x->kind == CHANGE_RENAMED && options->each_file) {
            assert_null(tree_find(b, x->old_path));
            assert_null(tree_find(a, x->new_path));
            assert_false(S_ISDIR(x->old.mode) || x->replaced);
        }
        if (x->kind == CHANGE_MODIFIED && old) {
            assert_int_equal(x->what, compare(old, new));
            assert_int_equal(x->replaced, x->old.oid != x->new.oid);
            assert_true(x->what != 0 || (!by_path && x->replaced && (x->old.nlink > 1 || x->new.nlink > 1)));
        }
        if (x->kind == CHANGE_DELETED || x->kind == CHANGE_ADDED)
            assert_int_equal(x->linked, x->kind == CHANGE_ADDED ? tree_has(a, new->oid) : tree_has(b, old->oid));
        if (by_path || x->kind != CHANGE_DELETED)
            continue;
        for (size_t j = 0; j < changes->count; j++) {
            const struct change *y = &changes->items[j];
            if (y->kind != CHANGE_ADDED)
                continue;
            assert_int_not_equal(x->old.oid, y->new.oid);
            const struct node *added = tree_find(b, y->new_path);
            assert_false(added->parent == old->parent && strcmp(added->name, old->name) == 0);
        }
    }
}

static bool same_path(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The change of `changes` that `wanted` is when the sides are swapped. */
static bool has_mirrored(const struct change_list *changes, const struct change *wanted) {
    char kind = (char)wanted->kind;
    kind = kind == 'A' ? 'D' : kind == 'D' ? 'A' : kind;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *x = &changes->items[i];
        if ((char)x->kind == kind && x->what == wanted->what && same_path(x->old_path, wanted->new_path) &&
            same_path(x->new_path, wanted->old_path) && x->linked == wanted->linked &&
            x->old.revision == wanted->new.revision && x->new.revision == wanted->old.revision &&
            (kind == 'R' || x->replaced == wanted->replaced))
            return true;
    }
    return false;
}

static void check_mirror(const struct change_list *forward, const struct change_list *backward) {
    size_t replaced[2] = {0, 0}, missing[2] = {0, 0};
    const struct change_list *lists[2] = {forward, backward};
    for (int way = 0; way < 2; way++)
        for (size_t i = 0; i < lists[way]->count; i++) {
            const struct change *x = &lists[way]->items[i];
            replaced[way] += x->kind == CHANGE_RENAMED && x->replaced;
            if (has_mirrored(lists[1 - way], x))
                continue;
            assert_int_equal(x->kind, CHANGE_ADDED); /* what a rename replaced, told the other way */
            missing[way]++;
        }
    assert_int_equal(missing[0], replaced[1]);
    assert_int_equal(missing[1], replaced[0]);
}

static void check_same(const struct change_list *a, const struct change_list *b) {
    char *x = changes_text(a), *y = changes_text(b);
    assert_string_equal(x, y);
    free(x);
    free(y);
}

/* With paths to look at, the same is told as without, as far as it lies there. */
static void check_filter(struct fixture *f, const struct diff_options *options, const struct change_list *all,
                         const struct tree *a, const struct tree *b) {
    const struct tree *from = random_below(f, 2) ? a : b;
    if (from->count == 0)
        return;
    const char *path = from->items[random_below(f, from->count)].path;
    struct diff_options filtered = *options;
    filtered.paths = &path;
    filtered.path_count = 1;
    struct change_list some = {.items = calloc(all->count + 1, sizeof *some.items)}, got;
    struct diff diff = {.filtered = true, .options = &filtered};
    assert_non_null(some.items);
    for (size_t i = 0; i < all->count; i++)
        if (diff_wants(&diff, all->items[i].old_path, all->items[i].new_path))
            some.items[some.count++] = all->items[i];
    for (enum diff_strategy strategy = DIFF_SCAN; strategy <= DIFF_WALK; strategy++) {
        run(f, &filtered, strategy, &got);
        check_same(&some, &got);
        change_list_release(&got);
    }
    free(some.items);
}

static void check_mode(struct fixture *f, const struct diff_options *options, const struct tree *b) {
    struct change_list scanned, walked, backward;
    struct tree a;
    struct diff_options reverse = *options;
    bool by_path = options->no_renames || options->each_file;
    reverse.before_a = options->before_b;
    reverse.before_b = options->before_a;
    tree_read(f, options->before_a, &a);
    run(f, options, DIFF_SCAN, &scanned);
    run(f, options, DIFF_WALK, &walked);
    check_same(&scanned, &walked);
    check_order(&scanned);
    check_sense(&a, b, &scanned, options);
    check_filter(f, options, &scanned, &a, b);
    run(f, &reverse, DIFF_AUTO, &backward);
    check_mirror(&scanned, &backward);
    if (options->no_renames) {
        char *text = changes_text(&scanned);
        char *expected = expected_by_path(f, &a, b, compare_roots(f, options->before_a, options->before_b));
        assert_string_equal(text, expected);
        free(text);
        free(expected);
    }
    check_apply(&a, b, &scanned, by_path); /* spends a */
    tree_release(&a);
    change_list_release(&scanned);
    change_list_release(&walked);
    change_list_release(&backward);
}

static void check_pair(struct fixture *f, uint64_t before_a, uint64_t before_b) {
    struct tree b;
    tree_read(f, before_b, &b);
    struct diff_options options = {.before_a = before_a, .before_b = before_b};
    check_mode(f, &options, &b);
    options.no_renames = true;
    check_mode(f, &options, &b);
    options = (struct diff_options){.before_a = before_a, .before_b = before_b, .each_file = true};
    check_mode(f, &options, &b);
    tree_release(&b);
}

static void test_diff__random_histories_agree_with_the_trees(void **state) {
    struct fixture *f = *state;
    const char *seed = getenv("TIDFS_TEST_SEED"), *rounds = getenv("TIDFS_TEST_ROUNDS");
    f->random = seed ? strtoull(seed, NULL, 10) : 4;
    uint64_t transactions = rounds ? strtoull(rounds, NULL, 10) : 60;
    for (uint64_t i = 0; i < transactions; i++) {
        for (uint64_t changes = 1 + random_below(f, 12); changes > 0; changes--)
            random_change(f);
        (void)seal(f);
        uint64_t last = store_last(f->store) + 1, near = last > 4 ? last - 1 - random_below(f, 4) : 1;
        check_pair(f, near, last);
        check_pair(f, 1 + random_below(f, last), 1 + random_below(f, last));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_diff__from_nothing_everything_is_added, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__sides_carry_the_inodes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__kinds_of_modification_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__the_root_has_an_empty_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_directory_s_times_count_if_its_entries_stayed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_rename_is_a_rename, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_rename_over_something_replaces_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__an_editor_s_save_is_a_modification, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_swap_is_two_renames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_chain_of_renames_is_modifications_for_a_patch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_renamed_directory_brings_its_children_along, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_directory_made_anew_is_compared_with_the_one_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_renamed_directory_and_a_new_one_in_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__directories_that_change_places_keep_a_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__hard_links_are_paired_in_the_order_of_their_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_hard_link_made_a_file_of_its_own_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__paths_limit_what_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__names_are_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__symlinks_and_devices_have_content, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__large_and_sparse_content_is_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__progress_is_told_and_arguments_are_checked, setup, teardown),
        cmocka_unit_test(test_diff__what_was_packed_away_is_refused),
        cmocka_unit_test(test_diff__a_circle_of_directories_is_damage),
        cmocka_unit_test_setup_teardown(test_diff__a_body_that_cannot_be_read_is_told_as_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__a_failed_read_fails_the_diff, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff__random_histories_agree_with_the_trees, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
