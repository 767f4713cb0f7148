/* Loads for the crash test, and the check of what they left.
 *
 *   tool_crashload run LOAD DIR LOG SEED     works in DIR until the filesystem goes away under it
 *   tool_crashload check LOAD DIR LOG        compares DIR with what LOG says must be there; prints each difference
 *   tool_crashload hold DIR                  keeps files below DIR open until told that the filesystem is gone, and looks what they say then
 *
 * crashload.h says how a load is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crashload.h"

static const struct load {
    const char *name;
    int (*work)(struct worker *worker);
    int (*check)(const char *directory, const char *log, int number, unsigned *acknowledged);
} loads[] = {
    {"mixed", mixed_work, mixed_check},    {"write", write_work, write_check}, {"create", create_work, create_check},
    {"rename", rename_work, rename_check}, {"fsync", fsync_work, fsync_check},
};

unsigned worker_pick(struct worker *worker, unsigned below) {
    return (unsigned)rand_r(&worker->seed) % below;
}

static bool is_gone(int error) {
    return error == ENOTCONN || error == ECONNABORTED || error == ECONNREFUSED;
}

int worker_stop(const struct worker *worker, const char *what) {
    struct statfs statistics;
    int error = errno;
    if (is_gone(error))
        return 1;
    /* What the kernel could not write back any more it reports as EIO. */
    if (error == EIO && fstatfs(worker->directory, &statistics) && is_gone(errno))
        return 1;
    (void)fprintf(stderr, "worker %d: %s: %s\n", worker->number, what, strerror(error));
    return -1;
}

static int run_worker(const struct load *load, const char *directory, const char *log, int number, unsigned seed) {
    char path[4096];
    struct worker worker = {.number = number, .directory = -1, .seed = seed + (unsigned)number * 7919u};
    (void)snprintf(path, sizeof path, "%s.%d", log, number);
    worker.log = fopen(path, "w");
    if (worker.log == NULL) {
        perror(path);
        return 1;
    }
    (void)snprintf(path, sizeof path, "%s/%d", directory, number);
    int rc = 1;
    if (mkdir(path, 0755) == 0)
        worker.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (worker.directory < 0)
        rc = is_gone(errno) ? 0 : (perror(path), 1);
    else
        rc = load->work(&worker) < 0;
    if (worker.directory >= 0)
        close(worker.directory);
    if (fclose(worker.log))
        rc = 1;
    return rc;
}

static int run(const struct load *load, const char *directory, const char *log, unsigned seed) {
    int rc = 0;
    for (int number = 0; number < WORKERS; number++) {
        pid_t child = fork();
        if (child < 0) {
            perror("fork");
            return 1;
        }
        if (child == 0)
            _exit(run_worker(load, directory, log, number, seed));
    }
    for (int number = 0; number < WORKERS; number++) {
        int status;
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            rc = 1;
    }
    return rc;
}

static int check(const struct load *load, const char *directory, const char *log) {
    int problems = 0;
    unsigned acknowledged = 0;
    for (int number = 0; number < WORKERS; number++) {
        int rc = load->check(directory, log, number, &acknowledged);
        if (rc < 0)
            return 1;
        problems += rc;
    }
    printf("%u acknowledged, %d problems\n", acknowledged, problems);
    return problems != 0;
}

int main(int argc, char **argv) {
    const struct load *load = NULL;
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++)
        if (argc > 2 && !strcmp(argv[2], loads[i].name))
            load = &loads[i];
    if (argc == 6 && load && !strcmp(argv[1], "run"))
        return run(load, argv[3], argv[4], (unsigned)strtoul(argv[5], NULL, 10));
    if (argc == 5 && load && !strcmp(argv[1], "check"))
        return check(load, argv[3], argv[4]);
    if (argc == 3 && !strcmp(argv[1], "hold"))
        return hold(argv[2]);
    (void)fputs("usage: tool_crashload run LOAD DIR LOG SEED | check LOAD DIR LOG | hold DIR\n", stderr);
    return 2;
}
