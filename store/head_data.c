/* File content of the head: read, write, truncate, punch, seek, and sharing of stored bytes.
 *
 * Large writes go to a body file before the lock is taken; small ones are gathered in memory. Reads copy what is in
 * memory under the read lock, and read bodies after it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/head_private.h"

#define READS_MAX 64 /* bodies of one round of head_read */

static uint64_t chunk_start(uint64_t number) {
    return number << CHUNK_SHIFT;
}

/* A regular file, or the errno of an operation on content of anything else. */
static int get_file(struct head *head, uint64_t oid, struct object **object) {
    int rc = object_get(head, oid, object);
    if (rc < 0)
        return rc;
    if (object_is_directory(*object))
        return -EISDIR;
    return ((*object)->record.mode & S_IFMT) == S_IFREG ? 0 : -EINVAL;
}

/* ---- reading ---- */

struct body_read {
    struct body_ref body;
    uint32_t skip, length;
    uint8_t *to;
};

/* Copies bytes [start, end) of a chunk in memory to buffer; what lies in bodies is noted in reads. Returns where it stopped. */
static uint32_t chunk_collect(const struct file_chunk *chunk, uint32_t start, uint32_t end, uint8_t *buffer,
                              struct body_read *reads, size_t *read_count) {
    uint32_t at = start;
    for (uint32_t i = 0; i < chunk->count && at < end; i++) {
        const struct span *span = &chunk->spans[i];
        if (span->start + span->length <= at)
            continue;
        if (span->start >= end)
            break;
        if (span->start > at) {
            memset(buffer + (at - start), 0, span->start - at);
            at = span->start;
        }
        uint32_t within = at - span->start, length = span->length - within;
        if (length > end - at)
            length = end - at;
        if (span->memory) {
            memcpy(buffer + (at - start), span->memory->data + span->skip + within, length);
        } else {
            if (*read_count == READS_MAX)
                return at;
            reads[(*read_count)++] = (struct body_read){span->body, span->skip + within, length, buffer + (at - start)};
        }
        at += length;
    }
    if (at < end)
        memset(buffer + (at - start), 0, end - at);
    return end;
}

static int read_stored(struct head *head, uint64_t oid, uint64_t number, uint64_t before, uint32_t start, uint32_t end,
                       uint8_t *buffer) {
    struct chunk_version *version;
    int rc = store_chunk(head->store, oid, number, before, &version);
    if (rc < 0)
        return -store_error_errno(rc);
    rc = store_read_chunk(head->store, version, start, end - start, buffer);
    store_release(head->store, version);
    return rc < 0 ? -store_error_errno(rc) : 0;
}

/* Reads up to the end of a chunk. *done is 0 at the end of the file. */
static int read_piece(struct head *head, uint64_t oid, uint64_t offset, size_t size, uint8_t *buffer, size_t *done) {
    struct body_read reads[READS_MAX];
    size_t read_count = 0;
    struct object *object;
    *done = 0;
    head_lock_shared(head);
    object = object_find(head, oid);
    int rc = 0;
    if (!object) {
        head_unlock(head);
        head_lock(head);
        rc = object_get(head, oid, &object);
    }
    if (rc == 0 && object_is_directory(object))
        rc = -EISDIR;
    if (rc < 0 || offset >= object->record.size) {
        head_unlock(head);
        return rc;
    }
    uint64_t number = offset >> CHUNK_SHIFT, before = head->last_seq + 1;
    uint32_t start = (uint32_t)(offset - chunk_start(number)), end = CHUNK_BYTES;
    if (object->record.size - offset < end - start)
        end = start + (uint32_t)(object->record.size - offset);
    if (size < end - start)
        end = start + (uint32_t)size;
    bool stored = object->stored;
    const struct file_chunk *chunk = file_find(object->file, number);
    if (chunk)
        end = chunk_collect(chunk, start, end, buffer, reads, &read_count);
    head_unlock(head);

    if (!chunk && stored)
        rc = read_stored(head, oid, number, before, start, end, buffer);
    else if (!chunk)
        memset(buffer, 0, end - start);
    for (size_t i = 0; i < read_count && rc == 0; i++) {
        rc = store_read_body(head->store, &reads[i].body, reads[i].skip, reads[i].length, reads[i].to);
        if (rc < 0)
            rc = -store_error_errno(rc);
    }
    *done = end - start;
    return rc;
}

