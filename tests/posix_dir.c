/* Directories: listing them, also while they change; large ones and deep ones. */
#include "tests/posix.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static DIR *open_directory(const char *path) {
    DIR *directory = opendir(path);
    must_be(directory, "opendir of %s: expected success, got %s", path, strerrorname_np(errno));
    return directory;
}

static bool is_dot(const char *name) {
    return !strcmp(name, ".") || !strcmp(name, "..");
}

/* How many times "f<n>" is listed, n below `count`; other names but the dots are refused, unless they start with x. */
static void count_names(DIR *directory, uint8_t *seen, size_t count) {
    struct dirent *entry;
    memset(seen, 0, count);
    errno = 0;
    while ((entry = readdir(directory))) {
        if (is_dot(entry->d_name) || entry->d_name[0] == 'x')
            continue;
        size_t number = strtoul(entry->d_name + 1, NULL, 10);
        must_be(entry->d_name[0] == 'f' && number < count, "a name that nobody made: %s", entry->d_name);
        seen[number]++;
        errno = 0;
    }
    must_be(errno == 0, "readdir: got %s", strerrorname_np(errno));
}

static void make_names(const char *prefix, size_t count) {
    char name[32];
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s%zu", prefix, i);
        must(mknod(name, S_IFREG | 0644, 0));
    }
}

static void each_once(const uint8_t *seen, size_t count) {
    for (size_t i = 0; i < count; i++)
        must_be(seen[i] == 1, "f%zu: expected once, got %d times", i, seen[i]);
}

static void types_and_inodes(const void *row) {
    (void)row;
    put_file("file", "x");
    must(mkdir("directory", 0755));
    must(symlink("x", "link"));
    must(mkfifo("fifo", 0644));
    must(mknod("socket", S_IFSOCK | 0644, 0));
    DIR *directory = open_directory(".");
    struct dirent *entry;
    int count = 0;
    while ((entry = readdir(directory))) {
        struct stat st = status_of(entry->d_name);
        count++;
        must_be(entry->d_ino == st.st_ino, "d_ino of %s: expected %llu, got %llu", entry->d_name,
                (unsigned long long)st.st_ino, (unsigned long long)entry->d_ino);
        must_be(entry->d_type == IFTODT(st.st_mode) || entry->d_type == DT_UNKNOWN, "d_type of %s: expected %u, got %u",
                entry->d_name, (unsigned)IFTODT(st.st_mode), entry->d_type);
    }
    must_equal(count, 7); /* with . and .. */
    closedir(directory);
}

static void positions(const void *row) {
    (void)row;
    enum { NAMES = 500 };
    static char names[NAMES + 2][16];
    static long at[NAMES + 2];
    make_names("f", NAMES);
    DIR *directory = open_directory(".");
    struct dirent *entry;
    int count = 0;
    for (;;) {
        long here = telldir(directory);
        entry = readdir(directory);
        if (!entry)
            break;
        must_be(count < NAMES + 2, "more names than there are");
        at[count] = here;
        snprintf(names[count++], 16, "%.15s", entry->d_name);
    }
    must_equal(count, NAMES + 2);
    for (int i = 0; i < count; i++) {
        int pick = i * 37 % count;
        seekdir(directory, at[pick]);
        entry = readdir(directory);
        must_be(entry && !strcmp(entry->d_name, names[pick]), "seekdir to the place of %s: got %s", names[pick],
                entry ? entry->d_name : "the end");
    }
    /* Positions hold when other names come and go. */
    for (int i = 0; i < NAMES; i += 2) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        must(unlink(name));
    }
    make_names("x", 100);
    for (int i = 0; i < count; i += 3) {
        if (is_dot(names[i]) || strtol(names[i] + 1, NULL, 10) % 2 == 0)
            continue;
        seekdir(directory, at[i]);
        entry = readdir(directory);
        must_be(entry && !strcmp(entry->d_name, names[i]), "seekdir to the place of %s after changes: got %s", names[i],
                entry ? entry->d_name : "the end");
    }
    closedir(directory);
}

