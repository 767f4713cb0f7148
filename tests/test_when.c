/* history/when.h: every form of the grammar, and what is refused of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/when.h"
#include "store/tid.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* 2026-11-22T10:30:00.25Z */
static const struct timespec now = {.tv_sec = 1795343400, .tv_nsec = 250000000};

/* Parses a copy of exactly these bytes, so that the sanitizer sees a read past their end. */
static int parse_bytes(const char *text, size_t length, struct when *when, struct error *err) {
    char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    int rc = when_parse(copy, length, now, when, err);
    free(copy);
    return rc;
}

static struct when parse(const char *text) {
    struct when when;
    struct error err = {0};
    if (parse_bytes(text, strlen(text), &when, &err) != STORE_OK)
        fail_msg("%s", err.text);
    return when;
}

/* Refused, with a sentence that says `reason`, and leaving the result alone. */
static void check_refused(const char *text, size_t length, const char *reason) {
    struct when when, untouched;
    memset(&when, 0x5a, sizeof when);
    memset(&untouched, 0x5a, sizeof untouched);
    struct error err = {0};
    if (parse_bytes(text, length, &when, &err) != STORE_INVALID)
        fail_msg("\"%s\" is accepted", text);
    assert_int_equal(err.code, STORE_INVALID);
    if (!strstr(err.text, reason))
        fail_msg("\"%s\" gives: %s", text, err.text);
    assert_memory_equal(&when, &untouched, sizeof when);
    assert_int_equal(parse_bytes(text, length, &when, NULL), STORE_INVALID);
}

struct instant_case {
    const char *text;
    const char *instant; /* as tid_format_time writes it */
};

static void check_instants(const struct instant_case *cases, size_t count, enum when_kind kind) {
    for (size_t i = 0; i < count; i++) {
        struct when when = parse(cases[i].text);
        char instant[TID_TIME_TEXT_SIZE];
        tid_format_time(when.instant, instant);
        if (strcmp(instant, cases[i].instant) != 0)
            fail_msg("\"%s\" is %s and not %s", cases[i].text, instant, cases[i].instant);
        assert_int_equal(when.kind, kind);
        assert_int_equal(when.moving, kind != WHEN_INSTANT);
        assert_int_equal(when.needs_seal, kind == WHEN_NOW);
        assert_int_equal(when.steps, 0);
        assert_false(when_tag_name_valid(cases[i].text));
    }
}

struct refused_case {
    const char *text;
    const char *reason; /* part of the sentence */
};

static void check_all_refused(const struct refused_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        check_refused(cases[i].text, strlen(cases[i].text), cases[i].reason);
        assert_false(when_tag_name_valid(cases[i].text));
    }
}

static void test_when__tid(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t tid;
    } cases[] = {
        {"03f8a3c100d2e4b7", UINT64_C(0x03f8a3c100d2e4b7)},
        {"03F8A3C100D2E4B7", UINT64_C(0x03f8a3c100d2e4b7)},
        {"0000000000000000", 0},
        {"7fffffffffffffff", TID_MAX},
        {"2018010110300000", UINT64_C(0x2018010110300000)},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct when when = parse(cases[i].text);
        assert_int_equal(when.kind, WHEN_TID);
        assert_int_equal(when.tid, cases[i].tid);
        assert_false(when.moving);
        assert_false(when.needs_seal);
        assert_false(when_tag_name_valid(cases[i].text));
    }
    static const struct refused_case refused[] = {
        {"8000000000000000", "7fffffffffffffff"},
        {"deadbeefdeadbeef", "7fffffffffffffff"},
        {"ffffffffffffffff^", "7fffffffffffffff"},
    };
    check_all_refused(refused, COUNT(refused));
}

