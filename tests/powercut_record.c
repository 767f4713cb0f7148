#include "tests/powercut_record.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/powercut_disk.h"

/* The calls that stand before libc's have no other way to find the recording. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct recording *current;
/* Until it is set these calls take no lock. */
static _Atomic bool active;

bool event_is_note(const struct event *event) {
    return event->kind >= EVENT_CREATED;
}

static void check(bool condition, const char *what) {
    if (!condition) { /* in a thread of the store or in the middle of SQLite: cmocka cannot jump from there */
        (void)fprintf(stderr, "recording: %s: %s\n", what, strerror(errno));
        abort();
    }
}

static struct event *add_event(enum event_kind kind, size_t node) {
    if (current->event_count == current->event_capacity) {
        current->event_capacity = current->event_capacity ? 2 * current->event_capacity : 256;
        current->events = reallocarray(current->events, current->event_capacity, sizeof *current->events);
        check(current->events != NULL, "no memory");
    }
    struct event *event = &current->events[current->event_count++];
    *event = (struct event){.kind = kind, .node = node, .child = NO_NODE};
    return event;
}

/* The newest with this identity: an inode number may be used again when its file is gone. */
static size_t find_node(const struct stat *status) {
    for (size_t i = current->node_count; i-- > 0;)
        if (current->nodes[i].device == status->st_dev && current->nodes[i].inode == status->st_ino)
            return i;
    return NO_NODE;
}

static bool has_suffix(const char *name, const char *suffix) {
    size_t length = strlen(name), end = strlen(suffix);
    return length >= end && strcmp(name + length - end, suffix) == 0;
}

static size_t add_node(const struct stat *status, const char *name) {
    current->nodes = reallocarray(current->nodes, current->node_count + 1, sizeof *current->nodes);
    check(current->nodes != NULL, "no memory");
    current->nodes[current->node_count] = (struct node){
        .device = status->st_dev,
        .inode = status->st_ino,
        .directory = S_ISDIR(status->st_mode),
        .shared_memory = has_suffix(name, "-shm"),
    };
    return current->node_count++;
}

/* ---- beginning and ending ---- */

static void load_file(struct node *node, const char *path, size_t size) {
    FILE *file = fopen(path, "rb");
    node->data = malloc(size + 1);
    check(file && node->data && fread(node->data, 1, size, file) == size, path);
    (void)fclose(file);
    node->size = size;
}

/* Adds the node at `path` and all below it. Returns its number. */
static size_t scan(const char *path, const char *name) {
    struct stat status;
    check(stat(path, &status) == 0, path);
    size_t number = add_node(&status, name);
    if (!S_ISDIR(status.st_mode)) {
        if (!current->nodes[number].shared_memory)
            load_file(&current->nodes[number], path, (size_t)status.st_size);
        return number;
    }
    DIR *stream = opendir(path);
    check(stream != NULL, path);
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        char below[PATH_MAX];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        size_t child = scan(below, entry->d_name);
        struct node *node = &current->nodes[number];
        node->entries = reallocarray(node->entries, node->entry_count + 1, sizeof *node->entries);
        check(node->entries && strlen(entry->d_name) < POWERCUT_NAME, below);
        struct node_entry *added = &node->entries[node->entry_count++];
        added->node = child;
        strcpy(added->name, entry->d_name);
    }
    (void)closedir(stream);
    return number;
}

void recording_begin(struct recording *recording, const char *root) {
    assert_null(current);
    *recording = (struct recording){0};
    assert_true((size_t)snprintf(recording->root, sizeof recording->root, "%s", root) < sizeof recording->root);
    (void)pthread_mutex_lock(&mutex);
    current = recording;
    atomic_store(&active, true);
    (void)scan(root, "");
    (void)pthread_mutex_unlock(&mutex);
}

void recording_end(struct recording *recording) {
    (void)pthread_mutex_lock(&mutex);
    assert_ptr_equal(current, recording);
    current = NULL;
    atomic_store(&active, false);
    (void)pthread_mutex_unlock(&mutex);

    struct disk disk;
    char *different;
    disk_init(&disk, recording, recording->event_count);
    different = disk_compare(&disk, recording->root);
    disk_release(&disk);
    if (different)
        fail_msg("something was changed by a call that is not recorded: %s", different);
}

