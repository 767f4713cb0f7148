/* Differences and merges of file contents, by git's own algorithm: libgit2 is loaded when it is first needed, since loading it costs more than
 * most commands take.
 *
 * Invariants
 *  1. What is longer than TEXT_LINES_MAX is treated as binary, as git treats what is above core.bigFileThreshold: looking for equal lines in it
 *     would take too long and too much memory.
 *  2. Contents that are equal, and counts of binary ones, need no libgit2.
 *
 * Threads: any. Ownership: results are malloc'ed and the caller's. Errors: enum store_error with a sentence (STORE_IO if libgit2 cannot be loaded).
 */
#ifndef TIDFS_HISTORY_TEXT_H
#define TIDFS_HISTORY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

#define TEXT_LINES_MAX (UINT64_C(64) << 20) /* bytes */
#define TEXT_SNIFF     8000                 /* bytes that tell binary from text */
#define TEXT_ID_SIZE   41                   /* 40 hex digits and NUL */

struct text {
    const uint8_t *data; /* the caller's; may be NULL if length is 0 */
    size_t length;
};

/* As git tells text from binary: a NUL among the first TEXT_SNIFF bytes; and see invariant 1. */
bool text_is_binary(const struct text *text);

/* What a difference looks like. */
struct text_diff {
    char *
        body; /* the hunks of a unified diff from "@@" on, or git's binary patch from "GIT binary patch" on; "" if equal;
                 * NULL if not asked for */
    size_t length;
    uint64_t added, removed; /* lines; 0 for binary */
    unsigned similarity;     /* per cent of the longer one that both have; 100 only if equal */
    bool binary;             /* either of them is */
};
void text_diff_release(struct text_diff *diff);
/* context: lines around a change, 3 as a rule. body false: only counts. Memory: some six times the contents for binary bodies. */
int text_diff(const struct text *old, const struct text *new, unsigned context, bool body, struct text_diff *diff,
              struct error *err);

/* The name that git gives to the content: SHA-1 of "blob LENGTH\0" and the bytes. */
int text_id(const struct text *text, char id[TEXT_ID_SIZE], struct error *err);

/* Three-way merge as `git merge-file`. *clean false: there are conflicts, and *merged has them marked. Binary content gives *clean false and *merged
 * NULL. The labels stand at the marks. */
int text_merge(const struct text *base, const struct text *ours, const struct text *theirs, const char *our_label,
               const char *their_label, uint8_t **merged, size_t *length, bool *clean, struct error *err);

#endif
