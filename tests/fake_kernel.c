#include "tests/fake_kernel.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <fuse_log.h>

#define FIRST_UNIQUE 2 /* the lowest bit is for interrupts */
#define MESSAGE_MAX  (((size_t)1 << 20) + 65536)
#define ROOM         ((int)MESSAGE_MAX)

struct message {
    struct message *next;
    struct fake_reply reply;
};

struct fake_kernel {
    /* What the driver is to be opened with, until it has been, and what came of it. */
    const char *store;
    const struct mount_options *options;
    struct log *log;
    int driver_end;
    int opened, closed;
    struct error open_error, close_error;

    int fd; /* our end */
    pthread_t thread;
    struct fuse_init_out init_out;
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t read;  /* somebody has */
    bool reading;         /* somebody is */
    uint64_t next_unique;
    struct message *first, **end; /* read, and not claimed */
    uint8_t *buffer;              /* of whoever is reading; MESSAGE_MAX */
};

void fake_reply_release(struct fake_reply *reply) {
    free(reply->data);
    *reply = FAKE_REPLY_ZERO;
}

/* ---- sending ---- */

uint64_t fake_kernel_send(struct fake_kernel *kernel, const struct fake_request *request) {
    struct fuse_in_header header = {
        .opcode = request->opcode,
        .unique = request->unique,
        .nodeid = request->node,
        .uid = request->caller.uid,
        .gid = request->caller.gid,
        .pid = request->caller.pid,
    };
    struct iovec parts[1 + FAKE_PARTS_MAX] = {{&header, sizeof header}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 1};
    size_t length = sizeof header;
    for (size_t i = 0; i < FAKE_PARTS_MAX; i++) {
        if (request->parts[i].length > 0) {
            parts[message.msg_iovlen++] =
                (struct iovec){(void *)(uintptr_t)request->parts[i].data, request->parts[i].length};
            length += request->parts[i].length;
        }
    }
    header.len = request->length != 0 ? request->length : (uint32_t)length;
    if (header.unique == 0) {
        pthread_mutex_lock(&kernel->lock);
        header.unique = kernel->next_unique;
        kernel->next_unique += 2;
        pthread_mutex_unlock(&kernel->lock);
    }
    ssize_t sent;
    while ((sent = sendmsg(kernel->fd, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
    }
    return sent == (ssize_t)length ? header.unique : 0;
}

/* ---- receiving ---- */

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The next message; NULL if there is none until then, the driver is gone, or what came is none. */
static struct message *read_message(struct fake_kernel *kernel, int64_t until_ms) {
    struct pollfd source = {.fd = kernel->fd, .events = POLLIN};
    struct fuse_out_header header;
    int64_t left = until_ms - now_ms();
    int rc = poll(&source, 1, left > 0 ? (int)left : 0);
    if (rc == 0 || (rc < 0 && errno != EINTR)) {
        return NULL;
    }
    ssize_t got = rc < 0 ? -1 : recv(kernel->fd, kernel->buffer, MESSAGE_MAX, 0);
    if (got < (ssize_t)sizeof header) {
        return rc < 0 && now_ms() < until_ms ? read_message(kernel, until_ms) : NULL;
    }
    memcpy(&header, kernel->buffer, sizeof header);
    struct message *message = calloc(1, sizeof *message);
    if (message == NULL || header.len != (size_t)got) {
        free(message);
        return NULL;
    }
    struct fake_reply *reply = &message->reply;
    *reply = (struct fake_reply){.unique = header.unique, .error = header.error, .length = (size_t)got - sizeof header};
    reply->data = malloc(reply->length > 0 ? reply->length : 1);
    if (reply->data == NULL) {
        free(message);
        return NULL;
    }
    memcpy(reply->data, kernel->buffer + sizeof header, reply->length);
    return message;
}

/* Lock. */
static bool claim(struct fake_kernel *kernel, uint64_t unique, struct fake_reply *reply) {
    for (struct message **at = &kernel->first; *at != NULL; at = &(*at)->next) {
        struct message *message = *at;
        if (message->reply.unique == unique) {
            *reply = message->reply;
            *at = message->next;
            if (kernel->end == &message->next) {
                kernel->end = at;
            }
            free(message);
            return true;
        }
    }
    return false;
}

static void wait_for_reader(struct fake_kernel *kernel, int64_t until_ms) {
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    (void)pthread_cond_timedwait(&kernel->read, &kernel->lock, &until);
}

/* Whoever waits first reads for all. */
bool fake_kernel_wait(struct fake_kernel *kernel, uint64_t unique, int timeout_ms, struct fake_reply *reply) {
    int64_t until_ms = now_ms() + timeout_ms;
    bool found, ended = false;
    *reply = FAKE_REPLY_ZERO;
    pthread_mutex_lock(&kernel->lock);
    while (!(found = claim(kernel, unique, reply)) && !ended) {
        if (kernel->reading) {
            wait_for_reader(kernel, until_ms);
            ended = now_ms() > until_ms;
            continue;
        }
        kernel->reading = true;
        pthread_mutex_unlock(&kernel->lock);
        struct message *message = read_message(kernel, until_ms);
        pthread_mutex_lock(&kernel->lock);
        kernel->reading = false;
        pthread_cond_broadcast(&kernel->read);
        ended = message == NULL;
        if (message != NULL) {
            *kernel->end = message;
            kernel->end = &message->next;
        }
    }
    pthread_mutex_unlock(&kernel->lock);
    return found;
}

bool fake_kernel_claim(struct fake_kernel *kernel, struct fake_reply *reply) {
    pthread_mutex_lock(&kernel->lock);
    bool found = kernel->first != NULL && claim(kernel, kernel->first->reply.unique, reply);
    pthread_mutex_unlock(&kernel->lock);
    return found;
}

size_t fake_kernel_room(struct fake_kernel *kernel) {
    int room = 0;
    socklen_t length = sizeof room;
    (void)getsockopt(kernel->fd, SOL_SOCKET, SO_SNDBUF, &room, &length);
    return (size_t)room < MESSAGE_MAX + 4096 ? (size_t)room - 4096 : MESSAGE_MAX;
}

int fake_kernel_ask(struct fake_kernel *kernel, const struct fake_request *request, struct fake_reply *reply) {
    struct fake_reply got = FAKE_REPLY_ZERO;
    uint64_t unique = fake_kernel_send(kernel, request);
    int rc = unique != 0 && fake_kernel_wait(kernel, unique, FAKE_PATIENCE, &got) ? got.error : FAKE_NO_REPLY;
    if (reply != NULL) {
        *reply = got;
    } else {
        fake_reply_release(&got);
    }
    return rc;
}

/* ---- beginning and end ---- */

/* The kernel's part of the agreement, as Linux 6 has it. */
static bool say_init(struct fake_kernel *kernel, uint32_t without) {
    const struct fuse_init_in in = {
        .major = FUSE_KERNEL_VERSION,
        .minor = FUSE_KERNEL_MINOR_VERSION,
        .max_readahead = 128 * 1024,
        .flags =
            (FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES |
             FUSE_DONT_MASK | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE | FUSE_SPLICE_READ | FUSE_FLOCK_LOCKS |
             FUSE_HAS_IOCTL_DIR | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
             FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV |
             FUSE_POSIX_ACL | FUSE_ABORT_ERROR | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT |
             FUSE_EXPLICIT_INVAL_DATA | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT) &
            ~without,
    };
    struct fake_reply reply;
    int rc = fake_kernel_ask(kernel, &(struct fake_request){.opcode = FUSE_INIT, .parts = {{&in, sizeof in}}}, &reply);
    bool agreed = rc == 0 && reply.length == sizeof kernel->init_out;
    if (agreed) {
        memcpy(&kernel->init_out, reply.data, sizeof kernel->init_out);
    }
    fake_reply_release(&reply);
    return agreed;
}

/* All that a driver's own process does, in one thread. */
static void *run(void *context) {
    struct fake_kernel *kernel = context;
    struct driver *driver = NULL;
    struct error err;
    char point[32];
    (void)snprintf(point, sizeof point, "/dev/fd/%d", kernel->driver_end); /* for libfuse that is an open /dev/fuse */
    kernel->opened = driver_open(kernel->store, point, kernel->options, kernel->log, &driver, &kernel->open_error);
    if (kernel->opened == STORE_OK) {
        kernel->opened = driver_mount(driver, kernel->options, &kernel->open_error);
    }
    if (kernel->opened != STORE_OK) {
        close(kernel->driver_end);
    } else {
        kernel->opened = driver_run(driver, NULL, NULL, &kernel->open_error);
    }
    (void)shutdown(kernel->fd, SHUT_RDWR); /* whoever waits for a reply waits in vain */
    kernel->closed = driver_close(driver, &err);
    if (kernel->closed != STORE_OK) {
        kernel->close_error = err;
    }
    return NULL;
}

static void release(struct fake_kernel *kernel) {
    while (kernel->first != NULL) {
        struct message *message = kernel->first;
        kernel->first = message->next;
        fake_reply_release(&message->reply);
        free(message);
    }
    if (kernel->fd >= 0) {
        close(kernel->fd);
    }
    free(kernel->buffer);
    pthread_cond_destroy(&kernel->read);
    pthread_mutex_destroy(&kernel->lock);
    free(kernel);
}

static struct fake_kernel *kernel_new(void) {
    struct fake_kernel *kernel = calloc(1, sizeof *kernel);
    pthread_condattr_t monotonic;
    int ends[2], room = ROOM;
    if (kernel == NULL) {
        return NULL;
    }
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&kernel->lock, NULL);
    pthread_cond_init(&kernel->read, &monotonic);
    pthread_condattr_destroy(&monotonic);
    kernel->fd = -1;
    kernel->opened = kernel->closed = STORE_OK;
    kernel->next_unique = FIRST_UNIQUE;
    kernel->end = &kernel->first;
    kernel->buffer = malloc(MESSAGE_MAX);
    if (kernel->buffer == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        release(kernel);
        return NULL;
    }
    for (size_t i = 0; i < 2; i++) {
        /* A reply that does not fit does not arrive. Who is not root gets less. */
        if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0) {
            (void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        }
    }
    kernel->fd = ends[0];
    kernel->driver_end = ends[1];
    return kernel;
}

/* The threads of the driver get none of the signals that it wants to read, nor SIGPIPE, which /dev/fuse does not send. */
static void block_signals(sigset_t *old) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &signals, old);
}

