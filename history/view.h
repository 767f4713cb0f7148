/* Views: the whole tree as of one instant, read-only, and the pool that bounds them.
 *
 * A view is named by `before` (a seq). It never moves. ZODB's historical connections are the model: pooled, reused,
 * bounded, but bounded in total and by a timer rather than per key and at the next open.
 *
 *     view_pool_open ──▶ IN USE (users > 0) ──view_pool_done──▶ IDLE ──pool too large, or idle for too long──▶ freed
 *                            ▲                                   │
 *                            └────────── reused by open ◀────────┘
 *
 * Invariants
 *  1. One view per `before` at any time.
 *  2. Idle views are at most options.idle_max; none is idle longer than options.idle_ns plus one tick (view_pool_sweep).
 *  3. Identity (DESIGN 4): view_attr.ino is equal for two (view, path) if and only if they are the same version: a non-directory's
 *     inode revision, a directory's newest change anywhere below. It is never equal to a head's inode number.
 *
 * Threads: any. The pool has one lock, never held during a read.
 * Errors: 0 or a negative errno.
 */
#ifndef TIDFS_HISTORY_VIEW_H
#define TIDFS_HISTORY_VIEW_H

#include <sys/stat.h>

#include "store/store.h"

struct view;
struct view_pool;

struct view_pool_options {
    uint64_t idle_max; /* historical-pool-size */
    uint64_t idle_ns;  /* historical-timeout */
};
struct view_pool_statistics {
    uint64_t open, idle;              /* now */
    uint64_t opened, reused, expired; /* since the pool was made: opened anew, taken while idle or in use, dropped */
};

struct view_pool *view_pool_new(struct store *store, const struct view_pool_options *options);
void view_pool_free(struct view_pool *pool);
/* A view for `before`; counts a user. -ESTALE at or before the horizon. */
int view_pool_open(struct view_pool *pool, uint64_t before, struct view **view);
void view_pool_done(struct view_pool *pool, struct view *view);
/* Drops idle views past their time (now_ns: CLOCK_MONOTONIC). Returns the nanoseconds until the next one is due, or UINT64_MAX. */
uint64_t view_pool_sweep(struct view_pool *pool, uint64_t now_ns);
void view_pool_get_statistics(struct view_pool *pool, struct view_pool_statistics *statistics);

uint64_t view_before(const struct view *view);
uint64_t view_tid(const struct view *view); /* of the newest transaction shown; 0 if none */

/* Inode numbers of history: bit 62 set; bit 61 set for directories. The head's are oids, below bit 60. */
#define VIEW_INO_FILE      (UINT64_C(1) << 62)
#define VIEW_INO_DIRECTORY ((UINT64_C(1) << 62) | (UINT64_C(1) << 61))

struct view_attr {
    uint64_t oid;
    uint64_t ino;      /* st_ino */
    uint64_t revision; /* id of the inode revision: opens a non-directory with view_file_* */
    struct stat stat;  /* exactly as it was; st_ino = ino; st_mtime of the view's root is the commit time */
};

/* `directory` is an oid as of the view; ROOT_OID is the root. A view before the first commit is an empty directory. */
int view_lookup(struct view *view, uint64_t directory, const char *name, size_t length, struct view_attr *attr);
int view_getattr(struct view *view, uint64_t oid, struct view_attr *attr);
int view_parent(struct view *view, uint64_t directory, uint64_t *parent);
/* Entries with index >= from, in order, until `emit` returns false. attr is filled only if with_attr (entries whose attributes cannot be
 * read are emitted with attr NULL). */
struct view_entry {
    const char *name;
    size_t length;
    uint64_t index, oid, ino;
    uint32_t type;
    const struct view_attr *attr;
};
int view_readdir(struct view *view, uint64_t directory, uint64_t from, bool with_attr,
                 bool (*emit)(void *context, const struct view_entry *entry), void *context);
/* Follows a slash-separated path of names from the root, no symlinks. "" is the root. */
int view_walk(struct view *view, const char *path, struct view_attr *attr);
/* Extended attributes of a directory of the view (others: view_file_*). As getxattr(2) and listxattr(2). */
int view_getxattr(struct view *view, uint64_t oid, const char *name, void *value, size_t size, size_t *length);
int view_listxattr(struct view *view, uint64_t oid, char *list, size_t size, size_t *length);

/* A version of a non-directory, known by its revision id alone: the same in every view that shows it. */
int view_file_getattr(struct store *store, uint64_t revision, struct view_attr *attr);
int view_file_read(struct store *store, uint64_t revision, uint64_t offset, size_t size, uint8_t *buffer, size_t *done);
int view_file_readlink(struct store *store, uint64_t revision, char *buffer, size_t size, size_t *length);
int view_file_seek(struct store *store, uint64_t revision, uint64_t offset, int whence, uint64_t *result);
int view_file_getxattr(struct store *store, uint64_t revision, const char *name, void *value, size_t size,
                       size_t *length);
int view_file_listxattr(struct store *store, uint64_t revision, char *list, size_t size, size_t *length);
/* What head_copy_range needs to share its bytes: the object, and an instant at which it was this version. */
int view_file_source(struct store *store, uint64_t revision, uint64_t *oid, uint64_t *before);

#endif
