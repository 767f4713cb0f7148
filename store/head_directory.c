/* The names of a directory in memory.
 *
 * A directory is complete (all its names are here, in a hash and in order of their indexes) or it is not (some names
 * are here; for others the storage is asked). A dentry with oid 0 says that the name is known not to exist; it must stay while the
 * storage still has the name, that is until the batch that ends it is durable.
 *
 * Invariants
 *  1. dentry->dirty if head->added or head->ended points to it; dentry->flying if the batch does.
 *  2. directory->unsettled counts the dentries that are dirty or flying; they are never dropped.
 *  3. In a complete directory `order` holds every name that exists, ascending by index.
 *  4. Every index is below the record's next_index: a storage that has others is damaged, and gives no names.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "store/head_private.h"

#define BUCKETS_FIRST  8
#define TRIM_STEPS_MAX 64  /* directories looked at by one operation */
#define LOAD_WHOLE_MAX 256 /* directories up to this many names are loaded at once, when a name is looked up */

static uint32_t name_hash(const char *name, size_t length) {
    return (uint32_t)XXH3_64bits(name, length);
}

static size_t dentry_bytes(const struct dentry *dentry) {
    return sizeof *dentry + dentry->name_length + 1U + 16;
}

static void count_bytes(struct head *head, struct directory *directory, size_t more, size_t less) {
    directory->bytes = directory->bytes + more - less;
    head->directories.bytes = head->directories.bytes + more - less;
}

static void list_remove(struct head *head, struct object *object) {
    struct directory *directory = object->directory;
    struct directory_list *list = &head->directories;
    if (directory->newer)
        directory->newer->directory->older = directory->older;
    else
        list->newest = directory->older;
    if (directory->older)
        directory->older->directory->newer = directory->newer;
    else
        list->oldest = directory->newer;
    directory->newer = directory->older = NULL;
}

static void list_add(struct head *head, struct object *object) {
    struct directory_list *list = &head->directories;
    object->directory->newer = NULL;
    object->directory->older = list->newest;
    if (list->newest)
        list->newest->directory->newer = object;
    else
        list->oldest = object;
    list->newest = object;
}

void directory_used(struct head *head, struct object *object) {
    if (head->directories.newest == object)
        return;
    list_remove(head, object);
    list_add(head, object);
}

int directory_new(struct head *head, struct object *object, bool complete) {
    struct directory *directory = calloc(1, sizeof *directory);
    if (!directory)
        return -ENOMEM;
    directory->buckets = calloc(BUCKETS_FIRST, sizeof *directory->buckets);
    if (!directory->buckets) {
        free(directory);
        return -ENOMEM;
    }
    directory->bucket_count = BUCKETS_FIRST;
    directory->complete = complete;
    object->directory = directory;
    list_add(head, object);
    count_bytes(head, directory, sizeof *directory + BUCKETS_FIRST * sizeof *directory->buckets, 0);
    return 0;
}

void directory_free(struct head *head, struct object *object) {
    struct directory *directory = object->directory;
    if (!directory)
        return;
    for (size_t i = 0; i < directory->bucket_count; i++) {
        struct dentry *next;
        for (struct dentry *dentry = directory->buckets[i]; dentry; dentry = next) {
            next = dentry->hash_next;
            free(dentry);
        }
    }
    list_remove(head, object);
    head->directories.bytes -= directory->bytes;
    free(directory->buckets);
    free(directory->order);
    free(directory);
    object->directory = NULL;
}

static struct dentry *hash_find(const struct directory *directory, const char *name, size_t length, uint32_t hash) {
    struct dentry *dentry = directory->buckets[hash & (directory->bucket_count - 1)];
    while (dentry && (dentry->hash != hash || dentry->name_length != length || memcmp(dentry->name, name, length)))
        dentry = dentry->hash_next;
    return dentry;
}

/* Without memory the hash stays as it is, only slower. */
static void hash_grow(struct head *head, struct directory *directory) {
    size_t count = directory->bucket_count * 2;
    struct dentry **buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return;
    for (size_t i = 0; i < directory->bucket_count; i++) {
        struct dentry *next;
        for (struct dentry *dentry = directory->buckets[i]; dentry; dentry = next) {
            next = dentry->hash_next;
            dentry->hash_next = buckets[dentry->hash & (count - 1)];
            buckets[dentry->hash & (count - 1)] = dentry;
        }
    }
    free(directory->buckets);
    directory->buckets = buckets;
    count_bytes(head, directory, count / 2 * sizeof *buckets, 0);
    directory->bucket_count = count;
}

