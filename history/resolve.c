/* Resolution in three steps, each over integers only:
 *
 *   1. what the text starts from becomes a key: the view shows transactions with tid < key;
 *   2. the key becomes a seq by one indexed read (none if it lies after the newest transaction, the usual case of `now`);
 *   3. steps are taken in seqs, which are dense.
 *
 * Only transactions that the store's readers may see count: on a mount that follows another process' commits these are fewer
 * than the storage has.
 */
#include "history/resolve.h"

#include <errno.h>

#include "store/tid.h"

struct newest {
    uint64_t seq, tid;
};

static int transaction_tid(struct store *store, uint64_t seq, uint64_t *tid) {
    struct transaction transaction;
    int rc = storage_transaction_at(store_storage(store), seq, &transaction);
    if (rc == STORE_OK) {
        *tid = transaction.tid;
        transaction_release(&transaction);
    }
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc; /* seqs are dense */
}

static int get_newest(struct store *store, struct newest *newest) {
    newest->seq = store_last(store);
    newest->tid = 0;
    return newest->seq == 0 ? STORE_OK : transaction_tid(store, newest->seq, &newest->tid);
}

/* The newest seq with tid < key; 0 if none. */
static int seq_before(struct store *store, uint64_t key, const struct newest *newest, uint64_t *seq) {
    if (key > newest->tid) {
        *seq = newest->seq;
        return STORE_OK;
    }
    struct transaction transaction;
    int rc = storage_transaction_before(store_storage(store), key, &transaction);
    if (rc == STORE_ABSENT) {
        *seq = 0;
        return STORE_OK;
    }
    if (rc == STORE_OK) {
        *seq = transaction.seq;
        transaction_release(&transaction);
    }
    return rc;
}

/* A failure of the storage, told with its name. */
static int fail(struct store *store, int code, struct error *err) {
    return error_set(err, code, "cannot read the transactions of %s: %s", store_directory(store),
                     store_error_text(code));
}

static int compare_times(struct timespec a, struct timespec b) {
    if (a.tv_sec != b.tv_sec) {
        return a.tv_sec < b.tv_sec ? -1 : 1;
    }
    return (a.tv_nsec > b.tv_nsec) - (a.tv_nsec < b.tv_nsec);
}

/* Where a base lies on the line of tids. */
struct base {
    uint64_t at_key;     /* key of the view that includes it */
    uint64_t before_key; /* key of the view just before it */
    bool after_now;      /* by the clock */
};

static void place_tid(uint64_t tid, struct timespec now, struct base *base) {
    base->at_key = tid + 1;
    base->before_key = tid;
    base->after_now = compare_times(tid_to_time(tid), now) > 0;
}

static int place_instant(struct timespec instant, struct timespec now, struct base *base, struct error *err) {
    uint64_t tid;
    if (!tid_from_time(instant, &tid)) {
        return error_set(err, STORE_INVALID, "that time is outside the years 1900 to 5908");
    }
    /* The tid is the last one whose time is not after the instant; often that is a little before it. */
    base->at_key = tid + 1;
    base->before_key = compare_times(tid_to_time(tid), instant) == 0 ? tid : tid + 1;
    base->after_now = compare_times(instant, now) > 0;
    return STORE_OK;
}

static int place(struct store *store, const struct when *when, const struct newest *newest, struct timespec now,
                 struct base *base, struct error *err) {
    uint64_t tid;
    int rc;

    switch (when->kind) {
    case WHEN_TID:
        place_tid(when->tid, now, base);
        return STORE_OK;
    case WHEN_INSTANT:
    case WHEN_RELATIVE:
        return place_instant(when->instant, now, base, err);
    case WHEN_NOW:
        /* All there is, also when the clock was set back behind the newest transaction. */
        *base = (struct base){.at_key = newest->tid + 1, .before_key = newest->tid + 1};
        return STORE_OK;
    case WHEN_TAG:
        rc = storage_tag_get(store_storage(store), when->tag, &tid);
        if (rc == STORE_ABSENT) {
            return error_set(err, (enum store_error)RESOLVE_NO_TAG, "\"%s\" is not a time, and no tag has that name",
                             when->tag);
        }
        if (rc != STORE_OK) {
            return fail(store, rc, err);
        }
        place_tid(tid, now, base);
        return STORE_OK;
    }
    return error_set(err, STORE_INVALID, "that is not a time");
}

static int refuse_packed(struct store *store, uint64_t before, struct error *err) {
    struct storage_state state;
    if (before > store_horizon(store)) {
        return STORE_OK;
    }
    int rc = storage_get_state(store_storage(store), &state);
    if (rc != STORE_OK) {
        return fail(store, rc, err);
    }
    char packed_at[TID_TIME_TEXT_SIZE];
    char first[TID_TIME_TEXT_SIZE];
    uint64_t tid;
    tid_format_time(state.packed_at, packed_at);
    /* Views that show transaction `horizon` are whole: it is the first that can be named. */
    rc = transaction_tid(store, state.horizon, &tid);
    if (rc != STORE_OK) {
        return fail(store, rc, err);
    }
    tid_format_time(tid_to_time(tid), first);
    return error_set(err, STORE_PACKED, "history before %s was packed away at %s", first, packed_at);
}

