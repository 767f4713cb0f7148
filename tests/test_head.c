/* The writable present: names, content, sealing, failures, and random operations against a simple model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "store/head.h"
#include "store/store_private.h"

struct fixture {
    char base[64], directory[96];
    struct store *store;
    struct head *head;
    struct storage *fault;
};

static const struct head_caller caller = {1000, 1000, 022};

static void open_all(struct fixture *f) {
    struct error err = {0};
    int rc = store_open(f->directory, &(struct store_options){.writable = true}, &f->store, &err);
    if (rc < 0)
        fail_msg("%s", err.text);
    assert_int_equal(storage_fault_open(f->store->storage, &f->fault), STORE_OK);
    f->store->storage = f->fault;
    assert_int_equal(
        head_open(f->store, &(struct head_options){.dirty_limit_bytes = UINT64_C(64) << 20}, &f->head, &err), STORE_OK);
}

static void close_all(struct fixture *f) {
    head_close(f->head);
    store_close(f->store);
}

static void reopen(struct fixture *f) {
    assert_int_equal(head_close(f->head), 0);
    store_close(f->store);
    open_all(f);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct error err;
    strcpy(f->base, "/tmp/test_head.XXXXXX");
    if (!mkdtemp(f->base))
        return -1;
    (void)snprintf(f->directory, sizeof f->directory, "%s/store", f->base);
    if (store_create(f->directory, 0, 0, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    open_all(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    char command[128];
    close_all(f);
    (void)snprintf(command, sizeof command, "rm -rf %s", f->base);
    if (system(command))
        return -1;
    free(f);
    return 0;
}

static int make(struct fixture *f, uint64_t parent, const char *name, uint32_t mode, uint64_t *oid) {
    struct head_attr attr;
    int rc = head_make(f->head, parent, name, strlen(name), mode, 0, NULL, &caller, &attr);
    if (rc == 0)
        *oid = attr.oid;
    return rc;
}

static uint64_t make_file(struct fixture *f, const char *name) {
    uint64_t oid = 0;
    assert_int_equal(make(f, ROOT_OID, name, S_IFREG | 0666, &oid), 0);
    return oid;
}

static int lookup(struct fixture *f, uint64_t parent, const char *name, struct head_attr *attr) {
    int rc = head_lookup(f->head, parent, name, strlen(name), attr);
    if (rc == 0)
        head_forget(f->head, attr->oid, 1);
    return rc;
}

static int rename_(struct fixture *f, const char *from, const char *to, unsigned flags) {
    return head_rename(f->head, ROOT_OID, from, strlen(from), ROOT_OID, to, strlen(to), flags);
}

static void write_(struct fixture *f, uint64_t oid, uint64_t offset, const char *text) {
    assert_int_equal(head_write(f->head, oid, offset, strlen(text), (const uint8_t *)text, false),
                     (int64_t)strlen(text));
}

static void assert_content(struct fixture *f, uint64_t oid, const char *text) {
    uint8_t buffer[256];
    size_t done;
    assert_int_equal(head_read(f->head, oid, 0, sizeof buffer, buffer, &done), 0);
    assert_int_equal(done, strlen(text));
    assert_memory_equal(buffer, text, done);
}

static void test_head__a_made_file_is_found_before_and_after_reopening(void **state) {
    struct fixture *f = *state;
    struct head_attr attr;
    uint64_t oid = make_file(f, "a");
    write_(f, oid, 0, "hello");
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), 0);
    assert_int_equal(attr.mode, S_IFREG | 0644);
    assert_int_equal(attr.uid, 1000);
    assert_int_equal(attr.size, 5);
    head_forget(f->head, oid, 1);
    reopen(f);
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), 0);
    assert_int_equal(attr.oid, oid);
    assert_content(f, oid, "hello");
    assert_int_equal(lookup(f, ROOT_OID, "b", &attr), -ENOENT);
}

static void test_head__names_give_the_errors_of_posix(void **state) {
    struct fixture *f = *state;
    uint64_t directory, oid, inner;
    char longest[300];
    memset(longest, 'x', sizeof longest);
    struct head_attr attr;
    assert_int_equal(make(f, ROOT_OID, "d", S_IFDIR | 0777, &directory), 0);
    assert_int_equal(make(f, ROOT_OID, "d", S_IFDIR | 0777, &oid), -EEXIST);
    assert_int_equal(make(f, directory, "f", S_IFREG | 0600, &inner), 0);
    assert_int_equal(head_rmdir(f->head, ROOT_OID, "d", 1), -ENOTEMPTY);
    assert_int_equal(head_unlink(f->head, ROOT_OID, "d", 1), -EISDIR);
    assert_int_equal(head_rmdir(f->head, directory, "f", 1), -ENOTDIR);
    assert_int_equal(head_unlink(f->head, directory, "g", 1), -ENOENT);
    assert_int_equal(make(f, inner, "x", S_IFREG, &oid), -ENOTDIR);
    assert_int_equal(head_make(f->head, ROOT_OID, longest, 256, S_IFREG, 0, NULL, &caller, &attr), -ENAMETOOLONG);
    assert_int_equal(head_make(f->head, ROOT_OID, longest, 255, S_IFREG, 0, NULL, &caller, &attr), 0);
    assert_int_equal(head_link(f->head, directory, ROOT_OID, "l", 1, &attr), -EPERM);
    assert_int_equal(head_rename(f->head, ROOT_OID, "d", 1, directory, "e", 1, 0), -EINVAL);
    assert_int_equal(rename_(f, "d", "d2", RENAME_EXCHANGE), -ENOENT);
    assert_int_equal(head_unlink(f->head, directory, "f", 1), 0);
    assert_int_equal(head_rmdir(f->head, ROOT_OID, "d", 1), 0);
    assert_int_equal(make(f, directory, "late", S_IFREG, &oid), -ENOENT);
    head_forget(f->head, directory, 1);
    head_forget(f->head, inner, 1);
}

static void test_head__directories_count_links_and_entries(void **state) {
    struct fixture *f = *state;
    uint64_t a, b, c;
    struct head_attr attr;
    assert_int_equal(make(f, ROOT_OID, "a", S_IFDIR | 0777, &a), 0);
    assert_int_equal(make(f, ROOT_OID, "b", S_IFDIR | 0777, &b), 0);
    assert_int_equal(make(f, a, "c", S_IFDIR | 0777, &c), 0);
    assert_int_equal(head_rename(f->head, a, "c", 1, b, "c", 1, 0), 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(lookup(f, ROOT_OID, "a", &attr), 0);
        assert_int_equal(attr.nlink, 2);
        assert_int_equal(attr.size, 0);
        assert_int_equal(lookup(f, ROOT_OID, "b", &attr), 0);
        assert_int_equal(attr.nlink, 3);
        assert_int_equal(attr.size, 1);
        uint64_t parent;
        assert_int_equal(head_parent(f->head, c, &parent), 0);
        assert_int_equal(parent, b);
        if (round == 0)
            reopen(f);
    }
}

static void test_head__rename_replaces_exchanges_and_refuses(void **state) {
    struct fixture *f = *state;
    struct head_attr attr;
    uint64_t a = make_file(f, "a"), b = make_file(f, "b");
    assert_int_equal(rename_(f, "a", "b", RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rename_(f, "a", "b", RENAME_EXCHANGE), 0);
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), 0);
    assert_int_equal(attr.oid, b);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_int_equal(rename_(f, "a", "b", 0), 0);
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), -ENOENT);
    assert_int_equal(lookup(f, ROOT_OID, "b", &attr), 0);
    assert_int_equal(attr.oid, b);
    assert_int_equal(head_getattr(f->head, a, &attr), 0);
    assert_int_equal(attr.nlink, 0); /* still held, and usable */
    head_forget(f->head, a, 1);
    assert_int_equal(head_link(f->head, b, ROOT_OID, "c", 1, &attr), 0);
    assert_int_equal(rename_(f, "b", "c", 0), 0); /* two names of one file: nothing happens */
    assert_int_equal(lookup(f, ROOT_OID, "b", &attr), 0);
    assert_int_equal(attr.nlink, 2);
    head_forget(f->head, b, 2);
    reopen(f);
    assert_int_equal(lookup(f, ROOT_OID, "c", &attr), 0);
    assert_int_equal(attr.nlink, 2);
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), -ENOENT);
}

