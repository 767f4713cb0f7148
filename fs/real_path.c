#include "fs/real_path.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYMLINKS_MAX 40 /* as the kernel has it */

struct walk {
    char *real; /* where it has come to; "" is the root */
    char *rest; /* owned; what is still to go */
    const char *next;
    unsigned symlinks;
    bool missing; /* `real` is not there */
};

/* The next component, in the rest; its length, 0 at the end. */
static size_t component(struct walk *walk) {
    walk->next += strspn(walk->next, "/");
    return strcspn(walk->next, "/");
}

static void go_up(char *real) {
    char *slash = strrchr(real, '/');
    if (slash)
        *slash = 0;
}

/* Goes on with where a symlink leads, and then with what came after it. */
static int follow(struct walk *walk, const char *target, size_t length) {
    char *rest = NULL;
    if (++walk->symlinks > SYMLINKS_MAX)
        return -ELOOP;
    if (asprintf(&rest, "%s/%s", target, walk->next + length) < 0)
        return -ENOMEM;
    free(walk->rest);
    walk->rest = rest;
    walk->next = rest;
    if (*target == '/')
        walk->real[0] = 0;
    return 0;
}

/* Takes a name that may be a symlink. 0 or a negative errno. */
static int step(struct walk *walk, size_t length, int rule) {
    char *there = NULL, target[PATH_MAX];
    if (asprintf(&there, "%s/%.*s", walk->real, (int)length, walk->next) < 0)
        return -ENOMEM;
    bool last = walk->next[length + strspn(walk->next + length, "/")] == 0;
    ssize_t size = -1;
    if (rule != REAL_PATH_BY_NAME && !walk->missing && !(last && rule == REAL_PATH_KEEP_LAST)) {
        size = readlink(there, target, sizeof target - 1);
        if (size < 0 && (errno == ENOENT || errno == ENOTDIR)) {
            walk->missing = true;
        } else if (size < 0 && errno != EINVAL) {
            int saved = errno;
            free(there);
            return -saved;
        }
    }
    if (size >= 0) {
        free(there);
        target[size] = 0;
        return follow(walk, target, length);
    }
    free(walk->real);
    walk->real = there;
    walk->next += length;
    return 0;
}

int real_path(const char *from, const char *path, real_path_rule_function *rule, void *context, char **real,
              struct error *err) {
    struct walk walk = {.real = strdup(*path == '/' || strcmp(from, "/") == 0 ? "" : from), .rest = strdup(path)};
    size_t length;
    int rc = walk.real && walk.rest ? 0 : -ENOMEM, how = 0;
    *real = NULL;
    for (walk.next = walk.rest; rc == 0 && (length = component(&walk)) > 0;) {
        bool up = length == 2 && strncmp(walk.next, "..", 2) == 0;
        if (up || (length == 1 && *walk.next == '.')) {
            if (up && walk.missing)
                rc = -ENOENT;
            else if (up)
                go_up(walk.real);
            walk.next += length;
            continue;
        }
        how = rule(context, *walk.real ? walk.real : "/", err);
        if (how < 0)
            break;
        rc = step(&walk, length, how);
    }
    free(walk.rest);
    if (how >= 0 && rc == 0 && !*walk.real) {
        free(walk.real);
        walk.real = strdup("/");
        rc = walk.real ? 0 : -ENOMEM;
    }
    if (how >= 0 && rc == 0) {
        *real = walk.real;
        return STORE_OK;
    }
    free(walk.real);
    if (how < 0)
        return how;
    return rc == -ENOMEM ? error_set(err, STORE_NO_MEMORY, "out of memory")
                         : error_set(err, STORE_IO, "%s: %s", path, strerror(-rc));
}
