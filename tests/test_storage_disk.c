/* The SQLite storage when things go wrong below it, when many use it, and when it is killed. */
#include "tests/child.h"
#include "tests/storage_fixture.h"

/* ---- damage ---- */
static void test_storage__a_wrong_checksum_fails_that_row_alone(void **state) {
    struct fixture *f = *state;
    struct entry entry;
    uint64_t tid;
    commit_tree(f);
    assert_int_equal(storage_tag_set(f->storage, "t", 3, false), STORE_OK);
    assert_int_equal(storage_tag_set(f->storage, "u", 4, false), STORE_OK);
    run_sql(f, "UPDATE revision SET data = x'00' WHERE oid = 2");
    run_sql(f, "UPDATE entry SET oid = 6 WHERE name = x'66697665'"); /* five */
    run_sql(f, "UPDATE tag SET tid = 4 WHERE name = 't'");
    assert_string_equal(load(f, 2, PART_INODE, 2), store_error_text(STORE_CORRUPT));
    assert_non_null(strstr(f->log_text, "oid 2"));
    assert_string_equal(load(f, 3, PART_INODE, 2), "o");
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "five", 4, 2, &entry), STORE_CORRUPT);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "two", 3, 2, &entry), STORE_OK);
    entry_release(&entry);
    assert_int_equal(storage_tag_get(f->storage, "t", &tid), STORE_CORRUPT);
    assert_int_equal(storage_tag_get(f->storage, "u", &tid), STORE_OK);
}

/* ---- a full disk ---- */
static void test_storage__a_full_disk_fails_the_commit_and_nothing_else(void **state) {
    struct fixture *f = *state;
    static char large[200000];
    struct rlimit limit, before;
    commit_root(f);
    memset(large, 'x', sizeof large - 1);
    /* A file size limit is the full disk that a test can have without being root. */
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 150000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, large);
    int rc = try_commit(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(rc == STORE_FULL || rc == STORE_IO);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "after");
    commit(f);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "after");
    reopen(f, true);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "after");
}

/* ---- disks ---- */
/* A child of its own mount namespace, so that nothing is left behind. It ends with SKIPPED where mounting is not allowed. */
#define SKIPPED 77

static int run_child(struct fixture *f, int (*body)(struct fixture *f)) {
    int status;
    storage_close(f->storage);
    f->storage = NULL;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            child_exit(SKIPPED);
        child_exit(body(f));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    open_store(f, true);
    return WEXITSTATUS(status);
}

