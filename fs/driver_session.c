/* A mount from beginning to end: opening what it shows, talking libfuse into it, and closing. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/driver_private.h"
#include "history/resolve.h"

#define POLL_NS      (UINT64_C(250) * 1000000) /* how often a read-only mount looks for other processes' commits */
#define THREADS_MAX  32 /* a commit may hold as many as wait for it; others must get through meanwhile */
#define THREADS_IDLE 10
#define BACKGROUND   64 /* requests of read-ahead and write-back that the kernel has going at a time */

/* ---- what the kernel and this driver agree on ---- */

static void session_init(void *context, struct fuse_conn_info *conn) {
    struct driver *driver = context;
    unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS |
                      FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_IOCTL_DIR |
                      /* The umask does not count where a directory has a default ACL, so the driver applies it. */
                      FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK |
                      /* No symlink's text ever changes: one that moves has a node for each target. */
                      FUSE_CAP_CACHE_SYMLINKS |
                      /* Pages go when they are told to, and not whenever a file's own writes moved its times. */
                      FUSE_CAP_EXPLICIT_INVAL_DATA | FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT;
    if (driver->write_back && driver->head != NULL) {
        wanted |= FUSE_CAP_WRITEBACK_CACHE;
    }
    /* Not wanted: ATOMIC_O_TRUNC (there is no open), locks (the kernel's own are right for one host), splice (the bytes are made
     * in memory, so it would save no copy). */
    conn->want = conn->capable & wanted;
    conn->max_write = (unsigned)BUFFER_SIZE;
    conn->max_background = BACKGROUND;
    conn->congestion_threshold = BACKGROUND * 3 / 4;
    conn->time_gran = 1;
    driver->stateless =
        (conn->capable & FUSE_CAP_NO_OPEN_SUPPORT) != 0 && (conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;
    driver->write_back = (conn->want & FUSE_CAP_WRITEBACK_CACHE) != 0;
    if (driver->ready != NULL) {
        driver->ready(driver->ready_context);
    }
}

/* No create: the kernel then makes the file with mknod and opens it, which needs no request. */
static const struct fuse_lowlevel_ops operations = {
    .init = session_init,
    .lookup = driver_op_lookup,
    .forget = driver_op_forget,
    .forget_multi = driver_op_forget_multi,
    .getattr = driver_op_getattr,
    .setattr = driver_op_setattr,
    .readlink = driver_op_readlink,
    .mknod = driver_op_mknod,
    .mkdir = driver_op_mkdir,
    .unlink = driver_op_unlink,
    .rmdir = driver_op_rmdir,
    .symlink = driver_op_symlink,
    .rename = driver_op_rename,
    .link = driver_op_link,
    .open = driver_op_open,
    .read = driver_op_read,
    .write = driver_op_write,
    .fsync = driver_op_fsync,
    .opendir = driver_op_opendir,
    .readdir = driver_op_readdir,
    .readdirplus = driver_op_readdirplus,
    .fsyncdir = driver_op_fsyncdir,
    .statfs = driver_op_statfs,
    .setxattr = driver_op_setxattr,
    .getxattr = driver_op_getxattr,
    .listxattr = driver_op_listxattr,
    .removexattr = driver_op_removexattr,
    .ioctl = driver_op_ioctl,
    .fallocate = driver_op_fallocate,
    .copy_file_range = driver_op_copy_file_range,
    .lseek = driver_op_lseek,
};

/* ---- opening ---- */

/* A path below the root of a tree without the slashes and dots that say nothing. */
static int clean_path(const char *path, char **clean, struct error *err) {
    *clean = calloc(1, strlen(path) + 1);
    if (*clean == NULL) {
        return error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    char *end = *clean;
    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(at, "/");
        if (length == 2 && strncmp(at, "..", 2) == 0) {
            return error_set(err, STORE_INVALID, "subdir=%s: a path with .. in it leads out of what is shown", path);
        }
        if (length > 0 && !(length == 1 && *at == '.')) {
            if (end != *clean) {
                *end++ = '/';
            }
            memcpy(end, at, length);
            end += length;
        }
        at += length;
        at += strspn(at, "/");
    }
    *end = '\0';
    return STORE_OK;
}

/* The object that subdir is in the writable head. It stays held: it is the mount's /head whatever happens to its name. */
static int walk_head(struct driver *driver, uint64_t *oid) {
    struct head_attr attr;
    int rc = head_hold(driver->head, ROOT_OID, &attr);
    for (const char *at = driver->subdir; rc == 0 && *at != '\0';) {
        size_t length = strcspn(at, "/");
        uint64_t parent = attr.oid;
        rc = head_lookup(driver->head, parent, at, length, &attr);
        head_forget(driver->head, parent, 1);
        at += length;
        at += strspn(at, "/");
    }
    if (rc == 0 && !S_ISDIR(attr.mode)) {
        head_forget(driver->head, attr.oid, 1);
        rc = -ENOTDIR;
    }
    *oid = attr.oid;
    return rc;
}

/* Says that the directory to show cannot be read: as of `at`, or if that is NULL in the newest state. */
static int cannot_read_root(const struct driver *driver, const char *at, int rc, struct error *err) {
    bool missing = rc == -ESTALE || rc == -ENOENT || rc == -ENOTDIR;
    const char *subdir = driver->subdir;
    return error_set(err, STORE_IO, "%s: %s%s%s%s cannot be read: %s%s", store_directory(driver->store),
                     at != NULL ? "at=" : "the newest state", at != NULL ? at : "",
                     subdir[0] != '\0' ? ", subdir=" : "", subdir, missing ? "it has no root directory" : strerror(-rc),
                     missing || rc == -EIO ? "; `tidfs verify` tells more" : "");
}

static int open_head_root(struct driver *driver, struct error *err) {
    int rc;
    driver->head_root = ROOT_OID;
    if (driver->head != NULL) {
        rc = walk_head(driver, &driver->head_root);
    } else {
        struct view *view;
        struct view_attr attr;
        rc = present_view(driver, &view);
        if (rc == 0) {
            rc = view_walk(view, driver->subdir, &attr);
            view_pool_done(driver->pool, view);
        }
        if (rc == 0 && !S_ISDIR(attr.stat.st_mode)) {
            rc = -ENOTDIR;
        }
        if (rc == 0) {
            driver->head_root = attr.oid;
        }
    }
    if ((rc == -ENOENT || rc == -ENOTDIR) && driver->subdir[0] != '\0') {
        return error_set(err, STORE_ABSENT, "subdir=%s: %s", driver->subdir, strerror(-rc));
    }
    return rc == 0 ? STORE_OK : cannot_read_root(driver, NULL, rc, err);
}

static int open_view_root(struct driver *driver, const char *at, struct error *err) {
    struct timespec now;
    struct resolved resolved;
    clock_gettime(CLOCK_REALTIME, &now);
    int rc = resolve_text(driver->store, at, strlen(at), RESOLVE_AT, now, &resolved, err);
    if (rc == RESOLVE_FUTURE) {
        return error_set(err, (enum store_error)rc, "at=%s: cannot open a view in the future; `now` is the latest", at);
    }
    if (rc < 0) {
        return rc;
    }
    rc = driver_root_set(driver, resolved.before, resolved.tid, NULL);
    if ((rc == -ENOENT || rc == -ENOTDIR) && driver->subdir[0] != '\0') {
        return error_set(err, STORE_ABSENT, "at=%s: there was no directory %s then", at, driver->subdir);
    }
    return rc == 0 ? STORE_OK : cannot_read_root(driver, at, rc, err);
}

/* By what commands that go from the mount to the store see that they have got the right one. */
static void note_identity(struct driver *driver) {
    char *path = NULL;
    struct stat stat;
    if (asprintf(&path, "%s/tidfs.db", store_directory(driver->store)) < 0) {
        return; /* then it stays unknown */
    }
    if (lstat(path, &stat) == 0) {
        driver->store_device = stat.st_dev;
        driver->store_inode = stat.st_ino;
    }
    free(path);
}

static int open_store(struct driver *driver, const char *directory, const struct mount_options *options,
                      struct error *err) {
    bool read_only = mount_options_read_only(options);
    struct store_options store = {.writable = !read_only,
                                  .mount_point = driver->mount_point,
                                  .cache_bytes = options->cache_bytes,
                                  .historic_cache_bytes = mount_options_pool_cache_bytes(options),
                                  .log = driver->log};
    int rc = store_open(directory, &store, &driver->store, err);
    if (rc != STORE_OK) {
        return rc;
    }
    note_identity(driver);
    if (!read_only) {
        struct head_options head = {.commit_interval_ns = options->commit_interval_ns,
                                    .dirty_limit_bytes = options->dirty_limit_bytes};
        if (driver->shared) {
            head.name_user = driver_name_changer;
            head.name_context = driver;
        } else {
            (void)driver_user_name(driver->uid, driver->owner, sizeof driver->owner);
            head.user = driver->owner;
        }
        rc = head_open(driver->store, &head, &driver->head, err);
        if (rc != STORE_OK) {
            return rc;
        }
    }
    struct view_pool_options pool = {.idle_max = options->pool_size, .idle_ns = options->pool_timeout_ns};
    driver->pool = view_pool_new(driver->store, &pool);
    return driver->pool != NULL ? STORE_OK : error_set(err, STORE_NO_MEMORY, "out of memory");
}

static struct driver *driver_new(const char *mount_point, const struct mount_options *options, struct log *log) {
    struct driver *driver = calloc(1, sizeof *driver);
    if (driver == NULL) {
        return NULL;
    }
    if (orders_init(&driver->orders) != 0) {
        free(driver);
        return NULL;
    }
    pthread_mutex_init(&driver->root.lock, NULL);
    driver->log = log;
    driver->uid = geteuid();
    driver->gid = getegid();
    clock_gettime(CLOCK_REALTIME, &driver->started);
    driver->single_view = options->at != NULL;
    driver->shared = options->allow_other;
    driver->write_back = options->writeback_cache;
    driver->names_mode = options->allow_other && options->history == HISTORY_OWNER ? 0500 : 0555;
    driver->mount_point = strdup(mount_point);
    driver->nodes = node_table_new();
    driver->buffers = buffers_new();
    if (options->follow) {
        driver->tag = strdup(options->at);
    }
    if (driver->mount_point == NULL || driver->nodes == NULL || driver->buffers == NULL ||
        (options->follow && driver->tag == NULL)) {
        (void)driver_close(driver, NULL);
        return NULL;
    }
    return driver;
}

int driver_open(const char *directory, const char *mount_point, const struct mount_options *options, struct log *log,
                struct driver **result, struct error *err) {
    int rc = driver_threads_prepare(err);
    if (rc != STORE_OK) {
        return rc;
    }
    struct driver *driver = driver_new(mount_point, options, log);
    if (driver == NULL) {
        return error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    rc = clean_path(options->subdir != NULL ? options->subdir : "", &driver->subdir, err);
    if (rc == STORE_OK) {
        rc = open_store(driver, directory, options, err);
    }
    if (rc == STORE_OK) {
        rc = driver->single_view ? open_view_root(driver, options->at, err) : open_head_root(driver, err);
    }
    if (rc != STORE_OK) {
        (void)driver_close(driver, NULL); /* nothing was changed yet */
        return rc;
    }
    if (driver->head == NULL && (!driver->single_view || driver->tag != NULL)) {
        driver->poll_ns = POLL_NS;
    }
    *result = driver;
    return STORE_OK;
}

const char *driver_store(const struct driver *driver) {
    return store_directory(driver->store);
}

bool driver_writable(const struct driver *driver) {
    return driver->head != NULL;
}

/* ---- mounting and running ---- */

/* libfuse's options are a list with commas, in which a backslash takes the next character as it is. */
static char *escape(const char *text) {
    char *escaped = malloc(2 * strlen(text) + 1), *end = escaped;
    if (escaped == NULL) {
        return NULL;
    }
    for (; *text != '\0'; text++) {
        if (*text == ',' || *text == '\\') {
            *end++ = '\\';
        }
        *end++ = *text;
    }
    *end = '\0';
    return escaped;
}

int driver_mount(struct driver *driver, const struct mount_options *options, struct error *err) {
    char kernel[KERNEL_TEXT_SIZE], *list = NULL;
    /* Reading moves no access time: that would make a version of every file that is read. Programs can see it by this. */
    const char *noatime = options->kernel[KERNEL_ATIME] == NULL ? ",noatime" : "";
    mount_options_kernel_text(options, kernel);
    char *source = escape(store_directory(driver->store));
    if (source == NULL || asprintf(&list, "fsname=%s,subtype=tidfs,default_permissions%s%s%s%s%s", source,
                                   driver->head == NULL ? ",ro" : "", driver->shared ? ",allow_other" : "", noatime,
                                   kernel[0] != '\0' ? "," : "", kernel) < 0) {
        free(source);
        return error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    char *arguments[] = {(char *)"tidfs", (char *)"-o", list, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, arguments);
    int rc = STORE_OK;
    struct fuse_session *session = fuse_session_new(&args, &operations, sizeof operations, driver);
    if (session == NULL) {
        rc = error_set(err, STORE_IO, "libfuse refuses the options %s", list);
    } else if (fuse_session_mount(session, driver->mount_point) != 0) {
        fuse_session_destroy(session);
        rc = error_set(err, STORE_IO, "cannot mount on %s", driver->mount_point);
    } else {
        driver->session = session;
        rc = driver_wire(driver) == 0 ? STORE_OK : error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    fuse_opt_free_args(&args);
    free(list);
    free(source);
    return rc;
}

/* Does nothing, but interrupts what the thread waits for. */
static void interrupt(int signal_number) {
    (void)signal_number;
}

int driver_run(struct driver *driver, void (*ready)(void *context), void *context, struct error *err) {
    struct sigaction quiet = {.sa_handler = interrupt}, old;
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (config == NULL) {
        return error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    fuse_loop_cfg_set_idle_threads(config, THREADS_IDLE);
    fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
    fuse_loop_cfg_set_clone_fd(config, 0);
    driver->ready = ready;
    driver->ready_context = context;
    sigaction(SIGUSR1, &quiet, &old);
    int rc = housekeeping_start(driver, pthread_self());
    if (rc == 0) {
        rc = fuse_session_loop_mt(driver->session, config);
        /* Before the session is closed, which the housekeeper may be using. It waits for nothing: either the mount is gone, and the
         * kernel ended whatever it had going, or the housekeeper itself ended the loop. */
        housekeeping_stop(driver);
        fuse_session_unmount(driver->session);
    }
    sigaction(SIGUSR1, &old, NULL);
    fuse_loop_cfg_destroy(config);
    /* Above 0 is the signal that ended it. */
    return rc >= 0 ? STORE_OK : error_set(err, STORE_IO, "cannot answer requests: %s", strerror(-rc));
}

int driver_close(struct driver *driver, struct error *err) {
    int rc = 0;
    if (driver == NULL) {
        return STORE_OK;
    }
    if (driver->session != NULL) {
        fuse_session_unmount(driver->session);
        fuse_session_destroy(driver->session);
    }
    if (driver->head != NULL) {
        rc = head_close(driver->head);
    }
    if (driver->pool != NULL) {
        view_pool_free(driver->pool);
    }
    if (driver->store != NULL) {
        store_close(driver->store);
    }
    node_table_free(driver->nodes);
    buffers_free(driver->buffers);
    pthread_mutex_destroy(&driver->root.lock);
    orders_release(&driver->orders);
    free(driver->mount_point);
    free(driver->subdir);
    free(driver->tag);
    free(driver);
    return rc == 0 ? STORE_OK
                   : error_set(err, STORE_IO,
                               "the last commit failed, and what was written since the one before is lost: %s",
                               strerror(-rc));
}
