/* The kernel's side of /dev/fuse, for a driver in the same process: says FUSE_INIT as Linux 6 does, sends any request, reads replies and notifications.
 *
 *     fake_kernel_start ──▶ fake_kernel_send ──▶ fake_kernel_wait … ──▶ fake_kernel_stop
 *
 * The driver is the real one, with its threads and libfuse's loop; instead of /dev/fuse it has one end of a socketpair that keeps messages apart, and
 * nothing is mounted. What the kernel checks before it sends a request is not checked here: that is the point.
 *
 * Invariants
 *  1. A message is one request, reply or notification, whole.
 *  2. Nothing is sent that was not asked for, but for FUSE_INIT.
 *  3. Here a mount ends as it does for a driver that the kernel has cut off in a rude way: libfuse's loop hears of it as an error.
 *
 * Limit: libfuse believes the lengths inside a request, and that its names end with a NUL. A request that lies about these reads stale bytes of libfuse's own
 * buffer; whoever makes requests up ends them with enough zeros.
 *
 * Threads: send and wait may be called by any; start and stop by one, alone. Ownership: replies are the caller's, given back by fake_reply_release.
 */
#ifndef TIDFS_TESTS_FAKE_KERNEL_H
#define TIDFS_TESTS_FAKE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/fuse.h>

#include "fs/driver.h"

#define FAKE_DATA_MAX                                                                                                  \
    ((size_t)128 * 1024)          /* of a request or reply: more does not pass through the socket of an ordinary user */
#define FAKE_PATIENCE   60000     /* ms after which a request counts as forgotten */
#define FAKE_NO_REPLY   (-100000) /* no errno: the driver did not answer, or not as the protocol has it */
#define FAKE_PARTS_MAX  4
#define FAKE_REPLY_ZERO ((struct fake_reply){0})

struct fake_kernel;

/* Who asks. pid 0 is the kernel itself. */
struct fake_caller {
    uint32_t uid, gid, pid;
};

struct fake_request {
    uint32_t opcode;
    uint64_t node;
    uint64_t unique; /* 0: the next one */
    uint32_t length; /* what the header says; 0: what is true */
    struct fake_caller caller;
    struct fake_part {
        const void *data;
        size_t length;
    } parts[FAKE_PARTS_MAX]; /* those of length 0 are nothing */
};

struct fake_reply {
    uint64_t unique; /* 0: a notification */
    int error;       /* 0 or a negative errno; of a notification its code */
    size_t length;
    uint8_t *data; /* malloc'ed, exactly `length` bytes (one, if that is 0); NULL: none */
};
void fake_reply_release(struct fake_reply *reply);

/* Opens the store as a mount with these options would, and lets the driver run, all in a thread that begins here. What is given must stay as long as that. `without`: FUSE_* of linux/fuse.h (first word) that this kernel does not
 * offer in its FUSE_INIT. Returns what driver_open and driver_mount do; STORE_IO if the driver did not get as far as answering FUSE_INIT. */
int fake_kernel_start(const char *store, const struct mount_options *options, struct log *log, uint32_t without,
                      struct fake_kernel **kernel, struct error *err);
/* Cuts the driver off, and closes it: what driver_close returns. NULL is legal. */
int fake_kernel_stop(struct fake_kernel *kernel, struct error *err);

/* What the driver answered to FUSE_INIT. */
const struct fuse_init_out *fake_kernel_init_out(const struct fake_kernel *kernel);

/* Sends a request: its unique, or 0 if the driver does not read any more. */
uint64_t fake_kernel_send(struct fake_kernel *kernel, const struct fake_request *request);
/* Waits for the reply to `unique`, 0 for the next notification. false: none within that time, or the driver is gone. *reply is set in any case. */
bool fake_kernel_wait(struct fake_kernel *kernel, uint64_t unique, int timeout_ms, struct fake_reply *reply);
/* The oldest message that was read while somebody waited for another, and that nobody has waited for yet. false: there is none. Takes none from the socket. */
bool fake_kernel_claim(struct fake_kernel *kernel, struct fake_reply *reply);

/* Bytes of the largest message that passes: 1 MiB of data and more for root, some 400 KB for others. */
size_t fake_kernel_room(struct fake_kernel *kernel);

/* Sends it and waits. The driver's answer, or FAKE_NO_REPLY; `reply` (may be NULL) has the rest. */
int fake_kernel_ask(struct fake_kernel *kernel, const struct fake_request *request, struct fake_reply *reply);

#endif
