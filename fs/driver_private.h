/* Inside the driver: shared by fs/driver_*.c only.
 *
 * Node ids. Nearly everything that the kernel can name is named by its id alone, so that there is nothing to keep and nothing to forget:
 *
 *     1                  the mount's root          (NODE_TOP, or a NODE_DIRECTORY when a view is the root)
 *     2, 3, 4, 5         /README, /at, /before, /versions
 *     1 << 60 | oid      an object of the head     forgotten by head_forget on a writable mount
 *     2 << 60 | n        the node table            a directory of a view or below /versions, or a symlink for a name that moves
 *     1 << 62 | revision a version of a file       no state: the same in every view that shows it
 *
 * st_ino: an object of the head has its oid; history has view_attr.ino; what the driver makes up itself is at FIXED_INO.
 *
 * Timeouts: FOREVER wherever nothing but the kernel's own requests can change what was answered, and the kernel knows by itself what those change
 * beside their target (Linux invalidates the parent's attributes after creating and removing, the target's ctime and link count after link, unlink and
 * rename, and size and times after writing). See fs/DRIVER.md for the list.
 *
 * Locks: none of the driver's is held while another is taken, while calling into store/ or history/, or while notifying the kernel.
 * Errors: 0 or a negative errno inside; made positive where a request is answered.
 */
#ifndef TIDFS_FS_DRIVER_PRIVATE_H
#define TIDFS_FS_DRIVER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include <fuse_lowlevel.h>

#include "fs/control.h"
#include "fs/driver.h"
#include "fs/driver_nodes.h"
#include "history/resolve.h"
#include "history/restore.h"
#include "history/view.h"
#include "store/head.h"

#define README_ID   2
#define AT_ID       3
#define BEFORE_ID   4
#define VERSIONS_ID 5
#define HEAD_BIT    (UINT64_C(1) << 60)
#define FILE_BIT    (UINT64_C(1) << 62)
#define FIXED_INO   (UINT64_C(7) << 60)
#define FOREVER     1e9               /* seconds */
#define BUFFER_SIZE ((size_t)1 << 20) /* the largest read and write that the kernel sends */
#define BLOCK_SIZE  4096

enum request {
    REQUEST_LOOKUP,
    REQUEST_FORGET,
    REQUEST_GETATTR,
    REQUEST_SETATTR,
    REQUEST_READLINK,
    REQUEST_MKNOD,
    REQUEST_MKDIR,
    REQUEST_UNLINK,
    REQUEST_RMDIR,
    REQUEST_SYMLINK,
    REQUEST_RENAME,
    REQUEST_LINK,
    REQUEST_OPEN,
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_FSYNC,
    REQUEST_OPENDIR,
    REQUEST_READDIR,
    REQUEST_READDIRPLUS,
    REQUEST_FSYNCDIR,
    REQUEST_STATFS,
    REQUEST_SETXATTR,
    REQUEST_GETXATTR,
    REQUEST_LISTXATTR,
    REQUEST_REMOVEXATTR,
    REQUEST_FALLOCATE,
    REQUEST_COPY_RANGE,
    REQUEST_LSEEK,
    REQUEST_IOCTL,
    REQUEST_KINDS
};

struct buffers;
struct housekeeping;

/* The view that is the mount's root, with at=. Changes only with follow. */
struct root_view {
    pthread_mutex_t lock;
    uint64_t before, table; /* lock; `table`: the root's id in the node table, held by the driver */
    uint64_t tid;           /* lock */
};

#define ORDERS_MAX 8
/* Orders to revert or undo that are being sent (driver_restore.c). */
struct orders {
    pthread_mutex_t lock; /* what follows */
    uint64_t last_id;
    struct order {
        uint64_t id; /* 0: free */
        uid_t uid;   /* of who began it */
        uint64_t touched_ns;
        uint8_t *block;
        size_t length, capacity;
    } items[ORDERS_MAX];
};

#define KNOWN_USERS_MAX 16
/* Names that were looked up for transactions. Of who commits: one thread at a time. */
struct known_users {
    struct known_user {
        uid_t uid;
        char name[HEAD_USER_SIZE];
    } users[KNOWN_USERS_MAX];
    size_t count, next;
};

