/* Repair of stores whose pages are right but for one, and whose rows are odd: each is taken for what it is, or passed over, and nothing else suffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/page_vfs.h"
#include "store/repair.h"
#include "tests/sample.h"
#include "tests/tamper.h"

#define OBJECTS 8

static int set_up(void **state) {
    struct sample *sample = sample_new(NULL);
    uint64_t dir = sample_make(sample, ROOT_OID, "dir", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(sample, dir, "file", S_IFREG | 0644, "content");
    sample_commit(sample, "two");
    (void)sample_make(sample, dir, "old", S_IFREG | 0644, "old content");
    (void)sample_make(sample, ROOT_OID, "other", S_IFDIR | 0755, NULL);
    sample_commit(sample, "three");
    sample_remove(sample, dir, "old");
    sample_remove(sample, ROOT_OID, "other");
    sample_write(sample, file, "more content");
    sample_set_xattr(sample, file, "user.a", "b");
    uint64_t sub = sample_make(sample, dir, "sub", S_IFDIR | 0755, NULL);
    (void)sample_make(sample, sub, "f", S_IFREG | 0644, "deep");
    sample_commit(sample, "four");
    assert_int_equal(storage_tag_set(store_storage(sample->store), "v1", 5, false), STORE_OK);
    *state = sample;
    return 0;
}

static int tear_down(void **state) {
    sample_free(*state);
    return 0;
}

/* Into the root page of a table or index, with the store closed. */
static void write_to_root_of(struct sample *sample, const char *name, off_t at, const void *bytes, size_t length) {
    char path[128], sql[128];
    sqlite3 *db;
    sqlite3_stmt *statement;
    (void)snprintf(path, sizeof path, "%s/tidfs.db", sample->directory);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    off_t page = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, length, (page - 1) * (off_t)PAGE_BYTES + at), length);
    (void)close(fd);
}

static void damage_root_of(struct sample *sample, const char *name) {
    static const uint8_t zeros[PAGE_BYTES];
    write_to_root_of(sample, name, 0, zeros, sizeof zeros);
}

static void note(void *context, const struct verify_problem *what) {
    char *text = context;
    size_t used = strlen(text);
    (void)snprintf(text + used, 16384 - used, "%s: %s\n", what->path ? what->path : "-", what->text);
}

/* Repairs, and leaves the store open and sound. */
static void repair(struct sample *sample, char told[16384]) {
    struct error err = {0};
    struct repair_result result = {0};
    uint64_t problems;
    const struct repair_options options = {.told = note, .context = told, .user = "tester"};
    told[0] = '\0';
    if (store_repair(sample->directory, &options, &result, &err) != STORE_OK)
        fail_msg("%s", err.text);
    assert_true(result.damaged);
    assert_int_equal(result.left, 0);
    repair_result_release(&result);
    if (store_open(sample->directory, &(struct store_options){.writable = true}, &sample->store, &err) != STORE_OK)
        fail_msg("%s", err.text);
    const struct verify_options verify = {.problem = note, .context = told};
    assert_int_equal(storage_verify(store_storage(sample->store), &verify, &problems), STORE_OK);
    if (problems != 0)
        fail_msg("%s", told);
}

/* All that is shown of every instant up to transaction 4. */
static uint64_t look(struct sample *sample) {
    static const uint64_t parts[] = {PART_INODE, PART_XATTRS, PART_CHUNK};
    struct storage *storage = store_storage(sample->store);
    XXH3_state_t *hash = XXH3_createState();
    assert_non_null(hash);
    (void)XXH3_64bits_reset(hash);
    for (uint64_t before = 2; before <= 5; before++)
        for (uint64_t oid = ROOT_OID; oid < OBJECTS; oid++) {
            struct entry_list list;
            int rc = storage_list(storage, oid, before, &list);
            (void)XXH3_64bits_update(hash, &rc, sizeof rc);
            for (size_t i = 0; rc == STORE_OK && i < list.count; i++)
                (void)XXH3_64bits_update(hash, list.items[i].name, list.items[i].name_length);
            if (rc == STORE_OK)
                entry_list_release(&list);
            for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
                enum load_outcome outcome = LOAD_NOT_YET;
                struct revision revision = {0};
                rc = storage_load_before(storage, oid, parts[i], before, &outcome, &revision);
                (void)XXH3_64bits_update(hash, &rc, sizeof rc);
                (void)XXH3_64bits_update(hash, &outcome, sizeof outcome);
                (void)XXH3_64bits_update(hash, revision.data, revision.length);
                revision_release(&revision);
            }
        }
    uint64_t sum = XXH3_64bits_digest(hash);
    (void)XXH3_freeState(hash);
    return sum;
}

