/* What the hostile stores are. See tests/hostile.h. */
#include "tests/hostile.h"

/* The newest revision of a part. */
#define PART(oid, part)           "(SELECT max(id) FROM revision WHERE oid = " #oid " AND part = " #part ")"
#define RECORD(oid, part, record) "UPDATE revision SET data = " record " WHERE id = " PART(oid, part)
/* Inode records whose four times are one. 33188: a file, 16877: a directory, 41471: a symlink. */
#define INODE(mode, nlink, size, allocated, rest)                                                                      \
    "bytes(x'010e', " #mode ", 0, 0, " #nlink ", " #size ", " #allocated ", 3590686800, 5" rest ")"
#define TIMES(seconds, ns) "bytes(x'010e', 33188, 0, 0, 2, 11, 11, " #seconds ", " #ns ")"
#define NAME(name)         "UPDATE entry SET name = " name " WHERE oid = 9"
#define PAST_NAME(name)    "UPDATE past_entry SET name = " name " WHERE oid = 8"
#define ENTRY(parent, idx, name, oid, type)                                                                            \
    "INSERT INTO entry VALUES(" #parent ", " #idx ", CAST('" name "' AS BLOB), " #oid ", " #type ", 3, 0);"
#define CHUNK(extents) RECORD(7, 16, "bytes(1, " extents ")")
#define EXTENT(gap, length, skip, rest, file, position, hash)                                                          \
#gap "," #length "," #skip "," #rest "," #file "," #position "," hash
#define ANY_HASH       "x'0102030405060708'"
#define STATE(set)     "UPDATE state SET " set
#define TXN(set)       "UPDATE txn SET " set
#define TAG(name, tid) "INSERT INTO tag VALUES(" name ", " tid ", 0)"
#define V1             "(SELECT tid FROM txn WHERE seq = 2)"

/* 30 directories, each of which has two names for the next: a billion paths. */
#define DOUBLING                                                                                                       \
    "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 130)"                                  \
    " INSERT INTO revision SELECT 1000 + i, i, 0, 4, bytes(x'010e', 16877, 0, 0, 4, 2, 0, 2, 0, i - 1, 5), 0 FROM n;"  \
    "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 129)"                                  \
    " INSERT INTO entry SELECT i, 3, CAST('a' AS BLOB), i + 1, 16384, 3, 0 FROM n"                                     \
    " UNION ALL SELECT i, 4, CAST('b' AS BLOB), i + 1, 16384, 3, 0 FROM n;"                                            \
    "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 130)"                                  \
    " INSERT INTO subtree SELECT 1000 + i, i, 4 FROM n;"                                                               \
    "UPDATE state SET next_oid = 200, next_revision = 2000, next_subtree = 2000;"

