/* A store's tree as of one instant, read without a mount: what the commands that take a WHEN and paths have in common.
 *
 * Invariants
 *  1. WHEN alone decides the instant. The view that a path may lie in (/at/X/dir/file) only says which place in the tree is meant.
 *  2. No symlink of the tree is followed: paths of another time may not lead where they lead now.
 *
 * Threads: the main thread. Ownership: an instant owns its subject and view; instant_release gives them back. A zeroed instant may
 * be released. Errors are said on stderr where they are found.
 */
#ifndef TIDFS_FS_INSTANT_H
#define TIDFS_FS_INSTANT_H

#include "fs/subject.h"
#include "history/view.h"

struct instant {
    struct subject subject;
    struct resolved resolved;
    struct view_pool *pool;
    struct view *view;
    bool utc; /* how messages write times */
};

/* Finds the store (as subject_find does with `path`), resolves `when`, opens the view. False: said what is wrong. */
bool instant_open(struct instant *instant, const struct subject_options *where, const char *path, const char *when,
                  enum resolve_how how, bool utc);
/* What `tree_path` (a place in the tree, "" the root) leads to then; `shown` is what the user called it. False: said that it was not
 * there, and when it was, or what else is wrong. */
bool instant_find(struct instant *instant, const char *tree_path, const char *shown, struct view_attr *attr);
/* The target of a symlink, malloc'ed. NULL: said what is wrong. */
char *instant_readlink(struct instant *instant, const char *shown, const struct view_attr *attr);
void instant_release(struct instant *instant);

#endif
