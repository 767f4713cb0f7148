/* Contents: read, write, truncate, their limits, and direct I/O. */
#include "tests/posix.h"

#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#define MiB (1 << 20)

/* ---- what is written is read, in any sizes ---- */

struct sizes {
    const char *name;
    size_t total, write, read;
};

static const struct sizes transfers[] = {
    {"one-byte-at-a-time", 3000, 1, 7},
    {"odd", 300000, 4097, 65535},
    {"small-writes-large-reads", 200000, 100, 1 << 20},
    {"large-writes-small-reads", 2 * MiB, MiB, 511},
    {"all-at-once", 5 * MiB, 5 * MiB, 5 * MiB},
    {"chunk-less-one", 4 * 65535, 65535, 65536},
    {"chunk-and-one", 4 * 65537, 65537, 65536},
    {"empty", 0, 1, 1},
};

static void transfer(const void *row) {
    const struct sizes *sizes = row;
    char *buffer = malloc(sizes->total + sizes->read + 1), *expected = malloc(sizes->total + 1);
    must_be(buffer && expected, "out of memory");
    fill_pattern(expected, sizes->total, 0, 1);
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    for (size_t at = 0; at < sizes->total; at += sizes->write) {
        size_t length = sizes->total - at < sizes->write ? sizes->total - at : sizes->write;
        must_equal(write(fd, expected + at, length), length);
    }
    must_equal(status_of_fd(fd).st_size, sizes->total);
    for (int again = 0; again < 2; again++) {
        size_t at = 0;
        ssize_t got;
        must(lseek(fd, 0, SEEK_SET));
        while ((got = must(read(fd, buffer + at, sizes->read))) > 0) {
            must_equal(got, sizes->total - at < sizes->read ? sizes->total - at : sizes->read);
            at += (size_t)got;
        }
        must_equal(at, sizes->total);
        must_be(!memcmp(buffer, expected, sizes->total), "what is read is not what was written");
        must(close(fd));
        fd = must(open("file", O_RDWR));
    }
}

/* Writes at random places, over each other, against the same in memory; now and then truncated. */
static void random_places(const void *row) {
    (void)row;
    enum { SIZE = 400000, WRITES = 1500 };
    uint8_t *model = calloc(1, SIZE), *buffer = malloc(SIZE);
    must_be(model && buffer, "out of memory");
    unsigned seed = 12345;
    size_t size = 0;
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    for (int i = 0; i < WRITES; i++) {
        size_t at = (size_t)rand_r(&seed) % SIZE, length = (size_t)rand_r(&seed) % (i % 10 ? 3000 : 100000);
        length = at + length > SIZE ? SIZE - at : length;
        if (i % 97 == 96) {
            must(ftruncate(fd, (off_t)at));
            if (at < size)
                memset(model + at, 0, size - at);
            size = at;
        } else if (length > 0) {
            fill_pattern(buffer, length, at, (unsigned)i);
            memcpy(model + at, buffer, length);
            must_equal(pwrite(fd, buffer, length, (off_t)at), length);
            size = at + length > size ? at + length : size;
        }
        if (i % 50 == 49) {
            must_equal(status_of_fd(fd).st_size, size);
            must_equal(pread(fd, buffer, SIZE, 0), size);
            must_be(!memcmp(buffer, model, size), "after change %d the file is not what was written", i);
        }
        if (i % 300 == 299)
            must(fsync(fd));
    }
}

/* ---- truncate ---- */

/* Down and up again: what was cut off is gone. */
static void cut_bytes_do_not_come_back(const void *row) {
    (void)row;
    static const off_t cuts[] = {0, 1, 511, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 199999};
    put_pattern("file", 200000, 1);
    int fd = must(open("file", O_RDWR));
    for (size_t i = COUNT(cuts); i-- > 0;) {
        must(ftruncate(fd, cuts[i]));
        must_equal(status_of_fd(fd).st_size, cuts[i]);
        must(ftruncate(fd, 200000));
        must_equal(status_of_fd(fd).st_size, 200000);
        must_hold_pattern(fd, 0, (size_t)cuts[i], 0, 1);
        must_hold_byte(fd, cuts[i], 200000 - (size_t)cuts[i], 0);
    }
    put_pattern("file", 200000, 2);
    must(fsync(fd)); /* the same once it has been stored, and by another way of growing */
    for (size_t i = COUNT(cuts); i-- > 0;) {
        must(ftruncate(fd, cuts[i]));
        must_equal(pwrite(fd, "x", 1, 199999), 1);
        must_hold_byte(fd, cuts[i], 199999 - (size_t)cuts[i], 0);
        must(fsync(fd));
        must_hold_pattern(fd, 0, (size_t)cuts[i], 0, 2);
    }
}

