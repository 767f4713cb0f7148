#include <inttypes.h>
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

#include "history/resolve.h"
#include "store/tid.h"
#include "tests/sample.h"

#define AT(seq) ((seq) + 1) /* the `before` that includes a transaction */
enum { COMMITS = 6 };       /* the first is the store's own */

struct fixture {
    struct sample *sample;
    uint64_t tids[COMMITS + 1]; /* [seq] */
    struct timespec now;        /* ten seconds after the newest */
};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->sample = sample_new(NULL);
    struct transaction first;
    assert_int_equal(storage_transaction_at(store_storage(fixture->sample->store), 1, &first), STORE_OK);
    fixture->tids[1] = first.tid;
    transaction_release(&first);
    for (size_t seq = 2; seq <= COMMITS; seq++) {
        fixture->tids[seq] = sample_commit(fixture->sample, "more");
    }
    fixture->now = sample_time(fixture->sample, 10);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    sample_free(fixture->sample);
    free(fixture);
    return 0;
}

static int try_resolve(struct fixture *fixture, const char *text, enum resolve_how how, struct resolved *resolved) {
    struct error err = {.text = ""};
    int rc = resolve_text(fixture->sample->store, text, strlen(text), how, fixture->now, resolved, &err);
    assert_true(rc == STORE_OK || strlen(err.text) > 0);
    return rc;
}

static struct resolved resolve(struct fixture *fixture, const char *text, enum resolve_how how) {
    struct resolved resolved;
    assert_int_equal(try_resolve(fixture, text, how, &resolved), STORE_OK);
    if (resolved.before > 1) {
        assert_int_equal(resolved.tid, fixture->tids[resolved.before - 1]);
        struct timespec time = tid_to_time(resolved.tid);
        assert_int_equal(resolved.time.tv_sec, time.tv_sec);
        assert_int_equal(resolved.time.tv_nsec, time.tv_nsec);
    } else {
        assert_int_equal(resolved.tid, 0);
        assert_int_equal(resolved.time.tv_sec, 0);
    }
    return resolved;
}

static uint64_t at(struct fixture *fixture, const char *text) {
    return resolve(fixture, text, RESOLVE_AT).before;
}

static uint64_t before(struct fixture *fixture, const char *text) {
    return resolve(fixture, text, RESOLVE_BEFORE).before;
}

static const char *tid_text(uint64_t tid, char text[64]) {
    tid_format(tid, text);
    return text;
}

/* The time of a transaction and some nanoseconds, as a date. */
static const char *date_text(struct fixture *fixture, uint64_t seq, long ns, char text[64]) {
    struct timespec time = tid_to_time(fixture->tids[seq]);
    time.tv_nsec += ns;
    if (time.tv_nsec < 0) {
        time.tv_nsec += 1000000000;
        time.tv_sec--;
    } else if (time.tv_nsec >= 1000000000) {
        time.tv_nsec -= 1000000000;
        time.tv_sec++;
    }
    tid_format_time(time, text);
    return text;
}

static void test_resolve__tid_is_inclusive_at_and_exclusive_before(void **state) {
    struct fixture *fixture = *state;
    char text[64];
    for (uint64_t seq = 1; seq <= COMMITS; seq++) {
        assert_int_equal(at(fixture, tid_text(fixture->tids[seq], text)), AT(seq));
        assert_int_equal(before(fixture, text), seq);
        assert_int_equal(at(fixture, tid_text(fixture->tids[seq] - 1, text)), seq);
        assert_int_equal(before(fixture, tid_text(fixture->tids[seq] + 1, text)), AT(seq));
    }
}

