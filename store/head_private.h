/* Inside the head: shared by store/head_*.c only.
 *
 * Locks, in the order in which they may be taken:
 *   head->committing (flag)   who has set it is the only one who commits, until he clears it.
 *   head->lock       (rwlock) everything below that is not marked otherwise. Held while reading the storage on a miss,
 *                             never while committing or reading and writing bodies of files, except by head_transaction: it holds
 *                             the lock from before its change until the commit is done, and the operations that
 *                             the change calls take it for granted.
 *   head->seal_lock  (mutex)  the fields marked "seal_lock".
 *
 * An object's changes are in at most two places: the working transaction (dirty) and the batch that is
 * being written (flying). An object, chunk or name that is either must stay in memory, for the storage does not have it yet.
 */
#ifndef TIDFS_STORE_HEAD_PRIVATE_H
#define TIDFS_STORE_HEAD_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "store/head.h"

#define MEMORY_BODY_MIN 32768  /* writes of at least this many bytes go straight to a body file */
#define TABLE_BODY_MAX  16384  /* larger bodies never go to the body table */
#define TABLE_BATCH_MAX 131072 /* a batch with more bytes of small bodies than this puts them in a body file, too */
#define SPANS_MAX       32     /* a chunk with more spans is consolidated when it is next written */
#define TIDS_KEPT       256
#define LINK_COUNT_MAX  0x7fffffffU

/* Bytes of a file that are not in a body yet. */
struct memory {
    uint32_t refs;
    uint32_t length, capacity;
    bool frozen; /* in a batch, or shared: never written again */
    bool placed; /* by the one who commits: `body` is set; durable once the batch is */
    struct body_ref body;
    uint8_t *data;
};

/* As struct extent, but may come from memory. */
struct span {
    uint32_t start, length, skip;
    struct memory *memory; /* NULL: from `body` */
    struct body_ref body;
};

struct file_chunk {
    uint64_t number;
    struct span *spans; /* ascending, disjoint; none at or after the file's size */
    uint32_t count, capacity;
    bool dirty, flying;
};

/* The chunks of a file that differ from the storage. */
struct file {
    struct file_chunk **chunks; /* ascending number */
    size_t count, capacity;
};

struct dentry {
    struct dentry *hash_next;
    uint64_t oid; /* 0: the name was removed, and the storage may not know yet */
    uint64_t index;
    uint32_t hash;
    uint32_t type;
    uint32_t added_at;  /* dirty: position in head->added, or UINT32_MAX if the working transaction did not add it */
    bool dirty, flying; /* the working transaction (the batch) adds or ends this name */
    bool ended;         /* the working transaction ends a stored incarnation of this name */
    uint8_t name_length;
    char name[];
};

struct directory {
    struct dentry **buckets;
    size_t bucket_count, count;
    size_t unsettled; /* dentries that are dirty or flying */
    bool complete;    /* a name that is not here does not exist */
    struct place {
        uint64_t index;
        struct dentry *dentry; /* NULL: removed since */
    } * order;                 /* complete only: ascending index */
    size_t order_count, order_capacity, order_holes;
    size_t bytes;
    struct object *newer, *older; /* head->directories, by use */
};

/* One that the kernel holds but that was not used for a while is only the members before `record`: a million of them have to fit. */
struct object {
    struct object *hash_next;
    uint64_t oid;
    _Atomic uint64_t lookups; /* references given out; raised under the read lock, too */
    bool unloaded : 1;        /* nothing below is there: object_find does not see it, object_get loads it */
    bool dirty : 1, flying : 1;
    bool stored : 1;       /* some committed transaction has it */
    bool fresh : 1;        /* made by the working transaction */
    bool fresh_flying : 1; /* made by the flying batch */
    bool gone : 1;         /* no name leads to it */
    bool xattrs_dirty : 1, xattrs_flying : 1;
    struct inode_record record;
    struct object *dirty_next, *dirty_previous;
    union {
        struct directory *directory;
        struct file *file;
    };
    struct xattr_set *xattrs; /* NULL: not loaded, or none */
};

