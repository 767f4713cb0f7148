#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/xattr.h>

#include "tests/model.h"

const char *const xattr_names[XATTRS + 2] = {
    "security.s",
    "trusted.t",
    "user.a",
    "user.b",
    "user.c",
    "user.\xff\xfe",
    "user.long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long",
    "system.posix_acl_access",
    "system.posix_acl_default",
};

static void *allocate(size_t size) {
    void *block = calloc(1, size ? size : 1);
    assert_non_null(block);
    return block;
}

/* ---- texts ---- */

size_t name_text(uint32_t id, char text[NAME_BYTES_MAX + 1]) {
    size_t length = 1;
    text[0] = (char)('a' + id % 26);
    if (id >= 26) {
        /* Long ones, all alike but for their ends, and bytes that are no UTF-8. */
        length = id >= 36 ? NAME_BYTES_MAX : 20;
        memset(text, id % 2 ? '\xfe' : '\n', length);
        text[length - 2] = (char)('0' + id / 10);
        text[length - 1] = (char)('0' + id % 10);
    }
    text[length] = '\0';
    return length;
}

size_t target_text(uint32_t target, char text[SYMLINK_BYTES_MAX + 1]) {
    size_t length = target % 8 == 0 ? SYMLINK_BYTES_MAX : 12;
    memset(text, 'x', length);
    (void)snprintf(text + length - 10, 11, "%010" PRIu32, target);
    return length;
}

void xattr_value(uint32_t length, uint32_t seed, uint8_t *value) {
    for (uint32_t i = 0; i < length; i++)
        value[i] = (uint8_t)(i * 7 + (i >> 8) + seed);
}

static uint8_t *acl_entry(uint8_t *at, uint32_t tag, uint32_t permissions, uint32_t id) {
    uint8_t bytes[8] = {(uint8_t)tag, 0, (uint8_t)permissions, 0};
    for (int i = 0; i < 4; i++)
        bytes[4 + i] = (uint8_t)(id >> 8 * i);
    memcpy(at, bytes, sizeof bytes);
    return at + sizeof bytes;
}

size_t acl_encode(const struct acl *acl, uint8_t bytes[64]) {
    uint8_t *at = bytes + 4;
    memcpy(bytes, (uint8_t[]){2, 0, 0, 0}, 4);
    if (acl->kind == ACL_NONE)
        return 4;
    at = acl_entry(at, 1, acl->user, UINT32_MAX);
    if (acl->kind == ACL_EXTENDED)
        at = acl_entry(at, 2, acl->named, 5);
    at = acl_entry(at, 4, acl->group, UINT32_MAX);
    if (acl->kind == ACL_EXTENDED)
        at = acl_entry(at, 16, acl->mask, UINT32_MAX);
    at = acl_entry(at, 32, acl->other, UINT32_MAX);
    return (size_t)(at - bytes);
}

/* ---- contents and names ---- */

struct content *content_new(size_t size) {
    struct content *content = allocate(sizeof *content);
    content->refs = 1;
    content->capacity = size;
    content->bytes = allocate(size);
    content->data = allocate(size);
    return content;
}

void content_release(struct content *content) {
    if (!content || --content->refs > 0)
        return;
    free(content->bytes);
    free(content->data);
    free(content);
}

/* Makes it the object's own, with room for `size` bytes; what is past the object's size is zeros and no data. */
static struct content *own_content(struct object *object, uint64_t size) {
    struct content *old = object->content;
    if (old->refs == 1 && old->capacity >= size)
        return old;
    struct content *content = content_new(size > old->capacity ? size + size / 4 : old->capacity);
    memcpy(content->bytes, old->bytes, object->size);
    memcpy(content->data, old->data, object->size);
    content_release(old);
    object->content = content;
    return content;
}

static void names_release(struct names *names) {
    if (names && --names->refs == 0)
        free(names);
}

static struct names *names_copy(const struct names *from, size_t room) {
    struct names *names = allocate(sizeof *names + (from->count + room) * sizeof names->items[0]);
    names->refs = 1;
    names->count = from->count;
    memcpy(names->items, from->items, from->count * sizeof names->items[0]);
    return names;
}

static void name_add(struct object *directory, uint32_t id, uint64_t oid) {
    struct names *names = names_copy(directory->names, 1);
    names->items[names->count++] = (struct name){oid, id};
    names_release(directory->names);
    directory->names = names;
    directory->additions++;
    directory->size++;
}

