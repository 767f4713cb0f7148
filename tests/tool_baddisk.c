/* A disk that goes bad on command: what is below MOUNTPOINT is what is in DIR, but for the calls that are told to fail.
 *
 *   tool_baddisk DIR MOUNTPOINT     in the background once it is mounted; ends when it is unmounted
 *
 * It is told by lines written to MOUNTPOINT/.rules:
 *   fail OPS GLOB ERROR [range FROM TO] [after N] [times N]
 *       calls for files of that name fail: OPS is `all` or some of read, write, fsync, open, create, truncate, fallocate, rename, unlink, mkdir, statfs,
 *       access, with commas; ERROR is EIO, ENOSPC, EDQUOT, EROFS, ENOMEM, EACCES, EINTR, or `short MOST`, for reads and writes of no more than MOST bytes
 *       at a time. range: if they touch bytes [FROM, TO) of the file, as bad sectors would. after: the first N go well. times: only N fail.
 *   left BYTES [ERROR [hidden]]     so much is left of the disk (ERROR: for what does not fit, ENOSPC if not said; hidden: statfs does not tell, as with a
 *                                   quota); removing gives back. `left off`: enough
 *   clear                           no rule holds any more, and there is room
 *   count                           counting begins anew
 *   track                           from now on what was written is on the disk when an fsync said so and not before; an fsync that fails loses it for good,
 *                                   unless it is written again, though reading still shows it, as Linux does
 *   forget                          the page cache forgets what was lost: reading shows what the disk has
 *   powercut                        that, and what no fsync has put on the disk either
 * Reading .rules gives the counts of calls. After each line the kernel is made to forget what it knows of all files but SQLite's shared memory, so that
 * the next read comes here.
 *
 * Names are counted by the length of files in pages of 4 KiB, directories and holes as well. A store has few files, so a node lives as long as the mount.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/baddisk.h"

#define RULES_NAME ".rules"
#define LASTING    3600.0 /* s: nobody else changes DIR */

struct node {
    struct node *next;
    struct stat identity; /* st_dev, st_ino */
    int fd;               /* O_PATH */
    struct pages *pages;
    char name[256]; /* the last one that led here */
};

struct disk {
    struct fuse_session *session;
    struct rules *rules;
    pthread_mutex_t names;   /* the list of nodes, and their names */
    pthread_mutex_t lengths; /* from before a file's length is looked at until it is changed */
    struct node *nodes;
    struct node root, control;
};

static struct disk *disk_of(fuse_req_t req) {
    return fuse_req_userdata(req);
}

static struct node *node_of(fuse_req_t req, fuse_ino_t id) {
    return id == FUSE_ROOT_ID ? &disk_of(req)->root
                              : (struct node *)(uintptr_t)id; /* an id that this process gave out */
}

/* ---- failing ---- */

static int decide(fuse_req_t req, enum baddisk_op op, const char *name) {
    return rules_decide(disk_of(req)->rules, op, name, 0, NULL);
}

static int decide_node(fuse_req_t req, enum baddisk_op op, struct node *node, uint64_t offset, size_t *size) {
    struct disk *disk = disk_of(req);
    char name[sizeof node->name];
    (void)pthread_mutex_lock(&disk->names);
    strcpy(name, node->name);
    (void)pthread_mutex_unlock(&disk->names);
    return rules_decide(disk->rules, op, name, offset, size);
}

static uint64_t whole_pages(uint64_t bytes) {
    return (bytes + BADDISK_PAGE - 1) / BADDISK_PAGE * BADDISK_PAGE;
}

