/* copy_file_range(2): sharing what is stored must look as if bytes were copied. */
#include "tests/posix.h"

#define SIZE 300000

struct copy {
    const char *name;
    off_t from, to;
    size_t length;
    bool same; /* within one file */
};

static const struct copy copies[] = {
    {"all", 0, 0, SIZE, false},
    {"unaligned", 1001, 2003, 100000, false},
    {"bytes", 65530, 65533, 10, false},
    {"chunks", 65536, 131072, 131072, false},
    {"chunks-shifted", 65536, 131073, 131072, false},
    {"over-the-source's-end", SIZE - 5000, 0, 100000, false},
    {"past-the-target's-end", 0, SIZE + 100000, 100000, false},
    {"up-to-the-target's-end", 100000, SIZE - 10, 100000, false},
    {"same-file-forward", 0, 150000, 150000, true},
    {"same-file-backward", 150000, 0, 150000, true},
    {"same-file-extending", 0, SIZE, SIZE, true},
    {"same-file-bytes", 10, 20, 10, true},
    {"same-file-adjacent", 65536, 131072, 65536, true},
};

/* The calls that a whole copy takes. How much each copies is up to the filesystem. */
static size_t copy_all(int from, off_t at, int to, off_t target, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t copied = must(copy_file_range(from, &at, to, &target, length - done, 0));
        if (copied == 0)
            break;
        done += (size_t)copied;
    }
    return done;
}

static void copy(const void *row) {
    const struct copy *what = row;
    enum { ROOM = 2 * SIZE + 100000 };
    uint8_t *source = calloc(1, ROOM), *model = calloc(1, ROOM), *buffer = malloc(ROOM);
    must_be(source && model && buffer, "out of memory");
    for (int stored = 0; stored < 2; stored++) {
        put_pattern("source", SIZE, 1);
        put_pattern("target", SIZE, 2);
        fill_pattern(source, SIZE, 0, 1);
        fill_pattern(model, SIZE, 0, what->same ? 1 : 2);
        memset(model + SIZE, 0, ROOM - SIZE);
        int from = must(open("source", O_RDWR)), to = must(open(what->same ? "source" : "target", O_RDWR));
        if (stored) {
            must(fsync(from));
            must(fsync(to));
        }
        size_t expected = what->length;
        if (what->from + (off_t)expected > SIZE)
            expected = (size_t)(SIZE - what->from);
        must_equal(copy_all(from, what->from, to, what->to, what->length), expected);
        memcpy(model + what->to, source + what->from, expected);
        size_t end = (size_t)what->to + expected, size = end > SIZE ? end : SIZE;
        must_equal(status_of_fd(to).st_size, size);
        must_equal(pread(to, buffer, ROOM, 0), size);
        must_be(!memcmp(buffer, model, size), "the target is not what it should be");
        if (!what->same) {
            /* From now on they are two. */
            must_equal(pwrite(from, "source", 6, what->from), 6);
            must(ftruncate(from, what->from + 8));
            must_equal(pwrite(to, "target", 6, (off_t)end - 6), 6);
            memcpy(model + end - 6, "target", 6);
            must(fsync(from));
            must(fsync(to));
            must_equal(pread(to, buffer, ROOM, 0), size);
            must_be(!memcmp(buffer, model, size), "a change of the source shows in the target");
            must(ftruncate(from, 0));
            must_equal(pread(to, buffer, ROOM, 0), size);
            must_be(!memcmp(buffer, model, size), "truncation of the source shows in the target");
        }
        close(from);
        close(to);
    }
}

