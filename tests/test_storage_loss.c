/* What is on record as lost, and what readers are given where it stood. */
#include "tests/storage_fixture.h"

#include "store/storage_sqlite.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* 1: /f (2) with attributes and two chunks. 2: its second chunk changes. 3: its first one becomes a hole. 4: /f gets another mode. */
static void commit_file(struct fixture *f) {
    f->next_oid = 3;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "i1");
    revise(f, 2, PART_XATTRS, false, "x1");
    revise(f, 2, PART_CHUNK, false, "a1");
    revise(f, 2, PART_CHUNK + 1, false, "b1");
    add(f, ROOT_OID, 3, "f", 2, S_IFREG);
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, "i2");
    revise(f, 2, PART_CHUNK + 1, false, "b2");
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, "i3");
    revise(f, 2, PART_CHUNK, false, NULL);
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, "i4");
    commit(f);
}

/* Puts losses on record, as a repair does, and opens the store again. */
static void lose(struct fixture *f, const struct loss *losses, size_t count) {
    struct connection *writer;
    storage_close(f->storage);
    f->storage = NULL;
    assert_int_equal(connection_open(fixture_path(f, "tidfs.db"), CONNECTION_WRITE, NULL, &writer, NULL), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_BEGIN_WRITE, NULL, 0), STORE_OK);
    assert_int_equal(sqlite_schema_add_losses(writer), STORE_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(loss_row_insert(writer, i + 1, &losses[i]), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_COMMIT, NULL, 0), STORE_OK);
    connection_close(writer);
    open_store(f, true);
}

/* 0: STORE_ABSENT. */
static uint64_t next_part(struct fixture *f, uint64_t from, uint64_t before) {
    uint64_t part = UINT64_MAX;
    int rc = storage_next_part(f->storage, 2, from, before, &part);
    assert_true(rc == STORE_OK || rc == STORE_ABSENT);
    return rc == STORE_OK ? part : 0;
}

/* ---- lists ---- */

static void test_loss__an_empty_list_knows_of_nothing(void **state) {
    const struct loss_list list = {0};
    const struct loss *losses;
    (void)state;
    assert_int_equal(loss_list_newest(&list, 1, PART_INODE, 9), 0);
    assert_true(loss_list_next(&list, 1, PART_INODE, 0) == UINT64_MAX);
    assert_int_equal(loss_list_of(&list, LOSS_REVISION, 1, &losses), 0);
    assert_null(losses);
    assert_false(loss_list_hides_names(&list, 1, 9));
    assert_false(loss_list_has_time(&list, 1));
    assert_false(loss_list_has_body(&list, 0, 1, 1));
    assert_false(loss_list_explains(&list, 1, 1));
}

static void test_loss__each_kind_is_found_by_what_it_is_about(void **state) {
    struct loss items[] = {
        {.kind = LOSS_REVISION, .oid = 5, .part = PART_CHUNK, .seq = 3, .until = 6},
        {.kind = LOSS_REVISION, .oid = 5, .part = PART_INODE, .seq = 9},
        {.kind = LOSS_ENTRIES, .oid = 7, .seq = 2, .until = 4},
        {.kind = LOSS_TIME, .seq = 8},
        {.kind = LOSS_BODY, .oid = 1, .part = 5, .seq = 100, .until = 10},
        {.kind = LOSS_BODY, .oid = 1, .part = 5, .seq = 100, .until = 20},
        {.kind = LOSS_NOTED, .oid = 6, .seq = 4},
    };
    const struct loss_list list = {.items = items, .count = COUNT(items)};
    (void)state;
    assert_int_equal(loss_list_newest(&list, 5, PART_CHUNK, 4), 3);
    assert_int_equal(loss_list_newest(&list, 5, PART_CHUNK, 3), 0);
    assert_int_equal(loss_list_newest(&list, 5, PART_INODE, 100), 9);
    assert_int_equal(loss_list_newest(&list, 5, PART_XATTRS, 100), 0);
    assert_int_equal(loss_list_next(&list, 5, PART_CHUNK, 3), 3);
    assert_int_equal(loss_list_next(&list, 5, PART_INODE, 3), 9);
    assert_true(loss_list_next(&list, 5, PART_CHUNK, 4) == UINT64_MAX);
    assert_false(loss_list_hides_names(&list, 7, 2));
    assert_true(loss_list_hides_names(&list, 7, 3));
    assert_true(loss_list_hides_names(&list, 7, 4));
    assert_false(loss_list_hides_names(&list, 7, 5));
    assert_true(loss_list_has_time(&list, 8));
    assert_false(loss_list_has_time(&list, 7));
    assert_true(loss_list_has_body(&list, 1, 100, 10));
    assert_true(loss_list_has_body(&list, 1, 100, 20));
    assert_false(loss_list_has_body(&list, 1, 100, 15));
    assert_false(loss_list_has_body(&list, 1, 99, 10));
    assert_false(loss_list_has_body(&list, 0, 100, 10));

    static const struct {
        uint64_t oid, seq;
        bool explained;
    } questions[] = {
        {5, 2, false}, {5, 3, true}, {5, 6, true}, {5, 7, false}, {5, 9, true},  {5, 99, true}, /* it never came again */
        {7, 1, false}, {7, 2, true}, {7, 4, true}, {7, 5, false}, {6, 3, false}, {6, 4, true},  {6, 5, false},
        {8, 4, false},
    };
    for (size_t i = 0; i < COUNT(questions); i++)
        assert_int_equal(loss_list_explains(&list, questions[i].oid, questions[i].seq), questions[i].explained);
}

