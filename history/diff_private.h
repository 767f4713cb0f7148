/* Private to diff*.c: how a diff is made.
 *
 *   candidates   the objects that may differ (diff_candidates.c): those with revisions in between, or what a walk of both
 *                trees finds, pruned by subtree marks
 *   names        for each candidate, the names that lead to it on both sides (diff.c), and their paths (diff_places.c)
 *   pairs        a name that vanished and one that appeared in its place are one change (diff_pairs.c)
 *   gaps         what is lost or damaged, on the way (diff_gaps.c)
 *
 * A name stands in a slot: (directory, name). Directories are known by oid, so what lies below a renamed one has not moved. A
 * directory that is gone and a new one in its slot are twins, and slots in them correspond.
 *
 * Ownership: struct diff owns everything, until diff_run hands the changes out. Threads: none of its own.
 */
#ifndef TIDFS_HISTORY_DIFF_PRIVATE_H
#define TIDFS_HISTORY_DIFF_PRIVATE_H

#include "history/diff.h"
#include "store/oid_set.h"

enum diff_side { SIDE_A, SIDE_B };

/* ---- diff_places.c: where the directories of a side stand ---- */

struct place {
    uint64_t oid;
    bool exists;     /* on this side; the root does on both */
    bool visited;    /* its entries have been told by path */
    uint64_t parent; /* this and the name: if it exists and is not the root */
    bool paired;     /* `counterpart` is set */
    uint64_t counterpart;
    char *path; /* NULL: not asked for yet */
    size_t path_length;
    size_t name_length;
    char name[];
};
/* Directories that were asked about, each looked up once. */
struct places {
    struct store *store;
    uint64_t before;
    struct place **slots; /* open addressing by oid */
    size_t capacity, count;
};

void places_init(struct places *places, struct store *store, uint64_t before);
void places_release(struct places *places);
/* Never STORE_ABSENT: see place->exists. The place is valid until release. */
int places_get(struct places *places, uint64_t directory, struct place **place);
/* The path of an entry, malloc'ed. places_lost() if the directory hangs nowhere. */
int places_path(struct places *places, uint64_t directory, const char *name, size_t length, char **path);
/* Says in the log that the directory hangs nowhere, as in a damaged store: STORE_CORRUPT. */
int places_lost(const struct places *places, uint64_t directory);

/* ---- the diff under construction ---- */

/* One name of an object that is on one side only. */
struct diff_name {
    uint64_t oid, parent;
    char *path;              /* owned; ends in the name */
    bool done;               /* has become a change, or is none */
    bool known;              /* the rest is set */
    bool elsewhere;          /* the object is on the other side too */
    struct change_side side; /* its inode */
};
struct diff_names {
    struct diff_name *items;
    size_t count, capacity;
};
/* A new slot that a rename took: a target for what vanished from there. */
struct diff_rename {
    uint64_t parent;
    size_t change; /* position */
};

struct diff {
    struct store *store;
    const struct diff_options *options;
    uint64_t before[2];
    bool by_path;  /* no_renames or each_file: names are compared by path and not by slot */
    bool filtered; /* by options->paths */
    bool partial;  /* the candidates are only what the filter needs */
    struct places places[2];
    uint64_t *candidates;
    size_t candidate_count, candidate_capacity;
    struct oid_set known;       /* candidates; empty if they come from a scan, which gives each once */
    struct diff_names names[2]; /* vanished; new */
    struct diff_rename *renames;
    size_t rename_count, rename_capacity;
    struct change *changes;
    size_t change_count, change_capacity;
    bool losses; /* a repair put some on record */
    struct change_gap *gaps;
    uint64_t *gap_oids; /* whose each of them is */
    size_t gap_count, gap_capacity;
};

/* Makes room for one more item. */
int diff_grow(void **items, size_t *capacity, size_t count, size_t size);
/* `above` is not the root, below which all is. */
bool path_is_at_or_below(const char *path, const char *above);
bool diff_wants(const struct diff *diff, const char *old_path, const char *new_path);
/* Takes over name->path, also when it fails. */
int diff_add_name(struct diff *diff, enum diff_side side, const struct diff_name *name);
/* Takes over both paths of *change, also when it fails. */
int diff_add_change(struct diff *diff, const struct change *change);
/* STORE_ABSENT if the object is not on that side. */
int diff_find_inode(struct diff *diff, enum diff_side side, uint64_t oid, struct inode_version **inode);
/* The inode of an object that must exist: STORE_CORRUPT, logged, if it does not. */
int diff_inode(struct diff *diff, enum diff_side side, uint64_t oid, struct inode_version **inode);
void diff_set_side(struct change_side *side, const struct inode_version *inode);
/* The directory of the other side whose slots correspond to those of `directory` of `side`: itself, or its twin, or 0. */
int diff_counterpart(struct diff *diff, enum diff_side side, uint64_t directory, uint64_t *counterpart);

/* ---- diff_candidates.c ---- */

/* AUTO takes whichever costs less. The others are for tests: the result is the same. */
enum diff_strategy { DIFF_AUTO, DIFF_SCAN, DIFF_WALK };
int diff_find_candidates(struct diff *diff, enum diff_strategy strategy);
/* Not for candidates of a scan. */
int diff_add_candidate(struct diff *diff, uint64_t oid);

/* ---- diff_pairs.c ---- */

/* Turns the names that are left into changes: by slot, or by path. */
int diff_pair_slots(struct diff *diff);
int diff_pair_paths(struct diff *diff);
/* For by_path: adds every name below a directory that has moved, on the side. */
int diff_expand(struct diff *diff, enum diff_side side, uint64_t directory);

/* ---- diff_gaps.c ---- */

/* Tells of an object that cannot be compared, if it lies where one asked to look, once. `why`: STORE_LOST, STORE_CORRUPT. */
int diff_add_gap(struct diff *diff, uint64_t oid, int why);
/* False if names of the directory are lost on that side, so that no one can say what was in it. */
int diff_names_known(struct diff *diff, enum diff_side side, uint64_t directory, bool *known);
void diff_sort_gaps(struct diff *diff);

/* ---- diff_objects.c ---- */

/* What differs between two inodes of the same type, each as of its `before`. */
int diff_inodes(struct store *store, const struct inode_version *a, uint64_t before_a, const struct inode_version *b,
                uint64_t before_b, unsigned *what);

/* ---- diff.c ---- */

/* As diff_run. */
int diff_run_by(struct store *store, const struct diff_options *options, enum diff_strategy strategy,
                struct change_list *changes);

#endif
