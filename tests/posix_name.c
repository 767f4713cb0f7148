/* Names: mkdir, rmdir, link, unlink, symlink, mknod, and the link counts that they leave. */
#include "tests/posix.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

/* ---- each type of file ---- */

struct type {
    const char *name;
    mode_t type;
    dev_t device;
};

static const struct type types[] = {
    {"regular", S_IFREG, 0},      {"fifo", S_IFIFO, 0},
    {"socket", S_IFSOCK, 0},      {"character-device", S_IFCHR, 0x103},
    {"block-device", S_IFBLK, 0}, {"large-device", S_IFCHR, 0},
};

static void make_type(const void *row) {
    const struct type *type = row;
    dev_t device = !strcmp(type->name, "large-device")   ? makedev(4000, 1000000)
                   : !strcmp(type->name, "block-device") ? makedev(7, 200)
                                                         : type->device;
    if (type->type == S_IFCHR || type->type == S_IFBLK)
        need_root();
    struct stat before = status_of(".");
    must(mknod("node", type->type | 0640, device));
    struct stat st = status_of("node");
    must_equal(st.st_mode, type->type | 0640);
    must_equal(st.st_nlink, 1);
    must_equal(st.st_size, 0);
    must_equal(st.st_rdev, device);
    must_equal(st.st_uid, geteuid());
    must_equal(status_of(".").st_nlink, before.st_nlink);
    must_fail(EEXIST, mknod("node", type->type | 0640, device));
    must(link("node", "second"));
    must_equal(status_of("second").st_ino, st.st_ino);
    must_equal(status_of("second").st_nlink, 2);
    must_equal(status_of("second").st_rdev, device);
    must(rename("node", "third"));
    must(chmod("third", 0600));
    must_equal(status_of("second").st_mode, type->type | 0600);
    must(unlink("third"));
    must_equal(status_of("second").st_nlink, 1);
    must(unlink("second"));
    must_be(!exists("second"), "unlinked, and still there");
}

static void refused_types(const void *row) {
    (void)row;
    must_fail(EPERM, mknod("node", S_IFDIR | 0755, 0));
    must_fail(EINVAL, mknod("node", S_IFLNK | 0755, 0));
    must(mknod("node", 0600, 0)); /* no type: a regular file */
    must_equal(status_of("node").st_mode, S_IFREG | 0600);
    need_root();
    must(chmod(".", 0777));
    become(ALICE, STAFF);
    must_fail(EPERM, mknod("device", S_IFCHR | 0600, 0x103));
    must_fail(EPERM, mknod("device", S_IFBLK | 0600, 0x103));
    must(mknod("fifo", S_IFIFO | 0600, 0));
    must(mknod("socket", S_IFSOCK | 0600, 0));
}

static void sockets(const void *row) {
    (void)row;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    char text[8] = "";
    int server = must(socket(AF_UNIX, SOCK_STREAM, 0)), client = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must(bind(server, (struct sockaddr *)&address, sizeof address));
    must_be(S_ISSOCK(status_of("socket").st_mode), "bind: expected a socket");
    must_fail(ENXIO, open("socket", O_RDWR));
    must_fail(ECONNREFUSED, connect(client, (struct sockaddr *)&address, sizeof address));
    must(listen(server, 1));
    must(connect(client, (struct sockaddr *)&address, sizeof address));
    int accepted = must(accept(server, NULL, NULL));
    must_equal(write(client, "hello", 5), 5);
    must_equal(read(accepted, text, sizeof text), 5);
    int other = must(socket(AF_UNIX, SOCK_STREAM, 0));
    must_fail(EADDRINUSE, bind(other, (struct sockaddr *)&address, sizeof address));
    must(rename("socket", "moved"));
    must_fail(ENOENT, connect(other, (struct sockaddr *)&address, sizeof address));
    must(unlink("moved"));
}

/* ---- directories ---- */

static void mkdir_modes(const void *row) {
    (void)row;
    static const struct {
        mode_t umask, mode, result;
    } rows[] = {{022, 0777, 0755}, {077, 0777, 0700}, {0, 0, 0}, {0, 01777, 01777}, {027, 0777, 0750}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        umask(rows[i].umask);
        must(mkdir("directory", rows[i].mode));
        must_equal(status_of("directory").st_mode, S_IFDIR | rows[i].result);
        must(rmdir("directory"));
    }
}

