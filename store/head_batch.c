/* What a sealed transaction holds, how it is written, and what becomes of it.
 *
 * Sealing copies what is small (records, maps) and shares what is large (memory, which is frozen), so that the head
 * goes on changing while the batch is written.
 */
#include "store/head_batch.h"
#include "store/array.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int add_revision(struct batch *batch, uint64_t oid, bool directory, uint64_t part, const uint8_t *data,
                        size_t length) {
    void *grown =
        array_grow(batch->revisions, &batch->revision_capacity, batch->revision_count, sizeof *batch->revisions);
    if (!grown)
        return -ENOMEM;
    batch->revisions = grown;
    batch->revisions[batch->revision_count++] =
        (struct new_revision){.oid = oid, .part = part, .directory = directory, .data = data, .length = length};
    return 0;
}

static int add_snapshot(struct batch *batch, struct object *object, const struct file_chunk *chunk) {
    void *grown =
        array_grow(batch->snapshots, &batch->snapshot_capacity, batch->snapshot_count, sizeof *batch->snapshots);
    if (!grown)
        return -ENOMEM;
    batch->snapshots = grown;
    struct snapshot snapshot = {.object = object, .number = chunk->number, .count = chunk->count};
    if (chunk->count) {
        snapshot.spans = malloc(chunk->count * sizeof *snapshot.spans);
        if (!snapshot.spans)
            return -ENOMEM;
        memcpy(snapshot.spans, chunk->spans, chunk->count * sizeof *snapshot.spans);
        for (uint32_t i = 0; i < snapshot.count; i++)
            if (snapshot.spans[i].memory)
                snapshot.spans[i].memory->refs++;
    }
    batch->snapshots[batch->snapshot_count++] = snapshot;
    return 0;
}

static int add_object(struct batch *batch, struct object *object) {
    bool directory = object_is_directory(object);
    uint8_t *data = NULL;
    size_t length = 0;
    if (object->gone)
        return add_revision(batch, object->oid, directory, PART_INODE, NULL, 0);
    int rc = inode_record_encode(&object->record, &data, &length);
    rc = rc < 0 ? -ENOMEM : add_revision(batch, object->oid, directory, PART_INODE, data, length);
    if (rc < 0) {
        free(data);
        return rc;
    }
    if (object->xattrs_dirty) {
        data = NULL;
        length = 0;
        rc = object->xattrs->count ? xattr_set_encode(object->xattrs, &data, &length) : 0;
        rc = rc < 0 ? -ENOMEM : add_revision(batch, object->oid, directory, PART_XATTRS, data, length);
        if (rc < 0) {
            free(data);
            return rc;
        }
    }
    if (directory || !object->file)
        return 0;
    for (size_t i = 0; i < object->file->count && rc == 0; i++)
        if (object->file->chunks[i]->dirty)
            rc = add_snapshot(batch, object, object->file->chunks[i]);
    return rc;
}

static int add_names(struct head *head, struct batch *batch) {
    batch->new_entries = malloc((head->added_count + 1) * sizeof *batch->new_entries);
    batch->ended_entries = malloc((head->ended_count + 1) * sizeof *batch->ended_entries);
    if (!batch->new_entries || !batch->ended_entries)
        return -ENOMEM;
    size_t kept = 0;
    for (size_t i = 0; i < head->added_count; i++) {
        const struct dentry *dentry = head->added[i].dentry;
        if (!dentry)
            continue;
        batch->new_entries[kept++] = (struct new_entry){.parent = head->added[i].parent->oid,
                                                        .index = dentry->index,
                                                        .oid = dentry->oid,
                                                        .type = dentry->type,
                                                        .name = dentry->name,
                                                        .name_length = dentry->name_length};
    }
    for (size_t i = 0; i < head->ended_count; i++)
        batch->ended_entries[i] = (struct ended_entry){head->ended[i].parent->oid, head->ended[i].index};
    return 0;
}

