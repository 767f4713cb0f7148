#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite.h"

#define APPLICATION_ID 1953064038 /* "tidf" */
#define STRING(x)      #x
#define TEXT_OF(macro) STRING(macro)

static const char pragma_sql[] =
    "PRAGMA page_size = 4096;"
    "PRAGMA encoding = 'UTF-8';"
    "PRAGMA application_id = " TEXT_OF(APPLICATION_ID) ";"
                                                       "PRAGMA user_version = " TEXT_OF(FORMAT_VERSION_NEW) ";";

static const char table_sql[] =
    "CREATE TABLE meta(key TEXT NOT NULL PRIMARY KEY, value NOT NULL) WITHOUT ROWID;"

    "CREATE TABLE state(id INTEGER PRIMARY KEY, next_oid INTEGER NOT NULL, next_revision INTEGER NOT NULL,"
    " next_body INTEGER NOT NULL, next_subtree INTEGER NOT NULL, body_file INTEGER NOT NULL, body_end INTEGER NOT NULL,"
    " horizon INTEGER NOT NULL, packed_s INTEGER NOT NULL, packed_ns INTEGER NOT NULL, sum INTEGER NOT NULL);"

    "CREATE TABLE txn(seq INTEGER PRIMARY KEY, tid INTEGER NOT NULL UNIQUE, base INTEGER NOT NULL,"
    " wall_s INTEGER NOT NULL, wall_ns INTEGER NOT NULL, objects INTEGER NOT NULL, first_revision INTEGER NOT NULL,"
    " user TEXT NOT NULL, message TEXT NOT NULL, sum INTEGER NOT NULL);"

    "CREATE TABLE revision(id INTEGER PRIMARY KEY, oid INTEGER NOT NULL, part INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " data BLOB, sum INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX revision_oid ON revision(oid, part, seq);"

    "CREATE TABLE body(id INTEGER PRIMARY KEY, data BLOB NOT NULL, sum INTEGER NOT NULL);"

    "CREATE TABLE entry(parent INTEGER NOT NULL, idx INTEGER NOT NULL, name BLOB NOT NULL, oid INTEGER NOT NULL,"
    " type INTEGER NOT NULL, born INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(parent, idx)) WITHOUT ROWID;"
    "CREATE UNIQUE INDEX entry_name ON entry(parent, name);"
    "CREATE INDEX entry_oid ON entry(oid);"

    "CREATE TABLE past_entry(parent INTEGER NOT NULL, idx INTEGER NOT NULL, name BLOB NOT NULL, oid INTEGER NOT NULL,"
    " type INTEGER NOT NULL, born INTEGER NOT NULL, died INTEGER NOT NULL, level INTEGER NOT NULL,"
    " sum INTEGER NOT NULL, PRIMARY KEY(parent, idx)) WITHOUT ROWID;"
    "CREATE INDEX past_entry_name ON past_entry(parent, name, born);"
    "CREATE INDEX past_entry_level ON past_entry(parent, level, born);"
    "CREATE INDEX past_entry_oid ON past_entry(oid, born);"

    "CREATE TABLE subtree(id INTEGER PRIMARY KEY, dir INTEGER NOT NULL, seq INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX subtree_dir ON subtree(dir, seq);"

    "CREATE TABLE tag(name TEXT NOT NULL PRIMARY KEY, tid INTEGER NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID;";

/* FORMAT_WITH_LOSSES has it too. */
static const char loss_sql[] =
    "CREATE TABLE loss(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, oid INTEGER NOT NULL, part INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, until INTEGER NOT NULL, sum INTEGER NOT NULL);";

static int execute(struct connection *connection, const char *sql) {
    int result = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? STORE_OK : connection_failed(connection, result, "run", sql);
}

static int put_meta(struct connection *connection, const char *key, struct value value) {
    struct value values[] = {value_text(key, strlen(key)), value};
    return statement_run(connection, STATEMENT_META_SET, values, 2);
}

/* A random identity, RFC 9562 version 4. */
static int make_uuid(char text[37]) {
    unsigned char b[16];
    /* So few bytes are given whole, but for a signal while the system has just begun. */
    if (TEMP_FAILURE_RETRY(getrandom(b, sizeof b, 0)) != (ssize_t)sizeof b)
        return STORE_IO;
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    (void)snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                   b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return STORE_OK;
}

