#include <errno.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/tid.h"
#include "tests/model.h"

static bool same_time(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* ---- extended attributes ---- */

/* The value that the attribute must have; false if there must be none. */
static bool expected_xattr(const struct object *object, unsigned which, uint8_t *value, size_t *length) {
    const struct acl *acl = which == XATTRS ? &object->access : &object->inherited;
    if (which < XATTRS) {
        *length = object->xattrs[which].length;
        xattr_value(object->xattrs[which].length, object->xattrs[which].seed, value);
        return object->xattrs[which].set;
    }
    *length = acl_encode(acl, value);
    return acl->kind != ACL_NONE;
}

/* The names in their order; returns the length. */
static size_t expected_list(const struct object *object, char *list) {
    static const unsigned order[] = {0, XATTRS, XATTRS + 1, 1, 2, 3, 4, 6, 5}; /* byte order of xattr_names */
    size_t length = 0;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        unsigned which = order[i];
        bool set = which < XATTRS    ? object->xattrs[which].set
                   : which == XATTRS ? object->access.kind != ACL_NONE
                                     : object->inherited.kind != ACL_NONE;
        if (set)
            length += (size_t)(stpcpy(list + length, xattr_names[which]) - (list + length)) + 1;
    }
    return length;
}

/* Where an object is looked at: in the head if view is NULL; else in a view, non-directories by their revision. */
struct place {
    struct model *model;
    struct view *view;
    uint64_t oid, revision;
};

static int place_getxattr(const struct place *place, const char *name, void *value, size_t size, size_t *length) {
    if (!place->view)
        return head_getxattr(place->model->head, place->oid, name, value, size, length);
    if (place->revision)
        return view_file_getxattr(place->model->store, place->revision, name, value, size, length);
    return view_getxattr(place->view, place->oid, name, value, size, length);
}

static void compare_xattrs(const struct place *place, const struct object *object) {
    static uint8_t expected[XATTR_VALUE_MAX], found[XATTR_VALUE_MAX];
    struct model *model = place->model;
    char expected_names[1024], names[1024];
    size_t length = 0, expected_length = expected_list(object, expected_names);
    int rc = !place->view      ? head_listxattr(model->head, object->oid, names, sizeof names, &length)
             : place->revision ? view_file_listxattr(model->store, place->revision, names, sizeof names, &length)
                               : view_listxattr(place->view, object->oid, names, sizeof names, &length);
    want(model, rc == 0 && length == expected_length && memcmp(names, expected_names, length) == 0,
         "object %" PRIu64 " lists %zu bytes of attributes (%d), expected %zu", object->oid, length, rc,
         expected_length);
    for (unsigned which = 0; which < XATTRS + 2; which++) {
        bool set = expected_xattr(object, which, expected, &expected_length);
        rc = place_getxattr(place, xattr_names[which], found, sizeof found, &length);
        want(model, set ? rc == 0 && length == expected_length && memcmp(found, expected, length) == 0 : rc == -ENODATA,
             "object %" PRIu64 ": attribute %s is %zu bytes (%d), expected %zu (%d)", object->oid, xattr_names[which],
             length, rc, expected_length, set);
    }
}

/* ---- the head ---- */

void compare_attr(struct model *model, const struct object *object, const struct head_attr *attr) {
    want(model,
         attr->oid == object->oid && attr->mode == object->mode && attr->uid == object->uid &&
             attr->gid == object->gid && attr->nlink == object->nlink && attr->rdev == object->rdev &&
             attr->size == object->size,
         "object %" PRIu64 ": mode %o of %u:%u, %u links, rdev %" PRIx64 ", %" PRIu64
         " bytes; expected %o of %u:%u, %u, %" PRIx64 ", %" PRIu64,
         attr->oid, attr->mode, attr->uid, attr->gid, attr->nlink, attr->rdev, attr->size, object->mode, object->uid,
         object->gid, object->nlink, object->rdev, object->size);
    want(model,
         same_time(attr->atime, object->atime) && same_time(attr->mtime, object->mtime) &&
             same_time(attr->ctime, object->ctime) && same_time(attr->btime, object->btime),
         "object %" PRIu64 ": times %" PRId64 " %" PRId64 " %" PRId64 ", expected %" PRId64 " %" PRId64 " %" PRId64,
         object->oid, (int64_t)attr->atime.tv_sec, (int64_t)attr->mtime.tv_sec, (int64_t)attr->ctime.tv_sec,
         (int64_t)object->atime.tv_sec, (int64_t)object->mtime.tv_sec, (int64_t)object->ctime.tv_sec);
}

