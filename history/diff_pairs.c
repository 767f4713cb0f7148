/* What is left once the objects that are on both sides have been followed: names that vanished, and names that appeared. One that
 * appeared in the place of one that vanished is one change with it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/diff_private.h"
#include "history/path.h"

static const char *last_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- changes of names ---- */

/* Takes the path away from the name. */
static char *take_path(struct diff_name *name) {
    char *path = name->path;
    name->path = NULL;
    return path;
}

/* Completes a name that a listing gave. */
static int make_known(struct diff *diff, enum diff_side side, struct diff_name *name) {
    struct inode_version *inode, *elsewhere;
    if (name->known)
        return STORE_OK;
    int rc = diff_inode(diff, side, name->oid, &inode);
    if (rc != STORE_OK)
        return rc;
    diff_set_side(&name->side, inode);
    store_release(diff->store, inode);
    rc = diff_find_inode(diff, side == SIDE_A ? SIDE_B : SIDE_A, name->oid, &elsewhere);
    if (rc < 0)
        return rc;
    name->elsewhere = rc == STORE_OK;
    if (rc == STORE_OK)
        store_release(diff->store, elsewhere);
    name->known = true;
    return STORE_OK;
}

/* DELETED or ADDED. */
static int add_single(struct diff *diff, enum diff_side side, struct diff_name *name) {
    struct change change = {.kind = side == SIDE_A ? CHANGE_DELETED : CHANGE_ADDED};
    if (!diff_wants(diff, name->path, NULL))
        return STORE_OK;
    int rc = make_known(diff, side, name);
    if (store_error_is_damage(rc))
        return diff_add_gap(diff, name->oid, rc);
    if (rc != STORE_OK)
        return rc;
    change.linked = name->elsewhere;
    *(side == SIDE_A ? &change.old : &change.new) = name->side;
    *(side == SIDE_A ? &change.old_path : &change.new_path) = take_path(name);
    return diff_add_change(diff, &change);
}

/* Whether another object in the place of one shows, though nothing differs between them: only by the other names of either. A tool that
 * compares by path does not see those. */
static bool identity_shows(const struct diff *diff, const struct inode_version *a, const struct inode_version *b) {
    return !diff->by_path && !S_ISDIR(a->record.mode) && (a->record.nlink > 1 || b->record.nlink > 1);
}

static int compare_pair(struct diff *diff, const struct inode_version *a, const struct inode_version *b,
                        struct change *change, bool *differs) {
    change->replaced = a->oid != b->oid;
    change->kind = CHANGE_MODIFIED;
    *differs = true;
    if ((a->record.mode & S_IFMT) != (b->record.mode & S_IFMT)) {
        change->kind = CHANGE_TYPE;
        return STORE_OK;
    }
    int rc = diff_inodes(diff->store, a, diff->before[SIDE_A], b, diff->before[SIDE_B], &change->what);
    if (diff->options->ignore_times)
        change->what &= ~(unsigned)CHANGED_TIMES;
    *differs = change->what != 0 || (change->replaced && identity_shows(diff, a, b));
    return rc;
}

/* MODIFIED, TYPE, RENAMED or nothing, of what stood in one place and what stands in the other. */
static int add_double(struct diff *diff, struct diff_name *old, struct diff_name *new, bool renamed) {
    struct change change = {0};
    struct inode_version *a = NULL, *b = NULL;
    bool differs;
    if (!diff_wants(diff, old->path, new->path))
        return STORE_OK;
    int rc = diff_inode(diff, SIDE_A, old->oid, &a);
    if (rc == STORE_OK)
        rc = diff_inode(diff, SIDE_B, new->oid, &b);
    if (rc == STORE_OK)
        rc = compare_pair(diff, a, b, &change, &differs);
    if (rc == STORE_OK && (differs || renamed)) {
        if (renamed)
            change.kind = CHANGE_RENAMED;
        diff_set_side(&change.old, a);
        diff_set_side(&change.new, b);
        change.old_path = take_path(old);
        change.new_path = take_path(new);
        rc = diff_add_change(diff, &change);
    }
    if (store_error_is_damage(rc))
        rc = diff_add_gap(diff, a ? new->oid : old->oid, rc);
    store_release(diff->store, a);
    store_release(diff->store, b);
    return rc;
}

/* ---- by slot ---- */

/* Something that came to a slot of side B. */
struct target {
    uint64_t parent;
    const char *name;
    struct diff_name *added; /* NULL: the change at `position` brought it there */
    size_t position;
};

