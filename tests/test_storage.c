/* The SQLite storage through the checked wrappers. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
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

static void write_log(void *context, enum log_level level, const char *line) {
    struct fixture *f = context;
    size_t used = strlen(f->log_text);
    (void)level;
    (void)snprintf(f->log_text + used, sizeof f->log_text - used, "%s\n", line);
}

static void open_store(struct fixture *f, bool writable) {
    struct storage_open_options options = {.writable = writable, .log = &f->log};
    struct error err = {0};
    int rc = storage_sqlite_open(f->directory, &options, &f->storage, &err);
    if (rc != STORE_OK)
        fail_msg("open: %s", err.text);
}

static void reopen(struct fixture *f, bool writable) {
    storage_close(f->storage);
    open_store(f, writable);
}

static void begin(struct fixture *f) {
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
static void revise(struct fixture *f, uint64_t oid, uint64_t part, bool directory, const char *data) {
    f->revisions[f->commit.revision_count++] = (struct new_revision){
        .oid = oid,
        .part = part,
        .directory = directory,
        .data = (const uint8_t *)data,
        .length = data ? strlen(data) : 0,
    };
}

static void add(struct fixture *f, uint64_t parent, uint64_t index, const char *name, uint64_t oid, uint32_t type) {
    f->added[f->commit.added_count++] = (struct new_entry){
        .parent = parent, .index = index, .name = name, .name_length = strlen(name), .oid = oid, .type = type};
}

static void end(struct fixture *f, uint64_t parent, uint64_t index) {
    f->ended[f->commit.ended_count++] = (struct ended_entry){.parent = parent, .index = index};
}

static int try_commit(struct fixture *f) {
    f->commit.next_oid = f->next_oid;
    int rc = storage_commit(f->storage, &f->commit, NULL);
    if (rc == STORE_OK)
        f->last++;
    return rc;
}

static void commit(struct fixture *f) {
    assert_int_equal(try_commit(f), STORE_OK);
}

static int set_up(void **state) {
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

static int remove_tree(const char *path) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    return system(command);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    storage_close(f->storage);
    int rc = remove_tree(f->directory);
    free(f);
    return rc;
}

static const char *fixture_path(struct fixture *f, const char *name) {
    (void)snprintf(f->path, sizeof f->path, "%s/%s", f->directory, name);
    return f->path;
}

/* Transaction 1: the root. */
static void commit_root(struct fixture *f) {
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 1");
    commit(f);
}

/* What a reader sees, as text: the data, or the name of another outcome. */
static const char *load(struct fixture *f, uint64_t oid, uint64_t part, uint64_t before) {
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
static const char *list(struct fixture *f, uint64_t parent, uint64_t before) {
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

/* ---- creating and opening ---- */

static void test_storage__create_refuses_a_directory_that_is_not_empty(void **state) {
    struct fixture *f = *state;
    struct error err;
    assert_int_equal(storage_sqlite_create(f->directory, &err), STORE_EXISTS);
    assert_non_null(strstr(err.text, "not empty"));
    assert_int_equal(storage_sqlite_create("/tmp/test_storage.missing/x", &err), STORE_INVALID);
}

static void test_storage__files_are_private(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"tidfs.db", "tidfs.db-wal", "tidfs.db-shm", "bodies"};
    commit_root(f);
    for (size_t i = 0; i < 4; i++) {
        struct stat status;
        assert_int_equal(stat(fixture_path(f, names[i]), &status), 0);
        assert_int_equal(status.st_mode & 0077, 0);
    }
}

static void test_storage__new_store_is_empty(void **state) {
    struct fixture *f = *state;
    struct storage_state now;
    struct transaction transaction;
    struct subtree subtree;
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.last_seq, 0);
    assert_int_equal(now.last_tid, 0);
    assert_int_equal(now.next_oid, ROOT_OID + 1);
    assert_int_equal(now.horizon, 0);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 1), "no object");
    assert_string_equal(list(f, ROOT_OID, 1), "");
    assert_int_equal(storage_transaction_before(f->storage, UINT64_MAX, &transaction), STORE_ABSENT);
    assert_int_equal(storage_transaction_at(f->storage, 1, &transaction), STORE_ABSENT);
    assert_int_equal(storage_subtree(f->storage, ROOT_OID, 1, &subtree), STORE_ABSENT);
}

static int open_error(struct fixture *f, const char *directory, bool writable, struct error *err) {
    struct storage_open_options options = {.writable = writable, .log = &f->log};
    struct storage *storage = NULL;
    int rc = storage_sqlite_open(directory, &options, &storage, err);
    if (rc == STORE_OK)
        storage_close(storage);
    return rc;
}

static void run_sql(struct fixture *f, const char *sql) {
    char command[512];
    (void)snprintf(command, sizeof command, "sqlite3 '%s/tidfs.db' \"%s\" >/dev/null", f->directory, sql);
    assert_int_equal(system(command), 0);
}

