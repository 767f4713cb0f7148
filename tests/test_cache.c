#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "store/cache.h"
#include "store/cache_index.h"

#define BUDGET 100000

struct value {
    struct cached cached;
    uint64_t number;
};

static _Atomic uint64_t freed;

static void free_value(struct cached *cached) {
    atomic_fetch_add(&freed, 1);
    free(cached);
}

static struct value *put_range(struct cache *cache, enum cache_kind kind, uint64_t oid, uint64_t part, uint64_t last,
                               uint64_t from, uint64_t until, size_t bytes, uint64_t number) {
    struct value *value = calloc(1, sizeof *value);
    assert_non_null(value);
    value->cached.from = from;
    value->cached.until = until;
    value->number = number;
    return (struct value *)cache_put(cache, kind, oid, part, last, &value->cached, bytes, free_value);
}

/* Puts and lets go. */
static void keep(struct cache *cache, uint64_t oid, uint64_t from, uint64_t until, size_t bytes) {
    struct value *value = put_range(cache, CACHE_INODE, oid, 0, cache_last(cache), from, until, bytes, oid);
    cache_release(cache, &value->cached);
}

/* The number of the value that answers, 0 if none. */
static uint64_t number_at(struct cache *cache, enum cache_kind kind, uint64_t oid, uint64_t part, uint64_t before) {
    struct value *value = (struct value *)cache_get(cache, kind, oid, part, before);
    uint64_t number = value != NULL ? value->number : 0;
    cache_release(cache, value != NULL ? &value->cached : NULL);
    return number;
}

static bool has(struct cache *cache, uint64_t oid, uint64_t before) {
    return number_at(cache, CACHE_INODE, oid, 0, before) != 0;
}

static struct cache *new_cache(uint64_t budget, uint64_t historic, uint64_t last) {
    struct cache *cache = cache_new(budget, historic);
    assert_non_null(cache);
    cache_advance(cache, last, NULL, 0);
    return cache;
}

static void test_cache__answers_from_exclusive_to_until_inclusive(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 20);
    keep(cache, 7, 5, 9, 100);
    assert_false(has(cache, 7, 5));
    assert_true(has(cache, 7, 6));
    assert_true(has(cache, 7, 9));
    assert_false(has(cache, 7, 10));
    assert_false(has(cache, 8, 7));
    cache_free(cache);
}

static void test_cache__kinds_and_parts_are_apart(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 20);
    for (uint64_t part = 0; part < 3; part++) {
        cache_release(cache, &put_range(cache, CACHE_CHUNK, 7, part, 20, 5, CACHE_OPEN_ENDED, 100, 100 + part)->cached);
    }
    cache_release(cache, &put_range(cache, CACHE_XATTRS, 7, 0, 20, 5, CACHE_OPEN_ENDED, 100, 200)->cached);
    assert_int_equal(number_at(cache, CACHE_CHUNK, 7, 0, 21), 100);
    assert_int_equal(number_at(cache, CACHE_CHUNK, 7, 2, 21), 102);
    assert_int_equal(number_at(cache, CACHE_CHUNK, 7, 3, 21), 0);
    assert_int_equal(number_at(cache, CACHE_XATTRS, 7, 0, 21), 200);
    assert_int_equal(number_at(cache, CACHE_INODE, 7, 0, 21), 0);
    cache_free(cache);
}

static void test_cache__a_thousand_versions_of_one_part(void **state) {
    (void)state;
    struct cache *cache = new_cache(10 * BUDGET, 10 * BUDGET, 2000);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t from = 1 + (i * 379) % 1000; /* in no order */
        cache_release(cache, &put_range(cache, CACHE_LIST, 1, 0, 2000, from, from + 1, 100, from)->cached);
    }
    for (uint64_t from = 1; from <= 1000; from++) {
        assert_int_equal(number_at(cache, CACHE_LIST, 1, 0, from + 1), from);
    }
    assert_int_equal(number_at(cache, CACHE_LIST, 1, 0, 1002), 0);
    cache_free(cache);
}

