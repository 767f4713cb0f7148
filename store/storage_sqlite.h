/* Private to storage_sqlite*.c: the storage that keeps its rows in SQLite and large bodies in files.
 * store/FORMAT.md has the tables.
 *
 *   storage_sqlite.c             create, open, close, the state
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
#include "store/storage_sqlite_row.h"

struct sqlite_storage {
    struct storage base; /* first: a struct storage * is a struct sqlite_storage * */
    struct log *log;
    char *directory;
    char *path; /* of tidfs.db */
    bool writable;
    int lock; /* reader_lock_acquire's, while reading without the database's own locks on a full disk; else -1 */
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

/* Locks writer_mutex and gives the writing connection. On error nothing is locked. */
int sqlite_writer_take(struct sqlite_storage *storage, struct connection **writer);
/* Ends the transaction that the writer may be in: a rollback, which does nothing after a COMMIT. Unlocks. */
void sqlite_writer_give(struct sqlite_storage *storage, struct connection *writer);

/* storage_sqlite_schema.c */
#define FORMAT_VERSION 1
/* Makes the tables and the first rows in an empty database and leaves it in WAL mode. */
int sqlite_schema_create(struct connection *connection);
/* STORE_OK if it is a store of this format, with its state and newest transaction intact; else an error, told in err. */
int sqlite_schema_check(struct connection *connection, const char *directory, struct error *err);

/* storage_sqlite_read.c; each is described at its wrapper in storage.h */
int sqlite_read_before(struct connection *reader, uint64_t oid, uint64_t part, uint64_t before,
                       enum load_outcome *outcome, struct revision *revision); /* but for the horizon */
int sqlite_read_body_row(struct connection *reader, const struct body_ref *ref, uint8_t *buffer);
int sqlite_get_state(struct storage *storage, struct storage_state *state);
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
int sqlite_verify(struct storage *storage, const struct verify_options *options, uint64_t *problems);

#endif
