#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/output.h"
#include "fs/subject.h"
#include "store/lock.h"
#include "store/tid.h"

/* What there is to know, gathered before anything is printed. */
struct facts {
    struct storage_state state;
    struct transaction first, last; /* seq 0: none */
    struct transaction horizon;     /* the oldest that a view can show; seq 0: nothing was packed */
    struct tag *tags;
    size_t tag_count;
    uint64_t database_bytes, body_bytes;
    bool locked;
    struct lock_holder holder;
};

static void facts_release(struct facts *facts) {
    transaction_release(&facts->first);
    transaction_release(&facts->last);
    transaction_release(&facts->horizon);
    free(facts->tags);
    if (facts->locked)
        lock_holder_release(&facts->holder);
}

/* Reads a transaction; seq 0 and what is absent leave it zero. */
static int get_transaction(struct storage *storage, uint64_t seq, struct transaction *transaction) {
    if (seq == 0)
        return 0;
    int rc = storage_transaction_at(storage, seq, transaction);
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}

static int facts_gather(struct facts *facts, const struct subject *subject) {
    struct storage *storage = store_storage(subject->store);
    int rc = storage_get_state(storage, &facts->state);
    if (rc == 0 && facts->state.last_seq > 0)
        rc = get_transaction(storage, 1, &facts->first);
    if (rc == 0)
        rc = get_transaction(storage, facts->state.last_seq, &facts->last);
    if (rc == 0)
        rc = get_transaction(storage, facts->state.horizon, &facts->horizon);
    if (rc == 0) {
        rc = storage_tag_list(storage, &facts->tags, &facts->tag_count);
        if (rc == STORE_CORRUPT)
            rc = 0; /* those that can be read count; of the others the log tells */
    }
    if (rc == 0)
        rc = storage_space(storage, &facts->database_bytes, &facts->body_bytes);
    if (rc == 0) {
        rc = writer_lock_holder(subject->location.store, &facts->holder);
        facts->locked = rc == 0;
        if (rc == STORE_ABSENT)
            rc = 0;
    }
    return rc;
}

static void json_transaction(struct json *json, const char *key, const struct transaction *transaction) {
    if (transaction->seq == 0) {
        json_null(json, key);
        return;
    }
    json_begin_object(json, key);
    json_tid(json, "tid", transaction->tid);
    json_time(json, "time", tid_to_time(transaction->tid));
    json_end_object(json);
}

static void print_json(const struct facts *facts, const struct subject *subject) {
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_string(&json, "store", subject->location.store);
    json_number(&json, "format", facts->state.format);
    json_number(&json, "transactions", facts->state.last_seq);
    json_transaction(&json, "first", &facts->first);
    json_transaction(&json, "last", &facts->last);
    json_transaction(&json, "horizon", &facts->horizon);
    if (facts->horizon.seq)
        json_time(&json, "packed_at", facts->state.packed_at);
    json_number(&json, "objects_made", facts->state.next_oid - 1);
    json_number(&json, "tags", facts->tag_count);
    json_number(&json, "database_bytes", facts->database_bytes);
    json_number(&json, "body_bytes", facts->body_bytes);
    if (facts->locked) {
        json_begin_object(&json, "writer");
        json_number(&json, "pid", facts->holder.pid > 0 ? (uint64_t)facts->holder.pid : 0);
        json_string(&json, "mount", *facts->holder.mount_point ? facts->holder.mount_point : NULL);
        json_end_object(&json);
    } else {
        json_null(&json, "writer");
    }
    json_end_object(&json);
}

static void print_transaction(const char *label, const struct transaction *transaction, bool utc) {
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    if (transaction->seq == 0)
        return;
    tid_format(transaction->tid, tid);
    output_time(tid_to_time(transaction->tid), utc, time);
    printf("%s %s  %s\n", label, tid, time);
}

static void print_writer(const struct facts *facts) {
    if (!facts->locked) {
        printf("writer:       none\n");
        return;
    }
    printf("writer:       ");
    if (facts->holder.pid > 0)
        printf("process %ld", (long)facts->holder.pid);
    else
        printf("a process");
    if (*facts->holder.mount_point) {
        printf(", mounted on ");
        output_name(stdout, facts->holder.mount_point);
    }
    (void)fputc('\n', stdout);
}

static void print_text(const struct facts *facts, const struct subject *subject, bool utc) {
    char database[OUTPUT_BYTES_SIZE], bodies[OUTPUT_BYTES_SIZE];
    printf("store:        ");
    output_name(stdout, subject->location.store);
    printf("\nformat:       %" PRIu32 "\n", facts->state.format);
    printf("transactions: %" PRIu64 "\n", facts->state.last_seq);
    print_transaction("first:       ", &facts->first, utc);
    print_transaction("last:        ", &facts->last, utc);
    if (facts->horizon.seq) {
        char time[OUTPUT_TIME_SIZE];
        print_transaction("horizon:     ", &facts->horizon, utc);
        output_time(facts->state.packed_at, utc, time);
        printf("packed:       %s\n", time);
    } else {
        printf("horizon:      none: nothing was packed away\n");
    }
    printf("objects:      %" PRIu64 " ever made\n", facts->state.next_oid - 1);
    printf("tags:         %zu\n", facts->tag_count);
    output_bytes(facts->database_bytes, database);
    output_bytes(facts->body_bytes, bodies);
    printf("size:         %s of database, %s of body files\n", database, bodies);
    print_writer(facts);
}

static int info(struct subject *subject, bool json, bool utc) {
    if (subject_open(subject))
        return EXIT_FAILED;
    struct facts facts = {0};
    int status = EXIT_FAILED;
    int rc = facts_gather(&facts, subject);
    if (rc) {
        output_error("cannot read %s: %s", subject->location.store, store_error_text(rc));
    } else {
        if (json)
            print_json(&facts, subject);
        else
            print_text(&facts, subject, utc);
        status = output_finish();
    }
    facts_release(&facts);
    return status;
}

int cmd_info(int argc, char **argv) {
    static const struct option options[] = {ARGUMENTS_JSON, ARGUMENTS_UTC, {0}};
    struct arguments arguments;
    arguments_init(&arguments, argc, argv, "", options);
    if (arguments_next(&arguments) != ARGUMENTS_END)
        return arguments.status;
    if (arguments.operand_count > 1)
        return command_usage_error(argv[0], "more than one store");

    struct subject subject;
    int status = EXIT_FAILED;
    if (subject_find_any(&subject, arguments.operand_count ? arguments.operands[0] : "."))
        status = info(&subject, arguments.common.json, arguments.common.utc);
    subject_release(&subject);
    return status;
}
