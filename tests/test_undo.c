/* Undo, on the head: random histories, and each rule by an example. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/restore.h"
#include "store/store_private.h"
#include "store/tid.h"
#include "tests/changing.h"
#include "tests/sample.h"

static enum restore_outcome undo_all(struct changing *c, const uint64_t *seqs, size_t count) {
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = count};
    struct restore_result result;
    struct error err = {0};
    uint64_t last = store_last(c->store);
    char *message;
    assert_int_equal(restore_message(c->store, &request, NULL, &message), STORE_OK);
    assert_non_null(message);
    if (restore_run(c->store, c->head, &request, 0, "somebody", message, &result, &err) != STORE_OK)
        fail_msg("%s", err.text);
    free(message);
    restore_touched_release(&result.touched);
    assert_int_equal(store_last(c->store), result.outcome == RESTORE_DONE ? last + 1 : last);
    return result.outcome;
}

static enum restore_outcome undo(struct changing *c, uint64_t seq) {
    return undo_all(c, &seq, 1);
}

/* The conflicts that undoing finds, as text: "path: why, TIDS" where TIDS are the seqs of the undone and the later transaction. */
static void assert_conflicts(struct changing *c, uint64_t seq, const char *expected) {
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1};
    struct restore_plan *plan;
    struct error err = {0};
    char text[1024] = "";
    size_t count;
    assert_int_equal(undo(c, seq), RESTORE_CONFLICT);
    assert_int_equal(restore_plan_make(c->store, store_last(c->store), &request, NULL, NULL, &plan, &err), STORE_OK);
    const struct restore_conflict *conflicts = restore_plan_conflicts(plan, &count);
    for (size_t i = 0; i < count; i++) {
        struct transaction undone, later = {0};
        size_t length = strlen(text);
        assert_int_equal(storage_transaction_before(store_storage(c->store), conflicts[i].undone + 1, &undone),
                         STORE_OK);
        assert_int_equal(undone.tid, conflicts[i].undone);
        if (conflicts[i].later)
            assert_int_equal(storage_transaction_before(store_storage(c->store), conflicts[i].later + 1, &later),
                             STORE_OK);
        (void)snprintf(text + length, sizeof text - length, "%s: %s, %" PRIu64 " %" PRIu64 "\n", conflicts[i].path,
                       conflicts[i].why, undone.seq, later.seq);
        transaction_release(&undone);
        transaction_release(&later);
    }
    assert_string_equal(text, expected);
    restore_plan_free(plan);
}

/* The outcome is another than it should be: the plan tells why. */
static void fail_with_plan(struct changing *c, const char *what, const uint64_t *seqs, size_t seq_count) {
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = seq_count};
    struct restore_plan *plan;
    struct error err = {0};
    size_t count;
    assert_int_equal(restore_plan_make(c->store, store_last(c->store), &request, NULL, NULL, &plan, &err), STORE_OK);
    const struct restore_conflict *conflicts = restore_plan_conflicts(plan, &count);
    for (size_t i = 0; i < count; i++)
        print_error("conflict: %s: %s\n", conflicts[i].path, conflicts[i].why);
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    for (size_t i = 0; i < count; i++)
        print_error("step: %c %s %s\n", (char)steps[i].change.kind,
                    steps[i].change.old_path ? steps[i].change.old_path : "-",
                    steps[i].change.new_path ? steps[i].change.new_path : "-");
    restore_plan_free(plan);
    fail_msg("%s: another outcome was expected", what);
}

static void assert_undone(struct changing *c, uint64_t seq) {
    if (undo(c, seq) != RESTORE_DONE)
        fail_with_plan(c, "undo", &seq, 1);
}