static void compare_head_content(struct model *model, const struct object *object) {
    size_t done, piece = 1 + model_random(model, model_one_in(model, 8) ? 1000 : CONTENT_MAX);
    uint64_t at = 0;
    while (at < object->size) {
        int rc = head_read(model->head, object->oid, at, piece, model->buffer, &done);
        want(model, rc == 0 && done == (piece < object->size - at ? piece : object->size - at),
             "object %" PRIu64 ": %zu bytes read at %" PRIu64 " (%d)", object->oid, done, at, rc);
        for (size_t i = 0; i < done; i++)
            want(model, model->buffer[i] == object->content->bytes[at + i],
                 "object %" PRIu64 ": byte %" PRIu64 " is %02x, expected %02x", object->oid, at + i, model->buffer[i],
                 object->content->bytes[at + i]);
        at += done;
        if (piece < 4096)
            piece += 4096;
    }
    int rc = head_read(model->head, object->oid, object->size, 10, model->buffer, &done);
    want(model, rc == 0 && done == 0, "object %" PRIu64 " can be read past its end (%d)", object->oid, rc);
}

static void compare_head_seek(struct model *model, const struct object *object) {
    struct head_attr attr;
    uint64_t offset = model_random(model, object->size + 2), found = UINT64_MAX;
    for (int hole = 0; hole < 2; hole++) {
        int rc = head_seek(model->head, object->oid, offset, hole ? SEEK_HOLE : SEEK_DATA, &found);
        uint64_t expected = object_seek(object, offset, hole);
        bool none = offset >= object->size || (!hole && expected == object->size);
        want(model, none ? rc == -ENXIO : rc == 0 && found == expected,
             "object %" PRIu64 ": next %s at %" PRIu64 " is %" PRIu64 " (%d), expected %" PRIu64, object->oid,
             hole ? "hole" : "data", offset, found, rc, expected);
    }
    want(model, head_getattr(model->head, object->oid, &attr) == 0 && attr.allocated == object_allocated(object),
         "object %" PRIu64 ": %" PRIu64 " bytes allocated, expected %" PRIu64, object->oid, attr.allocated,
         object_allocated(object));
}

/* What is to come of a directory. */
struct listing {
    struct model *model;
    const struct object *directory;
    uint32_t left;
    uint64_t last_index;
};

static bool next_entry(void *context, const struct head_entry *entry) {
    struct listing *listing = context;
    struct model *model = listing->model;
    char text[NAME_BYTES_MAX + 1];
    want(model, listing->left > 0, "directory %" PRIu64 " lists too much", listing->directory->oid);
    const struct name *name = &listing->directory->names->items[--listing->left];
    size_t length = name_text(name->id, text);
    const struct object *object = tree_find(&model->tree, name->oid);
    want(model,
         entry->index < listing->last_index && entry->length == length && memcmp(entry->name, text, length) == 0 &&
             entry->oid == name->oid && entry->type == (object->mode & S_IFMT),
         "directory %" PRIu64 " lists object %" PRIu64 " where %" PRIu64 " is expected", listing->directory->oid,
         entry->oid, name->oid);
    listing->last_index = entry->index;
    return true;
}

