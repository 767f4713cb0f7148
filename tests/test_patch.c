/* history/patch.h: what is said of a change, and how. That git and patch(1) take it is seen to by mount_diff.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "history/patch.h"
#include "tests/sample.h"

#define EMPTY_ID "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
#define NO_ID    "0000000000000000000000000000000000000000"
#define A_ID     "78981922613b2afb6025042ff6bd878ac1994e85" /* "a\n" */
#define B_ID     "61780798228d17af2d34fce4cfbdf35556832472" /* "b\n" */
#define X_ID     "c1b0730e0133447badcfd47fd144e254807b06e1" /* "x" */

static int setup(void **state) {
    *state = sample_new(NULL);
    return 0;
}

static int teardown(void **state) {
    sample_free(*state);
    return 0;
}

/* The object as it is now. */
static struct change_side side_of(struct sample *sample, uint64_t oid) {
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, oid, sample_last(sample) + 1, &inode), STORE_OK);
    struct change_side side = {
        .oid = oid,
        .revision = inode->revision,
        .mode = inode->record.mode,
        .nlink = inode->record.nlink,
        .size = inode->record.size,
        .mtime = inode->record.mtime,
    };
    store_release(sample->store, inode);
    return side;
}

static struct change_side make(struct sample *sample, const char *name, uint32_t mode, const char *content) {
    uint64_t oid = sample_make(sample, ROOT_OID, name, mode, content);
    sample_commit(sample, name);
    return side_of(sample, oid);
}

