/* The plan of a revert: the differences from the present to the instant, put into the draft.
 *
 * Objects of the instant are followed by id: what is still there is moved and changed in place. What is gone, or has left the reverted paths
 * without another name that it had then, is made anew; but
 * if another file (or directory) stands at the path that nothing else is to become, that one is changed in place.
 */
#include <stdlib.h>
#include <string.h>

#include "history/restore_private.h"
#include "store/oid_set.h"
#include "store/tid.h"

struct reverting {
    struct restore_plan *plan;
    struct draft *draft;
    const struct restore_request *request;
    struct change_list changes;
    struct error *err;
};

/* Whether a path is one of those to revert, or below one. */
static bool is_in_set(const struct restore_request *request, const char *path, size_t path_length) {
    for (size_t i = 0; i < request->path_count; i++) {
        size_t length = strlen(request->paths[i]);
        if (length == 0 || (length <= path_length && strncmp(path, request->paths[i], length) == 0 &&
                            (length == path_length || path[length] == '/')))
            return true;
    }
    return false;
}

static size_t directory_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static const char *last_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool directory_is_in_set(const struct restore_request *request, const char *path) {
    return is_in_set(request, path, directory_length(path));
}

/* Told once, however many changes meet it. */
static int conflict(struct reverting *r, const char *path, size_t length, const char *why) {
    for (size_t i = 0; i < r->plan->conflict_count; i++) {
        const struct restore_conflict *told = &r->plan->conflicts[i];
        if (strncmp(told->path, path, length) == 0 && told->path[length] == '\0' && strcmp(told->why, why) == 0)
            return STORE_OK;
    }
    return plan_conflict(r->plan, strndup(path, length), why, 0, 0);
}

/* ---- directories on the way ---- */

/* The directory that holds a path to revert, by its names in the present; those that are missing are made as they were. *directory NULL: a conflict. */
static int way_to(struct reverting *r, const char *path, struct draft_node **directory) {
    struct draft *draft = r->draft;
    size_t length = directory_length(path);
    int rc = draft_node(draft, ROOT_OID, directory);
    for (size_t at = 0; at < length && rc == STORE_OK;) {
        size_t end = at + strcspn(path + at, "/");
        struct draft_entry *entry = NULL;
        rc = draft_entry(draft, *directory, path + at, end - at, &entry);
        if (rc != STORE_OK)
            break;
        if (!entry->plan) {
            struct source then = {0, r->request->before};
            struct draft_node *made;
            rc = path_walk(draft->store, path, end, then.before, &then.oid);
            if (rc == STORE_OK)
                rc = draft_make(draft, &then, &made);
            if (rc == STORE_OK)
                draft_set(entry, made);
        } else if (!entry->plan->directory) {
            *directory = NULL;
            return conflict(r, path, end, "something that is no directory is there now; revert it, too");
        }
        *directory = rc == STORE_OK ? entry->plan : NULL;
        at = end + 1;
    }
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}

static int parent_then(struct reverting *r, const char *path, struct draft_node **directory);

/* What no change tells of stands where it stood, though perhaps as another object. */
static int directory_at(struct reverting *r, const char *path, uint64_t oid, struct draft_node **directory) {
    struct draft *draft = r->draft;
    struct draft_node *above;
    struct draft_entry *entry;
    if (oid == ROOT_OID) /* which is always there, and above nothing */
        return STORE_CORRUPT;
    char *way = strndup(path, directory_length(path));
    int rc = way ? parent_then(r, way, &above) : STORE_NO_MEMORY;
    if (rc == STORE_OK && above) {
        rc = draft_entry(draft, above, last_name(way), strlen(last_name(way)), &entry);
        if (rc == STORE_OK && entry->plan && entry->plan->directory) {
            *directory = entry->plan;
            rc = draft_stands_for(draft, oid, entry->plan);
        } else if (rc == STORE_OK) {
            rc = conflict(r, way, strlen(way), "the directory is not put back");
        }
    }
    free(way);
    return rc;
}

/* The directory in which `path` stood. *directory NULL: it is not to be there, and that has been said. */
static int parent_then(struct reverting *r, const char *path, struct draft_node **directory) {
    if (!directory_is_in_set(r->request, path))
        return way_to(r, path, directory);
    uint64_t oid;
    const char *name;
    int rc = path_parent(r->draft->store, path, r->request->before, &oid, &name);
    if (rc == STORE_OK)
        rc = draft_incarnation(r->draft, oid, directory);
    if (rc == STORE_OK && !*directory)
        rc = directory_at(r, path, oid, directory);
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}

