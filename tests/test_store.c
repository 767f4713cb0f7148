#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_private.h"
#include "tests/sample.h"

#define AT(seq) ((seq) + 1) /* the `before` that includes a transaction */

static int setup(void **state) {
    *state = sample_new(NULL);
    return 0;
}

static int teardown(void **state) {
    sample_free(*state);
    return 0;
}

static void expect_content(struct sample *sample, uint64_t oid, uint64_t before, const char *expected) {
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, oid, before, &inode), STORE_OK);
    char buffer[4096];
    size_t done;
    assert_int_equal(store_read(sample->store, inode, before, 0, sizeof buffer, (uint8_t *)buffer, &done), STORE_OK);
    assert_int_equal(done, strlen(expected));
    assert_memory_equal(buffer, expected, done);
    store_release(sample->store, inode);
}

static uint64_t lookup(struct sample *sample, uint64_t directory, const char *name, uint64_t before) {
    uint64_t oid;
    uint32_t type;
    int rc = store_lookup(sample->store, directory, name, strlen(name), before, &oid, &type);
    assert_in_range(rc, STORE_OK, STORE_ABSENT);
    return rc == STORE_OK ? oid : 0;
}

/* ---- making and opening ---- */

static void test_store__create_commits_the_root(void **state) {
    struct sample *sample = *state;
    assert_int_equal(store_last(sample->store), 1);
    struct inode_version *root;
    assert_int_equal(store_inode(sample->store, ROOT_OID, 2, &root), STORE_OK);
    assert_int_equal(root->record.mode, S_IFDIR | 0755);
    assert_int_equal(root->record.uid, 1000);
    assert_int_equal(root->record.nlink, 2);
    assert_int_equal(root->record.parent, ROOT_OID);
    assert_int_equal(root->record.next_index, ENTRY_INDEX_FIRST);
    store_release(sample->store, root);
    struct transaction first;
    assert_int_equal(storage_transaction_at(store_storage(sample->store), 1, &first), STORE_OK);
    assert_string_equal(first.message, "store created");
    assert_true(strlen(first.user) > 0);
    transaction_release(&first);
    assert_int_equal(store_inode(sample->store, ROOT_OID, 1, &root), STORE_ABSENT);
}

static void test_store__create_refuses_what_is_not_empty_and_leaves_it(void **state) {
    (void)state;
    char directory[] = "/tmp/tidfs-store-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char file[128];
    snprintf(file, sizeof file, "%s/precious", directory);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    struct error err;
    assert_int_equal(store_create(directory, 0, 0, &err), STORE_EXISTS);
    assert_non_null(strstr(err.text, directory));
    assert_int_equal(access(file, F_OK), 0);
    assert_int_equal(store_create(file, 0, 0, &err), STORE_EXISTS);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(directory), 0);
}

static void test_store__create_makes_one_level_and_cleans_up(void **state) {
    (void)state;
    char directory[] = "/tmp/tidfs-store-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char deep[128];
    snprintf(deep, sizeof deep, "%s/a/b", directory);
    struct error err;
    assert_true(store_create(deep, 0, 0, &err) < 0);
    assert_non_null(strstr(err.text, deep));
    assert_int_equal(rmdir(directory), 0); /* nothing was left */
}

static void test_store__open_says_what_is_missing(void **state) {
    (void)state;
    struct store *store = NULL;
    struct error err;
    const struct store_options options = {0};
    assert_int_equal(store_open("/tmp/tidfs-no-such-store", &options, &store, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "/tmp/tidfs-no-such-store"));
    assert_null(store);
}

static void test_store__second_writer_is_refused_and_readers_are_not(void **state) {
    struct sample *sample = *state;
    struct store *second = NULL;
    struct error err;
    const struct store_options write = {.writable = true};
    const struct store_options read = {0};
    assert_int_equal(store_set_mount_point(sample->store, "/mnt/somewhere"), STORE_OK);
    assert_int_equal(store_open(sample->directory, &write, &second, &err), STORE_LOCKED);
    assert_non_null(strstr(err.text, "/mnt/somewhere"));
    assert_int_equal(store_open(sample->directory, &read, &second, &err), STORE_OK);
    assert_int_equal(store_last(second), 1);
    assert_int_equal(store_set_mount_point(second, "/mnt/x"), STORE_READ_ONLY);
    assert_string_equal(store_directory(second), store_directory(sample->store));
    store_close(second);
}

