/* The inode record: see store/record.h for what it holds, store/RECORDS.md for its bytes. */
#include "store/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/bytes.h"
#include "store/error.h"

#define INODE_RECORD_VERSION 1

/* Most files have one time for everything when they are written; each time that equals mtime costs a bit. */
enum inode_flag {
    INODE_HAS_XATTRS = 1 << 0,
    INODE_ATIME_IS_MTIME = 1 << 1,
    INODE_CTIME_IS_MTIME = 1 << 2,
    INODE_BTIME_IS_MTIME = 1 << 3,
    INODE_FLAGS_KNOWN = (1 << 4) - 1,
};

static bool mode_is_valid(uint64_t mode) {
    if (mode & ~(uint64_t)(S_IFMT | 07777))
        return false;
    switch (mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
        return true;
    default:
        return false;
    }
}

static bool times_equal(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static void assert_encodable(const struct inode_record *record) {
    assert(mode_is_valid(record->mode));
    assert(record->size <= FILE_SIZE_MAX && record->allocated <= FILE_SIZE_MAX);
    assert(record->parent <= INT64_MAX && record->next_index <= INT64_MAX);
    assert((unsigned long)record->atime.tv_nsec <= 999999999 && (unsigned long)record->mtime.tv_nsec <= 999999999);
    assert((unsigned long)record->ctime.tv_nsec <= 999999999 && (unsigned long)record->btime.tv_nsec <= 999999999);
    assert(S_ISLNK(record->mode) == (record->target != NULL));
    assert(!record->target || (strlen(record->target) == record->size && record->size <= SYMLINK_BYTES_MAX));
    (void)record; /* without asserts */
}

int inode_record_encode(const struct inode_record *record, uint8_t **data, size_t *length) {
    assert_encodable(record);
    unsigned flags = 0;
    if (record->has_xattrs)
        flags |= INODE_HAS_XATTRS;
    if (times_equal(record->atime, record->mtime))
        flags |= INODE_ATIME_IS_MTIME;
    if (times_equal(record->ctime, record->mtime))
        flags |= INODE_CTIME_IS_MTIME;
    if (times_equal(record->btime, record->mtime))
        flags |= INODE_BTIME_IS_MTIME;

    struct byte_writer writer;
    byte_writer_init(&writer);
    byte_writer_byte(&writer, INODE_RECORD_VERSION);
    byte_writer_byte(&writer, (uint8_t)flags);
    byte_writer_number(&writer, record->mode);
    byte_writer_number(&writer, record->uid);
    byte_writer_number(&writer, record->gid);
    byte_writer_number(&writer, record->nlink);
    byte_writer_number(&writer, record->size);
    byte_writer_number(&writer, record->allocated);
    byte_writer_time(&writer, record->mtime);
    if (!(flags & INODE_ATIME_IS_MTIME))
        byte_writer_time(&writer, record->atime);
    if (!(flags & INODE_CTIME_IS_MTIME))
        byte_writer_time(&writer, record->ctime);
    if (!(flags & INODE_BTIME_IS_MTIME))
        byte_writer_time(&writer, record->btime);
    if (S_ISDIR(record->mode)) {
        byte_writer_number(&writer, record->parent);
        byte_writer_number(&writer, record->next_index);
    } else if (S_ISLNK(record->mode)) {
        byte_writer_bytes(&writer, record->target, (size_t)record->size);
    } else if (S_ISCHR(record->mode) || S_ISBLK(record->mode)) {
        byte_writer_number(&writer, record->rdev);
    }
    return byte_writer_finish(&writer, data, length);
}

/* A time that may be left out. Writing it though it equals mtime would be a second form of the same record. */
static struct timespec read_time_unless(struct byte_reader *reader, bool is_mtime, struct timespec mtime) {
    if (is_mtime)
        return mtime;
    struct timespec time = byte_reader_time(reader);
    if (times_equal(time, mtime))
        reader->failed = true;
    return time;
}

int inode_record_decode(const uint8_t *data, size_t length, struct inode_record *record) {
    struct byte_reader reader;
    byte_reader_init(&reader, data, length);
    if (byte_reader_byte(&reader) != INODE_RECORD_VERSION)
        return STORE_CORRUPT;
    unsigned flags = byte_reader_byte(&reader);
    if (flags & ~(unsigned)INODE_FLAGS_KNOWN)
        return STORE_CORRUPT;

    struct inode_record result = {.has_xattrs = flags & INODE_HAS_XATTRS};
    result.mode = (uint32_t)byte_reader_number(&reader, UINT32_MAX);
    if (!mode_is_valid(result.mode))
        return STORE_CORRUPT;
    result.uid = (uint32_t)byte_reader_number(&reader, UINT32_MAX);
    result.gid = (uint32_t)byte_reader_number(&reader, UINT32_MAX);
    result.nlink = (uint32_t)byte_reader_number(&reader, UINT32_MAX);
    result.size = byte_reader_number(&reader, S_ISLNK(result.mode) ? SYMLINK_BYTES_MAX : FILE_SIZE_MAX);
    result.allocated = byte_reader_number(&reader, FILE_SIZE_MAX);
    result.mtime = byte_reader_time(&reader);
    result.atime = read_time_unless(&reader, flags & INODE_ATIME_IS_MTIME, result.mtime);
    result.ctime = read_time_unless(&reader, flags & INODE_CTIME_IS_MTIME, result.mtime);
    result.btime = read_time_unless(&reader, flags & INODE_BTIME_IS_MTIME, result.mtime);
    const uint8_t *target = NULL;
    if (S_ISDIR(result.mode)) {
        result.parent = byte_reader_number(&reader, INT64_MAX);
        result.next_index = byte_reader_number(&reader, INT64_MAX);
    } else if (S_ISLNK(result.mode)) {
        target = byte_reader_bytes(&reader, (size_t)result.size);
    } else if (S_ISCHR(result.mode) || S_ISBLK(result.mode)) {
        result.rdev = byte_reader_number(&reader, UINT64_MAX);
    }
    int rc = byte_reader_finish(&reader);
    if (rc < 0)
        return rc;
    if (target) {
        if (memchr(target, '\0', (size_t)result.size))
            return STORE_CORRUPT;
        result.target = malloc((size_t)result.size + 1);
        if (!result.target)
            return STORE_NO_MEMORY;
        memcpy(result.target, target, (size_t)result.size);
        result.target[result.size] = '\0';
    }
    *record = result;
    return STORE_OK;
}

void inode_record_release(struct inode_record *record) {
    free(record->target);
    *record = (struct inode_record){0};
}
