/* Opening and closing the head, and its state. */
#include "store/head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "store/head_private.h"

#define RESERVE_MAX      (UINT64_C(8) << 20)
#define DIRECTORY_BUDGET (UINT64_C(32) << 20) /* names of directories kept in memory */
#define LOADED_MAX       262144               /* objects that are kept in memory though they have not changed */

static int init_locks(struct head *head) {
    pthread_condattr_t monotonic;
    int rc = pthread_rwlock_init(&head->lock, NULL);
    if (rc)
        return -rc;
    rc = pthread_mutex_init(&head->seal_lock, NULL);
    if (rc)
        goto no_mutex;
    rc = pthread_key_create(&head->actor, NULL);
    if (rc)
        goto no_key;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    rc = pthread_cond_init(&head->wake, &monotonic);
    if (rc == 0 && (rc = pthread_cond_init(&head->done, &monotonic)) != 0)
        pthread_cond_destroy(&head->wake);
    pthread_condattr_destroy(&monotonic);
    if (rc == 0)
        return 0;
    pthread_key_delete(head->actor);
no_key:
    pthread_mutex_destroy(&head->seal_lock);
no_mutex:
    pthread_rwlock_destroy(&head->lock);
    return -rc;
}

static void destroy_locks(struct head *head) {
    pthread_cond_destroy(&head->wake);
    pthread_cond_destroy(&head->done);
    pthread_key_delete(head->actor);
    pthread_mutex_destroy(&head->seal_lock);
    pthread_rwlock_destroy(&head->lock);
}

static int init_state(struct head *head, struct error *err) {
    struct storage_state state;
    int rc = storage_get_state(store_storage(head->store), &state);
    if (rc < 0)
        return error_set(err, rc, "cannot read the state of %s: %s", store_directory(head->store),
                         store_error_text(rc));
    if (!state.last_seq)
        return error_set(err, STORE_CORRUPT, "%s has no transaction, not even its first", store_directory(head->store));
    head->last_seq = state.last_seq;
    head->last_tid = state.last_tid;
    head->next_oid = state.next_oid;
    head->number = 1;
    head->changers.uid = HEAD_NOBODY;
    head->deadline_ns = UINT64_MAX;
    head->directory_budget = DIRECTORY_BUDGET;
    head->loaded_max = LOADED_MAX;
    struct statvfs disk;
    if (statvfs(store_directory(head->store), &disk) == 0) {
        uint64_t total = (uint64_t)disk.f_blocks * disk.f_frsize;
        head->reserve_bytes = total / 16 < RESERVE_MAX ? total / 16 : RESERVE_MAX;
    }
    return STORE_OK;
}

int head_open(struct store *store, const struct head_options *options, struct head **opened, struct error *err) {
    struct head *head = calloc(1, sizeof *head);
    if (!head || object_table_new(head) < 0) {
        free(head);
        return error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", store_directory(store));
    }
    head->store = store;
    head->options = *options;
    int rc = init_state(head, err);
    if (rc < 0)
        goto no_locks;
    if (init_locks(head) < 0) {
        rc = error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", store_directory(store));
        goto no_locks;
    }
    int error = pthread_create(&head->thread, NULL, head_commit_thread, head);
    if (error) {
        rc = error_set(err, STORE_NO_MEMORY, "cannot start the commit thread: %s", strerror(error));
        destroy_locks(head);
        goto no_locks;
    }
    *opened = head;
    return STORE_OK;
no_locks:
    object_table_free(head);
    free(head);
    return rc;
}

int head_close(struct head *head) {
    if (!head)
        return 0;
    int rc = head_seal(head, NULL, NULL, NULL);
    pthread_mutex_lock(&head->seal_lock);
    head->stop = true;
    pthread_cond_broadcast(&head->wake);
    pthread_mutex_unlock(&head->seal_lock);
    pthread_join(head->thread, NULL);
    if (rc < 0)
        head_tell_lost(head);
    object_table_free(head);
    free(head->ended);
    free(head->added);
    free(head->user);
    free(head->message);
    destroy_locks(head);
    free(head);
    return rc;
}

void head_get_status(struct head *head, struct head_status *status) {
    head_lock_shared(head);
    *status = (struct head_status){
        .pending_objects = head->dirty_count,
        .pending_bytes = head->working_bytes,
        .last_seq = head->last_seq,
        .last_tid = head->last_tid,
        .objects = head->object_count,
        .failed = head->failed,
        .refusal = head->refusal,
    };
    head_unlock(head);
    pthread_mutex_lock(&head->seal_lock);
    uint64_t now = head_monotonic();
    if (head->deadline_ns != UINT64_MAX)
        status->next_seal_ns = head->deadline_ns > now ? head->deadline_ns - now : 1;
    status->commits = head->commits;
    pthread_mutex_unlock(&head->seal_lock);
}

uint64_t head_reserve(const struct head *head) {
    return head->reserve_bytes;
}
