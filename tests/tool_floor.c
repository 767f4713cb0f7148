/* The floor: what the FUSE protocol costs at best, for scripts/bench to measure tidfs against.
 *
 *     tool_floor DIR [COUNTS]
 *
 * Shows an empty filesystem on DIR until it is unmounted, in the foreground. Everything is in memory and gone afterwards. On
 * SIGUSR1 the numbers of requests so far are written to the file COUNTS, as a JSON object, and renamed there when complete.
 *
 * It agrees with the kernel on what tidfs agrees on: mount options, size of requests, threads, timeouts without end, and no OPEN,
 * OPENDIR or CREATE. It deliberately keeps nothing durable, and has no xattrs, no holes, no time beyond the present, and one lock
 * for everything: a request costs a hash table's look and a copy.
 *
 * Invariants: (1) a node is there as long as it has links or lookups. (2) A directory's entries keep their slots, so that a listing goes on
 * where it was whatever is removed meanwhile. (3) Everything in `floor` is under its lock but the counts.
 */
#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fuse_lowlevel.h>

#define FOREVER      1e9
#define REQUEST_SIZE (1U << 20)
#define BACKGROUND   64
#define THREADS_MAX  32
#define THREADS_IDLE 10

#define REQUESTS(_)                                                                                                    \
    _(lookup)                                                                                                          \
    _(forget)                                                                                                          \
    _(getattr)                                                                                                         \
    _(setattr)                                                                                                         \
    _(readlink)                                                                                                        \
    _(mknod)                                                                                                           \
    _(mkdir)                                                                                                           \
    _(unlink)                                                                                                          \
    _(rmdir)                                                                                                           \
    _(symlink)                                                                                                         \
    _(rename)                                                                                                          \
    _(link)                                                                                                            \
    _(open)                                                                                                            \
    _(read)                                                                                                            \
    _(write)                                                                                                           \
    _(fsync)                                                                                                           \
    _(opendir)                                                                                                         \
    _(readdir)                                                                                                         \
    _(readdirplus)                                                                                                     \
    _(statfs)                                                                                                          \
    _(create)                                                                                                          \
    _(getxattr)

#define AS_CONSTANT(name) COUNT_##name,
#define AS_TEXT(name)     #name,
enum { REQUESTS(AS_CONSTANT) COUNTERS };
static const char *const counter_names[] = {REQUESTS(AS_TEXT)};

struct entry {
    struct entry *next; /* of the same hash */
    struct node *parent, *node;
    uint64_t hash;
    size_t slot;
    char name[];
};

struct node {
    struct stat stat; /* st_ino is this node's address */
    uint64_t lookups;
    char *data; /* of a file, or a symlink's target */
    size_t room;
    struct entry **entries; /* of a directory; NULL: a slot that is free for good */
    size_t slots, slots_room, live;
};

struct floor {
    pthread_mutex_t lock;
    struct node root;
    struct entry **table;
    size_t table_size, table_used; /* the size is a power of two */
    _Atomic uint64_t counts[COUNTERS];
};

static struct floor *request(fuse_req_t req, int counter) {
    struct floor *floor = fuse_req_userdata(req);
    atomic_fetch_add_explicit(&floor->counts[counter], 1, memory_order_relaxed);
    return floor;
}

/* ---------------------------------------------------------------- names */

static uint64_t hash_name(const struct node *parent, const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uintptr_t)parent; /* FNV-1a */
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    }
    return hash ^ hash >> 32;
}

