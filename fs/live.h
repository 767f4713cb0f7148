/* Talking to a mount from the command line (fs/control.h).
 *
 * Threads: any. Errors: 0 or a negative errno, with a sentence in *err (its code is of no meaning).
 */
#ifndef TIDFS_FS_LIVE_H
#define TIDFS_FS_LIVE_H

#include <stdint.h>

#include "fs/control.h"
#include "fs/locate.h"
#include "fs/restore_order.h"
#include "store/error.h"

/* What to add to the text of ENOTCONN. */
#define LIVE_DEAD "; the mount's driver has died: `tidfs mount` it again, which clears it away"

/* Asks the mount that has its mount point (or anything inside) at `point`. -ENOTTY: not a tidfs mount, or one of another version. */
int live_status(const char *point, struct control_status *status, struct error *err);

/* Has the kernel write back everything that programs wrote to that mount, through mmap too, and seals it. user and message may be NULL; they
 * are at most 255 and CONTROL_MESSAGE_MAX bytes. With either, a transaction is made even if nothing is pending. *tid (may be NULL)
 * is the newest transaction's. What is pending is committed by the caller, unless another user is named. -EROFS if the mount does not write,
 * -EACCES for who may not write to its /head, -EPERM for who may not name another user. */
int live_commit(const char *point, const char *user, const char *message, uint64_t *tid, struct error *err);
/* The same for who only wants it done: the mount says whose it is, as when the interval seals. */
int live_seal(const char *point, struct error *err);

/* Has the kernel write back as above, and the mount carry out the order: *answer, whose own error is returned, too (then it is an enum store_error). When
 * it returns, the mount shows the result. -EPERM: not the mount's owner. */
int live_restore(const char *point, const struct restore_order *order, struct control_restore_run *answer,
                 struct error *err);

/* Seals what is pending in the writable mount of a store, if there is one, so that a question about the present has a
 * current answer. A mount that cannot be asked (another user's) is left alone; one that fails is warned about on stderr. */
void live_settle(const struct location *location);

#endif
