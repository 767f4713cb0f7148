/* atime, mtime and ctime: which call moves which, and what can be set.
 *
 * Each row of the table is one call. Before it, all three times of the things it may touch lie in the past (as far as ctime can);
 * afterwards exactly those named have moved.
 */
#include "tests/posix.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>

/* ---- the calls ---- */

static int reader_fd, writer_fd; /* of "file", opened before its times were set back */

static void do_nothing(void) {}
static void do_open_read_only(void) {
    must(close(must(open("file", O_RDONLY))));
}
static void do_stat(void) {
    status_of("file");
    must(access("file", R_OK));
}
static void do_read(void) {
    char byte;
    must_equal(read(reader_fd, &byte, 1), 1);
}
static void do_read_nothing(void) {
    char byte;
    must_equal(read(reader_fd, &byte, 0), 0);
}
static void do_readdir(void) {
    DIR *directory = opendir("directory");
    must_be(directory && readdir(directory), "cannot list");
    closedir(directory);
}
static void do_readlink(void) {
    char target[16];
    must(readlink("link", target, sizeof target));
}
static void do_write(void) {
    must_equal(write(writer_fd, "x", 1), 1);
}
static void do_pwrite_far(void) {
    must_equal(pwrite(writer_fd, "x", 1, 100000), 1);
}
static void do_write_nothing(void) {
    must_equal(write(writer_fd, "x", 0), 0);
}
static void do_ftruncate_down(void) {
    must(ftruncate(writer_fd, 1));
}
static void do_ftruncate_up(void) {
    must(ftruncate(writer_fd, 1000));
}
static void do_truncate_same(void) {
    must(truncate("file", 4));
}
static void do_open_truncate(void) {
    must(close(must(open("file", O_WRONLY | O_TRUNC))));
}
static void do_open_create_existing(void) {
    must(close(must(open("file", O_WRONLY | O_CREAT, 0644))));
}
static void do_mmap_write(void) {
    char *map = must(mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, writer_fd, 0));
    map[0] = 'm';
    must(msync(map, 4, MS_SYNC));
    must(munmap(map, 4));
}
static void fallocate_or_skip(int mode, off_t offset, off_t length) {
    if (fallocate(writer_fd, mode, offset, length)) {
        must_be(errno == EOPNOTSUPP, "fallocate: expected success or EOPNOTSUPP, got %s", strerrorname_np(errno));
        posix_skip("fallocate: EOPNOTSUPP");
    }
}
static void do_fallocate(void) {
    fallocate_or_skip(0, 0, 10000);
}
static void do_fallocate_within(void) {
    fallocate_or_skip(0, 0, 1);
}
static void do_fallocate_keep_size(void) {
    fallocate_or_skip(FALLOC_FL_KEEP_SIZE, 0, 10000);
}
static void do_punch(void) {
    fallocate_or_skip(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2);
}
static void do_zero(void) {
    fallocate_or_skip(FALLOC_FL_ZERO_RANGE, 0, 2);
}
static void do_copy_range(void) {
    loff_t from = 0, to = 0;
    int source = must(open("other", O_RDONLY));
    must_equal(copy_file_range(source, &from, writer_fd, &to, 2, 0), 2);
}
static void do_chmod(void) {
    must(chmod("file", 0600));
}
static void do_chmod_same(void) {
    must(chmod("file", 0644));
}
static void do_fchmod(void) {
    must(fchmod(writer_fd, 0600));
}
static void do_chown(void) {
    must(chown("file", geteuid(), getegid()));
}
static void do_lchown(void) {
    must(lchown("link", geteuid(), getegid()));
}
static void do_setxattr(void) {
    must(setxattr("file", "user.new", "v", 1, 0));
}
static void do_removexattr(void) {
    must(removexattr("file", "user.old"));
}
static void do_link(void) {
    must(link("file", "new"));
}
static void do_unlink_second(void) {
    must(unlink("second"));
}
static void do_unlink_directory_entry(void) {
    must(unlink("directory/inner"));
}
static void do_rename(void) {
    must(rename("file", "directory/moved"));
    must(rename("directory/moved", "directory/file"));
}
static void do_rename_over(void) {
    must(rename("other", "second"));
}
static void do_rename_same(void) {
    must(rename("second", "file"));
}
static void do_create(void) {
    must(close(must(open("directory/new", O_CREAT | O_WRONLY, 0644))));
}
static void do_mkdir(void) {
    must(mkdir("directory/new", 0755));
}
static void do_rmdir(void) {
    must(rmdir("directory/empty"));
}
static void do_symlink(void) {
    must(symlink("x", "directory/new"));
}
static void do_mkfifo(void) {
    must(mkfifo("directory/new", 0644));
}
static void do_exchange(void) {
    must(renameat2(AT_FDCWD, "file", AT_FDCWD, "directory/inner", RENAME_EXCHANGE));
    must(renameat2(AT_FDCWD, "file", AT_FDCWD, "directory/inner", RENAME_EXCHANGE));
}
static void do_failures(void) {
    must_fail(EEXIST, link("other", "file"));
    must_fail(EEXIST, mkdir("directory/inner", 0755));
    must_fail(ENOENT, unlink("directory/missing"));
    must_fail(ENOTEMPTY, rmdir("directory"));
    must_fail(EISDIR, rename("file", "directory"));
    must_fail(ENODATA, removexattr("file", "user.missing"));
    must_fail(EEXIST, setxattr("file", "user.old", "v", 1, XATTR_CREATE));
    must_fail(EBADF, write(reader_fd, "x", 1));
    must_fail(EINVAL, ftruncate(writer_fd, -1));
    must_fail(EEXIST, renameat2(AT_FDCWD, "other", AT_FDCWD, "file", RENAME_NOREPLACE));
}
static void do_utimes_omit(void) {
    must(utimensat(AT_FDCWD, "file", (struct timespec[]){{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}}, 0));
}
static void do_utimes_atime(void) {
    must(utimensat(AT_FDCWD, "file", (struct timespec[]){{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}}, 0));
}
static void do_utimes_mtime(void) {
    must(utimensat(AT_FDCWD, "file", (struct timespec[]){{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}}, 0));
}
static void do_utimes_now(void) {
    must(utimensat(AT_FDCWD, "file", NULL, 0));
}
static void do_futimens(void) {
    must(futimens(writer_fd, (struct timespec[]){{.tv_sec = 5}, {.tv_sec = 6}}));
}
static void do_utimes_link(void) {
    must(utimensat(AT_FDCWD, "link", NULL, AT_SYMLINK_NOFOLLOW));
}
static void do_fsync(void) {
    must(fsync(writer_fd));
}

