/* Records: how an object's parts are encoded as bytes. store/FORMAT.md has every byte.
 *
 * Parts of an object:
 *   PART_INODE          struct inode_record
 *   PART_XATTRS         all extended attributes of the object
 *   PART_CHUNK + n      struct chunk: the extents of bytes [n, n+1) * CHUNK_BYTES of a file
 *
 * Invariants
 *  1. Decoders trust nothing: any input gives a value or STORE_CORRUPT, never a read outside `data`,
 *     never an extent outside its chunk, never overlapping extents.
 *  2. encode(decode(x)) == x for every x that decodes.
 *
 * Threads: pure functions. Ownership: decoded values own what they point to; *_release frees it.
 */
#ifndef TIDFS_STORE_RECORD_H
#define TIDFS_STORE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define PART_INODE  0
#define PART_XATTRS 1
#define PART_CHUNK  16

#define CHUNK_BYTES       262144 /* a file's map is kept in pieces of this many bytes of file */
#define CHUNK_SHIFT       18
#define BODY_MAX          65536   /* largest body that a writer makes: the unit of checksum and of reading */
#define BODY_LIMIT        1048576 /* largest body that a reader accepts */
#define NAME_BYTES_MAX    255
#define SYMLINK_BYTES_MAX 4095
#define XATTR_VALUE_MAX   65536
#define XATTR_SET_MAX     1048576 /* all of one object's attributes together, encoded */
#define FILE_SIZE_MAX     INT64_MAX

/* An inode as of one transaction. Directories: size is the number of entries, and nlink is 2 + the number of
 * subdirectories; parent is the directory that holds them (the root is its own parent).
 * Others: parent is 0; entries lead to them (several when nlink > 1). */
struct inode_record {
    uint32_t mode; /* S_IFMT and permission bits */
    uint32_t uid, gid;
    uint32_t nlink;
    uint64_t rdev;       /* character and block devices: as in struct stat */
    uint64_t size;       /* bytes; directories: entries; symlinks: length of the target */
    uint64_t allocated;  /* bytes of extents that are not holes; st_blocks is this / 512, rounded up */
    uint64_t parent;     /* directories only */
    uint64_t next_index; /* directories only: index of the next new entry, from ENTRY_INDEX_FIRST */
    struct timespec atime, mtime, ctime, btime;
    bool has_xattrs;
    char *target; /* symlinks only: NUL-terminated, owned; else NULL */
};

#define ENTRY_INDEX_FIRST 3 /* 1 and 2 are the readdir cookies of . and .. */

/* *data is malloc'ed and the caller's. STORE_OK or STORE_NO_MEMORY. The record must be one that could be decoded: a known
 * file type in mode, nanoseconds below 10^9, a target exactly for symlinks and of `size` bytes. rdev is kept for devices, parent and
 * next_index for directories, and are 0 in what is decoded for others. */
int inode_record_encode(const struct inode_record *record, uint8_t **data, size_t *length);
int inode_record_decode(const uint8_t *data, size_t length, struct inode_record *record);
void inode_record_release(struct inode_record *record);

/* Where a body lies. file 0: row `position` of the body table. Else byte `position` of body file
 * `file`. sum is XXH3-64 (seed 0) of the whole body. */
struct body_ref {
    uint32_t file;
    uint32_t length; /* 1..BODY_LIMIT */
    uint64_t position;
    uint64_t sum;
};

/* A run of file bytes that come from a body. Bytes of a chunk that no extent covers are zeros. */
struct extent {
    uint32_t start;  /* from the start of the chunk */
    uint32_t length; /* 1.. */
    uint32_t skip;   /* into the body; skip + length <= body.length */
    struct body_ref body;
};

/* Extents ascend and do not overlap. A chunk with no extents is all zeros: a hole. */
struct chunk {
    struct extent *extents;
    size_t count;
};

int chunk_encode(const struct chunk *chunk, uint8_t **data, size_t *length);
int chunk_decode(const uint8_t *data, size_t length, struct chunk *chunk);
void chunk_release(struct chunk *chunk);
/* The same bytes, by where they lie. Chunks that differ in that may hold the same bytes all the same. */
bool chunk_equal(const struct chunk *a, const struct chunk *b);

/* An object's extended attributes, in ascending byte order of their names, each name once. */
struct xattr {
    char *name;     /* NUL-terminated, 1..255 bytes */
    uint8_t *value; /* NULL if length is 0 */
    size_t length;  /* 0..XATTR_VALUE_MAX */
};
struct xattr_set {
    struct xattr *items;
    size_t count;
};

int xattr_set_encode(const struct xattr_set *set, uint8_t **data,
                     size_t *length); /* STORE_TOO_BIG above XATTR_SET_MAX */
int xattr_set_decode(const uint8_t *data, size_t length, struct xattr_set *set);
void xattr_set_release(struct xattr_set *set);
/* NULL if absent. Valid until the set changes. */
const struct xattr *xattr_set_find(const struct xattr_set *set, const char *name);
/* Adds or replaces; copies. STORE_INVALID for an empty name, STORE_TOO_BIG for a name above NAME_BYTES_MAX or a value above
 * XATTR_VALUE_MAX, STORE_NO_MEMORY; each leaves the set unchanged. */
int xattr_set_put(struct xattr_set *set, const char *name, const void *value, size_t length);
/* STORE_ABSENT if it was not there. */
int xattr_set_remove(struct xattr_set *set, const char *name);
int xattr_set_copy(const struct xattr_set *set, struct xattr_set *copy);

#endif
