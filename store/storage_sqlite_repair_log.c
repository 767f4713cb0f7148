/* The log of a database that is repaired.
 *
 * What was committed is applied, as far as frames are right. A frame is right if it continues the checksums of the one before, or
 * if its page has its own. What was committed ends
 *  - where SQLite ends it, before the first wrong frame; or further on
 *  - by the rule of store/wal.h: frames were added behind it, so that it had been durable; or
 *  - at a frame that ends a transaction, behind wrong ones. Either the disk has damaged the newest transactions, or a power cut hit
 *    before they were durable: nothing tells. They are taken. What of them is not right is lost, and told. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite_repair.h"
#include "store/transfer.h"
#include "store/wal.h"

struct log_reader {
    int fd;
    bool big_endian;
    uint8_t salts[8];
    uint64_t frames;         /* that the file has room for */
    struct wal_sum previous; /* as the frame before carries it */
    uint8_t frame[WAL_FRAME_BYTES];
    bool of_log, continues, whole, commits; /* of `frame` */
    uint64_t lost;                          /* frames that were left out */
};

static bool log_read_bytes(struct log_reader *log, uint64_t k) {
    return transfer_read(log->fd, log->frame, WAL_FRAME_BYTES, (uint64_t)wal_frame_offset(k)) == WAL_FRAME_BYTES;
}

/* Those of the first frame whose page is right, for what has damaged the header may have damaged frames behind it. If none is, those of the first
 * one: so what is lost is told at least. Frames that are left from an earlier use of the log come last. */
static void find_salts(struct log_reader *log) {
    bool right = false;
    for (uint64_t k = 1; k <= log->frames && !right; k++) {
        if (!log_read_bytes(log, k))
            continue;
        uint32_t number = wal_frame_page(log->frame);
        right = number != 0 && page_checks(number, log->frame + WAL_FRAME_HEADER_BYTES);
        if (right || k == 1)
            memcpy(log->salts, log->frame + 8, sizeof log->salts);
    }
}

