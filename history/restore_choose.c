/* A plan of which only some steps are wanted: the others are taken out of the draft.
 *
 * Each name that changes has two sides: what leaves it, and what comes. Both are done or left as the steps say that tell of them; where what stays and
 * what comes are at odds, and where a directory would go that is not empty, it is a conflict.
 */
#include <stdlib.h>
#include <string.h>

#include "history/restore_private.h"

static const char *choice_path(const struct change *change) {
    return change->old_path ? change->old_path : change->new_path;
}

static const struct restore_choice *find_choice(const struct restore_request *request, const struct change *change) {
    for (size_t i = 0; i < request->choice_count; i++) {
        const struct restore_choice *choice = &request->choices[i];
        if (choice->comes == !change->old_path && strcmp(choice->path, choice_path(change)) == 0)
            return choice;
    }
    return NULL;
}

static int set_data(struct draft_node *node, const struct restore_choice *choice) {
    uint8_t *data = malloc(choice->length + 1);
    if (!data)
        return STORE_NO_MEMORY;
    if (choice->length > 0)
        memcpy(data, choice->data, choice->length);
    draft_set_data(node, data, choice->length);
    return STORE_OK;
}

static void refuse(struct restore_step *step) {
    struct draft_entry *leaves = step->entry, *comes = step->entry;
    if (step->change.kind == CHANGE_RENAMED) {
        leaves = step->node->from;
        comes = step->node->to;
    }
    if (!leaves)
        return; /* no name changes */
    if (step->change.kind != CHANGE_ADDED)
        leaves->stays = true;
    if (step->change.kind != CHANGE_DELETED)
        comes->unwanted = true;
}

/* What is refused is marked, and what is chosen is marked or gets the content that was picked. */
static int take_choices(struct restore_plan *plan, const struct restore_request *request) {
    for (size_t i = 0; i < plan->step_count; i++) {
        struct restore_step *step = &plan->steps[i];
        const struct restore_choice *choice = find_choice(request, &step->change);
        struct draft_node *node = step->node ? step->node : step->entry->plan;
        if (!choice) {
            refuse(step);
            continue;
        }
        if (step->node)
            step->node->chosen = true;
        bool file = node && S_ISREG(node->plan.mode);
        int rc = choice->whole || !file ? STORE_OK : set_data(node, choice);
        if (rc != STORE_OK)
            return rc;
    }
    return STORE_OK;
}

/* The directories above something that comes come along. */
static void want_above(const struct draft_entry *entry) {
    for (const struct draft_node *parent = entry->parent; !parent->oid && parent->place; parent = parent->place->parent)
        parent->place->unwanted = false;
}

static int conflict(struct restore_plan *plan, struct draft_entry *entry, const char *why) {
    char *path = NULL;
    int rc = draft_path(&plan->draft, entry, true, &path);
    return rc == STORE_OK ? plan_conflict(plan, path, why, 0, 0) : rc;
}

static int apply_marks(struct restore_plan *plan) {
    struct draft *draft = &plan->draft;
    for (struct draft_entry *entry = draft->first; entry; entry = entry->next) {
        if (entry->now != entry->plan && entry->plan && !entry->unwanted)
            want_above(entry);
    }
    /* First whatever is not to come, so that no directory is in two places. */
    for (struct draft_entry *entry = draft->first; entry; entry = entry->next) {
        if (entry->now != entry->plan && entry->unwanted)
            draft_set(entry, NULL);
    }
    for (struct draft_entry *entry = draft->first; entry; entry = entry->next) {
        if (!entry->stays)
            continue;
        int rc =
            entry->plan ? conflict(plan, entry, "what is there is to stay, and something else is to come") : STORE_OK;
        if (rc != STORE_OK)
            return rc;
        if (!entry->plan)
            draft_set(entry, entry->now);
    }
    for (struct draft_node *node = draft->order; node; node = node->next) {
        if (node->oid && !node->chosen)
            draft_leave(draft, node);
    }
    return STORE_OK;
}

/* A circle has no paths, and the plan's conflicts and steps are told by theirs: the directory stays where it is. */
static int refuse_circle(struct restore_plan *plan, struct draft_entry *entry) {
    struct draft_node *directory = entry->plan;
    int rc = conflict(plan, entry, "it would be inside of itself");
    draft_set(entry, NULL);
    if (directory->from && !directory->from->plan)
        draft_set(directory->from, directory);
    return rc;
}

static int check_directory(struct restore_plan *plan, struct draft_entry *entry) {
    struct draft *draft = &plan->draft;
    bool empty = true, below = false;
    int rc = STORE_OK;
    if (entry->now && entry->now->directory && entry->now->links == 0)
        rc = draft_is_empty(draft, entry->now, &empty);
    if (rc == STORE_OK && entry->plan && entry->plan->directory)
        rc = draft_is_below(draft, entry->parent, entry->plan, &below);
    if (rc == STORE_OK && !empty)
        rc = conflict(plan, entry, "there is something in it that is to be kept");
    if (rc == STORE_OK && below)
        rc = refuse_circle(plan, entry);
    return rc;
}

int plan_choose(struct restore_plan *plan, const struct restore_request *request) {
    int rc = take_choices(plan, request);
    if (rc == STORE_OK)
        rc = apply_marks(plan);
    for (struct draft_entry *entry = plan->draft.first; entry && rc == STORE_OK; entry = entry->next) {
        if (entry->now != entry->plan)
            rc = check_directory(plan, entry);
    }
    return rc;
}
