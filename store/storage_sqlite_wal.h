/* Private to storage_sqlite*.c: the log that a writer finds when it opens the database.
 *
 * What the system could not write of a file, and told of by an error of fsync, it shows to readers all the same, and never writes again. So a log that was
 * left by a process that died may read well up to a transaction whose commit failed, while the disk has no such thing; SQLite recovers that
 * transaction, writes others behind it, and a power cut takes them all, those included whose own fsync succeeded.
 *
 * Threads: as the connection's.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_WAL_H
#define TIDFS_STORE_STORAGE_SQLITE_WAL_H

#include "store/storage_sqlite_connection.h"

/* Writes every byte of the log, which who has the lock has made if there was none, over itself and syncs it: then what a reader sees is what the disk has. With the database's write lock held meanwhile, which
 * is waited for as by a commit. On an error nothing may be committed behind it. Cost: that of the log, which is mostly empty. */
int sqlite_wal_settle(struct connection *writer, const char *database, struct error *err);

/* For a database that can be written, before any connection to it is opened: its log and the log's index may have been made while it could only
 * be read, with its mode of then. They get that of a store's files. STORE_READ_ONLY if that fails, as with another user's. */
int sqlite_wal_make_writable(const char *database, struct error *err);

#endif
