#include "store/wal_writer.h"

#include <stdlib.h>
#include <string.h>

#define FRAMES_MOST 30 /* that wait: SQLite writes less than 128 KiB at once, and more would gain nothing */
#define ZEROS_BYTES 65536

/* Gives the log room behind `end`, which it has just been made longer to reach. Where that fails, as on a full disk, it goes without. */
static void make_room(struct wal_writer *writer, int64_t end) {
    static const uint8_t zeros[ZEROS_BYTES];
    sqlite3_file *log = writer->log;
    int result = SQLITE_OK;
    for (int64_t at = end; at < end + WAL_ROOM_BYTES && result == SQLITE_OK; at += ZEROS_BYTES)
        result = log->pMethods->xWrite(log, zeros, ZEROS_BYTES, at);
    if (result != SQLITE_OK)
        (void)log->pMethods->xTruncate(log, end);
}

int wal_writer_flush(struct wal_writer *writer) {
    sqlite3_file *log = writer->log;
    const int length = writer->length;
    const int64_t end = writer->offset + length;
    sqlite3_int64 size = 0;
    if (length == 0)
        return SQLITE_OK;
    writer->length = 0;
    int result = log->pMethods->xFileSize(log, &size);
    if (result == SQLITE_OK)
        result = log->pMethods->xWrite(log, writer->frames, length, writer->offset);
    if (result == SQLITE_OK && end > size)
        make_room(writer, end);
    return result;
}

int wal_writer_add(struct wal_writer *writer, const uint8_t frame[WAL_FRAME_BYTES], int64_t offset) {
    int result = SQLITE_OK;
    if (writer->length == FRAMES_MOST * WAL_FRAME_BYTES || writer->offset + writer->length != offset)
        result = wal_writer_flush(writer);
    if (result != SQLITE_OK)
        return result;
    if (!writer->frames) {
        writer->frames = malloc((size_t)FRAMES_MOST * WAL_FRAME_BYTES);
        if (!writer->frames)
            return SQLITE_NOMEM;
    }
    struct wal_sum sum;
    uint8_t *to = writer->frames + writer->length;
    if (writer->length > 0)
        sum = wal_sum_stored(to - WAL_FRAME_BYTES + 16);
    else
        result = wal_sum_before(writer->log, offset, &sum, &writer->big_endian);
    if (result != SQLITE_OK)
        return result;
    if (writer->length == 0)
        writer->offset = offset;
    memcpy(to, frame, WAL_FRAME_BYTES);
    wal_frame_put_sum(sum, writer->big_endian, to);
    writer->length += WAL_FRAME_BYTES;
    return wal_frame_commits(to) ? wal_writer_flush(writer) : SQLITE_OK;
}

void wal_writer_drop(struct wal_writer *writer) {
    writer->length = 0;
}

void wal_writer_release(struct wal_writer *writer) {
    free(writer->frames);
    writer->frames = NULL;
}
