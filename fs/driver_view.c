/* Directories of views and versions of files: what never changes. And the view that is a whole mount's root, which may move. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/driver_private.h"
#include "history/resolve.h"

int view_entry_set(struct driver *driver, const struct node *directory, const struct view_attr *attr,
                   struct fuse_entry_param *entry) {
    *entry = (struct fuse_entry_param){.ino = FILE_BIT | attr->revision,
                                       .generation = 1,
                                       .attr = attr->stat,
                                       .attr_timeout = FOREVER,
                                       .entry_timeout = directory->moves ? 0 : FOREVER};
    if (!S_ISDIR(attr->stat.st_mode)) {
        return 0;
    }
    uint64_t id;
    int rc = node_table_directory(driver->nodes, directory->table, attr->oid, &id);
    entry->ino = id;
    return rc;
}

int view_node_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                     struct fuse_entry_param *entry) {
    struct view *view;
    struct view_attr attr;
    int rc = driver_view(driver, directory->before, &view);
    if (rc != 0) {
        return rc;
    }
    rc = view_lookup(view, directory->oid, name, length, &attr);
    view_pool_done(driver->pool, view);
    if (rc == 0) {
        return view_entry_set(driver, directory, &attr, entry);
    }
    if (rc == -ENOENT) {
        *entry = (struct fuse_entry_param){.entry_timeout = directory->moves ? 0 : FOREVER};
        rc = 0;
    }
    return rc;
}

int view_node_getattr(struct driver *driver, const struct node *node, struct stat *stat) {
    struct view_attr attr = {0};
    int rc;
    if (node->kind == NODE_FILE) {
        rc = view_file_getattr(driver->store, node->revision, &attr);
    } else {
        struct view *view;
        rc = driver_view(driver, node->before, &view);
        if (rc == 0) {
            rc = view_getattr(view, node->oid, &attr);
            view_pool_done(driver->pool, view);
        }
    }
    if (rc == 0) {
        *stat = attr.stat;
    }
    return rc;
}

/* ---- a view as the mount's root ---- */

int driver_root_set(struct driver *driver, uint64_t before, uint64_t tid, bool *moved) {
    struct root_view *root = &driver->root;
    struct view *view;
    struct view_attr attr;
    uint64_t table;
    int rc = driver_view(driver, before, &view);
    if (rc != 0) {
        return rc;
    }
    rc = view_walk(view, driver->subdir, &attr);
    view_pool_done(driver->pool, view);
    if (rc == 0 && !S_ISDIR(attr.stat.st_mode)) {
        rc = -ENOTDIR;
    }
    if (rc == 0) {
        rc = node_table_view(driver->nodes, PLACE_ROOT, "", 0, before, attr.oid, &table);
    }
    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&root->lock);
    uint64_t old = root->table;
    root->before = before;
    root->tid = tid;
    root->table = table;
    pthread_mutex_unlock(&root->lock);
    if (moved != NULL) {
        *moved = old != table;
    }
    if (old != 0) {
        node_table_forget(driver->nodes, old, 1);
    }
    return 0;
}

int driver_root_follow(struct driver *driver, bool *moved) {
    *moved = false;
    if (driver->tag == NULL) {
        return 0;
    }
    present_refresh(driver);
    struct timespec now;
    struct resolved resolved;
    clock_gettime(CLOCK_REALTIME, &now);
    int rc = resolve_text(driver->store, driver->tag, strlen(driver->tag), RESOLVE_AT, now, &resolved, NULL);
    if (rc < 0) {
        return -resolve_errno(rc);
    }
    pthread_mutex_lock(&driver->root.lock);
    bool same = driver->root.before == resolved.before;
    pthread_mutex_unlock(&driver->root.lock);
    return same ? 0 : driver_root_set(driver, resolved.before, resolved.tid, moved);
}

int driver_root_node(struct driver *driver, struct node *node) {
    bool moved;
    /* When the tag is gone, or leads where there is nothing to show, the root stays where it was. */
    (void)driver_root_follow(driver, &moved);
    pthread_mutex_lock(&driver->root.lock);
    uint64_t table = driver->root.table;
    pthread_mutex_unlock(&driver->root.lock);
    struct table_node known;
    if (!node_table_get(driver->nodes, table, &known)) {
        return -ESTALE; /* moved again just now */
    }
    *node = (struct node){.kind = NODE_DIRECTORY,
                          .id = FUSE_ROOT_ID,
                          .oid = known.oid,
                          .before = known.before,
                          .table = table,
                          .place = PLACE_ROOT,
                          .root = true,
                          .moves = driver->tag != NULL};
    return 0;
}
