/* The timed loops of scripts/bench: work that a shell cannot do, or would take longer to start than to do. Each prints one figure a line on
 * stdout; on failure the error on stderr, and exits 1. Nothing is prepared within the time that is told.
 *
 * If BENCH_DRIVER is the id of a process, then lookups, listings, dates, list and commit print a further line: the time of a processor that this process
 * took meanwhile, in the same unit, for one of what was asked. That changes little with what else the machine does.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fs/control.h"

#define BLOCK       4096
#define TRANSFER    ((size_t)1 << 20)
#define WRITERS_MAX 64
#define EDITED      20

extern char **environ;

static const char usage[] =
    "usage: tool_bench time COMMAND…        seconds that it took, without its output; exits as it does\n"
    "       tool_bench create DIR N         microseconds to make each of N empty files in a new directory\n"
    "       tool_bench stat|rename|unlink DIR N     of those\n"
    "       tool_bench write FILE BYTES     MB/s, with fsync at the end\n"
    "       tool_bench read FILE            MB/s\n"
    "       tool_bench randread FILE N      blocks a second\n"
    "       tool_bench randwrite FILE N     blocks a second, with one fsync at the end\n"
    "       tool_bench fsync DIR N WRITERS  median microseconds of a block's write and fsync, each writer to its own "
    "file\n"
    "       tool_bench commit DIR SEED LIST         milliseconds to add a line to 20 files of DIR that LIST names, "
    "and\n"
    "                                               to make them durable as a transaction of tidfs\n"
    "       tool_bench snapshot DIR SEED LIST NAME  the same with a snapshot of btrfs: DIR is a subvolume\n"
    "       tool_bench list DIR             milliseconds\n"
    "       tool_bench cat FILE…            milliseconds to read them all\n"
    "       tool_bench tree DIR N           seconds to make N small files, 100 in a directory\n"
    "       tool_bench lookups DIR N COUNT SEED     median microseconds to look up one file of such a tree of N, in "
    "COUNT "
    "tries\n"
    "       tool_bench listings DIR N COUNT SEED    the same to list one of its directories; never one that lookups "
    "went "
    "into\n"
    "       tool_bench dates DIR FROM TO COUNT SEED median microseconds to look up a date between two, which are "
    "seconds, "
    "in DIR\n";

static int failed(const char *what) {
    (void)fprintf(stderr, "tool_bench: %s: %s\n", what, strerror(errno));
    return 1;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Of a processor, in all threads of the driver; 0 if there is none to look at. */
