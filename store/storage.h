/* Storage: the one narrow interface between tidfs and whatever keeps its bytes.
 *
 * The first implementation is SQLite with body files (storage_sqlite.c). storage_trace.c and
 * storage_fault.c are layers: they wrap another storage and offer the same interface. Nothing above knows
 * which it talks to, and no SQLite type shows here. Every call goes through the checked wrappers
 * storage_*() below (storage.c), which hold the contract: arguments are asserted, results are checked for
 * what the contract promises.
 *
 * Words: `seq` is the dense number 1, 2, 3… of a transaction in one store; `before` is a seq too: a reader
 * sees what transactions with seq < before left. before = last + 1 is the committed head.
 *
 * Invariants
 *  1. What a committed transaction wrote never changes: for before <= last + 1 every load gives the same
 *     answer for ever, or STORE_PACKED once before <= horizon.
 *  2. A commit is atomic and durable when storage_commit returns STORE_OK, and leaves nothing behind when it
 *     does not.
 *  3. Whatever changes any part of an object also writes its PART_INODE in the same commit. So the newest
 *     inode revision names the version of the whole object. An entry added to or ended in a directory
 *     counts as a change of the directory.
 *  4. Revision ids ascend in commit order and are never reused; nor are oids, entry indexes in a directory,
 *     body ids and positions in body files.
 *
 * Threads: every call may come from any thread, except that storage_commit and storage_tag_* of
 * one storage are serialised inside it. Readers never wait for the committer.
 * Other processes: any number may read while one commits; tags may be set by any process.
 * Errors: enum store_error; reads of what is absent give STORE_ABSENT. Of what a repair put on record as lost they give STORE_LOST. STORE_IO
 * and STORE_CORRUPT are logged by the implementation with what failed; STORE_FULL and STORE_READ_ONLY, which last, are the caller's to tell.
 */
#ifndef TIDFS_STORE_STORAGE_H
#define TIDFS_STORE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/error.h"
#include "store/log.h"
#include "store/record.h"

#define ROOT_OID     1 /* the root directory of every store */
#define OID_MAX      ((UINT64_C(1) << 60) - 1)
#define SEQ_MAX      ((UINT64_C(1) << 60) - 1)
#define TAG_NAME_MAX 255
#define MESSAGE_MAX  65535 /* bytes of a transaction's message; its user at most 255 */

struct storage;

/* What the store is at this moment. */
struct storage_state {
    uint64_t last_seq; /* 0: no transaction yet */
    uint64_t last_tid;
    uint64_t next_oid;         /* the smallest oid never given out */
    uint64_t horizon;          /* seq: before <= horizon is packed away; 0: nothing is */
    struct timespec packed_at; /* when the horizon was last moved; 0 if never */
    uint32_t format;           /* version of the format on disk */
    bool losses;               /* a repair put some on record */
};

struct transaction {
    uint64_t seq, tid;
    uint64_t base;         /* seq of the transaction that it was based on */
    struct timespec wall;  /* the clock at commit, which the tid may run ahead of */
    uint64_t object_count; /* objects that it changed */
    char *user, *message;  /* owned, NUL-terminated, never NULL */
};
void transaction_release(struct transaction *transaction);

/* One revision of one part. */
struct revision {
    uint64_t id; /* unique in the store; ascends in commit order */
    uint64_t oid;
    uint64_t part;
    uint64_t seq;   /* the transaction that wrote it */
    uint64_t until; /* the transaction that replaced it, or UINT64_MAX if none had at the time of reading */
    uint8_t *data;  /* owned; checksum verified */
    size_t length;
};
void revision_release(struct revision *revision);

/* load_before has five outcomes, all different (DESIGN 6). */
enum load_outcome {
    LOAD_DATA,      /* *revision is filled */
    LOAD_NOT_YET,   /* the object exists, but this part not yet: revision->until says in which transaction it comes,
                          * UINT64_MAX if it had in none at the time of reading */
    LOAD_DELETED,   /* revision->seq and ->until say when; data is NULL */
    LOAD_PACKED,    /* before <= horizon */
    LOAD_NO_OBJECT, /* no such object in any transaction */
};

