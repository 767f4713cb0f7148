/* Mount points: see fs/mount.h. How the background driver is started:
 *
 *     tidfs mount ── fork ──▶ child: opens the store, mounts, waits for the kernel's first request
 *          │                    │ that came: "ready" ──▶ pipe; output to syslog; from now on a daemon
 *          ◀──── pipe ──────────┘ or an error's sentence ──▶ pipe; exits
 *     exits 0, or with the sentence
 *
 * The fork comes before anything is opened, since neither threads nor SQLite survive one.
 */
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/driver.h"
#include "fs/locate.h"
#include "fs/mount_views.h"

extern char **environ;

/* ---- what is there ---- */

/* A dead mount point cannot even be looked at; the directory that it is in can. */
static char *resolve_dead(const char *directory) {
    char *copy = strdup(directory), *result = NULL;
    if (copy == NULL) {
        return NULL;
    }
    size_t length = strlen(copy);
    while (length > 1 && copy[length - 1] == '/') {
        copy[--length] = '\0';
    }
    char *slash = strrchr(copy, '/');
    const char *name = slash != NULL ? slash + 1 : copy;
    char *parent = NULL;
    if (slash == NULL) {
        parent = realpath(".", NULL);
    } else {
        *slash = '\0';
        parent = realpath(slash == copy ? "/" : copy, NULL);
    }
    if (parent != NULL && asprintf(&result, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0) {
        result = NULL;
    }
    free(parent);
    free(copy);
    return result;
}

int mount_resolve(const char *directory, char **point, bool *dead, struct error *err) {
    if (dead != NULL) {
        *dead = false;
    }
    /* The kernel answers stat and open for a driver that it remembers; this is always asked of the driver. */
    struct statfs filesystem;
    *point = realpath(directory, NULL);
    if (*point != NULL && (statfs(*point, &filesystem) == 0 || errno != ENOTCONN)) {
        return STORE_OK;
    }
    if (errno == ENOTCONN) {
        free(*point);
        *point = resolve_dead(directory);
        if (*point != NULL) {
            if (dead != NULL) {
                *dead = true;
            }
            return STORE_OK;
        }
    }
    return error_set(err, errno == ENOENT ? STORE_ABSENT : STORE_IO, "%s: %s", directory, strerror(errno));
}

int mount_find(const char *point, struct mounted *mounted, struct error *err) {
    *mounted = (struct mounted){0};
    FILE *table = setmntent("/proc/self/mounts", "re");
    if (table == NULL) {
        return error_set(err, STORE_IO, "cannot read /proc/self/mounts: %s", strerror(errno));
    }
    struct mntent entry;
    char *line = malloc(65536); /* three paths, each character of which may take four */
    int rc = line != NULL ? STORE_ABSENT : STORE_NO_MEMORY;
    while (rc >= 0 && getmntent_r(table, &entry, line, 65536) != NULL) {
        if (strcmp(entry.mnt_dir, point) != 0) {
            continue;
        }
        mounted_release(mounted);
        mounted->source = strdup(entry.mnt_fsname);
        mounted->type = strdup(entry.mnt_type);
        mounted->read_only = hasmntopt(&entry, "ro") != NULL;
        const char *owner = hasmntopt(&entry, "user_id");
        mounted->owner = owner != NULL ? (uid_t)strtoul(owner + sizeof "user_id", NULL, 10) : 0;
        rc = mounted->source != NULL && mounted->type != NULL ? STORE_OK : STORE_NO_MEMORY;
    }
    endmntent(table);
    free(line);
    if (rc < 0) {
        mounted_release(mounted);
        return error_set(err, rc, "out of memory");
    }
    return rc;
}

void mounted_release(struct mounted *mounted) {
    free(mounted->source);
    free(mounted->type);
    *mounted = (struct mounted){0};
}

/* ---- making ready ---- */

static bool is_inside(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strcmp(directory, "/") == 0 ||
           (strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/'));
}

/* Takes away mounts of tidfs whose drivers were killed; there may be one above the other. */
static int clear_dead(const char *directory, char **point, struct error *err) {
    for (;;) {
        bool dead;
        int rc = mount_resolve(directory, point, &dead, err);
        if (rc != STORE_OK) {
            return rc == STORE_ABSENT ? error_set(err, rc, "%s does not exist; make the directory first", directory)
                                      : rc;
        }
        if (!dead) {
            return STORE_OK;
        }
        struct mounted mounted;
        rc = mount_find(*point, &mounted, err);
        if (rc == STORE_OK && strcmp(mounted.type, MOUNT_TYPE) == 0) {
            rc = mount_detach(*point, true, err);
        } else if (rc >= 0) {
            rc = error_set(err, STORE_IO, "%s is a %s mount whose driver is gone; unmount it first", *point,
                           rc == STORE_OK ? mounted.type : "FUSE");
        }
        mounted_release(&mounted);
        free(*point);
        *point = NULL;
        if (rc != STORE_OK) {
            return rc;
        }
    }
}

/* A store that its own mount hides could not be used any more; one that holds its mount would be waited for by itself. */
static int check_apart(const char *point, const char *store, struct error *err) {
    char *path = realpath(store, NULL);
    if (path == NULL || !locate_is_store(path)) {
        free(path);
        return STORE_OK; /* opening it says what is wrong */
    }
    int rc = STORE_OK;
    if (is_inside(point, path)) {
        rc = error_set(err, STORE_INVALID, "%s is in the store %s; mount it somewhere else", point, path);
    } else if (is_inside(path, point)) {
        rc = error_set(err, STORE_INVALID, "a mount on %s would hide its store %s; mount it somewhere else", point,
                       path);
    }
    free(path);
    return rc;
}

int mount_prepare(const char *directory, const char *store, char **point, struct error *err) {
    *point = NULL;
    int rc = clear_dead(directory, point, err);
    if (rc != STORE_OK) {
        return rc;
    }
    struct stat status;
    struct mounted mounted = {0};
    if (stat(*point, &status) != 0) {
        rc = error_set(err, STORE_IO, "%s: %s", *point, strerror(errno));
    } else if (!S_ISDIR(status.st_mode)) {
        rc = error_set(err, STORE_INVALID, "%s is not a directory", *point);
    }
    if (rc == STORE_OK) {
        rc = mount_find(*point, &mounted, err);
        if (rc == STORE_OK && strcmp(mounted.type, MOUNT_TYPE) == 0) {
            rc = error_set(err, STORE_EXISTS, "%s is in use: %s is mounted there", *point, mounted.source);
        } else if (rc == STORE_ABSENT) {
            rc = STORE_OK;
        }
        mounted_release(&mounted);
    }
    if (rc == STORE_OK) {
        rc = check_apart(*point, store, err);
    }
    if (rc != STORE_OK) {
        free(*point);
        *point = NULL;
    }
    return rc;
}

bool mount_may_share(void) {
    FILE *file = fopen("/etc/fuse.conf", "re");
    char line[256], word[32];
    bool may = geteuid() == 0;
    while (file != NULL && !may && fgets(line, sizeof line, file) != NULL) {
        may = sscanf(line, " %31s", word) == 1 && strcmp(word, "user_allow_other") == 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return may;
}

/* ---- taking away ---- */

/* Everything that a child says on `source`, in one line without its end. */
static void read_line(int source, char *text, size_t size) {
    size_t used = 0;
    ssize_t got;
    while (used < size - 1 && ((got = read(source, text + used, size - 1 - used)) > 0 || (got < 0 && errno == EINTR))) {
        used += got > 0 ? (size_t)got : 0;
    }
    text[used] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

/* What another user's rights cannot do, a setuid program does. */
static int run_fusermount(const char *point, bool lazy, struct error *err) {
    const char *const arguments[] = {"fusermount3",       "-u", lazy ? "-z" : "--", lazy ? "--" : point,
                                     lazy ? point : NULL, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int output[2], status = 0;
    pid_t child;
    char said[400] = "";
    if (pipe2(output, O_CLOEXEC) != 0) {
        return error_set(err, STORE_IO, "cannot unmount %s: %s", point, strerror(errno));
    }
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDERR_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);
    int rc = posix_spawnp(&child, arguments[0], &actions, &attributes, (char **)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(output[1]);
    if (rc == 0) {
        read_line(output[0], said, sizeof said);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    close(output[0]);
    if (rc != 0) {
        return error_set(err, STORE_IO, "cannot run fusermount3 to unmount %s: %s", point, strerror(rc));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return STORE_OK;
    }
    if (strstr(said, strerror(EBUSY)) != NULL) {
        return error_set(err, STORE_LOCKED, "%s is in use", point);
    }
    return error_set(err, strstr(said, strerror(EPERM)) != NULL ? STORE_READ_ONLY : STORE_IO, "cannot unmount %s: %s",
                     point, said[0] != '\0' ? said : "fusermount3 failed");
}

int mount_detach(const char *point, bool lazy, struct error *err) {
    if (geteuid() == 0) {
        bool views;
        int rc = mount_views_release(point, lazy, &views, err);
        if (rc != STORE_OK) {
            return rc;
        }
        if (umount2(point, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) {
            return STORE_OK;
        }
        if (errno == EBUSY) {
            if (views) {
                (void)mount_views_protect(point, NULL);
            }
            return error_set(err, STORE_LOCKED, "%s is in use", point);
        }
        if (errno != EPERM) {
            return error_set(err, STORE_IO, "cannot unmount %s: %s", point, strerror(errno));
        }
    }
    return run_fusermount(point, lazy, err);
}

/* ---- running ---- */

struct background {
    int pipe; /* to the process that waits; -1: foreground, or told already */
    struct log_sink *sink;
    const char *point;
    bool protect, protecting; /* ro_views: to be done; `thread` does it */
    pthread_t thread;
};

/* The first byte of what the child tells. */
#define CHILD_READY  'r'
#define CHILD_FAILED 'f'

static void tell(struct background *background, char what, const char *text) {
    if (background->pipe < 0) {
        return;
    }
    char message[1 + sizeof((struct error *)NULL)->text];
    int length = snprintf(message, sizeof message, "%c%s", what, text);
    /* Whoever waited may have been killed: then nobody is to be told. */
    if (write(background->pipe, message, (size_t)length) < 0 && errno == EINTR) {
        (void)!write(background->pipe, message, (size_t)length);
    }
    close(background->pipe);
    background->pipe = -1;
}

/* From here on there is no terminal. */
static void become_daemon(struct background *background) {
    if (background->pipe < 0) {
        return;
    }
    log_sink_to_syslog(background->sink);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing >= 0) {
        dup2(nothing, STDIN_FILENO);
        dup2(nothing, STDOUT_FILENO);
        dup2(nothing, STDERR_FILENO);
        if (nothing > STDERR_FILENO) {
            close(nothing);
        }
    }
    (void)!chdir("/"); /* not to keep another filesystem busy; cannot fail for want of anything we could do */
    tell(background, CHILD_READY, "");
}

/* Beside the driver's threads, which answer what it asks. */
static void *protect_views(void *context) {
    struct background *background = context;
    struct error err;
    if (mount_views_protect(background->point, &err) == STORE_OK) {
        become_daemon(background);
    } else {
        log_write(&background->sink->log, LOG_LEVEL_ERROR, "%s", err.text);
        tell(background, CHILD_FAILED, err.text);
        kill(getpid(), SIGTERM);
    }
    return NULL;
}

/* The kernel and the driver have met. */
static void be_ready(void *context) {
    struct background *background = context;
    background->protecting =
        background->protect && pthread_create(&background->thread, NULL, protect_views, background) == 0;
    if (background->protect && !background->protecting) {
        tell(background, CHILD_FAILED, "cannot start a thread");
        kill(getpid(), SIGTERM);
    } else if (!background->protect) {
        become_daemon(background);
    }
}

static int serve(const char *store, const char *point, const struct mount_options *options,
                 struct background *background, struct error *err) {
    struct driver *driver = NULL;
    struct log *log = &background->sink->log;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);

    background->point = point;
    background->protect = options->ro_views && !mount_options_read_only(options);
    if (background->protect && geteuid() != 0) {
        return error_set(err, STORE_INVALID, "ro_views: only root can make mounts within a mount; leave it out");
    }
    int rc = driver_open(store, point, options, log, &driver, err);
    if (rc == STORE_READ_ONLY && !mount_options_read_only(options)) {
        const struct error why = *err;
        rc = error_set(err, rc, "%.400s; to read it alone, mount it with -o ro", why.text);
    }
    if (rc == STORE_OK) {
        rc = driver_mount(driver, options, err);
    }
    if (rc == STORE_OK) {
        log_write(log, LOG_LEVEL_INFO, "%s: mounted on %s%s", driver_store(driver), point,
                  driver_writable(driver) ? "" : ", read-only");
        rc = driver_run(driver, be_ready, background, err);
        if (background->protecting) {
            pthread_join(background->thread, NULL);
        }
    }
    struct error last;
    int closed = driver_close(driver, &last);
    if (closed != STORE_OK) {
        log_write(log, LOG_LEVEL_ERROR, "%s: %s", store, last.text);
        if (rc == STORE_OK) {
            rc = error_set(err, closed, "%s", last.text);
        }
    }
    return rc;
}

/* Everything that the child does. Descriptors that it was left with would keep files and pipes of its starter open for ever. */
static _Noreturn void run_child(int pipe, const char *store, const char *point, const struct mount_options *options,
                                struct log_sink *sink) {
    struct background background = {.pipe = pipe, .sink = sink};
    struct error err = {0};
    (void)setsid();
    if (pipe > 3) {
        (void)syscall(SYS_close_range, 3U, (unsigned)pipe - 1, 0U);
    }
    (void)syscall(SYS_close_range, (unsigned)pipe + 1, ~0U, 0U);
    int rc = serve(store, point, options, &background, &err);
    if (rc != STORE_OK && background.pipe < 0) {
        log_write(&sink->log, LOG_LEVEL_ERROR, "%s", err.text);
    } else if (rc != STORE_OK) {
        tell(&background, CHILD_FAILED, err.text);
    }
    log_sink_release(sink);
    exit(rc == STORE_OK ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int wait_for_child(pid_t child, int pipe, struct error *err) {
    char message[1 + sizeof err->text];
    size_t used = 0;
    ssize_t got;
    do {
        got = read(pipe, message + used, sizeof message - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    message[used] = '\0';
    if (used > 0 && message[0] == CHILD_READY) {
        return STORE_OK;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (used > 0) {
        return error_set(err, STORE_IO, "%s", message + 1);
    }
    if (WIFSIGNALED(status)) {
        return error_set(err, STORE_IO, "the driver was killed: %s", strsignal(WTERMSIG(status)));
    }
    return error_set(err, STORE_IO, "the driver ended before the mount could be used");
}

int mount_run(const char *store, const char *point, const struct mount_options *options, bool foreground,
              struct log_sink *sink, struct error *err) {
    if (foreground) {
        struct background background = {.pipe = -1, .sink = sink};
        return serve(store, point, options, &background, err);
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return error_set(err, STORE_IO, "cannot start the driver: %s", strerror(errno));
    }
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_child(ends[1], store, point, options, sink);
    }
    int rc = STORE_OK;
    if (child < 0) {
        rc = error_set(err, STORE_IO, "cannot start the driver: %s", strerror(errno));
    }
    close(ends[1]);
    if (rc == STORE_OK) {
        rc = wait_for_child(child, ends[0], err);
    }
    close(ends[0]);
    return rc;
}
