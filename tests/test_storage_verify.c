/* verify: a sound store has no problems, and each kind of damage is found and named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/storage.h"
#include "tests/tamper.h"

#define CHANGES_MAX 32

struct fixture {
    char directory[64];
    struct storage *storage;
    struct commit commit;
    struct new_revision revisions[CHANGES_MAX];
    struct ended_entry ended[CHANGES_MAX];
    struct new_entry added[CHANGES_MAX];
    struct new_body bodies[CHANGES_MAX];
    uint64_t last;
    char problems[8192]; /* a line each: path, colon, text */
};

static void begin(struct fixture *f) {
    f->commit = (struct commit){
        .base = f->last,
        .wall = {.tv_sec = 1700000000 + (time_t)f->last},
        .user = "",
        .message = "",
        .next_oid = 10,
        .revisions = f->revisions,
        .ended = f->ended,
        .added = f->added,
        .bodies = f->bodies,
    };
}

/* Takes over data. */
static void revise(struct fixture *f, uint64_t oid, uint64_t part, bool directory, uint8_t *data, size_t length) {
    f->revisions[f->commit.revision_count++] =
        (struct new_revision){.oid = oid, .part = part, .directory = directory, .data = data, .length = length};
}

static void revise_inode(struct fixture *f, uint64_t oid, uint32_t mode, uint32_t nlink, uint64_t size, uint64_t parent,
                         uint64_t next_index) {
    struct inode_record record = {
        .mode = mode, .nlink = nlink, .size = size, .parent = parent, .next_index = next_index};
    uint8_t *data;
    size_t length;
    assert_int_equal(inode_record_encode(&record, &data, &length), STORE_OK);
    revise(f, oid, PART_INODE, S_ISDIR(mode), data, length);
}

static void add(struct fixture *f, uint64_t parent, uint64_t index, const char *name, uint64_t oid, uint32_t type) {
    f->added[f->commit.added_count++] = (struct new_entry){
        .parent = parent, .index = index, .name = name, .name_length = strlen(name), .oid = oid, .type = type};
}

static void commit(struct fixture *f) {
    assert_int_equal(storage_commit(f->storage, &f->commit, NULL), STORE_OK);
    f->last++;
    for (size_t i = 0; i < f->commit.revision_count; i++)
        free((void *)(uintptr_t)f->revisions[i].data);
}

static void revise_chunk(struct fixture *f, uint64_t oid, struct body_ref body) {
    struct extent extent = {.start = 0, .length = body.length, .skip = 0, .body = body};
    struct chunk chunk = {.extents = &extent, .count = 1};
    uint8_t *data;
    size_t length;
    assert_int_equal(chunk_encode(&chunk, &data, &length), STORE_OK);
    revise(f, oid, PART_CHUNK, false, data, length);
}

static void open_store(struct fixture *f) {
    struct storage_open_options options = {.writable = true};
    assert_int_equal(storage_sqlite_open(f->directory, &options, &f->storage, NULL), STORE_OK);
}

/* 1: /dir (2), /dir/file (3) with a body in a file, /small (4) with one in the table.
 * 2: /dir/file gets the second name /link, and /small goes. 3: /dir/old (5) comes; 4: it goes. */
