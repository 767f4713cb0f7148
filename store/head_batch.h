/* A sealed transaction on its way to the storage. Used by head_seal.c and head_batch.c only.
 *
 * Who may touch it: made and finished under the head's write lock, written by the one who commits in between.
 */
#ifndef TIDFS_STORE_HEAD_BATCH_H
#define TIDFS_STORE_HEAD_BATCH_H

#include "store/head_private.h"

/* A chunk as it was when sealed. */
struct snapshot {
    struct object *object;
    uint64_t number;
    struct span *spans;
    uint32_t count;
};

struct batch {
    uint64_t number, base, next_oid, bytes;
    bool body_files_used;
    char *user, *message;
    struct changers changers;
    struct object **objects;
    size_t object_count;
    struct snapshot *snapshots;
    size_t snapshot_count, snapshot_capacity;
    struct new_revision *revisions; /* their data is the batch's */
    size_t revision_count, revision_capacity;
    struct added *added; /* those of the working transaction, taken over */
    size_t added_count, added_capacity;
    struct new_entry *new_entries;
    struct ended *ended;
    size_t ended_count, ended_capacity;
    struct ended_entry *ended_entries;
    struct new_body *bodies;
    struct memory **body_memories; /* which each of `bodies` is */
    size_t body_count, body_capacity;
};

/* Seals the working transaction. Write lock. On -ENOMEM it is as it was. */
int batch_seal(struct head *head, struct batch **batch);
/* Writes it. Commit thread, without a lock. enum store_error. */
int batch_write(struct head *head, struct batch *batch, struct transaction *done);
/* After a commit: what flew is settled. Write lock. */
void batch_settle(struct head *head, struct batch *batch);
/* After a failure: what flew joins the working transaction. Write lock. Cannot fail: a commit that found no memory must not end in the loss of
 * what it was to commit. */
void batch_take_back(struct head *head, struct batch *batch);
/* After a failure within head_transaction: what flew is as it was before. Write lock. */
void batch_revert(struct head *head, struct batch *batch);
/* Write lock, for the memory that it shares. */
void batch_free(struct batch *batch);

#endif