static void directory_links(const void *row) {
    (void)row;
    must(mkdir("a", 0755));
    must_equal(status_of("a").st_nlink, 2);
    must(mkdir("a/b", 0755));
    must(mkdir("a/c", 0755));
    must_equal(status_of("a").st_nlink, 4);
    put_file("a/file", "x");
    must(symlink("b", "a/link"));
    must_equal(status_of("a").st_nlink, 4);
    must(rename("a/b", "b"));
    must_equal(status_of("a").st_nlink, 3);
    must(rename("b", "a/c/b"));
    must_equal(status_of("a/c").st_nlink, 3);
    must_equal(status_of("a/c/b/..").st_ino, status_of("a/c").st_ino);
    must(rmdir("a/c/b"));
    must_equal(status_of("a/c").st_nlink, 2);
    must(rmdir("a/c"));
    must_equal(status_of("a").st_nlink, 2);
}

static void rmdir_refusals(const void *row) {
    (void)row;
    must(mkdir("a", 0755));
    must(mkdir("a/b", 0755));
    put_file("file", "x");
    must(symlink("a", "link"));
    must_fail(ENOTEMPTY, rmdir("a"));
    must_fail(EINVAL, rmdir("a/."));
    must_fail(ENOTEMPTY, rmdir("a/b/.."));
    must_fail(ENOTDIR, rmdir("file"));
    must_fail(ENOTDIR, rmdir("link"));
    must_fail(ENOTDIR, rmdir("link/"));
    must_fail(ENOENT, rmdir("a/c"));
    must_fail(EISDIR, unlink("a"));
    must_fail(EISDIR, unlink("a/b"));
    must_fail(ENOTDIR, unlinkat(AT_FDCWD, "file", AT_REMOVEDIR));
    must_fail(EINVAL, unlinkat(AT_FDCWD, "file", 0x4000));
    must_fail(ENOTDIR, unlink("file/"));
    put_file("a/b/file", "x");
    must_fail(ENOTEMPTY, rmdir("a/b"));
    must(unlink("a/b/file"));
    must(rmdir("a/b"));
    must(rmdir("a/"));
}

static void names_with_slash(const void *row) {
    (void)row;
    must(mkdir("a/", 0755));
    must_fail(EEXIST, mkdir("a/", 0755));
    must_fail(EEXIST, mkdir("a/.", 0755));
    must_fail(EEXIST, mkdir("a/..", 0755));
    must_fail(ENOENT, mkdir("b/.", 0755));
    put_file("file", "x");
    must_fail(EEXIST, mkdir("file/", 0755));
    must_fail(ENOTDIR, link("file/", "x"));
    must_fail(ENOENT, link("file", "x/"));
    must_fail(ENOENT, symlink("file", "x/"));
    must_fail(ENOENT, mkfifo("x/", 0644));
    must(rename("a/", "b/"));
    must_fail(ENOTDIR, rename("file", "x/"));
}

/* ---- links ---- */

static void hard_links(const void *row) {
    (void)row;
    put_file("a", "content");
    must(mkdir("directory", 0755));
    must(link("a", "directory/b"));
    must(link("directory/b", "c"));
    struct stat a = status_of("a"), b = status_of("directory/b"), c = status_of("c");
    must_equal(a.st_nlink, 3);
    must_equal(b.st_ino, a.st_ino);
    must_equal(c.st_nlink, 3);
    must(chmod("c", 0600));
    must_equal(status_of("a").st_mode & 07777, 0600);
    put_file("directory/b", "changed");
    must_contain("a", "changed");
    must(unlink("a"));
    must_equal(status_of("c").st_nlink, 2);
    must(unlink("directory/b"));
    must_equal(status_of("c").st_nlink, 1);
    must_contain("c", "changed");
}

