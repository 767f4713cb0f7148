/* Housekeeping: one thread for everything that must not run inside a request.
 *
 *  - It tells the kernel what to forget. A notification from inside a request can deadlock: the kernel may need the answer to that very
 *    request to carry it out. This thread holds no lock when it notifies.
 *  - It drops views that were idle for long enough, when they are due.
 *  - On a read-only mount it looks for what other processes commit, and for a tag that moved.
 *  - It answers what can be answered only after the kernel has written something back (driver_seek.c), or has forgotten what is not so any more
 *    (driver_restore.c).
 *  - It takes the signals that end the mount.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "fs/driver_private.h"
#include "fs/mount.h"

#define NS_PER_MS    UINT64_C(1000000)
#define HOUR_MS      3600000
#define NEVER        UINT64_MAX
#define PAGES_MAX    64
#define LISTINGS_MAX 2 /* /at, or the root that follows a tag */

/* A listing that the kernel must not keep. Its pages are filled after our answer, at a moment that we do not learn; so they are dropped after
 * a while, and again after longer ones in case that reader was slow. */
static const uint64_t listing_delays_ns[] = {20 * NS_PER_MS, 100 * NS_PER_MS, 1000 * NS_PER_MS, 10000 * NS_PER_MS};
#define LISTING_DELAYS (sizeof listing_delays_ns / sizeof *listing_delays_ns)

struct listing_due {
    fuse_ino_t id; /* 0: free */
    uint64_t read_ns;
    size_t step;
};

struct housekeeping {
    struct driver *driver;
    pthread_t thread, main;
    int wake, signals; /* eventfd, signalfd */
    atomic_bool stop;
    atomic_bool view_used; /* since the last sweep */
    pthread_mutex_t lock;  /* what follows */
    struct listing_due listings[LISTINGS_MAX];
    fuse_ino_t pages[PAGES_MAX];
    size_t page_count;
    uint64_t *changed;
    size_t changed_count;
    struct seek *seeks;        /* newest first */
    struct restored *restored; /* newest first */
    /* the thread's own */
    uint64_t root_table; /* of the root that the kernel knows */
    uint64_t poll_due_ns;
};

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

