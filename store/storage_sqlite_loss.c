#include "store/storage_sqlite_loss.h"
#include "store/array.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/storage_sqlite_row.h"

static int compare(const struct loss *a, const struct loss *b) {
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->oid != b->oid)
        return a->oid < b->oid ? -1 : 1;
    return (a->seq > b->seq) - (a->seq < b->seq);
}

int loss_list_load(struct connection *connection, struct loss_list *list) {
    uint64_t version;
    size_t capacity = 0;
    sqlite3_stmt *statement = NULL;
    *list = (struct loss_list){0};
    int rc = statement_integer(connection, STATEMENT_USER_VERSION, NULL, 0, &version);
    if (rc != STORE_OK || version < FORMAT_WITH_LOSSES)
        return rc;
    rc = statement_get(connection, STATEMENT_ALL_LOSSES, NULL, 0, &statement);
    while (rc == STORE_OK && (rc = statement_step(connection, statement)) == STORE_OK) {
        struct loss *grown = array_grow(list->items, &capacity, list->count, sizeof *grown);
        if (!grown) {
            rc = STORE_NO_MEMORY;
            break;
        }
        list->items = grown;
        rc = loss_row_decode(connection, statement, &list->items[list->count]);
        if (rc != STORE_OK)
            break;
        list->count++;
    }
    statement_reset(statement);
    if (rc == STORE_ABSENT)
        return STORE_OK;
    loss_list_release(list);
    return rc;
}

void loss_list_release(struct loss_list *list) {
    free(list->items);
    *list = (struct loss_list){0};
}

/* The position of the first one that is not below (kind, oid, seq). */
static size_t find(const struct loss_list *list, enum loss_kind kind, uint64_t oid, uint64_t seq) {
    const struct loss key = {.kind = kind, .oid = oid, .seq = seq};
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&list->items[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_of(const struct loss_list *list, size_t position, enum loss_kind kind, uint64_t oid) {
    return position < list->count && list->items[position].kind == kind && list->items[position].oid == oid;
}

static bool is_part(const struct loss *loss, uint64_t part) {
    return loss->part == part || loss->part == LOSS_PART_ANY || (loss->part == LOSS_PART_CONTENT && part != PART_INODE);
}

uint64_t loss_list_newest(const struct loss_list *list, uint64_t oid, uint64_t part, uint64_t before) {
    if (list->count == 0)
        return 0;
    for (size_t i = find(list, LOSS_REVISION, oid, before); i > 0 && is_of(list, i - 1, LOSS_REVISION, oid); i--)
        if (is_part(&list->items[i - 1], part))
            return list->items[i - 1].seq;
    return 0;
}

uint64_t loss_list_next(const struct loss_list *list, uint64_t oid, uint64_t part, uint64_t seq) {
    if (list->count == 0)
        return UINT64_MAX;
    for (size_t i = find(list, LOSS_REVISION, oid, seq); is_of(list, i, LOSS_REVISION, oid); i++)
        if (is_part(&list->items[i], part))
            return list->items[i].seq;
    return UINT64_MAX;
}

size_t loss_list_of(const struct loss_list *list, enum loss_kind kind, uint64_t oid, const struct loss **losses) {
    size_t first = list->count > 0 ? find(list, kind, oid, 0) : 0, end = first;
    while (is_of(list, end, kind, oid))
        end++;
    *losses = end > first ? &list->items[first] : NULL;
    return end - first;
}

bool loss_list_hides_names(const struct loss_list *list, uint64_t directory, uint64_t before) {
    const struct loss *losses;
    size_t count = loss_list_of(list, LOSS_ENTRIES, directory, &losses);
    for (size_t i = 0; i < count; i++)
        if (losses[i].seq < before && before <= losses[i].until)
            return true;
    return false;
}

bool loss_list_doubts_name(const struct loss_list *list, uint64_t directory, uint64_t before, uint64_t died) {
    const struct loss *losses;
    size_t count = loss_list_of(list, LOSS_ENTRIES, directory, &losses);
    for (size_t i = 0; i < count; i++)
        if (losses[i].part == LOSS_NAMES_OLD && losses[i].seq < before && before <= losses[i].until &&
            died >= losses[i].until)
            return true;
    return false;
}

bool loss_list_has_time(const struct loss_list *list, uint64_t seq) {
    size_t i = find(list, LOSS_TIME, 0, seq);
    return is_of(list, i, LOSS_TIME, 0) && list->items[i].seq == seq;
}

bool loss_list_has_body(const struct loss_list *list, uint64_t file, uint64_t position, uint64_t length) {
    for (size_t i = find(list, LOSS_BODY, file, position); is_of(list, i, LOSS_BODY, file); i++) {
        if (list->items[i].seq != position)
            break;
        if (list->items[i].until == length)
            return true;
    }
    return false;
}

size_t loss_tag_key(uint64_t id, char key[LOSS_TAG_KEY_SIZE]) {
    return (size_t)snprintf(key, LOSS_TAG_KEY_SIZE, LOSS_TAG_KEY "%" PRIu64, id);
}

bool loss_list_explains(const struct loss_list *list, uint64_t oid, uint64_t seq) {
    const struct loss *losses;
    size_t count = loss_list_of(list, LOSS_REVISION, oid, &losses);
    for (size_t i = 0; i < count; i++)
        if (losses[i].seq <= seq && (seq <= losses[i].until || losses[i].until == 0))
            return true;
    count = loss_list_of(list, LOSS_ENTRIES, oid, &losses);
    for (size_t i = 0; i < count; i++)
        if (losses[i].seq <= seq && seq <= losses[i].until)
            return true;
    if (list->count == 0)
        return false;
    size_t i = find(list, LOSS_NOTED, oid, seq);
    return is_of(list, i, LOSS_NOTED, oid) && list->items[i].seq == seq;
}
