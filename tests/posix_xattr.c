/* Extended attributes: namespaces, limits, errors. */
#include "tests/posix.h"

#include <linux/capability.h>
#include <linux/limits.h>
#include <sys/xattr.h>

#define NAME_MAX_BYTES  255
#define VALUE_MAX_BYTES 65536

/* ---- values of all sizes, in each namespace ---- */

struct value {
    const char *name;
    size_t size;
};

static const struct value values[] = {
    {"empty", 0}, {"byte", 1}, {"small", 100}, {"block-less", 3000}, {"large", 20000}, {"largest", VALUE_MAX_BYTES},
};

static void set_value(const void *row) {
    const struct value *value = row;
    static const char *const names[] = {"user.test", "trusted.test", "security.test"};
    char *buffer = malloc(VALUE_MAX_BYTES + 1), *got = malloc(VALUE_MAX_BYTES + 1);
    must_be(buffer && got, "out of memory");
    fill_pattern(buffer, VALUE_MAX_BYTES, 0, 1);
    for (size_t i = 0; i < (geteuid() ? 1 : COUNT(names)); i++) {
        put_file("file", "x");
        int rc = setxattr("file", names[i], buffer, value->size, 0);
        if (rc && errno == ENOSPC && value->size > 3000)
            posix_skip("no space for %zu bytes", value->size);
        must(rc);
        must_equal(getxattr("file", names[i], NULL, 0), value->size);
        must_equal(getxattr("file", names[i], got, VALUE_MAX_BYTES), value->size);
        must_be(!memcmp(got, buffer, value->size), "%s: the value came back changed", names[i]);
        if (value->size > 1)
            must_fail(ERANGE, getxattr("file", names[i], got, value->size - 1));
        must(setxattr("file", names[i], "shorter", 7, XATTR_REPLACE));
        must_equal(getxattr("file", names[i], got, VALUE_MAX_BYTES), 7);
        must(removexattr("file", names[i]));
        must_fail(ENODATA, getxattr("file", names[i], got, VALUE_MAX_BYTES));
        must_fail(ENODATA, removexattr("file", names[i]));
    }
}

static void limits(const void *row) {
    (void)row;
    char name[NAME_MAX_BYTES + 2], buffer[VALUE_MAX_BYTES + 1] = "";
    put_file("file", "x");
    memset(name, 'n', sizeof name);
    memcpy(name, "user.", 5);
    name[NAME_MAX_BYTES] = '\0';
    must(setxattr("file", name, "v", 1, 0));
    must_equal(getxattr("file", name, buffer, 10), 1);
    must(removexattr("file", name));
    name[NAME_MAX_BYTES] = 'n';
    name[NAME_MAX_BYTES + 1] = '\0';
    must_fail(ERANGE, setxattr("file", name, "v", 1, 0));
    must_fail(ERANGE, getxattr("file", name, buffer, 10));
    must_fail(ERANGE, removexattr("file", name));
    must_fail(ERANGE, setxattr("file", "", "v", 1, 0));
    must_fail(E2BIG, setxattr("file", "user.x", buffer, VALUE_MAX_BYTES + 1, 0));
    must_equal(listxattr("file", NULL, 0) >= 0, 1);
}

static void flags(const void *row) {
    (void)row;
    char buffer[16];
    put_file("file", "x");
    must_fail(ENODATA, setxattr("file", "user.x", "v", 1, XATTR_REPLACE));
    must(setxattr("file", "user.x", "first", 5, XATTR_CREATE));
    must_fail(EEXIST, setxattr("file", "user.x", "second", 6, XATTR_CREATE));
    must_equal(getxattr("file", "user.x", buffer, sizeof buffer), 5);
    must(setxattr("file", "user.x", "third!", 6, XATTR_REPLACE));
    must_equal(getxattr("file", "user.x", buffer, sizeof buffer), 6);
    must_fail(EINVAL, setxattr("file", "user.x", "v", 1, 8));
    must_fail(EEXIST, setxattr("file", "user.x", "v", 1, XATTR_CREATE | XATTR_REPLACE));
}

static void namespaces(const void *row) {
    (void)row;
    char buffer[16];
    put_file("file", "x");
    must_fail(EOPNOTSUPP, setxattr("file", "unknown.x", "v", 1, 0));
    must_fail(EOPNOTSUPP, getxattr("file", "unknown.x", buffer, sizeof buffer));
    must_fail(EOPNOTSUPP, removexattr("file", "unknown.x"));
    must_fail(EOPNOTSUPP, setxattr("file", "plain", "v", 1, 0));
    must_fail(EOPNOTSUPP, setxattr("file", "system.unknown", "v", 1, 0));
    must_fail(EINVAL, setxattr("file", "user.", "v", 1, 0));
}

