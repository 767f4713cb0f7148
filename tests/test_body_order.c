/* Body files used by many at once: reads, writes and syncs that end in another order than they began, or fail meanwhile. They are this program's own,
 * so that a thread can be kept within one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/body.h"

#define FILES 80 /* more than are kept open */

struct fixture {
    char directory[64];
    char log_text[8192];
    struct log log;
    struct body_files *bodies;
};

/* ---- the calls ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed;                /* the calls of threads that are held wait */
    unsigned inside;            /* so many do */
    unsigned syncs;             /* that were made */
    int sync_error, look_error; /* of the next one */
} calls = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local bool held;      /* this thread's reads and writes wait at the gate */
static _Thread_local int held_error; /* and then fail */

static int pass_gate(void) {
    if (!held)
        return 0;
    (void)pthread_mutex_lock(&calls.lock);
    calls.inside++;
    (void)pthread_cond_broadcast(&calls.changed);
    while (calls.closed)
        (void)pthread_cond_wait(&calls.changed, &calls.lock);
    (void)pthread_mutex_unlock(&calls.lock);
    return held_error;
}

static void close_gate(void) {
    (void)pthread_mutex_lock(&calls.lock);
    calls.closed = true;
    calls.inside = 0;
    (void)pthread_mutex_unlock(&calls.lock);
}

static void await_inside(unsigned count) {
    (void)pthread_mutex_lock(&calls.lock);
    while (calls.inside < count)
        (void)pthread_cond_wait(&calls.changed, &calls.lock);
    (void)pthread_mutex_unlock(&calls.lock);
}

static void open_gate(void) {
    (void)pthread_mutex_lock(&calls.lock);
    calls.closed = false;
    (void)pthread_cond_broadcast(&calls.changed);
    (void)pthread_mutex_unlock(&calls.lock);
}

ssize_t __real_pread64(int fd, void *data, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void *data, size_t length, off_t offset) {
    errno = pass_gate();
    return errno ? -1 : __real_pread64(fd, data, length, offset);
}

ssize_t __real_pwrite64(int fd, const void *data, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t length, off_t offset) {
    errno = pass_gate();
    return errno ? -1 : __real_pwrite64(fd, data, length, offset);
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd) {
    (void)fd;
    errno = calls.sync_error;
    calls.sync_error = 0;
    calls.syncs++;
    return errno ? -1 : 0;
}

int __real_fstatat64(int directory, const char *name, struct stat *status, int flags);
int __wrap_fstatat64(int directory, const char *name, struct stat *status, int flags);
int __wrap_fstatat64(int directory, const char *name, struct stat *status, int flags) {
    errno = calls.look_error;
    calls.look_error = 0;
    return errno ? -1 : __real_fstatat64(directory, name, status, flags);
}

/* ---- the files ---- */

static void write_log(void *context, enum log_level level, const char *line) {
    struct fixture *f = context;
    size_t used = strlen(f->log_text);
    (void)level;
    (void)snprintf(f->log_text + used, sizeof f->log_text - used, "%s\n", line);
}

static void reopen(struct fixture *f, bool writable, struct body_end committed) {
    struct error err = {0};
    body_files_close(f->bodies);
    f->bodies = NULL;
    if (body_files_open(f->directory, writable, committed, &f->log, &f->bodies, &err) != STORE_OK)
        fail_msg("%s", err.text);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->directory, "/tmp/test_body.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->log = (struct log){.write = write_log, .context = f, .most = LOG_LEVEL_DEBUG};
    assert_int_equal(body_files_create(f->directory, NULL), STORE_OK);
    reopen(f, true, (struct body_end){0});
    calls.syncs = 0;
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    char command[128];
    body_files_close(f->bodies);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
    free(f);
    return system(command);
}

static const char *path_of(struct fixture *f, const char *name) {
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/" BODY_DIRECTORY "/%s", f->directory, name);
    return path;
}

