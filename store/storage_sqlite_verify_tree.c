#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/storage_sqlite_verify.h"

/* The object that an entry leads to, or its directory, must be alive at its birth and just before its death. */
static int check_alive(struct verify *verify, const struct entry *entry, uint64_t oid, uint32_t type) {
    uint64_t instants[] = {entry->born + 1, entry->died != UINT64_MAX ? entry->died : verify->last_seq + 1};
    int rc = STORE_OK;
    for (size_t i = 0; i < 2 && rc == STORE_OK; i++) {
        struct inode_record record;
        rc = verify_inode(verify, oid, instants[i], &record);
        if (rc == STORE_ABSENT) {
            (void)verify_inconsistent(verify, entry->oid, entry->born,
                                      "the entry %.*s of transaction %s leads %s that is not there",
                                      (int)entry->name_length, entry->name, verify_tid(verify, entry->born),
                                      oid == entry->oid ? "to an object" : "from a directory");
            return STORE_OK;
        }
        if (rc == STORE_OK) {
            uint32_t found = record.mode & S_IFMT;
            inode_record_release(&record);
            if (found != type) {
                (void)verify_inconsistent(verify, entry->oid, entry->born,
                                          "the entry %.*s of transaction %s has the wrong type",
                                          (int)entry->name_length, entry->name, verify_tid(verify, entry->born));
                return STORE_OK;
            }
        }
    }
    return rc;
}

/* True if a circle may have closed with the directory's entry: where it moved, or is in a directory that was made after it. */
static int may_close_circle(struct verify *verify, const struct entry *entry, bool *may) {
    struct value values[] = {value_integer(entry->oid), value_integer(PART_INODE), value_integer(entry->born)};
    uint64_t earlier;
    *may = entry->parent >= entry->oid;
    if (*may)
        return STORE_OK;
    int rc = statement_integer(verify->reader, STATEMENT_REVISION_SEQ_BEFORE, values, 3, &earlier);
    *may = rc == STORE_OK;
    return rc == STORE_ABSENT || rc == STORE_CORRUPT ? STORE_OK : rc;
}