static int put_first_rows(struct connection *connection) {
    char uuid[37];
    int rc = make_uuid(uuid);
    if (rc == STORE_OK)
        rc = put_meta(connection, "format", value_integer(FORMAT_VERSION_NEW));
    if (rc == STORE_OK)
        rc = put_meta(connection, "uuid", value_text(uuid, 36));
    if (rc == STORE_OK)
        rc = put_meta(connection, "created", value_integer((uint64_t)time(NULL)));
    struct state_row state = {.next_oid = ROOT_OID + 1, .next_revision = 1, .next_body = 1, .next_subtree = 1};
    if (rc == STORE_OK)
        rc = state_row_put(connection, STATEMENT_STATE_INSERT, &state);
    return rc;
}

int sqlite_schema_create(struct connection *connection) {
    int reserved = PAGE_BYTES - PAGE_SUMMED;
    int result = sqlite3_file_control(connection->db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
    if (result != SQLITE_OK)
        return connection_failed(connection, result, "ask", "SQLITE_FCNTL_RESERVE_BYTES");
    int rc = execute(connection, pragma_sql);
    if (rc == STORE_OK)
        rc = statement_run(connection, STATEMENT_BEGIN_WRITE, NULL, 0);
    if (rc == STORE_OK)
        rc = execute(connection, table_sql);
    if (rc == STORE_OK)
        rc = put_first_rows(connection);
    if (rc == STORE_OK)
        rc = statement_run(connection, STATEMENT_COMMIT, NULL, 0);
    if (rc == STORE_OK)
        rc = execute(connection, "PRAGMA journal_mode = WAL");
    return rc;
}

int sqlite_schema_add_losses(struct connection *connection) {
    static const char key[] = "format";
    struct value values[] = {value_text(key, sizeof key - 1), value_integer(FORMAT_WITH_LOSSES)};
    int rc = execute(connection, loss_sql);
    if (rc == STORE_OK)
        rc = execute(connection, "PRAGMA user_version = " TEXT_OF(FORMAT_WITH_LOSSES));
    return rc == STORE_OK ? statement_run(connection, STATEMENT_META_REPLACE, values, 2) : rc;
}

/* The next statement of what is left of such a text, without its semicolon; 0 at its end. */
static size_t next_definition(const char **sql) {
    while (**sql == ';')
        ++*sql;
    return strcspn(*sql, ";");
}

/* That the schema is ours to the letter. SQLite keeps the text of each definition, in the order in which they were made. What somebody else
 * has put there, such as a view of the name of a table, would be run by the statements that read the tables. */
static int check_definitions(struct connection *connection, uint64_t version, bool *ours) {
    const char *expected = table_sql, *more = version >= FORMAT_WITH_LOSSES ? loss_sql : "";
    sqlite3_stmt *statement;
    int rc = statement_get(connection, STATEMENT_DEFINITIONS, NULL, 0, &statement);
    *ours = true;
    while (rc == STORE_OK && *ours && (rc = statement_step(connection, statement)) == STORE_OK) {
        struct value found = column_value(statement, 0);
        size_t length = next_definition(&expected);
        if (length == 0) {
            expected = more;
            more = "";
            length = next_definition(&expected);
        }
        *ours = found.kind == VALUE_BLOB && found.length == length && length > 0 &&
                memcmp(found.bytes, expected, length) == 0;
        expected += length;
    }
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        rc = STORE_OK;
    *ours = *ours && next_definition(&expected) == 0 && *more == '\0';
    return rc;
}

static int check_version(struct connection *connection, const char *directory, struct error *err) {
    uint64_t application = 0, version = 0, format = 0;
    static const char key[] = "format";
    struct value name = value_text(key, sizeof key - 1);
    bool ours = false;
    int rc = statement_integer(connection, STATEMENT_APPLICATION_ID, NULL, 0, &application);
    if (rc == STORE_OK)
        rc = statement_integer(connection, STATEMENT_USER_VERSION, NULL, 0, &version);
    if (rc != STORE_OK)
        return rc;
    if (application != APPLICATION_ID)
        return error_set(err, STORE_NOT_A_STORE,
                         "%s is not a tidfs store: its " DATABASE_FILE " was made by another program", directory);
    if (version > FORMAT_VERSION)
        return error_set(err, STORE_NEWER_FORMAT,
                         "%s has format %" PRIu64 " and this tidfs reads formats up to %d: upgrade tidfs to use it",
                         directory, version, FORMAT_VERSION);
    rc = check_definitions(connection, version, &ours);
    if (rc != STORE_OK)
        return rc;
    if (!ours)
        return error_set(err, STORE_CORRUPT,
                         "%s/" DATABASE_FILE " is damaged, or was tampered with: its tables are not those of a store",
                         directory);
    rc = statement_integer(connection, STATEMENT_META_GET, &name, 1, &format);
    if (rc == STORE_ABSENT || (rc == STORE_OK && (version == 0 || format != version)))
        return error_set(err, STORE_CORRUPT,
                         "%s is damaged: its format version is given as %" PRIu64 " and as %" PRIu64, directory,
                         version, format);
    return rc;
}

static int tell_unreadable(int rc, const char *directory, const char *why, struct error *err) {
    return error_set(err, (enum store_error)rc,
                     rc == STORE_CORRUPT ? "%s/" DATABASE_FILE
                                           " is damaged: %s; `tidfs verify --repair` saves all that is right"
                                         : "cannot read %s/" DATABASE_FILE ": %s",
                     directory, why);
}

/* In one read transaction: who changes tags does so while another process commits, and a state older than the rows looks like damage. */
static int read_ids(struct connection *connection, struct state_row *state, uint64_t highest[4]) {
    sqlite3_stmt *statement = NULL;
    int rc = statement_run(connection, STATEMENT_BEGIN, NULL, 0);
    if (rc == STORE_OK)
        rc = state_row_get(connection, state);
    if (rc == STORE_OK)
        rc = statement_get(connection, STATEMENT_HIGHEST_IDS, NULL, 0, &statement);
    if (rc == STORE_OK)
        rc = statement_step(connection, statement);
    for (size_t i = 0; i < 4 && rc == STORE_OK; i++)
        highest[i] = column_integer(statement, (int)i); /* 0 of an empty table */
    statement_reset(statement);
    int ended = connection_rollback(connection);
    return rc != STORE_OK ? rc : ended;
}

int sqlite_ids_check(struct connection *connection, const char *directory, struct error *err) {
    struct state_row state;
    uint64_t highest[4] = {0};
    int rc = read_ids(connection, &state, highest);
    if (rc != STORE_OK)
        return tell_unreadable(rc, directory, connection_told(connection), err);
    if (highest[0] >= state.next_oid || highest[1] >= state.next_revision || highest[2] >= state.next_body ||
        highest[3] >= state.next_subtree)
        return error_set(
            err, STORE_CORRUPT,
            "%s is damaged: it would give out ids again that are in use: `tidfs verify` tells more; it can "
            "still be read, with -o ro",
            directory);
    return STORE_OK;
}

int sqlite_schema_check(struct connection *connection, const char *directory, struct error *err) {
    struct error none = {0};
    struct state_row state;
    sqlite3_stmt *statement = NULL;
    if (!err)
        err = &none;
    err->text[0] = '\0';
    const char *damaged = "its format cannot be told";
    int rc = check_version(connection, directory, err);
    if (rc == STORE_OK) {
        damaged = "the record of the store's state is missing or wrong";
        rc = state_row_get(connection, &state);
    }
    if (rc == STORE_OK && state.last_seq > 0) {
        damaged = "the record of the newest transaction is missing or wrong";
        struct value value = value_integer(state.last_seq);
        struct transaction transaction;
        rc = statement_get(connection, STATEMENT_TRANSACTION_AT, &value, 1, &statement);
        if (rc == STORE_OK)
            rc = statement_step(connection, statement);
        if (rc == STORE_OK)
            rc = transaction_row_decode(connection, statement, &transaction, NULL);
        if (rc == STORE_OK)
            transaction_release(&transaction);
        statement_reset(statement);
    }
    if (rc == STORE_ABSENT)
        rc = STORE_CORRUPT;
    if (rc != STORE_OK && err->text[0] == '\0')
        (void)tell_unreadable(
            rc, directory,
            rc == STORE_CORRUPT && sqlite3_errcode(connection->db) == SQLITE_OK ? damaged : connection_told(connection),
            err);
    return rc;
}
