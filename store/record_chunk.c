/* The chunk record: see store/record.h for what it holds, store/RECORDS.md for its bytes. */
#include "store/record.h"

#include <assert.h>
#include <stdlib.h>

#include "store/bytes.h"
#include "store/error.h"

#define CHUNK_RECORD_VERSION 1

#define EXTENT_BYTES_MIN                                                                                               \
    14 /* six numbers of a byte or more, and the checksum: bounds the count before memory is asked for */

/* Whether an extent lies in its chunk, at or after `from`, and its bytes in its body. */
static bool extent_is_valid(const struct extent *extent, uint64_t from) {
    return extent->start >= from && extent->length > 0 && (uint64_t)extent->start + extent->length <= CHUNK_BYTES &&
           (uint64_t)extent->skip + extent->length <= extent->body.length && extent->body.length <= BODY_LIMIT &&
           extent->body.position <= (uint64_t)INT64_MAX - extent->body.length;
}

int chunk_encode(const struct chunk *chunk, uint8_t **data, size_t *length) {
    struct byte_writer writer;
    byte_writer_init(&writer);
    byte_writer_byte(&writer, CHUNK_RECORD_VERSION);
    byte_writer_number(&writer, chunk->count);
    uint32_t end = 0; /* of the previous extent */
    for (size_t i = 0; i < chunk->count; i++) {
        const struct extent *extent = &chunk->extents[i];
        assert(extent_is_valid(extent, end));
        byte_writer_number(&writer, extent->start - end);
        byte_writer_number(&writer, extent->length);
        byte_writer_number(&writer, extent->skip);
        byte_writer_number(&writer, extent->body.length - extent->skip - extent->length);
        byte_writer_number(&writer, extent->body.file);
        byte_writer_number(&writer, extent->body.position);
        byte_writer_u64(&writer, extent->body.sum);
        end = extent->start + extent->length;
    }
    return byte_writer_finish(&writer, data, length);
}

/* Bounded one by one, so that no sum of them can wrap before extent_is_valid sees it. */
static bool read_extent(struct byte_reader *reader, uint32_t end, struct extent *extent) {
    extent->start = end + (uint32_t)byte_reader_number(reader, CHUNK_BYTES);
    extent->length = (uint32_t)byte_reader_number(reader, CHUNK_BYTES);
    extent->skip = (uint32_t)byte_reader_number(reader, BODY_LIMIT);
    extent->body.length = extent->skip + extent->length + (uint32_t)byte_reader_number(reader, BODY_LIMIT);
    extent->body.file = (uint32_t)byte_reader_number(reader, UINT32_MAX);
    extent->body.position = byte_reader_number(reader, INT64_MAX);
    extent->body.sum = byte_reader_u64(reader);
    return !reader->failed && extent_is_valid(extent, end);
}

int chunk_decode(const uint8_t *data, size_t length, struct chunk *chunk) {
    struct byte_reader reader;
    byte_reader_init(&reader, data, length);
    if (byte_reader_byte(&reader) != CHUNK_RECORD_VERSION)
        return STORE_CORRUPT;
    size_t count = (size_t)byte_reader_number(&reader, byte_reader_left(&reader) / EXTENT_BYTES_MIN);
    if (reader.failed)
        return STORE_CORRUPT;

    struct chunk result = {0};
    int rc = STORE_CORRUPT;
    if (count > 0) {
        result.extents = malloc(count * sizeof *result.extents);
        if (!result.extents)
            return STORE_NO_MEMORY;
    }
    uint32_t end = 0;
    for (; result.count < count; result.count++) {
        struct extent *extent = &result.extents[result.count];
        if (!read_extent(&reader, end, extent))
            goto out;
        end = extent->start + extent->length;
    }
    rc = byte_reader_finish(&reader);
out:
    if (rc < 0)
        chunk_release(&result);
    else
        *chunk = result;
    return rc;
}

void chunk_release(struct chunk *chunk) {
    free(chunk->extents);
    *chunk = (struct chunk){0};
}

bool chunk_equal(const struct chunk *a, const struct chunk *b) {
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct extent *x = &a->extents[i], *y = &b->extents[i];
        if (x->start != y->start || x->length != y->length || x->skip != y->skip || x->body.file != y->body.file ||
            x->body.length != y->body.length || x->body.position != y->body.position || x->body.sum != y->body.sum)
            return false;
    }
    return true;
}
