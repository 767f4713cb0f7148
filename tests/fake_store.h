/* A small store with a history, and what can be told of it from outside: for tests/fake_kernel.h.
 *
 * It has files small, large and sparse, with several names and none any more, directories, a name that was a file and is a directory, a symlink, a fifo, access
 * lists, attributes, a tag "release", and four transactions; the newest tree is
 *
 *     dir/fifo  dir/sub/deep (= hard; 100,000 bytes)  dir/sub/file (200 bytes)  turned/a  sparse  closed/  link
 *
 * Nothing here is meant to fail: errors are told on stderr, and as false. Threads: any, each with a directory of its own.
 */
#ifndef TIDFS_TESTS_FAKE_STORE_H
#define TIDFS_TESTS_FAKE_STORE_H

#include "store/store.h"

#define FAKE_INSTANTS 4

struct fake_instants {
    size_t count;
    uint64_t tids[FAKE_INSTANTS], seqs[FAKE_INSTANTS]; /* of its transactions, oldest first */
};

bool fake_store_make(const char *directory, struct fake_instants *instants);
bool fake_store_copy(const char *from, const char *to);
bool fake_store_remove(const char *directory);

/* Opens it, verifies it, and reads all there is as of `before` (0: the newest). false if it is not sound. exactly: the fingerprint tells everything, also times and
 * numbers of objects; else what programs put there: names, modes, owners, links, contents, attributes. A name "again" in the root does not count. */
bool fake_store_check(const char *directory, uint64_t before, bool exactly, uint64_t *fingerprint);

#endif
