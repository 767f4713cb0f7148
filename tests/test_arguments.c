/* fs/arguments.h: options and operands, in any order, and times that begin with a hyphen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "fs/arguments.h"

#define MOST 12

/* Reads the words as arguments of `log`; the options read are in `read`, as "n=5 j ". */
static void parse(struct arguments *arguments, const char *const *words, char *read, size_t size) {
    static const struct option options[] = {
        {"number", required_argument, NULL, 'n'}, {"json", no_argument, NULL, 'j'}, {0}};
    static char name[] = "log";
    static char copies[MOST][32];
    static char *argv[MOST + 2];
    int argc = 1, option;
    argv[0] = name;
    for (; words[argc - 1]; argc++) {
        assert_true(argc < MOST);
        argv[argc] = strcpy(copies[argc], words[argc - 1]);
    }
    argv[argc] = NULL;
    read[0] = 0;
    arguments_init(arguments, argc, argv, "n:j", options);
    while ((option = arguments_next(arguments)) != ARGUMENTS_END) {
        size_t length = strlen(read);
        (void)snprintf(read + length, size - length, "%c%s%s ", option, arguments->value ? "=" : "",
                       arguments->value ? arguments->value : "");
        if (option == ARGUMENTS_STOP)
            return;
    }
}

static void test_arguments__operands_and_options_mix(void **state) {
    (void)state;
    static const struct {
        const char *words[MOST], *read, *operands[MOST];
    } cases[] = {
        {{"a", "-n", "5", "b"}, "n=5 ", {"a", "b"}},
        {{"-jn5", "a"}, "j n=5 ", {"a"}},
        {{"--number=3", "--json", "a", "b"}, "n=3 j ", {"a", "b"}},
        {{"-2h", "."}, "", {"-2h", "."}},
        {{"-2h..-1h", "-j", "-15m"}, "j ", {"-2h..-1h", "-15m"}},
        {{"-n", "-5", "-"}, "n=-5 ", {"-"}},
        {{"--", "-j", "--json"}, "", {"-j", "--json"}},
        {{"-j", "a", "--", "-j"}, "j ", {"a", "-j"}},
        {{"--num", "7"}, "n=7 ", {NULL}},
        {{NULL}, "", {NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arguments arguments;
        char read[128];
        parse(&arguments, cases[i].words, read, sizeof read);
        assert_string_equal(read, cases[i].read);
        int count = 0;
        for (; cases[i].operands[count]; count++) {
            assert_true(count < arguments.operand_count);
            assert_string_equal(arguments.operands[count], cases[i].operands[count]);
        }
        assert_int_equal(arguments.operand_count, count);
    }
}

static void test_arguments__what_is_wrong_stops(void **state) {
    (void)state;
    static const char *const cases[][MOST] = {
        {"-x"}, {"--nothing"}, {"-n"}, {"--number"}, {"--json=1"}, {"-jx"}, {"--jsno"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arguments arguments;
        char read[128];
        parse(&arguments, cases[i], read, sizeof read);
        assert_int_equal(strlen(read) > 0 ? read[strcspn(read, "?")] : 0, '?');
        assert_int_equal(arguments.status, 2);
    }
}

/* Reads the words with all that commands share in the table; *status is -1 unless it stopped. */
static struct common_options parse_common(const char *const *words, int *status) {
    static const struct option options[] = {
        ARGUMENTS_SUBJECT,
        ARGUMENTS_JSON,
        ARGUMENTS_UTC,
        ARGUMENTS_NULL,
        ARGUMENTS_PAGER,
        {"number", required_argument, NULL, 'n'},
        {0},
    };
    static char name[] = "log";
    static char copies[MOST][32];
    static char *argv[MOST + 2];
    struct arguments arguments;
    int argc = 1, option;
    argv[0] = name;
    for (; words[argc - 1]; argc++)
        argv[argc] = strcpy(copies[argc], words[argc - 1]);
    argv[argc] = NULL;
    arguments_init(&arguments, argc, argv, "n:", options);
    while ((option = arguments_next(&arguments)) == 'n')
        ;
    *status = option == ARGUMENTS_END ? -1 : arguments.status;
    return arguments.common;
}

static void test_arguments__what_commands_share_is_read_for_them(void **state) {
    (void)state;
    int status;
    struct common_options common = parse_common(
        (const char *const[]){"--store", "s", "-n", "1", "--json", "--utc", "-z", "--no-pager", NULL}, &status);
    assert_int_equal(status, -1);
    assert_string_equal(common.where.store, "s");
    assert_null(common.where.mount);
    assert_true(common.json && common.utc && common.null && common.no_pager);
    assert_int_equal(common.colour, COLOUR_AUTO);
    common = parse_common((const char *const[]){"--mount=m", "--null", "-n1", "--color", NULL}, &status);
    assert_int_equal(status, -1);
    assert_string_equal(common.where.mount, "m");
    assert_true(common.null && !common.json && !common.utc && !common.no_pager);
    assert_int_equal(common.colour, COLOUR_ALWAYS);
    common = parse_common((const char *const[]){"--color=never", NULL}, &status);
    assert_int_equal(common.colour, COLOUR_NEVER);
    common = parse_common((const char *const[]){"--color=auto", NULL}, &status);
    assert_int_equal(common.colour, COLOUR_AUTO);
}

static void test_arguments__what_commands_share_may_be_wrong(void **state) {
    (void)state;
    int status;
    (void)parse_common((const char *const[]){"--store", "s", "--mount", "m", NULL}, &status);
    assert_int_equal(status, 2);
    (void)parse_common((const char *const[]){"--mount", "m", "--store", "s", NULL}, &status);
    assert_int_equal(status, 2);
    (void)parse_common((const char *const[]){"--color=blue", NULL}, &status);
    assert_int_equal(status, 2);
    (void)parse_common((const char *const[]){"--store", NULL}, &status);
    assert_int_equal(status, 2);
    (void)parse_common((const char *const[]){"--json=yes", NULL}, &status);
    assert_int_equal(status, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments__operands_and_options_mix),
        cmocka_unit_test(test_arguments__what_is_wrong_stops),
        cmocka_unit_test(test_arguments__what_commands_share_is_read_for_them),
        cmocka_unit_test(test_arguments__what_commands_share_may_be_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
