/* How frames get into the write-ahead log: those of a transaction together in one write, and into room that the file has already.
 *
 * SQLite hands over a frame in two writes, its header and its page. Each frame on its own costs four calls (a checksum is to be read back
 * and written), and a transaction has ten frames or more. And an fdatasync of a file that has grown also commits the journal of the filesystem
 * below, which takes about as long as the data. So whenever a write makes the log longer, it is made longer by WAL_ROOM_BYTES more, of zeros.
 * Zeros are no frame of any log (their page number is 0), so whoever reads the log ends before them.
 *
 * Invariants
 *  1. A frame that commits is in the file when wal_writer_add returns; so is all before it.
 *  2. Frames that wait are the last of the log: nothing in the file is behind them but zeros and what an earlier use of the log left.
 *  3. What waits is dropped when the transaction that wrote it is taken back (wal_writer_drop): its place may be another process' by then.
 *  4. Whoever reads the file, asks for its size, cuts or syncs it flushes first.
 *
 * Threads: as a connection's files, of which this is a part.
 */
#ifndef TIDFS_STORE_WAL_WRITER_H
#define TIDFS_STORE_WAL_WRITER_H

#include "store/wal.h"

#define WAL_ROOM_BYTES (1 << 20)

struct wal_writer {
    sqlite3_file *log; /* the file below */
    uint8_t *frames;   /* that wait to be written; NULL until the first does */
    int64_t offset;    /* where they belong */
    int length;        /* bytes of them; 0: none waits */
    bool big_endian;   /* how their checksums are made */
};

/* `frame`, of which all but the checksum of the log is right, at `offset`. It may wait. SQLite's error: of this frame or one that waited. */
int wal_writer_add(struct wal_writer *writer, const uint8_t frame[WAL_FRAME_BYTES], int64_t offset);

/* Writes what waits. After an error nothing waits any more: SQLite takes the transaction back, and writes others to the same place. */
int wal_writer_flush(struct wal_writer *writer);

void wal_writer_drop(struct wal_writer *writer);
void wal_writer_release(struct wal_writer *writer);

#endif
