/* Bytes of the head in many pieces: what is read, joined, shared, spilt and cut, and what a disk that fails on the way leaves. */
#include <fcntl.h>

#include "store/head_private.h"
#include "tests/head_fixture.h"

#define FILE_BYTES 1100000 /* some chunks */

/* What a file holds, beside it. */
struct shadow {
    struct fixture *f;
    const char *path;
    uint8_t *bytes;
    uint64_t size;
};

static struct shadow shadow_new(struct fixture *f, const char *path) {
    struct shadow shadow = {f, path, calloc(1, FILE_BYTES), 0};
    assert_non_null(shadow.bytes);
    assert_int_equal(make(f, path, S_IFREG | 0644, NULL), 0);
    return shadow;
}

static void shadow_write(struct shadow *shadow, uint64_t at, size_t length, uint8_t value) {
    memset(shadow->bytes + at, value, length);
    if (at + length > shadow->size)
        shadow->size = at + length;
    assert_int_equal(
        head_write(shadow->f->head, oid_of(shadow->f, shadow->path), at, length, shadow->bytes + at, false),
        (int64_t)length);
}

static void shadow_copy(struct shadow *from, uint64_t offset, struct shadow *to, uint64_t at, size_t length) {
    memcpy(to->bytes + at, from->bytes + offset, length);
    if (at + length > to->size)
        to->size = at + length;
    assert_int_equal(copy(to->f, from->path, 0, offset, to->path, at, length), 0);
}

static void shadow_check(const struct shadow *shadow) {
    static uint8_t found[FILE_BYTES + 1];
    size_t done;
    assert_int_equal(head_read(shadow->f->head, oid_of(shadow->f, shadow->path), 0, sizeof found, found, &done), 0);
    assert_int_equal(done, shadow->size);
    assert_memory_equal(found, shadow->bytes, done);
}

static void seal(struct fixture *f) {
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
}

/* As it is now, sealed, and read anew. */
static void shadow_end(struct shadow *shadow) {
    shadow_check(shadow);
    seal(shadow->f);
    shadow_check(shadow);
    reopen(shadow->f);
    shadow_check(shadow);
    free(shadow->bytes);
}

static void fail_once(struct fixture *f, const char *op, uint64_t nth, int code) {
    static struct storage_fault rule;
    rule = (struct storage_fault){op, nth, code, false};
    storage_fault_set(f->fault, &rule);
}

/* A sealed file of `count` pieces of as many bytes, each another. */
static struct shadow pieces_new(struct fixture *f, const char *path, unsigned count, size_t length) {
    struct shadow shadow = shadow_new(f, path);
    for (unsigned i = 0; i < count; i++)
        shadow_write(&shadow, i * length, length, (uint8_t)(i + 1));
    seal(f);
    return shadow;
}

static void test_head_data__a_chunk_of_many_bodies_is_read_in_turns(void **state) {
    struct fixture *f = *state;
    struct shadow from = pieces_new(f, "from", 80, 100), to = shadow_new(f, "to");
    for (unsigned i = 0; i < 80; i++)
        shadow_copy(&from, (79 - i) * 100, &to, i * 200, 100);
    shadow_check(&to);
    shadow_write(&to, 5, 10, 'w');
    free(from.bytes);
    shadow_end(&to);
}

static void test_head_data__small_neighbours_are_joined(void **state) {
    struct fixture *f = *state;
    struct shadow back = shadow_new(f, "back"), from = pieces_new(f, "from", 70, 50), to = shadow_new(f, "to");
    for (unsigned i = 90; i-- > 0;) /* backwards, or it would be one piece from the beginning */
        shadow_write(&back, i * 10, 10, (uint8_t)i);
    for (unsigned i = 0; i < 70; i++)
        shadow_copy(&from, (i * 37 % 70) * 50, &to, i * 50, 50);
    shadow_check(&to);
    free(from.bytes);
    free(to.bytes);
    struct object *object;
    uint64_t oid = oid_of(f, "back");
    head_lock(f->head);
    assert_int_equal(object_get(f->head, oid, &object), 0);
    assert_true(object->file->chunks[0]->count < 90);
    head_unlock(f->head);
    shadow_end(&back);
}

