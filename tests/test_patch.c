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
        TEST(test_patch__too_large),
        TEST(test_patch__what_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
