/* A power cut at every write.
 *
 * Workloads are recorded call by call (powercut_record.h). From each recording the states are made in which a disk may be left after
 * any of its events (powercut_disk.h), and each of them must open, verify, equal a transaction that was sealed, hold all that
 * was acknowledged, and take a new commit (powercut_check.c).
 *
 * Environment: STATES, how many (default 2000); SEED (default: the clock); STATE, the number of the only one to look at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/powercut_run.h"

#define RUNS_FIRST        4     /* that begin from nothing */
#define SUBSETS_MOST      64    /* of events that are not durable, all of which are tried */
#define STATES_A_FOLLOWER 400   /* that goes on after a power cut */
#define STATES_TOLD       10000 /* a line of progress after so many */
#define WRONG_MOST        5     /* then it is over */

enum choice {
    CHOICE_ALL,    /* what has happened is on the disk, as when the process was killed */
    CHOICE_NONE,   /* nothing but what is durable */
    CHOICE_TORN,   /* as the first, but the last write was being done */
    CHOICE_SUBSET, /* `mask` */
    CHOICE_RANDOM,
};

struct state {
    size_t run, cut;
    enum choice choice;
    uint64_t mask;
};

struct powercut {
    uint64_t seed, wanted;
    struct run *runs;
    size_t run_count;
    struct state *states;
    size_t state_count, state_capacity;
    size_t wrong;
    char base[64]; /* directories: of recordings and of states */
    char root[96];
};

static uint64_t knob(const char *name, uint64_t otherwise) {
    const char *value = getenv(name);
    return value && *value ? strtoull(value, NULL, 10) : otherwise;
}

/* Everything about a state follows from the seed and its number. */
static struct dice dice_of(const struct powercut *powercut, uint64_t number) {
    struct dice dice = {powercut->seed * UINT64_C(0x100000001b3) + number};
    dice.state = dice_throw(&dice);
    return dice;
}

static void set_fates(const struct state *state, struct disk *disk, struct dice *dice) {
    switch (state->choice) {
    case CHOICE_ALL:
        break;
    case CHOICE_NONE:
        for (size_t i = 0; i < disk->pending_count; i++)
            disk->fates[disk->pending[i]] = FATE_LOST;
        break;
    case CHOICE_TORN:
        disk_tear_last(disk, dice);
        break;
    case CHOICE_SUBSET:
        disk_choose_subset(disk, state->mask);
        break;
    case CHOICE_RANDOM:
        disk_choose(disk, dice);
        break;
    }
}

/* ---- which states ---- */

static void add_state(struct powercut *powercut, struct state state) {
    if (powercut->state_count == powercut->state_capacity) {
        powercut->state_capacity = powercut->state_capacity ? 2 * powercut->state_capacity : 1024;
        powercut->states = reallocarray(powercut->states, powercut->state_capacity, sizeof *powercut->states);
        assert_non_null(powercut->states);
    }
    powercut->states[powercut->state_count++] = state;
}

/* After each event of a run. */
static void enumerate(struct powercut *powercut, size_t number) {
    const struct run *run = &powercut->runs[number];
    for (size_t cut = 0; cut <= run->recording.event_count; cut++) {
        const struct event *last = cut > 0 ? &run->recording.events[cut - 1] : NULL;
        struct disk disk;
        disk_init(&disk, &run->recording, cut);
        add_state(powercut, (struct state){number, cut, CHOICE_ALL, 0});
        if (disk.pending_count > 0)
            add_state(powercut, (struct state){number, cut, CHOICE_NONE, 0});
        if (last && last->kind == EVENT_WRITE && last->length > SECTOR)
            add_state(powercut, (struct state){number, cut, CHOICE_TORN, 0});
        if (disk.pending_count < 64 && UINT64_C(1) << disk.pending_count <= SUBSETS_MOST)
            for (uint64_t mask = 1; mask + 1 < UINT64_C(1) << disk.pending_count; mask++)
                add_state(powercut, (struct state){number, cut, CHOICE_SUBSET, mask});
        disk_release(&disk);
    }
}

/* The first half of what is wanted are states that were enumerated, in any order; the others are sampled. */
static void choose_states(struct powercut *powercut) {
    struct dice dice = dice_of(powercut, UINT64_MAX);
    unsigned weights = 0;
    for (size_t i = 0; i < powercut->run_count; i++) {
        weights += powercut->runs[i].weight;
        if (powercut->runs[i].enumerated)
            enumerate(powercut, i);
    }
    for (size_t i = powercut->state_count; i-- > 1;) {
        size_t other = dice_below(&dice, i + 1);
        struct state swapped = powercut->states[i];
        powercut->states[i] = powercut->states[other];
        powercut->states[other] = swapped;
    }
    if (powercut->state_count > powercut->wanted / 2)
        powercut->state_count = powercut->wanted / 2;
    while (powercut->state_count < powercut->wanted) {
        uint64_t at = dice_below(&dice, weights);
        size_t number = 0;
        while (at >= powercut->runs[number].weight)
            at -= powercut->runs[number++].weight;
        size_t cut = dice_below(&dice, powercut->runs[number].recording.event_count + 1);
        add_state(powercut, (struct state){number, cut, CHOICE_RANDOM, 0});
    }
}

/* ---- looking at one ---- */

struct look {
    const struct run *run;
    struct disk disk;
    struct dice dice;
    char name[96]; /* for the message */
};

static void tell(const struct powercut *powercut, const struct look *look, const char *why) {
    print_error("SEED=%" PRIu64 " STATES=%" PRIu64 " %s of run %zu (%s), after %zu of %zu events: %s\n", powercut->seed,
                powercut->wanted, look->name, (size_t)(look->run - powercut->runs), look->run->name, look->disk.cut,
                look->run->recording.event_count, why);
    disk_print(&look->disk, stderr);
    print_error("the state is in %s\n", powercut->root);
}

