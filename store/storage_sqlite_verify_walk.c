#include <stdlib.h>
#include <string.h>

#include "store/storage_sqlite_verify.h"

#define WALK_PATH_MAX 16384 /* a path that is longer is not followed: it bounds the depth, too */

/* A walk through the newest state. It finds again by path what the scans of tables could not say the path of: they end at a page that cannot be read. */
struct walk {
    struct verify *verify;
    uint64_t before;
    struct oid_set seen; /* directories, for a damaged tree may lead back into itself */
    size_t length;
    char path[WALK_PATH_MAX];
};

static void tell(struct walk *walk, const char *what) {
    const struct verify_options *options = walk->verify->options;
    const struct verify_problem problem = {.path = walk->length > 0 ? walk->path : "/", .text = what};
    ++*walk->verify->problems;
    options->problem(options->context, &problem);
}

/* Damage is told and is no reason to stop. */
static int note_damage(struct walk *walk, int rc, const char *what) {
    if (rc == STORE_CORRUPT)
        tell(walk, what);
    return rc == STORE_CORRUPT || rc == STORE_ABSENT ? STORE_OK : rc;
}

static int walk_part(struct walk *walk, uint64_t oid, uint64_t part, struct revision *revision) {
    enum load_outcome outcome;
    int rc = sqlite_read_before(walk->verify->reader, oid, part, walk->before, &outcome, revision);
    return rc == STORE_OK && outcome != LOAD_DATA ? STORE_ABSENT : rc;
}

static int walk_chunk(struct walk *walk, const struct revision *revision) {
    struct chunk chunk;
    bool damaged = false;
    int rc = chunk_decode(revision->data, revision->length, &chunk);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < chunk.count && rc == STORE_OK && !damaged; i++)
        rc = verify_body(walk->verify, &chunk.extents[i].body, &damaged);
    chunk_release(&chunk);
    return damaged ? STORE_CORRUPT : rc;
}

/* All parts but the inode: each is read, and the bodies that it refers to. One that cannot be read is told once for all of the content. */
static int walk_parts(struct walk *walk, uint64_t oid) {
    uint64_t part = PART_INODE;
    int rc = STORE_OK;
    while (rc == STORE_OK) {
        struct revision revision = {0};
        rc = sqlite_next_part(&walk->verify->storage->base, oid, part + 1, walk->before, &part);
        if (rc == STORE_OK)
            rc = walk_part(walk, oid, part, &revision);
        if (rc == STORE_OK && part >= PART_CHUNK)
            rc = walk_chunk(walk, &revision);
        revision_release(&revision);
    }
    return note_damage(walk, rc, "its content or attributes cannot be read");
}

static int walk_directory(struct walk *walk, uint64_t directory);

static int walk_entry(struct walk *walk, const struct entry *entry) {
    struct revision revision = {0};
    size_t length = walk->length;
    if (length + 1 + entry->name_length >= sizeof walk->path)
        return STORE_OK;
    walk->path[length] = '/';
    memcpy(walk->path + length + 1, entry->name, entry->name_length);
    walk->length += 1 + entry->name_length;
    walk->path[walk->length] = '\0';
    verify_step(walk->verify);
    int rc = note_damage(walk, walk_part(walk, entry->oid, PART_INODE, &revision), "it cannot be read");
    revision_release(&revision);
    if (rc == STORE_OK)
        rc = walk_parts(walk, entry->oid);
    if (rc == STORE_OK && entry->type == S_IFDIR)
        rc = walk_directory(walk, entry->oid);
    walk->length = length;
    walk->path[length] = '\0';
    return rc;
}

static int walk_directory(struct walk *walk, uint64_t directory) {
    struct entry_list list = {0};
    int rc = oid_set_add(&walk->seen, directory);
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_OK : rc;
    rc = verify_next_slice(walk->verify);
    if (rc == STORE_OK)
        rc = sqlite_collect_entries(walk->verify->reader, STATEMENT_LIST, directory, walk->before, &list);
    if (rc != STORE_OK)
        return note_damage(walk, rc, "its entries cannot be read");
    for (size_t i = 0; i < list.count && rc == STORE_OK; i++)
        rc = walk_entry(walk, &list.items[i]);
    entry_list_release(&list);
    return rc;
}

int verify_walk(struct verify *verify) {
    if (!verify->cut || verify->note || verify->last_seq == 0)
        return STORE_OK;
    struct walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return STORE_NO_MEMORY;
    walk->verify = verify;
    walk->before = verify->last_seq + 1;
    oid_set_init(&walk->seen);
    int rc = walk_directory(walk, ROOT_OID);
    oid_set_release(&walk->seen);
    free(walk);
    return rc;
}
