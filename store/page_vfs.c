#include "store/page_vfs.h"

#include <endian.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include "store/wal_writer.h"

#define PAGE_COUNT_OFFSET 28      /* in the database */
#define HEADER_BYTES      100     /* of the database, that may be read without a lock */
#define WAL_LOCK_WRITE    0       /* among the locks of the log's index */
#define READS_MOST        3       /* of a page that does not check */
#define READ_AGAIN_NS     1000000 /* later, if it is page 1 */

/* Our own operations of xFileControl, above SQLite's. */
#define CONTROL_TAKE_DAMAGE 0x746901

/* A database or its log. The file of the VFS below lies behind it. */
struct summed_file {
    sqlite3_file base;            /* first: a sqlite3_file * is a struct summed_file * */
    struct summed_file *database; /* whose log this is, or this itself */

    /* Of the database: */
    struct summed_file *log; /* its log; NULL while that is not open */
    bool read_only;
    bool damaged; /* `damage` was met and not yet taken */
    struct page_damage damage;

    /* Of the log: */
    struct wal_writer writer;
    int64_t header_offset; /* of a frame's header that waits for its page, behind `writer`'s frames; 0: none does */
    uint8_t header[WAL_FRAME_HEADER_BYTES]; /* that one */
};

static struct summed_file *summed_file_of(sqlite3_file *file) {
    return (struct summed_file *)file;
}

static sqlite3_file *below(sqlite3_file *file) {
    return (sqlite3_file *)(summed_file_of(file) + 1);
}

/* The change counter, the schema's version, and who counted: a backup by SQLite writes its own. */
static void forget_counters(uint8_t page[PAGE_SUMMED]) {
    memset(page + 24, 0, 4);
    memset(page + 40, 0, 4);
    memset(page + 92, 0, 8);
}

uint64_t page_sum(uint32_t number, const uint8_t page[PAGE_BYTES]) {
    uint8_t first[PAGE_SUMMED];
    if (number == 1) {
        memcpy(first, page, sizeof first);
        forget_counters(first);
        page = first;
    }
    return XXH3_64bits_withSeed(page, PAGE_SUMMED, number);
}

bool page_checks(uint32_t number, const uint8_t page[PAGE_BYTES]) {
    uint64_t stored;
    memcpy(&stored, page + PAGE_SUMMED, sizeof stored);
    return le64toh(stored) == page_sum(number, page);
}

static void put_sum(uint32_t number, uint8_t page[PAGE_BYTES]) {
    uint64_t sum = htole64(page_sum(number, page));
    memcpy(page + PAGE_SUMMED, &sum, sizeof sum);
}

static int tell_damage(struct summed_file *file, enum page_damage_kind kind, uint32_t page, uint64_t frame) {
    struct summed_file *database = file->database;
    database->damage = (struct page_damage){.kind = kind, .page = page, .frame = frame};
    database->damaged = true;
    return SQLITE_IOERR_DATA;
}

/* ---- the database ---- */

static int read_page(sqlite3_file *file, uint32_t number, uint8_t page[PAGE_BYTES]) {
    const int64_t offset = (int64_t)(number - 1) * PAGE_BYTES;
    const struct timespec pause = {.tv_nsec = READ_AGAIN_NS};
    sqlite3_file *real = below(file);
    for (int reads = 1;; reads++) {
        int result = real->pMethods->xRead(real, page, PAGE_BYTES, offset);
        if (result == SQLITE_OK && page_checks(number, page))
            return SQLITE_OK;
        if (result == SQLITE_OK && reads < READS_MOST) {
            if (number == 1)
                (void)nanosleep(&pause, NULL);
            continue;
        }
        if (result == SQLITE_OK)
            return tell_damage(summed_file_of(file), PAGE_DAMAGED, number, 0);
        if (result == SQLITE_IOERR_SHORT_READ) {
            sqlite3_int64 size = 1;
            (void)real->pMethods->xFileSize(real, &size);
            bool empty = size == 0; /* not made yet */
            return empty ? result : tell_damage(summed_file_of(file), PAGE_MISSING, number, 0);
        }
        return result;
    }
}

