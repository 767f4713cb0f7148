/* The newest state after a repair: names and objects that a disk, or a hostile hand, has left so that they cannot all be right. Whatever it was, the
 * repair succeeds, leaves nothing to repair, and every object that was there can be reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/repair.h"
#include "tests/changing.h"
#include "tests/hostile.h"
#include "tests/tamper.h"

/* one/file   one/two/low/deep   one/two/second   other   empty   link   ended: gone/ and late/
 * `low` has the lowest oid of all, though two directories are above it. */
struct fixture {
    struct changing *c;
    uint64_t low, one, two, second, file, other, empty, link, gone;
    uint64_t transactions;
    struct repair_result result;
    char told[8192];
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    struct changing *c = f->c = changing_new(1);
    f->low = changing_mkdir(c, "low");
    f->one = changing_mkdir(c, "one");
    f->two = changing_mkdir(c, "one/two");
    f->second = changing_mkdir(c, "one/two/second");
    f->gone = changing_mkdir(c, "gone");
    changing_rename(c, "low", "one/two/low", 0);
    (void)changing_write(c, "one/two/low/deep", "deep down");
    f->file = changing_write(c, "one/file", "some text");
    f->other = changing_write(c, "other", "something else");
    f->empty = changing_write(c, "empty", "");
    f->link = changing_symlink(c, "link", "other");
    (void)changing_commit(c, "all that there is");
    changing_remove(c, "gone");
    (void)changing_write(c, "other", "something else again");
    f->transactions = changing_commit(c, "one goes");
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    repair_result_release(&f->result);
    changing_free(f->c);
    free(f);
    return 0;
}

static void close_store(struct fixture *f) {
    assert_int_equal(head_close(f->c->head), 0);
    store_close(f->c->store);
}

static void open_store(struct fixture *f) {
    const struct store_options options = {.writable = true};
    const struct head_options head_options = {.dirty_limit_bytes = UINT64_C(1) << 30};
    struct error err = {0};
    if (store_open(f->c->directory, &options, &f->c->store, &err) != STORE_OK ||
        head_open(f->c->store, &head_options, &f->c->head, &err) != STORE_OK)
        fail_msg("%s", err.text);
}

/* Rows whose checksums are made right. */
static void change(struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void change(struct fixture *f, const char *format, ...) {
    char sql[2048];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    hostile_change(f->c->directory, &(struct hostile_store){.name = "a change", .sql = sql});
}

/* Rows whose checksums then are wrong. */
static void damage(struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void damage(struct fixture *f, const char *format, ...) {
    char sql[2048];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    change_database(f->c->directory, sql);
}

static void take_line(void *context, const struct verify_problem *what) {
    struct fixture *f = context;
    size_t used = strlen(f->told);
    (void)snprintf(f->told + used, sizeof f->told - used, "%s: %s\n", what->path ? what->path : "-", what->text);
}

/* Repairs, and opens what came of it: it verifies, and a second repair finds nothing. */
static void repair(struct fixture *f) {
    const struct repair_options options = {.told = take_line, .context = f};
    struct repair_result again;
    struct error err = {0};
    repair_result_release(&f->result);
    if (store_repair(f->c->directory, &options, &f->result, &err) != STORE_OK)
        fail_msg("%s", err.text);
    assert_true(f->result.damaged);
    assert_int_equal(f->result.left, 0);
    assert_int_equal(store_repair(f->c->directory, &options, &again, &err), STORE_OK);
    assert_false(again.damaged);
    repair_result_release(&again);
    open_store(f);
    assert_int_equal(hostile_verify(f->c->store), 0);
}

static void assert_at(struct fixture *f, const char *path, uint64_t oid) {
    uint64_t found = changing_find(f->c, path);
    if (found != oid)
        fail_msg("%s is object %" PRIu64 " and not %" PRIu64 ":\n%s", path, found, oid, f->told);
}

static void assert_in_lost_and_found(struct fixture *f, const char *where, uint64_t oid) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/#%" PRIu64, where, oid);
    assert_at(f, path, oid);
}

static void assert_text(struct fixture *f, const char *path, const char *text) {
    char *is = changing_read(f->c, path);
    assert_string_equal(is, text);
    free(is);
}

#define NEWEST_INODE "(SELECT max(id) FROM revision WHERE part = 0 AND oid = %" PRIu64 ")"
#define DIRECTORY    "bytes(x'010e', 16877, 1000, 1000, "

/* ---- names of directories ---- */

static void test_repair_head__directories_that_hold_one_another(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE entry SET parent = %" PRIu64 ", idx = 100 WHERE oid = %" PRIu64, f->two, f->one);
    repair(f);
    assert_in_lost_and_found(f, "lost+found", f->one);
    char path[128];
    (void)snprintf(path, sizeof path, "lost+found/#%" PRIu64 "/two/low/deep", f->one);
    assert_text(f, path, "deep down");
    assert_at(f, "other", f->other);
}

static void test_repair_head__a_directory_that_holds_itself_under_two_names(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f,
           "UPDATE entry SET parent = oid, idx = 100, type = 32768 WHERE oid = %" PRIu64
           ";INSERT INTO entry VALUES(%" PRIu64 ", 101, CAST('itself' AS BLOB), %" PRIu64 ", 16384, 2, 0)",
           f->one, f->one, f->one);
    repair(f);
    assert_in_lost_and_found(f, "lost+found", f->one);
    char path[128];
    (void)snprintf(path, sizeof path, "lost+found/#%" PRIu64 "/itself", f->one);
    assert_at(f, path, 0);
}

