/* /versions: the tree of all paths that ever led to something, path first.
 *
 *     /versions/dir/file/2026-11-22T103000.123456789Z
 *               ───────── ───────────────────────────
 *               a path    a version of it: the file as the transaction of that time left it
 *
 * Each name on a path is a directory here, whatever it led to. It lists the versions of the files and symlinks that the path led to, and
 * nothing of what is below it, so that programs that walk the mount come to nothing. Names below what was ever a directory are found by
 * lookup, and in what was ever a file so is every other <when>.
 *
 * Nothing is kept but the path (driver_nodes.h): what is known of it is asked each time, since it may have new versions. A version itself
 * is a NODE_FILE, for ever, as in the views.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/driver_private.h"
#include "history/past.h"
#include "store/tid.h"

#define CHECKED_MAX 4096 /* versions of directories that are looked at for who may enter */

size_t versions_name(uint64_t tid, char name[VERSION_NAME_SIZE]) {
    char text[TID_TIME_TEXT_SIZE];
    struct timespec time = tid_to_time(tid);
    uint64_t back;
    size_t length = 0;
    /* A tid of a day that does not exist (a clock that ran at the end of a month) is not found again by its time. */
    if (!tid_from_time(time, &back) || back != tid) {
        tid_format(tid, name);
        return strlen(name);
    }
    tid_format_time(time, text);
    for (const char *from = text; *from != '\0' && length < VERSION_NAME_SIZE - 1; from++) {
        if (*from != ':') { /* which some systems have no file names with */
            name[length++] = *from;
        }
    }
    name[length] = '\0';
    return length;
}

/* ---- paths ---- */

static char *join(const char *first, const char *second) {
    char *both;
    const char *slash = *first != '\0' && *second != '\0' ? "/" : "";
    return asprintf(&both, "%s%s%s", first, slash, second) < 0 ? NULL : both;
}

/* The path that a node stands for, from what the mount shows as the root, malloc'ed. */
static int own_path(struct driver *driver, const struct node *node, char **path) {
    if (node->table != 0) {
        return node_table_path(driver->nodes, node->table, path);
    }
    *path = strdup("");
    return *path == NULL ? -ENOMEM : 0;
}

/* What a path from there led to, up to now. -ENOENT: nothing, ever. */
static int load_names(struct driver *driver, const char *path, struct past_names *names) {
    char *full = join(driver->subdir, path);
    *names = (struct past_names){0};
    if (full == NULL) {
        return -ENOMEM;
    }
    int rc = past_names_load(driver->store, full, store_last(driver->store), names);
    free(full);
    return rc == STORE_ABSENT ? -ENOENT : rc < 0 ? -store_error_errno(rc) : 0;
}

static bool ever(const struct past_names *names, bool directory) {
    for (size_t i = 0; i < names->count; i++) {
        if (S_ISDIR(names->items[i].type) == directory) {
            return true;
        }
    }
    return false;
}

/* Has what was written before the question in the store. */
static int settle(struct driver *driver) {
    present_refresh(driver);
    return driver->head != NULL ? head_seal(driver->head, NULL, NULL, NULL) : 0;
}

static int directory_entry(struct driver *driver, const char *path, struct fuse_entry_param *entry) {
    uint64_t id;
    int rc = node_table_versions(driver->nodes, path, &id);
    if (rc != 0) {
        return rc;
    }
    const struct node node = {.kind = NODE_VERSIONS, .id = id, .table = id};
    /* What led to something once did so for ever. */
    *entry = (struct fuse_entry_param){.ino = id, .generation = 1, .attr_timeout = 0, .entry_timeout = FOREVER};
    rc = versions_getattr(driver, &node, &entry->attr);
    if (rc != 0) {
        node_table_forget(driver->nodes, id, 1);
    }
    return rc;
}

/* ---- attributes ---- */

/* Who may enter, when everybody may enter /versions: who might have entered each directory that the path ever led to. */
struct access {
    uid_t uid;
    gid_t gid;
    mode_t mode;
    bool any;
    size_t checked;
};

static int restrict_to(struct store *store, const struct inode_version *inode, uint64_t before, struct access *access) {
    const struct inode_record *record = &inode->record;
    mode_t mode = record->mode & 0777;
    struct xattrs_version *xattrs;
    /* Those whom an access list names stay out: it would have to be looked at for each of them. */
    int rc = record->has_xattrs ? store_xattrs(store, inode->oid, before, &xattrs) : STORE_ABSENT;
    if (rc == STORE_OK) {
        if (xattr_set_find(&xattrs->set, "system.posix_acl_access") != NULL) {
            mode &= 0700;
        }
        store_release(store, xattrs);
    } else if (rc != STORE_ABSENT) {
        return rc;
    }
    if (access->any && (access->uid != record->uid || access->gid != record->gid)) {
        /* Different owners at different times: what all of them, and all others, may. */
        mode &= (mode >> 3 & 0007) | 0770;
        mode_t everybody = mode & access->mode & (access->mode >> 3) & 0007;
        access->mode = everybody | everybody << 3 | everybody << 6;
        access->uid = 0;
        access->gid = 0;
    } else if (!access->any) {
        access->uid = record->uid;
        access->gid = record->gid;
    }
    access->any = true;
    access->mode &= mode;
    return STORE_OK;
}

