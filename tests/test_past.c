/* What paths led to, told by hand-made histories, and by a random one of which every instant is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "history/diff.h"
#include "history/past.h"
#include "store/store_private.h"
#include "tests/sample.h"

static int setup(void **state) {
    *state = sample_new(NULL);
    return 0;
}

static int teardown(void **state) {
    sample_free(*state);
    return 0;
}

/* ---- saying what must hold ---- */

/* The versions of a path as "KIND@SEQ", with "(OLD>NEW)" for a rename and "!PATH" where it was elsewhere; newest first. */
static void describe(struct sample *sample, const char *path, uint64_t first, uint64_t last, bool follow, char *text) {
    struct past_walk *walk;
    struct past_version version;
    text[0] = '\0';
    int rc = past_walk_open(sample->store, path, first, last, follow, &walk);
    if (rc == STORE_ABSENT) {
        assert_null(walk);
        strcpy(text, "absent");
        return;
    }
    assert_int_equal(rc, STORE_OK);
    while ((rc = past_walk_next(walk, &version)) == STORE_OK) {
        struct transaction transaction;
        assert_int_equal(storage_transaction_at(store_storage(sample->store), version.seq, &transaction), STORE_OK);
        assert_int_equal(version.tid, transaction.tid);
        transaction_release(&transaction);
        sprintf(text + strlen(text), "%s%c@%" PRIu64, text[0] != '\0' ? " " : "", version.kind, version.seq);
        if (version.kind == 'R') {
            sprintf(text + strlen(text), "(%s>%s)", version.old_path, version.path);
        } else {
            assert_null(version.old_path);
            if (strcmp(version.path, path) != 0) {
                sprintf(text + strlen(text), "!%s", version.path);
            }
        }
        past_version_release(&version);
    }
    assert_int_equal(rc, STORE_ABSENT);
    assert_int_equal(past_walk_next(walk, &version), STORE_ABSENT);
    past_walk_close(walk);
}

static void expect(struct sample *sample, const char *path, const char *expected) {
    char text[1024];
    describe(sample, path, 1, UINT64_MAX - 1, false, text);
    assert_string_equal(text, expected);
}

static void expect_followed(struct sample *sample, const char *path, const char *expected) {
    char text[1024];
    describe(sample, path, 1, UINT64_MAX - 1, true, text);
    assert_string_equal(text, expected);
}

/* The transactions that changed what it led to. */
static void expect_seqs(struct sample *sample, const char *path, bool follow, const char *expected) {
    struct past_walk *walk;
    char text[512] = "";
    uint64_t seq;
    int rc;
    assert_int_equal(past_walk_open(sample->store, path, 1, UINT64_MAX - 1, follow, &walk), STORE_OK);
    while ((rc = past_walk_next_seq(walk, &seq)) == STORE_OK) {
        sprintf(text + strlen(text), "%s%" PRIu64, text[0] != '\0' ? " " : "", seq);
    }
    assert_int_equal(rc, STORE_ABSENT);
    past_walk_close(walk);
    assert_string_equal(text, expected);
}

/* ---- hand-made histories; the store's own transaction is 1 ---- */

static void test_past__a_file_from_its_birth_to_its_end(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "f", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_write(sample, file, "two");
    sample_commit(sample, "3");
    sample_make(sample, ROOT_OID, "other", S_IFREG | 0644, "");
    sample_commit(sample, "4");
    sample_chmod(sample, file, 0600);
    sample_commit(sample, "5");
    sample_remove(sample, ROOT_OID, "f");
    sample_commit(sample, "6");
    expect(sample, "f", "D@6 M@5 M@3 A@2");
    expect(sample, "/f/", "D@6!f M@5!f M@3!f A@2!f");
    expect(sample, "g", "absent");
    expect(sample, "f/x", "absent");
    expect_seqs(sample, "f", false, "6 5 3 2");
    expect(sample, "", "M@6 M@5 M@4 M@3 M@2 A@1");
}

