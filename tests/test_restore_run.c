/* Running a plan while others write, and where it cannot be run: what it says, and that nothing is changed then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/restore.h"
#include "store/store_private.h"
#include "tests/changing.h"

/* What somebody else does between the plan and the transaction: `meanwhile`, once, when the plan has been made. Calls of restore_run come here (see the
 * Makefile). */
static void (*meanwhile)(struct changing *c);
static struct changing *changed_by_it;
static unsigned plans;

int __real_restore_plan_make(struct store *store, uint64_t base, const struct restore_request *request,
                             void (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                             struct restore_plan **plan, struct error *err);
int __wrap_restore_plan_make(struct store *store, uint64_t base, const struct restore_request *request,
                             void (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                             struct restore_plan **plan, struct error *err);
int __wrap_restore_plan_make(struct store *store, uint64_t base, const struct restore_request *request,
                             void (*progress)(void *context, uint64_t done, uint64_t total), void *context,
                             struct restore_plan **plan, struct error *err) {
    void (*change)(struct changing * c) = meanwhile;
    int rc = __real_restore_plan_make(store, base, request, progress, context, plan, err);
    plans++;
    meanwhile = NULL;
    if (change)
        change(changed_by_it);
    return rc;
}

/* "f" was 1, and is 2; "g" is another's. Returns the instant to put back. */
static uint64_t make_history(struct changing *c) {
    changing_write(c, "f", "1\n");
    changing_write(c, "g", "1\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_write(c, "f", "2\n");
    changing_commit(c, "changed");
    return before;
}

static int run(struct changing *c, uint64_t before, uint64_t only_base, struct restore_result *result,
               struct error *err) {
    const char *path = "f";
    const struct restore_request request = {.kind = RESTORE_REVERT, .before = before, .paths = &path, .path_count = 1};
    plans = 0;
    changed_by_it = c;
    int rc = restore_run(c->store, c->head, &request, only_base, "somebody", "put back", result, err);
    restore_touched_release(&result->touched);
    return rc;
}

static void assert_content(struct changing *c, const char *path, const char *expected) {
    char *text = changing_read(c, path);
    assert_string_equal(text, expected);
    free(text);
}

static void write_other(struct changing *c) {
    changing_write(c, "g", "2\n");
    changing_commit(c, "meanwhile");
}

static void write_same(struct changing *c) {
    changing_write(c, "f", "3\n");
    changing_commit(c, "meanwhile");
}

static void put_back(struct changing *c) {
    struct restore_result result;
    struct error err;
    const char *path = "f";
    const struct restore_request request = {.kind = RESTORE_REVERT, .before = 3, .paths = &path, .path_count = 1};
    assert_int_equal(restore_run(c->store, c->head, &request, 0, "another", "put back", &result, &err), STORE_OK);
    assert_int_equal(result.outcome, RESTORE_DONE);
    restore_touched_release(&result.touched);
}

static void damage(struct changing *c) {
    write_other(c);
    storage_fault_set(c->store->storage, &(struct storage_fault){.op = "changed", .nth = 1, .code = STORE_IO});
}

static void test_restore_run__plans_again_when_something_was_committed(void **state) {
    static const struct {
        void (*meanwhile)(struct changing *c);
        enum restore_outcome outcome;
        unsigned plans;
    } cases[] = {{write_other, RESTORE_DONE, 2}, {write_same, RESTORE_DONE, 2}, {put_back, RESTORE_NOTHING, 3}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct changing *c = changing_new(1);
        struct restore_result result;
        struct error err = {0};
        uint64_t before = make_history(c);
        assert_int_equal(before, 3);
        meanwhile = cases[i].meanwhile;
        assert_int_equal(run(c, before, 0, &result, &err), STORE_OK);
        assert_int_equal(result.outcome, cases[i].outcome);
        assert_int_equal(plans, cases[i].plans);
        assert_int_equal(result.base, 4); /* and not the 3 that it was planned for first */
        assert_content(c, "f", "1\n");
        assert_content(c, "g", cases[i].meanwhile == write_other ? "2\n" : "1\n");
        assert_int_equal(store_last(c->store), cases[i].outcome == RESTORE_DONE ? 5 : 4);
        changing_free(c);
    }
}

static void test_restore_run__of_choices_is_for_their_base_alone(void **state) {
    struct changing *c = changing_new(1);
    struct restore_result result;
    struct error err = {0};
    (void)state;
    uint64_t before = make_history(c);
    meanwhile = write_other;
    assert_int_equal(run(c, before, 3, &result, &err), STORE_INVALID);
    assert_non_null(strstr(err.text, "something else was committed while you chose"));
    assert_content(c, "f", "2\n");
    assert_int_equal(store_last(c->store), 4);
    assert_int_equal(run(c, before, 3, &result, &err), STORE_INVALID);
    assert_int_equal(plans, 0);
    assert_int_equal(run(c, before, 4, &result, &err), STORE_OK);
    assert_content(c, "f", "1\n");
    changing_free(c);
}

static void test_restore_run__says_why_it_cannot_plan_again(void **state) {
    struct changing *c = changing_new(1);
    struct storage *fault;
    struct restore_result result;
    struct error err = {0};
    (void)state;
    uint64_t before = make_history(c);
    assert_int_equal(storage_fault_open(c->store->storage, &fault), STORE_OK);
    c->store->storage = fault;
    meanwhile = damage;
    assert_int_equal(run(c, before, 0, &result, &err), STORE_IO);
    assert_true(err.text[0] != '\0');
    storage_fault_set(fault, NULL);
    assert_content(c, "f", "2\n");
    assert_int_equal(store_last(c->store), 4);
    changing_free(c);
}

/* A head that could not write stays of no use. */
static void reopen(struct changing *c) {
    struct error err;
    (void)head_close(c->head);
    store_close(c->store);
    assert_int_equal(store_open(c->directory, &(struct store_options){.writable = true}, &c->store, &err), STORE_OK);
    assert_int_equal(head_open(c->store, &(struct head_options){0}, &c->head, &err), 0);
}

static void test_restore_run__says_why_it_was_not_committed(void **state) {
    static const struct {
        int commit; /* what the storage answers */
        int code;
        const char *says;
    } cases[] = {{STORE_FULL, STORE_FULL, "no space left"},
                 {STORE_READ_ONLY, STORE_READ_ONLY, "not open for writing"},
                 {STORE_LOCKED, STORE_LOCKED, "another process writes the store"},
                 {STORE_NO_MEMORY, STORE_NO_MEMORY, "out of memory"},
                 {STORE_IO, STORE_IO, "it could not be committed"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct changing *c = changing_new(1);
        struct storage *fault;
        struct restore_result result;
        struct error err = {0};
        uint64_t before = make_history(c);
        assert_int_equal(storage_fault_open(c->store->storage, &fault), STORE_OK);
        c->store->storage = fault;
        storage_fault_set(fault, &(struct storage_fault){.op = "commit", .nth = 1, .code = cases[i].commit});
        assert_int_equal(run(c, before, 0, &result, &err), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].says));
        assert_non_null(strstr(err.text, "nothing was changed"));
        storage_fault_set(fault, NULL);
        reopen(c);
        assert_int_equal(store_last(c->store), 3);
        assert_content(c, "f", "2\n");
        changing_free(c);
    }
}

/* What is pending is committed first: if it cannot be, nothing is put back. */
static void test_restore_run__needs_what_is_pending_committed(void **state) {
    struct changing *c = changing_new(1);
    struct storage *fault;
    struct restore_result result;
    struct error err = {0};
    (void)state;
    uint64_t before = make_history(c);
    assert_int_equal(storage_fault_open(c->store->storage, &fault), STORE_OK);
    c->store->storage = fault;
    changing_write(c, "g", "2\n");
    storage_fault_set(fault, &(struct storage_fault){.op = "commit", .nth = 1, .code = STORE_FULL});
    assert_int_equal(run(c, before, 0, &result, &err), STORE_FULL);
    assert_non_null(strstr(err.text, "nothing was changed"));
    assert_int_equal(plans, 0);
    storage_fault_set(fault, NULL);
    assert_int_equal(run(c, before, 0, &result, &err), STORE_OK);
    assert_content(c, "f", "1\n");
    assert_content(c, "g", "2\n");
    changing_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore_run__plans_again_when_something_was_committed),
        cmocka_unit_test(test_restore_run__of_choices_is_for_their_base_alone),
        cmocka_unit_test(test_restore_run__says_why_it_cannot_plan_again),
        cmocka_unit_test(test_restore_run__says_why_it_was_not_committed),
        cmocka_unit_test(test_restore_run__needs_what_is_pending_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
