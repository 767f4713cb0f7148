/* Rows out of pages. A row that has a checksum tells itself which table it is of: by its number of columns and by its checksum being right.
 *
 * Rows never change once they are written, but for those of `state`, of which the highest values count, of `tag`, and of `entry`, which move
 * to past_entry. So rows may be taken from any page, also one that no tree has any more.
 *
 * What has no checksum (indexes, and rows that are damaged) is kept as a hint of which rows are missing. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/storage_sqlite_page.h"
#include "store/storage_sqlite_repair.h"

#define PROGRESS_ROWS 4096

/* Roots of the trees whose entries are hints: in every store the same, for its tables are made in one order. */
struct roots {
    uint32_t all[64];
    size_t count;
    uint32_t revision, revision_oid, entry_name, entry_oid, past_entry_name, past_entry_oid, transaction_tid, subtree,
        meta;
};

struct salvage {
    struct repair *repair;
    struct roots roots;
    uint64_t pages;
    bool hints; /* the second pass */
};

static int find_roots(struct connection *db, struct roots *roots) {
    const struct {
        const char *name;
        uint32_t *root;
    } wanted[] = {
        {"revision", &roots->revision},
        {"revision_oid", &roots->revision_oid},
        {"entry_name", &roots->entry_name},
        {"entry_oid", &roots->entry_oid},
        {"past_entry_name", &roots->past_entry_name},
        {"past_entry_oid", &roots->past_entry_oid},
        {"sqlite_autoindex_txn_1", &roots->transaction_tid},
        {"subtree", &roots->subtree},
        {"meta", &roots->meta},
    };
    sqlite3_stmt *statement;
    int rc = statement_get(db, STATEMENT_ROOTS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(db, statement)) == STORE_OK) {
        uint32_t root = (uint32_t)column_integer(statement, 0);
        struct value name = column_value(statement, 1);
        if (roots->count < sizeof roots->all / sizeof roots->all[0])
            roots->all[roots->count++] = root;
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
            if (name.kind == VALUE_BLOB && name.length == strlen(wanted[i].name) &&
                memcmp(name.bytes, wanted[i].name, name.length) == 0)
                *wanted[i].root = root;
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* ---- rows ---- */

static bool all_integers(const struct value *values, size_t first, size_t end) {
    for (size_t i = first; i < end; i++)
        if (values[i].kind != VALUE_INTEGER)
            return false;
    return true;
}

static bool is_blob(const struct value *value) {
    return value->kind == VALUE_BLOB;
}

/* The kind of table that a row with such columns can only be of. */
enum shape {
    SHAPE_NONE,
    SHAPE_STATE,
    SHAPE_TRANSACTION,
    SHAPE_REVISION,
    SHAPE_BODY,
    SHAPE_MARK,
    SHAPE_LOSS,
    SHAPE_ENTRY,
    SHAPE_PAST_ENTRY,
    SHAPE_TAG,
    SHAPE_META,
};

static enum shape shape_of(const struct page_row *row) {
    const struct value *v = row->values;
    if (row->has_rowid) {
        if (row->count == 11 && all_integers(v, 1, 11))
            return SHAPE_STATE;
        if (row->count == 10 && all_integers(v, 1, 7) && all_integers(v, 9, 10))
            return SHAPE_TRANSACTION;
        if (row->count == 6 && all_integers(v, 1, 4) && v[4].kind != VALUE_INTEGER && all_integers(v, 5, 6))
            return SHAPE_REVISION;
        if (row->count == 3 && is_blob(&v[1]) && all_integers(v, 2, 3))
            return SHAPE_BODY;
        if (row->count == 3 && all_integers(v, 1, 3))
            return SHAPE_MARK;
        if (row->count == 7 && all_integers(v, 1, 7))
            return SHAPE_LOSS;
        return SHAPE_NONE;
    }
    if (row->count == 7 && all_integers(v, 0, 2) && is_blob(&v[2]) && all_integers(v, 3, 7))
        return SHAPE_ENTRY;
    if (row->count == 9 && all_integers(v, 0, 2) && is_blob(&v[2]) && all_integers(v, 3, 9))
        return SHAPE_PAST_ENTRY;
    if (row->count == 3 && v[0].kind == VALUE_TEXT && all_integers(v, 1, 3))
        return SHAPE_TAG;
    if (row->count == 2 && v[0].kind == VALUE_TEXT)
        return SHAPE_META;
    return SHAPE_NONE;
}

/* As the row's values are checked by row_is_sane: bytes are bytes. */
static void copy_as_bytes(const struct value *values, size_t count, struct value *copy) {
    for (size_t i = 0; i < count; i++) {
        copy[i] = values[i];
        if (copy[i].kind == VALUE_TEXT)
            copy[i].kind = VALUE_BLOB;
    }
}

static bool is_right(const struct page_row *row, size_t first, enum row_kind kind) {
    struct value bytes[PAGE_COLUMNS_MAX];
    size_t sum = row->count - 1;
    if (row->values[sum].integer != row_sum(row->values + first, sum - first))
        return false;
    copy_as_bytes(row->values + first, sum - first, bytes);
    return row_is_sane(kind, bytes);
}

static int put(struct salvage *salvage, enum statement id, const struct page_row *row) {
    int rc = statement_run(salvage->repair->db, id, row->values, row->count);
    if (rc == STORE_OK)
        salvage->repair->result->rows += (uint64_t)sqlite3_changes(salvage->repair->db->db);
    return rc;
}

static void take_highest(uint64_t *value, uint64_t found) {
    if (found > *value)
        *value = found;
}

/* Counters only ever grow, and so does the horizon. */
static void take_state(struct repair *repair, const struct value *v) {
    struct state_row *state = &repair->state;
    repair->state_found = true;
    take_highest(&state->next_oid, v[0].integer);
    take_highest(&state->next_revision, v[1].integer);
    take_highest(&state->next_body, v[2].integer);
    take_highest(&state->next_subtree, v[3].integer);
    if (v[4].integer > state->body_file || (v[4].integer == state->body_file && v[5].integer > state->body_end)) {
        state->body_file = v[4].integer;
        state->body_end = v[5].integer;
    }
    if (v[6].integer >= state->horizon) {
        state->horizon = v[6].integer;
        state->packed_at = (struct timespec){.tv_sec = (time_t)v[7].integer, .tv_nsec = (long)v[8].integer};
    }
}

static bool is_uuid(const struct value *value) {
    static const char form[] = "xxxxxxxx-xxxx-4xxx-xxxx-xxxxxxxxxxxx";
    if (value->kind != VALUE_TEXT || value->length != sizeof form - 1)
        return false;
    for (size_t i = 0; i < value->length; i++) {
        char c = ((const char *)value->bytes)[i];
        if (form[i] == 'x' ? !strchr("0123456789abcdef", c) || c == '\0' : c != form[i])
            return false;
    }
    return true;
}

static bool has_key(const struct value *key, const char *name) {
    return key->length == strlen(name) && memcmp(key->bytes, name, key->length) == 0;
}

/* These have no checksum, and are taken from the table's own page alone. */
static void take_meta(struct salvage *salvage, const struct page_row *row) {
    struct repair *repair = salvage->repair;
    const struct value *key = &row->values[0], *value = &row->values[1];
    if (row->root != salvage->roots.meta)
        return;
    if (has_key(key, "uuid") && is_uuid(value)) {
        memcpy(repair->uuid, value->bytes, value->length);
        repair->uuid_found = true;
    } else if (has_key(key, "created") && value->kind == VALUE_INTEGER && value->integer <= INT64_MAX) {
        repair->created = value->integer;
    } else if (has_key(key, "format") && value->kind == VALUE_INTEGER) {
        repair->format = value->integer;
    }
}

/* A name in a directory belongs to one entry at a time: an older one that is in the way is left from a page that is of no use any more, or its end
 * is lost. */
static int put_entry(struct salvage *salvage, const struct page_row *row) {
    struct connection *db = salvage->repair->db;
    struct value key[] = {row->values[0], row->values[2]};
    uint64_t other = 0;
    sqlite3_stmt *statement;
    int rc = statement_get(db, STATEMENT_ENTRY_BY_NAME, key, 2, &statement);
    if (rc == STORE_OK)
        rc = statement_step(db, statement);
    if (rc == STORE_OK)
        other = column_integer(statement, 1);
    statement_reset(statement);
    if (rc < 0 || other >= row->values[1].integer)
        return rc;
    return put(salvage, STATEMENT_SALVAGE_ENTRY, row);
}

/* What the index says goes before what the row says that is known to be damaged. */
static int put_revision_hint(struct connection *db, struct value id, struct value oid, struct value part,
                             struct value seq, bool prefer) {
    struct value values[] = {id, oid, part, seq, value_integer(prefer)};
    return statement_run(db, STATEMENT_HINT_REVISION_PUT, values, 5);
}

/* The columns that name a damaged row, if they can be believed. */
static int hint_of_damaged(struct salvage *salvage, const struct page_row *row, enum shape shape) {
    const struct value *v = row->values;
    struct connection *db = salvage->repair->db;
    switch (shape) {
    case SHAPE_TRANSACTION:
        return statement_run(db, STATEMENT_HINT_TIME_PUT, v, 2);
    case SHAPE_REVISION:
        return put_revision_hint(db, v[0], v[1], v[2], v[3], false);
    case SHAPE_ENTRY:
    case SHAPE_PAST_ENTRY:
        return statement_run(db, STATEMENT_HINT_ENTRY_PUT, v, 4);
    default:
        return STORE_OK;
    }
}

static int take_row(struct salvage *salvage, struct page_row *row) {
    enum shape shape = shape_of(row);
    if (shape == SHAPE_NONE || shape == SHAPE_META) {
        if (shape == SHAPE_META)
            take_meta(salvage, row);
        return STORE_OK;
    }
    if (row->has_rowid) {
        if (row->rowid > INT64_MAX || row->values[0].kind != VALUE_NULL)
            return STORE_OK;
        row->values[0] = value_integer(row->rowid);
    }
    switch (shape) {
    case SHAPE_STATE:
        if (is_right(row, 1, ROW_STATE))
            take_state(salvage->repair, row->values + 1);
        return STORE_OK;
    case SHAPE_TRANSACTION:
        return is_right(row, 0, ROW_TRANSACTION) ? put(salvage, STATEMENT_SALVAGE_TRANSACTION, row) : STORE_OK;
    case SHAPE_REVISION:
        return is_right(row, 0, ROW_REVISION) ? put(salvage, STATEMENT_SALVAGE_REVISION, row) : STORE_OK;
    case SHAPE_BODY:
        return row->values[2].integer == row_sum(row->values, 2) && row->rowid <= OID_MAX
                   ? put(salvage, STATEMENT_SALVAGE_BODY, row)
                   : STORE_OK;
    case SHAPE_LOSS:
        take_highest(&salvage->repair->next_loss, row->rowid + 1);
        return is_right(row, 0, ROW_LOSS) ? put(salvage, STATEMENT_SALVAGE_LOSS, row) : STORE_OK;
    case SHAPE_ENTRY:
        return is_right(row, 0, ROW_ENTRY) ? put_entry(salvage, row) : STORE_OK;
    case SHAPE_PAST_ENTRY:
        return is_right(row, 0, ROW_PAST_ENTRY) ? put(salvage, STATEMENT_SALVAGE_PAST_ENTRY, row) : STORE_OK;
    case SHAPE_TAG:
        return is_right(row, 0, ROW_TAG) ? put(salvage, STATEMENT_SALVAGE_TAG, row) : STORE_OK;
    case SHAPE_MARK:
        return row->root == salvage->roots.subtree && row->rowid <= OID_MAX ? put(salvage, STATEMENT_SALVAGE_MARK, row)
                                                                            : STORE_OK;
    default:
        return STORE_OK;
    }
}

/* ---- hints ---- */

static bool is_missing(struct salvage *salvage, enum statement id, const struct value *key, size_t count, int *rc) {
    uint64_t found;
    *rc = statement_integer(salvage->repair->db, id, key, count, &found);
    bool missing = *rc == STORE_ABSENT;
    *rc = missing ? STORE_OK : *rc;
    return missing;
}

/* An entry of the directory by its index: what is known of it, name or object. */
static int hint_of_entry(struct salvage *salvage, struct value parent, struct value index, struct value name,
                         struct value oid) {
    struct value values[] = {parent, index, name, oid};
    int rc;
    if (!is_missing(salvage, STATEMENT_HAS_ENTRY, values, 2, &rc))
        return rc;
    return statement_run(salvage->repair->db, STATEMENT_HINT_ENTRY_PUT, values, 4);
}

static int hint_of_index(struct salvage *salvage, const struct page_row *row) {
    static const struct value null = {.kind = VALUE_NULL};
    const struct roots *roots = &salvage->roots;
    const struct value *v = row->values;
    bool integers = all_integers(v, 0, row->count);
    int rc;
    if (row->root == roots->revision_oid && row->count == 4 && integers) {
        if (!is_missing(salvage, STATEMENT_REVISION_SEQ, &v[3], 1, &rc))
            return rc;
        return put_revision_hint(salvage->repair->db, v[3], v[0], v[1], v[2], true);
    }
    if (row->root == roots->transaction_tid && row->count == 2 && integers) {
        struct value values[] = {v[1], v[0]};
        return statement_run(salvage->repair->db, STATEMENT_HINT_TIME_PUT, values, 2);
    }
    if (row->root == roots->entry_name && row->count == 3 && is_blob(&v[1]))
        return hint_of_entry(salvage, v[0], v[2], v[1], null);
    if (row->root == roots->entry_oid && row->count == 3 && integers)
        return hint_of_entry(salvage, v[1], v[2], null, v[0]);
    if (row->root == roots->past_entry_name && row->count == 4 && is_blob(&v[1]))
        return hint_of_entry(salvage, v[0], v[3], v[1], null);
    if (row->root == roots->past_entry_oid && row->count == 4 && integers)
        return hint_of_entry(salvage, v[2], v[3], null, v[0]);
    return STORE_OK;
}

static int take_hint(struct salvage *salvage, struct page_row *row) {
    enum shape shape = shape_of(row);
    int rc = STORE_OK;
    if (!row->has_rowid && shape != SHAPE_ENTRY && shape != SHAPE_PAST_ENTRY)
        return hint_of_index(salvage, row);
    if (row->has_rowid)
        row->values[0] = value_integer(row->rowid);
    if (shape == SHAPE_REVISION && is_missing(salvage, STATEMENT_REVISION_SEQ, row->values, 1, &rc))
        return hint_of_damaged(salvage, row, shape);
    if (shape == SHAPE_TRANSACTION)
        return hint_of_damaged(salvage, row, shape);
    if ((shape == SHAPE_ENTRY || shape == SHAPE_PAST_ENTRY) &&
        is_missing(salvage, STATEMENT_HAS_ENTRY, row->values, 2, &rc))
        return hint_of_damaged(salvage, row, shape);
    return rc;
}

/* ---- the scan ---- */

static int take(void *context, const struct page_row *found) {
    struct salvage *salvage = context;
    struct page_row row = *found;
    repair_progress(salvage->repair, salvage->hints ? "looking for what is missing" : "salvaging", row.page,
                    salvage->pages);
    return salvage->hints ? take_hint(salvage, &row) : take_row(salvage, &row);
}

static int make_hint_tables(struct connection *db) {
    static const enum statement tables[] = {STATEMENT_HINT_REVISION_TABLE, STATEMENT_HINT_ENTRY_TABLE,
                                            STATEMENT_HINT_ENTRY_INDEX, STATEMENT_HINT_TIME_TABLE};
    int rc = STORE_OK;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && rc == STORE_OK; i++)
        rc = statement_run(db, tables[i], NULL, 0);
    return rc;
}

