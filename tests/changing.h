/* A store in a temporary directory with a head, changed at random or by hand: for tests of what puts back.
 *
 * Every function asserts that it worked, but for changing_random, which tries things that may not be possible. Paths are from the root, without
 * slashes around them.
 */
#ifndef TIDFS_TESTS_CHANGING_H
#define TIDFS_TESTS_CHANGING_H

#include "store/head.h"

struct changing {
    char directory[64];
    struct store *store;
    struct head *head;
    uint64_t random; /* the state of the generator */
    uint64_t clock;  /* of explicit times */
};

struct changing *changing_new(uint64_t seed);
void changing_free(struct changing *c);
uint64_t changing_below(struct changing *c, uint64_t limit); /* 0..limit - 1 */

/* The object at a path; 0 if there is none. */
uint64_t changing_find(struct changing *c, const char *path);
uint64_t changing_mkdir(struct changing *c, const char *path);
uint64_t changing_symlink(struct changing *c, const char *path, const char *target);
/* Makes the file if it is not there; its content becomes `text`. */
uint64_t changing_write(struct changing *c, const char *path, const char *text);
void changing_chmod(struct changing *c, const char *path, uint32_t mode);
void changing_chown(struct changing *c, const char *path, uint32_t uid, uint32_t gid);
void changing_set_xattr(struct changing *c, const char *path, const char *name, const char *value); /* NULL: removes */
void changing_link(struct changing *c, const char *path, const char *new_path);
void changing_rename(struct changing *c, const char *path, const char *new_path, unsigned flags);
void changing_remove(struct changing *c, const char *path);
/* What editors do: a new file is renamed over the old one. */
void changing_save(struct changing *c, const char *path, const char *text);
/* Some changes somewhere. */
void changing_random(struct changing *c, unsigned count);
/* Commits; returns the seq. */
uint64_t changing_commit(struct changing *c, const char *message);

/* All that can be seen of the tree below `path` as of `before`, as text, a line for each name: type, mode, owner, size, links (the first name of the same
 * object), times, target, device number, extended attributes, content. Without ctimes, object ids and, if not wanted, times. malloc'ed. */
char *changing_dump(struct changing *c, uint64_t before, const char *path, bool times);
/* The content of a file, malloc'ed. */
char *changing_read(struct changing *c, const char *path);
/* Two dumps: fails with the first line that differs, which is what one wants to see. */
void changing_assert_same_text(const char *what, const char *is, const char *expected);

#endif
