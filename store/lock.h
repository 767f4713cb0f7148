/* The writer's lock: STORE/lock, held by the one process that may commit to a store.
 *
 * It is an open file description lock, so the kernel releases it when the last descriptor of the holder goes, by
 * release, exit or crash, and a child made by fork holds it too, until both have gone. The file's text tells who holds
 * it and is of use only while the lock is held; the file stays when the lock goes.
 * The directory itself is locked along with it (flock(2)), so that who removes the file lets no second writer in: the two would append to the same
 * body file, one over what the other has said is durable.
 *
 * Writers are kept out too by readers that cannot use the database's own locks, because the disk is full.
 *
 * Threads: a lock belongs to its caller.
 */
#ifndef TIDFS_STORE_LOCK_H
#define TIDFS_STORE_LOCK_H

#include <sys/types.h>

#include "store/error.h"

#define LOCK_FILE "lock"

struct writer_lock;

struct lock_holder {
    pid_t pid;         /* 0: not known, as when it is just being written */
    char *mount_point; /* owned; "" for none: a program that works on the store without a mount */
};
void lock_holder_release(struct lock_holder *holder);

/* Takes the lock without waiting. mount_point: absolute, "" for none; copied. STORE_LOCKED: *err names the holder.
 * STORE_READ_ONLY, STORE_NOT_A_STORE (no such directory), STORE_IO, STORE_NO_MEMORY. */
int writer_lock_acquire(const char *store_directory, const char *mount_point, struct writer_lock **lock,
                        struct error *err);
/* Rewrites who holds it: this process, with this mount point. For after mounting, and after a fork. */
int writer_lock_describe(struct writer_lock *lock, const char *mount_point);
/* NULL is legal. */
void writer_lock_release(struct writer_lock *lock);

/* For who reads a store that no writer may begin to change meanwhile: shared with other such readers, it keeps writers out until the descriptor *fd is
 * closed. STORE_LOCKED if there is a writer, STORE_ABSENT if there is no lock file to take it on, or an error. Nothing is written. */
int reader_lock_acquire(const char *store_directory, int *fd);

/* STORE_LOCKED, told in *err, if there is such a reader now; STORE_OK if there is none; an error, told too, if that cannot be known. */
int reader_lock_check(const char *store_directory, struct error *err);

/* Who holds the lock of a store for writing now, without disturbing it. STORE_OK and *holder, the caller's to release;
 * STORE_ABSENT if nobody does; or an error. */
int writer_lock_holder(const char *store_directory, struct lock_holder *holder);

#endif