static double driver_seconds(void) {
    const char *pid = getenv("BENCH_DRIVER");
    clockid_t clock;
    struct timespec used = {0};
    if (pid != NULL && clock_getcpuclockid((pid_t)strtol(pid, NULL, 10), &clock) == 0) {
        clock_gettime(clock, &used);
    }
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static void print_driver(double before, double scale) {
    if (getenv("BENCH_DRIVER") != NULL) {
        printf("%.3f\n", (driver_seconds() - before) * scale);
    }
}

/* Numbers that are the same on each run. xorshift64* */
static uint64_t next_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* ---------------------------------------------------------------- programs */

static int time_command(char **command) {
    posix_spawn_file_actions_t quiet;
    pid_t child;
    int status;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    double start = seconds();
    errno = posix_spawnp(&child, command[0], &quiet, NULL, command, environ);
    posix_spawn_file_actions_destroy(&quiet);
    if (errno != 0 || waitpid(child, &status, 0) < 0) {
        return failed(command[0]);
    }
    printf("%.6f\n", seconds() - start);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* ---------------------------------------------------------------- names in one directory */

enum names { NAMES_CREATE, NAMES_STAT, NAMES_RENAME, NAMES_UNLINK };

static int one_name(enum names what, int directory, const char *name, const char *other) {
    struct stat stat;
    int fd;
    switch (what) {
    case NAMES_CREATE:
        fd = openat(directory, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
        return fd < 0 ? -1 : close(fd);
    case NAMES_STAT:
        return fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW);
    case NAMES_RENAME:
        return renameat(directory, name, directory, other);
    case NAMES_UNLINK:
        return unlinkat(directory, other, 0);
    }
    return -1;
}

static int names(enum names what, const char *path, long count) {
    if (what == NAMES_CREATE && mkdir(path, 0755) != 0) {
        return failed(path);
    }
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return failed(path);
    }
    int rc = 0;
    double start = seconds();
    for (long i = 0; i < count && rc == 0; i++) {
        char name[32], other[32];
        (void)snprintf(name, sizeof name, "file-%06ld", i);
        (void)snprintf(other, sizeof other, "renamed-%06ld", i);
        if (one_name(what, directory, name, other) != 0) {
            rc = failed(name);
        }
    }
    double took = seconds() - start;
    close(directory);
    if (rc == 0) {
        printf("%.3f\n", took * 1e6 / (double)count);
    }
    return rc;
}

/* ---------------------------------------------------------------- one big file */

/* What a write needs that is not the same everywhere: nothing below may find anything to leave out. */
static void fill(char *buffer, size_t size, uint64_t *state) {
    for (size_t i = 0; i + sizeof(uint64_t) <= size; i += sizeof(uint64_t)) {
        uint64_t number = next_random(state);
        memcpy(buffer + i, &number, sizeof number);
    }
}

static int write_file(const char *path, uint64_t bytes) {
    uint64_t state = 1, done = 0;
    char *buffer = malloc(TRANSFER);
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (buffer == NULL || fd < 0) {
        return failed(path);
    }
    fill(buffer, TRANSFER, &state);
    int rc = 0;
    double start = seconds();
    for (; done < bytes && rc == 0; done += TRANSFER) {
        memcpy(buffer, &done, sizeof done); /* no two blocks alike */
        if (write(fd, buffer, TRANSFER) != (ssize_t)TRANSFER) {
            rc = failed("write");
        }
    }
    if (rc == 0 && fsync(fd) != 0) {
        rc = failed("fsync");
    }
    double took = seconds() - start;
    close(fd);
    free(buffer);
    if (rc == 0) {
        printf("%.2f\n", (double)done / took / 1e6);
    }
    return rc;
}

static int read_through(const char *path, char *buffer, uint64_t *bytes) {
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return failed(path);
    }
    while ((got = read(fd, buffer, TRANSFER)) > 0) {
        *bytes += (uint64_t)got;
    }
    close(fd);
    return got < 0 ? failed(path) : 0;
}

static int read_files(int count, char **paths, double *took, uint64_t *bytes) {
    char *buffer = malloc(TRANSFER);
    int rc = buffer == NULL ? failed("malloc") : 0;
    *bytes = 0;
    double start = seconds();
    for (int i = 0; i < count && rc == 0; i++) {
        rc = read_through(paths[i], buffer, bytes);
    }
    *took = seconds() - start;
    free(buffer);
    return rc;
}

static int random_blocks(const char *path, long count, bool writes) {
    char block[BLOCK];
    struct stat stat;
    uint64_t state = 7;
    int rc = 0, fd = open(path, (writes ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &stat) != 0) {
        return failed(path);
    }
    fill(block, sizeof block, &state);
    uint64_t blocks = (uint64_t)stat.st_size / BLOCK;
    double start = seconds();
    for (long i = 0; i < count && rc == 0; i++) {
        off_t at = (off_t)(next_random(&state) % blocks * BLOCK);
        if ((writes ? pwrite(fd, block, BLOCK, at) : pread(fd, block, BLOCK, at)) != BLOCK) {
            rc = failed(path);
        }
    }
    if (writes && rc == 0 && fsync(fd) != 0) {
        rc = failed("fsync");
    }
    double took = seconds() - start;
    close(fd);
    if (rc == 0) {
        printf("%.1f\n", (double)count / took);
    }
    return rc;
}

/* ---------------------------------------------------------------- making durable */

struct writer {
    pthread_t thread;
    pthread_barrier_t *begin;
    int fd;
    long count;
    double *took;
    int error;
};

