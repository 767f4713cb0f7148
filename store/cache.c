/* The shared cache.
 *
 * Objects are spread over shards and buckets by oid, so that all that is kept of one object is in one bucket. A bucket
 * has two indexes: the open-ended entries, which a commit must find to end them, and the ended ones, of which there may be
 * thousands for one part. So a commit costs what it ends, not what is cached.
 *
 * An entry is in its index as long as it lives, and in one of its shard's two lists of use only while nobody holds it:
 * what is in a list may be evicted.
 *
 * Bytes are counted for the whole cache, because one value (a directory of 100,000 entries) may be larger than a
 * shard's share. To make room, shards are visited in turn and each gives up its least recently used entry, which comes close
 * to the order of use of the whole.
 */
#include "store/cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "store/cache_index.h"

#define SHARDS           16
#define SHARD_SHIFT      4
#define BUCKETS_MIN      64
#define BUCKETS_MAX      65536
#define BYTES_PER_BUCKET 4096

struct bucket {
    struct cache_index open, ended;
};

struct use_list {
    struct cached *oldest, *newest;
};

struct shard {
    pthread_mutex_t lock; /* protects all below, and ->until and ->private of its entries */
    struct bucket *buckets;
    struct use_list current, historic;
    uint64_t clock; /* counts releases */
    uint64_t hits, misses, entries;
    uint32_t random;
};

struct cache {
    uint64_t budget, historic_budget;
    uint64_t bucket_mask;
    _Atomic uint64_t last;
    _Atomic uint64_t advancing; /* the seq that cache_advance is going to; last at other times */
    _Atomic uint64_t bytes, historic_bytes;
    _Atomic uint32_t turn; /* which shard makes room next */
    struct shard shards[SHARDS];
};

static uint64_t mix(uint64_t oid) {
    oid *= UINT64_C(0x9e3779b97f4a7c15);
    return oid ^ (oid >> 32);
}

static struct shard *shard_of(struct cache *cache, uint64_t oid) {
    return &cache->shards[mix(oid) % SHARDS];
}

static struct bucket *bucket_of(struct cache *cache, struct shard *shard, uint64_t oid) {
    return &shard->buckets[(mix(oid) >> SHARD_SHIFT) & cache->bucket_mask];
}

static bool is_open(const struct cached *value) {
    return value->until == CACHE_OPEN_ENDED;
}

static struct cache_index *index_of(struct bucket *bucket, const struct cached *value) {
    return is_open(value) ? &bucket->open : &bucket->ended;
}

static struct use_list *list_of(struct shard *shard, const struct cached *value) {
    return value->private.historic ? &shard->historic : &shard->current;
}

static void list_add(struct shard *shard, struct cached *value) {
    struct use_list *list = list_of(shard, value);

    value->private.used = ++shard->clock;
    value->private.newer = NULL;
    value->private.older = list->newest;
    *(list->newest != NULL ? &list->newest->private.newer : &list->oldest) = value;
    list->newest = value;
}

static void list_remove(struct shard *shard, struct cached *value) {
    struct use_list *list = list_of(shard, value);

    *(value->private.newer != NULL ? &value->private.newer->private.older : &list->newest) = value->private.older;
    *(value->private.older != NULL ? &value->private.older->private.newer : &list->oldest) = value->private.newer;
    value->private.newer = NULL;
    value->private.older = NULL;
}

static void hold(struct shard *shard, struct cached *value) {
    if (value->private.refs++ == 0) {
        list_remove(shard, value);
    }
}

/* Moves an entry between the open-ended and the ended, with all that depends on it. */
static void set_until(struct cache *cache, struct shard *shard, struct bucket *bucket, struct cached *value,
                      uint64_t until) {
    bool was_open = is_open(value);
    bool opens = until == CACHE_OPEN_ENDED;

    if (was_open == opens) {
        value->until = until;
        return;
    }
    if (value->private.refs == 0) {
        list_remove(shard, value);
    }
    cache_index_remove(index_of(bucket, value), value);
    value->until = until;
    value->private.historic = !opens;
    cache_index_insert(index_of(bucket, value), value);
    if (opens) {
        atomic_fetch_sub(&cache->historic_bytes, value->private.bytes);
    } else {
        atomic_fetch_add(&cache->historic_bytes, value->private.bytes);
    }
    if (value->private.refs == 0) {
        list_add(shard, value);
    }
}

