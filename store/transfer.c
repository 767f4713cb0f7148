#include "store/transfer.h"

#include <errno.h>
#include <unistd.h>

ssize_t transfer_read(int fd, void *buffer, size_t length, uint64_t position) {
    size_t done = 0;
    while (done < length) {
        ssize_t got = pread(fd, (char *)buffer + done, length - done, (off_t)(position + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int transfer_write(int fd, const void *data, size_t length, uint64_t position) {
    size_t done = 0;
    while (done < length) {
        ssize_t written = pwrite(fd, (const char *)data + done, length - done, (off_t)(position + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        done += (size_t)written;
    }
    return 0;
}