/* A dentry that says "no such name". NULL without memory. */
static struct dentry *hash_add(struct head *head, struct directory *directory, const char *name, size_t length,
                               uint32_t hash) {
    struct dentry *dentry = malloc(sizeof *dentry + length + 1);
    if (!dentry)
        return NULL;
    if (directory->count >= directory->bucket_count)
        hash_grow(head, directory);
    *dentry = (struct dentry){.hash = hash, .added_at = UINT32_MAX, .name_length = (uint8_t)length};
    memcpy(dentry->name, name, length);
    dentry->name[length] = 0;
    struct dentry **bucket = &directory->buckets[hash & (directory->bucket_count - 1)];
    dentry->hash_next = *bucket;
    *bucket = dentry;
    directory->count++;
    count_bytes(head, directory, dentry_bytes(dentry), 0);
    return dentry;
}

static void hash_remove(struct head *head, struct directory *directory, struct dentry *dentry) {
    struct dentry **link = &directory->buckets[dentry->hash & (directory->bucket_count - 1)];
    while (*link != dentry)
        link = &(*link)->hash_next;
    *link = dentry->hash_next;
    directory->count--;
    count_bytes(head, directory, 0, dentry_bytes(dentry));
    free(dentry);
}

void dentry_settle(struct head *head, struct object *object, struct dentry *dentry) {
    if (!dentry->oid && !dentry->dirty && !dentry->flying && object->directory->complete)
        hash_remove(head, object->directory, dentry);
}

/* ---- order ---- */

static int order_reserve(struct head *head, struct directory *directory, size_t more) {
    if (directory->order_count + more <= directory->order_capacity)
        return 0;
    size_t capacity = directory->order_capacity ? directory->order_capacity * 2 : 16;
    while (capacity < directory->order_count + more)
        capacity *= 2;
    struct place *order = realloc(directory->order, capacity * sizeof *order);
    if (!order)
        return -ENOMEM;
    count_bytes(head, directory, (capacity - directory->order_capacity) * sizeof *order, 0);
    directory->order = order;
    directory->order_capacity = capacity;
    return 0;
}

