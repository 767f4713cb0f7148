/* Private to storage_sqlite_repair*.c and storage_sqlite_salvage.c: one run of repair. store/repair.h says what it does.
 *
 *   storage_sqlite_repair.c          the run; files: the new database, the exchange
 *   storage_sqlite_salvage.c         rows from the pages of the damaged database into the new one
 *   storage_sqlite_repair_history.c  what is missing: transactions, revisions, names; marks; the state
 *   storage_sqlite_repair_head.c     the transaction that makes the newest state whole
 *
 * Until the head's, all work is one SQLite transaction in a database that nobody else knows.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_REPAIR_H
#define TIDFS_STORE_STORAGE_SQLITE_REPAIR_H

#include "store/repair.h"
#include "store/storage_sqlite.h"
#include "store/tid.h"

#define REPAIR_UUID_SIZE 37

/* Said to the caller when all is done: they name paths, which are known only then. */
struct repair_note {
    uint64_t oid; /* 0: of no object */
    char *text;
};

struct repair {
    const char *directory;
    const struct repair_options *options;
    struct repair_result *result;
    struct connection *db; /* the new database */
    bool log_damaged;      /* the state that was found may be an older one */
    uint64_t unreadable;   /* pages of the damaged one that the disk would not give */
    bool state_found, uuid_found;
    bool has_end; /* no revision is missing behind the last one that was found, if the log is whole */
    uint64_t next_revision_found;
    struct state_row state; /* of all rows that were found, the highest values */
    uint64_t format;        /* as the damaged one says; 0: it does not */
    char uuid[REPAIR_UUID_SIZE];
    uint64_t created;
    uint64_t last_seq; /* of the newest transaction that left any trace */
    uint64_t next_loss,
        first_loss; /* ids: of the next one to be put on record, and of the first that this run has put */
    struct repair_note *notes;
    size_t note_count, note_capacity;
};

int repair_note(struct repair *repair, uint64_t oid, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Puts a loss on record. */
int repair_lose(struct repair *repair, const struct loss *loss);
void repair_progress(const struct repair *repair, const char *doing, uint64_t done, uint64_t total);

/* Keeps every sane row of the database at `path`. STORE_NOT_A_STORE: there is none of a store. */
int repair_salvage(struct repair *repair, const char *path, struct error *err);
/* Completes history. */
int repair_history(struct repair *repair);
/* storage_sqlite_repair_files.c. Copies the database with what was committed to its log to `merged`; *done is false if there is nothing in the log,
 * *damaged is true if a part of it is lost. */
int repair_merge_log(const char *database, const char *merged, bool *done, bool *damaged, struct error *err);
/* Puts the repaired database in the place of the damaged one, of which *kept is the new name, malloc'ed. merged: NULL if there is none. */
int repair_exchange(const char *directory, const char *database, const char *merged, const char *repaired, char **kept,
                    struct error *err);
/* With what SQLite makes beside it. */
void repair_remove_database(const char *path);
/* Commits the transaction to the new database, open in `storage`. */
int repair_head(struct repair *repair, struct storage *storage);

#endif
