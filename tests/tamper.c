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

#define BUSY_TIMEOUT_MS 5000

void change_database(const char *directory, const char *sql) {
    sqlite3 *db;
    char path[512], *message = NULL;
    assert_int_equal(page_vfs_register(), SQLITE_OK);
    (void)snprintf(path, sizeof path, "%s/tidfs.db", directory);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}