static void truncate_refusals(const void *row) {
    (void)row;
    put_file("file", "x");
    must(mkdir("directory", 0755));
    int fd = must(open("file", O_RDONLY));
    must_fail(EINVAL, truncate("file", -1));
    must_fail(EINVAL, ftruncate(fd, 0));
    must_fail(EISDIR, truncate("directory", 0));
    must_fail(ENOENT, truncate("missing", 0));
    must_contain("file", "x");
}

static void extended_is_zero(const void *row) {
    (void)row;
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must(ftruncate(fd, 1000000));
    must_hold_byte(fd, 0, 1000000, 0);
    must_equal(pwrite(fd, "x", 1, 500000), 1);
    must_hold_byte(fd, 0, 500000, 0);
    must_hold_byte(fd, 500001, 499999, 0);
}

static void reading_at_the_end(const void *row) {
    (void)row;
    char buffer[100];
    put_file("file", "0123456789");
    int fd = must(open("file", O_RDWR));
    must_equal(pread(fd, buffer, 100, 0), 10);
    must_equal(pread(fd, buffer, 100, 9), 1);
    must_equal(pread(fd, buffer, 100, 10), 0);
    must_equal(pread(fd, buffer, 100, 1000000), 0);
    must_fail(EINVAL, pread(fd, buffer, 1, -1));
    must_fail(EINVAL, pwrite(fd, buffer, 1, -1));
    const void *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must_fail(EFAULT, write(fd, bad, 10));
    must_equal(status_of_fd(fd).st_size, 10);
    must_equal(lseek(fd, 0, SEEK_END), 10);
    must_equal(lseek(fd, 5, SEEK_END), 15);
    must_equal(read(fd, buffer, 1), 0);
    must_equal(write(fd, "x", 1), 1);
    must_hold_byte(fd, 10, 5, 0);
    must_fail(EINVAL, lseek(fd, -1, SEEK_SET));
    must_fail(EINVAL, lseek(fd, 0, 99));
    must_equal(lseek(fd, 0, SEEK_CUR), 16);
}

static void vectors(const void *row) {
    (void)row;
    char a[3], b[300], c[70000], text[64] = "";
    memset(a, 'a', sizeof a);
    memset(b, 'b', sizeof b);
    memset(c, 'c', sizeof c);
    const struct iovec out[] = {{a, sizeof a}, {b, sizeof b}, {c, 0}, {c, sizeof c}};
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must_equal(writev(fd, out, COUNT(out)), 70303);
    must_hold_byte(fd, 0, 3, 'a');
    must_hold_byte(fd, 3, 300, 'b');
    must_hold_byte(fd, 303, 70000, 'c');
    const struct iovec in[] = {{text, 2}, {text + 10, 2}};
    must_equal(preadv(fd, in, COUNT(in), 1), 4);
    must_be(!memcmp(text, "aa", 2) && !memcmp(text + 10, "bb", 2), "preadv: got %.2s and %.2s", text, text + 10);
    must_equal(pwritev(fd, out, 1, 100000), 3);
    must_equal(status_of_fd(fd).st_size, 100003);
}

/* ---- limits ---- */

static void beyond_4_gib(const void *row) {
    (void)row;
    static const off_t offsets[] = {0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x1000000ff0, 0xfffff000000};
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    for (size_t i = 0; i < COUNT(offsets); i++) {
        char buffer[64];
        fill_pattern(buffer, sizeof buffer, (size_t)offsets[i], 9);
        must_equal(pwrite(fd, buffer, sizeof buffer, offsets[i]), 64);
        must_equal(status_of_fd(fd).st_size, offsets[i] + 64);
    }
    for (size_t i = 0; i < COUNT(offsets); i++) {
        must_hold_pattern(fd, offsets[i], i == 0 ? 1 : 64, (size_t)offsets[i], 9);
        if (i > 0)
            must_hold_byte(fd, offsets[i] - 200, 64, 0);
    }
    must_be(status_of_fd(fd).st_blocks < 10000, "st_blocks of a sparse file: got %lld",
            (long long)status_of_fd(fd).st_blocks);
    must(ftruncate(fd, 0x100000001));
    must_hold_pattern(fd, 0x100000000, 1, 0x100000000, 9);
}

