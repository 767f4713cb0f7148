/* What differs between two versions of an object, or between two objects.
 *
 * Content is equal if it is stored at the same place, else if the bytes are: bytes are read only where the stored extents differ.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/diff_private.h"

/* ---- content ---- */

struct version {
    const struct inode_version *inode;
    uint64_t before;
};

/* STORE_LOST, STORE_CORRUPT: it cannot be told. */
static int same_bytes(struct store *store, const struct chunk_version *a, const struct chunk_version *b,
                      uint32_t length, bool *same) {
    uint8_t *bytes = malloc((size_t)2 * CHUNK_BYTES);
    if (!bytes)
        return STORE_NO_MEMORY;
    int rc = store_read_chunk(store, a, 0, length, bytes);
    if (rc == STORE_OK)
        rc = store_read_chunk(store, b, 0, length, bytes + CHUNK_BYTES);
    *same = rc == STORE_OK && memcmp(bytes, bytes + CHUNK_BYTES, length) == 0;
    free(bytes);
    return rc;
}

/* *empty: on both sides. */
static int compare_chunk(struct store *store, const struct version *older, const struct version *newer, uint64_t number,
                         bool *same, bool *empty) {
    struct chunk_version *a = NULL, *b = NULL;
    uint64_t left = newer->inode->record.size - (number << CHUNK_SHIFT);
    int rc = store_chunk(store, newer->inode->oid, number, newer->before, &b);
    *empty = rc == STORE_OK && b->chunk.count == 0;
    if (rc == STORE_OK && older->inode->oid == newer->inode->oid && b->cached.from < older->before && !*empty) {
        *same = true; /* not written since */
        goto out;
    }
    if (rc == STORE_OK)
        rc = store_chunk(store, older->inode->oid, number, older->before, &a);
    if (rc != STORE_OK)
        goto out;
    *empty = *empty && a->chunk.count == 0;
    *same = chunk_equal(&a->chunk, &b->chunk);
    if (!*same)
        rc = same_bytes(store, a, b, left < CHUNK_BYTES ? (uint32_t)left : CHUNK_BYTES, same);
out:
    store_release(store, a);
    store_release(store, b);
    return rc;
}

/* The first chunk after `number` that has something on either side. */
static int next_chunk(struct store *store, const struct version *older, const struct version *newer, uint64_t *number) {
    uint64_t a = UINT64_MAX, b = UINT64_MAX;
    int rc = storage_next_part(store_storage(store), older->inode->oid, PART_CHUNK + *number + 1, older->before, &a);
    if (rc >= 0)
        rc = storage_next_part(store_storage(store), newer->inode->oid, PART_CHUNK + *number + 1, newer->before, &b);
    if (rc < 0)
        return rc;
    uint64_t part = a < b ? a : b;
    *number = part == UINT64_MAX ? UINT64_MAX : part - PART_CHUNK;
    return STORE_OK;
}

static int same_file(struct store *store, const struct version *older, const struct version *newer, bool *same) {
    uint64_t size = older->inode->record.size;
    *same = size == newer->inode->record.size;
    if (size == 0)
        return STORE_OK;
    uint64_t number = 0, last = (size - 1) >> CHUNK_SHIFT;
    while (*same && number <= last) {
        bool empty;
        int rc = compare_chunk(store, older, newer, number, same, &empty);
        if (rc == STORE_OK && empty)
            rc = next_chunk(store, older, newer, &number);
        else
            number++;
        if (rc != STORE_OK)
            return rc;
    }
    return STORE_OK;
}

/* STORE_LOST, STORE_CORRUPT: a side cannot be read where the two were stored apart. */
static int same_content(struct store *store, const struct version *older, const struct version *newer, bool *same) {
    const struct inode_record *a = &older->inode->record, *b = &newer->inode->record;
    switch (a->mode & S_IFMT) {
    case S_IFREG:
        return same_file(store, older, newer, same);
    case S_IFLNK:
        *same = strcmp(a->target, b->target) == 0;
        return STORE_OK;
    default:
        *same = a->rdev == b->rdev;
        return STORE_OK;
    }
}

