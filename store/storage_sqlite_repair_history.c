/* What is missing from history, and what can be made again.
 *
 * Revision ids, seqs and (but for lost directories) counts of entries leave no gaps in a store that is whole. So gaps tell how much is lost
 * and when; indexes and other rows mostly tell of what object. Where they do not, all that the transaction may have changed is in doubt. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <xxhash.h>

#include "store/array.h"
#include "store/storage_sqlite_repair_history.h"
#include "store/tid.h"

/* ---- transactions ---- */

int history_first_revision(struct history *history, uint64_t seq, uint64_t *id) {
    uint64_t low = 1, high = history->repair->state.next_revision;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, found_seq = UINT64_MAX, found = high;
        struct value value = value_integer(middle);
        sqlite3_stmt *statement = NULL;
        int rc = statement_get(history->db, STATEMENT_REVISION_FROM, &value, 1, &statement);
        if (rc == STORE_OK)
            rc = statement_step(history->db, statement);
        if (rc == STORE_OK) {
            found = column_integer(statement, 0);
            found_seq = column_integer(statement, 1);
        }
        statement_reset(statement);
        if (rc < 0)
            return rc;
        if (found_seq >= seq)
            high = middle;
        else
            low = found + 1;
    }
    *id = low;
    return STORE_OK;
}

/* A row in the place of one that is lost. `after` is the tid of the one before it, `most` the highest that leaves room for those to the next. */
static int make_transaction(struct history *history, uint64_t seq, uint64_t after, uint64_t most, uint64_t *tid) {
    char user[] = "", message[] = "(the record of this transaction is lost)";
    struct value key = value_integer(seq);
    int rc = statement_integer(history->db, STATEMENT_HINT_TIME, &key, 1, tid);
    bool timed = rc == STORE_OK && *tid > after && *tid <= most;
    if (rc < 0)
        return rc;
    if (!timed)
        *tid = after + 1;
    struct transaction made = {.seq = seq, .tid = *tid, .base = seq - 1, .user = user, .message = message};
    uint64_t first = 0, end = 0;
    made.wall = tid_to_time(*tid);
    rc = oid_set_add(&history->made, seq);
    if (rc == STORE_OK)
        rc = history_first_revision(history, seq, &first);
    if (rc == STORE_OK)
        rc = history_first_revision(history, seq + 1, &end);
    struct value range[] = {value_integer(first), value_integer(end)};
    if (rc == STORE_OK)
        rc = statement_integer(history->db, STATEMENT_INODES_BETWEEN, range, 2, &made.object_count);
    if (rc == STORE_OK)
        rc = transaction_row_insert(history->db, &made, first);
    if (rc == STORE_OK && !timed)
        rc = repair_lose(history->repair, &(struct loss){.kind = LOSS_TIME, .seq = seq});
    if (rc == STORE_OK)
        rc = repair_lose(history->repair, &(struct loss){.kind = LOSS_NOTED, .part = LOSS_NOTED_RECORD, .seq = seq});
    return rc;
}

struct known_transaction {
    uint64_t seq, tid;
};

/* Fills (*previous, next) with rows. */
static int make_transactions(struct history *history, const struct known_transaction *previous,
                             const struct known_transaction *next) {
    uint64_t tid = previous->tid;
    int rc = STORE_OK;
    for (uint64_t seq = previous->seq + 1; seq < next->seq && rc == STORE_OK; seq++)
        rc = make_transaction(history, seq, tid, next->tid - (next->seq - seq), &tid);
    return rc;
}