/* From here on nothing fails: what was dirty flies. */
static void take_off(struct head *head, struct batch *batch) {
    size_t kept = 0;
    for (size_t i = 0; i < head->added_count; i++) {
        struct dentry *dentry = head->added[i].dentry;
        if (!dentry)
            continue;
        dentry->added_at = UINT32_MAX;
        dentry->dirty = false;
        dentry->flying = true;
        head->added[kept++] = head->added[i];
    }
    for (size_t i = 0; i < head->ended_count; i++) {
        struct dentry *dentry = head->ended[i].dentry;
        dentry->ended = dentry->dirty = false;
        dentry->flying = true;
    }
    batch->added = head->added;
    batch->added_count = kept;
    batch->ended = head->ended;
    batch->ended_count = head->ended_count;
    batch->added_capacity = head->added_capacity;
    batch->ended_capacity = head->ended_capacity;
    head->flying_added = kept;
    head->flying_ended = head->ended_count;
    head->added = NULL;
    head->ended = NULL;
    head->added_count = head->added_capacity = head->ended_count = head->ended_capacity = 0;
    for (size_t i = 0; i < batch->object_count; i++) {
        struct object *object = batch->objects[i];
        object_clean(head, object);
        object->flying = true;
        object->fresh_flying = object->fresh;
        object->fresh = false;
        object->xattrs_flying = object->xattrs_dirty;
        object->xattrs_dirty = false;
    }
    for (size_t i = 0; i < batch->snapshot_count; i++) {
        struct snapshot *snapshot = &batch->snapshots[i];
        struct file_chunk *chunk = file_find(snapshot->object->file, snapshot->number);
        chunk->dirty = false;
        chunk->flying = true;
        for (uint32_t s = 0; s < snapshot->count; s++)
            if (snapshot->spans[s].memory)
                snapshot->spans[s].memory->frozen = true;
    }
}

int batch_seal(struct head *head, struct batch **sealed) {
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return -ENOMEM;
    batch->objects = malloc((head->dirty_count + 1) * sizeof(struct object *));
    int rc = batch->objects ? add_names(head, batch) : -ENOMEM;
    for (struct object *object = head->dirty_first; object && rc == 0; object = object->dirty_next) {
        batch->objects[batch->object_count++] = object;
        rc = add_object(batch, object);
    }
    if (rc < 0) {
        batch_free(batch);
        return rc;
    }
    take_off(head, batch);
    batch->number = head->number++;
    batch->base = head->last_seq;
    batch->next_oid = head->next_oid;
    batch->bytes = head->working_bytes;
    batch->body_files_used = head->body_files_used;
    head->body_files_used = false;
    head->working_bytes = 0;
    head->pending = head->limit_passed = false;
    *sealed = batch;
    return 0;
}

/* ---- writing ---- */

static int add_body(struct batch *batch, struct memory *memory) {
    size_t capacity = batch->body_capacity;
    void *bodies = array_grow(batch->bodies, &capacity, batch->body_count, sizeof *batch->bodies);
    if (!bodies)
        return STORE_NO_MEMORY;
    batch->bodies = bodies;
    void *memories =
        array_grow(batch->body_memories, &batch->body_capacity, batch->body_count, sizeof(struct memory *));
    if (!memories)
        return STORE_NO_MEMORY;
    batch->body_memories = memories;
    batch->body_memories[batch->body_count] = memory;
    batch->bodies[batch->body_count++] = (struct new_body){
        .data = memory->data, .length = memory->length, .sum = XXH3_64bits(memory->data, memory->length)};
    memory->placed = true;
    return STORE_OK;
}

