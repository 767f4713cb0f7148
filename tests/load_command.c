/* The command line beside everything else. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/load.h"

extern char **environ;

/* Reads all of it, and keeps as much as there is room for. */
static void take_output(int fd, char *output, size_t size) {
    char rest[4096];
    size_t length = 0;
    ssize_t bytes;
    do {
        bool keep = size > 0 && length < size - 1;
        bytes = keep ? read(fd, output + length, size - 1 - length) : read(fd, rest, sizeof rest);
        if (keep && bytes > 0)
            length += (size_t)bytes;
    } while (bytes > 0 || (bytes < 0 && errno == EINTR));
    if (size > 0)
        output[length] = '\0';
}

int load_run(struct worker *worker, char *const arguments[], char *output, size_t size) {
    int ends[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) < 0 || posix_spawn_file_actions_init(&actions) != 0)
        load_fail(worker, "%s: %s", arguments[1], strerror(errno));
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    int rc = posix_spawn(&pid, arguments[0], &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (rc != 0)
        load_fail(worker, "%s: %s", arguments[0], strerror(rc));
    take_output(ends[0], output, size);
    (void)close(ends[0]);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            load_fail(worker, "%s: waitpid: %s", arguments[1], strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* One that must succeed. */
static void run(struct worker *worker, char *const arguments[], char *output, size_t size) {
    /* It reads all of the store, which grows. */
    worker->activity->long_one = strcmp(arguments[1], "verify") == 0;
    load_begin(worker, "tidfs %s", arguments[1]);
    int rc = load_run(worker, arguments, output, size);
    load_end(worker);
    if (rc != 0)
        load_fail(worker, "tidfs %s: exit code %d: %.200s", arguments[1], rc, output);
}

void load_commit(struct worker *worker, const char *message, char tid[17]) {
    struct load *load = worker->load;
    char output[512];
    char *arguments[] = {(char *)(uintptr_t)load->program, "commit", "-m", (char *)(uintptr_t)message,
                         (char *)(uintptr_t)load->mount,   NULL};
    run(worker, arguments, output, sizeof output);
    if (strspn(output, "0123456789abcdef") != 16)
        load_fail(worker, "tidfs commit said %.100s", output);
    (void)snprintf(tid, 17, "%.16s", output);
    load->recent[load->commits++ % RECENT] = strtoull(tid, NULL, 16);
}

void load_command(struct worker *worker) {
    struct load *load = worker->load;
    char output[1024], tid[17], range[40], tag[16], head[PATH_SIZE];
    char *program = (char *)(uintptr_t)load->program, *mount = (char *)(uintptr_t)load->mount,
         *store = (char *)(uintptr_t)load->store;
    (void)snprintf(head, sizeof head, "%s/head/base", load->mount);
    while (!load_is_over(worker)) {
        const struct view *a = &load->views[load_random(worker, VIEWS)], *b = &load->views[load_random(worker, VIEWS)];
        const char *first = strcmp(a->tid, b->tid) < 0 ? a->tid : b->tid, *last = first == a->tid ? b->tid : a->tid;
        (void)snprintf(range, sizeof range, "%s..%s", first, last);
        (void)snprintf(tag, sizeof tag, "load-%u", (unsigned)load_random(worker, 20));
        char *const commands[][8] = {
            {program, "log", "-n", "50", head, NULL},
            {program, "log", range, head, NULL},
            {program, "diff", "--name-status", "--mount", mount, range, NULL},
            {program, "status", "--json", mount, NULL},
            {program, "tag", "--force", "--mount", mount, tag, (char *)(uintptr_t)a->tid, NULL},
            {program, "verify", store, NULL},
        };
        size_t which = load_random(worker, sizeof commands / sizeof commands[0] + 6);
        if (which < sizeof commands / sizeof commands[0])
            run(worker, commands[which], output, sizeof output);
        else
            load_commit(worker, "from the load", tid);
    }
}
