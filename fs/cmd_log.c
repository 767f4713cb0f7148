#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/live.h"
#include "fs/output.h"
#include "fs/subject.h"
#include "fs/units.h"
#include "history/log.h"
#include "store/tid.h"

#define USER_WIDTH 8 /* columns; longer names push the rest aside */

struct request {
    const char *range; /* NULL: all */
    const char *path;  /* NULL: all */
    uint64_t most;
    bool json, utc;
};

/* ---------------------------------------------------------------- one transaction */

static void print_json(struct json *json, const struct transaction *transaction) {
    json_begin_object(json, NULL);
    json_tid(json, "tid", transaction->tid);
    json_time(json, "time", tid_to_time(transaction->tid));
    json_time(json, "clock", transaction->wall);
    json_string(json, "user", transaction->user);
    json_number(json, "objects", transaction->object_count);
    json_string(json, "message", transaction->message);
    json_end_object(json);
}

static void print_line(const struct transaction *transaction, bool utc) {
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    tid_format(transaction->tid, tid);
    output_time(tid_to_time(transaction->tid), utc, time);
    printf("%s  %s  ", tid, time);
    const char *user = *transaction->user ? transaction->user : "-";
    output_text(stdout, user, strlen(user));
    if (strlen(user) < USER_WIDTH)
        printf("%*s", (int)(USER_WIDTH - strlen(user)), "");
    printf(" %4" PRIu64 " object%s", transaction->object_count, transaction->object_count == 1 ? "" : "s");
    size_t first_line = strcspn(transaction->message, "\n");
    if (first_line > 0) {
        printf("%s  ", transaction->object_count == 1 ? " " : "");
        output_text(stdout, transaction->message, first_line);
    }
    (void)fputc('\n', stdout);
}

/* ---------------------------------------------------------------- which transactions */

/* A view's log stops at the view. */
static int limit_to_view(struct subject *subject, struct log_range *range) {
    const struct location *location = &subject->location;
    struct resolved resolved;
    struct transaction transaction;
    int rc = 0;
    uint64_t last = 0;
    switch (location->kind) {
    case LOCATION_AT:
    case LOCATION_BEFORE:
        rc = subject_resolve(subject, location->when, location->kind == LOCATION_AT ? RESOLVE_AT : RESOLVE_BEFORE,
                             &resolved);
        last = rc ? 0 : resolved.before - 1;
        break;
    case LOCATION_VIEW:
        rc = storage_transaction_before(store_storage(subject->store), location->view_tid + 1, &transaction);
        if (rc == 0) {
            last = transaction.seq;
            transaction_release(&transaction);
        } else if (rc == STORE_ABSENT) {
            rc = 0;
        } else {
            output_error("cannot read %s: %s", location->store, store_error_text(rc));
        }
        break;
    default:
        return 0;
    }
    if (rc == 0 && range->last > last)
        range->last = last;
    return rc;
}

/* What to walk: the range, and the object of the path (0: all). False: said what is wrong. */
static bool choose(struct subject *subject, const struct request *request, struct log_range *range, uint64_t *oid) {
    struct timespec now;
    struct error err = {0};
    *range = (struct log_range){.first = 1, .last = store_last(subject->store)};
    *oid = 0;
    if (clock_gettime(CLOCK_REALTIME, &now)) {
        output_error("cannot read the clock");
        return false;
    }
    if (request->range && log_parse_range(subject->store, request->range, now, range, &err)) {
        output_error("log: %s", err.text);
        return false;
    }
    if (limit_to_view(subject, range))
        return false;
    if (!request->path)
        return true;

    const char *path = subject->location.path;
    int rc = log_find_path(subject->store, path, range->last, oid);
    if (rc == STORE_ABSENT)
        output_error("log: %s: no view%s has it", request->path,
                     range->last < store_last(subject->store) ? " up to that time" : "");
    else if (rc)
        output_error("log: cannot read %s: %s", subject->location.store, store_error_text(rc));
    return rc == 0;
}

