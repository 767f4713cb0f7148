/* The checksums of pages: in the database and in the log, as FORMAT.md says;
 * what they refuse, and what they never refuse. */
#include "tests/storage_fixture.h"

#include <endian.h>
#include <errno.h>
#include <sqlite3.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite_connection.h"
#include "store/wal.h"

#define BODY_BYTES 262144
#define BODIES     40 /* more than the page cache of a connection holds */

static uint8_t *read_whole(struct fixture *f, const char *name, size_t *length) {
    struct stat status;
    int fd = open(fixture_path(f, name), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    *length = (size_t)status.st_size;
    uint8_t *bytes = malloc(*length + 1);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, *length, 0), *length);
    (void)close(fd);
    return bytes;
}

/* The format's words, not page_sum's. */
static bool has_sum(uint64_t number, const uint8_t *page) {
    uint64_t stored = 0;
    uint8_t first[4096];
    if (number == 1) {
        memcpy(first, page, sizeof first);
        memset(first + 24, 0, 4);
        memset(first + 40, 0, 4);
        memset(first + 92, 0, 8);
        page = first;
    }
    for (int i = 7; i >= 0; i--)
        stored = stored << 8 | page[4088 + i];
    return XXH3_64bits_withSeed(page, 4088, number) == stored;
}

static void expect_sums(struct fixture *f, const char *name) {
    size_t length;
    uint8_t *bytes = read_whole(f, name, &length);
    assert_true(length > 0 && length % 4096 == 0);
    for (size_t at = 0; at < length; at += 4096)
        if (!has_sum(at / 4096 + 1, bytes + at))
            fail_msg("page %zu of %s has no right checksum", at / 4096 + 1, name);
    free(bytes);
}

static void flip(struct fixture *f, const char *name, size_t at) {
    uint8_t byte;
    int fd = open(fixture_path(f, name), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    (void)close(fd);
}

/* The store as a crash at this moment would leave it, in `directory`. */
static void crash(struct fixture *f, char directory[64]) {
    char command[256];
    strcpy(directory, "/tmp/test_page_vfs.XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(command, sizeof command, "cp -r '%s/.' '%s' && rm '%s/tidfs.db-shm'", f->directory, directory,
                   directory);
    assert_int_equal(system(command), 0);
}

static int expect_ok(void *context, int count, char **values, char **names) {
    (void)names;
    ++*(int *)context;
    assert_int_equal(count, 1);
    assert_string_equal(values[0], "ok");
    return 0;
}

/* SQLite finds every page in its place. */
static void expect_sound(const char *directory) {
    char path[128];
    sqlite3 *db;
    int rows = 0;
    (void)snprintf(path, sizeof path, "%s/tidfs.db", directory);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, PAGE_VFS), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA integrity_check", expect_ok, &rows, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(rows, 1);
}

/* What a crash leaves opens and is whole, without any loss. */
static void expect_whole_after_crash(struct fixture *f) {
    struct storage_open_options options = {.writable = true};
    struct storage_state state;
    struct storage *storage;
    struct error err = {0};
    char directory[64];
    crash(f, directory);
    if (storage_sqlite_open(directory, &options, &storage, &err) != STORE_OK)
        fail_msg("%s", err.text);
    assert_int_equal(storage_get_state(storage, &state), STORE_OK);
    assert_int_equal(state.last_seq, f->last);
    expect_sound(directory);
    storage_close(storage);
    assert_int_equal(remove_tree(directory), 0);
}

/* A transaction that is larger than the page cache, so that pages go to the log
 * before its end, some of them twice. If it is `bad`, it fails at its last
 * entry. */
