/* Lists of changes on stdout: what diff, show, log and revert print of them.
 *
 *     list         a line for each change, of whatever kind: letter, path, what differs
 *     name-status  git's letters and tabs, for what git knows: content and executability of files and symlinks
 *     stat         lines and bytes for each of those, with a graph and totals
 *     patch        history/patch.h
 *     json         an object for each change, one a line
 *
 * What is lost or damaged is named: with list, patch and json among the rest on stdout, else on stderr; and the rest is told.
 *
 * A directory's path ends in a slash, except where git's form is printed. Names are quoted where they would break a line or move the cursor;
 * with `null` they are written as they are, and each ends in a zero byte.
 *
 * Threads: the main thread.
 */
#ifndef TIDFS_FS_CHANGE_OUTPUT_H
#define TIDFS_FS_CHANGE_OUTPUT_H

#include <getopt.h>

#include "fs/arguments.h"
#include "history/diff.h"

enum change_format {
    CHANGE_FORMAT_LIST = 1,
    CHANGE_FORMAT_NAME_STATUS = 2,
    CHANGE_FORMAT_STAT = 4,
    CHANGE_FORMAT_PATCH = 8,
    CHANGE_FORMAT_JSON = 16,
};

struct change_output {
    unsigned formats; /* CHANGE_FORMAT_*; 0: the command's default. Only STAT and PATCH go together */
    bool no_renames, ignore_times;
    bool null; /* with NAME_STATUS, which it also chooses where nothing is chosen */
};

/* The options of a command that prints changes: entries for long_options, and what to do when one of them was returned. Short: "p". Values are
 * OPTION_CHANGE_* and 'p'. */
enum {
    OPTION_CHANGE_NAME_STATUS = 0x800,
    OPTION_CHANGE_STAT,
    OPTION_CHANGE_NO_RENAMES,
    OPTION_CHANGE_IGNORE_TIMES,
};
/* -p/--patch, --stat, --name-status, --no-renames, --ignore-times */
#define CHANGE_OUTPUT_OPTIONS                                                                                          \
    {"patch", no_argument, NULL, 'p'}, {"stat", no_argument, NULL, OPTION_CHANGE_STAT},                                \
        {"name-status", no_argument, NULL, OPTION_CHANGE_NAME_STATUS},                                                 \
        {"no-renames", no_argument, NULL, OPTION_CHANGE_NO_RENAMES}, {                                                 \
        "ignore-times", no_argument, NULL, OPTION_CHANGE_IGNORE_TIMES                                                  \
    }
#define CHANGE_OUTPUT_SHORT "p"
/* False: none of those. */
bool change_output_take(struct change_output *output, int option);
/* After all options: what --json and -z say is added, and none means `format` (0: none). NULL, or why they do not go together. */
const char *change_output_settle(struct change_output *output, const struct common_options *common,
                                 enum change_format format);

/* Fills what the formats need of the options: the rest is the caller's. */
void change_output_prepare(const struct change_output *output, struct diff_options *options);
/* diff_run with the options as prepared, showing progress. False: said on stderr what is wrong. */
bool change_output_find(const struct change_output *output, struct store *store, const struct diff_options *options,
                        struct change_list *list);
/* Prints the list, of a diff_run with such options. *shown (may be NULL) is how many of the changes the formats have words for. */
enum change_printed {
    CHANGES_PRINTED,
    CHANGES_PRINTED_IN_PART, /* the rest is lost or damaged, and named: change_output_say_in_part is due, once */
    CHANGES_NOT_PRINTED,     /* said on stderr what is wrong; what was printed before stays */
};
enum change_printed change_output_print(const struct change_output *output, struct store *store,
                                        const struct change_list *list, size_t *shown);
void change_output_say_in_part(void);

#endif
