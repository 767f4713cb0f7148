#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "store/storage_sqlite_verify.h"

/* The transaction whose revisions are being scanned. */
struct scan {
    uint64_t seq, highest_seq;
    uint64_t inodes, expected; /* inode revisions seen, and as many as the transaction says */
};

static void end_transaction(struct verify *verify, const struct scan *scan) {
    if (scan->seq != 0 && scan->inodes != scan->expected)
        (void)verify_inconsistent(verify, 0, scan->seq,
                                  "transaction %s changed %" PRIu64 " objects but has revisions of %" PRIu64,
                                  verify_tid(verify, scan->seq), scan->expected, scan->inodes);
}

static int begin_transaction(struct verify *verify, struct scan *scan, const struct revision *revision) {
    struct value value = value_integer(revision->seq);
    struct transaction transaction;
    uint64_t first_revision;
    sqlite3_stmt *statement;
    scan->seq = revision->seq;
    scan->inodes = scan->expected = 0;
    int rc = statement_get(verify->reader, STATEMENT_TRANSACTION_AT, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(verify->reader, statement);
    if (rc == STORE_OK)
        rc = transaction_row_decode(verify->reader, statement, &transaction, &first_revision);
    statement_reset(statement);
    if (rc == STORE_OK) {
        scan->expected = transaction.object_count;
        if (first_revision != revision->id)
            (void)verify_inconsistent(verify, 0, revision->seq, "transaction %s does not begin at its first revision",
                                      verify_tid(verify, revision->seq));
        transaction_release(&transaction);
    } else if (rc == STORE_ABSENT) {
        verify_problem(verify, revision->oid, "revision %" PRIu64 " belongs to no transaction", revision->id);
    }
    if (rc == STORE_ABSENT || rc == STORE_CORRUPT) {
        scan->seq = 0; /* nothing to compare its objects with */
        rc = STORE_OK;
    }
    return rc;
}

/* Tells, once, of a body file that is not there at all: of what it held, each part is told by itself. */
static int report_body_file(struct verify *verify, uint32_t number) {
    uint64_t words[] = {number, 0, 0};
    int rc = number != 0 ? oid_set_add(&verify->damaged, XXH3_64bits(words, sizeof words) | 1) : STORE_EXISTS;
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_OK : rc;
    rc = body_files_look(verify->storage->bodies, number);
    if (rc == STORE_ABSENT)
        verify_problem(verify, 0, "body file %08" PRIu32 " is missing: nothing that it held can be read", number);
    else if (rc == STORE_CORRUPT)
        verify_problem(verify, 0, "body file %08" PRIu32 " is no regular file: nothing that it held can be read",
                       number);
    return rc == STORE_NO_MEMORY ? rc : STORE_OK; /* what else is wrong, reading it has told */
}

/* Names the object that uses a damaged body, once. */
static int report_body(struct verify *verify, const struct revision *revision, const struct body_ref *ref,
                       uint64_t hash) {
    if (loss_list_has_body(verify->losses, ref->file, ref->position, ref->length))
        return STORE_OK;
    if (verify->note) {
        const struct loss loss = {
            .kind = LOSS_BODY, .oid = ref->file, .part = revision->oid, .seq = ref->position, .until = ref->length};
        verify->note(verify->note_context, &loss);
        return STORE_OK;
    }
    uint64_t words[] = {hash, revision->oid};
    int rc = oid_set_add(&verify->damaged, XXH3_64bits(words, sizeof words) | 1); /* a set has no 0 */
    if (rc == STORE_EXISTS)
        return STORE_OK;
    if (rc == STORE_OK)
        rc = report_body_file(verify, ref->file);
    if (rc != STORE_OK)
        return rc;
    /* A disk that refuses to read may have the bytes still. */
    const char *how = verify->read_errno ? "cannot be read: " : "are damaged";
    const char *why = verify->read_errno ? strerror(verify->read_errno) : "";
    if (ref->file != 0)
        verify_problem(verify, revision->oid,
                       "contents of transaction %s %s%s: body file %08" PRIu32 ", byte %" PRIu64 ", %" PRIu32 " bytes",
                       verify_tid(verify, revision->seq), how, why, ref->file, ref->position, ref->length);
    else
        verify_problem(verify, revision->oid, "contents of transaction %s %s%s: body %" PRIu64,
                       verify_tid(verify, revision->seq), how, why, ref->position);
    return STORE_OK;
}

static uint64_t hash_of_body(const struct body_ref *ref) {
    uint64_t words[] = {ref->file, ref->length, ref->position, ref->sum};
    return XXH3_64bits(words, sizeof words) | 1; /* a set has no 0 */
}

/* Stands beside that of a damaged body which the disk refused to read. */
static uint64_t hash_of_unread(uint64_t hash) {
    return ~hash != 0 ? ~hash : 1;
}

int verify_body(struct verify *verify, const struct body_ref *ref, bool *damaged) {
    uint64_t hash = hash_of_body(ref);
    int rc = oid_set_add(&verify->bodies, hash);
    *damaged = rc == STORE_EXISTS && oid_set_has(&verify->damaged, hash);
    if (*damaged && !oid_set_has(&verify->damaged, hash_of_unread(hash)))
        verify->read_errno = 0;
    else if (*damaged)
        verify->read_errno = EIO; /* whatever it was the first time */
    if (rc != STORE_OK)
        return rc == STORE_EXISTS ? STORE_OK : rc;
    errno = EIO; /* SQLite's errors leave none */
    if (ref->file != 0)
        rc = body_files_read(verify->storage->bodies, ref, verify->body);
    else
        rc = sqlite_read_body_row(verify->reader, ref, verify->body);
    verify->read_errno = rc == STORE_IO ? errno : 0;
    *damaged = rc == STORE_CORRUPT || rc == STORE_IO;
    if (!*damaged)
        return rc;
    rc = oid_set_add(&verify->damaged, hash);
    return rc == STORE_OK && verify->read_errno ? oid_set_add(&verify->damaged, hash_of_unread(hash)) : rc;
}

/* A damaged body is a problem of every object that uses it. */
static int check_body(struct verify *verify, const struct revision *revision, const struct body_ref *ref) {
    bool damaged;
    int rc = verify_body(verify, ref, &damaged);
    return rc == STORE_OK && damaged ? report_body(verify, revision, ref, hash_of_body(ref)) : rc;
}

static int check_chunk(struct verify *verify, const struct revision *revision) {
    struct chunk chunk;
    int rc = chunk_decode(revision->data, revision->length, &chunk);
    if (rc == STORE_CORRUPT) {
        (void)verify_inconsistent(verify, revision->oid, revision->seq,
                                  "part %" PRIu64 " of transaction %s cannot be decoded", revision->part,
                                  verify_tid(verify, revision->seq));
        return STORE_OK;
    }
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < chunk.count && rc == STORE_OK; i++)
        rc = check_body(verify, revision, &chunk.extents[i].body);
    chunk_release(&chunk);
    return rc;
}