static bool listed(const char *path, const char *name) {
    char list[8192];
    ssize_t length = must(listxattr(path, list, sizeof list));
    for (char *at = list; at < list + length; at += strlen(at) + 1) {
        if (!strcmp(at, name))
            return true;
    }
    return false;
}

/* What can be set can be listed: nothing that copies files would tell of names that no list has. */
static void lists_whatever_is_set(const void *row) {
    (void)row;
    static char list[XATTR_LIST_MAX];
    char name[XATTR_NAME_MAX + 1];
    int set = 0;
    put_file("file", "x");
    for (; set < 1000; set++) {
        snprintf(name, sizeof name, "user.%0200d", set);
        if (setxattr("file", name, "", 0, 0)) {
            must_equal(errno == ENOSPC || errno == E2BIG, 1);
            break;
        }
    }
    must_equal(set > 0 && set < 1000, 1);
    must_equal(listxattr("file", list, sizeof list) >= set * 206, 1);
}

static void lists(const void *row) {
    (void)row;
    char name[32], value[32], list[8192], got[32];
    put_file("file", "x");
    ssize_t before = must(listxattr("file", NULL, 0));
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "user.name%02d", i);
        snprintf(value, sizeof value, "value %d", i);
        must(setxattr("file", name, value, strlen(value), 0));
    }
    must_equal(listxattr("file", NULL, 0), before + 60 * 12);
    must_fail(ERANGE, listxattr("file", list, 100));
    must_equal(listxattr("file", list, sizeof list), before + 60 * 12);
    for (int i = 0; i < 60; i += 2) {
        snprintf(name, sizeof name, "user.name%02d", i);
        must(removexattr("file", name));
    }
    for (int i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "user.name%02d", i);
        snprintf(value, sizeof value, "value %d", i);
        must_equal(listed("file", name), i % 2);
        if (i % 2) {
            must_equal(getxattr("file", name, got, sizeof got), strlen(value));
            must_be(!memcmp(got, value, strlen(value)), "%s: the value came back changed", name);
        }
    }
}

static void of_each_type(const void *row) {
    (void)row;
    char buffer[16];
    put_file("file", "x");
    must(mkdir("directory", 0755));
    must(symlink("file", "link"));
    must(mkfifo("fifo", 0644));
    must(setxattr("directory", "user.x", "d", 1, 0));
    must(setxattr("link", "user.x", "f", 1, 0)); /* of the file */
    must_equal(getxattr("file", "user.x", buffer, sizeof buffer), 1);
    must_fail(EPERM, lsetxattr("link", "user.x", "l", 1, 0));
    must_fail(EPERM, setxattr("fifo", "user.x", "p", 1, 0));
    must_equal(llistxattr("link", NULL, 0) >= 0, 1);
    int fd = must(open("file", O_RDONLY));
    must(fsetxattr(fd, "user.y", "2", 1, 0));
    must_equal(fgetxattr(fd, "user.y", buffer, sizeof buffer), 1);
    must(unlink("file"));
    must_equal(fgetxattr(fd, "user.y", buffer, sizeof buffer), 1);
    must(fsetxattr(fd, "user.z", "3", 1, 0));
    must(fremovexattr(fd, "user.y"));
    must_equal(fgetxattr(fd, "user.z", buffer, sizeof buffer), 1);
    need_root();
    must(lsetxattr("link", "trusted.x", "l", 1, 0));
    must_equal(lgetxattr("link", "trusted.x", buffer, sizeof buffer), 1);
    must(setxattr("fifo", "trusted.x", "p", 1, 0));
    must_equal(getxattr("fifo", "trusted.x", buffer, sizeof buffer), 1);
}

