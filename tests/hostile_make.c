/* The small store, and changes to it. See tests/hostile.h. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "store/bytes.h"
#include "store/head.h"
#include "store/page_vfs.h"
#include "store/storage_sqlite_statement.h"
#include "tests/hostile.h"

#define BIG_BYTES 200000

static _Noreturn void give_up(const char *what, const char *why) {
    (void)fprintf(stderr, "hostile: %s: %s\n", what, why);
    exit(2);
}

/* ---- the small store ---- */

struct maker {
    struct store *store;
    struct head *head;
};

static void check(int rc, const char *what) {
    if (rc < 0)
        give_up(what, strerror(-rc));
}

static void check_oid(uint64_t oid, uint64_t expected, const char *name) {
    if (oid != expected)
        give_up(name, "is not the object that it should be");
}

static void make(struct maker *maker, uint64_t parent, const char *name, uint32_t mode, const char *target,
                 uint64_t oid) {
    static const struct head_caller caller = {1000, 1000, 022};
    struct head_attr attr;
    check(head_make(maker->head, parent, name, strlen(name), mode, 0, target, &caller, &attr), name);
    check_oid(attr.oid, oid, name);
    head_forget(maker->head, attr.oid, 1);
}

static void write_text(struct maker *maker, uint64_t oid, const char *text) {
    check(head_write(maker->head, oid, 0, strlen(text), (const uint8_t *)text, false) < 0 ? -1 : 0, "write");
}

static void write_big(struct maker *maker, uint64_t oid) {
    uint8_t *data = malloc(BIG_BYTES);
    if (!data)
        give_up("write", "out of memory");
    for (size_t i = 0; i < BIG_BYTES; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    check(head_write(maker->head, oid, 0, BIG_BYTES, data, false) != BIG_BYTES ? -1 : 0, "write");
    free(data);
}

static uint64_t seal(struct maker *maker, const char *message) {
    uint64_t tid = 0;
    check(head_seal(maker->head, "somebody", message, &tid), "seal");
    return tid;
}

void hostile_make_base(const char *directory) {
    struct maker maker = {0};
    struct error err = {0};
    struct head_attr attr;
    if (store_create(directory, 1000, 1000, &err) < 0 ||
        store_open(directory, &(struct store_options){.writable = true}, &maker.store, &err) < 0 ||
        head_open(maker.store, &(struct head_options){.dirty_limit_bytes = 1U << 20}, &maker.head, &err) < 0)
        give_up(directory, err.text);
    make(&maker, ROOT_OID, "dir", S_IFDIR | 0755, NULL, 2);
    make(&maker, 2, "file", S_IFREG | 0644, NULL, 3);
    make(&maker, 2, "sub", S_IFDIR | 0755, NULL, 4);
    make(&maker, 4, "deep", S_IFREG | 0644, NULL, 5);
    make(&maker, ROOT_OID, "link", S_IFLNK | 0777, "dir/file", 6);
    make(&maker, ROOT_OID, "big", S_IFREG | 0644, NULL, 7);
    make(&maker, ROOT_OID, "gone", S_IFREG | 0644, NULL, 8);
    make(&maker, ROOT_OID, "other", S_IFREG | 0644, NULL, 9);
    write_text(&maker, 3, "hello\n");
    write_text(&maker, 5, "deep\n");
    write_big(&maker, 7);
    check(head_setxattr(maker.head, 3, "user.a", "x", 1, 0), "setxattr");
    uint64_t tid = seal(&maker, "all that there is");
    check(storage_tag_set(store_storage(maker.store), "v1", tid, false), "tag");
    write_text(&maker, 3, "hello, you\n");
    check(head_unlink(maker.head, ROOT_OID, "gone", 4), "unlink");
    seal(&maker, "one goes");
    check(head_link(maker.head, 3, 2, "hard", 4, &attr), "link");
    head_forget(maker.head, 3, 1);
    seal(&maker, "");
    check(head_close(maker.head), "close");
    store_close(maker.store);
}

/* ---- changes ---- */

static void sql_bytes(sqlite3_context *context, int count, sqlite3_value **values) {
    struct byte_writer writer;
    uint8_t *data = NULL;
    size_t length = 0;
    byte_writer_init(&writer);
    for (int i = 0; i < count; i++) {
        if (sqlite3_value_type(values[i]) == SQLITE_INTEGER)
            byte_writer_number(&writer, (uint64_t)sqlite3_value_int64(values[i]));
        else
            byte_writer_bytes(&writer, sqlite3_value_blob(values[i]), (size_t)sqlite3_value_bytes(values[i]));
    }
    if (byte_writer_finish(&writer, &data, &length) < 0)
        sqlite3_result_error_nomem(context);
    else
        sqlite3_result_blob64(context, data, length, free);
}

static void sql_hash(sqlite3_context *context, int count, sqlite3_value **values) {
    uint8_t bytes[8];
    (void)count;
    uint64_t hash = XXH3_64bits(sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0]));
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(hash >> (8 * i));
    sqlite3_result_blob(context, bytes, sizeof bytes, SQLITE_TRANSIENT);
}

