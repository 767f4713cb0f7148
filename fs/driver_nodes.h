/* The node table: the few kernel nodes that need memory on our side.
 *
 * A kernel node id names most things by itself (driver_private.h has the encodings): an object of the head, a version of a file.
 * Three kinds do not fit into 64 bits and stand here: a directory of a view, which is one kernel node per name of the view (Linux lets a
 * directory stand in one place only); a symlink for a name that moves, which is one per target, so that its text may be cached; and a
 * directory below /versions, which is one per path.
 *
 * Invariants
 *  1. Equal keys have equal ids while anybody holds the node: (place, name, before, oid) for a directory, (place, tid) for a symlink, and
 *     the path for a directory below /versions.
 *  2. A node lives until as many lookups are forgotten as were counted. Ids are never reused.
 *  3. Ids are in NODE_TABLE_FIRST..NODE_TABLE_LAST, and begin where the clock is: an id from an earlier mount, which a file handle keeps, names
 *     nothing, instead of another directory.
 *
 * Threads: any; one lock inside, never held while calling out. Ownership: callers get copies, so nothing that they hold goes stale.
 */
#ifndef TIDFS_FS_DRIVER_NODES_H
#define TIDFS_FS_DRIVER_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODE_TABLE_FIRST ((UINT64_C(2) << 60) | 16)
#define NODE_TABLE_LAST  ((UINT64_C(3) << 60) - 1)

struct node_table;

/* Where the name of a view stands. PLACE_ROOT: the view is the mount's root. PLACE_VERSIONS: in a directory of one file's versions. */
enum node_place { PLACE_ROOT, PLACE_AT, PLACE_BEFORE, PLACE_VERSIONS };

enum table_kind { TABLE_DIRECTORY, TABLE_SYMLINK, TABLE_VERSIONS };

/* A copy of what a node is. */
struct table_node {
    enum table_kind kind;
    enum node_place place;
    uint64_t before; /* TABLE_DIRECTORY: of the view */
    uint64_t oid;    /* TABLE_DIRECTORY */
    bool root;       /* TABLE_DIRECTORY: what the view's name leads to */
    uint64_t tid;    /* TABLE_SYMLINK: where it leads */
};

/* NULL if out of memory. */
struct node_table *node_table_new(void);
/* Frees all nodes, held or not. NULL is legal. */
void node_table_free(struct node_table *table);

/* Each of these four counts a lookup and sets *id. 0, or -ENOMEM, or -ESTALE if the parent is not in the table. */

/* The directory that a view's name leads to: object `oid` as of `before`. */
int node_table_view(struct node_table *table, enum node_place place, const char *name, size_t length, uint64_t before,
                    uint64_t oid, uint64_t *id);
/* Another directory of the view that directory `relative` belongs to. */
int node_table_directory(struct node_table *table, uint64_t relative, uint64_t oid, uint64_t *id);
int node_table_symlink(struct node_table *table, enum node_place place, uint64_t tid, uint64_t *id);
/* The directory below /versions that stands for a path. */
int node_table_versions(struct node_table *table, const char *path, uint64_t *id);

/* false if there is no such node. */
bool node_table_get(struct node_table *table, uint64_t id, struct table_node *copy);
/* The path of a node of node_table_versions, malloc'ed. 0, or -ENOMEM, or -ESTALE if there is no such node. */
int node_table_path(struct node_table *table, uint64_t id, char **path);
/* Counts another lookup. false if there is no such node. */
bool node_table_hold(struct node_table *table, uint64_t id);
/* Takes back `count` lookups (at most what was counted; more is taken as all). An unknown id is ignored. */
void node_table_forget(struct node_table *table, uint64_t id, uint64_t count);

/* Nodes in the table. */
uint64_t node_table_count(struct node_table *table);

#endif
