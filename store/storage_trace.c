/* The tracing layer: a line for each call, at debug level, after it has returned. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/storage.h"

#define ARGUMENTS_SIZE 512

struct trace_storage {
    struct storage base;
    struct storage *below;
    struct log *log;
};

/* A call in progress. */
struct trace {
    struct log *log;
    const char *op;
    struct timespec start;
};

static struct storage *trace_begin(struct storage *base, const char *op, struct trace *trace) {
    struct trace_storage *storage = (struct trace_storage *)base;
    *trace = (struct trace){.log = storage->log, .op = op};
    (void)clock_gettime(CLOCK_MONOTONIC, &trace->start);
    return storage->below;
}

static const char *result_text(int rc) {
    return rc == STORE_OK ? "ok" : store_error_text(rc);
}

/* `format`: the arguments, and " -> " and what came back if the call succeeded. Returns rc. */
__attribute__((format(printf, 3, 4))) static int trace_end(const struct trace *trace, int rc, const char *format, ...) {
    struct timespec end;
    char text[ARGUMENTS_SIZE];
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t ns = (int64_t)(end.tv_sec - trace->start.tv_sec) * 1000000000 + (end.tv_nsec - trace->start.tv_nsec);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); /* nothing that is traced can fail to be written */
    va_end(arguments);
    log_write(trace->log, LOG_LEVEL_DEBUG, "%s %s = %s, %" PRId64 " us", trace->op, text, result_text(rc), ns / 1000);
    return rc;
}

static void trace_close(struct storage *base) {
    struct trace trace;
    storage_close(trace_begin(base, "close", &trace));
    (void)trace_end(&trace, STORE_OK, "()");
    free(base);
}

static int trace_get_state(struct storage *base, struct storage_state *state) {
    struct trace trace;
    int rc = storage_get_state(trace_begin(base, "get_state", &trace), state);
    return trace_end(&trace, rc, "() -> seq %" PRIu64 " tid %016" PRIx64 " next_oid %" PRIu64 " horizon %" PRIu64,
                     state->last_seq, state->last_tid, state->next_oid, state->horizon);
}

static int trace_load_before(struct storage *base, uint64_t oid, uint64_t part, uint64_t before,
                             enum load_outcome *outcome, struct revision *revision) {
    static const char *const outcomes[] = {"data", "not yet", "deleted", "packed", "no object"};
    struct trace trace;
    int rc = storage_load_before(trace_begin(base, "load_before", &trace), oid, part, before, outcome, revision);
    return trace_end(&trace, rc,
                     "(oid %" PRIu64 ", part %" PRIu64 ", before %" PRIu64 ") -> %s, revision %" PRIu64 " seq %" PRIu64
                     " until %" PRIu64 " %zu bytes",
                     oid, part, before, outcomes[*outcome], revision->id, revision->seq, revision->until,
                     revision->length);
}

static int trace_load_revision(struct storage *base, uint64_t id, struct revision *revision) {
    struct trace trace;
    int rc = storage_load_revision(trace_begin(base, "load_revision", &trace), id, revision);
    return trace_end(&trace, rc, "(%" PRIu64 ") -> oid %" PRIu64 " part %" PRIu64 " seq %" PRIu64 " %zu bytes", id,
                     revision->oid, revision->part, revision->seq, revision->length);
}

static int trace_next_part(struct storage *base, uint64_t oid, uint64_t from, uint64_t before, uint64_t *part) {
    struct trace trace;
    int rc = storage_next_part(trace_begin(base, "next_part", &trace), oid, from, before, part);
    return trace_end(&trace, rc, "(oid %" PRIu64 ", from %" PRIu64 ", before %" PRIu64 ") -> %" PRIu64, oid, from,
                     before, rc == STORE_OK ? *part : 0);
}

static int trace_lookup(struct storage *base, uint64_t parent, const char *name, size_t length, uint64_t before,
                        struct entry *entry) {
    struct trace trace;
    int rc = storage_lookup(trace_begin(base, "lookup", &trace), parent, name, length, before, entry);
    return trace_end(&trace, rc, "(parent %" PRIu64 ", \"%.*s\", before %" PRIu64 ") -> oid %" PRIu64, parent,
                     (int)length, name, before, entry->oid);
}

static int trace_list(struct storage *base, uint64_t parent, uint64_t before, struct entry_list *list) {
    struct trace trace;
    int rc = storage_list(trace_begin(base, "list", &trace), parent, before, list);
    return trace_end(&trace, rc, "(parent %" PRIu64 ", before %" PRIu64 ") -> %zu", parent, before, list->count);
}