static void test_storage__open_tells_apart_what_is_wrong(void **state) {
    struct fixture *f = *state;
    struct error err;
    commit_root(f);
    storage_close(f->storage);
    f->storage = NULL;

    assert_int_equal(open_error(f, "/tmp/test_storage.missing", true, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "no store at"));
    assert_int_equal(open_error(f, fixture_path(f, "bodies"), false, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "has no tidfs.db"));
    assert_int_equal(open_error(f, fixture_path(f, "tidfs.db"), false, &err), STORE_NOT_A_STORE);

    run_sql(f, "PRAGMA user_version = 2");
    assert_int_equal(open_error(f, f->directory, true, &err), STORE_NEWER_FORMAT);
    assert_non_null(strstr(err.text, "upgrade tidfs"));
    run_sql(f, "PRAGMA user_version = 1");
    run_sql(f, "PRAGMA application_id = 1");
    assert_int_equal(open_error(f, f->directory, true, &err), STORE_NOT_A_STORE);
    run_sql(f, "PRAGMA application_id = 1953064038");
    assert_int_equal(open_error(f, f->directory, false, &err), STORE_OK);

    run_sql(f, "UPDATE txn SET user = 'else'");
    assert_int_equal(open_error(f, f->directory, false, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.text, "damaged"));

    int fd = open(fixture_path(f, "tidfs.db"), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "?", 1, 3), 1);
    assert_int_equal(open_error(f, f->directory, true, &err), STORE_CORRUPT);
    assert_int_equal(ftruncate(fd, 0), 0);
    (void)close(fd);
    assert_int_equal(open_error(f, f->directory, true, &err), STORE_CORRUPT);
    assert_non_null(strstr(err.text, "empty"));
}

static void test_storage__close_leaves_no_log_behind(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    storage_close(f->storage);
    f->storage = NULL;
    assert_int_equal(access(fixture_path(f, "tidfs.db-wal"), F_OK), -1);
    open_store(f, false);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
}

/* ---- loads ---- */

static void test_storage__load_before_has_five_outcomes(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    f->next_oid = 4;
    begin(f);
    revise(f, 2, PART_INODE, false, "two 2");
    revise(f, 2, PART_CHUNK, false, "");
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, "two 3");
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, NULL);
    revise(f, 2, PART_CHUNK, false, NULL);
    commit(f);

    assert_string_equal(load(f, 2, PART_INODE, 1), "not yet");
    assert_string_equal(load(f, 2, PART_INODE, 2), "not yet");
    assert_string_equal(load(f, 2, PART_INODE, 3), "two 2");
    assert_string_equal(load(f, 2, PART_INODE, 4), "two 3");
    assert_string_equal(load(f, 2, PART_INODE, 5), "deleted");
    assert_string_equal(load(f, 2, PART_CHUNK, 3), "");
    assert_string_equal(load(f, 2, PART_CHUNK, 4), "");
    assert_string_equal(load(f, 2, PART_XATTRS, 4), "not yet");
    assert_string_equal(load(f, 3, PART_INODE, 5), "no object");
    assert_string_equal(load(f, 0, PART_INODE, 5), "no object");
    assert_string_equal(load(f, UINT64_MAX, PART_INODE, 5), "no object");

    enum load_outcome outcome;
    struct revision revision;
    assert_int_equal(storage_load_before(f->storage, 2, PART_INODE, 3, &outcome, &revision), STORE_OK);
    assert_int_equal(revision.seq, 2);
    assert_int_equal(revision.until, 3);
    revision_release(&revision);
    assert_int_equal(storage_load_before(f->storage, 2, PART_INODE, 5, &outcome, &revision), STORE_OK);
    assert_int_equal(outcome, LOAD_DELETED);
    assert_int_equal(revision.seq, 4);
    assert_true(revision.until == FOREVER);
    assert_int_equal(storage_load_before(f->storage, 2, PART_INODE, 1, &outcome, &revision), STORE_OK);
    assert_int_equal(revision.until, 2);

    storage_close(f->storage);
    run_sql(f, "SELECT 1");
    open_store(f, true);
    assert_string_equal(load(f, 2, PART_INODE, 4), "two 3");
}

static void test_storage__revisions_have_ascending_ids(void **state) {
    struct fixture *f = *state;
    uint64_t previous = 0;
    commit_root(f);
    for (int i = 0; i < 5; i++) {
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "again");
        commit(f);
        enum load_outcome outcome;
        struct revision revision, same;
        assert_int_equal(storage_load_before(f->storage, ROOT_OID, 0, f->last + 1, &outcome, &revision), STORE_OK);
        assert_true(revision.id > previous);
        previous = revision.id;
        assert_int_equal(storage_load_revision(f->storage, revision.id, &same), STORE_OK);
        assert_int_equal(same.seq, revision.seq);
        assert_true(same.until == FOREVER);
        revision_release(&same);
        revision_release(&revision);
        reopen(f, true);
    }
    struct revision revision;
    assert_int_equal(storage_load_revision(f->storage, previous - 1, &revision), STORE_OK);
    assert_int_equal(revision.until, revision.seq + 1);
    revision_release(&revision);
    assert_int_equal(storage_load_revision(f->storage, previous + 1, &revision), STORE_ABSENT);
    assert_int_equal(storage_load_revision(f->storage, 0, &revision), STORE_ABSENT);
}

