/* Rows whose checksum is right and whose values no tidfs writes, as whoever makes a store on purpose can have them: each is refused by the one
 * function that decodes it, and by that which judges rows that were salvaged. Then rows of what a repair lost: what readers make of them. */
#include "store/storage_sqlite.h"
#include "store/storage_sqlite_row.h"
#include "tests/storage_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define I(number)                                                                                                      \
    { .kind = VALUE_INTEGER, .integer = (number) }
#define B(text)                                                                                                        \
    { .kind = VALUE_BLOB, .bytes = (text), .length = sizeof(text) - 1 }

static char long_text[MESSAGE_MAX + 1];

/* ---- judged alone ---- */

/* A sane row, and what makes it another. */
struct change {
    size_t column;
    struct value value;
};

static void assert_judged(enum row_kind kind, const struct value *sane, size_t count, const struct change *changes,
                          size_t change_count) {
    struct value row[16];
    assert_true(row_is_sane(kind, sane));
    for (size_t i = 0; i < change_count; i++) {
        memcpy(row, sane, count * sizeof *row);
        row[changes[i].column] = changes[i].value;
        if (row_is_sane(kind, row))
            fail_msg("kind %d is sane with change %zu of column %zu", (int)kind, i, changes[i].column);
    }
}

static void test_storage_rows__state_and_transactions_have_ranges(void **state) {
    (void)state;
    static const struct value now[] = {I(3), I(4), I(1), I(1), I(0), I(0), I(0), I(0), I(0)};
    static const struct change state_changes[] = {
        {0, I(0)},
        {1, I(0)},
        {2, I(OID_MAX + 2)},
        {3, I(UINT64_MAX)},
        {4, I((uint64_t)UINT32_MAX + 1)},
        {5, I(UINT64_MAX)},
        {6, I(SEQ_MAX + 2)},
        {8, I(1000000000)},
    };
    assert_judged(ROW_STATE, now, COUNT(now), state_changes, COUNT(state_changes));

    static const struct value transaction[] = {I(1), I(9), I(0), I(0), I(999999999), I(1), I(1), B("me"), B("")};
    const struct change transaction_changes[] = {
        {0, I(0)},
        {0, I(SEQ_MAX + 1)},
        {1, I(UINT64_MAX)},
        {4, I(1000000000)},
        {7, {.kind = VALUE_INTEGER}},
        {7, {.kind = VALUE_BLOB, .bytes = long_text, .length = 256}},
        {7, B("a\0b")},
        {8, {.kind = VALUE_NULL}},
        {8, {.kind = VALUE_BLOB, .bytes = long_text, .length = MESSAGE_MAX + 1}},
        {8, B("\0")},
    };
    assert_judged(ROW_TRANSACTION, transaction, COUNT(transaction), transaction_changes, COUNT(transaction_changes));
}

static void test_storage_rows__revisions_and_entries_have_ranges(void **state) {
    (void)state;
    static const struct value revision[] = {I(OID_MAX), I(ROOT_OID), I(INT64_MAX), I(1), B("")};
    static const struct change revision_changes[] = {
        {0, I(OID_MAX + 1)}, {1, I(0)}, {1, I(OID_MAX + 1)}, {2, I(UINT64_MAX)}, {3, I(0)}, {3, I(SEQ_MAX + 1)},
    };
    assert_judged(ROW_REVISION, revision, COUNT(revision), revision_changes, COUNT(revision_changes));

    static const struct value entry[] = {I(1), I(3), B("name"), I(2), I(S_IFREG), I(4), I(12), I(3)};
    const struct change entry_changes[] = {
        {0, I(0)},
        {1, I(UINT64_MAX)},
        {2, B("")},
        {2, B(".")},
        {2, B("..")},
        {2, B("a/b")},
        {2, B("a\0b")},
        {2, {.kind = VALUE_BLOB, .bytes = long_text, .length = 256}},
        {2, {.kind = VALUE_NULL}},
        {3, I(0)},
        {4, I(0)},
        {4, I(S_IFREG | 0644)},
        {5, I(0)},
        {5, I(SEQ_MAX + 1)},
    };
    static const struct change past_changes[] = {
        {6, I(4)}, {6, I(3)}, {6, I(SEQ_MAX + 1)}, {7, I(2)}, {7, I(4)},
    };
    assert_judged(ROW_ENTRY, entry, COUNT(entry), entry_changes, COUNT(entry_changes));
    assert_judged(ROW_PAST_ENTRY, entry, COUNT(entry), entry_changes, COUNT(entry_changes));
    assert_judged(ROW_PAST_ENTRY, entry, COUNT(entry), past_changes, COUNT(past_changes));
    static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};
    struct value row[COUNT(entry)];
    memcpy(row, entry, sizeof row);
    for (size_t i = 0; i < COUNT(types); i++) {
        row[4].integer = types[i];
        assert_true(row_is_sane(ROW_ENTRY, row));
    }
    assert_true(entry_name_is_sane("...", 3));
    assert_true(entry_name_is_sane(".a", 2));
    assert_false(entry_name_is_sane("..", 2));
}