static int entry_now(struct reverting *r, const char *path, struct draft_entry **entry) {
    struct draft *draft = r->draft;
    struct draft_node *parent;
    uint64_t oid;
    const char *name;
    int rc = path_parent(draft->store, path, draft->before, &oid, &name);
    if (rc == STORE_OK)
        rc = draft_node(draft, oid, &parent);
    if (rc == STORE_OK)
        rc = draft_entry(draft, parent, name, strlen(name), entry);
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}

/* ---- whole trees: of directories that enter or leave the reverted paths ---- */

/* A damaged store may lead to a directory twice, or from itself to itself: then the tree would have no end. */
struct tree {
    struct draft *draft;
    struct oid_set entered; /* directories, as of the source */
};

static int make_tree(struct tree *tree, const struct source *source, struct draft_entry *entry, int depth);

static int make_children(struct tree *tree, const struct source *source, struct draft_node *directory, int depth) {
    struct draft *draft = tree->draft;
    struct entry_list list;
    int rc = oid_set_add(&tree->entered, source->oid);
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_CORRUPT : rc;
    rc = storage_list(store_storage(draft->store), source->oid, source->before, &list);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < list.count && rc == STORE_OK; i++) {
        const struct source child = {list.items[i].oid, source->before};
        struct draft_entry *entry;
        rc = draft_entry(draft, directory, list.items[i].name, list.items[i].name_length, &entry);
        if (rc == STORE_OK)
            rc = make_tree(tree, &child, entry, depth + 1);
    }
    entry_list_release(&list);
    return rc;
}

static int make_tree(struct tree *tree, const struct source *source, struct draft_entry *entry, int depth) {
    struct draft *draft = tree->draft;
    struct draft_node *node;
    if (depth > 4096)
        return STORE_CORRUPT;
    int rc = draft_make(draft, source, &node);
    if (rc == STORE_OK)
        rc = draft_stands_for(draft, source->oid, node);
    if (rc != STORE_OK)
        return rc;
    draft_set(entry, node);
    return node->directory ? make_children(tree, source, node, depth) : STORE_OK;
}

static int make_all_below(struct draft *draft, const struct source *source, struct draft_node *directory) {
    struct tree tree = {.draft = draft};
    oid_set_init(&tree.entered);
    int rc = make_children(&tree, source, directory, 0);
    oid_set_release(&tree.entered);
    return rc;
}

static int remove_entry(void *context, struct draft_entry *entry) {
    struct draft *draft = context;
    struct draft_node *node = entry->plan;
    draft_set(entry, NULL);
    return node->directory ? draft_list(draft, node, remove_entry, draft) : STORE_OK;
}

/* ---- what each change asks for ---- */

enum way {
    WAY_NONE,
    WAY_TAKE, /* only its old name goes: it moves, or is deleted */
    WAY_SAME, /* it stays, and is made like it was */
    WAY_PUT,  /* only a new name comes: it moves, or is made */
    WAY_REPLACE,
};

/* One of the two paths is among those to revert: others are not told. */
static enum way way_of(const struct reverting *r, const struct change *change) {
    bool old_in = change->old_path && is_in_set(r->request, change->old_path, strlen(change->old_path));
    bool new_in = change->new_path && is_in_set(r->request, change->new_path, strlen(change->new_path));
    switch (change->kind) {
    case CHANGE_MODIFIED:
        return change->replaced ? WAY_REPLACE : WAY_SAME;
    case CHANGE_TYPE:
        return WAY_REPLACE;
    case CHANGE_ADDED:
        return WAY_PUT;
    case CHANGE_DELETED:
        return r->request->keep_new ? WAY_NONE : WAY_TAKE;
    case CHANGE_RENAMED:
        return !old_in ? WAY_PUT : new_in ? WAY_REPLACE : WAY_TAKE;
    }
    return WAY_NONE;
}

/* Both are files or both directories, and neither has names elsewhere. */
static bool is_adoptable(const struct change *change) {
    uint32_t type = change->old.mode & S_IFMT;
    if (change->kind != CHANGE_MODIFIED)
        return false;
    return type == S_IFDIR || (type == S_IFREG && change->old.nlink == 1 && change->new.nlink == 1);
}

