/* open(2): its flags, who wins, what becomes of files that are open when their names go. */
#include "tests/posix.h"

#include <signal.h>
#include <sys/wait.h>

static void creates_with_mode(const void *row) {
    (void)row;
    static const struct {
        mode_t umask, mode, result;
    } rows[] = {
        {022, 0666, 0644}, {077, 0777, 0700}, {0, 0666, 0666}, {0777, 0777, 0}, {0, 07777, 07777}, {022, 01644, 01644},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        umask(rows[i].umask);
        int fd = must(open("file", O_RDWR | O_CREAT | O_EXCL, rows[i].mode));
        must_equal(status_of_fd(fd).st_mode & 07777, rows[i].result);
        must_equal(write(fd, "x", 1), 1); /* whatever the mode says */
        close(fd);
        must(unlink("file"));
    }
}

static void exclusive(const void *row) {
    (void)row;
    must(close(must(open("file", O_RDWR | O_CREAT | O_EXCL, 0644))));
    must_fail(EEXIST, open("file", O_RDWR | O_CREAT | O_EXCL, 0644));
    must(mkdir("directory", 0755));
    must_fail(EEXIST, open("directory", O_RDWR | O_CREAT | O_EXCL, 0644));
    must(symlink("nothing", "dangling"));
    must_fail(EEXIST, open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644));
    must_be(!exists("nothing"), "O_EXCL made what the symlink points at");
    must(close(must(open("dangling", O_RDWR | O_CREAT, 0644))));
    must_be(exists("nothing"), "O_CREAT through a dangling symlink: expected its target to exist");
}

#define RACERS 4
#define ROUNDS 100

/* Of several processes, one makes it, each time. */
static void exclusive_race(const void *row) {
    (void)row;
    pid_t racers[RACERS];
    int won = 0;
    for (int i = 0; i < RACERS; i++) {
        racers[i] = must(fork());
        if (racers[i] == 0) {
            int wins = 0;
            char name[16];
            for (int round = 0; round < ROUNDS; round++) {
                snprintf(name, sizeof name, "f%d", round);
                int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
                if (fd < 0 && errno != EEXIST)
                    _exit(255);
                wins += fd >= 0;
                close(fd);
            }
            _exit(wins);
        }
    }
    for (int i = 0; i < RACERS; i++) {
        int status;
        must(waitpid(racers[i], &status, 0));
        must_be(WIFEXITED(status) && WEXITSTATUS(status) < 255, "a racer got an error that is not EEXIST");
        won += WEXITSTATUS(status);
    }
    must_equal(won, ROUNDS);
}

#define LINES 200

static void append_lines(void *argument) {
    int number = *(int *)argument;
    int fd = must(open("log", O_WRONLY | O_APPEND));
    char line[64];
    for (int i = 0; i < LINES; i++) {
        int length = snprintf(line, sizeof line, "%d %d of several\n", number, i);
        must_equal(write(fd, line, (size_t)length), length);
    }
}

/* Lines that several processes append are all there, whole, and in each one's order. */
static void append_race(const void *row) {
    (void)row;
    int numbers[RACERS], next[RACERS] = {0}, number, i, total = 0;
    pid_t racers[RACERS];
    char line[64];
    put_file("log", "");
    for (i = 0; i < RACERS; i++) {
        numbers[i] = i;
        racers[i] = child_start(append_lines, &numbers[i]);
    }
    for (i = 0; i < RACERS; i++)
        child_end(racers[i]);
    FILE *log = fopen("log", "r");
    must_be(log, "cannot open the log");
    while (fgets(line, sizeof line, log)) {
        must_be(sscanf(line, "%d %d of several", &number, &i) == 2 && number >= 0 && number < RACERS, "a torn line: %s",
                line);
        must_equal(i, next[number]);
        next[number]++;
        total++;
    }
    fclose(log);
    must_equal(total, RACERS * LINES);
}

