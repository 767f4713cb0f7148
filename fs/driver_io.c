/* Opening, reading and making durable. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fs/driver_private.h"
#include "history/path.h"

/* A kernel that understands it is told once that there is nothing to do at open, and never asks again: neither open nor flush nor
 * release exist from then on, and it keeps its pages from one open to the next. Permission is the kernel's to check then
 * (default_permissions), and a file of history that is opened for writing gets its EROFS from the first change. */
void driver_op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    struct driver *driver = driver_request(req, REQUEST_OPEN);
    struct node node;
    if (driver->stateless) {
        fuse_reply_err(req, ENOSYS);
        return;
    }
    int rc = driver_node(driver, id, &node);
    bool changes = (file->flags & O_ACCMODE) != O_RDONLY || (file->flags & O_TRUNC);
    if (rc == 0 && changes && (node.kind != NODE_HEAD || driver->head == NULL)) {
        rc = -EROFS;
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
        return;
    }
    file->keep_cache = 1;
    fuse_reply_open(req, file);
}

void driver_op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    struct driver *driver = driver_request(req, REQUEST_OPENDIR);
    (void)id;
    if (driver->stateless) {
        fuse_reply_err(req, ENOSYS);
        return;
    }
    file->keep_cache = 1;
    file->cache_readdir = 1;
    fuse_reply_open(req, file);
}

static int read_file(struct driver *driver, const struct node *node, uint64_t offset, size_t size, uint8_t *buffer,
                     size_t *done) {
    struct view_attr attr;
    const char *text;
    size_t length;
    int rc;
    switch (node->kind) {
    case NODE_HEAD:
        if (driver->head != NULL) {
            return head_read(driver->head, node->oid, offset, size, buffer, done);
        }
        rc = present_getattr(driver, node->oid, &attr);
        return rc != 0 ? rc : view_file_read(driver->store, attr.revision, offset, size, buffer, done);
    case NODE_FILE:
        return view_file_read(driver->store, node->revision, offset, size, buffer, done);
    case NODE_README:
        text = names_readme(&length);
        if (offset < length) {
            *done = length - offset < size ? (size_t)(length - offset) : size;
            memcpy(buffer, text + offset, *done);
        }
        return 0;
    default:
        return -EISDIR;
    }
}

/* The storage has logged what is wrong; this tells whose contents that are. */
static void log_unreadable(struct driver *driver, const struct node *node) {
    char text[4096];
    uint64_t oid = node->oid, before = store_last(driver->store) + 1;
    if (node->kind == NODE_FILE && view_file_source(driver->store, node->revision, &oid, &before) != 0) {
        return;
    }
    log_write(driver->log, LOG_LEVEL_ERROR, "%s cannot be read; `tidfs verify %s` tells all that is damaged",
              path_of(driver->store, oid, before, text, sizeof text), store_directory(driver->store));
}

void driver_op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)file;
    struct driver *driver = driver_request(req, REQUEST_READ);
    struct node node;
    size_t done = 0;
    if (offset < 0) {
        fuse_reply_err(req, EINVAL);
        return;
    }
    size = size < BUFFER_SIZE ? size : BUFFER_SIZE;
    /* The kernel reads whole pages, and the last one ends where no file can. */
    size = (uint64_t)offset > FILE_SIZE_MAX - size ? (size_t)(FILE_SIZE_MAX - (uint64_t)offset) : size;
    uint8_t *buffer = buffers_take(driver->buffers, size);
    int rc = buffer == NULL ? -ENOMEM : driver_node(driver, id, &node);
    if (rc == 0) {
        rc = read_file(driver, &node, (uint64_t)offset, size, buffer, &done);
        if (rc == -EIO) {
            log_unreadable(driver, &node);
        }
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else {
        fuse_reply_buf(req, (const char *)buffer, done);
    }
    buffers_give(driver->buffers, buffer, size);
}

void driver_attributes_changed(struct driver *driver, fuse_ino_t id) {
    (void)fuse_lowlevel_notify_inval_inode(driver->session, id, -1, 0);
}

/* One transaction holds everything, so making one file durable makes all of them so. */
static void make_durable(fuse_req_t req, struct driver *driver, fuse_ino_t id) {
    struct node node;
    int rc = driver_node(driver, id, &node);
    if (rc == 0 && node.kind == NODE_HEAD && driver->head != NULL) {
        rc = head_seal(driver->head, NULL, NULL, NULL);
        if (driver->write_back) {
            driver_attributes_changed(driver, id);
        }
    }
    fuse_reply_err(req, -rc);
}

void driver_op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *file) {
    (void)datasync;
    (void)file;
    make_durable(req, driver_request(req, REQUEST_FSYNC), id);
}

void driver_op_fsyncdir(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *file) {
    (void)datasync;
    (void)file;
    make_durable(req, driver_request(req, REQUEST_FSYNCDIR), id);
}