/* Gives every piece of memory a body: in the table if there is little of it, for then one flush is enough; else in a body file. */
static int place_bodies(struct head *head, struct batch *batch) {
    uint64_t small = 0;
    for (size_t i = 0; i < batch->snapshot_count; i++)
        for (uint32_t s = 0; s < batch->snapshots[i].count; s++) {
            const struct memory *memory = batch->snapshots[i].spans[s].memory;
            if (memory && !memory->placed && memory->length <= TABLE_BODY_MAX)
                small += memory->length;
        }
    for (size_t i = 0; i < batch->snapshot_count; i++)
        for (uint32_t s = 0; s < batch->snapshots[i].count; s++) {
            struct memory *memory = batch->snapshots[i].spans[s].memory;
            int rc;
            if (!memory || memory->placed)
                continue;
            if (memory->length <= TABLE_BODY_MAX && small <= TABLE_BATCH_MAX) {
                rc = add_body(batch, memory);
            } else {
                rc = storage_body_append(store_storage(head->store), memory->data, memory->length, &memory->body);
                memory->placed = rc == STORE_OK;
                batch->body_files_used = true;
            }
            if (rc < 0)
                return rc;
        }
    if (!batch->body_count)
        return STORE_OK;
    uint64_t first;
    int rc = storage_body_reserve(store_storage(head->store), batch->body_count, &first);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < batch->body_count; i++) {
        struct new_body *body = &batch->bodies[i];
        body->id = first + i;
        batch->body_memories[i]->body =
            (struct body_ref){.file = 0, .length = body->length, .position = body->id, .sum = body->sum};
    }
    return STORE_OK;
}

static int add_chunk(struct batch *batch, const struct snapshot *snapshot) {
    uint8_t *data = NULL;
    size_t length = 0;
    int rc = STORE_OK;
    if (snapshot->count) {
        struct chunk chunk = {malloc(snapshot->count * sizeof *chunk.extents), snapshot->count};
        if (!chunk.extents)
            return STORE_NO_MEMORY;
        for (uint32_t i = 0; i < snapshot->count; i++) {
            const struct span *span = &snapshot->spans[i];
            chunk.extents[i] =
                (struct extent){span->start, span->length, span->skip, span->memory ? span->memory->body : span->body};
        }
        rc = chunk_encode(&chunk, &data, &length);
        free(chunk.extents);
    }
    if (rc == STORE_OK &&
        add_revision(batch, snapshot->object->oid, false, PART_CHUNK + snapshot->number, data, length) < 0)
        rc = STORE_NO_MEMORY;
    if (rc < 0)
        free(data);
    return rc;
}

/* `name` is for those that must be looked up. */
static const char *batch_user(const struct head *head, const struct batch *batch, char name[HEAD_USER_SIZE]) {
    const struct changers *changers = &batch->changers;
    if (batch->user)
        return batch->user;
    if (head->options.user)
        return head->options.user;
    if (!head->options.name_user || changers->several || changers->uid == HEAD_NOBODY)
        return "";
    head->options.name_user(head->options.name_context, changers->uid, name);
    return name;
}

int batch_write(struct head *head, struct batch *batch, struct transaction *done) {
    char name[HEAD_USER_SIZE];
    int rc = place_bodies(head, batch);
    for (size_t i = 0; i < batch->snapshot_count && rc == STORE_OK; i++)
        rc = add_chunk(batch, &batch->snapshots[i]);
    if (rc < 0)
        return rc;
    struct commit commit = {
        .base = batch->base,
        .user = batch_user(head, batch, name),
        .message = batch->message ? batch->message : "",
        .next_oid = batch->next_oid,
        .revisions = batch->revisions,
        .revision_count = batch->revision_count,
        .ended = batch->ended_entries,
        .ended_count = batch->ended_count,
        .added = batch->new_entries,
        .added_count = batch->added_count,
        .bodies = batch->bodies,
        .body_count = batch->body_count,
        .body_files_used = batch->body_files_used,
    };
    clock_gettime(CLOCK_REALTIME, &commit.wall);
    return store_commit(head->store, &commit, done);
}

/* ---- afterwards ---- */

/* The dentry has landed. A name that ended and came again is in both lists: false the second time. */
static bool land(struct object *parent, struct dentry *dentry) {
    if (!dentry->flying)
        return false;
    dentry->flying = false;
    if (!dentry->dirty)
        parent->directory->unsettled--;
    return true;
}

