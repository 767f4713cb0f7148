/* The store that faults are tried on, made anew for each run from one template, and what every run must leave.
 *
 * A scenario is some work on a store. It is run once without faults, which tells what it reads and what transactions it makes, and
 * then under each rule for N = 1, 2, 3… until nothing is hit any more. After each run
 *  1. what it returned is success or the error that fits the fault, told in a sentence or a line of the log (want of memory needs none);
 *  2. what it read, if it succeeded, is what it reads without faults;
 *  3. the same handle works, where the scenario has `again`;
 *  4. allocations and descriptors are as before;
 *  5. the store, opened anew, is at a transaction that the run without faults was at, whole; older instants are unchanged; verify finds
 *     nothing.
 */
#ifndef TIDFS_TESTS_FAULTS_WORLD_H
#define TIDFS_TESTS_FAULTS_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "history/view.h"
#include "store/head.h"
#include "tests/faults_inject.h"

#define INSTANTS_MAX 24
#define BODY_BYTES   70000 /* in a body file */

struct world {
    char directory[64]; /* of the store, which is this run's own */
    struct log log;
    char logged[4096];   /* as threads write it: world_log reads it */
    char log_text[4096]; /* what world_log gave last */
    struct error err;
    struct store *store;
    struct head *head;
    struct view_pool *pool;
    uint64_t read;      /* the hash of all that was read */
    int first;          /* what the step that failed returned, before it was tried again */
    bool sticky;        /* the fault was there until it was lifted */
    const char *broken; /* what the scenario itself found wrong */
    void *own;          /* the scenario's */
};

struct scenario {
    const char *name;
    int (*open)(struct world *w);   /* without faults; NULL: nothing */
    int (*act)(struct world *w);    /* 0 or a positive errno */
    int (*again)(struct world *w);  /* after the fault was lifted, with the same handles; NULL: not */
    void (*close)(struct world *w); /* NULL: world_close */
    unsigned without;               /* enum inject_group: these are not tried */
    bool empty;                     /* there is only an empty directory */
    bool slow;                      /* only three N of each rule, unless all are tried */
    bool writes;                    /* EIO may leave the handle of no use, as it says then */
    bool makes;                     /* a database, with the journal that one is made with */
    bool loses;                     /* not all that it leaves can be read: what instants show is not compared */
    bool tells;                     /* what cannot be read is told by what it reads, and is no error */
};

/* The template, and what its instants show. */
void world_make_template(void);
void world_remove_template(void);

/* What was logged since the world began or its log was forgotten. Valid until the next call. */
const char *world_log(struct world *w);
void world_forget_log(struct world *w);

/* A copy of the template, or an empty directory. */
void world_begin(struct world *w, bool empty);
void world_empty(struct world *w); /* removes what is in the directory */
void world_end(struct world *w);
void world_close(struct world *w); /* what is open of pool, head and store */

int world_open_read(struct world *w);
int world_open_write(struct world *w);
int world_open_head(struct world *w); /* nothing is sealed unless asked */
int world_open_pool(struct world *w);

void world_read(struct world *w, const void *data, size_t length); /* notes what was read */
void world_read_number(struct world *w, uint64_t number);
int world_errno(int code); /* of enum store_error and of negative errnos that are no small numbers */

/* What the store in the directory shows. It must verify. */
struct instants {
    uint64_t last;
    uint64_t hash[INSTANTS_MAX]; /* by `before`, 2..last + 1 */
};
void world_instants(const char *directory, struct instants *instants);
const struct instants *world_template_instants(void);

/* Runs the scenario under all rules. In the environment: FAULTS, per cent of the N that are tried (2; 0: one; 100: all); SEED, which of them; ONLY and
 * RULE, parts of the names of the scenarios and rules that are. */
void scenario_run(const struct scenario *scenario);
void scenario_totals(void);

extern const struct scenario store_scenarios[], head_scenarios[], history_scenarios[], repair_scenarios[],
    damage_scenarios[]; /* each ended by one without a name */

#endif