/* What stands where something is renamed to goes, with all that is in it; but what moves from there is told by changes of its own. */
static int take_replaced(struct reverting *r, const struct change *change) {
    struct draft_entry *entry;
    if (change->kind != CHANGE_RENAMED || !change->replaced ||
        !is_in_set(r->request, change->new_path, strlen(change->new_path)))
        return STORE_OK;
    int rc = entry_now(r, change->new_path, &entry);
    return rc == STORE_OK && entry->plan ? remove_entry(r->draft, entry) : rc;
}

/* First of all: whatever moves loses its old name, what is to go goes, and it is settled what stands for what. Deepest paths first. */
static int take(struct reverting *r, const struct change *change) {
    struct draft *draft = r->draft;
    struct draft_entry *entry;
    struct draft_node *node;
    enum way way = way_of(r, change);
    bool renamed = change->kind == CHANGE_RENAMED && way == WAY_REPLACE;
    if (way == WAY_NONE || way == WAY_PUT || change->old.oid == ROOT_OID)
        return STORE_OK;
    int rc = entry_now(r, change->old_path, &entry);
    if (rc != STORE_OK || !entry->now || entry->now->oid != change->old.oid)
        return rc == STORE_OK ? STORE_CORRUPT : rc;
    if (way == WAY_SAME)
        return STORE_OK;
    if (way == WAY_REPLACE && is_adoptable(change)) {
        struct draft_node *other;
        rc = draft_incarnation(draft, change->new.oid, &other);
        if (rc == STORE_OK && (!other || r->request->keep_new))
            return draft_stands_for(draft, change->new.oid, entry->now);
        if (rc != STORE_OK)
            return rc;
    }
    node = entry->now;
    node->held |= renamed;
    if (entry->plan)
        draft_set(entry, NULL);
    if (way == WAY_TAKE && change->kind == CHANGE_RENAMED && node->directory)
        rc = draft_list(draft, node, remove_entry, draft); /* the change does not name what is below it */
    return rc;
}

/* Whether the object had that very name at the instant, too. */
static int had_name(const struct reverting *r, const struct entry *name, bool *had) {
    struct entry then;
    int rc = storage_lookup(store_storage(r->draft->store), name->parent, name->name, name->name_length,
                            r->request->before, &then);
    *had = rc == STORE_OK && then.oid == name->oid;
    if (rc == STORE_OK)
        entry_release(&then);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* What has neither a name among the reverted paths nor another one that it had then is another's file: it is copied. (The very name that `path` was, in a
 * directory that was renamed since, is no other one.) */
static int is_ours(struct reverting *r, const struct draft_node *node, const char *path_then, bool *ours) {
    struct draft *draft = r->draft;
    struct entry_list links;
    const char *name = "";
    uint64_t holder = 0;
    *ours = false;
    int rc = path_parent(draft->store, path_then, r->request->before, &holder, &name);
    if (rc == STORE_OK)
        rc = storage_links(store_storage(draft->store), node->oid, draft->before, &links);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < links.count && !*ours && rc == STORE_OK; i++) {
        struct draft_node *parent;
        struct draft_entry *entry;
        char *path = NULL;
        bool itself = links.items[i].parent == holder && strcmp(links.items[i].name, name) == 0;
        if (!node->directory && !itself)
            rc = had_name(r, &links.items[i], ours);
        if (rc != STORE_OK || *ours || r->request->keep_new)
            continue;
        rc = draft_node(draft, links.items[i].parent, &parent);
        if (rc == STORE_OK)
            rc = draft_entry(draft, parent, links.items[i].name, links.items[i].name_length, &entry);
        if (rc == STORE_OK)
            rc = draft_path(draft, entry, true, &path);
        *ours = rc == STORE_OK && is_in_set(r->request, path, strlen(path));
        free(path);
    }
    entry_list_release(&links);
    return rc;
}

