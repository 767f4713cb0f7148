/* What is missing from history, and what can be made again.
 *
 * Revision ids, seqs and (but for lost directories) counts of entries leave no gaps in a store that is whole. So gaps tell how much is lost
 * and when; indexes and other rows mostly tell of what object. Where they do not, all that the transaction may have changed is in doubt. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "store/oid_set.h"
#include "store/storage_sqlite_repair.h"
#include "store/tid.h"

#define MARKED_MAX  1000     /* transactions at the end of which nothing is left but marks */
#define MISSING_MAX 10000000 /* transactions in one gap: more is no gap but nonsense */

/* A transaction of which something unknown is lost. */
struct doubt {
    uint64_t seq;
    uint64_t missing; /* revisions at most */
};

struct history {
    struct repair *repair;
    struct connection *db;
    struct oid_set lost; /* hashes of revisions that are on record */
    struct oid_set made; /* seqs of transactions whose row is new */
    uint64_t end_seq;    /* of the last revision that was found */
    struct doubt *doubts;
    size_t doubt_count, doubt_capacity;
};

static int grow_doubts(struct history *history) {
    if (history->doubt_count < history->doubt_capacity)
        return STORE_OK;
    size_t capacity = history->doubt_capacity ? history->doubt_capacity * 2 : 16;
    struct doubt *grown = reallocarray(history->doubts, capacity, sizeof *grown);
    if (!grown)
        return STORE_NO_MEMORY;
    history->doubts = grown;
    history->doubt_capacity = capacity;
    return STORE_OK;
}

/* ---- transactions ---- */

