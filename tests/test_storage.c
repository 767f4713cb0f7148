/* The SQLite storage through the checked wrappers: opening, loads, commits, tags. */
#include "tests/storage_fixture.h"

/* ---- creating and opening ---- */
static void test_storage__create_refuses_a_directory_that_is_not_empty(void **state) {
    struct fixture *f = *state;
    struct error err;
    assert_int_equal(storage_sqlite_create(f->directory, &err), STORE_EXISTS);
    assert_non_null(strstr(err.text, "not empty"));
    assert_int_equal(storage_sqlite_create("/tmp/test_storage.missing/x", &err), STORE_INVALID);
}

static void test_storage__files_are_private(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"tidfs.db", "tidfs.db-wal", "tidfs.db-shm", "bodies"};
    commit_root(f);
    for (size_t i = 0; i < 4; i++) {
        struct stat status;
        assert_int_equal(stat(fixture_path(f, names[i]), &status), 0);
        assert_int_equal(status.st_mode & 0077, 0);
    }
}

static void test_storage__new_store_is_empty(void **state) {
    struct fixture *f = *state;
    struct storage_state now;
    struct transaction transaction;
    struct subtree subtree;
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.last_seq, 0);
    assert_int_equal(now.last_tid, 0);
    assert_int_equal(now.next_oid, ROOT_OID + 1);
    assert_int_equal(now.horizon, 0);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 1), "no object");
    assert_string_equal(list(f, ROOT_OID, 1), "");
    assert_int_equal(storage_transaction_before(f->storage, UINT64_MAX, &transaction), STORE_ABSENT);
    assert_int_equal(storage_transaction_at(f->storage, 1, &transaction), STORE_ABSENT);
    assert_int_equal(storage_subtree(f->storage, ROOT_OID, 1, &subtree), STORE_ABSENT);
}

static int open_error(struct fixture *f, const char *directory, bool writable, struct error *err) {
    struct storage_open_options options = {.writable = writable, .log = &f->log};
    struct storage *storage = NULL;
    int rc = storage_sqlite_open(directory, &options, &storage, err);
    if (rc == STORE_OK)
        storage_close(storage);
    return rc;
}

static void test_storage__open_tells_apart_what_is_wrong(void **state) {
    struct fixture *f = *state;
    struct error err;
    commit_root(f);
    storage_close(f->storage);
    f->storage = NULL;

    assert_int_equal(open_error(f, "/tmp/test_storage.missing", true, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "no store at"));
    assert_int_equal(open_error(f, fixture_path(f, "bodies"), false, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "has no tidfs.db"));
    assert_int_equal(open_error(f, fixture_path(f, "tidfs.db"), false, &err), STORE_NOT_A_STORE);

    run_sql(f, "PRAGMA user_version = 3");
    assert_int_equal(open_error(f, f->directory, true, &err), STORE_NEWER_FORMAT);
    assert_non_null(strstr(err.text, "upgrade tidfs"));
    run_sql(f, "PRAGMA user_version = 1");
    run_sql(f, "PRAGMA application_id = 1");
    assert_int_equal(open_error(f, f->directory, true, &err), STORE_NOT_A_STORE);
    run_sql(f, "PRAGMA application_id = 1953064038");
    assert_int_equal(open_error(f, f->directory, false, &err), STORE_OK);

    run_sql(f, "UPDATE txn SET user = 'else'");
    assert_int_equal(open_error(f, f->directory, false, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.text, "damaged"));

    int fd = open(fixture_path(f, "tidfs.db"), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "?", 1, 3), 1);
    assert_int_equal(open_error(f, f->directory, true, &err), STORE_CORRUPT);
    assert_int_equal(ftruncate(fd, 0), 0);
    (void)close(fd);
    assert_int_equal(open_error(f, f->directory, true, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.text, "empty"));
}

static void test_storage__close_leaves_no_log_behind(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    storage_close(f->storage);
    f->storage = NULL;
    assert_int_equal(access(fixture_path(f, "tidfs.db-wal"), F_OK), -1);
    open_store(f, false);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
}

