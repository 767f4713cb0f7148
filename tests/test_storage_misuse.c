/* What stands in the way of a store that is made, opened, locked or logged: files of the wrong kind or of somebody's hand, and the limits of
 * what they hold. And the tables of errors. */
#include <errno.h>

#include "store/body.h"
#include "store/lock.h"
#include "store/repair.h"
#include "store/store.h"
#include "tests/storage_fixture.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void test_storage_misuse__every_error_has_words_and_an_errno(void **state) {
    (void)state;
    static const struct {
        int code, number;
    } errors[] = {
        {STORE_OK, 0},
        {STORE_ABSENT, ENOENT},
        {STORE_NO_MEMORY, ENOMEM},
        {STORE_IO, EIO},
        {STORE_CORRUPT, EIO},
        {STORE_FULL, ENOSPC},
        {STORE_LOCKED, EBUSY},
        {STORE_READ_ONLY, EROFS},
        {STORE_NEWER_FORMAT, ENOTSUP},
        {STORE_NOT_A_STORE, ENOENT},
        {STORE_EXISTS, EEXIST},
        {STORE_PACKED, ESTALE},
        {STORE_INVALID, EINVAL},
        {STORE_TOO_BIG, EFBIG},
        {STORE_NO_OBJECT, ENOENT},
        {STORE_LOST, EIO},
        {STORE_CONFLICT, ESTALE},
        {-1000, EIO},
    };
    for (size_t i = 0; i < COUNT(errors); i++) {
        assert_int_equal(store_error_errno(errors[i].code), errors[i].number);
        assert_int_equal(strcmp(store_error_text(errors[i].code), "unknown error") == 0, errors[i].code == -1000);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(store_error_text(errors[i].code), store_error_text(errors[j].code));
    }
    static const struct {
        int number, code;
    } numbers[] = {{ENOSPC, STORE_FULL},      {EDQUOT, STORE_FULL},     {EROFS, STORE_READ_ONLY},
                   {EACCES, STORE_READ_ONLY}, {EPERM, STORE_READ_ONLY}, {ENOMEM, STORE_NO_MEMORY},
                   {EBUSY, STORE_LOCKED},     {EIO, STORE_IO},          {ENOENT, STORE_IO}};
    for (size_t i = 0; i < COUNT(numbers); i++)
        assert_int_equal(store_error_from_errno(numbers[i].number), numbers[i].code);
    assert_int_equal(error_set(NULL, STORE_IO, "%d", 1), STORE_IO);
}

/* ---- directories ---- */

