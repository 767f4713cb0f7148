/* Bytes of records: a growing buffer to write to, and a bounded one to read from. Private to store/.
 *
 * Numbers are unsigned LEB128: seven bits a byte, least significant first, the high bit set on all bytes but the last.
 *
 * Invariants
 *  1. A reader never reads outside the bytes it was given, and accepts only the shortest form of a number, so that
 *     what was read can be written in one way alone.
 *  2. Failure is sticky: after one, writers drop what follows and readers give zeros. The caller checks once, at the end.
 *
 * Threads: none of its own; a writer or reader belongs to its caller.
 */
#ifndef TIDFS_STORE_BYTES_H
#define TIDFS_STORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct byte_writer {
    uint8_t *data; /* malloc'ed */
    size_t length, capacity;
    bool failed; /* out of memory */
};

void byte_writer_init(struct byte_writer *writer);
void byte_writer_byte(struct byte_writer *writer, uint8_t value);
void byte_writer_number(struct byte_writer *writer, uint64_t value);
void byte_writer_u64(struct byte_writer *writer, uint64_t value); /* eight bytes, little endian */
/* Seconds as a zigzag number (0, -1, 1, -2, ... are 0, 1, 2, 3, ...), then nanoseconds as a number. */
void byte_writer_time(struct byte_writer *writer, struct timespec time);
void byte_writer_bytes(struct byte_writer *writer, const void *data, size_t length);

/* Hands the buffer to the caller and ends the writer. STORE_NO_MEMORY frees everything and leaves *data and *length. */
int byte_writer_finish(struct byte_writer *writer, uint8_t **data, size_t *length);

struct byte_reader {
    const uint8_t *next, *end;
    bool failed;
};

void byte_reader_init(struct byte_reader *reader, const uint8_t *data, size_t length);
size_t byte_reader_left(const struct byte_reader *reader);
uint8_t byte_reader_byte(struct byte_reader *reader);
/* A number above `most` is a failure. */
uint64_t byte_reader_number(struct byte_reader *reader, uint64_t most);
uint64_t byte_reader_u64(struct byte_reader *reader);
struct timespec byte_reader_time(struct byte_reader *reader);
/* The next `length` bytes, in place; NULL on failure. */
const uint8_t *byte_reader_bytes(struct byte_reader *reader, size_t length);

/* STORE_OK if nothing failed and every byte was read, else STORE_CORRUPT. */
int byte_reader_finish(const struct byte_reader *reader);

#endif
