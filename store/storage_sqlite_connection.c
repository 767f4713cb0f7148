#include "store/storage_sqlite_connection.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite_errno.h"
#include "store/storage_sqlite_row.h"

/* A file of at most so many is read whole when a page of it is missing: a history of some 100,000 files. */
#define WHOLE_BYTES     (32 << 20)
#define AROUND_BYTES    (128 << 10)
#define READERS_MOST    8
#define BUSY_TIMEOUT_MS 10000
#define STATEMENT_SHOWN 60 /* bytes of a statement that failed */

/* Every page is checked for sanity when it is read. */
static const char setup_sql[] = "PRAGMA cell_size_check = ON;"
                                "PRAGMA temp_store = MEMORY;"
                                "PRAGMA secure_delete = OFF;"
                                "PRAGMA synchronous = FULL;"
                                "PRAGMA cache_size = -8192;";

/* SQLite makes its shared memory larger by writing one byte of each 4 KiB. Of smaller blocks that leaves most without a place on the disk, to be found when
 * the mapping is written, by SIGBUS if there is none. The database itself is never mapped for writing. */
static void *map_with_room(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
    int rc = 0;
    if (protection & PROT_WRITE)
        while ((rc = fallocate(fd, 0, offset, (off_t)length)) < 0 && errno == EINTR)
            ;
    if (rc < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) /* others: a disk that cannot do this */
        return MAP_FAILED;
    return mmap(address, length, protection, flags, fd, offset);
}

/* Where a page is not in the kernel's cache, more than that page is asked for: of a file that is small all of it, which is then
 * in memory some milliseconds after the store was opened, and of another what lies around the page, for what a transaction wrote lies
 * together. One read of many pages costs little more than one of a few. The kernel itself does this for sequential reads only. */
static ssize_t read_around(int fd, void *buffer, size_t length, off_t position) {
    struct iovec part = {.iov_base = buffer, .iov_len = length};
    struct stat about;
    ssize_t got = preadv2(fd, &part, 1, position, RWF_NOWAIT);
    if (got == (ssize_t)length)
        return got;
    /* Both only make the next reads faster. */
    if (fstat(fd, &about) == 0 && about.st_size <= WHOLE_BYTES)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    else
        (void)readahead(fd, position & ~(off_t)(AROUND_BYTES - 1), AROUND_BYTES);
    return pread(fd, buffer, length, position);
}

/* SQLite has one table of system calls for the whole process. */
static void replace_calls(void) {
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (!vfs || vfs->iVersion < 3 || !vfs->xSetSystemCall)
        return;
    (void)vfs->xSetSystemCall(vfs, "mmap", (sqlite3_syscall_ptr)map_with_room);
    /* Who has put something of his own there wants to see the reads. */
    if (vfs->xGetSystemCall(vfs, "pread64") == (sqlite3_syscall_ptr)pread)
        (void)vfs->xSetSystemCall(vfs, "pread64", (sqlite3_syscall_ptr)read_around);
}

bool connection_disk_full(const char *path) {
    struct statvfs disk;
    return TEMP_FAILURE_RETRY(statvfs(path, &disk)) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize < CONNECTION_ROOM;
}

/* `why`: the errno behind it, 0 if there is none. */
static int error_from_sqlite(sqlite3 *db, int result, int why) {
    switch (result & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return STORE_OK;
    case SQLITE_NOMEM:
        return STORE_NO_MEMORY;
    case SQLITE_FULL:
        return STORE_FULL;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return STORE_READ_ONLY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return STORE_CORRUPT; /* or a sector that cannot be read */
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return STORE_LOCKED;
    case SQLITE_CONSTRAINT:
        return STORE_INVALID;
    case SQLITE_TOOBIG:
        return STORE_TOO_BIG;
    case SQLITE_IOERR: {
        if (result == SQLITE_IOERR_NOMEM)
            return STORE_NO_MEMORY;
        if (result == SQLITE_IOERR_DATA || (result == SQLITE_IOERR_CORRUPTFS && why == 0))
            return STORE_CORRUPT;
        const char *path = sqlite3_db_filename(db, "main");
        bool memory = result == SQLITE_IOERR_SHMMAP || result == SQLITE_IOERR_SHMSIZE;
        if (memory && path && connection_disk_full(path))
            return STORE_FULL;
        return store_error_from_errno(why);
    }
    case SQLITE_CANTOPEN:
        return store_error_from_errno(why);
    default:
        return STORE_IO;
    }
}