/* The smallest id of a revision of transaction seq or a later one: ids and seqs ascend together. */
static int find_first_revision(struct history *history, uint64_t seq, uint64_t *id) {
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

/* A row in the place of one that is lost. `after` is the tid of the one before it; `below` that of the next, UINT64_MAX for none. */
static int make_transaction(struct history *history, uint64_t seq, uint64_t after, uint64_t below, uint64_t *tid) {
    char user[] = "", message[] = "(the record of this transaction is lost)";
    struct value key = value_integer(seq);
    int rc = statement_integer(history->db, STATEMENT_HINT_TIME, &key, 1, tid);
    bool timed = rc == STORE_OK && *tid > after && *tid < below;
    if (rc < 0)
        return rc;
    if (!timed)
        *tid = after + 1;
    struct transaction made = {.seq = seq, .tid = *tid, .base = seq - 1, .user = user, .message = message};
    uint64_t first = 0, end = 0;
    made.wall = tid_to_time(*tid);
    rc = oid_set_add(&history->made, seq);
    if (rc == STORE_OK)
        rc = find_first_revision(history, seq, &first);
    if (rc == STORE_OK)
        rc = find_first_revision(history, seq + 1, &end);
    struct value range[] = {value_integer(first), value_integer(end)};
    if (rc == STORE_OK)
        rc = statement_integer(history->db, STATEMENT_INODES_BETWEEN, range, 2, &made.object_count);
    if (rc == STORE_OK)
        rc = transaction_row_insert(history->db, &made, first);
    if (rc == STORE_OK && !timed)
        rc = repair_lose(history->repair, &(struct loss){.kind = LOSS_TIME, .seq = seq});
    if (rc == STORE_OK)
        rc = repair_lose(history->repair, &(struct loss){.kind = LOSS_NOTED, .seq = seq});
    return rc;
}

/* Fills (previous, next) with rows. */
static int make_transactions(struct history *history, const struct transaction *previous, uint64_t next_seq,
                             uint64_t next_tid) {
    uint64_t tid = previous->tid;
    int rc = next_seq - previous->seq <= MISSING_MAX ? STORE_OK : STORE_CORRUPT;
    for (uint64_t seq = previous->seq + 1; seq < next_seq && rc == STORE_OK; seq++)
        rc = make_transaction(history, seq, tid, next_tid, &tid);
    return rc;
}

struct known_transaction {
    uint64_t seq, tid;
};

/* Reads them all first: rows cannot be added to a table while it is walked. */
static int list_transactions(struct connection *db, struct known_transaction **list, size_t *count) {
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(db, STATEMENT_ALL_TRANSACTIONS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(db, statement)) == STORE_OK) {
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 256;
            struct known_transaction *grown = reallocarray(*list, capacity, sizeof *grown);
            if (!grown) {
                rc = STORE_NO_MEMORY;
                break;
            }
            *list = grown;
        }
        (*list)[(*count)++] =
            (struct known_transaction){.seq = column_integer(statement, 0), .tid = column_integer(statement, 1)};
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

static int complete_transactions(struct history *history) {
    struct known_transaction *list = NULL;
    struct transaction previous = {0};
    size_t count = 0;
    int rc = list_transactions(history->db, &list, &count);
    for (size_t i = 0; i < count && rc == STORE_OK; i++) {
        rc = make_transactions(history, &previous, list[i].seq, list[i].tid);
        previous.seq = list[i].seq;
        previous.tid = list[i].tid;
    }
    if (rc == STORE_OK)
        rc = make_transactions(history, &previous, history->repair->last_seq + 1, UINT64_MAX);
    free(list);
    return rc;
}

/* ---- revisions ---- */

static uint64_t hash_of(uint64_t oid, uint64_t part, uint64_t seq) {
    uint64_t words[] = {oid, part, seq};
    uint64_t hash = XXH3_64bits(words, sizeof words);
    return hash != 0 ? hash : 1;
}

/* Puts a lost revision on record, once. *added (may be NULL) tells whether it was not yet. */
static int lose_revision(struct history *history, uint64_t oid, uint64_t part, uint64_t seq, bool *added) {
    struct loss loss = {.kind = LOSS_REVISION, .oid = oid, .part = part, .seq = seq};
    struct value values[] = {value_integer(oid), value_integer(part < LOSS_PART_ANY ? part : PART_INODE),
                             value_integer(seq + 1)};
    int rc = oid_set_add(&history->lost, hash_of(oid, part, seq));
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

/* True if a hint can be right: nothing that is there contradicts it. */
static bool is_plausible(struct history *history, uint64_t oid, uint64_t part, uint64_t seq, uint64_t first_seq,
                         uint64_t last_seq, int *rc) {
    struct value values[] = {value_integer(oid), value_integer(part), value_integer(seq)};
    uint64_t found = 0;
    bool sane = oid >= ROOT_OID && oid < history->repair->state.next_oid &&
                part <= PART_CHUNK + (INT64_MAX >> CHUNK_SHIFT) && (part <= PART_XATTRS || part >= PART_CHUNK) &&
                seq >= first_seq && seq <= last_seq;
    if (!sane)
        return false;
    *rc = statement_integer(history->db, STATEMENT_REVISION_NEXT_SEQ, values, 3, &found);
    bool there = *rc == STORE_OK && found == seq;
    *rc = *rc == STORE_ABSENT ? STORE_OK : *rc;
    return !there;
}

static int add_doubt(struct history *history, uint64_t seq, uint64_t missing) {
    for (size_t i = history->doubt_count; i > 0 && i + 4 > history->doubt_count; i--)
        if (history->doubts[i - 1].seq == seq) {
            history->doubts[i - 1].missing += missing;
            return STORE_OK;
        }
    int rc = grow_doubts(history);
    if (rc == STORE_OK)
        history->doubts[history->doubt_count++] = (struct doubt){.seq = seq, .missing = missing};
    return rc;
}

/* Revisions [first, end) are lost, and nothing is known of them but that they were written in [first_seq, last_seq]. */
static int doubt_range(struct history *history, uint64_t first, uint64_t end, uint64_t first_seq, uint64_t last_seq) {
    int rc = last_seq - first_seq <= MISSING_MAX ? STORE_OK : STORE_CORRUPT;
    for (uint64_t seq = first_seq; seq <= last_seq && rc == STORE_OK; seq++) {
        uint64_t from = 0, until = UINT64_MAX;
        struct value keys[] = {value_integer(seq), value_integer(seq + 1)};
        if (!oid_set_has(&history->made, seq))
            rc = statement_integer(history->db, STATEMENT_FIRST_REVISION, &keys[0], 1, &from);
        if (rc >= 0 && !oid_set_has(&history->made, seq + 1))
            rc = statement_integer(history->db, STATEMENT_FIRST_REVISION, &keys[1], 1, &until);
        rc = rc == STORE_ABSENT ? STORE_OK : rc;
        if (rc == STORE_OK && from < end && until > first)
            rc = add_doubt(history, seq, end - first);
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
        if (!is_plausible(history, oid, part, seq, first_seq, last_seq, &rc))
            continue;
        rc = lose_revision(history, oid, part, seq, NULL);
        if (rc == STORE_OK && id > unknown)
            rc = doubt_range(history, unknown, id, first_seq, last_seq);
        unknown = id + 1;
        if (rc != STORE_OK)
            break;
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
    if (repair->last_seq == 0)
        return STORE_OK;
    if (repair->log_damaged) {
        rc = statement_integer(history->db, STATEMENT_FIRST_REVISION, &key, 1, &first);
        certain = certain && rc == STORE_OK && !oid_set_has(&history->made, repair->last_seq) &&
                  repair->next_revision_found > first;
    } else if (!repair->state_found) {
        certain = repair->has_end;
    }
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    for (uint64_t seq = history->end_seq; seq <= repair->last_seq && rc == STORE_OK && !certain; seq++)
        rc = add_doubt(history, seq, INT64_MAX);
    return rc;
}

/* The number of revisions that are in doubt, less one that is now known. */
static void settle_doubt(struct history *history, uint64_t seq) {
    for (size_t i = 0; i < history->doubt_count; i++)
        if (history->doubts[i].seq == seq && history->doubts[i].missing > 0)
            history->doubts[i].missing--;
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
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            void *grown = reallocarray(found, capacity, sizeof *found);
            if (!grown) {
                rc = STORE_NO_MEMORY;
                break;
            }
            found = grown;
        }
        found[count].oid = column_integer(statement, 0);
        found[count++].seq = column_integer(statement, 1);
    }
    statement_reset(statement);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    for (size_t i = 0; i < count && rc == STORE_OK; i++) {
        bool added = false;
        if (found[i].seq <= history->repair->state.horizon ||
            oid_set_has(&history->lost, hash_of(found[i].oid, PART_INODE, found[i].seq)))
            continue;
        rc = lose_revision(history, found[i].oid, part, found[i].seq, &added);
        if (added && part == PART_INODE)
            settle_doubt(history, found[i].seq);
    }
    free(found);
    return rc;
}

/* Whatever a transaction may have changed, for something of it is lost that cannot be told. */
static int lose_doubtful(struct history *history, const struct doubt *doubt) {
    struct value values[] = {value_integer(doubt->seq), value_integer(0)};
    uint64_t found, *oids = NULL;
    size_t count = 0, capacity = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_integer(history->db, STATEMENT_MARKED_AT, values, 1, &found);
    if (rc < 0)
        return rc;
    values[1] = value_integer(rc == STORE_ABSENT);
    rc = statement_get(history->db, STATEMENT_NAMES_AT, values, 2, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            uint64_t *grown = reallocarray(oids, capacity, sizeof *grown);
            if (!grown) {
                rc = STORE_NO_MEMORY;
                break;
            }
            oids = grown;
        }
        oids[count++] = column_integer(statement, 0);
    }
    statement_reset(statement);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    for (size_t i = 0; i < count && rc == STORE_OK; i++) {
        struct value key[] = {value_integer(oids[i]), value_integer(PART_INODE), value_integer(doubt->seq)};
        rc = statement_integer(history->db, STATEMENT_REVISION_NEXT_SEQ, key, 3, &found);
        bool inode = rc == STORE_OK && found == doubt->seq;
        if (rc >= 0)
            rc = lose_revision(history, oids[i], inode ? LOSS_PART_CONTENT : LOSS_PART_ANY, doubt->seq, NULL);
    }
    free(oids);
    return rc;
}

