/* Making a store.
 *
 * tidfs.db is written under another name and gets its own as the last thing, when it is whole and has its first transaction: so there is a
 * store or there is none, whenever the power goes. What a create that was cut short has left is known by its names, and the next one removes it.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "store/storage_sqlite.h"

#define NEW_DATABASE_FILE DATABASE_FILE ".new"

/* The files of a create before tidfs.db has its name; the directory of body files is there, too, and empty. */
static const char *const attempt_names[] = {NEW_DATABASE_FILE, NEW_DATABASE_FILE "-wal", NEW_DATABASE_FILE "-shm",
                                            NEW_DATABASE_FILE "-journal"};
#define ATTEMPT_NAMES (sizeof attempt_names / sizeof attempt_names[0])

static bool is_of_attempt(const char *name) {
    for (size_t i = 0; i < ATTEMPT_NAMES; i++)
        if (strcmp(name, attempt_names[i]) == 0)
            return true;
    return strcmp(name, BODY_DIRECTORY) == 0;
}

static int tell_not_empty(const char *directory, struct error *err) {
    return error_set(err, STORE_EXISTS, "%s is not empty: a store needs a directory of its own", directory);
}

/* That there is nothing but what a create left that was cut short, if anything. */
static int check_empty(const char *directory, struct error *err) {
    DIR *stream = opendir(directory);
    if (!stream)
        return error_set(err, errno == ENOENT || errno == ENOTDIR ? STORE_INVALID : store_error_from_errno(errno),
                         "cannot make a store in %s: %s", directory, strerror(errno));
    int rc = STORE_OK;
    const struct dirent *entry;
    while (rc == STORE_OK && (errno = 0, entry = readdir(stream)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && !is_of_attempt(entry->d_name))
            rc = tell_not_empty(directory, err);
    if (rc == STORE_OK && errno != 0)
        rc = error_set(err, store_error_from_errno(errno), "cannot list %s: %s", directory, strerror(errno));
    (void)closedir(stream);
    return rc;
}

/* Removes what check_empty let pass. `parent` is the open directory. */
static int remove_attempt(int parent, const char *directory, struct error *err) {
    for (size_t i = 0; i < ATTEMPT_NAMES; i++)
        if (unlinkat(parent, attempt_names[i], 0) < 0 && errno != ENOENT)
            return error_set(err, store_error_from_errno(errno), "cannot remove %s/%s: %s", directory, attempt_names[i],
                             strerror(errno));
    if (unlinkat(parent, BODY_DIRECTORY, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return STORE_OK;
    if (errno == ENOTEMPTY || errno == ENOTDIR)
        return tell_not_empty(directory, err);
    return error_set(err, store_error_from_errno(errno), "cannot remove %s/" BODY_DIRECTORY ": %s", directory,
                     strerror(errno));
}

int sqlite_sync_directory(const char *directory) {
    int fd = (int)TEMP_FAILURE_RETRY(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0)
        return -1;
    int failed = (int)TEMP_FAILURE_RETRY(fsync(fd));
    int saved_errno = errno;
    (void)close(fd);
    errno = saved_errno;
    return failed;
}

/* SQLite does not know of every call that failed for want of space why it did. */
static int full_instead_of_io(int code, const char *directory) {
    return code == STORE_IO && connection_disk_full(directory) ? STORE_FULL : code;
}

/* Commits through this connection. *connection is NULL afterwards if it was of no more use and is closed. */
static int commit_first(struct connection **connection, const struct commit *first) {
    static const struct storage_ops ops = {.name = "sqlite", .commit = sqlite_commit};
    struct sqlite_storage storage = {
        .base.ops = &ops, .writable = true, .lock = -1, .writer = *connection, .readers.kind = CONNECTION_WRITE};
    assert(!first->body_files_used && first->body_count == 0);
    if (pthread_mutex_init(&storage.writer_mutex, NULL) != 0)
        return STORE_NO_MEMORY;
    int rc = storage_commit(&storage.base, first, NULL);
    *connection = storage.writer;
    (void)pthread_mutex_destroy(&storage.writer_mutex);
    return rc;
}

static int create_database(const char *directory, const char *new_path, const char *path, const struct commit *first,
                           struct error *err) {
    /* SQLite gives its other files this mode. */
    int fd = (int)TEMP_FAILURE_RETRY(open(new_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd < 0)
        return error_set(err, store_error_from_errno(errno), "cannot make a store in %s: %s", directory,
                         strerror(errno));
    (void)close(fd);
    struct connection *connection;
    int rc = connection_open(new_path, CONNECTION_WRITE, NULL, &connection, err);
    if (rc != STORE_OK)
        return rc;
    rc = sqlite_schema_create(connection);
    if (rc == STORE_OK && first)
        rc = commit_first(&connection, first);
    if (rc != STORE_OK) {
        rc = full_instead_of_io(rc, directory);
        (void)error_set(err, (enum store_error)rc, "cannot make a store in %s: %s", directory,
                        rc == STORE_FULL || !connection ? store_error_text(rc) : connection_told(connection));
        if (connection)
            (void)connection_rollback(connection);
    }
    connection_close(connection);
    if (rc != STORE_OK)
        return rc;
    fd = (int)TEMP_FAILURE_RETRY(open(new_path, O_RDWR | O_CLOEXEC));
    bool failed = fd < 0 || TEMP_FAILURE_RETRY(fsync(fd)) < 0;
    if (fd >= 0)
        failed = close(fd) < 0 || failed;
    if (failed || rename(new_path, path) < 0)
        rc = error_set(err, store_error_from_errno(errno), "cannot make a store in %s: %s", directory, strerror(errno));
    return rc;
}

/* Makes the files and their names durable. `parent` is the open directory. */
static int create_files(int parent, const char *directory, const struct commit *first, struct error *err) {
    char *new_path = NULL, *path = NULL, *above = NULL;
    if (asprintf(&new_path, "%s/" NEW_DATABASE_FILE, directory) < 0)
        new_path = NULL;
    if (asprintf(&path, "%s/" DATABASE_FILE, directory) < 0)
        path = NULL;
    if (asprintf(&above, "%s/..", directory) < 0)
        above = NULL;
    int rc = STORE_OK;
    if (!new_path || !path || !above)
        rc = error_set(err, STORE_NO_MEMORY, "cannot make a store in %s: out of memory", directory);
    if (rc == STORE_OK)
        rc = body_files_create(directory, err);
    if (rc == STORE_OK)
        rc = create_database(directory, new_path, path, first, err);
    if (rc == STORE_OK && (sqlite_sync_directory(directory) < 0 || sqlite_sync_directory(above) < 0))
        rc = error_set(err, store_error_from_errno(errno), "cannot sync %s: %s", directory, strerror(errno));
    if (rc != STORE_OK) {
        (void)unlinkat(parent, DATABASE_FILE, 0);
        (void)remove_attempt(parent, directory, NULL);
    }
    free(new_path);
    free(path);
    free(above);
    return rc;
}

int storage_sqlite_create_with(const char *directory, const struct commit *first, struct error *err) {
    int rc = check_empty(directory, err);
    if (rc != STORE_OK)
        return rc;
    int parent = (int)TEMP_FAILURE_RETRY(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (parent < 0)
        return error_set(err, store_error_from_errno(errno), "cannot open %s: %s", directory, strerror(errno));
    /* Two at a time would take each other's files for what is left over. A file system without locks goes without. */
    if (flock(parent, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        rc = error_set(err, STORE_LOCKED, "another process is making a store in %s", directory);
    if (rc == STORE_OK)
        rc = check_empty(directory, err); /* again: the other one may have been done by now */
    if (rc == STORE_OK)
        rc = remove_attempt(parent, directory, err);
    if (rc == STORE_OK)
        rc = create_files(parent, directory, first, err);
    (void)close(parent);
    return rc;
}

int storage_sqlite_create(const char *directory, struct error *err) {
    return storage_sqlite_create_with(directory, NULL, err);
}