static void refusals(const void *row) {
    (void)row;
    put_pattern("file", 100000, 1);
    put_file("other", "x");
    must(mkdir("directory", 0755));
    int fd = must(open("file", O_RDWR)), reader = must(open("file", O_RDONLY)), writer = must(open("other", O_WRONLY));
    int appender = must(open("other", O_WRONLY | O_APPEND)), directory = must(open("directory", O_RDONLY));
    loff_t zero = 0, near = 1000, negative = -1, past = 200000;
    must_fail(EINVAL, copy_file_range(fd, &zero, fd, &near, 2000, 0)); /* they overlap */
    must_fail(EINVAL, copy_file_range(fd, &near, fd, &zero, 2000, 0));
    must_fail(EINVAL, copy_file_range(fd, &zero, fd, &zero, 2000, 0));
    must_fail(EBADF, copy_file_range(writer, &zero, fd, &zero, 10, 0));
    must_fail(EBADF, copy_file_range(fd, &zero, reader, &zero, 10, 0));
    must_fail(EBADF, copy_file_range(fd, &zero, appender, &zero, 10, 0));
    must_fail(EINVAL, copy_file_range(fd, &zero, writer, &zero, 10, 1));
    must_fail(EISDIR, copy_file_range(directory, &zero, writer, &zero, 10, 0));
    must_be(copy_file_range(fd, &negative, writer, &zero, 10, 0) == -1 && (errno == EINVAL || errno == EOVERFLOW),
            "a negative offset: expected EINVAL or EOVERFLOW, got %s", strerrorname_np(errno));
    must_equal(copy_file_range(fd, &past, writer, &zero, 10, 0), 0);
    must_equal(copy_file_range(fd, &zero, writer, &zero, 0, 0), 0);
    must_contain("other", "x");
}

/* Without given offsets those of the open files count, and move. */
static void positions(const void *row) {
    (void)row;
    put_file("from", "0123456789");
    int from = must(open("from", O_RDONLY)), to = must(open("to", O_RDWR | O_CREAT, 0644));
    must(lseek(from, 2, SEEK_SET));
    must_equal(copy_file_range(from, NULL, to, NULL, 3, 0), 3);
    must_equal(copy_file_range(from, NULL, to, NULL, 3, 0), 3);
    must_equal(lseek(from, 0, SEEK_CUR), 8);
    must_equal(lseek(to, 0, SEEK_CUR), 6);
    must_contain("to", "234567");
}

/* What another descriptor wrote a moment ago is copied. */
static void of_fresh_writes(const void *row) {
    (void)row;
    int from = must(open("from", O_RDWR | O_CREAT, 0644)), to = must(open("to", O_RDWR | O_CREAT, 0644));
    char buffer[8192];
    for (int i = 0; i < 50; i++) {
        memset(buffer, 'a' + i % 26, sizeof buffer);
        must_equal(pwrite(from, buffer, sizeof buffer, (off_t)i * 3000), sizeof buffer);
        must_equal(copy_all(from, (off_t)i * 3000, to, (off_t)i * 5000, sizeof buffer), sizeof buffer);
        must_hold_byte(to, (off_t)i * 5000, sizeof buffer, 'a' + i % 26);
        must_equal(pwrite(to, "Z", 1, (off_t)i * 5000 + 1), 1);
        must_hold_byte(from, (off_t)i * 3000, sizeof buffer, 'a' + i % 26);
    }
}

static void of_holes(const void *row) {
    (void)row;
    int from = must(open("from", O_RDWR | O_CREAT, 0644)), to = must(open("to", O_RDWR | O_CREAT, 0644));
    must(ftruncate(from, 1 << 20));
    must_equal(pwrite(from, "island", 6, 500000), 6);
    put_pattern("to", 1 << 20, 3);
    must_equal(copy_all(from, 0, to, 0, 1 << 20), 1 << 20);
    must_hold_byte(to, 0, 500000, 0);
    must_hold_byte(to, 500000, 1, 'i');
    must_hold_byte(to, 500006, (1 << 20) - 500006, 0);
}

static const struct posix_case cases[] = {
    {"refusals", refusals},
    {"positions", positions},
    {"of-fresh-writes", of_fresh_writes},
    {"of-holes", of_holes},
};

void posix_copy(void) {
    for (size_t i = 0; i < COUNT(copies); i++)
        posix_case("copy", copies[i].name, copy, &copies[i]);
    posix_cases("copy", cases, COUNT(cases));
}
