/* What the driver makes up itself: the mount's root, README, and the names of views in /at and /before. (/versions: driver_versions.c.) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/driver_private.h"
#include "history/resolve.h"
#include "history/when.h"
#include "store/tid.h"

#define LISTED_MAX 21 /* `now`, and the 20 transactions before it */

static const char readme[] =
    "This is a tidfs mount: a filesystem that remembers.\n"
    "\n"
    "head/            the present; read and write it like any other directory\n"
    "at/WHEN/         everything as it was at WHEN, read-only\n"
    "before/WHEN/     the same, just before WHEN\n"
    "versions/PATH/   every version of the file PATH, named by its time\n"
    "\n"
    "WHEN is, in UTC unless it says otherwise:\n"
    "  2026-11-22T10:30:00.25+01:00   a date, as exact as you like: 2026, 2026-11, 2026-11-22T10\n"
    "  now, today, yesterday, -15m    relative: s, m, h, d or w ago\n"
    "  @1795343400                    seconds since 1970\n"
    "  release-1                      a tag, as made by `tidfs tag release-1`\n"
    "  03f8a3c100d2e4b7               a transaction, as shown by `tidfs log`\n"
    "  now~3, release-1^              that many transactions before any of these\n"
    "\n"
    "`ls -l at` shows the tags and the newest transactions; every other name works, too, without being listed. Names "
    "that\n"
    "move are symbolic links to a name that does not.\n"
    "\n"
    "What programs write becomes a transaction within about a second, and when they call fsync. To say so yourself:\n"
    "  tidfs commit -m 'what it is'\n"
    "To go back to an earlier state of a file or directory, copy it, which takes no space:\n"
    "  cp -a at/-2h/notes.txt head/\n"
    "To see what became of a file, deleted or not, and compare two of its versions:\n"
    "  ls -l versions/notes.txt\n"
    "  diff versions/notes.txt/-2h versions/notes.txt/now\n"
    "(What is below `versions` is not listed above a single file: give the path in full.)\n"
    "To go to where you are, two hours ago:\n"
    "  cd \"$(tidfs at -2h .)\"\n"
    "\n"
    "`man tidfs` has the rest.\n";

const char *names_readme(size_t *length) {
    *length = sizeof readme - 1;
    return readme;
}

void names_getattr(struct driver *driver, const struct node *node, struct stat *stat) {
    *stat = (struct stat){.st_ino = FIXED_INO | (node->id & (NODE_TABLE_LAST >> 4)),
                          .st_mode = S_IFDIR | driver->names_mode,
                          .st_nlink = 2,
                          .st_uid = driver->uid,
                          .st_gid = driver->gid,
                          .st_blksize = BLOCK_SIZE,
                          .st_atim = driver->started,
                          .st_mtim = driver->started,
                          .st_ctim = driver->started};
    switch (node->kind) {
    case NODE_TOP:
        stat->st_mode = S_IFDIR | 0555;
        stat->st_nlink = 6;
        break;
    case NODE_README:
        stat->st_mode = S_IFREG | 0444;
        stat->st_nlink = 1;
        stat->st_size = sizeof readme - 1;
        stat->st_blocks = (sizeof readme + 511) / 512;
        break;
    case NODE_SYMLINK:
        stat->st_mode = S_IFLNK | 0777;
        stat->st_nlink = 1;
        stat->st_size = TID_TEXT_SIZE - 1;
        if (node->place == PLACE_VERSIONS) {
            char name[VERSION_NAME_SIZE];
            stat->st_size = (off_t)versions_name(node->tid, name);
        }
        stat->st_mtim = stat->st_ctim = stat->st_atim = tid_to_time(node->tid);
        break;
    default:
        break;
    }
}

/* ---- lookup ---- */

static const struct {
    const char *name;
    uint32_t type;
    uint64_t id; /* 0: the head */
} top_names[] = {
    {"head", S_IFDIR, 0},           {"at", S_IFDIR, AT_ID},
    {"before", S_IFDIR, BEFORE_ID}, {"versions", S_IFDIR, VERSIONS_ID},
    {"README", S_IFREG, README_ID},
};
#define TOP_NAMES (sizeof top_names / sizeof *top_names)

static int top_lookup(struct driver *driver, const char *name, struct fuse_entry_param *entry) {
    for (size_t i = 0; i < TOP_NAMES; i++) {
        if (strcmp(name, top_names[i].name) == 0) {
            struct node node;
            uint64_t id = top_names[i].id != 0 ? top_names[i].id : HEAD_BIT | driver->head_root;
            int rc = driver_node(driver, id, &node);
            return rc != 0 ? rc : driver_entry(driver, &node, entry);
        }
    }
    *entry = (struct fuse_entry_param){.entry_timeout = FOREVER};
    return 0;
}

/* What was written before the question belongs to its answer. Without it `now` would be a lie, so that it is an error; which alone does not say
 * what still works, and is told once for all who meet it. */
static int seal_first(struct driver *driver) {
    int rc = head_seal(driver->head, NULL, NULL, NULL);
    int told = atomic_exchange(&driver->refused, rc);
    if (rc != 0 && told != rc) {
        log_write(
            driver->log, LOG_LEVEL_WARNING,
            "%s/at/now cannot be opened, as what is pending cannot be committed: %s; what was committed can, by tids, "
            "tags, and times up to the newest transaction",
            driver->mount_point, strerror(-rc));
    }
    return rc;
}