static void test_when__rfc_3339(void **state) {
    (void)state;
    static const struct instant_case cases[] = {
        {"2026-11-22T10:30:00.25+01:00", "2026-11-22T09:30:00.250000000Z"},
        {"2026-11-22T103000Z", "2026-11-22T10:30:00.000000000Z"},
        {"2026-11-22 10:30", "2026-11-22T10:30:00.000000000Z"},
        {"2026-11-22T10:30:59", "2026-11-22T10:30:59.000000000Z"},
        {"2026-11-22t10:30:00z", "2026-11-22T10:30:00.000000000Z"},
        {"2026-11-22T1030", "2026-11-22T10:30:00.000000000Z"},
        {"2026-11-22T1030Z", "2026-11-22T10:30:00.000000000Z"},
        {"2026-11-22T1030+0100", "2026-11-22T09:30:00.000000000Z"},
        {"2026-11-22T103000.5-0730", "2026-11-22T18:00:00.500000000Z"},
        {"2026-11-22T10:30-07:30", "2026-11-22T18:00:00.000000000Z"},
        {"2026-11-22T10:30:00+0000", "2026-11-22T10:30:00.000000000Z"},
        {"2026-11-22T10:30:00-00:00", "2026-11-22T10:30:00.000000000Z"},
        {"2026-01-01T00:00+23:59", "2025-12-31T00:01:00.000000000Z"},
        {"2026-12-31T23:59-23:59", "2027-01-01T23:58:00.000000000Z"},
        {"2026-11-22T10:30:00.1Z", "2026-11-22T10:30:00.100000000Z"},
        {"2026-11-22T10:30:00.000000001Z", "2026-11-22T10:30:00.000000001Z"},
        {"2026-11-22T10:30:59.9999999999999Z", "2026-11-22T10:30:59.999999999Z"},
        {"1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520000000Z"},
        {"2024-02-29T00:00", "2024-02-29T00:00:00.000000000Z"},
        {"2000-02-29T23:59:59", "2000-02-29T23:59:59.000000000Z"},
        {"1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000000000Z"},
        {"1900-01-01T00:00:00Z", "1900-01-01T00:00:00.000000000Z"},
        {"1899-12-31T23:30:00-01:00", "1900-01-01T00:30:00.000000000Z"},
        {"5907-12-31T23:59:59.999999999Z", "5907-12-31T23:59:59.999999999Z"},
    };
    check_instants(cases, COUNT(cases), WHEN_INSTANT);
}

static void test_when__prefix_is_the_start_of_the_period(void **state) {
    (void)state;
    static const struct instant_case cases[] = {
        {"2026", "2026-01-01T00:00:00.000000000Z"},
        {"2026-11", "2026-11-01T00:00:00.000000000Z"},
        {"2026-11-22", "2026-11-22T00:00:00.000000000Z"},
        {"2026-11-22T10", "2026-11-22T10:00:00.000000000Z"},
        {"2026-11-22 10", "2026-11-22T10:00:00.000000000Z"},
        {"2026-11-22T10Z", "2026-11-22T10:00:00.000000000Z"},
        {"2026-11-22T10+01:00", "2026-11-22T09:00:00.000000000Z"},
        {"1900", "1900-01-01T00:00:00.000000000Z"},
        {"5908", "5908-01-01T00:00:00.000000000Z"},
    };
    check_instants(cases, COUNT(cases), WHEN_INSTANT);
}