static void close_store(struct sample *sample) {
    store_close(sample->store);
    sample->store = NULL;
}

static void change(struct sample *sample, const char *sql) {
    change_database(sample->directory, sql);
}

/* ---- */

/* Whatever else stands in pages of the file. */
static void test_salvage__rows_of_other_tables_are_none_of_ours(void **state) {
    struct sample *sample = *state;
    static const unsigned counts[] = {2, 3, 6, 7, 9, 10, 11};
    char told[16384];
    uint64_t before = look(sample);
    close_store(sample);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int rowid = 0; rowid < 2; rowid++) {
            char sql[4096];
            int used = snprintf(sql, sizeof sql, "CREATE TABLE t%u%d(", counts[i], rowid);
            for (unsigned c = 0; c < counts[i]; c++)
                used += snprintf(sql + used, sizeof sql - (size_t)used, "c%u%s", c,
                                 c == 0 && rowid ? " INTEGER PRIMARY KEY," : ",");
            (void)snprintf(sql + used, sizeof sql - (size_t)used,
                           rowid ? "CHECK(1));" : "PRIMARY KEY(c0)) WITHOUT ROWID;");
            change(sample, sql);
            /* Integers but for one text, and but for one blob at the place where a row of ours has one. */
            for (unsigned text = 0; text <= counts[i]; text++)
                for (int blob = 0; blob < 3; blob++) {
                    used = snprintf(sql, sizeof sql, "INSERT INTO t%u%d VALUES(", counts[i], rowid);
                    for (unsigned c = 0; c < counts[i]; c++) {
                        const char *separator = c + 1 < counts[i] ? "," : ")";
                        if (c == 0)
                            used += snprintf(sql + used, sizeof sql - (size_t)used,
                                             text == 0 && !rowid ? "'k%u'%s" : "%u%s", text * 10 + (unsigned)blob + 1,
                                             separator);
                        else if (c == text)
                            used += snprintf(sql + used, sizeof sql - (size_t)used, "'text'%s", separator);
                        else if (blob == (int)c)
                            used += snprintf(sql + used, sizeof sql - (size_t)used, "x'00'%s", separator);
                        else
                            used += snprintf(sql + used, sizeof sql - (size_t)used, "%u%s", c, separator);
                    }
                    change(sample, sql);
                }
        }
    change(sample, "CREATE TABLE plain(a, b, c); INSERT INTO plain VALUES(1, 2, 3)");
    damage_root_of(sample, "entry_oid");
    repair(sample, told);
    assert_int_equal(look(sample), before);
}

/* These have no checksum, and nothing depends on them. */
static void test_salvage__an_identity_that_is_none_is_made_anew(void **state) {
    static const char *const changes[] = {
        "UPDATE meta SET value = 7 WHERE key = 'uuid'",
        "UPDATE meta SET value = 'short' WHERE key = 'uuid'",
        "UPDATE meta SET value = replace(value, '-4', '-5') WHERE key = 'uuid'",
        "UPDATE meta SET value = 'X' || substr(value, 2) WHERE key = 'uuid'",
        "UPDATE meta SET value = substr(value, 1, 3) || char(0) || substr(value, 5) WHERE key = 'uuid'",
        "UPDATE meta SET value = 'new' WHERE key = 'format'",
        "UPDATE meta SET value = 'long ago' WHERE key = 'created'",
        "UPDATE meta SET value = -5 WHERE key = 'created'",
        "UPDATE meta SET key = 'Uuid' WHERE key = 'uuid'",
        "DELETE FROM meta WHERE key = 'created'; INSERT INTO meta VALUES('formal', 9)",
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct sample *sample = *state;
        char told[16384];
        uint64_t before = look(sample);
        close_store(sample);
        change(sample, changes[i]);
        damage_root_of(sample, "entry_oid");
        repair(sample, told);
        assert_int_equal(look(sample), before);
        sample_free(sample);
        assert_int_equal(set_up(state), 0);
    }
}

