/* The plan of an undo: for each transaction, the newest first, what differs between after and before it is merged into the draft.
 *
 * Three states of each part decide: as the transaction left it (after), as it found it (before), and as it is in the draft (ours). Ours like after: before
 * is put back. Ours like before: nothing to do. Else it must merge, or it is a conflict.
 */
#include <stdlib.h>
#include <string.h>

#include "history/restore_merge.h"
#include "store/tid.h"

static const char *const why_deleted = "it was deleted since";
static const char *const why_renamed = "it was renamed since";
static const char *const why_changed = "it was changed since";
static const char *const why_name_taken = "something else has its name now";
static const char *const why_directory_gone = "its directory is gone";
static const char *const why_later_entries = "there are later names in it";
static const char *const why_last_name = "its other names were removed since";
static const char *const why_inside_itself = "it would be inside of itself";

#define CHANGED_KEPT (CHANGED_CONTENT | CHANGED_MODE | CHANGED_OWNER | CHANGED_XATTR) /* what losing it would lose */

/* ---- who did what since ---- */

static uint64_t died_tid(struct undoing *u, uint64_t oid) {
    enum load_outcome outcome;
    struct revision revision;
    struct draft *draft = u->draft;
    if (storage_load_before(store_storage(draft->store), oid, PART_INODE, draft->before, &outcome, &revision) !=
        STORE_OK)
        return 0;
    if (outcome == LOAD_DELETED) /* by the undone one itself: nobody did it since */
        return revision.seq > u->seq ? tid_of(draft->store, revision.seq) : 0;
    if (outcome == LOAD_DATA)
        revision_release(&revision);
    return 0;
}

/* Back from transaction to transaction that touched the inode, which every change of the object does. */
static int changed_seq(struct undoing *u, uint64_t oid, unsigned what, uint64_t *seq) {
    struct draft *draft = u->draft;
    struct inode_version *newer = NULL, *older = NULL;
    unsigned differs = 0;
    int rc = store_inode(draft->store, oid, draft->before, &newer);
    *seq = draft->before;
    while (rc == STORE_OK && (differs & what) == 0) {
        enum load_outcome outcome;
        struct revision revision;
        rc = storage_load_before(store_storage(draft->store), oid, PART_INODE, *seq, &outcome, &revision);
        if (rc != STORE_OK || outcome != LOAD_DATA)
            break;
        *seq = revision.seq;
        revision_release(&revision);
        if (*seq <= u->seq) {
            rc = STORE_ABSENT;
            break;
        }
        rc = store_inode(draft->store, oid, *seq, &older);
        if (rc == STORE_ABSENT) { /* made by it */
            rc = STORE_OK;
            break;
        }
        if (rc == STORE_OK)
            rc = diff_objects(draft->store, newer->revision, older->revision, &differs);
        store_release(draft->store, newer);
        newer = older;
        older = NULL;
    }
    store_release(draft->store, newer);
    return rc;
}

uint64_t undo_changed_tid(struct undoing *u, uint64_t oid, unsigned what) {
    uint64_t seq;
    struct draft *draft = u->draft;
    if (!oid || changed_seq(u, oid, what, &seq) != STORE_OK)
        return 0;
    return seq > u->seq && seq < draft->before ? tid_of(draft->store, seq) : 0;
}

/* The transaction that ended a name which led to the object when the undone one was done; 0: none did. */
static uint64_t ended_seq(struct undoing *u, uint64_t directory, const char *name, size_t length, uint64_t oid) {
    struct entry_list names;
    uint64_t seq = 0;
    if (storage_named(store_storage(u->draft->store), directory, name, length, &names) != STORE_OK)
        return 0;
    for (size_t i = 0; i < names.count; i++) {
        const struct entry *entry = &names.items[i];
        if (entry->oid == oid && entry->born < u->after && entry->died >= u->after && entry->died < u->draft->before)
            seq = entry->died;
    }
    entry_list_release(&names);
    return seq;
}

/* Of the name at which the change has the object after the transaction. */
static uint64_t renamed_tid(struct undoing *u, const struct change *change) {
    uint64_t directory;
    const char *name;
    if (path_parent(u->draft->store, change->old_path, u->after, &directory, &name) != STORE_OK)
        return 0;
    return tid_of(u->draft->store, ended_seq(u, directory, name, strlen(name), change->old.oid));
}

/* The same, or else the one in which the object died. */
static uint64_t ended_tid(struct undoing *u, const struct change *change) {
    uint64_t tid = renamed_tid(u, change);
    return tid ? tid : died_tid(u, change->old.oid);
}

