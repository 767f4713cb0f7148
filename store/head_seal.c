/* Sealing: when the working transaction becomes a batch, and who commits it.
 *
 * Working transactions are numbered 1, 2, 3… and committed in order, one at a time: by whoever waits for one and finds nobody committing (an
 * fsync then costs no switch to another thread), or by the commit thread, when the interval has passed or the limit is. Those who
 * wait for number n are done when `durable` reaches n, or when the attempt that included it was refused; all that gathers
 * while one commit runs is in the next.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/head_batch.h"

#define RETRY_NS UINT64_C(1000000000) /* after a commit that failed, whatever the interval: writers wait for it */

/* ---- whether and when ---- */

bool head_working_empty(const struct head *head) {
    return !head->dirty_count; /* a directory is dirty with its names */
}

static bool disk_has_room(struct head *head, uint64_t bytes) {
    if (head->free_bytes >= bytes + head->reserve_bytes)
        return true;
    struct statvfs disk;
    if (TEMP_FAILURE_RETRY(statvfs(store_directory(head->store), &disk)) < 0)
        return true; /* then the write itself will tell */
    head->free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    uint64_t promised = head->working_bytes;
    head->free_bytes = head->free_bytes > promised ? head->free_bytes - promised : 0;
    return head->free_bytes >= bytes + head->reserve_bytes;
}

int head_may_change(struct head *head, bool grows, uint64_t bytes) {
    if (head->failed)
        return -EIO;
    if (head->refusal == STORE_READ_ONLY)
        return -EROFS;
    if (!grows)
        return 0;
    if (head->refusal == STORE_FULL || !disk_has_room(head, bytes))
        return -ENOSPC;
    head->free_bytes -= head->free_bytes < bytes ? head->free_bytes : bytes;
    return 0;
}

void head_act_as(struct head *head, uint32_t uid) {
    /* A thread for which there is no memory goes on as what it was: then nobody is better than somebody else. */
    if (pthread_setspecific(head->actor, (void *)(uintptr_t)(uint32_t)(uid + 1)) != 0)
        (void)pthread_setspecific(head->actor, NULL);
}

void changers_add(struct changers *changers, struct changers more) {
    if (more.uid == HEAD_NOBODY)
        return;
    changers->several |= more.several || (changers->uid != HEAD_NOBODY && changers->uid != more.uid);
    changers->uid = more.uid;
}

void head_changed(struct head *head) {
    uint32_t uid = (uint32_t)(uintptr_t)pthread_getspecific(head->actor) - 1;
    changers_add(&head->changers, (struct changers){.uid = uid});
    if (head->changing)
        return; /* it is sealed at its end and not before */
    bool passed = !head->limit_passed && head->working_bytes > head->options.dirty_limit_bytes;
    if (head->pending && !passed)
        return;
    pthread_mutex_lock(&head->seal_lock);
    if (!head->pending && head->options.commit_interval_ns)
        head->deadline_ns = head_monotonic() + head->options.commit_interval_ns;
    if (passed)
        head->requested = head->number;
    pthread_cond_signal(&head->wake);
    pthread_mutex_unlock(&head->seal_lock);
    head->pending = true;
    head->limit_passed |= passed;
}

void head_throttle(struct head *head) {
    if (head->working_bytes <= head->options.dirty_limit_bytes)
        return;
    head_lock_shared(head);
    uint64_t number = head->number;
    bool wait = head->limit_passed && !head->failed && head->refusal != STORE_FULL && head->refusal != STORE_READ_ONLY;
    head_unlock(head);
    if (!wait)
        return;
    pthread_mutex_lock(&head->seal_lock);
    uint64_t refused = head->refused;
    while (head->taken < number && head->refused == refused)
        pthread_cond_wait(&head->done, &head->seal_lock);
    pthread_mutex_unlock(&head->seal_lock);
}

/* ---- committing ---- */

/* Of a head that failed for good. */
static int failure(const struct head *head) {
    return head->refusal == STORE_CONFLICT ? -ESTALE : -EIO;
}

