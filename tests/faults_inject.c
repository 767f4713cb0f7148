#include "tests/faults_inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <pwd.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- the rule ---- */

static _Atomic unsigned armed; /* the rule's groups; 0: none */
static _Atomic unsigned paused;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct inject_rule rule; /* this and the next: mutex */
static struct {
    uint64_t count;
    bool hit;
    const char *call;
    pthread_t thread;
} state = {.call = ""};

static _Atomic int64_t live, sqlite_live;
static _Atomic uint64_t checkpoints;

void inject_arm(const struct inject_rule *new_rule) {
    pthread_mutex_lock(&mutex);
    rule = *new_rule;
    state.count = 0;
    state.hit = false;
    state.call = "";
    state.thread = pthread_self();
    pthread_mutex_unlock(&mutex);
    atomic_store(&armed, new_rule->groups);
}

void inject_disarm(void) {
    atomic_store(&armed, 0);
    atomic_store(&paused, 0);
}

void inject_pause(void) {
    atomic_store(&paused, atomic_exchange(&armed, 0));
}

void inject_resume(void) {
    atomic_store(&armed, atomic_exchange(&paused, 0));
}

uint64_t inject_count(void) {
    pthread_mutex_lock(&mutex);
    uint64_t count = state.count;
    pthread_mutex_unlock(&mutex);
    return count;
}

bool inject_hit(void) {
    pthread_mutex_lock(&mutex);
    bool hit = state.hit;
    pthread_mutex_unlock(&mutex);
    return hit;
}

const char *inject_call(void) {
    pthread_mutex_lock(&mutex);
    const char *call = state.call;
    pthread_mutex_unlock(&mutex);
    return call;
}

/* Those whose manual has EINTR, and that are not over then. */
static bool is_interruptible(const char *call) {
    static const char *const calls[] = {
        "open",         "openat",        "pread",           "pwrite",           "fsync",
        "fdatasync",    "fallocate64",   "fcntl",           "ftruncate64",      "statvfs64",
        "getrandom",    "sqlite open",   "sqlite read",     "sqlite pread",     "sqlite pread64",
        "sqlite write", "sqlite pwrite", "sqlite pwrite64", "sqlite ftruncate",
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(call, calls[i]) == 0)
            return true;
    return false;
}

/* The places that calls of a rule came from, for as long as the process lives. */
#define SITES_MAX 4096 /* a power of 2, and more than there are */

struct site {
    const void *from;
    unsigned groups;
    int code;
    bool failed;
};
static struct site sites[SITES_MAX]; /* hashed; mutex */
static size_t site_count;

static struct site *find_site(const void *from) {
    size_t at = ((uintptr_t)from * UINT64_C(0x9e3779b97f4a7c15) + (size_t)rule.code + rule.groups) % SITES_MAX;
    for (; sites[at].from; at = (at + 1) % SITES_MAX)
        if (sites[at].from == from && sites[at].groups == rule.groups && sites[at].code == rule.code)
            return &sites[at];
    if (++site_count == SITES_MAX)
        abort();
    sites[at] = (struct site){from, rule.groups, rule.code, false};
    return &sites[at];
}

bool inject_has_new_sites(void) {
    bool found = false;
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < SITES_MAX && !found; i++)
        found = sites[i].from && sites[i].groups == rule.groups && sites[i].code == rule.code && !sites[i].failed;
    pthread_mutex_unlock(&mutex);
    return found;
}

/* Whether this is the call, made from `from`; *length (NULL: there is none) is halved if that is what the rule wants, and the call is to be made. */
static bool is_it(enum inject_group group, const char *call, const void *from, size_t *length, int *code) {
    bool fails = false;
    if (!(atomic_load(&armed) & group))
        return false;
    pthread_mutex_lock(&mutex);
    if ((atomic_load(&armed) & group) && (!rule.this_thread || pthread_equal(state.thread, pthread_self())) &&
        (!rule.other_threads || !pthread_equal(state.thread, pthread_self())) &&
        (!rule.halves || (length && *length > 1)) && (rule.code != EINTR || is_interruptible(call))) {
        state.count++;
        struct site *site = rule.sites ? find_site(from) : NULL;
        fails = site && rule.nth == 0 ? !state.hit && !site->failed
                                      : state.count == rule.nth || (rule.sticky && state.count > rule.nth);
        if (site && fails)
            site->failed = true;
        if (fails && !state.hit) {
            state.hit = true;
            state.call = call;
        }
        if (fails && rule.halves) {
            *length /= 2;
            fails = false;
        }
        *code = rule.code;
    }
    pthread_mutex_unlock(&mutex);
    return fails;
}

