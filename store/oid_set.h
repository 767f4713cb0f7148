/* A set of oids in memory: open addressing, doubling. Nothing is ever removed from it.
 *
 * Threads: none of its own; the owner locks. Ownership: init/release.
 */
#ifndef TIDFS_STORE_OID_SET_H
#define TIDFS_STORE_OID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oid_set {
    uint64_t *slots; /* 0: free, which is why no oid is 0 */
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

void oid_set_init(struct oid_set *set);
void oid_set_release(struct oid_set *set);

/* Adds oid (not 0). STORE_OK; STORE_EXISTS if it was there already; STORE_NO_MEMORY leaves the set unchanged. */
int oid_set_add(struct oid_set *set, uint64_t oid);
/* The same where it is all one whether it was there: STORE_OK or STORE_NO_MEMORY. */
int oid_set_put(struct oid_set *set, uint64_t oid);
bool oid_set_has(const struct oid_set *set, uint64_t oid);

#endif
