#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/lock.h"

static int set_up(void **state) {
    char *directory = strdup("/tmp/test_lock.XXXXXX");
    assert_non_null(directory);
    assert_non_null(mkdtemp(directory));
    *state = directory;
    return 0;
}

static int tear_down(void **state) {
    char *directory = *state, path[128];
    (void)snprintf(path, sizeof path, "%s/" LOCK_FILE, directory);
    (void)unlink(path);
    int rc = rmdir(directory);
    free(directory);
    return rc;
}

static void test_lock__second_writer_is_told_who_holds_it(void **state) {
    const char *directory = *state;
    struct writer_lock *lock, *second;
    struct error err;
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_int_equal(writer_lock_acquire(directory, "/mnt/a b", &lock, &err), STORE_OK);
    assert_int_equal(writer_lock_acquire(directory, "/other", &second, &err), STORE_LOCKED);
    assert_int_equal(err.code, STORE_LOCKED);
    assert_non_null(strstr(err.text, pid));
    assert_non_null(strstr(err.text, "/mnt/a b"));
    writer_lock_release(lock);
    assert_int_equal(writer_lock_acquire(directory, "", &lock, &err), STORE_OK);
    assert_int_equal(writer_lock_acquire(directory, "/other", &second, &err), STORE_LOCKED);
    assert_null(strstr(err.text, "mounted"));
    writer_lock_release(lock);
}

