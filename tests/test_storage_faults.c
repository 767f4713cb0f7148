/* The SQLite storage on a disk whose Nth write, sync, truncation or opening fails: for every N, a commit either works or
 * leaves the last good transaction, and the next one works. */
#include "tests/storage_fixture.h"

#include <sqlite3.h>

/* SQLite's view of the disk, with a layer that fails: nothing else can make it fail at a chosen place. */
struct disk {
    sqlite3_vfs *real;
    _Atomic int countdown; /* calls until the one that fails; 0: none will */
    _Atomic bool sticky;   /* all after it fail too */
    _Atomic bool hit;
    int code;
};

static struct disk disk;

struct disk_file {
    sqlite3_file base;
    sqlite3_file *real; /* lies behind this struct */
};

static sqlite3_file *real_file(sqlite3_file *file) {
    return ((struct disk_file *)file)->real;
}

static bool fails(void) {
    if (atomic_load(&disk.hit) && atomic_load(&disk.sticky))
        return true;
    if (atomic_load(&disk.countdown) == 0 || atomic_fetch_sub(&disk.countdown, 1) != 1)
        return false;
    atomic_store(&disk.hit, true);
    return true;
}

static int file_close(sqlite3_file *file) {
    return real_file(file)->pMethods->xClose(real_file(file));
}
static int file_read(sqlite3_file *file, void *data, int length, sqlite3_int64 at) {
    return real_file(file)->pMethods->xRead(real_file(file), data, length, at);
}
static int file_write(sqlite3_file *file, const void *data, int length, sqlite3_int64 at) {
    if (!fails())
        return real_file(file)->pMethods->xWrite(real_file(file), data, length, at);
    if (length > 8) /* torn */
        (void)real_file(file)->pMethods->xWrite(real_file(file), data, length / 2, at);
    return disk.code;
}
static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    return fails() ? SQLITE_IOERR_TRUNCATE : real_file(file)->pMethods->xTruncate(real_file(file), size);
}
static int file_sync(sqlite3_file *file, int flags) {
    return fails() ? SQLITE_IOERR_FSYNC : real_file(file)->pMethods->xSync(real_file(file), flags);
}
static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
    return real_file(file)->pMethods->xFileSize(real_file(file), size);
}
static int file_lock(sqlite3_file *file, int level) {
    return real_file(file)->pMethods->xLock(real_file(file), level);
}
static int file_unlock(sqlite3_file *file, int level) {
    return real_file(file)->pMethods->xUnlock(real_file(file), level);
}
static int file_check_lock(sqlite3_file *file, int *locked) {
    return real_file(file)->pMethods->xCheckReservedLock(real_file(file), locked);
}
static int file_control(sqlite3_file *file, int op, void *argument) {
    return real_file(file)->pMethods->xFileControl(real_file(file), op, argument);
}
static int file_sector_size(sqlite3_file *file) {
    return real_file(file)->pMethods->xSectorSize(real_file(file));
}
static int file_characteristics(sqlite3_file *file) {
    return real_file(file)->pMethods->xDeviceCharacteristics(real_file(file));
}
static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **map) {
    return real_file(file)->pMethods->xShmMap(real_file(file), page, size, extend, map);
}
static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return real_file(file)->pMethods->xShmLock(real_file(file), offset, count, flags);
}
static void file_shm_barrier(sqlite3_file *file) {
    real_file(file)->pMethods->xShmBarrier(real_file(file));
}
static int file_shm_unmap(sqlite3_file *file, int remove_file) {
    return real_file(file)->pMethods->xShmUnmap(real_file(file), remove_file);
}

static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_lock,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = file_shm_map,
    .xShmLock = file_shm_lock,
    .xShmBarrier = file_shm_barrier,
    .xShmUnmap = file_shm_unmap,
};

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *opened, int flags, int *out_flags) {
    struct disk_file *file = (struct disk_file *)opened;
    (void)vfs;
    file->base.pMethods = NULL;
    file->real = (sqlite3_file *)(file + 1);
    if (fails())
        return SQLITE_CANTOPEN;
    int rc = disk.real->xOpen(disk.real, name, file->real, flags, out_flags);
    if (rc == SQLITE_OK)
        file->base.pMethods = &file_methods;
    return rc;
}

static int register_disk(void **state) {
    static sqlite3_vfs vfs;
    (void)state;
    disk.real = sqlite3_vfs_find(NULL);
    vfs = *disk.real; /* its other functions take no notice of which VFS they are called for */
    vfs.zName = "failing-disk";
    vfs.pNext = NULL;
    vfs.szOsFile = (int)sizeof(struct disk_file) + disk.real->szOsFile;
    vfs.xOpen = disk_open;
    return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK ? 0 : -1;
}

