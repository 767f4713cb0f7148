/* The draft: the present with changes over it (restore_private.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/restore_private.h"

#define BUCKETS_MIN 256
#define DEPTH_MAX   4096 /* a damaged store may hold a circle */

int draft_init(struct draft *draft, struct store *store, uint64_t base) {
    *draft = (struct draft){.store = store,
                            .before = base + 1,
                            .node_buckets = BUCKETS_MIN,
                            .entry_buckets = BUCKETS_MIN,
                            .incarnation_buckets = BUCKETS_MIN};
    draft->order_end = &draft->order;
    draft->end = &draft->first;
    draft->nodes = calloc(draft->node_buckets, sizeof(struct draft_node *));
    draft->entries = calloc(draft->entry_buckets, sizeof(struct draft_entry *));
    draft->incarnations = calloc(draft->incarnation_buckets, sizeof *draft->incarnations);
    return draft->nodes && draft->entries && draft->incarnations ? STORE_OK : STORE_NO_MEMORY;
}

static void node_free(struct draft_node *node) {
    free(node->data);
    xattrs_free(node->set);
    free(node);
}

void draft_release(struct draft *draft) {
    for (struct draft_node *node = draft->order, *next; node; node = next) {
        next = node->next;
        node_free(node);
    }
    for (struct draft_entry *entry = draft->first, *next; entry; entry = next) {
        next = entry->next;
        free(entry);
    }
    free(draft->nodes);
    free(draft->entries);
    free(draft->incarnations);
    *draft = (struct draft){0};
}

/* ---- nodes ---- */

static uint64_t mix(uint64_t key) {
    key ^= key >> 31;
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return key ^ (key >> 29);
}

/* Nodes of the present are in an open hash, with NULL for what is free. */
static struct draft_node **node_slot(struct draft_node **nodes, size_t buckets, uint64_t oid) {
    size_t at = mix(oid) & (buckets - 1);
    while (nodes[at] && nodes[at]->oid != oid)
        at = (at + 1) & (buckets - 1);
    return &nodes[at];
}

static int nodes_grow(struct draft *draft) {
    if (draft->node_count * 2 < draft->node_buckets)
        return STORE_OK;
    size_t buckets = draft->node_buckets * 2;
    struct draft_node **nodes = calloc(buckets, sizeof(struct draft_node *));
    if (!nodes)
        return STORE_NO_MEMORY;
    for (size_t i = 0; i < draft->node_buckets; i++) {
        if (draft->nodes[i])
            *node_slot(nodes, buckets, draft->nodes[i]->oid) = draft->nodes[i];
    }
    free(draft->nodes);
    draft->nodes = nodes;
    draft->node_buckets = buckets;
    return STORE_OK;
}

static struct draft_node *node_new(struct draft *draft, const struct inode_record *record,
                                   const struct source *source) {
    struct draft_node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    node->plan = *record;
    node->plan.target = NULL; /* the version's, which is given back */
    node->directory = S_ISDIR(record->mode);
    node->content = node->xattrs = *source;
    *draft->order_end = node;
    draft->order_end = &node->next;
    return node;
}

int draft_node(struct draft *draft, uint64_t oid, struct draft_node **node) {
    *node = *node_slot(draft->nodes, draft->node_buckets, oid);
    if (*node)
        return STORE_OK;
    struct source source = {oid, draft->before};
    struct inode_version *version;
    int rc = nodes_grow(draft);
    if (rc == STORE_OK)
        rc = store_inode(draft->store, oid, draft->before, &version);
    if (rc != STORE_OK)
        return rc;
    struct draft_node *made = node_new(draft, &version->record, &source);
    store_release(draft->store, version);
    if (!made)
        return STORE_NO_MEMORY;
    made->oid = oid;
    made->now = made->plan;
    made->links = made->directory ? 1 : made->now.nlink;
    *node_slot(draft->nodes, draft->node_buckets, oid) = made;
    draft->node_count++;
    *node = made;
    return STORE_OK;
}

int draft_make(struct draft *draft, const struct source *source, struct draft_node **node) {
    struct inode_version *version;
    int rc = store_inode(draft->store, source->oid, source->before, &version);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc; /* what a name leads to must be there */
    *node = node_new(draft, &version->record, source);
    store_release(draft->store, version);
    if (!*node)
        return STORE_NO_MEMORY;
    (*node)->loaded = true;
    (*node)->set_times = true;
    (*node)->changed = CHANGED_ALL;
    return STORE_OK;
}

