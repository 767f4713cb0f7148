/* Scenarios of store/repair.h: after every failure the store is as it was or repaired, and a second repair makes the rest. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/repair.h"
#include "store/wal.h"
#include "tests/changing.h"
#include "tests/faults_world.h"
#include "tests/tamper.h"

#define PAGE           4096
#define DATABASE_BYTES (8 << 20) /* more than the template's, and its log's */

/* Roots of b-trees: of an index, all of whose rows are elsewhere, and of a table. */
#define PAGE_OF_INDEX 7
#define PAGE_OF_TABLE 9

struct damaged {
    uint64_t database, log; /* hashes of the files before the repair; 0: no such file */
};

/* 0: there is no such file, or it is empty. */
static uint64_t hash_file(const char *directory, const char *name) {
    static uint8_t bytes[DATABASE_BYTES];
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    inject_pause();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, bytes, sizeof bytes);
    assert_true(length >= 0 && length < DATABASE_BYTES);
    assert_true(fd < 0 || close(fd) == 0);
    inject_resume();
    return length == 0 ? 0 : XXH3_64bits(bytes, (size_t)length);
}

static void copy_file(const char *directory, const char *from, const char *to) {
    static uint8_t bytes[DATABASE_BYTES];
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, from);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t length = read(fd, bytes, sizeof bytes);
    assert_true(length >= 0 && length < DATABASE_BYTES);
    assert_int_equal(close(fd), 0);
    (void)snprintf(path, sizeof path, "%s/%s", directory, to);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, (size_t)length), length);
    assert_int_equal(close(fd), 0);
}

static void zero_page(const struct world *w, unsigned page) {
    static const uint8_t zeros[PAGE];
    char path[256];
    (void)snprintf(path, sizeof path, "%s/tidfs.db", w->directory);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, zeros, PAGE, (off_t)(page - 1) * PAGE), PAGE);
    assert_int_equal(close(fd), 0);
}

/* Keeps what the damaged files are, for is_untouched. */
static int note_damage(struct world *w) {
    struct damaged *damaged = calloc(1, sizeof *damaged);
    assert_non_null(damaged);
    damaged->database = hash_file(w->directory, "tidfs.db");
    damaged->log = hash_file(w->directory, "tidfs.db-wal");
    w->own = damaged;
    return 0;
}

static void name_scratch(const struct world *w, char scratch[128]) {
    (void)snprintf(scratch, 128, "%s.scratch", w->directory);
}

static void make_scratch(const struct world *w) {
    char scratch[128];
    name_scratch(w, scratch);
    assert_int_equal(mkdir(scratch, 0700), 0);
}

/* What could not be removed when that failed is removed now. */
static void remove_scratch(const struct world *w) {
    char scratch[128];
    name_scratch(w, scratch);
    repair_remove_attempt(scratch);
    assert_int_equal(rmdir(scratch), 0);
}

static int damage(struct world *w, unsigned page) {
    zero_page(w, page);
    make_scratch(w);
    return note_damage(w);
}

static int open_without_index(struct world *w) {
    return damage(w, PAGE_OF_INDEX);
}

static int open_without_table(struct world *w) {
    return damage(w, PAGE_OF_TABLE);
}

/* One name, and with it what its directory held since then. */
static int open_without_name(struct world *w) {
    change_database(w->directory, "UPDATE entry SET sum = sum + 1 WHERE name = CAST('small' AS BLOB)");
    make_scratch(w);
    return note_damage(w);
}

/* Rows that are right by themselves, and not beside the others. */
static int open_out_of_order(struct world *w) {
    change_database(
        w->directory,
        "UPDATE txn SET tid = 1, sum = row_sum(seq, 1, base, wall_s, wall_ns, objects, first_revision, user,"
        " message) WHERE seq = 3;"
        "UPDATE revision SET seq = 1, sum = row_sum(id, oid, part, 1, data)"
        " WHERE id = (SELECT max(id) - 2 FROM revision)");
    make_scratch(w);
    return note_damage(w);
}

static void count_line(void *context, const struct verify_problem *what) {
    (void)what;
    ++*(uint64_t *)context;
}

static void ignore_progress(void *context, const char *doing, uint64_t done, uint64_t total) {
    (void)context, (void)doing, (void)done, (void)total;
}

static int repair_as(struct world *w, bool dry_run, struct repair_result *result) {
    uint64_t lines = 0;
    char scratch[128];
    name_scratch(w, scratch);
    const struct repair_options options = {.told = count_line,
                                           .progress = ignore_progress,
                                           .context = &lines,
                                           .user = "tester",
                                           .log = &w->log,
                                           .scratch = dry_run ? scratch : NULL};
    int rc = store_repair(w->directory, &options, result, &w->err);
    if (rc != STORE_OK && rc != STORE_NO_MEMORY && !w->err.text[0])
        w->broken = "a repair failed and does not say why";
    if (rc == STORE_OK && result->left > 0 && !inject_hit()) /* what the last look could not read is told as left */
        w->broken = "a repair left problems";
    return world_errno(rc);
}

