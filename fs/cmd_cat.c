#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/instant.h"
#include "fs/output.h"

#define BUFFER_BYTES ((size_t)1 << 20)

/* False: said why it has no bytes to give. */
static bool check_type(struct instant *instant, const char *shown, const struct view_attr *attr) {
    if (S_ISREG(attr->stat.st_mode))
        return true;
    if (S_ISDIR(attr->stat.st_mode)) {
        output_error("%s: is a directory then; `tidfs ls` lists it", shown);
    } else if (S_ISLNK(attr->stat.st_mode)) {
        char *target = instant_readlink(instant, shown, attr);
        if (target)
            output_error("%s: is a symlink then, to %s; symlinks are not followed: name what you mean", shown, target);
        free(target);
    } else {
        output_error("%s: is a special file then, which has no content", shown);
    }
    return false;
}

/* False: said what is wrong; some of it may be written. */
static bool copy(const struct instant *instant, const char *shown, const struct view_attr *attr, uint8_t *buffer) {
    uint64_t offset = 0;
    size_t done = 0;
    int rc;
    bool written = true;
    struct progress progress;
    progress_init(&progress, shown);
    /* What is written to a terminal shows by itself how far it is. */
    progress.terminal = progress.terminal && !isatty(STDOUT_FILENO);
    do {
        progress_update(&progress, offset, (uint64_t)attr->stat.st_size);
        rc = view_file_read(instant->subject.store, attr->revision, offset, BUFFER_BYTES, buffer, &done);
        written = rc == 0 && fwrite(buffer, 1, done, stdout) == done;
        offset += written ? done : 0;
    } while (written && done == BUFFER_BYTES);
    progress_clear(&progress);
    if (rc)
        output_error("%s: cannot be read from byte %llu on: %s", shown, (unsigned long long)offset, strerror(-rc));
    return written; /* what cannot be written is said at the end, by output_finish */
}

static bool cat(struct instant *instant, const char *tree_path, const char *shown, uint8_t *buffer) {
    struct view_attr attr;
    return instant_find(instant, tree_path, shown, &attr) && check_type(instant, shown, &attr) &&
           copy(instant, shown, &attr, buffer);
}

/* What is wrong with one file does not keep the others from being written, as with cat(1). */
static int cat_all(struct instant *instant, const struct arguments *arguments) {
    uint8_t *buffer = malloc(BUFFER_BYTES);
    if (!buffer) {
        output_error("out of memory");
        return EXIT_FAILED;
    }
    bool all = cat(instant, instant->subject.location.path, arguments->operands[1], buffer);
    for (int i = 2; i < arguments->operand_count && !ferror(stdout); i++) {
        const char *shown = arguments->operands[i];
        char *tree_path = subject_place(&instant->subject, &arguments->common.where, shown);
        all = tree_path && cat(instant, tree_path, shown, buffer) && all;
        free(tree_path);
    }
    free(buffer);
    int status = output_finish();
    return all ? status : EXIT_FAILED;
}

int cmd_cat(int argc, char **argv) {
    static const struct option options[] = {ARGUMENTS_SUBJECT, ARGUMENTS_UTC, {0}};
    struct arguments arguments;
    arguments_init(&arguments, argc, argv, "", options);
    if (arguments_next(&arguments) != ARGUMENTS_END)
        return arguments.status;
    if (arguments.operand_count < 2)
        return command_usage_error(argv[0], arguments.operand_count == 0
                                                ? "when, and which file? A time, a tid or a tag comes first"
                                                : "which file?");
    struct instant instant;
    int status = EXIT_FAILED;
    if (instant_open(&instant, &arguments.common.where, arguments.operands[1], arguments.operands[0], RESOLVE_AT,
                     arguments.common.utc))
        status = cat_all(&instant, &arguments);
    instant_release(&instant);
    return status;
}
