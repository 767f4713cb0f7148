/* What differs between two instants, at the cost of what changed and not of what exists.
 *
 * Objects are compared by id, so a rename is known and not guessed, and paths are then put together from the names that lead to them. A side
 * is a `before` (seq), as of a view. Before the first commit the tree is empty, but for its root.
 *
 * How things are told, unless an option says otherwise:
 *  - A renamed directory is one RENAMED. What lies below it has not moved: it is listed only if it changed itself, with its path on either
 *    side.
 *  - An object with several names (hard links) that changed is MODIFIED at each of them that stayed. Names that vanished and
 *    names that appeared are paired, in byte order of their paths, to RENAMED; what is left over is DELETED or ADDED, with `linked`.
 *  - Another object in the place of one is MODIFIED with `replaced`, and is compared with it; or TYPE. If nothing differs it is no change, but
 *    for objects with several names, where `what` may be 0.
 *  - A rename over something is RENAMED with `replaced`, if the path was the same on both sides; what stood there is not DELETED.
 *  - The link count, ctime and (of a directory) size are no changes. A directory's times are none if entries of it came or went in
 *    between, even if they are gone again.
 *
 * Invariants
 *  1. The changes are in ascending byte order of their path: new_path, or old_path if there is no new one. Of two with the same path
 *     DELETED comes first.
 *  2. Applying them all to the old tree gives the new one: take away what is at every old_path, and at the new_path of what
 *     replaced, then put each thing at its new_path; a directory brings along what is still in it.
 *  3. Swapping the sides swaps ADDED and DELETED, old and new, and nothing else, except that what a RENAMED replaced is then ADDED.
 *  4. A path is the new_path of at most one change, and the old_path of at most one.
 *
 * Cost: the revisions made between the two sides, or, if there are more of them than the trees' differing directories have entries, those.
 * With paths to look at: those directories only that lie there.
 * Threads: any. Errors: enum store_error.
 */
#ifndef TIDFS_HISTORY_DIFF_H
#define TIDFS_HISTORY_DIFF_H

#include "store/store.h"

enum change_kind {
    CHANGE_ADDED = 'A',
    CHANGE_DELETED = 'D',
    CHANGE_MODIFIED = 'M',
    CHANGE_RENAMED = 'R', /* perhaps modified too: see `what` */
    CHANGE_TYPE = 'T',    /* another type of file stands at that path */
};

/* What differs between the two sides of MODIFIED and RENAMED. */
enum {
    CHANGED_CONTENT = 1, /* bytes of a file, target of a symlink, number of a device */
    CHANGED_MODE = 2,
    CHANGED_OWNER = 4,
    CHANGED_XATTR = 8,  /* ACLs too */
    CHANGED_TIMES = 16, /* mtime; or atime, if somebody set it. ctime alone is no change */
    CHANGED_UNREAD = 32 /* beside CONTENT or XATTR: it could not be compared, because a side of it is lost or damaged */
};

struct change_side {
    uint64_t oid;      /* 0: there is nothing on this side */
    uint64_t revision; /* of the inode: for view_file_* if it is no directory */
    uint32_t mode, uid, gid, nlink;
    uint64_t size; /* as struct inode_record */
    struct timespec mtime;
};

struct change {
    enum change_kind kind;
    unsigned what; /* MODIFIED, RENAMED; else 0 */
    /* From the root, without slashes around, "" the root itself; NULL for ADDED (DELETED). MODIFIED, TYPE: they differ if a directory
     * above was renamed. RENAMED: they may be the same, if directories above changed places. */
    char *old_path, *new_path;
    struct change_side old, new;
    /* ADDED (DELETED): the object is in the old (new) tree too: a hard link was added (removed), or, with no_renames and each_file, perhaps
     * a rename is told like this. */
    bool linked;
    /* MODIFIED, TYPE: another object stands at the path, as after an editor's save; RENAMED: new_path had another in the old tree,
     * which no other change tells of. */
    bool replaced;
};

/* What cannot be told, because it is lost, as a repair put on record, or damaged. */
struct change_gap {
    char *
        path; /* owned; the object's, where it still has one: on the new side, else on the old one; else what it is called in the log */
    bool old, new; /* the sides of which it is not known */
    bool names;    /* not what the object is, but which names were in it (a directory), or led to it */
    bool directory;
    enum store_error why; /* STORE_LOST, STORE_CORRUPT */
};

struct change_list {
    struct change *items;
    size_t count;
    struct change_gap *gaps; /* ascending byte order of their path; of an object that has one, no change is told */
    size_t gap_count;
};
void change_list_release(struct change_list *list);

struct diff_options {
    uint64_t before_a, before_b; /* 1..store_last() + 1 */
    /* Only changes of which a path is one of these or below it; count 0: all. Without slashes around, nor two in a row; "" is all. */
    const char *const *paths;
    size_t path_count;
    /* Renames as DELETED and ADDED (MODIFIED where something stands there on both sides), a renamed directory with all below it: what
     * a tool that compares trees by path sees. */
    bool no_renames;
    /* RENAMED only where old_path is free in the new tree and new_path in the old one, and for each file: a renamed directory is told as its
     * files, each RENAMED, and itself (with the directories below it) as with no_renames. What patches need. no_renames goes before it. */
    bool each_file;
    /* Times alone, of directories whose entries changed, are left out always; with this, they are left out for all. */
    bool ignore_times;
    /* NULL, or called now and then with the objects looked at; total 0: not known yet. */
    void (*progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* STORE_OK with *changes, the caller's (empty after an error); STORE_PACKED if a side is at or before the horizon; STORE_INVALID if one is
 * out of range. Damage in one object hides no other: it is a gap, or, in content, CHANGED_UNREAD where it was stored anew. */
int diff_run(struct store *store, const struct diff_options *options, struct change_list *changes);

/* Whether a directory above one of options->paths stands elsewhere on the other side. Its rename is no change of the path, so that of what moved
 * with it nothing is told unless no_renames or each_file is set. */
int diff_paths_moved(struct store *store, const struct diff_options *options, bool *moved);

/* What differs between two inodes, CHANGED_*, each known by its revision. STORE_INVALID if their types differ; STORE_ABSENT if one is no
 * inode's revision; STORE_PACKED if one can no longer be read. Times of two different directories never differ. */
int diff_objects(struct store *store, uint64_t revision_a, uint64_t revision_b, unsigned *what);

#endif