static void settle_names(struct head *head, struct batch *batch) {
    for (size_t i = 0; i < batch->ended_count; i++)
        (void)land(batch->ended[i].parent, batch->ended[i].dentry);
    for (size_t i = 0; i < batch->added_count; i++)
        if (!land(batch->added[i].parent, batch->added[i].dentry))
            batch->added[i].dentry = NULL;
    for (size_t i = 0; i < batch->ended_count; i++)
        dentry_settle(head, batch->ended[i].parent, batch->ended[i].dentry);
    for (size_t i = 0; i < batch->added_count; i++)
        if (batch->added[i].dentry)
            dentry_settle(head, batch->added[i].parent, batch->added[i].dentry);
}

/* What the storage has needs no copy in memory. */
static void settle_chunk(struct object *object, struct file_chunk *chunk) {
    chunk->flying = false;
    if (!chunk->dirty) {
        file_chunk_drop(object, chunk);
        return;
    }
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct span *span = &chunk->spans[i];
        if (!span->memory || !span->memory->placed)
            continue;
        span->body = span->memory->body;
        memory_release(span->memory);
        span->memory = NULL;
    }
}

void batch_settle(struct head *head, struct batch *batch) {
    settle_names(head, batch);
    head->flying_ended = head->flying_added = 0;
    for (size_t i = 0; i < batch->snapshot_count; i++) {
        struct object *object = batch->snapshots[i].object;
        struct file_chunk *chunk = file_find(object->file, batch->snapshots[i].number);
        assert(chunk && chunk->flying); /* so it stayed */
        settle_chunk(object, chunk);
    }
    for (size_t i = 0; i < batch->object_count; i++) {
        struct object *object = batch->objects[i];
        object->flying = object->fresh_flying = object->xattrs_flying = false;
        object->stored = true;
    }
    for (size_t i = 0; i < batch->object_count; i++)
        object_settle(head, batch->objects[i]);
}

/* Bodies for the table were not written; those in body files were, and will be flushed with the next commit. */
static void unplace_bodies(struct head *head, struct batch *batch) {
    for (size_t i = 0; i < batch->body_count; i++)
        batch->body_memories[i]->placed = false;
    if (batch->body_files_used)
        head->body_files_used = true;
}

/* The working transaction ended a name that the batch added: neither happened, which an oid of 0 says. */
static void cancel_names(struct head *head, struct batch *batch) {
    for (size_t i = 0; i < batch->added_count; i++) {
        struct dentry *dentry = batch->added[i].dentry;
        if (!dentry->ended)
            continue;
        size_t e = 0;
        while (head->ended[e].dentry != dentry) /* it is there, or dentry->ended would not say so */
            e++;
        assert(e < head->ended_count && head->ended[e].index == batch->new_entries[i].index);
        dentry->ended = false;
        head->ended[e] = head->ended[--head->ended_count];
        batch->new_entries[i].oid = 0;
    }
}

/* What the names' objects and dentries say from now on, the batch's before those of the working transaction. */
static void number_names(const struct head *head, const struct batch *batch) {
    uint32_t position = 0;
    for (size_t i = 0; i < batch->ended_count; i++)
        batch->ended[i].dentry->ended = true;
    for (size_t i = 0; i < batch->added_count; i++)
        if (batch->new_entries[i].oid != 0)
            batch->added[i].dentry->added_at = position++;
    for (size_t i = 0; i < head->added_count; i++)
        if (head->added[i].dentry)
            head->added[i].dentry->added_at = position++;
}

static void join_ended(struct head *head, struct batch *batch) {
    if (!head->ended) {
        head->ended = batch->ended;
        head->ended_capacity = batch->ended_capacity;
        batch->ended = NULL;
    } else if (batch->ended_count > 0) {
        assert(head->ended_count + batch->ended_count <= head->ended_capacity);
        memmove(head->ended + batch->ended_count, head->ended, head->ended_count * sizeof *head->ended);
        memcpy(head->ended, batch->ended, batch->ended_count * sizeof *head->ended);
    }
    head->ended_count += batch->ended_count;
}