/* Names and objects of the newest state that cannot all be right: a directory that holds itself, names of another type than their object or in a symlink, a
 * name that was damaged and one that is lost, a file without its inode and attributes. And an earlier repair did not come to its end. */
static int open_disordered(struct world *w) {
    change_database(w->directory,
                    "CREATE TEMP TABLE of AS SELECT name, oid FROM entry;"
                    "UPDATE entry SET parent = oid, idx = 100 WHERE name = CAST('dir' AS BLOB);"
                    "INSERT INTO entry SELECT 1, 100, CAST('wrong' AS BLOB), oid, 16384, 2, 0 FROM of"
                    " WHERE name = CAST('text' AS BLOB);"
                    "INSERT INTO entry SELECT 1, 101, CAST('lost+found' AS BLOB), oid, 32768, 2, 0 FROM of"
                    " WHERE name = CAST('text' AS BLOB);"
                    "INSERT INTO entry SELECT oid, 102, CAST('below' AS BLOB), 2, 16384, 2, 0 FROM past_entry"
                    " WHERE name = CAST('link' AS BLOB);"
                    "UPDATE entry SET sum = row_sum(parent, idx, name, oid, type, born);"
                    "DELETE FROM revision WHERE data IS NULL AND oid = (SELECT oid FROM past_entry"
                    " WHERE name = CAST('link' AS BLOB));"
                    "UPDATE entry SET parent = 1, idx = 103, sum = sum + 1 WHERE name = CAST('large' AS BLOB);"
                    "UPDATE revision SET data = x'00' WHERE part < 2 AND oid = (SELECT oid FROM of"
                    " WHERE name = CAST('small' AS BLOB));"
                    "UPDATE revision SET data = x'00' WHERE id = (SELECT max(id) FROM revision WHERE part = 0"
                    " AND oid = (SELECT oid FROM of WHERE name = CAST('dir' AS BLOB)))");
    char from[128], to[128];
    (void)snprintf(from, sizeof from, "%s/tidfs.db", w->directory);
    (void)snprintf(to, sizeof to, "%s/tidfs.db.damaged-before", w->directory);
    assert_int_equal(link(from, to), 0);
    make_scratch(w);
    return note_damage(w);
}

/* With a transaction that is in the log alone, as a crash leaves it. */
static int open_with_log(struct world *w) {
    const struct head_caller caller = {.uid = 1000, .gid = 1000};
    struct head_attr attr;
    uint64_t tid;
    int rc = world_open_head(w);
    assert_int_equal(rc, 0);
    assert_int_equal(head_make(w->head, ROOT_OID, "logged", 6, S_IFREG | 0644, 0, NULL, &caller, &attr), 0);
    head_forget(w->head, attr.oid, 1);
    assert_int_equal(head_seal(w->head, NULL, NULL, &tid), 0);
    copy_file(w->directory, "tidfs.db", "saved");
    copy_file(w->directory, "tidfs.db-wal", "saved-wal");
    world_close(w);
    copy_file(w->directory, "saved", "tidfs.db");
    copy_file(w->directory, "saved-wal", "tidfs.db-wal");
    make_scratch(w);
    struct repair_result result = {0};
    for (unsigned page = PAGE_OF_INDEX; !result.damaged; page++) { /* of some the log has a newer version */
        zero_page(w, page);
        assert_int_equal(repair_as(w, true, &result), 0);
    }
    return note_damage(w);
}

