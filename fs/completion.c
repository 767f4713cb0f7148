#include "fs/completion.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "fs/command.h"
#include "fs/output.h"
#include "fs/subject.h"
#include "store/tid.h"

#define RECENT_COUNT 20
#define KIND_SIZE    32

struct completion {
    FILE *out;
    const struct command *command;
    struct subject_options where; /* as given so far */
    int operands;                 /* given so far */
    const char *typed;            /* the last word, from where it is completed */
    const char *prefix;           /* what comes before that in the word; of prefix_length bytes */
    int prefix_length;
};

/* ---------------------------------------------------------------- help texts */

static bool is_name_letter(char letter) {
    return islower((unsigned char)letter) || isdigit((unsigned char)letter) || letter == '-';
}

/* "-o, --options OPTION,...  what it does", without the white space before it. False if it is none. */
static bool parse_option(const char *line, struct help_option *option) {
    *option = (struct help_option){0};
    if (line[0] != '-')
        return false;
    if (isalpha((unsigned char)line[1])) {
        option->letter = line[1];
        line += 2;
        line += strncmp(line, ", ", 2) == 0 ? 2 : 0;
    }
    if (strncmp(line, "--", 2) == 0 && islower((unsigned char)line[2])) {
        option->name = line + 2;
        while (is_name_letter(option->name[option->name_length]))
            option->name_length++;
        line = option->name + option->name_length;
    }
    if (!option->letter && !option->name)
        return false;
    option->value_optional = strncmp(line, "[=", 2) == 0;
    if (option->value_optional) {
        option->value = line + 2;
        option->value_length = (int)strcspn(option->value, "]\n");
        line = option->value + option->value_length + 1;
    } else if (line[0] == ' ' && isupper((unsigned char)line[1])) {
        option->value = line + 1;
        option->value_length = (int)strcspn(option->value, " \n");
        line = option->value + option->value_length;
    }
    option->text = line + strspn(line, " ");
    return true;
}

bool help_option_next(const char **help, struct help_option *option) {
    while (**help) {
        const char *line = *help + strspn(*help, " ");
        bool indented = line >= *help + 2;
        *help += strcspn(*help, "\n");
        *help += **help == '\n';
        if (indented && parse_option(line, option))
            return true;
    }
    return false;
}

static bool same(const char *text, int length, const char *word) {
    return strncmp(text, word, (size_t)length) == 0 && !word[length];
}

