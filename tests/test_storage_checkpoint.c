/* When the write-ahead log is moved, and what is made of a move that fails. SQLite's commits and moves, and the passing of time, are played by the test. */
#include "tests/storage_fixture.h"

#include <errno.h>
#include <sqlite3.h>

#include "store/storage_sqlite_checkpoint.h"
#include "store/storage_sqlite_connection.h"

#define MOVES_MAX 64

enum time_passing {
    TIME_STANDS,         /* who waits for a time wakes up for nothing */
    TIME_IS_OVER,        /* at once */
    TIME_ENDS_AT_COMMIT, /* a commit comes in the same moment */
    TIME_ENDS_AT_STOP,   /* the end comes in the same moment */
};

struct played {
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    int (*committed)(void *context, sqlite3 *db, const char *database, int frames);
    void *context;
    enum time_passing time;
    int frames; /* of the commit that comes as time ends, or during a move to empty the log */
    bool commit_in_truncate;
    bool partly;                     /* a move does not get to the end of the log */
    int result;                      /* of all moves */
    int modes[MOVES_MAX];            /* of the moves that there were */
    unsigned moves, waits, timeouts; /* and of waits for a time */
};
static struct played played = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void commit_with(int frames) {
    assert_int_equal(played.committed(played.context, NULL, "main", frames), SQLITE_OK);
}

void *__wrap_sqlite3_wal_hook(sqlite3 *db, int (*committed)(void *, sqlite3 *, const char *, int), void *context);
void *__wrap_sqlite3_wal_hook(sqlite3 *db, int (*committed)(void *, sqlite3 *, const char *, int), void *context) {
    (void)db;
    played.committed = committed;
    played.context = context;
    return NULL;
}

int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *in_log, int *done);
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *in_log, int *done) {
    (void)db;
    assert_string_equal(name, "main");
    (void)pthread_mutex_lock(&played.mutex);
    if (played.moves < MOVES_MAX)
        played.modes[played.moves] = mode;
    played.moves++;
    *in_log = 7;
    *done = played.partly ? 3 : 7;
    int result = played.result;
    bool commits = played.commit_in_truncate && mode == SQLITE_CHECKPOINT_TRUNCATE;
    if (commits)
        played.commit_in_truncate = false;
    (void)pthread_cond_broadcast(&played.changed);
    (void)pthread_mutex_unlock(&played.mutex);
    if (commits)
        commit_with(played.frames);
    return result;
}

int __real_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    struct timespec soon;
    assert_true(until->tv_sec > 0);
    (void)pthread_mutex_lock(&played.mutex);
    enum time_passing time = played.time;
    if (time == TIME_ENDS_AT_COMMIT)
        played.time = TIME_STANDS;
    played.waits++;
    played.timeouts += time != TIME_STANDS;
    (void)pthread_cond_broadcast(&played.changed);
    (void)pthread_mutex_unlock(&played.mutex);
    switch (time) {
    case TIME_IS_OVER:
        return ETIMEDOUT;
    case TIME_ENDS_AT_COMMIT:
        (void)pthread_mutex_unlock(mutex);
        commit_with(played.frames);
        (void)pthread_mutex_lock(mutex);
        return ETIMEDOUT;
    case TIME_ENDS_AT_STOP:
        (void)pthread_cond_wait(condition, mutex);
        return ETIMEDOUT;
    case TIME_STANDS:
        break;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &soon);
    soon.tv_nsec += 2000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    (void)__real_pthread_cond_timedwait(condition, mutex, &soon);
    return 0;
}

/* ---- */

struct world {
    struct fixture *f;
    struct checkpointer *checkpointer;
    struct connection *writer;
};

static int set_up_world(void **state) {
    struct world *w = calloc(1, sizeof *w);
    void *fixture;
    assert_non_null(w);
    assert_int_equal(set_up(&fixture), 0);
    w->f = fixture;
    storage_close(w->f->storage);
    w->f->storage = NULL;
    played.time = TIME_STANDS;
    played.commit_in_truncate = played.partly = false;
    played.result = SQLITE_OK;
    played.moves = played.waits = played.timeouts = 0;
    const char *path = fixture_path(w->f, "tidfs.db");
    assert_int_equal(connection_open(path, CONNECTION_WRITE, &w->f->log, &w->writer, NULL), STORE_OK);
    assert_int_equal(checkpointer_start(path, &w->f->log, &w->checkpointer, NULL), STORE_OK);
    checkpointer_watch(w->checkpointer, w->writer);
    *state = w;
    return 0;
}

static void stop(struct world *w) {
    checkpointer_stop(w->checkpointer);
    w->checkpointer = NULL;
}

static int tear_down_world(void **state) {
    struct world *w = *state;
    void *fixture = w->f;
    stop(w);
    connection_close(w->writer);
    int rc = tear_down(&fixture);
    free(w);
    return rc;
}

static void set_time(enum time_passing time) {
    (void)pthread_mutex_lock(&played.mutex);
    played.time = time;
    (void)pthread_mutex_unlock(&played.mutex);
}

static void set_result(int result) {
    (void)pthread_mutex_lock(&played.mutex);
    played.result = result;
    (void)pthread_mutex_unlock(&played.mutex);
}

static void await(const unsigned *what, unsigned count) {
    (void)pthread_mutex_lock(&played.mutex);
    while (*what < count)
        (void)pthread_cond_wait(&played.changed, &played.mutex);
    (void)pthread_mutex_unlock(&played.mutex);
}

/* Until the thread waits for a time, with all that it had to do done. */
static void await_rest(void) {
    (void)pthread_mutex_lock(&played.mutex);
    unsigned waits = played.waits;
    while (played.waits < waits + 2)
        (void)pthread_cond_wait(&played.changed, &played.mutex);
    (void)pthread_mutex_unlock(&played.mutex);
}

