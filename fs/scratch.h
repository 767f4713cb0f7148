/* A repair that may be interrupted: its directory for what is temporary, and no trace of it after SIGINT, SIGTERM or SIGHUP.
 *
 * A thread waits for these signals from scratch_begin to scratch_end, removes what the repair has made so far, and lets the signal end
 * the process, as it would have without. The store is left as if the process had been killed: as it was.
 * What the process was started with ignoring stays ignored.
 *
 * Threads: begun and ended by the main one, before and after which the process has no other. The waiting one ends in scratch_end.
 */
#ifndef TIDFS_FS_SCRATCH_H
#define TIDFS_FS_SCRATCH_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "store/error.h"

struct scratch {
    char *path;  /* where the repair works: a directory of its own, or the store's */
    bool own;    /* it is removed at the end */
    int stopped; /* an eventfd: wakes the waiting thread */
    int signals; /* a signalfd */
    pthread_t waiting;
    sigset_t before; /* the mask of signals */
};

/* store: where to work, copied; NULL for a directory of its own, made in TMPDIR (/tmp). STORE_READ_ONLY, STORE_FULL, STORE_IO, STORE_NO_MEMORY, told in
 * *err; then there is nothing to end. */
int scratch_begin(struct scratch *scratch, const char *store, struct error *err);
void scratch_end(struct scratch *scratch);

#endif
