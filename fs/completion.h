/* What may follow on a command line: the words that shells offer when a person asks for completion. Options, commands and
 * the kinds of operands are read from the texts of --help, so that nothing here goes stale; instants come from the store.
 *
 * What is printed, one a line: a word, and after a tab what it is; or, beginning with a colon, what the shell is to complete itself:
 *     :files PREFIX          paths, for what comes after PREFIX in the word
 *     :directories PREFIX
 *
 * Threads: the main thread. Errors: none are said; what cannot be known is not offered.
 */
#ifndef TIDFS_FS_COMPLETION_H
#define TIDFS_FS_COMPLETION_H

#include <stdbool.h>
#include <stdio.h>

/* words[0..count): those after the program's name, the last one being the one that is typed, perhaps empty. count > 0. */
void completion_print(FILE *out, int count, char **words);

/* One option as a help text has it. Strings point into the text. */
struct help_option {
    char letter;      /* 0: none */
    const char *name; /* without hyphens; NULL: none */
    int name_length;
    const char *value; /* what its value is called; NULL: it has none */
    int value_length;
    bool value_optional;
    const char *text; /* up to the end of the line */
};
/* Reads the next option from *help, and moves it on. False at the end. */
bool help_option_next(const char **help, struct help_option *option);

#endif
