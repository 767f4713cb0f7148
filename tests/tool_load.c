/* A load on a mount: 24 processes that look at 50 views, change /head, commit, tag and run the command line, for so many seconds. Nothing may fail, none
 * may wait for a minute, each view must show at any time what it showed at the beginning, and each process must find what it wrote; and the driver must
 * take no more in the end than in the middle.
 *
 *   tool_load MOUNT STORE TIDFS DRIVER SECONDS SEED RESIDENT_MIB
 *
 * DRIVER is its process id; RESIDENT_MIB the memory that it may take, 0: any (for a sanitizer's build). Prints what it did, or what was wrong and exits 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/load.h"

#define WAL_MAX_MIB     96 /* above 64 MiB it is made to start over, and a moment passes until it does */
#define THREADS_MAX     40
#define DESCRIPTORS_MAX 64 /* three for each of 8 connections of readers are most of it */

/* ---- what workers share ---- */

uint64_t load_random(struct worker *worker, uint64_t bound) {
    worker->random = worker->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (worker->random >> 33) % bound;
}

bool load_is_over(const struct worker *worker) {
    return load_now_ns() >= worker->load->end_ns || worker->load->failures > 0;
}

void load_begin(struct worker *worker, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(worker->activity->what, sizeof worker->activity->what, format, arguments);
    va_end(arguments);
    worker->activity->since_ns = load_now_ns();
}

void load_end(struct worker *worker) {
    worker->activity->since_ns = 0;
    worker->activity->done++;
}

void load_fail(struct worker *worker, const char *format, ...) {
    va_list arguments;
    char text[1024];
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    worker->load->failures++;
    (void)printf("    process %u: %s\n", worker->number, text);
    (void)fflush(stdout);
    _exit(1);
}

/* ---- before ---- */

static void make_file(struct worker *worker, const char *path, size_t size) {
    static uint8_t bytes[100000];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 13 + worker->random);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd) < 0)
        load_fail(worker, "%s: %s", path, strerror(errno));
}

/* One instant after the other of /head/base. */
static void make_views(struct worker *worker) {
    struct load *load = worker->load;
    char path[PATH_SIZE], other[PATH_SIZE];
    (void)snprintf(path, sizeof path, "%s/head/base", load->mount);
    if (mkdir(path, 0755) < 0)
        load_fail(worker, "%s: %s", path, strerror(errno));
    for (unsigned i = 0; i < 8; i++) {
        (void)snprintf(path, sizeof path, "%s/head/base/d%u", load->mount, i);
        (void)snprintf(other, sizeof other, "%s/head/base/d%u/s", load->mount, i);
        if (mkdir(path, 0755) < 0 || symlink("f1", other) < 0 || setxattr(path, "user.d", path, 8, 0) < 0)
            load_fail(worker, "%s: %s", path, strerror(errno));
    }
    for (unsigned i = 0; i < VIEWS; i++) {
        for (unsigned j = 0; j < (i ? 20 : 200); j++) {
            uint64_t file = i ? load_random(worker, 25) : j % 25, directory = i ? load_random(worker, 8) : j / 25;
            (void)snprintf(path, sizeof path, "%s/head/base/d%" PRIu64 "/f%" PRIu64, load->mount, directory, file);
            if (load_random(worker, 10) == 0)
                (void)unlink(path);
            else
                make_file(worker, path, load_random(worker, load_random(worker, 10) ? 6000 : 100000));
        }
        load_commit(worker, "an instant", load->views[i].tid);
    }
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof path, "%s/head/shared/%u", load->mount, i);
        (void)snprintf(other, sizeof other, "%s/head/shared", load->mount);
        if ((i == 0 && mkdir(other, 0755) < 0) || mkdir(path, 0755) < 0)
            load_fail(worker, "%s: %s", path, strerror(errno));
    }
}

/* What all views show; with `compare`, which must be what they did. */
static void sum_views(struct worker *worker, bool compare) {
    for (unsigned i = 0; i < VIEWS; i++) {
        struct view *view = &worker->load->views[i], was = *view;
        char path[PATH_SIZE];
        (void)snprintf(path, sizeof path, "%s/at/%s/base", worker->load->mount, view->tid);
        view->sum = load_sum(worker, path, &view->objects);
        if (compare && (view->sum != was.sum || view->objects != was.objects))
            load_fail(worker, "%s is not what it was", path);
    }
}

/* ---- the processes ---- */