static void test_head_data__what_cannot_be_joined_stays_in_pieces(void **state) {
    struct fixture *f = *state;
    struct shadow from = pieces_new(f, "from", 60, 50), to = shadow_new(f, "to");
    for (unsigned i = 0; i < 60; i++)
        shadow_copy(&from, (i * 37 % 60) * 50, &to, i * 50, 50);
    seal(f);
    fail_once(f, "body_read", 7, STORE_IO);
    shadow_write(&to, 20, 3, 'x');
    assert_int_equal(storage_fault_count(f->fault), 7);
    storage_fault_set(f->fault, NULL);
    free(from.bytes);
    shadow_end(&to);
}

static void test_head_data__what_was_read_before_the_damage_is_given(void **state) {
    struct fixture *f = *state;
    struct shadow shadow = shadow_new(f, "f");
    shadow_write(&shadow, 0, CHUNK_BYTES, 'a');
    shadow_write(&shadow, CHUNK_BYTES, CHUNK_BYTES, 'b');
    uint64_t oid = oid_of(f, "f");
    uint8_t *found = malloc(2 * CHUNK_BYTES);
    size_t done;
    assert_non_null(found);
    for (int sealed = 0; sealed < 2; sealed++) {
        fail_once(f, "body_read", CHUNK_BYTES / BODY_MAX + 2, STORE_CORRUPT);
        assert_int_equal(head_read(f->head, oid, 0, 2 * CHUNK_BYTES, found, &done), 0);
        assert_int_equal(done, CHUNK_BYTES);
        assert_memory_equal(found, shadow.bytes, done);
        fail_once(f, "body_read", 2, STORE_CORRUPT);
        assert_int_equal(head_read(f->head, oid, CHUNK_BYTES, CHUNK_BYTES, found, &done), -EIO);
        assert_int_equal(done, 0);
        storage_fault_set(f->fault, NULL);
        seal(f);
    }
    free(found);
    shadow_end(&shadow);
}

static int punch(struct fixture *f, const char *path, uint64_t at, uint64_t length) {
    return head_fallocate(f->head, oid_of(f, path), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length, false);
}

/* All chunks are loaded before the first is changed, and those that were loaded in vain do no harm. */
static void test_head_data__a_hole_is_made_whole_or_not_at_all(void **state) {
    struct fixture *f = *state;
    static const char *const ops[] = {"next_part", "load_before"};
    enum { CHUNKS = 40 };
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    for (unsigned i = 0; i < CHUNKS; i++)
        assert_int_equal(write_(f, "f", (uint64_t)i * CHUNK_BYTES + 7, 100, (int)i, 100), 0);
    seal(f);
    for (size_t i = 0; i < 2; i++) {
        reopen(f);
        char *before = dump(f);
        reopen(f);
        uint64_t oid = oid_of(f, "f");
        struct head_attr held;
        assert_int_equal(head_hold(f->head, oid, &held), 0); /* what was loaded stays */
        storage_fault_set(f->fault, &(struct storage_fault){ops[i], 20, STORE_IO, false});
        assert_int_equal(head_fallocate(f->head, oid, FALLOC_FL_ZERO_RANGE, 0, CHUNKS * CHUNK_BYTES, false), -EIO);
        storage_fault_set(f->fault, NULL);
        assert_dump(f, before);
        free(before);
        assert_int_equal(write_(f, "f", 50, 1, 1, 1), 0);
        before = dump(f);
        seal(f);
        assert_dump(f, before);
        free(before);
    }
    storage_fault_set(f->fault, &(struct storage_fault){"next_part", 3, STORE_IO, false});
    assert_int_equal(set(f, "f", HEAD_SET_SIZE, &(struct head_attr){.size = 9}), -EIO);
    storage_fault_set(f->fault, NULL);
    uint64_t at;
    reopen(f);
    storage_fault_set(f->fault, &(struct storage_fault){"next_part", 1, STORE_IO, false});
    assert_int_equal(head_seek(f->head, oid_of(f, "f"), 0, SEEK_HOLE, &at), -EIO);
    storage_fault_set(f->fault, NULL);
    assert_int_equal(punch(f, "f", 0, CHUNKS * CHUNK_BYTES), 0);
    seal(f);
    struct head_attr attr;
    assert_int_equal(head_getattr(f->head, oid_of(f, "f"), &attr), 0);
    assert_int_equal(attr.allocated, 0);
    assert_int_equal(head_seek(f->head, oid_of(f, "f"), 0, SEEK_DATA, &at), -ENXIO);
    assert_sound(f);
}

