/* Transaction ids: ZODB TimeStamps in integer arithmetic.
 *
 * A tid is 64 bits. High 32: ((((Y-1900)*12 + M-1)*31 + D-1)*24 + h)*60 + m, in UTC. Low 32: the
 * fraction of the minute in units of 60/2^32 s (13.97 ns). Every month has 31 days in this count, so
 * some values name no real date; they still order correctly (DESIGN 2).
 *
 * Invariants
 *  1. No floating point: nine consecutive tids can share one double.
 *  2. tid_from_time(tid_to_time(t)) == t for every tid of a real date: a tid is found again by the time that
 *     is shown for it. The other way about, some 14 neighbouring nanoseconds share one tid.
 *  3. 0 <= tid <= TID_MAX; 0 means "before everything".
 *
 * Threads: pure functions.
 */
#ifndef TIDFS_STORE_TID_H
#define TIDFS_STORE_TID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define TID_MAX            INT64_MAX /* SQLite integers are signed; lasts to the year 5908 */
#define TID_TEXT_SIZE      17        /* 16 lower-case hex digits and NUL */
#define TID_TIME_TEXT_SIZE 40        /* 2026-11-22T10:30:00.123456789Z and NUL, with room */

/* The tid of an instant (CLOCK_REALTIME, UTC). The largest tid whose nanosecond (tid_to_time) is not after it.
 * Returns false, and leaves *tid, for instants before 1900 or after TID_MAX, or tv_nsec outside
 * 0..999999999. */
bool tid_from_time(struct timespec when, uint64_t *tid);

/* The instant of a tid, truncated to nanoseconds; never shows second 60. For a tid in a day that does not
 * exist (31 February) the instant is that many days after the 1st, as in ZODB. */
struct timespec tid_to_time(uint64_t tid);

/* The tid for a new transaction: max(tid of now, last + 1). `last` is the store's newest tid, 0 if none.
 * Returns false at the end of time (TID_MAX reached). */
bool tid_next(struct timespec now, uint64_t last, uint64_t *tid);

/* 16 lower-case hex digits. */
void tid_format(uint64_t tid, char text[TID_TEXT_SIZE]);

/* Exactly 16 hex digits (either case) of a value up to TID_MAX; else false. `text` need not end in NUL. */
bool tid_parse(const char *text, size_t length, uint64_t *tid);

/* RFC 3339 in UTC with nine digits, truncated: 2026-11-22T10:30:00.250000000Z. */
void tid_format_time(struct timespec when, char text[TID_TIME_TEXT_SIZE]);

#endif
