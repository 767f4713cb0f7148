/* What history/ answers where nothing is, where a store cannot be read, and
 * where two do the same at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/diff.h"
#include "history/log.h"
#include "history/past.h"
#include "history/resolve.h"
#include "history/view.h"
#include "store/store_private.h"
#include "store/tid.h"
#include "tests/changing.h"
#include "tests/sample.h"

static const struct timespec now = {.tv_sec = 4000000000};

/* ---- views ---- */

static bool take_nothing(void *context, const struct view_entry *entry) {
    (void)context, (void)entry;
    fail_msg("an entry of nothing");
    return false;
}

/* Before the first transaction there is the root alone, and nothing in it. */
static void test_view__before_everything_is_an_empty_root(void **state) {
    struct changing *c = changing_new(1);
    struct view *view;
    struct view_attr attr;
    uint64_t parent;
    char text[16];
    size_t length;
    (void)state;
    uint64_t oid = changing_mkdir(c, "d");
    changing_commit(c, "made");
    struct view_pool *pool = view_pool_new(c->store, &(struct view_pool_options){0});
    assert_non_null(pool);
    assert_int_equal(view_pool_open(pool, 1, &view), 0);
    assert_int_equal(view_tid(view), 0);
    assert_int_equal(view_lookup(view, ROOT_OID, "d", 1, &attr), -ENOENT);
    assert_int_equal(view_lookup(view, ROOT_OID, "", 0, &attr), -ENOENT);
    assert_int_equal(view_parent(view, ROOT_OID, &parent), 0);
    assert_int_equal(parent, ROOT_OID);
    assert_int_equal(view_parent(view, oid, &parent), -ENOENT);
    assert_int_equal(view_readdir(view, ROOT_OID, 0, true, take_nothing, NULL), 0);
    assert_int_equal(view_readdir(view, oid, 0, true, take_nothing, NULL), -ENOENT);
    assert_int_equal(view_getxattr(view, ROOT_OID, "user.a", text, sizeof text, &length), -ENODATA);
    assert_int_equal(view_getxattr(view, oid, "user.a", text, sizeof text, &length), -ENOENT);
    assert_int_equal(view_listxattr(view, ROOT_OID, text, sizeof text, &length), 0);
    assert_int_equal(length, 0);
    assert_int_equal(view_listxattr(view, oid, text, sizeof text, &length), -ENOENT);
    view_pool_done(pool, view);
    assert_int_equal(view_pool_open(pool, 3, &view), 0);
    assert_int_equal(view_lookup(view, ROOT_OID, "", 0, &attr), -ENOENT);
    view_pool_done(pool, view);
    assert_int_equal(view_pool_open(pool, 0, &view), -EINVAL);
    assert_int_equal(view_pool_open(pool, 4, &view), -EINVAL);
    view_pool_free(pool);
    changing_free(c);
}

/* What somebody else does while a view is made: calls of the views come here
 * (see the Makefile). */
static struct view_pool *opened_meanwhile;
static struct view *other_view;

int __real_storage_transaction_at(struct storage *storage, uint64_t seq, struct transaction *transaction);
int __wrap_storage_transaction_at(struct storage *storage, uint64_t seq, struct transaction *transaction);
int __wrap_storage_transaction_at(struct storage *storage, uint64_t seq, struct transaction *transaction) {
    struct view_pool *pool = opened_meanwhile;
    opened_meanwhile = NULL;
    if (pool)
        assert_int_equal(view_pool_open(pool, seq + 1, &other_view), 0);
    return __real_storage_transaction_at(storage, seq, transaction);
}

static void test_view_pool__makes_one_view_of_an_instant(void **state) {
    struct changing *c = changing_new(1);
    struct view_pool_statistics statistics;
    struct view *view;
    (void)state;
    changing_commit(c, "nothing");
    struct view_pool *pool = view_pool_new(c->store, &(struct view_pool_options){.idle_max = 4, .idle_ns = 1000});
    assert_non_null(pool);
    opened_meanwhile = pool;
    assert_int_equal(view_pool_open(pool, 2, &view), 0);
    assert_ptr_equal(view, other_view);
    view_pool_get_statistics(pool, &statistics);
    assert_int_equal(statistics.open, 1);
    assert_int_equal(statistics.opened, 1);
    view_pool_done(pool, view);
    view_pool_get_statistics(pool, &statistics);
    assert_int_equal(statistics.idle, 0); /* the other has it */
    view_pool_done(pool, other_view);
    view_pool_get_statistics(pool, &statistics);
    assert_int_equal(statistics.idle, 1);
    assert_int_equal(view_pool_sweep(pool, 0), 1000); /* asked at a time before it was left: it has all its time */
    view_pool_get_statistics(pool, &statistics);
    assert_int_equal(statistics.idle, 1);
    view_pool_free(pool);
    changing_free(c);
}

/* ---- many transactions ---- */

#define MANY 300