int draft_restore(struct draft *draft, struct draft_node *node, const struct source *source, unsigned what) {
    struct inode_version *version;
    int rc = store_inode(draft->store, source->oid, source->before, &version);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    const struct inode_record *record = &version->record;
    if (what & CHANGED_CONTENT) {
        node->plan.size = record->size;
        node->content = *source;
        free(node->data);
        node->data = NULL;
        node->length = 0;
        node->merged = false;
    }
    if (what & CHANGED_MODE)
        node->plan.mode = record->mode;
    if (what & CHANGED_OWNER) {
        node->plan.uid = record->uid;
        node->plan.gid = record->gid;
    }
    if (what & CHANGED_XATTR) {
        node->xattrs = *source;
        xattrs_free(node->set);
        node->set = NULL;
    }
    if (what & CHANGED_TIMES) {
        node->plan.atime = record->atime;
        node->plan.mtime = record->mtime;
        node->set_times = true;
    }
    node->changed |= what;
    store_release(draft->store, version);
    return STORE_OK;
}

void draft_set_data(struct draft_node *node, uint8_t *data, size_t length) {
    free(node->data);
    node->data = data;
    node->length = length;
    node->content = (struct source){0};
    node->plan.size = length;
    node->changed |= CHANGED_CONTENT;
    node->set_times = false;
}

void draft_leave(struct draft *draft, struct draft_node *node) {
    free(node->data);
    xattrs_free(node->set);
    node->data = NULL;
    node->length = 0;
    node->set = NULL;
    node->plan = node->now;
    node->content = node->xattrs = (struct source){node->oid, draft->before};
    node->changed = 0;
    node->set_times = node->merged = false;
}

/* ---- entries ---- */

static size_t entry_hash(const struct draft_node *parent, const char *name, size_t length) {
    uint64_t hash = mix((uint64_t)(uintptr_t)parent);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    return (size_t)mix(hash);
}

static int entries_grow(struct draft *draft) {
    if (draft->entry_count < draft->entry_buckets)
        return STORE_OK;
    size_t buckets = draft->entry_buckets * 2;
    struct draft_entry **entries = calloc(buckets, sizeof(struct draft_entry *));
    if (!entries)
        return STORE_NO_MEMORY;
    for (struct draft_entry *entry = draft->first; entry; entry = entry->next) {
        size_t at = entry_hash(entry->parent, entry->name, entry->length) & (buckets - 1);
        entry->hash_next = entries[at];
        entries[at] = entry;
    }
    free(draft->entries);
    draft->entries = entries;
    draft->entry_buckets = buckets;
    return STORE_OK;
}

static struct draft_entry *entry_find(const struct draft *draft, const struct draft_node *parent, const char *name,
                                      size_t length) {
    struct draft_entry *entry = draft->entries[entry_hash(parent, name, length) & (draft->entry_buckets - 1)];
    while (entry && (entry->parent != parent || entry->length != length || memcmp(entry->name, name, length) != 0))
        entry = entry->hash_next;
    return entry;
}

static int entry_add(struct draft *draft, struct draft_node *parent, const char *name, size_t length, uint64_t oid,
                     uint64_t born, struct draft_entry **entry) {
    struct draft_node *node = NULL;
    int rc = entries_grow(draft);
    if (rc == STORE_OK && oid) {
        rc = draft_node(draft, oid, &node);
        rc = rc == STORE_ABSENT ? STORE_CORRUPT : rc; /* a name that leads nowhere is damage */
    }
    if (rc != STORE_OK)
        return rc;
    struct draft_entry *made = calloc(1, sizeof *made + length + 1);
    if (!made)
        return STORE_NO_MEMORY;
    made->parent = parent;
    made->now = made->plan = node;
    made->born = born;
    made->length = length;
    memcpy(made->name, name, length);
    size_t at = entry_hash(parent, name, length) & (draft->entry_buckets - 1);
    made->hash_next = draft->entries[at];
    draft->entries[at] = made;
    *draft->end = made;
    draft->end = &made->next;
    draft->entry_count++;
    made->sibling = parent->names;
    parent->names = made;
    if (node && !node->home)
        node->home = node->place = made;
    *entry = made;
    return STORE_OK;
}

int draft_entry(struct draft *draft, struct draft_node *parent, const char *name, size_t length,
                struct draft_entry **entry) {
    *entry = entry_find(draft, parent, name, length);
    if (*entry)
        return STORE_OK;
    if (parent->loaded)
        return entry_add(draft, parent, name, length, 0, 0, entry);
    struct entry stored;
    int rc = storage_lookup(store_storage(draft->store), parent->oid, name, length, draft->before, &stored);
    if (rc == STORE_ABSENT)
        return entry_add(draft, parent, name, length, 0, 0, entry);
    if (rc != STORE_OK)
        return rc;
    rc = entry_add(draft, parent, name, length, stored.oid, stored.born, entry);
    entry_release(&stored);
    return rc;
}

