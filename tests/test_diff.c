/* Diffs: each rule by example, damage and failures. */
#include "tests/diff_fixture.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include "store/store_private.h"
#include "tests/sample.h"

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

/* Nothing can be told of so many objects, and no path leads to them. */
static void expect_gaps(struct store *store, const struct diff_options *options, size_t count) {
    struct change_list changes;
    assert_int_equal(diff_run(store, options, &changes), STORE_OK);
    assert_int_equal(changes.count, 0);
    assert_int_equal(changes.gap_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(changes.gaps[i].why, STORE_CORRUPT);
        assert_true(changes.gaps[i].old || changes.gaps[i].new);
    }
    change_list_release(&changes);
}

static void test_diff__a_circle_of_directories_is_damage(void **state) {
    (void)state;
    struct sample *sample = sample_new(NULL);
    uint64_t a = sample_make(sample, ROOT_OID, "a", S_IFDIR | 0755, NULL);
    uint64_t b = sample_make(sample, a, "b", S_IFDIR | 0755, NULL);
    uint64_t before_a = 1 + (sample_commit(sample, ""), sample_last(sample));
    sample_move(sample, ROOT_OID, "a", b, "c");
    (void)sample_make(sample, b, "f", S_IFREG | 0644, "1");
    uint64_t before_b = 1 + (sample_commit(sample, ""), sample_last(sample));
    for (int mode = 0; mode < 3; mode++) {
        struct diff_options options = {
            .before_a = before_a, .before_b = before_b, .no_renames = mode == 1, .each_file = mode == 2};
        expect_gaps(sample->store, &options, 3);
        options.before_a = before_b;
        options.before_b = before_a;
        expect_gaps(sample->store, &options, 3);
        options.before_b = 1;
        expect_gaps(sample->store, &options, 3);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
