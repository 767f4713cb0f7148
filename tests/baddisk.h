/* What tool_baddisk's files share: the rules by which it fails (baddisk_rules.c), and what is written and not synced (baddisk_pages.c).
 *
 * Threads: each of the two has a mutex of its own; neither calls the other.
 */
#ifndef TIDFS_TESTS_BADDISK_H
#define TIDFS_TESTS_BADDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define BADDISK_PAGE 4096

enum baddisk_op {
    BADDISK_READ,
    BADDISK_WRITE,
    BADDISK_FSYNC,
    BADDISK_OPEN,
    BADDISK_CREATE,
    BADDISK_TRUNCATE,
    BADDISK_FALLOCATE,
    BADDISK_RENAME,
    BADDISK_UNLINK,
    BADDISK_MKDIR,
    BADDISK_STATFS,
    BADDISK_ACCESS,
    BADDISK_OPS
};

/* ---- baddisk_rules.c ---- */

struct rules;

struct rules *rules_new(void);
void rules_free(struct rules *rules);

/* Obeys one line (tool_baddisk.c has the list). 0, or -EINVAL for one that it does not understand, with nothing changed. */
int rules_obey(struct rules *rules, const char *line);

/* Counts the operation, and says what is to become of it: 0, or a negative errno. *size (may be NULL) may become smaller, for a short read or write, which
 * then is not to fail. */
int rules_decide(struct rules *rules, enum baddisk_op op, const char *name, uint64_t offset, size_t *size);

/* Takes `bytes` more of the disk. Returns what there was, at most that, in whole pages if it is less; or a negative errno if there was nothing. */
int64_t rules_take_space(struct rules *rules, uint64_t bytes);
void rules_give_space(struct rules *rules, uint64_t bytes);
/* False: there is no limit that statfs should tell. */
bool rules_space(struct rules *rules, uint64_t *left);

/* Whether fsync is to be told apart from being on the disk; see pages_track. */
bool rules_track(struct rules *rules);
/* Lines "op count", and "failed count". */
void rules_report(struct rules *rules, FILE *out);

/* ---- baddisk_pages.c ---- */

/* The pages of a file as the disk has them, for those that were written since the last fsync: what Linux keeps in its page cache is in the file, and what a
 * disk would have instead is kept here. An fsync that fails leaves such pages, for which Linux does not try again: `lost`, until they are written anew. */
struct pages;

struct pages *pages_new(void);
void pages_free(struct pages *pages);
/* Before [offset, offset + size) of fd is written. 0 or -ENOMEM, -EIO. */
int pages_before_write(struct pages *pages, int fd, uint64_t offset, size_t size);
/* After the file was cut to `size`, which is taken for durable at once. */
void pages_cut(struct pages *pages, uint64_t size);
/* An fsync: what is pending is on the disk, or (failed) lost. */
void pages_synced(struct pages *pages, bool failed);
/* The page cache forgets: what is lost is seen now, and with `all` what is pending, too. 0 or -EIO. */
int pages_forget(struct pages *pages, int fd, bool all);

#endif