/* Where the entry is linked, or would be. */
static struct entry **find(struct floor *floor, const struct node *parent, const char *name) {
    uint64_t hash = hash_name(parent, name);
    struct entry **at = &floor->table[hash & (floor->table_size - 1)];
    while (*at != NULL && ((*at)->hash != hash || (*at)->parent != parent || strcmp((*at)->name, name) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

static bool table_grow(struct floor *floor) {
    size_t size = floor->table_size * 2;
    struct entry **table = calloc(size, sizeof(struct entry *));
    if (table == NULL) {
        return false;
    }
    for (size_t i = 0; i < floor->table_size; i++) {
        for (struct entry *entry = floor->table[i], *next; entry != NULL; entry = next) {
            next = entry->next;
            entry->next = table[entry->hash & (size - 1)];
            table[entry->hash & (size - 1)] = entry;
        }
    }
    free(floor->table);
    floor->table = table;
    floor->table_size = size;
    return true;
}

static void touch(struct node *node, bool content) {
    clock_gettime(CLOCK_REALTIME, &node->stat.st_ctim);
    if (content) {
        node->stat.st_mtim = node->stat.st_ctim;
    }
}

/* Names the node, which counts the link itself. -ENOMEM */
static int add_entry(struct floor *floor, struct node *parent, const char *name, struct node *node) {
    if (floor->table_used >= floor->table_size && !table_grow(floor)) {
        return -ENOMEM;
    }
    if (parent->slots == parent->slots_room) {
        size_t room = parent->slots_room == 0 ? 8 : parent->slots_room * 2;
        struct entry **entries = realloc(parent->entries, room * sizeof(struct entry *));
        if (entries == NULL) {
            return -ENOMEM;
        }
        parent->entries = entries;
        parent->slots_room = room;
    }
    size_t length = strlen(name) + 1;
    struct entry *entry = malloc(sizeof *entry + length);
    if (entry == NULL) {
        return -ENOMEM;
    }
    *entry = (struct entry){
        .parent = parent, .node = node, .hash = hash_name(parent, name), .slot = parent->slots, .next = NULL};
    memcpy(entry->name, name, length);
    entry->next = floor->table[entry->hash & (floor->table_size - 1)];
    floor->table[entry->hash & (floor->table_size - 1)] = entry;
    floor->table_used++;
    parent->entries[parent->slots++] = entry;
    parent->live++;
    if (S_ISDIR(node->stat.st_mode)) {
        parent->stat.st_nlink++;
    }
    touch(parent, true);
    return 0;
}

/* Leaves the node's own links to the caller. */
static void remove_entry(struct floor *floor, struct entry **at) {
    struct entry *entry = *at;
    struct node *parent = entry->parent;
    *at = entry->next;
    floor->table_used--;
    parent->entries[entry->slot] = NULL;
    parent->live--;
    if (S_ISDIR(entry->node->stat.st_mode)) {
        parent->stat.st_nlink--;
    }
    touch(parent, true);
    free(entry);
}

/* ---------------------------------------------------------------- nodes */

static struct node *node_of(struct floor *floor, fuse_ino_t id) {
    return id == FUSE_ROOT_ID ? &floor->root : (struct node *)(uintptr_t)id;
}

static fuse_ino_t id_of(struct floor *floor, const struct node *node) {
    return node == &floor->root ? FUSE_ROOT_ID : (uintptr_t)node;
}

static void node_release(struct floor *floor, struct node *node) {
    if (node->stat.st_nlink == 0 && node->lookups == 0 && node != &floor->root) {
        free(node->data);
        free(node->entries);
        free(node);
    }
}

/* A name of the node is gone. */
static void drop_link(struct floor *floor, struct node *node) {
    node->stat.st_nlink = S_ISDIR(node->stat.st_mode) ? 0 : node->stat.st_nlink - 1;
    touch(node, false);
    node_release(floor, node);
}

static int resize(struct node *node, size_t size) {
    size_t old = (size_t)node->stat.st_size;
    if (size > node->room) {
        size_t room = node->room * 2 > size ? node->room * 2 : size;
        char *data = realloc(node->data, room);
        if (data == NULL) {
            return -ENOSPC;
        }
        node->data = data;
        node->room = room;
    }
    if (size > old) {
        memset(node->data + old, 0, size - old);
    }
    node->stat.st_size = (off_t)size;
    node->stat.st_blocks = (blkcnt_t)((size + 511) / 512);
    return 0;
}

/* Counts a lookup. */
static struct fuse_entry_param entry_of(struct floor *floor, struct node *node) {
    node->lookups++;
    return (struct fuse_entry_param){.ino = id_of(floor, node),
                                     .generation = 1,
                                     .attr = node->stat,
                                     .attr_timeout = FOREVER,
                                     .entry_timeout = FOREVER};
}

static void reply_entry(fuse_req_t req, struct floor *floor, int rc, struct node *node) {
    if (rc != 0) {
        pthread_mutex_unlock(&floor->lock);
        fuse_reply_err(req, -rc);
        return;
    }
    struct fuse_entry_param entry = entry_of(floor, node);
    pthread_mutex_unlock(&floor->lock);
    fuse_reply_entry(req, &entry);
}

static void reply_error(fuse_req_t req, struct floor *floor, int rc) {
    pthread_mutex_unlock(&floor->lock);
    fuse_reply_err(req, -rc);
}

/* ---------------------------------------------------------------- requests on nodes */

static void op_init(void *context, struct fuse_conn_info *conn) {
    (void)context;
    conn->want =
        conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
                         FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_CACHE_SYMLINKS |
                         FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT);
    conn->max_write = REQUEST_SIZE;
    conn->max_background = BACKGROUND;
    conn->congestion_threshold = BACKGROUND * 3 / 4;
    conn->time_gran = 1;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name) {
    struct floor *floor = request(req, COUNT_lookup);
    pthread_mutex_lock(&floor->lock);
    struct entry *entry = *find(floor, node_of(floor, parent), name);
    if (entry != NULL) {
        reply_entry(req, floor, 0, entry->node);
        return;
    }
    pthread_mutex_unlock(&floor->lock);
    fuse_reply_entry(req, &(struct fuse_entry_param){.entry_timeout = FOREVER});
}

static void forget(struct floor *floor, fuse_ino_t id, uint64_t count) {
    struct node *node = node_of(floor, id);
    node->lookups -= count;
    node_release(floor, node);
}

static void op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count) {
    struct floor *floor = request(req, COUNT_forget);
    pthread_mutex_lock(&floor->lock);
    forget(floor, id, count);
    pthread_mutex_unlock(&floor->lock);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets) {
    struct floor *floor = request(req, COUNT_forget);
    pthread_mutex_lock(&floor->lock);
    for (size_t i = 0; i < count; i++) {
        forget(floor, forgets[i].ino, forgets[i].nlookup);
    }
    pthread_mutex_unlock(&floor->lock);
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    (void)file;
    struct floor *floor = request(req, COUNT_getattr);
    pthread_mutex_lock(&floor->lock);
    struct stat stat = node_of(floor, id)->stat;
    pthread_mutex_unlock(&floor->lock);
    fuse_reply_attr(req, &stat, FOREVER);
}

static void op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set, struct fuse_file_info *file) {
    (void)file;
    struct floor *floor = request(req, COUNT_setattr);
    pthread_mutex_lock(&floor->lock);
    struct node *node = node_of(floor, id);
    bool resizes = (to_set & FUSE_SET_ATTR_SIZE) != 0;
    int rc = resizes ? resize(node, (size_t)attr->st_size) : 0;
    if (rc != 0) {
        reply_error(req, floor, rc);
        return;
    }
    touch(node, resizes);
    struct stat *stat = &node->stat;
    stat->st_mode = (to_set & FUSE_SET_ATTR_MODE) != 0 ? attr->st_mode : stat->st_mode;
    stat->st_uid = (to_set & FUSE_SET_ATTR_UID) != 0 ? attr->st_uid : stat->st_uid;
    stat->st_gid = (to_set & FUSE_SET_ATTR_GID) != 0 ? attr->st_gid : stat->st_gid;
    if ((to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) != 0) {
        stat->st_atim = (to_set & FUSE_SET_ATTR_ATIME_NOW) != 0 ? stat->st_ctim : attr->st_atim;
    }
    if ((to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) != 0) {
        stat->st_mtim = (to_set & FUSE_SET_ATTR_MTIME_NOW) != 0 ? stat->st_ctim : attr->st_mtim;
    }
    struct stat reply = *stat;
    pthread_mutex_unlock(&floor->lock);
    fuse_reply_attr(req, &reply, FOREVER);
}

