/* Fuzzes the decoders of records, and of what a command sends to a driver. The first byte says which; the rest is what would be on the disk, or sent. A
 * record that decodes must encode to the very same bytes (record.h, invariant 2), and so must an order (fs/restore_order.h).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fs/restore_order.h"
#include "store/error.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(int rc, uint8_t *encoded, size_t length, const uint8_t *data, size_t size) {
    if (rc == STORE_NO_MEMORY) {
        return;
    }
    if (rc != STORE_OK || length != size || memcmp(encoded, data, size) != 0) {
        abort();
    }
    free(encoded);
}

/* Flags may be told by any number but 0, and are written as 1: so what is compared is the second form with the first one's. */
static void fuzz_order(const uint8_t *data, size_t size) {
    struct restore_order order, again;
    uint8_t *first = NULL, *second = NULL;
    size_t first_length = 0, second_length = 0;
    if (restore_order_decode(data, size, &order) != STORE_OK) {
        return;
    }
    if (restore_order_encode(&order, &first, &first_length) != STORE_OK || first_length != size ||
        restore_order_decode(first, first_length, &again) != STORE_OK) {
        abort();
    }
    expect_same(restore_order_encode(&again, &second, &second_length), second, second_length, first, first_length);
    restore_order_release(&again);
    restore_order_release(&order);
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *encoded = NULL;
    size_t length = 0;
    if (size == 0) {
        return 0;
    }
    int kind = data[0] % 4;
    data++;
    size--;
    if (kind == 0) {
        struct inode_record record;
        if (inode_record_decode(data, size, &record) == STORE_OK) {
            expect_same(inode_record_encode(&record, &encoded, &length), encoded, length, data, size);
            inode_record_release(&record);
        }
    } else if (kind == 1) {
        struct chunk chunk;
        if (chunk_decode(data, size, &chunk) == STORE_OK) {
            expect_same(chunk_encode(&chunk, &encoded, &length), encoded, length, data, size);
            chunk_release(&chunk);
        }
    } else if (kind == 2) {
        struct xattr_set set;
        if (xattr_set_decode(data, size, &set) == STORE_OK) {
            expect_same(xattr_set_encode(&set, &encoded, &length), encoded, length, data, size);
            xattr_set_release(&set);
        }
    } else {
        fuzz_order(data, size);
    }
    return 0;
}