struct entry {
    uint64_t parent;
    uint64_t index; /* position in the directory: ascends in order of creation, never reused */
    uint64_t oid;
    uint64_t born; /* seq that added it */
    uint64_t died; /* seq that ended it, or UINT64_MAX */
    uint32_t type; /* S_IFMT bits */
    uint32_t name_length;
    char *name; /* NUL-terminated; owned by the entry or by its list */
};
struct entry_list {
    struct entry *items; /* ascending index */
    size_t count;
    char *names; /* one block that holds all names */
};
void entry_release(struct entry *entry);
void entry_list_release(struct entry_list *list);

/* The newest transaction below a directory: what identifies a directory in history. */
struct subtree {
    uint64_t id; /* unique in the store */
    uint64_t seq;
    uint64_t until; /* as in struct revision */
};

struct tag {
    char name[TAG_NAME_MAX + 1];
    uint64_t tid;
};

/* A change set: everything one transaction writes. All pointers are the caller's and need live only during the call. */
struct new_revision {
    uint64_t oid, part;
    bool directory;      /* the object is a directory */
    const uint8_t *data; /* NULL: the part ends here (the object, for PART_INODE) */
    size_t length;
};
struct new_entry {
    uint64_t parent, index, oid;
    uint32_t type;
    const char *name;
    size_t name_length;
};
struct ended_entry {
    uint64_t parent, index;
};
struct new_body { /* a body for the body table: ids come from storage_body_reserve */
    uint64_t id;
    const uint8_t *data;
    uint32_t length;
    uint64_t sum;
};
struct commit {
    uint64_t base;        /* last_seq that the changes were made on; STORE_INVALID if it is not the last */
    struct timespec wall; /* the clock now */
    const char *user, *message;
    uint64_t next_oid; /* persisted: the smallest oid never given out */
    const struct new_revision *revisions;
    size_t revision_count;
    const struct ended_entry *ended; /* applied before `added` */
    size_t ended_count;
    const struct new_entry *added;
    size_t added_count;
    const struct new_body *bodies;
    size_t body_count;
    bool body_files_used; /* refers to bodies from storage_body_append since the last commit: flush them first */
};

/* A problem that verify found. `path` is the path that it affects at its newest, or NULL if it affects none. */
struct verify_problem {
    const char *path;
    const char *text;
};
struct verify_options {
    void (*problem)(void *context, const struct verify_problem *problem);
    void (*progress)(void *context, uint64_t done, uint64_t total); /* NULL: none; called at most 10 times a second */
    /* What an earlier repair put on record as lost, after all problems, of which it is none. NULL: not wanted. */
    void (*known)(void *context, const struct verify_problem *loss);
    void *context;
};

/* The operations of an implementation. Each is described at its wrapper. */
struct storage_ops {
    const char *name;
    void (*close)(struct storage *);
    int (*get_state)(struct storage *, struct storage_state *);
    void (*begin_reads)(struct storage *);
    void (*end_reads)(struct storage *);
    int (*load_before)(struct storage *, uint64_t oid, uint64_t part, uint64_t before, enum load_outcome *,
                       struct revision *);
    int (*load_revision)(struct storage *, uint64_t id, struct revision *);
    int (*next_part)(struct storage *, uint64_t oid, uint64_t from, uint64_t before, uint64_t *part);
    int (*lookup)(struct storage *, uint64_t parent, const char *name, size_t length, uint64_t before, struct entry *);
    int (*list)(struct storage *, uint64_t parent, uint64_t before, struct entry_list *);
    int (*list_from)(struct storage *, uint64_t parent, uint64_t before, uint64_t from, size_t most,
                     struct entry_list *);
    int (*links)(struct storage *, uint64_t oid, uint64_t before, struct entry_list *);
    int (*named)(struct storage *, uint64_t parent, const char *name, size_t length, struct entry_list *);
    int (*subtree)(struct storage *, uint64_t directory, uint64_t before, struct subtree *);
    int (*changed)(struct storage *, uint64_t after_seq, uint64_t until_seq, uint64_t **oids, size_t *count);
    int (*revisions_between)(struct storage *, uint64_t after_seq, uint64_t until_seq, uint64_t *count);
    int (*body_read)(struct storage *, const struct body_ref *, uint8_t *buffer);
    int (*body_append)(struct storage *, const uint8_t *data, uint32_t length, struct body_ref *);
    int (*body_reserve)(struct storage *, uint64_t count, uint64_t *first);
    int (*commit)(struct storage *, const struct commit *, struct transaction *);
    int (*transaction_before)(struct storage *, uint64_t tid, struct transaction *);
    int (*transaction_at)(struct storage *, uint64_t seq, struct transaction *);
    int (*touched)(struct storage *, uint64_t oid, uint64_t before, uint64_t *seq);
    int (*tag_get)(struct storage *, const char *name, uint64_t *tid);
    int (*tag_set)(struct storage *, const char *name, uint64_t tid, bool replace);
    int (*tag_delete)(struct storage *, const char *name);
    int (*tag_list)(struct storage *, struct tag **, size_t *count);
    int (*space)(struct storage *, uint64_t *database_bytes, uint64_t *body_bytes);
    int (*verify)(struct storage *, const struct verify_options *, uint64_t *problems);
};

