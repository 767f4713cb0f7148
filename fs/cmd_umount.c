/* tidfs umount: returns when the store is durable and free. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/mount.h"
#include "fs/output.h"
#include "store/lock.h"

/* As umount(8) has them. */
#define UMOUNT_DENIED 1
#define UMOUNT_FAILED 32

/* Has the kernel write back what programs wrote, and says so if that fails: unmounting itself would not. That history refused something
 * loses nothing. */
static int flush(const char *point, struct error *err) {
    int directory = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) {
        return STORE_OK; /* not ours to look into; unmounting tells more */
    }
    int rc = STORE_OK;
    if (syncfs(directory) != 0 && errno != EROFS) {
        rc = error_set(err, STORE_IO,
                       "%s: some of what was written could not be written back: %s; the next try unmounts all the same",
                       point, strerror(errno));
    }
    (void)close(directory);
    return rc;
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

/* Until the driver has sealed what was pending and let go of the store. How long that takes is for the disk to say; a driver that dies
 * lets go, too. */
static void wait_for_driver(const char *store, const char *point, pid_t driver) {
    struct progress progress;
    progress_init(&progress, "waiting for the last transaction");
    while (driver != 0 && find_driver(store, point) == driver) {
        progress_update(&progress, 0, 0);
        nanosleep(&(struct timespec){.tv_nsec = 5 * 1000000}, NULL);
    }
    progress_clear(&progress);
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
    if (rc == STORE_OK && !dead) {
        rc = flush(point, &err);
    }
    if (rc == STORE_OK) {
        pid_t driver = mounted.read_only ? 0 : find_driver(mounted.source, point);
        rc = mount_detach(point, lazy || dead, &err);
        if (rc == STORE_OK && !lazy) {
            wait_for_driver(mounted.source, point, driver);
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