/* Room for the file to reach `end`. *end becomes less if there is not enough. Lengths held. */
static int take_room(struct disk *disk, int fd, uint64_t offset, uint64_t *end) {
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    uint64_t now = whole_pages((uint64_t)status.st_size), then = whole_pages(*end);
    if (then <= now)
        return 0;
    int64_t got = rules_take_space(disk->rules, then - now);
    if (got < 0 && offset < now)
        got = 0;
    if (got < 0)
        return (int)got;
    if ((uint64_t)got == then - now)
        return 0;
    if (now + (uint64_t)got <= offset) {
        rules_give_space(disk->rules, (uint64_t)got);
        return -ENOSPC;
    }
    *end = now + (uint64_t)got;
    return 0;
}

/* ---- nodes ---- */

static char *proc_path(const struct node *node, char path[32]) {
    (void)snprintf(path, 32, "/proc/self/fd/%d", node->fd);
    return path;
}

static struct node *find_node(struct disk *disk, const struct stat *status, const char *name) {
    (void)pthread_mutex_lock(&disk->names);
    struct node *node = disk->nodes;
    while (node && (node->identity.st_ino != status->st_ino || node->identity.st_dev != status->st_dev))
        node = node->next;
    if (node)
        (void)snprintf(node->name, sizeof node->name, "%s", name);
    (void)pthread_mutex_unlock(&disk->names);
    return node;
}

static int lookup(struct disk *disk, const struct node *parent, const char *name, struct fuse_entry_param *entry) {
    *entry = (struct fuse_entry_param){.attr_timeout = LASTING, .entry_timeout = LASTING};
    int fd = openat(parent->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &entry->attr) < 0) {
        (void)close(fd);
        return -EIO;
    }
    struct node *node = find_node(disk, &entry->attr, name);
    if (node) {
        (void)close(fd);
    } else {
        node = calloc(1, sizeof *node);
        struct pages *pages = pages_new();
        if (!node || !pages) {
            (void)close(fd);
            free(node);
            pages_free(pages);
            return -ENOMEM;
        }
        node->fd = fd;
        node->identity = entry->attr;
        node->pages = pages;
        (void)snprintf(node->name, sizeof node->name, "%s", name);
        (void)pthread_mutex_lock(&disk->names);
        node->next = disk->nodes;
        disk->nodes = node;
        (void)pthread_mutex_unlock(&disk->names);
    }
    entry->ino = (fuse_ino_t)(uintptr_t)node;
    return 0;
}

static void free_nodes(struct disk *disk) {
    while (disk->nodes) {
        struct node *node = disk->nodes;
        disk->nodes = node->next;
        pages_free(node->pages);
        (void)close(node->fd);
        free(node);
    }
}

static void reply_entry(fuse_req_t req, int rc, const struct fuse_entry_param *entry) {
    if (rc < 0)
        (void)fuse_reply_err(req, -rc);
    else
        (void)fuse_reply_entry(req, entry);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct disk *disk = disk_of(req);
    struct fuse_entry_param entry;
    if (parent == FUSE_ROOT_ID && strcmp(name, RULES_NAME) == 0) {
        entry = (struct fuse_entry_param){.ino = (fuse_ino_t)(uintptr_t)&disk->control, .attr_timeout = LASTING};
        entry.attr.st_mode = S_IFREG | 0600;
        entry.attr.st_nlink = 1;
        (void)fuse_reply_entry(req, &entry);
        return;
    }
    reply_entry(req, lookup(disk, node_of(req, parent), name, &entry), &entry);
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count) {
    (void)id;
    (void)count;
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    struct disk *disk = disk_of(req);
    const struct node *node = node_of(req, id);
    struct stat status = {.st_mode = S_IFREG | 0600, .st_nlink = 1};
    (void)file;
    if (node != &disk->control && fstat(node->fd, &status) < 0)
        (void)fuse_reply_err(req, errno);
    else
        (void)fuse_reply_attr(req, &status, LASTING);
}

