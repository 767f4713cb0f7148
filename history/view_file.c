/* Versions of non-directories, known by their revision alone.
 *
 * A version's other parts (content, attributes) are read as of an instant at which the object was this version: any such
 * instant gives the same, since whatever changes an object makes a new version of it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "history/view_private.h"

/* store_release gives *inode back. *before may be NULL: not needed. */
static int open_version(struct store *store, uint64_t revision, struct inode_version **inode, uint64_t *before) {
    int rc = store_inode_by_revision(store, revision, inode);
    if (rc != STORE_OK) {
        return rc == STORE_ABSENT ? -ESTALE : view_error(rc);
    }
    if (before != NULL) {
        rc = store_version_instant(store, *inode, before);
        if (rc != STORE_OK) {
            store_release(store, *inode);
            return view_error(rc);
        }
    }
    return 0;
}

int view_file_getattr(struct store *store, uint64_t revision, struct view_attr *attr) {
    struct inode_version *inode;
    int rc = open_version(store, revision, &inode, NULL);
    if (rc != 0) {
        return rc;
    }
    view_attr_set(attr, inode);
    attr->ino = VIEW_INO_FILE | revision;
    attr->stat.st_ino = attr->ino;
    store_release(store, inode);
    return 0;
}

int view_file_read(struct store *store, uint64_t revision, uint64_t offset, size_t size, uint8_t *buffer,
                   size_t *done) {
    struct inode_version *inode;
    uint64_t before;
    *done = 0;
    int rc = open_version(store, revision, &inode, &before);
    if (rc != 0) {
        return rc;
    }
    rc = view_error(store_read(store, inode, before, offset, size, buffer, done));
    store_release(store, inode);
    return rc;
}

int view_file_readlink(struct store *store, uint64_t revision, char *buffer, size_t size, size_t *length) {
    struct inode_version *inode;
    int rc = open_version(store, revision, &inode, NULL);
    if (rc != 0) {
        return rc;
    }
    if (inode->record.target == NULL) {
        rc = -EINVAL;
    } else {
        *length = strlen(inode->record.target);
        memcpy(buffer, inode->record.target, *length < size ? *length : size);
    }
    store_release(store, inode);
    return rc;
}

int view_file_seek(struct store *store, uint64_t revision, uint64_t offset, int whence, uint64_t *result) {
    if (whence != SEEK_DATA && whence != SEEK_HOLE) {
        return -EINVAL;
    }
    struct inode_version *inode;
    uint64_t before;
    int rc = open_version(store, revision, &inode, &before);
    if (rc != 0) {
        return rc;
    }
    rc = store_seek(store, inode, before, offset, whence == SEEK_HOLE, result);
    store_release(store, inode);
    return rc == STORE_ABSENT ? -ENXIO : view_error(rc);
}

int view_file_getxattr(struct store *store, uint64_t revision, const char *name, void *value, size_t size,
                       size_t *length) {
    struct inode_version *inode;
    uint64_t before;
    int rc = open_version(store, revision, &inode, &before);
    if (rc != 0) {
        return rc;
    }
    const struct view_xattr_source source = {
        .store = store, .inode = inode, .before = before, .seq = inode->cached.from};
    rc = view_xattr_get(&source, name, value, size, length);
    store_release(store, inode);
    return rc;
}

int view_file_listxattr(struct store *store, uint64_t revision, char *list, size_t size, size_t *length) {
    struct inode_version *inode;
    uint64_t before;
    *length = 0;
    int rc = open_version(store, revision, &inode, &before);
    if (rc != 0) {
        return rc;
    }
    const struct view_xattr_source source = {
        .store = store, .inode = inode, .before = before, .seq = inode->cached.from};
    rc = view_xattr_list(&source, list, size, length);
    store_release(store, inode);
    return rc;
}

int view_file_source(struct store *store, uint64_t revision, uint64_t *oid, uint64_t *before) {
    struct inode_version *inode;
    int rc = open_version(store, revision, &inode, before);
    if (rc != 0) {
        return rc;
    }
    *oid = inode->oid;
    store_release(store, inode);
    return 0;
}
