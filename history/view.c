/* Looking at the tree of a view: directories, and what their entries lead to.
 *
 * A view before the first commit has nothing in the store. Its root is made up here; it is the only directory there is.
 */
#include "history/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "history/view_private.h"
#include "store/tid.h"

/* For an entry whose attributes cannot be read: no revision's id has this bit. */
#define INO_UNREADABLE (UINT64_C(1) << 60)
#define READDIR_PART   1024 /* entries of a large directory that are read at a time */

int view_error(int code) {
    return -store_error_errno(code);
}

uint64_t view_before(const struct view *view) {
    return view->before;
}

uint64_t view_tid(const struct view *view) {
    return view->tid;
}

/* ---- attributes ---- */

void view_attr_set(struct view_attr *attr, const struct inode_version *inode) {
    const struct inode_record *record = &inode->record;

    memset(attr, 0, sizeof *attr);
    attr->oid = inode->oid;
    attr->revision = inode->revision;
    attr->stat.st_mode = record->mode;
    attr->stat.st_nlink = record->nlink;
    attr->stat.st_uid = record->uid;
    attr->stat.st_gid = record->gid;
    attr->stat.st_rdev = record->rdev;
    attr->stat.st_size = (off_t)record->size;
    attr->stat.st_blksize = BODY_MAX;
    attr->stat.st_blocks = (blkcnt_t)(record->allocated / 512 + (record->allocated % 512 != 0));
    attr->stat.st_atim = record->atime;
    attr->stat.st_mtim = record->mtime;
    attr->stat.st_ctim = record->ctime;
}

static void set_ino(struct view_attr *attr, uint64_t ino) {
    attr->ino = ino;
    attr->stat.st_ino = ino;
}

static void set_empty_root(struct view_attr *attr) {
    memset(attr, 0, sizeof *attr);
    attr->oid = ROOT_OID;
    attr->stat.st_mode = S_IFDIR | 0555;
    attr->stat.st_nlink = 2;
    attr->stat.st_blksize = BODY_MAX;
    set_ino(attr, VIEW_INO_DIRECTORY);
}

static bool is_before_everything(const struct view *view) {
    return view->before == 1;
}

static int set_attr(struct view *view, const struct inode_version *inode, struct view_attr *attr) {
    view_attr_set(attr, inode);
    if (!S_ISDIR(inode->record.mode)) {
        set_ino(attr, VIEW_INO_FILE | inode->revision);
        return 0;
    }
    struct subtree_version *subtree;
    int rc = store_subtree(view->store, inode->oid, view->before, &subtree);
    if (rc != STORE_OK) {
        /* A directory has a mark from its birth on. */
        return rc == STORE_ABSENT ? -EIO : view_error(rc);
    }
    set_ino(attr, VIEW_INO_DIRECTORY | subtree->subtree.id);
    store_release(view->store, subtree);
    if (inode->oid == ROOT_OID) {
        attr->stat.st_mtim = tid_to_time(view->tid);
        attr->stat.st_ctim = attr->stat.st_mtim;
    }
    return 0;
}

static int getattr(struct view *view, uint64_t oid, struct view_attr *attr) {
    if (is_before_everything(view)) {
        if (oid != ROOT_OID) {
            return -ENOENT;
        }
        set_empty_root(attr);
        return 0;
    }
    struct inode_version *inode;
    int rc = store_inode(view->store, oid, view->before, &inode);
    if (rc != STORE_OK) {
        return view_error(rc);
    }
    rc = set_attr(view, inode, attr);
    store_release(view->store, inode);
    return rc;
}

int view_getattr(struct view *view, uint64_t oid, struct view_attr *attr) {
    storage_begin_reads(store_storage(view->store));
    int rc = getattr(view, oid, attr);
    storage_end_reads(store_storage(view->store));
    return rc;
}

/* As view_getattr, of an object that an entry leads to: it must be there. */
static int get_entry_attr(struct view *view, uint64_t directory, uint64_t oid, struct view_attr *attr) {
    int rc = getattr(view, oid, attr);
    if (rc == -ENOENT) {
        log_write(store_log(view->store), LOG_LEVEL_ERROR,
                  "%s: directory %" PRIu64 " leads to object %" PRIu64
                  ", which does not exist before transaction %" PRIu64,
                  store_directory(view->store), directory, oid, view->before);
        return -EIO;
    }
    return rc;
}

int view_lookup(struct view *view, uint64_t directory, const char *name, size_t length, struct view_attr *attr) {
    uint64_t oid;
    uint32_t type;

    if (length > NAME_BYTES_MAX) {
        return -ENAMETOOLONG;
    }
    if (is_before_everything(view) || length == 0) {
        return -ENOENT;
    }
    storage_begin_reads(store_storage(view->store));
    int rc = store_lookup(view->store, directory, name, length, view->before, &oid, &type);
    rc = rc != STORE_OK ? view_error(rc) : get_entry_attr(view, directory, oid, attr);
    storage_end_reads(store_storage(view->store));
    return rc;
}

