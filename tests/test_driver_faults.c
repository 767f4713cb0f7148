/* The driver when the calls beneath it fail: each allocation and each system call of ours and of SQLite's, at its Nth occurrence, N = 1, 2, …, in a request of each
 * kind (driver_faults_steps.c), while it starts, and while it stops.
 *
 * After each fault: the request was answered, with success or the error that belongs to the fault; it works when it is asked again; other requests do; what
 * is there in the end is what there is without a fault; the store verifies, the instant that was there before is what it was, and no memory and no descriptor is
 * lost. If a commit failed for good, which is told by each later one, reads go on, and a new mount of the store finds it as it was before or after the step.
 *
 * DRIVER_FAULTS in the environment is how many faults to make in all, evenly over steps and kinds of faults, at random places (SEED); 0: all of them, which takes
 * some 20 minutes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config.h"
#include "fs/control.h"
#include "tests/driver_faults.h"
#include "tests/faults_inject.h"

#define FAULTS_DEFAULT 600
#define ALL_FILES      (INJECT_LOOKS | INJECT_READS | INJECT_WRITES | INJECT_SYNCS)
#define ALL_SQLITE     (INJECT_SQLITE_LOOKS | INJECT_SQLITE_READS | INJECT_SQLITE_WRITES | INJECT_SQLITE_SYNCS)
#define CHANGING       (INJECT_WRITES | INJECT_SQLITE_WRITES)
#define SYNCING        (INJECT_SYNCS | INJECT_SQLITE_SYNCS)

/* What fails, and what programs may hear of it besides that all is well. */
static const struct kind {
    const char *name;
    unsigned groups;
    int code;
    int allowed[2];
    bool final; /* a commit may have failed for good */
    bool halves, sticky;
} kinds[] = {
    {.name = "memory", .groups = INJECT_MEMORY, .code = ENOMEM, .allowed = {ENOMEM}},
    {.name = "memory of SQLite", .groups = INJECT_SQLITE_MEMORY, .code = ENOMEM, .allowed = {ENOMEM}},
    {.name = "no memory from now on",
     .groups = INJECT_MEMORY | INJECT_SQLITE_MEMORY,
     .code = ENOMEM,
     .allowed = {ENOMEM},
     .final = true, /* of a commit that fails so, nothing can be taken back without memory */
     .sticky = true},
    {.name = "reading",
     .groups = INJECT_LOOKS | INJECT_READS | INJECT_SQLITE_LOOKS | INJECT_SQLITE_READS,
     .code = EIO,
     .allowed = {EIO},
     .final = true},
    {.name = "writing", .groups = CHANGING | SYNCING, .code = EIO, .allowed = {EIO}, .final = true},
    {.name = "writing from now on",
     .groups = CHANGING | SYNCING,
     .code = EIO,
     .allowed = {EIO},
     .final = true,
     .sticky = true},
    {.name = "space", .groups = CHANGING, .code = ENOSPC, .allowed = {ENOSPC}},
    {.name = "quota", .groups = CHANGING, .code = EDQUOT, .allowed = {EDQUOT, ENOSPC}},
    {.name = "SQLite's I/O", .groups = INJECT_SQLITE_RESULTS, .code = SQLITE_IOERR, .allowed = {EIO}, .final = true},
    {.name = "SQLite's memory", .groups = INJECT_SQLITE_RESULTS, .code = SQLITE_NOMEM, .allowed = {ENOMEM}},
    {.name = "SQLite's space", .groups = INJECT_SQLITE_RESULTS, .code = SQLITE_FULL, .allowed = {ENOSPC}},
    {.name = "interrupted calls", .groups = ALL_FILES | ALL_SQLITE | INJECT_THREADS, .code = EINTR},
    {.name = "halves", .groups = INJECT_READS | INJECT_WRITES, .halves = true},
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* Made once, by main's thread, for all that follows. */
static struct {
    char base[64], template[80], directory[80];
    struct fake_instants instants;
    uint64_t before, exact; /* an instant that must stay, and its fingerprint */
    uint64_t untouched;     /* fingerprint of the newest tree */
    uint64_t seed, random;
    uint64_t faults, most; /* made so far, and to make; 0: all */
    uint64_t failed;       /* commits that failed for good */
} all;

/* What is being tried, for messages. */
struct trial {
    const char *step;
    const struct kind *kind; /* NULL: nothing fails */
    uint64_t nth;
};

static _Noreturn void complain(const struct trial *trial, const char *why, int64_t code) {
    inject_disarm();
    print_message("%s, %s, %llu (%s): %s (%lld)\n", trial->step, trial->kind != NULL ? trial->kind->name : "no fault",
                  (unsigned long long)trial->nth, inject_call(), why, (long long)code);
    fail();
    abort(); /* not reached: the compiler does not know */
}

static uint64_t random_below(uint64_t limit) {
    all.random = all.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (all.random >> 33) % limit;
}

/* ---- a mount ---- */

/* What a failed test left goes. */
static void new_store(void) {
    if (access(all.directory, F_OK) == 0) {
        assert_true(fake_store_remove(all.directory));
    }
    assert_true(fake_store_copy(all.template, all.directory));
}

static void quiet(void *context, enum log_level level, const char *line) {
    (void)context;
    (void)level;
    (void)line;
}

static const struct log silent = {.write = quiet, .most = LOG_LEVEL_ERROR};

struct mounted {
    struct world world;
    struct mount_options options;
    struct log log;
};

static int mount_start(struct mounted *mounted, const char *text) {
    struct error err = {0};
    memset(mounted, 0, sizeof *mounted);
    mounted->log = silent;
    mount_options_init(&mounted->options);
    if (mount_options_parse(&mounted->options, text, SOURCE_COMMAND_LINE, &err) != STORE_OK) {
        fail_msg("%s", err.text);
    }
    mounted->options.commit_interval_ns = 0;
    mounted->world.instants = &all.instants;
    int rc = fake_kernel_start(all.directory, &mounted->options, &mounted->log, 0, &mounted->world.mount.kernel, &err);
    if (rc != STORE_OK) {
        mount_options_release(&mounted->options);
    }
    return rc;
}

static int mount_stop(struct mounted *mounted) {
    struct error err = {0};
    int rc = fake_kernel_stop(mounted->world.mount.kernel, &err);
    mount_options_release(&mounted->options);
    return rc;
}

/* A path with %N in it, the tid of an instant. */
static int walk(struct world *world, const char *path, uint64_t *node) {
    char full[256];
    const char *instant = strchr(path, '%');
    if (instant == NULL) {
        return fake_walk(&world->mount, FUSE_ROOT_ID, path, node);
    }
    (void)snprintf(full, sizeof full, "%.*s%016llx%s", (int)(instant - path), path,
                   (unsigned long long)all.instants.tids[instant[1] - '0'], instant + 2);
    return fake_walk(&world->mount, FUSE_ROOT_ID, full, node);
}

static int status_of(struct world *world, bool *failed, bool *pending) {
    struct control_status *status = calloc(1, sizeof *status);
    assert_non_null(status);
    int rc = fake_ioctl(&world->mount, FUSE_ROOT_ID, CONTROL_STATUS, status, sizeof *status);
    *failed = status->failed != 0;
    *pending = status->pending_objects != 0;
    free(status);
    return rc;
}

/* ---- what must hold ---- */

/* All that a user does next. */
static void expect_working(struct world *world, const struct trial *trial, bool writable) {
    uint64_t head, node;
    char text[16];
    int64_t rc = fake_list(&world->mount, FUSE_ROOT_ID, true, NULL, NULL);
    if (rc != 0) {
        complain(trial, "the root cannot be listed", rc);
    }
    if (!writable) {
        return;
    }
    rc = fake_walk(&world->mount, FUSE_ROOT_ID, "head", &head);
    rc = rc != 0 ? rc : fake_mknod(&world->mount, head, "again", S_IFREG | 0600, &node);
    rc = rc != 0 ? rc : fake_write(&world->mount, node, 0, "once more", 9);
    rc = rc < 0 ? rc : fake_fsync(&world->mount, node, false);
    rc = rc < 0 ? rc : fake_read(&world->mount, node, 0, text, sizeof text);
    if (rc != 9 || memcmp(text, "once more", 9) != 0) {
        complain(trial, "a new file cannot be written", rc);
    }
    rc = fake_walk(&world->mount, FUSE_ROOT_ID, "at/now", &node);
    if (rc != 0) {
        complain(trial, "/at/now is not there", rc);
    }
}

/* A commit failed for good: changes say so, and commits if there is something to commit (a revert is taken back); reads go on. */
static void expect_failed(struct world *world, const struct trial *trial) {
    bool failed, pending;
    uint64_t head, node, deep;
    char text[16];
    int64_t rc = fake_walk(&world->mount, FUSE_ROOT_ID, "head", &head);
    rc = rc != 0 ? rc : fake_walk(&world->mount, head, "dir/sub/deep", &deep);
    rc = rc != 0 ? rc : fake_read(&world->mount, deep, 0, text, sizeof text);
    if (rc != sizeof text) {
        complain(trial, "the head cannot be read after a failure", rc);
    }
    rc = fake_mknod(&world->mount, head, "never", S_IFREG | 0600, &node);
    if (rc != -EIO && rc != -EROFS) {
        complain(trial, "the head can be changed after a failure", rc);
    }
    rc = status_of(world, &failed, &pending);
    rc = rc != 0 ? rc : fake_fsync(&world->mount, deep, false);
    if (pending && rc != -EIO && rc != -EROFS) {
        complain(trial, "a failed commit is forgotten", rc);
    }
}

static bool is_allowed(const struct kind *kind, int64_t rc) {
    return rc >= 0 || (kind != NULL && rc != 0 && (rc == -kind->allowed[0] || rc == -kind->allowed[1]));
}

static void expect_store(const struct trial *trial, uint64_t *newest) {
    uint64_t exact = 0;
    if (!fake_store_check(all.directory, all.before, true, &exact) ||
        !fake_store_check(all.directory, 0, false, newest)) {
        complain(trial, "the store is not sound", 0);
    }
    if (exact != all.exact) {
        complain(trial, "an earlier instant is another one now", 0);
    }
}

/* ---- one trial ---- */

static void arm(const struct trial *trial) {
    const struct kind *kind = trial->kind;
    if (kind != NULL) {
        inject_arm(&(struct inject_rule){.groups = kind->groups,
                                         .nth = trial->nth,
                                         .code = kind->code,
                                         .sticky = kind->sticky,
                                         .halves = kind->halves,
                                         .other_threads = true});
    }
}

struct lives {
    int64_t ours, sqlite;
    int descriptors;
};

static struct lives lives_now(void) {
    return (struct lives){inject_live(), inject_sqlite_live(), inject_descriptors()};
}

static void expect_lives(const struct trial *trial, struct lives before) {
    struct lives now = lives_now();
    if (now.ours != before.ours) {
        complain(trial, "memory is lost", now.ours - before.ours);
    }
    if (now.sqlite != before.sqlite) {
        complain(trial, "memory of SQLite is lost", now.sqlite - before.sqlite);
    }
    if (now.descriptors != before.descriptors) {
        complain(trial, "descriptors are lost", now.descriptors - before.descriptors);
    }
}

/* The step under the fault, and again without. Returns whether the head failed. */
static bool act(struct mounted *mounted, const struct step *step, const struct trial *trial) {
    struct world *world = &mounted->world;
    bool failed, pending;
    arm(trial);
    int64_t rc = step->act(world);
    inject_disarm();
    if (rc == FAKE_NO_REPLY) {
        complain(trial, "no answer, or a wrong one", rc);
    }
    if (!is_allowed(trial->kind, rc)) {
        complain(trial, "another error than that of the fault", rc);
    }
    int asked = status_of(world, &failed, &pending);
    if (asked != 0) {
        complain(trial, "the mount does not tell its state", asked);
    }
    if (failed && (trial->kind == NULL || !trial->kind->final)) {
        complain(trial, "the head failed", rc);
    }
    if (rc < 0 && !failed && (rc = step->act(world)) < 0) {
        complain(trial, "it does not work without the fault", rc);
    }
    return failed;
}

/* `clean`: what the tree is in the end without a fault; NULL: that is what is asked for. Returns whether there was a fault. */
static bool try_step(const struct step *step, const struct trial *trial, uint64_t *clean) {
    struct mounted mounted;
    struct world *world = &mounted.world;
    uint64_t newest = 0;
    struct lives before = lives_now();
    new_store();
    int64_t rc = mount_start(&mounted, step->options);
    for (size_t i = 0; i < STEP_NODES && step->paths[i] != NULL && rc >= 0; i++) {
        rc = walk(world, step->paths[i], &world->nodes[i]);
    }
    if (rc < 0 || (step->prepare != NULL && step->prepare(world) < 0)) {
        complain(trial, "it cannot be prepared", rc);
    }
    bool writable = !mount_options_read_only(&mounted.options);
    bool failed = act(&mounted, step, trial);
    bool hit = trial->kind != NULL && inject_hit();
    if (failed) {
        expect_failed(world, trial);
        all.failed++;
    } else {
        expect_working(world, trial, writable);
    }
    int closed = mount_stop(&mounted);
    if (closed != STORE_OK && !failed) {
        complain(trial, "the last commit failed", closed);
    }
    expect_store(trial, &newest);
    if (!fake_store_remove(all.directory)) {
        fail_msg("the store cannot be removed");
    }
    if (trial->kind == NULL) {
        *clean = newest;
    } else if (newest != *clean && !(failed && newest == all.untouched)) {
        complain(trial,
                 failed ? "the store is at no sealed transaction" : "the tree is not what it is without the fault", 0);
    }
    expect_lives(trial, before);
    return hit;
}

/* ---- all of them ---- */

/* Up to `most` faults of a kind, 0: all. */
static void try_kind(const struct step *step, const struct kind *kind, uint64_t most, uint64_t *clean) {
    struct trial trial = {.step = step->name, .kind = kind};
    if (most == 0) {
        for (trial.nth = 1; try_step(step, &trial, clean); trial.nth++) {
            all.faults++;
        }
        return;
    }
    trial.nth = UINT64_MAX; /* nothing fails; but it is counted what might have */
    (void)try_step(step, &trial, clean);
    uint64_t count = inject_count();
    for (uint64_t i = 0; i < most && i < count; i++) {
        trial.nth = most >= count ? i + 1 : 1 + random_below(count);
        all.faults += try_step(step, &trial, clean);
    }
}

static size_t count_steps(void) {
    size_t count = 0;
    while (steps[count].name != NULL) {
        count++;
    }
    return count;
}

/* In an order without a pattern: prime to any number of pairs below it. */
#define STRIDE 10007

static void test_driver_faults__in_requests(void **state) {
    (void)state;
    size_t step_count = count_steps(), pairs = step_count * KINDS;
    uint64_t *clean = calloc(step_count, sizeof *clean);
    bool *known = calloc(step_count, sizeof *known);
    const char *only = getenv("STEP");
    assert_true(clean != NULL && known != NULL);
    uint64_t first = random_below(pairs);
    for (uint64_t i = 0; i < pairs && (all.most == 0 || all.faults < all.most); i++) {
        size_t pair = (first + i * STRIDE) % pairs, at = pair / KINDS;
        const struct step *step = &steps[at];
        if (only != NULL && strcmp(only, step->name) != 0) {
            continue;
        }
        if (!known[at]) {
            (void)try_step(step, &(struct trial){.step = step->name}, &clean[at]);
            known[at] = true;
        }
        try_kind(step, &kinds[pair % KINDS], all.most == 0 ? 0 : 3, &clean[at]);
    }
    free(clean);
    free(known);
}

/* Opens under a fault: an error that belongs to it, or a mount that works. */
static bool try_start(const char *options, const struct trial *trial) {
    struct mounted mounted;
    uint64_t newest = 0;
    struct lives before = lives_now();
    new_store();
    arm(trial);
    int rc = mount_start(&mounted, options);
    inject_disarm();
    bool hit = inject_hit();
    if (rc != STORE_OK) {
        rc = mount_start(&mounted, options);
    }
    if (rc != STORE_OK) {
        complain(trial, "it cannot be mounted without the fault", rc);
    }
    expect_working(&mounted.world, trial, !mount_options_read_only(&mounted.options));
    rc = mount_stop(&mounted);
    if (rc != STORE_OK) {
        complain(trial, "the last commit failed", rc);
    }
    expect_store(trial, &newest);
    assert_true(fake_store_remove(all.directory));
    if (newest != all.untouched) {
        complain(trial, "mounting changes the tree", 0);
    }
    expect_lives(trial, before);
    return hit;
}

/* Unmounts with something pending, under a fault: it is there afterwards, or whoever unmounts hears that it is not. */
static bool try_stop(const char *options, const struct trial *trial) {
    struct mounted mounted;
    uint64_t head, node, newest = 0;
    struct lives before = lives_now();
    new_store();
    int rc = mount_start(&mounted, options);
    rc = rc != STORE_OK ? rc : fake_walk(&mounted.world.mount, FUSE_ROOT_ID, "head", &head);
    rc = rc != 0 ? rc : fake_mknod(&mounted.world.mount, head, "pending", S_IFREG | 0600, &node);
    if (rc != 0) {
        complain(trial, "it cannot be prepared", rc);
    }
    arm(trial);
    rc = mount_stop(&mounted);
    inject_disarm();
    bool hit = inject_hit();
    expect_store(trial, &newest);
    assert_true(fake_store_remove(all.directory));
    if (rc == STORE_OK && newest == all.untouched) {
        complain(trial, "what was pending is lost without a word", 0);
    }
    expect_lives(trial, before);
    return hit;
}

static void try_all(const char *name, const char *options, bool (*try)(const char *, const struct trial *),
                    const struct kind *kind) {
    struct trial trial = {.step = name, .kind = kind};
    if (all.most == 0) {
        for (trial.nth = 1; try(options, &trial); trial.nth++) {
            all.faults++;
        }
        return;
    }
    trial.nth = UINT64_MAX;
    (void)try(options, &trial);
    uint64_t count = inject_count();
    for (uint64_t i = 0; i < 5 && i < count; i++) {
        trial.nth = 1 + random_below(count);
        all.faults += try(options, &trial);
    }
}

static const struct kind threads = {
    .name = "threads", .groups = INJECT_THREADS, .code = EAGAIN, .allowed = {EAGAIN, ENOMEM}};

static void test_driver_faults__in_the_beginning(void **state) {
    static const char *const options[] = {"rw", "ro", "allow_other,subdir=dir/sub", "at=release,follow"};
    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        try_all("start", options[i], try_start, &threads);
        for (size_t j = 0; j < KINDS; j++) {
            if (kinds[j].code != EINTR && (all.most == 0 || random_below(3) == 0)) {
                try_all("start", options[i], try_start, &kinds[j]);
            }
        }
    }
}

