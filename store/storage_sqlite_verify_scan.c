/* Scans of tables for verify, in slices: see storage_sqlite_verify.h. */
#include <string.h>
#include <time.h>

#include "store/storage_sqlite_verify.h"

/* A checkpoint that wants to start the write-ahead log over waits twice as long for readers. */
#define SLICE_NS 50000000

/* By what each scan goes on: columns of its rows, in the order of its statement's ORDER BY. */
static const struct {
    enum statement statement;
    size_t count;
    int columns[SCAN_KEYS_MAX];
} scans[] = {
    [SCAN_TRANSACTIONS] = {STATEMENT_SCAN_TRANSACTIONS, 1, {0}},
    [SCAN_REVISIONS] = {STATEMENT_SCAN_REVISIONS, 1, {0}},
    [SCAN_BODIES] = {STATEMENT_SCAN_BODIES, 1, {0}},
    [SCAN_ENTRIES] = {STATEMENT_SCAN_ENTRIES, 2, {0, 1}},
    [SCAN_PAST_ENTRIES] = {STATEMENT_SCAN_PAST_ENTRIES, 4, {0, 2, 5, 1}},
    [SCAN_SUBTREES] = {STATEMENT_SCAN_SUBTREES, 1, {0}},
};

static bool slice_is_over(const struct verify *verify) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)(now.tv_sec - verify->slice.tv_sec) * 1000000000 + (now.tv_nsec - verify->slice.tv_nsec) >=
           SLICE_NS;
}

int verify_begin_slice(struct verify *verify) {
    (void)clock_gettime(CLOCK_MONOTONIC, &verify->slice);
    return statement_run(verify->reader, STATEMENT_BEGIN, NULL, 0);
}

/* What was committed meanwhile may be seen from now on, so what limits it is read anew. */
static int next_slice(struct verify *verify) {
    /* A page that could not be read has ended the transaction already. */
    int rc = connection_rollback(verify->reader);
    if (rc == STORE_OK)
        rc = verify_begin_slice(verify);
    if (rc != STORE_OK)
        return rc;
    struct state_row state;
    rc = state_row_get(verify->reader, &state);
    if (rc == STORE_OK && verify->last_seq < state.last_seq) {
        verify->state = state;
        verify->last_seq = state.last_seq;
    }
    return rc == STORE_CORRUPT ? STORE_OK : rc; /* that was told */
}

int verify_next_slice(struct verify *verify) {
    return slice_is_over(verify) ? next_slice(verify) : STORE_OK;
}

/* Where to go on after the row; false if a damaged key does not tell. */
static bool note_place(struct verify_scan *scan) {
    for (size_t i = 0; i < scans[scan->id].count; i++) {
        struct value value = column_value(scan->statement, scans[scan->id].columns[i]);
        if (sqlite3_column_type(scan->statement, scans[scan->id].columns[i]) == SQLITE_BLOB &&
            value.length <= sizeof scan->name) {
            memcpy(scan->name, value.bytes, value.length);
            value = value_blob(scan->name, value.length);
        } else if (value.kind != VALUE_INTEGER) {
            return false;
        }
        scan->after[i] = value;
    }
    return true;
}

void verify_scan_begin(struct verify_scan *scan, enum verify_scan_id id) {
    *scan = (struct verify_scan){.id = id};
    for (size_t i = 0; i < scans[id].count; i++)
        scan->after[i] = value_integer((uint64_t)INT64_MIN); /* no key is as small */
}

int verify_scan_next(struct verify *verify, struct verify_scan *scan) {
    int rc = STORE_OK;
    if (scan->statement && slice_is_over(verify) && note_place(scan)) {
        statement_reset(scan->statement);
        scan->statement = NULL;
        rc = next_slice(verify);
    }
    if (rc == STORE_OK && !scan->statement)
        rc = statement_get(verify->reader, scans[scan->id].statement, scan->after, scans[scan->id].count,
                           &scan->statement);
    return rc == STORE_OK ? statement_step(verify->reader, scan->statement) : rc;
}

void verify_scan_close(struct verify_scan *scan) {
    statement_reset(scan->statement);
    scan->statement = NULL;
}
