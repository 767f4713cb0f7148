/* A load on a mount, from many processes at once: see tests/tool_load.c.
 *
 *   load_writer.c   processes that change /head, and know what must be there
 *   load_reader.c   processes that look at views, and the sum of all that a view shows
 *   load_command.c  processes that run the command line
 *   load_watch.c    what the driver takes while they do, and whether anybody is stuck
 */
#ifndef TIDFS_TESTS_LOAD_H
#define TIDFS_TESTS_LOAD_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESSES   24
#define VIEWS       50
#define RECENT      64
#define SAMPLES_MAX 20000
#define PATH_SIZE   512

/* What a process is at; in memory that all share. */
struct activity {
    pid_t pid;
    _Atomic(int64_t) since_ns; /* CLOCK_MONOTONIC, when its operation began; 0: none */
    bool long_one;             /* it may take as long as it likes, if the driver does not wait for it */
    char what[128];            /* of the operation, for a person */
    _Atomic uint64_t done;
};

struct sample {
    uint64_t resident_kib, descriptors, threads, wal_bytes;
};

struct load {
    const char *mount, *store, *program; /* `program`: tidfs */
    pid_t driver;
    uint64_t seconds, seed;
    int64_t end_ns;
    struct view {
        char tid[17];
        uint64_t sum, objects; /* of all that it shows */
    } views[VIEWS];
    struct activity activities[PROCESSES + 1];
    _Atomic uint64_t recent[RECENT]; /* tids that commits were told, newest anywhere; 0: none yet */
    _Atomic uint64_t commits, failures;
    struct sample samples[SAMPLES_MAX];
    size_t sample_count;
};

/* One of the processes. */
struct worker {
    struct load *load;
    struct activity *activity;
    unsigned number;
    uint64_t random;
};

int64_t load_now_ns(void);
uint64_t load_random(struct worker *worker, uint64_t bound);
bool load_is_over(const struct worker *worker);

/* Around each operation: who is in one for too long is stuck. */
void load_begin(struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));
void load_end(struct worker *worker);
/* Something is not as it must be: says so, and ends the process and soon the run. */
_Noreturn void load_fail(struct worker *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Roles: each works until load_is_over, looks a last time at what it knows, and returns. */
void load_write_own(struct worker *worker);    /* in a directory of its own */
void load_write_shared(struct worker *worker); /* renames between directories that all share */
void load_read_views(struct worker *worker);
void load_read_others(struct worker *worker); /* instants as they come, by all kinds of names */
void load_command(struct worker *worker);

/* The sum of all that a directory shows: names, attributes, contents. Fails the worker if something cannot be read. */
uint64_t load_sum(struct worker *worker, const char *directory, uint64_t *objects);
/* Runs tidfs with these arguments (NULL-terminated), its output to `output` (size 0: dropped); its exit code. */
int load_run(struct worker *worker, char *const arguments[], char *output, size_t size);
/* A commit; its tid. */
void load_commit(struct worker *worker, const char *message, char tid[17]);

/* Looks at the driver and at all activities until the end. Returns whether all went on. */
bool load_watch(struct load *load, unsigned running);
/* The driver as it is now. */
bool load_sample(const struct load *load, struct sample *sample);

#endif