static int walk(struct subject *subject, const struct request *request, const struct log_range *range, uint64_t oid) {
    struct log_walk log;
    struct json json;
    struct transaction transaction;
    int rc = 0;
    json_init(&json, stdout);
    if (request->json)
        json_begin_array(&json, NULL, true);
    log_walk_init(&log, subject->store, range, oid);
    for (uint64_t i = 0; i < request->most && !ferror(stdout) && (rc = log_walk_next(&log, &transaction)) == 0; i++) {
        if (request->json)
            print_json(&json, &transaction);
        else
            print_line(&transaction, request->utc);
        transaction_release(&transaction);
    }
    if (rc < 0) {
        output_error("log: cannot read %s: %s", subject->location.store, store_error_text(rc));
        return EXIT_FAILED;
    }
    if (request->json)
        json_end_array(&json);
    return output_finish();
}

static int show(struct subject *subject, const struct request *request) {
    struct log_range range;
    uint64_t oid;
    /* A view does not change any more, and its log does not either. */
    if (subject->location.kind != LOCATION_AT && subject->location.kind != LOCATION_BEFORE &&
        subject->location.kind != LOCATION_VIEW)
        live_settle(&subject->location);
    if (subject_open(subject) || !choose(subject, request, &range, &oid))
        return EXIT_FAILED;
    return walk(subject, request, &range, oid);
}

/* ---------------------------------------------------------------- arguments */

/* Whether the store has the tag: 1, 0, or -1 if that cannot be known, which was said. */
static int has_tag(const struct subject_options *where, const char *name) {
    struct subject subject;
    uint64_t tid;
    int rc = -1;
    if (subject_find(&subject, where, NULL) && subject_open(&subject) == 0)
        rc = storage_tag_get(store_storage(subject.store), name, &tid) == 0;
    subject_release(&subject);
    return rc;
}

/* Whether an operand that stands alone is a range and not a path: 1, 0 or -1. What has a slash or names a file is a path. */
static int is_range(const struct subject_options *where, const char *text) {
    struct stat stat;
    struct when when;
    if (strchr(text, '/') || (!where->store && lstat(text, &stat) == 0))
        return 0;
    if (strstr(text, "..") && strcmp(text, "..") != 0)
        return 1;
    if (when_parse(text, strlen(text), (struct timespec){.tv_sec = time(NULL)}, &when, NULL))
        return 0;
    return when.kind == WHEN_TAG ? has_tag(where, when.tag) : 1;
}

/* Tells operands apart. False: said why not. */
static bool take_operands(struct request *request, const struct subject_options *where,
                          const struct arguments *arguments) {
    if (arguments->operand_count == 0)
        return true;
    const char *first = arguments->operands[0];
    if (arguments->operand_count == 2) {
        request->range = first;
        request->path = arguments->operands[1];
        return true;
    }
    int range = is_range(where, first);
    if (range > 0)
        request->range = first;
    else
        request->path = first;
    return range >= 0;
}

int cmd_log(int argc, char **argv) {
    enum { OPTION_STORE = 0x100, OPTION_MOUNT, OPTION_JSON, OPTION_UTC };
    static const struct option options[] = {
        {"number", required_argument, NULL, 'n'},         {"json", no_argument, NULL, OPTION_JSON},
        {"utc", no_argument, NULL, OPTION_UTC},           {"store", required_argument, NULL, OPTION_STORE},
        {"mount", required_argument, NULL, OPTION_MOUNT}, {0},
    };
    struct subject_options where = {0};
    struct request request = {.most = UINT64_MAX};
    struct arguments arguments;
    int option;
    arguments_init(&arguments, argc, argv, "n:", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case 'n':
            if (count_parse(arguments.value, &request.most))
                return command_usage_error(argv[0], "-n %s: a number is needed", arguments.value);
            break;
        case OPTION_STORE:
            where.store = arguments.value;
            break;
        case OPTION_MOUNT:
            where.mount = arguments.value;
            break;
        case OPTION_JSON:
            request.json = true;
            break;
        case OPTION_UTC:
            request.utc = true;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count > 2)
        return command_usage_error(argv[0], "too many arguments: a range and a path at most");
    if (where.store && where.mount)
        return command_usage_error(argv[0], "--store and --mount exclude each other");
    if (!take_operands(&request, &where, &arguments))
        return EXIT_FAILED;

    struct subject subject;
    int status = EXIT_FAILED;
    if (subject_find(&subject, &where, request.path))
        status = show(&subject, &request);
    subject_release(&subject);
    return status;
}
