/* What a command is about: a store, opened for reading, and the mount through which it was named.
 *
 * Threads: the main thread. Ownership: a subject owns its location, store and log; subject_release gives them back. A zeroed
 * subject may be released.
 */
#ifndef TIDFS_FS_SUBJECT_H
#define TIDFS_FS_SUBJECT_H

#include "fs/arguments.h"
#include "fs/locate.h"
#include "fs/log_sink.h"
#include "history/resolve.h"
#include "store/store.h"
#include "store/tid.h"

struct subject {
    struct location location;
    struct store *store; /* NULL until subject_open */
    struct log_sink sink;
};

#define SUBJECT_TRANSACTION_SIZE 80

/* Who said a WHEN. */
enum subject_source {
    SUBJECT_TYPED,   /* a person: a tid must be that of a transaction */
    SUBJECT_OF_VIEW, /* it names the view in which a path lies, which shows what it shows */
};

/* Finds what is meant. path NULL: the store alone, by default that of the mount in which the current directory is. Otherwise location.path will be its
 * place in the tree: with --store it is taken from the root of the tree; else it is a path in a mount, or, with --mount, if it is
 * in no mount at all or relative, it is taken from the root of the tree too. Says on stderr what is wrong and returns false. */
bool subject_find(struct subject *subject, const struct subject_options *options, const char *path);
/* The place in the tree of another path, malloc'ed, by the same rules: it must lie in the same store. NULL: said what is wrong. */
char *subject_place(const struct subject *subject, const struct subject_options *options, const char *path);
/* Finds what is meant by a path that is a store's directory or anything in a mount. */
bool subject_find_any(struct subject *subject, const char *path);
/* Opens the store for reading, as committed at this moment. Says on stderr what is wrong and returns its code; to who may not
 * read it, also what can be done instead. */
int subject_open(struct subject *subject);
/* If `tag` is misspelt: the tag of the store that was most likely meant, in `nearest`; else false. Opens the store if need be. */
bool subject_suggest_tag(struct subject *subject, const char *tag, char nearest[TAG_NAME_MAX + 1]);
/* Settles the live mount if the answer depends on it, opens the store if need be, and resolves. Says on stderr what is wrong and
 * returns the code of resolve_text or resolve_check_tid; a misspelt tag names the nearest. */
int subject_resolve(struct subject *subject, const char *when, enum resolve_how how, enum subject_source source,
                    struct resolved *resolved);
/* As subject_resolve, but only the key, and also of what has been packed away. */
int subject_resolve_seq(struct subject *subject, const char *when, enum resolve_how how, enum subject_source source,
                        uint64_t *before);
/* "03f8…, 2026-11-22T…" of a transaction of the open store; its seq if it cannot be read. */
void subject_name_transaction(const struct subject *subject, uint64_t seq, bool utc,
                              char text[SUBJECT_TRANSACTION_SIZE]);
/* Says on stderr why an answer about `when` is empty: that was before the first transaction, which is named. The store is open. */
void subject_say_before_first(const struct subject *subject, const char *when, bool utc);
/* The name of what the location shows: that of its view (a tid is put into `tid`), or "now". *how is how the name is meant. */
const char *subject_when(const struct subject *subject, char tid[TID_TEXT_SIZE], enum resolve_how *how);
void subject_release(struct subject *subject);

#endif