static int set_length(fuse_req_t req, struct node *node, uint64_t size) {
    struct disk *disk = disk_of(req);
    struct stat before;
    char path[32];
    int rc = decide_node(req, BADDISK_TRUNCATE, node, size, NULL);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&disk->lengths);
    if (fstat(node->fd, &before) < 0 || truncate(proc_path(node, path), (off_t)size) < 0)
        rc = -errno;
    /* Making a file longer takes no room: that is a hole, and counted when it is given back. */
    if (rc == 0 && size < (uint64_t)before.st_size)
        rules_give_space(disk->rules, whole_pages((uint64_t)before.st_size) - whole_pages(size));
    if (rc == 0)
        pages_cut(node->pages, size);
    (void)pthread_mutex_unlock(&disk->lengths);
    return rc;
}

static int set_attributes(fuse_req_t req, struct node *node, const struct stat *set, int what) {
    char path[32];
    (void)proc_path(node, path);
    if (what & FUSE_SET_ATTR_MODE && chmod(path, set->st_mode & 07777) < 0)
        return -errno;
    if (what & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
        uid_t uid = what & FUSE_SET_ATTR_UID ? set->st_uid : (uid_t)-1;
        gid_t gid = what & FUSE_SET_ATTR_GID ? set->st_gid : (gid_t)-1;
        if (fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH) < 0)
            return -errno;
    }
    if (what & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) {
        struct timespec times[2] = {set->st_atim, set->st_mtim};
        if (!(what & FUSE_SET_ATTR_ATIME))
            times[0].tv_nsec = UTIME_OMIT;
        if (!(what & FUSE_SET_ATTR_MTIME))
            times[1].tv_nsec = UTIME_OMIT;
        if (what & FUSE_SET_ATTR_ATIME_NOW)
            times[0].tv_nsec = UTIME_NOW;
        if (what & FUSE_SET_ATTR_MTIME_NOW)
            times[1].tv_nsec = UTIME_NOW;
        if (utimensat(AT_FDCWD, path, times, 0) < 0)
            return -errno;
    }
    return what & FUSE_SET_ATTR_SIZE ? set_length(req, node, (uint64_t)set->st_size) : 0;
}

static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *set, int what, struct fuse_file_info *file) {
    struct node *node = node_of(req, id);
    int rc = node == &disk_of(req)->control ? 0 : set_attributes(req, node, set, what);
    if (rc < 0)
        (void)fuse_reply_err(req, -rc);
    else
        op_getattr(req, id, file);
}

/* ---- names ---- */

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
    const struct node *node = node_of(req, parent);
    struct fuse_entry_param entry;
    int rc = decide(req, BADDISK_MKDIR, name);
    if (rc == 0 && rules_take_space(disk_of(req)->rules, BADDISK_PAGE) < BADDISK_PAGE)
        rc = -ENOSPC;
    if (rc == 0 && mkdirat(node->fd, name, mode) < 0)
        rc = -errno;
    if (rc == 0)
        rc = lookup(disk_of(req), node, name, &entry);
    reply_entry(req, rc, &entry);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file) {
    const struct node *node = node_of(req, parent);
    struct fuse_entry_param entry;
    int fd = -1, rc = decide(req, BADDISK_CREATE, name);
    if (rc == 0) {
        fd = openat(node->fd, name, O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC | (file->flags & O_EXCL), mode);
        rc = fd < 0 ? -errno : lookup(disk_of(req), node, name, &entry);
    }
    if (rc < 0) {
        if (fd >= 0)
            (void)close(fd);
        (void)fuse_reply_err(req, -rc);
        return;
    }
    file->fh = (uint64_t)fd;
    file->keep_cache = 1;
    if (fuse_reply_create(req, &entry, file) != 0)
        (void)close(fd);
}