/* ---- attributes ---- */

static bool same_sets(const struct xattr_set *a, const struct xattr_set *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct xattr *x = &a->items[i], *y = &b->items[i];
        if (strcmp(x->name, y->name) != 0 || x->length != y->length ||
            (x->length > 0 && memcmp(x->value, y->value, x->length) != 0))
            return false;
    }
    return true;
}

static int same_xattrs(struct store *store, const struct version *a, const struct version *b, bool *same) {
    *same = a->inode->record.has_xattrs == b->inode->record.has_xattrs;
    if (!*same || !a->inode->record.has_xattrs)
        return STORE_OK;
    struct xattrs_version *x = NULL, *y = NULL;
    int rc = store_xattrs(store, a->inode->oid, a->before, &x);
    if (rc == STORE_OK)
        rc = store_xattrs(store, b->inode->oid, b->before, &y);
    if (rc == STORE_OK)
        *same = x == y || same_sets(&x->set, &y->set);
    store_release(store, x);
    store_release(store, y);
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc; /* has_xattrs said that they are there */
}

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool same_times(const struct inode_version *a, const struct inode_version *b) {
    const struct inode_record *x = &a->record, *y = &b->record;
    bool same_object = a->oid == b->oid;
    /* An entry that came or went moved the directory's times, which is told as a change of the entry; and one that came moved
     * next_index too, even if it is gone again. */
    if (S_ISDIR(x->mode) && (!same_object || x->next_index != y->next_index || x->size != y->size))
        return true;
    /* Programs that put a file in another's place set its mtime, but its atime is when they did it. */
    return same_time(x->mtime, y->mtime) && (!same_object || same_time(x->atime, y->atime));
}

/* The result of a comparison. Damage must not hide what else differs: what cannot be read is told as changed, for it was stored anew. */
static int note(int rc, bool same, unsigned bit, unsigned *what) {
    if (store_error_is_damage(rc))
        *what |= bit | CHANGED_UNREAD;
    else if (rc == STORE_OK && !same)
        *what |= bit;
    return store_error_is_damage(rc) ? STORE_OK : rc;
}

int diff_inodes(struct store *store, const struct inode_version *a, uint64_t before_a, const struct inode_version *b,
                uint64_t before_b, unsigned *what) {
    struct version older = {a, before_a}, newer = {b, before_b};
    bool same = true;
    *what = 0;
    if (a->revision == b->revision)
        return STORE_OK;
    if (before_a > before_b) {
        older = (struct version){b, before_b};
        newer = (struct version){a, before_a};
    }
    if ((a->record.mode & 07777) != (b->record.mode & 07777))
        *what |= CHANGED_MODE;
    if (a->record.uid != b->record.uid || a->record.gid != b->record.gid)
        *what |= CHANGED_OWNER;
    if (!same_times(a, b))
        *what |= CHANGED_TIMES;
    int rc = same_xattrs(store, &older, &newer, &same);
    rc = note(rc, same, CHANGED_XATTR, what);
    if (rc == STORE_OK && !S_ISDIR(a->record.mode)) {
        rc = same_content(store, &older, &newer, &same);
        rc = note(rc, same, CHANGED_CONTENT, what);
    }
    return rc;
}

int diff_objects(struct store *store, uint64_t revision_a, uint64_t revision_b, unsigned *what) {
    struct inode_version *a = NULL, *b = NULL;
    uint64_t before_a, before_b;
    int rc = store_inode_by_revision(store, revision_a, &a);
    if (rc == STORE_OK)
        rc = store_inode_by_revision(store, revision_b, &b);
    if (rc == STORE_OK && (a->record.mode & S_IFMT) != (b->record.mode & S_IFMT))
        rc = STORE_INVALID;
    if (rc == STORE_OK)
        rc = store_version_instant(store, a, &before_a);
    if (rc == STORE_OK)
        rc = store_version_instant(store, b, &before_b);
    if (rc == STORE_OK)
        rc = diff_inodes(store, a, before_a, b, before_b, what);
    store_release(store, a);
    store_release(store, b);
    return rc;
}
