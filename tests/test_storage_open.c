/* What stands in the way of making a store and of opening one, and who may write beside whom. */
#include "tests/storage_fixture.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "store/lock.h"

/* Whether the next ROLLBACK fails. */
static bool rollback_fails;

/* Who commits between two looks of somebody who opens the store; NULL: nobody. */
static struct fixture *commits_beside;
static void commit_root_again(struct fixture *f);

int __real_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement);
int __wrap_sqlite3_step(sqlite3_stmt *statement) {
    if (rollback_fails && strcmp(sqlite3_sql(statement), "ROLLBACK") == 0) {
        rollback_fails = false;
        return SQLITE_IOERR;
    }
    if (commits_beside && strstr(sqlite3_sql(statement), "(SELECT max(id) FROM subtree)")) {
        struct fixture *f = commits_beside;
        commits_beside = NULL;
        commit_root_again(f);
    }
    return __real_sqlite3_step(statement);
}

static void commit_root_again(struct fixture *f) {
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "again");
    commit(f);
}

static int make_in(const char *directory, struct error *err) {
    *err = (struct error){0};
    return storage_sqlite_create(directory, err);
}

static void test_storage_open__a_directory_of_bodies_that_is_none_of_ours_is_kept(void **state) {
    char directory[] = "/tmp/test_storage.XXXXXX", bodies[64], file[96];
    struct error err;
    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(bodies, sizeof bodies, "%s/bodies", directory);
    (void)snprintf(file, sizeof file, "%s/something", bodies);
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0)
            assert_int_equal(mkdir(bodies, 0700), 0);
        int fd = open(kind == 0 ? file : bodies, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
        assert_int_equal(make_in(directory, &err), STORE_EXISTS);
        assert_non_null(strstr(err.text, "is not empty"));
        assert_int_equal(unlink(kind == 0 ? file : bodies), 0);
        if (kind == 0)
            assert_int_equal(rmdir(bodies), 0);
    }
    assert_int_equal(make_in(directory, &err), STORE_OK);
    assert_int_equal(remove_tree(directory), 0);
}

static void test_storage_open__two_do_not_make_one_at_a_time(void **state) {
    char directory[] = "/tmp/test_storage.XXXXXX";
    struct error err;
    (void)state;
    assert_non_null(mkdtemp(directory));
    int other = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(other >= 0);
    assert_int_equal(flock(other, LOCK_EX), 0);
    assert_int_equal(make_in(directory, &err), STORE_LOCKED);
    assert_non_null(strstr(err.text, "another process is making a store in"));
    (void)close(other);
    assert_int_equal(make_in(directory, &err), STORE_OK);
    assert_int_equal(remove_tree(directory), 0);
}

static void test_storage_open__a_database_that_is_no_file_is_none(void **state) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct storage_open_options options = {.writable = true};
    char directory[] = "/tmp/test_storage.XXXXXX";
    struct storage *storage;
    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/tidfs.db", directory);
    for (int kind = 0; kind < 4; kind++) {
        struct error err = {0};
        if (kind == 0) {
            int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
            (void)close(listener);
        } else if (kind == 1) {
            assert_int_equal(mkfifo(address.sun_path, 0600), 0);
        } else if (kind == 2) {
            assert_int_equal(symlink("/dev/null", address.sun_path), 0);
        } else {
            assert_int_equal(mkdir(address.sun_path, 0700), 0);
        }
        assert_int_equal(storage_sqlite_open(directory, &options, &storage, &err), STORE_NOT_A_STORE);
        assert_non_null(strstr(err.text, "its tidfs.db is no regular file"));
        assert_int_equal(remove(address.sun_path), 0);
    }
    assert_int_equal(rmdir(directory), 0);
}

/* The state was read before a commit, and the ids in use after it: `tidfs tag` called the store damaged, once in some thousand times. */
static void test_storage_open__a_commit_beside_looks_like_no_damage(void **state) {
    struct fixture *f = *state;
    struct storage *other;
    struct error err = {0};
    commit_root(f);
    assert_int_equal(storage_sqlite_open(f->directory, &(struct storage_open_options){.log = &f->log}, &other, &err),
                     STORE_OK);
    commits_beside = f;
    assert_int_equal(storage_tag_set(other, "beside", 5, false), STORE_OK);
    storage_close(other);
    commits_beside = f;
    if (storage_sqlite_open(f->directory, &(struct storage_open_options){.writable = true, .log = &f->log}, &other,
                            &err) != STORE_OK)
        fail_msg("%s", err.text);
    assert_null(commits_beside);
    storage_close(other);
}