struct listing {
    char names[4096];
    size_t count, stop;
    uint64_t next;
};

static bool collect(void *context, const struct head_entry *entry) {
    struct listing *listing = context;
    if (listing->stop && listing->count == listing->stop)
        return false;
    strncat(listing->names, entry->name, entry->length);
    strcat(listing->names, " ");
    listing->count++;
    listing->next = entry->index - 1;
    return true;
}

static void test_head__readdir_goes_on_where_it_stopped_and_comes_to_an_end(void **state) {
    struct fixture *f = *state;
    char name[8];
    for (int i = 0; i < 9; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        head_forget(f->head, make_file(f, name), 1);
        if (i == 4)
            reopen(f);
    }
    struct listing listing = {.stop = 3, .next = UINT64_MAX};
    assert_int_equal(head_readdir(f->head, ROOT_OID, listing.next, collect, &listing), 0);
    assert_string_equal(listing.names, "f8 f7 f6 ");
    assert_int_equal(head_unlink(f->head, ROOT_OID, "f1", 2), 0);
    assert_int_equal(head_unlink(f->head, ROOT_OID, "f5", 2), 0);
    head_forget(f->head, make_file(f, "new"), 1);
    listing.stop = 0;
    assert_int_equal(head_readdir(f->head, ROOT_OID, listing.next, collect, &listing), 0);
    assert_string_equal(listing.names, "f8 f7 f6 f4 f3 f2 f0 ");
}