static void test_storage__next_part_skips_what_is_not_there(void **state) {
    struct fixture *f = *state;
    uint64_t part;
    commit_root(f);
    f->next_oid = 3;
    begin(f);
    revise(f, 2, PART_INODE, false, "i");
    revise(f, 2, PART_CHUNK + 3, false, "c");
    revise(f, 2, PART_CHUNK + 9, false, "c");
    commit(f);
    begin(f);
    revise(f, 2, PART_INODE, false, "i");
    revise(f, 2, PART_CHUNK + 3, false, NULL);
    revise(f, 2, PART_CHUNK + 5, false, "c");
    commit(f);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK, 3, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK + 3);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK + 4, 3, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK + 9);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK, 4, &part), STORE_OK);
    assert_int_equal(part, PART_CHUNK + 5);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK + 10, 4, &part), STORE_ABSENT);
    assert_int_equal(storage_next_part(f->storage, 2, PART_CHUNK, 2, &part), STORE_ABSENT);
    assert_int_equal(storage_next_part(f->storage, 7, 0, 4, &part), STORE_ABSENT);
}

/* The horizon is moved by packing; here by hand. `columns` is the row that it makes, for its checksum. */
static void move_horizon(struct fixture *f, const uint64_t columns[9]) {
    char update[256];
    uint8_t bytes[72];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(columns[i / 8] >> i % 8 * 8);
    (void)snprintf(update, sizeof update,
                   "UPDATE state SET horizon = %" PRIu64 ", packed_s = %" PRIu64 ", sum = %" PRId64, columns[6],
                   columns[7], (int64_t)XXH3_64bits(bytes, sizeof bytes));
    run_sql(f, update);
}

static void test_storage__at_or_before_the_horizon_is_packed(void **state) {
    struct fixture *f = *state;
    struct entry entry;
    struct entry_list entries;
    struct subtree subtree;
    struct storage_state now;
    commit_root(f);
    commit_root(f);
    assert_string_equal(load(f, ROOT_OID, 0, 2), "root 1");
    /* Another process moves it while this one has readers open. */
    move_horizon(f, (uint64_t[9]){2, 3, 1, 3, 0, 0, 2, 7, 0});
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.horizon, 2);
    assert_int_equal(now.packed_at.tv_sec, 7);
    assert_string_equal(load(f, ROOT_OID, 0, 2), "packed");
    assert_string_equal(load(f, 99, 0, 2), "packed");
    assert_string_equal(load(f, ROOT_OID, 0, 3), "root 1");
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "a", 1, 2, &entry), STORE_PACKED);
    assert_int_equal(storage_list(f->storage, ROOT_OID, 2, &entries), STORE_PACKED);
    assert_int_equal(storage_links(f->storage, ROOT_OID, 2, &entries), STORE_PACKED);
    assert_int_equal(storage_subtree(f->storage, ROOT_OID, 2, &subtree), STORE_PACKED);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "root 3");
    commit(f);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.horizon, 2);
}

/* ---- entries ---- */

static void test_storage__names_are_bytes(void **state) {
    struct fixture *f = *state;
    static const char odd[] = "\xff\x01' OR 1 --\n\xc3";
    char longest[NAME_BYTES_MAX + 2];
    struct entry entry;
    memset(longest, 'n', sizeof longest);
    longest[NAME_BYTES_MAX] = '\0';
    f->next_oid = 4;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "a");
    revise(f, 3, PART_INODE, false, "b");
    add(f, ROOT_OID, 3, odd, 2, S_IFREG);
    add(f, ROOT_OID, 4, longest, 3, S_IFREG);
    commit(f);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, odd, strlen(odd), 2, &entry), STORE_OK);
    assert_int_equal(entry.oid, 2);
    assert_int_equal(entry.born, 1);
    assert_true(entry.died == FOREVER);
    assert_string_equal(entry.name, odd);
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, longest, NAME_BYTES_MAX, 2, &entry), STORE_OK);
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, odd, strlen(odd) - 1, 2, &entry), STORE_ABSENT);
    longest[NAME_BYTES_MAX] = 'n';
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, longest, NAME_BYTES_MAX + 1, 2, &entry), STORE_ABSENT);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, odd, strlen(odd), 1, &entry), STORE_ABSENT);
}

