/* What a path led to: each name of it restricts the times at which the names before it did, and where an object was before. */
#include "history/past.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 4096 /* a damaged store may hold a circle */

/* ---- names ---- */

static int push(struct past_names *names, size_t *capacity, const struct past_name *name) {
    if (names->count > 0) {
        struct past_name *newer = &names->items[names->count - 1];
        if (newer->oid == name->oid && newer->born == name->died) {
            newer->born = name->born; /* another entry, or in another directory, but no other object */
            return STORE_OK;
        }
    }
    if (names->count == *capacity) {
        size_t larger = *capacity == 0 ? 8 : *capacity * 2;
        struct past_name *items = reallocarray(names->items, larger, sizeof *items);
        if (items == NULL) {
            return STORE_NO_MEMORY;
        }
        names->items = items;
        *capacity = larger;
    }
    names->items[names->count++] = *name;
    return STORE_OK;
}

/* What `name` led to in one directory while the path before it led to that directory. */
static int add_level(struct store *store, const struct past_name *directory, const char *name, size_t length,
                     uint64_t last, struct past_names *names, size_t *capacity) {
    struct entry_list list;
    int rc = storage_named(store_storage(store), directory->oid, name, length, &list);
    if (rc != STORE_OK) {
        return rc;
    }
    for (size_t i = list.count; i-- > 0 && rc == STORE_OK;) {
        const struct entry *entry = &list.items[i];
        struct past_name found = {
            .oid = entry->oid,
            .born = entry->born > directory->born ? entry->born : directory->born,
            .died = entry->died < directory->died ? entry->died : directory->died,
            .type = entry->type,
        };
        if (found.born >= found.died || found.born > last || found.died <= store_horizon(store)) {
            continue;
        }
        if (found.died > last) {
            found.died = UINT64_MAX;
        }
        rc = push(names, capacity, &found);
    }
    entry_list_release(&list);
    return rc;
}

int past_names_load(struct store *store, const char *path, uint64_t last, struct past_names *names) {
    static const struct past_name root = {.oid = ROOT_OID, .born = 1, .died = UINT64_MAX, .type = S_IFDIR};
    struct past_names level = {0};
    size_t capacity = 0;
    int lost = STORE_OK;
    int rc = last == 0 ? STORE_ABSENT : push(&level, &capacity, &root);

    while (rc == STORE_OK) {
        path += strspn(path, "/");
        size_t length = strcspn(path, "/");
        if (length == 0) {
            break;
        }
        struct past_names next = {0};
        capacity = 0;
        for (size_t i = 0; i < level.count && rc == STORE_OK && length <= NAME_BYTES_MAX; i++) {
            if (S_ISDIR(level.items[i].type)) {
                rc = add_level(store, &level.items[i], path, length, last, &next, &capacity);
                lost = rc == STORE_LOST ? rc : lost;
                rc = rc == STORE_LOST ? STORE_OK : rc; /* other directories of that path may have it */
            }
        }
        past_names_release(&level);
        level = next;
        if (rc == STORE_OK && level.count == 0) {
            rc = lost != STORE_OK ? lost : STORE_ABSENT;
        }
        path += length;
    }
    if (rc != STORE_OK) {
        past_names_release(&level);
    }
    *names = level;
    return rc;
}

void past_names_release(struct past_names *names) {
    free(names->items);
    *names = (struct past_names){0};
}

/* ---- where an object was ---- */

/* Puts name and a slash in front of *path, which is malloc'ed. */
static int put_in_front(const char *name, size_t length, char **path) {
    size_t rest = strlen(*path);
    char *longer = malloc(length + rest + 2);
    if (longer == NULL) {
        return STORE_NO_MEMORY;
    }
    memcpy(longer, name, length);
    longer[length] = '/';
    memcpy(longer + length + 1, *path, rest + 1);
    free(*path);
    *path = longer;
    return STORE_OK;
}

/* The path of an entry as of `before`, malloc'ed. STORE_ABSENT if no name leads to its directory then. */
static int entry_path(struct store *store, const struct entry *entry, uint64_t before, char **path) {
    uint64_t at = entry->parent;
    int rc = STORE_OK;
    *path = strndup(entry->name, entry->name_length);
    if (*path == NULL) {
        return STORE_NO_MEMORY;
    }
    for (int depth = 0; rc == STORE_OK && at != ROOT_OID; depth++) {
        struct entry_list links;
        rc = depth < DEPTH_MAX ? storage_links(store_storage(store), at, before, &links) : STORE_CORRUPT;
        if (rc != STORE_OK) {
            break;
        }
        if (links.count == 0) {
            rc = STORE_ABSENT;
        } else {
            at = links.items[0].parent;
            rc = put_in_front(links.items[0].name, links.items[0].name_length, path);
        }
        entry_list_release(&links);
    }
    if (rc != STORE_OK) {
        free(*path);
        *path = NULL;
    }
    return rc;
}

static bool same_entry(const struct entry *a, const struct entry *b) {
    return a->parent == b->parent && a->index == b->index;
}

static bool contains(const struct entry_list *list, const struct entry *entry) {
    for (size_t i = 0; i < list->count; i++) {
        if (same_entry(&list->items[i], entry)) {
            return true;
        }
    }
    return false;
}

/* The entry of `list` that `path` ends with as of `before`; NULL if there is none. */
static int find_own(struct store *store, const struct entry_list *list, const char *path, uint64_t before,
                    const struct entry **own) {
    int rc = STORE_OK;
    *own = NULL;
    for (size_t i = 0; i < list->count && *own == NULL && rc == STORE_OK; i++) {
        char *other;
        rc = entry_path(store, &list->items[i], before, &other);
        if (rc == STORE_OK) {
            *own = strcmp(other, path) == 0 ? &list->items[i] : NULL;
            free(other);
        } else if (rc == STORE_ABSENT) {
            rc = STORE_OK;
        }
    }
    return rc;
}

int past_origin(struct store *store, const char *path, uint64_t oid, uint64_t seq, char **origin) {
    struct entry_list old = {0}, new = {0};
    const struct entry *own, *from = NULL;
    *origin = NULL;
    if (seq <= store_horizon(store) || oid == ROOT_OID) {
        return STORE_ABSENT;
    }
    int rc = storage_links(store_storage(store), oid, seq, &old);
    if (rc == STORE_OK && old.count > 0) {
        rc = storage_links(store_storage(store), oid, seq + 1, &new);
    }
    if (rc == STORE_OK && new.count > 0) {
        rc = find_own(store, &new, path, seq + 1, &own);
    }
    if (rc != STORE_OK || new.count == 0) {
        goto out;
    }
    /* The entry itself is the old one: a directory above was renamed. Else one that is gone made room for it. */
    for (size_t i = 0; i < old.count && from == NULL; i++) {
        if (own != NULL && same_entry(&old.items[i], own)) {
            from = &old.items[i];
        }
    }
    for (size_t i = 0; i < old.count && from == NULL; i++) {
        if (!contains(&new, &old.items[i])) {
            from = &old.items[i];
        }
    }
    if (from != NULL) {
        rc = entry_path(store, from, seq, origin);
    }
out:
    entry_list_release(&old);
    entry_list_release(&new);
    return rc == STORE_OK && *origin == NULL ? STORE_ABSENT : rc;
}