static void test_driver_faults__in_the_end(void **state) {
    (void)state;
    for (size_t j = 0; j < KINDS; j++) {
        try_all("stop", "rw", try_stop, &kinds[j]);
    }
}

/* ---- commits that nobody waits for ---- */

/* Until the commit thread has tried. */
static void wait_for_commit(struct world *world) {
    struct control_status *status = calloc(1, sizeof *status);
    assert_non_null(status);
    for (int tries = 0; tries < 2000 && !inject_hit(); tries++) {
        assert_int_equal(fake_ioctl(&world->mount, FUSE_ROOT_ID, CONTROL_STATUS, status, sizeof *status), 0);
        usleep(5000);
    }
    free(status);
    assert_true(inject_hit());
}

/* Returns what the next fsync says, while the fault lasts (*during) and after. */
static int commit_behind(int code, int *during, int *closed) {
    struct mounted mounted;
    struct world *world = &mounted.world;
    struct error err = {0};
    uint64_t head, node;
    new_store();
    memset(&mounted, 0, sizeof mounted);
    mounted.log = silent;
    mount_options_init(&mounted.options);
    mounted.options.commit_interval_ns = 1000000;
    assert_int_equal(fake_kernel_start(all.directory, &mounted.options, &mounted.log, 0, &world->mount.kernel, &err),
                     STORE_OK);
    assert_int_equal(fake_walk(&world->mount, FUSE_ROOT_ID, "head", &head), 0);
    inject_arm(&(struct inject_rule){.groups = CHANGING | (code == EIO ? SYNCING : 0),
                                     .nth = 1,
                                     .code = code,
                                     .sticky = true,
                                     .other_threads = true});
    assert_int_equal(fake_mknod(&world->mount, head, "again", S_IFREG | 0600, &node), 0);
    wait_for_commit(world);
    *during = fake_fsync(&world->mount, node, false);
    inject_disarm();
    int after = fake_fsync(&world->mount, node, false);
    *closed = mount_stop(&mounted);
    assert_true(fake_store_remove(all.directory));
    return after;
}

