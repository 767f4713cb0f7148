/* Picking what to put back, change by change and hunk by hunk, as `git checkout -p` does: questions on stdout, answers from stdin.
 *
 * Threads: the main thread. Ownership: chosen_release frees everything that the choices hold.
 */
#ifndef TIDFS_FS_CHOOSING_H
#define TIDFS_FS_CHOOSING_H

#include "history/restore.h"

struct chosen {
    struct restore_choice *choices; /* for a restore_request; paths and contents are owned */
    size_t count;                   /* 0: nothing is to be put back */
};

/* Asks for each step of the plan; not for what is in a directory that is not to come, nor for a directory that is to go if something in it is not,
 * and once for a file with several names. False: said on stderr what is wrong. */
bool choose(struct store *store, uint64_t base, const struct restore_plan *plan, struct chosen *chosen);
void chosen_release(struct chosen *chosen);

#endif
