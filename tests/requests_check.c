#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/control.h"
#include "tests/fake_requests.h"
#include "tests/requests.h"

#define ERRNO_MAX EHWPOISON

void known_add(struct known *known, uint64_t node) {
    for (size_t i = 0; i < known->node_count; i++) {
        if (known->nodes[i] == node) {
            return;
        }
    }
    if (known->node_count < REQUESTS_NODES_MAX) {
        known->nodes[known->node_count++] = node;
    } else {
        memmove(known->nodes + REQUESTS_NODES_MAX / 2, known->nodes + REQUESTS_NODES_MAX / 2 + 1,
                (REQUESTS_NODES_MAX / 2 - 1) * sizeof *known->nodes);
        known->nodes[REQUESTS_NODES_MAX - 1] = node;
    }
}

/* What Linux would make of an inode: fuse_invalid_attr, and what no file has. */
static const char *attr_check(const struct fuse_attr *attr) {
    switch (attr->mode & S_IFMT) {
    case S_IFREG:
    case S_IFDIR:
    case S_IFLNK:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
        break;
    default:
        return "a mode of no type";
    }
    if (attr->size > INT64_MAX) {
        return "a size that is negative";
    }
    if (attr->atimensec >= 1000000000 || attr->mtimensec >= 1000000000 || attr->ctimensec >= 1000000000) {
        return "a time of too many nanoseconds";
    }
    return attr->ino == 0 ? "an inode number of 0" : NULL;
}

static const char *entry_check(const struct built *built, const struct fuse_entry_out *entry, struct known *known) {
    if (entry->nodeid == 0) {
        return built->request.opcode == FUSE_LOOKUP ? NULL : "a node of 0";
    }
    known_add(known, entry->nodeid);
    const char *why = attr_check(&entry->attr);
    if (why == NULL && entry->nodeid == FUSE_ROOT_ID && !S_ISDIR(entry->attr.mode)) {
        why = "a root that is no directory";
    }
    return why;
}

struct listed {
    struct known *known;
    const char *why;
};

static void note_listed(void *context, const char *name, const struct fuse_entry_out *entry) {
    struct listed *listed = context;
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    if (entry->nodeid == 0) {
        return;
    }
    const char *why = dots ? "a node for . or .." : attr_check(&entry->attr);
    listed->why = why != NULL ? why : listed->why;
    known_add(listed->known, entry->nodeid);
}

static const char *listing_check(const struct built *built, const struct fake_reply *reply, struct known *known) {
    struct listed listed = {known, NULL};
    uint64_t offset;
    if (reply->length > built->size) {
        return "a longer listing than was asked for";
    }
    return fake_listing_check(reply, built->request.opcode == FUSE_READDIRPLUS, &offset, note_listed, &listed)
               ? listed.why
               : "no listing";
}

static const char *ioctl_check(const struct built *built, const struct fake_reply *reply, struct known *known) {
    struct fuse_ioctl_in in;
    struct control_restore_piece piece;
    memcpy(&in, built->payload, sizeof in);
    if (reply->length < sizeof(struct fuse_ioctl_out) || reply->length - sizeof(struct fuse_ioctl_out) > in.out_size) {
        return "a longer answer than was asked for";
    }
    if (in.cmd == CONTROL_RESTORE_PIECE && reply->length == sizeof(struct fuse_ioctl_out) + sizeof piece) {
        memcpy(&piece, reply->data + sizeof(struct fuse_ioctl_out), sizeof piece);
        known->order_id = piece.id;
    }
    return NULL;
}

static const char *count_check(const struct built *built, const struct fake_reply *reply) {
    struct fuse_write_out out;
    struct fuse_copy_file_range_in copy;
    struct fuse_write_in write;
    memcpy(&out, reply->data, sizeof out);
    memcpy(&copy, built->payload, sizeof copy);
    memcpy(&write, built->payload, sizeof write);
    uint64_t most = built->request.opcode == FUSE_WRITE ? write.size : copy.len;
    return out.size <= most ? NULL : "more was done than was asked for";
}

/* The length that replies of this kind have. SIZE_MAX: it depends. */
static size_t reply_length(const struct built *built, const struct known *known) {
    switch (built->request.opcode) {
    case FUSE_LOOKUP:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
        return sizeof(struct fuse_entry_out);
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        return sizeof(struct fuse_attr_out);
    case FUSE_STATFS:
        return sizeof(struct fuse_statfs_out);
    case FUSE_WRITE:
    case FUSE_COPY_FILE_RANGE:
        return sizeof(struct fuse_write_out);
    case FUSE_LSEEK:
        return sizeof(struct fuse_lseek_out);
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        return known->stateless ? 0 : sizeof(struct fuse_open_out);
    case FUSE_READLINK:
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_IOCTL:
        return SIZE_MAX;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
        return built->size == 0 ? sizeof(struct fuse_getxattr_out) : SIZE_MAX;
    default:
        return 0;
    }
}

static const char *data_check(const struct built *built, const struct fake_reply *reply, struct known *known) {
    struct fuse_entry_out entry;
    struct fuse_attr_out attr;
    struct fuse_lseek_out seek;
    size_t length = reply_length(built, known);
    if (length != SIZE_MAX && reply->length != length) {
        return "an answer of another length";
    }
    switch (built->request.opcode) {
    case FUSE_LOOKUP:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
        memcpy(&entry, reply->data, sizeof entry);
        return entry_check(built, &entry, known);
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        memcpy(&attr, reply->data, sizeof attr);
        return attr_check(&attr.attr);
    case FUSE_WRITE:
    case FUSE_COPY_FILE_RANGE:
        return count_check(built, reply);
    case FUSE_LSEEK:
        memcpy(&seek, reply->data, sizeof seek);
        return seek.offset <= INT64_MAX ? NULL : "a place that is negative";
    case FUSE_READLINK:
        return reply->length > 0 && reply->length <= 4095 ? NULL : "a link of no or too many bytes";
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        return listing_check(built, reply, known);
    case FUSE_IOCTL:
        return ioctl_check(built, reply, known);
    case FUSE_READ:
        return reply->length <= built->size ? NULL : "more than was asked for";
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
        return built->size == 0 || reply->length <= built->size ? NULL : "more than was asked for";
    default:
        return NULL;
    }
}

/* The store is sound and has room, and so has the machine: these would be defects. libfuse says EIO to a second FUSE_INIT. */
static bool may_fail_so(const struct built *built, int error) {
    bool init = built->request.opcode == FUSE_INIT || built->request.opcode == CUSE_INIT;
    return error != -ENOMEM && error != -EFAULT && (error != -EIO || init);
}

const char *reply_check(const struct built *built, const struct fake_reply *reply, struct known *known) {
    if (reply->error > 0 || reply->error < -ERRNO_MAX) {
        return "an error that is no errno";
    }
    if (reply->error != 0) {
        return reply->length > 0                   ? "an error with data"
               : !may_fail_so(built, reply->error) ? "an error that nothing explains"
                                                   : NULL;
    }
    return data_check(built, reply, known);
}
