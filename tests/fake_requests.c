#include "tests/fake_requests.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART(value)                                                                                                    \
    { &(value), sizeof(value) }

/* Without what it is followed by. */
static int ask(struct fake_mount *mount, struct fake_request *request, struct fake_reply *reply) {
    request->caller = mount->caller;
    return fake_kernel_ask(mount->kernel, request, reply);
}

/* A reply of exactly this size, copied to `out` (NULL: it is of no interest). */
static int ask_for(struct fake_mount *mount, struct fake_request *request, void *out, size_t size) {
    struct fake_reply reply;
    int rc = ask(mount, request, &reply);
    bool possible = rc == 0 ? reply.length == size : rc < 0 && rc >= -4095 && reply.length == 0;
    if (!possible) {
        rc = FAKE_NO_REPLY;
    } else if (rc == 0 && out != NULL) {
        memcpy(out, reply.data, size);
    }
    fake_reply_release(&reply);
    return rc;
}

/* A reply of at most this size, as read(2) gives it. */
static int64_t ask_for_bytes(struct fake_mount *mount, struct fake_request *request, void *out, size_t size) {
    struct fake_reply reply;
    int64_t rc = ask(mount, request, &reply);
    if (rc == 0 && reply.length > size) {
        rc = FAKE_NO_REPLY;
    } else if (rc == 0) {
        memcpy(out, reply.data, reply.length);
        rc = (int64_t)reply.length;
    }
    fake_reply_release(&reply);
    return rc;
}

static int ask_for_entry(struct fake_mount *mount, struct fake_request *request, uint64_t *node) {
    struct fuse_entry_out entry;
    int rc = ask_for(mount, request, &entry, sizeof entry);
    if (rc == 0 && entry.nodeid == 0) {
        rc = FAKE_NO_REPLY;
    }
    if (rc == 0) {
        *node = entry.nodeid;
    }
    return rc;
}

/* ---- names ---- */

int fake_lookup(struct fake_mount *mount, uint64_t parent, const char *name, struct fuse_entry_out *entry) {
    struct fake_request request = {.opcode = FUSE_LOOKUP, .node = parent, .parts = {{name, strlen(name) + 1}}};
    return ask_for(mount, &request, entry, sizeof *entry);
}

int fake_walk(struct fake_mount *mount, uint64_t from, const char *path, uint64_t *node) {
    char name[256];
    struct fuse_entry_out entry = {.nodeid = from};
    for (bool first = true; *path != '\0'; first = false) {
        size_t length = strcspn(path, "/");
        uint64_t parent = entry.nodeid;
        (void)snprintf(name, sizeof name, "%.*s", (int)length, path);
        int rc = fake_lookup(mount, parent, name, &entry);
        if (!first) {
            (void)fake_forget(mount, parent, 1);
        }
        if (rc != 0 || entry.nodeid == 0) {
            return rc != 0 ? rc : -ENOENT;
        }
        path += length;
        path += strspn(path, "/");
    }
    *node = entry.nodeid;
    return 0;
}

bool fake_forget(struct fake_mount *mount, uint64_t node, uint64_t count) {
    const struct fuse_forget_in in = {.nlookup = count};
    return fake_kernel_send(mount->kernel,
                            &(struct fake_request){.opcode = FUSE_FORGET, .node = node, .parts = {PART(in)}}) != 0;
}

bool fake_forget_two(struct fake_mount *mount, uint64_t first, uint64_t second) {
    const struct fuse_batch_forget_in in = {.count = 2};
    const struct fuse_forget_one ones[] = {{.nodeid = first, .nlookup = 1}, {.nodeid = second, .nlookup = 1}};
    return fake_kernel_send(mount->kernel, &(struct fake_request){.opcode = FUSE_BATCH_FORGET,
                                                                  .parts = {PART(in), {ones, sizeof ones}}}) != 0;
}

int fake_mknod(struct fake_mount *mount, uint64_t parent, const char *name, uint32_t mode, uint64_t *node) {
    const struct fuse_mknod_in in = {.mode = mode, .rdev = 0x103, .umask = 022};
    struct fake_request request = {.opcode = FUSE_MKNOD, .node = parent, .parts = {PART(in), {name, strlen(name) + 1}}};
    return ask_for_entry(mount, &request, node);
}

