/* A plan: from the draft to steps, and what the two stages share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/restore_private.h"
#include "store/tid.h"

#define PATHS_NAMED 4 /* in a message; the others are counted */
#define LINES_MAX   200

/* ---- conflicts ---- */

int plan_conflict(struct restore_plan *plan, char *path, const char *why, uint64_t undone, uint64_t later) {
    if (path && plan->conflict_count == plan->conflict_capacity) {
        size_t capacity = plan->conflict_capacity ? plan->conflict_capacity * 2 : 16;
        struct restore_conflict *more = realloc(plan->conflicts, capacity * sizeof *more);
        if (more) {
            plan->conflicts = more;
            plan->conflict_capacity = capacity;
        } else {
            free(path);
            path = NULL;
        }
    }
    if (!path)
        return STORE_NO_MEMORY;
    plan->conflicts[plan->conflict_count++] =
        (struct restore_conflict){.path = path, .why = why, .undone = undone, .later = later};
    return STORE_OK;
}

/* ---- steps ---- */

/* Drops from *changed what `node`, as planned, has in common with what `now` is. */
static int settle_changed(struct draft *draft, const struct draft_node *now, const struct draft_node *node,
                          unsigned *changed) {
    const struct inode_record *is = &now->now, *plan = &node->plan;
    const struct source present = {now->oid, draft->before};
    int rc = STORE_OK;
    bool same = false;
    if (is->mode == plan->mode)
        *changed &= ~(unsigned)CHANGED_MODE;
    if (is->uid == plan->uid && is->gid == plan->gid)
        *changed &= ~(unsigned)CHANGED_OWNER;
    if (!node->set_times || same_times(is, plan))
        *changed &= ~(unsigned)CHANGED_TIMES;
    if (node->directory)
        *changed &= ~(unsigned)CHANGED_CONTENT;
    if (*changed & CHANGED_CONTENT) {
        rc = node_same_content(draft, node, &present, &same);
        if (store_error_is_damage(rc)) /* so it is put; whether it can be, restore_plan_check says */
            rc = STORE_OK;
        else if (rc == STORE_OK && same)
            *changed &= ~(unsigned)CHANGED_CONTENT;
    }
    if (rc == STORE_OK && (*changed & CHANGED_XATTR)) {
        struct xattr_set *attributes = NULL, *wanted = NULL;
        rc = source_xattrs(draft->store, &present, &attributes);
        if (rc == STORE_OK)
            rc = node_xattrs(draft, node, &wanted);
        if (rc == STORE_OK && xattrs_equal(attributes, wanted))
            *changed &= ~(unsigned)CHANGED_XATTR;
        xattrs_free(attributes);
        xattrs_free(wanted);
    }
    return rc;
}

static int settle_nodes(struct draft *draft) {
    for (struct draft_node *node = draft->order; node; node = node->next) {
        node->from = node->to = NULL;
        node->renamed = false;
    }
    for (struct draft_entry *entry = draft->first; entry; entry = entry->next) {
        if (entry->now == entry->plan)
            continue;
        if (entry->now) {
            entry->now->renamed = true;
            entry->now->from = entry->now->from ? entry->now->from : entry;
        }
        if (entry->plan) {
            entry->plan->renamed = true;
            entry->plan->to = entry->plan->to ? entry->plan->to : entry;
        }
    }
    for (struct draft_node *node = draft->order; node; node = node->next) {
        if (node->oid && (!node->from || !node->to))
            node->from = node->to = NULL;
        int rc =
            node->oid && node->links && node->changed ? settle_changed(draft, node, node, &node->changed) : STORE_OK;
        if (rc != STORE_OK)
            return rc;
    }
    return STORE_OK;
}

static bool has_changed_names(const struct draft_node *directory) {
    const struct draft_entry *entry = directory->names;
    while (entry && entry->now == entry->plan)
        entry = entry->sibling;
    return entry != NULL;
}

/* A file of another object takes the place of one that goes. */
static bool is_replacement(const struct draft_entry *entry) {
    return entry->now && entry->plan && entry->now->links == 0 && !entry->plan->oid && entry->plan->to == entry;
}

