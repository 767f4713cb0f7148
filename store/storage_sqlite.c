#include "store/storage_sqlite.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/lock.h"
#include "store/page_vfs.h"
#include "store/storage_sqlite_wal.h"
#include "store/transfer.h"

#define DATABASE_HEADER_BYTES 72 /* of the file's 100, those that are looked at here */

static int sqlite_body_append(struct storage *base, const uint8_t *data, uint32_t length, struct body_ref *ref) {
    return body_files_append(sqlite_storage_of(base)->bodies, data, length, ref);
}

static int sqlite_body_reserve(struct storage *base, uint64_t count, uint64_t *first) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    if (!storage->writable)
        return STORE_READ_ONLY;
    *first = atomic_fetch_add(&storage->next_body, count);
    return *first + count > OID_MAX + 1 ? STORE_FULL : STORE_OK;
}

static int sqlite_space(struct storage *base, uint64_t *database_bytes, uint64_t *body_bytes) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char *path = NULL;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        struct stat status;
        if (asprintf(&path, "%s%s", storage->path, suffixes[i]) < 0)
            return STORE_NO_MEMORY;
        int failed = stat(path, &status) < 0 ? errno : 0;
        free(path);
        if (failed && failed != ENOENT) {
            log_write(storage->log, LOG_LEVEL_ERROR, "cannot look at %s%s: %s", storage->path, suffixes[i],
                      strerror(failed));
            return store_error_from_errno(failed);
        }
        if (!failed)
            *database_bytes += (uint64_t)status.st_blocks * 512;
    }
    return body_files_space(storage->bodies, body_bytes);
}

static void sqlite_close(struct storage *base) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    if (storage->checkpointer)
        checkpointer_stop(storage->checkpointer);
    connection_pool_release(&storage->readers);
    connection_close(storage->writer); /* last, for SQLite empties and removes the WAL with the last connection */
    place_release(&storage->place);
    body_files_close(storage->bodies);
    (void)pthread_mutex_destroy(&storage->writer_mutex);
    if (storage->lock >= 0)
        (void)close(storage->lock);
    loss_list_release(&storage->losses);
    free(storage->directory);
    free(storage->path);
    free(storage);
}

static const struct storage_ops sqlite_ops = {
    .name = "sqlite",
    .close = sqlite_close,
    .begin_reads = sqlite_begin_reads,
    .end_reads = sqlite_end_reads,
    .get_state = sqlite_get_state,
    .load_before = sqlite_load_before,
    .load_revision = sqlite_load_revision,
    .next_part = sqlite_next_part,
    .lookup = sqlite_lookup,
    .list = sqlite_list,
    .list_from = sqlite_list_from,
    .links = sqlite_links,
    .named = sqlite_named,
    .subtree = sqlite_subtree,
    .changed = sqlite_changed,
    .revisions_between = sqlite_revisions_between,
    .body_read = sqlite_body_read,
    .body_append = sqlite_body_append,
    .body_reserve = sqlite_body_reserve,
    .commit = sqlite_commit,
    .transaction_before = sqlite_transaction_before,
    .transaction_at = sqlite_transaction_at,
    .touched = sqlite_touched,
    .tag_get = sqlite_tag_get,
    .tag_set = sqlite_tag_set,
    .tag_delete = sqlite_tag_delete,
    .tag_list = sqlite_tag_list,
    .space = sqlite_space,
    .verify = sqlite_verify,
};

static int tell_full(const struct sqlite_storage *storage, struct error *err) {
    return error_set(err, STORE_FULL,
                     "no space left on the disk of %s to open it safely: free at least %d KiB there, and try again",
                     storage->directory, CONNECTION_ROOM / 1024);
}

/* Who changes tags while another process writes the store may leave that to it: it did so when it began, and has died of no failure since. */
static int settle_log(struct sqlite_storage *storage, struct error *err) {
    struct lock_holder holder = {0};
    bool beside = !storage->writable && writer_lock_holder(storage->directory, &holder) == STORE_OK;
    lock_holder_release(&holder);
    return beside ? STORE_OK : sqlite_wal_settle(storage->writer, storage->path, err);
}

