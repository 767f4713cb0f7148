/* A store on a disk that is full: who reads it keeps writers out, and lets them in again when there is room. On a file system of the test's own. */
#include <errno.h>
#include <sqlite3.h>

#include "store/lock.h"
#include "store/storage_sqlite.h"
#include "tests/storage_fixture.h"

#define DISK "size=2m"

/* Unlike set_up: the store lies on a small disk. */
static int set_up_disk(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    strcpy(f->directory, "/tmp/test_room.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->log = (struct log){.write = write_log, .context = f, .most = LOG_LEVEL_INFO};
    /* Nobody else sees what is mounted here, and it goes with the process. */
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", f->directory, "tmpfs", 0, DISK) < 0)
        return 0;
    struct error err = {0};
    struct writer_lock *lock = NULL;
    if (storage_sqlite_create(f->directory, &err) != STORE_OK ||
        writer_lock_acquire(f->directory, "", &lock, &err) != STORE_OK)
        fail_msg("create: %s", err.text);
    writer_lock_release(lock); /* its file stays, for readers to lock */
    open_store(f, true);
    f->next_oid = ROOT_OID + 1;
    commit_root(f);
    storage_close(f->storage);
    f->storage = NULL;
    return 0;
}

static int tear_down_disk(void **state) {
    struct fixture *f = *state;
    storage_close(f->storage);
    int rc = f->last > 0 ? umount(f->directory) : 0;
    rc |= rmdir(f->directory);
    free(f);
    return rc;
}

static bool has_disk(const struct fixture *f) {
    if (f->last == 0)
        print_message("skipped: mounting a file system of one's own takes root\n");
    return f->last > 0;
}

static void fill(struct fixture *f) {
    static const uint8_t block[4096];
    int fd = open(fixture_path(f, "filler"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) > 0)
        ;
    (void)close(fd);
}

static uint64_t filler_size(struct fixture *f) {
    struct stat status;
    assert_int_equal(stat(fixture_path(f, "filler"), &status), 0);
    return (uint64_t)status.st_size;
}

static void make_room(struct fixture *f) {
    assert_int_equal(unlink(fixture_path(f, "filler")), 0);
}

static int open_beside(struct fixture *f, bool writable, struct storage **storage, struct error *err) {
    struct storage_open_options options = {.writable = writable};
    return storage_sqlite_open(f->directory, &options, storage, err);
}

static void test_storage_room__a_full_disk_is_read_without_locks_until_there_is_room(void **state) {
    struct fixture *f = *state;
    struct storage *writer;
    struct storage_state now;
    struct error err = {0};
    if (!has_disk(f))
        skip();
    fill(f);
    open_store(f, false);
    assert_non_null(strstr(f->log_text, "lies on a full disk: reading without locks"));
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
    assert_int_not_equal(access(fixture_path(f, "tidfs.db-shm"), F_OK), 0);

    /* As long as it is so, nobody writes, and whoever wants to is told what to do. */
    assert_int_equal(open_beside(f, true, &writer, &err), STORE_FULL);
    assert_non_null(strstr(err.text, "free at least 64 KiB there"));
    assert_int_equal(storage_tag_set(f->storage, "t", 1, false), STORE_FULL);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_null(strstr(f->log_text, "has room again"));

    make_room(f);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_non_null(strstr(f->log_text, "has room again: it is read with locks, and may be written"));
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
    if (open_beside(f, true, &writer, &err) != STORE_OK)
        fail_msg("%s", err.text);

    /* Both see what the other does, as ever. */
    struct storage *reader = f->storage;
    f->storage = writer;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    commit(f);
    f->storage = reader;
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "root 2");
    storage_close(writer);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "root 2");
}

static void test_storage_room__a_writer_that_is_there_goes_on_being_read_with_locks(void **state) {
    struct fixture *f = *state;
    struct storage *reader;
    struct error err = {0};
    struct writer_lock *lock;
    if (!has_disk(f))
        skip();
    assert_int_equal(writer_lock_acquire(f->directory, "", &lock, &err), STORE_OK);
    open_store(f, true);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
    fill(f);
    if (open_beside(f, false, &reader, &err) != STORE_OK)
        fail_msg("%s", err.text);
    struct storage *writer = f->storage;
    f->storage = reader;
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
    f->storage = writer;
    storage_close(reader);
    make_room(f);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    commit(f);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "root 2");
    writer_lock_release(lock);
}