static void test_head__a_name_made_and_removed_in_one_transaction_leaves_no_trace(void **state) {
    struct fixture *f = *state;
    uint64_t tid, tid2;
    struct entry_list list;
    head_forget(f->head, make_file(f, "kept"), 1);
    assert_int_equal(head_seal(f->head, NULL, NULL, &tid), 0);
    uint64_t oid = make_file(f, "temporary");
    write_(f, oid, 0, "x");
    assert_int_equal(head_unlink(f->head, ROOT_OID, "temporary", 9), 0);
    head_forget(f->head, oid, 1);
    assert_int_equal(head_seal(f->head, NULL, NULL, &tid2), 0);
    enum load_outcome outcome;
    struct revision revision;
    assert_int_equal(
        storage_load_before(store_storage(f->store), oid, PART_INODE, store_last(f->store) + 1, &outcome, &revision),
        STORE_OK);
    assert_int_equal(outcome, LOAD_NO_OBJECT);
    assert_int_equal(storage_list(store_storage(f->store), ROOT_OID, store_last(f->store) + 1, &list), STORE_OK);
    assert_int_equal(list.count, 1);
    entry_list_release(&list);
}

static void test_head__truncation_never_brings_old_bytes_back(void **state) {
    struct fixture *f = *state;
    uint64_t oid = make_file(f, "a");
    struct head_attr attr, set = {.size = 3};
    uint8_t zeros[8192] = {0}, buffer[8192];
    size_t done;
    uint8_t *big = malloc(1 << 20);
    memset(big, 0x55, 1 << 20);
    assert_int_equal(head_write(f->head, oid, 0, 1 << 20, big, false), 1 << 20);
    free(big);
    for (int sealed = 0; sealed < 2; sealed++) {
        if (sealed)
            assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
        set.size = sealed ? 3 : 300000;
        assert_int_equal(head_setattr(f->head, oid, HEAD_SET_SIZE, &set, &attr), 0);
        assert_int_equal(attr.allocated, set.size);
        set.size = 1 << 20;
        assert_int_equal(head_setattr(f->head, oid, HEAD_SET_SIZE, &set, &attr), 0);
        for (uint64_t at = sealed ? 3 : 300000; at + sizeof buffer <= 1 << 20; at += 50000) {
            assert_int_equal(head_read(f->head, oid, at, sizeof buffer, buffer, &done), 0);
            assert_int_equal(done, sizeof buffer);
            assert_memory_equal(buffer, zeros, sizeof buffer);
        }
    }
}

static void test_head__copy_range_shares_bytes_of_head_and_history(void **state) {
    struct fixture *f = *state;
    uint64_t a = make_file(f, "a"), b = make_file(f, "b"), copied, before, bodies, database, after;
    size_t size = 3 << 20, done;
    uint8_t *data = malloc(size), *read = malloc(size);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 7 + i / 1000);
    assert_int_equal(head_write(f->head, a, 0, size, data, false), (int64_t)size);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    before = store_last(f->store) + 1;
    assert_int_equal(storage_space(store_storage(f->store), &database, &bodies), STORE_OK);
    write_(f, a, 1000, "changed since");
    assert_int_equal(head_copy_range(f->head, a, before, 0, b, 0, size + 5, false, &copied), 0);
    assert_int_equal(copied, size);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_int_equal(storage_space(store_storage(f->store), &database, &after), STORE_OK);
    assert_true(after - bodies < size / 100);
    assert_int_equal(head_read(f->head, b, 0, size, read, &done), 0);
    assert_memory_equal(read, data, size);
    /* from the head, shifted and unaligned, over what is there */
    assert_int_equal(head_copy_range(f->head, a, 0, 999, b, 100001, 700000, false, &copied), 0);
    memcpy(data + 1000, "changed since", 13);
    assert_int_equal(head_read(f->head, b, 100001, 700000, read, &done), 0);
    assert_memory_equal(read, data + 999, 700000);
    free(data);
    free(read);
}

