/* Private to the cache: a set of cached values ordered by (oid, kind, part, from).
 *
 * A treap: a binary tree by key and a heap by a random priority, so its depth stays about twice the logarithm of the
 * count for any order of insertion. It links the values themselves and allocates nothing.
 *
 * Invariant: keys are unique in one index.
 * Threads: the caller locks. Cost: logarithmic.
 */
#ifndef TIDFS_STORE_CACHE_INDEX_H
#define TIDFS_STORE_CACHE_INDEX_H

#include "store/cache.h"

struct cache_index {
    struct cached *root;
};

struct cache_key {
    uint64_t oid;
    uint8_t kind;
    uint64_t part;
    uint64_t from;
};

/* The key of `value` must not be there yet; private.priority is set. */
void cache_index_insert(struct cache_index *index, struct cached *value);
/* `value` must be there. */
void cache_index_remove(struct cache_index *index, struct cached *value);
/* The value with just this key; NULL if none. */
struct cached *cache_index_find(const struct cache_index *index, const struct cache_key *key);
/* The value with the greatest key <= `key` (not_after), or with the smallest key >= `key` (not_before); NULL if none. */
struct cached *cache_index_not_after(const struct cache_index *index, const struct cache_key *key);
struct cached *cache_index_not_before(const struct cache_index *index, const struct cache_key *key);

#endif