void draft_set(struct draft_entry *entry, struct draft_node *node) {
    struct draft_node *old = entry->plan;
    if (old == node)
        return;
    if (old) {
        old->links--;
        if (old->place == entry)
            old->place = NULL;
    }
    entry->plan = node;
    if (node) {
        node->links++;
        node->place = entry;
    }
}

/* Whether the directory is one of the present whose names have not been loaded all; loads them. */
static int load_names(struct draft *draft, struct draft_node *directory) {
    struct entry_list list;
    if (directory->loaded)
        return STORE_OK;
    int rc = storage_list(store_storage(draft->store), directory->oid, draft->before, &list);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < list.count && rc == STORE_OK; i++) {
        const struct entry *stored = &list.items[i];
        struct draft_entry *entry;
        if (!entry_find(draft, directory, stored->name, stored->name_length))
            rc = entry_add(draft, directory, stored->name, stored->name_length, stored->oid, stored->born, &entry);
    }
    entry_list_release(&list);
    directory->loaded = rc == STORE_OK;
    return rc;
}

int draft_list(struct draft *draft, struct draft_node *directory, int (*each)(void *context, struct draft_entry *entry),
               void *context) {
    struct draft_entry **found = NULL;
    size_t count = 0, capacity = 0;
    int rc = load_names(draft, directory);
    /* `each` may add entries: so they are gathered first. */
    for (struct draft_entry *entry = directory->names; entry && rc == STORE_OK; entry = entry->sibling) {
        if (!entry->plan)
            continue;
        if (count == capacity) {
            size_t more = capacity ? capacity * 2 : 16;
            struct draft_entry **grown = realloc(found, more * sizeof *grown);
            if (!grown) {
                rc = STORE_NO_MEMORY;
                break;
            }
            found = grown;
            capacity = more;
        }
        found[count++] = entry;
    }
    for (size_t i = 0; i < count && rc == STORE_OK; i++)
        rc = each(context, found[i]);
    free(found);
    return rc;
}

int draft_is_empty(struct draft *draft, struct draft_node *directory, bool *empty) {
    int rc = load_names(draft, directory);
    *empty = true;
    for (const struct draft_entry *entry = directory->names; entry && *empty; entry = entry->sibling)
        *empty = !entry->plan;
    return rc;
}

/* ---- places ---- */

int draft_locate(struct draft *draft, struct draft_node *node) {
    struct entry_list links;
    if (!node->oid || node->oid == ROOT_OID || node->home)
        return STORE_OK;
    int rc = storage_links(store_storage(draft->store), node->oid, draft->before, &links);
    if (rc != STORE_OK)
        return rc;
    rc = links.count ? STORE_OK : STORE_CORRUPT;
    struct draft_node *parent;
    struct draft_entry *entry;
    if (rc == STORE_OK)
        rc = draft_node(draft, links.items[0].parent, &parent);
    /* Setting `home`, unless it was looked at and has been changed. */
    if (rc == STORE_OK)
        rc = draft_entry(draft, parent, links.items[0].name, links.items[0].name_length, &entry);
    if (rc == STORE_OK && !node->home)
        node->home = entry;
    entry_list_release(&links);
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}

int draft_is_below(struct draft *draft, struct draft_node *directory, const struct draft_node *ancestor, bool *below) {
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        *below = directory == ancestor;
        if (*below || directory->oid == ROOT_OID)
            return STORE_OK;
        int rc = draft_locate(draft, directory);
        if (rc != STORE_OK)
            return rc;
        if (!directory->place)
            return STORE_OK; /* taken out, and put nowhere yet */
        directory = directory->place->parent;
    }
    return STORE_CORRUPT;
}

int draft_path(struct draft *draft, struct draft_entry *entry, bool now, char **path) {
    const struct draft_entry *way[DEPTH_MAX];
    size_t depth = 0, length = 0;
    while (entry) {
        if (depth == DEPTH_MAX)
            return STORE_CORRUPT;
        way[depth++] = entry;
        length += entry->length + 1;
        struct draft_node *parent = entry->parent;
        int rc = draft_locate(draft, parent);
        if (rc != STORE_OK)
            return rc;
        /* What has no place in that tree is shown where it stands in the other. */
        entry = (now && parent->home) || !parent->place ? parent->home : parent->place;
    }
    *path = malloc(length + 1);
    if (!*path)
        return STORE_NO_MEMORY;
    char *to = *path;
    while (depth-- > 0) {
        memcpy(to, way[depth]->name, way[depth]->length);
        to += way[depth]->length;
        *to++ = depth > 0 ? '/' : '\0';
    }
    return STORE_OK;
}

