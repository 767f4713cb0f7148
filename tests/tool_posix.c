/* What a Linux filesystem does, system call by system call, checked on any directory.
 *
 *   tool_posix DIR [FILTER]
 *
 * Prints a line for each case: `ok - group/name`, `not ok - group/name: what was expected, and what came`, or
 * `skip - group/name: why`, and a closing count. Exits 1 if one failed. FILTER takes the cases whose group/name contains it.
 * As root all cases run; as another user those that need several users are skipped.
 */
#include "tests/posix.h"

#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define CASE_SECONDS 120
#define TURN_SECONDS 20
#define SKIPPED      77

/* The program's own state: which cases to run, and how they went; where a case's process says why it ended. */
static struct {
    const char *filter;
    char directory[64]; /* in DIR, for all cases */
    unsigned passed, failed, skipped;
    int message; /* write end, in a case */
} runner;

/* ---------------------------------------------------------------- running cases */

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *walk) {
    (void)stat;
    (void)walk;
    return flag == FTW_DP || flag == FTW_DNR ? rmdir(path) : unlink(path);
}

static int open_up(const char *path, const struct stat *stat, int flag, struct FTW *walk) {
    (void)walk;
    if ((flag == FTW_D || flag == FTW_DNR) && (stat->st_mode & 0700) != 0700)
        return chmod(path, 0700);
    return 0;
}

static void remove_tree(const char *path) {
    if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) == 0)
        return;
    nftw(path, open_up, 32, FTW_PHYS);
    if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS))
        fprintf(stderr, "cannot remove %s: %s\n", path, strerror(errno));
}

static void run_in_process(const char *directory, void (*run)(const void *row), const void *row) {
    alarm(CASE_SECONDS);
    umask(022);
    if (mkdir(directory, 0755) || chdir(directory))
        posix_fail(__FILE__, __LINE__, "cannot make the case's directory: %s", strerror(errno));
    run(row);
    _exit(0);
}

