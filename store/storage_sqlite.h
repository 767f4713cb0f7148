/* Private to storage_sqlite*.c: the storage that keeps its rows in SQLite and large bodies in files.
 * store/FORMAT.md has the tables.
 *
 *   storage_sqlite.c             open, close, the state
 *   storage_sqlite_create.c      create
 *   storage_sqlite_schema.c      the tables; the check of format and version
 *   storage_sqlite_statement.c   all SQL; bind, step, reset
 *   storage_sqlite_connection.c  connections and the pool of readers
 *   storage_sqlite_row.c         rows encoded and decoded, checksums
 *   storage_sqlite_read.c        loads: revisions, bodies, transactions
 *   storage_sqlite_entry.c       lookups and listings
 *   storage_sqlite_commit.c      commit
 *   storage_sqlite_tag.c         tags
 *   storage_sqlite_checkpoint.c  the thread that moves the WAL into the database
 *   storage_sqlite_verify*.c     verify
 *   storage_sqlite_loss*.c       what was lost
 *   storage_sqlite_repair*.c     repair; with storage_sqlite_salvage.c and storage_sqlite_page.c, which read a damaged database
 *
 * Threads: readers take a connection each from the pool. Commits and tags share one writing connection.
 * Lock order: writer_mutex; then any one of the pool's, the body files' and the checkpointer's, which are leaves.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_H
#define TIDFS_STORE_STORAGE_SQLITE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/body.h"
#include "store/storage.h"
#include "store/storage_sqlite_checkpoint.h"
#include "store/storage_sqlite_connection.h"
#include "store/storage_sqlite_place.h"
#include "store/storage_sqlite_row.h"

struct sqlite_storage {
    struct storage base; /* first: a struct storage * is a struct sqlite_storage * */
    struct log *log;
    char *directory;
    char *path; /* of tidfs.db */
    struct place place;
    _Atomic bool displaced; /* as was told */
    bool writable;
    /* reader_lock_acquire's, while reading without the database's own locks on a disk that was full; else -1. Changed under writer_mutex. */
    _Atomic int lock;
    uint64_t format;
    struct loss_list losses;
    struct connection_pool readers;
    struct body_files *bodies;
    struct checkpointer *checkpointer; /* NULL unless writable */
    _Atomic uint64_t next_body;        /* the next id that body_reserve gives out */

    pthread_mutex_t writer_mutex;
    struct connection *writer; /* protected by writer_mutex; NULL until needed, and after a failure that broke it */
};

static inline struct sqlite_storage *sqlite_storage_of(struct storage *storage) {
    return (struct sqlite_storage *)storage;
}

/* STORE_LOCKED if another database was put in the place of this one, or it was removed, which is told in the log once: what is written would be lost, and what
 * is read may not be what there is. What waits can be tried again. Else STORE_OK, or an error, told too. */
int sqlite_check_place(struct sqlite_storage *storage);

/* Locks writer_mutex and gives the writing connection. On error nothing is locked. */
int sqlite_writer_take(struct sqlite_storage *storage, struct connection **writer);
/* Ends the transaction that the writer may be in: a rollback, which does nothing after a COMMIT. Unlocks. */
void sqlite_writer_give(struct sqlite_storage *storage, struct connection *writer);

/* For repair: storage_sqlite_open of a database with another path, which has a slash; its bodies are in `directory`. */
int sqlite_open_database(const char *directory, const char *database, const struct storage_open_options *options,
                         struct storage **out, struct error *err);
/* Makes a name durable by syncing the directory it stands in. Returns -1 and sets errno on failure. */
int sqlite_sync_directory(const char *directory);

/* storage_sqlite_schema.c */
#define FORMAT_VERSION     2 /* the newest one that is read */
#define FORMAT_VERSION_NEW 1 /* of a store that nothing was lost from; FORMAT_WITH_LOSSES else */
/* Makes the tables and the first rows in an empty database and leaves it in WAL mode. */
int sqlite_schema_create(struct connection *connection);
/* Adds the table for what was lost, and makes the store one of FORMAT_WITH_LOSSES. Within a transaction. */
int sqlite_schema_add_losses(struct connection *connection);
/* STORE_OK if it is a store of this format, with its state and newest transaction intact; else an error, told in err. */
int sqlite_schema_check(struct connection *connection, const char *directory, struct error *err);
/* For who is about to write: STORE_CORRUPT if the state would give out ids that are in use. */
int sqlite_ids_check(struct connection *connection, const char *directory, struct error *err);

