#include "history/log.h"

#include <string.h>
#include <sys/stat.h>

static int parse_last(struct store *store, const char *text, size_t length, struct timespec now, uint64_t *last,
                      struct error *err) {
    struct when when;
    uint64_t before;
    int rc = when_parse(text, length, now, &when, err);
    if (rc == STORE_OK) {
        rc = resolve_seq(store, &when, RESOLVE_AT, now, &before, err);
    }
    if (rc == STORE_OK) {
        *last = before - 1;
    }
    return rc;
}

static int parse_first(struct store *store, const char *text, size_t length, struct timespec now, uint64_t *first,
                       struct error *err) {
    struct when when;
    uint64_t before;
    int rc = when_parse(text, length, now, &when, err);
    if (rc == STORE_OK) {
        rc = resolve_seq(store, &when, RESOLVE_BEFORE, now, &before, err);
    }
    if (rc != STORE_OK) {
        return rc;
    }
    /* What lies just before a transaction is all but it. Just before `now`, however, is all there is; here it is
     * the newest transaction, as `now~1` is the one before that. */
    *first = when.kind == WHEN_NOW && when.steps == 0 && before > 1 ? before - 1 : before;
    return STORE_OK;
}

int log_parse_range(struct store *store, const char *text, struct timespec now, struct log_range *range,
                    struct error *err) {
    struct log_range parsed = {.first = 1, .last = store_last(store)};
    const char *dots = strstr(text, "..");
    const char *last = dots != NULL ? dots + 2 : text;
    int rc = STORE_OK;

    if (dots != NULL && dots != text) {
        rc = parse_first(store, text, (size_t)(dots - text), now, &parsed.first, err);
    }
    if (rc == STORE_OK && (dots == NULL || *last != '\0')) {
        rc = parse_last(store, last, strlen(last), now, &parsed.last, err);
    }
    if (rc == STORE_OK) {
        *range = parsed;
    }
    return rc;
}

/* Follows `path` as of `before`. *changed is the newest change of a directory on the way: since then the answer is the same. */
static int walk_path(struct store *store, const char *path, uint64_t before, uint64_t *oid, uint64_t *changed) {
    uint64_t at = ROOT_OID;

    *changed = 0;
    for (;;) {
        path += strspn(path, "/");
        size_t length = strcspn(path, "/");
        if (length == 0) {
            *oid = at;
            return STORE_OK;
        }
        struct inode_version *inode;
        int rc = store_inode(store, at, before, &inode);
        if (rc != STORE_OK) {
            return rc;
        }
        if (inode->cached.from > *changed) {
            *changed = inode->cached.from;
        }
        bool is_directory = S_ISDIR(inode->record.mode);
        store_release(store, inode);
        uint32_t type;
        rc = is_directory ? store_lookup(store, at, path, length, before, &at, &type) : STORE_ABSENT;
        if (rc != STORE_OK) {
            return rc;
        }
        path += length;
    }
}

int log_find_path(struct store *store, const char *path, uint64_t last, uint64_t *oid) {
    uint64_t before = last + 1;

    while (before > 1 && before > store_horizon(store)) {
        uint64_t changed;
        int rc = walk_path(store, path, before, oid, &changed);
        if (rc != STORE_ABSENT) {
            return rc;
        }
        before = changed;
    }
    return STORE_ABSENT;
}

void log_walk_init(struct log_walk *walk, struct store *store, const struct log_range *range, uint64_t oid) {
    uint64_t last = store_last(store);

    *walk = (struct log_walk){
        .store = store,
        .first = range->first,
        .before = (range->last < last ? range->last : last) + 1,
        .oid = oid,
    };
}

int log_walk_next(struct log_walk *walk, struct transaction *transaction) {
    struct storage *storage = store_storage(walk->store);
    uint64_t seq = walk->before - 1;

    if (walk->before <= 1 || seq < walk->first) {
        return STORE_ABSENT;
    }
    if (walk->oid != 0) {
        int rc = storage_touched(storage, walk->oid, walk->before, &seq);
        if (rc != STORE_OK) {
            return rc;
        }
        if (seq < walk->first) {
            return STORE_ABSENT;
        }
    }
    int rc = storage_transaction_at(storage, seq, transaction);
    if (rc == STORE_OK) {
        walk->before = seq;
    }
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc; /* seqs are dense */
}
