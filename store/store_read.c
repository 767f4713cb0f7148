/* Reading any instant through the cache.
 *
 * What is loaded is right from the transaction that wrote it to the one that replaced it, and is kept for that range. Three
 * kinds need more than a revision's own range:
 *  - a list of entries has the range of its directory's inode, which every change of an entry writes too;
 *  - a part that was never written (a hole) has no revision; what was seen is kept for the instant that asked, or as
 *    open-ended for the newest one;
 *  - a directory's subtree mark moves with commits that do not name the directory, so it is never kept as open-ended but
 *    ends at the newest transaction, and is confirmed by the storage when that has moved.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/store_private.h"

/* A version that is known by its revision's id never ends, and is history: just below CACHE_OPEN_ENDED. The ids share the
 * cache with oids, which are below bit 60. */
#define VERSION_UNTIL (CACHE_OPEN_ENDED - 1)
#define VERSION_BIT   (UINT64_C(1) << 63)

/* What malloc adds to a block, about. */
#define BLOCK_BYTES     16
#define LIST_NAME_BYTES 12 /* of a name in a list, as a rule */

/* Each extent may be a byte of another large body, all of which must be read for its checksum. What a program puts together from a few files is
 * read at once with these; what takes more work than the last is nothing that a program wrote. */
#define BODIES_KEPT 8
#define LOADED_MAX  (UINT64_C(4) << 30)

static int refuse_packed(struct store *store, uint64_t before) {
    assert(before >= 1);
    return before <= store_horizon(store) ? STORE_PACKED : STORE_OK;
}

/* STORE_ABSENT for every way of not being there; *revision is empty then, except for ->seq and ->until of an end. */
static int load_part(struct store *store, uint64_t oid, uint64_t part, uint64_t before, struct revision *revision) {
    enum load_outcome outcome;
    memset(revision, 0, sizeof *revision);
    int rc = storage_load_before(store->storage, oid, part, before, &outcome, revision);
    if (rc != STORE_OK) {
        return rc;
    }
    if (outcome == LOAD_DATA) {
        return STORE_OK;
    }
    if (outcome == LOAD_PACKED) {
        return STORE_PACKED;
    }
    if (outcome != LOAD_DELETED) {
        memset(revision, 0, sizeof *revision);
    }
    return STORE_ABSENT;
}

/* A record that is whole by its checksum but cannot be decoded. */
static int report_damage(struct store *store, const struct revision *revision, int rc) {
    if (rc == STORE_CORRUPT) {
        log_write(store->log, LOG_LEVEL_ERROR, "%s: revision %llu of object %llu, part %llu, cannot be decoded",
                  store->directory, (unsigned long long)revision->id, (unsigned long long)revision->oid,
                  (unsigned long long)revision->part);
    }
    return rc;
}

/* ---- inodes ---- */

static void free_inode(struct cached *cached) {
    struct inode_version *version = (struct inode_version *)cached;
    inode_record_release(&version->record);
    free(version);
}

static size_t inode_bytes(const struct inode_version *version) {
    size_t target = version->record.target != NULL ? strlen(version->record.target) + 1 + BLOCK_BYTES : 0;
    return sizeof *version + BLOCK_BYTES + target;
}

static int new_inode(struct store *store, const struct revision *revision, struct inode_version **version) {
    struct inode_version *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STORE_NO_MEMORY;
    }
    int rc = inode_record_decode(revision->data, revision->length, &made->record);
    if (rc != STORE_OK) {
        free(made);
        return report_damage(store, revision, rc);
    }
    made->oid = revision->oid;
    made->revision = revision->id;
    made->cached.from = revision->seq;
    *version = made;
    return STORE_OK;
}