/* Names that a transaction adds, and names that it ends. */
struct added {
    struct object *parent;
    struct dentry *dentry; /* NULL: taken back */
};
struct ended {
    struct object *parent;
    struct dentry *dentry;
    uint64_t index; /* of the incarnation that ends */
};

/* Who made the changes of a transaction, as far as is known. */
struct changers {
    uint32_t uid; /* the first of them; HEAD_NOBODY: none */
    bool several;
};

struct head {
    struct store *store;
    struct head_options options;

    pthread_key_t actor; /* of each thread that changes things: its uid + 1, in 32 bits */

    pthread_rwlock_t lock;
    struct object **buckets;
    size_t bucket_count, object_count;
    size_t loaded_count, loaded_max; /* of those objects: that are not unloaded; above which some are */
    size_t trim_bucket;              /* where object_trim goes on */
    uint64_t next_oid;
    uint64_t last_seq, last_tid; /* durable */
    struct directory_list {
        struct object *newest, *oldest;
        size_t bytes;
    } directories;
    size_t directory_budget;

    /* the working transaction */
    uint64_t number;   /* of the working transaction: 1, 2, 3…, not its seq */
    bool pending;      /* it has something, and the interval runs */
    bool limit_passed; /* it has been asked to seal because of its size */
    struct object *dirty_first, *dirty_last;
    uint64_t dirty_count;
    struct ended *ended; /* there is always room for flying_ended more, if there is any */
    size_t ended_count, ended_capacity;
    struct added *added; /* as well, for flying_added */
    size_t added_count, added_capacity;
    size_t flying_ended, flying_added; /* names in the batch that flies, which may have to come back */
    bool body_files_used;
    struct changers changers;
    _Atomic uint64_t working_bytes; /* written since it began; read without the lock */
    bool failed;                    /* the storage failed for good: no more changes */
    int refusal;                    /* why the last commit failed (enum store_error); STORE_OK: it did not */
    uint64_t free_bytes;            /* on the disk below when last asked, less what was written since */
    uint64_t reserve_bytes;         /* kept free, so that removals can be committed */

    /* head_transaction */
    _Atomic bool owned; /* read without the lock: `owner` holds it for many operations */
    _Atomic(pthread_t) owner;
    bool changing;      /* its change runs, or is being committed: what is dirty is all of that change */
    uint64_t first_oid; /* of those that the change makes */

    pthread_mutex_t seal_lock;
    pthread_cond_t wake, done; /* to the commit thread; to those who wait for it */
    /* seal_lock: */
    bool committing;      /* somebody is */
    uint64_t deadline_ns; /* CLOCK_MONOTONIC; UINT64_MAX: nothing pending */
    uint64_t requested;   /* seal working transactions up to this number */
    uint64_t taken;       /* sealed up to this number */
    uint64_t durable;     /* committed up to this number */
    uint64_t refused;     /* the attempt to commit this number failed, with refused_code */
    int refused_code;
    uint64_t tids[TIDS_KEPT]; /* of number n at n % TIDS_KEPT */
    char *user, *message;     /* for the working transaction; NULL: none */
    uint64_t message_number;  /* the number they are for; 0: none is waiting */
    uint64_t commits;
    bool stop;
    pthread_t thread;
};

/* Whether this thread is inside head_transaction. A thread that is not can never see itself as owner: the acquire shows it the owner that was
 * stored before `owned`. */
static inline bool head_is_owner(struct head *head) {
    return atomic_load_explicit(&head->owned, memory_order_acquire) &&
           pthread_equal(atomic_load_explicit(&head->owner, memory_order_relaxed), pthread_self());
}

/* Unloads some of the objects that the storage can give again. Only while nobody has a pointer to an object: here. */
void object_trim(struct head *head);

