/* Memory mappings: what goes through them and through read and write is one content. */
#include "tests/posix.h"

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#define PAGE 4096
#define SIZE (40 * PAGE)

static char *map_file(const char *path, int protection, int flags, size_t size) {
    int fd = must(open(path, O_RDWR));
    char *map = must(mmap(NULL, size, protection, flags, fd, 0));
    close(fd);
    return map;
}

static void shared_both_ways(const void *row) {
    (void)row;
    put_pattern("file", SIZE, 1);
    int fd = must(open("file", O_RDWR));
    char *map = map_file("file", PROT_READ | PROT_WRITE, MAP_SHARED, SIZE);
    for (int i = 0; i < 40; i++) {
        off_t at = (off_t)i * PAGE + i * 7;
        must_equal(pwrite(fd, "written", 7, at), 7);
        must_be(!memcmp(map + at, "written", 7), "what was written does not show in the mapping at %lld",
                (long long)at);
        memcpy(map + at + 10, "mapped", 6);
        char text[6];
        must_equal(pread(fd, text, 6, at + 10), 6);
        must_be(!memcmp(text, "mapped", 6), "what was stored through the mapping is not read at %lld", (long long)at);
    }
    must(munmap(map, SIZE));
    must(fsync(fd));
    char text[6];
    must_equal(pread(fd, text, 6, 10), 6);
    must_be(!memcmp(text, "mapped", 6), "after munmap and fsync it is gone");
}

