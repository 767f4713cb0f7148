#include "store/storage_sqlite_statement.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <xxhash.h>

#include "store/storage_sqlite_connection.h"

#define COLUMNS_MAX 16

/* Columns in the order in which their decoders and checksums take them. */
#define REVISION_COLUMNS    "r.id, r.oid, r.part, r.seq, r.data, r.sum"
#define TRANSACTION_COLUMNS "seq, tid, base, wall_s, wall_ns, objects, first_revision, user, message, sum"
#define ENTRY_COLUMNS       "parent, idx, name, oid, type, born, NULL, NULL, sum"
#define PAST_ENTRY_COLUMNS  "parent, idx, name, oid, type, born, died, level, sum"
#define LOSS_COLUMNS        "id, kind, oid, part, seq, until, sum"
#define STATE_COLUMNS                                                                                                  \
    "next_oid, next_revision, next_body, next_subtree, body_file, body_end, horizon, packed_s, packed_ns, sum"

/* A column of bytes; NULL where they are more than can be read, and the row's checksum then tells that it is damaged. */
#define SQL_OF(macro)    SQL_OF_(macro)
#define SQL_OF_(tokens)  #tokens
#define LOADABLE(column) "CASE WHEN length(" column ") <= " SQL_OF(CONNECTION_ROW_BYTES) " THEN " column " END"

/* first_revision of the first transaction after one; NULL if there is none. */
#define FIRST_REVISION_AFTER(seq) "(SELECT first_revision FROM txn WHERE seq > " seq " ORDER BY seq LIMIT 1)"