static void test_storage__entries_move_to_the_past(void **state) {
    struct fixture *f = *state;
    struct entry entry;
    struct entry_list links;
    f->next_oid = 4;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "x");
    add(f, ROOT_OID, 3, "old", 2, S_IFREG);
    commit(f);
    /* Renamed, and the name taken by another in the same transaction. */
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "x");
    revise(f, 3, PART_INODE, false, "y");
    end(f, ROOT_OID, 3);
    add(f, ROOT_OID, 4, "new", 2, S_IFREG);
    add(f, ROOT_OID, 5, "old", 3, S_IFREG);
    commit(f);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, NULL);
    end(f, ROOT_OID, 4);
    commit(f);

    assert_string_equal(list(f, ROOT_OID, 1), "");
    assert_string_equal(list(f, ROOT_OID, 2), "old,");
    assert_string_equal(list(f, ROOT_OID, 3), "new,old,");
    assert_string_equal(list(f, ROOT_OID, 4), "old,");
    assert_string_equal(list(f, 77, 4), "");

    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "old", 3, 2, &entry), STORE_OK);
    assert_int_equal(entry.oid, 2);
    assert_int_equal(entry.died, 2);
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "old", 3, 3, &entry), STORE_OK);
    assert_int_equal(entry.oid, 3);
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "new", 3, 4, &entry), STORE_ABSENT);

    assert_int_equal(storage_links(f->storage, 2, 3, &links), STORE_OK);
    assert_int_equal(links.count, 1);
    assert_string_equal(links.items[0].name, "new");
    entry_list_release(&links);
    assert_int_equal(storage_links(f->storage, 2, 4, &links), STORE_OK);
    assert_int_equal(links.count, 0);
    entry_list_release(&links);
}

/* A model beside the store: each name's life, at random, compared at every instant. */
static void test_storage__listing_agrees_with_a_model_at_every_instant(void **state) {
    enum { STEPS = 400, NAMES = 12 };
    struct fixture *f = *state;
    static uint64_t alive[STEPS + 2][NAMES]; /* the index of the entry, 0: none */
    uint64_t index = ENTRY_INDEX_FIRST;
    unsigned seed = 7;
    f->next_oid = 2 + NAMES;
    for (uint64_t seq = 1; seq <= STEPS; seq++) {
        char names[NAMES][8];
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "r");
        memcpy(alive[seq + 1], alive[seq], sizeof alive[seq]);
        for (unsigned name = 0; name < NAMES; name++) {
            /* Names differ in how often they change, so that all levels come up. */
            if (rand_r(&seed) % (1 << name) != 0)
                continue;
            (void)snprintf(names[name], sizeof names[name], "n%u", name);
            if (alive[seq][name]) {
                end(f, ROOT_OID, alive[seq][name]);
                alive[seq + 1][name] = 0;
            }
            if (!alive[seq][name] || rand_r(&seed) % 3 == 0) {
                add(f, ROOT_OID, index, names[name], 2 + name, S_IFREG);
                alive[seq + 1][name] = index++;
            }
        }
        commit(f);
    }
    for (uint64_t before = 1; before <= STEPS + 1; before++) {
        struct entry_list entries;
        size_t expected = 0;
        assert_int_equal(storage_list(f->storage, ROOT_OID, before, &entries), STORE_OK);
        for (unsigned name = 0; name < NAMES; name++) {
            char text[8];
            struct entry entry;
            int length = snprintf(text, sizeof text, "n%u", name);
            int rc = storage_lookup(f->storage, ROOT_OID, text, (size_t)length, before, &entry);
            assert_int_equal(rc, alive[before][name] ? STORE_OK : STORE_ABSENT);
            if (rc != STORE_OK)
                continue;
            assert_int_equal(entry.index, alive[before][name]);
            entry_release(&entry);
            bool listed = false;
            for (size_t i = 0; i < entries.count; i++)
                listed = listed ||
                         (entries.items[i].index == alive[before][name] && strcmp(entries.items[i].name, text) == 0);
            assert_true(listed);
            expected++;
        }
        assert_int_equal(entries.count, expected);
        entry_list_release(&entries);
    }
}

/* ---- subtree marks, touched, changed ---- */

static uint64_t subtree_seq(struct fixture *f, uint64_t directory, uint64_t before) {
    struct subtree subtree;
    int rc = storage_subtree(f->storage, directory, before, &subtree);
    return rc == STORE_OK ? subtree.seq : 0;
}

