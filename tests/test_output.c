/* fs/output.h: times, sizes, and text that may hold anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fs/output.h"
#include "history/when.h"

static void set_zone(const char *zone) {
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

static void assert_time(const char *zone, struct timespec when, bool utc, const char *expected) {
    char text[OUTPUT_TIME_SIZE];
    set_zone(zone);
    output_time(when, utc, text);
    assert_string_equal(text, expected);
    /* A time that is printed means what it was printed for. */
    struct when parsed;
    assert_int_equal(when_parse(text, strlen(text), (struct timespec){0}, &parsed, NULL), 0);
    assert_int_equal(parsed.kind, WHEN_INSTANT);
    assert_true(parsed.instant.tv_sec == when.tv_sec && parsed.instant.tv_nsec == when.tv_nsec);
}

static void test_output__times_have_the_readers_zone(void **state) {
    (void)state;
    const struct timespec winter = {.tv_sec = 1514802600, .tv_nsec = 250000000};
    assert_time("UTC0", winter, false, "2018-01-01T10:30:00.250000000+00:00");
    assert_time("UTC0", winter, true, "2018-01-01T10:30:00.250000000Z");
    assert_time("CET-1CEST,M3.5.0,M10.5.0/3", winter, false, "2018-01-01T11:30:00.250000000+01:00");
    assert_time("CET-1CEST,M3.5.0,M10.5.0/3", winter, true, "2018-01-01T10:30:00.250000000Z");
    assert_time("<-0330>3:30", winter, false, "2018-01-01T07:00:00.250000000-03:30");
    assert_time("<+0545>-5:45", winter, false, "2018-01-01T16:15:00.250000000+05:45");
    assert_time("PST8", (struct timespec){.tv_sec = 1514764799, .tv_nsec = 999999999}, false,
                "2017-12-31T15:59:59.999999999-08:00");
    assert_time("LMT-0:19:32", winter, false, "2018-01-01T10:49:00.250000000+00:19");
}

static void test_output__bytes(void **state) {
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 bytes"},
        {1, "1 byte"},
        {1023, "1023 bytes"},
        {1024, "1.0 KiB"},
        {1536, "1.5 KiB"},
        {UINT64_C(1) << 20, "1.0 MiB"},
        {UINT64_C(64) << 20, "64.0 MiB"},
        {UINT64_C(3) << 39, "1.5 TiB"},
        {UINT64_C(1) << 63, "8.0 EiB"},
        {UINT64_MAX, "16.0 EiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[OUTPUT_BYTES_SIZE];
        output_bytes(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_output__durations(void **state) {
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *text;
    } cases[] = {{1, "1 s"}, {59, "59 s"}, {60, "1 min 0 s"}, {3599, "59 min 59 s"}, {7500, "2 h 5 min"}};
    char text[OUTPUT_BYTES_SIZE];
    output_duration(250000000, text);
    assert_string_equal(text, "250 ms");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        output_duration(cases[i].seconds * 1000000000, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void test_output__text_stays_on_its_line(void **state) {
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    static const char hostile[] = "a\n\r\t\x1b[2J\x7f\xff\xc2\x9b\xe2\x80\xa8\xc3\xa9 z";
    output_text(out, hostile, sizeof hostile - 1);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "a\\n\\r\\t\\033[2J\\177\\377\\302\\233\\342\\200\\250\xc3\xa9 z");
    free(text);
}

static void test_output__marks_of_direction_are_escaped(void **state) {
    (void)state;
    static const char marks[] = {(char)0xe2, (char)0x80, (char)0xae, (char)0xe2, (char)0x81, (char)0xa6};
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    output_text(out, marks, sizeof marks);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "\\342\\200\\256\\342\\201\\246");
    free(text);
}

static void test_output__names_go_to_files_as_they_are(void **state) {
    (void)state;
    FILE *out = tmpfile();
    char text[16] = {0};
    assert_non_null(out);
    output_name(out, "a\nb\xff");
    rewind(out);
    assert_int_equal(fread(text, 1, sizeof text - 1, out), 4);
    assert_string_equal(text, "a\nb\xff");
    assert_int_equal(fclose(out), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output__times_have_the_readers_zone),
        cmocka_unit_test(test_output__bytes),
        cmocka_unit_test(test_output__durations),
        cmocka_unit_test(test_output__text_stays_on_its_line),
        cmocka_unit_test(test_output__marks_of_direction_are_escaped),
        cmocka_unit_test(test_output__names_go_to_files_as_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