const struct hostile_store hostile_stores[] = {
    {"nothing", "SELECT 1", HOSTILE_ACCEPTED},

    {"name-slash", NAME("x'612f62'"), HOSTILE_DAMAGED},
    {"name-way-out", NAME("CAST('../../../../tmp/canary' AS BLOB)"), HOSTILE_DAMAGED},
    {"name-absolute", NAME("CAST('/tmp/canary' AS BLOB)"), HOSTILE_DAMAGED},
    {"name-nul", NAME("x'610062'"), HOSTILE_DAMAGED},
    {"name-dot", NAME("x'2e'"), HOSTILE_DAMAGED},
    {"name-dots", NAME("x'2e2e'"), HOSTILE_DAMAGED},
    {"name-empty", NAME("x''"), HOSTILE_DAMAGED},
    {"name-256", NAME("CAST(replace(hex(zeroblob(128)), '0', 'n') AS BLOB)"), HOSTILE_DAMAGED},
    {"name-huge", NAME("zeroblob(4000000)"), HOSTILE_DAMAGED},
    {"name-number", NAME("5"), HOSTILE_DAMAGED},
    {"name-text", NAME("'text'"), HOSTILE_ACCEPTED},
    {"name-escapes", NAME("x'1b5d303b6576696c070a1b5b324a'"), HOSTILE_ACCEPTED},
    {"past-name-dots", PAST_NAME("x'2e2e'"), HOSTILE_DAMAGED},
    {"past-name-slash", PAST_NAME("x'2f'"), HOSTILE_DAMAGED},
    {"past-level", "UPDATE past_entry SET level = 63", HOSTILE_DAMAGED},
    {"past-backwards", "UPDATE past_entry SET died = born - 1", HOSTILE_DAMAGED},

    {"entry-type-none", "UPDATE entry SET type = 0 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-type-large", "UPDATE entry SET type = 4294967295 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-file-as-directory", "UPDATE entry SET type = 16384 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-directory-as-file", "UPDATE entry SET type = 32768 WHERE oid = 2", HOSTILE_DAMAGED},
    {"entry-to-nothing", "UPDATE entry SET oid = 77 WHERE oid = 9; UPDATE state SET next_oid = 100", HOSTILE_DAMAGED},
    {"entry-to-the-ended", "UPDATE entry SET oid = 8 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-to-zero", "UPDATE entry SET oid = 0 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-to-minus-one", "UPDATE entry SET oid = -1 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-to-2-60", "UPDATE entry SET oid = 1152921504606846976 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-of-nobody", "UPDATE entry SET parent = 555 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-of-a-file", "UPDATE entry SET parent = 3 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-born-later", "UPDATE entry SET born = 1000000 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-index-high", "UPDATE entry SET idx = 9223372036854775807 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-index-negative", "UPDATE entry SET idx = -5 WHERE oid = 9", HOSTILE_DAMAGED},
    {"entry-index-of-dot", "UPDATE entry SET idx = 1 WHERE oid = 9", HOSTILE_DAMAGED},

    {"directory-in-itself", ENTRY(2, 90, "self", 2, 16384), HOSTILE_DAMAGED},
    {"directory-under-its-child",
     "UPDATE entry SET parent = 4, idx = 50 WHERE oid = 2;" RECORD(2, 0, INODE(16877, 3, 3, 0, ", 4, 6")),
     HOSTILE_DAMAGED},
    {"directory-lost-in-itself",
     "UPDATE entry SET parent = 2, idx = 50 WHERE oid = 2;" RECORD(2, 0, INODE(16877, 4, 4, 0, ", 2, 60")),
     HOSTILE_DAMAGED},
    {"root-as-a-child", ENTRY(4, 90, "root", 1, 16384), HOSTILE_DAMAGED},
    {"root-in-itself", ENTRY(1, 90, "root", 1, 16384), HOSTILE_DAMAGED},
    {"root-has-a-parent", RECORD(1, 0, INODE(16877, 3, 4, 0, ", 4, 20")), HOSTILE_DAMAGED},
    {"root-is-a-file", RECORD(1, 0, INODE(33188, 1, 0, 0, "")), HOSTILE_DAMAGED},
    {"root-ended", "UPDATE revision SET data = NULL WHERE id = " PART(1, 0), HOSTILE_DAMAGED},
    {"two-parents", ENTRY(1, 90, "again", 4, 16384), HOSTILE_DAMAGED},
    {"two-names-in-one", ENTRY(2, 90, "again", 4, 16384), HOSTILE_DAMAGED},
    {"parent-elsewhere", RECORD(4, 0, INODE(16877, 2, 1, 0, ", 999, 4")), HOSTILE_DAMAGED},
    {"parent-itself", RECORD(4, 0, INODE(16877, 2, 1, 0, ", 4, 4")), HOSTILE_DAMAGED},
    {"parent-huge", RECORD(4, 0, INODE(16877, 2, 1, 0, ", 9223372036854775807, 4")), HOSTILE_DAMAGED},
    {"doubling", DOUBLING "INSERT INTO entry VALUES(1, 90, CAST('many' AS BLOB), 100, 16384, 3, 0);", HOSTILE_DAMAGED},
    {"doubling-circle",
     DOUBLING "INSERT INTO entry VALUES(1, 90, CAST('many' AS BLOB), 100, 16384, 3, 0);" ENTRY(130, 3, "a", 100, 16384)
         ENTRY(130, 4, "b", 100, 16384),
     HOSTILE_DAMAGED},

    {"file-size-most", RECORD(3, 0, INODE(33188, 2, 9223372036854775807, 0, "")), HOSTILE_ACCEPTED},
    {"file-size-negative", RECORD(3, 0, INODE(33188, 2, -1, 0, "")), HOSTILE_DAMAGED},
    {"file-allocated-most", RECORD(3, 0, INODE(33188, 2, 11, 9223372036854775807, "")), HOSTILE_ACCEPTED},
    {"file-allocated-negative", RECORD(3, 0, INODE(33188, 2, 11, -9223372036854775808, "")), HOSTILE_DAMAGED},
    {"directory-size-most", RECORD(2, 0, INODE(16877, 3, 9223372036854775807, 0, ", 1, 6")), HOSTILE_DAMAGED},
    {"directory-size-0", RECORD(2, 0, INODE(16877, 3, 0, 0, ", 1, 6")), HOSTILE_DAMAGED},
    {"directory-next-index-0", RECORD(2, 0, INODE(16877, 3, 3, 0, ", 1, 0")), HOSTILE_DAMAGED},
    {"directory-next-index-most", RECORD(2, 0, INODE(16877, 3, 3, 0, ", 1, 9223372036854775807")), HOSTILE_ACCEPTED},
    {"links-0", RECORD(3, 0, INODE(33188, 0, 11, 11, "")), HOSTILE_DAMAGED},
    {"links-most", RECORD(3, 0, INODE(33188, 4294967295, 11, 11, "")), HOSTILE_DAMAGED},
    {"links-too-many", RECORD(3, 0, INODE(33188, 4294967296, 11, 11, "")), HOSTILE_DAMAGED},
    {"directory-links-0", RECORD(2, 0, INODE(16877, 0, 3, 0, ", 1, 6")), HOSTILE_DAMAGED},
    {"symlink-nul", RECORD(6, 0, INODE(41471, 1, 3, 0, ", x'610062'")), HOSTILE_DAMAGED},
    {"symlink-short", RECORD(6, 0, INODE(41471, 1, 4000, 0, ", x'61'")), HOSTILE_DAMAGED},
    {"symlink-empty", RECORD(6, 0, INODE(41471, 1, 0, 0, "")), HOSTILE_ACCEPTED},
    {"symlink-4096", RECORD(6, 0, INODE(41471, 1, 4096, 0, ", replace(hex(zeroblob(2048)), '0', 'n')")),
     HOSTILE_DAMAGED},
    {"symlink-out", RECORD(6, 0, INODE(41471, 1, 24, 0, ", '../../../../../tmp/canary'")), HOSTILE_DAMAGED},
    {"symlink-away", RECORD(6, 0, INODE(41471, 1, 11, 0, ", '/etc/passwd'")), HOSTILE_ACCEPTED},
    {"symlink-escapes", RECORD(6, 0, INODE(41471, 1, 4, 0, ", x'1b5b324a'")), HOSTILE_ACCEPTED},
    {"device", RECORD(9, 0, INODE(8612, 1, 0, 0, ", -1")), HOSTILE_DAMAGED},
    {"setuid", RECORD(3, 0, INODE(36333, 2, 11, 11, "")), HOSTILE_ACCEPTED},
    {"mode-none", RECORD(3, 0, INODE(0, 2, 11, 11, "")), HOSTILE_DAMAGED},
    {"mode-large", RECORD(3, 0, INODE(98724, 2, 11, 11, "")), HOSTILE_DAMAGED},
    {"time-ns", RECORD(3, 0, TIMES(2, 1000000000)), HOSTILE_DAMAGED},
    {"time-far", RECORD(3, 0, TIMES(63113904000000000, 0)), HOSTILE_ACCEPTED},
    {"time-last", RECORD(3, 0, TIMES(-2, 999999999)), HOSTILE_ACCEPTED},
    {"time-first", RECORD(3, 0, TIMES(-1, 0)), HOSTILE_ACCEPTED},
    {"record-empty", RECORD(3, 0, "x''"), HOSTILE_DAMAGED},
    {"record-newer", RECORD(3, 0, "x'02'"), HOSTILE_DAMAGED},
    {"record-cut", RECORD(3, 0, "x'010ea483'"), HOSTILE_DAMAGED},
    {"record-long", RECORD(3, 0, "zeroblob(15000000)"), HOSTILE_DAMAGED},
    {"record-too-long", RECORD(3, 0, "zeroblob(20000000)"), HOSTILE_DAMAGED},
    {"record-text", RECORD(3, 0, "'text'"), HOSTILE_DAMAGED},
    {"record-number", RECORD(3, 0, "-1"), HOSTILE_DAMAGED},
    {"record-real", RECORD(3, 0, "1.5"), HOSTILE_DAMAGED},

    {"chunk-many-extents", CHUNK("4611686018427387904"), HOSTILE_DAMAGED},
    {"chunk-extents-cut", CHUNK("3, x'00'"), HOSTILE_DAMAGED},
    {"chunk-beyond", CHUNK("1, " EXTENT(262143, 2, 0, 0, 1, 0, ANY_HASH)), HOSTILE_DAMAGED},
    {"chunk-gap-wraps",
     CHUNK("2, " EXTENT(0, 262144, 0, 0, 1, 0, ANY_HASH) ", " EXTENT(4294967295, 1, 0, 0, 1, 0, ANY_HASH)),
     HOSTILE_DAMAGED},
    {"chunk-extent-0", CHUNK("1, " EXTENT(0, 0, 0, 0, 1, 0, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-longest", CHUNK("1, " EXTENT(0, 10, 0, 1048566, 1, 0, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-too-long", CHUNK("1, " EXTENT(0, 10, 0, 1048567, 1, 0, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-skip-wraps", CHUNK("1, " EXTENT(0, 10, 4294967290, 0, 1, 0, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-position-most", CHUNK("1, " EXTENT(0, 10, 0, 0, 1, 9223372036854775797, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-position-wraps", CHUNK("1, " EXTENT(0, 10, 0, 0, 1, 9223372036854775807, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-position-negative", CHUNK("1, " EXTENT(0, 10, 0, 0, 1, -1, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-beyond-the-file", CHUNK("1, " EXTENT(0, 10, 0, 0, 1, 1000000, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-file-last", CHUNK("1, " EXTENT(0, 10, 0, 0, 4294967295, 0, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-row-missing", CHUNK("1, " EXTENT(0, 10, 0, 0, 0, 999, ANY_HASH)), HOSTILE_DAMAGED},
    {"body-row-huge", "UPDATE body SET data = zeroblob(3000000)", HOSTILE_DAMAGED},
    {"body-row-empty", "UPDATE body SET data = x''", HOSTILE_DAMAGED},
    {"body-row-number", "UPDATE body SET data = 7", HOSTILE_DAMAGED},
    {"body-wrong-sum", CHUNK("1, " EXTENT(0, 10, 0, 0, 1, 0, ANY_HASH)), HOSTILE_DAMAGED},
    {"chunk-part-last", "UPDATE revision SET part = 9223372036854775807 WHERE id = " PART(7, 16), HOSTILE_DAMAGED},
    {"chunk-part-negative", "UPDATE revision SET part = -1 WHERE id = " PART(7, 16), HOSTILE_DAMAGED},
    {"chunk-of-a-directory", "UPDATE revision SET oid = 4 WHERE id = " PART(7, 16), HOSTILE_ACCEPTED},

    {"xattr-many", RECORD(3, 1, "bytes(1, 1152921504606846976)"), HOSTILE_DAMAGED},
    {"xattr-nul", RECORD(3, 1, "bytes(1, 1, 3, x'610062', 1, 'x')"), HOSTILE_DAMAGED},
    {"xattr-unnamed", RECORD(3, 1, "bytes(1, 1, 0, 1, 'x')"), HOSTILE_DAMAGED},
    {"xattr-twice", RECORD(3, 1, "bytes(1, 2, 6, 'user.a', 1, 'x', 6, 'user.a', 1, 'y')"), HOSTILE_DAMAGED},
    {"xattr-long", RECORD(3, 1, "bytes(1, 1, 6, 'user.a', 65537, zeroblob(65537))"), HOSTILE_DAMAGED},
    {"xattr-value-cut", RECORD(3, 1, "bytes(1, 1, 6, 'user.a', 60000, 'x')"), HOSTILE_DAMAGED},
    {"xattr-acl", RECORD(3, 1, "bytes(1, 1, 23, 'system.posix_acl_access', 5, x'02000000ff')"), HOSTILE_ACCEPTED},
    {"xattr-missing", "DELETE FROM revision WHERE oid = 3 AND part = 1", HOSTILE_ACCEPTED},

    {"revision-oid-0", "UPDATE revision SET oid = 0 WHERE id = " PART(9, 0), HOSTILE_DAMAGED},
    {"revision-oid-2-60", "UPDATE revision SET oid = 1152921504606846976 WHERE id = " PART(9, 0), HOSTILE_DAMAGED},
    {"revision-id-2-60", "UPDATE revision SET id = 1152921504606846976 WHERE id = " PART(9, 0), HOSTILE_DAMAGED},
    {"revision-id-negative", "UPDATE revision SET id = -3 WHERE id = " PART(9, 0), HOSTILE_DAMAGED},
    {"revision-seq-later", "UPDATE revision SET seq = 1000 WHERE id = " PART(9, 0), HOSTILE_DAMAGED},
    {"revision-seq-0", "UPDATE revision SET seq = 0 WHERE id = " PART(9, 0), HOSTILE_DAMAGED},
    {"revision-seq-2-60", "UPDATE revision SET seq = 1152921504606846976 WHERE id = " PART(9, 0), HOSTILE_DAMAGED},
    {"revisions-none", "DELETE FROM revision", HOSTILE_DAMAGED},

    {"txn-none", "DELETE FROM txn", HOSTILE_DAMAGED},
    {"txn-gap", "DELETE FROM txn WHERE seq = 3", HOSTILE_DAMAGED},
    {"txn-far", "UPDATE txn SET seq = 1000000000000000 WHERE seq = 4", HOSTILE_DAMAGED},
    {"txn-too-far", "UPDATE txn SET seq = 1152921504606846976 WHERE seq = 4", HOSTILE_REFUSED},
    {"txn-last", "UPDATE txn SET seq = 1152921504606846975 WHERE seq = 4", HOSTILE_REFUSED},
    {"txn-last-but-one", "UPDATE txn SET seq = 1152921504606846974 WHERE seq = 4", HOSTILE_DAMAGED},
    {"txn-negative", "UPDATE txn SET seq = -4 WHERE seq = 2", HOSTILE_DAMAGED},
    {"txn-tid-0", TXN("tid = 0 WHERE seq = 2"), HOSTILE_DAMAGED},
    {"txn-tid-negative", TXN("tid = -1 WHERE seq = 4"), HOSTILE_REFUSED},
    {"txn-tid-last", TXN("tid = 9223372036854775807 WHERE seq = 4"), HOSTILE_ACCEPTED},
    {"txn-tid-far", TXN("tid = 5000000000000000000 WHERE seq = 4"), HOSTILE_ACCEPTED},
    {"txn-tid-order", TXN("tid = 5 WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-base", TXN("base = 9223372036854775807 WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-wall", TXN("wall_s = 9223372036854775807 WHERE seq = 3"), HOSTILE_ACCEPTED},
    {"txn-wall-ns", TXN("wall_ns = 1000000000 WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-objects", TXN("objects = -1 WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-first-0", TXN("first_revision = 0 WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-first-negative", TXN("first_revision = -9223372036854775808 WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-first-last", TXN("first_revision = 9223372036854775807 WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-escapes",
     TXN("user = CAST(x'1b5b324a' AS TEXT), message = CAST(x'1b5d303b6576696c071b5b33316d0a0d6e6578740a' AS TEXT)"),
     HOSTILE_ACCEPTED},
    {"txn-message-nul", TXN("message = CAST(x'610062' AS TEXT) WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-message-long", TXN("message = hex(zeroblob(4000000)) WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-user-long", TXN("user = hex(zeroblob(128)) WHERE seq = 3"), HOSTILE_DAMAGED},
    {"txn-user-blob", TXN("user = x'ff00fe' WHERE seq = 3"), HOSTILE_DAMAGED},

    {"state-none", "DELETE FROM state", HOSTILE_REFUSED},
    {"state-two", "INSERT INTO state SELECT 2, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0", HOSTILE_ACCEPTED},
    {"state-oid-again", STATE("next_oid = 2"), HOSTILE_DAMAGED},
    {"state-oid-0", STATE("next_oid = 0"), HOSTILE_REFUSED},
    {"state-oid-negative", STATE("next_oid = -5"), HOSTILE_REFUSED},
    {"state-oid-last", STATE("next_oid = 1152921504606846976"), HOSTILE_ACCEPTED},
    {"state-oid-beyond", STATE("next_oid = 1152921504606846977"), HOSTILE_REFUSED},
    {"state-revision-again", STATE("next_revision = 2"), HOSTILE_DAMAGED},
    {"state-body-again", STATE("next_body = 1"), HOSTILE_DAMAGED},
    {"state-subtree-again", STATE("next_subtree = 1"), HOSTILE_DAMAGED},
    {"state-body-file", STATE("body_file = 4294967295, body_end = 9223372036854775807"), HOSTILE_ACCEPTED},
    {"state-body-file-wide", STATE("body_file = 4294967296"), HOSTILE_REFUSED},
    {"state-body-end-negative", STATE("body_end = -1"), HOSTILE_REFUSED},
    {"state-horizon-all", STATE("horizon = 5"), HOSTILE_ACCEPTED},
    {"state-horizon-later", STATE("horizon = 1000"), HOSTILE_REFUSED},
    {"state-horizon-negative", STATE("horizon = -1"), HOSTILE_REFUSED},
    {"state-packed-far", STATE("horizon = 2, packed_s = 9223372036854775807"), HOSTILE_ACCEPTED},
    {"state-packed-ns", STATE("packed_ns = -1"), HOSTILE_REFUSED},

    {"subtree-none", "DELETE FROM subtree", HOSTILE_DAMAGED},
    {"subtree-later", "UPDATE subtree SET seq = 9223372036854775807 WHERE id = (SELECT max(id) FROM subtree)",
     HOSTILE_DAMAGED},
    {"subtree-id", "UPDATE subtree SET id = 4611686018427387904 WHERE id = (SELECT max(id) FROM subtree)",
     HOSTILE_DAMAGED},
    {"subtree-of-0", "INSERT INTO subtree VALUES(900, 0, 4)", HOSTILE_DAMAGED},

    {"tag-slash", TAG("'a/../../b'", V1), HOSTILE_ACCEPTED},
    {"tag-dots", TAG("'..'", V1), HOSTILE_ACCEPTED},
    {"tag-empty", TAG("''", V1), HOSTILE_ACCEPTED},
    {"tag-escapes", TAG("CAST(x'1b5d303b6576696c070a' AS TEXT)", V1), HOSTILE_ACCEPTED},
    {"tag-now", TAG("'now'", V1), HOSTILE_ACCEPTED},
    {"tag-option", TAG("'--force'", V1), HOSTILE_ACCEPTED},
    {"tag-nul", TAG("CAST(x'610062' AS TEXT)", V1), HOSTILE_DAMAGED},
    {"tag-256", TAG("hex(zeroblob(128))", V1), HOSTILE_DAMAGED},
    {"tag-tid-0", TAG("'zero'", "0"), HOSTILE_ACCEPTED},
    {"tag-tid-far", TAG("'far'", "9223372036854775807"), HOSTILE_ACCEPTED},
    {"tag-tid-negative", TAG("'negative'", "-1"), HOSTILE_DAMAGED},

    {"schema-trigger", "CREATE TRIGGER evil AFTER INSERT ON txn BEGIN DELETE FROM revision; END", HOSTILE_REFUSED},
    {"schema-view", "ALTER TABLE tag RENAME TO tag2; CREATE VIEW tag AS SELECT * FROM tag2", HOSTILE_REFUSED},
    {"schema-endless-view",
     "DROP TABLE state; CREATE VIEW state AS WITH RECURSIVE x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x) SELECT a "
     "AS id, a AS next_oid, a AS next_revision, a AS next_body, a AS next_subtree, a AS body_file, a AS body_end, a AS "
     "horizon, a AS packed_s, a AS packed_ns, a AS sum FROM x WHERE a < 0",
     HOSTILE_REFUSED},
    {"schema-virtual", "CREATE VIRTUAL TABLE evil USING fts5(a)", HOSTILE_REFUSED},
    {"schema-generated",
     "DROP TABLE tag; CREATE TABLE tag(name TEXT PRIMARY KEY, tid INTEGER, sum INTEGER AS "
     "(zeroblob(1 << 30)))",
     HOSTILE_REFUSED},
    {"schema-expression", "CREATE INDEX evil ON entry(abs(parent)) WHERE 0", HOSTILE_REFUSED},
    {"schema-index-on-expression", "CREATE INDEX evil ON entry(length(name) + 1)", HOSTILE_REFUSED},
    {"schema-collation", "DROP INDEX entry_name; CREATE INDEX entry_name ON entry(parent, name COLLATE NOCASE)",
     HOSTILE_REFUSED},
    {"schema-index-missing", "DROP INDEX revision_oid", HOSTILE_REFUSED},
    {"schema-more", "CREATE TABLE more(a)", HOSTILE_REFUSED},
    {"schema-less", "DROP TABLE subtree", HOSTILE_REFUSED},
    {"schema-statistics", "ANALYZE", HOSTILE_REFUSED},
    {"schema-order",
     "DROP TABLE tag; DROP TABLE subtree; CREATE TABLE tag(name TEXT NOT NULL PRIMARY KEY, tid INTEGER NOT NULL, sum "
     "INTEGER NOT NULL) WITHOUT ROWID; CREATE TABLE subtree(id INTEGER PRIMARY KEY, dir INTEGER NOT NULL, seq INTEGER "
     "NOT NULL); CREATE UNIQUE INDEX subtree_dir ON subtree(dir, seq)",
     HOSTILE_REFUSED},
    {"format-newer", "PRAGMA user_version = 2", HOSTILE_REFUSED},
    {"format-none", "PRAGMA user_version = 0", HOSTILE_REFUSED},
    {"format-negative", "PRAGMA user_version = -1", HOSTILE_REFUSED},
    {"format-other", "PRAGMA application_id = 5", HOSTILE_REFUSED},
    {"meta-none", "DELETE FROM meta", HOSTILE_REFUSED},
    {"meta-text", "UPDATE meta SET value = 'one' WHERE key = 'format'", HOSTILE_REFUSED},
    {"meta-uuid", "UPDATE meta SET value = x'1b5b324a00' WHERE key = 'uuid'", HOSTILE_ACCEPTED},
};

const size_t hostile_store_count = sizeof hostile_stores / sizeof hostile_stores[0];