/* A header that is damaged is done without: the frames have its salts too. STORE_NOT_A_STORE: what is there is no file that could be a log. */
static int log_open(struct log_reader *log, const char *path) {
    struct stat status;
    struct wal_header header;
    uint8_t bytes[WAL_HEADER_BYTES];
    *log =
        (struct log_reader){.fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK))};
    if (log->fd < 0 && (errno == ELOOP || errno == ENXIO))
        return STORE_NOT_A_STORE;
    if (log->fd < 0)
        return errno == ENOENT ? STORE_ABSENT : store_error_from_errno(errno);
    if (fstat(log->fd, &status) < 0)
        return store_error_from_errno(errno); /* not absent: what it holds must not be left out */
    if (!S_ISREG(status.st_mode))
        return STORE_NOT_A_STORE;
    if (status.st_size < (off_t)(WAL_HEADER_BYTES + WAL_FRAME_BYTES))
        return STORE_ABSENT;
    log->frames = ((uint64_t)status.st_size - WAL_HEADER_BYTES) / WAL_FRAME_BYTES;
    if (transfer_read(log->fd, bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        memset(bytes, 0, sizeof bytes);
    wal_header_read(bytes, &header);
    log->big_endian = header.big_endian;
    log->previous = header.stored;
    memcpy(log->salts, header.salts, sizeof log->salts);
    if (!header.right)
        find_salts(log);
    return STORE_OK;
}

static void log_close(struct log_reader *log) {
    if (log->fd >= 0)
        (void)close(log->fd);
}

/* Reads frame k. It continues the checksum that the one before carries, so that one damaged frame does not spoil those behind it. */
static void log_read(struct log_reader *log, uint64_t k) {
    bool read = log_read_bytes(log, k);
    uint32_t number = wal_frame_page(log->frame);
    log->of_log = read && memcmp(log->frame + 8, log->salts, sizeof log->salts) == 0;
    struct wal_sum stored = wal_sum_stored(log->frame + 16);
    log->continues = log->of_log && wal_sum_same(stored, wal_sum_frame(log->previous, log->big_endian, log->frame));
    log->whole =
        number != 0 && (log->continues || (log->of_log && page_checks(number, log->frame + WAL_FRAME_HEADER_BYTES)));
    log->commits = log->of_log && wal_frame_commits(log->frame);
    log->previous = stored;
}

/* Where what was committed ends. */
static void find_end(struct log_reader *log, struct repair_log *found) {
    bool continues = true, whole = true, previous_commits = false;
    uint64_t certain = 0;
    for (uint64_t k = 1; k <= log->frames; k++) {
        log_read(log, k);
        continues = continues && log->continues;
        whole = whole && log->whole;
        if (log->continues && previous_commits)
            certain = k - 1;
        if (continues && log->commits)
            certain = k;
        if (whole && log->commits)
            found->whole_end = k;
        if (log->commits)
            found->end = k;
        previous_commits = log->commits;
    }
    found->beyond = found->end > certain;
}

struct application {
    struct log_reader *log;
    uint64_t after, end; /* frames after < k <= end */
};

/* A frame that is damaged is left out: what it had is lost, or is older then. */
static int apply_log(void *context, int fd) {
    struct application *application = context;
    struct log_reader *log = application->log;
    uint32_t pages = 0;
    for (uint64_t k = 1; k <= application->end; k++) {
        log_read(log, k);
        const uint8_t *page = log->frame + WAL_FRAME_HEADER_BYTES;
        uint32_t number = wal_frame_page(log->frame);
        if (k <= application->after)
            continue;
        if (!log->whole) {
            log->lost++;
            continue;
        }
        if (transfer_write(fd, page, PAGE_BYTES, (uint64_t)(number - 1) * PAGE_BYTES) < 0)
            return store_error_from_errno(errno);
        if (log->continues && log->commits)
            pages = wal_number(log->frame + 4);
    }
    if (pages != 0 && TEMP_FAILURE_RETRY(ftruncate(fd, (off_t)pages * PAGE_BYTES)) < 0)
        return store_error_from_errno(errno);
    return STORE_OK;
}

static char *log_of(const char *database) {
    char *path = NULL;
    return asprintf(&path, "%s-wal", database) < 0 ? NULL : path;
}

int repair_look_at_log(const char *database, struct repair_log *found, struct error *err) {
    struct log_reader log;
    char *path = log_of(database);
    *found = (struct repair_log){0};
    if (!path)
        return error_set(err, STORE_NO_MEMORY, "cannot repair %s: out of memory", database);
    int rc = log_open(&log, path);
    if (rc == STORE_OK)
        find_end(&log, found);
    log_close(&log);
    if (rc == STORE_NOT_A_STORE)
        rc = error_set(err, STORE_NOT_A_STORE,
                       "%s is no regular file: put the log itself there, or take that away if there is none", path);
    else if (rc < 0)
        rc = error_set(err, (enum store_error)rc, "cannot read %s: %s", path, store_error_text(rc));
    free(path);
    return rc < 0 ? rc : STORE_OK;
}

int repair_merge_log(const char *database, const char *merged, struct repair_log *found, struct error *err) {
    struct log_reader log;
    if (found->end == 0)
        return STORE_OK;
    char *path = log_of(database);
    if (!path)
        return error_set(err, STORE_NO_MEMORY, "cannot repair %s: out of memory", database);
    struct application application = {.log = &log, .end = found->whole_end};
    int rc = log_open(&log, path);
    if (rc == STORE_OK)
        rc = repair_copy(database, merged, apply_log, &application);
    found->merged = rc == STORE_OK;
    log_close(&log);
    free(path);
    return rc == STORE_OK ? rc
                          : error_set(err, (enum store_error)rc, "cannot copy %s to %s: %s", database, merged,
                                      store_error_text(rc));
}

int repair_merge_rest(const char *database, const char *merged, struct repair_log *found, struct error *err) {
    struct log_reader log = {.fd = -1};
    char *path = log_of(database);
    if (!path)
        return error_set(err, STORE_NO_MEMORY, "cannot repair %s: out of memory", database);
    struct application application = {.log = &log, .after = found->whole_end, .end = found->end};
    int fd = (int)TEMP_FAILURE_RETRY(open(merged, O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    int rc = fd < 0 ? store_error_from_errno(errno) : log_open(&log, path);
    if (rc == STORE_OK) {
        rc = apply_log(&application, fd);
        found->lost = log.lost;
    }
    log_close(&log);
    if (rc == STORE_OK && TEMP_FAILURE_RETRY(fsync(fd)) < 0)
        rc = store_error_from_errno(errno);
    if (fd >= 0 && close(fd) < 0 && rc == STORE_OK)
        rc = store_error_from_errno(errno);
    free(path);
    return rc == STORE_OK ? rc
                          : error_set(err, (enum store_error)rc, "cannot apply the log of %s to %s: %s", database,
                                      merged, store_error_text(rc));
}
