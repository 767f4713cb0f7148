/* Merging what an object holds: attributes field by field, extended attributes name by name, text by lines. */
#include "history/restore_merge.h"

#include <stdlib.h>
#include <string.h>

#include "history/text.h"

#define MERGE_MAX ((size_t)64 << 20) /* larger files are not merged by lines */

struct merging {
    struct undoing *u;
    struct draft_node *node;
    const struct change *change;
    struct source after, before;
    struct inode_version *then_after, *then_before;
};

/* `what` (CHANGED_*) is what was changed since. */
static int conflict(struct merging *m, unsigned what, const char *why) {
    char *path = NULL;
    int rc = undo_path(m->u, m->node, m->change, &path);
    if (rc != STORE_OK)
        return rc;
    return plan_conflict(m->u->plan, path, why, m->u->tid, undo_changed_tid(m->u, m->node->oid, what));
}

/* ---- comparing ---- */

static int same_xattrs(struct draft *draft, const struct draft_node *node, const struct source *source, bool *same) {
    struct xattr_set *ours = NULL, *other = NULL;
    int rc = node_xattrs(draft, node, &ours);
    if (rc == STORE_OK)
        rc = source_xattrs(draft->store, source, &other);
    if (rc == STORE_OK)
        *same = xattrs_equal(ours, other);
    xattrs_free(ours);
    xattrs_free(other);
    return rc;
}

int undo_is_unchanged(struct undoing *u, struct draft_node *node, const struct source *source, bool *unchanged) {
    struct draft *draft = u->draft;
    struct inode_version *version;
    *unchanged = false;
    int rc = store_inode(draft->store, source->oid, source->before, &version);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    const struct inode_record *record = &version->record;
    bool same = node->plan.mode == record->mode && node->plan.uid == record->uid && node->plan.gid == record->gid;
    store_release(draft->store, version);
    if (same && !node->directory)
        rc = node_same_content(draft, node, source, &same);
    if (rc == STORE_OK && same)
        rc = same_xattrs(draft, node, source, &same);
    *unchanged = rc == STORE_OK && same;
    return rc;
}

/* ---- attributes ---- */

static int merge_mode(struct merging *m) {
    uint32_t after = m->then_after->record.mode, before = m->then_before->record.mode, ours = m->node->plan.mode;
    if (ours == before)
        return STORE_OK;
    return ours == after ? draft_restore(m->u->draft, m->node, &m->before, CHANGED_MODE)
                         : conflict(m, CHANGED_MODE, "its mode was changed since");
}

static int merge_owner(struct merging *m) {
    const struct inode_record *after = &m->then_after->record, *before = &m->then_before->record;
    struct inode_record *ours = &m->node->plan;
    bool uid = ours->uid == after->uid || before->uid == after->uid || ours->uid == before->uid;
    bool gid = ours->gid == after->gid || before->gid == after->gid || ours->gid == before->gid;
    if (!uid || !gid)
        return conflict(m, CHANGED_OWNER, "its owner was changed since");
    if (before->uid != after->uid)
        ours->uid = before->uid;
    if (before->gid != after->gid)
        ours->gid = before->gid;
    m->node->changed |= CHANGED_OWNER;
    return STORE_OK;
}

static bool same_xattr(const struct xattr *a, const struct xattr *b) {
    if (!a || !b)
        return a == b;
    return a->length == b->length && (a->length == 0 || memcmp(a->value, b->value, a->length) == 0);
}

/* One name, in which after and before may differ. */
static int merge_xattr(struct xattr_set *ours, const char *name, const struct xattr *after, const struct xattr *before,
                       bool *clean) {
    const struct xattr *own = xattr_set_find(ours, name);
    if (same_xattr(after, before) || same_xattr(own, before))
        return STORE_OK;
    if (!same_xattr(own, after)) {
        *clean = false;
        return STORE_OK;
    }
    return before ? xattr_set_put(ours, name, before->value, before->length) : xattr_set_remove(ours, name);
}

static int merge_xattrs(struct merging *m) {
    struct draft *draft = m->u->draft;
    struct xattr_set *ours = NULL, *after = NULL, *before = NULL;
    bool clean = true;
    int rc = node_xattrs(draft, m->node, &ours);
    if (rc == STORE_OK)
        rc = source_xattrs(draft->store, &m->after, &after);
    if (rc == STORE_OK)
        rc = source_xattrs(draft->store, &m->before, &before);
    for (size_t i = 0; rc == STORE_OK && i < after->count; i++)
        rc = merge_xattr(ours, after->items[i].name, &after->items[i], xattr_set_find(before, after->items[i].name),
                         &clean);
    for (size_t i = 0; rc == STORE_OK && i < before->count; i++)
        rc = merge_xattr(ours, before->items[i].name, xattr_set_find(after, before->items[i].name), &before->items[i],
                         &clean);
    if (rc == STORE_OK && clean) {
        xattrs_free(m->node->set);
        m->node->set = ours;
        m->node->xattrs = (struct source){0};
        m->node->changed |= CHANGED_XATTR;
        ours = NULL;
    }
    xattrs_free(ours);
    xattrs_free(after);
    xattrs_free(before);
    return rc == STORE_OK && !clean ? conflict(m, CHANGED_XATTR, "its extended attributes were changed since") : rc;
}

