/* Rows out of pages. A row that has a checksum tells itself which table it is of: by its number of columns and by its checksum being right.
 *
 * Rows never change once they are written, but for those of `state`, of which the highest values count, of `tag`, and of `entry`, which move
 * to past_entry. So rows may be taken from any page, also one that no tree has any more.
 *
 * What has no checksum (indexes, and rows that are damaged) is kept as a hint of which rows are missing. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/array.h"
#include "store/record.h"
#include "store/storage_sqlite_page.h"
#include "store/storage_sqlite_repair.h"

#define PROGRESS_ROWS 4096

/* Roots of the trees whose entries are hints: in every store the same, for its tables are made in one order. */
struct roots {
    uint32_t all[64];
    size_t count;
    uint32_t revision, revision_oid, entry, tag, loss, entry_name, entry_oid, past_entry_name, past_entry_oid,
        transaction_tid, subtree, meta;
};

struct salvage {
    struct repair *repair;
    struct roots roots;
    uint64_t pages;
    bool newest; /* these are the newest pages there are */
    bool hints;  /* the second pass over them */
    bool knows_free;
    struct index_key key; /* the last one of the walk through the index of revisions */
    bool in_gap;
    struct tag *tags; /* that are damaged; their names alone */
    size_t tag_count, tag_capacity;
    bool tags_unknown; /* others may be lost */
};

