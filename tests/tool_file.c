/* System calls that no shell command makes, for the mount tests. Prints results on stdout; on failure the error on stderr,
 * and exits 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in <linux/fs.h>, which not every C library's headers can be mixed with. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE  (1 << 1)
#endif

static const char usage[] =
    "usage: tool_file exchange A B            renameat2 with RENAME_EXCHANGE\n"
    "       tool_file noreplace A B           renameat2 with RENAME_NOREPLACE\n"
    "       tool_file data FILE OFFSET        lseek SEEK_DATA\n"
    "       tool_file hole FILE OFFSET        lseek SEEK_HOLE\n"
    "       tool_file copyrange A OFFSET B OFFSET LENGTH\n"
    "       tool_file mmapwrite FILE OFFSET TEXT\n"
    "       tool_file unlinked FILE           writes and reads a file that has no name any more\n"
    "       tool_file name DIR                makes files whose names are all bytes but / and NUL\n";

static int failed(const char *what) {
    (void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

static int rename_with(const char *from, const char *to, unsigned flags) {
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags) ? failed("renameat2") : 0;
}

static int seek(const char *path, off_t offset, int whence) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failed("open");
    off_t found = lseek(fd, offset, whence);
    int rc = found < 0 ? failed("lseek") : 0;
    if (found >= 0)
        printf("%lld\n", (long long)found);
    close(fd);
    return rc;
}

/* Prints how many bytes each call copied, so that a test sees whether it was one. */
static int copy_range(const char *from, off_t from_offset, const char *to, off_t to_offset, size_t length) {
    int rc = 1;
    int out = -1;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return failed("open source");
    out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (out < 0) {
        failed("open target");
        goto done;
    }
    while (length > 0) {
        ssize_t copied = copy_file_range(in, &from_offset, out, &to_offset, length, 0);
        if (copied < 0) {
            failed("copy_file_range");
            goto done;
        }
        if (copied == 0)
            break;
        printf("%zd\n", copied);
        length -= (size_t)copied;
    }
    rc = 0;
done:
    if (out >= 0 && close(out) && rc == 0)
        rc = failed("close");
    close(in);
    return rc;
}

/* Leaves the page dirty: no msync, no fsync. */
static int write_through_mmap(const char *path, off_t offset, const char *text) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return failed("open");
    size_t length = (size_t)offset + strlen(text);
    char *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return failed("mmap");
    memcpy(map + offset, text, strlen(text));
    return munmap(map, length) ? failed("munmap") : 0;
}

static int use_unlinked(const char *path) {
    char text[16] = "";
    struct stat st;
    int rc = 1;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed("open");
    if (write(fd, "before", 6) != 6 || unlink(path) || write(fd, " after", 6) != 6 || fsync(fd))
        failed("write, unlink, write, fsync");
    else if (fstat(fd, &st) || st.st_nlink != 0 || st.st_size != 12)
        failed("fstat without a name");
    else if (pread(fd, text, sizeof text - 1, 0) != 12 || strcmp(text, "before after") != 0)
        failed("pread without a name");
    else if (ftruncate(fd, 3) || fstat(fd, &st) || st.st_size != 3)
        failed("ftruncate without a name");
    else if (access(path, F_OK) == 0 || errno != ENOENT)
        failed("access after unlink");
    else
        rc = 0;
    if (close(fd) && rc == 0)
        rc = failed("close");
    return rc;
}

static int make_names(const char *directory) {
    char path[4096];
    for (int byte = 1; byte < 256; byte++) {
        if (byte == '/')
            continue;
        int length = snprintf(path, sizeof path, "%s/%c-", directory, byte);
        if (length < 0 || (size_t)length + 254 > sizeof path)
            return failed("snprintf");
        /* 255 bytes in all: the byte, a dash, and the byte again to the end. */
        memset(path + length, byte, 253);
        path[length + 253] = '\0';
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
            return failed("open a name of 255 bytes");
        close(fd);
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "exchange") && argc == 4)
        return rename_with(argv[2], argv[3], RENAME_EXCHANGE);
    if (!strcmp(what, "noreplace") && argc == 4)
        return rename_with(argv[2], argv[3], RENAME_NOREPLACE);
    if (!strcmp(what, "data") && argc == 4)
        return seek(argv[2], (off_t)strtoll(argv[3], NULL, 10), SEEK_DATA);
    if (!strcmp(what, "hole") && argc == 4)
        return seek(argv[2], (off_t)strtoll(argv[3], NULL, 10), SEEK_HOLE);
    if (!strcmp(what, "copyrange") && argc == 7)
        return copy_range(argv[2], (off_t)strtoll(argv[3], NULL, 10), argv[4], (off_t)strtoll(argv[5], NULL, 10),
                          (size_t)strtoull(argv[6], NULL, 10));
    if (!strcmp(what, "mmapwrite") && argc == 5)
        return write_through_mmap(argv[2], (off_t)strtoll(argv[3], NULL, 10), argv[4]);
    if (!strcmp(what, "unlinked") && argc == 3)
        return use_unlinked(argv[2]);
    if (!strcmp(what, "name") && argc == 3)
        return make_names(argv[2]);
    (void)fputs(usage, stderr);
    return 2;
}
