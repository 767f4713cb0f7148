/* Reading extended attributes. What the driver makes up itself has none. */
#include <errno.h>

#include "fs/driver_private.h"

/* name NULL: the list of names. */
static int read_xattr(struct driver *driver, const struct node *node, const char *name, void *buffer, size_t size,
                      size_t *length) {
    struct store *store = driver->store;
    uint64_t revision = node->revision;
    struct view *view;
    struct view_attr attr;
    int rc;
    if (node->kind == NODE_HEAD && driver->head != NULL) {
        return name != NULL ? head_getxattr(driver->head, node->oid, name, buffer, size, length)
                            : head_listxattr(driver->head, node->oid, buffer, size, length);
    }
    switch (node->kind) {
    case NODE_HEAD:
    case NODE_DIRECTORY:
        rc = node->kind == NODE_HEAD ? present_view(driver, &view) : driver_view(driver, node->before, &view);
        if (rc != 0) {
            return rc;
        }
        rc = view_getattr(view, node->oid, &attr);
        bool directory = rc == 0 && S_ISDIR(attr.stat.st_mode);
        if (directory) {
            rc = name != NULL ? view_getxattr(view, node->oid, name, buffer, size, length)
                              : view_listxattr(view, node->oid, buffer, size, length);
        }
        view_pool_done(driver->pool, view);
        if (rc != 0 || directory) {
            return rc;
        }
        revision = attr.revision;
        break;
    case NODE_FILE:
        break;
    default:
        *length = 0;
        return name != NULL ? -ENODATA : 0;
    }
    return name != NULL ? view_file_getxattr(store, revision, name, buffer, size, length)
                        : view_file_listxattr(store, revision, buffer, size, length);
}

static void reply_xattr(fuse_req_t req, struct driver *driver, fuse_ino_t id, const char *name, size_t size) {
    struct node node;
    size_t length = 0;
    void *buffer = NULL;
    int rc = driver_node(driver, id, &node);
    if (rc == 0 && size > 0) {
        buffer = buffers_take(driver->buffers, size);
        rc = buffer == NULL ? -ENOMEM : 0;
    }
    if (rc == 0) {
        rc = read_xattr(driver, &node, name, buffer, size, &length);
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else if (size == 0) {
        fuse_reply_xattr(req, length);
    } else {
        fuse_reply_buf(req, buffer, length);
    }
    buffers_give(driver->buffers, buffer, size);
}

void driver_op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size) {
    reply_xattr(req, driver_request(req, REQUEST_GETXATTR), id, name, size);
}

void driver_op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size) {
    reply_xattr(req, driver_request(req, REQUEST_LISTXATTR), id, NULL, size);
}
