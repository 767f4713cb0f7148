/* The grammar of <when>: how people name an instant. One parser, for paths and for the command line (DESIGN 2).
 *
 *     when    = base step*
 *     base    = tid | date | epoch | samba | relative | tag
 *     step    = "~" digits | "^"                            that many transactions earlier; "^" is "~1"
 *     tid     = 16 hex digits                                always a tid, whatever else it looks like
 *     date    = YYYY [ "-" MM [ "-" DD [ ("T" | "t" | " ") clock ] ] ]
 *     clock   = ( HH | HH ":" MM | HHMM | ( HH ":" MM ":" SS | HHMMSS ) [ "." digits ] ) [ zone ]
 *     zone    = "Z" | "z" | ("+" | "-") ( HH ":" MM | HHMM )   none: UTC
 *     epoch   = "@" [ "-" ] digits [ "." digits ]            seconds since 1970
 *     samba   = "@GMT-" YYYY "." MM "." DD "-" HH "." MM "." SS
 *     relative = "now" | "today" | "yesterday" | "-" digits ( "s" | "m" | "h" | "d" | "w" )
 *     tag     = a name that can be nothing of the above: see when_tag_name_check
 *
 * A date that leaves parts out is the start of the year, month, day, hour or minute that it names. Digits of a fraction beyond the
 * ninth are dropped. There are no leap seconds.
 *
 * This file says what a text means and asks no store: whether the tag exists, and which transactions there are, is for
 * history/resolve.h.
 *
 * Invariants
 *  1. Strict: a text has one meaning or none. Nothing is guessed, trimmed or completed.
 *  2. kind TID: tid <= TID_MAX. INSTANT and RELATIVE: tid_from_time accepts the instant.
 *  3. moving is true for all kinds but TID and INSTANT. Steps move when what they start from does.
 *  4. steps <= WHEN_STEPS_MAX.
 *  5. A text of a kind other than TAG is never a valid tag name, and no tag name is a text of another kind.
 *
 * Threads: pure functions. Ownership: struct when points to nothing.
 */
#ifndef TIDFS_HISTORY_WHEN_H
#define TIDFS_HISTORY_WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/error.h"

#define WHEN_TAG_MAX   255                       /* bytes of a tag's name */
#define WHEN_STEPS_MAX ((UINT64_C(1) << 60) - 1) /* no store has more transactions */

enum when_kind {
    WHEN_TID,      /* tid */
    WHEN_INSTANT,  /* instant: a date, an epoch or Samba's form */
    WHEN_NOW,      /* instant is the clock as it was passed in */
    WHEN_RELATIVE, /* instant: today, yesterday, -2h */
    WHEN_TAG,      /* tag */
};

struct when {
    enum when_kind kind;
    uint64_t tid;
    struct timespec instant;
    char tag[WHEN_TAG_MAX + 1];
    uint64_t steps;  /* transactions earlier than the newest one that the rest means */
    bool moving;     /* may mean another transaction later */
    bool needs_seal; /* depends on what is pending on a writable mount: `now`, and steps from it */
};

/* Parses the whole of text[0..length), which need not end in NUL and may hold any bytes. `now` is the clock, for relative forms.
 * STORE_OK, or STORE_INVALID with a sentence that says what is wrong and how it would be right; *out is then left alone.
 * Cost: linear in length. */
int when_parse(const char *text, size_t length, struct timespec now, struct when *out, struct error *err);

/* Whether text[0..length) may name a tag: 1 to 255 bytes, none of them a control character, white space or one of / ~ ^ @ : ;
 * no "-" or "." at its start, no "." at its end and no ".." (which separates the ends of a range); not four digits at its start, not
 * digits and hyphens alone, not 16 hex digits, not now, today or yesterday in any case.
 * STORE_OK, or STORE_INVALID with a sentence. */
int when_tag_name_check(const char *text, size_t length, struct error *err);

/* The same of a NUL-terminated name. */
bool when_tag_name_valid(const char *name);

#endif