static void make_file(struct fixture *f, const char *name, off_t size) {
    int fd = open(path_of(f, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text", 4), 4);
    if (size > 4)
        assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(close(fd), 0);
}

static struct body_ref text_of(uint32_t file) {
    return (struct body_ref){.file = file, .length = 4, .sum = XXH3_64bits("text", 4)};
}

static int append(struct fixture *f, const char *text, struct body_ref *ref) {
    return body_files_append(f->bodies, (const uint8_t *)text, (uint32_t)strlen(text), ref);
}

static void expect(struct fixture *f, const struct body_ref *ref, const char *text) {
    uint8_t buffer[64];
    assert_int_equal(body_files_read(f->bodies, ref, buffer), STORE_OK);
    assert_memory_equal(buffer, text, strlen(text));
}

/* A body appended or read by a thread that is kept within the call. */
struct held_use {
    pthread_t thread;
    struct fixture *f;
    const char *text; /* NULL: `ref` is read */
    struct body_ref ref;
    int error, rc;
    uint8_t found[8];
};

static void *use_held(void *context) {
    struct held_use *use = context;
    held = true;
    held_error = use->error;
    use->rc = use->text ? append(use->f, use->text, &use->ref) : body_files_read(use->f->bodies, &use->ref, use->found);
    return NULL;
}

static void begin_use(struct fixture *f, struct held_use *use) {
    use->f = f;
    assert_int_equal(pthread_create(&use->thread, NULL, use_held, use), 0);
}

/* ---- tests ---- */

static void test_body_order__more_files_may_be_read_at_once_than_are_kept_open(void **state) {
    struct fixture *f = *state;
    static struct held_use uses[FILES];
    for (uint32_t i = 0; i < FILES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%08u", i + 1);
        make_file(f, name, 0);
    }
    for (int round = 0; round < 2; round++) {
        close_gate();
        for (uint32_t i = 0; i < FILES; i++) {
            uses[i] = (struct held_use){.ref = text_of(i + 1)};
            begin_use(f, &uses[i]);
        }
        await_inside(FILES);
        open_gate();
        for (uint32_t i = 0; i < FILES; i++) {
            (void)pthread_join(uses[i].thread, NULL);
            assert_int_equal(uses[i].rc, STORE_OK);
            assert_memory_equal(uses[i].found, "text", 4);
        }
    }
}

static void test_body_order__appends_that_end_in_another_order_are_all_flushed(void **state) {
    struct fixture *f = *state;
    struct body_ref second;
    struct body_end end;
    struct held_use first = {.text = "one"};
    close_gate();
    begin_use(f, &first);
    await_inside(1);
    assert_int_equal(append(f, "second", &second), STORE_OK);
    open_gate();
    (void)pthread_join(first.thread, NULL);
    assert_int_equal(first.rc, STORE_OK);
    assert_int_equal(second.position, 3);
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_OK);
    assert_int_equal(end.end, 9);
    expect(f, &first.ref, "one");
    expect(f, &second, "second");
}

static void test_body_order__a_file_left_behind_is_synced_too(void **state) {
    struct fixture *f = *state;
    struct body_ref next;
    struct body_end end;
    struct held_use last = {.text = "fits"};
    make_file(f, "00000001", (off_t)BODY_FILE_BYTES - 4);
    reopen(f, true, (struct body_end){.file = 1, .end = 4});
    close_gate();
    begin_use(f, &last);
    await_inside(1);
    assert_int_equal(append(f, "next", &next), STORE_OK);
    open_gate();
    (void)pthread_join(last.thread, NULL);
    assert_int_equal(last.rc, STORE_OK);
    assert_int_equal(last.ref.file, 1);
    assert_int_equal(next.file, 2);
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_OK);
    assert_int_equal(calls.syncs, 2);
    assert_int_equal(end.file, 2);
    assert_int_equal(end.end, 4);
}

/* Its place is given back only if nobody has the next. */
static void test_body_order__a_write_that_fails_beside_others_disturbs_none(void **state) {
    struct fixture *f = *state;
    struct body_ref second, third;
    struct held_use first = {.text = "one", .error = ENOSPC};
    close_gate();
    begin_use(f, &first);
    await_inside(1);
    assert_int_equal(append(f, "second", &second), STORE_OK);
    open_gate();
    (void)pthread_join(first.thread, NULL);
    assert_int_equal(first.rc, STORE_FULL);
    assert_int_equal(append(f, "third", &third), STORE_OK);
    assert_int_equal(third.position, 9);
    expect(f, &second, "second");
    expect(f, &third, "third");

    make_file(f, "00000001", (off_t)BODY_FILE_BYTES - 4);
    reopen(f, true, (struct body_end){.file = 1, .end = 4});
    struct held_use last = {.text = "fits", .error = EIO};
    close_gate();
    begin_use(f, &last);
    await_inside(1);
    assert_int_equal(append(f, "second", &second), STORE_OK);
    open_gate();
    (void)pthread_join(last.thread, NULL);
    assert_int_equal(last.rc, STORE_IO);
    assert_int_equal(second.file, 2);
    assert_int_equal(append(f, "third", &third), STORE_OK);
    assert_int_equal(third.file, 2);
    assert_int_equal(third.position, 6);
}

