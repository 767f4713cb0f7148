#include "fs/scratch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "store/repair.h"

/* What the other thread makes meanwhile is found the next time; into a directory that is gone it can make nothing. */
static void remove_all(const struct scratch *scratch) {
    int tries = 1000;
    do
        repair_remove_attempt(scratch->path);
    while (scratch->own && rmdir(scratch->path) < 0 && (errno == ENOTEMPTY || errno == EEXIST) && --tries > 0);
}

static void end_by(int number) {
    sigset_t set;
    (void)signal(number, SIG_DFL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)kill(getpid(), number);
}

static void *wait_for_signals(void *context) {
    struct scratch *scratch = context;
    struct pollfd files[] = {{.fd = scratch->signals, .events = POLLIN}, {.fd = scratch->stopped, .events = POLLIN}};
    struct signalfd_siginfo info;
    while (TEMP_FAILURE_RETRY(poll(files, 2, -1)) > 0 && files[1].revents == 0)
        if (read(scratch->signals, &info, sizeof info) == (ssize_t)sizeof info) {
            remove_all(scratch);
            end_by((int)info.ssi_signo);
        }
    return NULL;
}

static void choose_signals(sigset_t *set) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    (void)sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action;
        if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            (void)sigaddset(set, numbers[i]);
    }
}

static int make_directory(struct scratch *scratch, struct error *err) {
    const char *temporary = getenv("TMPDIR");
    if (!temporary || !*temporary)
        temporary = "/tmp";
    if (asprintf(&scratch->path, "%s/tidfs-repair.XXXXXX", temporary) < 0) {
        scratch->path = NULL;
        return error_set(err, STORE_NO_MEMORY, "cannot work in %s: out of memory", temporary);
    }
    scratch->own = mkdtemp(scratch->path) != NULL;
    return scratch->own
               ? STORE_OK
               : error_set(err, (enum store_error)store_error_from_errno(errno),
                           "cannot make a directory in %s: %s; set TMPDIR to another one", temporary, strerror(errno));
}

static int begin_waiting(struct scratch *scratch, const sigset_t *set, struct error *err) {
    scratch->stopped = eventfd(0, EFD_CLOEXEC);
    scratch->signals = signalfd(-1, set, SFD_CLOEXEC);
    int failed = scratch->stopped < 0 || scratch->signals < 0
                     ? errno
                     : pthread_create(&scratch->waiting, NULL, wait_for_signals, scratch);
    return failed == 0 ? STORE_OK
                       : error_set(err, (enum store_error)store_error_from_errno(failed), "cannot wait for signals: %s",
                                   strerror(failed));
}

static void release(struct scratch *scratch) {
    if (scratch->stopped >= 0)
        (void)close(scratch->stopped);
    if (scratch->signals >= 0)
        (void)close(scratch->signals);
    if (scratch->own)
        (void)rmdir(scratch->path);
    free(scratch->path);
}

/* Signals wait from before there is anything to remove. */
int scratch_begin(struct scratch *scratch, const char *store, struct error *err) {
    sigset_t set;
    *scratch = (struct scratch){.stopped = -1, .signals = -1};
    choose_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, &scratch->before);
    int rc = STORE_OK;
    if (store && !(scratch->path = strdup(store)))
        rc = error_set(err, STORE_NO_MEMORY, "no memory to repair %s", store);
    else if (!store)
        rc = make_directory(scratch, err);
    if (rc == STORE_OK)
        rc = begin_waiting(scratch, &set, err);
    if (rc != STORE_OK) {
        release(scratch);
        (void)pthread_sigmask(SIG_SETMASK, &scratch->before, NULL);
    }
    return rc;
}

void scratch_end(struct scratch *scratch) {
    const uint64_t one = 1;
    if (write(scratch->stopped, &one, sizeof one) == (ssize_t)sizeof one)
        (void)pthread_join(scratch->waiting, NULL);
    release(scratch);
    (void)pthread_sigmask(SIG_SETMASK, &scratch->before, NULL);
}