static void test_store__lock_goes_with_the_writer(void **state) {
    struct sample *sample = *state;
    sample_reopen(sample, NULL);
    assert_int_equal(store_last(sample->store), 1);
}

static void count_line(void *context, enum log_level level, const char *line) {
    (void)level;
    (void)line;
    atomic_fetch_add((_Atomic uint64_t *)context, 1);
}

static void test_store__trace_logs_the_storages_calls(void **state) {
    struct sample *sample = *state;
    _Atomic uint64_t lines = 0;
    struct log log = {.write = count_line, .context = &lines, .most = LOG_LEVEL_DEBUG};
    const struct store_options options = {.writable = true, .trace = true, .log = &log};
    sample_reopen(sample, &options);
    uint64_t before = atomic_load(&lines);
    struct inode_version *root;
    assert_int_equal(store_inode(sample->store, ROOT_OID, 2, &root), STORE_OK);
    store_release(sample->store, root);
    assert_true(atomic_load(&lines) > before);
    sample_reopen(sample, NULL);
}

/* ---- reading ---- */

static void test_store__every_instant_keeps_its_content(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "one");
    sample_commit(sample, "one");
    sample_write(sample, file, "two, longer");
    sample_commit(sample, "two");
    sample_chmod(sample, file, 0600);
    sample_commit(sample, "mode");
    sample_write(sample, file, "");
    sample_commit(sample, "empty");
    for (int round = 0; round < 2; round++) { /* loaded, then cached */
        expect_content(sample, file, AT(2), "one");
        expect_content(sample, file, AT(3), "two, longer");
        expect_content(sample, file, AT(4), "two, longer");
        expect_content(sample, file, AT(5), "");
    }
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, file, 2, &inode), STORE_ABSENT);
    sample_reopen(sample, NULL);
    expect_content(sample, file, AT(3), "two, longer");
}

static void test_store__deleted_is_absent_and_was_there_before(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "one");
    sample_commit(sample, "made");
    sample_remove(sample, ROOT_OID, "file");
    sample_commit(sample, "removed");
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, file, AT(3), &inode), STORE_ABSENT);
    assert_int_equal(lookup(sample, ROOT_OID, "file", AT(3)), 0);
    assert_int_equal(lookup(sample, ROOT_OID, "file", AT(2)), file);
    expect_content(sample, file, AT(2), "one");
}

static void test_store__revision_id_names_one_version(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "one");
    sample_commit(sample, "one");
    sample_write(sample, file, "four");
    sample_commit(sample, "two");
    struct inode_version *old;
    assert_int_equal(store_inode(sample->store, file, AT(2), &old), STORE_OK);
    for (int round = 0; round < 2; round++) {
        struct inode_version *same;
        assert_int_equal(store_inode_by_revision(sample->store, old->revision, &same), STORE_OK);
        assert_int_equal(same->oid, file);
        assert_int_equal(same->cached.from, 2);
        assert_int_equal(same->record.size, 3);
        uint64_t before;
        assert_int_equal(store_version_instant(sample->store, same, &before), STORE_OK);
        assert_int_equal(before, 3);
        store_release(sample->store, same);
    }
    struct inode_version *none;
    assert_int_equal(store_inode_by_revision(sample->store, 123456789, &none), STORE_ABSENT);
    store_release(sample->store, old);
}

