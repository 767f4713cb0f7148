/* Repair: of every store that is damaged somehow, all is kept that reads right, nothing reads wrong, and the newest state can be used.
 *
 * Environment: REPAIRS, how many stores are damaged at random; SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/lock.h"
#include "store/wal.h"
#include "tests/child.h"
#include "tests/repair.h"
#include "tests/tamper.h"

#define PAGE 4096

static uint64_t knob(const char *name, uint64_t fallback) {
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : fallback;
}

/* ---- damage ---- */

static void overwrite(struct bench *b, const char *file, uint64_t at, const void *bytes, size_t length) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", b->store, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    assert_int_equal(pwrite(fd, bytes, length, (off_t)at), length);
    (void)close(fd);
}

static uint64_t size_of(struct bench *b, const char *file) {
    char path[256];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/%s", b->store, file);
    return stat(path, &status) == 0 ? (uint64_t)status.st_size : 0;
}

static void flip(struct bench *b, const char *file, uint64_t at, uint8_t bit) {
    char path[256];
    uint8_t byte;
    (void)snprintf(path, sizeof path, "%s/%s", b->store, file);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (pread(fd, &byte, 1, (off_t)at) == 1) {
        byte ^= (uint8_t)(1u << (bit & 7));
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
    (void)close(fd);
}

static void cut(struct bench *b, const char *file, uint64_t size) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", b->store, file);
    if (truncate(path, (off_t)size) < 0)
        fail_msg("cannot cut %s", path);
}

static void zero_page(struct bench *b, uint64_t number) {
    static const uint8_t zeros[PAGE];
    overwrite(b, "tidfs.db", (number - 1) * PAGE, zeros, PAGE);
}

/* In a page of which the log has no newer version. */
static void damage_below_log(struct bench *b) {
    b->dry_run = true;
    for (uint64_t page = 18; page <= size_of(b, "tidfs.db") / PAGE; page++) {
        zero_page(b, page);
        if (bench_repair(b) == 1)
            break;
    }
    assert_true(b->result.damaged);
    b->dry_run = false;
}

/* Something at random, described in b->what. */
static void damage(struct bench *b) {
    static const char *const files[] = {"tidfs.db", "tidfs.db", "tidfs.db", "tidfs.db-wal", "bodies/00000001"};
    const char *file = files[bench_below(b, 5)];
    uint64_t size = size_of(b, file), pages = size_of(b, "tidfs.db") / PAGE;
    uint8_t noise[PAGE];
    if (size == 0) {
        file = "tidfs.db";
        size = pages * PAGE;
    }
    uint64_t kind = bench_below(b, 6), count = 1 + bench_below(b, 4);
    (void)snprintf(b->what, sizeof b->what, "kind %" PRIu64 " of %s", kind, file);
    switch (kind) {
    case 0: /* bits */
        for (uint64_t i = 0; i < count * 5; i++)
            flip(b, file, bench_below(b, size), (uint8_t)bench_below(b, 8));
        break;
    case 1:
        for (uint64_t i = 0; i < count; i++)
            zero_page(b, 1 + bench_below(b, pages));
        break;
    case 2:
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)bench_below(b, 256);
        overwrite(b, "tidfs.db", bench_below(b, pages) * PAGE, noise, sizeof noise);
        break;
    case 3:
        cut(b, file, bench_below(b, size));
        break;
    case 4: /* a page in the place of another */
        bench_copy_page(b, 1 + bench_below(b, pages), 1 + bench_below(b, pages));
        break;
    default: /* one bit: the smallest damage */
        flip(b, file, bench_below(b, size), (uint8_t)bench_below(b, 8));
        break;
    }
}

/* ---- tests ---- */

static void test_repair__leaves_a_sound_store_alone(void **state) {
    struct bench *b = *state;
    bench_fresh(b, false);
    assert_int_equal(bench_repair(b), 0);
    bench_assert_same_files(b);
}

