/* store/tid.h: reference values, round trips, and the ends of months, minutes and time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <string.h>

#include "store/tid.h"

#define RANDOM_ROUNDS 300000

/* xorshift64*: the same numbers on every machine, so that a failure can be repeated. */
static uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

static int64_t utc(int year, int month, int day, int hour, int minute, int second) {
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    return timegm(&tm);
}

static uint64_t tid_of(int64_t seconds, long ns) {
    uint64_t tid = 0;
    assert_true(tid_from_time((struct timespec){.tv_sec = seconds, .tv_nsec = ns}, &tid));
    return tid;
}

static void test_tid__reference_values(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        int year, month, day, hour, minute, second;
        long ns;
    } cases[] = {
        {"0000000000000000", 1900, 1, 1, 0, 0, 0, 0},
        {"023c2b0000000000", 1970, 1, 1, 0, 0, 0, 0},
        {"03c4857600000000", 2018, 1, 1, 10, 30, 0, 0},
        {"02b914f8d78d4fdf", 1985, 4, 12, 23, 20, 50, 520000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t seconds =
            utc(cases[i].year, cases[i].month, cases[i].day, cases[i].hour, cases[i].minute, cases[i].second);
        char text[TID_TEXT_SIZE];
        tid_format(tid_of(seconds, cases[i].ns), text);
        assert_string_equal(text, cases[i].hex);
        uint64_t parsed;
        assert_true(tid_parse(cases[i].hex, strlen(cases[i].hex), &parsed));
        struct timespec back = tid_to_time(parsed);
        assert_int_equal(back.tv_sec, seconds);
        assert_in_range(cases[i].ns - back.tv_nsec, 0, 13);
    }
}

static void test_tid__every_time_shown_finds_its_tid(void **state) {
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < RANDOM_ROUNDS; i++) {
        uint64_t tid = random_next(&random) & TID_MAX;
        if ((tid >> 32) / 60 / 24 % 31 >= 28) /* maybe no real day */
            tid -= (UINT64_C(28) * 24 * 60) << 32;
        struct timespec time = tid_to_time(tid);
        assert_in_range(time.tv_nsec, 0, 999999999);
        assert_int_equal(tid_of(time.tv_sec, time.tv_nsec), tid);
    }
}

/* Nanoseconds from one instant to another that is near. */
static int64_t ns_between(struct timespec from, struct timespec to) {
    return (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
}

static void test_tid__is_the_largest_not_after_its_instant(void **state) {
    (void)state;
    uint64_t random = 2;
    int64_t first = utc(1900, 1, 1, 0, 0, 0), span = utc(5908, 1, 1, 0, 0, 0) - first;
    for (int i = 0; i < RANDOM_ROUNDS; i++) {
        struct timespec instant = {.tv_sec = first + (int64_t)(random_next(&random) % (uint64_t)span),
                                   .tv_nsec = (long)(random_next(&random) % 1000000000)};
        uint64_t tid = tid_of(instant.tv_sec, instant.tv_nsec);
        assert_in_range(ns_between(tid_to_time(tid), instant), 0, 13);
        if ((tid & UINT32_MAX) != UINT32_MAX)
            assert_true(ns_between(tid_to_time(tid + 1), instant) < 0);
    }
}

static void test_tid__order_follows_time(void **state) {
    (void)state;
    uint64_t random = 3, last = 0;
    struct timespec time = {.tv_sec = utc(2023, 12, 31, 23, 59, 0)};
    for (int i = 0; i < RANDOM_ROUNDS; i++) {
        int64_t ns = time.tv_nsec + 14 + (int64_t)(random_next(&random) % 1000000000000);
        time = (struct timespec){.tv_sec = time.tv_sec + ns / 1000000000, .tv_nsec = (long)(ns % 1000000000)};
        uint64_t tid = tid_of(time.tv_sec, time.tv_nsec);
        assert_true(tid > last);
        last = tid;
    }
}

static void test_tid__second_60_is_never_shown(void **state) {
    (void)state;
    uint64_t minute = tid_of(utc(2026, 11, 22, 10, 30, 0), 0);
    for (uint64_t i = 1; i <= 100; i++) {
        struct timespec time = tid_to_time(minute | (UINT32_MAX - i + 1));
        char text[TID_TIME_TEXT_SIZE];
        tid_format_time(time, text);
        assert_memory_equal(text, "2026-11-22T10:30:59.999", 23);
    }
}

static void test_tid__last_nanosecond_stays_in_its_minute(void **state) {
    (void)state;
    uint64_t minute = tid_of(utc(2026, 11, 22, 10, 30, 0), 0);
    assert_int_equal(tid_of(utc(2026, 11, 22, 10, 30, 59), 999999999), minute | UINT32_MAX);
}

/* The id after the last tick of a short month is of a day that does not exist. It orders between the months, and is shown as the
 * start of the second one. */
static void test_tid__next_after_the_end_of_a_short_month(void **state) {
    (void)state;
    struct timespec now = {.tv_sec = utc(2026, 2, 28, 23, 59, 59), .tv_nsec = 999999999};
    uint64_t tid;
    assert_true(tid_next(now, tid_of(now.tv_sec, now.tv_nsec), &tid));
    assert_true(tid < tid_of(utc(2026, 3, 1, 0, 0, 0), 0));
    assert_int_equal(tid_to_time(tid).tv_sec, utc(2026, 3, 1, 0, 0, 0));
    assert_int_equal(tid_to_time(tid).tv_nsec, 0);
}

static void test_tid__month_ends(void **state) {
    (void)state;
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    static const int years[] = {1900, 1999, 2000, 2023, 2024, 2100, 2400, 5907};
    for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
        int year = years[i];
        int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 1; month <= 12; month++) {
            int last = days[month - 1] + (month == 2 ? leap : 0);
            int64_t end = utc(year, month, last, 23, 59, 59);
            uint64_t before = tid_of(end, 999999000), after = tid_of(end + 1, 0);
            assert_true(before < after);
            assert_int_equal(after >> 32, ((uint64_t)(year - 1900) * 12 + (uint64_t)month) * 31 * 24 * 60);
            assert_int_equal(tid_to_time(before).tv_sec, end);
            assert_int_equal(tid_to_time(after).tv_sec, end + 1);
        }
    }
}