/* Position of the first place with this index or a greater one. */
static size_t order_find(const struct directory *directory, uint64_t index) {
    size_t low = 0, high = directory->order_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (directory->order[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void order_remove(struct directory *directory, uint64_t index) {
    size_t at = order_find(directory, index);
    assert(at < directory->order_count && directory->order[at].index == index);
    directory->order[at].dentry = NULL;
    if (++directory->order_holes < 32 || directory->order_holes < directory->order_count / 2)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < directory->order_count; i++)
        if (directory->order[i].dentry)
            directory->order[kept++] = directory->order[i];
    directory->order_count = kept;
    directory->order_holes = 0;
}

static int by_index(const void *a, const void *b) {
    const struct place *left = a, *right = b;
    return left->index < right->index ? -1 : left->index > right->index;
}

static int order_build(struct head *head, struct directory *directory) {
    directory->order_count = directory->order_holes = 0;
    int rc = order_reserve(head, directory, directory->count + 1);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < directory->bucket_count; i++)
        for (struct dentry *dentry = directory->buckets[i]; dentry; dentry = dentry->hash_next)
            if (dentry->oid)
                directory->order[directory->order_count++] = (struct place){dentry->index, dentry};
    qsort(directory->order, directory->order_count, sizeof *directory->order, by_index);
    return 0;
}

/* ---- loading ---- */

static int directory_ensure(struct head *head, struct object *object) {
    if (object->directory)
        return 0;
    /* Without names there is nothing to ask the storage for. (Names that are pending would have kept the directory in memory.) */
    return directory_new(head, object, object->record.size == 0);
}

int directory_complete(struct head *head, struct object *object) {
    int rc = directory_ensure(head, object);
    if (rc < 0)
        return rc;
    struct directory *directory = object->directory;
    directory_used(head, object);
    if (directory->complete)
        return 0;
    struct entry_list list;
    rc = storage_list(store_storage(head->store), object->oid, head->last_seq + 1, &list);
    if (rc < 0)
        return -store_error_errno(rc);
    for (size_t i = 0; i < list.count; i++) {
        const struct entry *entry = &list.items[i];
        uint32_t hash = name_hash(entry->name, entry->name_length);
        struct dentry *dentry = hash_find(directory, entry->name, entry->name_length, hash);
        if (dentry)
            continue; /* what is in memory is newer, or the same */
        dentry = entry->index < object->record.next_index
                     ? hash_add(head, directory, entry->name, entry->name_length, hash)
                     : NULL;
        if (!dentry) {
            rc = entry->index < object->record.next_index ? -ENOMEM : -EIO;
            entry_list_release(&list);
            return rc;
        }
        dentry->oid = entry->oid;
        dentry->index = entry->index;
        dentry->type = entry->type;
    }
    entry_list_release(&list);
    rc = order_build(head, directory);
    if (rc < 0)
        return rc;
    directory->complete = true;
    return 0;
}

int directory_peek(const struct object *object, const char *name, size_t length, struct dentry **found) {
    const struct directory *directory = object->directory;
    if (!directory)
        return STORE_ABSENT;
    struct dentry *dentry = hash_find(directory, name, length, name_hash(name, length));
    if (!dentry && !directory->complete)
        return STORE_ABSENT;
    *found = dentry && dentry->oid ? dentry : NULL;
    return STORE_OK;
}

/* The dentry of a name whether it exists or not; NULL if a complete directory does not have it. */
static int find_any(struct head *head, struct object *object, const char *name, size_t length, struct dentry **found) {
    int rc = directory_ensure(head, object);
    if (rc < 0)
        return rc;
    struct directory *directory = object->directory;
    directory_used(head, object);
    uint32_t hash = name_hash(name, length);
    *found = hash_find(directory, name, length, hash);
    if (*found || directory->complete)
        return 0;
    if (object->record.size <= LOAD_WHOLE_MAX) {
        rc = directory_complete(head, object);
        if (rc < 0)
            return rc;
        *found = hash_find(directory, name, length, hash);
        return 0;
    }
    struct entry entry;
    rc = storage_lookup(store_storage(head->store), object->oid, name, length, head->last_seq + 1, &entry);
    if (rc < 0)
        return -store_error_errno(rc);
    if (rc == STORE_OK && entry.index >= object->record.next_index) {
        entry_release(&entry);
        return -EIO;
    }
    struct dentry *dentry = hash_add(head, directory, name, length, hash);
    if (rc == STORE_OK) {
        if (dentry) {
            dentry->oid = entry.oid;
            dentry->index = entry.index;
            dentry->type = entry.type;
        }
        entry_release(&entry);
    }
    *found = dentry;
    return dentry ? 0 : -ENOMEM;
}

int directory_find(struct head *head, struct object *object, const char *name, size_t length, struct dentry **found) {
    int rc = find_any(head, object, name, length, found);
    if (rc < 0)
        return rc;
    if (*found && !(*found)->oid)
        *found = NULL;
    return 0;
}

/* ---- changing ---- */

static void dentry_touch(struct object *object, struct dentry *dentry) {
    if (!dentry->dirty && !dentry->flying)
        object->directory->unsettled++;
    dentry->dirty = true;
}

int directory_prepare(struct head *head, struct object *object, const char *name, size_t length,
                      struct dentry **found) {
    /* Two names at most are added after this. */
    if (object->record.next_index >= INT64_MAX - 2 || object->record.size >= INT64_MAX - 2)
        return -ENOSPC;
    int rc = find_any(head, object, name, length, found);
    if (rc < 0)
        return rc;
    if (!*found)
        *found = hash_add(head, object->directory, name, length, name_hash(name, length));
    if (!*found)
        return -ENOMEM;
    if (object->directory->complete) {
        rc = order_reserve(head, object->directory, 2);
        if (rc < 0)
            return rc;
    }
    size_t needed = head->added_count + head->flying_added + 2;
    if (needed > head->added_capacity) {
        size_t capacity = needed > head->added_capacity * 2 ? needed + 64 : head->added_capacity * 2;
        struct added *added = realloc(head->added, capacity * sizeof *added);
        if (!added)
            return -ENOMEM;
        head->added = added;
        head->added_capacity = capacity;
    }
    return 0;
}

void directory_add(struct head *head, struct object *object, struct dentry *dentry, uint64_t oid, uint32_t type) {
    struct directory *directory = object->directory;
    assert(!dentry->oid && head->added_count < head->added_capacity);
    dentry->oid = oid;
    dentry->type = type;
    dentry->index = object->record.next_index++;
    dentry_touch(object, dentry);
    dentry->added_at = (uint32_t)head->added_count;
    head->added[head->added_count++] = (struct added){object, dentry};
    if (directory->complete) {
        assert(directory->order_count < directory->order_capacity);
        directory->order[directory->order_count++] = (struct place){dentry->index, dentry};
    }
    object->record.size++;
}

int directory_prepare_removal(struct head *head, size_t count) {
    size_t needed = head->ended_count + head->flying_ended + count;
    if (needed <= head->ended_capacity)
        return 0;
    size_t capacity = needed > head->ended_capacity * 2 ? needed + 64 : head->ended_capacity * 2;
    struct ended *ended = realloc(head->ended, capacity * sizeof *ended);
    if (!ended)
        return -ENOMEM;
    head->ended = ended;
    head->ended_capacity = capacity;
    return 0;
}

void directory_remove(struct head *head, struct object *object, struct dentry *dentry) {
    assert(dentry->oid);
    if (object->directory->complete)
        order_remove(object->directory, dentry->index);
    dentry->oid = 0;
    if (object->record.size > 0) /* a damaged record may have told fewer names than there are */
        object->record.size--;
    if (dentry->added_at != UINT32_MAX) {
        /* Added and removed within one transaction: history never hears of it. */
        head->added[dentry->added_at].dentry = NULL;
        dentry->added_at = UINT32_MAX;
        if (!dentry->ended) {
            dentry->dirty = false;
            if (!dentry->flying)
                object->directory->unsettled--;
        }
    } else {
        assert(head->ended_count < head->ended_capacity && !dentry->ended);
        head->ended[head->ended_count++] = (struct ended){object, dentry, dentry->index};
        dentry->ended = true;
        dentry_touch(object, dentry);
    }
}

/* Of a directory with names that must stay. */
static void drop_settled_names(struct head *head, struct directory *directory) {
    for (size_t i = 0; i < directory->bucket_count; i++) {
        struct dentry *next;
        for (struct dentry *dentry = directory->buckets[i]; dentry; dentry = next) {
            next = dentry->hash_next;
            if (!dentry->dirty && !dentry->flying)
                hash_remove(head, directory, dentry);
        }
    }
    count_bytes(head, directory, 0, directory->order_capacity * sizeof *directory->order);
    free(directory->order);
    directory->order = NULL;
    directory->order_count = directory->order_capacity = directory->order_holes = 0;
    directory->complete = false;
}

void directory_trim(struct head *head) {
    struct object *object = head->directories.oldest;
    for (unsigned steps = 0; steps < TRIM_STEPS_MAX; steps++) {
        if (!object || head->directories.bytes <= head->directory_budget || object == head->directories.newest)
            return;
        struct object *newer = object->directory->newer;
        /* Whole, or a hundred thousand empty directories would fill the budget for good, and be walked in vain each time. */
        if (object->directory->unsettled == 0)
            directory_free(head, object);
        else if (object->directory->count > object->directory->unsettled)
            drop_settled_names(head, object->directory);
        object = newer;
    }
}

/* ---- reading ---- */

int head_readdir(struct head *head, uint64_t oid, uint64_t from, bool (*emit)(void *, const struct head_entry *),
                 void *context) {
    /* The write lock, unless the directory is complete already. */
    head_lock_shared(head);
    struct object *object = object_find(head, oid);
    int rc = 0;
    if (!object || !object_is_directory(object) || !object->directory || !object->directory->complete) {
        head_unlock(head);
        head_lock(head);
        rc = object_get(head, oid, &object);
        if (rc == 0 && !object_is_directory(object))
            rc = -ENOTDIR;
        if (rc == 0)
            rc = directory_complete(head, object);
        if (rc == 0)
            directory_trim(head);
    }
    if (rc == 0) {
        const struct directory *directory = object->directory;
        size_t at = from == UINT64_MAX ? directory->order_count : order_find(directory, from + 1);
        while (at-- > 0) {
            const struct dentry *dentry = directory->order[at].dentry;
            if (!dentry)
                continue;
            struct head_entry entry = {dentry->name, dentry->name_length, dentry->index, dentry->oid, dentry->type};
            if (!emit(context, &entry))
                break;
        }
    }
    head_unlock(head);
    return rc;
}