static void test_driver_faults__a_failed_commit_behind_is_told_by_fsync_and_unmounting(void **state) {
    int during, closed;
    (void)state;
    int after = commit_behind(EIO, &during, &closed);
    assert_true(during == -EIO || during == -EROFS);
    assert_true(after == -EIO || after == -EROFS);
    assert_int_equal(closed, STORE_IO);
}

static void test_driver_faults__what_found_no_space_is_committed_when_there_is_some(void **state) {
    int during, closed;
    (void)state;
    int after = commit_behind(ENOSPC, &during, &closed);
    assert_int_equal(during, -ENOSPC);
    assert_int_equal(after, 0);
    assert_int_equal(closed, STORE_OK);
}

/* ---- beginning and end ---- */

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static int set_up(void **state) {
    (void)state;
    all.most = number_of("DRIVER_FAULTS", FAULTS_DEFAULT);
    all.seed = all.random = number_of("SEED", (uint64_t)getpid());
    (void)snprintf(all.base, sizeof all.base, "%s/test_driver_faults.XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(all.base));
    (void)snprintf(all.template, sizeof all.template, "%s/template", all.base);
    (void)snprintf(all.directory, sizeof all.directory, "%s/store", all.base);
    assert_true(fake_store_make(all.template, &all.instants));
    all.before = all.instants.seqs[FAKE_INSTANTS - 1] + 1;
    assert_true(fake_store_check(all.template, all.before, true, &all.exact));
    assert_true(fake_store_check(all.template, 0, false, &all.untouched));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    print_message(
        "    DRIVER_FAULTS=%llu SEED=%llu: %llu calls failed in %zu requests, %llu commits of them for good\n",
        (unsigned long long)all.most, (unsigned long long)all.seed, (unsigned long long)all.faults, count_steps(),
        (unsigned long long)all.failed);
    return fake_store_remove(all.base) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_driver_faults__in_requests),
        cmocka_unit_test(test_driver_faults__in_the_beginning),
        cmocka_unit_test(test_driver_faults__in_the_end),
        cmocka_unit_test(test_driver_faults__a_failed_commit_behind_is_told_by_fsync_and_unmounting),
        cmocka_unit_test(test_driver_faults__what_found_no_space_is_committed_when_there_is_some),
    };
    inject_init();
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
