/* The arguments of a command: getopt_long's conventions, with two differences. Options and operands may be mixed, and an argument such as -2h
 * is an operand, because it is a <when>; and what is wrong is said as tidfs says things.
 *
 *     struct arguments arguments;
 *     arguments_init(&arguments, argc, argv, "n:", long_options);
 *     while ((option = arguments_next(&arguments)) != ARGUMENTS_END)
 *         switch (option) {
 *         case 'n': … arguments.value …
 *         default: return arguments.status;
 *         }
 *     … arguments.operands[0..operand_count), arguments.common …
 *
 * What many commands share is read here and nowhere else: a command puts ARGUMENTS_SUBJECT, ARGUMENTS_JSON, … into its table of long
 * options, and finds what was given in `common`; arguments_next does not return those.
 *
 * Threads: the main thread, one at a time, since it is getopt_long beneath. Ownership: operands and values are argv's strings; argv's
 * order is lost.
 */
#ifndef TIDFS_FS_ARGUMENTS_H
#define TIDFS_FS_ARGUMENTS_H

#include <getopt.h>
#include <stdbool.h>

#include "fs/pager.h"

#define ARGUMENTS_END  (-1)
#define ARGUMENTS_STOP '?' /* --help was answered, or the usage is wrong and that was said: exit with `status` */

/* What --store and --mount say; NULL: not given. Never both. */
struct subject_options {
    const char *store, *mount;
};

struct common_options {
    struct subject_options where; /* ARGUMENTS_SUBJECT */
    bool json;                    /* ARGUMENTS_JSON */
    bool utc;                     /* ARGUMENTS_UTC */
    bool null;                    /* ARGUMENTS_NULL: a zero byte ends each name, which is then written as it is */
    bool no_pager;                /* ARGUMENTS_PAGER: for pager_begin(!no_pager) */
    enum colour_when colour;      /* ARGUMENTS_PAGER: for colour_init */
};

/* Entries for long_options. A command's own values are letters or lie below OPTION_COMMON. */
#define OPTION_COMMON 0x1000
enum {
    OPTION_HELP = OPTION_COMMON,
    OPTION_COMMON_STORE,
    OPTION_COMMON_MOUNT,
    OPTION_COMMON_JSON,
    OPTION_COMMON_UTC,
    OPTION_COMMON_NULL,
    OPTION_COMMON_NO_PAGER,
    OPTION_COMMON_COLOUR,
};
/* --store STORE, --mount DIR */
#define ARGUMENTS_SUBJECT                                                                                              \
    {"store", required_argument, NULL, OPTION_COMMON_STORE}, {                                                         \
        "mount", required_argument, NULL, OPTION_COMMON_MOUNT                                                          \
    }
/* --json */
#define ARGUMENTS_JSON                                                                                                 \
    { "json", no_argument, NULL, OPTION_COMMON_JSON }
/* --utc */
#define ARGUMENTS_UTC                                                                                                  \
    { "utc", no_argument, NULL, OPTION_COMMON_UTC }
/* -z, --null; the letter is known without being in short_options */
#define ARGUMENTS_NULL                                                                                                 \
    { "null", no_argument, NULL, OPTION_COMMON_NULL }
/* --no-pager, --color[=auto|always|never] */
#define ARGUMENTS_PAGER                                                                                                \
    {"no-pager", no_argument, NULL, OPTION_COMMON_NO_PAGER}, {                                                         \
        "color", optional_argument, NULL, OPTION_COMMON_COLOUR                                                         \
    }

struct arguments {
    int argc;
    char **argv;
    const char *name; /* of the command */
    const char *short_options;
    const struct option *long_options;
    char **operands;
    int operand_count;
    int plain_count;   /* of them, those before -- */
    const char *value; /* of the option that was returned */
    struct common_options common;
    int status;
    bool only_operands; /* after -- */
};

/* argv[0] is the command's name. short_options as for getopt(3), without prefixes. long_options: ended by a zero name, at most 30 of them;
 * --help is added. All must outlive the arguments. */
void arguments_init(struct arguments *arguments, int argc, char **argv, const char *short_options,
                    const struct option *long_options);
/* The next option of the command's own: its letter or long_options[].val; or ARGUMENTS_END or ARGUMENTS_STOP. That --store and --mount
 * exclude each other has been seen to. */
int arguments_next(struct arguments *arguments);

#endif
