/* Making a store: what a create may find in the directory, and what it leaves there. */
#include <sys/file.h>

#include "store/store.h"
#include "tests/storage_fixture.h"

static int set_up_directory(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->directory, "/tmp/test_storage.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    *state = f;
    return 0;
}

static void make_file(struct fixture *f, const char *name) {
    int fd = open(fixture_path(f, name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "half", 4), 4);
    assert_int_equal(close(fd), 0);
}

static bool is_there(struct fixture *f, const char *name) {
    return access(fixture_path(f, name), F_OK) == 0;
}

/* There is no moment at which the power can go and leave a store that has no root directory. */
static void test_storage_create__the_first_transaction_is_in_it_from_the_beginning(void **state) {
    struct fixture *f = *state;
    struct error err;
    struct storage_state now;
    assert_int_equal(store_create(f->directory, 1000, 1000, &err), STORE_OK);
    assert_false(is_there(f, "tidfs.db.new"));
    assert_false(is_there(f, "tidfs.db-wal")); /* tidfs.db alone has it */
    open_store(f, false);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.last_seq, 1);
}

static void test_storage_create__what_was_cut_short_is_made_anew(void **state) {
    struct fixture *f = *state;
    struct error err;
    assert_int_equal(mkdir(fixture_path(f, "bodies"), 0700), 0);
    make_file(f, "tidfs.db.new");
    make_file(f, "tidfs.db.new-journal");
    make_file(f, "tidfs.db.new-wal");
    make_file(f, "tidfs.db.new-shm");
    assert_int_equal(store_create(f->directory, 1000, 1000, &err), STORE_OK);
    assert_false(is_there(f, "tidfs.db.new"));
    assert_false(is_there(f, "tidfs.db.new-journal"));
    open_store(f, true);
}

static void test_storage_create__files_of_somebody_are_left_alone(void **state) {
    static const char *const names[] = {"tidfs.db", "lock", "bodies/00000001", "other"};
    struct fixture *f = *state;
    struct error err;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(mkdir(fixture_path(f, "bodies"), 0700), 0);
        make_file(f, names[i]);
        assert_int_equal(store_create(f->directory, 1000, 1000, &err), STORE_EXISTS);
        assert_non_null(strstr(err.text, "not empty"));
        assert_true(is_there(f, names[i]));
        assert_false(is_there(f, "tidfs.db.new"));
        assert_int_equal(unlink(fixture_path(f, names[i])), 0);
        assert_int_equal(rmdir(fixture_path(f, "bodies")), 0);
    }
}

static void test_storage_create__two_at_a_time_do_not_meet(void **state) {
    struct fixture *f = *state;
    struct error err;
    int other = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(other, LOCK_EX), 0);
    make_file(f, "tidfs.db.new");
    assert_int_equal(store_create(f->directory, 1000, 1000, &err), STORE_LOCKED);
    assert_true(is_there(f, "tidfs.db.new"));
    assert_int_equal(close(other), 0);
    assert_int_equal(store_create(f->directory, 1000, 1000, &err), STORE_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_directory, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_storage_create__the_first_transaction_is_in_it_from_the_beginning),
        TEST(test_storage_create__what_was_cut_short_is_made_anew),
        TEST(test_storage_create__files_of_somebody_are_left_alone),
        TEST(test_storage_create__two_at_a_time_do_not_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
