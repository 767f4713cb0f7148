/* Body files by themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/body.h"

struct fixture {
    char directory[64];
    char log_text[4096];
    struct log log;
    struct body_files *bodies;
};

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

static int open_file(struct fixture *f, const char *name, int flags) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" BODY_DIRECTORY "/%s", f->directory, name);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    return fd;
}

static struct body_ref append(struct fixture *f, const char *text) {
    struct body_ref ref;
    assert_int_equal(body_files_append(f->bodies, (const uint8_t *)text, (uint32_t)strlen(text), &ref), STORE_OK);
    return ref;
}

static void expect(struct fixture *f, const struct body_ref *ref, const char *text) {
    uint8_t buffer[64];
    assert_int_equal(ref->length, strlen(text));
    assert_int_equal(body_files_read(f->bodies, ref, buffer), STORE_OK);
    assert_memory_equal(buffer, text, ref->length);
}

static void test_body__appended_bodies_follow_each_other(void **state) {
    struct fixture *f = *state;
    struct body_ref one = append(f, "one"), three = append(f, "three");
    struct body_end end;
    assert_int_equal(one.file, 1);
    assert_int_equal(one.position, 0);
    assert_int_equal(three.position, 3);
    expect(f, &one, "one");
    expect(f, &three, "three");
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_OK);
    assert_int_equal(end.file, 1);
    assert_int_equal(end.end, 8);
    reopen(f, false, end);
    expect(f, &three, "three");
    assert_int_equal(body_files_append(f->bodies, (const uint8_t *)"x", 1, &one), STORE_READ_ONLY);
}

static void test_body__appending_goes_on_behind_what_a_crash_left(void **state) {
    struct fixture *f = *state;
    struct body_ref one = append(f, "one");
    int fd = open_file(f, "00000001", O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "rest", 4), 4);
    (void)close(fd);
    reopen(f, true, (struct body_end){.file = 1, .end = 3});
    struct body_ref two = append(f, "two");
    assert_int_equal(two.file, 1);
    assert_int_equal(two.position, 7);
    expect(f, &one, "one");
    expect(f, &two, "two");
}

static void test_body__positions_that_were_lost_are_not_written_again(void **state) {
    struct fixture *f = *state;
    struct body_ref old = append(f, "committed");
    uint8_t buffer[16];
    int fd = open_file(f, "00000001", O_WRONLY);
    assert_int_equal(ftruncate(fd, 4), 0);
    (void)close(fd);
    reopen(f, true, (struct body_end){.file = 1, .end = 9});
    assert_non_null(strstr(f->log_text, "body file 00000001 is damaged"));
    struct body_ref next = append(f, "next");
    assert_int_equal(next.file, 2);
    assert_int_equal(next.position, 0);
    assert_int_equal(body_files_read(f->bodies, &old, buffer), STORE_CORRUPT);
    assert_non_null(strstr(f->log_text, "ends at byte 4"));
}

static void test_body__wrong_bytes_and_missing_files_are_damage(void **state) {
    struct fixture *f = *state;
    struct body_ref ref = append(f, "contents");
    uint8_t buffer[16];
    int fd = open_file(f, "00000001", O_WRONLY);
    assert_int_equal(pwrite(fd, "C", 1, 0), 1);
    (void)close(fd);
    assert_int_equal(body_files_read(f->bodies, &ref, buffer), STORE_CORRUPT);
    assert_non_null(strstr(f->log_text, "wrong checksum"));
    ref.file = 7;
    assert_int_equal(body_files_read(f->bodies, &ref, buffer), STORE_CORRUPT);
    assert_non_null(strstr(f->log_text, "00000007 is missing"));
    ref.file = 1;
    ref.position = UINT64_MAX - 2;
    assert_int_equal(body_files_read(f->bodies, &ref, buffer), STORE_CORRUPT);
}

/* Whatever lies behind it, and be it the right bytes. */
static void test_body__a_symlink_is_no_body_file(void **state) {
    struct fixture *f = *state;
    struct body_ref ref = append(f, "text");
    uint8_t buffer[4];
    char file[128], away[128];
    (void)snprintf(file, sizeof file, "%s/" BODY_DIRECTORY "/00000001", f->directory);
    (void)snprintf(away, sizeof away, "%s/away", f->directory);
    assert_int_equal(rename(file, away), 0);
    assert_int_equal(symlink(away, file), 0);
    reopen(f, false, (struct body_end){.file = 1, .end = 4});
    assert_int_equal(body_files_read(f->bodies, &ref, buffer), STORE_CORRUPT);
    assert_non_null(strstr(f->log_text, "no regular file"));
}

