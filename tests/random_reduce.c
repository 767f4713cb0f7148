/* Traces: reading, replaying, and finding the few operations of one that make the difference. */
#include "tests/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int trace_read(const char *path, struct trace *trace) {
    char *line = NULL;
    size_t size = 0;
    int rc = 0;
    *trace = (struct trace){.count = 0};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)fprintf(stderr, "tool_random: %s: %s\n", path, strerror(errno));
        return -1;
    }
    while (rc == 0 && getline(&line, &size, file) > 0) {
        if (trace->count == trace->capacity) {
            size_t capacity = trace->capacity == 0 ? 1024 : trace->capacity * 2;
            struct operation *operations = realloc(trace->operations, capacity * sizeof *operations);
            if (operations == NULL) {
                rc = -1;
                break;
            }
            trace->operations = operations;
            trace->capacity = capacity;
        }
        if (!operation_parse(line, &trace->operations[trace->count])) {
            (void)fprintf(stderr, "tool_random: %s:%zu: not an operation\n", path, trace->count + 1);
            rc = -1;
        }
        trace->count++;
    }
    free(line);
    (void)fclose(file);
    return rc;
}

/* 1, 0 or -1, as run_operation. */
static int replay(const struct options *options, const struct trace *trace, unsigned attempt) {
    struct run run;
    int rc = run_init(&run, options, attempt) == 0 ? 1 : -1;
    for (size_t i = 0; rc == 1 && i < trace->count; i++) {
        rc = run_operation(&run, &trace->operations[i], run.figures);
        if (rc == 0) {
            char text[512];
            operation_format(&trace->operations[i], text, sizeof text);
            printf("  in operation %zu of the trace: %s\n", i + 1, text);
        }
    }
    if (rc == 1)
        rc = run_end(&run);
    run_release(&run, true);
    return rc;
}

int trace_replay(const struct options *options, const struct trace *trace) {
    return replay(options, trace, 0);
}

/* In a process of its own, silently. */
static int attempt(const struct options *options, const struct trace *trace, unsigned number) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null < 0 || dup2(null, STDOUT_FILENO) < 0)
            _exit(2);
        int rc = replay(options, trace, number);
        _exit(rc == 1 ? 0 : rc == 0 ? 1 : 2);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status) == 0 ? 1 : WEXITSTATUS(status) == 1 ? 0 : -1;
}

static void trace_print(const struct trace *trace) {
    for (size_t i = 0; i < trace->count; i++) {
        char text[512];
        operation_format(&trace->operations[i], text, sizeof text);
        printf("%s\n", text);
    }
}

/* Leaves out ever smaller runs of operations, as long as what is left still differs. */
int trace_reduce(const struct options *options, struct trace *trace) {
    unsigned attempts = 0;
    int rc = attempt(options, trace, ++attempts);
    if (rc != 0) {
        (void)fprintf(stderr, "tool_random: the trace makes no difference to reduce\n");
        return -1;
    }
    struct trace shorter = {.operations = calloc(trace->count, sizeof *shorter.operations)};
    if (shorter.operations == NULL)
        return -1;
    for (size_t length = (trace->count + 1) / 2; length > 0; length = length > 1 ? (length + 1) / 2 : 0) {
        bool again;
        do {
            again = false;
            for (size_t start = 0; start < trace->count;) {
                size_t left_out = trace->count - start < length ? trace->count - start : length;
                shorter.count = trace->count - left_out;
                memcpy(shorter.operations, trace->operations, start * sizeof *shorter.operations);
                memcpy(shorter.operations + start, trace->operations + start + left_out,
                       (shorter.count - start) * sizeof *shorter.operations);
                if (attempt(options, &shorter, ++attempts) == 0) {
                    memcpy(trace->operations, shorter.operations, shorter.count * sizeof *shorter.operations);
                    trace->count = shorter.count;
                    again = length == 1;
                    (void)fprintf(stderr, "%zu operations are left after %u attempts\n", trace->count, attempts);
                } else {
                    start += left_out;
                }
            }
        } while (again);
    }
    free(shorter.operations);
    trace_print(trace);
    return replay(options, trace, ++attempts);
}