const char *connection_told(const struct connection *connection) {
    return connection->damage[0] != '\0' ? connection->damage : sqlite3_errmsg(connection->db);
}

const char *connection_why(struct connection *connection, int result) {
    struct page_damage damage;
    connection->damage[0] = '\0';
    int why = sqlite_result_errno(connection->db, result);
    if (result == SQLITE_IOERR_DATA && page_vfs_take_damage(connection->db, &damage))
        page_damage_text(&damage, connection->damage, sizeof connection->damage);
    else if (why != 0)
        (void)snprintf(connection->damage, sizeof connection->damage, "%s", strerror(why));
    return connection_told(connection);
}

int connection_failed(struct connection *connection, int result, const char *doing, const char *statement) {
    int extended = sqlite3_extended_errcode(connection->db);
    if ((extended & 0xff) == (result & 0xff))
        result = extended;
    if (!statement)
        statement = "";
    /* The reason first: people read it, too. The beginning of a statement tells which it is. */
    bool whole = strlen(statement) <= STATEMENT_SHOWN;
    int why = sqlite_result_errno(connection->db, result);
    const char *told = connection_why(connection, result);
    int rc = error_from_sqlite(connection->db, result, why);
    /* Who is refused for want of space, or by a disk that is read-only, tells so: once for many tries. */
    log_write(connection->log, rc == STORE_FULL || rc == STORE_READ_ONLY ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              "database: %s (%d, %s): cannot %s `%.*s%s`", told, result, sqlite3_errstr(result), doing, STATEMENT_SHOWN,
              statement, whole ? "" : "...");
    return rc;
}

int connection_corrupt(const struct connection *connection, const char *format, ...) {
    char text[256] = "";
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    log_write(connection->log, LOG_LEVEL_ERROR, "database: %s", text);
    return STORE_CORRUPT;
}

/* The URI of a path: SQLite decodes %XX, and ? and # would end the path. */
static char *make_uri(const char *path, enum connection_kind kind) {
    static const char hex[] = "0123456789ABCDEF";
    static const char tail[] = "?immutable=1";
    char *uri = malloc(sizeof "file:" + 3 * strlen(path) + sizeof tail);
    if (!uri)
        return NULL;
    char *end = stpcpy(uri, "file:");
    for (; *path; path++) {
        unsigned char byte = (unsigned char)*path;
        if (byte == '%' || byte == '?' || byte == '#') {
            *end++ = '%';
            *end++ = hex[byte >> 4];
            *end++ = hex[byte & 15];
        } else {
            *end++ = *path;
        }
    }
    strcpy(end, kind == CONNECTION_READ_IMMUTABLE ? tail : "");
    return uri;
}

/* What our own statements and rows need, with room: a store that somebody else has made gets no more. */
static void set_limits(sqlite3 *db) {
    static const struct {
        int limit, most;
    } limits[] = {
        {SQLITE_LIMIT_LENGTH, CONNECTION_ROW_BYTES},
        {SQLITE_LIMIT_SQL_LENGTH, 16384},
        {SQLITE_LIMIT_COLUMN, 32},
        {SQLITE_LIMIT_EXPR_DEPTH, 50},
        {SQLITE_LIMIT_COMPOUND_SELECT, 8},
        {SQLITE_LIMIT_FUNCTION_ARG, 8},
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 64},
        {SQLITE_LIMIT_VARIABLE_NUMBER, 16},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 0},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        (void)sqlite3_limit(db, limits[i].limit, limits[i].most); /* returns what it was */
}

/* Nothing that lies in a file may run: not triggers, not views, not extensions, not writes to the schema. */
static int set_defenses(sqlite3 *db) {
    static const struct {
        int option, on;
    } defenses[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},
        {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},
        {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0},
        {SQLITE_DBCONFIG_DQS_DDL, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
    };
    int result = SQLITE_OK;
    for (size_t i = 0; i < sizeof defenses / sizeof defenses[0] && result == SQLITE_OK; i++)
        result = sqlite3_db_config(db, defenses[i].option, defenses[i].on, (int *)NULL);
    return result;
}