int names_resolve(struct driver *driver, const char *name, size_t length, enum resolve_how how,
                  struct resolved *resolved) {
    struct timespec now;
    struct when when;
    clock_gettime(CLOCK_REALTIME, &now);
    int rc = when_parse(name, length, now, &when, NULL);
    if (rc != STORE_OK) {
        return -ENOENT;
    }
    present_refresh(driver);
    if (driver->head != NULL && when.needs_seal) {
        rc = seal_first(driver);
        if (rc != 0) {
            return rc;
        }
    }
    rc = resolve_when(driver->store, &when, how, now, resolved, NULL);
    if (rc == STORE_OK && driver->head != NULL && !when.needs_seal && !resolved->moving && !resolved->settled) {
        /* A date after the last commit. What is pending gets a later tid, so that the date means the same for ever. */
        rc = seal_first(driver);
        if (rc != 0) {
            return rc;
        }
        rc = resolve_when(driver->store, &when, how, now, resolved, NULL);
    }
    return rc < 0 ? -resolve_errno(rc) : 0;
}

int names_symlink(struct driver *driver, enum node_place place, uint64_t tid, struct fuse_entry_param *entry) {
    uint64_t id;
    int rc = node_table_symlink(driver->nodes, place, tid, &id);
    if (rc != 0) {
        return rc;
    }
    struct node node = {.kind = NODE_SYMLINK, .id = id, .tid = tid, .place = place};
    *entry = (struct fuse_entry_param){.ino = id, .generation = 1, .attr_timeout = FOREVER, .entry_timeout = 0};
    names_getattr(driver, &node, &entry->attr);
    return 0;
}

static int view_entry(struct driver *driver, enum node_place place, const char *name, size_t length,
                      const struct resolved *resolved, struct fuse_entry_param *entry) {
    struct view *view;
    struct view_attr attr;
    uint64_t id;
    int rc = driver_view(driver, resolved->before, &view);
    if (rc != 0) {
        return rc;
    }
    rc = view_walk(view, driver->subdir, &attr);
    view_pool_done(driver->pool, view);
    if (rc == 0 && !S_ISDIR(attr.stat.st_mode)) {
        rc = -ENOTDIR;
    }
    if (rc != 0) {
        return rc == -ENOTDIR ? -ENOENT : rc; /* subdir was something else then */
    }
    rc = node_table_view(driver->nodes, place, name, length, resolved->before, attr.oid, &id);
    if (rc == 0) {
        *entry = (struct fuse_entry_param){.ino = id,
                                           .generation = 1,
                                           .attr = attr.stat,
                                           .attr_timeout = FOREVER,
                                           .entry_timeout = resolved->settled ? FOREVER : 0};
    }
    return rc;
}

int names_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                 struct fuse_entry_param *entry) {
    if (directory->kind == NODE_TOP) {
        return top_lookup(driver, name, entry);
    }
    bool at = directory->kind == NODE_AT;
    enum node_place place = at ? PLACE_AT : PLACE_BEFORE;
    struct resolved resolved;
    int rc = names_resolve(driver, name, length, at ? RESOLVE_AT : RESOLVE_BEFORE, &resolved);
    if (rc != 0) {
        return rc;
    }
    return resolved.moving ? names_symlink(driver, place, resolved.name, entry)
                           : view_entry(driver, place, name, length, &resolved, entry);
}

/* ---- listing ---- */

/* `now`, `now^`, `now~2` and so on stand for the newest transactions: their tids are directories, and a program that walks the mount would
 * enter those. */
static bool list_newest(struct driver *driver, uint64_t from,
                        bool (*emit)(void *context, const char *name, uint32_t type, uint64_t ino, uint64_t position),
                        void *context) {
    uint64_t last = store_last(driver->store);
    for (uint64_t steps = from; steps < LISTED_MAX && (steps == 0 || steps < last); steps++) {
        char name[16];
        (void)snprintf(name, sizeof name, steps == 0 ? "now" : "now~%u", (unsigned)steps);
        if (!emit(context, name, S_IFLNK, FIXED_INO | AT_ID, steps)) {
            return false;
        }
    }
    return true;
}

int names_list(struct driver *driver, const struct node *directory, uint64_t from,
               bool (*emit)(void *context, const char *name, uint32_t type, uint64_t ino, uint64_t position),
               void *context) {
    if (directory->kind == NODE_TOP) {
        for (uint64_t i = from; i < TOP_NAMES; i++) {
            uint64_t ino = top_names[i].id != 0 ? FIXED_INO | top_names[i].id : driver->head_root;
            if (!emit(context, top_names[i].name, top_names[i].type, ino, i)) {
                break;
            }
        }
        return 0;
    }
    if (directory->kind != NODE_AT) {
        return 0;
    }
    present_refresh(driver);
    if (!list_newest(driver, from, emit, context)) {
        return 0;
    }
    struct tag *tags;
    size_t count;
    int rc = storage_tag_list(store_storage(driver->store), &tags, &count);
    if (rc < 0 && rc != STORE_CORRUPT) { /* of damaged ones, which are in the log, looking them up tells */
        return -store_error_errno(rc);
    }
    for (size_t i = from > LISTED_MAX ? (size_t)(from - LISTED_MAX) : 0; i < count; i++) {
        /* Another one, which no tidfs has made, leads nowhere; nor could the kernel take every name. */
        if (when_tag_name_valid(tags[i].name) &&
            !emit(context, tags[i].name, S_IFLNK, FIXED_INO | AT_ID, LISTED_MAX + i)) {
            break;
        }
    }
    free(tags);
    return 0;
}
