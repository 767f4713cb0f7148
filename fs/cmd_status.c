#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/live.h"
#include "fs/output.h"
#include "fs/subject.h"
#include "store/tid.h"

#define REQUEST_KINDS (sizeof((struct control_status *)0)->requests / sizeof(struct control_request))

/* What there is to show. Of a store that no mount shows here, `status` holds what the store itself tells and is zero otherwise. */
struct facts {
    struct control_status status;
    const char *store;
    const char *point;                   /* NULL: not mounted, as far as this process can see */
    bool measured;                       /* the next two are known; not to who may not read the store */
    uint64_t database_bytes, body_bytes; /* on the disk */
};

/* The store's own part. A live mount has told what it has; its store may be out of reach. */
static int read_store(struct subject *subject, struct facts *facts) {
    int rc;
    if (facts->point) {
        const struct store_options options = {.log = &subject->sink.log};
        if (store_open(subject->location.store, &options, &subject->store, NULL))
            return 0;
    } else if ((rc = subject_open(subject))) {
        return rc;
    }
    struct storage *storage = store_storage(subject->store);
    struct storage_state state;
    rc = storage_space(storage, &facts->database_bytes, &facts->body_bytes);
    facts->measured = rc == 0;
    if (rc == 0 && !facts->point && (rc = storage_get_state(storage, &state)) == 0) {
        facts->status.last_seq = state.last_seq;
        facts->status.last_tid = state.last_tid;
    }
    if (rc)
        output_error("cannot read %s: %s", subject->location.store, store_error_text(rc));
    return rc;
}

/* Says what is wrong. */
static int facts_gather(struct facts *facts, struct subject *subject) {
    const struct location *location = &subject->location;
    struct error err = {0};
    *facts = (struct facts){.store = location->store, .point = location->point};
    if (!facts->point)
        facts->point = location->live ? location->live : location->top;
    if (facts->point && live_status(facts->point, &facts->status, &err)) {
        output_error("%s", err.text);
        return STORE_IO;
    }
    return read_store(subject, facts);
}

/* Of a commit that was refused. */
static const char *refusal_text(uint64_t refusal) {
    return refusal == ESTALE ? store_error_text(STORE_CONFLICT) : strerror((int)refusal);
}

/* In per mille; 0 if nothing was asked of it. */
static uint64_t hit_rate(const struct control_status *status) {
    uint64_t asked = status->cache_hits + status->cache_misses;
    return asked ? (uint64_t)(1000.0 * (double)status->cache_hits / (double)asked) : 0;
}

/* ---------------------------------------------------------------- as JSON */

static void json_mount(struct json *json, const struct control_status *status) {
    json_begin_object(json, "pending");
    json_number(json, "objects", status->pending_objects);
    json_number(json, "bytes", status->pending_bytes);
    json_number(json, "next_seal_ns", status->next_seal_ns);
    json_end_object(json);

    json_begin_object(json, "views");
    json_number(json, "open", status->views_open);
    json_number(json, "idle", status->views_idle);
    json_number(json, "opened", status->views_opened);
    json_number(json, "reused", status->views_reused);
    json_number(json, "expired", status->views_expired);
    json_end_object(json);

    json_begin_object(json, "cache");
    json_number(json, "hits", status->cache_hits);
    json_number(json, "misses", status->cache_misses);
    json_number(json, "hits_per_mille", hit_rate(status));
    json_number(json, "bytes", status->cache_bytes);
    json_number(json, "historic_bytes", status->cache_historic_bytes);
    json_end_object(json);

    json_number(json, "commits", status->commits);
    json_number(json, "head_objects", status->head_objects);
    json_number(json, "nodes", status->nodes);
    json_begin_object(json, "requests");
    for (size_t i = 0; i < REQUEST_KINDS && *status->requests[i].name; i++)
        json_number(json, status->requests[i].name, status->requests[i].count);
    json_end_object(json);
}

static void print_json(const struct facts *facts) {
    const struct control_status *status = &facts->status;
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_string(&json, "store", facts->store);
    json_string(&json, "mount", facts->point);
    json_bool(&json, "writable", status->writable);
    json_bool(&json, "failed", status->failed);
    if (status->refusal)
        json_string(&json, "commit_error", refusal_text(status->refusal));
    else
        json_null(&json, "commit_error");
    json_tid(&json, "last_tid", status->last_tid);
    if (status->last_tid)
        json_time(&json, "last_time", tid_to_time(status->last_tid));
    else
        json_null(&json, "last_time");
    json_number(&json, "last_seq", status->last_seq);
    if (status->single_view)
        json_tid(&json, "view_tid", status->view_tid);
    if (*status->subdir)
        json_string(&json, "subdir", status->subdir);
    if (facts->measured) {
        json_number(&json, "database_bytes", facts->database_bytes);
        json_number(&json, "body_bytes", facts->body_bytes);
    }
    if (facts->point)
        json_mount(&json, status);
    json_end_object(&json);
}

/* ---------------------------------------------------------------- as text */

