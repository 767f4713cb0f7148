/* The node table. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/driver_nodes.h"

static int make_table(void **state) {
    *state = node_table_new();
    return *state == NULL ? -1 : 0;
}

static int free_table(void **state) {
    node_table_free(*state);
    return 0;
}

static uint64_t view(struct node_table *table, enum node_place place, const char *name, uint64_t before) {
    uint64_t id = 0;
    assert_int_equal(node_table_view(table, place, name, strlen(name), before, 1, &id), 0);
    return id;
}

static uint64_t directory(struct node_table *table, uint64_t relative, uint64_t oid) {
    uint64_t id = 0;
    assert_int_equal(node_table_directory(table, relative, oid, &id), 0);
    return id;
}

static void test_mount_nodes__equal_keys_share_a_node(void **state) {
    struct node_table *table = *state;
    uint64_t root = view(table, PLACE_AT, "2026", 7);
    assert_true(root >= NODE_TABLE_FIRST && root <= NODE_TABLE_LAST);
    assert_int_equal(view(table, PLACE_AT, "2026", 7), root);
    uint64_t below = directory(table, root, 12);
    assert_int_not_equal(below, root);
    assert_int_equal(directory(table, root, 12), below);
    assert_int_equal(directory(table, below, 1), root);
    assert_int_equal(node_table_count(table), 2);
}

static void test_mount_nodes__names_of_one_view_have_directories_of_their_own(void **state) {
    struct node_table *table = *state;
    uint64_t roots[] = {view(table, PLACE_AT, "2026", 7), view(table, PLACE_AT, "2026-01", 7),
                        view(table, PLACE_BEFORE, "2026", 7), view(table, PLACE_AT, "2026", 8)};
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(roots[i], roots[j]);
            assert_int_not_equal(directory(table, roots[i], 5), directory(table, roots[j], 5));
        }
    }
}

static void test_mount_nodes__symlinks_differ_by_place_and_target(void **state) {
    struct node_table *table = *state;
    uint64_t at, again, before, other;
    assert_int_equal(node_table_symlink(table, PLACE_AT, 99, &at), 0);
    assert_int_equal(node_table_symlink(table, PLACE_AT, 99, &again), 0);
    assert_int_equal(node_table_symlink(table, PLACE_BEFORE, 99, &before), 0);
    assert_int_equal(node_table_symlink(table, PLACE_AT, 100, &other), 0);
    assert_int_equal(at, again);
    assert_int_not_equal(at, before);
    assert_int_not_equal(at, other);
    struct table_node node;
    assert_true(node_table_get(table, before, &node));
    assert_int_equal(node.kind, TABLE_SYMLINK);
    assert_int_equal(node.place, PLACE_BEFORE);
    assert_int_equal(node.tid, 99);
    assert_int_equal(node_table_directory(table, at, 5, &other), -ESTALE);
}

static void test_mount_nodes__a_path_of_versions_is_one_node(void **state) {
    struct node_table *table = *state;
    uint64_t id, again, other, tag;
    char *path;
    assert_int_equal(node_table_versions(table, "dir/f", &id), 0);
    assert_int_equal(node_table_versions(table, "dir/f", &again), 0);
    assert_int_equal(node_table_versions(table, "dir/g", &other), 0);
    assert_int_equal(node_table_symlink(table, PLACE_VERSIONS, 99, &tag), 0);
    assert_int_equal(id, again);
    assert_int_not_equal(id, other);
    struct table_node node;
    assert_true(node_table_get(table, id, &node));
    assert_int_equal(node.kind, TABLE_VERSIONS);
    assert_int_equal(node_table_path(table, other, &path), 0);
    assert_string_equal(path, "dir/g");
    free(path);
    assert_int_equal(node_table_path(table, tag, &path), -ESTALE);
    assert_int_equal(node_table_path(table, view(table, PLACE_AT, "2026", 7), &path), -ESTALE);
    assert_int_equal(node_table_directory(table, id, 5, &other), -ESTALE);
    node_table_forget(table, id, 1);
    assert_true(node_table_get(table, id, &node));
    node_table_forget(table, id, 1);
    assert_int_equal(node_table_path(table, id, &path), -ESTALE);
    assert_int_equal(node_table_versions(table, "dir/f", &again), 0);
    assert_int_not_equal(again, id);
}

static void test_mount_nodes__get_tells_what_a_node_is(void **state) {
    struct node_table *table = *state;
    uint64_t root = view(table, PLACE_BEFORE, "now~2", 41), below = directory(table, root, 12);
    struct table_node node;
    assert_true(node_table_get(table, root, &node));
    assert_true(node.kind == TABLE_DIRECTORY && node.root && node.place == PLACE_BEFORE);
    assert_true(node.before == 41 && node.oid == 1);
    assert_true(node_table_get(table, below, &node));
    assert_true(node.kind == TABLE_DIRECTORY && !node.root && node.before == 41 && node.oid == 12);
    assert_false(node_table_get(table, 1, &node));
    assert_false(node_table_get(table, below + 1, &node));
}

static void test_mount_nodes__lives_as_long_as_its_lookups(void **state) {
    struct node_table *table = *state;
    struct table_node node;
    uint64_t root = view(table, PLACE_AT, "2026", 7), below = directory(table, root, 12);
    assert_int_equal(directory(table, root, 12), below);
    assert_true(node_table_hold(table, below));
    node_table_forget(table, below, 2);
    assert_true(node_table_get(table, below, &node));
    node_table_forget(table, below, 1);
    assert_false(node_table_get(table, below, &node));
    assert_false(node_table_hold(table, below));
    assert_int_not_equal(directory(table, root, 12), below); /* ids are never used again */
    assert_int_equal(node_table_count(table), 2);
}

