/* Directory entries. Current ones are in the table entry, ended ones in past_entry with the level of their lifetime;
 * store/FORMAT.md says how both together answer for any instant. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/storage_sqlite.h"

/* The entry of one row, with a name of its own. */
static int copy_entry(const struct entry_row *row, struct entry *entry) {
    char *name = malloc((size_t)row->entry.name_length + 1);
    if (!name)
        return STORE_NO_MEMORY;
    memcpy(name, row->entry.name, row->entry.name_length);
    name[row->entry.name_length] = '\0';
    *entry = row->entry;
    entry->name = name;
    return STORE_OK;
}

/* The one row that a statement finds, if it is alive for a reader at `before`. */
static int find_entry(struct connection *reader, enum statement id, const struct value *values, size_t count,
                      uint64_t before, struct entry *entry) {
    struct entry_row row;
    sqlite3_stmt *statement;
    int rc = statement_get(reader, id, values, count, &statement);
    if (rc == STORE_OK)
        rc = statement_step(reader, statement);
    if (rc == STORE_OK)
        rc = entry_row_decode(reader, statement, &row);
    if (rc == STORE_OK)
        rc = row.entry.born < before && row.entry.died >= before ? copy_entry(&row, entry) : STORE_ABSENT;
    statement_reset(statement);
    return rc;
}

int sqlite_lookup(struct storage *base, uint64_t parent, const char *name, size_t length, uint64_t before,
                  struct entry *entry) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct value values[] = {value_integer(parent), value_blob(name, length), value_integer(before)};
    struct connection *reader;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    /* In this order an entry that is ended between the two statements is found by one of them. */
    rc = find_entry(reader, STATEMENT_ENTRY_BY_NAME, values, 2, before, entry);
    if (rc == STORE_ABSENT)
        rc = find_entry(reader, STATEMENT_PAST_ENTRY_BY_NAME, values, 3, before, entry);
    if (rc == STORE_OK && loss_list_doubts_name(&storage->losses, parent, before, entry->died)) {
        entry_release(entry);
        rc = STORE_LOST;
    }
    if (rc == STORE_ABSENT && loss_list_hides_names(&storage->losses, parent, before))
        rc = STORE_LOST; /* it may be the name that was lost */
    int horizon = connection_check_horizon(reader, before);
    connection_pool_give(&storage->readers, reader);
    if (horizon != STORE_OK) {
        entry_release(entry);
        rc = horizon;
    }
    return rc;
}

/* A list under construction: items have no names until the block of names has stopped moving. */
struct list_builder {
    struct entry_list list;
    size_t capacity, names_length, names_capacity;
};

static int grow(void **block, size_t *capacity, size_t item, size_t needed) {
    if (needed <= *capacity)
        return STORE_OK;
    size_t larger = *capacity ? *capacity * 2 : 64;
    if (larger < needed)
        larger = needed;
    void *grown = reallocarray(*block, larger, item);
    if (!grown)
        return STORE_NO_MEMORY;
    *block = grown;
    *capacity = larger;
    return STORE_OK;
}

static int add_row(struct list_builder *builder, const struct entry_row *row) {
    size_t length = row->entry.name_length, count = builder->list.count;
    void *items = builder->list.items, *names = builder->list.names;
    int rc = grow(&items, &builder->capacity, sizeof *builder->list.items, count + 1);
    builder->list.items = items;
    if (rc == STORE_OK)
        rc = grow(&names, &builder->names_capacity, 1, builder->names_length + length + 1);
    builder->list.names = names;
    if (rc != STORE_OK)
        return rc;
    memcpy(builder->list.names + builder->names_length, row->entry.name, length);
    builder->list.names[builder->names_length + length] = '\0';
    builder->list.items[count] = row->entry;
    builder->list.count++;
    builder->names_length += length + 1;
    return STORE_OK;
}

/* Names follow one another in the block in the order of the rows. */
static void set_names(struct entry_list *list) {
    char *name = list->names;
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].name = name;
        name += list->items[i].name_length + 1;
    }
}