static int set_up(sqlite3 *db) {
    set_limits(db);
    int result = sqlite3_extended_result_codes(db, 1);
    if (result == SQLITE_OK)
        result = sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    if (result == SQLITE_OK)
        result = set_defenses(db);
    if (result == SQLITE_OK)
        result = sqlite3_exec(db, setup_sql, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = sqlite3_wal_autocheckpoint(db, 0);
    return result;
}

int connection_open(const char *path, enum connection_kind kind, struct log *log, struct connection **out,
                    struct error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, replace_calls);
    struct connection *connection = calloc(1, sizeof *connection);
    char *uri = make_uri(path, kind);
    if (!connection || !uri) {
        free(connection);
        free(uri);
        return error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", path);
    }
    connection->log = log;
    connection->kind = kind;
    int flags = SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW;
    flags |= kind == CONNECTION_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int result = page_vfs_register();
    if (result == SQLITE_OK)
        result = sqlite3_open_v2(uri, &connection->db, flags, PAGE_VFS);
    free(uri);
    if (result == SQLITE_OK)
        result = set_up(connection->db);
    if (result != SQLITE_OK) {
        int rc = connection->db ? connection_failed(connection, result, "open", path) : STORE_NO_MEMORY;
        (void)error_set(err, rc, "cannot open %s: %s%s", path,
                        connection->db ? connection_told(connection) : "out of memory",
                        rc == STORE_CORRUPT ? "; `tidfs verify --repair` saves all that is right" : "");
        connection_close(connection);
        return rc;
    }
    *out = connection;
    return STORE_OK;
}

int connection_open_at(const struct place *place, enum connection_kind kind, struct log *log, struct connection **out,
                       struct error *err) {
    struct error why = {0};
    struct connection *connection;
    int rc = connection_open(place->path, kind, log, &connection, err);
    if (rc != STORE_OK)
        return rc;
    rc = place_is_found(place);
    if (rc == STORE_OK) {
        *out = connection;
        return STORE_OK;
    }
    connection_close(connection);
    if (rc == STORE_ABSENT)
        rc = error_set(&why, STORE_IO, "%s is not the database that was opened: it was moved or replaced", place->path);
    else
        (void)error_set(&why, (enum store_error)rc, "cannot look at %s: %s", place->path, store_error_text(rc));
    if (log)
        log_write(log, LOG_LEVEL_ERROR, "%s", why.text);
    return error_set(err, (enum store_error)rc, "%s", why.text);
}

void connection_close(struct connection *connection) {
    if (!connection)
        return;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        (void)sqlite3_finalize(connection->statements[i]);
    int result = sqlite3_close(connection->db);
    assert(result == SQLITE_OK); /* else a statement was left behind */
    (void)result;
    free(connection);
}

int connection_rollback(struct connection *connection) {
    /* SQLite has rolled back already after some errors. */
    if (sqlite3_get_autocommit(connection->db))
        return STORE_OK;
    return statement_run(connection, STATEMENT_ROLLBACK, NULL, 0);
}

int connection_check_horizon(struct connection *connection, uint64_t before) {
    unsigned version = 0;
    int result = sqlite3_file_control(connection->db, "main", SQLITE_FCNTL_DATA_VERSION, &version);
    if (result != SQLITE_OK)
        return connection_failed(connection, result, "ask", "SQLITE_FCNTL_DATA_VERSION");
    if (!connection->horizon_known || connection->horizon_version != version) {
        struct state_row state;
        int rc = state_row_get(connection, &state);
        if (rc != STORE_OK)
            return rc;
        connection->horizon = state.horizon;
        connection->horizon_version = version;
        connection->horizon_known = true;
    }
    return before <= connection->horizon ? STORE_PACKED : STORE_OK;
}

int connection_pool_init(struct connection_pool *pool, const char *path, enum connection_kind kind, struct log *log) {
    *pool = (struct connection_pool){.path = path, .kind = kind, .log = log};
    if (pthread_mutex_init(&pool->mutex, NULL) != 0)
        return STORE_NO_MEMORY;
    if (pthread_cond_init(&pool->returned, NULL) != 0) {
        (void)pthread_mutex_destroy(&pool->mutex);
        return STORE_NO_MEMORY;
    }
    return STORE_OK;
}

void connection_pool_release(struct connection_pool *pool) {
    while (pool->idle) {
        struct connection *connection = pool->idle;
        pool->idle = connection->next;
        connection_close(connection);
        pool->count--;
    }
    assert(pool->count == 0);
    (void)pthread_cond_destroy(&pool->returned);
    (void)pthread_mutex_destroy(&pool->mutex);
}

