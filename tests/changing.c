#include "tests/changing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FILES_MAX 4096

static const struct head_caller caller = {.uid = 1000, .gid = 1000, .umask = 022};

struct changing *changing_new(uint64_t seed) {
    struct changing *c = calloc(1, sizeof *c);
    struct error err = {0};
    const struct store_options options = {.writable = true};
    const struct head_options head_options = {.dirty_limit_bytes = UINT64_C(1) << 30};
    assert_non_null(c);
    c->random = seed * 2 + 1;
    c->clock = 1000000000;
    strcpy(c->directory, "/tmp/test_changing.XXXXXX");
    assert_non_null(mkdtemp(c->directory));
    if (store_create(c->directory, 1000, 1000, &err) != STORE_OK ||
        store_open(c->directory, &options, &c->store, &err) != STORE_OK ||
        head_open(c->store, &head_options, &c->head, &err) != STORE_OK)
        fail_msg("%s", err.text);
    return c;
}

void changing_free(struct changing *c) {
    char command[128];
    assert_int_equal(head_close(c->head), 0);
    store_close(c->store);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", c->directory);
    assert_int_equal(system(command), 0);
    free(c);
}

uint64_t changing_below(struct changing *c, uint64_t limit) {
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return (c->random >> 11) % limit;
}

/* ---- by path ---- */

/* The directory that holds `path`, and its last name. 0 if there is none. */
static uint64_t parent_of(struct changing *c, const char *path, const char **name) {
    uint64_t oid = ROOT_OID;
    const char *slash;
    for (; (slash = strchr(path, '/')); path = slash + 1) {
        struct head_attr attr;
        if (head_lookup(c->head, oid, path, (size_t)(slash - path), &attr))
            return 0;
        head_forget(c->head, attr.oid, 1);
        oid = attr.oid;
    }
    *name = path;
    return oid;
}

uint64_t changing_find(struct changing *c, const char *path) {
    struct head_attr attr;
    const char *name;
    if (!*path)
        return ROOT_OID;
    uint64_t parent = parent_of(c, path, &name);
    if (!parent || head_lookup(c->head, parent, name, strlen(name), &attr))
        return 0;
    head_forget(c->head, attr.oid, 1);
    return attr.oid;
}

static int make(struct changing *c, const char *path, uint32_t mode, const char *target, uint64_t *oid) {
    struct head_attr attr;
    const char *name;
    uint64_t parent = parent_of(c, path, &name);
    int rc = parent ? head_make(c->head, parent, name, strlen(name), mode,
                                S_ISCHR(mode) ? changing_below(c, 100) + makedev(1, 1) : 0, target, &caller, &attr)
                    : -ENOENT;
    if (rc == 0) {
        head_forget(c->head, attr.oid, 1);
        *oid = attr.oid;
    }
    return rc;
}

uint64_t changing_mkdir(struct changing *c, const char *path) {
    uint64_t oid = 0;
    assert_int_equal(make(c, path, S_IFDIR | 0755, NULL, &oid), 0);
    return oid;
}

uint64_t changing_symlink(struct changing *c, const char *path, const char *target) {
    uint64_t oid = 0;
    assert_int_equal(make(c, path, S_IFLNK | 0777, target, &oid), 0);
    return oid;
}

static void put(struct changing *c, uint64_t oid, uint64_t offset, const char *text) {
    size_t length = strlen(text);
    assert_int_equal(head_write(c->head, oid, offset, length, (const uint8_t *)text, false), length);
}

static void truncate_to(struct changing *c, uint64_t oid, uint64_t size) {
    struct head_attr set = {.size = size}, attr;
    assert_int_equal(head_setattr(c->head, oid, HEAD_SET_SIZE, &set, &attr), 0);
}

uint64_t changing_write(struct changing *c, const char *path, const char *text) {
    uint64_t oid = changing_find(c, path);
    if (oid)
        truncate_to(c, oid, 0);
    else
        assert_int_equal(make(c, path, S_IFREG | 0644, NULL, &oid), 0);
    put(c, oid, 0, text);
    return oid;
}

void changing_chmod(struct changing *c, const char *path, uint32_t mode) {
    struct head_attr set = {.mode = mode}, attr;
    assert_int_equal(head_setattr(c->head, changing_find(c, path), HEAD_SET_MODE, &set, &attr), 0);
}

void changing_chown(struct changing *c, const char *path, uint32_t uid, uint32_t gid) {
    struct head_attr set = {.uid = uid, .gid = gid}, attr;
    assert_int_equal(head_setattr(c->head, changing_find(c, path), HEAD_SET_UID | HEAD_SET_GID, &set, &attr), 0);
}