static void assert_content(struct changing *c, const char *path, const char *expected) {
    char *text = changing_read(c, path);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_same_trees(struct changing *c, const char *what, uint64_t before, uint64_t expected, bool times) {
    char *is = changing_dump(c, before, "", times), *was = changing_dump(c, expected, "", times);
    changing_assert_same_text(what, is, was);
    free(is);
    free(was);
}

/* ---- at random ---- */

static void test_undo__of_the_newest_gives_the_state_before_it(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct changing *c = changing_new(seed);
        changing_random(c, 60);
        changing_commit(c, "first");
        for (unsigned i = 0; i < 12; i++) {
            char what[64];
            changing_random(c, 1 + (unsigned)changing_below(c, 15));
            uint64_t seq = changing_commit(c, "changed");
            (void)snprintf(what, sizeof what, "seed %" PRIu64 ", transaction %" PRIu64, seed, seq);
            if (undo(c, seq) == RESTORE_CONFLICT)
                assert_conflicts(c, seq, "");
            assert_same_trees(c, what, store_last(c->store) + 1, seq, true);
            changing_random(c, 8);
            changing_commit(c, "changed");
        }
        changing_free(c);
    }
}

static void test_undo__of_an_undo_restores_the_tree(void **state) {
    unsigned done = 0, refused = 0;
    (void)state;
    for (uint64_t seed = 200; seed <= 240; seed++) {
        struct changing *c = changing_new(seed);
        for (unsigned i = 0; i < 12; i++) {
            changing_random(c, 6);
            changing_commit(c, "changed");
        }
        for (unsigned i = 0; i < 10; i++) {
            char what[64];
            uint64_t seq = 2 + changing_below(c, store_last(c->store) - 1), before = store_last(c->store) + 1;
            (void)snprintf(what, sizeof what, "seed %" PRIu64 ", transaction %" PRIu64 " of %" PRIu64, seed, seq,
                           before - 1);
            enum restore_outcome outcome = undo(c, seq);
            if (outcome != RESTORE_DONE) {
                refused += outcome == RESTORE_CONFLICT;
                assert_same_trees(c, what, store_last(c->store) + 1, before, true);
                continue;
            }
            done++;
            assert_int_equal(undo(c, store_last(c->store)), RESTORE_DONE);
            assert_same_trees(c, what, store_last(c->store) + 1, before, true);
        }
        changing_free(c);
    }
    assert_true(done > 20 && refused > 20);
}

/* All that was done since an instant, taken back in one go, or one by one: the same as a revert. */
static void test_undo__of_a_range_gives_the_state_before_it(void **state) {
    (void)state;
    for (uint64_t seed = 300; seed <= 340; seed++) {
        struct changing *c = changing_new(seed);
        char what[64];
        uint64_t seqs[8];
        size_t count = 0;
        changing_random(c, 60);
        uint64_t before = changing_commit(c, "first") + 1;
        for (size_t i = 0; i < 2 + seed % 6; i++) {
            changing_random(c, 6);
            seqs[count++] = changing_commit(c, "changed");
        }
        (void)snprintf(what, sizeof what, "seed %" PRIu64, seed);
        if (undo_all(c, seqs, count) == RESTORE_CONFLICT)
            fail_with_plan(c, what, seqs, count);
        assert_same_trees(c, what, store_last(c->store) + 1, before, false);
        changing_free(c);
    }
}

/* ---- the rules ---- */

static void test_undo__leaves_later_transactions(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "a\n");
    changing_write(c, "b", "b\n");
    changing_commit(c, "made");
    changing_write(c, "a", "A\n");
    changing_chmod(c, "b", 0600);
    changing_write(c, "new", "new\n");
    uint64_t seq = changing_commit(c, "to undo");
    changing_write(c, "b", "B\n");
    changing_write(c, "later", "later\n");
    changing_commit(c, "later");
    assert_undone(c, seq);
    assert_content(c, "a", "a\n");
    assert_content(c, "b", "B\n");
    assert_content(c, "new", "(absent)");
    assert_content(c, "later", "later\n");
    struct head_attr attr;
    assert_int_equal(head_getattr(c->head, changing_find(c, "b"), &attr), 0);
    assert_int_equal(attr.mode & 07777, 0644);
    changing_free(c);
}

static void test_undo__says_what_it_undid(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "a\n");
    uint64_t seq = changing_commit(c, "the message");
    assert_undone(c, seq);
    struct transaction undone, newest;
    char tid[TID_TEXT_SIZE], expected[128];
    assert_int_equal(storage_transaction_at(store_storage(c->store), seq, &undone), STORE_OK);
    assert_int_equal(storage_transaction_at(store_storage(c->store), seq + 1, &newest), STORE_OK);
    tid_format(undone.tid, tid);
    (void)snprintf(expected, sizeof expected, "undo %s: the message", tid);
    assert_string_equal(newest.message, expected);
    transaction_release(&undone);
    transaction_release(&newest);
    assert_undone(c, seq + 1);
    assert_content(c, "a", "a\n");
    changing_free(c);
}

