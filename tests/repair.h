/* A store with a history, all questions that can be asked of it with their answers, and copies of it that are damaged and repaired. For tests/test_repair.c.
 *
 * A question is a path at an instant; its answer tells all that can be read there. The invariant that bench_check asserts: an answer is the right
 * one or an error; it is the right one if the damaged store still gave it; and the newest state can be listed, changed and committed.
 */
#ifndef TIDFS_TESTS_REPAIR_H
#define TIDFS_TESTS_REPAIR_H

#include "store/head.h"
#include "store/repair.h"
#include "store/store.h"

struct question {
    uint64_t before;
    char *path;
    char *answer;
    bool survived; /* the damaged store gave the right answer */
};

struct image; /* tests/repair_head.c */

struct bench {
    char directory[64];
    char sound[96], logged[96], store[96]; /* the store closed; the same with its log; the copy that is worked on */
    uint64_t random;
    struct question *questions;
    size_t question_count, question_capacity;
    struct image *images;
    size_t image_count;
    uint64_t last; /* seq of the newest transaction of the sound store */
    struct repair_result result;
    bool dry_run;
    uint64_t lost;       /* answers that are errors after the repair, by bench_check */
    uint64_t lost_files; /* at the newest state, which cannot be read whole */
    char what[160];
    char told[16384];
};

int bench_set_up(void **state);
/* With more files, so that tables have many pages. */
int bench_set_up_large(void **state);
int bench_tear_down(void **state);
uint64_t bench_below(struct bench *b, uint64_t limit);
/* A new copy. */
void bench_fresh(struct bench *b, bool with_log);
/* Asks the damaged copy, and repairs it. 0: nothing was wrong; 1: repaired, and clean; or an error. */
int bench_repair(struct bench *b);
void bench_check(struct bench *b);
void bench_assert_same_files(struct bench *b);
uint64_t bench_hash(struct bench *b, const char *file);
void bench_copy_page(struct bench *b, uint64_t from, uint64_t to);

/* Notes the contents of a file as of `before`, while the store is sound. */
void bench_add_image(struct bench *b, struct store *store, uint64_t before, uint64_t oid);
void bench_release_images(struct bench *b);
/* Of the newest state of the repaired store. */
void bench_check_head(struct bench *b, struct store *store);

#endif