/* SQLite reads pages whole, unless it has the size of pages wrong, or takes a short way to large values. */
static int database_read(sqlite3_file *file, void *data, int length, sqlite3_int64 offset) {
    sqlite3_file *real = below(file);
    uint8_t *to = data, page[PAGE_BYTES];
    if (offset + length <= HEADER_BYTES)
        return real->pMethods->xRead(real, data, length, offset);
    while (length > 0) {
        uint32_t number = (uint32_t)(offset / PAGE_BYTES) + 1;
        int from = (int)(offset % PAGE_BYTES), count = PAGE_BYTES - from < length ? PAGE_BYTES - from : length;
        int result;
        if (count == PAGE_BYTES) {
            result = read_page(file, number, to);
        } else {
            result = read_page(file, number, page);
            if (result == SQLITE_OK)
                memcpy(to, page + from, (size_t)count);
        }
        if (result != SQLITE_OK) {
            if (result == SQLITE_IOERR_SHORT_READ)
                memset(to, 0, (size_t)length);
            return result;
        }
        to += count;
        offset += count;
        length -= count;
    }
    return SQLITE_OK;
}

/* Whole pages only: anything else is no database of ours, and is refused. */
static int database_write(sqlite3_file *file, const void *data, int length, sqlite3_int64 offset) {
    sqlite3_file *real = below(file);
    const uint8_t *from = data;
    uint8_t page[PAGE_BYTES];
    int result = length % PAGE_BYTES == 0 && offset % PAGE_BYTES == 0 ? SQLITE_OK : SQLITE_IOERR_WRITE;
    for (; length > 0 && result == SQLITE_OK; length -= PAGE_BYTES) {
        memcpy(page, from, sizeof page); /* SQLite's own, which is not to be changed */
        put_sum((uint32_t)(offset / PAGE_BYTES) + 1, page);
        result = real->pMethods->xWrite(real, page, PAGE_BYTES, offset);
        from += PAGE_BYTES;
        offset += PAGE_BYTES;
    }
    return result;
}

/* ---- the log ---- */

/* What part of the log a call is about. */
enum log_part { LOG_HEADER, LOG_FRAME_HEADER, LOG_PAGE, LOG_FRAME, LOG_OTHER };

static enum log_part log_part(int length, int64_t offset) {
    if (offset == 0 && length == WAL_HEADER_BYTES)
        return LOG_HEADER;
    int64_t at = (offset - WAL_HEADER_BYTES) % WAL_FRAME_BYTES;
    if (offset >= WAL_HEADER_BYTES && at == 0 && length == WAL_FRAME_HEADER_BYTES)
        return LOG_FRAME_HEADER;
    if (offset >= WAL_HEADER_BYTES && at == 0 && length == WAL_FRAME_BYTES)
        return LOG_FRAME;
    if (offset >= WAL_HEADER_BYTES && at == WAL_FRAME_HEADER_BYTES && length == PAGE_BYTES)
        return LOG_PAGE;
    return LOG_OTHER;
}

static uint64_t frame_at(int64_t offset) {
    return (uint64_t)(offset - WAL_HEADER_BYTES) / WAL_FRAME_BYTES + 1;
}

static int read_log_page(sqlite3_file *file, void *data, sqlite3_int64 offset) {
    sqlite3_file *real = below(file);
    uint8_t frame[WAL_FRAME_BYTES];
    int result = real->pMethods->xRead(real, frame, sizeof frame, offset - WAL_FRAME_HEADER_BYTES);
    if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ)
        return result;
    uint32_t number = wal_frame_page(frame);
    memcpy(data, frame + WAL_FRAME_HEADER_BYTES, PAGE_BYTES);
    if (result == SQLITE_OK && page_checks(number, frame + WAL_FRAME_HEADER_BYTES))
        return SQLITE_OK;
    return tell_damage(summed_file_of(file), PAGE_LOG_DAMAGED, number, frame_at(offset));
}

/* Writes all that waits. */
static int log_flush(sqlite3_file *base) {
    struct summed_file *file = summed_file_of(base);
    sqlite3_file *real = below(base);
    int64_t header_offset = file->header_offset;
    file->header_offset = 0;
    int result = wal_writer_flush(&file->writer);
    if (result == SQLITE_OK && header_offset != 0)
        result = real->pMethods->xWrite(real, file->header, sizeof file->header, header_offset);
    return result;
}

