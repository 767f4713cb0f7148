#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/array.h"
#include "store/oid_set.h"
#include "store/storage_sqlite.h"

int sqlite_get_state(struct storage *base, struct storage_state *state) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    struct state_row row;
    int rc = storage->writable ? STORE_OK : sqlite_check_place(storage); /* who writes asks before each commit */
    if (rc != STORE_OK)
        return rc == STORE_LOCKED ? STORE_IO : rc;
    sqlite_use_room(storage);                 /* here, for who shares a store asks for its state now and then */
    connection_pool_renew(&storage->readers); /* for what others have committed */
    rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = state_row_get(reader, &row);
    connection_pool_give(&storage->readers, reader);
    connection_pool_renew(&storage->readers); /* what is read from now on fits this state */
    if (rc == STORE_OK) {
        state->last_seq = row.last_seq;
        state->last_tid = row.last_tid;
        state->next_oid = row.next_oid;
        state->horizon = row.horizon;
        state->packed_at = row.packed_at;
        state->format = (uint32_t)storage->format;
        state->losses = storage->losses.count > 0;
    }
    return rc;
}

void sqlite_begin_reads(struct storage *base) {
    connection_pool_begin_reads(&sqlite_storage_of(base)->readers);
}

void sqlite_end_reads(struct storage *base) {
    connection_pool_end_reads(&sqlite_storage_of(base)->readers);
}

/* What there is to say of a part of which no revision is older than `before`. */
static int explain_absence(struct connection *reader, uint64_t oid, uint64_t part, uint64_t before,
                           enum load_outcome *outcome, struct revision *revision) {
    struct value values[] = {value_integer(oid), value_integer(part), value_integer(before)};
    uint64_t found;
    *outcome = LOAD_NOT_YET;
    int rc = statement_integer(reader, STATEMENT_REVISION_NEXT_SEQ, values, 3, &revision->until);
    if (rc != STORE_ABSENT)
        return rc;
    revision->until = UINT64_MAX;
    rc = statement_integer(reader, STATEMENT_OBJECT_EXISTS, values, 1, &found);
    if (rc == STORE_ABSENT) {
        *outcome = LOAD_NO_OBJECT;
        rc = STORE_OK;
    }
    return rc;
}

int sqlite_read_before(struct connection *reader, uint64_t oid, uint64_t part, uint64_t before,
                       enum load_outcome *outcome, struct revision *revision) {
    struct value values[] = {value_integer(oid), value_integer(part), value_integer(before)};
    sqlite3_stmt *statement;
    int rc = statement_get(reader, STATEMENT_REVISION_BEFORE, values, 3, &statement);
    if (rc == STORE_OK)
        rc = statement_step(reader, statement);
    if (rc == STORE_OK)
        rc = revision_row_decode(reader, statement, revision);
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        return explain_absence(reader, oid, part, before, outcome, revision);
    if (rc == STORE_OK)
        *outcome = revision->data ? LOAD_DATA : LOAD_DELETED;
    return rc;
}

/* Invariant 1 of storage_sqlite_loss.h. */
static int check_losses(const struct sqlite_storage *storage, uint64_t oid, uint64_t part, uint64_t before,
                        enum load_outcome outcome, struct revision *revision) {
    if (storage->losses.count == 0)
        return STORE_OK;
    bool found = outcome == LOAD_DATA || outcome == LOAD_DELETED;
    uint64_t lost = loss_list_newest(&storage->losses, oid, part, before);
    if (lost != 0 && (!found || lost > revision->seq)) {
        log_write(storage->log, LOG_LEVEL_INFO,
                  "object %" PRIu64 ", part %" PRIu64 ": its revision of transaction %" PRIu64 " is lost", oid, part,
                  lost);
        revision_release(revision);
        return STORE_LOST;
    }
    uint64_t next = loss_list_next(&storage->losses, oid, part, before);
    if (next < revision->until)
        revision->until = next;
    return STORE_OK;
}

