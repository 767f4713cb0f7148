/* Who else than its owner may have a mount commit: who may make a file in the directory that it shows as /head. The kernel checks no ioctl, so its rule
 * is applied here: acl(5), "Access check algorithm", on what the head knows now. Capabilities do not count: of those only the kernel knows.
 */
#include <errno.h>
#include <stdlib.h>

#include "fs/driver_private.h"

#define ACL_BYTES_MAX    65536
#define ACL_HEADER_BYTES 4
#define ACL_ENTRY_BYTES  8

enum { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

struct caller {
    uid_t uid;
    gid_t gid;
    gid_t *groups; /* owned: the supplementary ones */
    size_t group_count;
};

/* Of a caller that has no process in sight from here (another process namespace), the supplementary groups are unknown: then none count. */
static int caller_init(struct caller *caller, fuse_req_t req) {
    const struct fuse_ctx *context = fuse_req_ctx(req);
    *caller = (struct caller){.uid = context->uid, .gid = context->gid};
    int capacity = 0, count = context->pid != 0 ? 64 : 0;
    while (count > capacity) { /* it may join some between two questions */
        gid_t *groups = realloc(caller->groups, (size_t)count * sizeof *groups);
        if (groups == NULL) {
            return -ENOMEM;
        }
        caller->groups = groups;
        capacity = count;
        count = fuse_req_getgroups(req, capacity, groups);
    }
    caller->group_count = count > 0 ? (size_t)count : 0;
    return 0;
}

static bool in_group(const struct caller *caller, uint32_t gid) {
    bool is_in = caller->gid == gid;
    for (size_t i = 0; i < caller->group_count && !is_in; i++) {
        is_in = caller->groups[i] == gid;
    }
    return is_in;
}

static uint32_t get16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

/* The permissions (4 read, 2 write, 1 search) of who is not the directory's owner, by its access ACL. Of several groups the one with `wanted`. */
static uint32_t acl_allows(const uint8_t *acl, size_t length, const struct caller *caller, uint32_t group,
                           uint32_t wanted) {
    uint32_t mask = 7, other = 0, as_user = 0, as_group = 0;
    bool is_user = false, is_member = false;
    for (size_t at = ACL_HEADER_BYTES; at + ACL_ENTRY_BYTES <= length; at += ACL_ENTRY_BYTES) {
        uint32_t tag = get16(acl + at), allowed = get16(acl + at + 2);
        uint32_t id = get16(acl + at + 4) | get16(acl + at + 6) << 16;
        if (tag == TAG_USER && id == caller->uid) {
            is_user = true;
            as_user = allowed;
        } else if ((tag == TAG_GROUP_OBJ && in_group(caller, group)) || (tag == TAG_GROUP && in_group(caller, id))) {
            is_member = true;
            as_group |= (allowed & wanted) == wanted ? allowed : 0;
        } else if (tag == TAG_MASK) {
            mask = allowed;
        } else if (tag == TAG_OTHER) {
            other = allowed;
        }
    }
    return is_user ? as_user & mask : is_member ? as_group & mask : other;
}

static int check_acl(struct driver *driver, const struct caller *caller, const struct head_attr *attr,
                     uint32_t wanted) {
    uint8_t *acl = malloc(ACL_BYTES_MAX);
    size_t length = 0;
    int rc = acl == NULL
                 ? -ENOMEM
                 : head_getxattr(driver->head, attr->oid, "system.posix_acl_access", acl, ACL_BYTES_MAX, &length);
    if (rc == 0 && (acl_allows(acl, length, caller, attr->gid, wanted) & wanted) != wanted) {
        rc = -EACCES;
    }
    free(acl);
    return rc;
}

static int check(struct driver *driver, const struct caller *caller) {
    const uint32_t wanted = 3; /* write and search, which a file that is made takes */
    struct head_attr attr;
    int rc = head_getattr(driver->head, driver->head_root, &attr);
    if (rc != 0) {
        return rc;
    }
    uint32_t allowed = attr.mode & 7;
    if (caller->uid == attr.uid) {
        allowed = attr.mode >> 6 & 7;
    } else {
        /* As the kernel has it: a mask that allows nothing is not looked behind. */
        rc = (attr.mode & 070) != 0 ? check_acl(driver, caller, &attr, wanted) : -ENODATA;
        if (rc != -ENODATA) {
            return rc;
        }
        if (in_group(caller, attr.gid)) {
            allowed = attr.mode >> 3 & 7;
        }
    }
    return (allowed & wanted) == wanted ? 0 : -EACCES;
}

int driver_may_commit(struct driver *driver, fuse_req_t req) {
    uid_t uid = fuse_req_ctx(req)->uid;
    struct caller caller;
    if (uid == 0 || uid == driver->uid) {
        return 0;
    }
    int rc = caller_init(&caller, req);
    if (rc == 0) {
        rc = check(driver, &caller);
    }
    free(caller.groups);
    return rc;
}