/* What is read under the lock is read together. */
static inline void head_lock(struct head *head) {
    if (!head_is_owner(head)) {
        (void)pthread_rwlock_wrlock(&head->lock);
        if (head->loaded_count > head->loaded_max)
            object_trim(head);
    }
    storage_begin_reads(store_storage(head->store));
}

static inline void head_lock_shared(struct head *head) {
    if (!head_is_owner(head))
        (void)pthread_rwlock_rdlock(&head->lock);
    storage_begin_reads(store_storage(head->store));
}

static inline void head_unlock(struct head *head) {
    storage_end_reads(store_storage(head->store));
    if (!head_is_owner(head))
        (void)pthread_rwlock_unlock(&head->lock);
}

static inline struct timespec head_clock(void) {
    struct timespec now;
    /* The clock that the kernel itself stamps inodes with, so that times from either agree. */
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now;
}

static inline uint64_t head_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static inline bool object_is_directory(const struct object *object) {
    return (object->record.mode & S_IFMT) == S_IFDIR;
}

/* ---- head_object.c ---- */

/* In memory only; NULL if it or its state is not there. Read lock. */
struct object *object_find(struct head *head, uint64_t oid);
/* Loads it if needed. -ESTALE if there is no such object. Write lock. */
int object_get(struct head *head, uint64_t oid, struct object **object);
/* As object_get, and -ENOTDIR if it is none, -ENOENT if it was removed. */
int object_get_directory(struct head *head, uint64_t oid, struct object **object);
/* A new one, in the table, dirty and fresh. NULL without memory. */
struct object *object_new(struct head *head, uint32_t mode);
/* Frees it if nobody needs it. */
void object_settle(struct head *head, struct object *object);
/* Puts it into the working transaction. Cannot fail. */
void object_dirty(struct head *head, struct object *object);
/* Takes it out again: it was made and removed in the same one. */
void object_clean(struct head *head, struct object *object);
/* One name fewer leads to it. */
void object_unlinked(struct head *head, struct object *object, struct timespec now);
/* 0, or -ESTALE if a change of it could not be taken back: the object had no name any more when the running head_transaction began. */
int object_may_change(const struct head *head, const struct object *object);
/* Takes back what the running head_transaction did to the object: one that it made goes, another is loaded from the storage when
 * it is next asked for. Cannot fail. The transaction's lists of names must be empty already. */
void object_revert(struct head *head, struct object *object);
/* The same for all that the head_transaction made and that is left. */
void object_revert_made(struct head *head);
void object_attr(const struct object *object, struct head_attr *attr);
int object_table_new(struct head *head);
void object_table_free(struct head *head);

/* ---- head_directory.c ---- */

/* The dentry of a name, with oid != 0, or NULL if it does not exist; loads what it must. */
int directory_find(struct head *head, struct object *directory, const char *name, size_t length,
                   struct dentry **dentry);
/* In memory only: STORE_OK with *dentry or NULL (known to be absent), STORE_ABSENT if not known. Read lock. */
int directory_peek(const struct object *directory, const char *name, size_t length, struct dentry **dentry);
/* A dentry for a name that is to be added, and memory, so that directory_add cannot fail. The name may exist: it must be removed first. */
int directory_prepare(struct head *head, struct object *directory, const char *name, size_t length,
                      struct dentry **dentry);
/* Adds a prepared name, with a new index. */
void directory_add(struct head *head, struct object *directory, struct dentry *dentry, uint64_t oid, uint32_t type);
/* Memory for `count` calls of directory_remove. */
int directory_prepare_removal(struct head *head, size_t count);
/* The dentry stays, to be added again or settled. */
void directory_remove(struct head *head, struct object *directory, struct dentry *dentry);
/* Loads all entries and puts them in order. */
int directory_complete(struct head *head, struct object *directory);
void directory_used(struct head *head, struct object *directory);
/* Frees a dentry that says no more than that a complete directory has no such name. */
void dentry_settle(struct head *head, struct object *directory, struct dentry *dentry);
/* Drops loaded names of directories least used, until within budget. */
void directory_trim(struct head *head);
int directory_new(struct head *head, struct object *object, bool complete);
void directory_free(struct head *head, struct object *object);

