/* Changing /head. Each process knows what it has written, as nobody else writes there, and looks at it now and in the end. */
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

#include "tests/load.h"

#define FILES    24
#define FILE_MAX (192 << 10)
#define SHARED   4  /* directories */
#define MOVED    16 /* files that each process moves about there */

struct own_file {
    bool exists, linked; /* linked: under a second name, too */
    size_t size;
    uint32_t mode;
    unsigned attribute; /* value of user.load; 0: none */
    uint8_t *bytes;     /* FILE_MAX; zeros past the size */
};
struct own {
    struct worker *worker;
    int directory;
    char path[PATH_SIZE];
    struct own_file files[FILES];
};

static _Noreturn void fail_at(struct own *own, const char *call, const char *name) {
    load_fail(own->worker, "%s/%s: %s: %s", own->path, name, call, strerror(errno));
}

static void name_of(unsigned file, bool linked, char name[16]) {
    (void)snprintf(name, 16, "%s%u", linked ? "l" : "f", file);
}

static int open_file(struct own *own, unsigned file, int flags) {
    char name[16];
    name_of(file, false, name);
    int fd = openat(own->directory, name, flags | O_CLOEXEC, 0644);
    if (fd < 0)
        fail_at(own, "open", name);
    return fd;
}

static void close_file(struct own *own, int fd, bool sync) {
    if ((sync && fsync(fd) < 0) || close(fd) < 0)
        fail_at(own, sync ? "fsync or close" : "close", "");
}

static void ensure(struct own *own, unsigned file) {
    struct own_file *known = &own->files[file];
    if (known->exists)
        return;
    close_file(own, open_file(own, file, O_WRONLY | O_CREAT | O_EXCL), false);
    known->exists = true;
    known->mode = 0644;
    known->size = 0;
    known->attribute = 0;
    memset(known->bytes, 0, FILE_MAX);
}

/* ---- changes ---- */

static void fill(struct own *own, uint8_t *bytes, size_t size) {
    uint64_t seed = load_random(own->worker, UINT64_C(1) << 31);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(seed >> (i % 3 * 8)) ^ (uint8_t)(i >> 4);
}

static void do_write(struct own *own, unsigned file) {
    struct own_file *known = &own->files[file];
    size_t offset = load_random(own->worker, known->size + 1),
           size = 1 + load_random(own->worker, load_random(own->worker, 8) ? 9000 : 90000);
    ensure(own, file);
    if (offset > FILE_MAX / 2)
        offset = 0;
    int fd = open_file(own, file, O_WRONLY);
    fill(own, known->bytes + offset, size);
    if (pwrite(fd, known->bytes + offset, size, (off_t)offset) != (ssize_t)size)
        fail_at(own, "pwrite", "");
    if (offset + size > known->size)
        known->size = offset + size;
    close_file(own, fd, load_random(own->worker, 6) == 0);
}

