/* SEEK_DATA and SEEK_HOLE: where a file has no data.
 *
 * For a file of the head this is more than asking the store. The kernel may hold data that it has not written back yet, of a shared mapping or in its write-back
 * cache, and passes the question on all the same; what is a hole to us may be full there, and whoever copies the file by its holes would lose that.
 * So, before a hole is reported, the kernel is made to write back what it has in it. That cannot be done inside the request, as the kernel sends it as writes
 * that some thread must be free to take: the housekeeper does it, and answers. A file without holes, the usual case, is answered at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/driver_private.h"

#define ENDLESS   UINT64_MAX
#define TRIES_MAX 4 /* of a file that fills its holes as fast as we look */

/* What the store knows: [*start, *end) is the hole that the answer depends on; empty if there is none. */
static int seek_stored(struct head *head, const struct seek *seek, uint64_t *result, uint64_t *start, uint64_t *end) {
    int rc = head_seek(head, seek->oid, seek->offset, seek->whence, result);
    *start = *end = seek->offset;
    if (rc != 0) {
        *end = ENDLESS;
    } else if (seek->whence == SEEK_DATA) {
        *end = *result;
    } else {
        *start = *result;
        if (head_seek(head, seek->oid, *result, SEEK_DATA, end) != 0) {
            *end = ENDLESS;
        }
    }
    return rc;
}

/* A hole that begins where the file ends is none, unless the kernel knows of a later end. */
static bool needs_flush(struct driver *driver, const struct seek *seek, int rc, uint64_t start, uint64_t end) {
    struct head_attr attr;
    if (rc != 0 && rc != -ENXIO) {
        return false;
    }
    if (end != ENDLESS || driver->write_back) {
        return start != end;
    }
    return head_getattr(driver->head, seek->oid, &attr) == 0 && start < attr.size;
}

void seek_finish(struct driver *driver, struct seek *seek, bool flush) {
    uint64_t result = 0, start = 0, end = 0;
    int rc = seek_stored(driver->head, seek, &result, &start, &end);
    for (int tries = 0; flush && tries < TRIES_MAX && needs_flush(driver, seek, rc, start, end); tries++) {
        int old_rc = rc;
        uint64_t old = result;
        /* A length of 0 means to the end. That pages are in use, or gone, is no matter. */
        (void)fuse_lowlevel_notify_inval_inode(driver->session, HEAD_BIT | seek->oid, (off_t)start,
                                               end == ENDLESS ? 0 : (off_t)(end - start));
        rc = seek_stored(driver->head, seek, &result, &start, &end);
        if (rc == old_rc && (rc != 0 || result == old)) {
            break;
        }
    }
    if (rc != 0) {
        fuse_reply_err(seek->req, -rc);
    } else {
        fuse_reply_lseek(seek->req, (off_t)result);
    }
    free(seek);
}

static void seek_head(fuse_req_t req, struct driver *driver, uint64_t oid, uint64_t offset, int whence) {
    uint64_t result = 0, start = 0, end = 0;
    struct seek *seek = malloc(sizeof *seek);
    if (seek == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    *seek = (struct seek){.req = req, .oid = oid, .offset = offset, .whence = whence};
    int rc = seek_stored(driver->head, seek, &result, &start, &end);
    if (needs_flush(driver, seek, rc, start, end)) {
        housekeeping_seek(driver, seek);
    } else {
        seek_finish(driver, seek, false);
    }
}

/* Of what the kernel cannot write. */
static int seek_unchanging(struct driver *driver, const struct node *node, uint64_t offset, int whence,
                           uint64_t *result) {
    struct view_attr attr;
    size_t length;
    int rc;
    switch (node->kind) {
    case NODE_HEAD:
        rc = present_getattr(driver, node->oid, &attr);
        return rc != 0 ? rc : view_file_seek(driver->store, attr.revision, offset, whence, result);
    case NODE_FILE:
        return view_file_seek(driver->store, node->revision, offset, whence, result);
    case NODE_README:
        (void)names_readme(&length);
        *result = whence == SEEK_DATA ? offset : length;
        return offset < length ? 0 : -ENXIO;
    default:
        return -EINVAL;
    }
}

void driver_op_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *file) {
    (void)file;
    struct driver *driver = driver_request(req, REQUEST_LSEEK);
    struct node node;
    uint64_t result = 0;
    int rc = offset < 0 ? -ENXIO : driver_node(driver, id, &node);
    if (rc == 0 && node.kind == NODE_HEAD && driver->head != NULL) {
        seek_head(req, driver, node.oid, (uint64_t)offset, whence);
        return;
    }
    if (rc == 0) {
        rc = seek_unchanging(driver, &node, (uint64_t)offset, whence, &result);
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else {
        fuse_reply_lseek(req, (off_t)result);
    }
}
