/* The options of a mount, and the places that they come from.
 *
 * Each place overrides those before it, option by option:
 *
 *     built-in  <  /etc/tidfs.conf  <  $XDG_CONFIG_HOME/tidfs/tidfs.conf or ~/.config/tidfs/tidfs.conf  <  -o, in order
 *
 * A configuration file has a line for each option: `name = value`, or the name alone for one that has no value. White space around
 * names and values does not count; empty lines, and what follows a # at the start of a line or after white space, are left out. Options
 * that name one mount (at, follow, subdir) belong to -o alone.
 *
 * Invariants
 *  1. An option that is not known is an error, never skipped, whatever place it comes from. Those that mount(8) and fstab use for
 *     themselves are known, and mean nothing here.
 *  2. Values are in the range that their option allows; what options mean together is for mount_options_check.
 *  3. Nothing here reads the environment or the clock.
 *
 * Threads: none; a struct mount_options belongs to its caller. Ownership: it owns its strings, except the constant ones in `kernel`.
 * Errors: enum store_error, with a sentence that names the option, and for a file its path and line.
 */
#ifndef TIDFS_FS_CONFIG_H
#define TIDFS_FS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/error.h"

#define MOUNT_OPTIONS_SYSTEM_FILE "/etc/tidfs.conf"

enum history_access {
    HISTORY_OWNER, /* /at, /before and /versions are for the mount's owner alone */
    HISTORY_ALL,
};

/* Options that the kernel keeps for the mount; the last one given of a group counts. */
enum kernel_group {
    KERNEL_SUID,
    KERNEL_DEV,
    KERNEL_EXEC,
    KERNEL_SYNC,
    KERNEL_DIRSYNC,
    KERNEL_ATIME,
    KERNEL_GROUP_COUNT,
};
#define KERNEL_TEXT_SIZE 64 /* all groups, their commas and NUL */

struct mount_options {
    bool read_only;  /* ro; see mount_options_read_only */
    bool read_write; /* a person asked for rw, and for no ro after that */
    char *at;        /* at=WHEN; NULL: the whole mount, with /head */
    bool follow;     /* move with the tag that `at` names */
    char *subdir;    /* subdir=PATH; NULL: the root */
    bool allow_other;
    enum history_access history; /* history=owner|all */
    bool writeback_cache;        /* writeback_cache, no_writeback_cache */
    bool ro_views;               /* ro_views, no_ro_views; see fs/mount_views.h */
    uint64_t commit_interval_ns; /* commit-interval */
    uint64_t dirty_limit_bytes;  /* dirty-limit */
    uint64_t cache_bytes;        /* cache-size */
    uint64_t pool_size;          /* historical-pool-size: idle views */
    uint64_t pool_timeout_ns;    /* historical-timeout */
    uint64_t pool_cache_bytes;   /* historical-cache-size; UINT64_MAX: not given; see mount_options_pool_cache_bytes */
    const char *kernel[KERNEL_GROUP_COUNT]; /* "nosuid" and so on; NULL: not given */
};

/* The built-in values. */
void mount_options_init(struct mount_options *options);
void mount_options_release(struct mount_options *options);

enum mount_options_source {
    SOURCE_COMMAND_LINE,
    /* As mount(8) runs its helpers: it always adds rw where ro is not asked for, so that rw says nothing there. */
    SOURCE_MOUNT_HELPER,
};

/* Applies a list as it is given to -o: `name,name=value,...`. In a value \, is a comma and \\ a backslash. Empty items are left out. On
 * an error the options before the wrong one have been applied. STORE_INVALID, STORE_TOO_BIG, STORE_NO_MEMORY. */
int mount_options_parse(struct mount_options *options, const char *list, enum mount_options_source source,
                        struct error *err);

/* Applies a configuration file. STORE_ABSENT if there is none; STORE_INVALID if it is no regular file, STORE_IO if it cannot be read, and as mount_options_parse. */
int mount_options_read_file(struct mount_options *options, const char *path, struct error *err);

/* Applies the system's file, then the user's; those that do not exist count as empty. xdg_config_home and home are those environment
 * variables' values, or NULL; a directory that is not absolute is as good as none. */
int mount_options_read_files(struct mount_options *options, const char *system_file, const char *xdg_config_home,
                             const char *home, struct error *err);

/* Whether the options make sense together, and `at` is a time: STORE_OK, or STORE_INVALID. `now` is the clock. To be called once, when
 * all places have been read. */
int mount_options_check(const struct mount_options *options, struct timespec now, struct error *err);

/* ro, or a view as the root, which can be nothing else. */
bool mount_options_read_only(const struct mount_options *options);

/* What views may use of the cache: what was asked for, but not more than there is; else half of it. */
uint64_t mount_options_pool_cache_bytes(const struct mount_options *options);

/* The options of `kernel`, joined by commas, as libfuse takes them; "" if none was given. */
void mount_options_kernel_text(const struct mount_options *options, char text[KERNEL_TEXT_SIZE]);

#endif
