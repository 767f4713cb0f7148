/* rename(2) and renameat2(2): anything over anything. */
#include "tests/posix.h"

#include <sys/wait.h>

#ifndef RENAME_WHITEOUT
#define RENAME_WHITEOUT 4
#endif

/* ---- a table: what over what ---- */

/* Things that can be renamed, and what make_world calls them. `twin` is another of the same. */
static const struct thing {
    const char *name, *twin;
    mode_t type;
    bool full;
} things[] = {
    {"file", "file2", S_IFREG, false}, {"empty", "empty2", S_IFDIR, false}, {"full", "full2", S_IFDIR, true},
    {"link", "link2", S_IFLNK, false}, {"fifo", "fifo2", S_IFIFO, false},   {"missing", "missing2", 0, false},
};

static void make_thing(const struct thing *thing, const char *name) {
    char inner[64];
    switch (thing->type) {
    case S_IFREG:
        put_file(name, name);
        break;
    case S_IFDIR:
        must(mkdir(name, 0755));
        snprintf(inner, sizeof inner, "%s/inner", name);
        if (thing->full)
            put_file(inner, name);
        break;
    case S_IFLNK:
        must(symlink(name, name));
        break;
    case S_IFIFO:
        must(mkfifo(name, 0644));
        break;
    default:
        break;
    }
}

struct pair {
    const struct thing *from, *to;
    unsigned flags;
    bool across; /* from one directory to another */
};

static int expected_error(const struct pair *pair) {
    bool from_directory = pair->from->type == S_IFDIR, to_directory = pair->to->type == S_IFDIR;
    if (pair->from->type == 0)
        return ENOENT;
    if (pair->flags & RENAME_EXCHANGE)
        return pair->to->type == 0 ? ENOENT : 0;
    if (pair->to->type == 0)
        return 0;
    if (pair->flags & RENAME_NOREPLACE)
        return EEXIST;
    if (from_directory && !to_directory)
        return ENOTDIR;
    if (!from_directory && to_directory)
        return EISDIR;
    return pair->to->full ? ENOTEMPTY : 0;
}

static ino_t inode(const char *path) {
    return exists(path) ? status_of(path).st_ino : 0;
}

static void rename_pair(const void *row) {
    const struct pair *pair = row;
    char from[64], to[64];
    must(mkdir("one", 0755));
    must(mkdir("two", 0755));
    snprintf(from, sizeof from, "one/%s", pair->from->name);
    snprintf(to, sizeof to, "%s/%s", pair->across ? "two" : "one", pair->to->twin);
    make_thing(pair->from, from);
    make_thing(pair->to, to);
    ino_t from_inode = inode(from), to_inode = inode(to);
    int held = pair->to->type == S_IFREG ? must(open(to, O_RDONLY)) : -1;

    int expected = expected_error(pair);
    int rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, pair->flags), error = rc ? errno : 0;
    must_be(error == expected, "expected %s, got %s", expected ? strerrorname_np(expected) : "success",
            error ? strerrorname_np(error) : "success");

    bool exchanged = rc == 0 && (pair->flags & RENAME_EXCHANGE);
    must_equal(inode(from), exchanged ? to_inode : rc ? from_inode : 0);
    must_equal(inode(to), rc ? to_inode : from_inode);
    if (held >= 0) {
        struct stat st = status_of_fd(held);
        must_equal(st.st_nlink, rc == 0 && !exchanged ? 0 : 1);
        must_hold_byte(held, 0, 1, to[0]);
    }
    /* Link counts and `..` follow. */
    const char *const directories[] = {"one", "two"};
    for (size_t i = 0; i < COUNT(directories); i++) {
        nlink_t links = 2;
        for (int side = 0; side < 2; side++) {
            const char *path = side ? to : from;
            if (!strncmp(path, directories[i], 3) && exists(path) && S_ISDIR(status_of(path).st_mode)) {
                char up[80];
                links++;
                snprintf(up, sizeof up, "%s/..", path);
                must_equal(inode(up), inode(directories[i]));
            }
        }
        must_equal(status_of(directories[i]).st_nlink, links);
    }
}

/* ---- what is particular ---- */

static void into_itself(const void *row) {
    (void)row;
    must(mkdir("a", 0755));
    must(mkdir("a/b", 0755));
    must(mkdir("a/b/c", 0755));
    put_file("a/b/file", "x");
    must_fail(EINVAL, rename("a", "a/x"));
    must_fail(EINVAL, rename("a", "a/b/c/x"));
    must_fail(EINVAL, rename("a", "a/b"));
    must_fail(ENOTEMPTY, rename("a/b/c", "a"));
    must_fail(ENOTEMPTY, rename("a/b", "a"));
    must_fail(ENOTEMPTY, rename("a/b/file", "a"));
    must_fail(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "a/b", RENAME_EXCHANGE));
    must_fail(EINVAL, renameat2(AT_FDCWD, "a/b", AT_FDCWD, "a", RENAME_EXCHANGE));
    must_equal(status_of("a").st_nlink, 3);
}