static void test_storage_rows__tags_and_losses_have_ranges(void **state) {
    (void)state;
    static const struct value tag[] = {B("v1"), I(5)};
    const struct change tag_changes[] = {
        {0, I(1)},
        {0, B("a\0b")},
        {0, {.kind = VALUE_BLOB, .bytes = long_text, .length = TAG_NAME_MAX + 1}},
        {1, I(UINT64_MAX)},
    };
    assert_judged(ROW_TAG, tag, COUNT(tag), tag_changes, COUNT(tag_changes));
    static const struct value loss[] = {I(1), I(LOSS_REVISION), I(2), I(0), I(1), I(0)};
    static const struct change loss_changes[] = {
        {0, I(UINT64_MAX)}, {1, I(LOSS_REVISION - 1)}, {1, I(LOSS_TAG + 1)}, {2, B("2")}, {5, I(UINT64_MAX)},
    };
    assert_judged(ROW_LOSS, loss, COUNT(loss), loss_changes, COUNT(loss_changes));
    assert_false(row_is_sane((enum row_kind)99, loss));
}

/* ---- in a store ---- */

static struct connection *open_rows(struct fixture *f) {
    struct connection *connection;
    struct error err = {0};
    char path[128];
    storage_close(f->storage);
    f->storage = NULL;
    (void)snprintf(path, sizeof path, "%s/" DATABASE_FILE, f->directory);
    if (connection_open(path, CONNECTION_WRITE, NULL, &connection, &err) != STORE_OK)
        fail_msg("%s", err.text);
    return connection;
}

static void close_rows(struct fixture *f, struct connection *connection) {
    connection_close(connection);
    open_store(f, false); /* who writes is more particular */
}

static void assert_logged(struct fixture *f, const char *text) {
    if (!strstr(f->log_text, text))
        fail_msg("not logged: %s; but: %s", text, f->log_text);
    f->log_text[0] = '\0';
}

static void ignore_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    (void)problem;
}