/* A part that is not known stands for each that it may be. */
static void test_loss__parts_that_are_not_known_are_all_parts(void **state) {
    struct loss items[] = {
        {.kind = LOSS_REVISION, .oid = 5, .part = LOSS_PART_ANY, .seq = 3},
        {.kind = LOSS_REVISION, .oid = 6, .part = LOSS_PART_CONTENT, .seq = 3},
    };
    const struct loss_list list = {.items = items, .count = COUNT(items)};
    (void)state;
    assert_int_equal(loss_list_newest(&list, 5, PART_INODE, 9), 3);
    assert_int_equal(loss_list_newest(&list, 5, PART_CHUNK, 9), 3);
    assert_int_equal(loss_list_newest(&list, 6, PART_INODE, 9), 0);
    assert_int_equal(loss_list_newest(&list, 6, PART_CHUNK, 9), 3);
}

/* ---- readers ---- */

static void test_loss__a_lost_revision_hides_the_one_before_it(void **state) {
    struct fixture *f = *state;
    commit_file(f);
    const struct loss losses[] = {
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_CHUNK + 1, .seq = 3, .until = 0},
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_CHUNK, .seq = 2, .until = 3},
    };
    lose(f, losses, COUNT(losses));
    assert_string_equal(load(f, 2, PART_CHUNK + 1, 3), "b2");
    assert_string_equal(load(f, 2, PART_CHUNK + 1, 4), store_error_text(STORE_LOST));
    assert_string_equal(load(f, 2, PART_CHUNK, 2), "a1");
    assert_string_equal(load(f, 2, PART_CHUNK, 3), store_error_text(STORE_LOST));
    assert_string_equal(load(f, 2, PART_CHUNK, 4), "deleted"); /* what came later is known */
    assert_string_equal(load(f, 2, PART_INODE, 4), "i3");
    assert_string_equal(load(f, 2, PART_XATTRS, 5), "x1");
}

static void test_loss__a_lost_part_may_have_been_data(void **state) {
    struct fixture *f = *state;
    const struct loss losses[] = {
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_CHUNK + 5, .seq = 2},
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_CHUNK, .seq = 2, .until = 3},
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_XATTRS, .seq = 2},
    };
    commit_file(f);
    assert_int_equal(next_part(f, PART_XATTRS + 1, 5), PART_CHUNK + 1);
    lose(f, losses, COUNT(losses));
    assert_int_equal(next_part(f, PART_XATTRS + 1, 2), PART_CHUNK); /* before the loss */
    assert_int_equal(next_part(f, PART_XATTRS, 3), PART_XATTRS);
    assert_int_equal(next_part(f, PART_XATTRS + 1, 5), PART_CHUNK + 1); /* the hole of transaction 3 is known */
    assert_int_equal(next_part(f, PART_CHUNK + 2, 5), PART_CHUNK + 5);
    assert_int_equal(next_part(f, PART_CHUNK + 2, 2), 0);
    assert_int_equal(next_part(f, PART_CHUNK + 6, 5), 0);
}