static void test_repair_head__of_two_names_the_one_that_the_directory_tells(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f,
           "INSERT INTO entry VALUES(1, 100, CAST('again' AS BLOB), %" PRIu64 ", 16384, 2, 0), (%" PRIu64
           ", 100, CAST('and again' AS BLOB), %" PRIu64 ", 16384, 2, 0)",
           f->low, f->two, f->low);
    repair(f);
    assert_at(f, "again", 0);
    assert_at(f, "one/two/and again", 0);
    assert_at(f, "one/two/low", f->low);
    assert_text(f, "one/two/low/deep", "deep down");
}

static void test_repair_head__of_two_names_the_first_if_the_directory_tells_of_neither(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f,
           "UPDATE entry SET parent = %" PRIu64 " WHERE oid = %" PRIu64
           ";INSERT INTO entry VALUES(1, 100, CAST('again' AS BLOB), %" PRIu64 ", 16384, 2, 0)",
           f->second, f->low, f->low);
    repair(f);
    assert_at(f, "again", f->low);
    assert_at(f, "one/two/second/low", 0);
    assert_text(f, "again/deep", "deep down");
}

static void test_repair_head__the_root_has_no_name(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "INSERT INTO entry VALUES(%" PRIu64 ", 100, CAST('up' AS BLOB), 1, 16384, 2, 0)", f->one);
    repair(f);
    assert_at(f, "one/up", 0);
    assert_at(f, "one/two/low", f->low);
}

static void test_repair_head__a_file_holds_no_names(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE entry SET parent = %" PRIu64 " WHERE oid = %" PRIu64, f->other, f->file);
    repair(f);
    assert_at(f, "other", f->other);
    assert_in_lost_and_found(f, "lost+found", f->file);
}

static void test_repair_head__a_name_is_of_the_type_of_its_object(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE entry SET type = 16384 WHERE oid = %" PRIu64, f->file);
    repair(f);
    assert_at(f, "one/file", 0);
    assert_in_lost_and_found(f, "lost+found", f->file);
    assert_int_equal(f->result.removed, 1);
    assert_int_equal(f->result.placed, 1);
}

/* ---- inodes ---- */

static void test_repair_head__names_of_what_cannot_be_made_again_end(void **state) {
    struct fixture *f = *state;
    static const unsigned types[] = {S_IFLNK, S_IFCHR, S_IFBLK};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        uint64_t oid = changing_write(f->c, "victim", "");
        (void)changing_commit(f->c, "one more");
        close_store(f);
        change(f, "UPDATE entry SET type = %u WHERE oid = %" PRIu64, types[i], oid);
        damage(f, "UPDATE revision SET data = x'00' WHERE oid = %" PRIu64, oid);
        repair(f);
        assert_at(f, "victim", 0);
        assert_at(f, "other", f->other);
    }
}

