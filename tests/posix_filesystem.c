/* The filesystem as a whole: statvfs, pathconf, watching, and what statx and inode numbers say. */
#include "tests/posix.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static void statvfs_is_sane(const void *row) {
    (void)row;
    struct statvfs st, by_fd;
    must(statvfs(".", &st));
    must_be(st.f_bsize >= 512 && (st.f_bsize & (st.f_bsize - 1)) == 0, "f_bsize: got %lu", st.f_bsize);
    must_be(st.f_frsize >= 512 && st.f_frsize <= 1 << 20, "f_frsize: got %lu", st.f_frsize);
    must_be(st.f_blocks > 0 && st.f_bfree <= st.f_blocks && st.f_bavail <= st.f_bfree,
            "blocks: got %llu, %llu free, %llu available", (unsigned long long)st.f_blocks,
            (unsigned long long)st.f_bfree, (unsigned long long)st.f_bavail);
    must_be(st.f_ffree <= st.f_files || st.f_files == 0, "files: got %llu, %llu free", (unsigned long long)st.f_files,
            (unsigned long long)st.f_ffree);
    must_equal(st.f_namemax, 255);
    must_be(!(st.f_flag & ST_RDONLY), "it says that it is read-only");
    put_file("file", "x");
    int fd = must(open("file", O_RDONLY));
    must(fstatvfs(fd, &by_fd));
    must_equal(by_fd.f_namemax, st.f_namemax);
    must_equal(by_fd.f_blocks, st.f_blocks);
}

static void statvfs_moves(const void *row) {
    (void)row;
    enum { SIZE = 64 << 20 };
    struct statvfs before, after;
    must(statvfs(".", &before));
    if (before.f_bavail * before.f_frsize < 10ULL * SIZE)
        posix_skip("too little space");
    int fd = must(open("file", O_WRONLY | O_CREAT, 0644));
    char *buffer = malloc(1 << 20);
    must_be(buffer, "out of memory");
    unsigned seed = 1;
    for (int i = 0; i < SIZE; i += 1 << 20) {
        for (int j = 0; j < 1 << 20; j += 4)
            memcpy(buffer + j, &(int){rand_r(&seed)}, 4);
        must_equal(write(fd, buffer, 1 << 20), 1 << 20);
    }
    must(fsync(fd));
    must(statvfs(".", &after));
    must_be(after.f_bfree < before.f_bfree, "64 MiB were written, and f_bfree did not sink");
}

static void limits(const void *row) {
    (void)row;
    must_equal(pathconf(".", _PC_NAME_MAX), 255);
    must_equal(pathconf(".", _PC_PATH_MAX), 4096);
    must_equal(pathconf(".", _PC_NO_TRUNC), 1);
    must_equal(pathconf(".", _PC_CHOWN_RESTRICTED), 1);
    must_be(pathconf(".", _PC_LINK_MAX) >= 8, "_PC_LINK_MAX: got %ld", pathconf(".", _PC_LINK_MAX));
}

static void one_device(const void *row) {
    (void)row;
    put_file("file", "x");
    must(mkdir("directory", 0755));
    must(symlink("file", "link"));
    dev_t device = status_of(".").st_dev;
    must_equal(status_of("file").st_dev, device);
    must_equal(status_of("directory").st_dev, device);
    must_equal(status_of("link").st_dev, device);
    must_equal(status_of("directory/..").st_ino, status_of(".").st_ino);
}

static void inode_numbers_stay(const void *row) {
    (void)row;
    put_file("file", "x");
    must(mkdir("directory", 0755));
    ino_t inode = status_of("file").st_ino;
    must_be(inode != 0, "inode number 0");
    must(rename("file", "directory/moved"));
    must_equal(status_of("directory/moved").st_ino, inode);
    must(truncate("directory/moved", 0));
    put_pattern("directory/moved", 100000, 1);
    must_equal(status_of("directory/moved").st_ino, inode);
    put_file("file", "y");
    must_be(status_of("file").st_ino != inode, "two files have one inode number");
}

/* ---- inotify ---- */

static void expect_event(int fd, uint32_t mask, const char *name) {
    static _Alignas(struct inotify_event) char buffer[4096];
    static ssize_t length, at;
    static int from = -1;
    for (;;) {
        if (at >= length || fd != from) {
            from = fd;
            struct pollfd wait = {.fd = fd, .events = POLLIN};
            must_be(poll(&wait, 1, 2000) == 1, "no event %#x of %s came", mask, name);
            length = must(read(fd, buffer, sizeof buffer));
            at = 0;
        }
        const struct inotify_event *event = (const struct inotify_event *)(const void *)(buffer + at);
        at += (ssize_t)(sizeof *event + event->len);
        if ((event->mask & mask) == mask && !strcmp(event->len ? event->name : "", name))
            return;
    }
}