static void test_undo__merges_lines(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "1\n2\n3\n4\n5\n6\n7\n8\n");
    changing_commit(c, "made");
    changing_write(c, "a", "1\ntwo\n3\n4\n5\n6\n7\n8\n");
    uint64_t seq = changing_commit(c, "two");
    changing_write(c, "a", "1\ntwo\n3\n4\n5\n6\nseven\n8\n");
    uint64_t later = changing_commit(c, "seven");
    assert_undone(c, seq);
    assert_content(c, "a", "1\n2\n3\n4\n5\n6\nseven\n8\n");
    /* Undone already. */
    assert_int_equal(undo(c, seq), RESTORE_NOTHING);
    assert_undone(c, later);
    assert_content(c, "a", "1\n2\n3\n4\n5\n6\n7\n8\n");
    changing_free(c);
}

static void test_undo__follows_renames_and_saves(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "d");
    changing_write(c, "d/a", "1\n2\n3\n4\n5\n6\n7\n8\n");
    changing_commit(c, "made");
    changing_save(c, "d/a", "1\ntwo\n3\n4\n5\n6\n7\n8\n");
    uint64_t seq = changing_commit(c, "two");
    changing_rename(c, "d", "e", 0);
    changing_commit(c, "moved");
    changing_save(c, "e/a", "1\ntwo\n3\n4\n5\n6\nseven\n8\n");
    changing_commit(c, "seven");
    uint64_t file = changing_find(c, "e/a");
    assert_undone(c, seq);
    assert_content(c, "e/a", "1\n2\n3\n4\n5\n6\nseven\n8\n");
    assert_int_equal(changing_find(c, "e/a"), file);
    changing_free(c);
}

static void test_undo__merges_names(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "d");
    changing_write(c, "d/gone", "gone\n");
    changing_write(c, "d/moved", "moved\n");
    changing_write(c, "x", "x\n");
    changing_write(c, "y", "y\n");
    changing_commit(c, "made");
    changing_remove(c, "d/gone");
    changing_rename(c, "d/moved", "d/elsewhere", 0);
    changing_rename(c, "x", "y", RENAME_EXCHANGE);
    changing_write(c, "d/new", "new\n");
    changing_link(c, "x", "d/link");
    uint64_t seq = changing_commit(c, "to undo");
    changing_write(c, "d/later", "later\n");
    changing_write(c, "d/elsewhere", "changed later\n");
    changing_commit(c, "later");
    assert_undone(c, seq);
    static const char *const expected[][2] = {
        {"d/gone", "gone\n"}, {"d/moved", "changed later\n"}, {"d/elsewhere", "(absent)"}, {"x", "x\n"},
        {"y", "y\n"},         {"d/new", "(absent)"},          {"d/link", "(absent)"},      {"d/later", "later\n"}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_content(c, expected[i][0], expected[i][1]);
    changing_free(c);
}

static void test_undo__merges_attributes(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "a\n");
    changing_set_xattr(c, "a", "user.one", "1");
    changing_set_xattr(c, "a", "user.two", "2");
    changing_commit(c, "made");
    changing_set_xattr(c, "a", "user.one", "changed");
    changing_set_xattr(c, "a", "user.two", NULL);
    changing_chown(c, "a", 5, 5);
    uint64_t seq = changing_commit(c, "to undo");
    changing_set_xattr(c, "a", "user.three", "3");
    changing_chown(c, "a", 5, 7);
    changing_chmod(c, "a", 0600);
    changing_commit(c, "later");
    assert_conflicts(c, seq, "a: its owner was changed since, 3 4\n");
    changing_chown(c, "a", 5, 5);
    changing_commit(c, "owner as it was");
    assert_undone(c, seq);
    char *dump = changing_dump(c, store_last(c->store) + 1, "a", false);
    assert_non_null(strstr(dump, "/a 100600 1000:1000"));
    assert_non_null(strstr(dump, " user.one=1 user.three=3 user.two=2"));
    free(dump);
    changing_free(c);
}