static void make_file(struct fixture *f, const char *name, const char *text) {
    FILE *file = fopen(fixture_path(f, name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_storage_misuse__a_store_is_made_in_a_directory_alone(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    make_file(f, "file", "x");
    assert_int_equal(store_create(f->path, 0, 0, &err), STORE_EXISTS);
    assert_non_null(strstr(err.text, "is not a directory"));
    assert_true(store_create(fixture_path(f, "file/store"), 0, 0, &err) < 0);
    assert_non_null(strstr(err.text, "cannot make"));
    assert_int_equal(symlink("nowhere", fixture_path(f, "link")), 0);
    assert_true(store_create(f->path, 0, 0, &err) < 0);
    assert_int_not_equal(access(fixture_path(f, "nowhere"), F_OK), 0);
    assert_true(store_create(fixture_path(f, "none/store"), 0, 0, &err) < 0);
    assert_int_equal(storage_sqlite_create(fixture_path(f, "none"), &err), STORE_INVALID);
    assert_int_equal(storage_sqlite_create(fixture_path(f, "file/none"), &err), STORE_INVALID);
    assert_true(storage_sqlite_create(fixture_path(f, "file"), &err) < 0);
    assert_int_equal(store_create(fixture_path(f, "store"), 0, 0, &err), STORE_OK);
}

static void test_storage_misuse__only_a_store_is_repaired(void **state) {
    struct fixture *f = *state;
    struct repair_result result;
    struct error err = {0};
    static const struct repair_options options = {0};
    assert_int_equal(store_repair(fixture_path(f, "none"), &options, &result, &err), STORE_NOT_A_STORE);
    assert_int_equal(mkdir(fixture_path(f, "empty"), 0700), 0);
    assert_int_equal(store_repair(f->path, &options, &result, &err), STORE_NOT_A_STORE);
    assert_int_equal(rmdir(f->path), 0); /* and nothing was left in it */
    assert_int_equal(mkdir(fixture_path(f, "other"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(f, "other/tidfs.db"), 0700), 0);
    assert_int_equal(store_repair(fixture_path(f, "other"), &options, &result, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "tidfs.db is no regular file"));
    struct writer_lock *lock;
    assert_int_equal(writer_lock_acquire(f->directory, "/mnt", &lock, &err), STORE_OK);
    assert_int_equal(store_repair(f->directory, &options, &result, &err), STORE_LOCKED);
    writer_lock_release(lock);
}

/* ---- files ---- */

static void close_store(struct fixture *f) {
    storage_close(f->storage);
    f->storage = NULL;
}

static void assert_not_opened(struct fixture *f, int expected, const char *text) {
    static const bool modes[] = {false, true};
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct storage_open_options options = {.writable = modes[i], .log = &f->log};
        struct error err = {0};
        assert_int_equal(storage_sqlite_open(f->directory, &options, &f->storage, &err), expected);
        if (!strstr(err.text, text))
            fail_msg("expected \"%s\" in: %s", text, err.text);
        f->storage = NULL;
    }
}

/* What was there. */
static char set_byte(struct fixture *f, off_t at, char byte) {
    char old;
    int fd = open(fixture_path(f, "tidfs.db"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &old, 1, at), 1);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
    return old;
}

static void test_storage_misuse__who_cannot_write_a_damaged_store_is_told_what_to_do(void **state) {
    struct fixture *f = *state;
    const struct storage_open_options options = {.writable = true, .log = &f->log};
    struct stat status;
    unsigned refused = 0;
    commit_tree(f);
    close_store(f);
    assert_int_equal(stat(fixture_path(f, "tidfs.db"), &status), 0);
    for (off_t page = 1; page < status.st_size / 4096; page++) {
        struct error err = {0};
        const off_t at = page * 4096 + 4000;
        char old = set_byte(f, at, 77);
        int rc = storage_sqlite_open(f->directory, &options, &f->storage, &err);
        if (rc == STORE_OK) {
            close_store(f);
        } else {
            refused++;
            assert_int_equal(rc, STORE_CORRUPT);
            if (!strstr(err.text, "`tidfs verify"))
                fail_msg("page %lld: %s", (long long)page + 1, err.text);
        }
        (void)set_byte(f, at, old);
    }
    assert_true(refused > 1);
}

static void test_storage_misuse__the_database_is_known_by_its_header(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    close_store(f);
    for (off_t at = 18; at <= 19; at++) {
        (void)set_byte(f, at, 1);
        assert_not_opened(f, STORE_CORRUPT, "is not in WAL mode");
        (void)set_byte(f, at, 2);
    }
    (void)set_byte(f, 0, 's');
    assert_not_opened(f, STORE_CORRUPT, "does not begin as a SQLite database");
    (void)set_byte(f, 0, 'S');
    (void)set_byte(f, 68, 'T'); /* one of two marks: another damage, but not another program's */
    (void)set_byte(f, 20, 0);
    assert_not_opened(f, STORE_NOT_A_STORE, "was not made by tidfs");
    (void)set_byte(f, 68, 't');
    assert_not_opened(f, STORE_CORRUPT, "page 1 of the database has a wrong checksum; `tidfs verify --repair` saves");
    assert_int_equal(truncate(fixture_path(f, "tidfs.db"), 50), 0);
    assert_not_opened(f, STORE_CORRUPT, "does not begin as a SQLite database");
    assert_int_equal(truncate(fixture_path(f, "tidfs.db"), 0), 0);
    assert_not_opened(f, STORE_CORRUPT, "it is empty");
    assert_int_equal(unlink(fixture_path(f, "tidfs.db")), 0);
    assert_not_opened(f, STORE_NOT_A_STORE, "it has no tidfs.db");
    assert_int_equal(symlink("elsewhere", fixture_path(f, "tidfs.db")), 0);
    assert_not_opened(f, STORE_NOT_A_STORE, "is no regular file");
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(fixture_path(f, "tidfs.db"), 0600), 0);
    assert_not_opened(f, STORE_NOT_A_STORE, "is no regular file");
    assert_int_equal(unlink(f->path), 0);
}

/* ---- bodies ---- */

static int open_bodies(struct fixture *f, struct body_end committed, struct body_files **bodies, struct error *err) {
    return body_files_open(f->directory, true, committed, &f->log, bodies, err);
}

static void test_storage_misuse__other_names_are_no_body_files(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"1",        "0000000x", "99999999999", "99999999999999999999999",
                                        "00000000", "+0000005"};
    struct body_files *bodies;
    struct body_ref ref;
    struct error err = {0};
    close_store(f);
    for (size_t i = 0; i < COUNT(names); i++) {
        char name[64];
        (void)snprintf(name, sizeof name, BODY_DIRECTORY "/%s", names[i]);
        make_file(f, name, "x");
    }
    assert_int_equal(open_bodies(f, (struct body_end){0}, &bodies, &err), STORE_OK);
    assert_int_equal(body_files_append(bodies, (const uint8_t *)"x", 1, &ref), STORE_OK);
    assert_int_equal(ref.file, 1);
    body_files_close(bodies);

    /* The last number that there is. */
    make_file(f, BODY_DIRECTORY "/4294967295", "1234");
    assert_int_equal(open_bodies(f, (struct body_end){.file = UINT32_MAX, .end = 4}, &bodies, &err), STORE_OK);
    assert_int_equal(body_files_append(bodies, (const uint8_t *)"5", 1, &ref), STORE_OK);
    assert_int_equal(ref.file, UINT32_MAX);
    assert_int_equal(ref.position, 4);
    body_files_close(bodies);
    assert_int_equal(open_bodies(f, (struct body_end){.file = UINT32_MAX, .end = 6}, &bodies, &err), STORE_OK);
    assert_int_equal(body_files_append(bodies, (const uint8_t *)"5", 1, &ref), STORE_FULL); /* the next would be 0 */
    body_files_close(bodies);
}

static void test_storage_misuse__bodies_lie_in_a_directory_of_the_store(void **state) {
    struct fixture *f = *state;
    struct body_files *bodies;
    struct error err = {0};
    close_store(f);
    assert_int_equal(rmdir(fixture_path(f, BODY_DIRECTORY)), 0);
    assert_int_equal(open_bodies(f, (struct body_end){0}, &bodies, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.text, "cannot open"));
    make_file(f, BODY_DIRECTORY, "x");
    assert_int_equal(open_bodies(f, (struct body_end){0}, &bodies, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.text, "is no directory of the store"));
    assert_true(body_files_create(f->directory, &err) < 0);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(symlink("/tmp", fixture_path(f, BODY_DIRECTORY)), 0);
    assert_int_equal(open_bodies(f, (struct body_end){0}, &bodies, &err), STORE_CORRUPT);
    assert_true(body_files_create(fixture_path(f, "none"), &err) < 0);
    assert_non_null(strstr(err.text, "cannot open"));
}

static void test_storage_misuse__a_body_file_that_vanishes_or_is_none_is_told(void **state) {
    struct fixture *f = *state;
    struct body_files *bodies;
    struct body_ref ref, other = {.file = 2, .length = 1};
    struct error err = {0};
    uint8_t byte;
    close_store(f);
    make_file(f, BODY_DIRECTORY "/00000001", "1");
    assert_int_equal(open_bodies(f, (struct body_end){.file = 1, .end = 1}, &bodies, &err), STORE_OK);
    assert_int_equal(unlink(fixture_path(f, BODY_DIRECTORY "/00000001")), 0);
    assert_int_equal(body_files_append(bodies, (const uint8_t *)"x", 1, &ref), STORE_IO);
    assert_non_null(strstr(f->log_text, "body file 00000001 has vanished"));
    assert_int_equal(body_files_read(bodies, &other, &byte), STORE_CORRUPT); /* never was */
    assert_int_equal(mkdir(fixture_path(f, BODY_DIRECTORY "/00000002"), 0700), 0);
    assert_int_equal(body_files_read(bodies, &other, &byte), STORE_CORRUPT);
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(symlink("/etc/passwd", fixture_path(f, BODY_DIRECTORY "/00000002")), 0);
    assert_int_equal(body_files_read(bodies, &other, &byte), STORE_CORRUPT);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkfifo(fixture_path(f, BODY_DIRECTORY "/00000002"), 0600), 0);
    assert_int_equal(body_files_read(bodies, &other, &byte), STORE_CORRUPT);
    body_files_close(bodies);
    assert_int_equal(open_bodies(f, (struct body_end){.file = 2, .end = 1}, &bodies, &err), STORE_CORRUPT);
}

