/* An order to revert or undo, as it travels from a command to the driver of a writable mount: a block of bytes.
 *
 * Invariants
 *  1. The decoder trusts nothing: any bytes give an order or STORE_INVALID, never a read outside of them.
 *  2. decode(encode(x)) is x.
 *
 * Threads: pure functions. Ownership: a decoded order's strings and contents lie in the block that it came from, which must outlive it; its arrays are its own.
 */
#ifndef TIDFS_FS_RESTORE_ORDER_H
#define TIDFS_FS_RESTORE_ORDER_H

#include "history/restore.h"

#define RESTORE_ORDER_MAX ((size_t)32 << 20) /* bytes of the block */

struct restore_order {
    struct restore_request request;
    uint64_t only_base;         /* as restore_run */
    const char *user, *message; /* user "": whoever asks */
};

/* *block is malloc'ed and the caller's. STORE_TOO_BIG above RESTORE_ORDER_MAX. */
int restore_order_encode(const struct restore_order *order, uint8_t **block, size_t *length);
int restore_order_decode(const uint8_t *block, size_t length, struct restore_order *order);
/* Of a decoded one. A zeroed order may be released. */
void restore_order_release(struct restore_order *order);

#endif