static void test_undo__conflicts_change_nothing(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "d");
    changing_write(c, "a", "1\n");
    changing_write(c, "clean", "1\n");
    changing_write(c, "binary", "1");
    changing_write(c, "gone", "1\n");
    changing_write(c, "moved", "1\n");
    changing_write(c, "taken", "1\n");
    changing_write(c, "d/f", "1\n");
    changing_commit(c, "made");
    changing_write(c, "a", "2\n");
    changing_write(c, "clean", "2\n");
    changing_write(c, "binary", "2");
    changing_write(c, "gone", "2\n");
    changing_rename(c, "moved", "moved here", 0);
    changing_remove(c, "taken");
    changing_mkdir(c, "new");
    changing_write(c, "new/f", "2\n");
    changing_write(c, "new file", "2\n");
    changing_remove(c, "d/f");
    uint64_t seq = changing_commit(c, "to undo");
    changing_write(c, "a", "3\n");
    uint64_t oid = changing_find(c, "binary");
    assert_int_equal(head_write(c->head, oid, 0, 4, (const uint8_t *)"\0\1\2\3", false), 4);
    changing_remove(c, "gone");
    changing_rename(c, "moved here", "moved there", 0);
    changing_write(c, "taken", "3\n");
    changing_write(c, "new/later", "3\n");
    changing_write(c, "new file", "3\n");
    changing_remove(c, "d");
    uint64_t later = changing_commit(c, "later");
    assert_int_equal(seq, 3);
    assert_int_equal(later, 4);
    assert_conflicts(c, seq,
                     "a: its content was changed since in the same lines, 3 4\n"
                     "binary: its content was changed since, and is no text that could be merged, 3 4\n"
                     "d/f: its directory is gone, 3 4\n"
                     "gone: it was deleted since, 3 4\n"
                     "moved there: it was renamed since, 3 4\n"
                     "new: there are later names in it, 3 4\n"
                     "new file: it was changed since, 3 4\n"
                     "taken: something else has its name now, 3 4\n");
    assert_content(c, "clean", "2\n");
    /* Taking back what came later, too, there is nothing in the way. */
    const uint64_t both[] = {seq, later};
    assert_int_equal(undo_all(c, both, 2), RESTORE_DONE);
    assert_same_trees(c, "both", store_last(c->store) + 1, seq, false);
    changing_free(c);
}

/* The transaction that a conflict names is the one that is in the way, not whichever came last. */
static void test_undo__conflicts_name_what_is_in_the_way(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "d");
    changing_write(c, "d/x", "1\n");
    uint64_t seq = changing_commit(c, "made");
    changing_rename(c, "d", "D", 0);
    uint64_t renamed = changing_commit(c, "renamed");
    changing_write(c, "D/y", "y\n");
    changing_commit(c, "y");
    changing_chmod(c, "D", 0700);
    changing_commit(c, "mode");
    char expected[512];
    (void)snprintf(expected, sizeof expected, "D: it was renamed since, %" PRIu64 " %" PRIu64 "\n", seq, renamed);
    assert_conflicts(c, seq, expected);
    changing_free(c);
}

static void test_undo__conflicts_name_who_changed_that_part(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "f", "1\n");
    changing_write(c, "m", "1\n");
    changing_mkdir(c, "d");
    changing_commit(c, "made");
    changing_write(c, "f", "2\n");
    changing_chmod(c, "m", 0600);
    changing_write(c, "d/new", "new\n");
    changing_mkdir(c, "e");
    uint64_t seq = changing_commit(c, "to undo");
    changing_write(c, "f", "3\n");
    changing_chmod(c, "m", 0640);
    changing_write(c, "e/later", "later\n");
    changing_write(c, "d/new", "newer\n");
    uint64_t later = changing_commit(c, "in the way");
    changing_chmod(c, "f", 0600);
    changing_write(c, "m", "2\n");
    changing_chmod(c, "e", 0700);
    changing_set_xattr(c, "d/new", "user.a", "1");
    uint64_t attribute = changing_commit(c, "other parts");
    changing_rename(c, "f", "g", 0);
    changing_rename(c, "d/new", "d/newest", 0);
    changing_rename(c, "d/newest", "d/new", 0);
    changing_commit(c, "other names");
    char expected[512];
    (void)snprintf(expected, sizeof expected,
                   "d/new: it was changed since, %" PRIu64 " %" PRIu64 "\n"
                   "e: there are later names in it, %" PRIu64 " %" PRIu64 "\n"
                   "g: its content was changed since in the same lines, %" PRIu64 " %" PRIu64 "\n"
                   "m: its mode was changed since, %" PRIu64 " %" PRIu64 "\n",
                   seq, attribute, seq, later, seq, later, seq, later);
    assert_conflicts(c, seq, expected);
    changing_free(c);
}