static const struct {
    void (*run)(struct worker *worker);
    unsigned count;
} roles[] = {
    {load_read_views, 11}, {load_write_own, 7}, {load_write_shared, 3}, {load_read_others, 1}, {load_command, 2},
};

static int start(struct load *load, unsigned number, void (*run)(struct worker *worker)) {
    struct worker worker = {load, &load->activities[number], number, load->seed * 1000 + number};
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid != 0) {
        load->activities[number].pid = pid;
        return pid < 0 ? -1 : 0;
    }
    run(&worker);
    worker.activity->since_ns = 0;
    _exit(0);
}

static bool run_all(struct load *load) {
    unsigned number = 0;
    load->end_ns = load_now_ns() + (int64_t)load->seconds * 1000000000;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        for (unsigned j = 0; j < roles[i].count; j++) {
            if (start(load, number++, roles[i].run) < 0) {
                perror("tool_load: fork");
                load->failures++;
            }
        }
    }
    bool well = load_watch(load, number);
    for (unsigned i = 0; i < number && !well; i++)
        (void)kill(load->activities[i].pid, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    return well && load->failures == 0;
}

/* ---- what it took ---- */

static struct sample greatest(const struct sample *samples, size_t count) {
    struct sample most = {0};
    for (size_t i = 0; i < count; i++) {
        const struct sample *sample = &samples[i];
        most.resident_kib = sample->resident_kib > most.resident_kib ? sample->resident_kib : most.resident_kib;
        most.descriptors = sample->descriptors > most.descriptors ? sample->descriptors : most.descriptors;
        most.threads = sample->threads > most.threads ? sample->threads : most.threads;
        most.wal_bytes = sample->wal_bytes > most.wal_bytes ? sample->wal_bytes : most.wal_bytes;
    }
    return most;
}

static bool within(const char *what, uint64_t value, uint64_t limit) {
    if (value <= limit)
        return true;
    (void)printf("    %s: %" PRIu64 ", at most %" PRIu64 " is right\n", what, value, limit);
    return false;
}

static bool judge(const struct load *load, uint64_t resident_mib) {
    size_t third = load->sample_count / 3;
    struct sample all = greatest(load->samples, load->sample_count), middle = greatest(load->samples + third, third),
                  last = greatest(load->samples + 2 * third, load->sample_count - 2 * third);
    uint64_t operations = 0;
    for (size_t i = 0; i < PROCESSES; i++)
        operations += load->activities[i].done;
    (void)printf("    LOAD_SECONDS=%" PRIu64 " SEED=%" PRIu64 ": %" PRIu64 " operations, %" PRIu64 " commits; %" PRIu64
                 " MiB (%" PRIu64 ", %" PRIu64 "), %" PRIu64 " fds, %" PRIu64 " threads, WAL %" PRIu64 " MiB\n",
                 load->seconds, load->seed, operations, (uint64_t)load->commits, all.resident_kib >> 10,
                 middle.resident_kib >> 10, last.resident_kib >> 10, all.descriptors, all.threads, all.wal_bytes >> 20);
    bool well = within("MiB of the write-ahead log", all.wal_bytes >> 20, WAL_MAX_MIB) &
                within("threads", all.threads, THREADS_MAX) & within("descriptors", all.descriptors, DESCRIPTORS_MAX) &
                within("descriptors in the last third", last.descriptors, middle.descriptors + 24);
    if (resident_mib > 0)
        well &= within("MiB of memory", all.resident_kib >> 10, resident_mib) &
                within("KiB of memory in the last third", last.resident_kib,
                       middle.resident_kib + middle.resident_kib / 10 + 8192);
    return well;
}

int main(int argc, char **argv) {
    if (argc != 8) {
        (void)fprintf(stderr, "usage: tool_load MOUNT STORE TIDFS DRIVER SECONDS SEED RESIDENT_MIB\n");
        return 2;
    }
    struct load *load = mmap(NULL, sizeof *load, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (load == MAP_FAILED) {
        perror("tool_load");
        return 2;
    }
    load->mount = argv[1];
    load->store = argv[2];
    load->program = argv[3];
    load->driver = (pid_t)strtol(argv[4], NULL, 10);
    load->seconds = strtoull(argv[5], NULL, 10);
    load->seed = strtoull(argv[6], NULL, 10);
    struct worker self = {load, &load->activities[PROCESSES], PROCESSES, load->seed};
    make_views(&self);
    sum_views(&self, false);
    bool well = run_all(load);
    if (well)
        sum_views(&self, true);
    return well && judge(load, strtoull(argv[7], NULL, 10)) ? 0 : 1;
}
