/* POSIX ACLs: what they allow, how they and the mode keep in step, what new objects inherit.
 *
 * They are set and read as the kernel's attributes, system.posix_acl_access and system.posix_acl_default: a version word and entries.
 * Here an ACL is written as text, an entry a word: u:7 u64001:6 g:5 g64011:4 m:7 o:0.
 */
#include "tests/posix.h"

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/xattr.h>

#define ACCESS  "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"
#define ENTRIES 16

struct acl {
    struct posix_acl_xattr_header header;
    struct posix_acl_xattr_entry entries[ENTRIES];
};

/* Its size in bytes. */
static size_t parse(const char *text, struct acl *acl) {
    size_t count = 0;
    acl->header.a_version = POSIX_ACL_XATTR_VERSION;
    while (*text) {
        char *end;
        char kind = *text++;
        unsigned long id = strtoul(text, &end, 10);
        bool named = end != text;
        uint16_t tag = kind == 'u'   ? (named ? ACL_USER : ACL_USER_OBJ)
                       : kind == 'g' ? (named ? ACL_GROUP : ACL_GROUP_OBJ)
                       : kind == 'm' ? ACL_MASK
                                     : ACL_OTHER;
        unsigned long permissions = strtoul(end + 1, &end, 10);
        acl->entries[count++] = (struct posix_acl_xattr_entry){
            .e_tag = tag, .e_perm = (uint16_t)permissions, .e_id = named ? (uint32_t)id : UINT32_MAX};
        text = *end == ' ' ? end + 1 : end;
    }
    return sizeof acl->header + count * sizeof *acl->entries;
}

static int set_acl(const char *path, const char *name, const char *text) {
    struct acl acl;
    size_t size = parse(text, &acl);
    int rc = setxattr(path, name, &acl, size, 0);
    if (rc && errno == EOPNOTSUPP)
        posix_skip("no ACLs here");
    return rc;
}

static void must_have_acl(const char *path, const char *name, const char *text) {
    struct acl expected, got;
    ssize_t length = getxattr(path, name, &got, sizeof got);
    if (!text) {
        must_be(length == -1 && errno == ENODATA, "%s of %s: expected none, got %zd bytes %s", name, path, length,
                length < 0 ? strerrorname_np(errno) : "");
        return;
    }
    size_t size = parse(text, &expected);
    must_be(length == (ssize_t)size && !memcmp(&expected, &got, size),
            "%s of %s: expected %s, got something else (%zd bytes)", name, path, text, length);
}

static mode_t mode_of(const char *path) {
    return status_of(path).st_mode & 07777;
}

/* ---- a table: an ACL, a user, and what that user may do ---- */

struct decision {
    const char *name, *acl;
    uid_t uid;
    gid_t gid, other_group;
    unsigned allowed;
};

/* The file is ALICE's, of group STAFF. */
static const struct decision decisions[] = {
    {"owner-by-own-entry", "u:4 u64001:7 g:7 m:7 o:7", ALICE, STAFF, 0, 4},
    {"owner-not-masked", "u:7 g:7 m:0 o:7", ALICE, STAFF, 0, 7},
    {"named-user", "u:7 u64002:6 g:0 m:7 o:0", BOB, VISITORS, 0, 6},
    {"named-user-masked", "u:7 u64002:6 g:0 m:4 o:7", BOB, VISITORS, 0, 4},
    {"named-user-before-groups", "u:7 u64002:0 g:7 m:7 o:7", BOB, STAFF, 0, 0},
    {"other-user-is-not-named", "u:7 u64003:7 g:0 m:7 o:1", BOB, VISITORS, 0, 1},
    {"group", "u:7 u64003:7 g:5 m:7 o:0", BOB, STAFF, 0, 5},
    {"group-masked", "u:7 u64003:7 g:5 m:1 o:7", BOB, STAFF, 0, 1},
    {"named-group", "u:7 g:0 g64012:6 m:7 o:0", BOB, VISITORS, 0, 6},
    {"named-group-masked", "u:7 g:0 g64012:6 m:2 o:0", BOB, VISITORS, 0, 2},
    {"named-group-supplementary", "u:7 g:0 g64012:4 m:7 o:0", BOB, 12345, VISITORS, 4},
    {"group-before-other", "u:7 g:0 g64012:0 m:7 o:7", BOB, VISITORS, 0, 0},
    {"other-not-masked", "u:7 u64003:7 g:0 m:0 o:6", BOB, VISITORS, 0, 6},
    {"one-group-of-two-suffices", "u:7 g:0 g64012:6 m:7 o:0", BOB, STAFF, VISITORS, 6},
};

