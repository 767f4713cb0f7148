/* An atomic group of operations on the head.
 *
 *   seal what is pending ─▶ hold off committers ─▶ own the lock ─▶ seal the rest ─▶ change ─▶ commit ─▶ let all go
 *                                                                                    │ other than 0  │ failure
 *                                                                                    └──── revert ◀──┘
 *
 * Whoever owns the lock passes through it in every operation (head_lock and its like), so the operations know nothing of this, but that head_changed
 * starts no interval.
 *
 * Taking back needs neither memory nor the storage, and so cannot fail: when the change begins nothing is dirty, so all that is
 * dirty when it ends is its own. Objects that it made are dropped, whoever counts them. Of the others the state is dropped and the
 * references are kept; the next operation loads the state that the storage has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/head_private.h"

/* What a change may alter besides objects. */
struct saved {
    int refusal;
    bool body_files_used;
};

static void take_over(struct head *head) {
    head_commit_hold(head);
    head_lock(head);
    atomic_store_explicit(&head->owner, pthread_self(), memory_order_relaxed);
    atomic_store_explicit(&head->owned, true, memory_order_release);
}

static void let_go(struct head *head) {
    atomic_store_explicit(&head->owned, false, memory_order_release);
    head_unlock(head);
    head_commit_release(head);
}

/* What others have changed, or left a message for, since head_seal: rarely anything, so that nobody waits for it. */
static int seal_rest(struct head *head) {
    uint64_t tid;
    pthread_mutex_lock(&head->seal_lock);
    bool message = head->message_number != 0;
    pthread_mutex_unlock(&head->seal_lock);
    return message || !head_working_empty(head) ? head_commit(head, &tid) : 0;
}

static void revert(struct head *head, const struct saved *saved) {
    head->added_count = head->ended_count = 0;
    while (head->dirty_first)
        object_revert(head, head->dirty_first);
    object_revert_made(head);
    head->working_bytes = 0;
    head->changers = (struct changers){.uid = HEAD_NOBODY};
    head->body_files_used = saved->body_files_used;
    if (!head->failed)
        head->refusal = saved->refusal;
    head->free_bytes = 0; /* ask again */
}

/* Commits the change with its message, which it takes over. */
static int commit(struct head *head, char *user, char *message, uint64_t *tid) {
    pthread_mutex_lock(&head->seal_lock);
    head->user = user;
    head->message = message;
    head->message_number = head->number;
    pthread_mutex_unlock(&head->seal_lock);
    return head_commit(head, tid);
}

static int copy_text(const char *text, char **copy) {
    *copy = text ? strdup(text) : NULL;
    return text && !*copy ? -ENOMEM : 0;
}

/* Owning the lock, with nothing pending. */
static int run(struct head *head, int (*change)(void *context), void *context, const char *user, const char *message,
               uint64_t *tid) {
    struct saved saved = {head->refusal, head->body_files_used};
    char *own_user = NULL, *own_message = NULL;
    int rc = copy_text(user, &own_user);
    if (rc == 0)
        rc = copy_text(message, &own_message);
    if (rc < 0) {
        free(own_user);
        return rc;
    }
    head->first_oid = head->next_oid;
    head->changing = true;
    rc = change(context);
    if (rc == 0 && (user || message || !head_working_empty(head))) {
        rc = commit(head, own_user, own_message, tid);
    } else {
        free(own_user);
        free(own_message);
        *tid = head->last_tid;
    }
    if (rc != 0)
        revert(head, &saved);
    head->changing = false;
    return rc;
}

int head_transaction(struct head *head, int (*change)(void *context), void *context, const char *user,
                     const char *message, uint64_t *tid) {
    uint64_t done;
    if ((user && strlen(user) > 255) || (message && strlen(message) > MESSAGE_MAX))
        return -E2BIG;
    if (head_is_owner(head))
        return -EDEADLK;
    int rc = head_seal(head, NULL, NULL, NULL);
    if (rc < 0)
        return rc;
    take_over(head);
    rc = head->failed ? -EIO : seal_rest(head);
    if (rc == 0)
        rc = run(head, change, context, user, message, &done);
    let_go(head);
    if (rc == 0 && tid)
        *tid = done;
    return rc;
}
