/* Holes: fallocate(2) in its modes, SEEK_HOLE and SEEK_DATA.
 *
 * A filesystem may keep less of a hole than was made (whole blocks only), and report none; it must never show bytes that are not
 * there, nor take data for a hole.
 */
#include "tests/posix.h"

#include <linux/falloc.h>

#define SIZE 300000

/* ---- fallocate, against the same in memory ---- */

struct allocation {
    const char *name;
    int mode;
    off_t offset, length;
};

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static const struct allocation allocations[] = {
    {"inside", 0, 1000, 5000},
    {"to-the-end", 0, 0, SIZE},
    {"over-the-end", 0, SIZE - 100, 100000},
    {"past-the-end", 0, SIZE + 70000, 100000},
    {"keep-size-inside", FALLOC_FL_KEEP_SIZE, 1000, 5000},
    {"keep-size-over-the-end", FALLOC_FL_KEEP_SIZE, SIZE - 100, 100000},
    {"punch-bytes", PUNCH, 1001, 17},
    {"punch-page", PUNCH, 8192, 4096},
    {"punch-chunks", PUNCH, 60000, 140000},
    {"punch-odd", PUNCH, 65535, 65538},
    {"punch-all", PUNCH, 0, SIZE},
    {"punch-over-the-end", PUNCH, SIZE - 5000, 100000},
    {"punch-past-the-end", PUNCH, SIZE + 5000, 100000},
    {"zero-inside", FALLOC_FL_ZERO_RANGE, 1001, 17},
    {"zero-pages", FALLOC_FL_ZERO_RANGE, 4096, 130000},
    {"zero-over-the-end", FALLOC_FL_ZERO_RANGE, SIZE - 5000, 100000},
    {"zero-past-the-end", FALLOC_FL_ZERO_RANGE, SIZE + 5000, 10000},
    {"zero-keep-size-over-the-end", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, SIZE - 5000, 100000},
};

static void allocate(const void *row) {
    const struct allocation *allocation = row;
    enum { ROOM = 500000 };
    uint8_t *model = calloc(1, ROOM), *buffer = malloc(ROOM);
    must_be(model && buffer, "out of memory");
    for (int stored = 0; stored < 2; stored++) {
        off_t size = SIZE, end = allocation->offset + allocation->length;
        put_pattern("file", SIZE, 5);
        memset(model, 0, ROOM);
        fill_pattern(model, SIZE, 0, 5);
        int fd = must(open("file", O_RDWR));
        if (stored)
            must(fsync(fd));
        if (fallocate(fd, allocation->mode, allocation->offset, allocation->length)) {
            must_be(errno == EOPNOTSUPP, "fallocate: expected success or EOPNOTSUPP, got %s", strerrorname_np(errno));
            posix_skip("fallocate mode %d: EOPNOTSUPP", allocation->mode);
        }
        if (allocation->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
            memset(model + allocation->offset, 0, (size_t)allocation->length);
        if (!(allocation->mode & FALLOC_FL_KEEP_SIZE) && end > size)
            size = end;
        must_equal(status_of_fd(fd).st_size, size);
        must_equal(pread(fd, buffer, ROOM, 0), size);
        must_be(!memcmp(buffer, model, (size_t)size), "the content is not what it should be");
        must(fsync(fd));
        must(close(fd));
        fd = must(open("file", O_RDWR));
        must_equal(pread(fd, buffer, ROOM, 0), size);
        must_be(!memcmp(buffer, model, (size_t)size), "the content is not what it should be after fsync");
        must(ftruncate(fd, ROOM)); /* what was allocated past the end is zeros */
        must_hold_byte(fd, size, ROOM - (size_t)size, 0);
        close(fd);
    }
}

static void fallocate_refusals(const void *row) {
    (void)row;
    put_file("file", "text");
    int fd = must(open("file", O_RDWR)), directory = must(open(".", O_RDONLY)), ends[2];
    must_fail(EINVAL, fallocate(fd, 0, -1, 10));
    must_fail(EINVAL, fallocate(fd, 0, 0, 0));
    must_fail(EINVAL, fallocate(fd, 0, 0, -1));
    must_fail(EOPNOTSUPP, fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 1)); /* needs KEEP_SIZE */
    must_fail(EOPNOTSUPP, fallocate(fd, 0x4000, 0, 1));
    must_fail(EBADF, fallocate(directory, 0, 0, 1));
    must(pipe(ends));
    must_fail(ESPIPE, fallocate(ends[1], 0, 0, 1));
    must_be(posix_fallocate(fd, 0, 10000) == 0, "posix_fallocate failed");
    must_equal(status_of("file").st_size, 10000);
    must_hold_byte(fd, 4, 9996, 0);
    must_be(fallocate(fd, 0, 0x7fffffffffffffff, 1) == -1 && errno == EFBIG,
            "fallocate beyond 2^63: expected EFBIG, got %s", strerrorname_np(errno));
}

static void collapse_and_insert(const void *row) {
    (void)row;
    put_pattern("file", 3 * 65536, 1);
    int fd = must(open("file", O_RDWR));
    if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 65536, 65536)) {
        must_fail(EOPNOTSUPP, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 65536, 65536));
        must_fail(EOPNOTSUPP, fallocate(fd, FALLOC_FL_INSERT_RANGE, 65536, 65536));
        must_hold_pattern(fd, 0, 3 * 65536, 0, 1);
        posix_skip("EOPNOTSUPP");
    }
    must_equal(status_of("file").st_size, 2 * 65536);
    must_hold_pattern(fd, 65536, 65536, 2 * 65536, 1);
    must(fallocate(fd, FALLOC_FL_INSERT_RANGE, 65536, 65536));
    must_equal(status_of("file").st_size, 3 * 65536);
    must_hold_byte(fd, 65536, 65536, 0);
    must_hold_pattern(fd, 2 * 65536, 65536, 2 * 65536, 1);
}