static void name_remove(struct object *directory, uint32_t id) {
    struct names *names = names_copy(directory->names, 0);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < names->count; i++)
        if (names->items[i].id != id)
            names->items[kept++] = names->items[i];
    assert_int_equal(kept, names->count - 1);
    names->count = kept;
    names_release(directory->names);
    directory->names = names;
    directory->size--;
}

/* ---- trees ---- */

struct object *tree_find(const struct tree *tree, uint64_t oid) {
    size_t low = 0, high = tree->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (tree->objects[middle].oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low < tree->count && tree->objects[low].oid == oid ? &tree->objects[low] : NULL;
}

struct object *tree_lookup(const struct tree *tree, const struct object *directory, uint32_t id) {
    for (uint32_t i = 0; i < directory->names->count; i++)
        if (directory->names->items[i].id == id)
            return tree_find(tree, directory->names->items[i].oid);
    return NULL;
}

/* Pointers to objects do not outlive this. */
static struct object *tree_add(struct tree *tree, uint64_t oid, uint32_t mode) {
    assert_true(oid > tree->last_oid);
    tree->last_oid = oid;
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity * 2 + 64;
        tree->objects = realloc(tree->objects, tree->capacity * sizeof *tree->objects);
        assert_non_null(tree->objects);
    }
    struct object *object = &tree->objects[tree->count++];
    *object = (struct object){.oid = oid, .mode = mode, .nlink = 1, .dirty = true};
    object->atime = object->mtime = object->ctime = object->btime = tree->now;
    if (S_ISDIR(mode)) {
        object->nlink = 2;
        object->names = allocate(sizeof *object->names);
        object->names->refs = 1;
    } else if (S_ISREG(mode)) {
        object->content = content_new(0);
    }
    return object;
}

static void tree_drop(struct tree *tree, struct object *object) {
    names_release(object->names);
    content_release(object->content);
    size_t rest = tree->count - (size_t)(object - tree->objects) - 1;
    memmove(object, object + 1, rest * sizeof *object);
    tree->count--;
}

void tree_init(struct tree *tree, const struct head_attr *root) {
    *tree = (struct tree){0};
    struct object *object = tree_add(tree, ROOT_OID, root->mode);
    object->uid = root->uid;
    object->gid = root->gid;
    object->atime = root->atime;
    object->mtime = root->mtime;
    object->ctime = root->ctime;
    object->btime = root->btime;
    object->parent = ROOT_OID;
}

void tree_copy(const struct tree *from, struct tree *to) {
    *to = *from;
    to->objects = allocate(from->capacity * sizeof *to->objects);
    memcpy(to->objects, from->objects, from->count * sizeof *to->objects);
    for (size_t i = 0; i < to->count; i++) {
        if (to->objects[i].names)
            to->objects[i].names->refs++;
        if (to->objects[i].content)
            to->objects[i].content->refs++;
    }
}

void tree_release(struct tree *tree) {
    while (tree->count)
        tree_drop(tree, &tree->objects[tree->count - 1]);
    free(tree->objects);
}

void tree_hold(struct tree *tree, uint64_t oid) {
    tree_find(tree, oid)->held++;
}

void tree_forget(struct tree *tree, uint64_t oid) {
    struct object *object = tree_find(tree, oid);
    if (--object->held == 0 && object->gone)
        tree_drop(tree, object);
}

/* ---- names ---- */

static void changed(struct tree *tree, struct object *object) {
    if (object->gone)
        return;
    object->dirty = true;
    tree->pending = true;
}

static void touch_directory(struct tree *tree, struct object *directory) {
    directory->mtime = directory->ctime = tree->now;
    changed(tree, directory);
}

static int get_directory(const struct tree *tree, uint64_t oid, struct object **directory) {
    *directory = tree_find(tree, oid);
    if (!S_ISDIR((*directory)->mode))
        return -ENOTDIR;
    return (*directory)->gone ? -ENOENT : 0;
}

/* acl(5), "Object creation and default ACLs". */
static void inherit_acl(struct object *object, const struct object *parent, uint32_t umask) {
    const struct acl *from = &parent->inherited;
    if (S_ISLNK(object->mode))
        return;
    if (from->kind == ACL_NONE) {
        object->mode &= ~umask;
        return;
    }
    struct acl access = *from;
    access.user &= object->mode >> 6 & 7;
    access.group &= from->kind == ACL_MINIMAL ? object->mode >> 3 & 7 : 7;
    access.mask &= object->mode >> 3 & 7;
    access.other &= object->mode & 7;
    object->mode = (object->mode & ~0777U) | access.user << 6 |
                   (from->kind == ACL_MINIMAL ? access.group : access.mask) << 3 | access.other;
    if (from->kind == ACL_EXTENDED)
        object->access = access;
    if (S_ISDIR(object->mode))
        object->inherited = *from;
}

