/* What the command line asks of a running mount (fs/control.h). */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control.h"
#include "fs/driver_private.h"

bool driver_user_name(uid_t uid, char *name, size_t size) {
    char space[4096];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(uid, &entry, space, sizeof space, &found) == 0 && found != NULL) {
        (void)snprintf(name, size, "%s", found->pw_name);
    } else {
        (void)snprintf(name, size, "%u", (unsigned)uid);
    }
    return found != NULL;
}

void driver_name_changer(void *context, uint32_t uid, char name[HEAD_USER_SIZE]) {
    struct known_users *known = &((struct driver *)context)->known_users;
    for (size_t i = 0; i < known->count; i++) {
        if (known->users[i].uid == uid) {
            memcpy(name, known->users[i].name, HEAD_USER_SIZE);
            return;
        }
    }
    if (!driver_user_name(uid, name, HEAD_USER_SIZE)) {
        return; /* it may have a name later */
    }
    struct known_user *user = &known->users[known->next];
    user->uid = uid;
    memcpy(user->name, name, HEAD_USER_SIZE);
    known->next = (known->next + 1) % KNOWN_USERS_MAX;
    known->count += known->count < KNOWN_USERS_MAX;
}

static void control_commit(fuse_req_t req, struct driver *driver, const void *in) {
    struct control_commit *commit = malloc(sizeof *commit);
    int rc = commit == NULL ? -ENOMEM : driver->head == NULL ? -EROFS : 0;
    if (rc == 0) {
        memcpy(commit, in, sizeof *commit);
        if (memchr(commit->user, '\0', sizeof commit->user) == NULL ||
            memchr(commit->message, '\0', sizeof commit->message) == NULL) {
            rc = -EINVAL;
        }
    }
    uid_t uid = fuse_req_ctx(req)->uid;
    if (rc == 0 && commit->user[0] != '\0' && uid != 0 && uid != driver->uid) {
        rc = -EPERM; /* only who owns the mount may speak for others */
    }
    bool named = rc == 0 && commit->user[0] != '\0', said = rc == 0 && commit->message[0] != '\0';
    /* What only settles is no more than an fsync, which needs no permission to write either. */
    if (rc == 0 && (named || said || commit->by_caller != 0)) {
        rc = driver_may_commit(driver, req);
    }
    if (rc == 0) {
        /* A commit has an author: whoever asks, unless another is named. */
        if (!named && (said || commit->by_caller != 0)) {
            (void)driver_user_name(uid, commit->user, sizeof commit->user);
        }
        if (named || said) {
            rc = head_seal(driver->head, commit->user, said ? commit->message : NULL, &commit->tid);
        } else if (commit->by_caller != 0) {
            rc = head_seal_as(driver->head, commit->user, &commit->tid);
        } else {
            rc = head_seal(driver->head, NULL, NULL, &commit->tid);
        }
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else {
        fuse_reply_ioctl(req, 0, commit, sizeof *commit);
    }
    free(commit);
}

static void report_head(struct driver *driver, struct control_status *status) {
    struct head_status head;
    head_get_status(driver->head, &head);
    status->writable = 1;
    status->last_seq = head.last_seq;
    status->last_tid = head.last_tid;
    status->pending_objects = head.pending_objects;
    status->pending_bytes = head.pending_bytes;
    status->next_seal_ns = head.next_seal_ns;
    status->failed = head.failed;
    status->refusal = (uint64_t)store_error_errno(head.refusal);
    status->commits = head.commits;
    status->head_objects = head.objects;
}

static int report_store(struct driver *driver, struct control_status *status) {
    struct storage_state state;
    present_refresh(driver);
    int rc = storage_get_state(store_storage(driver->store), &state);
    if (rc != STORE_OK) {
        return -store_error_errno(rc);
    }
    status->last_seq = state.last_seq;
    status->last_tid = state.last_tid;
    return 0;
}

static int report(struct driver *driver, struct control_status *status) {
    int rc = 0;
    if (driver->head != NULL) {
        report_head(driver, status);
    } else {
        rc = report_store(driver, status);
    }
    struct view_pool_statistics views;
    view_pool_get_statistics(driver->pool, &views);
    status->views_open = views.open;
    status->views_idle = views.idle;
    status->views_opened = views.opened;
    status->views_reused = views.reused;
    status->views_expired = views.expired;
    status->nodes = node_table_count(driver->nodes);
    struct cache_statistics cache;
    cache_get_statistics(store_cache(driver->store), &cache);
    status->cache_hits = cache.hits;
    status->cache_misses = cache.misses;
    status->cache_bytes = cache.bytes;
    status->cache_historic_bytes = cache.historic_bytes;
    for (size_t kind = 0; kind < REQUEST_KINDS; kind++) {
        (void)snprintf(status->requests[kind].name, sizeof status->requests[kind].name, "%s",
                       request_name((enum request)kind));
        status->requests[kind].count = atomic_load_explicit(&driver->requests[kind], memory_order_relaxed);
    }
    if (driver->single_view) {
        pthread_mutex_lock(&driver->root.lock);
        status->single_view = 1;
        status->view_tid = driver->root.tid;
        pthread_mutex_unlock(&driver->root.lock);
    }
    status->store_device = driver->store_device;
    status->store_inode = driver->store_inode;
    (void)snprintf(status->store, sizeof status->store, "%s", store_directory(driver->store));
    (void)snprintf(status->subdir, sizeof status->subdir, "%s", driver->subdir);
    return rc;
}

static void control_status(fuse_req_t req, struct driver *driver) {
    struct control_status *status = calloc(1, sizeof *status);
    int rc = status == NULL ? -ENOMEM : report(driver, status);
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else {
        fuse_reply_ioctl(req, 0, status, sizeof *status);
    }
    free(status);
}

void driver_op_ioctl(fuse_req_t req, fuse_ino_t id, unsigned command, void *argument, struct fuse_file_info *file,
                     unsigned flags, const void *in, size_t in_size, size_t out_size) {
    (void)id;
    (void)argument;
    (void)file;
    struct driver *driver = driver_request(req, REQUEST_IOCTL);
    bool known = (flags & FUSE_IOCTL_COMPAT) == 0;
    if (known && command == CONTROL_COMMIT && in_size >= sizeof(struct control_commit) &&
        out_size >= sizeof(struct control_commit)) {
        control_commit(req, driver, in);
    } else if (known && command == CONTROL_STATUS && out_size >= sizeof(struct control_status)) {
        control_status(req, driver);
    } else if (known && command == CONTROL_RESTORE_PIECE && in_size >= sizeof(struct control_restore_piece) &&
               out_size >= sizeof(struct control_restore_piece)) {
        control_restore_piece(req, driver, in);
    } else if (known && command == CONTROL_RESTORE_RUN && in_size >= sizeof(struct control_restore_run) &&
               out_size >= sizeof(struct control_restore_run)) {
        control_restore_run(req, driver, in);
    } else {
        fuse_reply_err(req, ENOTTY);
    }
}
