#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/arguments.h"
#include "fs/choosing.h"
#include "fs/command.h"
#include "fs/output.h"
#include "fs/restoring.h"
#include "fs/view_limit.h"
#include "history/past.h"
#include "store/tid.h"

struct request {
    const struct arguments *arguments;
    struct subject subject;
    struct restoring restoring;
    const char *at; /* NULL: the view in which the paths lie */
    bool patch;
    char **paths; /* owned */
    size_t path_count;
};

/* ---------------------------------------------------------------- when */

/* The views that two paths name are one and the same, or both name none. */
static bool same_when(const struct location *a, const struct location *b) {
    if (a->kind != b->kind || a->view_tid != b->view_tid)
        return false;
    return a->when && b->when ? strcmp(a->when, b->when) == 0 : a->when == b->when;
}

/* A path in a view means: as it was then. So all must lie in the same one. */
static bool check_views(const struct request *request) {
    const struct arguments *arguments = request->arguments;
    for (int i = 1; i < arguments->operand_count; i++) {
        struct subject other;
        bool same = subject_find(&other, &arguments->common.where, arguments->operands[i]);
        if (same && !same_when(&request->subject.location, &other.location)) {
            output_error("revert: %s and %s lie in different times; say which you mean with --at",
                         arguments->operands[0], arguments->operands[i]);
            same = false;
        }
        subject_release(&other);
        if (!same)
            return false;
    }
    return true;
}

static bool find_when(struct request *request) {
    struct subject *subject = &request->subject;
    const struct location *location = &subject->location;
    struct resolved resolved;
    enum resolve_how how = RESOLVE_AT;
    char tid[TID_TEXT_SIZE];
    const char *when = request->at;
    if (!when) {
        if (!check_views(request))
            return false;
        when = location->when;
        how = location->kind == LOCATION_BEFORE ? RESOLVE_BEFORE : RESOLVE_AT;
        if (location->kind == LOCATION_VIEW) {
            tid_format(location->view_tid, tid);
            when = tid;
        }
    }
    if (!when) {
        output_error("revert: to when? --at WHEN says it, or a path in a view, as /at/WHEN/PATH");
        return false;
    }
    if (subject_resolve(subject, when, how, request->at ? SUBJECT_TYPED : SUBJECT_OF_VIEW, &resolved))
        return false;
    if (resolved.before <= 1) {
        output_error("revert: %s%s is before the first transaction: there is nothing to put back",
                     how == RESOLVE_BEFORE ? "just before " : "", when);
        return false;
    }
    request->restoring.request.before = resolved.before;
    return true;
}

/* ---------------------------------------------------------------- paths */

static void name_time(const struct request *request, uint64_t seq, char text[TID_TEXT_SIZE + OUTPUT_TIME_SIZE + 4]) {
    struct transaction transaction;
    if (storage_transaction_at(store_storage(request->subject.store), seq, &transaction)) {
        (void)snprintf(text, TID_TEXT_SIZE + OUTPUT_TIME_SIZE + 4, "transaction %llu", (unsigned long long)seq);
        return;
    }
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    tid_format(transaction.tid, tid);
    output_time(tid_to_time(transaction.tid), request->restoring.utc, time);
    (void)snprintf(text, TID_TEXT_SIZE + OUTPUT_TIME_SIZE + 4, "%s, %s", tid, time);
    transaction_release(&transaction);
}

/* A path must lead somewhere now, or have led somewhere then. */
static bool check_path(const struct request *request, const char *path, const char *shown) {
    struct store *store = request->subject.store;
    uint64_t before = request->restoring.request.before, now = store_last(store) + 1;
    struct past_names names = {0};
    int rc = past_names_load(store, path, now - 1, &names);
    bool there = false;
    for (size_t i = 0; i < names.count && !there; i++) {
        const struct past_name *name = &names.items[i];
        there = (name->born < before && before <= name->died) || (name->born < now && now <= name->died);
    }
    if (rc < 0) {
        output_error("revert: %s: when it was there cannot be read: %s", shown, store_error_text(rc));
    } else if (names.count == 0) {
        view_limit_say_never(shown, "then");
    } else if (!there) {
        char born[TID_TEXT_SIZE + OUTPUT_TIME_SIZE + 4], died[TID_TEXT_SIZE + OUTPUT_TIME_SIZE + 4];
        name_time(request, names.items[0].born, born);
        name_time(request, names.items[0].died, died);
        output_error("revert: %s: not there then, nor now; it came in %s, and was gone in %s", shown, born, died);
    }
    past_names_release(&names);
    return there;
}

