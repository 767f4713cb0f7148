/* Requests as Linux makes them, one function for each that the driver answers, over tests/fake_kernel.h.
 *
 * Each sends one request and waits: 0 (or what the call gives) or the negative errno of the reply; FAKE_NO_REPLY if there was none, or one that the kernel
 * would not take. They ask as `caller` of struct fake_mount.
 */
#ifndef TIDFS_TESTS_FAKE_REQUESTS_H
#define TIDFS_TESTS_FAKE_REQUESTS_H

#include <sys/types.h>

#include "tests/fake_kernel.h"

struct fake_mount {
    struct fake_kernel *kernel;
    struct fake_caller caller;
};

/* nodeid 0: the driver says that there is no such name, which is 0 here, too. */
int fake_lookup(struct fake_mount *mount, uint64_t parent, const char *name, struct fuse_entry_out *entry);
/* A path of names and slashes; -ENOENT if one does not exist. Holds the last node; those on the way are forgotten. */
int fake_walk(struct fake_mount *mount, uint64_t from, const char *path, uint64_t *node);
/* Have no reply. false: the driver reads no more. */
bool fake_forget(struct fake_mount *mount, uint64_t node, uint64_t count);
bool fake_forget_two(struct fake_mount *mount, uint64_t first, uint64_t second);

int fake_getattr(struct fake_mount *mount, uint64_t node, struct fuse_attr *attr);
int fake_setattr(struct fake_mount *mount, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *attr);
int fake_readlink(struct fake_mount *mount, uint64_t node, char *target, size_t size);
int fake_mknod(struct fake_mount *mount, uint64_t parent, const char *name, uint32_t mode, uint64_t *node);
int fake_mkdir(struct fake_mount *mount, uint64_t parent, const char *name, uint32_t mode, uint64_t *node);
int fake_symlink(struct fake_mount *mount, uint64_t parent, const char *name, const char *target, uint64_t *node);
int fake_link(struct fake_mount *mount, uint64_t node, uint64_t parent, const char *name);
int fake_unlink(struct fake_mount *mount, uint64_t parent, const char *name);
int fake_rmdir(struct fake_mount *mount, uint64_t parent, const char *name);
int fake_rename(struct fake_mount *mount, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
                uint32_t flags);
/* The bytes that were read or written. */
int64_t fake_read(struct fake_mount *mount, uint64_t node, uint64_t offset, void *buffer, size_t size);
int64_t fake_write(struct fake_mount *mount, uint64_t node, uint64_t offset, const void *data, size_t size);
int fake_fsync(struct fake_mount *mount, uint64_t node, bool directory);
int fake_fallocate(struct fake_mount *mount, uint64_t node, int mode, uint64_t offset, uint64_t length);
int64_t fake_copy(struct fake_mount *mount, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
                  uint64_t length);
int64_t fake_lseek(struct fake_mount *mount, uint64_t node, uint64_t offset, int whence);
int fake_statfs(struct fake_mount *mount, uint64_t node, struct fuse_kstatfs *statfs);
int fake_setxattr(struct fake_mount *mount, uint64_t node, const char *name, const void *value, size_t size, int flags);
/* The length of the value or list. size 0: asks for that alone. */
int64_t fake_getxattr(struct fake_mount *mount, uint64_t node, const char *name, void *value, size_t size);
int64_t fake_listxattr(struct fake_mount *mount, uint64_t node, char *list, size_t size);
int fake_removexattr(struct fake_mount *mount, uint64_t node, const char *name);
/* In and out: the same `size` bytes. */
int fake_ioctl(struct fake_mount *mount, uint64_t node, uint32_t command, void *argument, size_t size);

/* Lists a directory whole, with attributes or without, and forgets the nodes. `emit` gets each name; it may be NULL. */
int fake_list(struct fake_mount *mount, uint64_t node, bool plus,
              void (*emit)(void *context, const char *name, const struct fuse_entry_out *entry), void *context);
/* Whether a listing's reply is one: entries whole, names that a directory can hold. Calls `emit` for each. */
bool fake_listing_check(const struct fake_reply *reply, bool plus, uint64_t *last_offset,
                        void (*emit)(void *context, const char *name, const struct fuse_entry_out *entry),
                        void *context);

#endif