/* The one that gave the directory the name that it has. */
static uint64_t moved_tid(struct undoing *u, const struct draft_node *directory) {
    return directory->home && directory->home->born > u->seq ? tid_of(u->draft->store, directory->home->born) : 0;
}

/* The newest that took a name from the object. */
static uint64_t unlinked_tid(struct undoing *u, uint64_t oid) {
    struct entry_list links;
    uint64_t newest = 0;
    if (storage_links(store_storage(u->draft->store), oid, u->after, &links) != STORE_OK)
        return 0;
    for (size_t i = 0; i < links.count; i++) {
        const struct entry *link = &links.items[i];
        uint64_t seq = ended_seq(u, link->parent, link->name, link->name_length, oid);
        newest = seq > newest ? seq : newest;
    }
    entry_list_release(&links);
    return tid_of(u->draft->store, newest);
}

/* The newest that put something into the directory, all names of which are loaded. */
static uint64_t entered_tid(struct undoing *u, const struct draft_node *directory) {
    uint64_t newest = 0;
    for (const struct draft_entry *entry = directory->names; entry; entry = entry->sibling) {
        if (entry->plan && entry->plan == entry->now && entry->born > newest)
            newest = entry->born;
    }
    return newest > u->seq ? tid_of(u->draft->store, newest) : 0;
}

static int conflict(struct undoing *u, const struct change *change, struct draft_entry *entry, const char *why,
                    uint64_t later) {
    char *path = NULL;
    int rc = STORE_OK;
    if (entry)
        rc = draft_path(u->draft, entry, true, &path);
    else
        path = strdup(change->old_path ? change->old_path : change->new_path);
    return rc == STORE_OK ? plan_conflict(u->plan, path, why, u->tid, later) : rc;
}

/* ---- what stands for what ---- */

/* What stands for an object that the transaction left: the object itself, or what was made since under the name that it had. NULL: nothing. */
static int successor(struct undoing *u, uint64_t oid, struct draft_node **node) {
    struct draft *draft = u->draft;
    int rc = draft_incarnation(draft, oid, node);
    if (rc != STORE_OK || *node)
        return rc;
    struct entry_list links;
    rc = storage_links(store_storage(draft->store), oid, u->after, &links);
    if (rc != STORE_OK)
        return rc;
    struct draft_node *parent = NULL, *found = NULL;
    struct draft_entry *entry = NULL;
    if (links.count)
        rc = successor(u, links.items[0].parent, &parent);
    if (rc == STORE_OK && parent && parent->directory)
        rc = draft_entry(draft, parent, links.items[0].name, links.items[0].name_length, &entry);
    if (rc == STORE_OK && entry && entry->plan && (entry->plan->plan.mode & S_IFMT) == (links.items[0].type & S_IFMT))
        found = entry->plan;
    entry_list_release(&links);
    if (rc != STORE_OK || !found)
        return rc;
    if (found->oid) {
        struct inode_version *version;
        rc = store_inode(draft->store, found->oid, u->after, &version);
        if (rc == STORE_OK) { /* it was something else then already */
            store_release(draft->store, version);
            return STORE_OK;
        }
        if (rc != STORE_ABSENT)
            return rc;
    }
    *node = found;
    return draft_stands_for(draft, oid, found);
}

/* What the directory of a path after (before) the transaction is now. *parent NULL: nothing. */
static int parent_of(struct undoing *u, const char *path, uint64_t before, uint64_t *oid, struct draft_node **parent,
                     const char **name) {
    int rc = path_parent(u->draft->store, path, before, oid, name);
    if (rc == STORE_OK)
        rc = successor(u, *oid, parent);
    if (rc != STORE_OK || *parent)
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    if (*oid == ROOT_OID) /* which is always there, and above nothing */
        return STORE_CORRUPT;
    /* A directory that took the place of a like one is no change: it stands where that stood. */
    char *way = strndup(path, (size_t)(*name - path - 1));
    struct draft_node *above = NULL;
    struct draft_entry *entry;
    const char *last;
    uint64_t above_oid;
    rc = way ? parent_of(u, way, before, &above_oid, &above, &last) : STORE_NO_MEMORY;
    if (rc == STORE_OK && above && above->directory) {
        rc = draft_entry(u->draft, above, last, strlen(last), &entry);
        if (rc == STORE_OK && entry->plan && entry->plan->directory)
            *parent = entry->plan;
    }
    free(way);
    return rc;
}