static void test_resolve__date_takes_the_newest_at_or_before_it(void **state) {
    struct fixture *fixture = *state;
    char text[64];
    for (uint64_t seq = 1; seq <= COMMITS; seq++) {
        assert_int_equal(at(fixture, date_text(fixture, seq, 0, text)), AT(seq));
        assert_int_equal(before(fixture, text), seq);
        assert_int_equal(at(fixture, date_text(fixture, seq, 1, text)), AT(seq));
        assert_int_equal(before(fixture, text), AT(seq));
        assert_int_equal(at(fixture, date_text(fixture, seq, -1, text)), seq);
        assert_int_equal(before(fixture, text), seq);
    }
}

static void test_resolve__names_between_the_same_commits_are_one_view(void **state) {
    struct fixture *fixture = *state;
    char text[64];
    struct resolved by_tid = resolve(fixture, tid_text(fixture->tids[3], text), RESOLVE_AT);
    struct resolved by_date = resolve(fixture, date_text(fixture, 3, 999999999, text), RESOLVE_AT);
    assert_int_equal(by_tid.before, by_date.before);
    assert_int_equal(by_tid.name, by_date.name);
    assert_int_equal(by_tid.name, fixture->tids[3]);
}

static void test_resolve__after_the_last_commit_and_before_now_is_the_last(void **state) {
    struct fixture *fixture = *state;
    char text[64];
    struct resolved resolved = resolve(fixture, date_text(fixture, COMMITS, 500, text), RESOLVE_AT);
    assert_int_equal(resolved.before, AT(COMMITS));
    assert_false(resolved.settled); /* a commit may still get a tid below it */
    assert_false(resolved.moving);
    tid_format_time(fixture->now, text);
    assert_int_equal(at(fixture, text), AT(COMMITS));
    assert_int_equal(before(fixture, text), AT(COMMITS));
    assert_true(resolve(fixture, tid_text(fixture->tids[COMMITS], text), RESOLVE_AT).settled);
    assert_true(resolve(fixture, tid_text(fixture->tids[COMMITS] + 1, text), RESOLVE_BEFORE).settled);
    assert_false(resolve(fixture, tid_text(fixture->tids[COMMITS] + 1, text), RESOLVE_AT).settled);
}

static void test_resolve__the_future_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct resolved resolved;
    struct error err;
    char text[64];
    struct timespec future = fixture->now;
    future.tv_sec += 1;
    tid_format_time(future, text);
    assert_int_equal(try_resolve(fixture, text, RESOLVE_AT, &resolved), RESOLVE_FUTURE);
    assert_int_equal(try_resolve(fixture, text, RESOLVE_BEFORE, &resolved), RESOLVE_FUTURE);
    uint64_t tid;
    assert_true(tid_from_time(future, &tid));
    assert_int_equal(try_resolve(fixture, tid_text(tid, text), RESOLVE_AT, &resolved), RESOLVE_FUTURE);
    assert_int_equal(try_resolve(fixture, "7fffffffffffffff", RESOLVE_AT, &resolved), RESOLVE_FUTURE);
    assert_int_equal(try_resolve(fixture, "5000-01-01", RESOLVE_AT, &resolved), RESOLVE_FUTURE);
    assert_int_equal(resolve_text(fixture->sample->store, "5000", 4, RESOLVE_AT, fixture->now, &resolved, &err),
                     RESOLVE_FUTURE);
    assert_string_equal(err.text, "cannot open a view in the future");
    assert_int_equal(resolve_errno(RESOLVE_FUTURE), ENOENT);
}

static int check_tid(struct fixture *fixture, const char *text) {
    struct when when;
    struct error err = {.text = ""};
    assert_int_equal(when_parse(text, strlen(text), fixture->now, &when, NULL), STORE_OK);
    int rc = resolve_check_tid(fixture->sample->store, &when, fixture->now, &err);
    assert_true(rc == STORE_OK || strstr(err.text, text) || strchr(text, '~'));
    return rc;
}

