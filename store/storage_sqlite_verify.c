#include "store/storage_sqlite_verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRESS_NS        100000000
#define INTEGRITY_TEXT_MAX 256

/* Finds a directory that holds, or last held, an object, and its name there. */
static int find_name(struct connection *reader, uint64_t oid, uint64_t *parent, char *name, size_t *length) {
    static const enum statement places[] = {STATEMENT_ENTRY_OF_OBJECT, STATEMENT_PAST_ENTRY_OF_OBJECT};
    struct value value = value_integer(oid);
    int rc = STORE_ABSENT;
    for (size_t i = 0; i < 2 && rc == STORE_ABSENT; i++) {
        sqlite3_stmt *statement;
        rc = statement_get(reader, places[i], &value, 1, &statement);
        if (rc == STORE_OK)
            rc = statement_step(reader, statement);
        if (rc == STORE_OK) {
            struct value bytes = column_value(statement, 1);
            *parent = column_integer(statement, 0);
            *length = bytes.kind == VALUE_BLOB && bytes.length <= NAME_BYTES_MAX ? bytes.length : 0;
            memcpy(name, bytes.bytes ? bytes.bytes : "", *length);
        }
        statement_reset(statement);
    }
    return rc;
}

/* Builds the path from its end. */
const char *sqlite_newest_path(struct connection *reader, uint64_t oid, char text[VERIFY_PATH_MAX]) {
    struct oid_set seen;
    char *start = &text[VERIFY_PATH_MAX - 1];
    *start = '\0';
    if (oid == ROOT_OID)
        return "/";
    oid_set_init(&seen);
    while (oid != ROOT_OID) {
        char name[NAME_BYTES_MAX];
        uint64_t parent;
        size_t length;
        if (oid == 0 || oid_set_add(&seen, oid) != STORE_OK ||
            find_name(reader, oid, &parent, name, &length) != STORE_OK) {
            start = NULL;
            break;
        }
        if ((size_t)(start - text) < length + 1)
            break;
        start -= length;
        memcpy(start, name, length);
        *--start = '/';
        oid = parent;
    }
    oid_set_release(&seen);
    return start;
}

static void tell(struct verify *verify, uint64_t oid, const char *format, va_list arguments) {
    char text[512] = "", path[VERIFY_PATH_MAX];
    (void)vsnprintf(text, sizeof text, format, arguments);
    struct verify_problem problem = {.path = oid != 0 ? sqlite_newest_path(verify->reader, oid, path) : NULL,
                                     .text = text};
    verify->cut = verify->cut || (oid != 0 && !problem.path);
    ++*verify->problems;
    verify->options->problem(verify->options->context, &problem);
}

void verify_problem(struct verify *verify, uint64_t oid, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    tell(verify, oid, format, arguments);
    va_end(arguments);
}

bool verify_inconsistent(struct verify *verify, uint64_t oid, uint64_t seq, const char *format, ...) {
    if (loss_list_explains(verify->losses, oid, seq))
        return false;
    if (verify->note) {
        verify->note(verify->note_context, &(struct loss){.kind = LOSS_NOTED, .oid = oid, .seq = seq});
        return false;
    }
    va_list arguments;
    va_start(arguments, format);
    tell(verify, oid, format, arguments);
    va_end(arguments);
    return true;
}

const char *verify_tid(struct verify *verify, uint64_t seq) {
    struct value value = value_integer(seq);
    sqlite3_stmt *statement;
    uint64_t tid = 0;
    int rc = statement_get(verify->reader, STATEMENT_TRANSACTION_AT, &value, 1, &statement);
    if (rc == STORE_OK && statement_step(verify->reader, statement) == STORE_OK)
        tid = column_integer(statement, 1);
    statement_reset(statement);
    tid_format(tid <= TID_MAX ? tid : 0, verify->tid_text);
    return verify->tid_text;
}