/* ---- the table ---- */

/* Which of a, m, c move, of the file and of the directory; A: atime may. "!" before it: of "link", not of "file". The rest stay. */
static const struct row {
    const char *name;
    void (*run)(void);
    const char *file, *directory;
    bool reads; /* atime: as the mount has it */
} rows[] = {
    {"nothing", do_nothing, "", "", false},
    {"open-read-only", do_open_read_only, "", "", false},
    {"stat", do_stat, "", "", false},
    {"read", do_read, "a", "", true},
    {"read-nothing", do_read_nothing, "", "", false},
    {"readdir", do_readdir, "", "a", true},
    {"readlink", do_readlink, "!a", "", true},
    {"write", do_write, "mc", "", false},
    {"pwrite-far", do_pwrite_far, "mc", "", false},
    {"write-nothing", do_write_nothing, "", "", false},
    {"ftruncate-down", do_ftruncate_down, "mc", "", false},
    {"ftruncate-up", do_ftruncate_up, "mc", "", false},
    {"truncate-same", do_truncate_same, "mc", "", false},
    {"open-truncate", do_open_truncate, "mc", "", false},
    {"open-create-existing", do_open_create_existing, "", "", false},
    {"mmap-write", do_mmap_write, "mcA", "", false},
    {"fallocate", do_fallocate, "mc", "", false},
    {"fallocate-within", do_fallocate_within, "mc", "", false},
    {"fallocate-keep-size", do_fallocate_keep_size, "mc", "", false},
    {"punch", do_punch, "mc", "", false},
    {"zero", do_zero, "mc", "", false},
    {"copy-range", do_copy_range, "mc", "", false},
    {"chmod", do_chmod, "c", "", false},
    {"chmod-same", do_chmod_same, "c", "", false},
    {"fchmod", do_fchmod, "c", "", false},
    {"chown", do_chown, "c", "", false},
    {"lchown", do_lchown, "!c", "", false},
    {"setxattr", do_setxattr, "c", "", false},
    {"removexattr", do_removexattr, "c", "", false},
    {"link", do_link, "c", "", false},
    {"unlink", do_unlink_second, "c", "", false},
    {"unlink-in-directory", do_unlink_directory_entry, "", "mc", false},
    {"rename", do_rename, "c", "mc", false},
    {"rename-over", do_rename_over, "c", "", false},
    {"rename-same", do_rename_same, "", "", false},
    {"create", do_create, "", "mc", false},
    {"mkdir", do_mkdir, "", "mc", false},
    {"rmdir", do_rmdir, "", "mc", false},
    {"symlink", do_symlink, "", "mc", false},
    {"mkfifo", do_mkfifo, "", "mc", false},
    {"exchange", do_exchange, "c", "mc", false},
    {"failures", do_failures, "", "", false},
    {"utimensat-omit", do_utimes_omit, "", "", false},
    {"utimensat-atime", do_utimes_atime, "ac", "", false},
    {"utimensat-mtime", do_utimes_mtime, "mc", "", false},
    {"utimensat-now", do_utimes_now, "amc", "", false},
    {"futimens", do_futimens, "amc", "", false},
    {"utimensat-symlink", do_utimes_link, "!amc", "", false},
    {"fsync", do_fsync, "", "", false},
};

