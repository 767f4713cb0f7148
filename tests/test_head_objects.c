/* Objects that the kernel holds and does not use: they take little memory, and nothing of them is lost. */
#include "store/head_private.h"
#include "tests/head_fixture.h"

enum { FILES = 300, LOADED = 20 };

static void seal(struct fixture *f) {
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
}

/* As one operation after the other does: each looks at a part of the table. */
static void trim(struct fixture *f, size_t loaded_max) {
    f->head->loaded_max = loaded_max;
    for (size_t i = 0; i < f->head->bucket_count; i++) {
        head_lock(f->head);
        head_unlock(f->head);
    }
}

static void make_many(struct fixture *f, uint64_t oids[FILES]) {
    struct head_attr attr;
    char path[16];
    f->head->loaded_max = SIZE_MAX;
    assert_int_equal(make(f, "d", S_IFDIR | 0755, NULL), 0);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(path, sizeof path, "d/f%d", i);
        assert_int_equal(make(f, path, S_IFREG | 0644, NULL), 0);
        assert_int_equal(write_(f, path, 0, (size_t)i + 1, i, 4096), 0);
        oids[i] = oid_of(f, path);
        assert_int_equal(head_hold(f->head, oids[i], &attr), 0);
    }
}

static void forget_many(struct fixture *f, const uint64_t oids[FILES]) {
    for (int i = 0; i < FILES; i++)
        head_forget(f->head, oids[i], 1);
}

static void test_head_objects__what_is_held_and_not_used_is_unloaded(void **state) {
    struct fixture *f = *state;
    uint64_t oids[FILES];
    make_many(f, oids);
    seal(f);
    char *before = dump(f);
    trim(f, LOADED);
    assert_in_range(f->head->loaded_count, 0, LOADED);
    assert_in_range(f->head->object_count, FILES, FILES + LOADED);
    assert_dump(f, before);
    trim(f, LOADED);
    for (int i = 0; i < FILES; i++) {
        struct head_attr attr;
        assert_int_equal(head_getattr(f->head, oids[i], &attr), 0);
        assert_int_equal(attr.size, i + 1);
    }
    trim(f, LOADED);
    assert_in_range(f->head->object_count, FILES, FILES + LOADED);
    forget_many(f, oids);
    assert_in_range(f->head->object_count, 0, LOADED);
    assert_in_range(f->head->loaded_count, 0, f->head->object_count);
    assert_dump(f, before);
    free(before);
    assert_sound(f);
}

static void test_head_objects__what_the_storage_does_not_have_stays(void **state) {
    struct fixture *f = *state;
    uint64_t oids[FILES];
    struct head_attr attr;
    uint8_t byte;
    size_t done;
    make_many(f, oids);
    trim(f, 0);
    assert_in_range(f->head->loaded_count, FILES, SIZE_MAX);
    seal(f);
    /* One that has lost its name while it was held, and one that is being changed. */
    assert_int_equal(remove_(f, "d/f0", false), 0);
    seal(f);
    assert_int_equal(head_setattr(f->head, oids[1], HEAD_SET_MODE, &(struct head_attr){.mode = 0600}, &attr), 0);
    char *before = dump(f);
    trim(f, 0);
    assert_non_null(object_find(f->head, oids[0]));
    assert_non_null(object_find(f->head, oids[1]));
    assert_null(object_find(f->head, oids[2]));
    assert_int_equal(head_getattr(f->head, oids[0], &attr), 0);
    assert_int_equal(attr.nlink, 0);
    assert_int_equal(head_read(f->head, oids[0], 0, 1, &byte, &done), 0);
    assert_int_equal(done, 1);
    assert_dump(f, before);
    seal(f);
    trim(f, 0);
    assert_dump(f, before);
    forget_many(f, oids);
    reopen(f);
    assert_dump(f, before);
    free(before);
    assert_sound(f);
}

/* A change that is taken back may leave an object that has to be loaded again; then it has to be found by those who hold it. */
static int change_and_fail(void *context) {
    struct fixture *f = context;
    assert_int_equal(write_(f, "d/f5", 0, 100, 7, 4096), 0);
    return -ECANCELED;
}

static void test_head_objects__what_is_taken_back_is_loaded_again(void **state) {
    struct fixture *f = *state;
    uint64_t oids[FILES];
    make_many(f, oids);
    seal(f);
    char *before = dump(f);
    assert_int_equal(head_transaction(f->head, change_and_fail, f, NULL, "none", NULL), -ECANCELED);
    size_t loaded = f->head->loaded_count;
    assert_dump(f, before);
    assert_int_equal(f->head->loaded_count, loaded + 1);
    trim(f, 0);
    assert_dump(f, before);
    forget_many(f, oids);
    free(before);
    assert_sound(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_head_objects__##name, setup, teardown)
        TEST(what_is_held_and_not_used_is_unloaded),
        TEST(what_the_storage_does_not_have_stays),
        TEST(what_is_taken_back_is_loaded_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
