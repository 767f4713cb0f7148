/* Output for people: a pager for what may be longer than the screen, and colour. Neither is used if stdout is no terminal.
 *
 * While the pager runs, stdout leads to it, and so does stderr if that was a terminal: two programs cannot share one screen. The keys are the
 * pager's: it reads them from the terminal itself.
 *
 * Invariants
 *  1. This process does not end before the pager does: on SIGINT, SIGTERM, SIGHUP and SIGQUIT too it waits first. main calls
 *     pager_end() after every command.
 *  2. Leaving the pager before everything was written ends the process at once, quietly, and with EXIT_DONE: who leaves has seen enough.
 *
 * Threads: the main thread. State: a process has one stdout, and what is known of it (the pager behind it, whether it takes colour) is
 * kept here, in the open, like stdout itself.
 */
#ifndef TIDFS_FS_PAGER_H
#define TIDFS_FS_PAGER_H

#include <stdbool.h>

/* What the environment variable must be, beside unset, for a command to write straight to the terminal. */
#define PAGER_VARIABLE "TIDFS_PAGER"
#define PAGER_NONE     ""

/* Sends stdout through $TIDFS_PAGER, else $PAGER, else `less` with LESS=FRX if LESS is unset (as git does), when stdout is a terminal and `wanted`.
 * An empty one, or `cat`, is none. One that cannot be started is done without. Called before anything is printed; a second call does nothing. */
void pager_begin(bool wanted);
/* Flushes and waits for it; stdout and stderr are then what they were. Called by output_finish(). Without a pager: nothing. */
void pager_end(void);
/* Whether stdout leads to a person: it is a terminal, or leads to one through the pager. */
bool pager_is_terminal(void);

enum colour_when { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER };
/* Before the first colour(), in any order with pager_begin. AUTO: if stdout is (or was, before the pager) a terminal, TERM is not
 * "dumb" and NO_COLOR is unset or empty. */
void colour_init(enum colour_when when);

enum colour {
    COLOUR_NONE,
    COLOUR_ADDED,
    COLOUR_REMOVED,
    COLOUR_HEADER,
    COLOUR_HUNK,
    COLOUR_TID,
    COLOUR_DIM,
    COLOUR_KINDS
};
/* The escape sequence that begins it (COLOUR_NONE: ends all), or "" without colour. */
const char *colour(enum colour colour);

#endif
