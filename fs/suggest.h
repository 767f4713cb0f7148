/* How far a mistyped word is from a known one, for "did you mean".
 *
 * Threads: pure functions.
 */
#ifndef TIDFS_FS_SUGGEST_H
#define TIDFS_FS_SUGGEST_H

#include <stddef.h>

#define SUGGEST_WORD_MAX 64 /* longer words are never near anything */

/* The letters that must be added, removed, replaced or swapped with their neighbour to make `known` of `typed`; SIZE_MAX if so many that
 * it was hardly meant: more than a third of `known`, and more than one. Cost: the product of both lengths. */
size_t suggest_distance(const char *typed, const char *known);

#endif
