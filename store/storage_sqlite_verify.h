/* Private to storage_sqlite_verify*.c: one run of verify.
 *
 *   storage_sqlite_verify.c         the run: problems and paths, SQLite's own check, transactions, bodies, tags
 *   storage_sqlite_verify_object.c  revisions, inodes and the bodies of files
 *   storage_sqlite_verify_tree.c    entries, directories, subtree marks
 *
 * A run holds one read transaction, so that all it sees belongs together; while it lasts the write-ahead log of a store
 * that is written to grows.
 *
 * Functions return STORE_OK whatever problems they find; an error means that checking cannot go on.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_VERIFY_H
#define TIDFS_STORE_STORAGE_SQLITE_VERIFY_H

#include <sys/stat.h>

#include "store/oid_set.h"
#include "store/storage_sqlite.h"
#include "store/tid.h"

struct verify {
    struct sqlite_storage *storage;
    struct connection *reader;
    const struct verify_options *options;
    uint64_t *problems;
    uint64_t done, total; /* rows */
    struct timespec told; /* when progress was last told */
    uint64_t last_seq;
    struct state_row state;
    struct oid_set directories; /* that were ever made */
    struct oid_set bodies;      /* hashes of references that were read */
    struct oid_set damaged;     /* of those, the damaged ones; and hashes of which object was named for which */
    uint8_t *body;              /* BODY_LIMIT bytes */
    char tid_text[TID_TEXT_SIZE];
};

/* Tells a problem that affects the newest path of an object; oid 0: of none. */
void verify_problem(struct verify *verify, uint64_t oid, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* How a transaction is called in problems: its tid. Valid until the next call. */
const char *verify_tid(struct verify *verify, uint64_t seq);

/* For each row that was checked. */
void verify_step(struct verify *verify);

/* What is to be done after statement_step or a decoder failed in a scan: damage is a problem of its own and the
 * scan of this table ends; anything else ends the run. */
int verify_scan_end(struct verify *verify, int rc, const char *table);

/* The inode record of an object as a reader at `before` sees it. STORE_ABSENT: none, or the object has ended. Damage counts as
 * absent too, because the scan of revisions reports it. */
int verify_inode(struct verify *verify, uint64_t oid, uint64_t before, struct inode_record *record);

/* The entries that lead to an object at `before`. Damage counts as none. *damaged is set then. */
int verify_links(struct verify *verify, uint64_t oid, uint64_t before, struct entry_list *links, bool *damaged);

bool verify_is_marked(struct verify *verify, uint64_t directory, uint64_t seq, int *rc);

int verify_revisions(struct verify *verify); /* storage_sqlite_verify_object.c */
int verify_entries(struct verify *verify);   /* storage_sqlite_verify_tree.c, these four */
int verify_past_entries(struct verify *verify);
int verify_directories(struct verify *verify);
int verify_subtrees(struct verify *verify);

#endif
