/* store/record.h: bytes as store/RECORDS.md has them, round trips, and decoders that trust nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/error.h"
#include "store/record.h"

static const struct timespec noon = {.tv_sec = 1795343400, .tv_nsec = 250000000};

/* xorshift64*: the same numbers on every machine, so that a failure can be repeated. */
static uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* A number of any magnitude: as many small ones as large ones. */
static uint64_t random_number(uint64_t *state, uint64_t most) {
    uint64_t value = random_next(state) >> (random_next(state) % 64);
    return most == UINT64_MAX ? value : value % (most + 1);
}

/* What is common to the three records: decode and encode again. STORE_OK if `data` decodes; then the same bytes must come back. */
typedef int recode_function(const uint8_t *data, size_t length, uint8_t **again, size_t *again_length);

static int recode_inode(const uint8_t *data, size_t length, uint8_t **again, size_t *again_length) {
    struct inode_record record;
    int rc = inode_record_decode(data, length, &record);
    if (rc < 0)
        return rc;
    assert_int_equal(inode_record_encode(&record, again, again_length), STORE_OK);
    inode_record_release(&record);
    return STORE_OK;
}

static int recode_chunk(const uint8_t *data, size_t length, uint8_t **again, size_t *again_length) {
    struct chunk chunk;
    int rc = chunk_decode(data, length, &chunk);
    if (rc < 0)
        return rc;
    uint64_t end = 0;
    for (size_t i = 0; i < chunk.count; i++) {
        const struct extent *extent = &chunk.extents[i];
        assert_true(extent->start >= end && extent->length > 0);
        end = (uint64_t)extent->start + extent->length;
        assert_true(end <= CHUNK_BYTES);
        assert_true((uint64_t)extent->skip + extent->length <= extent->body.length);
        assert_true(extent->body.length <= BODY_LIMIT);
    }
    assert_int_equal(chunk_encode(&chunk, again, again_length), STORE_OK);
    chunk_release(&chunk);
    return STORE_OK;
}

static int recode_xattrs(const uint8_t *data, size_t length, uint8_t **again, size_t *again_length) {
    struct xattr_set set;
    int rc = xattr_set_decode(data, length, &set);
    if (rc < 0)
        return rc;
    assert_int_equal(xattr_set_encode(&set, again, again_length), STORE_OK);
    xattr_set_release(&set);
    return STORE_OK;
}

/* Recodes a copy of exactly `length` bytes, so that the sanitizer sees a read past its end. */
static int check_recode(recode_function *recode, const uint8_t *data, size_t length) {
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, data, length);
    uint8_t *again = NULL;
    size_t again_length = 0;
    int rc = recode(copy, length, &again, &again_length);
    if (rc == STORE_OK) {
        assert_int_equal(again_length, length);
        assert_memory_equal(again, copy, length);
        free(again);
    } else {
        assert_int_equal(rc, STORE_CORRUPT);
    }
    free(copy);
    return rc;
}

/* A good record: every truncation and extension is refused; every change of a byte is refused, or is another record. */
static void check_hostile(recode_function *recode, const uint8_t *good, size_t length) {
    assert_int_equal(check_recode(recode, good, length), STORE_OK);
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(check_recode(recode, good, cut), STORE_CORRUPT);
    uint8_t *bytes = malloc(length + 1);
    assert_non_null(bytes);
    memcpy(bytes, good, length);
    for (unsigned extra = 0; extra < 256; extra++) {
        bytes[length] = (uint8_t)extra;
        assert_int_equal(check_recode(recode, bytes, length + 1), STORE_CORRUPT);
    }
    for (size_t i = 0; i < length; i++) {
        for (unsigned value = 0; value < 256; value++) {
            bytes[i] = (uint8_t)value;
            int rc = check_recode(recode, bytes, length);
            assert_true(i > 0 || value == 1 || rc == STORE_CORRUPT);
        }
        bytes[i] = good[i];
    }
    free(bytes);
}

static void check_random_bytes(recode_function *recode, uint64_t seed) {
    uint8_t bytes[64];
    for (int round = 0; round < 200000; round++) {
        size_t length = random_next(&seed) % sizeof bytes;
        for (size_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)(random_next(&seed) >> (random_next(&seed) % 8));
        bytes[0] = 1;
        check_recode(recode, bytes, length);
    }
}

