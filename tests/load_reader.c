/* Looking at views, whole and in part. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/load.h"

/* ---- sums ---- */

struct sum {
    struct worker *worker;
    uint64_t value, objects;
};

static void add(struct sum *sum, const void *data, size_t length) {
    sum->value = XXH3_64bits_withSeed(data, length, sum->value);
}

static void add_xattrs(struct sum *sum, const char *path) {
    char names[4096], value[4096];
    ssize_t length = llistxattr(path, names, sizeof names);
    if (length < 0)
        load_fail(sum->worker, "%s: llistxattr: %s", path, strerror(errno));
    add(sum, names, (size_t)length);
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        ssize_t bytes = lgetxattr(path, name, value, sizeof value);
        if (bytes < 0)
            load_fail(sum->worker, "%s: lgetxattr %s: %s", path, name, strerror(errno));
        add(sum, value, (size_t)bytes);
    }
}

static void add_by_reading(struct sum *sum, const char *path, int fd) {
    static char buffer[1 << 17];
    ssize_t bytes;
    while ((bytes = read(fd, buffer, sizeof buffer)) > 0)
        add(sum, buffer, (size_t)bytes);
    if (bytes < 0)
        load_fail(sum->worker, "%s: read: %s", path, strerror(errno));
}

static void add_by_mapping(struct sum *sum, const char *path, int fd, size_t size) {
    const char *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
        load_fail(sum->worker, "%s: mmap: %s", path, strerror(errno));
    /* In the same pieces as by reading: the sum is the same. */
    for (size_t at = 0; at < size; at += 1 << 17)
        add(sum, bytes + at, size - at < 1 << 17 ? size - at : 1 << 17);
    (void)munmap((void *)(uintptr_t)bytes, size);
}

static void add_content(struct sum *sum, const char *path, const struct stat *stat) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        load_fail(sum->worker, "%s: open: %s", path, strerror(errno));
    if (stat->st_size > 0 && load_random(sum->worker, 2))
        add_by_mapping(sum, path, fd, (size_t)stat->st_size);
    else
        add_by_reading(sum, path, fd);
    if (close(fd) < 0)
        load_fail(sum->worker, "%s: close: %s", path, strerror(errno));
}

static void add_directory(struct sum *sum, const char *path);

static void add_object(struct sum *sum, const char *path) {
    struct stat stat;
    char target[PATH_SIZE];
    if (lstat(path, &stat) < 0)
        load_fail(sum->worker, "%s: lstat: %s", path, strerror(errno));
    const uint64_t numbers[] = {stat.st_ino,
                                stat.st_mode,
                                stat.st_nlink,
                                stat.st_uid,
                                (uint64_t)stat.st_size,
                                (uint64_t)stat.st_blocks,
                                (uint64_t)stat.st_mtim.tv_sec,
                                (uint64_t)stat.st_mtim.tv_nsec,
                                (uint64_t)stat.st_ctim.tv_sec,
                                (uint64_t)stat.st_ctim.tv_nsec};
    add(sum, numbers, sizeof numbers);
    sum->objects++;
    add_xattrs(sum, path);
    if (S_ISREG(stat.st_mode)) {
        add_content(sum, path, &stat);
    } else if (S_ISLNK(stat.st_mode)) {
        ssize_t length = readlink(path, target, sizeof target);
        if (length < 0)
            load_fail(sum->worker, "%s: readlink: %s", path, strerror(errno));
        add(sum, target, (size_t)length);
    } else if (S_ISDIR(stat.st_mode)) {
        add_directory(sum, path);
    }
}

static void add_directory(struct sum *sum, const char *path) {
    char below[PATH_SIZE];
    DIR *directory = opendir(path);
    if (!directory)
        load_fail(sum->worker, "%s: opendir: %s", path, strerror(errno));
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (!entry && errno)
            load_fail(sum->worker, "%s: readdir: %s", path, strerror(errno));
        if (!entry)
            break;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        add(sum, entry->d_name, strlen(entry->d_name));
        if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= (int)sizeof below)
            load_fail(sum->worker, "%s: too long", path);
        add_object(sum, below);
    }
    (void)closedir(directory);
}