/* The node that is to stand at the change's new path; a new one if need be. *fresh: it is to have a whole tree below it that no other change names. */
static int node_then(struct reverting *r, const struct change *change, enum way way, struct draft_node **node,
                     bool *fresh) {
    struct draft *draft = r->draft;
    const struct source then = {change->new.oid, r->request->before};
    int rc = draft_incarnation(draft, change->new.oid, node);
    if (rc != STORE_OK)
        return rc;
    bool moves = change->kind == CHANGE_RENAMED && way == WAY_REPLACE, ours = true;
    if (*node && (*node)->oid == change->new.oid && !moves)
        rc = is_ours(r, *node, change->new_path, &ours);
    if (rc != STORE_OK)
        return rc;
    if (!ours)
        *node = NULL;
    if (*node)
        return STORE_OK;
    rc = draft_make(draft, &then, node);
    if (rc != STORE_OK)
        return rc;
    *fresh = change->kind == CHANGE_RENAMED && (*node)->directory;
    return draft_stands_for(draft, change->new.oid, *node);
}

/* After that, from the top down: what is to be somewhere is put there. */
static int put(struct reverting *r, const struct change *change) {
    struct draft *draft = r->draft;
    const struct source then = {change->new.oid, r->request->before};
    enum way way = way_of(r, change);
    if ((way != WAY_PUT && way != WAY_REPLACE) || change->new.oid == ROOT_OID)
        return STORE_OK;
    struct draft_node *parent, *node = NULL;
    struct draft_entry *entry;
    const char *name = last_name(change->new_path);
    bool fresh = false;
    int rc = parent_then(r, change->new_path, &parent);
    if (rc != STORE_OK || !parent)
        return rc;
    rc = draft_entry(draft, parent, name, strlen(name), &entry);
    /* A directory that was made as a whole has it. */
    if (rc != STORE_OK || (entry->plan && !entry->plan->oid && !entry->now))
        return rc;
    rc = node_then(r, change, way, &node, &fresh);
    if (rc != STORE_OK)
        return rc;
    if (entry->plan && entry->plan != node)
        return conflict(r, change->new_path, strlen(change->new_path), "something is there that is to be kept");
    bool below = false;
    if (node->directory)
        rc = draft_is_below(draft, parent, node, &below);
    if (rc == STORE_OK && below)
        return conflict(r, change->new_path, strlen(change->new_path), "it would be inside of itself");
    if (rc == STORE_OK)
        draft_set(entry, node);
    node->held = false;
    if (rc == STORE_OK && fresh)
        rc = make_all_below(draft, &then, node);
    if (rc == STORE_OK && node->oid)
        rc = draft_restore(draft, node, &then, CHANGED_ALL);
    return rc;
}

static int same(struct reverting *r, const struct change *change) {
    const struct source then = {change->new.oid, r->request->before};
    struct draft_node *node;
    if (way_of(r, change) != WAY_SAME)
        return STORE_OK;
    int rc = draft_incarnation(r->draft, change->new.oid, &node);
    if (rc != STORE_OK || !node)
        return rc;
    return draft_restore(r->draft, node, &then, change->what | CHANGED_TIMES);
}

/* The time of what the changes do not tell of, because nothing else differs: a directory's, moved by names that came and went; and that of
 * something that has another of the same in its place. */
