#include "fs/arguments.h"

#include <assert.h>
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fs/command.h"
#include "fs/suggest.h"

#define SHORT_MAX      48
#define LONG_MAX_COUNT 32

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
            arguments->plain_count += !arguments->only_operands;
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

/* Stops, for what was said. */
static int stop(struct arguments *arguments, int status) {
    arguments->status = status;
    return ARGUMENTS_STOP;
}

static int take_colour(struct arguments *arguments) {
    static const char *const names[] = {[COLOUR_AUTO] = "auto", [COLOUR_ALWAYS] = "always", [COLOUR_NEVER] = "never"};
    if (!arguments->value) {
        arguments->common.colour = COLOUR_ALWAYS;
        return 0;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(arguments->value, names[i]) == 0) {
            arguments->common.colour = (enum colour_when)i;
            return 0;
        }
    }
    return stop(arguments,
                command_usage_error(arguments->name, "--color=%s: it is auto, always or never", arguments->value));
}

static int take_subject(struct arguments *arguments, const char **option) {
    *option = arguments->value;
    if (arguments->common.where.store && arguments->common.where.mount)
        return stop(arguments, command_usage_error(arguments->name, "--store and --mount exclude each other"));
    return 0;
}

/* Takes an option into `common`. 0: it was one of those; else the option that it is, or ARGUMENTS_STOP. */
static int take_common(struct arguments *arguments, int option) {
    struct common_options *common = &arguments->common;
    switch (option) {
    case OPTION_COMMON_STORE:
        return take_subject(arguments, &common->where.store);
    case OPTION_COMMON_MOUNT:
        return take_subject(arguments, &common->where.mount);
    case OPTION_COMMON_COLOUR:
        return take_colour(arguments);
    case OPTION_COMMON_JSON:
        common->json = true;
        return 0;
    case OPTION_COMMON_UTC:
        common->utc = true;
        return 0;
    case OPTION_COMMON_NULL:
        common->null = true;
        return 0;
    case OPTION_COMMON_NO_PAGER:
        common->no_pager = true;
        return 0;
    case OPTION_HELP:
        return stop(arguments, command_print_help(arguments->name));
    default:
        return option;
    }
}

/* The tables that getopt_long wants: the command's, and what is known everywhere. True if -z is known. */
static bool fill_tables(const struct arguments *arguments, char letters[SHORT_MAX],
                        struct option options[LONG_MAX_COUNT]) {
    size_t count = 0;
    bool null = false;
    for (; arguments->long_options[count].name; count++) {
        assert(count < LONG_MAX_COUNT - 2);
        options[count] = arguments->long_options[count];
        null = null || options[count].val == OPTION_COMMON_NULL;
    }
    options[count++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    options[count] = (struct option){0};
    int length = snprintf(letters, SHORT_MAX, "+:%s%s", arguments->short_options, null ? "z" : "");
    assert(length < SHORT_MAX);
    (void)length;
    return null;
}

int arguments_next(struct arguments *arguments) {
    char letters[SHORT_MAX];
    struct option options[LONG_MAX_COUNT];
    bool null = fill_tables(arguments, letters, options);
    int option;
    do {
        take_operands(arguments);
        const char *word = optind < arguments->argc ? arguments->argv[optind] : "";
        option = arguments->only_operands ? -1 : getopt_long(arguments->argc, arguments->argv, letters, options, NULL);
        arguments->value = optarg;
        if (option == -1)
            return ARGUMENTS_END;
        if (option == ':')
            return stop(arguments, command_usage_error(arguments->name, "%s needs a value", word));
        if (option == '?')
            return stop(arguments, say_unknown(arguments, word));
        option = take_common(arguments, option == 'z' && null ? OPTION_COMMON_NULL : option);
    } while (option == 0);
    return option;
}
