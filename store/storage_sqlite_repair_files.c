/* The files of a repair: what it reads, and the exchange at its end.
 *
 *      tidfs.db (+ -wal)                            the store as it was
 *   -> tidfs.db.damaged-TIME (+ -wal) are the same files under a second name
 *   -> tidfs.db is a copy with the log applied; the log goes: it means the same as before
 *   -> tidfs.db is the repaired one
 *
 * Each arrow is one name changed, durable before the next. Without the second step a log would be left beside a database that it is not of, or
 * the old database without its log. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite_repair.h"
#include "store/transfer.h"
#include "store/wal.h"

#define KEPT_PREFIX DATABASE_FILE ".damaged-"

/* ---- the log ---- */

struct log_reader {
    int fd;
    bool big_endian;
    uint8_t salts[8];
    uint64_t frames;         /* that the file has room for */
    struct wal_sum previous; /* as the frame before carries it */
    uint8_t frame[WAL_FRAME_BYTES];
    bool of_log, right, commits; /* of `frame` */
    bool damaged;                /* a frame was left out */
};

/* A header that is damaged is done without: the frames have its salts too. */
static int log_open(struct log_reader *log, const char *path) {
    struct stat status;
    struct wal_header header;
    uint8_t bytes[WAL_HEADER_BYTES];
    *log = (struct log_reader){.fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW))};
    if (log->fd < 0)
        return errno == ENOENT ? STORE_ABSENT : store_error_from_errno(errno);
    if (fstat(log->fd, &status) < 0 || status.st_size < (off_t)(WAL_HEADER_BYTES + WAL_FRAME_BYTES))
        return STORE_ABSENT;
    log->frames = ((uint64_t)status.st_size - WAL_HEADER_BYTES) / WAL_FRAME_BYTES;
    if (transfer_read(log->fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        memset(bytes, 0, sizeof bytes);
    wal_header_read(bytes, &header);
    log->big_endian = header.big_endian;
    log->previous = header.stored;
    memcpy(log->salts, header.salts, sizeof log->salts);
    if (header.right)
        return STORE_OK;
    uint8_t first[WAL_FRAME_HEADER_BYTES] = {0};
    if (transfer_read(log->fd, first, sizeof first, WAL_HEADER_BYTES) != (ssize_t)sizeof first)
        return STORE_ABSENT;
    memcpy(log->salts, first + 8, sizeof log->salts);
    return STORE_OK;
}

static void log_close(struct log_reader *log) {
    if (log->fd >= 0)
        (void)close(log->fd);
}

/* Reads frame k. It is right by the checksum that the one before carries, so that one damaged frame does not spoil those behind it. */
static void log_read(struct log_reader *log, uint64_t k) {
    ssize_t got = transfer_read(log->fd, log->frame, WAL_FRAME_BYTES, (uint64_t)wal_frame_offset(k));
    log->of_log = got == WAL_FRAME_BYTES && memcmp(log->frame + 8, log->salts, sizeof log->salts) == 0;
    struct wal_sum stored = wal_sum_stored(log->frame + 16);
    log->right = log->of_log && wal_sum_same(stored, wal_sum_frame(log->previous, log->big_endian, log->frame));
    log->commits = log->of_log && wal_number(log->frame + 4) != 0;
    log->previous = stored;
}

/* The last frame of what was committed: up to the first wrong one as SQLite takes it, and further if store/wal.h's rule tells that more was. */
static uint64_t log_end(struct log_reader *log) {
    const struct wal_sum first = log->previous;
    bool whole = true, previous_commits = false;
    uint64_t end = 0;
    for (uint64_t k = 1; k <= log->frames; k++) {
        log_read(log, k);
        whole = whole && log->right;
        if (log->right && previous_commits)
            end = k - 1;
        if (whole && log->commits)
            end = k;
        previous_commits = log->commits;
    }
    log->previous = first;
    return end;
}

static bool is_page_right(const uint8_t *page, uint32_t number) {
    uint64_t sum;
    memcpy(&sum, page + PAGE_SUMMED, sizeof sum);
    return le64toh(sum) == page_sum(number, page);
}

/* A frame that is damaged is left out: what it had is lost, or is older then. */
static int apply_log(struct log_reader *log, uint64_t end, int fd) {
    uint32_t pages = 0;
    for (uint64_t k = 1; k <= end; k++) {
        log_read(log, k);
        const uint8_t *page = log->frame + WAL_FRAME_HEADER_BYTES;
        uint32_t number = wal_frame_page(log->frame);
        if (number == 0 || (!log->right && !(log->of_log && is_page_right(page, number)))) {
            log->damaged = true;
            continue;
        }
        if (transfer_write(fd, page, PAGE_BYTES, (uint64_t)(number - 1) * PAGE_BYTES) < 0)
            return store_error_from_errno(errno);
        if (log->right && log->commits)
            pages = wal_number(log->frame + 4);
    }
    if (pages != 0 && TEMP_FAILURE_RETRY(ftruncate(fd, (off_t)pages * PAGE_BYTES)) < 0)
        return store_error_from_errno(errno);
    return STORE_OK;
}

/* Copies page by page: one that cannot be read is left empty. */
static int copy_pages(const char *from, int to) {
    uint8_t page[PAGE_BYTES];
    struct stat status;
    int fd = (int)TEMP_FAILURE_RETRY(open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)), rc = STORE_OK;
    if (fd < 0)
        return store_error_from_errno(errno);
    if (fstat(fd, &status) < 0)
        rc = store_error_from_errno(errno);
    for (uint64_t at = 0; rc == STORE_OK && at < (uint64_t)status.st_size; at += PAGE_BYTES) {
        ssize_t got = transfer_read(fd, page, PAGE_BYTES, at);
        if (got > 0 && transfer_write(to, page, (size_t)got, at) < 0)
            rc = store_error_from_errno(errno);
    }
    if (rc == STORE_OK && TEMP_FAILURE_RETRY(ftruncate(to, status.st_size)) < 0)
        rc = store_error_from_errno(errno);
    (void)close(fd);
    return rc;
}