/* Between the parts that are known, and right behind them, there may be one that is not. */
static void test_loss__an_unknown_part_is_where_parts_are(void **state) {
    struct fixture *f = *state;
    const struct loss losses[] = {{.kind = LOSS_REVISION, .oid = 2, .part = LOSS_PART_ANY, .seq = 4}};
    commit_file(f);
    lose(f, losses, COUNT(losses));
    assert_int_equal(next_part(f, 2, 4), PART_CHUNK + 1);
    assert_int_equal(next_part(f, 2, 5), 2);
    assert_int_equal(next_part(f, PART_CHUNK, 5), PART_CHUNK);
    assert_int_equal(next_part(f, PART_CHUNK + 1, 5), PART_CHUNK + 1);
    assert_int_equal(next_part(f, PART_CHUNK + 2, 5), 0);
    assert_int_equal(next_part(f, 100, 5), 0);
}

static void test_loss__the_first_chunk_may_be_lost_of_what_has_none(void **state) {
    struct fixture *f = *state;
    const struct loss losses[] = {{.kind = LOSS_REVISION, .oid = 2, .part = LOSS_PART_CONTENT, .seq = 1}};
    f->next_oid = 3;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "i1");
    add(f, ROOT_OID, 3, "f", 2, S_IFREG);
    commit(f);
    lose(f, losses, COUNT(losses));
    assert_int_equal(next_part(f, PART_CHUNK, 2), PART_CHUNK);
    assert_int_equal(next_part(f, PART_XATTRS, 2), 0);
}

static size_t changed(struct fixture *f, uint64_t after_seq, uint64_t until_seq, uint64_t oids[8]) {
    uint64_t *found = NULL;
    size_t count = 0;
    assert_int_equal(storage_changed(f->storage, after_seq, until_seq, &found, &count), STORE_OK);
    assert_true(count <= 8);
    if (count > 0)
        memcpy(oids, found, count * sizeof *oids);
    free(found);
    return count;
}

static void test_loss__what_was_lost_has_changed(void **state) {
    struct fixture *f = *state;
    uint64_t oids[8];
    const struct loss losses[] = {
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_INODE, .seq = 2},
        {.kind = LOSS_REVISION, .oid = 9, .part = PART_INODE, .seq = 2},
        {.kind = LOSS_REVISION, .oid = 9, .part = PART_CHUNK, .seq = 2},
        {.kind = LOSS_REVISION, .oid = 8, .part = PART_INODE, .seq = 4},
        {.kind = LOSS_TIME, .seq = 2},
    };
    commit_file(f);
    lose(f, losses, COUNT(losses));
    assert_int_equal(changed(f, 1, 2, oids), 2);
    assert_int_equal(oids[0], 2);
    assert_int_equal(oids[1], 9);
    assert_int_equal(changed(f, 2, 3, oids), 1);
    assert_int_equal(changed(f, 2, UINT64_MAX, oids), 2);
    assert_int_equal(oids[1], 8);
    assert_int_equal(changed(f, 4, 9, oids), 0);
}

static void test_loss__a_lost_change_is_the_newest_touch(void **state) {
    struct fixture *f = *state;
    uint64_t seq = 0;
    const struct loss losses[] = {
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_INODE, .seq = 2},
        {.kind = LOSS_REVISION, .oid = 9, .part = PART_INODE, .seq = 3},
    };
    commit_file(f);
    run_sql(f, "DELETE FROM revision WHERE oid = 2 AND part = 0 AND seq = 2");
    lose(f, losses, COUNT(losses));
    assert_int_equal(storage_touched(f->storage, 2, 3, &seq), STORE_OK);
    assert_int_equal(seq, 2);
    assert_int_equal(storage_touched(f->storage, 2, 4, &seq), STORE_OK);
    assert_int_equal(seq, 3);
    assert_int_equal(storage_touched(f->storage, 9, 4, &seq), STORE_OK); /* all of it is lost */
    assert_int_equal(seq, 3);
    assert_int_equal(storage_touched(f->storage, 9, 3, &seq), STORE_ABSENT);
}

static void test_loss__names_that_are_lost_are_neither_there_nor_not(void **state) {
    struct fixture *f = *state;
    struct entry entry;
    struct entry_list entries = {0};
    const struct loss losses[] = {{.kind = LOSS_ENTRIES, .oid = ROOT_OID, .seq = 2, .until = 3}};
    commit_file(f);
    lose(f, losses, COUNT(losses));
    assert_string_equal(list(f, ROOT_OID, 2), "f,");
    assert_string_equal(list(f, ROOT_OID, 3), store_error_text(STORE_LOST));
    assert_string_equal(list(f, ROOT_OID, 4), "f,");
    assert_int_equal(storage_list_from(f->storage, ROOT_OID, 3, 0, 10, &entries), STORE_LOST);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "f", 1, 3, &entry), STORE_OK); /* this one is known */
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "g", 1, 3, &entry), STORE_LOST);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "g", 1, 4, &entry), STORE_ABSENT);
}

