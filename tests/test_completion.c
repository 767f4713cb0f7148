/* fs/completion.h: what is offered, read from the texts of --help. Instants are tested with a store, in tests/mount_comforts.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fs/command.h"
#include "fs/completion.h"

#define MOST 8

static void test_completion__options_are_read_from_help(void **state) {
    (void)state;
    static const char help[] = "What it does. - is no option, nor\n"
                               "--this at the start of a line.\n"
                               "\n"
                               "  -n, --number N       at most N\n"
                               "  -p, --patch          the patch\n"
                               "  -o, --options A,...  some\n"
                               "      --color[=WHEN]   auto\n"
                               "      --b2b-x          dashes and digits\n"
                               "  -k   a letter alone\n"
                               "  name=VALUE           no option\n";
    static const struct {
        char letter;
        const char *name, *value;
        bool optional;
        const char *text;
    } expected[] = {
        {'n', "number", "N", false, "at most N"},       {'p', "patch", NULL, false, "the patch"},
        {'o', "options", "A,...", false, "some"},       {0, "color", "WHEN", true, "auto"},
        {0, "b2b-x", NULL, false, "dashes and digits"}, {'k', NULL, NULL, false, "a letter alone"},
    };
    const char *rest = help;
    struct help_option option;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(help_option_next(&rest, &option));
        assert_int_equal(option.letter, expected[i].letter);
        assert_int_equal(option.value_optional, expected[i].optional);
        assert_int_equal(option.name_length, expected[i].name ? strlen(expected[i].name) : 0);
        if (expected[i].name)
            assert_memory_equal(option.name, expected[i].name, strlen(expected[i].name));
        assert_int_equal(option.value_length, expected[i].value ? strlen(expected[i].value) : 0);
        if (expected[i].value)
            assert_memory_equal(option.value, expected[i].value, strlen(expected[i].value));
        assert_memory_equal(option.text, expected[i].text, strlen(expected[i].text));
    }
    assert_false(help_option_next(&rest, &option));
}

/* The words offered (without what they are), each followed by a newline. The caller frees it. */
static char *complete(const char *const *words) {
    char *argv[MOST], *text = NULL, *to;
    size_t size = 0;
    int count = 0;
    for (; words[count]; count++) {
        assert_true(count < MOST);
        argv[count] = strdup(words[count]);
        assert_non_null(argv[count]);
    }
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    completion_print(out, count, argv);
    assert_int_equal(fclose(out), 0);
    for (int i = 0; i < count; i++)
        free(argv[i]);
    to = text;
    for (const char *from = text; *from;) {
        size_t word = strcspn(from, "\t\n");
        const char *next = from + strcspn(from, "\n") + 1;
        memmove(to, from, word);
        to += word;
        *to++ = '\n';
        from = next;
    }
    *to = 0;
    return text;
}

static void test_completion__of_command_lines(void **state) {
    (void)state;
    static const struct {
        const char *words[MOST], *offered;
    } cases[] = {
        {{"comm"}, "commit\n"},
        {{"--no-p"}, "--no-pager\n"},
        {{"--no-pager", "comm"}, "commit\n"},
        {{"nothing", ""}, ""},
        {{"commit", "--m"}, "--message\n"},
        {{"commit", "-m", ""}, ""},
        {{"commit", "-F", ""}, ":files \n"},
        {{"commit", "--file="}, ":files --file=\n"},
        {{"commit", "-Fx"}, ":files -F\n"},
        {{"commit", ""}, ":directories \n"},
        {{"commit", "a", ""}, ""},
        {{"commit", "--", "-"}, ":directories \n"},
        {{"init", ""}, ":directories \n"},
        {{"mount", "store", ""}, ":directories \n"},
        {{"mount", "store", "dir", ""}, ""},
        {{"mount", "-o", "at"}, "at=\n"},
        {{"mount", "-o", "ro,at"}, "ro,at=\n"},
        {{"mount", "--options=ro,writeb"}, "--options=ro,writeback_cache\n"},
        {{"ls", "--color=n"}, "--color=never\n"},
        {{"ls", "--store", "/no/such/store", "tod"}, "today\n"},
        {{"ls", "--store=/no/such/store", "now..tod"}, "now..today\n"},
        {{"cat", "--store=/no/such/store", "now", ""}, ":files \n"},
        {{"cat", "--store=/no/such/store", "now", "a", ""}, ":files \n"},
        {{"undo", "--store=/no/such/store", "tod"}, "today\n"},
        {{"undo", "--store=/no/such/store", "now", "tod"}, "today\n"},
        {{"revert", "--store=/no/such/store", "--at", "tod"}, "today\n"},
        {{"revert", ""}, ":files \n"},
        {{"revert", "a", ""}, ":files \n"},
        {{"diff", "--store=/no/such/store", "yesterday", "tod"}, "today\n:files \n"},
        {{"help", "verif"}, "verify\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *offered = complete(cases[i].words);
        assert_string_equal(offered, cases[i].offered);
        free(offered);
    }
}

/* Every option of every command's help is offered, and every command. */
static void test_completion__offers_all_that_help_has(void **state) {
    (void)state;
    char *commands = complete((const char *const[]){"", NULL});
    for (const struct command *command = command_table(); command->name; command++) {
        assert_non_null(strstr(commands, command->name));
        char *offered = complete((const char *const[]){command->name, "-", NULL});
        const char *help = command->help;
        struct help_option option;
        bool any = false;
        while (help_option_next(&help, &option)) {
            char word[80];
            (void)snprintf(word, sizeof word, "--%.*s\n", option.name_length, option.name);
            assert_non_null(strstr(offered, word));
            any = true;
        }
        assert_true(any);
        free(offered);
    }
    free(commands);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completion__options_are_read_from_help),
        cmocka_unit_test(test_completion__of_command_lines),
        cmocka_unit_test(test_completion__offers_all_that_help_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
