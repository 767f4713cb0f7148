#include "store/storage_sqlite_row.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define ID_MAX       OID_MAX /* of every table: who reads has the bits above for uses of his own */
#define USER_MAX     255

/* Reads the columns [0, count) into values; true if the checksum in column `count` is theirs. */
static bool read_columns(sqlite3_stmt *statement, struct value *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = column_value(statement, (int)i);
    return column_integer(statement, (int)count) == row_sum(values, count);
}

/* Runs an insert of the values with their checksum as the last one. */
static int insert(struct connection *connection, enum statement id, struct value *values, size_t count) {
    values[count - 1] = value_integer(row_sum(values, count - 1));
    return statement_run(connection, id, values, count);
}

static bool is_time_ns(uint64_t ns) {
    return ns <= 999999999;
}

static bool is_oid(uint64_t oid) {
    return oid >= ROOT_OID && oid <= OID_MAX;
}

static bool is_seq(uint64_t seq) {
    return seq >= 1 && seq <= SEQ_MAX;
}

/* Whoever made the row may have had any: what is no name of one entry would lead its users somewhere else. */
static bool is_entry_name(const struct value *name) {
    const char *bytes = name->bytes;
    if (name->kind != VALUE_BLOB || name->length == 0 || name->length > NAME_BYTES_MAX)
        return false;
    if (bytes[0] == '.' && (name->length == 1 || (name->length == 2 && bytes[1] == '.')))
        return false;
    return !memchr(bytes, '/', name->length) && !memchr(bytes, '\0', name->length);
}

/* The next one is a number of the directory's record. */
static bool is_entry_index(uint64_t index) {
    return index >= ENTRY_INDEX_FIRST && index < INT64_MAX;
}

static bool is_entry_type(uint64_t type) {
    return type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFCHR || type == S_IFBLK ||
           type == S_IFIFO || type == S_IFSOCK;
}

static bool is_text(const struct value *text, size_t most) {
    return text->kind == VALUE_BLOB && text->length <= most && !memchr(text->bytes, '\0', text->length);
}

/* The next values that a store gives out are at most one above the last. */
static bool is_state(const struct value values[9]) {
    for (size_t i = 0; i < 4; i++)
        if (values[i].integer < 1 || values[i].integer > ID_MAX + 1)
            return false;
    return values[4].integer <= UINT32_MAX && values[5].integer <= INT64_MAX && values[6].integer <= SEQ_MAX + 1 &&
           is_time_ns(values[8].integer);
}

int state_row_get(struct connection *connection, struct state_row *state) {
    struct value values[9];
    sqlite3_stmt *statement;
    int rc = statement_get(connection, STATEMENT_STATE_GET, NULL, 0, &statement);
    if (rc == STORE_OK)
        rc = statement_step(connection, statement);
    if (rc == STORE_ABSENT)
        rc = connection_corrupt(connection, "the row of the table state is missing");
    if (rc == STORE_OK && !read_columns(statement, values, COUNT(values)))
        rc = connection_corrupt(connection, "the row of the table state has a wrong checksum");
    if (rc == STORE_OK && !is_state(values))
        rc = connection_corrupt(connection, "the row of the table state has a value out of range");
    if (rc == STORE_OK)
        *state = (struct state_row){
            .next_oid = values[0].integer,
            .next_revision = values[1].integer,
            .next_body = values[2].integer,
            .next_subtree = values[3].integer,
            .body_file = values[4].integer,
            .body_end = values[5].integer,
            .horizon = values[6].integer,
            .packed_at = {.tv_sec = (time_t)values[7].integer, .tv_nsec = (long)values[8].integer},
            .last_seq = column_integer(statement, 10),
            .last_tid = column_integer(statement, 11),
        };
    statement_reset(statement);
    if (rc == STORE_OK && (state->last_seq >= SEQ_MAX /* a reader of it is one above */ ||
                           state->last_tid > INT64_MAX || (state->last_seq == 0) != (state->last_tid == 0)))
        rc = connection_corrupt(connection, "the newest transaction has seq %" PRIu64 " and tid %016" PRIx64,
                                state->last_seq, state->last_tid);
    return rc;
}

