/* Directories of the head at their odd ends: names whose hashes are the same, tables that grow, memory that is short, records that are wrong. */
#include <xxhash.h>

#include "store/head_private.h"
#include "tests/head_fixture.h"

static void seal(struct fixture *f) {
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
}

/* The 32 bits of their hashes are the same: of two names as long as each other, and of two that are not. */
static void test_head_directory__names_with_one_hash_are_two_names(void **state) {
    struct fixture *f = *state;
    static const char *const pairs[][2] = {{"f972271", "f504979"}, {"f933399", "f5963"}};
    for (size_t i = 0; i < 2; i++) {
        const char *one = pairs[i][0], *two = pairs[i][1];
        assert_int_equal((uint32_t)XXH3_64bits(one, strlen(one)), (uint32_t)XXH3_64bits(two, strlen(two)));
        assert_int_equal(make(f, one, S_IFREG | 0644, NULL), 0);
        assert_int_equal(oid_of(f, two), 0);
        assert_int_equal(make(f, two, S_IFDIR | 0755, NULL), 0);
        assert_int_not_equal(oid_of(f, one), oid_of(f, two));
        seal(f);
        reopen(f);
        assert_int_not_equal(oid_of(f, two), 0);
        assert_int_equal(remove_(f, one, false), 0);
        assert_int_equal(oid_of(f, one), 0);
        assert_int_not_equal(oid_of(f, two), 0);
    }
    assert_sound(f);
}

static void test_head_directory__the_table_of_objects_grows(void **state) {
    struct fixture *f = *state;
    enum { FILES = 2500 };
    uint64_t *oids = calloc(FILES, sizeof *oids);
    struct head_attr attr;
    char name[16];
    assert_non_null(oids);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(head_make(f->head, ROOT_OID, name, strlen(name), S_IFREG | 0600, 0, NULL, &caller, &attr), 0);
        oids[i] = attr.oid;
    }
    seal(f);
    assert_true(status(f).objects >= FILES);
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(oid_of(f, name), oids[i]);
        assert_int_equal(head_getattr(f->head, oids[i], &attr), 0);
        head_forget(f->head, oids[i], 1);
    }
    assert_true(status(f).objects < FILES / 2);
    free(oids);
    assert_sound(f);
}

/* More names than are loaded at once, so that each is asked for. */
static void test_head_directory__a_name_of_a_large_directory_may_be_damaged(void **state) {
    struct fixture *f = *state;
    enum { FILES = 300 };
    struct head_attr attr;
    struct object *object;
    char name[16];
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(make(f, name, S_IFREG | 0600, NULL), 0);
    }
    seal(f);
    reopen(f);
    storage_fault_set(f->fault, &(struct storage_fault){"lookup", 1, STORE_IO, false});
    assert_int_equal(head_lookup(f->head, ROOT_OID, "f1", 2, &attr), -EIO);
    storage_fault_set(f->fault, NULL);
    assert_int_not_equal(oid_of(f, "f1"), 0);
    assert_int_equal(oid_of(f, "g"), 0);

    head_lock(f->head);
    assert_int_equal(object_get(f->head, ROOT_OID, &object), 0);
    object->record.next_index = ENTRY_INDEX_FIRST + 5;
    head_unlock(f->head);
    assert_int_not_equal(oid_of(f, "f2"), 0);
    assert_int_equal(head_lookup(f->head, ROOT_OID, "f299", 4, &attr), -EIO);
    struct names names = {0};
    assert_int_equal(head_readdir(f->head, ROOT_OID, UINT64_MAX, collect, &names), -EIO);
    free(names.items);
}

/* With no room for any names but those that must stay. */
static void test_head_directory__short_memory_keeps_what_is_pending(void **state) {
    struct fixture *f = *state;
    enum { DIRECTORIES = 100 };
    char path[32];
    for (int i = 0; i < DIRECTORIES; i++) {
        (void)snprintf(path, sizeof path, "d%d", i);
        assert_int_equal(make(f, path, S_IFDIR | 0755, NULL), 0);
        for (int j = 0; j < 3; j++) {
            (void)snprintf(path, sizeof path, "d%d/f%d", i, j);
            assert_int_equal(make(f, path, S_IFREG | 0644, NULL), 0);
        }
    }
    seal(f);
    for (int round = 0; round < 2; round++) {
        reopen(f);
        for (int i = 0; i < DIRECTORIES; i += 1 + round) { /* all of them, or every other one */
            (void)snprintf(path, sizeof path, "d%d/new%d", i, round);
            assert_int_equal(make(f, path, S_IFREG | 0644, NULL), 0);
            (void)snprintf(path, sizeof path, "d%d/f%d", i, round);
            assert_int_equal(remove_(f, path, false), 0);
        }
        char *before = dump(f);
        head_lock(f->head);
        f->head->directory_budget = 1;
        size_t bytes = f->head->directories.bytes;
        directory_trim(f->head);
        assert_true(f->head->directories.bytes < bytes);
        head_unlock(f->head);
        assert_dump(f, before);
        seal(f);
        assert_dump(f, before);
        reopen(f);
        assert_dump(f, before);
        free(before);
    }
    assert_sound(f);
}

/* ---- a default ACL that is none ---- */

static void test_head_directory__nothing_is_made_below_a_default_acl_that_is_none(void **state) {
    struct fixture *f = *state;
    static const uint8_t none[] = {2, 0, 0, 0, 2, 0, 7, 0, 5, 0, 0, 0};
    struct object *object;
    assert_int_equal(make(f, "d", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(set_xattr(f, "d", "system.posix_acl_default", acl, sizeof acl), 0);
    assert_int_equal(make(f, "d/right", S_IFDIR | 0755, NULL), 0);
    hold(f, "d");
    head_lock(f->head);
    assert_int_equal(object_get(f->head, f->held[0], &object), 0);
    assert_int_equal(xattr_set_put(object->xattrs, ACL_DEFAULT, none, sizeof none), STORE_OK);
    head_unlock(f->head);
    assert_int_equal(make(f, "d/file", S_IFREG | 0644, NULL), -EINVAL);
    assert_int_equal(make(f, "d/directory", S_IFDIR | 0755, NULL), -EINVAL);
    assert_int_equal(make(f, "d/symlink", S_IFLNK | 0777, "there"), 0); /* has no ACL */
    assert_int_equal(oid_of(f, "d/file"), 0);
}

/* Whose directory's parent is nowhere. */
static void test_head_directory__an_exchange_meets_damage_on_either_side(void **state) {
    struct fixture *f = *state;
    struct object *object;
    assert_int_equal(make(f, "a", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "a/in", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "b", S_IFDIR | 0755, NULL), 0);
    uint64_t a = oid_of(f, "a");
    head_lock(f->head);
    assert_int_equal(object_get(f->head, a, &object), 0);
    object->record.parent = 4711;
    head_unlock(f->head);
    assert_int_equal(rename_(f, "a/in", "b", 2), -EIO);
    storage_fault_set(f->fault, &(struct storage_fault){"load_before", 1, STORE_NO_MEMORY, true});
    assert_int_equal(rename_(f, "a/in", "b", 2), -ENOMEM);
    storage_fault_set(f->fault, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_head_directory__##name, setup, teardown)
        TEST(names_with_one_hash_are_two_names),
        TEST(the_table_of_objects_grows),
        TEST(a_name_of_a_large_directory_may_be_damaged),
        TEST(short_memory_keeps_what_is_pending),
        TEST(nothing_is_made_below_a_default_acl_that_is_none),
        TEST(an_exchange_meets_damage_on_either_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
