/* Repair of stores of which one value is wrong under a right checksum of its page, as no disk does it but a hostile hand or a mistake of ours may: every column of
 * every row in turn, once with the row's checksum made right, once with that left wrong. The repair succeeds (but for what says what kind of store it
 * is), soon, leaves nothing to repair, and makes up no history beyond a few transactions. VALUES=1 tries all, the default every 17th. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "store/repair.h"
#include "tests/hostile.h"

#define TOLD_MAX         10
#define TRANSACTIONS_MAX 4 /* more than before: what was lost with one row, and what the repair itself commits */
#define SECONDS_MAX      2 /* of the processor */

static const char *const values[] = {"0",
                                     "1",
                                     "3",
                                     "%s + 1",
                                     "%s - 1",
                                     "-1",
                                     "12",
                                     "9999",
                                     "300000",
                                     "4000000000",
                                     "4294967295",
                                     "1152921504606846974",
                                     "1152921504606846975",
                                     "1152921504606846976",
                                     "9223372036854775806",
                                     "9223372036854775807",
                                     "x''",
                                     "substr(CAST(%s AS BLOB), 2)",
                                     "'a/b'"};

static const struct {
    const char *table, *columns[10];
} tables[] = {
    {"state",
     {"next_oid", "next_revision", "next_body", "next_subtree", "body_file", "body_end", "horizon", "packed_s",
      "packed_ns"}},
    {"txn", {"seq", "tid", "base", "wall_s", "wall_ns", "objects", "first_revision", "user", "message"}},
    {"revision", {"id", "oid", "part", "seq", "data"}},
    {"body", {"id", "data"}},
    {"entry", {"parent", "idx", "name", "oid", "type", "born"}},
    {"past_entry", {"parent", "idx", "name", "oid", "type", "born", "died", "level"}},
    {"subtree", {"id", "dir", "seq"}},
    {"tag", {"name", "tid"}},
    {"meta", {"key", "value"}},
};

struct walk {
    char base[64], directory[96], database[112];
    uint8_t *whole;
    size_t size;
    int64_t transactions; /* of the store that is whole */
    unsigned tried, repaired, refused, wrong;
};

static void remove_all_but(const char *directory, const char *keep) {
    DIR *list = opendir(directory);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, keep) != 0)
            assert_int_equal(unlinkat(dirfd(list), entry->d_name, 0), 0);
    assert_int_equal(closedir(list), 0);
}

static void put_back(struct walk *walk) {
    remove_all_but(walk->directory, "bodies");
    int fd = open(walk->database, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, walk->whole, walk->size), walk->size);
    assert_int_equal(close(fd), 0);
}

static int64_t count_rows(const struct walk *walk, const char *table) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    char sql[64];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    assert_int_equal(page_vfs_register(), SQLITE_OK);
    assert_int_equal(sqlite3_open_v2(walk->database, &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t count = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return count;
}

/* False if the table does not take such a value. sums: the checksums of rows are made right. */
static bool change(const struct walk *walk, const char *sql, bool sums) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open_v2(walk->database, &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL), SQLITE_OK);
    bool taken = sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK && sqlite3_changes(db) == 1;
    if (sums)
        hostile_sum(db);
    assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return taken;
}

/* What does not hold, or NULL. */
static const char *check_repaired(const struct walk *walk) {
    struct error err = {0};
    struct store *store = NULL;
    struct repair_result again = {0};
    if (store_open(walk->directory, &(struct store_options){.writable = true}, &store, &err) != STORE_OK)
        return "a repaired store opens";
    uint64_t problems = hostile_verify(store);
    store_close(store);
    if (problems != 0)
        return "a repaired store verifies";
    if (count_rows(walk, "txn") > walk->transactions + TRANSACTIONS_MAX)
        return "a repair makes up no history";
    int rc = store_repair(walk->directory, &(struct repair_options){.user = "tester"}, &again, &err);
    bool damaged = again.damaged;
    repair_result_release(&again);
    return rc != STORE_OK || damaged ? "a repaired store needs no repair" : NULL;
}

