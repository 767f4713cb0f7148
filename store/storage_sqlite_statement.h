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
    STATEMENT_DEFINITIONS,
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
    STATEMENT_NAMES_OF_OBJECT,
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
    STATEMENT_ALL_ENTRIES,
    STATEMENT_SCAN_TRANSACTIONS, /* these six: what comes after a key */
    STATEMENT_SCAN_REVISIONS,
    STATEMENT_SCAN_BODIES,
    STATEMENT_SCAN_ENTRIES,
    STATEMENT_SCAN_PAST_ENTRIES,
    STATEMENT_SCAN_SUBTREES,
    STATEMENT_REVISION_SEQ,
    STATEMENT_INODE_REVISIONS,
    STATEMENT_ENTRY_OF_OBJECT,
    STATEMENT_PAST_ENTRY_OF_OBJECT,
    STATEMENT_PAST_ENTRY_NEWEST_DEATH,
    STATEMENT_DIRECTORY_EVENTS,
    STATEMENT_SUBTREE_MARK,

    /* what was lost, and repair */
    STATEMENT_ALL_LOSSES,
    STATEMENT_LOSS_INSERT,
    STATEMENT_META_REPLACE,
    STATEMENT_META_PUT,
    STATEMENT_ROOTS,
    STATEMENT_HINT_REVISION_TABLE,
    STATEMENT_HINT_ENTRY_TABLE,
    STATEMENT_HINT_ENTRY_INDEX,
    STATEMENT_HINT_TIME_TABLE,
    STATEMENT_HINT_REVISION_PUT,
    STATEMENT_HINT_REVISIONS,
    STATEMENT_HINT_ENTRY_PUT,
    STATEMENT_HINT_ENTRY,
    STATEMENT_HINT_NAMES_LOST,
    STATEMENT_HINT_TIME_PUT,
    STATEMENT_HINT_TIME,
    STATEMENT_SALVAGE_TRANSACTION,
    STATEMENT_SALVAGE_REVISION,
    STATEMENT_SALVAGE_BODY,
    STATEMENT_SALVAGE_ENTRY,
    STATEMENT_SALVAGE_PAST_ENTRY,
    STATEMENT_SALVAGE_TAG,
    STATEMENT_SALVAGE_MARK,
    STATEMENT_SALVAGE_LOSS,
    STATEMENT_HAS_ENTRY,
    STATEMENT_HAS_PAST_ENTRY,
    STATEMENT_DROP_ENDED_ENTRIES,
    STATEMENT_HIGHEST_SEQ,
    STATEMENT_HIGHEST_IDS,
    STATEMENT_REVISION_KEYS,
    STATEMENT_REVISION_KEYS_BY_SEQ,
    STATEMENT_LAST_REVISION,
    STATEMENT_HIGHEST_FIRST_REVISION,
    STATEMENT_COUNT_TRANSACTIONS,
    STATEMENT_ALL_SEQS,
    STATEMENT_REVISION_FROM,
    STATEMENT_INODES_BETWEEN,
    STATEMENT_FIRST_REVISION,
    STATEMENT_DIRECTORIES_NAMED,
    STATEMENT_INODES_MISSING,
    STATEMENT_DIRECTORIES_UNCHANGED,
    STATEMENT_OBJECTS_UNKNOWN,
    STATEMENT_FORGET_REVISION,
    STATEMENT_FORGET_TRANSACTION,
    STATEMENT_FORGET_REVISIONS_BEYOND, /* these seven: what none can have */
    STATEMENT_FORGET_TRANSACTIONS_BEYOND,
    STATEMENT_FORGET_ENTRIES_BEYOND,
    STATEMENT_FORGET_PAST_ENTRIES_BEYOND,
    STATEMENT_FORGET_TIMES_BEYOND,
    STATEMENT_FORGET_HINTED_SEQS_BEYOND,
    STATEMENT_FORGET_HINTED_IDS_BEYOND,
    STATEMENT_TRANSACTION_OBJECTS,
    STATEMENT_COUNT_LOSSES,
    STATEMENT_HIGHEST_HINTS,
    STATEMENT_HIGHEST_REVISION,
    STATEMENT_ALL_OBJECTS,
    STATEMENT_PAST_OF_OBJECT,
    STATEMENT_MARKS_WHOLE,
    STATEMENT_UNMARKED_PLACE,
    STATEMENT_PARENTS_AT,
    STATEMENT_MARK_TABLE,
    STATEMENT_MARK_MAKE,
    STATEMENT_MARKS_MISSING,
    STATEMENT_MARKS_KEEP,
    STATEMENT_MARKS_DROP,
    STATEMENT_MARKS_NEWEST,
    STATEMENT_MARKS_DELETE,
    STATEMENT_MARKS_WRITE,
    STATEMENT_OBJECTS,
    STATEMENT_LAST_DEATH,
    STATEMENT_HIGHEST_PART,
    STATEMENT_HIGHEST_INDEX,
    STATEMENT_ENTRIES_OF_ENDED,
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
