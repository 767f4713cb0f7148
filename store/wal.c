#include "store/wal.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC   0x377f0682u /* the last bit says that checksums take the words as big endian */
#define VERSION 3007000u

uint32_t wal_number(const uint8_t *at) {
    uint32_t big;
    memcpy(&big, at, sizeof big);
    return be32toh(big);
}

static void put32(uint8_t *at, uint32_t value) {
    uint32_t big = htobe32(value);
    memcpy(at, &big, sizeof big);
}

uint32_t wal_frame_page(const uint8_t header[WAL_FRAME_HEADER_BYTES]) {
    return wal_number(header);
}

bool wal_frame_commits(const uint8_t header[WAL_FRAME_HEADER_BYTES]) {
    return wal_number(header + 4) != 0;
}

struct wal_sum wal_sum_stored(const uint8_t *at) {
    return (struct wal_sum){wal_number(at), wal_number(at + 4)};
}

bool wal_sum_same(struct wal_sum one, struct wal_sum other) {
    return one.a == other.a && one.b == other.b;
}

/* `length` is a multiple of 8. */
static struct wal_sum add_bytes(struct wal_sum sum, bool big_endian, const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i += 8) {
        uint32_t first, second;
        memcpy(&first, &bytes[i], sizeof first);
        memcpy(&second, &bytes[i + 4], sizeof second);
        sum.a += (big_endian ? be32toh(first) : le32toh(first)) + sum.b;
        sum.b += (big_endian ? be32toh(second) : le32toh(second)) + sum.a;
    }
    return sum;
}

struct wal_sum wal_sum_frame(struct wal_sum sum, bool big_endian, const uint8_t frame[WAL_FRAME_BYTES]) {
    sum = add_bytes(sum, big_endian, frame, 8);
    return add_bytes(sum, big_endian, frame + WAL_FRAME_HEADER_BYTES, PAGE_BYTES);
}

void wal_header_read(const uint8_t bytes[WAL_HEADER_BYTES], struct wal_header *header) {
    uint32_t magic = wal_number(bytes);
    bool magic_right = (magic & ~1u) == MAGIC; /* zeros have a right checksum */
    header->big_endian = magic_right ? magic & 1 : __BYTE_ORDER == __BIG_ENDIAN;
    header->stored = wal_sum_stored(bytes + 24);
    header->computed = add_bytes((struct wal_sum){0}, header->big_endian, bytes, 24);
    header->right = magic_right && wal_number(bytes + 4) == VERSION && wal_number(bytes + 8) == PAGE_BYTES &&
                    wal_sum_same(header->stored, header->computed);
    memcpy(header->salts, bytes + 16, sizeof header->salts);
}

static int read_log(sqlite3_file *log, void *bytes, int length, int64_t offset) {
    return log->pMethods->xRead(log, bytes, length, offset);
}

int wal_sum_before(sqlite3_file *log, int64_t offset, struct wal_sum *sum, bool *big_endian) {
    uint8_t magic[4] = {0}, before[8] = {0};
    int64_t sum_offset = offset == WAL_HEADER_BYTES ? WAL_HEADER_BYTES - 8 : offset - WAL_FRAME_BYTES + 16;
    int result = read_log(log, magic, sizeof magic, 0);
    if (result == SQLITE_OK)
        result = read_log(log, before, sizeof before, sum_offset);
    *sum = wal_sum_stored(before);
    *big_endian = wal_number(magic) & 1;
    return result;
}

void wal_frame_put_sum(struct wal_sum sum, bool big_endian, uint8_t frame[WAL_FRAME_BYTES]) {
    sum = wal_sum_frame(sum, big_endian, frame);
    put32(frame + 16, sum.a);
    put32(frame + 20, sum.b);
}

/* One look through a log. */
struct wal_scan {
    sqlite3_file *log;
    bool big_endian;
    bool header_right;
    uint8_t salts[8];        /* of the header, if it is right; else of the frame before */
    struct wal_sum stored;   /* the checksum that the frame before carries, or the header */
    struct wal_sum computed; /* the one that it should carry */
    bool commits;            /* the frame before ends a transaction */
    uint8_t frame[WAL_FRAME_BYTES];
};

static void scan_header(struct wal_scan *scan, const uint8_t bytes[WAL_HEADER_BYTES]) {
    struct wal_header header;
    wal_header_read(bytes, &header);
    scan->big_endian = header.big_endian;
    scan->header_right = header.right;
    scan->stored = header.stored;
    scan->computed = header.computed;
    memcpy(scan->salts, header.salts, sizeof scan->salts);
}

/* Takes in the next frame. *right: it continues what the one before it carries; *follows: that, or what it should carry. Frames of an earlier
 * use of the log, which differ in the salts, are not read whole. */
static int scan_frame(struct wal_scan *scan, uint64_t frame, bool *right, bool *follows) {
    uint8_t *header = scan->frame;
    *right = *follows = false;
    int result = read_log(scan->log, header, WAL_FRAME_HEADER_BYTES, wal_frame_offset(frame));
    if (result != SQLITE_OK)
        return result;
    /* The salts of a wrong header may be what is wrong in it. */
    bool any_salts = frame == 1 && !scan->header_right;
    bool ours = wal_frame_page(header) != 0 && (any_salts || memcmp(header + 8, scan->salts, sizeof scan->salts) == 0);
    struct wal_sum stored = wal_sum_stored(header + 16), computed = stored;
    if (ours) {
        result = read_log(scan->log, header + WAL_FRAME_HEADER_BYTES, PAGE_BYTES,
                          wal_frame_offset(frame) + WAL_FRAME_HEADER_BYTES);
        if (result != SQLITE_OK)
            return result;
        computed = wal_sum_frame(scan->stored, scan->big_endian, scan->frame);
        *right = wal_sum_same(computed, stored);
        *follows = *right || wal_sum_same(wal_sum_frame(scan->computed, scan->big_endian, scan->frame), stored);
    }
    scan->stored = stored;
    scan->computed = computed;
    return SQLITE_OK;
}

static int scan_frames(struct wal_scan *scan, uint64_t frames, bool *damaged, uint64_t *frame) {
    bool broken = !scan->header_right;
    *frame = 0;
    for (uint64_t i = 1; i <= frames; i++) {
        bool right, follows;
        int result = scan_frame(scan, i, &right, &follows);
        if (result != SQLITE_OK)
            return result;
        if (broken && follows && (scan->commits || !scan->header_right)) {
            *damaged = true;
            return SQLITE_OK;
        }
        if (!broken && !right) {
            broken = true;
            *frame = i;
        }
        scan->commits = wal_frame_commits(scan->frame);
        if (!scan->header_right)
            memcpy(scan->salts, scan->frame + 8, sizeof scan->salts);
    }
    return SQLITE_OK;
}

int wal_check(sqlite3_file *log, bool *damaged, uint64_t *frame) {
    uint8_t header[WAL_HEADER_BYTES];
    sqlite3_int64 size = 0;
    *damaged = false;
    int result = log->pMethods->xFileSize(log, &size);
    if (result != SQLITE_OK || size < WAL_HEADER_BYTES + WAL_FRAME_BYTES)
        return result;
    result = read_log(log, header, sizeof header, 0);
    if (result != SQLITE_OK)
        return result;
    struct wal_scan *scan = malloc(sizeof *scan);
    if (!scan)
        return SQLITE_NOMEM;
    *scan = (struct wal_scan){.log = log};
    scan_header(scan, header);
    result = scan_frames(scan, (uint64_t)(size - WAL_HEADER_BYTES) / WAL_FRAME_BYTES, damaged, frame);
    free(scan);
    return result;
}