static void test_tid__day_that_does_not_exist(void **state) {
    (void)state;
    uint64_t february = tid_of(utc(2026, 2, 1, 12, 0, 0), 0), april = tid_of(utc(2026, 4, 1, 12, 0, 0), 0);
    uint64_t thirty_days = (UINT64_C(30) * 24 * 60) << 32;
    assert_int_equal(tid_to_time(february + thirty_days).tv_sec, utc(2026, 3, 3, 12, 0, 0));
    assert_int_equal(tid_to_time(april + thirty_days).tv_sec, utc(2026, 5, 1, 12, 0, 0));
}

static void test_tid__far_ends(void **state) {
    (void)state;
    uint64_t tid = 7;
    int64_t first = utc(1900, 1, 1, 0, 0, 0);
    assert_false(tid_from_time((struct timespec){.tv_sec = first - 1, .tv_nsec = 999999999}, &tid));
    assert_false(tid_from_time((struct timespec){.tv_sec = INT64_MIN}, &tid));
    assert_false(tid_from_time((struct timespec){.tv_sec = INT64_MAX, .tv_nsec = 999999999}, &tid));
    assert_false(tid_from_time((struct timespec){.tv_sec = 0, .tv_nsec = 1000000000}, &tid));
    assert_false(tid_from_time((struct timespec){.tv_sec = 0, .tv_nsec = -1}, &tid));
    /* where 32 bits of minutes would wrap to small tids */
    for (int64_t year = 5909; year <= 10000; year++)
        assert_false(tid_from_time((struct timespec){.tv_sec = utc((int)year, 1, 1, 0, 0, 0)}, &tid));
    assert_int_equal(tid, 7);

    struct timespec last = tid_to_time(TID_MAX);
    assert_int_equal(tid_of(last.tv_sec, last.tv_nsec), TID_MAX);
    char text[TID_TIME_TEXT_SIZE];
    tid_format_time(last, text);
    assert_memory_equal(text, "5908-", 5);
    assert_int_equal(tid_of(last.tv_sec, 999999999), TID_MAX);
    tid = 7;
    assert_false(tid_from_time((struct timespec){.tv_sec = last.tv_sec + 1}, &tid));
    assert_int_equal(tid, 7);
    assert_int_equal(tid_to_time(0).tv_sec, first);
}

