/* verify: rows that have right checksums and break a rule of the format, each of which is told by its own words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite_verify.h"
#include "tests/sample.h"
#include "tests/tamper.h"

/* Right checksums for all rows, whatever has become of them. */
#define SUM_REVISIONS "UPDATE revision SET sum = row_sum(id, oid, part, seq, data);"
#define SUM_ENTRIES   "UPDATE entry SET sum = row_sum(parent, idx, name, oid, type, born);"
#define SUM_PAST      "UPDATE past_entry SET sum = row_sum(parent, idx, name, oid, type, born, died, level);"
#define SUM_STATE                                                                                                      \
    "UPDATE state SET sum = row_sum(next_oid, next_revision, next_body, next_subtree, body_file, body_end, horizon,"   \
    " packed_s, packed_ns);"

/* Whether each look at the clock finds the time of a slice over. */
static bool slices_are_short;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
    static unsigned calls;
    int rc = __real_clock_gettime(clock, now);
    if (slices_are_short && clock == CLOCK_MONOTONIC)
        now->tv_sec += ++calls;
    return rc;
}

/* Rows, of names that lead to an object. */
static size_t names_read;

/* ROLLBACKs until the one that fails; 0: none does. */
static unsigned rollbacks;

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement) {
    if (strstr(sqlite3_sql(statement), "FROM past_entry WHERE oid = ?1"))
        names_read++;
    if (rollbacks > 0 && strcmp(sqlite3_sql(statement), "ROLLBACK") == 0 && --rollbacks == 0)
        return SQLITE_IOERR;
    return __real_sqlite3_step(statement);
}

/* Whether the disk refuses to read body files. */
static bool bodies_are_refused;

ssize_t __real_pread64(int fd, void *buffer, size_t length, off_t position);
ssize_t __wrap_pread64(int fd, void *buffer, size_t length, off_t position);
ssize_t __wrap_pread64(int fd, void *buffer, size_t length, off_t position) {
    char link[64], path[256] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (bodies_are_refused && readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/bodies/")) {
        errno = EIO;
        return -1;
    }
    return __real_pread64(fd, buffer, length, position);
}

struct fixture {
    struct sample *sample;
    char problems[65536]; /* a line each: path, colon, text */
};

