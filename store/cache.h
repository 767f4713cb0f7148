/* The shared cache: one copy of every decoded thing for the head and all views.
 *
 * An entry is what one part looks like over a range of transactions: it answers a reader at `before`
 * when from < before <= until. A hundred views of an unchanged file share one entry.
 *
 * Invariants
 *  1. An open-ended entry (until == CACHE_OPEN_ENDED) is right for every before <= cache_last() + 1. cache_advance()
 *     ends the entries that a commit replaced, before any reader may ask for the new seq.
 *  2. What was loaded while cache_advance() ran is never kept as open-ended: cache_put() takes the `last` that was
 *     seen before the load.
 *  3. The bytes kept are at most the budget (entries in use by readers may exceed it until released); entries
 *     that have ended (history only) are further held to the historic budget. Least recently used go first.
 *
 *  4. (kind, oid, part, from) names one value: two entries that agree in it are equal, and are merged.
 *
 * Threads: any; cache_advance by one at a time. Sharded locks inside, one held at a time, never while calling out.
 * Ownership: cache_get and cache_put return a reference that cache_release gives back. Values are immutable.
 */
#ifndef TIDFS_STORE_CACHE_H
#define TIDFS_STORE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define CACHE_OPEN_ENDED UINT64_MAX

enum cache_kind { CACHE_INODE, CACHE_XATTRS, CACHE_CHUNK, CACHE_LIST, CACHE_SUBTREE, CACHE_VERSION, CACHE_KINDS };

struct cache;

/* Embedded first in every cached value. `from` never changes; `until` and `private` are the cache's (guarded by a
 * lock of its own) from cache_put on: others must not even read them. */
struct cached {
    uint64_t from, until;
    struct cached_private {
        struct cached *left, *right;  /* in the index */
        struct cached *older, *newer; /* in order of use, while nobody holds it */
        void (*free)(struct cached *);
        uint64_t oid, part;
        uint64_t used; /* when it was last given back, by the shard's count */
        size_t bytes;
        uint32_t refs, priority;
        uint8_t kind, historic;
    } private;
};

struct cache_statistics {
    uint64_t hits, misses, bytes, historic_bytes, entries;
};

/* NULL if out of memory. */
struct cache *cache_new(uint64_t budget_bytes, uint64_t historic_budget_bytes);
/* All references must have been released. NULL is legal. */
void cache_free(struct cache *cache);

/* The newest transaction that the cache knows. */
uint64_t cache_last(const struct cache *cache);
/* The transactions after cache_last(), up to `seq`, changed these objects: entries of them (all parts and kinds) that are
 * open-ended now end with before = cache_last() + 1. Called in order, before readers may ask for before = seq + 1; then
 * cache_last() is seq. */
void cache_advance(struct cache *cache, uint64_t seq, const uint64_t *oids, size_t count);

/* A reference to the entry that answers (kind, oid, part) at `before`, or NULL. */
struct cached *cache_get(struct cache *cache, enum cache_kind kind, uint64_t oid, uint64_t part, uint64_t before);
/* Adds a value with ->from and ->until set (from < until). `last` is cache_last() from before it was loaded. Returns a
 * reference to it, or to an equal one that came first (then `value` is freed, and the older one answers the range of
 * both). `bytes` is what it takes in memory; `free` frees it. Cannot fail. */
struct cached *cache_put(struct cache *cache, enum cache_kind kind, uint64_t oid, uint64_t part, uint64_t last,
                         struct cached *value, size_t bytes, void (*free)(struct cached *));
/* Gives a reference back. NULL is legal. */
void cache_release(struct cache *cache, struct cached *value);

void cache_get_statistics(struct cache *cache, struct cache_statistics *statistics);

#endif