static int compare_entries(const void *left, const void *right) {
    const struct entry *a = left, *b = right;
    if (a->parent != b->parent)
        return a->parent < b->parent ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* Current entries come in order, but ended ones behind them. */
static void sort_entries(struct entry_list *list) {
    for (size_t i = 1; i < list->count; i++)
        if (compare_entries(&list->items[i - 1], &list->items[i]) > 0) {
            qsort(list->items, list->count, sizeof *list->items, compare_entries);
            return;
        }
}

/* One statement, so that an entry that is ended meanwhile is seen in one table and not in both or neither. */
static int collect_entries(struct connection *reader, enum statement id, const struct value *values, size_t count,
                           struct entry_list *list) {
    struct list_builder builder = {.capacity = 0};
    struct entry_row row;
    sqlite3_stmt *statement;
    int rc = statement_get(reader, id, values, count, &statement);
    while (rc == STORE_OK && (rc = statement_step(reader, statement)) == STORE_OK) {
        rc = entry_row_decode(reader, statement, &row);
        if (rc == STORE_OK)
            rc = add_row(&builder, &row);
    }
    statement_reset(statement);
    if (rc != STORE_ABSENT) {
        entry_list_release(&builder.list);
        return rc;
    }
    set_names(&builder.list);
    sort_entries(&builder.list);
    *list = builder.list;
    return STORE_OK;
}

static int collect_before(struct connection *reader, enum statement id, const struct value *values, size_t count,
                          uint64_t before, struct entry_list *list) {
    int rc = collect_entries(reader, id, values, count, list);
    if (rc == STORE_OK) {
        rc = connection_check_horizon(reader, before);
        if (rc != STORE_OK)
            entry_list_release(list);
    }
    return rc;
}

int sqlite_collect_entries(struct connection *reader, enum statement id, uint64_t key, uint64_t before,
                           struct entry_list *list) {
    struct value values[] = {value_integer(key), value_integer(before)};
    return collect_before(reader, id, values, 2, before, list);
}

static int read_list(struct sqlite_storage *storage, enum statement id, uint64_t key, uint64_t before,
                     struct entry_list *list) {
    struct connection *reader;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = sqlite_collect_entries(reader, id, key, before, list);
    connection_pool_give(&storage->readers, reader);
    return rc;
}

/* A list from which names are missing is no list. */
static int check_names(const struct sqlite_storage *storage, uint64_t parent, uint64_t before) {
    if (!loss_list_hides_names(&storage->losses, parent, before))
        return STORE_OK;
    log_write(storage->log, LOG_LEVEL_INFO, "names of directory %" PRIu64 " are lost before transaction %" PRIu64,
              parent, before);
    return STORE_LOST;
}

int sqlite_list(struct storage *base, uint64_t parent, uint64_t before, struct entry_list *list) {
    int rc = check_names(sqlite_storage_of(base), parent, before);
    return rc == STORE_OK ? read_list(sqlite_storage_of(base), STATEMENT_LIST, parent, before, list) : rc;
}

int sqlite_list_from(struct storage *base, uint64_t parent, uint64_t before, uint64_t from, size_t most,
                     struct entry_list *list) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct value values[] = {value_integer(parent), value_integer(before), value_integer(from), value_integer(most)};
    struct connection *reader;
    int rc = check_names(storage, parent, before);
    if (rc == STORE_OK)
        rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = collect_before(reader, STATEMENT_LIST_FROM, values, 4, before, list);
    connection_pool_give(&storage->readers, reader);
    return rc;
}

int sqlite_links(struct storage *base, uint64_t oid, uint64_t before, struct entry_list *list) {
    return read_list(sqlite_storage_of(base), STATEMENT_LINKS, oid, before, list);
}

/* Entries of one name never overlap, and indexes are given in the order in which entries are added: so the order of indexes is that of time. */
int sqlite_named(struct storage *base, uint64_t parent, const char *name, size_t length, struct entry_list *list) {
    struct sqlite_storage *storage = sqlite_storage_of(base);
    struct value values[] = {value_integer(parent), value_blob(name, length)};
    struct connection *reader;
    int rc = connection_pool_take(&storage->readers, &reader);
    if (rc != STORE_OK)
        return rc;
    rc = collect_entries(reader, STATEMENT_NAMED, values, 2, list);
    connection_pool_give(&storage->readers, reader);
    const struct loss *losses;
    if (rc == STORE_OK && list->count == 0 && loss_list_of(&storage->losses, LOSS_ENTRIES, parent, &losses) > 0)
        rc = STORE_LOST; /* it may have been one of those */
    return rc;
}