static void compare_head_directory(struct model *model, const struct object *object) {
    struct listing listing = {model, object, object->names->count, UINT64_MAX};
    struct head_attr attr;
    uint64_t parent = 0;
    if (object->gone)
        return;
    int rc = head_readdir(model->head, object->oid, UINT64_MAX, next_entry, &listing);
    want(model, rc == 0 && listing.left == 0, "directory %" PRIu64 " lists %" PRIu32 " too few (%d)", object->oid,
         listing.left, rc);
    rc = head_parent(model->head, object->oid, &parent);
    want(model, rc == 0 && parent == object->parent, "directory %" PRIu64 " is in %" PRIu64 " (%d)", object->oid,
         parent, rc);
    char text[NAME_BYTES_MAX + 1];
    uint32_t id = (uint32_t)model_random(model, NAMES);
    const struct object *entry = tree_lookup(&model->tree, object, id);
    rc = head_lookup(model->head, object->oid, text, name_text(id, text), &attr);
    want(model, rc == (entry ? 0 : -ENOENT), "directory %" PRIu64 ": name %" PRIu32 " is looked up: %d", object->oid,
         id, rc);
    if (entry) {
        compare_attr(model, entry, &attr);
        head_forget(model->head, attr.oid, 1);
    }
}

void compare_object(struct model *model, const struct object *object) {
    struct head_attr attr;
    int rc = head_getattr(model->head, object->oid, &attr);
    want(model, rc == 0, "object %" PRIu64 ": attributes: %d", object->oid, rc);
    compare_attr(model, object, &attr);
    compare_xattrs(&(struct place){.model = model, .oid = object->oid}, object);
    if (S_ISDIR(object->mode))
        compare_head_directory(model, object);
    if (S_ISREG(object->mode)) {
        compare_head_content(model, object);
        compare_head_seek(model, object);
    }
    if (S_ISLNK(object->mode)) {
        char expected[SYMLINK_BYTES_MAX + 1], found[SYMLINK_BYTES_MAX + 1];
        size_t length = 0, expected_length = target_text(object->target, expected);
        rc = head_readlink(model->head, object->oid, found, sizeof found, &length);
        want(model, rc == 0 && length == expected_length && memcmp(found, expected, length) == 0,
             "symlink %" PRIu64 " has another target (%d)", object->oid, rc);
    }
}

void compare_head(struct model *model) {
    for (size_t i = 0; i < model->tree.count; i++)
        compare_object(model, &model->tree.objects[i]);
}

/* ---- views ---- */

static void compare_stat(struct model *model, const struct instant *instant, const struct version *version,
                         const struct view_attr *attr) {
    const struct object *object = &version->object;
    const struct stat *stat = &attr->stat;
    bool root = object->oid == ROOT_OID;
    struct timespec mtime = root ? tid_to_time(instant->tid) : object->mtime;
    struct timespec ctime = root ? mtime : object->ctime;
    want(model,
         attr->oid == object->oid && stat->st_ino == attr->ino && stat->st_mode == object->mode &&
             stat->st_nlink == object->nlink && stat->st_uid == object->uid && stat->st_gid == object->gid &&
             stat->st_rdev == object->rdev && (uint64_t)stat->st_size == object->size &&
             (uint64_t)stat->st_blocks == (version->allocated + 511) / 512,
         "instant %" PRIu64 ": object %" PRIu64 " is %" PRIu64 ", mode %o, %zu links, %" PRIu64 " bytes, %" PRIu64
         " blocks; expected %o, %u, %" PRIu64 ", %" PRIu64 " allocated",
         instant->seq, object->oid, attr->oid, stat->st_mode, (size_t)stat->st_nlink, (uint64_t)stat->st_size,
         (uint64_t)stat->st_blocks, object->mode, object->nlink, object->size, version->allocated);
    want(model,
         same_time(stat->st_mtim, mtime) && same_time(stat->st_ctim, ctime) && same_time(stat->st_atim, object->atime),
         "instant %" PRIu64 ": object %" PRIu64 ": times %" PRId64 " %" PRId64 " %" PRId64 ", expected %" PRId64
         " %" PRId64 " %" PRId64,
         instant->seq, object->oid, (int64_t)stat->st_atim.tv_sec, (int64_t)stat->st_mtim.tv_sec,
         (int64_t)stat->st_ctim.tv_sec, (int64_t)object->atime.tv_sec, (int64_t)mtime.tv_sec, (int64_t)ctime.tv_sec);
}