static void watches(const void *row) {
    (void)row;
    put_file("file", "x");
    int watch = must(inotify_init1(IN_CLOEXEC));
    must(inotify_add_watch(watch, ".", IN_ALL_EVENTS));
    int fd = must(open("file", O_WRONLY));
    expect_event(watch, IN_OPEN, "file");
    must_equal(write(fd, "y", 1), 1);
    expect_event(watch, IN_MODIFY, "file");
    must(close(fd));
    expect_event(watch, IN_CLOSE_WRITE, "file");
    must(chmod("file", 0600));
    expect_event(watch, IN_ATTRIB, "file");
    must(setxattr("file", "user.x", "v", 1, 0));
    expect_event(watch, IN_ATTRIB, "file");
    must(truncate("file", 0));
    expect_event(watch, IN_MODIFY, "file");
    must(mkdir("directory", 0755));
    expect_event(watch, IN_CREATE | IN_ISDIR, "directory");
    must(rename("file", "moved"));
    expect_event(watch, IN_MOVED_FROM, "file");
    expect_event(watch, IN_MOVED_TO, "moved");
    must(link("moved", "second"));
    expect_event(watch, IN_CREATE, "second");
    must(unlink("moved"));
    expect_event(watch, IN_DELETE, "moved");
    must(rmdir("directory"));
    expect_event(watch, IN_DELETE | IN_ISDIR, "directory");
}

/* The same by another process, and of the watched file itself: what editors and build tools wait for. */
static void change_what_is_watched(void *argument) {
    (void)argument;
    put_file("new", "text");
    must(rename("new", "file")); /* as programs that write safely do */
    must(rename("file", "directory/file"));
    int fd = must(open("directory/file", O_RDWR));
    char *map = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    map[0] = 'T'; /* no event tells of this */
    must(munmap(map, 4096));
    must(fallocate(fd, 0, 0, 100));
    must(close(fd));
    must(symlink("target", "directory/link"));
    must(unlink("directory/file"));
}

static void watches_others(const void *row) {
    (void)row;
    must(mkdir("directory", 0755));
    put_file("file", "x");
    int watch = must(inotify_init1(IN_CLOEXEC)), below = must(inotify_init1(IN_CLOEXEC)),
        self = must(inotify_init1(IN_CLOEXEC));
    must(inotify_add_watch(watch, ".", IN_ALL_EVENTS));
    must(inotify_add_watch(below, "directory", IN_ALL_EVENTS));
    must(inotify_add_watch(self, "file", IN_ALL_EVENTS));
    in_child(change_what_is_watched, NULL);
    expect_event(self, IN_DELETE_SELF, ""); /* the old file */
    expect_event(watch, IN_CREATE, "new");
    expect_event(watch, IN_MODIFY, "new");
    expect_event(watch, IN_CLOSE_WRITE, "new");
    expect_event(watch, IN_MOVED_FROM, "new");
    expect_event(watch, IN_MOVED_TO, "file");
    expect_event(watch, IN_MOVED_FROM, "file");
    expect_event(below, IN_MOVED_TO, "file");
    expect_event(below, IN_MODIFY, "file");
    expect_event(below, IN_CLOSE_WRITE, "file");
    expect_event(below, IN_CREATE, "link");
    expect_event(below, IN_DELETE, "file");
    must(unlink("directory/link"));
    must(rmdir("directory"));
    expect_event(below, IN_DELETE_SELF, "");
}

static void unknown_ioctls(const void *row) {
    (void)row;
    put_file("file", "x");
    int fd = must(open("file", O_RDONLY)), available;
    must_fail(ENOTTY, ioctl(fd, 0x5401 /* TCGETS */, &available));
    must_fail(ENOTTY, ioctl(fd, _IOR('!', 200, int), &available));
    must(ioctl(fd, FIONREAD, &available));
    must_equal(available, 1);
}

/* ---- handles ---- */

static void handles(const void *row) {
    (void)row;
    need_root();
    struct {
        struct file_handle handle;
        unsigned char bytes[MAX_HANDLE_SZ];
    } space = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
    int mount, root = must(open(".", O_RDONLY | O_DIRECTORY));
    must(mkdir("directory", 0755));
    put_file("directory/file", "x");
    if (name_to_handle_at(AT_FDCWD, "directory/file", &space.handle, &mount, 0)) {
        must_be(errno == EOPNOTSUPP, "name_to_handle_at: got %s", strerrorname_np(errno));
        posix_skip("no file handles here");
    }
    must(rename("directory/file", "moved"));
    int fd = open_by_handle_at(root, &space.handle, O_RDONLY);
    must(fd);
    must_equal(status_of_fd(fd).st_ino, status_of("moved").st_ino);
    must_hold_byte(fd, 0, 1, 'x');
    close(fd);
    must(unlink("moved"));
    must_fail(ESTALE, open_by_handle_at(root, &space.handle, O_RDONLY));
}

static const struct posix_case cases[] = {
    {"statvfs-is-sane", statvfs_is_sane}, {"statvfs-moves", statvfs_moves},           {"limits", limits},
    {"one-device", one_device},           {"inode-numbers-stay", inode_numbers_stay}, {"watches", watches},
    {"watches-others", watches_others},   {"unknown-ioctls", unknown_ioctls},         {"handles", handles},
};

void posix_filesystem(void) {
    posix_cases("filesystem", cases, COUNT(cases));
}
