/* Attributes of the head's objects: setattr, symlink targets, extended attributes. */
#include <errno.h>
#include <inttypes.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "store/head_private.h"
#include "store/tid.h"

static struct timespec chosen(unsigned valid, unsigned now_bit, struct timespec set, struct timespec now) {
    return valid & now_bit ? now : set;
}

static int setattr_locked(struct head *head, struct object *object, unsigned valid, const struct head_attr *set) {
    struct inode_record *record = &object->record;
    struct timespec now = head_clock();
    if ((valid & HEAD_SET_MODE) && S_ISLNK(record->mode))
        return -EOPNOTSUPP; /* chmod(2): it has no permissions; Linux asks for this only before 6.6 */
    if ((valid & HEAD_SET_MODE) && record->has_xattrs) {
        int rc = object_load_xattrs(head, object); /* what can fail, before anything is changed */
        if (rc < 0)
            return rc;
    }
    if (valid & HEAD_SET_SIZE) {
        uint32_t type = record->mode & S_IFMT;
        if (type == S_IFDIR)
            return -EISDIR;
        if (type != S_IFREG)
            return -EINVAL;
        int rc = object_truncate(head, object, set->size);
        if (rc < 0)
            return rc;
        if (!(valid & HEAD_KEEP_TIMES))
            record->mtime = now;
    }
    if (valid & HEAD_SET_MODE) {
        uint32_t mode = (record->mode & S_IFMT) | (set->mode & 07777);
        acl_chmod(object, mode);
        record->mode = mode;
    }
    if (valid & HEAD_SET_UID)
        record->uid = set->uid;
    if (valid & HEAD_SET_GID)
        record->gid = set->gid;
    if (valid & HEAD_SET_ATIME)
        record->atime = chosen(valid, HEAD_SET_ATIME_NOW, set->atime, now);
    if (valid & HEAD_SET_MTIME)
        record->mtime = chosen(valid, HEAD_SET_MTIME_NOW, set->mtime, now);
    if (valid & HEAD_SET_CTIME)
        record->ctime = set->ctime;
    else if (!(valid & HEAD_KEEP_TIMES))
        record->ctime = now;
    return 0;
}

int head_setattr(struct head *head, uint64_t oid, unsigned valid, const struct head_attr *set, struct head_attr *attr) {
    struct object *object;
    if (valid & HEAD_SET_ATIME_NOW)
        valid |= HEAD_SET_ATIME;
    if (valid & HEAD_SET_MTIME_NOW)
        valid |= HEAD_SET_MTIME;
    head_lock(head);
    int rc = head_may_change(head, false, 0);
    if (rc == 0)
        rc = object_get(head, oid, &object);
    if (rc == 0) {
        rc = object_may_change(head, object);
        if (rc == 0)
            rc = setattr_locked(head, object, valid, set);
        if (rc == 0)
            object_attr(object, attr);
        if (rc == 0 && !object->gone) {
            object_dirty(head, object);
            head_changed(head);
        }
        object_settle(head, object);
    }
    head_unlock(head);
    return rc;
}

int head_readlink(struct head *head, uint64_t oid, char *buffer, size_t size, size_t *length) {
    struct object *object;
    head_lock(head);
    int rc = object_get(head, oid, &object);
    if (rc == 0 && !object->record.target)
        rc = -EINVAL;
    if (rc == 0) {
        *length = strlen(object->record.target);
        memcpy(buffer, object->record.target, *length < size ? *length : size);
    }
    head_unlock(head);
    return rc;
}

/* ---- extended attributes ---- */

int object_load_xattrs(struct head *head, struct object *object) {
    if (object->xattrs)
        return 0;
    struct xattr_set *set = calloc(1, sizeof *set);
    if (!set)
        return -ENOMEM;
    if (object->record.has_xattrs) { /* so it is stored: those of a new object are in memory */
        struct xattrs_version *version;
        int rc = store_xattrs(head->store, object->oid, head->last_seq + 1, &version);
        if (rc == STORE_OK) {
            rc = xattr_set_copy(&version->set, set);
            store_release(head->store, version);
        }
        if (rc < 0) {
            free(set);
            return -store_error_errno(rc);
        }
    }
    object->xattrs = set;
    return 0;
}