int store_inode(struct store *store, uint64_t oid, uint64_t before, struct inode_version **version) {
    int rc = refuse_packed(store, before);
    if (rc != STORE_OK) {
        return rc;
    }
    struct cached *cached = cache_get(store->cache, CACHE_INODE, oid, 0, before);
    if (cached != NULL) {
        *version = (struct inode_version *)cached;
        return STORE_OK;
    }
    uint64_t last = cache_last(store->cache);
    struct revision revision;
    rc = load_part(store, oid, PART_INODE, before, &revision);
    if (rc != STORE_OK) {
        return rc;
    }
    struct inode_version *made = NULL;
    rc = new_inode(store, &revision, &made);
    if (rc == STORE_OK) {
        made->cached.until = revision.until;
        *version = (struct inode_version *)cache_put(store->cache, CACHE_INODE, oid, 0, last, &made->cached,
                                                     inode_bytes(made), free_inode);
    }
    revision_release(&revision);
    return rc;
}

int store_inode_by_revision(struct store *store, uint64_t id, struct inode_version **version) {
    struct cached *cached = cache_get(store->cache, CACHE_VERSION, id | VERSION_BIT, 0, VERSION_UNTIL);
    if (cached != NULL) {
        *version = (struct inode_version *)cached;
        return STORE_OK;
    }
    struct revision revision = {0};
    int rc = storage_load_revision(store->storage, id, &revision);
    if (rc != STORE_OK) {
        return rc;
    }
    struct inode_version *made = NULL;
    rc = revision.part == PART_INODE && revision.data != NULL ? new_inode(store, &revision, &made) : STORE_ABSENT;
    if (rc == STORE_OK) {
        made->cached.until = VERSION_UNTIL;
        *version = (struct inode_version *)cache_put(store->cache, CACHE_VERSION, id | VERSION_BIT, 0, 0, &made->cached,
                                                     inode_bytes(made), free_inode);
    }
    revision_release(&revision);
    return rc;
}

int store_version_instant(struct store *store, const struct inode_version *inode, uint64_t *before) {
    uint64_t first = inode->cached.from + 1;
    uint64_t horizon = store_horizon(store);
    if (first > horizon) {
        *before = first;
        return STORE_OK;
    }
    /* Its first instants are packed away; it may have lived on. */
    struct revision revision = {0};
    int rc = storage_load_revision(store->storage, inode->revision, &revision);
    if (rc != STORE_OK) {
        return rc == STORE_ABSENT ? STORE_PACKED : rc;
    }
    uint64_t until = revision.until;
    revision_release(&revision);
    if (until <= horizon) {
        return STORE_PACKED;
    }
    *before = horizon + 1;
    return STORE_OK;
}

/* ---- extended attributes ---- */

static void free_xattrs(struct cached *cached) {
    struct xattrs_version *version = (struct xattrs_version *)cached;
    xattr_set_release(&version->set);
    free(version);
}

static size_t xattrs_bytes(const struct xattrs_version *version) {
    size_t bytes = sizeof *version + BLOCK_BYTES;
    for (size_t i = 0; i < version->set.count; i++) {
        const struct xattr *item = &version->set.items[i];
        bytes += sizeof *item + strlen(item->name) + 1 + item->length + (size_t)2 * BLOCK_BYTES;
    }
    return bytes;
}

int store_xattrs(struct store *store, uint64_t oid, uint64_t before, struct xattrs_version **version) {
    int rc = refuse_packed(store, before);
    if (rc != STORE_OK) {
        return rc;
    }
    struct cached *cached = cache_get(store->cache, CACHE_XATTRS, oid, 0, before);
    if (cached != NULL) {
        *version = (struct xattrs_version *)cached;
        return STORE_OK;
    }
    uint64_t last = cache_last(store->cache);
    struct revision revision;
    rc = load_part(store, oid, PART_XATTRS, before, &revision);
    if (rc != STORE_OK) {
        return rc;
    }
    struct xattrs_version *made = calloc(1, sizeof *made);
    rc = made == NULL ? STORE_NO_MEMORY : xattr_set_decode(revision.data, revision.length, &made->set);
    if (rc != STORE_OK) {
        free(made);
        rc = report_damage(store, &revision, rc);
    } else {
        made->cached.from = revision.seq;
        made->cached.until = revision.until;
        *version = (struct xattrs_version *)cache_put(store->cache, CACHE_XATTRS, oid, 0, last, &made->cached,
                                                      xattrs_bytes(made), free_xattrs);
    }
    revision_release(&revision);
    return rc;
}

/* ---- directories ---- */