static bool take_paths(struct request *request) {
    const struct arguments *arguments = request->arguments;
    request->paths = calloc((size_t)arguments->operand_count + 1, sizeof *request->paths);
    if (!request->paths) {
        output_error("out of memory");
        return false;
    }
    for (int i = 0; i < arguments->operand_count; i++) {
        const char *shown = arguments->operands[i];
        char *path = i == 0 ? strdup(request->subject.location.path)
                            : subject_place(&request->subject, &arguments->common.where, shown);
        if (!path)
            return false;
        request->paths[request->path_count++] = path;
        if (!check_path(request, path, shown))
            return false;
    }
    request->restoring.request.paths = (const char *const *)request->paths;
    request->restoring.request.path_count = request->path_count;
    return true;
}

/* ---------------------------------------------------------------- the whole */

static int pick(struct request *request) {
    struct restoring *restoring = &request->restoring;
    struct chosen chosen = {0};
    size_t conflicts;
    int status = EXIT_FAILED;
    restoring->only_base = store_last(request->subject.store);
    struct restore_plan *plan = restoring_plan(restoring, restoring->only_base);
    if (!plan)
        return EXIT_FAILED;
    (void)restore_plan_conflicts(plan, &conflicts);
    if (conflicts > 0 || restore_plan_empty(plan)) {
        restoring->only_base = 0;
        status = restoring_run(restoring);
    } else if (choose(request->subject.store, restoring->only_base, plan, &chosen)) {
        restoring->request.choices = chosen.choices;
        restoring->request.choice_count = chosen.count;
        if (chosen.count > 0) {
            status = restoring_run(restoring);
        } else {
            puts("nothing to do: nothing was chosen");
            status = output_finish();
        }
    }
    restore_plan_free(plan);
    chosen_release(&chosen);
    return status;
}

static int revert(struct request *request) {
    struct restoring *restoring = &request->restoring;
    if (!restoring_message_is_good(restoring) ||
        !subject_find(&request->subject, &request->arguments->common.where, request->arguments->operands[0]) ||
        !restoring_open(&request->subject, !restoring->dry_run) || !find_when(request) || !take_paths(request))
        return EXIT_FAILED;
    return request->patch ? pick(request) : restoring_run(restoring);
}

int cmd_revert(int argc, char **argv) {
    enum { OPTION_AT = 0x100, OPTION_KEEP_NEW };
    static const struct option options[] = {
        {"at", required_argument, NULL, OPTION_AT},
        {"dry-run", no_argument, NULL, 'n'},
        {"patch", no_argument, NULL, 'p'},
        {"keep-new", no_argument, NULL, OPTION_KEEP_NEW},
        {"message", required_argument, NULL, 'm'},
        ARGUMENTS_JSON,
        ARGUMENTS_UTC,
        ARGUMENTS_SUBJECT,
        {0},
    };
    struct arguments arguments;
    struct request request = {.arguments = &arguments};
    struct restoring *restoring = &request.restoring;
    int option;
    arguments_init(&arguments, argc, argv, "npm:", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case OPTION_AT:
            request.at = arguments.value;
            break;
        case 'n':
            restoring->dry_run = true;
            break;
        case 'p':
            request.patch = true;
            break;
        case OPTION_KEEP_NEW:
            restoring->request.keep_new = true;
            break;
        case 'm':
            restoring->message = arguments.value;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count == 0)
        return command_usage_error(argv[0], "which file or directory? . is the whole of the current one");
    if (request.patch && arguments.common.json)
        return command_usage_error(argv[0], "--patch asks questions, and --json is for programs; choose one");
    restoring->name = argv[0];
    restoring->subject = &request.subject;
    restoring->json = arguments.common.json;
    restoring->utc = arguments.common.utc;
    restoring->request.kind = RESTORE_REVERT;

    int status = revert(&request);
    for (size_t i = 0; i < request.path_count; i++)
        free(request.paths[i]);
    free(request.paths);
    subject_release(&request.subject);
    return status;
}
