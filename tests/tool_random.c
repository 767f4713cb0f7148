/* Random operations on two directories side by side, of which one is a filesystem that is known to be right. Each operation must
 * have the same result on both, and the trees must be the same at intervals and at the end; see usage for the rest.
 *
 * With workers, that many processes work at a time, each with names of its own in the directories that all share, and in its own parts of files that all
 * share, so that what must come of it does not depend on who is first. They meet between rounds, when the trees are compared.
 *
 * The same seed makes the same operations, whatever the count. Exits 0 if all is equal, 1 with a report on stdout if not, 2 on trouble of its own.
 */
#include "tests/random.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "usage: tool_random [OPTION]… DIR REFERENCE\n"
    "  --seed N           which operations (default 1)\n"
    "  --count N          how many (default 10000)\n"
    "  --workers N        in so many processes, 2 to 4, instead of one\n"
    "  --compare N        compare the trees after so many (default 1000)\n"
    "  --remount COMMAND  run it at random moments; it unmounts and mounts DIR again\n"
    "  --remount-every N  on the average (default 5000)\n"
    "  --remember COMMAND run it at random moments; it seals what is pending and prints a tid\n"
    "  --remember-every N on the average (default 1000)\n"
    "  --at PATTERN       where such a moment is seen, with % for the tid; all are looked at in the end\n"
    "  --trace FILE       write the operations there, one a line; those of worker N to FILE.N\n"
    "  --replay FILE      do those instead\n"
    "  --reduce FILE      do those, and then leave out as many as possible: prints the rest, which still makes a "
    "difference\n"
    "  --figures          tell how often each kind was done, and how often it succeeded\n";

/* ---------------------------------------------------------------- a run */

static int make_shared(const struct side *side) {
    char path[PATH_SIZE];
    for (unsigned file = 0; file < SHARED; file++) {
        shared_path(file, path);
        int fd = openat(side->root_fd, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 || ftruncate(fd, SHARED_UNIT * shared_unit(file)) != 0 || close(fd) != 0) {
            (void)fprintf(stderr, "tool_random: %s/%s: %s\n", side->root, path, strerror(errno));
            return -1;
        }
    }
    return 0;
}

int run_init(struct run *run, const struct options *options, unsigned attempt) {
    static const char *const labels[2] = {"tested", "reference"};
    *run = (struct run){.options = options};
    (void)snprintf(run->name, sizeof run->name, "random-%" PRIu64 "-%u", options->seed, attempt);
    run->sides[0].root_fd = run->sides[1].root_fd = -1;
    run->figures = mmap(NULL, (options->workers + 1) * sizeof *run->figures, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->figures == MAP_FAILED) {
        run->figures = NULL;
        perror("tool_random: mmap");
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        if (side_init(&run->sides[i], labels[i], options->directories[i], run->name) != 0)
            return -1;
        if (options->workers > 0 && make_shared(&run->sides[i]) != 0)
            return -1;
    }
    if (options->trace != NULL && options->workers == 0 && (run->trace = fopen(options->trace, "we")) == NULL) {
        (void)fprintf(stderr, "tool_random: %s: %s\n", options->trace, strerror(errno));
        return -1;
    }
    return 0;
}

void run_release(struct run *run, bool remove) {
    for (int i = 0; i < 2; i++) {
        if (remove && run->sides[i].root != NULL)
            (void)names_remove_all(AT_FDCWD, run->sides[i].root);
        if (run->sides[i].root != NULL)
            side_release(&run->sides[i]);
    }
    moments_release(&run->moments);
    if (run->trace != NULL)
        (void)fclose(run->trace);
    if (run->figures != NULL)
        munmap(run->figures, (run->options->workers + 1) * sizeof *run->figures);
}

int run_trees(struct run *run) {
    run->comparisons++;
    return sides_equal(run->sides);
}

static int remount(struct run *run) {
    char text[256];
    if (run->options->remount == NULL)
        return 1;
    for (int i = 0; i < 2; i++)
        side_close(&run->sides[i]);
    if (command_run(run->options->remount, text, sizeof text) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (side_open(&run->sides[i]) != 0)
            return -1;
    }
    run->remounts++;
    return run_trees(run);
}