static void test_repair__keeps_all_when_an_index_is_lost(void **state) {
    struct bench *b = *state;
    /* Roots of revision_oid, entry_oid, past_entry_level, subtree_dir. */
    static const unsigned pages[] = {7, 11, 14, 17};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        bench_fresh(b, false);
        zero_page(b, pages[i]);
        assert_int_equal(bench_repair(b), 1);
        assert_int_equal(b->result.losses, 0);
        bench_check(b);
        assert_int_equal(b->lost, 0);
    }
}

/* The index has nothing to say of a store whose records of earlier losses are not whole. */
static void test_repair__the_end_of_history_of_a_store_that_was_repaired(void **state) {
    struct bench *b = *state;
    uint64_t page = 18;
    do {
        bench_fresh(b, false);
        zero_page(b, page++);
        assert_int_equal(bench_repair(b), 1);
    } while (b->result.losses < 2);
    change_database(b->store, "UPDATE loss SET sum = sum + 1 WHERE id = 1");
    zero_page(b, 3);
    zero_page(b, 6);
    assert_int_equal(bench_repair(b), 1);
    bench_check(b);
}

static void test_repair__an_index_in_the_place_of_another(void **state) {
    struct bench *b = *state;
    bench_fresh(b, false);
    bench_copy_page(b, 7, 5); /* revision_oid, and the one of the transactions' tids */
    assert_int_equal(bench_repair(b), 1);
    bench_check(b);
    assert_int_equal(b->lost, 0);
}

static void test_repair__each_page_loses_only_its_own(void **state) {
    struct bench *b = *state;
    bench_fresh(b, false);
    uint64_t pages = size_of(b, "tidfs.db") / PAGE, step = knob("PAGES", 4), tried = 0;
    for (uint64_t page = 1 + knob("SEED", 1) % step; page <= pages; page += step) {
        bench_fresh(b, false);
        (void)snprintf(b->what, sizeof b->what, "page %" PRIu64 " zeroed", page);
        zero_page(b, page);
        (void)bench_repair(b);
        bench_check(b);
        tried++;
    }
    printf("    PAGES=%" PRIu64 " SEED=%" PRIu64 ": %" PRIu64 " of %" PRIu64 " pages zeroed in turn\n", step,
           knob("SEED", 1), tried, pages);
}

/* The state's, the table of revisions', and its index's: what tells where history ends, one after the other. */
static void test_repair__the_end_of_history_may_be_told_by_less_and_less(void **state) {
    struct bench *b = *state;
    static const unsigned pages[] = {3, 6, 7};
    for (size_t lost = 1; lost <= sizeof pages / sizeof pages[0]; lost++) {
        bench_fresh(b, false);
        (void)snprintf(b->what, sizeof b->what, "%zu of three pages zeroed", lost);
        for (size_t i = 0; i < lost; i++)
            zero_page(b, pages[i]);
        assert_int_equal(bench_repair(b), 1);
        bench_check(b);
    }
}

/* The objects that were written last are behind the cut with all that tells of them. */
static void test_repair__a_database_cut_short(void **state) {
    struct bench *b = *state;
    bench_fresh(b, false);
    uint64_t pages = size_of(b, "tidfs.db") / PAGE, step = knob("PAGES", 4), tried = 0, lost = 0, files = 0;
    for (uint64_t left = pages * 40 / 100; left < pages * 95 / 100; left += step) {
        bench_fresh(b, false);
        (void)snprintf(b->what, sizeof b->what, "cut to %" PRIu64 " of %" PRIu64 " pages", left, pages);
        cut(b, "tidfs.db", left * PAGE);
        assert_int_equal(bench_repair(b), 1);
        bench_check(b);
        lost += b->lost;
        files += b->lost_files;
        tried++;
    }
    printf("    PAGES=%" PRIu64 ": %" PRIu64 " cuts of %" PRIu64 " pages, %" PRIu64 " answers lost and %" PRIu64
           " files of the newest state\n",
           step, tried, pages, lost, files);
}

/* Pages of names that nothing leads to, beside others that are free, and nobody knows which; in the second case also those that the log replaces. */
static void test_repair__names_of_pages_that_nothing_leads_to(void **state) {
    struct bench *b = *state;
    for (int with_log = 0; with_log < 2; with_log++) {
        bench_fresh(b, with_log);
        zero_page(b, 1);
        zero_page(b, 9);
        if (with_log)
            flip(b, "tidfs.db-wal", WAL_HEADER_BYTES + WAL_FRAME_HEADER_BYTES + 2000, 3);
        assert_int_equal(bench_repair(b), 1);
        bench_check(b);
    }
}

