/* The mixed load, and the check of what it left.
 *
 * A worker owns FILES files and changes one at a time. Before each change it logs what it is about to do, and after an fsync returned, that
 * everything it logged so far for that file is acknowledged.
 *
 * A file is a row of blocks of BLOCK bytes; a block says which worker, file, block and version it is, many times over, so that
 * the check can tell from a block alone when it was written. From the log the check knows for each file
 *   - the state that was last acknowledged, block by block: nothing older may be found;
 *   - the changes begun since: each of those may be found or not, on its own, as nobody waited for them. (The kernel
 *     may write data back later than it passes on a rename.)
 *
 * The order of the log's lines, which are "<kind> <file> <a> <b>":
 *   C file 0 0              the file is about to be created, if it is not there
 *   W file block version    a block is about to be written in place
 *   T file blocks 0         the file is about to be truncated or extended to so many blocks
 *   R file blocks version   the file is about to be replaced, by rename, with one of so many blocks of one version, synced before
 *   U file 0 0              the file is about to be unlinked
 *   A file 0 0              all above for this file is acknowledged
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crashload.h"

#define FILES  8
#define BLOCKS 40 /* largest file: 160 KiB, so that both small and large bodies are made */
#define BLOCK  4096

/* ---------------------------------------------------------------- the load */

static void fill_block(char *block, int worker, int file, int index, unsigned version) {
    char mark[64];
    int length = snprintf(mark, sizeof mark, "%d %d %d %u\n", worker, file, index, version);
    for (int at = 0; at < BLOCK; at++)
        block[at] = mark[at % length];
}

static int note(struct worker *worker, char kind, int file, int a, unsigned b) {
    if (fprintf(worker->log, "%c %d %d %u\n", kind, file, a, b) < 0 || fflush(worker->log)) {
        perror("log");
        return -1;
    }
    return 0;
}

static int write_block(struct worker *worker, int fd, int file, int index, unsigned version) {
    char block[BLOCK];
    fill_block(block, worker->number, file, index, version);
    ssize_t written = pwrite(fd, block, sizeof block, (off_t)index * BLOCK);
    if (written >= 0 && written != BLOCK)
        errno = ENOSPC;
    return written == BLOCK ? 0 : worker_stop(worker, "pwrite");
}

