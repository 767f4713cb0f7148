/* Mounts as the system sees them: where one may go, what is there already, taking one away, and running one in the background.
 *
 * Threads: mount_run is for a process that has no other threads; the rest may be called from any. Ownership: strings are the caller's to free.
 * Errors: enum store_error, with a sentence.
 */
#ifndef TIDFS_FS_MOUNT_H
#define TIDFS_FS_MOUNT_H

#include <sys/types.h>

#include "fs/config.h"
#include "fs/log_sink.h"

#define MOUNT_TYPE "fuse.tidfs"

/* The absolute path without symlinks of a directory that may be a mount point, also of one whose driver is dead. STORE_ABSENT: no such path.
 * STORE_IO: another reason. *dead (may be NULL): it is the mount point of a driver that is gone. */
int mount_resolve(const char *directory, char **point, bool *dead, struct error *err);

/* What is mounted on exactly this path (absolute, without symlinks), the topmost if there are several. */
struct mounted {
    char *source, *type; /* owned */
    bool read_only;
    uid_t owner; /* who mounted it, for FUSE; 0 for others */
};
/* STORE_ABSENT if nothing is. */
int mount_find(const char *point, struct mounted *mounted, struct error *err);
void mounted_release(struct mounted *mounted);

/* Finds out whether a store can be mounted on `directory` and gives its path. A mount of tidfs whose driver died is cleared away first. An empty directory
 * is not asked for. STORE_ABSENT, STORE_INVALID (no directory; in the way of the store), STORE_EXISTS (a live mount of tidfs), STORE_IO. */
int mount_prepare(const char *directory, const char *store, char **point, struct error *err);

/* Unmounts, as root or through fusermount3. lazy: also while it is in use; it is gone for new users at once. STORE_LOCKED: it is in use.
 * STORE_READ_ONLY: not permitted. STORE_IO: another reason. */
int mount_detach(const char *point, bool lazy, struct error *err);

/* Whether a user other than root may let others into a mount: user_allow_other in /etc/fuse.conf. */
bool mount_may_share(void);

/* Mounts a store and answers requests until it is unmounted. foreground: returns then. Otherwise the work is done by a child process, and this
 * returns once the mount can be used, or with what the child said. In the child it never returns. */
int mount_run(const char *store, const char *point, const struct mount_options *options, bool foreground,
              struct log_sink *sink, struct error *err);

#endif