static void append_positions(const void *row) {
    (void)row;
    char text[16] = "";
    put_file("file", "0123456789");
    int fd = must(open("file", O_RDWR | O_APPEND));
    must_equal(lseek(fd, 2, SEEK_SET), 2);
    must_equal(write(fd, "ab", 2), 2);
    must_equal(lseek(fd, 0, SEEK_CUR), 12);
    must_equal(pwrite(fd, "cd", 2, 0), 2); /* Linux appends here, too */
    must_contain("file", "0123456789abcd");
    must_equal(pread(fd, text, 2, 10), 2);
    must_be(!strcmp(text, "ab"), "pread: expected ab, got %s", text);
    must(truncate("file", 3));
    must_equal(write(fd, "x", 1), 1);
    must_contain("file", "012x");
    must(fcntl(fd, F_SETFL, 0));
    must_equal(pwrite(fd, "Y", 1, 0), 1);
    must_contain("file", "Y12x");
}

static void truncates(const void *row) {
    (void)row;
    put_file("file", "some text");
    int reader = must(open("file", O_RDONLY));
    ino_t ino = status_of("file").st_ino;
    int fd = must(open("file", O_WRONLY | O_TRUNC));
    must_equal(status_of_fd(reader).st_size, 0);
    must_equal(status_of("file").st_ino, ino);
    must_equal(write(fd, "new", 3), 3);
    must_hold_byte(reader, 0, 1, 'n');
    close(fd);
    must(close(must(open("file", O_WRONLY | O_CREAT | O_TRUNC, 0600))));
    must_equal(status_of("file").st_size, 0);
    must_equal(status_of("file").st_mode & 07777, 0644); /* the mode is for new files */
    put_file("file", "again");
    must_fail(EEXIST, open("file", O_WRONLY | O_CREAT | O_TRUNC | O_EXCL, 0600));
    must_contain("file", "again");
}

static void directories(const void *row) {
    (void)row;
    char byte;
    must(mkdir("directory", 0755));
    put_file("file", "x");
    must_fail(EISDIR, open("directory", O_WRONLY));
    must_fail(EISDIR, open("directory", O_RDWR));
    must_fail(EISDIR, open("directory", O_RDONLY | O_TRUNC));
    must_fail(EISDIR, open("directory", O_RDONLY | O_CREAT, 0644));
    must_fail(ENOTDIR, open("file", O_RDONLY | O_DIRECTORY));
    int fd = must(open("directory", O_RDONLY | O_DIRECTORY));
    must_fail(EISDIR, read(fd, &byte, 1));
    must_fail(EBADF, write(fd, "x", 1));
    must_fail(EINVAL, ftruncate(fd, 0));
    must(fsync(fd));
    must(fdatasync(fd));
    must(fchmod(fd, 0700));
    must_equal(status_of("directory").st_mode & 07777, 0700);
}

static void symlinks(const void *row) {
    (void)row;
    put_file("file", "x");
    must(symlink("file", "link"));
    must(symlink(".", "here"));
    must_fail(ELOOP, open("link", O_RDONLY | O_NOFOLLOW));
    must_fail(ENOTDIR, open("here", O_RDONLY | O_NOFOLLOW | O_DIRECTORY));
    int fd = must(open("link", O_PATH | O_NOFOLLOW));
    must_be(S_ISLNK(status_of_fd(fd).st_mode), "O_PATH|O_NOFOLLOW: expected the symlink");
    must(close(must(open("here/link", O_RDONLY))));
}

static void path_descriptors(const void *row) {
    (void)row;
    char byte;
    struct stat st;
    put_file("file", "x");
    int fd = must(open("file", O_PATH));
    must_fail(EBADF, read(fd, &byte, 1));
    must_fail(EBADF, fchmod(fd, 0600));
    must_fail(EBADF, ftruncate(fd, 0));
    must(fstat(fd, &st));
    must_equal(st.st_size, 1);
    must(unlink("file"));
    must(fstat(fd, &st));
    must_equal(st.st_nlink, 0);
}

