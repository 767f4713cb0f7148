/* Rows that are right by themselves and cannot be right beside the others: times that do not grow from transaction to transaction, revisions that are older
 * than those written before them. A disk does not do this under a right checksum; a hostile hand may. As many as can be true together are kept. */
#include <stdlib.h>

#include "store/array.h"
#include "store/storage_sqlite_repair_history.h"
#include "store/tid.h"

#define NEVER UINT64_MAX /* a key of what is not kept in any case */

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
    for (size_t i = longest > 0 ? ends[longest - 1] : 0; longest > 0; longest--, i = before[i])
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

/* Runs `id`, of which `key_of` makes a key of each row; the first column names the row. */
static int order(struct history *history, enum statement id, uint64_t (*key_of)(sqlite3_stmt *row),
                 enum statement forget) {
    struct rows rows = {0};
    uint64_t highest = 0;
    bool ordered = true;
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(history->db, id, NULL, 0, &statement);
    while (rc == STORE_OK && ordered && (rc = statement_step(history->db, statement)) == STORE_OK) {
        uint64_t key = key_of(statement);
        ordered = key >= highest && key != NEVER;
        highest = key;
    }
    statement_reset(statement);
    if (rc == STORE_OK) /* not ordered: only now is memory needed */
        rc = statement_get(history->db, id, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK)
        rc = add_row(&rows, column_integer(statement, 0), key_of(statement));
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        rc = ordered ? STORE_OK : drop_others(history, &rows, forget);
    free(rows.ids);
    free(rows.keys);
    return rc;
}

/* Those between two transactions need a tid each, so that the tid less the seq does not descend; nor is it below 0. After the last tid there is no next one. */
static uint64_t time_key(sqlite3_stmt *row) {
    uint64_t seq = column_integer(row, 0), tid = column_integer(row, 1);
    return tid >= seq && tid < TID_MAX ? tid - seq : NEVER;
}

static uint64_t seq_key(sqlite3_stmt *row) {
    return column_integer(row, 3);
}

int order_rows(struct history *history) {
    int rc = order(history, STATEMENT_ALL_TRANSACTIONS, time_key, STATEMENT_FORGET_TRANSACTION);
    return rc == STORE_OK ? order(history, STATEMENT_REVISION_KEYS, seq_key, STATEMENT_FORGET_REVISION) : rc;
}
