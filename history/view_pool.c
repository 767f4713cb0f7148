/* The pool of views: one per instant, kept for a while after their last user has gone. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "history/view_private.h"

#define BUCKETS 256 /* of views, of which there are about as many as instants that somebody looks at */

struct view_pool {
    struct store *store;
    struct view_pool_options options;
    pthread_mutex_t lock; /* protects all below, and what view_private.h says */
    struct view *buckets[BUCKETS];
    struct view *oldest, *newest; /* idle */
    struct view_pool_statistics statistics;
};

struct view_pool *view_pool_new(struct store *store, const struct view_pool_options *options) {
    struct view_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&pool->lock, NULL) != 0) {
        free(pool);
        return NULL;
    }
    pool->store = store;
    pool->options = *options;
    return pool;
}

void view_pool_free(struct view_pool *pool) {
    if (pool == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (pool->buckets[i] != NULL) {
            struct view *view = pool->buckets[i];
            pool->buckets[i] = view->hash_next;
            free(view);
        }
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static struct view **link_of(struct view_pool *pool, uint64_t before) {
    struct view **link = &pool->buckets[before % BUCKETS];
    while (*link != NULL && (*link)->before != before) {
        link = &(*link)->hash_next;
    }
    return link;
}

static void idle_add(struct view_pool *pool, struct view *view) {
    view->newer = NULL;
    view->older = pool->newest;
    *(pool->newest != NULL ? &pool->newest->newer : &pool->oldest) = view;
    pool->newest = view;
    pool->statistics.idle++;
}

static void idle_remove(struct view_pool *pool, struct view *view) {
    *(view->newer != NULL ? &view->newer->older : &pool->newest) = view->older;
    *(view->older != NULL ? &view->older->newer : &pool->oldest) = view->newer;
    pool->statistics.idle--;
}

/* Frees the view that has been idle for longest; there is one. */
static void expire_oldest(struct view_pool *pool) {
    struct view *view = pool->oldest;
    assert(view != NULL && view->users == 0);
    pool->oldest = view->newer;
    *(view->newer != NULL ? &view->newer->older : &pool->newest) = NULL;
    struct view **link = link_of(pool, view->before);
    assert(*link == view);
    *link = view->hash_next;
    pool->statistics.idle--;
    pool->statistics.open--;
    pool->statistics.expired++;
    free(view);
}

/* A reference to the view of `before` if the pool has it. */
static struct view *take(struct view_pool *pool, uint64_t before) {
    struct view *view = *link_of(pool, before);
    if (view == NULL) {
        return NULL;
    }
    if (view->users++ == 0) {
        idle_remove(pool, view);
    }
    pool->statistics.reused++;
    return view;
}

static int new_view(struct store *store, uint64_t before, struct view **view) {
    struct transaction newest = {0};
    if (before > 1) {
        int rc = storage_transaction_at(store_storage(store), before - 1, &newest);
        if (rc != STORE_OK) {
            return rc == STORE_ABSENT ? -EIO : view_error(rc);
        }
    }
    struct view *made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->store = store;
        made->before = before;
        made->tid = newest.tid;
        made->users = 1;
        *view = made;
    }
    if (before > 1) {
        transaction_release(&newest);
    }
    return made != NULL ? 0 : -ENOMEM;
}

int view_pool_open(struct view_pool *pool, uint64_t before, struct view **view) {
    if (before < 1 || before > store_last(pool->store) + 1) {
        return -EINVAL;
    }
    if (before <= store_horizon(pool->store)) {
        return -ESTALE;
    }
    pthread_mutex_lock(&pool->lock);
    struct view *found = take(pool, before);
    pthread_mutex_unlock(&pool->lock);
    if (found != NULL) {
        *view = found;
        return 0;
    }

    struct view *made = NULL;
    int rc = new_view(pool->store, before, &made);
    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&pool->lock);
    found = take(pool, before); /* another thread may have been faster */
    if (found == NULL) {
        struct view **link = link_of(pool, before);
        *link = made;
        pool->statistics.open++;
        pool->statistics.opened++;
    }
    pthread_mutex_unlock(&pool->lock);
    if (found != NULL) {
        free(made);
    }
    *view = found != NULL ? found : made;
    return 0;
}

static uint64_t monotonic_ns(void) {
    struct timespec now;
    /* Cannot fail on Linux with a valid pointer and this clock. */
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void view_pool_done(struct view_pool *pool, struct view *view) {
    pthread_mutex_lock(&pool->lock);
    assert(view->users > 0);
    if (--view->users == 0) {
        view->idle_since_ns = monotonic_ns();
        idle_add(pool, view);
        while (pool->statistics.idle > pool->options.idle_max) {
            expire_oldest(pool);
        }
    }
    pthread_mutex_unlock(&pool->lock);
}

uint64_t view_pool_sweep(struct view_pool *pool, uint64_t now_ns) {
    uint64_t next = UINT64_MAX;

    pthread_mutex_lock(&pool->lock);
    while (pool->oldest != NULL) {
        uint64_t idle_ns = now_ns > pool->oldest->idle_since_ns ? now_ns - pool->oldest->idle_since_ns : 0;
        if (idle_ns < pool->options.idle_ns) {
            next = pool->options.idle_ns - idle_ns;
            break;
        }
        expire_oldest(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return next;
}

void view_pool_get_statistics(struct view_pool *pool, struct view_pool_statistics *statistics) {
    pthread_mutex_lock(&pool->lock);
    *statistics = pool->statistics;
    pthread_mutex_unlock(&pool->lock);
}