static void test_storage_room__nothing_is_opened_for_writing_without_room(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    if (!has_disk(f))
        skip();
    fill(f);
    assert_int_equal(open_beside(f, true, &f->storage, &err), STORE_FULL);
    assert_non_null(strstr(err.text, "no space left on the disk of"));
    f->storage = NULL;
    make_room(f);
    open_store(f, true);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
}

/* Without room for the files of a lock, and with no lock file to take, or one that is none. */
static void test_storage_room__why_it_cannot_be_opened_is_told(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    struct storage *reader;
    char lock[160];
    if (!has_disk(f))
        skip();
    (void)snprintf(lock, sizeof lock, "%s/lock", f->directory);
    assert_int_equal(unlink(lock), 0);
    fill(f);
    assert_int_equal(open_beside(f, false, &reader, &err), STORE_FULL);
    assert_non_null(strstr(err.text, "no space left on the disk of"));
    assert_int_equal(open_beside(f, true, &reader, &err), STORE_FULL);
    assert_int_equal(symlink("nowhere", lock), 0);
    assert_int_equal(open_beside(f, true, &reader, &err), STORE_IO); /* that is no want of room */
    assert_non_null(strstr(err.text, "cannot look for those who read"));
    assert_int_equal(unlink(lock), 0);
    make_room(f);
    run_sql(f, "UPDATE state SET horizon = 1"); /* with a wrong checksum */
    fill(f);
    assert_int_equal(open_beside(f, false, &reader, &err), STORE_FULL);
    make_room(f);
    assert_int_equal(open_beside(f, false, &reader, &err), STORE_CORRUPT);
}

/* A log that a crash has left: it must be read with SQLite's locks. With a little room it can be, and damage is then told as damage. */
static void test_storage_room__a_log_is_read_with_locks_or_not_at_all(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    struct storage *reader;
    char command[512];
    if (!has_disk(f))
        skip();
    open_store(f, true);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    commit(f);
    (void)snprintf(command, sizeof command,
                   "cd '%s' && dd if=tidfs.db-wal of=kept bs=4k count=40 status=none && cp tidfs.db kept.db",
                   f->directory);
    assert_int_equal(system(command), 0);
    storage_close(f->storage);
    f->storage = NULL;
    (void)snprintf(command, sizeof command,
                   "cd '%s' && mv kept.db tidfs.db && mv kept tidfs.db-wal && rm -f tidfs.db-shm", f->directory);
    assert_int_equal(system(command), 0);
    fill(f);
    assert_int_equal(open_beside(f, false, &reader, &err), STORE_FULL);
    assert_non_null(strstr(err.text, "no space left on the disk of"));
    /* 40 KiB are too little to begin with, but enough for this. */
    assert_int_equal(truncate(fixture_path(f, "filler"), (off_t)(filler_size(f) - 40960)), 0);
    open_store(f, false);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "root 2");
    reopen(f, false);
    run_sql(f, "UPDATE state SET horizon = 1"); /* with a wrong checksum */
    assert_int_equal(open_beside(f, false, &reader, &err), STORE_CORRUPT);
}

/* Who still reads the old way holds the lock until it is done. */
static void test_storage_room__the_last_old_reader_lets_writers_in(void **state) {
    struct fixture *f = *state;
    struct connection *old;
    struct storage_state now;
    if (!has_disk(f))
        skip();
    fill(f);
    open_store(f, false);
    struct connection_pool *pool = &sqlite_storage_of(f->storage)->readers;
    assert_int_equal(connection_pool_take(pool, &old), STORE_OK);
    assert_int_equal(old->kind, CONNECTION_READ_IMMUTABLE);
    make_room(f);
    assert_int_equal(storage_tag_set(f->storage, "t", 1, false), STORE_FULL);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(pool->kind, CONNECTION_READ);
    assert_null(strstr(f->log_text, "has room again"));
    connection_pool_give(pool, old);
    assert_int_equal(storage_tag_set(f->storage, "t", 1, false), STORE_OK);
    assert_non_null(strstr(f->log_text, "has room again"));
}

static void test_storage_room__a_closed_reader_lets_writers_in(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    if (!has_disk(f))
        skip();
    fill(f);
    open_store(f, false);
    assert_int_equal(reader_lock_check(f->directory, &err), STORE_LOCKED);
    storage_close(f->storage);
    f->storage = NULL;
    assert_int_equal(reader_lock_check(f->directory, &err), STORE_OK);
}

