/* Changes as git writes them: patches that `git apply` and patch(1) take, and git's letters for them.
 *
 * git knows files, whether they may be executed, and symlinks. What it has no words for (directories, special files, owners, extended
 * attributes, times, other permissions) is said in lines that begin with "tidfs: " and stand before the file's "diff --git" line, where
 * both programs skip them.
 *
 * Invariants
 *  1. The patches of all changes of diff_run with each_file, one after the other and applied to the old tree's files and symlinks, give
 *     the new tree's.
 *  2. Ids are whole, and binary content is included, as with `git diff --full-index --binary`.
 *  3. No name breaks a line: names are quoted as git's core.quotePath has it.
 *
 * Threads: any. Errors: enum store_error with a sentence that names the file.
 */
#ifndef TIDFS_HISTORY_PATCH_H
#define TIDFS_HISTORY_PATCH_H

#include <stdio.h>

#include "history/diff.h"

/* A patch needs both versions of a file in memory; larger ones are refused, with STORE_TOO_BIG. */
#define PATCH_SIZE_MAX (UINT64_C(512) << 20)

/* git's letter for a change, A, D, M, R or T; or 0 if git would not notice it. */
char patch_letter(const struct change *change);

/* Whether a hard link was added or removed: a further name of a file that is there on both sides. */
bool patch_is_link(const struct change *change);

/* What it does to lines. */
struct patch_measure {
    uint64_t added, removed;
    unsigned similarity; /* per cent */
    bool binary;
};
/* Of a change that has a letter. Files above PATCH_SIZE_MAX are measured as binary ones, without similarity, and not read. */
int patch_measure(struct store *store, const struct change *change, struct patch_measure *measure, struct error *err);

/* Writes the patch of one change, whatever it is. Nothing is written on error. Errors of the stream are the caller's to look for. */
int patch_write(struct store *store, const struct change *change, unsigned context, FILE *out, struct error *err);

/* "content, mode 0644 -> 0755, owner 0:0 -> 1000:1000, xattr, times": those of CHANGED_* in `what`. */
void patch_write_what(const struct change *change, unsigned what, FILE *out);
/* "file", "directory", "symlink", "fifo", … */
const char *patch_type_name(uint32_t mode);
/* As git's core.quotePath: "a\tb\303\251" if there is anything to quote, else the name. The prefix is the name's beginning. */
void patch_write_name(const char *prefix, const char *name, FILE *out);

#endif