static char *patch_of(struct sample *sample, const struct change *change) {
    char *text = NULL;
    size_t length;
    struct error err = {0};
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_int_equal(patch_write(sample->store, change, 3, out, &err), STORE_OK);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void expect_patch(struct sample *sample, const struct change *change, char letter, const char *expected) {
    char *text = patch_of(sample, change);
    assert_string_equal(text, expected);
    assert_int_equal(patch_letter(change), letter);
    free(text);
}

/* ---------------------------------------------------------------- kinds of change */

static void test_patch__added_and_deleted(void **state) {
    static char path[] = "dir/name";
    struct sample *sample = *state;
    struct change_side side = make(sample, "a", S_IFREG | 0644, "a\n"), empty = make(sample, "b", S_IFREG | 0755, "");
    expect_patch(sample, &(struct change){.kind = CHANGE_ADDED, .new_path = path, .new = side}, 'A',
                 "diff --git a/dir/name b/dir/name\nnew file mode 100644\nindex " NO_ID ".." A_ID
                 "\n--- /dev/null\n+++ b/dir/name\n@@ -0,0 +1 @@\n+a\n");
    expect_patch(sample, &(struct change){.kind = CHANGE_DELETED, .old_path = path, .old = side}, 'D',
                 "diff --git a/dir/name b/dir/name\ndeleted file mode 100644\nindex " A_ID ".." NO_ID
                 "\n--- a/dir/name\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
    expect_patch(sample, &(struct change){.kind = CHANGE_ADDED, .new_path = path, .new = empty}, 'A',
                 "diff --git a/dir/name b/dir/name\nnew file mode 100755\nindex " NO_ID ".." EMPTY_ID "\n");
}

static void test_patch__modified(void **state) {
    static char path[] = "f";
    struct sample *sample = *state;
    struct change_side old = make(sample, "a", S_IFREG | 0644, "a\n"), new = make(sample, "b", S_IFREG | 0644, "b\n");
    struct change change = {.kind = CHANGE_MODIFIED,
                            .what = CHANGED_CONTENT | CHANGED_TIMES,
                            .old_path = path,
                            .new_path = path,
                            .old = old,
                            .new = new};
    expect_patch(sample, &change, 'M',
                 "diff --git a/f b/f\nindex " A_ID ".." B_ID " 100644\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n");
    change.new.mode = S_IFREG | 0755;
    change.what |= CHANGED_MODE;
    expect_patch(sample, &change, 'M',
                 "diff --git a/f b/f\nold mode 100644\nnew mode 100755\nindex " A_ID ".." B_ID
                 "\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n");
    /* Nothing is read of what has the same content. */
    change.what = CHANGED_MODE;
    change.old.revision = change.new.revision = UINT64_C(1) << 40;
    expect_patch(sample, &change, 'M', "diff --git a/f b/f\nold mode 100644\nnew mode 100755\n");
}

static void test_patch__renamed(void **state) {
    static char from[] = "from", to[] = "to here";
    struct sample *sample = *state;
    struct change_side old = make(sample, "a", S_IFREG | 0644, "a\nb\n"),
                       new = make(sample, "b", S_IFREG | 0644, "a\n");
    struct change change = {.kind = CHANGE_RENAMED, .old_path = from, .new_path = to, .old = old, .new = new};
    expect_patch(sample, &change, 'R',
                 "diff --git a/from \"b/to here\"\nsimilarity index 100%\nrename from from\nrename to to here\n");
    change.what = CHANGED_CONTENT;
    expect_patch(sample, &change, 'R',
                 "diff --git a/from \"b/to here\"\nsimilarity index 50%\nrename from from\nrename to to here\n"
                 "index 422c2b7ab3b3c668038da977e4e93a5fc623169c.." A_ID
                 " 100644\n--- a/from\n+++ b/to here\t\n@@ -1,2 +1 @@\n a\n-b\n");
}

static void test_patch__another_type_is_deleted_and_made_anew(void **state) {
    static char path[] = "f";
    struct sample *sample = *state;
    struct change_side file = make(sample, "a", S_IFREG | 0644, "a\n"), link = make(sample, "l", S_IFLNK | 0777, "x"),
                       fifo = make(sample, "p", S_IFIFO | 0600, NULL);
    struct change change = {.kind = CHANGE_TYPE, .old_path = path, .new_path = path, .old = file, .new = link};
    expect_patch(sample, &change, 'T',
                 "diff --git a/f b/f\ndeleted file mode 100644\nindex " A_ID ".." NO_ID
                 "\n--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
                 "diff --git a/f b/f\nnew file mode 120000\nindex " NO_ID ".." X_ID
                 "\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n");
    change.old = fifo;
    expect_patch(sample, &change, 'A',
                 "tidfs: deleted fifo f (mode 0600, owner 0:0)\n"
                 "diff --git a/f b/f\nnew file mode 120000\nindex " NO_ID ".." X_ID
                 "\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n");
    change.old = file;
    change.new = fifo;
    expect_patch(sample, &change, 'D',
                 "tidfs: new fifo f (mode 0600, owner 0:0)\n"
                 "diff --git a/f b/f\ndeleted file mode 100644\nindex " A_ID ".." NO_ID
                 "\n--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
}

static void test_patch__what_git_does_not_know_is_a_remark(void **state) {
    static char path[] = "f", other[] = "g\n";
    struct sample *sample = *state;
    struct change_side file = make(sample, "a", S_IFREG | 0644, "a\n"),
                       directory = make(sample, "d", S_IFDIR | 0755, NULL);
    struct change change = {.kind = CHANGE_MODIFIED, .old_path = path, .new_path = path, .old = file, .new = file};
    change.what = CHANGED_TIMES;
    expect_patch(sample, &change, 0, "tidfs: file f: times\n");
    change.what = CHANGED_MODE | CHANGED_OWNER | CHANGED_XATTR;
    change.new.mode = S_IFREG | 0600;
    change.new.uid = 1;
    change.new.gid = 2;
    expect_patch(sample, &change, 0, "tidfs: file f: mode 0644 -> 0600, owner 0:0 -> 1:2, xattr\n");
    change = (struct change){.kind = CHANGE_RENAMED, .old_path = path, .new_path = other, .old = directory};
    change.new = directory;
    expect_patch(sample, &change, 0, "tidfs: renamed directory f -> \"g\\n\"\n");
    change = (struct change){.kind = CHANGE_ADDED, .new_path = path, .new = file, .linked = true};
    change.new.nlink = 2;
    change.new.mode = S_IFREG | 04755;
    expect_patch(sample, &change, 'A',
                 "tidfs: new file f (mode 4755), a hard link to one that was there\n"
                 "diff --git a/f b/f\nnew file mode 100755\nindex " NO_ID ".." A_ID
                 "\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n");
}

static void test_patch__every_type_has_a_name(void **state) {
    static char path[] = "f";
    struct sample *sample = *state;
    static const struct {
        uint32_t type;
        const char *name;
    } types[] = {{S_IFSOCK, "socket"},
                 {S_IFCHR, "character device"},
                 {S_IFBLK, "block device"},
                 {S_IFIFO, "fifo"},
                 {S_IFDIR, "directory"}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        char expected[128];
        const struct change_side side = {.oid = 9, .mode = types[i].type | 0750, .uid = 1, .gid = 2};
        (void)snprintf(expected, sizeof expected, "tidfs: new %s f (mode 0750, owner 1:2)\n", types[i].name);
        expect_patch(sample, &(struct change){.kind = CHANGE_ADDED, .new_path = path, .new = side}, 0, expected);
        (void)snprintf(expected, sizeof expected, "tidfs: deleted %s f (mode 0750, owner 1:2)\n", types[i].name);
        expect_patch(sample, &(struct change){.kind = CHANGE_DELETED, .old_path = path, .old = side}, 0, expected);
    }
    assert_string_equal(patch_type_name(S_IFLNK), "symlink");
    assert_string_equal(patch_type_name(S_IFREG), "file");
}

/* A device with another number, a type that changes for another one, permissions that only one side has. */
static void test_patch__of_what_changes_without_text(void **state) {
    static char path[] = "f", other[] = "g";
    struct sample *sample = *state;
    struct change_side file = make(sample, "a", S_IFREG | 0644, "a\n"), same = make(sample, "b", S_IFREG | 0644, "a\n");
    struct change change = {.kind = CHANGE_MODIFIED,
                            .what = CHANGED_CONTENT | CHANGED_MODE,
                            .old_path = path,
                            .new_path = path,
                            .old = {.oid = 9, .mode = S_IFCHR | 0600},
                            .new = {.oid = 9, .mode = S_IFCHR | 0640}};
    expect_patch(sample, &change, 0, "tidfs: character device f: content, mode 0600 -> 0640\n");
    change.new.mode = S_IFBLK | 0600;
    change.kind = CHANGE_TYPE;
    change.what = 0;
    expect_patch(sample, &change, 0,
                 "tidfs: deleted character device f (mode 0600, owner 0:0)\n"
                 "tidfs: new block device f (mode 0600, owner 0:0)\n");
    change = (struct change){
        .kind = CHANGE_MODIFIED, .what = CHANGED_MODE, .old_path = path, .new_path = path, .old = file, .new = file};
    change.old.mode = S_IFREG | 0600;
    expect_patch(sample, &change, 0, "tidfs: file f: mode 0600 -> 0644\n");
    /* Nothing that is the same byte for byte has a diff, though it was compared. */
    change = (struct change){
        .kind = CHANGE_RENAMED, .what = CHANGED_CONTENT, .old_path = path, .new_path = other, .old = file, .new = same};
    expect_patch(sample, &change, 'R', "diff --git a/f b/g\nsimilarity index 100%\nrename from f\nrename to g\n");
    change.kind = CHANGE_MODIFIED;
    change.old.mode = change.new.mode = S_IFDIR | 0755;
    change.new_path = path;
    change.what = 0;
    expect_patch(sample, &change, 0, "");
}

static void test_patch__links(void **state) {
    static char path[] = "f";
    struct sample *sample = *state;
    struct change_side file = make(sample, "a", S_IFREG | 0644, "a\n");
    file.nlink = 2;
    struct change change = {.kind = CHANGE_ADDED, .linked = true, .new_path = path, .new = file};
    expect_patch(sample, &change, 'A',
                 "tidfs: new file f, a hard link to one that was there\n"
                 "diff --git a/f b/f\nnew file mode 100644\nindex " NO_ID ".." A_ID
                 "\n--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a\n");
    assert_true(patch_is_link(&change));
    change.new.nlink = 1;
    assert_false(patch_is_link(&change));
    change.new = (struct change_side){.oid = 9, .mode = S_IFDIR | 0755, .nlink = 3};
    assert_false(patch_is_link(&change));
    change = (struct change){.kind = CHANGE_DELETED, .linked = true, .old_path = path, .old = file};
    assert_true(patch_is_link(&change));
    change.old.nlink = 1;
    assert_false(patch_is_link(&change));
    change.old = (struct change_side){.oid = 9, .mode = S_IFDIR | 0755, .nlink = 3};
    assert_false(patch_is_link(&change));
    change = (struct change){.kind = CHANGE_MODIFIED, .linked = true, .old = file, .new = file};
    assert_false(patch_is_link(&change));
    change = (struct change){.kind = CHANGE_ADDED, .new = file};
    assert_false(patch_is_link(&change));
}

/* ---------------------------------------------------------------- names, measures, limits */

static void test_patch__names_are_quoted_as_git_does(void **state) {
    (void)state;
    static const struct {
        const char *name, *quoted;
    } cases[] = {
        {"plain", "a/plain"},
        {"with space", "a/with space"},
        {"tab\t", "\"a/tab\\t\""},
        {"\a\b\v\f\r\n", "\"a/\\a\\b\\v\\f\\r\\n\""},
        {"\"q\\", "\"a/\\\"q\\\\\""},
        {"b\\", "\"a/b\\\\\""},
        {"\x01\x7f", "\"a/\\001\\177\""},
        {"\xc3\xa9", "\"a/\\303\\251\""},
        {"'$`", "a/'$`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64] = "";
        FILE *out = fmemopen(text, sizeof text, "w");
        assert_non_null(out);
        patch_write_name("a/", cases[i].name, out);
        assert_int_equal(fclose(out), 0);
        assert_string_equal(text, cases[i].quoted);
    }
}

static void test_patch__measures(void **state) {
    static char path[] = "f";
    struct sample *sample = *state;
    struct change_side old = make(sample, "a", S_IFREG | 0644, "a\nb\nc\n"),
                       new = make(sample, "b", S_IFREG | 0644, "a\nx\ny\nc\n");
    struct change change = {
        .kind = CHANGE_MODIFIED, .what = CHANGED_CONTENT, .old_path = path, .new_path = path, .old = old, .new = new};
    struct patch_measure measure;
    struct error err = {0};
    assert_int_equal(patch_measure(sample->store, &change, &measure, &err), STORE_OK);
    assert_int_equal(measure.added, 2);
    assert_int_equal(measure.removed, 1);
    assert_int_equal(measure.similarity, 50);
    assert_false(measure.binary);
    change.what = CHANGED_MODE;
    assert_int_equal(patch_measure(sample->store, &change, &measure, &err), STORE_OK);
    assert_int_equal(measure.added + measure.removed, 0);
    assert_int_equal(measure.similarity, 100);
}

/* What came, went or became something else is measured against nothing; what git does not know has no lines. */
static void test_patch__measures_one_side(void **state) {
    static char path[] = "f";
    struct sample *sample = *state;
    struct change_side file = make(sample, "a", S_IFREG | 0644, "a\nb\n"),
                       link = make(sample, "l", S_IFLNK | 0777, "x");
    const struct change_side fifo = {.oid = 9, .mode = S_IFIFO | 0600, .size = PATCH_SIZE_MAX + 1};
    struct change_side huge = file;
    huge.size = PATCH_SIZE_MAX + 1;
    const struct {
        struct change_side old, new;
        uint64_t added, removed;
        bool binary;
    } cases[] = {
        {{0}, file, 2, 0, false},  {file, {0}, 0, 2, false}, {file, link, 1, 2, false}, {fifo, file, 2, 0, false},
        {file, fifo, 0, 2, false}, {huge, file, 0, 0, true}, {file, huge, 0, 0, true},  {fifo, fifo, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct change change = {.kind = CHANGE_TYPE,
                                      .what = CHANGED_CONTENT,
                                      .old_path = path,
                                      .new_path = path,
                                      .old = cases[i].old,
                                      .new = cases[i].new};
        struct patch_measure measure;
        struct error err = {0};
        assert_int_equal(patch_measure(sample->store, &change, &measure, &err), STORE_OK);
        assert_int_equal(measure.added, cases[i].added);
        assert_int_equal(measure.removed, cases[i].removed);
        assert_int_equal(measure.binary, cases[i].binary);
    }
    /* A side that is lost is no empty one. */
    struct change change = {.kind = CHANGE_MODIFIED, .what = CHANGED_CONTENT, .old_path = path, .new_path = path};
    struct patch_measure measure;
    for (unsigned side = 0; side < 4; side++) {
        struct error err = {0};
        change.old = change.new = side < 2 ? file : link;
        *(side % 2 ? &change.old.revision : &change.new.revision) = UINT64_C(1) << 40;
        assert_true(patch_measure(sample->store, &change, &measure, &err) < 0);
        assert_non_null(strstr(err.text, "f: cannot be read"));
    }
    /* A file that is longer than what there is of it is damaged. */
    struct error err = {0};
    change.old = change.new = file;
    change.new.size += 1;
    assert_int_equal(patch_measure(sample->store, &change, &measure, &err), STORE_CORRUPT);
}

static void test_patch__too_large(void **state) {
    static char path[] = "huge";
    struct sample *sample = *state;
    struct change_side huge = make(sample, "a", S_IFREG | 0644, "a\n");
    huge.size = PATCH_SIZE_MAX + 1;
    const struct change change = {.kind = CHANGE_ADDED, .new_path = path, .new = huge};
    struct patch_measure measure;
    struct error err = {0};
    char text[16] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    assert_int_equal(patch_write(sample->store, &change, 3, out, &err), STORE_TOO_BIG);
    assert_int_equal(ftell(out), 0);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(err.text, "huge: 512 MiB are too much"));
    assert_int_equal(patch_measure(sample->store, &change, &measure, &err), STORE_OK);
    assert_true(measure.binary);
}

static void test_patch__what_cannot_be_read_is_named(void **state) {
    static char path[] = "lost";
    struct sample *sample = *state;
    struct change_side side = make(sample, "a", S_IFREG | 0644, "a\n");
    side.revision = UINT64_C(1) << 40;
    const struct change change = {.kind = CHANGE_DELETED, .old_path = path, .old = side};
    struct error err = {0};
    char text[16] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    assert_true(patch_write(sample->store, &change, 3, out, &err) < 0);
    assert_int_equal(ftell(out), 0);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(err.text, "lost: cannot be read"));
}

static void test_patch__says_that_something_of_a_change_cannot_be_read(void **state) {
    const struct change change = {.kind = CHANGE_MODIFIED};
    char *text = NULL;
    size_t length;
    (void)state;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    patch_write_what(&change, CHANGED_CONTENT | CHANGED_XATTR | CHANGED_UNREAD, out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "content, xattr, of which some cannot be read");
    free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_patch__added_and_deleted),
        TEST(test_patch__modified),
        TEST(test_patch__renamed),
        TEST(test_patch__another_type_is_deleted_and_made_anew),
        TEST(test_patch__what_git_does_not_know_is_a_remark),
        cmocka_unit_test(test_patch__names_are_quoted_as_git_does),
        TEST(test_patch__measures),
        TEST(test_patch__every_type_has_a_name),
        TEST(test_patch__of_what_changes_without_text),
        TEST(test_patch__links),
        TEST(test_patch__measures_one_side),
        TEST(test_patch__too_large),
        TEST(test_patch__what_cannot_be_read_is_named),
        cmocka_unit_test(test_patch__says_that_something_of_a_change_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
