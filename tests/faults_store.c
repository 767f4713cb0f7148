/* Scenarios of store/: making and opening one, commits, tags, reading, verify. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/lock.h"
#include "store/storage_sqlite.h"
#include "store/store_private.h"
#include "tests/faults_world.h"

/* ---- making and opening ---- */

static int create(struct world *w) {
    return world_errno(store_create(w->directory, 0, 0, &w->err));
}

/* A create that failed leaves the directory as it was, if the disk lets it. */
static int create_again(struct world *w) {
    if (w->first == 0)
        return 0;
    int code = create(w);
    if (code == EEXIST && w->sticky) {
        world_empty(w);
        code = create(w);
    }
    return code;
}

static int create_first(struct world *w) {
    int code = create(w);
    w->first = code;
    return code;
}

/* With both layers on top. */
static int open_layers(struct world *w) {
    struct storage *fault;
    int rc = store_open(w->directory, &(struct store_options){.trace = true, .log = &w->log}, &w->store, &w->err);
    if (rc == STORE_OK)
        rc = storage_fault_open(w->store->storage, &fault);
    if (rc == STORE_OK)
        w->store->storage = fault;
    return world_errno(rc);
}

static int open_layers_again(struct world *w) {
    world_close(w);
    return open_layers(w);
}

static int close_again(struct world *w) {
    world_close(w);
    return 0;
}

static int open_read_again(struct world *w) {
    world_close(w);
    return world_open_read(w);
}

static int open_write_again(struct world *w) {
    world_close(w);
    return world_open_write(w);
}

static int open_head_again(struct world *w) {
    world_close(w);
    return world_open_head(w);
}

static int open_pool_again(struct world *w) {
    world_close(w);
    return world_open_pool(w);
}

/* Nothing of closing is told, so nothing may depend on it. */
static int close_writer(struct world *w) {
    world_close(w);
    return 0;
}

/* ---- commits that are made by hand ---- */

static int commit_attributes(struct world *w) {
    struct inode_version *inode;
    uint8_t *data = NULL;
    size_t length = 0;
    struct storage_state state;
    int rc = storage_get_state(store_storage(w->store), &state);
    if (rc == STORE_OK)
        rc = store_inode(w->store, ROOT_OID, state.last_seq + 1, &inode);
    if (rc != STORE_OK)
        return world_errno(rc);
    struct inode_record root = inode->record;
    root.mode = S_IFDIR | 0700;
    store_release(w->store, inode);
    rc = inode_record_encode(&root, &data, &length);
    if (rc != STORE_OK)
        return world_errno(rc);
    const struct new_revision revision = {
        .oid = ROOT_OID, .part = PART_INODE, .directory = true, .data = data, .length = length};
    const struct commit commit = {.base = state.last_seq,
                                  .wall = {.tv_sec = 2000000000},
                                  .user = "tester",
                                  .message = "by hand",
                                  .next_oid = state.next_oid,
                                  .revisions = &revision,
                                  .revision_count = 1};
    rc = store_commit(w->store, &commit, NULL);
    free(data);
    return world_errno(rc);
}

/* ---- tags ---- */

static int set_tag(struct world *w) {
    struct tag *tags = NULL;
    size_t count = 0;
    uint64_t tid = 0;
    struct storage *storage = store_storage(w->store);
    int rc = storage_tag_delete(storage, "other"); /* which a run that failed may have left */
    if (rc == STORE_OK || rc == STORE_ABSENT)
        rc = storage_tag_get(storage, "first", &tid);
    if (rc == STORE_OK)
        rc = storage_tag_set(storage, "other", tid, false);
    if (rc == STORE_OK)
        rc = storage_tag_delete(storage, "other");
    if (rc == STORE_OK)
        rc = storage_tag_set(storage, "new", tid, true);
    if (rc == STORE_OK)
        rc = storage_tag_set(storage, "large", tid, true);
    if (rc == STORE_OK)
        rc = storage_tag_delete(storage, "new");
    if (rc == STORE_OK)
        rc = storage_tag_list(storage, &tags, &count);
    if (rc == STORE_OK)
        world_read_number(w, count);
    for (size_t i = 0; i < count && rc == STORE_OK; i++)
        world_read(w, tags[i].name, strlen(tags[i].name));
    if (rc == STORE_OK)
        free(tags);
    return world_errno(rc);
}

