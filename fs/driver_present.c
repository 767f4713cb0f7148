/* The present of a store that is mounted read-only. It is a view that moves on: whichever is newest when the request comes. Objects have the
 * inode numbers and node ids of the head, so that what a program has open stays the same file when another process commits. */
#include <errno.h>
#include <stdlib.h>

#include "fs/driver_private.h"

void present_entry_set(const struct view_attr *attr, struct fuse_entry_param *entry) {
    *entry = (struct fuse_entry_param){.ino = HEAD_BIT | attr->oid,
                                       .generation = 1,
                                       .attr = attr->stat,
                                       .attr_timeout = PRESENT_SECONDS,
                                       .entry_timeout = PRESENT_SECONDS};
    entry->attr.st_ino = attr->oid;
}

int present_view(struct driver *driver, struct view **view) {
    return driver_view(driver, store_last(driver->store) + 1, view);
}

int present_lookup(struct driver *driver, const struct node *directory, const char *name, size_t length,
                   struct fuse_entry_param *entry) {
    struct view *view;
    struct view_attr attr;
    int rc = present_view(driver, &view);
    if (rc != 0) {
        return rc;
    }
    rc = view_lookup(view, directory->oid, name, length, &attr);
    view_pool_done(driver->pool, view);
    if (rc == 0) {
        present_entry_set(&attr, entry);
    } else if (rc == -ENOENT) {
        *entry = (struct fuse_entry_param){.entry_timeout = 0}; /* who waits for a name to appear asks often */
        rc = 0;
    }
    return rc;
}

int present_getattr(struct driver *driver, uint64_t oid, struct view_attr *attr) {
    struct view *view;
    int rc = present_view(driver, &view);
    if (rc == 0) {
        rc = view_getattr(view, oid, attr);
        view_pool_done(driver->pool, view);
    }
    return rc == -ENOENT ? -ESTALE : rc; /* deleted since the kernel learned of it */
}

void present_refresh(struct driver *driver) {
    if (driver->head != NULL) {
        return;
    }
    uint64_t *oids = NULL;
    size_t count = 0;
    int rc = store_refresh(driver->store, &oids, &count);
    int told = atomic_exchange(&driver->refresh_failure, rc < 0 ? rc : STORE_OK);
    if (rc < 0 && rc != told) {
        log_write(driver->log, LOG_LEVEL_WARNING, "cannot look for new transactions: %s", store_error_text(rc));
    } else if (rc == STORE_OK && count > 0) {
        housekeeping_changed(driver, oids, count);
        return;
    }
    free(oids);
}