/* 2: /dir (2), /dir/file (3). 3: /dir/old (4) and /other (5). 4: they go, /dir/file changes, /dir/sub (6) comes with sub/f (7). */
static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->sample = sample_new(NULL);
    uint64_t dir = sample_make(f->sample, ROOT_OID, "dir", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(f->sample, dir, "file", S_IFREG | 0644, "content");
    sample_commit(f->sample, "two");
    (void)sample_make(f->sample, dir, "old", S_IFREG | 0644, "old content");
    (void)sample_make(f->sample, ROOT_OID, "other", S_IFDIR | 0755, NULL);
    sample_commit(f->sample, "three");
    sample_remove(f->sample, dir, "old");
    sample_remove(f->sample, ROOT_OID, "other");
    sample_write(f->sample, file, "more content");
    sample_set_xattr(f->sample, file, "user.a", "b");
    uint64_t sub = sample_make(f->sample, dir, "sub", S_IFDIR | 0755, NULL);
    (void)sample_make(f->sample, sub, "f", S_IFREG | 0644, "deep");
    sample_commit(f->sample, "four");
    assert_int_equal(storage_tag_set(store_storage(f->sample->store), "v1", 5, false), STORE_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    slices_are_short = bodies_are_refused = false;
    sample_free(f->sample);
    free(f);
    return 0;
}

static void note_problem(void *context, const struct verify_problem *problem) {
    struct fixture *f = context;
    size_t used = strlen(f->problems);
    (void)snprintf(f->problems + used, sizeof f->problems - used, "%.300s: %s\n", problem->path ? problem->path : "-",
                   problem->text);
}

static uint64_t verify(struct fixture *f) {
    const struct verify_options options = {.problem = note_problem, .context = f};
    uint64_t problems;
    f->problems[0] = '\0';
    assert_int_equal(storage_verify(store_storage(f->sample->store), &options, &problems), STORE_OK);
    return problems;
}

static void run_sql(struct fixture *f, const char *sql) {
    change_database(f->sample->directory, sql);
}

static void expect(struct fixture *f, const char *text) {
    uint64_t problems = verify(f);
    if (problems == 0 || !strstr(f->problems, text))
        fail_msg("expected: %s\nfound: %s", text, f->problems);
}

/* The record of an object in a transaction becomes this one. */
static void put_record(struct fixture *f, uint64_t oid, uint64_t seq, const struct inode_record *record) {
    uint8_t *data;
    size_t length;
    char sql[1024];
    assert_int_equal(inode_record_encode(record, &data, &length), STORE_OK);
    assert_true(length < 300);
    int used = snprintf(sql, sizeof sql, "UPDATE revision SET data = x'");
    for (size_t i = 0; i < length; i++)
        used += snprintf(sql + used, sizeof sql - (size_t)used, "%02x", data[i]);
    (void)snprintf(sql + used, sizeof sql - (size_t)used, "' WHERE oid = %u AND part = 0 AND seq = %u;" SUM_REVISIONS,
                   (unsigned)oid, (unsigned)seq);
    run_sql(f, sql);
    free(data);
}

/* Changes a table as if its column had another type: what a page says is not bound to what the schema says. */
static void run_with_schema(struct fixture *f, const char *table, const char *column, const char *other,
                            const char *sql) {
    char change[512];
    (void)snprintf(change, sizeof change,
                   "PRAGMA writable_schema = ON;"
                   "UPDATE sqlite_schema SET sql = replace(sql, '%s', '%s') WHERE name = '%s'",
                   column, other, table);
    run_sql(f, change);
    run_sql(f, sql);
    (void)snprintf(change, sizeof change,
                   "PRAGMA writable_schema = ON;"
                   "UPDATE sqlite_schema SET sql = replace(sql, '%s', '%s') WHERE name = '%s'",
                   other, column, table);
    run_sql(f, change);
}

/* The root page of a table or index becomes unreadable. */
static void damage_root_of(struct fixture *f, const char *name) {
    static const uint8_t zeros[4096];
    char path[128], sql[128];
    sqlite3 *db;
    sqlite3_stmt *statement;
    store_close(f->sample->store);
    (void)snprintf(path, sizeof path, "%s/tidfs.db", f->sample->directory);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    off_t page = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, (page - 1) * (off_t)sizeof zeros), sizeof zeros);
    (void)close(fd);
    const struct store_options options = {0};
    assert_int_equal(store_open(f->sample->directory, &options, &f->sample->store, NULL), STORE_OK);
}

/* ---- transactions and the state ---- */

static void test_rules__the_store_is_sound_to_begin_with(void **state) {
    if (verify(*state) != 0)
        fail_msg("%s", ((struct fixture *)*state)->problems);
}

static void test_rules__the_horizon_is_not_in_the_future(void **state) {
    run_sql(*state, "UPDATE state SET horizon = 5;" SUM_STATE);
    assert_null(strstr(((struct fixture *)*state)->problems, "horizon"));
    run_sql(*state, "UPDATE state SET horizon = 6;" SUM_STATE);
    expect(*state, "-: the horizon is after the newest transaction");
}

static void test_rules__a_store_without_any_transaction_is_not_one(void **state) {
    struct fixture *f = *state;
    run_sql(f, "DELETE FROM txn; UPDATE state SET sum = sum + 1");
    expect(f, "-: the row of the table state is damaged");
    assert_non_null(strstr(f->problems, "belongs to no transaction"));
}

/* ---- objects ---- */

static void test_rules__nothing_comes_back_from_its_end(void **state) {
    run_sql(*state, "UPDATE revision SET data = NULL WHERE oid = 3 AND part = 0 AND seq = 2;" SUM_REVISIONS);
    expect(*state, "/dir/file: it changed in transaction ");
    assert_non_null(strstr(((struct fixture *)*state)->problems, ", after its end"));
}

static void test_rules__a_record_that_is_none_is_told_once(void **state) {
    struct fixture *f = *state;
    run_sql(f, "UPDATE revision SET data = x'ff' WHERE oid = 3 AND part = 0 AND seq = 2;" SUM_REVISIONS);
    expect(f, "/dir/file: its record of transaction ");
    const char *told = strstr(f->problems, "cannot be decoded");
    assert_non_null(told);
    assert_null(strstr(told + 1, "cannot be decoded")); /* not again with the one after it */
    run_sql(f, "UPDATE revision SET data = x'ff' WHERE oid = 2 AND part = 0 AND seq = 3;" SUM_REVISIONS);
    expect(f, "/dir: its record of transaction ");
}