/* Rows whose own checksum is wrong, or whose values are, beside those that are right. */
static void test_salvage__rows_that_are_not_right_are_lost_alone(void **state) {
    static const struct {
        const char *sql;
        bool same; /* all reads as before */
    } changes[] = {
        {"UPDATE tag SET sum = sum + 1", true},
        {"UPDATE state SET sum = sum + 1", true},
        {"UPDATE state SET next_oid = 0, sum = row_sum(0, next_revision, next_body, next_subtree, body_file, body_end, "
         "horizon,"
         " packed_s, packed_ns)",
         true},
        {"INSERT INTO body VALUES(1, x'00', 5)", true},
        {"INSERT INTO body VALUES(-3, x'00', row_sum(-3, x'00'))", true},
        {"INSERT INTO subtree VALUES(-7, 99, 2)", true},
        {"INSERT INTO revision VALUES(-9, 90, 0, 2, x'00', row_sum(-9, 90, 0, 2, x'00'))", true},
        {"UPDATE revision SET sum = sum + 1 WHERE oid = 3 AND part = 16 AND seq = 4", false},
        {"UPDATE revision SET sum = sum + 1 WHERE oid = 3 AND part = 0 AND seq = 2", false},
        {"UPDATE entry SET sum = sum + 1 WHERE oid = 3", false},
        {"UPDATE past_entry SET sum = sum + 1 WHERE oid = 4", false},
        {"UPDATE txn SET sum = sum + 1 WHERE seq = 3", true},
        {"INSERT INTO tag VALUES('', 1, 5), ('a' || char(0), 1, 5), (printf('%300d', 1), 1, 5)", true},
        /* Parts that there are not, at an instant that there may have been and at one that there was not. */
        {"UPDATE revision SET part = 9223372036854775807 WHERE oid = 3 AND part = 16 AND seq = 4", false},
        {"UPDATE revision SET part = 5, seq = 9999 WHERE oid = 3 AND part = 16 AND seq = 4", false},
        /* A part that is there. */
        {"DROP INDEX revision_oid; UPDATE revision SET part = 0 WHERE oid = 3 AND part = 16 AND seq = 4", false},
        {"UPDATE revision SET part = 0, seq = 9999 WHERE oid = 3 AND part = 16 AND seq = 4", false},
        /* The place of an index is taken by another. */
        {"DROP INDEX revision_oid; CREATE INDEX other ON revision(oid, part)", true},
        {"DROP INDEX entry_name; CREATE INDEX other ON entry(parent)", true},
        {"DROP INDEX entry_oid; CREATE INDEX other ON revision(oid, part, seq)", true},
        /* The root, ended. */
        {"UPDATE revision SET data = NULL, sum = row_sum(id, oid, part, seq, NULL)"
         " WHERE id = (SELECT max(id) FROM revision WHERE oid = 1 AND part = 0)",
         false},
        {"UPDATE revision SET sum = sum + 1", false},
        {"UPDATE entry SET sum = sum + 1", false},
        {"UPDATE txn SET sum = sum + 1", false},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct sample *sample = *state;
        char told[16384];
        uint64_t before = look(sample);
        close_store(sample);
        change(sample, changes[i].sql);
        damage_root_of(sample, strstr(changes[i].sql, "DROP INDEX entry_oid") ? "entry_name" : "entry_oid");
        repair(sample, told);
        if (changes[i].same && look(sample) != before)
            fail_msg("%s: reads differently; %s", changes[i].sql, told);
        sample_free(sample);
        assert_int_equal(set_up(state), 0);
    }
}

