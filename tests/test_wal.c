/* Logs that are built by hand: of either byte order, with wrong headers, damaged, broken off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/wal.h"

#define FRAMES 6

struct log_file {
    char path[64];
    int fd;
    bool big_endian;
    uint8_t bytes[WAL_HEADER_BYTES + FRAMES * WAL_FRAME_BYTES];
    sqlite3_file *file; /* as SQLite's own VFS opens it */
};

static void put32(uint8_t *at, uint32_t value) {
    uint32_t big = htobe32(value);
    memcpy(at, &big, sizeof big);
}

/* The format's words, not wal.c's: the checksum of `length` bytes behind (a, b). */
static void add_to_sum(bool big_endian, const uint8_t *bytes, size_t length, uint32_t *a, uint32_t *b) {
    for (size_t i = 0; i < length; i += 8) {
        uint32_t words[2] = {0};
        for (size_t j = 0; j < 8; j++)
            words[j / 4] |= (uint32_t)bytes[i + j] << (big_endian ? 24 - j % 4 * 8 : j % 4 * 8);
        *a += words[0] + *b;
        *b += words[1] + *a;
    }
}

/* Frames 1, 2..., whose checksums begin with those of the header; every second one ends a transaction. */
static void build_frames(struct log_file *log) {
    uint32_t a = wal_number(log->bytes + 24), b = wal_number(log->bytes + 28);
    for (uint32_t frame = 1; frame <= FRAMES; frame++) {
        uint8_t *at = log->bytes + wal_frame_offset(frame);
        put32(at, frame);
        put32(at + 4, frame % 2 == 0 ? FRAMES : 0);
        memcpy(at + 8, log->bytes + 16, 8);
        memset(at + WAL_FRAME_HEADER_BYTES, (int)frame, PAGE_BYTES);
        add_to_sum(log->big_endian, at, 8, &a, &b);
        add_to_sum(log->big_endian, at + WAL_FRAME_HEADER_BYTES, PAGE_BYTES, &a, &b);
        put32(at + 16, a);
        put32(at + 20, b);
    }
}

static void sum_header(struct log_file *log) {
    uint32_t a = 0, b = 0;
    add_to_sum(log->big_endian, log->bytes, 24, &a, &b);
    put32(log->bytes + 24, a);
    put32(log->bytes + 28, b);
}

static void build(struct log_file *log, bool big_endian) {
    log->big_endian = big_endian;
    put32(log->bytes, big_endian ? 0x377f0683 : 0x377f0682);
    put32(log->bytes + 4, 3007000);
    put32(log->bytes + 8, PAGE_BYTES);
    put32(log->bytes + 12, 0);
    put32(log->bytes + 16, 0x12345678);
    put32(log->bytes + 20, 0x9abcdef0);
    sum_header(log);
    build_frames(log);
}