static void test_store__list_of_every_instant(void **state) {
    struct sample *sample = *state;
    sample_make(sample, ROOT_OID, "b", S_IFREG | 0644, NULL);
    sample_make(sample, ROOT_OID, "a", S_IFDIR | 0755, NULL);
    sample_commit(sample, "2");
    sample_remove(sample, ROOT_OID, "b");
    sample_make(sample, ROOT_OID, "aa", S_IFREG | 0644, NULL);
    sample_commit(sample, "3");
    for (int round = 0; round < 2; round++) {
        struct list_version *list;
        assert_int_equal(store_list(sample->store, ROOT_OID, AT(2), &list), STORE_OK);
        assert_int_equal(list->list.count, 2);
        assert_string_equal(list->list.items[0].name, "b"); /* in order of creation */
        assert_non_null(list_version_find(list, "a", 1));
        assert_non_null(list_version_find(list, "b", 1));
        assert_null(list_version_find(list, "aa", 2));
        assert_null(list_version_find(list, "", 0));
        assert_int_equal(lookup(sample, ROOT_OID, "b", AT(2)), 2);
        store_release(sample->store, list);
        assert_int_equal(store_list(sample->store, ROOT_OID, AT(3), &list), STORE_OK);
        assert_int_equal(list->list.count, 2);
        assert_null(list_version_find(list, "b", 1));
        assert_int_equal(list_version_find(list, "aa", 2)->type, S_IFREG);
        store_release(sample->store, list);
        assert_int_equal(store_list(sample->store, ROOT_OID, 1, &list), STORE_ABSENT);
    }
}

static void test_store__list_finds_each_of_many(void **state) {
    struct sample *sample = *state;
    char name[32];
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "%u", i * 7919 % 200);
        sample_make(sample, ROOT_OID, name, S_IFREG | 0644, NULL);
    }
    sample_commit(sample, "many");
    struct list_version *list;
    assert_int_equal(store_list(sample->store, ROOT_OID, AT(2), &list), STORE_OK);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "%u", i);
        const struct entry *entry = list_version_find(list, name, strlen(name));
        assert_non_null(entry);
        assert_string_equal(entry->name, name);
    }
    assert_null(list_version_find(list, "200", 3));
    assert_null(list_version_find(list, "1", 0));
    store_release(sample->store, list);
}

static uint64_t subtree_seq(struct sample *sample, uint64_t directory, uint64_t before) {
    struct subtree_version *subtree;
    assert_int_equal(store_subtree(sample->store, directory, before, &subtree), STORE_OK);
    uint64_t seq = subtree->subtree.seq;
    store_release(sample->store, subtree);
    return seq;
}

static void test_store__subtree_is_never_stale(void **state) {
    struct sample *sample = *state;
    uint64_t a = sample_make(sample, ROOT_OID, "a", S_IFDIR | 0755, NULL);
    uint64_t b = sample_make(sample, a, "b", S_IFDIR | 0755, NULL);
    uint64_t other = sample_make(sample, ROOT_OID, "other", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(sample, b, "file", S_IFREG | 0644, "1");
    sample_commit(sample, "2");
    for (uint64_t seq = 3; seq < 10; seq++) {
        assert_int_equal(subtree_seq(sample, ROOT_OID, AT(seq - 1)), seq - 1);
        assert_int_equal(subtree_seq(sample, a, AT(seq - 1)), seq - 1);
        assert_int_equal(subtree_seq(sample, other, AT(seq - 1)), 2);
        sample_write(sample, file, "changed, though neither a nor the root are named in this commit");
        sample_commit(sample, "more");
        assert_int_equal(subtree_seq(sample, ROOT_OID, AT(seq)), seq);
        assert_int_equal(subtree_seq(sample, a, AT(seq)), seq);
        assert_int_equal(subtree_seq(sample, a, AT(2)), 2);
    }
}

static void test_store__xattrs_of_every_instant(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "1");
    sample_commit(sample, "2");
    sample_set_xattr(sample, file, "user.colour", "red");
    sample_commit(sample, "3");
    sample_set_xattr(sample, file, "user.colour", "blue");
    sample_commit(sample, "4");
    struct xattrs_version *xattrs;
    assert_int_equal(store_xattrs(sample->store, file, AT(2), &xattrs), STORE_ABSENT);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(store_xattrs(sample->store, file, AT(3), &xattrs), STORE_OK);
        assert_memory_equal(xattr_set_find(&xattrs->set, "user.colour")->value, "red", 3);
        store_release(sample->store, xattrs);
        assert_int_equal(store_xattrs(sample->store, file, AT(4), &xattrs), STORE_OK);
        assert_memory_equal(xattr_set_find(&xattrs->set, "user.colour")->value, "blue", 4);
        store_release(sample->store, xattrs);
    }
}