/* Space is given back. */
static void punching_frees(const void *row) {
    (void)row;
    put_pattern("file", 1 << 20, 1);
    int fd = must(open("file", O_RDWR));
    must(fsync(fd));
    blkcnt_t before = status_of("file").st_blocks;
    if (fallocate(fd, PUNCH, 0, 1 << 19))
        posix_skip("fallocate: %s", strerrorname_np(errno));
    must(fsync(fd));
    blkcnt_t after = status_of("file").st_blocks;
    must_be(after <= before / 2 + 16 && after >= before / 2 - 16, "st_blocks after punching half of %lld: got %lld",
            (long long)before, (long long)after);
}

/* ---- SEEK_HOLE and SEEK_DATA ---- */

/* Data at these multiples of STEP, STEP long; `end`: the size. */
#define STEP 131072

static const struct layout {
    const char *name;
    int data[4], count;
    off_t end;
} layouts[] = {
    {"empty", {0}, 0, 0},
    {"all-hole", {0}, 0, 10 * STEP},
    {"all-data", {0, 1, 2}, 3, 3 * STEP},
    {"data-then-hole", {0}, 1, 4 * STEP},
    {"hole-then-data", {3}, 1, 4 * STEP},
    {"islands", {1, 4, 9}, 3, 12 * STEP},
    {"far", {80000}, 1, 80001LL * STEP},
};

static void seek(const void *row) {
    const struct layout *layout = row;
    char *buffer = malloc(STEP);
    must_be(buffer, "out of memory");
    memset(buffer, 'd', STEP);
    for (int stored = 0; stored < 2; stored++) {
        int fd = must(open("file", O_RDWR | O_CREAT | O_TRUNC, 0644));
        for (int i = 0; i < layout->count; i++)
            must_equal(pwrite(fd, buffer, STEP, (off_t)layout->data[i] * STEP), STEP);
        must(ftruncate(fd, layout->end));
        if (stored)
            must(fsync(fd));
        /* Data, with a hole before and after it; each step is found, and nothing else. */
        off_t at = 0;
        for (int i = 0; i < layout->count; i++) {
            off_t begin = (off_t)layout->data[i] * STEP;
            bool joined = i + 1 < layout->count && layout->data[i + 1] == layout->data[i] + 1;
            must_equal(lseek(fd, at, SEEK_DATA), begin);
            if (at < begin)
                must_equal(lseek(fd, at, SEEK_HOLE), at);
            must_equal(lseek(fd, begin + 777, SEEK_DATA), begin + 777);
            at = begin + STEP;
            if (!joined)
                must_equal(lseek(fd, begin, SEEK_HOLE), at);
        }
        if (at < layout->end) {
            must_fail(ENXIO, lseek(fd, at, SEEK_DATA));
            must_equal(lseek(fd, at, SEEK_HOLE), at);
        }
        must_fail(ENXIO, lseek(fd, layout->end, SEEK_DATA));
        must_fail(ENXIO, lseek(fd, layout->end, SEEK_HOLE));
        must_fail(ENXIO, lseek(fd, layout->end + 1, SEEK_HOLE));
        must_fail(ENXIO, lseek(fd, -1, SEEK_DATA));
        if (layout->end)
            must_equal(lseek(fd, layout->end - 1, SEEK_HOLE), at == layout->end ? layout->end : layout->end - 1);
        close(fd);
    }
    free(buffer);
}

static void seek_after_punch(const void *row) {
    (void)row;
    put_pattern("file", 4 * STEP, 1);
    int fd = must(open("file", O_RDWR));
    if (fallocate(fd, PUNCH, STEP, 2 * STEP))
        posix_skip("fallocate: %s", strerrorname_np(errno));
    must_equal(lseek(fd, 0, SEEK_HOLE), STEP);
    must_equal(lseek(fd, STEP, SEEK_DATA), 3 * STEP);
    must_equal(lseek(fd, 3 * STEP, SEEK_HOLE), 4 * STEP);
    must_hold_byte(fd, STEP, 2 * STEP, 0);
    must_equal(pwrite(fd, "x", 1, 2 * STEP), 1);
    off_t found = must(lseek(fd, STEP, SEEK_DATA));
    must_be(found > STEP && found <= 2 * STEP, "SEEK_DATA before a byte at %d: got %lld", 2 * STEP, (long long)found);
}

static const struct posix_case cases[] = {
    {"fallocate-refusals", fallocate_refusals},
    {"collapse-and-insert", collapse_and_insert},
    {"punching-frees", punching_frees},
    {"seek-after-punch", seek_after_punch},
};

void posix_sparse(void) {
    char name[64];
    for (size_t i = 0; i < COUNT(allocations); i++) {
        snprintf(name, sizeof name, "fallocate-%s", allocations[i].name);
        posix_case("sparse", name, allocate, &allocations[i]);
    }
    for (size_t i = 0; i < COUNT(layouts); i++) {
        snprintf(name, sizeof name, "seek-%s", layouts[i].name);
        posix_case("sparse", name, seek, &layouts[i]);
    }
    posix_cases("sparse", cases, COUNT(cases));
}