static bool over_historic(struct cache *cache) {
    return atomic_load(&cache->historic_bytes) > cache->historic_budget;
}

static bool over_budget(struct cache *cache) {
    return atomic_load(&cache->bytes) > cache->budget || over_historic(cache);
}

/* The entry of a shard that goes first: an ended one while these are too many, else the least recently used of all. */
static struct cached *victim_of(struct cache *cache, const struct shard *shard) {
    struct cached *historic = shard->historic.oldest;
    struct cached *current = shard->current.oldest;

    if (historic != NULL && (current == NULL || over_historic(cache))) {
        return historic;
    }
    if (atomic_load(&cache->bytes) <= cache->budget) {
        return NULL;
    }
    return historic == NULL || current->private.used < historic->private.used ? current : historic;
}

static void drop(struct cache *cache, struct shard *shard, struct cached *value) {
    list_remove(shard, value);
    cache_index_remove(index_of(bucket_of(cache, shard, value->private.oid), value), value);
    shard->entries--;
    atomic_fetch_sub(&cache->bytes, value->private.bytes);
    if (value->private.historic) {
        atomic_fetch_sub(&cache->historic_bytes, value->private.bytes);
    }
}

static bool evict_one(struct cache *cache, struct shard *shard) {
    pthread_mutex_lock(&shard->lock);
    struct cached *value = victim_of(cache, shard);
    if (value != NULL) {
        drop(cache, shard, value);
    }
    pthread_mutex_unlock(&shard->lock);
    if (value != NULL) {
        value->private.free(value);
    }
    return value != NULL;
}

static void make_room(struct cache *cache) {
    unsigned fruitless = 0;

    /* A whole round without success: all that is left is in use, and its release comes back here. */
    while (fruitless < SHARDS && over_budget(cache)) {
        uint32_t turn = atomic_fetch_add_explicit(&cache->turn, 1, memory_order_relaxed);
        fruitless = evict_one(cache, &cache->shards[turn % SHARDS]) ? 0 : fruitless + 1;
    }
}

struct cache *cache_new(uint64_t budget_bytes, uint64_t historic_budget_bytes) {
    struct cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL) {
        return NULL;
    }
    uint64_t buckets = BUCKETS_MIN;
    while (buckets < BUCKETS_MAX && buckets * BYTES_PER_BUCKET * SHARDS < budget_bytes) {
        buckets *= 2;
    }
    cache->budget = budget_bytes;
    cache->historic_budget = historic_budget_bytes;
    cache->bucket_mask = buckets - 1;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        shard->random = i + 1;
        shard->buckets = calloc(buckets, sizeof *shard->buckets);
        if (shard->buckets == NULL || pthread_mutex_init(&shard->lock, NULL) != 0) {
            free(shard->buckets);
            while (i-- > 0) {
                pthread_mutex_destroy(&cache->shards[i].lock);
                free(cache->shards[i].buckets);
            }
            free(cache);
            return NULL;
        }
    }
    return cache;
}

void cache_free(struct cache *cache) {
    if (cache == NULL) {
        return;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        struct cached *value;
        while ((value = shard->historic.oldest) != NULL || (value = shard->current.oldest) != NULL) {
            drop(cache, shard, value);
            value->private.free(value);
        }
        assert(shard->entries == 0);
        pthread_mutex_destroy(&shard->lock);
        free(shard->buckets);
    }
    free(cache);
}

uint64_t cache_last(const struct cache *cache) {
    return atomic_load(&cache->last);
}

static void end_object(struct cache *cache, uint64_t oid, uint64_t until) {
    struct shard *shard = shard_of(cache, oid);
    struct cache_key key = {.oid = oid};
    struct cached *value;

    pthread_mutex_lock(&shard->lock);
    struct bucket *bucket = bucket_of(cache, shard, oid);
    while ((value = cache_index_not_before(&bucket->open, &key)) != NULL && value->private.oid == oid) {
        set_until(cache, shard, bucket, value, until);
    }
    pthread_mutex_unlock(&shard->lock);
}

void cache_advance(struct cache *cache, uint64_t seq, const uint64_t *oids, size_t count) {
    uint64_t last = cache_last(cache);

    assert(seq >= last);
    /* Before any entry is ended: a cache_put that comes to a shard after this pass has been there must see that its load
     * may be from before the change. */
    atomic_store(&cache->advancing, seq);
    for (size_t i = 0; i < count; i++) {
        end_object(cache, oids[i], last + 1);
    }
    atomic_store(&cache->last, seq);
    make_room(cache);
}