static void test_when__dates_refused(void **state) {
    (void)state;
    static const struct refused_case cases[] = {
        {"2026-", "2026-11"},
        {"20261122", "2026-11-22"},
        {"20261122T103000Z", "2026-11-22"},
        {"02026-11-22", "2026-11-22"},
        {"2026/11/22", "2026-11-22"},
        {"2026.11.22", "2026-11-22"},
        {"2026x", "2026-11-22"},
        {"2026T10", "2026-11-22"},
        {"2026-1", "2026-11"},
        {"2026-1-2", "2026-11"},
        {"2026-11-", "2026-11-22"},
        {"2026-11-2", "2026-11-22"},
        {"2026-11T10", "2026-11-22"},
        {"2026-11-22Z", "T10:30"},
        {"2026-11-22_10:30", "T10:30"},
        {"2026-11-22  10:30", "hours have two digits"},
        {"2026-11-22T", "hours have two digits"},
        {"2026-11-22 ", "hours have two digits"},
        {"2026-11-22T1", "hours have two digits"},
        {"2026-11-22T1:30", "hours have two digits"},
        {"2026-11-22T10:", "minutes have two digits"},
        {"2026-11-22T10:3", "minutes have two digits"},
        {"2026-11-22T103", "minutes have two digits"},
        {"2026-11-22T10:30:", "seconds have two digits"},
        {"2026-11-22T10:30:0", "seconds have two digits"},
        {"2026-11-22T10300", "seconds have two digits"},
        {"2026-11-22T10:3000", "10:30:00"},
        {"2026-11-22T1030:00", "all its colons or none"},
        {"2026-11-22T10:30:00:00", "10:30:00"},
        {"2026-11-22T10:30:000", "10:30:00"},
        {"2026-11-22T10:30:00.", "digits are missing"},
        {"2026-11-22T10:30:00.Z", "digits are missing"},
        {"2026-11-22T10:30:00,5", "time zone"},
        {"2026-11-22T10:30.5", "only seconds have a fraction"},
        {"2026-11-22T10.5", "only seconds have a fraction"},
        {"2026-11-22T10:30 Z", "time zone"},
        {"2026-11-22T10:30UTC", "time zone"},
        {"2026-11-22T10:30+", "hours and minutes"},
        {"2026-11-22T10:30+1", "hours and minutes"},
        {"2026-11-22T10:30+01", "hours and minutes"},
        {"2026-11-22T10:30+01:", "hours and minutes"},
        {"2026-11-22T10:30+24:00", "up to 23:59"},
        {"2026-11-22T10:30+01:60", "up to 23:59"},
        {"2026-11-22T10:30+01:00Z", "follows the time zone"},
        {"2026-11-22T10:30ZZ", "follows the time zone"},
        {"2026-11-22T10:30Z ", "follows the time zone"},
        {"2026-00", "no month 00"},
        {"2026-13", "no month 13"},
        {"2026-11-00", "01 to 30, not 00"},
        {"2026-11-31", "01 to 30, not 31"},
        {"2026-02-29", "01 to 28, not 29"},
        {"2100-02-29", "01 to 28, not 29"},
        {"2024-02-30", "01 to 29, not 30"},
        {"2026-12-32", "01 to 31, not 32"},
        {"2026-11-22T24:00", "hours are 00 to 23, not 24"},
        {"2026-11-22T10:60", "minutes are 00 to 59, not 60"},
        {"2016-12-31T23:59:60Z", "leap seconds"},
        {"2026-11-22T10:30:61", "seconds are 00 to 59, not 61"},
        {"1899", "1900 to 5908"},
        {"0000", "1900 to 5908"},
        {"1900-01-01T00:00+00:01", "1900 to 5908"},
        {"5909", "1900 to 5908"},
        {"9999-12-31T23:59:59Z", "1900 to 5908"},
    };
    check_all_refused(cases, COUNT(cases));
}

static void test_when__epoch(void **state) {
    (void)state;
    static const struct instant_case cases[] = {
        {"@1795343400", "2026-11-22T10:30:00.000000000Z"},
        {"@1795343400.5", "2026-11-22T10:30:00.500000000Z"},
        {"@1795343400.0000000019", "2026-11-22T10:30:00.000000001Z"},
        {"@0", "1970-01-01T00:00:00.000000000Z"},
        {"@-0", "1970-01-01T00:00:00.000000000Z"},
        {"@000000000000000000000000000000000001", "1970-01-01T00:00:01.000000000Z"},
        {"@-1", "1969-12-31T23:59:59.000000000Z"},
        {"@-1.5", "1969-12-31T23:59:58.500000000Z"},
        {"@-0.000000001", "1969-12-31T23:59:59.999999999Z"},
        {"@-2208988800", "1900-01-01T00:00:00.000000000Z"},
    };
    check_instants(cases, COUNT(cases), WHEN_INSTANT);
    static const struct refused_case refused[] = {
        {"@", "seconds since 1970"},
        {"@-", "seconds since 1970"},
        {"@+1", "seconds since 1970"},
        {"@ 1", "seconds since 1970"},
        {"@.5", "seconds since 1970"},
        {"@1.", "digits are missing"},
        {"@1.-5", "digits are missing"},
        {"@1e9", "something follows"},
        {"@1 ", "something follows"},
        {"@1.5.5", "something follows"},
        {"@0x10", "something follows"},
        {"@-2208988801", "1900 to 5908"},
        {"@-2208988800.1", "1900 to 5908"},
        {"@124000000000000", "1900 to 5908"},
        {"@9223372036854775807", "1900 to 5908"},
        {"@-9223372036854775807.9", "1900 to 5908"},
        {"@9223372036854775808", "1900 to 5908"},
        {"@18446744073709551616", "1900 to 5908"},
        {"@20000000000000000000", "1900 to 5908"},
        {"@99999999999999999999999999", "1900 to 5908"},
        {"@now", "seconds since 1970"},
    };
    check_all_refused(refused, COUNT(refused));
}