/* Pages of a sync that failed may be gone: it is never tried again. */
static void test_body_order__after_a_sync_that_failed_nothing_is_stored(void **state) {
    struct fixture *f = *state;
    struct body_ref ref;
    struct body_end end;
    make_file(f, "00000001", (off_t)BODY_FILE_BYTES - 4);
    reopen(f, true, (struct body_end){.file = 1, .end = 4});
    assert_int_equal(append(f, "fits", &ref), STORE_OK);
    assert_int_equal(append(f, "next", &ref), STORE_OK);
    calls.sync_error = EIO; /* of the first of two */
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_IO);
    assert_int_equal(calls.syncs, 1);
    assert_non_null(strstr(f->log_text, "cannot sync body file 00000001"));
    assert_int_equal(append(f, "more", &ref), STORE_IO);
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_IO);
    assert_int_equal(calls.syncs, 1);
    reopen(f, true, (struct body_end){.file = 1, .end = 4});
    assert_int_equal(append(f, "more", &ref), STORE_OK);
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_OK);
}

static void test_body_order__a_file_that_vanished_cannot_be_synced(void **state) {
    struct fixture *f = *state;
    struct body_ref ref, other;
    struct body_end end;
    uint8_t found[8];
    assert_int_equal(append(f, "text", &ref), STORE_OK);
    for (uint32_t i = 2; i <= FILES; i++) { /* read, so that the first is no longer open */
        char name[16];
        (void)snprintf(name, sizeof name, "%08u", i);
        make_file(f, name, 0);
        other = text_of(i);
        assert_int_equal(body_files_read(f->bodies, &other, found), STORE_OK);
    }
    assert_int_equal(unlink(path_of(f, "00000001")), 0);
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_IO);
    assert_int_equal(append(f, "more", &ref), STORE_IO);
}

static void test_body_order__only_numbers_are_names_of_body_files(void **state) {
    struct fixture *f = *state;
    static const char *const others[] = {"0000000a", "7", "4294967296", "00000007.new", "99999999999999999999999999"};
    struct body_ref ref;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        make_file(f, others[i], 0);
    reopen(f, true, (struct body_end){0});
    assert_int_equal(append(f, "text", &ref), STORE_OK);
    assert_int_equal(ref.file, 1);
}

static void test_body_order__only_regular_files_are_body_files(void **state) {
    struct fixture *f = *state;
    struct body_ref ref;
    uint8_t found[8];
    make_file(f, "real", 0);
    assert_int_equal(mkdir(path_of(f, "00000002"), 0700), 0);
    assert_int_equal(symlink("real", path_of(f, "00000003")), 0);
    assert_int_equal(mkfifo(path_of(f, "00000004"), 0600), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path_of(f, "00000005"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    make_file(f, "00000006", 0);
    for (int writable = 0; writable < 2; writable++) {
        reopen(f, writable, (struct body_end){.file = 6, .end = 4});
        for (uint32_t i = 2; i <= 5; i++) {
            char line[64];
            ref = text_of(i);
            f->log_text[0] = '\0';
            assert_int_equal(body_files_read(f->bodies, &ref, found), STORE_CORRUPT);
            (void)snprintf(line, sizeof line, "body file %08u is no regular file", i);
            assert_non_null(strstr(f->log_text, line));
        }
        ref = text_of(6);
        expect(f, &ref, "text");
    }
    (void)close(fd);
}

/* As when a repair beside has taken it away. */
static void test_body_order__a_file_that_goes_while_it_is_counted_takes_no_space(void **state) {
    struct fixture *f = *state;
    uint64_t bytes;
    make_file(f, "00000001", 0);
    calls.look_error = ENOENT;
    assert_int_equal(body_files_space(f->bodies, &bytes), STORE_OK);
    assert_int_equal(bytes, 0);
    calls.look_error = EIO;
    assert_int_equal(body_files_space(f->bodies, &bytes), STORE_IO);
    assert_non_null(strstr(f->log_text, "cannot look at body file 00000001"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_body_order__##name, set_up, tear_down)
        TEST(more_files_may_be_read_at_once_than_are_kept_open),
        TEST(appends_that_end_in_another_order_are_all_flushed),
        TEST(a_file_left_behind_is_synced_too),
        TEST(a_write_that_fails_beside_others_disturbs_none),
        TEST(after_a_sync_that_failed_nothing_is_stored),
        TEST(a_file_that_vanished_cannot_be_synced),
        TEST(only_numbers_are_names_of_body_files),
        TEST(only_regular_files_are_body_files),
        TEST(a_file_that_goes_while_it_is_counted_takes_no_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