int undo_merge_times(struct undoing *u, struct draft_node *node, const struct source *after,
                     const struct source *before) {
    struct draft *draft = u->draft;
    struct inode_version *version;
    if ((node->changed & CHANGED_CONTENT) && !node->set_times)
        return STORE_OK; /* merged: it is new */
    int rc = store_inode(draft->store, after->oid, after->before, &version);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    bool same = same_times(&node->plan, &version->record);
    store_release(draft->store, version);
    return same ? draft_restore(draft, node, before, CHANGED_TIMES) : STORE_OK;
}

/* ---- content ---- */

static int merge_text(struct merging *m) {
    struct draft *draft = m->u->draft;
    struct text base = {0}, ours = {0}, theirs = {0};
    uint8_t *data[3] = {NULL, NULL, NULL}, *merged = NULL;
    size_t length = 0;
    bool clean = false, binary = true;
    struct error err = {0};
    int rc = source_read(draft->store, &m->after, MERGE_MAX, &data[0], &base.length);
    if (rc == STORE_OK)
        rc = node_read(draft, m->node, MERGE_MAX, &data[1], &ours.length);
    if (rc == STORE_OK)
        rc = source_read(draft->store, &m->before, MERGE_MAX, &data[2], &theirs.length);
    base.data = data[0];
    ours.data = data[1];
    theirs.data = data[2];
    if (rc == STORE_OK)
        binary = text_is_binary(&base) || text_is_binary(&ours) || text_is_binary(&theirs);
    if (rc == STORE_OK && !binary)
        rc = text_merge(&base, &ours, &theirs, "now", "before", &merged, &length, &clean, &err);
    if (rc == STORE_OK && clean) {
        draft_set_data(m->node, merged, length);
        m->node->merged = true;
        merged = NULL;
    }
    free(merged);
    for (size_t i = 0; i < 3; i++)
        free(data[i]);
    if (rc == STORE_TOO_BIG)
        return conflict(m, CHANGED_CONTENT, "its content was changed since, and is too large to merge");
    if (rc != STORE_OK || clean)
        return rc;
    return conflict(m, CHANGED_CONTENT,
                    binary ? "its content was changed since, and is no text that could be merged"
                           : "its content was changed since in the same lines");
}

static int merge_content(struct merging *m) {
    struct draft *draft = m->u->draft;
    bool same = false;
    int rc = node_same_content(draft, m->node, &m->after, &same);
    if (rc != STORE_OK)
        return rc;
    if (same) { /* times first: when the content is planned to change they say nothing any more */
        rc = undo_merge_times(m->u, m->node, &m->after, &m->before);
        return rc == STORE_OK ? draft_restore(draft, m->node, &m->before, CHANGED_CONTENT) : rc;
    }
    rc = node_same_content(draft, m->node, &m->before, &same);
    if (rc != STORE_OK || same)
        return rc;
    return S_ISREG(m->node->plan.mode) ? merge_text(m) : conflict(m, CHANGED_CONTENT, "its content was changed since");
}

/* ---- the whole ---- */

int undo_merge(struct undoing *u, struct draft_node *node, const struct change *change) {
    struct store *store = u->draft->store;
    struct merging m = {.u = u,
                        .node = node,
                        .change = change,
                        .after = {change->old.oid, u->after},
                        .before = {change->new.oid, u->seq}};
    bool times_first = (change->what & (CHANGED_CONTENT | CHANGED_TIMES)) == CHANGED_TIMES;
    int rc = store_inode(store, m.after.oid, m.after.before, &m.then_after);
    if (rc == STORE_OK)
        rc = store_inode(store, m.before.oid, m.before.before, &m.then_before);
    if (rc == STORE_OK && (change->what & CHANGED_CONTENT))
        rc = merge_content(&m);
    if (rc == STORE_OK && (change->what & CHANGED_XATTR))
        rc = merge_xattrs(&m);
    if (rc == STORE_OK && (change->what & CHANGED_OWNER))
        rc = merge_owner(&m);
    if (rc == STORE_OK && (change->what & CHANGED_MODE))
        rc = merge_mode(&m);
    if (rc == STORE_OK && times_first)
        rc = undo_merge_times(u, node, &m.after, &m.before);
    store_release(store, m.then_after);
    store_release(store, m.then_before);
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}
