/* Verify beside a writer: it looks at the store in slices, so that commits which come while it runs are no problems to it, and the write-ahead log
 * can be moved into the database meanwhile, however long it takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/sample.h"

#define FILES 200

struct beside {
    struct sample *sample;
    sqlite3 *database;
    unsigned calls, moved; /* of progress; times that it found all of the log moved */
    bool held;             /* some of it could not be moved */
};

static void note_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    print_error("verify: %s: %s\n", problem->path ? problem->path : "-", problem->text);
}

/* Names that were checked, and that are to be, end and come; directories too. */
static void change(struct sample *sample, unsigned call) {
    char name[16], other[16];
    (void)snprintf(name, sizeof name, "f%u", call % FILES);
    (void)snprintf(other, sizeof other, "f%u", FILES - 1 - call % FILES);
    sample_move(sample, ROOT_OID, name, ROOT_OID, "moved");
    sample_commit(sample, "one");
    sample_remove(sample, ROOT_OID, other);
    sample_move(sample, ROOT_OID, "moved", ROOT_OID, name);
    sample_commit(sample, "two");
    uint64_t directory = sample_make(sample, ROOT_OID, other, S_IFDIR | 0755, NULL);
    (void)sample_make(sample, directory, "below", S_IFREG | 0644, "new");
    sample_commit(sample, "three");
}

/* In the middle of the run. What the last call committed is older than the slice that is being looked at now. */
static void work_beside(void *context, uint64_t done, uint64_t total) {
    struct beside *beside = context;
    const struct timespec longer_than_a_slice = {.tv_nsec = 120000000};
    int in_log = 0, moved = 0;
    assert_true(done <= total);
    if (done == total)
        return;
    int result = sqlite3_wal_checkpoint_v2(beside->database, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
    if (beside->calls > 0) {
        beside->held |= result != SQLITE_OK || moved < in_log;
        beside->moved += result == SQLITE_OK && in_log > 0 && moved == in_log;
    }
    change(beside->sample, beside->calls++);
    (void)nanosleep(&longer_than_a_slice, NULL);
}

static void test_slices__commits_beside_are_neither_problems_nor_held_up(void **state) {
    struct beside beside = {.sample = sample_new(NULL)};
    char path[128], name[16];
    uint64_t problems = 1;
    (void)state;
    for (unsigned i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%u", i);
        (void)sample_make(beside.sample, ROOT_OID, name, S_IFREG | 0644, "content");
        if (i % 50 == 49)
            sample_commit(beside.sample, "files");
    }
    (void)snprintf(path, sizeof path, "%s/tidfs.db", beside.sample->directory);
    assert_int_equal(sqlite3_open(path, &beside.database), SQLITE_OK);
    /* It learns that there is a log when it first reads. */
    assert_int_equal(sqlite3_exec(beside.database, "SELECT count(*) FROM txn", NULL, NULL, NULL), SQLITE_OK);
    const struct verify_options options = {.problem = note_problem, .progress = work_beside, .context = &beside};
    assert_int_equal(storage_verify(store_storage(beside.sample->store), &options, &problems), STORE_OK);
    assert_int_equal(problems, 0);
    assert_true(beside.calls >= 4);
    assert_true(beside.moved >= 3);
    assert_false(beside.held);
    assert_int_equal(sqlite3_close(beside.database), SQLITE_OK);
    sample_free(beside.sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices__commits_beside_are_neither_problems_nor_held_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
