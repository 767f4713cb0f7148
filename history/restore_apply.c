/* Doing what a plan says, by the head's operations, inside of a head_transaction. First all names, then what the objects hold, last the times of
 * directories, which all else moves.
 *
 * Names depend on each other: a directory must be empty before it goes, a name free before it is taken, a directory there before something is put into it. The
 * operations are tried in turn, again and again, until none is left. When none can be done, what moves goes in a circle: it is then put
 * aside, under a name in the root that nobody sees.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "history/restore_private.h"

struct action {
    enum { ACTION_REMOVE, ACTION_MOVE, ACTION_MAKE, ACTION_LINK } kind;
    struct draft_node *node;
    struct draft_entry *from, *to;
    uint64_t directory; /* MOVE: where it is now, and the name that it has there */
    char aside[48];     /* "": from->name */
    size_t depth;       /* of the path */
    bool done;
};

struct applying {
    struct restore_plan *plan;
    struct head *head;
    struct action *actions;
    size_t count, left;
    bool aside; /* the root has been used so */
};

/* ---- what is to be done to names ---- */

static size_t depth_of(struct draft_entry *entry, bool now) {
    size_t depth = 0;
    while (entry && depth < 4096) {
        const struct draft_node *parent = entry->parent;
        entry = (now && parent->home) || !parent->place ? parent->home : parent->place;
        depth++;
    }
    return depth;
}

static void add_action(struct applying *a, int kind, struct draft_node *node, struct draft_entry *from,
                       struct draft_entry *to) {
    struct action *action = &a->actions[a->count++];
    *action = (struct action){.node = node, .from = from, .to = to};
    action->kind = (unsigned)kind;
    action->depth = kind == ACTION_REMOVE ? depth_of(from, true) : depth_of(to, false);
    if (from)
        action->directory = from->parent->oid;
}

/* Removals from the deepest up, then the rest from the top down. */
static int compare_actions(const void *x, const void *y) {
    const struct action *a = x, *b = y;
    bool a_removes = a->kind == ACTION_REMOVE, b_removes = b->kind == ACTION_REMOVE;
    if (a_removes != b_removes)
        return a_removes ? -1 : 1;
    int order = (a->depth > b->depth) - (a->depth < b->depth);
    return a_removes ? -order : order;
}

static int gather(struct applying *a) {
    struct draft *draft = &a->plan->draft;
    size_t most = 1;
    for (const struct draft_entry *entry = draft->first; entry; entry = entry->next)
        most += entry->now != entry->plan ? 2 : 0;
    a->actions = calloc(most, sizeof *a->actions);
    if (!a->actions)
        return -ENOMEM;
    for (struct draft_entry *entry = draft->first; entry; entry = entry->next) {
        if (entry->now == entry->plan)
            continue;
        if (entry->now && entry->now->from != entry)
            add_action(a, ACTION_REMOVE, entry->now, entry, NULL);
        struct draft_node *node = entry->plan;
        if (!node)
            continue;
        if (node->to != entry)
            add_action(a, ACTION_LINK, node, NULL, entry);
        else if (node->oid)
            add_action(a, ACTION_MOVE, node, node->from, entry);
        else
            add_action(a, ACTION_MAKE, node, NULL, entry);
    }
    qsort(a->actions, a->count, sizeof *a->actions, compare_actions);
    a->left = a->count;
    return 0;
}

static int make(struct applying *a, struct draft_node *node, const struct draft_entry *to) {
    struct draft *draft = &a->plan->draft;
    struct inode_version *version = NULL;
    const char *target = NULL;
    struct head_attr attr;
    int rc = 0;
    if (S_ISLNK(node->plan.mode)) {
        rc = store_inode(draft->store, node->content.oid, node->content.before, &version);
        if (rc != STORE_OK)
            return rc == STORE_ABSENT ? -EIO : -store_error_errno(rc);
        target = version->record.target;
    }
    const struct head_caller caller = {.uid = node->plan.uid, .gid = node->plan.gid};
    rc = head_make(a->head, to->parent->oid, to->name, to->length, node->plan.mode, node->plan.rdev, target, &caller,
                   &attr);
    store_release(draft->store, version);
    if (rc == 0) {
        node->oid = attr.oid;
        head_forget(a->head, attr.oid, 1);
    }
    return rc;
}