static void test_cache__commit_ends_all_parts_of_what_changed_and_nothing_else(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 10);
    for (uint64_t part = 0; part < 5; part++) {
        cache_release(cache, &put_range(cache, CACHE_CHUNK, 7, part, 10, 2, CACHE_OPEN_ENDED, 100, 1)->cached);
        cache_release(cache, &put_range(cache, CACHE_CHUNK, 8, part, 10, 2, CACHE_OPEN_ENDED, 100, 1)->cached);
    }
    keep(cache, 7, 2, CACHE_OPEN_ENDED, 100);
    const uint64_t changed[] = {7, 99};
    cache_advance(cache, 11, changed, 2);
    assert_int_equal(cache_last(cache), 11);
    for (uint64_t part = 0; part < 5; part++) {
        assert_int_equal(number_at(cache, CACHE_CHUNK, 7, part, 11), 1);
        assert_int_equal(number_at(cache, CACHE_CHUNK, 7, part, 12), 0);
        assert_int_equal(number_at(cache, CACHE_CHUNK, 8, part, 12), 1);
    }
    assert_true(has(cache, 7, 11));
    assert_false(has(cache, 7, 12));
    struct cache_statistics statistics;
    cache_get_statistics(cache, &statistics);
    assert_int_equal(statistics.historic_bytes, 600);
    assert_int_equal(statistics.bytes, 1100);
    assert_int_equal(statistics.entries, 11);
    cache_free(cache);
}

static void test_cache__advance_by_several_ends_at_the_first(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 10);
    keep(cache, 7, 2, CACHE_OPEN_ENDED, 100);
    const uint64_t changed[] = {7};
    cache_advance(cache, 15, changed, 1); /* which of 11..15 changed it is not known */
    assert_true(has(cache, 7, 11));
    assert_false(has(cache, 7, 12));
    assert_int_equal(cache_last(cache), 15);
    cache_free(cache);
}

static void test_cache__loaded_before_a_commit_is_not_open_ended(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 10);
    uint64_t last = cache_last(cache);
    const uint64_t changed[] = {99};
    cache_advance(cache, 11, changed, 1);
    struct value *value = put_range(cache, CACHE_INODE, 7, 0, last, 2, CACHE_OPEN_ENDED, 100, 1);
    cache_release(cache, &value->cached);
    assert_true(has(cache, 7, 11));
    assert_false(has(cache, 7, 12));
    cache_free(cache);
}

static void test_cache__equal_values_are_merged(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 10);
    atomic_store(&freed, 0);
    keep(cache, 7, 2, CACHE_OPEN_ENDED, 100);
    const uint64_t changed[] = {7};
    cache_advance(cache, 11, changed, 1);
    struct value *again = put_range(cache, CACHE_INODE, 7, 0, 11, 2, CACHE_OPEN_ENDED, 100, 1234);
    assert_int_equal(again->number, 7);
    assert_int_equal(atomic_load(&freed), 1);
    cache_release(cache, &again->cached);
    assert_true(has(cache, 7, 12));
    struct cache_statistics statistics;
    cache_get_statistics(cache, &statistics);
    assert_int_equal(statistics.entries, 1);
    assert_int_equal(statistics.historic_bytes, 0);

    /* A shorter range does not end it. */
    cache_release(cache, &put_range(cache, CACHE_INODE, 7, 0, 11, 2, 5, 100, 1)->cached);
    assert_true(has(cache, 7, 12));
    cache_free(cache);
    assert_int_equal(atomic_load(&freed), 3);
}

static void test_cache__budget_holds_and_the_least_recently_used_go(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 10);
    for (uint64_t oid = 1; oid <= 400; oid++) {
        keep(cache, oid, 2, CACHE_OPEN_ENDED, 1000);
        (void)has(cache, 1, 11); /* in use all the time */
        struct cache_statistics statistics;
        cache_get_statistics(cache, &statistics);
        assert_in_range(statistics.bytes, 1, BUDGET);
    }
    assert_true(has(cache, 1, 11));
    assert_true(has(cache, 400, 11));
    assert_false(has(cache, 2, 11));
    unsigned recent = 0;
    for (uint64_t oid = 350; oid <= 400; oid++) {
        recent += has(cache, oid, 11);
    }
    assert_true(recent >= 45); /* the order is that of each shard, so close to it */
    cache_free(cache);
}

