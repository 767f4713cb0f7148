/* A store in a directory of its own, and commits to it that are built by hand: for the tests of the SQLite storage. */
#ifndef TIDFS_TESTS_STORAGE_FIXTURE_H
#define TIDFS_TESTS_STORAGE_FIXTURE_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/storage.h"
#include "store/tid.h"
#include "tests/tamper.h"

#define FOREVER     UINT64_MAX
#define CHANGES_MAX 64

struct fixture {
    char directory[64];
    char path[128]; /* of the last fixture_path */
    char log_text[8192];
    struct log log;
    struct storage *storage;

    /* The commit under construction. */
    struct commit commit;
    struct new_revision revisions[CHANGES_MAX];
    struct ended_entry ended[CHANGES_MAX];
    struct new_entry added[CHANGES_MAX];
    struct new_body bodies[CHANGES_MAX];
    uint64_t last, next_oid;
};

static inline void write_log(void *context, enum log_level level, const char *line) {
    struct fixture *f = context;
    size_t used = strlen(f->log_text);
    (void)level;
    (void)snprintf(f->log_text + used, sizeof f->log_text - used, "%s\n", line);
}

static inline void open_store(struct fixture *f, bool writable) {
    struct storage_open_options options = {.writable = writable, .log = &f->log};
    struct error err = {0};
    int rc = storage_sqlite_open(f->directory, &options, &f->storage, &err);
    if (rc != STORE_OK)
        fail_msg("open: %s", err.text);
}

static inline void reopen(struct fixture *f, bool writable) {
    storage_close(f->storage);
    open_store(f, writable);
}

static inline void begin(struct fixture *f) {
    f->commit = (struct commit){
        .base = f->last,
        .wall = {.tv_sec = 1700000000 + (time_t)f->last, .tv_nsec = 5},
        .user = "somebody",
        .message = "",
        .revisions = f->revisions,
        .ended = f->ended,
        .added = f->added,
        .bodies = f->bodies,
    };
}

/* data NULL: the part ends. */
static inline void revise(struct fixture *f, uint64_t oid, uint64_t part, bool directory, const char *data) {
    f->revisions[f->commit.revision_count++] = (struct new_revision){
        .oid = oid,
        .part = part,
        .directory = directory,
        .data = (const uint8_t *)data,
        .length = data ? strlen(data) : 0,
    };
}

static inline void add(struct fixture *f, uint64_t parent, uint64_t index, const char *name, uint64_t oid,
                       uint32_t type) {
    f->added[f->commit.added_count++] = (struct new_entry){
        .parent = parent, .index = index, .name = name, .name_length = strlen(name), .oid = oid, .type = type};
}

static inline void end(struct fixture *f, uint64_t parent, uint64_t index) {
    f->ended[f->commit.ended_count++] = (struct ended_entry){.parent = parent, .index = index};
}

static inline int try_commit(struct fixture *f) {
    f->commit.next_oid = f->next_oid;
    int rc = storage_commit(f->storage, &f->commit, NULL);
    if (rc == STORE_OK)
        f->last++;
    return rc;
}

static inline void commit(struct fixture *f) {
    assert_int_equal(try_commit(f), STORE_OK);
}

static inline int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    strcpy(f->directory, "/tmp/test_storage.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->log = (struct log){.write = write_log, .context = f, .most = LOG_LEVEL_WARNING};
    struct error err = {0};
    if (storage_sqlite_create(f->directory, &err) != STORE_OK)
        fail_msg("create: %s", err.text);
    open_store(f, true);
    f->next_oid = ROOT_OID + 1;
    *state = f;
    return 0;
}

static inline int remove_tree(const char *path) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    return system(command);
}

static inline int tear_down(void **state) {
    struct fixture *f = *state;
    storage_close(f->storage);
    int rc = remove_tree(f->directory);
    free(f);
    return rc;
}

static inline const char *fixture_path(struct fixture *f, const char *name) {
    (void)snprintf(f->path, sizeof f->path, "%s/%s", f->directory, name);
    return f->path;
}

/* Transaction 1: the root. */
static inline void commit_root(struct fixture *f) {
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 1");
    commit(f);
}

/* What a reader sees, as text: the data, or the name of another outcome. */
static inline const char *load(struct fixture *f, uint64_t oid, uint64_t part, uint64_t before) {
    static char text[256];
    enum load_outcome outcome;
    struct revision revision;
    int rc = storage_load_before(f->storage, oid, part, before, &outcome, &revision);
    if (rc != STORE_OK)
        return store_error_text(rc);
    switch (outcome) {
    case LOAD_DATA:
        (void)snprintf(text, sizeof text, "%.*s", (int)revision.length, (const char *)revision.data);
        revision_release(&revision);
        return text;
    case LOAD_NOT_YET:
        return "not yet";
    case LOAD_DELETED:
        return "deleted";
    case LOAD_PACKED:
        return "packed";
    case LOAD_NO_OBJECT:
        return "no object";
    }
    return "?";
}

/* The names in a directory, in order, with a comma after each. */
static inline const char *list(struct fixture *f, uint64_t parent, uint64_t before) {
    static char text[1024];
    struct entry_list entries;
    int rc = storage_list(f->storage, parent, before, &entries);
    if (rc != STORE_OK)
        return store_error_text(rc);
    text[0] = '\0';
    for (size_t i = 0; i < entries.count; i++) {
        strcat(text, entries.items[i].name);
        strcat(text, ",");
    }
    entry_list_release(&entries);
    return text;
}

/* Changes rows behind the store's back, in pages with right checksums. */
static inline void run_sql(struct fixture *f, const char *sql) {
    change_database(f->directory, sql);
}

/* 1: root/2/3/4, where 4 is a file with a second name in the root's directory 5, and 6 a directory aside. */
static inline void commit_tree(struct fixture *f) {
    f->next_oid = 7;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    for (uint64_t oid = 2; oid <= 6; oid++)
        revise(f, oid, PART_INODE, oid != 4, "o");
    add(f, ROOT_OID, 3, "two", 2, S_IFDIR);
    add(f, 2, 3, "three", 3, S_IFDIR);
    add(f, 3, 3, "four", 4, S_IFREG);
    add(f, ROOT_OID, 4, "five", 5, S_IFDIR);
    add(f, 5, 3, "link", 4, S_IFREG);
    add(f, ROOT_OID, 5, "six", 6, S_IFDIR);
    commit(f);
}

#endif