/* Names whose end may be lost are doubted where they would have ended. */
static void test_loss__a_name_may_have_ended(void **state) {
    struct fixture *f = *state;
    struct entry entry;
    struct entry_list entries;
    const struct loss losses[] = {
        {.kind = LOSS_ENTRIES, .oid = ROOT_OID, .part = LOSS_NAMES_OLD, .seq = 2, .until = 4}};
    commit_file(f);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    add(f, ROOT_OID, 4, "g", 2, S_IFREG);
    commit(f);
    lose(f, losses, COUNT(losses));
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "f", 1, 2, &entry), STORE_OK); /* before the loss */
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "f", 1, 3, &entry), STORE_LOST);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "f", 1, 4, &entry), STORE_LOST);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "f", 1, 5, &entry), STORE_OK);
    entry_release(&entry);
    assert_int_equal(storage_named(f->storage, ROOT_OID, "f", 1, &entries), STORE_OK);
    entry_list_release(&entries);
    assert_int_equal(storage_named(f->storage, ROOT_OID, "h", 1, &entries), STORE_LOST);
    assert_int_equal(storage_named(f->storage, 2, "h", 1, &entries), STORE_OK); /* nothing is lost of this one */
    assert_int_equal(entries.count, 0);
    entry_list_release(&entries);
}

static void test_loss__a_name_that_ended_in_time_is_not_doubted(void **state) {
    (void)state;
    struct loss items[] = {{.kind = LOSS_ENTRIES, .oid = 7, .seq = 2, .until = 9},
                           {.kind = LOSS_ENTRIES, .oid = 7, .part = LOSS_NAMES_OLD, .seq = 4, .until = 9}};
    const struct loss_list list = {.items = items, .count = COUNT(items)};
    assert_false(loss_list_doubts_name(&list, 7, 4, FOREVER));
    assert_true(loss_list_doubts_name(&list, 7, 5, FOREVER));
    assert_true(loss_list_doubts_name(&list, 7, 9, 9));
    assert_false(loss_list_doubts_name(&list, 7, 9, 8));
    assert_false(loss_list_doubts_name(&list, 7, 10, FOREVER));
    assert_false(loss_list_doubts_name(&list, 8, 5, FOREVER));
}

/* A body that is on record is lost, and not damaged or out of reach; others are. */
static void test_loss__a_lost_body_is_lost_however_it_cannot_be_read(void **state) {
    static const uint8_t data[] = "content of a file of bodies";
    struct fixture *f = *state;
    uint8_t buffer[sizeof data];
    struct body_ref body, other;
    char name[160];
    assert_int_equal(storage_body_append(f->storage, data, sizeof data, &body), STORE_OK);
    assert_int_equal(storage_body_append(f->storage, data, sizeof data, &other), STORE_OK);
    f->next_oid = ROOT_OID + 1;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    f->commit.body_files_used = true;
    commit(f);
    const struct loss losses[] = {
        {.kind = LOSS_BODY, .oid = body.file, .part = 2, .seq = body.position, .until = body.length}};
    lose(f, losses, COUNT(losses));
    assert_int_equal(storage_body_read(f->storage, &body, buffer), STORE_OK); /* it may have come back */
    (void)snprintf(name, sizeof name, "%s/bodies/00000001", f->directory);
    reopen(f, true);
    assert_int_equal(truncate(name, 0), 0);
    assert_int_equal(storage_body_read(f->storage, &body, buffer), STORE_LOST);
    assert_int_equal(storage_body_read(f->storage, &other, buffer), STORE_CORRUPT);
    reopen(f, false);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(symlink(name, name), 0);
    assert_int_equal(storage_body_read(f->storage, &body, buffer), STORE_LOST);
    assert_int_not_equal(storage_body_read(f->storage, &other, buffer), STORE_LOST);
}

