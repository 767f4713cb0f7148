/* What is lost when the head is closed and its last commit failed: told in the log by path, while it is known. */
#include <inttypes.h>
#include <string.h>

#include "store/head_private.h"

#define TOLD_MAX  20
#define DEPTH_MAX 256 /* of directories shown; a damaged store may have a circle */

/* Where an object is found: the directory and the name, in `name` of NAME_BYTES_MAX bytes. */
static bool find_name(struct head *head, uint64_t oid, uint64_t *parent, char *name, size_t *length) {
    for (size_t i = 0; i < head->added_count; i++) {
        const struct dentry *dentry = head->added[i].dentry;
        if (!dentry || dentry->oid != oid)
            continue;
        *parent = head->added[i].parent->oid;
        *length = dentry->name_length;
        memcpy(name, dentry->name, *length);
        return true;
    }
    struct entry_list links;
    if (storage_links(store_storage(head->store), oid, head->last_seq + 1, &links) != STORE_OK)
        return false;
    bool found = links.count > 0;
    if (found) {
        *parent = links.items[0].parent;
        *length = links.items[0].name_length;
        memcpy(name, links.items[0].name, *length);
    }
    entry_list_release(&links);
    return found;
}

/* Where in `text` the path begins; what does not fit, or is not known, is left out at the front. */
static const char *path_in_head(struct head *head, uint64_t oid, char *text, size_t size) {
    char name[NAME_BYTES_MAX];
    char *start = text + size - 1;
    *start = '\0';
    for (int depth = 0; oid != ROOT_OID && depth < DEPTH_MAX; depth++) {
        uint64_t parent;
        size_t length;
        if (!find_name(head, oid, &parent, name, &length) || (size_t)(start - text) < length + 1)
            return start;
        start -= length;
        memcpy(start, name, length);
        *--start = '/';
        oid = parent;
    }
    return *start ? start : "/";
}

/* A directory changes with every name in it, which tells no more than that name. */
static bool tells(const struct object *object) {
    return !(object_is_directory(object) && object->stored && !object->gone);
}

void head_tell_lost(struct head *head) {
    const struct log *log = store_log(head->store);
    uint64_t telling = 0, told = 0;
    for (const struct object *object = head->dirty_first; object; object = object->dirty_next)
        telling += tells(object);
    for (const struct object *object = head->dirty_first; object; object = object->dirty_next) {
        char text[768];
        if (telling && !tells(object))
            continue;
        if (told++ == TOLD_MAX)
            break;
        log_write(log, LOG_LEVEL_ERROR, "lost: %s%s", object->gone ? "the removal of " : "what was written to ",
                  path_in_head(head, object->oid, text, sizeof text));
    }
    if (telling > TOLD_MAX)
        log_write(log, LOG_LEVEL_ERROR, "lost: changes of %" PRIu64 " more objects", telling - TOLD_MAX);
}
