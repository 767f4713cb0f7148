/* fs/locate.h: paths from the root of a tree, and paths of views. Real mounts are in tests/mount_cli.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fs/locate.h"

static void test_locate__paths_from_the_root_of_the_tree(void **state) {
    (void)state;
    static const struct {
        const char *given, *path;
    } cases[] = {
        {"", ""},
        {"/", ""},
        {".", ""},
        {"a", "a"},
        {"/a/b/", "a/b"},
        {"./a//b/.", "a/b"},
        {"a/../b", "b"},
        {"..", ""},
        {"../../a", "a"},
        {"a/b/../../..", ""},
        {"a/.b/..c", "a/.b/..c"},
        {"...", "..."},
        {"a/b/..", "a"},
    };
    struct location location = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(location_set_path(&location, cases[i].given), 0);
        assert_string_equal(location.path, cases[i].path);
    }
    location_release(&location);
}

static void assert_view_path(const char *top, const char *subdir, bool before, const char *path, const char *expected) {
    struct location location = {.top = strdup(top), .top_subdir = strdup(subdir)};
    char *result = location_view_path(&location, before, UINT64_C(0x03c4857600000000), path);
    if (expected)
        assert_string_equal(result, expected);
    else
        assert_null(result);
    free(result);
    location_release(&location);
}

static void test_locate__paths_of_views(void **state) {
    (void)state;
    assert_view_path("/m", "", false, "", "/m/at/03c4857600000000");
    assert_view_path("/m", "", false, "a/b", "/m/at/03c4857600000000/a/b");
    assert_view_path("/m", "", true, "a", "/m/before/03c4857600000000/a");
    assert_view_path("/", "", false, "a", "/at/03c4857600000000/a");
    assert_view_path("/m", "a", false, "a", "/m/at/03c4857600000000");
    assert_view_path("/m", "a", false, "a/b", "/m/at/03c4857600000000/b");
    assert_view_path("/m", "a", false, "ab", NULL);
    assert_view_path("/m", "a", false, "", NULL);
    struct location unmounted = {0};
    assert_null(location_view_path(&unmounted, false, 1, ""));
}

static void test_locate__what_is_in_no_mount(void **state) {
    (void)state;
    struct location location;
    struct error err = {0};
    assert_int_equal(locate_path("/proc/self", &location, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "/proc/self"));
    assert_int_equal(locate_path("/proc/no such/path", &location, &err), STORE_NOT_A_STORE);
    assert_int_equal(locate_store("/proc/no such store", &location, &err), STORE_NOT_A_STORE);
    assert_false(locate_is_store("/proc"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locate__paths_from_the_root_of_the_tree),
        cmocka_unit_test(test_locate__paths_of_views),
        cmocka_unit_test(test_locate__what_is_in_no_mount),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
