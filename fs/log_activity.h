/* How much happened when: transactions counted by hour or day, as a graph for a terminal or as JSON lines.
 *
 * Hours and days are the reader's, or UTC's. A day is as long as the reader's clock makes it.
 *
 * Cost: memory for each hour in which there was anything.
 * Threads: the main thread.
 */
#ifndef TIDFS_FS_LOG_ACTIVITY_H
#define TIDFS_FS_LOG_ACTIVITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* AUTO: by hour if all of it happened within three days. */
enum activity_unit { ACTIVITY_AUTO, ACTIVITY_HOUR, ACTIVITY_DAY };

struct activity_period {
    time_t start, end; /* end is not in it */
    uint64_t transactions, objects;
};
struct activity {
    bool utc;
    struct activity_period *items; /* hours; in the order of time, whichever way it ran */
    size_t count, capacity;
};

void activity_init(struct activity *activity, bool utc);
void activity_release(struct activity *activity);
/* In ascending or in descending order of time. False: out of memory. */
bool activity_add(struct activity *activity, time_t when, uint64_t objects);
/* Prints on stdout, the oldest first: a line for each period, `columns` wide at most, with what was empty for long left out; or an object for each period
 * that is not empty. */
void activity_print(struct activity *activity, enum activity_unit unit, unsigned columns);
void activity_print_json(struct activity *activity, enum activity_unit unit);
/* Columns of the terminal that output goes to, or 80. */
unsigned activity_columns(void);

#endif