/* Where the function that this stands in was called from. */
#define CALLER __builtin_return_address(0)

bool inject_fails(enum inject_group group, const char *call, int *code) {
    return is_it(group, call, CALLER, NULL, code);
}

bool inject_io_fails(enum inject_group group, const char *call, size_t *length, int *code) {
    return is_it(group, call, CALLER, length, code);
}

uint64_t inject_checkpoints(void) {
    return atomic_load(&checkpoints);
}

int64_t inject_live(void) {
    return atomic_load(&live);
}

int64_t inject_sqlite_live(void) {
    return atomic_load(&sqlite_live);
}

int inject_descriptors(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return -1;
    while (readdir(directory))
        count++;
    (void)closedir(directory);
    return count - 3; /* ".", "..", and the one that was just open */
}

static bool fails_from(enum inject_group group, const char *call, const void *from) {
    int code = 0;
    if (!is_it(group, call, from, NULL, &code))
        return false;
    errno = code;
    return true;
}

static bool io_fails_from(enum inject_group group, const char *call, const void *from, size_t *length) {
    int code = 0;
    if (!is_it(group, call, from, length, &code))
        return false;
    errno = code;
    return true;
}

#define fails(group, call)            fails_from(group, call, CALLER)
#define io_fails(group, call, length) io_fails_from(group, call, CALLER, length)

/* ---- allocations ---- */

static void *counted(void *allocated) {
    if (allocated)
        atomic_fetch_add(&live, 1);
    return allocated;
}

#define ALLOCATION(name, parameters, arguments)                                                                        \
    void *__real_##name parameters;                                                                                    \
    void *__wrap_##name parameters;                                                                                    \
    void *__wrap_##name parameters {                                                                                   \
        return fails(INJECT_MEMORY, #name) ? NULL : counted(__real_##name arguments);                                  \
    }

ALLOCATION(malloc, (size_t size), (size))
ALLOCATION(calloc, (size_t count, size_t size), (count, size))
ALLOCATION(strdup, (const char *text), (text))
ALLOCATION(strndup, (const char *text, size_t length), (text, length))
ALLOCATION(open_memstream, (char **text, size_t *length), (text, length))

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size) {
    if (fails(INJECT_MEMORY, "realloc"))
        return NULL;
    return old ? __real_realloc(old, size) : counted(__real_realloc(old, size));
}

void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size) {
    if (fails(INJECT_MEMORY, "reallocarray"))
        return NULL;
    return old ? __real_reallocarray(old, count, size) : counted(__real_reallocarray(old, count, size));
}

void __real_free(void *block);
void __wrap_free(void *block);
void __wrap_free(void *block) {
    if (block)
        atomic_fetch_sub(&live, 1);
    __real_free(block);
}

int __real_vasprintf(char **text, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
static int print_allocated(const void *from, char **text, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
static int print_allocated(const void *from, char **text, const char *format, va_list arguments) {
    if (fails_from(INJECT_MEMORY, "asprintf", from))
        return -1; /* *text is undefined then, and stays what it was */
    int length = __real_vasprintf(text, format, arguments);
    if (length >= 0)
        (void)counted(*text);
    return length;
}

int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = print_allocated(CALLER, text, format, arguments);
    va_end(arguments);
    return length;
}

int __wrap___asprintf_chk(char **text, int flag, const char *format, ...) __attribute__((format(printf, 3, 4)));
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...) {
    va_list arguments;
    (void)flag;
    va_start(arguments, format);
    int length = print_allocated(CALLER, text, format, arguments);
    va_end(arguments);
    return length;
}

int __wrap_vasprintf(char **text, const char *format, va_list arguments) __attribute__((format(printf, 2, 0)));
int __wrap_vasprintf(char **text, const char *format, va_list arguments) {
    return print_allocated(CALLER, text, format, arguments);
}

int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));
int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list arguments) {
    (void)flag;
    return print_allocated(CALLER, text, format, arguments);
}