/* What the case's process said before it closed the pipe. */
static void read_message(int from, char *text, size_t size) {
    size_t length = 0;
    ssize_t got;
    while (length + 1 < size && (got = read(from, text + length, size - length - 1)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

static void report(const char *name, int status, const char *text) {
    if (WIFSIGNALED(status)) {
        runner.failed++;
        if (WTERMSIG(status) == SIGALRM)
            printf("not ok - %s: not done after %d s\n", name, CASE_SECONDS);
        else
            printf("not ok - %s: died of SIG%s\n", name, sigabbrev_np(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) == 0) {
        runner.passed++;
        printf("ok - %s\n", name);
    } else if (WEXITSTATUS(status) == SKIPPED) {
        runner.skipped++;
        printf("skip - %s: %s\n", name, text);
    } else {
        runner.failed++;
        printf("not ok - %s: %s\n", name, text);
    }
    fflush(stdout);
}

void posix_case(const char *group, const char *name, void (*run)(const void *row), const void *row) {
    char full[256], directory[128], text[1024];
    int ends[2], status;
    snprintf(full, sizeof full, "%s/%s", group, name);
    if (runner.filter && !strstr(full, runner.filter))
        return;
    snprintf(directory, sizeof directory, "%s/%u", runner.directory,
             runner.passed + runner.failed + runner.skipped + 1);
    if (pipe2(ends, O_CLOEXEC)) {
        perror("pipe");
        exit(2);
    }
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(2);
    }
    if (child == 0) {
        setpgid(0, 0);
        close(ends[0]);
        runner.message = ends[1];
        run_in_process(directory, run, row);
    }
    close(ends[1]);
    waitpid(child, &status, 0);
    kill(-child, SIGKILL); /* what it left running: the case's own group */
    read_message(ends[0], text, sizeof text);
    close(ends[0]);
    report(full, status, text);
    remove_tree(directory);
}

void posix_cases(const char *group, const struct posix_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++)
        posix_case(group, cases[i].name, cases[i].run, NULL);
}

static void say(const char *format, va_list arguments) {
    char text[1024];
    int length = vsnprintf(text, sizeof text - 1, format, arguments);
    length = length < (int)sizeof text - 1 ? length : (int)sizeof text - 2;
    text[length] = '\n';
    if (write(runner.message, text, (size_t)length + 1) < 0)
        perror("message of a case");
}

void posix_fail(const char *file, int line, const char *format, ...) {
    char with_place[512];
    const char *base = strrchr(file, '/');
    va_list arguments;
    snprintf(with_place, sizeof with_place, "%s (%s:%d)", format, base ? base + 1 : file, line);
    va_start(arguments, format);
    say(with_place, arguments);
    va_end(arguments);
    _exit(1);
}

void posix_skip(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    _exit(SKIPPED);
}

static void must_have_succeeded(bool succeeded, const char *call, const char *file, int line) {
    if (!succeeded)
        posix_fail(file, line, "%s: expected success, got %s", call, strerrorname_np(errno));
}

int posix_must_int(int returned, const char *call, const char *file, int line) {
    must_have_succeeded(returned != -1, call, file, line);
    return returned;
}

long posix_must_long(long returned, const char *call, const char *file, int line) {
    must_have_succeeded(returned != -1, call, file, line);
    return returned;
}

void *posix_must_pointer(void *returned, const char *call, const char *file, int line) {
    must_have_succeeded(returned != (void *)-1, call, file, line);
    return returned;
}

/* ---------------------------------------------------------------- who */

void need_root(void) {
    if (getuid() != 0)
        posix_skip("needs root");
}

static void become_with(uid_t uid, gid_t gid, size_t count, const gid_t *groups) {
    need_root();
    must(seteuid(0));
    must(setgroups(count, groups));
    must(setegid(gid));
    must(seteuid(uid));
}

void become(uid_t uid, gid_t gid) {
    become_with(uid, gid, 0, NULL);
}

void become_member(uid_t uid, gid_t gid, gid_t other) {
    become_with(uid, gid, 1, &other);
}

/* ---------------------------------------------------------------- another process */

pid_t child_start(void (*run)(void *argument), void *argument) {
    pid_t child = must(fork());
    if (child == 0) {
        alarm(CASE_SECONDS);
        run(argument);
        _exit(0);
    }
    return child;
}

void child_end(pid_t child) {
    int status;
    must(waitpid(child, &status, 0));
    if (WIFSIGNALED(status))
        posix_fail(__FILE__, __LINE__, "another process of the case died of SIG%s", sigabbrev_np(WTERMSIG(status)));
    if (WEXITSTATUS(status) != 0)
        _exit(WEXITSTATUS(status)); /* it said why */
}

void in_child(void (*run)(void *argument), void *argument) {
    child_end(child_start(run, argument));
}

void turns_init(struct turns *turns) {
    must(pipe(turns->to_child));
    must(pipe(turns->to_parent));
}

void turns_pass(int pipe_end) {
    must_equal(write(pipe_end, "", 1), 1);
}

bool turns_take(int pipe_end) {
    char byte;
    struct pollfd wait = {.fd = pipe_end, .events = POLLIN};
    if (poll(&wait, 1, TURN_SECONDS * 1000) != 1)
        posix_fail(__FILE__, __LINE__, "the other process does not answer");
    return must(read(pipe_end, &byte, 1)) == 1;
}

void *shared_memory(size_t size) {
    return must(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

/* ---------------------------------------------------------------- files */

void put_file(const char *path, const char *text) {
    int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    must_equal(write(fd, text, strlen(text)), strlen(text));
    must(close(fd));
}

void fill_pattern(void *buffer, size_t size, size_t position, unsigned seed) {
    uint8_t *bytes = buffer;
    for (size_t i = 0; i < size; i++) {
        uint64_t at = position + i;
        bytes[i] = (uint8_t)((at * 2654435761U >> 7) + (at >> 12) + seed * 37 + 1);
    }
}

void put_pattern(const char *path, size_t size, unsigned seed) {
    uint8_t *buffer = malloc(size + 1);
    must_be(buffer, "out of memory");
    fill_pattern(buffer, size, 0, seed);
    int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    must_equal(write(fd, buffer, size), size);
    must(close(fd));
    free(buffer);
}

void must_contain(const char *path, const char *text) {
    char buffer[4096];
    int fd = must(open(path, O_RDONLY | O_CLOEXEC));
    ssize_t length = must(read(fd, buffer, sizeof buffer - 1));
    buffer[length] = '\0';
    must_be((size_t)length == strlen(text) && !memcmp(buffer, text, (size_t)length),
            "content of %s: expected '%s', got '%s'", path, text, buffer);
    must(close(fd));
}

void must_hold_byte(int fd, off_t offset, size_t size, int byte) {
    uint8_t *buffer = malloc(size + 1);
    must_be(buffer, "out of memory");
    must_equal(pread(fd, buffer, size, offset), size);
    for (size_t i = 0; i < size; i++)
        must_be(buffer[i] == byte, "byte at %lld: expected %d, got %d", (long long)offset + (long long)i, byte,
                buffer[i]);
    free(buffer);
}

void must_hold_pattern(int fd, off_t offset, size_t size, size_t position, unsigned seed) {
    uint8_t *buffer = malloc(size + 1), *expected = malloc(size + 1);
    must_be(buffer && expected, "out of memory");
    must_equal(pread(fd, buffer, size, offset), size);
    fill_pattern(expected, size, position, seed);
    for (size_t i = 0; i < size; i++)
        must_be(buffer[i] == expected[i], "byte at %lld: expected %d, got %d", (long long)offset + (long long)i,
                expected[i], buffer[i]);
    free(expected);
    free(buffer);
}

struct stat status_of(const char *path) {
    struct stat stat;
    if (lstat(path, &stat))
        posix_fail(__FILE__, __LINE__, "lstat of %s: expected success, got %s", path, strerrorname_np(errno));
    return stat;
}

struct stat status_of_fd(int fd) {
    struct stat stat;
    must(fstat(fd, &stat));
    return stat;
}

bool exists(const char *path) {
    struct stat stat;
    if (lstat(path, &stat) == 0)
        return true;
    must_be(errno == ENOENT, "lstat of %s: expected success or ENOENT, got %s", path, strerrorname_np(errno));
    return false;
}

/* Kernels stamp files with a clock that moves on with each tick of the timer, 10 ms at most. */
void let_time_pass(void) {
    nanosleep(&(struct timespec){.tv_nsec = 11000000}, NULL);
}

/* ---------------------------------------------------------------- all of them */

int main(int argc, char **argv) {
    static void (*const kinds[])(void) = {
        posix_path, posix_open, posix_name,  posix_rename, posix_times, posix_perm, posix_data,  posix_sparse,
        posix_copy, posix_mmap, posix_xattr, posix_acl,    posix_dir,   posix_lock, posix_cache, posix_filesystem,
    };
    if (argc < 2 || argc > 3) {
        fputs("usage: tool_posix DIR [FILTER]\n", stderr);
        return 2;
    }
    runner.filter = argc == 3 ? argv[2] : NULL;
    snprintf(runner.directory, sizeof runner.directory, "posix.%d", (int)getpid());
    if (chdir(argv[1]) || mkdir(runner.directory, 0755)) {
        perror(argv[1]);
        return 2;
    }
    for (size_t i = 0; i < COUNT(kinds); i++)
        kinds[i]();
    remove_tree(runner.directory);
    printf("# %u passed, %u failed, %u skipped\n", runner.passed, runner.failed, runner.skipped);
    if (runner.passed + runner.failed + runner.skipped == 0)
        fprintf(stderr, "no case has '%s' in its name\n", runner.filter);
    return runner.failed != 0 || runner.passed == 0;
}
