/* The table of objects in memory: what the kernel holds, and what is not durable yet. Everything else is in the storage.
 *
 * The kernel may hold millions, of most of which it never asks anything again. So only so many are loaded; of the others the table has
 * what nobody else knows, which is how often the kernel was told of them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/head_private.h"

#define BUCKETS_FIRST    1024
#define UNLOADED_BYTES   offsetof(struct object, record)
#define TRIM_BUCKETS_MAX 64 /* looked at by one operation */

static size_t bucket_of(uint64_t oid, size_t bucket_count) {
    return (size_t)(oid * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (bucket_count - 1);
}

int object_table_new(struct head *head) {
    head->buckets = calloc(BUCKETS_FIRST, sizeof *head->buckets);
    if (!head->buckets)
        return -ENOMEM;
    head->bucket_count = BUCKETS_FIRST;
    return 0;
}

/* Everything that the storage can give again. */
static void object_release(struct head *head, struct object *object) {
    if (object->unloaded)
        return;
    if (object_is_directory(object))
        directory_free(head, object);
    else
        file_free(object);
    if (object->xattrs) {
        xattr_set_release(object->xattrs);
        free(object->xattrs);
    }
    inode_record_release(&object->record);
}

static void object_free(struct head *head, struct object *object) {
    object_release(head, object);
    free(object);
}

void object_table_free(struct head *head) {
    for (size_t i = 0; i < head->bucket_count; i++) {
        struct object *next;
        for (struct object *object = head->buckets[i]; object; object = next) {
            next = object->hash_next;
            object_free(head, object);
        }
    }
    free(head->buckets);
}

/* Without memory the table stays as it is, only slower. */
static void table_grow(struct head *head) {
    size_t count = head->bucket_count * 2;
    struct object **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return;
    for (size_t i = 0; i < head->bucket_count; i++) {
        struct object *next;
        for (struct object *object = head->buckets[i]; object; object = next) {
            next = object->hash_next;
            size_t at = bucket_of(object->oid, count);
            object->hash_next = buckets[at];
            buckets[at] = object;
        }
    }
    free(head->buckets);
    head->buckets = buckets;
    head->bucket_count = count;
}

static void table_add(struct head *head, struct object *object) {
    if (head->object_count >= head->bucket_count)
        table_grow(head);
    size_t at = bucket_of(object->oid, head->bucket_count);
    object->hash_next = head->buckets[at];
    head->buckets[at] = object;
    head->object_count++;
    head->loaded_count++;
}

static struct object **table_link(struct head *head, const struct object *object) {
    struct object **link = &head->buckets[bucket_of(object->oid, head->bucket_count)];
    while (*link != object)
        link = &(*link)->hash_next;
    return link;
}

static void table_remove(struct head *head, struct object *object) {
    *table_link(head, object) = object->hash_next;
    head->object_count--;
    head->loaded_count -= !object->unloaded;
}

static struct object *table_find(const struct head *head, uint64_t oid) {
    struct object *object = head->buckets[bucket_of(oid, head->bucket_count)];
    while (object && object->oid != oid)
        object = object->hash_next;
    return object;
}

struct object *object_find(struct head *head, uint64_t oid) {
    struct object *object = table_find(head, oid);
    return object && !object->unloaded ? object : NULL;
}

static int record_copy(struct inode_record *to, const struct inode_record *from) {
    *to = *from;
    if (from->target) {
        to->target = strdup(from->target);
        if (!to->target)
            return -ENOMEM;
    }
    return 0;
}

int object_get(struct head *head, uint64_t oid, struct object **found) {
    struct object *object = table_find(head, oid);
    *found = object;
    if (object && !object->unloaded)
        return 0;
    struct inode_version *version;
    int rc = store_inode(head->store, oid, head->last_seq + 1, &version);
    if (rc == STORE_ABSENT)
        return -ESTALE;
    if (rc < 0)
        return -store_error_errno(rc);
    struct inode_record record;
    rc = record_copy(&record, &version->record);
    store_release(head->store, version);
    if (rc < 0)
        return rc;
    struct object *loaded = calloc(1, sizeof *loaded);
    if (!loaded) {
        inode_record_release(&record);
        return -ENOMEM;
    }
    loaded->oid = oid;
    loaded->record = record;
    loaded->stored = true;
    if (object) {
        loaded->lookups = object->lookups;
        table_remove(head, object);
        free(object);
    }
    table_add(head, loaded);
    *found = loaded;
    return 0;
}

int object_get_directory(struct head *head, uint64_t oid, struct object **object) {
    int rc = object_get(head, oid, object);
    if (rc < 0)
        return rc;
    if (!object_is_directory(*object))
        return -ENOTDIR;
    return (*object)->gone ? -ENOENT : 0;
}

struct object *object_new(struct head *head, uint32_t mode) {
    struct object *object = calloc(1, sizeof *object);
    if (!object)
        return NULL;
    object->oid = head->next_oid++;
    object->record.mode = mode;
    object->fresh = true;
    table_add(head, object);
    object_dirty(head, object);
    return object;
}

void object_settle(struct head *head, struct object *object) {
    if (object->lookups || object->dirty || object->flying)
        return;
    if (!object->unloaded && object_is_directory(object) && object->directory && object->directory->unsettled)
        return;
    table_remove(head, object);
    object_free(head, object);
}

/* Whether the storage has all that there is to know of it. Names of directories are dropped by directory_trim first, which knows
 * the order in which they were used. */
static bool may_unload(const struct object *object) {
    return !object->unloaded && object->stored && !object->dirty && !object->flying && !object->gone &&
           !(object_is_directory(object) && object->directory);
}

/* In a block of its own: the larger one is then of use for another object. Without memory it stays as it is. */
static void object_unload(struct head *head, struct object *object) {
    void *unloaded = malloc(UNLOADED_BYTES);
    if (!unloaded)
        return;
    object_release(head, object);
    object->unloaded = true;
    memcpy(unloaded, object, UNLOADED_BYTES);
    *table_link(head, object) = unloaded;
    free(object);
    head->loaded_count--;
}

/* Goes round the table, so that each object has its time, and one that is in use is soon back. */
void object_trim(struct head *head) {
    for (unsigned i = 0; i < TRIM_BUCKETS_MAX && head->loaded_count > head->loaded_max; i++) {
        struct object *next, *object = head->buckets[head->trim_bucket++ & (head->bucket_count - 1)];
        for (; object; object = next) {
            next = object->hash_next;
            if (!may_unload(object))
                continue;
            if (object->lookups)
                object_unload(head, object);
            else
                object_settle(head, object);
        }
    }
}

void object_dirty(struct head *head, struct object *object) {
    if (object->dirty || object->gone)
        return;
    object->dirty = true;
    object->dirty_next = NULL;
    object->dirty_previous = head->dirty_last;
    if (head->dirty_last)
        head->dirty_last->dirty_next = object;
    else
        head->dirty_first = object;
    head->dirty_last = object;
    head->dirty_count++;
}

void object_clean(struct head *head, struct object *object) {
    if (!object->dirty)
        return;
    object->dirty = false;
    if (object->dirty_previous)
        object->dirty_previous->dirty_next = object->dirty_next;
    else
        head->dirty_first = object->dirty_next;
    if (object->dirty_next)
        object->dirty_next->dirty_previous = object->dirty_previous;
    else
        head->dirty_last = object->dirty_previous;
    object->dirty_next = object->dirty_previous = NULL;
    head->dirty_count--;
}

void object_unlinked(struct head *head, struct object *object, struct timespec now) {
    object->record.ctime = now;
    if (object_is_directory(object))
        object->record.nlink = 0;
    else if (object->record.nlink > 0) /* less only in a damaged store */
        object->record.nlink--;
    if (object->record.nlink) {
        object_dirty(head, object);
        return;
    }
    /* Its end is what the transaction records, if the storage has it or is getting it. */
    if (object->fresh)
        object_clean(head, object);
    else
        object_dirty(head, object);
    object->gone = true;
    object_settle(head, object);
}

int object_may_change(const struct head *head, const struct object *object) {
    bool orphan = object->gone && !object->dirty && object->oid < head->first_oid;
    return head->changing && orphan ? -ESTALE : 0;
}

void object_revert(struct head *head, struct object *object) {
    object_clean(head, object);
    if (object->oid >= head->first_oid || !object->lookups) {
        table_remove(head, object);
        object_free(head, object);
        return;
    }
    /* In its place, for there may be no memory for another. */
    object_release(head, object);
    object->flying = object->fresh_flying = object->gone = object->xattrs_dirty = object->xattrs_flying = false;
    head->loaded_count -= !object->unloaded;
    object->unloaded = true;
}

void object_revert_made(struct head *head) {
    for (uint64_t oid = head->first_oid; oid < head->next_oid; oid++) {
        struct object *object = table_find(head, oid);
        if (object)
            object_revert(head, object);
    }
}

void object_attr(const struct object *object, struct head_attr *attr) {
    const struct inode_record *record = &object->record;
    *attr = (struct head_attr){
        .oid = object->oid,
        .mode = record->mode,
        .uid = record->uid,
        .gid = record->gid,
        .nlink = record->nlink,
        .rdev = record->rdev,
        .size = record->size,
        .allocated = record->allocated,
        .atime = record->atime,
        .mtime = record->mtime,
        .ctime = record->ctime,
        .btime = record->btime,
    };
}

int head_hold(struct head *head, uint64_t oid, struct head_attr *attr) {
    struct object *object;
    head_lock(head);
    int rc = object_get(head, oid, &object);
    if (rc == 0 && object->gone)
        rc = -ESTALE;
    if (rc == 0) {
        object->lookups++;
        object_attr(object, attr);
    }
    head_unlock(head);
    return rc;
}

void head_forget(struct head *head, uint64_t oid, uint64_t count) {
    head_lock(head);
    struct object *object = table_find(head, oid);
    if (object) {
        /* What the kernel counts is checked, not believed. */
        object->lookups -= count < object->lookups ? count : object->lookups;
        object_settle(head, object);
    }
    head_unlock(head);
}

int head_getattr(struct head *head, uint64_t oid, struct head_attr *attr) {
    head_lock_shared(head);
    struct object *object = object_find(head, oid);
    if (object) {
        object_attr(object, attr);
        head_unlock(head);
        return 0;
    }
    head_unlock(head);
    head_lock(head);
    int rc = object_get(head, oid, &object);
    if (rc == 0) {
        object_attr(object, attr);
        object_settle(head, object);
    }
    head_unlock(head);
    return rc;
}