static void test_body__a_full_file_is_followed_by_the_next(void **state) {
    struct fixture *f = *state;
    (void)append(f, "a");
    int fd = open_file(f, "00000001", O_WRONLY);
    assert_int_equal(ftruncate(fd, (off_t)BODY_FILE_BYTES - 4), 0); /* sparse */
    (void)close(fd);
    reopen(f, true, (struct body_end){.file = 1, .end = 1});
    struct body_ref last = append(f, "fits"), next = append(f, "n");
    struct body_end end;
    assert_int_equal(last.file, 1);
    assert_int_equal(last.position, BODY_FILE_BYTES - 4);
    assert_int_equal(next.file, 2);
    assert_int_equal(next.position, 0);
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_OK);
    assert_int_equal(end.file, 2);
    assert_int_equal(end.end, 1);
    expect(f, &last, "fits");
    expect(f, &next, "n");
}

/* Puts a pipe, which cannot be synced, in the place of an open file of the body files, "." being their directory. */
struct unsynced {
    int fd, saved;
};

static struct unsynced make_unsynced(struct fixture *f, const char *name) {
    struct unsynced made = {.fd = -1};
    struct stat wanted, status;
    char path[128];
    int ends[2];
    (void)snprintf(path, sizeof path, "%s/" BODY_DIRECTORY "/%s", f->directory, name);
    assert_int_equal(stat(path, &wanted), 0);
    for (int fd = 3; fd < 1024 && made.fd < 0; fd++)
        if (fstat(fd, &status) == 0 && status.st_dev == wanted.st_dev && status.st_ino == wanted.st_ino)
            made.fd = fd;
    assert_true(made.fd >= 0);
    made.saved = dup(made.fd);
    assert_true(made.saved >= 0);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(dup2(ends[1], made.fd), made.fd);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return made;
}

static void make_synced(struct unsynced made) {
    assert_int_equal(dup2(made.saved, made.fd), made.fd);
    (void)close(made.saved);
}

/* The kernel may have dropped what it could not write, so that the next sync of it succeeds. */
static void test_body__what_could_not_be_synced_is_not_believed_later(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"00000001", "."};
    for (size_t i = 0; i < 2; i++) {
        struct body_ref ref = append(f, "text"), refused;
        struct body_end end;
        struct unsynced file = make_unsynced(f, names[i]);
        f->log_text[0] = '\0';
        assert_int_equal(body_files_flush(f->bodies, &end), STORE_IO);
        make_synced(file);
        assert_non_null(strstr(f->log_text, "cannot sync"));
        assert_non_null(strstr(f->log_text, "until the store is opened again"));
        assert_int_equal(body_files_flush(f->bodies, &end), STORE_IO);
        assert_int_equal(body_files_append(f->bodies, (const uint8_t *)"more", 4, &refused), STORE_IO);
        expect(f, &ref, "text");
        reopen(f, true, (struct body_end){.file = ref.file, .end = ref.position + ref.length});
    }
    struct body_end end;
    (void)append(f, "again");
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_OK);
}

static void test_body__every_file_that_was_written_is_synced(void **state) {
    struct fixture *f = *state;
    struct body_end end;
    (void)append(f, "a");
    int fd = open_file(f, "00000001", O_WRONLY);
    assert_int_equal(ftruncate(fd, (off_t)BODY_FILE_BYTES - 4), 0); /* sparse */
    (void)close(fd);
    reopen(f, true, (struct body_end){.file = 1, .end = 1});
    assert_int_equal(append(f, "fits").file, 1);
    assert_int_equal(append(f, "n").file, 2);
    struct unsynced file = make_unsynced(f, "00000001");
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_IO);
    make_synced(file);
}

