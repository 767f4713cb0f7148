/* Private to storage_sqlite*.c: the SQL that the store runs, all of it, and the values that go in and out.
 *
 * Invariants
 *  1. SQL text is constant; whatever varies is bound. Statements are prepared once per connection, when first used.
 *  2. Who gets a statement resets it on every path; statement_run does so itself.
 *
 * Threads: a connection, and with it its statements, is used by one thread at a time.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_STATEMENT_H
#define TIDFS_STORE_STORAGE_SQLITE_STATEMENT_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

struct connection;

enum statement {
    STATEMENT_BEGIN,
    STATEMENT_BEGIN_WRITE,
    STATEMENT_COMMIT,
    STATEMENT_ROLLBACK,
    STATEMENT_APPLICATION_ID,
    STATEMENT_USER_VERSION,
    STATEMENT_META_GET,
    STATEMENT_META_SET,
    STATEMENT_STATE_GET,
    STATEMENT_STATE_INSERT,
    STATEMENT_STATE_UPDATE,
    STATEMENT_TRANSACTION_BEFORE,
    STATEMENT_TRANSACTION_AT,
    STATEMENT_TRANSACTION_INSERT,
    STATEMENT_REVISION_BEFORE,
    STATEMENT_REVISION_BY_ID,
    STATEMENT_REVISION_NEXT_SEQ,
    STATEMENT_REVISION_SEQ_BEFORE,
    STATEMENT_REVISION_HAS_DATA,
    STATEMENT_REVISION_NEXT_PART,
    STATEMENT_REVISION_INSERT,
    STATEMENT_OBJECT_EXISTS,
    STATEMENT_CHANGED,
    STATEMENT_REVISIONS_BETWEEN,
    STATEMENT_BODY_GET,
    STATEMENT_BODY_INSERT,
    STATEMENT_ENTRY_BY_NAME,
    STATEMENT_ENTRY_BY_INDEX,
    STATEMENT_ENTRY_INSERT,
    STATEMENT_ENTRY_DELETE,
    STATEMENT_ENTRY_PARENTS,
    STATEMENT_PAST_ENTRY_BY_NAME,
    STATEMENT_PAST_ENTRY_INSERT,
    STATEMENT_LIST,
    STATEMENT_LIST_FROM,
    STATEMENT_LINKS,
    STATEMENT_NAMED,
    STATEMENT_SUBTREE_BEFORE,
    STATEMENT_SUBTREE_INSERT,
    STATEMENT_TAG_GET,
    STATEMENT_TAG_PUT,
    STATEMENT_TAG_DELETE,
    STATEMENT_TAG_LIST,

    /* verify */
    STATEMENT_INTEGRITY_CHECK,
    STATEMENT_COUNT_ROWS,
    STATEMENT_LAST_SEQ,
    STATEMENT_ALL_TRANSACTIONS,
    STATEMENT_ALL_REVISIONS,
    STATEMENT_ALL_BODIES,
    STATEMENT_ALL_ENTRIES,
    STATEMENT_ALL_PAST_ENTRIES,
    STATEMENT_ALL_SUBTREES,
    STATEMENT_REVISION_SEQ,
    STATEMENT_INODE_REVISIONS,
    STATEMENT_ENTRY_OF_OBJECT,
    STATEMENT_PAST_ENTRY_OF_OBJECT,
    STATEMENT_PAST_ENTRY_NEWEST_DEATH,
    STATEMENT_DIRECTORY_EVENTS,
    STATEMENT_SUBTREE_MARK,
    STATEMENT_COUNT
};

/* One column of a row. */
struct value {
    enum { VALUE_NULL, VALUE_INTEGER, VALUE_BLOB, VALUE_TEXT } kind;
    uint64_t integer; /* as SQLite's signed integer, cast */
    const void *bytes;
    size_t length;
};

static inline struct value value_integer(uint64_t integer) {
    return (struct value){.kind = VALUE_INTEGER, .integer = integer};
}

/* NULL bytes make a NULL. */
static inline struct value value_blob(const void *bytes, size_t length) {
    return (struct value){.kind = bytes ? VALUE_BLOB : VALUE_NULL, .bytes = bytes, .length = length};
}

static inline struct value value_text(const char *bytes, size_t length) {
    return (struct value){.kind = VALUE_TEXT, .bytes = bytes, .length = length};
}

/* A row's checksum over all its other columns in their order; store/FORMAT.md, "Checksums of rows". */
uint64_t row_sum(const struct value *values, size_t count);

/* The statement, reset, with values bound to ?1, ?2…; their bytes must live until it is reset. */
int statement_get(struct connection *connection, enum statement id, const struct value *values, size_t count,
                  sqlite3_stmt **statement);
/* STORE_OK: a row. STORE_ABSENT: no more rows. Errors are logged. */
int statement_step(struct connection *connection, sqlite3_stmt *statement);
/* Also forgets the bound values. NULL is legal. */
void statement_reset(sqlite3_stmt *statement);
/* Get, step to the end, reset. For statements that return no rows. */
int statement_run(struct connection *connection, enum statement id, const struct value *values, size_t count);
/* Get, step once, reset; the first row's first column, an integer. STORE_ABSENT if there is no row or it is NULL. */
int statement_integer(struct connection *connection, enum statement id, const struct value *values, size_t count,
                      uint64_t *integer);

static inline uint64_t column_integer(sqlite3_stmt *statement, int column) {
    return (uint64_t)sqlite3_column_int64(statement, column);
}

/* Any type of column; the bytes live until the next step or reset. */
struct value column_value(sqlite3_stmt *statement, int column);

#endif