static void test_cache__historic_budget_spares_the_present(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET / 10, 1000);
    for (uint64_t oid = 1; oid <= 50; oid++) {
        keep(cache, oid, 900, CACHE_OPEN_ENDED, 1000);
    }
    for (uint64_t oid = 1000; oid < 1200; oid++) {
        keep(cache, oid, 2, 5, 1000);
    }
    struct cache_statistics statistics;
    cache_get_statistics(cache, &statistics);
    assert_int_equal(statistics.historic_bytes, BUDGET / 10);
    for (uint64_t oid = 1; oid <= 50; oid++) {
        assert_true(has(cache, oid, 1001));
    }
    cache_free(cache);
}

static void test_cache__what_is_in_use_stays_and_goes_when_released(void **state) {
    (void)state;
    struct cache *cache = new_cache(1000, 1000, 10);
    struct value *large = put_range(cache, CACHE_INODE, 7, 0, 10, 2, CACHE_OPEN_ENDED, 5000, 77);
    for (uint64_t oid = 100; oid < 150; oid++) {
        keep(cache, oid, 2, CACHE_OPEN_ENDED, 100);
    }
    assert_int_equal(number_at(cache, CACHE_INODE, 7, 0, 11), 77);
    assert_int_equal(large->number, 77);
    cache_release(cache, &large->cached);
    struct cache_statistics statistics;
    cache_get_statistics(cache, &statistics);
    assert_in_range(statistics.bytes, 0, 1000);
    assert_false(has(cache, 7, 11));
    cache_free(cache);
}

static void test_cache__one_value_may_be_larger_than_a_shards_share(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 10);
    keep(cache, 7, 2, CACHE_OPEN_ENDED, BUDGET / 2);
    assert_true(has(cache, 7, 11));
    cache_free(cache);
}

static void test_cache__counts_hits_and_misses(void **state) {
    (void)state;
    struct cache *cache = new_cache(BUDGET, BUDGET, 10);
    keep(cache, 7, 2, CACHE_OPEN_ENDED, 10);
    (void)has(cache, 7, 11);
    (void)has(cache, 7, 11);
    (void)has(cache, 8, 11);
    struct cache_statistics statistics;
    cache_get_statistics(cache, &statistics);
    assert_int_equal(statistics.hits, 2);
    assert_int_equal(statistics.misses, 1);
    cache_free(cache);
}

static void test_cache__index_is_ordered_for_any_order_of_insertion(void **state) {
    (void)state;
    enum { COUNT = 2000 };
    struct cache_index index = {NULL};
    struct cached *values = calloc(COUNT, sizeof *values);
    assert_non_null(values);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t at = (i * 1237U) % COUNT;
        values[at].from = at * 2U; /* even ones only */
        values[at].private.oid = 5;
        values[at].private.priority = (i * 2654435761U) >> 7;
        cache_index_insert(&index, &values[at]);
    }
    for (uint32_t i = 0; i < COUNT; i += 3) {
        cache_index_remove(&index, &values[i]);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        struct cache_key key = {.oid = 5, .from = i * 2U};
        assert_ptr_equal(cache_index_find(&index, &key), i % 3 != 0 ? &values[i] : NULL);
        if (i % 3 == 0 && i + 1 < COUNT) {
            assert_ptr_equal(cache_index_not_before(&index, &key), &values[i + 1]);
            assert_ptr_equal(cache_index_not_after(&index, &key), i > 0 ? &values[i - 1] : NULL);
        }
    }
    free(values);
}

/* ---- threads ---- */

enum { OBJECTS = 40, COMMITS = 3000, READERS = 3, CHANGED = 300 };

/* A make-believe storage: `seq` changes the object seq % OBJECTS, whose value is then seq. A load of an object takes the
 * newest change that is visible, as a storage does that may be ahead of what the cache was told. */
struct world {
    struct cache *cache;
    _Atomic uint64_t committed;
    _Atomic bool stop;
    _Atomic uint64_t reads, wrong;
};