int fake_mkdir(struct fake_mount *mount, uint64_t parent, const char *name, uint32_t mode, uint64_t *node) {
    const struct fuse_mkdir_in in = {.mode = mode, .umask = 022};
    struct fake_request request = {.opcode = FUSE_MKDIR, .node = parent, .parts = {PART(in), {name, strlen(name) + 1}}};
    return ask_for_entry(mount, &request, node);
}

int fake_symlink(struct fake_mount *mount, uint64_t parent, const char *name, const char *target, uint64_t *node) {
    struct fake_request request = {
        .opcode = FUSE_SYMLINK, .node = parent, .parts = {{name, strlen(name) + 1}, {target, strlen(target) + 1}}};
    return ask_for_entry(mount, &request, node);
}

int fake_link(struct fake_mount *mount, uint64_t node, uint64_t parent, const char *name) {
    const struct fuse_link_in in = {.oldnodeid = node};
    struct fake_request request = {.opcode = FUSE_LINK, .node = parent, .parts = {PART(in), {name, strlen(name) + 1}}};
    uint64_t linked = 0;
    int rc = ask_for_entry(mount, &request, &linked);
    if (rc == 0) {
        (void)fake_forget(mount, linked, 1);
        rc = linked == node ? 0 : FAKE_NO_REPLY;
    }
    return rc;
}

static int remove_name(struct fake_mount *mount, uint32_t opcode, uint64_t parent, const char *name) {
    struct fake_request request = {.opcode = opcode, .node = parent, .parts = {{name, strlen(name) + 1}}};
    return ask_for(mount, &request, NULL, 0);
}

int fake_unlink(struct fake_mount *mount, uint64_t parent, const char *name) {
    return remove_name(mount, FUSE_UNLINK, parent, name);
}

int fake_rmdir(struct fake_mount *mount, uint64_t parent, const char *name) {
    return remove_name(mount, FUSE_RMDIR, parent, name);
}

int fake_rename(struct fake_mount *mount, uint64_t parent, const char *name, uint64_t new_parent, const char *new_name,
                uint32_t flags) {
    const struct fuse_rename2_in in = {.newdir = new_parent, .flags = flags};
    struct fake_request request = {.opcode = FUSE_RENAME2,
                                   .node = parent,
                                   .parts = {PART(in), {name, strlen(name) + 1}, {new_name, strlen(new_name) + 1}}};
    return ask_for(mount, &request, NULL, 0);
}

/* ---- attributes ---- */

int fake_getattr(struct fake_mount *mount, uint64_t node, struct fuse_attr *attr) {
    const struct fuse_getattr_in in = {0};
    struct fuse_attr_out out;
    struct fake_request request = {.opcode = FUSE_GETATTR, .node = node, .parts = {PART(in)}};
    int rc = ask_for(mount, &request, &out, sizeof out);
    if (rc == 0 && attr != NULL) {
        *attr = out.attr;
    }
    return rc;
}

int fake_setattr(struct fake_mount *mount, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *attr) {
    struct fuse_attr_out out;
    struct fake_request request = {.opcode = FUSE_SETATTR, .node = node, .parts = {{in, sizeof *in}}};
    int rc = ask_for(mount, &request, &out, sizeof out);
    if (rc == 0 && attr != NULL) {
        *attr = out.attr;
    }
    return rc;
}

int fake_readlink(struct fake_mount *mount, uint64_t node, char *target, size_t size) {
    struct fake_request request = {.opcode = FUSE_READLINK, .node = node};
    int64_t length = ask_for_bytes(mount, &request, target, size - 1);
    if (length >= 0) {
        target[length] = '\0';
    }
    return length < 0 ? (int)length : 0;
}

int fake_statfs(struct fake_mount *mount, uint64_t node, struct fuse_kstatfs *statfs) {
    struct fuse_statfs_out out;
    struct fake_request request = {.opcode = FUSE_STATFS, .node = node};
    int rc = ask_for(mount, &request, &out, sizeof out);
    if (rc == 0 && statfs != NULL) {
        *statfs = out.st;
    }
    return rc;
}

/* ---- content ---- */

