/* Private to store.c and store_read.c: what a store is made of. */
#ifndef TIDFS_STORE_STORE_PRIVATE_H
#define TIDFS_STORE_STORE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/lock.h"
#include "store/store.h"

struct store {
    char *directory;
    struct storage *storage;
    struct cache *cache;
    struct log *log;
    uint64_t list_bytes_max;  /* larger lists of entries are not kept */
    struct writer_lock *lock; /* NULL: opened for reading */
    /* One commit or refresh at a time. Taken before the storage's and the cache's own locks. */
    pthread_mutex_t advance_lock;
    _Atomic uint64_t horizon;
};

#endif