int head_read(struct head *head, uint64_t oid, uint64_t offset, size_t size, uint8_t *buffer, size_t *done) {
    *done = 0;
    while (*done < size) {
        size_t piece;
        int rc = read_piece(head, oid, offset + *done, size - *done, buffer + *done, &piece);
        if (rc < 0)
            return *done ? 0 : rc;
        if (!piece)
            break;
        *done += piece;
    }
    return 0;
}

/* ---- writing ---- */

static void set_modified(struct head *head, struct object *object, bool keep_times) {
    if (!keep_times)
        object->record.mtime = object->record.ctime = head_clock();
    object_dirty(head, object);
}

/* Bodies of a large piece, written before the lock is taken. */
struct large {
    struct body_ref bodies[CHUNK_BYTES / BODY_MAX + 1];
    uint32_t count;
};

static int large_append(struct head *head, const uint8_t *data, uint32_t length, struct large *large) {
    large->count = 0;
    for (uint32_t at = 0; at < length; at += BODY_MAX) {
        uint32_t piece = length - at < BODY_MAX ? length - at : BODY_MAX;
        int rc = storage_body_append(store_storage(head->store), data + at, piece, &large->bodies[large->count]);
        if (rc < 0)
            return -store_error_errno(rc);
        large->count++;
    }
    return 0;
}

static int chunk_put(struct head *head, struct file_chunk *chunk, uint32_t start, const uint8_t *data, uint32_t length,
                     const struct large *large) {
    if (!large->count)
        return file_chunk_write(chunk, start, data, length);
    int rc = file_chunk_reserve(chunk, large->count + 1);
    if (rc < 0)
        return rc;
    for (uint32_t i = 0; i < large->count; i++) {
        file_chunk_insert(chunk,
                          &(struct span){.start = start, .length = large->bodies[i].length, .body = large->bodies[i]});
        start += large->bodies[i].length;
    }
    head->body_files_used = true;
    return 0;
}

static int write_piece(struct head *head, uint64_t oid, uint64_t offset, uint32_t length, const uint8_t *data,
                       bool keep_times, const struct large *large) {
    struct object *object;
    struct file_chunk *chunk;
    int rc = head_may_change(head, true, large->count ? 0 : length); /* large ones have their place already */
    if (rc == 0)
        rc = get_file(head, oid, &object);
    if (rc == 0)
        rc = object_may_change(head, object);
    if (rc == 0)
        rc = file_chunk_get(head, object, offset >> CHUNK_SHIFT, &chunk);
    if (rc < 0)
        return rc;
    uint64_t allocated = file_chunk_allocated(chunk);
    rc = chunk_put(head, chunk, (uint32_t)(offset & (CHUNK_BYTES - 1)), data, length, large);
    file_count_allocated(object, chunk, allocated);
    file_chunk_dirty(head, object, chunk);
    if (rc < 0)
        return rc;
    if (offset + length > object->record.size)
        object->record.size = offset + length;
    set_modified(head, object, keep_times);
    if (object->gone) {
        rc = file_chunk_spill(head, chunk);
    } else {
        head->working_bytes += length;
        head_changed(head);
    }
    return rc;
}

int64_t head_write(struct head *head, uint64_t oid, uint64_t offset, size_t size, const uint8_t *data,
                   bool keep_times) {
    if (offset > FILE_SIZE_MAX || size > FILE_SIZE_MAX - offset)
        return -EFBIG;
    head_throttle(head);
    size_t done = 0;
    int rc = 0;
    while (done < size) {
        uint64_t at = offset + done;
        uint64_t room = CHUNK_BYTES - (at & (CHUNK_BYTES - 1));
        uint32_t piece = (uint32_t)(size - done < room ? size - done : room);
        struct large large = {.count = 0};
        if (piece >= MEMORY_BODY_MIN) {
            /* Asked before, since what is appended to a body file and then refused is never given back: writes that are tried over and over
             * would use up what is kept for removals. */
            head_lock(head);
            rc = head_may_change(head, true, piece);
            head_unlock(head);
            if (rc == 0)
                rc = large_append(head, data + done, piece, &large);
        }
        if (rc == 0) {
            head_lock(head);
            rc = write_piece(head, oid, at, piece, data + done, keep_times, &large);
            head_unlock(head);
        }
        if (rc < 0)
            break;
        done += piece;
    }
    return done ? (int64_t)done : rc;
}

/* ---- chunks of a range ---- */

struct numbers {
    uint64_t *items;
    size_t count, capacity;
};

