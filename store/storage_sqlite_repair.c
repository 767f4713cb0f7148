#include "store/storage_sqlite_repair.h"
#include "store/array.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/storage_sqlite_verify.h"

#define REPAIRED ".repaired"
#define MERGED   ".merged"

#define NAMES_MOST 100 /* names that are lost, told one by one */

struct paths {
    const char *directory; /* where the repair works: the store's, or another to tell only */
    char *database, *repaired, *merged;
};

void repair_result_release(struct repair_result *result) {
    free(result->kept);
    result->kept = NULL;
}

void repair_progress(const struct repair *repair, const char *doing, uint64_t done, uint64_t total) {
    if (repair->options->progress)
        repair->options->progress(repair->options->context, doing, done, total);
}

int repair_note(struct repair *repair, uint64_t oid, const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    struct repair_note *grown = array_grow(repair->notes, &repair->note_capacity, repair->note_count, sizeof *grown);
    if (!grown)
        return STORE_NO_MEMORY;
    repair->notes = grown;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return STORE_NO_MEMORY;
    repair->notes[repair->note_count++] = (struct repair_note){.oid = oid, .text = text};
    return STORE_OK;
}

int repair_lose(struct repair *repair, const struct loss *loss) {
    int rc = loss_row_insert(repair->db, repair->next_loss, loss);
    if (rc == STORE_OK) {
        repair->next_loss++;
        repair->result->losses++;
    }
    return rc;
}

/* ---- whether anything is wrong ---- */

static void ignore_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    (void)problem;
}

/* Where SQLite cannot recover the log, a copy with the log applied is looked at in its place. */
static int open_copy(struct repair *repair, const struct paths *paths, struct storage **storage, struct error *err) {
    const struct storage_open_options options = {.writable = false};
    int rc = repair_merge_log(paths->database, paths->merged, &repair->log, err);
    if (rc == STORE_OK && !repair->log.merged) {
        rc = repair_copy(paths->database, paths->merged, NULL, NULL);
        repair->log.merged = rc == STORE_OK;
        if (rc != STORE_OK)
            (void)error_set(err, (enum store_error)rc, "cannot copy %s to %s: %s", paths->database, paths->merged,
                            store_error_text(rc));
    }
    return rc == STORE_OK ? sqlite_open_database(repair->directory, paths->merged, &options, storage, err) : rc;
}

/* STORE_OK and *clean; or why nothing can be done. */
static int check(struct repair *repair, const struct paths *paths, bool *clean, struct error *err) {
    const struct storage_open_options options = {.writable = false};
    const struct verify_options verify = {.problem = ignore_problem};
    struct storage *storage;
    uint64_t problems = 0;
    *clean = false;
    repair_progress(repair, "verifying", 0, 0);
    int rc = storage_sqlite_open(repair->directory, &options, &storage, err);
    if (rc == STORE_READ_ONLY && repair->options->scratch)
        rc = open_copy(repair, paths, &storage, err);
    if (rc == STORE_OK) {
        rc = storage_verify(storage, &verify, &problems);
        storage_close(storage);
        *clean = rc == STORE_OK && problems == 0 && !repair->log.beyond;
        return rc == STORE_NO_MEMORY ? error_set(err, STORE_NO_MEMORY, "no memory to repair %s", repair->directory)
                                     : STORE_OK;
    }
    return rc == STORE_CORRUPT || rc == STORE_IO ? STORE_OK : rc;
}

/* ---- the new database ---- */

