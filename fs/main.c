/* The program: finds the command that is meant and runs it. Under the name mount.tidfs or mount.fuse.tidfs it is a helper of mount(8). */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fs/command.h"
#include "fs/output.h"
#include "fs/pager.h"

/* mount(8) calls its helpers as: SOURCE DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]. Of these only -o concerns us, and -f, which asks
 * for everything but the mount itself. */
static int run_mount_helper(int argc, char **argv) {
    static char name[] = "mount.tidfs", option[] = "-o";
    char **passed = calloc(2 * (size_t)argc + 1, sizeof *passed);
    if (!passed) {
        output_error("out of memory");
        return EXIT_FAILED;
    }
    /* One word, -oOPTIONS, may become two. */
    int count = 0, letter = 0;
    bool fake = false, wrong = false;
    passed[count++] = name;
    while ((letter = getopt(argc, argv, "sfnvN:o:t:")) != -1) {
        if (letter == 'f')
            fake = true;
        else if (letter == 'o') {
            passed[count++] = option;
            passed[count++] = optarg;
        } else if (letter == '?')
            wrong = true;
    }
    for (; optind < argc; optind++)
        passed[count++] = argv[optind];
    int status = EXIT_DONE;
    if (wrong)
        status = command_usage_error(name, "wrong arguments from mount(8)");
    else if (!fake)
        status = cmd_mount(count, passed);
    free(passed);
    return status;
}

static int refuse(const char *what) {
    const char *nearest = command_suggest(what);
    if (nearest)
        output_error("no command %s; did you mean %s?", what, nearest);
    else
        output_error("no command %s; `tidfs --help` lists them", what);
    return EXIT_USAGE;
}

int main(int argc, char **argv) {
    tzset();
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that grows above ulimit -f is a full disk, and not the end */
    (void)umask(umask(0) & 077);    /* whatever it keeps from others, never what the owner himself needs of a store */
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "tidfs";
    if (strcmp(name, "mount.tidfs") == 0 || strcmp(name, "mount.fuse.tidfs") == 0)
        return run_mount_helper(argc, argv);

    if (argc < 2) {
        output_error("which command? `tidfs --help` lists them");
        return EXIT_USAGE;
    }
    while (argc > 2 && strcmp(argv[1], "--no-pager") == 0) {
        (void)setenv(PAGER_VARIABLE, PAGER_NONE, 1);
        argc--;
        argv++;
    }
    const char *what = argv[1];
    if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0)
        return command_print_overview();
    if (strcmp(what, "--version") == 0 || strcmp(what, "-V") == 0) {
        printf("tidfs %s\n", TIDFS_VERSION);
        return output_finish();
    }
    if (strcmp(what, "--complete") == 0)
        return cmd_complete(argc - 1, argv + 1);
    const struct command *command = command_find(what);
    if (!command)
        return refuse(what);
    int status = command->run(argc - 1, argv + 1);
    pager_end();
    return status;
}