static void test_resolve__a_typed_tid_must_be_that_of_a_transaction(void **state) {
    struct fixture *fixture = *state;
    char text[64];
    for (size_t seq = 1; seq <= COMMITS; seq++) {
        assert_int_equal(check_tid(fixture, tid_text(fixture->tids[seq], text)), STORE_OK);
        assert_int_equal(check_tid(fixture, tid_text(fixture->tids[seq] + 1, text)), RESOLVE_NO_TID);
        assert_int_equal(check_tid(fixture, tid_text(fixture->tids[seq] - 1, text)), RESOLVE_NO_TID);
    }
    (void)snprintf(text, sizeof text, "%016" PRIx64 "~1", fixture->tids[2] + 1);
    assert_int_equal(check_tid(fixture, text), RESOLVE_NO_TID);
    assert_int_equal(check_tid(fixture, "03c4857600000000"), RESOLVE_NO_TID);
    assert_int_equal(resolve_errno(RESOLVE_NO_TID), ENOENT);
    /* Not this function's business. */
    assert_int_equal(check_tid(fixture, "7fffffffffffffff"), STORE_OK);
    assert_int_equal(check_tid(fixture, "0000000000000000"), STORE_OK);
    assert_int_equal(check_tid(fixture, "1985"), STORE_OK);
    assert_int_equal(check_tid(fixture, "no-such-tag"), STORE_OK);
    /* What is packed away is a transaction still; a clock that was set back changes nothing. */
    sample_move_horizon(fixture->sample, 3, 1795343400);
    assert_int_equal(check_tid(fixture, tid_text(fixture->tids[1], text)), STORE_OK);
    fixture->now = sample_time(fixture->sample, -3600);
    assert_int_equal(check_tid(fixture, tid_text(fixture->tids[COMMITS], text)), STORE_OK);
    assert_int_equal(check_tid(fixture, tid_text(fixture->tids[COMMITS] - 1, text)), RESOLVE_NO_TID);
}

static void test_resolve__a_clock_set_back_hides_nothing(void **state) {
    struct fixture *fixture = *state;
    char text[64];
    struct resolved resolved;
    fixture->now = sample_time(fixture->sample, -3600);
    assert_int_equal(at(fixture, tid_text(fixture->tids[COMMITS], text)), AT(COMMITS));
    assert_int_equal(before(fixture, tid_text(fixture->tids[COMMITS] + 1, text)), AT(COMMITS));
    assert_int_equal(at(fixture, "now"), AT(COMMITS));
    assert_int_equal(before(fixture, "now"), AT(COMMITS));
    assert_int_equal(at(fixture, date_text(fixture, COMMITS, 0, text)), AT(COMMITS));
    assert_int_equal(at(fixture, date_text(fixture, 3, 0, text)), AT(3));
    assert_int_equal(try_resolve(fixture, tid_text(fixture->tids[COMMITS] + 1, text), RESOLVE_AT, &resolved),
                     RESOLVE_FUTURE);
}

static void test_resolve__before_the_first_commit_is_no_error(void **state) {
    struct fixture *fixture = *state;
    char text[64];
    assert_int_equal(at(fixture, "1985-04-12T23:20:50.52Z"), 1);
    assert_int_equal(at(fixture, "0000000000000000"), 1);
    struct resolved resolved = resolve(fixture, "1985", RESOLVE_BEFORE);
    assert_int_equal(resolved.before, 1);
    assert_true(resolved.settled);
    assert_int_equal(before(fixture, tid_text(resolved.name, text)), 1);
}

static void test_resolve__now_and_relative_times_move(void **state) {
    struct fixture *fixture = *state;
    struct resolved resolved = resolve(fixture, "now", RESOLVE_AT);
    assert_int_equal(resolved.before, AT(COMMITS));
    assert_int_equal(resolved.name, fixture->tids[COMMITS]);
    assert_true(resolved.moving);
    assert_false(resolved.settled);
    resolved = resolve(fixture, "now", RESOLVE_BEFORE);
    assert_int_equal(resolved.before, AT(COMMITS));
    assert_int_equal(resolved.name, fixture->tids[COMMITS] + 1);
    assert_int_equal(at(fixture, "-71s"), AT(4)); /* commits are ten seconds ago, 70, 130... */
    assert_int_equal(at(fixture, "-69s"), AT(5));
    assert_int_equal(at(fixture, "-2m"), AT(4));
    assert_int_equal(at(fixture, "-2w"), 1);
    assert_true(resolve(fixture, "-2m", RESOLVE_AT).moving);
}

