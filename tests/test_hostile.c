/* Stores that were made to harm who opens them (tests/hostile.h, tests/hostile_stores.c): all that the code can do with a store is done with each
 * of them, and with files in it that are none. Whatever it says, it must not crash, hang, take much memory, or touch what is no part of the
 * store. Each is tried in a process of its own, so that its end can be told by its name.
 *
 * HOSTILE names those to try, by a part of their names (default: all).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "history/resolve.h"
#include "history/restore.h"
#include "history/view.h"
#include "store/head.h"
#include "store/storage_sqlite.h"
#include "tests/hostile.h"

#define SECONDS_MAX 60 /* for all that is done with one store: much where a sanitizer makes it slow */
#define MEMORY_MAX  (UINT64_C(512) << 20)
#define LOOKS_MAX   500
#define BUFFER_SIZE 65536

struct fixture {
    char base[64], store[96], canary[96];
};

__attribute__((format(printf, 1, 2))) static void run_shell(const char *format, ...) {
    char command[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    /* In memory, if there is such a place: what is durable is not the question here. */
    strcpy(f->base, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test_hostile.XXXXXX" : "/tmp/test_hostile.XXXXXX");
    assert_non_null(mkdtemp(f->base));
    (void)snprintf(f->store, sizeof f->store, "%s/store", f->base);
    (void)snprintf(f->canary, sizeof f->canary, "%s/canary", f->base);
    run_shell("echo canary >%s", f->canary);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    run_shell("rm -rf '%s'", f->base);
    free(f);
    return 0;
}

/* ---- all that can be done to change a store ---- */

static uint8_t buffer[BUFFER_SIZE];

static bool take_name(void *context, const struct head_entry *entry) {
    (void)entry;
    return ++*(unsigned *)context < LOOKS_MAX;
}

/* Everything, at one name. */
static void change_name(struct head *head, uint64_t parent, const char *name) {
    static const struct head_caller caller = {1000, 1000, 022};
    struct head_attr attr, other, set = {.mode = 0600, .size = 5};
    size_t length = strlen(name), done;
    uint64_t found;
    unsigned names = 0;
    char text[8192];
    if (head_lookup(head, parent, name, length, &attr) < 0)
        return;
    (void)head_parent(head, attr.oid, &found);
    (void)head_readdir(head, attr.oid, UINT64_MAX, take_name, &names);
    if (head_make(head, attr.oid, "new", 3, S_IFDIR | 0755, 0, NULL, &caller, &other) == 0) {
        (void)head_rename(head, parent, name, length, other.oid, "inside", 6, 0);
        head_forget(head, other.oid, 1);
    }
    (void)head_readlink(head, attr.oid, text, sizeof text, &done);
    (void)head_listxattr(head, attr.oid, text, sizeof text, &done);
    (void)head_setxattr(head, attr.oid, "user.b", "y", 1, 0);
    (void)head_setxattr(head, attr.oid, "system.posix_acl_access", "\2\0\0\0\1", 5, 0);
    (void)head_read(head, attr.oid, 0, BUFFER_SIZE, buffer, &done);
    (void)head_read(head, attr.oid, attr.size / 2, BUFFER_SIZE, buffer, &done);
    (void)head_write(head, attr.oid, 3, 5, (const uint8_t *)"12345", false);
    (void)head_write(head, attr.oid, attr.size, 5, (const uint8_t *)"12345", false);
    (void)head_seek(head, attr.oid, 0, SEEK_DATA, &found);
    (void)head_fallocate(head, attr.oid, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 1000, false);
    (void)head_copy_range(head, attr.oid, 0, 0, 9, 0, 1000, false, &found);
    (void)head_setattr(head, attr.oid, HEAD_SET_MODE | HEAD_SET_MTIME_NOW, &set, &other);
    (void)head_setattr(head, attr.oid, HEAD_SET_SIZE, &set, &other);
    (void)head_link(head, attr.oid, ROOT_OID, "linked", 6, &other);
    (void)head_rename(head, parent, name, length, ROOT_OID, "renamed", 7, 0);
    (void)head_rename(head, ROOT_OID, "renamed", 7, parent, name, length, RENAME_EXCHANGE);
    (void)head_seal(head, NULL, NULL, NULL);
    (void)head_unlink(head, parent, name, length);
    (void)head_rmdir(head, parent, name, length);
    head_forget(head, attr.oid, 1);
}

static void put_back(struct store *store, struct head *head, const struct restore_request *request) {
    struct restore_result result = {0};
    struct error err;
    struct restore_plan *plan = NULL;
    if (restore_plan_make(store, store_last(store), request, NULL, NULL, &plan, &err) == STORE_OK)
        restore_plan_free(plan);
    if (restore_run(store, head, request, 0, "somebody", "back", &result, &err) == STORE_OK)
        restore_touched_release(&result.touched);
}

static void change_all(const char *directory) {
    static const char *const everything[] = {""};
    static const char *const one[] = {"dir"};
    static const uint64_t seqs[] = {3};
    const struct restore_request requests[] = {
        {.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = 1},
        {.kind = RESTORE_REVERT, .before = 3, .paths = one, .path_count = 1},
        {.kind = RESTORE_REVERT, .before = 3, .paths = everything, .path_count = 1},
        {.kind = RESTORE_REVERT, .before = 1, .paths = everything, .path_count = 1},
        {.kind = RESTORE_REVERT, .before = 4, .paths = everything, .path_count = 1},
    };
    static const struct {
        uint64_t parent;
        const char *name;
    } names[] = {{ROOT_OID, "other"}, {2, "file"},        {4, "deep"},         {2, "sub"},        {2, "self"},
                 {4, "root"},         {ROOT_OID, "root"}, {ROOT_OID, "again"}, {100, "a"},        {ROOT_OID, "big"},
                 {130, "a"},          {ROOT_OID, "link"}, {ROOT_OID, "dir"},   {ROOT_OID, "many"}};
    struct store *store;
    struct head *head;
    struct error err = {0};
    if (store_open(directory, &(struct store_options){.writable = true, .cache_bytes = 1 << 20}, &store, &err) < 0) {
        hostile_require(strlen(err.text) > 10, "a refusal has a reason");
        return;
    }
    if (head_open(store, &(struct head_options){.dirty_limit_bytes = 1 << 20}, &head, &err) == 0) {
        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
            put_back(store, head, &requests[i]);
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            change_name(head, names[i].parent, names[i].name);
        (void)head_seal(head, "somebody", "changed", NULL);
        for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
            put_back(store, head, &requests[i]);
        (void)head_close(head);
    } else {
        hostile_require(strlen(err.text) > 10, "a refusal has a reason");
    }
    (void)storage_tag_set(store_storage(store), "set", 5, true);
    (void)hostile_verify(store);
    store_close(store);
}

/* ---- one store in a process ---- */

enum verdict { VERDICT_NONE = 0, VERDICT_REFUSED = 10, VERDICT_DAMAGED, VERDICT_SOUND };

static const char *verdict_word(enum verdict verdict) {
    return verdict == VERDICT_REFUSED ? "refused" : verdict == VERDICT_DAMAGED ? "damaged" : "sound";
}

static uint64_t memory_used(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss << 10 : UINT64_MAX;
}

static _Noreturn void try_in_process(const char *directory, bool write) {
    char why[512] = "";
    uint64_t problems = 0;
    (void)alarm(SECONDS_MAX);
    bool opened = hostile_read(directory, why, &problems);
    if (write)
        change_all(directory);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    if (memory_used() > MEMORY_MAX) {
        (void)fprintf(stderr, "%llu MiB of memory\n", (unsigned long long)(memory_used() >> 20));
        _exit(1);
    }
#else
    (void)memory_used;
#endif
    if (!opened)
        (void)fprintf(stderr, "%s\n", why);
    exit(!opened ? VERDICT_REFUSED : problems > 0 ? VERDICT_DAMAGED : VERDICT_SOUND);
}

/* What it says goes to `said`. VERDICT_NONE, which is told by name, if it did not end by itself with a verdict. */
static enum verdict try_store(struct fixture *f, const char *name, bool write, char said[512]) {
    int ends[2], status = 0;
    size_t used = 0;
    ssize_t got;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDERR_FILENO);
        try_in_process(f->store, write);
    }
    (void)close(ends[1]);
    while ((got = read(ends[0], said + used, 511 - used)) > 0)
        used += (size_t)got;
    said[used] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) >= VERDICT_REFUSED && WEXITSTATUS(status) <= VERDICT_SOUND)
        return (enum verdict)WEXITSTATUS(status);
    print_error("%s: %s: %s\n", name,
                !WIFSIGNALED(status)          ? "failed"
                : WTERMSIG(status) == SIGALRM ? "not done in time"
                                              : strsignal(WTERMSIG(status)),
                said);
    return VERDICT_NONE;
}