static void test_head__unlinked_files_live_as_long_as_they_are_held(void **state) {
    struct fixture *f = *state;
    uint64_t oid = make_file(f, "a");
    struct head_attr attr;
    write_(f, oid, 0, "before");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_int_equal(head_unlink(f->head, ROOT_OID, "a", 1), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    write_(f, oid, 3, "AFTER");
    assert_content(f, oid, "befAFTER");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_content(f, oid, "befAFTER");
    assert_int_equal(head_link(f->head, oid, ROOT_OID, "b", 1, &attr), -ENOENT);
    head_forget(f->head, oid, 1);
    assert_int_equal(head_getattr(f->head, oid, &attr), -ESTALE);
}

static void test_head__sparse_files_seek_and_punch(void **state) {
    struct fixture *f = *state;
    uint64_t oid = make_file(f, "a"), at;
    struct head_attr attr;
    write_(f, oid, UINT64_C(1) << 40, "far");
    write_(f, oid, 5, "near");
    for (int round = 0; round < 2; round++) {
        assert_int_equal(head_seek(f->head, oid, 0, SEEK_DATA, &at), 0);
        assert_int_equal(at, 5);
        assert_int_equal(head_seek(f->head, oid, 5, SEEK_HOLE, &at), 0);
        assert_int_equal(at, 9);
        assert_int_equal(head_seek(f->head, oid, 9, SEEK_DATA, &at), 0);
        assert_true(at == UINT64_C(1) << 40);
        assert_int_equal(head_seek(f->head, oid, at + 2, SEEK_HOLE, &at), 0);
        assert_true(at == (UINT64_C(1) << 40) + 3);
        assert_int_equal(head_seek(f->head, oid, at, SEEK_DATA, &at), -ENXIO);
        assert_int_equal(head_getattr(f->head, oid, &attr), 0);
        assert_int_equal(attr.allocated, 7);
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    }
    assert_int_equal(
        head_fallocate(f->head, oid, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, UINT64_C(1) << 40, false), 0);
    assert_int_equal(head_seek(f->head, oid, 0, SEEK_DATA, &at), 0);
    assert_true(at == UINT64_C(1) << 40);
    /* Without a change of size the times move, as on other file systems. */
    struct head_attr old = {.mtime = {1000000000, 0}};
    assert_int_equal(head_setattr(f->head, oid, HEAD_SET_MTIME, &old, &attr), 0);
    assert_int_equal(head_fallocate(f->head, oid, FALLOC_FL_KEEP_SIZE, 0, 100, false), 0);
    assert_int_equal(head_getattr(f->head, oid, &attr), 0);
    assert_true(attr.mtime.tv_sec > old.mtime.tv_sec);
    assert_int_equal(head_fallocate(f->head, oid, 0, INT64_MAX - 1, 5, false), -EFBIG);
    assert_int_equal(head_fallocate(f->head, oid, FALLOC_FL_COLLAPSE_RANGE, 0, 5, false), -EOPNOTSUPP);
}

/* For a kernel that keeps the times itself. */
static void test_head__times_stay_where_they_are_kept_elsewhere(void **state) {
    struct fixture *f = *state;
    static const struct timespec past = {1000000000, 5};
    uint64_t oid = make_file(f, "a"), other = make_file(f, "b"), copied;
    struct head_attr attr, set = {.mtime = past, .ctime = past, .size = 100};
    write_(f, other, 0, "shared");
    assert_int_equal(head_setattr(f->head, oid, HEAD_SET_MTIME | HEAD_SET_CTIME, &set, &attr), 0);
    assert_int_equal(head_write(f->head, oid, 0, 5, (const uint8_t *)"12345", true), 5);
    assert_int_equal(head_fallocate(f->head, oid, 0, 0, 50, true), 0);
    assert_int_equal(head_copy_range(f->head, other, 0, 0, oid, 10, 6, true, &copied), 0);
    assert_int_equal(head_setattr(f->head, oid, HEAD_SET_SIZE | HEAD_KEEP_TIMES, &set, &attr), 0);
    reopen(f);
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), 0);
    assert_int_equal(attr.size, 100);
    assert_memory_equal(&attr.mtime, &past, sizeof past);
    assert_memory_equal(&attr.ctime, &past, sizeof past);
    assert_int_equal(head_copy_range(f->head, other, 0, 0, oid, 20, 6, false, &copied), 0);
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), 0);
    assert_true(attr.mtime.tv_sec > past.tv_sec && attr.ctime.tv_sec > past.tv_sec);
}

