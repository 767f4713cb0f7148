/* Directories' contents, as bare names (readdir) or with everything that a lookup of each would tell (readdirplus).
 *
 * Nothing is kept between the requests of one listing: the kernel says after which entry to go on, and an entry's place in its directory, its
 * index, never changes. 1 and 2 are "." and "..". In the head the newest name comes first and places descend, so that a name that is made while
 * the directory is being read lies behind the reader, who thus comes to an end. (Positions stay small numbers: a program of 32 bits has no room for
 * others.)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/driver_private.h"

#define FIRST_FIXED 3 /* place of the first name in directories that have no indexes of their own */

struct listing {
    struct driver *driver;
    const struct node *node;
    fuse_req_t req;
    char *buffer;
    size_t size, used;
    bool plus;
    int error;
    fuse_ino_t *held; /* nodes whose lookup the reply counts */
    size_t held_count, held_capacity;
};

/* One entry; entry->ino 0 in a listing with attributes: the kernel is to look this one up. false: no more fits. */
static bool add(struct listing *listing, const char *name, size_t length, const struct fuse_entry_param *entry,
                uint64_t place) {
    char text[NAME_BYTES_MAX + 1];
    if (length > NAME_BYTES_MAX) {
        return true;
    }
    memcpy(text, name, length);
    text[length] = '\0';
    char *at = listing->buffer + listing->used;
    size_t room = listing->size - listing->used;
    size_t needed = listing->plus ? fuse_add_direntry_plus(listing->req, at, room, text, entry, (off_t)place)
                                  : fuse_add_direntry(listing->req, at, room, text, &entry->attr, (off_t)place);
    if (needed > room) {
        return false;
    }
    listing->used += needed;
    return true;
}

static bool add_name(struct listing *listing, const char *name, size_t length, uint32_t type, uint64_t ino,
                     uint64_t place) {
    struct fuse_entry_param entry = {.attr = {.st_ino = ino, .st_mode = type}};
    return add(listing, name, length, &entry, place);
}

/* Whether an entry with a name of this length fits. */
static bool fits(const struct listing *listing, size_t used, size_t length) {
    char text[NAME_BYTES_MAX + 1];
    memset(text, 'x', length);
    text[length] = '\0';
    return fuse_add_direntry_plus(listing->req, NULL, 0, text, NULL, 0) <= listing->size - used;
}

static bool hold(struct listing *listing, fuse_ino_t id) {
    if (listing->held_count == listing->held_capacity) {
        size_t capacity = listing->held_capacity == 0 ? 64 : listing->held_capacity * 2;
        fuse_ino_t *held = realloc(listing->held, capacity * sizeof *held);
        if (held == NULL) {
            listing->error = -ENOMEM;
            return false;
        }
        listing->held = held;
        listing->held_capacity = capacity;
    }
    listing->held[listing->held_count++] = id;
    return true;
}

static void release(struct listing *listing) {
    for (size_t i = 0; i < listing->held_count; i++) {
        driver_forget(listing->driver, listing->held[i], 1);
    }
    listing->held_count = 0;
}

/* An entry that counts a lookup. Takes the lookup back if it does not fit. */
static bool add_held(struct listing *listing, const char *name, size_t length, const struct fuse_entry_param *entry,
                     uint64_t place) {
    if (!hold(listing, entry->ino)) {
        driver_forget(listing->driver, entry->ino, 1);
        return false;
    }
    if (!add(listing, name, length, entry, place)) {
        listing->held_count--;
        driver_forget(listing->driver, entry->ino, 1);
        return false;
    }
    return true;
}

/* ---- the head ---- */

static bool add_head_name(void *context, const struct head_entry *entry) {
    return add_name(context, entry->name, entry->length, entry->type, entry->oid, entry->index);
}

