/* Fuzzes what the command line takes in: words, paths, the table of mounts, and what mounts answer. The first byte of an input says what the rest is:
 *     w  the words of a command, one a line: it is run. A zero byte ends them; behind it is what the kernel says is mounted (as /proc/self/mountinfo), and behind
 *        another one what each mount answers when it is asked
 *     c  the same, of words to complete
 *     p  a path
 *     l  the text of a store's lock, while somebody holds that
 * A byte 1 in words and mounts stands for the path of a small store (tests/hostile.h), which nobody may write; a symlink "link" to it lies beside it. No command is
 * left out but those that make stores and mounts.
 *
 * Calls of the project's own that would reach the machine come here instead: what is read of files, ioctls, and the writer's lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/command.h"
#include "fs/completion.h"
#include "fs/control.h"
#include "fs/locate.h"
#include "fs/real_path.h"
#include "store/lock.h"
#include "tests/hostile.h"

#define WORDS_MAX 24
#define STORE     '\1'

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

FILE *__wrap_fopen64(const char *path, const char *mode);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, void *argument);
int __wrap_syncfs(int fd);
int __wrap_writer_lock_acquire(const char *directory, const char *mount_point, struct writer_lock **lock,
                               struct error *err);
int __real_open64(const char *path, int flags, ...);
int __real_writer_lock_acquire(const char *directory, const char *mount_point, struct writer_lock **lock,
                               struct error *err);

struct bytes {
    const uint8_t *data;
    size_t size;
};

/* Of this process, and of the input that it tries. */
static struct {
    char base[64], store[80];
    char locked[80];  /* a directory, whose lock is held */
    int lock;         /* its file */
    bool made;        /* the store is */
    char **arguments; /* of the program, with ours; held to the end */
    struct bytes mounts, answers;
} run;

/* ---- what is stood in for ---- */

FILE *__wrap_fopen64(const char *path, const char *mode) {
    if (strcmp(path, "/proc/self/mountinfo") == 0)
        return fmemopen((void *)(uintptr_t)run.mounts.data, run.mounts.size, mode);
    errno = ENOENT;
    return NULL;
}

/* A mount point is anywhere, and always there. */
int __wrap_open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
    va_end(arguments);
    bool mount = (flags & O_DIRECTORY) != 0 && strncmp(path, run.base, strlen(run.base)) != 0;
    return mount ? __real_open64(".", flags) : __real_open64(path, flags, mode);
}

/* The answers begin anew for each question, after a byte for the error. */
int __wrap_ioctl(int fd, unsigned long request, void *argument) {
    size_t room = _IOC_SIZE(request);
    (void)fd;
    if (run.answers.size == 0 || run.answers.data[0] >= 128) {
        errno = run.answers.size == 0 ? ENOTTY : run.answers.data[0] - 128;
        return -1;
    }
    uint8_t *to = argument;
    for (size_t i = 0; i < room; i++)
        to[i] = run.answers.data[i % run.answers.size];
    /* Half of the mounts show what the store's path leads to, as far as they tell. */
    if (request == CONTROL_STATUS && run.answers.data[0] % 2 == 0)
        ((struct control_status *)argument)->store_inode = 0;
    return 0;
}

int __wrap_syncfs(int fd) {
    (void)fd;
    return 0;
}

int __wrap_writer_lock_acquire(const char *directory, const char *mount_point, struct writer_lock **lock,
                               struct error *err) {
    if (!run.made)
        return __real_writer_lock_acquire(directory, mount_point, lock, err);
    return error_set(err, STORE_LOCKED, "%s is not to be written", directory);
}

/* ---- words ---- */

/* The bytes up to the next zero, which is taken away too. */
static struct bytes take_part(struct bytes *input) {
    const uint8_t *end = input->size > 0 ? memchr(input->data, 0, input->size) : NULL;
    struct bytes part = {input->data, end ? (size_t)(end - input->data) : input->size};
    size_t taken = part.size + (end != NULL);
    input->data += taken;
    input->size -= taken;
    return part;
}

