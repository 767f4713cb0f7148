/* The writable present: /head of a mount that writes its store. Nothing else can be changed, so every changing request is here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/driver_private.h"

/* A program that asks st_blksize how much to write at a time (stdio does) makes that many bytes one request. */
#define HEAD_BLOCK_SIZE 65536

static void head_stat_set(const struct head_attr *attr, struct stat *stat) {
    *stat = (struct stat){
        .st_ino = attr->oid,
        .st_mode = attr->mode,
        .st_nlink = attr->nlink,
        .st_uid = attr->uid,
        .st_gid = attr->gid,
        .st_rdev = attr->rdev,
        .st_size = (off_t)attr->size,
        .st_blksize = S_ISREG(attr->mode) ? HEAD_BLOCK_SIZE : BLOCK_SIZE,
        .st_blocks = (blkcnt_t)((attr->allocated + 511) / 512),
        .st_atim = attr->atime,
        .st_mtim = attr->mtime,
        .st_ctim = attr->ctime,
    };
}

/* This process is the only writer, and all its changes come through this kernel: it may remember all it sees. */
void head_entry_set(const struct head_attr *attr, struct fuse_entry_param *entry) {
    *entry = (struct fuse_entry_param){
        .ino = HEAD_BIT | attr->oid, .generation = 1, .attr_timeout = FOREVER, .entry_timeout = FOREVER};
    head_stat_set(attr, &entry->attr);
}

int head_node_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                     struct fuse_entry_param *entry) {
    struct head_attr attr;
    int rc = head_lookup(driver->head, directory->oid, name, length, &attr);
    if (rc == 0) {
        head_entry_set(&attr, entry);
    } else if (rc == -ENOENT) {
        *entry = (struct fuse_entry_param){.entry_timeout = FOREVER};
        rc = 0;
    }
    return rc;
}

int head_node_getattr(struct driver *driver, const struct node *node, struct stat *stat) {
    struct head_attr attr;
    int rc = head_getattr(driver->head, node->oid, &attr);
    if (rc == 0) {
        head_stat_set(&attr, stat);
    }
    return rc;
}

/* Who makes a change. Of pages that the kernel writes back (and of a process that is not in sight from here) it tells no process, and uid 0. */
static uint32_t changer(fuse_req_t req) {
    const struct fuse_ctx *context = fuse_req_ctx(req);
    return context->pid != 0 ? context->uid : HEAD_NOBODY;
}

/* The object of the head that a change is for. -EROFS if it is for anything else: this is all that keeps history from being
 * written, since the kernel knows no read-only part of a mount, and checks modes alone. */
static int writable(fuse_req_t req, struct driver *driver, fuse_ino_t id, uint64_t *oid) {
    struct node node;
    int rc = driver_node(driver, id, &node);
    if (rc == 0 && (node.kind != NODE_HEAD || driver->head == NULL)) {
        rc = -EROFS;
    }
    if (rc == 0 && driver->shared) {
        head_act_as(driver->head, changer(req));
    }
    *oid = rc == 0 ? node.oid : 0;
    return rc;
}

static void reply_made(fuse_req_t req, struct driver *driver, int rc, const struct head_attr *attr) {
    if (rc != 0) {
        fuse_reply_err(req, -rc);
        return;
    }
    struct fuse_entry_param entry;
    head_entry_set(attr, &entry);
    if (fuse_reply_entry(req, &entry) != 0) {
        driver_forget(driver, entry.ino, 1);
    }
}

/* ---- making ---- */

static void make(fuse_req_t req, struct driver *driver, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev,
                 const char *target) {
    const struct fuse_ctx *context = fuse_req_ctx(req);
    struct head_caller caller = {.uid = context->uid, .gid = context->gid, .umask = context->umask};
    struct head_attr attr;
    uint64_t oid;
    int rc = writable(req, driver, parent, &oid);
    if (rc == 0) {
        mode &= (mode_t)(S_IFMT | 07777);
        rc = head_make(driver->head, oid, name, strlen(name), mode, rdev, target, &caller, &attr);
    }
    reply_made(req, driver, rc, &attr);
}

void driver_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev) {
    struct driver *driver = driver_request(req, REQUEST_MKNOD);
    if (S_ISREG(mode) || S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode)) {
        make(req, driver, parent, name, mode, rdev, NULL);
    } else {
        fuse_reply_err(req, EINVAL);
    }
}

void driver_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
    make(req, driver_request(req, REQUEST_MKDIR), parent, name, S_IFDIR | (mode & ~(mode_t)S_IFMT), 0, NULL);
}

void driver_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name) {
    make(req, driver_request(req, REQUEST_SYMLINK), parent, name, S_IFLNK | 0777, 0, target);
}