/* What is committed would be lost with the file that has gone. */
static void test_storage_open__another_database_in_its_place_is_not_taken_for_it(void **state) {
    struct fixture *f = *state;
    char path[128], kept[140], moved[140];
    struct storage *reader;
    struct storage_state now;
    struct error err = {0};
    commit_root(f);
    assert_int_equal(storage_sqlite_open(f->directory, &(struct storage_open_options){.log = &f->log}, &reader, &err),
                     STORE_OK);
    (void)snprintf(path, sizeof path, "%s", fixture_path(f, "tidfs.db"));
    (void)snprintf(kept, sizeof kept, "%s.kept", path);
    for (int gone = 0; gone < 2; gone++) {
        f->log_text[0] = '\0';
        assert_int_equal(rename(path, kept), 0);
        int fd = gone ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "again");
        assert_int_equal(try_commit(f), STORE_LOCKED);
        assert_int_equal(try_commit(f), STORE_LOCKED);
        assert_int_equal(storage_get_state(reader, &now), STORE_IO);
        const char *told = strstr(f->log_text, "was replaced or removed while it is in use");
        assert_non_null(told);
        assert_int_equal(rename(kept, path), 0);
        assert_int_equal(try_commit(f), STORE_OK);
        assert_int_equal(storage_get_state(reader, &now), STORE_OK);
        if (fd >= 0)
            (void)close(fd);
    }
    /* Moved as a whole it is still itself, but for who would open it anew by its old name. */
    (void)snprintf(moved, sizeof moved, "%s.moved", f->directory);
    assert_int_equal(rename(f->directory, moved), 0);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "moved");
    assert_int_equal(try_commit(f), STORE_OK);
    assert_int_equal(storage_get_state(reader, &now), STORE_OK);
    assert_int_equal(rename(moved, f->directory), 0);
    storage_close(reader);
}

/* Tags are set beside a writer that goes on, and without one. */
static void test_storage_open__tags_are_set_beside_a_writer(void **state) {
    struct fixture *f = *state;
    struct storage_open_options options = {.log = &f->log};
    struct storage *other;
    struct writer_lock *lock;
    uint64_t tid;
    commit_root(f);
    assert_int_equal(writer_lock_acquire(f->directory, "", &lock, NULL), STORE_OK);
    assert_int_equal(storage_sqlite_open(f->directory, &options, &other, NULL), STORE_OK);
    assert_int_equal(storage_tag_set(other, "beside", 5, false), STORE_OK);
    assert_int_equal(storage_tag_get(f->storage, "beside", &tid), STORE_OK);
    assert_int_equal(tid, 5);
    storage_close(other);
    writer_lock_release(lock);
    assert_int_equal(storage_sqlite_open(f->directory, &options, &other, NULL), STORE_OK);
    assert_int_equal(storage_tag_set(other, "alone", 6, false), STORE_OK);
    storage_close(other);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    commit(f);
    assert_int_equal(storage_tag_get(f->storage, "alone", &tid), STORE_OK);
}

/* Opens a store whose database was changed like this, and closes it. */
static int open_changed(struct fixture *f, const char *sql, struct error *err) {
    const struct storage_open_options options = {0};
    *err = (struct error){0};
    storage_close(f->storage);
    f->storage = NULL;
    run_sql(f, sql);
    int rc = storage_sqlite_open(f->directory, &options, &f->storage, err);
    if (rc != STORE_OK)
        f->storage = NULL;
    return rc;
}

