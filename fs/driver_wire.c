/* What the kernel offers and libfuse 3.14 does not pass on, taken from the requests and put into the answers as they go by.
 *
 * FUSE_HANDLE_KILLPRIV_V2 (protocol 7.33): this side drops setuid and setgid bits when data or owner change, and is told in the request when the
 * caller's privilege lets them be. Without it the kernel asks for security.capability before each write. libfuse knows neither the flag of INIT nor
 * those of the requests, so they arrive as the request's file handle, which is otherwise unused: there is no open that would give one out. */
#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/driver_private.h"

/* Both run before anything else has been answered, and one after the other. */
static void see_init_request(struct driver *driver, const struct fuse_in_header *header,
                             const struct fuse_init_in *init) {
    driver->init_unique = header->unique;
    driver->drops_privileges = (init->flags & FUSE_HANDLE_KILLPRIV_V2) != 0;
}

static void change_init_answer(struct driver *driver, struct fuse_init_out *init) {
    driver->init_unique = 0;
    if (driver->drops_privileges) {
        init->flags |= FUSE_HANDLE_KILLPRIV_V2;
    }
}

static ssize_t wire_read(int fd, void *buffer, size_t size, void *context) {
    struct driver *driver = context;
    struct fuse_in_header *header = buffer;
    void *body = header + 1;
    ssize_t got = read(fd, buffer, size);
    if (got < (ssize_t)sizeof *header) {
        return got;
    }
    size_t length = (size_t)got - sizeof *header;
    if (header->opcode == FUSE_WRITE && length >= sizeof(struct fuse_write_in)) {
        struct fuse_write_in *in = body;
        in->fh = in->write_flags & FUSE_WRITE_KILL_SUIDGID ? WIRE_DROP_PRIVILEGES : 0;
    } else if (header->opcode == FUSE_SETATTR && length >= sizeof(struct fuse_setattr_in)) {
        struct fuse_setattr_in *in = body;
        in->fh = in->valid & FATTR_KILL_SUIDGID ? WIRE_DROP_PRIVILEGES : 0;
        in->valid |= FATTR_FH;
    } else if (header->opcode == FUSE_INIT && length >= sizeof(struct fuse_init_in)) {
        see_init_request(driver, header, body);
    }
    return got;
}

static ssize_t wire_write(int fd, struct iovec *parts, int count, void *context) {
    struct driver *driver = context;
    if (driver->init_unique != 0 && count >= 2 && parts[0].iov_len == sizeof(struct fuse_out_header) &&
        parts[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE) {
        const struct fuse_out_header *header = parts[0].iov_base;
        if (header->unique == driver->init_unique) {
            change_init_answer(driver, parts[1].iov_base);
        }
    }
    return writev(fd, parts, count);
}

int driver_wire(struct driver *driver) {
    static const struct fuse_custom_io io = {.read = wire_read, .writev = wire_write};
    return fuse_session_custom_io(driver->session, &io, fuse_session_fd(driver->session));
}
