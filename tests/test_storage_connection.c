/* Connections: how they are opened, what is made of SQLite's results, the pool, and readers that get none. */
#include "tests/storage_fixture.h"

#include <errno.h>
#include <sqlite3.h>

#include "store/storage_sqlite.h"
#include "store/storage_sqlite_errno.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct connection *open_connection(struct fixture *f, enum connection_kind kind) {
    struct connection *connection;
    struct error err = {0};
    if (connection_open(fixture_path(f, "tidfs.db"), kind, &f->log, &connection, &err) != STORE_OK)
        fail_msg("%s", err.text);
    return connection;
}

/* ---- results ---- */

static void test_connection__each_result_is_an_error_of_the_store(void **state) {
    struct fixture *f = *state;
    static const struct {
        int result, error;
    } results[] = {
        {SQLITE_OK, STORE_OK},
        {SQLITE_ROW, STORE_OK},
        {SQLITE_DONE, STORE_OK},
        {SQLITE_NOMEM, STORE_NO_MEMORY},
        {SQLITE_IOERR_NOMEM, STORE_NO_MEMORY},
        {SQLITE_FULL, STORE_FULL},
        {SQLITE_READONLY, STORE_READ_ONLY},
        {SQLITE_READONLY_CANTLOCK, STORE_READ_ONLY},
        {SQLITE_PERM, STORE_READ_ONLY},
        {SQLITE_AUTH, STORE_READ_ONLY},
        {SQLITE_CORRUPT, STORE_CORRUPT},
        {SQLITE_CORRUPT_INDEX, STORE_CORRUPT},
        {SQLITE_NOTADB, STORE_CORRUPT},
        {SQLITE_IOERR_DATA, STORE_CORRUPT},
        {SQLITE_IOERR_CORRUPTFS, STORE_CORRUPT},
        {SQLITE_BUSY, STORE_LOCKED},
        {SQLITE_BUSY_SNAPSHOT, STORE_LOCKED},
        {SQLITE_LOCKED, STORE_LOCKED},
        {SQLITE_CONSTRAINT_UNIQUE, STORE_INVALID},
        {SQLITE_TOOBIG, STORE_TOO_BIG},
        {SQLITE_IOERR_SHMMAP, STORE_IO}, /* there is room */
        {SQLITE_IOERR_SHMSIZE, STORE_IO},
        {SQLITE_IOERR_SHORT_READ, STORE_IO},
        {SQLITE_MISUSE, STORE_IO},
    };
    struct connection *reader = open_connection(f, CONNECTION_READ);
    for (size_t i = 0; i < COUNT(results); i++) {
        f->log_text[0] = '\0';
        int rc = connection_failed(reader, results[i].result, "try", i % 2 == 0 ? NULL : "SELECT 1");
        if (rc != results[i].error)
            fail_msg("%d is %d and not %d", results[i].result, rc, results[i].error);
        assert_int_equal(strstr(f->log_text, "cannot try") != NULL,
                         rc != STORE_FULL && rc != STORE_READ_ONLY); /* who is refused for those tells it himself */
    }
    connection_close(reader);
}

static void test_connection__long_statements_are_cut_in_the_log(void **state) {
    struct fixture *f = *state;
    char statement[400];
    struct connection *reader = open_connection(f, CONNECTION_READ);
    memset(statement, 'y', sizeof statement - 1);
    statement[sizeof statement - 1] = '\0';
    assert_int_equal(connection_failed(reader, SQLITE_MISUSE, "run", statement), STORE_IO);
    assert_non_null(strstr(f->log_text, "yyy...`"));
    connection_close(reader);
}