static int remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, int flags) {
    struct disk *disk = disk_of(req);
    const struct node *node = node_of(req, parent);
    struct stat status;
    int rc = decide(req, BADDISK_UNLINK, name);
    if (rc < 0)
        return rc;
    if (fstatat(node->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || unlinkat(node->fd, name, flags) < 0)
        return -errno;
    rules_give_space(disk->rules, flags & AT_REMOVEDIR ? BADDISK_PAGE : whole_pages((uint64_t)status.st_size));
    return 0;
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
    (void)fuse_reply_err(req, -remove_name(req, parent, name, 0));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) {
    (void)fuse_reply_err(req, -remove_name(req, parent, name, AT_REMOVEDIR));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned flags) {
    const struct node *from = node_of(req, parent), *to = node_of(req, new_parent);
    struct stat status;
    int rc = flags ? -EINVAL : decide(req, BADDISK_RENAME, name);
    if (rc == 0 && renameat(from->fd, name, to->fd, new_name) < 0)
        rc = -errno;
    if (rc == 0 && fstatat(to->fd, new_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        (void)find_node(disk_of(req), &status, new_name);
    (void)fuse_reply_err(req, -rc);
}

static void op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    int fd = openat(node_of(req, id)->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (!stream) {
        (void)fuse_reply_err(req, errno);
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    file->fh = (uint64_t)(uintptr_t)stream;
    if (fuse_reply_open(req, file) != 0)
        (void)closedir(stream);
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
    DIR *stream = (DIR *)(uintptr_t)file->fh; /* set by op_opendir */
    char buffer[4096];
    size_t used = 0, room = size < sizeof buffer ? size : sizeof buffer;
    (void)id;
    seekdir(stream, offset);
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream)) {
        struct stat status = {.st_ino = entry->d_ino, .st_mode = (mode_t)entry->d_type << 12};
        size_t length = fuse_add_direntry(req, buffer + used, room - used, entry->d_name, &status, telldir(stream));
        if (length > room - used)
            break;
        used += length;
    }
    (void)fuse_reply_buf(req, buffer, used);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    (void)id;
    (void)closedir((DIR *)(uintptr_t)file->fh);
    (void)fuse_reply_err(req, 0);
}

static void op_access(fuse_req_t req, fuse_ino_t id, int mask) {
    struct node *node = node_of(req, id);
    char path[32];
    int rc = mask & W_OK ? decide_node(req, BADDISK_ACCESS, node, 0, NULL) : 0;
    if (rc == 0 && access(proc_path(node, path), mask) < 0)
        rc = -errno;
    (void)fuse_reply_err(req, -rc);
}

static void op_statfs(fuse_req_t req, fuse_ino_t id) {
    struct disk *disk = disk_of(req);
    struct statvfs status;
    uint64_t left;
    (void)id;
    int rc = decide(req, BADDISK_STATFS, "");
    if (rc == 0 && fstatvfs(disk->root.fd, &status) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)fuse_reply_err(req, -rc);
        return;
    }
    if (rules_space(disk->rules, &left)) {
        status.f_frsize = status.f_bsize = BADDISK_PAGE;
        status.f_bfree = status.f_bavail = left / BADDISK_PAGE;
    }
    (void)fuse_reply_statfs(req, &status);
}

/* ---- contents ---- */

static void op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    struct node *node = node_of(req, id);
    char path[32];
    if (node == &disk_of(req)->control) {
        file->direct_io = 1;
        (void)fuse_reply_open(req, file);
        return;
    }
    bool writes = (file->flags & O_ACCMODE) != O_RDONLY;
    int rc = decide_node(req, BADDISK_OPEN, node, 0, NULL);
    int fd = rc < 0 ? -1 : open(proc_path(node, path), (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (rc == 0 && fd < 0)
        rc = -errno;
    if (rc < 0) {
        (void)fuse_reply_err(req, -rc);
        return;
    }
    file->fh = (uint64_t)fd;
    file->keep_cache = 1;
    if (fuse_reply_open(req, file) != 0)
        (void)close(fd);
}

static void op_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    if (node_of(req, id) != &disk_of(req)->control)
        (void)close((int)file->fh);
    (void)fuse_reply_err(req, 0);
}

static void report(fuse_req_t req, size_t size, off_t offset) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    rules_report(disk_of(req)->rules, out);
    if (fclose(out) != 0)
        (void)fuse_reply_err(req, ENOMEM);
    else if ((size_t)offset >= length)
        (void)fuse_reply_buf(req, NULL, 0);
    else
        (void)fuse_reply_buf(req, text + offset, length - (size_t)offset < size ? length - (size_t)offset : size);
    free(text);
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
    struct node *node = node_of(req, id);
    if (node == &disk_of(req)->control) {
        report(req, size, offset);
        return;
    }
    int rc = decide_node(req, BADDISK_READ, node, (uint64_t)offset, &size);
    char *buffer = rc < 0 ? NULL : malloc(size);
    if (rc == 0 && !buffer)
        rc = -ENOMEM;
    ssize_t got = rc < 0 ? rc : pread((int)file->fh, buffer, size, offset);
    if (got < 0)
        (void)fuse_reply_err(req, rc < 0 ? -rc : errno);
    else
        (void)fuse_reply_buf(req, buffer, (size_t)got);
    free(buffer);
}