/* More views than a table of them is wide, and more transactions and paths of a
 * file than a log begins with. */
static void test_history__of_many_transactions(void **state) {
    struct changing *c = changing_new(1);
    struct view *views[MANY + 3];
    char path[16] = "f0", next[16];
    (void)state;
    changing_write(c, path, "0");
    changing_commit(c, "made");
    for (unsigned i = 1; i < MANY; i++) {
        (void)snprintf(next, sizeof next, "f%u", i / 20);
        if (strcmp(path, next) != 0)
            changing_rename(c, path, next, 0);
        strcpy(path, next);
        changing_write(c, path, next);
        changing_commit(c, next);
    }
    struct view_pool *pool = view_pool_new(c->store, &(struct view_pool_options){0});
    assert_non_null(pool);
    for (uint64_t before = 1; before <= MANY + 2; before++)
        assert_int_equal(view_pool_open(pool, before, &views[before]), 0);
    for (uint64_t before = 1; before <= MANY + 2; before++) {
        struct view *again;
        assert_int_equal(view_before(views[before]), before);
        assert_int_equal(view_pool_open(pool, before, &again), 0);
        assert_ptr_equal(again, views[before]);
        view_pool_done(pool, again);
        view_pool_done(pool, views[before]);
    }
    view_pool_free(pool);

    const char *paths[] = {path};
    const struct log_options options = {.paths = paths, .path_count = 1, .follow = true, .range = {1, UINT64_MAX}};
    struct log_walk *walk;
    struct transaction transaction;
    size_t absent, count, told = 0;
    assert_int_equal(log_walk_open(c->store, &options, &walk, &absent), STORE_OK);
    while (log_walk_next(walk, &transaction) == STORE_OK) {
        told++;
        transaction_release(&transaction);
    }
    assert_int_equal(told, MANY);
    const char *const *names = log_walk_paths(walk, &count);
    assert_int_equal(count, (MANY + 19) / 20);
    assert_string_equal(names[0], path);
    assert_string_equal(names[count - 1], "f0");
    log_walk_close(walk);
    changing_free(c);
}

/* ---- times ---- */

static void test_resolve__refuses_what_no_text_can_say(void **state) {
    struct changing *c = changing_new(1);
    struct resolved resolved;
    struct error err = {0};
    (void)state;
    const struct when far = {.kind = WHEN_INSTANT, .instant = {.tv_sec = INT64_C(200000000000)}};
    assert_int_equal(resolve_when(c->store, &far, RESOLVE_AT, now, &resolved, &err), STORE_INVALID);
    assert_non_null(strstr(err.text, "outside the years 1900 to 5908"));
    const struct when none = {.kind = (enum when_kind)99};
    assert_int_equal(resolve_when(c->store, &none, RESOLVE_AT, now, &resolved, &err), STORE_INVALID);
    assert_string_equal(err.text, "that is not a time");
    changing_free(c);
}

/* Every call of the storage in turn. */
static void test_resolve__reads_may_fail(void **state) {
    struct changing *c = changing_new(1);
    struct storage *fault;
    struct resolved resolved;
    struct transaction middle;
    struct error err;
    (void)state;
    changing_write(c, "f", "1");
    changing_commit(c, "one");
    changing_write(c, "f", "2");
    uint64_t seq = changing_commit(c, "two");
    assert_int_equal(storage_transaction_at(store_storage(c->store), seq - 1, &middle), STORE_OK);
    assert_int_equal(storage_tag_set(store_storage(c->store), "tag", middle.tid, false), STORE_OK);
    assert_int_equal(storage_fault_open(c->store->storage, &fault), STORE_OK);
    c->store->storage = fault;
    char tid[TID_TEXT_SIZE];
    tid_format(middle.tid, tid);
    const char *const texts[] = {"now", "tag", "tag~1", tid, "2100-01-01", "now~1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct resolved clean;
        int expected = resolve_text(c->store, texts[i], strlen(texts[i]), RESOLVE_AT, now, &clean, &err), rc;
        for (uint64_t nth = 1;; nth++) {
            storage_fault_set(fault, &(struct storage_fault){.nth = nth, .code = STORE_IO});
            rc = resolve_text(c->store, texts[i], strlen(texts[i]), RESOLVE_AT, now, &resolved, &err);
            if (storage_fault_count(fault) < nth)
                break;
            assert_int_equal(rc, STORE_IO);
        }
        assert_int_equal(rc, expected);
        storage_fault_set(fault, NULL);
    }
    const struct when when = {.kind = WHEN_TID, .tid = middle.tid};
    for (uint64_t nth = 1;; nth++) {
        storage_fault_set(fault, &(struct storage_fault){.nth = nth, .code = STORE_IO});
        int rc = resolve_check_tid(c->store, &when, now, &err);
        if (rc == STORE_OK)
            break;
        assert_int_equal(rc, STORE_IO);
    }
    transaction_release(&middle);
    changing_free(c);
}