/* A stream in memory fails like this, and not before: its buffer grows inside libc. */
int __real_fclose(FILE *stream);
int __wrap_fclose(FILE *stream);
int __wrap_fclose(FILE *stream) {
    int code = 0;
    bool failed = is_it(INJECT_MEMORY, "fclose", CALLER, NULL, &code);
    int rc = __real_fclose(stream);
    if (failed)
        errno = code;
    return failed ? EOF : rc;
}

int __real_ferror(FILE *stream);
int __wrap_ferror(FILE *stream);
int __wrap_ferror(FILE *stream) {
    return fails(INJECT_MEMORY, "ferror") ? 1 : __real_ferror(stream);
}

/* ---- threads ---- */

#define THREAD_CALL(name, parameters, arguments)                                                                       \
    int __real_##name parameters;                                                                                      \
    int __wrap_##name parameters;                                                                                      \
    int __wrap_##name parameters {                                                                                     \
        int code = 0;                                                                                                  \
        return is_it(INJECT_THREADS, #name, CALLER, NULL, &code) ? code : __real_##name arguments;                     \
    }

THREAD_CALL(pthread_create, (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *context),
            (thread, attributes, run, context))
THREAD_CALL(pthread_mutex_init, (pthread_mutex_t * lock, const pthread_mutexattr_t *attributes), (lock, attributes))
THREAD_CALL(pthread_rwlock_init, (pthread_rwlock_t * lock, const pthread_rwlockattr_t *attributes), (lock, attributes))
THREAD_CALL(pthread_cond_init, (pthread_cond_t * condition, const pthread_condattr_t *attributes),
            (condition, attributes))
THREAD_CALL(pthread_condattr_init, (pthread_condattr_t * attributes), (attributes))
THREAD_CALL(pthread_condattr_setclock, (pthread_condattr_t * attributes, clockid_t clock), (attributes, clock))
THREAD_CALL(pthread_key_create, (pthread_key_t * key, void (*release)(void *)), (key, release))
THREAD_CALL(pthread_setspecific, (pthread_key_t key, const void *value), (key, value))

/* ---- system calls ---- */

#define FILE_CALL(result, failure, name, group, parameters, arguments)                                                 \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters {                                                                                  \
        return fails(group, #name) ? (failure) : __real_##name arguments;                                              \
    }

FILE_CALL(int, -1, access, INJECT_LOOKS, (const char *path, int mode), (path, mode))
FILE_CALL(int, -1, stat64, INJECT_LOOKS, (const char *path, struct stat *status), (path, status))
FILE_CALL(int, -1, lstat64, INJECT_LOOKS, (const char *path, struct stat *status), (path, status))
FILE_CALL(int, -1, fstat64, INJECT_LOOKS, (int fd, struct stat *status), (fd, status))
FILE_CALL(int, -1, fstatat64, INJECT_LOOKS, (int directory, const char *path, struct stat *status, int flags),
          (directory, path, status, flags))
FILE_CALL(int, -1, statvfs64, INJECT_LOOKS, (const char *path, struct statvfs *disk), (path, disk))
FILE_CALL(DIR *, NULL, opendir, INJECT_LOOKS, (const char *path), (path))
FILE_CALL(DIR *, NULL, fdopendir, INJECT_LOOKS, (int fd), (fd))
FILE_CALL(struct dirent *, NULL, readdir64, INJECT_LOOKS, (DIR * directory), (directory))
FILE_CALL(int, -1, fallocate64, INJECT_WRITES, (int fd, int mode, off_t offset, off_t length),
          (fd, mode, offset, length))