static void op_readlink(fuse_req_t req, fuse_ino_t id) {
    struct floor *floor = request(req, COUNT_readlink);
    fuse_reply_readlink(req, node_of(floor, id)->data); /* it never changes, and the kernel holds the node */
}

static void op_no_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    (void)id;
    (void)file;
    (void)request(req, COUNT_open);
    fuse_reply_err(req, ENOSYS);
}

static void op_no_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file) {
    (void)id;
    (void)file;
    (void)request(req, COUNT_opendir);
    fuse_reply_err(req, ENOSYS);
}

static void op_no_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                         struct fuse_file_info *file) {
    (void)parent;
    (void)name;
    (void)mode;
    (void)file;
    (void)request(req, COUNT_create);
    fuse_reply_err(req, ENOSYS);
}

static void op_no_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size) {
    (void)id;
    (void)name;
    (void)size;
    (void)request(req, COUNT_getxattr);
    fuse_reply_err(req, ENOSYS);
}

static void op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)file;
    struct floor *floor = request(req, COUNT_read);
    pthread_mutex_lock(&floor->lock);
    struct node *node = node_of(floor, id);
    size_t rest = offset < node->stat.st_size ? (size_t)(node->stat.st_size - offset) : 0;
    /* Under the lock, since the bytes move when the file grows; nobody writes while others are measured reading. */
    fuse_reply_buf(req, rest > 0 ? node->data + offset : NULL, size < rest ? size : rest);
    pthread_mutex_unlock(&floor->lock);
}

