/* For test_damage: a store with a known content, everything that can be asked
 * of it, and places to damage. */
#ifndef TIDFS_TESTS_DAMAGE_H
#define TIDFS_TESTS_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/storage.h"

/* ---- what is asked (damage_question.c) ---- */

enum question_kind {
    ASK_LOAD,        /* oid, part, before */
    ASK_CONTENT,     /* oid, part (a chunk), before: with the bodies */
    ASK_LOOKUP,      /* oid, name, before */
    ASK_LIST,        /* oid, before */
    ASK_LINKS,       /* oid, before */
    ASK_SUBTREE,     /* oid, before */
    ASK_TOUCHED,     /* oid, before */
    ASK_CHANGED,     /* before: by the transaction before it */
    ASK_TRANSACTION, /* before: the one before it, by seq and by tid */
    ASK_TAG,         /* name */
    ASK_TAGS,
};
struct question {
    enum question_kind kind;
    uint64_t oid, part, before;
    const char *name;
    uint64_t answer; /* of the sound store */
};
struct questions {
    struct question *items;
    size_t count, capacity;
    uint64_t last; /* seq of the newest transaction that is asked about */
};

/* Everything about all objects, under all names, at all instants; `oids` is the
 * first oid that was never given out. The answers are the storage's own. */
void questions_make(struct questions *questions, struct storage *storage, uint64_t oids, const char *const *names,
                    size_t name_count);
void questions_release(struct questions *questions);

struct answers {
    size_t right, refused;
    size_t wrong;
    struct question first_wrong;
    bool other_error; /* something else was said than STORE_CORRUPT */
    int other;
};
/* Asks all that instants up to `last` + 1 tell. */
struct answers questions_ask(const struct questions *questions, struct storage *storage, uint64_t last);
/* True if what is in an object at `before` is refused: its inode or its content. */
bool questions_refused(struct storage *storage, uint64_t oid, uint64_t before);
/* A question in words; static. */
const char *question_text(const struct question *question);

/* ---- the store (damage_specimen.c) ---- */

#define SPECIMEN_FILES_MAX 8

struct specimen_file {
    char name[32]; /* below the store's directory */
    uint8_t *bytes;
    size_t length;
};
/* The files of a store, whole. */
struct specimen {
    struct specimen_file files[SPECIMEN_FILES_MAX];
    size_t file_count;
    struct questions questions;
    uint64_t last, next_oid;
    size_t log_of_last;       /* where in the log the newest transaction begins */
    struct specimen_file old; /* the database some transactions before */
};

/* What leads to an object of every specimen in the newest state. */
struct specimen_path {
    uint64_t oid;
    const char *path;
};
#define SPECIMEN_PATHS 6
extern const struct specimen_path specimen_paths[SPECIMEN_PATHS];

/* A store that was closed. More `copies` make it larger. */
void specimen_make(struct specimen *specimen, unsigned copies);
/* The same whose newest transactions are in the log still, as a crash leaves
 * it. */
void specimen_make_crashed(struct specimen *specimen);
void specimen_release(struct specimen *specimen);
struct specimen_file *specimen_file(struct specimen *specimen, const char *name);

/* Puts the store as it was into an existing directory, and nothing else there.
 */
void specimen_put(const struct specimen *specimen, const char *directory);
/* Writes bytes into one of its files there. */
void specimen_write(const char *directory, const char *name, size_t offset, const void *bytes, size_t length);

#endif