/* Frames are read whole by a recovery, which has checked them all, and to sum frames anew. The header is read by a recovery alone. */
static int log_read(sqlite3_file *file, void *data, int length, sqlite3_int64 offset) {
    sqlite3_file *real = below(file);
    bool damaged = false;
    uint64_t frame;
    enum log_part part = log_part(length, offset);
    int flushed = log_flush(file);
    if (flushed != SQLITE_OK)
        return flushed;
    if (part == LOG_PAGE)
        return read_log_page(file, data, offset);
    if (part == LOG_HEADER) {
        int result = wal_check(real, &damaged, &frame);
        if (result == SQLITE_OK && damaged)
            result = tell_damage(summed_file_of(file), PAGE_LOG_BROKEN, 0, frame);
        if (result != SQLITE_OK)
            return result;
    }
    return real->pMethods->xRead(real, data, length, offset);
}

/* SQLite has summed the frame before the page got its sum, and knows nothing of that: so each frame is summed by what is really before it. */
static int write_frame(sqlite3_file *base, const uint8_t *header, const void *page, sqlite3_int64 offset) {
    uint8_t frame[WAL_FRAME_BYTES];
    memcpy(frame, header, WAL_FRAME_HEADER_BYTES);
    memcpy(frame + WAL_FRAME_HEADER_BYTES, page, PAGE_BYTES);
    put_sum(wal_frame_page(frame), frame + WAL_FRAME_HEADER_BYTES);
    return wal_writer_add(&summed_file_of(base)->writer, frame, offset);
}

/* A page that changed again in the transaction that logged it: SQLite sums all frames anew, by what it reads of them, at its end. */
static int rewrite_page(sqlite3_file *file, const void *data, sqlite3_int64 offset) {
    sqlite3_file *real = below(file);
    uint8_t header[WAL_FRAME_HEADER_BYTES], page[PAGE_BYTES];
    int result = real->pMethods->xRead(real, header, sizeof header, offset - WAL_FRAME_HEADER_BYTES);
    if (result != SQLITE_OK)
        return result == SQLITE_IOERR_SHORT_READ ? SQLITE_IOERR_WRITE : result;
    memcpy(page, data, sizeof page);
    put_sum(wal_frame_page(header), page);
    return real->pMethods->xWrite(real, page, sizeof page, offset);
}

static int log_write(sqlite3_file *base, const void *data, int length, sqlite3_int64 offset) {
    struct summed_file *file = summed_file_of(base);
    sqlite3_file *real = below(base);
    enum log_part part = log_part(length, offset);
    if (part == LOG_PAGE && file->header_offset == offset - WAL_FRAME_HEADER_BYTES) {
        file->header_offset = 0;
        return write_frame(base, file->header, data, offset - WAL_FRAME_HEADER_BYTES);
    }
    /* A header whose page does not come next was summed anew alone. */
    if (part != LOG_FRAME_HEADER || file->header_offset != 0) {
        int result = log_flush(base);
        if (result != SQLITE_OK)
            return result;
    }
    switch (part) {
    case LOG_HEADER:
        return real->pMethods->xWrite(real, data, length, offset);
    case LOG_FRAME_HEADER:
        memcpy(file->header, data, sizeof file->header);
        file->header_offset = offset;
        return SQLITE_OK;
    case LOG_FRAME:
        return write_frame(base, data, (const uint8_t *)data + WAL_FRAME_HEADER_BYTES, offset);
    case LOG_PAGE:
        return rewrite_page(base, data, offset);
    case LOG_OTHER:
        break;
    }
    return SQLITE_IOERR_WRITE; /* not as SQLite writes a log of such pages */
}

/* What was never asked for belongs to no transaction that committed. */
static int log_close(sqlite3_file *base) {
    sqlite3_file *real = below(base);
    struct summed_file *file = summed_file_of(base);
    wal_writer_release(&file->writer);
    file->database->log = NULL;
    return real->pMethods->xClose(real);
}

static int log_truncate(sqlite3_file *base, sqlite3_int64 size) {
    sqlite3_file *real = below(base);
    int result = log_flush(base);
    return result == SQLITE_OK ? real->pMethods->xTruncate(real, size) : result;
}

