/* Watching: what the driver takes, and who is stuck. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/load.h"

#define STUCK_NS  INT64_C(60000000000)
#define SAMPLE_NS 250000000

int64_t load_now_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool read_status(pid_t pid, struct sample *sample) {
    char path[64], line[256];
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        (void)sscanf(line, "VmRSS: %" SCNu64, &sample->resident_kib);
        (void)sscanf(line, "Threads: %" SCNu64, &sample->threads);
    }
    (void)fclose(file);
    return true;
}

static uint64_t count_entries(const char *path) {
    uint64_t count = 0;
    DIR *directory = opendir(path);
    while (directory && readdir(directory))
        count++;
    if (directory)
        (void)closedir(directory);
    return count > 2 ? count - 2 : 0;
}

bool load_sample(const struct load *load, struct sample *sample) {
    char path[PATH_SIZE];
    struct stat wal;
    *sample = (struct sample){0};
    if (!read_status(load->driver, sample))
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", load->driver);
    sample->descriptors = count_entries(path);
    (void)snprintf(path, sizeof path, "%s/tidfs.db-wal", load->store);
    sample->wal_bytes = stat(path, &wal) == 0 ? (uint64_t)wal.st_size : 0;
    return sample->resident_kib > 0;
}

/* ---- who is stuck ---- */

static void show_file(const char *label, const char *path) {
    char text[4096];
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    size_t length = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[length] = '\0';
    if (length)
        (void)printf("      %s: %s%s", label, text, text[length - 1] == '\n' ? "" : "\n");
}

/* Where each thread of a process stands, as far as the kernel tells. */
static void show_threads(pid_t pid) {
    static const char *const files[] = {"comm", "wchan", "syscall", "stack"};
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        (void)printf("    process %d, thread %s\n", pid, entry->d_name);
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
            (void)snprintf(path, sizeof path, "/proc/%d/task/%s/%s", pid, entry->d_name, files[i]);
            show_file(files[i], path);
        }
    }
    if (directory)
        (void)closedir(directory);
}

static bool all_go_on(const struct load *load) {
    int64_t now = load_now_ns();
    for (size_t i = 0; i < PROCESSES; i++) {
        const struct activity *activity = &load->activities[i];
        int64_t since = activity->since_ns;
        if (since == 0 || now - since < STUCK_NS || activity->long_one)
            continue;
        (void)printf("    process %zu is stuck for %" PRId64 " s: %s\n", i, (now - since) / 1000000000, activity->what);
        show_threads(activity->pid);
        show_threads(load->driver);
        return false;
    }
    return true;
}

/* ---- until the end ---- */

bool load_watch(struct load *load, unsigned running) {
    const struct timespec pause = {.tv_nsec = SAMPLE_NS};
    bool well = true;
    while (running > 0 && well) {
        int status;
        while (running > 0 && waitpid(-1, &status, WNOHANG) > 0) {
            running--;
            well &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
        }
        (void)nanosleep(&pause, NULL);
        if (load->sample_count < SAMPLES_MAX && load_now_ns() < load->end_ns) {
            if (load_sample(load, &load->samples[load->sample_count])) {
                load->sample_count++;
            } else {
                (void)printf("    the driver is gone\n");
                well = false;
            }
        }
        well &= load->failures == 0 && all_go_on(load);
    }
    return well;
}