int tree_make(struct tree *tree, uint64_t parent, uint32_t id, uint32_t mode, uint64_t rdev, uint32_t target,
              const struct head_caller *caller, uint64_t oid) {
    struct object *directory;
    char text[SYMLINK_BYTES_MAX + 1];
    int rc = get_directory(tree, parent, &directory);
    if (rc < 0)
        return rc;
    if (tree_lookup(tree, directory, id))
        return -EEXIST;
    struct object *object = tree_add(tree, oid, mode);
    directory = tree_find(tree, parent);
    object->uid = caller->uid;
    object->gid = directory->mode & S_ISGID ? directory->gid : caller->gid;
    if (S_ISCHR(mode) || S_ISBLK(mode))
        object->rdev = rdev;
    if (S_ISLNK(mode)) {
        object->target = target;
        object->size = target_text(target, text);
    }
    inherit_acl(object, directory, caller->umask);
    if (S_ISDIR(mode)) {
        object->parent = parent;
        if (directory->mode & S_ISGID)
            object->mode |= S_ISGID;
        directory->nlink++;
    }
    name_add(directory, id, oid);
    touch_directory(tree, directory);
    return 0;
}

int tree_link(struct tree *tree, uint64_t oid, uint64_t parent, uint32_t id) {
    struct object *object = tree_find(tree, oid), *directory;
    if (S_ISDIR(object->mode))
        return -EPERM;
    if (object->gone)
        return -ENOENT;
    int rc = get_directory(tree, parent, &directory);
    if (rc < 0)
        return rc;
    if (tree_lookup(tree, directory, id))
        return -EEXIST;
    name_add(directory, id, oid);
    touch_directory(tree, directory);
    object->nlink++;
    object->ctime = tree->now;
    changed(tree, object);
    return 0;
}

/* One name fewer leads to it. */
static void unlinked(struct tree *tree, struct object *object) {
    object->ctime = tree->now;
    object->nlink = S_ISDIR(object->mode) ? 0 : object->nlink - 1;
    changed(tree, object);
    if (object->nlink > 0)
        return;
    object->gone = true;
    object->dirty = false;
    if (!object->held)
        tree_drop(tree, object);
}

int tree_remove(struct tree *tree, uint64_t parent, uint32_t id, bool want_directory) {
    struct object *directory;
    int rc = get_directory(tree, parent, &directory);
    if (rc < 0)
        return rc;
    struct object *object = tree_lookup(tree, directory, id);
    if (!object)
        return -ENOENT;
    bool is_directory = S_ISDIR(object->mode);
    if (want_directory != is_directory)
        return want_directory ? -ENOTDIR : -EISDIR;
    if (is_directory && object->size)
        return -ENOTEMPTY;
    name_remove(directory, id);
    if (is_directory)
        directory->nlink--;
    touch_directory(tree, directory);
    unlinked(tree, object);
    return 0;
}

/* Whether `oid` is a directory's, or one's that it is in. */
static bool is_below(const struct tree *tree, const struct object *directory, uint64_t oid) {
    while (directory->oid != oid && directory->oid != ROOT_OID)
        directory = tree_find(tree, directory->parent);
    return directory->oid == oid;
}

static int rename_check(const struct tree *tree, const struct object *from, const struct object *object,
                        const struct object *to, const struct object *other, unsigned flags) {
    if (!object || ((flags & RENAME_EXCHANGE) && !other))
        return -ENOENT;
    if ((flags & RENAME_NOREPLACE) && other)
        return -EEXIST;
    if (S_ISDIR(object->mode) && is_below(tree, to, object->oid))
        return -EINVAL;
    if (flags & RENAME_EXCHANGE)
        return S_ISDIR(other->mode) && is_below(tree, from, other->oid) ? -EINVAL : 0;
    if (!other || other == object)
        return 0;
    if (S_ISDIR(other->mode))
        return !S_ISDIR(object->mode) ? -EISDIR : other->size ? -ENOTEMPTY : 0;
    return S_ISDIR(object->mode) ? -ENOTDIR : 0;
}

static void moved(struct object *object, struct object *from, struct object *to) {
    if (!S_ISDIR(object->mode))
        return;
    object->parent = to->oid;
    from->nlink--;
    to->nlink++;
}