/* ---- logs ---- */

/* `now` is the newest transaction, also where no other is; what lies before it
 * is counted by steps. */
static void test_log__first_of_now(void **state) {
    struct changing *c = changing_new(1);
    struct error err;
    uint64_t first;
    (void)state;
    assert_int_equal(log_parse_first(c->store, "now", 3, now, &first, &err), STORE_OK);
    assert_int_equal(first, 1);
    changing_commit(c, "nothing");
    assert_int_equal(log_parse_first(c->store, "now", 3, now, &first, &err), STORE_OK);
    assert_int_equal(first, 2);
    assert_int_equal(log_parse_first(c->store, "now~1", 5, now, &first, &err), STORE_OK);
    assert_int_equal(first, 1);
    changing_free(c);
}

/* ---- what is packed away ---- */

/* Where a file that came before that came from is not asked: it is told as what
 * it is at the oldest instant that can be read. */
static void test_history__ends_where_it_was_packed(void **state) {
    struct sample *sample = sample_new(NULL);
    struct past_walk *walk;
    struct past_version version;
    struct resolved resolved;
    struct storage *fault;
    struct error err;
    (void)state;
    uint64_t oid = sample_make(sample, ROOT_OID, "a", S_IFREG | 0644, "1");
    sample_commit(sample, "made");
    sample_make(sample, ROOT_OID, "b", S_IFREG | 0644, "1");
    sample_commit(sample, "another");
    sample_write(sample, oid, "2");
    sample_commit(sample, "changed");
    sample_move_horizon(sample, 3, 1700000000);
    assert_int_equal(past_walk_open(sample->store, "a", 1, UINT64_MAX, true, &walk), STORE_OK);
    assert_int_equal(past_walk_next(walk, &version), STORE_OK);
    assert_int_equal(version.seq, 4);
    assert_int_equal(version.kind, CHANGE_MODIFIED);
    past_version_release(&version);
    assert_int_equal(past_walk_next(walk, &version), STORE_OK);
    assert_int_equal(version.seq, 3);
    assert_int_equal(version.kind, CHANGE_ADDED);
    past_version_release(&version);
    assert_int_equal(past_walk_next(walk, &version), STORE_ABSENT);
    past_walk_close(walk);
    assert_int_equal(storage_fault_open(sample->store->storage, &fault), STORE_OK);
    sample->store->storage = fault;
    const struct when first = {.kind = WHEN_INSTANT, .instant = {.tv_sec = 1}};
    int rc = resolve_when(sample->store, &first, RESOLVE_BEFORE, now, &resolved, &err);
    assert_int_not_equal(rc, STORE_OK);
    for (uint64_t nth = 1;; nth++) {
        storage_fault_set(fault, &(struct storage_fault){.nth = nth, .code = STORE_IO});
        int again = resolve_when(sample->store, &first, RESOLVE_BEFORE, now, &resolved, &err);
        if (storage_fault_count(fault) < nth) {
            assert_int_equal(again, rc);
            break;
        }
        assert_int_equal(again, STORE_IO);
    }
    storage_fault_set(fault, NULL);
    sample_free(sample);
}

/* ---- differences ---- */

static void test_diff__refuses_what_cannot_be_compared(void **state) {
    struct changing *c = changing_new(1);
    struct inode_version *file, *link;
    struct change_list changes;
    unsigned what;
    (void)state;
    uint64_t oid = changing_write(c, "f", "1"), other = changing_symlink(c, "l", "f");
    uint64_t before = changing_commit(c, "made") + 1;
    assert_int_equal(store_inode(c->store, oid, before, &file), STORE_OK);
    assert_int_equal(store_inode(c->store, other, before, &link), STORE_OK);
    assert_int_equal(diff_objects(c->store, file->revision, link->revision, &what), STORE_INVALID);
    store_release(c->store, file);
    store_release(c->store, link);
    const uint64_t instants[][2] = {{0, before}, {before, 0}, {before + 1, before}, {before, before + 1}};
    for (size_t i = 0; i < 4; i++) {
        const struct diff_options options = {.before_a = instants[i][0], .before_b = instants[i][1]};
        assert_int_equal(diff_run(c->store, &options, &changes), STORE_INVALID);
        assert_int_equal(changes.count, 0);
        change_list_release(&changes);
    }
    changing_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_view__before_everything_is_an_empty_root),
        cmocka_unit_test(test_view_pool__makes_one_view_of_an_instant),
        cmocka_unit_test(test_history__of_many_transactions),
        cmocka_unit_test(test_resolve__refuses_what_no_text_can_say),
        cmocka_unit_test(test_resolve__reads_may_fail),
        cmocka_unit_test(test_log__first_of_now),
        cmocka_unit_test(test_history__ends_where_it_was_packed),
        cmocka_unit_test(test_diff__refuses_what_cannot_be_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