/* Bytes, and which of them are data, by their sums. */
static void compare_version_content(struct model *model, const struct version *version) {
    const struct object *object = &version->object;
    uint64_t at = 0, next, revision = version->revision;
    size_t done = 0, piece = 1 + model_random(model, CONTENT_MAX);
    int rc = 0;
    for (; at < object->size && rc == 0; at += done) {
        rc = view_file_read(model->store, revision, at, piece, model->buffer + at, &done);
        want(model, rc == 0 && done == (piece < object->size - at ? piece : object->size - at),
             "version %" PRIu64 " of object %" PRIu64 ": %zu bytes read at %" PRIu64 " (%d)", version->seq, object->oid,
             done, at, rc);
    }
    want(model, XXH3_64bits(model->buffer, object->size) == version->content_sum,
         "version %" PRIu64 " of object %" PRIu64 ": another content", version->seq, object->oid);
    memset(model->buffer, 0, object->size);
    for (at = 0; (rc = view_file_seek(model->store, revision, at, SEEK_DATA, &next)) == 0; at = next) {
        uint64_t start = next;
        rc = view_file_seek(model->store, revision, start, SEEK_HOLE, &next);
        want(model, rc == 0 && start >= at && next > start && next <= object->size,
             "version %" PRIu64 " of object %" PRIu64 ": data at %" PRIu64 " up to %" PRIu64 " (%d)", version->seq,
             object->oid, start, next, rc);
        memset(model->buffer + start, 1, next - start);
    }
    want(model, rc == -ENXIO && XXH3_64bits(model->buffer, object->size) == version->data_sum,
         "version %" PRIu64 " of object %" PRIu64 ": other holes (%d)", version->seq, object->oid, rc);
}

static void compare_tid(const struct place *place, const struct instant *instant, uint64_t seq) {
    struct model *model = place->model;
    char expected[TID_TEXT_SIZE], found[64] = "";
    size_t length = 0;
    tid_format(model->history.items[seq - 1].tid, expected);
    int rc = place_getxattr(place, "tidfs.tid", found, sizeof found - 1, &length);
    want(model, rc == 0 && length == strlen(expected) && memcmp(found, expected, length) == 0,
         "instant %" PRIu64 ": object %" PRIu64 " is of %.16s (%d), expected %s", instant->seq, place->oid, found, rc,
         expected);
}

/* A non-directory that a view shows. A version has one revision wherever it is seen, so all that it has need be looked at once;
 * that no other version has it follows from its tid. */
static void compare_version(struct model *model, struct view *view, const struct instant *instant,
                            struct version *version, const struct view_attr *attr, bool again) {
    const struct object *object = &version->object;
    struct place place = {model, view, object->oid, attr->revision};
    compare_stat(model, instant, version, attr);
    want(model,
         attr->ino == (VIEW_INO_FILE | attr->revision) &&
             (version->revision == 0 || version->revision == attr->revision),
         "instant %" PRIu64 ": object %" PRIu64 " has another revision than before", instant->seq, object->oid);
    if (version->revision && !again)
        return;
    version->revision = attr->revision;
    compare_tid(&place, instant, version->seq);
    compare_xattrs(&place, object);
    if (S_ISREG(object->mode))
        compare_version_content(model, version);
    if (S_ISLNK(object->mode)) {
        char expected[SYMLINK_BYTES_MAX + 1], found[SYMLINK_BYTES_MAX + 1];
        size_t length = 0, expected_length = target_text(object->target, expected);
        int rc = view_file_readlink(model->store, attr->revision, found, sizeof found, &length);
        want(model, rc == 0 && length == expected_length && memcmp(found, expected, length) == 0,
             "instant %" PRIu64 ": symlink %" PRIu64 " has another target (%d)", instant->seq, object->oid, rc);
    }
}

struct view_listing {
    struct model *model;
    struct view *view;
    const struct instant *instant;
    struct version *directory;
    uint32_t next;
    uint64_t last_index;
    uint64_t newest; /* seq of what changed last in what was listed, all below included */
    uint64_t objects;
};

static uint64_t compare_view_directory(struct model *model, struct view *view, const struct instant *instant,
                                       struct version *version, const struct view_attr *attr, uint64_t *objects);