/* 1: root/2/3/4, where 4 is a file with a second name in the root's directory 5, and 6 a directory aside. */
static void commit_tree(struct fixture *f) {
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

static void test_storage__a_change_marks_all_directories_above(void **state) {
    struct fixture *f = *state;
    struct subtree subtree;
    commit_tree(f);
    begin(f);
    revise(f, 4, PART_INODE, false, "changed");
    revise(f, 4, PART_CHUNK, false, "c");
    commit(f);
    for (uint64_t oid = 1; oid <= 5; oid++)
        if (oid != 4)
            assert_int_equal(subtree_seq(f, oid, 3), 2);
    assert_int_equal(subtree_seq(f, 6, 3), 1);
    assert_int_equal(subtree_seq(f, ROOT_OID, 2), 1);
    assert_int_equal(subtree_seq(f, ROOT_OID, 1), 0);
    assert_int_equal(storage_subtree(f->storage, ROOT_OID, 2, &subtree), STORE_OK);
    assert_int_equal(subtree.until, 2);
    uint64_t id = subtree.id;
    assert_int_equal(storage_subtree(f->storage, ROOT_OID, 3, &subtree), STORE_OK);
    assert_true(subtree.id != id && subtree.until == FOREVER);

    /* Directory 3 moves from 2 to 6: both are changed, and 5 is not. */
    begin(f);
    revise(f, 2, PART_INODE, true, "o");
    revise(f, 3, PART_INODE, true, "o");
    revise(f, 6, PART_INODE, true, "o");
    end(f, 2, 3);
    add(f, 6, 3, "three", 3, S_IFDIR);
    commit(f);
    assert_int_equal(subtree_seq(f, 2, 4), 3);
    assert_int_equal(subtree_seq(f, 5, 4), 2);
    begin(f);
    revise(f, 4, PART_INODE, false, "changed");
    commit(f);
    assert_int_equal(subtree_seq(f, 2, 5), 3);
    assert_int_equal(subtree_seq(f, 6, 5), 4);
}

static void test_storage__touched_walks_back_through_the_log(void **state) {
    struct fixture *f = *state;
    uint64_t seq;
    commit_tree(f);
    begin(f);
    revise(f, 4, PART_INODE, false, "changed");
    commit(f);
    begin(f);
    revise(f, 6, PART_INODE, true, "changed");
    commit(f);
    assert_int_equal(storage_touched(f->storage, ROOT_OID, 4, &seq), STORE_OK);
    assert_int_equal(seq, 3);
    assert_int_equal(storage_touched(f->storage, 4, 4, &seq), STORE_OK);
    assert_int_equal(seq, 2);
    assert_int_equal(storage_touched(f->storage, 4, 2, &seq), STORE_OK);
    assert_int_equal(seq, 1);
    assert_int_equal(storage_touched(f->storage, 4, 1, &seq), STORE_ABSENT);
    assert_int_equal(storage_touched(f->storage, 3, 4, &seq), STORE_OK);
    assert_int_equal(seq, 2);
}

static void test_storage__changed_names_each_object_once(void **state) {
    struct fixture *f = *state;
    uint64_t *oids;
    size_t count;
    commit_tree(f);
    for (int i = 0; i < 2; i++) {
        begin(f);
        revise(f, 4, PART_CHUNK, false, "c");
        revise(f, 4, PART_INODE, false, "changed");
        commit(f);
    }
    assert_int_equal(storage_changed(f->storage, 1, &oids, &count), STORE_OK);
    assert_int_equal(count, 1);
    assert_int_equal(oids[0], 4);
    free(oids);
    assert_int_equal(storage_changed(f->storage, 0, &oids, &count), STORE_OK);
    assert_int_equal(count, 6);
    free(oids);
    assert_int_equal(storage_changed(f->storage, 3, &oids, &count), STORE_OK);
    assert_int_equal(count, 0);
    free(oids);
}

/* ---- commits ---- */

static void test_storage__a_transaction_has_its_tid_and_text(void **state) {
    struct fixture *f = *state;
    struct transaction done, same;
    begin(f);
    f->commit.message = "why\nit was done \xff";
    f->commit.next_oid = 2;
    revise(f, ROOT_OID, PART_INODE, true, "r");
    assert_int_equal(storage_commit(f->storage, &f->commit, &done), STORE_OK);
    uint64_t tid;
    assert_true(tid_from_time(f->commit.wall, &tid));
    assert_int_equal(done.tid, tid);
    assert_int_equal(done.seq, 1);
    assert_int_equal(done.object_count, 1);
    f->last = 1;

    /* The clock steps back an hour, and ahead ten years. */
    begin(f);
    f->commit.wall.tv_sec -= 3600;
    revise(f, ROOT_OID, PART_INODE, true, "r");
    commit(f);
    assert_int_equal(storage_transaction_at(f->storage, 2, &same), STORE_OK);
    assert_int_equal(same.tid, tid + 1);
    assert_int_equal(same.wall.tv_sec, f->commit.wall.tv_sec);
    transaction_release(&same);

    reopen(f, true);
    assert_int_equal(storage_transaction_before(f->storage, tid + 1, &same), STORE_OK);
    assert_int_equal(same.seq, 1);
    assert_string_equal(same.user, "somebody");
    assert_string_equal(same.message, "why\nit was done \xff");
    transaction_release(&same);
    assert_int_equal(storage_transaction_before(f->storage, tid, &same), STORE_ABSENT);
    assert_int_equal(storage_transaction_before(f->storage, 0, &same), STORE_ABSENT);
    assert_int_equal(storage_transaction_before(f->storage, UINT64_MAX, &same), STORE_OK);
    assert_int_equal(same.seq, 2);
    transaction_release(&same);
    transaction_release(&done);
}

static void test_storage__a_commit_that_is_refused_leaves_nothing(void **state) {
    struct fixture *f = *state;
    struct storage_state now;
    commit_tree(f);

    begin(f); /* on an old base */
    f->commit.base = 0;
    revise(f, ROOT_OID, PART_INODE, true, "x");
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* a name that is taken: found after revisions were written */
    revise(f, ROOT_OID, PART_INODE, true, "x");
    add(f, ROOT_OID, 6, "two", 4, S_IFREG);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* an index that is taken */
    revise(f, ROOT_OID, PART_INODE, true, "x");
    add(f, ROOT_OID, 3, "other", 4, S_IFREG);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* an entry that is not there */
    revise(f, ROOT_OID, PART_INODE, true, "x");
    end(f, ROOT_OID, 99);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* a part changed and not its inode */
    revise(f, 4, PART_CHUNK, false, "x");
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* an entry added to a directory that is not changed */
    revise(f, 4, PART_INODE, false, "x");
    add(f, 5, 9, "more", 4, S_IFREG);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* the same part twice */
    revise(f, 4, PART_INODE, false, "x");
    revise(f, 4, PART_INODE, false, "x");
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* bad names */
    revise(f, ROOT_OID, PART_INODE, true, "x");
    add(f, ROOT_OID, 9, "a/b", 4, S_IFREG);
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* an oid that was never given out */
    revise(f, 7, PART_INODE, false, "x");
    assert_int_equal(try_commit(f), STORE_INVALID);

    begin(f); /* a body id that was never given out */
    f->bodies[f->commit.body_count++] = (struct new_body){.id = 50, .data = (const uint8_t *)"x", .length = 1};
    assert_int_equal(try_commit(f), STORE_INVALID);

    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.last_seq, 1);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "r");
    assert_string_equal(list(f, ROOT_OID, 2), "two,five,six,");
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "good");
    commit(f);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "good");
}