/* Every implementation's struct begins with this. */
struct storage {
    const struct storage_ops *ops;
};

/* Flushes nothing (commits are durable already), stops the storage's threads, frees. NULL is legal. */
void storage_close(struct storage *storage);

/* Cost: one indexed read. Sees other processes' commits. */
int storage_get_state(struct storage *storage, struct storage_state *state);

/* Between the two, what this thread reads costs less, for it is read from one snapshot if nothing is committed meanwhile. What was committed by
 * this process, or before the last storage_get_state, is always seen. Pairs nest. Not to be held while waiting for anything. */
void storage_begin_reads(struct storage *storage);
void storage_end_reads(struct storage *storage);

/* The revision of (oid, part) that a reader at `before` sees. STORE_OK with one of the five outcomes, or an
 * error. On LOAD_DATA the caller releases *revision; otherwise nothing is owned. before in 1..last + 1. */
int storage_load_before(struct storage *storage, uint64_t oid, uint64_t part, uint64_t before,
                        enum load_outcome *outcome, struct revision *revision);

/* The revision with this id, whatever it is. STORE_ABSENT if there is none. `until` is filled. data is NULL for one that
 * records an end. */
int storage_load_revision(struct storage *storage, uint64_t id, struct revision *revision);

/* The smallest part >= from that a reader at `before` sees data in (ends and holes recorded as an end are skipped).
 * STORE_ABSENT if none. */
int storage_next_part(struct storage *storage, uint64_t oid, uint64_t from, uint64_t before, uint64_t *part);

/* The entry `name` of a directory as of `before`. STORE_ABSENT if there is none. The caller releases it. */
int storage_lookup(struct storage *storage, uint64_t parent, const char *name, size_t length, uint64_t before,
                   struct entry *entry);

/* All entries of a directory as of `before`, ascending by index. An unknown directory lists as empty. */
int storage_list(struct storage *storage, uint64_t parent, uint64_t before, struct entry_list *list);

/* The same, a part of it: at most `most` (1..INT64_MAX) entries with an index >= from. For lists that are too large to be kept whole;
 * reading all parts one after the other costs all entries that the directory ever had. */
int storage_list_from(struct storage *storage, uint64_t parent, uint64_t before, uint64_t from, size_t most,
                      struct entry_list *list);

/* All entries that lead to `oid` as of `before`: one for a directory, nlink for others. */
int storage_links(struct storage *storage, uint64_t oid, uint64_t before, struct entry_list *list);

/* All entries that a directory ever had under `name`, ascending by born: no two overlap, and the last one alone may be alive (died
 * UINT64_MAX). What was packed away may be missing; STORE_LOST if there is none and the directory has lost names. Cost: the number of them. */
int storage_named(struct storage *storage, uint64_t parent, const char *name, size_t length, struct entry_list *list);

/* The newest transaction < before that changed a directory or anything below it. STORE_ABSENT: not born. */
int storage_subtree(struct storage *storage, uint64_t directory, uint64_t before, struct subtree *subtree);

/* The objects that transactions with after_seq < seq <= until_seq changed, each once, in the order in which they first did. Either bound
 * may be larger than any seq. *oids is malloc'ed and the caller's. What was packed away may be missing.
 * Cost: storage_revisions_between of the same bounds. */
int storage_changed(struct storage *storage, uint64_t after_seq, uint64_t until_seq, uint64_t **oids, size_t *count);

/* How many revisions the transactions with after_seq < seq <= until_seq wrote; packing may have removed some of them. Cost: constant. */
int storage_revisions_between(struct storage *storage, uint64_t after_seq, uint64_t until_seq, uint64_t *count);

