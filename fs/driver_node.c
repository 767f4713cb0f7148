/* Nodes: what an id says, and the requests that need nothing but that: lookup, forget, getattr, readlink, statfs. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/driver_private.h"
#include "store/tid.h"

struct driver *driver_request(fuse_req_t req, enum request kind) {
    struct driver *driver = fuse_req_userdata(req);
    atomic_fetch_add_explicit(&driver->requests[kind], 1, memory_order_relaxed);
    return driver;
}

static int node_in_table(struct driver *driver, fuse_ino_t id, struct node *node) {
    struct table_node known;
    if (!node_table_get(driver->nodes, id, &known)) {
        return -ESTALE;
    }
    if (known.kind == TABLE_VERSIONS) {
        *node = (struct node){.kind = NODE_VERSIONS, .id = id, .table = id};
    } else if (known.kind == TABLE_SYMLINK) {
        *node = (struct node){.kind = NODE_SYMLINK, .id = id, .tid = known.tid, .place = known.place};
    } else {
        *node = (struct node){.kind = NODE_DIRECTORY,
                              .id = id,
                              .table = id,
                              .oid = known.oid,
                              .before = known.before,
                              .place = known.place,
                              .root = known.root};
    }
    return 0;
}

int driver_node(struct driver *driver, fuse_ino_t id, struct node *node) {
    if (id == FUSE_ROOT_ID && driver->single_view) {
        return driver_root_node(driver, node);
    }
    *node = (struct node){.id = id};
    if (id & FILE_BIT) {
        node->kind = NODE_FILE;
        node->revision = id & ~FILE_BIT;
        return 0;
    }
    if (id >= NODE_TABLE_FIRST && id <= NODE_TABLE_LAST) {
        return node_in_table(driver, id, node);
    }
    if (driver->single_view) {
        return -ESTALE;
    }
    if (id >> 60 == HEAD_BIT >> 60) {
        node->kind = NODE_HEAD;
        node->oid = id & ~HEAD_BIT;
        return 0;
    }
    switch (id) {
    case FUSE_ROOT_ID:
        node->kind = NODE_TOP;
        return 0;
    case README_ID:
        node->kind = NODE_README;
        return 0;
    case AT_ID:
        node->kind = NODE_AT;
        return 0;
    case BEFORE_ID:
        node->kind = NODE_BEFORE;
        return 0;
    case VERSIONS_ID:
        node->kind = NODE_VERSIONS;
        return 0;
    default:
        return -ESTALE;
    }
}

int driver_view(struct driver *driver, uint64_t before, struct view **view) {
    housekeeping_view_used(driver);
    return view_pool_open(driver->pool, before, view);
}

int driver_getattr(struct driver *driver, const struct node *node, struct stat *stat, double *timeout) {
    *timeout = FOREVER;
    switch (node->kind) {
    case NODE_HEAD:
        if (driver->head == NULL) {
            struct view_attr attr;
            int rc = present_getattr(driver, node->oid, &attr);
            if (rc == 0) {
                struct fuse_entry_param entry;
                present_entry_set(&attr, &entry);
                *stat = entry.attr;
                *timeout = entry.attr_timeout;
            }
            return rc;
        }
        return head_node_getattr(driver, node, stat);
    case NODE_DIRECTORY:
        if (node->moves) {
            *timeout = 0;
        }
        return view_node_getattr(driver, node, stat);
    case NODE_FILE:
        return view_node_getattr(driver, node, stat);
    case NODE_VERSIONS:
        *timeout = 0; /* see versions_getattr */
        return versions_getattr(driver, node, stat);
    default:
        names_getattr(driver, node, stat);
        return 0;
    }
}