/* Directories in a circle agree with each other in everything, and nothing leads to them. A way that cannot be followed is told where it is checked. */
static int check_way_to_root(struct verify *verify, const struct entry *entry) {
    uint64_t directory = entry->parent;
    uint64_t passed = 0; /* where `steps` was last a power of two: in a circle it is met again */
    bool may = false;
    int rc = entry->type == S_IFDIR ? may_close_circle(verify, entry, &may) : STORE_OK;
    for (size_t steps = 1, next = 1; rc == STORE_OK && may && directory != ROOT_OID; steps++) {
        struct inode_record record;
        if (directory == passed) {
            (void)verify_inconsistent(verify, entry->oid, entry->born,
                                      "the entry %.*s of transaction %s leads from a directory that is below itself",
                                      (int)entry->name_length, entry->name, verify_tid(verify, entry->born));
            return STORE_OK;
        }
        if (steps == next) {
            passed = directory;
            next *= 2;
        }
        rc = verify_inode(verify, directory, entry->born + 1, &record);
        if (rc == STORE_OK) {
            directory = record.parent;
            inode_record_release(&record);
        }
    }
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

static int check_entry(struct verify *verify, const struct entry *entry) {
    if (entry->born > verify->last_seq || (entry->died != UINT64_MAX && entry->died > verify->last_seq)) {
        verify_problem(verify, entry->oid, "the entry %.*s is of a transaction that does not exist",
                       (int)entry->name_length, entry->name);
        return STORE_OK;
    }
    int rc = check_alive(verify, entry, entry->oid, entry->type);
    if (rc == STORE_OK)
        rc = check_alive(verify, entry, entry->parent, S_IFDIR);
    if (rc == STORE_OK)
        rc = check_way_to_root(verify, entry);
    return rc;
}

/* A row that decodes wrongly is a problem; the scan goes on. */
static int decode_entry(struct verify *verify, sqlite3_stmt *statement, struct entry_row *row) {
    int rc = entry_row_decode(verify->reader, statement, row);
    if (rc == STORE_CORRUPT)
        verify_problem(verify, column_integer(statement, 0),
                       "an entry of the directory is damaged: wrong checksum or values (index %" PRIu64 ")",
                       column_integer(statement, 1));
    return rc;
}

/* The same name, ended: it must have ended before this one was born. */
static int check_past_of_name(struct verify *verify, const struct entry *entry) {
    struct value values[] = {value_integer(entry->parent), value_blob(entry->name, entry->name_length)};
    uint64_t died = 0;
    int rc = statement_integer(verify->reader, STATEMENT_PAST_ENTRY_NEWEST_DEATH, values, 2, &died);
    if (rc == STORE_ABSENT || rc == STORE_CORRUPT)
        return STORE_OK;
    if (rc == STORE_OK && died > entry->born)
        (void)verify_inconsistent(verify, entry->oid, entry->born, "the name %.*s has led to two objects at once",
                                  (int)entry->name_length, entry->name);
    return rc;
}

int verify_entries(struct verify *verify) {
    struct entry_row row;
    struct verify_scan rows;
    int rc = STORE_OK;
    verify_scan_begin(&rows, SCAN_ENTRIES);
    while (rc == STORE_OK && (rc = verify_scan_next(verify, &rows)) == STORE_OK) {
        sqlite3_stmt *statement = rows.statement;
        verify_step(verify);
        rc = decode_entry(verify, statement, &row);
        if (rc == STORE_OK)
            rc = check_entry(verify, &row.entry);
        if (rc == STORE_OK)
            rc = check_past_of_name(verify, &row.entry);
        if (rc == STORE_CORRUPT)
            rc = STORE_OK;
    }
    verify_scan_close(&rows);
    return verify_scan_end(verify, rc, "entry");
}

int verify_past_entries(struct verify *verify) {
    struct entry_row row;
    struct entry previous = {0};
    char name[NAME_BYTES_MAX];
    struct verify_scan rows;
    int rc;
    verify_scan_begin(&rows, SCAN_PAST_ENTRIES);
    while ((rc = verify_scan_next(verify, &rows)) == STORE_OK) {
        sqlite3_stmt *statement = rows.statement;
        verify_step(verify);
        if (decode_entry(verify, statement, &row) != STORE_OK)
            continue;
        rc = check_entry(verify, &row.entry);
        if (rc != STORE_OK)
            break;
        const struct entry *entry = &row.entry;
        if (previous.parent == entry->parent && previous.name_length == entry->name_length &&
            memcmp(name, entry->name, entry->name_length) == 0 && previous.died > entry->born)
            (void)verify_inconsistent(verify, entry->oid, entry->born, "the name %.*s has led to two objects at once",
                                      (int)entry->name_length, entry->name);
        previous = *entry;
        memcpy(name, entry->name, entry->name_length);
    }
    verify_scan_close(&rows);
    return verify_scan_end(verify, rc, "past_entry");
}

/* A directory's entries added up over time, to compare with its records. */
struct tally {
    int64_t entries, subdirectories;
    uint64_t highest_index;
    uint64_t next_seq; /* of the events that come next; UINT64_MAX: none */
    int64_t next_entries, next_subdirectories;
    uint64_t next_index;
};

static int next_events(struct verify *verify, sqlite3_stmt *events, struct tally *tally) {
    int rc = statement_step(verify->reader, events);
    tally->next_seq = UINT64_MAX;
    if (rc == STORE_OK) {
        tally->next_seq = column_integer(events, 0);
        tally->next_entries = sqlite3_column_int64(events, 1);
        tally->next_subdirectories = sqlite3_column_int64(events, 2);
        tally->next_index = column_integer(events, 3);
    }
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

/* Takes over the events up to and with transaction seq. *right is false if some were of earlier ones, in which the directory has no
 * revision, and that was told. */
static int take_events(struct verify *verify, uint64_t directory, sqlite3_stmt *events, uint64_t seq,
                       struct tally *tally, bool *right) {
    int rc = STORE_OK;
    while (rc == STORE_OK && tally->next_seq <= seq) {
        if (tally->next_seq < seq && *right)
            *right = !verify_inconsistent(verify, directory, tally->next_seq,
                                          "entries changed before transaction %s and its record did not",
                                          verify_tid(verify, seq));
        tally->entries += tally->next_entries;
        tally->subdirectories += tally->next_subdirectories;
        if (tally->next_index > tally->highest_index)
            tally->highest_index = tally->next_index;
        rc = next_events(verify, events, tally);
    }
    return rc;
}

/* False if the record, NULL for an end, does not agree with the entries, and that was told. */
static bool check_tally(struct verify *verify, const struct revision *revision, const struct inode_record *record,
                        const struct tally *tally) {
    uint64_t entries = (uint64_t)tally->entries, links = 2 + (uint64_t)tally->subdirectories;
    const uint64_t oid = revision->oid, seq = revision->seq;
    if (!record)
        return entries == 0 ||
               !verify_inconsistent(verify, oid, seq, "the directory ended in transaction %s with %" PRIu64 " entries",
                                    verify_tid(verify, seq), entries);
    if (record->size != entries)
        return !verify_inconsistent(
            verify, oid, seq, "the directory has %" PRIu64 " entries in transaction %s and its record says %" PRIu64,
            entries, verify_tid(verify, seq), record->size);
    if (record->nlink != links && !(record->nlink == 0 && entries == 0))
        return !verify_inconsistent(
            verify, oid, seq, "the link count of the directory in transaction %s is %" PRIu32 " and should be %" PRIu64,
            verify_tid(verify, seq), record->nlink, links);
    if (record->next_index <= tally->highest_index)
        return !verify_inconsistent(verify, oid, seq,
                                    "the directory's record of transaction %s would give out an index again",
                                    verify_tid(verify, seq));
    return true;
}

/* One directory at every instant. One problem is told, for the later ones follow from it. */
static int check_directory(struct verify *verify, uint64_t directory, sqlite3_stmt *events, sqlite3_stmt *revisions) {
    struct tally tally = {0};
    bool right = true;
    uint64_t seq = 0;
    int rc = next_events(verify, events, &tally);
    while (rc == STORE_OK && right && (rc = statement_step(verify->reader, revisions)) == STORE_OK) {
        struct revision revision = {0};
        struct inode_record record;
        rc = revision_row_decode(verify->reader, revisions, &revision);
        if (rc != STORE_OK)
            break;
        seq = revision.seq;
        rc = take_events(verify, directory, events, seq, &tally, &right);
        if (rc == STORE_OK && right && revision.data) {
            rc = inode_record_decode(revision.data, revision.length, &record);
            if (rc == STORE_OK) {
                right = check_tally(verify, &revision, S_ISDIR(record.mode) ? &record : NULL, &tally);
                inode_record_release(&record);
            }
        } else if (rc == STORE_OK && right) {
            right = check_tally(verify, &revision, NULL, &tally);
        }
        revision_release(&revision);
    }
    while (rc == STORE_ABSENT && tally.next_seq != UINT64_MAX &&
           !verify_inconsistent(verify, directory, tally.next_seq,
                                "entries changed after transaction %s and its record did not",
                                verify_tid(verify, seq))) {
        rc = next_events(verify, events, &tally);
        rc = rc == STORE_OK ? STORE_ABSENT : rc;
    }
    return rc == STORE_ABSENT || rc == STORE_CORRUPT ? STORE_OK : rc; /* damaged rows were told before */
}

int verify_directories(struct verify *verify) {
    int rc = STORE_OK;
    for (size_t i = 0; i < verify->directories.capacity && rc == STORE_OK; i++) {
        uint64_t directory = verify->directories.slots[i];
        struct value value = value_integer(directory);
        sqlite3_stmt *events = NULL, *revisions = NULL;
        if (directory == 0)
            continue;
        rc = verify_next_slice(verify);
        if (rc == STORE_OK)
            rc = statement_get(verify->reader, STATEMENT_DIRECTORY_EVENTS, &value, 1, &events);
        if (rc == STORE_OK)
            rc = statement_get(verify->reader, STATEMENT_INODE_REVISIONS, &value, 1, &revisions);
        if (rc == STORE_OK)
            rc = check_directory(verify, directory, events, revisions);
        statement_reset(events);
        statement_reset(revisions);
    }
    return rc;
}

/* A directory that is marked has its parent marked too. */
static int check_parent_mark(struct verify *verify, uint64_t directory, uint64_t seq) {
    const uint64_t *parents;
    size_t count;
    bool damaged;
    int rc = verify_parents(verify, directory, seq + 1, &parents, &count, &damaged);
    for (size_t i = 0; i < count && rc == STORE_OK && !damaged; i++)
        if (!verify_is_marked(verify, parents[i], seq, &rc) && rc == STORE_OK)
            verify_problem(verify, parents[i], "the mark of a change below in transaction %s is missing",
                           verify_tid(verify, seq));
    return rc;
}

int verify_subtrees(struct verify *verify) {
    uint64_t newest = 0;
    struct verify_scan rows;
    int rc = STORE_OK;
    verify_scan_begin(&rows, SCAN_SUBTREES);
    while (rc == STORE_OK && (rc = verify_scan_next(verify, &rows)) == STORE_OK) {
        sqlite3_stmt *statement = rows.statement;
        uint64_t id = column_integer(statement, 0), directory = column_integer(statement, 1),
                 seq = column_integer(statement, 2);
        verify_step(verify);
        if (id >= verify->state.next_subtree || directory == 0 || seq < newest || seq > verify->last_seq)
            verify_problem(verify, directory, "mark %" PRIu64 " of a change below is out of order", id);
        else
            rc = check_parent_mark(verify, directory, seq);
        newest = seq > newest ? seq : newest;
    }
    verify_scan_close(&rows);
    return verify_scan_end(verify, rc, "subtree");
}
