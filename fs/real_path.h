/* Where a path leads, when not every symlink on it may be followed: in a tree that has a history, a path means its names.
 *
 * Invariants
 *  1. The result is absolute, with neither . nor .. nor superfluous slashes; whether anything is there is not said.
 *  2. .. is the directory above by name. That is also what the kernel makes of it where no name of the tree is a symlink, for symlinks
 *     that are followed have been replaced by where they lead.
 *  3. Where a name is missing, so is all that is below it: the rest is taken by name.
 *
 * Threads: any.
 */
#ifndef TIDFS_FS_REAL_PATH_H
#define TIDFS_FS_REAL_PATH_H

#include "store/error.h"

/* What becomes of a symlink in a directory. */
enum real_path_rule {
    REAL_PATH_FOLLOW,    /* it is followed */
    REAL_PATH_KEEP_LAST, /* it is followed, unless it is the last component */
    REAL_PATH_BY_NAME,   /* it is a name as any other, and is not looked at */
};

/* Says the rule for `directory`, a path as in invariant 1 in which the names before it are resolved: a rule, or a negative enum
 * store_error with a sentence, which ends the walk. */
typedef int real_path_rule_function(void *context, const char *directory, struct error *err);

/* Walks `path`, from `from` (a path as in invariant 1) if it is relative. *real is malloc'ed and the caller's, NULL after an error: STORE_IO
 * where the kernel would not go on for another reason than that a name is missing, STORE_NO_MEMORY, or what the rule returned. */
int real_path(const char *from, const char *path, real_path_rule_function *rule, void *context, char **real,
              struct error *err);

#endif
