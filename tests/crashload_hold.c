/* A program that has files open when the filesystem dies. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crashload.h"

#define SIZE      (1 << 20)
#define SOON_S    20     /* a use that takes longer hangs */
#define UNTOUCHED 700000 /* nothing has read the file there */

struct held {
    int directory, file, written, read_only;
    char *mapped;
    DIR *listing;
};

static sigjmp_buf touched;

static void on_bus_error(int signal_number) {
    (void)signal_number;
    siglongjmp(touched, 1);
}

/* `failed`: the call has; then errno says how. `also`: another errno that will do, or 0. */
static int expect_gone(const char *what, bool failed, int also) {
    if (failed && (errno == ENOTCONN || errno == ECONNABORTED || (also && errno == also)))
        return 0;
    printf("%s: %s\n", what, failed ? strerror(errno) : "works on a filesystem that is gone");
    return 1;
}

static int touch_mapped(const struct held *held) {
    struct sigaction action = {.sa_handler = on_bus_error};
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, NULL) < 0) {
        perror("sigaction");
        return 1;
    }
    if (sigsetjmp(touched, 1))
        return 0;
    char byte = *(volatile char *)(held->mapped + UNTOUCHED);
    printf("mmap: reads %d from a filesystem that is gone\n", byte);
    return 1;
}

/* What the kernel keeps for itself it may go on giving out: so each use asks for something that it cannot have. */
static int use(const struct held *held) {
    char data[PATH_MAX];
    struct statx status;
    int problems = 0;
    (void)alarm(SOON_S);
    problems += expect_gone("read", pread(held->file, data, 100, UNTOUCHED) < 0, EIO);
    problems +=
        expect_gone("stat", statx(held->file, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_ALL, &status) < 0, 0);
    problems += expect_gone("open", openat(held->directory, "another", O_RDWR | O_CREAT | O_CLOEXEC, 0644) < 0, 0);
    problems += expect_gone("truncate", ftruncate(held->file, 5) < 0, 0);
    problems += expect_gone("rename", renameat(held->directory, "held", held->directory, "other") < 0, 0);
    problems += touch_mapped(held);
    /* With a write-back cache a write is the kernel's alone, until it is synced. */
    bool refused = pwrite(held->written, "x", 1, 3) < 0;
    if (refused)
        problems += expect_gone("write", true, EIO);
    problems += expect_gone("fsync", fsync(held->written) < 0, EIO);
    (void)close(held->written);
    (void)close(held->file);
    (void)close(held->read_only);
    (void)closedir(held->listing);
    (void)munmap(held->mapped, SIZE);
    problems += expect_gone("fsync directory", fsync(held->directory) < 0, EIO);
    (void)close(held->directory);
    (void)alarm(0);
    return problems;
}

static int make_held(int directory) {
    static char data[SIZE];
    memset(data, 'h', sizeof data);
    int fd = openat(directory, "held", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && write(fd, data, sizeof data) == (ssize_t)sizeof data && fsync(fd) == 0 &&
              posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    return ok ? 0 : -1;
}

int hold(const char *directory) {
    struct held held = {.directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (held.directory < 0 || make_held(held.directory) < 0) {
        perror(directory);
        return 1;
    }
    held.file = openat(held.directory, "held", O_RDWR | O_CLOEXEC);
    held.read_only = openat(held.directory, "held", O_RDONLY | O_CLOEXEC);
    held.written = openat(held.directory, "written", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    held.listing = opendir(directory);
    held.mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, held.file, 0);
    if (held.file < 0 || held.read_only < 0 || held.written < 0 || held.listing == NULL || held.mapped == MAP_FAILED ||
        posix_fadvise(held.file, 0, 0, POSIX_FADV_RANDOM) != 0 || pwrite(held.written, "written", 7, 0) != 7) {
        perror(directory);
        return 1;
    }
    char line[16];
    if (puts("open") < 0 || fflush(stdout) || fgets(line, sizeof line, stdin) == NULL)
        return 1;
    return use(&held) != 0;
}