static int take_any(struct connection_pool *pool, struct connection **connection) {
    (void)pthread_mutex_lock(&pool->mutex);
    while (!pool->idle && pool->count >= READERS_MOST)
        (void)pthread_cond_wait(&pool->returned, &pool->mutex);
    *connection = pool->idle;
    if (pool->idle)
        pool->idle = pool->idle->next;
    else
        pool->count++;
    enum connection_kind kind = pool->kind;
    (void)pthread_mutex_unlock(&pool->mutex);
    if (*connection)
        return STORE_OK;

    int rc = pool->place ? connection_open_at(pool->place, kind, pool->log, connection, NULL)
                         : connection_open(pool->path, kind, pool->log, connection, NULL);
    if (rc != STORE_OK) {
        (void)pthread_mutex_lock(&pool->mutex);
        pool->count--;
        pool->others -= kind != pool->kind;
        (void)pthread_cond_signal(&pool->returned);
        (void)pthread_mutex_unlock(&pool->mutex);
    }
    return rc;
}

/* What this thread has between connection_pool_begin_reads and connection_pool_end_reads. */
static _Thread_local struct {
    struct connection_pool *pool;
    unsigned depth;                /* of pairs */
    struct connection *connection; /* NULL until something is read */
    uint64_t generation;           /* of its snapshot */
} reads;

void connection_pool_begin_reads(struct connection_pool *pool) {
    if (reads.depth == 0)
        reads.pool = pool;
    reads.depth += reads.pool == pool;
}

/* The connection of this thread's reads, in a transaction that is not too old. */
static int take_for_reads(struct connection_pool *pool, struct connection **connection) {
    uint64_t generation = atomic_load(&pool->generation); /* before the snapshot is made, which the first read does */
    int rc = reads.connection ? STORE_OK : take_any(pool, &reads.connection);
    if (rc != STORE_OK) {
        reads.connection = NULL;
        return rc;
    }
    *connection = reads.connection;
    bool begun = !sqlite3_get_autocommit(reads.connection->db); /* an error may have ended it */
    if (begun && reads.generation == generation)
        return STORE_OK;
    if (begun)
        rc = statement_run(reads.connection, STATEMENT_COMMIT, NULL, 0);
    if (rc == STORE_OK)
        rc = statement_run(reads.connection, STATEMENT_BEGIN, NULL, 0);
    reads.generation = generation;
    return rc;
}

int connection_pool_take(struct connection_pool *pool, struct connection **connection) {
    return reads.depth > 0 && reads.pool == pool ? take_for_reads(pool, connection) : take_any(pool, connection);
}

void connection_pool_renew(struct connection_pool *pool) {
    atomic_fetch_add(&pool->generation, 1);
}

void connection_pool_give(struct connection_pool *pool, struct connection *connection) {
    if (connection == reads.connection)
        return; /* with the last of this thread's reads */
    (void)pthread_mutex_lock(&pool->mutex);
    bool other = connection->kind != pool->kind;
    bool spoilt = !sqlite3_get_autocommit(connection->db); /* a transaction that could not even be ended */
    pool->others -= other;
    if (other || spoilt) {
        pool->count--;
    } else {
        connection->next = pool->idle;
        pool->idle = connection;
    }
    (void)pthread_cond_signal(&pool->returned);
    (void)pthread_mutex_unlock(&pool->mutex);
    if (other || spoilt)
        connection_close(connection);
}

void connection_pool_end_reads(struct connection_pool *pool) {
    if (reads.pool != pool || reads.depth == 0 || --reads.depth > 0)
        return;
    struct connection *connection = reads.connection;
    reads.connection = NULL;
    if (!connection)
        return;
    /* If that fails it is told, and the connection is given up. */
    if (!sqlite3_get_autocommit(connection->db))
        (void)statement_run(connection, STATEMENT_COMMIT, NULL, 0);
    connection_pool_give(pool, connection);
}

bool connection_pool_change(struct connection_pool *pool, enum connection_kind kind) {
    (void)pthread_mutex_lock(&pool->mutex);
    if (pool->kind != kind) {
        pool->kind = kind;
        while (pool->idle) {
            struct connection *old = pool->idle;
            pool->idle = old->next;
            pool->count--;
            connection_close(old);
        }
        pool->others = pool->count;
        (void)pthread_cond_broadcast(&pool->returned);
    }
    bool done = pool->others == 0;
    (void)pthread_mutex_unlock(&pool->mutex);
    return done;
}