static unsigned count_lines(const char *text) {
    unsigned lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void expect_moves(const int *modes, unsigned count) {
    assert_int_equal(played.moves, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(played.modes[i], modes[i]);
}

static void test_checkpoint__each_four_mebibytes_are_moved(void **state) {
    (void)state;
    commit_with(10);
    commit_with(1023);
    await_rest();
    expect_moves(NULL, 0);
    commit_with(1024);
    await(&played.moves, 1);
    await_rest();
    commit_with(2047);
    await_rest();
    expect_moves((int[]){SQLITE_CHECKPOINT_PASSIVE}, 1);
    commit_with(2048);
    await(&played.moves, 2);
    await_rest();
    commit_with(5); /* it has started over */
    commit_with(1024);
    await(&played.moves, 3);
    await_rest();
    expect_moves((int[]){SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_PASSIVE}, 3);
}

static void test_checkpoint__a_large_log_is_made_to_start_over(void **state) {
    (void)state;
    commit_with(16383);
    await(&played.moves, 1);
    await_rest();
    expect_moves((int[]){SQLITE_CHECKPOINT_PASSIVE}, 1);
    commit_with(16383 + 1024);
    await(&played.moves, 3);
    await_rest();
    expect_moves((int[]){SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_RESTART}, 3);
}

static void test_checkpoint__a_failure_is_told_once_until_it_is_over(void **state) {
    struct world *w = *state;
    const char *log_text = w->f->log_text;
    set_result(SQLITE_IOERR_WRITE);
    commit_with(1024);
    await(&played.moves, 1);
    await_rest();
    assert_non_null(strstr(log_text, "cannot move the write-ahead log"));
    assert_int_equal(count_lines(log_text), 1);
    commit_with(2048);
    await(&played.moves, 2);
    await_rest();
    /* That somebody reads or writes meanwhile is no failure, and says nothing of one. */
    set_result(SQLITE_BUSY);
    commit_with(3072);
    await(&played.moves, 3);
    await_rest();
    set_result(SQLITE_LOCKED_SHAREDCACHE);
    commit_with(4096);
    await(&played.moves, 4);
    await_rest();
    set_result(SQLITE_IOERR_WRITE);
    commit_with(5120);
    await(&played.moves, 5);
    await_rest();
    assert_int_equal(count_lines(log_text), 1);
    set_result(SQLITE_OK);
    commit_with(6144);
    await(&played.moves, 6);
    await_rest();
    set_result(SQLITE_IOERR_WRITE);
    commit_with(7168);
    await(&played.moves, 7);
    await_rest();
    assert_int_equal(count_lines(log_text), 2);
}

static void test_checkpoint__an_idle_log_is_emptied_once(void **state) {
    static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_TRUNCATE, SQLITE_CHECKPOINT_PASSIVE,
                                SQLITE_CHECKPOINT_TRUNCATE};
    struct world *w = *state;
    set_time(TIME_IS_OVER);
    commit_with(10);
    await(&played.moves, 2);
    commit_with(3); /* the first one since the log is empty is heard of */
    await(&played.moves, 4);
    stop(w);
    expect_moves(modes, 4);
}

static void test_checkpoint__what_could_not_be_emptied_is_tried_again(void **state) {
    struct world *w = *state;
    played.partly = true;
    set_time(TIME_IS_OVER);
    commit_with(10);
    await(&played.moves, 6);
    set_result(SQLITE_BUSY);
    await(&played.moves, 12);
    (void)pthread_mutex_lock(&played.mutex);
    played.partly = false;
    played.result = SQLITE_OK;
    unsigned moves = played.moves;
    (void)pthread_mutex_unlock(&played.mutex);
    await(&played.moves, moves + 1);
    stop(w);
    assert_true(played.moves <= moves + 3); /* the one that had begun, and one that succeeded */
}

/* The log is not empty then. */
static void test_checkpoint__a_commit_meanwhile_is_not_forgotten(void **state) {
    struct world *w = *state;
    played.commit_in_truncate = true;
    played.frames = 12;
    set_time(TIME_IS_OVER);
    commit_with(10);
    await(&played.moves, 4);
    stop(w);
    expect_moves((int[]){SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_TRUNCATE, SQLITE_CHECKPOINT_PASSIVE,
                         SQLITE_CHECKPOINT_TRUNCATE},
                 4);
}

static void test_checkpoint__a_log_that_was_just_written_is_not_idle(void **state) {
    struct world *w = *state;
    played.frames = 20;
    set_time(TIME_ENDS_AT_COMMIT);
    commit_with(10);
    await(&played.timeouts, 1);
    await_rest();
    stop(w);
    expect_moves(NULL, 0);
}

static void test_checkpoint__who_is_to_stop_moves_nothing_more(void **state) {
    struct world *w = *state;
    set_time(TIME_ENDS_AT_STOP);
    commit_with(10);
    await(&played.timeouts, 1);
    stop(w);
    expect_moves(NULL, 0);
    checkpointer_stop(NULL);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_checkpoint__##name, set_up_world, tear_down_world)
    const struct CMUnitTest tests[] = {
        TEST(each_four_mebibytes_are_moved),
        TEST(a_large_log_is_made_to_start_over),
        TEST(a_failure_is_told_once_until_it_is_over),
        TEST(an_idle_log_is_emptied_once),
        TEST(what_could_not_be_emptied_is_tried_again),
        TEST(a_commit_meanwhile_is_not_forgotten),
        TEST(a_log_that_was_just_written_is_not_idle),
        TEST(who_is_to_stop_moves_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