static void private_stays_private(const void *row) {
    (void)row;
    put_pattern("file", SIZE, 1);
    int fd = must(open("file", O_RDONLY));
    char *map = must(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    memset(map, 'p', SIZE);
    must_hold_pattern(fd, 0, SIZE, 0, 1);
    must(munmap(map, SIZE));
    must_hold_pattern(fd, 0, SIZE, 0, 1);
}

/* Stored through a mapping and left dirty: open, fsync and read again must find it. */
static void stored(const void *row) {
    (void)row;
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must(ftruncate(fd, SIZE));
    char *map = must(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    fill_pattern(map, SIZE, 0, 3);
    must(munmap(map, SIZE));
    must(close(fd));
    fd = must(open("file", O_RDWR));
    must_hold_pattern(fd, 0, SIZE, 0, 3);
    must(fsync(fd));
    must_be(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "posix_fadvise failed");
    must_hold_pattern(fd, 0, SIZE, 0, 3);
}

static void synced(const void *row) {
    (void)row;
    put_pattern("file", SIZE, 1);
    char *map = map_file("file", PROT_READ | PROT_WRITE, MAP_SHARED, SIZE);
    fill_pattern(map + PAGE, PAGE, 0, 2);
    must(msync(map, SIZE, MS_SYNC));
    int fd = must(open("file", O_RDONLY));
    must_hold_pattern(fd, PAGE, PAGE, 0, 2);
    must(msync(map, SIZE, MS_ASYNC));
    must(msync(map, SIZE, MS_INVALIDATE | MS_SYNC));
    must_fail(EINVAL, msync(map + 1, PAGE, MS_SYNC));
    must(munmap(map, SIZE));
    must_fail(ENOMEM, msync(map, SIZE, MS_SYNC));
}

static sigjmp_buf bus_jump;

static void bus_error(int number) {
    (void)number;
    siglongjmp(bus_jump, 1);
}

/* The last page is there as a whole, zeros after the end; the page after it is not there at all. */
static void around_the_end(const void *row) {
    (void)row;
    put_pattern("file", PAGE + 100, 1);
    int fd = must(open("file", O_RDWR));
    volatile char *map = map_file("file", PROT_READ | PROT_WRITE, MAP_SHARED, 4 * PAGE);
    for (int i = 100; i < PAGE; i++)
        must_be(map[PAGE + i] == 0, "byte %d after the end: expected 0, got %d", i, map[PAGE + i]);
    map[PAGE + 200] = 'x'; /* allowed, and lost */
    signal(SIGBUS, bus_error);
    bool failed = true;
    if (sigsetjmp(bus_jump, 1) == 0) {
        (void)map[2 * PAGE];
        failed = false;
    }
    must_be(failed, "a page after the end: expected SIGBUS");
    must_equal(status_of_fd(fd).st_size, PAGE + 100);
    must(ftruncate(fd, 3 * PAGE));
    must_hold_byte(fd, PAGE + 100, 2 * PAGE - 100, 0); /* what was stored after the end is not part of the file */
    must_be(map[2 * PAGE] == 0, "after growing: expected 0, got %d", map[2 * PAGE]);
    map[2 * PAGE] = 'y';
    must_hold_byte(fd, 2 * PAGE, 1, 'y');
}

static void truncated_below(const void *row) {
    (void)row;
    put_pattern("file", 4 * PAGE, 1);
    int fd = must(open("file", O_RDWR));
    volatile char *map = map_file("file", PROT_READ | PROT_WRITE, MAP_SHARED, 4 * PAGE);
    map[3 * PAGE] = 'x';
    map[PAGE + 10] = 'y';
    must(ftruncate(fd, PAGE + 5));
    signal(SIGBUS, bus_error);
    bool failed = true;
    if (sigsetjmp(bus_jump, 1) == 0) {
        (void)map[3 * PAGE];
        failed = false;
    }
    must_be(failed, "a page that was cut off: expected SIGBUS");
    must_be(map[PAGE + 10] == 0, "a byte that was cut off: expected 0, got %d", map[PAGE + 10]);
    must(ftruncate(fd, 4 * PAGE));
    must_hold_byte(fd, PAGE + 5, 3 * PAGE - 5, 0);
    must_hold_pattern(fd, 0, PAGE + 5, 0, 1);
    must_be(map[3 * PAGE] == 0, "a byte that was cut off, after growing: expected 0, got %d", map[3 * PAGE]);
}

static void other_side(void *argument) {
    struct turns *turns = argument;
    uint32_t *words = (uint32_t *)(void *)map_file("file", PROT_READ | PROT_WRITE, MAP_SHARED, PAGE);
    for (uint32_t i = 0; i < 100; i++) {
        (void)turns_take(turns->to_child[0]);
        must_equal(words[i], i * 3);
        words[i + 200] = i * 5;
        turns_pass(turns->to_parent[1]);
    }
}

static void between_processes(const void *row) {
    (void)row;
    struct turns turns;
    turns_init(&turns);
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must(ftruncate(fd, PAGE));
    pid_t child = child_start(other_side, &turns);
    must(close(turns.to_parent[1]));
    uint32_t *words = (uint32_t *)(void *)map_file("file", PROT_READ | PROT_WRITE, MAP_SHARED, PAGE);
    for (uint32_t i = 0; i < 100; i++) {
        words[i] = i * 3;
        turns_pass(turns.to_child[1]);
        if (!turns_take(turns.to_parent[0]))
            break;
        must_equal(words[i + 200], i * 5);
        uint32_t read_back;
        must_equal(pread(fd, &read_back, 4, (off_t)(i + 200) * 4), 4);
        must_equal(read_back, i * 5);
    }
    child_end(child);
}

static void protection(const void *row) {
    (void)row;
    put_file("file", "text");
    int reader = must(open("file", O_RDONLY)), writer = must(open("file", O_WRONLY));
    must_fail(EACCES, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0));
    must_fail(EACCES, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, writer, 0));
    must_fail(EACCES, mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, writer, 0));
    must_fail(EINVAL, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 100));
    must_fail(EINVAL, mmap(NULL, 0, PROT_READ, MAP_SHARED, reader, 0));
    char *map = must(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0));
    must_fail(EACCES, mprotect(map, PAGE, PROT_READ | PROT_WRITE));
    int directory = must(open(".", O_RDONLY));
    must_fail(ENODEV, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, directory, 0));
}

