#include "fs/arguments.h"

#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fs/command.h"
#include "fs/suggest.h"

#define SHORT_MAX      32
#define LONG_MAX_COUNT 16
#define OPTION_HELP    0x1000

void arguments_init(struct arguments *arguments, int argc, char **argv, const char *short_options,
                    const struct option *long_options) {
    *arguments = (struct arguments){
        .argc = argc,
        .argv = argv,
        .name = argv[0],
        .short_options = short_options,
        .long_options = long_options,
        .operands = argv + 1,
    };
    opterr = 0;
    /* Forgets what another call may have left in the middle of a word. */
    optind = 0;
    (void)getopt(1, argv, "+");
}

/* Takes operands from argv until an option comes. They move to the front, over options that were read. */
static void take_operands(struct arguments *arguments) {
    while (optind < arguments->argc) {
        char *word = arguments->argv[optind];
        bool operand = arguments->only_operands || word[0] != '-' || !word[1] || isdigit((unsigned char)word[1]);
        if (!operand && strcmp(word, "--") == 0) {
            arguments->only_operands = true;
        } else if (operand) {
            arguments->operands[arguments->operand_count++] = word;
        } else {
            return;
        }
        optind++;
    }
}

static int say_unknown(const struct arguments *arguments, const char *word) {
    if (strncmp(word, "--", 2) != 0)
        return command_usage_error(arguments->name, "unknown option -%c", optopt);
    const char *nearest = NULL;
    size_t distance = SIZE_MAX;
    char typed[SUGGEST_WORD_MAX + 1];
    (void)snprintf(typed, sizeof typed, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    for (const struct option *option = arguments->long_options; option->name; option++) {
        size_t candidate = suggest_distance(typed, option->name);
        if (candidate < distance) {
            distance = candidate;
            nearest = option->name;
        }
    }
    if (optopt)
        return command_usage_error(arguments->name, "%s: this option has no value", word);
    if (nearest)
        return command_usage_error(arguments->name, "unknown option %s; did you mean --%s?", word, nearest);
    return command_usage_error(arguments->name, "unknown option %s", word);
}

int arguments_next(struct arguments *arguments) {
    char letters[SHORT_MAX];
    struct option options[LONG_MAX_COUNT];
    size_t count = 0;
    for (; arguments->long_options[count].name; count++) {
        assert(count < LONG_MAX_COUNT - 2);
        options[count] = arguments->long_options[count];
    }
    options[count++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    options[count] = (struct option){0};
    (void)snprintf(letters, sizeof letters, "+:%s", arguments->short_options);

    take_operands(arguments);
    const char *word = optind < arguments->argc ? arguments->argv[optind] : "";
    int option = arguments->only_operands ? -1 : getopt_long(arguments->argc, arguments->argv, letters, options, NULL);
    arguments->value = optarg;
    switch (option) {
    case -1:
        return ARGUMENTS_END;
    case OPTION_HELP:
        arguments->status = command_print_help(arguments->name);
        return ARGUMENTS_STOP;
    case ':':
        arguments->status = command_usage_error(arguments->name, "%s needs a value", word);
        return ARGUMENTS_STOP;
    case '?':
        arguments->status = say_unknown(arguments, word);
        return ARGUMENTS_STOP;
    default:
        return option;
    }
}
