/* Scenarios on stores that something is wrong with, known or not: verify of a damaged one, reading one that has lost things, and one that was left by a crash. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/lock.h"
#include "store/page_vfs.h"
#include "store/storage_sqlite.h"
#include "tests/faults_world.h"
#include "tests/tamper.h"

#define PAGE 4096

static void path_in(const struct world *w, const char *name, char path[128]) {
    (void)snprintf(path, 128, "%s/%s", w->directory, name);
}

/* ---- a log that a crash left ---- */

static void copy_file(const struct world *w, const char *from, const char *to) {
    static uint8_t bytes[4 << 20];
    char path[128];
    path_in(w, from, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t length = read(fd, bytes, sizeof bytes);
    assert_true(length > 0 && length < (ssize_t)sizeof bytes);
    assert_int_equal(close(fd), 0);
    path_in(w, to, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, (size_t)length), length);
    assert_int_equal(close(fd), 0);
}

static int leave_log(struct world *w) {
    const struct head_caller caller = {.uid = 1000, .gid = 1000};
    struct head_attr attr;
    uint64_t tid;
    assert_int_equal(world_open_head(w), 0);
    assert_int_equal(head_make(w->head, ROOT_OID, "logged", 6, S_IFREG | 0644, 0, NULL, &caller, &attr), 0);
    head_forget(w->head, attr.oid, 1);
    assert_int_equal(head_seal(w->head, NULL, NULL, &tid), 0);
    copy_file(w, "tidfs.db", "saved");
    copy_file(w, "tidfs.db-wal", "saved-wal");
    world_close(w);
    copy_file(w, "saved", "tidfs.db");
    copy_file(w, "saved-wal", "tidfs.db-wal");
    return 0;
}

static int read_newest(struct world *w) {
    struct entry entry;
    int rc = storage_lookup(store_storage(w->store), ROOT_OID, "logged", 6, SEQ_MAX, &entry);
    if (rc == STORE_OK)
        entry_release(&entry);
    world_read_number(w, rc == STORE_OK);
    return rc == STORE_ABSENT ? 0 : world_errno(rc);
}

static int recover_to_read(struct world *w) {
    int rc = world_open_read(w);
    return rc == 0 ? read_newest(w) : rc;
}

static int recover_to_read_again(struct world *w) {
    world_close(w);
    return recover_to_read(w);
}

static int recover_to_write(struct world *w) {
    int rc = world_open_write(w);
    return rc == 0 ? read_newest(w) : rc;
}

static int recover_to_write_again(struct world *w) {
    world_close(w);
    return recover_to_write(w);
}

/* ---- damage ---- */

static void zero_root_of(const struct world *w, const char *table) {
    static const uint8_t zeros[PAGE];
    char path[128], sql[128];
    sqlite3 *db;
    sqlite3_stmt *statement;
    path_in(w, "tidfs.db", path);
    assert_int_equal(page_vfs_register(), SQLITE_OK);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    (void)snprintf(sql, sizeof sql, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    off_t page = sqlite3_column_int(statement, 0);
    (void)sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK); /* which empties the log */
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(page > 1 && fd >= 0);
    assert_int_equal(pwrite(fd, zeros, PAGE, (page - 1) * PAGE), PAGE);
    assert_int_equal(close(fd), 0);
}

/* Something of each kind that verify tells, and a table that cannot be read, so that it walks the tree, too. */
static int open_damaged(struct world *w) {
    char path[128];
    change_database(w->directory,
                    "DELETE FROM subtree WHERE dir = 1 AND seq = 2;"
                    "UPDATE entry SET sum = sum + 1 WHERE name = x'68617264';"
                    "UPDATE past_entry SET sum = sum + 1 WHERE name = x'6c696e6b';"
                    "UPDATE revision SET sum = sum + 1 WHERE id = 9;"
                    "UPDATE revision SET data = x'ff', sum = row_sum(id, oid, part, seq, x'ff') WHERE id = 11;"
                    "UPDATE body SET sum = sum + 1 WHERE id = 1;"
                    "UPDATE txn SET base = 7, sum = row_sum(seq, tid, 7, wall_s, wall_ns, objects,"
                    " first_revision, user, message) WHERE seq = 2");
    zero_root_of(w, "tag");
    path_in(w, "bodies/00000001", path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "?", 1, 7), 1);
    assert_int_equal(close(fd), 0);
    return world_open_read(w);
}

static void count_problem(void *context, const struct verify_problem *problem) {
    (void)problem;
    ++*(unsigned *)context;
}

