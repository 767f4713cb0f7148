#include "history/path.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

int path_walk(struct store *store, const char *path, size_t length, uint64_t before, uint64_t *oid) {
    uint32_t type = S_IFDIR;
    *oid = ROOT_OID;
    for (size_t at = 0; at < length;) {
        size_t name = strcspn(path + at, "/");
        if (name > length - at)
            name = length - at;
        if (type != S_IFDIR)
            return STORE_ABSENT;
        int rc = store_lookup(store, *oid, path + at, name, before, oid, &type);
        if (rc != STORE_OK)
            return rc;
        at += name + 1;
    }
    return STORE_OK;
}

int path_parent(struct store *store, const char *path, uint64_t before, uint64_t *parent, const char **name) {
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    return path_walk(store, path, slash ? (size_t)(slash - path) : 0, before, parent);
}