int sqlite_load_before(struct storage *base, uint64_t oid, uint64_t part, uint64_t before, enum load_outcome *outcome,
                       struct revision *revision) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = sqlite_read_before(reader, oid, part, before, outcome, revision);
    if (rc == STORE_OK)
        rc = check_losses(storage, oid, part, before, *outcome, revision);
    int horizon = connection_check_horizon(reader, before);
    connection_pool_give(&storage->readers, reader);
    if (horizon != STORE_OK) {
        revision_release(revision);
        *outcome = LOAD_PACKED;
        rc = horizon == STORE_PACKED ? STORE_OK : horizon;
    }
    return rc;
}

int sqlite_load_revision(struct storage *base, uint64_t id, struct revision *revision) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    struct value value = value_integer(id);
    sqlite3_stmt *statement;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = statement_get(reader, STATEMENT_REVISION_BY_ID, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(reader, statement);
    if (rc == STORE_OK)
        rc = revision_row_decode(reader, statement, revision);
    statement_reset(statement);
    connection_pool_give(&storage->readers, reader);
    return rc;
}

/* What is lost may have been data: a lost part below *part, which was `found`, takes its place. */
static int take_lost_part(const struct sqlite_storage *storage, struct connection *reader, uint64_t oid, uint64_t from,
                          uint64_t before, bool found, uint64_t *part) {
    const struct loss *losses;
    size_t count = loss_list_of(&storage->losses, LOSS_REVISION, oid, &losses);
    for (size_t i = 0; i < count && losses[i].seq < before; i++) {
        uint64_t lost = losses[i].part, newest = 0;
        if (lost >= LOSS_PART_ANY) { /* up to where the object ever had any */
            struct value key = value_integer(oid);
            int rc = statement_integer(reader, STATEMENT_HIGHEST_PART, &key, 1, &newest);
            if (rc < 0)
                return rc;
            lost = from <= newest || from == PART_CHUNK ? from : 0;
            newest = 0;
        }
        if (lost < from || (found && lost >= *part))
            continue;
        struct value values[] = {value_integer(oid), value_integer(lost), value_integer(before)};
        int rc = statement_integer(reader, STATEMENT_REVISION_SEQ_BEFORE, values, 3, &newest);
        if (rc < 0)
            return rc;
        if (losses[i].seq > newest) {
            *part = lost;
            found = true;
        }
    }
    return found ? STORE_OK : STORE_ABSENT;
}

int sqlite_next_part(struct storage *base, uint64_t oid, uint64_t from, uint64_t before, uint64_t *part) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    struct value values[] = {value_integer(oid), value_integer(from - 1), value_integer(before)};
    uint64_t has_data = 0;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    /* Part by part and not one statement over all revisions: a part may have a million of them. */
    do {
        rc = statement_integer(reader, STATEMENT_REVISION_NEXT_PART, values, 2, part);
        if (rc != STORE_OK)
            break;
        values[1] = value_integer(*part);
        rc = statement_integer(reader, STATEMENT_REVISION_HAS_DATA, values, 3, &has_data);
        if (rc == STORE_ABSENT) {
            has_data = 0;
            rc = STORE_OK;
        }
    } while (rc == STORE_OK && !has_data);
    if (rc == STORE_OK || rc == STORE_ABSENT)
        rc = take_lost_part(storage, reader, oid, from, before, rc == STORE_OK, part);
    int horizon = connection_check_horizon(reader, before);
    connection_pool_give(&storage->readers, reader);
    return horizon != STORE_OK ? horizon : rc;
}

int sqlite_subtree(struct storage *base, uint64_t directory, uint64_t before, struct subtree *subtree) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    struct value values[] = {value_integer(directory), value_integer(before)};
    sqlite3_stmt *statement;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = statement_get(reader, STATEMENT_SUBTREE_BEFORE, values, 2, &statement);
    if (rc == STORE_OK)
        rc = statement_step(reader, statement);
    if (rc == STORE_OK) {
        bool newest = sqlite3_column_type(statement, 2) == SQLITE_NULL;
        subtree->id = column_integer(statement, 0);
        subtree->seq = column_integer(statement, 1);
        subtree->until = newest ? UINT64_MAX : column_integer(statement, 2);
    }
    statement_reset(statement);
    int horizon = connection_check_horizon(reader, before);
    connection_pool_give(&storage->readers, reader);
    return horizon != STORE_OK ? horizon : rc;
}