/* ---- what a database says ---- */

static void expect_canary(const struct fixture *f, const char *name) {
    char text[16] = "";
    FILE *file = fopen(f->canary, "re");
    if (!file || !fgets(text, sizeof text, file) || strcmp(text, "canary\n") != 0)
        fail_msg("%s: what lies beside the store was touched", name);
    (void)fclose(file);
    assert_int_equal(access("/tmp/canary", F_OK), -1);
}

static void test_hostile__rows_with_right_checksums(void **state) {
    struct fixture *f = *state;
    const char *only = getenv("HOSTILE");
    char base[96], said[512];
    unsigned counts[3] = {0}, wrong = 0;
    uint64_t problems = 0;
    (void)snprintf(base, sizeof base, "%s/base", f->base);
    hostile_make_base(base);
    assert_true(hostile_read(base, said, &problems)); /* here too, for what is loaded once: libgit2 takes its time */
    assert_int_equal(problems, 0);
    for (size_t i = 0; i < hostile_store_count; i++) {
        const struct hostile_store *store = &hostile_stores[i];
        if (only && !strstr(store->name, only))
            continue;
        run_shell("rm -rf '%s' && cp -r '%s' '%s'", f->store, base, f->store);
        hostile_change(f->store, store);
        enum verdict verdict = try_store(f, store->name, true, said);
        enum verdict expected = store->outcome == HOSTILE_REFUSED   ? VERDICT_REFUSED
                                : store->outcome == HOSTILE_DAMAGED ? VERDICT_DAMAGED
                                                                    : VERDICT_SOUND;
        expect_canary(f, store->name);
        if (verdict != VERDICT_NONE && verdict != expected)
            print_error("%s: is %s: %s\n", store->name, verdict_word(verdict), said);
        wrong += verdict != expected;
        counts[expected - VERDICT_REFUSED]++;
    }
    printf("    HOSTILE=%s: %u stores refused, %u found damaged, %u taken as they are\n", only ? only : "", counts[0],
           counts[1], counts[2]);
    assert_int_equal(wrong, 0);
}

