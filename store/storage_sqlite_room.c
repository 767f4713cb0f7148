/* A store that is read without SQLite's locks, since its disk was too full for them, goes over to them when there is room again: until then no writer may
 * begin (storage_sqlite.c), who should not have to wait for the end of a mount.
 *
 *   immutable readers, our lock ── room, and a reader with locks succeeds ──▶ new readers with locks, our lock ── the last old one is given back ──▶ no lock
 */
#include <unistd.h>

#include "store/storage_sqlite.h"

/* Whether SQLite can make its files now. */
static bool locks_work(struct sqlite_storage *storage) {
    struct connection *reader;
    struct state_row state;
    if (connection_disk_full(storage->directory) ||
        connection_open_at(&storage->place, CONNECTION_READ, NULL, &reader, NULL) != STORE_OK)
        return false;
    bool work = state_row_get(reader, &state) == STORE_OK;
    connection_close(reader);
    return work;
}

void sqlite_use_room(struct sqlite_storage *storage) {
    if (atomic_load(&storage->lock) < 0 || pthread_mutex_trylock(&storage->writer_mutex) != 0)
        return; /* mostly; or another thread is about it */
    int lock = atomic_load(&storage->lock);
    if (lock >= 0 && (storage->readers.kind == CONNECTION_READ || locks_work(storage)) &&
        connection_pool_change(&storage->readers, CONNECTION_READ)) {
        atomic_store(&storage->lock, -1);
        (void)close(lock);
        log_write(storage->log, LOG_LEVEL_INFO, "%s has room again: it is read with locks, and may be written",
                  storage->directory);
    }
    (void)pthread_mutex_unlock(&storage->writer_mutex);
}
