/* An oracle for a store: every instant of a tree, kept in memory in the plainest way there is, and a run of random operations that does the same to
 * a store and to the oracle and compares them.
 *
 *   model_tree.c      the present: objects by id, and what each operation does to them
 *   model_instants.c  the past: what each transaction left, whole; what did not change is shared by reference count
 *   model_compare.c   an object, a head, an instant against what the oracle says
 *   model_history.c   diffs and logs against what follows from the instants
 *   model_random.c    which operation comes next
 *   model_threads.c   without the oracle: readers, writers and transactions at a time
 *
 * The clock is the model's own (the program's clock_gettime), so that all times are known to the nanosecond.
 * Whatever does not agree ends the test, with the seed and the number of the operation.
 */
#ifndef TIDFS_TESTS_MODEL_H
#define TIDFS_TESTS_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "history/view.h"
#include "store/head.h"

#define NAMES         40 /* that a directory may have */
#define XATTRS        7
#define SMALL         256 /* contents that every version keeps */
#define CONTENT_MAX   (900 << 10)
#define CONTENTS_KEPT 512 /* newest versions that keep larger ones; of the others the sums are known */
#define HELD          6
#define VIEWS         8
#define TAGS          12
#define MODEL_USER    "model"

/* ---- the present ---- */

struct content {
    uint32_t refs;
    size_t capacity;
    uint8_t *bytes;
    uint8_t *data; /* a byte for each: 1 if it was written, 0 in a hole */
};

struct names {
    uint32_t refs, count;
    struct name {
        uint64_t oid;
        uint32_t id; /* of its text */
    } items[];       /* in order of creation */
};

struct attribute {         /* compared as bytes: no padding */
    uint32_t set;          /* 1: there is one */
    uint32_t length, seed; /* which say what the value is; seed 0 for an empty one */
};

enum acl_kind { ACL_NONE, ACL_MINIMAL, ACL_EXTENDED };
struct acl {
    enum acl_kind kind;
    uint32_t user, named, group, mask, other; /* permissions; named and mask: EXTENDED only */
};

struct object {
    uint64_t oid;
    uint32_t mode, uid, gid, nlink;
    uint64_t rdev, size;
    struct timespec atime, mtime, ctime, btime;
    uint64_t parent;         /* directories */
    uint64_t additions;      /* directories: entries that it ever got */
    struct names *names;     /* directories */
    struct content *content; /* files; in a version NULL if it was not kept */
    uint32_t target;         /* symlinks: which */
    struct attribute xattrs[XATTRS];
    struct acl access, inherited;
    uint32_t held;  /* references given out */
    bool dirty;     /* changed since the last transaction */
    bool gone;      /* no name leads to it */
    bool untouched; /* gone when the running head_transaction began: it can only be read */
};

struct tree {
    struct object *objects; /* ascending oid */
    size_t count, capacity;
    uint64_t last_oid; /* the greatest that was given out */
    struct timespec now;
    bool pending;
};

void tree_init(struct tree *tree, const struct head_attr *root);
void tree_copy(const struct tree *from, struct tree *to);
void tree_release(struct tree *tree);
struct object *tree_find(const struct tree *tree, uint64_t oid); /* NULL if there is none */
/* What name `id` of a directory leads to; NULL. */
struct object *tree_lookup(const struct tree *tree, const struct object *directory, uint32_t id);

/* Each returns what the head must return, and does it, at tree->now. */
int tree_make(struct tree *tree, uint64_t parent, uint32_t id, uint32_t mode, uint64_t rdev, uint32_t target,
              const struct head_caller *caller, uint64_t oid);
int tree_link(struct tree *tree, uint64_t oid, uint64_t parent, uint32_t id);
int tree_remove(struct tree *tree, uint64_t parent, uint32_t id, bool directory);
/* whiteout: the oid that it has if one is made. */
int tree_rename(struct tree *tree, uint64_t parent, uint32_t id, uint64_t new_parent, uint32_t new_id, unsigned flags,
                uint64_t whiteout);
int tree_setattr(struct tree *tree, uint64_t oid, unsigned valid, const struct head_attr *set);
int tree_write(struct tree *tree, uint64_t oid, uint64_t offset, size_t size, const uint8_t *bytes, bool keep_times);
int tree_fallocate(struct tree *tree, uint64_t oid, int mode, uint64_t offset, uint64_t length, bool keep_times);
int tree_copy_range(struct tree *tree, const struct object *source, uint64_t offset, uint64_t target, uint64_t to,
                    uint64_t length, bool keep_times, uint64_t *copied);