static int compare_targets(const void *left, const void *right) {
    const struct target *a = left, *b = right;
    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Sorted; *targets is malloc'ed. */
static int list_targets(struct diff *diff, struct target **targets, size_t *count) {
    struct diff_names *added = &diff->names[SIDE_B];
    struct target *made = calloc(added->count + diff->rename_count + 1, sizeof *made);
    if (!made)
        return STORE_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < added->count; i++)
        made[n++] = (struct target){
            .parent = added->items[i].parent, .name = last_name(added->items[i].path), .added = &added->items[i]};
    for (size_t i = 0; i < diff->rename_count; i++) {
        size_t position = diff->renames[i].change;
        made[n++] = (struct target){.parent = diff->renames[i].parent,
                                    .name = last_name(diff->changes[position].new_path),
                                    .position = position};
    }
    qsort(made, n, sizeof *made, compare_targets);
    *targets = made;
    *count = n;
    return STORE_OK;
}

static int pair_vanished(struct diff *diff, struct diff_name *old, const struct target *targets, size_t count) {
    struct target key = {.name = last_name(old->path)};
    const struct target *found = NULL;
    int rc = diff_counterpart(diff, SIDE_A, old->parent, &key.parent);
    if (store_error_is_damage(rc))
        return diff_add_gap(diff, old->oid, rc);
    if (rc != STORE_OK)
        return rc;
    if (key.parent != 0)
        found = bsearch(&key, targets, count, sizeof *targets, compare_targets);
    if (!found)
        return add_single(diff, SIDE_A, old);
    if (found->added) {
        rc = add_double(diff, old, found->added, false);
        found->added->done = true;
        return rc;
    }
    struct change *rename = &diff->changes[found->position];
    if (strcmp(rename->new_path, old->path) != 0)
        return add_single(diff, SIDE_A, old);
    rename->replaced = true;
    return STORE_OK;
}

int diff_pair_slots(struct diff *diff) {
    struct diff_names *old = &diff->names[SIDE_A], *new = &diff->names[SIDE_B];
    struct target *targets = NULL;
    size_t count = 0;
    int rc = old->count > 0 ? list_targets(diff, &targets, &count) : STORE_OK;
    for (size_t i = 0; rc == STORE_OK && i < old->count; i++)
        rc = pair_vanished(diff, &old->items[i], targets, count);
    for (size_t i = 0; rc == STORE_OK && i < new->count; i++)
        if (!new->items[i].done)
            rc = add_single(diff, SIDE_B, &new->items[i]);
    free(targets);
    return rc;
}

/* ---- by path ---- */

/* The entries of one directory; directories among them go on the stack. */
static int expand_one(struct diff *diff, enum diff_side side, uint64_t directory, uint64_t **stack, size_t *depth,
                      size_t *capacity) {
    struct places *places = &diff->places[side];
    struct entry_list list = {0};
    struct place *place;
    int rc = places_get(places, directory, &place);
    if (rc != STORE_OK || place->visited)
        return rc;
    place->visited = true;
    rc = storage_list(store_storage(diff->store), directory, diff->before[side], &list);
    for (size_t i = 0; rc == STORE_OK && i < list.count; i++) {
        const struct entry *entry = &list.items[i];
        struct diff_name name = {.oid = entry->oid, .parent = directory};
        rc = places_path(places, directory, entry->name, entry->name_length, &name.path);
        if (rc == STORE_OK)
            rc = diff_add_name(diff, side, &name);
        /* Its other names may lie where nobody has asked to look. */
        if (rc == STORE_OK && entry->type != S_IFDIR && diff->partial && !diff->options->no_renames)
            rc = diff_add_candidate(diff, entry->oid);
        if (rc != STORE_OK || entry->type != S_IFDIR)
            continue;
        void *items = *stack;
        rc = diff_grow(&items, capacity, *depth, sizeof **stack);
        *stack = items;
        if (rc == STORE_OK)
            (*stack)[(*depth)++] = entry->oid;
    }
    entry_list_release(&list);
    return rc;
}

int diff_expand(struct diff *diff, enum diff_side side, uint64_t directory) {
    uint64_t *stack = NULL;
    size_t depth = 0, capacity = 0;
    int rc = expand_one(diff, side, directory, &stack, &depth, &capacity);
    while (rc == STORE_OK && depth > 0)
        rc = expand_one(diff, side, stack[--depth], &stack, &depth, &capacity);
    free(stack);
    return rc;
}

static int compare_paths(const void *left, const void *right) {
    const struct diff_name *a = left, *b = right;
    return strcmp(a->path, b->path);
}