int state_row_put(struct connection *connection, enum statement how, const struct state_row *state) {
    struct value values[] = {
        value_integer(state->next_oid),
        value_integer(state->next_revision),
        value_integer(state->next_body),
        value_integer(state->next_subtree),
        value_integer(state->body_file),
        value_integer(state->body_end),
        value_integer(state->horizon),
        value_integer((uint64_t)state->packed_at.tv_sec),
        value_integer((uint64_t)state->packed_at.tv_nsec),
        value_integer(0),
    };
    return insert(connection, how, values, COUNT(values));
}

int revision_row_decode(const struct connection *connection, sqlite3_stmt *statement, struct revision *revision) {
    struct value values[5];
    if (!read_columns(statement, values, COUNT(values)))
        return connection_corrupt(connection,
                                  "revision %" PRIu64 " (oid %" PRIu64 ", part %" PRIu64 ", seq %" PRIu64
                                  ") has a wrong checksum",
                                  values[0].integer, values[1].integer, values[2].integer, values[3].integer);
    if (!row_is_sane(ROW_REVISION, values))
        return connection_corrupt(connection, "revision %" PRIu64 " has a value out of range", values[0].integer);
    *revision = (struct revision){
        .id = values[0].integer,
        .oid = values[1].integer,
        .part = values[2].integer,
        .seq = values[3].integer,
        .until = sqlite3_column_type(statement, 6) == SQLITE_INTEGER ? column_integer(statement, 6) : UINT64_MAX,
    };
    if (values[4].kind == VALUE_NULL)
        return STORE_OK;
    revision->data = malloc(values[4].length + 1);
    if (!revision->data)
        return STORE_NO_MEMORY;
    if (values[4].length > 0)
        memcpy(revision->data, values[4].bytes, values[4].length);
    revision->length = values[4].length;
    return STORE_OK;
}

int revision_row_insert(struct connection *connection, uint64_t id, uint64_t seq, const struct new_revision *revision) {
    struct value values[] = {
        value_integer(id),
        value_integer(revision->oid),
        value_integer(revision->part),
        value_integer(seq),
        value_blob(revision->data, revision->length),
        value_integer(0),
    };
    return insert(connection, STATEMENT_REVISION_INSERT, values, COUNT(values));
}

int transaction_row_decode(const struct connection *connection, sqlite3_stmt *statement,
                           struct transaction *transaction, uint64_t *first_revision) {
    struct value values[9];
    if (!read_columns(statement, values, COUNT(values)))
        return connection_corrupt(connection, "transaction %" PRIu64 " (tid %016" PRIx64 ") has a wrong checksum",
                                  values[0].integer, values[1].integer);
    if (!row_is_sane(ROW_TRANSACTION, values))
        return connection_corrupt(connection, "transaction %" PRIu64 " has a value out of range", values[0].integer);
    *transaction = (struct transaction){
        .seq = values[0].integer,
        .tid = values[1].integer,
        .base = values[2].integer,
        .wall = {.tv_sec = (time_t)values[3].integer, .tv_nsec = (long)values[4].integer},
        .object_count = values[5].integer,
        .user = strndup(values[7].bytes, values[7].length),
        .message = strndup(values[8].bytes, values[8].length),
    };
    if (first_revision)
        *first_revision = values[6].integer;
    if (!transaction->user || !transaction->message) {
        transaction_release(transaction);
        return STORE_NO_MEMORY;
    }
    return STORE_OK;
}