static void test_when__samba(void **state) {
    (void)state;
    static const struct instant_case cases[] = {
        {"@GMT-2026.11.22-10.30.00", "2026-11-22T10:30:00.000000000Z"},
        {"@GMT-2024.02.29-23.59.59", "2024-02-29T23:59:59.000000000Z"},
    };
    check_instants(cases, COUNT(cases), WHEN_INSTANT);
    static const struct refused_case refused[] = {
        {"@GMT", "@GMT-2026.11.22-10.30.00"},
        {"@GMT-", "@GMT-2026.11.22-10.30.00"},
        {"@GMT-2026.11.22", "@GMT-2026.11.22-10.30.00"},
        {"@GMT-2026.11.22-10.30", "@GMT-2026.11.22-10.30.00"},
        {"@GMT-2026.11.22-10.30.0", "@GMT-2026.11.22-10.30.00"},
        {"@GMT-2026-11-22-10.30.00", "@GMT-2026.11.22-10.30.00"},
        {"@GMT-2026.11.22-10.30.00Z", "something follows"},
        {"@GMT-2026.11.22-10.30.000", "something follows"},
        {"@GMT-2026.11.31-10.30.00", "01 to 30"},
        {"@GMT-2026.13.22-10.30.00", "no month 13"},
        {"@GMT-2026.11.22-10.30.60", "leap seconds"},
        {"@GMT-2026.11.22-24.00.00", "hours are 00 to 23"},
        {"@gmt-2026.11.22-10.30.00", "seconds since 1970"},
        {"@GMT-1899.11.22-10.30.00", "1900 to 5908"},
    };
    check_all_refused(refused, COUNT(refused));
}

static void test_when__relative(void **state) {
    (void)state;
    static const struct instant_case cases[] = {
        {"today", "2026-11-22T00:00:00.000000000Z"},    {"yesterday", "2026-11-21T00:00:00.000000000Z"},
        {"-1s", "2026-11-22T10:29:59.250000000Z"},      {"-90s", "2026-11-22T10:28:30.250000000Z"},
        {"-15m", "2026-11-22T10:15:00.250000000Z"},     {"-2h", "2026-11-22T08:30:00.250000000Z"},
        {"-3d", "2026-11-19T10:30:00.250000000Z"},      {"-2w", "2026-11-08T10:30:00.250000000Z"},
        {"-000002w", "2026-11-08T10:30:00.250000000Z"},
    };
    check_instants(cases, COUNT(cases), WHEN_RELATIVE);
    static const struct instant_case nows[] = {
        {"now", "2026-11-22T10:30:00.250000000Z"},
        {"-0s", "2026-11-22T10:30:00.250000000Z"},
        {"-0w", "2026-11-22T10:30:00.250000000Z"},
    };
    check_instants(nows, COUNT(nows), WHEN_NOW);
    static const struct refused_case refused[] = {
        {"-", "-90s"},
        {"-2", "one unit"},
        {"-h", "-90s"},
        {"-2H", "one unit"},
        {"-2M", "one unit"},
        {"-2y", "one unit"},
        {"-2hours", "one unit"},
        {"-2h30m", "one unit"},
        {"-1.5h", "one unit"},
        {"-2 h", "one unit"},
        {"-2h ", "one unit"},
        {"--2h", "-90s"},
        {"-now", "-90s"},
        {"-9999999h", "1900"},
        {"-9223372036854775807s", "1900"},
        {"-9223372036854775807w", "1900"},
        {"-9223372036854775808s", "1900"},
        {"-99999999999999999999999999s", "1900"},
        {"Now", "lower case"},
        {"TODAY", "lower case"},
        {"Yesterday", "lower case"},
    };
    check_all_refused(refused, COUNT(refused));
}