static void fill_side(struct change_side *side, const struct inode_record *record, uint64_t oid, size_t links) {
    *side = (struct change_side){.oid = oid,
                                 .mode = record->mode,
                                 .uid = record->uid,
                                 .gid = record->gid,
                                 .nlink = (uint32_t)links,
                                 .size = record->size,
                                 .mtime = record->mtime};
}

/* The two sides; NULL: there is nothing. */
static void fill_step(struct restore_step *step, const struct draft_node *now, const struct draft_node *plan) {
    if (now)
        fill_side(&step->change.old, &now->now, now->oid, now->now.nlink);
    if (!plan)
        return;
    uint64_t oid = plan->content.oid ? plan->content.oid : plan->oid ? plan->oid : plan->xattrs.oid;
    fill_side(&step->change.new, &plan->plan, oid, plan->directory ? plan->now.nlink : plan->links);
    step->change.what = now ? plan->changed : 0;
    step->merged = plan->merged;
    step->source = plan->content.oid;
    step->source_before = plan->content.before;
    step->data = plan->data;
    step->length = plan->length;
}

/* A new one, zeroed. NULL without memory. */
static struct restore_step *add_step(struct restore_plan *plan, struct draft_entry *entry, struct draft_node *node) {
    if (plan->step_count == plan->step_capacity) {
        size_t capacity = plan->step_capacity ? plan->step_capacity * 2 : 64;
        struct restore_step *more = realloc(plan->steps, capacity * sizeof *more);
        if (!more)
            return NULL;
        plan->steps = more;
        plan->step_capacity = capacity;
    }
    struct restore_step *step = &plan->steps[plan->step_count++];
    *step = (struct restore_step){.entry = entry, .node = node};
    return step;
}

static int entry_steps(struct restore_plan *plan, struct draft_entry *entry) {
    struct draft *draft = &plan->draft;
    struct restore_step *step;
    int rc = STORE_OK;
    if (is_replacement(entry)) {
        step = add_step(plan, entry, NULL);
        if (!step)
            return STORE_NO_MEMORY;
        bool other_type = ((entry->now->now.mode ^ entry->plan->plan.mode) & S_IFMT) != 0;
        step->change.kind = other_type ? CHANGE_TYPE : CHANGE_MODIFIED;
        step->change.replaced = true;
        fill_step(step, entry->now, entry->plan);
        if (other_type)
            step->change.what = 0;
        else
            rc = settle_changed(draft, entry->now, entry->plan, &step->change.what);
        if (rc == STORE_OK)
            rc = draft_path(draft, entry, true, &step->change.old_path);
        return rc == STORE_OK ? draft_path(draft, entry, false, &step->change.new_path) : rc;
    }
    if (entry->now && entry->now->from != entry) {
        step = add_step(plan, entry, NULL);
        if (!step)
            return STORE_NO_MEMORY;
        step->change.kind = CHANGE_DELETED;
        step->change.linked = entry->now->links > 0;
        fill_step(step, entry->now, NULL);
        rc = draft_path(draft, entry, true, &step->change.old_path);
    }
    if (rc == STORE_OK && entry->plan && (!entry->plan->oid || entry->plan->to != entry)) {
        step = add_step(plan, entry, NULL);
        if (!step)
            return STORE_NO_MEMORY;
        step->change.kind = CHANGE_ADDED;
        step->change.linked = entry->plan->oid || entry->plan->to != entry;
        fill_step(step, NULL, entry->plan);
        rc = draft_path(draft, entry, false, &step->change.new_path);
    }
    return rc;
}

/* A rename, or a change of what stays at a name (NULL: of the root). */
static int node_step(struct restore_plan *plan, struct draft_node *node, struct draft_entry *old,
                     struct draft_entry *new) {
    struct restore_step *step = add_step(plan, NULL, node);
    if (!step)
        return STORE_NO_MEMORY;
    step->change.kind = old != new ? CHANGE_RENAMED : CHANGE_MODIFIED;
    fill_step(step, node, node);
    if (!old) {
        step->change.old_path = strdup("");
        step->change.new_path = strdup("");
        return step->change.old_path && step->change.new_path ? STORE_OK : STORE_NO_MEMORY;
    }
    int rc = draft_path(&plan->draft, old, true, &step->change.old_path);
    return rc == STORE_OK ? draft_path(&plan->draft, new, false, &step->change.new_path) : rc;
}