/* Writer_mutex held. */
static int open_writer(struct sqlite_storage *storage, struct error *err) {
    if (access(storage->directory, W_OK) < 0 || access(storage->path, W_OK) < 0)
        return error_set(err, (enum store_error)store_error_from_errno(errno), "%s cannot be written: %s",
                         storage->directory, strerror(errno));
    bool full = connection_disk_full(storage->directory);
    /* Who changes tags alone has no lock of its own; the database must not move under one who reads it without locks. On a disk that is still
     * full that reader may well be this process. */
    int rc = reader_lock_check(storage->directory, err);
    if (rc != STORE_OK)
        return full && rc == STORE_LOCKED ? tell_full(storage, err) : rc;
    /* SQLite needs no more room than its files have already, if they are there; if not, its own words for that help nobody. */
    rc = connection_open_at(&storage->place, CONNECTION_WRITE, full ? NULL : storage->log, &storage->writer, err);
    if (full && (rc == STORE_FULL || rc == STORE_IO))
        rc = tell_full(storage, err);
    if (rc != STORE_OK)
        return rc;
    storage->writer->log = storage->log;
    if (sqlite3_db_readonly(storage->writer->db, "main") != 0) {
        connection_close(storage->writer);
        storage->writer = NULL;
        return error_set(err, STORE_READ_ONLY, "%s cannot be written: it is read-only", storage->path);
    }
    rc = settle_log(storage, err);
    if (rc != STORE_OK) {
        connection_close(storage->writer);
        storage->writer = NULL;
        return rc == STORE_FULL ? tell_full(storage, err) : rc;
    }
    if (storage->checkpointer)
        checkpointer_watch(storage->checkpointer, storage->writer);
    return STORE_OK;
}

int sqlite_check_place(struct sqlite_storage *storage) {
    int rc =
        storage->place.path ? place_is_held(&storage->place) : STORE_OK; /* no path: a database that is being made */
    bool displaced = rc == STORE_ABSENT;
    if (atomic_exchange(&storage->displaced, displaced) != displaced && displaced)
        log_write(storage->log, LOG_LEVEL_ERROR,
                  "%s was replaced or removed while it is in use: put it back, or end all that uses the store, and "
                  "begin again",
                  storage->path);
    if (rc < 0)
        log_write(storage->log, LOG_LEVEL_ERROR, "cannot look at %s: %s", storage->path, store_error_text(rc));
    return displaced ? STORE_LOCKED : rc;
}

int sqlite_writer_take(struct sqlite_storage *storage, struct connection **writer) {
    sqlite_use_room(storage);
    (void)pthread_mutex_lock(&storage->writer_mutex);
    if (storage->readers.kind == CONNECTION_READ_IMMUTABLE || storage->lock >= 0) {
        int refused = storage->lock >= 0 ? STORE_FULL : STORE_READ_ONLY;
        (void)pthread_mutex_unlock(&storage->writer_mutex);
        return refused;
    }
    struct error err = {0};
    int rc = sqlite_check_place(storage);
    if (rc == STORE_OK && !storage->writer && (rc = open_writer(storage, &err)) != STORE_OK)
        log_write(storage->log, LOG_LEVEL_ERROR, "%s", err.text);
    if (rc == STORE_OK)
        *writer = storage->writer;
    else
        (void)pthread_mutex_unlock(&storage->writer_mutex);
    return rc;
}

void sqlite_writer_give(struct sqlite_storage *storage, struct connection *writer) {
    assert(writer == storage->writer);
    if (connection_rollback(writer) != STORE_OK) {
        /* A new connection sees what is committed, whatever this one has got into. */
        log_write(storage->log, LOG_LEVEL_ERROR, "database: cannot roll back; opening it anew");
        connection_close(writer);
        storage->writer = NULL;
    }
    (void)pthread_mutex_unlock(&storage->writer_mutex);
}

/* Of the files that SQLite would open by itself, or follow. A rollback journal is none of a store, whose log is a WAL; one that
 * somebody has put there would have SQLite write to the database, and delete whatever file it names. */