static int check_moment(struct run *run, size_t number) {
    if (run->options->at == NULL)
        return 1;
    run->checks++;
    return moments_check(&run->moments, number, run->options->at, run->name);
}

/* What is remembered must be right, and an earlier moment, any one, be untouched. */
static int remember(struct run *run, uint64_t seed) {
    struct moments *moments = &run->moments;
    if (run->options->remember == NULL)
        return 1;
    if (moments_add(moments, run->options->remember, run->sides[0].root) != 0)
        return -1;
    int rc = run_trees(run);
    if (rc == 1)
        rc = check_moment(run, moments->count - 1);
    return rc == 1 ? check_moment(run, seed % moments->count) : rc;
}

static int restore(struct run *run, const struct operation *operation, struct figures *figures) {
    struct outcome outcomes[2];
    int rc = moments_restore(&run->moments, run->options->at, run->name, run->sides, operation, outcomes);
    figures->succeeded[KIND_RESTORE] += outcomes[1].result > 0;
    if (rc == 1)
        rc = outcomes_equal(run->sides, outcomes) ? 1 : 0;
    return rc;
}

int run_operation(struct run *run, const struct operation *operation, struct figures *figures) {
    struct outcome outcomes[2];
    int rc = 1;
    if (operation->kind == KIND_REMOUNT) {
        rc = remount(run);
    } else if (operation->kind == KIND_REMEMBER) {
        rc = remember(run, operation->seed);
    } else if (operation->kind == KIND_RESTORE) {
        if (run->options->at != NULL)
            rc = restore(run, operation, figures);
    } else {
        for (int i = 0; i < 2; i++)
            operation_do(&run->sides[i], operation, &outcomes[i]);
        figures->succeeded[operation->kind] += outcomes[1].error == 0;
        rc = outcomes_equal(run->sides, outcomes) ? 1 : 0;
    }
    figures->done[operation->kind]++;
    return rc;
}

int run_end(struct run *run) {
    int rc = run_trees(run);
    if (rc == 1 && run->options->remount != NULL)
        rc = remount(run);
    for (size_t i = 0; rc == 1 && i < run->moments.count; i++)
        rc = check_moment(run, i);
    return rc;
}

/* ---------------------------------------------------------------- choosing and doing */

/* The operations before number `at` that are the mount's, which come at random moments. */
static bool is_due(const struct options *options, enum kind kind, uint64_t at, struct operation *operation) {
    struct random random = random_of(options->seed ^ UINT64_C(0x5bd1e995), at * KINDS + kind);
    unsigned interval = kind == KIND_REMOUNT ? options->remount_interval : options->remember_interval;
    const char *command = kind == KIND_REMOUNT ? options->remount : options->remember;
    *operation = (struct operation){.kind = kind, .slot = -1, .other = -1, .seed = random_next(&random)};
    return command != NULL && random_below(&random, interval) == 0;
}

static int do_one(struct run *run, const struct operation *operation, uint64_t number, int worker,
                  struct figures *figures) {
    char text[512];
    operation_format(operation, text, sizeof text);
    /* Before it is done: it may never return. */
    if (run->trace != NULL && (fprintf(run->trace, "%s\n", text) < 0 || fflush(run->trace) != 0)) {
        perror("tool_random: trace");
        return -1;
    }
    int rc = run_operation(run, operation, figures);
    if (rc != 1) {
        printf("  in operation %" PRIu64, number);
        if (run->options->workers > 0 && worker >= 0)
            printf(" of worker %d", worker);
        printf(": %s\n", text);
    }
    return rc;
}

static int do_due(struct run *run, uint64_t number, uint64_t end) {
    static const enum kind due[] = {KIND_REMOUNT, KIND_REMEMBER};
    struct operation operation;
    int rc = 1;
    for (; rc == 1 && number < end; number++) {
        for (size_t i = 0; rc == 1 && i < COUNT(due); i++) {
            if (is_due(run->options, due[i], number, &operation))
                rc = do_one(run, &operation, number, -1, run->figures);
        }
    }
    return rc;
}