static int check_xattrs(struct verify *verify, const struct revision *revision) {
    struct xattr_set set;
    int rc = xattr_set_decode(revision->data, revision->length, &set);
    if (rc == STORE_OK)
        xattr_set_release(&set);
    else if (rc == STORE_CORRUPT) {
        (void)verify_inconsistent(verify, revision->oid, revision->seq,
                                  "the extended attributes of transaction %s cannot be decoded",
                                  verify_tid(verify, revision->seq));
        rc = STORE_OK;
    }
    return rc;
}

/* The names of an object as a transaction left it: as many as its link count, and all directories marked. */
static int check_names(struct verify *verify, const struct revision *revision, const struct inode_record *record) {
    bool directory = record && (record->mode & S_IFMT) == S_IFDIR;
    bool damaged;
    const uint64_t *parents;
    size_t count;
    int rc = verify_parents(verify, revision->oid, revision->seq + 1, &parents, &count, &damaged);
    if (rc != STORE_OK || damaged)
        return rc;
    if (!record && count > 0)
        (void)verify_inconsistent(verify, revision->oid, revision->seq,
                                  "it ended in transaction %s but still has names", verify_tid(verify, revision->seq));
    else if (record && !directory && count != record->nlink)
        (void)verify_inconsistent(verify, revision->oid, revision->seq,
                                  "its link count in transaction %s is %" PRIu32 " and it has %zu names",
                                  verify_tid(verify, revision->seq), record->nlink, count);
    else if (directory && revision->oid != ROOT_OID && record->nlink > 0 &&
             (count != 1 || parents[0] != record->parent))
        (void)verify_inconsistent(verify, revision->oid, revision->seq,
                                  "the directory is not where its record of transaction %s says",
                                  verify_tid(verify, revision->seq));
    for (size_t i = 0; i < count && rc == STORE_OK; i++)
        if (!verify_is_marked(verify, parents[i], revision->seq, &rc) && rc == STORE_OK)
            verify_problem(verify, parents[i], "the mark of a change below in transaction %s is missing",
                           verify_tid(verify, revision->seq));
    return rc;
}

/* What the object was before: an object never returns from its end, and never changes its type. */
static int check_predecessor(struct verify *verify, const struct revision *revision,
                             const struct inode_record *record) {
    enum load_outcome outcome;
    struct revision previous = {0};
    struct inode_record old;
    int rc = sqlite_read_before(verify->reader, revision->oid, PART_INODE, revision->seq, &outcome, &previous);
    if (rc == STORE_OK && outcome == LOAD_DELETED)
        (void)verify_inconsistent(verify, revision->oid, revision->seq, "it changed in transaction %s, after its end",
                                  verify_tid(verify, revision->seq));
    if (rc == STORE_OK && outcome == LOAD_DATA && record) {
        rc = inode_record_decode(previous.data, previous.length, &old);
        if (rc == STORE_OK) {
            if ((old.mode & S_IFMT) != (record->mode & S_IFMT))
                (void)verify_inconsistent(verify, revision->oid, revision->seq, "it changed its type in transaction %s",
                                          verify_tid(verify, revision->seq));
            inode_record_release(&old);
        }
    }
    revision_release(&previous);
    return rc == STORE_CORRUPT ? STORE_OK : rc; /* the previous one was reported itself */
}