static void decide(const void *row) {
    const struct decision *decision = row;
    need_root();
    put_file("file", "x");
    must(chown("file", ALICE, STAFF));
    must(set_acl("file", ACCESS, decision->acl));
    if (decision->other_group)
        become_member(decision->uid, decision->gid, decision->other_group);
    else
        become(decision->uid, decision->gid);
    for (unsigned bit = 1; bit < 8; bit *= 2) {
        int rc = faccessat(AT_FDCWD, "file", (int)bit, AT_EACCESS);
        must_be(rc == 0 ? decision->allowed & bit : !(decision->allowed & bit) && errno == EACCES,
                "access to %u: expected %s, got %s", bit, decision->allowed & bit ? "success" : "EACCES",
                rc ? strerrorname_np(errno) : "success");
    }
    int fd = open("file", O_RDONLY);
    must_be((fd >= 0) == !!(decision->allowed & 4), "open for reading: got %s",
            fd < 0 ? strerrorname_np(errno) : "success");
    fd = open("file", O_WRONLY);
    must_be((fd >= 0) == !!(decision->allowed & 2), "open for writing: got %s",
            fd < 0 ? strerrorname_np(errno) : "success");
}

/* ---- ACL and mode ---- */

static void sets_the_mode(const void *row) {
    (void)row;
    put_file("file", "x");
    must(set_acl("file", ACCESS, "u:6 u64001:7 g:4 m:5 o:1"));
    must_equal(mode_of("file"), 0651); /* the mask shows as the group's bits */
    must_have_acl("file", ACCESS, "u:6 u64001:7 g:4 m:5 o:1");
    must(chmod("file", 0726));
    must_have_acl("file", ACCESS, "u:7 u64001:7 g:4 m:2 o:6");
    must(removexattr("file", ACCESS));
    must_have_acl("file", ACCESS, NULL);
    must(chmod("file", 06755));
    must(set_acl("file", ACCESS, "u:7 u64001:7 g:4 m:5 o:1"));
    must_equal(mode_of("file") & 0777, 0751);
}

static void minimal_is_no_acl(const void *row) {
    (void)row;
    put_file("file", "x");
    must(set_acl("file", ACCESS, "u:6 u64001:7 g:4 m:5 o:1"));
    must(set_acl("file", ACCESS, "u:7 g:5 o:4"));
    must_equal(mode_of("file"), 0754);
    must_have_acl("file", ACCESS, NULL);
    char list[256];
    ssize_t length = must(listxattr("file", list, sizeof list));
    must_be(!memmem(list, (size_t)length, "posix_acl", 9), "a minimal ACL is listed");
    /* A mask without anything to mask is kept. */
    must(set_acl("file", ACCESS, "u:7 g:5 m:4 o:4"));
    must_equal(mode_of("file"), 0744);
    must_have_acl("file", ACCESS, "u:7 g:5 m:4 o:4");
}

static void moves_ctime(const void *row) {
    (void)row;
    put_file("file", "x");
    must(mkdir("directory", 0755));
    struct stat before = status_of("file"), directory_before = status_of("directory");
    let_time_pass();
    must(set_acl("file", ACCESS, "u:6 u64001:7 g:4 m:5 o:1"));
    must(set_acl("directory", DEFAULT, "u:6 u64001:7 g:4 m:5 o:1"));
    must_be(compare_times(before.st_ctim, status_of("file").st_ctim) < 0, "ctime of the file did not move");
    must_equal(compare_times(before.st_mtim, status_of("file").st_mtim), 0);
    must_be(compare_times(directory_before.st_ctim, status_of("directory").st_ctim) < 0,
            "ctime of the directory did not move");
    must_equal(mode_of("directory"), 0755); /* a default ACL is not about the directory */
}

