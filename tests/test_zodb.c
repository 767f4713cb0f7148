/* What ZODB documents of its historical connections, item by item, and where tidfs does better on purpose: ZODB's "future" begins
 * after the last commit, its pool is bounded for each instant only, its sweep waits for the next open, and a packed view
 * fails object by object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "history/log.h"
#include "history/resolve.h"
#include "history/view.h"
#include "store/tid.h"
#include "tests/sample.h"

#define SECOND UINT64_C(1000000000)

/* A store in which a file says in three transactions what came last. */
struct fixture {
    struct sample *sample;
    struct view_pool *pool;
    uint64_t file;
    uint64_t created, first, second, third; /* tids */
};

static void new_pool(struct fixture *fixture, uint64_t idle_max, uint64_t idle_ns) {
    const struct view_pool_options options = {.idle_max = idle_max, .idle_ns = idle_ns};
    view_pool_free(fixture->pool);
    fixture->pool = view_pool_new(fixture->sample->store, &options);
    assert_non_null(fixture->pool);
}

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct sample *sample = fixture->sample = sample_new(NULL);
    struct transaction created;
    assert_int_equal(storage_transaction_at(store_storage(sample->store), 1, &created), STORE_OK);
    fixture->created = created.tid;
    transaction_release(&created);
    fixture->file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "first");
    fixture->first = sample_commit(sample, "first");
    sample_write(sample, fixture->file, "second");
    fixture->second = sample_commit(sample, "second");
    sample_write(sample, fixture->file, "third");
    fixture->third = sample_commit(sample, "third");
    new_pool(fixture, 16, 300 * SECOND);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    view_pool_free(fixture->pool);
    sample_free(fixture->sample);
    free(fixture);
    return 0;
}

static int try_open(struct fixture *fixture, const char *when, enum resolve_how how, struct view **view) {
    struct resolved resolved;
    int rc = resolve_text(fixture->sample->store, when, strlen(when), how, sample_time(fixture->sample, 10), &resolved,
                          NULL);
    return rc != STORE_OK ? -resolve_errno(rc) : view_pool_open(fixture->pool, resolved.before, view);
}

static struct view *open_view(struct fixture *fixture, const char *when, enum resolve_how how) {
    struct view *view = NULL;
    assert_int_equal(try_open(fixture, when, how, &view), 0);
    return view;
}

static const char *content(struct fixture *fixture, struct view *view) {
    static char text[64];
    struct view_attr attr;
    size_t done;
    if (view_walk(view, "file", &attr) != 0) {
        return "none";
    }
    assert_int_equal(view_file_read(fixture->sample->store, attr.revision, 0, sizeof text - 1, (uint8_t *)text, &done),
                     0);
    text[done] = '\0';
    return text;
}

static const char *content_when(struct fixture *fixture, const char *when, enum resolve_how how) {
    struct view *view = open_view(fixture, when, how);
    const char *text = content(fixture, view);
    view_pool_done(fixture->pool, view);
    return text;
}

static const char *hex(uint64_t tid) {
    static char text[TID_TEXT_SIZE];
    tid_format(tid, text);
    return text;
}

static const char *date(uint64_t tid) {
    static char text[TID_TIME_TEXT_SIZE];
    tid_format_time(tid_to_time(tid), text);
    return text;
}

static void test_zodb__at_is_inclusive(void **state) {
    struct fixture *fixture = *state;
    assert_string_equal(content_when(fixture, hex(fixture->first), RESOLVE_AT), "first");
    assert_string_equal(content_when(fixture, hex(fixture->second), RESOLVE_AT), "second");
    assert_string_equal(content_when(fixture, hex(fixture->third), RESOLVE_AT), "third");
}

static void test_zodb__before_is_exclusive(void **state) {
    struct fixture *fixture = *state;
    assert_string_equal(content_when(fixture, hex(fixture->first), RESOLVE_BEFORE), "none");
    assert_string_equal(content_when(fixture, hex(fixture->second), RESOLVE_BEFORE), "first");
    assert_string_equal(content_when(fixture, hex(fixture->third), RESOLVE_BEFORE), "second");
}

static void test_zodb__tid_and_datetime_name_the_same_instant(void **state) {
    struct fixture *fixture = *state;
    const uint64_t tids[] = {fixture->first, fixture->second, fixture->third};
    for (size_t i = 0; i < 3; i++) {
        for (int how = RESOLVE_AT; how <= RESOLVE_BEFORE; how++) {
            struct view *by_tid = open_view(fixture, hex(tids[i]), (enum resolve_how)how);
            struct view *by_date = open_view(fixture, date(tids[i]), (enum resolve_how)how);
            assert_ptr_equal(by_tid, by_date);
            view_pool_done(fixture->pool, by_tid);
            view_pool_done(fixture->pool, by_date);
        }
    }
}

