/* A head in a directory of its own above a storage that can be made to fail, operations on it by path, and all that it holds as text: for the
 * tests of head_transaction. */
#ifndef TIDFS_TESTS_HEAD_FIXTURE_H
#define TIDFS_TESTS_HEAD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/head.h"
#include "store/store_private.h"

#define HELD_MAX    8
#define DIRTY_LIMIT (UINT64_C(1) << 20)     /* less than what the script writes */
#define INTERVAL_NS UINT64_C(3600000000000) /* no test waits for it */

struct fixture {
    char base[64], directory[96];
    struct store *store;
    struct head *head;
    struct storage *fault;
    uint64_t held[HELD_MAX]; /* counted by somebody else than the change */
    size_t held_count;
    uint64_t instant; /* `before` of an older state of "big" */
};

static const struct head_caller caller = {1000, 1000, 022};

/* u::rwx u:5:rwx g::r-x m::rwx o::--- */
static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,  7,
                              0, 5, 0,   0,   0,   4,   0,  5, 0,   255, 255, 255, 255, 16, 0,
                              7, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};

/* ---- the store ---- */

static inline void open_all(struct fixture *f) {
    struct error err = {0};
    if (store_open(f->directory, &(struct store_options){.writable = true}, &f->store, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(storage_fault_open(f->store->storage, &f->fault), STORE_OK);
    f->store->storage = f->fault;
    assert_int_equal(
        head_open(f->store, &(struct head_options){.commit_interval_ns = INTERVAL_NS, .dirty_limit_bytes = DIRTY_LIMIT},
                  &f->head, &err),
        STORE_OK);
}

static inline void new_store(struct fixture *f) {
    struct error err;
    strcpy(f->base, "/tmp/test_head.XXXXXX");
    assert_non_null(mkdtemp(f->base));
    (void)snprintf(f->directory, sizeof f->directory, "%s/store", f->base);
    if (store_create(f->directory, 0, 0, &err) < 0)
        fail_msg("%s", err.text);
    f->held_count = 0;
    open_all(f);
}

static inline void close_all(struct fixture *f) {
    (void)head_close(f->head);
    store_close(f->store);
}

static inline void remove_store(struct fixture *f) {
    char command[128];
    close_all(f);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->base);
    assert_int_equal(system(command), 0);
}

/* Without those that were held: what has no name is no more. */
static inline void reopen(struct fixture *f) {
    close_all(f);
    f->held_count = 0;
    open_all(f);
}

static inline int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    new_store(f);
    *state = f;
    return 0;
}

static inline int teardown(void **state) {
    remove_store(*state);
    free(*state);
    return 0;
}

/* ---- operations by path ---- */

/* The object at a path of names and slashes, and with `last` the directory that holds it and its last name. */
static inline int walk(struct fixture *f, const char *path, uint64_t *oid, const char **last) {
    struct head_attr attr = {.oid = ROOT_OID};
    for (;;) {
        const char *slash = strchrnul(path, '/');
        if (last && !*slash) {
            *last = path;
            break;
        }
        uint64_t parent = attr.oid;
        int rc = head_lookup(f->head, parent, path, (size_t)(slash - path), &attr);
        if (rc < 0)
            return rc;
        head_forget(f->head, attr.oid, 1);
        if (!*slash)
            break;
        path = slash + 1;
    }
    *oid = attr.oid;
    return 0;
}

static inline uint64_t oid_of(struct fixture *f, const char *path) {
    uint64_t oid = 0;
    return walk(f, path, &oid, NULL) < 0 ? 0 : oid;
}

static inline void hold(struct fixture *f, const char *path) {
    struct head_attr attr;
    uint64_t oid = oid_of(f, path);
    assert_int_equal(head_hold(f->head, oid, &attr), 0);
    f->held[f->held_count++] = oid;
}

static inline int make(struct fixture *f, const char *path, uint32_t mode, const char *target) {
    struct head_attr attr;
    const char *name;
    uint64_t parent;
    int rc = walk(f, path, &parent, &name);
    if (rc == 0)
        rc = head_make(f->head, parent, name, strlen(name), mode, 0x1234, target, &caller, &attr);
    if (rc == 0)
        head_forget(f->head, attr.oid, 1);
    return rc;
}

static inline int link_(struct fixture *f, const char *from, const char *to) {
    struct head_attr attr;
    const char *name;
    uint64_t oid, parent;
    int rc = walk(f, from, &oid, NULL);
    if (rc == 0)
        rc = walk(f, to, &parent, &name);
    if (rc == 0)
        rc = head_link(f->head, oid, parent, name, strlen(name), &attr);
    if (rc == 0)
        head_forget(f->head, oid, 1);
    return rc;
}