static int set_up(void **state) {
    struct log_file *log = calloc(1, sizeof *log);
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    assert_non_null(log);
    assert_non_null(vfs);
    strcpy(log->path, "/tmp/test_wal.XXXXXX");
    log->fd = mkstemp(log->path);
    assert_true(log->fd >= 0);
    log->file = calloc(1, (size_t)vfs->szOsFile);
    assert_non_null(log->file);
    assert_int_equal(vfs->xOpen(vfs, log->path, log->file, SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    build(log, false);
    *state = log;
    return 0;
}

static int tear_down(void **state) {
    struct log_file *log = *state;
    (void)log->file->pMethods->xClose(log->file);
    free(log->file);
    (void)close(log->fd);
    (void)unlink(log->path);
    free(log);
    return 0;
}

static void write_out(struct log_file *log, size_t length) {
    assert_int_equal(ftruncate(log->fd, 0), 0);
    assert_int_equal(pwrite(log->fd, log->bytes, length, 0), length);
}

static bool is_damaged(struct log_file *log, uint64_t *frame) {
    bool damaged = true;
    write_out(log, sizeof log->bytes);
    assert_int_equal(wal_check(log->file, &damaged, frame), SQLITE_OK);
    return damaged;
}

static void expect_damaged(struct log_file *log, uint64_t expected) {
    uint64_t frame = UINT64_MAX;
    assert_true(is_damaged(log, &frame));
    assert_int_equal(frame, expected);
}

static void expect_sound(struct log_file *log) {
    uint64_t frame;
    assert_false(is_damaged(log, &frame));
}

static uint8_t *in_frame(struct log_file *log, uint64_t frame, size_t at) {
    return &log->bytes[wal_frame_offset(frame) + (int64_t)at];
}

static void test_wal__both_byte_orders_are_read(void **state) {
    struct log_file *log = *state;
    for (int big_endian = 0; big_endian < 2; big_endian++) {
        struct wal_header header;
        build(log, big_endian);
        wal_header_read(log->bytes, &header);
        assert_true(header.right);
        assert_int_equal(header.big_endian, big_endian);
        expect_sound(log);
        *in_frame(log, 3, 1000) ^= 1;
        expect_damaged(log, 3);
    }
}

static void test_wal__a_frame_is_summed_in_the_order_of_its_log(void **state) {
    struct log_file *log = *state;
    for (int big_endian = 0; big_endian < 2; big_endian++) {
        uint8_t frame[WAL_FRAME_BYTES];
        struct wal_sum sum;
        bool found;
        build(log, big_endian);
        write_out(log, sizeof log->bytes);
        for (uint64_t number = 1; number <= 2; number++) { /* behind the header, and behind a frame */
            memcpy(frame, in_frame(log, number, 0), sizeof frame);
            memset(frame + 16, 0, 8);
            assert_int_equal(wal_sum_before(log->file, wal_frame_offset(number), &sum, &found), SQLITE_OK);
            assert_int_equal(found, big_endian);
            wal_frame_put_sum(sum, found, frame);
            assert_memory_equal(frame, in_frame(log, number, 0), sizeof frame);
        }
    }
}

static void test_wal__a_frame_behind_nothing_has_no_sum(void **state) {
    struct log_file *log = *state;
    struct wal_sum sum;
    bool big_endian;
    write_out(log, 0);
    assert_int_equal(wal_sum_before(log->file, WAL_HEADER_BYTES, &sum, &big_endian), SQLITE_IOERR_SHORT_READ);
    write_out(log, 8);
    assert_int_equal(wal_sum_before(log->file, WAL_HEADER_BYTES, &sum, &big_endian), SQLITE_IOERR_SHORT_READ);
}

/* What a header must have, each of it: with a right checksum, so that it is this that is wrong. */
static void test_wal__headers_of_other_kinds_are_wrong(void **state) {
    struct log_file *log = *state;
    static const struct {
        size_t at;
        uint32_t value;
    } wrong[] = {{0, 0x377f0680}, {4, 3007001}, {8, 1024}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct wal_header header;
        build(log, __BYTE_ORDER == __BIG_ENDIAN);
        put32(log->bytes + wrong[i].at, wrong[i].value);
        sum_header(log);
        wal_header_read(log->bytes, &header);
        assert_true(wal_sum_same(header.stored, header.computed));
        assert_false(header.right);
    }
    struct wal_header header;
    build(log, false);
    log->bytes[20] ^= 1;
    wal_header_read(log->bytes, &header);
    assert_false(header.right);
}

/* The frames show that there was a right one once, whatever part of it is wrong. */
static void test_wal__a_damaged_header_before_right_frames_is_damage(void **state) {
    struct log_file *log = *state;
    for (size_t at = 0; at < WAL_HEADER_BYTES; at++) {
        build(log, __BYTE_ORDER == __BIG_ENDIAN);
        log->bytes[at] ^= 0x10;
        expect_damaged(log, 0);
    }
}

static void test_wal__a_header_that_was_never_right_is_none(void **state) {
    struct log_file *log = *state;
    memset(log->bytes, 0, WAL_HEADER_BYTES);
    for (uint64_t frame = 1; frame <= FRAMES; frame++)
        *in_frame(log, frame, 16) ^= 1;
    expect_sound(log);
    memset(log->bytes, 0, sizeof log->bytes);
    expect_sound(log);
}

/* Wherever a crash has broken it off: nothing right comes after. */
static void test_wal__a_log_that_was_broken_off_is_sound(void **state) {
    struct log_file *log = *state;
    for (uint64_t frame = 1; frame <= FRAMES; frame++) {
        build(log, false);
        memset(in_frame(log, frame, 0), 0, (FRAMES - frame + 1) * WAL_FRAME_BYTES);
        expect_sound(log);
    }
    for (size_t length = 0; length < sizeof log->bytes; length += 1009) {
        bool damaged = true;
        uint64_t frame;
        build(log, false);
        write_out(log, length);
        assert_int_equal(wal_check(log->file, &damaged, &frame), SQLITE_OK);
        assert_false(damaged);
    }
}

/* Frames 3 and 4 are a transaction, and 5 was added behind it when it was durable. */
static void test_wal__a_damaged_frame_before_a_later_transaction_is_damage(void **state) {
    struct log_file *log = *state;
    for (uint64_t frame = 1; frame <= 4; frame++) {
        build(log, false);
        *in_frame(log, frame, WAL_FRAME_HEADER_BYTES + 17) ^= 0x80; /* of its page */
        expect_damaged(log, frame);
        build(log, false);
        *in_frame(log, frame, 16) ^= 0x80; /* of the checksum itself */
        expect_damaged(log, frame);
    }
    /* Within the newest transaction that cannot be told from a crash. */
    build(log, false);
    *in_frame(log, 5, WAL_FRAME_HEADER_BYTES) ^= 1;
    expect_sound(log);
}

/* What an earlier use of the log has left behind its end. */
static void test_wal__frames_with_other_salts_are_of_another_log(void **state) {
    struct log_file *log = *state;
    for (uint64_t frame = 3; frame <= FRAMES; frame++)
        *in_frame(log, frame, 8) ^= 1;
    expect_sound(log);
    build(log, false);
    put32(in_frame(log, 3, 0), 0); /* there is no page 0 */
    *in_frame(log, 4, WAL_FRAME_HEADER_BYTES) ^= 1;
    *in_frame(log, 5, WAL_FRAME_HEADER_BYTES) ^= 1;
    *in_frame(log, 6, WAL_FRAME_HEADER_BYTES) ^= 1;
    expect_sound(log);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_wal__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(both_byte_orders_are_read),
        TEST(a_frame_is_summed_in_the_order_of_its_log),
        TEST(a_frame_behind_nothing_has_no_sum),
        TEST(headers_of_other_kinds_are_wrong),
        TEST(a_damaged_header_before_right_frames_is_damage),
        TEST(a_header_that_was_never_right_is_none),
        TEST(a_log_that_was_broken_off_is_sound),
        TEST(a_damaged_frame_before_a_later_transaction_is_damage),
        TEST(frames_with_other_salts_are_of_another_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
