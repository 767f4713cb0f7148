/* Diffs, logs, pasts and views of a store that cannot be read, or that has lost something: each read of each in turn. What cannot be told is told as that, and
 * nothing is told instead of it. */
#include "tests/diff_fixture.h"

#include <errno.h>

#include "history/log.h"
#include "history/past.h"
#include "history/view.h"
#include "store/store_private.h"
#include "tests/tamper.h"

#define CHUNK (1 << 20)
#define MANY  1500 /* names in a directory that are more than are read at a time */

/* As another process that keeps nothing in memory, on a storage that can be made to fail. */
static struct store *open_faulty(struct fixture *f, struct storage **fault) {
    struct store *store;
    struct error err = {0};
    if (store_open(f->directory, &(struct store_options){.cache_bytes = 1}, &store, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(storage_fault_open(store->storage, fault), STORE_OK);
    store->storage = *fault;
    return store;
}

/* All that may become of names, and of what they lead to, between *a and *b. */
static void make_history(struct fixture *f, uint64_t *a, uint64_t *b) {
    make_directory(f, "d");
    make_directory(f, "d/s");
    make_file(f, "d/s/a", "1");
    make_file(f, "d/s/b", "1");
    make_link(f, "d/s/b", "d/link");
    make_directory(f, "gone");
    make_file(f, "gone/a", "1");
    make_file(f, "taken", "1");
    make_file(f, "chunks", "1");
    assert_int_equal(head_write(f->head, find(f, "chunks"), CHUNK, 1, (const uint8_t *)"2", false), 1);
    *a = seal(f);
    assert_int_equal(head_write(f->head, find(f, "chunks"), CHUNK, 1, (const uint8_t *)"3", false), 1);
    assert_int_equal(head_setxattr(f->head, find(f, "d/s/a"), "user.a", "y", 1, 0), 0);
    rewrite(f, "d/s/a", "2");
    move(f, "d", "e");
    move(f, "e/link", "gone/b");
    make_link(f, "e/s/b", "e/other");
    delete (f, "gone/a");
    move(f, "gone/b", "b");
    delete_directory(f, "gone");
    make_directory(f, "gone");
    make_file(f, "gone/a", "1");
    delete (f, "taken");
    make_file(f, "new", "1");
    move(f, "new", "taken");
    set_mode(f, "", 0700);
    *b = seal(f);
}

/* An error, what is right, or that something cannot be told. */
static void check_answer(int code, int rc, const struct change_list *changes, const char *right) {
    if (code == STORE_IO)
        assert_int_equal(rc, STORE_IO);
    else if (rc != STORE_OK)
        assert_true(store_error_is_damage(rc));
    bool whole = rc == STORE_OK && code == STORE_LOST && changes->gap_count == 0;
    for (size_t i = 0; i < changes->count; i++)
        whole &= !(changes->items[i].what & CHANGED_UNREAD);
    if (whole) {
        char *text = changes_text(changes);
        assert_string_equal(text, right);
        free(text);
    }
    for (size_t i = 0; i < changes->gap_count; i++) {
        assert_true(store_error_is_damage(changes->gaps[i].why));
        assert_true(changes->gaps[i].old || changes->gaps[i].new);
        for (size_t k = 0; k < i; k++) /* each once */
            assert_true(strcmp(changes->gaps[i].path, changes->gaps[k].path) != 0);
    }
}

/* The Nth call of the storage gives each code, for every N. */
static unsigned sweep(struct store *store, struct storage *fault, const struct diff_options *options,
                      enum diff_strategy strategy) {
    static const int codes[] = {STORE_IO, STORE_LOST, STORE_ABSENT};
    unsigned tried = 0;
    struct change_list changes;
    storage_fault_set(fault, NULL);
    assert_int_equal(diff_run_by(store, options, strategy, &changes), STORE_OK);
    char *right = changes_text(&changes);
    change_list_release(&changes);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (uint64_t nth = 1;; nth++, tried++) {
            storage_fault_set(fault, &(struct storage_fault){.nth = nth, .code = codes[i]});
            int rc = diff_run_by(store, options, strategy, &changes);
            bool reached = storage_fault_count(fault) >= nth;
            if (reached)
                check_answer(codes[i], rc, &changes, right);
            change_list_release(&changes);
            if (!reached)
                break;
        }
    free(right);
    return tried;
}

static void sweep_all(struct fixture *f, uint64_t a, uint64_t b) {
    static const char *const paths[] = {"d/s", "gone"};
    struct storage *fault;
    struct store *store = open_faulty(f, &fault);
    unsigned tried = 0;
    for (unsigned mode = 0; mode < 12; mode++) {
        const struct diff_options options = {.before_a = mode & 1 ? a : b,
                                             .before_b = mode & 1 ? b : a,
                                             .each_file = mode / 2 % 3 == 1,
                                             .no_renames = mode / 2 % 3 == 2,
                                             .ignore_times = true,
                                             .paths = paths,
                                             .path_count = mode < 6 ? 0 : 2};
        tried += sweep(store, fault, &options, mode % 2 ? DIFF_WALK : DIFF_SCAN);
    }
    print_message("    %u reads failed, found nothing, or what was lost\n", tried);
    assert_true(tried > 1000);
    store_close(store);
}

static void test_diff_reads__may_fail(void **state) {
    struct fixture *f = *state;
    uint64_t a, b;
    make_history(f, &a, &b);
    sweep_all(f, a, b);
}

/* The same where something is on record as lost: then directories are asked whether all their names are known. */
static void test_diff_reads__may_fail_where_something_was_lost(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    uint64_t a, b;
    make_history(f, &a, &b);
    assert_int_equal(head_close(f->head), 0);
    store_close(f->store);
    record_lost_time(f->directory);
    if (store_open(f->directory, &(struct store_options){.writable = true}, &f->store, &err) < 0 ||
        head_open(f->store, &(struct head_options){0}, &f->head, &err) < 0)
        fail_msg("%s", err.text);
    sweep_all(f, a, b);
}

/* ---- damage that several names lead to ---- */

static void expect_one_gap(struct fixture *f, struct diff_options options, const char *path) {
    struct storage *fault;
    struct store *store = open_faulty(f, &fault);
    struct change_list changes;
    assert_int_equal(diff_run(store, &options, &changes), STORE_OK);
    assert_int_equal(changes.gap_count, 1);
    assert_string_equal(changes.gaps[0].path, path);
    assert_int_equal(changes.gaps[0].why, STORE_CORRUPT);
    change_list_release(&changes);
    store_close(store);
}

/* A file of which nothing changed but where its directory is: its names come from there, and it is told once. */
static void test_diff_reads__a_damaged_file_with_two_names_is_told_once(void **state) {
    struct fixture *f = *state;
    char sql[160];
    make_directory(f, "d");
    make_file(f, "d/a", "1");
    make_link(f, "d/a", "d/b");
    uint64_t oid = find(f, "d/a"), a = seal(f);
    move(f, "d", "e");
    uint64_t b = seal(f);
    (void)snprintf(sql, sizeof sql, "UPDATE revision SET sum = sum + 1 WHERE oid = %llu AND part = 0",
                   (unsigned long long)oid);
    assert_int_equal(head_close(f->head), 0);
    store_close(f->store);
    change_database(f->directory, sql);
    struct error err = {0};
    if (store_open(f->directory, &(struct store_options){.writable = true}, &f->store, &err) < 0 ||
        head_open(f->store, &(struct head_options){0}, &f->head, &err) < 0)
        fail_msg("%s", err.text);
    expect_one_gap(f, (struct diff_options){.before_a = a, .before_b = b, .no_renames = true}, "e/a");
}

/* ---- what is told on the way ---- */

static void count_call(void *context, uint64_t done, uint64_t total) {
    unsigned *calls = context;
    assert_true(total == 0 || done <= total);
    ++*calls;
}

/* A walk over many names says how far it is, to who asks. */
static void test_diff_reads__of_many_names_tell_how_far_they_are(void **state) {
    struct fixture *f = *state;
    struct change_list changes;
    unsigned calls = 0;
    char path[32];
    make_directory(f, "d");
    uint64_t a = seal(f);
    for (unsigned i = 0; i < 1100; i++) {
        (void)snprintf(path, sizeof path, "d/%u", i);
        make_file(f, path, "");
    }
    uint64_t b = seal(f);
    struct diff_options options = {
        .before_a = a, .before_b = b, .no_renames = true, .progress = count_call, .context = &calls};
    run(f, &options, DIFF_WALK, &changes);
    assert_int_equal(changes.count, 1100);
    change_list_release(&changes);
    assert_true(calls >= 2);
    options.progress = NULL;
    run(f, &options, DIFF_WALK, &changes);
    assert_int_equal(changes.count, 1100);
    change_list_release(&changes);
    /* A directory that cannot be listed ends the walk, and what changed in it is found all the same. */
    struct storage *fault;
    struct store *store = open_faulty(f, &fault);
    storage_fault_set(fault, &(struct storage_fault){.op = "list", .nth = 1, .code = STORE_LOST});
    assert_int_equal(diff_run(store, &options, &changes), STORE_OK);
    assert_int_equal(changes.count + changes.gap_count, 1100);
    change_list_release(&changes);
    store_close(store);
}

/* ---- views ---- */

static bool count_name(void *context, const struct view_entry *entry) {
    unsigned *left = context;
    (void)entry;
    return --*left > 0;
}

/* A directory too large to be kept is read in parts, up to where the caller has enough. */
static void test_view_reads__a_large_directory_comes_in_parts(void **state) {
    struct fixture *f = *state;
    struct storage *fault;
    struct view *view;
    char path[32];
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "%u", i);
        make_file(f, path, "");
    }
    uint64_t before = seal(f);
    struct store *store = open_faulty(f, &fault);
    struct view_pool *pool = view_pool_new(store, &(struct view_pool_options){0});
    assert_non_null(pool);
    assert_int_equal(view_pool_open(pool, before, &view), 0);
    unsigned left = MANY + 1;
    assert_int_equal(view_readdir(view, ROOT_OID, 0, false, count_name, &left), 0);
    assert_int_equal(left, 1);
    left = MANY - 100;
    assert_int_equal(view_readdir(view, ROOT_OID, 0, false, count_name, &left), 0);
    assert_int_equal(left, 0);
    view_pool_done(pool, view);
    view_pool_free(pool);
    store_close(store);
}