static void onto_itself(const void *row) {
    (void)row;
    put_file("file", "x");
    must(link("file", "same"));
    must(mkdir("directory", 0755));
    must(link("file", "directory/same"));
    must(rename("file", "file"));
    must(rename("directory", "directory"));
    must(rename("file", "same")); /* one file: both names stay */
    must_be(exists("file") && exists("same"), "rename over another name of the same file: expected both to stay");
    must(rename("directory/same", "same"));
    must_equal(status_of("file").st_nlink, 3);
    must_fail(EEXIST, renameat2(AT_FDCWD, "file", AT_FDCWD, "same", RENAME_NOREPLACE));
    must_fail(EEXIST, renameat2(AT_FDCWD, "file", AT_FDCWD, "file", RENAME_NOREPLACE));
    must(renameat2(AT_FDCWD, "file", AT_FDCWD, "same", RENAME_EXCHANGE));
    must_equal(status_of("file").st_nlink, 3);
}

static void dots(const void *row) {
    (void)row;
    must(mkdir("a", 0755));
    must(mkdir("b", 0755));
    must_fail(EBUSY, rename("a/.", "x"));
    must_fail(EBUSY, rename("a/..", "x"));
    must_fail(EBUSY, rename("b", "a/."));
    must_fail(EBUSY, rename("b", "a/.."));
}

static void flags(const void *row) {
    (void)row;
    put_file("a", "a");
    put_file("b", "b");
    must_fail(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE));
    must_fail(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT | RENAME_EXCHANGE));
    must_fail(EINVAL, renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 0x80));
    must_contain("a", "a");
    must(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
    must_contain("c", "a");
}

/* What overlayfs leaves where a name was: a character device 0:0. */
static void whiteout(const void *row) {
    (void)row;
    need_root();
    put_file("a", "a");
    if (renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT)) {
        must_be(errno == EINVAL, "RENAME_WHITEOUT: expected success or EINVAL, got %s", strerrorname_np(errno));
        must_contain("a", "a");
        posix_skip("RENAME_WHITEOUT: EINVAL");
    }
    must_contain("b", "a");
    must_be(S_ISCHR(status_of("a").st_mode), "expected a character device");
    must_equal(status_of("a").st_rdev, 0);
    must(unlink("a"));
}

static void exchange_of_trees(const void *row) {
    (void)row;
    must(mkdir("a", 0755));
    must(mkdir("a/deep", 0755));
    must(mkdir("a/deep/er", 0755));
    put_file("a/deep/file", "in a");
    put_file("b", "is b");
    must(renameat2(AT_FDCWD, "a/deep", AT_FDCWD, "b", RENAME_EXCHANGE));
    must_contain("a/deep", "is b");
    must_contain("b/file", "in a");
    must_equal(status_of("a").st_nlink, 2);
    must_equal(status_of("b/er/..").st_ino, status_of("b").st_ino);
    must_equal(status_of("b/..").st_ino, status_of(".").st_ino);
    must(renameat2(AT_FDCWD, "b", AT_FDCWD, "a/deep", RENAME_EXCHANGE));
    must_contain("b", "is b");
    must_contain("a/deep/file", "in a");
    must_equal(status_of("a").st_nlink, 3);
}

static void over_open_file(const void *row) {
    (void)row;
    put_file("old", "old content");
    put_file("new", "new content");
    int fd = must(open("old", O_RDWR)), fresh = must(open("new", O_RDWR));
    must(rename("new", "old"));
    must_hold_byte(fd, 0, 1, 'o');
    must_equal(status_of_fd(fd).st_nlink, 0);
    must_equal(pwrite(fd, "O", 1, 0), 1);
    must_contain("old", "new content");
    must_equal(pwrite(fresh, "N", 1, 0), 1);
    must_contain("old", "New content");
    must_hold_byte(fd, 0, 1, 'O');
}

static void over_open_directory(const void *row) {
    (void)row;
    must(mkdir("old", 0755));
    must(mkdir("new", 0755));
    put_file("new/file", "x");
    int fd = must(open("old", O_RDONLY | O_DIRECTORY));
    must(rename("new", "old"));
    must_equal(status_of_fd(fd).st_nlink, 0);
    must_fail(ENOENT, openat(fd, "file", O_RDONLY));
    must_fail(ENOENT, openat(fd, "other", O_RDWR | O_CREAT, 0644));
    must_contain("old/file", "x");
}