static const char *known(struct sample *sample, char told[16384]) {
    const struct verify_options options = {.problem = note, .known = note, .context = told};
    uint64_t problems;
    told[0] = '\0';
    assert_int_equal(storage_verify(store_storage(sample->store), &options, &problems), STORE_OK);
    assert_int_equal(problems, 0);
    return told;
}

static void test_salvage__a_tag_that_is_lost_is_told(void **state) {
    struct sample *sample = *state;
    char told[16384];
    uint64_t tid;
    assert_int_equal(storage_tag_set(store_storage(sample->store), "v2", 6, false), STORE_OK);
    close_store(sample);
    change(sample, "UPDATE tag SET tid = 7 WHERE name = 'v1'");
    repair(sample, told);
    assert_string_equal(told, "-: the tag v1 is lost\n");
    assert_int_equal(storage_tag_get(store_storage(sample->store), "v1", &tid), STORE_ABSENT);
    assert_int_equal(storage_tag_get(store_storage(sample->store), "v2", &tid), STORE_OK);
    assert_string_equal(known(sample, told), "-: the tag v1 is lost\n");
    assert_int_equal(storage_tag_set(store_storage(sample->store), "v1", 6, false), STORE_OK);

    close_store(sample);
    change(sample, "UPDATE tag SET name = x'00', sum = row_sum(x'00', tid) WHERE name = 'v2'");
    damage_root_of(sample, "entry_oid");
    repair(sample, told);
    assert_non_null(strstr(told, "-: tags are lost, if "));
    assert_null(strstr(told, "v1"));
    assert_int_equal(storage_tag_get(store_storage(sample->store), "v1", &tid), STORE_OK);
    assert_non_null(strstr(known(sample, told), "-: the tag v1 is lost\n")); /* by the repair before */
}

/* Such as a page that was in use before. */
static void test_salvage__a_tag_that_is_right_elsewhere_is_not_lost(void **state) {
    struct sample *sample = *state;
    char told[16384];
    uint64_t tid;
    close_store(sample);
    change(sample, "CREATE TABLE other(name TEXT PRIMARY KEY, tid, sum) WITHOUT ROWID;"
                   "INSERT INTO other SELECT name, tid, sum FROM tag;"
                   "UPDATE tag SET tid = 7 WHERE name = 'v1'");
    repair(sample, told);
    assert_string_equal(told, "");
    assert_int_equal(storage_tag_get(store_storage(sample->store), "v1", &tid), STORE_OK);
    assert_int_equal(tid, 5);
}

/* What has the form of a record that a tag is lost, and is none, is not taken for one, nor does it use up ids. */
static void test_salvage__records_of_lost_tags_may_be_none(void **state) {
    struct sample *sample = *state;
    char told[16384];
    close_store(sample);
    change(sample, "UPDATE tag SET tid = 7 WHERE name = 'v1'");
    repair(sample, told);
    close_store(sample);
    change(sample,
           "INSERT INTO meta VALUES('lost_tag_', 'evil'), ('lost_tag_1234567890123456789012345', 'evil'),"
           " ('last_tag_22', 'evil'), ('lost_tag_9223372036854775807', 'evil'), ('lost_tag_5', printf('%300d', 1)),"
           " ('lost_tag_6', x'00')");
    damage_root_of(sample, "entry_oid");
    repair(sample, told);
    assert_string_equal(known(sample, told), "-: the tag v1 is lost\n");
    assert_int_equal(storage_tag_set(store_storage(sample->store), "v2", 6, false), STORE_OK);
    close_store(sample);
    change(sample, "UPDATE tag SET tid = 7 WHERE name = 'v2'");
    repair(sample, told);
    assert_string_equal(known(sample, told), "-: the tag v1 is lost\n-: the tag v2 is lost\n");
}