static int find_roots(struct connection *db, struct roots *roots) {
    const struct {
        const char *name;
        uint32_t *root;
    } wanted[] = {
        {"revision", &roots->revision},
        {"revision_oid", &roots->revision_oid},
        {"entry", &roots->entry},
        {"tag", &roots->tag},
        {"loss", &roots->loss},
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
        assert(roots->count < sizeof roots->all / sizeof roots->all[0]); /* the new database has our own tables alone */
        roots->all[roots->count++] = root;
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
            if (name.length == strlen(wanted[i].name) && memcmp(name.bytes, wanted[i].name, name.length) == 0)
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

static void take_counter(uint64_t *counter, uint64_t found) {
    if (found <= BELIEVED_ID_MAX + 1)
        take_highest(counter, found);
}

/* Counters only ever grow, and so does the horizon. */
static void take_state(struct repair *repair, const struct value *v) {
    struct state_row *state = &repair->state;
    repair->state_found = true;
    take_counter(&state->next_oid, v[0].integer);
    take_counter(&state->next_revision, v[1].integer);
    take_counter(&state->next_body, v[2].integer);
    take_counter(&state->next_subtree, v[3].integer);
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
        repair->format_certain = row->page_right;
    }
}

/* The names of tags that earlier repairs have put on record. */
static int take_lost_tag(struct salvage *salvage, const struct page_row *row) {
    const struct value *key = &row->values[0];
    if (row->root != salvage->roots.meta || !row->page_right || row->values[1].kind != VALUE_TEXT ||
        row->values[1].length > TAG_NAME_MAX || key->length <= strlen(LOSS_TAG_KEY) ||
        key->length >= LOSS_TAG_KEY_SIZE || memcmp(key->bytes, LOSS_TAG_KEY, strlen(LOSS_TAG_KEY)) != 0)
        return STORE_OK;
    /* The loss itself may be damaged: no other gets its id, and with it the name. */
    char id[LOSS_TAG_KEY_SIZE] = "";
    memcpy(id, (const char *)key->bytes + strlen(LOSS_TAG_KEY), key->length - strlen(LOSS_TAG_KEY));
    uint64_t number = strtoull(id, NULL, 10);
    if (number > BELIEVED_ID_MAX)
        return STORE_OK;
    take_highest(&salvage->repair->next_loss, number + 1);
    return statement_run(salvage->repair->db, STATEMENT_META_PUT, row->values, 2);
}

static bool is_missing(struct salvage *salvage, enum statement id, const struct value *key, size_t count, int *rc) {
    uint64_t found;
    *rc = statement_integer(salvage->repair->db, id, key, count, &found);
    bool missing = *rc == STORE_ABSENT;
    *rc = missing ? STORE_OK : *rc;
    return missing;
}

/* Nothing tells which of the names of a directory lived from `seq` until `until`. */
static int note_displaced(struct repair *repair, uint64_t directory, uint64_t seq, uint64_t until) {
    struct loss *grown =
        array_grow(repair->displaced, &repair->displaced_capacity, repair->displaced_count, sizeof *grown);
    if (!grown)
        return STORE_NO_MEMORY;
    repair->displaced = grown;
    repair->displaced[repair->displaced_count++] =
        (struct loss){.kind = LOSS_ENTRIES, .oid = directory, .part = LOSS_NAMES_MISSING, .seq = seq, .until = until};
    return STORE_OK;
}

/* An entry that another one of its name has followed, and whose end is lost: it lived as long as is certain, which is up to the damaged part of the log. */
static int end_older(struct salvage *salvage, const struct entry *older, uint64_t followed) {
    struct connection *db = salvage->repair->db;
    struct value key[] = {value_integer(older->parent), value_integer(older->index)};
    uint64_t died = salvage->repair->index_seq + 1;
    int rc = STORE_OK;
    if (older->born < died && is_missing(salvage, STATEMENT_HAS_PAST_ENTRY, key, 2, &rc)) {
        rc = past_entry_row_insert(db, older, died);
        if (rc == STORE_OK && followed > died)
            rc = note_displaced(salvage->repair, older->parent, died, followed);
    }
    return rc == STORE_OK ? statement_run(db, STATEMENT_ENTRY_DELETE, key, 2) : rc;
}

/* A name in a directory belongs to one entry at a time: an older one that is in the way is left from a page that is of no use any more, or its end
 * is lost. */
static int put_entry(struct salvage *salvage, const struct page_row *row) {
    struct repair *repair = salvage->repair;
    struct value key[] = {row->values[0], row->values[2]};
    struct entry_row other;
    sqlite3_stmt *statement;
    if (row->root != salvage->roots.entry && !salvage->knows_free)
        repair->names_seq = 0;
    int rc = statement_get(repair->db, STATEMENT_ENTRY_BY_NAME, key, 2, &statement);
    if (rc == STORE_OK)
        rc = statement_step(repair->db, statement);
    if (rc == STORE_OK)
        rc = entry_row_decode(repair->db, statement, &other);
    bool follows = rc == STORE_OK && other.entry.index < row->values[1].integer;
    if (follows && repair->log_damaged && salvage->newest) {
        char name[NAME_BYTES_MAX];
        memcpy(name, other.entry.name, other.entry.name_length);
        other.entry.name = name;
        statement_reset(statement);
        rc = end_older(salvage, &other.entry, row->values[5].integer);
    }
    statement_reset(statement);
    if (rc < 0 || (rc == STORE_OK && !follows))
        return rc;
    return put(salvage, STATEMENT_SALVAGE_ENTRY, row);
}

/* What no revision can be is no hint of one. certain: the index itself has it. Others may tell of another revision. */
static int put_revision_hint(struct connection *db, struct value id, struct value oid, struct value part,
                             struct value seq, bool certain) {
    if (id.integer > BELIEVED_ID_MAX || oid.integer < ROOT_OID || oid.integer > BELIEVED_ID_MAX ||
        part.integer > INT64_MAX || seq.integer > SEQ_MAX)
        return STORE_OK;
    struct value values[] = {id, oid, part, seq, value_integer(certain)};
    return statement_run(db, STATEMENT_HINT_REVISION_PUT, values, 5);
}

/* The columns that name a damaged row, of a revision or an entry, if they can be believed. */
static int hint_of_damaged(struct salvage *salvage, const struct page_row *row, enum shape shape) {
    const struct value *v = row->values;
    struct connection *db = salvage->repair->db;
    return shape == SHAPE_REVISION ? put_revision_hint(db, v[0], v[1], v[2], v[3], false)
                                   : statement_run(db, STATEMENT_HINT_ENTRY_PUT, v, 4);
}

/* The root is a directory at all times, and never ends; what says otherwise is of another object. */
static bool is_of_other_than_root(const struct value *v) {
    struct inode_record record;
    if (v[1].integer != ROOT_OID || v[2].integer != PART_INODE)
        return false;
    if (v[4].kind == VALUE_NULL)
        return true;
    if (inode_record_decode(v[4].bytes, v[4].length, &record) != STORE_OK)
        return false;
    bool other = !S_ISDIR(record.mode);
    inode_record_release(&record);
    return other;
}

/* Whether a row that is right by its checksum can be at all, and its numbers leave room for those that the repaired store will need. */
static bool is_believable(const struct page_row *row, enum shape shape) {
    const struct value *v = row->values;
    switch (shape) {
    case SHAPE_TRANSACTION:
        return v[1].integer <= BELIEVED_TID_MAX;
    case SHAPE_REVISION:
        return v[0].integer <= BELIEVED_ID_MAX && v[1].integer <= BELIEVED_ID_MAX && !is_of_other_than_root(v);
    case SHAPE_BODY:
    case SHAPE_MARK:
    case SHAPE_LOSS:
        return v[0].integer <= BELIEVED_ID_MAX;
    case SHAPE_ENTRY:
    case SHAPE_PAST_ENTRY:
        return v[0].integer <= BELIEVED_ID_MAX && v[1].integer <= BELIEVED_INDEX_MAX && v[3].integer <= BELIEVED_ID_MAX;
    default:
        return true;
    }
}

static int take_row(struct salvage *salvage, struct page_row *row) {
    enum shape shape = shape_of(row);
    if (shape == SHAPE_NONE || shape == SHAPE_META) {
        if (shape == SHAPE_META)
            take_meta(salvage, row);
        return shape == SHAPE_META ? take_lost_tag(salvage, row) : STORE_OK;
    }
    if (row->has_rowid) {
        if (row->rowid > INT64_MAX || row->values[0].kind != VALUE_NULL)
            return STORE_OK;
        row->values[0] = value_integer(row->rowid);
    }
    if (!is_believable(row, shape))
        return STORE_OK;
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
        return row->values[2].integer == row_sum(row->values, 2) ? put(salvage, STATEMENT_SALVAGE_BODY, row) : STORE_OK;
    case SHAPE_LOSS:
        take_highest(&salvage->repair->next_loss, row->rowid + 1);
        return is_right(row, 0, ROW_LOSS) ? put(salvage, STATEMENT_SALVAGE_LOSS, row) : STORE_OK;
    case SHAPE_ENTRY:
        return is_right(row, 0, ROW_ENTRY) ? put_entry(salvage, row) : STORE_OK;
    case SHAPE_PAST_ENTRY:
        return is_right(row, 0, ROW_PAST_ENTRY) ? put(salvage, STATEMENT_SALVAGE_PAST_ENTRY, row) : STORE_OK;
    case SHAPE_TAG:
        return is_right(row, 0, ROW_TAG) ? put(salvage, STATEMENT_SALVAGE_TAG, row) : STORE_OK;
    default: /* SHAPE_MARK */
        return row->root == salvage->roots.subtree && row->page_right ? put(salvage, STATEMENT_SALVAGE_MARK, row)
                                                                      : STORE_OK;
    }
}

