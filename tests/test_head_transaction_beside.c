/* Atomic groups of operations at random, and beside other threads: what can be seen is before or after. */
#include "tests/head_chance.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- at random ---- */

static int random_change(void *context) {
    struct chance *chance = context;
    for (uint32_t i = draw(chance, 30); i > 0; i--)
        random_operation(chance);
    free(chance->end);
    chance->end = dump_try(chance->f, true);
    return chance->result;
}

static void test_head_transaction_beside__random_changes_are_all_or_nothing(void **state) {
    struct fixture *f = *state;
    struct chance chance = {.f = f, .seed = 20261122};
    for (int round = 0; round < 600; round++) {
        for (uint32_t i = draw(&chance, 8); i > 0; i--)
            random_operation(&chance);
        random_hold(&chance);
        char *before = dump(f);
        int fate = (int)draw(&chance, 5);
        chance.result = fate == 0 ? -ECANCELED : 0;
        if (fate == 1) {
            assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
            storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, false});
        }
        int rc = head_transaction(f->head, random_change, &chance, NULL, "random", NULL);
        storage_fault_set(f->fault, NULL);
        assert_int_equal(rc, fate == 0 ? -ECANCELED : fate == 1 ? -ENOSPC : 0);
        assert_nothing_pending(f);
        assert_non_null(chance.end);
        assert_dump(f, rc == 0 ? chance.end : before);
        free(before);
        if (round % 50 == 49) {
            f->held_count = 0;
            char *end = dump(f);
            reopen(f);
            assert_dump(f, end);
            free(end);
        }
    }
    free(chance.end);
    assert_sound(f);
}

/* ---- beside other threads ---- */

#define ROUNDS 60
#define PAIR   4000 /* bytes of each half */

struct beside {
    struct fixture *f;
    uint64_t directory, pair; /* the group's: one name at any time; a file with two equal halves */
    _Atomic bool stop;
    _Atomic int generation;
    _Atomic uint64_t looks;
    _Atomic int writers;
};

static int write_half(struct beside *beside, int half, int value) {
    uint8_t data[PAIR];
    memset(data, value & 255, sizeof data);
    int64_t done = head_write(beside->f->head, beside->pair, (uint64_t)half * PAIR, PAIR, data, false);
    return done < 0 ? (int)done : 0;
}

/* Everything that it does in between would be seen as wrong: no name, two names, halves that differ, forbidden values. */
static int next_generation(struct beside *beside, bool keep) {
    struct head *head = beside->f->head;
    struct head_attr attr;
    char name[16], next[16];
    int generation = atomic_load(&beside->generation);
    (void)snprintf(name, sizeof name, "g%d", generation);
    (void)snprintf(next, sizeof next, "g%d", generation + 1);
    int rc = head_unlink(head, beside->directory, name, strlen(name));
    if (rc == 0)
        rc = write_half(beside, 0, 255);
    if (rc == 0)
        rc = head_make(head, beside->directory, "extra", 5, S_IFREG | 0600, 0, NULL, &caller, &attr);
    if (rc == 0)
        head_forget(head, attr.oid, 1);
    if (rc == 0)
        rc = write_half(beside, 1, keep ? generation % 200 : 255);
    if (rc == 0)
        rc = write_half(beside, 0, keep ? generation % 200 : 254);
    if (rc == 0)
        rc = head_rename(head, beside->directory, "extra", 5, beside->directory, next, strlen(next), 0);
    if (rc == 0 && keep)
        atomic_store(&beside->generation, generation + 1);
    return rc < 0 ? rc : keep ? 0 : -ECANCELED;
}

static int keep_generation(void *context) {
    return next_generation(context, true);
}

static int drop_generation(void *context) {
    return next_generation(context, false);
}

