/* Private to storage_sqlite*.c: the thread that moves the WAL into the database, so that no commit pays for it.
 *
 * Invariants
 *  1. The WAL is at most some 64 MiB, and beyond that only while a reader holds it back.
 *  2. A store on which nothing is committed for IDLE_SECONDS has an empty WAL.
 *
 * Threads: one, started by checkpointer_start, ended by checkpointer_stop, which waits for it: at most for the
 * checkpoint that is running. It has a connection of its own. Its mutex is a leaf.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_CHECKPOINT_H
#define TIDFS_STORE_STORAGE_SQLITE_CHECKPOINT_H

#include "store/error.h"
#include "store/log.h"

struct checkpointer;
struct connection;

int checkpointer_start(const char *path, struct log *log, struct checkpointer **checkpointer, struct error *err);
/* NULL is legal. */
void checkpointer_stop(struct checkpointer *checkpointer);
/* Lets the checkpointer hear of the connection's commits. The connection is closed before the checkpointer stops, or
 * commits no more. */
void checkpointer_watch(struct checkpointer *checkpointer, struct connection *writer);

#endif