static void link_refusals(const void *row) {
    (void)row;
    put_file("file", "x");
    put_file("other", "y");
    must(mkdir("directory", 0755));
    must(symlink("nothing", "dangling"));
    must_fail(EPERM, link("directory", "x"));
    must_fail(EPERM, link(".", "x"));
    must_fail(EEXIST, link("file", "other"));
    must_fail(EEXIST, link("file", "file"));
    must_fail(EEXIST, link("file", "directory"));
    must_fail(EEXIST, link("file", "dangling"));
    must_fail(EEXIST, link("file", "."));
    must_fail(ENOENT, linkat(AT_FDCWD, "dangling", AT_FDCWD, "x", AT_SYMLINK_FOLLOW));
    must_fail(EINVAL, linkat(AT_FDCWD, "file", AT_FDCWD, "x", 0x40000));
    must_equal(status_of("file").st_nlink, 1);
}

static void link_of_symlinks(const void *row) {
    (void)row;
    char target[16] = "";
    put_file("file", "x");
    must(symlink("file", "link"));
    must(linkat(AT_FDCWD, "link", AT_FDCWD, "the-link", 0));
    must(linkat(AT_FDCWD, "link", AT_FDCWD, "the-file", AT_SYMLINK_FOLLOW));
    must_equal(status_of("the-link").st_ino, status_of("link").st_ino);
    must_equal(status_of("link").st_nlink, 2);
    must_equal(status_of("the-file").st_ino, status_of("file").st_ino);
    must(unlink("link"));
    must_equal(readlink("the-link", target, sizeof target), 4);
}

/* ext4's limit is 65,000; whoever has a higher one is free to. */
static void many_links(const void *row) {
    (void)row;
    char name[16];
    put_file("file", "x");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "l%d", i);
        must(link("file", name));
    }
    must_equal(status_of("l500").st_nlink, 1001);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "l%d", i);
        must(unlink(name));
    }
    must_equal(status_of("file").st_nlink, 1);
}

static void symlink_lengths(const void *row) {
    (void)row;
    static const size_t lengths[] = {1, 59, 60, 61, 255, 256, 1023, 1024, 4000, PATH_MAX - 1};
    char target[PATH_MAX + 1], read_back[PATH_MAX + 1];
    for (size_t i = 0; i < COUNT(lengths); i++) {
        memset(target, 'a' + (int)i, lengths[i]);
        target[lengths[i]] = '\0';
        must(symlink(target, "link"));
        must_equal(status_of("link").st_size, lengths[i]);
        must_be(S_ISLNK(status_of("link").st_mode), "expected a symlink");
        must_equal(readlink("link", read_back, sizeof read_back), lengths[i]);
        must_be(!memcmp(target, read_back, lengths[i]), "a target of %zu bytes came back changed", lengths[i]);
        must(unlink("link"));
    }
    memset(target, 'a', PATH_MAX);
    target[PATH_MAX] = '\0';
    must_fail(ENAMETOOLONG, symlink(target, "link"));
    must_fail(ENOENT, symlink("", "link"));
}

static void symlink_details(const void *row) {
    (void)row;
    char buffer[16] = "########";
    must(symlink("/absolute/../target", "link"));
    must_equal(readlink("link", buffer, 4), 4); /* cut short without a word */
    must_be(!memcmp(buffer, "/abs####", 8), "readlink of 4 bytes: got %.8s", buffer);
    must_fail(EINVAL, readlink("link", buffer, 0));
    must_fail(EINVAL, readlink(".", buffer, sizeof buffer));
    umask(0777);
    must(symlink("x", "second"));
    must_equal(status_of("second").st_mode & 0777, 0777);
    must_fail(EOPNOTSUPP, fchmodat(AT_FDCWD, "second", 0600, AT_SYMLINK_NOFOLLOW));
    int fd = must(open("second", O_PATH | O_NOFOLLOW));
    must_equal(readlinkat(fd, "", buffer, sizeof buffer), 1);
}

static void symlinks_lead_on(const void *row) {
    (void)row;
    must(mkdir("a", 0755));
    must(mkdir("a/b", 0755));
    put_file("a/file", "in a");
    put_file("file", "above");
    must(symlink("../file", "a/up"));
    must(symlink("a/b", "to-b"));
    must_contain("a/up", "above");
    must_contain("to-b/../file", "in a");
    must(mkdir("to-b/made", 0755));
    must_be(exists("a/b/made"), "mkdir through a symlink");
    must(rename("a", "moved"));
    must_fail(ENOENT, access("to-b", F_OK));
    must_contain("moved/up", "above");
    must(unlink("to-b"));
    must_be(exists("moved/b"), "unlink of a symlink took its target");
}