/* storage_sqlite_read.c; each is described at its wrapper in storage.h */
int sqlite_read_before(struct connection *reader, uint64_t oid, uint64_t part, uint64_t before,
                       enum load_outcome *outcome, struct revision *revision); /* but for the horizon */
int sqlite_read_body_row(struct connection *reader, const struct body_ref *ref, uint8_t *buffer);
int sqlite_get_state(struct storage *storage, struct storage_state *state);
void sqlite_begin_reads(struct storage *storage);
void sqlite_end_reads(struct storage *storage);
int sqlite_load_before(struct storage *storage, uint64_t oid, uint64_t part, uint64_t before,
                       enum load_outcome *outcome, struct revision *revision);
int sqlite_load_revision(struct storage *storage, uint64_t id, struct revision *revision);
int sqlite_next_part(struct storage *storage, uint64_t oid, uint64_t from, uint64_t before, uint64_t *part);
int sqlite_subtree(struct storage *storage, uint64_t directory, uint64_t before, struct subtree *subtree);
int sqlite_changed(struct storage *storage, uint64_t after_seq, uint64_t until_seq, uint64_t **oids, size_t *count);
int sqlite_revisions_between(struct storage *storage, uint64_t after_seq, uint64_t until_seq, uint64_t *count);
int sqlite_body_read(struct storage *storage, const struct body_ref *ref, uint8_t *buffer);
int sqlite_transaction_before(struct storage *storage, uint64_t tid, struct transaction *transaction);
int sqlite_transaction_at(struct storage *storage, uint64_t seq, struct transaction *transaction);
int sqlite_touched(struct storage *storage, uint64_t oid, uint64_t before, uint64_t *seq);

/* storage_sqlite_entry.c */
int sqlite_lookup(struct storage *storage, uint64_t parent, const char *name, size_t length, uint64_t before,
                  struct entry *entry);
int sqlite_list(struct storage *storage, uint64_t parent, uint64_t before, struct entry_list *list);
int sqlite_list_from(struct storage *base, uint64_t parent, uint64_t before, uint64_t from, size_t most,
                     struct entry_list *list);
int sqlite_links(struct storage *storage, uint64_t oid, uint64_t before, struct entry_list *list);
int sqlite_named(struct storage *storage, uint64_t parent, const char *name, size_t length, struct entry_list *list);
/* What sqlite_list and sqlite_links do: `id` is STATEMENT_LIST with a directory or STATEMENT_LINKS with an oid as key. */
int sqlite_collect_entries(struct connection *reader, enum statement id, uint64_t key, uint64_t before,
                           struct entry_list *list);

/* storage_sqlite_commit.c */
int sqlite_commit(struct storage *storage, const struct commit *commit, struct transaction *done);

/* storage_sqlite_tag.c */
int sqlite_tag_get(struct storage *storage, const char *name, uint64_t *tid);
int sqlite_tag_set(struct storage *storage, const char *name, uint64_t tid, bool replace);
int sqlite_tag_delete(struct storage *storage, const char *name);
int sqlite_tag_list(struct storage *storage, struct tag **tags, size_t *count);

/* storage_sqlite_verify.c */
#define VERIFY_PATH_MAX 16384 /* longer paths are shown from their end */
/* The path that an object has, or had last: where it begins in `text`, or NULL if it hangs on nothing. */
const char *sqlite_newest_path(struct connection *reader, uint64_t oid, char text[VERIFY_PATH_MAX]);

/* storage_sqlite_loss_text.c: what losses mean for people. */
struct loss_teller {
    struct connection *reader;
    void (*told)(void *context, const struct verify_problem *what);
    void *context;
};
/* Tells each that has an id from `first` on, a sentence each; a great many that only follow from others in one sentence. */
void loss_tell_all(const struct loss_teller *teller, const struct loss_list *losses, uint64_t first);
/* A sentence about the newest path of an object; oid 0: about none. */
void loss_teller_say(const struct loss_teller *teller, uint64_t oid, const char *text);

int sqlite_verify(struct storage *storage, const struct verify_options *options, uint64_t *problems);
/* The same for repair: what can be put on record as lost is given to `note` (NULL: nothing is) and is no problem. */
int sqlite_verify_noting(struct storage *storage, const struct verify_options *options, uint64_t *problems,
                         void (*note)(void *context, const struct loss *loss), void *context);

/* ---- storage_sqlite_room.c ---- */

/* Goes over to reading with locks if the disk was full when the storage was opened and is not any more. Costs nothing else. No other connection
 * than those of the pool may be reading (sqlite_verify has one of its own). */
void sqlite_use_room(struct sqlite_storage *storage);

#endif
