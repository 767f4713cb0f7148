/* Runs SQL on the database of a store, below everything that tidfs promises but with right checksums of pages, and prints nothing.
 * On failure the error goes to stderr, and it exits 1.
 */
#include <sqlite3.h>
#include <stdio.h>

#include "store/page_vfs.h"

static int run(sqlite3 *db, const char *sql) {
    char *message = NULL;
    int result = sqlite3_exec(db, sql, NULL, NULL, &message);
    if (result != SQLITE_OK)
        (void)fprintf(stderr, "tool_sql: %s: %s\n", sql, message ? message : sqlite3_errstr(result));
    sqlite3_free(message);
    return result;
}

int main(int argc, char **argv) {
    char path[4096];
    sqlite3 *db = NULL;
    if (argc != 3) {
        (void)fputs("usage: tool_sql STORE SQL\n", stderr);
        return 1;
    }
    (void)snprintf(path, sizeof path, "%s/tidfs.db", argv[1]);
    int result = page_vfs_register();
    if (result == SQLITE_OK)
        result = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS);
    if (result != SQLITE_OK)
        (void)fprintf(stderr, "tool_sql: %s: %s\n", path, sqlite3_errstr(result));
    else
        result = run(db, argv[2]);
    if (sqlite3_close(db) != SQLITE_OK)
        result = SQLITE_BUSY;
    return result == SQLITE_OK ? 0 : 1;
}
