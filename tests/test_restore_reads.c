/* Plans of a store that cannot be read, or that lacks what it should have: each read of each plan in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/past.h"
#include "history/path.h"
#include "history/restore.h"
#include "store/store_private.h"
#include "tests/changing.h"

/* Something of everything; returns the seq of the transaction to undo, which is also the instant to revert to. */
static uint64_t make_history(struct changing *c) {
    changing_mkdir(c, "d");
    changing_mkdir(c, "d/e");
    changing_write(c, "d/e/f", "1\n2\n3\n4\n5\n6\n7\n8\n");
    changing_write(c, "d/e/gone", "gone\n");
    changing_write(c, "d/g", "1\n");
    changing_write(c, "x", "x\n");
    changing_write(c, "y", "y\n");
    changing_write(c, "kind", "1\n");
    changing_write(c, "clash", "1\n");
    changing_write(c, "lost", "1\n");
    changing_link(c, "x", "d/link");
    changing_set_xattr(c, "d/g", "user.one", "1");
    changing_commit(c, "first");
    changing_write(c, "d/e/f", "1\ntwo\n3\n4\n5\n6\n7\n8\n");
    changing_remove(c, "d/e/gone");
    changing_save(c, "d/g", "2\n");
    changing_rename(c, "x", "y", RENAME_EXCHANGE);
    changing_remove(c, "kind");
    changing_symlink(c, "kind", "target");
    changing_write(c, "clash", "2\n");
    changing_write(c, "lost", "2\n");
    changing_mkdir(c, "new");
    changing_write(c, "new/n", "n\n");
    changing_link(c, "d/link", "new/link");
    changing_chmod(c, "d", 0700);
    uint64_t seq = changing_commit(c, "second");
    changing_write(c, "d/e/f", "1\ntwo\n3\n4\n5\n6\nseven\n8\n");
    changing_rename(c, "d", "D", 0);
    changing_set_xattr(c, "D/g", "user.two", "2");
    changing_write(c, "clash", "3\n");
    changing_remove(c, "lost");
    changing_mkdir(c, "d");
    changing_write(c, "d/later", "later\n");
    changing_commit(c, "third");
    return seq;
}

/* The plan as text, without the transactions that are in the way: who they were is told if it can be read. */
static char *plan_text(const struct restore_plan *plan) {
    char *text = NULL;
    size_t length, count;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    const struct restore_conflict *conflicts = restore_plan_conflicts(plan, &count);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(out, "%s: %s\n", conflicts[i].path, conflicts[i].why);
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(out, "%c %s %s %u\n", (char)steps[i].change.kind,
                      steps[i].change.old_path ? steps[i].change.old_path : "-",
                      steps[i].change.new_path ? steps[i].change.new_path : "-", steps[i].change.what);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* Opens the store anew, so that nothing is in memory, and plans with the Nth call answered by `code`. False: there was no Nth call. */
static bool plan_once(struct changing *c, const struct restore_request *request, uint64_t nth, int code,
                      const char *expected) {
    const struct store_options options = {.cache_bytes = 1}; /* so that all is read */
    struct storage *fault;
    struct store *store;
    struct restore_plan *plan;
    struct error err = {0};
    assert_int_equal(store_open(c->directory, &options, &store, &err), STORE_OK);
    uint64_t last = store_last(store);
    assert_int_equal(storage_fault_open(store->storage, &fault), STORE_OK);
    store->storage = fault;
    const struct storage_fault rule = {.nth = nth, .code = code};
    storage_fault_set(fault, &rule);
    int rc = restore_plan_make(store, last, request, NULL, NULL, &plan, &err);
    bool reached = storage_fault_count(fault) >= nth;
    if (rc == STORE_OK) {
        char *text = plan_text(plan);
        if (code == STORE_IO) /* what could not be read is never taken for what is not there */
            assert_string_equal(text, expected);
        free(text);
        restore_plan_free(plan);
    } else {
        assert_true(reached);
        assert_true(err.text[0] != '\0');
        if (code == STORE_IO)
            assert_int_equal(rc, STORE_IO);
        else /* lost, or taken for a path or a transaction that never was */
            assert_true(rc == STORE_CORRUPT || rc == STORE_ABSENT || rc == STORE_INVALID);
    }
    storage_fault_set(fault, NULL);
    store_close(store);
    return reached;
}

static unsigned sweep(struct changing *c, const struct restore_request *request) {
    struct restore_plan *plan;
    struct error err = {0};
    unsigned tried = 0;
    static const int codes[] = {STORE_IO, STORE_ABSENT};
    assert_int_equal(restore_plan_make(c->store, store_last(c->store), request, NULL, NULL, &plan, &err), STORE_OK);
    char *expected = plan_text(plan);
    restore_plan_free(plan);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        uint64_t nth = 1;
        while (plan_once(c, request, nth, codes[i], expected))
            nth++;
        tried += (unsigned)nth - 1;
    }
    free(expected);
    return tried;
}

static void test_restore_reads__of_an_undo_may_fail(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    const uint64_t seq = make_history(c);
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1};
    unsigned tried = sweep(c, &request);
    print_message("    %u reads failed or found nothing\n", tried);
    assert_true(tried > 200);
    changing_free(c);
}

static void test_restore_reads__of_a_revert_may_fail(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    uint64_t seq = make_history(c);
    static const char *const paths[][2] = {{"", NULL}, {"d/e/f", "x"}};
    unsigned tried = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct restore_request request = {
            .kind = RESTORE_REVERT, .before = seq, .paths = paths[i], .path_count = i + 1, .keep_new = i == 1};
        tried += sweep(c, &request);
    }
    print_message("    %u reads failed or found nothing\n", tried);
    assert_true(tried > 200);
    changing_free(c);
}