static int describe(struct store *store, enum resolve_how how, uint64_t own_tid, struct resolved *resolved,
                    struct error *err) {
    resolved->tid = 0;
    resolved->time = (struct timespec){0};
    if (resolved->before > 1) {
        int rc = transaction_tid(store, resolved->before - 1, &resolved->tid);
        if (rc != STORE_OK) {
            return fail(store, rc, err);
        }
        resolved->time = tid_to_time(resolved->tid);
    }
    if (how == RESOLVE_AT) {
        resolved->name = resolved->tid;
    } else {
        resolved->name = own_tid != 0 ? own_tid : resolved->tid + 1;
    }
    return STORE_OK;
}

/* ->before, ->moving and ->settled. *own_tid: of the transaction that a tag or steps name; 0 if they name none. */
static int find(struct store *store, const struct when *when, enum resolve_how how, struct timespec now,
                struct resolved *resolved, uint64_t *own_tid, struct error *err) {
    struct newest newest;
    struct base base = {0};
    int rc = get_newest(store, &newest);
    if (rc != STORE_OK) {
        return fail(store, rc, err);
    }
    rc = place(store, when, &newest, now, &base, err);
    if (rc != STORE_OK) {
        return rc;
    }
    uint64_t key = how == RESOLVE_AT || when->steps > 0 ? base.at_key : base.before_key;
    if (base.after_now && key > newest.tid + 1) {
        return error_set(err, (enum store_error)RESOLVE_FUTURE, "cannot open a view in the future");
    }
    uint64_t seq;
    rc = seq_before(store, key, &newest, &seq);
    if (rc != STORE_OK) {
        return fail(store, rc, err);
    }
    *own_tid = when->kind == WHEN_TAG && base.before_key <= newest.tid ? base.before_key : 0;
    if (when->steps > 0) {
        /* From the newest transaction that the base shows, so many earlier; that one itself must be there. */
        if (when->steps >= seq) {
            return error_set(err, (enum store_error)RESOLVE_TOO_EARLY,
                             "that is before the first transaction: there are only %llu up to there",
                             (unsigned long long)seq);
        }
        seq -= when->steps;
        rc = transaction_tid(store, seq, own_tid);
        if (rc != STORE_OK) {
            return fail(store, rc, err);
        }
        seq -= how == RESOLVE_BEFORE ? 1 : 0;
    }
    resolved->before = seq + 1;
    resolved->moving = when->moving;
    resolved->settled = !when->moving && key <= newest.tid + 1;
    return STORE_OK;
}

int resolve_seq(struct store *store, const struct when *when, enum resolve_how how, struct timespec now,
                uint64_t *before, struct error *err) {
    struct resolved resolved;
    uint64_t own_tid;
    int rc = find(store, when, how, now, &resolved, &own_tid, err);
    if (rc == STORE_OK) {
        *before = resolved.before;
    }
    return rc;
}

int resolve_when(struct store *store, const struct when *when, enum resolve_how how, struct timespec now,
                 struct resolved *resolved, struct error *err) {
    struct resolved result = {0};
    uint64_t own_tid = 0;
    int rc = find(store, when, how, now, &result, &own_tid, err);
    if (rc == STORE_OK) {
        rc = refuse_packed(store, result.before, err);
    }
    if (rc == STORE_OK) {
        rc = describe(store, how, own_tid, &result, err);
    }
    if (rc == STORE_OK) {
        *resolved = result;
    }
    return rc;
}

int resolve_text(struct store *store, const char *text, size_t length, enum resolve_how how, struct timespec now,
                 struct resolved *resolved, struct error *err) {
    struct when when;
    int rc = when_parse(text, length, now, &when, err);
    return rc != STORE_OK ? rc : resolve_when(store, &when, how, now, resolved, err);
}

int resolve_check_tid(struct store *store, const struct when *when, struct timespec now, struct error *err) {
    struct newest newest;
    if (when->kind != WHEN_TID || when->tid == 0) {
        return STORE_OK;
    }
    int rc = get_newest(store, &newest);
    if (rc == STORE_OK && when->tid > newest.tid && compare_times(tid_to_time(when->tid), now) > 0) {
        return STORE_OK;
    }
    uint64_t found = 0;
    if (rc == STORE_OK && when->tid <= newest.tid) {
        struct transaction transaction;
        rc = storage_transaction_before(store_storage(store), when->tid + 1, &transaction);
        if (rc == STORE_OK) {
            found = transaction.tid;
            transaction_release(&transaction);
        }
    }
    if (rc < 0) {
        return fail(store, rc, err);
    }
    if (found == when->tid) {
        return STORE_OK;
    }
    char tid[TID_TEXT_SIZE];
    tid_format(when->tid, tid);
    return error_set(err, (enum store_error)RESOLVE_NO_TID,
                     "no transaction of this store has the tid %s; is it of another store? `tidfs log` lists them",
                     tid);
}

int resolve_errno(int code) {
    switch (code) {
    case RESOLVE_MALFORMED:
    case RESOLVE_FUTURE:
    case RESOLVE_NO_TAG:
    case RESOLVE_TOO_EARLY:
    case RESOLVE_NO_TID:
        return ENOENT;
    default:
        return store_error_errno(code);
    }
}