static int make_read_only(const char *path) {
    return mount(path, path, NULL, MS_BIND, NULL) == 0 &&
                   mount("none", path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0
               ? 0
               : -1;
}

/* Each numbered return tells which expectation failed. */
static int use_read_only_disk(struct fixture *f) {
    struct storage_open_options options = {.writable = true, .log = &f->log};
    struct error err = {0};
    struct storage *storage;
    uint64_t tid;
    if (make_read_only(f->directory) < 0)
        return SKIPPED;
    if (storage_sqlite_open(f->directory, &options, &storage, &err) != STORE_READ_ONLY ||
        !strcasestr(err.text, "read-only"))
        return 1;
    options.writable = false;
    if (storage_sqlite_open(f->directory, &options, &storage, &err) != STORE_OK)
        return 2;
    f->storage = storage;
    if (strcmp(load(f, ROOT_OID, PART_INODE, 2), "root 1") != 0)
        return 3;
    if (storage_tag_set(storage, "t", 1, false) != STORE_READ_ONLY ||
        storage_tag_get(storage, "t", &tid) != STORE_ABSENT)
        return 4;
    uint64_t database_bytes = 0, body_bytes = 0; /* of a database that has no other files beside it */
    if (storage_space(storage, &database_bytes, &body_bytes) != STORE_OK || database_bytes == 0)
        return 5;
    storage_close(storage);
    return 0;
}

static void test_storage__a_read_only_disk_is_read(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    int rc = run_child(f, use_read_only_disk);
    if (rc == SKIPPED)
        skip();
    assert_int_equal(rc, 0);
}

/* A process that was killed has left its shared memory, whose log is empty. */
static int use_stale_shared_memory(struct fixture *f) {
    static const uint8_t zeros[32768];
    struct storage_open_options options = {.log = &f->log};
    struct error err = {0};
    int fd = open(fixture_path(f, "tidfs.db-shm"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, zeros, sizeof zeros) != (ssize_t)sizeof zeros || close(fd) < 0)
        return 1;
    if (make_read_only(f->directory) < 0)
        return SKIPPED;
    if (storage_sqlite_open(f->directory, &options, &f->storage, &err) != STORE_OK)
        return 2;
    int rc = strcmp(load(f, ROOT_OID, PART_INODE, 2), "root 1") == 0 ? 0 : 3;
    storage_close(f->storage);
    return rc;
}

static void test_storage__stale_shared_memory_on_a_read_only_disk_is_passed_over(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    int rc = run_child(f, use_stale_shared_memory);
    if (rc == SKIPPED)
        skip();
    assert_int_equal(rc, 0);
}

/* Somebody who may read the database, and neither write nor see the shared memory that is there. */
static int read_as_another(struct fixture *f) {
    struct storage_open_options options = {.log = &f->log};
    struct error err = {0};
    int fd = open(fixture_path(f, "tidfs.db-shm"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || close(fd) < 0 || chmod(f->directory, 0755) < 0 || chmod(fixture_path(f, "tidfs.db"), 0644) < 0 ||
        chmod(fixture_path(f, "bodies"), 0755) < 0)
        return 1;
    if (setresgid(65534, 65534, 0) < 0 || setresuid(65534, 65534, 0) < 0)
        return SKIPPED;
    f->log.most = LOG_LEVEL_INFO;
    if (storage_sqlite_open(f->directory, &options, &f->storage, &err) != STORE_OK)
        return 2;
    int rc = strcmp(load(f, ROOT_OID, PART_INODE, 2), "root 1") == 0 ? 0 : 3;
    storage_close(f->storage);
    if (setresuid(0, 0, 0) < 0 || setresgid(0, 0, 0) < 0)
        return 5;
    return rc == 0 && !strstr(f->log_text, "reading without locks") ? 4 : rc;
}

static void test_storage__another_user_reads_without_locks(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    int rc = run_child(f, read_as_another);
    if (rc == SKIPPED)
        skip();
    assert_int_equal(rc, 0);
}

/* The same store in two places, one of which is read-only: there the writer's shared memory is used. */
static int read_beside_a_writer(struct fixture *f) {
    struct storage_open_options options = {.log = &f->log};
    struct error err = {0};
    struct storage *reader, *writer;
    char view[] = "/tmp/test_storage.XXXXXX";
    if (!mkdtemp(view))
        return 1;
    open_store(f, true);
    f->last = 1;
    if (mount(f->directory, view, NULL, MS_BIND, NULL) < 0 ||
        mount("none", view, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0) {
        (void)rmdir(view);
        return SKIPPED;
    }
    int rc = storage_sqlite_open(view, &options, &reader, &err) == STORE_OK ? 0 : 2;
    if (rc == 0) {
        writer = f->storage;
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "root 2");
        commit(f);
        f->storage = reader;
        rc = strcmp(load(f, ROOT_OID, PART_INODE, 3), "root 2") == 0 ? 0 : 3;
        storage_close(reader);
        f->storage = writer;
        run_sql(f, "UPDATE state SET horizon = 1"); /* with a wrong checksum: that is no want of a lock */
        if (rc == 0 && storage_sqlite_open(view, &options, &reader, &err) != STORE_CORRUPT)
            rc = 4;
        run_sql(f, "UPDATE state SET horizon = 0");
    }
    storage_close(f->storage);
    (void)umount2(view, MNT_DETACH);
    (void)rmdir(view);
    return rc;
}

static void test_storage__a_writer_elsewhere_is_read_beside_on_a_read_only_disk(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    int rc = run_child(f, read_beside_a_writer);
    if (rc == SKIPPED)
        skip();
    assert_int_equal(rc, 0);
}

static int use_unclean_read_only_disk(struct fixture *f) {
    struct storage_open_options options = {.log = &f->log};
    struct error err = {0};
    struct storage *storage;
    char command[512];
    (void)snprintf(command, sizeof command, "cp '%s/tidfs.db' '%s/tidfs.db-wal' '%s/copy/' && mkdir '%s/copy/bodies'",
                   f->directory, f->directory, f->directory, f->directory);
    if (system(command) != 0)
        return 1;
    (void)snprintf(command, sizeof command, "%s/copy", f->directory);
    if (make_read_only(command) < 0)
        return SKIPPED;
    int rc = storage_sqlite_open(command, &options, &storage, &err);
    return rc == STORE_READ_ONLY && strstr(err.text, "not closed cleanly") ? 0 : 2;
}

static int make_unclean_copy(struct fixture *f) {
    open_store(f, true);
    struct storage_state now;
    if (storage_get_state(f->storage, &now) != STORE_OK)
        return 1;
    f->last = now.last_seq;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "in the log only");
    if (try_commit(f) != STORE_OK || mkdir(fixture_path(f, "copy"), 0700) < 0)
        return 1;
    return use_unclean_read_only_disk(f); /* and ends without closing */
}

static void test_storage__a_log_that_was_left_needs_a_writable_disk(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    int rc = run_child(f, make_unclean_copy);
    if (rc == SKIPPED)
        skip();
    assert_int_equal(rc, 0);
}

/* What the system shows of a log that a process left may not be on the disk, and then is never written there: store/storage_sqlite_wal.h. */
static void test_storage__a_log_that_was_left_is_written_anew(void **state) {
    static const struct timespec long_ago[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct fixture *f = *state;
    struct storage_open_options options = {.writable = true};
    struct storage *storage;
    struct storage_state now;
    struct stat left, status;
    char copy[96], log[128], command[256];
    commit_root(f);
    (void)snprintf(copy, sizeof copy, "%s.copy", f->directory);
    (void)snprintf(log, sizeof log, "%s/tidfs.db-wal", copy);
    (void)snprintf(command, sizeof command, "cp -r '%s' '%s'", f->directory, copy);
    assert_int_equal(system(command), 0); /* as if it were killed now */
    assert_int_equal(utimensat(AT_FDCWD, log, long_ago, 0), 0);
    assert_int_equal(stat(log, &left), 0);
    assert_true(left.st_size > 0);
    assert_int_equal(storage_sqlite_open(copy, &options, &storage, NULL), STORE_OK);
    assert_int_equal(stat(log, &status), 0);
    assert_int_equal(status.st_size, left.st_size);
    assert_true(status.st_mtim.tv_sec > left.st_mtim.tv_sec);
    assert_int_equal(storage_get_state(storage, &now), STORE_OK);
    assert_int_equal(now.last_seq, f->last);
    storage_close(storage);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", copy);
    assert_int_equal(system(command), 0);
}

static int fill_disk(struct fixture *f) {
    static uint8_t data[BODY_MAX];
    static char large[40000];
    struct body_ref ref;
    int rc = STORE_OK;
    struct error err = {0};
    if (mount("none", f->directory, "tmpfs", 0, "size=64k") < 0)
        return SKIPPED;
    if (storage_sqlite_create(f->directory, &err) != STORE_FULL || !strstr(err.text, "no space left"))
        return 7;
    if (mount("none", f->directory, NULL, MS_REMOUNT, "size=2m") < 0)
        return SKIPPED;
    if (storage_sqlite_create(f->directory, NULL) != STORE_OK)
        return 1;
    open_store(f, true);
    f->last = 0;
    commit_root(f);
    memset(large, 'x', sizeof large - 1);
    while (rc == STORE_OK) {
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, large);
        rc = try_commit(f);
    }
    if (rc != STORE_FULL)
        return 2;
    uint64_t last = f->last;
    while ((rc = storage_body_append(f->storage, data, sizeof data, &ref)) == STORE_OK)
        ;
    if (rc != STORE_FULL || strcmp(load(f, ROOT_OID, PART_INODE, 2), "root 1") != 0)
        return 3;
    storage_close(f->storage);
    if (mount("none", f->directory, NULL, MS_REMOUNT, "size=16m") < 0)
        return 4;
    open_store(f, true);
    struct storage_state now;
    if (storage_get_state(f->storage, &now) != STORE_OK || now.last_seq != last)
        return 5;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "goes on");
    if (try_commit(f) != STORE_OK)
        return 6;
    storage_close(f->storage);
    return 0;
}