/* Seals. *number is what was taken or would have been. */
static int take(struct head *head, struct batch **batch, uint64_t *number) {
    head_lock(head);
    *number = head->number;
    int rc = head->failed ? failure(head) : batch_seal(head, batch);
    if (rc < 0)
        head->number++; /* the attempt counts: what was pending goes with the next */
    if (rc == 0) {
        (*batch)->changers = head->changers;
        head->changers = (struct changers){.uid = HEAD_NOBODY};
    }
    pthread_mutex_lock(&head->seal_lock);
    if (head->message_number) {
        char *user = head->user, *message = head->message;
        if (rc == 0) {
            (*batch)->user = user;
            (*batch)->message = message;
        } else {
            free(user);
            free(message);
        }
        head->user = head->message = NULL;
        head->message_number = 0;
    }
    head->deadline_ns = UINT64_MAX;
    head->taken = *number;
    pthread_cond_broadcast(&head->done);
    pthread_mutex_unlock(&head->seal_lock);
    head_unlock(head);
    return rc;
}

/* Tells what a commit has come to, once for all tries that fail alike. The head's lock; head->refusal is that of the commit before. */
static void tell_result(const struct head *head, int rc) {
    const struct log *log = store_log(head->store);
    const char *directory = store_directory(head->store);
    const char *then = head->failed
                           ? "no more changes are taken: mount it again to go on from its last good transaction"
                       : head->changing        ? "what it would have changed is as it was"
                       : rc == STORE_FULL      ? "free some space there: what is pending is tried again every second"
                       : rc == STORE_READ_ONLY ? "make its disk writable: what is pending is tried again every second"
                                               : "what is pending stays pending and is tried again";
    if (rc == STORE_OK && head->refusal != STORE_OK)
        log_write(log, LOG_LEVEL_WARNING, "commit to %s: it succeeds again, and nothing is lost", directory);
    else if (rc != STORE_OK && (rc != head->refusal || head->changing))
        log_write(log, LOG_LEVEL_ERROR, "commit to %s failed: %s; %s", directory, store_error_text(rc), then);
}

/* The result of writing a batch, in the head. Returns 0 or a negative errno. */
static int land_batch(struct head *head, struct batch *batch, int rc, const struct transaction *done) {
    head_lock(head);
    if (rc == STORE_OK) {
        head->last_seq = done->seq;
        head->last_tid = done->tid;
        tell_result(head, STORE_OK);
        head->refusal = STORE_OK;
        head->free_bytes = 0; /* ask again */
        batch_settle(head, batch);
        directory_trim(head);
    } else {
        if (rc != STORE_FULL && rc != STORE_NO_MEMORY && rc != STORE_READ_ONLY && rc != STORE_LOCKED)
            head->failed = true;
        if (head->changing) {
            batch_revert(head, batch);
        } else {
            batch_take_back(head, batch);
            changers_add(&head->changers, batch->changers);
        }
        tell_result(head, rc);
        head->refusal = rc;
        head->pending = !head->changing;
    }
    batch_free(batch);
    head_unlock(head);
    return rc == STORE_OK ? 0 : -store_error_errno(rc);
}

int head_commit(struct head *head, uint64_t *tid) {
    struct batch *batch = NULL;
    struct transaction done = {0};
    uint64_t number;
    int rc = take(head, &batch, &number);
    if (rc == 0) {
        int written = batch_write(head, batch, &done);
        rc = land_batch(head, batch, written, &done);
    }
    pthread_mutex_lock(&head->seal_lock);
    if (rc == 0) {
        head->durable = number;
        head->tids[number % TIDS_KEPT] = done.tid;
        head->commits++;
        *tid = done.tid;
        transaction_release(&done);
    } else {
        head->tids[number % TIDS_KEPT] = 0;
        head->refused = number;
        head->refused_code = rc;
        /* A head that failed for good does not try again, and there is nothing to try if all is taken back. */
        if (rc != -EIO && rc != -ESTALE && !head->changing)
            head->deadline_ns = head_monotonic() + RETRY_NS;
    }
    pthread_cond_broadcast(&head->done);
    pthread_mutex_unlock(&head->seal_lock);
    return rc;
}

/* Commits, as the only one who does. Seal lock, which is let go meanwhile. Those who wait learn the result from what it leaves. */
static void commit_lead(struct head *head) {
    uint64_t tid;
    head->committing = true;
    pthread_mutex_unlock(&head->seal_lock);
    (void)head_commit(head, &tid);
    pthread_mutex_lock(&head->seal_lock);
    head->committing = false;
    pthread_cond_broadcast(&head->done);
    pthread_cond_signal(&head->wake);
}