/* A change of an object is told at each of its names that stay, also of those that nobody named. */
static int modified_steps(struct restore_plan *plan, struct draft_node *node) {
    struct draft *draft = &plan->draft;
    struct entry_list links;
    int rc = storage_links(store_storage(draft->store), node->oid, draft->before, &links);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < links.count && rc == STORE_OK; i++) {
        struct draft_node *parent;
        struct draft_entry *entry;
        rc = draft_node(draft, links.items[i].parent, &parent);
        if (rc == STORE_OK)
            rc = draft_entry(draft, parent, links.items[i].name, links.items[i].name_length, &entry);
        if (rc == STORE_OK && entry->now == node && entry->plan == node)
            rc = node_step(plan, node, entry, entry);
    }
    entry_list_release(&links);
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}

/* Renames, and changes of what stays where it is. */
static int node_steps(struct restore_plan *plan, struct draft_node *node) {
    if (!node->oid || !node->links)
        return STORE_OK;
    if (node->from) { /* and `to`: one without the other is no rename */
        int rc = node_step(plan, node, node->from, node->to);
        if (rc != STORE_OK || node->directory)
            return rc;
    }
    if (!node->changed || (node->changed == CHANGED_TIMES && has_changed_names(node)))
        return STORE_OK;
    return node->oid == ROOT_OID ? node_step(plan, node, NULL, NULL) : modified_steps(plan, node);
}

static void release_steps(struct restore_plan *plan) {
    for (size_t i = 0; i < plan->step_count; i++) {
        free(plan->steps[i].change.old_path);
        free(plan->steps[i].change.new_path);
    }
    plan->step_count = 0;
}

static const char *step_path(const struct restore_step *step) {
    return step->change.new_path ? step->change.new_path : step->change.old_path;
}

static int compare_steps(const void *a, const void *b) {
    const struct restore_step *x = a, *y = b;
    int order = strcmp(step_path(x), step_path(y));
    if (order)
        return order;
    return (x->change.kind != CHANGE_DELETED) - (y->change.kind != CHANGE_DELETED);
}

static int compare_conflicts(const void *a, const void *b) {
    const struct restore_conflict *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : (x->undone < y->undone) - (x->undone > y->undone);
}

int plan_settle(struct restore_plan *plan) {
    struct draft *draft = &plan->draft;
    int rc = settle_nodes(draft);
    if (rc != STORE_OK)
        return rc;
    release_steps(plan);
    plan->empty = true;
    for (struct draft_entry *entry = draft->first; entry && rc == STORE_OK; entry = entry->next) {
        plan->empty &= entry->now == entry->plan;
        if (entry->now != entry->plan)
            rc = entry_steps(plan, entry);
    }
    for (struct draft_node *node = draft->order; node && rc == STORE_OK; node = node->next) {
        plan->empty &= !node->oid || !node->links || !node->changed;
        rc = node_steps(plan, node);
    }
    if (rc == STORE_OK && plan->step_count)
        qsort(plan->steps, plan->step_count, sizeof *plan->steps, compare_steps);
    if (plan->conflict_count)
        qsort(plan->conflicts, plan->conflict_count, sizeof *plan->conflicts, compare_conflicts);
    return rc;
}

/* ---- damage ---- */

static int name_damage(int rc, const char *path, struct error *err) {
    const char *place = *path ? path : "the root directory";
    if (rc == STORE_LOST)
        return error_set(err, STORE_LOST,
                         "%s: it cannot be put back: some of what it was is lost, as `tidfs verify --repair` put on "
                         "record; nothing was changed",
                         place);
    if (rc == STORE_CORRUPT)
        return error_set(err, STORE_CORRUPT,
                         "%s: it cannot be put back: some of what it was is damaged; nothing was changed; `tidfs "
                         "verify` tells more, and `tidfs verify --repair` keeps what can still be read",
                         place);
    return error_set(err, (enum store_error)rc,
                     "%s: it cannot be put back: what it was cannot be read: %s; nothing was changed", place,
                     store_error_text(rc));
}

