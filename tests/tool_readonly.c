/* What a tree that cannot be changed answers to every system call that would change it, and to those that only read. The mount tests
 * compare a view with a filesystem that is read-only as a whole, and with /head.
 *
 *   tool_readonly make DIR       fills DIR, which can still be written, with what the other two work on
 *   tool_readonly change DIR     tries to change it in every way: a line for each, `call result`, the result being an errno's name or `done`
 *   tool_readonly read DIR       reads it in every way: a line for each, with what was read
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CONTENT      "some text of the file\n"
#define LARGE_BYTES  300000
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---------------------------------------------------------------- what is worked on */

static int put(const char *path, const char *text, size_t size, mode_t mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || fchmod(fd, mode) || close(fd))
        return -1;
    return 0;
}

static int make(void) {
    static const char *const files[] = {"file", "victim", "other", "dir/file", "closed/file"};
    static char large[LARGE_BYTES];
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 7919 >> 8);
    if (mkdir("dir", 0777) || mkdir("empty", 0777) || mkdir("closed", 0700))
        return -1;
    for (size_t i = 0; i < COUNT(files); i++) {
        if (put(files[i], CONTENT, sizeof CONTENT - 1, 0666))
            return -1;
    }
    if (put("private", CONTENT, sizeof CONTENT - 1, 0600) || put("large", large, sizeof large, 0644) ||
        put("program", "#!/bin/sh\nexit 7\n", 17, 0755))
        return -1;
    int fd = open("sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, 4 << 20) || pwrite(fd, "x", 1, 2 << 20) != 1 || close(fd))
        return -1;
    if (symlink("file", "link") || symlink("nowhere", "dangling") || mkfifo("fifo", 0666) || link("other", "hard"))
        return -1;
    if (setxattr("file", "user.name", "value", 5, 0) || setxattr("dir", "user.name", "of dir", 6, 0))
        return -1;
    return chmod("dir", 0777) || chmod("empty", 0777) || chmod("fifo", 0666) || chmod(".", 0777);
}

/* ---------------------------------------------------------------- changing it */

static int opened(int fd) {
    return fd < 0 ? -1 : close(fd);
}

/* One that must be open for it. -2: it could not be opened. */
static int with_open(const char *path, int flags, int (*act)(int fd)) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -2;
    int rc = act(fd), error = errno;
    close(fd);
    errno = error;
    return rc;
}

#define OPEN(function, path, flags)                                                                                    \
    static int function(void) {                                                                                        \
        return opened(open(path, (flags) | O_CLOEXEC, 0644));                                                          \
    }
OPEN(open_writing, "file", O_WRONLY)
OPEN(open_both, "file", O_RDWR)
OPEN(open_appending, "file", O_WRONLY | O_APPEND)
OPEN(open_truncating, "file", O_WRONLY | O_TRUNC)
OPEN(open_reading_truncating, "file", O_RDONLY | O_TRUNC)
OPEN(open_creating, "new", O_WRONLY | O_CREAT)
OPEN(open_creating_to_read, "new", O_RDONLY | O_CREAT)
OPEN(open_creating_exclusively, "new", O_WRONLY | O_CREAT | O_EXCL)
OPEN(open_creating_what_is_there, "file", O_WRONLY | O_CREAT)
OPEN(open_creating_to_read_what_is_there, "file", O_RDONLY | O_CREAT)
OPEN(open_creating_through_link, "dangling", O_WRONLY | O_CREAT)
OPEN(open_through_link, "link", O_WRONLY)
OPEN(open_private, "private", O_WRONLY)
OPEN(open_directory, "dir", O_WRONLY)
OPEN(open_fifo, "fifo", O_RDWR | O_NONBLOCK)
OPEN(open_nameless, "dir", O_WRONLY | O_TMPFILE)

#define CALL(function, expression)                                                                                     \
    static int function(void) {                                                                                        \
        return (int)(expression);                                                                                      \
    }