static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    static const uint8_t text[] = "some contents";
    struct body_ref large, small;
    uint64_t id;
    assert_non_null(f);
    strcpy(f->directory, "/tmp/test_verify.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(storage_sqlite_create(f->directory, NULL), STORE_OK);
    open_store(f);
    assert_int_equal(storage_body_append(f->storage, text, sizeof text, &large), STORE_OK);
    assert_int_equal(storage_body_reserve(f->storage, 1, &id), STORE_OK);
    small = (struct body_ref){.length = sizeof text, .position = id, .sum = large.sum};

    begin(f);
    revise_inode(f, ROOT_OID, S_IFDIR | 0755, 3, 2, ROOT_OID, 5);
    revise_inode(f, 2, S_IFDIR | 0755, 2, 1, ROOT_OID, 4);
    revise_inode(f, 3, S_IFREG | 0644, 1, sizeof text, 0, 0);
    revise_chunk(f, 3, large);
    revise_inode(f, 4, S_IFREG | 0644, 1, sizeof text, 0, 0);
    revise_chunk(f, 4, small);
    add(f, ROOT_OID, 3, "dir", 2, S_IFDIR);
    add(f, 2, 3, "file", 3, S_IFREG);
    add(f, ROOT_OID, 4, "small", 4, S_IFREG);
    f->bodies[f->commit.body_count++] =
        (struct new_body){.id = id, .data = text, .length = sizeof text, .sum = small.sum};
    f->commit.body_files_used = true;
    commit(f);

    begin(f);
    revise_inode(f, ROOT_OID, S_IFDIR | 0755, 3, 2, ROOT_OID, 6);
    revise_inode(f, 3, S_IFREG | 0644, 2, sizeof text, 0, 0);
    revise(f, 4, PART_INODE, false, NULL, 0);
    revise(f, 4, PART_CHUNK, false, NULL, 0);
    f->ended[f->commit.ended_count++] = (struct ended_entry){.parent = ROOT_OID, .index = 4};
    add(f, ROOT_OID, 5, "link", 3, S_IFREG);
    commit(f);

    begin(f);
    revise_inode(f, 2, S_IFDIR | 0755, 2, 2, ROOT_OID, 5);
    revise_inode(f, 5, S_IFIFO | 0644, 1, 0, 0, 0);
    add(f, 2, 4, "old", 5, S_IFIFO);
    commit(f);
    begin(f);
    revise_inode(f, 2, S_IFDIR | 0755, 2, 1, ROOT_OID, 5);
    revise(f, 5, PART_INODE, false, NULL, 0);
    f->ended[f->commit.ended_count++] = (struct ended_entry){.parent = 2, .index = 4};
    commit(f);
    assert_int_equal(storage_tag_set(f->storage, "v1", 5, false), STORE_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    char command[128];
    storage_close(f->storage);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
    free(f);
    return system(command);
}

/* Without what it has open. */
static void reopen_read_only(struct fixture *f) {
    const struct storage_open_options options = {.writable = false};
    storage_close(f->storage);
    f->storage = NULL;
    assert_int_equal(storage_sqlite_open(f->directory, &options, &f->storage, NULL), STORE_OK);
}

static void note_problem(void *context, const struct verify_problem *problem) {
    struct fixture *f = context;
    size_t used = strlen(f->problems);
    (void)snprintf(f->problems + used, sizeof f->problems - used, "%s: %s\n", problem->path ? problem->path : "-",
                   problem->text);
}

static uint64_t verify(struct fixture *f) {
    struct verify_options options = {.problem = note_problem, .context = f};
    uint64_t problems;
    f->problems[0] = '\0';
    assert_int_equal(storage_verify(f->storage, &options, &problems), STORE_OK);
    return problems;
}

static void expect_problem(struct fixture *f, const char *text) {
    if (verify(f) == 0)
        fail_msg("no problem found; expected: %s", text);
    if (!strstr(f->problems, text))
        fail_msg("expected: %s\nfound: %s", text, f->problems);
}

/* Changes rows behind the store's back; the checksum is made right afterwards if `columns` says of what. */
static void run_sql(struct fixture *f, const char *sql) {
    change_database(f->directory, sql);
}

/* The checksum of a row whose columns are all integers but one blob (after `before` of them), as FORMAT.md has it. */
static int64_t row_sum(const uint64_t *integers, size_t count, size_t before, const void *blob, size_t length) {
    uint64_t words[16];
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == before && blob) {
            words[n++] = length;
            words[n++] = XXH3_64bits(blob, length);
        }
        words[n++] = integers[i];
    }
    return (int64_t)XXH3_64bits(words, n * sizeof words[0]);
}

static void test_verify__sound_store_has_no_problems(void **state) {
    struct fixture *f = *state;
    if (verify(f) != 0)
        fail_msg("%s", f->problems);
}