void verify_step(struct verify *verify) {
    struct timespec now;
    verify->done++;
    if (!verify->options->progress || verify->done % 64 != 0)
        return;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = (int64_t)(now.tv_sec - verify->told.tv_sec) * 1000000000 + (now.tv_nsec - verify->told.tv_nsec);
    if (ns < PROGRESS_NS)
        return;
    verify->told = now;
    /* Rows that came since they were counted make no more than all. */
    verify->options->progress(verify->options->context, verify->done < verify->total ? verify->done : verify->total,
                              verify->total);
}

int verify_scan_end(struct verify *verify, int rc, const char *table) {
    if (rc == STORE_CORRUPT) {
        verify->cut = true;
        verify_problem(verify, 0, "the table %s cannot be read to its end: %s", table, connection_told(verify->reader));
        rc = STORE_OK;
    }
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

int verify_inode(struct verify *verify, uint64_t oid, uint64_t before, struct inode_record *record) {
    enum load_outcome outcome;
    struct revision revision = {0};
    int rc = sqlite_read_before(verify->reader, oid, PART_INODE, before, &outcome, &revision);
    if (rc == STORE_OK)
        rc = outcome == LOAD_DATA ? inode_record_decode(revision.data, revision.length, record) : STORE_ABSENT;
    revision_release(&revision);
    return rc == STORE_CORRUPT ? STORE_ABSENT : rc;
}

bool verify_is_marked(struct verify *verify, uint64_t directory, uint64_t seq, int *rc) {
    struct value values[] = {value_integer(directory), value_integer(seq)};
    uint64_t found;
    *rc = statement_integer(verify->reader, STATEMENT_SUBTREE_MARK, values, 2, &found);
    bool marked = *rc == STORE_OK;
    if (*rc == STORE_ABSENT || *rc == STORE_CORRUPT)
        *rc = STORE_OK;
    return marked;
}

/* The first number that stands behind the word "page" in a line of SQLite's; 0: there is none. */
static uint64_t page_of(const char *line) {
    uint64_t page = 0;
    for (const char *at = line; page == 0 && (at = strcasestr(at, "page ")) != NULL;) {
        at += sizeof "page " - 1;
        page = strtoull(at, NULL, 10);
    }
    return page;
}

/* What SQLite's check says, in a sentence. */
static void describe_damage(const char *line, char *text, size_t size) {
    const char *index = strstr(line, " index ");
    uint64_t page = page_of(line);
    if (index)
        (void)snprintf(text, size, DATABASE_FILE " is damaged: the index %s does not agree with its table",
                       index + sizeof " index " - 1);
    else if (page != 0 && (strstr(line, "error code") || strstr(line, "failed to get")))
        (void)snprintf(text, size, DATABASE_FILE " is damaged: page %" PRIu64 " cannot be read", page);
    else if (page != 0)
        (void)snprintf(text, size, DATABASE_FILE " is damaged: page %" PRIu64 " is not in order", page);
    else
        (void)snprintf(text, size, DATABASE_FILE " is damaged: %s", line);
}

/* Several lines, under a heading of the database. One that says the same as the last one before is left out. */
static int tell_damage(struct verify *verify, const char *lines, char last[INTEGRITY_TEXT_MAX]) {
    char *copy = strdup(lines), *rest = NULL;
    if (!copy)
        return STORE_NO_MEMORY;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char text[INTEGRITY_TEXT_MAX];
        if (strncmp(line, "***", 3) == 0)
            continue;
        describe_damage(line, text, sizeof text);
        if (strcmp(text, last) != 0)
            verify_problem(verify, 0, "%s", text);
        memcpy(last, text, sizeof text);
    }
    free(copy);
    return STORE_OK;
}

static int check_integrity(struct verify *verify) {
    char last[INTEGRITY_TEXT_MAX] = "";
    sqlite3_stmt *statement;
    int rc = statement_get(verify->reader, STATEMENT_INTEGRITY_CHECK, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(verify->reader, statement)) == STORE_OK) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        if (!text)
            rc = STORE_NO_MEMORY;
        else if (strcmp(text, "ok") != 0)
            rc = tell_damage(verify, text, last);
    }
    statement_reset(statement);
    if (rc == STORE_CORRUPT) {
        verify->cut = true;
        verify_problem(verify, 0, DATABASE_FILE " cannot be checked as a whole: %s", connection_told(verify->reader));
    }
    return rc == STORE_ABSENT || rc == STORE_CORRUPT ? STORE_OK : rc;
}