static void test_body__more_files_than_are_kept_open(void **state) {
    enum { FILES = 150 };
    struct fixture *f = *state;
    struct body_ref refs[FILES];
    for (uint32_t i = 0; i < FILES; i++) {
        reopen(f, true, (struct body_end){.file = i, .end = UINT64_MAX / 2}); /* says that bytes are missing */
        refs[i] = append(f, "text");
        assert_int_equal(refs[i].file, i + 1);
    }
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < FILES; i++)
            expect(f, &refs[i], "text");
}

static void test_body__a_full_disk_wastes_no_positions(void **state) {
    struct fixture *f = *state;
    struct body_ref one = append(f, "one"), failed;
    struct rlimit before, limit;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 5;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(body_files_append(f->bodies, (const uint8_t *)"four", 4, &failed), STORE_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    struct body_ref two = append(f, "two");
    assert_int_equal(two.position, 3);
    expect(f, &one, "one");
    expect(f, &two, "two");
}

static void test_body__space_is_what_the_disk_has(void **state) {
    struct fixture *f = *state;
    uint64_t bytes;
    assert_int_equal(body_files_space(f->bodies, &bytes), STORE_OK);
    assert_int_equal(bytes, 0);
    (void)append(f, "text");
    struct body_end end;
    assert_int_equal(body_files_flush(f->bodies, &end), STORE_OK);
    assert_int_equal(body_files_space(f->bodies, &bytes), STORE_OK);
    assert_true(bytes >= 4);
}

#define THREADS 8
#define APPENDS 200

struct appender {
    struct body_files *bodies;
    unsigned number;
    struct body_ref refs[APPENDS];
    int failures;
};

static void fill(uint8_t *data, unsigned thread, unsigned turn) {
    memset(data, (int)(thread * 31 + turn), 100 + turn);
}

static void *append_many(void *context) {
    struct appender *appender = context;
    uint8_t data[100 + APPENDS];
    for (unsigned i = 0; i < APPENDS; i++) {
        fill(data, appender->number, i);
        if (body_files_append(appender->bodies, data, 100 + i, &appender->refs[i]) != STORE_OK)
            appender->failures++;
    }
    return NULL;
}

static void test_body__threads_append_at_once(void **state) {
    struct fixture *f = *state;
    static struct appender appenders[THREADS];
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        appenders[i] = (struct appender){.bodies = f->bodies, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, append_many, &appenders[i]), 0);
    }
    for (int i = 0; i < 10; i++) {
        struct body_end end;
        assert_int_equal(body_files_flush(f->bodies, &end), STORE_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(appenders[i].failures, 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        for (unsigned turn = 0; turn < APPENDS; turn++) {
            uint8_t data[100 + APPENDS], buffer[100 + APPENDS];
            fill(data, i, turn);
            assert_int_equal(body_files_read(f->bodies, &appenders[i].refs[turn], buffer), STORE_OK);
            assert_memory_equal(buffer, data, 100 + turn);
        }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_body__appended_bodies_follow_each_other),
        TEST(test_body__appending_goes_on_behind_what_a_crash_left),
        TEST(test_body__positions_that_were_lost_are_not_written_again),
        TEST(test_body__wrong_bytes_and_missing_files_are_damage),
        TEST(test_body__a_symlink_is_no_body_file),
        TEST(test_body__a_full_file_is_followed_by_the_next),
        TEST(test_body__what_could_not_be_synced_is_not_believed_later),
        TEST(test_body__every_file_that_was_written_is_synced),
        TEST(test_body__more_files_than_are_kept_open),
        TEST(test_body__a_full_disk_wastes_no_positions),
        TEST(test_body__space_is_what_the_disk_has),
        TEST(test_body__threads_append_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