/* Overwrites and appends blocks, perhaps after a truncation, and in half the cases waits for fsync. */
static int change_in_place(struct worker *worker, int file, const char *name) {
    int rc = note(worker, 'C', file, 0, 0);
    if (rc)
        return rc;
    int fd = openat(worker->directory, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return worker_stop(worker, "open");
    if (worker_pick(worker, 4) == 0) {
        int blocks = (int)worker_pick(worker, BLOCKS);
        rc = note(worker, 'T', file, blocks, 0);
        if (rc == 0 && ftruncate(fd, (off_t)blocks * BLOCK))
            rc = worker_stop(worker, "ftruncate");
    }
    for (unsigned n = 1 + worker_pick(worker, 6); rc == 0 && n > 0; n--) {
        int index = (int)worker_pick(worker, BLOCKS);
        unsigned version = ++worker->version;
        rc = note(worker, 'W', file, index, version);
        if (rc == 0)
            rc = write_block(worker, fd, file, index, version);
    }
    if (rc == 0 && worker_pick(worker, 2) == 0) {
        rc = fsync(fd) ? worker_stop(worker, "fsync") : note(worker, 'A', file, 0, 0);
    }
    if (close(fd) && rc == 0)
        rc = worker_stop(worker, "close");
    return rc;
}

/* As editors save: a new file, synced, renamed over the old one, and the directory synced. */
static int replace(struct worker *worker, int file, const char *name) {
    int rc = 0;
    int blocks = 1 + (int)worker_pick(worker, BLOCKS - 1);
    unsigned version = ++worker->version;
    int fd = openat(worker->directory, "new", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return worker_stop(worker, "open new");
    for (int index = 0; rc == 0 && index < blocks; index++)
        rc = write_block(worker, fd, file, index, version);
    if (rc == 0 && fsync(fd))
        rc = worker_stop(worker, "fsync new");
    if (close(fd) && rc == 0)
        rc = worker_stop(worker, "close new");
    if (rc == 0)
        rc = note(worker, 'R', file, blocks, version);
    if (rc == 0 && renameat(worker->directory, "new", worker->directory, name))
        rc = worker_stop(worker, "rename");
    if (rc == 0)
        rc = fsync(worker->directory) ? worker_stop(worker, "fsync directory") : note(worker, 'A', file, 0, 0);
    return rc;
}

static int remove_file(struct worker *worker, int file, const char *name) {
    int rc = note(worker, 'U', file, 0, 0);
    if (rc == 0 && unlinkat(worker->directory, name, 0) && errno != ENOENT)
        rc = worker_stop(worker, "unlink");
    if (rc == 0 && worker_pick(worker, 2) == 0)
        rc = fsync(worker->directory) ? worker_stop(worker, "fsync directory") : note(worker, 'A', file, 0, 0);
    return rc;
}

/* Changes of the tree around the files, so that a transaction holds more than contents. */
static int stir_directories(struct worker *worker) {
    char name[32];
    (void)snprintf(name, sizeof name, "dir%u", worker_pick(worker, 5));
    if (mkdirat(worker->directory, name, 0755) == 0)
        return 0;
    if (errno != EEXIST)
        return worker_stop(worker, "mkdir");
    if (unlinkat(worker->directory, name, AT_REMOVEDIR))
        return worker_stop(worker, "rmdir");
    if (symlinkat(name, worker->directory, "link") && errno != EEXIST)
        return worker_stop(worker, "symlink");
    return 0;
}

int mixed_work(struct worker *worker) {
    int rc = 0;
    while (rc == 0) {
        char name[16];
        int file = (int)worker_pick(worker, FILES);
        (void)snprintf(name, sizeof name, "file%d", file);
        switch (worker_pick(worker, 8)) {
        case 0:
        case 1:
            rc = replace(worker, file, name);
            break;
        case 2:
            rc = remove_file(worker, file, name);
            break;
        case 3:
            rc = stir_directories(worker);
            break;
        default:
            rc = change_in_place(worker, file, name);
        }
    }
    return rc;
}

/* ---------------------------------------------------------------- the check */

/* What may be found of one file. Versions of a block are tried against `since`: those written since the acknowledged state. */
struct expected {
    bool may_exist, may_be_absent;
    bool may_shrink_or_grow; /* a truncation or a replacement is not acknowledged */
    int size;                /* blocks, as the operations done so far leave it */
    int acknowledged_size;   /* blocks, at the last acknowledgement */
    unsigned now[BLOCKS];    /* version of each block, 0: a hole */
    unsigned acknowledged[BLOCKS];
    unsigned oldest_since; /* smallest version written since the acknowledgement, 0: none */
    unsigned newest_since;
    bool hole_since[BLOCKS]; /* zeros are possible since the acknowledgement */
    bool exists;
};

static void begin_change(struct expected *file, unsigned version) {
    if (file->oldest_since == 0)
        file->oldest_since = version;
    file->newest_since = version;
}

static void acknowledge(struct expected *file) {
    memcpy(file->acknowledged, file->now, sizeof file->now);
    memset(file->hole_since, 0, sizeof file->hole_since);
    file->acknowledged_size = file->size;
    file->oldest_since = file->newest_since = 0;
    file->may_shrink_or_grow = false;
    file->may_exist = file->exists;
    file->may_be_absent = !file->exists;
}

static void set_size(struct expected *file, int blocks) {
    for (int index = blocks; index < BLOCKS; index++) {
        file->now[index] = 0;
        file->hole_since[index] = true;
    }
    file->size = blocks;
}

static bool apply(struct expected *file, char kind, int a, unsigned b) {
    if (a < 0 || a > BLOCKS)
        return false;
    switch (kind) {
    case 'C':
        file->exists = file->may_exist = true;
        return true;
    case 'W':
        if (a == BLOCKS)
            return false;
        begin_change(file, b);
        for (int index = file->size; index < a; index++)
            file->hole_since[index] = true;
        file->hole_since[a] |= file->now[a] == 0;
        file->now[a] = b;
        file->size = a >= file->size ? a + 1 : file->size;
        return true;
    case 'T':
        set_size(file, a);
        file->may_shrink_or_grow = true;
        return true;
    case 'R':
        begin_change(file, b);
        set_size(file, a);
        for (int index = 0; index < a; index++)
            file->now[index] = b;
        file->may_shrink_or_grow = true;
        file->exists = file->may_exist = true;
        return true;
    case 'U':
        set_size(file, 0);
        file->may_shrink_or_grow = true;
        file->exists = false;
        file->may_be_absent = true;
        return true;
    case 'A':
        acknowledge(file);
        return true;
    default:
        return false;
    }
}

static int complain(const char *path, int block, const char *what) {
    printf("%s, block %d: %s\n", path, block, what);
    return 1;
}

static int check_block(const char *path, const char *found, int worker, int number, int index,
                       const struct expected *file) {
    char wanted[BLOCK];
    int said_worker, said_file, said_index;
    unsigned version;
    if (found[0] == '\0') {
        memset(wanted, 0, sizeof wanted);
        if (memcmp(found, wanted, BLOCK) != 0)
            return complain(path, index, "torn: begins with zeros");
        return file->acknowledged[index] == 0 || file->hole_since[index]
                   ? 0
                   : complain(path, index, "zeros, but a version of it was acknowledged");
    }
    if (sscanf(found, "%d %d %d %u", &said_worker, &said_file, &said_index, &version) != 4)
        return complain(path, index, "not a block that was ever written");
    fill_block(wanted, worker, number, index, version);
    if (memcmp(found, wanted, BLOCK) != 0)
        return complain(path, index, "torn, or of another place");
    if (version == file->acknowledged[index])
        return 0;
    if (file->oldest_since != 0 && version >= file->oldest_since && version <= file->newest_since)
        return 0;
    printf("%s, block %d: version %u, but %u was acknowledged and %u to %u came after\n", path, index, version,
           file->acknowledged[index], file->oldest_since, file->newest_since);
    return 1;
}

static int check_size(const char *path, off_t size, const struct expected *file) {
    bool growing = file->size > file->acknowledged_size;
    int most = growing ? file->size : file->acknowledged_size;
    if (size % BLOCK != 0 || size > (off_t)BLOCKS * BLOCK)
        return complain(path, (int)(size / BLOCK), "the file ends inside of a block");
    if (!file->may_shrink_or_grow && (size < (off_t)file->acknowledged_size * BLOCK || size > (off_t)most * BLOCK))
        return complain(path, (int)(size / BLOCK), "a size that was never acknowledged or begun");
    return 0;
}

static int check_file(const char *directory, int worker, int number, const struct expected *file) {
    char path[4096];
    char block[BLOCK];
    struct stat st;
    int problems = 0;
    (void)snprintf(path, sizeof path, "%s/%d/file%d", directory, worker, number);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return file->may_be_absent ? 0 : complain(path, 0, "is gone, but was acknowledged");
    if (fd < 0 || fstat(fd, &st)) {
        perror(path);
        return 1;
    }
    if (!file->may_exist)
        problems = complain(path, 0, "is there, but its removal was acknowledged");
    else
        problems = check_size(path, st.st_size, file);
    for (int index = 0; problems == 0 && (off_t)index * BLOCK < st.st_size; index++) {
        if (pread(fd, block, BLOCK, (off_t)index * BLOCK) != BLOCK)
            problems = complain(path, index, "cannot be read");
        else
            problems = check_block(path, block, worker, number, index, file);
    }
    close(fd);
    return problems;
}

int mixed_check(const char *directory, const char *log, int number, unsigned *acknowledged) {
    char path[4096];
    struct expected files[FILES] = {0};
    char kind;
    int file, a;
    unsigned b;
    int problems = 0;
    (void)snprintf(path, sizeof path, "%s.%d", log, number);
    FILE *lines = fopen(path, "r");
    if (lines == NULL) {
        perror(path);
        return -1;
    }
    for (int i = 0; i < FILES; i++)
        files[i].may_be_absent = true;
    while (fscanf(lines, " %c %d %d %u", &kind, &file, &a, &b) == 4) {
        if (file < 0 || file >= FILES || !apply(&files[file], kind, a, b)) {
            (void)fprintf(stderr, "%s: damaged\n", path);
            (void)fclose(lines);
            return -1;
        }
        *acknowledged += kind == 'A';
    }
    (void)fclose(lines);
    for (int i = 0; i < FILES; i++)
        problems += check_file(directory, number, i, &files[i]);
    return problems;
}
