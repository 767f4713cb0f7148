/* A writer of JSON to a stream: what the --json options print.
 *
 * Names, messages and paths are bytes, and JSON has only Unicode. A string that is not UTF-8 is written with U+FFFD for each byte that
 * is wrong, and followed by a second member, its key with "_base64" added, that holds the exact bytes. A reader who needs them looks
 * for that member; it is there only when the two differ.
 *
 * Invariants
 *  1. The output is valid JSON, in UTF-8, whatever the strings hold; one document ends in one newline.
 *  2. Values inside an object have a key, values inside an array and at the top have NULL.
 *  3. Nesting is at most JSON_DEPTH_MAX.
 *
 * Integers are written in full; values may exceed 2^53, tids therefore are strings of hex digits, as people see them elsewhere.
 * Threads: one at a time. Errors: those of the stream; the caller looks at ferror() when done.
 */
#ifndef TIDFS_FS_JSON_H
#define TIDFS_FS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define JSON_DEPTH_MAX 8

struct json {
    FILE *out; /* the caller's */
    unsigned depth;
    struct json_level {
        bool array, filled;
        bool lines; /* each member on a line of its own */
    } levels[JSON_DEPTH_MAX + 1];
};

void json_init(struct json *json, FILE *out);

void json_begin_object(struct json *json, const char *key);
void json_end_object(struct json *json);
/* lines: one element a line, so that line-oriented tools can look at a long list. */
void json_begin_array(struct json *json, const char *key, bool lines);
void json_end_array(struct json *json);

/* NULL text: null. */
void json_string(struct json *json, const char *key, const char *text);
void json_number(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);
/* 16 hex digits; null for 0. */
void json_tid(struct json *json, const char *key, uint64_t tid);
/* RFC 3339 in UTC, nine digits. */
void json_time(struct json *json, const char *key, struct timespec when);

#endif