/* The option that a word on the command line is, without its value. *value: what follows in the same word, or NULL. */
static bool find_option(const struct command *command, const char *word, struct help_option *option,
                        const char **value) {
    const char *help = command->help;
    *value = NULL;
    while (help_option_next(&help, option)) {
        size_t length = (size_t)option->name_length;
        if (option->name && strncmp(word, "--", 2) == 0 && strncmp(word + 2, option->name, length) == 0) {
            const char *rest = word + 2 + length;
            if (*rest == '=')
                *value = rest + 1;
            if (!*rest || *rest == '=')
                return true;
        }
        if (option->letter && word[0] == '-' && word[1] == option->letter) {
            *value = word[2] ? word + 2 : NULL;
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------- offering */

/* The text goes up to its end of line. */
static void offer(const struct completion *completion, const char *word, int length, const char *text) {
    size_t typed = strlen(completion->typed);
    if (strncmp(word, completion->typed, typed) != 0 || (size_t)length < typed)
        return;
    (void)fprintf(completion->out, "%.*s%.*s\t", completion->prefix_length, completion->prefix, length, word);
    output_text(completion->out, text, strcspn(text, "\n"));
    (void)fputc('\n', completion->out);
}

static void offer_word(const struct completion *completion, const char *word, const char *text) {
    offer(completion, word, (int)strlen(word), text);
}

static void offer_paths(const struct completion *completion, const char *which) {
    (void)fprintf(completion->out, ":%s %.*s\n", which, completion->prefix_length, completion->prefix);
}

static void offer_commands(const struct completion *completion) {
    for (const struct command *command = command_table(); command->name; command++)
        offer_word(completion, command->name, command->summary);
}

static void offer_options(const struct completion *completion) {
    struct help_option option;
    const char *help = completion->command->help;
    while (help_option_next(&help, &option)) {
        char word[80];
        if (option.name)
            (void)snprintf(word, sizeof word, "--%.*s", option.name_length, option.name);
        else
            (void)snprintf(word, sizeof word, "-%c", option.letter);
        offer_word(completion, word, option.text);
    }
}

/* From the help of mount: the lines "  name=VALUE  what it does" after "Mount options:". */
static void offer_mount_options(const struct completion *whole) {
    struct completion end = *whole, *completion = &end;
    const char *last = strrchr(whole->typed, ',');
    if (last) {
        end.prefix_length += (int)(last + 1 - whole->typed);
        end.typed = last + 1;
    }
    const char *line = strstr(completion->command->help, "Mount options:\n");
    if (!line)
        return;
    for (line += strcspn(line, "\n") + 1; strncmp(line, "  ", 2) == 0; line += strcspn(line, "\n") + 1) {
        const char *name = line + 2;
        int length = (int)strcspn(name, "= \n");
        const char *text = name + strcspn(name, " \n");
        offer(completion, name, length + (name[length] == '='), text + strspn(text, " "));
    }
}

static void offer_transaction(const struct completion *completion, const struct transaction *transaction) {
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE], text[256];
    tid_format(transaction->tid, tid);
    output_time(tid_to_time(transaction->tid), false, time);
    (void)snprintf(text, sizeof text, "%s %s", time, transaction->message);
    offer_word(completion, tid, text);
    /* Times come to mind by typing them; before that they would only be noise. */
    if (*completion->typed)
        offer_word(completion, time, tid);
}

static void offer_tags(const struct completion *completion, struct storage *storage) {
    struct tag *tags = NULL;
    size_t count = 0;
    (void)storage_tag_list(storage, &tags, &count); /* what there is; nobody wants to hear of errors now */
    for (size_t i = 0; i < count; i++) {
        char time[OUTPUT_TIME_SIZE];
        output_time(tid_to_time(tags[i].tid), false, time);
        offer_word(completion, tags[i].name, time);
    }
    free(tags);
}

/* Tags, and if `instants` also what else a WHEN may be. */
static void offer_whens(const struct completion *whole, bool instants) {
    struct completion end = *whole, *completion = &end;
    const char *range = strstr(whole->typed, "..");
    if (range && instants) {
        end.prefix_length += (int)(range + 2 - whole->typed);
        end.typed = range + 2;
    }
    struct subject subject;
    if (subject_find(&subject, &completion->where, NULL) && subject_open(&subject) == 0) {
        struct storage *storage = store_storage(subject.store);
        offer_tags(completion, storage);
        uint64_t last = store_last(subject.store);
        for (uint64_t i = 0; instants && i < RECENT_COUNT && i < last; i++) {
            struct transaction transaction;
            if (storage_transaction_at(storage, last - i, &transaction))
                break;
            offer_transaction(completion, &transaction);
            transaction_release(&transaction);
        }
    }
    subject_release(&subject);
    if (instants) {
        offer_word(completion, "now", "the newest transaction");
        offer_word(completion, "today", "00:00 UTC");
        offer_word(completion, "yesterday", "00:00 UTC, a day earlier");
    }
}

/* By what a synopsis calls it. */
static void offer_kind(const struct completion *completion, const char *kind) {
    static const char *const whens[] = {"WHEN", "WHEN..WHEN", "A", "B", "A..B", "TID", "TID..TID", "SINCE", "UNTIL"};
    for (size_t i = 0; i < sizeof whens / sizeof whens[0]; i++) {
        if (strcmp(kind, whens[i]) == 0) {
            offer_whens(completion, true);
            return;
        }
    }
    if (strcmp(kind, "STORE") == 0 || strcmp(kind, "DIR") == 0)
        offer_paths(completion, "directories");
    else if (strcmp(kind, "PATH") == 0 || strcmp(kind, "FILE") == 0)
        offer_paths(completion, "files");
    else if (strcmp(kind, "COMMAND") == 0)
        offer_commands(completion);
    else if (strcmp(kind, "OPTION") == 0)
        offer_mount_options(completion);
    else if (strcmp(kind, "TAG") == 0 || (strcmp(kind, "NAME") == 0 && strcmp(completion->command->name, "tag") == 0))
        offer_whens(completion, false);
}

/* Copies what a value or an operand is called, without "..." after it. The first of several that it may be stands for all. */
static void copy_kind(char kind[KIND_SIZE], const char *text, int length) {
    (void)snprintf(kind, KIND_SIZE, "%.*s", length, text);
    size_t end = strcspn(kind, "|");
    kind[end] = 0;
    while (end > 0 && (kind[end - 1] == '.' || kind[end - 1] == ','))
        kind[--end] = 0;
}

static void offer_value(const struct completion *completion, const struct help_option *option) {
    static const char *const colours[] = {"auto", "always", "never"};
    if (option->name && same(option->name, option->name_length, "color")) {
        for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++)
            offer_word(completion, colours[i], "");
        return;
    }
    char kind[KIND_SIZE];
    copy_kind(kind, option->value, option->value_length);
    offer_kind(completion, kind);
}

/* ---------------------------------------------------------------- operands */

/* The next operand of a synopsis: what it is called, whether it may be left out, whether it may be repeated. Options, and what
 * stands in brackets with them, are passed over. */
static bool next_operand(const char **synopsis, char kind[KIND_SIZE], bool *optional, bool *repeated) {
    for (;;) {
        const char *from = *synopsis + strspn(*synopsis, " |()]");
        if (!*from)
            return false;
        *optional = *from == '[';
        from += *optional;
        size_t length = strcspn(from, *from != '-' ? " ]" : *optional ? "]" : " ");
        const char *end = from + length, *after = end + (*end == ']');
        *synopsis = after;
        *repeated = strncmp(after, "...", 3) == 0 || (length > 3 && strncmp(end - 3, "...", 3) == 0);
        if (strncmp(after, "...", 3) == 0)
            *synopsis += 3;
        /* What more stands in the same brackets cannot come without it. */
        *optional = *optional && *end == ']';
        copy_kind(kind, from, (int)length);
        if (*from != '-' && strcmp(kind, "OPTIONS") != 0)
            return true;
    }
}

/* An operand that may be left out may be any of those after it as well. */
static void offer_operand(const struct completion *completion) {
    const char *synopsis = completion->command->arguments;
    char kind[KIND_SIZE] = "";
    bool optional = false, repeated = false;
    for (int i = 0; next_operand(&synopsis, kind, &optional, &repeated); i++) {
        if (i < completion->operands)
            continue;
        offer_kind(completion, kind);
        if (!optional)
            return;
        kind[0] = 0;
    }
    if (repeated && *kind)
        offer_kind(completion, kind);
}

/* ---------------------------------------------------------------- the command line */

static void take_option(struct completion *completion, const struct help_option *option, const char *value) {
    if (option->name && same(option->name, option->name_length, "store"))
        completion->where.store = value;
    else if (option->name && same(option->name, option->name_length, "mount"))
        completion->where.mount = value;
}

static bool is_option(const char *word) {
    return word[0] == '-' && word[1] && !isdigit((unsigned char)word[1]);
}

/* Completes words[count - 1], after the words of a command. */
static void complete_arguments(struct completion *completion, int count, char **words) {
    struct help_option option;
    const char *value;
    bool only_operands = false;
    for (int i = 0; i < count - 1; i++) {
        if (!only_operands && strcmp(words[i], "--") == 0) {
            only_operands = true;
        } else if (only_operands || !is_option(words[i])) {
            completion->operands++;
        } else if (find_option(completion->command, words[i], &option, &value) && option.value) {
            bool apart = !value && !option.value_optional;
            if (apart && i + 1 == count - 1) {
                offer_value(completion, &option);
                return;
            }
            take_option(completion, &option, apart ? words[i + 1] : value);
            i += apart;
        }
    }
    const char *word = words[count - 1];
    if (only_operands || word[0] != '-' || isdigit((unsigned char)word[1])) {
        offer_operand(completion);
    } else if (find_option(completion->command, word, &option, &value) && option.value && value) {
        completion->typed = value;
        completion->prefix_length = (int)(value - word);
        offer_value(completion, &option);
    } else {
        offer_options(completion);
    }
}

void completion_print(FILE *out, int count, char **words) {
    assert(count > 0);
    struct completion completion = {.out = out, .typed = words[count - 1], .prefix = words[count - 1]};
    int i = 0;
    while (i < count - 1 && words[i][0] == '-')
        i++;
    if (i < count - 1) {
        completion.command = command_find(words[i]);
        if (completion.command)
            complete_arguments(&completion, count - i - 1, words + i + 1);
        return;
    }
    offer_commands(&completion);
    offer_word(&completion, "--help", "list the commands");
    offer_word(&completion, "--no-pager", "straight to the terminal");
    offer_word(&completion, "--version", "which tidfs this is");
}