static void commit_large(struct fixture *f, unsigned bodies, bool bad) {
    static uint8_t bytes[BODY_BYTES];
    static char names[CHANGES_MAX][16];
    uint64_t id;
    memset(bytes, (int)f->last, sizeof bytes);
    assert_int_equal(storage_body_reserve(f->storage, bodies, &id), STORE_OK);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    for (unsigned i = 0; i < bodies; i++) {
        (void)snprintf(names[i], sizeof names[i], "f%u", (unsigned)f->next_oid);
        f->bodies[f->commit.body_count++] = (struct new_body){
            .id = id + i, .data = bytes, .length = sizeof bytes, .sum = XXH3_64bits(bytes, sizeof bytes)};
        revise(f, f->next_oid, PART_INODE, false, "i");
        add(f, ROOT_OID, bad && i == bodies - 1 ? f->next_oid : f->next_oid + 1, names[bad ? 0 : i], f->next_oid,
            S_IFREG);
        f->next_oid++;
    }
    int rc = try_commit(f);
    assert_int_equal(rc, bad ? STORE_INVALID : STORE_OK);
    if (bad)
        f->next_oid -= bodies;
}

/* ---- where sums are ---- */

static void test_page_vfs__every_page_has_its_sum(void **state) {
    struct fixture *f = *state;
    commit_tree(f);
    storage_close(f->storage);
    f->storage = NULL;
    expect_sums(f, "tidfs.db");
}

static void test_page_vfs__pages_in_the_log_have_theirs(void **state) {
    struct fixture *f = *state;
    size_t length, frames = 0;
    commit_tree(f);
    uint8_t *log = read_whole(f, "tidfs.db-wal", &length);
    for (size_t at = 32; at + 24 + 4096 <= length; at += 24 + 4096, frames++) {
        uint32_t number;
        memcpy(&number, log + at, sizeof number);
        if (number == 0) /* room for more */
            break;
        assert_true(has_sum(be32toh(number), log + at + 24));
    }
    assert_true(frames > 5);
    free(log);
}

/* What other programs do that copy pages: the log that a crash left, moved into
 * the database; and a backup, which reads the log. */
