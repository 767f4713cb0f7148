#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "history/log.h"
#include "store/tid.h"
#include "tests/sample.h"

#define LAST 7

struct fixture {
    struct sample *sample;
    uint64_t tids[LAST + 1]; /* [seq] */
    uint64_t directory, file, other;
};

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct sample *sample = fixture->sample = sample_new(NULL);
    struct transaction first;
    assert_int_equal(storage_transaction_at(store_storage(sample->store), 1, &first), STORE_OK);
    fixture->tids[1] = first.tid;
    transaction_release(&first);
    fixture->directory = sample_make(sample, ROOT_OID, "dir", S_IFDIR | 0755, NULL);
    fixture->tids[2] = sample_commit(sample, "dir");
    fixture->file = sample_make(sample, fixture->directory, "file", S_IFREG | 0644, "1");
    fixture->tids[3] = sample_commit(sample, "file");
    fixture->other = sample_make(sample, ROOT_OID, "other", S_IFREG | 0644, "1");
    fixture->tids[4] = sample_commit(sample, "other");
    sample_write(sample, fixture->file, "2");
    fixture->tids[5] = sample_commit(sample, "write");
    fixture->tids[6] = sample_commit(sample, "nothing");
    sample_remove(sample, fixture->directory, "file");
    fixture->tids[7] = sample_commit(sample, "remove");
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    sample_free(fixture->sample);
    free(fixture);
    return 0;
}

/* The messages of a walk. */
static void expect(struct fixture *fixture, const struct log_options *options, const char *expected) {
    struct log_walk *walk;
    struct transaction transaction;
    char text[512] = "";
    size_t absent;
    int rc;

    assert_int_equal(log_walk_open(fixture->sample->store, options, &walk, &absent), STORE_OK);
    while ((rc = log_walk_next(walk, &transaction)) == STORE_OK) {
        assert_in_range(transaction.seq, 1, sample_last(fixture->sample));
        if (transaction.seq <= LAST) {
            assert_int_equal(transaction.tid, fixture->tids[transaction.seq]);
        }
        strcat(text, transaction.message);
        strcat(text, ",");
        transaction_release(&transaction);
    }
    assert_int_equal(rc, STORE_ABSENT);
    assert_string_equal(text, expected);
    assert_int_equal(log_walk_next(walk, &transaction), STORE_ABSENT);
    log_walk_close(walk);
}

/* path NULL: all transactions. */
static void expect_walk(struct fixture *fixture, uint64_t first, uint64_t last, const char *path,
                        const char *expected) {
    const struct log_options options = {
        .range = {.first = first, .last = last}, .paths = &path, .path_count = path != NULL ? 1 : 0};
    expect(fixture, &options, expected);
}

static void test_log__all_transactions_newest_first(void **state) {
    expect_walk(*state, 1, LAST, NULL, "remove,nothing,write,other,file,dir,store created,");
    expect_walk(*state, 0, UINT64_MAX, NULL, "remove,nothing,write,other,file,dir,store created,");
}

static void test_log__a_range_includes_both_ends(void **state) {
    expect_walk(*state, 3, 5, NULL, "write,other,file,");
    expect_walk(*state, 4, 4, NULL, "other,");
    expect_walk(*state, 5, 4, NULL, "");
    expect_walk(*state, LAST + 1, LAST, NULL, "");
    expect_walk(*state, 1, 0, NULL, "");
}

static void test_log__of_a_file_and_of_what_is_below_a_directory(void **state) {
    struct fixture *fixture = *state;
    expect_walk(fixture, 1, LAST, "dir/file", "remove,write,file,");
    expect_walk(fixture, 1, LAST, "other", "other,");
    expect_walk(fixture, 1, LAST, "dir", "remove,write,file,dir,");
    expect_walk(fixture, 3, 6, "dir", "write,file,");
    expect_walk(fixture, 1, LAST, "", "remove,write,other,file,dir,store created,");
}

static void test_log__of_several_paths_tells_nothing_twice(void **state) {
    static const char *const paths[] = {"other", "dir/file", "dir"};
    struct log_options options = {.range = {.first = 1, .last = LAST}, .paths = paths, .path_count = 3};
    expect(*state, &options, "remove,write,other,file,dir,");
    options.path_count = 2;
    expect(*state, &options, "remove,write,other,file,");
    options.reverse = true;
    expect(*state, &options, "file,other,write,remove,");
}