int driver_entry(struct driver *driver, const struct node *node, struct fuse_entry_param *entry) {
    *entry = (struct fuse_entry_param){.ino = node->id, .generation = 1, .entry_timeout = FOREVER};
    if (node->kind == NODE_HEAD && driver->head != NULL) {
        struct head_attr attr;
        int rc = head_hold(driver->head, node->oid, &attr);
        if (rc == 0) {
            head_entry_set(&attr, entry);
        }
        return rc;
    }
    int rc = driver_getattr(driver, node, &entry->attr, &entry->attr_timeout);
    if (rc == 0 && node->kind == NODE_HEAD) {
        entry->entry_timeout = PRESENT_SECONDS;
    }
    bool counted = node->id >= NODE_TABLE_FIRST && node->id <= NODE_TABLE_LAST;
    if (rc == 0 && counted && !node_table_hold(driver->nodes, node->id)) {
        rc = -ESTALE;
    }
    return rc;
}

int driver_parent(struct driver *driver, const struct node *node, uint64_t *oid) {
    struct view *view;
    int rc;
    if (node->kind == NODE_HEAD && driver->head != NULL) {
        return head_parent(driver->head, node->oid, oid);
    }
    if (node->kind != NODE_HEAD && node->kind != NODE_DIRECTORY) {
        return -ENOTDIR;
    }
    rc = node->kind == NODE_HEAD ? present_view(driver, &view) : driver_view(driver, node->before, &view);
    if (rc == 0) {
        rc = view_parent(view, node->oid, oid);
        view_pool_done(driver->pool, view);
    }
    return rc;
}

void driver_forget(struct driver *driver, fuse_ino_t id, uint64_t count) {
    if (id & FILE_BIT) {
        return;
    }
    if (id >= NODE_TABLE_FIRST && id <= NODE_TABLE_LAST) {
        node_table_forget(driver->nodes, id, count);
    } else if (id >> 60 == HEAD_BIT >> 60 && driver->head != NULL) {
        head_forget(driver->head, id & ~HEAD_BIT, count);
    }
}

/* ---- lookup ---- */

/* "..", which the kernel asks for when it has a handle (of NFS, or open_by_handle_at) and has forgotten the rest. */
static int lookup_parent(struct driver *driver, const struct node *node, struct fuse_entry_param *entry) {
    struct node parent;
    uint64_t oid, id = FUSE_ROOT_ID;
    int rc = 0;
    switch (node->kind) {
    case NODE_TOP:
    case NODE_AT:
    case NODE_BEFORE:
        break;
    case NODE_VERSIONS:
        return versions_parent(driver, node, entry);
    case NODE_HEAD:
        if (node->oid != driver->head_root) {
            rc = driver_parent(driver, node, &oid);
            id = HEAD_BIT | oid;
        }
        break;
    case NODE_DIRECTORY:
        if (node->root) {
            id = node->place == PLACE_AT ? AT_ID : node->place == PLACE_BEFORE ? BEFORE_ID : FUSE_ROOT_ID;
            break;
        }
        rc = driver_parent(driver, node, &oid);
        if (rc == 0) {
            rc = node_table_directory(driver->nodes, node->table, oid, &id);
        }
        if (rc != 0) {
            return rc;
        }
        rc = driver_node(driver, id, &parent);
        if (rc == 0 && parent.root && parent.place == PLACE_ROOT) {
            rc = driver_node(driver, FUSE_ROOT_ID, &parent); /* that is what the kernel calls it */
        }
        if (rc == 0) {
            rc = driver_entry(driver, &parent, entry);
        }
        driver_forget(driver, id, 1);
        return rc;
    default:
        return -ENOTDIR;
    }
    if (rc == 0) {
        rc = driver_node(driver, id, &parent);
    }
    return rc != 0 ? rc : driver_entry(driver, &parent, entry);
}

static int lookup(struct driver *driver, fuse_ino_t id, const char *name, struct fuse_entry_param *entry) {
    struct node node;
    int rc = driver_node(driver, id, &node);
    if (rc != 0) {
        return rc;
    }
    size_t length = strlen(name);
    if (length > NAME_BYTES_MAX) {
        return -ENAMETOOLONG;
    }
    if (strcmp(name, ".") == 0) {
        return driver_entry(driver, &node, entry); /* as above: any kind of node */
    }
    if (strcmp(name, "..") == 0) {
        return lookup_parent(driver, &node, entry);
    }
    switch (node.kind) {
    case NODE_HEAD:
        return driver->head != NULL ? head_node_lookup(driver, &node, name, length, entry)
                                    : present_lookup(driver, &node, name, length, entry);
    case NODE_DIRECTORY:
        return view_node_lookup(driver, &node, name, length, entry);
    case NODE_VERSIONS:
        return versions_lookup(driver, &node, name, length, entry);
    case NODE_TOP:
    case NODE_AT:
    case NODE_BEFORE:
        return names_lookup(driver, &node, name, length, entry);
    default:
        return -ENOTDIR;
    }
}