/* ---- reading ---- */

static int read_entries(struct world *w, int rc, struct entry_list *list) {
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < list->count; i++) {
        world_read(w, list->items[i].name, list->items[i].name_length);
        world_read_number(w, list->items[i].oid);
    }
    entry_list_release(list);
    return STORE_OK;
}

static int read_storage_names(struct world *w, struct storage *storage, uint64_t last) {
    struct entry_list list = {0};
    struct entry entry;
    int rc = read_entries(w, storage_list(storage, ROOT_OID, 2, &list), &list);
    if (rc == STORE_OK)
        rc = read_entries(w, storage_list_from(storage, ROOT_OID, last + 1, 0, 2, &list), &list);
    if (rc == STORE_OK)
        rc = read_entries(w, storage_links(storage, 4, 3, &list), &list);
    if (rc == STORE_OK)
        rc = read_entries(w, storage_named(storage, ROOT_OID, "link", 4, &list), &list);
    if (rc == STORE_OK)
        rc = storage_lookup(storage, ROOT_OID, "link", 4, 2 + 1, &entry);
    if (rc == STORE_OK) {
        world_read_number(w, entry.oid);
        entry_release(&entry);
        rc = storage_lookup(storage, ROOT_OID, "text", 4, last + 1, &entry);
    }
    if (rc == STORE_OK) {
        world_read_number(w, entry.oid);
        entry_release(&entry);
    }
    return rc;
}

static int read_storage_transactions(struct world *w, struct storage *storage, uint64_t last) {
    struct transaction transaction;
    uint64_t *oids = NULL, number = 0;
    size_t count = 0;
    int rc = storage_transaction_before(storage, UINT64_MAX >> 1, &transaction);
    if (rc == STORE_OK) {
        world_read(w, transaction.message, strlen(transaction.message));
        transaction_release(&transaction);
        rc = storage_transaction_at(storage, 2, &transaction);
    }
    if (rc == STORE_OK) {
        world_read(w, transaction.message, strlen(transaction.message));
        transaction_release(&transaction);
        rc = storage_changed(storage, 1, last, &oids, &count);
    }
    if (rc == STORE_OK) {
        world_read(w, oids, count * sizeof *oids);
        free(oids);
        rc = storage_revisions_between(storage, 1, last, &number);
    }
    world_read_number(w, number);
    if (rc == STORE_OK)
        rc = storage_touched(storage, ROOT_OID, last, &number);
    world_read_number(w, number);
    return rc;
}

static int read_storage_parts(struct world *w, struct storage *storage, uint64_t last) {
    enum load_outcome outcome;
    struct revision revision;
    struct subtree subtree;
    uint64_t part = 0, database = 0, bodies = 0;
    int rc = STORE_OK;
    for (uint64_t oid = 1; oid <= 10 && rc == STORE_OK; oid++) {
        rc = storage_load_before(storage, oid, PART_INODE, last, &outcome, &revision);
        if (rc != STORE_OK)
            break;
        world_read_number(w, outcome);
        if (outcome == LOAD_DATA) {
            world_read(w, revision.data, revision.length);
            revision_release(&revision);
        }
        rc = storage_next_part(storage, oid, 0, last, &part);
        world_read_number(w, rc == STORE_OK ? part : 0);
        rc = rc == STORE_ABSENT ? STORE_OK : rc;
    }
    if (rc == STORE_OK)
        rc = storage_load_revision(storage, 3, &revision);
    if (rc == STORE_OK) {
        world_read(w, revision.data, revision.length);
        revision_release(&revision);
        rc = storage_subtree(storage, ROOT_OID, last, &subtree);
    }
    if (rc == STORE_OK) {
        world_read_number(w, subtree.id);
        rc = storage_space(storage, &database, &bodies);
    }
    return rc;
}