/* ---- locks ---- */

static void test_storage_misuse__a_mount_point_must_fit_and_the_lock_be_a_file(void **state) {
    struct fixture *f = *state;
    static char long_point[1 << 16];
    struct writer_lock *lock;
    struct lock_holder holder;
    struct error err = {0};
    int fd;
    close_store(f);
    memset(long_point, '/', sizeof long_point - 1);
    assert_int_equal(writer_lock_acquire(f->directory, long_point, &lock, &err), STORE_TOO_BIG);
    assert_int_equal(writer_lock_acquire(f->directory, "/mnt", &lock, &err), STORE_OK);
    assert_int_equal(writer_lock_describe(lock, long_point), STORE_TOO_BIG);
    assert_int_equal(writer_lock_holder(f->directory, &holder), STORE_OK); /* and what was told stays */
    assert_int_equal(holder.pid, getpid());
    assert_string_equal(holder.mount_point, "/mnt");
    lock_holder_release(&holder);
    assert_int_equal(reader_lock_acquire(f->directory, &fd), STORE_LOCKED);
    writer_lock_release(lock);

    static const char *const odd[] = {"0\n/a\n", "4294967297\n/a\n", "12x\n/a\n"};
    for (size_t i = 0; i < COUNT(odd); i++) {
        assert_int_equal(writer_lock_acquire(f->directory, "", &lock, &err), STORE_OK);
        make_file(f, LOCK_FILE, odd[i]);
        assert_int_equal(writer_lock_holder(f->directory, &holder), STORE_OK);
        assert_int_equal(holder.pid, 0);
        lock_holder_release(&holder);
        writer_lock_release(lock);
    }

    assert_int_equal(unlink(fixture_path(f, LOCK_FILE)), 0);
    assert_int_equal(symlink("elsewhere", fixture_path(f, LOCK_FILE)), 0);
    assert_int_equal(writer_lock_acquire(f->directory, "", &lock, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.text, "is no regular file; remove it"));
    assert_int_not_equal(access(fixture_path(f, "elsewhere"), F_OK), 0);
    assert_int_equal(unlink(fixture_path(f, LOCK_FILE)), 0);
    assert_int_equal(mkfifo(fixture_path(f, LOCK_FILE), 0600), 0);
    assert_int_equal(writer_lock_acquire(f->directory, "", &lock, &err), STORE_CORRUPT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_storage_misuse__##name, set_up, tear_down)
        TEST(every_error_has_words_and_an_errno),
        TEST(a_store_is_made_in_a_directory_alone),
        TEST(only_a_store_is_repaired),
        TEST(who_cannot_write_a_damaged_store_is_told_what_to_do),
        TEST(the_database_is_known_by_its_header),
        TEST(other_names_are_no_body_files),
        TEST(bodies_lie_in_a_directory_of_the_store),
        TEST(a_body_file_that_vanishes_or_is_none_is_told),
        TEST(a_mount_point_must_fit_and_the_lock_be_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
