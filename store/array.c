#include "store/array.h"

#include <stdlib.h>

void *array_grow(void *items, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity)
        return items;
    size_t more = *capacity ? *capacity * 2 : 64;
    void *grown = realloc(items, more * size); /* twice what is in memory: no overflow */
    if (grown)
        *capacity = more;
    return grown;
}