static void test_storage_rows__an_entry_out_of_range_is_damage(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    commit(f);
    f->log.most = LOG_LEVEL_DEBUG;
    static const struct {
        const char *name;
        uint64_t index, oid, born;
        uint32_t type;
    } rows[] = {
        {".", 3, 2, 1, S_IFREG},        {"a/b", 3, 2, 1, S_IFREG},         {"n", UINT64_MAX, 2, 1, S_IFREG},
        {"n", 3, 0, 1, S_IFREG},        {"n", 3, OID_MAX + 1, 1, S_IFREG}, {"n", 3, 2, SEQ_MAX + 1, S_IFREG},
        {"n", 3, 2, 1, S_IFREG | 0644},
    };
    struct connection *connection = open_rows(f);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct new_entry entry = {.parent = 10 + i,
                                        .index = rows[i].index,
                                        .name = rows[i].name,
                                        .name_length = strlen(rows[i].name),
                                        .oid = rows[i].oid,
                                        .type = rows[i].type};
        assert_int_equal(entry_row_insert(connection, &entry, rows[i].born), STORE_OK);
        const struct entry past = {.parent = 30 + i,
                                   .index = rows[i].index,
                                   .name = (char *)(uintptr_t)rows[i].name,
                                   .name_length = (uint32_t)strlen(rows[i].name),
                                   .oid = rows[i].oid,
                                   .type = rows[i].type,
                                   .born = rows[i].born};
        assert_int_equal(past_entry_row_insert(connection, &past, rows[i].born + 1), STORE_OK);
    }
    close_rows(f, connection);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct entry_list entries = {0};
        bool future = rows[i].born > SEQ_MAX; /* no reader is that far */
        int rc = storage_named(f->storage, 10 + i, rows[i].name, strlen(rows[i].name), &entries);
        if (entry_name_is_sane(rows[i].name, strlen(rows[i].name))) {
            assert_int_equal(rc, STORE_CORRUPT);
            assert_logged(f, "has a value out of range");
        }
        rc = storage_list(f->storage, 10 + i, 2, &entries);
        if (rows[i].index <= INT64_MAX && !future) { /* lists are by index, from the highest there can be */
            assert_int_equal(rc, STORE_CORRUPT);
            assert_logged(f, "has a value out of range");
            assert_int_equal(storage_list(f->storage, 30 + i, 2, &entries), STORE_CORRUPT);
            assert_logged(f, "past entry");
        }
        assert_int_equal(entries.count, 0);
        entry_list_release(&entries);
    }
    uint64_t problems;
    assert_int_equal(storage_verify(f->storage, &(struct verify_options){.problem = ignore_problem}, &problems),
                     STORE_OK);
    assert_true(problems >= 2 * COUNT(rows));
}

static void test_storage_rows__a_transaction_revision_or_tag_out_of_range_is_damage(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    f->log.most = LOG_LEVEL_DEBUG;
    char user[257];
    memset(user, 'u', sizeof user - 1);
    user[256] = '\0';
    const struct transaction transactions[] = {
        {.seq = 2, .tid = 1, .wall = {.tv_nsec = 1000000000}, .user = (char[]){""}, .message = (char[]){""}},
        {.seq = 3, .tid = 2, .user = user, .message = (char[]){""}},
    };
    const struct transaction newest = {.seq = 4, .tid = INT64_MAX, .user = (char[]){""}, .message = (char[]){""}};
    static const struct {
        uint64_t id, oid, part, seq;
    } revisions[] = {{100, 0, 0, 1}, {101, OID_MAX + 1, 0, 1}, {102, 2, UINT64_MAX, 1}, {103, 2, 0, 0}};
    struct connection *connection = open_rows(f);
    for (size_t i = 0; i < COUNT(transactions); i++)
        assert_int_equal(transaction_row_insert(connection, &transactions[i], 1), STORE_OK);
    assert_int_equal(transaction_row_insert(connection, &newest, 1), STORE_OK);
    for (size_t i = 0; i < COUNT(revisions); i++) {
        struct new_revision revision = {.oid = revisions[i].oid, .part = revisions[i].part};
        assert_int_equal(revision_row_insert(connection, revisions[i].id, revisions[i].seq, &revision), STORE_OK);
    }
    assert_int_equal(tag_row_put(connection, "late", UINT64_MAX), STORE_OK);
    assert_int_equal(tag_row_put(connection, "early", 1), STORE_OK);
    assert_int_equal(tag_row_put(connection, "then", 2), STORE_OK);
    close_rows(f, connection);
    for (size_t i = 0; i < COUNT(transactions); i++) {
        struct transaction found;
        assert_int_equal(storage_transaction_at(f->storage, transactions[i].seq, &found), STORE_CORRUPT);
        assert_logged(f, "has a value out of range");
    }
    for (size_t i = 0; i < COUNT(revisions); i++) {
        struct revision found;
        assert_int_equal(storage_load_revision(f->storage, revisions[i].id, &found), STORE_CORRUPT);
        assert_logged(f, "has a value out of range");
    }
    struct tag *tags;
    size_t count;
    uint64_t tid;
    assert_int_equal(storage_tag_list(f->storage, &tags, &count), STORE_CORRUPT);
    assert_logged(f, "tag `late` has a wrong checksum or value");
    /* It hides no other. */
    assert_int_equal(count, 2);
    assert_string_equal(tags[0].name, "early");
    assert_string_equal(tags[1].name, "then");
    assert_int_equal(tags[1].tid, 2);
    free(tags);
    assert_int_equal(storage_tag_get(f->storage, "then", &tid), STORE_OK);
    assert_int_equal(tid, 2);
    assert_int_equal(storage_tag_get(f->storage, "late", &tid), STORE_CORRUPT);
}

