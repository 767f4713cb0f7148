/* The newest state made whole, in one transaction.
 *
 * Names decide where things are, and inodes what they are. All objects are listed with what their inodes say; all names are given to them;
 * then what the two say is made to agree: names that lead to nothing end, objects without a name get one, and inodes that say otherwise are
 * written anew. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

#include "store/array.h"
#include "store/oid_set.h"
#include "store/storage_sqlite_repair.h"

#define LOST_AND_FOUND "lost+found"
#define RIGHTS         (S_ISUID | S_ISGID | S_IRWXG | S_IRWXO) /* bits of a mode that are not given on a guess */

/* An object as it is now. */
struct node {
    uint64_t oid;
    uint64_t holder;                   /* of a directory: the one that has its name; 0: none; of the root: the root */
    uint64_t holder_index;             /* of that name */
    uint64_t parent, size, next_index; /* as the inode says */
    uint32_t nlink;
    uint32_t type;
    uint64_t names; /* that lead here */
    uint64_t entries, subdirectories, highest_index;
    bool alive, remade, based, unnamed, no_xattrs, ended;
};

struct head_repair {
    struct repair *repair;
    struct sqlite_storage *storage;
    struct connection *reader;
    uint64_t before;    /* the newest state */
    struct node *nodes; /* ascending oid */
    size_t count, capacity;
    struct commit commit;
    struct new_revision *revisions;
    size_t revision_capacity;
    struct new_entry *added;
    size_t added_capacity;
    struct ended_entry *ended;
    size_t ended_capacity;
    struct oid_set taken;    /* hashes of names that are added */
    uint64_t lost_and_found; /* oid; 0: none yet */
    struct stat owner;
};

/* The array in any case, with room for one more if *rc is not changed. */
static void *grow(void *items, size_t *capacity, size_t count, size_t size, int *rc) {
    void *grown = array_grow(items, capacity, count, size);
    if (!grown)
        *rc = STORE_NO_MEMORY;
    return grown ? grown : items;
}