static int copy_durably(const char *from, const char *to, struct log_reader *log, uint64_t end) {
    int fd = (int)TEMP_FAILURE_RETRY(open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd < 0)
        return store_error_from_errno(errno);
    int rc = copy_pages(from, fd);
    if (rc == STORE_OK && log)
        rc = apply_log(log, end, fd);
    if (rc == STORE_OK && TEMP_FAILURE_RETRY(fsync(fd)) < 0)
        rc = store_error_from_errno(errno);
    if (close(fd) < 0 && rc == STORE_OK)
        rc = store_error_from_errno(errno);
    if (rc != STORE_OK)
        (void)unlink(to);
    return rc;
}

int repair_merge_log(const char *database, const char *merged, bool *done, bool *damaged, struct error *err) {
    struct log_reader log;
    char *path = NULL;
    *done = *damaged = false;
    if (asprintf(&path, "%s-wal", database) < 0)
        return error_set(err, STORE_NO_MEMORY, "cannot repair %s: out of memory", database);
    int rc = log_open(&log, path);
    uint64_t end = rc == STORE_OK ? log_end(&log) : 0;
    if (rc == STORE_OK && end > 0) {
        rc = copy_durably(database, merged, &log, end);
        *done = rc == STORE_OK;
        *damaged = log.damaged;
    }
    log_close(&log);
    if (rc < 0)
        rc = error_set(err, (enum store_error)rc, "cannot copy %s to %s: %s", database, merged, store_error_text(rc));
    free(path);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* ---- the exchange ---- */

static char *beside(const char *path, const char *suffix) {
    char *text = NULL;
    return asprintf(&text, "%s%s", path, suffix) < 0 ? NULL : text;
}

/* A second name for a file, or a copy where there are no second names. STORE_ABSENT: there is no such file. */
static int keep_file(const char *from, const char *to) {
    if (link(from, to) == 0)
        return STORE_OK;
    if (errno == ENOENT)
        return STORE_ABSENT;
    return errno == EEXIST ? STORE_EXISTS : copy_durably(from, to, NULL, 0);
}

/* Second names that a repair gave which did not come to its end. */
static void drop_unused_names(const char *directory, const char *database) {
    struct stat ours, other;
    DIR *stream = lstat(database, &ours) == 0 ? opendir(directory) : NULL;
    const struct dirent *entry;
    while (stream && (entry = readdir(stream)) != NULL) {
        if (strncmp(entry->d_name, KEPT_PREFIX, sizeof KEPT_PREFIX - 1) != 0 ||
            fstatat(dirfd(stream), entry->d_name, &other, AT_SYMLINK_NOFOLLOW) < 0 || other.st_ino != ours.st_ino ||
            other.st_dev != ours.st_dev)
            continue;
        char *log = beside(entry->d_name, "-wal");
        (void)unlinkat(dirfd(stream), entry->d_name, 0);
        if (log)
            (void)unlinkat(dirfd(stream), log, 0);
        free(log);
    }
    if (stream)
        (void)closedir(stream);
}

static int keep_with_suffix(const char *database, const char *kept, const char *suffix) {
    char *from = beside(database, suffix), *to = beside(kept, suffix);
    int rc = from && to ? keep_file(from, to) : STORE_NO_MEMORY;
    free(from);
    free(to);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Gives the damaged files their names for later. *kept is the caller's. */
static int keep(const char *directory, const char *database, char **kept) {
    char text[32];
    struct tm parts;
    time_t now = time(NULL);
    if (!gmtime_r(&now, &parts) || strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts) == 0)
        return STORE_INVALID;
    int rc = STORE_EXISTS;
    for (unsigned attempt = 0; rc == STORE_EXISTS; attempt++) {
        free(*kept);
        if (asprintf(kept, attempt ? "%s/" KEPT_PREFIX "%s.%u" : "%s/" KEPT_PREFIX "%s", directory, text, attempt) <
            0) {
            *kept = NULL;
            return STORE_NO_MEMORY;
        }
        rc = keep_file(database, *kept);
    }
    if (rc == STORE_OK)
        rc = keep_with_suffix(database, *kept, "-wal");
    if (rc == STORE_OK)
        rc = keep_with_suffix(database, *kept, "-journal");
    if (rc == STORE_OK && sqlite_sync_directory(directory) < 0)
        rc = store_error_from_errno(errno);
    return rc;
}

/* The new file is whose the old one was: an administrator who repairs a store does not take it away from its owner. */
static int replace(const char *directory, const char *from, const char *to) {
    struct stat old;
    if (stat(to, &old) < 0 || chown(from, old.st_uid, old.st_gid) < 0 || chmod(from, old.st_mode & 0777) < 0)
        return store_error_from_errno(errno);
    if (rename(from, to) < 0 || sqlite_sync_directory(directory) < 0)
        return store_error_from_errno(errno);
    return STORE_OK;
}

static int drop(const char *database, const char *suffix) {
    char *path = beside(database, suffix);
    int rc = !path ? STORE_NO_MEMORY : unlink(path) < 0 && errno != ENOENT ? store_error_from_errno(errno) : STORE_OK;
    free(path);
    return rc;
}

int repair_exchange(const char *directory, const char *database, const char *merged, const char *repaired, char **kept,
                    struct error *err) {
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    drop_unused_names(directory, database);
    int rc = keep(directory, database, kept);
    if (rc == STORE_OK && merged)
        rc = replace(directory, merged, database);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && rc == STORE_OK; i++)
        rc = drop(database, suffixes[i]);
    if (rc == STORE_OK && sqlite_sync_directory(directory) < 0)
        rc = store_error_from_errno(errno);
    if (rc == STORE_OK)
        rc = replace(directory, repaired, database);
    return rc == STORE_OK
               ? rc
               : error_set(err, (enum store_error)rc, "cannot put the repaired database in the place of %s: %s",
                           database, store_error_text(rc));
}

void repair_remove_database(const char *path) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++)
        (void)drop(path, suffixes[i]);
}