/* ---- loads ---- */
static void test_storage__load_before_has_five_outcomes(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    f->next_oid = 4;
    begin(f);
    revise(f, 2, PART_INODE, false, "two 2");
    revise(f, 2, PART_CHUNK, false, "");
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, "two 3");
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, NULL);
    revise(f, 2, PART_CHUNK, false, NULL);
    commit(f);

    assert_string_equal(load(f, 2, PART_INODE, 1), "not yet");
    assert_string_equal(load(f, 2, PART_INODE, 2), "not yet");
    assert_string_equal(load(f, 2, PART_INODE, 3), "two 2");
    assert_string_equal(load(f, 2, PART_INODE, 4), "two 3");
    assert_string_equal(load(f, 2, PART_INODE, 5), "deleted");
    assert_string_equal(load(f, 2, PART_CHUNK, 3), "");
    assert_string_equal(load(f, 2, PART_CHUNK, 4), "");
    assert_string_equal(load(f, 2, PART_XATTRS, 4), "not yet");
    assert_string_equal(load(f, 3, PART_INODE, 5), "no object");
    assert_string_equal(load(f, 0, PART_INODE, 5), "no object");
    assert_string_equal(load(f, UINT64_MAX, PART_INODE, 5), "no object");

    enum load_outcome outcome;
    struct revision revision;
    assert_int_equal(storage_load_before(f->storage, 2, PART_INODE, 3, &outcome, &revision), STORE_OK);
    assert_int_equal(revision.seq, 2);
    assert_int_equal(revision.until, 3);
    revision_release(&revision);
    assert_int_equal(storage_load_before(f->storage, 2, PART_INODE, 5, &outcome, &revision), STORE_OK);
    assert_int_equal(outcome, LOAD_DELETED);
    assert_int_equal(revision.seq, 4);
    assert_true(revision.until == FOREVER);
    assert_int_equal(storage_load_before(f->storage, 2, PART_INODE, 1, &outcome, &revision), STORE_OK);
    assert_int_equal(revision.until, 2);

    storage_close(f->storage);
    run_sql(f, "SELECT 1");
    open_store(f, true);
    assert_string_equal(load(f, 2, PART_INODE, 4), "two 3");
}

static void test_storage__revisions_have_ascending_ids(void **state) {
    struct fixture *f = *state;
    uint64_t previous = 0;
    commit_root(f);
    for (int i = 0; i < 5; i++) {
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "again");
        commit(f);
        enum load_outcome outcome;
        struct revision revision, same;
        assert_int_equal(storage_load_before(f->storage, ROOT_OID, 0, f->last + 1, &outcome, &revision), STORE_OK);
        assert_true(revision.id > previous);
        previous = revision.id;
        assert_int_equal(storage_load_revision(f->storage, revision.id, &same), STORE_OK);
        assert_int_equal(same.seq, revision.seq);
        assert_true(same.until == FOREVER);
        revision_release(&same);
        revision_release(&revision);
        reopen(f, true);
    }
    struct revision revision;
    assert_int_equal(storage_load_revision(f->storage, previous - 1, &revision), STORE_OK);
    assert_int_equal(revision.until, revision.seq + 1);
    revision_release(&revision);
    assert_int_equal(storage_load_revision(f->storage, previous + 1, &revision), STORE_ABSENT);
    assert_int_equal(storage_load_revision(f->storage, 0, &revision), STORE_ABSENT);
}

static void test_storage__next_part_skips_what_is_not_there(void **state) {
    struct fixture *f = *state;
    uint64_t part;
    commit_root(f);
    f->next_oid = 3;
    begin(f);
    revise(f, 2, PART_INODE, false, "i");
    revise(f, 2, PART_CHUNK + 3, false, "c");
    revise(f, 2, PART_CHUNK + 9, false, "c");
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, "i");
    revise(f, 2, PART_CHUNK + 3, false, NULL);
    revise(f, 2, PART_CHUNK + 5, false, "c");
    commit(f);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK, 3, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK + 3);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK + 4, 3, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK + 9);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK, 4, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK + 5);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK + 10, 4, &part), STORE_ABSENT);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK, 2, &part), STORE_ABSENT);
    assert_int_equal(storage_next_part(f->storage, 7, 0, 4, &part), STORE_ABSENT);
}

/* The horizon is moved by packing; here by hand. `columns` is the row that it makes, for its checksum. */
static void move_horizon(struct fixture *f, const uint64_t columns[9]) {
    char update[256];
    uint8_t bytes[72];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(columns[i / 8] >> i % 8 * 8);
    (void)snprintf(update, sizeof update,
                   "UPDATE state SET horizon = %" PRIu64 ", packed_s = %" PRIu64 ", sum = %" PRId64, columns[6],
                   columns[7], (int64_t)XXH3_64bits(bytes, sizeof bytes));
    run_sql(f, update);
}