static void test_storage__bodies_come_back(void **state) {
    struct fixture *f = *state;
    static uint8_t data[BODY_MAX], back[BODY_MAX];
    struct body_ref small, large;
    uint64_t first, next;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    assert_int_equal(storage_body_reserve(f->storage, 2, &first), STORE_OK);
    assert_int_equal(storage_body_reserve(f->storage, 1, &next), STORE_OK);
    assert_int_equal(next, first + 2);
    assert_int_equal(storage_body_append(f->storage, data, sizeof data, &large), STORE_OK);
    assert_int_not_equal(large.file, 0);
    assert_int_equal(storage_body_read(f->storage, &large, back), STORE_OK);
    /* Append tells a body's checksum; the row's one has it from the same bytes. */
    struct body_ref other;
    assert_int_equal(storage_body_append(f->storage, data, 100, &other), STORE_OK);
    small = (struct body_ref){.file = 0, .length = 100, .position = first, .sum = other.sum};

    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    f->bodies[f->commit.body_count++] = (struct new_body){.id = first, .data = data, .length = 100, .sum = other.sum};
    f->commit.body_files_used = true;
    commit(f);
    reopen(f, true);
    memset(back, 0, sizeof back);
    assert_int_equal(storage_body_read(f->storage, &large, back), STORE_OK);
    assert_memory_equal(back, data, sizeof data);
    memset(back, 0, sizeof back);
    assert_int_equal(storage_body_read(f->storage, &small, back), STORE_OK);
    assert_memory_equal(back, data, 100);

    /* Ids are not given out again, and what is not there is damage. */
    assert_int_equal(storage_body_reserve(f->storage, 1, &next), STORE_OK);
    assert_true(next > first);
    small.sum ^= 1;
    assert_int_equal(storage_body_read(f->storage, &small, back), STORE_CORRUPT);
    small.position = 1000;
    assert_int_equal(storage_body_read(f->storage, &small, back), STORE_CORRUPT);
    small.length = 0;
    assert_int_equal(storage_body_read(f->storage, &small, back), STORE_CORRUPT);
}

static void test_storage__tags_are_set_moved_and_listed(void **state) {
    struct fixture *f = *state;
    struct tag *tags;
    size_t count;
    uint64_t tid;
    assert_int_equal(storage_tag_get(f->storage, "a", &tid), STORE_ABSENT);
    assert_int_equal(storage_tag_set(f->storage, "b", 5, false), STORE_OK);
    assert_int_equal(storage_tag_set(f->storage, "a", 6, false), STORE_OK);
    assert_int_equal(storage_tag_set(f->storage, "a", 7, false), STORE_EXISTS);
    assert_int_equal(storage_tag_get(f->storage, "a", &tid), STORE_OK);
    assert_int_equal(tid, 6);
    assert_int_equal(storage_tag_set(f->storage, "a", 7, true), STORE_OK);
    /* A program that is not the writer may set tags too. */
    reopen(f, false);
    assert_int_equal(storage_tag_set(f->storage, "\xff c", 8, false), STORE_OK);
    assert_int_equal(storage_tag_list(f->storage, &tags, &count), STORE_OK);
    assert_int_equal(count, 3);
    assert_string_equal(tags[0].name, "a");
    assert_int_equal(tags[0].tid, 7);
    assert_string_equal(tags[2].name, "\xff c");
    free(tags);
    assert_int_equal(storage_tag_delete(f->storage, "a"), STORE_OK);
    assert_int_equal(storage_tag_delete(f->storage, "a"), STORE_ABSENT);
    assert_int_equal(storage_tag_get(f->storage, "a", &tid), STORE_ABSENT);
    assert_int_equal(storage_tag_set(f->storage, "", 8, false), STORE_INVALID);
}