static void test_log__reversed(void **state) {
    struct log_options options = {.range = {.first = 3, .last = 5}, .reverse = true};
    expect(*state, &options, "file,other,write,");
    options.range = (struct log_range){.first = 6, .last = UINT64_MAX};
    expect(*state, &options, "nothing,remove,");
    options.range = (struct log_range){.first = 5, .last = 4};
    expect(*state, &options, "");
}

static void test_log__of_a_path_is_of_what_it_showed(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    sample_move(sample, ROOT_OID, "other", fixture->directory, "file");
    sample_commit(sample, "rename");
    sample_write(sample, fixture->other, "3");
    sample_commit(sample, "write again");
    sample_move(sample, ROOT_OID, "dir", ROOT_OID, "moved");
    sample_commit(sample, "rename above");
    expect_walk(fixture, 1, 99, "dir/file", "rename above,write again,rename,remove,write,file,");
    expect_walk(fixture, 1, 99, "moved/file", "rename above,");
    expect_walk(fixture, 1, 99, "other", "rename,other,");

    const char *path = "moved/file";
    struct log_options options = {.range = {.first = 1, .last = 99}, .paths = &path, .path_count = 1, .follow = true};
    expect(fixture, &options, "rename above,write again,rename,other,");
    options.reverse = true;
    expect(fixture, &options, "other,rename,write again,rename above,");

    struct log_walk *walk;
    size_t absent, count;
    assert_int_equal(log_walk_open(sample->store, &options, &walk, &absent), STORE_OK);
    const char *const *paths = log_walk_paths(walk, &count);
    assert_int_equal(count, 3);
    assert_string_equal(paths[0], "moved/file");
    assert_string_equal(paths[1], "dir/file");
    assert_string_equal(paths[2], "other");
    log_walk_close(walk);
}

static void test_log__a_path_that_led_nowhere(void **state) {
    struct fixture *fixture = *state;
    static const char *const paths[] = {"dir", "nothing"};
    const struct log_options options = {.range = {.first = 1, .last = LAST}, .paths = paths, .path_count = 2};
    struct log_walk *walk;
    size_t absent = 77;
    assert_int_equal(log_walk_open(fixture->sample->store, &options, &walk, &absent), STORE_ABSENT);
    assert_int_equal(absent, 1);
    assert_null(walk);
    log_walk_close(walk);
}

static void test_log__what_comes_later_is_not_shown(void **state) {
    struct fixture *fixture = *state;
    const struct log_options options = {.range = {.first = LAST, .last = UINT64_MAX - 1}};
    struct log_walk *walk;
    struct transaction transaction;
    size_t absent;
    assert_int_equal(log_walk_open(fixture->sample->store, &options, &walk, &absent), STORE_OK);
    sample_commit(fixture->sample, "later");
    assert_int_equal(log_walk_next(walk, &transaction), STORE_OK);
    assert_string_equal(transaction.message, "remove");
    transaction_release(&transaction);
    assert_int_equal(log_walk_next(walk, &transaction), STORE_ABSENT);
    log_walk_close(walk);
}

static void test_log__packing_leaves_the_log(void **state) {
    struct fixture *fixture = *state;
    sample_move_horizon(fixture->sample, 5, 1);
    expect_walk(fixture, 1, LAST, NULL, "remove,nothing,write,other,file,dir,store created,");
    struct log_range range;
    struct error err;
    char text[32];
    tid_format(fixture->tids[2], text);
    strcat(text, "..");
    assert_int_equal(log_parse_range(fixture->sample->store, text, sample_time(fixture->sample, 5), &range, &err),
                     STORE_OK);
    assert_int_equal(range.first, 2);
}

/* `text` has %a, %b... for the tids of transactions 1, 2... */
static int parse(struct fixture *fixture, const char *text, struct log_range *range) {
    char expanded[256];
    size_t length = 0;
    for (; *text != '\0'; text++) {
        if (*text == '%') {
            tid_format(fixture->tids[*++text - 'a' + 1], expanded + length);
            length += 16;
        } else {
            expanded[length++] = *text;
        }
    }
    expanded[length] = '\0';
    struct error err;
    return log_parse_range(fixture->sample->store, expanded, sample_time(fixture->sample, 5), range, &err);
}

