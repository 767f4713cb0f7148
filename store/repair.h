/* Repair: salvages a damaged store, as `tidfs verify --repair` does.
 *
 * Everything whose checksum holds is kept. A new database is built beside the damaged one from all its rows that are sane, found page by
 * page where SQLite cannot read it; what history lacks then is put on record as lost (store/FORMAT.md, "What was lost"), so that reading it
 * is an error and never an older version; one transaction makes the newest state whole again; and the new database takes the old
 * one's place.
 *
 * What becomes of things
 *  - A revision that is lost: instants at which it was the newest give STORE_LOST for that part of that object. If it cannot be told of which
 *    object it was, that holds for all that the transaction may have changed.
 *  - An inode lost at the newest state: it is made anew from the version before, without bits that give rights; without one from its entries,
 *    with mode 0600 or 0700, owned by the store's owner. A symlink's target or a device's number cannot be, so that such a name goes.
 *  - Contents lost: the range gives an error for ever, at the newest state too, until it is overwritten or cut off. Nothing is filled with zeros.
 *  - Extended attributes lost at the newest state: they end, and with them the permissions of the group, which an ACL may have narrowed.
 *  - A name lost: listing its directory gives an error for the instants at which it was there. The object goes back to its last known place if that
 *    is free, else to /lost+found as `#OID`, directories with all below them.
 *  - A name whose object is lost: it goes.
 *  - A transaction's record lost: its time is taken from the index, or its place is kept without a time; its user and message are gone.
 *  - A tag lost: it is gone; its name is told if it can be read.
 *  - The newest transactions, where their part of the log is damaged: what of them is right is kept, and the rest is lost. One of which nothing is
 *    left is missing from history; that is told.
 *  - Indexes, marks, counters and the table of contents are made again. An identity that cannot be read is made anew. The directory of body files is not: without it a repair is refused.
 *
 * Invariants
 *  1. Nothing is changed before the new database is complete, verified and durable. The exchange is one rename: at any other moment
 *     the store is as it was. A repair that failed or was killed leaves files that the next one removes.
 *  2. The damaged database is kept, with its write-ahead log, under another name. Body files are never written.
 *  3. The repair of a store in which nothing is wrong changes nothing.
 *
 * Threads: one call, on one thread. Needs as much free disk as the database takes, twice that if it was not closed cleanly.
 */
#ifndef TIDFS_STORE_REPAIR_H
#define TIDFS_STORE_REPAIR_H

#include "store/storage.h"

struct repair_options {
    /* Not NULL: only tell what a repair would do. An empty directory to work in, which is empty again afterwards. Nothing of the store is written: it need
     * only be readable. */
    const char *scratch;
    /* What is lost and what was done, a sentence each, after the store was exchanged; path as in struct verify_problem. */
    void (*told)(void *context, const struct verify_problem *what);
    void (*progress)(void *context, const char *doing, uint64_t done,
                     uint64_t total); /* NULL: none; total 0: not known */
    void *context;
    const char *user; /* of the transaction; store_repair needs none */
    struct log *log;  /* may be NULL */
};

struct repair_result {
    bool damaged;     /* false: nothing is wrong, and nothing was done */
    uint64_t losses;  /* records of what is lost */
    uint64_t rows;    /* kept */
    uint64_t placed;  /* objects that were given a name */
    uint64_t removed; /* names that led to nothing */
    uint64_t left;    /* problems that verify still finds */
    uint64_t tid;     /* the transaction's */
    char *kept;       /* where the damaged database is now; malloc'ed, NULL if it is where it was */
};
void repair_result_release(struct repair_result *result);

/* Removes what a repair that did not come to its end has left in the directory that it worked in: `scratch`, or the store's. Changes nothing else, so that it may
 * be called while the repair goes on, to give it up. */
void repair_remove_attempt(const char *directory);

/* The caller holds the writer's lock, or with `scratch` keeps writers out as far as can be. STORE_NOT_A_STORE if there is nothing of a store, STORE_NEWER_FORMAT, STORE_FULL, STORE_IO, STORE_READ_ONLY,
 * STORE_NO_MEMORY, each told in *err: then the store is as it was. */
int storage_sqlite_repair(const char *directory, const struct repair_options *options, struct repair_result *result,
                          struct error *err);

/* The same, taking the lock: STORE_LOCKED if somebody writes the store. The user of the transaction is this process's. */
int store_repair(const char *directory, const struct repair_options *options, struct repair_result *result,
                 struct error *err);

#endif
