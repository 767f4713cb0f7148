/* What a path led to in the course of time, and the versions that it showed.
 *
 * A path is a slash-separated list of names from the root, no symlinks followed; "" is the root. It may lead to different objects at different
 * times (editors save by renaming a new file over the old one; directories above it are renamed and replaced), and to nothing in between.
 *
 * Invariants
 *  1. The names of a path do not overlap in time, and two that follow one another at once differ in their object.
 *  2. A walk tells each transaction at most once, the newest first.
 *
 * Cost: proportional to the number of times that names on the path changed, and of versions told.
 * Threads: any; a walk belongs to one at a time. Errors: enum store_error.
 */
#ifndef TIDFS_HISTORY_PAST_H
#define TIDFS_HISTORY_PAST_H

#include "store/store.h"

/* The path led to `oid` for every `before` with born < before <= died. */
struct past_name {
    uint64_t oid;
    uint64_t born, died; /* seqs; died UINT64_MAX: it still does */
    uint32_t type;       /* S_IFMT bits */
};
struct past_names {
    struct past_name *items; /* newest first; never overlapping */
    size_t count;
};
/* Everything that the path led to as seen by transactions <= last, without what was packed away whole. STORE_ABSENT, and no
 * names, if it never led anywhere; STORE_LOST if nobody knows, because names are lost of a directory that it leads through. */
int past_names_load(struct store *store, const char *path, uint64_t last, struct past_names *names);
/* Of names that were never loaded, too, if they are zero. */
void past_names_release(struct past_names *names);

/* Where the object that transaction `seq` made `path` lead to had been until then, if that transaction took it away from there: because
 * it was renamed, or a directory above it. *origin is malloc'ed and the caller's. STORE_ABSENT: it was nowhere, or is still there (a hard
 * link was added). */
int past_origin(struct store *store, const char *path, uint64_t oid, uint64_t seq, char **origin);

/* A moment at which what a path leads to became what it then was. */
struct past_version {
    uint64_t seq, tid;
    struct timespec time;
    char
        kind; /* enum change_kind against the version before it. A directory is modified by a change anywhere below it, too */
    unsigned
        what;     /* CHANGED_*, for 'M' and 'R'; of a directory, CHANGED_CONTENT stands for its entries and all below */
    uint64_t oid; /* 0: 'D' */
    uint64_t revision; /* of the inode */
    uint32_t mode;
    uint64_t size;
    /* STORE_LOST, STORE_CORRUPT: what it was then cannot be told: revision and size are 0, and mode is the type alone. STORE_OK: it can. */
    enum store_error unknown;
    char *path;     /* owned; where it was then: differs from the path that was asked for only with follow */
    char *old_path; /* owned; 'R': where it came from. Else NULL */
};
/* Leaves it zero. A zero one is legal. */
void past_version_release(struct past_version *version);

/* Walks what a path led to, newest first, in transactions first..last (last may lie after store_last()).
 *
 * follow: where something appeared that was renamed to there, itself or a directory above it, the walk goes on with its older path. What
 * replaced something else at once, as an editor's save does, is a version of the path and is not followed to where it was before. */
struct past_walk;
/* STORE_ABSENT, and *walk is NULL, if the path led nowhere up to `last`. */
int past_walk_open(struct store *store, const char *path, uint64_t first, uint64_t last, bool follow,
                   struct past_walk **walk);
/* The next version, which the caller releases. One that is lost or damaged is told as that and hides no older one. A transaction that left nothing different but the time of the last change of the inode, or the number of
 * hard links, made no version. What is left of something older than the horizon is told as added there. STORE_ABSENT at the end. After
 * an error the walk is where it was. */
int past_walk_next(struct past_walk *walk, struct past_version *version);
/* The next transaction that changed what the path led to, whatever it changed; cheaper than past_walk_next. It may lie behind the
 * horizon, as far as what changed what is known there. Of one walk, only one of the two may be used. STORE_ABSENT at the end. */
int past_walk_next_seq(struct past_walk *walk, uint64_t *seq);
/* The path along which it goes on: the one that was asked for until it followed a rename. Valid until the next call. */
const char *past_walk_path(const struct past_walk *walk);
void past_walk_close(struct past_walk *walk); /* NULL is legal */

#endif
