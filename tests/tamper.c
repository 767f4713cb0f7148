#include "tests/tamper.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite.h"
#include "store/storage_sqlite_statement.h"

#define BUSY_TIMEOUT_MS 5000
#define COLUMNS_MOST    16

static struct value value_of(sqlite3_value *from) {
    switch (sqlite3_value_type(from)) {
    case SQLITE_INTEGER:
        return value_integer((uint64_t)sqlite3_value_int64(from));
    case SQLITE_NULL:
        return (struct value){.kind = VALUE_NULL};
    default: {
        const void *bytes = sqlite3_value_blob(from); /* NULL for none, which would be another value */
        return value_blob(bytes ? bytes : "", (size_t)sqlite3_value_bytes(from));
    }
    }
}

/* The SQL function row_sum(COLUMN...). */
static void sum_row(sqlite3_context *context, int count, sqlite3_value **from) {
    struct value values[COLUMNS_MOST];
    if (count > COLUMNS_MOST) {
        sqlite3_result_error(context, "too many columns", -1);
        return;
    }
    for (int i = 0; i < count; i++)
        values[i] = value_of(from[i]);
    sqlite3_result_int64(context, (sqlite3_int64)row_sum(values, (size_t)count));
}

void change_other_database(const char *directory, const char *name, const char *sql) {
    sqlite3 *db;
    char path[512], *message = NULL;
    assert_int_equal(page_vfs_register(), SQLITE_OK);
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS), SQLITE_OK);
    assert_int_equal(sqlite3_create_function(db, "row_sum", -1, SQLITE_UTF8, NULL, sum_row, NULL, NULL), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

void change_database(const char *directory, const char *sql) {
    change_other_database(directory, "tidfs.db", sql);
}

void record_lost_time(const char *directory) {
    const struct loss loss = {.kind = LOSS_TIME, .seq = 1};
    struct connection *writer;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/tidfs.db", directory);
    assert_int_equal(connection_open(path, CONNECTION_WRITE, NULL, &writer, NULL), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_BEGIN_WRITE, NULL, 0), STORE_OK);
    assert_int_equal(sqlite_schema_add_losses(writer), STORE_OK);
    assert_int_equal(loss_row_insert(writer, 1, &loss), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_COMMIT, NULL, 0), STORE_OK);
    connection_close(writer);
}
