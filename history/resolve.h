/* From a `<when>` to a view's key: which transactions it shows.
 *
 * Invariants
 *  1. All names between the same two commits resolve to the same `before`.
 *  2. Nothing is guessed: what cannot be resolved is an error with a sentence.
 * Cost: a few indexed reads, whatever the number of transactions; steps cost nothing each (seq is dense).
 * Threads: any.
 */
#ifndef TIDFS_HISTORY_RESOLVE_H
#define TIDFS_HISTORY_RESOLVE_H

#include "history/when.h"
#include "store/store.h"

enum resolve_how { RESOLVE_AT, RESOLVE_BEFORE };

struct resolved {
    uint64_t before;      /* seq: the view shows transactions with seq < before; 1: before the first commit */
    uint64_t tid;         /* newest transaction shown; 0 if none */
    struct timespec time; /* its commit time (tid_to_time); zero if none */
    uint64_t name;        /* the tid that names this view for good under /at (how AT) or /before (how BEFORE) */
    bool moving;          /* the text may resolve to something else later: show it as a symlink */
    bool settled;         /* no later commit can change what it resolves to, whatever the clock does */
};

/* Why it did not resolve, for callers that turn it into errno: */
enum resolve_error {
    RESOLVE_MALFORMED = STORE_INVALID, /* no time, and no such tag: ENOENT in paths */
    RESOLVE_FUTURE = -100,             /* "cannot open a view in the future": ENOENT in paths */
    RESOLVE_NO_TAG = -101,             /* ENOENT */
    RESOLVE_TOO_EARLY = -102,          /* a step before the first transaction: ENOENT */
    RESOLVE_NO_TID = -103,             /* resolve_check_tid alone */
    /* STORE_PACKED: at or before the horizon: ESTALE; the sentence says what was packed and when */
};

/* Resolves text (need not end in NUL) against the store's committed transactions. `now` is the clock. The caller seals the head
 * before resolving what depends on now (when.needs_seal). */
int resolve_text(struct store *store, const char *text, size_t length, enum resolve_how how, struct timespec now,
                 struct resolved *resolved, struct error *err);
int resolve_when(struct store *store, const struct when *when, enum resolve_how how, struct timespec now,
                 struct resolved *resolved, struct error *err);
/* As resolve_when, but only the key, and also of what has been packed away (whose transactions may still be listed). */
int resolve_seq(struct store *store, const struct when *when, enum resolve_how how, struct timespec now,
                uint64_t *before, struct error *err);
/* A tid in a path means the newest transaction at or before it, as every time does. But one that a person typed means that very
 * transaction: RESOLVE_NO_TID with a sentence if the store has none of that tid, because it is mistyped or of another store. STORE_OK for
 * all else: no tid, the zero one (before the first transaction), one in the future, of which resolving tells, and one whose changes
 * were packed away. */
int resolve_check_tid(struct store *store, const struct when *when, struct timespec now, struct error *err);
/* 0 or a positive errno for any negative result of the above. */
int resolve_errno(int code);

#endif