/* A mapping outlives its descriptor and its name. */
static void outlives_its_name(const void *row) {
    (void)row;
    put_pattern("file", SIZE, 1);
    put_file("new", "another");
    char *map = map_file("file", PROT_READ | PROT_WRITE, MAP_SHARED, SIZE);
    char *expected = malloc(SIZE);
    must_be(expected, "out of memory");
    must(rename("new", "file"));
    fill_pattern(expected, SIZE, 0, 1);
    must_be(!memcmp(map, expected, SIZE), "the mapping changed when its file's name went");
    memset(map, 'x', SIZE);
    must(msync(map, SIZE, MS_SYNC));
    must_contain("file", "another");
}

/* A hole is filled through a mapping, and the file knows. */
static void into_holes(const void *row) {
    (void)row;
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must(ftruncate(fd, 1 << 22));
    char *map = must(mmap(NULL, 1 << 22, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    memcpy(map + (1 << 21), "island", 6);
    must(msync(map, 1 << 22, MS_SYNC));
    must_hold_byte(fd, (1 << 21) - PAGE, PAGE, 0);
    must_hold_byte(fd, 1 << 21, 1, 'i');
    must_hold_byte(fd, (1 << 21) + 6, PAGE - 6, 0);
    off_t data = must(lseek(fd, 0, SEEK_DATA));
    must_be(data <= 1 << 21, "SEEK_DATA: expected at most %d, got %lld", 1 << 21, (long long)data);
    must_be(status_of_fd(fd).st_blocks >= 1, "st_blocks: expected some, got none");
    must_be(status_of_fd(fd).st_blocks <= 1024, "st_blocks: got %lld", (long long)status_of_fd(fd).st_blocks);
}

/* What was stored through a mapping is data before anybody writes it back: whoever copies the file by its holes must find it. */
static void dirty_is_no_hole(const void *row) {
    (void)row;
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must(ftruncate(fd, 1 << 22));
    char *map = must(mmap(NULL, 1 << 22, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    memcpy(map + (1 << 21), "island", 6);
    off_t data = must(lseek(fd, 0, SEEK_DATA));
    must_be(data <= 1 << 21, "SEEK_DATA: expected at most %d, got %lld", 1 << 21, (long long)data);
}

/* The same once nobody maps it any more. */
static void unmapped_is_no_hole(const void *row) {
    (void)row;
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must(ftruncate(fd, 1 << 22));
    char *map = must(mmap(NULL, 1 << 22, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    memcpy(map + (1 << 21), "island", 6);
    must(munmap(map, 1 << 22));
    off_t data = must(lseek(fd, 0, SEEK_DATA));
    must_be(data <= 1 << 21, "SEEK_DATA: expected at most %d, got %lld", 1 << 21, (long long)data);
}

/* write(2) from a mapping of the very file, and read(2) into it. */
static void copies_of_itself(const void *row) {
    (void)row;
    put_pattern("file", SIZE, 1);
    int fd = must(open("file", O_RDWR));
    char *map = must(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    must_equal(pwrite(fd, map, 20 * PAGE, 20 * PAGE), 20 * PAGE);
    must_hold_pattern(fd, 20 * PAGE, 20 * PAGE, 0, 1);
    must_equal(pread(fd, map + PAGE, PAGE, 0), PAGE);
    must_hold_pattern(fd, PAGE, PAGE, 0, 1);
}

static const struct posix_case cases[] = {
    {"shared-both-ways", shared_both_ways},
    {"private-stays-private", private_stays_private},
    {"stored", stored},
    {"synced", synced},
    {"around-the-end", around_the_end},
    {"truncated-below", truncated_below},
    {"between-processes", between_processes},
    {"protection", protection},
    {"outlives-its-name", outlives_its_name},
    {"into-holes", into_holes},
    {"dirty-is-no-hole", dirty_is_no_hole},
    {"unmapped-is-no-hole", unmapped_is_no_hole},
    {"copies-of-itself", copies_of_itself},
};

void posix_mmap(void) {
    posix_cases("mmap", cases, COUNT(cases));
}
