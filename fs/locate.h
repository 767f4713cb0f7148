/* From a path on the command line to a store, a mount of it, and a place in its tree.
 *
 * What is mounted is read from /proc/self/mountinfo (type fuse.tidfs, source: the store's directory), so that bind mounts, mounts under
 * symlinks and mounts below mounts are seen as the kernel sees them. What a mount shows is asked of the mount (fs/live.h).
 *
 * Invariants
 *  1. A path need not exist: what is missing at its end is taken by name, since it may exist at another time.
 *  2. No symlink of the tree is followed: below /head, /at/WHEN, /before/WHEN and /versions, and in a mount of a single view, a path means its
 *     names, since what is a symlink now may have been a directory. Symlinks that lead there are the kernel's to follow.
 *
 * Threads: any. Ownership: a location owns its strings; location_release frees them.
 * Errors: enum store_error with a sentence.
 */
#ifndef TIDFS_FS_LOCATE_H
#define TIDFS_FS_LOCATE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/error.h"

enum location_kind {
    LOCATION_STORE,  /* named by the store's own directory */
    LOCATION_TOP,    /* the top of a mount, which holds /head and /at: stands for the root of the tree */
    LOCATION_HEAD,   /* /head and below; a path below /versions */
    LOCATION_AT,     /* /at/<when> and below; a version in /versions/<path> */
    LOCATION_BEFORE, /* /before/<when> and below */
    LOCATION_VIEW,   /* in a mount of a single view (at=) */
    LOCATION_OTHER,  /* elsewhere in a mount: /README, /at itself */
};

struct location {
    enum location_kind kind;
    char *store;       /* absolute path of the store's directory */
    bool moved;        /* what `store` leads to now is not what the mount at `point` shows */
    char *point;       /* where the mount is that the path lies in; NULL for LOCATION_STORE */
    char *when;        /* AT and BEFORE: the <when>; else NULL */
    char *path;        /* place in the tree, without slashes around it; "" is the root. NULL for STORE and OTHER */
    uint64_t view_tid; /* VIEW: the newest transaction that it shows; 0: none */
    char *live;        /* mount point of a writable mount of the store, if this process can talk to it; else NULL */
    char *top;         /* mount point of a mount that has /at, the path's own if possible; else NULL */
    char *top_subdir;  /* the directory of the tree that `top` shows as its root; "" for all of it */
    char *subdir;      /* the same of the mount at `point`; NULL for LOCATION_STORE */
};

/* Whether the directory holds a store, by its tidfs.db. */
bool locate_is_store(const char *directory);

/* Where a path in a mount lies. STORE_NOT_A_STORE if it is in none. */
int locate_path(const char *path, struct location *location, struct error *err);
/* Before the store is opened: STORE_INVALID, told, if it was moved away from its path. */
int locate_check_store(const struct location *location, struct error *err);
/* A store's directory. Whether it is one is found out when it is opened. */
int locate_store(const char *directory, struct location *location, struct error *err);
/* Makes the location stand for `path`, taken from the root of the tree; . and .. and superfluous slashes are seen to. STORE_NO_MEMORY. */
int location_set_path(struct location *location, const char *path);
/* All fields of a location that was never filled may be zero. */
void location_release(struct location *location);

/* The path, malloc'ed, of `path` (a place in the tree) in the view of that name under `top`: <top>/at/<name>/<path>. NULL if there is no such mount,
 * if it does not show that part of the tree, or out of memory. */
char *location_view_path(const struct location *location, bool before, uint64_t name, const char *path);

#endif