static void test_when__relative_to_odd_clocks(void **state) {
    (void)state;
    static const struct timespec clocks[] = {
        {.tv_sec = INT64_MIN}, {.tv_sec = INT64_MIN + 86399}, {.tv_sec = INT64_MAX}, {.tv_sec = -2208988800 - 1}};
    struct when when;
    for (size_t i = 0; i < COUNT(clocks); i++) {
        assert_int_equal(when_parse("today", 5, clocks[i], &when, NULL), STORE_INVALID);
        assert_int_equal(when_parse("yesterday", 9, clocks[i], &when, NULL), STORE_INVALID);
        assert_int_equal(when_parse("-2s", 3, clocks[i], &when, NULL), STORE_INVALID);
        /* now is the last commit, whatever the clock says */
        assert_int_equal(when_parse("now", 3, clocks[i], &when, NULL), STORE_OK);
    }
    struct timespec before_1970 = {.tv_sec = -1};
    assert_int_equal(when_parse("today", 5, before_1970, &when, NULL), STORE_OK);
    assert_int_equal(when.instant.tv_sec, -86400);
    assert_int_equal(when.instant.tv_nsec, 0);
}

static void test_when__tag(void **state) {
    (void)state;
    char longest[WHEN_TAG_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[WHEN_TAG_MAX] = '\0';
    const char *const good[] = {
        "release-1",
        "v1.0",
        "1.0",
        "3rd",
        "x",
        "_",
        "a-",
        "deadbeef",
        "123-alpha",
        "nowt",
        "today1",
        "h\xc3\xa9llo",
        "\xff\xfe",
        "GMT-2026.11",
        "1.2026",
        "+1h",
        "a,b=c\\d",
        longest,
        "03f8a3c100d2e4b", /* 15 hex digits */
    };
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(when_tag_name_valid(good[i]));
        struct when when = parse(good[i]);
        assert_int_equal(when.kind, WHEN_TAG);
        assert_string_equal(when.tag, good[i]);
        assert_true(when.moving);
        assert_false(when.needs_seal);
    }
    longest[WHEN_TAG_MAX] = 'x';
    char too_long[WHEN_TAG_MAX + 2];
    memcpy(too_long, longest, WHEN_TAG_MAX + 1);
    too_long[WHEN_TAG_MAX + 1] = '\0';
    const struct refused_case refused[] = {
        {too_long, "at most 255 bytes"},
        {".", "begins with no"},
        {"..", "begins with no"},
        {".hidden", "begins with no"},
        {"v1.", "ends with no"},
        {"a..b", "two points"},
        {"a b", "spaces"},
        {" a", "spaces"},
        {"a\n", "spaces or control"},
        {"a\x7f", "control"},
        {"a/b", "none of the characters"},
        {"a@b", "none of the characters"},
        {"10:30", "none of the characters"},
        {"1", "four digits"},
        {"123", "four digits"},
        {"26-11-22", "four digits"},
        {"1-2", "four digits"},
    };
    check_all_refused(refused, COUNT(refused));
    check_refused("a\0b", 3, "control");
    check_refused("\0", 1, "control");
    check_refused("", 0, "missing");
    assert_false(when_tag_name_valid(""));
    assert_false(when_tag_name_valid("a~1"));
    assert_false(when_tag_name_valid("a^"));
    assert_false(when_tag_name_valid("2026-release"));
}

