/* The bytes of a file in memory: chunks of spans, from memory or from bodies.
 *
 * Only chunks that the storage does not have as they are now are kept; the others are read through the cache.
 *
 * Invariants
 *  1. A memory that is frozen or has more than one reference is never written again.
 *  2. A memory holds at most BODY_MAX bytes, so that it becomes one body.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/head_private.h"

void memory_release(struct memory *memory) {
    if (!memory || --memory->refs)
        return;
    free(memory->data);
    free(memory);
}

static struct memory *memory_new(const uint8_t *data, uint32_t length) {
    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return NULL;
    memory->data = malloc(length);
    if (!memory->data) {
        free(memory);
        return NULL;
    }
    memory->refs = 1;
    memory->length = memory->capacity = length;
    if (data)
        memcpy(memory->data, data, length);
    return memory;
}

/* ---- the chunks of a file ---- */

static size_t chunk_position(const struct file *file, uint64_t number) {
    size_t low = 0, high = file->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->chunks[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct file_chunk *file_next(const struct file *file, uint64_t number) {
    if (!file)
        return NULL;
    size_t at = chunk_position(file, number);
    return at < file->count ? file->chunks[at] : NULL;
}

struct file_chunk *file_find(const struct file *file, uint64_t number) {
    struct file_chunk *chunk = file_next(file, number);
    return chunk && chunk->number == number ? chunk : NULL;
}

static void chunk_free(struct file_chunk *chunk) {
    for (uint32_t i = 0; i < chunk->count; i++)
        memory_release(chunk->spans[i].memory);
    free(chunk->spans);
    free(chunk);
}

static int chunk_add(struct object *object, uint64_t number, struct file_chunk **added) {
    if (!object->file) {
        object->file = calloc(1, sizeof *object->file);
        if (!object->file)
            return -ENOMEM;
    }
    struct file *file = object->file;
    if (file->count == file->capacity) {
        size_t capacity = file->capacity ? file->capacity * 2 : 1;
        struct file_chunk **chunks = realloc(file->chunks, capacity * sizeof *chunks);
        if (!chunks)
            return -ENOMEM;
        file->chunks = chunks;
        file->capacity = capacity;
    }
    struct file_chunk *chunk = calloc(1, sizeof *chunk);
    if (!chunk)
        return -ENOMEM;
    chunk->number = number;
    size_t at = chunk_position(file, number);
    memmove(&file->chunks[at + 1], &file->chunks[at], (file->count - at) * sizeof *file->chunks);
    file->chunks[at] = chunk;
    file->count++;
    *added = chunk;
    return 0;
}

void file_chunk_drop(struct object *object, struct file_chunk *chunk) {
    struct file *file = object->file;
    size_t at = chunk_position(file, chunk->number);
    assert(at < file->count && file->chunks[at] == chunk);
    file->count--;
    memmove(&file->chunks[at], &file->chunks[at + 1], (file->count - at) * sizeof *file->chunks);
    chunk_free(chunk);
    if (file->count)
        return;
    free(file->chunks);
    free(file);
    object->file = NULL;
}

void file_free(struct object *object) {
    if (!object->file)
        return;
    for (size_t i = 0; i < object->file->count; i++)
        chunk_free(object->file->chunks[i]);
    free(object->file->chunks);
    free(object->file);
    object->file = NULL;
}

/* ---- spans ---- */

int file_chunk_reserve(struct file_chunk *chunk, uint32_t more) {
    if (chunk->count + more <= chunk->capacity)
        return 0;
    uint32_t capacity = chunk->capacity ? chunk->capacity * 2 : 2;
    while (capacity < chunk->count + more)
        capacity *= 2;
    struct span *spans = realloc(chunk->spans, capacity * sizeof *spans);
    if (!spans)
        return -ENOMEM;
    chunk->spans = spans;
    chunk->capacity = capacity;
    return 0;
}

uint64_t file_chunk_allocated(const struct file_chunk *chunk) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < chunk->count; i++)
        bytes += chunk->spans[i].length;
    return bytes;
}

void file_count_allocated(struct object *object, const struct file_chunk *chunk, uint64_t before) {
    uint64_t others = object->record.allocated > before ? object->record.allocated - before : 0;
    uint64_t now = file_chunk_allocated(chunk);
    object->record.allocated = others < FILE_SIZE_MAX - now ? others + now : FILE_SIZE_MAX;
}

