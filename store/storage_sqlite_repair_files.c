/* The files of a repair: what it reads, and the exchange at its end.
 *
 *      tidfs.db (+ -wal)                            the store as it was
 *   -> tidfs.db.damaged-TIME (+ -wal) are the same files under a second name
 *   -> tidfs.db is a copy with the log applied; the log goes: it means the same as before
 *   -> tidfs.db is the repaired one
 *
 * Each arrow is one name changed, durable before the next. Without the second step a log would be left beside a database that it is not of, or
 * the old database without its log. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite_repair.h"
#include "store/transfer.h"

#define KEPT_PREFIX DATABASE_FILE ".damaged-"

/* ---- copies ---- */

/* Copies page by page: one that cannot be read is left empty. */
static int copy_pages(const char *from, int to) {
    uint8_t page[PAGE_BYTES];
    struct stat status;
    int fd = (int)TEMP_FAILURE_RETRY(open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)), rc = STORE_OK;
    if (fd < 0)
        return errno == ENOENT ? STORE_ABSENT : store_error_from_errno(errno);
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

int repair_copy(const char *from, const char *to, int (*change)(void *context, int fd), void *context) {
    int fd = (int)TEMP_FAILURE_RETRY(open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd < 0)
        return errno == EEXIST ? STORE_EXISTS : store_error_from_errno(errno);
    int rc = copy_pages(from, fd);
    if (rc == STORE_OK && change)
        rc = change(context, fd);
    if (rc == STORE_OK && TEMP_FAILURE_RETRY(fsync(fd)) < 0)
        rc = store_error_from_errno(errno);
    if (close(fd) < 0 && rc == STORE_OK)
        rc = store_error_from_errno(errno);
    if (rc != STORE_OK)
        (void)unlink(to);
    return rc;
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
    return errno == EEXIST ? STORE_EXISTS : repair_copy(from, to, NULL, NULL);
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
    char text[32] = "";
    struct tm parts = {0};
    time_t now = time(NULL);
    (void)gmtime_r(&now, &parts); /* which fails only if the year is no int; any name will do then */
    (void)strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
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

/* Without an allocation: what is left is removed when memory has run out, too. */
static int drop(const char *database, const char *suffix) {
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s%s", database, suffix) >= sizeof path)
        return STORE_TOO_BIG;
    return unlink(path) < 0 && errno != ENOENT ? store_error_from_errno(errno) : STORE_OK;
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
