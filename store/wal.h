/* SQLite's write-ahead log as it lies on the disk: a header of 32 bytes and frames, each a header of 24 and a page. The format is
 * SQLite's (sqlite.org/fileformat2.html, "The Write-Ahead Log"). All pages are of PAGE_BYTES.
 *
 * Frames carry checksums, each over all that came before it. After a crash SQLite takes the frames up to the first whose checksum is wrong, for that is where the
 * crash broke the log off. If the frame is damaged instead, whatever was committed in or after it would vanish silently.
 *
 * The rule by which wal_check tells the two: a writer adds frames after a commit only when that commit is durable (store/storage_sqlite_wal.h
 * sees to it for a log that another process left). So if, at or after the first
 * wrong frame, a frame continues the checksums of one that commits a transaction, then all up to there had been durable once,
 * and the wrong frame is damage. Frames that an aborted transaction left behind never look so: nothing was ever added to them. What cannot be told
 * from a crash is damage in the newest transaction, and a log that is missing its end.
 *
 * The header is durable before the first frame is written, so a wrong header before right frames is damage.
 */
#ifndef TIDFS_STORE_WAL_H
#define TIDFS_STORE_WAL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/page_vfs.h"

#define WAL_HEADER_BYTES       32
#define WAL_FRAME_HEADER_BYTES 24
#define WAL_FRAME_BYTES        (WAL_FRAME_HEADER_BYTES + PAGE_BYTES)

/* Where frame `frame` (from 1) begins. */
static inline int64_t wal_frame_offset(uint64_t frame) {
    return WAL_HEADER_BYTES + (int64_t)(frame - 1) * WAL_FRAME_BYTES;
}

/* A number of a header. */
uint32_t wal_number(const uint8_t *at);

/* The checksums run through the log: each begins with the one before. */
struct wal_sum {
    uint32_t a, b;
};
struct wal_sum wal_sum_stored(const uint8_t *at);
bool wal_sum_same(struct wal_sum one, struct wal_sum other);
/* That of a frame behind what has the checksum `sum`. */
struct wal_sum wal_sum_frame(struct wal_sum sum, bool big_endian, const uint8_t frame[WAL_FRAME_BYTES]);

/* What a log begins with. */
struct wal_header {
    bool right; /* else the rest is what it says, and may be wrong */
    bool big_endian;
    uint8_t salts[8];
    struct wal_sum stored, computed; /* the checksum that it carries, and the one that it should */
};
void wal_header_read(const uint8_t bytes[WAL_HEADER_BYTES], struct wal_header *header);

/* The page number in a frame's header. */
uint32_t wal_frame_page(const uint8_t header[WAL_FRAME_HEADER_BYTES]);

/* Whether a frame is the last of a transaction. */
bool wal_frame_commits(const uint8_t header[WAL_FRAME_HEADER_BYTES]);

/* The checksum that the frame at `offset` of the log continues, and how the log's are made. SQLite's error if they cannot be read. */
int wal_sum_before(sqlite3_file *log, int64_t offset, struct wal_sum *sum, bool *big_endian);
/* Gives a frame the checksum that continues `sum`. */
void wal_frame_put_sum(struct wal_sum sum, bool big_endian, uint8_t frame[WAL_FRAME_BYTES]);

/* Looks through a log that nobody writes to. *damaged: a frame is, *frame (0: the header). SQLite's error if the log cannot be read. Cost: the log is read once. */
int wal_check(sqlite3_file *log, bool *damaged, uint64_t *frame);

#endif
