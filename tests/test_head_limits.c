/* What a head refuses: names, attributes, ACLs, sizes and ranges at their limits and just beyond, and damage that operations meet. */
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "store/head_private.h"
#include "store/tid.h"
#include "tests/head_fixture.h"

/* Everything that a refused operation may not have changed. */
static void assert_refused(struct fixture *f, const char *before, int rc, int expected) {
    assert_int_equal(rc, expected);
    assert_dump(f, before);
}

static void test_head_limits__names_are_one_entry_of_at_most_255_bytes(void **state) {
    struct fixture *f = *state;
    char name[NAME_BYTES_MAX + 2];
    struct head_attr attr;
    uint64_t oid;
    static const struct {
        const char *name;
        size_t length;
        int made, removed, renamed;
    } wrong[] = {
        {"", 0, -ENOENT, -ENOENT, -ENOENT},     {"a/b", 3, -EINVAL, -EINVAL, -EINVAL},
        {"a\0b", 3, -EINVAL, -EINVAL, -EINVAL}, {".", 1, -EEXIST, -EINVAL, -EBUSY},
        {"..", 2, -EEXIST, -ENOTEMPTY, -EBUSY},
    };
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    oid = oid_of(f, "f");
    char *before = dump(f);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const char *bad = wrong[i].name;
        size_t length = wrong[i].length;
        assert_refused(f, before, head_make(f->head, ROOT_OID, bad, length, S_IFREG, 0, NULL, &caller, &attr),
                       wrong[i].made);
        assert_refused(f, before, head_link(f->head, oid, ROOT_OID, bad, length, &attr), wrong[i].made);
        assert_refused(f, before, head_unlink(f->head, ROOT_OID, bad, length), wrong[i].removed);
        assert_refused(f, before, head_rmdir(f->head, ROOT_OID, bad, length), wrong[i].removed);
        assert_refused(f, before, head_rename(f->head, ROOT_OID, bad, length, ROOT_OID, "g", 1, 0), wrong[i].renamed);
        assert_refused(f, before, head_rename(f->head, ROOT_OID, "f", 1, ROOT_OID, bad, length, 0), wrong[i].renamed);
    }
    memset(name, 'n', sizeof name);
    assert_refused(f, before, head_lookup(f->head, ROOT_OID, name, NAME_BYTES_MAX + 1, &attr), -ENAMETOOLONG);
    assert_refused(f, before, head_make(f->head, ROOT_OID, name, NAME_BYTES_MAX + 1, S_IFREG, 0, NULL, &caller, &attr),
                   -ENAMETOOLONG);
    free(before);

    /* What only looks like those. */
    static const char *const fine[] = {".a", "..a", "...", "a."};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_int_equal(make(f, fine[i], S_IFREG | 0644, NULL), 0);
    name[NAME_BYTES_MAX] = '\0';
    assert_int_equal(make(f, name, S_IFREG | 0644, NULL), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    reopen(f);
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        assert_int_not_equal(oid_of(f, fine[i]), 0);
    assert_int_not_equal(oid_of(f, name), 0);
    assert_sound(f);
}

static void test_head_limits__rename_knows_its_flags_alone(void **state) {
    struct fixture *f = *state;
    assert_int_equal(make(f, "a", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "b", S_IFDIR | 0755, NULL), 0);
    char *before = dump(f);
    assert_refused(f, before, rename_(f, "a", "c", 8), -EINVAL);
    assert_refused(f, before, rename_(f, "a", "b", RENAME_EXCHANGE | RENAME_NOREPLACE), -EINVAL);
    assert_refused(f, before, rename_(f, "a", "b", RENAME_EXCHANGE | RENAME_WHITEOUT), -EINVAL);
    assert_refused(f, before, rename_(f, "a", "c", RENAME_EXCHANGE), -ENOENT);
    assert_refused(f, before, rename_(f, "a", "b", RENAME_NOREPLACE), -EEXIST);
    assert_refused(f, before, rename_(f, "a", "b/../c", 0), -ENOENT);
    free(before);
}

