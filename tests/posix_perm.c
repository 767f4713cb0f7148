/* Permission: who may do what, EACCES against EPERM, and the setuid, setgid and sticky bits. */
#include "tests/posix.h"

/* ---- a table: a file's mode, and what each class of user may do with it ---- */

struct who {
    const char *name;
    uid_t uid;
    gid_t gid;
    unsigned shift; /* which bits of the mode are theirs */
};

static const struct who people[] = {
    {"owner", ALICE, STAFF, 6},
    {"group", BOB, STAFF, 3},
    {"other", BOB, VISITORS, 0},
};

static void check_access(const char *path, unsigned allowed) {
    static const struct {
        int flags;
        unsigned needs;
    } opens[] = {{O_RDONLY, 4}, {O_WRONLY, 2}, {O_RDWR, 6}, {O_RDONLY | O_TRUNC, 6}, {O_WRONLY | O_APPEND, 2}};
    for (unsigned mask = 1; mask < 8; mask++) {
        int rc = faccessat(AT_FDCWD, path, (int)mask, AT_EACCESS);
        bool may = (allowed & mask) == mask;
        must_be(rc == 0 ? may : !may && errno == EACCES, "%s: access to mask %u with %u allowed: expected %s, got %s",
                path, mask, allowed, may ? "success" : "EACCES", rc ? strerrorname_np(errno) : "success");
    }
    for (size_t i = 0; i < COUNT(opens); i++) {
        bool may = (allowed & opens[i].needs) == opens[i].needs;
        int fd = open(path, opens[i].flags);
        must_be(fd >= 0 ? may : !may && errno == EACCES,
                "%s: open with flags %#x, with %u allowed: expected %s, got %s", path, (unsigned)opens[i].flags,
                allowed, may ? "success" : "EACCES", fd < 0 ? strerrorname_np(errno) : "success");
        close(fd);
    }
    int rc = truncate(path, 3);
    must_be(rc == 0 ? allowed & 2 : !(allowed & 2) && errno == EACCES, "%s: truncate with %u allowed: got %s", path,
            allowed, rc ? strerrorname_np(errno) : "success");
}

static void modes_of_files(const void *row) {
    const struct who *who = row;
    need_root();
    must(chmod(".", 0777));
    for (unsigned bits = 0; bits < 8; bits++) {
        char name[16];
        snprintf(name, sizeof name, "f%u", bits);
        put_file(name, "text");
        must(chown(name, ALICE, STAFF));
        must(chmod(name, bits << who->shift | (~(07U << who->shift) & 0777)));
        become(who->uid, who->gid);
        check_access(name, bits);
        become(0, 0);
    }
}

static void modes_of_directories(const void *row) {
    const struct who *who = row;
    need_root();
    for (unsigned bits = 0; bits < 8; bits++) {
        bool list = bits & 4, change = (bits & 3) == 3, search = bits & 1;
        char round[16];
        snprintf(round, sizeof round, "r%u", bits);
        must(mkdir(round, 0755));
        must(chdir(round));
        must(mkdir("directory", 0755));
        must(mkdir("directory/old", 0755));
        put_file("directory/file", "x");
        must(chmod("directory/file", 0666));
        must(chown("directory", ALICE, STAFF));
        must(chmod("directory", bits << who->shift | (~(07U << who->shift) & 0777)));
        become(who->uid, who->gid);
        const struct {
            const char *what;
            int rc, error;
            bool may;
        } results[] = {
            {"open", open("directory", O_RDONLY | O_DIRECTORY), errno, list},
            {"stat below", faccessat(AT_FDCWD, "directory/file", F_OK, AT_EACCESS), errno, search},
            {"missing below", faccessat(AT_FDCWD, "directory/missing", F_OK, AT_EACCESS) && errno == ENOENT ? 0 : -1,
             errno, search},
            {"create", open("directory/new", O_CREAT | O_WRONLY, 0644), errno, change},
            {"mkdir", mkdir("directory/made", 0755), errno, change},
            {"symlink", symlink("x", "directory/link"), errno, change},
            {"mkfifo", mkfifo("directory/fifo", 0644), errno, change},
            {"link", link("directory/file", "directory/second"), errno, change},
            {"rename", rename("directory/file", "directory/moved"), errno, change},
            {"unlink", unlink(change ? "directory/moved" : "directory/file"), errno, change},
            {"rmdir", rmdir("directory/old"), errno, change},
            {"chdir", chdir("directory"), errno, search},
        };
        for (size_t i = 0; i < COUNT(results); i++) {
            bool may = results[i].rc >= 0;
            must_be(may == results[i].may && (may || results[i].error == EACCES),
                    "%s with bits %u: expected %s, got %s", results[i].what, bits,
                    results[i].may ? "success" : "EACCES", may ? "success" : strerrorname_np(results[i].error));
        }
        if (search)
            must(chdir(".."));
        become(0, 0);
        must(chdir(".."));
    }
}