/* Its bytes will never be in a commit, and do not gather in memory. */
static void test_head_data__a_file_without_a_name_spills_to_the_disk(void **state) {
    struct fixture *f = *state;
    uint8_t *bytes = malloc(400000), *found = malloc(400000);
    uint64_t database, bodies, bodies_then, copied;
    size_t done;
    assert_non_null(bytes);
    assert_non_null(found);
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "to", S_IFREG | 0644, NULL), 0);
    assert_int_equal(write_(f, "f", 0, 100000, 3, 100000), 0);
    seal(f);
    hold(f, "f");
    uint64_t oid = f->held[0];
    assert_int_equal(remove_(f, "f", false), 0);
    seal(f);
    for (size_t i = 0; i < 400000; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 1000);
    assert_int_equal(storage_space(f->fault, &database, &bodies), STORE_OK);
    for (size_t at = 0; at < 400000; at += 4000) {
        if (at == 60000) { /* just before the first goes there */
            assert_int_equal(storage_space(f->fault, &database, &bodies_then), STORE_OK);
            assert_int_equal(bodies_then, bodies);
        }
        if (at == 64000) {
            fail_once(f, "body_append", 1, STORE_FULL);
            assert_int_equal(head_write(f->head, oid, at, 4000, bytes + at, false), -ENOSPC);
            storage_fault_set(f->fault, NULL);
        }
        assert_int_equal(head_write(f->head, oid, at, 4000, bytes + at, false), 4000);
    }
    assert_int_equal(storage_space(f->fault, &database, &bodies_then), STORE_OK);
    assert_true(bodies_then >= bodies + 300000);
    assert_int_equal(status(f).pending_bytes, 0);
    assert_int_equal(head_read(f->head, oid, 0, 400000, found, &done), 0);
    assert_int_equal(done, 400000);
    assert_memory_equal(found, bytes, done);
    /* A copy of it is committed. */
    assert_int_equal(head_copy_range(f->head, oid, 0, 0, oid_of(f, "to"), 0, 400000, false, &copied), 0);
    assert_int_equal(copied, 400000);
    seal(f);
    reopen(f);
    assert_int_equal(head_read(f->head, oid_of(f, "to"), 0, 400000, found, &done), 0);
    assert_int_equal(done, 400000);
    assert_memory_equal(found, bytes, done);
    free(bytes);
    free(found);
    assert_sound(f);
}

static void test_head_data__what_follows_a_cut_never_shows_what_was_cut(void **state) {
    struct fixture *f = *state;
    struct shadow shadow = shadow_new(f, "f");
    for (unsigned i = 0; i < 30; i++) /* more than one body takes */
        shadow_write(&shadow, i * 4000, 4000, (uint8_t)(i + 1));
    shadow_check(&shadow);
    assert_int_equal(set(f, "f", HEAD_SET_SIZE, &(struct head_attr){.size = 70000}), 0);
    shadow.size = 70000;
    memset(shadow.bytes + 70000, 0, FILE_BYTES - 70000);
    shadow_write(&shadow, 70000, 10, 'n');
    assert_int_equal(set(f, "f", HEAD_SET_SIZE, &(struct head_attr){.size = 90000}), 0);
    shadow.size = 90000;
    shadow_end(&shadow);
}