static void test_head_limits__links_and_targets_have_limits(void **state) {
    struct fixture *f = *state;
    char target[SYMLINK_BYTES_MAX + 2];
    struct object *object;
    memset(target, 't', sizeof target);
    target[SYMLINK_BYTES_MAX + 1] = '\0';
    assert_int_equal(make(f, "l", S_IFLNK, target), -ENAMETOOLONG);
    assert_int_equal(make(f, "l", S_IFLNK, ""), -ENOENT);
    target[SYMLINK_BYTES_MAX] = '\0';
    assert_int_equal(make(f, "l", S_IFLNK, target), 0);
    char found[SYMLINK_BYTES_MAX + 1];
    size_t length;
    assert_int_equal(head_readlink(f->head, oid_of(f, "l"), found, 5, &length), 0);
    assert_int_equal(length, SYMLINK_BYTES_MAX);
    assert_memory_equal(found, target, 5);
    assert_int_equal(remove_(f, "l", false), 0); /* longer than what assert_refused shows */

    /* As many links as there can be would take too long to make. */
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "d", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "e", S_IFDIR | 0755, NULL), 0);
    uint64_t file = oid_of(f, "f"), directory = oid_of(f, "d");
    head_lock(f->head);
    assert_int_equal(object_get(f->head, file, &object), 0);
    object->record.nlink = LINK_COUNT_MAX;
    assert_int_equal(object_get(f->head, directory, &object), 0);
    object->record.nlink = LINK_COUNT_MAX;
    head_unlock(f->head);
    char *before = dump(f);
    assert_refused(f, before, link_(f, "f", "g"), -EMLINK);
    assert_refused(f, before, make(f, "d/sub", S_IFDIR | 0755, NULL), -EMLINK);
    assert_refused(f, before, rename_(f, "e", "d/e", 0), -EMLINK);
    free(before);
    assert_int_equal(make(f, "d/file", S_IFREG | 0644, NULL), 0); /* no link of the directory's */
    assert_int_equal(link_(f, "d", "h"), -EPERM);
}

static void test_head_limits__attributes_have_limits(void **state) {
    struct fixture *f = *state;
    static char value[XATTR_VALUE_MAX + 1];
    char name[NAME_BYTES_MAX + 2], found[64];
    size_t length;
    memset(name, 'x', sizeof name);
    memcpy(name, "user.", 5);
    name[NAME_BYTES_MAX + 1] = '\0';
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    uint64_t oid = oid_of(f, "f");
    char *before = dump(f);
    assert_refused(f, before, set_xattr(f, "f", "", "v", 1), -ERANGE);
    assert_refused(f, before, set_xattr(f, "f", name, "v", 1), -ERANGE);
    assert_refused(f, before, set_xattr(f, "f", "user.x", value, sizeof value), -E2BIG);
    assert_refused(f, before, set_xattr(f, "f", "tidfs.oid", "1", 1), -EPERM);
    assert_refused(f, before, head_removexattr(f->head, oid, "tidfs.oid"), -EPERM);
    assert_refused(f, before, head_removexattr(f->head, oid, "user.x"), -ENODATA);
    free(before);

    name[NAME_BYTES_MAX] = '\0';
    assert_int_equal(set_xattr(f, "f", name, value, XATTR_VALUE_MAX), 0);
    assert_int_equal(set_xattr(f, "f", "user.empty", "", 0), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    reopen(f);
    assert_int_equal(head_getxattr(f->head, oid, name, NULL, 0, &length), 0);
    assert_int_equal(length, XATTR_VALUE_MAX);
    assert_int_equal(head_getxattr(f->head, oid, "user.empty", found, sizeof found, &length), 0);
    assert_int_equal(length, 0);
    assert_int_equal(head_getxattr(f->head, oid, "user.other", found, sizeof found, &length), -ENODATA);
    assert_int_equal(head_listxattr(f->head, oid, NULL, 0, &length), 0);
    assert_int_equal(length, NAME_BYTES_MAX + 1 + sizeof "user.empty");
    assert_int_equal(head_listxattr(f->head, oid, found, sizeof found, &length), -ERANGE);

    /* The names of all together are to fit what listxattr(2) can give. */
    int rc = 0;
    unsigned count = 0;
    for (; rc == 0 && count < 1000; count++) {
        (void)snprintf(name + 5, 5, "%04u", count);
        name[9] = 'x';
        rc = set_xattr(f, "f", name, "", 0);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(head_listxattr(f->head, oid, NULL, 0, &length), 0);
    assert_true(length <= XATTR_LIST_MAX && length + NAME_BYTES_MAX + 1 > XATTR_LIST_MAX);
    (void)snprintf(name + 5, 5, "%04u", 0U);
    name[9] = 'x';
    assert_int_equal(set_xattr(f, "f", name, "v", 1), 0); /* one that is there can change */
    assert_sound(f);
}

static void test_head_limits__values_of_one_object_have_a_limit_together(void **state) {
    struct fixture *f = *state;
    static char value[XATTR_VALUE_MAX];
    char name[16];
    int rc = 0;
    unsigned count = 0;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    for (; rc == 0 && count < 1000; count++) {
        (void)snprintf(name, sizeof name, "user.%u", count);
        rc = set_xattr(f, "f", name, value, sizeof value);
    }
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(count - 1, XATTR_SET_MAX / (XATTR_VALUE_MAX + 100));
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_sound(f);
}

static void test_head_limits__what_tidfs_says_of_an_object_is_read_like_an_attribute(void **state) {
    struct fixture *f = *state;
    char found[64], expected[64];
    size_t length;
    struct head_attr attr;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    uint64_t oid = oid_of(f, "f"), tid;
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.oid", found, sizeof found, &length), 0);
    (void)snprintf(expected, sizeof expected, "%" PRIu64, oid);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(found, expected, length);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.oid", NULL, 0, &length), 0);
    assert_int_equal(length, strlen(expected));
    assert_int_equal(head_getattr(f->head, oid, &attr), 0);
    tid_format_time(attr.btime, expected);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.created", found, sizeof found, &length), 0);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(found, expected, length);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.created", found, 3, &length), -ERANGE);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.other", found, sizeof found, &length), -ENODATA);

    assert_int_equal(head_getxattr(f->head, oid, "tidfs.tid", found, sizeof found, &length), -ENODATA);
    assert_int_equal(head_seal(f->head, NULL, NULL, &tid), 0);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.tid", found, sizeof found, &length), 0);
    tid_format(tid, expected);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(found, expected, length);
    assert_int_equal(head_listxattr(f->head, oid, found, sizeof found, &length), 0);
    assert_int_equal(length, 0); /* not listed */
}