static void test_page_vfs__copies_by_other_programs_have_right_sums(void **state) {
    struct fixture *f = *state;
    struct fixture copy = {0};
    char command[256];
    commit_tree(f);
    crash(f, copy.directory);
    (void)snprintf(command, sizeof command,
                   "test \"$(sqlite3 '%s/tidfs.db' 'PRAGMA integrity_check; "
                   "SELECT max(seq) FROM txn')\" = 'ok\n1'",
                   copy.directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(access(fixture_path(&copy, "tidfs.db-wal"), F_OK), -1);
    expect_sums(&copy, "tidfs.db");
    (void)snprintf(command, sizeof command, "sqlite3 '%s/tidfs.db' '.backup %s/backup'", f->directory, copy.directory);
    assert_int_equal(system(command), 0);
    expect_sums(&copy, "backup");
    assert_int_equal(remove_tree(copy.directory), 0);
}

/* ---- the log ---- */

static void test_page_vfs__large_transactions_outlive_a_crash(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    expect_whole_after_crash(f);
    commit_large(f, BODIES, false);
    expect_whole_after_crash(f);
    commit_large(f, 3, false);
    commit_large(f, BODIES, false);
    expect_whole_after_crash(f);
    reopen(f, true);
    expect_sums(f, "tidfs.db");
}

/* The page of the table state goes to the log when the cache is full, and once more, into the same frame, at the end. */
static void test_page_vfs__a_page_that_changes_twice_outlives_a_crash(void **state) {
    struct fixture *f = *state;
    sqlite3 *db;
    char directory[64];
    commit_root(f);
    assert_int_equal(sqlite3_open_v2(fixture_path(f, "tidfs.db"), &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA cache_size = -512; BEGIN; UPDATE state SET packed_ns = 1;"
                                  "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)"
                                  " INSERT INTO body SELECT i, zeroblob(262144), 0 FROM n;"
                                  "UPDATE state SET packed_ns = 2; COMMIT",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    crash(f, directory);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    expect_sound(directory);
    assert_int_equal(remove_tree(directory), 0);
}

/* Frames that an aborted transaction left in the log are no damage, whatever is
 * written over their beginning. */
static void test_page_vfs__aborted_transactions_are_no_damage(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    for (unsigned i = 1; i < 6; i++) {
        commit_large(f, BODIES, true);
        expect_whole_after_crash(f);
        commit_large(f, i, false);
        expect_whole_after_crash(f);
    }
}

/* A page that is damaged in the log is neither read nor moved to the database,
 * where it would get a right checksum. */
static void test_page_vfs__damage_in_the_log_stays_there(void **state) {
    struct fixture *f = *state;
    struct storage_open_options options = {.writable = true};
    struct error err = {0};
    struct entry entry;
    commit_root(f);
    for (uint64_t oid = 2; oid < 6; oid++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%u", (unsigned)oid);
        f->next_oid = oid + 1;
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "r");
        revise(f, oid, PART_INODE, false, "o");
        add(f, ROOT_OID, oid + 1, name, oid, S_IFREG);
        commit(f);
    }
    /* Of every page the newest one, but the last transaction's: what nobody has
   * in a cache must be refused. */
    struct storage *other;
    size_t length;
    uint8_t *log = read_whole(f, "tidfs.db-wal", &length);
    free(log);
    for (size_t at = 32 + 24 + 100; at < length; at += 24 + 4096)
        flip(f, "tidfs.db-wal", at);
    f->log_text[0] = '\0';
    options.writable = false;
    options.log = &f->log;
    assert_int_equal(storage_sqlite_open(f->directory, &options, &other, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.text, "write-ahead log"));
    assert_non_null(strstr(f->log_text, "write-ahead log"));
    storage_close(f->storage); /* tries to move the log */
    f->storage = NULL;
    expect_sums(f, "tidfs.db");
    options.writable = true;
    assert_int_equal(storage_sqlite_open(f->directory, &options, &other, &err),
                     STORE_OK); /* nothing of the log is right */
    assert_int_equal(storage_lookup(other, ROOT_OID, "n2", 2, 1, &entry), STORE_ABSENT);
    storage_close(other);
}

/* ---- reading ---- */

static void test_page_vfs__damage_is_named(void **state) {
    struct fixture *f = *state;
    struct storage_open_options options = {.writable = false};
    struct error err = {0};
    commit_tree(f);
    storage_close(f->storage);
    f->storage = NULL;
    flip(f, "tidfs.db", 30);
    assert_int_equal(storage_sqlite_open(f->directory, &options, &f->storage, &err), STORE_CORRUPT);
    if (!strstr(err.text, "page 1 of the database has a wrong checksum"))
        fail_msg("%s", err.text);
    flip(f, "tidfs.db", 30);
    open_store(f, false);
    assert_string_equal(list(f, ROOT_OID, 2), "two,five,six,");
}

/* The pages that a file has lost are damage; the others are read. */
static void test_page_vfs__the_rest_of_a_short_database_is_read(void **state) {
    struct fixture *f = *state;
    struct stat status;
    commit_tree(f);
    storage_close(f->storage);
    f->storage = NULL;
    const char *path = fixture_path(f, "tidfs.db");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size - 100), 0);
    open_store(f, false);
    assert_string_equal(list(f, ROOT_OID, 2), "two,five,six,");
}

/* ---- the files themselves, as SQLite never uses them or may one day ---- */

struct files {
    sqlite3 *db;
    sqlite3_file *database, *log;
};