/* A bound of a range of transactions, as a value that SQLite's signed integers hold. */
static struct value value_bound(uint64_t seq) {
    return value_integer(seq < SEQ_MAX ? seq : SEQ_MAX);
}

static int collect_changed(struct connection *reader, uint64_t after_seq, uint64_t until_seq, uint64_t **oids,
                           size_t *count) {
    struct value values[] = {value_bound(after_seq), value_bound(until_seq)};
    size_t capacity = 0;
    sqlite3_stmt *statement;
    int rc = statement_get(reader, STATEMENT_CHANGED, values, 2, &statement);
    while (rc == STORE_OK && (rc = statement_step(reader, statement)) == STORE_OK) {
        uint64_t *grown = array_grow(*oids, &capacity, *count, sizeof *grown);
        if (!grown) {
            rc = STORE_NO_MEMORY;
            break;
        }
        *oids = grown;
        (*oids)[(*count)++] = column_integer(statement, 0);
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* What was lost was changed too, or may have been. */
static int add_lost_changes(const struct loss_list *losses, uint64_t after_seq, uint64_t until_seq, uint64_t **oids,
                            size_t *count) {
    struct oid_set known;
    int rc = STORE_OK;
    oid_set_init(&known);
    for (size_t i = 0; i < *count && losses->count > 0 && rc == STORE_OK; i++)
        rc = oid_set_add(&known, (*oids)[i]);
    for (size_t i = 0; i < losses->count && rc == STORE_OK; i++) {
        const struct loss *loss = &losses->items[i];
        if (loss->kind != LOSS_REVISION || loss->seq <= after_seq || loss->seq > until_seq ||
            oid_set_has(&known, loss->oid))
            continue;
        rc = oid_set_add(&known, loss->oid);
        if (rc != STORE_OK)
            break;
        uint64_t *grown = reallocarray(*oids, *count + 1, sizeof *grown);
        if (!grown) {
            rc = STORE_NO_MEMORY;
        } else {
            grown[(*count)++] = loss->oid;
            *oids = grown;
        }
    }
    oid_set_release(&known);
    return rc;
}

int sqlite_changed(struct storage *base, uint64_t after_seq, uint64_t until_seq, uint64_t **oids, size_t *count) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = collect_changed(reader, after_seq, until_seq, oids, count);
    connection_pool_give(&storage->readers, reader);
    if (rc == STORE_OK)
        rc = add_lost_changes(&storage->losses, after_seq, until_seq, oids, count);
    if (rc != STORE_OK) {
        free(*oids);
        *oids = NULL;
        *count = 0;
    }
    return rc;
}

int sqlite_revisions_between(struct storage *base, uint64_t after_seq, uint64_t until_seq, uint64_t *count) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct value values[] = {value_bound(after_seq), value_bound(until_seq)};
    struct connection *reader;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = statement_integer(reader, STATEMENT_REVISIONS_BETWEEN, values, 2, count);
    connection_pool_give(&storage->readers, reader);
    return rc == STORE_ABSENT ? STORE_OK : rc; /* no transaction is newer than after_seq */
}