static void test_tid__next_never_repeats(void **state) {
    (void)state;
    struct timespec now = {.tv_sec = utc(2026, 11, 22, 10, 30, 0), .tv_nsec = 5};
    uint64_t tid, last = tid_of(now.tv_sec, now.tv_nsec);
    assert_true(tid_next(now, 0, &tid));
    assert_int_equal(tid, last);
    assert_true(tid_next(now, last, &tid));
    assert_int_equal(tid, last + 1);
    /* a clock that steps back, even before all tids */
    now.tv_sec -= 3600;
    assert_true(tid_next(now, last, &tid));
    assert_int_equal(tid, last + 1);
    now.tv_sec = utc(1899, 1, 1, 0, 0, 0);
    assert_true(tid_next(now, last, &tid));
    assert_int_equal(tid, last + 1);
    /* plain arithmetic over the end of a minute */
    last |= UINT32_MAX;
    assert_true(tid_next(now, last, &tid));
    assert_int_equal(tid, last + 1);
    assert_int_equal(tid & UINT32_MAX, 0);
}

static void test_tid__next_ends_at_the_end_of_time(void **state) {
    (void)state;
    struct timespec now = {.tv_sec = utc(2026, 11, 22, 10, 30, 0)};
    uint64_t tid = 7;
    assert_true(tid_next(now, TID_MAX - 1, &tid));
    assert_int_equal(tid, TID_MAX);
    tid = 7;
    assert_false(tid_next(now, TID_MAX, &tid));
    assert_false(tid_next((struct timespec){.tv_sec = utc(5909, 1, 1, 0, 0, 0)}, 1, &tid));
    assert_int_equal(tid, 7);
}

static void test_tid__parse_is_strict(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "0",
                                      "03f8a3c100d2e4b",
                                      "03f8a3c100d2e4b70",
                                      "03f8a3c100d2e4bg",
                                      "0x3f8a3c100d2e4b",
                                      " 3f8a3c100d2e4b7",
                                      "+3f8a3c100d2e4b7",
                                      "8000000000000000",
                                      "ffffffffffffffff"};
    uint64_t tid = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(tid_parse(bad[i], strlen(bad[i]), &tid));
    assert_int_equal(tid, 7);
    assert_true(tid_parse("03F8a3C100d2E4b7/file", 16, &tid));
    assert_int_equal(tid, UINT64_C(0x03f8a3c100d2e4b7));
    assert_true(tid_parse("7fffffffffffffff", 16, &tid));
    assert_int_equal(tid, TID_MAX);
}

static void test_tid__time_text(void **state) {
    (void)state;
    static const struct {
        int64_t seconds;
        long ns;
        const char *text;
    } cases[] = {
        {0, 0, "1970-01-01T00:00:00.000000000Z"},
        {-1, 999999999, "1969-12-31T23:59:59.999999999Z"},
        {1795343400, 250000000, "2026-11-22T10:30:00.250000000Z"},
        {951782400, 1, "2000-02-29T00:00:00.000000001Z"},
        {-62135596801, 0, "0000-12-31T23:59:59.000000000Z"},
        {INT64_MAX, 999999999, "292277026596-12-04T15:30:07.999999999Z"},
        {INT64_MIN, 0, "-292277022657-01-27T08:29:52.000000000Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TID_TIME_TEXT_SIZE];
        tid_format_time((struct timespec){.tv_sec = cases[i].seconds, .tv_nsec = cases[i].ns}, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tid__reference_values),
        cmocka_unit_test(test_tid__every_time_shown_finds_its_tid),
        cmocka_unit_test(test_tid__is_the_largest_not_after_its_instant),
        cmocka_unit_test(test_tid__order_follows_time),
        cmocka_unit_test(test_tid__second_60_is_never_shown),
        cmocka_unit_test(test_tid__last_nanosecond_stays_in_its_minute),
        cmocka_unit_test(test_tid__next_after_the_end_of_a_short_month),
        cmocka_unit_test(test_tid__month_ends),
        cmocka_unit_test(test_tid__day_that_does_not_exist),
        cmocka_unit_test(test_tid__far_ends),
        cmocka_unit_test(test_tid__next_never_repeats),
        cmocka_unit_test(test_tid__next_ends_at_the_end_of_time),
        cmocka_unit_test(test_tid__parse_is_strict),
        cmocka_unit_test(test_tid__time_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