/* What its place is between two transactions is known, and not when it was. */
static void test_loss__a_lost_time_is_certain_only_where_the_next_begins(void **state) {
    struct fixture *f = *state;
    struct transaction at[5], found;
    const struct loss losses[] = {{.kind = LOSS_TIME, .seq = 2}, {.kind = LOSS_TIME, .seq = 3}};
    commit_file(f);
    for (uint64_t seq = 1; seq <= 4; seq++)
        assert_int_equal(storage_transaction_at(f->storage, seq, &at[seq]), STORE_OK);
    lose(f, losses, COUNT(losses));
    assert_int_equal(storage_transaction_before(f->storage, at[2].tid, &found), STORE_OK);
    transaction_release(&found);
    assert_int_equal(storage_transaction_before(f->storage, at[3].tid, &found),
                     STORE_LOST); /* that tid is a guess, too */
    assert_int_equal(storage_transaction_before(f->storage, at[4].tid - 1, &found), STORE_LOST);
    assert_int_equal(storage_transaction_before(f->storage, at[4].tid, &found), STORE_OK);
    assert_int_equal(found.seq, 3);
    transaction_release(&found);
    assert_int_equal(storage_transaction_before(f->storage, UINT64_MAX, &found), STORE_OK);
    assert_int_equal(found.seq, 4);
    transaction_release(&found);
    for (uint64_t seq = 1; seq <= 4; seq++)
        transaction_release(&at[seq]);
}

static void test_loss__the_time_of_the_newest_transaction_may_be_lost(void **state) {
    struct fixture *f = *state;
    struct transaction found;
    const struct loss losses[] = {{.kind = LOSS_TIME, .seq = 4}};
    commit_file(f);
    lose(f, losses, COUNT(losses));
    assert_int_equal(storage_transaction_before(f->storage, UINT64_MAX, &found), STORE_LOST);
    run_sql(f, "UPDATE txn SET message = 'x' WHERE seq = 3");
    assert_int_equal(storage_transaction_at(f->storage, 3, &found), STORE_CORRUPT);
}

/* Whether a lost time is certain cannot be said if the next transaction cannot be read. */
static void test_loss__a_damaged_transaction_beside_a_lost_time_is_told(void **state) {
    struct fixture *f = *state;
    struct transaction at, found;
    const struct loss losses[] = {{.kind = LOSS_TIME, .seq = 2}};
    commit_file(f);
    assert_int_equal(storage_transaction_at(f->storage, 3, &at), STORE_OK);
    lose(f, losses, COUNT(losses));
    run_sql(f, "UPDATE txn SET message = 'x' WHERE seq = 3");
    assert_int_equal(storage_transaction_before(f->storage, at.tid, &found), STORE_CORRUPT);
    transaction_release(&at);
}

/* ---- records ---- */

static void test_loss__a_wrong_record_is_damage(void **state) {
    struct fixture *f = *state;
    struct storage_open_options options = {.log = &f->log};
    struct error err = {0};
    struct loss losses[40];
    commit_file(f);
    for (size_t i = 0; i < COUNT(losses); i++)
        losses[i] = (struct loss){.kind = LOSS_NOTED, .oid = 100 + i, .seq = 1};
    lose(f, losses, COUNT(losses));
    run_sql(f, "UPDATE loss SET seq = 2 WHERE id = 30");
    storage_close(f->storage);
    f->storage = NULL;
    assert_int_equal(storage_sqlite_open(f->directory, &options, &f->storage, &err), STORE_CORRUPT);
    assert_non_null(strstr(f->log_text, "loss 30 has a wrong checksum"));
    run_sql(f, "UPDATE loss SET kind = 7, sum = row_sum(id, 7, oid, part, seq, until) WHERE id = 30");
    assert_int_equal(storage_sqlite_open(f->directory, &options, &f->storage, &err), STORE_CORRUPT);
    assert_non_null(strstr(f->log_text, "loss 30 has a value out of range"));
    f->storage = NULL;
}

/* ---- in words ---- */

static void note_loss(void *context, const struct verify_problem *loss) {
    char *text = context;
    size_t used = strlen(text);
    (void)snprintf(text + used, 4096 - used, "%s: %s\n", loss->path ? loss->path : "-", loss->text);
}

static void ignore(void *context, const struct verify_problem *problem) {
    (void)context;
    (void)problem;
}

