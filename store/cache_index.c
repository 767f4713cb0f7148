#include "store/cache_index.h"

#include <assert.h>

static int compare_numbers(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

static int compare(const struct cached *value, const struct cache_key *key) {
    int order = compare_numbers(value->private.oid, key->oid);
    if (order == 0) {
        order = compare_numbers(value->private.kind, key->kind);
    }
    if (order == 0) {
        order = compare_numbers(value->private.part, key->part);
    }
    return order != 0 ? order : compare_numbers(value->from, key->from);
}

static struct cache_key key_of(const struct cached *value) {
    return (struct cache_key){
        .oid = value->private.oid, .kind = value->private.kind, .part = value->private.part, .from = value->from};
}

/* Cuts the tree in two: keys below `key`, and the others. */
static void split(struct cached *root, const struct cache_key *key, struct cached **below, struct cached **others) {
    while (root != NULL) {
        if (compare(root, key) < 0) {
            *below = root;
            below = &root->private.right;
            root = root->private.right;
        } else {
            *others = root;
            others = &root->private.left;
            root = root->private.left;
        }
    }
    *below = NULL;
    *others = NULL;
}

void cache_index_insert(struct cache_index *index, struct cached *value) {
    struct cache_key key = key_of(value);
    struct cached **link = &index->root;

    while (*link != NULL && (*link)->private.priority >= value->private.priority) {
        int order = compare(*link, &key);
        assert(order != 0);
        link = order < 0 ? &(*link)->private.right : &(*link)->private.left;
    }
    split(*link, &key, &value->private.left, &value->private.right);
    *link = value;
}

void cache_index_remove(struct cache_index *index, struct cached *value) {
    struct cache_key key = key_of(value);
    struct cached **link = &index->root;

    while (*link != value) {
        assert(*link != NULL);
        link = compare(*link, &key) < 0 ? &(*link)->private.right : &(*link)->private.left;
    }
    struct cached *left = value->private.left;
    struct cached *right = value->private.right;
    while (left != NULL && right != NULL) {
        if (left->private.priority >= right->private.priority) {
            *link = left;
            link = &left->private.right;
            left = left->private.right;
        } else {
            *link = right;
            link = &right->private.left;
            right = right->private.left;
        }
    }
    *link = left != NULL ? left : right;
    value->private.left = NULL;
    value->private.right = NULL;
}

struct cached *cache_index_find(const struct cache_index *index, const struct cache_key *key) {
    struct cached *value = cache_index_not_after(index, key);
    return value != NULL && compare(value, key) == 0 ? value : NULL;
}

struct cached *cache_index_not_after(const struct cache_index *index, const struct cache_key *key) {
    struct cached *best = NULL;

    for (struct cached *at = index->root; at != NULL;) {
        if (compare(at, key) <= 0) {
            best = at;
            at = at->private.right;
        } else {
            at = at->private.left;
        }
    }
    return best;
}

struct cached *cache_index_not_before(const struct cache_index *index, const struct cache_key *key) {
    struct cached *best = NULL;

    for (struct cached *at = index->root; at != NULL;) {
        if (compare(at, key) >= 0) {
            best = at;
            at = at->private.left;
        } else {
            at = at->private.right;
        }
    }
    return best;
}