static void check_bytes(const uint8_t *data, size_t length, const void *expected, size_t expected_length) {
    assert_int_equal(length, expected_length);
    assert_memory_equal(data, expected, expected_length);
}

/* ---- inode ---- */

static struct inode_record plain_file(void) {
    return (struct inode_record){
        .mode = S_IFREG | 0644,
        .uid = 1000,
        .gid = 1000,
        .nlink = 1,
        .size = 5,
        .allocated = 5,
        .atime = noon,
        .mtime = noon,
        .ctime = noon,
        .btime = noon,
    };
}

static void assert_times_equal(struct timespec a, struct timespec b) {
    assert_int_equal(a.tv_sec, b.tv_sec);
    assert_int_equal(a.tv_nsec, b.tv_nsec);
}

/* Encodes, decodes, compares, and tries the record's bytes as an attacker would. */
static void check_inode(const struct inode_record *record, bool hostile) {
    uint8_t *data;
    size_t length;
    struct inode_record back;
    assert_int_equal(inode_record_encode(record, &data, &length), STORE_OK);
    assert_int_equal(inode_record_decode(data, length, &back), STORE_OK);
    assert_int_equal(back.mode, record->mode);
    assert_int_equal(back.uid, record->uid);
    assert_int_equal(back.gid, record->gid);
    assert_int_equal(back.nlink, record->nlink);
    assert_int_equal(back.rdev, record->rdev);
    assert_int_equal(back.size, record->size);
    assert_int_equal(back.allocated, record->allocated);
    assert_int_equal(back.parent, record->parent);
    assert_int_equal(back.next_index, record->next_index);
    assert_int_equal(back.has_xattrs, record->has_xattrs);
    assert_times_equal(back.atime, record->atime);
    assert_times_equal(back.mtime, record->mtime);
    assert_times_equal(back.ctime, record->ctime);
    assert_times_equal(back.btime, record->btime);
    if (record->target)
        assert_string_equal(back.target, record->target);
    else
        assert_null(back.target);
    inode_record_release(&back);
    if (hostile)
        check_hostile(recode_inode, data, length);
    free(data);
}

static void test_record__inode_bytes(void **state) {
    (void)state;
    struct inode_record record = plain_file();
    uint8_t *data;
    size_t length;
    assert_int_equal(inode_record_encode(&record, &data, &length), STORE_OK);
    static const uint8_t expected[] = {0x01, 0x0e, 0xa4, 0x83, 0x02, 0xe8, 0x07, 0xe8, 0x07, 0x01, 0x05,
                                       0x05, 0xd0, 0x90, 0x96, 0xb0, 0x0d, 0x80, 0xe5, 0x9a, 0x77};
    check_bytes(data, length, expected, sizeof expected);
    free(data);
}

static void test_record__inode_of_every_type(void **state) {
    (void)state;
    struct inode_record record = plain_file();
    check_inode(&record, true);
    record.mode = S_IFIFO | 0600;
    check_inode(&record, true);
    record.mode = S_IFSOCK | 0777;
    check_inode(&record, true);
    record.mode = S_IFDIR | 01777;
    record.parent = 1;
    record.next_index = ENTRY_INDEX_FIRST;
    check_inode(&record, true);
    record = plain_file();
    record.mode = S_IFBLK | 0660;
    record.rdev = UINT64_MAX;
    check_inode(&record, true);
    record.mode = S_IFCHR | 0666;
    record.rdev = 0;
    check_inode(&record, true);
}