static void test_repair_head__a_name_of_what_has_ended_ends(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE revision SET data = NULL WHERE id = " NEWEST_INODE, f->empty);
    repair(f);
    assert_at(f, "empty", 0);
    assert_at(f, "lost+found", 0);
    assert_int_equal(f->result.removed, 1);
}

/* A pipe's inode can. */
static void test_repair_head__other_inodes_are_made_again(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE entry SET type = 4096 WHERE oid = %" PRIu64, f->empty);
    damage(f, "UPDATE revision SET data = x'00' WHERE oid = %" PRIu64, f->empty);
    repair(f);
    assert_at(f, "empty", f->empty);
    struct inode_version *inode;
    assert_int_equal(store_inode(f->c->store, f->empty, store_last(f->c->store) + 1, &inode), STORE_OK);
    assert_int_equal(inode->record.mode, S_IFIFO | 0600);
    store_release(f->c->store, inode);
}

/* A file that was open when it lost its last name. */
static void test_repair_head__what_has_no_links_needs_no_name(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f,
           "DELETE FROM entry WHERE oid = %" PRIu64 ";UPDATE revision SET data = bytes(x'010e', 33188, 1000, 1000, 0, "
           "0, 0, 3590686800, 5) WHERE id = " NEWEST_INODE,
           f->empty, f->empty);
    repair(f);
    assert_at(f, "lost+found", 0);
}

/* Its record cannot be read, under a right checksum, and nothing else tells of it. */
static void test_repair_head__an_object_that_nothing_tells_of(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f,
           "DELETE FROM entry WHERE oid = %" PRIu64
           ";UPDATE revision SET data = x'ff' WHERE part = 0 AND oid = %" PRIu64,
           f->other, f->other);
    repair(f);
    assert_in_lost_and_found(f, "lost+found", f->other);
    char path[64];
    (void)snprintf(path, sizeof path, "lost+found/#%" PRIu64, f->other);
    assert_text(f, path, "something else again");
}

static void test_repair_head__the_root_does_not_end(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE revision SET data = NULL WHERE id = " NEWEST_INODE, (uint64_t)ROOT_OID);
    repair(f);
    assert_at(f, "other", f->other);
    assert_at(f, "one/two/low", f->low);
    assert_at(f, "lost+found", 0);
}

static void test_repair_head__the_root_and_others_say_who_is_above_them(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE revision SET data = " DIRECTORY "3, 4, 0, 3590686800, 5, 7, 100) WHERE id = " NEWEST_INODE,
           (uint64_t)ROOT_OID);
    change(f, "UPDATE revision SET data = " DIRECTORY "2, 0, 0, 3590686800, 5, 1, 100) WHERE id = " NEWEST_INODE,
           f->second);
    repair(f);
    static const uint64_t root = ROOT_OID;
    const uint64_t oids[] = {root, f->second}, parents[] = {root, f->two};
    for (size_t i = 0; i < 2; i++) {
        struct inode_version *inode;
        assert_int_equal(store_inode(f->c->store, oids[i], store_last(f->c->store) + 1, &inode), STORE_OK);
        assert_int_equal(inode->record.parent, parents[i]);
        store_release(f->c->store, inode);
    }
}

/* New names are to have room in it. */
static void test_repair_head__the_next_index_may_be_absurd(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f,
           "UPDATE revision SET data = " DIRECTORY
           "3, 4, 0, 3590686800, 5, 1, 9223372036854775807) WHERE id = " NEWEST_INODE,
           (uint64_t)ROOT_OID);
    change(f, "UPDATE entry SET type = 16384 WHERE oid = %" PRIu64, f->file);
    repair(f);
    assert_in_lost_and_found(f, "lost+found", f->file);
    (void)changing_write(f->c, "one more", "in the root");
    (void)changing_commit(f->c, "one more");
    assert_int_equal(hostile_verify(f->c->store), 0);
}

/* ---- contents ---- */

