/* The commands of tidfs: one function each, in a table that dispatch, --help and `tidfs help` share.
 *
 * Invariants
 *  1. A command gets its own name as argv[0] and returns the exit status of the process: 0 done, 1 could not be done (said on stderr),
 *     2 wrong usage (said on stderr). Verify differs (EXIT_VERIFY_*), and diff if it is asked to tell by its status (EXIT_DIFFERENT).
 *  2. Results go to stdout and everything else to stderr, so that both can be used in scripts.
 *  3. Every command knows --help, which prints command_print_help() to stdout and exits 0.
 *
 * Threads: commands run on the main thread; the table is constant.
 */
#ifndef TIDFS_FS_COMMAND_H
#define TIDFS_FS_COMMAND_H

#define TIDFS_VERSION "0.1.0"

#define EXIT_DONE   0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

/* As diff(1) has them: for --exit-code. */
#define EXIT_DIFFERENT 1
#define EXIT_TROUBLE   2

/* As fsck(8) has them. */
#define EXIT_VERIFY_CLEAN       0
#define EXIT_VERIFY_REPAIRED    1
#define EXIT_VERIFY_ERRORS      4
#define EXIT_VERIFY_OPERATIONAL 8
#define EXIT_VERIFY_USAGE       16

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *arguments; /* its synopsis after the name */
    const char *summary;   /* one line, no full stop */
    const char *help;      /* the rest of --help: options and notes, ends in a newline; never NULL */
    int usage_status;      /* what a usage error exits with */
};

/* The table, ended by a NULL name. Constant. */
const struct command *command_table(void);
/* NULL if there is none of that name. */
const struct command *command_find(const char *name);
/* The known word nearest to `name` when it is near enough to be meant, else NULL. */
const char *command_suggest(const char *name);

/* The text of `tidfs NAME --help`, for one of the table's names. Returns EXIT_DONE, or EXIT_FAILED if stdout cannot be written. */
int command_print_help(const char *name);
/* Says on stderr what is wrong with the usage of a command, and where its help is. The format says what and why, without the program's
 * name. Returns the command's usage_status. */
int command_usage_error(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The whole of `tidfs --help`. */
int command_print_overview(void);

int cmd_init(int argc, char **argv);
/* argv[0] is "mount", or "mount.tidfs" when mount(8) asks, through its helper: then -o is read as from there. The other arguments are
 * the same: [-f] [-o OPTIONS] STORE DIR. */
int cmd_mount(int argc, char **argv);
int cmd_umount(int argc, char **argv);
int cmd_commit(int argc, char **argv);
int cmd_log(int argc, char **argv);
int cmd_versions(int argc, char **argv);
int cmd_revert(int argc, char **argv);
int cmd_undo(int argc, char **argv);
int cmd_tag(int argc, char **argv);
int cmd_at(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_cat(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_help(int argc, char **argv);
/* No command of the table's: what `tidfs --complete WORDS...` does, for shells (fs/completion.h). */
int cmd_complete(int argc, char **argv);

#endif
