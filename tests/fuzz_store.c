/* Fuzzes everything that reads a store: opening, views, log, diff, patches, verify, and repair.
 *
 * The first byte of an input says what it is, and with SAYS_REPAIR that the store is to be repaired, too:
 *     0     from the second byte on, a whole tidfs.db
 *     odd   changes to a small store that is made at the start (tests/hostile.h): so they come behind the checksums, of rows and of pages, which are
 *           made right after them. A change is an operation, a table, a column, a row, and what is put there: a number, bytes, or a change of some of
 *           the bytes; or bytes anywhere in the file
 *     even  changes to the same store as a crash left it, with a log that holds its newest transactions: to headers of the log and of its frames, to
 *           pages in both files, and to where these end, under checksums that are made right or not
 * Files beside these stay as they are. The corpus has some changes written by hand, and what came out wrong once.
 *
 * What must hold after a repair: it was refused with a reason, and the database is what it was; or the store is sound, takes a new transaction, and has
 * nothing more to repair.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/head.h"
#include "store/page_vfs.h"
#include "store/repair.h"
#include "store/wal.h"
#include "tests/hostile.h"

#define DATABASE_MAX (1U << 20)
#define CHANGES_MAX  16
#define SAYS_REPAIR  128
#define BODY_FILE    "bodies/00000001"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file of a store, as it was made. */
struct file {
    uint8_t *data;
    size_t size;
};

/* The store of this process, and what is put into it. Made once, before all
 * inputs. */
static struct {
    char base[64], directory[80], path[96];
    struct file database, bodies;               /* closed */
    struct file old_database, log, more_bodies; /* and as a crash left it */
    bool untouched;                             /* the files beside the database are those of the closed one */
} made;

