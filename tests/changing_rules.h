/* Small histories, each of which meets one rule of undo: what it does, and what must come of undoing a transaction in the middle of it. */
#ifndef TIDFS_TESTS_CHANGING_RULES_H
#define TIDFS_TESTS_CHANGING_RULES_H

#include "tests/changing.h"

/* Three transactions, as scripts for changing_play. Transaction 1 made the store; `first` is 2, `undone` 3, `later` 4. */
struct changing_rule {
    const char *name;
    const char *first, *undone, *later;
    const char *
        conflicts; /* of undoing 3: "PATH: WHY, LATER" lines, where LATER is the seq of the transaction in the way or 0; "": none */
    const char *expected[6][2]; /* path, content: after the undo; "(absent)" */
};
extern const struct changing_rule changing_rules[];
extern const size_t changing_rule_count;

/* A step a line: "w PATH TEXT" writes, where a | is a line's end, "b PATH" writes what is no text, "s PATH TEXT" saves, "d PATH", "y PATH TARGET", "r PATH PATH", "x PATH PATH" exchanges,
 * "l PATH PATH", "- PATH", "m PATH MODE", "o PATH UID:GID", "a PATH VALUE" sets user.a, "A PATH" removes it, "t PATH SECONDS" sets both times, "T PATH SECONDS" that of access and a nanosecond more. */
void changing_play(struct changing *c, const char *script);

#endif
