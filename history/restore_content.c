/* States of objects: compared and read. */
#include <stdlib.h>
#include <string.h>

#include "history/restore_private.h"

/* ---- content ---- */

/* Bytes [start, start + length) of a chunk of two files: by where they lie, and only if that differs by what they are. */
static int same_chunk(struct store *store, const struct source *a, const struct source *b, uint64_t number,
                      uint32_t length, uint8_t *buffer, bool *same) {
    struct chunk_version *x = NULL, *y = NULL;
    int rc = store_chunk(store, a->oid, number, a->before, &x);
    if (rc == STORE_OK)
        rc = store_chunk(store, b->oid, number, b->before, &y);
    if (rc == STORE_OK && !(*same = chunk_equal(&x->chunk, &y->chunk))) {
        rc = store_read_chunk(store, x, 0, length, buffer);
        if (rc == STORE_OK)
            rc = store_read_chunk(store, y, 0, length, buffer + CHUNK_BYTES);
        *same = rc == STORE_OK && memcmp(buffer, buffer + CHUNK_BYTES, length) == 0;
    }
    store_release(store, x);
    store_release(store, y);
    return rc;
}

/* The next chunk that either has something in. STORE_ABSENT at the end. */
static int next_chunk(struct store *store, const struct source *a, const struct source *b, uint64_t from,
                      uint64_t *number) {
    uint64_t x = UINT64_MAX, y = UINT64_MAX;
    struct storage *storage = store_storage(store);
    int rc = storage_next_part(storage, a->oid, PART_CHUNK + from, a->before, &x);
    if (rc < 0)
        return rc;
    rc = storage_next_part(storage, b->oid, PART_CHUNK + from, b->before, &y);
    if (rc < 0)
        return rc;
    uint64_t part = x < y ? x : y;
    *number = part - PART_CHUNK;
    return part == UINT64_MAX ? STORE_ABSENT : STORE_OK;
}

static int same_bytes(struct store *store, const struct source *a, const struct source *b, uint64_t size, bool *same) {
    uint8_t *buffer = malloc(2 * (size_t)CHUNK_BYTES);
    if (!buffer)
        return STORE_NO_MEMORY;
    int rc = STORE_OK;
    *same = true;
    for (uint64_t from = 0; *same && (from << CHUNK_SHIFT) < size; from++) {
        rc = next_chunk(store, a, b, from, &from);
        if (rc != STORE_OK || (from << CHUNK_SHIFT) >= size)
            break;
        uint64_t left = size - (from << CHUNK_SHIFT);
        rc = same_chunk(store, a, b, from, left < CHUNK_BYTES ? (uint32_t)left : CHUNK_BYTES, buffer, same);
        if (rc != STORE_OK)
            break;
    }
    free(buffer);
    return rc < 0 ? rc : STORE_OK;
}

int source_same_content(struct store *store, const struct source *a, const struct source *b, bool *same) {
    struct inode_version *x = NULL, *y = NULL;
    *same = false;
    int rc = store_inode(store, a->oid, a->before, &x);
    if (rc == STORE_OK)
        rc = store_inode(store, b->oid, b->before, &y);
    if (rc == STORE_OK && x->revision == y->revision) {
        *same = true;
    } else if (rc == STORE_OK && ((x->record.mode ^ y->record.mode) & S_IFMT) == 0) {
        switch (x->record.mode & S_IFMT) {
        case S_IFREG:
            if (x->record.size == y->record.size)
                rc = same_bytes(store, a, b, x->record.size, same);
            break;
        case S_IFLNK:
            *same = strcmp(x->record.target, y->record.target) == 0;
            break;
        default:
            *same = x->record.rdev == y->record.rdev;
        }
    }
    store_release(store, x);
    store_release(store, y);
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}

int source_read(struct store *store, const struct source *source, size_t most, uint8_t **data, size_t *length) {
    struct inode_version *inode;
    int rc = store_inode(store, source->oid, source->before, &inode);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    *data = NULL;
    rc = inode->record.size > most ? STORE_TOO_BIG : STORE_OK;
    if (rc == STORE_OK && !(*data = malloc((size_t)inode->record.size + 1)))
        rc = STORE_NO_MEMORY;
    if (rc == STORE_OK)
        rc = store_read(store, inode, source->before, 0, (size_t)inode->record.size, *data, length);
    if (rc != STORE_OK) {
        free(*data);
        *data = NULL;
    }
    store_release(store, inode);
    return rc;
}

