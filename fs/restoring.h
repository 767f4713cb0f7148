/* What the commands revert and undo have in common: where it is to be done, doing it or only planning it, and telling what was done.
 *
 * Through a live mount if there is one (fs/control.h), else in the store itself, opened for writing meanwhile.
 *
 * Threads: the main thread. Ownership: `restoring` borrows all that it is given. What is wrong is said on stderr where it is found.
 */
#ifndef TIDFS_FS_RESTORING_H
#define TIDFS_FS_RESTORING_H

#include "fs/restore_order.h"
#include "fs/subject.h"

struct restoring {
    const char *name; /* of the command */
    struct subject *subject;
    struct restore_request request;
    const char *message; /* as restore_message */
    uint64_t only_base;  /* as restore_run */
    bool dry_run, json, utc;
};

/* Whether changes may be made where the subject says; the mount, if any, is settled and the store opened for reading. `change` false: nothing will be. */
bool restoring_open(struct subject *subject, bool change);
/* As restore_plan_make, for the store as it is now, showing progress. NULL: said what is wrong. */
struct restore_plan *restoring_plan(const struct restoring *restoring, uint64_t base);
/* Whether such a message can be had (NULL: of course). False: said what is wrong. */
bool restoring_message_is_good(const struct restoring *restoring);
/* Does it, unless it is a dry run, and tells. Returns the exit status. */
int restoring_run(const struct restoring *restoring);

#endif