/* ---- tags that are lost ---- */

/* Remembers the name of a damaged tag, if it can be one. */
static int take_tag(void *context, const struct page_row *row) {
    struct salvage *salvage = context;
    enum shape shape = row ? shape_of(row) : SHAPE_NONE;
    if (shape == SHAPE_TAG && is_right(row, 0, ROW_TAG))
        return STORE_OK;
    const struct value *name = shape == SHAPE_TAG ? &row->values[0] : NULL;
    if (!name || name->length == 0 || name->length > TAG_NAME_MAX || memchr(name->bytes, '\0', name->length)) {
        salvage->tags_unknown = true;
        return STORE_OK;
    }
    struct tag *grown = array_grow(salvage->tags, &salvage->tag_capacity, salvage->tag_count, sizeof *grown);
    if (!grown)
        return STORE_NO_MEMORY;
    salvage->tags = grown;
    memcpy(grown[salvage->tag_count].name, name->bytes, name->length);
    grown[salvage->tag_count++].name[name->length] = '\0';
    return STORE_OK;
}

static int lose_tag(struct salvage *salvage, const char *name) {
    struct repair *repair = salvage->repair;
    char key[LOSS_TAG_KEY_SIZE];
    struct value values[] = {value_text(key, loss_tag_key(repair->next_loss, key)), value_text(name, strlen(name))};
    sqlite3_stmt *statement;
    int rc = statement_get(repair->db, STATEMENT_TAG_GET, &values[1], 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(repair->db, statement);
    statement_reset(statement);
    if (rc != STORE_ABSENT) /* it was right elsewhere */
        return rc;
    rc = statement_run(repair->db, STATEMENT_META_PUT, values, 2);
    return rc == STORE_OK ? repair_lose(repair, &(struct loss){.kind = LOSS_TAG}) : rc;
}

/* Puts on record what the table of tags has lost: damaged rows, and pages that cannot be believed. */
static int lose_tags(struct salvage *salvage, struct page_file *file) {
    int rc = page_file_walk(file, salvage->roots.tag, take_tag, salvage);
    for (size_t i = 0; i < salvage->tag_count && rc == STORE_OK; i++)
        rc = lose_tag(salvage, salvage->tags[i].name);
    if (rc == STORE_OK && salvage->tags_unknown)
        rc = repair_lose(salvage->repair, &(struct loss){.kind = LOSS_TAG});
    return rc;
}

/* ---- hints ---- */

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
        return put_revision_hint(salvage->repair->db, v[3], v[0], v[1], v[2], false);
    }
    if (row->root == roots->transaction_tid && row->count == 2 && integers && row->page_right &&
        v[1].integer <= SEQ_MAX && v[0].integer <= INT64_MAX) {
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
    if (shape == SHAPE_TAG && row->root == salvage->roots.tag && !row->page_right)
        return take_tag(salvage, row);
    if (!row->has_rowid && shape != SHAPE_ENTRY && shape != SHAPE_PAST_ENTRY)
        return hint_of_index(salvage, row);
    if (row->has_rowid)
        row->values[0] = value_integer(row->rowid);
    if (shape == SHAPE_REVISION && is_missing(salvage, STATEMENT_REVISION_SEQ, row->values, 1, &rc))
        return hint_of_damaged(salvage, row, shape);
    if ((shape == SHAPE_ENTRY || shape == SHAPE_PAST_ENTRY) &&
        is_missing(salvage, STATEMENT_HAS_ENTRY, row->values, 2, &rc))
        return hint_of_damaged(salvage, row, shape);
    return rc;
}