static void flip(const struct world *w, const char *file, off_t at) {
    char path[256];
    uint8_t byte;
    (void)snprintf(path, sizeof path, "%s/%s", w->directory, file);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

/* With a log of which the header and the first frame are damaged, and behind them names that follow others, which nobody has ended: some of the newest
 * transaction but one, and others of the newest. */
static int open_with_damaged_log(struct world *w) {
    assert_int_equal(world_open_write(w), 0);
    change_database(w->directory, "DROP INDEX entry_name;"
                                  "INSERT INTO entry SELECT parent, idx + 1000, name, oid, type, seq + 2,"
                                  " row_sum(parent, idx + 1000, name, oid, type, seq + 2)"
                                  " FROM entry, (SELECT max(seq) AS seq FROM txn);"
                                  "INSERT INTO entry SELECT parent, idx + 1000, name, oid, type, seq + 1,"
                                  " row_sum(parent, idx + 1000, name, oid, type, seq + 1)"
                                  " FROM entry, (SELECT max(seq) AS seq FROM txn) WHERE idx >= 1000");
    copy_file(w->directory, "tidfs.db", "saved");
    copy_file(w->directory, "tidfs.db-wal", "saved-wal");
    world_close(w);
    copy_file(w->directory, "saved", "tidfs.db");
    copy_file(w->directory, "saved-wal", "tidfs.db-wal");
    flip(w, "tidfs.db-wal", WAL_HEADER_BYTES - 1);
    flip(w, "tidfs.db-wal", WAL_HEADER_BYTES + WAL_FRAME_HEADER_BYTES + 100);
    make_scratch(w);
    return note_damage(w);
}

/* Rows of all kinds that are damaged, some with what would tell which they were, and what an earlier repair has put on record. */
static int open_of_many_kinds(struct world *w) {
    struct repair_result result = {0};
    make_scratch(w);
    change_database(w->directory,
                    "UPDATE revision SET sum = sum + 1 WHERE id IN (SELECT max(id) FROM revision WHERE part = 16);"
                    "UPDATE past_entry SET sum = sum + 1 WHERE idx = (SELECT max(idx) FROM past_entry)");
    assert_int_equal(repair_as(w, false, &result), 0);
    assert_int_not_equal(result.losses, 0);
    repair_result_release(&result);
    change_database(w->directory, "UPDATE tag SET sum = sum + 1;"
                                  "UPDATE txn SET sum = sum + 1 WHERE seq = 3;"
                                  "UPDATE revision SET seq = 9999 WHERE part = 0 AND seq = 3;"
                                  "UPDATE revision SET sum = sum + 1 WHERE part = 0 AND seq = 4;"
                                  "UPDATE past_entry SET sum = sum + 1");
    return note_damage(w);
}

/* Revisions of which nothing tells what they were. */
static int open_in_doubt(struct world *w) {
    change_database(w->directory, "UPDATE revision SET sum = sum + 1, oid = -id WHERE part >= 16 AND seq IN (3, 4)");
    return damage(w, PAGE_OF_INDEX);
}

static bool is_untouched(const struct world *w) {
    const struct damaged *damaged = w->own;
    return hash_file(w->directory, "tidfs.db") == damaged->database &&
           hash_file(w->directory, "tidfs.db-wal") == damaged->log;
}

static int repair(struct world *w) {
    struct repair_result result;
    int code = repair_as(w, false, &result);
    if (code == 0 && is_untouched(w))
        w->broken = "a repair has left the store as it was, and says nothing of that";
    repair_result_release(&result);
    return code;
}

static int repair_dry(struct world *w) {
    struct repair_result result;
    int code = repair_as(w, true, &result);
    if (result.kept)
        w->broken = "a dry run has kept something";
    repair_result_release(&result);
    return code;
}

/* The store is untouched, or a repair finds no damage that is not repaired; and then there is none. */
static int repair_again(struct world *w) {
    struct repair_result result;
    struct damaged *damaged = w->own;
    bool untouched = is_untouched(w);
    int code = repair_as(w, false, &result);
    if (code == 0 && untouched && !result.damaged)
        w->broken = "the store was untouched, and a second repair finds nothing";
    if (code == 0 && result.damaged && damaged->log == 0 && !untouched)
        w->broken = "the store was neither untouched nor repaired";
    repair_result_release(&result);
    if (code != 0)
        return code;
    code = repair_as(w, false, &result);
    if (code == 0 && result.damaged)
        w->broken = "a repaired store is repaired again";
    repair_result_release(&result);
    if (w->broken)
        print_error("%s\n", w->broken);
    return w->broken ? EBADF : code;
}

static int repair_dry_again(struct world *w) {
    if (!is_untouched(w)) {
        w->broken = "a dry run has changed the store";
        print_error("%s\n", w->broken);
        return EBADF;
    }
    return repair_dry(w);
}

static void close_repair(struct world *w) {
    remove_scratch(w);
    free(w->own);
    w->own = NULL;
}

/* Leaves a store that can be looked at. */
static void close_dry(struct world *w) {
    (void)repair(w);
    close_repair(w);
}

const struct scenario repair_scenarios[] = {
    {.name = "repair",
     .open = open_without_index,
     .act = repair,
     .again = repair_again,
     .close = close_repair,
     .slow = true,
     .makes = true},
    {.name = "repair_log",
     .open = open_with_log,
     .act = repair,
     .again = repair_again,
     .close = close_repair,
     .slow = true,
     .makes = true,
     .loses = true},
    {.name = "repair_losses",
     .open = open_without_table,
     .act = repair,
     .again = repair_again,
     .close = close_repair,
     .slow = true,
     .makes = true,
     .loses = true},
    {.name = "repair_order",
     .open = open_out_of_order,
     .act = repair,
     .again = repair_again,
     .close = close_repair,
     .slow = true,
     .makes = true,
     .loses = true},
    {.name = "repair_names",
     .open = open_disordered,
     .act = repair,
     .again = repair_again,
     .close = close_repair,
     .slow = true,
     .makes = true,
     .loses = true},
    {.name = "repair_log_damaged",
     .open = open_with_damaged_log,
     .act = repair,
     .again = repair_again,
     .close = close_repair,
     .slow = true,
     .makes = true,
     .loses = true},
    {.name = "repair_kinds",
     .open = open_of_many_kinds,
     .act = repair,
     .again = repair_again,
     .close = close_repair,
     .slow = true,
     .makes = true,
     .loses = true},
    {.name = "repair_doubt",
     .open = open_in_doubt,
     .act = repair,
     .again = repair_again,
     .close = close_repair,
     .slow = true,
     .makes = true,
     .loses = true},
    {.name = "repair_dry",
     .open = open_without_name,
     .act = repair_dry,
     .again = repair_dry_again,
     .close = close_dry,
     .slow = true,
     .makes = true,
     .loses = true},
    {0},
};