/* -EAGAIN: not yet. */
static int try_action(struct applying *a, struct action *action) {
    struct head *head = a->head;
    const struct draft_entry *from = action->from, *to = action->to;
    const char *name = action->aside[0] ? action->aside : from ? from->name : NULL;
    struct head_attr attr;
    int rc;
    if (to && !to->parent->oid)
        return -EAGAIN;
    switch (action->kind) {
    case ACTION_REMOVE:
        rc = action->node->directory ? head_rmdir(head, action->directory, from->name, from->length)
                                     : head_unlink(head, action->directory, from->name, from->length);
        return rc == -ENOTEMPTY ? -EAGAIN : rc;
    case ACTION_MOVE:
        rc = head_rename(head, action->directory, name, strlen(name), to->parent->oid, to->name, to->length,
                         RENAME_NOREPLACE);
        return rc == -EEXIST || rc == -EINVAL ? -EAGAIN : rc; /* taken; or still inside of itself */
    case ACTION_MAKE:
        rc = make(a, action->node, to);
        return rc == -EEXIST ? -EAGAIN : rc;
    case ACTION_LINK:
        if (!action->node->oid)
            return -EAGAIN;
        rc = head_link(head, action->node->oid, to->parent->oid, to->name, to->length, &attr);
        if (rc == 0)
            head_forget(head, attr.oid, 1);
        return rc == -EEXIST ? -EAGAIN : rc;
    }
    return -EIO;
}

/* Whatever still has to move leaves its name, so that others can go on. Names of the user's that look the same are passed over. */
static int put_aside(struct applying *a) {
    bool any = false;
    for (size_t i = 0; i < a->count; i++) {
        struct action *action = &a->actions[i];
        if (action->done || action->kind != ACTION_MOVE || action->aside[0])
            continue;
        for (unsigned long number = i;; number++) {
            char name[sizeof action->aside];
            (void)snprintf(name, sizeof name, ".tidfs-restore-%lu", number);
            int rc = head_rename(a->head, action->directory, action->from->name, action->from->length, ROOT_OID, name,
                                 strlen(name), RENAME_NOREPLACE);
            if (rc == -EEXIST)
                continue;
            if (rc < 0)
                return rc;
            memcpy(action->aside, name, sizeof name);
            action->directory = ROOT_OID;
            break;
        }
        any = a->aside = true;
    }
    return any ? 0 : -EIO; /* the plan does not fit the tree */
}

