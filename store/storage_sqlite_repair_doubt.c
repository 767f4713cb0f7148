/* Revisions that are missing, and nobody knows of what: whatever they may have been is put on record as lost.
 *
 * Every object is suspected in every transaction in doubt, but for those of which one of these shows the contrary:
 *  - the index of revisions was read without a gap around the object: it tells all that the object ever had;
 *  - the transaction's row says how many objects changed, and so many inodes of it are known: others did not change;
 *  - the marks of the transaction are all there, and none is of a directory that had the object then. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/array.h"
#include "store/storage_sqlite_repair_history.h"

int doubt_add(struct history *history, uint64_t seq, uint64_t missing) {
    for (size_t i = history->doubt_count; i > 0; i--)
        if (history->doubts[i - 1].seq <= seq) {
            if (history->doubts[i - 1].seq < seq)
                break;
            bool fits = history->doubts[i - 1].missing < INT64_MAX - missing;
            history->doubts[i - 1].missing = fits ? history->doubts[i - 1].missing + missing : INT64_MAX;
            return STORE_OK;
        }
    struct doubt *grown = array_grow(history->doubts, &history->doubt_capacity, history->doubt_count, sizeof *grown);
    if (!grown)
        return STORE_NO_MEMORY;
    history->doubts = grown;
    /* They come nearly in order. */
    size_t place = history->doubt_count++;
    for (; place > 0 && history->doubts[place - 1].seq > seq; place--)
        history->doubts[place] = history->doubts[place - 1];
    history->doubts[place] = (struct doubt){.seq = seq, .missing = missing};
    return STORE_OK;
}