static void test_log__ranges(void **state) {
    static const struct {
        const char *text;
        uint64_t first, last;
    } cases[] = {
        {"..", 1, LAST},      {"%c..%e", 3, 5},        {"%c..", 3, LAST},    {"..%e", 1, 5},        {"%e", 1, 5},
        {"now", 1, LAST},     {"now..", LAST, LAST},   {"now~2..", 5, LAST}, {"now~2..now^", 5, 6}, {"%e..%c", 5, 3},
        {"1985..1986", 1, 0}, {"1985..", 1, LAST},     {"-65s..now", 6, 7},  {"-66s..-64s", 6, 6},  {"-64s..-6s", 7, 6},
        {"%c~1..%c^^", 2, 1}, {"1985..5000", 1, LAST}, {"5000-11", 1, LAST},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_range range;
        assert_int_equal(parse(fixture, cases[i].text, &range), STORE_OK);
        if (range.first != cases[i].first || range.last != cases[i].last) {
            fail_msg("%s is %u..%u", cases[i].text, (unsigned)range.first, (unsigned)range.last);
        }
    }
}

static void test_log__what_is_no_range_is_refused(void **state) {
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"", STORE_INVALID},
        {"a..b..c", STORE_INVALID},
        {"2026...2027", STORE_INVALID},
        {"5000..", RESOLVE_FUTURE},
        {"..7000000000000000", RESOLVE_FUTURE},
        {"..5000~1", RESOLVE_FUTURE},
        {"..nowhere", RESOLVE_NO_TAG},
        {"now~99..", RESOLVE_TOO_EARLY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct log_range range = {77, 78};
        int rc = parse(*state, cases[i].text, &range);
        if (rc != cases[i].code && !(i == 1 && rc == RESOLVE_NO_TAG)) {
            fail_msg("%s gives %d", cases[i].text, rc);
        }
        assert_int_equal(range.first, 77);
        assert_int_equal(range.last, 78);
    }
}

static void test_log__finds_a_path_in_the_newest_view_that_has_it(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    uint64_t oid;
    assert_int_equal(log_find_path(sample->store, "", LAST, &oid), STORE_OK);
    assert_int_equal(oid, ROOT_OID);
    assert_int_equal(log_find_path(sample->store, "dir/file", LAST, &oid), STORE_OK);
    assert_int_equal(oid, fixture->file);
    assert_int_equal(log_find_path(sample->store, "/dir/", LAST, &oid), STORE_OK);
    assert_int_equal(oid, fixture->directory);
    assert_int_equal(log_find_path(sample->store, "dir/file", 2, &oid), STORE_ABSENT);
    assert_int_equal(log_find_path(sample->store, "other/x", LAST, &oid), STORE_ABSENT);
    assert_int_equal(log_find_path(sample->store, "nothing", LAST, &oid), STORE_ABSENT);

    /* Another directory takes the place of the one that had the file, without being touched itself. */
    uint64_t second = sample_make(sample, ROOT_OID, "second", S_IFDIR | 0755, NULL);
    sample_commit(sample, "8");
    sample_move(sample, ROOT_OID, "dir", ROOT_OID, "first");
    sample_commit(sample, "9");
    sample_move(sample, ROOT_OID, "second", ROOT_OID, "dir");
    sample_commit(sample, "10");
    assert_int_equal(log_find_path(sample->store, "dir", 10, &oid), STORE_OK);
    assert_int_equal(oid, second);
    assert_int_equal(log_find_path(sample->store, "dir/file", 10, &oid), STORE_OK);
    assert_int_equal(oid, fixture->file);
    sample_move_horizon(sample, 7, 1);
    assert_int_equal(log_find_path(sample->store, "dir/file", 10, &oid), STORE_ABSENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_log__all_transactions_newest_first),
        TEST(test_log__a_range_includes_both_ends),
        TEST(test_log__of_a_file_and_of_what_is_below_a_directory),
        TEST(test_log__of_several_paths_tells_nothing_twice),
        TEST(test_log__reversed),
        TEST(test_log__of_a_path_is_of_what_it_showed),
        TEST(test_log__a_path_that_led_nowhere),
        TEST(test_log__what_comes_later_is_not_shown),
        TEST(test_log__packing_leaves_the_log),
        TEST(test_log__ranges),
        TEST(test_log__what_is_no_range_is_refused),
        TEST(test_log__finds_a_path_in_the_newest_view_that_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
