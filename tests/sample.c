#include "tests/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <ftw.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <xxhash.h>

#include "store/page_vfs.h"
#include "store/tid.h"

static const struct store_options writable = {.writable = true};

static void open_store(struct sample *sample, const struct store_options *options) {
    struct error err;
    if (store_open(sample->directory, options != NULL ? options : &writable, &sample->store, &err) != STORE_OK) {
        fail_msg("%s", err.text);
    }
}

struct sample *sample_new(const struct store_options *options) {
    struct sample *sample = calloc(1, sizeof *sample);
    assert_non_null(sample);
    char parent[] = "/tmp/tidfs-sample-XXXXXX";
    assert_non_null(mkdtemp(parent));
    snprintf(sample->directory, sizeof sample->directory, "%s/store", parent);
    struct error err;
    if (store_create(sample->directory, 1000, 1000, &err) != STORE_OK) {
        fail_msg("%s", err.text);
    }
    open_store(sample, options);
    struct transaction first;
    assert_int_equal(storage_transaction_at(store_storage(sample->store), 1, &first), STORE_OK);
    sample->clock = tid_to_time(first.tid);
    sample->clock.tv_sec += 60;
    transaction_release(&first);
    sample->next_oid = ROOT_OID + 1;

    struct inode_version *root;
    assert_int_equal(store_inode(sample->store, ROOT_OID, 2, &root), STORE_OK);
    sample->objects[ROOT_OID].oid = ROOT_OID;
    sample->objects[ROOT_OID].record = root->record;
    store_release(sample->store, root);
    return sample;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void drop_pending(struct sample *sample) {
    for (size_t i = 0; i < sample->revision_count; i++) {
        free((void *)(uintptr_t)sample->revisions[i].data);
    }
    for (size_t i = 0; i < sample->added_count; i++) {
        free((void *)(uintptr_t)sample->added[i].name);
    }
    sample->revision_count = sample->added_count = sample->ended_count = 0;
    sample->body_files_used = false;
}

void sample_free(struct sample *sample) {
    store_close(sample->store);
    drop_pending(sample);
    for (size_t i = 0; i < SAMPLE_OBJECTS; i++) {
        inode_record_release(&sample->objects[i].record);
    }
    *strrchr(sample->directory, '/') = '\0';
    assert_int_equal(nftw(sample->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(sample);
}

void sample_reopen(struct sample *sample, const struct store_options *options) {
    store_close(sample->store);
    open_store(sample, options);
}

/* ---- changes ---- */

static struct sample_object *object_of(struct sample *sample, uint64_t oid) {
    assert_in_range(oid, 1, SAMPLE_OBJECTS - 1);
    struct sample_object *object = &sample->objects[oid];
    assert_int_equal(object->oid, oid);
    return object;
}

static struct sample_object *change(struct sample *sample, uint64_t oid) {
    struct sample_object *object = object_of(sample, oid);
    object->dirty = true;
    object->record.ctime = sample->clock;
    return object;
}

static void add_revision(struct sample *sample, uint64_t oid, uint64_t part, uint8_t *data, size_t length) {
    for (size_t i = 0; i < sample->revision_count; i++) {
        if (sample->revisions[i].oid == oid && sample->revisions[i].part == part) {
            free((void *)(uintptr_t)sample->revisions[i].data);
            sample->revisions[i].data = data;
            sample->revisions[i].length = length;
            return;
        }
    }
    assert_in_range(sample->revision_count, 0, SAMPLE_PENDING - 1);
    sample->revisions[sample->revision_count++] = (struct new_revision){
        .oid = oid,
        .part = part,
        .directory = S_ISDIR(object_of(sample, oid)->record.mode),
        .data = data,
        .length = length,
    };
}

static void add_entry(struct sample *sample, uint64_t parent, const char *name, uint64_t oid) {
    struct sample_object *directory = change(sample, parent);
    assert_in_range(sample->added_count, 0, SAMPLE_PENDING - 1);
    sample->added[sample->added_count++] = (struct new_entry){
        .parent = parent,
        .index = directory->record.next_index++,
        .oid = oid,
        .type = object_of(sample, oid)->record.mode & S_IFMT,
        .name = strdup(name),
        .name_length = strlen(name),
    };
    directory->record.size++;
    directory->record.mtime = sample->clock;
    directory->record.nlink += S_ISDIR(object_of(sample, oid)->record.mode) ? 1 : 0;
}

/* Returns the oid that the name led to. */
static uint64_t end_entry(struct sample *sample, uint64_t parent, const char *name) {
    struct entry entry;
    assert_int_equal(
        storage_lookup(store_storage(sample->store), parent, name, strlen(name), sample_last(sample) + 1, &entry),
        STORE_OK);
    struct sample_object *directory = change(sample, parent);
    assert_in_range(sample->ended_count, 0, SAMPLE_PENDING - 1);
    sample->ended[sample->ended_count++] = (struct ended_entry){.parent = parent, .index = entry.index};
    directory->record.size--;
    directory->record.mtime = sample->clock;
    directory->record.nlink -= entry.type == S_IFDIR ? 1 : 0;
    uint64_t oid = entry.oid;
    entry_release(&entry);
    return oid;
}

uint64_t sample_make(struct sample *sample, uint64_t parent, const char *name, uint32_t mode, const char *content) {
    uint64_t oid = sample->next_oid++;
    assert_in_range(oid, 2, SAMPLE_OBJECTS - 1);
    sample->objects[oid] = (struct sample_object){
        .oid = oid,
        .dirty = true,
        .record =
            {
                .mode = mode,
                .uid = 1000,
                .gid = 1000,
                .nlink = S_ISDIR(mode) ? 2 : 1,
                .parent = S_ISDIR(mode) ? parent : 0,
                .next_index = S_ISDIR(mode) ? ENTRY_INDEX_FIRST : 0,
                .atime = sample->clock,
                .mtime = sample->clock,
                .ctime = sample->clock,
                .btime = sample->clock,
            },
    };
    if (S_ISLNK(mode)) {
        sample->objects[oid].record.target = strdup(content);
        sample->objects[oid].record.size = strlen(content);
    } else if (content != NULL) {
        sample_write(sample, oid, content);
    }
    add_entry(sample, parent, name, oid);
    return oid;
}

struct body_ref sample_body(struct sample *sample, const void *data, uint32_t length) {
    struct body_ref body;
    assert_int_equal(storage_body_append(store_storage(sample->store), data, length, &body), STORE_OK);
    sample->body_files_used = true;
    return body;
}

void sample_set_chunk(struct sample *sample, uint64_t oid, uint64_t number, const struct chunk *chunk, uint64_t size) {
    struct sample_object *object = change(sample, oid);
    uint8_t *data = NULL;
    size_t length = 0;

    object->record.size = size;
    object->record.mtime = sample->clock;
    if (chunk != NULL) {
        assert_int_equal(chunk_encode(chunk, &data, &length), STORE_OK);
        for (size_t i = 0; i < chunk->count; i++) {
            object->record.allocated += chunk->extents[i].length; /* what tests look at is a file's first */
        }
    }
    add_revision(sample, oid, PART_CHUNK + number, data, length);
}

void sample_write(struct sample *sample, uint64_t oid, const char *content) {
    uint32_t length = (uint32_t)strlen(content);
    struct extent extent = {.length = length};
    struct chunk chunk = {.extents = &extent, .count = length > 0 ? 1 : 0};

    if (length > 0) {
        extent.body = sample_body(sample, content, length);
    }
    object_of(sample, oid)->record.allocated = 0;
    sample_set_chunk(sample, oid, 0, &chunk, length);
}

void sample_chmod(struct sample *sample, uint64_t oid, uint32_t permissions) {
    struct sample_object *object = change(sample, oid);
    object->record.mode = (object->record.mode & S_IFMT) | permissions;
}

void sample_set_xattr(struct sample *sample, uint64_t oid, const char *name, const char *value) {
    struct xattr_set set = {0};
    struct xattrs_version *old;
    uint8_t *data;
    size_t length;

    int rc = store_xattrs(sample->store, oid, sample_last(sample) + 1, &old);
    if (rc == STORE_OK) {
        assert_int_equal(xattr_set_copy(&old->set, &set), STORE_OK);
        store_release(sample->store, old);
    }
    assert_int_equal(xattr_set_put(&set, name, value, strlen(value)), STORE_OK);
    assert_int_equal(xattr_set_encode(&set, &data, &length), STORE_OK);
    xattr_set_release(&set);
    change(sample, oid)->record.has_xattrs = true;
    add_revision(sample, oid, PART_XATTRS, data, length);
}

void sample_link(struct sample *sample, uint64_t oid, uint64_t parent, const char *name) {
    change(sample, oid)->record.nlink++;
    add_entry(sample, parent, name, oid);
}

void sample_remove(struct sample *sample, uint64_t parent, const char *name) {
    uint64_t oid = end_entry(sample, parent, name);
    struct sample_object *object = change(sample, oid);
    if (S_ISDIR(object->record.mode) || --object->record.nlink == 0) {
        object->ended = true;
    }
}

void sample_move(struct sample *sample, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name) {
    uint64_t oid = end_entry(sample, parent, name);
    struct sample_object *object = change(sample, oid);
    if (S_ISDIR(object->record.mode)) {
        object->record.parent = new_parent;
    }
    add_entry(sample, new_parent, new_name, oid);
}

static void add_inodes(struct sample *sample) {
    for (uint64_t oid = 1; oid < sample->next_oid; oid++) {
        struct sample_object *object = &sample->objects[oid];
        uint8_t *data = NULL;
        size_t length = 0;
        if (!object->dirty) {
            continue;
        }
        if (!object->ended) {
            assert_int_equal(inode_record_encode(&object->record, &data, &length), STORE_OK);
        }
        add_revision(sample, oid, PART_INODE, data, length);
        object->dirty = false;
    }
}

uint64_t sample_commit_through(struct sample *sample, struct store *store, const char *message) {
    add_inodes(sample);
    const struct commit commit = {
        .base = store_last(store),
        .wall = sample->clock,
        .user = "tester",
        .message = message,
        .next_oid = sample->next_oid,
        .revisions = sample->revisions,
        .revision_count = sample->revision_count,
        .ended = sample->ended,
        .ended_count = sample->ended_count,
        .added = sample->added,
        .added_count = sample->added_count,
        .body_files_used = sample->body_files_used,
    };
    struct transaction done;
    assert_int_equal(store_commit(store, &commit, &done), STORE_OK);
    assert_int_equal(done.seq, commit.base + 1);
    drop_pending(sample);
    sample->clock.tv_sec += 60;
    uint64_t tid = done.tid;
    transaction_release(&done);
    return tid;
}

uint64_t sample_commit(struct sample *sample, const char *message) {
    return sample_commit_through(sample, sample->store, message);
}

/* The row's checksum is that of its columns, each as eight bytes, lowest first. */
static void set_horizon(sqlite3 *db, uint64_t horizon, int64_t packed_at_s) {
    enum { HORIZON = 6, PACKED_S = 7, COLUMNS = 9 };
    sqlite3_stmt *statement;
    uint8_t bytes[COLUMNS * 8];
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT next_oid, next_revision, next_body, next_subtree, body_file, body_end,"
                                        " horizon, packed_s, packed_ns FROM state",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    for (int i = 0; i < COLUMNS; i++) {
        uint64_t value = (uint64_t)sqlite3_column_int64(statement, i);
        value = i == HORIZON ? horizon : i == PACKED_S ? (uint64_t)packed_at_s : value;
        for (int j = 0; j < 8; j++) {
            bytes[i * 8 + j] = (uint8_t)(value >> (j * 8));
        }
    }
    sqlite3_finalize(statement);
    char update[256];
    snprintf(update, sizeof update, "UPDATE state SET horizon = %" PRIu64 ", packed_s = %" PRId64 ", sum = %" PRId64,
             horizon, packed_at_s, (int64_t)XXH3_64bits(bytes, sizeof bytes));
    assert_int_equal(sqlite3_exec(db, update, NULL, NULL, NULL), SQLITE_OK);
}

void sample_move_horizon(struct sample *sample, uint64_t horizon, int64_t packed_at_s) {
    sqlite3 *db;
    char path[128];
    snprintf(path, sizeof path, "%s/tidfs.db", sample->directory);
    assert_int_equal(page_vfs_register(), SQLITE_OK);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS), SQLITE_OK);
    assert_int_equal(sqlite3_busy_timeout(db, 5000), SQLITE_OK);
    set_horizon(db, horizon, packed_at_s);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(store_refresh(sample->store, NULL, NULL), STORE_ABSENT);
    assert_int_equal(store_horizon(sample->store), horizon);
}

uint64_t sample_last(const struct sample *sample) {
    return store_last(sample->store);
}

struct timespec sample_time(const struct sample *sample, int64_t seconds) {
    struct timespec time = sample->clock;
    time.tv_sec += seconds - 60;
    return time;
}
