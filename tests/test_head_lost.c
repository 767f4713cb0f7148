/* A head whose last commit fails says what is lost, by path, and what a head cannot be opened on. */
#include "tests/head_fixture.h"
#include "tests/tamper.h"

struct told {
    char text[16384];
};

static void take_line(void *context, enum log_level level, const char *line) {
    struct told *told = context;
    size_t used = strlen(told->text);
    if (level == LOG_LEVEL_ERROR)
        (void)snprintf(told->text + used, sizeof told->text - used, "%s\n", line);
}

/* Opens all anew with a log. */
static void log_to(struct fixture *f, struct log *log, struct told *told) {
    struct error err = {0};
    close_all(f);
    *log = (struct log){.write = take_line, .context = told, .most = LOG_LEVEL_ERROR};
    if (store_open(f->directory, &(struct store_options){.writable = true, .log = log}, &f->store, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(storage_fault_open(f->store->storage, &f->fault), STORE_OK);
    f->store->storage = f->fault;
    assert_int_equal(
        head_open(f->store, &(struct head_options){.commit_interval_ns = INTERVAL_NS, .dirty_limit_bytes = DIRTY_LIMIT},
                  &f->head, &err),
        STORE_OK);
}

/* Closes with a disk that fails, so that all that is pending is lost; `op` fails besides, if it is not NULL. */
static void lose(struct fixture *f, const char *op) {
    if (op) { /* there is one rule: the head has failed for good before the second one */
        storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_IO, true});
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -EIO);
        storage_fault_set(f->fault, &(struct storage_fault){op, 1, STORE_IO, true});
    } else {
        storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_IO, true});
    }
    assert_int_equal(head_close(f->head), -EIO);
    store_close(f->store);
    open_all(f); /* for teardown */
}

static void assert_told(const struct told *told, const char *line) {
    if (!strstr(told->text, line))
        fail_msg("not told: %s; but: %s", line, told->text);
}

static size_t count_lost(const struct told *told) {
    size_t count = 0;
    for (const char *at = told->text; (at = strstr(at, "lost: ")); at += 6)
        count++;
    return count;
}