int tree_rename(struct tree *tree, uint64_t parent, uint32_t id, uint64_t new_parent, uint32_t new_id, unsigned flags,
                uint64_t whiteout) {
    struct object *from, *to;
    bool exchange = flags & RENAME_EXCHANGE;
    if (exchange && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
        return -EINVAL;
    int rc = get_directory(tree, parent, &from);
    if (rc == 0)
        rc = get_directory(tree, new_parent, &to);
    if (rc < 0)
        return rc;
    struct object *object = tree_lookup(tree, from, id), *other = tree_lookup(tree, to, new_id);
    rc = rename_check(tree, from, object, to, other, flags);
    if (rc < 0 || other == object)
        return rc;
    name_remove(from, id);
    if (other)
        name_remove(to, new_id);
    name_add(to, new_id, object->oid);
    moved(object, from, to);
    object->ctime = tree->now;
    changed(tree, object);
    if (exchange) {
        name_add(from, id, other->oid);
        moved(other, to, from);
        other->ctime = tree->now;
        changed(tree, other);
    }
    touch_directory(tree, from);
    touch_directory(tree, to);
    uint32_t uid = object->uid, gid = object->gid;
    if (other && !exchange) {
        if (S_ISDIR(other->mode))
            to->nlink--;
        unlinked(tree, other);
    }
    if (flags & RENAME_WHITEOUT) {
        object = tree_add(tree, whiteout, S_IFCHR);
        object->uid = uid;
        object->gid = gid;
        name_add(tree_find(tree, parent), id, whiteout);
    }
    return 0;
}

/* ---- attributes and content ---- */

uint64_t object_seek(const struct object *object, uint64_t offset, bool hole) {
    while (offset < object->size && object->content->data[offset] == hole)
        offset++;
    return offset;
}

uint64_t object_allocated(const struct object *object) {
    uint64_t allocated = 0;
    if (!object->content)
        return 0;
    for (uint64_t i = 0; i < object->size; i++)
        allocated += object->content->data[i];
    return allocated;
}

static int get_file(struct object *file) {
    if (S_ISDIR(file->mode))
        return -EISDIR;
    if (!S_ISREG(file->mode))
        return -EINVAL;
    return file->untouched ? -ESTALE : 0;
}

static void modified(struct tree *tree, struct object *file, bool keep_times) {
    if (!keep_times)
        file->mtime = file->ctime = tree->now;
    changed(tree, file);
}

static void resize(struct object *file, uint64_t size) {
    struct content *content = own_content(file, size);
    if (size < file->size) {
        memset(content->bytes + size, 0, file->size - size);
        memset(content->data + size, 0, file->size - size);
    }
    file->size = size;
}

/* Makes it no smaller. */
static struct content *extend(struct object *file, uint64_t end) {
    struct content *content = own_content(file, end > file->size ? end : file->size);
    if (end > file->size)
        file->size = end;
    return content;
}

int tree_setattr(struct tree *tree, uint64_t oid, unsigned valid, const struct head_attr *set) {
    struct object *object = tree_find(tree, oid);
    if (object->untouched)
        return -ESTALE;
    if ((valid & HEAD_SET_MODE) && S_ISLNK(object->mode))
        return -EOPNOTSUPP;
    if (valid & HEAD_SET_SIZE) {
        int rc = get_file(object);
        if (rc < 0)
            return rc;
        resize(object, set->size);
        if (!(valid & HEAD_KEEP_TIMES))
            object->mtime = tree->now;
    }
    if (valid & HEAD_SET_MODE) {
        object->mode = (object->mode & S_IFMT) | (set->mode & 07777);
        if (object->access.kind == ACL_EXTENDED) {
            object->access.user = set->mode >> 6 & 7;
            object->access.mask = set->mode >> 3 & 7;
            object->access.other = set->mode & 7;
        }
    }
    if (valid & HEAD_SET_UID)
        object->uid = set->uid;
    if (valid & HEAD_SET_GID)
        object->gid = set->gid;
    if (valid & (HEAD_SET_ATIME | HEAD_SET_ATIME_NOW))
        object->atime = valid & HEAD_SET_ATIME_NOW ? tree->now : set->atime;
    if (valid & (HEAD_SET_MTIME | HEAD_SET_MTIME_NOW))
        object->mtime = valid & HEAD_SET_MTIME_NOW ? tree->now : set->mtime;
    if (valid & HEAD_SET_CTIME)
        object->ctime = set->ctime;
    else if (!(valid & HEAD_KEEP_TIMES))
        object->ctime = tree->now;
    changed(tree, object);
    return 0;
}

int tree_write(struct tree *tree, uint64_t oid, uint64_t offset, size_t size, const uint8_t *bytes, bool keep_times) {
    struct object *file = tree_find(tree, oid);
    if (size == 0)
        return 0;
    int rc = get_file(file);
    if (rc < 0)
        return rc;
    struct content *content = extend(file, offset + size);
    memcpy(content->bytes + offset, bytes, size);
    memset(content->data + offset, 1, size);
    modified(tree, file, keep_times);
    return 0;
}

int tree_fallocate(struct tree *tree, uint64_t oid, int mode, uint64_t offset, uint64_t length, bool keep_times) {
    struct object *file = tree_find(tree, oid);
    bool keep_size = mode & FALLOC_FL_KEEP_SIZE;
    int action = mode & ~FALLOC_FL_KEEP_SIZE;
    if ((action != 0 && action != FALLOC_FL_PUNCH_HOLE && action != FALLOC_FL_ZERO_RANGE) ||
        (action == FALLOC_FL_PUNCH_HOLE && !keep_size))
        return -EOPNOTSUPP;
    if (length == 0)
        return -EINVAL;
    int rc = get_file(file);
    if (rc < 0)
        return rc;
    struct content *content = extend(file, keep_size ? 0 : offset + length);
    if (action && offset < file->size) {
        uint64_t end = offset + length < file->size ? offset + length : file->size;
        memset(content->bytes + offset, 0, end - offset);
        memset(content->data + offset, 0, end - offset);
    }
    modified(tree, file, keep_times);
    return 0;
}

int tree_copy_range(struct tree *tree, const struct object *source, uint64_t offset, uint64_t target, uint64_t to,
                    uint64_t length, bool keep_times, uint64_t *copied) {
    *copied = 0;
    if (length == 0)
        return 0;
    if (!S_ISREG(source->mode))
        return S_ISDIR(source->mode) ? -EISDIR : -EINVAL;
    if (offset >= source->size)
        return 0;
    struct object *file = tree_find(tree, target);
    int rc = get_file(file);
    if (rc < 0)
        return rc;
    if (length > source->size - offset)
        length = source->size - offset;
    struct content *from = source->content;
    from->refs++; /* it may be the same file */
    struct content *content = extend(file, to + length);
    memcpy(content->bytes + to, from->bytes + offset, length);
    memcpy(content->data + to, from->data + offset, length);
    content_release(from);
    modified(tree, file, keep_times);
    *copied = length;
    return 0;
}

/* ---- extended attributes ---- */

static int flags_check(bool set, int flags) {
    return (flags & XATTR_CREATE) && set ? -EEXIST : (flags & XATTR_REPLACE) && !set ? -ENODATA : 0;
}

static void xattrs_changed(struct tree *tree, struct object *object) {
    object->ctime = tree->now;
    changed(tree, object);
}

int tree_setxattr(struct tree *tree, uint64_t oid, unsigned which, uint32_t length, uint32_t seed, int flags) {
    struct object *object = tree_find(tree, oid);
    int rc = object->untouched ? -ESTALE : flags_check(object->xattrs[which].set, flags);
    if (rc < 0)
        return rc;
    object->xattrs[which] = (struct attribute){true, length, seed};
    xattrs_changed(tree, object);
    return 0;
}

int tree_set_acl(struct tree *tree, uint64_t oid, bool inherited, const struct acl *acl, int flags) {
    struct object *object = tree_find(tree, oid);
    struct acl *kept = inherited ? &object->inherited : &object->access;
    int rc = object->untouched ? -ESTALE : flags_check(kept->kind != ACL_NONE, flags);
    if (rc < 0)
        return rc;
    if (inherited && !S_ISDIR(object->mode))
        return -EACCES;
    if (S_ISLNK(object->mode))
        return -EOPNOTSUPP;
    if (!inherited && acl->kind == ACL_NONE)
        return -EINVAL;
    *kept = *acl;
    if (!inherited) {
        object->mode = (object->mode & ~0777U) | acl->user << 6 |
                       (acl->kind == ACL_EXTENDED ? acl->mask : acl->group) << 3 | acl->other;
        if (acl->kind == ACL_MINIMAL)
            *kept = (struct acl){0}; /* the mode says it all */
    }
    xattrs_changed(tree, object);
    return 0;
}

int tree_removexattr(struct tree *tree, uint64_t oid, unsigned which) {
    struct object *object = tree_find(tree, oid);
    if (object->untouched)
        return -ESTALE;
    struct acl *acl = which == XATTRS ? &object->access : &object->inherited;
    if (which < XATTRS ? !object->xattrs[which].set : acl->kind == ACL_NONE)
        return -ENODATA;
    if (which < XATTRS)
        object->xattrs[which] = (struct attribute){0};
    else
        *acl = (struct acl){0};
    xattrs_changed(tree, object);
    return 0;
}