static bool next_view_entry(void *context, const struct view_entry *entry) {
    struct view_listing *listing = context;
    struct model *model = listing->model;
    const struct names *names = listing->directory->object.names;
    char text[NAME_BYTES_MAX + 1];
    want(model, listing->next < names->count, "instant %" PRIu64 ": directory %" PRIu64 " lists too much",
         listing->instant->seq, listing->directory->object.oid);
    const struct name *name = &names->items[listing->next++];
    struct version *version = instant_find(listing->instant, name->oid);
    size_t length = name_text(name->id, text);
    want(model,
         entry->index > listing->last_index && entry->length == length && memcmp(entry->name, text, length) == 0 &&
             entry->oid == name->oid && entry->attr && entry->ino == entry->attr->ino &&
             entry->type == (version->object.mode & S_IFMT),
         "instant %" PRIu64 ": directory %" PRIu64 " lists object %" PRIu64 " where %" PRIu64 " is expected",
         listing->instant->seq, listing->directory->object.oid, entry->oid, name->oid);
    listing->last_index = entry->index;
    uint64_t newest = version->seq;
    if (S_ISDIR(version->object.mode)) {
        newest =
            compare_view_directory(model, listing->view, listing->instant, version, entry->attr, &listing->objects);
    } else {
        compare_version(model, listing->view, listing->instant, version, entry->attr, false);
        listing->objects += version->object.nlink == 1; /* others are counted by nobody */
    }
    if (newest > listing->newest)
        listing->newest = newest;
    return true;
}

/* With all that is below. Returns the seq of the newest change in it: what identifies the directory. */
static uint64_t compare_view_directory(struct model *model, struct view *view, const struct instant *instant,
                                       struct version *version, const struct view_attr *attr, uint64_t *objects) {
    struct view_listing listing = {model, view, instant, version, 0, 0, version->seq, 0};
    struct place place = {model, view, version->object.oid, 0};
    uint64_t parent = 0;
    compare_stat(model, instant, version, attr);
    int rc = view_readdir(view, version->object.oid, 0, true, next_view_entry, &listing);
    want(model, rc == 0 && listing.next == version->object.names->count,
         "instant %" PRIu64 ": directory %" PRIu64 " lists %" PRIu32 " (%d)", instant->seq, version->object.oid,
         listing.next, rc);
    rc = view_parent(view, version->object.oid, &parent);
    want(model, rc == 0 && parent == version->object.parent,
         "instant %" PRIu64 ": directory %" PRIu64 " is in %" PRIu64 " (%d)", instant->seq, version->object.oid, parent,
         rc);
    /* Its number stays for as long as nothing below it changes, and no longer. */
    const struct instant *before = instant->seq > 1 ? instant - 1 : NULL;
    bool is_new = listing.newest == instant->seq;
    if (!is_new && before && model_one_in(model, 8)) {
        struct view *older;
        struct view_attr older_attr;
        want(model, view_pool_open(model->pool, before->seq + 1, &older) == 0, "a view of %" PRIu64, before->seq);
        rc = view_getattr(older, version->object.oid, &older_attr);
        want(model, rc == 0 && older_attr.ino == attr->ino,
             "instant %" PRIu64 ": directory %" PRIu64 " has another number, but nothing in it changed (%d)",
             instant->seq, version->object.oid, rc);
        view_pool_done(model->pool, older);
    }
    if (version->revision != listing.newest) {
        version->revision = listing.newest;
        compare_tid(&place, instant, listing.newest);
        compare_xattrs(&place, &version->object);
    }
    *objects += listing.objects + 1;
    return listing.newest;
}

void compare_view(struct model *model, struct view *view, const struct instant *instant) {
    struct view_attr attr;
    uint64_t objects = 0, linked = 0;
    struct version *root = instant_find(instant, ROOT_OID);
    want(model, view_before(view) == instant->seq + 1 && view_tid(view) == instant->tid,
         "the view of %" PRIu64 " is of another instant", instant->seq);
    int rc = view_getattr(view, ROOT_OID, &attr);
    want(model, rc == 0, "instant %" PRIu64 ": the root: %d", instant->seq, rc);
    (void)compare_view_directory(model, view, instant, root, &attr, &objects);
    for (size_t i = 0; i < instant->count; i++) {
        const struct object *object = &instant->versions[i]->object;
        linked += !S_ISDIR(object->mode) && object->nlink > 1;
    }
    want(model, objects + linked == instant->count, "instant %" PRIu64 " shows %" PRIu64 " objects, expected %zu",
         instant->seq, objects + linked, instant->count);
}

