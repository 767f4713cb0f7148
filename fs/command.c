#include "fs/command.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "fs/output.h"
#include "fs/suggest.h"

#define HELP_MOUNT                                                                                                     \
    "Shows the store on the directory DIR: /head, the writable present; /at/WHEN and\n"                                \
    "/before/WHEN, every past instant; /README. It goes to the background once mounted.\n"                             \
    "\n"                                                                                                               \
    "  -f, --foreground          stay in the foreground; messages go to stderr, not to syslog\n"                       \
    "  -o, --options OPTION,...  mount options; may be given any number of times\n"                                    \
    "      --help                show this\n"                                                                          \
    "\n"                                                                                                               \
    "Mount options:\n"                                                                                                 \
    "  ro                          write nothing; other processes may\n"                                               \
    "  at=WHEN                     the root is the tree as of WHEN, read-only\n"                                       \
    "  follow                      with at=TAG: moving the tag moves the mount\n"                                      \
    "  subdir=PATH                 this directory of the tree takes the root's place\n"                                \
    "  allow_other                 other users may enter the mount\n"                                                  \
    "  history=owner|all           who may enter /at and /before (owner)\n"                                            \
    "  commit-interval=TIME        seal this long after the first change (1s)\n"                                       \
    "  dirty-limit=SIZE            seal when more than this is pending (64M)\n"                                        \
    "  cache-size=SIZE             memory for what was read, of all instants (64M)\n"                                  \
    "  historical-pool-size=N      views kept when nobody uses them (16)\n"                                            \
    "  historical-timeout=TIME     how long they are kept (5m)\n"                                                      \
    "  historical-cache-size=SIZE  what they may use of cache-size (half of it)\n"                                     \
    "  ro_views                    open for writing and access(W_OK) give EROFS in views (root)\n"                     \
    "  writeback_cache             let the kernel gather small writes\n"                                               \
    "Also nosuid, nodev, noexec, noatime and the like. TIME: 500ms, 90s, 6m, 2h, 7d.\n"                                \
    "SIZE: bytes, or with k, M, G, T. Defaults can be set in /etc/tidfs.conf and\n"                                    \
    "~/.config/tidfs/tidfs.conf; see tidfs.conf(5).\n"

