/* Arrays that grow by one item at a time. */
#ifndef TIDFS_STORE_ARRAY_H
#define TIDFS_STORE_ARRAY_H

#include <stddef.h>

/* Room for one more than `count` items of `size` bytes: the array, perhaps elsewhere, for the caller to keep in the place of `items` (NULL: none
 * yet). NULL without memory: then `items` and *capacity are as they were. */
void *array_grow(void *items, size_t *capacity, size_t count, size_t size);

#endif