static void rewinds(const void *row) {
    (void)row;
    uint8_t seen[200];
    make_names("f", 100);
    DIR *directory = open_directory(".");
    count_names(directory, seen, 100);
    each_once(seen, 100);
    must(mknod("f100", S_IFREG | 0644, 0));
    must(unlink("f0"));
    rewinddir(directory);
    count_names(directory, seen, 101);
    must_be(seen[0] == 0 && seen[100] == 1, "after rewinddir: expected the names of now");
    must(mknod("f0", S_IFREG | 0644, 0));
    closedir(directory);
    directory = open_directory(".");
    count_names(directory, seen, 101);
    each_once(seen, 101);
}

/* In pieces, with others coming and going between them: what stays is there once. */
static void changes_between_reads(const void *row) {
    (void)row;
    enum { NAMES = 3000 };
    uint8_t seen[NAMES] = {0};
    char buffer[2048], name[32];
    make_names("f", NAMES);
    make_names("x", 1000);
    int fd = must(open(".", O_RDONLY | O_DIRECTORY)), step = 0;
    for (;;) {
        long length = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
        must(length);
        if (length == 0)
            break;
        for (long at = 0; at < length;) {
            struct dirent64 *entry = (struct dirent64 *)(void *)(buffer + at);
            if (entry->d_name[0] == 'f')
                seen[strtoul(entry->d_name + 1, NULL, 10)]++;
            at += entry->d_reclen;
        }
        must_be(step < 10 * NAMES, "a listing to which names are added does not end");
        for (int i = 0; i < 10; i++, step++) {
            snprintf(name, sizeof name, "x%d", step % 1000);
            if (unlink(name))
                must_be(errno == ENOENT, "unlink: got %s", strerrorname_np(errno));
            snprintf(name, sizeof name, "xnew%d", step);
            must(mknod(name, S_IFREG | 0644, 0));
        }
    }
    each_once(seen, NAMES);
}

static void churn(void *argument) {
    const volatile int *stop = argument;
    char name[32], other[32];
    for (unsigned i = 0; !*stop; i++) {
        snprintf(name, sizeof name, "x%u", i % 700);
        snprintf(other, sizeof other, "xr%u", i % 500);
        switch (i % 3) {
        case 0:
            must_be(!mknod(name, S_IFREG | 0644, 0) || errno == EEXIST, "mknod: %s", strerrorname_np(errno));
            break;
        case 1:
            must_be(!rename(name, other) || errno == ENOENT, "rename: %s", strerrorname_np(errno));
            break;
        default:
            must_be(!unlink(other) || errno == ENOENT, "unlink: %s", strerrorname_np(errno));
            break;
        }
    }
}

/* Another process changes all the time. */
static void changes_while_reading(const void *row) {
    (void)row;
    enum { NAMES = 2000 };
    uint8_t seen[NAMES];
    volatile int *stop = shared_memory(sizeof *stop);
    make_names("f", NAMES);
    pid_t child = child_start(churn, (void *)(uintptr_t)stop);
    for (int i = 0; i < 15; i++) {
        DIR *directory = open_directory(".");
        count_names(directory, seen, NAMES);
        each_once(seen, NAMES);
        closedir(directory);
    }
    *stop = 1;
    child_end(child);
}

/* Removing what is listed while listing it, as rm -r does. */
static void removing_while_reading(const void *row) {
    (void)row;
    enum { NAMES = 5000 };
    make_names("f", NAMES);
    DIR *directory = open_directory(".");
    struct dirent *entry;
    int removed = 0;
    while ((entry = readdir(directory))) {
        if (!is_dot(entry->d_name)) {
            must(unlink(entry->d_name));
            removed++;
        }
    }
    must_equal(removed, NAMES);
    rewinddir(directory);
    removed = 0;
    while (readdir(directory))
        removed++;
    must_equal(removed, 2);
}