static int lose_all_doubtful(struct history *history) {
    int rc = STORE_OK;
    for (size_t i = 0; i < history->doubt_count && rc == STORE_OK; i++)
        if (history->doubts[i].missing > 0)
            rc = lose_doubtful(history, &history->doubts[i]);
    return rc;
}

/* ---- names ---- */

/* Instants at which a directory has other entries than its record says. */
struct span {
    bool open;
    uint64_t seq;
};

static int close_span(struct history *history, uint64_t directory, struct span *span, uint64_t until) {
    if (!span->open)
        return STORE_OK;
    span->open = false;
    if (oid_set_has(&history->lost, hash_of(directory, LOSS_PART_ANY + LOSS_ENTRIES, span->seq)))
        return STORE_OK;
    return repair_lose(history->repair,
                       &(struct loss){.kind = LOSS_ENTRIES, .oid = directory, .seq = span->seq, .until = until});
}

/* Whether the record, NULL for an end, has as many entries as were counted. */
static int agrees(const struct history *history, const struct revision *revision, int64_t entries, int64_t births,
                  bool *right) {
    struct inode_record record;
    *right = true;
    if (!revision->data)
        return STORE_OK;
    int rc = inode_record_decode(revision->data, revision->length, &record);
    if (rc == STORE_CORRUPT)
        return STORE_OK;
    if (rc == STORE_OK) {
        *right = (record.mode & S_IFMT) != S_IFDIR || record.size == (uint64_t)entries;
        /* Old pages that a damaged log left may make the number right by chance: then all indexes have to be there too. */
        if (history->repair->log_damaged && (uint64_t)births + ENTRY_INDEX_FIRST != record.next_index)
            *right = (record.mode & S_IFMT) != S_IFDIR;
        inode_record_release(&record);
    }
    return rc;
}

