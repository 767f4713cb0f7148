/* What the driver calls and tests/faults_inject.c does not stand in for. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tests/faults_inject.h"

int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags) {
    int code;
    if (inject_fails(INJECT_THREADS, "eventfd", &code)) {
        errno = code;
        return -1;
    }
    return __real_eventfd(value, flags);
}

int __real_signalfd(int fd, const sigset_t *signals, int flags);
int __wrap_signalfd(int fd, const sigset_t *signals, int flags);
int __wrap_signalfd(int fd, const sigset_t *signals, int flags) {
    int code;
    if (inject_fails(INJECT_THREADS, "signalfd", &code)) {
        errno = code;
        return -1;
    }
    return __real_signalfd(fd, signals, flags);
}

FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode) {
    int code;
    if (inject_fails(INJECT_LOOKS, "fopen", &code)) {
        errno = code;
        return NULL;
    }
    return __real_fopen64(path, mode);
}

/* Interrupted, which is all that can happen to them. */
int __real_poll(struct pollfd *sources, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *sources, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *sources, nfds_t count, int timeout) {
    int code;
    if (inject_fails(INJECT_THREADS, "poll", &code)) {
        errno = EINTR;
        return -1;
    }
    return __real_poll(sources, count, timeout);
}

ssize_t __real_write(int fd, const void *data, size_t length);
ssize_t __wrap_write(int fd, const void *data, size_t length);
ssize_t __wrap_write(int fd, const void *data, size_t length) {
    int code;
    if (inject_fails(INJECT_THREADS, "write", &code)) {
        errno = EINTR;
        return -1;
    }
    return __real_write(fd, data, length);
}

ssize_t __real_read(int fd, void *data, size_t length);
ssize_t __wrap_read(int fd, void *data, size_t length);
ssize_t __wrap_read(int fd, void *data, size_t length) {
    int code;
    if (inject_fails(INJECT_THREADS, "read", &code)) {
        errno = EINTR;
        return -1;
    }
    return __real_read(fd, data, length);
}
