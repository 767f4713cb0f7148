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

/* What is not known of one side, its path (NULL: none is known), and whether that is asked for. */
static int look_at_side(struct diff *diff, enum diff_side side, uint64_t oid, struct change_gap *gap, char **path,
                        bool *wanted) {
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
    if (oid == ROOT_OID) {
        *path = strdup("");
        rc = *path ? STORE_OK : STORE_NO_MEMORY;
        *wanted |= *path && diff_wants(diff, *path, NULL);
    } else {
        rc = find_path(diff, side, oid, &named, wanted, path);
    }
    if (rc == STORE_OK && directory)
        rc = diff_names_known(diff, side, oid, &known);
    *unknown |= !named || !known;
    return rc;
}

/* One that moved took all below it along, which nothing but its own change would tell. */
static bool hides_what_is_wanted(const struct diff *diff, const char *old_path, const char *new_path) {
    if (old_path && new_path && strcmp(old_path, new_path) == 0)
        return false;
    for (size_t i = 0; i < diff->options->path_count; i++) {
        const char *path = diff->options->paths[i];
        if ((old_path && path_is_at_or_below(path, old_path)) || (new_path && path_is_at_or_below(path, new_path)))
            return true;
    }
    return false;
}

static int keep_gap(struct diff *diff, uint64_t oid, const struct change_gap *gap) {
    void *items = diff->gaps, *oids = diff->gap_oids;
    size_t capacity = diff->gap_capacity;
    int rc = diff_grow(&items, &capacity, diff->gap_count, sizeof *diff->gaps);
    diff->gaps = items;
    if (rc == STORE_OK)
        rc = diff_grow(&oids, &diff->gap_capacity, diff->gap_count, sizeof *diff->gap_oids);
    diff->gap_oids = oids;
    if (rc == STORE_OK) {
        diff->gap_oids[diff->gap_count] = oid;
        diff->gaps[diff->gap_count++] = *gap;
    }
    return rc;
}

int diff_add_gap(struct diff *diff, uint64_t oid, int why) {
    struct change_gap gap = {.names = true, .why = (enum store_error)why};
    char *old_path = NULL, *new_path = NULL;
    bool wanted = !diff->filtered;
    for (size_t i = 0; i < diff->gap_count; i++)
        if (diff->gap_oids[i] == oid)
            return STORE_OK; /* told already */
    int rc = look_at_side(diff, SIDE_B, oid, &gap, &new_path, &wanted);
    if (rc == STORE_OK)
        rc = look_at_side(diff, SIDE_A, oid, &gap, &old_path, &wanted);
    if (rc != STORE_OK || !(wanted || hides_what_is_wanted(diff, old_path, new_path)))
        goto out;
    if (!gap.old && !gap.new) /* it is something above that is lost */
        gap.old = gap.new = true;
    char **newer = new_path ? &new_path : &old_path;
    if (!*newer && asprintf(newer, "object %" PRIu64, oid) < 0) {
        *newer = NULL;
        rc = STORE_NO_MEMORY;
        goto out;
    }
    gap.path = *newer;
    rc = keep_gap(diff, oid, &gap);
    if (rc == STORE_OK)
        *newer = NULL;
out:
    free(old_path);
    free(new_path);
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