static void unlink_leaves_others(const void *row) {
    (void)row;
    put_file("a", "a");
    put_file("b", "b");
    must(symlink("a", "link"));
    must(unlink("link"));
    must_contain("a", "a");
    must(unlink("a"));
    must_fail(ENOENT, unlink("a"));
    must_contain("b", "b");
    put_file("a", "again");
    must_contain("a", "again");
}

/* New objects have an owner, and in a setgid directory the directory's group. */
static void owners(const void *row) {
    (void)row;
    need_root();
    must(chmod(".", 0777));
    must(mkdir("shared", 0));
    must(chown("shared", BOB, VISITORS));
    must(chmod("shared", 02777));
    become(ALICE, STAFF);
    static const struct {
        const char *directory;
        gid_t group;
        mode_t inherited;
    } rows[] = {{".", STAFF, 0}, {"shared", VISITORS, S_ISGID}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        int at = must(open(rows[i].directory, O_RDONLY | O_DIRECTORY));
        struct stat st;
        must(close(must(openat(at, "file", O_CREAT | O_WRONLY, 0644))));
        must(mkdirat(at, "directory", 0755));
        must(mknodat(at, "fifo", S_IFIFO | 0644, 0));
        must(symlinkat("x", at, "link"));
        static const char *const names[] = {"file", "directory", "fifo", "link"};
        for (size_t j = 0; j < COUNT(names); j++) {
            must(fstatat(at, names[j], &st, AT_SYMLINK_NOFOLLOW));
            must_be(st.st_uid == ALICE && st.st_gid == rows[i].group, "%s/%s: expected owner %u:%u, got %u:%u",
                    rows[i].directory, names[j], ALICE, rows[i].group, st.st_uid, st.st_gid);
            must_equal(st.st_mode & S_ISGID, S_ISDIR(st.st_mode) ? rows[i].inherited : 0);
        }
        must(mkdirat(at, "directory/inner", 0755));
        must(fstatat(at, "directory/inner", &st, 0));
        must_equal(st.st_gid, rows[i].group);
        must_equal(st.st_mode & S_ISGID, rows[i].inherited);
    }
}

/* In a setgid directory of a group that one is not in, a new file is not setgid, though it was asked for, if the group may
 * execute it. */
static void setgid_is_not_given_away(const void *row) {
    (void)row;
    need_root();
    must(mkdir("shared", 0));
    must(chown("shared", BOB, VISITORS));
    must(chmod("shared", 02777));
    umask(0);
    become(ALICE, STAFF);
    must(close(must(open("shared/executable", O_CREAT | O_WRONLY, 02775))));
    must_equal(status_of("shared/executable").st_mode & 07777, 0775);
    must(mknod("shared/node", S_IFREG | 02775, 0));
    must_equal(status_of("shared/node").st_mode & 07777, 0775);
    become_member(ALICE, STAFF, VISITORS);
    must(close(must(open("shared/member", O_CREAT | O_WRONLY, 02775))));
    must_equal(status_of("shared/member").st_mode & 07777, 02775);
}

static const struct posix_case cases[] = {
    {"refused-types", refused_types},
    {"sockets", sockets},
    {"mkdir-modes", mkdir_modes},
    {"directory-links", directory_links},
    {"rmdir-refusals", rmdir_refusals},
    {"names-with-slash", names_with_slash},
    {"hard-links", hard_links},
    {"link-refusals", link_refusals},
    {"link-of-symlinks", link_of_symlinks},
    {"many-links", many_links},
    {"symlink-lengths", symlink_lengths},
    {"symlink-details", symlink_details},
    {"symlinks-lead-on", symlinks_lead_on},
    {"unlink-leaves-others", unlink_leaves_others},
    {"owners", owners},
    {"setgid-is-not-given-away", setgid_is_not_given_away},
};

void posix_name(void) {
    char name[64];
    for (size_t i = 0; i < COUNT(types); i++) {
        snprintf(name, sizeof name, "make-%s", types[i].name);
        posix_case("name", name, make_type, &types[i]);
    }
    posix_cases("name", cases, COUNT(cases));
}