static int numbers_add(struct numbers *numbers, uint64_t number) {
    if (numbers->count == numbers->capacity) {
        size_t capacity = numbers->capacity ? numbers->capacity * 2 : 16;
        uint64_t *items = realloc(numbers->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        numbers->items = items;
        numbers->capacity = capacity;
    }
    numbers->items[numbers->count++] = number;
    return 0;
}

/* The first chunk >= number that may hold data, in memory or in the storage. STORE_ABSENT if none. */
static int next_chunk(struct head *head, struct object *object, uint64_t number, uint64_t *found) {
    const struct file_chunk *chunk = file_next(object->file, number);
    uint64_t part = UINT64_MAX;
    if (object->stored && !(chunk && chunk->number == number)) {
        int rc =
            storage_next_part(store_storage(head->store), object->oid, PART_CHUNK + number, head->last_seq + 1, &part);
        if (rc < 0)
            return -store_error_errno(rc);
        part = rc == STORE_ABSENT ? UINT64_MAX : part - PART_CHUNK;
    }
    if (chunk && chunk->number < part)
        part = chunk->number;
    *found = part;
    return part == UINT64_MAX ? STORE_ABSENT : 0;
}

static int numbers_collect(struct head *head, struct object *object, uint64_t first, uint64_t last,
                           struct numbers *numbers) {
    uint64_t number = first;
    int rc = 0;
    while (number <= last && (rc = next_chunk(head, object, number, &number)) == 0 && number <= last) {
        rc = numbers_add(numbers, number++);
        if (rc < 0)
            break;
    }
    return rc < 0 ? rc : 0;
}

/* Zeros for bytes [start, end) of the file, all or nothing as far as the storage can fail. Chunks are loaded first. */
static int object_zero(struct head *head, struct object *object, uint64_t start, uint64_t end) {
    struct numbers numbers = {0};
    struct file_chunk *chunk;
    if (start >= end)
        return 0;
    int rc = numbers_collect(head, object, start >> CHUNK_SHIFT, (end - 1) >> CHUNK_SHIFT, &numbers);
    for (size_t i = 0; i < numbers.count && rc == 0; i++) {
        rc = file_chunk_get(head, object, numbers.items[i], &chunk);
        if (rc == 0)
            rc = file_chunk_reserve(chunk, 1);
    }
    for (size_t i = 0; i < numbers.count && rc == 0; i++) {
        chunk = file_find(object->file, numbers.items[i]); /* loaded just now */
        uint64_t base = chunk_start(numbers.items[i]);
        uint64_t allocated = file_chunk_allocated(chunk);
        file_chunk_cut(chunk, start > base ? (uint32_t)(start - base) : 0,
                       end - base < CHUNK_BYTES ? (uint32_t)(end - base) : CHUNK_BYTES);
        file_count_allocated(object, chunk, allocated);
        file_chunk_dirty(head, object, chunk);
    }
    free(numbers.items);
    return rc;
}

int object_truncate(struct head *head, struct object *object, uint64_t size) {
    uint64_t old = object->record.size;
    if (size > FILE_SIZE_MAX)
        return -EFBIG;
    if (size == 0 && old && !object->stored && !object->flying) {
        file_free(object); /* nobody else has heard of it */
        object->record.allocated = 0;
    } else if (size < old) {
        int rc = object_zero(head, object, size, (old + CHUNK_BYTES - 1) & ~(uint64_t)(CHUNK_BYTES - 1));
        if (rc < 0)
            return rc;
    }
    object->record.size = size;
    return 0;
}

static int fallocate_locked(struct head *head, uint64_t oid, int mode, uint64_t offset, uint64_t end, bool keep_times) {
    struct object *object;
    bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
    bool grows = !(mode & FALLOC_FL_KEEP_SIZE);
    int rc = head_may_change(head, !zero, zero ? 0 : end - offset);
    if (rc == 0)
        rc = get_file(head, oid, &object);
    if (rc == 0)
        rc = object_may_change(head, object);
    if (rc == 0 && zero)
        rc = object_zero(head, object, offset, end < object->record.size ? end : object->record.size);
    if (rc < 0)
        return rc;
    if (grows && end > object->record.size)
        object->record.size = end;
    /* As other file systems do, even if no byte and no size is another one. */
    set_modified(head, object, keep_times);
    if (!object->gone)
        head_changed(head);
    return 0;
}

int head_fallocate(struct head *head, uint64_t oid, int mode, uint64_t offset, uint64_t length, bool keep_times) {
    switch (mode) {
    case 0:
    case FALLOC_FL_KEEP_SIZE:
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
    case FALLOC_FL_ZERO_RANGE:
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
        break;
    default:
        return -EOPNOTSUPP;
    }
    if (length == 0)
        return -EINVAL;
    if (offset > FILE_SIZE_MAX || length > FILE_SIZE_MAX - offset)
        return -EFBIG;
    head_throttle(head);
    head_lock(head);
    int rc = fallocate_locked(head, oid, mode, offset, offset + length, keep_times);
    head_unlock(head);
    return rc;
}

/* ---- seeking ---- */

/* In one chunk: the first byte >= start that is data (or a hole); CHUNK_BYTES if none. */
static uint32_t chunk_seek(const struct file_chunk *chunk, uint32_t start, bool hole) {
    for (uint32_t i = 0; i < chunk->count; i++) {
        const struct span *span = &chunk->spans[i];
        if (span->start + span->length <= start)
            continue;
        if (!hole)
            return span->start > start ? span->start : start;
        if (span->start > start)
            return start;
        start = span->start + span->length;
    }
    return hole ? start : CHUNK_BYTES;
}

static int seek_locked(struct head *head, struct object *object, uint64_t offset, bool hole, uint64_t *result) {
    uint64_t size = object->record.size;
    while (offset < size) {
        uint64_t number = offset >> CHUNK_SHIFT, found;
        int rc = next_chunk(head, object, number, &found);
        if (rc < 0)
            return rc;
        if (rc == STORE_ABSENT || found > number) {
            if (hole)
                break;
            if (rc == STORE_ABSENT)
                return -ENXIO;
            offset = chunk_start(found);
            continue;
        }
        struct file_chunk *chunk;
        bool loaded = !file_find(object->file, number);
        rc = file_chunk_get(head, object, number, &chunk);
        if (rc < 0)
            return rc;
        uint32_t at = chunk_seek(chunk, (uint32_t)(offset - chunk_start(number)), hole);
        if (loaded)
            file_chunk_drop(object, chunk);
        offset = chunk_start(number) + at;
        if (at < CHUNK_BYTES)
            break;
    }
    if (offset >= size && !hole)
        return -ENXIO;
    *result = offset < size ? offset : size;
    return 0;
}

int head_seek(struct head *head, uint64_t oid, uint64_t offset, int whence, uint64_t *result) {
    struct object *object;
    if (whence != SEEK_DATA && whence != SEEK_HOLE)
        return -EINVAL;
    head_lock(head);
    int rc = get_file(head, oid, &object);
    if (rc == 0 && offset >= object->record.size)
        rc = -ENXIO;
    if (rc == 0)
        rc = seek_locked(head, object, offset, whence == SEEK_HOLE, result);
    head_unlock(head);
    return rc;
}

/* ---- sharing ---- */

/* Spans of a piece, with references of their own. */
struct piece {
    struct span *spans;
    uint32_t count;
};

static void piece_release(struct piece *piece) {
    for (uint32_t i = 0; i < piece->count; i++)
        memory_release(piece->spans[i].memory);
    free(piece->spans);
}

/* Bytes [start, end) of a chunk of the head, moved to begin at `to`. */
static int piece_from_head(const struct file_chunk *chunk, uint32_t start, uint32_t end, uint32_t to,
                           struct piece *piece) {
    piece->spans = malloc((chunk->count + 1) * sizeof *piece->spans);
    if (!piece->spans)
        return -ENOMEM;
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct span span = chunk->spans[i];
        uint32_t from = span.start > start ? span.start : start;
        uint32_t until = span.start + span.length < end ? span.start + span.length : end;
        if (from >= until)
            continue;
        span.skip += from - span.start;
        span.length = until - from;
        span.start = from - start + to;
        if (span.memory) {
            span.memory->refs++;
            span.memory->frozen = true;
        }
        piece->spans[piece->count++] = span;
    }
    return 0;
}