/* The name that a change took from (gives back) its object. *entry NULL: there is no such directory any more. */
static int entry_of(struct undoing *u, const char *path, uint64_t before, uint64_t *directory,
                    struct draft_entry **entry) {
    struct draft_node *parent;
    const char *name;
    *entry = NULL;
    int rc = parent_of(u, path, before, directory, &parent, &name);
    if (rc == STORE_OK && parent && parent->directory)
        rc = draft_entry(u->draft, parent, name, strlen(name), entry);
    return rc;
}

/* ---- telling of an object ---- */

int undo_path(struct undoing *u, struct draft_node *node, const struct change *change, char **path) {
    const struct source then = {change->old.oid, u->after};
    struct draft_entry *entry;
    uint64_t directory;
    int rc = entry_of(u, change->old_path, u->after, &directory, &entry);
    if (rc != STORE_OK)
        return rc;
    if (entry && (entry->plan == node || entry->now == node))
        return draft_path(u->draft, entry, true, path);
    if (!node->directory && node->now.nlink > 1) {
        *path = strdup(change->old_path);
        return *path ? STORE_OK : STORE_NO_MEMORY;
    }
    return node->place ? draft_path(u->draft, node->place, true, path) : draft_find_path(u->draft, node, &then, path);
}

static int conflict_of_renamed(struct undoing *u, struct draft_node *node, const struct change *change) {
    char *path = NULL;
    int rc = undo_path(u, node, change, &path);
    return rc == STORE_OK ? plan_conflict(u->plan, path, why_renamed, u->tid, renamed_tid(u, change)) : rc;
}

/* ---- first: what was renamed loses its new name ---- */

static int hold_renamed(struct undoing *u, size_t number) {
    const struct change *change = &u->changes.items[number];
    struct draft_node *node;
    struct draft_entry *entry, *target;
    uint64_t directory;
    if (change->kind != CHANGE_RENAMED)
        return STORE_OK;
    int rc = successor(u, change->old.oid, &node);
    if (rc != STORE_OK)
        return rc;
    if (!node)
        return conflict(u, change, NULL, why_deleted, died_tid(u, change->old.oid));
    rc = entry_of(u, change->old_path, u->after, &directory, &entry);
    if (rc != STORE_OK)
        return rc;
    if (!entry || entry->plan != node) {
        rc = entry_of(u, change->new_path, u->seq, &directory, &target);
        if (rc == STORE_OK && !(target && target->plan == node))
            rc = conflict_of_renamed(u, node, change);
        return rc;
    }
    draft_set(entry, NULL);
    node->held = true;
    u->held[number] = node;
    return STORE_OK;
}

/* ---- then: what was added goes ---- */

/* The object is not under the name that it was given. */
static int not_there(struct undoing *u, const struct change *change) {
    struct draft_node *node;
    int rc = draft_incarnation(u->draft, change->old.oid, &node);
    if (rc != STORE_OK || !node || change->linked)
        return rc;
    return conflict_of_renamed(u, node, change);
}

static int remove_one(struct undoing *u, const struct change *change) {
    const struct source after = {change->old.oid, u->after};
    struct draft_node *node;
    struct draft_entry *entry;
    uint64_t directory;
    int rc = entry_of(u, change->old_path, u->after, &directory, &entry);
    if (rc != STORE_OK)
        return rc;
    if (!entry || !entry->plan)
        return not_there(u, change);
    rc = successor(u, change->old.oid, &node);
    if (rc != STORE_OK)
        return rc;
    if (node != entry->plan) {
        uint64_t later = tid_of(u->draft->store, entry->born);
        return node ? not_there(u, change) : conflict(u, change, entry, why_name_taken, later);
    }
    bool is = true;
    if (node->directory) {
        rc = draft_is_empty(u->draft, node, &is);
        if (rc == STORE_OK && !is)
            return conflict(u, change, entry, why_later_entries, entered_tid(u, node));
    } else if (change->linked && node->links == 1 && !node->held) {
        return conflict(u, change, entry, why_last_name, unlinked_tid(u, node->oid));
    }
    if (rc == STORE_OK && !change->linked)
        rc = undo_is_unchanged(u, node, &after, &is);
    if (rc == STORE_OK && !is)
        return conflict(u, change, entry, why_changed, undo_changed_tid(u, node->oid, CHANGED_KEPT));
    if (rc == STORE_OK)
        draft_set(entry, NULL);
    return rc;
}