static double processor_seconds(void) {
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* may_refuse: the value says what the store is. */
static void try_one(struct walk *walk, const char *sql, bool sums, bool may_refuse) {
    struct error err = {0};
    struct repair_result result = {0};
    const char *fault = NULL;
    put_back(walk);
    if (!change(walk, sql, sums))
        return;
    double begin = processor_seconds();
    int rc = store_repair(walk->directory, &(struct repair_options){.user = "tester"}, &result, &err);
    double seconds = processor_seconds() - begin;
    if (rc != STORE_OK && !may_refuse)
        fault = "a repair is not refused";
    else if (rc != STORE_OK)
        fault = strlen(err.text) > 10 ? NULL : "a refusal has a reason";
    else if (seconds > SECONDS_MAX)
        fault = "a repair is done soon";
    else if (result.left != 0)
        fault = "a repair leaves nothing";
    else
        fault = check_repaired(walk);
    walk->tried++;
    walk->repaired += rc == STORE_OK && result.damaged;
    walk->refused += rc != STORE_OK;
    if (fault && walk->wrong++ < TOLD_MAX)
        print_error("does not hold: %s: %s, the row's checksum %s: %s\n", fault, sql, sums ? "right" : "wrong",
                    err.text);
    repair_result_release(&result);
}

static void test_repair_rows__any_value_may_be_wrong(void **state) {
    struct walk *walk = *state;
    const char *text = getenv("VALUES");
    unsigned stride = text ? (unsigned)strtoul(text, NULL, 10) : 17, at = 0;
    if (stride == 0) {
        fail_msg("VALUES=%s is no number above 0", text);
        return;
    }
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        put_back(walk);
        int64_t rows = count_rows(walk, tables[t].table);
        for (unsigned c = 0; c < 10 && tables[t].columns[c]; c++)
            for (int64_t row = 0; row < rows; row++)
                for (size_t v = 0; v < 2 * sizeof values / sizeof values[0]; v++) {
                    char value[96], sql[512];
                    const char *column = tables[t].columns[c], *table = tables[t].table, *key = tables[t].columns[0];
                    if (at++ % stride != 0)
                        continue;
                    if (strcmp(table, "entry") == 0 || strcmp(table, "past_entry") == 0)
                        key = "idx"; /* no two rows have the same */
                    else if (strcmp(table, "state") == 0)
                        key = "id";
                    (void)snprintf(value, sizeof value, values[v / 2], column);
                    (void)snprintf(
                        sql, sizeof sql,
                        "UPDATE OR IGNORE %s SET %s = %s WHERE %s = (SELECT %s FROM %s ORDER BY %s LIMIT 1 OFFSET %d)",
                        table, column, value, key, key, table, key, (int)row);
                    try_one(walk, sql, v % 2 == 0, strcmp(table, "meta") == 0);
                }
    }
    print_message("    VALUES=%u: %u values: %u repaired, %u refused, %u wrong\n", stride, walk->tried, walk->repaired,
                  walk->refused, walk->wrong);
    assert_int_equal(walk->wrong, 0);
}