/* ---- what the files are ---- */

/* A store of which `command` was run in its directory; canary lies beside it. */
static void expect_file(struct fixture *f, const char *command, bool write, enum verdict verdict, const char *words) {
    char said[512], directory[128];
    (void)snprintf(directory, sizeof directory, "%s/base", f->base);
    if (access(directory, F_OK) != 0)
        hostile_make_base(directory);
    run_shell("rm -rf '%s' && cp -r '%s' '%s' && cd '%s' && %s", f->store, directory, f->store, f->store, command);
    enum verdict is = try_store(f, command, write, said);
    if (is != verdict || !strstr(said, words))
        fail_msg("%s: is %s: %s", command, verdict_word(is), said);
    expect_canary(f, command);
}

static void test_hostile__database_that_is_no_regular_file(void **state) {
    static const char *const commands[] = {
        "mv tidfs.db ../away && ln -s ../away tidfs.db",
        "ln -sf ../canary tidfs.db",
        "ln -sf /dev/zero tidfs.db",
        "rm tidfs.db && mkfifo tidfs.db",
        "rm tidfs.db && mkdir tidfs.db",
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        expect_file(*state, commands[i], true, VERDICT_REFUSED, "no regular file");
    if (geteuid() == 0)
        expect_file(*state, "rm tidfs.db && mknod tidfs.db c 1 5", true, VERDICT_REFUSED, "no regular file");
    expect_file(*state, "chmod 4755 tidfs.db", true, VERDICT_SOUND, "");
}

static void test_hostile__files_beside_the_database(void **state) {
    static const char *const suffixes[] = {"-wal", "-shm"};
    char command[128];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(command, sizeof command, "rm -f tidfs.db%s && ln -s ../canary tidfs.db%s", suffixes[i],
                       suffixes[i]);
        expect_file(*state, command, true, VERDICT_REFUSED, "no regular file");
        (void)snprintf(command, sizeof command, "rm -f tidfs.db%s && mkfifo tidfs.db%s", suffixes[i], suffixes[i]);
        expect_file(*state, command, true, VERDICT_REFUSED, "no regular file");
    }
}

/* SQLite plays such a journal back before it does anything else, and when it is done with it deletes the file that the journal names. */
static void test_hostile__journal_that_names_a_file_elsewhere(void **state) {
    struct fixture *f = *state;
    static const unsigned char magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};
    unsigned char journal[4096] = {0};
    char path[160];
    uint32_t name = (uint32_t)strlen(f->canary), sum = 0;
    memcpy(journal, magic, sizeof magic);
    journal[22] = 2;    /* sector of 512 bytes */
    journal[26] = 0x10; /* page of 4096 bytes */
    unsigned char *end = journal + 512;
    for (size_t i = 0; i < name; i++)
        sum += (unsigned char)f->canary[i];
    const uint32_t words[] = {name, sum};
    end[3] = 1; /* stands where a page's number would */
    memcpy(end + 4, f->canary, name);
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 4; j++)
            end[4 + name + 4 * i + j] = (unsigned char)(words[i] >> (24 - 8 * j));
    memcpy(end + 4 + name + 8, magic, sizeof magic);
    (void)snprintf(path, sizeof path, "%s/journal", f->base);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(journal, 512 + 4 + name + 16, 1, file), 1);
    assert_int_equal(fclose(file), 0);
    expect_file(f, "mv ../journal tidfs.db-journal", true, VERDICT_REFUSED, "no file of a store");
}

