/* fs/units.h: durations, sizes and counts, and what is refused of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>

#include "fs/units.h"
#include "store/error.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct unit_case {
    const char *text;
    int rc;
    uint64_t result;
};

static void check(int (*parse)(const char *, uint64_t *), const struct unit_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t result = 77;
        int rc = parse(cases[i].text, &result);
        uint64_t expected = cases[i].rc == STORE_OK ? cases[i].result : 77;
        if (rc != cases[i].rc || result != expected)
            fail_msg("\"%s\" gives %d and %ju", cases[i].text, rc, (uintmax_t)result);
    }
}

static void test_units__duration(void **state) {
    (void)state;
    static const struct unit_case cases[] = {
        {"500ms", STORE_OK, 500 * NS_PER_MS},
        {"1", STORE_OK, NS_PER_SECOND},
        {"0", STORE_OK, 0},
        {"300s", STORE_OK, 300 * NS_PER_SECOND},
        {"6m", STORE_OK, 360 * NS_PER_SECOND},
        {"2h", STORE_OK, 7200 * NS_PER_SECOND},
        {"7d", STORE_OK, NS_PER_SECOND * 86400 * 7},
        {"0006m", STORE_OK, 360 * NS_PER_SECOND},
        {"9223372036s", STORE_OK, 9223372036 * NS_PER_SECOND},
        {"9223372036854ms", STORE_OK, 9223372036854 * NS_PER_MS},
        {"9223372037s", STORE_TOO_BIG, 0},
        {"18446744073709551616", STORE_TOO_BIG, 0},
        {"18446744073709551615d", STORE_TOO_BIG, 0},
        {"99999999999999999999999999ms", STORE_TOO_BIG, 0},
        {"99999999999999999999999999x", STORE_INVALID, 0},
        {"", STORE_INVALID, 0},
        {"s", STORE_INVALID, 0},
        {"-1s", STORE_INVALID, 0},
        {"+1s", STORE_INVALID, 0},
        {" 1s", STORE_INVALID, 0},
        {"1 s", STORE_INVALID, 0},
        {"1s ", STORE_INVALID, 0},
        {"1.5s", STORE_INVALID, 0},
        {"1S", STORE_INVALID, 0},
        {"1M", STORE_INVALID, 0},
        {"1m30s", STORE_INVALID, 0},
        {"1us", STORE_INVALID, 0},
        {"0x10", STORE_INVALID, 0},
    };
    check(duration_parse, cases, COUNT(cases));
}

static void test_units__size(void **state) {
    (void)state;
    static const struct unit_case cases[] = {
        {"0", STORE_OK, 0},
        {"4096", STORE_OK, 4096},
        {"4k", STORE_OK, 4096},
        {"4K", STORE_OK, 4096},
        {"64M", STORE_OK, 67108864},
        {"64m", STORE_OK, 67108864},
        {"2G", STORE_OK, UINT64_C(2) << 30},
        {"2g", STORE_OK, UINT64_C(2) << 30},
        {"3T", STORE_OK, UINT64_C(3) << 40},
        {"9223372036854775807", STORE_OK, INT64_MAX},
        {"8388607T", STORE_OK, UINT64_C(8388607) << 40},
        {"9223372036854775808", STORE_TOO_BIG, 0},
        {"8388608T", STORE_TOO_BIG, 0},
        {"18446744073709551616k", STORE_TOO_BIG, 0},
        {"64MB", STORE_INVALID, 0},
        {"64MiB", STORE_INVALID, 0},
        {"64 M", STORE_INVALID, 0},
        {"-1", STORE_INVALID, 0},
        {"1.5G", STORE_INVALID, 0},
        {"M", STORE_INVALID, 0},
        {"", STORE_INVALID, 0},
        {"50%", STORE_INVALID, 0},
    };
    check(size_parse, cases, COUNT(cases));
}

static void test_units__count(void **state) {
    (void)state;
    static const struct unit_case cases[] = {
        {"0", STORE_OK, 0},
        {"16", STORE_OK, 16},
        {"9223372036854775807", STORE_OK, INT64_MAX},
        {"9223372036854775808", STORE_TOO_BIG, 0},
        {"16k", STORE_INVALID, 0},
        {"-1", STORE_INVALID, 0},
        {"", STORE_INVALID, 0},
    };
    check(count_parse, cases, COUNT(cases));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units__duration),
        cmocka_unit_test(test_units__size),
        cmocka_unit_test(test_units__count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
