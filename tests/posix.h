/* What the cases of tool_posix are written with. One file for each kind of system call, posix_<kind>.c, has tables of cases and a
 * function that runs them; tests/tool_posix.c calls those functions.
 *
 * A case is a function. It runs in a process of its own, in an empty directory of its own on the filesystem under test, as
 * its working directory; it may change its user, its umask, its limits, and leave files behind. It ends by returning (ok), or at the
 * first thing that does not hold, or with posix_skip.
 */
#ifndef TIDFS_TESTS_POSIX_H
#define TIDFS_TESTS_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Users and groups that the cases act as; nothing needs to know their names. */
#define ALICE    64001U
#define BOB      64002U
#define STAFF    64011U
#define VISITORS 64012U

/* Runs it unless the filter excludes "group/name". `row` is the case's own. */
void posix_case(const char *group, const char *name, void (*run)(const void *row), const void *row);

struct posix_case {
    const char *name;
    void (*run)(const void *row);
};
void posix_cases(const char *group, const struct posix_case *cases, size_t count);

/* These end the case. */
_Noreturn void posix_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void posix_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

int posix_must_int(int returned, const char *call, const char *file, int line);
long posix_must_long(long returned, const char *call, const char *file, int line);
void *posix_must_pointer(void *returned, const char *call, const char *file, int line);

/* What must hold. `must` gives what the call returned. */
#define must(call)                                                                                                     \
    _Generic((call), int                                                                                               \
             : posix_must_int, long                                                                                    \
             : posix_must_long, default                                                                                \
             : posix_must_pointer)((call), #call, __FILE__, __LINE__)
#define must_fail(error, call)                                                                                         \
    do {                                                                                                               \
        if ((call) != (__typeof__(call))-1)                                                                            \
            posix_fail(__FILE__, __LINE__, "%s: expected %s, got success", #call, strerrorname_np(error));             \
        if (errno != (error))                                                                                          \
            posix_fail(__FILE__, __LINE__, "%s: expected %s, got %s", #call, strerrorname_np(error),                   \
                       strerrorname_np(errno));                                                                        \
    } while (0)
#define must_equal(actual, expected)                                                                                   \
    do {                                                                                                               \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                                    \
        if (actual_ != expected_)                                                                                      \
            posix_fail(__FILE__, __LINE__, "%s: expected %lld, got %lld%s%s", #actual, expected_, actual_,             \
                       actual_ == -1 ? " " : "", actual_ == -1 ? strerrorname_np(errno) : "");                         \
    } while (0)
#define must_be(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            posix_fail(__FILE__, __LINE__, __VA_ARGS__);                                                               \
    } while (0)

/* ---- who ---- */

/* Skips the case unless the program runs as root. */
void need_root(void);
/* Acts as this user, with this group and no other, until the next call. 0, 0: as root again. */
void become(uid_t uid, gid_t gid);
/* As become, with one more group. */
void become_member(uid_t uid, gid_t gid, gid_t other);

/* ---- another process ---- */

/* A failure there is one of the case; child_end passes it on. */
pid_t child_start(void (*run)(void *argument), void *argument);
void child_end(pid_t child);
/* One after the other. */
void in_child(void (*run)(void *argument), void *argument);

/* Two processes that take turns. The parent closes to_parent[1] after it has started the child, to learn of its end. */
struct turns {
    int to_child[2], to_parent[2];
};
void turns_init(struct turns *turns);
void turns_pass(int pipe_end);
/* false: the other process has ended. */
bool turns_take(int pipe_end);

/* Memory that processes share. */
void *shared_memory(size_t size);

/* ---- files ---- */

/* A new file with this text. */
void put_file(const char *path, const char *text);
/* The same, with `size` bytes of a pattern that depends on the position and the seed. */
void put_pattern(const char *path, size_t size, unsigned seed);
void fill_pattern(void *buffer, size_t size, size_t position, unsigned seed);
/* The whole content is this text. */
void must_contain(const char *path, const char *text);
/* `size` bytes at `offset` of the file are all `byte`. */
void must_hold_byte(int fd, off_t offset, size_t size, int byte);
/* They are what fill_pattern makes. */
void must_hold_pattern(int fd, off_t offset, size_t size, size_t position, unsigned seed);
struct stat status_of(const char *path); /* lstat */
struct stat status_of_fd(int fd);
bool exists(const char *path); /* lstat */
/* Now is another time than before, for any clock that a filesystem may use. */
void let_time_pass(void);
static inline int compare_times(struct timespec a, struct timespec b) {
    if (a.tv_sec != b.tv_sec)
        return a.tv_sec < b.tv_sec ? -1 : 1;
    return a.tv_nsec < b.tv_nsec ? -1 : a.tv_nsec > b.tv_nsec;
}

/* ---- the kinds ---- */

void posix_path(void);
void posix_open(void);
void posix_name(void);
void posix_rename(void);
void posix_times(void);
void posix_perm(void);
void posix_data(void);
void posix_sparse(void);
void posix_copy(void);
void posix_mmap(void);
void posix_xattr(void);
void posix_acl(void);
void posix_dir(void);
void posix_lock(void);
void posix_cache(void);
void posix_filesystem(void);

#endif