static void test_hostile__bodies_that_are_elsewhere(void **state) {
    expect_file(*state, "mv bodies ../away && ln -s ../away bodies", true, VERDICT_REFUSED,
                "no directory of the store");
    expect_file(*state, "rm -r bodies && mkfifo bodies", true, VERDICT_REFUSED, "no directory of the store");
    expect_file(*state, "rm -r bodies", true, VERDICT_REFUSED, "bodies");
    expect_file(*state, "rm bodies/00000001 && ln -s ../../canary bodies/00000001", true, VERDICT_DAMAGED, "");
    expect_file(*state, "mv bodies/00000001 ../away && ln -s ../../away bodies/00000001", true, VERDICT_DAMAGED, "");
    expect_file(*state, "rm bodies/00000001 && mkfifo bodies/00000001", true, VERDICT_DAMAGED, "");
    expect_file(*state, "rm bodies/00000001 && mkdir bodies/00000001", true, VERDICT_DAMAGED, "");
    expect_file(*state, "ln -s ../../canary bodies/00000002", true, VERDICT_SOUND, "");
    expect_file(*state, "mkfifo bodies/00000002", true, VERDICT_SOUND, "");
    expect_file(*state, "truncate -s 4T bodies/00000001", true, VERDICT_SOUND, "");
    /* It looks as if there were four billion. */
    expect_file(*state, "touch bodies/4294967295", true, VERDICT_SOUND, "");
    expect_file(*state, "touch bodies/99999999999 bodies/-0000001 bodies/00000000", true, VERDICT_SOUND, "");
    if (geteuid() == 0)
        expect_file(*state, "rm bodies/00000001 && mknod bodies/00000001 c 1 5", true, VERDICT_DAMAGED, "");
}

static void test_hostile__lock_that_is_elsewhere(void **state) {
    expect_file(*state, "ln -sf ../canary lock", true, VERDICT_SOUND, "");
    expect_file(*state, "rm -f lock && mkfifo lock", true, VERDICT_SOUND, "");
    expect_file(*state, "rm -f lock && mkdir lock", true, VERDICT_SOUND, "");
    expect_file(*state, "head -c 1000000 /dev/zero >lock", true, VERDICT_SOUND, "");
}

/* ---- what a connection may do ---- */

static void test_hostile__nothing_in_a_database_may_run(void **state) {
    struct fixture *f = *state;
    struct connection *connection;
    char path[128];
    hostile_make_base(f->store);
    (void)snprintf(path, sizeof path, "%s/tidfs.db", f->store);
    assert_int_equal(connection_open(path, CONNECTION_WRITE, NULL, &connection, NULL), STORE_OK);
    static const struct {
        int option, expected;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},       {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0},  {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_WRITABLE_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int is = -1;
        assert_int_equal(sqlite3_db_config(connection->db, options[i].option, -1, &is), SQLITE_OK);
        assert_int_equal(is, options[i].expected);
    }
    assert_int_equal(sqlite3_limit(connection->db, SQLITE_LIMIT_ATTACHED, -1), 0);
    assert_int_equal(sqlite3_limit(connection->db, SQLITE_LIMIT_TRIGGER_DEPTH, -1), 0);
    assert_true(sqlite3_limit(connection->db, SQLITE_LIMIT_LENGTH, -1) <= 16 << 20);
    static const char *const refused[] = {
        "ATTACH '/tmp/canary' AS other",
        "SELECT load_extension('/tmp/canary')",
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = ''",
        "SELECT \"no such column\"",
        "SELECT zeroblob(20000000)",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (sqlite3_exec(connection->db, refused[i], NULL, NULL, NULL) == SQLITE_OK)
            fail_msg("not refused: %s", refused[i]);
    }
    connection_close(connection);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hostile__rows_with_right_checksums, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile__database_that_is_no_regular_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile__files_beside_the_database, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile__journal_that_names_a_file_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile__bodies_that_are_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile__lock_that_is_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hostile__nothing_in_a_database_may_run, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
