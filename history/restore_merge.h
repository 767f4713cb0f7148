/* Inside undo: merging what an object holds. */
#ifndef TIDFS_HISTORY_RESTORE_MERGE_H
#define TIDFS_HISTORY_RESTORE_MERGE_H

#include "history/restore_private.h"

/* One transaction being undone. */
struct undoing {
    struct restore_plan *plan;
    struct draft *draft;
    uint64_t seq, after, tid;   /* `before` of the state before it is seq, that of the state after it is `after` */
    struct change_list changes; /* from after to before */
    struct draft_node **held;   /* for each change: what was renamed, while it has no name */
};

/* ---- restore_merge.c ---- */

/* Whether a node is to be as the source is, in all that losing it would lose: content, mode, owner and extended attributes. */
int undo_is_unchanged(struct undoing *u, struct draft_node *node, const struct source *source, bool *unchanged);
/* Takes back in `node` what the change says that differs between its sides. Conflicts go to the plan. */
int undo_merge(struct undoing *u, struct draft_node *node, const struct change *change);
/* The times alone: they follow if they are as `after` has them. */
int undo_merge_times(struct undoing *u, struct draft_node *node, const struct source *after,
                     const struct source *before);

/* ---- restore_undo.c ---- */

/* The newest transaction after the undone one that changed one of `what` (CHANGED_*) of the object, or made it; 0 if there is none. */
uint64_t undo_changed_tid(struct undoing *u, uint64_t oid, unsigned what);
/* How to name `node` to somebody, for what the change tells of one of its names: by the name that it tells of if that still leads to it, or if it has
 * others; else by the one that it has now. The change has an old_path. malloc'ed. */
int undo_path(struct undoing *u, struct draft_node *node, const struct change *change, char **path);

#endif
