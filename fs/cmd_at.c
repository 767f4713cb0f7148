#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/instant.h"
#include "fs/json.h"
#include "fs/output.h"
#include "store/tid.h"

struct question {
    const char *when;
    const char *path; /* NULL: none */
    enum resolve_how how;
    bool json, utc, verbose;
};

static void print_json(const struct question *question, const struct resolved *resolved, const char *tree_path,
                       const char *view_path) {
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_string(&json, "when", question->when);
    json_string(&json, "how", question->how == RESOLVE_BEFORE ? "before" : "at");
    json_tid(&json, "tid", resolved->tid);
    if (resolved->tid)
        json_time(&json, "time", resolved->time);
    else
        json_null(&json, "time");
    json_bool(&json, "moving", resolved->moving);
    if (question->path)
        json_string(&json, "tree_path", tree_path);
    json_string(&json, "path", view_path);
    json_end_object(&json);
}

static void print_line(FILE *out, const struct question *question, const struct resolved *resolved) {
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE] = "-";
    tid_format(resolved->tid, tid);
    if (resolved->tid)
        output_time(resolved->time, question->utc, time);
    (void)fprintf(out, "%s  %s", tid, time);
}

static int answer(struct instant *instant, const struct question *question) {
    const struct location *location = &instant->subject.location;
    const struct resolved *resolved = &instant->resolved;
    const char *tree_path = question->path ? location->path : "";
    struct view_attr attr;
    if (!instant_find(instant, tree_path, question->path ? question->path : "/", &attr))
        return EXIT_FAILED;

    char *view_path = location_view_path(location, question->how == RESOLVE_BEFORE, resolved->name, tree_path);
    int status = EXIT_FAILED;
    if (question->json) {
        print_json(question, resolved, tree_path, view_path);
        status = output_finish();
    } else if (question->path && !view_path) {
        output_error("%s: no mount of %s shows that instant; mount it with `tidfs mount`", question->path,
                     location->store);
    } else if (question->path) {
        if (question->verbose || isatty(STDERR_FILENO)) {
            print_line(stderr, question, resolved);
            (void)fputc('\n', stderr);
        }
        output_name(stdout, view_path);
        (void)fputc('\n', stdout);
        status = output_finish();
    } else {
        print_line(stdout, question, resolved);
        if (view_path) {
            (void)fputs("  ", stdout);
            output_name(stdout, view_path);
        }
        (void)fputc('\n', stdout);
        status = output_finish();
    }
    if (resolved->tid == 0 && status == EXIT_DONE)
        subject_say_before_first(&instant->subject, question->when, question->utc);
    free(view_path);
    return status;
}

int cmd_at(int argc, char **argv) {
    static const struct option options[] = {
        {"before", no_argument, NULL, 'b'},
        {"verbose", no_argument, NULL, 'v'},
        ARGUMENTS_SUBJECT,
        ARGUMENTS_JSON,
        ARGUMENTS_UTC,
        {0},
    };
    struct question question = {.how = RESOLVE_AT};
    struct arguments arguments;
    int option;
    arguments_init(&arguments, argc, argv, "v", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case 'b':
            question.how = RESOLVE_BEFORE;
            break;
        case 'v':
            question.verbose = true;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count < 1)
        return command_usage_error(argv[0], "when? A time, a tid or a tag is needed");
    if (arguments.operand_count > 2)
        return command_usage_error(argv[0], "more than one path");
    question.json = arguments.common.json;
    question.utc = arguments.common.utc;
    question.when = arguments.operands[0];
    question.path = arguments.operand_count > 1 ? arguments.operands[1] : NULL;

    struct instant instant;
    int status = EXIT_FAILED;
    if (instant_open(&instant, &arguments.common.where, question.path, question.when, question.how, question.utc))
        status = answer(&instant, &question);
    instant_release(&instant);
    return status;
}
