/* tidfs mount, and the helper that mount(8) runs as mount.tidfs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/config.h"
#include "fs/mount.h"
#include "fs/output.h"

/* What mount(8) expects of its helpers. */
#define HELPER_USAGE  1
#define HELPER_FAILED 32

/* The arguments of one call. */
struct mounting {
    bool helper, foreground;
    const char *store, *directory;
    const char **lists; /* of -o, in order; as many as there are arguments at most */
    size_t list_count;
};

static bool parse_arguments(int argc, char **argv, struct mounting *mounting, int *status) {
    static const struct option options[] = {
        {"foreground", no_argument, NULL, 'f'}, {"options", required_argument, NULL, 'o'}, {0}};
    struct arguments arguments;
    int option;
    arguments_init(&arguments, argc, argv, "fo:", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case 'f':
            mounting->foreground = true;
            break;
        case 'o':
            mounting->lists[mounting->list_count++] = arguments.value;
            break;
        default:
            *status = arguments.status;
            return false;
        }
    }
    if (arguments.operand_count != 2) {
        *status = command_usage_error(argv[0], arguments.operand_count < 2 ? "which store, and where?"
                                                                           : "more than a store and a directory");
        return false;
    }
    mounting->store = arguments.operands[0];
    mounting->directory = arguments.operands[1];
    return true;
}

/* From the configuration files, then the command line. Says what is wrong. */
static bool gather_options(const struct mounting *mounting, struct mount_options *options, bool *usage) {
    struct error err = {0};
    struct timespec now;
    *usage = false;
    int rc =
        mount_options_read_files(options, MOUNT_OPTIONS_SYSTEM_FILE, getenv("XDG_CONFIG_HOME"), getenv("HOME"), &err);
    for (size_t i = 0; rc >= 0 && i < mounting->list_count; i++) {
        *usage = true;
        rc = mount_options_parse(options, mounting->lists[i],
                                 mounting->helper ? SOURCE_MOUNT_HELPER : SOURCE_COMMAND_LINE, &err);
    }
    if (rc >= 0) {
        clock_gettime(CLOCK_REALTIME, &now);
        rc = mount_options_check(options, now, &err);
    }
    if (rc >= 0 && options->allow_other && !mount_may_share()) {
        rc =
            error_set(&err, STORE_READ_ONLY,
                      "allow_other is root's to allow: the line user_allow_other in /etc/fuse.conf lets others use it");
        *usage = false;
    }
    if (rc < 0) {
        output_error("mount: %s", err.text);
    }
    return rc >= 0;
}

static bool mount_store(const struct mounting *mounting, const struct mount_options *options) {
    struct error err = {0};
    struct log_sink sink;
    char *point = NULL;
    log_sink_init(&sink, mounting->foreground ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING);
    int rc = mount_prepare(mounting->directory, mounting->store, &point, &err);
    if (rc == STORE_OK) {
        rc = mount_run(mounting->store, point, options, mounting->foreground, &sink, &err);
    }
    if (rc != STORE_OK) {
        output_error("mount: %s", err.text);
    }
    free(point);
    log_sink_release(&sink);
    return rc == STORE_OK;
}

int cmd_mount(int argc, char **argv) {
    struct mounting mounting = {.helper = strncmp(argv[0], "mount.", 6) == 0};
    struct mount_options options;
    bool usage = false;
    int status = EXIT_DONE;
    mounting.lists = calloc((size_t)argc, sizeof *mounting.lists);
    if (mounting.lists == NULL) {
        output_error("mount: out of memory");
        return mounting.helper ? HELPER_FAILED : EXIT_FAILED;
    }
    mount_options_init(&options);
    if (!parse_arguments(argc, argv, &mounting, &status)) {
        status = mounting.helper && status != EXIT_DONE ? HELPER_USAGE : status;
    } else if (!gather_options(&mounting, &options, &usage)) {
        status = mounting.helper ? HELPER_USAGE : usage ? EXIT_USAGE : EXIT_FAILED;
    } else if (!mount_store(&mounting, &options)) {
        status = mounting.helper ? HELPER_FAILED : EXIT_FAILED;
    }
    mount_options_release(&options);
    free(mounting.lists);
    return status;
}