static void test_storage__a_reader_cannot_commit(void **state) {
    struct fixture *f = *state;
    struct body_ref ref;
    uint64_t first;
    commit_root(f);
    reopen(f, false);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "x");
    assert_int_equal(try_commit(f), STORE_READ_ONLY);
    assert_int_equal(storage_body_append(f->storage, (const uint8_t *)"x", 1, &ref), STORE_READ_ONLY);
    assert_int_equal(storage_body_reserve(f->storage, 1, &first), STORE_READ_ONLY);
}

static void test_storage__another_process_sees_commits(void **state) {
    struct fixture *f = *state;
    struct storage_open_options options = {.log = &f->log};
    struct storage *writer = f->storage, *reader;
    commit_root(f);
    assert_int_equal(storage_sqlite_open(f->directory, &options, &reader, NULL), STORE_OK);
    for (int i = 0; i < 3; i++) {
        struct storage_state now;
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "more");
        commit(f);
        assert_int_equal(storage_get_state(reader, &now), STORE_OK);
        assert_int_equal(now.last_seq, f->last);
        f->storage = reader;
        assert_string_equal(load(f, ROOT_OID, PART_INODE, f->last + 1), "more");
        assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
        f->storage = writer;
    }
    storage_close(reader);
}

static void test_storage__space_counts_database_and_bodies(void **state) {
    struct fixture *f = *state;
    static uint8_t data[BODY_MAX] = {1};
    uint64_t database_bytes, body_bytes;
    struct body_ref ref;
    assert_int_equal(storage_space(f->storage, &database_bytes, &body_bytes), STORE_OK);
    assert_true(database_bytes > 0);
    assert_int_equal(body_bytes, 0);
    assert_int_equal(storage_body_append(f->storage, data, sizeof data, &ref), STORE_OK);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "x");
    f->commit.body_files_used = true;
    commit(f);
    assert_int_equal(storage_space(f->storage, &database_bytes, &body_bytes), STORE_OK);
    assert_true(body_bytes >= sizeof data);
}

/* ---- damage ---- */

static void test_storage__a_wrong_checksum_fails_that_row_alone(void **state) {
    struct fixture *f = *state;
    struct entry entry;
    uint64_t tid;
    commit_tree(f);
    assert_int_equal(storage_tag_set(f->storage, "t", 3, false), STORE_OK);
    assert_int_equal(storage_tag_set(f->storage, "u", 4, false), STORE_OK);
    run_sql(f, "UPDATE revision SET data = x'00' WHERE oid = 2");
    run_sql(f, "UPDATE entry SET oid = 6 WHERE name = x'66697665'"); /* five */
    run_sql(f, "UPDATE tag SET tid = 4 WHERE name = 't'");
    assert_string_equal(load(f, 2, PART_INODE, 2), store_error_text(STORE_CORRUPT));
    assert_non_null(strstr(f->log_text, "oid 2"));
    assert_string_equal(load(f, 3, PART_INODE, 2), "o");
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "five", 4, 2, &entry), STORE_CORRUPT);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "two", 3, 2, &entry), STORE_OK);
    entry_release(&entry);
    assert_int_equal(storage_tag_get(f->storage, "t", &tid), STORE_CORRUPT);
    assert_int_equal(storage_tag_get(f->storage, "u", &tid), STORE_OK);
}

/* ---- a full disk ---- */

static void test_storage__a_full_disk_fails_the_commit_and_nothing_else(void **state) {
    struct fixture *f = *state;
    static char large[200000];
    struct rlimit limit, before;
    commit_root(f);
    memset(large, 'x', sizeof large - 1);
    /* A file size limit is the full disk that a test can have without being root. */
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 150000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, large);
    int rc = try_commit(f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(rc == STORE_FULL || rc == STORE_IO);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 2), "root 1");
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "after");
    commit(f);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "after");
    reopen(f, true);
    assert_string_equal(load(f, ROOT_OID, PART_INODE, 3), "after");
}

/* ---- threads ---- */

struct race {
    struct fixture *f;
    atomic_bool stop;
    atomic_uint errors, reads;
};