static int write_file(fuse_req_t req, struct node *node, int fd, const char *data, size_t *size, uint64_t offset) {
    struct disk *disk = disk_of(req);
    int rc = decide_node(req, BADDISK_WRITE, node, offset, size);
    if (rc < 0)
        return rc;
    uint64_t end = offset + *size;
    (void)pthread_mutex_lock(&disk->lengths);
    rc = take_room(disk, fd, offset, &end);
    *size = (size_t)(end - offset);
    if (rc == 0 && rules_track(disk->rules))
        rc = pages_before_write(node->pages, fd, offset, *size);
    ssize_t written = rc < 0 ? rc : pwrite(fd, data, *size, (off_t)offset);
    if (rc == 0 && written < 0)
        rc = -errno;
    (void)pthread_mutex_unlock(&disk->lengths);
    *size = written < 0 ? 0 : (size_t)written;
    return rc;
}

/* The kernel forgets all pages: here, and not later, so that the next read comes here. Requests that it needs for that are answered by other threads. */
static void drop_caches(struct disk *disk) {
    (void)pthread_mutex_lock(&disk->names);
    struct node *node = disk->nodes;
    (void)pthread_mutex_unlock(&disk->names);
    for (; node; node = node->next) /* new ones come before this one; none goes */
        if (!strstr(node->name, "-shm"))
            (void)fuse_lowlevel_notify_inval_inode(disk->session, (fuse_ino_t)(uintptr_t)node, 0, 0);
}

static int forget(struct disk *disk, bool all) {
    int rc = 0;
    (void)pthread_mutex_lock(&disk->names);
    for (struct node *node = disk->nodes; node && rc == 0; node = node->next) {
        char path[32];
        if (!S_ISREG(node->identity.st_mode))
            continue;
        int fd = open(proc_path(node, path), O_RDWR | O_CLOEXEC);
        rc = fd < 0 ? -errno : pages_forget(node->pages, fd, all);
        if (fd >= 0)
            (void)close(fd);
    }
    (void)pthread_mutex_unlock(&disk->names);
    return rc;
}

