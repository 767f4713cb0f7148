#include "store/oid_set.h"

#include <assert.h>
#include <stdlib.h>

#include "store/error.h"

#define CAPACITY_FIRST 64

void oid_set_init(struct oid_set *set) {
    *set = (struct oid_set){0};
}

void oid_set_release(struct oid_set *set) {
    free(set->slots);
    *set = (struct oid_set){0};
}

/* The slot that holds oid, or the free one where it belongs. Some slot is always free. */
static size_t find_slot(const uint64_t *slots, size_t capacity, uint64_t oid) {
    uint64_t hash = oid * UINT64_C(0x9e3779b97f4a7c15);
    size_t slot = (size_t)(hash ^ hash >> 32) & (capacity - 1);
    while (slots[slot] != 0 && slots[slot] != oid)
        slot = (slot + 1) & (capacity - 1);
    return slot;
}

static int grow(struct oid_set *set) {
    size_t capacity = set->capacity ? set->capacity * 2 : CAPACITY_FIRST;
    uint64_t *slots = calloc(capacity, sizeof *slots);
    if (!slots)
        return STORE_NO_MEMORY;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i] != 0)
            slots[find_slot(slots, capacity, set->slots[i])] = set->slots[i];
    free(set->slots);
    set->slots = slots;
    set->capacity = capacity;
    return STORE_OK;
}

int oid_set_add(struct oid_set *set, uint64_t oid) {
    assert(oid != 0);
    if (oid_set_has(set, oid))
        return STORE_EXISTS;
    if (set->count + set->count / 2 >= set->capacity && grow(set) < 0)
        return STORE_NO_MEMORY;
    set->slots[find_slot(set->slots, set->capacity, oid)] = oid;
    set->count++;
    return STORE_OK;
}

int oid_set_put(struct oid_set *set, uint64_t oid) {
    int rc = oid_set_add(set, oid);
    return rc == STORE_EXISTS ? STORE_OK : rc;
}

bool oid_set_has(const struct oid_set *set, uint64_t oid) {
    return set->capacity > 0 && set->slots[find_slot(set->slots, set->capacity, oid)] == oid;
}