static void *write_and_sync(void *context) {
    struct writer *writer = context;
    char block[BLOCK];
    uint64_t state = (uint64_t)(uintptr_t)writer | 1;
    pthread_barrier_wait(writer->begin);
    for (long i = 0; i < writer->count && writer->error == 0; i++) {
        fill(block, sizeof block, &state);
        double start = seconds();
        if (pwrite(writer->fd, block, BLOCK, i * BLOCK) != BLOCK || fsync(writer->fd) != 0) {
            writer->error = errno;
        }
        writer->took[i] = seconds() - start;
    }
    return NULL;
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Of seconds, which it puts in order; in microseconds. */
static void print_median(double *took, size_t count) {
    qsort(took, count, sizeof *took, compare);
    printf("%.2f\n", took[count / 2] * 1e6);
}

static int sync_writes(const char *directory, long count, long writers) {
    struct writer all[WRITERS_MAX];
    pthread_barrier_t begin;
    double *took = calloc((size_t)(count * writers), sizeof *took);
    if (took == NULL || writers > WRITERS_MAX) {
        errno = took == NULL ? ENOMEM : EINVAL;
        return failed("fsync");
    }
    pthread_barrier_init(&begin, NULL, (unsigned)writers);
    for (long i = 0; i < writers; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/synced-%ld", directory, i);
        all[i] = (struct writer){.begin = &begin,
                                 .count = count,
                                 .took = took + i * count,
                                 .fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644)};
        if (all[i].fd < 0 || (errno = pthread_create(&all[i].thread, NULL, write_and_sync, &all[i])) != 0) {
            return failed(path); /* and ends the others */
        }
    }
    int rc = 0;
    for (long i = 0; i < writers; i++) {
        pthread_join(all[i].thread, NULL);
        close(all[i].fd);
        if (all[i].error != 0) {
            errno = all[i].error;
            rc = failed("write and fsync");
        }
    }
    pthread_barrier_destroy(&begin);
    if (rc == 0) {
        print_median(took, (size_t)(count * writers));
    }
    free(took);
    return rc;
}

/* ---------------------------------------------------------------- versions */

/* The names that a list has, one a line, in `text`, which they point into. */
static char **read_list(const char *path, char **text, size_t *count) {
    char **names = NULL;
    size_t room = 0;
    ssize_t length;
    FILE *in = fopen(path, "re");
    *text = NULL;
    *count = 0;
    if (in == NULL) {
        return NULL;
    }
    length = getdelim(text, &room, '\0', in); /* no name has a zero byte */
    (void)fclose(in);
    if (length <= 0) {
        return NULL;
    }
    size_t lines = 0;
    for (const char *at = *text; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    names = calloc(lines + 1, sizeof *names);
    char *rest = *text;
    for (size_t i = 0; names != NULL && i < lines; i++) {
        names[(*count)++] = strsep(&rest, "\n");
    }
    return names;
}

/* Adds a line to 20 of them. */
static int edit(int directory, uint64_t seed, char **names, size_t count) {
    uint64_t state = seed * 2 + 1;
    for (int i = 0; i < EDITED; i++) {
        char line[64];
        const char *name = names[next_random(&state) % count];
        int length = snprintf(line, sizeof line, "/* edited: %llu */\n", (unsigned long long)seed);
        int fd = openat(directory, name, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd < 0 || write(fd, line, (size_t)length) != length || close(fd) != 0) {
            return failed(name);
        }
    }
    return 0;
}

/* snapshot: the new subvolume's name, NULL: tidfs commits. Prints the time of the edits, and that of the rest. */
static int make_version(const char *path, uint64_t seed, const char *list, const char *snapshot) {
    static struct control_commit commit = {.message = "edited"};
    struct btrfs_ioctl_vol_args_v2 made = {.flags = BTRFS_SUBVOL_RDONLY};
    char *text, **all;
    size_t count;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
        above = openat(directory, "..", O_RDONLY | O_CLOEXEC);
    all = read_list(list, &text, &count);
    if (directory < 0 || above < 0 || all == NULL || count == 0) {
        return failed(path);
    }
    double driver = driver_seconds(), start = seconds();
    int rc = edit(directory, seed, all, count);
    double edited = seconds();
    if (rc == 0 && snapshot == NULL) {
        /* As `tidfs commit` does. */
        if (syncfs(directory) != 0 || ioctl(directory, CONTROL_COMMIT, &commit) != 0) {
            rc = failed("commit");
        }
    } else if (rc == 0) {
        made.fd = directory;
        (void)snprintf(made.name, sizeof made.name, "%s", snapshot);
        if (ioctl(above, BTRFS_IOC_SNAP_CREATE_V2, &made) != 0 || syncfs(above) != 0) {
            rc = failed("snapshot");
        }
    }
    double done = seconds();
    if (rc == 0) {
        printf("%.3f\n%.3f\n", (edited - start) * 1e3, (done - edited) * 1e3);
        print_driver(driver, 1e3);
    }
    free(all);
    free(text);
    close(above);
    close(directory);
    return rc;
}

static int list_directory(const char *path) {
    double driver = driver_seconds(), start = seconds();
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return failed(path);
    }
    errno = 0;
    while (readdir(directory) != NULL) {
    }
    int rc = errno != 0 ? failed(path) : 0;
    closedir(directory);
    if (rc == 0) {
        printf("%.3f\n", (seconds() - start) * 1e3);
        print_driver(driver, 1e3);
    }
    return rc;
}