/* What tidfs itself says of an object: read-only, and not listed. STORE_ABSENT if the name is none of these. */
static int virtual_xattr(struct head *head, const struct object *object, const char *name, char text[64]) {
    if (!strcmp(name, "tidfs.oid")) {
        (void)snprintf(text, 64, "%" PRIu64, object->oid);
        return 0;
    }
    if (!strcmp(name, "tidfs.created")) {
        tid_format_time(object->record.btime, text);
        return 0;
    }
    if (strcmp(name, "tidfs.tid"))
        return STORE_ABSENT;
    /* The newest transaction that has it: what is pending has no tid yet. */
    struct inode_version *version;
    int rc = object->stored ? store_inode(head->store, object->oid, head->last_seq + 1, &version) : STORE_ABSENT;
    if (rc < 0)
        return -store_error_errno(rc);
    if (rc == STORE_ABSENT)
        return -ENODATA;
    struct transaction transaction;
    rc = storage_transaction_at(store_storage(head->store), version->cached.from, &transaction);
    store_release(head->store, version);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? -EIO : -store_error_errno(rc);
    tid_format(transaction.tid, text);
    transaction_release(&transaction);
    return 0;
}

static int give(const void *from, size_t from_length, void *to, size_t size, size_t *length) {
    *length = from_length;
    if (size == 0)
        return 0;
    if (size < from_length)
        return -ERANGE;
    if (from_length)
        memcpy(to, from, from_length);
    return 0;
}

int head_getxattr(struct head *head, uint64_t oid, const char *name, void *value, size_t size, size_t *length) {
    /* The kernel asks for security.capability before every write: answer from memory, with the read lock. */
    head_lock_shared(head);
    struct object *object = object_find(head, oid);
    bool none = object && !object->record.has_xattrs && strncmp(name, "tidfs.", 6) != 0;
    head_unlock(head);
    if (none)
        return -ENODATA;

    char text[64];
    head_lock(head);
    int rc = object_get(head, oid, &object);
    if (rc == 0) {
        rc = virtual_xattr(head, object, name, text);
        if (rc == 0) {
            rc = give(text, strlen(text), value, size, length);
        } else if (rc == STORE_ABSENT) {
            rc = object_load_xattrs(head, object);
            const struct xattr *xattr = rc == 0 ? xattr_set_find(object->xattrs, name) : NULL;
            if (rc == 0)
                rc = xattr ? give(xattr->value, xattr->length, value, size, length) : -ENODATA;
        }
        object_settle(head, object);
    }
    head_unlock(head);
    return rc;
}

static int list_locked(const struct xattr_set *set, char *list, size_t size, size_t *length) {
    *length = 0;
    for (size_t i = 0; i < set->count; i++)
        *length += strlen(set->items[i].name) + 1;
    if (size == 0)
        return 0;
    if (size < *length)
        return -ERANGE;
    for (size_t i = 0; i < set->count; i++)
        list = stpcpy(list, set->items[i].name) + 1;
    return 0;
}

int head_listxattr(struct head *head, uint64_t oid, char *list, size_t size, size_t *length) {
    struct object *object;
    head_lock(head);
    int rc = object_get(head, oid, &object);
    if (rc == 0) {
        rc = object_load_xattrs(head, object);
        if (rc == 0)
            rc = list_locked(object->xattrs, list, size, length);
        object_settle(head, object);
    }
    head_unlock(head);
    return rc;
}

static void xattrs_changed(struct head *head, struct object *object) {
    object->record.has_xattrs = object->xattrs->count > 0;
    object->record.ctime = head_clock();
    object->xattrs_dirty = true;
    if (object->gone)
        return;
    object_dirty(head, object);
    head_changed(head);
}