/* No change tells of what the transaction put where something was that it renamed. */
static int remove_added(struct undoing *u, size_t number) {
    const struct change *change = &u->changes.items[number];
    struct change added = {.kind = CHANGE_DELETED, .old_path = change->new_path};
    struct inode_version *before;
    if (change->kind == CHANGE_DELETED)
        return remove_one(u, change);
    if (change->kind != CHANGE_RENAMED || !change->replaced)
        return STORE_OK;
    int rc = path_walk(u->draft->store, change->new_path, strlen(change->new_path), u->after, &added.old.oid);
    if (rc == STORE_OK)
        rc = store_inode(u->draft->store, added.old.oid, u->seq, &before);
    if (rc == STORE_OK) {
        added.linked = true;
        store_release(u->draft->store, before);
    }
    return rc < 0 ? rc : remove_one(u, &added);
}

/* ---- then, from the top down: what was renamed, removed or replaced comes back ---- */

static int put_renamed(struct undoing *u, size_t number) {
    const struct change *change = &u->changes.items[number];
    struct draft_node *node = u->held[number];
    struct draft_entry *entry;
    uint64_t directory;
    bool below = false;
    if (!node)
        return STORE_OK;
    int rc = entry_of(u, change->new_path, u->seq, &directory, &entry);
    if (rc != STORE_OK)
        return rc;
    if (!entry)
        return conflict(u, change, NULL, why_directory_gone, died_tid(u, directory));
    if (entry->plan)
        return conflict(u, change, entry, why_name_taken, tid_of(u->draft->store, entry->born));
    if (node->directory)
        rc = draft_is_below(u->draft, entry->parent, node, &below);
    if (rc == STORE_OK && below)
        return conflict(u, change, NULL, why_inside_itself, moved_tid(u, entry->parent));
    if (rc == STORE_OK)
        draft_set(entry, node);
    node->held = false;
    return rc;
}

/* Something has the name. Is it what is wanted there? */
static int is_as_before(struct undoing *u, struct draft_node *ours, const struct change *change, bool *is) {
    const struct source before = {change->new.oid, u->seq};
    *is = false;
    if (((ours->plan.mode ^ change->new.mode) & S_IFMT) != 0)
        return STORE_OK;
    if (ours->directory) {
        *is = true;
        return STORE_OK;
    }
    return undo_is_unchanged(u, ours, &before, is);
}

/* What several undone transactions together remove and put back may stay what it is. */
static bool may_stay(const struct draft_node *node, const struct change *change) {
    bool same_type = node && ((node->now.mode ^ change->new.mode) & S_IFMT) == 0;
    return same_type && node->links == 0 && !node->held &&
           (node->directory || (S_ISREG(node->now.mode) && node->now.nlink == 1 && change->new.nlink == 1));
}

static int put_removed(struct undoing *u, const struct change *change) {
    const struct source before = {change->new.oid, u->seq};
    struct draft_node *node;
    struct draft_entry *entry;
    uint64_t directory;
    int rc = entry_of(u, change->new_path, u->seq, &directory, &entry);
    if (rc != STORE_OK)
        return rc;
    if (!entry)
        return conflict(u, change, NULL, why_directory_gone, died_tid(u, directory));
    rc = draft_incarnation(u->draft, change->new.oid, &node);
    if (rc != STORE_OK || (node && entry->plan == node))
        return rc;
    if (entry->plan) {
        bool is;
        rc = is_as_before(u, entry->plan, change, &is);
        if (rc == STORE_OK && is)
            return draft_stands_for(u->draft, change->new.oid, entry->plan);
        return rc == STORE_OK ? conflict(u, change, entry, why_name_taken, tid_of(u->draft->store, entry->born)) : rc;
    }
    if (node && node->directory)
        return conflict(u, change, NULL, why_renamed, 0);
    if (!node && may_stay(entry->now, change)) {
        node = entry->now;
        rc = draft_restore(u->draft, node, &before, CHANGED_ALL);
    } else if (!node) {
        rc = draft_make(u->draft, &before, &node);
    }
    if (rc == STORE_OK)
        rc = draft_stands_for(u->draft, change->new.oid, node);
    if (rc == STORE_OK)
        draft_set(entry, node);
    return rc;
}