static inline int remove_(struct fixture *f, const char *path, bool directory) {
    const char *name;
    uint64_t parent;
    int rc = walk(f, path, &parent, &name);
    if (rc < 0)
        return rc;
    return directory ? head_rmdir(f->head, parent, name, strlen(name))
                     : head_unlink(f->head, parent, name, strlen(name));
}

static inline int rename_(struct fixture *f, const char *from, const char *to, unsigned flags) {
    const char *name, *new_name;
    uint64_t parent, new_parent;
    int rc = walk(f, from, &parent, &name);
    if (rc == 0)
        rc = walk(f, to, &new_parent, &new_name);
    return rc < 0 ? rc
                  : head_rename(f->head, parent, name, strlen(name), new_parent, new_name, strlen(new_name), flags);
}

static inline int write_oid(struct fixture *f, uint64_t oid, uint64_t offset, size_t size, int seed, size_t piece) {
    uint8_t *data = malloc(size);
    if (!data)
        return -ENOMEM;
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)((i * 31 + i / 257 + (size_t)seed) & 255);
    int64_t done = 0;
    for (size_t at = 0; at < size && done >= 0; at += piece)
        done = head_write(f->head, oid, offset + at, size - at < piece ? size - at : piece, data + at, false);
    free(data);
    return done < 0 ? (int)done : 0;
}

static inline int write_(struct fixture *f, const char *path, uint64_t offset, size_t size, int seed, size_t piece) {
    uint64_t oid;
    int rc = walk(f, path, &oid, NULL);
    return rc < 0 ? rc : write_oid(f, oid, offset, size, seed, piece);
}

static inline int set(struct fixture *f, const char *path, unsigned valid, const struct head_attr *to) {
    struct head_attr attr;
    uint64_t oid;
    int rc = walk(f, path, &oid, NULL);
    return rc < 0 ? rc : head_setattr(f->head, oid, valid, to, &attr);
}

static inline int set_xattr(struct fixture *f, const char *path, const char *name, const void *value, size_t size) {
    uint64_t oid;
    int rc = walk(f, path, &oid, NULL);
    return rc < 0 ? rc : head_setxattr(f->head, oid, name, value, size, 0);
}

static inline int copy(struct fixture *f, const char *from, uint64_t before, uint64_t offset, const char *to,
                       uint64_t at, uint64_t length) {
    uint64_t source, target, copied;
    int rc = walk(f, from, &source, NULL);
    if (rc == 0)
        rc = walk(f, to, &target, NULL);
    return rc < 0 ? rc : head_copy_range(f->head, source, before, offset, target, at, length, false, &copied);
}

/* ---- everything there is, as text ---- */

struct dump {
    struct fixture *f;
    FILE *out;
    bool identity; /* with oids, indexes and times */
    int failed;
};

static inline void dump_xattrs(struct dump *dump, uint64_t oid) {
    char names[4096], value[4096];
    size_t length = 0, value_length = 0;
    dump->failed |= head_listxattr(dump->f->head, oid, names, sizeof names, &length);
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        dump->failed |= head_getxattr(dump->f->head, oid, name, value, sizeof value, &value_length);
        fprintf(dump->out, " %s=%016" PRIx64, name, (uint64_t)XXH3_64bits(value, value_length));
    }
}

static inline void dump_content(struct dump *dump, const struct head_attr *attr) {
    size_t done = 0;
    uint8_t *data = malloc(attr->size + 1);
    dump->failed |= data ? head_read(dump->f->head, attr->oid, 0, attr->size + 1, data, &done) : -ENOMEM;
    if (done != attr->size)
        dump->failed |= -EIO;
    fprintf(dump->out, " content=%016" PRIx64, data ? (uint64_t)XXH3_64bits(data, done) : 0);
    free(data);
}

static inline void dump_time(struct dump *dump, const char *name, struct timespec time) {
    if (dump->identity)
        fprintf(dump->out, " %s=%" PRId64 ".%09ld", name, (int64_t)time.tv_sec, time.tv_nsec);
}