static const char *const sql[STATEMENT_COUNT] = {
    [STATEMENT_BEGIN] = "BEGIN",
    [STATEMENT_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_ROLLBACK] = "ROLLBACK",

    [STATEMENT_APPLICATION_ID] = "PRAGMA application_id",
    [STATEMENT_USER_VERSION] = "PRAGMA user_version",
    /* Indexes that SQLite makes by itself have no text. */
    [STATEMENT_DEFINITIONS] = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid",
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
    [STATEMENT_REVISION_NEXT_PART] = "SELECT part FROM revision WHERE oid = ?1 AND part > ?2 ORDER BY part LIMIT 1",
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
    [STATEMENT_NAMES_OF_OBJECT] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE oid = ?1"
                                  " UNION ALL"
                                  " SELECT " PAST_ENTRY_COLUMNS " FROM past_entry WHERE oid = ?1",
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
    [STATEMENT_ALL_ENTRIES] = "SELECT " ENTRY_COLUMNS " FROM entry ORDER BY parent, idx",
    [STATEMENT_SCAN_TRANSACTIONS] = "SELECT " TRANSACTION_COLUMNS " FROM txn WHERE seq > ?1 ORDER BY seq",
    [STATEMENT_SCAN_REVISIONS] =
        "SELECT r.id, r.oid, r.part, r.seq, " LOADABLE("r.data") ", r.sum, NULL"
                                                                 " FROM revision r WHERE r.id > ?1 ORDER BY r.id",
    [STATEMENT_SCAN_BODIES] = "SELECT id, " LOADABLE("data") ", sum FROM body WHERE id > ?1 ORDER BY id",
    [STATEMENT_SCAN_ENTRIES] = "SELECT " ENTRY_COLUMNS " FROM entry WHERE (parent, idx) > (?1, ?2)"
                               " ORDER BY parent, idx",
    [STATEMENT_SCAN_PAST_ENTRIES] = "SELECT " PAST_ENTRY_COLUMNS " FROM past_entry"
                                    " WHERE (parent, name, born, idx) > (?1, ?2, ?3, ?4)"
                                    " ORDER BY parent, name, born, idx",
    [STATEMENT_SCAN_SUBTREES] = "SELECT id, dir, seq FROM subtree WHERE id > ?1 ORDER BY id",
    [STATEMENT_REVISION_SEQ] = "SELECT seq FROM revision WHERE id = ?1",
    [STATEMENT_INODE_REVISIONS] = "SELECT " REVISION_COLUMNS ", NULL FROM revision r WHERE oid = ?1 AND part = 0"
                                  " ORDER BY seq",
    [STATEMENT_ENTRY_OF_OBJECT] = "SELECT parent, name FROM entry WHERE oid = ?1 ORDER BY born, parent, idx LIMIT 1",
    [STATEMENT_PAST_ENTRY_OF_OBJECT] = "SELECT parent, name FROM past_entry WHERE oid = ?1 ORDER BY born DESC LIMIT 1",
    [STATEMENT_PAST_ENTRY_NEWEST_DEATH] = "SELECT died FROM past_entry WHERE parent = ?1 AND name = ?2"
                                          " ORDER BY born DESC LIMIT 1",
    /* Per transaction: how many entries and subdirectories it added or ended, and the highest index it added. */
    [STATEMENT_DIRECTORY_EVENTS] =
        "SELECT seq, sum(step), sum(step * directory), max(idx), sum(step > 0) FROM ("
        "SELECT born AS seq, 1 AS step, type = 16384 AS directory, idx FROM entry WHERE parent = ?1"
        " UNION ALL SELECT born, 1, type = 16384, idx FROM past_entry WHERE parent = ?1"
        " UNION ALL SELECT died, -1, type = 16384, 0 FROM past_entry WHERE parent = ?1)"
        " GROUP BY seq ORDER BY seq",
    [STATEMENT_SUBTREE_MARK] = "SELECT 1 FROM subtree WHERE dir = ?1 AND seq = ?2",

    [STATEMENT_ALL_LOSSES] = "SELECT " LOSS_COLUMNS " FROM loss ORDER BY kind, oid, seq",
    [STATEMENT_LOSS_INSERT] = "INSERT INTO loss(" LOSS_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STATEMENT_META_PUT] = "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)",
    [STATEMENT_META_REPLACE] = "UPDATE meta SET value = ?2 WHERE key = ?1",
    [STATEMENT_ROOTS] = "SELECT rootpage, name FROM sqlite_schema WHERE rootpage > 0",
    /* What indexes and damaged rows tell of rows that are lost. */
    [STATEMENT_HINT_REVISION_TABLE] =
        "CREATE TEMP TABLE hint_revision(id INTEGER PRIMARY KEY, oid, part, seq, certain)",
    [STATEMENT_HINT_ENTRY_TABLE] =
        "CREATE TEMP TABLE hint_entry(parent, idx, name, oid, PRIMARY KEY(parent, idx)) WITHOUT ROWID",
    [STATEMENT_HINT_ENTRY_INDEX] = "CREATE INDEX temp.hint_entry_oid ON hint_entry(oid)",
    [STATEMENT_HINT_TIME_TABLE] = "CREATE TEMP TABLE hint_time(seq INTEGER PRIMARY KEY, tid)",
    [STATEMENT_HINT_REVISION_PUT] = "INSERT INTO hint_revision(id, oid, part, seq, certain)"
                                    " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(id) DO UPDATE"
                                    " SET oid = ?2, part = ?3, seq = ?4, certain = ?5 WHERE ?5 > certain",
    [STATEMENT_HINT_REVISIONS] =
        "SELECT id, oid, part, seq, certain FROM hint_revision WHERE id >= ?1 AND id < ?2 ORDER BY id",
    [STATEMENT_HINT_ENTRY_PUT] = "INSERT INTO hint_entry(parent, idx, name, oid) VALUES(?1, ?2, ?3, ?4)"
                                 " ON CONFLICT(parent, idx) DO UPDATE SET name = ifnull(name, excluded.name),"
                                 " oid = ifnull(oid, excluded.oid)",
    [STATEMENT_HINT_ENTRY] =
        "SELECT parent, name FROM hint_entry WHERE oid = ?1 AND name IS NOT NULL ORDER BY idx DESC LIMIT 1",
    [STATEMENT_HINT_NAMES_LOST] =
        "SELECT parent, name FROM hint_entry h WHERE name IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.parent = h.parent AND e.name = h.name)"
        " ORDER BY parent, name",
    [STATEMENT_HINT_TIME_PUT] = "INSERT OR IGNORE INTO hint_time(seq, tid) VALUES(?1, ?2)",
    [STATEMENT_HINT_TIME] = "SELECT tid FROM hint_time WHERE seq = ?1",
    [STATEMENT_SALVAGE_TRANSACTION] =
        "INSERT OR IGNORE INTO txn(" TRANSACTION_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    [STATEMENT_SALVAGE_REVISION] =
        "INSERT OR IGNORE INTO revision(id, oid, part, seq, data, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [STATEMENT_SALVAGE_BODY] = "INSERT OR IGNORE INTO body(id, data, sum) VALUES(?1, ?2, ?3)",
    [STATEMENT_SALVAGE_ENTRY] =
        "INSERT OR REPLACE INTO entry(parent, idx, name, oid, type, born, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STATEMENT_SALVAGE_PAST_ENTRY] =
        "INSERT INTO past_entry(" PAST_ENTRY_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT(parent, idx) DO UPDATE SET died = ?7, level = ?8, sum = ?9 WHERE sum <> ?9",
    [STATEMENT_SALVAGE_TAG] = "INSERT OR IGNORE INTO tag(name, tid, sum) VALUES(?1, ?2, ?3)",
    [STATEMENT_SALVAGE_MARK] = "INSERT OR IGNORE INTO subtree(id, dir, seq) VALUES(?1, ?2, ?3)",
    [STATEMENT_SALVAGE_LOSS] = "INSERT OR IGNORE INTO loss(" LOSS_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [STATEMENT_HAS_ENTRY] = "SELECT 1 FROM entry WHERE parent = ?1 AND idx = ?2"
                            " UNION ALL SELECT 1 FROM past_entry WHERE parent = ?1 AND idx = ?2",
    [STATEMENT_HAS_PAST_ENTRY] = "SELECT 1 FROM past_entry WHERE parent = ?1 AND idx = ?2",
    [STATEMENT_DROP_ENDED_ENTRIES] =
        "DELETE FROM entry WHERE EXISTS"
        " (SELECT 1 FROM past_entry p WHERE p.parent = entry.parent AND p.idx = entry.idx)",
    [STATEMENT_HIGHEST_SEQ] = "SELECT max(ifnull((SELECT max(seq) FROM txn), 0),"
                              " ifnull((SELECT max(seq) FROM revision), 0), ifnull((SELECT max(born) FROM entry), 0),"
                              " ifnull((SELECT max(died) FROM past_entry), 0),"
                              " ifnull((SELECT max(seq) FROM hint_time), 0),"
                              " ifnull((SELECT max(seq) FROM hint_revision WHERE certain), 0))",
    [STATEMENT_HIGHEST_IDS] = "SELECT max(ifnull((SELECT max(oid) FROM revision), 0),"
                              " ifnull((SELECT max(oid) FROM entry), 0), ifnull((SELECT max(oid) FROM past_entry), 0),"
                              " ifnull((SELECT max(parent) FROM entry), 0),"
                              " ifnull((SELECT max(parent) FROM past_entry), 0)),"
                              " (SELECT max(id) FROM revision), (SELECT max(id) FROM body),"
                              " (SELECT max(id) FROM subtree)",
    [STATEMENT_REVISION_KEYS] = "SELECT id, oid, part, seq FROM revision ORDER BY id",
    [STATEMENT_REVISION_KEYS_BY_SEQ] = "SELECT id, oid, part, seq FROM revision ORDER BY seq, id",
    [STATEMENT_LAST_REVISION] = "SELECT id, seq FROM revision ORDER BY id DESC LIMIT 1",
    [STATEMENT_HIGHEST_FIRST_REVISION] = "SELECT max(first_revision) FROM txn WHERE first_revision <= ?1",
    [STATEMENT_COUNT_TRANSACTIONS] = "SELECT count(*) FROM txn",
    [STATEMENT_ALL_SEQS] = "SELECT seq FROM txn UNION SELECT seq FROM revision ORDER BY 1",
    [STATEMENT_REVISION_FROM] = "SELECT id, seq FROM revision WHERE id >= ?1 ORDER BY id LIMIT 1",
    [STATEMENT_INODES_BETWEEN] = "SELECT count(*) FROM revision WHERE id >= ?1 AND id < ?2 AND part = 0",
    [STATEMENT_FIRST_REVISION] = "SELECT first_revision FROM txn WHERE seq = ?1",
    [STATEMENT_DIRECTORIES_NAMED] = "SELECT oid FROM entry WHERE type = 16384 UNION SELECT oid FROM past_entry"
                                    " WHERE type = 16384 UNION SELECT parent FROM entry"
                                    " UNION SELECT parent FROM past_entry",
    [STATEMENT_INODES_MISSING] = "SELECT DISTINCT r.oid, r.seq FROM revision r WHERE r.part > 0 AND NOT EXISTS"
                                 " (SELECT 1 FROM revision i WHERE i.oid = r.oid AND i.part = 0 AND i.seq = r.seq)",
    [STATEMENT_DIRECTORIES_UNCHANGED] =
        "SELECT parent, seq FROM (SELECT parent, born AS seq FROM entry UNION SELECT parent, born FROM past_entry"
        " UNION SELECT parent, died FROM past_entry) e WHERE NOT EXISTS"
        " (SELECT 1 FROM revision i WHERE i.oid = e.parent AND i.part = 0 AND i.seq = e.seq)",
    [STATEMENT_OBJECTS_UNKNOWN] = "SELECT oid, seq FROM (SELECT oid, min(born) AS seq FROM (SELECT oid, born FROM entry"
                                  " UNION SELECT oid, born FROM past_entry) GROUP BY oid) e WHERE NOT EXISTS"
                                  " (SELECT 1 FROM revision i WHERE i.oid = e.oid AND i.part = 0 AND i.seq <= e.seq)",
    [STATEMENT_FORGET_REVISION] = "DELETE FROM revision WHERE id = ?1",
    [STATEMENT_FORGET_TRANSACTION] = "DELETE FROM txn WHERE seq = ?1",
    [STATEMENT_FORGET_REVISIONS_BEYOND] = "DELETE FROM revision WHERE seq > ?1",
    [STATEMENT_FORGET_TRANSACTIONS_BEYOND] = "DELETE FROM txn WHERE seq > ?1",
    [STATEMENT_FORGET_ENTRIES_BEYOND] = "DELETE FROM entry WHERE born > ?1",
    [STATEMENT_FORGET_PAST_ENTRIES_BEYOND] = "DELETE FROM past_entry WHERE died > ?1",
    [STATEMENT_FORGET_TIMES_BEYOND] = "DELETE FROM hint_time WHERE seq > ?1",
    /* The revision was there all the same. */
    [STATEMENT_FORGET_HINTED_SEQS_BEYOND] = "UPDATE hint_revision SET seq = 0 WHERE seq > ?1",
    [STATEMENT_FORGET_HINTED_IDS_BEYOND] = "DELETE FROM hint_revision WHERE id > ?1",
    [STATEMENT_TRANSACTION_OBJECTS] = "SELECT objects FROM txn WHERE seq = ?1",
    [STATEMENT_COUNT_LOSSES] = "SELECT count(*) FROM loss",
    [STATEMENT_HIGHEST_HINTS] = "SELECT ifnull(max(oid), 0), ifnull(max(id), 0), 0, 0 FROM hint_revision WHERE certain",
    [STATEMENT_HIGHEST_REVISION] = "SELECT max(ifnull((SELECT max(id) FROM revision), 0),"
                                   " ifnull((SELECT max(id) FROM hint_revision WHERE certain), 0))",
    [STATEMENT_ALL_OBJECTS] = "SELECT oid FROM revision UNION SELECT oid FROM entry UNION SELECT parent FROM entry"
                              " UNION SELECT oid FROM past_entry UNION SELECT parent FROM past_entry"
                              " UNION SELECT 1 ORDER BY 1",
    [STATEMENT_PAST_OF_OBJECT] = "SELECT seq, part = 0, part = 0 AND data IS NULL FROM revision WHERE oid = ?1"
                                 " ORDER BY seq",
    /* Whether all marks of transaction ?1 are there: none is missing between them and those beside them, or ?2, the next to be made. */
    [STATEMENT_MARKS_WHOLE] =
        "SELECT n = high - low + 1 AND (low = 1 OR EXISTS (SELECT 1 FROM subtree WHERE id = low - 1))"
        " AND (high + 1 = ?2 OR EXISTS (SELECT 1 FROM subtree WHERE id = high + 1))"
        " FROM (SELECT count(*) AS n, min(id) AS low, max(id) AS high FROM subtree WHERE seq = ?1)",
    /* A row if object ?1 was in a directory that transaction ?2 did not mark, or is one. */
    [STATEMENT_UNMARKED_PLACE] =
        "SELECT 1 FROM (SELECT ?1 AS dir WHERE EXISTS (SELECT 1 FROM subtree WHERE dir = ?1)"
        " UNION ALL SELECT parent FROM entry WHERE oid = ?1 AND born <= ?2"
        " UNION ALL SELECT parent FROM past_entry WHERE oid = ?1 AND born <= ?2 AND died > ?2) e"
        " WHERE NOT EXISTS (SELECT 1 FROM subtree s WHERE s.dir = e.dir AND s.seq = ?2) LIMIT 1",
    [STATEMENT_PARENTS_AT] = "SELECT parent FROM entry WHERE oid = ?1 AND born <= ?2"
                             " UNION SELECT parent FROM past_entry WHERE oid = ?1 AND born <= ?2 AND died > ?2",
    [STATEMENT_MARK_TABLE] = "CREATE TEMP TABLE mark(seq, dir, PRIMARY KEY(seq, dir)) WITHOUT ROWID",
    [STATEMENT_MARK_MAKE] = "INSERT OR IGNORE INTO mark(seq, dir) VALUES(?1, ?2)",
    /* And those whose id was damaged, which puts them out of order. */
    [STATEMENT_MARKS_MISSING] =
        "SELECT (SELECT count(*) FROM mark m WHERE NOT EXISTS"
        " (SELECT 1 FROM subtree s WHERE s.dir = m.dir AND s.seq = m.seq))"
        " + (SELECT count(*) FROM (SELECT dir, seq, lag(seq, 1, 0) OVER (ORDER BY id) AS earlier FROM subtree)"
        " WHERE seq < earlier OR dir = 0)",
    /* Those that can still be told from lost names' are kept, for they say that something changed. */
    [STATEMENT_MARKS_KEEP] = "INSERT OR IGNORE INTO mark(seq, dir) SELECT seq, dir FROM subtree"
                             " WHERE seq BETWEEN 1 AND ?1 AND dir IN (SELECT dir FROM mark)",
    [STATEMENT_MARKS_DROP] = "DELETE FROM subtree WHERE seq NOT BETWEEN 1 AND ?1 OR dir = 0",
    [STATEMENT_MARKS_NEWEST] = "SELECT max(seq) FROM subtree WHERE seq <= ?1",
    [STATEMENT_MARKS_DELETE] = "DELETE FROM subtree",
    [STATEMENT_MARKS_WRITE] = "INSERT INTO subtree(id, dir, seq)"
                              " SELECT row_number() OVER (ORDER BY seq, dir), dir, seq FROM mark",
    [STATEMENT_OBJECTS] = "SELECT oid FROM revision UNION SELECT oid FROM entry UNION SELECT parent FROM entry"
                          " UNION SELECT 1 ORDER BY 1",
    [STATEMENT_HIGHEST_PART] = "SELECT max(part) FROM revision WHERE oid = ?1",
    [STATEMENT_LAST_DEATH] = "SELECT max(died) FROM past_entry WHERE oid = ?1",
    [STATEMENT_HIGHEST_INDEX] = "SELECT max(idx) FROM (SELECT max(idx) AS idx FROM entry WHERE parent = ?1"
                                " UNION ALL SELECT max(idx) FROM past_entry WHERE parent = ?1)",
    /* Names in directories that have ended are names whose end is lost. */
    [STATEMENT_ENTRIES_OF_ENDED] =
        "DELETE FROM entry WHERE (SELECT data IS NULL FROM revision r WHERE r.oid = entry.parent AND r.part = 0"
        " ORDER BY seq DESC LIMIT 1)",
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
    int rc = connection_failed(connection, result, "run", sqlite3_sql(statement));
    if (rc == STORE_TOO_BIG && sqlite3_stmt_readonly(statement)) { /* no store has such a row */
        (void)snprintf(connection->damage, sizeof connection->damage, "a row is larger than any can be");
        rc = STORE_CORRUPT;
    }
    return rc;
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