static void test_verify__empty_store_has_no_problems(void **state) {
    struct fixture *f = *state;
    char directory[] = "/tmp/test_verify.XXXXXX", command[64];
    struct storage_open_options options = {.writable = false};
    struct storage *full = f->storage;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(storage_sqlite_create(directory, NULL), STORE_OK);
    assert_int_equal(storage_sqlite_open(directory, &options, &f->storage, NULL), STORE_OK);
    uint64_t problems = verify(f);
    storage_close(f->storage);
    f->storage = full;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
    assert_int_equal(problems, 0);
}

static void test_verify__finds_wrong_checksums(void **state) {
    struct fixture *f = *state;
    run_sql(f, "UPDATE revision SET sum = sum + 1 WHERE oid = 3 AND part = 16");
    expect_problem(f, "/dir/file: revision 4 (part 16) is damaged: wrong checksum");
    run_sql(f, "UPDATE revision SET sum = sum - 1 WHERE oid = 3 AND part = 16");
    run_sql(f, "UPDATE entry SET sum = sum + 1 WHERE name = x'6c696e6b'");
    expect_problem(f, "/: an entry of the directory is damaged: wrong checksum or values (index 5)");
    run_sql(f, "UPDATE entry SET sum = sum - 1 WHERE name = x'6c696e6b'");
    run_sql(f, "UPDATE past_entry SET sum = sum + 1 WHERE idx = 4 AND parent = 2");
    expect_problem(f, "/dir: an entry of the directory is damaged: wrong checksum or values (index 4)");
    run_sql(f, "UPDATE past_entry SET sum = sum - 1 WHERE idx = 4 AND parent = 2");
    run_sql(f, "UPDATE txn SET message = 'other' WHERE seq = 2");
    expect_problem(f, "is damaged: wrong checksum");
    run_sql(f, "UPDATE txn SET message = '' WHERE seq = 2");
    run_sql(f, "UPDATE body SET sum = sum + 1");
    expect_problem(f, "body 1 is damaged: wrong checksum");
    assert_non_null(strstr(f->problems, "/small: contents of transaction"));
    run_sql(f, "UPDATE body SET sum = sum - 1");
    run_sql(f, "UPDATE tag SET tid = 6");
    expect_problem(f, "tag v1 is damaged");
    run_sql(f, "UPDATE tag SET tid = 5");
    run_sql(f, "UPDATE state SET next_body = 9");
    expect_problem(f, "the row of the table state is damaged");
    run_sql(f, "UPDATE state SET next_body = 2");
    assert_int_equal(verify(f), 0);
}

/* Rows that are larger than any can be are damaged, and the rest is checked. */
static void test_verify__finds_rows_that_are_too_large(void **state) {
    struct fixture *f = *state;
    enum load_outcome outcome;
    struct revision revision = {0};
    run_sql(f, "UPDATE revision SET data = zeroblob(17000000) WHERE oid = 3 AND part = 16");
    run_sql(f, "UPDATE body SET data = zeroblob(17000000)");
    run_sql(f, "UPDATE tag SET tid = 6");
    expect_problem(f, "/dir/file: revision 4 (part 16) is damaged: wrong checksum");
    assert_non_null(strstr(f->problems, "body 1 is damaged: wrong checksum"));
    assert_non_null(strstr(f->problems, "tag v1 is damaged"));
    assert_int_equal(storage_load_before(f->storage, 3, PART_CHUNK, 9, &outcome, &revision), STORE_CORRUPT);
}

