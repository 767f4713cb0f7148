/* Commit: one SQLite transaction, in the order
 *
 *   flush body files -> BEGIN IMMEDIATE -> check base -> bodies, revisions -> entries ended, then added
 *     -> subtree marks -> transaction, state -> COMMIT
 *
 * Nothing about the store is kept in memory between commits, except body ids given out: the state is read inside the
 * transaction, so a failure at any arrow needs a rollback only, and commits of others are seen.
 *
 * If COMMIT fails because the write-ahead log could not be synced, its frames may still reach the disk; after a power
 * cut the store may then open at this transaction, whole, although it was reported as failed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/array.h"
#include "store/oid_set.h"
#include "store/storage_sqlite.h"
#include "store/tid.h"

struct commit_run {
    struct sqlite_storage *storage;
    struct connection *writer;
    const struct commit *commit;
    struct transaction *done;
    struct state_row state;
    uint64_t first_revision;
    struct oid_set changed; /* objects whose inode this commit writes */
    struct oid_set marked;  /* directories that have their subtree mark */
    uint64_t *to_mark;      /* directories of `marked` whose parents are to be marked yet */
    size_t to_mark_count, to_mark_capacity;
};

/* Invariant 3 of storage.h: whatever changes an object writes its inode. */
static int collect_changed(struct commit_run *run) {
    const struct commit *commit = run->commit;
    for (size_t i = 0; i < commit->revision_count; i++)
        if (commit->revisions[i].part == PART_INODE) {
            int rc = oid_set_add(&run->changed, commit->revisions[i].oid);
            if (rc < 0)
                return rc == STORE_EXISTS ? STORE_INVALID : rc; /* written twice */
        }
    for (size_t i = 0; i < commit->revision_count; i++)
        if (!oid_set_has(&run->changed, commit->revisions[i].oid))
            return STORE_INVALID;
    for (size_t i = 0; i < commit->added_count; i++)
        if (!oid_set_has(&run->changed, commit->added[i].parent))
            return STORE_INVALID;
    for (size_t i = 0; i < commit->ended_count; i++)
        if (!oid_set_has(&run->changed, commit->ended[i].parent))
            return STORE_INVALID;
    return STORE_OK;
}

/* What can fail without anything written: body files are flushed before the database is touched. */
static int prepare(struct commit_run *run, struct body_end *end) {
    const struct commit *commit = run->commit;
    int rc = collect_changed(run);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < commit->body_count; i++)
        if (commit->bodies[i].id >= atomic_load(&run->storage->next_body))
            return STORE_INVALID;
    run->done->user = strdup(commit->user);
    run->done->message = strdup(commit->message);
    if (!run->done->user || !run->done->message)
        return STORE_NO_MEMORY;
    return commit->body_files_used ? body_files_flush(run->storage->bodies, end) : STORE_OK;
}

static int begin(struct commit_run *run) {
    const struct commit *commit = run->commit;
    int rc = statement_run(run->writer, STATEMENT_BEGIN_WRITE, NULL, 0);
    if (rc == STORE_OK)
        rc = state_row_get(run->writer, &run->state);
    if (rc != STORE_OK)
        return rc;
    if (commit->base != run->state.last_seq)
        return STORE_CONFLICT;
    if (commit->next_oid < run->state.next_oid)
        return STORE_INVALID;
    run->done->seq = commit->base + 1;
    run->done->base = commit->base;
    run->done->wall = commit->wall;
    run->done->object_count = run->changed.count;
    run->first_revision = run->state.next_revision;
    return tid_next(commit->wall, run->state.last_tid, &run->done->tid) ? STORE_OK : STORE_INVALID;
}

static int write_bodies(struct commit_run *run) {
    int rc = STORE_OK;
    for (size_t i = 0; i < run->commit->body_count && rc == STORE_OK; i++) {
        rc = body_row_insert(run->writer, &run->commit->bodies[i]);
        if (run->commit->bodies[i].id >= run->state.next_body)
            run->state.next_body = run->commit->bodies[i].id + 1;
    }
    return rc;
}

static int write_revisions(struct commit_run *run) {
    int rc = STORE_OK;
    for (size_t i = 0; i < run->commit->revision_count && rc == STORE_OK; i++)
        rc = revision_row_insert(run->writer, run->state.next_revision++, run->done->seq, &run->commit->revisions[i]);
    return rc;
}

/* Moves an entry to the past. */
static int end_entry(struct commit_run *run, const struct ended_entry *ended) {
    struct value values[] = {value_integer(ended->parent), value_integer(ended->index)};
    struct entry_row row;
    sqlite3_stmt *statement;
    int rc = statement_get(run->writer, STATEMENT_ENTRY_BY_INDEX, values, 2, &statement);
    if (rc == STORE_OK)
        rc = statement_step(run->writer, statement);
    if (rc == STORE_ABSENT)
        rc = STORE_INVALID;
    if (rc == STORE_OK)
        rc = entry_row_decode(run->writer, statement, &row);
    if (rc == STORE_OK && row.entry.born >= run->done->seq)
        rc = connection_corrupt(run->writer, "entry %" PRIu64 " of directory %" PRIu64 " was born in the future",
                                ended->index, ended->parent);
    if (rc == STORE_OK)
        rc = past_entry_row_insert(run->writer, &row.entry, run->done->seq);
    statement_reset(statement);
    if (rc == STORE_OK)
        rc = statement_run(run->writer, STATEMENT_ENTRY_DELETE, values, 2);
    return rc;
}