static void test_storage__at_or_before_the_horizon_is_packed(void **state) {
    struct fixture *f = *state;
    struct entry entry;
    struct entry_list entries;
    struct subtree subtree;
    struct storage_state now;
    commit_root(f);
    commit_root(f);
    assert_string_equal(load(f, ROOT_OID, 0, 2), "root 1");
    /* Another process moves it while this one has readers open. */
    move_horizon(f, (uint64_t[9]){2, 3, 1, 3, 0, 0, 2, 7, 0});
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.horizon, 2);
    assert_int_equal(now.packed_at.tv_sec, 7);
    assert_string_equal(load(f, ROOT_OID, 0, 2), "packed");
    assert_string_equal(load(f, 99, 0, 2), "packed");
    assert_string_equal(load(f, ROOT_OID, 0, 3), "root 1");
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "a", 1, 2, &entry), STORE_PACKED);
    assert_int_equal(storage_list(f->storage, ROOT_OID, 2, &entries), STORE_PACKED);
    assert_int_equal(storage_links(f->storage, ROOT_OID, 2, &entries), STORE_PACKED);
    assert_int_equal(storage_subtree(f->storage, ROOT_OID, 2, &subtree), STORE_PACKED);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 3");
    commit(f);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.horizon, 2);
}

/* ---- commits ---- */
static void test_storage__a_transaction_has_its_tid_and_text(void **state) {
    struct fixture *f = *state;
    struct transaction done, same;
    begin(f);
    f->commit.message = "why\nit was done \xff";
    f->commit.next_oid = 2;
    revise(f, ROOT_OID, PART_INODE, true, "r");
    assert_int_equal(storage_commit(f->storage, &f->commit, &done), STORE_OK);
    uint64_t tid;
    assert_true(tid_from_time(f->commit.wall, &tid));
    assert_int_equal(done.tid, tid);
    assert_int_equal(done.seq, 1);
    assert_int_equal(done.object_count, 1);
    f->last = 1;

    /* The clock steps back an hour, and ahead ten years. */
    begin(f);
    f->commit.wall.tv_sec -= 3600;
    revise(f, ROOT_OID, PART_INODE, true, "r");
    commit(f);
    assert_int_equal(storage_transaction_at(f->storage, 2, &same), STORE_OK);
    assert_int_equal(same.tid, tid + 1);
    assert_int_equal(same.wall.tv_sec, f->commit.wall.tv_sec);
    transaction_release(&same);

    reopen(f, true);
    assert_int_equal(storage_transaction_before(f->storage, tid + 1, &same), STORE_OK);
    assert_int_equal(same.seq, 1);
    assert_string_equal(same.user, "somebody");
    assert_string_equal(same.message, "why\nit was done \xff");
    transaction_release(&same);
    assert_int_equal(storage_transaction_before(f->storage, tid, &same), STORE_ABSENT);
    assert_int_equal(storage_transaction_before(f->storage, 0, &same), STORE_ABSENT);
    assert_int_equal(storage_transaction_before(f->storage, UINT64_MAX, &same), STORE_OK);
    assert_int_equal(same.seq, 2);
    transaction_release(&same);
    transaction_release(&done);
}

