/* fs/real_path.h, in a directory of its own: $root/tree stands for what is taken by name, $root/last for what keeps its last symlink. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/real_path.h"

struct fixture {
    char root[PATH_MAX];
};

static void make_link(const struct fixture *f, const char *target, const char *name) {
    char path[PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/%s", f->root, name);
    assert_int_equal(symlink(target, path), 0);
}

static void make_directory(const struct fixture *f, const char *name) {
    char path[PATH_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/%s", f->root, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    char template[] = "/tmp/tidfs-test-real-path.XXXXXX";
    if (!f || !mkdtemp(template) || !realpath(template, f->root))
        return -1;
    make_directory(f, "out");
    make_directory(f, "tree");
    make_directory(f, "tree/other");
    make_directory(f, "last");
    make_link(f, "other", "tree/way");
    make_link(f, "tree", "into");
    make_link(f, "../tree/way", "out/deep");
    make_link(f, "out", "last/now");
    make_link(f, "loop", "loop");
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    static const char *const links[] = {"tree/way", "into", "out/deep", "last/now", "loop"};
    static const char *const directories[] = {"tree/other", "tree", "last", "out", ""};
    char path[PATH_MAX + 32];
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->root, links[i]);
        (void)unlink(path);
    }
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->root, directories[i]);
        (void)rmdir(path);
    }
    free(f);
    return 0;
}

static int rule(void *context, const char *directory, struct error *err) {
    const struct fixture *f = context;
    size_t length = strlen(f->root);
    if (strcmp(directory, "/forbidden") == 0)
        return error_set(err, STORE_INVALID, "forbidden");
    if (strncmp(directory, f->root, length) != 0)
        return REAL_PATH_FOLLOW;
    if (strncmp(directory + length, "/tree", 5) == 0)
        return REAL_PATH_BY_NAME;
    return strcmp(directory + length, "/last") == 0 ? REAL_PATH_KEEP_LAST : REAL_PATH_FOLLOW;
}

/* `expected` is below the fixture's root; NULL: an error that has `error` in it. */
static void check(struct fixture *f, const char *from, const char *path, const char *expected, const char *error) {
    char start[PATH_MAX + 32], absolute[PATH_MAX + 32];
    char *real;
    struct error err = {0};
    (void)snprintf(start, sizeof start, "%s%s", f->root, from);
    int rc = real_path(start, path, rule, f, &real, &err);
    if (!expected) {
        assert_true(rc < 0);
        assert_null(real);
        assert_non_null(strstr(err.text, error));
        return;
    }
    assert_int_equal(rc, STORE_OK);
    (void)snprintf(absolute, sizeof absolute, "%s%s", f->root, expected);
    assert_string_equal(real, absolute);
    free(real);
}

static void test_real_path__names_of_the_tree_are_not_followed(void **state) {
    check(*state, "/tree", "way/b", "/tree/way/b", NULL);
    check(*state, "/tree", "way", "/tree/way", NULL);
    check(*state, "/tree", "./way//b/", "/tree/way/b", NULL);
    check(*state, "/tree", "no/such/thing", "/tree/no/such/thing", NULL);
    check(*state, "", "tree/way/b", "/tree/way/b", NULL);
}

static void test_real_path__dots_are_lexical_in_the_tree(void **state) {
    check(*state, "/tree", "way/../b", "/tree/b", NULL);
    check(*state, "/tree/other", "../way/b", "/tree/way/b", NULL);
    check(*state, "/tree", "gone/../way", "/tree/way", NULL);
    check(*state, "/tree/other", "../..", "", NULL);
}

static void test_real_path__symlinks_outside_lead_into_the_tree(void **state) {
    check(*state, "", "into/way/b", "/tree/way/b", NULL);
    check(*state, "", "into", "/tree", NULL);
    check(*state, "/tree/other", "../../into/b", "/tree/b", NULL);
    /* What such a symlink goes through in the tree is a name there, too. */
    check(*state, "", "out/deep/b", "/tree/way/b", NULL);
    check(*state, "", "out/deep", "/tree/way", NULL);
    check(*state, "", "out/deep/..", "/tree", NULL);
}

static void test_real_path__the_last_symlink_may_be_kept(void **state) {
    check(*state, "", "last/now", "/last/now", NULL);
    check(*state, "", "last/now/", "/last/now", NULL);
    check(*state, "", "last/now/x", "/last/out/x", NULL);
    check(*state, "", "last/now/.", "/last/out", NULL);
}

static void test_real_path__absolute_paths(void **state) {
    struct fixture *f = *state;
    char path[PATH_MAX + 32], expected[PATH_MAX + 32], *real;
    (void)snprintf(path, sizeof path, "%s/into/way/", f->root);
    (void)snprintf(expected, sizeof expected, "%s/tree/way", f->root);
    assert_int_equal(real_path("/", path, rule, f, &real, NULL), STORE_OK);
    assert_string_equal(real, expected);
    free(real);
    assert_int_equal(real_path("/tmp", "/..//.", rule, f, &real, NULL), STORE_OK);
    assert_string_equal(real, "/");
    free(real);
    assert_int_equal(real_path("/", "tmp", rule, f, &real, NULL), STORE_OK);
    assert_string_equal(real, "/tmp");
    free(real);
}

static void test_real_path__what_is_wrong(void **state) {
    check(*state, "", "loop", NULL, "loop: Too many levels");
    check(*state, "", "loop/x", NULL, "Too many levels");
    check(*state, "", "no such/../out", NULL, "No such file");
    check(*state, "", "/forbidden/x", NULL, "forbidden");
    check(*state, "", "no such/thing", "/no such/thing", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_real_path__names_of_the_tree_are_not_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_real_path__dots_are_lexical_in_the_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_real_path__symlinks_outside_lead_into_the_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_real_path__the_last_symlink_may_be_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_real_path__absolute_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_real_path__what_is_wrong, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
