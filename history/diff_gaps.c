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

/* Whether a name leads to it; the path of one, if it is wanted. A path that is lost further up is as none. */
static int find_path(struct diff *diff, enum diff_side side, uint64_t oid, bool *named, char **path) {
    struct entry_list links = {0};
    int rc = storage_links(store_storage(diff->store), oid, diff->before[side], &links);
    *named = rc == STORE_OK && links.count > 0;
    if (*named && !*path)
        rc = places_path(&diff->places[side], links.items[0].parent, links.items[0].name, links.items[0].name_length,
                         path);
    entry_list_release(&links);
    return store_error_is_damage(rc) ? STORE_OK : rc;
}

/* What is not known of one side, and a path if there is none yet. */
static int look_at_side(struct diff *diff, enum diff_side side, uint64_t oid, struct change_gap *gap) {
    struct inode_version *inode = NULL;
    bool named = true, known = true;
    bool *unknown = side == SIDE_A ? &gap->old : &gap->new;
    int rc = diff_find_inode(diff, side, oid, &inode);
    if (rc == STORE_ABSENT || (rc < 0 && !store_error_is_damage(rc)))
        return rc < 0 ? rc : STORE_OK;
    bool directory = rc == STORE_OK && S_ISDIR(inode->record.mode);
    store_release(diff->store, inode);
    *unknown = rc != STORE_OK;
    gap->names &= rc == STORE_OK;
    gap->directory |= directory;
    rc = oid == ROOT_OID ? STORE_OK : find_path(diff, side, oid, &named, &gap->path);
    if (rc == STORE_OK && directory)
        rc = diff_names_known(diff, side, oid, &known);
    *unknown |= !named || !known;
    return rc;
}

int diff_add_gap(struct diff *diff, uint64_t oid, int why) {
    struct change_gap gap = {.names = true, .why = (enum store_error)why};
    int rc = STORE_OK;
    if (oid == ROOT_OID && !(gap.path = strdup("")))
        return STORE_NO_MEMORY;
    for (size_t i = 0; i < diff->gap_count; i++)
        if (diff->gap_oids[i] == oid)
            goto out; /* told already */
    /* The newer path first. */
    rc = look_at_side(diff, SIDE_B, oid, &gap);
    if (rc == STORE_OK)
        rc = look_at_side(diff, SIDE_A, oid, &gap);
    if (rc != STORE_OK || (diff->filtered && (!gap.path || !diff_wants(diff, gap.path, NULL))))
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
