#include "history/log.h"

#include <stdlib.h>
#include <string.h>

#include "history/past.h"

/* ---- ranges ---- */

/* As it was typed: tids are those of transactions, and what lies in the future is told with its name. */
static int resolve_end(struct store *store, const char *text, size_t length, enum resolve_how how, struct timespec now,
                       struct when *when, uint64_t *before, struct error *err) {
    int rc = when_parse(text, length, now, when, err);
    if (rc == STORE_OK) {
        rc = resolve_check_tid(store, when, now, err);
    }
    if (rc == STORE_OK) {
        rc = resolve_seq(store, when, how, now, before, err);
    }
    if (rc == RESOLVE_FUTURE) {
        (void)error_set(err, (enum store_error)rc, "%.*s: cannot open a view in the future; `now` is the latest",
                        (int)length, text);
    }
    return rc;
}

int log_parse_last(struct store *store, const char *text, size_t length, struct timespec now, uint64_t *last,
                   struct error *err) {
    struct when when;
    uint64_t before;
    int rc = resolve_end(store, text, length, RESOLVE_AT, now, &when, &before, err);
    if (rc == RESOLVE_FUTURE && when.kind == WHEN_INSTANT && when.steps == 0) {
        before = store_last(store) + 1; /* the end of a year or a day that has not come to its end */
        rc = STORE_OK;
    }
    if (rc == STORE_OK) {
        *last = before - 1;
    }
    return rc;
}

int log_parse_first(struct store *store, const char *text, size_t length, struct timespec now, uint64_t *first,
                    struct error *err) {
    struct when when;
    uint64_t before;
    int rc = resolve_end(store, text, length, RESOLVE_BEFORE, now, &when, &before, err);
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
        rc = log_parse_first(store, text, (size_t)(dots - text), now, &parsed.first, err);
    }
    if (rc == STORE_OK && (dots == NULL || *last != '\0')) {
        rc = log_parse_last(store, last, strlen(last), now, &parsed.last, err);
    }
    if (rc == STORE_OK) {
        *range = parsed;
    }
    return rc;
}

int log_find_path(struct store *store, const char *path, uint64_t last, uint64_t *oid) {
    struct past_names names;
    int rc = past_names_load(store, path, last, &names);
    if (rc == STORE_OK) {
        *oid = names.items[0].oid;
        past_names_release(&names);
    }
    return rc;
}

/* ---- walks ---- */

/* One path of a walk. */
struct source {
    struct past_walk *past;
    uint64_t seq; /* what it tells next; 0: nothing any more */
};

struct log_walk {
    struct store *store;
    uint64_t next, end; /* without paths: from, and up to but without */
    bool reverse;
    struct source *sources; /* with paths, newest first */
    size_t source_count;
    uint64_t *seqs; /* with paths, oldest first: what is left, the last being the next */
    size_t seq_count;
    char **paths;
    size_t path_count, path_capacity;
};

static int add_path(struct log_walk *walk, const char *path) {
    for (size_t i = 0; i < walk->path_count; i++) {
        if (strcmp(walk->paths[i], path) == 0) {
            return STORE_OK;
        }
    }
    if (walk->path_count == walk->path_capacity) {
        size_t capacity = walk->path_capacity == 0 ? 8 : walk->path_capacity * 2;
        char **paths = reallocarray(walk->paths, capacity, sizeof *paths);
        if (paths == NULL) {
            return STORE_NO_MEMORY;
        }
        walk->paths = paths;
        walk->path_capacity = capacity;
    }
    walk->paths[walk->path_count] = strdup(path);
    if (walk->paths[walk->path_count] == NULL) {
        return STORE_NO_MEMORY;
    }
    walk->path_count++;
    return STORE_OK;
}

static int source_next(struct log_walk *walk, struct source *source) {
    int rc = past_walk_next_seq(source->past, &source->seq);
    if (rc == STORE_ABSENT) {
        source->seq = 0;
        return STORE_OK;
    }
    return rc == STORE_OK ? add_path(walk, past_walk_path(source->past)) : rc;
}

/* The newest transaction that a source tells; 0 if none does. */
static uint64_t newest(const struct log_walk *walk) {
    uint64_t seq = 0;
    for (size_t i = 0; i < walk->source_count; i++) {
        seq = walk->sources[i].seq > seq ? walk->sources[i].seq : seq;
    }
    return seq;
}

