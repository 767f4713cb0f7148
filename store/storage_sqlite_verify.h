/* Private to storage_sqlite_verify*.c: one run of verify.
 *
 *   storage_sqlite_verify.c         the run: problems and paths, SQLite's own check, transactions, bodies, tags
 *   storage_sqlite_verify_object.c  revisions, inodes and the bodies of files
 *   storage_sqlite_verify_tree.c    entries, directories, subtree marks
 *   storage_sqlite_verify_scan.c    scans of tables, in slices
 *   storage_sqlite_verify_walk.c    what is unreadable, by path
 *
 * A run works in slices of a moment each: one read transaction a slice, between two rows of a scan or two directories. All that is
 * compared with one another is read in one slice, so it belongs together; what was committed meanwhile is seen by the next. So the write-ahead
 * log of a store that is written to can start over while a run lasts, but for SQLite's own check, which is one statement.
 *
 * Functions return STORE_OK whatever problems they find; an error means that checking cannot go on.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_VERIFY_H
#define TIDFS_STORE_STORAGE_SQLITE_VERIFY_H

#include <sys/stat.h>

#include "store/oid_set.h"
#include "store/storage_sqlite.h"
#include "store/tid.h"

struct verify_names;

struct verify {
    struct sqlite_storage *storage;
    struct connection *reader;
    const struct verify_options *options;
    uint64_t *problems;
    uint64_t done, total;  /* rows */
    struct timespec told;  /* when progress was last told */
    struct timespec slice; /* when it began */
    uint64_t last_seq;     /* this and the next: as of the slice */
    struct state_row state;
    struct verify_names *names; /* of objects; NULL: none read yet */
    struct oid_set directories; /* that were ever made */
    struct oid_set bodies;      /* hashes of references that were read */
    struct oid_set damaged;     /* of those, the damaged ones; and hashes of objects and files named for them */
    uint8_t *body;              /* BODY_LIMIT bytes */
    int read_errno;             /* of the body that the disk refused last; 0: it gave what is damaged */
    bool cut;                   /* a page that cannot be read has ended a scan, or hidden a path */
    const struct loss_list *losses;
    void (*note)(void *context,
                 const struct loss *loss); /* for repair: what to record so that it is no problem any more */
    void *note_context;
    char tid_text[TID_TEXT_SIZE];
};

/* Tells a problem that affects the newest path of an object; oid 0: of none. */
void verify_problem(struct verify *verify, uint64_t oid, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Tells of what does not agree with itself in transaction seq, of object oid or, if that is 0, of the transaction itself. False if it is
 * known, for what was lost is on record, or is to be noted only: who checks goes on then. */
bool verify_inconsistent(struct verify *verify, uint64_t oid, uint64_t seq, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* How a transaction is called in problems: its tid. Valid until the next call. */
const char *verify_tid(struct verify *verify, uint64_t seq);

/* For each row that was checked. */
void verify_step(struct verify *verify);

int verify_begin_slice(struct verify *verify);
/* Where nothing that was read matters any more: ends a slice that has lasted long enough, and begins the next. */
int verify_next_slice(struct verify *verify);

/* A scan of a whole table. Rows that are added meanwhile may be seen or not. */
enum verify_scan_id {
    SCAN_TRANSACTIONS,
    SCAN_REVISIONS,
    SCAN_BODIES,
    SCAN_ENTRIES,
    SCAN_PAST_ENTRIES,
    SCAN_SUBTREES,
};
#define SCAN_KEYS_MAX 4
struct verify_scan {
    enum verify_scan_id id;
    sqlite3_stmt *statement;           /* at a row */
    struct value after[SCAN_KEYS_MAX]; /* the key of the last row of the slice before */
    char name[NAME_BYTES_MAX];         /* the bytes of one of them */
};
void verify_scan_begin(struct verify_scan *scan, enum verify_scan_id id);
/* As statement_step. The row before is gone, and the slice perhaps. */
int verify_scan_next(struct verify *verify, struct verify_scan *scan);
void verify_scan_close(struct verify_scan *scan);

/* What is to be done after statement_step or a decoder failed in a scan: damage is a problem of its own and the
 * scan of this table ends; anything else ends the run. */
int verify_scan_end(struct verify *verify, int rc, const char *table);

/* The inode record of an object as a reader at `before` sees it. STORE_ABSENT: none, or the object has ended. Damage counts as
 * absent too, because the scan of revisions reports it. */
int verify_inode(struct verify *verify, uint64_t oid, uint64_t before, struct inode_record *record);

/* The directories that have a name for an object at `before`, one for each name; valid until the next call. *damaged: one of the names is, or it cannot be
 * told which there are. */
int verify_parents(struct verify *verify, uint64_t oid, uint64_t before, const uint64_t **parents, size_t *count,
                   bool *damaged); /* storage_sqlite_verify_names.c */
/* NULL is legal. */
void verify_names_free(struct verify_names *names);

bool verify_is_marked(struct verify *verify, uint64_t directory, uint64_t seq, int *rc);

int verify_revisions(struct verify *verify); /* storage_sqlite_verify_object.c, these two */
/* Reads a body, once in a run. *damaged: it cannot be read or is not what the reference says. */
int verify_body(struct verify *verify, const struct body_ref *ref, bool *damaged);
int verify_entries(struct verify *verify); /* storage_sqlite_verify_tree.c, these four */
int verify_past_entries(struct verify *verify);
int verify_directories(struct verify *verify);
int verify_subtrees(struct verify *verify);
int verify_walk(struct verify *verify); /* storage_sqlite_verify_walk.c: after the scans, if one of them was cut */

#endif