static int write_entries(struct commit_run *run) {
    int rc = STORE_OK;
    for (size_t i = 0; i < run->commit->ended_count && rc == STORE_OK; i++)
        rc = end_entry(run, &run->commit->ended[i]);
    for (size_t i = 0; i < run->commit->added_count && rc == STORE_OK; i++)
        rc = entry_row_insert(run->writer, &run->commit->added[i], run->done->seq);
    return rc;
}

/* Marks a directory, once, and remembers to mark those above it. */
static int mark_directory(struct commit_run *run, uint64_t directory) {
    int rc = oid_set_add(&run->marked, directory);
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_OK : rc;
    uint64_t *grown = array_grow(run->to_mark, &run->to_mark_capacity, run->to_mark_count, sizeof *grown);
    if (!grown)
        return STORE_NO_MEMORY;
    run->to_mark = grown;
    run->to_mark[run->to_mark_count++] = directory;
    struct value values[] = {value_integer(run->state.next_subtree++), value_integer(directory),
                             value_integer(run->done->seq)};
    return statement_run(run->writer, STATEMENT_SUBTREE_INSERT, values, 3);
}

/* Marks the directories that hold an object now. One that it has left was changed itself. */
static int mark_parents(struct commit_run *run, uint64_t oid) {
    struct value value = value_integer(oid);
    sqlite3_stmt *statement;
    int rc = statement_get(run->writer, STATEMENT_ENTRY_PARENTS, &value, 1, &statement);
    while (rc == STORE_OK && (rc = statement_step(run->writer, statement)) == STORE_OK)
        rc = mark_directory(run, column_integer(statement, 0));
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Marks every changed directory, and every directory with something changed below it, up to the root. */
static int write_marks(struct commit_run *run) {
    int rc = STORE_OK;
    for (size_t i = 0; i < run->commit->revision_count && rc == STORE_OK; i++) {
        const struct new_revision *revision = &run->commit->revisions[i];
        if (revision->part == PART_INODE)
            rc = revision->directory ? mark_directory(run, revision->oid) : mark_parents(run, revision->oid);
    }
    while (run->to_mark_count > 0 && rc == STORE_OK)
        rc = mark_parents(run, run->to_mark[--run->to_mark_count]);
    return rc;
}

/* Rows with ids above OID_MAX could be written and never be read. Only a store that was made to harm gets there. */
static int check_ids(const struct commit_run *run) {
    const uint64_t next[] = {run->state.next_revision, run->state.next_body, run->state.next_subtree};
    for (size_t i = 0; i < sizeof next / sizeof next[0]; i++)
        if (next[i] > OID_MAX + 1) {
            log_write(run->storage->log, LOG_LEVEL_ERROR, "nothing is committed: the store has no ids left");
            return STORE_FULL;
        }
    return STORE_OK;
}

static int finish(struct commit_run *run, const struct body_end *end) {
    run->state.next_oid = run->commit->next_oid;
    if (run->commit->body_files_used) {
        run->state.body_file = end->file;
        run->state.body_end = end->end;
    }
    int rc = check_ids(run);
    if (rc == STORE_OK)
        rc = transaction_row_insert(run->writer, run->done, run->first_revision);
    if (rc == STORE_OK)
        rc = state_row_put(run->writer, STATEMENT_STATE_UPDATE, &run->state);
    if (rc == STORE_OK)
        rc = statement_run(run->writer, STATEMENT_COMMIT, NULL, 0);
    return rc;
}

int sqlite_commit(struct storage *base, const struct commit *commit, struct transaction *done) {
    struct commit_run run = {.storage = sqlite_storage_of(base), .commit = commit, .done = done};
    struct body_end end = {0};
    if (!run.storage->writable)
        return STORE_READ_ONLY;
    int rc = sqlite_writer_take(run.storage, &run.writer);
    if (rc != STORE_OK)
        return rc;
    oid_set_init(&run.changed);
    oid_set_init(&run.marked);
    rc = prepare(&run, &end);
    if (rc == STORE_OK)
        rc = begin(&run);
    if (rc == STORE_OK)
        rc = write_bodies(&run);
    if (rc == STORE_OK)
        rc = write_revisions(&run);
    if (rc == STORE_OK)
        rc = write_entries(&run);
    if (rc == STORE_OK)
        rc = write_marks(&run);
    if (rc == STORE_OK)
        rc = finish(&run, &end);
    if (rc == STORE_OK)
        connection_pool_renew(&run.storage->readers);
    sqlite_writer_give(run.storage, run.writer);
    free(run.to_mark);
    oid_set_release(&run.marked);
    oid_set_release(&run.changed);
    return rc;
}