void changing_set_xattr(struct changing *c, const char *path, const char *name, const char *value) {
    uint64_t oid = changing_find(c, path);
    if (value)
        assert_int_equal(head_setxattr(c->head, oid, name, value, strlen(value), 0), 0);
    else
        assert_int_equal(head_removexattr(c->head, oid, name), 0);
}

static int try_link(struct changing *c, const char *path, const char *new_path) {
    struct head_attr attr;
    const char *name;
    uint64_t oid = changing_find(c, path), parent = parent_of(c, new_path, &name);
    int rc = oid && parent ? head_link(c->head, oid, parent, name, strlen(name), &attr) : -ENOENT;
    if (rc == 0)
        head_forget(c->head, attr.oid, 1);
    return rc;
}

void changing_link(struct changing *c, const char *path, const char *new_path) {
    assert_int_equal(try_link(c, path, new_path), 0);
}

static int try_rename(struct changing *c, const char *path, const char *new_path, unsigned flags) {
    const char *name, *new_name;
    uint64_t parent = parent_of(c, path, &name), new_parent = parent_of(c, new_path, &new_name);
    if (!parent || !new_parent)
        return -ENOENT;
    return head_rename(c->head, parent, name, strlen(name), new_parent, new_name, strlen(new_name), flags);
}

void changing_rename(struct changing *c, const char *path, const char *new_path, unsigned flags) {
    assert_int_equal(try_rename(c, path, new_path, flags), 0);
}

struct name_list {
    char (*names)[256];
    size_t count;
};

static bool take_name(void *context, const struct head_entry *entry) {
    struct name_list *list = context;
    if (list->count == 64)
        return false;
    memcpy(list->names[list->count], entry->name, entry->length);
    list->names[list->count++][entry->length] = '\0';
    return true;
}

/* With all that is in it. */
static int try_remove(struct changing *c, const char *path) {
    const char *name;
    uint64_t oid = changing_find(c, path), parent = parent_of(c, path, &name);
    struct head_attr attr;
    if (!oid || oid == ROOT_OID)
        return -ENOENT;
    assert_int_equal(head_getattr(c->head, oid, &attr), 0);
    if (!S_ISDIR(attr.mode))
        return head_unlink(c->head, parent, name, strlen(name));
    struct name_list list = {.names = calloc(64, 256)};
    assert_non_null(list.names);
    assert_int_equal(head_readdir(c->head, oid, UINT64_MAX, take_name, &list), 0);
    for (size_t i = 0; i < list.count; i++) {
        char below[1024];
        (void)snprintf(below, sizeof below, "%s/%s", path, list.names[i]);
        (void)try_remove(c, below);
    }
    free(list.names);
    return head_rmdir(c->head, parent, name, strlen(name));
}

void changing_remove(struct changing *c, const char *path) {
    assert_int_equal(try_remove(c, path), 0);
}

static int try_save(struct changing *c, const char *path, const char *text) {
    char temporary[600];
    uint64_t oid = 0;
    (void)snprintf(temporary, sizeof temporary, "%s.tmp", path);
    int rc = make(c, temporary, S_IFREG | 0640, NULL, &oid);
    if (rc < 0)
        return rc;
    put(c, oid, 0, text);
    rc = try_rename(c, temporary, path, 0);
    if (rc < 0)
        (void)try_remove(c, temporary);
    return rc;
}

void changing_save(struct changing *c, const char *path, const char *text) {
    assert_int_equal(try_save(c, path, text), 0);
}

uint64_t changing_commit(struct changing *c, const char *message) {
    assert_int_equal(head_seal(c->head, "somebody", message, NULL), 0);
    return store_last(c->store);
}

/* ---- at random ---- */

/* Few names, so that most operations find something. */
static void pick_path(struct changing *c, char path[64]) {
    size_t length = 0;
    for (uint64_t depth = changing_below(c, 4); depth > 0; depth--)
        length += (size_t)snprintf(path + length, 64 - length, "d%u/", (unsigned)changing_below(c, 3));
    (void)snprintf(path + length, 64 - length, changing_below(c, 3) ? "f%u" : "d%u", (unsigned)changing_below(c, 4));
}

static void pick_text(struct changing *c, char text[512]) {
    size_t length = 0;
    text[0] = '\0';
    for (uint64_t lines = changing_below(c, 12); lines > 0; lines--)
        length += (size_t)snprintf(text + length, 512 - length, "line %u\n", (unsigned)changing_below(c, 1000));
}