/* Each definition is to be ours to the letter. */
static void test_storage_open__other_tables_are_refused(void **state) {
#define WRITABLE "PRAGMA writable_schema = ON;"
    static const struct {
        const char *change, *undo;
    } changes[] = {
        /* of the same length */
        {"UPDATE sqlite_schema SET sql = replace(sql, 'tid INTEGER', 'Tid INTEGER')",
         "UPDATE sqlite_schema SET sql = replace(sql, 'Tid INTEGER', 'tid INTEGER')"},
        {"UPDATE sqlite_schema SET sql = replace(sql, 'tid INTEGER', 'tid  INTEGER')",
         "UPDATE sqlite_schema SET sql = replace(sql, 'tid  INTEGER', 'tid INTEGER')"},
        /* one more, and one that says nothing */
        {"CREATE TABLE other(x)", "DROP TABLE other"},
        {"UPDATE sqlite_schema SET sql = '' WHERE name LIKE 'sqlite_autoindex_txn%'",
         "UPDATE sqlite_schema SET sql = NULL WHERE name LIKE 'sqlite_autoindex_txn%'"},
        {"INSERT INTO sqlite_schema SELECT type, name, tbl_name, rootpage, '' FROM sqlite_schema"
         " WHERE name LIKE 'sqlite_autoindex_txn%'",
         "DELETE FROM sqlite_schema WHERE sql = ''"},
    };
    struct fixture *f = *state;
    struct error err;
    char sql[512];
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        (void)snprintf(sql, sizeof sql, WRITABLE "%s", changes[i].change);
        assert_int_equal(open_changed(f, sql, &err), STORE_CORRUPT);
        assert_non_null(strstr(err.text, "its tables are not those of a store"));
        (void)snprintf(sql, sizeof sql, WRITABLE "%s", changes[i].undo);
        assert_int_equal(open_changed(f, sql, &err), STORE_OK);
    }
}

static void test_storage_open__versions_must_agree(void **state) {
    static const char *const changes[] = {"UPDATE meta SET value = 2 WHERE key = 'format'",
                                          "UPDATE meta SET value = 0 WHERE key = 'format'; PRAGMA user_version = 0",
                                          "DELETE FROM meta WHERE key = 'format'; PRAGMA user_version = 1"};
    struct fixture *f = *state;
    struct error err;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        assert_int_equal(open_changed(f, changes[i], &err), STORE_CORRUPT);
        assert_non_null(strstr(err.text, "its format version is given as"));
    }
    assert_int_equal(open_changed(f, "INSERT INTO meta VALUES('format', 1)", &err), STORE_OK);
}

/* Whatever the connection has got into: another one sees what is committed. */
static void test_storage_open__a_commit_that_cannot_be_taken_back_costs_the_connection(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    end(f, ROOT_OID, 77); /* which is not there */
    rollback_fails = true;
    assert_int_equal(try_commit(f), STORE_INVALID);
    assert_false(rollback_fails);
    assert_non_null(strstr(f->log_text, "cannot roll back; opening it anew"));
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "root 1");
    /* As long as no other can be opened, nothing is committed. */
    char away[160];
    (void)snprintf(away, sizeof away, "%s/away", f->directory);
    assert_int_equal(rename(fixture_path(f, "tidfs.db"), away), 0);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    assert_int_not_equal(try_commit(f), STORE_OK);
    assert_int_equal(rename(away, fixture_path(f, "tidfs.db")), 0);
    commit(f);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "root 2");
}

static void test_storage_open__a_file_has_no_stores_below_it(void **state) {
    struct fixture *f = *state;
    const struct storage_open_options options = {0};
    struct storage *storage;
    struct error err = {0};
    assert_int_equal(storage_sqlite_open(fixture_path(f, "tidfs.db/below"), &options, &storage, &err),
                     STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "there is no store at"));
}

static void test_storage_open__ids_of_bodies_come_to_an_end(void **state) {
    struct fixture *f = *state;
    uint64_t first = 0;
    assert_int_equal(storage_body_reserve(f->storage, 10, &first), STORE_OK);
    assert_int_equal(storage_body_reserve(f->storage, INT64_MAX, &first), STORE_FULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_storage_open__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage_open__a_directory_of_bodies_that_is_none_of_ours_is_kept),
        cmocka_unit_test(test_storage_open__two_do_not_make_one_at_a_time),
        cmocka_unit_test(test_storage_open__a_database_that_is_no_file_is_none),
        TEST(tags_are_set_beside_a_writer),
        TEST(a_commit_beside_looks_like_no_damage),
        TEST(another_database_in_its_place_is_not_taken_for_it),
        TEST(other_tables_are_refused),
        TEST(versions_must_agree),
        TEST(a_commit_that_cannot_be_taken_back_costs_the_connection),
        TEST(a_file_has_no_stores_below_it),
        TEST(ids_of_bodies_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