static void *look(void *context) {
    struct beside *beside = context;
    while (!atomic_load(&beside->stop)) {
        struct names names = {0};
        int rc = head_readdir(beside->f->head, beside->directory, UINT64_MAX, collect, &names);
        bool one = rc == 0 && names.count == 1 && names.items[0].text[0] == 'g';
        free(names.items);
        if (!one)
            return "a directory in between";
        uint8_t data[2 * PAIR];
        size_t done;
        if (head_read(beside->f->head, beside->pair, 0, sizeof data, data, &done) < 0 || done != sizeof data)
            return "cannot read";
        if (memcmp(data, data + PAIR, PAIR) != 0 || data[0] >= 254)
            return "a file in between";
        (void)atomic_fetch_add(&beside->looks, 1);
        (void)usleep(50); /* the lock prefers readers: those who never pause would keep all others out */
    }
    return NULL;
}

static void *write_beside(void *context) {
    struct beside *beside = context;
    struct fixture *f = beside->f;
    int number = atomic_fetch_add(&beside->writers, 1);
    for (int i = 0; !atomic_load(&beside->stop); i++) {
        char path[16];
        (void)snprintf(path, sizeof path, "w%d-%d", number, i % 7);
        (void)remove_(f, path, false);
        if (make(f, path, S_IFREG | 0600, NULL) < 0 || write_(f, path, 0, 6000, i, 3000) < 0)
            return "cannot write";
        if (head_seal(f->head, NULL, i % 3 ? NULL : "beside", NULL) < 0)
            return "cannot seal";
    }
    return NULL;
}

static void *transact_beside(void *context) {
    struct beside *beside = context;
    for (int i = 0; i < ROUNDS; i++) {
        bool keep = i % 3 != 2;
        int rc =
            head_transaction(beside->f->head, keep ? keep_generation : drop_generation, beside, "ann", "group", NULL);
        if (rc != (keep ? 0 : -ECANCELED))
            return "cannot transact";
    }
    return NULL;
}

/* A transaction of the group holds its directory, its pair and two files, and nothing else. */
static void assert_groups(struct fixture *f, const struct beside *beside, int expected) {
    int groups = 0;
    for (uint64_t seq = 2; seq <= store_last(f->store); seq++) {
        struct transaction transaction;
        assert_int_equal(storage_transaction_at(store_storage(f->store), seq, &transaction), STORE_OK);
        bool group = !strcmp(transaction.message, "group");
        transaction_release(&transaction);
        uint64_t *oids;
        size_t count, own = 0;
        assert_int_equal(storage_changed(store_storage(f->store), seq - 1, seq, &oids, &count), STORE_OK);
        for (size_t i = 0; i < count; i++)
            own += oids[i] == beside->directory || oids[i] == beside->pair;
        free(oids);
        groups += group;
        if (group) {
            assert_int_equal(count, 4);
            assert_int_equal(own, 2);
        } else if (groups > 0) {
            assert_int_equal(own, 0);
        }
    }
    assert_int_equal(groups, expected);
}

static void test_head_transaction_beside__others_see_all_of_it_or_nothing(void **state) {
    struct fixture *f = *state;
    struct beside beside = {.f = f};
    static void *(*const work[])(void *) = {transact_beside, transact_beside, look, look, write_beside, write_beside};
    pthread_t threads[6];
    assert_int_equal(make(f, "group", S_IFDIR | 0700, NULL), 0);
    assert_int_equal(make(f, "group/g0", S_IFREG | 0600, NULL), 0);
    assert_int_equal(make(f, "pair", S_IFREG | 0600, NULL), 0);
    hold(f, "group");
    hold(f, "pair");
    beside.directory = f->held[0];
    beside.pair = f->held[1];
    assert_int_equal(write_half(&beside, 0, 0), 0);
    assert_int_equal(write_half(&beside, 1, 0), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work[i], &beside), 0);
    for (int i = 0; i < 6; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        if (result)
            fail_msg("thread %d: %s", i, (const char *)result);
        if (i == 1)
            atomic_store(&beside.stop, true);
    }
    assert_int_equal(atomic_load(&beside.generation), 2 * ROUNDS / 3 * 2);
    assert_true(atomic_load(&beside.looks) > 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_groups(f, &beside, 2 * ROUNDS / 3 * 2);
    assert_sound(f);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_head_transaction_beside__random_changes_are_all_or_nothing),
        TEST(test_head_transaction_beside__others_see_all_of_it_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
