/* Inside restore: shared by history/restore*.c only.
 *
 * The draft is the tree as it is to be: the present with changes over it, kept for what was looked at alone. It is edited by objects and entries, never by
 * paths, so that directories may move in between. Comparing it with the present gives the steps and what is to be done to the head.
 *
 * Errors: enum store_error; no sentences, except where a `struct error` is passed.
 */
#ifndef TIDFS_HISTORY_RESTORE_PRIVATE_H
#define TIDFS_HISTORY_RESTORE_PRIVATE_H

#include <sys/stat.h>

#include "history/path.h"
#include "history/restore.h"

/* An object as of an instant. */
struct source {
    uint64_t oid, before;
};

struct draft_entry;

struct draft_node {
    uint64_t oid;             /* in the present; 0: to be made */
    bool directory, loaded;   /* loaded: all names that lead somewhere are in `names` */
    bool held;                /* taken out of its place for the moment: it is to stay */
    struct inode_record now;  /* as it is; for one to be made all zero. target is not copied */
    struct inode_record plan; /* as it is to be: mode, uid, gid, atime, mtime, rdev and size count */
    struct source content;    /* whose bytes, target or device number; {0}: `data` */
    uint8_t *data;
    size_t length;
    struct source xattrs; /* whose; {0}: `set` */
    struct xattr_set *set;
    unsigned changed; /* CHANGED_*: what is to differ from `now` */
    bool set_times;   /* plan.atime and plan.mtime are meant; else what is done decides */
    bool merged;
    size_t links;                     /* names that are to lead to it */
    struct draft_entry *names;        /* directories: those looked at */
    struct draft_entry *home, *place; /* a name that leads to it now, and one that is to; NULL: not known, or none */
    struct draft_node *next;          /* in draft->order */
    struct draft_entry *from, *to;    /* by plan_settle: a rename; or what it is made as (`to` alone) */
    bool renamed;                     /* by plan_settle: names that lead to it change */
    bool chosen;                      /* by plan_choose */
};

/* A name in a directory, looked at or changed. */
struct draft_entry {
    struct draft_entry *hash_next, *next; /* in the table; in order of their making */
    struct draft_entry *sibling;          /* parent->names */
    struct draft_node *parent;
    struct draft_node *now, *plan; /* what it leads to; NULL: nothing */
    uint64_t born;                 /* now: the transaction that made the name */
    bool stays, unwanted;          /* by plan_choose: `now` is not to leave it; `plan` is not to come */
    size_t length;
    char name[];
};

struct draft {
    struct store *store;
    uint64_t before;           /* the present: base + 1 */
    struct draft_node **nodes; /* by oid in the present */
    size_t node_buckets, node_count;
    struct draft_node *order, **order_end; /* all nodes */
    struct draft_entry **entries;
    size_t entry_buckets, entry_count;
    struct draft_entry *first, **end;
    struct incarnation *incarnations; /* open hash: an object of history, and what stands for it now */
    size_t incarnation_buckets, incarnation_count;
};

struct incarnation {
    uint64_t oid; /* 0: free */
    struct draft_node *node;
};

struct restore_plan {
    struct draft draft;
    struct restore_step *steps;
    size_t step_count, step_capacity;
    struct restore_conflict *conflicts;
    size_t conflict_count, conflict_capacity;
    bool empty;
};

/* ---- restore_draft.c ---- */

int draft_init(struct draft *draft, struct store *store, uint64_t base);
void draft_release(struct draft *draft);
/* The node of an object of the present. STORE_ABSENT if there is none. */
int draft_node(struct draft *draft, uint64_t oid, struct draft_node **node);
/* One that is to be made as `source` is. */
int draft_make(struct draft *draft, const struct source *source, struct draft_node **node);
/* The name, whether it leads anywhere or not. */
int draft_entry(struct draft *draft, struct draft_node *parent, const char *name, size_t length,
                struct draft_entry **entry);
/* Lets the name lead to `node` (NULL: nowhere). */
void draft_set(struct draft_entry *entry, struct draft_node *node);
/* Loads all names of a directory: after that, `each` is called with those that lead somewhere. */
int draft_list(struct draft *draft, struct draft_node *directory, int (*each)(void *context, struct draft_entry *entry),
               void *context);