/* A file of three chunks: extents out of the middle of bodies, holes between them, one whole chunk a hole. */
enum { MODEL_SIZE = 2 * CHUNK_BYTES + 5000 };

static uint64_t make_model(struct sample *sample, uint8_t *model) {
    static uint8_t bytes[BODY_MAX];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(1 + (i * 31 + i / 251) % 255);
    }
    uint64_t file = sample_make(sample, ROOT_OID, "model", S_IFREG | 0644, NULL);
    struct body_ref large = sample_body(sample, bytes, BODY_MAX);
    struct body_ref small = sample_body(sample, bytes, 700);
    struct extent first[] = {
        {.start = 0, .length = 700, .body = small},
        {.start = 700, .length = 1000, .skip = 5000, .body = large},
        {.start = 100000, .length = BODY_MAX, .body = large},
        {.start = 200000, .length = CHUNK_BYTES - 200000, .skip = 17, .body = large},
    };
    struct extent third[] = {{.start = 1000, .length = 300, .skip = 100, .body = small}};
    const struct {
        uint64_t number;
        struct chunk chunk;
    } chunks[] = {{0, {first, 4}}, {2, {third, 1}}};
    memset(model, 0, MODEL_SIZE);
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < chunks[i].chunk.count; j++) {
            const struct extent *extent = &chunks[i].chunk.extents[j];
            memcpy(model + chunks[i].number * CHUNK_BYTES + extent->start, bytes + extent->skip, extent->length);
        }
        sample_set_chunk(sample, file, chunks[i].number, &chunks[i].chunk, MODEL_SIZE);
    }
    sample_commit(sample, "model");
    return file;
}

static void test_store__read_any_range(void **state) {
    struct sample *sample = *state;
    uint8_t *model = malloc(MODEL_SIZE);
    uint8_t *buffer = malloc(MODEL_SIZE + 100);
    assert_non_null(model);
    assert_non_null(buffer);
    uint64_t file = make_model(sample, model);
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, file, AT(2), &inode), STORE_OK);
    const uint64_t edges[] = {0,
                              1,
                              699,
                              700,
                              1699,
                              1700,
                              99999,
                              100000,
                              165536,
                              200000,
                              200001,
                              CHUNK_BYTES,
                              CHUNK_BYTES + 1,
                              2 * CHUNK_BYTES,
                              525288,
                              525588,
                              MODEL_SIZE - 1,
                              MODEL_SIZE,
                              MODEL_SIZE + 50};
    const size_t count = sizeof edges / sizeof edges[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i; j < count; j++) {
            size_t size = (size_t)(edges[j] - edges[i]);
            size_t left = edges[i] < MODEL_SIZE ? (size_t)(MODEL_SIZE - edges[i]) : 0;
            size_t expected = size < left ? size : left;
            size_t done;
            memset(buffer, 0xee, MODEL_SIZE + 100);
            assert_int_equal(store_read(sample->store, inode, AT(2), edges[i], size, buffer, &done), STORE_OK);
            assert_int_equal(done, expected);
            assert_memory_equal(buffer, model + edges[i], done);
            assert_int_equal(buffer[done], 0xee);
        }
    }
    store_release(sample->store, inode);
    free(model);
    free(buffer);
}

