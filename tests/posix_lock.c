/* Locks between processes: flock(2), POSIX record locks, open file description locks. */
#include "tests/posix.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

enum { FLOCK, POSIX, OFD };

/* One way to lock, and another process that tries. */
struct way {
    const char *name;
    int kind;
};

static const struct way ways[] = {{"flock", FLOCK}, {"posix", POSIX}, {"ofd", OFD}};

/* type: F_RDLCK, F_WRLCK, F_UNLCK; of flock the whole file whatever the range. */
static int lock(int kind, int fd, int type, off_t start, off_t length, bool wait) {
    if (kind == FLOCK) {
        int operation = type == F_RDLCK ? LOCK_SH : type == F_WRLCK ? LOCK_EX : LOCK_UN;
        return flock(fd, operation | (wait ? 0 : LOCK_NB));
    }
    struct flock what = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    if (kind == POSIX)
        return fcntl(fd, wait ? F_SETLKW : F_SETLK, &what);
    return fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &what);
}

static bool is_busy(int error) {
    return error == EAGAIN || error == EACCES || error == EWOULDBLOCK;
}

struct attempt {
    int kind, type;
    off_t start, length;
    bool expected;
};

static void attempt_in_child(void *argument) {
    const struct attempt *attempt = argument;
    int fd = must(open("file", O_RDWR));
    int rc = lock(attempt->kind, fd, attempt->type, attempt->start, attempt->length, false);
    must_be(rc == 0 ? attempt->expected : !attempt->expected && is_busy(errno),
            "another process's lock of type %d at %lld: expected %s, got %s", attempt->type, (long long)attempt->start,
            attempt->expected ? "success" : "EAGAIN", rc ? strerrorname_np(errno) : "success");
}

/* Whether another process could take the lock now. */
static void other_may(int kind, int type, off_t start, off_t length, bool expected) {
    struct attempt attempt = {kind, type, start, length, expected};
    in_child(attempt_in_child, &attempt);
}

static void excludes(const void *row) {
    int kind = ((const struct way *)row)->kind;
    put_file("file", "0123456789");
    int fd = must(open("file", O_RDWR));
    other_may(kind, F_WRLCK, 0, 0, true);
    must(lock(kind, fd, F_RDLCK, 0, 0, false));
    other_may(kind, F_RDLCK, 0, 0, true);
    other_may(kind, F_WRLCK, 0, 0, false);
    must(lock(kind, fd, F_WRLCK, 0, 0, false)); /* turned into an exclusive one */
    other_may(kind, F_RDLCK, 0, 0, false);
    other_may(kind, F_WRLCK, 0, 0, false);
    must(lock(kind, fd, F_UNLCK, 0, 0, false));
    other_may(kind, F_WRLCK, 0, 0, true);
}

static void released_by_close(const void *row) {
    int kind = ((const struct way *)row)->kind;
    put_file("file", "x");
    int fd = must(open("file", O_RDWR));
    must(lock(kind, fd, F_WRLCK, 0, 0, false));
    int second = must(dup(fd));
    must(close(fd));
    other_may(kind, F_WRLCK, 0, 0, kind == POSIX); /* POSIX: any close; the others: the last */
    must(close(second));
    other_may(kind, F_WRLCK, 0, 0, true);
    fd = must(open("file", O_RDWR));
    must(lock(kind, fd, F_WRLCK, 0, 0, false));
    must(close(must(open("file", O_RDONLY))));
    other_may(kind, F_WRLCK, 0, 0, kind == POSIX);
}

static void hold_and_die(void *argument) {
    int kind = *(int *)argument;
    int fd = must(open("file", O_RDWR));
    must(lock(kind, fd, F_WRLCK, 0, 0, false));
}

static void released_by_death(const void *row) {
    int kind = ((const struct way *)row)->kind;
    put_file("file", "x");
    in_child(hold_and_die, &kind);
    int fd = must(open("file", O_RDWR));
    must(lock(kind, fd, F_WRLCK, 0, 0, false));
}

#define COUNTS 200

static void count_under_lock(void *argument) {
    int kind = *(int *)argument, number;
    int fd = must(open("file", O_RDWR));
    for (int i = 0; i < COUNTS; i++) {
        must(lock(kind, fd, F_WRLCK, 0, 0, true));
        must_equal(pread(fd, &number, sizeof number, 0), sizeof number);
        number++;
        must_equal(pwrite(fd, &number, sizeof number, 0), sizeof number);
        must(lock(kind, fd, F_UNLCK, 0, 0, false));
    }
}

/* A counter that several processes raise, each waiting for the lock. */
static void waits(const void *row) {
    int kind = ((const struct way *)row)->kind, number = 0;
    pid_t children[4];
    int fd = must(open("file", O_RDWR | O_CREAT, 0644));
    must_equal(write(fd, &number, sizeof number), sizeof number);
    must(close(fd));
    for (size_t i = 0; i < COUNT(children); i++)
        children[i] = child_start(count_under_lock, &kind);
    for (size_t i = 0; i < COUNT(children); i++)
        child_end(children[i]);
    fd = must(open("file", O_RDONLY));
    must_equal(read(fd, &number, sizeof number), sizeof number);
    must_equal(number, 4 * COUNTS);
}