/* An access ACL sets the permission bits, and is kept only if it says more than they do. */
static int set_acl(struct object *object, const char *name, const void *value, size_t size, bool *keep) {
    uint32_t bits;
    bool equivalent;
    *keep = true;
    bool access = !strcmp(name, ACL_ACCESS);
    if (!access && strcmp(name, ACL_DEFAULT) != 0)
        return 0;
    if (!access && !object_is_directory(object))
        return -EACCES;
    if ((object->record.mode & S_IFMT) == S_IFLNK)
        return -EOPNOTSUPP;
    if (!access && size <= 4) {
        *keep = false;
        return 0;
    }
    int rc = acl_mode(value, size, &bits, &equivalent);
    if (rc < 0 || !access)
        return rc;
    object->record.mode = (object->record.mode & ~0777U) | bits;
    *keep = !equivalent;
    return 0;
}

static int setxattr_locked(struct head *head, struct object *object, const char *name, const void *value, size_t size,
                           int flags) {
    int rc = object_load_xattrs(head, object);
    if (rc < 0)
        return rc;
    const struct xattr *old = xattr_set_find(object->xattrs, name);
    if ((flags & XATTR_CREATE) && old)
        return -EEXIST;
    if ((flags & XATTR_REPLACE) && !old)
        return -ENODATA;
    size_t total = 0, names = 0;
    for (size_t i = 0; i < object->xattrs->count; i++) {
        names += strlen(object->xattrs->items[i].name) + 1;
        total += object->xattrs->items[i].length + 15;
    }
    if (total + names + strlen(name) + size + 64 > XATTR_SET_MAX)
        return -ENOSPC;
    /* More names could not be listed, and whoever copies the file would lose them all. */
    if (!old && names + strlen(name) + 1 > XATTR_LIST_MAX)
        return -ENOSPC;
    bool keep;
    uint32_t mode = object->record.mode;
    rc = set_acl(object, name, value, size, &keep);
    if (rc < 0)
        return rc;
    rc = keep ? xattr_set_put(object->xattrs, name, value, size) : xattr_set_remove(object->xattrs, name);
    if (rc < 0) {
        object->record.mode = mode;
        return -store_error_errno(rc);
    }
    head->working_bytes += size;
    xattrs_changed(head, object);
    return 0;
}

int head_setxattr(struct head *head, uint64_t oid, const char *name, const void *value, size_t size, int flags) {
    struct object *object;
    if (!*name || strlen(name) > NAME_BYTES_MAX)
        return -ERANGE;
    if (size > XATTR_VALUE_MAX)
        return -E2BIG;
    if (!strncmp(name, "tidfs.", 6))
        return -EPERM;
    head_lock(head);
    int rc = head_may_change(head, true, size + 256);
    if (rc == 0)
        rc = object_get(head, oid, &object);
    if (rc == 0) {
        rc = object_may_change(head, object);
        if (rc == 0)
            rc = setxattr_locked(head, object, name, value, size, flags);
        object_settle(head, object);
    }
    head_unlock(head);
    return rc;
}

int head_removexattr(struct head *head, uint64_t oid, const char *name) {
    struct object *object;
    if (!strncmp(name, "tidfs.", 6))
        return -EPERM;
    head_lock(head);
    int rc = head_may_change(head, false, 0);
    if (rc == 0)
        rc = object_get(head, oid, &object);
    if (rc == 0) {
        rc = object_may_change(head, object);
        if (rc == 0)
            rc = object_load_xattrs(head, object);
        if (rc == 0)
            rc = xattr_set_remove(object->xattrs, name) == STORE_ABSENT ? -ENODATA : 0;
        if (rc == 0)
            xattrs_changed(head, object);
        object_settle(head, object);
    }
    head_unlock(head);
    return rc;
}