static void test_rules__an_object_keeps_its_type(void **state) {
    const struct inode_record record = {.mode = S_IFIFO | 0644, .nlink = 1};
    put_record(*state, 3, 4, &record);
    expect(*state, "/dir/file: it changed its type in transaction ");
}

static void test_rules__a_directory_ends_empty(void **state) {
    run_sql(*state, "UPDATE revision SET data = NULL WHERE oid = 2 AND part = 0 AND seq = 4;" SUM_REVISIONS);
    expect(*state, "/dir: the directory ended in transaction ");
    assert_non_null(strstr(((struct fixture *)*state)->problems, " with 2 entries"));
}

static void test_rules__a_directory_counts_right(void **state) {
    struct inode_record record = {.mode = S_IFDIR | 0755, .size = 2, .nlink = 9, .parent = ROOT_OID, .next_index = 100};
    put_record(*state, 2, 4, &record);
    expect(*state, " is 9 and should be 3");
    record.nlink = 0; /* as of one that has no name any more, which has no entries either */
    put_record(*state, 2, 4, &record);
    expect(*state, " is 0 and should be 3");
    record.nlink = 3;
    record.size = 7;
    put_record(*state, 2, 4, &record);
    expect(*state, "/dir: the directory has 2 entries in transaction ");
    record.size = 2;
    record.next_index = 4;
    put_record(*state, 2, 4, &record);
    expect(*state, "/dir: the directory's record of transaction ");
    record.next_index = 100;
    put_record(*state, 2, 4, &record);
    assert_int_equal(verify(*state), 0);
}

/* One that was removed while somebody had it open has no name, and no entries. */
static void test_rules__a_directory_without_a_name_may_be_empty(void **state) {
    const struct inode_record record = {.mode = S_IFDIR | 0755, .parent = ROOT_OID, .next_index = ENTRY_INDEX_FIRST};
    put_record(*state, 5, 3, &record);
    (void)verify(*state);
    assert_null(strstr(((struct fixture *)*state)->problems, "the link count of the directory"));
}

/* Its entries of several transactions before, in which it has no record. */
static void test_rules__entries_change_with_their_directory(void **state) {
    struct fixture *f = *state;
    run_sql(f, "DELETE FROM revision WHERE oid = 2 AND part = 0 AND seq < 4");
    expect(f, "/dir: entries changed before transaction ");
    const char *told = strstr(f->problems, "entries changed before");
    assert_null(strstr(told + 1, "entries changed before"));
    run_sql(f, "DELETE FROM revision WHERE oid = 1 AND part = 0 AND seq = 4");
    expect(f, "/: entries changed after transaction ");
}

static void put_on_record(struct fixture *f, const struct loss *loss) {
    struct connection *writer;
    char path[128];
    store_close(f->sample->store);
    (void)snprintf(path, sizeof path, "%s/tidfs.db", f->sample->directory);
    assert_int_equal(connection_open(path, CONNECTION_WRITE, NULL, &writer, NULL), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_BEGIN_WRITE, NULL, 0), STORE_OK);
    assert_int_equal(sqlite_schema_add_losses(writer), STORE_OK);
    assert_int_equal(loss_row_insert(writer, 1, loss), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_COMMIT, NULL, 0), STORE_OK);
    connection_close(writer);
    const struct store_options options = {.writable = true};
    assert_int_equal(store_open(f->sample->directory, &options, &f->sample->store, NULL), STORE_OK);
}

static void test_rules__what_is_on_record_is_no_problem(void **state) {
    struct fixture *f = *state;
    put_on_record(f, &(struct loss){.kind = LOSS_REVISION, .oid = 2, .part = PART_INODE, .seq = 1});
    run_sql(f, "UPDATE revision SET data = NULL WHERE oid = 2 AND part = 0 AND seq = 4;" SUM_REVISIONS);
    (void)verify(f);
    assert_null(strstr(f->problems, "the directory ended in transaction"));
    run_sql(f, "DELETE FROM revision WHERE oid = 2 AND part = 0");
    (void)verify(f);
    assert_null(strstr(f->problems, "/dir: entries changed"));
}

