/* From the path of an object to the object, and back for messages to people.
 *
 * Cost: a few indexed reads a level. Threads: any.
 */
#ifndef TIDFS_HISTORY_PATH_H
#define TIDFS_HISTORY_PATH_H

#include "store/store.h"

/* A path that leads to the object as of `before` (one of them, if it has several names), from the tree's root and with a leading slash,
 * in `text` of `size` bytes: returns where in it the path begins. What does not fit is cut off at the front, and an object that no name leads
 * to is shown as "object NUMBER". */
const char *path_of(struct store *store, uint64_t oid, uint64_t before, char *text, size_t size);

/* The object that the first `length` bytes of a path lead to as of `before`: names with slashes between them from the root, no symlinks followed; 0 is
 * the root. STORE_ABSENT. */
int path_walk(struct store *store, const char *path, size_t length, uint64_t before, uint64_t *oid);
/* The directory that what `path` names is or would be in, and the last name. STORE_ABSENT if there is no such directory. */
int path_parent(struct store *store, const char *path, uint64_t before, uint64_t *parent, const char **name);

#endif
