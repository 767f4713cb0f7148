/* Where the directories of one side stand, and from there the paths: upward by the names that lead to them, each looked up once. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/diff_private.h"

#define CAPACITY_FIRST 64

void places_init(struct places *places, struct store *store, uint64_t before) {
    *places = (struct places){.store = store, .before = before};
}

void places_release(struct places *places) {
    for (size_t i = 0; i < places->capacity; i++) {
        if (places->slots[i]) {
            free(places->slots[i]->path);
            free(places->slots[i]);
        }
    }
    free(places->slots);
    *places = (struct places){0};
}

/* The slot that holds the directory, or the free one where it belongs. Some slot is always free. */
static struct place **find_slot(struct place **slots, size_t capacity, uint64_t oid) {
    uint64_t hash = oid * UINT64_C(0x9e3779b97f4a7c15);
    size_t slot = (size_t)(hash ^ hash >> 32) & (capacity - 1);
    while (slots[slot] && slots[slot]->oid != oid)
        slot = (slot + 1) & (capacity - 1);
    return &slots[slot];
}

static int make_room(struct places *places) {
    if (places->count + places->count / 2 < places->capacity)
        return STORE_OK;
    size_t capacity = places->capacity ? places->capacity * 2 : CAPACITY_FIRST;
    struct place **slots = calloc(capacity, sizeof(struct place *));
    if (!slots)
        return STORE_NO_MEMORY;
    for (size_t i = 0; i < places->capacity; i++)
        if (places->slots[i])
            *find_slot(slots, capacity, places->slots[i]->oid) = places->slots[i];
    free(places->slots);
    places->slots = slots;
    places->capacity = capacity;
    return STORE_OK;
}

/* The one link of a directory, or none. */
static struct place *new_place(uint64_t oid, const struct entry_list *links) {
    const struct entry *link = links->count > 0 ? &links->items[0] : NULL;
    size_t length = link ? link->name_length : 0;
    struct place *place = calloc(1, sizeof *place + length + 1);
    if (!place)
        return NULL;
    place->oid = oid;
    place->exists = link || oid == ROOT_OID;
    if (link) {
        place->parent = link->parent;
        place->name_length = length;
        memcpy(place->name, link->name, length);
    }
    return place;
}

int places_get(struct places *places, uint64_t directory, struct place **place) {
    int rc = make_room(places);
    if (rc != STORE_OK)
        return rc;
    struct place **slot = find_slot(places->slots, places->capacity, directory);
    if (!*slot) {
        struct entry_list links = {0};
        if (directory != ROOT_OID && places->before > 1)
            rc = storage_links(store_storage(places->store), directory, places->before, &links);
        if (rc != STORE_OK)
            return rc;
        *slot = new_place(directory, &links);
        entry_list_release(&links);
        if (!*slot)
            return STORE_NO_MEMORY;
        places->count++;
    }
    *place = *slot;
    return STORE_OK;
}

int places_lost(const struct places *places, uint64_t directory) {
    log_write(store_log(places->store), LOG_LEVEL_ERROR,
              "%s: no path leads to directory %llu before transaction %llu: run `tidfs verify`",
              store_directory(places->store), (unsigned long long)directory, (unsigned long long)places->before);
    return STORE_CORRUPT;
}

/* The length of the path of a directory, without the last slash. */
static int measure(struct places *places, const struct place *place, size_t *length) {
    *length = 0;
    for (size_t depth = 0; place->oid != ROOT_OID && !place->path; depth++) {
        if (!place->exists || depth > places->count) /* a circle */
            return places_lost(places, place->oid);
        *length += place->name_length + (place->parent != ROOT_OID);
        struct place *parent;
        int rc = places_get(places, place->parent, &parent);
        if (rc != STORE_OK)
            return rc;
        place = parent;
    }
    if (place->oid != ROOT_OID)
        *length += place->path_length;
    return STORE_OK;
}

/* Sets place->path. Only of directories that are asked for, not of all above them: a deep tree would take much. */
static int set_path(struct places *places, struct place *place) {
    size_t length;
    if (place->path)
        return STORE_OK;
    int rc = measure(places, place, &length);
    if (rc != STORE_OK)
        return rc;
    char *path = malloc(length + 1);
    if (!path)
        return STORE_NO_MEMORY;
    size_t at = length;
    path[length] = '\0';
    struct place *next = place;
    while (next->oid != ROOT_OID && !next->path) {
        at -= next->name_length;
        memcpy(path + at, next->name, next->name_length);
        if (next->parent != ROOT_OID)
            path[--at] = '/';
        next = *find_slot(places->slots, places->capacity, next->parent); /* known since it was measured */
    }
    if (next->oid != ROOT_OID)
        memcpy(path, next->path, next->path_length);
    place->path = path;
    place->path_length = length;
    return STORE_OK;
}

int places_path(struct places *places, uint64_t directory, const char *name, size_t length, char **path) {
    struct place *place;
    int rc = places_get(places, directory, &place);
    if (rc == STORE_OK)
        rc = set_path(places, place);
    if (rc != STORE_OK)
        return rc;
    size_t above = place->path_length + (place->path_length > 0);
    char *made = malloc(above + length + 1);
    if (!made)
        return STORE_NO_MEMORY;
    memcpy(made, place->path, place->path_length);
    if (above > 0)
        made[above - 1] = '/';
    memcpy(made + above, name, length);
    made[above + length] = '\0';
    *path = made;
    return STORE_OK;
}