/* Names are gathered under the head's lock, and asked about one by one after that. */
struct gathered {
    uint64_t place, oid;
    uint32_t type;
    size_t length;
    char name[NAME_BYTES_MAX + 1];
};
struct gathering {
    struct listing *listing;
    size_t used; /* of the reply, with all that is gathered */
    size_t count, capacity;
    struct gathered *items;
};

static bool gather(void *context, const struct head_entry *entry) {
    struct gathering *gathering = context;
    if (gathering->count == gathering->capacity || !fits(gathering->listing, gathering->used, entry->length)) {
        return false;
    }
    struct gathered *item = &gathering->items[gathering->count++];
    item->place = entry->index;
    item->oid = entry->oid;
    item->type = entry->type;
    item->length = entry->length;
    memcpy(item->name, entry->name, entry->length);
    item->name[entry->length] = '\0';
    gathering->used += fuse_add_direntry_plus(gathering->listing->req, NULL, 0, item->name, NULL, 0);
    return true;
}

static int list_head(struct listing *listing, uint64_t next) {
    struct head *head = listing->driver->head;
    uint64_t oid = listing->node->oid;
    uint64_t from =
        next <= FIRST_FIXED ? UINT64_MAX : next - 2; /* `next` is one after the last, which here is one before it */
    if (!listing->plus) {
        return head_readdir(head, oid, from, add_head_name, listing);
    }
    size_t smallest = fuse_add_direntry_plus(listing->req, NULL, 0, "x", NULL, 0);
    struct gathering gathering = {
        .listing = listing, .used = listing->used, .capacity = (listing->size - listing->used) / smallest};
    gathering.items = malloc((gathering.capacity + 1) * sizeof *gathering.items);
    if (gathering.items == NULL) {
        return -ENOMEM;
    }
    int rc = head_readdir(head, oid, from, gather, &gathering);
    for (size_t i = 0; rc == 0 && i < gathering.count; i++) {
        const struct gathered *item = &gathering.items[i];
        struct fuse_entry_param entry;
        struct head_attr attr;
        bool added;
        /* The kernel lets nobody remove a name while it lists the directory, so this is still what the name leads to. */
        if (head_hold(head, item->oid, &attr) == 0) {
            head_entry_set(&attr, &entry);
            added = add_held(listing, item->name, item->length, &entry, item->place);
        } else {
            added = add_name(listing, item->name, item->length, item->type, item->oid, item->place);
        }
        if (!added) {
            break;
        }
    }
    free(gathering.items);
    return rc;
}

/* ---- views, and the present of a read-only mount ---- */

static bool add_present(void *context, const struct view_entry *entry) {
    struct listing *listing = context;
    if (!listing->plus || entry->attr == NULL) {
        return add_name(listing, entry->name, entry->length, entry->type, entry->oid, entry->index);
    }
    struct fuse_entry_param known;
    present_entry_set(entry->attr, &known);
    return add(listing, entry->name, entry->length, &known, entry->index);
}

static bool add_version(void *context, const struct view_entry *entry) {
    struct listing *listing = context;
    if (!listing->plus || entry->attr == NULL) {
        return add_name(listing, entry->name, entry->length, entry->type, entry->ino, entry->index);
    }
    struct fuse_entry_param known;
    int rc = view_entry_set(listing->driver, listing->node, entry->attr, &known);
    if (rc != 0) {
        listing->error = rc;
        return false;
    }
    return add_held(listing, entry->name, entry->length, &known, entry->index);
}

static int list_view(struct listing *listing, uint64_t from) {
    bool present = listing->node->kind == NODE_HEAD;
    struct view *view;
    int rc =
        present ? present_view(listing->driver, &view) : driver_view(listing->driver, listing->node->before, &view);
    if (rc == 0) {
        rc = view_readdir(view, listing->node->oid, from, listing->plus, present ? add_present : add_version, listing);
        view_pool_done(listing->driver->pool, view);
    }
    return rc;
}

/* ---- the rest ---- */

static bool add_fixed(void *context, const char *name, uint32_t type, uint64_t ino, uint64_t position) {
    return add_name(context, name, strlen(name), type, ino, FIRST_FIXED + position);
}

