/* Which objects may differ between two instants.
 *
 * Two ways lead there, and what they find differs only in objects that turn out to be equal. A scan takes the objects that have a
 * revision in between: nothing is cheaper for two close instants of a large tree. A walk goes through both trees at once, from the
 * root or from the paths that are asked for, into those directories only in which something changed: cheaper when much happened
 * in between to little, or elsewhere. The number of revisions is known beforehand and the length of the walk is not; so the walk
 * is tried, with as much to look at as costs a part of the scan, and given up for it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/diff_private.h"

/* So few revisions are scanned in a millisecond or so. */
#define SCAN_ALWAYS 256
/* Looking at an entry costs as much as scanning this many revisions at most; and a scan's objects must be examined, too, of which only
 * some lie where one asked to look. */
#define WALK_COST          8
#define WALK_COST_FILTERED 2

#define PROGRESS_EVERY 1024

int diff_add_candidate(struct diff *diff, uint64_t oid) {
    int rc = oid_set_add(&diff->known, oid);
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_OK : rc;
    void *items = diff->candidates;
    rc = diff_grow(&items, &diff->candidate_capacity, diff->candidate_count, sizeof *diff->candidates);
    diff->candidates = items;
    if (rc == STORE_OK)
        diff->candidates[diff->candidate_count++] = oid;
    return rc;
}

/* ---- the walk ---- */

struct walk {
    struct diff *diff;
    uint64_t first, until;  /* what was touched by transactions first <= seq < until */
    struct oid_set entered; /* directories that were put on the stack */
    uint64_t *stack;
    size_t depth, capacity;
    uint64_t looked, budget;
};

static void walk_release(struct walk *walk) {
    oid_set_release(&walk->entered);
    free(walk->stack);
}

static int walk_add_entry(struct walk *walk, uint64_t oid, uint32_t type) {
    int rc = diff_add_candidate(walk->diff, oid);
    if (rc != STORE_OK || type != S_IFDIR)
        return rc;
    rc = oid_set_add(&walk->entered, oid);
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_OK : rc;
    void *items = walk->stack;
    rc = diff_grow(&items, &walk->capacity, walk->depth, sizeof *walk->stack);
    walk->stack = items;
    if (rc == STORE_OK)
        walk->stack[walk->depth++] = oid;
    return rc;
}

/* An entry that is the same on both sides. */
static int walk_common(struct walk *walk, const struct entry *entry) {
    uint64_t seq;
    int rc = storage_touched(store_storage(walk->diff->store), entry->oid, walk->until, &seq);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_OK : rc;
    return seq >= walk->first ? walk_add_entry(walk, entry->oid, entry->type) : STORE_OK;
}

/* Both are in order of index, which no two entries of a directory ever share. */
static int walk_entries(struct walk *walk, const struct entry_list *a, const struct entry_list *b) {
    const struct diff_options *options = walk->diff->options;
    size_t i = 0, j = 0;
    int rc = STORE_OK;
    while (rc == STORE_OK && (i < a->count || j < b->count) && walk->looked < walk->budget) {
        const struct entry *x = i < a->count ? &a->items[i] : NULL, *y = j < b->count ? &b->items[j] : NULL;
        if (x && y && x->index == y->index) {
            rc = walk_common(walk, x);
            i++;
            j++;
        } else if (x && (!y || x->index < y->index)) {
            rc = walk_add_entry(walk, x->oid, x->type);
            i++;
        } else if (y) {
            rc = walk_add_entry(walk, y->oid, y->type);
            j++;
        }
        if (++walk->looked % PROGRESS_EVERY == 0 && options->progress)
            options->progress(options->context, walk->looked, 0);
    }
    return rc;
}

/* Whether a directory has the same entries on both sides. */
static int same_entries(struct diff *diff, uint64_t directory, bool *same) {
    struct inode_version *a = NULL, *b = NULL;
    int rc = store_inode(diff->store, directory, diff->before[SIDE_A], &a);
    if (rc == STORE_OK)
        rc = store_inode(diff->store, directory, diff->before[SIDE_B], &b);
    *same = rc == STORE_OK && a->record.next_index == b->record.next_index && a->record.size == b->record.size;
    store_release(diff->store, a);
    store_release(diff->store, b);
    return rc < 0 ? rc : STORE_OK;
}

static int walk_directory(struct walk *walk, uint64_t directory) {
    struct diff *diff = walk->diff;
    struct storage *storage = store_storage(diff->store);
    struct entry_list a = {0}, b = {0};
    bool same;
    int rc = same_entries(diff, directory, &same);
    if (rc == STORE_OK)
        rc = storage_list(storage, directory, diff->before[SIDE_A], &a);
    if (rc == STORE_OK && !same)
        rc = storage_list(storage, directory, diff->before[SIDE_B], &b);
    if (rc == STORE_OK)
        rc = walk_entries(walk, &a, same ? &a : &b);
    entry_list_release(&a);
    entry_list_release(&b);
    return rc;
}

/* ---- where it starts ---- */