static void test_past__a_version_says_what_it_is(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "f", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_chmod(sample, file, 0600);
    sample_commit(sample, "3");
    sample_write(sample, file, "longer");
    sample_commit(sample, "4");
    struct past_walk *walk;
    struct past_version version;
    struct inode_version *inode;
    assert_int_equal(past_walk_open(sample->store, "f", 1, 4, false, &walk), STORE_OK);
    assert_int_equal(past_walk_next(walk, &version), STORE_OK);
    assert_int_equal(version.oid, file);
    assert_int_equal(version.size, 6);
    assert_int_equal(version.mode, S_IFREG | 0600);
    assert_true(version.what & CHANGED_CONTENT);
    assert_false(version.what & CHANGED_MODE);
    assert_int_equal(store_inode(sample->store, file, 5, &inode), STORE_OK);
    assert_int_equal(version.revision, inode->revision);
    store_release(sample->store, inode);
    past_version_release(&version);
    assert_int_equal(past_walk_next(walk, &version), STORE_OK);
    assert_int_equal(version.what, CHANGED_MODE);
    assert_int_equal(version.size, 3);
    past_version_release(&version);
    past_version_release(&version); /* again */
    past_walk_close(walk);
    past_walk_close(NULL);
}

static void test_past__a_replaced_file_is_modified(void **state) {
    struct sample *sample = *state;
    sample_make(sample, ROOT_OID, "f", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_make(sample, ROOT_OID, "f.tmp", S_IFREG | 0644, "two");
    sample_commit(sample, "3");
    sample_remove(sample, ROOT_OID, "f");
    sample_move(sample, ROOT_OID, "f.tmp", ROOT_OID, "f");
    sample_commit(sample, "4");
    expect(sample, "f", "M@4 A@2");
    expect_followed(sample, "f", "M@4 A@2"); /* an editor's file of its own is not where f comes from */
    expect(sample, "f.tmp", "D@4 A@3");
    expect_seqs(sample, "f", true, "4 2");
    struct past_names names;
    assert_int_equal(past_names_load(sample->store, "f", 4, &names), STORE_OK);
    assert_int_equal(names.count, 2);
    assert_int_equal(names.items[0].born, 4);
    assert_int_equal(names.items[0].died, UINT64_MAX);
    assert_int_equal(names.items[1].born, 2);
    assert_int_equal(names.items[1].died, 4);
    past_names_release(&names);
    assert_int_equal(past_names_load(sample->store, "f", 3, &names), STORE_OK);
    assert_int_equal(names.count, 1);
    assert_int_equal(names.items[0].died, UINT64_MAX);
    past_names_release(&names);
    past_names_release(&names); /* again */
}

static void test_past__another_type_of_file(void **state) {
    struct sample *sample = *state;
    sample_make(sample, ROOT_OID, "f", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_remove(sample, ROOT_OID, "f");
    sample_make(sample, ROOT_OID, "f", S_IFLNK | 0777, "elsewhere");
    sample_commit(sample, "3");
    sample_remove(sample, ROOT_OID, "f");
    uint64_t directory = sample_make(sample, ROOT_OID, "f", S_IFDIR | 0755, NULL);
    sample_make(sample, directory, "below", S_IFREG | 0644, "");
    sample_commit(sample, "4");
    expect(sample, "f", "T@4 T@3 A@2");
    expect(sample, "f/below", "A@4");
}

static void test_past__gaps(void **state) {
    struct sample *sample = *state;
    for (int i = 0; i < 3; i++) {
        sample_make(sample, ROOT_OID, "f", S_IFREG | 0644, "one");
        sample_commit(sample, "made");
        sample_commit(sample, "nothing");
        sample_remove(sample, ROOT_OID, "f");
        sample_commit(sample, "removed");
    }
    expect(sample, "f", "D@10 A@8 D@7 A@5 D@4 A@2");
    expect_followed(sample, "f", "D@10 A@8 D@7 A@5 D@4 A@2");
}

/* More objects than a list of them begins with. */
static void test_past__of_a_path_that_led_to_many_objects(void **state) {
    struct sample *sample = *state;
    struct past_names names;
    for (int i = 0; i < 20; i++) {
        sample_make(sample, ROOT_OID, "f", S_IFREG | 0644, "one");
        sample_commit(sample, "made");
        sample_remove(sample, ROOT_OID, "f");
        sample_commit(sample, "removed");
    }
    assert_int_equal(past_names_load(sample->store, "f", sample_last(sample), &names), STORE_OK);
    assert_int_equal(names.count, 20);
    for (size_t i = 0; i < names.count; i++) {
        assert_int_equal(names.items[i].born, 40 - 2 * i);
        assert_int_equal(names.items[i].died, 41 - 2 * i);
    }
    past_names_release(&names);
}

/* What a directory's newest version differs by. */
static unsigned newest_what(struct sample *sample, const char *path) {
    struct past_walk *walk;
    struct past_version version;
    assert_int_equal(past_walk_open(sample->store, path, 1, UINT64_MAX - 1, false, &walk), STORE_OK);
    assert_int_equal(past_walk_next(walk, &version), STORE_OK);
    unsigned what = version.what;
    past_version_release(&version);
    past_walk_close(walk);
    return what;
}

/* Its content are its names, of which its times tell, and what is below it. */
static void test_past__a_directory_s_mode_is_not_its_content(void **state) {
    struct sample *sample = *state;
    uint64_t directory = sample_make(sample, ROOT_OID, "d", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(sample, directory, "f", S_IFREG | 0644, "one");
    sample_commit(sample, "made");
    sample_chmod(sample, directory, 0700);
    sample_commit(sample, "mode");
    assert_int_equal(newest_what(sample, "d"), CHANGED_MODE);
    sample_write(sample, file, "two");
    sample_commit(sample, "below");
    assert_true(newest_what(sample, "d") & CHANGED_CONTENT);
    sample_chmod(sample, directory, 0755);
    sample->objects[directory].record.mtime.tv_sec++; /* as new names move it */
    sample_commit(sample, "both");
    assert_int_equal(newest_what(sample, "d"), CHANGED_MODE | CHANGED_CONTENT | CHANGED_TIMES);
}

static void test_past__a_rename_is_followed(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "a", S_IFREG | 0644, "one");
    uint64_t directory = sample_make(sample, ROOT_OID, "d", S_IFDIR | 0755, NULL);
    sample_commit(sample, "2");
    sample_move(sample, ROOT_OID, "a", directory, "b");
    sample_commit(sample, "3");
    sample_write(sample, file, "two");
    sample_commit(sample, "4");
    sample_make(sample, ROOT_OID, "a", S_IFREG | 0644, "another");
    sample_commit(sample, "5");
    sample_move(sample, directory, "b", directory, "c");
    sample_commit(sample, "6");
    expect(sample, "d/c", "A@6");
    expect_followed(sample, "d/c", "R@6(d/b>d/c) M@4!d/b R@3(a>d/b) A@2!a");
    expect(sample, "d/b", "D@6 M@4 A@3");
    expect_followed(sample, "d/b", "D@6 M@4 R@3(a>d/b) A@2!a");
    expect(sample, "a", "A@5 D@3 A@2");
    expect_followed(sample, "a", "A@5 D@3 A@2");
    expect_seqs(sample, "d/c", true, "6 4 3 2");
    expect_seqs(sample, "d/c", false, "6");
}

static void test_past__a_rename_of_a_directory_above_is_followed(void **state) {
    struct sample *sample = *state;
    uint64_t top = sample_make(sample, ROOT_OID, "top", S_IFDIR | 0755, NULL);
    uint64_t middle = sample_make(sample, top, "middle", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(sample, middle, "f", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_move(sample, ROOT_OID, "top", ROOT_OID, "new");
    sample_commit(sample, "3");
    sample_write(sample, file, "two");
    sample_commit(sample, "4");
    expect(sample, "new/middle/f", "M@4 A@3");
    expect_followed(sample, "new/middle/f", "M@4 R@3(top/middle/f>new/middle/f) A@2!top/middle/f");
    expect(sample, "top/middle/f", "D@3 A@2");
    expect_followed(sample, "new/middle", "M@4 R@3(top/middle>new/middle) A@2!top/middle");
    expect_seqs(sample, "new/middle/f", false, "4 3");
    expect_seqs(sample, "new/middle/f", true, "4 3 2");
}

static void test_past__a_directory_takes_the_place_of_another(void **state) {
    struct sample *sample = *state;
    uint64_t first = sample_make(sample, ROOT_OID, "d", S_IFDIR | 0755, NULL);
    sample_make(sample, first, "f", S_IFREG | 0644, "one");
    uint64_t second = sample_make(sample, ROOT_OID, "e", S_IFDIR | 0755, NULL);
    sample_make(sample, second, "f", S_IFREG | 0644, "two");
    sample_make(sample, second, "only", S_IFREG | 0644, "");
    sample_commit(sample, "2");
    sample_move(sample, ROOT_OID, "d", ROOT_OID, "e");
    sample_move(sample, ROOT_OID, "e", ROOT_OID, "d");
    sample_commit(sample, "3");
    sample_move(sample, ROOT_OID, "d", ROOT_OID, "away");
    sample_commit(sample, "4");
    expect(sample, "d/f", "D@4 M@3 A@2");
    expect(sample, "d/only", "D@4 A@3");
    expect_followed(sample, "d/only", "D@4 R@3(e/only>d/only) A@2!e/only");
    expect_followed(sample, "away/only", "R@4(d/only>away/only) R@3(e/only>d/only) A@2!e/only");
}

static void test_past__a_file_that_stays_while_its_directories_change_is_one_name(void **state) {
    struct sample *sample = *state;
    uint64_t first = sample_make(sample, ROOT_OID, "d", S_IFDIR | 0755, NULL);
    sample_make(sample, first, "f", S_IFREG | 0644, "one");
    uint64_t second = sample_make(sample, ROOT_OID, "e", S_IFDIR | 0755, NULL);
    sample_commit(sample, "2");
    sample_move(sample, first, "f", second, "f");
    sample_move(sample, ROOT_OID, "d", ROOT_OID, "e");
    sample_move(sample, ROOT_OID, "e", ROOT_OID, "d");
    sample_commit(sample, "3");
    struct past_names names;
    assert_int_equal(past_names_load(sample->store, "d/f", 3, &names), STORE_OK);
    assert_int_equal(names.count, 1);
    assert_int_equal(names.items[0].born, 2);
    past_names_release(&names);
    expect(sample, "d/f", "A@2"); /* it was moved, and is what it was */
    expect_seqs(sample, "d/f", false, "3 2");
}

static void test_past__a_hard_link_is_no_rename(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "a", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_link(sample, file, ROOT_OID, "b");
    sample_commit(sample, "3");
    sample_write(sample, file, "two");
    sample_commit(sample, "4");
    sample_move(sample, ROOT_OID, "a", ROOT_OID, "c");
    sample_commit(sample, "5");
    sample_remove(sample, ROOT_OID, "b");
    sample_commit(sample, "6");
    expect(sample, "a", "D@5 M@4 A@2"); /* another link makes no version */
    expect_seqs(sample, "a", false, "5 4 3 2");
    expect_followed(sample, "b", "D@6 M@4 A@3");
    expect_followed(sample, "c", "R@5(a>c) M@4!a A@2!a");
}

static void test_past__a_range_stops_at_both_ends(void **state) {
    struct sample *sample = *state;
    char text[256];
    uint64_t file = sample_make(sample, ROOT_OID, "f", S_IFREG | 0644, "2");
    sample_commit(sample, "2");
    for (int i = 3; i <= 6; i++) {
        sample_write(sample, file, i % 2 != 0 ? "odd" : "even");
        sample_commit(sample, "write");
    }
    sample_remove(sample, ROOT_OID, "f");
    sample_commit(sample, "7");
    describe(sample, "f", 4, 5, false, text);
    assert_string_equal(text, "M@5 M@4");
    describe(sample, "f", 7, 7, false, text);
    assert_string_equal(text, "D@7");
    describe(sample, "f", 1, 6, false, text);
    assert_string_equal(text, "M@6 M@5 M@4 M@3 A@2");
    describe(sample, "f", 8, 9, false, text);
    assert_string_equal(text, "");
    describe(sample, "f", 1, 1, false, text);
    assert_string_equal(text, "absent");
    describe(sample, "f", 1, 0, false, text);
    assert_string_equal(text, "absent");
}

static void test_past__what_is_packed_away_was_never_there(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "f", S_IFREG | 0644, "one");
    sample_make(sample, ROOT_OID, "g", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_write(sample, file, "two");
    sample_remove(sample, ROOT_OID, "g");
    sample_commit(sample, "3");
    sample_commit(sample, "4");
    sample_write(sample, file, "three");
    sample_commit(sample, "5");
    sample_move_horizon(sample, 4, 1);
    expect(sample, "f", "M@5 A@4");
    expect(sample, "g", "absent");
    expect_seqs(sample, "f", false, "5 3");
}

/* ---- errors ---- */

/* Walks to the end, trying again what fails. Returns how often something did. */
static unsigned walk_through_faults(struct sample *sample, const char *path, bool seqs, char *text) {
    struct past_walk *walk = NULL;
    unsigned failed = 0;
    text[0] = '\0';
    while (walk == NULL) {
        int rc = past_walk_open(sample->store, path, 1, UINT64_MAX - 1, true, &walk);
        assert_true(rc == STORE_OK || (rc == STORE_IO && walk == NULL));
        failed += rc != STORE_OK;
    }
    for (;;) {
        struct past_version version = {0};
        int rc = seqs ? past_walk_next_seq(walk, &version.seq) : past_walk_next(walk, &version);
        if (rc == STORE_ABSENT) {
            break;
        }
        if (rc == STORE_OK) {
            sprintf(text + strlen(text), "%" PRIu64 "%s ", version.seq, version.path != NULL ? version.path : "");
            past_version_release(&version);
        } else {
            assert_int_equal(rc, STORE_IO);
            failed++;
        }
    }
    past_walk_close(walk);
    return failed;
}

static void test_past__after_an_error_the_walk_goes_on(void **state) {
    struct sample *sample = *state;
    struct storage *fault;
    uint64_t directory = sample_make(sample, ROOT_OID, "d", S_IFDIR | 0755, NULL);
    sample_make(sample, directory, "a", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_move(sample, directory, "a", directory, "b");
    sample_commit(sample, "3");
    sample_remove(sample, directory, "b");
    sample_make(sample, directory, "b", S_IFREG | 0644, "another");
    sample_commit(sample, "4");
    sample_move(sample, ROOT_OID, "d", ROOT_OID, "e");
    sample_commit(sample, "5");
    sample_remove(sample, directory, "b");
    sample_commit(sample, "6");
    sample_reopen(sample, NULL); /* nothing in the cache */
    assert_int_equal(storage_fault_open(sample->store->storage, &fault), STORE_OK);
    sample->store->storage = fault;
    for (int seqs = 0; seqs < 2; seqs++) {
        const char *expected = seqs != 0 ? "6 5 4 3 2 " : "6e/b 5e/b 4d/b 3d/b 2d/a ";
        for (uint64_t nth = 1;; nth++) {
            char text[256];
            const struct storage_fault rule = {.nth = nth, .code = STORE_IO};
            storage_fault_set(fault, &rule);
            unsigned failed = walk_through_faults(sample, "e/b", seqs != 0, text);
            assert_string_equal(text, expected);
            if (failed == 0) {
                assert_true(nth > 10);
                break;
            }
            assert_int_equal(failed, 1);
        }
    }
    storage_fault_set(fault, NULL);
}

/* ---- a random history ---- */

#define TRANSACTIONS 110
#define PATHS        40

struct made {
    struct sample *sample;
    unsigned seed;
    char paths[PATHS][8];
    uint64_t directories[64];
    size_t directory_count;
    struct {
        uint64_t parent;
        char name;
    } used[16]; /* in this transaction */
    size_t used_count;
};

static unsigned pick(struct made *made, unsigned count) {
    return (unsigned)rand_r(&made->seed) / 7 % count;
}

/* A name that this transaction has not used yet; false if the pick is one. */
static bool pick_name(struct made *made, uint64_t *parent, char name[2], uint64_t *oid, uint32_t *type) {
    *parent = made->directories[pick(made, (unsigned)made->directory_count)];
    name[0] = (char)('a' + pick(made, 3));
    name[1] = '\0';
    for (size_t i = 0; i < made->used_count; i++) {
        if (made->used[i].parent == *parent && made->used[i].name == name[0]) {
            return false;
        }
    }
    made->used[made->used_count].parent = *parent;
    made->used[made->used_count++].name = name[0];
    *type = 0;
    int rc = store_lookup(made->sample->store, *parent, name, 1, sample_last(made->sample) + 1, oid, type);
    assert_true(rc == STORE_OK || rc == STORE_ABSENT);
    return true;
}

/* Changes files alone; objects are changed once, names too. */
static void change_file(struct made *made, bool alone) {
    struct sample *sample = made->sample;
    uint64_t parent, other, oid, target;
    uint32_t type, target_type;
    char name[2], new_name[2];
    if (!pick_name(made, &parent, name, &oid, &type) || type == S_IFDIR) {
        return;
    }
    if (type == 0) {
        sample_make(sample, parent, name, pick(made, 4) == 0 ? S_IFLNK | 0777 : S_IFREG | 0644, "made");
        return;
    }
    switch (alone ? pick(made, 7) : pick(made, 2)) {
    case 0:
        sample_remove(sample, parent, name);
        break;
    case 1:
    case 2:
        if (type == S_IFREG && alone) {
            sample_write(sample, oid, pick(made, 2) != 0 ? "one" : "another");
        }
        break;
    case 3:
        sample_chmod(sample, oid, pick(made, 2) != 0 ? 0600 : 0644);
        break;
    default:
        if (!pick_name(made, &other, new_name, &target, &target_type) || target_type == S_IFDIR ||
            (target_type != 0 && target == oid)) {
            return;
        }
        if (target_type != 0) {
            sample_remove(sample, other, new_name);
        }
        if (pick(made, 3) == 0) {
            sample_link(sample, oid, other, new_name);
        } else {
            sample_move(sample, parent, name, other, new_name);
        }
    }
}

/* Makes, removes, renames or exchanges directories, which stay where they are in the tree. */
static void change_directory(struct made *made) {
    struct sample *sample = made->sample;
    uint64_t parent, oid, target;
    uint32_t type, target_type = 0;
    char name[2], new_name[2] = {(char)('a' + pick(made, 3)), '\0'};
    if (!pick_name(made, &parent, name, &oid, &type)) {
        return;
    }
    if (type == 0 && made->directory_count < 64) {
        made->directories[made->directory_count++] = sample_make(sample, parent, name, S_IFDIR | 0755, NULL);
        return;
    }
    int rc = store_lookup(sample->store, parent, new_name, 1, sample_last(sample) + 1, &target, &target_type);
    if (type != S_IFDIR || new_name[0] == name[0]) {
        return;
    }
    if (pick(made, 4) == 0 && sample->objects[oid].record.size == 0) {
        sample_remove(sample, parent, name);
        for (size_t i = 0; i < made->directory_count; i++) {
            if (made->directories[i] == oid) {
                made->directories[i] = made->directories[--made->directory_count];
            }
        }
        return;
    }
    sample_move(sample, parent, name, parent, new_name);
    if (rc == STORE_OK) {
        sample_move(sample, parent, new_name, parent, name);
    }
}

static void make_history(struct made *made) {
    made->directories[made->directory_count++] = ROOT_OID;
    for (int i = 0; i < TRANSACTIONS; i++) {
        made->used_count = 0;
        unsigned kind = pick(made, 10);
        if (kind < 3) {
            change_directory(made);
        } else if (kind < 8) {
            change_file(made, true);
        } else {
            for (int j = 0; j < 3; j++) {
                change_file(made, false);
            }
        }
        sample_commit(made->sample, "random");
    }
    size_t count = 0;
    strcpy(made->paths[count++], "");
    for (size_t from = 0, depth = 0; depth < 3; depth++) {
        size_t until = count;
        for (; from < until; from++) {
            for (int name = 'a'; name <= 'c'; name++) {
                sprintf(made->paths[count++], "%s%s%c", made->paths[from], from > 0 ? "/" : "", name);
            }
        }
    }
    assert_int_equal(count, PATHS);
}

/* What a path shows at an instant. */
struct shown {
    uint64_t oid, revision, version; /* oid 0: nothing; version: of a directory, with all below */
    uint32_t mode;
};

static struct shown look(struct store *store, const char *path, uint64_t before) {
    struct shown shown = {.oid = ROOT_OID};
    uint32_t type = S_IFDIR;
    for (const char *name = path; *name != '\0' && shown.oid != 0; name += name[1] == '/' ? 2 : 1) {
        if (type != S_IFDIR || store_lookup(store, shown.oid, name, 1, before, &shown.oid, &type) != STORE_OK) {
            shown.oid = 0;
        }
    }
    struct inode_version *inode;
    struct subtree_version *subtree;
    if (shown.oid == 0 || store_inode(store, shown.oid, before, &inode) != STORE_OK) {
        return (struct shown){0};
    }
    shown.revision = shown.version = inode->revision;
    shown.mode = inode->record.mode;
    store_release(store, inode);
    if (S_ISDIR(shown.mode)) {
        assert_int_equal(store_subtree(store, shown.oid, before, &subtree), STORE_OK);
        shown.version = subtree->subtree.id;
        store_release(store, subtree);
    }
    return shown;
}

/* What became of it: a kind, or 0. */
static char compare(struct store *store, const struct shown *old, const struct shown *new, unsigned *what) {
    *what = 0;
    if (old->oid == 0 || new->oid == 0) {
        return (char)(old->oid == new->oid ? 0 : new->oid != 0 ? 'A' : 'D');
    }
    if (((old->mode ^ new->mode) & S_IFMT) != 0) {
        return 'T';
    }
    if (old->oid == new->oid && old->version == new->version) {
        return 0;
    }
    if (old->revision != new->revision) {
        assert_int_equal(diff_objects(store, old->revision, new->revision, what), STORE_OK);
    }
    return *what != 0 || S_ISDIR(new->mode) ? 'M' : 0;
}

static void check_path(struct made *made, const char *path) {
    struct store *store = made->sample->store;
    uint64_t last = sample_last(made->sample), next_seq = 0;
    struct past_walk *walk = NULL, *seqs = NULL;
    struct past_version version = {0};
    int rc = past_walk_open(store, path, 1, last, false, &walk);
    assert_true(rc == STORE_OK || rc == STORE_ABSENT);
    int seq_rc = past_walk_open(store, path, 1, last, false, &seqs);
    assert_int_equal(seq_rc, rc);
    if (rc == STORE_OK) {
        rc = past_walk_next(walk, &version);
        seq_rc = past_walk_next_seq(seqs, &next_seq);
    }
    for (uint64_t seq = last; seq > 1; seq--) { /* before the first transaction nothing can be read */
        struct shown old = look(store, path, seq), new = look(store, path, seq + 1);
        unsigned what;
        char kind = compare(store, &old, &new, &what);
        if (old.oid != new.oid || old.version != new.version) {
            assert_int_equal(seq_rc, STORE_OK);
            assert_int_equal(next_seq, seq);
            seq_rc = past_walk_next_seq(seqs, &next_seq);
        }
        if (kind == 0) {
            continue;
        }
        assert_int_equal(rc, STORE_OK);
        assert_int_equal(version.seq, seq);
        assert_int_equal(version.kind, kind);
        assert_int_equal(version.oid, kind == 'D' ? 0 : new.oid);
        if (kind != 'D') {
            assert_int_equal(version.revision, new.revision);
            assert_int_equal(version.mode, new.mode);
        }
        assert_int_equal(S_ISDIR(new.mode) ? version.what & what : version.what, what);
        past_version_release(&version);
        rc = past_walk_next(walk, &version);
    }
    if (path[0] == '\0') {
        assert_int_equal(version.kind, 'A');
        past_version_release(&version);
        rc = past_walk_next(walk, &version);
        seq_rc = past_walk_next_seq(seqs, &next_seq);
    }
    assert_int_equal(rc, STORE_ABSENT);
    assert_int_equal(seq_rc, STORE_ABSENT);
    past_walk_close(walk);
    past_walk_close(seqs);
}

/* Paths of the object at an instant; *gone is set for one that no longer leads there just after. */
static size_t count_paths(struct made *made, uint64_t oid, uint64_t before, bool *gone, const char *among,
                          bool *found) {
    size_t count = 0;
    *gone = *found = false;
    for (size_t i = 0; i < PATHS; i++) {
        if (look(made->sample->store, made->paths[i], before).oid == oid) {
            bool left = look(made->sample->store, made->paths[i], before + 1).oid != oid;
            *gone = *gone || left;
            *found = *found || (left && among != NULL && strcmp(among, made->paths[i]) == 0);
            count++;
        }
    }
    return count;
}

/* Followed, each version is what its path showed, and what appears came from nowhere. */
static void check_followed(struct made *made, const char *path) {
    struct store *store = made->sample->store;
    struct past_walk *walk;
    struct past_version version;
    uint64_t previous = UINT64_MAX;
    int rc = past_walk_open(store, path, 1, UINT64_MAX - 1, true, &walk);
    while (rc == STORE_OK && (rc = past_walk_next(walk, &version)) == STORE_OK) {
        bool gone, found;
        struct shown shown = look(store, version.path, version.seq + 1);
        assert_true(version.seq < previous);
        previous = version.seq;
        assert_int_equal(version.oid, shown.oid);
        if (version.kind == 'R') {
            assert_int_equal(look(store, version.path, version.seq).oid, 0);
            count_paths(made, version.oid, version.seq, &gone, version.old_path, &found);
            assert_true(found);
        } else if (version.kind == 'A' && version.seq > 1) {
            size_t before = count_paths(made, version.oid, version.seq, &gone, NULL, &found);
            assert_false(before == 1 && gone);
        }
        past_version_release(&version);
    }
    assert_int_equal(rc, STORE_ABSENT);
    past_walk_close(walk);
}

static void test_past__of_a_random_history_is_what_every_instant_shows(void **state) {
    for (unsigned seed = 1; seed <= 4; seed++) {
        struct made *made = calloc(1, sizeof *made);
        made->sample = seed == 1 ? *state : sample_new(NULL);
        made->seed = seed;
        make_history(made);
        for (size_t i = 0; i < PATHS; i++) {
            check_path(made, made->paths[i]);
            check_followed(made, made->paths[i]);
        }
        if (seed != 1) {
            sample_free(made->sample);
        }
        free(made);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_past__a_file_from_its_birth_to_its_end),
        TEST(test_past__a_version_says_what_it_is),
        TEST(test_past__a_replaced_file_is_modified),
        TEST(test_past__another_type_of_file),
        TEST(test_past__gaps),
        TEST(test_past__of_a_path_that_led_to_many_objects),
        TEST(test_past__a_directory_s_mode_is_not_its_content),
        TEST(test_past__a_rename_is_followed),
        TEST(test_past__a_rename_of_a_directory_above_is_followed),
        TEST(test_past__a_directory_takes_the_place_of_another),
        TEST(test_past__a_file_that_stays_while_its_directories_change_is_one_name),
        TEST(test_past__a_hard_link_is_no_rename),
        TEST(test_past__a_range_stops_at_both_ends),
        TEST(test_past__what_is_packed_away_was_never_there),
        TEST(test_past__after_an_error_the_walk_goes_on),
        TEST(test_past__of_a_random_history_is_what_every_instant_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