static bool add_past(void *context, const char *name, const struct fuse_entry_param *entry, uint64_t position) {
    return add(context, name, strlen(name), entry, FIRST_FIXED - 1 + position);
}

/* The newest come first, as in the head; positions are seqs, from 1. */
static int list_versions(struct listing *listing, uint64_t next) {
    uint64_t last = next <= FIRST_FIXED ? UINT64_MAX - 1 : next - FIRST_FIXED - 1;
    return versions_list(listing->driver, listing->node, last, add_past, listing);
}

static int list_dots(struct listing *listing, uint64_t from) {
    struct stat stat;
    double timeout;
    int rc = driver_getattr(listing->driver, listing->node, &stat, &timeout);
    if (rc != 0 || !S_ISDIR(stat.st_mode)) {
        return rc != 0 ? rc : -ENOTDIR;
    }
    if (from <= 1 && !add_name(listing, ".", 1, S_IFDIR, stat.st_ino, 1)) {
        return 0;
    }
    /* Programs do not rely on the number of "..", and the kernel replaces it where a mount begins. In a view it takes the
     * parent's version to tell. */
    uint64_t parent = FIXED_INO | FUSE_ROOT_ID, oid;
    struct node above = *listing->node;
    if (!above.root && driver_parent(listing->driver, listing->node, &oid) == 0) {
        above.oid = oid;
        if (driver_getattr(listing->driver, &above, &stat, &timeout) == 0) {
            parent = stat.st_ino;
        }
    }
    add_name(listing, "..", 2, S_IFDIR, parent, 2);
    return 0;
}

static int list(struct listing *listing, uint64_t from) {
    int rc = from <= 2 ? list_dots(listing, from) : 0;
    if (rc != 0) {
        return rc;
    }
    uint64_t next = from < FIRST_FIXED ? FIRST_FIXED : from;
    switch (listing->node->kind) {
    case NODE_HEAD:
        rc = listing->driver->head != NULL ? list_head(listing, next) : list_view(listing, next);
        break;
    case NODE_DIRECTORY:
        rc = list_view(listing, next);
        break;
    case NODE_TOP:
    case NODE_AT:
    case NODE_BEFORE:
        rc = names_list(listing->driver, listing->node, next - FIRST_FIXED, add_fixed, listing);
        break;
    case NODE_VERSIONS:
        rc = list_versions(listing, next);
        break;
    default:
        rc = -ENOTDIR;
    }
    return rc != 0 ? rc : listing->error;
}

static void read_directory(fuse_req_t req, struct driver *driver, fuse_ino_t id, size_t size, off_t offset, bool plus) {
    struct node node;
    int rc = driver_node(driver, id, &node);
    if (rc != 0) {
        fuse_reply_err(req, -rc);
        return;
    }
    size = size < BUFFER_SIZE ? size : BUFFER_SIZE;
    struct listing listing = {.driver = driver,
                              .node = &node,
                              .req = req,
                              .size = size,
                              .plus = plus,
                              .buffer = buffers_take(driver->buffers, size)};
    rc = listing.buffer == NULL ? -ENOMEM : list(&listing, (uint64_t)offset + 1);
    /* What was listed before an error is given; the error comes when the kernel asks for the rest. */
    if (rc != 0 && listing.used == 0) {
        release(&listing);
        fuse_reply_err(req, -rc);
    } else if (fuse_reply_buf(req, listing.buffer, listing.used) != 0) {
        release(&listing);
    }
    if (node.kind == NODE_AT || node.moves) {
        housekeeping_listed(driver, id);
    }
    buffers_give(driver->buffers, listing.buffer, size);
    free(listing.held);
}

void driver_op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)file;
    read_directory(req, driver_request(req, REQUEST_READDIR), id, size, offset, false);
}

void driver_op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)file;
    read_directory(req, driver_request(req, REQUEST_READDIRPLUS), id, size, offset, true);
}
