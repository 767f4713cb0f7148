/* Private to storage_sqlite*.c: rows of tidfs.db decoded, with their checksums verified, and encoded.
 * store/FORMAT.md has every table.
 *
 * Invariants
 *  1. A row that decodes had the right checksum; one that does not is logged, named by its key.
 *
 * Threads: as the connection. Ownership: decoded values own copies.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_ROW_H
#define TIDFS_STORE_STORAGE_SQLITE_ROW_H

#include "store/storage.h"
#include "store/storage_sqlite_connection.h"
#include "store/storage_sqlite_loss.h"

/* The one row of the table state. */
struct state_row {
    uint64_t next_oid, next_revision, next_body, next_subtree;
    uint64_t body_file, body_end; /* as struct body_end */
    uint64_t horizon;
    struct timespec packed_at;
    uint64_t last_seq,
        last_tid; /* of the newest transaction, both 0 if there is none; not in the row, but read with it */
};

int state_row_get(struct connection *connection, struct state_row *state);
/* Writes it, with STATEMENT_STATE_INSERT or STATEMENT_STATE_UPDATE. */
int state_row_put(struct connection *connection, enum statement how, const struct state_row *state);

/* A row of REVISION_COLUMNS, with the next revision's seq after them. */
int revision_row_decode(const struct connection *connection, sqlite3_stmt *statement, struct revision *revision);
int revision_row_insert(struct connection *connection, uint64_t id, uint64_t seq, const struct new_revision *revision);

/* A row of TRANSACTION_COLUMNS. first_revision may be NULL. */
int transaction_row_decode(const struct connection *connection, sqlite3_stmt *statement,
                           struct transaction *transaction, uint64_t *first_revision);
int transaction_row_insert(struct connection *connection, const struct transaction *transaction,
                           uint64_t first_revision);

/* An entry as it is in its row: name is not copied and lives until the statement is stepped or reset. */
struct entry_row {
    struct entry entry; /* died is UINT64_MAX in the table entry; name is not NUL-terminated */
    uint64_t level;     /* past_entry only */
};

/* A row of ENTRY_COLUMNS or PAST_ENTRY_COLUMNS. */
int entry_row_decode(const struct connection *connection, sqlite3_stmt *statement, struct entry_row *row);
int entry_row_insert(struct connection *connection, const struct new_entry *entry, uint64_t born);
int past_entry_row_insert(struct connection *connection, const struct entry *entry, uint64_t died);
/* floor(log2(died - born)) */
unsigned entry_level(uint64_t born, uint64_t died);

/* A row of name, tid, sum. */
int tag_row_decode(const struct connection *connection, sqlite3_stmt *statement, struct tag *tag);
int tag_row_put(struct connection *connection, const char *name, uint64_t tid);

int body_row_insert(struct connection *connection, const struct new_body *body);
/* The bytes live until the statement is stepped or reset. *sum is XXH3-64 of the bytes. */
int body_row_decode(const struct connection *connection, sqlite3_stmt *statement, const uint8_t **data, size_t *length,
                    uint64_t *sum);

/* A row of LOSS_COLUMNS. */
int loss_row_decode(const struct connection *connection, sqlite3_stmt *statement, struct loss *loss);
int loss_row_insert(struct connection *connection, uint64_t id, const struct loss *loss);

/* Whether values that have the right checksum are those of a row that the functions above would decode: for rows that were read in another way.
 * As many values as the table has columns, less the checksum; bytes are VALUE_BLOB. */
enum row_kind { ROW_STATE, ROW_TRANSACTION, ROW_REVISION, ROW_ENTRY, ROW_PAST_ENTRY, ROW_TAG, ROW_LOSS };
bool row_is_sane(enum row_kind kind, const struct value *values);
bool entry_name_is_sane(const char *name, size_t length);

#endif
