/* fs/utf8.h: what is well-formed, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <string.h>

#include "fs/utf8.h"

static void test_utf8__well_formed(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t character;
    } cases[] = {
        {"a", 'a'},
        {"\x7f", 0x7f},
        {"\xc2\x80", 0x80},
        {"\xdf\xbf", 0x7ff},
        {"\xe0\xa0\x80", 0x800},
        {"\xed\x9f\xbf", 0xd7ff},
        {"\xee\x80\x80", 0xe000},
        {"\xef\xbf\xbf", 0xffff},
        {"\xf0\x90\x80\x80", 0x10000},
        {"\xf4\x8f\xbf\xbf", 0x10ffff},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t character = 0;
        size_t length = strlen(cases[i].text);
        assert_int_equal(utf8_decode(cases[i].text, length, &character), length);
        assert_int_equal(character, cases[i].character);
        for (size_t cut = 1; cut < length; cut++)
            assert_int_equal(utf8_decode(cases[i].text, cut, NULL), 0);
    }
}

static void test_utf8__malformed(void **state) {
    (void)state;
    static const char *const cases[] = {
        "\x80",         "\xbf",         "\xc0\x80",         "\xc1\xbf",         "\xc2\x41",         "\xe0\x9f\xbf",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(utf8_decode(cases[i], strlen(cases[i]), NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8__well_formed),
        cmocka_unit_test(test_utf8__malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