FILE_CALL(int, -1, ftruncate64, INJECT_WRITES, (int fd, off_t length), (fd, length))
FILE_CALL(int, -1, mkdir, INJECT_WRITES, (const char *path, mode_t mode), (path, mode))
FILE_CALL(int, -1, mkdirat, INJECT_WRITES, (int directory, const char *path, mode_t mode), (directory, path, mode))
FILE_CALL(int, -1, rename, INJECT_WRITES, (const char *from, const char *to), (from, to))
FILE_CALL(int, -1, link, INJECT_WRITES, (const char *from, const char *to), (from, to))
FILE_CALL(int, -1, chown, INJECT_WRITES, (const char *path, uid_t user, gid_t group), (path, user, group))
FILE_CALL(int, -1, chmod, INJECT_WRITES, (const char *path, mode_t mode), (path, mode))
FILE_CALL(int, -1, unlink, INJECT_WRITES, (const char *path), (path))
FILE_CALL(int, -1, unlinkat, INJECT_WRITES, (int directory, const char *path, int flags), (directory, path, flags))
FILE_CALL(int, -1, remove, INJECT_WRITES, (const char *path), (path))
FILE_CALL(int, -1, rmdir, INJECT_WRITES, (const char *path), (path))
FILE_CALL(void *, MAP_FAILED, mmap64, INJECT_SQLITE_WRITES,
          (void *address, size_t length, int protection, int flags, int fd, off_t offset),
          (address, length, protection, flags, fd, offset))
FILE_CALL(int, -1, nftw64, INJECT_LOOKS,
          (const char *path, int (*visit)(const char *, const struct stat *, int, struct FTW *), int most, int flags),
          (path, visit, most, flags))

/* Their last argument is there or not. */
#define OPEN_MODE(flags, last) ((flags) & (O_CREAT | O_TMPFILE) ? va_arg(last, mode_t) : 0)

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...) {
    va_list last;
    va_start(last, flags);
    mode_t mode = OPEN_MODE(flags, last);
    va_end(last);
    return fails(INJECT_LOOKS, "open") ? -1 : __real_open64(path, flags, mode);
}

int __real_openat64(int directory, const char *path, int flags, ...);
int __wrap_openat64(int directory, const char *path, int flags, ...);
int __wrap_openat64(int directory, const char *path, int flags, ...) {
    va_list last;
    va_start(last, flags);
    mode_t mode = OPEN_MODE(flags, last);
    va_end(last);
    return fails(INJECT_LOOKS, "openat") ? -1 : __real_openat64(directory, path, flags, mode);
}

/* For locks alone, whose argument is a pointer. */
int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...) {
    va_list last;
    va_start(last, command);
    void *argument = va_arg(last, void *);
    va_end(last);
    return fails(INJECT_LOOKS, "fcntl") ? -1 : __real_fcntl64(fd, command, argument);
}

FILE_CALL(int, -1, flock, INJECT_LOOKS, (int fd, int operation), (fd, operation))

/* As on Linux, the descriptor is gone whatever it returns. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd) {
    int code = 0;
    bool failed = is_it(INJECT_LOOKS, "close", CALLER, NULL, &code);
    int rc = __real_close(fd);
    if (failed)
        errno = code;
    return failed ? -1 : rc;
}

char *__real_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved);
char *__wrap_realpath(const char *path, char *resolved) {
    if (fails(INJECT_LOOKS, "realpath"))
        return NULL;
    char *found = __real_realpath(path, resolved);
    return resolved ? found : counted(found);
}

int __real_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found);
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found);
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found) {
    int code = 0;
    *found = NULL;
    return is_it(INJECT_LOOKS, "getpwuid_r", CALLER, NULL, &code) ? code
                                                                  : __real_getpwuid_r(uid, entry, buffer, size, found);
}

ssize_t __real_getrandom(void *buffer, size_t length, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags);
ssize_t __wrap_getrandom(void *buffer, size_t length, unsigned flags) {
    return fails(INJECT_READS, "getrandom") ? -1 : __real_getrandom(buffer, length, flags);
}

ssize_t __real_pread64(int fd, void *buffer, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void *buffer, size_t length, off_t offset);
ssize_t __wrap_pread64(int fd, void *buffer, size_t length, off_t offset) {
    return io_fails(INJECT_READS, "pread", &length) ? -1 : __real_pread64(fd, buffer, length, offset);
}

ssize_t __real_pwrite64(int fd, const void *buffer, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t length, off_t offset) {
    return io_fails(INJECT_WRITES, "pwrite", &length) ? -1 : __real_pwrite64(fd, buffer, length, offset);
}

int __wrap_fsync(int fd);
int __wrap_fsync(int fd) {
    (void)fd;
    return fails(INJECT_SYNCS, "fsync") ? -1 : 0;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd) {
    (void)fd;
    return fails(INJECT_SYNCS, "fdatasync") ? -1 : 0;
}

/* ---- SQLite's ---- */

