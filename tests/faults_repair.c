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
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, bytes, sizeof bytes);
    assert_true(length >= 0 && length < DATABASE_BYTES);
    assert_int_equal(close(fd), 0);
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
    {.name = "repair_dry",
     .open = open_without_index,
     .act = repair_dry,
     .again = repair_dry_again,
     .close = close_dry,
     .slow = true,
     .makes = true},
    {0},
};