static struct cached *find(struct bucket *bucket, const struct cache_key *key, uint64_t before) {
    const struct cache_index *indexes[] = {&bucket->open, &bucket->ended};

    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
        struct cached *value = cache_index_not_after(indexes[i], key);
        if (value != NULL && value->private.oid == key->oid && value->private.kind == key->kind &&
            value->private.part == key->part && before <= value->until) {
            return value;
        }
    }
    return NULL;
}

struct cached *cache_get(struct cache *cache, enum cache_kind kind, uint64_t oid, uint64_t part, uint64_t before) {
    assert(before >= 1);
    struct shard *shard = shard_of(cache, oid);
    struct cache_key key = {.oid = oid, .kind = (uint8_t)kind, .part = part, .from = before - 1};

    pthread_mutex_lock(&shard->lock);
    struct cached *value = find(bucket_of(cache, shard, oid), &key, before);
    if (value != NULL) {
        hold(shard, value);
        shard->hits++;
    } else {
        shard->misses++;
    }
    pthread_mutex_unlock(&shard->lock);
    return value;
}

static uint32_t next_random(struct shard *shard) {
    uint32_t x = shard->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return shard->random = x;
}

/* The entry with just this key, in either index. */
static struct cached *find_equal(struct bucket *bucket, const struct cache_key *key) {
    struct cached *value = cache_index_find(&bucket->open, key);
    return value != NULL ? value : cache_index_find(&bucket->ended, key);
}

struct cached *cache_put(struct cache *cache, enum cache_kind kind, uint64_t oid, uint64_t part, uint64_t last,
                         struct cached *value, size_t bytes, void (*free_value)(struct cached *)) {
    struct shard *shard = shard_of(cache, oid);
    struct cache_key key = {.oid = oid, .kind = (uint8_t)kind, .part = part, .from = value->from};
    assert(value->from < value->until);

    pthread_mutex_lock(&shard->lock);
    struct bucket *bucket = bucket_of(cache, shard, oid);
    uint64_t until = value->until;
    if (until == CACHE_OPEN_ENDED && atomic_load(&cache->advancing) != last) {
        /* Something was committed since; what is certain is what all transactions up to `last` left. */
        until = last + 1;
        assert(value->from < until);
    }
    struct cached *kept = find_equal(bucket, &key);
    if (kept != NULL) {
        hold(shard, kept);
        if (until > kept->until) {
            set_until(cache, shard, bucket, kept, until);
        }
    } else {
        value->until = until;
        value->private = (struct cached_private){
            .free = free_value,
            .oid = oid,
            .part = part,
            .bytes = bytes,
            .refs = 1,
            .priority = next_random(shard),
            .kind = (uint8_t)kind,
            .historic = until != CACHE_OPEN_ENDED,
        };
        cache_index_insert(index_of(bucket, value), value);
        shard->entries++;
        atomic_fetch_add(&cache->bytes, bytes);
        if (value->private.historic) {
            atomic_fetch_add(&cache->historic_bytes, bytes);
        }
    }
    pthread_mutex_unlock(&shard->lock);

    if (kept != NULL) {
        free_value(value);
        return kept;
    }
    make_room(cache);
    return value;
}

void cache_release(struct cache *cache, struct cached *value) {
    if (value == NULL) {
        return;
    }
    struct shard *shard = shard_of(cache, value->private.oid);
    bool idle = false;

    pthread_mutex_lock(&shard->lock);
    assert(value->private.refs > 0);
    if (--value->private.refs == 0) {
        list_add(shard, value);
        idle = true;
    }
    pthread_mutex_unlock(&shard->lock);
    if (idle) {
        make_room(cache);
    }
}

void cache_get_statistics(struct cache *cache, struct cache_statistics *statistics) {
    *statistics = (struct cache_statistics){
        .bytes = atomic_load(&cache->bytes),
        .historic_bytes = atomic_load(&cache->historic_bytes),
    };
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        statistics->hits += shard->hits;
        statistics->misses += shard->misses;
        statistics->entries += shard->entries;
        pthread_mutex_unlock(&shard->lock);
    }
}
