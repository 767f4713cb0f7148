/* Private to storage_sqlite_repair_history.c, _order.c, _doubt.c and _names.c: history being completed. */
#ifndef TIDFS_STORE_STORAGE_SQLITE_REPAIR_HISTORY_H
#define TIDFS_STORE_STORAGE_SQLITE_REPAIR_HISTORY_H

#include "store/oid_set.h"
#include "store/storage_sqlite_repair.h"

/* A transaction of which something unknown is lost. */
struct doubt {
    uint64_t seq;
    uint64_t missing; /* revisions at most */
    bool closed;      /* all objects that it changed are known */
    bool marked;      /* so are all directories in which something changed */
};

struct history {
    struct repair *repair;
    struct connection *db;
    struct oid_set lost;     /* hashes of revisions and names that are on record */
    struct oid_set made;     /* seqs of transactions whose row is new */
    struct oid_set certain;  /* hashes of inodes that are lost and were there for certain */
    struct oid_set disagree; /* hashes of inodes of directories that have other names than they say */
    uint64_t *certain_seqs;  /* of `certain`: one for each */
    size_t certain_count, certain_capacity;
    uint64_t reach;   /* no transaction has a higher seq */
    uint64_t end_seq; /* of the last revision that was found */
    struct doubt *doubts;
    size_t doubt_count, doubt_capacity;
};

/* Of a revision; never 0. */
uint64_t history_hash(uint64_t oid, uint64_t part, uint64_t seq);
/* Of lost names. */
uint64_t history_hash_names(const struct loss *loss);
/* Puts a lost revision on record, once. *added (may be NULL) tells whether it was not yet. */
int history_lose(struct history *history, uint64_t oid, uint64_t part, uint64_t seq, bool *added);
/* The smallest id of a revision of transaction seq or a later one: ids and seqs ascend together. */
int history_first_revision(struct history *history, uint64_t seq, uint64_t *id);

/* storage_sqlite_repair_order.c */

/* Drops the transactions and revisions that cannot be right beside the others: afterwards tids grow with seqs, with room for those that are missing
 * between; so do revision ids; and seqs do not descend from revision to revision. */
int order_rows(struct history *history);
/* After order_rows: finds `reach`, and drops whatever lies beyond, rows and hints. Afterwards no more transactions are missing than there is evidence
 * that there may have been. */
int order_bound(struct history *history);

/* storage_sqlite_repair_doubt.c */

/* At most `missing` revisions of transaction seq are lost, and nobody knows of what. */
int doubt_add(struct history *history, uint64_t seq, uint64_t missing);
/* Whether transaction seq may have had any of the revisions [first, end), as far as the transactions' rows tell. */
int doubt_can_have(struct history *history, uint64_t seq, uint64_t first, uint64_t end, bool *can);
/* Revisions [first, end) are lost, and nothing is known of them but that they were written in [first_seq, last_seq]. */
int doubt_range(struct history *history, uint64_t first, uint64_t end, uint64_t first_seq, uint64_t last_seq);
/* One of them is known now: the inode of oid. Must have been put on record. */
int doubt_settle(struct history *history, uint64_t oid, uint64_t seq, bool added);
/* Puts on record whatever may be lost. */
int doubt_record_all(struct history *history);

/* storage_sqlite_repair_names.c */

/* Names that are missing, or may be older ones. */
int names_check(struct history *history, const struct oid_set *directories);
/* All that ever were a directory, by their own records or by their names. */
int names_find_directories(struct history *history, struct oid_set *directories);
/* What the commits marked, made again; the marks that are there stay as they are if none of it is missing or out of order, for their ids
 * name versions. */
int names_complete_marks(struct history *history, const struct oid_set *directories);

#endif