/* What tells where it ends is lost, and of the last transaction one revision as well. */
static void test_repair__an_end_of_history_in_doubt(void **state) {
    struct bench *b = *state;
    bench_fresh(b, false);
    change_database(b->store, "UPDATE revision SET sum = sum + 1 WHERE id = (SELECT max(r.id) FROM revision r"
                              " JOIN revision c ON c.oid = r.oid AND c.seq = r.seq AND c.part > 0 WHERE r.part = 0"
                              " AND r.id < (SELECT max(id) FROM revision))");
    zero_page(b, 3);
    zero_page(b, 6);
    zero_page(b, 7);
    assert_int_equal(bench_repair(b), 1);
    bench_check(b);
    assert_int_not_equal(b->lost, 0);
}

/* Whether anything of a store is left. */
static bool damage_and_repair(struct bench *b, uint64_t seed, bool with_log) {
    b->random = seed * 0x9e3779b97f4a7c15 | 1;
    bench_fresh(b, with_log);
    damage(b);
    (void)snprintf(b->what + strlen(b->what), sizeof b->what - strlen(b->what), ", SEED=%" PRIu64 " REPAIRS=1", seed);
    if (bench_repair(b) == STORE_NOT_A_STORE)
        return false;
    bench_check(b);
    return true;
}

static void test_repair__random_damage(void **state) {
    struct bench *b = *state;
    uint64_t repairs = knob("REPAIRS", 60), seed = knob("SEED", 1), damaged = 0, lost = 0;
    for (uint64_t i = 0; i < repairs; i++) {
        if (!damage_and_repair(b, seed + i, (seed + i) % 3 == 2))
            continue;
        damaged += b->result.damaged;
        lost += b->lost;
    }
    printf("    REPAIRS=%" PRIu64 " SEED=%" PRIu64 ": %" PRIu64 " stores repaired, %" PRIu64 " of %" PRIu64
           " answers lost in all\n",
           repairs, seed, damaged, lost, repairs * b->question_count);
}

/* Damage that once came out wrong, by its seed for the test above. */
static void test_repair__damage_of_before(void **state) {
    struct bench *b = *state;
    static const struct {
        uint64_t seed;
        bool with_log;
    } before[] = {
        {1000, false},  {1000, true},  /* the database is cut short */
        {1680, false},  {1680, true},  /* bits of the database, and of its log */
        {2060, false},  {2060, true},  /* pages zeroed */
        {5925, false},  {5925, true},  /* pages zeroed */
        {21046, false}, {21046, true}, /* bits of the database, and of its log: a name that is older than its instant */
        {61771, false}, {61771, true}  /* the id of a mark: none is missing, and they are out of order */
    };
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
        (void)damage_and_repair(b, before[i].seed, before[i].with_log);
}

/* Where a frame of what was committed begins, from the last: 0. Behind it are frames of an earlier use of the log. */
static uint64_t frame_from_end(struct bench *b, uint64_t which) {
    char path[256];
    uint8_t header[WAL_HEADER_BYTES], frame[WAL_FRAME_HEADER_BYTES];
    uint64_t frames = 0;
    (void)snprintf(path, sizeof path, "%s/tidfs.db-wal", b->store);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
    while (pread(fd, frame, sizeof frame, (off_t)wal_frame_offset(frames + 1)) == (ssize_t)sizeof frame &&
           memcmp(frame + 8, header + 16, 8) == 0)
        frames++;
    (void)close(fd);
    return (uint64_t)wal_frame_offset(frames - which);
}

static void test_repair__takes_a_last_transaction_that_is_right(void **state) {
    struct bench *b = *state;
    bench_fresh(b, true);
    flip(b, "tidfs.db-wal", frame_from_end(b, 0) + 20, 3); /* the checksum of the frame: that of its page is right */
    assert_int_equal(bench_repair(b), 1);
    bench_check(b);
    assert_int_equal(b->lost, 0);
}