static void test_mount_nodes__a_view_may_be_forgotten_in_any_order(void **state) {
    struct node_table *table = *state;
    uint64_t root = view(table, PLACE_AT, "2026", 7), below = directory(table, root, 12);
    uint64_t beside = view(table, PLACE_AT, "2027", 7 + 1024);
    node_table_forget(table, root, 1); /* as when the directory below is somebody's working directory */
    struct table_node node;
    assert_true(node_table_get(table, below, &node) && node.before == 7);
    root = directory(table, below, 1);
    assert_true(node_table_get(table, root, &node) && node.root);
    assert_int_equal(view(table, PLACE_AT, "2026", 7), root);
    node_table_forget(table, below, 1);
    node_table_forget(table, root, 2);
    node_table_forget(table, beside, 1);
    assert_int_equal(node_table_count(table), 0);
}

static void test_mount_nodes__forgetting_too_much_is_harmless(void **state) {
    struct node_table *table = *state;
    uint64_t root = view(table, PLACE_AT, "2026", 7);
    node_table_forget(table, root, 100);
    node_table_forget(table, root, 1);
    node_table_forget(table, 12345, 1);
    assert_int_equal(node_table_count(table), 0);
}

static void test_mount_nodes__names_are_bytes(void **state) {
    struct node_table *table = *state;
    uint64_t a, b;
    assert_int_equal(node_table_view(table, PLACE_AT, "a\0b", 3, 7, 1, &a), 0);
    assert_int_equal(node_table_view(table, PLACE_AT, "a\0c", 3, 7, 1, &b), 0);
    assert_int_not_equal(a, b);
    assert_int_equal(node_table_view(table, PLACE_ROOT, "", 0, 7, 1, &b), 0);
    assert_int_not_equal(a, b);
}

static void test_mount_nodes__grows_and_shrinks(void **state) {
    struct node_table *table = *state;
    enum { COUNT = 20000 };
    uint64_t root = view(table, PLACE_AT, "2026", 7);
    uint64_t *ids = calloc(COUNT, sizeof *ids);
    assert_non_null(ids);
    for (uint64_t i = 0; i < COUNT; i++) {
        ids[i] = directory(table, root, 100 + i);
    }
    assert_int_equal(node_table_count(table), COUNT + 1);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct table_node node;
        assert_true(node_table_get(table, ids[i], &node));
        assert_int_equal(node.oid, 100 + i);
        assert_int_equal(directory(table, root, 100 + i), ids[i]);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        node_table_forget(table, ids[(i * 7919) % COUNT], 2);
    }
    assert_int_equal(node_table_count(table), 1);
    free(ids);
}

struct walker {
    struct node_table *table;
    unsigned seed;
};

/* Looks up and forgets as a kernel would, in one small set of views, so that walkers meet. */
static void *walk(void *context) {
    struct walker *walker = context;
    for (int i = 0; i < 20000; i++) {
        char name[16];
        uint64_t before = (uint64_t)(rand_r(&walker->seed) % 4) + 1, oid = (uint64_t)(rand_r(&walker->seed) % 8) + 2;
        uint64_t root, below;
        struct table_node node;
        int length = snprintf(name, sizeof name, "now~%d", (int)before);
        if (node_table_view(walker->table, PLACE_AT, name, (size_t)length, before, 1, &root) != 0 ||
            node_table_directory(walker->table, root, oid, &below) != 0 ||
            !node_table_get(walker->table, below, &node) || node.before != before || node.oid != oid) {
            return walker;
        }
        node_table_forget(walker->table, root, 1);
        node_table_forget(walker->table, below, 1);
    }
    return NULL;
}

static void test_mount_nodes__threads_meet(void **state) {
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct walker walkers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        walkers[i] = (struct walker){*state, i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, walk, &walkers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(node_table_count(*state), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_table, free_table)
    const struct CMUnitTest tests[] = {
        TEST(test_mount_nodes__equal_keys_share_a_node),
        TEST(test_mount_nodes__names_of_one_view_have_directories_of_their_own),
        TEST(test_mount_nodes__symlinks_differ_by_place_and_target),
        TEST(test_mount_nodes__a_path_of_versions_is_one_node),
        TEST(test_mount_nodes__get_tells_what_a_node_is),
        TEST(test_mount_nodes__lives_as_long_as_its_lookups),
        TEST(test_mount_nodes__a_view_may_be_forgotten_in_any_order),
        TEST(test_mount_nodes__forgetting_too_much_is_harmless),
        TEST(test_mount_nodes__names_are_bytes),
        TEST(test_mount_nodes__grows_and_shrinks),
        TEST(test_mount_nodes__threads_meet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
