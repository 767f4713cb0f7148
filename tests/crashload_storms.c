/* Loads of one kind of operation each. Their logs are of lines "<kind> <number>":
 *
 *   A n   the first n pieces, files or records are acknowledged; of renames: the first n
 *   B n   rename n is about to be made
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crashload.h"

#define PAGE       4096
#define PIECE      131072 /* of a large write */
#define PIECES     256    /* of a file, which is then followed by the next */
#define PIECE_SYNC 16     /* this many pieces are synced at a time */
#define FILE_SYNC  64     /* this many new files */
#define MOVED      16     /* files that are renamed in turn */
#define MOVE_SYNC  8      /* this many renames */
#define RECORD     64

static int note(struct worker *worker, char kind, unsigned number) {
    if (fprintf(worker->log, "%c %u\n", kind, number) < 0 || fflush(worker->log)) {
        perror("log");
        return -1;
    }
    return 0;
}

struct noted {
    unsigned acknowledged, begun;
};

/* 0, or -1 if there is no log. */
static int read_log(const char *log, int number, struct noted *noted, unsigned *acknowledged) {
    char path[4096], kind;
    unsigned value;
    *noted = (struct noted){0};
    (void)snprintf(path, sizeof path, "%s.%d", log, number);
    FILE *lines = fopen(path, "r");
    if (lines == NULL) {
        perror(path);
        return -1;
    }
    while (fscanf(lines, " %c %u", &kind, &value) == 2) {
        if (kind == 'A')
            noted->acknowledged = value;
        else
            noted->begun = value;
    }
    (void)fclose(lines);
    *acknowledged += noted->acknowledged;
    return 0;
}

static int complain(const char *directory, int number, unsigned piece, const char *what) {
    printf("%s/%d, %u: %s\n", directory, number, piece, what);
    return 1;
}

/* What byte `at` of a run of bytes is that belongs to `number` of a worker. */
static void fill(char *data, size_t size, int worker, unsigned number) {
    char mark[32];
    size_t length = (size_t)snprintf(mark, sizeof mark, "%d %u\n", worker, number);
    for (size_t at = 0; at < size; at++)
        data[at] = mark[at % length];
}