static void refusals(const void *row) {
    (void)row;
    struct acl acl;
    put_file("file", "x");
    must(mkdir("directory", 0755));
    must(symlink("file", "link"));
    must(set_acl("file", ACCESS, "u:6 g:4 o:1"));
    static const char *const bad[] = {
        "u:6 u64001:7 g:4 o:1", /* a named user, and no mask */
        "u:6 g:4",              /* no other */
        "g:4 o:4",              /* no owner */
        "u:6 u:6 g:4 o:1",      /* twice */
        "u:9 g:4 o:1",          /* not permissions */
        "o:1 g:4 u:6",          /* not in order */
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        must_be(set_acl("file", ACCESS, bad[i]) == -1 && errno == EINVAL, "%s: expected EINVAL", bad[i]);
    size_t size = parse("u:6 g:4 o:1", &acl);
    acl.header.a_version = 1;
    must_fail(EOPNOTSUPP, setxattr("file", ACCESS, &acl, size, 0));
    acl.header.a_version = POSIX_ACL_XATTR_VERSION;
    must_fail(EINVAL, setxattr("file", ACCESS, &acl, size - 1, 0));
    must_fail(EINVAL, setxattr("file", ACCESS, &acl, 3, 0));
    must_fail(EACCES, setxattr("file", DEFAULT, &acl, size, 0)); /* only directories have one */
    must_fail(EOPNOTSUPP, lsetxattr("link", ACCESS, &acl, size, 0));
    must_have_acl("file", ACCESS, NULL);
    need_root();
    become(ALICE, STAFF);
    must_fail(EPERM, setxattr("file", ACCESS, &acl, size, 0));
    must_fail(EPERM, setxattr("directory", DEFAULT, &acl, size, 0));
    must_fail(EPERM, removexattr("file", ACCESS));
}

static void of_a_group_one_is_not_in(const void *row) {
    (void)row;
    need_root();
    put_file("file", "x");
    must(chown("file", ALICE, VISITORS));
    must(chmod("file", 02755));
    become(ALICE, STAFF);
    must(set_acl("file", ACCESS, "u:7 u64002:7 g:5 m:7 o:5"));
    must_equal(mode_of("file"), 0775); /* setgid is gone, as by chmod */
}

/* ---- inheritance ---- */

/* A default ACL, what is asked for, and what the new file has. */
struct inheritance {
    const char *name, *acl;
    mode_t asked, mode;
    const char *access; /* NULL: the mode says all */
};

static const struct inheritance inheritances[] = {
    {"minimal", "u:7 g:5 o:5", 0666, 0644, NULL},
    {"minimal-ignores-umask", "u:7 g:7 o:7", 0666, 0666, NULL},
    {"minimal-narrower", "u:6 g:0 o:0", 0777, 0600, NULL},
    {"named-user", "u:7 u64001:7 g:5 m:7 o:5", 0666, 0664, "u:6 u64001:7 g:5 m:6 o:4"},
    {"mask-takes-the-group's-bits", "u:7 u64001:7 g:7 m:7 o:7", 0604, 0604, "u:6 u64001:7 g:7 m:0 o:4"},
    {"mask-stays", "u:7 g:7 m:5 o:0", 0777, 0750, "u:7 g:7 m:5 o:0"},
    {"nothing-asked", "u:7 u64001:7 g:7 m:7 o:7", 0, 0, "u:0 u64001:7 g:7 m:0 o:0"},
};

static void inherit(const void *row) {
    const struct inheritance *what = row;
    umask(077); /* which must not count */
    must(mkdir("directory", 0755));
    must(set_acl("directory", DEFAULT, what->acl));
    must(close(must(open("directory/file", O_CREAT | O_WRONLY, what->asked))));
    must_equal(mode_of("directory/file"), what->mode);
    must_have_acl("directory/file", ACCESS, what->access);
    must(mkfifo("directory/fifo", what->asked));
    must_equal(mode_of("directory/fifo"), what->mode);
    must_have_acl("directory/fifo", ACCESS, what->access);
    must(mkdir("directory/inner", what->asked));
    must_equal(mode_of("directory/inner"), what->mode);
    must_have_acl("directory/inner", ACCESS, what->access);
    must_have_acl("directory/inner", DEFAULT, what->acl);
    must(symlink("file", "directory/link"));
    must_equal(status_of("directory/link").st_mode & 0777, 0777);
    must(chmod("directory/inner", 0755));
    must(mkdir("directory/inner/deep", 0777));
    must_have_acl("directory/inner/deep", DEFAULT, what->acl);
    must(removexattr("directory", DEFAULT));
    must_have_acl("directory", DEFAULT, NULL);
    must(close(must(open("directory/plain", O_CREAT | O_WRONLY, 0666))));
    must_equal(mode_of("directory/plain"), 0600);
    must_have_acl("directory/plain", ACCESS, NULL);
}

static void default_acl(const void *row) {
    (void)row;
    must(mkdir("directory", 0755));
    must(set_acl("directory", DEFAULT, "u:7 u64001:7 g:5 m:7 o:5"));
    must_have_acl("directory", DEFAULT, "u:7 u64001:7 g:5 m:7 o:5");
    must_have_acl("directory", ACCESS, NULL);
    must(set_acl("directory", DEFAULT, "u:7 g:5 o:5")); /* minimal, and kept: it replaces the umask */
    must_have_acl("directory", DEFAULT, "u:7 g:5 o:5");
    struct acl empty;
    must(setxattr("directory", DEFAULT, &empty, parse("", &empty), 0)); /* without entries: removed */
    must_have_acl("directory", DEFAULT, NULL);
}

/* It is the mode that says the same, so nothing is missing. */
static void removing_none(const void *row) {
    (void)row;
    put_file("file", "x");
    must(mkdir("directory", 0755));
    must(set_acl("file", ACCESS, "u:6 g:4 o:0"));
    must(removexattr("file", ACCESS));
    must(removexattr("file", DEFAULT));
    must(removexattr("directory", ACCESS));
    must(removexattr("directory", DEFAULT));
    must_equal(mode_of("file"), 0640);
}

/* An ACL belongs to the file, not to its name. */
static void follows_the_file(const void *row) {
    (void)row;
    put_file("file", "x");
    must(set_acl("file", ACCESS, "u:6 u64001:7 g:4 m:5 o:1"));
    must(link("file", "second"));
    must(rename("file", "moved"));
    must_have_acl("moved", ACCESS, "u:6 u64001:7 g:4 m:5 o:1");
    must(chmod("second", 0600));
    must_have_acl("moved", ACCESS, "u:6 u64001:7 g:4 m:0 o:0");
    int fd = must(open("moved", O_RDWR));
    must_equal(write(fd, "y", 1), 1);
    must(fsync(fd));
    must_have_acl("moved", ACCESS, "u:6 u64001:7 g:4 m:0 o:0");
}

static const struct posix_case cases[] = {
    {"sets-the-mode", sets_the_mode},
    {"minimal-is-no-acl", minimal_is_no_acl},
    {"moves-ctime", moves_ctime},
    {"refusals", refusals},
    {"of-a-group-one-is-not-in", of_a_group_one_is_not_in},
    {"default", default_acl},
    {"removing-none", removing_none},
    {"follows-the-file", follows_the_file},
};

void posix_acl(void) {
    char name[64];
    for (size_t i = 0; i < COUNT(decisions); i++) {
        snprintf(name, sizeof name, "decides-%s", decisions[i].name);
        posix_case("acl", name, decide, &decisions[i]);
    }
    for (size_t i = 0; i < COUNT(inheritances); i++) {
        snprintf(name, sizeof name, "inherits-%s", inheritances[i].name);
        posix_case("acl", name, inherit, &inheritances[i]);
    }
    posix_cases("acl", cases, COUNT(cases));
}
