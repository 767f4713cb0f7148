/* Paths: every call that takes one, against everything that can be wrong with one.
 *
 * Two tables, crossed: the calls, and the paths. What a path does to a call depends on what kind of call it is.
 */
#include "tests/posix.h"

#include <dirent.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/xattr.h>

/* ---- the calls, each right but for the path ---- */

static int close_if_open(int fd) {
    return fd < 0 ? -1 : close(fd);
}

static int call_open(const char *path) {
    return close_if_open(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
}
static int call_open_path(const char *path) {
    return close_if_open(open(path, O_PATH | O_CLOEXEC));
}
static int call_open_create(const char *path) {
    return close_if_open(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}
static int call_open_exclusive(const char *path) {
    return close_if_open(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
}
static int call_mkdir(const char *path) {
    return mkdir(path, 0755);
}
static int call_mkfifo(const char *path) {
    return mkfifo(path, 0644);
}
static int call_mknod(const char *path) {
    return mknod(path, S_IFREG | 0644, 0);
}
static int call_symlink(const char *path) {
    return symlink("anywhere", path);
}
static int call_link_to(const char *path) {
    return link("file", path);
}
static int call_link_from(const char *path) {
    return link(path, "new");
}
static int call_rename_from(const char *path) {
    return rename(path, "new");
}
static int call_rename_to(const char *path) {
    return rename("file", path);
}
static int call_exchange(const char *path) {
    return renameat2(AT_FDCWD, "file", AT_FDCWD, path, RENAME_EXCHANGE);
}
static int call_unlink(const char *path) {
    return unlink(path);
}
static int call_rmdir(const char *path) {
    return rmdir(path);
}
static int call_stat(const char *path) {
    struct stat st;
    return stat(path, &st);
}
static int call_lstat(const char *path) {
    struct stat st;
    return lstat(path, &st);
}
static int call_statx(const char *path) {
    struct statx st;
    return statx(AT_FDCWD, path, 0, STATX_ALL, &st);
}
static int call_readlink(const char *path) {
    char target[64];
    return readlink(path, target, sizeof target) < 0 ? -1 : 0;
}
static int call_access(const char *path) {
    return faccessat(AT_FDCWD, path, F_OK, AT_EACCESS);
}
static int call_chmod(const char *path) {
    return chmod(path, 0644);
}
static int call_chown(const char *path) {
    return chown(path, (uid_t)-1, (gid_t)-1);
}
static int call_lchown(const char *path) {
    return lchown(path, (uid_t)-1, (gid_t)-1);
}
static int call_utimensat(const char *path) {
    return utimensat(AT_FDCWD, path, NULL, 0);
}
static int call_truncate(const char *path) {
    return truncate(path, 1);
}
static int call_getxattr(const char *path) {
    char value[8];
    return getxattr(path, "user.x", value, sizeof value) < 0 && errno != ENODATA ? -1 : 0;
}
static int call_setxattr(const char *path) {
    return setxattr(path, "user.x", "", 0, 0);
}
static int call_removexattr(const char *path) {
    return removexattr(path, "user.x") && errno != ENODATA ? -1 : 0;
}
static int call_listxattr(const char *path) {
    return listxattr(path, NULL, 0) < 0 ? -1 : 0;
}
static int call_statfs(const char *path) {
    struct statfs st;
    return statfs(path, &st);
}
static int call_chdir(const char *path) {
    return chdir(path);
}
static int call_opendir(const char *path) {
    DIR *directory = opendir(path);
    return directory ? closedir(directory) : -1;
}
static int call_watch(const char *path) {
    int fd = must(inotify_init1(IN_CLOEXEC));
    int rc = inotify_add_watch(fd, path, IN_MODIFY) < 0 ? -1 : 0;
    int error = errno;
    close(fd);
    errno = error;
    return rc;
}
static int call_bind(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        posix_skip("the path is longer than a socket's address");
    strcpy(address.sun_path, path);
    int fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    int rc = bind(fd, (struct sockaddr *)&address, sizeof address);
    int error = errno;
    close(fd);
    errno = error == EADDRINUSE ? EEXIST : error; /* its word for the same */
    return rc;
}

enum kind {
    FINDS,       /* needs what the path leads to, through a symlink at its end */
    FINDS_LINK,  /* needs what it leads to, and takes a symlink at its end for itself */
    MAKES,       /* makes the name, which must not exist */
    OPENS_MAKES, /* makes it if it does not exist, through a symlink */
    REPLACES     /* makes it, whatever it was */
};
#define DIRECTORIES 1U  /* takes nothing else */
#define NO_FILES    2U  /* fails for a file, in its own way */
#define NO_POINTER  4U  /* the path is not handed to the kernel as it is */
#define NO_EMPTY    8U  /* an empty path means something */
#define SLASHES     16U /* takes a slash at the end of a new name in its own way */

static const struct call {
    const char *name;
    int (*run)(const char *path);
    enum kind kind;
    unsigned flags;
} calls[] = {
    {"open", call_open, FINDS, 0},
    {"open-path", call_open_path, FINDS, 0},
    {"open-create", call_open_create, OPENS_MAKES, 0},
    {"open-exclusive", call_open_exclusive, MAKES, SLASHES},
    {"mkdir", call_mkdir, MAKES, DIRECTORIES | SLASHES},
    {"mkfifo", call_mkfifo, MAKES, 0},
    {"mknod", call_mknod, MAKES, 0},
    {"symlink", call_symlink, MAKES, 0},
    {"link-to", call_link_to, MAKES, 0},
    {"link-from", call_link_from, FINDS_LINK, 0},
    {"rename-from", call_rename_from, FINDS_LINK, 0},
    {"rename-to", call_rename_to, REPLACES, 0},
    {"exchange", call_exchange, FINDS_LINK, 0},
    {"unlink", call_unlink, FINDS_LINK, 0},
    {"rmdir", call_rmdir, FINDS_LINK, DIRECTORIES},
    {"stat", call_stat, FINDS, 0},
    {"lstat", call_lstat, FINDS_LINK, 0},
    {"statx", call_statx, FINDS, 0},
    {"readlink", call_readlink, FINDS_LINK, NO_FILES | NO_POINTER},
    {"access", call_access, FINDS, 0},
    {"chmod", call_chmod, FINDS, 0},
    {"chown", call_chown, FINDS, 0},
    {"lchown", call_lchown, FINDS_LINK, 0},
    {"utimensat", call_utimensat, FINDS, NO_POINTER},
    {"truncate", call_truncate, FINDS, 0},
    {"getxattr", call_getxattr, FINDS, NO_POINTER},
    {"setxattr", call_setxattr, FINDS, 0},
    {"removexattr", call_removexattr, FINDS, 0},
    {"listxattr", call_listxattr, FINDS, NO_POINTER},
    {"statfs", call_statfs, FINDS, NO_POINTER},
    {"chdir", call_chdir, FINDS, DIRECTORIES},
    {"opendir", call_opendir, FINDS, DIRECTORIES | NO_POINTER},
    {"inotify", call_watch, FINDS, 0},
    {"bind", call_bind, MAKES, NO_POINTER | NO_EMPTY},
};

/* ---- the paths ---- */

static char name255[256], name256[257];

/* What each kind of call gives for a path; -1: it depends on more than the kind, and is not looked at. */
static const struct path {
    const char *name;
    const char *path;
    int finds, finds_link, makes, opens_makes, replaces;
} paths[] = {
    {"missing", "missing", ENOENT, ENOENT, 0, 0, 0},
    {"below-missing", "missing/x", ENOENT, ENOENT, ENOENT, ENOENT, ENOENT},
    {"below-file", "file/x", ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR},
    {"below-fifo", "fifo/x", ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR},
    {"below-link-to-file", "to-file/x", ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR},
    {"below-dangling", "dangling/x", ENOENT, ENOENT, ENOENT, ENOENT, ENOENT},
    {"below-loop", "loop/x", ELOOP, ELOOP, ELOOP, ELOOP, ELOOP},
    {"below-long-name", "LONG256/x", ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG},
    {"below-longest-name", "LONG255/x", ENOENT, ENOENT, ENOENT, ENOENT, ENOENT},
    {"longest-name", "LONG255", ENOENT, ENOENT, 0, 0, 0},
    {"long-name", "LONG256", ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG},
    {"long-name-below", "directory/LONG256", ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG},
    {"longest-path", "SLASHES4095", ENOENT, ENOENT, 0, 0, 0},
    {"long-path", "SLASHES4096", ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG, ENAMETOOLONG},
    {"empty", "", ENOENT, ENOENT, ENOENT, ENOENT, ENOENT},
    {"loop", "loop", ELOOP, 0, EEXIST, ELOOP, 0},
    {"dangling", "dangling", ENOENT, 0, EEXIST, 0, 0},
    {"existing", "other", 0, 0, EEXIST, 0, 0},
    {"through-link", "to-directory/inner", 0, 0, EEXIST, 0, 0},
    {"missing-through-link", "to-directory/missing", ENOENT, ENOENT, 0, 0, 0},
    {"file-with-slash", "other/", ENOTDIR, ENOTDIR, -1, -1, ENOTDIR},
    {"missing-with-slash", "missing/", ENOENT, ENOENT, ENOENT, EISDIR, ENOTDIR},
    {"dot", ".", -1, -1, EEXIST, EISDIR, EBUSY},
    {"dot-dot", "directory/..", -1, -1, EEXIST, EISDIR, EBUSY},
    {"chain-of-40", "chain40", 0, 0, EEXIST, 0, 0},
    {"chain-of-41", "chain41", ELOOP, 0, EEXIST, ELOOP, 0},
};

/* Replaces LONG255 and the like. */
static const char *expand(const char *path, char buffer[PATH_MAX + 2]) {
    const char *number = strpbrk(path, "0123456789");
    if (!strncmp(path, "SLASHES", 7)) {
        size_t length = (size_t)atoi(number);
        memset(buffer, '/', length);
        buffer[0] = '.';
        memcpy(buffer + length - 7, "missing", 8);
        return buffer;
    }
    const char *at = strstr(path, "LONG");
    if (!at)
        return path;
    snprintf(buffer, PATH_MAX, "%.*s%s%s", (int)(at - path), path, atoi(number) == 255 ? name255 : name256, at + 7);
    return buffer;
}

/* What the paths name. */
static void make_world(void) {
    put_file("file", "a file");
    put_file("other", "another file");
    must(mkfifo("fifo", 0644));
    must(mkdir("directory", 0755));
    put_file("directory/inner", "inside");
    must(symlink("file", "to-file"));
    must(symlink("directory", "to-directory"));
    must(symlink("nothing", "dangling"));
    must(symlink("loop", "loop"));
}

/* chain1 leads to a file, chain2 to chain1, and so on. */
static void make_chain(void) {
    char from[16], to[16] = "other";
    for (int i = 1; i <= 41; i++) {
        snprintf(from, sizeof from, "chain%d", i);
        must(symlink(to, from));
        strcpy(to, from);
    }
}

struct pair {
    const struct call *call;
    const struct path *path;
};

static int expected_error(const struct call *call, const struct path *path) {
    switch (call->kind) {
    case FINDS:
        return path->finds;
    case FINDS_LINK:
        return path->finds_link;
    case MAKES:
        return path->makes;
    case OPENS_MAKES:
        return path->opens_makes;
    default:
        return path->replaces;
    }
}

static void run_pair(const void *row) {
    const struct pair *pair = row;
    char buffer[PATH_MAX + 2];
    int expected = expected_error(pair->call, pair->path);
    make_world();
    if (!strncmp(pair->path->name, "chain", 5))
        make_chain();
    errno = 0;
    int rc = pair->call->run(expand(pair->path->path, buffer));
    int error = rc ? errno : 0;
    must_be(error == expected, "expected %s, got %s", expected ? strerrorname_np(expected) : "success",
            error ? strerrorname_np(error) : "success");
}

/* Where the pair says nothing of its own: calls for directories on files and so on. */
static bool is_left_out(const struct call *call, const struct path *path) {
    int expected = expected_error(call, path);
    if (expected < 0)
        return true;
    if (expected == 0 && call->kind != MAKES && (call->flags & (DIRECTORIES | NO_FILES)))
        return true;
    if (!strcmp(path->name, "missing-with-slash") && call->flags & SLASHES)
        return true;
    return !strcmp(path->name, "empty") && call->flags & NO_EMPTY;
}

/* ---- what is particular ---- */

static void bad_pointer(const void *row) {
    const struct call *call = row;
    make_world();
    const char *bad;
    memset(&bad, 0xff, sizeof bad);
    must_fail(EFAULT, call->run(bad));
}

static void no_search_permission(const void *row) {
    const struct call *call = row;
    need_root();
    make_world();
    must(chmod(".", 0777));
    must(chown("file", ALICE, STAFF));
    must(mkdir("closed", 0666));
    put_file("closed/inner", "inside");
    must(chown("closed/inner", ALICE, STAFF));
    must(chown("closed", ALICE, STAFF));
    become(ALICE, STAFF);
    must_fail(EACCES, call->run("closed/inner"));
    must_fail(EACCES, call->run("closed/missing"));
    must(chmod("closed", 0755));
    errno = 0;
    must_be(call->run("closed/inner") == 0 || errno != EACCES, "with search permission: expected not EACCES, got it");
}

static void names_are_bytes(const void *row) {
    (void)row;
    char name[256];
    for (int byte = 1; byte < 256; byte++) {
        if (byte == '/')
            continue;
        memset(name, byte, 255);
        name[255] = '\0';
        if (byte == '.')
            name[0] = 'x';
        put_file(name, "x");
        must_be(exists(name), "a name of bytes %d: expected it to exist", byte);
        must(unlink(name));
    }
}

static void names_differ_by_case(const void *row) {
    (void)row;
    put_file("name", "lower");
    put_file("NAME", "upper");
    put_file("na\xcc\x88me", "two code points");
    put_file("n\xc3\xa4me", "one code point");
    must_contain("name", "lower");
    must_contain("NAME", "upper");
    must_contain("n\xc3\xa4me", "one code point");
    must_fail(ENOENT, access("Name", F_OK));
}

static void descriptor_of_a_file(const void *row) {
    (void)row;
    struct stat st;
    put_file("file", "x");
    int fd = must(open("file", O_RDONLY));
    must_fail(ENOTDIR, openat(fd, "x", O_RDONLY));
    must_fail(ENOTDIR, mkdirat(fd, "x", 0755));
    must_fail(ENOTDIR, unlinkat(fd, "x", 0));
    must_fail(ENOTDIR, fstatat(fd, "x", &st, 0));
    must_fail(ENOTDIR, fchdir(fd));
    must_fail(EBADF, openat(-1, "x", O_RDONLY));
    must(fstatat(fd, "", &st, AT_EMPTY_PATH));
    must_equal(st.st_size, 1);
}

/* A directory that was removed while it was somebody's working directory. */
static void removed_directory(const void *row) {
    (void)row;
    must(mkdir("gone", 0755));
    must(chdir("gone"));
    must(rmdir("../gone"));
    must_equal(status_of(".").st_nlink, 0);
    must_fail(ENOENT, open("x", O_WRONLY | O_CREAT, 0644));
    must_fail(ENOENT, mkdir("x", 0755));
    must_fail(ENOENT, symlink("a", "x"));
    must_fail(ENOENT, mkfifo("x", 0644));
    must_fail(ENOENT, access("x", F_OK));
    must_fail(ENOENT, access("../gone", F_OK));
    char buffer[64];
    must_be(!getcwd(buffer, sizeof buffer) && errno == ENOENT, "getcwd: expected ENOENT");
    DIR *directory = opendir(".");
    must_be(directory, "opendir: expected success, got %s", strerrorname_np(errno));
    must_be(!readdir(directory), "readdir in a removed directory: expected no entry");
    closedir(directory);
}

static const struct posix_case cases[] = {
    {"names-are-bytes", names_are_bytes},
    {"names-differ-by-case", names_differ_by_case},
    {"descriptor-of-a-file", descriptor_of_a_file},
    {"removed-directory", removed_directory},
};

void posix_path(void) {
    char name[128];
    memset(name255, 'n', 255);
    memset(name256, 'n', 256);
    for (size_t i = 0; i < COUNT(paths); i++) {
        for (size_t j = 0; j < COUNT(calls); j++) {
            struct pair pair = {&calls[j], &paths[i]};
            snprintf(name, sizeof name, "%s/%s", paths[i].name, calls[j].name);
            if (!is_left_out(&calls[j], &paths[i]))
                posix_case("path", name, run_pair, &pair);
        }
    }
    for (size_t j = 0; j < COUNT(calls); j++) {
        snprintf(name, sizeof name, "bad-pointer/%s", calls[j].name);
        if (!(calls[j].flags & NO_POINTER))
            posix_case("path", name, bad_pointer, &calls[j]);
        snprintf(name, sizeof name, "no-search-permission/%s", calls[j].name);
        posix_case("path", name, no_search_permission, &calls[j]);
    }
    posix_cases("path", cases, COUNT(cases));
}
