/* Fuzzes the decoders of records. The first byte says which; the rest is what would be on the disk. What decodes must encode to the very
 * same bytes (record.h, invariant 2).
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *encoded = NULL;
    size_t length = 0;
    if (size == 0) {
        return 0;
    }
    int kind = data[0] % 3;
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
    } else {
        struct xattr_set set;
        if (xattr_set_decode(data, size, &set) == STORE_OK) {
            expect_same(xattr_set_encode(&set, &encoded, &length), encoded, length, data, size);
            xattr_set_release(&set);
        }
    }
    return 0;
}
