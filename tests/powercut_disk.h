/* The states in which a disk may be left by a power cut at one moment of a recording.
 *
 * The rules, which are harsher than any file system is:
 *  1. What was written to a file, and its size, is durable once the file is synced; names in a directory once the directory is synced.
 *     A file's sync does nothing for its name.
 *  2. Of what is not durable any part may have reached the disk, whatever was done first: each write, truncation, new name, removal and
 *     rename on its own; of a write any of its sectors of 512 bytes, with or without the size that it gave the file.
 *  3. Of two changes of the same bytes or the same name that both reached the disk the later one stays. A rename is done or not.
 *  4. What lies beyond the durable size of a file and was not written is zeros or rubbish.
 *  5. A `-shm` file is there or not, with any content.
 *
 * Threads: a disk belongs to its caller.
 */
#ifndef TIDFS_TESTS_POWERCUT_DISK_H
#define TIDFS_TESTS_POWERCUT_DISK_H

#include <stdio.h>

#include "tests/powercut_record.h"

#define SECTOR 512

/* What became of an event that was not durable. */
enum fate {
    FATE_WHOLE,
    FATE_LOST,
    FATE_TORN,      /* a write: some of its sectors */
    FATE_BEGUN,     /* a write: its first sectors */
    FATE_SIZE_ONLY, /* a write: the size alone */
    FATE_DATA_ONLY, /* a write: the bytes that fit into the size */
    FATE_COUNT
};

/* The generator of all choices here: the same seed makes the same state. */
struct dice {
    uint64_t state;
};
uint64_t dice_throw(struct dice *dice);
/* In 0 .. below - 1. */
uint64_t dice_below(struct dice *dice, uint64_t below);

struct disk {
    const struct recording *recording;
    size_t cut;      /* the events before this one have happened */
    uint8_t *fates;  /* enum fate, of each of them; that of a durable one is FATE_WHOLE */
    size_t *pending; /* those that are not durable, ascending */
    size_t pending_count;
    bool rubbish;     /* rule 4 */
    bool memory;      /* rule 5 */
    struct dice tear; /* which sectors of torn writes */
};

/* All that has happened is on the disk. */
void disk_init(struct disk *disk, const struct recording *recording, size_t cut);
void disk_release(struct disk *disk);

/* Bit i of mask: the ith pending event is on the disk; whole, for there are no torn ones here. At most 63 pending events. */
void disk_choose_subset(struct disk *disk, uint64_t mask);
/* Any state that the rules allow. */
void disk_choose(struct disk *disk, struct dice *dice);
/* The last event, if it is a write that is not durable, was being done. */
void disk_tear_last(struct disk *disk, struct dice *dice);

/* Makes the files in `directory`, which is emptied first. */
void disk_write(const struct disk *disk, const char *directory);
/* What differs between the disk and the files in `directory`, in static storage; NULL: nothing. Shared memory is not looked at. */
char *disk_compare(const struct disk *disk, const char *directory);

/* A line for each pending event and what became of it. */
void disk_print(const struct disk *disk, FILE *out);

#endif