/* A name that is renamed while the directory is listed may come again as the new one, but not for ever. */
static void renaming_while_reading(const void *row) {
    (void)row;
    enum { NAMES = 2000 };
    uint8_t seen[NAMES] = {0};
    char name[64];
    make_names("f", NAMES);
    DIR *directory = open_directory(".");
    struct dirent *entry;
    int renamed = 0;
    while ((entry = readdir(directory))) {
        if (is_dot(entry->d_name))
            continue;
        if (entry->d_name[0] == 'f')
            seen[strtoul(entry->d_name + 1, NULL, 10)]++;
        snprintf(name, sizeof name, "x%d", renamed++);
        must(rename(entry->d_name, name));
        must_be(renamed < 5 * NAMES, "a listing whose names are renamed does not end");
    }
    each_once(seen, NAMES);
}

/* Two listings of one directory do not disturb each other. */
static void two_readers(const void *row) {
    (void)row;
    uint8_t seen[1000];
    make_names("f", 1000);
    DIR *first = open_directory("."), *second = open_directory(".");
    for (int i = 0; i < 300; i++)
        must_be(readdir(first), "the first listing ended");
    count_names(second, seen, 1000);
    each_once(seen, 1000);
    int count = 300;
    while (readdir(first))
        count++;
    must_equal(count, 1002);
}

static void large(const void *row) {
    (void)row;
    enum { NAMES = 20000 };
    static uint8_t seen[NAMES];
    char name[32];
    must(mkdir("large", 0755));
    must(chdir("large"));
    make_names("f", NAMES);
    DIR *directory = open_directory(".");
    count_names(directory, seen, NAMES);
    each_once(seen, NAMES);
    closedir(directory);
    for (size_t i = 0; i < NAMES; i += 997) {
        snprintf(name, sizeof name, "f%zu", i);
        must_be(exists(name), "%s: expected it to exist", name);
    }
    must_be(!exists("f20000"), "a name that nobody made exists");
    for (size_t i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "f%zu", i);
        must(unlink(name));
    }
    must(chdir(".."));
    must(rmdir("large"));
}

static void deep(const void *row) {
    (void)row;
    enum { LEVELS = 1000 };
    char path[3 * LEVELS];
    int top = must(open(".", O_RDONLY | O_DIRECTORY));
    for (int i = 0; i < LEVELS; i++) {
        must(mkdir("d", 0755));
        must(chdir("d"));
    }
    put_file("bottom", "deep");
    must_be(getcwd(path, sizeof path), "getcwd: got %s", strerrorname_np(errno));
    int bottom = must(open(".", O_RDONLY | O_DIRECTORY));
    must(fsync(bottom));
    must(fchdir(top));
    path[0] = '\0';
    for (int i = 0; i < LEVELS; i++)
        strcpy(path + 2 * (size_t)i, "d/");
    strcat(path, "bottom");
    must_contain(path, "deep");
    must(rename("d", "moved"));
    must(close(must(openat(bottom, "bottom", O_RDONLY))));
    must_fail(EINVAL, renameat(top, "moved", bottom, "into-itself"));
    must(unlinkat(bottom, "bottom", 0));
    must(rename("moved", "d"));
    for (int i = LEVELS; i > 0; i--) {
        path[2 * i] = '\0';
        must(rmdir(path));
    }
}

static void special_seeks(const void *row) {
    (void)row;
    char buffer[1024];
    make_names("f", 10);
    int fd = must(open(".", O_RDONLY | O_DIRECTORY));
    must(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    must_equal(lseek(fd, 0, SEEK_SET), 0);
    must_be(syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0, "getdents after lseek to 0: got nothing");
    must(lseek(fd, 0, SEEK_SET));
    must_fail(EINVAL, syscall(SYS_getdents64, fd, buffer, 10)); /* too small for one entry */
    int file = must(open("f0", O_RDONLY));
    must_fail(ENOTDIR, syscall(SYS_getdents64, file, buffer, sizeof buffer));
}

static const struct posix_case cases[] = {
    {"types-and-inodes", types_and_inodes},
    {"positions", positions},
    {"rewinds", rewinds},
    {"changes-between-reads", changes_between_reads},
    {"changes-while-reading", changes_while_reading},
    {"removing-while-reading", removing_while_reading},
    {"renaming-while-reading", renaming_while_reading},
    {"two-readers", two_readers},
    {"large", large},
    {"deep", deep},
    {"special-seeks", special_seeks},
};

void posix_dir(void) {
    posix_cases("dir", cases, COUNT(cases));
}
