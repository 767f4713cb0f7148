/* Rows that are right by themselves and cannot be right beside the others: times that do not grow from transaction to transaction, revisions that are older
 * than those written before them, or newer than as many transactions later as there are ids between. A disk does not do this under a right checksum; a
 * hostile hand may. As many as can be true together are kept.
 *
 * What is kept then tells how far seqs can reach at all, also those of hints, entries and marks. */
#include <stdlib.h>

#include "store/array.h"
#include "store/storage_sqlite_repair_history.h"

#define NEVER         UINT64_MAX /* a key of what is not kept in any case */
#define ROWS_OF_PAGE  64         /* revisions, or transactions, that one page may have had */
#define MISSING_LEAST 10000      /* so many transactions may be missing from any store, for most of its pages may be */

/* The longest part of a sequence of keys that never descends, by patience sorting: ends[k] is the one of lowest key that k others can come before. */
static int choose(const uint64_t *keys, size_t count, bool *kept) {
    size_t *ends = calloc(2 * count + 1, sizeof *ends), *before = ends ? ends + count : NULL, longest = 0;
    if (!ends)
        return STORE_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        size_t low = 0, high = longest;
        while (low < high) {
            size_t middle = low + (high - low) / 2;
            if (keys[ends[middle]] <= keys[i])
                low = middle + 1;
            else
                high = middle;
        }
        if (keys[i] == NEVER)
            continue;
        before[i] = low > 0 ? ends[low - 1] : i;
        ends[low] = i;
        longest += low == longest;
    }
    for (size_t i = ends[longest - (longest > 0)]; longest > 0; longest--, i = before[i])
        kept[i] = true;
    free(ends);
    return STORE_OK;
}

struct rows {
    uint64_t *ids, *keys;
    size_t count, id_capacity, key_capacity;
};

static int add_row(struct rows *rows, uint64_t id, uint64_t key) {
    uint64_t *ids = array_grow(rows->ids, &rows->id_capacity, rows->count, sizeof *ids);
    rows->ids = ids ? ids : rows->ids;
    uint64_t *keys = array_grow(rows->keys, &rows->key_capacity, rows->count, sizeof *keys);
    rows->keys = keys ? keys : rows->keys;
    if (!ids || !keys)
        return STORE_NO_MEMORY;
    ids[rows->count] = id;
    keys[rows->count++] = key;
    return STORE_OK;
}

/* Takes away, with `forget`, the rows that are not chosen. */
static int drop_others(struct history *history, const struct rows *rows, enum statement forget) {
    bool *kept = calloc(rows->count + 1, sizeof *kept);
    int rc = kept ? choose(rows->keys, rows->count, kept) : STORE_NO_MEMORY;
    for (size_t i = 0; i < rows->count && rc == STORE_OK; i++) {
        struct value id = value_integer(rows->ids[i]);
        if (!kept[i])
            rc = statement_run(history->db, forget, &id, 1);
    }
    free(kept);
    return rc;
}

/* Rows are read by `id`, and by `sorted` once they are known to be in disorder. `key_of` makes the key of a row, of which the first column names it. They
 * are in order if neither their keys nor their seqs descend. */
struct ordering {
    enum statement id, sorted, forget;
    int seq_column;
    uint64_t (*key_of)(sqlite3_stmt *row);
};

