/* The errors of the store, and a place for the sentence that explains one.
 *
 * Invariants
 *  1. Success is 0 and every error is negative; readers that may find nothing return STORE_ABSENT,
 *     which is positive, so `if (rc < 0)` is always "something went wrong".
 *  2. Misuse and failure leave the state as it was unless a function says otherwise.
 *
 * Threads: a `struct error` belongs to the caller; nothing here is shared.
 */
#ifndef TIDFS_STORE_ERROR_H
#define TIDFS_STORE_ERROR_H

#include <stdbool.h>

enum store_error {
    STORE_OK = 0,
    STORE_ABSENT = 1,        /* not an error: what was asked for is not there */
    STORE_NO_MEMORY = -1,    /* an allocation failed */
    STORE_IO = -2,           /* a system or SQLite call failed: the disk, not the data */
    STORE_CORRUPT = -3,      /* a checksum, a record or a reference is wrong */
    STORE_FULL = -4,         /* no space or no quota left below the store, or for a file */
    STORE_LOCKED = -5,       /* another process writes this store */
    STORE_READ_ONLY = -6,    /* opened for reading, or the disk below is read-only */
    STORE_NEWER_FORMAT = -7, /* written by a later tidfs */
    STORE_NOT_A_STORE = -8,  /* missing, or not a tidfs store */
    STORE_EXISTS = -9,       /* the thing to be made is there already */
    STORE_PACKED = -10,      /* at or before the horizon */
    STORE_INVALID = -11,     /* an argument outside its range */
    STORE_TOO_BIG = -12,     /* a name, value or size above the format's limit */
    STORE_NO_OBJECT = -13,   /* no such object in any transaction */
    STORE_LOST = -14,        /* lost, as a repair put on record: what is left is sound, and this will not come back */
    STORE_CONFLICT = -15,    /* another process has committed to the store beside the one that holds the lock */
};

/* One failure, told to a person. Filled by functions that take a `struct error *` (NULL is legal
 * there and drops the text). `text` is a full sentence without a final full stop or newline: what
 * failed, on which path, and what to do when something can be done. */
struct error {
    enum store_error code;
    char text[512];
};

/* Fills *err (if not NULL) and returns `code`, so that a function can end with
 * `return error_set(err, STORE_IO, "cannot read %s: %s", path, strerror(errno));`. */
int error_set(struct error *err, enum store_error code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A few words for a code, for logs. Never NULL; static storage. */
const char *store_error_text(int code);

/* The one mapping to errno: a positive errno for a negative code, 0 for STORE_OK, ENOENT for
 * STORE_ABSENT. STORE_PACKED and STORE_CONFLICT are ESTALE, STORE_CORRUPT and STORE_LOST are EIO. */
int store_error_errno(int code);

/* Whether that one thing cannot be told, and others can: STORE_CORRUPT, STORE_LOST. */
bool store_error_is_damage(int code);

/* The store error that fits a failed system call's errno (ENOSPC, EDQUOT, EFBIG -> STORE_FULL; EROFS,
 * EACCES, EPERM -> STORE_READ_ONLY; ENOMEM -> STORE_NO_MEMORY; EBUSY -> STORE_LOCKED; the rest STORE_IO). */
int store_error_from_errno(int saved_errno);

#endif