static void test_salvage__tags_of_a_damaged_page_are_told(void **state) {
    struct sample *sample = *state;
    char told[16384];
    uint64_t tid;
    close_store(sample);
    damage_root_of(sample, "tag");
    repair(sample, told);
    assert_non_null(strstr(told, "-: tags are lost, if "));
    assert_int_equal(storage_tag_set(store_storage(sample->store), "v1", 5, false), STORE_OK);
    assert_int_equal(storage_tag_get(store_storage(sample->store), "v1", &tid), STORE_OK);
    assert_non_null(strstr(known(sample, told), "-: tags are lost, if "));
}

/* A page that is wrong in a place where it has no rows, which are right. */
static void test_salvage__tags_of_a_page_that_is_not_right_are_kept(void **state) {
    struct sample *sample = *state;
    char told[16384];
    uint64_t tid;
    close_store(sample);
    write_to_root_of(sample, "tag", 2000, "?", 1);
    repair(sample, told);
    assert_non_null(strstr(told, "-: tags are lost, if "));
    assert_int_equal(storage_tag_get(store_storage(sample->store), "v1", &tid), STORE_OK);
    assert_int_equal(tid, 5);
}

/* Whatever is put on record. */
static void test_salvage__each_loss_is_told(void **state) {
    static const struct {
        const char *sql, *told;
    } changes[] = {
        {"UPDATE txn SET user = 'evil' WHERE seq = 2", "-: the user and message of transaction "},
        {"UPDATE txn SET tid = 1 WHERE seq = 2", "-: when transaction number 2 was is lost\n"},
        {"UPDATE past_entry SET sum = sum + 1 WHERE oid = 4", "/dir: names are lost: "},
        {"UPDATE past_entry SET sum = sum + 1 WHERE oid = 4", "/dir: the name old in it, "},
        {"UPDATE past_entry SET sum = sum + 1 WHERE oid = 4", ": its names or contents as of transaction "},
        {"UPDATE revision SET sum = sum + 1 WHERE oid = 4 AND part = 0 AND seq = 3", "-: some of what transaction "},
        {"UPDATE revision SET data = zeroblob(17000000) WHERE oid = 3 AND part = 0 AND seq = 2",
         "/dir/file: owner, permissions, size and times as transaction "},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct sample *sample = *state;
        char told[16384];
        close_store(sample);
        change(sample, changes[i].sql);
        repair(sample, told);
        if (!strstr(told, changes[i].told))
            fail_msg("%s: not told: %s; but: %s", changes[i].sql, changes[i].told, told);
        assert_true(known(sample, told)[0] != '\0');
        sample_free(sample);
        assert_int_equal(set_up(state), 0);
    }
}

/* Each table and index in turn. */
static void test_salvage__any_page_may_be_lost(void **state) {
    static const char *const names[] = {
        "meta",
        "state",
        "txn",
        "sqlite_autoindex_txn_1",
        "revision",
        "revision_oid",
        "body",
        "entry",
        "entry_name",
        "entry_oid",
        "past_entry",
        "past_entry_name",
        "past_entry_level",
        "past_entry_oid",
        "subtree",
        "subtree_dir",
        "tag",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sample *sample = *state;
        char told[16384];
        close_store(sample);
        damage_root_of(sample, names[i]);
        repair(sample, told);
        sample_free(sample);
        assert_int_equal(set_up(state), 0);
    }
}

/* Two at once: rows, and the index that would tell which ones are missing. */
static void test_salvage__any_page_may_be_lost_with_the_index_of_revisions(void **state) {
    static const char *const names[] = {"meta",     "state", "txn",        "sqlite_autoindex_txn_1",
                                        "revision", "entry", "past_entry", "subtree"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sample *sample = *state;
        char told[16384];
        close_store(sample);
        damage_root_of(sample, names[i]);
        damage_root_of(sample, "revision_oid");
        repair(sample, told);
        sample_free(sample);
        assert_int_equal(set_up(state), 0);
    }
}

/* The state, and with it what would tell where history ends: without the revisions as well, and without their index. */
static void test_salvage__the_state_may_be_lost_with_all_revisions(void **state) {
    for (int with_index = 0; with_index < 2; with_index++) {
        struct sample *sample = *state;
        char told[16384];
        close_store(sample);
        damage_root_of(sample, "state");
        damage_root_of(sample, "revision");
        if (with_index)
            damage_root_of(sample, "revision_oid");
        repair(sample, told);
        assert_non_null(strstr(told, "the record of the store's state is lost"));
        assert_true(store_last(sample->store) >= 4);
        sample_free(sample);
        assert_int_equal(set_up(state), 0);
    }
}