/* True: all is well. Otherwise the state is left in powercut->root. */
static bool look_at(struct powercut *powercut, struct look *look) {
    char why[1024];
    disk_write(&look->disk, powercut->root);
    if (check_state(look->run, &look->disk, powercut->root, &look->dice, why, sizeof why))
        return true;
    disk_write(&look->disk, powercut->root);
    tell(powercut, look, why);
    powercut->wrong++;
    return false;
}

static bool look_at_state(struct powercut *powercut, size_t number) {
    static const char *const choices[] = {"all", "none", "torn", "subset", "random"};
    const struct state *state = &powercut->states[number];
    struct look look = {.run = &powercut->runs[state->run], .dice = dice_of(powercut, number)};
    (void)snprintf(look.name, sizeof look.name, "STATE=%zu (%s)", number, choices[state->choice]);
    disk_init(&look.disk, &look.run->recording, state->cut);
    set_fates(state, &look.disk, &look.dice);
    bool ok = look_at(powercut, &look);
    disk_release(&look.disk);
    return ok;
}

/* ---- all of it ---- */

static void make_directory(const struct powercut *powercut, const char *name, char *path, size_t size) {
    (void)snprintf(path, size, "%s/%s", powercut->base, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

/* A run that goes on from a state of an earlier one that holds a store. */
static void follow(struct powercut *powercut, size_t number) {
    char root[96], name[32];
    struct dice dice = dice_of(powercut, UINT64_MAX - 1 - number);
    struct look look = {.dice = dice};
    do
        look.run = &powercut->runs[dice_below(&dice, number)];
    while (!look.run->base_store || !look.run->enumerated);
    disk_init(&look.disk, &look.run->recording, dice_below(&dice, look.run->recording.event_count + 1));
    disk_choose(&look.disk, &dice);
    (void)snprintf(look.name, sizeof look.name, "beginning of run %zu, a state", number);
    if (!look_at(powercut, &look))
        fail();
    (void)snprintf(name, sizeof name, "again%zu", number);
    make_directory(powercut, name, root, sizeof root);
    disk_write(&look.disk, root);
    workload_again(&powercut->runs[number], look.run, root, &dice);
    disk_release(&look.disk);
}

static void record_runs(struct powercut *powercut) {
    static const unsigned weights[RUNS_FIRST] = {6, 12, 12, 1};
    char root[96];
    powercut->run_count = RUNS_FIRST + 1 + powercut->wanted / STATES_A_FOLLOWER;
    powercut->runs = calloc(powercut->run_count, sizeof *powercut->runs);
    assert_non_null(powercut->runs);
    struct dice dice = dice_of(powercut, UINT64_MAX - 1);
    make_directory(powercut, "create", root, sizeof root);
    workload_create(&powercut->runs[0], root, &dice);
    workload_commits(&powercut->runs[1], &dice);
    make_directory(powercut, "head", root, sizeof root);
    workload_head(&powercut->runs[2], root, &dice);
    make_directory(powercut, "large", root, sizeof root);
    workload_large(&powercut->runs[3], root, &dice);
    for (size_t i = 0; i < powercut->run_count; i++) {
        powercut->runs[i].weight = i < RUNS_FIRST ? weights[i] : 2;
        powercut->runs[i].enumerated = i != 3; /* the states of that one take long to make */
        if (i >= RUNS_FIRST)
            follow(powercut, i);
    }
}

static int set_up(void **test_state) {
    struct powercut *powercut = calloc(1, sizeof *powercut);
    assert_non_null(powercut);
    powercut->seed = knob("SEED", (uint64_t)time(NULL));
    powercut->wanted = knob("STATES", 2000);
    strcpy(powercut->base,
           access("/dev/shm", W_OK) == 0 ? "/dev/shm/tidfs-powercut.XXXXXX" : "/tmp/tidfs-powercut.XXXXXX");
    assert_non_null(mkdtemp(powercut->base));
    make_directory(powercut, "state", powercut->root, sizeof powercut->root);
    *test_state = powercut;
    return 0;
}

/* A state that was wrong stays where it was said to be. */
static int tear_down(void **test_state) {
    struct powercut *powercut = *test_state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", powercut->base);
    int rc = powercut->wrong ? 0 : system(command);
    for (size_t i = 0; i < powercut->run_count; i++)
        run_release(&powercut->runs[i]);
    free(powercut->runs);
    free(powercut->states);
    free(powercut);
    return rc;
}

static void test_powercut__every_state_of_the_disk_is_a_sealed_transaction(void **test_state) {
    struct powercut *powercut = *test_state;
    uint64_t only = knob("STATE", UINT64_MAX), looked = 0;
    size_t events = 0;
    record_runs(powercut);
    choose_states(powercut);
    for (size_t i = 0; i < powercut->state_count && powercut->wrong < WRONG_MOST; i++) {
        if (only != UINT64_MAX && i != only)
            continue;
        looked++;
        (void)look_at_state(powercut, i);
        if (looked % STATES_TOLD == 0) {
            printf("    %" PRIu64 " states of %" PRIu64 ", %zu wrong\n", looked, powercut->wanted, powercut->wrong);
            (void)fflush(stdout);
        }
    }
    for (size_t i = 0; i < powercut->run_count; i++)
        events += powercut->runs[i].recording.event_count;
    printf("    STATES=%" PRIu64 " SEED=%" PRIu64 ": %" PRIu64 " states after %zu events of %zu runs, %zu wrong\n",
           powercut->wanted, powercut->seed, looked, events, powercut->run_count, powercut->wrong);
    assert_int_equal(powercut->wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_powercut__every_state_of_the_disk_is_a_sealed_transaction, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
