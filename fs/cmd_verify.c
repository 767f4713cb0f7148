#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/output.h"
#include "fs/scratch.h"
#include "fs/subject.h"
#include "store/repair.h"

struct report {
    struct progress progress;
    struct json *json; /* NULL: text */
    uint64_t known;    /* losses on record that were told */
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

static void on_known(void *context, const struct verify_problem *loss) {
    struct report *report = context;
    progress_clear(&report->progress);
    if (report->json && report->known == 0) {
        json_end_array(report->json);
        json_begin_array(report->json, "known", true);
    }
    if (!report->json)
        (void)fputs("known: ", stdout);
    report->known++;
    on_problem(context, loss);
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
    const struct verify_options options = {
        .problem = on_problem, .progress = on_progress, .known = on_known, .context = &report};
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
        printf(report.known ? "%s: clean, but for what is on record as lost\n" : "%s: clean\n",
               subject->location.store);
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

/* ---- repair ---- */

static void on_repair_progress(void *context, const char *doing, uint64_t done, uint64_t total) {
    struct report *report = context;
    report->progress.label = doing;
    progress_update(&report->progress, done, total);
}

static const char *plural(uint64_t number, const char *several) {
    return number == 1 ? "" : several;
}

static void tell_repaired(const char *store, const struct repair_result *result, bool dry_run) {
    char tid[TID_TEXT_SIZE];
    if (!result->damaged) {
        printf("%s: clean\n", store);
        return;
    }
    printf("%s: %s: %" PRIu64 " row%s kept, %" PRIu64 " loss%s on record, %" PRIu64 " object%s placed, %" PRIu64
           " name%s removed\n",
           store, dry_run ? "can be repaired" : "repaired", result->rows, plural(result->rows, "s"), result->losses,
           plural(result->losses, "es"), result->placed, plural(result->placed, "s"), result->removed,
           plural(result->removed, "s"));
    if (!dry_run) {
        tid_format(result->tid, tid);
        printf("%s: repaired by transaction %s; the damaged database is kept as ", store, tid);
        output_name(stdout, result->kept);
        (void)fputc('\n', stdout);
    }
    if (result->left > 0)
        printf("%s: %" PRIu64 " problem%s left, which `tidfs verify` tells\n", store, result->left,
               plural(result->left, "s"));
}

static void tell_repaired_json(struct json *json, const struct repair_result *result, bool dry_run) {
    json_bool(json, "damaged", result->damaged);
    json_bool(json, "repaired", result->damaged && !dry_run);
    json_number(json, "rows", result->rows);
    json_number(json, "losses", result->losses);
    json_number(json, "placed", result->placed);
    json_number(json, "removed", result->removed);
    json_number(json, "left", result->left);
    if (result->damaged && !dry_run)
        json_tid(json, "transaction", result->tid);
    else
        json_null(json, "transaction");
    json_string(json, "kept", result->kept);
}

static void tell_failed(int rc, const struct error *err, const char *scratch) {
    if (rc == STORE_FULL && scratch)
        output_error("%s; this was only a look, in %s: make room there, or set TMPDIR to a directory with more",
                     err->text, scratch);
    else if (rc == STORE_FULL)
        output_error("%s; the store is as it was: make room on its disk, and repair it again", err->text);
    else
        output_error("%s", err->text);
}

/* What is wrong is told when it has been put right. That nobody listens does not keep it from being put right. */
static int repair(const char *store, bool as_json, const char *scratch) {
    struct json json = {0};
    struct report report = {.json = as_json ? &json : NULL};
    const struct repair_options options = {
        .scratch = scratch, .told = on_problem, .progress = on_repair_progress, .context = &report};
    struct repair_result result;
    struct error err = {0};
    (void)signal(SIGPIPE, SIG_IGN);
    progress_init(&report.progress, "repairing");
    json_init(&json, stdout);
    if (as_json) {
        json_begin_object(&json, NULL);
        json_string(&json, "store", store);
        json_begin_array(&json, "report", true);
    }
    int rc = store_repair(store, &options, &result, &err);
    progress_clear(&report.progress);
    if (as_json) {
        json_end_array(&json);
        if (rc == 0)
            tell_repaired_json(&json, &result, scratch != NULL);
        json_bool(&json, "complete", rc == 0);
        json_end_object(&json);
    } else if (rc == 0) {
        tell_repaired(store, &result, scratch != NULL);
    }
    if (rc)
        tell_failed(rc, &err, scratch);
    bool damaged = result.damaged, left = result.left > 0;
    repair_result_release(&result);
    if (output_finish() != EXIT_DONE || rc)
        return EXIT_VERIFY_OPERATIONAL;
    if (!damaged)
        return EXIT_VERIFY_CLEAN;
    return scratch || left ? EXIT_VERIFY_ERRORS : EXIT_VERIFY_REPAIRED;
}

static int cmd_repair(const char *path, bool as_json, bool dry_run) {
    struct subject subject;
    struct scratch scratch;
    struct error err = {0};
    int status = EXIT_VERIFY_OPERATIONAL;
    if (subject_find_any(&subject, path)) {
        if (scratch_begin(&scratch, dry_run ? NULL : subject.location.store, &err) != STORE_OK) {
            output_error("%s", err.text);
        } else {
            status = repair(subject.location.store, as_json, dry_run ? scratch.path : NULL);
            scratch_end(&scratch);
        }
    }
    subject_release(&subject);
    return status;
}

int cmd_verify(int argc, char **argv) {
    static const struct option options[] = {
        ARGUMENTS_JSON, {"repair", no_argument, NULL, 'r'}, {"dry-run", no_argument, NULL, 'n'}, {0}};
    struct arguments arguments;
    bool wants_repair = false, dry_run = false;
    int option;
    arguments_init(&arguments, argc, argv, "n", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END)
        switch (option) {
        case 'r':
            wants_repair = true;
            break;
        case 'n':
            dry_run = true;
            break;
        default:
            return arguments.status;
        }
    if (arguments.operand_count != 1)
        return command_usage_error(argv[0], "one store is needed");
    if (dry_run && !wants_repair)
        return command_usage_error(argv[0], "--dry-run is for --repair");
    if (wants_repair)
        return cmd_repair(arguments.operands[0], arguments.common.json, dry_run);

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
