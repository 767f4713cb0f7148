/* Operations on names: lookup, make, link, unlink, rmdir, rename.
 *
 * Each looks everything up and reserves all memory first; from the first change on nothing can fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "store/head_private.h"

static int name_check(const char *name, size_t length) {
    if (length > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    if (length == 0)
        return -ENOENT;
    if (memchr(name, '/', length) || memchr(name, 0, length))
        return -EINVAL;
    if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
        return -EEXIST;
    return 0;
}

static void touch_directory(struct head *head, struct object *directory, struct timespec now) {
    directory->record.mtime = directory->record.ctime = now;
    object_dirty(head, directory);
}

static void touch_object(struct head *head, struct object *object, struct timespec now) {
    object->record.ctime = now;
    object_dirty(head, object);
}

/* A directory in it goes. A damaged record may have told fewer than there are. */
static void directory_count_down(struct object *directory) {
    if (directory->record.nlink > 0)
        directory->record.nlink--;
}

/* Under the read lock, from memory alone: STORE_ABSENT if it takes more. */
static int lookup_in_memory(struct head *head, uint64_t parent, const char *name, size_t length,
                            struct head_attr *attr) {
    struct object *directory = object_find(head, parent);
    if (!directory || !object_is_directory(directory))
        return STORE_ABSENT;
    struct dentry *dentry;
    if (directory_peek(directory, name, length, &dentry) == STORE_ABSENT)
        return STORE_ABSENT;
    if (!dentry)
        return -ENOENT;
    struct object *object = object_find(head, dentry->oid);
    if (!object)
        return STORE_ABSENT;
    object->lookups++;
    object_attr(object, attr);
    return 0;
}

/* The object that a name leads to. *dentry is NULL and the result 0 if there is no such name. */
static int find(struct head *head, struct object *directory, const char *name, size_t length, struct dentry **dentry,
                struct object **object) {
    int rc = directory_find(head, directory, name, length, dentry);
    if (rc < 0 || !*dentry)
        return rc;
    rc = object_get(head, (*dentry)->oid, object);
    /* A name that leads nowhere is damage, not a stale handle. */
    return rc == -ESTALE ? -EIO : rc;
}