static void free_list(struct cached *cached) {
    struct list_version *version = (struct list_version *)cached;
    entry_list_release(&version->list);
    free(version->by_name);
    free(version);
}

static size_t list_bytes(const struct list_version *version) {
    size_t bytes = sizeof *version + (size_t)4 * BLOCK_BYTES;
    for (size_t i = 0; i < version->list.count; i++) {
        bytes += sizeof version->list.items[i] + version->list.items[i].name_length + 1 + sizeof version->by_name[i];
    }
    return bytes;
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length) {
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_positions(const void *a, const void *b, void *context) {
    const struct entry *items = context;
    const struct entry *first = &items[*(const uint32_t *)a];
    const struct entry *second = &items[*(const uint32_t *)b];
    return compare_names(first->name, first->name_length, second->name, second->name_length);
}

static int order_by_name(struct list_version *version) {
    size_t count = version->list.count;
    if (count > UINT32_MAX) {
        return STORE_TOO_BIG;
    }
    version->by_name = malloc((count > 0 ? count : 1) * sizeof *version->by_name);
    if (version->by_name == NULL) {
        return STORE_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        version->by_name[i] = (uint32_t)i;
    }
    if (count > 0) {
        qsort_r(version->by_name, count, sizeof *version->by_name, compare_positions, version->list.items);
    }
    return STORE_OK;
}

int store_list(struct store *store, uint64_t directory, uint64_t before, struct list_version **version) {
    int rc = refuse_packed(store, before);
    if (rc != STORE_OK) {
        return rc;
    }
    struct cached *cached = cache_get(store->cache, CACHE_LIST, directory, 0, before);
    if (cached != NULL) {
        *version = (struct list_version *)cached;
        return STORE_OK;
    }
    uint64_t last = cache_last(store->cache);
    struct revision revision;
    rc = load_part(store, directory, PART_INODE, before, &revision);
    if (rc != STORE_OK) {
        return rc;
    }
    uint64_t from = revision.seq;
    uint64_t until = revision.until;
    revision_release(&revision);

    struct list_version *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STORE_NO_MEMORY;
    }
    rc = storage_list(store->storage, directory, before, &made->list);
    if (rc == STORE_OK) {
        rc = order_by_name(made);
    }
    if (rc != STORE_OK) {
        free_list(&made->cached);
        return rc;
    }
    made->cached.from = from;
    made->cached.until = until;
    *version = (struct list_version *)cache_put(store->cache, CACHE_LIST, directory, 0, last, &made->cached,
                                                list_bytes(made), free_list);
    return STORE_OK;
}

bool store_list_is_large(const struct store *store, uint64_t count) {
    return count > store->list_bytes_max / (sizeof(struct entry) + LIST_NAME_BYTES + sizeof(uint32_t));
}

int store_list_part(struct store *store, uint64_t directory, uint64_t before, uint64_t from, size_t most,
                    struct entry_list *list) {
    *list = (struct entry_list){0};
    int rc = refuse_packed(store, before);
    return rc != STORE_OK ? rc : storage_list_from(store->storage, directory, before, from, most, list);
}