CALL(make_directory, mkdir("new", 0755))
CALL(make_directory_there, mkdir("dir", 0755))
CALL(make_directory_below, mkdir("dir/new", 0755))
CALL(make_directory_in_closed, mkdir("closed/new", 0755))
CALL(make_fifo, mkfifo("new", 0644))
CALL(make_file, mknod("new", S_IFREG | 0644, 0))
CALL(make_symlink, symlink("target", "new"))
CALL(make_link, link("file", "new"))
CALL(make_link_there, link("file", "other"))
CALL(remove_directory, rmdir("empty"))
CALL(remove_full_directory, rmdir("dir"))
CALL(remove_file, unlink("victim"))
CALL(remove_file_below, unlink("dir/file"))
CALL(remove_nothing, unlink("nothing"))
CALL(remove_link, unlink("dangling"))
CALL(rename_file, rename("victim", "new"))
CALL(rename_over, rename("victim", "other"))
CALL(rename_into, rename("victim", "dir/victim"))
CALL(rename_directory, rename("empty", "new"))
CALL(rename_to_itself, rename("file", "file"))
CALL(rename_nothing, rename("nothing", "new"))
CALL(rename_exchanging, syscall(SYS_renameat2, AT_FDCWD, "victim", AT_FDCWD, "other", RENAME_EXCHANGE))
CALL(rename_keeping, syscall(SYS_renameat2, AT_FDCWD, "victim", AT_FDCWD, "new", RENAME_NOREPLACE))
CALL(rename_leaving_whiteout, syscall(SYS_renameat2, AT_FDCWD, "victim", AT_FDCWD, "new", RENAME_WHITEOUT))
CALL(cut, truncate("file", 3))
CALL(cut_to_the_same, truncate("file", sizeof CONTENT - 1))
CALL(extend, truncate("file", 1000))
CALL(change_mode, chmod("file", 0600))
CALL(change_mode_to_the_same, chmod("file", 0666))
CALL(change_mode_of_directory, chmod("dir", 0700))
CALL(change_owner, chown("file", getuid(), getgid()))
CALL(change_nothing_of_owner, chown("file", (uid_t)-1, (gid_t)-1))
CALL(change_owner_of_link, lchown("link", getuid(), getgid()))
CALL(set_times_to_now, utimensat(AT_FDCWD, "file", NULL, 0))
CALL(set_attribute, setxattr("file", "user.new", "x", 1, 0))
CALL(set_attribute_there, setxattr("file", "user.name", "value", 5, XATTR_REPLACE))
CALL(set_attribute_of_directory, setxattr("dir", "user.new", "x", 1, 0))
CALL(set_security_attribute, setxattr("file", "security.test", "x", 1, 0))
CALL(set_trusted_attribute, setxattr("file", "trusted.test", "x", 1, 0))
CALL(remove_attribute, removexattr("file", "user.name"))
CALL(may_write_file, access("file", W_OK))
CALL(may_write_and_read_file, access("file", R_OK | W_OK))
CALL(may_write_link, access("link", W_OK))
CALL(may_write_directory, access("dir", W_OK))
CALL(may_write_effectively, faccessat(AT_FDCWD, "file", W_OK, AT_EACCESS))
CALL(may_write_fifo, access("fifo", W_OK))
CALL(may_write_private, access("private", W_OK))

static int set_times(void) {
    const struct timespec times[2] = {{1000000000, 5}, {1000000000, 5}};
    return utimensat(AT_FDCWD, "file", times, 0);
}
static int set_times_of_link(void) {
    const struct timespec times[2] = {{1000000000, 5}, {1000000000, 5}};
    return utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW);
}
static int set_no_times(void) {
    const struct timespec times[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    return utimensat(AT_FDCWD, "file", times, 0);
}
/* An access ACL: owner rw, user 64001 r, group and others r. */
static int set_acl(void) {
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                  0, 1, 250, 0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                                  4, 0, 255, 255, 255, 255, 32, 0, 4,   0,   255, 255, 255, 255};
    return setxattr("file", "system.posix_acl_access", acl, sizeof acl, 0);
}
static int bind_socket(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "new"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = bind(fd, (struct sockaddr *)&address, sizeof address), error = errno;
    close(fd);
    errno = error;
    return rc;
}

