/* The driver: answers the kernel's requests for one mount of one store.
 *
 *     driver_open ──▶ driver_mount ──▶ driver_run (until unmounted or told to stop) ──▶ driver_close
 *
 * fs/DRIVER.md shows how a read travels through it, and what the kernel is allowed to remember.
 *
 * What a mount shows
 *  - The root has /head, /at, /before and README. With options.at the root is that view itself, and nothing else is there.
 *  - options.subdir replaces the root of the tree everywhere: /head is that directory (the one that had this path when it was mounted, wherever it
 *    moves later), and /at/<when> is what had this path then; a view in which nothing had it, or no directory, is ENOENT.
 *  - options.follow: the root is the view that the tag `at` means now. What is open stays what it was.
 *
 * Threads: open, mount, run and close are called by one thread, which must have SIGTERM, SIGINT and SIGHUP blocked before driver_open, so that
 * every thread made later has them blocked; the driver takes them itself. SIGUSR1 is used inside the driver.
 * Errors: enum store_error, with a sentence.
 */
#ifndef TIDFS_FS_DRIVER_H
#define TIDFS_FS_DRIVER_H

#include "fs/config.h"
#include "store/log.h"

struct driver;

/* Opens the store and what is to be shown of it. `options` passed mount_options_check; it is not needed afterwards. mount_point is absolute and
 * is told to whoever else wants to write the store. `log` outlives the driver.
 * What store_open returns; STORE_ABSENT if subdir is no directory there; STORE_INVALID and STORE_PACKED if `at` cannot be shown. */
int driver_open(const char *directory, const char *mount_point, const struct mount_options *options, struct log *log,
                struct driver **driver, struct error *err);

/* Makes it appear at the mount point. Requests wait until driver_run. The options are those that driver_open got. */
int driver_mount(struct driver *driver, const struct mount_options *options, struct error *err);

/* Answers requests until the mount is gone or a signal asks to stop, and unmounts. Signals seal: whatever programs wrote before is in the store when
 * driver_close returns. `ready` is called once, by some thread, when the mount can be used. STORE_IO if it could not run. */
int driver_run(struct driver *driver, void (*ready)(void *context), void *context, struct error *err);

/* Unmounts, seals what is pending, and lets go of the store. STORE_IO if the last commit failed: what was pending is lost then.
 * NULL is legal. */
int driver_close(struct driver *driver, struct error *err);

/* Where the store is (absolute), and whether this mount writes it. */
const char *driver_store(const struct driver *driver);
bool driver_writable(const struct driver *driver);

#endif