/* malloc'ed, with the store's path where that is meant. */
static char *copy_text(struct bytes bytes) {
    size_t stores = 0, length = strlen(run.store);
    for (size_t i = 0; i < bytes.size; i++)
        stores += bytes.data[i] == STORE;
    char *text = malloc(bytes.size + stores * length + 1), *to = text;
    hostile_require(text != NULL, "there is memory");
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] == STORE)
            to = mempcpy(to, run.store, length);
        else
            *to++ = (char)bytes.data[i];
    }
    *to = '\0';
    return text;
}

/* What is offered continues what was typed, one a line. */
static void expect_offers(const char *text, const char *typed) {
    static const char *const which[] = {":files ", ":directories "};
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        hostile_require(strchr(line, '\n') != NULL, "a line ends");
        if (line[0] == ':' && typed[0] == ':')
            continue; /* it may be either */
        if (line[0] != ':') {
            hostile_require(strncmp(line, typed, strlen(typed)) == 0, "what is offered continues the word");
            hostile_require(memchr(line + strlen(typed), '\t', strcspn(line + strlen(typed), "\n")) != NULL,
                            "and is explained");
            continue;
        }
        const char *name = strncmp(line, which[0], strlen(which[0])) == 0 ? which[0] : which[1];
        hostile_require(strncmp(line, name, strlen(name)) == 0, "paths are of a kind");
        line += strlen(name);
        hostile_require(strncmp(line, typed, strcspn(line, "\n")) == 0, "the prefix is the word's");
    }
}

static void complete(int count, char **words) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    hostile_require(out != NULL, "there is memory");
    completion_print(out, count, words);
    hostile_require(fclose(out) == 0 && strlen(text) == size, "what is offered is text");
    expect_offers(text, words[count - 1]);
    free(text);
}

static void run_command(int count, char **words) {
    static const char *const left_out[] = {"init", "mount", "umount"};
    const struct command *command = command_find(words[0]);
    if (!command) {
        (void)command_suggest(words[0]);
        return;
    }
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++)
        if (strcmp(command->name, left_out[i]) == 0)
            return;
    int status = command->run(count, words);
    hostile_require(
        status == EXIT_DONE || status == EXIT_FAILED || status == command->usage_status ||
            (command->run == cmd_diff && status == EXIT_TROUBLE) ||
            (command->run == cmd_verify && (status == EXIT_VERIFY_ERRORS || status == EXIT_VERIFY_OPERATIONAL)),
        "a command ends as it says it does");
}

static void fuzz_words(struct bytes input, bool completed) {
    char *words[WORDS_MAX + 1] = {0}, *rest = NULL;
    int count = 0;
    char *text = copy_text(take_part(&input)), *mounts = copy_text(take_part(&input));
    run.mounts = (struct bytes){(const uint8_t *)mounts, strlen(mounts)};
    run.answers = input;
    for (char *word = strtok_r(text, "\n", &rest); word && count < WORDS_MAX; word = strtok_r(NULL, "\n", &rest))
        words[count++] = word;
    if (count > 0 && completed)
        complete(count, words);
    else if (count > 0)
        run_command(count, words);
    free(text);
    free(mounts);
}

/* ---- paths ---- */

static void expect_plain(const char *path, const char *what) {
    for (const char *name = path; *name;) {
        size_t length = strcspn(name, "/");
        hostile_require(length > 0 && strncmp(name, ".", length) != 0 && (length != 2 || memcmp(name, "..", 2) != 0),
                        what);
        name += length;
        hostile_require(*name == '\0' || name[1] != '\0', what);
        name += *name == '/';
    }
}

static int choose_rule(void *context, const char *directory, struct error *err) {
    (void)err;
    hostile_require(directory[0] == '/', "a directory is absolute");
    expect_plain(directory + 1, "a directory is plain");
    return *(int *)context;
}