static int check_directory(struct history *history, uint64_t directory, sqlite3_stmt *events, sqlite3_stmt *revisions) {
    struct connection *db = history->db;
    struct span span = {0};
    int64_t entries = 0, births = 0;
    int more = statement_step(db, events), rc = STORE_OK;
    while (rc == STORE_OK && (rc = statement_step(db, revisions)) == STORE_OK) {
        struct revision revision = {0};
        bool right = true;
        rc = revision_row_decode(db, revisions, &revision);
        while (rc == STORE_OK && more == STORE_OK && column_integer(events, 0) <= revision.seq) {
            entries += sqlite3_column_int64(events, 1);
            births += sqlite3_column_int64(events, 4);
            more = statement_step(db, events);
        }
        if (rc == STORE_OK)
            rc = more < 0 ? more : agrees(history, &revision, entries, births, &right);
        if (rc == STORE_OK && right)
            rc = close_span(history, directory, &span, revision.seq);
        if (rc == STORE_OK && !right && !span.open)
            span = (struct span){.open = true, .seq = revision.seq};
        revision_release(&revision);
    }
    if (rc == STORE_ABSENT)
        rc = more < 0 ? more : close_span(history, directory, &span, history->repair->last_seq + 1);
    return rc;
}

/* Every index that the directory gave out is there: indexes are given out one after the other, and the newest inode tells the next. */
static int has_all_entries(struct history *history, uint64_t directory, bool *all) {
    struct value value = value_integer(directory);
    enum load_outcome outcome;
    struct revision revision = {0};
    struct inode_record record;
    uint64_t count = 0;
    int rc = statement_integer(history->db, STATEMENT_COUNT_ENTRIES, &value, 1, &count);
    *all = false;
    if (rc == STORE_OK)
        rc = sqlite_read_before(history->db, directory, PART_INODE, SEQ_MAX, &outcome, &revision);
    if (rc == STORE_OK && outcome == LOAD_DATA) {
        rc = inode_record_decode(revision.data, revision.length, &record);
        if (rc == STORE_OK) {
            *all = count + ENTRY_INDEX_FIRST == record.next_index;
            inode_record_release(&record);
        }
    }
    revision_release(&revision);
    return rc == STORE_CORRUPT || rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Where a directory's record is lost, nothing tells how many names it had. */
static int doubt_names(struct history *history, const struct oid_set *directories) {
    struct loss_list losses;
    int rc = loss_list_load(history->db, &losses);
    for (size_t i = 0; i < losses.count && rc == STORE_OK; i++) {
        const struct loss *loss = &losses.items[i];
        struct span span = {.open = true, .seq = loss->seq};
        bool all = false;
        if (loss->kind != LOSS_REVISION || loss->id < history->repair->first_loss ||
            !oid_set_has(directories, loss->oid) || (loss->part != PART_INODE && loss->part != LOSS_PART_ANY))
            continue;
        if (loss->until != 0)
            rc = has_all_entries(history, loss->oid, &all);
        if (rc == STORE_OK && !all)
            rc = close_span(history, loss->oid, &span, loss->until != 0 ? loss->until : history->repair->last_seq + 1);
    }
    loss_list_release(&losses);
    return rc;
}

static int check_directories(struct history *history, const struct oid_set *directories) {
    int rc = STORE_OK;
    for (size_t i = 0; i < directories->capacity && rc == STORE_OK; i++) {
        struct value value = value_integer(directories->slots[i]);
        sqlite3_stmt *events = NULL, *revisions = NULL;
        if (directories->slots[i] == 0)
            continue;
        rc = statement_get(history->db, STATEMENT_DIRECTORY_EVENTS, &value, 1, &events);
        if (rc == STORE_OK)
            rc = statement_get(history->db, STATEMENT_INODE_REVISIONS, &value, 1, &revisions);
        if (rc == STORE_OK)
            rc = check_directory(history, directories->slots[i], events, revisions);
        statement_reset(events);
        statement_reset(revisions);
    }
    return rc;
}

/* All that ever were a directory, by their own records or by their names. */
static int find_directories(struct history *history, struct oid_set *directories) {
    sqlite3_stmt *statement = NULL;
    int rc = oid_set_add(directories, ROOT_OID);
    if (rc == STORE_OK)
        rc = statement_get(history->db, STATEMENT_DIRECTORIES_NAMED, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        rc = oid_set_add(directories, column_integer(statement, 0));
        rc = rc == STORE_EXISTS ? STORE_OK : rc;
    }
    statement_reset(statement);
    if (rc != STORE_ABSENT)
        return rc;
    rc = statement_get(history->db, STATEMENT_ALL_REVISIONS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        struct revision revision = {0};
        struct inode_record record;
        if (column_integer(statement, 2) != PART_INODE || sqlite3_column_type(statement, 4) == SQLITE_NULL)
            continue;
        rc = revision_row_decode(history->db, statement, &revision);
        if (rc == STORE_OK && (rc = inode_record_decode(revision.data, revision.length, &record)) == STORE_OK) {
            if ((record.mode & S_IFMT) == S_IFDIR)
                rc = oid_set_add(directories, revision.oid);
            inode_record_release(&record);
        }
        rc = rc == STORE_EXISTS || rc == STORE_CORRUPT ? STORE_OK : rc;
        revision_release(&revision);
    }
    statement_reset(statement);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* ---- marks ---- */

static int mark(struct history *history, uint64_t directory, uint64_t seq, bool *made) {
    struct value values[] = {value_integer(seq), value_integer(directory)};
    int rc = statement_run(history->db, STATEMENT_MARK_MAKE, values, 2);
    *made = rc == STORE_OK && sqlite3_changes(history->db->db) > 0;
    return rc;
}

/* Marks the directories that hold an object as transaction seq left it, and those above. */
static int mark_parents(struct history *history, uint64_t oid, uint64_t seq) {
    struct value values[] = {value_integer(oid), value_integer(seq)};
    uint64_t *parents = NULL;
    size_t count = 0;
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(history->db, STATEMENT_PARENTS_AT, values, 2, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK) {
        uint64_t *grown = reallocarray(parents, count + 1, sizeof *grown);
        if (!grown) {
            rc = STORE_NO_MEMORY;
            break;
        }
        parents = grown;
        parents[count++] = column_integer(statement, 0);
    }
    statement_reset(statement);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    for (size_t i = 0; i < count && rc == STORE_OK; i++) {
        bool made;
        rc = mark(history, parents[i], seq, &made);
        if (rc == STORE_OK && made)
            rc = mark_parents(history, parents[i], seq);
    }
    free(parents);
    return rc;
}

static int mark_change(struct history *history, const struct oid_set *directories, uint64_t oid, uint64_t seq) {
    bool made = true;
    int rc = STORE_OK;
    if (oid_set_has(directories, oid))
        rc = mark(history, oid, seq, &made);
    return rc == STORE_OK && made ? mark_parents(history, oid, seq) : rc;
}

/* What the commits marked, made again; the marks that are there stay as they are if none of it is missing or out of order, for their ids
 * name versions. */
static int complete_marks(struct history *history, const struct oid_set *directories) {
    uint64_t missing = 0;
    struct value last = value_integer(history->repair->last_seq);
    sqlite3_stmt *statement = NULL;
    int rc = statement_run(history->db, STATEMENT_MARKS_DROP, &last, 1);
    if (rc == STORE_OK)
        rc = statement_run(history->db, STATEMENT_MARK_TABLE, NULL, 0);
    if (rc == STORE_OK)
        rc = statement_get(history->db, STATEMENT_REVISION_KEYS, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK)
        if (column_integer(statement, 2) == PART_INODE)
            rc = mark_change(history, directories, column_integer(statement, 1), column_integer(statement, 3));
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        rc = statement_get(history->db, STATEMENT_ALL_LOSSES, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK)
        if (column_integer(statement, 1) == LOSS_REVISION)
            rc = mark_change(history, directories, column_integer(statement, 2), column_integer(statement, 4));
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        rc = statement_integer(history->db, STATEMENT_MARKS_MISSING, NULL, 0, &missing);
    if (rc != STORE_OK || missing == 0)
        return rc;
    rc = statement_run(history->db, STATEMENT_MARKS_KEEP, &last, 1);
    if (rc == STORE_OK)
        rc = statement_run(history->db, STATEMENT_MARKS_DELETE, NULL, 0);
    return rc == STORE_OK ? statement_run(history->db, STATEMENT_MARKS_WRITE, NULL, 0) : rc;
}

/* ---- the state ---- */

/* Counters are above all that was used. */
static int raise_counters(struct history *history) {
    struct repair *repair = history->repair;
    uint64_t *counters[] = {&repair->state.next_oid, &repair->state.next_revision, &repair->state.next_body,
                            &repair->state.next_subtree};
    sqlite3_stmt *statement = NULL;
    int rc = statement_get(history->db, STATEMENT_HIGHEST_IDS, NULL, 0, &statement);
    if (rc == STORE_OK)
        rc = statement_step(history->db, statement);
    for (size_t i = 0; i < 4 && rc == STORE_OK; i++)
        if (*counters[i] < column_integer(statement, (int)i) + 1)
            *counters[i] = column_integer(statement, (int)i) + 1;
    statement_reset(statement);
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
            rc = oid_set_add(&history->lost, hash_of(loss->oid, loss->part, loss->seq));
        else if (loss->kind == LOSS_ENTRIES)
            rc = oid_set_add(&history->lost, hash_of(loss->oid, LOSS_PART_ANY + LOSS_ENTRIES, loss->seq));
        rc = rc == STORE_EXISTS ? STORE_OK : rc;
    }
    loss_list_release(&losses);
    return rc;
}

/* The newest transaction of which anything is left, if only its marks; these have no checksum, and are not believed if they lead far away. */
static int find_last(struct repair *repair) {
    uint64_t marked = 0;
    int rc = statement_integer(repair->db, STATEMENT_HIGHEST_SEQ, NULL, 0, &repair->last_seq);
    if (rc == STORE_OK)
        rc = statement_integer(repair->db, STATEMENT_MARKS_NEWEST, NULL, 0, &marked);
    if (rc >= 0 && marked > repair->last_seq && marked - repair->last_seq <= MARKED_MAX)
        repair->last_seq = marked;
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

int repair_history(struct repair *repair) {
    struct history history = {.repair = repair, .db = repair->db};
    struct oid_set directories;
    oid_set_init(&history.lost);
    oid_set_init(&history.made);
    oid_set_init(&directories);
    repair_progress(repair, "completing history", 0, 0);
    int rc = find_last(repair);
    repair->next_revision_found = repair->state.next_revision;
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
        rc = lose_all_doubtful(&history);
    if (rc == STORE_OK)
        rc = find_directories(&history, &directories);
    if (rc == STORE_OK)
        rc = check_directories(&history, &directories);
    if (rc == STORE_OK)
        rc = doubt_names(&history, &directories);
    if (rc == STORE_OK)
        rc = complete_marks(&history, &directories);
    if (rc == STORE_OK)
        rc = write_state(&history);
    oid_set_release(&directories);
    oid_set_release(&history.lost);
    oid_set_release(&history.made);
    free(history.doubts);
    return rc;
}