/* Reads them all first: rows cannot be added to a table while it is walked. */
static int list_transactions(struct connection *db, struct known_transaction **list, size_t *count) {
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(db, STATEMENT_ALL_TRANSACTIONS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(db, statement)) == STORE_OK) {
        struct known_transaction *grown = array_grow(*list, &capacity, *count, sizeof *grown);
        if (!grown) {
            rc = STORE_NO_MEMORY;
            break;
        }
        *list = grown;
        (*list)[(*count)++] =
            (struct known_transaction){.seq = column_integer(statement, 0), .tid = column_integer(statement, 1)};
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* What would follow the last one, which is over by now; but for a clock that goes wrong, or did. */
static struct known_transaction next_transaction(const struct repair *repair, const struct known_transaction *last) {
    struct known_transaction next = {.seq = repair->last_seq + 1};
    struct timespec now;
    uint64_t least = last->tid + (next.seq - last->seq);
    if (clock_gettime(CLOCK_REALTIME, &now) < 0 || !tid_from_time(now, &next.tid) || next.tid < least)
        next.tid = least;
    return next;
}

static int complete_transactions(struct history *history) {
    struct known_transaction *list = NULL, previous = {0};
    size_t count = 0;
    int rc = list_transactions(history->db, &list, &count);
    for (size_t i = 0; i < count && rc == STORE_OK; i++) {
        rc = make_transactions(history, &previous, &list[i]);
        previous = list[i];
    }
    const struct known_transaction end = next_transaction(history->repair, &previous);
    if (rc == STORE_OK)
        rc = make_transactions(history, &previous, &end);
    free(list);
    return rc;
}

/* ---- revisions ---- */

uint64_t history_hash(uint64_t oid, uint64_t part, uint64_t seq) {
    uint64_t words[] = {oid, part, seq};
    return XXH3_64bits(words, sizeof words) | 1; /* 0 cannot be in a set */
}

uint64_t history_hash_names(const struct loss *loss) {
    uint64_t words[] = {loss->oid, loss->part, loss->seq, loss->until};
    return XXH3_64bits(words, sizeof words) | 1;
}

int history_lose(struct history *history, uint64_t oid, uint64_t part, uint64_t seq, bool *added) {
    struct loss loss = {.kind = LOSS_REVISION, .oid = oid, .part = part, .seq = seq};
    struct value values[] = {value_integer(oid), value_integer(part < LOSS_PART_ANY ? part : PART_INODE),
                             value_integer(seq + 1)};
    int rc = oid_set_add(&history->lost, history_hash(oid, part, seq));
    if (added)
        *added = rc == STORE_OK;
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_OK : rc;
    rc = statement_integer(history->db, STATEMENT_REVISION_NEXT_SEQ, values, 3, &loss.until);
    if (rc == STORE_ABSENT) {
        loss.until = 0;
        rc = STORE_OK;
    }
    return rc == STORE_OK ? repair_lose(history->repair, &loss) : rc;
}

static bool can_be_object(const struct history *history, uint64_t oid, uint64_t part) {
    bool chunk = part >= PART_CHUNK && part - PART_CHUNK <= INT64_MAX >> CHUNK_SHIFT;
    return oid < history->repair->state.next_oid && (part <= PART_XATTRS || chunk);
}

/* True if a hint can be right: nothing that is there contradicts it. */
static bool is_plausible(struct history *history, uint64_t oid, uint64_t part, uint64_t seq, uint64_t first_seq,
                         uint64_t last_seq, int *rc) {
    struct value values[] = {value_integer(oid), value_integer(part), value_integer(seq)};
    uint64_t found = 0;
    if (!can_be_object(history, oid, part) || seq < first_seq || seq > last_seq)
        return false;
    *rc = statement_integer(history->db, STATEMENT_REVISION_NEXT_SEQ, values, 3, &found);
    bool there = *rc == STORE_OK && found == seq;
    *rc = *rc == STORE_ABSENT ? STORE_OK : *rc;
    return !there;
}

/* The index has revision `id`, and of it a seq that cannot be: it was of any of the transactions that may have had the id. */
static int lose_at_any_seq(struct history *history, uint64_t id, uint64_t oid, uint64_t part, uint64_t first_seq,
                           uint64_t last_seq) {
    int rc = STORE_OK;
    for (uint64_t seq = first_seq; seq <= last_seq && rc == STORE_OK; seq++) {
        bool possible = false;
        rc = doubt_can_have(history, seq, id, id + 1, &possible);
        if (possible && is_plausible(history, oid, part, seq, first_seq, last_seq, &rc))
            rc = history_lose(history, oid, part, seq, NULL);
    }
    return rc;
}

/* Revisions [first, end) are missing between one of first_seq and one of last_seq. */
static int explain_gap(struct history *history, uint64_t first, uint64_t end, uint64_t first_seq, uint64_t last_seq) {
    struct value values[] = {value_integer(first), value_integer(end)};
    uint64_t unknown = first;
    sqlite3_stmt *statement = NULL;
    if (last_seq <= history->repair->state.horizon)
        return STORE_OK; /* packed away */
    first_seq = first_seq > 0 ? first_seq : 1;
    int rc = statement_get(history->db, STATEMENT_HINT_REVISIONS, values, 2, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        uint64_t id = column_integer(statement, 0), oid = column_integer(statement, 1),
                 part = column_integer(statement, 2), seq = column_integer(statement, 3);
        bool certain = column_integer(statement, 4) != 0;
        if (certain && (seq < first_seq || seq > last_seq) && can_be_object(history, oid, part))
            rc = lose_at_any_seq(history, id, oid, part, first_seq, last_seq);
        if (rc != STORE_OK)
            break;
        if (!is_plausible(history, oid, part, seq, first_seq, last_seq, &rc))
            continue;
        rc = history_lose(history, oid, part, seq, NULL);
        if (!certain)
            continue; /* it may be of another, and is in doubt as well */
        if (rc == STORE_OK && part == PART_INODE)
            rc = doubt_settle(history, oid, seq, false);
        if (rc == STORE_OK && id > unknown)
            rc = doubt_range(history, unknown, id, first_seq, last_seq);
        unknown = id + 1;
    }
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        rc = unknown < end ? doubt_range(history, unknown, end, first_seq, last_seq) : STORE_OK;
    return rc;
}

static int find_gaps(struct history *history) {
    struct repair *repair = history->repair;
    uint64_t next = 1, seq = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(history->db, STATEMENT_REVISION_KEYS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        uint64_t id = column_integer(statement, 0), this_seq = column_integer(statement, 3);
        if (id > next)
            rc = explain_gap(history, next, id, seq, this_seq);
        next = id + 1;
        seq = this_seq;
    }
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        rc = STORE_OK;
    history->end_seq = seq > 0 ? seq : 1;
    if (rc == STORE_OK && next < repair->state.next_revision)
        rc = explain_gap(history, next, repair->state.next_revision, seq, repair->last_seq);
    return rc;
}

/* Whether revisions may be missing at the end that find_gaps could not know of, for the state that it took the end from is lost or an older one:
 * one that the newest transaction has not written ends before that one's first revision. */
static int check_end(struct history *history) {
    struct repair *repair = history->repair;
    struct value key = value_integer(repair->last_seq);
    uint64_t first = 0;
    bool certain = repair->state_found;
    int rc = STORE_OK;
    if (repair->log_damaged) {
        rc = statement_integer(history->db, STATEMENT_FIRST_REVISION, &key, 1, &first);
        certain = certain && rc == STORE_OK && !oid_set_has(&history->made, repair->last_seq) &&
                  repair->next_revision_found > first;
    } else if (!repair->state_found) {
        certain = repair->has_end;
    }
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    for (uint64_t seq = history->end_seq; seq <= repair->last_seq && rc == STORE_OK && !certain; seq++)
        rc = doubt_add(history, seq, INT64_MAX);
    return rc;
}

/* Rows of (oid, seq): revisions that must have been there, for something else that is there was written with them. */
static int lose_implied(struct history *history, enum statement id, uint64_t part) {
    struct {
        uint64_t oid, seq;
    } *found = NULL;
    size_t count = 0, capacity = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(history->db, id, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        void *grown = array_grow(found, &capacity, count, sizeof *found);
        if (!grown) {
            rc = STORE_NO_MEMORY;
            break;
        }
        found = grown;
        found[count].oid = column_integer(statement, 0);
        found[count++].seq = column_integer(statement, 1);
    }
    statement_reset(statement);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    for (size_t i = 0; i < count && rc == STORE_OK; i++) {
        bool added = false;
        if (found[i].seq <= history->repair->state.horizon)
            continue;
        if (part == PART_INODE || !oid_set_has(&history->lost, history_hash(found[i].oid, PART_INODE, found[i].seq)))
            rc = history_lose(history, found[i].oid, part, found[i].seq, &added);
        if (rc == STORE_OK && part == PART_INODE)
            rc = doubt_settle(history, found[i].oid, found[i].seq, added);
    }
    free(found);
    return rc;
}

/* ---- the state ---- */

/* Counters are above all that was used, as far as is known. */
static int raise_counters(struct history *history) {
    struct repair *repair = history->repair;
    uint64_t *counters[] = {&repair->state.next_oid, &repair->state.next_revision, &repair->state.next_body,
                            &repair->state.next_subtree};
    static const enum statement sources[] = {STATEMENT_HIGHEST_IDS, STATEMENT_HIGHEST_HINTS};
    int rc = STORE_OK;
    for (size_t k = 0; k < sizeof sources / sizeof sources[0] && rc == STORE_OK; k++) {
        sqlite3_stmt *statement = NULL;
        rc = statement_get(history->db, sources[k], NULL, 0, &statement);
        if (rc == STORE_OK)
            rc = statement_step(history->db, statement);
        for (size_t i = 0; i < 4 && rc == STORE_OK; i++)
            if (*counters[i] < column_integer(statement, (int)i) + 1)
                *counters[i] = column_integer(statement, (int)i) + 1;
        statement_reset(statement);
    }
    return rc;
}

static int write_state(struct history *history) {
    static const char uuid[] = "uuid", created[] = "created";
    struct repair *repair = history->repair;
    struct value values[] = {value_text(uuid, sizeof uuid - 1), value_text(repair->uuid, sizeof repair->uuid - 1)};
    int rc = raise_counters(history);
    if (rc == STORE_OK)
        rc = state_row_put(history->db, STATEMENT_STATE_UPDATE, &repair->state);
    if (rc == STORE_OK && repair->uuid_found)
        rc = statement_run(history->db, STATEMENT_META_REPLACE, values, 2);
    else if (rc == STORE_OK)
        rc = repair_note(repair, 0, "the identity of the store is lost; it has a new one");
    if (rc == STORE_OK && repair->created != 0) {
        values[0] = value_text(created, sizeof created - 1);
        values[1] = value_integer(repair->created);
        rc = statement_run(history->db, STATEMENT_META_REPLACE, values, 2);
    }
    if (rc == STORE_OK && !repair->state_found)
        rc = repair_note(
            repair, 0,
            "the record of the store's state is lost, and with it what would tell whether changes at the very end of "
            "history are missing");
    return rc;
}

/* What an earlier repair put on record is not put there again. */
static int remember_losses(struct history *history) {
    struct loss_list losses;
    int rc = loss_list_load(history->db, &losses);
    for (size_t i = 0; i < losses.count && rc == STORE_OK; i++) {
        const struct loss *loss = &losses.items[i];
        if (loss->kind == LOSS_REVISION)
            rc = oid_set_add(&history->lost, history_hash(loss->oid, loss->part, loss->seq));
        else if (loss->kind == LOSS_ENTRIES)
            rc = oid_set_add(&history->lost, history_hash_names(loss));
        rc = rc == STORE_EXISTS ? STORE_OK : rc;
    }
    loss_list_release(&losses);
    return rc;
}

/* Whether revisions are missing behind all that was found or hinted at: then there may have been a transaction of which nothing else is left. */
static int is_end_missing(struct repair *repair, bool *missing) {
    uint64_t highest = 0, first = 0;
    struct value key = value_integer(repair->last_seq);
    int rc = statement_integer(repair->db, STATEMENT_HIGHEST_REVISION, NULL, 0, &highest);
    if (rc == STORE_OK)
        rc = statement_integer(repair->db, STATEMENT_FIRST_REVISION, &key, 1, &first);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    if (repair->state_found && repair->next_revision_found > highest + 1)
        *missing = !(repair->log_damaged && first > highest); /* else they are those of the last one */
    else
        *missing = !repair->state_found && !repair->log_damaged && !repair->has_end &&
                   !(repair->has_index && repair->gap_count == 0);
    return rc;
}

/* The newest transaction of which anything is left, if only its marks. */
static int find_last(struct history *history) {
    struct repair *repair = history->repair;
    struct value reach = value_integer(history->reach);
    uint64_t marked = 0;
    bool missing = false;
    int rc = statement_integer(repair->db, STATEMENT_HIGHEST_SEQ, NULL, 0, &repair->last_seq);
    if (rc >= 0)
        rc = statement_integer(repair->db, STATEMENT_MARKS_NEWEST, &reach, 1, &marked);
    if (rc >= 0 && marked > repair->last_seq)
        repair->last_seq = marked;
    if (rc >= 0)
        rc = is_end_missing(repair, &missing);
    repair->last_seq += missing;
    return rc;
}

/* It is the newest transaction's at most; one that no transaction can ever have reached is none. */
static void limit_horizon(struct history *history) {
    struct repair *repair = history->repair;
    if (repair->state.horizon > history->reach + 1) {
        repair->state.horizon = 0;
        repair->state.packed_at = (struct timespec){0};
    } else if (repair->state.horizon > repair->last_seq + 1) {
        repair->state.horizon = repair->last_seq + 1;
    }
}

int repair_history(struct repair *repair) {
    struct history history = {.repair = repair, .db = repair->db};
    struct oid_set directories;
    oid_set_init(&history.lost);
    oid_set_init(&history.made);
    oid_set_init(&history.certain);
    oid_set_init(&history.disagree);
    oid_set_init(&directories);
    repair_progress(repair, "completing history", 0, 0);
    repair->next_revision_found = repair->state.next_revision;
    int rc = order_rows(&history);
    if (rc == STORE_OK)
        rc = order_bound(&history);
    if (rc == STORE_OK)
        rc = find_last(&history);
    limit_horizon(&history);
    if (rc == STORE_OK)
        rc = raise_counters(&history);
    if (rc == STORE_OK)
        rc = statement_run(repair->db, STATEMENT_ENTRIES_OF_ENDED, NULL, 0);
    if (rc == STORE_OK)
        rc = remember_losses(&history);
    if (rc == STORE_OK)
        rc = complete_transactions(&history);
    if (rc == STORE_OK)
        rc = find_gaps(&history);
    if (rc == STORE_OK)
        rc = check_end(&history);
    if (rc == STORE_OK)
        rc = lose_implied(&history, STATEMENT_INODES_MISSING, PART_INODE);
    if (rc == STORE_OK)
        rc = lose_implied(&history, STATEMENT_DIRECTORIES_UNCHANGED, PART_INODE);
    if (rc == STORE_OK)
        rc = lose_implied(&history, STATEMENT_OBJECTS_UNKNOWN, LOSS_PART_ANY);
    if (rc == STORE_OK)
        rc = doubt_record_all(&history);
    if (rc == STORE_OK)
        rc = names_find_directories(&history, &directories);
    if (rc == STORE_OK)
        rc = names_check(&history, &directories);
    if (rc == STORE_OK)
        rc = names_complete_marks(&history, &directories);
    if (rc == STORE_OK)
        rc = write_state(&history);
    oid_set_release(&directories);
    oid_set_release(&history.lost);
    oid_set_release(&history.made);
    oid_set_release(&history.certain);
    oid_set_release(&history.disagree);
    free(history.certain_seqs);
    free(history.doubts);
    return rc;
}