static void must_have_moved(const char *what, const struct stat *before, const struct stat *after, const char *moves) {
    const struct {
        char letter;
        struct timespec before, after;
    } times[] = {{'a', before->st_atim, after->st_atim},
                 {'m', before->st_mtim, after->st_mtim},
                 {'c', before->st_ctim, after->st_ctim}};
    for (size_t i = strchr(moves, 'A') ? 1 : 0; i < COUNT(times); i++) {
        bool expected = strchr(moves, times[i].letter), moved = compare_times(times[i].before, times[i].after) != 0;
        must_be(moved == expected, "%ctime of the %s: expected it to %s", times[i].letter, what,
                expected ? "move, and it stayed" : "stay, and it moved");
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        must_be(compare_times(times[i].after, now) <= 0, "%ctime of the %s lies in the future", times[i].letter, what);
    }
}

static void run_row(const void *argument) {
    const struct row *row = argument;
    const struct timespec past[] = {{.tv_sec = 1000000000, .tv_nsec = 1}, {.tv_sec = 1000000000, .tv_nsec = 2}};
    const bool of_link = row->file[0] == '!';
    put_file("file", "text");
    put_file("other", "other");
    must(symlink("file", "link"));
    must(link("file", "second"));
    must(setxattr("file", "user.old", "v", 1, 0));
    must(mkdir("directory", 0755));
    must(mkdir("directory/empty", 0755));
    put_file("directory/inner", "inner");
    reader_fd = must(open("file", O_RDONLY));
    writer_fd = must(open("file", O_RDWR));
    int directory = must(open("directory", O_RDONLY | O_DIRECTORY));
    int link_fd = must(open("link", O_PATH | O_NOFOLLOW));
    must(utimensat(AT_FDCWD, "file", past, 0));
    must(utimensat(AT_FDCWD, "link", past, AT_SYMLINK_NOFOLLOW));
    must(utimensat(AT_FDCWD, "directory", past, 0));
    int file = of_link ? link_fd : reader_fd;
    struct stat file_before = status_of_fd(file), directory_before = status_of_fd(directory);
    let_time_pass();
    row->run();
    struct stat file_after = status_of_fd(file), directory_after = status_of_fd(directory);
    if (row->reads) {
        struct statvfs fs;
        must(statvfs(".", &fs));
        if (fs.f_flag & ST_NOATIME)
            posix_skip("mounted with noatime");
    }
    must_have_moved(of_link ? "symlink" : "file", &file_before, &file_after, row->file + of_link);
    must_have_moved("directory", &directory_before, &directory_after, row->directory);
}