#define CHUNKED "one/long"

static uint64_t write_long(struct fixture *f, size_t length) {
    char *text = malloc(length + 1);
    assert_non_null(text);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + i / 1000 % 26);
    text[length] = '\0';
    uint64_t oid = changing_write(f->c, CHUNKED, text);
    free(text);
    (void)changing_commit(f->c, "a long one");
    return oid;
}

/* A chunk that ended holds nothing; one that cannot be read is within the file all the same. */
static void test_repair_head__a_size_is_told_by_what_there_is(void **state) {
    struct fixture *f = *state;
    uint64_t oid = write_long(f, 5 * CHUNK_BYTES / 2);
    close_store(f);
    change(f, "UPDATE revision SET data = NULL WHERE oid = %" PRIu64 " AND part = %d", oid, PART_CHUNK + 2);
    change(f, "UPDATE revision SET data = x'ff' WHERE oid = %" PRIu64 " AND part = %d", oid, PART_CHUNK + 1);
    damage(f, "UPDATE revision SET data = x'00' WHERE oid = %" PRIu64 " AND part = 0", oid);
    repair(f);
    struct inode_version *inode;
    assert_at(f, CHUNKED, oid);
    assert_int_equal(store_inode(f->c->store, oid, store_last(f->c->store) + 1, &inode), STORE_OK);
    assert_true(inode->record.size >= CHUNK_BYTES && inode->record.size <= 2 * CHUNK_BYTES);
    store_release(f->c->store, inode);
}

/* ---- places ---- */

static void test_repair_head__a_damaged_name_is_back_in_its_place(void **state) {
    struct fixture *f = *state;
    close_store(f);
    damage(f, "UPDATE entry SET sum = sum + 1 WHERE oid IN (%" PRIu64 ", %" PRIu64 ", %" PRIu64 ")", f->other, f->two,
           f->low);
    repair(f);
    assert_at(f, "other", f->other);
    assert_at(f, "one/two/low", f->low);
    assert_at(f, "lost+found", 0);
    assert_int_equal(f->result.placed, 3);
}

/* What its name may have been: damaged rows, whose columns may be anything. */
static void hint(struct fixture *f, uint64_t oid, uint64_t parent, const char *name) {
    damage(f,
           "DELETE FROM entry WHERE oid = %" PRIu64 ";INSERT INTO past_entry VALUES(%" PRIu64 ", %" PRIu64
           ", CAST(%s AS BLOB), %" PRIu64 ", 32768, 2, 3, 0, 0)",
           oid, parent, 100 + oid, name, oid);
}

static void test_repair_head__a_name_that_cannot_be_is_no_place(void **state) {
    struct fixture *f = *state;
    const struct {
        uint64_t parent;
        const char *name;
    } hints[] = {
        {ROOT_OID, "'a/b'"}, {ROOT_OID, "hex(zeroblob(128))"}, /* 256 bytes */
        {ROOT_OID, "'one'"},                                   /* there is one */
        {f->gone, "'name'"}, {f->other, "'name'"},
        {4000, "'name'"},
    };
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "victim%zu", i);
        uint64_t oid = changing_write(f->c, name, "something");
        (void)changing_commit(f->c, "one more");
        close_store(f);
        hint(f, oid, hints[i].parent, hints[i].name);
        repair(f);
        assert_in_lost_and_found(f, "lost+found", oid);
        assert_at(f, "one", f->one);
    }
}

static void test_repair_head__a_place_is_given_once(void **state) {
    struct fixture *f = *state;
    close_store(f);
    damage(f, "UPDATE entry SET sum = sum + 1 WHERE oid = %" PRIu64, f->other);
    hint(f, f->empty, ROOT_OID, "'other'");
    repair(f);
    assert_at(f, "other", f->other);
    assert_in_lost_and_found(f, "lost+found", f->empty);
}

/* The directory of its name holds itself, and goes to lost+found with all that is in it. */
static void test_repair_head__a_place_must_lead_to_the_root(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE entry SET parent = oid, idx = 100 WHERE oid = %" PRIu64, f->one);
    damage(f, "UPDATE entry SET sum = sum + 1 WHERE oid = %" PRIu64, f->file);
    repair(f);
    assert_in_lost_and_found(f, "lost+found", f->one);
    assert_in_lost_and_found(f, "lost+found", f->file);
}