static void test_head_data__what_is_not_there_has_no_bytes(void **state) {
    struct fixture *f = *state;
    const uint64_t nobody = 4711;
    uint8_t buffer[8];
    size_t done;
    uint64_t copied, at;
    struct head_attr attr;
    struct names names = {0};
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(write_(f, "f", 0, 10, 1, 10), 0);
    seal(f);
    uint64_t oid = oid_of(f, "f"), last = store_last(f->store);
    assert_int_equal(head_read(f->head, nobody, 0, sizeof buffer, buffer, &done), -ESTALE);
    assert_int_equal(head_write(f->head, nobody, 0, 1, buffer, false), -ESTALE);
    assert_int_equal(head_readlink(f->head, nobody, (char *)buffer, sizeof buffer, &done), -ESTALE);
    assert_int_equal(head_readdir(f->head, nobody, UINT64_MAX, collect, &names), -ESTALE);
    assert_int_equal(head_getattr(f->head, nobody, &attr), -ESTALE);
    assert_int_equal(head_setattr(f->head, nobody, HEAD_SET_UID, &attr, &attr), -ESTALE);
    assert_int_equal(head_getxattr(f->head, nobody, "user.x", buffer, sizeof buffer, &done), -ESTALE);
    assert_int_equal(head_listxattr(f->head, nobody, (char *)buffer, sizeof buffer, &done), -ESTALE);
    assert_int_equal(head_removexattr(f->head, nobody, "user.x"), -ESTALE);
    assert_int_equal(head_seek(f->head, nobody, 0, SEEK_DATA, &at), -ESTALE);
    assert_int_equal(head_setxattr(f->head, nobody, "user.x", "y", 1, 0), -ESTALE);
    assert_int_equal(head_copy_range(f->head, nobody, 0, 0, oid, 0, 5, false, &copied), -ESTALE);
    assert_int_equal(head_copy_range(f->head, nobody, last + 1, 0, oid, 0, 5, false, &copied), -ESTALE);
    assert_int_equal(head_copy_range(f->head, oid, last, 0, oid, 0, 5, false, &copied), -ESTALE); /* not yet */
    assert_int_equal(head_copy_range(f->head, oid, last + 1, 0, nobody, 0, 5, false, &copied), -ESTALE);
    assert_int_equal(head_copy_range(f->head, ROOT_OID, last + 1, 0, oid, 0, 5, false, &copied), -EINVAL);
    assert_int_equal(head_copy_range(f->head, oid, last + 1, 0, oid, 20, 5, false, &copied), 0);
    assert_int_equal(copied, 5);
    assert_int_equal(head_close(NULL), 0);

    char tid[32];
    const struct storage_fault gone = {"transaction_at", 1, STORE_ABSENT, false};
    storage_fault_set(f->fault, &gone);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.tid", tid, sizeof tid, &done), -EIO);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.tid", tid, sizeof tid, &done), 0);
}

/* Attributes are loaded when they are first asked for; an operation for which they cannot be changes nothing. */
static void test_head_data__attributes_that_cannot_be_read(void **state) {
    struct fixture *f = *state;
    struct head_attr attr;
    char text[64];
    size_t length;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(set_xattr(f, "f", "user.x", "y", 1), 0);
    seal(f);
    uint64_t oid = oid_of(f, "f");
    for (int i = 0; i < 5; i++) {
        reopen(f);
        assert_int_equal(head_hold(f->head, oid, &attr), 0);
        fail_once(f, "load_before", 1, STORE_IO);
        int rc = i == 0   ? head_setattr(f->head, oid, HEAD_SET_MODE, &(struct head_attr){.mode = 0600}, &attr)
                 : i == 1 ? head_getxattr(f->head, oid, "user.x", text, sizeof text, &length)
                 : i == 2 ? head_listxattr(f->head, oid, text, sizeof text, &length)
                 : i == 3 ? head_removexattr(f->head, oid, "user.x")
                          : head_setxattr(f->head, oid, "user.x", "z", 1, 0);
        assert_int_equal(rc, -EIO);
        storage_fault_set(f->fault, NULL);
        assert_int_equal(head_getattr(f->head, oid, &attr), 0);
        assert_int_equal(attr.mode, S_IFREG | 0644);
        assert_int_equal(head_getxattr(f->head, oid, "user.x", text, sizeof text, &length), 0);
        assert_int_equal(length, 1);
        assert_int_equal(text[0], 'y');
        assert_int_equal(status(f).pending_objects, 0);
    }
    assert_int_equal(set(f, "f", HEAD_SET_UID, &(struct head_attr){.uid = 3}), 0);
    seal(f); /* the newest version is not in the cache */
    fail_once(f, "load_before", 1, STORE_IO);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.tid", text, sizeof text, &length), -EIO);
    assert_int_equal(head_getxattr(f->head, oid, "tidfs.tid", text, sizeof text, &length), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_head_data__##name, setup, teardown)
        TEST(a_chunk_of_many_bodies_is_read_in_turns),
        TEST(small_neighbours_are_joined),
        TEST(what_cannot_be_joined_stays_in_pieces),
        TEST(what_was_read_before_the_damage_is_given),
        TEST(a_hole_is_made_whole_or_not_at_all),
        TEST(a_file_without_a_name_spills_to_the_disk),
        TEST(what_follows_a_cut_never_shows_what_was_cut),
        TEST(what_is_not_there_has_no_bytes),
        TEST(attributes_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