int sqlite_read_body_row(struct connection *reader, const struct body_ref *ref, uint8_t *buffer) {
    struct value value = value_integer(ref->position);
    const uint8_t *data;
    size_t length;
    uint64_t sum;
    sqlite3_stmt *statement;
    int rc = statement_get(reader, STATEMENT_BODY_GET, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(reader, statement);
    if (rc == STORE_ABSENT)
        rc = connection_corrupt(reader, "body %" PRIu64 " is missing", ref->position);
    if (rc == STORE_OK)
        rc = body_row_decode(reader, statement, &data, &length, &sum);
    if (rc == STORE_OK && (length != ref->length || sum != ref->sum))
        rc = connection_corrupt(reader, "body %" PRIu64 " is not the one that is referred to", ref->position);
    if (rc == STORE_OK)
        memcpy(buffer, data, length);
    statement_reset(statement);
    return rc;
}

int sqlite_body_read(struct storage *base, const struct body_ref *ref, uint8_t *buffer) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    int rc;
    if (ref->file != 0) {
        rc = body_files_read(storage->bodies, ref, buffer);
    } else {
        rc = connection_pool_take(&storage->readers, &reader);
        if (rc != STORE_OK)
            return rc;
        rc = sqlite_read_body_row(reader, ref, buffer);
        connection_pool_give(&storage->readers, reader);
    }
    bool unread = rc == STORE_CORRUPT || rc == STORE_IO;
    return unread && loss_list_has_body(&storage->losses, ref->file, ref->position, ref->length) ? STORE_LOST : rc;
}

/* Transaction `seq` is the newest before `tid`, as far as is known: its own tid may be one that only tells its place. Then that is
 * certain only where the next one's begins. */
static int check_time(struct sqlite_storage *storage, uint64_t seq, uint64_t tid) {
    struct transaction next = {0};
    if (!loss_list_has_time(&storage->losses, seq))
        return STORE_OK;
    int rc = sqlite_transaction_at(&storage->base, seq + 1, &next);
    bool certain = rc == STORE_OK && next.tid == tid && !loss_list_has_time(&storage->losses, seq + 1);
    transaction_release(&next);
    if (rc < 0 || certain)
        return rc;
    log_write(storage->log, LOG_LEVEL_INFO, "when transaction %" PRIu64 " was is lost", seq);
    return STORE_LOST;
}

static int read_transaction(struct sqlite_storage *storage, enum statement id, uint64_t key,
                            struct transaction *transaction) {
    struct connection *reader;
    struct value value = value_integer(key);
    sqlite3_stmt *statement;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = statement_get(reader, id, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(reader, statement);
    if (rc == STORE_OK)
        rc = transaction_row_decode(reader, statement, transaction, NULL);
    statement_reset(statement);
    connection_pool_give(&storage->readers, reader);
    return rc;
}

int sqlite_transaction_before(struct storage *base, uint64_t tid, struct transaction *transaction) {
    if (tid == 0)
        return STORE_ABSENT;
    uint64_t newest = tid - 1 < (uint64_t)INT64_MAX ? tid - 1 : (uint64_t)INT64_MAX;
    int rc = read_transaction(sqlite_storage_of(base), STATEMENT_TRANSACTION_BEFORE, newest, transaction);
    if (rc == STORE_OK) {
        rc = check_time(sqlite_storage_of(base), transaction->seq, tid);
        if (rc != STORE_OK)
            transaction_release(transaction);
    }
    return rc;
}

int sqlite_transaction_at(struct storage *base, uint64_t seq, struct transaction *transaction) {
    return read_transaction(sqlite_storage_of(base), STATEMENT_TRANSACTION_AT, seq, transaction);
}

int sqlite_touched(struct storage *base, uint64_t oid, uint64_t before, uint64_t *seq) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    struct subtree subtree;
    /* Directories, and only they, have marks, from their birth. */
    int rc = sqlite_subtree(base, oid, before, &subtree);
    if (rc != STORE_ABSENT) {
        *seq = subtree.seq;
        return rc;
    }
    rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    struct value values[] = {value_integer(oid), value_integer(PART_INODE), value_integer(before)};
    rc = statement_integer(reader, STATEMENT_REVISION_SEQ_BEFORE, values, 3, seq);
    connection_pool_give(&storage->readers, reader);
    uint64_t lost = loss_list_newest(&storage->losses, oid, PART_INODE, before);
    if (lost != 0 && (rc == STORE_ABSENT || (rc == STORE_OK && lost > *seq))) {
        *seq = lost;
        rc = STORE_OK;
    }
    return rc;
}