static int apply_names(struct applying *a) {
    while (a->left > 0) {
        size_t left = a->left;
        for (size_t i = 0; i < a->count; i++) {
            struct action *action = &a->actions[i];
            int rc = action->done ? -EAGAIN : try_action(a, action);
            if (rc == 0) {
                action->done = true;
                a->left--;
            } else if (rc != -EAGAIN) {
                return rc;
            }
        }
        int rc = a->left == left ? put_aside(a) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- what objects hold ---- */

static int copy_range(struct applying *a, const struct draft_node *node, uint64_t from, uint64_t to) {
    while (from < to) {
        uint64_t copied = 0;
        int rc = head_copy_range(a->head, node->content.oid, node->content.before, from, node->oid, from, to - from,
                                 false, &copied);
        if (rc < 0)
            return rc;
        if (copied == 0)
            return -EIO;
        from += copied;
    }
    return 0;
}

/* Shares the data of the source, range by range; the rest is a hole. */
static int share_content(struct applying *a, const struct draft_node *node) {
    struct store *store = a->plan->draft.store;
    struct inode_version *source;
    int rc = store_inode(store, node->content.oid, node->content.before, &source);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? -EIO : -store_error_errno(rc);
    for (uint64_t at = 0; at < source->record.size && rc >= 0;) {
        uint64_t start = at, end = source->record.size;
        rc = store_seek(store, source, node->content.before, at, false, &start);
        if (rc == STORE_ABSENT)
            break;
        if (rc == STORE_OK)
            rc = store_seek(store, source, node->content.before, start, true, &end);
        rc = rc < 0 ? -store_error_errno(rc) : copy_range(a, node, start, end);
        at = end;
    }
    store_release(store, source);
    return rc < 0 ? rc : 0;
}

static int write_content(struct applying *a, const struct draft_node *node) {
    for (size_t at = 0; at < node->length;) {
        int64_t written = head_write(a->head, node->oid, at, node->length - at, node->data + at, false);
        if (written <= 0)
            return written < 0 ? (int)written : -EIO;
        at += (size_t)written;
    }
    return 0;
}

static int apply_content(struct applying *a, const struct draft_node *node) {
    struct head_attr set = {0}, attr;
    int rc = head_setattr(a->head, node->oid, HEAD_SET_SIZE, &set, &attr);
    if (rc == 0)
        rc = node->data ? write_content(a, node) : share_content(a, node);
    set.size = node->plan.size;
    if (rc == 0 && set.size > 0)
        rc = head_setattr(a->head, node->oid, HEAD_SET_SIZE, &set, &attr);
    return rc;
}

/* What it has and is not to have goes; what it is to have is set. */
static int apply_xattrs(struct applying *a, const struct draft_node *node) {
    struct xattr_set *set = NULL;
    char *list = NULL;
    size_t length = 0;
    int rc = node_xattrs(&a->plan->draft, node, &set);
    if (rc != STORE_OK)
        return -store_error_errno(rc);
    rc = head_listxattr(a->head, node->oid, NULL, 0, &length);
    if (rc == 0 && length > 0) {
        list = malloc(length);
        rc = list ? head_listxattr(a->head, node->oid, list, length, &length) : -ENOMEM;
    }
    for (const char *name = list; rc == 0 && list && name < list + length; name += strlen(name) + 1) {
        if (!xattr_set_find(set, name))
            rc = head_removexattr(a->head, node->oid, name);
    }
    for (size_t i = 0; i < set->count && rc == 0; i++)
        rc = head_setxattr(a->head, node->oid, set->items[i].name, set->items[i].value, set->items[i].length, 0);
    free(list);
    xattrs_free(set);
    return rc;
}

/* An ACL says what the mode is, so the mode comes after it. */
static int apply_node(struct applying *a, const struct draft_node *node, bool made) {
    unsigned changed = made ? CHANGED_ALL : node->changed;
    struct head_attr set = {.mode = node->plan.mode, .uid = node->plan.uid, .gid = node->plan.gid}, attr;
    int rc = 0;
    if ((changed & CHANGED_CONTENT) && S_ISREG(node->plan.mode))
        rc = apply_content(a, node);
    if (rc == 0 && (changed & CHANGED_XATTR))
        rc = apply_xattrs(a, node);
    if (rc == 0 && (changed & CHANGED_OWNER))
        rc = head_setattr(a->head, node->oid, HEAD_SET_UID | HEAD_SET_GID, &set, &attr);
    /* ACLs of symlinks do not exist, and their modes do not change. */
    if (rc == 0 && (changed & (CHANGED_MODE | CHANGED_XATTR)) && !S_ISLNK(node->plan.mode))
        rc = head_setattr(a->head, node->oid, HEAD_SET_MODE, &set, &attr);
    return rc;
}

static int apply_times(struct applying *a, const struct draft_node *node) {
    struct head_attr set = {.atime = node->plan.atime, .mtime = node->plan.mtime}, attr;
    return head_setattr(a->head, node->oid, HEAD_SET_ATIME | HEAD_SET_MTIME, &set, &attr);
}

/* A name of it or in it changes, or something that it holds. */
static bool is_touched(const struct draft_node *node) {
    if (node->changed || node->renamed)
        return true;
    for (const struct draft_entry *entry = node->names; entry; entry = entry->sibling) {
        if (entry->now != entry->plan)
            return true;
    }
    return false;
}

static int apply_nodes(struct applying *a, bool *made_before) {
    struct draft *draft = &a->plan->draft;
    size_t number = 0;
    int rc = 0;
    for (struct draft_node *node = draft->order; node && rc == 0; node = node->next, number++) {
        if (node->links && (made_before[number] || node->changed))
            rc = apply_node(a, node, made_before[number]);
    }
    for (struct draft_node *node = draft->order; node && rc == 0; node = node->next) {
        if (node->links && node->set_times && is_touched(node))
            rc = apply_times(a, node);
    }
    return rc;
}

/* The root as it was, if the plan has nothing to do with it. */
static int restore_root(struct applying *a, const struct head_attr *before) {
    struct draft_node *root;
    struct head_attr attr;
    int rc = draft_node(&a->plan->draft, ROOT_OID, &root);
    if (rc != STORE_OK)
        return -store_error_errno(rc);
    return is_touched(root) ? 0 : head_setattr(a->head, ROOT_OID, HEAD_SET_ATIME | HEAD_SET_MTIME, before, &attr);
}

int plan_apply(struct restore_plan *plan, struct head *head) {
    struct applying a = {.plan = plan, .head = head};
    struct head_attr root;
    size_t nodes = 0, number = 0;
    for (const struct draft_node *node = plan->draft.order; node; node = node->next)
        nodes++;
    bool *made = calloc(nodes + 1, sizeof *made);
    if (!made)
        return -ENOMEM;
    for (const struct draft_node *node = plan->draft.order; node; node = node->next)
        made[number++] = node->oid == 0;
    int rc = head_getattr(head, ROOT_OID, &root);
    if (rc == 0)
        rc = gather(&a);
    if (rc == 0)
        rc = apply_names(&a);
    if (rc == 0)
        rc = apply_nodes(&a, made);
    if (rc == 0 && a.aside)
        rc = restore_root(&a, &root);
    free(a.actions);
    free(made);
    return rc;
}

/* ---- what others must look at again ---- */

static int touch_name(struct restore_touched *touched, const struct draft_entry *entry, bool same) {
    struct restore_name *name = &touched->names[touched->name_count];
    name->parent = entry->parent->oid;
    name->same = same;
    name->name = strdup(entry->name);
    if (!name->name)
        return STORE_NO_MEMORY;
    touched->name_count++;
    return STORE_OK;
}

static bool is_changed_file(const struct draft_node *node) {
    return node->links && S_ISREG(node->plan.mode) && (node->changed & (CHANGED_CONTENT | CHANGED_TIMES));
}

/* Loads the names of files that stay under them: of an object that was found by its id alone, none is known. */
static int find_names(struct draft *draft) {
    int rc = STORE_OK;
    for (struct draft_node *node = draft->order; node && rc == STORE_OK; node = node->next) {
        char *path = NULL;
        if (node->oid && is_changed_file(node) && !node->place) {
            rc = draft_plan_path(draft, node, &path);
            rc = rc == STORE_ABSENT ? STORE_OK : rc;
        }
        free(path);
    }
    return rc;
}

int plan_touched(struct restore_plan *plan, struct restore_touched *touched) {
    struct draft *draft = &plan->draft;
    size_t nodes = 0, names = 0;
    *touched = (struct restore_touched){0};
    int rc = find_names(draft);
    if (rc != STORE_OK)
        return rc;
    for (const struct draft_node *node = draft->order; node; node = node->next)
        nodes++;
    for (const struct draft_entry *entry = draft->first; entry; entry = entry->next)
        names++;
    touched->oids = calloc(nodes + 1, sizeof *touched->oids);
    touched->names = calloc(names + 1, sizeof *touched->names);
    rc = touched->oids && touched->names ? STORE_OK : STORE_NO_MEMORY;
    for (const struct draft_node *node = draft->order; node && rc == STORE_OK; node = node->next) {
        if (node->oid && is_touched(node))
            touched->oids[touched->oid_count++] = node->oid;
    }
    for (const struct draft_entry *entry = draft->first; entry && rc == STORE_OK; entry = entry->next) {
        bool same = entry->now == entry->plan;
        if (entry->parent->oid && (!same || (entry->now && is_changed_file(entry->now))))
            rc = touch_name(touched, entry, same);
    }
    if (rc != STORE_OK)
        restore_touched_release(touched);
    return rc;
}

void restore_touched_release(struct restore_touched *touched) {
    for (size_t i = 0; i < touched->name_count; i++)
        free(touched->names[i].name);
    free(touched->names);
    free(touched->oids);
    *touched = (struct restore_touched){0};
}
