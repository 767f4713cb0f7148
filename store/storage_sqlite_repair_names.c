/* Names that are missing, and marks.
 *
 * A directory's record counts its names, and tells the index of the next one. Where it counts others than were found, names are lost between the last
 * record that agrees and the next one that does. Where no page can be older than it should be, a name that was found is right all
 * the same. Else one that is said to live may have ended, and is right only if a later record of its directory counts it. */
#include <stdlib.h>
#include <sys/stat.h>

#include "store/storage_sqlite_repair_history.h"

/* ---- names ---- */

/* Instants at which a directory has other entries than its record says. */
struct span {
    bool open;
    uint64_t seq;
};

static int close_span(struct history *history, uint64_t directory, struct span *span, uint64_t until,
                      enum loss_names what) {
    const struct loss loss = {.kind = LOSS_ENTRIES, .oid = directory, .part = what, .seq = span->seq, .until = until};
    if (!span->open)
        return STORE_OK;
    span->open = false;
    int rc = oid_set_add(&history->lost, history_hash_names(&loss));
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_OK : rc;
    return repair_lose(history->repair, &loss);
}

/* What may be wrong with names that no later record counts. */
static enum loss_names uncounted(const struct history *history) {
    return history->repair->names_seq < SEQ_MAX ? LOSS_NAMES_OLD : LOSS_NAMES_MISSING;
}

/* Names as they were counted up to a revision of the directory. */
struct tally {
    int64_t entries, births;
    uint64_t
        unused; /* indexes that no name has, as of the last revision that agreed: of names that came and went within a transaction */
};

/* Whether a directory's record, NULL for an end, has as many names as were counted: *right; and *exact: neither is a name missing that came since the
 * last revision that agreed. Where names may be older ones, the number may be right by chance, but not exact. */
static int compare(const struct history *history, const struct revision *revision, struct tally *tally, bool *right,
                   bool *exact) {
    struct inode_record record;
    *right = *exact = true;
    if (!revision->data)
        return STORE_OK;
    int rc = inode_record_decode(revision->data, revision->length, &record);
    if (rc != STORE_OK)
        return rc == STORE_CORRUPT ? STORE_OK : rc;
    if ((record.mode & S_IFMT) == S_IFDIR) {
        uint64_t unused = record.next_index - (uint64_t)tally->births;
        *right = record.size == (uint64_t)tally->entries;
        *exact = *right && unused == tally->unused;
        if (revision->seq > history->repair->names_seq)
            *right = *exact;
        if (*right)
            tally->unused = unused;
    }
    inode_record_release(&record);
    return STORE_OK;
}

static int check_revision(struct history *history, uint64_t directory, const struct revision *revision,
                          struct tally *tally, struct span *span) {
    bool right, exact;
    int rc = compare(history, revision, tally, &right, &exact);
    if (rc == STORE_OK && !exact)
        rc = oid_set_put(&history->disagree, history_hash(directory, PART_INODE, revision->seq));
    if (rc == STORE_OK && right)
        rc = close_span(history, directory, span, revision->seq, LOSS_NAMES_MISSING);
    if (rc == STORE_OK && !right && !span->open)
        *span = (struct span){.open = true, .seq = revision->seq};
    return rc;
}

static int check_directory(struct history *history, uint64_t directory, sqlite3_stmt *events, sqlite3_stmt *revisions) {
    struct connection *db = history->db;
    struct tally tally = {.unused = ENTRY_INDEX_FIRST};
    struct span span = {0};
    int more = statement_step(db, events), rc = STORE_OK;
    while (rc == STORE_OK && (rc = statement_step(db, revisions)) == STORE_OK) {
        struct revision revision = {0};
        rc = revision_row_decode(db, revisions, &revision);
        while (rc == STORE_OK && more == STORE_OK && column_integer(events, 0) <= revision.seq) {
            tally.entries += sqlite3_column_int64(events, 1);
            tally.births += sqlite3_column_int64(events, 4);
            more = statement_step(db, events);
        }
        if (rc == STORE_OK)
            rc = more < 0 ? more : check_revision(history, directory, &revision, &tally, &span);
        revision_release(&revision);
    }
    if (rc == STORE_ABSENT)
        rc = more < 0 ? more : close_span(history, directory, &span, history->repair->last_seq + 1, uncounted(history));
    return rc;
}

/* The record of a directory is lost, and nothing tells how many names it had then, but for the next one. */
static int doubt_names_of(struct history *history, const struct loss *loss) {
    struct span span = {.open = true, .seq = loss->seq};
    if (loss->until != 0 && !oid_set_has(&history->disagree, history_hash(loss->oid, PART_INODE, loss->until)))
        return STORE_OK;
    return close_span(history, loss->oid, &span, loss->until != 0 ? loss->until : history->repair->last_seq + 1,
                      uncounted(history));
}

static int doubt_names(struct history *history, const struct oid_set *directories) {
    struct loss_list losses;
    int rc = loss_list_load(history->db, &losses);
    for (size_t i = 0; i < losses.count && rc == STORE_OK; i++) {
        const struct loss *loss = &losses.items[i];
        if (loss->kind == LOSS_REVISION && loss->id >= history->repair->first_loss &&
            oid_set_has(directories, loss->oid) && (loss->part == PART_INODE || loss->part == LOSS_PART_ANY))
            rc = doubt_names_of(history, loss);
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

int names_check(struct history *history, const struct oid_set *directories) {
    const struct repair *repair = history->repair;
    int rc = check_directories(history, directories);
    for (size_t i = 0; i < repair->displaced_count && rc == STORE_OK; i++) {
        const struct loss *loss = &repair->displaced[i];
        struct span span = {.open = true, .seq = loss->seq};
        rc = close_span(history, loss->oid, &span, loss->until, LOSS_NAMES_MISSING);
    }
    return rc == STORE_OK ? doubt_names(history, directories) : rc;
}

int names_find_directories(struct history *history, struct oid_set *directories) {
    sqlite3_stmt *statement = NULL;
    int rc = oid_set_add(directories, ROOT_OID);
    if (rc == STORE_OK)
        rc = statement_get(history->db, STATEMENT_DIRECTORIES_NAMED, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK)
        rc = oid_set_put(directories, column_integer(statement, 0));
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
                rc = oid_set_put(directories, revision.oid);
            inode_record_release(&record);
        }
        rc = rc == STORE_CORRUPT ? STORE_OK : rc;
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

int names_complete_marks(struct history *history, const struct oid_set *directories) {
    uint64_t missing = 0;
    struct value last = value_integer(history->repair->last_seq), from = value_integer(0);
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
    if (rc == STORE_ABSENT) /* what a mark alone tells of changed below the directories above it, too */
        rc = statement_get(history->db, STATEMENT_SCAN_SUBTREES, &from, 1, &statement);
    while (rc == STORE_OK && (rc = statement_step(history->db, statement)) == STORE_OK)
        if (oid_set_has(directories, column_integer(statement, 1)))
            rc = mark_change(history, directories, column_integer(statement, 1), column_integer(statement, 2));
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
