/* Durations, sizes and counts as people write them in options.
 *
 * Invariants
 *  1. Strict: decimal digits and at most one unit, nothing around or between them. No signs, no fractions.
 *  2. Nothing overflows silently: results are at most INT64_MAX.
 *
 * Threads: pure functions. Errors: STORE_OK; STORE_INVALID: not of the form; STORE_TOO_BIG: of the form, but above INT64_MAX. *result is
 * left alone by errors.
 */
#ifndef TIDFS_FS_UNITS_H
#define TIDFS_FS_UNITS_H

#include <stdint.h>

#define NS_PER_MS     UINT64_C(1000000)
#define NS_PER_SECOND UINT64_C(1000000000)

/* 500ms, 90s, 6m, 2h, 7d, or a plain number of seconds; in nanoseconds. */
int duration_parse(const char *text, uint64_t *ns);

/* A plain number of bytes, or with k, M, G or T (either case): powers of 1024. */
int size_parse(const char *text, uint64_t *bytes);

/* A plain number. */
int count_parse(const char *text, uint64_t *count);

#endif