static struct node *find_node(struct head_repair *head, uint64_t oid) {
    size_t low = 0, high = head->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (head->nodes[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < head->count && head->nodes[low].oid == oid ? &head->nodes[low] : NULL;
}

static struct node *find_directory(struct head_repair *head, uint64_t oid) {
    struct node *node = find_node(head, oid);
    return node && node->alive && node->type == S_IFDIR ? node : NULL;
}

/* ---- objects ---- */

static bool is_lost(const struct head_repair *head, uint64_t oid, uint64_t part, uint64_t newest) {
    return loss_list_newest(&head->storage->losses, oid, part, head->before) > newest;
}

/* Takes over what the inode says; one that cannot be decoded counts as lost. */
static int take_inode(struct node *node, const struct revision *revision) {
    struct inode_record record;
    int rc = inode_record_decode(revision->data, revision->length, &record);
    if (rc == STORE_CORRUPT) {
        node->remade = true;
        return STORE_OK;
    }
    if (rc != STORE_OK)
        return rc;
    node->based = true;
    node->type = record.mode & S_IFMT;
    node->parent = record.parent;
    node->size = record.size;
    node->next_index = record.next_index <= BELIEVED_INDEX_MAX ? record.next_index : 0;
    node->nlink = record.nlink;
    node->no_xattrs = !record.has_xattrs;
    inode_record_release(&record);
    return STORE_OK;
}

/* True if an object's last name ended in the transaction in which its inode was lost: that is how an object ends. */
static int was_removed(struct head_repair *head, uint64_t oid, uint64_t lost, bool *removed) {
    struct value value = value_integer(oid);
    uint64_t died = 0, names = 0;
    int rc = statement_integer(head->reader, STATEMENT_LAST_DEATH, &value, 1, &died);
    if (rc >= 0)
        rc = statement_integer(head->reader, STATEMENT_ENTRY_PARENTS, &value, 1, &names);
    *removed = rc == STORE_ABSENT && died == lost && lost != 0;
    return rc < 0 ? rc : STORE_OK;
}

static int load_node(struct head_repair *head, struct node *node) {
    enum load_outcome outcome;
    struct revision revision = {0};
    int rc = sqlite_read_before(head->reader, node->oid, PART_INODE, head->before, &outcome, &revision);
    if (rc != STORE_OK)
        return rc;
    uint64_t lost = loss_list_newest(&head->storage->losses, node->oid, PART_INODE, head->before);
    if (outcome == LOAD_DATA) {
        node->alive = true;
        node->remade = lost > revision.seq;
        rc = take_inode(node, &revision);
    } else if (outcome != LOAD_DELETED) {
        node->alive = node->remade = true; /* if its names tell what it is */
    }
    revision_release(&revision);
    if (rc == STORE_OK && node->remade && node->oid != ROOT_OID) {
        rc = was_removed(head, node->oid, lost, &node->ended);
        node->alive = !node->ended;
    }
    return rc;
}

static int load_nodes(struct head_repair *head) {
    sqlite3_stmt *statement;
    int rc = statement_get(head->reader, STATEMENT_OBJECTS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(head->reader, statement)) == STORE_OK) {
        /* There stays room for one more, for lost+found. */
        head->nodes = grow(head->nodes, &head->capacity, head->count + 1, sizeof *head->nodes, &rc);
        if (rc == STORE_OK)
            head->nodes[head->count++] = (struct node){.oid = column_integer(statement, 0)};
    }
    statement_reset(statement);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    for (size_t i = 0; i < head->count && rc == STORE_OK; i++)
        rc = load_node(head, &head->nodes[i]);
    if (rc == STORE_OK) { /* always among them, and never anything else: no row was kept that says otherwise */
        struct node *root = find_node(head, ROOT_OID);
        root->type = S_IFDIR;
        root->holder = ROOT_OID;
    }
    return rc;
}

/* ---- names ---- */

static int end_entry(struct head_repair *head, const struct entry *entry) {
    int rc = STORE_OK;
    head->ended = grow(head->ended, &head->ended_capacity, head->commit.ended_count, sizeof *head->ended, &rc);
    if (rc != STORE_OK)
        return rc;
    head->ended[head->commit.ended_count++] = (struct ended_entry){.parent = entry->parent, .index = entry->index};
    head->repair->result->removed++;
    return repair_note(head->repair, entry->parent, "the name %.*s led to what is lost, and is removed",
                       (int)entry->name_length, entry->name);
}

/* What cannot be made again without its inode. */
static bool needs_inode(uint32_t type) {
    return type == S_IFLNK || type == S_IFCHR || type == S_IFBLK;
}

/* Whether a name can stay. A directory has one: the one that its inode tells, or else the first. */
static bool is_good_name(const struct entry *entry, const struct node *parent, struct node *child) {
    if (!parent || !child->alive || child->oid == ROOT_OID)
        return false;
    if (!child->based && needs_inode(entry->type))
        return false;
    if (child->type == 0)
        child->type = entry->type;
    if (child->type != entry->type)
        return false;
    if (child->type != S_IFDIR || child->holder == 0)
        return true;
    return child->parent == parent->oid && child->holder != parent->oid;
}

/* Its index is above those of the names that were counted before. */
static void count_name(struct node *parent, struct node *child, uint64_t index) {
    parent->entries++;
    parent->highest_index = index;
    child->names++;
    if (child->type == S_IFDIR) {
        parent->subdirectories++;
        child->holder = parent->oid;
        child->holder_index = index;
    }
}

/* Takes the name away that a directory has. */
static int end_name_of(struct head_repair *head, struct node *node) {
    struct value values[] = {value_integer(node->holder), value_integer(node->holder_index)};
    struct node *holder = find_node(head, node->holder);
    struct entry_row row;
    sqlite3_stmt *statement;
    int rc = statement_get(head->reader, STATEMENT_ENTRY_BY_INDEX, values, 2, &statement);
    if (rc == STORE_OK)
        rc = statement_step(head->reader, statement);
    if (rc == STORE_OK)
        rc = entry_row_decode(head->reader, statement, &row);
    if (rc == STORE_OK)
        rc = end_entry(head, &row.entry);
    statement_reset(statement);
    holder->entries--;
    holder->subdirectories--;
    node->holder = 0;
    node->names = 0;
    return rc;
}

/* What has names in it is a directory. */
static int find_directories(struct head_repair *head) {
    sqlite3_stmt *statement;
    int rc = statement_get(head->reader, STATEMENT_ALL_ENTRIES, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(head->reader, statement)) == STORE_OK) {
        struct node *parent = find_node(head, column_integer(statement, 0));
        if (!parent->based)
            parent->type = S_IFDIR;
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

static int take_names(struct head_repair *head) {
    sqlite3_stmt *statement;
    struct entry_row row;
    int rc = statement_get(head->reader, STATEMENT_ALL_ENTRIES, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(head->reader, statement)) == STORE_OK) {
        rc = entry_row_decode(head->reader, statement, &row);
        if (rc != STORE_OK)
            break;
        struct node *parent = find_directory(head, row.entry.parent), *child = find_node(head, row.entry.oid);
        if (!is_good_name(&row.entry, parent, child)) {
            rc = end_entry(head, &row.entry);
            continue;
        }
        if (child->holder != 0)
            rc = end_name_of(head, child);
        count_name(parent, child, row.entry.index);
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* ---- objects without a name ---- */

/* Follows a directory's names upwards, once no directories hold one another. True if they lead to the root. */
static bool reaches_root(struct head_repair *head, const struct node *node) {
    while (node && node->oid != ROOT_OID)
        node = find_directory(head, node->holder);
    return node != NULL;
}

/* True if a chain upwards comes back to where it began. */
static bool is_in_cycle(struct head_repair *head, const struct node *start) {
    const struct node *node = find_directory(head, start->holder);
    for (size_t steps = 0; node && node->oid != ROOT_OID && steps < head->count; steps++) {
        if (node == start)
            return true;
        node = find_directory(head, node->holder);
    }
    return false;
}

/* Contents without an inode are a file's. */
static int is_file(struct head_repair *head, const struct node *node, bool *file) {
    uint64_t part;
    struct value values[] = {value_integer(node->oid), value_integer(PART_CHUNK - 1)};
    int rc = statement_integer(head->reader, STATEMENT_REVISION_NEXT_PART, values, 2, &part);
    *file = rc == STORE_OK;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

static int find_unnamed(struct head_repair *head) {
    int rc = STORE_OK;
    for (size_t i = 0; i < head->count && rc == STORE_OK; i++) {
        struct node *node = &head->nodes[i];
        if (!node->alive || node->oid == ROOT_OID)
            continue;
        if (node->type == 0) {
            node->type = S_IFREG;
            rc = is_file(head, node, &node->alive);
        }
        node->unnamed = node->alive && node->names == 0 && (node->nlink > 0 || node->remade);
        if (node->type == S_IFDIR && node->names > 0 && is_in_cycle(head, node)) {
            rc = end_name_of(head, node); /* one is enough for directories that hold one another */
            node->unnamed = true;
        }
    }
    return rc;
}

static uint64_t hash_name(uint64_t parent, const char *name, size_t length) {
    uint64_t words[] = {parent, XXH3_64bits(name, length)};
    return XXH3_64bits(words, sizeof words) | 1; /* never 0 */
}

/* The object that has a name: *oid; UINT64_MAX for one that was given it just now, 0 for none. */
static int find_name(struct head_repair *head, uint64_t parent, const char *name, size_t length, uint64_t *oid) {
    struct value values[] = {value_integer(parent), value_blob(name, length)};
    sqlite3_stmt *statement;
    *oid = oid_set_has(&head->taken, hash_name(parent, name, length)) ? UINT64_MAX : 0;
    int rc = statement_get(head->reader, STATEMENT_ENTRY_BY_NAME, values, 2, &statement);
    if (rc == STORE_OK)
        rc = statement_step(head->reader, statement);
    if (rc == STORE_OK)
        *oid = column_integer(statement, 3);
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Takes those into account that are not in use any more. */
static int find_highest_index(struct head_repair *head, struct node *node) {
    struct value value = value_integer(node->oid);
    uint64_t highest = 0;
    if (node->type != S_IFDIR)
        return STORE_OK;
    int rc = statement_integer(head->reader, STATEMENT_HIGHEST_INDEX, &value, 1, &highest);
    if (rc == STORE_OK && highest > node->highest_index)
        node->highest_index = highest;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Adds the name, which is copied. */
static int add_name(struct head_repair *head, struct node *parent, struct node *child, const char *name,
                    size_t length) {
    char *copy = NULL;
    int rc = find_highest_index(head, parent);
    uint64_t index = parent->highest_index + 1;
    if (index < parent->next_index)
        index = parent->next_index;
    if (index < ENTRY_INDEX_FIRST)
        index = ENTRY_INDEX_FIRST;
    if (rc == STORE_OK)
        head->added = grow(head->added, &head->added_capacity, head->commit.added_count, sizeof *head->added, &rc);
    if (rc == STORE_OK)
        rc = oid_set_put(&head->taken, hash_name(parent->oid, name, length));
    if (rc == STORE_OK && !(copy = strndup(name, length)))
        rc = STORE_NO_MEMORY;
    if (rc != STORE_OK)
        return rc;
    head->added[head->commit.added_count++] = (struct new_entry){.parent = parent->oid,
                                                                 .index = index,
                                                                 .oid = child->oid,
                                                                 .type = child->type,
                                                                 .name = copy,
                                                                 .name_length = length};
    count_name(parent, child, index);
    return STORE_OK;
}

/* The place that what is left tells of, if it is free. */
static int place_where_it_was(struct head_repair *head, struct node *node, bool *placed) {
    struct value value = value_integer(node->oid);
    char name[NAME_BYTES_MAX];
    size_t length = 0;
    uint64_t parent = 0, other = 0;
    sqlite3_stmt *statement;
    *placed = false;
    int rc = statement_get(head->repair->db, STATEMENT_HINT_ENTRY, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(head->repair->db, statement);
    if (rc == STORE_OK) {
        struct value bytes = column_value(statement, 1);
        parent = column_integer(statement, 0);
        length = bytes.length <= sizeof name ? bytes.length : 0;
        memcpy(name, bytes.bytes, length);
    }
    statement_reset(statement);
    if (rc < 0)
        return rc;
    struct node *directory = find_directory(head, parent);
    if (!entry_name_is_sane(name, length) || !reaches_root(head, directory))
        return STORE_OK;
    rc = find_name(head, parent, name, length, &other);
    if (rc != STORE_OK || other != 0)
        return rc;
    rc = add_name(head, directory, node, name, length);
    *placed = rc == STORE_OK;
    return rc == STORE_OK ? repair_note(head->repair, node->oid, "its name was damaged; it is back in its place") : rc;
}

static int make_lost_and_found(struct head_repair *head, const char *name, size_t length) {
    head->lost_and_found = head->commit.next_oid++; /* the highest oid there is */
    head->nodes[head->count++] =
        (struct node){.oid = head->lost_and_found, .type = S_IFDIR, .alive = true, .remade = true};
    return add_name(head, find_node(head, ROOT_OID), &head->nodes[head->count - 1], name, length);
}

/* Finds /lost+found, or makes it; under another name if something else is called so, or it is not in its place itself. */
static int find_lost_and_found(struct head_repair *head) {
    int rc = STORE_OK;
    for (unsigned attempt = 0; head->lost_and_found == 0 && rc == STORE_OK; attempt++) {
        char name[sizeof LOST_AND_FOUND + 16];
        uint64_t oid = 0;
        int length = attempt == 0 ? snprintf(name, sizeof name, LOST_AND_FOUND)
                                  : snprintf(name, sizeof name, LOST_AND_FOUND ".%u", attempt);
        rc = find_name(head, ROOT_OID, name, (size_t)length, &oid);
        if (reaches_root(head, find_directory(head, oid)))
            head->lost_and_found = oid;
        else if (rc == STORE_OK && oid == 0)
            rc = make_lost_and_found(head, name, (size_t)length);
    }
    return rc;
}

static int place_in_lost_and_found(struct head_repair *head, uint64_t oid) {
    char name[64];
    uint64_t other = oid;
    int rc = find_lost_and_found(head), length = 0;
    for (unsigned attempt = 0; rc == STORE_OK && other != 0; attempt++) {
        length = attempt == 0 ? snprintf(name, sizeof name, "#%" PRIu64, oid)
                              : snprintf(name, sizeof name, "#%" PRIu64 ".%u", oid, attempt);
        rc = find_name(head, head->lost_and_found, name, (size_t)length, &other);
    }
    if (rc == STORE_OK)
        rc = add_name(head, find_node(head, head->lost_and_found), find_node(head, oid), name, (size_t)length);
    if (rc == STORE_OK)
        rc = repair_note(head->repair, oid, "its name is lost; it is here now");
    return rc;
}

static void note_placed(struct head_repair *head, struct node *node) {
    node->unnamed = false;
    head->repair->result->placed++;
}

/* Places that are told first: what they hold then needs none of its own. */
static int place_unnamed(struct head_repair *head) {
    int rc = STORE_OK;
    for (bool again = true; again && rc == STORE_OK;) {
        again = false;
        for (size_t i = 0; i < head->count && rc == STORE_OK; i++) {
            bool placed = false;
            if (head->nodes[i].unnamed)
                rc = place_where_it_was(head, &head->nodes[i], &placed);
            if (placed)
                note_placed(head, &head->nodes[i]);
            again = again || placed;
        }
    }
    for (size_t i = 0; i < head->count && rc == STORE_OK; i++)
        if (head->nodes[i].unnamed) {
            rc = place_in_lost_and_found(head, head->nodes[i].oid);
            note_placed(head, &head->nodes[i]);
        }
    return rc;
}

/* ---- inodes ---- */

static int add_revision(struct head_repair *head, const struct node *node, uint64_t part, uint8_t *data,
                        size_t length) {
    int rc = STORE_OK;
    head->revisions =
        grow(head->revisions, &head->revision_capacity, head->commit.revision_count, sizeof *head->revisions, &rc);
    if (rc != STORE_OK) {
        free(data);
        return rc;
    }
    head->revisions[head->commit.revision_count++] = (struct new_revision){
        .oid = node->oid, .part = part, .directory = node->type == S_IFDIR, .data = data, .length = length};
    return STORE_OK;
}

/* What is lost of the contents is within the file, so that reading it is an error and not the end. */
static void reach_lost(const struct head_repair *head, uint64_t oid, uint64_t part, uint64_t newest, uint64_t *size) {
    uint64_t start = (part - PART_CHUNK) << CHUNK_SHIFT;
    if (is_lost(head, oid, part, newest) && *size <= start)
        *size = start + 1;
}

/* Chunks of which nothing is left. */
static void reach_unknown(const struct head_repair *head, uint64_t oid, uint64_t *size) {
    const struct loss *losses;
    size_t count = loss_list_of(&head->storage->losses, LOSS_REVISION, oid, &losses);
    for (size_t i = 0; i < count; i++)
        if (losses[i].until == 0 && losses[i].part >= PART_CHUNK)
            reach_lost(head, oid, losses[i].part < LOSS_PART_ANY ? losses[i].part : PART_CHUNK, losses[i].seq - 1,
                       size);
}

/* Where a file's contents end, and how much they are, as its chunks say. */
static int measure(struct head_repair *head, uint64_t oid, uint64_t *size, uint64_t *allocated) {
    uint64_t part = 0;
    struct value values[] = {value_integer(oid), value_integer(PART_CHUNK - 1)};
    int rc;
    *size = *allocated = 0;
    while ((rc = statement_integer(head->reader, STATEMENT_REVISION_NEXT_PART, values, 2, &part)) == STORE_OK) {
        enum load_outcome outcome;
        struct revision revision = {0};
        struct chunk chunk = {0};
        uint64_t start = (part - PART_CHUNK) << CHUNK_SHIFT;
        if (part - PART_CHUNK > FILE_SIZE_MAX >> CHUNK_SHIFT)
            break; /* of no file */
        rc = sqlite_read_before(head->reader, oid, part, head->before, &outcome, &revision);
        if (rc == STORE_OK && outcome == LOAD_DATA)
            rc = chunk_decode(revision.data, revision.length, &chunk);
        for (size_t i = 0; i < chunk.count; i++) {
            *allocated += chunk.extents[i].length;
            *size = start + chunk.extents[i].start + chunk.extents[i].length;
        }
        reach_lost(head, oid, part, revision.seq, size);
        chunk_release(&chunk);
        revision_release(&revision);
        if (rc != STORE_OK && rc != STORE_CORRUPT)
            return rc;
        values[1] = value_integer(part);
    }
    reach_unknown(head, oid, size);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* The inode on which to build: the newest that is left, or a plain one. */
static int load_base(struct head_repair *head, const struct node *node, struct inode_record *record) {
    enum load_outcome outcome;
    struct revision revision = {0};
    if (node->based) {
        int rc = sqlite_read_before(head->reader, node->oid, PART_INODE, head->before, &outcome, &revision);
        if (rc == STORE_OK)
            rc = inode_record_decode(revision.data, revision.length, record);
        revision_release(&revision);
        return rc;
    }
    *record = (struct inode_record){
        .mode = node->type | (node->type == S_IFDIR ? 0700 : 0600),
        .uid = head->owner.st_uid,
        .gid = head->owner.st_gid,
        .atime = head->commit.wall,
        .mtime = head->commit.wall,
        .ctime = head->commit.wall,
        .btime = head->commit.wall,
    };
    return STORE_OK;
}

static int find_xattrs(struct head_repair *head, uint64_t oid, bool *there, bool *lost) {
    enum load_outcome outcome;
    struct revision revision = {0};
    int rc = sqlite_read_before(head->reader, oid, PART_XATTRS, head->before, &outcome, &revision);
    *lost = rc == STORE_OK && is_lost(head, oid, PART_XATTRS, revision.seq);
    *there = rc == STORE_OK && outcome == LOAD_DATA && !*lost;
    revision_release(&revision);
    return rc;
}

/* Attributes that are lost are gone from now on, and with an ACL what it allowed to a group. */
static int settle_xattrs(struct head_repair *head, const struct node *node, struct inode_record *record) {
    bool there = false, lost = false;
    int rc = find_xattrs(head, node->oid, &there, &lost);
    if (rc != STORE_OK || (!node->remade && !lost))
        return rc;
    record->has_xattrs = there;
    if (!lost)
        return STORE_OK;
    record->mode &= ~(uint32_t)S_IRWXG;
    rc = add_revision(head, node, PART_XATTRS, NULL, 0);
    return rc == STORE_OK ? repair_note(head->repair, node->oid,
                                        "its extended attributes are lost; permissions of the group are taken away, in "
                                        "case an access list had narrowed them")
                          : rc;
}

static int remake(struct head_repair *head, const struct node *node, struct inode_record *record) {
    uint64_t size = 0, allocated = 0;
    record->mode &= ~(uint32_t)RIGHTS;
    int rc = STORE_OK;
    if (node->type == S_IFREG) {
        rc = measure(head, node->oid, &size, &allocated);
        if (size > record->size)
            record->size = size;
        record->allocated = allocated;
    }
    if (rc != STORE_OK || node->oid == head->lost_and_found)
        return rc;
    return repair_note(head->repair, node->oid,
                       node->based
                           ? "what it was last (owner, permissions, size, times) is lost; it has that of the version "
                             "before, without permissions of group and others"
                           : "its owner, permissions, size and times are lost, and made anew");
}

static int write_inode(struct head_repair *head, const struct node *node) {
    struct inode_record record;
    uint8_t *data = NULL;
    size_t length = 0;
    int rc = load_base(head, node, &record);
    if (rc != STORE_OK)
        return rc;
    if (node->remade)
        rc = remake(head, node, &record);
    if (rc == STORE_OK && node->oid != head->lost_and_found)
        rc = settle_xattrs(head, node, &record);
    record.ctime = head->commit.wall;
    record.nlink = node->type == S_IFDIR ? (uint32_t)(2 + node->subdirectories) : (uint32_t)node->names;
    if (node->type == S_IFDIR) {
        record.size = node->entries;
        record.parent = node->holder;
        record.next_index = node->next_index;
        if (record.next_index <= node->highest_index)
            record.next_index = node->highest_index + 1;
        if (record.next_index < ENTRY_INDEX_FIRST)
            record.next_index = ENTRY_INDEX_FIRST;
    }
    if (rc == STORE_OK)
        rc = inode_record_encode(&record, &data, &length);
    inode_record_release(&record);
    return rc == STORE_OK ? add_revision(head, node, PART_INODE, data, length) : rc;
}

/* Whether the newest inode is right as it is. */
static bool inode_agrees(const struct node *node) {
    if (node->remade)
        return false;
    if (node->type == S_IFDIR)
        return node->size == node->entries && node->nlink == 2 + node->subdirectories &&
               node->next_index > node->highest_index && node->parent == node->holder;
    return node->nlink == node->names;
}

/* Objects that change without their inode saying anything wrong: directories whose names change, and who loses his attributes. */
static int find_changed(struct head_repair *head, struct oid_set *changed) {
    int rc = STORE_OK;
    for (size_t i = 0; i < head->commit.added_count && rc == STORE_OK; i++)
        rc = oid_set_put(changed, head->added[i].parent);
    for (size_t i = 0; i < head->commit.ended_count && rc == STORE_OK; i++)
        rc = oid_set_put(changed, head->ended[i].parent);
    for (size_t i = 0; i < head->storage->losses.count && rc == STORE_OK; i++) {
        const struct loss *loss = &head->storage->losses.items[i];
        struct node *node = loss->kind == LOSS_REVISION && loss->part != PART_INODE ? find_node(head, loss->oid) : NULL;
        bool there = false, lost = false;
        if (node && node->alive && !node->no_xattrs)
            rc = find_xattrs(head, loss->oid, &there, &lost);
        if (lost)
            rc = oid_set_put(changed, loss->oid);
    }
    return rc;
}

static int write_inodes(struct head_repair *head) {
    struct oid_set changed;
    oid_set_init(&changed);
    int rc = find_changed(head, &changed);
    for (size_t i = 0; i < head->count && rc == STORE_OK; i++) {
        struct node *node = &head->nodes[i];
        bool unlinked = node->names == 0 && node->oid != ROOT_OID; /* else it was given a name */
        if (node->ended) {
            rc = add_revision(head, node, PART_INODE, NULL, 0);
        } else if (node->alive && !unlinked) {
            rc = find_highest_index(head, node);
            if (rc == STORE_OK && (!inode_agrees(node) || oid_set_has(&changed, node->oid)))
                rc = write_inode(head, node);
        }
    }
    oid_set_release(&changed);
    return rc;
}

/* ---- the transaction ---- */

static int commit_repair(struct head_repair *head) {
    char message[160];
    struct repair_result *result = head->repair->result;
    struct transaction done = {0};
    (void)snprintf(message, sizeof message,
                   "repair: %" PRIu64 " loss%s on record, %" PRIu64 " object%s placed, %" PRIu64 " name%s removed",
                   result->losses, result->losses == 1 ? "" : "es", result->placed, result->placed == 1 ? "" : "s",
                   result->removed, result->removed == 1 ? "" : "s");
    struct commit commit = head->commit;
    commit.user = head->repair->options->user;
    commit.message = message;
    commit.revisions = head->revisions;
    commit.added = head->added;
    commit.ended = head->ended;
    int rc = storage_commit(&head->storage->base, &commit, &done);
    if (rc == STORE_OK)
        result->tid = done.tid;
    transaction_release(&done);
    return rc;
}

static void release(struct head_repair *head) {
    for (size_t i = 0; i < head->commit.revision_count; i++)
        free((void *)(uintptr_t)head->revisions[i].data);
    for (size_t i = 0; i < head->commit.added_count; i++)
        free((void *)(uintptr_t)head->added[i].name);
    free(head->revisions);
    free(head->added);
    free(head->ended);
    free(head->nodes);
    oid_set_release(&head->taken);
}

int repair_head(struct repair *repair, struct storage *storage) {
    struct head_repair head = {.repair = repair, .storage = sqlite_storage_of(storage)};
    struct storage_state state;
    oid_set_init(&head.taken);
    repair_progress(repair, "making the newest state whole", 0, 0);
    (void)clock_gettime(CLOCK_REALTIME, &head.commit.wall);
    int rc = storage_get_state(storage, &state);
    if (rc == STORE_OK && stat(repair->directory, &head.owner) < 0)
        rc = store_error_from_errno(errno);
    if (rc == STORE_OK)
        rc = connection_pool_take(&head.storage->readers, &head.reader);
    if (rc != STORE_OK)
        return rc;
    head.before = state.last_seq + 1;
    head.commit.base = state.last_seq;
    head.commit.next_oid = state.next_oid;
    rc = load_nodes(&head);
    if (rc == STORE_OK)
        rc = find_directories(&head);
    if (rc == STORE_OK)
        rc = take_names(&head);
    if (rc == STORE_OK)
        rc = find_unnamed(&head);
    if (rc == STORE_OK)
        rc = place_unnamed(&head);
    if (rc == STORE_OK)
        rc = write_inodes(&head);
    connection_pool_give(&head.storage->readers, head.reader);
    if (rc == STORE_OK)
        rc = commit_repair(&head);
    release(&head);
    return rc;
}