/* A link from history into the head would be a link between filesystems. */
void driver_op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name) {
    struct driver *driver = driver_request(req, REQUEST_LINK);
    struct head_attr attr;
    uint64_t oid, directory;
    int rc = writable(req, driver, parent, &directory);
    if (rc == 0) {
        rc = writable(req, driver, id, &oid);
        rc = rc == -EROFS ? -EXDEV : rc;
    }
    if (rc == 0) {
        rc = head_link(driver->head, oid, directory, name, strlen(name), &attr);
    }
    reply_made(req, driver, rc, &attr);
}

/* ---- removing and renaming ---- */

void driver_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct driver *driver = driver_request(req, REQUEST_UNLINK);
    uint64_t directory;
    int rc = writable(req, driver, parent, &directory);
    if (rc == 0) {
        rc = head_unlink(driver->head, directory, name, strlen(name));
    }
    fuse_reply_err(req, -rc);
}

void driver_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct driver *driver = driver_request(req, REQUEST_RMDIR);
    uint64_t directory;
    int rc = writable(req, driver, parent, &directory);
    if (rc == 0) {
        rc = head_rmdir(driver->head, directory, name, strlen(name));
    }
    fuse_reply_err(req, -rc);
}

void driver_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned flags) {
    struct driver *driver = driver_request(req, REQUEST_RENAME);
    uint64_t from, to;
    int rc = writable(req, driver, new_parent, &to);
    if (rc == 0) {
        rc = writable(req, driver, parent, &from);
        rc = rc == -EROFS ? -EXDEV : rc;
    }
    if (rc == 0) {
        rc = head_rename(driver->head, from, name, strlen(name), to, new_name, strlen(new_name), flags);
    }
    fuse_reply_err(req, -rc);
}

/* ---- attributes and content ---- */

/* Whether the caller is in a group: of what it is in besides its own the kernel does not tell us; /proc does, if it shows the caller. (libfuse
 * 3.14 has fuse_req_getgroups for this, which reads past the end of its buffer.) */
static bool caller_in_group(fuse_req_t req, gid_t gid) {
    static const char prefix[] = "Groups:";
    const struct fuse_ctx *caller = fuse_req_ctx(req);
    char path[32], *line = NULL;
    size_t size = 0;
    if (caller->uid == 0 || caller->gid == gid) {
        return true;
    }
    (void)snprintf(path, sizeof path, "/proc/%ld/status", (long)caller->pid);
    FILE *status = fopen(path, "re");
    if (status == NULL) {
        return false;
    }
    bool in = false;
    while (getline(&line, &size, status) > 0) {
        if (strncmp(line, prefix, sizeof prefix - 1) != 0) {
            continue;
        }
        char *at = line + sizeof prefix - 1, *end;
        for (unsigned long group = strtoul(at, &end, 10); end != at && !in; group = strtoul(at, &end, 10)) {
            in = group == gid;
            at = end;
        }
        break;
    }
    free(line);
    (void)fclose(status);
    return in;
}

/* Whether a change takes an object's setgid bit, because its group is not one of the caller's; *attr is then what it is without the bit. */
static bool loses_setgid(fuse_req_t req, struct head *head, uint64_t oid, struct head_attr *attr) {
    if (fuse_req_ctx(req)->uid == 0 || head_getattr(head, oid, attr) != 0 || (attr->mode & S_ISGID) == 0 ||
        caller_in_group(req, attr->gid)) {
        return false;
    }
    attr->mode &= ~(uint32_t)S_ISGID;
    return true;
}

/* Whether a change of a file's data or owner takes its setuid or setgid bit; *attr is then what it is without them. `take`: the bits of a program go,
 * as on other filesystems; where the kernel does not leave that to us it has seen to it. A setgid bit that the group may not execute by is not a
 * program's, and goes where the caller is not in the group. */
static bool loses_privileges(fuse_req_t req, struct head *head, uint64_t oid, bool take, struct head_attr *attr) {
    if (!take && fuse_req_ctx(req)->uid == 0) {
        return false;
    }
    if (head_getattr(head, oid, attr) != 0 || S_ISDIR(attr->mode) || S_ISLNK(attr->mode) ||
        (attr->mode & (S_ISUID | S_ISGID)) == 0) {
        return false;
    }
    uint32_t before = attr->mode;
    if (take) {
        attr->mode &= ~(uint32_t)(before & S_IXGRP ? S_ISUID | S_ISGID : S_ISUID);
    }
    if ((before & S_ISGID) && (before & S_IXGRP) == 0 && !caller_in_group(req, attr->gid)) {
        attr->mode &= ~(uint32_t)S_ISGID;
    }
    return attr->mode != before;
}