void recording_release(struct recording *recording) {
    for (size_t i = 0; i < recording->event_count; i++)
        free(recording->events[i].data);
    for (size_t i = 0; i < recording->node_count; i++) {
        free(recording->nodes[i].data);
        free(recording->nodes[i].entries);
    }
    free(recording->events);
    free(recording->nodes);
    *recording = (struct recording){0};
}

void recording_note(enum event_kind kind, const char *name, uint64_t value) {
    (void)pthread_mutex_lock(&mutex);
    if (current) {
        struct event *event = add_event(kind, NO_NODE);
        event->offset = value;
        (void)snprintf(event->name, sizeof event->name, "%s", name ? name : "");
    }
    (void)pthread_mutex_unlock(&mutex);
}

/* ---- what calls change ---- */

/* The node of the directory that holds `path`, and the last name of it. */
static size_t parent_of(int directory, const char *path, char name[POWERCUT_NAME]) {
    char parent[PATH_MAX] = ".";
    struct stat status;
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    if (slash)
        (void)snprintf(parent, sizeof parent, "%.*s/", (int)(slash - path), path);
    if (fstatat(directory, parent, &status, 0) < 0)
        return NO_NODE;
    size_t node = find_node(&status);
    if (node != NO_NODE) {
        check(strlen(last) < POWERCUT_NAME, path);
        strcpy(name, last);
    }
    return node;
}

static void note_link(int directory, const char *path) {
    char name[POWERCUT_NAME];
    struct stat status;
    size_t parent = parent_of(directory, path, name);
    if (parent == NO_NODE)
        return;
    check(fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) == 0, path);
    size_t child = add_node(&status, name);
    struct event *event = add_event(EVENT_LINK, parent);
    event->child = child;
    strcpy(event->name, name);
}

static void note_unlink(int directory, const char *path) {
    char name[POWERCUT_NAME];
    size_t parent = parent_of(directory, path, name);
    if (parent != NO_NODE)
        strcpy(add_event(EVENT_UNLINK, parent)->name, name);
}

static void note_rename(const char *from, const char *to) {
    char name[POWERCUT_NAME], old_name[POWERCUT_NAME];
    struct stat status;
    size_t parent = parent_of(AT_FDCWD, to, name);
    if (parent == NO_NODE)
        return;
    check(parent_of(AT_FDCWD, from, old_name) == parent, "a rename between directories");
    check(lstat(to, &status) == 0, to);
    struct event *event = add_event(EVENT_RENAME, parent);
    event->child = find_node(&status);
    check(event->child != NO_NODE, to);
    strcpy(event->name, name);
    strcpy(event->old_name, old_name);
}

/* The node of an open file. */
static size_t node_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? find_node(&status) : NO_NODE;
}

static void note_write(int fd, const void *data, size_t length, off_t offset) {
    size_t node = node_of(fd);
    if (node == NO_NODE || current->nodes[node].shared_memory || length == 0)
        return;
    struct event *event = add_event(EVENT_WRITE, node);
    event->offset = (uint64_t)offset;
    event->length = length;
    event->data = malloc(length);
    check(event->data != NULL, "no memory");
    memcpy(event->data, data, length);
}

static void note_truncate(int fd, off_t size) {
    size_t node = node_of(fd);
    if (node != NO_NODE && !current->nodes[node].shared_memory)
        add_event(EVENT_TRUNCATE, node)->offset = (uint64_t)size;
}

static void note_sync(int fd) {
    size_t node = node_of(fd);
    if (node != NO_NODE)
        (void)add_event(EVENT_SYNC, node);
}

/* ---- the calls, in libc's place ---- */

/* A sanitizer calls some of them before it is up, when nothing that it has added to them would work. */
#define IN_PLACE_OF(symbol) __asm__(#symbol) __attribute__((used, visibility("default"), no_sanitize("thread")))

/* Does the call, and if it worked `note`; `result` and errno are the call's. */
#define DO_AND_NOTE(result, call, note)                                                                                \
    do {                                                                                                               \
        if (!atomic_load(&active)) {                                                                                   \
            (result) = (call);                                                                                         \
            break;                                                                                                     \
        }                                                                                                              \
        (void)pthread_mutex_lock(&mutex);                                                                              \
        (result) = (call);                                                                                             \
        int saved_errno = errno;                                                                                       \
        if (current && (result) >= 0)                                                                                  \
            (note);                                                                                                    \
        (void)pthread_mutex_unlock(&mutex);                                                                            \
        errno = saved_errno;                                                                                           \
    } while (0)

