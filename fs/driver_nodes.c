/* The node table: two hash tables over the same nodes, by id and by key, and one over the names of views. */
#include "fs/driver_nodes.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_BUCKETS 256
#define NAME_BUCKETS  1024 /* fixed: the kernel knows some hundreds of views at a time */

/* One name of one view, or a path below /versions, where `before` is its hash and `root` 0. Lives while a directory of it does. */
struct name {
    struct name *next, **link;
    enum node_place place;
    uint64_t before, root;
    uint64_t directories;
    size_t length;
    char text[];
};

struct node {
    struct node *by_id, *by_key;
    uint64_t id, lookups;
    enum table_kind kind;
    enum node_place place;
    struct name *name; /* TABLE_DIRECTORY, TABLE_VERSIONS; else NULL */
    uint64_t number;   /* oid, or tid of a symlink */
};

struct node_table {
    pthread_mutex_t lock;
    struct node **by_id, **by_key; /* bucket_count each, a power of two */
    size_t bucket_count;
    uint64_t count, next_id;
    struct name *names[NAME_BUCKETS];
};

static size_t hash_id(uint64_t id) {
    return (size_t)id; /* given out in order, so the low bits spread well */
}

static size_t hash_key(enum table_kind kind, enum node_place place, const struct name *name, uint64_t number) {
    uint64_t hash = number * UINT64_C(0x9e3779b97f4a7c15) ^ (uintptr_t)name;
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93) + (uint64_t)kind * 2 + (uint64_t)place;
    return (size_t)(hash ^ hash >> 32);
}

/* No earlier mount's table got as far: it gave out fewer than 65,536 ids a millisecond. */
static uint64_t first_id(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return NODE_TABLE_FIRST + (ms << 16) % ((NODE_TABLE_LAST - NODE_TABLE_FIRST) / 2);
}

struct node_table *node_table_new(void) {
    struct node_table *table = calloc(1, sizeof *table);
    if (table == NULL) {
        return NULL;
    }
    table->bucket_count = FIRST_BUCKETS;
    table->next_id = first_id();
    table->by_id = calloc(FIRST_BUCKETS, sizeof(struct node *));
    table->by_key = calloc(FIRST_BUCKETS, sizeof(struct node *));
    if (table->by_id == NULL || table->by_key == NULL || pthread_mutex_init(&table->lock, NULL) != 0) {
        free(table->by_id);
        free(table->by_key);
        free(table);
        return NULL;
    }
    return table;
}

void node_table_free(struct node_table *table) {
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct node *node = table->by_id[i], *next; node != NULL; node = next) {
            next = node->by_id;
            free(node);
        }
    }
    for (size_t i = 0; i < NAME_BUCKETS; i++) {
        for (struct name *name = table->names[i], *next; name != NULL; name = next) {
            next = name->next;
            free(name);
        }
    }
    free(table->by_id);
    free(table->by_key);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static struct node *find_id(const struct node_table *table, uint64_t id) {
    struct node *node = table->by_id[hash_id(id) & (table->bucket_count - 1)];
    while (node != NULL && node->id != id) {
        node = node->by_id;
    }
    return node;
}

static struct node *find_key(const struct node_table *table, enum table_kind kind, enum node_place place,
                             const struct name *name, uint64_t number) {
    struct node *node = table->by_key[hash_key(kind, place, name, number) & (table->bucket_count - 1)];
    while (node != NULL &&
           (node->kind != kind || node->place != place || node->name != name || node->number != number)) {
        node = node->by_key;
    }
    return node;
}

static void insert(struct node_table *table, struct node *node) {
    struct node **by_id = &table->by_id[hash_id(node->id) & (table->bucket_count - 1)];
    struct node **by_key =
        &table->by_key[hash_key(node->kind, node->place, node->name, node->number) & (table->bucket_count - 1)];
    node->by_id = *by_id;
    node->by_key = *by_key;
    *by_id = node;
    *by_key = node;
}

/* Doubles the buckets. Without memory the chains just grow longer. */
static void grow(struct node_table *table) {
    size_t old_count = table->bucket_count;
    struct node **old = table->by_id;
    struct node **by_id = calloc(old_count * 2, sizeof(struct node *));
    struct node **by_key = calloc(old_count * 2, sizeof(struct node *));
    if (by_id == NULL || by_key == NULL) {
        free(by_id);
        free(by_key);
        return;
    }
    free(table->by_key);
    table->by_id = by_id;
    table->by_key = by_key;
    table->bucket_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        for (struct node *node = old[i], *next; node != NULL; node = next) {
            next = node->by_id;
            insert(table, node);
        }
    }
    free(old);
}

/* The node of a key, made if missing, with one more lookup. NULL if out of memory. */
static struct node *take(struct node_table *table, enum table_kind kind, enum node_place place, struct name *name,
                         uint64_t number) {
    struct node *node = find_key(table, kind, place, name, number);
    if (node == NULL) {
        node = malloc(sizeof *node);
        if (node == NULL) {
            return NULL;
        }
        assert(table->next_id <= NODE_TABLE_LAST);
        *node = (struct node){.id = table->next_id++, .kind = kind, .place = place, .name = name, .number = number};
        if (table->count >= table->bucket_count) {
            grow(table);
        }
        insert(table, node);
        table->count++;
        if (name != NULL) {
            name->directories++;
        }
    }
    node->lookups++;
    return node;
}

static void drop_name(struct name *name) {
    *name->link = name->next;
    if (name->next != NULL) {
        name->next->link = name->link;
    }
    free(name);
}

