/* Damage to a store's files: every byte changed, files cut off, sectors zeroed,
 * pages exchanged. Whatever it is, everything that can be asked of the store is
 * answered rightly or refused as damaged; never wrongly.
 *
 * STRIDE: every how many bytes one is changed (1: all). SEED: what it is
 * changed to, and where the first one lies. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "store/wal.h"
#include "tests/damage.h"

#define STRIDE_CI     701
#define STRIDE_WRITER 8  /* one of so many damaged stores is also written to */
#define STRIDE_AGAIN  16 /* one of so many is asked twice */
#define SECTOR        512
#define LARGE_STRIDE  20
#define LARGE_COPIES  13
#define EXCHANGES     40000 /* of pages, divided by STRIDE */
#define FLOOR_TRIED   20    /* damaged stores that are enough for shares to mean something */
#define HANG_SECONDS  60

struct fixture {
    struct specimen specimen;
    char directory[64];
    size_t stride;
    uint64_t seed;

    uint64_t tried, unopened, right, refused, unnoticed, commits, refused_commits;
};

static uint64_t knob(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* splitmix64 */
static uint64_t next_random(struct fixture *f) {
    uint64_t z = f->seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* ---- one damaged store ---- */

/* What verify told. */
struct told {
    uint64_t problems;
    bool named[SPECIMEN_PATHS];
};

/* Whoever is told that a directory cannot be read knows of what is below. */
static void note_problem(void *context, const struct verify_problem *problem) {
    struct told *told = context;
    told->problems++;
    if (!problem->path)
        return;
    size_t length = strcmp(problem->path, "/") == 0 ? 0 : strlen(problem->path);
    for (size_t i = 0; i < SPECIMEN_PATHS; i++) {
        const char *path = specimen_paths[i].path;
        if (strncmp(path, problem->path, length) == 0 && (path[length] == '/' || path[length] == '\0'))
            told->named[i] = true;
    }
}

/* What damage may do to the newest transaction: */
enum loss {
    LOSES_NOTHING,
    MAY_LOSE_LAST, /* it is where a crash may have cut the log off */
    MAY_LOSE_MORE, /* the log was cut off */
};

static int open_store(struct fixture *f, bool writable, struct storage **storage, struct error *err) {
    return storage_sqlite_open(f->directory, &(struct storage_open_options){.writable = writable}, storage, err);
}

static void check_answers(struct fixture *f, const struct answers *answers, const char *what, size_t at) {
    if (answers->wrong > 0)
        fail_msg("%s at %zu, SEED=%" PRIu64 ": %zu wrong answers, the first: %s", what, at, f->seed, answers->wrong,
                 question_text(&answers->first_wrong));
    if (answers->other_error)
        fail_msg("%s at %zu: refused with error %d", what, at, answers->other);
}

/* Every object that cannot be read is named by a path of its own or of a directory above. */
static void check_named(struct storage *storage, const struct told *told, uint64_t last, const char *what, size_t at) {
    for (size_t i = 0; i < SPECIMEN_PATHS; i++) {
        bool named = false;
        for (size_t j = 0; j < SPECIMEN_PATHS; j++)
            named = named || (specimen_paths[j].oid == specimen_paths[i].oid && told->named[j]);
        if (!named && questions_refused(storage, specimen_paths[i].oid, last + 1))
            fail_msg("%s at %zu: %s cannot be read, and verify does not name it", what, at, specimen_paths[i].path);
    }
}

/* Verify says that something is wrong if anything was refused. */
static void check_verify(struct storage *storage, const struct answers *answers, uint64_t last, const char *what,
                         size_t at) {
    struct told told = {0};
    uint64_t problems = 0;
    struct verify_options options = {.problem = note_problem, .context = &told};
    int rc = storage_verify(storage, &options, &problems);
    if (rc != STORE_OK && rc != STORE_CORRUPT)
        fail_msg("%s at %zu: verify ends with error %d", what, at, rc);
    if (rc == STORE_OK && answers->refused > 0 && problems == 0)
        fail_msg("%s at %zu: %zu answers are refused, and verify finds nothing", what, at, answers->refused);
    assert_int_equal(told.problems, problems);
    if (rc == STORE_OK)
        check_named(storage, &told, last, what, at);
}

/* A file more, on what the store says is its newest transaction. */
static int try_commit(struct storage *storage) {
    static const uint8_t data[] = "of a writer";
    struct storage_state state;
    int rc = storage_get_state(storage, &state);
    if (rc != STORE_OK)
        return rc;
    const uint64_t oid = state.next_oid + 100; /* one that no question is about */
    const struct new_revision revisions[] = {
        {.oid = ROOT_OID, .part = PART_INODE, .directory = true, .data = data, .length = sizeof data},
        {.oid = oid, .part = PART_INODE, .data = data, .length = sizeof data},
    };
    const struct new_entry entry = {.parent = ROOT_OID,
                                    .index = 1000,
                                    .oid = oid,
                                    .type = S_IFREG,
                                    .name = "written",
                                    .name_length = strlen("written")};
    const struct commit commit = {.base = state.last_seq,
                                  .wall = {.tv_sec = 2000000000},
                                  .user = "writer",
                                  .message = "",
                                  .next_oid = oid + 1,
                                  .revisions = revisions,
                                  .revision_count = 2,
                                  .added = &entry,
                                  .added_count = 1};
    return storage_commit(storage, &commit, NULL);
}

/* Writing to it is refused, or works; what was readable before is so
 * afterwards. The newest state is left out: it needs nothing of the tables of
 * the past until it is the past itself. */
static void check_writer(struct fixture *f, uint64_t last, const char *what, size_t at) {
    struct storage *storage;
    assert_int_equal(open_store(f, false, &storage, NULL), STORE_OK);
    struct answers before = questions_ask(&f->specimen.questions, storage, last - 1);
    storage_close(storage);
    int rc = open_store(f, true, &storage, NULL);
    if (rc != STORE_OK) {
        assert_int_equal(rc, STORE_CORRUPT);
        f->refused_commits++;
        return;
    }
    rc = try_commit(storage);
    if (rc == STORE_OK)
        f->commits++;
    else if (rc == STORE_CORRUPT)
        f->refused_commits++;
    else
        fail_msg("%s at %zu: a commit ends with error %d", what, at, rc);
    for (int pass = 0; pass < 2; pass++) {
        struct answers after = questions_ask(&f->specimen.questions, storage, last - 1);
        check_answers(f, &after, what, at);
        if (after.right < before.right)
            fail_msg("%s at %zu: after a commit, %zu instead of %zu answers are right", what, at, after.right,
                     before.right);
        storage_close(storage); /* which moves the log */
        storage = NULL;
        rc = open_store(f, false, &storage, NULL);
        if (rc != STORE_OK)
            fail_msg("%s at %zu: cannot be opened after a commit", what, at);
    }
    storage_close(storage);
}

/* Asks the store everything. The answers stay for the caller. */
static struct answers check_store(struct fixture *f, enum loss loss, const char *what, size_t at) {
    struct answers answers = {0};
    struct storage_state state;
    struct storage *storage;
    struct error err = {0};
    (void)alarm(HANG_SECONDS);
    f->tried++;
    int rc = open_store(f, false, &storage, &err);
    if (rc != STORE_OK) {
        if (rc != STORE_CORRUPT || err.text[0] == '\0')
            fail_msg("%s at %zu: opening ends with error %d: %s", what, at, rc, err.text);
        f->unopened++;
        f->refused += f->specimen.questions.count;
        return answers;
    }
    assert_int_equal(storage_get_state(storage, &state), STORE_OK); /* opening has read it */
    uint64_t last = f->specimen.last, least = loss == LOSES_NOTHING ? last : loss == MAY_LOSE_LAST ? last - 1 : 1;
    if (state.last_seq < least || state.last_seq > last)
        fail_msg("%s at %zu: the newest transaction is %" PRIu64 " instead of %" PRIu64, what, at, state.last_seq,
                 last);
    f->unnoticed += state.last_seq < last;
    answers = questions_ask(&f->specimen.questions, storage, state.last_seq);
    check_answers(f, &answers, what, at);
    f->right += answers.right;
    f->refused += answers.refused;
    if (f->tried % STRIDE_AGAIN == 0) {
        struct answers again = questions_ask(&f->specimen.questions, storage, state.last_seq);
        assert_int_equal(again.right, answers.right);
        assert_int_equal(again.wrong, 0);
    }
    check_verify(storage, &answers, state.last_seq, what, at);
    storage_close(storage);
    if (f->tried % STRIDE_WRITER == 0) {
        check_writer(f, state.last_seq, what, at);
        specimen_put(&f->specimen, f->directory);
    }
    return answers;
}

/* At least `floor` percent of all answers over all damaged stores are right. */
static void tell(struct fixture *f, const char *what, unsigned floor) {
    uint64_t asked = f->right + f->refused;
    print_message("    STRIDE=%zu SEED=%" PRIu64 ": %s: %" PRIu64 " damaged stores, %" PRIu64
                  " not opened, %.1f%% of answers right, %" PRIu64 " commits, %" PRIu64 " refused\n",
                  f->stride, knob("SEED", 1), what, f->tried, f->unopened,
                  asked ? 100.0 * (double)f->right / (double)asked : 100.0, f->commits, f->refused_commits);
    if (f->tried >= FLOOR_TRIED)
        assert_true(f->right * 100 >= asked * floor);
}

/* ---- each byte ---- */

static void flip_each(struct fixture *f, const char *name, enum loss (*loss)(const struct fixture *, size_t),
                      unsigned floor) {
    const struct specimen_file *file = specimen_file(&f->specimen, name);
    for (size_t at = next_random(f) % f->stride; at < file->length; at += f->stride) {
        uint8_t byte = (uint8_t)(file->bytes[at] ^ (1u << next_random(f) % 8));
        specimen_put(&f->specimen, f->directory);
        specimen_write(f->directory, name, at, &byte, 1);
        check_store(f, loss(f, at), name, at);
    }
    tell(f, name, floor);
}

static enum loss nothing_lost(const struct fixture *f, size_t at) {
    (void)f;
    (void)at;
    return LOSES_NOTHING;
}

static enum loss last_lost(const struct fixture *f, size_t at) {
    return at >= f->specimen.log_of_last ? MAY_LOSE_LAST : LOSES_NOTHING;
}

/* Of a store this small every page is the root of a table or an index. */
static void test_damage__each_byte_of_the_database(void **state) {
    struct fixture *f = *state;
    flip_each(f, "tidfs.db", nothing_lost, 50);
}

static void test_damage__each_byte_of_bodies(void **state) {
    struct fixture *f = *state;
    flip_each(f, "bodies/00000001", nothing_lost, 98);
    assert_int_equal(f->unopened, 0);
}

/* A log that is damaged before its newest transaction is refused whole: what it changes is not known without it. */
static void test_damage__each_byte_of_a_log(void **state) {
    struct fixture *f = *state;
    flip_each(f, "tidfs.db-wal", last_lost, 10);
}

/* Of a log that a crash left, beside which nobody has the shared memory open:
 * it is made anew. */
static void test_damage__each_byte_of_shared_memory(void **state) {
    struct fixture *f = *state;
    flip_each(f, "tidfs.db-shm", nothing_lost, 100);
    assert_int_equal(f->refused, 0);
}

/* ---- more than a byte ---- */

/* From one sector that is tried to the next: all of them if all bytes are tried, else the share of them that `share` and STRIDE say. */
static size_t sector_step(const struct fixture *f, size_t share) {
    return f->stride > SECTOR ? (f->stride / SECTOR * share) * SECTOR : SECTOR;
}

static void cut_each(struct fixture *f, const char *name, enum loss loss, unsigned floor) {
    const struct specimen_file *file = specimen_file(&f->specimen, name);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", f->directory, name);
    size_t step = sector_step(f, 3);
    for (size_t length = 0; length < file->length; length += step) {
        specimen_put(&f->specimen, f->directory);
        assert_int_equal(truncate(path, (off_t)length), 0);
        check_store(f, loss, name, length);
    }
    tell(f, name, floor);
}

static void test_damage__databases_cut_off(void **state) {
    cut_each(*state, "tidfs.db", LOSES_NOTHING, 25);
}

static void test_damage__bodies_cut_off(void **state) {
    cut_each(*state, "bodies/00000001", LOSES_NOTHING, 95);
}

static void test_damage__logs_cut_off(void **state) {
    cut_each(*state, "tidfs.db-wal", MAY_LOSE_MORE, 100);
}

static void zero_each(struct fixture *f, size_t length, size_t step) {
    static const uint8_t zeros[PAGE_BYTES];
    const struct specimen_file *file = specimen_file(&f->specimen, "tidfs.db");
    for (size_t at = 0; at < file->length; at += step) {
        if (memcmp(file->bytes + at, zeros, length) == 0)
            continue;
        specimen_put(&f->specimen, f->directory);
        specimen_write(f->directory, "tidfs.db", at, zeros, length);
        check_store(f, LOSES_NOTHING, "zeroed", at);
    }
}

static void test_damage__zeroed_pages_and_sectors(void **state) {
    struct fixture *f = *state;
    zero_each(f, PAGE_BYTES, PAGE_BYTES);
    zero_each(f, SECTOR, sector_step(f, 5));
    tell(f, "zeroed", 50);
}

static void test_damage__pages_in_the_place_of_others(void **state) {
    struct fixture *f = *state;
    const struct specimen_file *file = specimen_file(&f->specimen, "tidfs.db");
    size_t pages = file->length / PAGE_BYTES, most = f->stride > SECTOR ? EXCHANGES / f->stride : pages * pages;
    for (size_t i = 0; i < most; i++) {
        size_t from = next_random(f) % pages, to = next_random(f) % pages;
        if (from == to)
            continue;
        specimen_put(&f->specimen, f->directory);
        specimen_write(f->directory, "tidfs.db", to * PAGE_BYTES, file->bytes + from * PAGE_BYTES, PAGE_BYTES);
        if (i % 2 == 0)
            specimen_write(f->directory, "tidfs.db", from * PAGE_BYTES, file->bytes + to * PAGE_BYTES, PAGE_BYTES);
        check_store(f, LOSES_NOTHING, "page put elsewhere", to * PAGE_BYTES);
    }
    tell(f, "pages exchanged", 35);
}

static void test_damage__body_files_missing_or_replaced(void **state) {
    struct fixture *f = *state;
    const struct specimen_file *file = specimen_file(&f->specimen, "bodies/00000001");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", f->directory, file->name);
    specimen_put(&f->specimen, f->directory);
    assert_int_equal(unlink(path), 0);
    struct answers answers = check_store(f, LOSES_NOTHING, "no body file", 0);
    assert_in_range(answers.refused, 1, f->specimen.questions.count / 2);

    uint8_t *turned = malloc(file->length);
    assert_non_null(turned);
    for (size_t i = 0; i < file->length; i++)
        turned[i] = file->bytes[file->length - 1 - i];
    specimen_put(&f->specimen, f->directory);
    specimen_write(f->directory, file->name, 0, turned, file->length);
    free(turned);
    answers = check_store(f, LOSES_NOTHING, "another body file", 0);
    assert_in_range(answers.refused, 1, f->specimen.questions.count / 2);
}

static void test_damage__a_larger_store(void **state) {
    struct fixture *f = *state;
    f->stride *= LARGE_STRIDE;
    flip_each(f, "tidfs.db", nothing_lost, 70);
}

/* A page as it once was has a right checksum. That is not told in itself, only where it disagrees with other pages; all the same nothing crashes or hangs, and
 * what is right is read. */
static void test_damage__pages_as_they_once_were(void **state) {
    struct fixture *f = *state;
    const struct specimen_file *file = specimen_file(&f->specimen, "tidfs.db"), *old = &f->specimen.old;
    uint64_t wrong = 0, told = 0;
    for (size_t at = 0; at < old->length && at < file->length; at += PAGE_BYTES) {
        struct storage *storage;
        struct told problems = {0};
        struct verify_options options = {.problem = note_problem, .context = &problems};
        uint64_t count;
        if (memcmp(file->bytes + at, old->bytes + at, PAGE_BYTES) == 0)
            continue;
        (void)alarm(HANG_SECONDS);
        f->tried++;
        specimen_put(&f->specimen, f->directory);
        specimen_write(f->directory, "tidfs.db", at, old->bytes + at, PAGE_BYTES);
        if (open_store(f, false, &storage, NULL) != STORE_OK) {
            told++;
            continue;
        }
        struct answers answers = questions_ask(&f->specimen.questions, storage, f->specimen.last);
        assert_true(answers.right > 0);
        int rc = storage_verify(storage, &options, &count);
        assert_true(rc == STORE_OK || rc == STORE_CORRUPT);
        wrong += answers.wrong > 0;
        told += rc != STORE_OK || count > 0;
        storage_close(storage);
    }
    assert_true(f->tried > 0);
    print_message("    pages as they once were: %" PRIu64 ", of which verify tells %" PRIu64 " and %" PRIu64
                  " give old answers\n",
                  f->tried, told, wrong);
}

/* ---- */

static struct fixture *new_fixture(void) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->stride = knob("STRIDE", STRIDE_CI);
    f->seed = knob("SEED", 1);
    strcpy(f->directory, "/tmp/test_damage.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    return f;
}

static int set_up(void **state) {
    struct fixture *f = new_fixture();
    specimen_make(&f->specimen, 0);
    *state = f;
    return 0;
}

static int set_up_large(void **state) {
    struct fixture *f = new_fixture();
    specimen_make(&f->specimen, LARGE_COPIES);
    *state = f;
    return 0;
}

static int set_up_crashed(void **state) {
    struct fixture *f = new_fixture();
    specimen_make_crashed(&f->specimen);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    char command[128];
    (void)alarm(0);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
    int rc = system(command);
    specimen_release(&f->specimen);
    free(f);
    return rc;
}

int main(void) {
#define TEST(name)    cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define LARGE(name)   cmocka_unit_test_setup_teardown(name, set_up_large, tear_down)
#define CRASHED(name) cmocka_unit_test_setup_teardown(name, set_up_crashed, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_damage__each_byte_of_the_database),
        TEST(test_damage__each_byte_of_bodies),
        CRASHED(test_damage__each_byte_of_a_log),
        CRASHED(test_damage__each_byte_of_shared_memory),
        TEST(test_damage__databases_cut_off),
        TEST(test_damage__bodies_cut_off),
        CRASHED(test_damage__logs_cut_off),
        TEST(test_damage__zeroed_pages_and_sectors),
        TEST(test_damage__pages_in_the_place_of_others),
        TEST(test_damage__body_files_missing_or_replaced),
        TEST(test_damage__pages_as_they_once_were),
        LARGE(test_damage__a_larger_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
