#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/live.h"
#include "fs/output.h"
#include "store/tid.h"

#define USER_MAX 255

/* A whole file, without the newlines at its end. malloc'ed; says what is wrong and returns NULL. */
static char *read_message(const char *file) {
    bool is_stdin = strcmp(file, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(file, "re");
    if (!in) {
        output_error("%s: %s", file, strerror(errno));
        return NULL;
    }
    /* One byte more than may be, to see that it is too long. */
    char *text = calloc(1, CONTROL_MESSAGE_MAX + 2);
    if (!text) {
        output_error("out of memory");
    } else {
        size_t length = fread(text, 1, CONTROL_MESSAGE_MAX + 1, in);
        if (ferror(in)) {
            output_error("cannot read %s: %s", file, strerror(errno));
            free(text);
            text = NULL;
        } else if (strlen(text) != length) {
            output_error("%s: a message is text, and this has a zero byte in it", file);
            free(text);
            text = NULL;
        } else if (length <= CONTROL_MESSAGE_MAX) {
            while (length > 0 && text[length - 1] == '\n')
                text[--length] = 0;
        }
    }
    if (!is_stdin)
        (void)fclose(in);
    return text;
}

static int commit(const char *directory, const char *user, const char *message) {
    struct location location;
    struct error err = {0};
    int rc = locate_path(directory, &location, &err);
    if (rc) {
        output_error("commit: %s%s", err.text,
                     rc == STORE_NOT_A_STORE ? "; name a directory in one, where something may be pending" : "");
        return EXIT_FAILED;
    }
    uint64_t tid = 0;
    int status = EXIT_FAILED;
    if (live_commit(location.point, user, message, &tid, &err)) {
        output_error("%s", err.text);
    } else {
        char text[TID_TEXT_SIZE];
        tid_format(tid, text);
        puts(text);
        status = output_finish();
    }
    location_release(&location);
    return status;
}

int cmd_commit(int argc, char **argv) {
    static const struct option options[] = {
        {"message", required_argument, NULL, 'm'},
        {"file", required_argument, NULL, 'F'},
        {"user", required_argument, NULL, 'u'},
        {0},
    };
    struct arguments arguments;
    const char *message = NULL, *file = NULL, *user = NULL;
    int option;
    arguments_init(&arguments, argc, argv, "m:F:", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case 'm':
            message = arguments.value;
            break;
        case 'F':
            file = arguments.value;
            break;
        case 'u':
            user = arguments.value;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count > 1)
        return command_usage_error(argv[0], "more than one directory");
    if (message && file)
        return command_usage_error(argv[0], "a message comes from -m or from -F, not from both");
    if (user && strlen(user) > USER_MAX)
        return command_usage_error(argv[0], "--user: a name has at most %d bytes", USER_MAX);

    char *text = NULL;
    if (file) {
        text = read_message(file);
        if (!text)
            return EXIT_FAILED;
        message = text;
    }
    int status = EXIT_FAILED;
    if (message && !*message) {
        output_error("commit: the message is empty; leave it out, or say what was done");
    } else if (message && strlen(message) > CONTROL_MESSAGE_MAX) {
        output_error("commit: the message is too long: at most %d bytes; put the rest into a file and commit that",
                     CONTROL_MESSAGE_MAX);
    } else {
        status = commit(arguments.operand_count ? arguments.operands[0] : ".", user, message);
    }
    free(text);
    return status;
}