static void test_head__extended_attributes_and_acls(void **state) {
    struct fixture *f = *state;
    uint64_t oid = make_file(f, "a"), directory, inner;
    char buffer[64];
    size_t length;
    struct head_attr attr;
    assert_int_equal(head_setxattr(f->head, oid, "user.x", "1234", 4, 0), 0);
    assert_int_equal(head_setxattr(f->head, oid, "user.x", "1", 1, XATTR_CREATE), -EEXIST);
    assert_int_equal(head_setxattr(f->head, oid, "user.y", "1", 1, XATTR_REPLACE), -ENODATA);
    reopen(f);
    assert_int_equal(head_getxattr(f->head, oid, "user.x", buffer, sizeof buffer, &length), 0);
    assert_int_equal(length, 4);
    assert_int_equal(head_getxattr(f->head, oid, "user.x", buffer, 2, &length), -ERANGE);
    assert_int_equal(head_listxattr(f->head, oid, buffer, sizeof buffer, &length), 0);
    assert_int_equal(length, 7);
    assert_int_equal(head_removexattr(f->head, oid, "user.x"), 0);
    assert_int_equal(head_removexattr(f->head, oid, "user.x"), -ENODATA);
    /* u::rwx u:5:rwx g::r-x m::rwx o::--- */
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,  7,
                                  0, 5, 0,   0,   0,   4,   0,  5, 0,   255, 255, 255, 255, 16, 0,
                                  7, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
    assert_int_equal(make(f, ROOT_OID, "d", S_IFDIR | 0777, &directory), 0);
    assert_int_equal(head_setxattr(f->head, directory, "system.posix_acl_default", acl, sizeof acl, 0), 0);
    assert_int_equal(head_setxattr(f->head, directory, "system.posix_acl_access", "x", 1, 0), -EINVAL);
    assert_int_equal(make(f, directory, "f", S_IFREG | 0666, &inner), 0);
    assert_int_equal(head_getattr(f->head, inner, &attr), 0);
    assert_int_equal(attr.mode & 0777, 0660); /* the ACL instead of the umask */
    assert_int_equal(head_getxattr(f->head, inner, "system.posix_acl_access", buffer, sizeof buffer, &length), 0);
    attr.mode = 0640;
    assert_int_equal(head_setattr(f->head, inner, HEAD_SET_MODE, &attr, &attr), 0);
    assert_int_equal(head_getxattr(f->head, inner, "system.posix_acl_access", buffer, sizeof buffer, &length), 0);
    assert_int_equal(buffer[4 + 8 * 3 + 2], 4); /* the mask follows chmod */
}

static void test_head__a_message_makes_a_transaction_of_its_own(void **state) {
    struct fixture *f = *state;
    uint64_t first, second, third;
    struct transaction transaction;
    assert_int_equal(head_seal(f->head, NULL, NULL, &first), 0);
    assert_int_equal(head_seal(f->head, "ann", "nothing changed", &second), 0);
    assert_true(second > first);
    assert_int_equal(head_seal(f->head, NULL, NULL, &third), 0);
    assert_int_equal(third, second);
    assert_int_equal(storage_transaction_at(store_storage(f->store), store_last(f->store), &transaction), STORE_OK);
    assert_string_equal(transaction.message, "nothing changed");
    assert_string_equal(transaction.user, "ann");
    assert_int_equal(transaction.object_count, 0);
    transaction_release(&transaction);
}

/* ---- who ---- */

static void close_head(struct fixture *f, const struct head_options *options) {
    struct error err;
    assert_int_equal(head_close(f->head), 0);
    assert_int_equal(head_open(f->store, options, &f->head, &err), STORE_OK);
}

static void assert_newest_user(struct fixture *f, const char *user) {
    struct transaction transaction;
    assert_int_equal(storage_transaction_at(store_storage(f->store), store_last(f->store), &transaction), STORE_OK);
    assert_string_equal(transaction.user, user);
    transaction_release(&transaction);
}

static void change_as(struct fixture *f, uint32_t uid, const char *name) {
    head_act_as(f->head, uid);
    head_forget(f->head, make_file(f, name), 1);
}

static void test_head__who_commits_is_named_only_if_something_is_pending(void **state) {
    struct fixture *f = *state;
    uint64_t tid, again;
    uint64_t last = store_last(f->store);
    assert_int_equal(head_seal_as(f->head, "ann", &tid), 0);
    assert_int_equal(store_last(f->store), last);
    /* Nothing is left for the next one. */
    head_forget(f->head, make_file(f, "a"), 1);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_newest_user(f, "");
    head_forget(f->head, make_file(f, "b"), 1);
    assert_int_equal(head_seal_as(f->head, "ann", &tid), 0);
    assert_int_equal(store_last(f->store), last + 2);
    assert_newest_user(f, "ann");
    assert_int_equal(head_seal_as(f->head, "bob", &again), 0);
    assert_int_equal(again, tid);
    assert_int_equal(head_seal_as(f->head, "ann", NULL), 0); /* nobody waits for bob's name */
}

static void test_head__a_head_may_have_one_user(void **state) {
    struct fixture *f = *state;
    close_head(f, &(struct head_options){.dirty_limit_bytes = UINT64_C(64) << 20, .user = "ann"});
    change_as(f, 7, "a");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_newest_user(f, "ann");
    change_as(f, 7, "b");
    assert_int_equal(head_seal(f->head, "bob", "told", NULL), 0);
    assert_newest_user(f, "bob");
    uint64_t last = store_last(f->store);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_int_equal(store_last(f->store), last);
    change_as(f, HEAD_NOBODY, "c");
    close_head(f, &(struct head_options){.dirty_limit_bytes = UINT64_C(64) << 20}); /* what closing seals, too */
    assert_newest_user(f, "ann");
}