int draft_find_path(struct draft *draft, const struct draft_node *node, const struct source *source, char **path) {
    uint64_t oid = node && node->oid ? node->oid : source->oid;
    uint64_t before = node && node->oid ? draft->before : source->before;
    char *text = strdup("");
    for (int depth = 0; text && oid != ROOT_OID; depth++) {
        struct entry_list links;
        int rc = depth < DEPTH_MAX ? storage_links(store_storage(draft->store), oid, before, &links) : STORE_CORRUPT;
        if (rc == STORE_OK && links.count == 0) {
            entry_list_release(&links);
            rc = STORE_CORRUPT;
        }
        if (rc != STORE_OK) {
            free(text);
            return rc;
        }
        const struct entry *link = &links.items[0];
        char *longer;
        if (asprintf(&longer, "%s%s%s", link->name, *text ? "/" : "", text) < 0)
            longer = NULL;
        oid = link->parent;
        entry_list_release(&links);
        free(text);
        text = longer;
    }
    *path = text;
    return text ? STORE_OK : STORE_NO_MEMORY;
}

int draft_plan_path(struct draft *draft, struct draft_node *node, char **path) {
    struct entry_list links = {0};
    if (node->oid == ROOT_OID) {
        *path = strdup("");
        return *path ? STORE_OK : STORE_NO_MEMORY;
    }
    if (!node->place) { /* looking at its names sets it */
        int rc = storage_links(store_storage(draft->store), node->oid, draft->before, &links);
        for (size_t i = 0; rc == STORE_OK && i < links.count && !node->place; i++) {
            struct draft_node *parent;
            struct draft_entry *entry;
            rc = draft_node(draft, links.items[i].parent, &parent);
            if (rc == STORE_OK)
                rc = draft_entry(draft, parent, links.items[i].name, links.items[i].name_length, &entry);
            if (rc == STORE_OK && entry->plan == node)
                node->place = entry;
        }
        entry_list_release(&links);
        if (rc != STORE_OK)
            return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    }
    return node->place ? draft_path(draft, node->place, false, path) : STORE_ABSENT;
}

bool same_times(const struct inode_record *a, const struct inode_record *b) {
    return a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
           a->atime.tv_sec == b->atime.tv_sec && a->atime.tv_nsec == b->atime.tv_nsec;
}

/* ---- what stands for what ---- */

static struct incarnation *incarnation_slot(struct incarnation *table, size_t buckets, uint64_t oid) {
    size_t at = mix(oid) & (buckets - 1);
    while (table[at].oid && table[at].oid != oid)
        at = (at + 1) & (buckets - 1);
    return &table[at];
}

static bool stays(const struct draft_node *node) {
    return node->links > 0 || node->held;
}

int draft_incarnation(struct draft *draft, uint64_t oid, struct draft_node **node) {
    const struct incarnation *known = incarnation_slot(draft->incarnations, draft->incarnation_buckets, oid);
    if (known->oid) {
        *node = stays(known->node) ? known->node : NULL;
        return STORE_OK;
    }
    int rc = draft_node(draft, oid, node);
    if (rc == STORE_ABSENT || (rc == STORE_OK && !stays(*node))) {
        *node = NULL;
        rc = STORE_OK;
    }
    return rc;
}

int draft_stands_for(struct draft *draft, uint64_t oid, struct draft_node *node) {
    if (draft->incarnation_count * 2 >= draft->incarnation_buckets) {
        size_t buckets = draft->incarnation_buckets * 2;
        struct incarnation *table = calloc(buckets, sizeof *table);
        if (!table)
            return STORE_NO_MEMORY;
        for (size_t i = 0; i < draft->incarnation_buckets; i++) {
            if (draft->incarnations[i].oid)
                *incarnation_slot(table, buckets, draft->incarnations[i].oid) = draft->incarnations[i];
        }
        free(draft->incarnations);
        draft->incarnations = table;
        draft->incarnation_buckets = buckets;
    }
    struct incarnation *slot = incarnation_slot(draft->incarnations, draft->incarnation_buckets, oid);
    draft->incarnation_count += slot->oid == 0;
    *slot = (struct incarnation){oid, node};
    return STORE_OK;
}