static void test_repair_head__lost_and_found_may_be_a_file(void **state) {
    struct fixture *f = *state;
    uint64_t file = changing_write(f->c, "lost+found", "a file");
    (void)changing_commit(f->c, "one more");
    close_store(f);
    change(f, "UPDATE entry SET type = 16384 WHERE oid = %" PRIu64, f->file);
    repair(f);
    assert_at(f, "lost+found", file);
    assert_in_lost_and_found(f, "lost+found.1", f->file);
}

static void test_repair_head__lost_and_found_may_be_there(void **state) {
    struct fixture *f = *state;
    char path[64];
    uint64_t directory = changing_mkdir(f->c, "lost+found");
    (void)snprintf(path, sizeof path, "lost+found/#%" PRIu64, f->file);
    uint64_t there = changing_write(f->c, path, "of before");
    (void)changing_commit(f->c, "one more");
    close_store(f);
    change(f, "UPDATE entry SET type = 16384 WHERE oid = %" PRIu64, f->file);
    repair(f);
    assert_at(f, "lost+found", directory);
    assert_at(f, path, there);
    (void)snprintf(path, sizeof path, "lost+found/#%" PRIu64 ".1", f->file);
    assert_at(f, path, f->file);
    assert_text(f, path, "some text");
}

/* Its name ends, so that it is itself among what needs a place. */
static void test_repair_head__lost_and_found_may_be_lost(void **state) {
    struct fixture *f = *state;
    uint64_t directory = changing_mkdir(f->c, "lost+found");
    (void)changing_write(f->c, "lost+found/kept", "of before");
    (void)changing_commit(f->c, "one more");
    close_store(f);
    change(f, "UPDATE entry SET type = 32768 WHERE oid = %" PRIu64, directory);
    repair(f);
    assert_in_lost_and_found(f, "lost+found.1", directory);
    char path[64];
    (void)snprintf(path, sizeof path, "lost+found.1/#%" PRIu64 "/kept", directory);
    assert_text(f, path, "of before");
}

/* ---- history ---- */

/* What the first has put on record stays there, and is put there once. */
static void test_repair_head__a_store_is_damaged_and_repaired_twice(void **state) {
    struct fixture *f = *state;
    close_store(f);
    damage(f, "UPDATE revision SET data = x'00' WHERE part = 0 AND oid = %" PRIu64, f->one);
    repair(f);
    uint64_t losses = f->result.losses;
    assert_true(losses > 0);
    close_store(f);
    damage(f, "UPDATE revision SET data = x'00' WHERE id = " NEWEST_INODE, f->two);
    repair(f);
    assert_true(f->result.losses > 0 && f->result.losses < losses + 4);
    assert_at(f, "one/two/low", f->low);
    assert_text(f, "one/file", "some text");
}

static void test_repair_head__times_may_all_be_impossible(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE txn SET tid = seq - 1");
    repair(f);
    assert_at(f, "other", f->other);
    assert_int_equal(store_last(f->c->store), f->transactions + 1);
}

/* The state tells of more revisions than any store of this size has lost, and a transaction comes after all of them. */
static void test_repair_head__transactions_may_be_beyond_all_that_can_be(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE state SET next_revision = 13000;"
              "UPDATE txn SET seq = 30000 WHERE seq = (SELECT max(seq) FROM txn)");
    repair(f);
    assert_at(f, "other", f->other);
    assert_int_equal(store_last(f->c->store), f->transactions + 2); /* what the state tells of was one at least */
}

/* And of just as many as can be, where the record of one transaction is lost beside. */
static void test_repair_head__as_many_transactions_may_be_missing_as_can_be(void **state) {
    struct fixture *f = *state;
    close_store(f);
    change(f, "UPDATE state SET next_revision = (SELECT max(id) FROM revision) + 10001");
    damage(f, "UPDATE txn SET sum = sum + 1 WHERE seq = 2");
    repair(f);
    assert_at(f, "other", f->other);
    assert_int_equal(store_last(f->c->store), f->transactions + 2);
}