static int open_and_note(int directory, const char *path, int flags, mode_t mode) {
    struct stat status;
    if (!atomic_load(&active))
        return (int)syscall(SYS_openat, directory, path, flags, mode);
    (void)pthread_mutex_lock(&mutex);
    bool was = !current || fstatat(directory, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = (int)syscall(SYS_openat, directory, path, flags, mode);
    int saved_errno = errno;
    if (current && fd >= 0 && !was)
        note_link(directory, path);
    else if (current && fd >= 0 && (flags & O_TRUNC))
        note_truncate(fd, 0);
    (void)pthread_mutex_unlock(&mutex);
    errno = saved_errno;
    return fd;
}

int recorded_open(const char *path, int flags, ...) IN_PLACE_OF(open64);
int recorded_open(const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = (mode_t)va_arg(arguments, int);
        va_end(arguments);
    }
    return open_and_note(AT_FDCWD, path, flags, mode);
}

int recorded_openat(int directory, const char *path, int flags, ...) IN_PLACE_OF(openat64);
int recorded_openat(int directory, const char *path, int flags, ...) {
    mode_t mode = 0;
    if (flags & (O_CREAT | __O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = (mode_t)va_arg(arguments, int);
        va_end(arguments);
    }
    return open_and_note(directory, path, flags, mode);
}

ssize_t recorded_pwrite(int fd, const void *data, size_t length, off_t offset) IN_PLACE_OF(pwrite64);
ssize_t recorded_pwrite(int fd, const void *data, size_t length, off_t offset) {
    ssize_t result;
    DO_AND_NOTE(result, syscall(SYS_pwrite64, fd, data, length, offset), note_write(fd, data, (size_t)result, offset));
    return result;
}

int recorded_ftruncate(int fd, off_t size) IN_PLACE_OF(ftruncate64);
int recorded_ftruncate(int fd, off_t size) {
    int result;
    DO_AND_NOTE(result, (int)syscall(SYS_ftruncate, fd, size), note_truncate(fd, size));
    return result;
}

/* The recording stands for the disk, so the real one need not be waited for. */
int recorded_fsync(int fd) IN_PLACE_OF(fsync);
int recorded_fsync(int fd) {
    int result;
    DO_AND_NOTE(result, fcntl(fd, F_GETFD) < 0 ? -1 : 0, note_sync(fd));
    return result;
}

int recorded_fdatasync(int fd) IN_PLACE_OF(fdatasync);
int recorded_fdatasync(int fd) {
    int result;
    DO_AND_NOTE(result, fcntl(fd, F_GETFD) < 0 ? -1 : 0, note_sync(fd));
    return result;
}

int recorded_mkdirat(int directory, const char *path, mode_t mode) IN_PLACE_OF(mkdirat);
int recorded_mkdirat(int directory, const char *path, mode_t mode) {
    int result;
    DO_AND_NOTE(result, (int)syscall(SYS_mkdirat, directory, path, mode), note_link(directory, path));
    return result;
}

int recorded_mkdir(const char *path, mode_t mode) IN_PLACE_OF(mkdir);
int recorded_mkdir(const char *path, mode_t mode) {
    return recorded_mkdirat(AT_FDCWD, path, mode);
}

int recorded_unlinkat(int directory, const char *path, int flags) IN_PLACE_OF(unlinkat);
int recorded_unlinkat(int directory, const char *path, int flags) {
    int result;
    DO_AND_NOTE(result, (int)syscall(SYS_unlinkat, directory, path, flags), note_unlink(directory, path));
    return result;
}

int recorded_unlink(const char *path) IN_PLACE_OF(unlink);
int recorded_unlink(const char *path) {
    return recorded_unlinkat(AT_FDCWD, path, 0);
}

int recorded_rmdir(const char *path) IN_PLACE_OF(rmdir);
int recorded_rmdir(const char *path) {
    return recorded_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int recorded_rename(const char *from, const char *to) IN_PLACE_OF(rename);
int recorded_rename(const char *from, const char *to) {
    int result;
    DO_AND_NOTE(result, (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0), note_rename(from, to));
    return result;
}