/* ---- what can be set ---- */

struct instant {
    const char *name;
    struct timespec time;
    bool beyond_ext4; /* which stops in 2446 and at 1901, and goes to the nearest */
};

static const struct instant instants[] = {
    {"epoch", {0, 0}, false},
    {"nanosecond", {0, 1}, false},
    {"last-nanosecond", {1500000000, 999999999}, false},
    {"before-epoch", {-1, 0}, false},
    {"before-epoch-with-nanoseconds", {-2, 123456789}, false},
    {"1901", {-2147483648, 0}, false},
    {"2038", {2147483647, 1}, false},
    {"after-2038", {2147483648, 2}, false},
    {"2106", {4294967296, 3}, false},
    {"2400", {13569465600, 4}, false},
    {"1800", {-5364662400, 0}, true},
    {"3000", {32503680000, 5}, true},
    {"9999", {253402300799, 999999999}, true},
};

static void set_instant(const void *row) {
    const struct instant *instant = row;
    struct timespec other = {.tv_sec = 1234567890, .tv_nsec = 987654321};
    put_file("file", "x");
    must(mkdir("directory", 0755));
    must(symlink("x", "link"));
    const char *const names[] = {"file", "directory", "link"};
    for (size_t i = 0; i < COUNT(names); i++) {
        for (int which = 0; which < 2; which++) {
            struct timespec times[2] = {which ? other : instant->time, which ? instant->time : other};
            must(utimensat(AT_FDCWD, names[i], times, AT_SYMLINK_NOFOLLOW));
            struct stat st = status_of(names[i]);
            struct timespec got = which ? st.st_mtim : st.st_atim, got_other = which ? st.st_atim : st.st_mtim;
            if (instant->beyond_ext4 && got.tv_sec != instant->time.tv_sec)
                posix_skip("beyond what this filesystem keeps");
            must_equal(got.tv_sec, instant->time.tv_sec);
            must_equal(got.tv_nsec, instant->time.tv_nsec);
            must_equal(got_other.tv_sec, other.tv_sec);
            must_equal(got_other.tv_nsec, other.tv_nsec);
        }
    }
}

static void utimensat_refusals(const void *row) {
    (void)row;
    put_file("file", "x");
    must_fail(EINVAL, utimensat(AT_FDCWD, "file", (struct timespec[]){{0, 1000000000}, {0, 0}}, 0));
    must_fail(EINVAL, utimensat(AT_FDCWD, "file", (struct timespec[]){{0, 0}, {0, -1}}, 0));
    must_fail(EINVAL, utimensat(AT_FDCWD, "file", NULL, 0x8000));
    must_fail(ENOENT, utimensat(AT_FDCWD, "missing", NULL, 0));
}

static void utimensat_permissions(const void *row) {
    (void)row;
    const struct timespec some[] = {{1, 0}, {2, 0}};
    const struct timespec half_now[] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    const struct timespec omit[] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};
    need_root();
    put_file("file", "x");
    must(chown("file", ALICE, STAFF));
    must(chmod("file", 0644));
    become(BOB, VISITORS);
    must_fail(EACCES, utimensat(AT_FDCWD, "file", NULL, 0));
    must_fail(EPERM, utimensat(AT_FDCWD, "file", some, 0));
    must_fail(EPERM, utimensat(AT_FDCWD, "file", half_now, 0));
    must(utimensat(AT_FDCWD, "file", omit, 0));
    become(0, 0);
    must(chmod("file", 0666));
    become(BOB, VISITORS);
    must(utimensat(AT_FDCWD, "file", NULL, 0)); /* who may write may touch */
    must_fail(EPERM, utimensat(AT_FDCWD, "file", some, 0));
    must_fail(EPERM, utimensat(AT_FDCWD, "file", half_now, 0));
    become(ALICE, STAFF);
    must(chmod("file", 0));
    must(utimensat(AT_FDCWD, "file", some, 0)); /* the owner always */
    must(utimensat(AT_FDCWD, "file", NULL, 0));
}