static void change_attributes(struct changing *c, uint64_t oid) {
    struct head_attr set = {.mode = (uint32_t)changing_below(c, 01000),
                            .uid = (uint32_t)changing_below(c, 3),
                            .gid = (uint32_t)changing_below(c, 3),
                            .atime = {(time_t)++c->clock, (long)changing_below(c, 1000000000)},
                            .mtime = {(time_t)++c->clock, (long)changing_below(c, 1000000000)}};
    struct head_attr attr;
    static const unsigned valid[] = {HEAD_SET_MODE, HEAD_SET_UID, HEAD_SET_UID | HEAD_SET_GID,
                                     HEAD_SET_ATIME | HEAD_SET_MTIME, HEAD_SET_MTIME};
    unsigned bits = valid[changing_below(c, 5)];
    assert_int_equal(head_getattr(c->head, oid, &attr), 0);
    if (S_ISLNK(attr.mode) && bits == HEAD_SET_MODE)
        return;
    assert_int_equal(head_setattr(c->head, oid, bits, &set, &attr), 0);
}

static void change_content(struct changing *c, uint64_t oid) {
    char text[512];
    struct head_attr attr;
    assert_int_equal(head_getattr(c->head, oid, &attr), 0);
    if (!S_ISREG(attr.mode))
        return;
    pick_text(c, text);
    if (changing_below(c, 3) == 0)
        truncate_to(c, oid, changing_below(c, 600000));
    put(c, oid, changing_below(c, 8) ? changing_below(c, 200) : changing_below(c, 900000), text);
}

static void change_something(struct changing *c) {
    char path[64], other[64], text[512], name[16], value[32];
    uint64_t oid;
    pick_path(c, path);
    pick_path(c, other);
    pick_text(c, text);
    (void)snprintf(name, sizeof name, "user.%u", (unsigned)changing_below(c, 3));
    (void)snprintf(value, sizeof value, "%u", (unsigned)changing_below(c, 100));
    switch (changing_below(c, 16)) {
    case 0:
    case 1:
        (void)make(c, path, S_IFDIR | 0755, NULL, &oid);
        return;
    case 2:
    case 3:
    case 4:
        if (make(c, path, S_IFREG | 0644, NULL, &oid) == 0)
            put(c, oid, 0, text);
        return;
    case 5:
        (void)make(c, path, changing_below(c, 2) ? S_IFIFO | 0600 : S_IFCHR | 0600, NULL, &oid);
        return;
    case 6:
        (void)make(c, path, S_IFLNK | 0777, other, &oid);
        return;
    case 7:
        (void)try_link(c, path, other);
        return;
    case 8:
    case 9:
        (void)try_rename(c, path, other, changing_below(c, 3) ? 0 : RENAME_EXCHANGE);
        return;
    case 10:
        (void)try_remove(c, path);
        return;
    case 11:
        (void)try_save(c, path, text);
        return;
    default:
        break;
    }
    oid = changing_find(c, path);
    if (!oid)
        return;
    switch (changing_below(c, 4)) {
    case 0:
        change_attributes(c, oid);
        break;
    case 1:
        if (changing_below(c, 3))
            (void)head_setxattr(c->head, oid, name, value, strlen(value), 0);
        else
            (void)head_removexattr(c->head, oid, name);
        break;
    default:
        change_content(c, oid);
    }
}

void changing_random(struct changing *c, unsigned count) {
    while (count-- > 0)
        change_something(c);
}

/* ---- looking ---- */

struct dump {
    struct changing *c;
    FILE *out;
    uint64_t before;
    bool times;
    struct {
        uint64_t oid;
        char *path;
    } seen[FILES_MAX];
    size_t seen_count;
};

/* The first path that led to the same object. */
static const char *first_path(struct dump *d, uint64_t oid, const char *path) {
    for (size_t i = 0; i < d->seen_count; i++) {
        if (d->seen[i].oid == oid)
            return d->seen[i].path;
    }
    assert_true(d->seen_count < FILES_MAX);
    d->seen[d->seen_count].oid = oid;
    d->seen[d->seen_count].path = strdup(path);
    assert_non_null(d->seen[d->seen_count].path);
    return d->seen[d->seen_count++].path;
}

static void dump_content(struct dump *d, const struct inode_version *inode) {
    uint8_t *data = malloc((size_t)inode->record.size + 1);
    size_t done = 0;
    uint64_t sum = 0;
    assert_non_null(data);
    assert_int_equal(store_read(d->c->store, inode, d->before, 0, (size_t)inode->record.size, data, &done), STORE_OK);
    assert_int_equal(done, inode->record.size);
    for (size_t i = 0; i < done; i++)
        sum = (sum ^ data[i]) * UINT64_C(0x100000001b3) + 1;
    (void)fprintf(d->out, " content %016" PRIx64, sum);
    free(data);
}