static void test_resolve__steps_go_back_by_transactions(void **state) {
    struct fixture *fixture = *state;
    char text[80];
    assert_int_equal(at(fixture, "now^"), AT(COMMITS - 1));
    assert_int_equal(at(fixture, "now~2"), AT(COMMITS - 2));
    assert_int_equal(at(fixture, "now~2^"), AT(COMMITS - 3));
    struct resolved resolved = resolve(fixture, "now~2", RESOLVE_BEFORE); /* just before that transaction */
    assert_int_equal(resolved.before, COMMITS - 2);
    assert_int_equal(resolved.name, fixture->tids[COMMITS - 2]);
    assert_true(resolved.moving);
    date_text(fixture, 4, 500, text);
    strcat(text, "~2");
    resolved = resolve(fixture, text, RESOLVE_AT);
    assert_int_equal(resolved.before, AT(2));
    assert_false(resolved.moving);
    assert_true(resolved.settled);
    assert_int_equal(before(fixture, text), 2);
    assert_int_equal(at(fixture, "now~5"), AT(1));
    assert_int_equal(before(fixture, "now~5"), 1);
    assert_int_equal(try_resolve(fixture, "now~6", RESOLVE_AT, &resolved), RESOLVE_TOO_EARLY);
    assert_int_equal(try_resolve(fixture, "1985^", RESOLVE_AT, &resolved), RESOLVE_TOO_EARLY);
    assert_int_equal(try_resolve(fixture, "now~1000000000000", RESOLVE_BEFORE, &resolved), RESOLVE_TOO_EARLY);
    assert_int_equal(resolve_errno(RESOLVE_TOO_EARLY), ENOENT);
}

static void test_resolve__tags(void **state) {
    struct fixture *fixture = *state;
    struct storage *storage = store_storage(fixture->sample->store);
    struct resolved resolved;
    assert_int_equal(try_resolve(fixture, "release-1", RESOLVE_AT, &resolved), RESOLVE_NO_TAG);
    assert_int_equal(resolve_errno(RESOLVE_NO_TAG), ENOENT);
    assert_int_equal(storage_tag_set(storage, "release-1", fixture->tids[3], false), STORE_OK);
    resolved = resolve(fixture, "release-1", RESOLVE_AT);
    assert_int_equal(resolved.before, AT(3));
    assert_int_equal(resolved.name, fixture->tids[3]);
    assert_true(resolved.moving);
    resolved = resolve(fixture, "release-1", RESOLVE_BEFORE);
    assert_int_equal(resolved.before, 3);
    assert_int_equal(resolved.name, fixture->tids[3]);
    assert_int_equal(at(fixture, "release-1^"), AT(2));
    assert_int_equal(storage_tag_set(storage, "release-1", fixture->tids[5], true), STORE_OK);
    assert_int_equal(at(fixture, "release-1"), AT(5));
}

static void test_resolve__the_name_is_the_same_view_for_ever(void **state) {
    struct fixture *fixture = *state;
    static const char *const texts[] = {"now", "now~3", "-2m", "1985", "-1m", "now^^"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char name[64];
        struct resolved at_first = resolve(fixture, texts[i], RESOLVE_BEFORE);
        tid_format(at_first.name, name);
        assert_int_equal(before(fixture, name), at_first.before);
        struct resolved in_first = resolve(fixture, texts[i], RESOLVE_AT);
        if (in_first.before > 1) {
            tid_format(in_first.name, name);
            assert_int_equal(at(fixture, name), in_first.before);
        }
    }
}