static void arm(int nth, bool sticky, int code) {
    disk.code = code;
    atomic_store(&disk.hit, false);
    atomic_store(&disk.sticky, sticky);
    atomic_store(&disk.countdown, nth);
}

/* A file /fN with a body in the table, and some text that spills to pages of its own. */
static int try_change(struct fixture *f, const char *text) {
    static char names[512][8];
    uint64_t id;
    char *name = names[f->next_oid % 512];
    assert_int_equal(storage_body_reserve(f->storage, 1, &id), STORE_OK);
    (void)snprintf(name, sizeof names[0], "f%u", (unsigned)f->next_oid % 100000);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, text);
    revise(f, f->next_oid, PART_INODE, false, text);
    add(f, ROOT_OID, f->next_oid + 1, name, f->next_oid, S_IFREG);
    f->bodies[f->commit.body_count++] =
        (struct new_body){.id = id, .data = (const uint8_t *)text, .length = (uint32_t)strlen(text)};
    f->next_oid++;
    return try_commit(f);
}

/* What the store holds must be transaction `last`, whole. */
static void expect_state(struct fixture *f, const char *text) {
    struct storage_state now;
    struct entry_list entries;
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.last_seq, f->last);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, f->last + 1), text);
    assert_int_equal(storage_list(f->storage, ROOT_OID, f->last + 1, &entries), STORE_OK);
    assert_int_equal(entries.count, f->last);
    entry_list_release(&entries);
}

static void fail_each_call(struct fixture *f, bool sticky, int code) {
    bool all_done = false;
    assert_int_equal(try_change(f, "first"), STORE_OK);
    for (int nth = 1; !all_done; nth++) {
        char before[32], after[32];
        (void)snprintf(before, sizeof before, "before %d", nth);
        (void)snprintf(after, sizeof after, "after %d", nth);
        assert_int_equal(try_change(f, before), STORE_OK);
        if (nth % 3 == 0) /* so that opening the files is among what fails */
            reopen(f, true);
        f->log_text[0] = '\0';
        arm(nth, sticky, code);
        int rc = try_change(f, after);
        all_done = !atomic_load(&disk.hit);
        arm(0, false, 0);
        if (rc == STORE_OK) {
            expect_state(f, after);
        } else {
            assert_true(rc == STORE_IO || rc == STORE_FULL);
            /* A full disk is told by the caller, once for the many tries that it refuses. */
            assert_int_equal(f->log_text[0] != '\0', rc == STORE_IO);
            f->next_oid--; /* was not used */
            expect_state(f, before);
        }
        if (nth % 2 == 0)
            reopen(f, true);
        expect_state(f, rc == STORE_OK ? after : before);
        assert_true(nth < 1000);
    }
    reopen(f, true);
    assert_int_equal(try_change(f, "last"), STORE_OK);
    expect_state(f, "last");
}

static void test_storage_faults__one_call_fails(void **state) {
    fail_each_call(*state, false, SQLITE_IOERR_WRITE);
}

static void test_storage_faults__all_calls_fail_from_then_on(void **state) {
    fail_each_call(*state, true, SQLITE_IOERR_WRITE);
}

static void test_storage_faults__the_disk_is_full(void **state) {
    fail_each_call(*state, true, SQLITE_FULL);
}

/* A create that fails leaves the directory as it was, and can be done again. */
static void test_storage_faults__create_leaves_nothing(void **state) {
    bool all_done = false;
    (void)state;
    for (int nth = 1; !all_done; nth++) {
        char directory[] = "/tmp/test_storage.XXXXXX";
        struct error err = {0};
        assert_non_null(mkdtemp(directory));
        arm(nth, true, SQLITE_FULL);
        int rc = storage_sqlite_create(directory, &err);
        all_done = !atomic_load(&disk.hit);
        arm(0, false, 0);
        if (rc != STORE_OK) {
            assert_true(err.text[0] != '\0');
            assert_int_equal(storage_sqlite_create(directory, &err), STORE_OK);
        }
        assert_int_equal(remove_tree(directory), 0);
        assert_true(nth < 1000);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_storage_faults__one_call_fails),
        TEST(test_storage_faults__all_calls_fail_from_then_on),
        TEST(test_storage_faults__the_disk_is_full),
        TEST(test_storage_faults__create_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, register_disk, NULL);
}