/* SQLite takes what is there for a transaction that was never finished. */
static void test_repair__tells_of_a_damaged_last_transaction(void **state) {
    struct bench *b = *state;
    for (uint64_t which = 0; which < 5; which++) {
        bench_fresh(b, true);
        (void)snprintf(b->what, sizeof b->what, "frame %" PRIu64 " from the end", which);
        flip(b, "tidfs.db-wal", frame_from_end(b, which) + 2000, 3);
        assert_int_equal(bench_repair(b), 1);
        assert_non_null(strstr(b->told, "the newest transactions"));
        bench_check(b);
    }
}

/* The header and most of the first frame. What the others have is taken all the same. */
static void test_repair__a_log_whose_beginning_is_lost(void **state) {
    static const uint8_t zeros[PAGE];
    struct bench *b = *state;
    bench_fresh(b, true);
    overwrite(b, "tidfs.db-wal", 0, zeros, sizeof zeros);
    assert_int_equal(bench_repair(b), 1);
    assert_non_null(strstr(b->told, "1 pages of the log are damaged"));
    bench_check(b);
}

/* Damaged is one that was durable; the last was not complete, and nobody misses it. */
static void test_repair__a_log_that_is_damaged_below_its_end(void **state) {
    static const uint8_t no_commit[4];
    struct bench *b = *state;
    bench_fresh(b, true);
    flip(b, "tidfs.db-wal", WAL_HEADER_BYTES + WAL_FRAME_HEADER_BYTES + 2000, 3);
    overwrite(b, "tidfs.db-wal", frame_from_end(b, 0) + 4, no_commit, sizeof no_commit);
    assert_int_equal(bench_repair(b), 1);
    assert_non_null(strstr(b->told, "1 pages of the log are damaged"));
    assert_null(strstr(b->told, "the newest transactions in the log are damaged"));
    bench_check(b);
}

/* Neither the header nor any frame: what is lost is told all the same. */
static void test_repair__a_log_that_is_lost_as_a_whole(void **state) {
    struct bench *b = *state;
    bench_fresh(b, true);
    flip(b, "tidfs.db-wal", WAL_HEADER_BYTES - 1, 3);
    for (uint64_t at = WAL_HEADER_BYTES; at < size_of(b, "tidfs.db-wal"); at += WAL_FRAME_BYTES)
        flip(b, "tidfs.db-wal", at + WAL_FRAME_HEADER_BYTES + 2000, 3);
    assert_int_equal(bench_repair(b), 1);
    assert_non_null(strstr(b->told, "the newest transactions in the log are damaged"));
    bench_check(b);
}

/* Frames of some pages alone: `only` those of `pages`, or all but those. */
static void damage_frames(struct bench *b, const uint32_t *pages, size_t count, bool only) {
    uint8_t frame[WAL_FRAME_HEADER_BYTES];
    char path[256];
    (void)snprintf(path, sizeof path, "%s/tidfs.db-wal", b->store);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (uint64_t at = WAL_HEADER_BYTES; pread(fd, frame, sizeof frame, (off_t)at) == (ssize_t)sizeof frame;
         at += WAL_FRAME_BYTES) {
        bool among = false;
        for (size_t i = 0; i < count; i++)
            among = among || wal_frame_page(frame) == pages[i];
        if (among == only)
            flip(b, "tidfs.db-wal", at + WAL_FRAME_HEADER_BYTES + 2000, 3);
    }
    (void)close(fd);
}

/* The newest state, of which an older one is left or none; all but it and the transactions; all but it. */
static void test_repair__a_log_of_which_some_pages_are_lost(void **state) {
    static const uint32_t pages[] = {3, 4}; /* of the state, and of the transactions */
    struct bench *b = *state;
    for (int which = 0; which < 4; which++) {
        bench_fresh(b, true);
        (void)snprintf(b->what, sizeof b->what, "case %d", which);
        damage_frames(b, pages, which == 2 ? 2 : 1, which < 2);
        if (which == 1)
            zero_page(b, 3);
        assert_int_equal(bench_repair(b), 1);
        bench_check(b);
    }
}