/* ---- files ---- */

static void break_entries(void *context, const char *doing, uint64_t done, uint64_t total) {
    struct fixture *f = context;
    (void)done, (void)total;
    if (strcmp(doing, "making the newest state whole") == 0)
        change_other_database(f->c->directory, "tidfs.db.repaired", "UPDATE entry SET sum = sum + 1");
}

/* The disk damages what was just written to it. */
static void test_repair_head__a_new_database_that_is_damaged_takes_no_place(void **state) {
    struct fixture *f = *state;
    const struct repair_options options = {.told = take_line, .progress = break_entries, .context = f};
    struct error err = {0};
    close_store(f);
    change(f, "UPDATE entry SET type = 16384 WHERE oid = %" PRIu64, f->file);
    assert_int_equal(store_repair(f->c->directory, &options, &f->result, &err), STORE_CORRUPT);
    assert_string_not_equal(err.text, "");
    assert_null(f->result.kept);
    repair(f);
    assert_in_lost_and_found(f, "lost+found", f->file);
}

static void test_repair_head__damaged_files_are_kept_beside_earlier_ones(void **state) {
    struct fixture *f = *state;
    char path[128], text[32];
    close_store(f);
    for (time_t at = time(NULL), end = at + 60; at < end; at++) { /* the name has the second in it */
        struct tm parts;
        assert_non_null(gmtime_r(&at, &parts));
        assert_int_not_equal(strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts), 0);
        (void)snprintf(path, sizeof path, "%s/tidfs.db.damaged-%s", f->c->directory, text);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(close(fd), 0);
    }
    change(f, "UPDATE entry SET type = 16384 WHERE oid = %" PRIu64, f->file);
    repair(f);
    size_t length = strlen(f->result.kept);
    assert_string_equal(f->result.kept + length - 3, "Z.1");
    assert_int_equal(access(f->result.kept, F_OK), 0);
}

/* What does not fit in a path is no file either. */
static void test_repair_head__an_attempt_in_a_path_that_is_too_long(void **state) {
    static char directory[PATH_MAX];
    (void)state;
    for (size_t length = PATH_MAX - 32; length < PATH_MAX; length++) {
        memset(directory, 'x', length);
        directory[length] = '\0';
        repair_remove_attempt(directory);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_repair_head__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(directories_that_hold_one_another),
        TEST(a_directory_that_holds_itself_under_two_names),
        TEST(of_two_names_the_one_that_the_directory_tells),
        TEST(of_two_names_the_first_if_the_directory_tells_of_neither),
        TEST(the_root_has_no_name),
        TEST(a_file_holds_no_names),
        TEST(a_name_is_of_the_type_of_its_object),
        TEST(names_of_what_cannot_be_made_again_end),
        TEST(a_name_of_what_has_ended_ends),
        TEST(other_inodes_are_made_again),
        TEST(what_has_no_links_needs_no_name),
        TEST(an_object_that_nothing_tells_of),
        TEST(the_root_does_not_end),
        TEST(the_root_and_others_say_who_is_above_them),
        TEST(the_next_index_may_be_absurd),
        TEST(a_size_is_told_by_what_there_is),
        TEST(a_damaged_name_is_back_in_its_place),
        TEST(a_name_that_cannot_be_is_no_place),
        TEST(a_place_is_given_once),
        TEST(a_place_must_lead_to_the_root),
        TEST(lost_and_found_may_be_a_file),
        TEST(lost_and_found_may_be_there),
        TEST(lost_and_found_may_be_lost),
        TEST(a_store_is_damaged_and_repaired_twice),
        TEST(times_may_all_be_impossible),
        TEST(transactions_may_be_beyond_all_that_can_be),
        TEST(as_many_transactions_may_be_missing_as_can_be),
        TEST(a_new_database_that_is_damaged_takes_no_place),
        TEST(damaged_files_are_kept_beside_earlier_ones),
        cmocka_unit_test(test_repair_head__an_attempt_in_a_path_that_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
