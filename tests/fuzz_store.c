/* Fuzzes everything that reads a store: opening, views, log, diff, patches and verify.
 *
 * An input whose first byte is 0 is, from the second on, a whole tidfs.db. Any other is a list of changes to a small store that is made at
 * the start (tests/hostile.h): so they come behind the checksums, of rows and of pages, which are made right after them. A change is an
 * operation, a table, a column, a row, and what is put there: a number, bytes, or a change of some of the bytes; or bytes anywhere in the file.
 * Files beside the database stay as they are. The corpus was written by hand, a few changes each.
 */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/page_vfs.h"
#include "tests/hostile.h"

#define DATABASE_MAX (1U << 20)
#define CHANGES_MAX  16

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The store of this process, and its database as it was made. Made once, before all inputs. */
static struct {
    char base[64], directory[80], path[96];
    uint8_t *database;
    size_t size;
} made;

static void remove_made(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", made.base);
    if (system(command) != 0)
        (void)fprintf(stderr, "%s stays\n", made.base);
}

static void write_database(const uint8_t *data, size_t size) {
    static const char *const beside[] = {"-wal", "-shm"};
    char path[112];
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof path, "%s%s", made.path, beside[i]);
        (void)unlink(path); /* of the input before */
    }
    int fd = open(made.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    hostile_require(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0, "there is room");
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    strcpy(made.base, access("/dev/shm", W_OK) == 0 ? "/dev/shm/fuzz_store.XXXXXX" : "/tmp/fuzz_store.XXXXXX");
    hostile_require(mkdtemp(made.base) != NULL && atexit(remove_made) == 0, "there is a place");
    (void)snprintf(made.directory, sizeof made.directory, "%s/store", made.base);
    (void)snprintf(made.path, sizeof made.path, "%s/tidfs.db", made.directory);
    hostile_make_base(made.directory);
    struct stat status;
    int fd = open(made.path, O_RDONLY | O_CLOEXEC);
    hostile_require(fd >= 0 && fstat(fd, &status) == 0, "the store is there");
    made.size = (size_t)status.st_size;
    made.database = malloc(made.size);
    hostile_require(made.database != NULL && read(fd, made.database, made.size) == (ssize_t)made.size, "it is read");
    (void)close(fd);
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
                   "WHERE (%s) = (SELECT %s FROM %s LIMIT 1 OFFSET %u %% (SELECT count(*) FROM %s))", key, key, name,
                   row, name);
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
        (void)snprintf(
            sql, sizeof sql,
            "UPDATE OR IGNORE %s SET %s = CAST(substr(CAST(%s AS BLOB), 1, %u) || ?1 || substr(CAST(%s AS BLOB), %u)"
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

/* Bytes anywhere, under right checksums of pages. */
static void change_bytes(struct input *input) {
    int fd = open(made.path, O_RDWR | O_CLOEXEC);
    hostile_require(fd >= 0, "the database is there");
    while (input->size >= 4) {
        uint8_t page[PAGE_BYTES];
        unsigned number = take_byte(input) % (unsigned)(made.size / PAGE_BYTES), where = take_byte(input) << 8;
        where = (where | take_byte(input)) % PAGE_SUMMED;
        off_t at = (off_t)number * PAGE_BYTES;
        if (pread(fd, page, sizeof page, at) != (ssize_t)sizeof page)
            break;
        page[where] = (uint8_t)take_byte(input);
        uint64_t sum = page_sum(number + 1, page);
        for (unsigned i = 0; i < 8; i++)
            page[PAGE_SUMMED + i] = (uint8_t)(sum >> (8 * i));
        if (pwrite(fd, page, sizeof page, at) != (ssize_t)sizeof page)
            break;
    }
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char why[512] = "";
    uint64_t problems = 0;
    if (size < 2 || size > DATABASE_MAX)
        return 0;
    if (data[0] == 0) {
        write_database(data + 1, size - 1);
    } else {
        struct input input = {data + 1, size - 1};
        write_database(made.database, made.size);
        change_rows(&input);
        change_bytes(&input);
    }
    (void)hostile_read(made.directory, why, &problems);
    return 0;
}