/* There is room, and SQLite cannot make its files all the same: readers go on as they are. */
static void test_storage_room__locks_that_do_not_work_are_not_gone_over_to(void **state) {
    struct fixture *f = *state;
    struct storage_state now;
    if (!has_disk(f))
        skip();
    fill(f);
    open_store(f, false);
    make_room(f);
    assert_int_equal(symlink("nowhere", fixture_path(f, "tidfs.db-shm")), 0);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_null(strstr(f->log_text, "has room again"));
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
    assert_int_equal(unlink(fixture_path(f, "tidfs.db-shm")), 0);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_non_null(strstr(f->log_text, "has room again"));
}

/* As SQLite sees it. */
static const char *failing_file = "";

static int failing_open(const char *path, int flags, int mode) {
    if (*failing_file && strstr(path, failing_file)) {
        errno = EIO;
        return -1;
    }
    return open(path, flags, mode);
}

/* On a full disk nothing else is thought of: what SQLite says of its files there helps nobody. */
static void test_storage_room__other_words_for_a_full_disk_are_not_passed_on(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    struct storage *storage;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (!has_disk(f))
        skip();
    assert_int_equal(vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)failing_open), SQLITE_OK);
    assert_int_equal(unlink(fixture_path(f, "lock")), 0);
    fill(f);
    failing_file = "-shm";
    int reading = open_beside(f, false, &storage, &err);
    assert_non_null(strstr(err.text, "no space left on the disk of"));
    int writing = open_beside(f, true, &storage, &err);
    assert_int_equal(mkdir(fixture_path(f, "new"), 0700), 0);
    assert_int_equal(truncate(fixture_path(f, "filler"), (off_t)(filler_size(f) - 49152)), 0); /* for the first file */
    failing_file = "-journal";
    struct error making = {0};
    int made = storage_sqlite_create(fixture_path(f, "new"), &making);
    failing_file = "";
    assert_int_equal(vfs->xSetSystemCall(vfs, "open", NULL), SQLITE_OK);
    assert_int_equal(reading, STORE_FULL);
    assert_int_equal(writing, STORE_FULL);
    assert_int_equal(made, STORE_FULL);
    assert_int_equal(rmdir(fixture_path(f, "new")), 0); /* nothing is left in it */
    assert_non_null(strstr(err.text, "no space left on the disk of"));
}

/* With the shared memory of somebody who reads, a writer needs no room to begin with; what it meets then is told as what it is. */
static void test_storage_room__a_writer_beside_a_reader_meets_the_next_want(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    struct storage *writer;
    char command[512];
    if (!has_disk(f))
        skip();
    open_store(f, true);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 2");
    commit(f);
    /* The room that the log has got is none here: it was copied with holes. */
    (void)snprintf(command, sizeof command, "cd '%s' && cp --sparse=always tidfs.db-wal kept && cp tidfs.db kept.db",
                   f->directory);
    assert_int_equal(system(command), 0);
    storage_close(f->storage);
    f->storage = NULL;
    (void)snprintf(command, sizeof command,
                   "cd '%s' && mv kept.db tidfs.db && mv kept tidfs.db-wal && rm -f tidfs.db-shm && "
                   "fallocate --punch-hole --offset 524288 --length 524288 tidfs.db-wal",
                   f->directory);
    assert_int_equal(system(command), 0);
    open_store(f, false);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "root 2");
    fill(f);
    assert_int_equal(open_beside(f, true, &writer, &err), STORE_FULL); /* it writes all of the log anew */
    assert_non_null(strstr(err.text, "no space left on the disk of"));
    int fd = open(fixture_path(f, "tidfs.db"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 90), 1); /* of page 1 */
    (void)close(fd);
    assert_int_equal(open_beside(f, true, &writer, &err), STORE_CORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_storage_room__##name, set_up_disk, tear_down_disk)
        TEST(a_full_disk_is_read_without_locks_until_there_is_room),
        TEST(a_writer_that_is_there_goes_on_being_read_with_locks),
        TEST(nothing_is_opened_for_writing_without_room),
        TEST(why_it_cannot_be_opened_is_told),
        TEST(a_log_is_read_with_locks_or_not_at_all),
        TEST(the_last_old_reader_lets_writers_in),
        TEST(a_closed_reader_lets_writers_in),
        TEST(other_words_for_a_full_disk_are_not_passed_on),
        TEST(a_writer_beside_a_reader_meets_the_next_want),
        TEST(locks_that_do_not_work_are_not_gone_over_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
