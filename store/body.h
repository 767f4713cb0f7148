/* Body files: STORE/bodies/00000001, 00000002…, each a run of bodies one after the other, nothing between them.
 * What is in them is known only from the references in records; bytes that nothing refers to are harmless.
 * This file knows neither SQLite nor records.
 *
 * Invariants
 *  1. A position that body_files_append returned is never written again, in this process or a later one.
 *  2. A body that a committed record refers to is durable: the committer calls body_files_flush first.
 *  3. Once a flush has failed the kernel may have dropped what it could not write, and a second flush would
 *     claim success. So every append and flush after it fails, until the store is opened again. That a disk was full or over quota
 *     when it was to sync (btrfs, NFS, FUSE) makes no difference: who appended a body has let go of its bytes, and the only other copy is
 *     the page cache that the kernel may have dropped them from. They cannot be written anew elsewhere, so that STORE_FULL, after
 *     which callers try again, would be a promise that nobody can keep: it is STORE_IO at once.
 *
 * Threads: append and read from any thread at once; flush from one thread at a time. One mutex guards
 * the append position and the table of open files; it is not held while a body is read or written.
 * Errors: STORE_IO and STORE_CORRUPT are logged with file and position.
 */
#ifndef TIDFS_STORE_BODY_H
#define TIDFS_STORE_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "store/error.h"
#include "store/log.h"
#include "store/record.h"

#define BODY_FILE_BYTES (UINT64_C(1) << 30) /* a file that reaches this is followed by the next */
#define BODY_DIRECTORY  "bodies"

struct body_files;

/* Where the committed bodies end: every byte below `end` of file `file` was durable at the last commit that used
 * body files. file 0: no commit has. */
struct body_end {
    uint32_t file;
    uint64_t end;
};

/* Makes the empty directory STORE/bodies, durably up to its own entry in STORE (which the caller syncs). */
int body_files_create(const char *store_directory, struct error *err);

/* `committed` tells where committed bodies end. If the files are shorter, that is logged and appending starts in
 * a new file, so that no committed position is written again. */
int body_files_open(const char *store_directory, bool writable, struct body_end committed, struct log *log,
                    struct body_files **bodies, struct error *err);
/* Files are opened for reading alone, as a read-only disk allows it, and nothing is appended any more. Before anything else is done. */
void body_files_only_read(struct body_files *bodies);
/* NULL is legal. Flushes nothing. */
void body_files_close(struct body_files *bodies);

/* Writes length (1..BODY_LIMIT) bytes and fills *ref. Not durable until body_files_flush. STORE_READ_ONLY,
 * STORE_FULL, STORE_IO; a failed append leaves bytes that nothing refers to. */
int body_files_append(struct body_files *bodies, const uint8_t *data, uint32_t length, struct body_ref *ref);

/* Reads a whole body and checks its checksum. STORE_CORRUPT if it is not there whole or differs; STORE_IO if the disk does not give it: then
 * errno says why. */
int body_files_read(struct body_files *bodies, const struct body_ref *ref, uint8_t *buffer);

/* Whether a body file can be opened: STORE_ABSENT if there is none, STORE_CORRUPT if it is no regular file, else why not, which is logged. */
int body_files_look(struct body_files *bodies, uint32_t number);

/* Makes everything durable that was appended before the call, and fills *end for the caller's commit. STORE_IO whenever a sync failed. */
int body_files_flush(struct body_files *bodies, struct body_end *end);

/* Bytes on disk. */
int body_files_space(const struct body_files *bodies, uint64_t *bytes);

#endif