static int trace_list_from(struct storage *base, uint64_t parent, uint64_t before, uint64_t from, size_t most,
                           struct entry_list *list) {
    struct trace trace;
    int rc = storage_list_from(trace_begin(base, "list_from", &trace), parent, before, from, most, list);
    return trace_end(&trace, rc, "(parent %" PRIu64 ", before %" PRIu64 ", from %" PRIu64 ", most %zu) -> %zu", parent,
                     before, from, most, list->count);
}

static int trace_links(struct storage *base, uint64_t oid, uint64_t before, struct entry_list *list) {
    struct trace trace;
    int rc = storage_links(trace_begin(base, "links", &trace), oid, before, list);
    return trace_end(&trace, rc, "(oid %" PRIu64 ", before %" PRIu64 ") -> %zu", oid, before, list->count);
}

static int trace_named(struct storage *base, uint64_t parent, const char *name, size_t length,
                       struct entry_list *list) {
    struct trace trace;
    int rc = storage_named(trace_begin(base, "named", &trace), parent, name, length, list);
    return trace_end(&trace, rc, "(parent %" PRIu64 ", \"%.*s\") -> %zu", parent, (int)length, name, list->count);
}

static int trace_subtree(struct storage *base, uint64_t directory, uint64_t before, struct subtree *subtree) {
    struct trace trace;
    int rc = storage_subtree(trace_begin(base, "subtree", &trace), directory, before, subtree);
    return trace_end(&trace, rc, "(directory %" PRIu64 ", before %" PRIu64 ") -> seq %" PRIu64, directory, before,
                     subtree->seq);
}

static int trace_changed(struct storage *base, uint64_t after_seq, uint64_t until_seq, uint64_t **oids, size_t *count) {
    struct trace trace;
    int rc = storage_changed(trace_begin(base, "changed", &trace), after_seq, until_seq, oids, count);
    return trace_end(&trace, rc, "(after %" PRIu64 ", until %" PRIu64 ") -> %zu", after_seq, until_seq, *count);
}

static int trace_revisions_between(struct storage *base, uint64_t after_seq, uint64_t until_seq, uint64_t *count) {
    struct trace trace;
    int rc = storage_revisions_between(trace_begin(base, "revisions_between", &trace), after_seq, until_seq, count);
    return trace_end(&trace, rc, "(after %" PRIu64 ", until %" PRIu64 ") -> %" PRIu64, after_seq, until_seq, *count);
}

static int trace_body_read(struct storage *base, const struct body_ref *ref, uint8_t *buffer) {
    struct trace trace;
    int rc = storage_body_read(trace_begin(base, "body_read", &trace), ref, buffer);
    return trace_end(&trace, rc, "(file %" PRIu32 ", position %" PRIu64 ", %" PRIu32 " bytes)", ref->file,
                     ref->position, ref->length);
}

static int trace_body_append(struct storage *base, const uint8_t *data, uint32_t length, struct body_ref *ref) {
    struct trace trace;
    int rc = storage_body_append(trace_begin(base, "body_append", &trace), data, length, ref);
    return trace_end(&trace, rc, "(%" PRIu32 " bytes) -> file %" PRIu32 ", position %" PRIu64, length,
                     rc == STORE_OK ? ref->file : 0, rc == STORE_OK ? ref->position : 0);
}

static int trace_body_reserve(struct storage *base, uint64_t count, uint64_t *first) {
    struct trace trace;
    int rc = storage_body_reserve(trace_begin(base, "body_reserve", &trace), count, first);
    return trace_end(&trace, rc, "(%" PRIu64 ") -> %" PRIu64, count, rc == STORE_OK ? *first : 0);
}

static int trace_commit(struct storage *base, const struct commit *commit, struct transaction *done) {
    struct trace trace;
    int rc = storage_commit(trace_begin(base, "commit", &trace), commit, done);
    return trace_end(&trace, rc,
                     "(base %" PRIu64 ", %zu revisions, %zu ended, %zu added, %zu bodies) -> seq %" PRIu64
                     " tid %016" PRIx64,
                     commit->base, commit->revision_count, commit->ended_count, commit->added_count, commit->body_count,
                     done->seq, done->tid);
}

static int trace_transaction_before(struct storage *base, uint64_t tid, struct transaction *transaction) {
    struct trace trace;
    int rc = storage_transaction_before(trace_begin(base, "transaction_before", &trace), tid, transaction);
    return trace_end(&trace, rc, "(%016" PRIx64 ") -> seq %" PRIu64 " tid %016" PRIx64, tid, transaction->seq,
                     transaction->tid);
}