static int is_ordered(struct history *history, const struct ordering *ordering, bool *ordered) {
    uint64_t highest = 0, seq = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(history->db, ordering->id, NULL, 0, &statement);
    *ordered = true;
    while (rc == STORE_OK && *ordered && (rc = statement_step(history->db, statement)) == STORE_OK) {
        uint64_t key = ordering->key_of(statement), this_seq = column_integer(statement, ordering->seq_column);
        *ordered = key >= highest && key != NEVER && this_seq >= seq;
        highest = key;
        seq = this_seq;
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Only what is in disorder takes memory. */
static int order(struct history *history, const struct ordering *ordering) {
    struct rows rows = {0};
    bool ordered = false;
    sqlite3_stmt *statement = NULL;
    int rc = is_ordered(history, ordering, &ordered);
    if (rc != STORE_OK || ordered)
        return rc;
    rc = statement_get(history->db, ordering->sorted, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK)
        rc = add_row(&rows, column_integer(statement, 0), ordering->key_of(statement));
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        rc = drop_others(history, &rows, ordering->forget);
    free(rows.ids);
    free(rows.keys);
    return rc;
}

/* Those between two transactions need a tid each, so that the tid less the seq does not descend; nor is it below 0. */
static uint64_t time_key(sqlite3_stmt *row) {
    uint64_t seq = column_integer(row, 0), tid = column_integer(row, 1);
    return tid >= seq ? tid - seq : NEVER;
}

/* And a revision id each. */
static uint64_t id_key(sqlite3_stmt *row) {
    uint64_t id = column_integer(row, 0), seq = column_integer(row, 3);
    return id >= seq ? id - seq : NEVER;
}

int order_rows(struct history *history) {
    static const struct ordering transactions = {.id = STATEMENT_ALL_TRANSACTIONS,
                                                 .sorted = STATEMENT_ALL_TRANSACTIONS,
                                                 .forget = STATEMENT_FORGET_TRANSACTION,
                                                 .seq_column = 0,
                                                 .key_of = time_key};
    static const struct ordering revisions = {.id = STATEMENT_REVISION_KEYS,
                                              .sorted = STATEMENT_REVISION_KEYS_BY_SEQ,
                                              .forget = STATEMENT_FORGET_REVISION,
                                              .seq_column = 3,
                                              .key_of = id_key};
    int rc = order(history, &transactions);
    return rc == STORE_OK ? order(history, &revisions) : rc;
}

/* ---- how far seqs can reach ---- */

static uint64_t missing_most(const struct repair *repair) {
    uint64_t most = repair->pages * ROWS_OF_PAGE;
    return most > MISSING_LEAST ? most : MISSING_LEAST;
}

/* Transactions behind all that ids tell of. The state tells all ids; if it is lost, or an older one, what the pages had that are lost with it. */
static uint64_t unknown_most(const struct repair *repair) {
    if (repair->log_damaged)
        return repair->log.lost * ROWS_OF_PAGE;
    bool all_known = repair->state_found || repair->has_end || (repair->has_index && repair->gap_count == 0);
    return all_known ? 0 : repair->pages * ROWS_OF_PAGE;
}

static int last_revision(struct history *history, uint64_t *id, uint64_t *seq) {
    sqlite3_stmt *statement = NULL;
    *id = *seq = 0;
    int rc = statement_get(history->db, STATEMENT_LAST_REVISION, NULL, 0, &statement);
    if (rc == STORE_OK)
        rc = statement_step(history->db, statement);
    if (rc == STORE_OK) {
        *id = column_integer(statement, 0);
        *seq = column_integer(statement, 1);
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* The highest id that was given, as far as anything tells that is not absurd; `last` is the one of a revision that is there. */
static int find_last_id(struct history *history, uint64_t last, uint64_t *id) {
    struct repair *repair = history->repair;
    bool certain = repair->state_found && !repair->log_damaged;
    uint64_t first = 0, hinted = 0;
    *id = repair->state_found && repair->state.next_revision > last ? repair->state.next_revision - 1 : last;
    struct value most = value_integer(certain ? *id : *id + missing_most(repair));
    int rc = statement_run(history->db, STATEMENT_FORGET_HINTED_IDS_BEYOND, &most, 1);
    if (rc == STORE_OK && certain)
        return rc;
    if (rc == STORE_OK)
        rc = statement_integer(history->db, STATEMENT_HIGHEST_REVISION, NULL, 0, &hinted);
    if (rc == STORE_OK)
        rc = statement_integer(history->db, STATEMENT_HIGHEST_FIRST_REVISION, &most, 1, &first);
    *id = hinted > *id ? hinted : *id;
    *id = first > *id ? first : *id;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Ends before the gap with which more transactions would be missing than any store of this size had: numbers that agree and are absurd all the same. */
static int limit_missing(struct history *history) {
    uint64_t room = missing_most(history->repair), previous = 0, count = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_integer(history->db, STATEMENT_COUNT_TRANSACTIONS, NULL, 0, &count);
    if (rc != STORE_OK || history->reach <= count + room)
        return rc;
    rc = statement_get(history->db, STATEMENT_ALL_SEQS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        uint64_t seq = column_integer(statement, 0);
        if (seq > history->reach || seq - previous - 1 > room)
            break;
        room -= seq - previous - 1;
        previous = seq;
    }
    statement_reset(statement);
    if (history->reach > previous + room)
        history->reach = previous + room;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

int order_bound(struct history *history) {
    static const enum statement forget[] = {STATEMENT_FORGET_TRANSACTIONS_BEYOND, STATEMENT_FORGET_ENTRIES_BEYOND,
                                            STATEMENT_FORGET_PAST_ENTRIES_BEYOND, STATEMENT_FORGET_TIMES_BEYOND,
                                            STATEMENT_FORGET_HINTED_SEQS_BEYOND,  STATEMENT_FORGET_REVISIONS_BEYOND};
    uint64_t revision = 0, seq = 0, id = 0;
    int rc = last_revision(history, &revision, &seq);
    if (rc == STORE_OK)
        rc = find_last_id(history, revision, &id);
    history->reach = seq + (id - revision) + unknown_most(history->repair);
    if (rc == STORE_OK)
        rc = limit_missing(history);
    struct value reach = value_integer(history->reach);
    for (size_t i = 0; i < sizeof forget / sizeof forget[0] && rc == STORE_OK; i++)
        rc = statement_run(history->db, forget[i], &reach, 1);
    return rc;
}
