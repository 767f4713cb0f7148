/* Reverting and undoing in a running mount, as the command line asks for it (fs/control.h).
 *
 *     CONTROL_RESTORE_PIECE ──▶ an order gathers ──▶ CONTROL_RESTORE_RUN ──▶ restore_run, in the request's own thread
 *                                                                              │ what the kernel must forget
 *     the answer ◀── the housekeeper makes the kernel forget it ◀──────────────┘
 *
 * The answer waits for the kernel, so that whoever asked sees the new tree at once: everything else that changes /head comes through the kernel,
 * which then knows by itself what to forget. With the write-back cache it goes on with the size and the times of a file that somebody has open: the
 * command sees to those (fs/restoring.c).
 *
 * An order belongs to who began it. There are few, they are bounded in size, and one that is left lying is dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control.h"
#include "fs/driver_private.h"
#include "fs/restore_order.h"

#define EXPIRE_NS  (UINT64_C(60) * 1000000000)
#define FIRST_ROOM 65536

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void drop(struct order *order) {
    free(order->block);
    *order = (struct order){0};
}

/* The order of that id and user; id 0: a free place. NULL if there is none. Lock. */
static struct order *find(struct orders *orders, uint64_t id, uid_t uid) {
    struct order *found = NULL;
    uint64_t now = now_ns();
    for (size_t i = 0; i < ORDERS_MAX; i++) {
        struct order *order = &orders->items[i];
        if (order->id != 0 && order->touched_ns + EXPIRE_NS < now) {
            drop(order);
        }
        if (order->id == id && (id == 0 || order->uid == uid)) {
            found = order;
        }
    }
    return found;
}

static int append(struct order *order, const uint8_t *data, size_t length) {
    if (length > RESTORE_ORDER_MAX - order->length) {
        return -E2BIG;
    }
    size_t capacity = order->capacity != 0 ? order->capacity : FIRST_ROOM;
    while (capacity < order->length + length) {
        capacity *= 2;
    }
    if (capacity != order->capacity) {
        uint8_t *block = realloc(order->block, capacity);
        if (block == NULL) {
            return -ENOMEM;
        }
        order->block = block;
        order->capacity = capacity;
    }
    memcpy(order->block + order->length, data, length);
    order->length += length;
    return 0;
}

static int allowed(struct driver *driver, uid_t uid) {
    return driver->head == NULL ? -EROFS : uid != 0 && uid != driver->uid ? -EPERM : 0;
}

void control_restore_piece(fuse_req_t req, struct driver *driver, const void *in) {
    const struct control_restore_piece *given = in;
    struct control_restore_piece piece = {.id = given->id, .length = given->length};
    struct orders *orders = &driver->orders;
    uid_t uid = fuse_req_ctx(req)->uid;
    int rc = allowed(driver, uid);
    if (rc == 0 && piece.length > sizeof given->data) {
        rc = -EINVAL;
    }
    if (rc == 0) {
        pthread_mutex_lock(&orders->lock);
        struct order *order = find(orders, piece.id, uid);
        if (order == NULL) {
            rc = piece.id == 0 ? -EBUSY : -ESTALE;
        } else {
            if (piece.id == 0) {
                *order = (struct order){.id = ++orders->last_id, .uid = uid};
            }
            order->touched_ns = now_ns();
            rc = append(order, given->data, piece.length);
            piece.id = order->id;
            if (rc != 0) {
                drop(order);
            }
        }
        pthread_mutex_unlock(&orders->lock);
    }
    if (rc != 0) {
        fuse_reply_err(req, -rc);
    } else {
        fuse_reply_ioctl(req, 0, &piece, sizeof piece);
    }
}

/* The answer's own fields. Errors of the restore are told in it; the ioctl fails only if the order cannot be read. */
static int run(struct driver *driver, const uint8_t *block, size_t length, uid_t uid, struct restored *restored) {
    struct restore_order order;
    struct control_restore_run *answer = &restored->answer;
    struct restore_result result = {0};
    struct error err = {0};
    char name[256];
    int rc = restore_order_decode(block, length, &order);
    if (rc != STORE_OK) {
        return -store_error_errno(rc);
    }
    if (order.user[0] == '\0') {
        (void)driver_user_name(uid, name, sizeof name);
        order.user = name;
    }
    rc = restore_run(driver->store, driver->head, &order.request, order.only_base, order.user, order.message, &result,
                     &err);
    answer->code = rc;
    answer->outcome = result.outcome;
    answer->base = result.base;
    answer->tid = result.tid;
    memcpy(answer->text, err.text, sizeof err.text);
    restored->touched = result.touched;
    restore_order_release(&order);
    return 0;
}

void control_restore_run(fuse_req_t req, struct driver *driver, const void *in) {
    struct orders *orders = &driver->orders;
    struct order order = {0};
    uid_t uid = fuse_req_ctx(req)->uid;
    uint64_t id = ((const struct control_restore_run *)in)->id;
    struct restored *restored = calloc(1, sizeof *restored);
    int rc = restored == NULL ? -ENOMEM : allowed(driver, uid);
    if (rc == 0) {
        pthread_mutex_lock(&orders->lock);
        struct order *found = id != 0 ? find(orders, id, uid) : NULL;
        rc = found == NULL ? -ESTALE : 0;
        if (found != NULL) {
            order = *found;
            *found = (struct order){0};
        }
        pthread_mutex_unlock(&orders->lock);
    }
    if (rc == 0) {
        rc = run(driver, order.block, order.length, uid, restored);
    }
    free(order.block);
    if (rc != 0) {
        fuse_reply_err(req, -rc);
        free(restored);
        return;
    }
    restored->req = req;
    restored->answer.id = id;
    if (restored->touched.name_count == 0 && restored->touched.oid_count == 0) {
        restored_finish(driver, restored, false);
    } else {
        housekeeping_restored(driver, restored);
    }
}

void restored_finish(struct driver *driver, struct restored *restored, bool notify) {
    const struct restore_touched *touched = &restored->touched;
    /* What the kernel does not know is no error. Names first: whoever asks for attributes in between asks by the right name. With the write-back
     * cache the kernel believes its own size and times of a file; it forgets those only with the whole file, that is its names (and not while it is open). */
    for (size_t i = 0; notify && i < touched->name_count; i++) {
        const struct restore_name *name = &touched->names[i];
        if (name->same && !driver->write_back) {
            continue;
        }
        (void)fuse_lowlevel_notify_inval_entry(driver->session, HEAD_BIT | name->parent, name->name,
                                               strlen(name->name));
    }
    for (size_t i = 0; notify && i < touched->oid_count; i++) {
        (void)fuse_lowlevel_notify_inval_inode(driver->session, HEAD_BIT | touched->oids[i], 0, 0);
    }
    fuse_reply_ioctl(restored->req, 0, &restored->answer, sizeof restored->answer);
    restore_touched_release(&restored->touched);
    free(restored);
}

int orders_init(struct orders *orders) {
    return -pthread_mutex_init(&orders->lock, NULL);
}

void orders_release(struct orders *orders) {
    for (size_t i = 0; i < ORDERS_MAX; i++) {
        drop(&orders->items[i]);
    }
    pthread_mutex_destroy(&orders->lock);
}