static int check_state(struct verify *verify) {
    int rc = state_row_get(verify->reader, &verify->state);
    if (rc == STORE_CORRUPT) {
        /* Limits that nothing exceeds, so that the rest can be checked. */
        verify->state = (struct state_row){
            .next_oid = UINT64_MAX, .next_revision = UINT64_MAX, .next_body = UINT64_MAX, .next_subtree = UINT64_MAX};
        verify_problem(verify, 0, "the row of the table state is damaged");
        rc = statement_integer(verify->reader, STATEMENT_LAST_SEQ, NULL, 0, &verify->state.last_seq);
        rc = rc == STORE_ABSENT || rc == STORE_CORRUPT ? STORE_OK : rc;
    }
    verify->last_seq = verify->state.last_seq;
    if (rc == STORE_OK && verify->state.horizon > verify->last_seq + 1)
        verify_problem(verify, 0, "the horizon is after the newest transaction");
    return rc;
}

/* True if the transaction's first revision is one of its own. */
static int check_first_revision(struct verify *verify, const struct transaction *transaction, uint64_t first_revision) {
    struct value value = value_integer(first_revision);
    uint64_t seq = 0;
    int rc = statement_integer(verify->reader, STATEMENT_REVISION_SEQ, &value, 1, &seq);
    if (rc == STORE_ABSENT || rc == STORE_CORRUPT)
        rc = STORE_OK;
    if (rc == STORE_OK && transaction->object_count > 0 && seq != transaction->seq)
        (void)verify_inconsistent(verify, 0, transaction->seq, "transaction %s has lost its first revision",
                                  verify_tid(verify, transaction->seq));
    return rc;
}

static int check_transactions(struct verify *verify) {
    struct transaction previous = {0}, transaction;
    uint64_t first_revision;
    struct verify_scan rows;
    int rc = STORE_OK;
    verify_scan_begin(&rows, SCAN_TRANSACTIONS);
    while (rc == STORE_OK && (rc = verify_scan_next(verify, &rows)) == STORE_OK) {
        sqlite3_stmt *statement = rows.statement;
        verify_step(verify);
        rc = transaction_row_decode(verify->reader, statement, &transaction, &first_revision);
        if (rc == STORE_CORRUPT) {
            previous.seq = column_integer(statement, 0);
            verify_problem(verify, 0, "transaction %016" PRIx64 " is damaged: wrong checksum or values",
                           column_integer(statement, 1));
            rc = STORE_OK;
            continue;
        }
        if (rc != STORE_OK)
            break;
        if (transaction.seq != previous.seq + 1)
            verify_problem(verify, 0, "%" PRIu64 " transactions before %s are missing",
                           transaction.seq - previous.seq - 1, verify_tid(verify, transaction.seq));
        if (transaction.tid <= previous.tid)
            verify_problem(verify, 0, "transaction %s is not after the one before it",
                           verify_tid(verify, transaction.seq));
        previous.seq = transaction.seq;
        previous.tid = transaction.tid;
        rc = check_first_revision(verify, &transaction, first_revision);
        transaction_release(&transaction);
    }
    verify_scan_close(&rows);
    return verify_scan_end(verify, rc, "txn");
}

/* Every row; those that files refer to are compared with the references in the scan of revisions. */
static int check_bodies(struct verify *verify) {
    const uint8_t *data;
    size_t length;
    uint64_t sum;
    struct verify_scan rows;
    int rc;
    verify_scan_begin(&rows, SCAN_BODIES);
    while ((rc = verify_scan_next(verify, &rows)) == STORE_OK) {
        sqlite3_stmt *statement = rows.statement;
        uint64_t id = column_integer(statement, 0);
        verify_step(verify);
        if (body_row_decode(verify->reader, statement, &data, &length, &sum) != STORE_OK)
            verify_problem(verify, 0, "body %" PRIu64 " is damaged: wrong checksum", id);
        if (id >= verify->state.next_body)
            verify_problem(verify, 0, "body %" PRIu64 " has an id that was not given out", id);
    }
    verify_scan_close(&rows);
    return verify_scan_end(verify, rc, "body");
}

