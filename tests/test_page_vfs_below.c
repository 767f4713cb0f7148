/* What lies below the layer of checksums: no VFS at all, ones that can do less than the usual one, and ones that fail. SQLite has one list of them for the
 * whole process, so each test has a process of its own. */
#include "tests/storage_fixture.h"

#include <dirent.h>
#include <sqlite3.h>

#include "store/page_vfs.h"
#include "store/storage_sqlite_connection.h"
#include "tests/child.h"

static void in_child(int (*body)(const char *directory)) {
    char directory[] = "/tmp/test_storage.XXXXXX";
    int status;
    assert_non_null(mkdtemp(directory));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        child_exit(body(directory));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(remove_tree(directory), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); /* else the number of the expectation that failed */
}

/* The usual VFS, to be changed. */
static struct {
    sqlite3_vfs vfs;
    sqlite3_vfs *usual;
    unsigned opens_failing;  /* that many opens fail after they have opened */
    unsigned reads_damaging; /* that many reads of page 1 show another byte */
} below;

static int open_and_fail(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    (void)vfs;
    int result = below.usual->xOpen(below.usual, name, file, flags, out_flags);
    if (below.opens_failing == 0)
        return result;
    below.opens_failing--;
    return SQLITE_CANTOPEN; /* the file is open, and its methods say so */
}

static void put_below(void) {
    below.usual = sqlite3_vfs_find(NULL);
    below.vfs = *below.usual;
    below.vfs.zName = "below";
    below.vfs.pNext = NULL;
}

static ssize_t (*usual_pread)(int fd, void *buffer, size_t length, off_t position);

static ssize_t damaging_pread(int fd, void *buffer, size_t length, off_t position) {
    ssize_t got = usual_pread(fd, buffer, length, position);
    if (below.reads_damaging > 0 && position == 0 && got == PAGE_BYTES) {
        below.reads_damaging--;
        ((uint8_t *)buffer)[2000] ^= 1;
    }
    return got;
}

static int make_and_use(const char *directory) {
    const struct storage_open_options options = {.writable = true};
    struct error err = {0};
    struct storage *storage;
    struct storage_state now;
    if (storage_sqlite_create(directory, &err) != STORE_OK)
        return 1;
    if (storage_sqlite_open(directory, &options, &storage, &err) != STORE_OK)
        return 2;
    int rc = storage_get_state(storage, &now) == STORE_OK && now.last_seq == 0 ? 0 : 3;
    storage_close(storage);
    return rc;
}

static int without_any(const char *directory) {
    struct error err = {0};
    sqlite3_vfs *vfs;
    while ((vfs = sqlite3_vfs_find(NULL)) != NULL)
        if (sqlite3_vfs_unregister(vfs) != SQLITE_OK)
            return 11;
    if (page_vfs_register() != SQLITE_ERROR)
        return 12;
    return storage_sqlite_create(directory, &err) != STORE_OK && err.text[0] != '\0' ? 0 : 13;
}

static int of_version_one(const char *directory) {
    put_below();
    below.vfs.iVersion = 1;
    return sqlite3_vfs_register(&below.vfs, 1) == SQLITE_OK ? make_and_use(directory) : 21;
}

static int without_system_calls(const char *directory) {
    put_below();
    below.vfs.xSetSystemCall = NULL;
    return sqlite3_vfs_register(&below.vfs, 1) == SQLITE_OK ? make_and_use(directory) : 31;
}

static int count_descriptors(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory && readdir(directory))
        count++;
    return directory && closedir(directory) == 0 ? count : -1;
}

static int failing_when_open(const char *directory) {
    struct error err = {0};
    char path[128];
    struct connection *connection;
    put_below();
    below.vfs.xOpen = open_and_fail;
    if (sqlite3_vfs_register(&below.vfs, 1) != SQLITE_OK)
        return 41;
    if (make_and_use(directory) != 0)
        return 42;
    (void)snprintf(path, sizeof path, "%s/tidfs.db", directory);
    int before = count_descriptors();
    below.opens_failing = 1;
    if (connection_open(path, CONNECTION_WRITE, NULL, &connection, &err) != STORE_IO || err.text[0] == '\0')
        return 43;
    return below.opens_failing == 0 && count_descriptors() == before ? 0 : 44;
}

