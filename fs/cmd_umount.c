/* tidfs umount: returns when the store is durable and free. */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/live.h"
#include "fs/mount.h"
#include "fs/output.h"
#include "store/lock.h"

/* As umount(8) has them. */
#define UMOUNT_DENIED 1
#define UMOUNT_FAILED 32

#define WAIT_MS 10000 /* for the driver to end */
#define TICK_MS 100

/* What the last commit of a mount came to: an errno, 0 if it worked. *failed: no other will be tried, whatever is mended. */
static uint64_t last_refusal(const char *point, bool *failed) {
    struct control_status *status = calloc(1, sizeof *status);
    bool known = status != NULL && live_status(point, status, NULL) == 0;
    uint64_t refusal = known ? status->refusal : 0;
    *failed = known && status->failed != 0;
    free(status);
    return refusal;
}

/* Has everything sealed while somebody can still hear that it fails: unmounting itself would not say. */
static int seal(const char *point, struct error *err) {
    struct error why = {0};
    bool failed = false;
    int rc = live_seal(point, &why);
    if (rc == -EROFS && last_refusal(point, &failed) == 0) {
        /* Pages of history, changed through a mapping, that cannot be written back anywhere, and kept it from sealing. That is told once. */
        rc = live_seal(point, &why);
        if (rc == -EROFS && last_refusal(point, &failed) == 0) {
            return STORE_OK;
        }
    }
    if (rc != -ENOSPC && rc != -EDQUOT && rc != -EIO && rc != -ESTALE && rc != -EROFS && rc != -ENOMEM &&
        rc != -EBUSY) {
        return STORE_OK; /* sealed, or nothing that could be: not ours to look into */
    }
    (void)last_refusal(point, &failed);
    if (failed) {
        return error_set(
            err, STORE_IO,
            "%s; a commit failed for good, and what is pending is lost: unmount it with -l, and mount it again",
            why.text);
    }
    return error_set(err, STORE_IO, "%s; mend that and try again, or unmount it with -l, which loses what is pending",
                     why.text);
}

/* The driver of a writable mount, by the lock that it holds; 0 if there is none that we can tell. */
static pid_t find_driver(const char *store, const char *point) {
    struct lock_holder holder;
    pid_t pid = 0;
    if (writer_lock_holder(store, &holder) == STORE_OK) {
        if (strcmp(holder.mount_point, point) == 0) {
            pid = holder.pid;
        }
        lock_holder_release(&holder);
    }
    return pid;
}

/* Until the driver has ended: then the store can be mounted again at once, and the disk below it unmounted. A mount that lives on elsewhere
 * (in another mount namespace, say) would keep it for ever; everything is sealed, so that is no reason to wait. */
static void wait_for_driver(const char *store, const char *point, pid_t driver, int ended) {
    struct progress progress;
    progress_init(&progress, "waiting for the last transaction");
    struct pollfd source = {.fd = ended, .events = POLLIN};
    int waited_ms = 0;
    for (; waited_ms < WAIT_MS && poll(&source, 1, TICK_MS) == 0; waited_ms += TICK_MS) {
        progress_update(&progress, 0, 0);
    }
    progress_clear(&progress);
    if (waited_ms >= WAIT_MS) {
        output_error("umount: %s is unmounted and sealed, but still in use elsewhere (another mount namespace?): "
                     "process %ld goes on with %s",
                     point, (long)driver, store);
    }
}

static int refuse_stranger(const char *point, uid_t owner, struct error *err) {
    const struct passwd *user = getpwuid(owner);
    char number[24];
    (void)snprintf(number, sizeof number, "user %lu", (unsigned long)owner);
    return error_set(err, STORE_READ_ONLY, "%s was mounted by %s: they can unmount it, or root", point,
                     user ? user->pw_name : number);
}

static int unmount(const char *directory, bool lazy) {
    struct error err = {0};
    struct mounted mounted = {0};
    char *point = NULL;
    bool dead = false;
    int rc = mount_resolve(directory, &point, &dead, &err);
    if (rc == STORE_OK) {
        rc = mount_find(point, &mounted, &err);
        if (rc == STORE_ABSENT || (rc == STORE_OK && strcmp(mounted.type, MOUNT_TYPE) != 0)) {
            rc = error_set(&err, STORE_NOT_A_STORE, "%s is not a mount of tidfs", point);
        }
    }
    if (rc == STORE_OK && getuid() != 0 && mounted.owner != getuid()) {
        rc = refuse_stranger(point, mounted.owner, &err);
    }
    if (rc == STORE_OK && !dead && !lazy && !mounted.read_only) {
        rc = seal(point, &err);
    }
    if (rc == STORE_OK) {
        pid_t driver = mounted.read_only ? 0 : find_driver(mounted.source, point);
        int ended = driver != 0 ? (int)syscall(SYS_pidfd_open, driver, 0) : -1;
        rc = mount_detach(point, lazy || dead, &err);
        if (rc == STORE_OK && !lazy && ended >= 0) {
            wait_for_driver(mounted.source, point, driver, ended);
        }
        if (ended >= 0) {
            (void)close(ended);
        }
    }
    if (rc == STORE_LOCKED) {
        output_error("umount: %s: `fuser -vm %s` tells by whom; -l unmounts it once they are done", err.text, point);
    } else if (rc != STORE_OK) {
        output_error("umount: %s", err.text);
    }
    mounted_release(&mounted);
    free(point);
    return rc == STORE_OK ? EXIT_DONE : rc == STORE_READ_ONLY ? UMOUNT_DENIED : UMOUNT_FAILED;
}

int cmd_umount(int argc, char **argv) {
    static const struct option options[] = {{"lazy", no_argument, NULL, 'l'}, {0}};
    struct arguments arguments;
    bool lazy = false;
    int option;
    arguments_init(&arguments, argc, argv, "l", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        if (option != 'l') {
            return arguments.status;
        }
        lazy = true;
    }
    if (arguments.operand_count != 1) {
        return command_usage_error(argv[0], arguments.operand_count == 0 ? "which mount?" : "more than one directory");
    }
    return unmount(arguments.operands[0], lazy);
}