/* Reads and verifies a whole body into buffer[ref->length]. STORE_CORRUPT on a mismatch, STORE_LOST on one that is on record. */
int storage_body_read(struct storage *storage, const struct body_ref *ref, uint8_t *buffer);

/* Appends a body to the current body file; fills *ref, checksum included. Not durable until a commit with
 * body_files_used. Any number of threads at once. STORE_FULL when the disk is full. */
int storage_body_append(struct storage *storage, const uint8_t *data, uint32_t length, struct body_ref *ref);

/* Gives out `count` consecutive ids for new_body. */
int storage_body_reserve(struct storage *storage, uint64_t count, uint64_t *first);

/* Commits. The transaction's seq is base + 1, its tid max(tid of wall, last tid + 1). *done (may be NULL) is filled and the caller's.
 * On any error nothing was written and the storage is at its last good transaction. STORE_CONFLICT: base is not the last transaction. */
int storage_commit(struct storage *storage, const struct commit *commit, struct transaction *done);

/* The newest transaction with tid < `tid`; STORE_ABSENT if none. Cost: one indexed read. */
int storage_transaction_before(struct storage *storage, uint64_t tid, struct transaction *transaction);
int storage_transaction_at(struct storage *storage, uint64_t seq, struct transaction *transaction);

/* The newest seq < before in which the object was changed (a directory: it or anything below). STORE_ABSENT if none.
 * Walking a file's or tree's log is repeating this. */
int storage_touched(struct storage *storage, uint64_t oid, uint64_t before, uint64_t *seq);

/* Tags. STORE_ABSENT: no such tag; STORE_EXISTS: there is one and replace is false. The list is in byte order, malloc'ed; with STORE_CORRUPT it
 * is the caller's too, and lacks those that are damaged, each of which was logged. */
int storage_tag_get(struct storage *storage, const char *name, uint64_t *tid);
int storage_tag_set(struct storage *storage, const char *name, uint64_t tid, bool replace);
int storage_tag_delete(struct storage *storage, const char *name);
int storage_tag_list(struct storage *storage, struct tag **tags, size_t *count);

/* Bytes that the store takes on disk. */
int storage_space(struct storage *storage, uint64_t *database_bytes, uint64_t *body_bytes);

/* Checks everything: rows, references, link counts, subtree marks, bodies. Calls options->problem for each problem. *problems counts them.
 * An error return means that the check itself could not be done. */
int storage_verify(struct storage *storage, const struct verify_options *options, uint64_t *problems);

/* ---- implementations ---- */

struct storage_open_options {
    bool writable;   /* may commit; the caller holds the writer's lock (store/lock.h) */
    struct log *log; /* NULL: silent; must outlive the storage */
};

/* Creates the SQLite storage in an existing empty directory, with no transaction. Durable on return. */
int storage_sqlite_create(const char *directory, struct error *err);
/* The same with its first transaction (NULL: none), which uses no bodies: a store without it is never seen, even if the power goes.
 * Either removes what a create that was cut short has left. STORE_EXISTS: there is something else in the directory; STORE_LOCKED: another process
 * is making a store there. After any error what was made is removed. */
int storage_sqlite_create_with(const char *directory, const struct commit *first, struct error *err);
/* Opens it. STORE_NOT_A_STORE, STORE_NEWER_FORMAT, STORE_CORRUPT, STORE_READ_ONLY, STORE_IO with a sentence each. A reader works on a read-only disk. */
int storage_sqlite_open(const char *directory, const struct storage_open_options *options, struct storage **storage,
                        struct error *err);

/* Writes a line for each call, with arguments, result and microseconds, to `log`. Takes over `below`, closing it at its own close. */
int storage_trace_open(struct storage *below, struct log *log, struct storage **storage);

/* Makes calls fail. Each rule is "the Nth call of operation `op` (a name as in storage_ops; NULL: any operation) returns `code`", once or for ever after. With
 * STORE_ABSENT an operation that answers with what it finds (load_before, list, list_from, links, named) finds nothing. */
struct storage_fault {
    const char *op;
    uint64_t nth; /* from 1 */
    int code;     /* enum store_error */
    bool sticky;
};
int storage_fault_open(struct storage *below, struct storage **storage);
/* Sets the rule (copies; op must be static) and resets the count. A NULL rule: no faults. */
void storage_fault_set(struct storage *storage, const struct storage_fault *rule);
/* Calls of the rule's operation seen since it was set. */
uint64_t storage_fault_count(const struct storage *storage);

#endif
