/* Inside tool_crashload: what its loads share.
 *
 * Each load is worked by WORKERS processes side by side, each in a directory of its own and with a log of its own outside the filesystem that
 * is killed. In the log a worker says what it is about to do where the check must know that, and what was acknowledged.
 */
#ifndef TIDFS_TESTS_CRASHLOAD_H
#define TIDFS_TESTS_CRASHLOAD_H

#include <stdbool.h>
#include <stdio.h>

#define WORKERS 4

struct worker {
    int number;
    int directory; /* its own */
    FILE *log;
    unsigned seed;
    unsigned version;
};

/* In 0 .. below - 1. */
unsigned worker_pick(struct worker *worker, unsigned below);
/* After a call that failed: 1 if the filesystem is gone, which is how a run is meant to end; else says what failed, and -1. */
int worker_stop(const struct worker *worker, const char *what);

/* Each load has
 *   work   works until the filesystem is gone: 1; or something else fails: -1.
 *   check  compares directory/<number> with log.<number>, and prints what differs. Returns the number of differences, -1 if the log
 *          cannot be read. *acknowledged counts up what was held against the tree. */
int mixed_work(struct worker *worker);
int mixed_check(const char *directory, const char *log, int number, unsigned *acknowledged);
int write_work(struct worker *worker);
int write_check(const char *directory, const char *log, int number, unsigned *acknowledged);
int create_work(struct worker *worker);
int create_check(const char *directory, const char *log, int number, unsigned *acknowledged);
int rename_work(struct worker *worker);
int rename_check(const char *directory, const char *log, int number, unsigned *acknowledged);
int fsync_work(struct worker *worker);
int fsync_check(const char *directory, const char *log, int number, unsigned *acknowledged);

/* Opens files below `directory`, says "open" on stdout, waits for a line on stdin, and then uses what it has open in each way, when the
 * filesystem is gone. 0 if each use failed as it should, and soon. */
int hold(const char *directory);

#endif
