/* File handles, as an NFS server keeps them: what name_to_handle_at gives for a path, opened again without the path, perhaps by
 * another process on another mount of the same store.
 *
 *   tool_handle get PATH              prints the handle
 *   tool_handle cat DIR HANDLE        opens the file on the filesystem that DIR is on, and copies it to stdout
 *   tool_handle list DIR HANDLE       the same for a directory: its names, sorted
 *   tool_handle inode DIR HANDLE      its inode number and its type in octal, of any kind of file
 *   tool_handle above DIR HANDLE      of a directory: the inode number of its parent
 *
 * On failure the error on stderr, and exit code 1. Opening takes CAP_DAC_READ_SEARCH.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_MAX_TEXT (2 * MAX_HANDLE_SZ)

union space {
    struct file_handle handle;
    unsigned char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static int failed(const char *what) {
    (void)fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno));
    return 1;
}

static int get(const char *path) {
    union space space = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
    int mount;
    if (name_to_handle_at(AT_FDCWD, path, &space.handle, &mount, 0))
        return failed("name_to_handle_at");
    printf("%d:", space.handle.handle_type);
    for (unsigned i = 0; i < space.handle.handle_bytes; i++)
        printf("%02x", space.handle.f_handle[i]);
    puts("");
    return 0;
}

static int parse(const char *text, union space *space) {
    char *digits;
    long type = strtol(text, &digits, 10);
    size_t length = *digits == ':' ? strlen(++digits) : 0;
    if (length == 0 || length % 2 != 0 || length > SIZE_MAX_TEXT) {
        errno = EINVAL;
        return failed("the handle");
    }
    *space = (union space){.handle = {.handle_bytes = (unsigned)(length / 2), .handle_type = (int)type}};
    for (size_t i = 0; i < length / 2; i++) {
        char byte[] = {digits[2 * i], digits[2 * i + 1], '\0'};
        space->handle.f_handle[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
    return 0;
}

static int cat(int fd) {
    char buffer[65536];
    ssize_t got;
    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        fwrite(buffer, 1, (size_t)got, stdout);
    return got < 0 ? failed("read") : 0;
}

static int list(const char *path) {
    struct dirent **names;
    int count = scandir(path, &names, NULL, alphasort);
    if (count < 0)
        return failed("scandir");
    for (int i = 0; i < count; i++) {
        puts(names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return 0;
}

static int show(int fd, const char *name) {
    struct stat stat;
    if (fstatat(fd, name, &stat, name[0] == '\0' ? AT_EMPTY_PATH : 0))
        return failed("fstatat");
    printf("%llu %o\n", (unsigned long long)stat.st_ino, stat.st_mode & S_IFMT);
    return 0;
}

static int with_handle(const char *what, const char *directory, const char *text) {
    union space space;
    int rc = 1, fd = -1, mount = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool contents = !strcmp(what, "cat") || !strcmp(what, "list");
    if (mount < 0)
        return failed("open");
    if (parse(text, &space))
        goto out;
    fd = open_by_handle_at(mount, &space.handle, O_CLOEXEC | (contents ? O_RDONLY : O_PATH));
    if (fd < 0) {
        rc = failed("open_by_handle_at");
    } else if (!strcmp(what, "cat")) {
        rc = cat(fd);
    } else if (!strcmp(what, "list")) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        rc = list(path);
    } else {
        rc = show(fd, !strcmp(what, "above") ? ".." : "");
    }
out:
    if (fd >= 0)
        close(fd);
    close(mount);
    return rc;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    if (argc == 3 && !strcmp(what, "get"))
        return get(argv[2]);
    if (argc == 4 &&
        (!strcmp(what, "cat") || !strcmp(what, "list") || !strcmp(what, "inode") || !strcmp(what, "above")))
        return with_handle(what, argv[2], argv[3]);
    fputs("usage: tool_handle get PATH | cat DIR HANDLE | list DIR HANDLE | inode DIR HANDLE | above DIR HANDLE\n",
          stderr);
    return 2;
}
