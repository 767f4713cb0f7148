/* Bytes of records: see store/bytes.h. */
#include "store/bytes.h"

#include <stdlib.h>
#include <string.h>

#include "store/error.h"

#define NUMBER_BYTES_MAX 10 /* 64 bits in groups of seven */

void byte_writer_init(struct byte_writer *writer) {
    *writer = (struct byte_writer){0};
}

/* Room for `more` bytes at data + length; NULL if there is none. */
static uint8_t *writer_reserve(struct byte_writer *writer, size_t more) {
    if (writer->failed)
        return NULL;
    if (more > writer->capacity - writer->length) {
        size_t capacity = writer->capacity ? writer->capacity : 64;
        while (capacity - writer->length < more) {
            if (capacity > SIZE_MAX / 2) {
                writer->failed = true;
                return NULL;
            }
            capacity *= 2;
        }
        uint8_t *data = realloc(writer->data, capacity);
        if (!data) {
            writer->failed = true;
            return NULL;
        }
        writer->data = data;
        writer->capacity = capacity;
    }
    return writer->data + writer->length;
}

void byte_writer_byte(struct byte_writer *writer, uint8_t value) {
    uint8_t *room = writer_reserve(writer, 1);
    if (!room)
        return;
    *room = value;
    writer->length++;
}

void byte_writer_number(struct byte_writer *writer, uint64_t value) {
    uint8_t *room = writer_reserve(writer, NUMBER_BYTES_MAX);
    if (!room)
        return;
    while (value >= 0x80) {
        *room++ = (uint8_t)(value | 0x80);
        writer->length++;
        value >>= 7;
    }
    *room = (uint8_t)value;
    writer->length++;
}

void byte_writer_u64(struct byte_writer *writer, uint64_t value) {
    uint8_t *room = writer_reserve(writer, 8);
    if (!room)
        return;
    for (unsigned i = 0; i < 8; i++)
        room[i] = (uint8_t)(value >> (8 * i));
    writer->length += 8;
}

void byte_writer_time(struct byte_writer *writer, struct timespec time) {
    uint64_t seconds = (uint64_t)time.tv_sec;
    byte_writer_number(writer, (seconds << 1) ^ (time.tv_sec < 0 ? UINT64_MAX : 0));
    byte_writer_number(writer, (uint64_t)time.tv_nsec);
}

void byte_writer_bytes(struct byte_writer *writer, const void *data, size_t length) {
    if (length == 0) /* data may be NULL then */
        return;
    uint8_t *room = writer_reserve(writer, length);
    if (!room)
        return;
    memcpy(room, data, length);
    writer->length += length;
}

int byte_writer_finish(struct byte_writer *writer, uint8_t **data, size_t *length) {
    if (writer->failed) {
        free(writer->data);
        byte_writer_init(writer);
        return STORE_NO_MEMORY;
    }
    *data = writer->data;
    *length = writer->length;
    return STORE_OK;
}

void byte_reader_init(struct byte_reader *reader, const uint8_t *data, size_t length) {
    /* NULL + 0 is not defined in C, and an empty record may come as NULL. */
    *reader = (struct byte_reader){.next = data, .end = length ? data + length : data};
}

size_t byte_reader_left(const struct byte_reader *reader) {
    return (size_t)(reader->end - reader->next);
}

const uint8_t *byte_reader_bytes(struct byte_reader *reader, size_t length) {
    if (reader->failed || length > byte_reader_left(reader)) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *bytes = reader->next;
    reader->next += length;
    return bytes;
}

uint8_t byte_reader_byte(struct byte_reader *reader) {
    const uint8_t *byte = byte_reader_bytes(reader, 1);
    return byte ? *byte : 0;
}

uint64_t byte_reader_number(struct byte_reader *reader, uint64_t most) {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = byte_reader_byte(reader);
        if (reader->failed)
            return 0;
        /* The tenth byte has room for one bit; a last byte of zero after others is not the shortest form. */
        if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            if (value > most)
                break;
            return value;
        }
    }
    reader->failed = true;
    return 0;
}

uint64_t byte_reader_u64(struct byte_reader *reader) {
    const uint8_t *bytes = byte_reader_bytes(reader, 8);
    uint64_t value = 0;
    for (unsigned i = 0; bytes && i < 8; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

struct timespec byte_reader_time(struct byte_reader *reader) {
    uint64_t zigzag = byte_reader_number(reader, UINT64_MAX);
    uint64_t seconds = (zigzag >> 1) ^ (zigzag & 1 ? UINT64_MAX : 0);
    return (struct timespec){
        .tv_sec = (time_t)seconds,
        .tv_nsec = (long)byte_reader_number(reader, 999999999),
    };
}

int byte_reader_finish(const struct byte_reader *reader) {
    return !reader->failed && reader->next == reader->end ? STORE_OK : STORE_CORRUPT;
}