int repair_salvage(struct repair *repair, const char *path, struct error *err) {
    struct salvage salvage = {.repair = repair};
    struct page_file *file = NULL;
    int rc = find_roots(repair->db, &salvage.roots);
    if (rc == STORE_OK)
        rc = make_hint_tables(repair->db);
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "cannot make a new database for %s: %s", repair->directory,
                         store_error_text(rc));
    rc = page_file_open(path, salvage.roots.all, salvage.roots.count, &file, err);
    if (rc != STORE_OK)
        return rc;
    salvage.pages = page_file_count(file);
    repair->next_loss = 1;
    rc = page_file_scan(file, take, &salvage);
    repair->unreadable = page_file_unreadable(file);
    if (rc == STORE_OK)
        rc = statement_run(repair->db, STATEMENT_DROP_ENDED_ENTRIES, NULL, 0);
    if (rc == STORE_OK) {
        salvage.hints = true;
        rc = page_file_scan(file, take, &salvage);
    }
    repair->has_end = page_file_has_end(file, salvage.roots.revision);
    page_file_close(file);
    repair->first_loss = repair->next_loss;
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "cannot salvage %s: %s", repair->directory, store_error_text(rc));
    if (repair->result->rows == 0 && repair->unreadable > 0)
        return error_set(err, STORE_IO,
                         "%s: %" PRIu64 " pages cannot be read from the disk, and the others are of no use", path,
                         repair->unreadable);
    if (repair->result->rows == 0)
        return error_set(err, STORE_NOT_A_STORE, "there is nothing left of a store in %s", path);
    return STORE_OK;
}