/* A disk that gives something else at first: the store is not opened, and what was wrong is told as far as it can be. */
static int damaging_at_first(const char *directory) {
    static const char *const names[] = {"pread64", "pread"};
    const struct storage_open_options options = {0};
    struct storage *storage;
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (make_and_use(directory) != 0)
        return 51;
    usual_pread = pread;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)vfs->xSetSystemCall(vfs, names[i], (sqlite3_syscall_ptr)damaging_pread);
    for (unsigned reads = 1; reads <= 3; reads++) {
        struct error err = {0};
        below.reads_damaging = reads;
        int rc = storage_sqlite_open(directory, &options, &storage, &err);
        if (rc != (reads < 3 ? STORE_OK : STORE_CORRUPT)) /* a page that does not check is read again, twice */
            return 52;
        if (rc == STORE_OK)
            storage_close(storage);
        if (rc != STORE_OK && err.text[0] == '\0')
            return 53;
        if (below.reads_damaging != 0)
            return 54;
    }
    return storage_sqlite_open(directory, &options, &storage, NULL) == STORE_OK ? (storage_close(storage), 0) : 55;
}

/* Another process writes the store, and this one may only read the shared memory. */
static int with_shared_memory_of_another(const char *directory) {
    const struct storage_open_options options = {.writable = true};
    struct storage *storage;
    struct connection *connection;
    sqlite3 *db;
    char path[128], uri[160], byte;
    int ready[2], done[2], status;
    if (pipe(ready) < 0 || pipe(done) < 0)
        return 61;
    pid_t writer = fork();
    if (writer == 0) {
        (void)close(done[1]);
        if (storage_sqlite_create(directory, NULL) != STORE_OK ||
            storage_sqlite_open(directory, &options, &storage, NULL) != STORE_OK || write(ready[1], "", 1) != 1)
            child_exit(1);
        (void)!read(done[0], &byte, 1); /* until the other process is done */
        storage_close(storage);
        child_exit(0);
    }
    (void)close(ready[1]);
    if (writer < 0 || read(ready[0], &byte, 1) != 1)
        return 62;
    (void)snprintf(path, sizeof path, "%s/tidfs.db", directory);
    if (connection_open(path, CONNECTION_READ, NULL, &connection, NULL) != STORE_OK)
        return 63;
    connection_close(connection); /* SQLite's calls are replaced now, and nothing is mapped */
    (void)snprintf(uri, sizeof uri, "file:%s?readonly_shm=1", path);
    int rc = sqlite3_open_v2(uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, PAGE_VFS) == SQLITE_OK &&
                     sqlite3_exec(db, "SELECT * FROM state", NULL, NULL, NULL) == SQLITE_OK
                 ? 0
                 : 64;
    (void)sqlite3_close(db);
    (void)close(done[1]);
    return waitpid(writer, &status, 0) == writer && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? rc : 65;
}

static void test_page_vfs_below__shared_memory_may_be_read_only(void **state) {
    (void)state;
    in_child(with_shared_memory_of_another);
}

static void test_page_vfs_below__none_is_an_error(void **state) {
    (void)state;
    in_child(without_any);
}

static void test_page_vfs_below__one_without_replaceable_calls_will_do(void **state) {
    (void)state;
    in_child(of_version_one);
    in_child(without_system_calls);
}

static void test_page_vfs_below__a_file_that_failed_to_open_is_closed(void **state) {
    (void)state;
    in_child(failing_when_open);
}

static void test_page_vfs_below__damage_that_passes_is_read_again(void **state) {
    (void)state;
    in_child(damaging_at_first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_vfs_below__none_is_an_error),
        cmocka_unit_test(test_page_vfs_below__one_without_replaceable_calls_will_do),
        cmocka_unit_test(test_page_vfs_below__a_file_that_failed_to_open_is_closed),
        cmocka_unit_test(test_page_vfs_below__shared_memory_may_be_read_only),
        cmocka_unit_test(test_page_vfs_below__damage_that_passes_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