#define ENTRY(tag, permissions) tag, 0, permissions, 0, 255, 255, 255, 255
#define ACL(...)                (const uint8_t[]){2, 0, 0, 0, __VA_ARGS__}, sizeof((const uint8_t[]){2, 0, 0, 0, __VA_ARGS__})

static void test_head_limits__an_acl_is_taken_only_whole(void **state) {
    (void)state;
    static const uint8_t other_version[] = {3, 0, 0, 0}, high_version[] = {2, 0, 1, 0};
    const struct {
        const uint8_t *value;
        size_t length;
        int rc;
        uint32_t mode;
        bool equivalent;
    } cases[] = {
        {ACL(ENTRY(1, 7), ENTRY(4, 5), ENTRY(32, 1)), 0, 0751, true},
        {ACL(ENTRY(1, 7), ENTRY(4, 5), ENTRY(16, 6), ENTRY(32, 1)), 0, 0761, false},
        {ACL(ENTRY(1, 7), ENTRY(4, 5), ENTRY(8, 5), ENTRY(16, 4), ENTRY(32, 0)), 0, 0740, false},
        {ACL(ENTRY(4, 5), ENTRY(32, 1)), -EINVAL, 0, false},                           /* without the owner */
        {ACL(ENTRY(1, 7), ENTRY(32, 1)), -EINVAL, 0, false},                           /* the group */
        {ACL(ENTRY(1, 7), ENTRY(4, 5)), -EINVAL, 0, false},                            /* the others */
        {ACL(ENTRY(1, 7), ENTRY(2, 7), ENTRY(4, 5), ENTRY(32, 1)), -EINVAL, 0, false}, /* the mask */
        {ACL(ENTRY(1, 8), ENTRY(4, 5), ENTRY(32, 1)), -EINVAL, 0, false},              /* no permission */
        {ACL(ENTRY(1, 7), ENTRY(4, 5), ENTRY(64, 1)), -EINVAL, 0, false},              /* no tag */
        {ACL(ENTRY(1, 7), 4, 0, 5), -EINVAL, 0, false},                                /* cut off */
        {other_version, 3, -EINVAL, 0, false},
        {other_version, sizeof other_version, -EOPNOTSUPP, 0, false},
        {high_version, sizeof high_version, -EOPNOTSUPP, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t mode = 0;
        bool equivalent = false;
        assert_int_equal(acl_mode(cases[i].value, cases[i].length, &mode, &equivalent), cases[i].rc);
        if (cases[i].rc == 0) {
            assert_int_equal(mode, cases[i].mode);
            assert_int_equal(equivalent, cases[i].equivalent);
        }
    }
}

static void test_head_limits__what_says_no_more_than_the_mode_is_not_kept(void **state) {
    struct fixture *f = *state;
    struct head_attr attr;
    size_t length;
    static const uint8_t plain[] = {2, 0, 0, 0, ENTRY(1, 6), ENTRY(4, 4), ENTRY(32, 0)}, header[] = {2, 0, 0, 0};
    assert_int_equal(make(f, "d", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "d/f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "d/l", S_IFLNK, "f"), 0);
    uint64_t directory = oid_of(f, "d"), file = oid_of(f, "d/f");
    assert_int_equal(set_xattr(f, "d/f", ACL_ACCESS, plain, sizeof plain), 0);
    assert_int_equal(head_getattr(f->head, file, &attr), 0);
    assert_int_equal(attr.mode & 07777, 0640);
    assert_int_equal(head_getxattr(f->head, file, ACL_ACCESS, NULL, 0, &length), -ENODATA);
    assert_int_equal(set_xattr(f, "d/f", ACL_DEFAULT, plain, sizeof plain), -EACCES);
    assert_int_equal(set_xattr(f, "d/l", ACL_ACCESS, plain, sizeof plain), -EOPNOTSUPP);
    assert_int_equal(set(f, "d/l", HEAD_SET_MODE, &(struct head_attr){.mode = 0600}), -EOPNOTSUPP);
    assert_int_equal(head_getattr(f->head, oid_of(f, "d/l"), &attr), 0);
    assert_int_equal(attr.mode & 07777, 0777);

    /* A default one that is, is inherited by directories, and shows in the modes of files alone. */
    assert_int_equal(set_xattr(f, "d", ACL_DEFAULT, plain, sizeof plain), 0);
    assert_int_equal(make(f, "d/g", S_IFREG | 0666, NULL), 0);
    assert_int_equal(make(f, "d/sub", S_IFDIR | 0777, NULL), 0);
    assert_int_equal(head_getattr(f->head, oid_of(f, "d/g"), &attr), 0);
    assert_int_equal(attr.mode & 07777, 0640);
    assert_int_equal(head_listxattr(f->head, oid_of(f, "d/g"), NULL, 0, &length), 0);
    assert_int_equal(length, 0);
    assert_int_equal(head_getxattr(f->head, oid_of(f, "d/sub"), ACL_DEFAULT, NULL, 0, &length), 0);
    assert_int_equal(head_getxattr(f->head, oid_of(f, "d/sub"), ACL_ACCESS, NULL, 0, &length), -ENODATA);

    /* An empty one takes it away. */
    assert_int_equal(set_xattr(f, "d", ACL_DEFAULT, header, sizeof header), 0);
    assert_int_equal(head_getxattr(f->head, directory, ACL_DEFAULT, NULL, 0, &length), -ENODATA);
    assert_int_equal(set_xattr(f, "d", "user.x", "1", 1), 0);
    assert_int_equal(make(f, "d/h", S_IFREG | 0666, NULL), 0);
    assert_int_equal(head_getattr(f->head, oid_of(f, "d/h"), &attr), 0);
    assert_int_equal(attr.mode & 07777, 0644); /* the umask again */
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_sound(f);
}

static void test_head_limits__chmod_changes_the_group_where_an_acl_has_no_mask(void **state) {
    struct fixture *f = *state;
    /* Not one that setxattr takes: from a store that was made in another way. */
    static const uint8_t maskless[] = {2, 0, 0, 0, ENTRY(1, 6), ENTRY(4, 4), ENTRY(32, 0)}, none[] = {2, 0, 0, 0};
    struct head_attr attr = {.mode = 0751};
    struct object *object;
    uint8_t found[64];
    size_t length;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    uint64_t oid = oid_of(f, "f");
    assert_int_equal(set_xattr(f, "f", "user.x", "1", 1), 0);
    head_lock(f->head);
    assert_int_equal(object_get(f->head, oid, &object), 0);
    assert_int_equal(xattr_set_put(object->xattrs, ACL_ACCESS, maskless, sizeof maskless), STORE_OK);
    head_unlock(f->head);
    assert_int_equal(set(f, "f", HEAD_SET_MODE, &attr), 0);
    assert_int_equal(head_getxattr(f->head, oid, ACL_ACCESS, found, sizeof found, &length), 0);
    assert_int_equal(found[6], 7);
    assert_int_equal(found[14], 5);
    assert_int_equal(found[22], 1);

    head_lock(f->head);
    assert_int_equal(xattr_set_put(object->xattrs, ACL_ACCESS, none, sizeof none), STORE_OK);
    head_unlock(f->head);
    assert_int_equal(set(f, "f", HEAD_SET_MODE, &attr), 0);
    assert_int_equal(head_getxattr(f->head, oid, ACL_ACCESS, found, sizeof found, &length), 0);
    assert_int_equal(length, sizeof none);
}

static void test_head_limits__no_range_ends_above_the_largest_file(void **state) {
    struct fixture *f = *state;
    struct head_attr attr = {.size = (uint64_t)FILE_SIZE_MAX + 1};
    uint64_t copied, found;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "d", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(write_(f, "f", 0, 10, 1, 10), 0);
    uint64_t oid = oid_of(f, "f"), directory = oid_of(f, "d");
    char *before = dump(f);
    static const uint64_t starts[] = {(uint64_t)FILE_SIZE_MAX + 1, FILE_SIZE_MAX - 1};
    for (size_t i = 0; i < 2; i++) {
        assert_refused(f, before, (int)head_write(f->head, oid, starts[i], 2, (const uint8_t *)"ab", false), -EFBIG);
        assert_refused(f, before, head_fallocate(f->head, oid, 0, starts[i], 2, false), -EFBIG);
        assert_refused(f, before, head_copy_range(f->head, oid, 0, 0, oid, starts[i], 2, false, &copied), -EFBIG);
    }
    assert_refused(f, before, set(f, "f", HEAD_SET_SIZE, &attr), -EFBIG);
    assert_refused(f, before, head_fallocate(f->head, oid, 0, 0, 0, false), -EINVAL);
    assert_refused(f, before, head_fallocate(f->head, oid, FALLOC_FL_COLLAPSE_RANGE, 0, 1, false), -EOPNOTSUPP);
    assert_refused(f, before, head_seek(f->head, oid, 0, SEEK_SET, &found), -EINVAL);
    assert_refused(f, before, head_seek(f->head, oid, 10, SEEK_HOLE, &found), -ENXIO);
    assert_refused(f, before, head_seek(f->head, directory, 0, SEEK_DATA, &found), -EISDIR);
    assert_refused(f, before, (int)head_write(f->head, directory, 0, 1, (const uint8_t *)"a", false), -EISDIR);
    assert_refused(f, before, head_copy_range(f->head, oid, 0, 10, oid, 20, 5, false, &copied), 0);
    assert_int_equal(copied, 0); /* at the source's end there is nothing to copy */
    free(before);
    attr.size = FILE_SIZE_MAX;
    assert_int_equal(set(f, "f", HEAD_SET_SIZE, &attr), 0);
    assert_int_equal(head_write(f->head, oid, FILE_SIZE_MAX - 1, 1, (const uint8_t *)"z", false), 1);
    uint8_t last[4] = {0};
    size_t done;
    assert_int_equal(head_read(f->head, oid, FILE_SIZE_MAX - 1, sizeof last, last, &done), 0);
    assert_int_equal(done, 1);
    assert_int_equal(last[0], 'z');
    attr.size = 0;
    assert_int_equal(set(f, "f", HEAD_SET_SIZE, &attr), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_sound(f);
}

static void test_head_limits__directories_in_a_circle_are_an_error_and_no_endless_loop(void **state) {
    struct fixture *f = *state;
    struct object *object;
    assert_int_equal(make(f, "a", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "a/b", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "c", S_IFDIR | 0755, NULL), 0);
    uint64_t a = oid_of(f, "a"), b = oid_of(f, "a/b");
    head_lock(f->head);
    assert_int_equal(object_get(f->head, a, &object), 0);
    object->record.parent = b;
    head_unlock(f->head);
    assert_int_equal(rename_(f, "c", "a/b/c", 0), -EIO);
    assert_int_equal(rename_(f, "c", "a/c", 0), -EIO);
    assert_int_equal(rename_(f, "c", "a", RENAME_EXCHANGE), 0); /* both in the root, below neither */
    head_lock(f->head);
    assert_int_equal(object_get(f->head, a, &object), 0);
    object->record.parent = UINT32_MAX;
    head_unlock(f->head);
    assert_int_equal(rename_(f, "a", "c/b/x", 0), -EIO);
}

static int change_nothing(void *context) {
    *(unsigned *)context += 1;
    return 0;
}

static void test_head_limits__users_and_messages_have_limits(void **state) {
    struct fixture *f = *state;
    static char message[MESSAGE_MAX + 2];
    char user[HEAD_USER_SIZE + 1];
    unsigned runs = 0;
    uint64_t tid;
    memset(user, 'u', sizeof user - 1);
    memset(message, 'm', sizeof message - 1);
    user[HEAD_USER_SIZE] = '\0';
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    uint64_t last = store_last(f->store);
    assert_int_equal(head_seal(f->head, user, NULL, &tid), -E2BIG);
    assert_int_equal(head_seal(f->head, NULL, message, &tid), -E2BIG);
    assert_int_equal(head_seal(f->head, "me", message, &tid), -E2BIG);
    assert_int_equal(head_transaction(f->head, change_nothing, &runs, user, NULL, &tid), -E2BIG);
    assert_int_equal(head_transaction(f->head, change_nothing, &runs, NULL, message, &tid), -E2BIG);
    assert_int_equal(head_transaction(f->head, change_nothing, &runs, "me", message, &tid), -E2BIG);
    assert_int_equal(runs, 0);
    assert_int_equal(store_last(f->store), last);
    assert_true(status(f).pending_objects > 0); /* nor was anything sealed */

    user[HEAD_USER_SIZE - 1] = message[MESSAGE_MAX] = '\0';
    assert_int_equal(head_seal(f->head, user, message, &tid), 0);
    assert_int_equal(head_transaction(f->head, change_nothing, &runs, user, message, &tid), 0);
    assert_int_equal(runs, 1);
    for (uint64_t seq = last + 1; seq <= last + 2; seq++) {
        struct transaction found;
        assert_int_equal(storage_transaction_at(store_storage(f->store), seq, &found), STORE_OK);
        assert_string_equal(found.user, user);
        assert_string_equal(found.message, message);
        transaction_release(&found);
    }
}

static uint64_t room(const struct fixture *f) {
    struct statvfs disk;
    assert_int_equal(statvfs(f->directory, &disk), 0);
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

/* On a file system of the test's own, which nobody else sees and which goes with the process. */
static void test_head_limits__of_a_full_disk_enough_is_left_to_remove_names(void **state) {
    static const uint8_t block[65536];
    struct fixture *f = *state;
    struct error err = {0};
    char name[16];
    unsigned made = 0;
    int64_t rc = 0;
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        skip(); /* takes root */
    close_all(f);
    assert_int_equal(mount("none", f->base, "tmpfs", 0, "size=16m"), 0);
    if (store_create(f->directory, 0, 0, &err) < 0)
        fail_msg("%s", err.text);
    open_all(f);
    assert_int_equal(head_reserve(f->head), 1 << 20);
    while (rc >= 0 && made < 1000) {
        (void)snprintf(name, sizeof name, "f%u", made);
        rc = make(f, name, S_IFREG | 0644, NULL);
        if (rc == 0) {
            made++;
            rc = head_write(f->head, oid_of(f, name), 0, sizeof block, block, false);
        }
    }
    assert_int_equal(rc, -ENOSPC);
    assert_true(made > 100);
    /* What was taken in has its place, and so has its removal. */
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_true(room(f) >= head_reserve(f->head) / 2);
    while (made-- > 0) {
        (void)snprintf(name, sizeof name, "f%u", made);
        assert_int_equal(head_unlink(f->head, ROOT_OID, name, strlen(name)), 0);
    }
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    close_all(f);
    assert_int_equal(umount(f->base), 0);
    open_all(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_head_limits__##name, setup, teardown)
        TEST(names_are_one_entry_of_at_most_255_bytes),
        TEST(rename_knows_its_flags_alone),
        TEST(links_and_targets_have_limits),
        TEST(attributes_have_limits),
        TEST(values_of_one_object_have_a_limit_together),
        TEST(what_tidfs_says_of_an_object_is_read_like_an_attribute),
        TEST(an_acl_is_taken_only_whole),
        TEST(what_says_no_more_than_the_mode_is_not_kept),
        TEST(chmod_changes_the_group_where_an_acl_has_no_mask),
        TEST(users_and_messages_have_limits),
        TEST(no_range_ends_above_the_largest_file),
        TEST(of_a_full_disk_enough_is_left_to_remove_names),
        TEST(directories_in_a_circle_are_an_error_and_no_endless_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