/* The chunk of a file; NULL, with STORE_OK, if it cannot be told what that is. */
static int chunk_known(struct store *store, const struct source *source, uint64_t number,
                       struct chunk_version **chunk) {
    int rc = store_chunk(store, source->oid, number, source->before, chunk);
    if (rc != STORE_OK)
        *chunk = NULL;
    return store_error_is_damage(rc) ? STORE_OK : rc;
}

/* Whether some of the bytes of an extent come from the same body in `other`. *from: the first of its extents that may reach so far. */
static bool shares_body(const struct extent *extent, const struct chunk *other, size_t *from) {
    while (*from < other->count && other->extents[*from].start + other->extents[*from].length <= extent->start)
        ++*from;
    for (size_t i = *from; i < other->count && other->extents[i].start < extent->start + extent->length; i++) {
        const struct body_ref *body = &other->extents[i].body;
        if (body->file == extent->body.file && body->position == extent->body.position)
            return true;
    }
    return false;
}

static int check_chunk(struct store *store, const struct chunk_version *chunk, const struct chunk_version *present,
                       uint8_t *buffer) {
    size_t from = 0;
    int rc = STORE_OK;
    for (size_t i = 0; rc == STORE_OK && i < chunk->chunk.count; i++) {
        const struct extent *extent = &chunk->chunk.extents[i];
        if (!present || !shares_body(extent, &present->chunk, &from))
            rc = store_read_chunk(store, chunk, extent->start, extent->length, buffer);
    }
    return rc;
}

int source_check(struct store *store, const struct source *source, const struct source *present) {
    uint8_t *buffer = malloc(CHUNK_BYTES);
    uint64_t number;
    int rc = buffer ? STORE_OK : STORE_NO_MEMORY;
    for (uint64_t from = 0; rc == STORE_OK; from = number + 1) {
        struct chunk_version *chunk = NULL, *stays = NULL;
        rc = next_chunk(store, source, source, from, &number);
        if (rc == STORE_OK)
            rc = store_chunk(store, source->oid, number, source->before, &chunk);
        if (rc == STORE_OK && present->oid)
            rc = chunk_known(store, present, number, &stays);
        if (rc == STORE_OK)
            rc = check_chunk(store, chunk, stays, buffer);
        store_release(store, chunk);
        store_release(store, stays);
    }
    free(buffer);
    return rc < 0 ? rc : STORE_OK;
}

/* ---- extended attributes ---- */

int source_xattrs(struct store *store, const struct source *source, struct xattr_set **set) {
    struct xattrs_version *version;
    *set = calloc(1, sizeof **set);
    if (!*set)
        return STORE_NO_MEMORY;
    int rc = store_xattrs(store, source->oid, source->before, &version);
    if (rc == STORE_OK) {
        rc = xattr_set_copy(&version->set, *set);
        store_release(store, version);
    }
    if (rc == STORE_ABSENT)
        rc = STORE_OK;
    if (rc != STORE_OK) {
        free(*set);
        *set = NULL;
    }
    return rc;
}

void xattrs_free(struct xattr_set *set) {
    if (set)
        xattr_set_release(set);
    free(set);
}

bool xattrs_equal(const struct xattr_set *a, const struct xattr_set *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct xattr *x = &a->items[i], *y = &b->items[i];
        if (strcmp(x->name, y->name) != 0 || x->length != y->length ||
            (x->length && memcmp(x->value, y->value, x->length) != 0))
            return false;
    }
    return true;
}

/* ---- the same of what is planned ---- */

int node_same_content(struct draft *draft, const struct draft_node *node, const struct source *source, bool *same) {
    if (!node->data)
        return source_same_content(draft->store, &node->content, source, same);
    uint8_t *data;
    size_t length;
    int rc = source_read(draft->store, source, node->length, &data, &length);
    *same = rc == STORE_OK && length == node->length && memcmp(data, node->data, length) == 0;
    if (rc == STORE_OK)
        free(data);
    return rc == STORE_TOO_BIG ? STORE_OK : rc;
}

int node_read(struct draft *draft, const struct draft_node *node, size_t most, uint8_t **data, size_t *length) {
    if (!node->data)
        return source_read(draft->store, &node->content, most, data, length);
    *data = malloc(node->length + 1);
    if (!*data)
        return STORE_NO_MEMORY;
    memcpy(*data, node->data, node->length);
    *length = node->length;
    return STORE_OK;
}

int node_xattrs(struct draft *draft, const struct draft_node *node, struct xattr_set **set) {
    if (!node->set)
        return source_xattrs(draft->store, &node->xattrs, set);
    *set = calloc(1, sizeof **set);
    if (!*set)
        return STORE_NO_MEMORY;
    int rc = xattr_set_copy(node->set, *set);
    if (rc != STORE_OK) {
        free(*set);
        *set = NULL;
    }
    return rc;
}