struct driver {
    struct log *log;
    struct store *store;
    struct head *head; /* NULL: read-only */
    struct view_pool *pool;
    struct node_table *nodes;
    struct buffers *buffers;
    struct housekeeping *housekeeping;
    struct fuse_session *session;
    char *mount_point;
    char *subdir;               /* "": all of the tree; no slashes around it */
    char *tag;                  /* follow: the tag whose view is the root; else NULL */
    uint64_t head_root;         /* the object shown as /head */
    atomic_int refresh_failure; /* of the last look, which is told once */
    uint64_t poll_ns;           /* how often to look for another process's commits and tags; 0: never */
    bool single_view;           /* at=: the root is a view */
    bool shared;                /* allow_other */
    bool write_back;            /* the kernel gathers writes, and keeps the times of what it wrote */
    bool stateless;             /* the kernel does without open and opendir */
    bool drops_privileges;      /* the kernel leaves dropping setuid and setgid bits to us */
    uint64_t
        init_unique; /* the request that has not been answered yet by which both agree on what they can; 0: it has */
    struct root_view root;
    uid_t uid;
    gid_t gid;
    mode_t names_mode; /* of /at, /before and /versions */
    struct timespec started;
    dev_t store_device; /* of the database, as it was opened */
    ino_t store_inode;
    struct orders orders;
    char owner[HEAD_USER_SIZE]; /* name of `uid` */
    struct known_users known_users;
    void (*ready)(void *context);
    void *ready_context;
    _Atomic uint64_t requests[REQUEST_KINDS];
    _Atomic int
        refused; /* why what is pending could not be sealed for who asked for the present, when it was last told; 0: it could */
};

enum node_kind {
    NODE_TOP,
    NODE_README,
    NODE_AT,
    NODE_BEFORE,
    NODE_VERSIONS,
    NODE_HEAD,
    NODE_DIRECTORY,
    NODE_FILE,
    NODE_SYMLINK
};

/* What a node id says. */
struct node {
    enum node_kind kind;
    uint64_t id;
    uint64_t oid;          /* NODE_HEAD, NODE_DIRECTORY */
    uint64_t revision;     /* NODE_FILE */
    uint64_t before;       /* NODE_DIRECTORY */
    uint64_t table;        /* NODE_DIRECTORY: id in the node table, which `id` is not for the mount's root */
    uint64_t tid;          /* NODE_SYMLINK */
    enum node_place place; /* NODE_DIRECTORY, NODE_SYMLINK */
    bool root;             /* NODE_DIRECTORY: what its view's name leads to */
    bool moves;            /* NODE_DIRECTORY: its names may lead elsewhere later (the root with follow) */
};

/* ---- driver_wire.c ---- */

/* Stands between libfuse and the kernel: after the session is mounted, before it runs. 0 or a negative errno. */
int driver_wire(struct driver *driver);
/* The file handle of a write or setattr request whose caller may not keep a file's setuid and setgid bits. */
#define WIRE_DROP_PRIVILEGES UINT64_MAX

/* ---- driver_node.c ---- */

/* Counts the request; the driver that it is for. */
struct driver *driver_request(fuse_req_t req, enum request kind);
/* -ESTALE if there is no such node. */
int driver_node(struct driver *driver, fuse_ino_t id, struct node *node);
int driver_getattr(struct driver *driver, const struct node *node, struct stat *stat, double *timeout);
/* The entry of the node itself, counting a lookup. */
int driver_entry(struct driver *driver, const struct node *node, struct fuse_entry_param *entry);
/* The object that holds a directory of the head or of a view. -ENOTDIR for other nodes. */
int driver_parent(struct driver *driver, const struct node *node, uint64_t *oid);
/* Takes back the lookups of an entry or node that the kernel did not get to know. */
void driver_forget(struct driver *driver, fuse_ino_t id, uint64_t count);
/* A view for the time of one request, given back by view_pool_done. */
int driver_view(struct driver *driver, uint64_t before, struct view **view);
void driver_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void driver_op_forget(fuse_req_t req, fuse_ino_t id, uint64_t count);
void driver_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void driver_op_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void driver_op_readlink(fuse_req_t req, fuse_ino_t id);
void driver_op_statfs(fuse_req_t req, fuse_ino_t id);

/* ---- driver_head.c: the writable present, and every request that changes something ---- */

void head_entry_set(const struct head_attr *attr, struct fuse_entry_param *entry);
/* entry->ino 0: no such name, and the kernel may remember that for entry->entry_timeout. As all of the lookups below. */
int head_node_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                     struct fuse_entry_param *entry);
int head_node_getattr(struct driver *driver, const struct node *node, struct stat *stat);
void driver_op_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set, struct fuse_file_info *file);
void driver_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void driver_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void driver_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void driver_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void driver_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void driver_op_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name);
void driver_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                      unsigned flags);
void driver_op_write(fuse_req_t req, fuse_ino_t id, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *file);
void driver_op_fallocate(fuse_req_t req, fuse_ino_t id, int mode, off_t offset, off_t length,
                         struct fuse_file_info *file);