static void test_store__seek_data_and_holes(void **state) {
    struct sample *sample = *state;
    uint8_t *model = malloc(MODEL_SIZE);
    assert_non_null(model);
    uint64_t file = make_model(sample, model);
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, file, AT(2), &inode), STORE_OK);
    static const struct {
        uint64_t offset, data, hole; /* UINT64_MAX: none */
    } cases[] = {
        {0, 0, 1700},
        {1699, 1699, 1700},
        {1700, 100000, 1700},
        {100001, 100001, 165536},
        {170000, 200000, 170000},
        {200000, 200000, CHUNK_BYTES},
        {CHUNK_BYTES, 2 * CHUNK_BYTES + 1000, CHUNK_BYTES},
        {2 * CHUNK_BYTES + 1299, 2 * CHUNK_BYTES + 1299, 2 * CHUNK_BYTES + 1300},
        {2 * CHUNK_BYTES + 1300, UINT64_MAX, 2 * CHUNK_BYTES + 1300},
        {MODEL_SIZE - 1, UINT64_MAX, MODEL_SIZE - 1},
        {MODEL_SIZE, UINT64_MAX, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t result = UINT64_MAX;
        int rc = store_seek(sample->store, inode, AT(2), cases[i].offset, false, &result);
        assert_int_equal(rc, cases[i].data == UINT64_MAX ? STORE_ABSENT : STORE_OK);
        assert_int_equal(result, cases[i].data);
        result = UINT64_MAX;
        rc = store_seek(sample->store, inode, AT(2), cases[i].offset, true, &result);
        assert_int_equal(rc, cases[i].hole == UINT64_MAX ? STORE_ABSENT : STORE_OK);
        assert_int_equal(result, cases[i].hole);
    }
    store_release(sample->store, inode);
    free(model);
}

static void test_store__a_file_without_holes_ends_in_one(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "full");
    sample_commit(sample, "2");
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, file, AT(2), &inode), STORE_OK);
    uint64_t result;
    assert_int_equal(store_seek(sample->store, inode, AT(2), 1, true, &result), STORE_OK);
    assert_int_equal(result, 4);
    store_release(sample->store, inode);
}

static void test_store__ended_chunk_is_a_hole_from_then_on(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "text");
    sample_commit(sample, "2");
    sample_set_chunk(sample, file, 0, NULL, 4);
    sample_commit(sample, "3");
    for (int round = 0; round < 2; round++) {
        struct chunk_version *chunk;
        assert_int_equal(store_chunk(sample->store, file, 0, AT(2), &chunk), STORE_OK);
        assert_int_equal(chunk->chunk.count, 1);
        store_release(sample->store, chunk);
        assert_int_equal(store_chunk(sample->store, file, 0, AT(3), &chunk), STORE_OK);
        assert_int_equal(chunk->chunk.count, 0);
        store_release(sample->store, chunk);
    }
}

static void test_store__a_hole_that_is_cached_is_seen_to_be_filled(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, NULL);
    sample_commit(sample, "2");
    struct chunk_version *chunk;
    assert_int_equal(store_chunk(sample->store, file, 0, AT(2), &chunk), STORE_OK);
    assert_int_equal(chunk->chunk.count, 0);
    store_release(sample->store, chunk);
    sample_write(sample, file, "text");
    sample_commit(sample, "3");
    expect_content(sample, file, AT(3), "text");
    expect_content(sample, file, AT(2), "");
    assert_int_equal(store_chunk(sample->store, file, UINT64_MAX >> 1, AT(3), &chunk), STORE_INVALID);
}

static void test_store__read_body_verifies_and_takes_ranges(void **state) {
    struct sample *sample = *state;
    struct body_ref body = sample_body(sample, "0123456789", 10);
    uint8_t buffer[10];
    assert_int_equal(store_read_body(sample->store, &body, 3, 4, buffer), STORE_OK);
    assert_memory_equal(buffer, "3456", 4);
    assert_int_equal(store_read_body(sample->store, &body, 0, 10, buffer), STORE_OK);
    assert_int_equal(store_read_body(sample->store, &body, 7, 4, buffer), STORE_INVALID);
    assert_int_equal(store_read_body(sample->store, &body, 11, 0, buffer), STORE_INVALID);
    body.sum ^= 1;
    assert_int_equal(store_read_body(sample->store, &body, 3, 4, buffer), STORE_CORRUPT);
    assert_int_equal(store_read_body(sample->store, &body, 0, 10, buffer), STORE_CORRUPT);
}

/* A storage that has every body, and counts. */
struct all_bodies {
    struct storage base;
    uint64_t reads;
};

static int count_body_read(struct storage *base, const struct body_ref *ref, uint8_t *buffer) {
    ((struct all_bodies *)base)->reads++;
    buffer[0] = (uint8_t)ref->position;
    return STORE_OK;
}

