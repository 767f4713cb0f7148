/* fs/suggest.h: which mistyped words are near, and which are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <string.h>

#include "fs/suggest.h"

static void test_suggest__distance(void **state) {
    (void)state;
    static const struct {
        const char *typed, *known;
        size_t distance;
    } cases[] = {
        {"commit", "commit", 0},
        {"comit", "commit", 1},
        {"commmit", "commit", 1},
        {"comnit", "commit", 1},
        {"commti", "commit", 1},
        {"commit_intervall", "commit-interval", 2},
        {"commit-intreval", "commit-interval", 1},
        {"a", "at", 1},
        {"ta", "at", 1},
        {"rx", "ro", 1},
        {"xx", "ro", SIZE_MAX},
        {"", "at", SIZE_MAX},
        {"", "", 0},
        {"follow", "history", SIZE_MAX},
        {"cash-sighs", "cache-size", SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (suggest_distance(cases[i].typed, cases[i].known) != cases[i].distance)
            fail_msg("%s for %s", cases[i].typed, cases[i].known);
    }
}

static void test_suggest__long_words_are_never_near(void **state) {
    (void)state;
    char word[SUGGEST_WORD_MAX + 2];
    memset(word, 'x', sizeof word);
    word[SUGGEST_WORD_MAX + 1] = '\0';
    assert_true(suggest_distance(word, word) == SIZE_MAX);
    word[SUGGEST_WORD_MAX] = '\0';
    assert_int_equal(suggest_distance(word, word), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suggest__distance),
        cmocka_unit_test(test_suggest__long_words_are_never_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