static void do_map(struct own *own, unsigned file) {
    struct own_file *known = &own->files[file];
    if (!known->exists || known->size == 0)
        return;
    int fd = open_file(own, file, O_RDWR);
    uint8_t *mapped = mmap(NULL, known->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        fail_at(own, "mmap", "");
    size_t offset = load_random(own->worker, known->size);
    size_t size = known->size - offset < 5000 ? known->size - offset : 5000;
    if (memcmp(mapped, known->bytes, known->size) != 0)
        load_fail(own->worker, "%s: file %u is mapped with another content", own->path, file);
    fill(own, known->bytes + offset, size);
    memcpy(mapped + offset, known->bytes + offset, size);
    if (munmap(mapped, known->size) < 0)
        fail_at(own, "munmap", "");
    close_file(own, fd, load_random(own->worker, 2) == 0);
}

static void do_truncate(struct own *own, unsigned file) {
    struct own_file *known = &own->files[file];
    ensure(own, file);
    size_t size = load_random(own->worker, FILE_MAX / 2);
    int fd = open_file(own, file, O_WRONLY);
    if (ftruncate(fd, (off_t)size) < 0)
        fail_at(own, "ftruncate", "");
    if (size < known->size)
        memset(known->bytes + size, 0, known->size - size);
    known->size = size;
    close_file(own, fd, false);
}

static void do_remove(struct own *own, unsigned file) {
    struct own_file *known = &own->files[file];
    char name[16];
    for (int linked = 0; linked < 2 && known->exists; linked++) {
        name_of(file, linked, name);
        if ((!linked || known->linked) && unlinkat(own->directory, name, 0) < 0)
            fail_at(own, "unlink", name);
    }
    known->exists = known->linked = false;
}

/* One takes the place of another. */
static void do_rename(struct own *own, unsigned file) {
    unsigned other = (unsigned)load_random(own->worker, FILES);
    struct own_file *from = &own->files[file], *to = &own->files[other];
    char name[16], new_name[16];
    if (file == other || !from->exists || from->linked || to->linked)
        return;
    name_of(file, false, name);
    name_of(other, false, new_name);
    if (renameat(own->directory, name, own->directory, new_name) < 0)
        fail_at(own, "rename", name);
    struct own_file swapped = *to;
    *to = *from;
    *from = swapped;
    from->exists = false;
}

static void do_link(struct own *own, unsigned file) {
    char name[16], new_name[16];
    if (!own->files[file].exists || own->files[file].linked)
        return;
    name_of(file, false, name);
    name_of(file, true, new_name);
    if (linkat(own->directory, name, own->directory, new_name, 0) < 0)
        fail_at(own, "link", name);
    own->files[file].linked = true;
}

static void do_attributes(struct own *own, unsigned file) {
    struct own_file *known = &own->files[file];
    char text[16];
    ensure(own, file);
    known->attribute = 1 + (unsigned)load_random(own->worker, 1000);
    known->mode = 0600 | (uint32_t)load_random(own->worker, 0200);
    int fd = open_file(own, file, O_RDONLY);
    int length = snprintf(text, sizeof text, "%u", known->attribute);
    if (fsetxattr(fd, "user.load", text, (size_t)length, 0) < 0)
        fail_at(own, "fsetxattr", "");
    if (fchmod(fd, known->mode) < 0)
        fail_at(own, "fchmod", "");
    close_file(own, fd, false);
}

/* Directories that come and go. */
static void do_directory(struct own *own, unsigned file) {
    char name[24], below[32];
    (void)snprintf(name, sizeof name, "d%u", file);
    (void)snprintf(below, sizeof below, "%s/x", name);
    if (mkdirat(own->directory, name, 0755) < 0 || mkdirat(own->directory, below, 0700) < 0)
        fail_at(own, "mkdir", name);
    if (unlinkat(own->directory, name, AT_REMOVEDIR) == 0 || errno != ENOTEMPTY)
        fail_at(own, "rmdir of what is not empty", name);
    if (unlinkat(own->directory, below, AT_REMOVEDIR) < 0 || unlinkat(own->directory, name, AT_REMOVEDIR) < 0)
        fail_at(own, "rmdir", name);
}

/* What is in a view comes back by sharing, and must be that. */
static void do_copy(struct own *own, unsigned file) {
    struct own_file *known = &own->files[file];
    char path[PATH_SIZE];
    const struct view *view = &own->worker->load->views[load_random(own->worker, VIEWS)];
    (void)snprintf(path, sizeof path, "%s/at/%s/base/d%u/f%u", own->worker->load->mount, view->tid,
                   (unsigned)load_random(own->worker, 8), (unsigned)load_random(own->worker, 25));
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 && errno == ENOENT)
        return;
    if (from < 0)
        load_fail(own->worker, "%s: open: %s", path, strerror(errno));
    do_remove(own, file);
    ensure(own, file);
    int to = open_file(own, file, O_WRONLY);
    ssize_t bytes;
    while ((bytes = copy_file_range(from, NULL, to, NULL, 65536, 0)) > 0)
        known->size += (size_t)bytes;
    if (bytes < 0 || pread(from, known->bytes, FILE_MAX, 0) != (ssize_t)known->size)
        fail_at(own, "copy_file_range", path);
    (void)close(from);
    close_file(own, to, false);
}

/* ---- looking ---- */

static void check_file(struct own *own, unsigned file) {
    static uint8_t bytes[FILE_MAX + 1];
    const struct own_file *known = &own->files[file];
    struct stat stat;
    char name[16], text[16] = "";
    name_of(file, false, name);
    if (fstatat(own->directory, name, &stat, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT || known->exists)
            fail_at(own, "stat", name);
        return;
    }
    if (!known->exists || (size_t)stat.st_size != known->size || (stat.st_mode & 07777) != known->mode ||
        stat.st_nlink != 1U + known->linked)
        load_fail(own->worker, "%s/%s: %zu bytes, mode %o, %u links; expected %zu, %o, %u (%s)", own->path, name,
                  (size_t)stat.st_size, stat.st_mode & 07777, (unsigned)stat.st_nlink, known->size, known->mode,
                  1U + known->linked, known->exists ? "there" : "not there");
    int fd = open_file(own, file, O_RDONLY);
    ssize_t done = pread(fd, bytes, sizeof bytes, 0), length = fgetxattr(fd, "user.load", text, sizeof text - 1);
    if (done != (ssize_t)known->size || memcmp(bytes, known->bytes, known->size) != 0)
        load_fail(own->worker, "%s/%s: %zd bytes of another content", own->path, name, done);
    if (known->attribute ? length < 0 || strtoul(text, NULL, 10) != known->attribute : length >= 0)
        load_fail(own->worker, "%s/%s: user.load is %s, expected %u", own->path, name, text, known->attribute);
    close_file(own, fd, false);
}