static int check_tags(struct verify *verify) {
    struct tag tag;
    sqlite3_stmt *statement;
    int rc = statement_get(verify->reader, STATEMENT_TAG_LIST, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(verify->reader, statement)) == STORE_OK) {
        struct value name = column_value(statement, 0);
        rc = tag_row_decode(verify->reader, statement, &tag);
        if (rc == STORE_CORRUPT) {
            bool shown = name.kind == VALUE_BLOB && name.length <= TAG_NAME_MAX;
            verify_problem(verify, 0, "tag %.*s is damaged: wrong checksum or values", shown ? (int)name.length : 0,
                           shown ? (const char *)name.bytes : "");
            rc = STORE_OK;
        }
    }
    statement_reset(statement);
    return verify_scan_end(verify, rc, "tag");
}

static int check_root(struct verify *verify) {
    struct inode_record record;
    if (verify->last_seq == 0)
        return STORE_OK;
    int rc = verify_inode(verify, ROOT_OID, verify->last_seq + 1, &record);
    if (rc == STORE_ABSENT) {
        verify_problem(verify, ROOT_OID, "the root directory is missing");
        return STORE_OK;
    }
    if (rc == STORE_OK) {
        if ((record.mode & S_IFMT) != S_IFDIR || record.parent != ROOT_OID)
            verify_problem(verify, ROOT_OID, "the root is not a directory that is its own parent");
        inode_record_release(&record);
    }
    return rc;
}

static int run_checks(struct verify *verify) {
    static int (*const checks[])(struct verify *) = {
        check_integrity,     check_state,        check_transactions, check_bodies, verify_revisions, verify_entries,
        verify_past_entries, verify_directories, verify_subtrees,    check_tags,   check_root,       verify_walk,
    };
    uint64_t total = 0;
    int rc = verify_begin_slice(verify);
    if (rc == STORE_OK)
        rc = statement_integer(verify->reader, STATEMENT_COUNT_ROWS, NULL, 0, &total);
    verify->total = total;
    rc = rc == STORE_CORRUPT ? STORE_OK : rc; /* the checks will say what is damaged */
    for (size_t i = 0; i < sizeof checks / sizeof checks[0] && rc == STORE_OK; i++)
        rc = checks[i](verify);
    const struct loss_teller teller = {
        .reader = verify->reader, .told = verify->options->known, .context = verify->options->context};
    if (rc == STORE_OK && teller.told)
        loss_tell_all(&teller, verify->losses, 0);
    if (rc == STORE_OK && verify->options->progress)
        verify->options->progress(verify->options->context, verify->total, verify->total);
    return rc;
}

int sqlite_verify(struct storage *base, const struct verify_options *options, uint64_t *problems) {
    return sqlite_verify_noting(base, options, problems, NULL, NULL);
}

int sqlite_verify_noting(struct storage *base, const struct verify_options *options, uint64_t *problems,
                         void (*note)(void *context, const struct loss *loss), void *context) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct verify verify = {
        .storage = storage,
        .options = options,
        .problems = problems,
        .losses = &storage->losses,
        .note = note,
        .note_context = context,
    };
    verify.body = malloc(BODY_LIMIT);
    if (!verify.body)
        return STORE_NO_MEMORY;
    oid_set_init(&verify.directories);
    oid_set_init(&verify.bodies);
    oid_set_init(&verify.damaged);
    /* Not one of the pool, which lends for a moment only. */
    int rc = connection_open_at(&storage->place, storage->readers.kind, storage->log, &verify.reader, NULL);
    if (rc == STORE_OK) {
        rc = run_checks(&verify);
        (void)connection_rollback(verify.reader); /* it has only read */
        connection_close(verify.reader);
    }
    verify_names_free(verify.names);
    oid_set_release(&verify.bodies);
    oid_set_release(&verify.damaged);
    oid_set_release(&verify.directories);
    free(verify.body);
    return rc;
}