static int work_alone(struct run *run) {
    const struct options *options = run->options;
    struct chooser chooser = {.seed = options->seed, .reference = &run->sides[1]};
    struct operation operation;
    int rc = 1;
    for (uint64_t number = 0; rc == 1 && number < options->count; number++) {
        rc = do_due(run, number, number + 1);
        if (rc != 1)
            break;
        operation_choose(&chooser, number, &operation);
        rc = do_one(run, &operation, number, -1, run->figures);
        if (rc == 1 && (number + 1) % options->compare == 0) {
            rc = run_trees(run);
            if (rc == 0)
                printf("  after operation %" PRIu64 ", or one of the %u before it\n", number, options->compare);
        }
    }
    return rc;
}

/* A worker's part of a round, in its own process: what it opens ends with it. */
static int work_in_round(struct run *run, int worker, uint64_t start, uint64_t end) {
    const struct options *options = run->options;
    struct chooser chooser = {.seed = options->seed + 1 + (uint64_t)worker,
                              .reference = &run->sides[1],
                              .worker = worker,
                              .workers = (int)options->workers};
    struct operation operation;
    int rc = 1;
    if (options->trace != NULL) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s.%d", options->trace, worker);
        run->trace = fopen(path, start == 0 ? "we" : "ae");
        if (run->trace == NULL) {
            (void)fprintf(stderr, "tool_random: %s: %s\n", path, strerror(errno));
            return -1;
        }
    }
    for (uint64_t number = start; rc == 1 && number < end; number++) {
        operation_choose(&chooser, number, &operation);
        rc = do_one(run, &operation, number, worker, &run->figures[worker + 1]);
    }
    return rc;
}

static int round_of_workers(struct run *run, uint64_t start, uint64_t end) {
    unsigned started = 0;
    int rc = 1;
    (void)fflush(stdout);
    for (; started < run->options->workers; started++) {
        pid_t child = fork();
        if (child < 0) {
            perror("tool_random: fork");
            rc = -1;
            break;
        }
        if (child == 0) {
            int result = work_in_round(run, (int)started, start, end);
            (void)fflush(stdout);
            _exit(result == 1 ? 0 : result == 0 ? 1 : 2);
        }
    }
    for (; started > 0; started--) {
        int status;
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) > 1) {
            rc = -1;
        } else if (WEXITSTATUS(status) == 1 && rc == 1) {
            rc = 0;
        }
    }
    return rc;
}

static int work_together(struct run *run) {
    const struct options *options = run->options;
    uint64_t each = options->count / options->workers;
    int rc = 1;
    for (uint64_t start = 0; rc == 1 && start < each; start += options->compare) {
        uint64_t end = each - start < options->compare ? each : start + options->compare;
        rc = round_of_workers(run, start, end);
        if (rc == 1) {
            rc = run_trees(run);
            if (rc == 0)
                printf("  after the workers' operations %" PRIu64 " to %" PRIu64 "\n", start, end);
        }
        if (rc == 1)
            rc = do_due(run, start, end);
    }
    return rc;
}

/* ---------------------------------------------------------------- reporting */

static void print_figures(const struct run *run) {
    for (enum kind kind = 0; kind < KINDS; kind++) {
        uint64_t done = 0, succeeded = 0;
        for (unsigned i = 0; i <= run->options->workers; i++) {
            done += run->figures[i].done[kind];
            succeeded += run->figures[i].succeeded[kind];
        }
        printf("%-14s %8" PRIu64 " done %8" PRIu64 " succeeded\n", kind_name(kind), done, succeeded);
    }
}

static void print_command(char **argv) {
    printf("  again:");
    for (; *argv != NULL; argv++)
        printf(" '%s'", *argv);
    printf("\n");
}