int transaction_row_insert(struct connection *connection, const struct transaction *transaction,
                           uint64_t first_revision) {
    struct value values[] = {
        value_integer(transaction->seq),
        value_integer(transaction->tid),
        value_integer(transaction->base),
        value_integer((uint64_t)transaction->wall.tv_sec),
        value_integer((uint64_t)transaction->wall.tv_nsec),
        value_integer(transaction->object_count),
        value_integer(first_revision),
        value_text(transaction->user, strlen(transaction->user)),
        value_text(transaction->message, strlen(transaction->message)),
        value_integer(0),
    };
    return insert(connection, STATEMENT_TRANSACTION_INSERT, values, COUNT(values));
}

unsigned entry_level(uint64_t born, uint64_t died) {
    assert(died > born);
    return 63 - (unsigned)__builtin_clzll(died - born);
}

int entry_row_decode(const struct connection *connection, sqlite3_stmt *statement, struct entry_row *row) {
    struct value values[8];
    bool past = sqlite3_column_type(statement, 6) != SQLITE_NULL;
    for (size_t i = 0; i < COUNT(values); i++)
        values[i] = column_value(statement, (int)i);
    if (column_integer(statement, 8) != row_sum(values, past ? 8 : 6))
        return connection_corrupt(connection, "%s %" PRIu64 " of directory %" PRIu64 " has a wrong checksum",
                                  past ? "past entry" : "entry", values[1].integer, values[0].integer);
    if (!row_is_sane(past ? ROW_PAST_ENTRY : ROW_ENTRY, values))
        return connection_corrupt(connection, "%s %" PRIu64 " of directory %" PRIu64 " has a value out of range",
                                  past ? "past entry" : "entry", values[1].integer, values[0].integer);
    *row = (struct entry_row){
        .entry =
            {
                .parent = values[0].integer,
                .index = values[1].integer,
                .name = (char *)values[2].bytes,
                .name_length = (uint32_t)values[2].length,
                .oid = values[3].integer,
                .type = (uint32_t)values[4].integer,
                .born = values[5].integer,
                .died = past ? values[6].integer : UINT64_MAX,
            },
        .level = past ? values[7].integer : 0,
    };
    return STORE_OK;
}

int entry_row_insert(struct connection *connection, const struct new_entry *entry, uint64_t born) {
    struct value values[] = {
        value_integer(entry->parent),
        value_integer(entry->index),
        value_blob(entry->name, entry->name_length),
        value_integer(entry->oid),
        value_integer(entry->type),
        value_integer(born),
        value_integer(0),
    };
    return insert(connection, STATEMENT_ENTRY_INSERT, values, COUNT(values));
}

int past_entry_row_insert(struct connection *connection, const struct entry *entry, uint64_t died) {
    struct value values[] = {
        value_integer(entry->parent),
        value_integer(entry->index),
        value_blob(entry->name, entry->name_length),
        value_integer(entry->oid),
        value_integer(entry->type),
        value_integer(entry->born),
        value_integer(died),
        value_integer(entry_level(entry->born, died)),
        value_integer(0),
    };
    return insert(connection, STATEMENT_PAST_ENTRY_INSERT, values, COUNT(values));
}

int tag_row_decode(const struct connection *connection, sqlite3_stmt *statement, struct tag *tag) {
    struct value values[2];
    bool right = read_columns(statement, values, COUNT(values));
    if (!right || !row_is_sane(ROW_TAG, values))
        return connection_corrupt(
            connection, "tag `%.*s` has a wrong checksum or value",
            values[0].kind == VALUE_BLOB && values[0].length <= TAG_NAME_MAX ? (int)values[0].length : 0,
            values[0].kind == VALUE_BLOB ? (const char *)values[0].bytes : "");
    memcpy(tag->name, values[0].bytes, values[0].length);
    tag->name[values[0].length] = '\0';
    tag->tid = values[1].integer;
    return STORE_OK;
}

int tag_row_put(struct connection *connection, const char *name, uint64_t tid) {
    struct value values[] = {value_text(name, strlen(name)), value_integer(tid), value_integer(0)};
    return insert(connection, STATEMENT_TAG_PUT, values, COUNT(values));
}