/* Of a file with several names each conflict is told under the name that it is about. */
static void test_undo__conflicts_of_links_have_their_names(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "1\n");
    changing_link(c, "a", "b");
    changing_link(c, "a", "old");
    changing_commit(c, "made");
    changing_write(c, "a", "2\n");
    changing_rename(c, "old", "new", 0);
    uint64_t seq = changing_commit(c, "to undo");
    changing_write(c, "a", "3\n");
    uint64_t content = changing_commit(c, "content");
    changing_rename(c, "new", "newest", 0);
    uint64_t renamed = changing_commit(c, "renamed");
    char expected[512];
    (void)snprintf(expected, sizeof expected,
                   "a: its content was changed since in the same lines, %" PRIu64 " %" PRIu64 "\n"
                   "b: its content was changed since in the same lines, %" PRIu64 " %" PRIu64 "\n"
                   "new: it was renamed since, %" PRIu64 " %" PRIu64 "\n"
                   "new: its content was changed since in the same lines, %" PRIu64 " %" PRIu64 "\n",
                   seq, content, seq, content, seq, renamed, seq, content);
    assert_conflicts(c, seq, expected);
    changing_free(c);
}

/* Something that is merged has a side of its own. */
static void test_undo__tells_what_merging_gives(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "f", "1\n2\n3\n4\n5\n6\n7\n");
    changing_commit(c, "made");
    changing_write(c, "f", "one\n2\n3\n4\n5\n6\n7\n");
    uint64_t seq = changing_commit(c, "one");
    changing_write(c, "f", "one\n2\n3\n4\n5\n6\nseven\n");
    uint64_t base = changing_commit(c, "seven");
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1};
    struct restore_plan *plan;
    struct error err = {0};
    size_t count;
    assert_int_equal(restore_plan_make(c->store, base, &request, NULL, NULL, &plan, &err), STORE_OK);
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    assert_int_equal(count, 1);
    assert_true(steps[0].merged);
    assert_int_equal(steps[0].change.new.oid, changing_find(c, "f"));
    assert_int_equal(steps[0].change.new.size, strlen("1\n2\n3\n4\n5\n6\nseven\n"));
    restore_plan_free(plan);
    changing_free(c);
}

static void test_undo__keeps_what_it_undid_below_a_message(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "f", "1\n");
    uint64_t seqs[] = {changing_commit(c, "first line\nsecond line"), 0};
    changing_write(c, "f", "2\n");
    seqs[1] = changing_commit(c, "");
    struct restore_request request = {.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = 2};
    char *message;
    assert_int_equal(restore_message(c->store, &request, "because\n", &message), STORE_OK);
    assert_non_null(message);
    assert_memory_equal(message, "because\n\nundo 0", 14);
    assert_non_null(strstr(message, ": first line\nundo 0"));
    assert_null(strstr(message, "second line"));
    free(message);
    changing_free(c);
}