/* libfuse says of each mount that it read nothing, which is how one ends here. */
static void say_nothing(enum fuse_log_level level, const char *format, va_list arguments) {
    (void)level;
    (void)format;
    (void)arguments;
}

int fake_kernel_start(const char *store, const struct mount_options *options, struct log *log, uint32_t without,
                      struct fake_kernel **result, struct error *err) {
    sigset_t old;
    struct fake_kernel *kernel = kernel_new();
    if (kernel == NULL) {
        return error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    kernel->store = store;
    kernel->options = options;
    kernel->log = log;
    fuse_set_log_func(say_nothing);
    block_signals(&old);
    int rc = pthread_create(&kernel->thread, NULL, run, kernel);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        close(kernel->driver_end);
        release(kernel);
        return error_set(err, STORE_NO_MEMORY, "no thread");
    }
    if (say_init(kernel, without)) {
        *result = kernel;
        return STORE_OK;
    }
    pthread_join(kernel->thread, NULL);
    *err = kernel->open_error;
    rc = kernel->opened != STORE_OK ? kernel->opened : error_set(err, STORE_IO, "no answer to FUSE_INIT");
    release(kernel);
    return rc;
}

int fake_kernel_stop(struct fake_kernel *kernel, struct error *err) {
    if (kernel == NULL) {
        return STORE_OK;
    }
    (void)shutdown(kernel->fd, SHUT_RDWR);
    pthread_join(kernel->thread, NULL);
    int rc = kernel->closed;
    if (rc != STORE_OK && err != NULL) {
        *err = kernel->close_error;
    }
    release(kernel);
    return rc;
}

const struct fuse_init_out *fake_kernel_init_out(const struct fake_kernel *kernel) {
    return &kernel->init_out;
}
