/* Fuzzes what looks through a log that was left (store/wal.h): what is damage, and what a crash broke off.
 *
 * An input writes a log as SQLite does, frame by frame, and then harms it. Each frame is a byte that says what it is, one for its page, and, if that is what it says, more:
 *     1    it ends a transaction
 *     2    a byte of its page is another afterwards (two bytes: where; one: what is flipped)
 *     4    a byte of its header is (the same)
 *     8    it is of an earlier use of the log: other salts
 * The first byte of the input: 1 the log is big endian, 2 its header is harmed (as above), 4 it is cut at the end (two bytes). With 128 all that comes after it is
 * the log, byte for byte.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/wal.h"

#define FRAMES_MAX 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, not to be compiled away. */
static void require(bool holds, const char *what) {
    if (holds)
        return;
    (void)fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

/* ---- a log in memory ---- */

struct log_file {
    sqlite3_file base; /* first: a sqlite3_file * is a struct log_file * */
    const uint8_t *data;
    size_t size;
};

static int log_read(sqlite3_file *file, void *to, int length, sqlite3_int64 offset) {
    const struct log_file *log = (const struct log_file *)file;
    require(length >= 0 && offset >= 0 && (size_t)offset + (size_t)length <= log->size,
            "nothing is read behind the end");
    memcpy(to, log->data + offset, (size_t)length);
    return SQLITE_OK;
}

static int log_size(sqlite3_file *file, sqlite3_int64 *size) {
    *size = (sqlite3_int64)((const struct log_file *)file)->size;
    return SQLITE_OK;
}

static const sqlite3_io_methods log_methods = {.iVersion = 1, .xRead = log_read, .xFileSize = log_size};

/* ---- an input ---- */

struct input {
    const uint8_t *data;
    size_t size;
};

static unsigned take(struct input *input) {
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static void put_big(uint8_t *at, uint32_t value) {
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

struct harm {
    size_t at;
    uint8_t flipped;
};

struct made_log {
    uint8_t data[WAL_HEADER_BYTES + FRAMES_MAX * WAL_FRAME_BYTES];
    size_t size, frames;
    bool commits[FRAMES_MAX + 2], page_harmed[FRAMES_MAX + 2]; /* from 1 */
    bool only_pages;                                           /* what is harmed, and all frames are of this use */
    struct harm harms[2 * FRAMES_MAX + 1];
    size_t harm_count;
};

static void take_harm(struct made_log *made, struct input *input, size_t from, size_t length) {
    unsigned where = take(input) << 8;
    where |= take(input);
    made->harms[made->harm_count++] = (struct harm){from + where % length, (uint8_t)take(input)};
}

/* As SQLite writes it. */
static void make_frame(struct made_log *made, struct input *input) {
    size_t number = ++made->frames;
    unsigned what = take(input), page = take(input);
    uint8_t *frame = made->data + made->size;
    struct log_file log = {{&log_methods}, made->data, made->size};
    struct wal_sum sum;
    bool big_endian;
    put_big(frame, page);
    put_big(frame + 4, what & 1 ? 100 : 0);
    memcpy(frame + 8, made->data + 16, 8);
    frame[8] ^= (uint8_t)(what & 8);
    memset(frame + WAL_FRAME_HEADER_BYTES, (int)number, PAGE_BYTES);
    require(wal_sum_before(&log.base, (int64_t)made->size, &sum, &big_endian) == SQLITE_OK, "the log can be read");
    wal_frame_put_sum(sum, big_endian, frame);
    made->commits[number] = what & 1;
    if (what & 2) {
        take_harm(made, input, made->size + WAL_FRAME_HEADER_BYTES, PAGE_BYTES);
        made->page_harmed[number] = made->harms[made->harm_count - 1].flipped != 0;
    }
    if (what & 4)
        take_harm(made, input, made->size, WAL_FRAME_HEADER_BYTES);
    made->only_pages = made->only_pages && (what & 12) == 0 && page != 0;
    made->size += WAL_FRAME_BYTES;
}

static void make_log(struct made_log *made, unsigned how, struct input *input) {
    struct wal_header header;
    put_big(made->data, 0x377f0682U | (how & 1));
    put_big(made->data + 4, 3007000);
    put_big(made->data + 8, PAGE_BYTES);
    put_big(made->data + 16, 0x12345678);
    put_big(made->data + 20, 0x9abcdef0);
    wal_header_read(made->data, &header);
    put_big(made->data + 24, header.computed.a);
    put_big(made->data + 28, header.computed.b);
    made->size = WAL_HEADER_BYTES;
    made->only_pages = (how & 6) == 0;
    if (how & 2)
        take_harm(made, input, 0, WAL_HEADER_BYTES);
    size_t cut = how & 4 ? take(input) << 8 | take(input) : 0;
    while (made->frames < FRAMES_MAX && input->size > 0)
        make_frame(made, input);
    for (size_t i = 0; i < made->harm_count; i++)
        made->data[made->harms[i].at] ^= made->harms[i].flipped;
    made->size -= cut < made->size ? cut : made->size;
}

/* Of a log of which only pages are harmed: there is damage if a transaction that was committed at or after the first harm has a frame behind it that is as
 * it was written. */
static bool expected_damage(const struct made_log *made, size_t *first) {
    *first = 0;
    for (size_t i = 1; i <= made->frames; i++) {
        if (*first == 0 && made->page_harmed[i])
            *first = i;
        if (*first != 0 && made->commits[i] && i < made->frames && !made->page_harmed[i + 1])
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    struct made_log *made = calloc(1, sizeof *made);
    struct log_file log = {{&log_methods}, NULL, 0};
    bool damaged = false;
    uint64_t frame = 0;
    size_t first;
    require(made != NULL, "there is memory");
    unsigned how = take(&input);
    if (how & 128) {
        log.data = input.data;
        log.size = input.size;
    } else {
        make_log(made, how, &input);
        log.data = made->data;
        log.size = made->size;
    }
    require(wal_check(&log.base, &damaged, &frame) == SQLITE_OK, "the log can be read");
    require(!damaged || frame <= (log.size - WAL_HEADER_BYTES) / WAL_FRAME_BYTES, "what is damaged is there");
    if (!(how & 128) && made->only_pages) {
        require(damaged == expected_damage(made, &first), "damage is told from where a crash broke the log off");
        require(!damaged || frame == first, "the first one is told");
    }
    free(made);
    return 0;
}
