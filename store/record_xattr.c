/* Extended attributes, the set and its record: see store/record.h for what it holds, store/RECORDS.md for its bytes. */
#include "store/record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/bytes.h"
#include "store/error.h"

#define XATTR_RECORD_VERSION 1

#define XATTR_BYTES_MIN 3 /* two lengths and a name of one byte */

int xattr_set_encode(const struct xattr_set *set, uint8_t **data, size_t *length) {
    struct byte_writer writer;
    byte_writer_init(&writer);
    byte_writer_byte(&writer, XATTR_RECORD_VERSION);
    byte_writer_number(&writer, set->count);
    for (size_t i = 0; i < set->count; i++) {
        const struct xattr *item = &set->items[i];
        size_t name_length = strlen(item->name);
        assert(name_length >= 1 && name_length <= NAME_BYTES_MAX && item->length <= XATTR_VALUE_MAX);
        assert(i == 0 || strcmp(set->items[i - 1].name, item->name) < 0);
        byte_writer_number(&writer, name_length);
        byte_writer_bytes(&writer, item->name, name_length);
        byte_writer_number(&writer, item->length);
        byte_writer_bytes(&writer, item->value, item->length);
        if (writer.length > XATTR_SET_MAX) {
            free(writer.data);
            return STORE_TOO_BIG;
        }
    }
    return byte_writer_finish(&writer, data, length);
}

/* Makes an item with copies of its own. Out of memory: false, and nothing to free. */
static bool xattr_init(struct xattr *item, const void *name, size_t name_length, const void *value, size_t length) {
    *item = (struct xattr){.name = malloc(name_length + 1), .length = length};
    if (!item->name)
        return false;
    memcpy(item->name, name, name_length);
    item->name[name_length] = '\0';
    if (length > 0) {
        item->value = malloc(length);
        if (!item->value) {
            free(item->name);
            return false;
        }
        memcpy(item->value, value, length);
    }
    return true;
}

static void xattr_release(struct xattr *item) {
    free(item->name);
    free(item->value);
}

/* Reads one attribute, whose name must come after `previous` (NULL: none). */
static int read_xattr(struct byte_reader *reader, const char *previous, struct xattr *item) {
    size_t name_length = (size_t)byte_reader_number(reader, NAME_BYTES_MAX);
    const uint8_t *name = byte_reader_bytes(reader, name_length);
    size_t length = (size_t)byte_reader_number(reader, XATTR_VALUE_MAX);
    const uint8_t *value = byte_reader_bytes(reader, length);
    if (reader->failed || name_length == 0 || memchr(name, '\0', name_length))
        return STORE_CORRUPT;
    if (!xattr_init(item, name, name_length, value, length))
        return STORE_NO_MEMORY;
    if (previous && strcmp(previous, item->name) >= 0) {
        xattr_release(item);
        return STORE_CORRUPT;
    }
    return STORE_OK;
}

int xattr_set_decode(const uint8_t *data, size_t length, struct xattr_set *set) {
    if (length > XATTR_SET_MAX)
        return STORE_CORRUPT;
    struct byte_reader reader;
    byte_reader_init(&reader, data, length);
    if (byte_reader_byte(&reader) != XATTR_RECORD_VERSION)
        return STORE_CORRUPT;
    size_t count = (size_t)byte_reader_number(&reader, byte_reader_left(&reader) / XATTR_BYTES_MIN);
    if (reader.failed)
        return STORE_CORRUPT;

    struct xattr_set result = {0};
    int rc;
    if (count > 0) {
        result.items = malloc(count * sizeof *result.items);
        if (!result.items)
            return STORE_NO_MEMORY;
    }
    for (; result.count < count; result.count++) {
        const char *previous = result.count > 0 ? result.items[result.count - 1].name : NULL;
        rc = read_xattr(&reader, previous, &result.items[result.count]);
        if (rc < 0)
            goto out;
    }
    rc = byte_reader_finish(&reader);
out:
    if (rc < 0)
        xattr_set_release(&result);
    else
        *set = result;
    return rc;
}

void xattr_set_release(struct xattr_set *set) {
    for (size_t i = 0; i < set->count; i++)
        xattr_release(&set->items[i]);
    free(set->items);
    *set = (struct xattr_set){0};
}

/* The position of `name`, or where it would be inserted. */
static size_t position_of(const struct xattr_set *set, const char *name, bool *found) {
    size_t low = 0, high = set->count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(set->items[middle].name, name);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct xattr *xattr_set_find(const struct xattr_set *set, const char *name) {
    bool found;
    size_t position = position_of(set, name, &found);
    return found ? &set->items[position] : NULL;
}

int xattr_set_put(struct xattr_set *set, const char *name, const void *value, size_t length) {
    size_t name_length = strlen(name);
    if (name_length == 0)
        return STORE_INVALID;
    if (name_length > NAME_BYTES_MAX || length > XATTR_VALUE_MAX)
        return STORE_TOO_BIG;
    struct xattr item;
    if (!xattr_init(&item, name, name_length, value, length))
        return STORE_NO_MEMORY;

    bool found;
    size_t position = position_of(set, name, &found);
    if (found) {
        xattr_release(&set->items[position]);
        set->items[position] = item;
        return STORE_OK;
    }
    struct xattr *items = realloc(set->items, (set->count + 1) * sizeof *items);
    if (!items) {
        xattr_release(&item);
        return STORE_NO_MEMORY;
    }
    set->items = items;
    memmove(&items[position + 1], &items[position], (set->count - position) * sizeof *items);
    items[position] = item;
    set->count++;
    return STORE_OK;
}

int xattr_set_remove(struct xattr_set *set, const char *name) {
    bool found;
    size_t position = position_of(set, name, &found);
    if (!found)
        return STORE_ABSENT;
    xattr_release(&set->items[position]);
    set->count--;
    memmove(&set->items[position], &set->items[position + 1], (set->count - position) * sizeof *set->items);
    return STORE_OK;
}

int xattr_set_copy(const struct xattr_set *set, struct xattr_set *copy) {
    struct xattr_set result = {0};
    if (set->count > 0) {
        result.items = malloc(set->count * sizeof *result.items);
        if (!result.items)
            return STORE_NO_MEMORY;
    }
    for (; result.count < set->count; result.count++) {
        const struct xattr *item = &set->items[result.count];
        if (!xattr_init(&result.items[result.count], item->name, strlen(item->name), item->value, item->length)) {
            xattr_set_release(&result);
            return STORE_NO_MEMORY;
        }
    }
    *copy = result;
    return STORE_OK;
}