static int log_sync(sqlite3_file *base, int flags) {
    sqlite3_file *real = below(base);
    int result = log_flush(base);
    return result == SQLITE_OK ? real->pMethods->xSync(real, flags) : result;
}

static int log_size(sqlite3_file *base, sqlite3_int64 *size) {
    sqlite3_file *real = below(base);
    int result = log_flush(base);
    return result == SQLITE_OK ? real->pMethods->xFileSize(real, size) : result;
}

/* ---- what both have in common ---- */

static int file_close(sqlite3_file *file) {
    sqlite3_file *real = below(file);
    return real->pMethods->xClose(real);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    sqlite3_file *real = below(file);
    return real->pMethods->xTruncate(real, size);
}

static int file_sync(sqlite3_file *file, int flags) {
    sqlite3_file *real = below(file);
    return real->pMethods->xSync(real, flags);
}

/* SQLite reads nothing at all of a database that is shorter than its header says. Readers are told what the header says, so that what is
 * missing is missed where it is wanted. */
static int database_size(sqlite3_file *file, sqlite3_int64 *size) {
    sqlite3_file *real = below(file);
    uint32_t pages;
    int result = real->pMethods->xFileSize(real, size);
    if (result != SQLITE_OK || !summed_file_of(file)->read_only || *size < PAGE_BYTES)
        return result;
    result = real->pMethods->xRead(real, &pages, sizeof pages, PAGE_COUNT_OFFSET);
    if (result == SQLITE_OK && *size < (sqlite3_int64)be32toh(pages) * PAGE_BYTES)
        *size = (sqlite3_int64)be32toh(pages) * PAGE_BYTES;
    return result;
}

static int file_lock(sqlite3_file *file, int level) {
    sqlite3_file *real = below(file);
    return real->pMethods->xLock(real, level);
}

static int file_unlock(sqlite3_file *file, int level) {
    sqlite3_file *real = below(file);
    return real->pMethods->xUnlock(real, level);
}

static int file_check_reserved_lock(sqlite3_file *file, int *locked) {
    sqlite3_file *real = below(file);
    return real->pMethods->xCheckReservedLock(real, locked);
}

static int file_control(sqlite3_file *base, int operation, void *argument) {
    struct summed_file *file = summed_file_of(base);
    sqlite3_file *real = below(base);
    if (operation == CONTROL_TAKE_DAMAGE) {
        if (!file->damaged)
            return SQLITE_NOTFOUND;
        *(struct page_damage *)argument = file->damage;
        file->damaged = false;
        return SQLITE_OK;
    }
    return real->pMethods->xFileControl(real, operation, argument);
}

static int file_sector_size(sqlite3_file *file) {
    sqlite3_file *real = below(file);
    return real->pMethods->xSectorSize(real);
}

static int file_device_characteristics(sqlite3_file *file) {
    sqlite3_file *real = below(file);
    return real->pMethods->xDeviceCharacteristics(real);
}

static int file_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **map) {
    sqlite3_file *real = below(file);
    return real->pMethods->xShmMap(real, region, size, extend, map);
}

/* With the lock on writing goes the right to write to the log. What waits then belongs to a transaction that was taken back, and its place to
 * whoever writes next. */
static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    sqlite3_file *real = below(file);
    struct summed_file *log = summed_file_of(file)->log;
    if (log && offset == WAL_LOCK_WRITE && flags == (SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE)) {
        wal_writer_drop(&log->writer);
        log->header_offset = 0;
    }
    return real->pMethods->xShmLock(real, offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file) {
    sqlite3_file *real = below(file);
    real->pMethods->xShmBarrier(real);
}

static int file_shm_unmap(sqlite3_file *file, int remove_file) {
    sqlite3_file *real = below(file);
    return real->pMethods->xShmUnmap(real, remove_file);
}

/* Version 2, without xFetch: invariant 5. */
#define METHODS(close, read, write, truncate, sync, size)                                                              \
    {                                                                                                                  \
        .iVersion = 2, .xClose = (close), .xRead = (read), .xWrite = (write), .xTruncate = (truncate),                 \
        .xSync = (sync), .xFileSize = (size), .xLock = file_lock, .xUnlock = file_unlock,                              \
        .xCheckReservedLock = file_check_reserved_lock, .xFileControl = file_control, .xSectorSize = file_sector_size, \
        .xDeviceCharacteristics = file_device_characteristics, .xShmMap = file_shm_map, .xShmLock = file_shm_lock,     \
        .xShmBarrier = file_shm_barrier, .xShmUnmap = file_shm_unmap                                                   \
    }