static int check_side_files(const char *path, struct error *err) {
    static const char *const suffixes[] = {"-wal", "-shm", "-journal"};
    int rc = STORE_OK;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0] && rc == STORE_OK; i++) {
        char *side = NULL;
        struct stat status;
        if (asprintf(&side, "%s%s", path, suffixes[i]) < 0)
            return error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", path);
        if (lstat(side, &status) < 0) {
            if (errno != ENOENT)
                rc = error_set(err, store_error_from_errno(errno), "cannot look at %s: %s", side, strerror(errno));
        } else if (strcmp(suffixes[i], "-journal") == 0) {
            rc = error_set(err, STORE_CORRUPT, "%s is no file of a store, and not safe to open one with: remove it",
                           side);
        } else if (!S_ISREG(status.st_mode)) {
            rc = error_set(err, STORE_CORRUPT, "%s is no regular file", side);
        }
        free(side);
    }
    return rc;
}

/* The header of a SQLite file: https://www.sqlite.org/fileformat.html, 1.3. */
static int check_header(const unsigned char header[DATABASE_HEADER_BYTES], const char *path, struct error *err) {
    static const char magic[16] = "SQLite format 3";
    if (memcmp(header, magic, sizeof magic) != 0)
        return error_set(err, STORE_CORRUPT, "%s is damaged: it does not begin as a SQLite database", path);
    /* Two marks of a store, so that one damaged byte does not make it another program's. */
    if (header[20] != PAGE_BYTES - PAGE_SUMMED && memcmp(&header[68], "tidf", 4) != 0)
        return error_set(err, STORE_NOT_A_STORE, "%s was not made by tidfs: its directory is not a tidfs store", path);
    /* Other versions than 2 are without a WAL, and would have SQLite make other files, in other ways. */
    if (header[18] != 2 || header[19] != 2)
        return error_set(err, STORE_CORRUPT, "%s is damaged: it is not in WAL mode", path);
    return STORE_OK;
}

/* Of reading: that one may not is no reason to try it read-only. */
static enum store_error unreadable(int saved_errno) {
    return saved_errno == ENOMEM ? STORE_NO_MEMORY : STORE_IO;
}

/* What can be told of the files before SQLite sees them. */
static int check_files(const char *directory, const char *path, struct error *err) {
    unsigned char header[DATABASE_HEADER_BYTES];
    struct stat status;
    if (stat(directory, &status) < 0)
        return error_set(err, errno == ENOENT || errno == ENOTDIR ? STORE_NOT_A_STORE : unreadable(errno),
                         "there is no store at %s: %s", directory, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(err, STORE_NOT_A_STORE, "%s is not a tidfs store: it is not a directory", directory);
    int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd < 0) {
        if (errno == ENOENT)
            return error_set(err, STORE_NOT_A_STORE, "%s is not a tidfs store: it has no " DATABASE_FILE, directory);
        if (errno == ELOOP || errno == ENXIO)
            return error_set(err, STORE_NOT_A_STORE,
                             "%s is not a tidfs store: its " DATABASE_FILE " is no regular file", directory);
        return error_set(err, unreadable(errno), "cannot open %s: %s", path, strerror(errno));
    }
    if (fstat(fd, &status) < 0) {
        int rc = error_set(err, unreadable(errno), "cannot look at %s: %s", path, strerror(errno));
        (void)close(fd);
        return rc;
    }
    if (!S_ISREG(status.st_mode)) {
        (void)close(fd);
        return error_set(err, STORE_NOT_A_STORE, "%s is not a tidfs store: its " DATABASE_FILE " is no regular file",
                         directory);
    }
    ssize_t got = transfer_read(fd, header, sizeof header, 0);
    int saved_errno = errno;
    (void)close(fd);
    if (got < 0)
        return error_set(err, unreadable(saved_errno), "cannot read %s: %s", path, strerror(saved_errno));
    if (got == 0)
        return error_set(err, STORE_CORRUPT, "%s is damaged: it is empty", path);
    if (got < (ssize_t)sizeof header)
        return error_set(err, STORE_CORRUPT, "%s is damaged: it does not begin as a SQLite database", path);
    int rc = check_header(header, path, err);
    return rc == STORE_OK ? check_side_files(path, err) : rc;
}