static void permissions(const void *row) {
    (void)row;
    char buffer[16];
    need_root();
    must(chmod(".", 0777));
    put_file("file", "x");
    must(chown("file", ALICE, STAFF));
    must(chmod("file", 0640));
    must(setxattr("file", "user.x", "v", 1, 0));
    must(setxattr("file", "trusted.x", "v", 1, 0));
    must(mkdir("sticky", 0755));
    must(chown("sticky", ALICE, STAFF));
    must(chmod("sticky", 01777));
    become(BOB, VISITORS);
    must_fail(EACCES, getxattr("file", "user.x", buffer, sizeof buffer));
    must_fail(EACCES, setxattr("file", "user.x", "v", 1, 0));
    must_fail(EACCES, removexattr("file", "user.x"));
    must_fail(EPERM, setxattr("sticky", "user.x", "v", 1, 0));
    become(BOB, STAFF); /* may read */
    must_equal(getxattr("file", "user.x", buffer, sizeof buffer), 1);
    must_fail(EACCES, setxattr("file", "user.x", "v", 1, 0));
    must_fail(ENODATA, getxattr("file", "trusted.x", buffer, sizeof buffer));
    must_fail(EPERM, setxattr("file", "trusted.x", "v", 1, 0));
    must_fail(EPERM, removexattr("file", "trusted.x"));
    must_be(!listed("file", "trusted.x"), "a user sees a trusted attribute in the list");
    must_be(listed("file", "user.x"), "the list lacks a user attribute");
    become(ALICE, STAFF);
    must(setxattr("file", "user.x", "w", 1, 0));
    must_fail(EPERM, setxattr("file", "security.x", "v", 1, 0));
    become(0, 0);
    must(setxattr("file", "security.x", "v", 1, 0));
    become(BOB, STAFF);
    must_equal(getxattr("file", "security.x", buffer, sizeof buffer), 1); /* whoever may look */
}

static void follow_their_file(const void *row) {
    (void)row;
    char buffer[16];
    put_file("file", "x");
    must(setxattr("file", "user.x", "v", 1, 0));
    must(link("file", "second"));
    must(rename("file", "moved"));
    must_equal(getxattr("second", "user.x", buffer, sizeof buffer), 1);
    must_equal(getxattr("moved", "user.x", buffer, sizeof buffer), 1);
    must(removexattr("second", "user.x"));
    must_fail(ENODATA, getxattr("moved", "user.x", buffer, sizeof buffer));
    put_file("file", "new");
    must_equal(listxattr("file", NULL, 0), listxattr("moved", NULL, 0));
    must(setxattr("moved", "user.y", "v", 1, 0));
    must(rename("file", "moved"));
    must_fail(ENODATA, getxattr("moved", "user.y", buffer, sizeof buffer));
}

/* ---- file capabilities ---- */

static void set_capability(const char *path) {
    struct vfs_cap_data capability = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                      .data = {{.permitted = 1U << CAP_NET_RAW}}};
    must(setxattr(path, "security.capability", &capability, sizeof capability, 0));
}

static bool has_capability(const char *path) {
    char buffer[64];
    ssize_t length = getxattr(path, "security.capability", buffer, sizeof buffer);
    must_be(length > 0 || errno == ENODATA, "getxattr of security.capability: got %s", strerrorname_np(errno));
    return length > 0;
}

static void capabilities_are_dropped(const void *row) {
    (void)row;
    need_root();
    put_file("file", "text");
    must(chmod("file", 0777));
    char byte;
    int fd = must(open("file", O_RDWR));
    set_capability("file");
    must_equal(pread(fd, &byte, 1, 0), 1);
    must_be(has_capability("file"), "reading took the capability");
    must(rename("file", "moved"));
    must(chmod("moved", 0755));
    must_be(has_capability("moved"), "rename or chmod took the capability");
    must(chmod("moved", 0777));
    must(chown("moved", ALICE, STAFF));
    must_be(!has_capability("moved"), "chown left the capability");
    set_capability("moved");
    must_equal(pwrite(fd, "x", 1, 0), 1);
    must_be(!has_capability("moved"), "write by root left the capability");
    set_capability("moved");
    must(ftruncate(fd, 1));
    must_be(!has_capability("moved"), "truncate left the capability");
    set_capability("moved");
    become(BOB, VISITORS);
    must_equal(pwrite(fd, "x", 1, 0), 1);
    become(0, 0);
    must_be(!has_capability("moved"), "write by a user left the capability");
}

static const struct posix_case cases[] = {
    {"limits", limits},
    {"flags", flags},
    {"namespaces", namespaces},
    {"lists", lists},
    {"lists-whatever-is-set", lists_whatever_is_set},
    {"of-each-type", of_each_type},
    {"permissions", permissions},
    {"follow-their-file", follow_their_file},
    {"capabilities-are-dropped", capabilities_are_dropped},
};

void posix_xattr(void) {
    char name[64];
    for (size_t i = 0; i < COUNT(values); i++) {
        snprintf(name, sizeof name, "value-%s", values[i].name);
        posix_case("xattr", name, set_value, &values[i]);
    }
    posix_cases("xattr", cases, COUNT(cases));
}