static void test_verify__finds_damaged_body_files(void **state) {
    struct fixture *f = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/bodies/00000001", f->directory);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "S", 1, 0), 1);
    expect_problem(f, "/dir/file: contents of transaction");
    assert_int_equal(pwrite(fd, "s", 1, 0), 1);
    assert_int_equal(verify(f), 0);
    assert_int_equal(ftruncate(fd, 5), 0);
    (void)close(fd);
    expect_problem(f, "body file 00000001, byte 0");
    assert_int_equal(unlink(path), 0);
    expect_problem(f, "body file 00000001, byte 0");
    reopen_read_only(f);
    expect_problem(f, "-: body file 00000001 is missing");
    assert_int_equal(symlink("/dev/null", path), 0);
    reopen_read_only(f);
    expect_problem(f, "-: body file 00000001 is no regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_problem(f, "-: body file 00000001 is no regular file");
    expect_problem(f, "/dir/file: contents of transaction");
}

static void test_verify__finds_missing_rows(void **state) {
    struct fixture *f = *state;
    run_sql(f, "DELETE FROM revision WHERE oid = 3 AND part = 0 AND seq = 2");
    expect_problem(f, "changed 3 objects but has revisions of 2");
    run_sql(f, "DELETE FROM revision WHERE oid = 5 AND seq = 3");
    expect_problem(f, "/dir/old: the entry old of transaction");
}

static void test_verify__finds_missing_transactions(void **state) {
    struct fixture *f = *state;
    run_sql(f, "DELETE FROM txn WHERE seq = 2");
    expect_problem(f, "1 transactions before");
    assert_non_null(strstr(f->problems, "belongs to no transaction"));
}

static void test_verify__finds_wrong_counts_of_links_and_entries(void **state) {
    struct fixture *f = *state;
    run_sql(f, "DELETE FROM entry WHERE name = x'6c696e6b'");
    expect_problem(f, "/dir/file: its link count in transaction");
    assert_non_null(strstr(f->problems, "/: the directory has 1 entries in transaction"));
}

static void test_verify__finds_missing_marks(void **state) {
    struct fixture *f = *state;
    run_sql(f, "DELETE FROM subtree WHERE dir = 1 AND seq = 3");
    expect_problem(f, "/: the mark of a change below in transaction");
    run_sql(f, "DELETE FROM subtree WHERE dir = 2 AND seq = 3");
    expect_problem(f, "/dir: the mark of its change in transaction");
}

static void test_verify__finds_names_that_overlap(void **state) {
    struct fixture *f = *state;
    char sql[256];
    /* /dir/file as an entry that ended after the one that has the name now was born */
    int64_t sum = row_sum((uint64_t[]){2, 9, 3, S_IFREG, 2, 3, 0}, 7, 2, "file", 4);
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO past_entry(parent, idx, name, oid, type, born, died, level, sum)"
                   " VALUES(2, 9, x'66696c65', 3, %d, 2, 3, 0, %lld)",
                   S_IFREG, (long long)sum);
    run_sql(f, sql);
    expect_problem(f, "/dir/file: the name file has led to two objects at once");
}

/* Which agree with each other in all that they say: 2 moves below its own 6, and 7 and 8 are made in each other. */
static void test_verify__finds_directories_in_a_circle(void **state) {
    struct fixture *f = *state;
    begin(f);
    revise_inode(f, 2, S_IFDIR | 0755, 3, 2, ROOT_OID, 6);
    revise_inode(f, 6, S_IFDIR | 0755, 2, 0, 2, 3);
    add(f, 2, 5, "sub", 6, S_IFDIR);
    commit(f);
    assert_int_equal(verify(f), 0);
    begin(f);
    revise_inode(f, ROOT_OID, S_IFDIR | 0755, 2, 1, ROOT_OID, 6);
    revise_inode(f, 2, S_IFDIR | 0755, 3, 2, 6, 6);
    revise_inode(f, 6, S_IFDIR | 0755, 3, 1, 2, 4);
    f->ended[f->commit.ended_count++] = (struct ended_entry){.parent = ROOT_OID, .index = 3};
    add(f, 6, 3, "dir", 2, S_IFDIR);
    commit(f);
    expect_problem(f, "the entry dir of transaction");
    assert_non_null(strstr(f->problems, "leads from a directory that is below itself"));
    begin(f);
    revise_inode(f, 7, S_IFDIR | 0755, 3, 1, 8, 4);
    revise_inode(f, 8, S_IFDIR | 0755, 3, 1, 7, 4);
    add(f, 8, 3, "seven", 7, S_IFDIR);
    add(f, 7, 3, "eight", 8, S_IFDIR);
    commit(f);
    expect_problem(f, "the entry seven of transaction");
    /* Also when it is over. */
    begin(f);
    revise_inode(f, ROOT_OID, S_IFDIR | 0755, 3, 2, ROOT_OID, 7);
    revise_inode(f, 2, S_IFDIR | 0755, 3, 2, ROOT_OID, 6);
    revise_inode(f, 6, S_IFDIR | 0755, 2, 0, 2, 4);
    f->ended[f->commit.ended_count++] = (struct ended_entry){.parent = 6, .index = 3};
    add(f, ROOT_OID, 6, "dir", 2, S_IFDIR);
    commit(f);
    expect_problem(f, "the entry dir of transaction");
}