/* ---- head_file.c ---- */

void memory_release(struct memory *memory);
struct file_chunk *file_find(const struct file *file, uint64_t number);
/* The first chunk in memory with this number or a greater one; NULL if none. */
struct file_chunk *file_next(const struct file *file, uint64_t number);
/* The chunk in memory, loaded if need be. */
int file_chunk_get(struct head *head, struct object *object, uint64_t number, struct file_chunk **chunk);
void file_chunk_dirty(struct head *head, struct object *object, struct file_chunk *chunk);
void file_chunk_drop(struct object *object, struct file_chunk *chunk);
uint64_t file_chunk_allocated(const struct file_chunk *chunk);
/* A chunk of the file had `before` bytes and has others now. Of a file whose record is wrong, as in a damaged store, the sum stays in its range. */
void file_count_allocated(struct object *object, const struct file_chunk *chunk, uint64_t before);
/* Makes room for `more` spans so that the calls below cannot fail. */
int file_chunk_reserve(struct file_chunk *chunk, uint32_t more);
void file_chunk_cut(struct file_chunk *chunk, uint32_t start, uint32_t end);
/* Takes over span->memory's reference. Reserve 2. */
void file_chunk_insert(struct file_chunk *chunk, const struct span *span);
/* At most BODY_MAX bytes, that stay in memory. */
int file_chunk_write(struct file_chunk *chunk, uint32_t start, const uint8_t *data, uint32_t length);
void file_free(struct object *object);
/* An orphan's small writes go to body files now and then, for no commit will take them from memory. */
int file_chunk_spill(struct head *head, struct file_chunk *chunk);

/* ---- head_data.c ---- */
int object_truncate(struct head *head, struct object *object, uint64_t size);

/* ---- head_attr.c ---- */
int object_load_xattrs(struct head *head, struct object *object);

/* ---- head_acl.c ---- */

/* Attributes and mode for a new object below `parent`. */
int acl_inherit(struct head *head, struct object *parent, uint32_t umask, uint32_t *mode, struct xattr_set **xattrs);
/* The access ACL after chmod. The attributes, if it has any, are loaded. */
void acl_chmod(struct object *object, uint32_t mode);
/* The permission bits that an access ACL implies. *equivalent: it says no more than they do. -EINVAL if it is none. */
int acl_mode(const uint8_t *value, size_t length, uint32_t *mode, bool *equivalent);
#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* ---- head_lost.c ---- */

/* Logs the paths of what is pending, which nobody will commit any more. Alone in the head. */
void head_tell_lost(struct head *head);

/* ---- head_seal.c ---- */

/* Before a change: 0, or why none can be made (-EIO failed for good, -EROFS when the disk became read-only, -ENOSPC when it would take `bytes` more). Write
 * lock. */
int head_may_change(struct head *head, bool grows, uint64_t bytes);
/* After a change: the interval starts, and the limit is kept. Write lock. */
void head_changed(struct head *head);
/* One more of those who made the changes. */
void changers_add(struct changers *changers, struct changers more);
bool head_working_empty(const struct head *head);
/* Waits until nobody commits, and keeps others from it. Without a lock. */
void head_commit_hold(struct head *head);
void head_commit_release(struct head *head);
/* Seals and commits the working transaction, empty or not, and waits until it is durable. Only between the two above. *tid is set on success. If it
 * fails, what flew is pending again, or, while head->changing, taken back. */
int head_commit(struct head *head, uint64_t *tid);
/* Waits, without a lock, while more than the dirty limit waits behind a commit. */
void head_throttle(struct head *head);
void *head_commit_thread(void *head);

#endif