/* True if the database has this file beside it, of at least `bytes`. */
static bool has_side_file(const struct sqlite_storage *storage, const char *suffix, off_t bytes) {
    char *path = NULL;
    struct stat status;
    bool has =
        asprintf(&path, "%s%s", storage->path, suffix) < 0 || (stat(path, &status) == 0 && status.st_size >= bytes);
    free(path);
    return has;
}

static int check_with_reader(struct sqlite_storage *storage, struct error *err) {
    struct connection *reader;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc == STORE_CORRUPT) {
        rc = connection_open(storage->path, storage->readers.kind, NULL, &reader, err); /* for what it says in err */
        if (rc != STORE_OK)
            return rc;
        connection_close(reader);
        rc = STORE_CORRUPT;
    }
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "cannot open %s: %s", storage->path, store_error_text(rc));
    rc = sqlite_schema_check(reader, storage->directory, err);
    connection_pool_give(&storage->readers, reader);
    return rc;
}

static void set_readers(struct sqlite_storage *storage, enum connection_kind kind, struct log *log) {
    connection_pool_release(&storage->readers);
    int rc = connection_pool_init(&storage->readers, storage->path, kind, log);
    storage->readers.place = &storage->place;
    assert(rc == STORE_OK);
    (void)rc;
}

/* Reads without SQLite's lock files, for a disk where they cannot be made, and nobody writes the store. */
static int open_immutable(struct sqlite_storage *storage, const char *why, struct error *err) {
    log_write(storage->log, LOG_LEVEL_INFO, "%s lies on a %s disk: reading without locks", storage->directory, why);
    set_readers(storage, CONNECTION_READ_IMMUTABLE, storage->log);
    return check_with_reader(storage, err);
}

/* SQLite's lock files take room. Without it they are not needed when nobody writes, which our own lock can ensure, and nothing is
 * left in the log. */
static int open_readers_full(struct sqlite_storage *storage, struct error *err) {
    int fd = -1, rc = reader_lock_acquire(storage->directory, &fd);
    if (rc == STORE_OK) {
        if (!has_side_file(storage, "-wal", 1)) {
            storage->lock = fd;
            return open_immutable(storage, "full", err);
        }
        (void)close(fd);
    }
    /* A writer has the files open already, or there is just room enough. SQLite's own words for it not being so help nobody. */
    set_readers(storage, CONNECTION_READ, NULL);
    rc = check_with_reader(storage, err);
    set_readers(storage, CONNECTION_READ, storage->log);
    if (rc == STORE_FULL || rc == STORE_IO)
        rc = tell_full(storage, err);
    return rc;
}

static int open_readers(struct sqlite_storage *storage, struct error *err) {
    bool fixed = access(storage->directory, W_OK) < 0;
    bool log_left = has_side_file(storage, "-wal", 1);
    if (!fixed && connection_disk_full(storage->directory))
        return open_readers_full(storage, err);
    if (fixed && !log_left && !has_side_file(storage, "-shm", 0))
        return open_immutable(storage, "read-only", err);
    int rc = check_with_reader(storage, err);
    if (!fixed || (rc != STORE_IO && rc != STORE_READ_ONLY))
        return rc;
    /* Lock files are there that are of no use. With a live writer they would be. */
    if (!log_left)
        return open_immutable(storage, "read-only", err);
    return error_set(
        err, STORE_READ_ONLY,
        "%s was not closed cleanly and its disk is read-only: open it once where it can be written, or copy "
        "it to such a place",
        storage->directory);
}

