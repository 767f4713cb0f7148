/* A store: storage, cache and writer's lock, opened together, and the cached way to read any instant.
 *
 * Everything here reads as of `before`, a seq: what transactions with seq < before left. The writable
 * present is store/head.h, on top of this.
 *
 * Invariants
 *  1. before is in 1..store_last() + 1. before = 1 is the time before the first transaction.
 *  2. Readers hold no transaction in the storage between calls.
 *
 * Threads: any. Ownership: versions are references into the cache; store_release gives them back.
 * Errors: enum store_error.
 */
#ifndef TIDFS_STORE_STORE_H
#define TIDFS_STORE_STORE_H

#include "store/cache.h"
#include "store/storage.h"

struct store;

struct store_options {
    bool writable;                 /* takes the writer's lock; STORE_LOCKED names the holder */
    const char *mount_point;       /* shown to a second writer; NULL: "not mounted" */
    uint64_t cache_bytes;          /* 0: 64 MiB */
    uint64_t historic_cache_bytes; /* 0: half of cache_bytes */
    struct log *log;               /* may be NULL */
    bool trace;                    /* log every storage call */
};

/* Creates a store with its first transaction: an empty root directory owned by uid and gid, mode 0755.
 * The directory is made if missing (its parent must exist); STORE_EXISTS if it has anything in it. */
int store_create(const char *directory, uint32_t uid, uint32_t gid, struct error *err);
int store_open(const char *directory, const struct store_options *options, struct store **store, struct error *err);
void store_close(struct store *store);

struct storage *store_storage(struct store *store);
struct cache *store_cache(struct store *store);
struct log *store_log(struct store *store);
const char *store_directory(const struct store *store); /* absolute */
/* Tells a second writer where this store is mounted, from now on. */
int store_set_mount_point(struct store *store, const char *mount_point);

/* The newest transaction that readers here may see. */
uint64_t store_last(struct store *store);
uint64_t store_horizon(struct store *store);

/* Commits and lets readers see it. As storage_commit. */
int store_commit(struct store *store, const struct commit *commit, struct transaction *done);

/* For a reader of a store that another process writes: looks for new commits. *oids (may be NULL) are the objects they
 * changed, malloc'ed and the caller's. STORE_ABSENT: nothing new. */
int store_refresh(struct store *store, uint64_t **oids, size_t *count);

struct inode_version {
    struct cached cached; /* from = seq of the revision */
    uint64_t oid;
    uint64_t revision; /* the revision's id: names the version of a whole non-directory */
    struct inode_record record;
};
struct chunk_version {
    struct cached cached;
    struct chunk chunk; /* count 0: a hole */
};
struct xattrs_version {
    struct cached cached;
    struct xattr_set set;
};
struct list_version {
    struct cached cached;
    struct entry_list list; /* ascending index */
    uint32_t *by_name;      /* positions in list.items, ordered by name bytes */
};
struct subtree_version {
    struct cached cached;
    struct subtree subtree;
};

/* Each: STORE_OK with a reference, STORE_ABSENT if it does not exist at `before` (not yet born, deleted, unknown),
 * STORE_PACKED, or an error. Absence is not cached. */
int store_inode(struct store *store, uint64_t oid, uint64_t before, struct inode_version **version);
int store_xattrs(struct store *store, uint64_t oid, uint64_t before, struct xattrs_version **version);
int store_list(struct store *store, uint64_t directory, uint64_t before, struct list_version **version);
int store_subtree(struct store *store, uint64_t directory, uint64_t before, struct subtree_version **version);
/* A list that takes too much of the cache to be kept would be loaded anew each time that a part of it is wanted. True for a directory of
 * `count` entries: use store_list_part then, which keeps nothing. The caller releases *list. */
bool store_list_is_large(const struct store *store, uint64_t count);
int store_list_part(struct store *store, uint64_t directory, uint64_t before, uint64_t from, size_t most,
                    struct entry_list *list);
/* Chunk `number` of a file; a chunk that was never written is a hole, so never STORE_ABSENT. */
int store_chunk(struct store *store, uint64_t oid, uint64_t number, uint64_t before, struct chunk_version **version);
/* The inode that revision `id` of PART_INODE holds, whatever the instant; for versions that are known by id.
 * Its `from` is exact. STORE_ABSENT if there is no such revision, of an inode. */
int store_inode_by_revision(struct store *store, uint64_t id, struct inode_version **version);
/* An instant at which the object was this version: to read its other parts. STORE_PACKED if none is left. */
int store_version_instant(struct store *store, const struct inode_version *inode, uint64_t *before);

/* The object that `name` leads to. From the cached list if there is one, else by index, without loading the list. */
int store_lookup(struct store *store, uint64_t directory, const char *name, size_t length, uint64_t before,
                 uint64_t *oid, uint32_t *type);
/* In a list: NULL if absent. */
const struct entry *list_version_find(const struct list_version *list, const char *name, size_t length);

/* Reads file content as of `before`, whose inode is `inode`. Holes and the space past the last chunk are zeros; *done is less than
 * `size` only at end of file. */
int store_read(struct store *store, const struct inode_version *inode, uint64_t before, uint64_t offset, size_t size,
               uint8_t *buffer, size_t *done);
/* The next data (or hole) at or after offset, as SEEK_DATA (SEEK_HOLE) of lseek(2): STORE_ABSENT past the last data or at or after the end. */
int store_seek(struct store *store, const struct inode_version *inode, uint64_t before, uint64_t offset, bool hole,
               uint64_t *result);
/* Reads bytes [start, start + length) of a chunk, at most up to its end; what no extent covers is zeros. */
int store_read_chunk(struct store *store, const struct chunk_version *chunk, uint32_t start, uint32_t length,
                     uint8_t *buffer);
/* Copies bytes [skip, skip + length) of a body to buffer, verifying the whole of it. */
int store_read_body(struct store *store, const struct body_ref *body, uint32_t skip, uint32_t length, uint8_t *buffer);

void store_release(struct store *store, void *version); /* any of the versions above; NULL is legal */

#endif