static void op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *file) {
    (void)file;
    struct floor *floor = request(req, COUNT_write);
    pthread_mutex_lock(&floor->lock);
    struct node *node = node_of(floor, id);
    size_t end = (size_t)offset + size;
    int rc = end > (size_t)node->stat.st_size ? resize(node, end) : 0;
    if (rc == 0) {
        memcpy(node->data + offset, data, size);
        touch(node, true);
    }
    pthread_mutex_unlock(&floor->lock);
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else {
        fuse_reply_write(req, size);
    }
}

static void op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *file) {
    (void)id;
    (void)datasync;
    (void)file;
    (void)request(req, COUNT_fsync);
    fuse_reply_err(req, 0);
}

static void op_statfs(fuse_req_t req, fuse_ino_t id) {
    (void)id;
    (void)request(req, COUNT_statfs);
    struct statvfs space = {.f_bsize = 4096,
                            .f_frsize = 4096,
                            .f_blocks = 1 << 24,
                            .f_bfree = 1 << 24,
                            .f_bavail = 1 << 24,
                            .f_namemax = 255};
    fuse_reply_statfs(req, &space);
}

/* ---------------------------------------------------------------- requests on names */

static void make(fuse_req_t req, struct floor *floor, fuse_ino_t parent_id, const char *name, mode_t mode, dev_t rdev,
                 const char *target) {
    const struct fuse_ctx *context = fuse_req_ctx(req);
    pthread_mutex_lock(&floor->lock);
    struct node *parent = node_of(floor, parent_id);
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL || (target != NULL && (node->data = strdup(target)) == NULL)) {
        free(node);
        reply_error(req, floor, -ENOMEM);
        return;
    }
    node->stat = (struct stat){.st_ino = (uintptr_t)node,
                               .st_mode = mode,
                               .st_nlink = S_ISDIR(mode) ? 2 : 1,
                               .st_uid = context->uid,
                               .st_gid = context->gid,
                               .st_rdev = rdev,
                               .st_size = target != NULL ? (off_t)strlen(target) : 0,
                               .st_blksize = 65536};
    touch(node, true);
    node->stat.st_atim = node->stat.st_mtim;
    int rc = *find(floor, parent, name) != NULL ? -EEXIST : add_entry(floor, parent, name, node);
    if (rc != 0) {
        free(node->data);
        free(node);
    }
    reply_entry(req, floor, rc, node);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev) {
    make(req, request(req, COUNT_mknod), parent, name, mode, rdev, NULL);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode) {
    make(req, request(req, COUNT_mkdir), parent, name, S_IFDIR | mode, 0, NULL);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name) {
    make(req, request(req, COUNT_symlink), parent, name, S_IFLNK | 0777, 0, target);
}