/* Of the store, with a transaction in its log. */
static void open_files(struct fixture *f, struct files *files) {
    commit_tree(f);
    storage_close(f->storage);
    f->storage = NULL;
    assert_int_equal(sqlite3_open_v2(fixture_path(f, "tidfs.db"), &files->db, SQLITE_OPEN_READWRITE, PAGE_VFS),
                     SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(files->db, "PRAGMA wal_autocheckpoint = 0; INSERT INTO meta VALUES('one', 1)", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_file_control(files->db, "main", SQLITE_FCNTL_FILE_POINTER, &files->database), SQLITE_OK);
    assert_int_equal(sqlite3_file_control(files->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &files->log), SQLITE_OK);
}

static int read_at(sqlite3_file *file, void *data, int length, int64_t offset) {
    return file->pMethods->xRead(file, data, length, offset);
}

static int write_at(sqlite3_file *file, const void *data, int length, int64_t offset) {
    return file->pMethods->xWrite(file, data, length, offset);
}

static void test_page_vfs__only_whole_pages_are_written(void **state) {
    struct fixture *f = *state;
    struct files files;
    uint8_t pages[2 * PAGE_BYTES + 1] = {0}, part[200];
    open_files(f, &files);
    assert_int_equal(write_at(files.database, pages, 100, 0), SQLITE_IOERR_WRITE);
    assert_int_equal(write_at(files.database, pages, PAGE_BYTES, 100), SQLITE_IOERR_WRITE);
    assert_int_equal(write_at(files.database, pages, PAGE_BYTES + 1, 0), SQLITE_IOERR_WRITE);
    /* Several at once, each with a sum of its own; and what is read across their border. */
    const int64_t end = INT64_C(100) * PAGE_BYTES;
    memset(pages, 1, sizeof pages);
    assert_int_equal(write_at(files.database, pages, 2 * PAGE_BYTES, end), SQLITE_OK);
    memset(pages, 0, sizeof pages);
    assert_int_equal(read_at(files.database, pages, 2 * PAGE_BYTES, end), SQLITE_OK);
    assert_true(has_sum(101, pages));
    assert_true(has_sum(102, pages + PAGE_BYTES));
    assert_int_equal(read_at(files.database, part, sizeof part, end + PAGE_BYTES - 150), SQLITE_OK);
    assert_memory_equal(part, pages + PAGE_BYTES - 150, sizeof part);
    assert_int_equal(files.database->pMethods->xTruncate(files.database, end), SQLITE_OK);
    assert_int_equal(sqlite3_close(files.db), SQLITE_OK);
}

static void test_page_vfs__damage_is_told_once(void **state) {
    struct fixture *f = *state;
    struct files files;
    struct page_damage damage;
    uint8_t page[PAGE_BYTES];
    char text[128];
    open_files(f, &files);
    assert_false(page_vfs_take_damage(files.db, &damage));
    assert_int_equal(read_at(files.database, page, sizeof page, INT64_C(5000) * PAGE_BYTES), SQLITE_IOERR_DATA);
    assert_true(page_vfs_take_damage(files.db, &damage));
    assert_int_equal(damage.kind, PAGE_MISSING);
    assert_int_equal(damage.page, 5001);
    assert_false(page_vfs_take_damage(files.db, &damage));
    /* A page of the log that is not there, told of the database. */
    assert_int_equal(read_at(files.log, page, sizeof page, wal_frame_offset(5000) + WAL_FRAME_HEADER_BYTES),
                     SQLITE_IOERR_DATA);
    assert_true(page_vfs_take_damage(files.db, &damage));
    assert_int_equal(damage.kind, PAGE_LOG_DAMAGED);
    assert_int_equal(damage.frame, 5000);
    page_damage_text(&damage, text, sizeof text);
    assert_non_null(strstr(text, "in frame 5000 of the write-ahead log"));
    damage.kind = (enum page_damage_kind)99;
    page_damage_text(&damage, text, sizeof text);
    assert_string_equal(text, "?");
    assert_int_equal(sqlite3_close(files.db), SQLITE_OK);
}

/* A database in the making is no damage. */
static void test_page_vfs__an_empty_file_is_a_short_read(void **state) {
    struct fixture *f = *state;
    uint8_t page[PAGE_BYTES];
    sqlite3 *db;
    sqlite3_file *file;
    memset(page, 1, sizeof page);
    assert_int_equal(
        sqlite3_open_v2(fixture_path(f, "empty"), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, PAGE_VFS),
        SQLITE_OK);
    assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
    assert_int_equal(read_at(file, page, sizeof page, 0), SQLITE_IOERR_SHORT_READ);
    for (size_t i = 0; i < sizeof page; i++)
        assert_int_equal(page[i], 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_page_vfs__other_writes_to_the_log_are_refused(void **state) {
    static const uint8_t bytes[PAGE_BYTES];
    struct fixture *f = *state;
    struct files files;
    uint32_t magic;
    open_files(f, &files);
    assert_int_equal(read_at(files.log, &magic, sizeof magic, 0), SQLITE_OK);
    assert_int_equal(be32toh(magic) & ~1u, 0x377f0682);
    assert_int_equal(write_at(files.log, bytes, 4, 0), SQLITE_IOERR_WRITE);
    assert_int_equal(write_at(files.log, bytes, 10, 5), SQLITE_IOERR_WRITE);
    assert_int_equal(write_at(files.log, bytes, 100, wal_frame_offset(2)), SQLITE_IOERR_WRITE);
    assert_int_equal(write_at(files.log, bytes, 100, wal_frame_offset(2) + WAL_FRAME_HEADER_BYTES), SQLITE_IOERR_WRITE);
    /* A page that no header was written for. */
    assert_int_equal(write_at(files.log, bytes, PAGE_BYTES, wal_frame_offset(5000) + WAL_FRAME_HEADER_BYTES),
                     SQLITE_IOERR_WRITE);
    assert_int_equal(
        sqlite3_exec(files.db, "INSERT INTO meta VALUES('two', 2); PRAGMA integrity_check", NULL, NULL, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_close(files.db), SQLITE_OK);
}

/* The frames that are in the log: those before the first whose page is 0. */
static uint64_t count_frames(struct fixture *f, uint8_t last[WAL_FRAME_BYTES]) {
    size_t length;
    uint64_t frames = 0;
    uint8_t *bytes = read_whole(f, "tidfs.db-wal", &length);
    while ((size_t)wal_frame_offset(frames + 2) <= length && wal_frame_page(bytes + wal_frame_offset(frames + 1)) != 0)
        frames++;
    assert_true(frames > 0);
    memcpy(last, bytes + wal_frame_offset(frames), WAL_FRAME_BYTES);
    free(bytes);
    return frames;
}

/* In whichever pieces frames are written, what is in the file then is a log. */
static void test_page_vfs__frames_may_be_written_in_pieces_or_whole(void **state) {
    struct fixture *f = *state;
    struct files files;
    uint8_t frame[WAL_FRAME_BYTES], found[WAL_FRAME_BYTES];
    sqlite3_int64 size;
    open_files(f, &files);
    uint64_t frames = count_frames(f, frame);
    const int64_t first = wal_frame_offset(frames + 1);
    /* Whole; as header and page; a header twice; the page once more. */
    assert_int_equal(write_at(files.log, frame, WAL_FRAME_BYTES, first), SQLITE_OK);
    assert_int_equal(write_at(files.log, frame, WAL_FRAME_HEADER_BYTES, first + WAL_FRAME_BYTES), SQLITE_OK);
    assert_int_equal(write_at(files.log, frame + WAL_FRAME_HEADER_BYTES, PAGE_BYTES,
                              first + WAL_FRAME_BYTES + WAL_FRAME_HEADER_BYTES),
                     SQLITE_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(write_at(files.log, frame, WAL_FRAME_HEADER_BYTES, first + INT64_C(2) * WAL_FRAME_BYTES),
                         SQLITE_OK);
    assert_int_equal(write_at(files.log, frame + WAL_FRAME_HEADER_BYTES, PAGE_BYTES,
                              first + INT64_C(2) * WAL_FRAME_BYTES + WAL_FRAME_HEADER_BYTES),
                     SQLITE_OK);
    assert_int_equal(write_at(files.log, frame + WAL_FRAME_HEADER_BYTES, PAGE_BYTES,
                              first + INT64_C(2) * WAL_FRAME_BYTES + WAL_FRAME_HEADER_BYTES),
                     SQLITE_OK);
    /* A header alone waits for its page, and is there for whoever reads, asks for the size, or syncs. */
    assert_int_equal(write_at(files.log, frame, WAL_FRAME_HEADER_BYTES, first + INT64_C(3) * WAL_FRAME_BYTES),
                     SQLITE_OK);
    assert_int_equal(read_at(files.log, found, WAL_FRAME_HEADER_BYTES, first + INT64_C(3) * WAL_FRAME_BYTES),
                     SQLITE_OK);
    assert_memory_equal(found, frame, 8);
    assert_int_equal(files.log->pMethods->xSync(files.log, SQLITE_SYNC_NORMAL), SQLITE_OK);
    assert_int_equal(files.log->pMethods->xFileSize(files.log, &size), SQLITE_OK);
    assert_true(size >= first + INT64_C(3) * WAL_FRAME_BYTES + WAL_FRAME_HEADER_BYTES);
    assert_int_equal(count_frames(f, found), frames + 4);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(read_at(files.log, found, PAGE_BYTES, wal_frame_offset(frames + i) + WAL_FRAME_HEADER_BYTES),
                         SQLITE_OK);
        assert_memory_equal(found, frame + WAL_FRAME_HEADER_BYTES, PAGE_BYTES);
    }
    assert_int_equal(files.log->pMethods->xTruncate(files.log, first), SQLITE_OK);
    assert_int_equal(sqlite3_close(files.db), SQLITE_OK);
    open_store(f, true);
    assert_string_equal(list(f, ROOT_OID, 2), "two,five,six,");
}

/* Writes of SQLite's fail, all of them. */
static ssize_t refuse_to_write(int fd, const void *bytes, size_t length, off_t position) {
    (void)fd, (void)bytes, (void)length, (void)position;
    errno = EIO;
    return -1;
}

static void set_writes(sqlite3_syscall_ptr call) {
    static const char *const names[] = {"pwrite", "pwrite64", "write"};
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)vfs->xSetSystemCall(vfs, names[i], call);
}

/* What waits is written by whoever needs it in the file, and the failure is his. Afterwards nothing waits any more. */
static void test_page_vfs__what_waits_fails_where_it_is_needed(void **state) {
    struct fixture *f = *state;
    struct files files;
    uint8_t frame[WAL_FRAME_BYTES], byte[4];
    sqlite3_int64 size;
    open_files(f, &files);
    const int64_t at = wal_frame_offset(count_frames(f, frame) + 1);
    memset(frame + 4, 0, 4); /* ends no transaction, so it may wait */
    for (int part = 0; part < 2; part++)
        for (int way = 0; way < 5; way++) {
            assert_int_equal(write_at(files.log, frame, part == 0 ? WAL_FRAME_HEADER_BYTES : WAL_FRAME_BYTES, at),
                             SQLITE_OK);
            set_writes((sqlite3_syscall_ptr)refuse_to_write);
            int result = way == 0   ? read_at(files.log, byte, sizeof byte, 0)
                         : way == 1 ? files.log->pMethods->xTruncate(files.log, at)
                         : way == 2 ? files.log->pMethods->xSync(files.log, SQLITE_SYNC_NORMAL)
                         : way == 3 ? files.log->pMethods->xFileSize(files.log, &size)
                                    : write_at(files.log, frame, WAL_HEADER_BYTES, 0);
            set_writes(NULL);
            assert_int_equal(result & 0xff, SQLITE_IOERR);
            assert_int_equal(read_at(files.log, byte, sizeof byte, 0), SQLITE_OK);
        }
    assert_int_equal(sqlite3_close(files.db), SQLITE_OK);
    open_store(f, true);
    assert_string_equal(list(f, ROOT_OID, 2), "two,five,six,");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_page_vfs__every_page_has_its_sum),
        TEST(test_page_vfs__pages_in_the_log_have_theirs),
        TEST(test_page_vfs__copies_by_other_programs_have_right_sums),
        TEST(test_page_vfs__large_transactions_outlive_a_crash),
        TEST(test_page_vfs__a_page_that_changes_twice_outlives_a_crash),
        TEST(test_page_vfs__aborted_transactions_are_no_damage),
        TEST(test_page_vfs__damage_in_the_log_stays_there),
        TEST(test_page_vfs__damage_is_named),
        TEST(test_page_vfs__the_rest_of_a_short_database_is_read),
        TEST(test_page_vfs__only_whole_pages_are_written),
        TEST(test_page_vfs__damage_is_told_once),
        TEST(test_page_vfs__an_empty_file_is_a_short_read),
        TEST(test_page_vfs__other_writes_to_the_log_are_refused),
        TEST(test_page_vfs__frames_may_be_written_in_pieces_or_whole),
        TEST(test_page_vfs__what_waits_fails_where_it_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