int tree_setxattr(struct tree *tree, uint64_t oid, unsigned which, uint32_t length, uint32_t seed, int flags);
int tree_set_acl(struct tree *tree, uint64_t oid, bool inherited, const struct acl *acl, int flags);
int tree_removexattr(struct tree *tree, uint64_t oid, unsigned which); /* XATTRS, XATTRS + 1: the ACLs */
void tree_hold(struct tree *tree, uint64_t oid);
void tree_forget(struct tree *tree, uint64_t oid);
/* The next byte at or after offset that is data, or in a hole; the size if there is none. */
uint64_t object_seek(const struct object *object, uint64_t offset, bool hole);
uint64_t object_allocated(const struct object *object);

size_t name_text(uint32_t id, char text[NAME_BYTES_MAX + 1]); /* returns its length */
size_t target_text(uint32_t target, char text[SYMLINK_BYTES_MAX + 1]);
extern const char *const xattr_names[XATTRS + 2];
void xattr_value(uint32_t length, uint32_t seed, uint8_t *value);
size_t acl_encode(const struct acl *acl, uint8_t bytes[64]);

struct content *content_new(size_t size);
void content_release(struct content *content);

/* ---- the past ---- */

/* An object as one transaction left it. */
struct version {
    uint32_t refs;
    uint64_t seq;
    struct object object;
    uint64_t content_sum, data_sum; /* of files: XXH3-64 of the bytes, and of which are data */
    uint64_t allocated;
    uint64_t revision; /* under which views show it; 0: not looked at yet */
};

struct instant {
    uint64_t seq, tid;
    uint64_t objects; /* that the transaction changed */
    const char *user; /* of a few, static */
    uint32_t message; /* 0: none */
    struct timespec wall;
    struct version **versions; /* ascending oid */
    size_t count;
};

struct history {
    struct instant *items; /* [0] is of seq 1 */
    size_t count, capacity;
    struct version *kept[CONTENTS_KEPT];
    size_t next_kept;
    uint64_t last_oid; /* the greatest that was given out when the last transaction was made */
};

/* What a transaction with this tid leaves of the tree: everything that is in it. */
void history_seal(struct history *history, struct tree *tree, uint64_t tid, const char *user, uint32_t message);
void history_release(struct history *history);
struct version *instant_find(const struct instant *instant, uint64_t oid);
size_t message_text(uint32_t message, char text[256]);

/* ---- a run ---- */

struct model {
    char base[64], directory[96];
    uint64_t seed, random;
    uint64_t operations, operation; /* how many in all; the number of this one, from 1 */
    struct store *store;
    struct head *head;
    struct view_pool *pool;
    struct tree tree;
    struct history history;
    uint64_t held[HELD]; /* oids, 0: none */
    struct {
        struct view *view;
        size_t instant;
    } views[VIEWS]; /* open for long */
    struct {
        bool set;
        uint64_t tid;
    } tags[TAGS];
    bool in_transaction;
    struct {
        uint64_t succeeded, failed, seals, reopens, transactions, aborts, views, diffs, logs;
    } figures;
    uint8_t *buffer; /* CONTENT_MAX */
};

/* What must hold. */
#define want(model, condition, ...)                                                                                    \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            model_fail((model), __FILE__, __LINE__, __VA_ARGS__);                                                      \
    } while (0)
_Noreturn void model_fail(const struct model *model, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Ends the test if it is not set right. */
uint64_t model_knob(const char *name, uint64_t otherwise);
/* Sets the time that the program's clock tells. */
void model_set_clock(struct timespec now);

uint64_t model_random(struct model *model, uint64_t bound);
bool model_one_in(struct model *model, uint64_t n);

void model_operation(struct model *model); /* the next one */
void model_open(struct model *model);
void model_close(struct model *model);
void model_seal(struct model *model, const char *user, uint32_t message);

/* The head's object against the present's. */
void compare_attr(struct model *model, const struct object *object, const struct head_attr *attr);
void compare_object(struct model *model, const struct object *object);
void compare_head(struct model *model);
/* One object of a view, found by a random path, or everything that it has. */
void compare_view_somewhere(struct model *model, struct view *view, const struct instant *instant);
void compare_view(struct model *model, struct view *view, const struct instant *instant);
void compare_all_instants(struct model *model);
void compare_tags(struct model *model);

void compare_diff(struct model *model, const struct instant *a, const struct instant *b);
void compare_log(struct model *model);

#endif
