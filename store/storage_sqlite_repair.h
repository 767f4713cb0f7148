/* Private to storage_sqlite_repair*.c and storage_sqlite_salvage.c: one run of repair. store/repair.h says what it does.
 *
 *   storage_sqlite_repair.c          the run; files: the new database, the exchange
 *   storage_sqlite_salvage.c         rows from the pages of the damaged database into the new one
 *   storage_sqlite_repair_files.c    copies, and the exchange
 *   storage_sqlite_repair_log.c      what was committed to the log
 *   storage_sqlite_repair_history.c  what is missing: transactions, revisions; the state
 *   storage_sqlite_repair_doubt.c    revisions that are missing, and nobody knows of what
 *   storage_sqlite_repair_names.c    names that are missing, and marks
 *   storage_sqlite_repair_head.c     the transaction that makes the newest state whole
 *
 * What is believed. Rows with a right checksum, wherever they are found. That a row is all there is: of a revision if the index of revisions was read
 * without a gap around its object; of an entry if its directory's record counts as many. That an entry lives: as long as no page
 * can be older than it should be (`names_seq`); else it is one that its directory's record counts.
 *
 * A damaged log is taken in two steps: up to its first damaged frame, where all that was found then is right and complete, if the database was; and to its
 * end, where pages may be older than they should be. Rows that moved to a page that is lost are still in the older one.
 *
 * Seqs are believed as far as revision ids reach, for each transaction takes one at least (storage_sqlite_repair_order.c). Numbers near the ends of their
 * ranges are believed nowhere, for the repaired store would have none left.
 *
 * Until the head's, all work is one SQLite transaction in a database that nobody else knows.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_REPAIR_H
#define TIDFS_STORE_STORAGE_SQLITE_REPAIR_H

#include "store/repair.h"
#include "store/storage_sqlite.h"
#include "store/tid.h"

#define REPAIR_UUID_SIZE 37

/* No store gets this far: what is above is nonsense, even under a right checksum. */
#define BELIEVED_ID_MAX    (OID_MAX / 2)
#define BELIEVED_INDEX_MAX (INT64_MAX / 2)
#define BELIEVED_TID_MAX   (TID_MAX - (INT64_C(1) << 51)) /* a year before the end of time */

/* Said to the caller when all is done: they name paths, which are known only then. */
struct repair_note {
    uint64_t oid; /* 0: of no object */
    char *text;
};

/* The index of revisions may lack entries between two that it has; oid 0 and UINT64_MAX: before the first and behind the last. */
struct index_gap {
    struct index_key {
        uint64_t oid, part, seq;
    } first, last;
};

/* The log beside a database. */
struct repair_log {
    uint64_t end;       /* the last frame of what was committed; 0: there is nothing */
    uint64_t whole_end; /* the last one up to which no frame is damaged, and a transaction ends */
    bool beyond;        /* SQLite would have ended it before, and nothing would have told */
    bool merged;        /* the copy was made */
    uint64_t lost;      /* frames that are damaged */
};

struct repair {
    const char *directory;
    const struct repair_options *options;
    struct repair_result *result;
    struct connection *db; /* the new database */
    struct repair_log log;
    bool log_damaged; /* pages, and so the state that was found, may be older ones */
    uint64_t
        names_seq; /* entries that live after this transaction, as was found, may have ended: their pages may be older ones */
    uint64_t pages;      /* of the damaged database */
    uint64_t unreadable; /* pages of the damaged one that the disk would not give */
    bool state_found, uuid_found;
    bool has_end; /* no revision is missing behind the last one that was found, if the log is whole */
    uint64_t next_revision_found;
    struct state_row state; /* of all rows that were found, the highest values */
    uint64_t format;        /* as the damaged one says; 0: it does not */
    bool format_certain;
    char uuid[REPAIR_UUID_SIZE];
    uint64_t created;
    uint64_t last_seq;      /* of the newest transaction that left any trace, or must have been */
    bool has_index;         /* the index of revisions was read, all but `gaps` */
    uint64_t index_seq;     /* it has all up to this transaction */
    struct index_gap *gaps; /* ascending */
    size_t gap_count, gap_capacity;
    struct loss *displaced; /* names that others have followed, and whose end is not known */
    size_t displaced_count, displaced_capacity;
    uint64_t next_loss,
        first_loss; /* ids: of the next one to be put on record, and of the first that this run has put */
    struct repair_note *notes;
    size_t note_count, note_capacity;
};

int repair_note(struct repair *repair, uint64_t oid, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts a loss on record. */
int repair_lose(struct repair *repair, const struct loss *loss);
void repair_progress(const struct repair *repair, const char *doing, uint64_t done, uint64_t total);

/* Keeps every sane row of the database at `path`. STORE_NOT_A_STORE: there is none of a store. merged_from: the one whose log, damaged, was
 * applied to it in part, and is applied whole after a first look; NULL: none is. */
int repair_salvage(struct repair *repair, const char *path, const char *merged_from, struct error *err);
/* Completes history. */
int repair_history(struct repair *repair);
/* storage_sqlite_repair_log.c */
int repair_look_at_log(const char *database, struct repair_log *found, struct error *err);
/* Copies the database with its log up to whole_end to `merged`, if anything was committed to it. */
int repair_merge_log(const char *database, const char *merged, struct repair_log *found, struct error *err);
/* And then the rest, as far as it is right. */
int repair_merge_rest(const char *database, const char *merged, struct repair_log *found, struct error *err);

/* storage_sqlite_repair_files.c. Copies a file durably, as far as it can be read; `change` (NULL: nothing) then changes the copy. STORE_ABSENT: there
 * is no such file; STORE_EXISTS: there is something at `to`, which stays. After another error there is no copy. */
int repair_copy(const char *from, const char *to, int (*change)(void *context, int fd), void *context);
/* Puts the repaired database in the place of the damaged one, of which *kept is the new name, malloc'ed. merged: NULL if there is none. */
int repair_exchange(const char *directory, const char *database, const char *merged, const char *repaired, char **kept,
                    struct error *err);
/* With what SQLite makes beside it. */
void repair_remove_database(const char *path);
/* Commits the transaction to the new database, open in `storage`. */
int repair_head(struct repair *repair, struct storage *storage);

#endif