static void name_number(void *context, uint32_t uid, char name[HEAD_USER_SIZE]) {
    ++*(unsigned *)context;
    (void)snprintf(name, HEAD_USER_SIZE, "user%u", uid);
}

static void test_head__the_one_who_made_all_changes_is_named(void **state) {
    struct fixture *f = *state;
    unsigned asked = 0;
    close_head(f, &(struct head_options){
                      .dirty_limit_bytes = UINT64_C(64) << 20, .name_user = name_number, .name_context = &asked});
    change_as(f, 7, "a");
    change_as(f, HEAD_NOBODY, "b"); /* as write-back is: it does not count */
    change_as(f, 7, "c");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_newest_user(f, "user7");
    change_as(f, 0, "d");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_newest_user(f, "user0");
    assert_int_equal(asked, 2);

    change_as(f, 7, "e");
    change_as(f, 8, "f");
    change_as(f, 8, "g");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_newest_user(f, "");
    change_as(f, HEAD_NOBODY, "h");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_newest_user(f, "");
    change_as(f, 8, "i");
    assert_int_equal(head_seal(f->head, "ann", NULL, NULL), 0);
    assert_newest_user(f, "ann");
    assert_int_equal(asked, 2);

    /* What failed changed nothing; what a commit that failed had is still whose it was. */
    struct head_attr attr;
    head_act_as(f->head, 9);
    assert_int_equal(head_make(f->head, ROOT_OID, "i", 1, S_IFREG, 0, NULL, &caller, &attr), -EEXIST);
    change_as(f, 8, "j");
    storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, true});
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -ENOSPC);
    storage_fault_set(f->fault, NULL);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_newest_user(f, "user8");
    change_as(f, 8, "k");
    storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, true});
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -ENOSPC);
    head_act_as(f->head, 9);
    assert_int_equal(head_unlink(f->head, ROOT_OID, "a", 1), 0);
    storage_fault_set(f->fault, NULL);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_newest_user(f, "");
    head_act_as(f->head, HEAD_NOBODY);
    close_head(f, &(struct head_options){.dirty_limit_bytes = UINT64_C(64) << 20}); /* `asked` ends here */
}

static void test_head__a_commit_without_space_is_tried_again_with_all_it_had(void **state) {
    struct fixture *f = *state;
    struct head_attr attr;
    uint64_t a = make_file(f, "a"), gone = make_file(f, "gone");
    write_(f, a, 0, "one");
    write_(f, gone, 0, "never");
    assert_int_equal(head_setxattr(f->head, a, "user.k", "v", 1, 0), 0);
    uint64_t last = store_last(f->store);
    storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, true});
    assert_int_equal(head_seal(f->head, NULL, "lost", NULL), -ENOSPC);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -ENOSPC);
    assert_int_equal(store_last(f->store), last);
    uint64_t other;
    assert_int_equal(make(f, ROOT_OID, "more", S_IFREG, &other), -ENOSPC);
    assert_content(f, a, "one");
    assert_int_equal(head_unlink(f->head, ROOT_OID, "gone", 4), 0); /* removing works */
    assert_int_equal(rename_(f, "a", "b", 0), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -ENOSPC);
    head_forget(f->head, gone, 1);
    head_forget(f->head, a, 1);
    storage_fault_set(f->fault, NULL);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_int_equal(store_last(f->store), last + 1);
    reopen(f);
    assert_int_equal(lookup(f, ROOT_OID, "b", &attr), 0);
    assert_int_equal(attr.oid, a);
    assert_content(f, a, "one");
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), -ENOENT);
    assert_int_equal(lookup(f, ROOT_OID, "gone", &attr), -ENOENT);
    char value[4];
    size_t length;
    assert_int_equal(head_getxattr(f->head, a, "user.k", value, sizeof value, &length), 0);
}

static void test_head__a_failed_disk_ends_writing_but_not_reading(void **state) {
    struct fixture *f = *state;
    uint64_t oid = make_file(f, "a"), other;
    write_(f, oid, 0, "one");
    uint64_t last = store_last(f->store);
    storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_IO, false});
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -EIO);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -EIO);
    assert_int_equal(make(f, ROOT_OID, "b", S_IFREG, &other), -EIO);
    assert_content(f, oid, "one");
    assert_int_equal(store_last(f->store), last);
    assert_int_equal(head_close(f->head), -EIO);
    store_close(f->store);
    open_all(f);
    struct head_attr attr;
    assert_int_equal(lookup(f, ROOT_OID, "a", &attr), -ENOENT);
}

/* ---- random operations against a model ---- */

#define FILES      24
#define FILE_BYTES 700000

struct model_file {
    uint64_t oid;
    uint8_t *data;
    size_t size;
    int links;
};
struct model {
    struct model_file files[FILES * 4];
    int names[FILES]; /* name i leads to file names[i], or -1 */
    int file_count;
    uint64_t seed;
};