void driver_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct driver *driver = driver_request(req, REQUEST_LOOKUP);
    struct fuse_entry_param entry;
    int rc = lookup(driver, parent, name, &entry);
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else if (fuse_reply_entry(req, &entry) != 0 && entry.ino != 0) {
        driver_forget(driver, entry.ino, 1); /* the request was interrupted: the kernel never saw it */
    }
}

void driver_op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count) {
    driver_forget(driver_request(req, REQUEST_FORGET), id, count);
    fuse_reply_none(req);
}

void driver_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
    struct driver *driver = driver_request(req, REQUEST_FORGET);
    for (size_t i = 0; i < count; i++) {
        driver_forget(driver, forgets[i].ino, forgets[i].nlookup);
    }
    fuse_reply_none(req);
}

/* ---- getattr, readlink, statfs ---- */

void driver_op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    (void)file;
    struct driver *driver = driver_request(req, REQUEST_GETATTR);
    struct node node;
    struct stat stat;
    double timeout;
    int rc = driver_node(driver, id, &node);
    if (rc == 0) {
        rc = driver_getattr(driver, &node, &stat, &timeout);
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else {
        fuse_reply_attr(req, &stat, timeout);
    }
}

static int read_link(struct driver *driver, const struct node *node, char *buffer, size_t size, size_t *length) {
    struct view_attr attr;
    int rc;
    switch (node->kind) {
    case NODE_SYMLINK:
        if (node->place == PLACE_VERSIONS) {
            *length = versions_name(node->tid, buffer);
        } else {
            tid_format(node->tid, buffer);
            *length = strlen(buffer);
        }
        return 0;
    case NODE_FILE:
        return view_file_readlink(driver->store, node->revision, buffer, size, length);
    case NODE_HEAD:
        if (driver->head != NULL) {
            return head_readlink(driver->head, node->oid, buffer, size, length);
        }
        rc = present_getattr(driver, node->oid, &attr);
        return rc != 0 ? rc : view_file_readlink(driver->store, attr.revision, buffer, size, length);
    default:
        return -EINVAL;
    }
}

void driver_op_readlink(fuse_req_t req, fuse_ino_t id) {
    struct driver *driver = driver_request(req, REQUEST_READLINK);
    char target[SYMLINK_BYTES_MAX + 1];
    size_t length = 0;
    struct node node;
    int rc = driver_node(driver, id, &node);
    if (rc == 0) {
        rc = read_link(driver, &node, target, sizeof target - 1, &length);
    }
    if (rc == 0 && length >= sizeof target) {
        rc = -EIO;
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
        return;
    }
    target[length] = '\0';
    fuse_reply_readlink(req, target);
}

/* The disk below the store is what fills up. */
void driver_op_statfs(fuse_req_t req, fuse_ino_t id) {
    (void)id;
    struct driver *driver = driver_request(req, REQUEST_STATFS);
    struct statvfs disk;
    int rc;
    while ((rc = statvfs(store_directory(driver->store), &disk)) != 0 && errno == EINTR) {
    }
    if (rc != 0) {
        fuse_reply_err(req, errno);
        return;
    }
    if (driver->head != NULL && disk.f_frsize != 0) {
        /* What is kept for removals is not to be had. */
        fsblkcnt_t reserve = (fsblkcnt_t)(head_reserve(driver->head) / disk.f_frsize);
        disk.f_bavail -= reserve < disk.f_bavail ? reserve : disk.f_bavail;
        disk.f_bfree -= reserve < disk.f_bfree ? reserve : disk.f_bfree;
    }
    disk.f_namemax = NAME_BYTES_MAX;
    fuse_reply_statfs(req, &disk);
}