/* ---- the index of revisions ---- */

static int add_gap(struct repair *repair, const struct index_key *first, const struct index_key *last) {
    struct index_gap *grown = array_grow(repair->gaps, &repair->gap_capacity, repair->gap_count, sizeof *grown);
    if (!grown)
        return STORE_NO_MEMORY;
    repair->gaps = grown;
    repair->gaps[repair->gap_count++] = (struct index_gap){.first = *first, .last = *last};
    return STORE_OK;
}

static int take_index(void *context, const struct page_row *row) {
    struct salvage *salvage = context;
    struct repair *repair = salvage->repair;
    int rc = STORE_OK;
    if (!row || row->count != 4 || !all_integers(row->values, 0, 4) || row->values[0].integer < salvage->key.oid) {
        salvage->in_gap = true;
        return STORE_OK;
    }
    const struct value *v = row->values;
    const struct index_key key = {.oid = v[0].integer, .part = v[1].integer, .seq = v[2].integer};
    if (salvage->in_gap)
        rc = add_gap(repair, &salvage->key, &key);
    salvage->in_gap = false;
    salvage->key = key;
    if (rc == STORE_OK && is_missing(salvage, STATEMENT_REVISION_SEQ, &v[3], 1, &rc))
        rc = put_revision_hint(repair->db, v[3], v[0], v[1], v[2], true);
    return rc;
}

/* What an earlier repair has put on record is not in the index it made. */
static bool has_all_losses(const struct salvage *salvage, struct page_file *file, int *rc) {
    const struct repair *repair = salvage->repair;
    uint64_t count = 0;
    if (repair->format == FORMAT_VERSION_NEW && repair->format_certain)
        return true;
    *rc = statement_integer(repair->db, STATEMENT_COUNT_LOSSES, NULL, 0, &count);
    return *rc == STORE_OK && count + 1 == repair->next_loss && page_file_has_end(file, salvage->roots.loss);
}