/* Nothing but its names tells: both directories count it. */
static void test_verify__finds_directories_with_two_names(void **state) {
    struct fixture *f = *state;
    begin(f);
    revise_inode(f, ROOT_OID, S_IFDIR | 0755, 4, 3, ROOT_OID, 7);
    revise_inode(f, 2, S_IFDIR | 0755, 2, 1, ROOT_OID, 5);
    add(f, ROOT_OID, 6, "again", 2, S_IFDIR);
    commit(f);
    expect_problem(f, "the directory is not where its record of transaction");
}

static void test_verify__finds_ids_that_were_not_given_out(void **state) {
    struct fixture *f = *state;
    char sql[256];
    uint64_t columns[] = {3, 8, 2, 8, 1, 14, 0, 0, 0};
    (void)snprintf(sql, sizeof sql,
                   "UPDATE state SET next_oid = 3, next_revision = 8, next_subtree = 8, body_end = 14,"
                   " sum = %lld",
                   (long long)row_sum(columns, 9, 0, NULL, 0));
    run_sql(f, sql);
    expect_problem(f, "has an id that was not given out");
    assert_null(strstr(f->problems, "state is damaged"));
}

static void test_verify__finds_damaged_pages(void **state) {
    struct fixture *f = *state;
    char path[128];
    storage_close(f->storage);
    (void)snprintf(path, sizeof path, "%s/tidfs.db", f->directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    /* Each page in turn but the first, which the store would not open without. */
    for (off_t at = 4096; at < status.st_size; at += 4096) {
        char page[4096], noise[4096];
        struct storage_open_options options = {.writable = false};
        memset(noise, 0xa5, sizeof noise);
        assert_int_equal(pread(fd, page, sizeof page, at), sizeof page);
        assert_int_equal(pwrite(fd, noise, sizeof noise, at), sizeof noise);
        int rc = storage_sqlite_open(f->directory, &options, &f->storage, NULL);
        if (rc == STORE_OK) {
            assert_true(verify(f) > 0);
            storage_close(f->storage);
        } else {
            assert_int_equal(rc, STORE_CORRUPT);
        }
        assert_int_equal(pwrite(fd, page, sizeof page, at), sizeof page);
    }
    (void)close(fd);
    open_store(f);
    assert_int_equal(verify(f), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_verify__sound_store_has_no_problems),
        TEST(test_verify__empty_store_has_no_problems),
        TEST(test_verify__finds_wrong_checksums),
        TEST(test_verify__finds_rows_that_are_too_large),
        TEST(test_verify__finds_damaged_body_files),
        TEST(test_verify__finds_missing_rows),
        TEST(test_verify__finds_missing_transactions),
        TEST(test_verify__finds_wrong_counts_of_links_and_entries),
        TEST(test_verify__finds_missing_marks),
        TEST(test_verify__finds_names_that_overlap),
        TEST(test_verify__finds_directories_in_a_circle),
        TEST(test_verify__finds_directories_with_two_names),
        TEST(test_verify__finds_ids_that_were_not_given_out),
        TEST(test_verify__finds_damaged_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
