/* Where history ends for a command: in a view, with the view; elsewhere with the newest transaction. And what to say of a path that led
 * nowhere up to there.
 *
 * Threads: the main thread. Errors are said on stderr where they are found.
 */
#ifndef TIDFS_FS_VIEW_LIMIT_H
#define TIDFS_FS_VIEW_LIMIT_H

#include "fs/subject.h"

/* Whether the location is in a view: what it shows does not change any more, so that nothing need be sealed for it. */
bool view_limit_applies(const struct location *location);
/* Lowers *last (a seq) to the newest transaction that the location's view shows; 0 if there is none. The subject's store is open. False:
 * said what is wrong. */
bool view_limit_lower(struct subject *subject, const struct location *location, uint64_t *last);
/* Says that `tree_path`, which the user called `shown`, led nowhere up to transaction `last`; and when it came, if it did. */
void view_limit_say_absent(struct subject *subject, const char *tree_path, const char *shown, uint64_t last, bool utc);
/* Says that it never led anywhere. `when` is the time that was asked about: "then", "now". */
void view_limit_say_never(const char *shown, const char *when);

#endif