static void test_resolve__malformed_is_refused_with_a_sentence(void **state) {
    struct fixture *fixture = *state;
    static const char *const texts[] = {"", "2026-13", "2026-02-30", "-5", "~", "@", "a/b", "2026-11-22T25"};
    struct resolved resolved;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(try_resolve(fixture, texts[i], RESOLVE_AT, &resolved), RESOLVE_MALFORMED);
    }
    assert_int_equal(resolve_errno(RESOLVE_MALFORMED), ENOENT);
    assert_int_equal(resolve_errno(STORE_OK), 0);
    assert_int_equal(resolve_errno(STORE_IO), EIO);
}

static void test_resolve__packed_away_says_what_and_when(void **state) {
    struct fixture *fixture = *state;
    char text[64];
    struct resolved resolved;
    struct error err;
    sample_move_horizon(fixture->sample, 3, 1795343400);
    tid_format(fixture->tids[2], text);
    assert_int_equal(
        resolve_text(fixture->sample->store, text, strlen(text), RESOLVE_AT, fixture->now, &resolved, &err),
        STORE_PACKED);
    assert_non_null(strstr(err.text, "2026-11-22T10:30:00"));
    date_text(fixture, 3, 0, text);
    assert_non_null(strstr(err.text, text));
    assert_int_equal(at(fixture, text), AT(3));
    assert_int_equal(try_resolve(fixture, text, RESOLVE_BEFORE, &resolved), STORE_PACKED);
    assert_int_equal(try_resolve(fixture, "1985", RESOLVE_AT, &resolved), STORE_PACKED);
    assert_int_equal(resolve_errno(STORE_PACKED), ESTALE);
}

static void test_resolve__a_reader_sees_no_more_than_it_was_told_of(void **state) {
    struct fixture *fixture = *state;
    struct store *reader;
    struct error err;
    struct resolved resolved;
    char text[64];
    const struct store_options options = {0};
    assert_int_equal(store_open(fixture->sample->directory, &options, &reader, &err), STORE_OK);
    uint64_t tid = sample_commit(fixture->sample, "7");
    fixture->now = sample_time(fixture->sample, 10);
    assert_int_equal(resolve_text(reader, "now", 3, RESOLVE_AT, fixture->now, &resolved, &err), STORE_OK);
    assert_int_equal(resolved.before, AT(COMMITS));
    tid_text(tid, text);
    assert_int_equal(resolve_text(reader, text, 16, RESOLVE_AT, fixture->now, &resolved, &err), STORE_OK);
    assert_int_equal(resolved.before, AT(COMMITS));
    assert_false(resolved.settled);
    assert_int_equal(store_refresh(reader, NULL, NULL), STORE_OK);
    assert_int_equal(resolve_text(reader, text, 16, RESOLVE_AT, fixture->now, &resolved, &err), STORE_OK);
    assert_int_equal(resolved.before, AT(COMMITS + 1));
    store_close(reader);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_resolve__tid_is_inclusive_at_and_exclusive_before),
        TEST(test_resolve__date_takes_the_newest_at_or_before_it),
        TEST(test_resolve__names_between_the_same_commits_are_one_view),
        TEST(test_resolve__after_the_last_commit_and_before_now_is_the_last),
        TEST(test_resolve__the_future_is_refused),
        TEST(test_resolve__a_clock_set_back_hides_nothing),
        TEST(test_resolve__before_the_first_commit_is_no_error),
        TEST(test_resolve__now_and_relative_times_move),
        TEST(test_resolve__steps_go_back_by_transactions),
        TEST(test_resolve__tags),
        TEST(test_resolve__the_name_is_the_same_view_for_ever),
        TEST(test_resolve__malformed_is_refused_with_a_sentence),
        TEST(test_resolve__a_typed_tid_must_be_that_of_a_transaction),
        TEST(test_resolve__packed_away_says_what_and_when),
        TEST(test_resolve__a_reader_sees_no_more_than_it_was_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