/* Opens for writing, and proves that the disk allows it. */
static int open_for_writing(struct sqlite_storage *storage, struct error *err) {
    int rc = open_writer(storage, err);
    if (rc != STORE_OK)
        return rc;
    rc = sqlite_schema_check(storage->writer, storage->directory, err);
    if (rc == STORE_OK)
        rc = sqlite_ids_check(storage->writer, storage->directory, err);
    if (rc != STORE_OK)
        return rc;
    rc = statement_run(storage->writer, STATEMENT_BEGIN_WRITE, NULL, 0);
    if (rc == STORE_OK)
        rc = statement_run(storage->writer, STATEMENT_ROLLBACK, NULL, 0);
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "%s cannot be written: %s", storage->directory,
                         connection_told(storage->writer));
    rc = checkpointer_start(storage->path, storage->log, &storage->checkpointer, err);
    if (rc == STORE_OK)
        checkpointer_watch(storage->checkpointer, storage->writer);
    return rc;
}

static int open_bodies(struct sqlite_storage *storage, const char *directory, struct error *err) {
    struct connection *reader;
    struct state_row state;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc == STORE_OK) {
        rc = state_row_get(reader, &state);
        if (rc == STORE_OK)
            rc = statement_integer(reader, STATEMENT_USER_VERSION, NULL, 0, &storage->format);
        if (rc == STORE_OK)
            rc = loss_list_load(reader, &storage->losses);
        connection_pool_give(&storage->readers, reader);
    }
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "cannot read %s: %s", storage->path, store_error_text(rc));
    atomic_store(&storage->next_body, state.next_body);
    struct body_end end = {.file = (uint32_t)state.body_file, .end = state.body_end};
    return body_files_open(directory, storage->writable, end, storage->log, &storage->bodies, err);
}

int storage_sqlite_open(const char *directory, const struct storage_open_options *options, struct storage **out,
                        struct error *err) {
    return sqlite_open_database(directory, NULL, options, out, err);
}

int sqlite_open_database(const char *directory, const char *database, const struct storage_open_options *options,
                         struct storage **out, struct error *err) {
    struct sqlite_storage *storage = calloc(1, sizeof *storage);
    if (!storage)
        return error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", directory);
    storage->base.ops = &sqlite_ops;
    storage->log = options->log;
    storage->writable = options->writable;
    storage->lock = -1;
    storage->place = PLACE_NONE;
    /* Connections are opened later too, from wherever we are then. */
    if (database) /* never the store's in its place: that one is not this database's */
        storage->directory = strndup(database, (size_t)(strrchr(database, '/') - database));
    else if (!(storage->directory = realpath(directory, NULL)))
        storage->directory = strdup(directory);
    if (database)
        storage->path = strdup(database);
    else if (!storage->directory || asprintf(&storage->path, "%s/" DATABASE_FILE, storage->directory) < 0)
        storage->path = NULL;
    bool mutex = pthread_mutex_init(&storage->writer_mutex, NULL) == 0;
    if (!storage->directory || !storage->path || !mutex ||
        connection_pool_init(&storage->readers, storage->path, CONNECTION_READ, storage->log) != STORE_OK) {
        if (mutex)
            (void)pthread_mutex_destroy(&storage->writer_mutex);
        free(storage->directory);
        free(storage->path);
        free(storage);
        return error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", directory);
    }
    int rc = check_files(directory, storage->path, err);
    if (rc == STORE_OK)
        rc = place_take(&storage->place, storage->directory, storage->path, err);
    storage->readers.place = &storage->place;
    /* Of a reader too, for the first connection decides for all of a process how those files are opened; but it can do without. */
    int made = rc == STORE_OK ? sqlite_wal_make_writable(storage->path, options->writable ? err : NULL) : STORE_OK;
    if (rc == STORE_OK && options->writable)
        rc = made;
    if (rc == STORE_OK)
        rc = options->writable ? open_for_writing(storage, err) : open_readers(storage, err);
    if (rc == STORE_OK)
        rc = open_bodies(storage, directory, err);
    if (rc == STORE_OK && database) /* a repair makes no contents, and may tell only, of a store on a read-only disk */
        body_files_only_read(storage->bodies);
    if (rc != STORE_OK)
        sqlite_close(&storage->base);
    else
        *out = &storage->base;
    return rc;
}