/* ---- who may change attributes ---- */

static void only_the_owner_changes_modes(const void *row) {
    (void)row;
    need_root();
    must(chmod(".", 0777));
    put_file("file", "x");
    must(mkdir("directory", 0777));
    must(chown("file", ALICE, STAFF));
    must(chmod("file", 0666));
    become(BOB, STAFF);
    must_fail(EPERM, chmod("file", 0600));
    must_fail(EPERM, chmod("directory", 0600));
    must_fail(EPERM, chown("file", BOB, (gid_t)-1));
    must_fail(EPERM, chown("file", (uid_t)-1, STAFF));
    must_fail(EPERM, open("file", O_RDONLY | O_NOATIME));
    int fd = must(open("file", O_RDWR)); /* an open file gives no more right than its name */
    must_fail(EPERM, fchmod(fd, 0600));
    must_fail(EPERM, fchown(fd, BOB, STAFF));
    must(ftruncate(fd, 0));
    become(ALICE, STAFF);
    must(chmod("file", 0600));
    must_equal(pwrite(fd, "y", 1, 0), 1); /* nor less, later */
    become(BOB, STAFF);
    must_equal(pwrite(fd, "z", 1, 1), 1);
}

static void owners_may_give_to_own_groups(const void *row) {
    (void)row;
    need_root();
    put_file("file", "x");
    must(chown("file", ALICE, STAFF));
    become_member(ALICE, STAFF, VISITORS);
    must(chown("file", (uid_t)-1, VISITORS));
    must(chown("file", ALICE, STAFF));
    must_fail(EPERM, chown("file", BOB, (gid_t)-1));
    must_fail(EPERM, chown("file", (uid_t)-1, 0));
    must_fail(EPERM, chown("file", ALICE, 12345));
    struct stat st = status_of("file");
    must_equal(st.st_uid, ALICE);
    must_equal(st.st_gid, STAFF);
}

static void chown_of_parts(const void *row) {
    (void)row;
    need_root();
    put_file("file", "x");
    must(symlink("file", "link"));
    must(chown("file", ALICE, STAFF));
    must(chown("file", BOB, (gid_t)-1));
    must_equal(status_of("file").st_uid, BOB);
    must_equal(status_of("file").st_gid, STAFF);
    must(chown("file", (uid_t)-1, VISITORS));
    must_equal(status_of("file").st_uid, BOB);
    must_equal(status_of("file").st_gid, VISITORS);
    must(lchown("link", ALICE, STAFF));
    must_equal(status_of("link").st_uid, ALICE);
    must_equal(status_of("file").st_uid, BOB);
    must(chown("link", 0, 0));
    must_equal(status_of("file").st_uid, 0);
    must(chown("file", 4000000000U, 4000000001U));
    must_equal(status_of("file").st_uid, 4000000000U);
    must_equal(status_of("file").st_gid, 4000000001U);
}

/* ---- setuid and setgid ---- */

static void do_write(int fd) {
    must_equal(write(fd, "y", 1), 1);
}
static void do_truncate(int fd) {
    must(ftruncate(fd, 1));
}
static void do_fallocate(int fd) {
    if (fallocate(fd, 0, 0, 5000))
        posix_skip("fallocate: %s", strerrorname_np(errno));
}
static void do_copy(int fd) {
    loff_t from = 0, to = 0;
    int source = must(open("source", O_RDONLY));
    must_equal(copy_file_range(source, &from, fd, &to, 1, 0), 1);
}
static void do_chown(int fd) {
    must(fchown(fd, (uid_t)-1, STAFF));
}
static void do_open_truncate(int fd) {
    (void)fd;
    must(close(must(open("file", O_WRONLY | O_TRUNC))));
}
static void do_read(int fd) {
    char byte;
    must(pread(fd, &byte, 1, 0));
}
static void do_write_nothing(int fd) {
    must_equal(write(fd, "", 0), 0);
}

