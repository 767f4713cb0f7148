/* Reading extended attributes. What the driver makes up itself has none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* The kernel's namespaces, and the two names of `system` that it gives a meaning to; anything else it would not give a local
 * filesystem either. */
int xattr_check_name(const char *name) {
    static const char *const prefixes[] = {"user.", "trusted.", "security."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t length = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], length) == 0) {
            return name[length] != '\0' ? 0 : -EINVAL;
        }
    }
    bool acl = strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
    return acl ? 0 : -EOPNOTSUPP;
}

/* What history tells about itself, beside what was stored. */
static bool is_own_name(const char *name) {
    return strncmp(name, "tidfs.", 6) == 0;
}

/* With the write-back cache the kernel takes a write(2) into its cache and asks nobody; of a file in history it would hear the EROFS too late,
 * and show until then, and of the size for ever, what was never written. But before a write it looks whether there is a capability to
 * drop, and if so drops it first: which fails with EROFS, and the write with it. So it is told of one. Only its own question is
 * for the size alone; whoever wants the value (execve, getxattr) hears what is true. */
static bool is_before_write(const struct driver *driver, const struct node *node, const char *name, size_t size) {
    return driver->write_back && node->kind != NODE_HEAD && size == 0 && strcmp(name, "security.capability") == 0;
}

void driver_op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size) {
    struct driver *driver = driver_request(req, REQUEST_GETXATTR);
    struct node node;
    size_t length = 0;
    void *buffer = NULL;
    int rc = is_own_name(name) ? 0 : xattr_check_name(name);
    if (rc == 0) {
        rc = driver_node(driver, id, &node);
    }
    size = size < XATTR_VALUE_MAX ? size : XATTR_VALUE_MAX;
    if (rc == 0 && size > 0) {
        buffer = buffers_take(driver->buffers, size);
        rc = buffer == NULL ? -ENOMEM : 0;
    }
    if (rc == 0) {
        rc = read_xattr(driver, &node, name, buffer, size, &length);
    }
    if (rc == -ENODATA && is_before_write(driver, &node, name, size)) {
        length = 1;
        rc = 0;
    }
    /* `ls -l` asks for this of every file, a round trip each, until it hears that the filesystem has no such thing. */
    if (rc == -ENODATA && strcmp(name, "security.selinux") == 0) {
        rc = -EOPNOTSUPP;
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

/* Drops the names that are for root alone: a list of NUL-terminated names, shortened in place. */
static size_t drop_trusted(char *list, size_t length) {
    size_t kept = 0;
    for (size_t at = 0; at < length;) {
        size_t name_length = strnlen(list + at, length - at - 1) + 1;
        if (strncmp(list + at, "trusted.", 8) != 0) {
            memmove(list + kept, list + at, name_length);
            kept += name_length;
        }
        at += name_length;
    }
    return kept;
}

/* The whole list is read whatever was asked for, since only then it is known how long the caller's is. */
static int list_for(fuse_req_t req, struct driver *driver, const struct node *node, char **list, size_t *length) {
    int rc;
    *list = NULL;
    do {
        size_t size;
        free(*list);
        *list = NULL;
        rc = read_xattr(driver, node, NULL, NULL, 0, &size);
        if (rc != 0 || size == 0) {
            *length = 0;
            return rc;
        }
        *list = malloc(size);
        if (*list == NULL) {
            return -ENOMEM;
        }
        rc = read_xattr(driver, node, NULL, *list, size, length);
    } while (rc == -ERANGE); /* it grew meanwhile */
    if (rc == 0 && fuse_req_ctx(req)->uid != 0) {
        *length = drop_trusted(*list, *length);
    }
    return rc;
}

void driver_op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size) {
    struct driver *driver = driver_request(req, REQUEST_LISTXATTR);
    struct node node;
    size_t length = 0;
    char *list = NULL;
    int rc = driver_node(driver, id, &node);
    if (rc == 0) {
        rc = list_for(req, driver, &node, &list, &length);
    }
    if (rc == 0 && size > 0 && length > size) {
        rc = -ERANGE;
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else if (size == 0) {
        fuse_reply_xattr(req, length);
    } else {
        fuse_reply_buf(req, list, length);
    }
    free(list);
}