static int act_mode(int fd) {
    return fchmod(fd, 0600);
}
static int act_owner(int fd) {
    return fchown(fd, getuid(), getgid());
}
static int act_times(int fd) {
    return futimens(fd, NULL);
}
static int act_attribute(int fd) {
    return fsetxattr(fd, "user.new", "x", 1, 0);
}
static int act_no_attribute(int fd) {
    return fremovexattr(fd, "user.name");
}
static int act_flags(int fd) {
    int flags = FS_APPEND_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}
static int act_link(int fd) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, AT_FDCWD, "new", AT_SYMLINK_FOLLOW);
}
static int act_write(int fd) {
    return (int)write(fd, "new", 3);
}
static int act_write_nothing(int fd) {
    return (int)pwrite(fd, "", 0, 0);
}
static int act_cut(int fd) {
    return ftruncate(fd, 3);
}
static int act_allocate(int fd) {
    return fallocate(fd, 0, 0, 100000);
}
static int act_punch(int fd) {
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
}
static int act_send(int fd) {
    int from = open("large", O_RDONLY | O_CLOEXEC);
    ssize_t rc = sendfile(fd, from, NULL, 1000);
    int error = errno;
    close(from);
    errno = error;
    return rc < 0 ? -1 : 0;
}
static int act_copy(int fd) {
    int from = open("large", O_RDONLY | O_CLOEXEC);
    ssize_t rc = copy_file_range(from, NULL, fd, NULL, 1000, 0);
    int error = errno;
    close(from);
    errno = error;
    return rc < 0 ? -1 : 0;
}
static int act_clone(int fd) {
    int from = open("large", O_RDONLY | O_CLOEXEC);
    int rc = ioctl(fd, FICLONE, from), error = errno;
    close(from);
    errno = error;
    return rc;
}
/* What is stored through a mapping is refused when it is written back. */
static int act_map(int fd) {
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return -1;
    map[0] = 'X';
    int rc = msync(map, 4096, MS_SYNC), error = errno;
    munmap(map, 4096);
    errno = error;
    return rc;
}

#define WITH(function, path, flags, act)                                                                               \
    static int function(void) {                                                                                        \
        return with_open(path, flags, act);                                                                            \
    }
WITH(fd_mode, "file", O_RDONLY, act_mode)
WITH(fd_owner, "file", O_RDONLY, act_owner)
WITH(fd_times, "file", O_RDONLY, act_times)
WITH(fd_attribute, "file", O_RDONLY, act_attribute)
WITH(fd_no_attribute, "file", O_RDONLY, act_no_attribute)
WITH(fd_flags, "file", O_RDONLY, act_flags)
WITH(fd_link, "file", O_PATH, act_link)
WITH(fd_mode_of_directory, "dir", O_RDONLY, act_mode)
WITH(fd_write, "file", O_WRONLY, act_write)
WITH(fd_append, "file", O_WRONLY | O_APPEND, act_write)
WITH(fd_write_direct, "file", O_WRONLY | O_SYNC, act_write)
WITH(fd_write_nothing, "file", O_WRONLY, act_write_nothing)
WITH(fd_cut, "file", O_WRONLY, act_cut)
WITH(fd_allocate, "file", O_WRONLY, act_allocate)
WITH(fd_punch, "file", O_WRONLY, act_punch)
WITH(fd_send, "file", O_WRONLY, act_send)
WITH(fd_copy, "file", O_WRONLY, act_copy)
WITH(fd_clone, "file", O_WRONLY, act_clone)
WITH(fd_map, "file", O_RDWR, act_map)

struct call {
    const char *name;
    int (*run)(void);
};

