/* The log of a store: its transactions, newest first, all or those that changed what some paths showed.
 *
 * Invariants
 *  1. Packing history away leaves the log: a range may reach behind the horizon.
 *  2. Nothing newer than store_last() at the start of a walk is told, and nothing twice.
 *
 * Cost: proportional to what is told, not to what the store has; see history/past.h for paths.
 * Threads: a walk belongs to one at a time.
 * Errors: enum store_error, and enum resolve_error for what is said in <when>.
 */
#ifndef TIDFS_HISTORY_LOG_H
#define TIDFS_HISTORY_LOG_H

#include "history/resolve.h"

/* Transactions first..last, both included. Empty if first > last. */
struct log_range {
    uint64_t first, last;
};

/* Parses a range and resolves it: "A..B" with both ends included and either left out, or "B" for "..B"; A and B are <when>. A date B that
 * lies in the future means all there is so far. A tid must be that of a transaction (resolve_check_tid).
 * STORE_OK, or an error of resolve_text with a sentence; *range is then left alone. */
int log_parse_range(struct store *store, const char *text, struct timespec now, struct log_range *range,
                    struct error *err);
/* One end of it: the transactions since `text`, or up to it, both including it. */
int log_parse_first(struct store *store, const char *text, size_t length, struct timespec now, uint64_t *first,
                    struct error *err);
int log_parse_last(struct store *store, const char *text, size_t length, struct timespec now, uint64_t *last,
                   struct error *err);

/* The object that a slash-separated path of names leads to in the newest view up to transaction `last` that has it (it
 * may be deleted since). "" is the root. STORE_ABSENT if no view has it. Cost: as past_names_load. */
int log_find_path(struct store *store, const char *path, uint64_t last, uint64_t *oid);

struct log_options {
    struct log_range range;
    /* None: all transactions. Else those that changed what at least one of these led to: the object, what is below it, or
     * which object it was, by a rename or removal of any directory above, too. As past_walk_open takes them. */
    const char *const *paths;
    size_t path_count;
    bool follow;  /* the older paths of what was renamed to one of the paths, too */
    bool reverse; /* oldest first. With paths, all that is told is found first */
};

struct log_walk;
/* *walk is NULL after an error. STORE_ABSENT: paths[*absent] led nowhere up to the end of the range; STORE_LOST: nobody knows whether it did. */
int log_walk_open(struct store *store, const struct log_options *options, struct log_walk **walk, size_t *absent);
/* The next transaction, which the caller releases. STORE_ABSENT at the end. After an error the walk is where it was. */
int log_walk_next(struct log_walk *walk, struct transaction *transaction);
/* The paths that what was told so far was about: those that were asked for, and with follow the older ones that were come to. The
 * walk's own, valid until it is used again. */
const char *const *log_walk_paths(const struct log_walk *walk, size_t *count);
void log_walk_close(struct log_walk *walk); /* NULL is legal */

#endif