static int piece_from_instant(struct head *head, uint64_t oid, uint64_t number, uint64_t before, uint32_t start,
                              uint32_t end, uint32_t to, struct piece *piece) {
    struct chunk_version *version;
    int rc = store_chunk(head->store, oid, number, before, &version);
    if (rc < 0)
        return -store_error_errno(rc);
    piece->spans = malloc((version->chunk.count + 1) * sizeof *piece->spans);
    for (size_t i = 0; i < version->chunk.count && piece->spans; i++) {
        const struct extent *extent = &version->chunk.extents[i];
        uint32_t from = extent->start > start ? extent->start : start;
        uint32_t until = extent->start + extent->length < end ? extent->start + extent->length : end;
        if (from >= until)
            continue;
        piece->spans[piece->count++] = (struct span){.start = from - start + to,
                                                     .length = until - from,
                                                     .skip = extent->skip + (from - extent->start),
                                                     .body = extent->body};
    }
    store_release(head->store, version);
    return piece->spans ? 0 : -ENOMEM;
}

struct copying {
    uint64_t source, before, from; /* before 0: the head */
    uint64_t target, to;
    bool keep_times;
};

static int source_size(struct head *head, const struct copying *copy, uint64_t *size) {
    if (!copy->before) {
        struct object *object;
        int rc = get_file(head, copy->source, &object);
        if (rc == 0)
            *size = object->record.size;
        return rc;
    }
    struct inode_version *version;
    int rc = store_inode(head->store, copy->source, copy->before, &version);
    if (rc == STORE_ABSENT)
        return -ESTALE;
    if (rc < 0)
        return -store_error_errno(rc);
    rc = (version->record.mode & S_IFMT) == S_IFREG ? 0 : -EINVAL;
    *size = version->record.size;
    store_release(head->store, version);
    return rc;
}