static void join_added(struct head *head, struct batch *batch) {
    size_t kept = 0, own = 0;
    for (size_t i = 0; i < batch->added_count; i++)
        if (batch->new_entries[i].oid != 0)
            batch->added[kept++] = batch->added[i];
    for (size_t i = 0; i < head->added_count; i++)
        if (head->added[i].dentry)
            head->added[own++] = head->added[i];
    if (!head->added) {
        head->added = batch->added;
        head->added_capacity = batch->added_capacity;
        batch->added = NULL;
    } else if (kept > 0) {
        assert(kept + own <= head->added_capacity);
        memmove(head->added + kept, head->added, own * sizeof *head->added);
        memcpy(head->added, batch->added, kept * sizeof *head->added);
    }
    head->added_count = kept + own;
}

/* dirty says again whether head->ended or head->added has the dentry. */
static void redirty(struct object *parent, struct dentry *dentry) {
    if (!dentry->flying)
        return;
    bool dirty = dentry->ended || dentry->added_at != UINT32_MAX;
    dentry->flying = false;
    dentry->dirty = dirty;
    if (!dirty)
        parent->directory->unsettled--;
}

static void take_back_object(struct head *head, struct object *object) {
    object->flying = false;
    object->fresh = object->fresh_flying;
    object->fresh_flying = false;
    object->xattrs_dirty |= object->xattrs_flying;
    object->xattrs_flying = false;
    if (!object_is_directory(object) && object->file)
        for (size_t i = 0; i < object->file->count; i++) {
            struct file_chunk *chunk = object->file->chunks[i];
            chunk->dirty |= chunk->flying;
            chunk->flying = false;
        }
    if (object->gone && object->fresh) {
        object_clean(head, object);
        return;
    }
    bool gone = object->gone;
    object->gone = false; /* its end is a change like any other */
    object_dirty(head, object);
    object->gone = gone;
}

void batch_take_back(struct head *head, struct batch *batch) {
    unplace_bodies(head, batch);
    cancel_names(head, batch);
    number_names(head, batch);
    for (size_t i = 0; i < batch->ended_count; i++)
        redirty(batch->ended[i].parent, batch->ended[i].dentry);
    for (size_t i = 0; i < batch->added_count; i++)
        redirty(batch->added[i].parent, batch->added[i].dentry);
    join_ended(head, batch);
    join_added(head, batch);
    head->flying_ended = head->flying_added = 0;
    for (size_t i = 0; i < batch->object_count; i++)
        take_back_object(head, batch->objects[i]);
    for (size_t i = 0; i < batch->object_count; i++)
        object_settle(head, batch->objects[i]);
    head->working_bytes += batch->bytes;
}

void batch_revert(struct head *head, struct batch *batch) {
    for (size_t i = 0; i < batch->object_count; i++)
        object_revert(head, batch->objects[i]);
    batch->object_count = 0; /* some are no more */
    head->flying_ended = head->flying_added = 0;
}

void batch_free(struct batch *batch) {
    for (size_t i = 0; i < batch->snapshot_count; i++) {
        for (uint32_t s = 0; s < batch->snapshots[i].count; s++)
            memory_release(batch->snapshots[i].spans[s].memory);
        free(batch->snapshots[i].spans);
    }
    for (size_t i = 0; i < batch->revision_count; i++)
        free((void *)(uintptr_t)batch->revisions[i].data);
    free(batch->snapshots);
    free(batch->revisions);
    free(batch->objects);
    free(batch->added);
    free(batch->new_entries);
    free(batch->ended);
    free(batch->ended_entries);
    free(batch->bodies);
    free(batch->body_memories);
    free(batch->user);
    free(batch->message);
    free(batch);
}