static const struct call changes[] = {
    {"open-writing", open_writing},
    {"open-reading-and-writing", open_both},
    {"open-appending", open_appending},
    {"open-truncating", open_truncating},
    {"open-reading-truncating", open_reading_truncating},
    {"open-creating", open_creating},
    {"open-creating-to-read", open_creating_to_read},
    {"open-creating-exclusively", open_creating_exclusively},
    {"open-creating-what-is-there", open_creating_what_is_there},
    {"open-creating-to-read-what-is-there", open_creating_to_read_what_is_there},
    {"open-creating-through-link", open_creating_through_link},
    {"open-through-link", open_through_link},
    {"open-private", open_private},
    {"open-directory", open_directory},
    {"open-fifo", open_fifo},
    {"open-nameless", open_nameless},
    {"mkdir", make_directory},
    {"mkdir-there", make_directory_there},
    {"mkdir-below", make_directory_below},
    {"mkdir-in-closed", make_directory_in_closed},
    {"mknod-fifo", make_fifo},
    {"mknod-file", make_file},
    {"bind-socket", bind_socket},
    {"symlink", make_symlink},
    {"link", make_link},
    {"link-there", make_link_there},
    {"linkat-descriptor", fd_link},
    {"rmdir", remove_directory},
    {"rmdir-full", remove_full_directory},
    {"unlink", remove_file},
    {"unlink-below", remove_file_below},
    {"unlink-nothing", remove_nothing},
    {"unlink-link", remove_link},
    {"rename", rename_file},
    {"rename-over", rename_over},
    {"rename-into", rename_into},
    {"rename-directory", rename_directory},
    {"rename-to-itself", rename_to_itself},
    {"rename-nothing", rename_nothing},
    {"rename-exchange", rename_exchanging},
    {"rename-noreplace", rename_keeping},
    {"rename-whiteout", rename_leaving_whiteout},
    {"truncate", cut},
    {"truncate-to-the-same", cut_to_the_same},
    {"truncate-longer", extend},
    {"chmod", change_mode},
    {"chmod-to-the-same", change_mode_to_the_same},
    {"chmod-directory", change_mode_of_directory},
    {"chown", change_owner},
    {"chown-nothing", change_nothing_of_owner},
    {"lchown-link", change_owner_of_link},
    {"utimensat", set_times},
    {"utimensat-now", set_times_to_now},
    {"utimensat-link", set_times_of_link},
    {"utimensat-omit", set_no_times},
    {"setxattr", set_attribute},
    {"setxattr-there", set_attribute_there},
    {"setxattr-directory", set_attribute_of_directory},
    {"setxattr-security", set_security_attribute},
    {"setxattr-trusted", set_trusted_attribute},
    {"setxattr-acl", set_acl},
    {"removexattr", remove_attribute},
    {"fchmod", fd_mode},
    {"fchmod-directory", fd_mode_of_directory},
    {"fchown", fd_owner},
    {"futimens", fd_times},
    {"fsetxattr", fd_attribute},
    {"fremovexattr", fd_no_attribute},
    {"ioctl-flags", fd_flags},
    {"write", fd_write},
    {"write-append", fd_append},
    {"write-sync", fd_write_direct},
    {"write-nothing", fd_write_nothing},
    {"ftruncate", fd_cut},
    {"fallocate", fd_allocate},
    {"fallocate-punch", fd_punch},
    {"sendfile-into", fd_send},
    {"copy-into", fd_copy},
    {"clone-into", fd_clone},
    {"store-through-mapping", fd_map},
    {"access-write", may_write_file},
    {"access-read-and-write", may_write_and_read_file},
    {"access-write-link", may_write_link},
    {"access-write-directory", may_write_directory},
    {"access-write-effective", may_write_effectively},
    {"access-write-fifo", may_write_fifo},
    {"access-write-private", may_write_private},
};

static int change(void) {
    for (size_t i = 0; i < COUNT(changes); i++) {
        errno = 0;
        int rc = changes[i].run();
        printf("%s %s\n", changes[i].name, rc >= 0 ? "done" : strerrorname_np(errno));
    }
    return 0;
}

/* ---------------------------------------------------------------- reading it */

