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
    uint64_t holder;                   /* of a directory: the one that has its name; 0: none */
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
    node->next_index = record.next_index;
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
    if (rc == STORE_OK && node->remade && node->alive && node->oid != ROOT_OID) {
        rc = was_removed(head, node->oid, lost, &node->ended);
        node->alive = !node->ended;
    }
    return rc;
}

static int load_nodes(struct head_repair *head) {
    sqlite3_stmt *statement;
    int rc = statement_get(head->reader, STATEMENT_OBJECTS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(head->reader, statement)) == STORE_OK) {
        head->nodes = grow(head->nodes, &head->capacity, head->count, sizeof *head->nodes, &rc);
        if (rc == STORE_OK)
            head->nodes[head->count++] = (struct node){.oid = column_integer(statement, 0)};
    }
    statement_reset(statement);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    for (size_t i = 0; i < head->count && rc == STORE_OK; i++)
        rc = load_node(head, &head->nodes[i]);
    struct node *root = find_node(head, ROOT_OID);
    if (rc == STORE_OK && (!root || (root->based && root->type != S_IFDIR)))
        return STORE_CORRUPT;
    if (rc == STORE_OK) {
        root->type = S_IFDIR;
        root->remade = root->remade || !root->alive;
        root->alive = true;
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
    if (!parent || !child || !child->alive || child->oid == ROOT_OID)
        return false;
    if (!child->based && needs_inode(entry->type))
        return false;
    if (child->type == 0)
        child->type = entry->type;
    if (child->type != entry->type)
        return false;
    return child->type != S_IFDIR || child->holder == 0;
}

static void count_name(struct node *parent, struct node *child, uint64_t index) {
    parent->entries++;
    parent->subdirectories += child->type == S_IFDIR;
    if (index > parent->highest_index)
        parent->highest_index = index;
    child->names++;
    if (child->type == S_IFDIR)
        child->holder = parent->oid;
}