static int verify(struct world *w) {
    unsigned told = 0;
    uint64_t problems = 0;
    const struct verify_options options = {.problem = count_problem, .known = count_problem, .context = &told};
    int rc = storage_verify(store_storage(w->store), &options, &problems);
    if (rc == STORE_OK)
        world_read_number(w, problems);
    return world_errno(rc);
}

/* ---- losses ---- */

static int open_with_losses(struct world *w) {
    static const struct loss losses[] = {
        {.kind = LOSS_REVISION, .oid = 2, .part = PART_INODE, .seq = 1},
        {.kind = LOSS_REVISION, .oid = 4, .part = PART_INODE, .seq = 2, .until = 3},
        {.kind = LOSS_REVISION, .oid = 4, .part = LOSS_PART_ANY, .seq = 4},
        {.kind = LOSS_REVISION, .oid = 99, .part = PART_INODE, .seq = 2},
        {.kind = LOSS_REVISION, .oid = 98, .part = PART_INODE, .seq = 3},
        {.kind = LOSS_ENTRIES, .oid = ROOT_OID, .seq = 2, .until = 3},
        {.kind = LOSS_TIME, .seq = 2},
        {.kind = LOSS_NOTED, .oid = 4, .seq = 1},
    };
    struct connection *writer;
    char path[128];
    path_in(w, "tidfs.db", path);
    change_database(w->directory,
                    "DELETE FROM revision WHERE oid = 2 AND part = 0 AND seq > 2"); /* a directory that has changed */
    assert_int_equal(connection_open(path, CONNECTION_WRITE, NULL, &writer, NULL), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_BEGIN_WRITE, NULL, 0), STORE_OK);
    assert_int_equal(sqlite_schema_add_losses(writer), STORE_OK);
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++)
        assert_int_equal(loss_row_insert(writer, i + 1, &losses[i]), STORE_OK);
    assert_int_equal(statement_run(writer, STATEMENT_COMMIT, NULL, 0), STORE_OK);
    connection_close(writer);
    return 0;
}

static int open_and_read_losses(struct world *w) {
    return open_with_losses(w) == 0 ? world_open_read(w) : EIO;
}

static int open_lost_again(struct world *w) {
    world_close(w);
    return world_open_read(w);
}

static int read_lost(struct world *w) {
    struct storage *storage = store_storage(w->store);
    uint64_t *oids = NULL, part = 0, seq = 0;
    size_t count = 0;
    struct transaction next, transaction;
    int rc = storage_changed(storage, 1, 5, &oids, &count);
    if (rc != STORE_OK)
        return world_errno(rc);
    world_read(w, oids, count * sizeof *oids);
    free(oids);
    rc = storage_next_part(storage, 4, PART_XATTRS, 6, &part);
    if (rc == STORE_OK)
        rc = storage_touched(storage, 99, 6, &seq);
    world_read_number(w, part + seq);
    if (rc == STORE_OK)
        rc = storage_transaction_at(storage, 3, &next);
    if (rc != STORE_OK)
        return world_errno(rc);
    rc = storage_transaction_before(storage, next.tid, &transaction);
    transaction_release(&next);
    if (rc == STORE_OK) {
        world_read_number(w, transaction.seq);
        transaction_release(&transaction);
    }
    return world_errno(rc);
}

/* ---- the lock of who reads without SQLite's ---- */

static int lock_as_reader(struct world *w) {
    int fd;
    int rc = reader_lock_acquire(w->directory, &fd);
    if (rc == STORE_OK)
        rc = close(fd) < 0 ? store_error_from_errno(errno) : STORE_OK;
    if (rc != STORE_OK && rc != STORE_NO_MEMORY)
        return world_errno(
            error_set(&w->err, (enum store_error)rc, "%s", store_error_text(rc))); /* as a caller would */
    return world_errno(rc);
}

const struct scenario damage_scenarios[] = {
    {.name = "recover_to_read",
     .open = leave_log,
     .act = recover_to_read,
     .again = recover_to_read_again,
     .loses = true},
    {.name = "recover_to_write",
     .open = leave_log,
     .act = recover_to_write,
     .again = recover_to_write_again,
     .writes = true,
     .loses = true},
    {.name = "verify_damaged", .open = open_damaged, .act = verify, .again = verify, .tells = true, .loses = true},
    {.name = "open_lost", .open = open_with_losses, .act = world_open_read, .again = open_lost_again, .loses = true},
    {.name = "read_lost", .open = open_and_read_losses, .act = read_lost, .again = read_lost, .loses = true},
    {.name = "verify_lost", .open = open_and_read_losses, .act = verify, .again = verify, .tells = true, .loses = true},
    {.name = "reader_lock", .act = lock_as_reader, .again = lock_as_reader},
    {0},
};