static uint32_t draw(struct model *model, uint32_t below) {
    model->seed = model->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(model->seed >> 33) % below;
}

static void name_of(int i, char name[16]) {
    (void)snprintf(name, 16, "name%d", i);
}

static void model_drop(struct fixture *f, struct model *model, int i) {
    struct model_file *file = &model->files[model->names[i]];
    model->names[i] = -1;
    if (--file->links)
        return;
    head_forget(f->head, file->oid, 1);
    free(file->data);
    file->data = NULL;
}

static void model_names_step(struct fixture *f, struct model *model, int i, int j) {
    char a[16], b[16];
    struct head_attr attr;
    name_of(i, a);
    name_of(j, b);
    if (model->names[i] < 0) {
        int at = 0;
        while (model->files[at].links)
            at++;
        struct model_file *file = &model->files[at];
        assert_int_equal(head_make(f->head, ROOT_OID, a, strlen(a), S_IFREG | 0600, 0, NULL, &caller, &attr), 0);
        *file = (struct model_file){attr.oid, calloc(1, FILE_BYTES), 0, 1};
        model->names[i] = at;
        return;
    }
    struct model_file *file = &model->files[model->names[i]];
    switch (draw(model, 3)) {
    case 0:
        assert_int_equal(head_unlink(f->head, ROOT_OID, a, strlen(a)), 0);
        model_drop(f, model, i);
        break;
    case 1:
        if (i == j || model->names[j] == model->names[i])
            break;
        assert_int_equal(head_rename(f->head, ROOT_OID, a, strlen(a), ROOT_OID, b, strlen(b), 0), 0);
        if (model->names[j] >= 0)
            model_drop(f, model, j);
        model->names[j] = model->names[i];
        model->names[i] = -1;
        break;
    default:
        if (model->names[j] >= 0)
            break;
        assert_int_equal(head_link(f->head, file->oid, ROOT_OID, b, strlen(b), &attr), 0);
        head_forget(f->head, file->oid, 1);
        model->names[j] = model->names[i];
        file->links++;
    }
}

static void model_data_step(struct fixture *f, struct model *model, struct model_file *file, struct model_file *other) {
    uint32_t offset = draw(model, FILE_BYTES), length = draw(model, draw(model, 4) ? 9000 : 300000);
    if (offset + length > FILE_BYTES)
        length = FILE_BYTES - offset;
    struct head_attr attr, set;
    uint64_t copied;
    switch (draw(model, 6)) {
    case 0:
        set.size = offset;
        assert_int_equal(head_setattr(f->head, file->oid, HEAD_SET_SIZE, &set, &attr), 0);
        if (offset < file->size)
            memset(file->data + offset, 0, file->size - offset);
        file->size = offset;
        break;
    case 1:
        if (!length)
            break;
        assert_int_equal(
            head_fallocate(f->head, file->oid, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length, false), 0);
        if (offset < file->size)
            memset(file->data + offset, 0, offset + length < file->size ? length : file->size - offset);
        break;
    case 2: {
        uint32_t from = draw(model, FILE_BYTES);
        if (file == other || from + length > FILE_BYTES)
            break;
        assert_int_equal(head_copy_range(f->head, other->oid, 0, from, file->oid, offset, length, false, &copied), 0);
        size_t expect = from >= other->size ? 0 : other->size - from < length ? other->size - from : length;
        assert_int_equal(copied, expect);
        memcpy(file->data + offset, other->data + from, expect);
        if (expect && offset + expect > file->size)
            file->size = offset + expect;
        break;
    }
    default: {
        uint8_t *bytes = malloc(length + 1);
        for (uint32_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)draw(model, 256);
        assert_int_equal(head_write(f->head, file->oid, offset, length, bytes, false), length);
        memcpy(file->data + offset, bytes, length);
        if (length && offset + length > file->size)
            file->size = offset + length;
        free(bytes);
    }
    }
}

static void model_check(struct fixture *f, struct model *model) {
    uint8_t *buffer = malloc(FILE_BYTES + 10);
    for (int i = 0; i < FILES; i++) {
        char name[16];
        struct head_attr attr;
        name_of(i, name);
        int rc = lookup(f, ROOT_OID, name, &attr);
        if (model->names[i] < 0) {
            assert_int_equal(rc, -ENOENT);
            continue;
        }
        const struct model_file *file = &model->files[model->names[i]];
        assert_int_equal(rc, 0);
        assert_int_equal(attr.oid, file->oid);
        assert_int_equal(attr.nlink, file->links);
        assert_int_equal(attr.size, file->size);
        size_t done;
        assert_int_equal(head_read(f->head, file->oid, 0, FILE_BYTES + 10, buffer, &done), 0);
        assert_int_equal(done, file->size);
        assert_memory_equal(buffer, file->data, done);
        assert_true(attr.allocated <= file->size);
    }
    free(buffer);
}

