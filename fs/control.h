/* How the command line talks to a running mount: ioctls on any directory or file of it.
 *
 * Invariants: structures have fixed sizes below 16 KiB (the limit of an ioctl over FUSE) and no pointers. A mount answers only
 * requests of its own protocol version: another number is ENOTTY.
 */
#ifndef TIDFS_FS_CONTROL_H
#define TIDFS_FS_CONTROL_H

#include <stdint.h>
#include <sys/ioctl.h>

#define CONTROL_MESSAGE_MAX 15000

/* Seal. In: user and message ("": none given), by_caller. Out: tid. EROFS on a read-only mount; EACCES for a
 * caller who may not write to /head, unless it only has it settled; EPERM for one who is neither the mount's owner nor root, and names a user; the
 * commit's errno if it failed. */
struct control_commit {
    uint64_t tid;
    uint64_t by_caller; /* 1: the caller commits, and is the user if none is named; 0: only has it settled */
    char user[256];
    char message[CONTROL_MESSAGE_MAX + 1];
};

/* State of the mount, all out. */
struct control_status {
    uint64_t writable, last_seq, last_tid;
    uint64_t pending_objects, pending_bytes, next_seal_ns, failed;
    uint64_t refusal; /* the errno of the last commit; 0: it succeeded. Unless it failed for good, it is tried again */
    uint64_t commits, head_objects;
    uint64_t nodes; /* directories of views and the like that the kernel knows */
    uint64_t views_open, views_idle, views_opened, views_reused, views_expired;
    uint64_t cache_hits, cache_misses, cache_bytes, cache_historic_bytes;
    struct control_request {
        char name[16];  /* "" ends the list */
        uint64_t count; /* requests of this kind since the mount began */
    } requests[64];
    uint64_t single_view; /* 1: mounted with at=: the mount's root is the tree as of view_tid, without /head and /at */
    uint64_t view_tid;    /* of the newest transaction that it shows; 0: none, or not single_view */
    char store[1024];     /* absolute path, as it was when the mount began */
    uint64_t store_device,
        store_inode; /* of its database, by which to tell whether that is what has the path now; 0: not known */
    char subdir
        [1024]; /* the directory of the tree that the mount shows as its root, without slashes around it; "": all of it */
};

/* An order to revert or undo (fs/restore_order.h), piece by piece. id 0 begins one and is set; then the pieces that follow name it. EROFS on
 * a read-only mount, EPERM for who is neither the mount's owner nor root, EBUSY if there are too many, E2BIG if it is too large, ESTALE if it is not known (any more). */
struct control_restore_piece {
    uint64_t id;
    uint64_t length;
    uint8_t data[12288];
};

/* Carries the order out. When it is answered, the mount shows the result. */
struct control_restore_run {
    uint64_t id;      /* in */
    int64_t code;     /* enum store_error, explained in `text` */
    uint64_t outcome; /* enum restore_outcome, if code is 0 */
    uint64_t base;    /* what was done, or stands in the way, is the plan of that order for this base */
    uint64_t tid;     /* of the transaction, if one was made */
    char text[512];
};

#define CONTROL_COMMIT        _IOWR('t', 0x81, struct control_commit)
#define CONTROL_STATUS        _IOR('t', 0x82, struct control_status)
#define CONTROL_RESTORE_PIECE _IOWR('t', 0x83, struct control_restore_piece)
#define CONTROL_RESTORE_RUN   _IOWR('t', 0x84, struct control_restore_run)

#endif