void compare_view_somewhere(struct model *model, struct view *view, const struct instant *instant) {
    struct version *version = instant_find(instant, ROOT_OID);
    char text[NAME_BYTES_MAX + 1];
    struct view_attr attr;
    int rc = view_getattr(view, ROOT_OID, &attr);
    want(model, rc == 0, "instant %" PRIu64 ": the root: %d", instant->seq, rc);
    while (S_ISDIR(version->object.mode) && !model_one_in(model, 6)) {
        const struct names *names = version->object.names;
        uint32_t id = (uint32_t)model_random(model, NAMES);
        uint64_t oid = 0;
        if (names->count && !model_one_in(model, 10))
            id = names->items[model_random(model, names->count)].id;
        for (uint32_t i = 0; i < names->count; i++)
            if (names->items[i].id == id)
                oid = names->items[i].oid;
        rc = view_lookup(view, version->object.oid, text, name_text(id, text), &attr);
        want(model, rc == (oid ? 0 : -ENOENT), "instant %" PRIu64 ": name %" PRIu32 " of directory %" PRIu64 ": %d",
             instant->seq, id, version->object.oid, rc);
        if (!oid)
            return;
        version = instant_find(instant, oid);
    }
    if (!S_ISDIR(version->object.mode)) {
        compare_version(model, view, instant, version, &attr, true);
        return;
    }
    compare_stat(model, instant, version, &attr);
    compare_xattrs(&(struct place){model, view, version->object.oid, 0}, &version->object);
}

static void compare_transaction(struct model *model, const struct instant *instant) {
    struct transaction transaction;
    char message[256] = "";
    if (instant->message)
        (void)message_text(instant->message, message);
    int rc = storage_transaction_at(store_storage(model->store), instant->seq, &transaction);
    want(model,
         rc == STORE_OK && transaction.seq == instant->seq && transaction.tid == instant->tid &&
             transaction.base == instant->seq - 1 && transaction.object_count == instant->objects &&
             same_time(transaction.wall, instant->wall) && strcmp(transaction.user, instant->user) == 0 &&
             strcmp(transaction.message, message) == 0,
         "transaction %" PRIu64 " is of %" PRIu64 " objects by %s: %s; expected %" PRIu64 " by %s: %s", instant->seq,
         rc == STORE_OK ? transaction.object_count : 0, rc == STORE_OK ? transaction.user : "",
         rc == STORE_OK ? transaction.message : store_error_text(rc), instant->objects, instant->user, message);
    transaction_release(&transaction);
}

void compare_all_instants(struct model *model) {
    /* The first transaction is store_create's. */
    for (size_t i = 0; i < model->history.count; i++) {
        const struct instant *instant = &model->history.items[i];
        struct view *view;
        if (i > 0)
            compare_transaction(model, instant);
        int rc = view_pool_open(model->pool, instant->seq + 1, &view);
        want(model, rc == 0, "a view of %" PRIu64 ": %d", instant->seq, rc);
        compare_view(model, view, instant);
        view_pool_done(model->pool, view);
    }
}

void compare_tags(struct model *model) {
    struct tag *tags;
    size_t count, expected = 0;
    int rc = storage_tag_list(store_storage(model->store), &tags, &count);
    want(model, rc == STORE_OK, "the tags: %s", store_error_text(rc));
    for (uint32_t i = 0; i < TAGS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "tag-%02" PRIu32, i);
        if (!model->tags[i].set)
            continue;
        want(model,
             expected < count && strcmp(tags[expected].name, name) == 0 && tags[expected].tid == model->tags[i].tid,
             "tag %s is missing or another", name);
        expected++;
    }
    want(model, expected == count, "%zu tags, expected %zu", count, expected);
    free(tags);
}