/* Position of the first span that ends after `start`. */
static uint32_t span_position(const struct file_chunk *chunk, uint32_t start) {
    uint32_t low = 0, high = chunk->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (chunk->spans[middle].start + chunk->spans[middle].length <= start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void span_delete(struct file_chunk *chunk, uint32_t at, uint32_t count) {
    for (uint32_t i = at; i < at + count; i++)
        memory_release(chunk->spans[i].memory);
    chunk->count -= count;
    memmove(&chunk->spans[at], &chunk->spans[at + count], (chunk->count - at) * sizeof *chunk->spans);
}

/* Needs room for one span: a cut in the middle of one makes two. */
void file_chunk_cut(struct file_chunk *chunk, uint32_t start, uint32_t end) {
    assert(start < end);
    uint32_t at = span_position(chunk, start);
    if (at < chunk->count && chunk->spans[at].start < start) {
        struct span *span = &chunk->spans[at];
        if (span->start + span->length > end) {
            assert(chunk->count < chunk->capacity);
            memmove(span + 1, span, (chunk->count - at) * sizeof *span);
            chunk->count++;
            if (span->memory)
                span->memory->refs++;
            uint32_t before = end - span[1].start;
            span[1].start = end;
            span[1].skip += before;
            span[1].length -= before;
        }
        span->length = start - span->start;
        at++;
    }
    uint32_t whole = 0;
    while (at + whole < chunk->count && chunk->spans[at + whole].start + chunk->spans[at + whole].length <= end)
        whole++;
    if (whole)
        span_delete(chunk, at, whole);
    if (at < chunk->count && chunk->spans[at].start < end) {
        struct span *span = &chunk->spans[at];
        uint32_t before = end - span->start;
        span->start = end;
        span->skip += before;
        span->length -= before;
    }
}

void file_chunk_insert(struct file_chunk *chunk, const struct span *span) {
    file_chunk_cut(chunk, span->start, span->start + span->length);
    assert(chunk->count < chunk->capacity);
    uint32_t at = span_position(chunk, span->start);
    memmove(&chunk->spans[at + 1], &chunk->spans[at], (chunk->count - at) * sizeof *span);
    chunk->spans[at] = *span;
    chunk->count++;
}

static bool memory_writable(const struct memory *memory) {
    return memory && !memory->frozen && memory->refs == 1;
}

/* Grows the span that ends at `start`, if its memory can take the data. */
static int chunk_append(struct file_chunk *chunk, uint32_t start, const uint8_t *data, uint32_t length, bool *done) {
    *done = false;
    uint32_t at = span_position(chunk, start ? start - 1 : 0);
    if (start == 0 || at >= chunk->count)
        return 0;
    struct span *span = &chunk->spans[at];
    struct memory *memory = span->memory;
    if (span->start + span->length != start || !memory_writable(memory) ||
        span->skip + span->length != memory->length || memory->length + length > BODY_MAX)
        return 0;
    if (memory->length + length > memory->capacity) {
        uint32_t capacity = memory->capacity * 2;
        if (capacity < memory->length + length)
            capacity = memory->length + length;
        if (capacity > BODY_MAX)
            capacity = BODY_MAX;
        uint8_t *grown = realloc(memory->data, capacity);
        if (!grown)
            return -ENOMEM;
        memory->data = grown;
        memory->capacity = capacity;
    }
    file_chunk_cut(chunk, start, start + length);
    span = &chunk->spans[at];
    memcpy(memory->data + memory->length, data, length);
    memory->length += length;
    span->length += length;
    *done = true;
    return 0;
}

int file_chunk_write(struct file_chunk *chunk, uint32_t start, const uint8_t *data, uint32_t length) {
    assert(length <= BODY_MAX);
    int rc = file_chunk_reserve(chunk, 2);
    if (rc < 0)
        return rc;
    uint32_t at = span_position(chunk, start);
    struct span *span = at < chunk->count ? &chunk->spans[at] : NULL;
    if (span && span->start <= start && span->start + span->length >= start + length && memory_writable(span->memory)) {
        memcpy(span->memory->data + span->skip + (start - span->start), data, length);
        return 0;
    }
    bool done;
    rc = chunk_append(chunk, start, data, length, &done);
    if (rc < 0 || done)
        return rc;
    struct memory *memory = memory_new(data, length);
    if (!memory)
        return -ENOMEM;
    file_chunk_insert(chunk, &(struct span){.start = start, .length = length, .memory = memory});
    return 0;
}

/* ---- loading ---- */

static int span_read(struct head *head, const struct span *span, uint8_t *buffer) {
    if (span->memory) {
        memcpy(buffer, span->memory->data + span->skip, span->length);
        return 0;
    }
    int rc = store_read_body(head->store, &span->body, span->skip, span->length, buffer);
    return rc < 0 ? -store_error_errno(rc) : 0;
}

/* Joins neighbours that are small: else a file that grows by a few bytes a transaction would carry a map as long as itself. */
static int chunk_consolidate(struct head *head, struct file_chunk *chunk) {
    uint32_t kept = 0;
    for (uint32_t at = 0; at < chunk->count;) {
        uint32_t end = at, length = 0;
        while (end < chunk->count && length + chunk->spans[end].length <= BODY_MAX &&
               chunk->spans[end].length < MEMORY_BODY_MIN &&
               (end == at || chunk->spans[end].start == chunk->spans[end - 1].start + chunk->spans[end - 1].length))
            length += chunk->spans[end++].length;
        if (end - at < 2) {
            chunk->spans[kept++] = chunk->spans[at++];
            continue;
        }
        struct memory *memory = memory_new(NULL, length);
        int rc = memory ? 0 : -ENOMEM;
        uint32_t filled = 0;
        for (uint32_t i = at; i < end && rc == 0; i++) {
            rc = span_read(head, &chunk->spans[i], memory->data + filled);
            filled += chunk->spans[i].length;
        }
        if (rc < 0) { /* keep what was: the spans are valid as they are */
            memory_release(memory);
            while (at < end)
                chunk->spans[kept++] = chunk->spans[at++];
            continue;
        }
        struct span joined = {.start = chunk->spans[at].start, .length = length, .memory = memory};
        for (; at < end; at++)
            memory_release(chunk->spans[at].memory);
        chunk->spans[kept++] = joined;
    }
    chunk->count = kept;
    return 0;
}

static int chunk_load(struct head *head, struct object *object, struct file_chunk *chunk) {
    struct chunk_version *version;
    int rc = store_chunk(head->store, object->oid, chunk->number, head->last_seq + 1, &version);
    if (rc < 0)
        return -store_error_errno(rc);
    rc = file_chunk_reserve(chunk, (uint32_t)version->chunk.count + 2);
    for (size_t i = 0; i < version->chunk.count && rc == 0; i++) {
        const struct extent *extent = &version->chunk.extents[i];
        chunk->spans[chunk->count++] =
            (struct span){.start = extent->start, .length = extent->length, .skip = extent->skip, .body = extent->body};
    }
    store_release(head->store, version);
    return rc;
}

int file_chunk_get(struct head *head, struct object *object, uint64_t number, struct file_chunk **found) {
    *found = file_find(object->file, number);
    if (*found) {
        if ((*found)->count > 2 * SPANS_MAX)
            return chunk_consolidate(head, *found);
        return 0;
    }
    int rc = chunk_add(object, number, found);
    /* Past the end there is nothing: truncation ends the chunks that it cuts off. */
    if (rc == 0 && object->stored && number < (object->record.size + CHUNK_BYTES - 1) >> CHUNK_SHIFT) {
        rc = chunk_load(head, object, *found);
        if (rc == 0 && (*found)->count > SPANS_MAX)
            rc = chunk_consolidate(head, *found);
        if (rc < 0)
            file_chunk_drop(object, *found);
    }
    return rc;
}

void file_chunk_dirty(struct head *head, struct object *object, struct file_chunk *chunk) {
    chunk->dirty = true;
    object_dirty(head, object);
}

int file_chunk_spill(struct head *head, struct file_chunk *chunk) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < chunk->count; i++)
        if (chunk->spans[i].memory)
            bytes += chunk->spans[i].length;
    if (bytes < BODY_MAX)
        return 0;
    for (uint32_t i = 0; i < chunk->count; i++) {
        struct span *span = &chunk->spans[i];
        if (!span->memory)
            continue;
        struct body_ref body;
        int rc = storage_body_append(store_storage(head->store), span->memory->data + span->skip, span->length, &body);
        if (rc < 0)
            return -store_error_errno(rc);
        memory_release(span->memory);
        span->memory = NULL;
        span->skip = 0;
        span->body = body;
        /* A copy of it may be committed. */
        head->body_files_used = true;
    }
    return 0;
}