/* Lost is lost, whatever stands in the way of reading it. */
static void test_rules__a_lost_body_stays_lost_on_a_disk_that_refuses(void **state) {
    struct fixture *f = *state;
    uint8_t buffer[16];
    const struct body_ref lost = {.file = 1, .position = 0, .length = 7},
                          other = {.file = 1, .position = 7, .length = 11};
    put_on_record(f, &(struct loss){.kind = LOSS_BODY, .oid = 1, .part = 3, .seq = 0, .until = 7});
    bodies_are_refused = true;
    assert_int_equal(storage_body_read(store_storage(f->sample->store), &lost, buffer), STORE_LOST);
    assert_int_equal(storage_body_read(store_storage(f->sample->store), &other, buffer), STORE_IO);
}

/* The disk may have its bytes still. */
static void test_rules__a_body_that_the_disk_refuses_is_not_called_damaged(void **state) {
    struct fixture *f = *state;
    sample_link(f->sample, 7, 2, "link");
    sample_commit(f->sample, "five");
    bodies_are_refused = true;
    expect(f, "/dir/sub/f: contents of transaction ");
    assert_non_null(strstr(f->problems, "cannot be read: Input/output error: body file 00000001, byte "));
    assert_null(strstr(f->problems, "are damaged"));
    damage_root_of(f, "tag");
    expect(f, "/dir/file: its content or attributes cannot be read");
}

/* ---- entries ---- */

static void test_rules__entries_are_of_transactions_that_exist(void **state) {
    struct fixture *f = *state;
    run_sql(f, "UPDATE entry SET born = 9 WHERE oid = 3;" SUM_ENTRIES);
    expect(f, "the entry file is of a transaction that does not exist");
    run_sql(f, "UPDATE entry SET born = 2 WHERE oid = 3;" SUM_ENTRIES);
    assert_int_equal(verify(f), 0);
    run_sql(f, "UPDATE past_entry SET died = 6, level = 1 WHERE oid = 4;" SUM_PAST); /* 3 to 6 */
    expect(f, "the entry old is of a transaction that does not exist");
}

static void test_rules__a_name_leads_to_one_object_at_a_time(void **state) {
    struct fixture *f = *state;
    run_sql(f, "INSERT INTO past_entry VALUES(2, 90, x'6f6c64', 4, 32768, 3, 4, 0, 0);" SUM_PAST);
    expect(f, "/dir/old: the name old has led to two objects at once");
}

static void test_rules__a_mark_has_a_directory_and_a_place(void **state) {
    struct fixture *f = *state;
    run_sql(f, "UPDATE subtree SET dir = 0 WHERE id = 1");
    expect(f, "-: mark 1 of a change below is out of order");
    run_sql(f, "UPDATE subtree SET dir = 1 WHERE id = 1; UPDATE subtree SET seq = 99 WHERE id = 2");
    expect(f, "mark 2 of a change below is out of order");
}

/* ---- paths ---- */

/* An object whose names lead nowhere is told without a path. */
static void test_rules__paths_are_told_as_far_as_they_lead(void **state) {
    struct fixture *f = *state;
    run_sql(f, "UPDATE revision SET sum = sum + 1 WHERE oid = 3 AND part = 0 AND seq = 2");
    expect(f, "/dir/file: revision ");
    run_sql(f, "UPDATE entry SET parent = 0 WHERE oid = 2");
    expect(f, "-: revision ");
    run_sql(f, "UPDATE entry SET parent = 1 WHERE oid = 2");
    /* Not bytes, or too many of them. */
    run_sql(f, "UPDATE entry SET name = 12345 WHERE oid = 2");
    expect(f, "//file: revision ");
    run_sql(f, "UPDATE entry SET name = zeroblob(300) WHERE oid = 2");
    expect(f, "//file: revision ");
    run_sql(f, "UPDATE entry SET name = x'646972' WHERE oid = 2; UPDATE entry SET parent = 6, idx = 90 WHERE oid = 2");
    expect(f, "-: revision "); /* in a circle: /dir/sub/dir/sub... */
}