/* Before data changes: a moment without the bits harms nobody. */
static int drop_privileges(fuse_req_t req, struct driver *driver, fuse_ino_t id, uint64_t oid, bool take) {
    struct head_attr attr;
    if (!loses_privileges(req, driver->head, oid, take, &attr)) {
        return 0;
    }
    int rc = head_setattr(driver->head, oid, HEAD_SET_MODE, &attr, &attr);
    if (rc == 0) {
        driver_attributes_changed(driver, id);
    }
    return rc;
}

/* For a change of data that comes without word of the caller's privilege. */
static bool takes_privileges(fuse_req_t req, const struct driver *driver) {
    return driver->drops_privileges && fuse_req_ctx(req)->uid != 0;
}

static unsigned setattr_bits(int to_set) {
    static const struct {
        int fuse;
        unsigned head;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, HEAD_SET_MODE},
        {FUSE_SET_ATTR_UID, HEAD_SET_UID},
        {FUSE_SET_ATTR_GID, HEAD_SET_GID},
        {FUSE_SET_ATTR_SIZE, HEAD_SET_SIZE},
        {FUSE_SET_ATTR_ATIME, HEAD_SET_ATIME},
        {FUSE_SET_ATTR_MTIME, HEAD_SET_MTIME},
        {FUSE_SET_ATTR_CTIME, HEAD_SET_CTIME},
        {FUSE_SET_ATTR_ATIME_NOW, HEAD_SET_ATIME_NOW},
        {FUSE_SET_ATTR_MTIME_NOW, HEAD_SET_MTIME_NOW},
    };
    unsigned valid = 0;
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        valid |= to_set & bits[i].fuse ? bits[i].head : 0;
    }
    return valid;
}

/* Times that the kernel kept while a file was written, and now sends as root, from a thread of its own. When the program that wrote
 * the file closes it, they come in its name. */
static bool written_back(const struct driver *driver, fuse_req_t req, int to_set) {
    const int times = FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_CTIME;
    return driver->write_back && fuse_req_ctx(req)->uid == 0 && to_set == times;
}

static bool is_time(struct timespec time) {
    return time.tv_nsec >= 0 && time.tv_nsec < 1000000000;
}

/* What the kernel sees to in utimensat(2) and truncate(2). */
static bool can_be_set(const struct stat *attr, int to_set) {
    return (!(to_set & FUSE_SET_ATTR_SIZE) || attr->st_size >= 0) &&
           (!(to_set & FUSE_SET_ATTR_ATIME) || is_time(attr->st_atim)) &&
           (!(to_set & FUSE_SET_ATTR_MTIME) || is_time(attr->st_mtim)) &&
           (!(to_set & FUSE_SET_ATTR_CTIME) || is_time(attr->st_ctim));
}

/* A chown(2) to -1 and -1 changes nothing and takes the bits all the same. It comes as a request that sets nothing, or ctime alone. */
static bool changes_owner(int to_set) {
    return (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) != 0 || (to_set & ~FUSE_SET_ATTR_CTIME) == 0;
}

void driver_op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set, struct fuse_file_info *file) {
    struct driver *driver = driver_request(req, REQUEST_SETATTR);
    struct head_attr set = {.mode = attr->st_mode,
                            .uid = attr->st_uid,
                            .gid = attr->st_gid,
                            .size = (uint64_t)attr->st_size,
                            .atime = attr->st_atim,
                            .mtime = attr->st_mtim,
                            .ctime = attr->st_ctim};
    struct head_attr now;
    uint64_t oid;
    unsigned valid = setattr_bits(to_set);
    /* With a write-back cache the kernel keeps a file's times itself, and says when they change. */
    if (driver->write_back && (to_set & FUSE_SET_ATTR_SIZE)) {
        valid |= HEAD_KEEP_TIMES;
    }
    int rc = writable(req, driver, id, &oid);
    if (rc == 0 && !can_be_set(attr, to_set)) {
        rc = -EINVAL;
    }
    if (rc == 0 && driver->shared && written_back(driver, req, to_set)) {
        head_act_as(driver->head, HEAD_NOBODY);
    }
    struct head_attr without;
    bool owner = changes_owner(to_set);
    bool take = (owner && driver->drops_privileges) || (file != NULL && file->fh == WIRE_DROP_PRIVILEGES);
    if (rc == 0 && (owner || (to_set & FUSE_SET_ATTR_SIZE)) &&
        loses_privileges(req, driver->head, oid, take, &without)) {
        set.mode = valid & HEAD_SET_MODE ? set.mode & (without.mode | ~(uint32_t)(S_ISUID | S_ISGID)) : without.mode;
        valid |= HEAD_SET_MODE;
    }
    if (rc == 0) {
        rc = head_setattr(driver->head, oid, valid, &set, &now);
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
        return;
    }
    struct stat stat;
    head_stat_set(&now, &stat);
    fuse_reply_attr(req, &stat, FOREVER);
}