/* Goes on from that transaction. Those that tell it go on by one each, so that after an error the rest can be done again. */
static int pass(struct log_walk *walk, uint64_t seq) {
    int rc = STORE_OK;
    for (size_t i = 0; i < walk->source_count && rc == STORE_OK; i++) {
        if (walk->sources[i].seq == seq) {
            rc = source_next(walk, &walk->sources[i]);
        }
    }
    return rc;
}

static int collect(struct log_walk *walk) {
    size_t capacity = 0;
    for (uint64_t seq; (seq = newest(walk)) != 0;) {
        if (walk->seq_count == capacity) {
            capacity = capacity == 0 ? 64 : capacity * 2;
            uint64_t *seqs = reallocarray(walk->seqs, capacity, sizeof *seqs);
            if (seqs == NULL) {
                return STORE_NO_MEMORY;
            }
            walk->seqs = seqs;
        }
        walk->seqs[walk->seq_count++] = seq;
        int rc = pass(walk, seq);
        if (rc != STORE_OK) {
            return rc;
        }
    }
    return STORE_OK;
}

static int open_sources(struct log_walk *walk, const struct log_options *options, size_t *absent) {
    int rc = STORE_OK;
    walk->sources = calloc(options->path_count, sizeof *walk->sources);
    if (walk->sources == NULL) {
        return STORE_NO_MEMORY;
    }
    for (size_t i = 0; i < options->path_count && rc == STORE_OK; i++) {
        struct source *source = &walk->sources[i];
        rc = past_walk_open(walk->store, options->paths[i], options->range.first, options->range.last, options->follow,
                            &source->past);
        if (rc == STORE_OK) {
            walk->source_count++;
            rc = add_path(walk, past_walk_path(source->past));
        }
        if (rc == STORE_OK) {
            rc = source_next(walk, source);
        }
        if (rc == STORE_ABSENT || rc == STORE_LOST) {
            *absent = i;
        }
    }
    return rc;
}

int log_walk_open(struct store *store, const struct log_options *options, struct log_walk **walk, size_t *absent) {
    uint64_t last = store_last(store), first = options->range.first;
    int rc = STORE_OK;
    *walk = calloc(1, sizeof **walk);
    if (*walk == NULL) {
        return STORE_NO_MEMORY;
    }
    last = options->range.last < last ? options->range.last : last;
    first = first == 0 ? 1 : first;
    (*walk)->store = store;
    (*walk)->reverse = options->reverse;
    if (options->path_count > 0) {
        rc = open_sources(*walk, options, absent);
        if (rc == STORE_OK && options->reverse) {
            rc = collect(*walk);
        }
    } else if (first > last) {
        (*walk)->next = (*walk)->end = 0;
    } else if (options->reverse) {
        (*walk)->next = first;
        (*walk)->end = last + 1;
    } else {
        (*walk)->next = last;
        (*walk)->end = first - 1;
    }
    if (rc != STORE_OK) {
        log_walk_close(*walk);
        *walk = NULL;
    }
    return rc;
}

int log_walk_next(struct log_walk *walk, struct transaction *transaction) {
    bool paths = walk->sources != NULL;
    uint64_t seq;
    if (!paths) {
        seq = walk->next == walk->end ? 0 : walk->next;
    } else if (walk->reverse) {
        seq = walk->seq_count > 0 ? walk->seqs[walk->seq_count - 1] : 0;
    } else {
        seq = newest(walk);
    }
    if (seq == 0) {
        return STORE_ABSENT;
    }
    int rc = storage_transaction_at(store_storage(walk->store), seq, transaction);
    if (rc != STORE_OK) {
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc; /* seqs are dense */
    }
    if (!paths) {
        walk->next = walk->reverse ? seq + 1 : seq - 1;
    } else if (walk->reverse) {
        walk->seq_count--;
    } else {
        rc = pass(walk, seq);
        if (rc != STORE_OK) {
            transaction_release(transaction);
        }
    }
    return rc;
}

const char *const *log_walk_paths(const struct log_walk *walk, size_t *count) {
    *count = walk->path_count;
    return (const char *const *)walk->paths;
}

void log_walk_close(struct log_walk *walk) {
    if (walk == NULL) {
        return;
    }
    for (size_t i = 0; i < walk->source_count; i++) {
        past_walk_close(walk->sources[i].past);
    }
    for (size_t i = 0; i < walk->path_count; i++) {
        free(walk->paths[i]);
    }
    free(walk->paths);
    free(walk->sources);
    free(walk->seqs);
    free(walk);
}
