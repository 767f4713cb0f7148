/* Makes calls fail: those of the project's own objects, which the linker sends here (-Wl,--wrap, see inject_calls in the Makefile), and
 * SQLite's system calls, syncs and allocations, which it lets one replace. What libc and libfuse do for themselves is left alone.
 *
 * One rule is armed at a time: the Nth call of the groups that it names fails, once or for ever after.
 *
 * Every sync that does not fail is told as done and not made, which is what makes thousands of runs possible.
 *
 * Threads: calls may come from any; arming and disarming while others call is legal, and the count is of all threads together.
 */
#ifndef TIDFS_TESTS_FAULTS_INJECT_H
#define TIDFS_TESTS_FAULTS_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inject_group {
    INJECT_MEMORY = 1,            /* malloc and what allocates for its caller */
    INJECT_THREADS = 2,           /* pthread_create, pthread_*_init, pthread_key_create */
    INJECT_LOOKS = 4,             /* open, stat, readdir, access, realpath, locks...: what looks at the disk */
    INJECT_READS = 8,             /* pread */
    INJECT_WRITES = 16,           /* pwrite, ftruncate, fallocate, mkdir, rename, unlink... */
    INJECT_SYNCS = 32,            /* fsync, fdatasync of our own */
    INJECT_SQLITE_MEMORY = 64,    /* SQLite's allocations; the code does not matter */
    INJECT_SQLITE_LOOKS = 128,    /* SQLite's system calls, grouped like ours */
    INJECT_SQLITE_READS = 256,    /* pread */
    INJECT_SQLITE_WRITES = 512,   /* pwrite, ftruncate, fallocate, unlink, mmap for the shared memory */
    INJECT_SQLITE_SYNCS = 1024,   /* its fsync and fdatasync */
    INJECT_SQLITE_RESULTS = 2048, /* our calls of sqlite3_step, _prepare_v3, _exec, _bind...: the code is a result */
    INJECT_SQLITE_LOCKS = 4096,   /* its fcntl; one that fails for good it repeats for ten seconds */
};

struct inject_rule {
    unsigned groups; /* one or several */
    uint64_t nth;    /* from 1 */
    int code; /* an errno (EINTR: only calls that signals interrupt count); of INJECT_SQLITE_RESULTS a result of SQLite's */
    bool
        new_site; /* instead of the Nth: the first from a place of the code from which none failed by this rule's groups and code yet */
    bool sticky; /* all calls after it fail too */
    bool halves; /* instead of failing, a read or write of more than one byte does the first half of its work */
    bool
        sites; /* notes which places of the code the calls come from; with nth 0 the first from one of which none failed yet fails */
    bool this_thread;   /* only calls of the thread that armed it */
    bool other_threads; /* only calls of other threads than that */
};

/* Once, at the start of main and before SQLite is used: replaces its allocator (and turns off its own pools, so that each allocation is seen)
 * and its system calls. */
void inject_init(void);

void inject_arm(const struct inject_rule *rule); /* copies it, and starts counting anew */
void inject_disarm(void);
/* No call fails or counts in between. */
void inject_pause(void);
void inject_resume(void);
/* Since it was armed; after disarming too. */
uint64_t inject_count(void);   /* calls of the rule's groups */
bool inject_hit(void);         /* whether one was made to fail */
const char *inject_call(void); /* the first that was; "" if none. Static */

/* Whether calls of such a rule came from places of which none failed yet. */
bool inject_has_new_sites(void);

/* For further calls that a program stands in for: counts, and tells whether to fail with *code. `call` is static. */
bool inject_fails(enum inject_group group, const char *call, int *code);
/* The same for calls that take a length, of which *length is halved when the rule says so. */
bool inject_io_fails(enum inject_group group, const char *call, size_t *length, int *code);

/* Allocations of our objects less what they freed, and SQLite's: a run that leaves these as they were has no leak. */
int64_t inject_live(void);
int64_t inject_sqlite_live(void);
/* How often the project's objects have had SQLite move its log, and it has come back. */
uint64_t inject_checkpoints(void);
/* Descriptors of this process. */
int inject_descriptors(void);

#endif