/* Of a very deep path the end is told. */
static void test_rules__a_path_may_be_longer_than_what_is_told(void **state) {
    struct fixture *f = *state;
    char name[NAME_BYTES_MAX + 1];
    uint64_t parent = 6;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (int i = 0; i < 70; i++)
        parent = sample_make(f->sample, parent, name, S_IFDIR | 0755, NULL);
    sample_commit(f->sample, "deep");
    assert_int_equal(verify(f), 0);
    char sql[128];
    (void)snprintf(sql, sizeof sql, "UPDATE revision SET sum = sum + 1 WHERE oid = %u", (unsigned)parent);
    run_sql(f, sql);
    expect(f, "/nnnn");
    assert_non_null(strstr(f->problems, "(part 0) is damaged: wrong checksum or values"));
    assert_null(strstr(f->problems, "/dir/sub"));
    /* Nor is it walked to its end when the tree is. */
    run_sql(f, "UPDATE entry SET sum = sum - 0");
    damage_root_of(f, "tag");
    expect(f, "the table tag cannot be read to its end");
}

static void test_rules__a_tag_whose_name_is_none_is_told_without(void **state) {
    struct fixture *f = *state;
    run_with_schema(f, "tag", "name TEXT", "name BLOB", "UPDATE tag SET name = 77");
    expect(f, "-: tag  is damaged: wrong checksum or values");
    run_sql(f, "UPDATE tag SET name = hex(zeroblob(200))");
    expect(f, "-: tag  is damaged: wrong checksum or values");
}

/* ---- what is unreadable ---- */

/* When a table cannot be read to its end, the tree is walked, and what is wrong is told by its path. */
static void test_rules__the_tree_is_walked_when_a_table_is_cut(void **state) {
    struct fixture *f = *state;
    run_sql(f, "UPDATE revision SET data = x'ff' WHERE oid = 3 AND part = 16 AND seq = 4;" SUM_REVISIONS
               /* a directory that is below itself */
               "INSERT INTO entry VALUES(6, 90, x'6c6f6f70', 2, 16384, 4, 0);" SUM_ENTRIES);
    damage_root_of(f, "tag");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/bodies/00000001", f->sample->directory);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "?", 1, lseek(fd, 0, SEEK_END) - 1), 1); /* of the newest: /dir/sub/f */
    (void)close(fd);
    expect(f, "-: the table tag cannot be read to its end");
    assert_non_null(strstr(f->problems, "/dir/file: its content or attributes cannot be read"));
    assert_non_null(strstr(f->problems, "/dir/sub/f: its content or attributes cannot be read"));
    assert_null(strstr(f->problems, "/loop/file"));
}

static void test_rules__entries_that_cannot_be_listed_are_told_of_their_directory(void **state) {
    struct fixture *f = *state;
    run_sql(f, "UPDATE entry SET sum = sum + 1 WHERE oid = 7");
    damage_root_of(f, "tag");
    expect(f, "/dir/sub: its entries cannot be read");
}

static void count_loss(void *context, const struct loss *loss) {
    (void)loss;
    ++*(unsigned *)context;
}

/* A repair, which has read all that can be read, does not walk. */
static void test_rules__who_puts_on_record_does_not_walk(void **state) {
    struct fixture *f = *state;
    const struct verify_options options = {.problem = note_problem, .context = f};
    uint64_t problems = 0;
    unsigned losses = 0;
    run_sql(f, "UPDATE revision SET sum = sum + 1 WHERE oid = 3 AND part = 16 AND seq = 4");
    damage_root_of(f, "tag");
    assert_int_equal(sqlite_verify_noting(store_storage(f->sample->store), &options, &problems, count_loss, &losses),
                     STORE_OK);
    assert_true(problems > 0);
    assert_null(strstr(f->problems, "its content or attributes cannot be read"));
}

/* ---- slices ---- */

/* However short they are, the same is found; and where a damaged key does not say where to go on, the scan goes on without. */
static void test_rules__slices_may_be_as_short_as_a_row(void **state) {
    struct fixture *f = *state;
    slices_are_short = true;
    if (verify(f) != 0)
        fail_msg("%s", f->problems);
    run_sql(f, "UPDATE past_entry SET name = 'text' WHERE oid = 4;" SUM_PAST);
    run_sql(f, "UPDATE past_entry SET name = zeroblob(300) WHERE oid = 5;" SUM_PAST);
    expect(f, "/: an entry of the directory is damaged: wrong checksum or values (index 4)");
}

