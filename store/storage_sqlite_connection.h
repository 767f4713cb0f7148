/* Private to storage_sqlite*.c: connections to tidfs.db, and the pool of those that read.
 *
 * Invariants
 *  1. A connection in the pool has no statement running and no transaction open.
 *  2. A reading connection is opened read-only, so a mistake above cannot write through it.
 *
 *  3. What is mapped of the database's shared memory (tidfs.db-shm) has its room on the disk: a full one is an error, and no SIGBUS.
 *
 * Threads: a connection belongs to who took or opened it. The pool has one mutex, a leaf: nothing is locked under it.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_CONNECTION_H
#define TIDFS_STORE_STORAGE_SQLITE_CONNECTION_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/error.h"
#include "store/log.h"
#include "store/storage_sqlite_place.h"
#include "store/storage_sqlite_statement.h"

#define DATABASE_FILE "tidfs.db"

enum connection_kind {
    CONNECTION_READ,
    CONNECTION_READ_IMMUTABLE, /* takes no locks: for a database that nobody can write to */
    CONNECTION_WRITE,
};

#define CONNECTION_ROW_BYTES                                                                                           \
    16777216 /* the largest row that is read: a chunk's record, of an extent for each byte, takes 8 MiB */

struct connection {
    sqlite3 *db;
    struct log *log;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    enum connection_kind kind;
    struct connection *next; /* in the pool's idle list */
    char damage[96];         /* what is wrong, when connection_failed last spoke; "": SQLite's words tell */

    /* The horizon as read when SQLite's counter of foreign commits stood at horizon_version. */
    bool horizon_known;
    unsigned horizon_version;
    uint64_t horizon;
};

#define CONNECTION_ROOM                                                                                                \
    65536 /* bytes of free disk that are enough to begin with: shared memory, and a log with its first pages */
/* Whether the disk has less than that left. */
bool connection_disk_full(const char *path);

/* Failures are logged, and told in err. */
int connection_open(const char *path, enum connection_kind kind, struct log *log, struct connection **connection,
                    struct error *err);
/* The same, by the path of a place that was taken: STORE_IO if that does not lead there any more. */
int connection_open_at(const struct place *place, enum connection_kind kind, struct log *log,
                       struct connection **connection, struct error *err);
/* NULL is legal. */
void connection_close(struct connection *connection);

/* The store error for a SQLite result, logged with SQLite's words and the statement. */
int connection_failed(struct connection *connection, int result, const char *doing, const char *statement);
/* Why a call failed just now with this result: what is damaged, or SQLite's words. Valid until the next call on the connection. */
const char *connection_why(struct connection *connection, int result);
/* The same once more, after connection_failed. */
const char *connection_told(const struct connection *connection);
/* Logs what is wrong in the database and returns STORE_CORRUPT. */
int connection_corrupt(const struct connection *connection, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Ends a transaction that failed, or only read. On an error the connection is of no more use and must be closed. */
int connection_rollback(struct connection *connection);

/* STORE_PACKED if before <= horizon. To be called after the rows were read: a packer moves the horizon before it
 * removes anything, so what was read is right if the horizon is still below. Costs a statement only after a
 * commit of others. */
int connection_check_horizon(struct connection *connection, uint64_t before);

struct connection_pool {
    const char *path;          /* the owner's */
    const struct place *place; /* the owner's: where all connections must lead; NULL: wherever the path does */
    struct log *log;
    pthread_mutex_t mutex;     /* guards all below */
    enum connection_kind kind; /* only who calls connection_pool_change may read it without the mutex */
    unsigned others;           /* taken ones of another kind, which are closed when they come back */
    pthread_cond_t returned;
    struct connection *idle; /* the last returned first: its page cache is the warmest */
    unsigned count;          /* idle ones and those taken */

    _Atomic uint64_t generation; /* counts what makes older snapshots too old */
};

int connection_pool_init(struct connection_pool *pool, const char *path, enum connection_kind kind, struct log *log);
/* Every connection must have been given back. */
void connection_pool_release(struct connection_pool *pool);
/* Waits for one when all are taken. */
int connection_pool_take(struct connection_pool *pool, struct connection **connection);
void connection_pool_give(struct connection_pool *pool, struct connection *connection);

/* From begin to end, whatever this thread takes is one connection, in a read transaction: without that each statement is a transaction of its own,
 * which costs more than what most of them look up. Pairs nest. To be ended soon: the write-ahead log cannot start over meanwhile. Of two pools,
 * the one that a thread begins first. */
void connection_pool_begin_reads(struct connection_pool *pool);
void connection_pool_end_reads(struct connection_pool *pool);
/* Whatever is taken from now on sees what was committed before. */
void connection_pool_renew(struct connection_pool *pool);
/* From now on connections are of that kind. True if none of another kind is taken any more: to be asked again until then. By one thread at a time, and to one
 * kind in a pool's life. */
bool connection_pool_change(struct connection_pool *pool, enum connection_kind kind);

#endif
