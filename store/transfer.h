/* Whole reads and writes of a file at a position: what a signal interrupts, or the system does in part, goes on.
 *
 * Threads: any; nothing is kept, and the file's own position is neither used nor moved.
 */
#ifndef TIDFS_STORE_TRANSFER_H
#define TIDFS_STORE_TRANSFER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The bytes read, fewer than `length` at the end of the file only; -1 with errno. `position` + `length` is at most INT64_MAX. */
ssize_t transfer_read(int fd, void *buffer, size_t length, uint64_t position);
/* 0; or -1 with errno, and part of it may be written. */
int transfer_write(int fd, const void *data, size_t length, uint64_t position);

#endif