static void ranges(const void *row) {
    int kind = ((const struct way *)row)->kind;
    put_file("file", "x");
    int fd = must(open("file", O_RDWR));
    must(lock(kind, fd, F_WRLCK, 10, 10, false));
    must(lock(kind, fd, F_WRLCK, 0x7ffffffffffffff0, 0, false)); /* to the end of all files */
    other_may(kind, F_WRLCK, 0, 10, true);
    other_may(kind, F_WRLCK, 9, 2, false);
    other_may(kind, F_RDLCK, 19, 1, false);
    other_may(kind, F_WRLCK, 20, 10, true);
    other_may(kind, F_WRLCK, 0x7fffffffffffffff, 1, false);
    must(lock(kind, fd, F_UNLCK, 13, 4, false)); /* a hole in the middle */
    other_may(kind, F_WRLCK, 13, 4, true);
    other_may(kind, F_WRLCK, 12, 1, false);
    other_may(kind, F_WRLCK, 17, 1, false);
}

static void within_one_process(const void *row) {
    int kind = ((const struct way *)row)->kind;
    put_file("file", "x");
    int first = must(open("file", O_RDWR)), second = must(open("file", O_RDWR));
    must(lock(kind, first, F_WRLCK, 0, 0, false));
    int rc =
        lock(kind, second, F_WRLCK, 0, 0, false); /* POSIX locks belong to the process, the others to the open file */
    must_be(kind == POSIX ? rc == 0 : rc == -1 && is_busy(errno), "a second descriptor's lock: got %s",
            rc ? strerrorname_np(errno) : "success");
}

static void asks_who(const void *row) {
    (void)row;
    int ends[2];
    put_file("file", "x");
    must(pipe(ends));
    pid_t child = must(fork());
    int fd = must(open("file", O_RDWR));
    if (child == 0) {
        must(lock(POSIX, fd, F_WRLCK, 5, 10, false));
        must_equal(write(ends[1], "", 1), 1);
        pause();
    }
    char byte;
    must_equal(read(ends[0], &byte, 1), 1);
    struct flock what = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    must(fcntl(fd, F_GETLK, &what));
    must_equal(what.l_type, F_WRLCK);
    must_equal(what.l_start, 5);
    must_equal(what.l_len, 10);
    must_equal(what.l_pid, child);
    must(kill(child, SIGKILL));
    must(waitpid(child, NULL, 0));
    must(fcntl(fd, F_GETLK, &what));
    must_equal(what.l_type, F_UNLCK);
}

static void take_second_then_first(void *argument) {
    struct turns *turns = argument;
    int fd = must(open("file", O_RDWR));
    must(lock(POSIX, fd, F_WRLCK, 1, 1, false));
    turns_pass(turns->to_parent[1]);
    (void)turns_take(turns->to_child[0]);
    must(lock(POSIX, fd, F_WRLCK, 0, 1, true));
}

/* Two processes that wait for each other: one is told. */
static void deadlock(const void *row) {
    (void)row;
    struct turns turns;
    turns_init(&turns);
    put_file("file", "xy");
    int fd = must(open("file", O_RDWR));
    must(lock(POSIX, fd, F_WRLCK, 0, 1, false));
    pid_t child = child_start(take_second_then_first, &turns);
    must_be(turns_take(turns.to_parent[0]), "the other process has ended");
    turns_pass(turns.to_child[1]);
    for (int i = 0; i < 50; i++) /* until the other one waits: then our wish closes the circle */
        let_time_pass();
    must_fail(EDEADLK, lock(POSIX, fd, F_WRLCK, 1, 1, true));
    must(lock(POSIX, fd, F_UNLCK, 0, 1, false));
    child_end(child);
}

static void refusals(const void *row) {
    (void)row;
    put_file("file", "x");
    int reader = must(open("file", O_RDONLY)), writer = must(open("file", O_WRONLY));
    must_fail(EBADF, lock(POSIX, reader, F_WRLCK, 0, 0, false));
    must_fail(EBADF, lock(POSIX, writer, F_RDLCK, 0, 0, false));
    must(lock(FLOCK, reader, F_WRLCK, 0, 0, false)); /* flock does not ask how it was opened */
    must_fail(EINVAL, lock(POSIX, reader, F_RDLCK, -1, 1, false));
    must_fail(EBADF, flock(-1, LOCK_SH));
    must_fail(EINVAL, flock(reader, 77));
}

/* The file may lose its name meanwhile, and a lock is of the file, not of the name. */
static void of_the_file(const void *row) {
    int kind = ((const struct way *)row)->kind;
    put_file("file", "x");
    int fd = must(open("file", O_RDWR));
    must(lock(kind, fd, F_WRLCK, 0, 0, false));
    must(rename("file", "moved"));
    put_file("file", "another");
    other_may(kind, F_WRLCK, 0, 0, true);
    must(rename("moved", "file"));
    other_may(kind, F_WRLCK, 0, 0, false);
    must(unlink("file"));
    must(lock(kind, fd, F_UNLCK, 0, 0, false));
}

static const struct posix_case cases[] = {
    {"asks-who", asks_who},
    {"deadlock", deadlock},
    {"refusals", refusals},
};

void posix_lock(void) {
    static const struct posix_case for_each_way[] = {
        {"excludes", excludes},
        {"released-by-close", released_by_close},
        {"released-by-death", released_by_death},
        {"waits", waits},
        {"ranges", ranges},
        {"within-one-process", within_one_process},
        {"of-the-file", of_the_file},
    };
    char name[64];
    for (size_t i = 0; i < COUNT(ways); i++) {
        for (size_t j = 0; j < COUNT(for_each_way); j++) {
            snprintf(name, sizeof name, "%s-%s", ways[i].name, for_each_way[j].name);
            if (ways[i].kind != FLOCK || for_each_way[j].run != ranges)
                posix_case("lock", name, for_each_way[j].run, &ways[i]);
        }
    }
    posix_cases("lock", cases, COUNT(cases));
}
