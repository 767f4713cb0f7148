#include <stdlib.h>
#include <string.h>

#include "store/storage_sqlite.h"

static int read_tag(struct connection *connection, const char *name, struct tag *tag) {
    struct value value = value_text(name, strlen(name));
    sqlite3_stmt *statement;
    int rc = statement_get(connection, STATEMENT_TAG_GET, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(connection, statement);
    if (rc == STORE_OK)
        rc = tag_row_decode(connection, statement, tag);
    statement_reset(statement);
    return rc;
}

int sqlite_tag_get(struct storage *base, const char *name, uint64_t *tid) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    struct tag tag;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = read_tag(reader, name, &tag);
    connection_pool_give(&storage->readers, reader);
    if (rc == STORE_OK)
        *tid = tag.tid;
    return rc;
}

int sqlite_tag_set(struct storage *base, const char *name, uint64_t tid, bool replace) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *writer;
    struct value value = value_text(name, strlen(name));
    sqlite3_stmt *statement;
    int rc = sqlite_writer_take(storage, &writer);
    if (rc != STORE_OK)
        return rc;
    rc = statement_run(writer, STATEMENT_BEGIN_WRITE, NULL, 0);
    if (rc == STORE_OK && !replace) {
        rc = statement_get(writer, STATEMENT_TAG_GET, &value, 1, &statement);
        if (rc == STORE_OK)
            rc = statement_step(writer, statement);
        statement_reset(statement);
        rc = rc == STORE_OK ? STORE_EXISTS : rc == STORE_ABSENT ? STORE_OK : rc;
    }
    if (rc == STORE_OK)
        rc = tag_row_put(writer, name, tid);
    if (rc == STORE_OK)
        rc = statement_run(writer, STATEMENT_COMMIT, NULL, 0);
    connection_pool_renew(&storage->readers);
    sqlite_writer_give(storage, writer);
    return rc;
}

int sqlite_tag_delete(struct storage *base, const char *name) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *writer;
    struct value value = value_text(name, strlen(name));
    int rc = sqlite_writer_take(storage, &writer);
    if (rc != STORE_OK)
        return rc;
    rc = statement_run(writer, STATEMENT_TAG_DELETE, &value, 1);
    if (rc == STORE_OK && sqlite3_changes(writer->db) == 0)
        rc = STORE_ABSENT;
    connection_pool_renew(&storage->readers);
    sqlite_writer_give(storage, writer);
    return rc;
}

int sqlite_tag_list(struct storage *base, struct tag **tags, size_t *count) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct connection *reader;
    sqlite3_stmt *statement;
    bool damaged = false;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = statement_get(reader, STATEMENT_TAG_LIST, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(reader, statement)) == STORE_OK) {
        struct tag *grown = reallocarray(*tags, *count + 1, sizeof **tags);
        if (grown)
            *tags = grown;
        rc = grown ? tag_row_decode(reader, statement, &grown[*count]) : STORE_NO_MEMORY;
        if (rc == STORE_OK) {
            ++*count;
        } else if (rc == STORE_CORRUPT) { /* no reason to hide the others */
            damaged = true;
            rc = STORE_OK;
        }
    }
    statement_reset(statement);
    connection_pool_give(&storage->readers, reader);
    if (rc == STORE_ABSENT || rc == STORE_CORRUPT)
        return damaged || rc == STORE_CORRUPT ? STORE_CORRUPT : STORE_OK;
    free(*tags);
    *tags = NULL;
    *count = 0;
    return rc;
}
