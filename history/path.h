/* The path of an object: for messages to people.
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

#endif