/* An object below a directory that has moved may have been told as a candidate, too. */
static void sort_by_path(struct diff_names *names) {
    size_t kept = 0;
    if (names->count == 0)
        return;
    qsort(names->items, names->count, sizeof *names->items, compare_paths);
    for (size_t i = 1; i < names->count; i++) {
        if (strcmp(names->items[kept].path, names->items[i].path) == 0)
            free(names->items[i].path);
        else
            names->items[++kept] = names->items[i];
    }
    names->count = kept + 1;
}

static int join_paths(struct diff *diff) {
    struct diff_names *old = &diff->names[SIDE_A], *new = &diff->names[SIDE_B];
    size_t i = 0, j = 0;
    int rc = STORE_OK;
    while (rc == STORE_OK && i < old->count && j < new->count) {
        int order = strcmp(old->items[i].path, new->items[j].path);
        if (order == 0) {
            old->items[i].done = new->items[j].done = true;
            rc = add_double(diff, &old->items[i++], &new->items[j++], false);
        } else if (order < 0) {
            i++;
        } else {
            j++;
        }
    }
    return rc;
}

static int compare_by_object(const void *left, const void *right) {
    const struct diff_name *a = left, *b = right;
    if (a->done != b->done)
        return a->done ? 1 : -1;
    if (a->oid != b->oid)
        return a->oid < b->oid ? -1 : 1;
    return a->done ? 0 : strcmp(a->path, b->path);
}

/* Candidates that are only what the filter needs do not tell whether a path outside it is free. If it is not, it is no rename's end, and nobody
 * asked for it. */
static int drop_if_taken(struct diff *diff, enum diff_side other, struct diff_name *name) {
    uint64_t oid;
    if (!diff->partial)
        return STORE_OK;
    int rc = path_walk(diff->store, name->path, strlen(name->path), diff->before[other], &oid);
    name->done = rc == STORE_OK;
    return rc < 0 ? rc : STORE_OK;
}

static int join_object(struct diff *diff, struct diff_name *old, struct diff_name *new) {
    struct inode_version *inode;
    int rc = diff_inode(diff, SIDE_A, old->oid, &inode);
    if (rc != STORE_OK)
        return store_error_is_damage(rc) ? diff_add_gap(diff, old->oid, rc) : rc; /* both names are told as they are */
    bool directory = S_ISDIR(inode->record.mode);
    store_release(diff->store, inode);
    if (directory)
        return STORE_OK;
    rc = drop_if_taken(diff, SIDE_B, old);
    if (rc == STORE_OK && !old->done)
        rc = drop_if_taken(diff, SIDE_A, new);
    if (store_error_is_damage(rc)) { /* whether anything stood there cannot be told: then it is as if nothing did */
        old->done = new->done = false;
        rc = diff_add_gap(diff, old->oid, rc);
    }
    if (rc != STORE_OK || old->done || new->done)
        return rc;
    old->done = new->done = true;
    return add_double(diff, old, new, true);
}

/* Names of the same object that vanished and appeared, of those that have no counterpart in their place. */
static int join_objects(struct diff *diff) {
    struct diff_names *old = &diff->names[SIDE_A], *new = &diff->names[SIDE_B];
    size_t i = 0, j = 0;
    int rc = STORE_OK;
    if (old->count == 0 || new->count == 0)
        return STORE_OK;
    qsort(old->items, old->count, sizeof *old->items, compare_by_object);
    qsort(new->items, new->count, sizeof *new->items, compare_by_object);
    while (rc == STORE_OK && i < old->count && j < new->count && !old->items[i].done && !new->items[j].done) {
        struct diff_name *x = &old->items[i], *y = &new->items[j];
        if (x->oid == y->oid)
            rc = join_object(diff, x, y);
        bool pass = x->oid == y->oid && !x->done && !y->done; /* directories */
        i += pass || x->done || x->oid < y->oid;
        j += pass || y->done || x->oid > y->oid;
    }
    return rc;
}

int diff_pair_paths(struct diff *diff) {
    sort_by_path(&diff->names[SIDE_A]);
    sort_by_path(&diff->names[SIDE_B]);
    int rc = join_paths(diff);
    if (rc == STORE_OK && !diff->options->no_renames)
        rc = join_objects(diff);
    for (int side = SIDE_A; side <= SIDE_B; side++)
        for (size_t i = 0; rc == STORE_OK && i < diff->names[side].count; i++)
            if (!diff->names[side].items[i].done)
                rc = add_single(diff, (enum diff_side)side, &diff->names[side].items[i]);
    return rc;
}