static void test_zodb__between_two_commits_is_the_earlier(void **state) {
    struct fixture *fixture = *state;
    assert_string_equal(content_when(fixture, hex(fixture->second + 1), RESOLVE_AT), "second");
    assert_string_equal(content_when(fixture, hex(fixture->third - 1), RESOLVE_AT), "second");
    assert_string_equal(content_when(fixture, hex(fixture->third - 1), RESOLVE_BEFORE), "second");
}

static void test_zodb__naive_time_is_utc(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(setenv("TZ", "America/New_York", 1), 0);
    tzset();
    char naive[TID_TIME_TEXT_SIZE];
    char zoned[TID_TIME_TEXT_SIZE + 8];
    strcpy(naive, date(fixture->second));
    *strchr(naive, 'Z') = '\0';
    snprintf(zoned, sizeof zoned, "%s+00:00", naive);
    struct view *utc = open_view(fixture, date(fixture->second), RESOLVE_AT);
    struct view *plain = open_view(fixture, naive, RESOLVE_AT);
    struct view *with_zone = open_view(fixture, zoned, RESOLVE_AT);
    assert_ptr_equal(utc, plain);
    assert_ptr_equal(utc, with_zone);
    assert_string_equal(content(fixture, plain), "second");
    view_pool_done(fixture->pool, utc);
    view_pool_done(fixture->pool, plain);
    view_pool_done(fixture->pool, with_zone);
    assert_int_equal(unsetenv("TZ"), 0);
    tzset();
}

static void test_zodb__a_zone_is_converted(void **state) {
    struct fixture *fixture = *state;
    struct timespec local = tid_to_time(fixture->second);
    char text[TID_TIME_TEXT_SIZE + 8];
    local.tv_sec += 3600;
    tid_format_time(local, text);
    strcpy(strchr(text, 'Z'), "+01:00");
    assert_string_equal(content_when(fixture, text, RESOLVE_AT), "second");
    assert_string_equal(content_when(fixture, text, RESOLVE_BEFORE), "first");
}

static void test_zodb__at_is_normalised_to_before(void **state) {
    struct fixture *fixture = *state;
    struct view *at = open_view(fixture, hex(fixture->second), RESOLVE_AT);
    struct view *before = open_view(fixture, hex(fixture->second + 1), RESOLVE_BEFORE);
    struct view *next = open_view(fixture, hex(fixture->third), RESOLVE_BEFORE);
    assert_ptr_equal(at, before); /* at X is before X + 1 */
    assert_ptr_equal(at, next);   /* and all of the gap is one view, unlike ZODB's */
    assert_int_equal(view_tid(at), fixture->second);
    view_pool_done(fixture->pool, at);
    view_pool_done(fixture->pool, before);
    view_pool_done(fixture->pool, next);
}

static void test_zodb__a_view_is_read_only(void **state) {
    struct fixture *fixture = *state;
    /* Views have no operation that writes; what remains is that reading leaves the store as it is, bytes and transactions. */
    struct storage_state state_before, state_after;
    assert_int_equal(storage_get_state(store_storage(fixture->sample->store), &state_before), STORE_OK);
    const struct store_options read_only = {0};
    sample_reopen(fixture->sample, &read_only);
    new_pool(fixture, 16, 300 * SECOND);
    assert_string_equal(content_when(fixture, hex(fixture->first), RESOLVE_AT), "first");
    const struct commit commit = {.base = 4,
                                  .wall = sample_time(fixture->sample, 10),
                                  .user = "",
                                  .message = "",
                                  .next_oid = state_before.next_oid};
    assert_int_equal(store_commit(fixture->sample->store, &commit, NULL), STORE_READ_ONLY);
    assert_int_equal(storage_get_state(store_storage(fixture->sample->store), &state_after), STORE_OK);
    assert_int_equal(state_after.last_seq, state_before.last_seq);
    assert_int_equal(state_after.last_tid, state_before.last_tid);
}

