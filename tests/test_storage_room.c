/* A store on a disk that is full: who reads it keeps writers out, and lets them in again when there is room. On a file system of the test's own. */
#include "store/lock.h"
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

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_storage_room__##name, set_up_disk, tear_down_disk)
        TEST(a_full_disk_is_read_without_locks_until_there_is_room),
        TEST(a_writer_that_is_there_goes_on_being_read_with_locks),
        TEST(nothing_is_opened_for_writing_without_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