/* All of them grow, so that older ones are outdone. */
static void test_salvage__of_several_states_the_highest_counts(void **state) {
    struct sample *sample = *state;
    char told[16384];
    sample_move_horizon(sample, 2, 1000000000);
    close_store(sample);
    change(sample, "INSERT INTO state SELECT 0, 1, 1, 1, 1, body_file, body_end, 1, 5, 5,"
                   " row_sum(1, 1, 1, 1, body_file, body_end, 1, 5, 5) FROM state;"
                   "INSERT INTO state SELECT 2, 1, 1, 1, 1, 0, 9, 0, 0, 0, row_sum(1, 1, 1, 1, 0, 9, 0, 0, 0)"
                   " FROM state WHERE id = 1;"
                   "UPDATE state SET body_file = 3, sum = row_sum(next_oid, next_revision, next_body, next_subtree, 3,"
                   " body_end, horizon, packed_s, packed_ns) WHERE id = 1");
    damage_root_of(sample, "entry_oid");
    repair(sample, told);
    assert_string_equal(told, "");
    assert_int_equal(store_horizon(sample->store), 2);
}

/* What lies before the horizon may be gone, and nobody misses it. */
static void test_salvage__what_was_packed_away_is_not_lost(void **state) {
    struct sample *sample = *state;
    char told[16384];
    sample_move_horizon(sample, 4, 1000000000);
    close_store(sample);
    change(sample, "DELETE FROM revision WHERE oid = 3 AND part = 16 AND seq = 2;"
                   "DELETE FROM revision WHERE oid = 2 AND part = 0 AND seq = 3");
    damage_root_of(sample, "entry_oid");
    repair(sample, told);
    assert_null(strstr(told, "/dir/file"));
    assert_int_equal(store_horizon(sample->store), 4);
}

/* All but its marks. */
static void test_salvage__a_transaction_of_which_marks_are_left_was_there(void **state) {
    struct sample *sample = *state;
    char told[16384];
    close_store(sample);
    change(sample, "UPDATE txn SET sum = sum + 1 WHERE seq = 4; UPDATE revision SET sum = sum + 1 WHERE seq = 4;"
                   "UPDATE entry SET sum = sum + 1 WHERE born = 4; UPDATE past_entry SET sum = sum + 1 WHERE died = 4");
    damage_root_of(sample, "sqlite_autoindex_txn_1");
    damage_root_of(sample, "revision_oid");
    repair(sample, told);
    assert_non_null(strstr(told, "transaction number 4 was is lost"));
}

/* Nothing is left of the newest transactions but that there were some. */
static void test_salvage__the_horizon_is_not_behind_what_is_left(void **state) {
    struct sample *sample = *state;
    char told[16384];
    sample_move_horizon(sample, 5, 1000000000);
    close_store(sample);
    change(sample,
           "DELETE FROM txn WHERE seq > 2; DELETE FROM revision WHERE seq > 2; DELETE FROM entry WHERE born > 2;"
           "DELETE FROM past_entry; DELETE FROM subtree WHERE seq > 2");
    damage_root_of(sample, "revision_oid");
    repair(sample, told);
    assert_true(store_horizon(sample->store) <= store_last(sample->store) + 1);
}

static void test_salvage__many_lost_names_are_counted(void **state) {
    struct sample *sample = *state;
    char told[16384], name[16];
    for (int i = 0; i < 105; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        (void)sample_make(sample, ROOT_OID, name, S_IFREG | 0644, NULL);
    }
    sample_commit(sample, "five");
    for (int i = 0; i < 105; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        sample_remove(sample, ROOT_OID, name);
    }
    sample_commit(sample, "six");
    close_store(sample);
    change(sample, "UPDATE past_entry SET sum = sum + 1 WHERE parent = 1");
    repair(sample, told);
    assert_non_null(strstr(told, "the name n1 in it, of now or of before, is lost"));
    assert_non_null(strstr(told, " more names are lost"));
}