static void test_head_lost__what_was_pending_is_told_by_path(void **state) {
    struct fixture *f = *state;
    struct told told = {""};
    struct log log;
    assert_int_equal(make(f, "d", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "d/e", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "d/e/old", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "d/gone", S_IFREG | 0644, NULL), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    log_to(f, &log, &told);
    assert_int_equal(write_(f, "d/e/old", 0, 10, 1, 10), 0);
    assert_int_equal(make(f, "d/e/new", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "d/sub", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "d/sub/inner", S_IFREG | 0644, NULL), 0);
    assert_int_equal(remove_(f, "d/gone", false), 0);
    lose(f, NULL);
    assert_told(&told, "lost: what was written to /d/e/old\n");
    assert_told(&told, "lost: what was written to /d/e/new\n");
    assert_told(&told, "lost: what was written to /d/sub/inner\n");
    assert_told(&told, "lost: what was written to /d/sub\n"); /* a new one: it is lost itself */
    assert_told(&told, "lost: the removal of /d/gone\n");
    assert_int_equal(count_lost(&told), 5); /* and not that the directories changed, too */
}

static void test_head_lost__directories_are_told_where_nothing_else_is(void **state) {
    struct fixture *f = *state;
    struct told told = {""};
    struct log log;
    struct head_attr attr = {.mode = 0700};
    assert_int_equal(make(f, "d", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    log_to(f, &log, &told);
    assert_int_equal(set(f, "d", HEAD_SET_MODE, &attr), 0);
    struct head_attr result;
    assert_int_equal(head_setattr(f->head, ROOT_OID, HEAD_SET_MODE, &attr, &result), 0);
    lose(f, NULL);
    assert_told(&told, "lost: what was written to /d\n");
    assert_told(&told, "lost: what was written to /\n");
    assert_int_equal(count_lost(&told), 2);
}

static void test_head_lost__of_many_the_rest_is_counted(void **state) {
    struct fixture *f = *state;
    struct told told = {""};
    struct log log;
    log_to(f, &log, &told);
    for (int i = 0; i < 25; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(make(f, name, S_IFREG | 0644, NULL), 0);
    }
    lose(f, NULL);
    assert_told(&told, "lost: changes of 5 more objects\n");
    assert_int_equal(count_lost(&told), 21);
}

static void test_head_lost__a_path_is_told_as_far_as_it_is_known(void **state) {
    struct fixture *f = *state;
    struct told told = {""};
    struct log log;
    char path[1024] = "", name[NAME_BYTES_MAX + 1];
    memset(name, 'n', NAME_BYTES_MAX);
    name[NAME_BYTES_MAX] = '\0';
    for (int depth = 0; depth < 3; depth++) {
        if (depth > 0)
            strcat(path, "/");
        strcat(path, name);
        assert_int_equal(make(f, path, S_IFDIR | 0755, NULL), 0);
    }
    strcat(path, "/f");
    assert_int_equal(make(f, path, S_IFREG | 0644, NULL), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    log_to(f, &log, &told);
    assert_int_equal(write_(f, path, 0, 10, 1, 10), 0);
    lose(f, NULL);
    char line[1024];
    (void)snprintf(line, sizeof line, "lost: what was written to /%s/%s/f\n", name, name); /* without its beginning */
    assert_told(&told, line);

    told.text[0] = '\0';
    log_to(f, &log, &told);
    assert_int_equal(write_(f, path, 0, 10, 1, 10), 0);
    lose(f, "links");
    assert_told(&told, "lost: what was written to \n"); /* nobody knows where that is */
}

/* Names that came and went, and an object that none leads to. */
static void test_head_lost__what_has_no_name_is_told_without_one(void **state) {
    struct fixture *f = *state;
    struct told told = {""};
    struct log log;
    struct head_attr attr;
    assert_int_equal(make(f, "nameless", S_IFREG | 0644, NULL), 0);
    uint64_t oid = oid_of(f, "nameless");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    close_all(f);
    change_database(f->directory, "DELETE FROM entry WHERE name = CAST('nameless' AS BLOB)");
    open_all(f);
    assert_int_equal(oid_of(f, "nameless"), 0);
    log_to(f, &log, &told);
    assert_int_equal(make(f, "passing", S_IFREG | 0644, NULL), 0);
    assert_int_equal(remove_(f, "passing", false), 0);
    assert_int_equal(make(f, "new", S_IFREG | 0644, NULL), 0);
    assert_int_equal(head_setattr(f->head, oid, HEAD_SET_MODE, &(struct head_attr){.mode = 0600}, &attr), 0);
    lose(f, NULL);
    assert_told(&told, "lost: what was written to /new\n");
    assert_told(&told, "lost: what was written to \n");
    assert_int_equal(count_lost(&told), 2);
}

static void test_head_lost__a_path_in_a_circle_comes_to_an_end(void **state) {
    struct fixture *f = *state;
    struct told told = {""};
    struct log log;
    struct head_attr attr;
    char sql[256];
    assert_int_equal(make(f, "a", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "a/b", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "a/b/f", S_IFREG | 0644, NULL), 0);
    uint64_t a = oid_of(f, "a"), b = oid_of(f, "a/b"), file = oid_of(f, "a/b/f");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    close_all(f);
    (void)snprintf(sql, sizeof sql,
                   "UPDATE entry SET parent = %" PRIu64 ", idx = 99 WHERE oid = %" PRIu64
                   "; UPDATE entry SET sum = row_sum(parent, idx, name, oid, type, born)",
                   b, a);
    change_database(f->directory, sql);
    open_all(f);
    log_to(f, &log, &told);
    assert_int_equal(head_setattr(f->head, file, HEAD_SET_MODE, &(struct head_attr){.mode = 0600}, &attr), 0);
    lose(f, NULL);
    assert_told(&told, "/a/b/a/b/f\n");
}

static void test_head_lost__a_head_needs_a_state_with_a_transaction(void **state) {
    struct fixture *f = *state;
    struct error err = {0};
    struct head *head;
    assert_int_equal(head_close(f->head), 0);
    storage_fault_set(f->fault, &(struct storage_fault){"get_state", 1, STORE_IO, false});
    assert_int_equal(head_open(f->store, &(struct head_options){0}, &head, &err), STORE_IO);
    assert_non_null(strstr(err.text, "cannot read the state of"));
    storage_fault_set(f->fault, NULL);
    store_close(f->store);
    open_all(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_head_lost__##name, setup, teardown)
        TEST(what_was_pending_is_told_by_path),
        TEST(directories_are_told_where_nothing_else_is),
        TEST(of_many_the_rest_is_counted),
        TEST(a_path_is_told_as_far_as_it_is_known),
        TEST(what_has_no_name_is_told_without_one),
        TEST(a_path_in_a_circle_comes_to_an_end),
        TEST(a_head_needs_a_state_with_a_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