static void wake(struct housekeeping *keeping) {
    uint64_t one = 1;
    while (write(keeping->wake, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

/* ---- what requests ask for ---- */

void housekeeping_view_used(struct driver *driver) {
    struct housekeeping *keeping = driver->housekeeping;
    if (keeping != NULL && !atomic_load_explicit(&keeping->view_used, memory_order_relaxed) &&
        !atomic_exchange(&keeping->view_used, true)) {
        wake(keeping);
    }
}

void housekeeping_listed(struct driver *driver, fuse_ino_t id) {
    struct housekeeping *keeping = driver->housekeeping;
    struct listing_due *free_one = NULL;
    pthread_mutex_lock(&keeping->lock);
    for (size_t i = 0; i < LISTINGS_MAX; i++) {
        struct listing_due *listing = &keeping->listings[i];
        if (listing->id == id || (listing->id == 0 && free_one == NULL)) {
            free_one = listing;
        }
    }
    if (free_one != NULL) {
        *free_one = (struct listing_due){.id = id, .read_ns = now_ns()};
    }
    pthread_mutex_unlock(&keeping->lock);
    wake(keeping);
}

/* When more pages are wrong than there is room for, the rest is dropped when the kernel tries to write it again. */
void housekeeping_drop_pages(struct driver *driver, fuse_ino_t id) {
    struct housekeeping *keeping = driver->housekeeping;
    pthread_mutex_lock(&keeping->lock);
    bool known = false;
    for (size_t i = 0; i < keeping->page_count && !known; i++) {
        known = keeping->pages[i] == id;
    }
    if (!known && keeping->page_count < PAGES_MAX) {
        keeping->pages[keeping->page_count++] = id;
    }
    pthread_mutex_unlock(&keeping->lock);
    wake(keeping);
}

void housekeeping_seek(struct driver *driver, struct seek *seek) {
    struct housekeeping *keeping = driver->housekeeping;
    pthread_mutex_lock(&keeping->lock);
    seek->next = keeping->seeks;
    keeping->seeks = seek;
    pthread_mutex_unlock(&keeping->lock);
    wake(keeping);
}

void housekeeping_restored(struct driver *driver, struct restored *restored) {
    struct housekeeping *keeping = driver->housekeeping;
    pthread_mutex_lock(&keeping->lock);
    restored->next = keeping->restored;
    keeping->restored = restored;
    pthread_mutex_unlock(&keeping->lock);
    wake(keeping);
}

void housekeeping_changed(struct driver *driver, uint64_t *oids, size_t count) {
    struct housekeeping *keeping = driver->housekeeping;
    if (keeping == NULL) { /* the kernel knows nothing yet */
        free(oids);
        return;
    }
    pthread_mutex_lock(&keeping->lock);
    if (keeping->changed_count == 0) {
        keeping->changed = oids;
        keeping->changed_count = count;
        oids = NULL;
    } else {
        uint64_t *more = realloc(keeping->changed, (keeping->changed_count + count) * sizeof *more);
        if (more != NULL) { /* without memory the kernel learns of these when its time for them is up */
            memcpy(more + keeping->changed_count, oids, count * sizeof *more);
            keeping->changed = more;
            keeping->changed_count += count;
        }
    }
    pthread_mutex_unlock(&keeping->lock);
    free(oids);
    wake(keeping);
}

/* ---- what the thread does ---- */

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Drops the kernel's attributes, pages and listing of a node; one that it does not know is no error. */
static void invalidate(struct housekeeping *keeping, fuse_ino_t id) {
    if (!atomic_load(&keeping->stop)) {
        (void)fuse_lowlevel_notify_inval_inode(keeping->driver->session, id, 0, 0);
    }
}

/* Returns when the next listing is due. */
static uint64_t drop_listings(struct housekeeping *keeping) {
    fuse_ino_t due[LISTINGS_MAX];
    size_t count = 0;
    uint64_t now = now_ns(), next = NEVER;
    pthread_mutex_lock(&keeping->lock);
    for (size_t i = 0; i < LISTINGS_MAX; i++) {
        struct listing_due *listing = &keeping->listings[i];
        if (listing->id == 0) {
            continue;
        }
        if (listing->read_ns + listing_delays_ns[listing->step] <= now) {
            due[count++] = listing->id;
            if (++listing->step == LISTING_DELAYS) {
                listing->id = 0;
                continue;
            }
        }
        next = earlier(next, listing->read_ns + listing_delays_ns[listing->step]);
    }
    pthread_mutex_unlock(&keeping->lock);
    for (size_t i = 0; i < count; i++) {
        invalidate(keeping, due[i]);
    }
    return next;
}

static void drop_pages(struct housekeeping *keeping) {
    fuse_ino_t ids[PAGES_MAX];
    pthread_mutex_lock(&keeping->lock);
    size_t count = keeping->page_count;
    memcpy(ids, keeping->pages, count * sizeof *ids);
    keeping->page_count = 0;
    pthread_mutex_unlock(&keeping->lock);
    for (size_t i = 0; i < count; i++) {
        invalidate(keeping, ids[i]);
    }
}

static void answer_seeks(struct housekeeping *keeping) {
    pthread_mutex_lock(&keeping->lock);
    struct seek *seeks = keeping->seeks;
    keeping->seeks = NULL;
    pthread_mutex_unlock(&keeping->lock);
    for (struct seek *next; seeks != NULL; seeks = next) {
        next = seeks->next;
        seek_finish(keeping->driver, seeks, !atomic_load(&keeping->stop));
    }
}

static void answer_restored(struct housekeeping *keeping) {
    pthread_mutex_lock(&keeping->lock);
    struct restored *restored = keeping->restored;
    keeping->restored = NULL;
    pthread_mutex_unlock(&keeping->lock);
    for (struct restored *next; restored != NULL; restored = next) {
        next = restored->next;
        restored_finish(keeping->driver, restored, !atomic_load(&keeping->stop));
    }
}

static void drop_changed(struct housekeeping *keeping) {
    pthread_mutex_lock(&keeping->lock);
    uint64_t *changed = keeping->changed;
    size_t count = keeping->changed_count;
    keeping->changed = NULL;
    keeping->changed_count = 0;
    pthread_mutex_unlock(&keeping->lock);
    /* With a view as the root no object of the head is shown. */
    for (size_t i = 0; i < count && !keeping->driver->single_view; i++) {
        invalidate(keeping, HEAD_BIT | changed[i]);
    }
    free(changed);
}

/* Requests move the root, too; so what the kernel knows is compared, not what happened here. */
static void follow(struct housekeeping *keeping) {
    struct driver *driver = keeping->driver;
    bool moved;
    (void)driver_root_follow(driver, &moved); /* a tag that is gone leaves the root where it was */
    pthread_mutex_lock(&driver->root.lock);
    uint64_t table = driver->root.table;
    pthread_mutex_unlock(&driver->root.lock);
    if (table != keeping->root_table) {
        keeping->root_table = table;
        invalidate(keeping, FUSE_ROOT_ID);
    }
}

static uint64_t poll_store(struct housekeeping *keeping) {
    struct driver *driver = keeping->driver;
    if (driver->poll_ns == 0) {
        return NEVER;
    }
    uint64_t now = now_ns();
    if (now >= keeping->poll_due_ns) {
        present_refresh(driver);
        if (driver->tag != NULL) {
            follow(keeping);
        }
        keeping->poll_due_ns = now_ns() + driver->poll_ns;
    }
    return keeping->poll_due_ns;
}

static uint64_t sweep_views(struct housekeeping *keeping) {
    atomic_store(&keeping->view_used, false); /* first: a view that is used from now on wakes us again */
    uint64_t now = now_ns(), left = view_pool_sweep(keeping->driver->pool, now);
    if (left == NEVER) {
        return NEVER;
    }
    atomic_store(&keeping->view_used,
                 true); /* no need to wake us: what is idle from now on is due after we come again */
    return now + left;
}

static uint64_t do_what_is_due(struct housekeeping *keeping) {
    uint64_t next = poll_store(keeping);
    next = earlier(next, sweep_views(keeping));
    next = earlier(next, drop_listings(keeping));
    drop_pages(keeping);
    drop_changed(keeping);
    answer_seeks(keeping);
    answer_restored(keeping);
    return next;
}

/* ---- the end of a mount ---- */

/* Asked to stop. Unmounting makes the kernel write back what it holds, while requests are still answered; when the mount is in use that
 * is asked for by itself, and the mount is cut off from its users. */
static void end_mount(struct housekeeping *keeping, uint32_t signal_number) {
    struct driver *driver = keeping->driver;
    log_write(driver->log, LOG_LEVEL_INFO, "%s: stopping", strsignal((int)signal_number));
    if (mount_detach(driver->mount_point, false, NULL) != STORE_OK) {
        int directory = open(driver->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory >= 0) {
            if (syncfs(directory) != 0) {
                log_write(driver->log, LOG_LEVEL_ERROR, "%s: %s", driver->mount_point, strerror(errno));
            }
            close(directory);
        }
    }
    fuse_session_exit(driver->session);
    /* The loop waits for a semaphore and looks at the session only when a signal interrupts that. It may be just about to wait: so again. */
    while (!atomic_load(&keeping->stop)) {
        pthread_kill(keeping->main, SIGUSR1);
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000L}, NULL);
    }
}

static void *housekeeper(void *context) {
    struct housekeeping *keeping = context;
    struct pollfd sources[] = {{.fd = keeping->wake, .events = POLLIN}, {.fd = keeping->signals, .events = POLLIN}};
    while (!atomic_load(&keeping->stop)) {
        uint64_t next = do_what_is_due(keeping), now = now_ns();
        int timeout = -1;
        if (next != NEVER) {
            uint64_t ms = next > now ? (next - now) / NS_PER_MS + 1 : 0;
            timeout = ms < HOUR_MS ? (int)ms : HOUR_MS;
        }
        if (poll(sources, 2, timeout) < 0) {
            continue; /* interrupted */
        }
        uint64_t count;
        if (sources[0].revents & POLLIN && read(keeping->wake, &count, sizeof count) < 0 && errno != EAGAIN) {
            log_write(keeping->driver->log, LOG_LEVEL_ERROR, "housekeeping: %s", strerror(errno));
        }
        struct signalfd_siginfo info;
        if (sources[1].revents & POLLIN && read(keeping->signals, &info, sizeof info) == (ssize_t)sizeof info) {
            end_mount(keeping, info.ssi_signo);
        }
    }
    return NULL;
}

/* ---- starting and stopping ---- */

static void release(struct housekeeping *keeping) {
    if (keeping->wake >= 0) {
        close(keeping->wake);
    }
    if (keeping->signals >= 0) {
        close(keeping->signals);
    }
    free(keeping->changed);
    pthread_mutex_destroy(&keeping->lock);
    free(keeping);
}

int housekeeping_start(struct driver *driver, pthread_t main) {
    struct housekeeping *keeping = calloc(1, sizeof *keeping);
    if (keeping == NULL) {
        return -ENOMEM;
    }
    keeping->driver = driver;
    keeping->main = main;
    keeping->root_table = driver->root.table;
    int rc = pthread_mutex_init(&keeping->lock, NULL);
    if (rc != 0) {
        free(keeping);
        return -rc;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    keeping->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    keeping->signals = signalfd(-1, &signals, SFD_CLOEXEC);
    if (keeping->wake < 0 || keeping->signals < 0) {
        rc = errno;
        release(keeping);
        return -rc;
    }
    driver->housekeeping = keeping;
    rc = pthread_create(&keeping->thread, NULL, housekeeper, keeping);
    if (rc != 0) {
        driver->housekeeping = NULL;
        release(keeping);
    }
    return -rc;
}

void housekeeping_stop(struct driver *driver) {
    struct housekeeping *keeping = driver->housekeeping;
    atomic_store(&keeping->stop, true);
    wake(keeping);
    pthread_join(keeping->thread, NULL);
    answer_seeks(keeping); /* nobody hears it any more, but the requests are freed */
    answer_restored(keeping);
    driver->housekeeping = NULL;
    release(keeping);
}