void driver_op_copy_file_range(fuse_req_t req, fuse_ino_t source, off_t source_offset,
                               struct fuse_file_info *source_file, fuse_ino_t target, off_t target_offset,
                               struct fuse_file_info *target_file, size_t length, int flags);
void driver_op_setxattr(fuse_req_t req, fuse_ino_t id, const char *name, const char *value, size_t size, int flags);
void driver_op_removexattr(fuse_req_t req, fuse_ino_t id, const char *name);

/* ---- driver_present.c: the present of a store that is mounted read-only, which another process may move ---- */

#define PRESENT_SECONDS 1.0 /* how long the kernel may go on with what it knows */
/* Entries and attributes of history as they are shown in the present. */
void present_entry_set(const struct view_attr *attr, struct fuse_entry_param *entry);
int present_view(struct driver *driver, struct view **view);
int present_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                   struct fuse_entry_param *entry);
int present_getattr(struct driver *driver, uint64_t oid, struct view_attr *attr);
/* Looks for commits of other processes; the housekeeper tells the kernel what they changed. Nothing to do on a writable mount. */
void present_refresh(struct driver *driver);

/* ---- driver_view.c: directories of views and versions of files ---- */

int view_node_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                     struct fuse_entry_param *entry);
int view_node_getattr(struct driver *driver, const struct node *node, struct stat *stat);
/* The entry of something in `directory`, counting a lookup if it is a directory. */
int view_entry_set(struct driver *driver, const struct node *directory, const struct view_attr *attr,
                   struct fuse_entry_param *entry);
/* With at=: the root as it is now; moves it first if the tag that it follows has moved. */
int driver_root_node(struct driver *driver, struct node *node);
/* Makes the view `before` the mount's root. *moved (may be NULL): it was not before. */
int driver_root_set(struct driver *driver, uint64_t before, uint64_t tid, bool *moved);
/* Follows the tag, if there is one: *moved tells whether the root is another one now. */
int driver_root_follow(struct driver *driver, bool *moved);

/* ---- driver_names.c: the root, /README, /at, /before, symlinks for names that move ---- */

int names_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                 struct fuse_entry_param *entry);
void names_getattr(struct driver *driver, const struct node *node, struct stat *stat);
/* The names in /at from position `from` on, 0 the first. Stops when emit returns false. */
int names_list(struct driver *driver, const struct node *directory, uint64_t from,
               bool (*emit)(void *context, const char *name, uint32_t type, uint64_t ino, uint64_t position),
               void *context);
const char *names_readme(size_t *length);
/* What a <when> in a path means, with everything written before the question in the store. 0 or a negative errno. */
int names_resolve(struct driver *driver, const char *name, size_t length, enum resolve_how how,
                  struct resolved *resolved);
/* The symlink in `place` that leads to a transaction, counting a lookup. */
int names_symlink(struct driver *driver, enum node_place place, uint64_t tid, struct fuse_entry_param *entry);

/* ---- driver_versions.c: /versions and what is below it, which are all NODE_VERSIONS; what is at the bottom is a NODE_FILE ---- */

#define VERSION_NAME_SIZE 32 /* with the NUL */
/* The name of the version that transaction `tid` made. Returns its length. */
size_t versions_name(uint64_t tid, char name[VERSION_NAME_SIZE]);
int versions_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                    struct fuse_entry_param *entry);
int versions_getattr(struct driver *driver, const struct node *node, struct stat *stat);
/* The directory above, counting a lookup. */
int versions_parent(struct driver *driver, const struct node *node, struct fuse_entry_param *entry);
/* The versions of transactions <= last, newest first; `position` is the seq. Stops when emit returns false. */
int versions_list(struct driver *driver, const struct node *directory, uint64_t last,
                  bool (*emit)(void *context, const char *name, const struct fuse_entry_param *entry,
                               uint64_t position),
                  void *context);

/* ---- driver_list.c ---- */

void driver_op_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void driver_op_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);

/* ---- driver_xattr.c ---- */

/* 0 if an object can have an attribute of that name, else what a local filesystem says. */
int xattr_check_name(const char *name);
void driver_op_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size);
void driver_op_listxattr(fuse_req_t req, fuse_ino_t id, size_t size);

/* ---- driver_io.c ---- */