/* What has the name goes, if it is as the transaction left it, and what had it before comes back as an object of its own. */
static int exchange(struct undoing *u, const struct change *change, struct draft_entry *entry,
                    struct draft_node *before_node) {
    const struct source after = {change->old.oid, u->after}, before = {change->new.oid, u->seq};
    struct draft_node *ours = entry->plan;
    bool is = true;
    int rc = is_as_before(u, ours, change, &is);
    if (rc != STORE_OK || (is && !before_node))
        return rc == STORE_OK ? draft_stands_for(u->draft, change->new.oid, ours) : rc;
    is = true;
    if (ours->links <= 1)
        rc = undo_is_unchanged(u, ours, &after, &is);
    bool is_full = false;
    if (rc == STORE_OK && is && ours->directory) {
        rc = draft_is_empty(u->draft, ours, &is);
        is_full = !is;
    }
    if (rc != STORE_OK)
        return rc;
    if (!is || (before_node && before_node->directory))
        return conflict(u, change, entry, why_changed,
                        is_full ? entered_tid(u, ours) : undo_changed_tid(u, ours->oid, CHANGED_KEPT));
    if (!before_node)
        rc = draft_make(u->draft, &before, &before_node);
    if (rc == STORE_OK)
        rc = draft_stands_for(u->draft, change->new.oid, before_node);
    if (rc != STORE_OK)
        return rc;
    draft_set(entry, NULL);
    draft_set(entry, before_node);
    return STORE_OK;
}

static int put_replaced(struct undoing *u, const struct change *change) {
    const struct source after = {change->old.oid, u->after}, before = {change->new.oid, u->seq};
    struct draft_node *node;
    struct draft_entry *entry;
    uint64_t directory;
    int rc = entry_of(u, change->old_path, u->after, &directory, &entry);
    if (rc == STORE_OK)
        rc = draft_incarnation(u->draft, change->new.oid, &node);
    if (rc != STORE_OK || (entry && node && entry->plan == node))
        return rc;
    if (!entry || !entry->plan) {
        bool same = false;
        if (change->kind == CHANGE_MODIFIED && !S_ISDIR(change->old.mode))
            rc = source_same_content(u->draft->store, &after, &before, &same);
        if (rc != STORE_OK || same)
            return rc;
        return conflict(u, change, NULL, why_deleted, entry ? ended_tid(u, change) : died_tid(u, directory));
    }
    struct draft_node *ours = entry->plan;
    bool alone = change->old.nlink == 1 && change->new.nlink == 1;
    bool files = S_ISREG(change->old.mode) && S_ISREG(change->new.mode) && S_ISREG(ours->plan.mode) && alone;
    bool directories = S_ISDIR(change->old.mode) && S_ISDIR(change->new.mode) && ours->directory;
    if (node || (!files && !directories))
        return exchange(u, change, entry, node);
    rc = draft_stands_for(u->draft, change->new.oid, ours);
    return rc == STORE_OK ? undo_merge(u, ours, change) : rc;
}

static int put(struct undoing *u, size_t number) {
    const struct change *change = &u->changes.items[number];
    switch (change->kind) {
    case CHANGE_ADDED:
        return put_removed(u, change);
    case CHANGE_RENAMED:
        return put_renamed(u, number);
    case CHANGE_TYPE:
        return put_replaced(u, change);
    case CHANGE_MODIFIED:
        return change->replaced ? put_replaced(u, change) : STORE_OK;
    case CHANGE_DELETED:
        break;
    }
    return STORE_OK;
}

/* ---- last: what the objects hold ---- */

static int restore_parts(struct undoing *u, size_t number) {
    const struct change *change = &u->changes.items[number];
    struct draft_node *node;
    bool stays = change->kind == CHANGE_RENAMED || (change->kind == CHANGE_MODIFIED && !change->replaced);
    if (!stays || !change->what)
        return STORE_OK;
    int rc = successor(u, change->old.oid, &node);
    if (rc != STORE_OK)
        return rc;
    if (node)
        return undo_merge(u, node, change);
    if (change->kind == CHANGE_RENAMED || change->what == CHANGED_TIMES)
        return STORE_OK; /* said already; not worth saying */
    return conflict(u, change, NULL, why_deleted, died_tid(u, change->old.oid));
}