void head_commit_hold(struct head *head) {
    pthread_mutex_lock(&head->seal_lock);
    while (head->committing)
        pthread_cond_wait(&head->done, &head->seal_lock);
    head->committing = true;
    pthread_mutex_unlock(&head->seal_lock);
}

void head_commit_release(struct head *head) {
    pthread_mutex_lock(&head->seal_lock);
    head->committing = false;
    pthread_cond_broadcast(&head->done);
    pthread_cond_signal(&head->wake);
    pthread_mutex_unlock(&head->seal_lock);
}

/* ---- those who wait ---- */

/* Leaves a user and message for the working transaction, waiting while somebody else's are there. Returns with the read lock and
 * the seal lock held, or an error with neither. */
static int leave_message(struct head *head, const char *user, const char *message) {
    char *own_user = user ? strdup(user) : NULL, *own_message = message ? strdup(message) : NULL;
    if ((user && !own_user) || (message && !own_message)) {
        free(own_user);
        free(own_message);
        return -ENOMEM;
    }
    for (;;) {
        head_lock_shared(head);
        pthread_mutex_lock(&head->seal_lock);
        if (!head->message_number)
            break;
        uint64_t number = head->message_number;
        head_unlock(head);
        while (head->message_number == number)
            pthread_cond_wait(&head->done, &head->seal_lock);
        pthread_mutex_unlock(&head->seal_lock);
    }
    head->user = own_user;
    head->message = own_message;
    head->message_number = head->number;
    return 0;
}

/* Seal lock. The user left for the working transaction is not needed. */
static void take_message_back(struct head *head) {
    free(head->user);
    head->user = NULL;
    head->message_number = 0;
}

/* even_empty: makes a transaction of nothing, too. */
static int seal(struct head *head, const char *user, const char *message, bool even_empty, uint64_t *tid) {
    if ((user && strlen(user) > 255) || (message && strlen(message) > MESSAGE_MAX))
        return -E2BIG;
    if (head_is_owner(head))
        return -EDEADLK;
    if (user || message) {
        int rc = leave_message(head, user, message);
        if (rc < 0)
            return rc;
    } else {
        head_lock_shared(head);
        pthread_mutex_lock(&head->seal_lock);
    }
    bool nothing = head_working_empty(head) && !even_empty;
    if (nothing && user)
        take_message_back(head);
    bool flying = head->taken > head->durable && head->taken > head->refused;
    uint64_t target = nothing ? head->number - 1 : head->number, last_tid = head->last_tid;
    head_unlock(head);
    if (nothing && !flying) {
        pthread_mutex_unlock(&head->seal_lock);
        if (tid)
            *tid = last_tid;
        return 0;
    }

    while (head->durable < target && head->refused < target) {
        if (head->committing)
            pthread_cond_wait(&head->done, &head->seal_lock);
        else
            commit_lead(head);
    }
    int rc = head->durable >= target ? 0 : head->refused_code;
    /* Later ones may have been committed by now: the caller wants its own. */
    if (rc == 0 && tid)
        *tid = target + TIDS_KEPT > head->durable && head->tids[target % TIDS_KEPT] ? head->tids[target % TIDS_KEPT]
                                                                                    : last_tid;
    pthread_mutex_unlock(&head->seal_lock);
    return rc;
}

int head_seal(struct head *head, const char *user, const char *message, uint64_t *tid) {
    return seal(head, user, message, user || message, tid);
}

int head_seal_as(struct head *head, const char *user, uint64_t *tid) {
    return seal(head, user, NULL, false, tid);
}

/* ---- the thread ---- */

/* Waits for something to do; false: to stop. Seal lock. */
static bool wait_for_work(struct head *head) {
    for (;;) {
        if (head->stop)
            return false;
        if (head->requested > head->taken && !head->committing)
            return true;
        if (head->deadline_ns == UINT64_MAX || head->committing) {
            pthread_cond_wait(&head->wake, &head->seal_lock);
            continue;
        }
        if (head_monotonic() >= head->deadline_ns)
            return true;
        struct timespec until = {(time_t)(head->deadline_ns / 1000000000U), (long)(head->deadline_ns % 1000000000U)};
        pthread_cond_timedwait(&head->wake, &head->seal_lock, &until);
    }
}

void *head_commit_thread(void *context) {
    struct head *head = context;
    pthread_mutex_lock(&head->seal_lock);
    while (wait_for_work(head))
        commit_lead(head);
    pthread_mutex_unlock(&head->seal_lock);
    return NULL;
}