/* Several values of a row, or of rows, that agree with each other: all checksums right. */
static void test_repair_rows__numbers_that_agree_may_be_absurd(void **state) {
    static const char *const changes[] = {
        "UPDATE revision SET id = 288230376151711744, seq = 4000000000 WHERE id = (SELECT max(id) FROM revision)",
        "UPDATE state SET next_revision = 288230376151711745;"
        "UPDATE txn SET seq = 4000000000, first_revision = 288230376151711744 WHERE seq = (SELECT max(seq) FROM txn);"
        "UPDATE revision SET id = 288230376151711744, seq = 4000000000 WHERE id = (SELECT max(id) FROM revision)",
        "UPDATE state SET next_revision = 288230376151711745;"
        "UPDATE subtree SET seq = 4000000000 WHERE id = (SELECT max(id) FROM subtree)",
        "UPDATE state SET next_oid = 1152921504606846976, next_revision = 1152921504606846976,"
        " next_body = 1152921504606846976, next_subtree = 1152921504606846976;"
        "UPDATE entry SET oid = 1152921504606846975, born = 1152921504606846975 WHERE idx = (SELECT max(idx) FROM "
        "entry)",
    };
    struct walk *walk = *state;
    walk->tried = walk->wrong = 0;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        try_one(walk, changes[i], true, false);
    assert_int_equal(walk->tried, sizeof changes / sizeof changes[0]);
    assert_int_equal(walk->wrong, 0);
}

/* The row is not right, and its seq cannot be: what it was of is told all the same. */
static void test_repair_rows__a_revision_of_no_transaction_is_lost(void **state) {
    struct walk *walk = *state;
    const char *const sql = "UPDATE revision SET seq = 9999 WHERE id = (SELECT max(id) FROM revision)";
    struct error err = {0};
    struct repair_result result = {0};
    put_back(walk);
    assert_true(change(walk, sql, false));
    assert_int_equal(store_repair(walk->directory, &(struct repair_options){.user = "tester"}, &result, &err),
                     STORE_OK);
    assert_int_not_equal(result.losses, 0);
    repair_result_release(&result);
}

/* An inode of a file, or of a link, that says it is the root's. */
static void test_repair_rows__the_root_may_be_no_directory(void **state) {
    struct walk *walk = *state;
    walk->tried = walk->wrong = 0;
    for (int oid = 3; oid < 8; oid++) {
        char sql[256];
        (void)snprintf(sql, sizeof sql,
                       "UPDATE OR IGNORE revision SET oid = 1 WHERE id ="
                       " (SELECT max(id) FROM revision WHERE part = 0 AND data IS NOT NULL AND oid = %d)",
                       oid);
        try_one(walk, sql, true, false);
    }
    assert_int_not_equal(walk->tried, 0);
    assert_int_equal(walk->wrong, 0);
}

static int set_up(void **state) {
    struct walk *walk = calloc(1, sizeof *walk);
    struct stat status;
    assert_non_null(walk);
    strcpy(walk->base, access("/dev/shm", W_OK) == 0 ? "/dev/shm/repair_rows.XXXXXX" : "/tmp/repair_rows.XXXXXX");
    assert_non_null(mkdtemp(walk->base));
    (void)snprintf(walk->directory, sizeof walk->directory, "%s/store", walk->base);
    (void)snprintf(walk->database, sizeof walk->database, "%s/tidfs.db", walk->directory);
    hostile_make_base(walk->directory);
    int fd = open(walk->database, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    walk->size = (size_t)status.st_size;
    walk->whole = malloc(walk->size);
    assert_non_null(walk->whole);
    assert_int_equal(read(fd, walk->whole, walk->size), walk->size);
    assert_int_equal(close(fd), 0);
    walk->transactions = count_rows(walk, "txn");
    *state = walk;
    return 0;
}

static int tear_down(void **state) {
    struct walk *walk = *state;
    char path[112];
    remove_all_but(walk->directory, "bodies");
    (void)snprintf(path, sizeof path, "%s/bodies", walk->directory);
    remove_all_but(path, "");
    assert_int_equal(rmdir(path) | rmdir(walk->directory) | rmdir(walk->base), 0);
    free(walk->whole);
    free(walk);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair_rows__any_value_may_be_wrong),
        cmocka_unit_test(test_repair_rows__numbers_that_agree_may_be_absurd),
        cmocka_unit_test(test_repair_rows__the_root_may_be_no_directory),
        cmocka_unit_test(test_repair_rows__a_revision_of_no_transaction_is_lost),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
