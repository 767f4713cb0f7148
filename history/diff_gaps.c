/* What a diff cannot tell, because it is lost or damaged: that is told instead, and hides nothing else. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/diff_private.h"

#define INDEX_LAST ((uint64_t)INT64_MAX) /* there is no entry from here on: only whether names are missing is told */

int diff_names_known(struct diff *diff, enum diff_side side, uint64_t directory, bool *known) {
    struct entry_list nothing = {0};
    *known = true;
    if (!diff->losses)
        return STORE_OK;
    int rc = storage_list_from(store_storage(diff->store), directory, diff->before[side], INDEX_LAST, 1, &nothing);
    entry_list_release(&nothing);
    *known = rc != STORE_LOST;
    return rc == STORE_LOST ? STORE_OK : rc;
}

/* Whether a name leads to it, whether one that does is asked for, and the path of one, preferably of such. A path that is lost further up is as
 * none. */
static int find_path(struct diff *diff, enum diff_side side, uint64_t oid, bool *named, bool *wanted, char **path) {
    struct entry_list links = {0};
    bool found = false;
    int rc = storage_links(store_storage(diff->store), oid, diff->before[side], &links);
    *named = rc == STORE_OK && links.count > 0;
    for (size_t i = 0; rc == STORE_OK && i < links.count && !found; i++) {
        const struct entry *link = &links.items[i];
        char *one = NULL;
        rc = places_path(&diff->places[side], link->parent, link->name, link->name_length, &one);
        found = one && diff_wants(diff, one, NULL);
        if (one && (found || !*path)) {
            free(*path);
            *path = one;
        } else {
            free(one);
        }
    }
    *wanted |= found;
    entry_list_release(&links);
    return store_error_is_damage(rc) ? STORE_OK : rc;
}

/* What is not known of one side, a path if there is none yet, and whether the side's is asked for. */
static int look_at_side(struct diff *diff, enum diff_side side, uint64_t oid, struct change_gap *gap, bool *wanted) {
    struct inode_version *inode = NULL;
    bool named = true, known = true;
    char *path = NULL;
    bool *unknown = side == SIDE_A ? &gap->old : &gap->new;
    int rc = diff_find_inode(diff, side, oid, &inode);
    if (rc == STORE_ABSENT || (rc < 0 && !store_error_is_damage(rc)))
        return rc < 0 ? rc : STORE_OK;
    bool directory = rc == STORE_OK && S_ISDIR(inode->record.mode);
    store_release(diff->store, inode);
    *unknown = rc != STORE_OK;
    gap->names &= rc == STORE_OK;
    gap->directory |= directory;
    rc = oid == ROOT_OID ? STORE_OK : find_path(diff, side, oid, &named, wanted, &path);
    if (!gap->path) {
        gap->path = path;
        path = NULL;
    }
    free(path);
    if (rc == STORE_OK && directory)
        rc = diff_names_known(diff, side, oid, &known);
    *unknown |= !named || !known;
    return rc;
}

int diff_add_gap(struct diff *diff, uint64_t oid, int why) {
    struct change_gap gap = {.names = true, .why = (enum store_error)why};
    bool wanted = !diff->filtered;
    int rc = STORE_OK;
    if (oid == ROOT_OID && !(gap.path = strdup("")))
        return STORE_NO_MEMORY;
    for (size_t i = 0; i < diff->gap_count; i++)
        if (diff->gap_oids[i] == oid)
            goto out; /* told already */
    /* The newer path first. */
    rc = look_at_side(diff, SIDE_B, oid, &gap, &wanted);
    if (rc == STORE_OK)
        rc = look_at_side(diff, SIDE_A, oid, &gap, &wanted);
    if (rc == STORE_OK && oid == ROOT_OID)
        wanted |= diff_wants(diff, gap.path, NULL);
    if (rc != STORE_OK || !wanted)
        goto out;
    if (!gap.old && !gap.new) /* it is something above that is lost */
        gap.old = gap.new = true;
    if (!gap.path && asprintf(&gap.path, "object %" PRIu64, oid) < 0) {
        gap.path = NULL;
        rc = STORE_NO_MEMORY;
        goto out;
    }
    void *items = diff->gaps, *oids = diff->gap_oids;
    size_t capacity = diff->gap_capacity;
    rc = diff_grow(&items, &capacity, diff->gap_count, sizeof *diff->gaps);
    diff->gaps = items;
    if (rc == STORE_OK)
        rc = diff_grow(&oids, &diff->gap_capacity, diff->gap_count, sizeof *diff->gap_oids);
    diff->gap_oids = oids;
    if (rc == STORE_OK) {
        diff->gap_oids[diff->gap_count] = oid;
        diff->gaps[diff->gap_count++] = gap;
        return STORE_OK;
    }
out:
    free(gap.path);
    return rc;
}

static int compare_gaps(const void *left, const void *right) {
    const struct change_gap *a = left, *b = right;
    return strcmp(a->path, b->path);
}

void diff_sort_gaps(struct diff *diff) {
    if (diff->gap_count > 1)
        qsort(diff->gaps, diff->gap_count, sizeof *diff->gaps, compare_gaps);
}