static void op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent_id, const char *name) {
    struct floor *floor = request(req, COUNT_link);
    pthread_mutex_lock(&floor->lock);
    struct node *node = node_of(floor, id), *parent = node_of(floor, parent_id);
    int rc = *find(floor, parent, name) != NULL ? -EEXIST : add_entry(floor, parent, name, node);
    if (rc == 0) {
        node->stat.st_nlink++;
        touch(node, false);
    }
    reply_entry(req, floor, rc, node);
}

static void remove_name(fuse_req_t req, struct floor *floor, fuse_ino_t parent, const char *name) {
    pthread_mutex_lock(&floor->lock);
    struct entry **at = find(floor, node_of(floor, parent), name);
    struct node *node = *at != NULL ? (*at)->node : NULL;
    int rc = node == NULL ? -ENOENT : node->live > 0 ? -ENOTEMPTY : 0;
    if (rc == 0) {
        remove_entry(floor, at);
        drop_link(floor, node);
    }
    reply_error(req, floor, rc);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name) {
    remove_name(req, request(req, COUNT_unlink), parent, name);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name) {
    remove_name(req, request(req, COUNT_rmdir), parent, name);
}

static int rename_entry(struct floor *floor, struct node *parent, const char *name, struct node *new_parent,
                        const char *new_name, unsigned flags) {
    struct entry *from = *find(floor, parent, name), *over = *find(floor, new_parent, new_name);
    if (from == NULL) {
        return -ENOENT;
    }
    if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0) {
        return -EINVAL;
    }
    struct node *node = from->node, *replaced = over != NULL ? over->node : NULL;
    if (replaced == node) {
        return 0;
    }
    if (replaced != NULL && ((flags & RENAME_NOREPLACE) != 0 || replaced->live > 0)) {
        return replaced->live > 0 ? -ENOTEMPTY : -EEXIST;
    }
    int rc = add_entry(floor, new_parent, new_name, node);
    if (rc != 0) {
        return rc;
    }
    if (over != NULL) {
        /* The new entry, of the same name, was put before it. */
        struct entry **at = find(floor, new_parent, new_name);
        while (*at != over) {
            at = &(*at)->next;
        }
        remove_entry(floor, at);
        drop_link(floor, replaced);
    }
    struct entry **at = find(floor, parent, name);
    remove_entry(floor, at);
    touch(node, false);
    return 0;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned flags) {
    struct floor *floor = request(req, COUNT_rename);
    pthread_mutex_lock(&floor->lock);
    int rc = rename_entry(floor, node_of(floor, parent), name, node_of(floor, new_parent), new_name, flags);
    reply_error(req, floor, rc);
}

/* ---------------------------------------------------------------- listing */

/* Offsets: 1 and 2 come after "." and "..", slot + 3 after an entry. */
static void list(fuse_req_t req, struct floor *floor, fuse_ino_t id, size_t size, off_t offset, bool plus) {
    char *buffer = malloc(size);
    if (buffer == NULL) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    pthread_mutex_lock(&floor->lock);
    const struct node *directory = node_of(floor, id);
    size_t used = 0;
    for (size_t at = (size_t)offset; at < directory->slots + 2; at++) {
        const struct entry *named = at >= 2 ? directory->entries[at - 2] : NULL;
        if (at >= 2 && named == NULL) {
            continue;
        }
        struct fuse_entry_param entry = {.attr = named != NULL ? named->node->stat : directory->stat};
        const char *name = named != NULL ? named->name : at == 0 ? "." : "..";
        if (plus && named != NULL) {
            entry = entry_of(floor, named->node);
        }
        size_t needed = plus ? fuse_add_direntry_plus(req, buffer + used, size - used, name, &entry, (off_t)at + 1)
                             : fuse_add_direntry(req, buffer + used, size - used, name, &entry.attr, (off_t)at + 1);
        if (needed > size - used) {
            if (plus && named != NULL) {
                named->node->lookups--;
            }
            break;
        }
        used += needed;
    }
    pthread_mutex_unlock(&floor->lock);
    fuse_reply_buf(req, buffer, used);
    free(buffer);
}