static void dump_xattrs(struct dump *d, uint64_t oid) {
    struct xattrs_version *version;
    int rc = store_xattrs(d->c->store, oid, d->before, &version);
    if (rc == STORE_ABSENT)
        return;
    assert_int_equal(rc, STORE_OK);
    for (size_t i = 0; i < version->set.count; i++)
        (void)fprintf(d->out, " %s=%.*s", version->set.items[i].name, (int)version->set.items[i].length,
                      (const char *)version->set.items[i].value);
    store_release(d->c->store, version);
}

static int by_name(const void *a, const void *b) {
    const struct entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void dump_object(struct dump *d, uint64_t oid, const char *path) {
    struct inode_version *inode;
    assert_int_equal(store_inode(d->c->store, oid, d->before, &inode), STORE_OK);
    const struct inode_record *r = &inode->record;
    (void)fprintf(d->out, "/%s %o %u:%u", path, r->mode, r->uid, r->gid);
    if (!S_ISDIR(r->mode))
        (void)fprintf(d->out, " %" PRIu64 " bytes, %u links, as /%s", r->size, r->nlink, first_path(d, oid, path));
    if (d->times)
        (void)fprintf(d->out, " %" PRId64 ".%09ld %" PRId64 ".%09ld", (int64_t)r->mtime.tv_sec, r->mtime.tv_nsec,
                      (int64_t)r->atime.tv_sec, r->atime.tv_nsec);
    if (r->target)
        (void)fprintf(d->out, " -> %s", r->target);
    (void)fprintf(d->out, " device %" PRIu64, r->rdev);
    dump_xattrs(d, oid);
    if (S_ISREG(r->mode))
        dump_content(d, inode);
    (void)fputc('\n', d->out);
    if (S_ISDIR(r->mode)) {
        struct entry_list list;
        assert_int_equal(storage_list(store_storage(d->c->store), oid, d->before, &list), STORE_OK);
        const struct entry **sorted = calloc(list.count + 1, sizeof *sorted);
        assert_non_null(sorted);
        for (size_t i = 0; i < list.count; i++)
            sorted[i] = &list.items[i];
        qsort(sorted, list.count, sizeof *sorted, by_name);
        for (size_t i = 0; i < list.count; i++) {
            char below[1024];
            (void)snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", sorted[i]->name);
            dump_object(d, sorted[i]->oid, below);
        }
        free(sorted);
        entry_list_release(&list);
    }
    store_release(d->c->store, inode);
}

static uint64_t find_then(struct changing *c, uint64_t before, const char *path) {
    uint64_t oid = ROOT_OID;
    uint32_t type;
    for (size_t length; *path; path += length + (path[length] == '/')) {
        length = strcspn(path, "/");
        if (store_lookup(c->store, oid, path, length, before, &oid, &type) != STORE_OK)
            return 0;
    }
    return oid;
}

char *changing_dump(struct changing *c, uint64_t before, const char *path, bool times) {
    char *text = NULL;
    size_t length;
    struct dump *d = calloc(1, sizeof *d);
    assert_non_null(d);
    d->c = c;
    d->before = before;
    d->times = times;
    d->out = open_memstream(&text, &length);
    assert_non_null(d->out);
    uint64_t oid = find_then(c, before, path);
    if (oid)
        dump_object(d, oid, path);
    assert_int_equal(fclose(d->out), 0);
    for (size_t i = 0; i < d->seen_count; i++)
        free(d->seen[i].path);
    free(d);
    return text;
}

char *changing_read(struct changing *c, const char *path) {
    struct head_attr attr;
    uint64_t oid = changing_find(c, path);
    size_t done;
    if (!oid)
        return strdup("(absent)");
    assert_int_equal(head_getattr(c->head, oid, &attr), 0);
    char *text = malloc((size_t)attr.size + 1);
    assert_non_null(text);
    assert_int_equal(head_read(c->head, oid, 0, (size_t)attr.size, (uint8_t *)text, &done), 0);
    text[done] = '\0';
    return text;
}

void changing_assert_same_text(const char *what, const char *is, const char *expected) {
    while (*is && *expected) {
        size_t length = strcspn(is, "\n") + 1;
        if (strncmp(is, expected, length) != 0)
            break;
        is += length;
        expected += length;
    }
    if (*is || *expected)
        fail_msg("%s:\n     is %.*s\nexpected %.*s", what, (int)strcspn(is, "\n"), is, (int)strcspn(expected, "\n"),
                 expected);
}