/* ---------------------------------------------------------------- scale */

/* A hundred in each directory, two deep. */
static int make_tree(const char *top, long count) {
    double start = seconds();
    for (long i = 0; i < count; i++) {
        char path[4096], text[64];
        (void)snprintf(path, sizeof path, "%s/d%02ld", top, i / 10000);
        if (i % 10000 == 0 && mkdir(path, 0755) != 0) {
            return failed(path);
        }
        (void)snprintf(path, sizeof path, "%s/d%02ld/d%02ld", top, i / 10000, i / 100 % 100);
        if (i % 100 == 0 && mkdir(path, 0755) != 0) {
            return failed(path);
        }
        (void)snprintf(path, sizeof path, "%s/d%02ld/d%02ld/f%02ld", top, i / 10000, i / 100 % 100, i % 100);
        int length = snprintf(text, sizeof text, "file %ld\n", i);
        int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0 || write(fd, text, (size_t)length) != length || close(fd) != 0) {
            return failed(path);
        }
    }
    printf("%.3f\n", seconds() - start);
    return 0;
}

enum question { QUESTION_LOOKUP, QUESTION_LIST };

/* What `number`, in 0..files / 100 - 1, counts off among the directories of a tree; open. */
static int open_hundred(int top, uint64_t number, int flags) {
    char path[32];
    (void)snprintf(path, sizeof path, "d%02llu/d%02llu", (unsigned long long)number / 100,
                   (unsigned long long)number % 100);
    return openat(top, path, flags | O_DIRECTORY | O_CLOEXEC);
}

/* Each of them in a directory that is known already. */
static int ask_once(enum question question, int top, uint64_t directory, uint64_t file, double *took) {
    char name[32];
    struct stat stat;
    DIR *stream = NULL;
    int fd = open_hundred(top, directory, question == QUESTION_LIST ? O_RDONLY : O_PATH);
    if (fd < 0 || (question == QUESTION_LIST && (stream = fdopendir(fd)) == NULL)) {
        return failed("open a directory");
    }
    (void)snprintf(name, sizeof name, "f%02llu", (unsigned long long)file);
    double start = seconds();
    errno = 0;
    if (stream != NULL) {
        while (readdir(stream) != NULL) {
        }
    } else {
        (void)fstatat(fd, name, &stat, AT_SYMLINK_NOFOLLOW);
    }
    *took = seconds() - start;
    int rc = errno != 0 ? failed(name) : 0;
    if (stream != NULL) {
        closedir(stream);
    } else {
        close(fd);
    }
    return rc;
}

/* Lookups go to directories with even numbers, listings to those with odd ones: none to where another has been, as long as there are enough. */
static int ask(enum question question, const char *path, uint64_t files, long count, uint64_t seed) {
    uint64_t state = seed * 2 + 1, half = files / 200;
    int top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    double *took = count > 0 ? calloc((size_t)count, sizeof *took) : NULL;
    if (top < 0 || took == NULL || half == 0) {
        errno = top >= 0 ? EINVAL : errno;
        return failed(path);
    }
    uint64_t number = next_random(&state) % half;
    double driver = driver_seconds();
    int rc = 0;
    for (long i = 0; i < count && rc == 0; i++) {
        number = question == QUESTION_LIST ? (number + 1) % half : next_random(&state) % half;
        rc = ask_once(question, top, number * 2 + (question == QUESTION_LIST), next_random(&state) % 100, &took[i]);
    }
    close(top);
    if (rc == 0) {
        print_median(took, (size_t)count);
        print_driver(driver, 1e6 / (double)count);
    }
    free(took);
    return rc;
}