static void new_objects_have_now(const void *row) {
    (void)row;
    struct timespec before, after;
    clock_gettime(CLOCK_REALTIME, &before);
    let_time_pass();
    put_file("file", "");
    must(mkdir("directory", 0755));
    must(symlink("x", "link"));
    must(mkfifo("fifo", 0644));
    clock_gettime(CLOCK_REALTIME, &after);
    const char *const names[] = {"file", "directory", "link", "fifo"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct stat st = status_of(names[i]);
        const struct timespec times[] = {st.st_atim, st.st_mtim, st.st_ctim};
        for (size_t j = 0; j < COUNT(times); j++)
            must_be(compare_times(before, times[j]) < 0 && compare_times(times[j], after) <= 0,
                    "%s: expected a time of creation between before and after", names[i]);
    }
}

static void birth_time(const void *row) {
    (void)row;
    struct statx st, later;
    put_file("file", "x");
    must(statx(AT_FDCWD, "file", 0, STATX_BTIME, &st));
    if (!(st.stx_mask & STATX_BTIME))
        posix_skip("statx does not give it");
    let_time_pass();
    must(chmod("file", 0600));
    must(utimensat(AT_FDCWD, "file", (struct timespec[]){{1, 0}, {2, 0}}, 0));
    must(statx(AT_FDCWD, "file", 0, STATX_BTIME, &later));
    must_equal(later.stx_btime.tv_sec, st.stx_btime.tv_sec);
    must_equal(later.stx_btime.tv_nsec, st.stx_btime.tv_nsec);
}

/* What write leaves behind, utimensat may set, and it stays through close: tar and rsync count on it. */
static void set_after_write(const void *row) {
    (void)row;
    const struct timespec times[] = {{100, 1}, {200, 2}};
    int fd = must(open("file", O_WRONLY | O_CREAT, 0644));
    must_equal(write(fd, "content", 7), 7);
    must(futimens(fd, times));
    must(close(fd));
    let_time_pass();
    must_equal(status_of("file").st_mtim.tv_sec, 200);
    must_equal(status_of("file").st_mtim.tv_nsec, 2);
    fd = must(open("file", O_RDWR));
    char *map = must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    map[0] = 'm';
    must(msync(map, 4096, MS_SYNC));
    must(munmap(map, 4096));
    must(futimens(fd, times));
    must(close(fd));
    must_equal(status_of("file").st_mtim.tv_sec, 200);
    fd = must(open("file", O_RDONLY));
    must(fsync(fd));
    must_equal(status_of("file").st_mtim.tv_sec, 200);
    must_equal(status_of("file").st_mtim.tv_nsec, 2);
}

/* Each change of a file is later than the one before. */
static void never_backwards(const void *row) {
    (void)row;
    int fd = must(open("name", O_RDWR | O_CREAT, 0644));
    struct timespec last = {0};
    for (int i = 0; i < 200; i++) {
        switch (i % 4) {
        case 0:
            must_equal(write(fd, "x", 1), 1);
            break;
        case 1:
            must(fchmod(fd, i % 8 < 4 ? 0600 : 0644));
            break;
        case 2:
            must(ftruncate(fd, i));
            break;
        default:
            must(i % 8 > 4 ? rename("file", "name") : rename("name", "file"));
            break;
        }
        struct timespec now = status_of_fd(fd).st_ctim;
        must_be(compare_times(last, now) <= 0, "ctime went back by change %d", i);
        last = now;
    }
}

static const struct posix_case cases[] = {
    {"utimensat-refusals", utimensat_refusals},     {"utimensat-permissions", utimensat_permissions},
    {"new-objects-have-now", new_objects_have_now}, {"birth-time", birth_time},
    {"set-after-write", set_after_write},           {"never-backwards", never_backwards},
};

void posix_times(void) {
    char name[64];
    for (size_t i = 0; i < COUNT(rows); i++) {
        snprintf(name, sizeof name, "of-%s", rows[i].name);
        posix_case("times", name, run_row, &rows[i]);
    }
    for (size_t i = 0; i < COUNT(instants); i++) {
        snprintf(name, sizeof name, "set-%s", instants[i].name);
        posix_case("times", name, set_instant, &instants[i]);
    }
    posix_cases("times", cases, COUNT(cases));
}