static void op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)file;
    list(req, request(req, COUNT_readdir), id, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file) {
    (void)file;
    list(req, request(req, COUNT_readdirplus), id, size, offset, true);
}

static const struct fuse_lowlevel_ops operations = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_no_open,
    .read = op_read,
    .write = op_write,
    .fsync = op_fsync,
    .opendir = op_no_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .fsyncdir = op_fsync,
    .statfs = op_statfs,
    .create = op_no_create,
    .getxattr = op_no_getxattr,
};

/* ---------------------------------------------------------------- counting */

struct reporter {
    struct floor *floor;
    const char *file;
    sigset_t signals;
};

static void write_counts(const struct reporter *reporter) {
    char *unfinished = NULL;
    if (asprintf(&unfinished, "%s.new", reporter->file) < 0) {
        return;
    }
    FILE *out = fopen(unfinished, "we");
    bool written = out != NULL;
    for (int i = 0; written && i < COUNTERS; i++) {
        written =
            fprintf(out, "%s\"%s\": %llu%s", i == 0 ? "{" : ", ", counter_names[i],
                    (unsigned long long)atomic_load(&reporter->floor->counts[i]), i == COUNTERS - 1 ? "}\n" : "") > 0;
    }
    if (out != NULL && fclose(out) != 0) {
        written = false;
    }
    if (!written || rename(unfinished, reporter->file) != 0) {
        perror(reporter->file);
    }
    free(unfinished);
}

/* A thread of its own, ended with the process. */
static void *report(void *context) {
    struct reporter *reporter = context;
    int signal_number;
    while (sigwait(&reporter->signals, &signal_number) == 0) {
        write_counts(reporter);
    }
    return NULL;
}

static int start_reporter(struct reporter *reporter) {
    pthread_t thread;
    sigemptyset(&reporter->signals);
    sigaddset(&reporter->signals, SIGUSR1);
    int rc = pthread_sigmask(SIG_BLOCK, &reporter->signals, NULL);
    return rc != 0 || reporter->file == NULL ? rc : pthread_create(&thread, NULL, report, reporter);
}

/* ---------------------------------------------------------------- mounting */

static int serve(struct floor *floor, const char *directory) {
    int rc = 1;
    char *arguments[] = {(char *)"tool_floor", (char *)"-o", (char *)"fsname=floor,subtype=floor,default_permissions",
                         NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, arguments);
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, floor);
    if (config == NULL || session == NULL || fuse_session_mount(session, directory) != 0) {
        goto out;
    }
    fuse_loop_cfg_set_idle_threads(config, THREADS_IDLE);
    fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
    fuse_loop_cfg_set_clone_fd(config, 0);
    if (fuse_set_signal_handlers(session) == 0) {
        rc = fuse_session_loop_mt(session, config) >= 0 ? 0 : 1;
        fuse_remove_signal_handlers(session);
    }
    fuse_session_unmount(session);
out:
    if (session != NULL) {
        fuse_session_destroy(session);
    }
    if (config != NULL) {
        fuse_loop_cfg_destroy(config);
    }
    fuse_opt_free_args(&args);
    return rc;
}

int main(int argc, char **argv) {
    static struct floor floor = {.lock = PTHREAD_MUTEX_INITIALIZER, .table_size = 1 << 16};
    if (argc < 2 || argc > 3) {
        (void)fputs("usage: tool_floor DIR [COUNTS]\n", stderr);
        return 2;
    }
    struct reporter reporter = {.floor = &floor, .file = argc == 3 ? argv[2] : NULL};
    floor.table = calloc(floor.table_size, sizeof(struct entry *));
    if (floor.table == NULL || start_reporter(&reporter) != 0) {
        perror("tool_floor");
        return 1;
    }
    floor.root.stat = (struct stat){
        .st_ino = FUSE_ROOT_ID, .st_mode = S_IFDIR | 0755, .st_nlink = 2, .st_uid = getuid(), .st_gid = getgid()};
    floor.root.lookups = 1;
    touch(&floor.root, true);
    return serve(&floor, argv[1]);
}