static void test_record__inode_symlink(void **state) {
    (void)state;
    struct inode_record record = plain_file();
    record.mode = S_IFLNK | 0777;
    record.target = (char[]){"../\xff\x01 x"};
    record.size = strlen(record.target);
    check_inode(&record, true);
    char longest[SYMLINK_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    record.target = longest;
    record.size = SYMLINK_BYTES_MAX;
    check_inode(&record, false);
    record.target = (char[]){""};
    record.size = 0;
    check_inode(&record, true);
}

static void test_record__inode_far_ends(void **state) {
    (void)state;
    struct inode_record record = plain_file();
    record.mode = S_IFREG | 07777;
    record.uid = record.gid = record.nlink = UINT32_MAX;
    record.size = record.allocated = FILE_SIZE_MAX;
    record.has_xattrs = true;
    record.atime = (struct timespec){.tv_sec = INT64_MIN, .tv_nsec = 999999999};
    record.mtime = (struct timespec){.tv_sec = INT64_MAX, .tv_nsec = 0};
    record.ctime = (struct timespec){.tv_sec = -1, .tv_nsec = 999999999};
    record.btime = (struct timespec){.tv_sec = 0, .tv_nsec = 0};
    check_inode(&record, true);
    record.mode = S_IFDIR;
    record.parent = record.next_index = INT64_MAX;
    check_inode(&record, true);
}

static void test_record__inode_random(void **state) {
    (void)state;
    uint64_t random = 4;
    for (int round = 0; round < 20000; round++) {
        struct inode_record record = plain_file();
        struct timespec *times[] = {&record.atime, &record.mtime, &record.ctime, &record.btime};
        for (size_t i = 0; i < 4; i++) {
            if (random_next(&random) % 2)
                *times[i] = (struct timespec){.tv_sec = (time_t)random_number(&random, UINT64_MAX),
                                              .tv_nsec = (long)random_number(&random, 999999999)};
        }
        record.mode = (random_next(&random) % 2 ? S_IFREG : S_IFDIR) | (uint32_t)(random_next(&random) & 07777);
        record.uid = (uint32_t)random_number(&random, UINT32_MAX);
        record.nlink = (uint32_t)random_number(&random, UINT32_MAX);
        record.size = random_number(&random, FILE_SIZE_MAX);
        record.allocated = random_number(&random, FILE_SIZE_MAX);
        record.has_xattrs = random_next(&random) % 2;
        if (S_ISDIR(record.mode)) {
            record.parent = random_number(&random, INT64_MAX);
            record.next_index = random_number(&random, INT64_MAX);
        }
        check_inode(&record, false);
    }
    check_random_bytes(recode_inode, 5);
}

static void test_record__inode_refuses_what_no_encoder_writes(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint8_t bytes[40];
        size_t length;
    } cases[] = {
        {"no bytes", {0}, 0},
        {"a later version", {2, 0x0e, 0xa4, 0x83, 2, 0, 0, 1, 0, 0, 0, 0}, 12},
        {"an unknown flag", {1, 0x1e, 0xa4, 0x83, 2, 0, 0, 1, 0, 0, 0, 0}, 12},
        {"no file type", {1, 0x0e, 0xa4, 3, 0, 0, 1, 0, 0, 0, 0}, 11},
        {"a mode above 16 bits", {1, 0x0e, 0xa4, 0x83, 6, 0, 0, 1, 0, 0, 0, 0}, 12},
        {"a number in long form", {1, 0x0e, 0xa4, 0x83, 2, 0x80, 0, 0, 1, 0, 0, 0, 0}, 13},
        {"a uid of 33 bits", {1, 0x0e, 0xa4, 0x83, 2, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 1, 0, 0, 0, 0}, 16},
        {"nanoseconds of 10^9", {1, 0x0e, 0xa4, 0x83, 2, 0, 0, 1, 0, 0, 0, 0x80, 0x94, 0xeb, 0xdc, 3}, 16},
        {"an atime equal to mtime", {1, 0x0c, 0xa4, 0x83, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0}, 14},
        {"a NUL in a target", {1, 0x0e, 0xff, 0xc3, 2, 0, 0, 1, 2, 0, 0, 0, 'a', 0}, 14},
        {"a size above 2^63",
         {1, 0x0e, 0xa4, 0x83, 2, 0, 0, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0, 0},
         21},
        {"a number above 64 bits",
         {1, 0x0e, 0xa4, 0x83, 2, 0, 0, 1, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 0},
         21},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (check_recode(recode_inode, cases[i].bytes, cases[i].length) != STORE_CORRUPT)
            fail_msg("%s is accepted", cases[i].what);
    }
    static const uint8_t good[] = {1, 0x0e, 0xa4, 0x83, 2, 0, 0, 1, 0, 0, 0, 0};
    assert_int_equal(check_recode(recode_inode, good, sizeof good), STORE_OK);
}

/* ---- chunk ---- */