static void test_view_reads__a_transaction_that_cannot_be_read_has_no_tid(void **state) {
    static const int codes[] = {STORE_IO, STORE_CORRUPT, STORE_ABSENT};
    struct fixture *f = *state;
    struct storage *fault;
    struct view *view;
    char text[64];
    size_t length;
    make_file(f, "f", "1");
    uint64_t before = seal(f);
    struct store *store = open_faulty(f, &fault);
    struct view_pool *pool = view_pool_new(store, &(struct view_pool_options){0});
    assert_non_null(pool);
    assert_int_equal(view_pool_open(pool, before, &view), 0);
    assert_int_equal(view_getxattr(view, ROOT_OID, "tidfs.tid", text, sizeof text, &length), 0);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        storage_fault_set(fault, &(struct storage_fault){.op = "transaction_at", .nth = 1, .code = codes[i]});
        assert_int_equal(view_getxattr(view, ROOT_OID, "tidfs.tid", text, sizeof text, &length), -EIO);
    }
    storage_fault_set(fault, NULL);
    view_pool_done(pool, view);
    view_pool_free(pool);
    store_close(store);
}

/* ---- paths ---- */

/* What a path led to, where each name, version and directory of it cannot be read in turn. */
static void test_past_reads__of_a_lost_past(void **state) {
    static const int codes[] = {STORE_IO, STORE_LOST, STORE_ABSENT};
    static const char *const paths[] = {"e/s/a", "b", "gone/a", "taken"};
    struct fixture *f = *state;
    struct storage *fault;
    uint64_t a, b;
    make_history(f, &a, &b);
    struct store *store = open_faulty(f, &fault);
    unsigned tried = 0;
    for (size_t i = 0; i < 12; i++) {
        const struct log_options options = {
            .paths = &paths[i % 4], .path_count = 1, .follow = true, .range = {1, UINT64_MAX - 1}};
        for (uint64_t nth = 1;; nth++, tried++) {
            struct log_walk *walk;
            struct transaction transaction;
            size_t absent = 1;
            storage_fault_set(fault, &(struct storage_fault){.nth = nth, .code = codes[i / 4]});
            int rc = log_walk_open(store, &options, &walk, &absent);
            if (rc == STORE_OK) {
                while ((rc = log_walk_next(walk, &transaction)) == STORE_OK)
                    transaction_release(&transaction);
                log_walk_close(walk);
            } else if (rc == STORE_ABSENT || rc == STORE_LOST) {
                assert_int_equal(absent, 0); /* it says of which path */
            }
            if (storage_fault_count(fault) < nth)
                break;
            if (codes[i / 4] == STORE_IO)
                assert_int_equal(rc, STORE_IO);
            else
                assert_true(rc == STORE_ABSENT || store_error_is_damage(rc));
        }
    }
    assert_true(tried > 50);
    store_close(store);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_diff_reads__may_fail),
        TEST(test_diff_reads__may_fail_where_something_was_lost),
        TEST(test_diff_reads__a_damaged_file_with_two_names_is_told_once),
        TEST(test_diff_reads__of_many_names_tell_how_far_they_are),
        TEST(test_view_reads__a_large_directory_comes_in_parts),
        TEST(test_view_reads__a_transaction_that_cannot_be_read_has_no_tid),
        TEST(test_past_reads__of_a_lost_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