static int check_name(struct store *store, const struct past_name *name, struct access *access) {
    uint64_t last = store_last(store), before = name->died <= last ? name->died : last + 1;
    int rc = STORE_OK;
    while (rc == STORE_OK && before > name->born && before > store_horizon(store)) {
        struct inode_version *inode;
        rc = store_inode(store, name->oid, before, &inode);
        if (rc == STORE_OK) {
            rc = access->checked++ < CHECKED_MAX ? restrict_to(store, inode, before, access) : STORE_TOO_BIG;
            before = inode->cached.from;
            store_release(store, inode);
        }
    }
    return rc;
}

static int set_access(struct driver *driver, const struct past_names *names, struct stat *stat) {
    struct access access = {.mode = 0555};
    int rc = STORE_OK;
    for (size_t i = 0; i < names->count && rc == STORE_OK; i++) {
        if (S_ISDIR(names->items[i].type)) {
            rc = check_name(driver->store, &names->items[i], &access);
        }
    }
    if (rc == STORE_TOO_BIG) {
        stat->st_mode = S_IFDIR | 0500; /* the mount's owner's alone */
        return 0;
    }
    if (rc == STORE_OK && access.any) {
        stat->st_mode = S_IFDIR | access.mode;
        stat->st_uid = access.uid;
        stat->st_gid = access.gid;
    }
    return rc < 0 ? -store_error_errno(rc) : 0;
}

/* The time of the newest transaction that changed what the path shows. */
static int set_times(struct driver *driver, const char *path, struct stat *stat) {
    struct past_walk *walk;
    struct transaction transaction;
    uint64_t seq;
    char *full = join(driver->subdir, path);
    if (full == NULL) {
        return -ENOMEM;
    }
    int rc = past_walk_open(driver->store, full, 1, UINT64_MAX - 1, false, &walk);
    free(full);
    if (rc == STORE_OK) {
        rc = past_walk_next_seq(walk, &seq);
        past_walk_close(walk);
    }
    if (rc == STORE_OK) {
        rc = storage_transaction_at(store_storage(driver->store), seq, &transaction);
    }
    if (rc == STORE_OK) {
        stat->st_mtim = stat->st_ctim = tid_to_time(transaction.tid);
        transaction_release(&transaction);
    }
    return rc < 0 ? -store_error_errno(rc) : 0;
}

/* The kernel asks whenever somebody passes through the directory or opens it, since permissions are among the answer; and by the time, which is that
 * of the newest version, it knows whether the listing that it kept is still right. */
int versions_getattr(struct driver *driver, const struct node *node, struct stat *stat) {
    struct past_names names;
    char *path;
    bool everybody = driver->shared && (driver->names_mode & 0001) != 0;
    names_getattr(driver, node, stat);
    if (node->table == 0 && !everybody) {
        return 0;
    }
    int rc = own_path(driver, node, &path);
    if (rc != 0) {
        return rc;
    }
    rc = load_names(driver, path, &names);
    if (rc == 0 && ever(&names, false)) {
        past_names_release(&names);
        rc = settle(driver);
        rc = rc != 0 ? rc : load_names(driver, path, &names);
        rc = rc != 0 ? rc : set_times(driver, path, stat);
    }
    if (rc == 0 && everybody) {
        rc = set_access(driver, &names, stat);
    }
    past_names_release(&names);
    free(path);
    return rc == -ENOENT ? -ESTALE : rc;
}

int versions_parent(struct driver *driver, const struct node *node, struct fuse_entry_param *entry) {
    struct node above;
    char *path;
    int rc = own_path(driver, node, &path);
    if (rc != 0) {
        return rc;
    }
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
        rc = directory_entry(driver, path, entry);
    } else {
        rc = driver_node(driver, *path == '\0' ? FUSE_ROOT_ID : VERSIONS_ID, &above);
        rc = rc != 0 ? rc : driver_entry(driver, &above, entry);
    }
    free(path);
    return rc;
}

/* ---- lookup ---- */

