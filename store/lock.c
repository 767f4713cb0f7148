#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/transfer.h"

#define TEXT_MAX (PATH_MAX + 64)

struct writer_lock {
    int fd;
    int directory; /* locked, too */
};

void lock_holder_release(struct lock_holder *holder) {
    free(holder->mount_point);
    *holder = (struct lock_holder){0};
}

static int open_lock_file(const char *store_directory, int flags, int *fd) {
    char *path = NULL;
    if (asprintf(&path, "%s/" LOCK_FILE, store_directory) < 0)
        return STORE_NO_MEMORY;
    /* Nothing else than a file of the store itself: it would be waited for, or written to somewhere else. */
    struct stat status;
    *fd = (int)TEMP_FAILURE_RETRY(open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    int failed = *fd < 0 ? errno : fstat(*fd, &status) < 0 ? errno : S_ISREG(status.st_mode) ? 0 : EINVAL;
    free(path);
    if (failed && *fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
    errno = failed;
    return failed == 0 ? STORE_OK : failed == ENOENT ? STORE_ABSENT : store_error_from_errno(failed);
}

static struct flock whole_file(short type) {
    return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

/* The text is "PID\nMOUNT POINT\n"; a mount point may have newlines itself. It is not trusted: anybody who may write
 * the store may have written it. */
static int read_holder(int fd, struct lock_holder *holder) {
    char text[TEXT_MAX];
    ssize_t length = transfer_read(fd, text, sizeof text - 1, 0);
    if (length < 0)
        return store_error_from_errno(errno);
    text[length] = '\0';
    char *end = text;
    errno = 0;
    long pid = strtol(text, &end, 10);
    const char *mount_point = "";
    if (errno == 0 && pid > 0 && pid <= INT_MAX && *end == '\n' && text[length - 1] == '\n' &&
        end < text + length - 1) {
        text[length - 1] = '\0';
        mount_point = end + 1;
    } else {
        pid = 0;
    }
    holder->pid = (pid_t)pid;
    holder->mount_point = strdup(mount_point);
    return holder->mount_point ? STORE_OK : STORE_NO_MEMORY;
}

static int check_readers(const char *store_directory, int fd, struct error *err) {
    struct flock range = whole_file(F_WRLCK);
    if (TEMP_FAILURE_RETRY(fcntl(fd, F_OFD_GETLK, &range)) < 0)
        return error_set(err, store_error_from_errno(errno), "cannot look for those who read %s: %s", store_directory,
                         strerror(errno));
    if (range.l_type != F_RDLCK)
        return STORE_OK;
    return error_set(err, STORE_LOCKED,
                     "%s is being read by a process that found its disk full, and cannot be written until that ends; "
                     "free some space there, and try again then",
                     store_directory);
}

static int tell_holder(const char *store_directory, int fd, struct error *err) {
    struct lock_holder holder = {0};
    /* The text tells of writers only. */
    int rc = check_readers(store_directory, fd, err);
    if (rc != STORE_OK)
        return rc;
    rc = read_holder(fd, &holder);
    if (rc != STORE_OK || holder.pid == 0)
        rc = error_set(err, STORE_LOCKED,
                       "%s is in use by another process, which is just starting or ending; try again", store_directory);
    else if (holder.mount_point[0] == '\0')
        rc = error_set(err, STORE_LOCKED, "%s is in use by process %ld; wait until that is done", store_directory,
                       (long)holder.pid);
    else
        rc = error_set(err, STORE_LOCKED,
                       "%s is in use by process %ld, which has it mounted on %s; use it there, or unmount that with "
                       "`tidfs umount %s`",
                       store_directory, (long)holder.pid, holder.mount_point, holder.mount_point);
    lock_holder_release(&holder);
    return rc;
}

int writer_lock_describe(struct writer_lock *lock, const char *mount_point) {
    char text[TEXT_MAX];
    int length = snprintf(text, sizeof text, "%ld\n%s\n", (long)getpid(), mount_point);
    if ((size_t)length >= sizeof text) /* or there is no number for its length */
        return STORE_TOO_BIG;
    /* A reader between the two calls sees a text that ends wrongly, or the new one. */
    if (transfer_write(lock->fd, text, (size_t)length, 0) < 0 || TEMP_FAILURE_RETRY(ftruncate(lock->fd, length)) < 0)
        return store_error_from_errno(errno);
    return STORE_OK;
}

/* Some filesystems, such as NFS, cannot lock a directory; there the file is all. */
static int lock_directory(struct writer_lock *lock, const char *store_directory, struct error *err) {
    lock->directory = (int)TEMP_FAILURE_RETRY(open(store_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (lock->directory < 0)
        return error_set(err, store_error_from_errno(errno), "cannot lock %s: %s", store_directory, strerror(errno));
    if (TEMP_FAILURE_RETRY(flock(lock->directory, LOCK_EX | LOCK_NB)) == 0 || errno != EWOULDBLOCK)
        return STORE_OK;
    return error_set(err, STORE_LOCKED,
                     "%s is in use by another process, though its file " LOCK_FILE
                     " was removed; wait until that is done, or unmount it",
                     store_directory);
}

int writer_lock_acquire(const char *store_directory, const char *mount_point, struct writer_lock **out,
                        struct error *err) {
    struct writer_lock *lock = malloc(sizeof *lock);
    if (!lock)
        return error_set(err, STORE_NO_MEMORY, "cannot lock %s: out of memory", store_directory);
    lock->directory = -1;
    int rc = open_lock_file(store_directory, O_RDWR | O_CREAT, &lock->fd);
    if (rc != STORE_OK) {
        free(lock);
        rc = rc == STORE_ABSENT ? STORE_NOT_A_STORE : rc;
        if (errno == ELOOP || errno == EINVAL || errno == ENXIO)
            return error_set(err, STORE_CORRUPT, "cannot lock %s: its file " LOCK_FILE " is no regular file; remove it",
                             store_directory);
        return error_set(err, (enum store_error)rc, "cannot lock %s: %s", store_directory, strerror(errno));
    }
    struct flock range = whole_file(F_WRLCK);
    if (TEMP_FAILURE_RETRY(fcntl(lock->fd, F_OFD_SETLK, &range)) < 0) {
        if (errno == EAGAIN)
            rc = tell_holder(store_directory, lock->fd, err);
        else
            rc = error_set(err, store_error_from_errno(errno), "cannot lock %s: %s", store_directory, strerror(errno));
    } else if ((rc = lock_directory(lock, store_directory, err)) == STORE_OK) {
        rc = writer_lock_describe(lock, mount_point);
        if (rc != STORE_OK)
            (void)error_set(err, (enum store_error)rc, "cannot write %s/" LOCK_FILE ": %s", store_directory,
                            store_error_text(rc));
    }
    if (rc != STORE_OK)
        writer_lock_release(lock);
    else
        *out = lock;
    return rc;
}

void writer_lock_release(struct writer_lock *lock) {
    if (!lock)
        return;
    (void)close(lock->fd);
    if (lock->directory >= 0)
        (void)close(lock->directory);
    free(lock);
}

int reader_lock_acquire(const char *store_directory, int *fd) {
    int rc = open_lock_file(store_directory, O_RDONLY, fd);
    if (rc != STORE_OK)
        return rc;
    struct flock range = whole_file(F_RDLCK);
    if (TEMP_FAILURE_RETRY(fcntl(*fd, F_OFD_SETLK, &range)) < 0) {
        rc = errno == EAGAIN ? STORE_LOCKED : store_error_from_errno(errno);
        (void)close(*fd);
    }
    return rc;
}

int reader_lock_check(const char *store_directory, struct error *err) {
    int fd;
    int rc = open_lock_file(store_directory, O_RDONLY, &fd);
    if (rc == STORE_ABSENT)
        return STORE_OK; /* then none can have it */
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "cannot look for those who read %s: %s", store_directory,
                         strerror(errno));
    rc = check_readers(store_directory, fd, err);
    (void)close(fd);
    return rc;
}

int writer_lock_holder(const char *store_directory, struct lock_holder *holder) {
    int fd;
    *holder = (struct lock_holder){0};
    int rc = open_lock_file(store_directory, O_RDONLY, &fd);
    if (rc != STORE_OK)
        return rc;
    struct flock range = whole_file(F_RDLCK); /* what a writer's lock stands in the way of */
    if (TEMP_FAILURE_RETRY(fcntl(fd, F_OFD_GETLK, &range)) < 0)
        rc = store_error_from_errno(errno);
    else
        rc = range.l_type == F_UNLCK ? STORE_ABSENT : read_holder(fd, holder);
    (void)close(fd);
    return rc;
}