int64_t fake_read(struct fake_mount *mount, uint64_t node, uint64_t offset, void *buffer, size_t size) {
    const struct fuse_read_in in = {.offset = offset, .size = (uint32_t)size};
    struct fake_request request = {.opcode = FUSE_READ, .node = node, .parts = {PART(in)}};
    return ask_for_bytes(mount, &request, buffer, size);
}

static int64_t ask_for_count(struct fake_mount *mount, struct fake_request *request, uint64_t most) {
    struct fuse_write_out out;
    int rc = ask_for(mount, request, &out, sizeof out);
    return rc != 0 ? rc : out.size <= most ? (int64_t)out.size : FAKE_NO_REPLY;
}

int64_t fake_write(struct fake_mount *mount, uint64_t node, uint64_t offset, const void *data, size_t size) {
    const struct fuse_write_in in = {.offset = offset, .size = (uint32_t)size};
    struct fake_request request = {.opcode = FUSE_WRITE, .node = node, .parts = {PART(in), {data, size}}};
    return ask_for_count(mount, &request, size);
}

int64_t fake_copy(struct fake_mount *mount, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
                  uint64_t length) {
    const struct fuse_copy_file_range_in in = {
        .off_in = from_offset, .nodeid_out = to, .off_out = to_offset, .len = length};
    struct fake_request request = {.opcode = FUSE_COPY_FILE_RANGE, .node = from, .parts = {PART(in)}};
    return ask_for_count(mount, &request, length);
}

int fake_fsync(struct fake_mount *mount, uint64_t node, bool directory) {
    const struct fuse_fsync_in in = {0};
    struct fake_request request = {.opcode = directory ? FUSE_FSYNCDIR : FUSE_FSYNC, .node = node, .parts = {PART(in)}};
    return ask_for(mount, &request, NULL, 0);
}

int fake_fallocate(struct fake_mount *mount, uint64_t node, int mode, uint64_t offset, uint64_t length) {
    const struct fuse_fallocate_in in = {.offset = offset, .length = length, .mode = (uint32_t)mode};
    struct fake_request request = {.opcode = FUSE_FALLOCATE, .node = node, .parts = {PART(in)}};
    return ask_for(mount, &request, NULL, 0);
}

int64_t fake_lseek(struct fake_mount *mount, uint64_t node, uint64_t offset, int whence) {
    const struct fuse_lseek_in in = {.offset = offset, .whence = (uint32_t)whence};
    struct fuse_lseek_out out;
    struct fake_request request = {.opcode = FUSE_LSEEK, .node = node, .parts = {PART(in)}};
    int rc = ask_for(mount, &request, &out, sizeof out);
    return rc != 0 ? rc : (int64_t)out.offset;
}

/* ---- attributes with names ---- */

int fake_setxattr(struct fake_mount *mount, uint64_t node, const char *name, const void *value, size_t size,
                  int flags) {
    struct fuse_setxattr_in in = {.size = (uint32_t)size, .flags = (uint32_t)flags};
    bool extended = (fake_kernel_init_out(mount->kernel)->flags & FUSE_SETXATTR_EXT) != 0;
    struct fake_request request = {
        .opcode = FUSE_SETXATTR,
        .node = node,
        .parts = {{&in, extended ? sizeof in : FUSE_COMPAT_SETXATTR_IN_SIZE}, {name, strlen(name) + 1}, {value, size}}};
    return ask_for(mount, &request, NULL, 0);
}

static int64_t ask_for_value(struct fake_mount *mount, struct fake_request *request, void *value, size_t size) {
    struct fuse_getxattr_out out;
    if (size > 0) {
        return ask_for_bytes(mount, request, value, size);
    }
    int rc = ask_for(mount, request, &out, sizeof out);
    return rc != 0 ? rc : (int64_t)out.size;
}

int64_t fake_getxattr(struct fake_mount *mount, uint64_t node, const char *name, void *value, size_t size) {
    const struct fuse_getxattr_in in = {.size = (uint32_t)size};
    struct fake_request request = {
        .opcode = FUSE_GETXATTR, .node = node, .parts = {PART(in), {name, strlen(name) + 1}}};
    return ask_for_value(mount, &request, value, size);
}