/* ---- a disk that is read-only, as it is for somebody who may not write there ---- */

static void set_modes(struct bench *b, bool writable) {
    char command[512];
    (void)snprintf(command, sizeof command, "chmod 755 '%s' && chmod -R %s '%s' && rm -f '%s/tidfs.db-shm'",
                   b->directory, writable ? "u+rwX" : "a+rX,a-w", b->store, b->store);
    assert_int_equal(system(command), 0);
}

/* Tells only, as a user who can write to `scratch` alone. NULL: is to repair. */
static int tell(struct bench *b, const char *scratch, struct repair_result *result, struct error *err) {
    const struct repair_options options = {.scratch = scratch};
    uid_t user = getuid() == 0 ? 65534 : getuid();
    assert_int_equal(setresuid(user, user, getuid()), 0);
    int rc = store_repair(b->store, &options, result, err);
    uid_t real, effective, saved;
    assert_int_equal(getresuid(&real, &effective, &saved), 0);
    assert_int_equal(setresuid(saved, saved, saved), 0);
    return rc;
}

static void test_repair__tells_of_a_store_that_cannot_be_written(void **state) {
    struct bench *b = *state;
    static const struct {
        bool no_log, damaged, no_scratch, no_bodies, in_place;
        int rc;
    } cases[] = {
        {.damaged = false},
        {.damaged = true},
        {.no_log = true},
        {.no_scratch = true, .rc = STORE_READ_ONLY},
        {.no_log = true, .no_scratch = true, .rc = STORE_READ_ONLY},
        {.damaged = true, .no_bodies = true, .rc = STORE_READ_ONLY},
        {.in_place = true, .rc = STORE_READ_ONLY},
    };
    char scratch[128], path[128], lock[128];
    (void)snprintf(scratch, sizeof scratch, "%s/scratch", b->directory);
    (void)snprintf(lock, sizeof lock, "%s/" LOCK_FILE, b->store);
    (void)snprintf(path, sizeof path, "%s/bodies/00000001", b->store);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        struct repair_result result = {0};
        bench_fresh(b, true);
        if (cases[i].no_log) /* but for the beginning of a first frame */
            cut(b, "tidfs.db-wal", WAL_HEADER_BYTES + 100);
        if (cases[i].damaged)
            damage_below_log(b);
        uint64_t hash = bench_hash(b, "tidfs.db"), log = bench_hash(b, "tidfs.db-wal");
        set_modes(b, false);
        assert_int_equal(mkdir(scratch, 0700), 0);
        assert_int_equal(chmod(scratch, cases[i].no_scratch ? 0555 : 01777), 0);
        assert_int_equal(chmod(path, cases[i].no_bodies ? 0 : 0444), 0);
        assert_int_equal(chmod(lock, 0666), 0);
        int rc = tell(b, cases[i].in_place ? NULL : scratch, &result, &err);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d: %s", i, rc, err.text);
        if (cases[i].no_scratch)
            assert_non_null(strstr(err.text, "cannot copy "));
        if (cases[i].no_bodies)
            assert_non_null(strstr(err.text, "one of its files, of bodies/ perhaps, may not be read"));
        assert_int_equal(result.damaged, cases[i].damaged);
        assert_int_equal(rmdir(scratch), 0);
        set_modes(b, true);
        assert_int_equal(bench_hash(b, "tidfs.db"), hash);
        assert_int_equal(bench_hash(b, "tidfs.db-wal"), log);
        repair_result_release(&result);
    }
}

/* ---- */

static void test_repair__keeps_the_damaged_database(void **state) {
    struct bench *b = *state;
    bench_fresh(b, false);
    zero_page(b, 9);
    uint64_t hash = bench_hash(b, "tidfs.db");
    assert_int_equal(bench_repair(b), 1);
    const char *name = strrchr(b->result.kept, '/') + 1;
    assert_int_equal(bench_hash(b, name), hash);
}