/* Whatever the largest file is: up to there all works, and beyond it is EFBIG. */
static void near_the_largest_offset(const void *row) {
    (void)row;
    char buffer[16];
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must_be(pwrite(fd, "x", 1, LLONG_MAX) == -1 && (errno == EFBIG || errno == EINVAL || errno == EOVERFLOW),
            "pwrite at 2^63 - 1: expected EFBIG, EINVAL or EOVERFLOW, got %s", strerrorname_np(errno));
    must_equal(status_of_fd(fd).st_size, 0);
    ssize_t written = pwrite(fd, "0123456789", 10, LLONG_MAX - 10);
    must_be(written == 10 || (written == -1 && errno == EFBIG), "pwrite at 2^63 - 11: expected 10 or EFBIG, got %zd %s",
            written, written < 0 ? strerrorname_np(errno) : "");
    if (written == 10) {
        must_equal(status_of_fd(fd).st_size, LLONG_MAX);
        must_equal(pread(fd, buffer, 10, LLONG_MAX - 10), 10);
        must_be(!memcmp(buffer, "0123456789", 10), "what was written below 2^63 came back as %.10s", buffer);
        must(ftruncate(fd, 1));
    }
    must_equal(status_of_fd(fd).st_size, written == 10);
    int rc = ftruncate(fd, LLONG_MAX);
    must_be(rc == 0 || errno == EFBIG, "ftruncate to 2^63 - 1: expected success or EFBIG, got %s",
            strerrorname_np(errno));
    must_equal(status_of_fd(fd).st_size, rc == 0 ? LLONG_MAX : written == 10);
    must_be(pread(fd, buffer, 1, LLONG_MAX - 1) >= 0 || errno == EINVAL, "pread at 2^63 - 2: got %s",
            strerrorname_np(errno));
}

static void size_limit_of_the_process(const void *row) {
    (void)row;
    signal(SIGXFSZ, SIG_IGN);
    must(setrlimit(RLIMIT_FSIZE, &(struct rlimit){10000, 10000}));
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    char buffer[6000];
    memset(buffer, 'x', sizeof buffer);
    must_equal(write(fd, buffer, 6000), 6000);
    must_equal(write(fd, buffer, 6000), 4000);
    must_fail(EFBIG, write(fd, buffer, 1));
    must_fail(EFBIG, pwrite(fd, buffer, 1, 20000));
    must_fail(EFBIG, ftruncate(fd, 10001));
    must_fail(EFBIG, truncate("file", 20000));
    must_equal(status_of("file").st_size, 10000);
    must(ftruncate(fd, 10));
}

/* ---- st_blocks ---- */

static void blocks(const void *row) {
    (void)row;
    put_file("empty", "");
    must_equal(status_of("empty").st_blocks, 0);
    put_pattern("file", 100000, 1);
    int fd = must(open("file", O_RDWR));
    must(fsync(fd));
    struct stat st = status_of("file");
    must_be(st.st_blocks >= 100000 / 512 && st.st_blocks <= 400, "st_blocks of 100,000 bytes: got %lld",
            (long long)st.st_blocks);
    must(ftruncate(fd, 10));
    must(fsync(fd));
    must_be(status_of("file").st_blocks <= 16, "st_blocks after truncation: got %lld",
            (long long)status_of("file").st_blocks);
    must(ftruncate(fd, 1000000000));
    must(fsync(fd));
    must_be(status_of("file").st_blocks <= 16, "st_blocks after growing: got %lld",
            (long long)status_of("file").st_blocks);
    must_equal(pwrite(fd, "x", 1, 999999999), 1);
    must(fsync(fd));
    st = status_of("file");
    must_be(st.st_blocks >= 1 && st.st_blocks <= 256, "st_blocks of two pieces: got %lld", (long long)st.st_blocks);
    must_be(st.st_blksize >= 512 && (st.st_blksize & (st.st_blksize - 1)) == 0, "st_blksize: got %ld",
            (long)st.st_blksize);
}

/* ---- direct I/O, and with synchronous flags ---- */