static void test_rules__a_slice_that_cannot_end_ends_the_run(void **state) {
    struct fixture *f = *state;
    const struct verify_options options = {.problem = note_problem, .context = f};
    uint64_t problems;
    slices_are_short = true;
    for (unsigned nth = 1;; nth++) {
        rollbacks = nth;
        int rc = storage_verify(store_storage(f->sample->store), &options, &problems);
        if (rollbacks > 0) { /* there were fewer */
            rollbacks = 0;
            assert_int_equal(rc, STORE_OK);
            assert_true(nth > 20);
            break;
        }
        assert_true(rc == STORE_IO || rc == STORE_OK); /* the last one comes when all is done */
    }
    assert_string_equal(f->problems, "");
}

static void test_rules__a_damaged_state_is_told_once_in_many_slices(void **state) {
    struct fixture *f = *state;
    slices_are_short = true;
    run_sql(f, "UPDATE state SET sum = sum + 1");
    assert_int_equal(verify(f), 1);
    assert_string_equal(f->problems, "-: the row of the table state is damaged\n");
}

/* One file moves to and fro, with a second name that stays and others that come and go. Reading all its names for each of its revisions would
 * be a matter of hours, in a store where files were renamed ten thousand times. */
static void test_rules__names_of_a_file_that_was_renamed_often_are_read_once(void **state) {
    enum { MOVES = 200 };
    struct fixture *f = *state;
    struct sample *s = f->sample;
    uint64_t file = sample_make(s, ROOT_OID, "a0", S_IFREG | 0644, "often");
    sample_link(s, file, 2, "stays");
    sample_commit(s, "made");
    for (unsigned i = 0; i < MOVES; i++) {
        char old[16], new[16];
        (void)snprintf(old, sizeof old, "a%u", i);
        (void)snprintf(new, sizeof new, "a%u", i + 1);
        sample_move(s, ROOT_OID, old, ROOT_OID, new);
        if (i % 3 == 0)
            sample_link(s, file, 2, "other");
        else if (i % 3 == 1)
            sample_remove(s, 2, "other");
        sample_commit(s, new);
    }
    names_read = 0;
    assert_int_equal(verify(f), 0);
    assert_true(names_read < (size_t)10 * MOVES);
    slices_are_short = true; /* the store may go on meanwhile */
    assert_int_equal(verify(f), 0);
    slices_are_short = false;
    /* What is wrong with one of them is found as before, and told of that time alone. */
    run_sql(f, "DELETE FROM past_entry WHERE name = x'613530'");
    uint64_t problems = verify(f);
    assert_true(problems > 0 && problems < 10);
    assert_non_null(strstr(f->problems, "and it has "));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_rules__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_store_is_sound_to_begin_with),
        TEST(names_of_a_file_that_was_renamed_often_are_read_once),
        TEST(the_horizon_is_not_in_the_future),
        TEST(a_store_without_any_transaction_is_not_one),
        TEST(nothing_comes_back_from_its_end),
        TEST(a_record_that_is_none_is_told_once),
        TEST(an_object_keeps_its_type),
        TEST(a_directory_ends_empty),
        TEST(a_directory_counts_right),
        TEST(a_directory_without_a_name_may_be_empty),
        TEST(what_is_on_record_is_no_problem),
        TEST(a_lost_body_stays_lost_on_a_disk_that_refuses),
        TEST(a_slice_that_cannot_end_ends_the_run),
        TEST(a_body_that_the_disk_refuses_is_not_called_damaged),
        TEST(entries_change_with_their_directory),
        TEST(entries_are_of_transactions_that_exist),
        TEST(a_name_leads_to_one_object_at_a_time),
        TEST(a_mark_has_a_directory_and_a_place),
        TEST(paths_are_told_as_far_as_they_lead),
        TEST(a_path_may_be_longer_than_what_is_told),
        TEST(a_tag_whose_name_is_none_is_told_without),
        TEST(the_tree_is_walked_when_a_table_is_cut),
        TEST(entries_that_cannot_be_listed_are_told_of_their_directory),
        TEST(who_puts_on_record_does_not_walk),
        TEST(slices_may_be_as_short_as_a_row),
        TEST(a_damaged_state_is_told_once_in_many_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
