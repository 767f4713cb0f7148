/* What a workload does to a directory, call by call: the recording that the states of test_powercut are built from.
 *
 * The program's own open64, openat64, pwrite64, ftruncate64, fsync, fdatasync, mkdir, mkdirat, rename, unlink, unlinkat and rmdir
 * stand before libc's, for the store's objects and for SQLite's library alike: SQLite's calls cannot all be replaced through
 * sqlite3_vfs.xSetSystemCall, for fdatasync is not among them. Each does the call, and while a recording is on it notes what the call changed
 * below the recording's root; whatever lies elsewhere is left out.
 *
 * Invariants
 *  1. The events stand in the order in which the calls took effect: a call and its note are made under one mutex.
 *  2. All events applied to the base give the files as they are: recording_end asserts it, so that a call which is not recorded is found.
 *  3. The content of a `-shm` file is not recorded: after a power cut it is worth nothing.
 *
 * Threads: any thread may make recorded calls. One recording at a time; begin and end while nobody else makes any.
 */
#ifndef TIDFS_TESTS_POWERCUT_RECORD_H
#define TIDFS_TESTS_POWERCUT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define POWERCUT_NAME 64
#define NO_NODE       SIZE_MAX

enum event_kind {
    EVENT_WRITE,    /* node, offset, length, data */
    EVENT_TRUNCATE, /* node, offset: the new size */
    EVENT_LINK,     /* name in the directory `node` is `child` from now on: made by open, mkdir */
    EVENT_UNLINK,   /* name in the directory `node` is gone */
    EVENT_RENAME,   /* old_name in the directory `node` is gone, and name is `child` */
    EVENT_SYNC,     /* all before of `node`, a file or directory, is durable */
    /* Notes of the workload, which change nothing on the disk. */
    EVENT_CREATED,   /* making the store was acknowledged */
    EVENT_SEALED,    /* transaction `value` was acknowledged */
    EVENT_TAG_BEGIN, /* tag `name` is about to become tid `value`, 0: to be deleted */
    EVENT_TAG_DONE,  /* and that was acknowledged */
};

struct event {
    enum event_kind kind;
    size_t node, child;
    uint64_t offset; /* or value */
    size_t length;
    uint8_t *data;
    char name[POWERCUT_NAME], old_name[POWERCUT_NAME];
};

struct node_entry {
    char name[POWERCUT_NAME];
    size_t node;
};

/* A file or directory that was there at the beginning or made since. */
struct node {
    dev_t device;
    ino_t inode;
    bool directory, shared_memory;
    uint8_t *data; /* files: what they held at the beginning */
    size_t size;
    struct node_entry *entries; /* directories: the same */
    size_t entry_count;
};

struct recording {
    char root[256];
    struct node *nodes; /* 0 is the root */
    size_t node_count;
    struct event *events;
    size_t event_count, event_capacity;
};

/* Everything at and below `root` is taken as durable. */
void recording_begin(struct recording *recording, const char *root);
void recording_end(struct recording *recording);
void recording_release(struct recording *recording);

/* A note of the workload: one of the last four kinds. Legal while nothing is recorded, and then without effect. */
void recording_note(enum event_kind kind, const char *name, uint64_t value);

bool event_is_note(const struct event *event);

#endif