static void test_repair__dry_run_changes_nothing(void **state) {
    struct bench *b = *state;
    bench_fresh(b, true);
    damage_below_log(b);
    uint64_t hash = bench_hash(b, "tidfs.db"), log = bench_hash(b, "tidfs.db-wal");
    b->dry_run = true;
    assert_int_equal(bench_repair(b), 1);
    b->dry_run = false;
    assert_null(b->result.kept);
    assert_int_equal(bench_hash(b, "tidfs.db"), hash);
    assert_int_equal(bench_hash(b, "tidfs.db-wal"), log);
}

/* Killed after a while that grows until it comes through. */
static void test_repair__can_be_killed(void **state) {
    struct bench *b = *state;
    unsigned kills = 0;
    bench_fresh(b, true);
    damage_below_log(b);
    for (unsigned us = 500;; us += us / 2) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct repair_result result;
            struct repair_options options = {.scratch = NULL};
            child_exit(store_repair(b->store, &options, &result, NULL) == STORE_OK ? 0 : 1);
        }
        (void)usleep(us); /* the moment of the kill, and nothing that is waited for */
        (void)kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            break;
        }
        kills++;
    }
    assert_int_equal(bench_repair(b), 0);
    bench_check(b);
    printf("    %u kills before a repair came through\n", kills);
}

/* A limit on the size of files is a full disk, as far as the new database is concerned. */
static void test_repair__of_a_full_disk_changes_nothing(void **state) {
    struct bench *b = *state;
    bench_fresh(b, false);
    zero_page(b, 9);
    uint64_t hash = bench_hash(b, "tidfs.db"), size = size_of(b, "tidfs.db");
    for (uint64_t limit = 0; limit < size; limit += 4 * PAGE) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct repair_result result;
            struct repair_options options = {.scratch = NULL};
            const struct rlimit most = {.rlim_cur = limit, .rlim_max = limit};
            (void)signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &most) < 0)
                child_exit(2);
            child_exit(store_repair(b->store, &options, &result, NULL) == STORE_OK ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
        assert_int_equal(bench_hash(b, "tidfs.db"), hash);
    }
    assert_int_equal(bench_repair(b), 1);
    bench_check(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair__leaves_a_sound_store_alone),
        cmocka_unit_test(test_repair__keeps_all_when_an_index_is_lost),
        cmocka_unit_test(test_repair__the_end_of_history_may_be_told_by_less_and_less),
        cmocka_unit_test(test_repair__the_end_of_history_of_a_store_that_was_repaired),
        cmocka_unit_test(test_repair__each_page_loses_only_its_own),
        cmocka_unit_test(test_repair__random_damage),
        cmocka_unit_test(test_repair__damage_of_before),
        cmocka_unit_test(test_repair__takes_a_last_transaction_that_is_right),
        cmocka_unit_test(test_repair__tells_of_a_damaged_last_transaction),
        cmocka_unit_test(test_repair__a_log_whose_beginning_is_lost),
        cmocka_unit_test(test_repair__a_log_that_is_damaged_below_its_end),
        cmocka_unit_test(test_repair__a_log_that_is_lost_as_a_whole),
        cmocka_unit_test(test_repair__a_log_of_which_some_pages_are_lost),
        cmocka_unit_test(test_repair__an_index_in_the_place_of_another),
        cmocka_unit_test(test_repair__tells_of_a_store_that_cannot_be_written),
        cmocka_unit_test(test_repair__keeps_the_damaged_database),
        cmocka_unit_test(test_repair__dry_run_changes_nothing),
        cmocka_unit_test(test_repair__can_be_killed),
        cmocka_unit_test(test_repair__of_a_full_disk_changes_nothing),
    };
    const struct CMUnitTest large[] = {
        cmocka_unit_test(test_repair__a_database_cut_short),
        cmocka_unit_test(test_repair__names_of_pages_that_nothing_leads_to),
        cmocka_unit_test(test_repair__an_end_of_history_in_doubt),
        cmocka_unit_test(test_repair__each_page_loses_only_its_own),
        cmocka_unit_test(test_repair__random_damage),
    };
    return cmocka_run_group_tests(tests, bench_set_up, bench_tear_down) +
           cmocka_run_group_tests(large, bench_set_up_large, bench_tear_down);
}