static void test_when__steps(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum when_kind kind;
        uint64_t steps;
    } cases[] = {
        {"now~3", WHEN_NOW, 3},
        {"now^", WHEN_NOW, 1},
        {"now~0", WHEN_NOW, 0},
        {"now^^^", WHEN_NOW, 3},
        {"release-1~3^", WHEN_TAG, 4},
        {"release-1^~10~5", WHEN_TAG, 16},
        {"03f8a3c100d2e4b7~1", WHEN_TID, 1},
        {"2026~2", WHEN_INSTANT, 2},
        {"2026-11-22T10:30:00.25+01:00^", WHEN_INSTANT, 1},
        {"@1795343400.5^", WHEN_INSTANT, 1},
        {"@GMT-2026.11.22-10.30.00~7", WHEN_INSTANT, 7},
        {"-2h~1", WHEN_RELATIVE, 1},
        {"yesterday^", WHEN_RELATIVE, 1},
        {"now~1152921504606846975", WHEN_NOW, WHEN_STEPS_MAX},
        {"now~1152921504606846974^", WHEN_NOW, WHEN_STEPS_MAX},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct when when = parse(cases[i].text);
        assert_int_equal(when.kind, cases[i].kind);
        assert_int_equal(when.steps, cases[i].steps);
        assert_int_equal(when.moving, when.kind != WHEN_TID && when.kind != WHEN_INSTANT);
        assert_int_equal(when.needs_seal, when.kind == WHEN_NOW);
        assert_false(when_tag_name_valid(cases[i].text));
    }
    static const struct refused_case refused[] = {
        {"^", "nothing to step back from"},
        {"~3", "nothing to step back from"},
        {"now~", "number of transactions"},
        {"now~^", "number of transactions"},
        {"now~x", "number of transactions"},
        {"now~-1", "number of transactions"},
        {"now~ 1", "number of transactions"},
        {"now^2", "takes no number"},
        {"now~3x", "after a step"},
        {"now^x", "after a step"},
        {"now^{}", "after a step"},
        {"now~1.5", "after a step"},
        {"now~1152921504606846976", "that many"},
        {"now~1152921504606846975^", "that many"},
        {"now^~1152921504606846975", "that many"},
        {"now~9223372036854775808", "that many"},
        {"now~99999999999999999999999999999^", "that many"},
        {"2026-13~1", "no month 13"},
        {"a b~1", "spaces"},
    };
    check_all_refused(refused, COUNT(refused));
    check_refused("now~1\0", 6, "after a step");
}

/* An error repeats what it is about, but not so much that the sentence would be lost, and no byte that a terminal acts on. */
static void test_when__errors_quote_safely(void **state) {
    (void)state;
    char text[4096];
    memset(text, '9', sizeof text);
    struct error err = {0};
    struct when when;
    assert_int_equal(parse_bytes(text, sizeof text, &when, &err), STORE_INVALID);
    assert_non_null(strstr(err.text, "999...\" is not a time: "));
    assert_non_null(strstr(err.text, "2026-11-22"));
    assert_int_equal(parse_bytes("\x1b[31mred", 8, &when, &err), STORE_INVALID);
    assert_null(strchr(err.text, 0x1b));
    assert_non_null(strstr(err.text, "\"?[31mred\""));
}

/* Every prefix of every form, and every form with one byte changed, is a text of its own or refused; nothing else happens. */
static void test_when__any_change_of_a_byte(void **state) {
    (void)state;
    static const char *const forms[] = {
        "03f8a3c100d2e4b7",
        "2026-11-22T10:30:00.25+01:00",
        "2026-11-22T103000Z",
        "@-1795343400.5",
        "@GMT-2026.11.22-10.30.00",
        "yesterday~12^",
        "-90s",
        "release-1^~3",
    };
    for (size_t i = 0; i < COUNT(forms); i++) {
        char text[64];
        struct when when;
        size_t length = strlen(forms[i]);
        for (size_t at = 0; at < length; at++) {
            for (unsigned value = 0; value < 256; value++) {
                memcpy(text, forms[i], length + 1);
                text[at] = (char)value;
                int rc = parse_bytes(text, length, &when, NULL);
                assert_true(rc == STORE_OK || rc == STORE_INVALID);
                rc = parse_bytes(text, at + 1, &when, NULL);
                assert_true(rc == STORE_OK || rc == STORE_INVALID);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when__tid),
        cmocka_unit_test(test_when__rfc_3339),
        cmocka_unit_test(test_when__prefix_is_the_start_of_the_period),
        cmocka_unit_test(test_when__dates_refused),
        cmocka_unit_test(test_when__epoch),
        cmocka_unit_test(test_when__samba),
        cmocka_unit_test(test_when__relative),
        cmocka_unit_test(test_when__relative_to_odd_clocks),
        cmocka_unit_test(test_when__tag),
        cmocka_unit_test(test_when__steps),
        cmocka_unit_test(test_when__errors_quote_safely),
        cmocka_unit_test(test_when__any_change_of_a_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