/* Of a database that could not be opened SQLite does not even know the name. */
static void test_connection__results_without_a_database_are_told(void **state) {
    struct connection none = {0};
    struct error err = {0};
    struct connection *reader;
    (void)state;
    assert_int_equal(sqlite3_open_v2("/tmp/test_storage.missing/tidfs.db", &none.db, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_CANTOPEN);
    assert_null(sqlite3_db_filename(none.db, "main"));
    assert_int_equal(connection_failed(&none, SQLITE_IOERR_SHMMAP, "map", NULL), STORE_IO);
    assert_int_equal(sqlite3_close(none.db), SQLITE_OK);
    assert_int_not_equal(connection_open("/tmp/test_storage.missing/tidfs.db", CONNECTION_READ, NULL, &reader, &err),
                         STORE_OK);
    assert_non_null(strstr(err.text, "No such file or directory"));
}

/* A journal in memory has no file, so no errno. */
static void test_connection__a_journal_in_memory_has_no_errno(void **state) {
    sqlite3 *db;
    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA journal_mode = MEMORY; CREATE TABLE t(x); BEGIN; INSERT INTO t VALUES(1)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite_result_errno(db, SQLITE_CORRUPT), 0);
    assert_int_equal(sqlite_result_errno(db, SQLITE_IOERR_SHORT_READ), 0);
    assert_int_equal(sqlite_result_errno(db, SQLITE_CONSTRAINT), 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_connection__a_rolled_back_connection_stays_so(void **state) {
    struct fixture *f = *state;
    struct connection *writer = open_connection(f, CONNECTION_WRITE);
    assert_int_equal(connection_rollback(writer), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_BEGIN_WRITE, NULL, 0), STORE_OK);
    assert_int_equal(connection_rollback(writer), STORE_OK);
    assert_true(sqlite3_get_autocommit(writer->db));
    connection_close(writer);
}

/* ---- opening ---- */

/* SQLite takes paths as URIs here, in which these bytes mean something. */
static void test_connection__odd_bytes_in_a_path_are_just_that(void **state) {
    static const char *const names[] = {"100%41", "what?mode=memory", "a#b", "plain"};
    char parent[] = "/tmp/test_storage.XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(parent));
    for (size_t i = 0; i < COUNT(names); i++) {
        struct storage_open_options options = {.writable = true};
        struct storage *storage;
        struct error err = {0};
        char path[128], file[160];
        (void)snprintf(path, sizeof path, "%s/%s", parent, names[i]);
        (void)snprintf(file, sizeof file, "%s/tidfs.db", path);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(storage_sqlite_create(path, &err), STORE_OK);
        assert_int_equal(access(file, F_OK), 0);
        if (storage_sqlite_open(path, &options, &storage, &err) != STORE_OK)
            fail_msg("%s", err.text);
        storage_close(storage);
    }
    assert_int_equal(remove_tree(parent), 0);
}

/* ---- the pool ---- */

static void test_connection__a_pool_changes_over_when_all_are_given_back(void **state) {
    struct fixture *f = *state;
    struct connection_pool pool;
    struct connection *first, *second;
    storage_close(f->storage);
    f->storage = NULL;
    assert_int_equal(connection_pool_init(&pool, fixture_path(f, "tidfs.db"), CONNECTION_READ_IMMUTABLE, &f->log),
                     STORE_OK);
    assert_int_equal(connection_pool_take(&pool, &first), STORE_OK);
    assert_int_equal(connection_pool_take(&pool, &second), STORE_OK);
    connection_pool_give(&pool, second);
    assert_true(connection_pool_change(&pool, CONNECTION_READ_IMMUTABLE)); /* they are all of that kind */
    assert_false(connection_pool_change(&pool, CONNECTION_READ));
    assert_false(connection_pool_change(&pool, CONNECTION_READ));
    assert_int_equal(connection_pool_take(&pool, &second), STORE_OK);
    assert_int_equal(second->kind, CONNECTION_READ);
    connection_pool_give(&pool, first); /* closes it */
    assert_ptr_equal(pool.idle, NULL);
    assert_true(connection_pool_change(&pool, CONNECTION_READ));
    connection_pool_give(&pool, second);
    assert_ptr_equal(pool.idle, second);
    connection_pool_release(&pool);
    open_store(f, true);
}

/* Between begin and end a thread reads by one connection, from one snapshot until it is told to renew it. */
static void test_connection__reads_belong_together(void **state) {
    struct fixture *f = *state;
    struct connection_pool pool, other;
    struct connection *first, *second;
    char path[128], away[160];
    strcpy(path, fixture_path(f, "tidfs.db"));
    assert_int_equal(connection_pool_init(&pool, path, CONNECTION_READ, &f->log), STORE_OK);
    assert_int_equal(connection_pool_init(&other, path, CONNECTION_READ, &f->log), STORE_OK);
    connection_pool_end_reads(&pool); /* of none */
    connection_pool_begin_reads(&pool);
    connection_pool_begin_reads(&pool);
    connection_pool_begin_reads(&other); /* of one pool at a time */
    assert_int_equal(connection_pool_take(&pool, &first), STORE_OK);
    assert_false(sqlite3_get_autocommit(first->db));
    connection_pool_give(&pool, first);
    assert_int_equal(connection_pool_take(&pool, &second), STORE_OK);
    assert_ptr_equal(second, first);
    connection_pool_give(&pool, second);
    connection_pool_renew(&pool);
    assert_int_equal(connection_pool_take(&pool, &second), STORE_OK);
    assert_ptr_equal(second, first);
    assert_false(sqlite3_get_autocommit(first->db));
    assert_int_equal(connection_pool_take(&other, &second), STORE_OK);
    assert_true(sqlite3_get_autocommit(second->db));
    connection_pool_give(&other, second);
    connection_pool_end_reads(&other);
    connection_pool_end_reads(&pool);
    assert_null(pool.idle);
    assert_int_equal(statement_run(first, STATEMENT_ROLLBACK, NULL, 0), STORE_OK); /* as an error may have done */
    connection_pool_end_reads(&pool);
    assert_ptr_equal(pool.idle, first);
    connection_pool_begin_reads(&pool); /* and nothing is read */
    connection_pool_end_reads(&pool);
    connection_pool_end_reads(&pool); /* of none again */
    connection_pool_release(&pool);

    assert_int_equal(connection_pool_init(&pool, path, CONNECTION_READ, &f->log), STORE_OK);
    (void)snprintf(away, sizeof away, "%s/away", f->directory);
    assert_int_equal(rename(path, away), 0);
    connection_pool_begin_reads(&pool);
    assert_int_equal(connection_pool_take(&pool, &first), STORE_IO);
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(connection_pool_take(&pool, &first), STORE_OK);
    connection_pool_give(&pool, first);
    connection_pool_end_reads(&pool);
    connection_pool_release(&pool);
    connection_pool_release(&other);
}

/* Of a large file the neighbourhood of a page is read ahead, of a small one all of it: the page is the same. */
static void test_connection__large_files_are_read_as_small_ones(void **state) {
    struct fixture *f = *state;
    commit_tree(f);
    storage_close(f->storage);
    f->storage = NULL;
    int fd = open(fixture_path(f, "tidfs.db"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, INT64_C(64) << 20), 0);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    (void)close(fd);
    open_store(f, false);
    assert_string_equal(list(f, ROOT_OID, 2), "two,five,six,");
}

/* ---- readers without a connection ---- */

static int lookup_it(struct storage *storage) {
    struct entry entry;
    return storage_lookup(storage, ROOT_OID, "two", 3, 2, &entry);
}

static int list_it(struct storage *storage) {
    struct entry_list entries;
    return storage_list(storage, ROOT_OID, 2, &entries);
}

static int list_from_it(struct storage *storage) {
    struct entry_list entries;
    return storage_list_from(storage, ROOT_OID, 2, 0, 5, &entries);
}

static int links_it(struct storage *storage) {
    struct entry_list entries;
    return storage_links(storage, 4, 2, &entries);
}

static int named_it(struct storage *storage) {
    struct entry_list entries;
    return storage_named(storage, ROOT_OID, "two", 3, &entries);
}

static int get_state_it(struct storage *storage) {
    struct storage_state now;
    return storage_get_state(storage, &now);
}

static int load_it(struct storage *storage) {
    struct revision revision;
    enum load_outcome outcome;
    return storage_load_before(storage, ROOT_OID, PART_INODE, 2, &outcome, &revision);
}

static int load_revision_it(struct storage *storage) {
    struct revision revision;
    return storage_load_revision(storage, 1, &revision);
}

static int next_part_it(struct storage *storage) {
    uint64_t part;
    return storage_next_part(storage, ROOT_OID, 0, 2, &part);
}

static int subtree_it(struct storage *storage) {
    struct subtree subtree;
    return storage_subtree(storage, ROOT_OID, 2, &subtree);
}

static int changed_it(struct storage *storage) {
    uint64_t *oids = NULL;
    size_t count = 0;
    return storage_changed(storage, 0, 2, &oids, &count);
}

static int revisions_between_it(struct storage *storage) {
    uint64_t count;
    return storage_revisions_between(storage, 0, 2, &count);
}

static int body_read_it(struct storage *storage) {
    uint8_t buffer[16];
    const struct body_ref ref = {.position = 1, .length = 3};
    return storage_body_read(storage, &ref, buffer);
}

static int transaction_before_it(struct storage *storage) {
    struct transaction transaction;
    return storage_transaction_before(storage, UINT64_MAX, &transaction);
}

static int transaction_at_it(struct storage *storage) {
    struct transaction transaction;
    return storage_transaction_at(storage, 1, &transaction);
}

static int touched_it(struct storage *storage) {
    uint64_t seq;
    return storage_touched(storage, 4, 2, &seq);
}

static int tag_get_it(struct storage *storage) {
    uint64_t tid;
    return storage_tag_get(storage, "t", &tid);
}

static int tag_list_it(struct storage *storage) {
    struct tag *tags;
    size_t count;
    return storage_tag_list(storage, &tags, &count);
}

/* No answer is no answer: least of all that something is not there. */
static void test_connection__without_one_no_question_is_answered(void **state) {
    static int (*const questions[])(struct storage *) = {
        lookup_it,         list_it,
        list_from_it,      links_it,
        named_it,          get_state_it,
        load_it,           load_revision_it,
        next_part_it,      subtree_it,
        changed_it,        revisions_between_it,
        body_read_it,      transaction_before_it,
        transaction_at_it, touched_it,
        tag_get_it,        tag_list_it,
    };
    struct fixture *f = *state;
    struct connection *taken;
    char away[160];
    commit_tree(f);
    reopen(f, false);
    struct connection_pool *pool = &sqlite_storage_of(f->storage)->readers;
    assert_int_equal(connection_pool_take(pool, &taken), STORE_OK);
    assert_null(pool->idle);
    (void)snprintf(away, sizeof away, "%s/away", f->directory);
    assert_int_equal(rename(fixture_path(f, "tidfs.db"), away), 0);
    for (size_t i = 0; i < COUNT(questions); i++) {
        f->log_text[0] = '\0';
        int rc = questions[i](f->storage);
        if (rc != STORE_IO)
            fail_msg("question %zu: %d", i, rc);
        bool state_asked = questions[i] == get_state_it; /* which looks whether the file is still there */
        assert_non_null(strstr(f->log_text, state_asked ? "was replaced or removed" : "No such file or directory"));
    }
    assert_int_equal(pool->count, 1);
    assert_int_equal(rename(away, fixture_path(f, "tidfs.db")), 0);
    connection_pool_give(pool, taken);
    assert_string_equal(list(f, ROOT_OID, 2), "two,five,six,");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_connection__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_result_is_an_error_of_the_store),
        TEST(long_statements_are_cut_in_the_log),
        cmocka_unit_test(test_connection__results_without_a_database_are_told),
        cmocka_unit_test(test_connection__a_journal_in_memory_has_no_errno),
        TEST(a_rolled_back_connection_stays_so),
        cmocka_unit_test(test_connection__odd_bytes_in_a_path_are_just_that),
        TEST(a_pool_changes_over_when_all_are_given_back),
        TEST(reads_belong_together),
        TEST(large_files_are_read_as_small_ones),
        TEST(without_one_no_question_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
