/* How much files changed, in lines and bytes: the table of --stat, as git draws it, with a column for bytes.
 *
 *      README.md | 12  +340 ++++++++----
 *      logo.png  | Bin 1024 -> 2048 bytes
 *      2 files changed, 8 insertions(+), 4 deletions(-), +1364 bytes
 *
 * Threads: the main thread.
 */
#ifndef TIDFS_FS_CHANGE_STAT_H
#define TIDFS_FS_CHANGE_STAT_H

#include "fs/change_output.h"

/* Prints the table of those changes that git would notice; in the place of lines, it says what cannot be read, and the names of these stand on
 * stderr. CHANGES_NOT_PRINTED: nothing was. */
enum change_printed change_stat_print(struct store *store, const struct change_list *list);

#endif