/* The checksum of a row of which the arguments are the columns. */
static void sql_row_sum(sqlite3_context *context, int count, sqlite3_value **values) {
    struct value columns[16] = {0};
    for (int i = 0; i < count; i++) {
        if (sqlite3_value_type(values[i]) == SQLITE_INTEGER) {
            columns[i] = value_integer((uint64_t)sqlite3_value_int64(values[i]));
        } else if (sqlite3_value_type(values[i]) != SQLITE_NULL) {
            const void *bytes = sqlite3_value_blob(values[i]);
            columns[i] = value_blob(bytes ? bytes : "", (size_t)sqlite3_value_bytes(values[i]));
        } else {
            columns[i] = (struct value){.kind = VALUE_NULL};
        }
    }
    sqlite3_result_int64(context, (sqlite3_int64)row_sum(columns, (size_t)count));
}

static const char *const sums[] = {
    ("UPDATE state SET sum = row_sum(next_oid, next_revision, next_body, next_subtree, body_file, body_end, horizon,"
     " packed_s, packed_ns)"),
    "UPDATE txn SET sum = row_sum(seq, tid, base, wall_s, wall_ns, objects, first_revision, user, message)",
    "UPDATE revision SET sum = row_sum(id, oid, part, seq, data)",
    "UPDATE body SET sum = row_sum(id, data)",
    "UPDATE entry SET sum = row_sum(parent, idx, name, oid, type, born)",
    "UPDATE past_entry SET sum = row_sum(parent, idx, name, oid, type, born, died, level)",
    "UPDATE tag SET sum = row_sum(name, tid)",
};

static void run(sqlite3 *db, const char *name, const char *sql) {
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        give_up(name, message ? message : sql);
}

void hostile_sum(sqlite3 *db) {
    if (sqlite3_create_function(db, "row_sum", -1, SQLITE_UTF8, NULL, sql_row_sum, NULL, NULL) != SQLITE_OK)
        give_up("sums", sqlite3_errmsg(db));
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        (void)sqlite3_exec(db, sums[i], NULL, NULL, NULL); /* what a schema does not have any more needs none */
}

void hostile_change(const char *directory, const struct hostile_store *store) {
    char path[4096];
    sqlite3 *db = NULL;
    (void)snprintf(path, sizeof path, "%s/tidfs.db", directory);
    if (page_vfs_register() != SQLITE_OK || sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, PAGE_VFS) != SQLITE_OK ||
        sqlite3_create_function(db, "bytes", -1, SQLITE_UTF8, NULL, sql_bytes, NULL, NULL) != SQLITE_OK ||
        sqlite3_create_function(db, "hash", 1, SQLITE_UTF8, NULL, sql_hash, NULL, NULL) != SQLITE_OK)
        give_up(path, sqlite3_errmsg(db));
    run(db, store->name, "PRAGMA synchronous = OFF; BEGIN");
    run(db, store->name, store->sql);
    hostile_sum(db);
    run(db, store->name, "COMMIT");
    if (sqlite3_close(db) != SQLITE_OK)
        give_up(path, "cannot close it");
}