static void test_lock__removing_the_file_lets_nobody_in(void **state) {
    const char *directory = *state;
    struct writer_lock *lock, *second;
    struct error err = {0};
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" LOCK_FILE, directory);
    assert_int_equal(writer_lock_acquire(directory, "/mnt", &lock, &err), STORE_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(writer_lock_acquire(directory, "", &second, &err), STORE_LOCKED);
    assert_non_null(strstr(err.text, "was removed"));
    writer_lock_release(lock);
    assert_int_equal(writer_lock_acquire(directory, "", &lock, &err), STORE_OK);
    writer_lock_release(lock);
}

static void test_lock__a_reader_keeps_writers_out(void **state) {
    const char *directory = *state;
    struct writer_lock *lock;
    struct lock_holder holder;
    struct error err;
    int fd, other;
    assert_int_equal(reader_lock_acquire(directory, &fd), STORE_ABSENT);
    assert_int_equal(writer_lock_acquire(directory, "/gone", &lock, &err), STORE_OK);
    assert_int_equal(reader_lock_acquire(directory, &fd), STORE_LOCKED);
    assert_int_equal(reader_lock_check(directory, NULL), STORE_OK);
    writer_lock_release(lock);
    assert_int_equal(reader_lock_acquire(directory, &fd), STORE_OK);
    assert_int_equal(reader_lock_acquire(directory, &other), STORE_OK);
    assert_int_equal(reader_lock_check(directory, NULL), STORE_LOCKED);
    /* The text of the last writer is not told of a reader. */
    assert_int_equal(writer_lock_holder(directory, &holder), STORE_ABSENT);
    assert_int_equal(writer_lock_acquire(directory, "", &lock, &err), STORE_LOCKED);
    assert_null(strstr(err.text, "/gone"));
    assert_non_null(strstr(err.text, "disk full"));
    assert_int_equal(close(fd), 0);
    assert_int_equal(writer_lock_acquire(directory, "", &lock, NULL), STORE_LOCKED);
    assert_int_equal(close(other), 0);
    assert_int_equal(writer_lock_acquire(directory, "", &lock, &err), STORE_OK);
    writer_lock_release(lock);
}

static void test_lock__holder_is_told_without_disturbing(void **state) {
    const char *directory = *state;
    struct writer_lock *lock, *second;
    struct lock_holder holder;
    assert_int_equal(writer_lock_holder(directory, &holder), STORE_ABSENT);
    assert_int_equal(writer_lock_acquire(directory, "/a/long/mount/point", &lock, NULL), STORE_OK);
    assert_int_equal(writer_lock_holder(directory, &holder), STORE_OK);
    assert_int_equal(holder.pid, getpid());
    assert_string_equal(holder.mount_point, "/a/long/mount/point");
    lock_holder_release(&holder);

    assert_int_equal(writer_lock_describe(lock, "/b\nc"), STORE_OK);
    assert_int_equal(writer_lock_holder(directory, &holder), STORE_OK);
    assert_string_equal(holder.mount_point, "/b\nc");
    lock_holder_release(&holder);
    /* Asking has opened and closed the file; a lock of the traditional kind would be gone now. */
    assert_int_equal(writer_lock_acquire(directory, "", &second, NULL), STORE_LOCKED);
    writer_lock_release(lock);
    assert_int_equal(writer_lock_holder(directory, &holder), STORE_ABSENT);
}

static void test_lock__crash_releases_it(void **state) {
    const char *directory = *state;
    struct writer_lock *lock;
    int pipes[2], status;
    char byte;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (writer_lock_acquire(directory, "/child", &lock, NULL) != STORE_OK || write(pipes[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    struct lock_holder holder;
    assert_int_equal(writer_lock_holder(directory, &holder), STORE_OK);
    assert_int_equal(holder.pid, child);
    lock_holder_release(&holder);
    assert_int_equal(writer_lock_acquire(directory, "", &lock, NULL), STORE_LOCKED);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(writer_lock_holder(directory, &holder), STORE_ABSENT);
    assert_int_equal(writer_lock_acquire(directory, "", &lock, NULL), STORE_OK);
    writer_lock_release(lock);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

static void test_lock__fork_keeps_it(void **state) {
    const char *directory = *state;
    struct writer_lock *lock, *second;
    int pipes[2], status;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(writer_lock_acquire(directory, "/parent", &lock, NULL), STORE_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char byte;
        (void)close(pipes[1]);
        if (writer_lock_describe(lock, "/daemon") != STORE_OK)
            _exit(1);
        (void)!read(pipes[0], &byte, 1); /* until the parent closes its end */
        writer_lock_release(lock);
        _exit(0);
    }
    (void)close(pipes[0]);
    writer_lock_release(lock);
    assert_int_equal(writer_lock_acquire(directory, "", &second, NULL), STORE_LOCKED);
    (void)close(pipes[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(writer_lock_acquire(directory, "", &second, NULL), STORE_OK);
    writer_lock_release(second);
}

static void test_lock__odd_text_is_no_holder(void **state) {
    static const char *const texts[] = {
        "", "\n", "12", "12\n", "12\n/a", "x\n/a\n", "-1\n/a\n", "3000000000\n/a\n", "99999999999999999999\n/a\n"};
    const char *directory = *state;
    char path[128];
    struct writer_lock *lock, *second;
    struct error err;
    assert_int_equal(writer_lock_acquire(directory, "", &lock, NULL), STORE_OK);
    (void)snprintf(path, sizeof path, "%s/" LOCK_FILE, directory);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct lock_holder holder;
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
        (void)close(fd);
        assert_int_equal(writer_lock_holder(directory, &holder), STORE_OK);
        assert_int_equal(holder.pid, 0);
        assert_string_equal(holder.mount_point, "");
        lock_holder_release(&holder);
        assert_int_equal(writer_lock_acquire(directory, "", &second, &err), STORE_LOCKED);
        assert_non_null(strstr(err.text, "another process"));
    }
    writer_lock_release(lock);
}

static void test_lock__missing_directory_is_told(void **state) {
    struct writer_lock *lock;
    struct lock_holder holder;
    struct error err;
    (void)state;
    assert_int_equal(writer_lock_acquire("/tmp/test_lock.missing", "", &lock, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "/tmp/test_lock.missing"));
    assert_int_equal(writer_lock_holder("/tmp/test_lock.missing", &holder), STORE_ABSENT);
}

/* Anything but a regular file would be waited for, or written to somewhere else. */
static void test_lock__only_a_regular_file_is_locked(void **state) {
    const char *directory = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct writer_lock *lock;
    struct error err;
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s/" LOCK_FILE, directory);
    for (int kind = 0; kind < 4; kind++) {
        int made = -1;
        if (kind == 0)
            made = mkfifo(address.sun_path, 0600);
        else if (kind == 1)
            made = symlink("/dev/null", address.sun_path);
        else if (kind == 2)
            made = mkdir(address.sun_path, 0700);
        if (kind == 3) {
            int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
            made = bind(listener, (const struct sockaddr *)&address, sizeof address);
            (void)close(listener);
        }
        assert_int_equal(made, 0);
        int rc = writer_lock_acquire(directory, "", &lock, &err);
        if (kind == 2) { /* the system has a word for this one */
            assert_int_equal(rc, STORE_IO);
            assert_non_null(strstr(err.text, strerror(EISDIR)));
        } else {
            assert_int_equal(rc, STORE_CORRUPT);
            assert_non_null(strstr(err.text, "no regular file; remove it"));
        }
        assert_int_equal(remove(address.sun_path), 0);
    }
}

static void test_lock__a_mount_point_too_long_is_not_told(void **state) {
    char *mount_point = calloc(1, PATH_MAX + 128);
    struct writer_lock *lock;
    struct error err;
    assert_non_null(mount_point);
    memset(mount_point, 'x', PATH_MAX + 127);
    assert_int_equal(writer_lock_acquire(*state, mount_point, &lock, &err), STORE_TOO_BIG);
    assert_int_equal(writer_lock_acquire(*state, "/short", &lock, &err), STORE_OK);
    assert_int_equal(writer_lock_describe(lock, mount_point), STORE_TOO_BIG);
    writer_lock_release(lock);
    free(mount_point);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_lock__second_writer_is_told_who_holds_it),
        TEST(test_lock__removing_the_file_lets_nobody_in),
        TEST(test_lock__a_reader_keeps_writers_out),
        TEST(test_lock__holder_is_told_without_disturbing),
        TEST(test_lock__crash_releases_it),
        TEST(test_lock__fork_keeps_it),
        TEST(test_lock__odd_text_is_no_holder),
        TEST(test_lock__missing_directory_is_told),
        TEST(test_lock__only_a_regular_file_is_locked),
        TEST(test_lock__a_mount_point_too_long_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
