/* Stores that somebody has made by hand to harm who opens them: every checksum is right, and something else is not.
 *
 * Each is the same small store, changed by SQL. In that SQL there are two functions more:
 *     bytes(a, b, …)  a record: an integer is a number as of store/RECORDS.md, anything else its bytes
 *     hash(x)         the XXH3-64 of bytes, as 8 bytes
 * Checksums of rows are made right afterwards. The small store has these objects, as of four transactions:
 *
 *     1 /    2 dir/    3 dir/file and dir/hard ("hello\n", then "hello, you\n"; user.a = x)    4 dir/sub/    5 dir/sub/deep
 *     6 link -> dir/file    7 big (200000 bytes, in a body file)    8 gone (until the third)    9 other    tag v1: the second
 *
 * For tests/test_hostile.c, in one process, and tests/tool_hostile.c, which makes them for tests/mount_hostile.sh. Errors are fatal: they are the
 * test's own.
 */
#ifndef TIDFS_TESTS_HOSTILE_H
#define TIDFS_TESTS_HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

enum hostile_outcome {
    HOSTILE_REFUSED,  /* cannot be opened, with a sentence */
    HOSTILE_DAMAGED,  /* verify finds something */
    HOSTILE_ACCEPTED, /* odd, but what a store may be; or what only a writer can see */
};

struct hostile_store {
    const char *name, *sql;
    enum hostile_outcome outcome;
};

extern const struct hostile_store hostile_stores[];
extern const size_t hostile_store_count;

/* Makes the small store in `directory`, which must not exist. */
void hostile_make_base(const char *directory);
/* Makes the checksums of all rows of an open database right, as far as it has such tables. */
struct sqlite3;
void hostile_sum(struct sqlite3 *db);
/* Changes a copy of it. */
void hostile_change(const char *directory, const struct hostile_store *store);

/* Reads all that there is, in all ways. False, with the sentence in `why`, if the store cannot be opened. */
bool hostile_read(const char *directory, char why[512], uint64_t *problems);
/* How many problems verify finds; 1 if it cannot be done. */
uint64_t hostile_verify(struct store *store);
/* Aborts, with what does not hold. */
void hostile_require(bool holds, const char *what);

#endif