int body_row_insert(struct connection *connection, const struct new_body *body) {
    struct value values[] = {value_integer(body->id), value_blob(body->data, body->length), value_integer(0)};
    return insert(connection, STATEMENT_BODY_INSERT, values, COUNT(values));
}

int body_row_decode(const struct connection *connection, sqlite3_stmt *statement, const uint8_t **data, size_t *length,
                    uint64_t *sum) {
    struct value id = column_value(statement, 0), body = column_value(statement, 1);
    if (body.kind == VALUE_BLOB) {
        *data = body.bytes;
        *length = body.length;
        *sum = XXH3_64bits(body.bytes, body.length);
        /* The checksum of a row takes bytes as their length and hash, so the body is hashed once for both. */
        struct value values[] = {id, value_integer(body.length), value_integer(*sum)};
        if (column_integer(statement, 2) == row_sum(values, COUNT(values)))
            return STORE_OK;
    }
    return connection_corrupt(connection, "body %" PRIu64 " has a wrong checksum", id.integer);
}

static bool is_loss(const struct value values[6]) {
    for (size_t i = 0; i < 6; i++)
        if (values[i].kind != VALUE_INTEGER || values[i].integer > INT64_MAX)
            return false;
    return values[1].integer >= LOSS_REVISION && values[1].integer <= LOSS_TAG;
}

int loss_row_decode(const struct connection *connection, sqlite3_stmt *statement, struct loss *loss) {
    struct value values[6];
    if (!read_columns(statement, values, COUNT(values)))
        return connection_corrupt(connection, "loss %" PRIu64 " has a wrong checksum", values[0].integer);
    if (!row_is_sane(ROW_LOSS, values))
        return connection_corrupt(connection, "loss %" PRIu64 " has a value out of range", values[0].integer);
    *loss = (struct loss){
        .id = values[0].integer,
        .kind = (enum loss_kind)values[1].integer,
        .oid = values[2].integer,
        .part = values[3].integer,
        .seq = values[4].integer,
        .until = values[5].integer,
    };
    return STORE_OK;
}

int loss_row_insert(struct connection *connection, uint64_t id, const struct loss *loss) {
    struct value values[] = {
        value_integer(id),        value_integer(loss->kind),  value_integer(loss->oid), value_integer(loss->part),
        value_integer(loss->seq), value_integer(loss->until), value_integer(0),
    };
    return insert(connection, STATEMENT_LOSS_INSERT, values, COUNT(values));
}

bool row_is_sane(enum row_kind kind, const struct value *values) {
    switch (kind) {
    case ROW_STATE:
        return is_state(values);
    case ROW_TRANSACTION:
        return is_seq(values[0].integer) && values[1].integer <= INT64_MAX && values[2].integer < values[0].integer &&
               is_time_ns(values[4].integer) && is_text(&values[7], USER_MAX) && is_text(&values[8], MESSAGE_MAX);
    case ROW_REVISION:
        return values[0].integer >= 1 && values[0].integer <= ID_MAX && is_oid(values[1].integer) &&
               values[2].integer <= INT64_MAX && is_seq(values[3].integer);
    case ROW_ENTRY:
    case ROW_PAST_ENTRY:
        return is_oid(values[0].integer) && is_entry_index(values[1].integer) && is_entry_name(&values[2]) &&
               is_oid(values[3].integer) && is_entry_type(values[4].integer) && is_seq(values[5].integer) &&
               (kind == ROW_ENTRY || (values[6].integer > values[5].integer && is_seq(values[6].integer) &&
                                      values[7].integer == entry_level(values[5].integer, values[6].integer)));
    case ROW_TAG:
        return is_text(&values[0], TAG_NAME_MAX) && values[1].integer <= INT64_MAX;
    case ROW_LOSS:
        return is_loss(values);
    }
    return false;
}

bool entry_name_is_sane(const char *name, size_t length) {
    const struct value value = {.kind = VALUE_BLOB, .bytes = name, .length = length};
    return is_entry_name(&value);
}