static void direct(const void *row) {
    (void)row;
    enum { SIZE = 65536 };
    char *buffer = aligned_alloc(4096, SIZE);
    must_be(buffer, "out of memory");
    int fd = open("file", O_RDWR | O_CREAT | O_DIRECT, 0644);
    if (fd < 0 && errno == EINVAL)
        posix_skip("O_DIRECT: EINVAL");
    must(fd);
    fill_pattern(buffer, SIZE, 0, 4);
    must_equal(pwrite(fd, buffer, SIZE, 0), SIZE);
    must_equal(pwrite(fd, buffer, SIZE, SIZE), SIZE);
    must_equal(status_of("file").st_size, 2 * SIZE);
    memset(buffer, 0, SIZE);
    must_equal(pread(fd, buffer, SIZE, SIZE), SIZE);
    int plain = must(open("file", O_RDWR));
    must_hold_pattern(plain, SIZE, SIZE, 0, 4);
    /* Each sees what the other wrote. */
    must_equal(pwrite(plain, "plain", 5, 4096), 5);
    must_equal(pread(fd, buffer, 4096, 4096), 4096);
    must_be(!memcmp(buffer, "plain", 5), "direct read of a plain write: got %.5s", buffer);
    memset(buffer, 'd', 4096);
    must_equal(pwrite(fd, buffer, 4096, 4096), 4096);
    must_hold_byte(plain, 4096, 4096, 'd');
    must_equal(pread(fd, buffer, SIZE, 2 * SIZE), 0);
    must_equal(pread(fd, buffer, SIZE, 2 * SIZE - 4096), 4096);
}

static void synchronous(const void *row) {
    (void)row;
    static const int flags[] = {O_SYNC, O_DSYNC, O_SYNC | O_APPEND};
    for (size_t i = 0; i < COUNT(flags); i++) {
        int fd = must(open("file", O_RDWR | O_CREAT | flags[i], 0644));
        must_equal(write(fd, "abc", 3), 3);
        must(close(fd));
    }
    must_contain("file", "abcabc");
}

static void syncs(const void *row) {
    (void)row;
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    int reader = must(open("file", O_RDONLY));
    must_equal(write(fd, "abc", 3), 3);
    must(fsync(fd));
    must(fdatasync(fd));
    must(fsync(fd));
    must(fsync(reader));
    must(syncfs(fd));
    must_be(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) == 0, "sync_file_range: got %s", strerrorname_np(errno));
    must_be(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise failed");
    must_be(readahead(fd, 0, 3) == 0, "readahead: got %s", strerrorname_np(errno));
    must_contain("file", "abc");
    int directory = must(open(".", O_RDONLY | O_DIRECTORY));
    must(fsync(directory));
    must(fdatasync(directory));
    must(syncfs(directory));
    int ends[2];
    must(pipe(ends));
    must_fail(EINVAL, fsync(ends[0]));
}

static void spliced(const void *row) {
    (void)row;
    int ends[2];
    off_t at = 0;
    put_pattern("from", 100000, 7);
    int from = must(open("from", O_RDONLY)), to = must(open("to", O_RDWR | O_CREAT, 0644));
    while (at < 60000)
        must_be(sendfile(to, from, &at, 60000 - (size_t)at) > 0, "sendfile: got %s", strerrorname_np(errno));
    must_hold_pattern(to, 0, 60000, 0, 7);
    must(pipe(ends));
    for (loff_t in = 60000, out = 60000; in < 100000;) {
        ssize_t moved = must(splice(from, &in, ends[1], NULL, 32768, 0));
        must_be(moved > 0, "splice into a pipe: got nothing");
        while (moved > 0)
            moved -= must(splice(ends[0], NULL, to, &out, (size_t)moved, 0));
    }
    must_equal(status_of("to").st_size, 100000);
    must_hold_pattern(to, 0, 100000, 0, 7);
}

static const struct posix_case cases[] = {
    {"random-places", random_places},
    {"cut-bytes-do-not-come-back", cut_bytes_do_not_come_back},
    {"truncate-refusals", truncate_refusals},
    {"extended-is-zero", extended_is_zero},
    {"reading-at-the-end", reading_at_the_end},
    {"vectors", vectors},
    {"beyond-4-GiB", beyond_4_gib},
    {"near-the-largest-offset", near_the_largest_offset},
    {"size-limit-of-the-process", size_limit_of_the_process},
    {"blocks", blocks},
    {"direct", direct},
    {"synchronous", synchronous},
    {"syncs", syncs},
    {"spliced", spliced},
};

void posix_data(void) {
    char name[64];
    for (size_t i = 0; i < COUNT(transfers); i++) {
        snprintf(name, sizeof name, "transfer-%s", transfers[i].name);
        posix_case("data", name, transfer, &transfers[i]);
    }
    posix_cases("data", cases, COUNT(cases));
}