/* Once is enough, also if the record itself has it twice. */
static void test_salvage__what_is_on_record_is_not_put_there_again(void **state) {
    struct sample *sample = *state;
    char told[16384];
    close_store(sample);
    change(sample, "UPDATE revision SET sum = sum + 1 WHERE oid = 3 AND part = 16 AND seq = 4;"
                   "UPDATE past_entry SET sum = sum + 1 WHERE oid = 4");
    repair(sample, told);
    assert_true(told[0] != '\0');
    close_store(sample);
    change(sample, "INSERT INTO loss SELECT (SELECT max(id) FROM loss) + id, kind, oid, part, seq, until,"
                   " row_sum((SELECT max(id) FROM loss) + id, kind, oid, part, seq, until) FROM loss");
    damage_root_of(sample, "entry_oid");
    repair(sample, told);
    assert_string_equal(told, "");
}

/* The index that a repair made lacks what was lost, of which the record told: what the gap was is unknown again. */
static void test_salvage__what_was_on_record_is_lost_again_with_it(void **state) {
    struct sample *sample = *state;
    char told[16384];
    close_store(sample);
    change(sample, "UPDATE revision SET sum = sum + 1 WHERE oid = 3 AND part = 16 AND seq = 4;"
                   "UPDATE past_entry SET sum = sum + 1 WHERE oid = 4");
    repair(sample, told);
    close_store(sample);
    change(sample, "UPDATE loss SET sum = sum + 1 WHERE id = (SELECT min(id) FROM loss)");
    damage_root_of(sample, "state");
    damage_root_of(sample, "revision");
    repair(sample, told);
    assert_true(told[0] != '\0');
}

/* Nothing tells of the damaged revisions what they were, and of others more than can be right. */
static void test_salvage__more_may_be_known_than_is_missing(void **state) {
    struct sample *sample = *state;
    char told[16384];
    sample_write(sample, 3, "content of five");
    sample_commit(sample, "five");
    close_store(sample);
    change(sample, "UPDATE revision SET oid = oid + 20, sum = row_sum(id, oid + 20, part, seq, data)"
                   " WHERE part = 0 AND seq = 4 AND oid IN (3, 7);"
                   "UPDATE revision SET sum = sum + 1, oid = -id WHERE part = 0 AND seq = 4 AND oid = 6;"
                   "UPDATE revision SET sum = sum + 1, oid = -id WHERE part = 16 AND seq = 5;"
                   /* one that has ended goes on */
                   "UPDATE revision SET oid = 4, sum = row_sum(id, 4, part, seq, data) WHERE part = 0 AND seq = 5");
    damage_root_of(sample, "revision_oid");
    repair(sample, told);
    assert_true(told[0] != '\0');
}

/* A log that nobody can have written there is not passed over: what it stands for may be elsewhere. */
static void test_salvage__a_log_that_is_no_file_is_refused(void **state) {
    struct sample *sample = *state;
    char log[128];
    struct error err = {0};
    struct repair_result result = {0};
    const struct repair_options options = {.user = "tester"};
    close_store(sample);
    (void)snprintf(log, sizeof log, "%s/tidfs.db-wal", sample->directory);
    for (int kind = 0; kind < 4; kind++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        (void)strcpy(address.sun_path, log);
        int made = kind == 0   ? symlink("elsewhere", log)
                   : kind == 1 ? mkfifo(log, 0600)
                   : kind == 2 ? mkdir(log, 0700)
                               : bind(fd, (const struct sockaddr *)&address, sizeof address);
        assert_int_equal(made, 0);
        assert_int_equal(store_repair(sample->directory, &options, &result, &err), STORE_NOT_A_STORE);
        assert_non_null(strstr(err.text, "tidfs.db-wal is no regular file"));
        assert_int_equal(remove(log), 0);
        (void)close(fd);
    }
}