static int trace_transaction_at(struct storage *base, uint64_t seq, struct transaction *transaction) {
    struct trace trace;
    int rc = storage_transaction_at(trace_begin(base, "transaction_at", &trace), seq, transaction);
    return trace_end(&trace, rc, "(%" PRIu64 ") -> tid %016" PRIx64, seq, transaction->tid);
}

static int trace_touched(struct storage *base, uint64_t oid, uint64_t before, uint64_t *seq) {
    struct trace trace;
    int rc = storage_touched(trace_begin(base, "touched", &trace), oid, before, seq);
    return trace_end(&trace, rc, "(oid %" PRIu64 ", before %" PRIu64 ") -> %" PRIu64, oid, before,
                     rc == STORE_OK ? *seq : 0);
}

static int trace_tag_get(struct storage *base, const char *name, uint64_t *tid) {
    struct trace trace;
    int rc = storage_tag_get(trace_begin(base, "tag_get", &trace), name, tid);
    return trace_end(&trace, rc, "(\"%s\") -> %016" PRIx64, name, rc == STORE_OK ? *tid : 0);
}

static int trace_tag_set(struct storage *base, const char *name, uint64_t tid, bool replace) {
    struct trace trace;
    int rc = storage_tag_set(trace_begin(base, "tag_set", &trace), name, tid, replace);
    return trace_end(&trace, rc, "(\"%s\", %016" PRIx64 "%s)", name, tid, replace ? ", replace" : "");
}

static int trace_tag_delete(struct storage *base, const char *name) {
    struct trace trace;
    int rc = storage_tag_delete(trace_begin(base, "tag_delete", &trace), name);
    return trace_end(&trace, rc, "(\"%s\")", name);
}

static int trace_tag_list(struct storage *base, struct tag **tags, size_t *count) {
    struct trace trace;
    int rc = storage_tag_list(trace_begin(base, "tag_list", &trace), tags, count);
    return trace_end(&trace, rc, "() -> %zu", *count);
}

static int trace_space(struct storage *base, uint64_t *database_bytes, uint64_t *body_bytes) {
    struct trace trace;
    int rc = storage_space(trace_begin(base, "space", &trace), database_bytes, body_bytes);
    return trace_end(&trace, rc, "() -> %" PRIu64 " + %" PRIu64 " bytes", *database_bytes, *body_bytes);
}

static int trace_verify(struct storage *base, const struct verify_options *options, uint64_t *problems) {
    struct trace trace;
    int rc = storage_verify(trace_begin(base, "verify", &trace), options, problems);
    return trace_end(&trace, rc, "() -> %" PRIu64 " problems", *problems);
}

/* These two say nothing that the calls between them do not. */
static void trace_begin_reads(struct storage *base) {
    storage_begin_reads(((struct trace_storage *)base)->below);
}

static void trace_end_reads(struct storage *base) {
    storage_end_reads(((struct trace_storage *)base)->below);
}

static const struct storage_ops trace_ops = {
    .name = "trace",
    .close = trace_close,
    .begin_reads = trace_begin_reads,
    .end_reads = trace_end_reads,
    .get_state = trace_get_state,
    .load_before = trace_load_before,
    .load_revision = trace_load_revision,
    .next_part = trace_next_part,
    .lookup = trace_lookup,
    .list = trace_list,
    .list_from = trace_list_from,
    .links = trace_links,
    .named = trace_named,
    .subtree = trace_subtree,
    .changed = trace_changed,
    .revisions_between = trace_revisions_between,
    .body_read = trace_body_read,
    .body_append = trace_body_append,
    .body_reserve = trace_body_reserve,
    .commit = trace_commit,
    .transaction_before = trace_transaction_before,
    .transaction_at = trace_transaction_at,
    .touched = trace_touched,
    .tag_get = trace_tag_get,
    .tag_set = trace_tag_set,
    .tag_delete = trace_tag_delete,
    .tag_list = trace_tag_list,
    .space = trace_space,
    .verify = trace_verify,
};

int storage_trace_open(struct storage *below, struct log *log, struct storage **out) {
    struct trace_storage *storage = malloc(sizeof *storage);
    if (!storage)
        return STORE_NO_MEMORY;
    *storage = (struct trace_storage){.base = {.ops = &trace_ops}, .below = below, .log = log};
    *out = &storage->base;
    return STORE_OK;
}
