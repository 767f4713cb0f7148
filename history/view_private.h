/* Private to view.c, view_file.c and view_pool.c. */
#ifndef TIDFS_HISTORY_VIEW_PRIVATE_H
#define TIDFS_HISTORY_VIEW_PRIVATE_H

#include "history/view.h"

struct view {
    struct store *store;
    uint64_t before, tid;   /* never change */
    uint64_t users;         /* this and all below: guarded by the pool's lock */
    uint64_t idle_since_ns; /* CLOCK_MONOTONIC; while users == 0 */
    struct view *hash_next;
    struct view *older, *newer; /* among the idle */
};

/* A negative errno for a store's answer: STORE_ABSENT too. */
int view_error(int code);

/* Everything but ->ino, which for a directory depends on what is below it. */
void view_attr_set(struct view_attr *attr, const struct inode_version *inode);

/* Extended attributes of a version at an instant at which it is right; `seq` is the transaction that tidfs.tid names. */
struct view_xattr_source {
    struct store *store;
    const struct inode_version *inode;
    uint64_t before, seq;
};
int view_xattr_get(const struct view_xattr_source *source, const char *name, void *value, size_t size, size_t *length);
int view_xattr_list(const struct view_xattr_source *source, char *list, size_t size, size_t *length);

#endif
