/* Where an open database is: so that one which is put in its place meanwhile (a backup, a repair) is not taken for it. SQLite goes by names: it opens further
 * connections, and makes the log, wherever the name leads by then.
 *
 * Threads: set up and released by one, asked by any.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_PLACE_H
#define TIDFS_STORE_STORAGE_SQLITE_PLACE_H

#include <sys/types.h>

#include "store/error.h"

struct place {
    const char *path, *name; /* the owner's, the latter its end */
    int directory;           /* a descriptor; -1: none */
    dev_t device;
    ino_t inode;
};

#define PLACE_NONE ((struct place){.directory = -1})

/* `path` is that of a file in `directory`, and begins with its path. STORE_OK, or an error that *err tells. To be released in any case. */
int place_take(struct place *place, const char *directory, const char *path, struct error *err);
void place_release(struct place *place);

/* STORE_OK if the database is still what the directory has under its name, wherever the directory may be now; STORE_ABSENT if not; or an error. */
int place_is_held(const struct place *place);
/* STORE_OK if its path leads to it: neither it nor its directory was moved; STORE_ABSENT if not; or an error. */
int place_is_found(const struct place *place);

#endif
