/* The writable present: the newest committed state with one working transaction over it.
 *
 * Every change to a tree goes through the operations below; there is no other way in. They work in memory; a commit
 * thread writes each sealed transaction to the storage.
 *
 *                 first change              head_seal / interval / dirty limit            durable
 *     EMPTY  ────────────────▶  WORKING  ────────────────────────────▶  COMMITTING  ──────────────▶  EMPTY
 *                                  ▲            (a new WORKING gathers behind it)        │ failure
 *                                  └─────────────── merged back, to be tried again ◀─────┘
 *
 * Invariants
 *  1. What an operation reports as done is seen by every later operation, and by the transaction that seals it,
 *     whole: no transaction holds half of an operation (except a write larger than one buffer).
 *  2. Transactions become durable in the order in which they were sealed.
 *  3. An operation that fails changes nothing.
 *  4. An object stays in memory while somebody holds it (head_lookup and friends count, head_forget gives back), and while
 *     it has changes that are not durable.
 *  5. Oids are never reused.
 *
 * Errors: 0 or a negative errno, as the system call of that name would give; permission is the caller's to check
 * (the kernel's, with default_permissions). -EIO after the storage failed for good: the head is then read-only
 * until reopened, and reads go on. A commit that found no space, no memory or a disk become read-only is tried again every second until it succeeds; until
 * then what grows gets -ENOSPC, and with such a disk everything -EROFS.
 * Threads: any. Locks: head->lock (readers and writer) before storage's own.
 */
#ifndef TIDFS_STORE_HEAD_H
#define TIDFS_STORE_HEAD_H

#include <sys/types.h>

#include "store/store.h"

struct head;

#define HEAD_USER_SIZE 256 /* with the NUL */

struct head_options {
    uint64_t commit_interval_ns; /* seal this long after the first change; 0: only when asked */
    uint64_t dirty_limit_bytes;  /* seal when the working transaction holds more */
    /* Who is named as user of a transaction when nobody is told to head_seal or head_transaction. */
    const char *user; /* always this one; outlives the head. NULL: who made the changes (head_act_as) */
    /* The name of the one uid that made all changes of a transaction that are known to be somebody's; several uids, or
     * none known, and the user is "". Called while committing, without the head's lock and never twice at a time;
     * it must not use the head. NULL: such transactions have the user "". */
    void (*name_user)(void *context, uint32_t uid, char name[HEAD_USER_SIZE]);
    void *name_context;
};

/* The store must be open for writing and outlive the head. Starts the commit thread. */
int head_open(struct store *store, const struct head_options *options, struct head **head, struct error *err);
/* Seals, waits, stops the thread, frees. Returns the error of the last commit, if it failed (what was pending is then lost, and the
 * log names it by path). */
int head_close(struct head *head);

struct head_attr {
    uint64_t oid;
    uint32_t mode, uid, gid, nlink;
    uint64_t rdev, size, allocated; /* directories: size is the number of entries */
    struct timespec atime, mtime, ctime, btime;
};

/* Who does it, for new objects. */
struct head_caller {
    uint32_t uid, gid;
    uint32_t umask; /* already-masked callers pass 0 */
};

/* What this thread changes from now on is done by this uid; HEAD_NOBODY, as at first: by nobody known, which is as if somebody had
 * done it who is seen elsewhere. */
#define HEAD_NOBODY UINT32_MAX
void head_act_as(struct head *head, uint32_t uid);

/* Each of these that fills *attr by name also counts one reference, which head_forget gives back. */
int head_lookup(struct head *head, uint64_t parent, const char *name, size_t length, struct head_attr *attr);
/* A reference by oid (for handles that outlive the mount). -ESTALE if there is no such object now. */
int head_hold(struct head *head, uint64_t oid, struct head_attr *attr);
void head_forget(struct head *head, uint64_t oid, uint64_t count);

/* Makes a file, directory, fifo, socket, device (mode's type bits) or symlink (target not NULL). Owner from
 * `caller`; in a setgid directory the group is the directory's, and new directories are setgid too. A default ACL of
 * the parent is inherited; without one the umask applies. */
int head_make(struct head *head, uint64_t parent, const char *name, size_t length, uint32_t mode, uint64_t rdev,
              const char *target, const struct head_caller *caller, struct head_attr *attr);
int head_link(struct head *head, uint64_t oid, uint64_t parent, const char *name, size_t length,
              struct head_attr *attr);
int head_unlink(struct head *head, uint64_t parent, const char *name, size_t length);
int head_rmdir(struct head *head, uint64_t parent, const char *name, size_t length);
/* flags: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT, as in renameat2(2); others -EINVAL. */
int head_rename(struct head *head, uint64_t parent, const char *name, size_t length, uint64_t new_parent,
                const char *new_name, size_t new_length, unsigned flags);
/* The directory that holds a directory. */
int head_parent(struct head *head, uint64_t directory, uint64_t *parent);

/* Entries with index <= `from`, newest first (UINT64_MAX: from the beginning), to `emit` until it returns false. The index to go on
 * from is that of the last one emitted less 1. Entries that stay throughout are emitted once; names that are made meanwhile are not emitted at all,
 * so that a program which makes or renames what it reads comes to an end. `emit` runs under the head's lock: it only
 * copies. */
struct head_entry {
    const char *name;
    size_t length;
    uint64_t index, oid;
    uint32_t type;
};
int head_readdir(struct head *head, uint64_t directory, uint64_t from,
                 bool (*emit)(void *context, const struct head_entry *entry), void *context);

