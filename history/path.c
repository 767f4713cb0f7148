#include "history/path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 4096 /* a damaged store may hold a circle */

const char *path_of(struct store *store, uint64_t oid, uint64_t before, char *text, size_t size) {
    char *start = text + size - 1;
    uint64_t at = oid;
    *start = '\0';
    for (int depth = 0; at != ROOT_OID && depth < DEPTH_MAX; depth++) {
        struct entry_list links;
        if (storage_links(store_storage(store), at, before, &links) != STORE_OK)
            break;
        if (links.count == 0) {
            entry_list_release(&links);
            break;
        }
        const struct entry *link = &links.items[0];
        at = link->parent;
        bool fits = link->name_length + 1U <= (size_t)(start - text);
        if (fits) {
            start -= link->name_length;
            memcpy(start, link->name, link->name_length);
            *--start = '/';
        }
        entry_list_release(&links);
        if (!fits)
            return start;
    }
    if (at == ROOT_OID)
        return *start != '\0' ? start : "/";
    (void)snprintf(text, size, "object %" PRIu64, oid);
    return text;
}