static void test_storage__a_commit_that_is_refused_leaves_nothing(void **state) {
    struct fixture *f = *state;
    struct storage_state now;
    commit_tree(f);

    begin(f); /* on an old base */
    f->commit.base = 0;
    revise(f, ROOT_OID, PART_INODE, true, "x");
    assert_int_equal(try_commit(f), STORE_CONFLICT);

    begin(f); /* on one that is to come: no other check would find it */
    f->commit.base++;
    revise(f, ROOT_OID, PART_INODE, true, "x");
    assert_int_equal(try_commit(f), STORE_CONFLICT);

    begin(f); /* a name that is taken: found after revisions were written */
    revise(f, ROOT_OID, PART_INODE, true, "x");
    add(f, ROOT_OID, 6, "two", 4, S_IFREG);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* an index that is taken */
    revise(f, ROOT_OID, PART_INODE, true, "x");
    add(f, ROOT_OID, 3, "other", 4, S_IFREG);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* an entry that is not there */
    revise(f, ROOT_OID, PART_INODE, true, "x");
    end(f, ROOT_OID, 99);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* a part changed and not its inode */
    revise(f, 4, PART_CHUNK, false, "x");
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* an entry added to a directory that is not changed */
    revise(f, 4, PART_INODE, false, "x");
    add(f, 5, 9, "more", 4, S_IFREG);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* the same part twice */
    revise(f, 4, PART_INODE, false, "x");
    revise(f, 4, PART_INODE, false, "x");
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* bad names */
    revise(f, ROOT_OID, PART_INODE, true, "x");
    add(f, ROOT_OID, 9, "a/b", 4, S_IFREG);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* an oid that was never given out */
    revise(f, 7, PART_INODE, false, "x");
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* a body id that was never given out */
    f->bodies[f->commit.body_count++] = (struct new_body){.id = 50, .data = (const uint8_t *)"x", .length = 1};
    assert_int_equal(try_commit(f), STORE_INVALID);

    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.last_seq, 1);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "r");
    assert_string_equal(list(f, ROOT_OID, 2), "two,five,six,");
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "good");
    commit(f);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "good");
}

static void test_storage__bodies_come_back(void **state) {
    struct fixture *f = *state;
    static uint8_t data[BODY_MAX], back[BODY_MAX];
    struct body_ref small, large;
    uint64_t first, next;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(storage_body_reserve(f->storage, 2, &first), STORE_OK);
    assert_int_equal(storage_body_reserve(f->storage, 1, &next), STORE_OK);
    assert_int_equal(next, first + 2);
    assert_int_equal(storage_body_append(f->storage, data, sizeof data, &large), STORE_OK);
    assert_int_not_equal(large.file, 0);
    assert_int_equal(storage_body_read(f->storage, &large, back), STORE_OK);
    /* Append tells a body's checksum; the row's one has it from the same bytes. */
    struct body_ref other;
    assert_int_equal(storage_body_append(f->storage, data, 100, &other), STORE_OK);
    small = (struct body_ref){.file = 0, .length = 100, .position = first, .sum = other.sum};

    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    f->bodies[f->commit.body_count++] = (struct new_body){.id = first, .data = data, .length = 100, .sum = other.sum};
    f->commit.body_files_used = true;
    commit(f);
    reopen(f, true);
    memset(back, 0, sizeof back);
    assert_int_equal(storage_body_read(f->storage, &large, back), STORE_OK);
    assert_memory_equal(back, data, sizeof data);
    memset(back, 0, sizeof back);
    assert_int_equal(storage_body_read(f->storage, &small, back), STORE_OK);
    assert_memory_equal(back, data, 100);

    /* Ids are not given out again, and what is not there is damage. */
    assert_int_equal(storage_body_reserve(f->storage, 1, &next), STORE_OK);
    assert_true(next > first);
    small.sum ^= 1;
    assert_int_equal(storage_body_read(f->storage, &small, back), STORE_CORRUPT);
    small.position = 1000;
    assert_int_equal(storage_body_read(f->storage, &small, back), STORE_CORRUPT);
    small.length = 0;
    assert_int_equal(storage_body_read(f->storage, &small, back), STORE_CORRUPT);
}

/* The commit has said how far they reach, so that nothing else comes where they were. */
static void test_storage__places_of_bodies_that_are_lost_stay_empty(void **state) {
    struct fixture *f = *state;
    static uint8_t data[BODY_MAX], back[BODY_MAX];
    struct body_ref lost, next;
    assert_int_equal(storage_body_append(f->storage, data, sizeof data, &lost), STORE_OK);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    f->commit.body_files_used = true;
    commit(f);
    assert_int_equal(truncate(fixture_path(f, "bodies/00000001"), 100), 0);
    reopen(f, true);
    assert_int_equal(storage_body_append(f->storage, data, sizeof data, &next), STORE_OK);
    assert_int_equal(lost.file, 1);
    assert_int_equal(next.file, 2);
    assert_int_equal(storage_body_read(f->storage, &lost, back), STORE_CORRUPT);
}