static void unlink_node(struct node_table *table, struct node *node) {
    struct node **by_id = &table->by_id[hash_id(node->id) & (table->bucket_count - 1)];
    while (*by_id != node) {
        by_id = &(*by_id)->by_id;
    }
    *by_id = node->by_id;
    struct node **by_key =
        &table->by_key[hash_key(node->kind, node->place, node->name, node->number) & (table->bucket_count - 1)];
    while (*by_key != node) {
        by_key = &(*by_key)->by_key;
    }
    *by_key = node->by_key;
    table->count--;
    if (node->name != NULL && --node->name->directories == 0) {
        drop_name(node->name);
    }
    free(node);
}

/* Finds or makes; a made one has no directories yet. */
static struct name *find_name(struct node_table *table, enum node_place place, const char *text, size_t length,
                              uint64_t before, uint64_t oid) {
    struct name **bucket = &table->names[before % NAME_BUCKETS];
    for (struct name *name = *bucket; name != NULL; name = name->next) {
        if (name->place == place && name->before == before && name->root == oid && name->length == length &&
            memcmp(name->text, text, length) == 0) {
            return name;
        }
    }
    struct name *name = malloc(sizeof *name + length);
    if (name == NULL) {
        return NULL;
    }
    *name =
        (struct name){.next = *bucket, .link = bucket, .place = place, .before = before, .root = oid, .length = length};
    memcpy(name->text, text, length);
    if (*bucket != NULL) {
        (*bucket)->link = &name->next;
    }
    *bucket = name;
    return name;
}

int node_table_view(struct node_table *table, enum node_place place, const char *name, size_t length, uint64_t before,
                    uint64_t oid, uint64_t *id) {
    int rc = -ENOMEM;
    pthread_mutex_lock(&table->lock);
    struct name *view = find_name(table, place, name, length, before, oid);
    if (view != NULL) {
        struct node *node = take(table, TABLE_DIRECTORY, place, view, oid);
        if (node != NULL) {
            *id = node->id;
            rc = 0;
        } else if (view->directories == 0) {
            drop_name(view);
        }
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}

int node_table_directory(struct node_table *table, uint64_t relative, uint64_t oid, uint64_t *id) {
    int rc = -ESTALE;
    pthread_mutex_lock(&table->lock);
    const struct node *known = find_id(table, relative);
    if (known != NULL && known->kind == TABLE_DIRECTORY) {
        struct node *node = take(table, TABLE_DIRECTORY, known->place, known->name, oid);
        rc = node == NULL ? -ENOMEM : 0;
        if (node != NULL) {
            *id = node->id;
        }
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}

static uint64_t hash_path(const char *path, size_t length) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)path[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

int node_table_versions(struct node_table *table, const char *path, uint64_t *id) {
    int rc = -ENOMEM;
    size_t length = strlen(path);
    pthread_mutex_lock(&table->lock);
    struct name *name = find_name(table, PLACE_VERSIONS, path, length, hash_path(path, length), 0);
    struct node *node = name == NULL ? NULL : take(table, TABLE_VERSIONS, PLACE_VERSIONS, name, 0);
    if (node != NULL) {
        *id = node->id;
        rc = 0;
    } else if (name != NULL && name->directories == 0) {
        drop_name(name);
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}

int node_table_path(struct node_table *table, uint64_t id, char **path) {
    int rc = -ESTALE;
    pthread_mutex_lock(&table->lock);
    const struct node *node = find_id(table, id);
    if (node != NULL && node->kind == TABLE_VERSIONS) {
        *path = strndup(node->name->text, node->name->length);
        rc = *path == NULL ? -ENOMEM : 0;
    }
    pthread_mutex_unlock(&table->lock);
    return rc;
}

int node_table_symlink(struct node_table *table, enum node_place place, uint64_t tid, uint64_t *id) {
    pthread_mutex_lock(&table->lock);
    struct node *node = take(table, TABLE_SYMLINK, place, NULL, tid);
    if (node != NULL) {
        *id = node->id;
    }
    pthread_mutex_unlock(&table->lock);
    return node == NULL ? -ENOMEM : 0;
}

bool node_table_get(struct node_table *table, uint64_t id, struct table_node *copy) {
    pthread_mutex_lock(&table->lock);
    const struct node *node = find_id(table, id);
    if (node != NULL && node->kind == TABLE_DIRECTORY) {
        *copy = (struct table_node){.kind = TABLE_DIRECTORY,
                                    .place = node->place,
                                    .before = node->name->before,
                                    .oid = node->number,
                                    .root = node->number == node->name->root};
    } else if (node != NULL && node->kind == TABLE_VERSIONS) {
        *copy = (struct table_node){.kind = TABLE_VERSIONS, .place = node->place};
    } else if (node != NULL) {
        *copy = (struct table_node){.kind = TABLE_SYMLINK, .place = node->place, .tid = node->number};
    }
    pthread_mutex_unlock(&table->lock);
    return node != NULL;
}

bool node_table_hold(struct node_table *table, uint64_t id) {
    pthread_mutex_lock(&table->lock);
    struct node *node = find_id(table, id);
    if (node != NULL) {
        node->lookups++;
    }
    pthread_mutex_unlock(&table->lock);
    return node != NULL;
}

void node_table_forget(struct node_table *table, uint64_t id, uint64_t count) {
    pthread_mutex_lock(&table->lock);
    struct node *node = find_id(table, id);
    if (node != NULL) {
        node->lookups -= count < node->lookups ? count : node->lookups;
        if (node->lookups == 0) {
            unlink_node(table, node);
        }
    }
    pthread_mutex_unlock(&table->lock);
}

uint64_t node_table_count(struct node_table *table) {
    pthread_mutex_lock(&table->lock);
    uint64_t count = table->count;
    pthread_mutex_unlock(&table->lock);
    return count;
}
