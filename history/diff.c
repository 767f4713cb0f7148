/* A diff from its candidates to its changes. diff_private.h says how the work is divided. */
#include "history/diff_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/path.h"
#include "store/array.h"

#define PROGRESS_EVERY 256

/* ---- what the parts share ---- */

int diff_grow(void **items, size_t *capacity, size_t count, size_t size) {
    void *grown = array_grow(*items, capacity, count, size);
    if (!grown)
        return STORE_NO_MEMORY;
    *items = grown;
    return STORE_OK;
}

bool path_is_at_or_below(const char *path, const char *above) {
    size_t length = strlen(above);
    return strncmp(path, above, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

bool diff_wants(const struct diff *diff, const char *old_path, const char *new_path) {
    if (!diff->filtered)
        return true;
    for (size_t i = 0; i < diff->options->path_count; i++) {
        const char *path = diff->options->paths[i];
        if ((old_path && path_is_at_or_below(old_path, path)) || (new_path && path_is_at_or_below(new_path, path)))
            return true;
    }
    return false;
}

int diff_add_name(struct diff *diff, enum diff_side side, const struct diff_name *name) {
    struct diff_names *names = &diff->names[side];
    void *items = names->items;
    int rc = diff_grow(&items, &names->capacity, names->count, sizeof *names->items);
    names->items = items;
    if (rc == STORE_OK)
        names->items[names->count++] = *name;
    else
        free(name->path);
    return rc;
}

int diff_add_change(struct diff *diff, const struct change *change) {
    void *items = diff->changes;
    int rc = diff_grow(&items, &diff->change_capacity, diff->change_count, sizeof *diff->changes);
    diff->changes = items;
    if (rc == STORE_OK) {
        diff->changes[diff->change_count++] = *change;
    } else {
        free(change->old_path);
        free(change->new_path);
    }
    return rc;
}

int diff_find_inode(struct diff *diff, enum diff_side side, uint64_t oid, struct inode_version **inode) {
    /* The storage would have to look thrice to be sure. */
    if (diff->before[side] == 1)
        return STORE_ABSENT;
    return store_inode(diff->store, oid, diff->before[side], inode);
}

int diff_inode(struct diff *diff, enum diff_side side, uint64_t oid, struct inode_version **inode) {
    int rc = diff_find_inode(diff, side, oid, inode);
    if (rc != STORE_ABSENT)
        return rc;
    log_write(store_log(diff->store), LOG_LEVEL_ERROR,
              "%s: a name leads to object %llu, which does not exist before transaction %llu: run `tidfs verify`",
              store_directory(diff->store), (unsigned long long)oid, (unsigned long long)diff->before[side]);
    return STORE_CORRUPT;
}

void diff_set_side(struct change_side *side, const struct inode_version *inode) {
    const struct inode_record *record = &inode->record;
    *side = (struct change_side){
        .oid = inode->oid,
        .revision = inode->revision,
        .mode = record->mode,
        .uid = record->uid,
        .gid = record->gid,
        .nlink = record->nlink,
        .size = record->size,
        .mtime = record->mtime,
    };
}

/* ---- directories that correspond ---- */

/* Of a place whose parent's counterpart is known. */
static int pair_place(struct diff *diff, enum diff_side side, struct place *place, uint64_t parent_counterpart) {
    enum diff_side other = side == SIDE_A ? SIDE_B : SIDE_A;
    struct place *twin;
    uint64_t oid;
    uint32_t type;
    place->counterpart = 0;
    place->paired = true;
    if (parent_counterpart == 0)
        return STORE_OK;
    int rc = store_lookup(diff->store, parent_counterpart, place->name, place->name_length, diff->before[other], &oid,
                          &type);
    if (rc != STORE_OK || type != S_IFDIR)
        return rc < 0 ? rc : STORE_OK;
    rc = places_get(&diff->places[side], oid, &twin);
    if (rc == STORE_OK && !twin->exists) /* else it has moved there, and corresponds to itself */
        place->counterpart = oid;
    return rc;
}

/* Pairs the place if that needs nothing from above: the other side has it too, or this side does not have it. */
static int pair_at_once(struct diff *diff, enum diff_side side, struct place *place) {
    struct place *same;
    int rc = places_get(&diff->places[side == SIDE_A ? SIDE_B : SIDE_A], place->oid, &same);
    if (rc == STORE_OK && (same->exists || !place->exists)) {
        place->counterpart = same->exists ? place->oid : 0;
        place->paired = true;
    }
    return rc;
}

int diff_counterpart(struct diff *diff, enum diff_side side, uint64_t directory, uint64_t *counterpart) {
    struct places *places = &diff->places[side];
    struct place **above = NULL, *place; /* a chain upward of directories that are gone */
    size_t count = 0, capacity = 0;
    int rc = places_get(places, directory, &place);
    while (rc == STORE_OK && !place->paired) {
        rc = pair_at_once(diff, side, place);
        if (rc != STORE_OK || place->paired)
            break;
        void *items = above;
        rc = count > places->count ? places_lost(places, directory) /* a circle */
                                   : diff_grow(&items, &capacity, count, sizeof(struct place *));
        above = items;
        if (rc == STORE_OK) {
            above[count++] = place;
            rc = places_get(places, place->parent, &place);
        }
    }
    while (rc == STORE_OK && count > 0) {
        uint64_t parent_counterpart = place->counterpart;
        place = above[--count];
        rc = pair_place(diff, side, place, parent_counterpart);
    }
    if (rc == STORE_OK)
        *counterpart = place->counterpart;
    free(above);
    return rc;
}

/* ---- the names of an object ---- */

struct slot {
    uint64_t parent;        /* as of its own side */
    uint64_t corresponding; /* as of side B: parent or what it corresponds to */
    const char *name;
    size_t length;
};
struct slots {
    struct slot *items;
    size_t count;
    struct slot one;
    struct entry_list links;
};

static void slots_release(struct slots *slots) {
    if (slots->items != &slots->one)
        free(slots->items);
    entry_list_release(&slots->links);
}

static int compare_slots(const void *left, const void *right) {
    const struct slot *a = left, *b = right;
    if (a->corresponding != b->corresponding)
        return a->corresponding < b->corresponding ? -1 : 1;
    int order = memcmp(a->name, b->name, a->length < b->length ? a->length : b->length);
    return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int load_links(struct diff *diff, enum diff_side side, uint64_t oid, struct slots *slots) {
    int rc = storage_links(store_storage(diff->store), oid, diff->before[side], &slots->links);
    if (rc != STORE_OK || slots->links.count == 0)
        return rc;
    slots->count = slots->links.count;
    if (slots->count > 1) {
        slots->items = calloc(slots->count, sizeof *slots->items);
        if (!slots->items)
            return STORE_NO_MEMORY;
    }
    for (size_t i = 0; i < slots->count; i++) {
        const struct entry *link = &slots->links.items[i];
        slots->items[i] = (struct slot){.parent = link->parent, .name = link->name, .length = link->name_length};
    }
    return STORE_OK;
}

/* The names that lead to an object, in the order of their slots. */
static int slots_load(struct diff *diff, enum diff_side side, const struct inode_version *inode, struct slots *slots) {
    struct place *place;
    int rc = STORE_OK;
    slots->items = &slots->one;
    if (!inode || inode->oid == ROOT_OID)
        return STORE_OK;
    if (S_ISDIR(inode->record.mode)) {
        rc = places_get(&diff->places[side], inode->oid, &place);
        if (rc == STORE_OK && place->exists) {
            slots->one = (struct slot){.parent = place->parent, .name = place->name, .length = place->name_length};
            slots->count = 1;
        }
    } else {
        rc = load_links(diff, side, inode->oid, slots);
    }
    for (size_t i = 0; rc == STORE_OK && i < slots->count; i++) {
        struct slot *slot = &slots->items[i];
        slot->corresponding = slot->parent;
        if (side == SIDE_A && !diff->by_path)
            rc = diff_counterpart(diff, SIDE_A, slot->parent, &slot->corresponding);
    }
    if (rc == STORE_OK && slots->count > 1)
        qsort(slots->items, slots->count, sizeof *slots->items, compare_slots);
    return rc;
}

static int slot_path(struct diff *diff, enum diff_side side, const struct slot *slot, char **path) {
    return places_path(&diff->places[side], slot->parent, slot->name, slot->length, path);
}

/* ---- candidates ---- */

struct candidate {
    const struct inode_version *inode[2]; /* NULL: not on this side */
    struct slots slots[2];
};

static int add_slot(struct diff *diff, enum diff_side side, const struct candidate *candidate,
                    const struct slot *slot) {
    struct diff_name name = {.oid = candidate->inode[side]->oid, .parent = slot->parent, .known = true};
    name.elsewhere = candidate->inode[side == SIDE_A ? SIDE_B : SIDE_A] != NULL;
    diff_set_side(&name.side, candidate->inode[side]);
    int rc = slot_path(diff, side, slot, &name.path);
    return rc != STORE_OK ? rc : diff_add_name(diff, side, &name);
}

/* A change of an object that is on both sides. Takes over the paths. */
static int add_pair(struct diff *diff, enum change_kind kind, const struct candidate *candidate, char *old_path,
                    char *new_path) {
    const struct inode_version *a = candidate->inode[SIDE_A], *b = candidate->inode[SIDE_B];
    struct change change = {.kind = kind, .old_path = old_path, .new_path = new_path};
    int rc = STORE_OK;
    bool wanted = diff_wants(diff, old_path, new_path);
    if (wanted)
        rc = diff_inodes(diff->store, a, diff->before[SIDE_A], b, diff->before[SIDE_B], &change.what);
    if (diff->options->ignore_times)
        change.what &= ~(unsigned)CHANGED_TIMES;
    if (rc != STORE_OK || !wanted || (kind == CHANGE_MODIFIED && change.what == 0)) {
        free(old_path);
        free(new_path);
        return rc;
    }
    diff_set_side(&change.old, a);
    diff_set_side(&change.new, b);
    return diff_add_change(diff, &change);
}

static int add_modified(struct diff *diff, const struct candidate *candidate, const struct slot *a,
                        const struct slot *b) {
    char *old_path = NULL, *new_path = NULL;
    int rc = slot_path(diff, SIDE_A, a, &old_path);
    if (rc == STORE_OK)
        rc = slot_path(diff, SIDE_B, b, &new_path);
    if (rc == STORE_OK)
        return add_pair(diff, CHANGE_MODIFIED, candidate, old_path, new_path);
    free(old_path);
    return rc;
}

/* What the new slot of a rename had is perhaps not among the candidates, if these are only what the filter needs. */
static int add_occupant(struct diff *diff, const struct diff_name *name) {
    const char *slash = strrchr(name->path, '/');
    const char *last = slash ? slash + 1 : name->path;
    uint64_t directory, oid;
    uint32_t type;
    int rc = diff_counterpart(diff, SIDE_B, name->parent, &directory);
    if (rc != STORE_OK || directory == 0)
        return rc;
    rc = store_lookup(diff->store, directory, last, strlen(last), diff->before[SIDE_A], &oid, &type);
    if (rc == STORE_OK)
        return diff_add_candidate(diff, oid);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

static int add_renamed(struct diff *diff, const struct candidate *candidate, struct diff_name *from,
                       struct diff_name *to) {
    bool wanted = diff_wants(diff, from->path, to->path);
    int rc = wanted && diff->partial ? add_occupant(diff, to) : STORE_OK;
    if (rc == STORE_OK && wanted) {
        void *items = diff->renames;
        rc = diff_grow(&items, &diff->rename_capacity, diff->rename_count, sizeof *diff->renames);
        diff->renames = items;
    }
    if (rc != STORE_OK)
        return rc;
    if (wanted)
        diff->renames[diff->rename_count++] = (struct diff_rename){to->parent, diff->change_count};
    char *old_path = from->path, *new_path = to->path;
    from->path = to->path = NULL;
    return add_pair(diff, CHANGE_RENAMED, candidate, old_path, new_path);
}

static int compare_names(const void *left, const void *right) {
    const struct diff_name *a = left, *b = right;
    return strcmp(a->path, b->path);
}

/* The names of one object that are on one side only, which stand last in diff->names: pairs them in the order of their paths. */
static int pair_names(struct diff *diff, const struct candidate *candidate, const size_t first[2]) {
    struct diff_names *old = &diff->names[SIDE_A], *new = &diff->names[SIDE_B];
    size_t old_count = old->count - first[SIDE_A], new_count = new->count - first[SIDE_B];
    size_t pairs = old_count < new_count ? old_count : new_count;
    int rc = STORE_OK;
    if (pairs == 0)
        return STORE_OK;
    struct diff_name *from = old->items + first[SIDE_A], *to = new->items + first[SIDE_B];
    qsort(from, old_count, sizeof *from, compare_names);
    qsort(to, new_count, sizeof *to, compare_names);
    for (size_t i = 0; rc == STORE_OK && i < pairs; i++)
        rc = add_renamed(diff, candidate, &from[i], &to[i]);
    if (rc != STORE_OK)
        return rc; /* the paths that are left belong to diff->names */
    memmove(from, from + pairs, (old_count - pairs) * sizeof *from);
    memmove(to, to + pairs, (new_count - pairs) * sizeof *to);
    old->count -= pairs;
    new->count -= pairs;
    return STORE_OK;
}

/* Slots that both sides have are where the object stayed. */
static int examine_slots(struct diff *diff, const struct candidate *candidate) {
    const struct slots *a = &candidate->slots[SIDE_A], *b = &candidate->slots[SIDE_B];
    const size_t first[2] = {diff->names[SIDE_A].count, diff->names[SIDE_B].count};
    size_t i = 0, j = 0;
    int rc = STORE_OK;
    while (rc == STORE_OK && (i < a->count || j < b->count)) {
        int order = i == a->count ? 1 : j == b->count ? -1 : compare_slots(&a->items[i], &b->items[j]);
        if (order == 0)
            rc = add_modified(diff, candidate, &a->items[i++], &b->items[j++]);
        else if (order < 0)
            rc = add_slot(diff, SIDE_A, candidate, &a->items[i++]);
        else
            rc = add_slot(diff, SIDE_B, candidate, &b->items[j++]);
    }
    return rc == STORE_OK ? pair_names(diff, candidate, first) : rc;
}

/* All names, for they are compared by path; below a directory that has moved, those of objects that have not changed, too. */
static int examine_paths(struct diff *diff, uint64_t oid, const struct candidate *candidate) {
    const struct slots *a = &candidate->slots[SIDE_A], *b = &candidate->slots[SIDE_B];
    int rc = STORE_OK;
    for (size_t i = 0; rc == STORE_OK && i < a->count; i++)
        rc = add_slot(diff, SIDE_A, candidate, &a->items[i]);
    for (size_t i = 0; rc == STORE_OK && i < b->count; i++)
        rc = add_slot(diff, SIDE_B, candidate, &b->items[i]);
    bool moved = candidate->inode[SIDE_A] && candidate->inode[SIDE_B] &&
                 S_ISDIR(candidate->inode[SIDE_A]->record.mode) && a->count == 1 && b->count == 1 &&
                 compare_slots(&a->items[0], &b->items[0]) != 0;
    if (rc == STORE_OK && moved)
        rc = diff_expand(diff, SIDE_A, oid);
    if (rc == STORE_OK && moved)
        rc = diff_expand(diff, SIDE_B, oid);
    return rc;
}

static int examine_root(struct diff *diff, const struct candidate *candidate) {
    char *old_path = strdup(""), *new_path = strdup("");
    if (old_path && new_path && candidate->inode[SIDE_A] && candidate->inode[SIDE_B])
        return add_pair(diff, CHANGE_MODIFIED, candidate, old_path, new_path);
    bool failed = !old_path || !new_path;
    free(old_path);
    free(new_path);
    return failed ? STORE_NO_MEMORY : STORE_OK;
}

/* An object without a name, or a directory of which names are lost: what became of it would be a guess. */
static int check_names(struct diff *diff, uint64_t oid, const struct candidate *candidate) {
    int rc = STORE_OK;
    for (int side = SIDE_A; rc == STORE_OK && side <= SIDE_B; side++) {
        bool known = true;
        if (!candidate->inode[side])
            continue;
        if (S_ISDIR(candidate->inode[side]->record.mode))
            rc = diff_names_known(diff, (enum diff_side)side, oid, &known);
        bool unnamed = oid != ROOT_OID && candidate->slots[side].count == 0;
        if (rc == STORE_OK && (unnamed || !known))
            rc = diff->losses ? STORE_LOST : STORE_CORRUPT;
    }
    return rc;
}

static int examine_readable(struct diff *diff, uint64_t oid) {
    struct inode_version *inode[2] = {NULL, NULL};
    struct candidate candidate = {0};
    int rc = diff_find_inode(diff, SIDE_A, oid, &inode[SIDE_A]);
    if (rc >= 0)
        rc = diff_find_inode(diff, SIDE_B, oid, &inode[SIDE_B]);
    if (rc < 0)
        goto out;
    rc = STORE_OK;
    for (int side = SIDE_A; rc == STORE_OK && side <= SIDE_B; side++) {
        candidate.inode[side] = inode[side];
        rc = slots_load(diff, (enum diff_side)side, inode[side], &candidate.slots[side]);
    }
    if (rc == STORE_OK)
        rc = check_names(diff, oid, &candidate);
    if (rc != STORE_OK)
        goto out;
    if (oid == ROOT_OID)
        rc = examine_root(diff, &candidate);
    else if (diff->by_path)
        rc = examine_paths(diff, oid, &candidate);
    else
        rc = examine_slots(diff, &candidate);
out:
    for (int side = SIDE_A; side <= SIDE_B; side++) {
        slots_release(&candidate.slots[side]);
        store_release(diff->store, inode[side]);
    }
    return rc;
}

/* Goes back to what was known of names and changes before an object of which nothing can be told. */
static void forget_since(struct diff *diff, const size_t names[2], size_t changes, size_t renames) {
    for (int side = SIDE_A; side <= SIDE_B; side++)
        while (diff->names[side].count > names[side])
            free(diff->names[side].items[--diff->names[side].count].path);
    while (diff->change_count > changes) {
        const struct change *change = &diff->changes[--diff->change_count];
        free(change->old_path);
        free(change->new_path);
    }
    diff->rename_count = renames;
}

static int examine(struct diff *diff, uint64_t oid) {
    const size_t names[2] = {diff->names[SIDE_A].count, diff->names[SIDE_B].count};
    size_t changes = diff->change_count, renames = diff->rename_count;
    int rc = examine_readable(diff, oid);
    if (!store_error_is_damage(rc))
        return rc;
    forget_since(diff, names, changes, renames);
    return diff_add_gap(diff, oid, rc);
}

static int examine_candidates(struct diff *diff) {
    const struct diff_options *options = diff->options;
    int rc = STORE_OK;
    for (size_t i = 0; rc == STORE_OK && i < diff->candidate_count; i++) {
        rc = examine(diff, diff->candidates[i]);
        if (options->progress && i % PROGRESS_EVERY == 0)
            options->progress(options->context, i, diff->candidate_count);
    }
    return rc;
}

/* ---- paths below directories that moved ---- */

/* The directory that holds `path` on one side stands elsewhere on the other. */
static int holder_moved(struct store *store, const char *path, uint64_t before, uint64_t other, bool *moved) {
    uint64_t here, there;
    struct inode_version *inode;
    const char *name;
    int rc = path_parent(store, path, before, &here, &name);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_OK : rc;
    rc = path_parent(store, path, other, &there, &name);
    if (rc < 0 || (rc == STORE_OK && here == there))
        return rc;
    rc = store_inode(store, here, other, &inode);
    if (rc == STORE_OK) {
        *moved = true;
        store_release(store, inode);
    }
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

int diff_paths_moved(struct store *store, const struct diff_options *options, bool *moved) {
    int rc = STORE_OK;
    *moved = false;
    for (size_t i = 0; i < options->path_count && rc == STORE_OK && !*moved; i++) {
        rc = holder_moved(store, options->paths[i], options->before_a, options->before_b, moved);
        if (rc == STORE_OK && !*moved)
            rc = holder_moved(store, options->paths[i], options->before_b, options->before_a, moved);
    }
    return rc;
}

/* ---- the whole ---- */

static const char *sort_path(const struct change *change) {
    return change->new_path ? change->new_path : change->old_path;
}

static int compare_changes(const void *left, const void *right) {
    const struct change *a = left, *b = right;
    int order = strcmp(sort_path(a), sort_path(b));
    /* What went away from a path comes before what came there from elsewhere. */
    return order != 0 ? order : (a->new_path != NULL) - (b->new_path != NULL);
}

static void diff_init(struct diff *diff, struct store *store, const struct diff_options *options) {
    *diff = (struct diff){
        .store = store,
        .options = options,
        .before = {options->before_a, options->before_b},
        .by_path = options->no_renames || options->each_file,
        .filtered = options->path_count > 0,
    };
    for (size_t i = 0; i < options->path_count; i++)
        if (options->paths[i][0] == '\0')
            diff->filtered = false;
    places_init(&diff->places[SIDE_A], store, options->before_a);
    places_init(&diff->places[SIDE_B], store, options->before_b);
    oid_set_init(&diff->known);
}

static void diff_release(struct diff *diff) {
    struct change_list rest = {diff->changes, diff->change_count, diff->gaps, diff->gap_count};
    change_list_release(&rest);
    free(diff->gap_oids);
    for (int side = SIDE_A; side <= SIDE_B; side++) {
        for (size_t i = 0; i < diff->names[side].count; i++)
            free(diff->names[side].items[i].path);
        free(diff->names[side].items);
        places_release(&diff->places[side]);
    }
    oid_set_release(&diff->known);
    free(diff->candidates);
    free(diff->renames);
}

int diff_run_by(struct store *store, const struct diff_options *options, enum diff_strategy strategy,
                struct change_list *changes) {
    struct diff diff;
    struct storage_state state;
    uint64_t last = store_last(store), horizon = store_horizon(store);
    *changes = (struct change_list){0};
    if (options->before_a < 1 || options->before_b < 1 || options->before_a > last + 1 || options->before_b > last + 1)
        return STORE_INVALID;
    if (options->before_a <= horizon || options->before_b <= horizon)
        return STORE_PACKED;
    if (options->before_a == options->before_b)
        return STORE_OK;
    diff_init(&diff, store, options);
    int rc = storage_get_state(store_storage(store), &state);
    diff.losses = rc == STORE_OK && state.losses;
    if (rc == STORE_OK)
        rc = diff_find_candidates(&diff, strategy);
    if (rc == STORE_OK)
        rc = examine_candidates(&diff);
    if (rc == STORE_OK)
        rc = diff.by_path ? diff_pair_paths(&diff) : diff_pair_slots(&diff);
    if (rc == STORE_OK) {
        if (diff.change_count > 1)
            qsort(diff.changes, diff.change_count, sizeof *diff.changes, compare_changes);
        diff_sort_gaps(&diff);
        *changes = (struct change_list){diff.changes, diff.change_count, diff.gaps, diff.gap_count};
        diff.changes = NULL;
        diff.gaps = NULL;
        diff.change_count = diff.gap_count = 0;
    }
    diff_release(&diff);
    return rc;
}

int diff_run(struct store *store, const struct diff_options *options, struct change_list *changes) {
    return diff_run_by(store, options, DIFF_AUTO, changes);
}

void change_list_release(struct change_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].old_path);
        free(list->items[i].new_path);
    }
    for (size_t i = 0; i < list->gap_count; i++)
        free(list->gaps[i].path);
    free(list->items);
    free(list->gaps);
    *list = (struct change_list){0};
}