static uint64_t value_before(uint64_t oid, uint64_t before) {
    uint64_t newest = before - 1;
    uint64_t back = (newest + OBJECTS - oid) % OBJECTS;
    return newest > back ? newest - back : 0;
}

static void *read_world(void *argument) {
    struct world *world = argument;
    uint64_t random = 12345;

    while (!atomic_load(&world->stop)) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t last = cache_last(world->cache);
        uint64_t oid = (random >> 33) % OBJECTS;
        uint64_t before = last + 1;
        if ((random >> 20) % 4 == 0 && last > 100) {
            before = last - (random >> 40) % 60;
        } else if ((random >> 20) % 4 > 1) {
            oid = (last + 1) % OBJECTS; /* what the next commit changes */
        }
        uint64_t expected = value_before(oid, before);
        if (expected == 0) {
            continue;
        }
        struct value *value = (struct value *)cache_get(world->cache, CACHE_INODE, oid, 0, before);
        if (value == NULL) {
            uint64_t last_now = cache_last(world->cache);
            uint64_t next = expected + OBJECTS;
            value = calloc(1, sizeof *value);
            value->cached.from = expected;
            value->cached.until = next <= atomic_load(&world->committed) ? next : CACHE_OPEN_ENDED;
            value->number = expected;
            if ((random >> 45) % 2 == 0) {
                sched_yield(); /* a commit may come between the load and the put */
            }
            value =
                (struct value *)cache_put(world->cache, CACHE_INODE, oid, 0, last_now, &value->cached, 300, free_value);
        }
        atomic_fetch_add(&world->reads, 1);
        if (value->number != expected) {
            atomic_fetch_add(&world->wrong, 1);
        }
        cache_release(world->cache, &value->cached);
    }
    return NULL;
}

static void test_cache__readers_never_see_a_stale_value_while_commits_go_on(void **state) {
    (void)state;
    struct world world = {.cache = new_cache(5000, 2500, 0)};
    pthread_t readers[READERS];
    uint64_t changed[CHANGED]; /* many more that nobody reads, so that ending them takes a while */
    for (size_t i = 0; i < CHANGED; i++) {
        changed[i] = OBJECTS + i;
    }
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_world, &world), 0);
    }
    for (uint64_t seq = 1; seq <= COMMITS; seq++) {
        atomic_store(&world.committed, seq);
        changed[0] = seq % OBJECTS;
        cache_advance(world.cache, seq, changed, CHANGED);
        while (seq > OBJECTS && atomic_load(&world.reads) < 10 * (seq - OBJECTS)) {
            sched_yield();
        }
    }
    atomic_store(&world.stop, true);
    for (size_t i = 0; i < READERS; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(atomic_load(&world.wrong), 0);
    struct cache_statistics statistics;
    cache_get_statistics(world.cache, &statistics);
    assert_in_range(statistics.bytes, 0, 5000);
    assert_in_range(statistics.historic_bytes, 0, 2500);
    cache_free(world.cache);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache__answers_from_exclusive_to_until_inclusive),
        cmocka_unit_test(test_cache__kinds_and_parts_are_apart),
        cmocka_unit_test(test_cache__a_thousand_versions_of_one_part),
        cmocka_unit_test(test_cache__commit_ends_all_parts_of_what_changed_and_nothing_else),
        cmocka_unit_test(test_cache__advance_by_several_ends_at_the_first),
        cmocka_unit_test(test_cache__loaded_before_a_commit_is_not_open_ended),
        cmocka_unit_test(test_cache__equal_values_are_merged),
        cmocka_unit_test(test_cache__budget_holds_and_the_least_recently_used_go),
        cmocka_unit_test(test_cache__historic_budget_spares_the_present),
        cmocka_unit_test(test_cache__what_is_in_use_stays_and_goes_when_released),
        cmocka_unit_test(test_cache__one_value_may_be_larger_than_a_shards_share),
        cmocka_unit_test(test_cache__counts_hits_and_misses),
        cmocka_unit_test(test_cache__index_is_ordered_for_any_order_of_insertion),
        cmocka_unit_test(test_cache__readers_never_see_a_stale_value_while_commits_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