static void test_storage__tags_are_set_moved_and_listed(void **state) {
    struct fixture *f = *state;
    struct tag *tags;
    size_t count;
    uint64_t tid;
    assert_int_equal(storage_tag_get(f->storage, "a", &tid), STORE_ABSENT);
    assert_int_equal(storage_tag_set(f->storage, "b", 5, false), STORE_OK);
    assert_int_equal(storage_tag_set(f->storage, "a", 6, false), STORE_OK);
    assert_int_equal(storage_tag_set(f->storage, "a", 7, false), STORE_EXISTS);
    assert_int_equal(storage_tag_get(f->storage, "a", &tid), STORE_OK);
    assert_int_equal(tid, 6);
    assert_int_equal(storage_tag_set(f->storage, "a", 7, true), STORE_OK);
    /* A program that is not the writer may set tags too. */
    reopen(f, false);
    assert_int_equal(storage_tag_set(f->storage, "\xff c", 8, false), STORE_OK);
    assert_int_equal(storage_tag_list(f->storage, &tags, &count), STORE_OK);
    assert_int_equal(count, 3);
    assert_string_equal(tags[0].name, "a");
    assert_int_equal(tags[0].tid, 7);
    assert_string_equal(tags[2].name, "\xff c");
    free(tags);
    assert_int_equal(storage_tag_delete(f->storage, "a"), STORE_OK);
    assert_int_equal(storage_tag_delete(f->storage, "a"), STORE_ABSENT);
    assert_int_equal(storage_tag_get(f->storage, "a", &tid), STORE_ABSENT);
    assert_int_equal(storage_tag_set(f->storage, "", 8, false), STORE_INVALID);
}

static void test_storage__a_reader_cannot_commit(void **state) {
    struct fixture *f = *state;
    struct body_ref ref;
    uint64_t first;
    commit_root(f);
    reopen(f, false);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "x");
    assert_int_equal(try_commit(f), STORE_READ_ONLY);
    assert_int_equal(storage_body_append(f->storage, (const uint8_t *)"x", 1, &ref), STORE_READ_ONLY);
    assert_int_equal(storage_body_reserve(f->storage, 1, &first), STORE_READ_ONLY);
}

static void test_storage__another_process_sees_commits(void **state) {
    struct fixture *f = *state;
    struct storage_open_options options = {.log = &f->log};
    struct storage *writer = f->storage, *reader;
    commit_root(f);
    assert_int_equal(storage_sqlite_open(f->directory, &options, &reader, NULL), STORE_OK);
    for (int i = 0; i < 3; i++) {
        struct storage_state now;
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "more");
        commit(f);
        assert_int_equal(storage_get_state(reader, &now), STORE_OK);
        assert_int_equal(now.last_seq, f->last);
        f->storage = reader;
        assert_string_equal(load(f, ROOT_OID, PART_INODE, f->last + 1), "more");
        assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
        f->storage = writer;
    }
    storage_close(reader);
}

static void test_storage__space_counts_database_and_bodies(void **state) {
    struct fixture *f = *state;
    static uint8_t data[BODY_MAX] = {1};
    uint64_t database_bytes, body_bytes;
    struct body_ref ref;
    assert_int_equal(storage_space(f->storage, &database_bytes, &body_bytes), STORE_OK);
    assert_true(database_bytes > 0);
    assert_int_equal(body_bytes, 0);
    assert_int_equal(storage_body_append(f->storage, data, sizeof data, &ref), STORE_OK);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "x");
    f->commit.body_files_used = true;
    commit(f);
    assert_int_equal(storage_space(f->storage, &database_bytes, &body_bytes), STORE_OK);
    assert_true(body_bytes >= sizeof data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_storage__create_refuses_a_directory_that_is_not_empty),
        TEST(test_storage__files_are_private),
        TEST(test_storage__new_store_is_empty),
        TEST(test_storage__open_tells_apart_what_is_wrong),
        TEST(test_storage__close_leaves_no_log_behind),
        TEST(test_storage__load_before_has_five_outcomes),
        TEST(test_storage__revisions_have_ascending_ids),
        TEST(test_storage__next_part_skips_what_is_not_there),
        TEST(test_storage__at_or_before_the_horizon_is_packed),
        TEST(test_storage__a_transaction_has_its_tid_and_text),
        TEST(test_storage__a_commit_that_is_refused_leaves_nothing),
        TEST(test_storage__bodies_come_back),
        TEST(test_storage__places_of_bodies_that_are_lost_stay_empty),
        TEST(test_storage__tags_are_set_moved_and_listed),
        TEST(test_storage__a_reader_cannot_commit),
        TEST(test_storage__another_process_sees_commits),
        TEST(test_storage__space_counts_database_and_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