int64_t fake_listxattr(struct fake_mount *mount, uint64_t node, char *list, size_t size) {
    const struct fuse_getxattr_in in = {.size = (uint32_t)size};
    struct fake_request request = {.opcode = FUSE_LISTXATTR, .node = node, .parts = {PART(in)}};
    return ask_for_value(mount, &request, list, size);
}

int fake_removexattr(struct fake_mount *mount, uint64_t node, const char *name) {
    return remove_name(mount, FUSE_REMOVEXATTR, node, name);
}

int fake_ioctl(struct fake_mount *mount, uint64_t node, uint32_t command, void *argument, size_t size) {
    const struct fuse_ioctl_in in = {
        .flags = FUSE_IOCTL_DIR, .cmd = command, .in_size = (uint32_t)size, .out_size = (uint32_t)size};
    struct fake_request request = {.opcode = FUSE_IOCTL, .node = node, .parts = {PART(in), {argument, size}}};
    struct fake_reply reply;
    struct fuse_ioctl_out out;
    int rc = ask(mount, &request, &reply);
    if (rc == 0 && (reply.length < sizeof out || reply.length - sizeof out > size)) {
        rc = FAKE_NO_REPLY;
    } else if (rc == 0) {
        memcpy(&out, reply.data, sizeof out);
        memcpy(argument, reply.data + sizeof out, reply.length - sizeof out);
        rc = out.result;
    }
    fake_reply_release(&reply);
    return rc;
}

/* ---- listings ---- */

/* Names as Linux takes them in a listing. */
static bool name_is_possible(const char *name, size_t length) {
    return length > 0 && length <= NAME_MAX && memchr(name, '/', length) == NULL && memchr(name, '\0', length) == NULL;
}

bool fake_listing_check(const struct fake_reply *reply, bool plus, uint64_t *last_offset,
                        void (*emit)(void *context, const char *name, const struct fuse_entry_out *entry),
                        void *context) {
    size_t before = plus ? sizeof(struct fuse_entry_out) : 0;
    for (size_t at = 0; at < reply->length;) {
        struct fuse_entry_out entry = {0};
        struct fuse_dirent dirent;
        char name[NAME_MAX + 1];
        size_t left = reply->length - at;
        if (left < before + FUSE_NAME_OFFSET) {
            return false;
        }
        memcpy(&entry, reply->data + at, before);
        memcpy(&dirent, reply->data + at + before, FUSE_NAME_OFFSET);
        size_t whole = before + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + (size_t)dirent.namelen);
        const char *text = (const char *)reply->data + at + before + FUSE_NAME_OFFSET;
        if (whole > left || !name_is_possible(text, dirent.namelen) || dirent.type > DT_WHT) {
            return false;
        }
        memcpy(name, text, dirent.namelen);
        name[dirent.namelen] = '\0';
        *last_offset = dirent.off;
        if (emit != NULL) {
            emit(context, name, &entry);
        }
        at += whole;
    }
    return true;
}

struct listing {
    struct fake_mount *mount;
    void (*emit)(void *context, const char *name, const struct fuse_entry_out *entry);
    void *context;
};

static void list_one(void *context, const char *name, const struct fuse_entry_out *entry) {
    struct listing *listing = context;
    if (listing->emit != NULL) {
        listing->emit(listing->context, name, entry);
    }
    if (entry->nodeid != 0) {
        (void)fake_forget(listing->mount, entry->nodeid, 1);
    }
}

int fake_list(struct fake_mount *mount, uint64_t node, bool plus,
              void (*emit)(void *context, const char *name, const struct fuse_entry_out *entry), void *context) {
    struct fuse_read_in in = {.size = 4096};
    struct listing listing = {mount, emit, context};
    for (bool more = true; more;) {
        struct fake_reply reply;
        struct fake_request request = {
            .opcode = plus ? FUSE_READDIRPLUS : FUSE_READDIR, .node = node, .parts = {PART(in)}};
        int rc = ask(mount, &request, &reply);
        if (rc == 0 && (reply.length > in.size || !fake_listing_check(&reply, plus, &in.offset, list_one, &listing))) {
            rc = FAKE_NO_REPLY;
        }
        more = reply.length > 0;
        fake_reply_release(&reply);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