static void access_modes(const void *row) {
    (void)row;
    char byte;
    put_file("file", "x");
    int reader = must(open("file", O_RDONLY)), writer = must(open("file", O_WRONLY));
    must_fail(EBADF, write(reader, "x", 1));
    must_fail(EBADF, read(writer, &byte, 1));
    must_fail(EINVAL, ftruncate(reader, 0));
    must_fail(EBADF, fallocate(reader, 0, 0, 10));
    must(fsync(reader));
    close(writer);
    must_fail(EBADF, write(writer, "x", 1));
}

/* All of a file works after its last name is gone. */
static void unlinked(const void *row) {
    (void)row;
    put_pattern("file", 100000, 3);
    int fd = must(open("file", O_RDWR)), second = must(open("file", O_RDONLY));
    ino_t ino = status_of_fd(fd).st_ino;
    must(unlink("file"));
    must_be(!exists("file"), "the name is still there");
    must_equal(status_of_fd(fd).st_nlink, 0);
    must_equal(status_of_fd(fd).st_ino, ino);
    must_hold_pattern(second, 0, 100000, 0, 3);
    must_equal(pwrite(fd, "0000000000", 10, 100000), 10);
    must_hold_byte(second, 100000, 10, '0');
    must(ftruncate(fd, 500));
    must_equal(status_of_fd(second).st_size, 500);
    must(ftruncate(fd, 600000));
    must_hold_byte(second, 500, 599500, 0);
    must(fchmod(fd, 0600));
    must_equal(status_of_fd(second).st_mode & 07777, 0600);
    must(fsync(fd));
    must_hold_pattern(second, 0, 500, 0, 3);
    put_file("file", "a new one of that name");
    must_be(status_of("file").st_ino != ino, "a new file has the inode number of one that is open");
    must_hold_pattern(second, 0, 500, 0, 3);
    must_contain("file", "a new one of that name");
}

static void unlinked_is_not_found_by_descriptor(const void *row) {
    (void)row;
    char path[64];
    put_file("file", "x");
    int fd = must(open("file", O_RDWR));
    must(unlink("file"));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must_fail(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "again", AT_SYMLINK_FOLLOW));
    int second = must(open(path, O_RDONLY)); /* but may be opened again */
    must_hold_byte(second, 0, 1, 'x');
}

static void nameless(const void *row) {
    (void)row;
    char path[64];
    int fd = open(".", O_TMPFILE | O_RDWR, 0640);
    if (fd < 0 && errno == EOPNOTSUPP)
        posix_skip("O_TMPFILE: EOPNOTSUPP");
    must(fd);
    must_equal(status_of_fd(fd).st_nlink, 0);
    must_equal(status_of_fd(fd).st_mode, S_IFREG | 0640);
    must_equal(write(fd, "nameless", 8), 8);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(linkat(AT_FDCWD, path, AT_FDCWD, "file", AT_SYMLINK_FOLLOW));
    must_contain("file", "nameless");
    must_equal(status_of_fd(fd).st_nlink, 1);
    fd = must(open(".", O_TMPFILE | O_EXCL | O_RDWR, 0640));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must_fail(ENOENT, linkat(AT_FDCWD, path, AT_FDCWD, "other", AT_SYMLINK_FOLLOW));
}