static int restore_time(struct reverting *r, uint64_t oid) {
    struct draft *draft = r->draft;
    struct source then = {oid, r->request->before};
    struct inode_version *version;
    struct draft_node *node;
    char *path = NULL;
    int rc = store_inode(draft->store, oid, then.before, &version);
    if (rc == STORE_OK) {
        bool told = !S_ISDIR(version->record.mode);
        store_release(draft->store, version);
        if (told)
            return STORE_OK;
    } else if (rc < 0) {
        return store_error_is_damage(rc) ? STORE_OK : rc; /* nobody asked for it: then it would be a gap */
    }
    rc = draft_node(draft, oid, &node);
    if (rc != STORE_OK || node->links == 0 || node->set_times || (!node->directory && !S_ISREG(node->now.mode)))
        return rc == STORE_ABSENT ? STORE_OK : rc;
    rc = draft_plan_path(draft, node, &path);
    if (rc == STORE_OK && is_in_set(r->request, path, strlen(path))) {
        rc = path_walk(draft->store, path, strlen(path), then.before, &then.oid);
        if (rc == STORE_OK)
            rc = store_inode(draft->store, then.oid, then.before, &version);
        if (rc == STORE_OK) {
            bool same_type = ((version->record.mode ^ node->plan.mode) & S_IFMT) == 0;
            store_release(draft->store, version);
            rc = same_type ? draft_restore(draft, node, &then, CHANGED_TIMES) : STORE_OK;
        }
    }
    free(path);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

static int restore_times(struct reverting *r) {
    uint64_t *oids = NULL;
    size_t count = 0;
    int rc =
        storage_changed(store_storage(r->draft->store), r->request->before - 1, r->draft->before - 1, &oids, &count);
    for (size_t i = 0; i < count && rc == STORE_OK; i++)
        rc = restore_time(r, oids[i]);
    free(oids);
    return rc;
}

/* Nothing may be lost that nobody asked to delete: a directory goes with all that is in it, which the changes name. */
static int check_removed(struct reverting *r, const struct change *change) {
    struct draft_entry *entry;
    bool empty = true;
    enum way way = way_of(r, change);
    if ((way != WAY_TAKE && way != WAY_REPLACE) || !S_ISDIR(change->old.mode) || change->old.oid == ROOT_OID)
        return STORE_OK;
    int rc = entry_now(r, change->old_path, &entry);
    if (rc == STORE_OK && entry->now->links == 0) /* `take` has seen that something is there */
        rc = draft_is_empty(r->draft, entry->now, &empty);
    if (rc == STORE_OK && !empty)
        rc = conflict(r, change->old_path, strlen(change->old_path), "there is something in it that is to be kept");
    return rc;
}

/* ---- the whole ---- */

static int check_path(struct reverting *r, const char *path) {
    struct store *store = r->draft->store;
    uint64_t oid;
    int rc = path_walk(store, path, strlen(path), r->request->before, &oid);
    if (rc == STORE_ABSENT)
        rc = path_walk(store, path, strlen(path), r->draft->before, &oid);
    if (rc == STORE_ABSENT) {
        char tid[TID_TEXT_SIZE];
        tid_format(tid_of(store, r->request->before - 1), tid);
        return error_set(r->err, STORE_ABSENT, "%s: it is not there now, nor was it as of %s", path, tid);
    }
    return rc;
}

static int each_change(struct reverting *r, int (*visit)(struct reverting *r, const struct change *change),
                       bool backwards) {
    int rc = STORE_OK;
    for (size_t i = 0; i < r->changes.count && rc == STORE_OK; i++) {
        const struct change *change = &r->changes.items[backwards ? r->changes.count - 1 - i : i];
        rc = visit(r, change);
        rc = plan_name_damage(rc, change, r->err);
    }
    return rc;
}

int plan_revert(struct restore_plan *plan, const struct restore_request *request, restore_progress *progress,
                void *context, struct error *err) {
    struct draft *draft = &plan->draft;
    struct reverting r = {.plan = plan, .draft = draft, .request = request, .err = err};
    if (request->before <= store_horizon(draft->store))
        return error_set(err, STORE_PACKED, "that time has been packed away");
    if (request->before <= 1)
        return error_set(err, STORE_INVALID, "that is before the first transaction: there is nothing to put back");
    if (request->before > draft->before)
        return error_set(err, STORE_INVALID, "cannot revert to what comes later");
    int rc = STORE_OK;
    for (size_t i = 0; i < request->path_count && rc == STORE_OK; i++)
        rc = check_path(&r, request->paths[i]);
    if (rc != STORE_OK)
        return rc;
    struct diff_options options = {.before_a = draft->before,
                                   .before_b = request->before,
                                   .paths = request->paths,
                                   .path_count = request->path_count,
                                   .progress = progress,
                                   .context = context};
    /* A file whose directory was renamed since comes back at its own path; the directory stays where it is. */
    rc = diff_paths_moved(draft->store, &options, &options.no_renames);
    options.no_renames |= request->keep_new;
    if (rc == STORE_OK)
        rc = diff_run(draft->store, &options, &r.changes);
    if (rc != STORE_OK)
        return rc;
    rc = plan_check_known(draft->store, &r.changes, options.before_a, options.before_b, err);
    if (rc == STORE_OK)
        rc = each_change(&r, take, true);
    if (rc == STORE_OK)
        rc = each_change(&r, take_replaced, true);
    if (rc == STORE_OK)
        rc = each_change(&r, put, false);
    if (rc == STORE_OK)
        rc = each_change(&r, same, false);
    if (rc == STORE_OK)
        rc = restore_times(&r);
    if (rc == STORE_OK)
        rc = each_change(&r, check_removed, true);
    change_list_release(&r.changes);
    return rc;
}