void driver_op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *file) {
    struct driver *driver = driver_request(req, REQUEST_WRITE);
    uint64_t oid;
    int64_t written = writable(req, driver, id, &oid);
    if (written == -EROFS && file->writepage) {
        /* Written through a shared mapping, which the kernel lets whoever may write the file by its mode have: its pages
         * now differ from what they show. */
        housekeeping_drop_pages(driver, id);
    } else if (written == 0) {
        written = drop_privileges(req, driver, id, oid, file->fh == WIRE_DROP_PRIVILEGES);
    }
    if (written == 0) {
        written = head_write(driver->head, oid, (uint64_t)offset, size, (const uint8_t *)data, driver->write_back);
    }
    if (written < 0) {
        fuse_reply_err(req, (int)-written);
    } else {
        fuse_reply_write(req, (size_t)written);
    }
    if (written > 0 && driver->write_back) {
        driver_attributes_changed(driver, id);
    }
}

void driver_op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
                         struct fuse_file_info *file) {
    (void)file;
    struct driver *driver = driver_request(req, REQUEST_FALLOCATE);
    uint64_t oid;
    int rc = writable(req, driver, id, &oid);
    if (rc == 0) {
        rc = drop_privileges(req, driver, id, oid, takes_privileges(req, driver));
    }
    if (rc == 0) {
        rc = head_fallocate(driver->head, oid, mode, (uint64_t)offset, (uint64_t)length, driver->write_back);
    }
    fuse_reply_err(req, -rc);
}

/* What a reply can tell (32 bits), down to a whole number of chunks: so the rest of a long copy begins at one, too. */
#define COPY_MAX (UINT64_C(0x100000000) - CHUNK_BYTES)

void driver_op_copy_file_range(fuse_req_t req, fuse_ino_t source, off_t source_offset,
                               struct fuse_file_info *source_file, fuse_ino_t target, off_t target_offset,
                               struct fuse_file_info *target_file, size_t length, int flags) {
    (void)source_file;
    (void)target_file;
    struct driver *driver = driver_request(req, REQUEST_COPY_RANGE);
    struct node from = {.kind = NODE_TOP};
    uint64_t to, oid = 0, before = 0, copied = 0;
    int rc = flags != 0 ? -EINVAL : writable(req, driver, target, &to);
    if (rc == 0) {
        rc = driver_node(driver, source, &from);
    }
    if (rc == 0 && from.kind == NODE_FILE) {
        rc = view_file_source(driver->store, from.revision, &oid, &before);
    } else if (rc == 0 && from.kind == NODE_HEAD) {
        oid = from.oid;
    } else if (rc == 0) {
        rc = -EXDEV; /* README: the kernel copies it by reading */
    }
    if (rc == 0) {
        rc = drop_privileges(req, driver, target, to, takes_privileges(req, driver));
    }
    if (rc == 0) {
        rc = head_copy_range(driver->head, oid, before, (uint64_t)source_offset, to, (uint64_t)target_offset,
                             length < COPY_MAX ? length : COPY_MAX, driver->write_back, &copied);
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else {
        fuse_reply_write(req, (size_t)copied);
    }
}

/* ---- attributes with names ---- */

/* Who gives a file an access ACL takes its setgid bit like who changes its mode. There the kernel sees to it; here it would only tell, in a way that
 * libfuse does not pass on. Before the ACL is set, as above. */
static int drop_setgid(fuse_req_t req, struct head *head, uint64_t oid) {
    struct head_attr attr;
    return loses_setgid(req, head, oid, &attr) ? head_setattr(head, oid, HEAD_SET_MODE, &attr, &attr) : 0;
}

void driver_op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value, size_t size, int flags) {
    struct driver *driver = driver_request(req, REQUEST_SETXATTR);
    uint64_t oid;
    int rc = writable(req, driver, id, &oid);
    if (rc == 0) {
        rc = xattr_check_name(name);
    }
    if (rc == 0 && strcmp(name, "system.posix_acl_access") == 0) {
        rc = drop_setgid(req, driver->head, oid);
    }
    if (rc == 0) {
        rc = head_setxattr(driver->head, oid, name, value, size, flags);
    }
    fuse_reply_err(req, -rc);
}

void driver_op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name) {
    struct driver *driver = driver_request(req, REQUEST_REMOVEXATTR);
    uint64_t oid;
    int rc = writable(req, driver, id, &oid);
    if (rc == 0) {
        rc = xattr_check_name(name);
    }
    if (rc == 0) {
        rc = head_removexattr(driver->head, oid, name);
    }
    /* An ACL is always there, if only as the mode: other filesystems remove what there is beyond that. */
    if (rc == -ENODATA && strncmp(name, "system.posix_acl_", 17) == 0) {
        rc = 0;
    }
    fuse_reply_err(req, -rc);
}
