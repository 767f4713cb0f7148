/* POSIX ACLs as the kernel hands them over: what new objects inherit, and how ACL and permission bits keep in step.
 *
 * The form is that of Linux's system.posix_acl_* attributes (include/uapi/linux/posix_acl_xattr.h): a version word 2, then
 * entries of tag, permissions and id, little-endian. Who may do what is the kernel's to decide. The rules of inheritance are those of
 * acl(5), "Object creation and default ACLs".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/head_private.h"

enum { TAG_USER_OBJ = 1, TAG_USER = 2, TAG_GROUP_OBJ = 4, TAG_GROUP = 8, TAG_MASK = 16, TAG_OTHER = 32 };

#define HEADER_BYTES 4
#define ENTRY_BYTES  8

static uint32_t get16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

/* The permissions of the entry with this tag, or NULL. */
static uint8_t *find_tag(uint8_t *acl, size_t length, uint32_t tag) {
    for (size_t at = HEADER_BYTES; at + ENTRY_BYTES <= length; at += ENTRY_BYTES)
        if (get16(acl + at) == tag)
            return acl + at + 2;
    return NULL;
}

int acl_mode(const uint8_t *value, size_t length, uint32_t *mode, bool *equivalent) {
    uint32_t user = 8, group = 8, other = 8, mask = 8;
    if (length < HEADER_BYTES || (length - HEADER_BYTES) % ENTRY_BYTES)
        return -EINVAL;
    if (get16(value) != 2 || get16(value + 2) != 0)
        return -EOPNOTSUPP;
    *equivalent = true;
    for (size_t at = HEADER_BYTES; at < length; at += ENTRY_BYTES) {
        uint32_t permissions = get16(value + at + 2);
        if (permissions > 7)
            return -EINVAL;
        switch (get16(value + at)) {
        case TAG_USER_OBJ:
            user = permissions;
            break;
        case TAG_GROUP_OBJ:
            group = permissions;
            break;
        case TAG_OTHER:
            other = permissions;
            break;
        case TAG_MASK:
            mask = permissions; /* fall through */
        case TAG_USER:
        case TAG_GROUP:
            *equivalent = false;
            break;
        default:
            return -EINVAL;
        }
    }
    if (user > 7 || group > 7 || other > 7 || (!*equivalent && mask > 7))
        return -EINVAL;
    *mode = user << 6 | (mask <= 7 ? mask : group) << 3 | other;
    return 0;
}

/* Both ways: permissions are reduced to the mode's, and the mode to the permissions. */
static void meet(uint8_t *permissions, uint32_t *mode, unsigned shift) {
    if (!permissions)
        return;
    *permissions = (uint8_t)(*permissions & (*mode >> shift & 7U));
    *mode = (*mode & ~(7U << shift)) | (uint32_t)*permissions << shift;
}

int acl_inherit(struct head *head, struct object *parent, uint32_t umask, uint32_t *mode, struct xattr_set **xattrs) {
    *xattrs = NULL;
    if (!parent->record.has_xattrs) {
        *mode &= ~(umask & 0777U);
        return 0;
    }
    int rc = object_load_xattrs(head, parent);
    if (rc < 0)
        return rc;
    const struct xattr *inherited = xattr_set_find(parent->xattrs, ACL_DEFAULT);
    if (!inherited) {
        *mode &= ~(umask & 0777U);
        return 0;
    }
    struct xattr_set *set = calloc(1, sizeof *set);
    uint8_t *acl = malloc(inherited->length);
    if (!set || !acl) {
        free(set);
        free(acl);
        return -ENOMEM;
    }
    memcpy(acl, inherited->value, inherited->length);
    uint8_t *mask = find_tag(acl, inherited->length, TAG_MASK);
    meet(find_tag(acl, inherited->length, TAG_USER_OBJ), mode, 6);
    meet(mask ? mask : find_tag(acl, inherited->length, TAG_GROUP_OBJ), mode, 3);
    meet(find_tag(acl, inherited->length, TAG_OTHER), mode, 0);
    uint32_t bits;
    bool equivalent;
    rc = acl_mode(acl, inherited->length, &bits, &equivalent);
    if (rc == 0 && !equivalent)
        rc = -store_error_errno(xattr_set_put(set, ACL_ACCESS, acl, inherited->length));
    if (rc == 0 && (*mode & S_IFMT) == S_IFDIR)
        rc = -store_error_errno(xattr_set_put(set, ACL_DEFAULT, inherited->value, inherited->length));
    free(acl);
    if (rc == 0 && set->count) {
        *xattrs = set;
        return 0;
    }
    xattr_set_release(set);
    free(set);
    return rc;
}

void acl_chmod(struct object *object, uint32_t mode) {
    if (!object->record.has_xattrs)
        return;
    const struct xattr *access = xattr_set_find(object->xattrs, ACL_ACCESS);
    if (!access)
        return;
    uint8_t *acl = access->value; /* the set is the object's own: changed in place */
    uint8_t *permissions = find_tag(acl, access->length, TAG_USER_OBJ);
    if (permissions)
        *permissions = (uint8_t)(mode >> 6 & 7);
    permissions = find_tag(acl, access->length, TAG_MASK);
    if (!permissions)
        permissions = find_tag(acl, access->length, TAG_GROUP_OBJ);
    if (permissions)
        *permissions = (uint8_t)(mode >> 3 & 7);
    permissions = find_tag(acl, access->length, TAG_OTHER);
    if (permissions)
        *permissions = (uint8_t)(mode & 7);
    object->xattrs_dirty = true;
}