static int read_index(struct salvage *salvage, struct page_file *file) {
    struct repair *repair = salvage->repair;
    const struct index_key end = {.oid = UINT64_MAX};
    int rc = STORE_OK;
    if (!has_all_losses(salvage, file, &rc))
        return rc;
    rc = page_file_walk(file, salvage->roots.revision_oid, take_index, salvage);
    if (rc == STORE_OK && salvage->in_gap)
        rc = add_gap(repair, &salvage->key, &end);
    repair->has_index = rc == STORE_OK;
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

/* Rows of what was there before the damaged part of the log. A tag may have changed since. */
static int take_older(void *context, const struct page_row *found) {
    struct page_row row = *found;
    return shape_of(&row) == SHAPE_TAG ? STORE_OK : take(context, &row);
}

static int salvage_older(struct salvage *salvage, struct page_file *file) {
    struct repair *repair = salvage->repair;
    int rc = page_file_scan(file, take_older, salvage);
    if (rc == STORE_OK)
        rc = statement_integer(repair->db, STATEMENT_HIGHEST_SEQ, NULL, 0, &repair->index_seq);
    if (repair->names_seq > repair->index_seq)
        repair->names_seq = repair->index_seq;
    return rc == STORE_OK ? read_index(salvage, file) : rc;
}

/* The newest pages there are: all rows, then hints of what is missing. */
static int salvage_newest(struct salvage *salvage, struct page_file *file) {
    struct repair *repair = salvage->repair;
    salvage->newest = true;
    int rc = page_file_scan(file, take, salvage);
    repair->unreadable = page_file_unreadable(file);
    repair->pages = salvage->pages;
    if (rc == STORE_OK)
        rc = statement_run(repair->db, STATEMENT_DROP_ENDED_ENTRIES, NULL, 0);
    if (rc == STORE_OK) {
        salvage->hints = true;
        rc = page_file_scan(file, take, salvage);
    }
    if (rc == STORE_OK && !repair->log_damaged)
        rc = read_index(salvage, file);
    repair->has_end = page_file_has_end(file, salvage->roots.revision);
    repair->first_loss = repair->next_loss;
    return rc == STORE_OK ? lose_tags(salvage, file) : rc;
}

static int open_pages(struct salvage *salvage, const char *path, struct page_file **file, struct error *err) {
    int rc = page_file_open(path, salvage->roots.all, salvage->roots.count, file, err);
    if (rc == STORE_OK) {
        salvage->pages = page_file_count(*file);
        salvage->knows_free = page_file_knows_free(*file);
    }
    return rc;
}

int repair_salvage(struct repair *repair, const char *path, const char *merged_from, struct error *err) {
    struct salvage salvage = {.repair = repair};
    struct page_file *file = NULL;
    int rc = find_roots(repair->db, &salvage.roots);
    if (rc == STORE_OK)
        rc = make_hint_tables(repair->db);
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "cannot make a new database for %s: %s", repair->directory,
                         store_error_text(rc));
    repair->next_loss = 1;
    repair->index_seq = SEQ_MAX;
    repair->names_seq = SEQ_MAX;
    repair->log_damaged = merged_from != NULL;
    if (merged_from) {
        rc = open_pages(&salvage, path, &file, err);
        if (rc == STORE_OK && (rc = salvage_older(&salvage, file)) != STORE_OK)
            rc = error_set(err, (enum store_error)rc, "cannot salvage %s: %s", repair->directory, store_error_text(rc));
        page_file_close(file);
        file = NULL;
        if (rc == STORE_OK)
            rc = repair_merge_rest(merged_from, path, &repair->log, err);
        if (rc != STORE_OK)
            return rc;
    }
    rc = open_pages(&salvage, path, &file, err);
    if (rc != STORE_OK)
        return rc;
    rc = salvage_newest(&salvage, file);
    page_file_close(file);
    free(salvage.tags);
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