static int obey(struct disk *disk, const char *data, size_t size) {
    char *copy = strndup(data, size), *rest = NULL;
    int rc = copy ? 0 : -ENOMEM;
    for (char *line = copy ? strtok_r(copy, "\n", &rest) : NULL; line && rc == 0; line = strtok_r(NULL, "\n", &rest)) {
        if (strcmp(line, "forget") == 0 || strcmp(line, "powercut") == 0)
            rc = forget(disk, *line == 'p');
        else
            rc = rules_obey(disk->rules, line);
    }
    free(copy);
    drop_caches(disk);
    return rc;
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *file) {
    struct disk *disk = disk_of(req);
    struct node *node = node_of(req, id);
    int rc = node == &disk->control ? obey(disk, data, size)
                                    : write_file(req, node, (int)file->fh, data, &size, (uint64_t)offset);
    if (rc < 0)
        (void)fuse_reply_err(req, -rc);
    else
        (void)fuse_reply_write(req, size);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
                         struct fuse_file_info *file) {
    struct disk *disk = disk_of(req);
    uint64_t end = (uint64_t)offset + (uint64_t)length, wanted = end;
    int rc = mode ? -EOPNOTSUPP : decide_node(req, BADDISK_FALLOCATE, node_of(req, id), 0, NULL);
    (void)pthread_mutex_lock(&disk->lengths);
    if (rc == 0)
        rc = take_room(disk, (int)file->fh, (uint64_t)offset, &end);
    if (rc == 0 && end < wanted)
        rc = -ENOSPC; /* the room stays taken: a disk may do so, too */
    if (rc == 0 && fallocate((int)file->fh, 0, offset, length) < 0)
        rc = -errno;
    (void)pthread_mutex_unlock(&disk->lengths);
    (void)fuse_reply_err(req, -rc);
}

static void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *file) {
    struct node *node = node_of(req, id);
    (void)datasync;
    (void)file;
    int rc = decide_node(req, BADDISK_FSYNC, node, 0, NULL);
    pages_synced(node->pages, rc < 0);
    (void)fuse_reply_err(req, -rc);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *file) {
    (void)datasync;
    (void)file;
    (void)fuse_reply_err(req, -decide_node(req, BADDISK_FSYNC, node_of(req, id), 0, NULL));
}

/* ---- running ---- */

static void op_init(void *context, struct fuse_conn_info *connection) {
    (void)context;
    /* Truncation is to be a request of its own, and pages of shared memory are to stay. */
    connection->want &= ~(unsigned)(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA);
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .mkdir = op_mkdir,
    .create = op_create,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .rename = op_rename,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .releasedir = op_releasedir,
    .access = op_access,
    .statfs = op_statfs,
    .open = op_open,
    .release = op_release,
    .read = op_read,
    .write = op_write,
    .fallocate = op_fallocate,
    .fsync = op_fsync,
    .fsyncdir = op_fsyncdir,
};

static int serve(struct disk *disk, char *program, const char *point) {
    char option[] = "-ofsname=baddisk,subtype=baddisk";
    char *arguments[] = {program, option, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(2, arguments);
    int rc = -1;
    disk->session = fuse_session_new(&args, &operations, sizeof operations, disk);
    if (!disk->session)
        return -1;
    if (fuse_session_mount(disk->session, point) == 0) {
        struct fuse_loop_config *config = fuse_loop_cfg_create();
        /* The working directory is the test's own, and the parent waits for this. */
        if (config && fuse_set_signal_handlers(disk->session) == 0 && fuse_daemonize(0) == 0) {
            rc = fuse_session_loop_mt(disk->session, config);
            fuse_remove_signal_handlers(disk->session);
        }
        if (config)
            fuse_loop_cfg_destroy(config);
        fuse_session_unmount(disk->session);
    }
    fuse_session_destroy(disk->session);
    fuse_opt_free_args(&args);
    return rc;
}

int main(int argc, char **argv) {
    struct disk disk = {.root = {.name = "."}, .control = {.name = RULES_NAME}};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: tool_baddisk DIR MOUNTPOINT\n");
        return 2;
    }
    umask(0);
    disk.root.fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (disk.root.fd < 0) {
        perror(argv[1]);
        return 1;
    }
    disk.rules = rules_new();
    disk.root.pages = pages_new();
    int rc = -1;
    if (disk.rules && disk.root.pages && pthread_mutex_init(&disk.names, NULL) == 0 &&
        pthread_mutex_init(&disk.lengths, NULL) == 0)
        rc = serve(&disk, argv[0], argv[2]);
    free_nodes(&disk);
    pages_free(disk.root.pages);
    rules_free(disk.rules);
    (void)close(disk.root.fd);
    return rc < 0 ? 1 : 0;
}