/* What each takes from a file of mode 6777 and one of mode 6767, of a user who is neither root nor the owner (the owner for chown). */
static const struct taking {
    const char *name;
    void (*run)(int fd);
    mode_t from_executable, from_other;
    bool owner;
} takings[] = {
    {"write", do_write, 0777, 02767, false},
    {"truncate", do_truncate, 0777, 02767, false},
    {"fallocate", do_fallocate, 0777, 02767, false},
    {"copy-range", do_copy, 0777, 02767, false},
    {"open-truncate", do_open_truncate, 0777, 02767, false},
    {"chown", do_chown, 0777, 02767, true},
    {"read", do_read, 06777, 06767, false},
    {"write-nothing", do_write_nothing, 06777, 06767, false},
};

static void take_bits(const void *row) {
    const struct taking *taking = row;
    need_root();
    for (int executable = 0; executable < 2; executable++) {
        put_file("source", "s");
        put_file("file", "text");
        must(chown("file", ALICE, STAFF));
        must(chmod("file", executable ? 06777 : 06767));
        /* setgid without the group's execute means nothing for a process, and stays if one is in the group */
        become(taking->owner ? ALICE : BOB, STAFF);
        int fd = must(open("file", O_RDWR));
        taking->run(fd);
        must_equal(status_of_fd(fd).st_mode & 07777, executable ? taking->from_executable : taking->from_other);
        must_equal(status_of("file").st_mode & 07777, executable ? taking->from_executable : taking->from_other);
        close(fd);
        become(0, 0);
    }
}

/* Without the group's execute too, the bit goes if the file's group is not one of the caller's. */
static void take_foreign_setgid(const void *row) {
    const struct taking *taking = row;
    need_root();
    put_file("source", "s");
    put_file("file", "text");
    must(chown("file", ALICE, VISITORS));
    must(chmod("file", 06666));
    become(taking->owner ? ALICE : BOB, STAFF);
    int fd = must(open("file", O_RDWR));
    taking->run(fd);
    mode_t expected = taking->from_executable & 06000 ? 06666 : 0666;
    must_equal(status_of_fd(fd).st_mode & 07777, expected);
    must_equal(status_of("file").st_mode & 07777, expected);
    close(fd);
    become(0, 0);
}

static void root_keeps_bits(const void *row) {
    (void)row;
    need_root();
    put_file("file", "text");
    must(chown("file", ALICE, STAFF));
    must(chmod("file", 06755));
    int fd = must(open("file", O_RDWR));
    must_equal(write(fd, "x", 1), 1);
    must(ftruncate(fd, 2));
    must_equal(status_of("file").st_mode & 07777, 06755);
    must(chown("file", BOB, STAFF)); /* but not through chown */
    must_equal(status_of("file").st_mode & 07777, 0755);
    must(mkdir("directory", 0755));
    must(chmod("directory", 06755));
    must(chown("directory", BOB, STAFF)); /* for directories they mean something else */
    must_equal(status_of("directory").st_mode & 07777, 06755);
}

static void setgid_needs_membership(const void *row) {
    (void)row;
    need_root();
    put_file("file", "x");
    must(chown("file", ALICE, VISITORS));
    must(mkdir("directory", 0755));
    must(chown("directory", ALICE, VISITORS));
    become(ALICE, STAFF);
    must(chmod("file", 02755));
    must_equal(status_of("file").st_mode & 07777, 0755);
    must(chmod("directory", 02755));
    must_equal(status_of("directory").st_mode & 07777, 0755);
    become_member(ALICE, STAFF, VISITORS);
    must(chmod("file", 06755));
    must_equal(status_of("file").st_mode & 07777, 06755);
}

/* ---- sticky directories ---- */

