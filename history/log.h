/* The log of a store: its transactions, newest first, all or those that touched one object.
 *
 * Invariants
 *  1. Packing history away leaves the log: a range may reach behind the horizon.
 *  2. Nothing newer than store_last() at the start of a walk is shown.
 *
 * Cost: proportional to what is shown, not to what the store has.
 * Threads: a walk belongs to one at a time. Ownership: a walk owns nothing.
 * Errors: enum store_error, and enum resolve_error for what is said in <when>.
 */
#ifndef TIDFS_HISTORY_LOG_H
#define TIDFS_HISTORY_LOG_H

#include "history/resolve.h"

/* Transactions first..last, both included. Empty if first > last. */
struct log_range {
    uint64_t first, last;
};

/* Parses a range and resolves it: "A..B" with both ends included and either left out, or "B" for "..B"; A and B are <when>.
 * STORE_OK, or an error of resolve_text with a sentence; *range is then left alone. */
int log_parse_range(struct store *store, const char *text, struct timespec now, struct log_range *range,
                    struct error *err);

/* The object that a slash-separated path of names leads to in the newest view up to transaction `last` that has it (it
 * may be deleted since). "" is the root. STORE_ABSENT if no view has it.
 * Cost: a few reads for each change since then of the directories on the way. */
int log_find_path(struct store *store, const char *path, uint64_t last, uint64_t *oid);

struct log_walk {
    struct store *store;
    uint64_t first;
    uint64_t before; /* what is shown next is older than this */
    uint64_t oid;
};

/* Starts at the newest of the range. oid 0: all transactions; else those that changed the object or anything below it. */
void log_walk_init(struct log_walk *walk, struct store *store, const struct log_range *range, uint64_t oid);
/* The next transaction, which the caller releases. STORE_ABSENT at the end. After an error the walk is where it was. */
int log_walk_next(struct log_walk *walk, struct transaction *transaction);

#endif