static void test_zodb__the_future_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct view *view;
    struct error err;
    struct resolved resolved;
    struct timespec now = sample_time(fixture->sample, 10);
    assert_int_equal(try_open(fixture, "5000-01-01", RESOLVE_AT, &view), -ENOENT);
    assert_int_equal(try_open(fixture, "5000-01-01", RESOLVE_BEFORE, &view), -ENOENT);
    assert_int_equal(try_open(fixture, "7fffffffffffffff", RESOLVE_AT, &view), -ENOENT);
    assert_int_equal(resolve_text(fixture->sample->store, "5000", 4, RESOLVE_AT, now, &resolved, &err), RESOLVE_FUTURE);
    assert_string_equal(err.text, "cannot open a view in the future");
    /* The edges that ZODB allows. */
    assert_string_equal(content_when(fixture, hex(fixture->third), RESOLVE_AT), "third");
    assert_string_equal(content_when(fixture, hex(fixture->third + 1), RESOLVE_BEFORE), "third");
}

static void test_zodb__now_on_an_idle_store_is_not_the_future(void **state) {
    struct fixture *fixture = *state;
    char text[TID_TIME_TEXT_SIZE];
    tid_format_time(sample_time(fixture->sample, 10), text); /* the clock, ten seconds after the last commit */
    assert_string_equal(content_when(fixture, text, RESOLVE_AT), "third");
    assert_string_equal(content_when(fixture, "now", RESOLVE_AT), "third");
}

static void test_zodb__before_the_first_commit_is_empty(void **state) {
    struct fixture *fixture = *state;
    struct view_attr attr;
    struct view *view = open_view(fixture, "0000000000000000", RESOLVE_BEFORE);
    assert_int_equal(view_walk(view, "", &attr), 0); /* where ZODB fails at the first access */
    assert_string_equal(content(fixture, view), "none");
    view_pool_done(fixture->pool, view);
    view = open_view(fixture, "1970", RESOLVE_AT);
    assert_string_equal(content(fixture, view), "none");
    view_pool_done(fixture->pool, view);
}

static void test_zodb__pooled_views_are_reused(void **state) {
    struct fixture *fixture = *state;
    struct view_pool_statistics statistics;
    struct view *first = open_view(fixture, hex(fixture->first), RESOLVE_AT);
    view_pool_done(fixture->pool, first);
    struct view *again = open_view(fixture, hex(fixture->first), RESOLVE_AT);
    assert_ptr_equal(again, first);
    struct view *shared = open_view(fixture, hex(fixture->first), RESOLVE_AT); /* views do not differ by user */
    assert_ptr_equal(shared, first);
    view_pool_get_statistics(fixture->pool, &statistics);
    assert_int_equal(statistics.opened, 1);
    assert_int_equal(statistics.reused, 2);
    view_pool_done(fixture->pool, again);
    view_pool_done(fixture->pool, shared);
}

static void test_zodb__pool_size_bounds_the_total(void **state) {
    struct fixture *fixture = *state;
    struct view_pool_statistics statistics;
    new_pool(fixture, 2, 300 * SECOND);
    const uint64_t tids[] = {fixture->created, fixture->first, fixture->second, fixture->third};
    for (size_t i = 0; i < 4; i++) {
        (void)content_when(fixture, hex(tids[i]), RESOLVE_AT);
    }
    view_pool_get_statistics(fixture->pool, &statistics);
    assert_int_equal(statistics.idle, 2);
    assert_int_equal(statistics.open, 2);
    assert_int_equal(statistics.expired, 2);
}

static void test_zodb__idle_views_expire_by_timer(void **state) {
    struct fixture *fixture = *state;
    struct view_pool_statistics statistics;
    struct timespec now;
    (void)content_when(fixture, hex(fixture->first), RESOLVE_AT);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    uint64_t now_ns = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
    assert_true(view_pool_sweep(fixture->pool, now_ns + 299 * SECOND) <= SECOND);
    view_pool_get_statistics(fixture->pool, &statistics);
    assert_int_equal(statistics.idle, 1);
    assert_true(view_pool_sweep(fixture->pool, now_ns + 300 * SECOND) == UINT64_MAX); /* no open is needed for it */
    view_pool_get_statistics(fixture->pool, &statistics);
    assert_int_equal(statistics.open, 0);
    assert_int_equal(statistics.expired, 1);
    assert_string_equal(content_when(fixture, hex(fixture->first), RESOLVE_AT), "first");
}