static int check_inode(struct verify *verify, const struct revision *revision) {
    struct inode_record record;
    bool ended = revision->data == NULL;
    int rc = ended ? STORE_OK : inode_record_decode(revision->data, revision->length, &record);
    if (rc == STORE_CORRUPT) {
        (void)verify_inconsistent(verify, revision->oid, revision->seq,
                                  "its record of transaction %s cannot be decoded", verify_tid(verify, revision->seq));
        return STORE_OK;
    }
    if (rc != STORE_OK)
        return rc;
    rc = check_predecessor(verify, revision, ended ? NULL : &record);
    if (rc == STORE_OK)
        rc = check_names(verify, revision, ended ? NULL : &record);
    if (!ended) {
        if (rc == STORE_OK && (record.mode & S_IFMT) == S_IFDIR) {
            rc = oid_set_put(&verify->directories, revision->oid);
            if (rc == STORE_OK && !verify_is_marked(verify, revision->oid, revision->seq, &rc) && rc == STORE_OK)
                verify_problem(verify, revision->oid, "the mark of its change in transaction %s is missing",
                               verify_tid(verify, revision->seq));
        }
        inode_record_release(&record);
    }
    return rc;
}

/* A part changes together with the object's inode. */
static int check_inode_beside(struct verify *verify, const struct revision *revision) {
    struct value values[] = {value_integer(revision->oid), value_integer(PART_INODE), value_integer(revision->seq + 1)};
    uint64_t seq = 0;
    int rc = statement_integer(verify->reader, STATEMENT_REVISION_SEQ_BEFORE, values, 3, &seq);
    if (rc == STORE_CORRUPT || rc == STORE_ABSENT)
        rc = STORE_OK;
    if (rc == STORE_OK && seq != revision->seq)
        (void)verify_inconsistent(verify, revision->oid, revision->seq,
                                  "part %" PRIu64 " changed in transaction %s and its record did not", revision->part,
                                  verify_tid(verify, revision->seq));
    return rc;
}

static int check_revision(struct verify *verify, struct scan *scan, const struct revision *revision) {
    int rc = STORE_OK;
    if (revision->seq != scan->seq) {
        end_transaction(verify, scan);
        rc = begin_transaction(verify, scan, revision);
    }
    if (rc != STORE_OK)
        return rc;
    if (revision->oid >= verify->state.next_oid || revision->id >= verify->state.next_revision)
        verify_problem(verify, revision->oid, "revision %" PRIu64 " has an id that was not given out", revision->id);
    if (revision->part == PART_INODE) {
        scan->inodes++;
        return check_inode(verify, revision);
    }
    rc = check_inode_beside(verify, revision);
    if (rc != STORE_OK || !revision->data)
        return rc;
    if (revision->part >= PART_CHUNK && revision->part - PART_CHUNK <= FILE_SIZE_MAX >> CHUNK_SHIFT)
        return check_chunk(verify, revision);
    if (revision->part == PART_XATTRS)
        return check_xattrs(verify, revision);
    (void)verify_inconsistent(verify, revision->oid, revision->seq,
                              "it has a part %" PRIu64 ", which this format does not know", revision->part);
    return STORE_OK;
}

int verify_revisions(struct verify *verify) {
    struct scan scan = {0};
    struct verify_scan rows;
    int rc = STORE_OK;
    verify_scan_begin(&rows, SCAN_REVISIONS);
    while (rc == STORE_OK && (rc = verify_scan_next(verify, &rows)) == STORE_OK) {
        sqlite3_stmt *statement = rows.statement;
        struct revision revision = {0};
        verify_step(verify);
        rc = revision_row_decode(verify->reader, statement, &revision);
        if (rc == STORE_CORRUPT) {
            verify_problem(verify, column_integer(statement, 1),
                           "revision %" PRIu64 " (part %" PRIu64 ") is damaged: wrong checksum or values",
                           column_integer(statement, 0), column_integer(statement, 2));
            scan.expected -= scan.expected > 0 && column_integer(statement, 2) == PART_INODE; /* counted, if not read */
            rc = STORE_OK;
            continue;
        }
        if (rc == STORE_OK && revision.seq < scan.highest_seq)
            verify_problem(verify, revision.oid, "revision %" PRIu64 " is older than the one before it", revision.id);
        if (rc == STORE_OK)
            rc = check_revision(verify, &scan, &revision);
        scan.highest_seq = revision.seq;
        revision_release(&revision);
    }
    verify_scan_close(&rows);
    if (rc == STORE_ABSENT)
        end_transaction(verify, &scan);
    return verify_scan_end(verify, rc, "revision");
}