static int work(const struct options *options, char **argv) {
    struct run run;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int rc = run_init(&run, options, 0) == 0 ? 1 : -1;
    if (rc == 1)
        rc = options->workers > 0 ? work_together(&run) : work_alone(&run);
    if (rc == 1)
        rc = run_end(&run);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (options->figures && run.figures != NULL)
        print_figures(&run);
    if (rc == 1) {
        printf("seed %" PRIu64 ": %" PRIu64 " operations, %" PRIu64 " comparisons of the trees, %" PRIu64
               " remounts, %zu moments seen %" PRIu64 " times, all equal, in %.1f s\n",
               options->seed, options->count, run.comparisons, run.remounts, run.moments.count, run.checks,
               (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9);
    } else {
        printf("  seed %" PRIu64 "; left as they are: %s/%s and %s/%s\n", options->seed, options->directories[0],
               run.name, options->directories[1], run.name);
        print_command(argv);
    }
    run_release(&run, rc == 1);
    return rc;
}

/* ---------------------------------------------------------------- arguments */

static const struct option long_options[] = {
    {"seed", required_argument, NULL, 's'},     {"count", required_argument, NULL, 'c'},
    {"workers", required_argument, NULL, 'w'},  {"compare", required_argument, NULL, 'C'},
    {"remount", required_argument, NULL, 'm'},  {"remount-every", required_argument, NULL, 'M'},
    {"remember", required_argument, NULL, 'r'}, {"remember-every", required_argument, NULL, 'R'},
    {"at", required_argument, NULL, 'a'},       {"trace", required_argument, NULL, 't'},
    {"replay", required_argument, NULL, 'p'},   {"reduce", required_argument, NULL, 'x'},
    {"figures", no_argument, NULL, 'f'},        {NULL, 0, NULL, 0},
};

/* A whole number above 0. */
static bool parse_count(const char *text, uint64_t most, uint64_t *value) {
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && end != text && *value > 0 && *value <= most;
}

static bool parse_option(int option, struct options *options) {
    uint64_t number = 0;
    bool good = true;
    switch (option) {
    case 's':
        good = parse_count(optarg, UINT64_MAX, &options->seed);
        break;
    case 'c':
        good = parse_count(optarg, UINT64_MAX, &options->count);
        break;
    case 'w':
        good = parse_count(optarg, 4, &number) && number > 1;
        options->workers = (unsigned)number;
        break;
    case 'C':
        good = parse_count(optarg, UINT32_MAX, &number);
        options->compare = (unsigned)number;
        break;
    case 'M':
        good = parse_count(optarg, UINT32_MAX, &number);
        options->remount_interval = (unsigned)number;
        break;
    case 'R':
        good = parse_count(optarg, UINT32_MAX, &number);
        options->remember_interval = (unsigned)number;
        break;
    case 'm':
        options->remount = optarg;
        break;
    case 'r':
        options->remember = optarg;
        break;
    case 'a':
        options->at = optarg;
        break;
    case 't':
        options->trace = optarg;
        break;
    case 'p':
    case 'x':
        options->replay = optarg;
        options->reduce = option == 'x';
        break;
    case 'f':
        options->figures = true;
        break;
    default:
        good = false;
        break;
    }
    return good;
}

int main(int argc, char **argv) {
    struct options options = {
        .seed = 1, .count = 10000, .compare = 1000, .remount_interval = 5000, .remember_interval = 1000};
    bool good = true;
    int option;
    while (good && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        good = parse_option(option, &options);
    if (!good || argc - optind != 2 || (options.workers > 0 && options.replay != NULL)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    options.directories[0] = argv[optind];
    options.directories[1] = argv[optind + 1];
    umask(022);
    int rc = -1;
    if (options.replay != NULL) {
        struct trace trace;
        if (trace_read(options.replay, &trace) == 0)
            rc = options.reduce ? trace_reduce(&options, &trace) : trace_replay(&options, &trace);
        free(trace.operations);
    } else {
        rc = work(&options, argv);
    }
    return rc == 1 ? 0 : rc == 0 ? 1 : 2;
}
