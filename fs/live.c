#include "fs/live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/output.h"

static int open_point(const char *point, struct error *err) {
    int fd = open(point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    int saved = errno;
    (void)error_set(err, STORE_IO, "cannot open the mount %s: %s%s", point, strerror(saved),
                    saved == ENOTCONN ? LIVE_DEAD : "");
    return -saved;
}

/* As ioctl(2), with the errors that it can have explained. Returns a negative errno. */
static int ask(int fd, const char *point, unsigned long request, void *argument, struct error *err) {
    if (ioctl(fd, request, argument) == 0)
        return 0;
    int saved = errno;
    const char *why = strerror(saved);
    if (saved == ENOTTY)
        why = "it is not a mount of this version of tidfs";
    else if (saved == EROFS)
        why = "it is a read-only mount, or the disk of its store has become read-only";
    else if (saved == ENOSPC || saved == EDQUOT)
        why =
            "no space left below its store, or no quota, so that what is pending cannot be committed; free some there";
    else if (saved == ESTALE && request == CONTROL_COMMIT)
        why = store_error_text(STORE_CONFLICT);
    else if (saved == EACCES)
        why = "not permitted: only the mount's owner, root and who may write to its /head may have it commit";
    else if (saved == EPERM)
        why = "not permitted: only the mount's owner and root may do that";
    (void)error_set(err, STORE_IO, "%s: %s", point, why);
    return -saved;
}

int live_status(const char *point, struct control_status *status, struct error *err) {
    int fd = open_point(point, err);
    if (fd < 0)
        return fd;
    int rc = ask(fd, point, CONTROL_STATUS, status, err);
    (void)close(fd);
    if (rc)
        return rc;
    status->store[sizeof status->store - 1] = 0;
    status->subdir[sizeof status->subdir - 1] = 0;
    for (size_t i = 0; i < sizeof status->requests / sizeof status->requests[0]; i++)
        status->requests[i].name[sizeof status->requests[i].name - 1] = 0;
    return 0;
}

static int write_back(int fd, const char *point, struct error *err) {
    if (syncfs(fd) == 0)
        return 0;
    int saved = errno;
    (void)error_set(err, STORE_IO, "%s: some of what was written could not be written back: %s", point,
                    strerror(saved));
    return -saved;
}

static int seal(const char *point, bool by_caller, const char *user, const char *message, uint64_t *tid,
                struct error *err) {
    struct control_commit *commit = calloc(1, sizeof *commit);
    int fd = -1, rc = -ENOMEM;
    if (!commit) {
        (void)error_set(err, STORE_NO_MEMORY, "out of memory");
        goto out;
    }
    if ((user && strlen(user) >= sizeof commit->user) || (message && strlen(message) > CONTROL_MESSAGE_MAX)) {
        (void)error_set(err, STORE_TOO_BIG, "the user or the message is too long");
        rc = -E2BIG;
        goto out;
    }
    commit->by_caller = by_caller;
    if (user)
        memcpy(commit->user, user, strlen(user) + 1);
    if (message)
        memcpy(commit->message, message, strlen(message) + 1);
    fd = open_point(point, err);
    if (fd < 0) {
        rc = fd;
        goto out;
    }
    rc = write_back(fd, point, err);
    if (rc)
        goto out;
    rc = ask(fd, point, CONTROL_COMMIT, commit, err);
    if (rc == 0 && tid)
        *tid = commit->tid;
out:
    if (fd >= 0)
        (void)close(fd);
    free(commit);
    return rc;
}

int live_commit(const char *point, const char *user, const char *message, uint64_t *tid, struct error *err) {
    return seal(point, true, user, message, tid, err);
}

int live_seal(const char *point, struct error *err) {
    return seal(point, false, NULL, NULL, NULL, err);
}

/* Sends the order; *id is what the mount calls it. */
static int send_order(int fd, const char *point, const uint8_t *block, size_t length, uint64_t *id, struct error *err) {
    struct control_restore_piece *piece = calloc(1, sizeof *piece);
    int rc = piece ? 0 : -ENOMEM;
    if (!piece)
        (void)error_set(err, STORE_NO_MEMORY, "out of memory");
    for (size_t at = 0; at < length && rc == 0; at += piece->length) {
        piece->length = length - at < sizeof piece->data ? length - at : sizeof piece->data;
        size_t sent = piece->length;
        memcpy(piece->data, block + at, sent);
        rc = ask(fd, point, CONTROL_RESTORE_PIECE, piece, err);
        piece->length = sent;
    }
    if (rc == 0)
        *id = piece->id;
    free(piece);
    return rc;
}

int live_restore(const char *point, const struct restore_order *order, struct control_restore_run *answer,
                 struct error *err) {
    uint8_t *block = NULL;
    size_t length = 0;
    int fd = -1, rc = restore_order_encode(order, &block, &length);
    if (rc)
        return error_set(err, (enum store_error)rc, "%s",
                         rc == STORE_TOO_BIG ? "that is too much at a time; name fewer paths" : store_error_text(rc));
    fd = open_point(point, err);
    rc = fd < 0 ? fd : write_back(fd, point, err);
    if (rc == 0)
        rc = send_order(fd, point, block, length, &answer->id, err);
    if (rc == 0)
        rc = ask(fd, point, CONTROL_RESTORE_RUN, answer, err);
    if (rc == 0 && answer->code) {
        answer->text[sizeof answer->text - 1] = 0;
        rc = error_set(err, (enum store_error)answer->code, "%s", answer->text);
    }
    if (fd >= 0)
        (void)close(fd);
    free(block);
    return rc;
}

void live_settle(const struct location *location) {
    if (!location->live)
        return;
    struct error err = {0};
    int rc = live_seal(location->live, &err);
    if (rc && rc != -EACCES && rc != -EPERM && rc != -ENOTCONN && rc != -ENOTTY)
        output_error("%s; what was written last is not in the answer, which is about the newest transaction", err.text);
}