/* ---- files ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

static void remove_made(void) {
    if (nftw(made.base, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        (void)fprintf(stderr, "%s stays\n", made.base);
}

static void path_in_store(const char *name, char path[128]) {
    (void)snprintf(path, 128, "%s/%s", made.directory, name);
}

static void write_file(const char *name, const uint8_t *data, size_t size) {
    char path[128];
    path_in_store(name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    hostile_require(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0, "there is room");
}

/* The caller's; size 0 if there is none. */
static struct file read_file(const char *name) {
    char path[128];
    struct stat status;
    struct file file = {0};
    path_in_store(name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return file;
    hostile_require(fstat(fd, &status) == 0, "the store is there");
    file.size = (size_t)status.st_size;
    file.data = malloc(file.size + 1);
    hostile_require(file.data != NULL && read(fd, file.data, file.size) == (ssize_t)file.size, "it is read");
    (void)close(fd);
    return file;
}

/* All of the store but its database and log. */
static void write_rest(const struct file *bodies) {
    char path[128];
    if (nftw(made.directory, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        hostile_require(access(made.directory, F_OK) != 0, "the store before goes");
    path_in_store("bodies", path);
    hostile_require(mkdir(made.directory, 0700) == 0 && mkdir(path, 0700) == 0, "there is room");
    write_file(BODY_FILE, bodies->data, bodies->size);
    made.untouched = bodies == &made.bodies;
}

static void write_database(const uint8_t *data, size_t size) {
    static const char *const beside[] = {"tidfs.db-wal", "tidfs.db-shm"};
    char path[128];
    if (!made.untouched)
        write_rest(&made.bodies);
    for (size_t i = 0; i < 2; i++) {
        path_in_store(beside[i], path);
        (void)unlink(path); /* of the input before */
    }
    write_file("tidfs.db", data, size);
}

/* ---- the small store ---- */

/* A change to it, in a transaction of its own. */
static int change_store(struct error *err, struct store **store) {
    struct head *head = NULL;
    struct head_attr attr;
    const struct head_caller caller = {1000, 1000, 022};
    uint64_t tid = 0;
    uint8_t data[5000];
    int rc = store_open(made.directory, &(struct store_options){.writable = true}, store, err);
    if (rc == STORE_OK)
        rc = head_open(*store, &(struct head_options){.dirty_limit_bytes = 1U << 20}, &head, err);
    if (rc != STORE_OK)
        return rc;
    memset(data, 'n', sizeof data);
    rc = head_make(head, ROOT_OID, "new", 3, S_IFREG | 0644, 0, NULL, &caller, &attr);
    if (rc == 0) {
        int64_t written = head_write(head, attr.oid, 0, sizeof data, data, false);
        rc = written < 0 ? (int)written : 0;
        head_forget(head, attr.oid, 1);
    }
    int sealed = head_seal(head, "somebody", "after all", &tid);
    int closed = head_close(head);
    return rc != 0 ? rc : sealed != 0 ? sealed : closed;
}

static void make_store(void) {
    struct store *store = NULL;
    struct error err = {0};
    hostile_make_base(made.directory);
    made.database = read_file("tidfs.db");
    made.bodies = read_file(BODY_FILE);
    hostile_require(change_store(&err, &store) == 0, "the store changes");
    made.old_database = read_file("tidfs.db");
    made.log = read_file("tidfs.db-wal");
    made.more_bodies = read_file(BODY_FILE);
    store_close(store);
    hostile_require(made.log.size > WAL_FRAME_BYTES, "the log holds it");
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    strcpy(made.base, access("/dev/shm", W_OK) == 0 ? "/dev/shm/fuzz_store.XXXXXX" : "/tmp/fuzz_store.XXXXXX");
    hostile_require(mkdtemp(made.base) != NULL && atexit(remove_made) == 0, "there is a place");
    (void)snprintf(made.directory, sizeof made.directory, "%s/store", made.base);
    (void)snprintf(made.path, sizeof made.path, "%s/tidfs.db", made.directory);
    make_store();
    return 0;
}

/* ---- changes ---- */

struct input {
    const uint8_t *data;
    size_t size;
};

static unsigned take_byte(struct input *input) {
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static int64_t take_number(struct input *input) {
    static const int64_t edges[] = {0,
                                    1,
                                    2,
                                    3,
                                    4,
                                    5,
                                    -1,
                                    255,
                                    256,
                                    65536,
                                    INT32_MAX,
                                    UINT32_MAX,
                                    INT64_MAX,
                                    INT64_MIN,
                                    1048576,
                                    INT64_C(1) << 60,
                                    (INT64_C(1) << 60) - 1,
                                    16384,
                                    32768,
                                    999999999,
                                    1000000000};
    unsigned kind = take_byte(input);
    if (kind < sizeof edges / sizeof edges[0])
        return edges[kind];
    uint64_t number = 0;
    for (unsigned i = 0; i < kind % 8 + 1; i++)
        number = number << 8 | take_byte(input);
    return (int64_t)number;
}

/* Tables with their columns, and the key by which a row is found again. */
static const struct {
    const char *name, *key, *columns[10];
    unsigned column_count;
} tables[] = {
    {"state",
     "id",
     {"next_oid", "next_revision", "next_body", "next_subtree", "body_file", "body_end", "horizon", "packed_s",
      "packed_ns"},
     9},
    {"txn", "seq", {"seq", "tid", "base", "wall_s", "wall_ns", "objects", "first_revision", "user", "message"}, 9},
    {"revision", "id", {"data", "oid", "part", "seq", "id", "data", "data", "data"}, 8},
    {"body", "id", {"id", "data"}, 2},
    {"entry", "idx", {"parent", "idx", "name", "oid", "type", "born"}, 6},
    {"past_entry", "idx", {"parent", "idx", "name", "oid", "type", "born", "died", "level"}, 8},
    {"subtree", "id", {"id", "dir", "seq"}, 3},
    {"tag", "name", {"name", "tid"}, 2},
    {"meta", "key", {"key", "value"}, 2},
};

/* sqlite3_exec with what stands for ?1; errors are as good as nothing to do. */
static void run(sqlite3 *db, const char *sql, int64_t number, const uint8_t *bytes, size_t length) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK) {
        int result = bytes ? sqlite3_bind_blob(statement, 1, bytes, (int)length, SQLITE_STATIC)
                           : sqlite3_bind_int64(statement, 1, number);
        while (result == SQLITE_OK || result == SQLITE_ROW)
            result = sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
}

static void change_row(sqlite3 *db, struct input *input) {
    char sql[512], where[128];
    unsigned operation = take_byte(input) % 6;
    size_t table = take_byte(input) % (sizeof tables / sizeof tables[0]);
    const char *column = tables[table].columns[take_byte(input) % tables[table].column_count];
    const char *name = tables[table].name, *key = tables[table].key;
    unsigned row = take_byte(input), at = 0;
    size_t length = 0;
    (void)snprintf(where, sizeof where,
                   "WHERE (%s) = (SELECT %s FROM %s LIMIT 1 OFFSET %u %% (SELECT "
                   "count(*) FROM %s))",
                   key, key, name, row, name);
    switch (operation) {
    case 0:
        (void)snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET %s = ?1 %s", name, column, where);
        run(db, sql, take_number(input), NULL, 0);
        break;
    case 1:
        length = take_byte(input) % 64;
        length = length < input->size ? length : input->size;
        (void)snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET %s = ?1 %s", name, column, where);
        run(db, sql, 0, input->data, length);
        input->data += length;
        input->size -= length;
        break;
    case 2: /* bytes within what is there */
    case 3:
        at = take_byte(input) % 64;
        length = take_byte(input) % 8;
        length = length < input->size ? length : input->size;
        (void)snprintf(sql, sizeof sql,
                       "UPDATE OR IGNORE %s SET %s = CAST(substr(CAST(%s AS BLOB), "
                       "1, %u) || ?1 || substr(CAST(%s AS BLOB), %u)"
                       " AS BLOB) %s",
                       name, column, column, at, column, at + 1 + (operation == 2 ? (unsigned)length : 0), where);
        run(db, sql, 0, input->data, length);
        input->data += length;
        input->size -= length;
        break;
    case 4:
        (void)snprintf(sql, sizeof sql, "DELETE FROM %s %s AND ?1 IS NOT NULL", name, where);
        run(db, sql, 0, NULL, 0);
        break;
    default:
        (void)snprintf(sql, sizeof sql, "UPDATE OR IGNORE %s SET %s = %s + ?1 %s", name, column, column, where);
        run(db, sql, take_number(input), NULL, 0);
        break;
    }
}

static void change_rows(struct input *input) {
    sqlite3 *db = NULL;
    hostile_require(page_vfs_register() == SQLITE_OK, "SQLite has the layer");
    if (sqlite3_open_v2(made.path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS) == SQLITE_OK) {
        (void)sqlite3_exec(db, "PRAGMA synchronous = OFF; BEGIN", NULL, NULL, NULL);
        for (unsigned i = take_byte(input) % CHANGES_MAX; i > 0 && input->size > 0; i--)
            change_row(db, input);
        hostile_sum(db);
        (void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    (void)sqlite3_close(db);
}

/* Gives the page its checksum. */
static void sum_page(uint32_t number, uint8_t page[PAGE_BYTES]) {
    uint64_t sum = page_sum(number, page);
    for (unsigned i = 0; i < 8; i++)
        page[PAGE_SUMMED + i] = (uint8_t)(sum >> (8 * i));
}

/* Bytes anywhere, under right checksums of pages. */
static void change_bytes(struct input *input) {
    int fd = open(made.path, O_RDWR | O_CLOEXEC);
    hostile_require(fd >= 0, "the database is there");
    while (input->size >= 4) {
        uint8_t page[PAGE_BYTES];
        unsigned number = take_byte(input) % (unsigned)(made.database.size / PAGE_BYTES);
        unsigned where = take_byte(input) << 8;
        where = (where | take_byte(input)) % PAGE_SUMMED;
        off_t at = (off_t)number * PAGE_BYTES;
        if (pread(fd, page, sizeof page, at) != (ssize_t)sizeof page)
            break;
        page[where] = (uint8_t)take_byte(input);
        sum_page(number + 1, page);
        if (pwrite(fd, page, sizeof page, at) != (ssize_t)sizeof page)
            break;
    }
    (void)close(fd);
}

/* ---- the store with its log ---- */

static uint8_t *frame_of(struct file *log, unsigned frame) {
    size_t frames = (log->size - WAL_HEADER_BYTES) / WAL_FRAME_BYTES;
    return log->data + wal_frame_offset(frame % frames + 1);
}

static void put_big(uint8_t *at, uint32_t value) {
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* All that the log carries, or only those of its pages. */
static void sum_log(struct file *log, bool frames_too) {
    struct wal_header header;
    size_t frames = (log->size - WAL_HEADER_BYTES) / WAL_FRAME_BYTES;
    wal_header_read(log->data, &header);
    struct wal_sum sum = header.computed;
    if (frames_too) {
        put_big(log->data + 24, sum.a);
        put_big(log->data + 28, sum.b);
    }
    for (unsigned i = 0; i < frames; i++) {
        uint8_t *frame = frame_of(log, i);
        sum_page(wal_frame_page(frame), frame + WAL_FRAME_HEADER_BYTES);
        if (!frames_too)
            continue;
        memcpy(frame + 8, header.salts, sizeof header.salts);
        wal_frame_put_sum(sum, header.big_endian, frame);
        sum = wal_sum_stored(frame + 16);
    }
}

static void change_log_once(struct file *database, struct file *log, struct input *input) {
    unsigned what = take_byte(input) % 8, which = take_byte(input), where = take_byte(input) << 8;
    where |= take_byte(input);
    uint8_t value = (uint8_t)take_byte(input),
            *page = database->data + which % (database->size / PAGE_BYTES) * PAGE_BYTES;
    switch (what) {
    case 0:
        log->data[where % WAL_HEADER_BYTES] = value;
        break;
    case 1:
    case 2: /* the page's number and the size of the database have small values
             that are of interest */
        frame_of(log, which)[where % WAL_FRAME_HEADER_BYTES] = value;
        break;
    case 3:
        frame_of(log, which)[WAL_FRAME_HEADER_BYTES + where % PAGE_BYTES] = value;
        break;
    case 4:
        page[where % PAGE_BYTES] = value;
        break;
    case 5: /* the header of a page, of which the first has the database's before
             it */
        page[(page == database->data ? where % 112 : where % 12)] = value;
        sum_page((uint32_t)((size_t)(page - database->data) / PAGE_BYTES) + 1, page);
        break;
    case 6:
        memcpy(frame_of(log, which), frame_of(log, where), WAL_FRAME_BYTES);
        break;
    default:
        memset(page, value, PAGE_BYTES);
        break;
    }
}

/* The first byte: 1 pages in the log get right checksums, 2 and so do its
 * frames, 4 the log is cut, 8 so is the database. */
static void change_log(struct input *input) {
    struct file database = {malloc(made.old_database.size), made.old_database.size};
    struct file log = {malloc(made.log.size), made.log.size};
    hostile_require(database.data != NULL && log.data != NULL, "there is memory");
    memcpy(database.data, made.old_database.data, database.size);
    memcpy(log.data, made.log.data, log.size);
    unsigned how = take_byte(input), log_cut = 0, database_cut = 0;
    if (how & 4)
        log_cut = take_byte(input) * 256U + take_byte(input);
    if (how & 8)
        database_cut = take_byte(input) * 256U + take_byte(input);
    for (unsigned i = 0; i < CHANGES_MAX && input->size > 0; i++)
        change_log_once(&database, &log, input);
    if (how & 1)
        sum_log(&log, (how & 2) != 0);
    write_rest(&made.more_bodies);
    write_file("tidfs.db", database.data, database.size - database_cut % database.size);
    write_file("tidfs.db-wal", log.data, log.size - log_cut % log.size);
    free(database.data);
    free(log.data);
}

/* ---- repair ---- */

static void expect_sound(void) {
    struct store *store = NULL;
    struct error err = {0};
    struct repair_result result;
    int rc = change_store(&err, &store);
    hostile_require(rc == 0 || rc == -EEXIST || rc == -ENOSPC /* no ids are left */,
                    "a repaired store opens, and changes");
    hostile_require(hostile_verify(store) == 0, "a repaired store verifies, also with a new transaction");
    store_close(store);
    rc = store_repair(made.directory, &(struct repair_options){.user = "somebody"}, &result, &err);
    hostile_require(rc == STORE_OK && !result.damaged, "after a repair there is nothing to repair");
    repair_result_release(&result);
}

/* problems: what verify found, if the store could be opened at all. with_log: a repair may find that a log went further than opening the store tells. */
static void repair(bool opened, uint64_t problems, bool with_log) {
    struct file before = read_file("tidfs.db");
    struct repair_result result;
    struct error err = {0};
    int rc = store_repair(made.directory, &(struct repair_options){.user = "somebody"}, &result, &err);
    made.untouched = false;
    if (rc == STORE_OK) {
        bool sound = opened && problems == 0;
        hostile_require(sound || result.damaged, "what is damaged is repaired");
        hostile_require(!sound || !result.damaged || with_log, "what is not stays as it is");
        hostile_require(result.left == 0, "a repair leaves nothing");
        expect_sound();
    } else {
        struct file after = read_file("tidfs.db");
        hostile_require(rc == (int)err.code && strlen(err.text) > 10, "a refusal has a reason");
        hostile_require(after.size == before.size && memcmp(after.data, before.data, before.size) == 0,
                        "what is not repaired stays as it is");
        free(after.data);
    }
    repair_result_release(&result);
    free(before.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char why[512] = "";
    uint64_t problems = 0;
    if (size < 2 || size > DATABASE_MAX)
        return 0;
    unsigned what = data[0] & ~(unsigned)SAYS_REPAIR;
    struct input input = {data + 1, size - 1};
    if (what == 0) {
        write_database(data + 1, size - 1);
    } else if (what % 2 == 1) {
        write_database(made.database.data, made.database.size);
        change_rows(&input);
        change_bytes(&input);
    } else {
        change_log(&input);
    }
    bool opened = hostile_read(made.directory, why, &problems);
    if (data[0] & SAYS_REPAIR)
        repair(opened, problems, what != 0 && what % 2 == 0);
    return 0;
}