static void test_storage__a_full_file_system_loses_nothing(void **state) {
    struct fixture *f = *state;
    int rc = run_child(f, fill_disk);
    if (rc == SKIPPED)
        skip();
    assert_int_equal(rc, 0);
}

/* ---- threads ---- */
struct race {
    struct fixture *f;
    atomic_bool stop;
    atomic_uint errors, reads;
};

/* Whatever is committed must read the same at any time. */
static void *read_all_the_time(void *context) {
    struct race *race = context;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    while (!atomic_load(&race->stop)) {
        struct storage_state now;
        enum load_outcome outcome;
        struct revision revision;
        struct entry_list entries;
        if (storage_get_state(race->f->storage, &now) != STORE_OK) {
            atomic_fetch_add(&race->errors, 1);
            continue;
        }
        uint64_t before = 2 + (uint64_t)rand_r(&seed) % now.last_seq;
        int rc = storage_load_before(race->f->storage, ROOT_OID, PART_INODE, before, &outcome, &revision);
        bool right = rc == STORE_OK && outcome == LOAD_DATA && revision.seq == before - 1;
        if (rc == STORE_OK)
            revision_release(&revision);
        rc = storage_list(race->f->storage, ROOT_OID, before, &entries);
        right = right && rc == STORE_OK && entries.count == (before > 2 ? 1 : 0);
        right = right && (entries.count == 0 || entries.items[0].born == before - 1);
        if (rc == STORE_OK)
            entry_list_release(&entries);
        if (!right)
            atomic_fetch_add(&race->errors, 1);
        atomic_fetch_add(&race->reads, 1);
    }
    return NULL;
}