/* What has names in it is a directory. */
static int find_directories(struct head_repair *head) {
    sqlite3_stmt *statement;
    int rc = statement_get(head->reader, STATEMENT_ALL_ENTRIES, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(head->reader, statement)) == STORE_OK) {
        struct node *parent = find_node(head, column_integer(statement, 0));
        if (parent && !parent->based && parent->type == 0)
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
        if (is_good_name(&row.entry, parent, child))
            count_name(parent, child, row.entry.index);
        else
            rc = end_entry(head, &row.entry);
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* ---- objects without a name ---- */

/* Follows a directory's names upwards. True if they lead to the root. */
static bool reaches_root(struct head_repair *head, const struct node *node) {
    for (size_t steps = 0; node && steps <= head->count; steps++) {
        if (node->oid == ROOT_OID)
            return true;
        node = node->holder != 0 ? find_directory(head, node->holder) : NULL;
    }
    return false;
}

/* Directories that hold one another: the name of one of them ends. */
static int cut_cycle(struct head_repair *head, struct node *node) {
    struct value value = value_integer(node->oid);
    struct entry_row row;
    struct node *holder = find_node(head, node->holder);
    sqlite3_stmt *statement;
    int rc = statement_get(head->reader, STATEMENT_ENTRIES_OF_OBJECT, &value, 1, &statement);
    while (rc == STORE_OK && (rc = statement_step(head->reader, statement)) == STORE_OK) {
        rc = entry_row_decode(head->reader, statement, &row);
        if (rc == STORE_OK && row.entry.parent == node->holder) {
            rc = end_entry(head, &row.entry);
            break;
        }
    }
    statement_reset(statement);
    holder->entries--;
    holder->subdirectories--;
    node->holder = 0;
    node->names = 0;
    node->unnamed = true;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* True if a chain upwards comes back to where it began. */
static bool is_in_cycle(struct head_repair *head, const struct node *start) {
    const struct node *node = start;
    for (size_t steps = 0; node && steps <= head->count; steps++) {
        node = node->holder != 0 ? find_directory(head, node->holder) : NULL;
        if (node == start)
            return true;
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
        bool file = true;
        if (!node->alive || node->oid == ROOT_OID)
            continue;
        if (node->type == 0)
            rc = is_file(head, node, &file);
        if (node->type == 0 && file)
            node->type = S_IFREG;
        node->alive = file;
        node->unnamed = node->alive && node->names == 0 && (node->nlink > 0 || node->remade);
        if (node->type == S_IFDIR && node->names > 0 && is_in_cycle(head, node))
            rc = cut_cycle(head, node);
    }
    return rc;
}

static int name_is_free(struct head_repair *head, uint64_t parent, const char *name, size_t length, bool *is_free) {
    struct value values[] = {value_integer(parent), value_blob(name, length)};
    uint64_t found, words[] = {parent, XXH3_64bits(name, length)};
    uint64_t hash = XXH3_64bits(words, sizeof words);
    int rc = statement_integer(head->reader, STATEMENT_ENTRY_BY_NAME, values, 2, &found);
    *is_free = rc == STORE_ABSENT && !oid_set_has(&head->taken, hash != 0 ? hash : 1);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Adds the name, which is copied. */
static int add_name(struct head_repair *head, struct node *parent, struct node *child, const char *name,
                    size_t length) {
    uint64_t words[] = {parent->oid, XXH3_64bits(name, length)};
    uint64_t hash = XXH3_64bits(words, sizeof words), index = parent->highest_index + 1, highest = 0;
    struct value value = value_integer(parent->oid);
    char *copy = NULL;
    int rc = statement_integer(head->reader, STATEMENT_HIGHEST_INDEX, &value, 1, &highest);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    if (index <= highest)
        index = highest + 1;
    if (index < parent->next_index)
        index = parent->next_index;
    if (index < ENTRY_INDEX_FIRST)
        index = ENTRY_INDEX_FIRST;
    if (rc == STORE_OK && index >= INT64_MAX)
        rc = STORE_TOO_BIG; /* no honest store has that many */
    if (rc == STORE_OK)
        head->added = grow(head->added, &head->added_capacity, head->commit.added_count, sizeof *head->added, &rc);
    if (rc == STORE_OK)
        rc = oid_set_add(&head->taken, hash != 0 ? hash : 1);
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
    uint64_t parent = 0;
    bool is_free = false;
    sqlite3_stmt *statement;
    *placed = false;
    int rc = statement_get(head->repair->db, STATEMENT_HINT_ENTRY, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(head->repair->db, statement);
    if (rc == STORE_OK) {
        struct value bytes = column_value(statement, 1);
        parent = column_integer(statement, 0);
        length = bytes.kind == VALUE_BLOB && bytes.length <= sizeof name ? bytes.length : 0;
        memcpy(name, bytes.length > 0 ? bytes.bytes : "", length);
    }
    statement_reset(statement);
    struct node *directory = rc == STORE_OK ? find_directory(head, parent) : NULL;
    if (rc < 0)
        return rc;
    if (!directory || !entry_name_is_sane(name, length) || !reaches_root(head, directory))
        return STORE_OK;
    rc = name_is_free(head, parent, name, length, &is_free);
    if (rc == STORE_OK && is_free) {
        rc = add_name(head, directory, node, name, length);
        *placed = rc == STORE_OK;
    }
    if (*placed)
        rc = repair_note(head->repair, node->oid, "its name was damaged; it is back in its place");
    return rc;
}

/* Finds /lost+found, or makes it; under another name if something else is called so. */
static int find_lost_and_found(struct head_repair *head) {
    int rc = STORE_OK;
    for (unsigned attempt = 0; head->lost_and_found == 0 && rc == STORE_OK; attempt++) {
        char name[sizeof LOST_AND_FOUND + 16];
        bool is_free = false;
        int length = attempt == 0 ? snprintf(name, sizeof name, LOST_AND_FOUND)
                                  : snprintf(name, sizeof name, LOST_AND_FOUND ".%u", attempt);
        struct value values[] = {value_integer(ROOT_OID), value_blob(name, (size_t)length)};
        sqlite3_stmt *statement;
        rc = statement_get(head->reader, STATEMENT_ENTRY_BY_NAME, values, 2, &statement);
        if (rc == STORE_OK)
            rc = statement_step(head->reader, statement);
        uint64_t oid = rc == STORE_OK ? column_integer(statement, 3) : 0;
        statement_reset(statement);
        if (rc == STORE_OK && find_directory(head, oid))
            head->lost_and_found = oid;
        if (rc != STORE_ABSENT)
            continue;
        rc = name_is_free(head, ROOT_OID, name, (size_t)length, &is_free);
        if (rc != STORE_OK || !is_free)
            continue;
        head->nodes = grow(head->nodes, &head->capacity, head->count, sizeof *head->nodes, &rc);
        if (rc != STORE_OK)
            break;
        head->lost_and_found = head->commit.next_oid++;
        head->nodes[head->count] =
            (struct node){.oid = head->lost_and_found, .type = S_IFDIR, .alive = true, .remade = true};
        head->count++; /* the highest oid there is */
        rc = add_name(head, find_node(head, ROOT_OID), &head->nodes[head->count - 1], name, (size_t)length);
    }
    return rc;
}

static int place_in_lost_and_found(struct head_repair *head, uint64_t oid) {
    char name[64];
    bool is_free = false;
    int rc = find_lost_and_found(head), length = 0;
    for (unsigned attempt = 0; rc == STORE_OK && !is_free; attempt++) {
        length = attempt == 0 ? snprintf(name, sizeof name, "#%" PRIu64, oid)
                              : snprintf(name, sizeof name, "#%" PRIu64 ".%u", oid, attempt);
        rc = name_is_free(head, head->lost_and_found, name, (size_t)length, &is_free);
    }
    if (rc == STORE_OK)
        rc = add_name(head, find_node(head, head->lost_and_found), find_node(head, oid), name, (size_t)length);
    if (rc == STORE_OK)
        rc = repair_note(head->repair, oid, "its name is lost; it is here now");
    return rc;
}

/* Places that are told first: what they hold then needs none of its own. */
static int place_unnamed(struct head_repair *head) {
    int rc = STORE_OK;
    for (int pass = 0; pass < 2 && rc == STORE_OK; pass++) {
        bool again = true;
        while (again && rc == STORE_OK) {
            again = false;
            for (size_t i = 0; i < head->count && rc == STORE_OK; i++) {
                bool placed = pass == 1;
                if (!head->nodes[i].unnamed)
                    continue;
                rc = pass == 0 ? place_where_it_was(head, &head->nodes[i], &placed)
                               : place_in_lost_and_found(head, head->nodes[i].oid);
                if (rc == STORE_OK && placed) {
                    head->nodes[i].unnamed = false;
                    head->repair->result->placed++;
                    again = pass == 0;
                }
            }
        }
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
        for (size_t i = 0; i < chunk.count && rc == STORE_OK; i++) {
            *allocated += chunk.extents[i].length;
            *size = start + chunk.extents[i].start + chunk.extents[i].length;
        }
        if (rc == STORE_OK || rc == STORE_CORRUPT)
            reach_lost(head, oid, part, revision.seq, size);
        chunk_release(&chunk);
        revision_release(&revision);
        if (rc < 0 && rc != STORE_CORRUPT)
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
            rc = outcome == LOAD_DATA ? inode_record_decode(revision.data, revision.length, record) : STORE_CORRUPT;
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
    *lost =
        rc == STORE_OK && is_lost(head, oid, PART_XATTRS, revision.data || outcome == LOAD_DELETED ? revision.seq : 0);
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
        record.parent = node->oid == ROOT_OID ? ROOT_OID : node->holder;
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

/* Whether the newest inode is right as it is. */
static bool inode_agrees(const struct node *node) {
    if (node->remade)
        return false;
    if (node->type == S_IFDIR)
        return node->size == node->entries && node->nlink == 2 + node->subdirectories &&
               node->next_index > node->highest_index &&
               (node->oid == ROOT_OID ? node->parent == ROOT_OID : node->parent == node->holder);
    return node->nlink == node->names;
}

static int remember(struct oid_set *set, uint64_t oid) {
    int rc = oid_set_add(set, oid);
    return rc == STORE_EXISTS ? STORE_OK : rc;
}

/* Objects that change without their inode saying anything wrong: directories whose names change, and who loses his attributes. */
static int find_changed(struct head_repair *head, struct oid_set *changed) {
    int rc = STORE_OK;
    for (size_t i = 0; i < head->commit.added_count && rc == STORE_OK; i++)
        rc = remember(changed, head->added[i].parent);
    for (size_t i = 0; i < head->commit.ended_count && rc == STORE_OK; i++)
        rc = remember(changed, head->ended[i].parent);
    for (size_t i = 0; i < head->storage->losses.count && rc == STORE_OK; i++) {
        const struct loss *loss = &head->storage->losses.items[i];
        struct node *node = loss->kind == LOSS_REVISION && loss->part != PART_INODE ? find_node(head, loss->oid) : NULL;
        bool there = false, lost = false;
        if (node && node->alive && !node->no_xattrs)
            rc = find_xattrs(head, loss->oid, &there, &lost);
        if (rc == STORE_OK && lost)
            rc = remember(changed, loss->oid);
    }
    return rc;
}

static int write_inodes(struct head_repair *head) {
    struct oid_set changed;
    oid_set_init(&changed);
    int rc = find_changed(head, &changed);
    for (size_t i = 0; i < head->count && rc == STORE_OK; i++) {
        struct node *node = &head->nodes[i];
        bool unlinked = node->alive && node->names == 0 && node->nlink == 0 && !node->remade && node->oid != ROOT_OID;
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
    commit.user = head->repair->options->user ? head->repair->options->user : "";
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
    int rc = storage_get_state(storage, &state);
    if (rc == STORE_OK &&
        (stat(repair->directory, &head.owner) < 0 || clock_gettime(CLOCK_REALTIME, &head.commit.wall) < 0))
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
