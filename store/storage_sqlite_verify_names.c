/* The names of an object at one instant after the other, for verify.
 *
 * Each revision of an inode asks for those of its time. For an object that was renamed n times these would be n questions of n rows: so the rows of
 * objects with many names are kept, in the order in which they began.
 */
#include <stdlib.h>

#include "store/array.h"
#include "store/storage_sqlite_connection.h"
#include "store/storage_sqlite_row.h"
#include "store/storage_sqlite_verify.h"

#define SLOTS      1024
#define KEPT_LEAST 32        /* names; reading fewer again costs less than keeping them */
#define KEPT_MOST  (1 << 20) /* of all objects: 40 MiB */

struct span {
    uint64_t born, died, parent;
    uint64_t latest; /* the latest end of this and all before it */
    bool damaged;
};

struct spans {
    uint64_t oid;   /* 0: none */
    uint64_t as_of; /* the last transaction when they were read */
    struct span *items;
    size_t count, capacity;
    bool damaged; /* any */
};

struct verify_names {
    struct spans kept[SLOTS], read;
    size_t total; /* of those that are kept */
    uint64_t *parents;
    size_t capacity;
};

static void release(struct verify_names *names, struct spans *kept) {
    names->total -= kept->count;
    free(kept->items);
    *kept = (struct spans){0};
}

void verify_names_free(struct verify_names *names) {
    if (!names)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(names->kept[i].items);
    free(names->read.items);
    free(names->parents);
    free(names);
}

static int add_span(struct spans *spans, const struct span *span) {
    void *items = array_grow(spans->items, &spans->capacity, spans->count, sizeof *spans->items);
    if (!items)
        return STORE_NO_MEMORY;
    spans->items = items;
    spans->items[spans->count++] = *span;
    spans->damaged |= span->damaged;
    return STORE_OK;
}

static int compare(const void *left, const void *right) {
    const struct span *a = left, *b = right;
    return (a->born > b->born) - (a->born < b->born);
}

static int read_spans(struct verify *verify, uint64_t oid, struct spans *spans) {
    struct value value = value_integer(oid);
    sqlite3_stmt *statement;
    spans->oid = oid;
    spans->as_of = verify->last_seq;
    spans->count = 0;
    spans->damaged = false;
    int rc = statement_get(verify->reader, STATEMENT_NAMES_OF_OBJECT, &value, 1, &statement);
    while (rc == STORE_OK && (rc = statement_step(verify->reader, statement)) == STORE_OK) {
        struct entry_row row;
        bool living = column_value(statement, 6).kind == VALUE_NULL;
        rc = entry_row_decode(verify->reader, statement, &row);
        struct span span = {.born = column_integer(statement, 5),
                            .died = living ? UINT64_MAX : column_integer(statement, 6),
                            .parent = column_integer(statement, 0),
                            .damaged = rc == STORE_CORRUPT};
        if (rc == STORE_OK || rc == STORE_CORRUPT)
            rc = add_span(spans, &span);
    }
    statement_reset(statement);
    if (rc != STORE_ABSENT)
        return rc;
    if (spans->count > 0)
        qsort(spans->items, spans->count, sizeof *spans->items, compare);
    uint64_t latest = 0;
    for (size_t i = 0; i < spans->count; i++) {
        latest = spans->items[i].died > latest ? spans->items[i].died : latest;
        spans->items[i].latest = latest;
    }
    return STORE_OK;
}

/* Those that are in `read`, in the place of others. */
static struct spans *keep(struct verify_names *names) {
    struct spans *slot = &names->kept[names->read.oid % SLOTS];
    release(names, slot);
    for (size_t i = 0; i < SLOTS && names->total + names->read.count > KEPT_MOST; i++)
        release(names, &names->kept[i]);
    *slot = names->read;
    names->total += slot->count;
    names->read = (struct spans){0};
    return slot;
}

static int find_spans(struct verify *verify, uint64_t oid, uint64_t before, const struct spans **found) {
    struct verify_names *names = verify->names;
    struct spans *slot = &names->kept[oid % SLOTS];
    *found = slot;
    if (slot->oid == oid && before <= slot->as_of + 1)
        return STORE_OK;
    int rc = read_spans(verify, oid, &names->read);
    *found = &names->read;
    if (rc == STORE_OK && (names->read.count >= KEPT_LEAST || names->read.damaged)) /* damage is logged once then */
        *found = keep(names);
    return rc;
}

/* How many began before. */
static size_t count_begun(const struct spans *spans, uint64_t before) {
    size_t low = 0, high = spans->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (spans->items[middle].born < before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int verify_parents(struct verify *verify, uint64_t oid, uint64_t before, const uint64_t **parents, size_t *count,
                   bool *damaged) {
    const struct spans *spans;
    *parents = NULL;
    *count = 0;
    *damaged = false;
    if (!verify->names && !(verify->names = calloc(1, sizeof *verify->names)))
        return STORE_NO_MEMORY;
    struct verify_names *names = verify->names;
    int rc = find_spans(verify, oid, before, &spans);
    for (size_t i = rc == STORE_OK ? count_begun(spans, before) : 0; i > 0 && spans->items[i - 1].latest >= before;
         i--) {
        const struct span *span = &spans->items[i - 1];
        if (span->died < before)
            continue;
        *damaged |= span->damaged;
        uint64_t *grown = array_grow(names->parents, &names->capacity, *count, sizeof *names->parents);
        if (!grown)
            return STORE_NO_MEMORY;
        names->parents = grown;
        names->parents[(*count)++] = span->parent;
    }
    *parents = names->parents;
    if (rc == STORE_OK)
        rc = connection_check_horizon(verify->reader, before);
    if (rc == STORE_CORRUPT || rc == STORE_PACKED) { /* what was packed away may be incomplete */
        *damaged = true;
        rc = STORE_OK;
    }
    return rc;
}