/* A directory whose names change gets another time by that, of which no change tells. One that nobody has touched since has its old time again. */
static int restore_directory_time(struct undoing *u, uint64_t oid) {
    struct store *store = u->draft->store;
    const struct source after = {oid, u->after};
    struct source before = {oid, u->seq};
    struct inode_version *version = NULL;
    struct draft_node *node;
    char *path = NULL;
    int rc = store_inode(store, oid, u->after, &version);
    bool matters = rc == STORE_OK && S_ISDIR(version->record.mode);
    store_release(store, version);
    if (rc < 0 || !matters)
        return rc < 0 ? rc : STORE_OK;
    rc = store_inode(store, oid, u->seq, &version);
    if (rc == STORE_ABSENT) { /* a new one in the place of another */
        rc = draft_find_path(u->draft, NULL, &after, &path);
        if (rc == STORE_OK)
            rc = path_walk(store, path, strlen(path), u->seq, &before.oid);
        if (rc == STORE_OK)
            rc = store_inode(store, before.oid, u->seq, &version);
    }
    matters = rc == STORE_OK && S_ISDIR(version->record.mode);
    if (rc == STORE_OK)
        store_release(store, version);
    if (matters)
        rc = successor(u, oid, &node);
    if (matters && rc == STORE_OK && node && node->oid)
        rc = undo_merge_times(u, node, &after, &before);
    free(path);
    return rc < 0 ? rc : STORE_OK;
}

static int restore_directory_times(struct undoing *u) {
    uint64_t *oids = NULL;
    size_t count = 0;
    int rc = storage_changed(store_storage(u->draft->store), u->seq - 1, u->seq, &oids, &count);
    for (size_t i = 0; i < count && rc == STORE_OK; i++)
        rc = restore_directory_time(u, oids[i]);
    free(oids);
    return rc;
}

/* ---- the whole ---- */

static int undo_one(struct undoing *u, restore_progress *progress, void *context, struct error *err) {
    static const struct {
        int (*visit)(struct undoing *u, size_t number);
        bool backwards; /* deepest paths first */
    } passes[] = {{hold_renamed, false}, {remove_added, true}, {put, false}, {restore_parts, false}};
    const struct diff_options options = {
        .before_a = u->after, .before_b = u->seq, .progress = progress, .context = context};
    int rc = diff_run(u->draft->store, &options, &u->changes);
    if (rc != STORE_OK)
        return rc;
    rc = plan_check_known(u->draft->store, &u->changes, options.before_a, options.before_b, err);
    u->held = calloc(u->changes.count + 1, sizeof(struct draft_node *));
    if (!u->held)
        rc = STORE_NO_MEMORY;
    for (size_t pass = 0; pass < sizeof passes / sizeof *passes && rc == STORE_OK; pass++) {
        for (size_t i = 0; i < u->changes.count && rc == STORE_OK; i++) {
            size_t number = passes[pass].backwards ? u->changes.count - 1 - i : i;
            rc = passes[pass].visit(u, number);
            rc = plan_name_damage(rc, &u->changes.items[number], err);
        }
    }
    if (rc == STORE_OK)
        rc = restore_directory_times(u);
    free(u->held);
    change_list_release(&u->changes);
    return rc;
}

static int descending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static int check(struct store *store, uint64_t base, uint64_t seq, uint64_t *tid, struct error *err) {
    char text[TID_TEXT_SIZE];
    struct transaction transaction;
    int rc = seq < 1 || seq > base ? STORE_ABSENT : storage_transaction_at(store_storage(store), seq, &transaction);
    if (rc == STORE_ABSENT)
        return error_set(err, STORE_INVALID, "there is no such transaction to undo");
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "cannot read the transaction to undo: %s", store_error_text(rc));
    *tid = transaction.tid;
    transaction_release(&transaction);
    tid_format(*tid, text);
    if (seq == 1)
        return error_set(err, STORE_INVALID, "%s made the store: it cannot be undone", text);
    if (seq <= store_horizon(store))
        return error_set(err, STORE_PACKED, "%s has been packed away: what was before it is not known any more", text);
    return STORE_OK;
}

int plan_undo(struct restore_plan *plan, const struct restore_request *request, restore_progress *progress,
              void *context, struct error *err) {
    struct draft *draft = &plan->draft;
    uint64_t *seqs = malloc((request->seq_count + 1) * sizeof *seqs);
    int rc = seqs ? STORE_OK : STORE_NO_MEMORY;
    if (seqs && request->seq_count)
        memcpy(seqs, request->seqs, request->seq_count * sizeof *seqs);
    if (seqs)
        qsort(seqs, request->seq_count, sizeof *seqs, descending);
    for (size_t i = 0; i < request->seq_count && rc == STORE_OK; i++) {
        struct undoing u = {.plan = plan, .draft = draft, .seq = seqs[i], .after = seqs[i] + 1};
        rc = check(draft->store, draft->before - 1, seqs[i], &u.tid, err);
        if (rc == STORE_OK)
            rc = undo_one(&u, progress, context, err);
    }
    free(seqs);
    return rc;
}