static int execute(struct repair *repair, const char *sql) {
    int result = sqlite3_exec(repair->db->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? STORE_OK : connection_failed(repair->db, result, "run", sql);
}

/* Until it is complete the new database needs no log: if the repair does not come to its end, nobody reads it. */
static int create(struct repair *repair, const char *path, struct error *err) {
    int fd = (int)TEMP_FAILURE_RETRY(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd < 0)
        return error_set(err, (enum store_error)store_error_from_errno(errno), "cannot make %s: %s", path,
                         strerror(errno));
    (void)close(fd);
    int rc = connection_open(path, CONNECTION_WRITE, repair->options->log, &repair->db, err);
    if (rc != STORE_OK)
        return rc;
    rc = sqlite_schema_create(repair->db);
    if (rc == STORE_OK)
        rc = execute(repair, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
    if (rc == STORE_OK)
        rc = statement_run(repair->db, STATEMENT_BEGIN_WRITE, NULL, 0);
    if (rc == STORE_OK)
        rc = sqlite_schema_add_losses(repair->db);
    return rc == STORE_OK ? rc : error_set(err, (enum store_error)rc, "cannot make %s: %s", path, store_error_text(rc));
}

static int finish(struct repair *repair) {
    int rc = statement_run(repair->db, STATEMENT_COMMIT, NULL, 0);
    if (rc == STORE_OK)
        rc = execute(repair, "PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL");
    return rc;
}

/* Moves what is in the new database's log into it, for only the database gets the store's name. Closing does the same and would not tell that it
 * failed. */
static int empty_log(struct repair *repair, const char *path, struct error *err) {
    int result = sqlite3_wal_checkpoint_v2(repair->db->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    if (result == SQLITE_OK)
        return STORE_OK;
    int rc = connection_failed(repair->db, result, "move the log of", path);
    return error_set(err, (enum store_error)rc, "cannot complete %s: %s", path, store_error_text(rc));
}

/* What nothing else tells of: a transaction of which no row is left. */
static int note_log(struct repair *repair) {
    int rc =
        repair_note(repair, 0,
                    "%" PRIu64 " pages of the log are damaged: the newest transactions may be missing from history "
                    "as a whole, and tags may be as they were before",
                    repair->log.lost);
    if (rc == STORE_OK && repair->log.beyond)
        rc = repair_note(repair, 0,
                         "the newest transactions in the log are damaged: what they changed is lost where it is not "
                         "right, unless a power cut hit before they were complete");
    return rc;
}

static int build(struct repair *repair, const struct paths *paths, struct error *err) {
    const struct repair_log *log = &repair->log;
    const char *from = log->merged ? paths->merged : paths->database;
    int rc = create(repair, paths->repaired, err);
    if (rc == STORE_OK)
        rc = repair_salvage(repair, from, log->whole_end < log->end ? paths->database : NULL, err);
    if (rc != STORE_OK)
        return rc;
    if (repair->format > FORMAT_VERSION)
        return error_set(err, STORE_NEWER_FORMAT, "%s has format %" PRIu64 ": upgrade tidfs to repair it",
                         repair->directory, repair->format);
    rc = repair->unreadable > 0
             ? repair_note(repair, 0, "%" PRIu64 " pages of the database cannot be read from the disk",
                           repair->unreadable)
             : STORE_OK;
    if (rc == STORE_OK && repair->log_damaged)
        rc = note_log(repair);
    if (rc == STORE_OK)
        rc = repair_history(repair);
    if (rc == STORE_OK)
        rc = finish(repair);
    return rc == STORE_OK ? rc
                          : error_set(err, (enum store_error)rc, "cannot complete the history of %s: %s",
                                      repair->directory, store_error_text(rc));
}

/* ---- what verify tells of the new history ---- */

struct noting {
    struct loss *losses;
    size_t count, capacity;
    bool failed;
};

static void take_note(void *context, const struct loss *loss) {
    struct noting *noting = context;
    struct loss *grown = array_grow(noting->losses, &noting->capacity, noting->count, sizeof *grown);
    if (!grown) {
        noting->failed = true;
        return;
    }
    noting->losses = grown;
    noting->losses[noting->count++] = *loss;
}

static int compare_losses(const void *a, const void *b) {
    const struct loss *x = a, *y = b;
    const uint64_t left[] = {x->kind, x->oid, x->seq, x->until}, right[] = {y->kind, y->oid, y->seq, y->until};
    for (size_t i = 0; i < 4; i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

/* Puts on record what does not agree in history, each once, and bodies that are damaged. */
static int put_on_record(struct repair *repair, struct storage *storage) {
    const struct verify_options options = {.problem = ignore_problem};
    struct noting noting = {0};
    uint64_t problems = 0;
    repair_progress(repair, "reading all contents", 0, 0);
    int rc = sqlite_verify_noting(storage, &options, &problems, take_note, &noting);
    if (rc == STORE_OK && noting.failed)
        rc = STORE_NO_MEMORY;
    if (noting.count > 0)
        qsort(noting.losses, noting.count, sizeof *noting.losses, compare_losses);
    if (rc == STORE_OK)
        rc = statement_run(repair->db, STATEMENT_BEGIN_WRITE, NULL, 0);
    for (size_t i = 0; i < noting.count && rc == STORE_OK; i++)
        if (i == 0 || compare_losses(&noting.losses[i - 1], &noting.losses[i]) != 0)
            rc = repair_lose(repair, &noting.losses[i]);
    if (rc == STORE_OK)
        rc = statement_run(repair->db, STATEMENT_COMMIT, NULL, 0);
    (void)connection_rollback(repair->db);
    free(noting.losses);
    return rc;
}

/* Names that were found in damaged rows or in indexes, of entries that are not left, and that are not back. */
static int note_lost_names(struct repair *repair) {
    uint64_t others = 0;
    sqlite3_stmt *statement;
    int rc = statement_get(repair->db, STATEMENT_HINT_NAMES_LOST, NULL, 0, &statement);
    for (uint64_t told = 0; rc == STORE_OK && (rc = statement_step(repair->db, statement)) == STORE_OK; told++) {
        struct value name = column_value(statement, 1);
        if (!entry_name_is_sane(name.bytes, name.length))
            continue;
        if (told < NAMES_MOST)
            rc = repair_note(repair, column_integer(statement, 0), "the name %.*s in it, of now or of before, is lost",
                             (int)name.length, (const char *)name.bytes);
        else
            others++;
    }
    statement_reset(statement);
    rc = rc == STORE_ABSENT ? STORE_OK : rc;
    return rc == STORE_OK && others > 0 ? repair_note(repair, 0, "%" PRIu64 " more names are lost", others) : rc;
}

static int open_repaired(struct repair *repair, const char *path, struct storage **storage, struct error *err) {
    const struct storage_open_options options = {.writable = true, .log = repair->options->log};
    return sqlite_open_database(repair->directory, path, &options, storage, err);
}

/* Everything that is left to do in the new database. *lost is the caller's. */
static int complete(struct repair *repair, const char *path, struct error *err) {
    const struct verify_options options = {.problem = ignore_problem};
    struct storage *storage = NULL;
    int rc = open_repaired(repair, path, &storage, err);
    if (rc != STORE_OK)
        return rc;
    rc = put_on_record(repair, storage);
    storage_close(storage);
    if (rc == STORE_OK) {
        rc = open_repaired(repair, path, &storage, err);
        if (rc != STORE_OK)
            return rc;
        rc = repair_head(repair, storage);
        if (rc == STORE_OK)
            rc = note_lost_names(repair);
        if (rc == STORE_OK)
            rc = storage_verify(storage, &options, &repair->result->left);
        storage_close(storage);
    }
    return rc == STORE_OK
               ? rc
               : error_set(err, (enum store_error)rc, "cannot repair %s: %s", repair->directory,
                           rc == STORE_READ_ONLY ? "one of its files, of bodies/ perhaps, may not be read or written"
                                                 : store_error_text(rc));
}

/* ---- what is told ---- */

static int tell_all(struct repair *repair, uint64_t first_loss) {
    struct loss_list losses;
    const struct loss_teller teller = {
        .reader = repair->db, .told = repair->options->told, .context = repair->options->context};
    if (!repair->options->told)
        return STORE_OK;
    int rc = loss_list_load(repair->db, &losses);
    if (rc == STORE_OK)
        loss_tell_all(&teller, &losses, first_loss);
    for (size_t i = 0; i < repair->note_count && rc == STORE_OK; i++)
        loss_teller_say(&teller, repair->notes[i].oid, repair->notes[i].text);
    loss_list_release(&losses);
    return rc;
}

/* ---- the run ---- */

/* The caller's, or NULL. */
static char *path_in(const char *directory, const char *name) {
    char *path;
    return directory && asprintf(&path, "%s/%s", directory, name) >= 0 ? path : NULL;
}

static int make_paths(const struct repair *repair, struct paths *paths, struct error *err) {
    paths->directory = repair->options->scratch ? repair->options->scratch : repair->directory;
    paths->database = path_in(repair->directory, DATABASE_FILE);
    paths->repaired = path_in(paths->directory, DATABASE_FILE REPAIRED);
    paths->merged = path_in(paths->directory, DATABASE_FILE MERGED);
    return paths->database && paths->repaired && paths->merged
               ? STORE_OK
               : error_set(err, STORE_NO_MEMORY, "no memory to repair %s", repair->directory);
}

void repair_remove_attempt(const char *directory) {
    static const char *const names[] = {DATABASE_FILE REPAIRED, DATABASE_FILE MERGED};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, names[i]) < sizeof path)
            repair_remove_database(path);
}

static void release_paths(struct paths *paths) {
    repair_remove_attempt(paths->directory);
    free(paths->database);
    free(paths->repaired);
    free(paths->merged);
}

/* Without the directory all contents in body files would be put on record as lost, for ever, where it is perhaps only not mounted, or was not copied. */
static int check_bodies(const struct repair *repair, struct error *err) {
    char *path = NULL;
    if (asprintf(&path, "%s/" BODY_DIRECTORY, repair->directory) < 0)
        return error_set(err, STORE_NO_MEMORY, "no memory to repair %s", repair->directory);
    int rc = STORE_OK;
    if (access(path, F_OK) < 0)
        rc = errno == ENOENT
                 ? error_set(
                       err, STORE_NOT_A_STORE,
                       "%s is missing: put it back; or make an empty directory there, if all contents in it are to be "
                       "given up as lost",
                       path)
                 : error_set(err, (enum store_error)store_error_from_errno(errno), "cannot look at %s: %s", path,
                             strerror(errno));
    free(path);
    return rc;
}

static int run(struct repair *repair, struct paths *paths, struct error *err) {
    struct repair_log *log = &repair->log;
    int rc = check_bodies(repair, err);
    if (rc == STORE_OK && !log->merged)
        rc = repair_merge_log(paths->database, paths->merged, log, err);
    if (rc == STORE_OK)
        rc = build(repair, paths, err);
    if (rc == STORE_OK)
        rc = complete(repair, paths->repaired, err);
    uint64_t first = repair->first_loss;
    if (rc == STORE_OK && (rc = tell_all(repair, first)) != STORE_OK)
        rc = error_set(err, (enum store_error)rc, "cannot read what %s has lost: %s", repair->directory,
                       store_error_text(rc));
    if (rc == STORE_OK)
        rc = empty_log(repair, paths->repaired, err);
    connection_close(repair->db); /* the last one: the log is removed */
    repair->db = NULL;
    if (rc == STORE_OK && !repair->options->scratch)
        rc = repair_exchange(repair->directory, paths->database, log->merged ? paths->merged : NULL, paths->repaired,
                             &repair->result->kept, err);
    return rc;
}

static int check_empty(const char *database, struct error *err) {
    struct stat status;
    return stat(database, &status) < 0 || status.st_size > 0
               ? STORE_OK
               : error_set(
                     err, STORE_NOT_A_STORE,
                     "%s is empty, and there is nothing in a log: nothing is left to repair; put it back from a copy",
                     database);
}

int storage_sqlite_repair(const char *directory, const struct repair_options *options, struct repair_result *result,
                          struct error *err) {
    struct repair repair = {.directory = directory, .options = options, .result = result};
    struct paths paths = {0};
    bool clean;
    *result = (struct repair_result){0};
    int rc = make_paths(&repair, &paths, err);
    if (rc == STORE_OK) {
        repair_remove_attempt(paths.directory);
        rc = repair_look_at_log(paths.database, &repair.log, err);
    }
    if (rc == STORE_OK && repair.log.end == 0)
        rc = check_empty(paths.database, err);
    if (rc == STORE_OK)
        rc = check(&repair, &paths, &clean, err);
    if (rc == STORE_OK && !clean) {
        result->damaged = true;
        rc = run(&repair, &paths, err);
    }
    release_paths(&paths);
    for (size_t i = 0; i < repair.note_count; i++)
        free(repair.notes[i].text);
    free(repair.notes);
    free(repair.gaps);
    free(repair.displaced);
    return rc;
}
