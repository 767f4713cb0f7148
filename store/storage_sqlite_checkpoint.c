#include "store/storage_sqlite_checkpoint.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/storage_sqlite_connection.h"

#define FRAMES_PASSIVE  1024  /* pages in the WAL that are worth a checkpoint: 4 MiB */
#define FRAMES_RESTART  16384 /* above this the WAL is made to start over: 64 MiB */
#define IDLE_SECONDS    5
#define RESTART_WAIT_MS 100

struct checkpointer {
    pthread_t thread;
    struct connection *connection; /* the thread's */
    struct log *log;
    bool failing; /* the last one could not be done, which is told once */

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    bool stop;
    int frames;       /* in the WAL after the last commit */
    int due_at;       /* frames at which the next checkpoint is due */
    unsigned commits; /* counts, to see whether any came */
};

/* SQLite calls this after each commit. What it returned would become the commit's result. */
static int note_commit(void *context, sqlite3 *db, const char *database, int frames) {
    struct checkpointer *checkpointer = context;
    (void)db;
    (void)database;
    (void)pthread_mutex_lock(&checkpointer->mutex);
    if (frames < checkpointer->frames)
        checkpointer->due_at = FRAMES_PASSIVE; /* the WAL has started over */
    bool wake = frames >= checkpointer->due_at || checkpointer->frames == 0;
    checkpointer->frames = frames;
    checkpointer->commits++;
    if (wake)
        (void)pthread_cond_signal(&checkpointer->changed);
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    return SQLITE_OK;
}

/* True if the mode's work was done in full. */
static bool run_checkpoint(struct checkpointer *checkpointer, int mode, int wait_ms) {
    int in_wal = 0, done = 0;
    sqlite3 *db = checkpointer->connection->db;
    (void)sqlite3_busy_timeout(db, wait_ms);
    int result = sqlite3_wal_checkpoint_v2(db, "main", mode, &in_wal, &done);
    bool failing = result != SQLITE_OK && (result & 0xff) != SQLITE_BUSY && (result & 0xff) != SQLITE_LOCKED;
    if (failing && !checkpointer->failing)
        log_write(checkpointer->log, LOG_LEVEL_WARNING,
                  "database: cannot move the write-ahead log: %s; it grows until that succeeds, which is tried again",
                  connection_why(checkpointer->connection, result));
    if (failing || result == SQLITE_OK)
        checkpointer->failing = failing;
    return result == SQLITE_OK && in_wal == done;
}

/* Mutex held, and let go meanwhile. */
static void checkpoint(struct checkpointer *checkpointer) {
    bool restart = checkpointer->frames >= FRAMES_RESTART;
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    (void)run_checkpoint(checkpointer, SQLITE_CHECKPOINT_PASSIVE, 0);
    /* What the passive one left is little, so this keeps the writer waiting for a moment only. */
    if (restart)
        (void)run_checkpoint(checkpointer, SQLITE_CHECKPOINT_RESTART, RESTART_WAIT_MS);
    (void)pthread_mutex_lock(&checkpointer->mutex);
    checkpointer->due_at = checkpointer->frames + FRAMES_PASSIVE;
}

/* Mutex held, and let go meanwhile. */
static void truncate_idle(struct checkpointer *checkpointer) {
    unsigned commits = checkpointer->commits;
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    (void)run_checkpoint(checkpointer, SQLITE_CHECKPOINT_PASSIVE, 0);
    bool empty = run_checkpoint(checkpointer, SQLITE_CHECKPOINT_TRUNCATE, 0);
    (void)pthread_mutex_lock(&checkpointer->mutex);
    if (empty && commits == checkpointer->commits) {
        checkpointer->frames = 0;
        checkpointer->due_at = FRAMES_PASSIVE;
    }
}

static void *run(void *context) {
    struct checkpointer *checkpointer = context;
    unsigned commits = 0;
    (void)pthread_mutex_lock(&checkpointer->mutex);
    while (!checkpointer->stop) {
        int waited = 0;
        if (checkpointer->frames >= checkpointer->due_at) {
            checkpoint(checkpointer);
        } else if (checkpointer->frames == 0) {
            waited = pthread_cond_wait(&checkpointer->changed, &checkpointer->mutex);
        } else {
            struct timespec until;
            (void)clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += IDLE_SECONDS;
            commits = checkpointer->commits;
            waited = pthread_cond_timedwait(&checkpointer->changed, &checkpointer->mutex, &until);
        }
        if (waited == ETIMEDOUT && !checkpointer->stop && commits == checkpointer->commits)
            truncate_idle(checkpointer);
    }
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    return NULL;
}

static int init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0)
        return -1;
    int failed = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (!failed)
        failed = pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return failed ? -1 : 0;
}

int checkpointer_start(const char *path, struct log *log, struct checkpointer **out, struct error *err) {
    struct checkpointer *checkpointer = calloc(1, sizeof *checkpointer);
    if (!checkpointer)
        return error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", path);
    checkpointer->log = log;
    checkpointer->due_at = FRAMES_PASSIVE;
    int rc = connection_open(path, CONNECTION_WRITE, log, &checkpointer->connection, err);
    if (rc != STORE_OK)
        goto out;
    rc = STORE_NO_MEMORY;
    if (pthread_mutex_init(&checkpointer->mutex, NULL) != 0)
        goto out_connection;
    if (init_condition(&checkpointer->changed) < 0)
        goto out_mutex;
    int failed = pthread_create(&checkpointer->thread, NULL, run, checkpointer);
    if (failed) {
        rc = error_set(err, STORE_NO_MEMORY, "cannot start a thread: %s", strerror(failed));
        goto out_condition;
    }
    *out = checkpointer;
    return STORE_OK;

out_condition:
    (void)pthread_cond_destroy(&checkpointer->changed);
out_mutex:
    (void)pthread_mutex_destroy(&checkpointer->mutex);
out_connection:
    connection_close(checkpointer->connection);
out:
    free(checkpointer);
    return rc;
}

void checkpointer_stop(struct checkpointer *checkpointer) {
    if (!checkpointer)
        return;
    (void)pthread_mutex_lock(&checkpointer->mutex);
    checkpointer->stop = true;
    (void)pthread_cond_signal(&checkpointer->changed);
    (void)pthread_mutex_unlock(&checkpointer->mutex);
    (void)pthread_join(checkpointer->thread, NULL);
    connection_close(checkpointer->connection);
    (void)pthread_cond_destroy(&checkpointer->changed);
    (void)pthread_mutex_destroy(&checkpointer->mutex);
    free(checkpointer);
}

void checkpointer_watch(struct checkpointer *checkpointer, struct connection *writer) {
    (void)sqlite3_wal_hook(writer->db, note_commit, checkpointer);
}
