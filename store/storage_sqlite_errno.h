/* Private to storage_sqlite*.c: the errno behind a result of SQLite, whose own words for it are mostly "disk I/O error".
 *
 * Threads: as the connection's.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_ERRNO_H
#define TIDFS_STORE_STORAGE_SQLITE_ERRNO_H

#include <sqlite3.h>

/* Why the system refused what SQLite wanted of it, or 0 if that is not known or not the cause. `result` is an extended code that a call on `db` has just
 * returned. SQLite takes a sector that cannot be read for damage; here it is EIO, and is so once more if the same connection meets real damage later. */
int sqlite_result_errno(sqlite3 *db, int result);

#endif