static void say(const char *name, long long result) {
    if (result < 0)
        printf("%s %s\n", name, strerrorname_np(errno));
    else
        printf("%s %lld\n", name, result);
}

static uint64_t sum(const void *data, size_t size) {
    uint64_t sum = 14695981039346656037U;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const uint8_t *)data)[i]) * 1099511628211U;
    return sum >> 1;
}

static void read_contents(void) {
    static char buffer[LARGE_BYTES + 4096];
    int fd = open("large", O_RDONLY | O_CLOEXEC);
    say("read", read(fd, buffer, sizeof buffer));
    say("read-content", (long long)sum(buffer, LARGE_BYTES));
    say("read-at-end", read(fd, buffer, 10));
    say("pread", pread(fd, buffer, 1000, 299500));
    say("pread-content", (long long)sum(buffer, 500));
    say("pread-behind", pread(fd, buffer, 10, 1000000));
    char *map = mmap(NULL, LARGE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    say("mmap-shared", map == MAP_FAILED ? -1 : (long long)sum(map, LARGE_BYTES));
    say("mprotect-write", mprotect(map, LARGE_BYTES, PROT_READ | PROT_WRITE));
    munmap(map, LARGE_BYTES);
    map = mmap(NULL, LARGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (map != MAP_FAILED)
        map[0] = 'X';
    say("mmap-private", map == MAP_FAILED ? -1 : (long long)sum(map, LARGE_BYTES));
    munmap(map, LARGE_BYTES);
    say("mmap-program", mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
    say("write-to-read-only", write(fd, "x", 1));
    say("fsync", fsync(fd));
    say("fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED));
    say("readahead", readahead(fd, 0, 100000));
    int pipes[2];
    say("pipe", pipe2(pipes, O_CLOEXEC));
    say("splice-out", splice(fd, &(off_t){100}, pipes[1], NULL, 5000, 0));
    say("splice-content", read(pipes[0], buffer, 5000) == 5000 ? (long long)sum(buffer, 5000) : -1);
    int memory = memfd_create("copy", MFD_CLOEXEC);
    say("sendfile-out", sendfile(memory, fd, &(off_t){0}, LARGE_BYTES));
    close(memory);
    close(pipes[0]);
    close(pipes[1]);
    int direct = open("large", O_RDONLY | O_DIRECT | O_CLOEXEC);
    void *aligned = NULL;
    say("read-direct", direct < 0 || posix_memalign(&aligned, 4096, 8192) ? -1 : pread(direct, aligned, 8192, 4096));
    say("read-direct-content", aligned == NULL ? -1 : (long long)sum(aligned, 8192));
    free(aligned);
    close(direct);
    say("flock", flock(fd, LOCK_SH));
    say("flock-exclusively", flock(fd, LOCK_EX));
    say("lock-read", fcntl(fd, F_SETLK, &(struct flock){.l_type = F_RDLCK}));
    say("lock-write", fcntl(fd, F_SETLK, &(struct flock){.l_type = F_WRLCK}));
    say("lock-ofd", fcntl(fd, F_OFD_SETLK, &(struct flock){.l_type = F_RDLCK}));
    int available;
    say("ioctl-fionread", ioctl(fd, FIONREAD, &available));
    say("poll", poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0));
    close(fd);
    fd = open("sparse", O_RDONLY | O_CLOEXEC);
    off_t data = lseek(fd, 0, SEEK_DATA);
    say("seek-data", data);
    say("seek-hole", lseek(fd, 0, SEEK_HOLE));
    say("seek-hole-after", lseek(fd, data, SEEK_HOLE) > data);
    say("seek-behind", lseek(fd, 5 << 20, SEEK_DATA));
    close(fd);
}

static void read_names(void) {
    static const char *const names[] = {".",           "file",    "dir",    "closed",   "dir/file",
                                        "closed/file", "private", "link",   "dangling", "fifo",
                                        "hard",        "large",   "sparse", "nothing",  "file/below"};
    char text[256];
    for (size_t i = 0; i < COUNT(names); i++) {
        struct stat stat;
        struct statx statx_of;
        int rc = lstat(names[i], &stat);
        printf("lstat %s %s", names[i], rc ? strerrorname_np(errno) : "");
        if (rc == 0)
            printf("%o %lu %u:%u %lld %lld.%09ld", stat.st_mode,
                   S_ISDIR(stat.st_mode) ? 0 : (unsigned long)stat.st_nlink, stat.st_uid, stat.st_gid,
                   S_ISDIR(stat.st_mode) ? 0 : (long long)stat.st_size, (long long)stat.st_mtim.tv_sec,
                   stat.st_mtim.tv_nsec);
        puts("");
        rc = statx(AT_FDCWD, names[i], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &statx_of);
        printf("statx %s %d\n", names[i], rc == 0 && statx_of.stx_mode == stat.st_mode);
        printf("access %s %d %d %d\n", names[i], access(names[i], F_OK), access(names[i], R_OK),
               access(names[i], X_OK));
        say("open-path", opened(open(names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC)));
        say("readlink", readlink(names[i], text, sizeof text));
        ssize_t length = listxattr(names[i], text, sizeof text);
        printf("listxattr %s %.*s\n", names[i], length > 0 ? (int)length : 0, length > 0 ? text : "");
        say("getxattr", getxattr(names[i], "user.name", text, sizeof text));
        say("getxattr-absent", getxattr(names[i], "user.absent", text, sizeof text));
        say("getxattr-acl", getxattr(names[i], "system.posix_acl_access", text, sizeof text));
    }
}

static void read_directories(void) {
    struct dirent **found;
    int count = scandir(".", &found, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        printf("entry %s %d\n", found[i]->d_name, found[i]->d_type);
        free(found[i]);
    }
    if (count >= 0)
        free(found);
    DIR *directory = opendir(".");
    if (directory != NULL) {
        long middle = 0;
        char name[256] = "";
        for (int i = 0; i < 6; i++) {
            middle = telldir(directory);
            struct dirent *entry = readdir(directory);
            snprintf(name, sizeof name, "%s", entry != NULL ? entry->d_name : "");
        }
        seekdir(directory, middle);
        struct dirent *entry = readdir(directory);
        say("seekdir", entry != NULL && !strcmp(entry->d_name, name));
        rewinddir(directory);
        int again = 0;
        while (readdir(directory) != NULL)
            again++;
        say("rewinddir", again);
        say("fsync-directory", fsync(dirfd(directory)));
        closedir(directory);
    }
    say("chdir", chdir("dir") || chdir(".."));
    say("chdir-closed", chdir("closed") || chdir(".."));
    say("chdir-file", chdir("file"));
}

static void read_rest(void) {
    struct statfs statfs_of;
    say("statfs", statfs("file", &statfs_of) == 0 && statfs_of.f_namelen == 255);
    int watches = inotify_init1(IN_CLOEXEC);
    say("inotify", inotify_add_watch(watches, "file", IN_ALL_EVENTS));
    close(watches);
    union {
        struct file_handle handle;
        char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } handle = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
    int mount;
    say("name-to-handle", name_to_handle_at(AT_FDCWD, "file", &handle.handle, &mount, 0));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execl("program", "program", (char *)NULL);
        _exit(errno == EACCES ? 100 : 101);
    }
    int status;
    waitpid(child, &status, 0);
    say("execute", WEXITSTATUS(status));
    int fifo = open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    say("read-fifo", fifo < 0 ? -1 : read(fifo, &status, 1));
    close(fifo);
}

static int read_all(void) {
    read_contents();
    read_names();
    read_directories();
    read_rest();
    return 0;
}

int main(int argc, char **argv) {
    static const struct call commands[] = {{"make", make}, {"change", change}, {"read", read_all}};
    for (size_t i = 0; argc == 3 && i < COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        umask(0);
        if (chdir(argv[2]) || commands[i].run()) {
            perror(argv[2]);
            return 1;
        }
        return 0;
    }
    fputs("usage: tool_readonly make|change|read DIR\n", stderr);
    return 2;
}