static void check_chunk(const struct chunk *chunk, bool hostile) {
    uint8_t *data;
    size_t length;
    struct chunk back;
    assert_int_equal(chunk_encode(chunk, &data, &length), STORE_OK);
    assert_int_equal(chunk_decode(data, length, &back), STORE_OK);
    assert_int_equal(back.count, chunk->count);
    for (size_t i = 0; i < chunk->count; i++) {
        const struct extent *a = &chunk->extents[i], *b = &back.extents[i];
        assert_int_equal(a->start, b->start);
        assert_int_equal(a->length, b->length);
        assert_int_equal(a->skip, b->skip);
        assert_int_equal(a->body.file, b->body.file);
        assert_int_equal(a->body.length, b->body.length);
        assert_int_equal(a->body.position, b->body.position);
        assert_int_equal(a->body.sum, b->body.sum);
    }
    chunk_release(&back);
    assert_null(back.extents);
    if (hostile)
        check_hostile(recode_chunk, data, length);
    free(data);
}

static void test_record__chunk_bytes(void **state) {
    (void)state;
    struct extent extent = {
        .start = 4096,
        .length = 4096,
        .body = {.length = 5000, .position = 7, .sum = UINT64_C(0x1122334455667788)},
    };
    struct chunk chunk = {.extents = &extent, .count = 1};
    uint8_t *data;
    size_t length;
    assert_int_equal(chunk_encode(&chunk, &data, &length), STORE_OK);
    static const uint8_t expected[] = {0x01, 0x01, 0x80, 0x20, 0x80, 0x20, 0x00, 0x88, 0x07, 0x00,
                                       0x07, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
    check_bytes(data, length, expected, sizeof expected);
    free(data);
}

static void test_record__chunk_round_trips(void **state) {
    (void)state;
    struct chunk hole = {0};
    check_chunk(&hole, true);
    struct extent extents[] = {
        {.start = 0, .length = 100, .skip = 0, .body = {.length = 100, .position = 1, .sum = 5}},
        {.start = 100, .length = 1, .skip = 99, .body = {.length = 100, .position = 1, .sum = 5}},
        {.start = 4096, .length = 65536, .body = {.file = 3, .length = 65536, .position = 1 << 30, .sum = UINT64_MAX}},
        {.start = CHUNK_BYTES - 1,
         .length = 1,
         .skip = BODY_LIMIT - 1,
         .body = {.file = UINT32_MAX, .length = BODY_LIMIT, .position = INT64_MAX - BODY_LIMIT}},
    };
    struct chunk chunk = {.extents = extents, .count = sizeof extents / sizeof *extents};
    check_chunk(&chunk, true);
    struct extent whole = {.length = CHUNK_BYTES, .body = {.length = CHUNK_BYTES, .position = 1}};
    struct chunk full = {.extents = &whole, .count = 1};
    check_chunk(&full, true);
}

static void test_record__chunk_random(void **state) {
    (void)state;
    uint64_t random = 6;
    struct extent extents[64];
    for (int round = 0; round < 5000; round++) {
        struct chunk chunk = {.extents = extents};
        uint32_t end = 0;
        while (chunk.count < 64 && end < CHUNK_BYTES) {
            struct extent *extent = &extents[chunk.count++];
            extent->start = end + (uint32_t)random_number(&random, CHUNK_BYTES - 1 - end);
            extent->length = 1 + (uint32_t)random_number(&random, CHUNK_BYTES - 1 - extent->start);
            extent->skip = (uint32_t)random_number(&random, BODY_LIMIT - extent->length);
            extent->body.length = extent->skip + extent->length +
                                  (uint32_t)random_number(&random, BODY_LIMIT - extent->skip - extent->length);
            extent->body.file = (uint32_t)random_number(&random, UINT32_MAX);
            extent->body.position = random_number(&random, INT64_MAX - BODY_LIMIT);
            extent->body.sum = random_next(&random);
            end = extent->start + extent->length;
        }
        check_chunk(&chunk, false);
    }
    check_random_bytes(recode_chunk, 7);
}

static void test_record__chunks_differ_in_any_number(void **state) {
    (void)state;
    struct extent one[2] = {{1, 2, 3, {4, 100, 5, 6}}, {10, 2, 3, {4, 100, 5, 6}}}, two[2];
    const struct chunk a = {one, 2}, b = {two, 2}, shorter = {one, 1};
    for (int field = 0; field < 8; field++) {
        memcpy(two, one, sizeof two);
        two[1].start += field == 1;
        two[1].length += field == 2;
        two[1].skip += field == 3;
        two[1].body.file += field == 4;
        two[1].body.length += field == 5;
        two[1].body.position += field == 6;
        two[1].body.sum += field == 7;
        assert_int_equal(chunk_equal(&a, &b), field == 0);
        assert_int_equal(chunk_equal(&b, &a), field == 0);
    }
    assert_false(chunk_equal(&a, &shorter));
}

static void test_record__chunk_refuses_extents_out_of_bounds(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint8_t bytes[40];
        size_t length;
    } cases[] = {
        {"an extent of no bytes", {1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 16},
        {"an extent past the chunk", {1, 1, 0x80, 0x80, 0x10, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 18},
        {"an extent across the end of the chunk", {1, 1, 0xff, 0xff, 0x0f, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 18},
        {"a body above the limit", {1, 1, 0, 1, 0x80, 0x80, 0x40, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 18},
        {"more extents than bytes", {1, 2, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, 16},
        {"a count that no memory holds", {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 11},
        {"a position whose body would pass 2^63",
         {1, 1, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0},
         24},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (check_recode(recode_chunk, cases[i].bytes, cases[i].length) != STORE_CORRUPT)
            fail_msg("%s is accepted", cases[i].what);
    }
    static const uint8_t good[] = {1, 1, 0xff, 0xff, 0x0f, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(check_recode(recode_chunk, good, sizeof good), STORE_OK);
}

/* ---- extended attributes ---- */

static void assert_sets_equal(const struct xattr_set *a, const struct xattr_set *b) {
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->items[i].name, b->items[i].name);
        assert_int_equal(a->items[i].length, b->items[i].length);
        if (a->items[i].length > 0)
            assert_memory_equal(a->items[i].value, b->items[i].value, a->items[i].length);
        else
            assert_null(b->items[i].value);
    }
}

static void check_xattrs(const struct xattr_set *set, bool hostile) {
    uint8_t *data;
    size_t length;
    struct xattr_set back;
    assert_int_equal(xattr_set_encode(set, &data, &length), STORE_OK);
    assert_int_equal(xattr_set_decode(data, length, &back), STORE_OK);
    assert_sets_equal(set, &back);
    xattr_set_release(&back);
    if (hostile)
        check_hostile(recode_xattrs, data, length);
    free(data);
}

static void test_record__xattr_bytes(void **state) {
    (void)state;
    struct xattr_set set = {0};
    assert_int_equal(xattr_set_put(&set, "user.a", "x", 1), STORE_OK);
    uint8_t *data;
    size_t length;
    assert_int_equal(xattr_set_encode(&set, &data, &length), STORE_OK);
    check_bytes(data, length, "\x01\x01\x06user.a\x01x", 11);
    free(data);
    xattr_set_release(&set);
}

static void test_record__xattr_set_operations(void **state) {
    (void)state;
    struct xattr_set set = {0}, copy;
    check_xattrs(&set, true);
    assert_null(xattr_set_find(&set, "user.a"));
    assert_int_equal(xattr_set_remove(&set, "user.a"), STORE_ABSENT);
    assert_int_equal(xattr_set_put(&set, "user.b", "bee", 3), STORE_OK);
    assert_int_equal(xattr_set_put(&set, "user.\xff", "\0\xff", 2), STORE_OK);
    assert_int_equal(xattr_set_put(&set, "user.a", NULL, 0), STORE_OK);
    assert_int_equal(xattr_set_put(&set, "security.capability", "caps", 4), STORE_OK);
    assert_int_equal(set.count, 4);
    assert_string_equal(set.items[0].name, "security.capability");
    assert_string_equal(set.items[1].name, "user.a");
    assert_string_equal(set.items[2].name, "user.b");
    assert_string_equal(set.items[3].name, "user.\xff");
    check_xattrs(&set, true);

    assert_int_equal(xattr_set_copy(&set, &copy), STORE_OK);
    assert_sets_equal(&set, &copy);
    assert_int_equal(xattr_set_put(&set, "user.b", "other", 5), STORE_OK);
    assert_int_equal(set.count, 4);
    const struct xattr *found = xattr_set_find(&set, "user.b");
    assert_non_null(found);
    assert_int_equal(found->length, 5);
    assert_memory_equal(found->value, "other", 5);
    assert_memory_equal(xattr_set_find(&copy, "user.b")->value, "bee", 3);

    assert_int_equal(xattr_set_remove(&set, "user.a"), STORE_OK);
    assert_null(xattr_set_find(&set, "user.a"));
    assert_non_null(xattr_set_find(&set, "user.\xff"));
    assert_int_equal(set.count, 3);
    xattr_set_release(&set);
    assert_int_equal(set.count, 0);
    assert_int_equal(xattr_set_copy(&set, &set), STORE_OK);
    xattr_set_release(&copy);
}

static void test_record__xattr_limits(void **state) {
    (void)state;
    struct xattr_set set = {0};
    char name[NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    uint8_t *value = calloc(1, XATTR_VALUE_MAX + 1);
    assert_non_null(value);
    assert_int_equal(xattr_set_put(&set, "", "x", 1), STORE_INVALID);
    assert_int_equal(xattr_set_put(&set, name, "x", 1), STORE_TOO_BIG);
    assert_int_equal(xattr_set_put(&set, "user.a", value, XATTR_VALUE_MAX + 1), STORE_TOO_BIG);
    assert_int_equal(set.count, 0);
    name[NAME_BYTES_MAX] = '\0';
    assert_int_equal(xattr_set_put(&set, name, value, XATTR_VALUE_MAX), STORE_OK);
    check_xattrs(&set, false);

    /* all of them together: the sixteenth value of 64 KiB is too much */
    uint8_t *data = NULL;
    size_t length = 0;
    for (const char *letter = "abcdefghijklmn"; *letter; letter++) {
        assert_int_equal(xattr_set_put(&set, (char[]){*letter, '\0'}, value, XATTR_VALUE_MAX), STORE_OK);
        assert_int_equal(xattr_set_encode(&set, &data, &length), STORE_OK);
        free(data);
    }
    assert_int_equal(xattr_set_put(&set, "z", value, XATTR_VALUE_MAX), STORE_OK);
    assert_int_equal(xattr_set_encode(&set, &data, &length), STORE_TOO_BIG);
    xattr_set_release(&set);
    free(value);
}

static void test_record__xattr_refuses_what_no_encoder_writes(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint8_t bytes[16];
        size_t length;
    } cases[] = {
        {"names out of order", {1, 2, 1, 'b', 0, 1, 'a', 0}, 8},
        {"a name twice", {1, 2, 1, 'a', 0, 1, 'a', 0}, 8},
        {"an empty name", {1, 1, 0, 0, 0}, 5},
        {"a NUL in a name", {1, 1, 2, 'a', 0, 0}, 6},
        {"more items than bytes", {1, 3, 1, 'a', 0}, 5},
        {"a value past the end", {1, 1, 1, 'a', 2, 'x'}, 6},
        {"a later version", {2, 0}, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (check_recode(recode_xattrs, cases[i].bytes, cases[i].length) != STORE_CORRUPT)
            fail_msg("%s is accepted", cases[i].what);
    }
    check_random_bytes(recode_xattrs, 8);

    uint8_t *huge = calloc(1, XATTR_SET_MAX + 1);
    assert_non_null(huge);
    struct xattr_set set;
    huge[0] = 1;
    assert_int_equal(xattr_set_decode(huge, XATTR_SET_MAX + 1, &set), STORE_CORRUPT);
    free(huge);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record__inode_bytes),
        cmocka_unit_test(test_record__inode_of_every_type),
        cmocka_unit_test(test_record__inode_symlink),
        cmocka_unit_test(test_record__inode_far_ends),
        cmocka_unit_test(test_record__inode_random),
        cmocka_unit_test(test_record__inode_refuses_what_no_encoder_writes),
        cmocka_unit_test(test_record__chunk_bytes),
        cmocka_unit_test(test_record__chunk_round_trips),
        cmocka_unit_test(test_record__chunk_random),
        cmocka_unit_test(test_record__chunks_differ_in_any_number),
        cmocka_unit_test(test_record__chunk_refuses_extents_out_of_bounds),
        cmocka_unit_test(test_record__xattr_bytes),
        cmocka_unit_test(test_record__xattr_set_operations),
        cmocka_unit_test(test_record__xattr_limits),
        cmocka_unit_test(test_record__xattr_refuses_what_no_encoder_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