static void test_zodb__views_do_not_move_when_head_does(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    struct view *view = open_view(fixture, "now", RESOLVE_AT);
    struct view_attr root_then, root_now, file_then, file_now;
    assert_string_equal(content(fixture, view), "third");
    assert_int_equal(view_walk(view, "", &root_then), 0);
    assert_int_equal(view_walk(view, "file", &file_then), 0);
    sample_write(sample, fixture->file, "fourth");
    sample_make(sample, ROOT_OID, "new", S_IFREG | 0644, NULL);
    sample_commit(sample, "fourth");
    sample_remove(sample, ROOT_OID, "file");
    sample_commit(sample, "removed");

    assert_string_equal(content(fixture, view), "third");
    assert_int_equal(view_tid(view), fixture->third);
    assert_int_equal(view_walk(view, "", &root_now), 0);
    assert_int_equal(view_walk(view, "file", &file_now), 0);
    assert_memory_equal(&root_now.stat, &root_then.stat, sizeof root_now.stat);
    assert_memory_equal(&file_now.stat, &file_then.stat, sizeof file_now.stat);
    assert_int_equal(view_walk(view, "new", &file_now), -ENOENT);
    view_pool_done(fixture->pool, view);
    assert_string_equal(content_when(fixture, "now", RESOLVE_AT), "none");
}

static void test_zodb__undo_is_a_new_transaction_and_old_views_stay(void **state) {
    struct fixture *fixture = *state;
    sample_write(fixture->sample, fixture->file, "first");
    uint64_t undone = sample_commit(fixture->sample, "undo second and third");
    assert_string_equal(content_when(fixture, hex(undone), RESOLVE_AT), "first");
    assert_string_equal(content_when(fixture, hex(undone), RESOLVE_BEFORE), "third");
    assert_string_equal(content_when(fixture, hex(fixture->second), RESOLVE_AT), "second");
}

static void test_zodb__tids_ascend_when_the_clock_does_not(void **state) {
    struct fixture *fixture = *state;
    fixture->sample->clock.tv_sec -= 3600;
    uint64_t next = sample_commit(fixture->sample, "an hour ago by the clock");
    assert_int_equal(next, fixture->third + 1);
}

static void test_zodb__a_log_in_a_view_stops_at_its_tid(void **state) {
    struct fixture *fixture = *state;
    struct view *view = open_view(fixture, hex(fixture->second), RESOLVE_AT);
    const char *path = "file";
    const struct log_options options = {
        .range = {.first = 1, .last = view_before(view) - 1}, .paths = &path, .path_count = 1};
    struct log_walk *walk;
    struct transaction transaction;
    size_t absent;
    assert_int_equal(log_walk_open(fixture->sample->store, &options, &walk, &absent), STORE_OK);
    assert_int_equal(log_walk_next(walk, &transaction), STORE_OK);
    assert_int_equal(transaction.tid, fixture->second);
    transaction_release(&transaction);
    log_walk_close(walk);
    view_pool_done(fixture->pool, view);
}

static void test_zodb__a_packed_view_is_refused_whole(void **state) {
    struct fixture *fixture = *state;
    struct view *view;
    sample_move_horizon(fixture->sample, 3, 1);
    assert_int_equal(try_open(fixture, hex(fixture->first), RESOLVE_AT, &view), -ESTALE);
    assert_int_equal(try_open(fixture, hex(fixture->second), RESOLVE_BEFORE, &view), -ESTALE);
    assert_string_equal(content_when(fixture, hex(fixture->second), RESOLVE_AT), "second"); /* packed to: whole */
    assert_string_equal(content_when(fixture, hex(fixture->third), RESOLVE_AT), "third");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_zodb__at_is_inclusive),
        TEST(test_zodb__before_is_exclusive),
        TEST(test_zodb__tid_and_datetime_name_the_same_instant),
        TEST(test_zodb__between_two_commits_is_the_earlier),
        TEST(test_zodb__naive_time_is_utc),
        TEST(test_zodb__a_zone_is_converted),
        TEST(test_zodb__at_is_normalised_to_before),
        TEST(test_zodb__a_view_is_read_only),
        TEST(test_zodb__the_future_is_refused),
        TEST(test_zodb__now_on_an_idle_store_is_not_the_future),
        TEST(test_zodb__before_the_first_commit_is_empty),
        TEST(test_zodb__pooled_views_are_reused),
        TEST(test_zodb__pool_size_bounds_the_total),
        TEST(test_zodb__idle_views_expire_by_timer),
        TEST(test_zodb__views_do_not_move_when_head_does),
        TEST(test_zodb__undo_is_a_new_transaction_and_old_views_stay),
        TEST(test_zodb__tids_ascend_when_the_clock_does_not),
        TEST(test_zodb__a_log_in_a_view_stops_at_its_tid),
        TEST(test_zodb__a_packed_view_is_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