static void check_names(struct own *own) {
    unsigned expected = 0, found = 0;
    for (unsigned file = 0; file < FILES; file++)
        expected += own->files[file].exists + own->files[file].linked;
    DIR *directory = opendir(own->path);
    if (!directory)
        fail_at(own, "opendir", "");
    errno = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        found += entry->d_name[0] != '.';
    if (errno)
        fail_at(own, "readdir", "");
    (void)closedir(directory);
    if (found != expected)
        load_fail(own->worker, "%s has %u names, expected %u", own->path, found, expected);
}

static const struct {
    const char *name;
    void (*run)(struct own *own, unsigned file);
    unsigned weight;
} changes[] = {
    {"write", do_write, 10},  {"mmap", do_map, 3},     {"truncate", do_truncate, 2},     {"unlink", do_remove, 2},
    {"rename", do_rename, 4}, {"link", do_link, 2},    {"attributes", do_attributes, 3}, {"directory", do_directory, 2},
    {"copy", do_copy, 2},     {"look", check_file, 8},
};

static void do_change(struct own *own) {
    unsigned total = 0, file = (unsigned)load_random(own->worker, FILES);
    size_t i = 0;
    for (size_t j = 0; j < sizeof changes / sizeof changes[0]; j++)
        total += changes[j].weight;
    unsigned at = (unsigned)load_random(own->worker, total);
    while (at >= changes[i].weight)
        at -= changes[i++].weight;
    load_begin(own->worker, "%s in %s", changes[i].name, own->path);
    changes[i].run(own, file);
    load_end(own->worker);
}

void load_write_own(struct worker *worker) {
    struct own own = {.worker = worker};
    (void)snprintf(own.path, sizeof own.path, "%s/head/own-%u", worker->load->mount, worker->number);
    if (mkdir(own.path, 0755) < 0 || (own.directory = open(own.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        fail_at(&own, "mkdir or open", "");
    for (unsigned file = 0; file < FILES; file++) {
        own.files[file].bytes = calloc(1, FILE_MAX);
        if (!own.files[file].bytes)
            load_fail(worker, "out of memory");
    }
    for (unsigned round = 0; !load_is_over(worker); round++) {
        do_change(&own);
        if (round % 500 == 0)
            check_names(&own);
    }
    load_begin(worker, "the last look at %s", own.path);
    for (unsigned file = 0; file < FILES; file++) {
        check_file(&own, file);
        free(own.files[file].bytes);
    }
    check_names(&own);
    load_end(worker);
    (void)close(own.directory);
}

/* ---- shared directories ---- */

static void moved_path(const struct worker *worker, unsigned directory, unsigned file, char path[PATH_SIZE]) {
    (void)snprintf(path, PATH_SIZE, "%s/head/shared/%u/p%u-%u", worker->load->mount, directory, worker->number, file);
}

/* Reads a directory in which others rename. */
static void list_shared(struct worker *worker, unsigned number) {
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/head/shared/%u", worker->load->mount, number);
    DIR *directory = opendir(path);
    if (!directory)
        load_fail(worker, "%s: opendir: %s", path, strerror(errno));
    errno = 0;
    while (readdir(directory))
        continue;
    if (errno)
        load_fail(worker, "%s: readdir: %s", path, strerror(errno));
    (void)closedir(directory);
}

void load_write_shared(struct worker *worker) {
    unsigned where[MOVED];
    char path[PATH_SIZE], new_path[PATH_SIZE];
    for (unsigned file = 0; file < MOVED; file++) {
        where[file] = (unsigned)load_random(worker, SHARED);
        moved_path(worker, where[file], file, path);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, path, strlen(path)) < 0 || close(fd) < 0)
            load_fail(worker, "%s: %s", path, strerror(errno));
    }
    while (!load_is_over(worker)) {
        unsigned file = (unsigned)load_random(worker, MOVED), to = (unsigned)load_random(worker, SHARED);
        moved_path(worker, where[file], file, path);
        moved_path(worker, to, file, new_path);
        load_begin(worker, "rename %s %s", path, new_path);
        if (rename(path, new_path) < 0)
            load_fail(worker, "rename %s %s: %s", path, new_path, strerror(errno));
        if (to != where[file] && access(path, F_OK) == 0)
            load_fail(worker, "%s is still there", path);
        where[file] = to;
        if (load_random(worker, 10) == 0)
            list_shared(worker, to);
        load_end(worker);
    }
    for (unsigned file = 0; file < MOVED; file++) {
        for (unsigned directory = 0; directory < SHARED; directory++) {
            moved_path(worker, directory, file, path);
            if ((access(path, F_OK) == 0) != (directory == where[file]))
                load_fail(worker, "%s is %s", path, directory == where[file] ? "missing" : "there, too");
        }
    }
}
