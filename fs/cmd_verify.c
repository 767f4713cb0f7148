#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/output.h"
#include "fs/subject.h"

struct report {
    struct progress progress;
    struct json *json; /* NULL: text */
};

static void on_problem(void *context, const struct verify_problem *problem) {
    struct report *report = context;
    progress_clear(&report->progress);
    if (report->json) {
        json_begin_object(report->json, NULL);
        json_string(report->json, "path", problem->path);
        json_string(report->json, "text", problem->text);
        json_end_object(report->json);
        return;
    }
    if (problem->path) {
        output_name(stdout, problem->path);
        (void)fputs(": ", stdout);
    }
    output_text(stdout, problem->text, strlen(problem->text));
    (void)fputc('\n', stdout);
}

static void on_progress(void *context, uint64_t done, uint64_t total) {
    struct report *report = context;
    progress_update(&report->progress, done, total);
}

/* The log's newest line, for a check that cannot be finished. The lines about damage would only repeat what on_problem gets. */
struct last_line {
    pthread_mutex_t lock;
    char text[1024]; /* protected by lock */
};

static void keep_line(void *context, enum log_level level, const char *line) {
    struct last_line *last = context;
    (void)level;
    pthread_mutex_lock(&last->lock);
    (void)snprintf(last->text, sizeof last->text, "%s", line);
    pthread_mutex_unlock(&last->lock);
}

static int verify(struct subject *subject, const struct last_line *last, bool as_json) {
    struct json json = {0};
    struct report report = {.json = as_json ? &json : NULL};
    const struct verify_options options = {.problem = on_problem, .progress = on_progress, .context = &report};
    uint64_t problems = 0;
    progress_init(&report.progress, "verifying");
    json_init(&json, stdout);
    if (as_json) {
        json_begin_object(&json, NULL);
        json_string(&json, "store", subject->location.store);
        json_begin_array(&json, "problems", true);
    }
    int rc = storage_verify(store_storage(subject->store), &options, &problems);
    progress_clear(&report.progress);
    if (as_json) {
        json_end_array(&json);
        json_bool(&json, "complete", rc == 0);
        json_bool(&json, "clean", rc == 0 && problems == 0);
        json_end_object(&json);
    } else if (rc == 0 && problems == 0) {
        printf("%s: clean\n", subject->location.store);
    } else if (problems > 0) {
        printf("%s: %" PRIu64 " problem%s\n", subject->location.store, problems, problems == 1 ? "" : "s");
    }
    if (rc)
        output_error("%s: the check could not be finished: %s", subject->location.store,
                     *last->text ? last->text : store_error_text(rc));
    if (output_finish() != EXIT_DONE || (rc && rc != STORE_CORRUPT))
        return EXIT_VERIFY_OPERATIONAL;
    return rc == 0 && problems == 0 ? EXIT_VERIFY_CLEAN : EXIT_VERIFY_ERRORS;
}

int cmd_verify(int argc, char **argv) {
    static const struct option options[] = {ARGUMENTS_JSON, {0}};
    struct arguments arguments;
    arguments_init(&arguments, argc, argv, "", options);
    if (arguments_next(&arguments) != ARGUMENTS_END)
        return arguments.status;
    if (arguments.operand_count != 1)
        return command_usage_error(argv[0], "one store is needed");

    struct subject subject;
    struct last_line last = {.lock = PTHREAD_MUTEX_INITIALIZER};
    int status = EXIT_VERIFY_OPERATIONAL;
    if (subject_find_any(&subject, arguments.operands[0])) {
        subject.sink.log = (struct log){.write = keep_line, .context = &last, .most = LOG_LEVEL_WARNING};
        int rc = subject_open(&subject);
        if (rc == 0)
            status = verify(&subject, &last, arguments.common.json);
        else if (rc == STORE_CORRUPT)
            status = EXIT_VERIFY_ERRORS;
    }
    subject_release(&subject);
    return status;
}