static int read_storage(struct world *w) {
    struct storage_state state;
    struct storage *storage = store_storage(w->store);
    int rc = storage_get_state(storage, &state);
    if (rc == STORE_OK)
        rc = read_storage_names(w, storage, state.last_seq);
    if (rc == STORE_OK)
        rc = read_storage_transactions(w, storage, state.last_seq);
    if (rc == STORE_OK)
        rc = read_storage_parts(w, storage, state.last_seq);
    return world_errno(rc);
}

/* Another handle commits, and this one hears of it. */
struct other {
    struct world writer;
};

static int open_beside(struct world *w) {
    struct other *other = calloc(1, sizeof *other);
    if (!other)
        return ENOMEM;
    w->own = other;
    strcpy(other->writer.directory, w->directory);
    other->writer.log = w->log;
    int rc = world_open_read(w);
    if (rc == 0)
        rc = world_open_write(&other->writer);
    return rc ? rc : commit_attributes(&other->writer);
}

static int refresh(struct world *w) {
    uint64_t *oids = NULL;
    size_t count = 0;
    struct inode_version *inode;
    int rc = store_refresh(w->store, &oids, &count);
    if (rc < 0)
        return world_errno(rc);
    if (rc == STORE_OK)
        free(oids);
    rc = store_inode(w->store, ROOT_OID, store_last(w->store) + 1, &inode);
    if (rc != STORE_OK)
        return world_errno(rc);
    world_read_number(w, inode->record.mode);
    store_release(w->store, inode);
    return 0;
}

/* Is told of the lock's holder. */
static int open_locked(struct world *w) {
    struct world second = {.log = w->log};
    struct lock_holder holder;
    strcpy(second.directory, w->directory);
    int rc = store_set_mount_point(((struct other *)w->own)->writer.store, "/here");
    if (rc != STORE_OK)
        return world_errno(
            error_set(&w->err, (enum store_error)rc, "%s", store_error_text(rc))); /* as a caller would */
    rc = world_open_write(&second);
    if (rc == 0) {
        world_close(&second);
        return EBADF;
    }
    w->err = second.err;
    if (rc != EBUSY)
        return rc;
    rc = writer_lock_holder(w->directory, &holder);
    if (rc != STORE_OK)
        return rc < 0 ? world_errno(rc) : EBADF;
    world_read_number(w, holder.pid == getpid());
    world_read(w, holder.mount_point, strlen(holder.mount_point));
    lock_holder_release(&holder);
    return 0;
}

static void close_beside(struct world *w) {
    struct other *other = w->own;
    world_close(w);
    world_close(&other->writer);
    free(other);
}

/* ---- verify ---- */

static void count_problem(void *context, const struct verify_problem *problem) {
    (void)problem;
    ++*(unsigned *)context;
}

static int verify(struct world *w) {
    unsigned told = 0;
    uint64_t problems = 0;
    const struct verify_options options = {.problem = count_problem, .context = &told};
    int rc = storage_verify(store_storage(w->store), &options, &problems);
    if (rc == STORE_OK)
        world_read_number(w, problems);
    return world_errno(rc);
}

const struct scenario store_scenarios[] = {
    {.name = "create", .act = create_first, .again = create_again, .empty = true, .makes = true},
    {.name = "open_read", .act = world_open_read, .again = open_read_again},
    {.name = "open_write", .act = world_open_write, .again = open_write_again, .writes = true},
    {.name = "open_head", .act = world_open_head, .again = open_head_again, .writes = true},
    {.name = "open_pool", .act = world_open_pool, .again = open_pool_again},
    {.name = "open_layers", .act = open_layers, .again = open_layers_again},
    {.name = "close", .open = world_open_head, .act = close_writer, .again = close_again, .writes = true},
    {.name = "commit", .open = world_open_write, .act = commit_attributes, .writes = true},
    {.name = "tags", .open = world_open_read, .act = set_tag, .again = set_tag, .writes = true},
    {.name = "read_storage", .open = world_open_read, .act = read_storage, .again = read_storage},
    {.name = "refresh", .open = open_beside, .act = refresh, .again = refresh, .close = close_beside},
    {.name = "locked", .open = open_beside, .act = open_locked, .again = open_locked, .close = close_beside},
    {.name = "verify", .open = world_open_read, .act = verify, .again = verify, .tells = true},
    {0},
};