static void fuzz_path(struct bytes input) {
    char *path = copy_text(input), *real = NULL, *again = NULL;
    struct location location = {0};
    struct error err = {0};
    hostile_require(location_set_path(&location, path) == STORE_OK, "there is memory");
    expect_plain(location.path, "a place is plain");
    char *first = strdup(location.path);
    hostile_require(first != NULL && location_set_path(&location, first) == STORE_OK, "there is memory");
    hostile_require(strcmp(location.path, first) == 0, "a plain place is itself");
    location_release(&location);
    free(first);
    for (int rule = REAL_PATH_FOLLOW; rule <= REAL_PATH_BY_NAME; rule++) {
        if (real_path(run.base, path, choose_rule, &rule, &real, &err) != STORE_OK) {
            hostile_require(real == NULL && err.code != STORE_OK && strlen(err.text) > 0, "a refusal has a reason");
            continue;
        }
        int by_name = REAL_PATH_BY_NAME;
        hostile_require(real[0] == '/', "a real path is absolute");
        expect_plain(real + 1, "a real path is plain");
        hostile_require(real_path("/", real, choose_rule, &by_name, &again, &err) == STORE_OK, "a real path is one");
        hostile_require(strcmp(real, again) == 0, "a real path is itself");
        free(real);
        free(again);
    }
    free(path);
}

/* ---- the lock ---- */

static void fuzz_lock(struct bytes input) {
    struct lock_holder holder = {0};
    struct writer_lock *lock = NULL;
    struct error err = {0};
    hostile_require(pwrite(run.lock, input.data, input.size, 0) == (ssize_t)input.size &&
                        ftruncate(run.lock, (off_t)input.size) == 0,
                    "the lock can be written");
    hostile_require(writer_lock_holder(run.locked, &holder) == STORE_OK && holder.mount_point != NULL,
                    "somebody holds it");
    hostile_require(holder.pid > 0 || (holder.pid == 0 && holder.mount_point[0] == '\0'), "who is not known is nobody");
    if (holder.pid > 0) {
        char text[32];
        (void)snprintf(text, sizeof text, "%ld\n", (long)holder.pid);
        hostile_require(memmem(input.data, input.size, text, strlen(text)) != NULL, "who it is stands there");
        hostile_require(memmem(input.data, input.size, holder.mount_point, strlen(holder.mount_point)) != NULL,
                        "and so does where");
    }
    lock_holder_release(&holder);
    hostile_require(__real_writer_lock_acquire(run.locked, "", &lock, &err) == STORE_LOCKED && lock == NULL &&
                        strlen(err.text) > 10,
                    "and keeps others out");
    hostile_require(reader_lock_check(run.locked, &err) == STORE_OK, "and is no reader");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    struct bytes input = {data + 1, size - 1};
    switch (data[0]) {
    case 'p':
        fuzz_path(input);
        return 0;
    case 'l':
        fuzz_lock(input);
        return 0;
    default:
        fuzz_words(input, data[0] != 'w');
        return 0;
    }
}

/* ---- beginning and end ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void end_all(void) {
    (void)close(run.lock);
    if (nftw(run.base, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        (void)fprintf(stderr, "%s stays\n", run.base);
}

/* What commands say goes nowhere; the option stands before those of the command line, which count more. */
static void say_nothing(int *argc, char ***argv) {
    static char option[] = "-close_fd_mask=3";
    char **given = calloc((size_t)*argc + 2, sizeof *given);
    hostile_require(given != NULL, "there is memory");
    given[0] = (*argv)[0];
    given[1] = option;
    memcpy(given + 2, *argv + 1, (size_t)(*argc - 1) * sizeof *given);
    run.arguments = *argv = given;
    ++*argc;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[128];
    say_nothing(argc, argv);
    (void)snprintf(run.base, sizeof run.base, "%s/fuzz_command.XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    hostile_require(mkdtemp(run.base) != NULL, "there is a place");
    (void)snprintf(run.store, sizeof run.store, "%s/store", run.base);
    hostile_make_base(run.store);
    run.made = true;
    (void)snprintf(path, sizeof path, "%s/link", run.base);
    hostile_require(symlink(run.store, path) == 0, "there is a symlink");
    (void)snprintf(run.locked, sizeof run.locked, "%s/locked", run.base);
    hostile_require(mkdir(run.locked, 0700) == 0, "there is a directory");
    (void)snprintf(path, sizeof path, "%s/" LOCK_FILE, run.locked);
    run.lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    hostile_require(run.lock >= 0 && fcntl(run.lock, F_OFD_SETLK, &whole) == 0, "it is locked");
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    hostile_require(nothing >= 0 && dup2(nothing, STDIN_FILENO) == STDIN_FILENO && close(nothing) == 0,
                    "none is asked");
    hostile_require(atexit(end_all) == 0, "it is removed in the end");
    return 0;
}