static void print_tid(const char *label, uint64_t tid, bool utc) {
    char text[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    if (tid == 0) {
        printf("%s none\n", label);
        return;
    }
    tid_format(tid, text);
    output_time(tid_to_time(tid), utc, time);
    printf("%s %s  %s\n", label, text, time);
}

static void print_pending(const struct control_status *status) {
    char bytes[OUTPUT_BYTES_SIZE], soon[OUTPUT_BYTES_SIZE];
    if (status->pending_objects == 0 && status->pending_bytes == 0) {
        printf("pending:   nothing\n");
        return;
    }
    output_bytes(status->pending_bytes, bytes);
    printf("pending:   %" PRIu64 " object%s, %s", status->pending_objects, status->pending_objects == 1 ? "" : "s",
           bytes);
    if (status->next_seal_ns > 0) {
        output_duration(status->next_seal_ns, soon);
        printf(", to be sealed in %s", soon);
    }
    (void)fputc('\n', stdout);
}

static void print_requests(const struct control_status *status) {
    bool any = false;
    for (size_t i = 0; i < REQUEST_KINDS && *status->requests[i].name; i++) {
        if (status->requests[i].count == 0)
            continue;
        printf("%s %s %" PRIu64, any ? "," : "requests: ", status->requests[i].name, status->requests[i].count);
        any = true;
    }
    if (any)
        (void)fputc('\n', stdout);
}

static void print_access(const struct facts *facts) {
    const struct control_status *status = &facts->status;
    const char *access = status->writable ? "writable" : "read-only";
    if (status->failed)
        access = "read-only, after a failed commit: see the system log, and mount it again";
    printf("access:    %s\n", access);
    if (*status->subdir) {
        printf("subdir:    ");
        output_name(stdout, status->subdir);
        (void)fputc('\n', stdout);
    }
}

static void print_mount(const struct control_status *status) {
    char bytes[OUTPUT_BYTES_SIZE], historic[OUTPUT_BYTES_SIZE];
    uint64_t rate = hit_rate(status);
    if (status->writable)
        print_pending(status);
    printf("commits:   %" PRIu64 " since it was mounted", status->commits);
    if (status->refusal)
        printf("; the last one failed: %s%s", refusal_text(status->refusal),
               status->failed ? "" : "; it is tried again every second, and nothing is lost yet");
    (void)fputc('\n', stdout);
    printf("views:     %" PRIu64 " open, %" PRIu64 " of them idle; %" PRIu64 " opened, %" PRIu64 " reused, %" PRIu64
           " expired\n",
           status->views_open, status->views_idle, status->views_opened, status->views_reused, status->views_expired);
    output_bytes(status->cache_bytes, bytes);
    output_bytes(status->cache_historic_bytes, historic);
    printf("cache:     %s, %s of it history; %" PRIu64 " hits, %" PRIu64 " misses (%" PRIu64 ".%" PRIu64 " %% hits)\n",
           bytes, historic, status->cache_hits, status->cache_misses, rate / 10, rate % 10);
    printf("objects:   %" PRIu64 " of the present in memory, %" PRIu64 " directories of views\n", status->head_objects,
           status->nodes);
    print_requests(status);
}

static void print_text(const struct facts *facts, bool utc) {
    const struct control_status *status = &facts->status;
    printf("mount:     ");
    output_name(stdout, facts->point ? facts->point : "none");
    printf("\nstore:     ");
    output_name(stdout, facts->store);
    (void)fputc('\n', stdout);
    if (facts->point)
        print_access(facts);
    if (status->single_view)
        print_tid("view:     ", status->view_tid, utc);
    print_tid("newest:   ", status->last_tid, utc);
    if (facts->measured) {
        char database[OUTPUT_BYTES_SIZE], bodies[OUTPUT_BYTES_SIZE];
        output_bytes(facts->database_bytes, database);
        output_bytes(facts->body_bytes, bodies);
        printf("size:      %s of database, %s of body files\n", database, bodies);
    }
    if (facts->point)
        print_mount(status);
}

/* ---------------------------------------------------------------- the command */

int cmd_status(int argc, char **argv) {
    static const struct option options[] = {ARGUMENTS_SUBJECT, ARGUMENTS_JSON, ARGUMENTS_UTC, {0}};
    struct arguments arguments;
    arguments_init(&arguments, argc, argv, "", options);
    if (arguments_next(&arguments) != ARGUMENTS_END)
        return arguments.status;
    const struct subject_options *where = &arguments.common.where;
    if (arguments.operand_count > (where->store || where->mount ? 0 : 1))
        return command_usage_error(argv[0], "more than one directory");

    struct subject_options meant = *where;
    if (!where->store && !where->mount) {
        const char *directory = arguments.operand_count ? arguments.operands[0] : ".";
        *(locate_is_store(directory) ? &meant.store : &meant.mount) = directory;
    }
    struct subject subject;
    struct facts facts;
    int status = EXIT_FAILED;
    bool found = subject_find(&subject, &meant, NULL);
    if (found && facts_gather(&facts, &subject) == 0) {
        if (arguments.common.json)
            print_json(&facts);
        else
            print_text(&facts, arguments.common.utc);
        status = output_finish();
    }
    subject_release(&subject);
    return status;
}
