/* Commits that are refused, for what they bring or for what they find. */
#include "tests/storage_fixture.h"

static void expect_refused(struct fixture *f, int error) {
    const uint64_t next_oid = f->next_oid;
    assert_int_equal(try_commit(f), error);
    f->next_oid = next_oid;
}

/* Nothing of an object changes without its record. */
static void test_storage_commit__an_entry_ends_with_a_change_of_its_directory(void **state) {
    struct fixture *f = *state;
    commit_tree(f);
    begin(f);
    revise(f, 4, PART_INODE, false, "o");
    end(f, ROOT_OID, 3);
    expect_refused(f, STORE_INVALID);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    end(f, ROOT_OID, 3);
    commit(f);
    assert_string_equal(list(f, ROOT_OID, 3), "five,six,");
}

static void test_storage_commit__ids_are_not_given_out_again(void **state) {
    struct fixture *f = *state;
    commit_tree(f);
    const uint64_t next_oid = f->next_oid;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    f->next_oid = next_oid - 1;
    assert_int_equal(try_commit(f), STORE_INVALID);
    f->next_oid = next_oid;
    commit(f);
}

/* Bodies may come in another order than their ids were given out. */
static void test_storage_commit__bodies_come_in_any_order(void **state) {
    static const uint8_t data[] = "some bytes";
    struct fixture *f = *state;
    uint64_t id, later;
    uint8_t buffer[sizeof data];
    commit_root(f);
    assert_int_equal(storage_body_reserve(f->storage, 2, &id), STORE_OK);
    for (uint64_t i = 0; i < 2; i++) {
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "r");
        f->bodies[f->commit.body_count++] = (struct new_body){
            .id = id + 1 - i, .data = data, .length = sizeof data, .sum = XXH3_64bits(data, sizeof data)};
        commit(f);
    }
    reopen(f, true);
    for (uint64_t i = 0; i < 2; i++) {
        const struct body_ref ref = {.position = id + i, .length = sizeof data, .sum = XXH3_64bits(data, sizeof data)};
        assert_int_equal(storage_body_read(f->storage, &ref, buffer), STORE_OK);
    }
    assert_int_equal(storage_body_reserve(f->storage, 1, &later), STORE_OK);
    assert_int_equal(later, id + 2);
}

static void test_storage_commit__an_entry_of_the_future_cannot_end(void **state) {
    struct fixture *f = *state;
    commit_tree(f);
    run_sql(f, "UPDATE entry SET born = 9, sum = row_sum(parent, idx, name, oid, type, 9) WHERE oid = 2");
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    end(f, ROOT_OID, 3);
    expect_refused(f, STORE_CORRUPT);
    assert_non_null(strstr(f->log_text, "was born in the future"));
}

/* The newest transaction is what the next one goes on from. */
static void test_storage_commit__a_newest_transaction_out_of_range_is_damage(void **state) {
    static const char *const changes[] = {
        "UPDATE txn SET tid = -5, sum = row_sum(seq, -5, base, wall_s, wall_ns, objects, first_revision, user, "
        "message)",
        "UPDATE txn SET tid = 0, sum = row_sum(seq, 0, base, wall_s, wall_ns, objects, first_revision, user, message)",
    };
    struct fixture *f = *state;
    struct transaction found;
    commit_root(f);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        f->log_text[0] = '\0';
        run_sql(f, changes[i]);
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "r");
        expect_refused(f, STORE_CORRUPT);
        assert_non_null(strstr(f->log_text, "the newest transaction has seq 1 and tid "));
        f->log_text[0] = '\0';
        assert_int_equal(storage_transaction_at(f->storage, 1, &found), i == 0 ? STORE_CORRUPT : STORE_OK);
        if (i == 0)
            assert_non_null(strstr(f->log_text, "transaction 1 has a value out of range"));
        else
            transaction_release(&found);
    }
}

/* What was written beyond them could never be read. */
static void test_storage_commit__ids_come_to_an_end(void **state) {
    struct fixture *f = *state;
    uint64_t id;
    commit_root(f);
    run_sql(f, "UPDATE state SET next_revision = 1 << 60, next_body = (1 << 60) - 1, sum = row_sum(next_oid, 1 << 60, "
               "(1 << 60) - 1,"
               " next_subtree, body_file, body_end, horizon, packed_s, packed_ns)");
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    expect_refused(f, STORE_FULL);
    assert_non_null(strstr(f->log_text, "the store has no ids left"));
    reopen(f, true);
    assert_int_equal(storage_body_reserve(f->storage, 1, &id), STORE_OK);
    assert_int_equal(storage_body_reserve(f->storage, 1, &id), STORE_FULL);
}

static void test_storage_commit__an_entry_of_no_directory_is_damage(void **state) {
    struct fixture *f = *state;
    struct entry_list entries;
    commit_tree(f);
    run_sql(f, "UPDATE entry SET parent = 0, sum = row_sum(0, idx, name, oid, type, born) WHERE oid = 2");
    assert_int_equal(storage_links(f->storage, 2, 2, &entries), STORE_CORRUPT);
    assert_non_null(strstr(f->log_text, "has a value out of range"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_storage_commit__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_entry_ends_with_a_change_of_its_directory),
        TEST(ids_are_not_given_out_again),
        TEST(bodies_come_in_any_order),
        TEST(an_entry_of_the_future_cannot_end),
        TEST(a_newest_transaction_out_of_range_is_damage),
        TEST(ids_come_to_an_end),
        TEST(an_entry_of_no_directory_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