static void test_storage__readers_and_the_committer_run_together(void **state) {
    enum { READERS = 12, COMMITS = 300 };
    struct fixture *f = *state;
    struct race race = {.f = f};
    pthread_t threads[READERS];
    commit_root(f);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &race), 0);
    for (uint64_t i = 0; i < COMMITS; i++) {
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "r");
        if (i > 0)
            end(f, ROOT_OID, ENTRY_INDEX_FIRST + i - 1);
        add(f, ROOT_OID, ENTRY_INDEX_FIRST + i, "name", ROOT_OID, S_IFREG);
        commit(f);
    }
    atomic_store(&race.stop, true);
    for (int i = 0; i < READERS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&race.errors), 0);
    assert_true(atomic_load(&race.reads) > 0);
}

/* ---- crashes ---- */
static void test_storage__kill_leaves_a_whole_transaction(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    storage_close(f->storage);
    f->storage = NULL;
    for (int round = 0; round < 8; round++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            open_store(f, true);
            for (;;) {
                char data[16];
                (void)snprintf(data, sizeof data, "%" PRIu64, f->last + 1);
                begin(f);
                revise(f, ROOT_OID, PART_INODE, true, data);
                revise(f, ROOT_OID, PART_CHUNK, true, data);
                if (try_commit(f) != STORE_OK || write(pipes[1], &f->last, sizeof f->last) < 0)
                    _exit(1);
            }
        }
        (void)close(pipes[1]);
        (void)usleep(20000 + 7000 * (unsigned)round);
        (void)kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        uint64_t acknowledged = f->last, seq;
        while (read(pipes[0], &seq, sizeof seq) == (ssize_t)sizeof seq)
            acknowledged = seq;
        (void)close(pipes[0]);

        struct storage_state now;
        char expected[24];
        open_store(f, true);
        assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
        assert_true(now.last_seq == acknowledged || now.last_seq == acknowledged + 1);
        f->last = now.last_seq;
        if (now.last_seq > 1) {
            (void)snprintf(expected, sizeof expected, "%" PRIu64, now.last_seq);
            assert_string_equal(load(f, ROOT_OID, PART_INODE, now.last_seq + 1), expected);
            assert_string_equal(load(f, ROOT_OID, PART_CHUNK, now.last_seq + 1), expected);
        }
        storage_close(f->storage);
        f->storage = NULL;
    }
    open_store(f, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_storage__a_wrong_checksum_fails_that_row_alone),
        TEST(test_storage__a_full_disk_fails_the_commit_and_nothing_else),
        TEST(test_storage__a_read_only_disk_is_read),
        TEST(test_storage__stale_shared_memory_on_a_read_only_disk_is_passed_over),
        TEST(test_storage__another_user_reads_without_locks),
        TEST(test_storage__a_writer_elsewhere_is_read_beside_on_a_read_only_disk),
        TEST(test_storage__a_log_that_was_left_needs_a_writable_disk),
        TEST(test_storage__a_log_that_was_left_is_written_anew),
        TEST(test_storage__a_full_file_system_loses_nothing),
        TEST(test_storage__readers_and_the_committer_run_together),
        TEST(test_storage__kill_leaves_a_whole_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