/* Whatever is committed must read the same at any time. */
static void *read_all_the_time(void *context) {
    struct race *race = context;
    unsigned seed = (unsigned)(uintptr_t)&seed;
    while (!atomic_load(&race->stop)) {
        struct storage_state now;
        enum load_outcome outcome;
        struct revision revision;
        struct entry_list entries;
        if (storage_get_state(race->f->storage, &now) != STORE_OK) {
            atomic_fetch_add(&race->errors, 1);
            continue;
        }
        uint64_t before = 2 + (uint64_t)rand_r(&seed) % now.last_seq;
        int rc = storage_load_before(race->f->storage, ROOT_OID, PART_INODE, before, &outcome, &revision);
        bool right = rc == STORE_OK && outcome == LOAD_DATA && revision.seq == before - 1;
        if (rc == STORE_OK)
            revision_release(&revision);
        rc = storage_list(race->f->storage, ROOT_OID, before, &entries);
        right = right && rc == STORE_OK && entries.count == (before > 2 ? 1 : 0);
        right = right && (entries.count == 0 || entries.items[0].born == before - 1);
        if (rc == STORE_OK)
            entry_list_release(&entries);
        if (!right)
            atomic_fetch_add(&race->errors, 1);
        atomic_fetch_add(&race->reads, 1);
    }
    return NULL;
}

static void test_storage__readers_and_the_committer_run_together(void **state) {
    enum { READERS = 12, COMMITS = 300 };
    struct fixture *f = *state;
    struct race race = {.f = f};
    pthread_t threads[READERS];
    commit_root(f);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &race), 0);
    for (uint64_t i = 0; i < COMMITS; i++) {
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "r");
        if (i > 0)
            end(f, ROOT_OID, ENTRY_INDEX_FIRST + i - 1);
        add(f, ROOT_OID, ENTRY_INDEX_FIRST + i, "name", ROOT_OID, S_IFREG);
        commit(f);
    }
    atomic_store(&race.stop, true);
    for (int i = 0; i < READERS; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&race.errors), 0);
    assert_true(atomic_load(&race.reads) > 0);
}

/* ---- crashes ---- */

static void test_storage__kill_leaves_a_whole_transaction(void **state) {
    struct fixture *f = *state;
    commit_root(f);
    storage_close(f->storage);
    f->storage = NULL;
    for (int round = 0; round < 8; round++) {
        int pipes[2];
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            open_store(f, true);
            for (;;) {
                char data[16];
                (void)snprintf(data, sizeof data, "%" PRIu64, f->last + 1);
                begin(f);
                revise(f, ROOT_OID, PART_INODE, true, data);
                revise(f, ROOT_OID, PART_CHUNK, true, data);
                if (try_commit(f) != STORE_OK || write(pipes[1], &f->last, sizeof f->last) < 0)
                    _exit(1);
            }
        }
        (void)close(pipes[1]);
        (void)usleep(20000 + 7000 * (unsigned)round);
        (void)kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        uint64_t acknowledged = f->last, seq;
        while (read(pipes[0], &seq, sizeof seq) == (ssize_t)sizeof seq)
            acknowledged = seq;
        (void)close(pipes[0]);

        struct storage_state now;
        char expected[24];
        open_store(f, true);
        assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
        assert_true(now.last_seq == acknowledged || now.last_seq == acknowledged + 1);
        f->last = now.last_seq;
        if (now.last_seq > 1) {
            (void)snprintf(expected, sizeof expected, "%" PRIu64, now.last_seq);
            assert_string_equal(load(f, ROOT_OID, PART_INODE, now.last_seq + 1), expected);
            assert_string_equal(load(f, ROOT_OID, PART_CHUNK, now.last_seq + 1), expected);
        }
        storage_close(f->storage);
        f->storage = NULL;
    }
    open_store(f, true);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_storage__create_refuses_a_directory_that_is_not_empty),
        TEST(test_storage__files_are_private),
        TEST(test_storage__new_store_is_empty),
        TEST(test_storage__open_tells_apart_what_is_wrong),
        TEST(test_storage__close_leaves_no_log_behind),
        TEST(test_storage__load_before_has_five_outcomes),
        TEST(test_storage__revisions_have_ascending_ids),
        TEST(test_storage__next_part_skips_what_is_not_there),
        TEST(test_storage__at_or_before_the_horizon_is_packed),
        TEST(test_storage__names_are_bytes),
        TEST(test_storage__entries_move_to_the_past),
        TEST(test_storage__listing_agrees_with_a_model_at_every_instant),
        TEST(test_storage__a_change_marks_all_directories_above),
        TEST(test_storage__touched_walks_back_through_the_log),
        TEST(test_storage__changed_names_each_object_once),
        TEST(test_storage__a_transaction_has_its_tid_and_text),
        TEST(test_storage__a_commit_that_is_refused_leaves_nothing),
        TEST(test_storage__bodies_come_back),
        TEST(test_storage__tags_are_set_moved_and_listed),
        TEST(test_storage__a_reader_cannot_commit),
        TEST(test_storage__another_process_sees_commits),
        TEST(test_storage__space_counts_database_and_bodies),
        TEST(test_storage__a_wrong_checksum_fails_that_row_alone),
        TEST(test_storage__a_full_disk_fails_the_commit_and_nothing_else),
        TEST(test_storage__readers_and_the_committer_run_together),
        TEST(test_storage__kill_leaves_a_whole_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
