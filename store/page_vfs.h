/* A layer between SQLite and the disk that gives each page of a database a checksum, and checks it wherever the page is read.
 * It is a SQLite VFS named PAGE_VFS over the default one; all connections to a store are opened through it.
 *
 * The checksum of page n (from 1) is the XXH3-64, with n as seed, of its first PAGE_SUMMED bytes; it lies in the 8 bytes after them, little endian,
 * which SQLite leaves alone ("reserved"). In page 1 the counters of changes (bytes 24 to 27, 40 to 43, 92 to 99 of the file) count as zeros, so that a backup made by
 * SQLite, which counts on its own, is right; nothing in a store depends on them. So the checksum tells a flipped bit, a page that was written half, zeroed, cut off or put in the
 * place of another. It does not tell an older version of the same page from the newest one.
 *
 * Invariants
 *  1. A page is summed when SQLite writes it: to the database, or to the write-ahead log, where SQLite's own checksum of the frame is made anew
 *     to fit. Other programs that copy whole pages (a backup, a checkpoint by the sqlite3 command) therefore keep the sums right.
 *  2. A page that is read, from either file, has its right sum, or the read fails with SQLITE_IOERR_DATA. There are no pages without.
 *     What is not checked: the first 100 bytes alone, which SQLite reads before it has any lock, to learn the size of pages.
 *  3. When the log is recovered after a crash, damage in it is told from where a crash broke it off (store/wal.h), and is
 *     SQLITE_IOERR_DATA. SQLite alone would end the log there, and what was committed later would be gone without a word.
 *  4. The database is never mapped into memory: a mapped page could not be checked.
 *
 * Why a reader never sees half of a page that a checkpoint is writing: SQLite lets a checkpoint write a page to the database only if every reader
 * takes it from the log, or has not begun. The one read without that protection is page 1 when a connection looks for the
 * first time whether there is a log; for it, and for disks that recover, a page that does not check is read again before it is given up.
 * A page that a power cut left half written is not read at all: it is in the log, whole, until a later sync of the database.
 *
 * Threads: as SQLite's: a connection's files belong to who uses the connection.
 */
#ifndef TIDFS_STORE_PAGE_VFS_H
#define TIDFS_STORE_PAGE_VFS_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_VFS    "tidfs"
#define PAGE_BYTES  4096
#define PAGE_SUMMED 4088 /* bytes of a page that its checksum covers */

uint64_t page_sum(uint32_t number, const uint8_t page[PAGE_BYTES]);
/* Whether a page carries its right checksum. */
bool page_checks(uint32_t number, const uint8_t page[PAGE_BYTES]);

/* Registers the VFS, over the one that is the default at the first call; further calls cost nothing. SQLITE_OK or SQLite's error. */
int page_vfs_register(void);

enum page_damage_kind {
    PAGE_DAMAGED,     /* the checksum of `page` is wrong */
    PAGE_MISSING,     /* the database ends before the end of `page` */
    PAGE_LOG_DAMAGED, /* the checksum of `page`, as it stands in frame `frame` of the log, is wrong */
    PAGE_LOG_BROKEN,  /* frame `frame` (from 1; 0: the header) of the log is damaged, and transactions come after it */
};
struct page_damage {
    enum page_damage_kind kind;
    uint32_t page;
    uint64_t frame;
};

/* What the last read that failed with SQLITE_IOERR_DATA met, once: it is forgotten then. False: none since. */
bool page_vfs_take_damage(sqlite3 *db, struct page_damage *damage);

/* In words, such as "page 5 of tidfs.db has a wrong checksum". */
void page_damage_text(const struct page_damage *damage, char *text, size_t size);

#endif
