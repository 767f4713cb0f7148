/* What commands say to people: errors, times, names that may hold anything, progress.
 *
 * Invariants
 *  1. Nothing that came from a store or a path moves a terminal's cursor or changes its state: control characters, malformed
 *     UTF-8 and the characters that reorder text are shown escaped.
 *  2. What goes to a pipe or a file is not escaped unless a function says so.
 *
 * Threads: the main thread.
 */
#ifndef TIDFS_FS_OUTPUT_H
#define TIDFS_FS_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define OUTPUT_TIME_SIZE  48
#define OUTPUT_BYTES_SIZE 32

/* "tidfs: " and the text and a newline on stderr. The text reads "what: why; what to do". */
void output_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A name or path: on a terminal, one that invariant 1 forbids is written as $'…', which a shell reads back; else the bytes. */
void output_name(FILE *out, const char *name);
/* Free text, always on one line: what invariant 1 forbids is written as \n, \t or \ooo, also to pipes. */
void output_text(FILE *out, const char *text, size_t length);

/* 2026-11-22T11:30:00.250000000+01:00, in the reader's time zone or with Z in UTC. All nine digits, because such a time is a
 * <when>: given back, it names the same transaction. */
void output_time(struct timespec when, bool utc, char text[OUTPUT_TIME_SIZE]);
/* "312 bytes", "64.0 MiB". */
void output_bytes(uint64_t bytes, char text[OUTPUT_BYTES_SIZE]);
/* "45 s", "2 h 5 min". */
void output_duration(uint64_t ns, char text[OUTPUT_BYTES_SIZE]);

/* Writes out stdout and waits for the pager, if there is one. Returns EXIT_DONE, or says why not and returns EXIT_FAILED. A closed pipe is not worth a message. */
int output_finish(void);

/* A line on stderr about work that takes longer than a second; nothing if that is not a terminal. */
struct progress {
    const char *label; /* the caller's */
    struct timespec started;
    bool terminal, shown;
};
void progress_init(struct progress *progress, const char *label);
/* total 0: not known. Cheap enough to call some thousand times a second. */
void progress_update(struct progress *progress, uint64_t done, uint64_t total);
/* Removes the line; call it before anything else is written. It may come back. */
void progress_clear(struct progress *progress);

#endif
