/* A small store in a temporary directory, changed by hand-made commits: for tests of what lies below and beside the head.
 *
 * Changes gather until sample_commit. Each asserts that it worked. The clock of the commits is the sample's own: it starts
 * at the first transaction's time and moves by a minute with each commit.
 */
#ifndef TIDFS_TESTS_SAMPLE_H
#define TIDFS_TESTS_SAMPLE_H

#include "store/store.h"

#define SAMPLE_OBJECTS 256
#define SAMPLE_PENDING 256

struct sample_object {
    uint64_t oid;
    struct inode_record record;
    bool dirty, ended;
};

struct sample {
    char directory[64]; /* of the store; its parent is the sample's own */
    struct store *store;
    struct timespec clock; /* of the next commit */
    uint64_t next_oid;
    struct sample_object objects[SAMPLE_OBJECTS]; /* as the next commit will leave them; [oid] */
    struct new_revision revisions[SAMPLE_PENDING];
    struct new_entry added[SAMPLE_PENDING];
    struct ended_entry ended[SAMPLE_PENDING];
    size_t revision_count, added_count, ended_count;
    bool body_files_used;
};

/* Makes the store and opens it for writing. NULL options: the defaults, writable. */
struct sample *sample_new(const struct store_options *options);
void sample_free(struct sample *sample);
/* Closes the store and opens it again. */
void sample_reopen(struct sample *sample, const struct store_options *options);

/* A new file with `content` (NULL: none), directory, symlink to `content`, or special file. Returns its oid. */
uint64_t sample_make(struct sample *sample, uint64_t parent, const char *name, uint32_t mode, const char *content);
/* The whole content of a file. */
void sample_write(struct sample *sample, uint64_t oid, const char *content);
/* One chunk of a file; its size becomes `size`. NULL: the chunk ends. */
void sample_set_chunk(struct sample *sample, uint64_t oid, uint64_t number, const struct chunk *chunk, uint64_t size);
/* A body with these bytes, in a body file or (small) in the body table. */
struct body_ref sample_body(struct sample *sample, const void *data, uint32_t length);
void sample_chmod(struct sample *sample, uint64_t oid, uint32_t permissions);
void sample_set_xattr(struct sample *sample, uint64_t oid, const char *name, const char *value);
void sample_link(struct sample *sample, uint64_t oid, uint64_t parent, const char *name);
void sample_remove(struct sample *sample, uint64_t parent, const char *name);
void sample_move(struct sample *sample, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name);

/* Commits what is pending, which may be nothing. Returns the tid. */
uint64_t sample_commit(struct sample *sample, const char *message);
/* The same through another store handle (for what another process does). */
uint64_t sample_commit_through(struct sample *sample, struct store *store, const char *message);

/* Moves the horizon as packing would, though nothing is removed. The store has been refreshed then. */
void sample_move_horizon(struct sample *sample, uint64_t horizon, int64_t packed_at_s);

/* The seq of the newest transaction. */
uint64_t sample_last(const struct sample *sample);
/* The clock of the newest commit, plus some seconds. */
struct timespec sample_time(const struct sample *sample, int64_t seconds);

#endif