/* A chunk of `count` extents of one byte, which use so many large bodies in turn. */
static void make_scattered(struct chunk_version *chunk, uint32_t count, uint32_t bodies) {
    *chunk = (struct chunk_version){.chunk = {.extents = calloc(count, sizeof(struct extent)), .count = count}};
    assert_non_null(chunk->chunk.extents);
    for (uint32_t i = 0; i < count; i++)
        chunk->chunk.extents[i] = (struct extent){
            .start = i, .length = 1, .body = {.file = 1, .position = i % bodies, .length = BODY_LIMIT, .sum = 1}};
}

static void test_store__a_scattered_chunk_does_not_take_for_ever(void **state) {
    static const struct storage_ops ops = {.name = "all bodies", .body_read = count_body_read};
    static uint8_t buffer[CHUNK_BYTES];
    struct all_bodies all = {.base = {.ops = &ops}};
    struct sample *sample = *state;
    struct store *store = sample->store;
    struct storage *own = store->storage;
    struct chunk_version chunk;
    store->storage = &all.base;
    /* A few bodies are read once each. */
    make_scattered(&chunk, CHUNK_BYTES, 8);
    assert_int_equal(store_read_chunk(store, &chunk, 0, CHUNK_BYTES, buffer), STORE_OK);
    assert_int_equal(all.reads, 8);
    uint32_t right = 0;
    while (right < CHUNK_BYTES && buffer[right] == right % 8)
        right++;
    assert_int_equal(right, CHUNK_BYTES);
    free(chunk.chunk.extents);
    /* More than that may take a while, and no more than a while. */
    all.reads = 0;
    make_scattered(&chunk, CHUNK_BYTES, 9);
    assert_int_equal(store_read_chunk(store, &chunk, 0, CHUNK_BYTES, buffer), STORE_CORRUPT);
    assert_in_range(all.reads, 4096, 4097);
    /* A part of it is read. */
    assert_int_equal(store_read_chunk(store, &chunk, 1000, 4000, buffer), STORE_OK);
    assert_int_equal(buffer[8], 1008 % 9);
    free(chunk.chunk.extents);
    store->storage = own;
}

static void test_store__second_reading_comes_from_the_cache(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "text");
    sample_commit(sample, "2");
    sample_make(sample, ROOT_OID, "other", S_IFREG | 0644, "text");
    sample_commit(sample, "3");
    expect_content(sample, file, AT(2), "text");
    struct cache_statistics first, second;
    cache_get_statistics(store_cache(sample->store), &first);
    expect_content(sample, file, AT(3), "text"); /* another instant, the same version */
    cache_get_statistics(store_cache(sample->store), &second);
    assert_int_equal(second.misses, first.misses);
    assert_int_equal(second.hits, first.hits + 2);
}

/* ---- commits ---- */

static void test_store__failed_commit_changes_nothing(void **state) {
    struct sample *sample = *state;
    sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "text");
    sample_commit(sample, "2");
    const struct commit stale = {.base = 1, .wall = sample->clock, .user = "", .message = "", .next_oid = 100};
    assert_int_equal(store_commit(sample->store, &stale, NULL), STORE_CONFLICT);
    assert_int_equal(store_last(sample->store), 2);
    sample_make(sample, ROOT_OID, "more", S_IFREG | 0644, "text");
    sample_commit(sample, "3");
    assert_int_equal(store_last(sample->store), 3);
}

static void test_store__refresh_follows_another_writer(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    struct store *reader;
    struct error err;
    const struct store_options options = {0};
    assert_int_equal(store_open(sample->directory, &options, &reader, &err), STORE_OK);
    struct sample view = *sample;
    view.store = reader;
    expect_content(&view, file, AT(2), "one");
    assert_int_equal(subtree_seq(&view, ROOT_OID, AT(2)), 2);
    assert_int_equal(store_refresh(reader, NULL, NULL), STORE_ABSENT);

    sample_write(sample, file, "two");
    sample_commit(sample, "3");
    sample_make(sample, ROOT_OID, "new", S_IFREG | 0644, NULL);
    sample_commit(sample, "4");
    assert_int_equal(store_last(reader), 2);
    expect_content(&view, file, AT(2), "one");
    uint64_t *oids;
    size_t count;
    assert_int_equal(store_refresh(reader, &oids, &count), STORE_OK);
    assert_int_equal(store_last(reader), 4);
    assert_int_equal(count, 3);
    free(oids);
    expect_content(&view, file, AT(2), "one");
    expect_content(&view, file, AT(3), "two");
    expect_content(&view, file, AT(4), "two");
    assert_int_equal(lookup(&view, ROOT_OID, "new", AT(4)), 3);
    assert_int_equal(lookup(&view, ROOT_OID, "new", AT(3)), 0);
    assert_int_equal(subtree_seq(&view, ROOT_OID, AT(4)), 4);
    store_close(reader);
}

