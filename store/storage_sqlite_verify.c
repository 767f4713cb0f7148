#include "store/storage_sqlite.h"

int sqlite_verify(struct storage *base, const struct verify_options *options, uint64_t *problems) {
    (void)base;
    (void)options;
    (void)problems;
    return STORE_OK;
}