static void test_restore_reads__of_chosen_steps_may_fail(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    uint64_t seq = make_history(c);
    static const struct restore_choice choices[] = {{.path = "D/e/f", .data = (const uint8_t *)"picked\n", .length = 7},
                                                    {.path = "new", .whole = true},
                                                    {.path = "clash"}};
    const char *path = "";
    const struct restore_request request = {.kind = RESTORE_REVERT,
                                            .before = seq,
                                            .paths = &path,
                                            .path_count = 1,
                                            .choices = choices,
                                            .choice_count = sizeof choices / sizeof *choices};
    assert_true(sweep(c, &request) > 100);
    changing_free(c);
}

/* ---- paths for people ---- */

static void test_path_of__cuts_and_names_what_has_no_path(void **state) {
    struct changing *c = changing_new(1);
    char text[64], small[7];
    (void)state;
    changing_mkdir(c, "dir");
    uint64_t oid = changing_write(c, "dir/file", "1");
    uint64_t before = changing_commit(c, "made") + 1;
    assert_string_equal(path_of(c->store, oid, before, text, sizeof text), "/dir/file");
    assert_string_equal(path_of(c->store, ROOT_OID, before, text, sizeof text), "/");
    assert_string_equal(path_of(c->store, oid, before, small, sizeof small), "/file");
    assert_string_equal(path_of(c->store, oid, before, small, 5), "");
    (void)snprintf(small, sizeof small, "%u", (unsigned)oid);
    assert_string_equal(path_of(c->store, oid, before - 1, text, sizeof text) + strlen("object "), small);
    assert_memory_equal(text, "object ", 7);
    /* A name that cannot be read is none. */
    struct storage *fault;
    assert_int_equal(storage_fault_open(c->store->storage, &fault), STORE_OK);
    c->store->storage = fault;
    storage_fault_set(fault, &(struct storage_fault){.op = "links", .nth = 2, .code = STORE_IO});
    assert_memory_equal(path_of(c->store, oid, before, text, sizeof text), "object ", 7);
    storage_fault_set(fault, NULL);
    uint64_t found;
    assert_int_equal(path_walk(c->store, "dir/file/x", 3, before, &found), STORE_OK);
    assert_int_equal(path_walk(c->store, "dir/file/x", 6, before, &found), STORE_ABSENT); /* dir/fi */
    assert_int_equal(path_walk(c->store, "dir/file/x", 10, before, &found), STORE_ABSENT);
    changing_free(c);
}

/* ---- what a path led to ---- */

/* Each read of where something came from, and of what a path led to: an error stays one. */
static void test_past_reads__may_fail(void **state) {
    struct changing *c = changing_new(1);
    struct storage *fault;
    struct past_names names;
    char *origin, longer[NAME_BYTES_MAX + 8];
    (void)state;
    changing_mkdir(c, "a");
    changing_mkdir(c, "a/b");
    changing_write(c, "a/b/f", "1");
    changing_link(c, "a/b/f", "a/b/g");
    uint64_t oid = changing_find(c, "a/b/f");
    changing_commit(c, "made");
    changing_rename(c, "a/b/f", "a/h", 0);
    changing_rename(c, "a", "A", 0);
    uint64_t seq = changing_commit(c, "renamed");
    memset(longer, 'n', sizeof longer);
    longer[NAME_BYTES_MAX + 1] = '\0';
    assert_int_equal(past_names_load(c->store, longer, seq, &names), STORE_ABSENT);
    assert_int_equal(past_names_load(c->store, "A", 0, &names), STORE_ABSENT);
    assert_int_equal(storage_fault_open(c->store->storage, &fault), STORE_OK);
    c->store->storage = fault;
    unsigned failed = 0;
    for (uint64_t nth = 1;; nth++) {
        const struct storage_fault rule = {.nth = nth, .code = STORE_IO};
        storage_fault_set(fault, &rule);
        int rc = past_origin(c->store, "A/h", oid, seq, &origin);
        if (rc == STORE_OK) {
            assert_string_equal(origin, "a/b/f");
            free(origin);
            break;
        }
        assert_int_equal(rc, STORE_IO);
        assert_null(origin);
        failed++;
    }
    assert_true(failed >= 4);
    for (uint64_t nth = 1;; nth++) {
        const struct storage_fault rule = {.nth = nth, .code = STORE_IO};
        storage_fault_set(fault, &rule);
        int rc = past_names_load(c->store, "A/h", seq, &names);
        if (rc == STORE_OK) {
            assert_int_equal(names.count, 1);
            assert_int_equal(names.items[0].oid, oid);
            assert_int_equal(names.items[0].born, seq);
            past_names_release(&names);
            break;
        }
        assert_int_equal(rc, STORE_IO);
        assert_int_equal(names.count, 0);
        failed++;
    }
    assert_true(failed >= 6);
    storage_fault_set(fault, NULL);
    assert_int_equal(past_origin(c->store, "", ROOT_OID, seq, &origin), STORE_ABSENT);
    /* Asked by a path that does not lead there: from the name that went. */
    assert_int_equal(past_origin(c->store, "elsewhere", oid, seq, &origin), STORE_OK);
    assert_string_equal(origin, "a/b/f");
    free(origin);
    changing_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore_reads__of_an_undo_may_fail),
        cmocka_unit_test(test_restore_reads__of_a_revert_may_fail),
        cmocka_unit_test(test_restore_reads__of_chosen_steps_may_fail),
        cmocka_unit_test(test_past_reads__may_fail),
        cmocka_unit_test(test_path_of__cuts_and_names_what_has_no_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
