/* Reads that share a snapshot (storage_begin_reads): what they see of commits, and that they end. */
#include <sqlite3.h>

#include "tests/storage_fixture.h"

static void commit_root_as(struct fixture *f, const char *data) {
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, data);
    commit(f);
}

/* The root's record as of now, and when it ends. */
static void expect_root(struct storage *storage, uint64_t before, const char *data, uint64_t until) {
    enum load_outcome outcome;
    struct revision revision;
    assert_int_equal(storage_load_before(storage, ROOT_OID, PART_INODE, before, &outcome, &revision), STORE_OK);
    assert_int_equal(outcome, LOAD_DATA);
    assert_int_equal(revision.length, strlen(data));
    assert_memory_equal(revision.data, data, revision.length);
    assert_int_equal(revision.until, until);
    revision_release(&revision);
}

static struct storage *open_reader(struct fixture *f) {
    struct storage_open_options options = {0};
    struct storage *reader;
    assert_int_equal(storage_sqlite_open(f->directory, &options, &reader, NULL), STORE_OK);
    return reader;
}

/* A cache that takes a version for the newest one must never be told so by an old snapshot. */
static void test_storage_reads__a_commit_of_this_process_is_seen_at_once(void **state) {
    struct fixture *f = *state;
    commit_root_as(f, "one");
    storage_begin_reads(f->storage);
    expect_root(f->storage, 2, "one", FOREVER);
    commit_root_as(f, "two");
    expect_root(f->storage, 2, "one", 2);
    expect_root(f->storage, 3, "two", FOREVER);
    assert_int_equal(storage_tag_set(f->storage, "t", 5, false), STORE_OK);
    uint64_t tid;
    assert_int_equal(storage_tag_get(f->storage, "t", &tid), STORE_OK);
    assert_int_equal(storage_tag_delete(f->storage, "t"), STORE_OK);
    assert_int_equal(storage_tag_get(f->storage, "t", &tid), STORE_ABSENT);
    storage_end_reads(f->storage);
}

static void test_storage_reads__others_commits_are_seen_with_their_state(void **state) {
    struct fixture *f = *state;
    struct storage_state known;
    commit_root_as(f, "one");
    struct storage *reader = open_reader(f);
    storage_begin_reads(reader);
    expect_root(reader, 2, "one", FOREVER);
    commit_root_as(f, "two");
    expect_root(reader, 2, "one", FOREVER); /* as it was when this began */
    assert_int_equal(storage_get_state(reader, &known), STORE_OK);
    assert_int_equal(known.last_seq, 2);
    expect_root(reader, 2, "one", 2);
    expect_root(reader, 3, "two", FOREVER);
    storage_end_reads(reader);
    storage_close(reader);
}

static int frames_left(struct fixture *f) {
    sqlite3 *db;
    int in_log = -1, done = -1;
    assert_int_equal(sqlite3_open_v2(fixture_path(f, "tidfs.db"), &db, SQLITE_OPEN_READWRITE, "tidfs"), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "SELECT max(seq) FROM txn", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &done), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_true(in_log >= 0 && done >= 0);
    return in_log - done;
}

/* Until the outermost pair ends, and then it does not hold up the log. */
static void test_storage_reads__pairs_nest(void **state) {
    struct fixture *f = *state;
    commit_root_as(f, "one");
    struct storage *reader = open_reader(f);
    assert_int_equal(frames_left(f), 0);
    storage_begin_reads(reader);
    expect_root(reader, 2, "one", FOREVER);
    storage_begin_reads(reader);
    expect_root(reader, 2, "one", FOREVER);
    storage_end_reads(reader);
    commit_root_as(f, "two");
    commit_root_as(f, "three");
    expect_root(reader, 2, "one", FOREVER);
    assert_true(frames_left(f) > 0);
    storage_end_reads(reader);
    assert_int_equal(frames_left(f), 0);
    expect_root(reader, 2, "one", 2);
    storage_close(reader);
}

/* The second store is read as ever, and nothing of it is left open. */
static void test_storage_reads__of_one_storage_at_a_time(void **state) {
    struct fixture *f = *state;
    commit_root_as(f, "one");
    struct storage *reader = open_reader(f);
    storage_begin_reads(f->storage);
    storage_begin_reads(reader);
    expect_root(f->storage, 2, "one", FOREVER);
    expect_root(reader, 2, "one", FOREVER);
    storage_end_reads(reader);
    storage_close(reader);
    expect_root(f->storage, 2, "one", FOREVER);
    storage_end_reads(f->storage);
    storage_begin_reads(f->storage); /* without reading anything */
    storage_end_reads(f->storage);
}

struct many {
    struct fixture *f;
    atomic_bool stop;
};

static void *read_much(void *context) {
    struct many *many = context;
    while (!atomic_load(&many->stop)) {
        struct storage_state known;
        assert_int_equal(storage_get_state(many->f->storage, &known), STORE_OK);
        storage_begin_reads(many->f->storage);
        for (int i = 0; i < 5; i++) {
            enum load_outcome outcome;
            struct revision revision;
            assert_int_equal(
                storage_load_before(many->f->storage, ROOT_OID, PART_INODE, known.last_seq + 1, &outcome, &revision),
                STORE_OK);
            assert_int_equal(revision.seq, known.last_seq); /* each changes the root */
            revision_release(&revision);
        }
        storage_end_reads(many->f->storage);
    }
    return NULL;
}

/* More threads than there are connections, beside a writer. */
static void test_storage_reads__by_many_threads(void **state) {
    struct fixture *f = *state;
    struct many many = {.f = f};
    pthread_t threads[12];
    commit_root_as(f, "one");
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_much, &many), 0);
    for (int i = 0; i < 60; i++)
        commit_root_as(f, "more");
    atomic_store(&many.stop, true);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_storage_reads__a_commit_of_this_process_is_seen_at_once),
        TEST(test_storage_reads__others_commits_are_seen_with_their_state),
        TEST(test_storage_reads__pairs_nest),
        TEST(test_storage_reads__of_one_storage_at_a_time),
        TEST(test_storage_reads__by_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