static int piece_get(struct head *head, const struct copying *copy, uint32_t length, struct piece *piece) {
    uint64_t number = copy->from >> CHUNK_SHIFT;
    uint32_t start = (uint32_t)(copy->from & (CHUNK_BYTES - 1)), to = (uint32_t)(copy->to & (CHUNK_BYTES - 1));
    if (copy->before)
        return piece_from_instant(head, copy->source, number, copy->before, start, start + length, to, piece);
    const struct object *object = object_find(head, copy->source); /* which source_size has loaded */
    const struct file_chunk *chunk = file_find(object->file, number);
    if (chunk)
        return piece_from_head(chunk, start, start + length, to, piece);
    if (!object->stored)
        return 0;
    return piece_from_instant(head, copy->source, number, head->last_seq + 1, start, start + length, to, piece);
}

static int copy_piece(struct head *head, const struct copying *copy, uint32_t length) {
    struct object *target;
    struct file_chunk *chunk;
    struct piece piece = {0};
    int rc = head_may_change(head, true, 256);
    if (rc == 0)
        rc = get_file(head, copy->target, &target);
    if (rc == 0)
        rc = object_may_change(head, target);
    if (rc == 0)
        rc = piece_get(head, copy, length, &piece);
    if (rc == 0)
        rc = file_chunk_get(head, target, copy->to >> CHUNK_SHIFT, &chunk);
    if (rc == 0)
        rc = file_chunk_reserve(chunk, piece.count + 2);
    if (rc < 0) {
        piece_release(&piece);
        return rc;
    }
    uint64_t allocated = file_chunk_allocated(chunk);
    uint32_t to = (uint32_t)(copy->to & (CHUNK_BYTES - 1));
    file_chunk_cut(chunk, to, to + length);
    for (uint32_t i = 0; i < piece.count; i++)
        file_chunk_insert(chunk, &piece.spans[i]);
    free(piece.spans);
    file_count_allocated(target, chunk, allocated);
    if (copy->to + length > target->record.size)
        target->record.size = copy->to + length;
    file_chunk_dirty(head, target, chunk);
    set_modified(head, target, copy->keep_times);
    if (!target->gone)
        head_changed(head);
    return 0;
}

int head_copy_range(struct head *head, uint64_t source, uint64_t source_before, uint64_t source_offset, uint64_t target,
                    uint64_t target_offset, uint64_t length, bool keep_times, uint64_t *copied) {
    struct copying copy = {source, source_before, source_offset, target, target_offset, keep_times};
    *copied = 0;
    if (target_offset > FILE_SIZE_MAX || length > FILE_SIZE_MAX - target_offset)
        return -EFBIG;
    head_throttle(head);
    int rc = 0;
    while (*copied < length) {
        uint64_t size = 0;
        head_lock(head);
        rc = source_size(head, &copy, &size);
        uint64_t piece = length - *copied;
        if (rc == 0 && copy.from >= size)
            piece = 0;
        if (rc == 0 && piece > size - copy.from)
            piece = size - copy.from;
        uint64_t source_room = CHUNK_BYTES - (copy.from & (CHUNK_BYTES - 1)),
                 target_room = CHUNK_BYTES - (copy.to & (CHUNK_BYTES - 1));
        if (piece > source_room)
            piece = source_room;
        if (piece > target_room)
            piece = target_room;
        if (rc == 0 && piece)
            rc = copy_piece(head, &copy, (uint32_t)piece);
        head_unlock(head);
        if (rc < 0 || !piece)
            break;
        *copied += piece;
        copy.from += piece;
        copy.to += piece;
    }
    return *copied ? 0 : rc;
}
