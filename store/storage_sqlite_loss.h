/* Private to storage_sqlite*.c: what is known to be lost from a store that was repaired, and what readers make of it.
 *
 * Only a repair records losses, in the table `loss` (store/FORMAT.md), while nobody else has the store open. They are few, read when the
 * store is opened, and kept in memory.
 *
 * Invariants
 *  1. A lost revision stands where it stood: a reader who would have been given it gets STORE_LOST and not the one before it.
 *  2. The list does not change while a store is open.
 *
 * Threads: reading from any. Ownership: the list belongs to the storage.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_LOSS_H
#define TIDFS_STORE_STORAGE_SQLITE_LOSS_H

#include "store/record.h"
#include "store/storage_sqlite_connection.h"

enum loss_kind {
    LOSS_REVISION =
        1, /* of (oid, part) in transaction seq. until: the transaction whose revision is the next one, 0 for none */
    LOSS_ENTRIES = 2, /* a name in directory oid, for readers at seq < before <= until; part: enum loss_names */
    LOSS_TIME = 3,    /* when transaction seq was; its tid only tells its place */
    LOSS_BODY =
        4, /* a body: oid is its file, seq its position, until its length, as in struct body_ref; part: an object that has it */
    LOSS_NOTED =
        5, /* what is left of oid (0: of the transaction) does not agree with itself in transaction seq; part: enum loss_noted */
    LOSS_TAG =
        6, /* a tag, of the name that `meta` has under loss_tag_key; without one: tags of unknown names, if any */
};

/* What is wrong with the names of a directory. */
enum loss_names {
    LOSS_NAMES_MISSING = 0, /* those that are found are right */
    LOSS_NAMES_OLD = 1,     /* also, those that live until `until` or longer may have ended before */
};

/* What of a transaction does not agree. */
enum loss_noted {
    LOSS_NOTED_CHANGES = 0,
    LOSS_NOTED_RECORD = 1, /* its row is made up: its user and message are gone */
};

#define FORMAT_WITH_LOSSES 2 /* the version of a store that has the table */

/* Parts that stand for several, in LOSS_REVISION: it is not known which of them was lost, or whether any was. */
#define LOSS_PART_ANY     ((UINT64_C(1) << 62) + 1)
#define LOSS_PART_CONTENT ((UINT64_C(1) << 62) + 2) /* any but PART_INODE */

struct loss {
    uint64_t id;
    enum loss_kind kind;
    uint64_t oid, part, seq, until;
};

struct loss_list {
    struct loss *items; /* ascending kind, oid, seq */
    size_t count;
};

/* A store that never lost anything has no such table, and an empty list. */
int loss_list_load(struct connection *connection, struct loss_list *list);
void loss_list_release(struct loss_list *list);

/* The newest transaction before `before` whose revision of (oid, part) is, or may be, lost; 0 if none. */
uint64_t loss_list_newest(const struct loss_list *list, uint64_t oid, uint64_t part, uint64_t before);
/* The oldest one from `seq` on; UINT64_MAX if none. */
uint64_t loss_list_next(const struct loss_list *list, uint64_t oid, uint64_t part, uint64_t seq);
/* Those of one kind and object, ascending by seq; *losses is the list's. Returns how many. */
size_t loss_list_of(const struct loss_list *list, enum loss_kind kind, uint64_t oid, const struct loss **losses);
/* True if names may be missing from what is left of a directory at `before`. */
bool loss_list_hides_names(const struct loss_list *list, uint64_t directory, uint64_t before);
/* True if an entry that ends at `died` may have ended before `before`. */
bool loss_list_doubts_name(const struct loss_list *list, uint64_t directory, uint64_t before, uint64_t died);
bool loss_list_has_time(const struct loss_list *list, uint64_t seq);
bool loss_list_has_body(const struct loss_list *list, uint64_t file, uint64_t position, uint64_t length);
/* The key of `meta` under which the name of a lost tag is; id: the loss's. Returns its length. */
#define LOSS_TAG_KEY      "lost_tag_"
#define LOSS_TAG_KEY_SIZE (sizeof LOSS_TAG_KEY + 20)
size_t loss_tag_key(uint64_t id, char key[LOSS_TAG_KEY_SIZE]);
/* True if oid (0: the transaction) is known not to be whole in transaction seq. */
bool loss_list_explains(const struct loss_list *list, uint64_t oid, uint64_t seq);

#endif