/* ---- what was lost ---- */

static void lose(struct connection *connection, uint64_t id, enum loss_kind kind, uint64_t oid, uint64_t part,
                 uint64_t seq, uint64_t until) {
    const struct loss loss = {.kind = kind, .oid = oid, .part = part, .seq = seq, .until = until};
    assert_int_equal(loss_row_insert(connection, id, &loss), STORE_OK);
}

/* Of file 2: the inode in 1 and 3, the content in 1. Of 3: the inode in 2. */
static void commit_losable(struct fixture *f) {
    f->next_oid = 5;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root");
    revise(f, 2, PART_INODE, false, "i1");
    revise(f, 2, PART_CHUNK, false, "c1");
    add(f, ROOT_OID, 3, "two", 2, S_IFREG);
    commit(f);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    revise(f, 3, PART_INODE, false, "i2");
    add(f, ROOT_OID, 4, "three", 3, S_IFREG);
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, "i3");
    commit(f);
}

static bool has(const uint64_t *oids, size_t count, uint64_t oid) {
    for (size_t i = 0; i < count; i++)
        if (oids[i] == oid)
            return true;
    return false;
}

static void test_storage_rows__a_lost_revision_stands_where_it_stood(void **state) {
    struct fixture *f = *state;
    uint64_t seq, part, *oids;
    size_t count;
    commit_losable(f);
    struct connection *connection = open_rows(f);
    assert_int_equal(sqlite_schema_add_losses(connection), STORE_OK);
    lose(connection, 1, LOSS_REVISION, 2, PART_INODE, 2, 3);
    lose(connection, 2, LOSS_REVISION, 2, PART_CHUNK + 4, 2, 0);
    lose(connection, 3, LOSS_REVISION, 4, PART_INODE, 3, 0);
    lose(connection, 4, LOSS_REVISION, 3, LOSS_PART_ANY, 3, 0);
    close_rows(f, connection);

    assert_string_equal(load(f, 2, PART_INODE, 2), "i1");
    assert_string_equal(load(f, 2, PART_INODE, 3), store_error_text(STORE_LOST));
    assert_string_equal(load(f, 2, PART_INODE, 4), "i3");
    assert_string_equal(load(f, 3, PART_INODE, 3), "i2");
    assert_string_equal(load(f, 3, PART_INODE, 4), store_error_text(STORE_LOST));
    assert_string_equal(load(f, 4, PART_INODE, 4), store_error_text(STORE_LOST)); /* nothing is left of it */

    /* An object changed when what is lost of it was made. */
    assert_int_equal(storage_touched(f->storage, 2, 2, &seq), STORE_OK);
    assert_int_equal(seq, 1);
    assert_int_equal(storage_touched(f->storage, 2, 3, &seq), STORE_OK);
    assert_int_equal(seq, 2);
    assert_int_equal(storage_touched(f->storage, 2, 4, &seq), STORE_OK);
    assert_int_equal(seq, 3);
    assert_int_equal(storage_touched(f->storage, 4, 4, &seq), STORE_OK);
    assert_int_equal(seq, 3);
    assert_int_equal(storage_touched(f->storage, 4, 3, &seq), STORE_ABSENT);
    assert_int_equal(storage_changed(f->storage, 1, 3, &oids, &count), STORE_OK);
    assert_true(has(oids, count, 2) && has(oids, count, 3) && has(oids, count, 4));
    assert_int_equal(count, 4);
    free(oids);
    assert_int_equal(storage_changed(f->storage, 3, 9, &oids, &count), STORE_OK);
    assert_int_equal(count, 0);
    free(oids);

    /* A part that is lost may have had data; where there was none yet, it had not. */
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK, 2, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK + 1, 2, &part), STORE_ABSENT);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK + 1, 3, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK + 4);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK + 5, 3, &part), STORE_ABSENT);
    assert_int_equal(storage_next_part(f->storage, 2, PART_INODE, 3, &part), STORE_OK);
    assert_int_equal(part, PART_INODE);
    /* Any of the parts of 3 up to where it ever had one, and its content. */
    assert_int_equal(storage_next_part(f->storage, 3, PART_CHUNK, 3, &part), STORE_ABSENT);
    assert_int_equal(storage_next_part(f->storage, 3, PART_CHUNK, 4, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK);
    assert_int_equal(storage_next_part(f->storage, 3, PART_CHUNK + 1, 4, &part), STORE_ABSENT);
}