static void text_busy(const void *row) {
    (void)row;
    char byte;
    int from = must(open("/bin/sleep", O_RDONLY)), to = must(open("program", O_WRONLY | O_CREAT, 0755));
    char buffer[65536];
    ssize_t length;
    while ((length = must(read(from, buffer, sizeof buffer))) > 0)
        must_equal(write(to, buffer, (size_t)length), length);
    pid_t early = must(fork());
    if (early == 0) {
        execl("./program", "program", "0", (char *)NULL);
        _exit(errno == ETXTBSY ? 0 : 1); /* it is open for writing, here and in the parent */
    }
    int status, ready[2];
    must(waitpid(early, &status, 0));
    must_be(WIFEXITED(status) && WEXITSTATUS(status) == 0, "exec of a file open for writing: expected ETXTBSY");
    close(to);
    must(pipe2(ready, O_CLOEXEC));
    pid_t child = must(fork());
    if (child == 0) {
        execl("./program", "program", "20", (char *)NULL);
        _exit(1);
    }
    close(ready[1]);
    must_equal(read(ready[0], &byte, 1), 0); /* closed by exec */
    must_fail(ETXTBSY, open("program", O_WRONLY));
    must_fail(ETXTBSY, open("program", O_RDWR | O_APPEND));
    must_fail(ETXTBSY, truncate("program", 0));
    put_file("new", "x");
    must(rename("new", "program")); /* replacing it is another matter */
    must_equal(kill(child, 9), 0);
    must(waitpid(child, &status, 0));
}

/* A script and a program run from here. */
static void executes(const void *row) {
    (void)row;
    put_file("script", "#!/bin/sh\nexit 7\n");
    int status;
    must_fail(EACCES, execl("./script", "script", (char *)NULL));
    must(chmod("script", 0755));
    pid_t child = must(fork());
    if (child == 0) {
        execl("./script", "script", (char *)NULL);
        _exit(1);
    }
    must(waitpid(child, &status, 0));
    must_equal(WEXITSTATUS(status), 7);
}

static void fifos(const void *row) {
    (void)row;
    char text[8] = "";
    must(mkfifo("fifo", 0644));
    must_fail(ENXIO, open("fifo", O_WRONLY | O_NONBLOCK));
    int reader = must(open("fifo", O_RDONLY | O_NONBLOCK)), writer = must(open("fifo", O_WRONLY));
    must_equal(write(writer, "through", 7), 7);
    must_equal(read(reader, text, sizeof text), 7);
    must_be(!strncmp(text, "through", 7), "expected what was written, got %s", text);
    must_fail(ESPIPE, lseek(reader, 0, SEEK_SET));
    must(symlink("fifo", "link"));
    must(close(must(open("link", O_RDONLY | O_NONBLOCK))));
    must_fail(EINVAL, truncate("fifo", 0));
}

/* The mount may forbid devices; then it is EACCES. */
static void devices(const void *row) {
    (void)row;
    need_root();
    char byte = 'x';
    must(mknod("null", S_IFCHR | 0666, 0x103));
    int fd = open("null", O_RDWR);
    if (fd < 0 && errno == EACCES)
        posix_skip("mounted with nodev");
    must(fd);
    must_equal(write(fd, &byte, 1), 1);
    must_equal(read(fd, &byte, 1), 0);
}

static void many_open(const void *row) {
    (void)row;
    int fds[200];
    char name[16];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "f%d", i);
        fds[i] = must(open(name, O_RDWR | O_CREAT, 0644));
        must(unlink(name));
        must_equal(write(fds[i], &i, sizeof i), sizeof i);
    }
    for (int i = 199, found; i >= 0; i--) {
        must_equal(pread(fds[i], &found, sizeof found, 0), sizeof found);
        must_equal(found, i);
        must(close(fds[i]));
    }
}

static const struct posix_case cases[] = {
    {"creates-with-mode", creates_with_mode},
    {"exclusive", exclusive},
    {"exclusive-race", exclusive_race},
    {"append-race", append_race},
    {"append-positions", append_positions},
    {"truncates", truncates},
    {"directories", directories},
    {"symlinks", symlinks},
    {"path-descriptors", path_descriptors},
    {"access-modes", access_modes},
    {"unlinked", unlinked},
    {"unlinked-by-descriptor", unlinked_is_not_found_by_descriptor},
    {"nameless", nameless},
    {"text-busy", text_busy},
    {"executes", executes},
    {"fifos", fifos},
    {"devices", devices},
    {"many-open-and-unlinked", many_open},
};

void posix_open(void) {
    posix_cases("open", cases, COUNT(cases));
}
