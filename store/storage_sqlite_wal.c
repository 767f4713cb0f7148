#include "store/storage_sqlite_wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/transfer.h"

#define STEP_BYTES 262144

/* 0, or -1 with errno. */
static int rewrite(int fd, uint8_t *buffer) {
    ssize_t got;
    bool any = false;
    for (uint64_t position = 0; (got = transfer_read(fd, buffer, STEP_BYTES, position)) > 0;
         position += (uint64_t)got) {
        if (transfer_write(fd, buffer, (size_t)got, position) < 0)
            return -1;
        any = true;
    }
    return got < 0 || (any && TEMP_FAILURE_RETRY(fdatasync(fd)) < 0) ? -1 : 0;
}

/* Its descriptor may be closed here: SQLite has its locks on other files. */
static int rewrite_log(const char *database, struct error *err) {
    char *path = NULL;
    uint8_t *buffer = malloc(STEP_BYTES);
    int rc = STORE_OK, fd = -1;
    if (asprintf(&path, "%s-wal", database) < 0)
        path = NULL;
    if (!path || !buffer) {
        rc = error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", database);
        goto out;
    }
    fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (fd < 0 || rewrite(fd, buffer) < 0)
        rc = error_set(err, (enum store_error)store_error_from_errno(errno),
                       "%s cannot be made durable, so nothing can be written behind it: %s", path, strerror(errno));
out:
    if (fd >= 0)
        (void)close(fd);
    free(path);
    free(buffer);
    return rc;
}

int sqlite_wal_make_writable(const char *database, struct error *err) {
    static const char *const suffixes[] = {"-wal", "-shm"};
    int rc = STORE_OK;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && rc == STORE_OK; i++) {
        char *path = NULL;
        struct stat status;
        if (asprintf(&path, "%s%s", database, suffixes[i]) < 0)
            return error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", database);
        /* By name and not by a descriptor, whose closing would end the locks that other connections of this process have on the file. */
        if (access(database, W_OK) == 0 && lstat(path, &status) == 0 && S_ISREG(status.st_mode) &&
            access(path, R_OK | W_OK) < 0 && fchmodat(AT_FDCWD, path, 0600, AT_SYMLINK_NOFOLLOW) < 0)
            rc = error_set(err, STORE_READ_ONLY,
                           "%s cannot be written, which a change of %s takes: %s; give it the same owner and mode",
                           path, database, strerror(errno));
        free(path);
    }
    return rc;
}

int sqlite_wal_settle(struct connection *writer, const char *database, struct error *err) {
    int rc = statement_run(writer, STATEMENT_BEGIN_WRITE, NULL, 0);
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "%s cannot be written: %s", database, store_error_text(rc));
    rc = rewrite_log(database, err);
    int ended = statement_run(writer, STATEMENT_ROLLBACK, NULL, 0);
    if (rc == STORE_OK && ended != STORE_OK)
        rc = error_set(err, (enum store_error)ended, "%s cannot be written: %s", database, store_error_text(ended));
    return rc;
}