static bool is_zero(const char *data, size_t size) {
    return size == 0 || (data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

/* ---- large writes ---- */

int write_work(struct worker *worker) {
    static char data[PIECE];
    int rc = 0, fd = -1;
    for (unsigned piece = 0; rc == 0; piece++) {
        char name[16];
        if (piece % PIECES == 0) {
            if (fd >= 0)
                (void)close(fd);
            (void)snprintf(name, sizeof name, "large%u", piece / PIECES);
            fd = openat(worker->directory, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
            if (fd < 0)
                return worker_stop(worker, "open");
        }
        fill(data, sizeof data, worker->number, piece);
        ssize_t written = pwrite(fd, data, sizeof data, (off_t)(piece % PIECES) * PIECE);
        if (written >= 0 && written != PIECE)
            errno = ENOSPC;
        if (written != PIECE)
            rc = worker_stop(worker, "pwrite");
        else if ((piece + 1) % PIECE_SYNC == 0)
            rc = fsync(fd) ? worker_stop(worker, "fsync") : note(worker, 'A', piece + 1);
    }
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* What is not acknowledged may be there by pages. */
static int check_piece(const char *directory, int number, unsigned piece, const char *found, size_t size, bool must) {
    static char wanted[PIECE];
    fill(wanted, sizeof wanted, number, piece);
    if (size == PIECE && memcmp(found, wanted, PIECE) == 0)
        return 0;
    if (must)
        return complain(directory, number, piece, "is not as it was acknowledged");
    for (size_t at = 0; at < size; at += PAGE) {
        size_t length = size - at < PAGE ? size - at : PAGE;
        if (!is_zero(found + at, length) && memcmp(found + at, wanted + at, length) != 0)
            return complain(directory, number, piece, "was never written so");
    }
    return 0;
}

int write_check(const char *directory, const char *log, int number, unsigned *acknowledged) {
    static char found[PIECE];
    struct noted noted;
    int problems = 0;
    if (read_log(log, number, &noted, acknowledged) < 0)
        return -1;
    for (unsigned file = 0;; file++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/%d/large%u", directory, number, file);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        unsigned first = file * PIECES;
        if (fd < 0)
            return first < noted.acknowledged ? complain(directory, number, first, "is gone") : problems;
        for (unsigned piece = first; piece < first + PIECES; piece++) {
            ssize_t size = pread(fd, found, sizeof found, (off_t)(piece - first) * PIECE);
            problems += size < 0
                            ? complain(directory, number, piece, strerror(errno))
                            : check_piece(directory, number, piece, found, (size_t)size, piece < noted.acknowledged);
        }
        (void)close(fd);
    }
}

/* ---- many new files ---- */

int create_work(struct worker *worker) {
    int rc = 0;
    for (unsigned number = 0; rc == 0; number++) {
        char name[16], data[RECORD];
        (void)snprintf(name, sizeof name, "f%u", number);
        fill(data, sizeof data, worker->number, number);
        int fd = openat(worker->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
            return worker_stop(worker, "open");
        if (write(fd, data, sizeof data) != (ssize_t)sizeof data)
            rc = worker_stop(worker, "write");
        /* Closing writes it back, if that was not done yet. */
        if (close(fd) && rc == 0)
            rc = worker_stop(worker, "close");
        if (rc == 0 && (number + 1) % FILE_SYNC == 0)
            rc = fsync(worker->directory) ? worker_stop(worker, "fsync directory") : note(worker, 'A', number + 1);
    }
    return rc;
}

int create_check(const char *directory, const char *log, int number, unsigned *acknowledged) {
    struct noted noted;
    int problems = 0;
    if (read_log(log, number, &noted, acknowledged) < 0)
        return -1;
    for (unsigned file = 0;; file++) {
        char path[4096], wanted[RECORD], found[RECORD + 1];
        (void)snprintf(path, sizeof path, "%s/%d/f%u", directory, number, file);
        fill(wanted, sizeof wanted, number, file);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            if (file >= noted.acknowledged)
                return problems;
            problems += complain(directory, number, file, "is gone");
            continue;
        }
        ssize_t size = read(fd, found, sizeof found);
        (void)close(fd);
        if (size != RECORD && (size != 0 || file < noted.acknowledged))
            problems += complain(directory, number, file, "has another size");
        else if (memcmp(found, wanted, (size_t)size) != 0 &&
                 (!is_zero(found, (size_t)size) || file < noted.acknowledged))
            problems += complain(directory, number, file, "has another content");
    }
}

/* ---- renames ---- */

/* File f is "f.v" after v renames of it; rename n is of file n % MOVED, from version n / MOVED. */
static void moved_name(char name[32], unsigned file, unsigned version) {
    (void)snprintf(name, 32, "%u.%u", file, version);
}

static int make_moved(struct worker *worker) {
    for (unsigned file = 0; file < MOVED; file++) {
        char name[32];
        moved_name(name, file, 0);
        int fd = openat(worker->directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0)
            return worker_stop(worker, "open");
        int failed = write(fd, &file, sizeof file) != (ssize_t)sizeof file ? worker_stop(worker, "write") : 0;
        if (close(fd) && !failed)
            failed = worker_stop(worker, "close");
        if (failed)
            return failed;
    }
    return fsync(worker->directory) ? worker_stop(worker, "fsync directory") : note(worker, 'A', 0);
}

int rename_work(struct worker *worker) {
    int rc = make_moved(worker);
    for (unsigned number = 0; rc == 0; number++) {
        char from[32], to[32];
        moved_name(from, number % MOVED, number / MOVED);
        moved_name(to, number % MOVED, number / MOVED + 1);
        rc = note(worker, 'B', number + 1);
        if (rc == 0 && renameat(worker->directory, from, worker->directory, to))
            rc = worker_stop(worker, "rename");
        if (rc == 0 && (number + 1) % MOVE_SYNC == 0)
            rc = fsync(worker->directory) ? worker_stop(worker, "fsync directory") : note(worker, 'A', number + 1);
    }
    return rc;
}

/* Renames become durable in their order: those found done must be the first so many. */
static int check_order(const char *directory, int number, const unsigned versions[MOVED], const struct noted *noted) {
    unsigned done = 0;
    for (unsigned file = 0; file < MOVED; file++)
        done += versions[file];
    for (unsigned file = 0; file < MOVED; file++)
        if (versions[file] != done / MOVED + (file < done % MOVED))
            return complain(directory, number, file, "was renamed before another one that came first");
    if (done < noted->acknowledged)
        return complain(directory, number, done, "renames are left of more that were acknowledged");
    return done > noted->begun ? complain(directory, number, done, "renames, and fewer were begun") : 0;
}

int rename_check(const char *directory, const char *log, int number, unsigned *acknowledged) {
    struct noted noted;
    char path[4096];
    unsigned versions[MOVED] = {0}, found[MOVED] = {0}, file, version;
    int problems = 0;
    if (read_log(log, number, &noted, acknowledged) < 0)
        return -1;
    if (noted.begun == 0)
        return 0; /* killed while it was beginning */
    (void)snprintf(path, sizeof path, "%s/%d", directory, number);
    DIR *stream = opendir(path);
    if (stream == NULL) {
        perror(path);
        return 1;
    }
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL)
        if (sscanf(entry->d_name, "%u.%u", &file, &version) == 2 && file < MOVED) {
            unsigned content = MOVED;
            int fd = openat(dirfd(stream), entry->d_name, O_RDONLY | O_CLOEXEC);
            if (fd < 0 || read(fd, &content, sizeof content) != (ssize_t)sizeof content || content != file)
                problems += complain(directory, number, file, "has another content");
            if (fd >= 0)
                (void)close(fd);
            found[file]++;
            versions[file] = version;
        }
    (void)closedir(stream);
    for (file = 0; file < MOVED; file++)
        if (found[file] != 1)
            problems += complain(directory, number, file, found[file] ? "has two names" : "has no name");
    return problems ? problems : check_order(directory, number, versions, &noted);
}

/* ---- fsyncs ---- */

int fsync_work(struct worker *worker) {
    int rc = 0;
    int fd = openat(worker->directory, "records", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return worker_stop(worker, "open");
    for (unsigned number = 0; rc == 0; number++) {
        char data[RECORD];
        fill(data, sizeof data, worker->number, number);
        if (write(fd, data, sizeof data) != (ssize_t)sizeof data)
            rc = worker_stop(worker, "write");
        else
            rc = (worker_pick(worker, 2) ? fsync(fd) : fdatasync(fd)) ? worker_stop(worker, "fsync")
                                                                      : note(worker, 'A', number + 1);
    }
    (void)close(fd);
    return rc;
}

int fsync_check(const char *directory, const char *log, int number, unsigned *acknowledged) {
    struct noted noted;
    char path[4096], wanted[RECORD], found[RECORD];
    int problems = 0;
    if (read_log(log, number, &noted, acknowledged) < 0)
        return -1;
    (void)snprintf(path, sizeof path, "%s/%d/records", directory, number);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return noted.acknowledged ? complain(directory, number, 0, "the file is gone") : 0;
    unsigned record = 0;
    while (fread(found, 1, sizeof found, file) == sizeof found) {
        fill(wanted, sizeof wanted, number, record);
        if (memcmp(found, wanted, sizeof wanted) != 0 && (record < noted.acknowledged || !is_zero(found, sizeof found)))
            problems += complain(directory, number, record, "is another record");
        record++;
    }
    (void)fclose(file);
    if (record < noted.acknowledged || record > noted.acknowledged + 1)
        problems += complain(directory, number, record, "records, which is not what was acknowledged");
    return problems;
}