/* These it calls by their names, which libraries find here first. */
int fsync(int fd) {
    (void)fd;
    return fails(INJECT_SQLITE_SYNCS, "sqlite fsync") ? -1 : 0;
}

int fdatasync(int fd) {
    (void)fd;
    return fails(INJECT_SQLITE_SYNCS, "sqlite fdatasync") ? -1 : 0;
}

/* Those that it was born with. */
#define SQLITE_CALL(result, failure, name, group, parameters, arguments)                                               \
    static result(*real_##name) parameters; /* NOLINT(bugprone-macro-parentheses) */                                   \
    static result sqlite_##name parameters {                                                                           \
        return fails(group, "sqlite " #name) ? (failure) : real_##name arguments;                                      \
    }
#define SQLITE_IO_CALL(name, group, parameters, arguments)                                                             \
    static ssize_t(*real_##name) parameters; /* NOLINT(bugprone-macro-parentheses) */                                  \
    static ssize_t sqlite_##name parameters {                                                                          \
        return io_fails(group, "sqlite " #name, &length) ? -1 : real_##name arguments;                                 \
    }

SQLITE_CALL(int, -1, open, INJECT_SQLITE_LOOKS, (const char *path, int flags, int mode), (path, flags, mode))
SQLITE_CALL(int, -1, access, INJECT_SQLITE_LOOKS, (const char *path, int mode), (path, mode))
SQLITE_CALL(int, -1, stat, INJECT_SQLITE_LOOKS, (const char *path, struct stat *status), (path, status))
SQLITE_CALL(int, -1, fstat, INJECT_SQLITE_LOOKS, (int fd, struct stat *status), (fd, status))
SQLITE_CALL(int, -1, lstat, INJECT_SQLITE_LOOKS, (const char *path, struct stat *status), (path, status))
SQLITE_CALL(int, -1, openDirectory, INJECT_SQLITE_LOOKS, (const char *path, int *fd), (path, fd))
SQLITE_CALL(int, -1, unlink, INJECT_SQLITE_LOOKS, (const char *path), (path))
SQLITE_CALL(int, -1, ftruncate, INJECT_SQLITE_WRITES, (int fd, off_t length), (fd, length))
SQLITE_CALL(int, -1, fallocate, INJECT_SQLITE_WRITES, (int fd, off_t offset, off_t length), (fd, offset, length))
SQLITE_CALL(int, -1, fchmod, INJECT_SQLITE_WRITES, (int fd, mode_t mode), (fd, mode))
SQLITE_IO_CALL(read, INJECT_SQLITE_READS, (int fd, void *buffer, size_t length), (fd, buffer, length))
SQLITE_IO_CALL(pread, INJECT_SQLITE_READS, (int fd, void *buffer, size_t length, off_t offset),
               (fd, buffer, length, offset))
SQLITE_IO_CALL(pread64, INJECT_SQLITE_READS, (int fd, void *buffer, size_t length, off_t offset),
               (fd, buffer, length, offset))
SQLITE_IO_CALL(write, INJECT_SQLITE_WRITES, (int fd, const void *buffer, size_t length), (fd, buffer, length))
SQLITE_IO_CALL(pwrite, INJECT_SQLITE_WRITES, (int fd, const void *buffer, size_t length, off_t offset),
               (fd, buffer, length, offset))
SQLITE_IO_CALL(pwrite64, INJECT_SQLITE_WRITES, (int fd, const void *buffer, size_t length, off_t offset),
               (fd, buffer, length, offset))

static int (*real_fcntl)(int fd, int command, ...);
static int sqlite_fcntl(int fd, int command, ...) {
    va_list last;
    va_start(last, command);
    void *argument = va_arg(last, void *); /* a lock, or an integer in the same register */
    va_end(last);
    return fails(INJECT_SQLITE_LOCKS, "sqlite fcntl") ? -1 : real_fcntl(fd, command, argument);
}

#define REPLACE(name)                                                                                                  \
    do {                                                                                                               \
        real_##name = (__typeof__(real_##name))vfs->xGetSystemCall(vfs, #name);                                        \
        if (real_##name)                                                                                               \
            (void)vfs->xSetSystemCall(vfs, #name, (sqlite3_syscall_ptr)sqlite_##name);                                 \
    } while (0)

static void replace_system_calls(sqlite3_vfs *vfs) {
    REPLACE(open);
    REPLACE(access);
    REPLACE(stat);
    REPLACE(fstat);
    REPLACE(lstat);
    REPLACE(openDirectory);
    REPLACE(unlink);
    REPLACE(ftruncate);
    REPLACE(fallocate);
    REPLACE(fchmod);
    REPLACE(read);
    REPLACE(pread);
    REPLACE(pread64);
    REPLACE(write);
    REPLACE(pwrite);
    REPLACE(pwrite64);
    REPLACE(fcntl);
}

static sqlite3_mem_methods memory;

static void *sqlite_malloc(int size) {
    int code;
    void *block = inject_fails(INJECT_SQLITE_MEMORY, "sqlite malloc", &code) ? NULL : memory.xMalloc(size);
    if (block)
        atomic_fetch_add(&sqlite_live, 1);
    return block;
}

static void sqlite_free(void *block) {
    atomic_fetch_sub(&sqlite_live, 1); /* SQLite keeps NULL from here */
    memory.xFree(block);
}

static void *sqlite_realloc(void *block, int size) {
    int code;
    return inject_fails(INJECT_SQLITE_MEMORY, "sqlite realloc", &code) ? NULL : memory.xRealloc(block, size);
}

/* Our calls of SQLite's functions. */
#define SQLITE_RESULT(name, parameters, arguments)                                                                     \
    int __real_sqlite3_##name parameters;                                                                              \
    int __wrap_sqlite3_##name parameters;                                                                              \
    int __wrap_sqlite3_##name parameters {                                                                             \
        int code;                                                                                                      \
        return is_it(INJECT_SQLITE_RESULTS, "sqlite3_" #name, CALLER, NULL, &code) ? code                              \
                                                                                   : __real_sqlite3_##name arguments;  \
    }

SQLITE_RESULT(step, (sqlite3_stmt * statement), (statement))
SQLITE_RESULT(prepare_v3,
              (sqlite3 * db, const char *sql, int length, unsigned flags, sqlite3_stmt **statement, const char **tail),
              (db, sql, length, flags, statement, tail))
SQLITE_RESULT(exec,
              (sqlite3 * db, const char *sql, int (*row)(void *, int, char **, char **), void *context, char **text),
              (db, sql, row, context, text))
SQLITE_RESULT(bind_null, (sqlite3_stmt * statement, int parameter), (statement, parameter))
SQLITE_RESULT(bind_int64, (sqlite3_stmt * statement, int parameter, sqlite3_int64 value), (statement, parameter, value))
SQLITE_RESULT(bind_blob64,
              (sqlite3_stmt * statement, int parameter, const void *bytes, sqlite3_uint64 length,
               void (*release)(void *)),
              (statement, parameter, bytes, length, release))
SQLITE_RESULT(bind_text64,
              (sqlite3_stmt * statement, int parameter, const char *bytes, sqlite3_uint64 length,
               void (*release)(void *), unsigned char encoding),
              (statement, parameter, bytes, length, release, encoding))
SQLITE_RESULT(file_control, (sqlite3 * db, const char *name, int operation, void *argument),
              (db, name, operation, argument))

int __real_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *in_wal, int *done);
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *in_wal, int *done);
int __wrap_sqlite3_wal_checkpoint_v2(sqlite3 *db, const char *name, int mode, int *in_wal, int *done) {
    int code;
    bool failed = is_it(INJECT_SQLITE_RESULTS, "sqlite3_wal_checkpoint_v2", CALLER, NULL, &code);
    int result = failed ? code : __real_sqlite3_wal_checkpoint_v2(db, name, mode, in_wal, done);
    atomic_fetch_add(&checkpoints, 1);
    return result;
}

void inject_init(void) {
    (void)sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
    sqlite3_mem_methods methods = memory;
    methods.xMalloc = sqlite_malloc;
    methods.xFree = sqlite_free;
    methods.xRealloc = sqlite_realloc;
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    (void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
    sqlite3_vfs *vfs = sqlite3_vfs_find("unix");
    if (vfs && vfs->iVersion >= 3 && vfs->xSetSystemCall)
        replace_system_calls(vfs);
}