static int check_xattrs(struct store *store, const struct change_side *side, uint64_t before) {
    struct xattrs_version *version;
    int rc = store_xattrs(store, side->oid, before, &version);
    if (rc == STORE_OK)
        store_release(store, version);
    return rc < 0 ? rc : STORE_OK;
}

int plan_check_known(struct store *store, const struct change_list *changes, uint64_t before_a, uint64_t before_b,
                     struct error *err) {
    int rc = STORE_OK;
    if (changes->gap_count > 0)
        return name_damage(changes->gaps[0].why, changes->gaps[0].path, err);
    /* Content is looked at later, if it is to be put back. */
    for (size_t i = 0; rc == STORE_OK && i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        if (!(change->what & CHANGED_UNREAD) || !(change->what & CHANGED_XATTR))
            continue;
        rc = check_xattrs(store, &change->old, before_a);
        if (rc == STORE_OK)
            rc = check_xattrs(store, &change->new, before_b);
        rc = plan_name_damage(rc, change, err);
    }
    return rc;
}

int plan_name_damage(int rc, const struct change *change, struct error *err) {
    if (!store_error_is_damage(rc))
        return rc;
    return name_damage(rc, change->new_path ? change->new_path : change->old_path, err);
}

/* What the content of a step takes the place of; {0}: of nothing. False: no content is put there. */
static bool content_put(const struct restore_plan *plan, const struct restore_step *step, struct source *present) {
    const struct draft_node *node = step->node ? step->node : step->entry->plan;
    *present = (struct source){0};
    if (step->source == 0 || !S_ISREG(step->change.new.mode) || !node)
        return false;
    if (node->oid) {
        *present = (struct source){node->oid, plan->draft.before};
        return (node->changed & CHANGED_CONTENT) != 0; /* what stays as it is may well be lost */
    }
    if (step->entry && is_replacement(step->entry))
        *present = (struct source){step->entry->now->oid, plan->draft.before};
    return true;
}

int restore_plan_check(const struct restore_plan *plan, struct error *err) {
    struct store *store = plan->draft.store;
    struct storage_state state;
    int rc = storage_get_state(store_storage(store), &state);
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "%s", store_error_text(rc));
    for (size_t i = 0; rc == STORE_OK && i < plan->step_count; i++) {
        const struct restore_step *step = &plan->steps[i];
        const struct source source = {step->source, step->source_before};
        struct source present;
        if (!content_put(plan, step, &present) || (!present.oid && !state.losses))
            continue;
        rc = source_check(store, &source, &present);
        if (rc != STORE_OK)
            return name_damage(rc, step_path(step), err);
    }
    return rc;
}

/* ---- plans ---- */

int restore_plan_make(struct store *store, uint64_t base, const struct restore_request *request,
                      restore_progress *progress, void *context, struct restore_plan **result, struct error *err) {
    struct restore_plan *plan = calloc(1, sizeof *plan);
    struct error why = {0};
    int rc = plan ? draft_init(&plan->draft, store, base) : STORE_NO_MEMORY;
    if (rc == STORE_OK)
        rc = request->kind == RESTORE_REVERT ? plan_revert(plan, request, progress, context, &why)
                                             : plan_undo(plan, request, progress, context, &why);
    if (rc == STORE_OK)
        rc = plan_settle(plan);
    if (rc == STORE_OK && request->choice_count > 0) {
        rc = plan_choose(plan, request);
        if (rc == STORE_OK)
            rc = plan_settle(plan);
    }
    if (rc != STORE_OK) {
        restore_plan_free(plan);
        return error_set(err, (enum store_error)rc, "%s",
                         why.text[0] ? why.text
                                     : store_error_text(rc)); /* reads of the store are logged with what failed */
    }
    *result = plan;
    return STORE_OK;
}