static inline void dump_object(struct dump *dump, const char *path, uint64_t oid) {
    struct head_attr attr;
    int rc = head_getattr(dump->f->head, oid, &attr);
    if (rc < 0) {
        dump->failed |= rc;
        return;
    }
    fprintf(dump->out, "%s mode=%o uid=%u gid=%u nlink=%u rdev=%" PRIx64 " size=%" PRIu64 " allocated=%" PRIu64, path,
            attr.mode, attr.uid, attr.gid, attr.nlink, attr.rdev, attr.size, attr.allocated);
    if (dump->identity)
        fprintf(dump->out, " oid=%" PRIu64, oid);
    dump_time(dump, "atime", attr.atime);
    dump_time(dump, "mtime", attr.mtime);
    dump_time(dump, "ctime", attr.ctime);
    dump_time(dump, "btime", attr.btime);
    dump_xattrs(dump, oid);
    if ((attr.mode & S_IFMT) == S_IFREG)
        dump_content(dump, &attr);
    if ((attr.mode & S_IFMT) == S_IFLNK) {
        char target[256];
        size_t length = 0;
        dump->failed |= head_readlink(dump->f->head, oid, target, sizeof target, &length);
        fprintf(dump->out, " -> %.*s", (int)length, target);
    }
    fputc('\n', dump->out);
}

struct names {
    struct name {
        char text[256];
        uint64_t oid, index;
        uint32_t type;
    } * items;
    size_t count;
};

static inline bool collect(void *context, const struct head_entry *entry) {
    struct names *names = context;
    struct name *items = realloc(names->items, (names->count + 1) * sizeof *items);
    if (!items)
        return false;
    names->items = items;
    struct name *name = &items[names->count++];
    *name = (struct name){.oid = entry->oid, .index = entry->index, .type = entry->type};
    memcpy(name->text, entry->name, entry->length);
    return true;
}

static inline void dump_tree(struct dump *dump, const char *path, uint64_t directory) {
    struct names names = {0};
    uint64_t parent;
    dump->failed |= head_readdir(dump->f->head, directory, UINT64_MAX, collect, &names);
    for (size_t i = 0; i < names.count; i++) {
        const struct name *name = &names.items[i];
        struct head_attr attr;
        char *below;
        if (asprintf(&below, "%s/%s", path, name->text) < 0) {
            dump->failed = -ENOMEM;
            break;
        }
        /* by lookup, too, and it must be the same */
        int rc = head_lookup(dump->f->head, directory, name->text, strlen(name->text), &attr);
        if (rc == 0)
            head_forget(dump->f->head, attr.oid, 1);
        if (rc < 0 || attr.oid != name->oid || (attr.mode & S_IFMT) != name->type)
            dump->failed |= rc < 0 ? rc : -EIO;
        if (dump->identity)
            fprintf(dump->out, "%" PRIu64 " ", name->index);
        dump_object(dump, below, name->oid);
        if (name->type == S_IFDIR) {
            rc = head_parent(dump->f->head, name->oid, &parent);
            dump->failed |= rc < 0 ? rc : parent == directory ? 0 : -EIO;
            dump_tree(dump, below, name->oid);
        }
        free(below);
    }
    free(names.items);
}

/* NULL if something could not be read, or did not agree with itself. */
static inline char *dump_try(struct fixture *f, bool identity) {
    char *text = NULL;
    size_t length;
    struct dump dump = {.f = f, .identity = identity};
    dump.out = open_memstream(&text, &length);
    if (!dump.out)
        return NULL;
    dump_object(&dump, "/", ROOT_OID);
    dump_tree(&dump, "", ROOT_OID);
    for (size_t i = 0; i < f->held_count && identity; i++)
        dump_object(&dump, "held", f->held[i]);
    (void)fclose(dump.out);
    if (!dump.failed)
        return text;
    free(text);
    return NULL;
}

static inline char *dump(struct fixture *f) {
    char *text = dump_try(f, true);
    assert_non_null(text);
    return text;
}

static inline void assert_dump(struct fixture *f, const char *expected) {
    char *found = dump(f);
    if (strcmp(found, expected) != 0) {
        size_t at = 0;
        while (found[at] == expected[at])
            at++;
        while (at > 0 && expected[at - 1] != '\n')
            at--;
        fail_msg("expected: %.*s\n   found: %.*s", (int)strcspn(expected + at, "\n"), expected + at,
                 (int)strcspn(found + at, "\n"), found + at);
    }
    free(found);
}

static inline void note_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    print_message("verify: %s: %s\n", problem->path ? problem->path : "-", problem->text);
}

static inline void assert_sound(struct fixture *f) {
    uint64_t problems;
    assert_int_equal(
        storage_verify(store_storage(f->store), &(struct verify_options){.problem = note_problem}, &problems),
        STORE_OK);
    assert_int_equal(problems, 0);
}

static inline struct head_status status(struct fixture *f) {
    struct head_status now;
    head_get_status(f->head, &now);
    return now;
}

static inline void assert_nothing_pending(struct fixture *f) {
    struct head_status now = status(f);
    assert_int_equal(now.pending_objects, 0);
    assert_int_equal(now.pending_bytes, 0);
    assert_int_equal(now.next_seal_ns, 0);
    assert_int_equal(now.last_seq, store_last(f->store));
}

#endif