int head_getattr(struct head *head, uint64_t oid, struct head_attr *attr);
/* valid: bits of what to set. Times: NOW bits take the clock. ctime moves to now unless HEAD_SET_CTIME or
 * HEAD_KEEP_TIMES, and mtime with HEAD_SET_SIZE. -EOPNOTSUPP for the mode of a symlink: it has no permissions. */
enum {
    HEAD_SET_MODE = 1,
    HEAD_SET_UID = 2,
    HEAD_SET_GID = 4,
    HEAD_SET_SIZE = 8,
    HEAD_SET_ATIME = 16,
    HEAD_SET_MTIME = 32,
    HEAD_SET_CTIME = 64,
    HEAD_SET_ATIME_NOW = 128,
    HEAD_SET_MTIME_NOW = 256,
    HEAD_KEEP_TIMES = 512, /* mtime and ctime move only as given */
};
int head_setattr(struct head *head, uint64_t oid, unsigned valid, const struct head_attr *set, struct head_attr *attr);
/* Copies at most `size` bytes of the target; *length is its full length. */
int head_readlink(struct head *head, uint64_t oid, char *buffer, size_t size, size_t *length);

int head_read(struct head *head, uint64_t oid, uint64_t offset, size_t size, uint8_t *buffer, size_t *done);
/* Returns the bytes written, fewer than `size` if an error came after some. keep_times: mtime and ctime stay (with a write-back
 * cache the kernel keeps the times of regular files itself, and sends them); so below. */
int64_t head_write(struct head *head, uint64_t oid, uint64_t offset, size_t size, const uint8_t *data, bool keep_times);
/* mode as fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE[|KEEP_SIZE]; others -EOPNOTSUPP. */
int head_fallocate(struct head *head, uint64_t oid, int mode, uint64_t offset, uint64_t length, bool keep_times);
/* whence: SEEK_DATA or SEEK_HOLE. -ENXIO past the end. */
int head_seek(struct head *head, uint64_t oid, uint64_t offset, int whence, uint64_t *result);
/* Shares bytes of a file of the head (source_before 0) or as of an instant with `target`. Ranges may overlap only in different
 * files. *copied is less than `length` at the source's end, and if an error came after some. No data moves. */
int head_copy_range(struct head *head, uint64_t source, uint64_t source_before, uint64_t source_offset, uint64_t target,
                    uint64_t target_offset, uint64_t length, bool keep_times, uint64_t *copied);

/* size 0 asks for the length. flags: XATTR_CREATE, XATTR_REPLACE. -ENODATA, -ERANGE, -ENOSPC as in the manuals. */
int head_getxattr(struct head *head, uint64_t oid, const char *name, void *value, size_t size, size_t *length);
int head_listxattr(struct head *head, uint64_t oid, char *list, size_t size, size_t *length);
int head_setxattr(struct head *head, uint64_t oid, const char *name, const void *value, size_t size, int flags);
int head_removexattr(struct head *head, uint64_t oid, const char *name);

/* Seals what is pending and waits until it is durable. With a message or user (not NULL) a transaction is made even if nothing is pending;
 * without, an empty one is not. *tid (may be NULL) is the newest transaction's. Concurrent callers share commits. An error is the commit's: what was pending
 * still is, and goes with the next one. */
int head_seal(struct head *head, const char *user, const char *message, uint64_t *tid);
/* The same without a message, for `user` (not NULL) who asks for it: names the user of what is pending, and makes no empty transaction. */
int head_seal_as(struct head *head, const char *user, uint64_t *tid);

/* An atomic group of operations. Seals what is pending and waits until it is durable; then, with every other thread kept out of the head, runs
 * `change`, which works with the operations above, on this thread; then commits what it did, durably, as one transaction with this user and message
 * (either may be NULL) and nothing else in it. Only then do the others go on: they see all of it or nothing. It is not sealed in the middle,
 * however much it is; what it changes stays in memory until the end, but for the content of large writes and copies.
 *
 * change: returns 0, or anything else to have all that it did taken back: head_transaction returns it then. It must not call head_seal or
 * head_transaction (-EDEADLK), nor wait for a thread that uses this head. What it counts by head_lookup, head_make, head_link or head_hold it gives
 * back by head_forget, before it returns or after. Objects that had no name left when it began can be read but not changed (-ESTALE).
 * While it runs, last_seq of head_get_status is the transaction that it is based on, and equals store_last.
 * tid: may be NULL; the transaction's. With neither user nor message a change that changed nothing makes none: *tid is then the newest.
 *
 * Other errors, after each of which the head is as it was: -E2BIG (user, message), the error of sealing what was pending, -ENOSPC, -ENOMEM, -EIO.
 * After -EIO of the commit the head has failed, as it does when any commit fails so. Oids that were given out are not given out again. */
int head_transaction(struct head *head, int (*change)(void *context), void *context, const char *user,
                     const char *message, uint64_t *tid);

struct head_status {
    uint64_t pending_objects, pending_bytes;
    uint64_t next_seal_ns; /* until the interval seals; 0: nothing pending */
    uint64_t last_seq, last_tid;
    uint64_t commits, objects; /* transactions committed here; objects in memory */
    bool failed;
    int refusal; /* why the last commit failed: enum store_error; STORE_OK: it succeeded, or there was none */
};
void head_get_status(struct head *head, struct head_status *status);
/* Bytes of the disk below that are kept for removals: what grows gets -ENOSPC when no more than this is left. */
uint64_t head_reserve(const struct head *head);

#endif