static void sticky(const void *row) {
    (void)row;
    need_root();
    must(mkdir("shared", 0755));
    must(chmod("shared", 01777));
    become(ALICE, STAFF);
    put_file("shared/file", "x");
    put_file("shared/target", "x");
    must(mkdir("shared/directory", 0777));
    become(BOB, VISITORS);
    put_file("shared/mine", "x");
    must_fail(EPERM, unlink("shared/file"));
    must_fail(EPERM, rmdir("shared/directory"));
    must_fail(EPERM, rename("shared/file", "shared/stolen"));
    must_fail(EPERM, rename("shared/mine", "shared/target"));
    must_fail(EPERM, renameat2(AT_FDCWD, "shared/mine", AT_FDCWD, "shared/target", RENAME_EXCHANGE));
    must(rename("shared/mine", "shared/renamed"));
    must(unlink("shared/renamed"));
    become(ALICE, STAFF);
    must(unlink("shared/file"));
    must(rmdir("shared/directory"));
    become(0, 0);
    must(chown("shared", BOB, VISITORS));
    become(BOB, VISITORS); /* the directory's owner may, too */
    must(unlink("shared/target"));
}

static void linking_what_is_not_ones_own(const void *row) {
    (void)row;
    need_root();
    char state = '0';
    int fd = open("/proc/sys/fs/protected_hardlinks", O_RDONLY);
    if (fd < 0 || read(fd, &state, 1) != 1 || state != '1')
        posix_skip("fs.protected_hardlinks is off");
    must(chmod(".", 0777));
    put_file("file", "x");
    must(chmod("file", 0644));
    become(ALICE, STAFF);
    must_fail(EPERM, link("file", "second"));
    become(0, 0);
    must(chmod("file", 0666));
    become(ALICE, STAFF);
    must(link("file", "second"));
}

/* ---- access(2) ---- */

static void access_asks_for_the_real_user(const void *row) {
    (void)row;
    need_root();
    put_file("file", "x");
    must(chmod("file", 0600));
    become(ALICE, STAFF);
    must(access("file", R_OK)); /* the real user is root still */
    must_fail(EACCES, faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS));
    must_fail(EACCES, open("file", O_RDONLY));
    must_fail(EINVAL, access("file", 8));
}

static void root_and_execute(const void *row) {
    (void)row;
    need_root();
    put_file("file", "x");
    must(chmod("file", 0));
    must(access("file", R_OK | W_OK));
    must_fail(EACCES, access("file", X_OK)); /* root needs one execute bit */
    must(chmod("file", 0001));
    must(access("file", X_OK));
    must(mkdir("directory", 0));
    must(access("directory", R_OK | W_OK | X_OK));
}

static void modes_are_kept(const void *row) {
    (void)row;
    put_file("file", "x");
    must(mkdir("directory", 0755));
    for (mode_t mode = 0; mode < 010000; mode += 0311) {
        must(chmod("file", mode));
        must_equal(status_of("file").st_mode, S_IFREG | mode);
        must(chmod("directory", mode));
        must_equal(status_of("directory").st_mode, S_IFDIR | mode);
    }
    must(chmod("file", S_IFDIR | 0123)); /* the type is not chmod's */
    must_equal(status_of("file").st_mode, S_IFREG | 0123);
}

static const struct posix_case cases[] = {
    {"only-the-owner-changes-modes", only_the_owner_changes_modes},
    {"owners-may-give-to-own-groups", owners_may_give_to_own_groups},
    {"chown-of-parts", chown_of_parts},
    {"root-keeps-bits", root_keeps_bits},
    {"setgid-needs-membership", setgid_needs_membership},
    {"sticky", sticky},
    {"linking-what-is-not-ones-own", linking_what_is_not_ones_own},
    {"access-asks-for-the-real-user", access_asks_for_the_real_user},
    {"root-and-execute", root_and_execute},
    {"modes-are-kept", modes_are_kept},
};

void posix_perm(void) {
    char name[64];
    for (size_t i = 0; i < COUNT(people); i++) {
        snprintf(name, sizeof name, "file-modes-for-%s", people[i].name);
        posix_case("perm", name, modes_of_files, &people[i]);
        snprintf(name, sizeof name, "directory-modes-for-%s", people[i].name);
        posix_case("perm", name, modes_of_directories, &people[i]);
    }
    for (size_t i = 0; i < COUNT(takings); i++) {
        snprintf(name, sizeof name, "bits-after-%s", takings[i].name);
        posix_case("perm", name, take_bits, &takings[i]);
        snprintf(name, sizeof name, "foreign-setgid-after-%s", takings[i].name);
        posix_case("perm", name, take_foreign_setgid, &takings[i]);
    }
    posix_cases("perm", cases, COUNT(cases));
}