int head_lookup(struct head *head, uint64_t parent, const char *name, size_t length, struct head_attr *attr) {
    if (length > NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    head_lock_shared(head);
    int rc = lookup_in_memory(head, parent, name, length, attr);
    head_unlock(head);
    if (rc != STORE_ABSENT)
        return rc;

    struct object *directory, *object;
    struct dentry *dentry;
    head_lock(head);
    rc = object_get_directory(head, parent, &directory);
    if (rc == 0) {
        rc = find(head, directory, name, length, &dentry, &object);
        if (rc == 0 && !dentry)
            rc = -ENOENT;
    }
    if (rc == 0) {
        object->lookups++;
        object_attr(object, attr);
    }
    directory_trim(head);
    head_unlock(head);
    return rc;
}

int head_parent(struct head *head, uint64_t oid, uint64_t *parent) {
    struct object *directory;
    head_lock(head);
    int rc = object_get_directory(head, oid, &directory);
    if (rc == 0)
        *parent = directory->record.parent;
    head_unlock(head);
    return rc;
}

/* What a new object is, apart from its name. */
struct making {
    uint32_t mode, uid, gid;
    uint64_t rdev;
    char *target;
    struct xattr_set *xattrs;
};

static void making_release(struct making *making) {
    free(making->target);
    if (making->xattrs) {
        xattr_set_release(making->xattrs);
        free(making->xattrs);
    }
}

static int making_init(struct head *head, struct object *parent, uint32_t mode, uint64_t rdev, const char *target,
                       const struct head_caller *caller, struct making *making) {
    uint32_t type = mode & S_IFMT;
    *making = (struct making){.mode = mode, .uid = caller->uid, .gid = caller->gid};
    if (type == S_IFCHR || type == S_IFBLK)
        making->rdev = rdev;
    if (target) {
        size_t length = strlen(target);
        if (length > SYMLINK_BYTES_MAX)
            return -ENAMETOOLONG;
        if (length == 0)
            return -ENOENT;
        making->target = strdup(target);
        if (!making->target)
            return -ENOMEM;
        making->mode = S_IFLNK | 0777;
    } else {
        int rc = acl_inherit(head, parent, caller->umask, &making->mode, &making->xattrs);
        if (rc < 0)
            return rc;
    }
    if (parent->record.mode & S_ISGID) {
        making->gid = parent->record.gid;
        if (type == S_IFDIR)
            making->mode |= S_ISGID;
    }
    return 0;
}

/* Takes over what `making` holds. NULL without memory. */
static struct object *make_object(struct head *head, const struct object *parent, struct making *making,
                                  struct timespec now) {
    struct object *object = object_new(head, making->mode);
    if (!object)
        return NULL;
    struct inode_record *record = &object->record;
    record->uid = making->uid;
    record->gid = making->gid;
    record->nlink = 1;
    record->rdev = making->rdev;
    record->atime = record->mtime = record->ctime = record->btime = now;
    record->target = making->target;
    if (making->target)
        record->size = strlen(making->target);
    object->xattrs = making->xattrs;
    record->has_xattrs = object->xattrs_dirty = making->xattrs != NULL;
    making->target = NULL;
    making->xattrs = NULL;
    if (object_is_directory(object)) {
        record->nlink = 2;
        record->parent = parent->oid;
        record->next_index = ENTRY_INDEX_FIRST;
        if (directory_new(head, object, true) < 0) {
            object_clean(head, object);
            object_settle(head, object);
            return NULL;
        }
    }
    return object;
}

static int make_locked(struct head *head, uint64_t parent, const char *name, size_t length, uint32_t mode,
                       uint64_t rdev, const char *target, const struct head_caller *caller, struct head_attr *attr) {
    struct object *directory;
    struct making making = {0};
    struct dentry *dentry;
    int rc = head_may_change(head, true, length + 256);
    if (rc == 0)
        rc = object_get_directory(head, parent, &directory);
    if (rc == 0)
        rc = directory_prepare(head, directory, name, length, &dentry);
    if (rc < 0)
        return rc;
    if (dentry->oid)
        return -EEXIST;
    if ((mode & S_IFMT) == S_IFDIR && directory->record.nlink >= LINK_COUNT_MAX)
        rc = -EMLINK;
    else
        rc = making_init(head, directory, mode, rdev, target, caller, &making);
    if (rc == 0) {
        struct timespec now = head_clock();
        struct object *object = make_object(head, directory, &making, now);
        if (object) {
            directory_add(head, directory, dentry, object->oid, object->record.mode & S_IFMT);
            if (object_is_directory(object))
                directory->record.nlink++;
            touch_directory(head, directory, now);
            object->lookups++;
            object_attr(object, attr);
            head_changed(head);
        } else {
            rc = -ENOMEM;
        }
    }
    making_release(&making);
    if (rc < 0)
        dentry_settle(head, directory, dentry);
    return rc;
}

int head_make(struct head *head, uint64_t parent, const char *name, size_t length, uint32_t mode, uint64_t rdev,
              const char *target, const struct head_caller *caller, struct head_attr *attr) {
    int rc = name_check(name, length);
    if (rc < 0)
        return rc;
    head_throttle(head);
    head_lock(head);
    rc = make_locked(head, parent, name, length, mode, rdev, target, caller, attr);
    directory_trim(head);
    head_unlock(head);
    return rc;
}

static int link_locked(struct head *head, uint64_t oid, uint64_t parent, const char *name, size_t length,
                       struct head_attr *attr) {
    struct object *object, *directory;
    struct dentry *dentry;
    int rc = head_may_change(head, true, length + 128);
    if (rc == 0)
        rc = object_get(head, oid, &object);
    if (rc < 0)
        return rc;
    if (object_is_directory(object))
        return -EPERM;
    if (object->gone)
        return -ENOENT;
    if (object->record.nlink >= LINK_COUNT_MAX)
        return -EMLINK;
    rc = object_get_directory(head, parent, &directory);
    if (rc == 0)
        rc = directory_prepare(head, directory, name, length, &dentry);
    if (rc < 0)
        return rc;
    if (dentry->oid)
        return -EEXIST;
    struct timespec now = head_clock();
    directory_add(head, directory, dentry, oid, object->record.mode & S_IFMT);
    object->record.nlink++;
    touch_object(head, object, now);
    touch_directory(head, directory, now);
    object->lookups++;
    object_attr(object, attr);
    head_changed(head);
    return 0;
}

int head_link(struct head *head, uint64_t oid, uint64_t parent, const char *name, size_t length,
              struct head_attr *attr) {
    int rc = name_check(name, length);
    if (rc < 0)
        return rc;
    head_lock(head);
    rc = link_locked(head, oid, parent, name, length, attr);
    head_unlock(head);
    return rc;
}

static int remove_locked(struct head *head, uint64_t parent, const char *name, size_t length, bool want_directory) {
    struct object *directory, *object;
    struct dentry *dentry;
    int rc = head_may_change(head, false, 0);
    if (rc == 0)
        rc = object_get_directory(head, parent, &directory);
    if (rc == 0)
        rc = find(head, directory, name, length, &dentry, &object);
    if (rc < 0)
        return rc;
    if (!dentry)
        return -ENOENT;
    bool is_directory = object_is_directory(object);
    if (want_directory && !is_directory)
        return -ENOTDIR;
    if (!want_directory && is_directory)
        return -EISDIR;
    if (is_directory && object->record.size)
        return -ENOTEMPTY;
    rc = directory_prepare_removal(head, 1);
    if (rc < 0)
        return rc;
    struct timespec now = head_clock();
    directory_remove(head, directory, dentry);
    dentry_settle(head, directory, dentry);
    if (is_directory)
        directory_count_down(directory);
    touch_directory(head, directory, now);
    object_unlinked(head, object, now);
    head_changed(head);
    return 0;
}

static int remove_name(struct head *head, uint64_t parent, const char *name, size_t length, bool want_directory) {
    int rc = name_check(name, length);
    if (rc == -EEXIST)
        return length == 1 ? -EINVAL : -ENOTEMPTY; /* as rmdir("x/.") and rmdir("x/..") */
    if (rc < 0)
        return rc;
    head_lock(head);
    rc = remove_locked(head, parent, name, length, want_directory);
    head_unlock(head);
    return rc;
}

int head_unlink(struct head *head, uint64_t parent, const char *name, size_t length) {
    return remove_name(head, parent, name, length, false);
}

int head_rmdir(struct head *head, uint64_t parent, const char *name, size_t length) {
    return remove_name(head, parent, name, length, true);
}

/* ---- rename ---- */

struct end {                           /* of a rename */
    struct object *directory, *object; /* object is NULL if there is no such name */
    struct dentry *dentry;
};

/* Whether `directory` is `ancestor` or lies below it. -EIO if it hangs in a circle or from nothing, as in a store that is damaged. */
static int is_below(struct head *head, const struct object *ancestor, struct object *directory, bool *below) {
    uint64_t passed = 0; /* the directory where `steps` was last a power of two: in a circle it is met again */
    for (size_t steps = 1, next = 1;; steps++) {
        *below = directory == ancestor;
        if (*below || directory->oid == ROOT_OID)
            return 0;
        if (directory->oid == passed)
            return -EIO;
        if (steps == next) {
            passed = directory->oid;
            next *= 2;
        }
        int rc = object_get_directory(head, directory->record.parent, &directory);
        if (rc < 0)
            return rc == -ESTALE ? -EIO : rc; /* as in find */
    }
}

static int rename_check(struct head *head, const struct end *from, const struct end *to, unsigned flags) {
    bool below, exchange = flags & RENAME_EXCHANGE;
    if (exchange && !to->object)
        return -ENOENT;
    if ((flags & RENAME_NOREPLACE) && to->object)
        return -EEXIST;
    if (object_is_directory(from->object)) {
        int rc = is_below(head, from->object, to->directory, &below);
        if (rc < 0)
            return rc;
        if (below)
            return -EINVAL;
        if (to->directory != from->directory && !(to->object && object_is_directory(to->object)) &&
            to->directory->record.nlink >= LINK_COUNT_MAX)
            return -EMLINK;
    }
    if (exchange) {
        if (!object_is_directory(to->object))
            return 0;
        int rc = is_below(head, to->object, from->directory, &below);
        return rc < 0 ? rc : below ? -EINVAL : 0;
    }
    if (!to->object || to->object == from->object)
        return 0;
    if (object_is_directory(to->object)) {
        if (!object_is_directory(from->object))
            return -EISDIR;
        return to->object->record.size ? -ENOTEMPTY : 0;
    }
    return object_is_directory(from->object) ? -ENOTDIR : 0;
}

/* The object has moved from one directory to another. */
static void moved(struct object *object, struct object *from, struct object *to) {
    if (!object_is_directory(object))
        return;
    object->record.parent = to->oid;
    directory_count_down(from);
    to->record.nlink++;
}

/* What RENAME_WHITEOUT leaves where the name was: a character device 0:0, by which overlayfs knows that something was removed. It has the
 * owner of what was there. NULL without memory. */
static struct object *make_whiteout(struct head *head, const struct end *from) {
    struct making making = {.mode = S_IFCHR, .uid = from->object->record.uid, .gid = from->object->record.gid};
    return make_object(head, from->directory, &making, head_clock());
}

/* whiteout: NULL, or what takes the place of the old name. */
static void rename_apply(struct head *head, struct end *from, struct end *to, bool exchange, struct object *whiteout) {
    struct timespec now = head_clock();
    directory_remove(head, from->directory, from->dentry);
    if (to->object)
        directory_remove(head, to->directory, to->dentry);
    directory_add(head, to->directory, to->dentry, from->object->oid, from->object->record.mode & S_IFMT);
    moved(from->object, from->directory, to->directory);
    touch_object(head, from->object, now);
    if (exchange) {
        directory_add(head, from->directory, from->dentry, to->object->oid, to->object->record.mode & S_IFMT);
        moved(to->object, to->directory, from->directory);
        touch_object(head, to->object, now);
    } else if (whiteout) {
        directory_add(head, from->directory, from->dentry, whiteout->oid, S_IFCHR);
    } else {
        dentry_settle(head, from->directory, from->dentry);
    }
    touch_directory(head, from->directory, now);
    touch_directory(head, to->directory, now);
    if (to->object && !exchange) {
        if (object_is_directory(to->object))
            directory_count_down(to->directory);
        object_unlinked(head, to->object, now);
    }
    head_changed(head);
}

static int rename_locked(struct head *head, uint64_t parent, const char *name, size_t length, uint64_t new_parent,
                         const char *new_name, size_t new_length, unsigned flags) {
    struct end from = {0}, to = {0};
    int rc = head_may_change(head, flags & RENAME_WHITEOUT, 256);
    if (rc == 0)
        rc = object_get_directory(head, parent, &from.directory);
    if (rc == 0)
        rc = object_get_directory(head, new_parent, &to.directory);
    if (rc == 0)
        rc = find(head, from.directory, name, length, &from.dentry, &from.object);
    if (rc < 0)
        return rc;
    if (!from.dentry)
        return -ENOENT;
    rc = directory_prepare(head, to.directory, new_name, new_length, &to.dentry);
    if (rc == 0 && to.dentry->oid)
        rc = find(head, to.directory, new_name, new_length, &to.dentry, &to.object);
    if (rc == 0)
        rc = rename_check(head, &from, &to, flags);
    /* Two names of one file, or a name and itself: nothing happens (POSIX). */
    bool nothing = rc == 0 && to.object == from.object;
    struct object *whiteout = NULL;
    if (rc == 0 && !nothing && (flags & (RENAME_EXCHANGE | RENAME_WHITEOUT)))
        rc = directory_prepare(head, from.directory, name, length, &from.dentry);
    if (rc == 0 && !nothing)
        rc = directory_prepare_removal(head, 2);
    if (rc == 0 && !nothing && (flags & RENAME_WHITEOUT) && !(whiteout = make_whiteout(head, &from)))
        rc = -ENOMEM;
    if (rc == 0 && !nothing)
        rename_apply(head, &from, &to, flags & RENAME_EXCHANGE, whiteout);
    else if (to.dentry)
        dentry_settle(head, to.directory, to.dentry);
    return rc;
}

int head_rename(struct head *head, uint64_t parent, const char *name, size_t length, uint64_t new_parent,
                const char *new_name, size_t new_length, unsigned flags) {
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
        return -EINVAL;
    if ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
        return -EINVAL;
    int rc = name_check(name, length);
    if (rc == 0)
        rc = name_check(new_name, new_length);
    if (rc < 0)
        return rc == -EEXIST ? -EBUSY : rc;
    head_lock(head);
    rc = rename_locked(head, parent, name, length, new_parent, new_name, new_length, flags);
    head_unlock(head);
    return rc;
}
