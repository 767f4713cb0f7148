/* A recorded workload on a store, with what is known of it afterwards; and the check of a state that a power cut in it may leave.
 *
 * A workload works on `store` below the recording's root. It tells by run_sealed and run_tag what was acknowledged; the content of each
 * transaction is taken down as a fingerprint when it is, through the store that is running.
 *
 * Threads: a run belongs to its caller.
 */
#ifndef TIDFS_TESTS_POWERCUT_RUN_H
#define TIDFS_TESTS_POWERCUT_RUN_H

#include "store/store.h"
#include "tests/powercut_disk.h"

#define RUN_TAGS 6 /* tags are named t0, t1… */

struct run {
    const char *name;
    unsigned weight; /* how many of the sampled states fall on it, relative to others */
    bool enumerated; /* its states are tried one after the other, too */
    struct recording recording;
    bool base_store;              /* there was a store at the beginning */
    uint64_t base_last;           /* the newest transaction then */
    uint64_t base_tags[RUN_TAGS]; /* tids; 0: no such tag */
    uint64_t *fingerprints;       /* by seq, 1 .. last */
    uint64_t last;
};

void run_release(struct run *run);

/* Everything that `storage` says of transaction seq, and of the tree as it left that: entries, parts, bodies, but not what later ones may
 * change. False: something could not be read. */
bool fingerprint(struct storage *storage, uint64_t seq, uint64_t *value);

/* All that the store has committed by now was acknowledged. */
void run_sealed(struct run *run, struct store *store);
/* Sets t<number> to a tid, 0: deletes it, with notes before and after. */
void run_tag(struct store *store, unsigned number, uint64_t tid);

/* The workloads. Each makes *run from its dice and leaves it recorded. `root` is an empty directory; for the last one a state of `from`, which
 * it goes on from. */
void workload_create(struct run *run, const char *root, struct dice *dice);
void workload_commits(struct run *run, struct dice *dice); /* in a directory of its own */
void workload_head(struct run *run, const char *root, struct dice *dice);
void workload_large(struct run *run, const char *root, struct dice *dice);
void workload_again(struct run *run, const struct run *from, const char *root, struct dice *dice);

/* Checks what disk_write left in `root`, and changes it. The dice decide how closely it is looked at. True: all is well; else *why says what is
 * wrong. */
bool check_state(const struct run *run, const struct disk *disk, const char *root, struct dice *dice, char *why,
                 size_t why_size);

#endif