/* A disk that fails is none that has no such transaction, and no message is better than one that leaves some out. */
static void test_undo__of_what_cannot_be_read_is_no_missing_one(void **state) {
    struct changing *c = changing_new(1);
    struct storage *fault;
    (void)state;
    changing_write(c, "f", "1\n");
    const uint64_t seq = changing_commit(c, "");
    assert_int_equal(storage_fault_open(c->store->storage, &fault), STORE_OK);
    c->store->storage = fault;
    const struct restore_request requests[] = {
        {.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1},
        {.kind = RESTORE_REVERT, .before = seq, .paths = (const char *const[]){""}, .path_count = 1},
    };
    for (size_t i = 0; i < 2; i++) {
        char *message;
        storage_fault_set(fault, &(struct storage_fault){.op = "transaction_at", .nth = 1, .code = STORE_IO});
        assert_int_equal(restore_message(c->store, &requests[i], NULL, &message), STORE_IO);
        assert_null(message);
    }
    struct restore_plan *plan;
    struct error err = {0};
    storage_fault_set(fault, &(struct storage_fault){.op = "transaction_at", .nth = 1, .code = STORE_IO});
    assert_int_equal(restore_plan_make(c->store, seq, &requests[0], NULL, NULL, &plan, &err), STORE_IO);
    assert_non_null(strstr(err.text, "cannot read the transaction"));
    storage_fault_set(fault, NULL);
    changing_free(c);
}

static void test_undo__of_what_cannot_be_undone_says_why(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    static const struct {
        uint64_t seq;
        const char *text;
    } cases[] = {{1, "made the store"}, {9, "no such transaction"}, {0, "no such transaction"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = &cases[i].seq, .seq_count = 1};
        struct restore_plan *plan;
        struct error err = {0};
        assert_int_equal(restore_plan_make(c->store, 1, &request, NULL, NULL, &plan, &err), STORE_INVALID);
        assert_non_null(strstr(err.text, cases[i].text));
    }
    changing_free(c);
}

static void test_undo__of_what_is_packed_says_so(void **state) {
    struct sample *sample = sample_new(NULL);
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        static const char *const names[] = {"a", "b", "c"};
        sample_make(sample, ROOT_OID, names[i], S_IFREG | 0644, "x");
        sample_commit(sample, "made");
    }
    sample_move_horizon(sample, 3, 1700000000);
    static const uint64_t seqs[] = {3, 4};
    struct restore_request request = {.kind = RESTORE_UNDO, .seqs = &seqs[0], .seq_count = 1};
    struct restore_plan *plan;
    struct error err = {0};
    assert_int_equal(restore_plan_make(sample->store, 4, &request, NULL, NULL, &plan, &err), STORE_PACKED);
    assert_non_null(strstr(err.text, "has been packed away"));
    request.seqs = &seqs[1];
    assert_int_equal(restore_plan_make(sample->store, 4, &request, NULL, NULL, &plan, &err), STORE_OK);
    restore_plan_free(plan);
    const char *path = "";
    request = (struct restore_request){.kind = RESTORE_REVERT, .before = 3, .paths = &path, .path_count = 1};
    assert_int_equal(restore_plan_make(sample->store, 4, &request, NULL, NULL, &plan, &err), STORE_PACKED);
    sample_free(sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undo__of_the_newest_gives_the_state_before_it),
        cmocka_unit_test(test_undo__of_an_undo_restores_the_tree),
        cmocka_unit_test(test_undo__of_a_range_gives_the_state_before_it),
        cmocka_unit_test(test_undo__leaves_later_transactions),
        cmocka_unit_test(test_undo__says_what_it_undid),
        cmocka_unit_test(test_undo__of_what_cannot_be_read_is_no_missing_one),
        cmocka_unit_test(test_undo__merges_lines),
        cmocka_unit_test(test_undo__follows_renames_and_saves),
        cmocka_unit_test(test_undo__merges_names),
        cmocka_unit_test(test_undo__merges_attributes),
        cmocka_unit_test(test_undo__conflicts_change_nothing),
        cmocka_unit_test(test_undo__conflicts_name_what_is_in_the_way),
        cmocka_unit_test(test_undo__conflicts_name_who_changed_that_part),
        cmocka_unit_test(test_undo__conflicts_of_links_have_their_names),
        cmocka_unit_test(test_undo__tells_what_merging_gives),
        cmocka_unit_test(test_undo__keeps_what_it_undid_below_a_message),
        cmocka_unit_test(test_undo__of_what_cannot_be_undone_says_why),
        cmocka_unit_test(test_undo__of_what_is_packed_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