/* In the order in which a person meets them. */
static const struct command commands[] = {
    {"init", cmd_init, "STORE", "make a new, empty store",
     "STORE is a directory: a new one, or an empty one. Its parent must exist.\n"
     "\n"
     "      --help  show this\n",
     EXIT_USAGE},
    {"mount", cmd_mount, "[-f] [-o OPTIONS] STORE DIR", "show a store as a filesystem", HELP_MOUNT, EXIT_USAGE},
    {"umount", cmd_umount, "[-l] DIR", "seal what is pending and unmount",
     "Returns when everything is durable and the store is free for another mount.\n"
     "Exits 32 if it could not, as umount(8) does.\n"
     "\n"
     "  -l, --lazy  also while it is in use: those who use it keep it until they are done\n"
     "      --help  show this\n",
     EXIT_USAGE},
    {"commit", cmd_commit, "[-m MESSAGE | -F FILE] [--user NAME] [DIR]", "make what is pending a transaction, durably",
     "DIR is anything in a writable mount (the current directory). All that programs\n"
     "wrote before is included. Prints the transaction's id, its tid. Without a message\n"
     "and with nothing pending there is no new transaction: that of the newest is printed.\n"
     "\n"
     "  -m, --message MESSAGE  what was done; makes a transaction even of nothing\n"
     "  -F, --file FILE        take the message from a file; - is stdin\n"
     "      --user NAME        who did it, if not you\n"
     "      --help             show this\n",
     EXIT_USAGE},
    {"log", cmd_log, "[OPTIONS] [WHEN..WHEN] [PATH...]", "list transactions, newest first",
     "For each transaction: tid, time, user, number of objects changed, and the first line\n"
     "of its message. With PATHs only those that changed what one of them showed: the file,\n"
     "what is below it, or which file it was; it may be deleted since. In a view (below\n"
     "/at/WHEN) the log ends with that view's transaction. Of WHEN..WHEN either may be left\n"
     "out; both ends are included, and an end that is a date in the future means up to now.\n"
     "\n"
     "  -n, --number N         at most N transactions, the newest\n"
     "      --since WHEN       not older than WHEN\n"
     "      --until WHEN       not newer than WHEN\n"
     "      --user NAME        those of that user\n"
     "      --grep PATTERN     those whose message matches an extended regular expression\n"
     "  -i, --ignore-case      in whatever case\n"
     "  -F, --fixed-strings    PATTERN is the text itself\n"
     "      --follow           of what was renamed to PATH, under its older names too\n"
     "      --reverse          oldest first\n"
     "      --activity[=UNIT]  count transactions by hour or day, as a graph\n"
     "  -p, --patch            what each changed, as a patch\n"
     "      --stat             how many lines and bytes each changed\n"
     "      --name-status      which files each changed, with git's letters\n"
     "      --no-renames       renames as what was deleted and what was added\n"
     "      --ignore-times     not what changed nothing but its times\n"
     "      --json             a JSON object a line, with whole messages\n"
     "      --utc              times in UTC\n"
     "      --no-pager         straight to the terminal\n"
     "      --color[=WHEN]     auto, always or never\n"
     "      --store STORE      of this store; PATH is then relative to its root directory\n"
     "      --mount DIR        of the store mounted there (that of PATH, or where you are)\n"
     "      --help             show this\n",
     EXIT_USAGE},
    {"versions", cmd_versions, "[OPTIONS] PATH", "list the versions of a file or directory",
     "For each, newest first: time, tid, size, what changed, and the path that opens it. It may\n"
     "be deleted since, or have led to several files in turn. A directory has a version for\n"
     "each change of anything below it. In a view (below /at/WHEN) they end with that view.\n"
     "In a mount, /versions/PATH lists the same as files.\n"
     "\n"
     "  -n, --number N      at most N versions, the newest\n"
     "      --follow        of what was renamed to PATH, under its older names too\n"
     "      --reverse       oldest first\n"
     "      --json          a JSON object a line\n"
     "      --utc           times in UTC\n"
     "      --no-pager      straight to the terminal\n"
     "      --color[=WHEN]  auto, always or never\n"
     "      --store STORE   of this store; PATH is then relative to its root directory\n"
     "      --mount DIR     of the store mounted there (that of PATH)\n"
     "      --help          show this\n",
     EXIT_USAGE},
    {"diff", cmd_diff, "[OPTIONS] A [B] [PATH...]", "show what changed between two instants",
     "A and B are WHENs; A..B is the same. B is now if it is left out, and inside of a view that\n"
     "view; an A later than B shows the reverse, and ..B everything that B has. With PATHs, only\n"
     "what is one of them or below it; put -- before a PATH that could be a time. A mount of a\n"
     "subdirectory shows only what changed there.\n"
     "\n"
     "A line for each change: A added, D deleted, M modified, R renamed, T of another type; the\n"
     "path, with a slash after directories; and what differs: content, mode, owner, xattr, times.\n"
     "What is lost or damaged has a line with a question mark, and hides nothing else.\n"
     "\n"
     "  -p, --patch         the contents' differences, for git apply, or for patch -p1 if no file\n"
     "                      is binary. What git has no words for is said in lines that begin with\n"
     "                      tidfs:, which both skip. Files up to 512 MiB\n"
     "      --stat          lines and bytes that changed in each file, and totals\n"
     "      --name-status   git's letters and tabs, for what git would notice: content and\n"
     "                      executability of files and symlinks\n"
     "      --json          an object a line, with everything that is known of both sides\n"
     "  -z, --null          with --name-status (implied): names as they are, zero bytes between\n"
     "      --no-renames    renamed files as deleted and added\n"
     "      --ignore-times  leave out what differs in its times alone\n"
     "      --exit-code     exit 1 if anything is shown, 0 if not, 2 if something went wrong\n"
     "      --utc           times in messages in UTC\n"
     "      --no-pager      straight to the terminal\n"
     "      --color[=WHEN]  auto, always or never\n"
     "      --store STORE   of this store; PATHs are then relative to its root directory\n"
     "      --mount DIR     of the store mounted there (that of PATH, or where you are)\n"
     "      --help          show this\n",
     EXIT_USAGE},
    {"show", cmd_show, "[OPTIONS] [WHEN]", "show one transaction: who, when, why, and what it changed",
     "That of WHEN is the newest one then; without WHEN the newest of all, and inside of a view\n"
     "that view's. What it changed is listed as by `tidfs diff`; in a mount of a subdirectory,\n"
     "what it changed there. The clock is shown where it was not the transaction's time, which never steps back.\n"
     "\n"
     "  -p, --patch         the contents' differences\n"
     "      --stat          lines and bytes that changed in each file, and totals\n"
     "      --name-status   git's letters and tabs\n"
     "      --json          an object a line: the transaction, then each change\n"
     "      --no-renames    renamed files as deleted and added\n"
     "      --ignore-times  leave out what differs in its times alone\n"
     "      --utc           times in UTC\n"
     "      --no-pager      straight to the terminal\n"
     "      --color[=WHEN]  auto, always or never\n"
     "      --store STORE   of this store\n"
     "      --mount DIR     of the store mounted there (where you are)\n"
     "      --help          show this\n",
     EXIT_USAGE},
    {"revert", cmd_revert, "[OPTIONS] [--at WHEN] PATH...", "put files or whole trees back as they were",
     "Content, modes, owners, extended attributes, times and links of each PATH and of all below\n"
     "it become what they were at WHEN; what was deleted since is there again, and what was not\n"
     "there then is deleted. A PATH in a view (below /at/WHEN or /before/WHEN) says by itself\n"
     "when. All of it is one transaction, so that it can be undone; content is shared, not\n"
     "copied. What is done is printed as by `tidfs diff`, from now to then.\n"
     "\n"
     "      --at WHEN          as of WHEN\n"
     "  -n, --dry-run          only print what would be done\n"
     "  -p, --patch            ask for each hunk of a text file, and for any other change as a\n"
     "                         whole; of a file of which some are put back the attributes are, too\n"
     "      --keep-new         leave what was not there at WHEN: nothing is deleted, and what was\n"
     "                         renamed since is there under both names\n"
     "  -m, --message MESSAGE  above \"revert PATH to TID\"\n"
     "      --json             a JSON object a line: each change, then the transaction\n"
     "      --utc              times in messages in UTC\n"
     "      --store STORE      in this store; PATHs are then relative to its root directory\n"
     "      --mount DIR        in the store mounted there (that of PATH)\n"
     "      --help             show this\n",
     EXIT_USAGE},
    {"undo", cmd_undo, "[OPTIONS] TID|WHEN|A..B...", "take back transactions, leaving later ones",
     "What the transaction changed becomes what it was before it, unless it was changed again\n"
     "since. Then names, attributes and lines of text are merged; what cannot be merged is a\n"
     "conflict, which is printed with both tids, and nothing is changed at all. Of several\n"
     "transactions (A..B includes both) the newest is taken back first. An undo is a\n"
     "transaction, and can be undone. A WHEN means the newest transaction then.\n"
     "\n"
     "  -n, --dry-run          only print what would be done\n"
     "  -m, --message MESSAGE  above \"undo TID: \" and the undone transaction's first line\n"
     "      --json             a JSON object a line: each change, then the transaction; or each\n"
     "                         conflict\n"
     "      --utc              times in messages in UTC\n"
     "      --store STORE      in this store\n"
     "      --mount DIR        in the store mounted there (where you are)\n"
     "      --help             show this\n",
     EXIT_USAGE},
    {"at", cmd_at, "[OPTIONS] WHEN [PATH]", "say what WHEN means, and where it is",
     "Without PATH: the tid of the newest transaction at WHEN, its time and, if mounted,\n"
     "the view's path. With PATH, which lies below /head or in a view: only the path of the\n"
     "same thing in the view of WHEN, so that `cd \"$(tidfs at -2h .)\"` takes you there.\n"
     "\n"
     "      --before       just before WHEN instead of at it\n"
     "  -v, --verbose      with PATH: tid and time too, on stderr (as on a terminal)\n"
     "      --json         everything, as a JSON object\n"
     "      --utc          times in UTC\n"
     "      --store STORE  of this store; PATH is then relative to its root directory\n"
     "      --mount DIR    of the store mounted there (that of PATH, or where you are)\n"
     "      --help         show this\n"
     "\n"
     "WHEN is a tid (03f8a3c100d2e4b7), a date and time in UTC or with a zone\n"
     "(2026-11-22T10:30:00+01:00, 2026-11-22, 2026-11), seconds since 1970 (@1795343400),\n"
     "now, today, yesterday, -90s, -15m, -2h, -3d, -2w, or a tag; with ~N or ^ after it,\n"
     "N or one transactions earlier.\n",
     EXIT_USAGE},
    {"cat", cmd_cat, "[OPTIONS] WHEN PATH...", "write files as they were at WHEN",
     "The exact bytes that the files had then, to stdout, from a mount or from a store at rest.\n"
     "A PATH below /head or in any view means its place in the tree; WHEN alone says when.\n"
     "Symlinks are not followed. For a path that was not there then, tells when it was.\n"
     "\n"
     "      --utc          times in messages in UTC\n"
     "      --store STORE  of this store; PATH is then relative to its root directory\n"
     "      --mount DIR    of the store mounted there (that of PATH)\n"
     "      --help         show this\n",
     EXIT_USAGE},
    {"ls", cmd_ls, "[OPTIONS] WHEN [PATH]", "list a directory as it was at WHEN",
     "All names in PATH (where you are) but . and .., in the order of their bytes, one a line.\n"
     "A PATH below /head or in any view means its place in the tree; WHEN alone says when.\n"
     "\n"
     "  -l, --long         type and permissions, links, owner, group, size and time too\n"
     "  -d, --directory    the directory itself, not what is in it\n"
     "  -z, --null         names as they are, each ended by a zero byte\n"
     "      --json         a JSON object a line, with everything\n"
     "      --utc          times in UTC\n"
     "      --no-pager     straight to the terminal\n"
     "      --color[=WHEN] auto, always or never\n"
     "      --store STORE  of this store; PATH is then relative to its root directory\n"
     "      --mount DIR    of the store mounted there (that of PATH, or where you are)\n"
     "      --help         show this\n",
     EXIT_USAGE},
    {"tag", cmd_tag, "[OPTIONS] [NAME [WHEN]]", "name an instant; list, move or delete names",
     "Without NAME: lists all tags, with tids and times. With NAME: gives that name to the\n"
     "newest transaction at WHEN (now), and prints its tid. /at/NAME shows it at once.\n"
     "\n"
     "      --force        move a tag that exists\n"
     "      --delete       delete the tag NAME\n"
     "      --json         list as a JSON array\n"
     "      --utc          times in UTC\n"
     "      --store STORE  in this store\n"
     "      --mount DIR    in the store mounted there (where you are)\n"
     "      --help         show this\n",
     EXIT_USAGE},
    {"status", cmd_status, "[OPTIONS] [DIR]", "show what a mount is doing",
     "DIR is anything in a mount (the current directory), or a store's directory: the newest\n"
     "transaction and sizes; and of a mount, what is pending and when it will be sealed, views\n"
     "in use and idle, the cache and how often it had what was asked for, and requests by kind.\n"
     "\n"
     "      --json         as a JSON object\n"
     "      --utc          times in UTC\n"
     "      --store STORE  of this store, and of the mount that writes it if there is one\n"
     "      --mount DIR    of the mount there\n"
     "      --help         show this\n",
     EXIT_USAGE},
    {"info", cmd_info, "[--json] [STORE]", "describe a store",
     "STORE is a store's directory or anything in a mount of it (the current directory):\n"
     "format, transactions, sizes, tags, and who writes it.\n"
     "\n"
     "      --json  as a JSON object\n"
     "      --utc   times in UTC\n"
     "      --help  show this\n",
     EXIT_USAGE},
    {"verify", cmd_verify, "[--repair [-n]] [--json] STORE",
     "check a store: every row, reference, link count and body; or repair it",
     "STORE is a store's directory or anything in a mount of it. It may be mounted. Each\n"
     "problem is printed with the path that it affects. Exits 0 if there is none, 4 if there\n"
     "is, 8 if the check could not be done, 16 for wrong usage.\n"
     "\n"
     "With --repair everything whose checksum holds is kept, what has lost its name goes to\n"
     "/lost+found in one transaction, what is lost is told, and reading it is an error. The\n"
     "store must not be mounted. The damaged database is kept beside the repaired one.\n"
     "Exits 0 if nothing was wrong, 1 if all was repaired, 4 if something is left.\n"
     "\n"
     "      --repair   salvage what can be\n"
     "  -n, --dry-run  only tell what --repair would do\n"
     "      --json     as a JSON object\n"
     "      --help     show this\n",
     EXIT_VERIFY_USAGE},
    {"help", cmd_help, "[COMMAND]", "explain a command",
     "On a terminal the manual page of COMMAND, if it is installed; else what its --help\n"
     "prints. Without COMMAND: lists all of them.\n"
     "\n"
     "      --help  show this\n",
     EXIT_USAGE},
    {0},
};