static const sqlite3_io_methods database_methods =
    METHODS(file_close, database_read, database_write, file_truncate, file_sync, database_size);
static const sqlite3_io_methods log_methods = METHODS(log_close, log_read, log_write, log_truncate, log_sync, log_size);

/* ---- the VFS ---- */

static sqlite3_vfs *vfs_below(sqlite3_vfs *vfs) {
    return vfs->pAppData;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *opened, int flags, int *out_flags) {
    bool log = (flags & SQLITE_OPEN_WAL) != 0;
    /* Others, such as the journal of a store in the making, hold no pages that anybody reads later. */
    if (!log && !(flags & SQLITE_OPEN_MAIN_DB))
        return vfs_below(vfs)->xOpen(vfs_below(vfs), name, opened, flags, out_flags);
    struct summed_file *file = summed_file_of(opened);
    *file = (struct summed_file){0};
    sqlite3_file *real = below(opened);
    real->pMethods = NULL;
    int result = vfs_below(vfs)->xOpen(vfs_below(vfs), name, real, flags, out_flags);
    if (result != SQLITE_OK) {
        if (real->pMethods)
            (void)real->pMethods->xClose(real);
        return result;
    }
    file->base.pMethods = log ? &log_methods : &database_methods;
    file->read_only = (flags & SQLITE_OPEN_READONLY) != 0;
    file->writer.log = real;
    file->database = log ? summed_file_of(sqlite3_database_file_object(name)) : file;
    if (log)
        file->database->log = file;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_directory) {
    return vfs_below(vfs)->xDelete(vfs_below(vfs), name, sync_directory);
}

static int vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *can) {
    return vfs_below(vfs)->xAccess(vfs_below(vfs), name, flags, can);
}

static int vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int size, char *path) {
    return vfs_below(vfs)->xFullPathname(vfs_below(vfs), name, size, path);
}

static int vfs_get_last_error(sqlite3_vfs *vfs, int size, char *text) {
    return vfs_below(vfs)->xGetLastError(vfs_below(vfs), size, text);
}

/* Written by register_once alone. */
static sqlite3_vfs page_vfs;
static int register_result;

static void register_once(void) {
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    if (!real) {
        register_result = SQLITE_ERROR;
        return;
    }
    page_vfs = *real; /* time, randomness, sleep: as below */
    page_vfs.pNext = NULL;
    page_vfs.zName = PAGE_VFS;
    page_vfs.pAppData = real;
    page_vfs.szOsFile = real->szOsFile + (int)sizeof(struct summed_file);
    page_vfs.xOpen = vfs_open;
    page_vfs.xDelete = vfs_delete;
    page_vfs.xAccess = vfs_access;
    page_vfs.xFullPathname = vfs_full_pathname;
    page_vfs.xGetLastError = vfs_get_last_error;
    register_result = sqlite3_vfs_register(&page_vfs, 0);
}

int page_vfs_register(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_once);
    return register_result;
}

void page_damage_text(const struct page_damage *damage, char *text, size_t size) {
    switch (damage->kind) {
    case PAGE_DAMAGED:
        (void)snprintf(text, size, "page %" PRIu32 " of the database has a wrong checksum", damage->page);
        return;
    case PAGE_MISSING:
        (void)snprintf(text, size, "page %" PRIu32 " of the database is cut off", damage->page);
        return;
    case PAGE_LOG_DAMAGED:
        (void)snprintf(text, size, "page %" PRIu32 " has a wrong checksum in frame %" PRIu64 " of the write-ahead log",
                       damage->page, damage->frame);
        return;
    case PAGE_LOG_BROKEN:
        (void)snprintf(text, size, "frame %" PRIu64 " of the write-ahead log is damaged, and others come after it",
                       damage->frame);
        return;
    }
    (void)snprintf(text, size, "?");
}

bool page_vfs_take_damage(sqlite3 *db, struct page_damage *damage) {
    return sqlite3_file_control(db, "main", CONTROL_TAKE_DAMAGE, damage) == SQLITE_OK;
}