/* Whether the object is a directory on a side. */
static int is_directory(struct diff *diff, enum diff_side side, uint64_t oid, bool *is) {
    struct inode_version *inode;
    int rc = store_inode(diff->store, oid, diff->before[side], &inode);
    *is = rc == STORE_OK && S_ISDIR(inode->record.mode);
    if (rc == STORE_OK)
        store_release(diff->store, inode);
    return rc < 0 ? rc : STORE_OK;
}

/* A path on one side, and what corresponds to it on the other. */
struct step {
    enum diff_side side, other;
    uint64_t oid, twin; /* twin: 0: none */
    uint32_t type;
};

/* One name further. STORE_ABSENT if the side has no such name. Both objects are candidates. */
static int step_down(struct walk *walk, struct step *step, const char *name, size_t length) {
    struct diff *diff = walk->diff;
    uint64_t directory = step->twin;
    uint32_t type;
    bool same;
    if (step->type != S_IFDIR)
        return STORE_ABSENT;
    int rc = store_lookup(diff->store, step->oid, name, length, diff->before[step->side], &step->oid, &step->type);
    if (rc == STORE_OK)
        rc = diff_add_candidate(diff, step->oid);
    if (rc != STORE_OK)
        return rc;
    step->twin = 0;
    if (directory != 0)
        rc = store_lookup(diff->store, directory, name, length, diff->before[step->other], &step->twin, &type);
    if (rc == STORE_OK && step->twin != 0)
        rc = diff_add_candidate(diff, step->twin);
    if (rc < 0)
        return rc;
    /* A directory that is on both sides corresponds to itself, wherever it went. */
    rc = is_directory(diff, step->other, step->oid, &same);
    if (same)
        step->twin = step->oid;
    return rc;
}

/* Follows a path on one side: all that stands on the way is a candidate (a directory above may have moved), with what stands in its
 * place on the other side. The last ones are walked. */
static int walk_from_path(struct walk *walk, enum diff_side side, const char *path) {
    struct step step = {side, side == SIDE_A ? SIDE_B : SIDE_A, ROOT_OID, ROOT_OID, S_IFDIR};
    int rc = diff_add_candidate(walk->diff, ROOT_OID);
    while (rc == STORE_OK && *path != '\0') {
        size_t length = strcspn(path, "/");
        rc = step_down(walk, &step, path, length);
        path += length;
        path += *path == '/';
    }
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_OK : rc;
    rc = walk_add_entry(walk, step.oid, step.type);
    /* Listing what is no directory is harmless. */
    return rc == STORE_OK && step.twin != 0 ? walk_add_entry(walk, step.twin, S_IFDIR) : rc;
}

static int start(struct walk *walk) {
    struct diff *diff = walk->diff;
    if (!diff->filtered)
        return walk_add_entry(walk, ROOT_OID, S_IFDIR);
    int rc = STORE_OK;
    for (size_t i = 0; rc == STORE_OK && i < diff->options->path_count; i++) {
        rc = walk_from_path(walk, SIDE_A, diff->options->paths[i]);
        if (rc == STORE_OK)
            rc = walk_from_path(walk, SIDE_B, diff->options->paths[i]);
    }
    return rc;
}

/* STORE_ABSENT: the budget is used up, and what was found is not all. */
static int walk_trees(struct diff *diff, uint64_t first, uint64_t until, uint64_t budget) {
    struct walk walk = {.diff = diff, .first = first, .until = until, .budget = budget};
    int rc = start(&walk);
    while (rc == STORE_OK && walk.depth > 0 && walk.looked < walk.budget)
        rc = walk_directory(&walk, walk.stack[--walk.depth]);
    if (rc == STORE_OK && walk.looked >= walk.budget) {
        rc = STORE_ABSENT;
    }
    diff->partial = rc == STORE_OK && diff->filtered;
    walk_release(&walk);
    return rc;
}

int diff_find_candidates(struct diff *diff, enum diff_strategy strategy) {
    struct storage *storage = store_storage(diff->store);
    bool reverse = diff->before[SIDE_A] > diff->before[SIDE_B];
    uint64_t first = diff->before[reverse ? SIDE_B : SIDE_A], until = diff->before[reverse ? SIDE_A : SIDE_B];
    uint64_t revisions;
    int rc = storage_revisions_between(storage, first - 1, until - 1, &revisions);
    if (rc != STORE_OK)
        return rc;
    if (strategy == DIFF_WALK)
        return walk_trees(diff, first, until, UINT64_MAX);
    if (strategy == DIFF_AUTO && revisions > SCAN_ALWAYS) {
        rc = walk_trees(diff, first, until, revisions / (diff->filtered ? WALK_COST_FILTERED : WALK_COST));
        /* Of a directory that cannot be listed a scan still finds what changed. */
        if (rc != STORE_ABSENT && !store_error_is_damage(rc))
            return rc;
    }
    free(diff->candidates);
    diff->candidates = NULL;
    oid_set_release(&diff->known);
    return storage_changed(storage, first - 1, until - 1, &diff->candidates, &diff->candidate_count);
}
