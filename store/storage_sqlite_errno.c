#include "store/storage_sqlite_errno.h"

#include <errno.h>
#include <stddef.h>

/* What the last call that failed on one of the connection's files left: `which` asks for the database or its log. A journal in memory, as a repair
 * has, cannot be asked. */
static int file_errno(sqlite3 *db, int which) {
    sqlite3_file *file = NULL;
    int code = 0;
    if (sqlite3_file_control(db, "main", which, &file) == SQLITE_OK && file->pMethods && file->pMethods->xFileControl)
        (void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &code); /* who does not know leaves the 0 */
    return code;
}

int sqlite_result_errno(sqlite3 *db, int result) {
    int log_errno = file_errno(db, SQLITE_FCNTL_JOURNAL_POINTER), file = file_errno(db, SQLITE_FCNTL_FILE_POINTER);
    switch (result) {
    case SQLITE_IOERR_READ:
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_TRUNCATE:
    case SQLITE_IOERR_FSTAT:
        /* A file keeps its errno, where that of the thread is long another's: SQLite has rolled back since. Commits write to the log. */
        if (log_errno == 0 && file == 0)
            return sqlite3_system_errno(db); /* a journal is closed by then: there is one while a store is made */
        return log_errno != 0 ? log_errno : file;
    case SQLITE_IOERR_SHORT_READ: /* the system had no objection */
        return 0;
    case SQLITE_CORRUPT:
    case SQLITE_IOERR_CORRUPTFS:
        return log_errno == EIO || file == EIO ? EIO : 0;
    default:
        return (result & 0xff) == SQLITE_IOERR || (result & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
    }
}