int doubt_can_have(struct history *history, uint64_t seq, uint64_t first, uint64_t end, bool *can) {
    uint64_t from = 0, until = UINT64_MAX;
    struct value keys[] = {value_integer(seq), value_integer(seq + 1)};
    int rc = STORE_OK;
    if (!oid_set_has(&history->made, seq))
        rc = statement_integer(history->db, STATEMENT_FIRST_REVISION, &keys[0], 1, &from);
    if (rc >= 0 && !oid_set_has(&history->made, seq + 1))
        rc = statement_integer(history->db, STATEMENT_FIRST_REVISION, &keys[1], 1, &until);
    *can = from < end && until > first;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

int doubt_range(struct history *history, uint64_t first, uint64_t end, uint64_t first_seq, uint64_t last_seq) {
    int rc = STORE_OK;
    for (uint64_t seq = first_seq; seq <= last_seq && rc == STORE_OK; seq++) {
        bool can = false;
        rc = doubt_can_have(history, seq, first, end, &can);
        if (rc == STORE_OK && can)
            rc = doubt_add(history, seq, end - first);
    }
    return rc;
}

int doubt_settle(struct history *history, uint64_t oid, uint64_t seq, bool added) {
    int rc = oid_set_add(&history->certain, history_hash(oid, PART_INODE, seq));
    if (rc == STORE_OK) {
        uint64_t *grown =
            array_grow(history->certain_seqs, &history->certain_capacity, history->certain_count, sizeof *grown);
        if (!grown)
            return STORE_NO_MEMORY;
        history->certain_seqs = grown;
        history->certain_seqs[history->certain_count++] = seq;
    }
    for (size_t i = 0; i < history->doubt_count && added; i++)
        if (history->doubts[i].seq == seq && history->doubts[i].missing > 0 && history->doubts[i].missing < INT64_MAX)
            history->doubts[i].missing--;
    return rc == STORE_EXISTS ? STORE_OK : rc;
}

/* ---- what is known of a transaction ---- */

static int compare_numbers(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static uint64_t count_certain(const struct history *history, uint64_t seq) {
    size_t low = 0, high = history->certain_count, count = 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (history->certain_seqs[middle] < seq)
            low = middle + 1;
        else
            high = middle;
    }
    while (low + count < history->certain_count && history->certain_seqs[low + count] == seq)
        count++;
    return count;
}

static int is_closed(struct history *history, uint64_t seq, bool *closed) {
    struct value key = value_integer(seq);
    uint64_t objects = 0, first = 0, end = 0, inodes = 0;
    *closed = false;
    if (oid_set_has(&history->made, seq))
        return STORE_OK;
    int rc = statement_integer(history->db, STATEMENT_TRANSACTION_OBJECTS, &key, 1, &objects);
    if (rc == STORE_OK)
        rc = history_first_revision(history, seq, &first);
    if (rc == STORE_OK)
        rc = history_first_revision(history, seq + 1, &end);
    struct value range[] = {value_integer(first), value_integer(end)};
    if (rc == STORE_OK)
        rc = statement_integer(history->db, STATEMENT_INODES_BETWEEN, range, 2, &inodes);
    *closed = rc == STORE_OK && inodes + count_certain(history, seq) == objects;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Ids of marks leave no gaps either. */
static int has_all_marks(struct history *history, uint64_t seq, bool *all) {
    struct value values[] = {value_integer(seq), value_integer(0)};
    const struct repair *repair = history->repair;
    *all = false;
    if (seq > repair->names_seq)
        return STORE_OK;
    if (repair->state_found)
        values[1] = value_integer(repair->state.next_subtree);
    uint64_t found = 0;
    int rc = statement_integer(history->db, STATEMENT_MARKS_WHOLE, values, 2, &found);
    *all = rc == STORE_OK && found == 1;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* ---- objects ---- */

/* The revisions of an object that are there, ascending by seq. */
struct past {
    struct past_revision {
        uint64_t seq;
        bool inode, end;
    } * items;
    size_t count, capacity;
};

static int load_past(struct history *history, uint64_t oid, struct past *past) {
    struct value value = value_integer(oid);
    sqlite3_stmt *statement = NULL;
    past->count = 0;
    int rc = statement_get(history->db, STATEMENT_PAST_OF_OBJECT, &value, 1, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        struct past_revision *grown = array_grow(past->items, &past->capacity, past->count, sizeof *grown);
        if (!grown) {
            rc = STORE_NO_MEMORY;
            break;
        }
        past->items = grown;
        past->items[past->count++] = (struct past_revision){.seq = column_integer(statement, 0),
                                                            .inode = column_integer(statement, 1) != 0,
                                                            .end = column_integer(statement, 2) != 0};
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Whether the inode of (oid, seq) can stand in the gap. */
static bool can_hide_inode(const struct index_gap *gap, uint64_t oid, uint64_t seq) {
    const struct index_key *first = &gap->first, *last = &gap->last;
    bool behind = oid > first->oid || (first->part == PART_INODE && seq > first->seq);
    bool before = oid < last->oid || last->part > PART_INODE || seq < last->seq;
    return behind && before;
}

/* Whether a revision of (oid, any part, seq) can. */
static bool can_hide(const struct index_gap *gap, uint64_t oid, uint64_t seq) {
    uint64_t least = 0, most = UINT64_MAX;
    if (oid == gap->first.oid)
        least = seq > gap->first.seq ? gap->first.part : gap->first.part + 1;
    if (oid == gap->last.oid && seq >= gap->last.seq) {
        if (gap->last.part == 0)
            return false;
        most = gap->last.part - 1;
    } else if (oid == gap->last.oid) {
        most = gap->last.part;
    }
    return least <= most;
}

/* The first gap that ends at the object or behind it. */
static size_t find_gap(const struct repair *repair, uint64_t oid) {
    size_t low = 0, high = repair->gap_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (repair->gaps[middle].last.oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether the index has told all that transaction seq changed of the object. changed: its inode of then is known, or known to be lost. Without
 * its inode nothing of an object changes. */
static bool is_indexed(const struct repair *repair, uint64_t oid, uint64_t seq, bool changed) {
    if (!repair->has_index || seq > repair->index_seq)
        return false;
    for (size_t i = find_gap(repair, oid); i < repair->gap_count && repair->gaps[i].first.oid <= oid; i++)
        if (changed ? can_hide(&repair->gaps[i], oid, seq) : can_hide_inode(&repair->gaps[i], oid, seq))
            return false;
    return true;
}

/* And all transactions in doubt. */
static bool is_beyond_doubt(const struct history *history, uint64_t oid) {
    const struct repair *repair = history->repair;
    size_t gap = find_gap(repair, oid);
    return repair->has_index && history->doubts[history->doubt_count - 1].seq <= repair->index_seq &&
           (gap == repair->gap_count || oid < repair->gaps[gap].first.oid);
}

/* True if the marks of transaction seq, which are all there, say that it did not change the object. */
static int is_unmarked(struct history *history, uint64_t oid, uint64_t seq, bool *unmarked) {
    struct value values[] = {value_integer(oid), value_integer(seq)};
    uint64_t found = 0;
    int rc = statement_integer(history->db, STATEMENT_UNMARKED_PLACE, values, 2, &found);
    *unmarked = rc == STORE_OK;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Whatever may be lost of one object. A loss hides all that is older until the next revision of what is lost, and so the later ones in between. */
static int suspect(struct history *history, uint64_t oid, const struct past *past) {
    uint64_t since = 0; /* the object may have been another since then, and that is on record */
    uint64_t end = 0;   /* and then it ended */
    size_t position = 0;
    int rc = STORE_OK;
    for (size_t i = 0; i < history->doubt_count && rc == STORE_OK; i++) {
        const struct doubt *doubt = &history->doubts[i];
        bool inode = false, unmarked = false;
        for (; position < past->count && past->items[position].seq <= doubt->seq; position++) {
            inode = inode || (past->items[position].inode && past->items[position].seq == doubt->seq);
            end = past->items[position].end ? past->items[position].seq : end;
            since = 0;
        }
        if (end != 0 && end < doubt->seq)
            break;
        bool lost = oid_set_has(&history->certain, history_hash(oid, PART_INODE, doubt->seq));
        if (doubt->missing == 0 || (doubt->closed && !inode && !lost) || since != 0 ||
            is_indexed(history->repair, oid, doubt->seq, inode || lost))
            continue;
        if (doubt->marked && !inode && !lost)
            rc = is_unmarked(history, oid, doubt->seq, &unmarked);
        if (rc != STORE_OK || unmarked)
            continue;
        rc = history_lose(history, oid, inode ? LOSS_PART_CONTENT : LOSS_PART_ANY, doubt->seq, NULL);
        since = inode ? 0 : doubt->seq;
    }
    return rc;
}

static int list_suspects(struct history *history, uint64_t **oids, size_t *count) {
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(history->db, STATEMENT_ALL_OBJECTS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        uint64_t oid = column_integer(statement, 0);
        if (is_beyond_doubt(history, oid))
            continue;
        uint64_t *grown = array_grow(*oids, &capacity, *count, sizeof *grown);
        if (!grown) {
            rc = STORE_NO_MEMORY;
            break;
        }
        *oids = grown;
        (*oids)[(*count)++] = oid;
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

int doubt_record_all(struct history *history) {
    struct past past = {0};
    uint64_t *oids = NULL;
    size_t count = 0;
    int rc = STORE_OK;
    if (history->certain_count > 0)
        qsort(history->certain_seqs, history->certain_count, sizeof *history->certain_seqs, compare_numbers);
    for (size_t i = 0; i < history->doubt_count && rc == STORE_OK; i++) {
        struct doubt *doubt = &history->doubts[i];
        if (doubt->missing > 0)
            rc = is_closed(history, doubt->seq, &doubt->closed);
        if (rc == STORE_OK && doubt->missing > 0)
            rc = has_all_marks(history, doubt->seq, &doubt->marked);
    }
    if (rc == STORE_OK && history->doubt_count > 0)
        rc = list_suspects(history, &oids, &count);
    for (size_t i = 0; i < count && rc == STORE_OK; i++) {
        rc = load_past(history, oids[i], &past);
        if (rc == STORE_OK)
            rc = suspect(history, oids[i], &past);
    }
    free(past.items);
    free(oids);
    return rc;
}