/* A version of what the path led to, as of any <when>. -ENOENT if it led to no file then. */
static int version_entry(struct driver *driver, const char *path, const char *name, size_t length,
                         struct fuse_entry_param *entry) {
    struct resolved resolved;
    struct view *view;
    struct view_attr attr;
    int rc = names_resolve(driver, name, length, RESOLVE_AT, &resolved);
    if (rc != 0) {
        return rc;
    }
    char *full = join(driver->subdir, path);
    if (full == NULL) {
        return -ENOMEM;
    }
    rc = driver_view(driver, resolved.before, &view);
    if (rc == 0) {
        rc = view_walk(view, full, &attr);
        view_pool_done(driver->pool, view);
    }
    free(full);
    if (rc == -ENOTDIR || (rc == 0 && S_ISDIR(attr.stat.st_mode))) {
        rc = -ENOENT;
    }
    if (rc == 0 && resolved.moving) {
        return names_symlink(driver, PLACE_VERSIONS, resolved.tid, entry);
    }
    if (rc == 0) {
        *entry = (struct fuse_entry_param){.ino = FILE_BIT | attr.revision,
                                           .generation = 1,
                                           .attr = attr.stat,
                                           .attr_timeout = FOREVER,
                                           .entry_timeout = resolved.settled ? FOREVER : 0};
    }
    return rc;
}

/* As of what is in the store now. */
static int find(struct driver *driver, const char *path, const char *name, size_t length,
                struct fuse_entry_param *entry) {
    struct past_names names = {0}, below = {0};
    char *child = NULL;
    int rc = load_names(driver, path, &names);
    if (rc != 0) {
        return rc;
    }
    bool file = ever(&names, false);
    rc = -ENOENT;
    if (ever(&names, true)) {
        child = join(path, name);
        rc = child == NULL ? -ENOMEM : load_names(driver, child, &below);
    }
    if (rc == 0) {
        rc = directory_entry(driver, child, entry);
    } else if (rc == -ENOENT && file) {
        rc = version_entry(driver, path, name, length, entry);
    }
    past_names_release(&below);
    past_names_release(&names);
    free(child);
    return rc;
}

int versions_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                    struct fuse_entry_param *entry) {
    char *path;
    int rc = own_path(driver, directory, &path);
    if (rc != 0) {
        return rc;
    }
    present_refresh(driver);
    rc = find(driver, path, name, length, entry);
    if (rc == -ENOENT && driver->head != NULL) {
        uint64_t last = store_last(driver->store); /* perhaps it was made just now */
        rc = settle(driver);
        if (rc == 0) {
            rc = store_last(driver->store) != last ? find(driver, path, name, length, entry) : -ENOENT;
        }
    }
    free(path);
    if (rc == -ENOENT) {
        *entry = (struct fuse_entry_param){.entry_timeout = 0};
        rc = 0;
    }
    return rc;
}

/* ---- listing ---- */

/* One that is lost or damaged has a name and nothing else: looking it up is an error. */
static int file_entry(struct driver *driver, const struct past_version *version, struct fuse_entry_param *entry) {
    struct view_attr attr;
    if (version->unknown != STORE_OK) {
        *entry = (struct fuse_entry_param){.attr = {.st_ino = version->oid, .st_mode = version->mode}};
        return 0;
    }
    int rc = view_file_getattr(driver->store, version->revision, &attr);
    if (rc == 0) {
        *entry = (struct fuse_entry_param){.ino = FILE_BIT | version->revision,
                                           .generation = 1,
                                           .attr = attr.stat,
                                           .attr_timeout = FOREVER,
                                           .entry_timeout = FOREVER};
    }
    return rc;
}

static int emit_all(struct driver *driver, struct past_walk *walk,
                    bool (*emit)(void *context, const char *name, const struct fuse_entry_param *entry,
                                 uint64_t position),
                    void *context) {
    struct past_version version;
    int rc, code;
    bool more = true;
    while (more && (code = past_walk_next(walk, &version)) != STORE_ABSENT) {
        char name[VERSION_NAME_SIZE];
        struct fuse_entry_param entry;
        if (code != STORE_OK) {
            return -store_error_errno(code);
        }
        rc = 0;
        if (version.oid != 0 && !S_ISDIR(version.mode)) {
            (void)versions_name(version.tid, name);
            rc = file_entry(driver, &version, &entry);
            more = rc == 0 && emit(context, name, &entry, version.seq);
        }
        past_version_release(&version);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int versions_list(struct driver *driver, const struct node *directory, uint64_t last,
                  bool (*emit)(void *context, const char *name, const struct fuse_entry_param *entry,
                               uint64_t position),
                  void *context) {
    struct past_names names = {0};
    struct past_walk *walk;
    char *path;
    if (directory->table == 0 || last == 0) {
        return 0;
    }
    int rc = own_path(driver, directory, &path);
    if (rc != 0) {
        return rc;
    }
    rc = settle(driver);
    rc = rc != 0 ? rc : load_names(driver, path, &names);
    char *full = rc == 0 && ever(&names, false) ? join(driver->subdir, path) : NULL;
    if (full != NULL) {
        int code = past_walk_open(driver->store, full, 1, last, false, &walk);
        rc = code < 0 ? -store_error_errno(code) : 0;
        if (code == STORE_OK) {
            rc = emit_all(driver, walk, emit, context);
            past_walk_close(walk);
        }
    } else if (rc == 0 && ever(&names, false)) {
        rc = -ENOMEM;
    }
    past_names_release(&names);
    free(full);
    free(path);
    return rc == -ENOENT ? -ESTALE : rc;
}