static void test_loss__people_are_told_what_is_lost(void **state) {
    struct fixture *f = *state;
    char told[4096] = "";
    struct transaction at;
    char first[TID_TEXT_SIZE];
    uint64_t problems;
    const struct loss losses[] = {
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_INODE, .seq = 2, .until = 3},
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_XATTRS, .seq = 77},
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_CHUNK + 1, .seq = 3},
        {.kind = LOSS_REVISION, .oid = 99, .part = LOSS_PART_CONTENT, .seq = 2},
        {.kind = LOSS_ENTRIES, .oid = ROOT_OID, .seq = 2, .until = 78},
        {.kind = LOSS_ENTRIES, .oid = ROOT_OID, .part = LOSS_NAMES_OLD, .seq = 79, .until = 80},
        {.kind = LOSS_TIME, .seq = 2},
        {.kind = LOSS_BODY, .oid = 3, .part = 2, .seq = 4096, .until = 100},
        {.kind = LOSS_BODY, .oid = 0, .part = 2, .seq = 17, .until = 5},
        {.kind = LOSS_NOTED, .oid = 2, .seq = 1},
        {.kind = LOSS_NOTED, .seq = 77},
        {.kind = LOSS_NOTED, .part = LOSS_NOTED_RECORD, .seq = 78},
        {.kind = LOSS_TAG},
    };
    static const char *const expected[] = {
        "/f: owner, permissions, size and times as transaction ",
        "/f: extended attributes as transaction number 77 left them: lost\n",
        "/f: contents, bytes ",
        "-: what may have changed as transaction ",
        "/: names are lost: it cannot be listed as of transaction ",
        ", until number 78\n",
        "/: names are lost, and others may be older ones: it cannot be listed as of transaction number 79, until ",
        ", until number 80\n",
        "-: when transaction number 2 was is lost\n",
        "/f: 100 bytes of contents are lost: body file 00000003, byte 4096; reading them is an error\n",
        "/f: 5 bytes of contents are lost: body 17; reading them is an error\n",
        "/f: its names or contents as of transaction ",
        "-: some of what transaction number 77 changed is lost\n",
        "-: the user and message of transaction number 78 are lost\n",
        "-: tags are lost, if ",
    };
    commit_file(f);
    assert_int_equal(storage_transaction_at(f->storage, 2, &at), STORE_OK);
    tid_format(at.tid, first);
    transaction_release(&at);
    lose(f, losses, COUNT(losses));
    const struct verify_options quiet = {.problem = ignore};
    assert_int_equal(storage_verify(f->storage, &quiet, &problems), STORE_OK);
    const struct verify_options options = {.problem = ignore, .known = note_loss, .context = told};
    assert_int_equal(storage_verify(f->storage, &options, &problems), STORE_OK);
    for (size_t i = 0; i < COUNT(expected); i++)
        if (!strstr(told, expected[i]))
            fail_msg("expected: %s\ntold: %s", expected[i], told);
    assert_non_null(strstr(told, first));
    unsigned lines = 0;
    for (const char *at_line = told; *at_line; at_line++)
        lines += *at_line == '\n';
    assert_int_equal(lines, COUNT(losses));
}

/* What follows from others is told in one sentence where it is a great many. */
static void test_loss__a_great_many_are_told_at_once(void **state) {
    struct fixture *f = *state;
    char told[4096] = "";
    struct loss losses[30];
    uint64_t problems;
    const struct verify_options options = {.problem = ignore, .known = note_loss, .context = told};
    for (size_t i = 0; i < COUNT(losses); i++)
        losses[i] = (struct loss){.kind = LOSS_NOTED, .part = LOSS_NOTED_RECORD, .seq = 100 + i};
    losses[0].part = LOSS_NOTED_CHANGES;
    commit_file(f);
    lose(f, losses, COUNT(losses));
    assert_int_equal(storage_verify(f->storage, &options, &problems), STORE_OK);
    assert_string_equal(told, "-: some of what transaction number 100 changed is lost\n"
                              "-: the users and messages of 29 transactions are lost\n");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_loss__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss__an_empty_list_knows_of_nothing),
        cmocka_unit_test(test_loss__each_kind_is_found_by_what_it_is_about),
        cmocka_unit_test(test_loss__parts_that_are_not_known_are_all_parts),
        TEST(a_lost_revision_hides_the_one_before_it),
        TEST(a_lost_part_may_have_been_data),
        TEST(an_unknown_part_is_where_parts_are),
        TEST(the_first_chunk_may_be_lost_of_what_has_none),
        TEST(what_was_lost_has_changed),
        TEST(a_lost_change_is_the_newest_touch),
        TEST(names_that_are_lost_are_neither_there_nor_not),
        TEST(a_name_may_have_ended),
        cmocka_unit_test(test_loss__a_name_that_ended_in_time_is_not_doubted),
        TEST(a_lost_body_is_lost_however_it_cannot_be_read),
        TEST(a_lost_time_is_certain_only_where_the_next_begins),
        TEST(the_time_of_the_newest_transaction_may_be_lost),
        TEST(a_damaged_transaction_beside_a_lost_time_is_told),
        TEST(a_wrong_record_is_damage),
        TEST(people_are_told_what_is_lost),
        TEST(a_great_many_are_told_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