/* What is open below goes along. */
static void open_below(const void *row) {
    (void)row;
    must(mkdir("a", 0755));
    must(mkdir("a/b", 0755));
    put_file("a/b/file", "x");
    int file = must(open("a/b/file", O_RDWR)), directory = must(open("a/b", O_RDONLY | O_DIRECTORY));
    must(mkdir("c", 0755));
    must(rename("a", "c/a"));
    must_equal(write(file, "moved", 5), 5);
    must_contain("c/a/b/file", "moved");
    must(close(must(openat(directory, "made", O_CREAT | O_WRONLY, 0644))));
    must_be(exists("c/a/b/made"), "a file made in a directory that moved");
    must(close(must(openat(directory, "../../../c", O_RDONLY))));
    must(chdir("c/a/b"));
    char path[4096];
    must_be(getcwd(path, sizeof path) && strstr(path, "/c/a/b"), "getcwd: expected it to end in /c/a/b, got %s", path);
}

/* At every moment the name leads to one of the two. */
static void replaces_atomically(const void *row) {
    (void)row;
    put_file("name", "a");
    pid_t child = must(fork());
    if (child == 0) {
        for (int i = 0; i < 300; i++) {
            put_file("new", i % 2 ? "a" : "b");
            must(rename("new", "name"));
        }
        _exit(0);
    }
    int status;
    char byte;
    while (must(waitpid(child, &status, WNOHANG)) == 0) {
        int fd = open("name", O_RDONLY);
        must_be(fd >= 0, "open of a name that is being replaced: expected success, got %s", strerrorname_np(errno));
        must_equal(read(fd, &byte, 1), 1);
        must_be(byte == 'a' || byte == 'b', "content of a name that is being replaced: got %d", byte);
        close(fd);
    }
    must_equal(status, 0);
}

static void long_names(const void *row) {
    (void)row;
    char longest[256], too_long[257];
    memset(longest, 'x', 255);
    longest[255] = '\0';
    memset(too_long, 'x', 256);
    too_long[256] = '\0';
    put_file("file", "x");
    must_fail(ENAMETOOLONG, rename("file", too_long));
    must(rename("file", longest));
    must(rename(longest, "file"));
    must_contain("file", "x");
}

/* A directory may only leave another if its owner lets its `..` be written. */
static void permissions(const void *row) {
    (void)row;
    need_root();
    must(chmod(".", 0777));
    become(ALICE, STAFF);
    must(mkdir("from", 0755));
    must(mkdir("to", 0755));
    put_file("from/file", "x");
    must(mkdir("from/closed", 0555));
    must_fail(EACCES, rename("from/closed", "to/closed"));
    must(rename("from/closed", "from/renamed"));
    must(chmod("from", 0555));
    must_fail(EACCES, rename("from/file", "to/file"));
    must(chmod("from", 0755));
    must(chmod("to", 0555));
    must_fail(EACCES, rename("from/file", "to/file"));
    must(chmod("to", 0755));
    must(rename("from/file", "to/file"));
    become(BOB, VISITORS);
    must_fail(EACCES, rename("to/file", "stolen"));
}

static const struct posix_case cases[] = {
    {"into-itself", into_itself},
    {"onto-itself", onto_itself},
    {"dots", dots},
    {"flags", flags},
    {"whiteout", whiteout},
    {"exchange-of-trees", exchange_of_trees},
    {"over-open-file", over_open_file},
    {"over-open-directory", over_open_directory},
    {"open-below", open_below},
    {"replaces-atomically", replaces_atomically},
    {"long-names", long_names},
    {"permissions", permissions},
};

void posix_rename(void) {
    static const struct {
        const char *name;
        unsigned flags;
    } ways[] = {{"over", 0}, {"not-over", RENAME_NOREPLACE}, {"with", RENAME_EXCHANGE}};
    char name[128];
    for (size_t way = 0; way < COUNT(ways); way++) {
        for (size_t i = 0; i < COUNT(things); i++) {
            for (size_t j = 0; j < 2 * COUNT(things); j++) {
                struct pair pair = {&things[i], &things[j / 2], ways[way].flags, j % 2};
                snprintf(name, sizeof name, "%s-%s-%s%s", things[i].name, ways[way].name, things[j / 2].name,
                         pair.across ? "-elsewhere" : "");
                posix_case("rename", name, rename_pair, &pair);
            }
        }
    }
    posix_cases("rename", cases, COUNT(cases));
}