int view_parent(struct view *view, uint64_t directory, uint64_t *parent) {
    if (directory == ROOT_OID) {
        *parent = ROOT_OID;
        return 0;
    }
    if (is_before_everything(view)) {
        return -ENOENT;
    }
    struct inode_version *inode;
    int rc = store_inode(view->store, directory, view->before, &inode);
    if (rc != STORE_OK) {
        return view_error(rc);
    }
    rc = S_ISDIR(inode->record.mode) ? 0 : -ENOTDIR;
    *parent = inode->record.parent;
    store_release(view->store, inode);
    return rc;
}

int view_walk(struct view *view, const char *path, struct view_attr *attr) {
    int rc = view_getattr(view, ROOT_OID, attr);

    while (rc == 0) {
        path += strspn(path, "/");
        size_t length = strcspn(path, "/");
        if (length == 0) {
            return 0;
        }
        rc = S_ISDIR(attr->stat.st_mode) ? view_lookup(view, attr->oid, path, length, attr) : -ENOTDIR;
        path += length;
    }
    return rc;
}

/* ---- listing ---- */

/* The position of the first entry with index >= from. */
static size_t first_from(const struct entry_list *list, uint64_t from) {
    size_t low = 0;
    size_t high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->items[middle].index < from) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* False: `emit` has had enough. */
static bool emit_entry(struct view *view, const struct entry *item, bool with_attr,
                       bool (*emit)(void *context, const struct view_entry *entry), void *context) {
    struct view_attr attr;
    bool readable = get_entry_attr(view, item->parent, item->oid, &attr) == 0;
    const struct view_entry entry = {
        .name = item->name,
        .length = item->name_length,
        .index = item->index,
        .oid = item->oid,
        .ino = readable ? attr.ino : VIEW_INO_FILE | INO_UNREADABLE | item->oid,
        .type = item->type,
        .attr = readable && with_attr ? &attr : NULL,
    };
    return emit(context, &entry);
}

static int readdir_in_parts(struct view *view, uint64_t directory, uint64_t from, bool with_attr,
                            bool (*emit)(void *context, const struct view_entry *entry), void *context) {
    for (;;) {
        struct entry_list part;
        int rc = store_list_part(view->store, directory, view->before, from, READDIR_PART, &part);
        if (rc != STORE_OK) {
            return view_error(rc);
        }
        bool more = part.count == READDIR_PART;
        for (size_t i = 0; i < part.count; i++) {
            from = part.items[i].index + 1;
            if (!emit_entry(view, &part.items[i], with_attr, emit, context)) {
                more = false;
                break;
            }
        }
        entry_list_release(&part);
        if (!more) {
            return 0;
        }
    }
}

static int read_directory(struct view *view, uint64_t directory, uint64_t from, bool with_attr,
                          bool (*emit)(void *context, const struct view_entry *entry), void *context) {
    if (is_before_everything(view)) {
        return directory == ROOT_OID ? 0 : -ENOENT;
    }
    struct inode_version *inode;
    int rc = store_inode(view->store, directory, view->before, &inode);
    if (rc != STORE_OK) {
        return view_error(rc);
    }
    bool large = store_list_is_large(view->store, inode->record.size);
    store_release(view->store, inode);
    if (large) {
        return readdir_in_parts(view, directory, from, with_attr, emit, context);
    }
    struct list_version *list;
    rc = store_list(view->store, directory, view->before, &list);
    if (rc != STORE_OK) {
        return view_error(rc);
    }
    for (size_t i = first_from(&list->list, from); i < list->list.count; i++) {
        if (!emit_entry(view, &list->list.items[i], with_attr, emit, context)) {
            break;
        }
    }
    store_release(view->store, list);
    return 0;
}

int view_readdir(struct view *view, uint64_t directory, uint64_t from, bool with_attr,
                 bool (*emit)(void *context, const struct view_entry *entry), void *context) {
    storage_begin_reads(store_storage(view->store));
    int rc = read_directory(view, directory, from, with_attr, emit, context);
    storage_end_reads(store_storage(view->store));
    return rc;
}

/* ---- extended attributes ---- */

static int copy_out(const void *data, size_t data_length, void *value, size_t size, size_t *length) {
    *length = data_length;
    if (size == 0) {
        return 0;
    }
    if (size < data_length) {
        return -ERANGE;
    }
    if (data_length > 0) {
        memcpy(value, data, data_length);
    }
    return 0;
}