/* The clock when the rest is told what is missing at the end of history. */
static struct {
    bool wrong;
    int64_t seconds; /* 0: it fails, once */
} test_clock;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time) {
    if (!test_clock.wrong || clock != CLOCK_REALTIME)
        return __real_clock_gettime(clock, time);
    *time = (struct timespec){.tv_sec = test_clock.seconds};
    if (test_clock.seconds != 0)
        return 0;
    test_clock.wrong = false;
    errno = EINVAL;
    return -1;
}

static void test_salvage__needs_no_right_clock(void **state) {
    static const int64_t seconds[] = {0, 1, -5000000000};
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        struct sample *sample = *state;
        char told[16384];
        close_store(sample);
        change(sample, "UPDATE txn SET sum = sum + 1 WHERE seq = 4");
        damage_root_of(sample, "sqlite_autoindex_txn_1");
        test_clock.wrong = true;
        test_clock.seconds = seconds[i];
        repair(sample, told);
        test_clock.wrong = false;
        assert_non_null(strstr(told, "transaction number 4 was is lost"));
        sample_free(sample);
        assert_int_equal(set_up(state), 0);
    }
}

static bool disk_gives_nothing;

ssize_t __real_pread64(int fd, void *buffer, size_t length, off_t at);
ssize_t __wrap_pread64(int fd, void *buffer, size_t length, off_t at);

ssize_t __wrap_pread64(int fd, void *buffer, size_t length, off_t at) {
    if (!disk_gives_nothing)
        return __real_pread64(fd, buffer, length, at);
    errno = EIO;
    return -1;
}

/* What it may give another time is not given up. */
static void test_salvage__of_a_disk_that_gives_nothing(void **state) {
    struct sample *sample = *state;
    struct error err = {0};
    struct repair_result result = {0};
    const struct repair_options options = {.user = "tester"};
    char told[16384];
    uint64_t before = look(sample);
    close_store(sample);
    damage_root_of(sample, "entry_oid");
    disk_gives_nothing = true;
    assert_int_equal(store_repair(sample->directory, &options, &result, &err), STORE_IO);
    disk_gives_nothing = false;
    assert_non_null(strstr(err.text, "pages cannot be read from the disk, and the others are of no use"));
    repair(sample, told);
    assert_int_equal(look(sample), before);
}

static void test_salvage__of_a_path_that_is_too_long(void **state) {
    struct sample *sample = *state;
    char path[PATH_MAX + 10];
    (void)memset(path, '/', sizeof path);
    (void)strcpy(path, sample->directory);
    path[strlen(path)] = '/';
    path[sizeof path - 1] = '\0';
    repair_remove_attempt(path); /* there can be nothing */
    assert_int_not_equal(look(sample), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_salvage__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rows_of_other_tables_are_none_of_ours),
        TEST(an_identity_that_is_none_is_made_anew),
        TEST(rows_that_are_not_right_are_lost_alone),
        TEST(a_tag_that_is_lost_is_told),
        TEST(a_tag_that_is_right_elsewhere_is_not_lost),
        TEST(records_of_lost_tags_may_be_none),
        TEST(tags_of_a_damaged_page_are_told),
        TEST(tags_of_a_page_that_is_not_right_are_kept),
        TEST(each_loss_is_told),
        TEST(any_page_may_be_lost),
        TEST(any_page_may_be_lost_with_the_index_of_revisions),
        TEST(the_state_may_be_lost_with_all_revisions),
        TEST(of_several_states_the_highest_counts),
        TEST(what_was_packed_away_is_not_lost),
        TEST(a_transaction_of_which_marks_are_left_was_there),
        TEST(the_horizon_is_not_behind_what_is_left),
        TEST(many_lost_names_are_counted),
        TEST(what_is_on_record_is_not_put_there_again),
        TEST(what_was_on_record_is_lost_again_with_it),
        TEST(more_may_be_known_than_is_missing),
        TEST(a_log_that_is_no_file_is_refused),
        TEST(needs_no_right_clock),
        TEST(of_a_path_that_is_too_long),
        TEST(of_a_disk_that_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