uint64_t load_sum(struct worker *worker, const char *directory, uint64_t *objects) {
    struct sum sum = {.worker = worker};
    add_object(&sum, directory);
    *objects = sum.objects;
    return sum.value;
}

/* ---- the processes ---- */

static void look_at_whole(struct worker *worker, const struct view *view) {
    char path[PATH_SIZE];
    uint64_t objects;
    (void)snprintf(path, sizeof path, "%s/at/%s/base", worker->load->mount, view->tid);
    load_begin(worker, "all of %s", path);
    uint64_t sum = load_sum(worker, path, &objects);
    load_end(worker);
    if (sum != view->sum || objects != view->objects)
        load_fail(worker,
                  "%s is not what it was: %" PRIu64 " objects, sum %016" PRIx64 ", expected %" PRIu64 ", %016" PRIx64,
                  path, objects, sum, view->objects, view->sum);
}

/* A file somewhere, read in pieces and mapped, is the same both ways, and cannot be changed. */
static void look_at_file(struct worker *worker, const struct view *view) {
    char path[PATH_SIZE];
    struct stat stat;
    (void)snprintf(path, sizeof path, "%s/at/%s/base/d%u/f%u", worker->load->mount, view->tid,
                   (unsigned)load_random(worker, 8), (unsigned)load_random(worker, 25));
    load_begin(worker, "%s", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        load_fail(worker, "%s: open: %s", path, strerror(errno));
    if (fd >= 0) {
        struct sum read = {.worker = worker}, mapped = {.worker = worker};
        if (fstat(fd, &stat) < 0)
            load_fail(worker, "%s: fstat: %s", path, strerror(errno));
        add_by_reading(&read, path, fd);
        if (stat.st_size > 0)
            add_by_mapping(&mapped, path, fd, (size_t)stat.st_size);
        if (read.value != mapped.value)
            load_fail(worker, "%s: read and mapped are different", path);
        (void)close(fd);
        if (truncate(path, 0) == 0 || errno != EROFS)
            load_fail(worker, "%s: truncate: %s", path, strerror(errno));
    }
    load_end(worker);
}

void load_read_views(struct worker *worker) {
    while (!load_is_over(worker)) {
        const struct view *view = &worker->load->views[load_random(worker, VIEWS)];
        if (load_random(worker, 8) == 0)
            look_at_whole(worker, view);
        else
            for (int i = 0; i < 20; i++)
                look_at_file(worker, view);
    }
}

/* Where the name leads now: it may move while what it shows is read, and in the first second /base is still new. */
static void settle(struct worker *worker, const char *name, char path[PATH_SIZE]) {
    const char *mount = worker->load->mount;
    char target[64];
    (void)snprintf(path, PATH_SIZE, "%s/at/%s", mount, name);
    load_begin(worker, "%s", path);
    ssize_t length = readlink(path, target, sizeof target);
    if (length < 0 && errno != ENOENT)
        load_fail(worker, "%s: readlink: %s", path, strerror(errno));
    load_end(worker);
    if (length > 0)
        (void)snprintf(path, PATH_SIZE, "%s/at/%.*s/base/d1", mount, (int)length, target);
}

void load_read_others(struct worker *worker) {
    static const char *const names[] = {"now", "now~1", "-1s", "-10s", "now~3"};
    while (!load_is_over(worker)) {
        char path[PATH_SIZE];
        struct stat stat;
        uint64_t tid = worker->load->recent[load_random(worker, RECENT)];
        const char *mount = worker->load->mount;
        if (load_random(worker, 4) == 0)
            settle(worker, names[load_random(worker, sizeof names / sizeof names[0])], path);
        else
            (void)snprintf(path, sizeof path, "%s/%s/%016" PRIx64 "/base/d1", mount,
                           load_random(worker, 2) ? "at" : "before", tid);
        load_begin(worker, "%s", path);
        if (lstat(path, &stat) == 0) {
            uint64_t objects;
            struct sum sum = {.worker = worker};
            add_directory(&sum, path);
            objects = sum.objects;
            if (objects == 0)
                load_fail(worker, "%s is empty", path);
        } else if (errno != ENOENT) {
            load_fail(worker, "%s: lstat: %s", path, strerror(errno));
        }
        load_end(worker);
    }
}