/* The names that tidfs itself answers; they are not listed, so that nothing copies them. 1: not one of them. */
static int get_virtual(const struct view_xattr_source *source, const char *name, void *value, size_t size,
                       size_t *length) {
    char text[TID_TIME_TEXT_SIZE];

    if (strcmp(name, "tidfs.tid") == 0) {
        struct transaction transaction;
        int rc = storage_transaction_at(store_storage(source->store), source->seq, &transaction);
        if (rc != STORE_OK) {
            return rc == STORE_ABSENT ? -EIO : view_error(rc);
        }
        tid_format(transaction.tid, text);
        transaction_release(&transaction);
    } else if (strcmp(name, "tidfs.oid") == 0) {
        (void)snprintf(text, sizeof text, "%" PRIu64, source->inode->oid);
    } else if (strcmp(name, "tidfs.created") == 0) {
        tid_format_time(source->inode->record.btime, text);
    } else {
        return 1;
    }
    return copy_out(text, strlen(text), value, size, length);
}

int view_xattr_get(const struct view_xattr_source *source, const char *name, void *value, size_t size, size_t *length) {
    int rc = get_virtual(source, name, value, size, length);
    if (rc <= 0) {
        return rc;
    }
    if (!source->inode->record.has_xattrs) {
        return -ENODATA;
    }
    struct xattrs_version *xattrs;
    rc = store_xattrs(source->store, source->inode->oid, source->before, &xattrs);
    if (rc != STORE_OK) {
        return rc == STORE_ABSENT ? -EIO : view_error(rc);
    }
    const struct xattr *item = xattr_set_find(&xattrs->set, name);
    rc = item == NULL ? -ENODATA : copy_out(item->value, item->length, value, size, length);
    store_release(source->store, xattrs);
    return rc;
}

static int copy_names(const struct xattr_set *set, char *list, size_t size, size_t *length) {
    size_t total = 0;
    for (size_t i = 0; i < set->count; i++) {
        size_t bytes = strlen(set->items[i].name) + 1;
        if (size > 0) {
            if (bytes > size - total) {
                return -ERANGE;
            }
            memcpy(list + total, set->items[i].name, bytes);
        }
        total += bytes;
    }
    *length = total;
    return 0;
}

int view_xattr_list(const struct view_xattr_source *source, char *list, size_t size, size_t *length) {
    *length = 0;
    if (!source->inode->record.has_xattrs) {
        return 0;
    }
    struct xattrs_version *xattrs;
    int rc = store_xattrs(source->store, source->inode->oid, source->before, &xattrs);
    if (rc != STORE_OK) {
        return rc == STORE_ABSENT ? -EIO : view_error(rc);
    }
    rc = copy_names(&xattrs->set, list, size, length);
    store_release(source->store, xattrs);
    return rc;
}

/* What a directory's attributes are read from; store_release gives source->inode back. */
static int open_xattrs(struct view *view, uint64_t oid, struct inode_version **inode,
                       struct view_xattr_source *source) {
    int rc = store_inode(view->store, oid, view->before, inode);
    if (rc != STORE_OK) {
        return view_error(rc);
    }
    *source = (struct view_xattr_source){
        .store = view->store, .inode = *inode, .before = view->before, .seq = (*inode)->cached.from};
    if (!S_ISDIR((*inode)->record.mode)) {
        return 0;
    }
    struct subtree_version *subtree;
    rc = store_subtree(view->store, oid, view->before, &subtree);
    if (rc != STORE_OK) {
        store_release(view->store, *inode);
        return rc == STORE_ABSENT ? -EIO : view_error(rc);
    }
    source->seq = subtree->subtree.seq;
    store_release(view->store, subtree);
    return 0;
}

int view_getxattr(struct view *view, uint64_t oid, const char *name, void *value, size_t size, size_t *length) {
    if (is_before_everything(view)) {
        return oid == ROOT_OID ? -ENODATA : -ENOENT;
    }
    struct inode_version *inode;
    struct view_xattr_source source;
    int rc = open_xattrs(view, oid, &inode, &source);
    if (rc == 0) {
        rc = view_xattr_get(&source, name, value, size, length);
        store_release(view->store, inode);
    }
    return rc;
}

int view_listxattr(struct view *view, uint64_t oid, char *list, size_t size, size_t *length) {
    *length = 0;
    if (is_before_everything(view)) {
        return oid == ROOT_OID ? 0 : -ENOENT;
    }
    struct inode_version *inode;
    struct view_xattr_source source;
    int rc = open_xattrs(view, oid, &inode, &source);
    if (rc == 0) {
        rc = view_xattr_list(&source, list, size, length);
        store_release(view->store, inode);
    }
    return rc;
}
