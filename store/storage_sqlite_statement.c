#include "store/storage_sqlite_statement.h"

#include <assert.h>
#include <endian.h>
#include <xxhash.h>

#include "store/storage_sqlite_connection.h"

#define COLUMNS_MAX 16

/* Columns in the order in which their decoders and checksums take them. */
#define REVISION_COLUMNS    "r.id, r.oid, r.part, r.seq, r.data, r.sum"
#define TRANSACTION_COLUMNS "seq, tid, base, wall_s, wall_ns, objects, first_revision, user, message, sum"
#define ENTRY_COLUMNS       "parent, idx, name, oid, type, born, NULL, NULL, sum"
#define PAST_ENTRY_COLUMNS  "parent, idx, name, oid, type, born, died, level, sum"
#define STATE_COLUMNS                                                                                                  \
    "next_oid, next_revision, next_body, next_subtree, body_file, body_end, horizon, packed_s, packed_ns, sum"

/* first_revision of the first transaction after one; NULL if there is none. */
#define FIRST_REVISION_AFTER(seq) "(SELECT first_revision FROM txn WHERE seq > " seq " ORDER BY seq LIMIT 1)"

static const char *const sql[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN",
    [STATEMENT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",

    [STATEMENT_APPLICATION_ID] = "PRAGMA application_id",
    [STATEMENT_USER_VERSION] = "PRAGMA user_version",
    [STATEMENT_META_GET] = "SELECT value FROM meta WHERE key = ?1",
    [STATEMENT_META_SET] = "INSERT INTO meta(key, value) VALUES(?1, ?2)",

    [STATEMENT_STATE_GET] = "SELECT " STATE_COLUMNS ", (SELECT max(seq) FROM txn),"
                            " (SELECT tid FROM txn ORDER BY seq DESC LIMIT 1) FROM state WHERE id = 1",
    [STATEMENT_STATE_INSERT] =
        "INSERT INTO state(id, " STATE_COLUMNS ") VALUES(1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [STATEMENT_STATE_UPDATE] = "UPDATE state SET next_oid = ?1, next_revision = ?2, next_body = ?3, next_subtree = ?4,"
                               " body_file = ?5, body_end = ?6, horizon = ?7, packed_s = ?8, packed_ns = ?9, sum = ?10"
                               " WHERE id = 1",

    [STATEMENT_TRANSACTION_BEFORE] =
        "SELECT " TRANSACTION_COLUMNS " FROM txn WHERE tid <= ?1 ORDER BY tid DESC LIMIT 1",
    [STATEMENT_TRANSACTION_AT] = "SELECT " TRANSACTION_COLUMNS " FROM txn WHERE seq = ?1",
    [STATEMENT_TRANSACTION_INSERT] =
        "INSERT INTO txn(" TRANSACTION_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",

    /* The version that a reader before ?3 sees, and when the next one came: one snapshot for both. */
    [STATEMENT_REVISION_BEFORE] =
        "SELECT " REVISION_COLUMNS ","
        " (SELECT n.seq FROM revision n WHERE n.oid = ?1 AND n.part = ?2 AND n.seq >= ?3 ORDER BY n.seq LIMIT 1)"
        " FROM revision r WHERE r.oid = ?1 AND r.part = ?2 AND r.seq < ?3 ORDER BY r.seq DESC LIMIT 1",
    [STATEMENT_REVISION_BY_ID] = "SELECT " REVISION_COLUMNS ","
                                 " (SELECT n.seq FROM revision n WHERE n.oid = r.oid AND n.part = r.part AND n.seq > "
                                 "r.seq ORDER BY n.seq LIMIT 1)"
                                 " FROM revision r WHERE r.id = ?1",
    [STATEMENT_REVISION_NEXT_SEQ] =
        "SELECT seq FROM revision WHERE oid = ?1 AND part = ?2 AND seq >= ?3 ORDER BY seq LIMIT 1",
    [STATEMENT_REVISION_SEQ_BEFORE] =
        "SELECT seq FROM revision WHERE oid = ?1 AND part = ?2 AND seq < ?3 ORDER BY seq DESC LIMIT 1",
    [STATEMENT_REVISION_HAS_DATA] = "SELECT data IS NOT NULL FROM revision WHERE oid = ?1 AND part = ?2 AND seq < ?3"
                                    " ORDER BY seq DESC LIMIT 1",
    [STATEMENT_REVISION_NEXT_PART] = "SELECT part FROM revision WHERE oid = ?1 AND part >= ?2 ORDER BY part LIMIT 1",
    [STATEMENT_REVISION_INSERT] = "INSERT INTO revision(id, oid, part, seq, data, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [STATEMENT_OBJECT_EXISTS] = "SELECT 1 FROM revision WHERE oid = ?1 LIMIT 1",
    [STATEMENT_CHANGED] = "SELECT DISTINCT oid FROM revision WHERE id >=" FIRST_REVISION_AFTER(
        "?1") " AND id < ifnull(" FIRST_REVISION_AFTER("?2") ", 9223372036854775807) ORDER BY id",
    [STATEMENT_REVISIONS_BETWEEN] = "SELECT max(0, ifnull(" FIRST_REVISION_AFTER(
        "?2") ","
              " (SELECT max(id) + 1 FROM revision)) - " FIRST_REVISION_AFTER("?1") ")",

    [STATEMENT_BODY_GET] = "SELECT id, data, sum FROM body WHERE id = ?1",
    [STATEMENT_BODY_INSERT] = "INSERT INTO body(id, data, sum) VALUES(?1, ?2, ?3)",

    [STATEMENT_ENTRY_BY_NAME] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE parent = ?1 AND name = ?2",
    [STATEMENT_ENTRY_BY_INDEX] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE parent = ?1 AND idx = ?2",
    [STATEMENT_ENTRY_INSERT] =
        "INSERT INTO entry(parent, idx, name, oid, type, born, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STATEMENT_ENTRY_DELETE] = "DELETE FROM entry WHERE parent = ?1 AND idx = ?2",
    [STATEMENT_ENTRY_PARENTS] = "SELECT parent FROM entry WHERE oid = ?1",
    /* Entries of one name never overlap in time, so only the newest born before can be alive. */
    [STATEMENT_PAST_ENTRY_BY_NAME] = "SELECT " PAST_ENTRY_COLUMNS " FROM past_entry"
                                     " WHERE parent = ?1 AND name = ?2 AND born < ?3 ORDER BY born DESC LIMIT 1",
    [STATEMENT_PAST_ENTRY_INSERT] = "INSERT INTO past_entry(" PAST_ENTRY_COLUMNS ")"
                                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    /* An ended entry of level k lived less than `width` = 2^(k+1) transactions, so it is visible before ?2 only if it
     * was born in the last `width` before ?2. Per level that is a short range, however much came and went. Nothing
     * ended is visible at the head, so there the levels are left out. */
    [STATEMENT_LIST] = "WITH RECURSIVE span(level, width) AS ("
                       " SELECT 0, 2 WHERE ?2 <= (SELECT max(seq) FROM txn)"
                       " UNION ALL"
                       " SELECT level + 1, width * 2 FROM span WHERE width <= (SELECT max(seq) FROM txn))"
                       " SELECT " ENTRY_COLUMNS " FROM entry WHERE parent = ?1 AND born < ?2"
                       " UNION ALL"
                       " SELECT p.parent, p.idx, p.name, p.oid, p.type, p.born, p.died, p.level, p.sum"
                       " FROM span CROSS JOIN past_entry p"
                       " WHERE p.parent = ?1 AND p.level = span.level AND p.born >= ?2 - span.width AND p.born < ?2"
                       " AND p.died >= ?2",
    /* In order of indexes, so that a part costs a part: of the ended entries, those that came and went in between too. */
    [STATEMENT_LIST_FROM] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE parent = ?1 AND idx >= ?3 AND born < ?2"
                            " UNION ALL"
                            " SELECT " PAST_ENTRY_COLUMNS " FROM past_entry"
                            " WHERE parent = ?1 AND idx >= ?3 AND born < ?2 AND died >= ?2"
                            " ORDER BY 2 LIMIT ?4",
    [STATEMENT_LINKS] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE oid = ?1 AND born < ?2"
                        " UNION ALL"
                        " SELECT " PAST_ENTRY_COLUMNS " FROM past_entry WHERE oid = ?1 AND born < ?2 AND died >= ?2",
    [STATEMENT_NAMED] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE parent = ?1 AND name = ?2"
                        " UNION ALL"
                        " SELECT " PAST_ENTRY_COLUMNS " FROM past_entry WHERE parent = ?1 AND name = ?2",

    [STATEMENT_SUBTREE_BEFORE] =
        "SELECT s.id, s.seq, (SELECT n.seq FROM subtree n WHERE n.dir = ?1 AND n.seq >= ?2 ORDER BY n.seq LIMIT 1)"
        " FROM subtree s WHERE s.dir = ?1 AND s.seq < ?2 ORDER BY s.seq DESC LIMIT 1",
    [STATEMENT_SUBTREE_INSERT] = "INSERT INTO subtree(id, dir, seq) VALUES(?1, ?2, ?3)",

    [STATEMENT_TAG_GET] = "SELECT name, tid, sum FROM tag WHERE name = ?1",
    [STATEMENT_TAG_PUT] = "INSERT OR REPLACE INTO tag(name, tid, sum) VALUES(?1, ?2, ?3)",
    [STATEMENT_TAG_DELETE] = "DELETE FROM tag WHERE name = ?1",
    [STATEMENT_TAG_LIST] = "SELECT name, tid, sum FROM tag ORDER BY name",

    [STATEMENT_INTEGRITY_CHECK] = "PRAGMA integrity_check(100)",
    [STATEMENT_COUNT_ROWS] = "SELECT (SELECT count(*) FROM txn) + (SELECT count(*) FROM revision)"
                             " + (SELECT count(*) FROM body) + (SELECT count(*) FROM entry)"
                             " + (SELECT count(*) FROM past_entry) + (SELECT count(*) FROM subtree)",
    [STATEMENT_LAST_SEQ] = "SELECT max(seq) FROM txn",
    [STATEMENT_ALL_TRANSACTIONS] = "SELECT " TRANSACTION_COLUMNS " FROM txn ORDER BY seq",
    [STATEMENT_ALL_REVISIONS] = "SELECT " REVISION_COLUMNS ", NULL FROM revision r ORDER BY r.id",
    [STATEMENT_ALL_BODIES] = "SELECT id, data, sum FROM body ORDER BY id",
    [STATEMENT_ALL_ENTRIES] = "SELECT " ENTRY_COLUMNS " FROM entry ORDER BY parent, idx",
    [STATEMENT_ALL_PAST_ENTRIES] = "SELECT " PAST_ENTRY_COLUMNS " FROM past_entry ORDER BY parent, name, born",
    [STATEMENT_ALL_SUBTREES] = "SELECT id, dir, seq FROM subtree ORDER BY id",
    [STATEMENT_REVISION_SEQ] = "SELECT seq FROM revision WHERE id = ?1",
    [STATEMENT_INODE_REVISIONS] = "SELECT " REVISION_COLUMNS ", NULL FROM revision r WHERE oid = ?1 AND part = 0"
                                  " ORDER BY seq",
    [STATEMENT_ENTRY_OF_OBJECT] = "SELECT parent, name FROM entry WHERE oid = ?1 ORDER BY born, parent, idx LIMIT 1",
    [STATEMENT_PAST_ENTRY_OF_OBJECT] = "SELECT parent, name FROM past_entry WHERE oid = ?1 ORDER BY born DESC LIMIT 1",
    [STATEMENT_PAST_ENTRY_NEWEST_DEATH] = "SELECT died FROM past_entry WHERE parent = ?1 AND name = ?2"
                                          " ORDER BY born DESC LIMIT 1",
    /* Per transaction: how many entries and subdirectories it added or ended, and the highest index it added. */
    [STATEMENT_DIRECTORY_EVENTS] =
        "SELECT seq, sum(step), sum(step * directory), max(idx) FROM ("
        "SELECT born AS seq, 1 AS step, type = 16384 AS directory, idx FROM entry WHERE parent = ?1"
        " UNION ALL SELECT born, 1, type = 16384, idx FROM past_entry WHERE parent = ?1"
        " UNION ALL SELECT died, -1, type = 16384, 0 FROM past_entry WHERE parent = ?1)"
        " GROUP BY seq ORDER BY seq",
    [STATEMENT_SUBTREE_MARK] = "SELECT 1 FROM subtree WHERE dir = ?1 AND seq = ?2",
};

uint64_t row_sum(const struct value *values, size_t count) {
    uint64_t words[2 * COLUMNS_MAX];
    size_t length = 0;
    assert(count <= COLUMNS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (values[i].kind == VALUE_INTEGER) {
            words[length++] = htole64(values[i].integer);
        } else if (values[i].kind == VALUE_NULL) {
            words[length++] = UINT64_MAX;
        } else {
            words[length++] = htole64(values[i].length);
            words[length++] = htole64(XXH3_64bits(values[i].bytes, values[i].length));
        }
    }
    return XXH3_64bits(words, length * sizeof words[0]);
}

static int bind(sqlite3_stmt *statement, int parameter, const struct value *value) {
    /* A pointer to something, for a NULL one would bind a NULL where empty bytes are meant. */
    const void *bytes = value->length > 0 ? value->bytes : "";
    switch (value->kind) {
    case VALUE_NULL:
        return sqlite3_bind_null(statement, parameter);
    case VALUE_INTEGER:
        return sqlite3_bind_int64(statement, parameter, (sqlite3_int64)value->integer);
    case VALUE_BLOB:
        return sqlite3_bind_blob64(statement, parameter, bytes, value->length, SQLITE_STATIC);
    case VALUE_TEXT:
        return sqlite3_bind_text64(statement, parameter, bytes, value->length, SQLITE_STATIC, SQLITE_UTF8);
    }
    return SQLITE_MISUSE;
}

int statement_get(struct connection *connection, enum statement id, const struct value *values, size_t count,
                  sqlite3_stmt **out) {
    sqlite3_stmt *statement = connection->statements[id];
    *out = NULL;
    if (!statement) {
        int result = sqlite3_prepare_v3(connection->db, sql[id], -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
        if (result != SQLITE_OK)
            return connection_failed(connection, result, "prepare", sql[id]);
        connection->statements[id] = statement;
    }
    for (size_t i = 0; i < count; i++) {
        int result = bind(statement, (int)i + 1, &values[i]);
        if (result != SQLITE_OK) {
            statement_reset(statement);
            return connection_failed(connection, result, "bind", sql[id]);
        }
    }
    *out = statement;
    return STORE_OK;
}

int statement_step(struct connection *connection, sqlite3_stmt *statement) {
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW)
        return STORE_OK;
    if (result == SQLITE_DONE)
        return STORE_ABSENT;
    return connection_failed(connection, result, "run", sqlite3_sql(statement));
}

void statement_reset(sqlite3_stmt *statement) {
    if (statement) {
        (void)sqlite3_reset(statement); /* repeats the error of the step, which was seen there */
        (void)sqlite3_clear_bindings(statement);
    }
}

int statement_run(struct connection *connection, enum statement id, const struct value *values, size_t count) {
    sqlite3_stmt *statement;
    int rc = statement_get(connection, id, values, count, &statement);
    while (rc == STORE_OK)
        rc = statement_step(connection, statement);
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

int statement_integer(struct connection *connection, enum statement id, const struct value *values, size_t count,
                      uint64_t *integer) {
    sqlite3_stmt *statement;
    int rc = statement_get(connection, id, values, count, &statement);
    if (rc == STORE_OK)
        rc = statement_step(connection, statement);
    if (rc == STORE_OK && sqlite3_column_type(statement, 0) != SQLITE_INTEGER)
        rc = STORE_ABSENT;
    if (rc == STORE_OK)
        *integer = column_integer(statement, 0);
    statement_reset(statement);
    return rc;
}

struct value column_value(sqlite3_stmt *statement, int column) {
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return value_integer(column_integer(statement, column));
    case SQLITE_NULL:
        return (struct value){.kind = VALUE_NULL};
    default: {
        const void *bytes = sqlite3_column_blob(statement, column);
        size_t length = (size_t)sqlite3_column_bytes(statement, column);
        return (struct value){.kind = VALUE_BLOB, .bytes = length > 0 ? bytes : "", .length = length};
    }
    }
}