const struct command *command_table(void) {
    return commands;
}

const struct command *command_find(const char *name) {
    for (const struct command *command = commands; command->name; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
    }
    return NULL;
}

const char *command_suggest(const char *name) {
    const char *nearest = NULL;
    size_t distance = SIZE_MAX;
    for (const struct command *command = commands; command->name; command++) {
        size_t candidate = suggest_distance(name, command->name);
        if (candidate < distance) {
            distance = candidate;
            nearest = command->name;
        }
    }
    return nearest;
}

/* The helper of mount(8) has the help of the command that it is. */
static const char *help_name(const char *name) {
    return strncmp(name, "mount.", 6) == 0 ? "mount" : name;
}

int command_print_help(const char *name) {
    const struct command *command = command_find(help_name(name));
    if (!command)
        return EXIT_FAILED;
    printf("Usage: tidfs %s %s\n\n%c%s.\n\n%s", command->name, command->arguments, command->summary[0] - 'a' + 'A',
           command->summary + 1, command->help);
    return output_finish();
}

int command_print_overview(void) {
    printf("Usage: tidfs COMMAND [ARGUMENTS]\n"
           "\n"
           "A filesystem that keeps every past instant readable: /head is the present, /at/WHEN the past.\n"
           "\n"
           "Commands:\n");
    for (const struct command *command = commands; command->name; command++)
        printf("  %-8s %s\n", command->name, command->summary);
    printf("\n"
           "`tidfs COMMAND --help` has the details, tidfs(1) the whole. `tidfs --version` says which this is.\n"
           "\n"
           "To begin: tidfs init STORE && mkdir DIR && tidfs mount STORE DIR && ls DIR\n");
    return output_finish();
}

int command_usage_error(const char *name, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    name = help_name(name);
    output_error("%s: %s; see `tidfs %s --help`", name, length < 0 ? "wrong usage" : text, name);
    const struct command *command = command_find(name);
    return command ? command->usage_status : EXIT_USAGE;
}