/* With a write-back cache the kernel keeps a file's attributes while it writes, also st_blocks, which only the store knows: it asks for them anew after
 * this. With attributes alone it takes no lock that a request may hold. But it may let go of the inode, and wait for its pages then; so inside a request
 * that is answered already, or that a program with the file open waits for. */
void driver_attributes_changed(struct driver *driver, fuse_ino_t id);
void driver_op_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void driver_op_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file);
void driver_op_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, struct fuse_file_info *file);
void driver_op_fsync(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *file);
void driver_op_fsyncdir(fuse_req_t req, fuse_ino_t id, int datasync, struct fuse_file_info *file);

/* ---- driver_seek.c ---- */

/* A question about a file of the writable head that has to wait for write-back. */
struct seek {
    struct seek *next;
    fuse_req_t req;
    uint64_t oid, offset;
    int whence;
};
void driver_op_lseek(fuse_req_t req, fuse_ino_t id, off_t offset, int whence, struct fuse_file_info *file);
/* Answers it and frees it. flush: makes the kernel write back first; not inside a request. */
void seek_finish(struct driver *driver, struct seek *seek, bool flush);

/* ---- driver_control.c ---- */

/* The login name of a user, or the number if it has none: then false. May take long: it asks whatever the host gets its users from. */
bool driver_user_name(uid_t uid, char *name, size_t size);
/* The same, remembered, for head_options; context: the driver. */
void driver_name_changer(void *context, uint32_t uid, char name[HEAD_USER_SIZE]);

void driver_op_ioctl(fuse_req_t req, fuse_ino_t id, unsigned command, void *argument, struct fuse_file_info *file,
                     unsigned flags, const void *in, size_t in_size, size_t out_size);

/* ---- driver_threads.c ---- */

/* So that threads can be cancelled later, whatever memory is left then. Blocked signals stay so in what it starts. STORE_NO_MEMORY. */
int driver_threads_prepare(struct error *err);

/* ---- driver_permission.c ---- */

/* 0 if who asks may have the writable mount commit: its owner, root, and who may make files in its /head. Else -EACCES, or why that cannot be known. */
int driver_may_commit(struct driver *driver, fuse_req_t req);

/* ---- driver_restore.c ---- */

/* What was carried out, until the kernel knows. */
struct restored {
    struct restored *next;
    fuse_req_t req;
    struct control_restore_run answer;
    struct restore_touched touched;
};
int orders_init(struct orders *orders);
void orders_release(struct orders *orders);
void control_restore_piece(fuse_req_t req, struct driver *driver, const void *in);
void control_restore_run(fuse_req_t req, struct driver *driver, const void *in);
/* Answers it and frees it. notify: makes the kernel forget first what is not so any more; not inside a request. */
void restored_finish(struct driver *driver, struct restored *restored, bool notify);

/* ---- driver_statistics.c ---- */

/* The name of a kind of request, as CONTROL_STATUS reports it. */
const char *request_name(enum request kind);

/* ---- driver_buffers.c: memory for replies, kept between requests ---- */

struct buffers *buffers_new(void);
void buffers_free(struct buffers *buffers);
/* At least `size` bytes, or NULL. Back with buffers_give, with the same size. */
void *buffers_take(struct buffers *buffers, size_t size);
void buffers_give(struct buffers *buffers, void *buffer, size_t size);

/* ---- driver_housekeeping.c: one thread for everything that must not run inside a request ---- */

/* Starts it. SIGTERM, SIGINT and SIGHUP must be blocked in all threads: they are read here. `main` runs the session's loop. */
int housekeeping_start(struct driver *driver, pthread_t main);
/* The session's loop has ended: stops it and waits. */
void housekeeping_stop(struct driver *driver);
/* A view was used: it will be idle from now on, and due to be dropped some time. */
void housekeeping_view_used(struct driver *driver);
/* A listing that may change without the kernel's knowledge was read; the kernel keeps listings, so it must drop this one. */
void housekeeping_listed(struct driver *driver, fuse_ino_t id);
/* The kernel's pages of a node are wrong. */
void housekeeping_drop_pages(struct driver *driver, fuse_ino_t id);
/* Has the question answered. Takes it over. */
void housekeeping_seek(struct driver *driver, struct seek *seek);
/* Has it answered when the kernel knows. Takes it over. */
void housekeeping_restored(struct driver *driver, struct restored *restored);
/* These objects of the head changed. Takes over `oids`. */
void housekeeping_changed(struct driver *driver, uint64_t *oids, size_t count);

#endif
