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
     "      --user NAME        who did it (you, if there is a message)\n"
     "      --help             show this\n",
     EXIT_USAGE},
    {"log", cmd_log, "[OPTIONS] [WHEN..WHEN] [PATH]", "list transactions, newest first",
     "For each transaction: tid, time, user, number of objects changed, and the first line\n"
     "of its message. With PATH only those that touched it or anything below it; it may be\n"
     "deleted since. In a view (below /at/WHEN) the log ends with that view's transaction.\n"
     "Of WHEN..WHEN either may be left out; both ends are included.\n"
     "\n"
     "  -n, --number N     at most N transactions\n"
     "      --json         as a JSON array, with whole messages\n"
     "      --utc          times in UTC\n"
     "      --store STORE  of this store; PATH is then relative to its root directory\n"
     "      --mount DIR    of the store mounted there (that of PATH, or where you are)\n"
     "      --help         show this\n",
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
    {"status", cmd_status, "[--json] [DIR]", "show what a mount is doing",
     "DIR is anything in a mount (the current directory): what is pending and when it will be\n"
     "sealed, views in use and idle, the cache, and requests by kind since it was mounted.\n"
     "\n"
     "      --json  as a JSON object\n"
     "      --utc   times in UTC\n"
     "      --help  show this\n",
     EXIT_USAGE},
    {"info", cmd_info, "[--json] [STORE]", "describe a store",
     "STORE is a store's directory or anything in a mount of it (the current directory):\n"
     "format, transactions, sizes, tags, and who writes it.\n"
     "\n"
     "      --json  as a JSON object\n"
     "      --utc   times in UTC\n"
     "      --help  show this\n",
     EXIT_USAGE},
    {"verify", cmd_verify, "[--json] STORE", "check a store: every row, reference, link count and body",
     "STORE is a store's directory or anything in a mount of it. It may be mounted. Each\n"
     "problem is printed with the path that it affects. Exits 0 if there is none, 4 if there\n"
     "is, 8 if the check could not be done, 16 for wrong usage.\n"
     "\n"
     "      --json  as a JSON object\n"
     "      --help  show this\n",
     EXIT_VERIFY_USAGE},
    {"help", cmd_help, "[COMMAND]", "show the help of a command",
     "Without COMMAND: lists all of them.\n"
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