static int dates(const char *path, int64_t from, int64_t to, long count, uint64_t seed) {
    uint64_t state = seed * 2 + 1;
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    double *took = count > 0 ? calloc((size_t)count, sizeof *took) : NULL, driver = driver_seconds();
    if (directory < 0 || took == NULL || to <= from) {
        errno = directory >= 0 ? EINVAL : errno;
        return failed(path);
    }
    for (long i = 0; i < count && rc == 0; i++) {
        char name[64];
        struct stat stat;
        struct tm parts;
        time_t when = from + (time_t)(next_random(&state) % (uint64_t)(to - from));
        if (gmtime_r(&when, &parts) == NULL || strftime(name, sizeof name, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
            errno = EOVERFLOW;
            rc = failed("a date");
            break;
        }
        double start = seconds();
        rc = fstatat(directory, name, &stat, AT_SYMLINK_NOFOLLOW) != 0 ? failed(name) : 0;
        took[i] = seconds() - start;
    }
    close(directory);
    if (rc == 0) {
        print_median(took, (size_t)count);
        print_driver(driver, 1e6 / (double)count);
    }
    free(took);
    return rc;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        enum names what;
    } loops[] = {{"create", NAMES_CREATE}, {"stat", NAMES_STAT}, {"rename", NAMES_RENAME}, {"unlink", NAMES_UNLINK}};
    const char *what = argc > 1 ? argv[1] : "";
    long number = argc > 3 ? strtol(argv[3], NULL, 10) : 0;
    double took;
    uint64_t bytes;
    for (size_t i = 0; argc == 4 && i < sizeof loops / sizeof *loops; i++) {
        if (strcmp(what, loops[i].name) == 0) {
            return names(loops[i].what, argv[2], number);
        }
    }
    if (strcmp(what, "time") == 0 && argc > 2) {
        return time_command(argv + 2);
    } else if (strcmp(what, "write") == 0 && argc == 4) {
        return write_file(argv[2], (uint64_t)number);
    } else if (strcmp(what, "read") == 0 && argc == 3) {
        int rc = read_files(1, argv + 2, &took, &bytes);
        if (rc == 0) {
            printf("%.2f\n", (double)bytes / took / 1e6);
        }
        return rc;
    } else if (strcmp(what, "cat") == 0 && argc > 2) {
        int rc = read_files(argc - 2, argv + 2, &took, &bytes);
        if (rc == 0) {
            printf("%.3f\n", took * 1e3);
        }
        return rc;
    } else if ((strcmp(what, "randread") == 0 || strcmp(what, "randwrite") == 0) && argc == 4) {
        return random_blocks(argv[2], number, what[4] == 'w');
    } else if (strcmp(what, "fsync") == 0 && argc == 5) {
        return sync_writes(argv[2], number, strtol(argv[4], NULL, 10));
    } else if (strcmp(what, "commit") == 0 && argc == 5) {
        return make_version(argv[2], (uint64_t)number, argv[4], NULL);
    } else if (strcmp(what, "snapshot") == 0 && argc == 6) {
        return make_version(argv[2], (uint64_t)number, argv[4], argv[5]);
    } else if (strcmp(what, "list") == 0 && argc == 3) {
        return list_directory(argv[2]);
    } else if (strcmp(what, "tree") == 0 && argc == 4) {
        return make_tree(argv[2], number);
    } else if ((strcmp(what, "lookups") == 0 || strcmp(what, "listings") == 0) && argc == 6) {
        return ask(what[1] == 'o' ? QUESTION_LOOKUP : QUESTION_LIST, argv[2], (uint64_t)number,
                   strtol(argv[4], NULL, 10), strtoull(argv[5], NULL, 10));
    } else if (strcmp(what, "dates") == 0 && argc == 7) {
        return dates(argv[2], number, strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10),
                     strtoull(argv[6], NULL, 10));
    }
    (void)fputs(usage, stderr);
    return 2;
}