/* Whether nothing is to be left in the directory. */
int draft_is_empty(struct draft *draft, struct draft_node *directory, bool *empty);
/* Fills home, and place unless it has been moved, of a directory. */
int draft_locate(struct draft *draft, struct draft_node *node);
/* Whether `directory` is to be below `ancestor`, or is it. */
int draft_is_below(struct draft *draft, struct draft_node *directory, const struct draft_node *ancestor, bool *below);
/* The path of a name, malloc'ed: as it is now, or as it is to be. */
int draft_path(struct draft *draft, struct draft_entry *entry, bool now, char **path);
/* One of the paths of an object that is in the present; of one that is not, where it was at `source`. malloc'ed. */
int draft_find_path(struct draft *draft, const struct draft_node *node, const struct source *source, char **path);

/* One of the paths at which a node of the present is to stand. malloc'ed. */
int draft_plan_path(struct draft *draft, struct draft_node *node, char **path);
bool same_times(const struct inode_record *a, const struct inode_record *b); /* atime and mtime */

/* What stands for an object of history: what was said to by draft_stands_for, else the object itself if it is still there and is to stay. NULL: nothing. */
int draft_incarnation(struct draft *draft, uint64_t oid, struct draft_node **node);
int draft_stands_for(struct draft *draft, uint64_t oid, struct draft_node *node);

/* Leaves an object of the present as it is; not its names. */
void draft_leave(struct draft *draft, struct draft_node *node);

/* Makes the node like the source, in all or in what `what` (CHANGED_*) says. */
int draft_restore(struct draft *draft, struct draft_node *node, const struct source *source, unsigned what);
#define CHANGED_ALL (CHANGED_CONTENT | CHANGED_MODE | CHANGED_OWNER | CHANGED_XATTR | CHANGED_TIMES)
/* Takes over `data`. */
void draft_set_data(struct draft_node *node, uint8_t *data, size_t length);

/* ---- restore_content.c: states of objects, compared and read ---- */

/* Content, symlink target or device number of two objects of one type. */
int source_same_content(struct store *store, const struct source *a, const struct source *b, bool *same);
/* All of a file's content. STORE_TOO_BIG above `most`. */
int source_read(struct store *store, const struct source *source, size_t most, uint8_t **data, size_t *length);
/* STORE_OK if all of a file's content can be read, but for bodies that `present` ({0}: nothing) has in the same place: STORE_LOST, STORE_CORRUPT. Reads
 * that much. */
int source_check(struct store *store, const struct source *source, const struct source *present);
/* malloc'ed and filled; empty if it has none. */
int source_xattrs(struct store *store, const struct source *source, struct xattr_set **set);
void xattrs_free(struct xattr_set *set); /* NULL is legal */
bool xattrs_equal(const struct xattr_set *a, const struct xattr_set *b);
/* The same of a node, as it is to be. */
int node_same_content(struct draft *draft, const struct draft_node *node, const struct source *source, bool *same);
int node_read(struct draft *draft, const struct draft_node *node, size_t most, uint8_t **data, size_t *length);
int node_xattrs(struct draft *draft, const struct draft_node *node, struct xattr_set **set);

/* ---- restore_plan.c ---- */

/* Takes over `path`, which may be NULL without memory. */
int plan_conflict(struct restore_plan *plan, char *path, const char *why, uint64_t undone, uint64_t later);
/* STORE_OK, or an error that names the first thing of which it is not known what it was or is. The changes are those of a diff of the two. */
int plan_check_known(struct store *store, const struct change_list *changes, uint64_t before_a, uint64_t before_b,
                     struct error *err);
/* Says of what a plan could not be made: rc, with a sentence if there is none yet and rc is damage in that one thing. */
int plan_name_damage(int rc, const struct change *change, struct error *err);
/* Fills the steps from the draft; anew, if it did before. */
int plan_settle(struct restore_plan *plan);

/* ---- restore_choose.c ---- */

/* After plan_settle, which is then to be called again: takes out of the draft what was not chosen. */
int plan_choose(struct restore_plan *plan, const struct restore_request *request);

/* ---- restore_revert.c, restore_undo.c ---- */

typedef void restore_progress(void *context, uint64_t done, uint64_t total);
int plan_revert(struct restore_plan *plan, const struct restore_request *request, restore_progress *progress,
                void *context, struct error *err);
int plan_undo(struct restore_plan *plan, const struct restore_request *request, restore_progress *progress,
              void *context, struct error *err);
/* The tid of a transaction; 0 if it cannot be read. */
uint64_t tid_of(struct store *store, uint64_t seq);

/* ---- restore_apply.c ---- */

/* Does what the plan says, inside of a head_transaction. 0 or a negative errno. */
int plan_apply(struct restore_plan *plan, struct head *head);
/* What the plan changes. */
int plan_touched(struct restore_plan *plan, struct restore_touched *touched);

#endif