void restore_plan_free(struct restore_plan *plan) {
    if (!plan)
        return;
    release_steps(plan);
    for (size_t i = 0; i < plan->conflict_count; i++)
        free(plan->conflicts[i].path);
    free(plan->steps);
    free(plan->conflicts);
    draft_release(&plan->draft);
    free(plan);
}

const struct restore_step *restore_plan_steps(const struct restore_plan *plan, size_t *count) {
    *count = plan->step_count;
    return plan->steps;
}

const struct restore_conflict *restore_plan_conflicts(const struct restore_plan *plan, size_t *count) {
    *count = plan->conflict_count;
    return plan->conflicts;
}

bool restore_plan_empty(const struct restore_plan *plan) {
    return plan->empty;
}

/* ---- messages ---- */

/* 0 for transaction 0, which there is not. STORE_ABSENT: nor is this one, which the store's state promises. */
static int read_tid(struct store *store, uint64_t seq, uint64_t *tid) {
    struct transaction transaction;
    *tid = 0;
    int rc = seq == 0 ? STORE_OK : storage_transaction_at(store_storage(store), seq, &transaction);
    if (rc == STORE_OK && seq != 0) {
        *tid = transaction.tid;
        transaction_release(&transaction);
    }
    return rc;
}

uint64_t tid_of(struct store *store, uint64_t seq) {
    uint64_t tid;
    return read_tid(store, seq, &tid) == STORE_OK ? tid : 0;
}

static int write_revert(FILE *out, struct store *store, const struct restore_request *request) {
    char text[TID_TEXT_SIZE];
    uint64_t tid;
    int rc = read_tid(store, request->before - 1, &tid);
    if (rc != STORE_OK)
        return rc;
    size_t named = request->path_count <= PATHS_NAMED ? request->path_count : PATHS_NAMED - 1;
    (void)fputs("revert", out);
    for (size_t i = 0; i < named; i++)
        (void)fprintf(out, " %s", request->paths[i][0] ? request->paths[i] : "/");
    if (named < request->path_count)
        (void)fprintf(out, " and %zu more", request->path_count - named);
    tid_format(tid, text);
    (void)fprintf(out, " to %s", text);
    return STORE_OK;
}

static int write_undo(FILE *out, struct store *store, const struct restore_request *request, bool first_lines) {
    for (size_t i = 0; i < request->seq_count && i < LINES_MAX; i++) {
        struct transaction undone;
        char tid[TID_TEXT_SIZE];
        int rc = storage_transaction_at(store_storage(store), request->seqs[i], &undone);
        if (rc != STORE_OK)
            return rc;
        tid_format(undone.tid, tid);
        size_t length = first_lines ? strcspn(undone.message, "\n") : strlen(undone.message);
        (void)fprintf(out, "undo %s%s%.*s\n", tid, length ? ": " : "", (int)length, undone.message);
        transaction_release(&undone);
    }
    if (request->seq_count > LINES_MAX)
        (void)fprintf(out, "and %zu more\n", request->seq_count - LINES_MAX);
    return STORE_OK;
}

int restore_message(struct store *store, const struct restore_request *request, const char *said, char **message) {
    char *text = NULL;
    size_t length = 0, kept = 0;
    *message = NULL;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return STORE_NO_MEMORY;
    if (said) {
        for (kept = strlen(said); kept > 0 && said[kept - 1] == '\n';)
            kept--;
        (void)fprintf(out, "%.*s\n\n", (int)kept, said);
    } else if (request->seq_count > 1) {
        (void)fprintf(out, "undo %zu transactions\n\n", request->seq_count);
    }
    int rc = request->kind == RESTORE_REVERT ? write_revert(out, store, request)
                                             : write_undo(out, store, request, said || request->seq_count > 1);
    bool whole = fclose(out) == 0; /* into memory */
    if (rc == STORE_OK && !whole)
        rc = STORE_NO_MEMORY;
    if (rc != STORE_OK) {
        free(text);
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    }
    while (length > 0 && text[length - 1] == '\n')
        text[--length] = '\0';
    if (length > MESSAGE_MAX && kept <= MESSAGE_MAX) /* one that somebody made too long is refused, not cut */
        text[MESSAGE_MAX] = '\0';
    *message = text;
    return STORE_OK;
}