static void test_storage_rows__a_lost_time_is_known_only_where_the_next_begins(void **state) {
    struct fixture *f = *state;
    struct transaction found;
    uint64_t tids[4];
    commit_losable(f);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        assert_int_equal(storage_transaction_at(f->storage, seq, &found), STORE_OK);
        tids[seq] = found.tid;
        transaction_release(&found);
    }
    struct connection *connection = open_rows(f);
    assert_int_equal(sqlite_schema_add_losses(connection), STORE_OK);
    lose(connection, 1, LOSS_TIME, 0, 0, 2, 0);
    close_rows(f, connection);
    assert_int_equal(storage_transaction_before(f->storage, tids[2], &found), STORE_OK);
    assert_int_equal(found.seq, 1);
    transaction_release(&found);
    assert_int_equal(storage_transaction_before(f->storage, tids[2] + 1, &found), STORE_LOST);
    assert_int_equal(storage_transaction_before(f->storage, tids[3], &found), STORE_OK);
    assert_int_equal(found.seq, 2);
    transaction_release(&found);
    assert_int_equal(storage_transaction_before(f->storage, tids[3] + 1, &found), STORE_OK);
    assert_int_equal(found.seq, 3);
    transaction_release(&found);
}

static void test_storage_rows__a_loss_out_of_range_keeps_the_store_shut(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    commit_losable(f);
    f->log.most = LOG_LEVEL_DEBUG;
    struct connection *connection = open_rows(f);
    assert_int_equal(sqlite_schema_add_losses(connection), STORE_OK);
    lose(connection, 1, (enum loss_kind)(LOSS_TAG + 1), 2, 0, 1, 0);
    connection_close(connection);
    struct storage_open_options options = {.writable = false, .log = &f->log};
    assert_int_equal(storage_sqlite_open(f->directory, &options, &f->storage, &err), STORE_CORRUPT);
    assert_logged(f, "loss 1 has a value out of range");
    assert_true(err.text[0] != '\0');
    run_sql(f, "UPDATE loss SET kind = 1");
    assert_int_equal(storage_sqlite_open(f->directory, &options, &f->storage, &err), STORE_CORRUPT);
    assert_logged(f, "loss 1 has a wrong checksum");
    run_sql(f, "DELETE FROM loss");
    open_store(f, true);
    assert_string_equal(load(f, 2, PART_INODE, 4), "i3");
}

int main(void) {
    memset(long_text, 'x', sizeof long_text);
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_storage_rows__##name, set_up, tear_down)
        TEST(state_and_transactions_have_ranges),
        TEST(revisions_and_entries_have_ranges),
        TEST(tags_and_losses_have_ranges),
        TEST(an_entry_out_of_range_is_damage),
        TEST(a_transaction_revision_or_tag_out_of_range_is_damage),
        TEST(a_lost_revision_stands_where_it_stood),
        TEST(a_lost_time_is_known_only_where_the_next_begins),
        TEST(a_loss_out_of_range_keeps_the_store_shut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