static void count_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    print_message("verify: %s: %s\n", problem->path ? problem->path : "-", problem->text);
}

static void test_head__random_operations_match_a_model(void **state) {
    struct fixture *f = *state;
    struct model model = {.seed = 20261122};
    for (int i = 0; i < FILES; i++)
        model.names[i] = -1;
    for (int step = 0; step < 6000; step++) {
        int i = (int)draw(&model, FILES), j = (int)draw(&model, FILES);
        uint32_t what = draw(&model, 100);
        if (what < 30) {
            model_names_step(f, &model, i, j);
        } else if (what < 90) {
            if (model.names[i] >= 0 && model.names[j] >= 0)
                model_data_step(f, &model, &model.files[model.names[i]], &model.files[model.names[j]]);
        } else if (what < 95) {
            assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
        } else if (what < 97) {
            storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, false});
            (void)head_seal(f->head, NULL, NULL, NULL);
            storage_fault_set(f->fault, NULL);
            assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
        }
        if (step % 500 == 499) {
            model_check(f, &model);
            for (int n = 0; n < FILES * 4; n++)
                if (model.files[n].links)
                    head_forget(f->head, model.files[n].oid, 1);
            reopen(f);
            model_check(f, &model);
            struct head_attr attr;
            for (int n = 0; n < FILES * 4; n++)
                if (model.files[n].links)
                    assert_int_equal(head_hold(f->head, model.files[n].oid, &attr), 0);
        }
    }
    for (int i = 0; i < FILES; i++)
        if (model.names[i] >= 0)
            model_drop(f, &model, i);
    uint64_t problems;
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_int_equal(
        storage_verify(store_storage(f->store), &(struct verify_options){.problem = count_problem}, &problems),
        STORE_OK);
    assert_int_equal(problems, 0);
}

struct worker {
    struct fixture *f;
    int number;
};

static void *work(void *context) {
    struct worker *worker = context;
    struct fixture *f = worker->f;
    for (int i = 0; i < 150; i++) {
        char name[32];
        struct head_attr attr;
        (void)snprintf(name, sizeof name, "w%d-%d", worker->number, i);
        if (head_make(f->head, ROOT_OID, name, strlen(name), S_IFREG | 0600, 0, NULL, &caller, &attr) < 0)
            return "make";
        uint8_t data[5000];
        memset(data, worker->number * 16 + i % 16, sizeof data);
        if (head_write(f->head, attr.oid, 100, sizeof data, data, false) != sizeof data)
            return "write";
        if (i % 5 == 0 && head_seal(f->head, NULL, i % 15 ? NULL : name, NULL) < 0)
            return "seal";
        uint8_t back[5000];
        size_t done;
        if (head_read(f->head, attr.oid, 100, sizeof back, back, &done) < 0 || done != sizeof back ||
            memcmp(back, data, sizeof back))
            return "read";
        head_forget(f->head, attr.oid, 1);
        if (i % 3 == 0 && head_unlink(f->head, ROOT_OID, name, strlen(name)) < 0)
            return "unlink";
    }
    return NULL;
}

static void test_head__threads_share_commits(void **state) {
    struct fixture *f = *state;
    struct worker workers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){f, i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        if (result)
            fail_msg("worker %d: %s", i, (char *)result);
    }
    reopen(f);
    struct head_attr attr;
    assert_int_equal(head_getattr(f->head, ROOT_OID, &attr), 0);
    assert_int_equal(attr.size, 4 * 100);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_head__a_made_file_is_found_before_and_after_reopening),
        TEST(test_head__names_give_the_errors_of_posix),
        TEST(test_head__directories_count_links_and_entries),
        TEST(test_head__rename_replaces_exchanges_and_refuses),
        TEST(test_head__readdir_goes_on_where_it_stopped_and_comes_to_an_end),
        TEST(test_head__a_name_made_and_removed_in_one_transaction_leaves_no_trace),
        TEST(test_head__truncation_never_brings_old_bytes_back),
        TEST(test_head__copy_range_shares_bytes_of_head_and_history),
        TEST(test_head__unlinked_files_live_as_long_as_they_are_held),
        TEST(test_head__sparse_files_seek_and_punch),
        TEST(test_head__times_stay_where_they_are_kept_elsewhere),
        TEST(test_head__extended_attributes_and_acls),
        TEST(test_head__a_message_makes_a_transaction_of_its_own),
        TEST(test_head__who_commits_is_named_only_if_something_is_pending),
        TEST(test_head__a_head_may_have_one_user),
        TEST(test_head__the_one_who_made_all_changes_is_named),
        TEST(test_head__a_commit_without_space_is_tried_again_with_all_it_had),
        TEST(test_head__a_failed_disk_ends_writing_but_not_reading),
        TEST(test_head__random_operations_match_a_model),
        TEST(test_head__threads_share_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
