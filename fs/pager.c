#include "fs/pager.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/command.h"

#define WORDS_MAX 16

extern char **environ;

/* What ends this process while the pager runs. */
static const int deadly[] = {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define DEADLY_COUNT (sizeof deadly / sizeof deadly[0])

static struct {
    volatile sig_atomic_t pid;    /* 0: none */
    int stdout_copy, stderr_copy; /* what they were; stderr -1: left alone */
    struct sigaction before[DEADLY_COUNT];
    bool coloured;
} pager;

/* ---------------------------------------------------------------- starting */

/* The pager's command, or NULL for none. */
static const char *choose(void) {
    const char *command = getenv(PAGER_VARIABLE);
    if (!command)
        command = getenv("PAGER");
    if (!command)
        command = "less";
    return *command && strcmp(command, "cat") != 0 ? command : NULL;
}

/* Starts the command with `in` as its stdin. What needs no shell is started without, so that a program that is not there is seen at once.
 * Returns 0, or an errno. */
static int start(const char *command, int in, pid_t *pid) {
    static char shell[] = "sh", option[] = "-c";
    char *words[WORDS_MAX + 1] = {NULL}, *copy = strdup(command), *save = NULL;
    if (!copy)
        return ENOMEM;
    size_t count = 0;
    bool plain = strpbrk(command, "|&;<>()$`\\\"'*?[]#~=%!{}\n\t") == NULL;
    for (char *word = strtok_r(copy, " ", &save); plain && word; word = strtok_r(NULL, " ", &save)) {
        if (count == WORDS_MAX)
            plain = false;
        else
            words[count++] = word;
    }
    char *whole = NULL;
    if (!plain || count == 0) {
        whole = strdup(command);
        words[0] = shell;
        words[1] = option;
        words[2] = whole;
        words[3] = NULL;
    } else {
        words[count] = NULL;
    }

    posix_spawn_file_actions_t actions;
    int rc = !plain && !whole ? ENOMEM : posix_spawn_file_actions_init(&actions);
    if (rc == 0) {
        rc = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
        if (rc == 0)
            rc = posix_spawnp(pid, words[0], &actions, NULL, words, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
    }
    free(whole);
    free(copy);
    return rc;
}

/* ---------------------------------------------------------------- ending */

static void await(pid_t pid) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* Invariants 1 and 2. Only what may be called from a signal handler. */
static void on_signal(int number) {
    (void)close(STDOUT_FILENO);
    if (pager.stderr_copy >= 0)
        (void)close(STDERR_FILENO);
    await(pager.pid);
    if (number == SIGPIPE)
        _exit(EXIT_DONE);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void catch_signals(void) {
    /* Raised again in the handler, the signal must get through. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
    for (size_t i = 0; i < DEADLY_COUNT; i++) {
        (void)sigaction(deadly[i], NULL, &pager.before[i]);
        if (pager.before[i].sa_handler != SIG_IGN || deadly[i] == SIGPIPE)
            (void)sigaction(deadly[i], &action, NULL);
    }
}

static void release_signals(void) {
    for (size_t i = 0; i < DEADLY_COUNT; i++)
        (void)sigaction(deadly[i], &pager.before[i], NULL);
}

/* ---------------------------------------------------------------- the interface */

void pager_begin(bool wanted) {
    const char *command = choose();
    int ends[2];
    if (!wanted || pager.pid || !command || !isatty(STDOUT_FILENO))
        return;
    if (pipe2(ends, O_CLOEXEC))
        return;
    /* As git has them: F leaves what fits on the screen on it, R passes colours, X does not clear. */
    (void)setenv("LESS", "FRX", 0);
    (void)setenv("LV", "-c", 0);
    int stdout_copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int stderr_copy = isatty(STDERR_FILENO) ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : -1;
    pid_t pid = 0;
    (void)fflush(stdout);
    if (stdout_copy >= 0 && start(command, ends[0], &pid) == 0) {
        pager.stdout_copy = stdout_copy;
        pager.stderr_copy = stderr_copy;
        pager.pid = pid;
        (void)dup2(ends[1], STDOUT_FILENO);
        if (stderr_copy >= 0)
            (void)dup2(ends[1], STDERR_FILENO);
    } else {
        if (stdout_copy >= 0)
            (void)close(stdout_copy);
        if (stderr_copy >= 0)
            (void)close(stderr_copy);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    /* Not before: an end that is still open would keep the pager waiting for more. */
    if (pager.pid)
        catch_signals();
}

void pager_end(void) {
    if (!pager.pid)
        return;
    (void)fflush(stdout);
    (void)fflush(stderr);
    /* These are the last ends of the pipe: the pager now sees where the text ends. */
    (void)dup2(pager.stdout_copy, STDOUT_FILENO);
    (void)close(pager.stdout_copy);
    if (pager.stderr_copy >= 0) {
        (void)dup2(pager.stderr_copy, STDERR_FILENO);
        (void)close(pager.stderr_copy);
        pager.stderr_copy = -1;
    }
    await(pager.pid);
    pager.pid = 0;
    release_signals();
}

bool pager_is_terminal(void) {
    return pager.pid || isatty(STDOUT_FILENO);
}

void colour_init(enum colour_when when) {
    const char *terminal = getenv("TERM"), *none = getenv("NO_COLOR");
    pager.coloured = when == COLOUR_ALWAYS;
    if (when == COLOUR_AUTO)
        pager.coloured = pager_is_terminal() && !(none && *none) && (!terminal || strcmp(terminal, "dumb") != 0);
}

const char *colour(enum colour colour) {
    static const char *const sequences[COLOUR_KINDS] = {
        [COLOUR_NONE] = "\033[m",    [COLOUR_ADDED] = "\033[32m", [COLOUR_REMOVED] = "\033[31m",
        [COLOUR_HEADER] = "\033[1m", [COLOUR_HUNK] = "\033[36m",  [COLOUR_TID] = "\033[33m",
        [COLOUR_DIM] = "\033[2m",
    };
    assert(colour < COLOUR_KINDS);
    return pager.coloured ? sequences[colour] : "";
}
