/* Read-only mounts of a mount's own /at, /before and /versions over themselves (-o ro_views).
 *
 * Whether a file may be opened for writing, and access(2), are answered by the kernel, which asks no filesystem that leaves permissions to it; and it
 * knows nothing that is read-only but whole filesystems and mounts. So this is the only way in which opening for writing and access(W_OK) say EROFS
 * in a view beside a writable /head. Its price: a mount with mounts in it is unmounted by `tidfs umount` or `umount -R`, not by `umount` alone;
 * and moving or linking from a view to /head gives EXDEV, as between any two mounts.
 *
 * Threads: any; the mount must answer requests meanwhile. Errors: enum store_error, with a sentence.
 */
#ifndef TIDFS_FS_MOUNT_VIEWS_H
#define TIDFS_FS_MOUNT_VIEWS_H

#include <stdbool.h>

#include "store/error.h"

/* For root. On an error none is left. */
int mount_views_protect(const char *point, struct error *err);
/* Takes them away, if there are any: *were (may be NULL). STORE_LOCKED: one is in use; the others are then as before. */
int mount_views_release(const char *point, bool lazy, bool *were, struct error *err);

#endif