/* ---- threads ---- */

struct race {
    struct sample *sample;
    uint64_t file;
    _Atomic bool stop;
    _Atomic uint64_t wrong;
};

/* The content of the file as of transaction `seq` is the seq in decimal. */
static void *read_race(void *argument) {
    struct race *race = argument;
    struct store *store = race->sample->store;
    uint64_t random = 1;

    while (!atomic_load(&race->stop)) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t last = store_last(store);
        uint64_t seq = (random >> 40) % 2 == 0 ? last : 2 + (random >> 41) % (last - 1);
        struct inode_version *inode;
        char text[32] = "";
        char expected[32];
        size_t done;
        snprintf(expected, sizeof expected, "%u", (unsigned)seq);
        bool right = store_inode(store, race->file, AT(seq), &inode) == STORE_OK;
        if (right) {
            right = store_read(store, inode, AT(seq), 0, sizeof text, (uint8_t *)text, &done) == STORE_OK &&
                    strcmp(text, expected) == 0;
            store_release(store, inode);
        }
        struct subtree_version *subtree;
        if (store_subtree(store, ROOT_OID, AT(seq), &subtree) == STORE_OK) {
            right = right && subtree->subtree.seq == seq;
            store_release(store, subtree);
        } else {
            right = false;
        }
        if (!right) {
            atomic_fetch_add(&race->wrong, 1);
        }
    }
    return NULL;
}

static void test_store__readers_are_right_while_a_writer_commits(void **state) {
    struct sample *sample = *state;
    struct race race = {.sample = sample, .file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "2")};
    sample_commit(sample, "2");
    pthread_t readers[3];
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_race, &race), 0);
    }
    for (unsigned seq = 3; seq < 200; seq++) {
        char text[32];
        snprintf(text, sizeof text, "%u", seq);
        sample_write(sample, race.file, text);
        sample_commit(sample, text);
    }
    atomic_store(&race.stop, true);
    for (size_t i = 0; i < 3; i++) {
        pthread_join(readers[i], NULL);
    }
    assert_int_equal(atomic_load(&race.wrong), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_store__create_commits_the_root),
        cmocka_unit_test(test_store__create_refuses_what_is_not_empty_and_leaves_it),
        cmocka_unit_test(test_store__create_makes_one_level_and_cleans_up),
        cmocka_unit_test(test_store__open_says_what_is_missing),
        TEST(test_store__second_writer_is_refused_and_readers_are_not),
        TEST(test_store__lock_goes_with_the_writer),
        TEST(test_store__trace_logs_the_storages_calls),
        TEST(test_store__every_instant_keeps_its_content),
        TEST(test_store__deleted_is_absent_and_was_there_before),
        TEST(test_store__revision_id_names_one_version),
        TEST(test_store__list_of_every_instant),
        TEST(test_store__list_finds_each_of_many),
        TEST(test_store__subtree_is_never_stale),
        TEST(test_store__xattrs_of_every_instant),
        TEST(test_store__read_any_range),
        TEST(test_store__seek_data_and_holes),
        TEST(test_store__a_file_without_holes_ends_in_one),
        TEST(test_store__ended_chunk_is_a_hole_from_then_on),
        TEST(test_store__a_hole_that_is_cached_is_seen_to_be_filled),
        TEST(test_store__read_body_verifies_and_takes_ranges),
        TEST(test_store__a_scattered_chunk_does_not_take_for_ever),
        TEST(test_store__second_reading_comes_from_the_cache),
        TEST(test_store__failed_commit_changes_nothing),
        TEST(test_store__refresh_follows_another_writer),
        TEST(test_store__readers_are_right_while_a_writer_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