const struct entry *list_version_find(const struct list_version *list, const char *name, size_t length) {
    size_t low = 0;
    size_t high = list->list.count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct entry *entry = &list->list.items[list->by_name[middle]];
        int order = compare_names(entry->name, entry->name_length, name, length);
        if (order == 0) {
            return entry;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

int store_lookup(struct store *store, uint64_t directory, const char *name, size_t length, uint64_t before,
                 uint64_t *oid, uint32_t *type) {
    int rc = refuse_packed(store, before);
    if (rc != STORE_OK) {
        return rc;
    }
    struct cached *cached = cache_get(store->cache, CACHE_LIST, directory, 0, before);
    if (cached != NULL) {
        const struct entry *entry = list_version_find((struct list_version *)cached, name, length);
        if (entry != NULL) {
            *oid = entry->oid;
            *type = entry->type;
        }
        cache_release(store->cache, cached);
        return entry != NULL ? STORE_OK : STORE_ABSENT;
    }
    struct entry entry = {0};
    rc = storage_lookup(store->storage, directory, name, length, before, &entry);
    if (rc == STORE_OK) {
        *oid = entry.oid;
        *type = entry.type;
        entry_release(&entry);
    }
    return rc;
}

static void free_subtree(struct cached *cached) {
    free((struct subtree_version *)cached);
}

int store_subtree(struct store *store, uint64_t directory, uint64_t before, struct subtree_version **version) {
    int rc = refuse_packed(store, before);
    if (rc != STORE_OK) {
        return rc;
    }
    struct cached *cached = cache_get(store->cache, CACHE_SUBTREE, directory, 0, before);
    if (cached != NULL) {
        *version = (struct subtree_version *)cached;
        return STORE_OK;
    }
    uint64_t last = cache_last(store->cache);
    struct subtree_version *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STORE_NO_MEMORY;
    }
    rc = storage_subtree(store->storage, directory, before, &made->subtree);
    if (rc != STORE_OK) {
        free(made);
        return rc;
    }
    made->cached.from = made->subtree.seq;
    made->cached.until = made->subtree.until == UINT64_MAX ? last + 1 : made->subtree.until;
    *version = (struct subtree_version *)cache_put(store->cache, CACHE_SUBTREE, directory, 0, last, &made->cached,
                                                   sizeof *made + BLOCK_BYTES, free_subtree);
    return STORE_OK;
}

/* ---- content ---- */

static void free_chunk(struct cached *cached) {
    struct chunk_version *version = (struct chunk_version *)cached;
    chunk_release(&version->chunk);
    free(version);
}

int store_chunk(struct store *store, uint64_t oid, uint64_t number, uint64_t before, struct chunk_version **version) {
    int rc = refuse_packed(store, before);
    if (rc != STORE_OK) {
        return rc;
    }
    if (number > FILE_SIZE_MAX >> CHUNK_SHIFT) {
        return STORE_INVALID;
    }
    struct cached *cached = cache_get(store->cache, CACHE_CHUNK, oid, number, before);
    if (cached != NULL) {
        *version = (struct chunk_version *)cached;
        return STORE_OK;
    }
    uint64_t last = cache_last(store->cache);
    struct revision revision;
    rc = load_part(store, oid, PART_CHUNK + number, before, &revision);
    if (rc < 0) {
        return rc;
    }
    struct chunk_version *made = calloc(1, sizeof *made);
    if (made == NULL) {
        rc = STORE_NO_MEMORY;
    } else if (rc == STORE_OK) {
        rc = report_damage(store, &revision, chunk_decode(revision.data, revision.length, &made->chunk));
        made->cached.from = revision.seq;
        made->cached.until = revision.until;
    } else if (revision.seq != 0) { /* ended by a transaction */
        rc = STORE_OK;
        made->cached.from = revision.seq;
        made->cached.until = revision.until;
    } else {
        rc = STORE_OK;
        made->cached.from = before - 1;
        made->cached.until = before == last + 1 ? CACHE_OPEN_ENDED : before;
    }
    if (rc != STORE_OK) {
        free(made);
    } else {
        size_t bytes = sizeof *made + (size_t)2 * BLOCK_BYTES + made->chunk.count * sizeof *made->chunk.extents;
        *version = (struct chunk_version *)cache_put(store->cache, CACHE_CHUNK, oid, number, last, &made->cached, bytes,
                                                     free_chunk);
    }
    revision_release(&revision);
    return rc;
}

/* Bodies that are wanted in pieces, kept for the next extents of the same read. */
struct body_buffer {
    struct kept_body {
        uint8_t *data; /* NULL: none */
        struct body_ref body;
        uint64_t used;
    } kept[BODIES_KEPT];
    uint64_t uses;
    uint64_t loaded; /* bytes, for this chunk */
};

static void body_buffer_release(struct body_buffer *buffer) {
    for (size_t i = 0; i < BODIES_KEPT; i++) {
        free(buffer->kept[i].data);
    }
}

static bool same_body(const struct body_ref *a, const struct body_ref *b) {
    return a->file == b->file && a->position == b->position && a->length == b->length && a->sum == b->sum;
}

/* The one that has the body, or else the one used longest ago. */
static struct kept_body *find_kept(struct body_buffer *buffer, const struct body_ref *body) {
    struct kept_body *oldest = &buffer->kept[0];
    for (size_t i = 0; i < BODIES_KEPT; i++) {
        struct kept_body *kept = &buffer->kept[i];
        if (kept->data != NULL && same_body(&kept->body, body)) {
            return kept;
        }
        if (kept->used < oldest->used) {
            oldest = kept;
        }
    }
    return oldest;
}

static int load_kept(struct store *store, const struct body_ref *body, struct body_buffer *buffer,
                     struct kept_body *kept) {
    free(kept->data);
    kept->data = NULL;
    if (buffer->loaded > LOADED_MAX) {
        log_write(store->log, LOG_LEVEL_ERROR,
                  "%s: a chunk of %d KiB takes more than %llu GiB of bodies to read: it is refused", store->directory,
                  CHUNK_BYTES / 1024, (unsigned long long)(LOADED_MAX >> 30));
        return STORE_CORRUPT;
    }
    buffer->loaded += body->length;
    uint8_t *data = malloc(body->length);
    int rc = data == NULL ? STORE_NO_MEMORY : storage_body_read(store->storage, body, data);
    if (rc != STORE_OK) {
        free(data);
        return rc;
    }
    kept->data = data;
    kept->body = *body;
    return STORE_OK;
}

static int read_part_of_body(struct store *store, const struct body_ref *body, uint32_t skip, uint32_t length,
                             uint8_t *destination, struct body_buffer *buffer) {
    if (skip == 0 && length == body->length) {
        return storage_body_read(store->storage, body, destination);
    }
    struct kept_body *kept = find_kept(buffer, body);
    if (kept->data == NULL || !same_body(&kept->body, body)) {
        int rc = load_kept(store, body, buffer, kept);
        if (rc != STORE_OK) {
            return rc;
        }
    }
    kept->used = ++buffer->uses;
    memcpy(destination, kept->data + skip, length);
    return STORE_OK;
}

int store_read_body(struct store *store, const struct body_ref *body, uint32_t skip, uint32_t length, uint8_t *buffer) {
    struct body_buffer whole = {0};
    if (body->length == 0 || body->length > BODY_LIMIT || skip > body->length || length > body->length - skip) {
        return STORE_INVALID;
    }
    int rc = read_part_of_body(store, body, skip, length, buffer, &whole);
    body_buffer_release(&whole);
    return rc;
}

/* Reads [start, start + length) of a chunk; what no extent covers is zeros. */
static int read_chunk(struct store *store, const struct chunk *chunk, uint32_t start, uint32_t length,
                      uint8_t *destination, struct body_buffer *buffer) {
    uint32_t end = start + length;
    uint32_t at = start;

    buffer->loaded = 0;
    for (size_t i = 0; i < chunk->count && at < end; i++) {
        const struct extent *extent = &chunk->extents[i];
        if (extent->start + extent->length <= at) {
            continue;
        }
        uint32_t from = extent->start > at ? extent->start : at;
        uint32_t to = extent->start + extent->length < end ? extent->start + extent->length : end;
        if (from >= end) {
            break;
        }
        memset(destination + (at - start), 0, from - at);
        int rc = read_part_of_body(store, &extent->body, extent->skip + (from - extent->start), to - from,
                                   destination + (from - start), buffer);
        if (rc != STORE_OK) {
            return rc;
        }
        at = to;
    }
    memset(destination + (at - start), 0, end - at);
    return STORE_OK;
}

int store_read_chunk(struct store *store, const struct chunk_version *chunk, uint32_t start, uint32_t length,
                     uint8_t *buffer) {
    struct body_buffer body = {0};
    int rc = read_chunk(store, &chunk->chunk, start, length, buffer, &body);
    body_buffer_release(&body);
    return rc;
}

int store_read(struct store *store, const struct inode_version *inode, uint64_t before, uint64_t offset, size_t size,
               uint8_t *buffer, size_t *done) {
    *done = 0;
    if (!S_ISREG(inode->record.mode)) {
        return STORE_INVALID;
    }
    if (offset >= inode->record.size) {
        return STORE_OK;
    }
    if (size > inode->record.size - offset) {
        size = (size_t)(inode->record.size - offset);
    }
    struct body_buffer body = {0};
    size_t at = 0;
    int rc = STORE_OK;
    while (at < size && rc == STORE_OK) {
        uint64_t position = offset + at;
        uint32_t start = (uint32_t)(position & (CHUNK_BYTES - 1));
        uint32_t length = CHUNK_BYTES - start;
        if (length > size - at) {
            length = (uint32_t)(size - at);
        }
        struct chunk_version *chunk;
        rc = store_chunk(store, inode->oid, position >> CHUNK_SHIFT, before, &chunk);
        if (rc == STORE_OK) {
            rc = read_chunk(store, &chunk->chunk, start, length, buffer + at, &body);
            store_release(store, chunk);
            at += length;
        }
    }
    body_buffer_release(&body);
    if (rc == STORE_OK) {
        *done = size;
    }
    return rc;
}

/* The first data at or after `start` in a chunk: false if none. */
static bool next_data(const struct chunk *chunk, uint32_t start, uint32_t *found) {
    for (size_t i = 0; i < chunk->count; i++) {
        const struct extent *extent = &chunk->extents[i];
        if (extent->start + extent->length > start) {
            *found = extent->start > start ? extent->start : start;
            return true;
        }
    }
    return false;
}

/* The first byte at or after `start` that no extent covers; CHUNK_BYTES if none. */
static uint32_t next_hole(const struct chunk *chunk, uint32_t start) {
    for (size_t i = 0; i < chunk->count; i++) {
        const struct extent *extent = &chunk->extents[i];
        if (extent->start > start) {
            break;
        }
        if (extent->start + extent->length > start) {
            start = extent->start + extent->length;
        }
    }
    return start;
}

static int seek_data(struct store *store, uint64_t oid, uint64_t before, uint64_t offset, uint64_t size,
                     uint64_t *result) {
    uint32_t start = (uint32_t)(offset & (CHUNK_BYTES - 1));
    uint64_t number = offset >> CHUNK_SHIFT;

    while (number <= (size - 1) >> CHUNK_SHIFT) {
        struct chunk_version *chunk;
        int rc = store_chunk(store, oid, number, before, &chunk);
        if (rc != STORE_OK) {
            return rc;
        }
        uint32_t found;
        bool is_data = next_data(&chunk->chunk, start, &found);
        store_release(store, chunk);
        if (is_data) {
            *result = (number << CHUNK_SHIFT) + found;
            return *result < size ? STORE_OK : STORE_ABSENT;
        }
        uint64_t part;
        rc = storage_next_part(store->storage, oid, PART_CHUNK + number + 1, before, &part);
        if (rc != STORE_OK) {
            return rc;
        }
        number = part - PART_CHUNK;
        start = 0;
    }
    return STORE_ABSENT;
}

static int seek_hole(struct store *store, uint64_t oid, uint64_t before, uint64_t offset, uint64_t size,
                     uint64_t *result) {
    while (offset < size) {
        struct chunk_version *chunk;
        int rc = store_chunk(store, oid, offset >> CHUNK_SHIFT, before, &chunk);
        if (rc != STORE_OK) {
            return rc;
        }
        uint32_t found = next_hole(&chunk->chunk, (uint32_t)(offset & (CHUNK_BYTES - 1)));
        store_release(store, chunk);
        offset = (offset & ~(uint64_t)(CHUNK_BYTES - 1)) + found;
        if (found < CHUNK_BYTES) {
            break;
        }
    }
    *result = offset < size ? offset : size; /* every file ends in a hole */
    return STORE_OK;
}

int store_seek(struct store *store, const struct inode_version *inode, uint64_t before, uint64_t offset, bool hole,
               uint64_t *result) {
    uint64_t size = inode->record.size;

    if (!S_ISREG(inode->record.mode)) {
        return STORE_INVALID;
    }
    if (offset >= size) {
        return STORE_ABSENT;
    }
    return hole ? seek_hole(store, inode->oid, before, offset, size, result)
                : seek_data(store, inode->oid, before, offset, size, result);
}

void store_release(struct store *store, void *version) {
    cache_release(store->cache, version);
}
