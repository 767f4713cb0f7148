/* The tracing and the fault-injecting layer, alone and on top of each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/storage.h"

struct fixture {
    char directory[64];
    char lines[16384];
    struct log log;
    struct storage *fault, *storage; /* storage is the tracer, above the fault layer */
    uint64_t last;
};

static void write_log(void *context, enum log_level level, const char *line) {
    struct fixture *f = context;
    size_t used = strlen(f->lines);
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    (void)snprintf(f->lines + used, sizeof f->lines - used, "%s\n", line);
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct storage_open_options options = {.writable = true};
    struct storage *sqlite;
    assert_non_null(f);
    strcpy(f->directory, "/tmp/test_layers.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->log = (struct log){.write = write_log, .context = f, .most = LOG_LEVEL_DEBUG};
    assert_int_equal(storage_sqlite_create(f->directory, NULL), STORE_OK);
    assert_int_equal(storage_sqlite_open(f->directory, &options, &sqlite, NULL), STORE_OK);
    assert_int_equal(storage_fault_open(sqlite, &f->fault), STORE_OK);
    assert_int_equal(storage_trace_open(f->fault, &f->log, &f->storage), STORE_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    char command[128];
    storage_close(f->storage);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->directory);
    free(f);
    return system(command);
}

static int commit_root(struct fixture *f, const char *data) {
    struct new_revision revision = {
        .oid = ROOT_OID, .part = PART_INODE, .directory = true, .data = (const uint8_t *)data, .length = strlen(data)};
    char name[24];
    int length = snprintf(name, sizeof name, "name%d", (int)f->last);
    struct new_entry entry = {.parent = ROOT_OID,
                              .index = 3 + f->last,
                              .oid = 2,
                              .type = S_IFREG,
                              .name = name,
                              .name_length = (size_t)length};
    struct commit commit = {
        .base = f->last,
        .wall = {.tv_sec = 1700000000},
        .user = "",
        .message = "",
        .next_oid = 3,
        .revisions = &revision,
        .revision_count = 1,
        .added = &entry,
        .added_count = 1,
    };
    int rc = storage_commit(f->storage, &commit, NULL);
    if (rc == STORE_OK)
        f->last++;
    return rc;
}

/* Calls every operation once, after a commit, and expects `rc` of each. */
static void call_all(struct fixture *f, int expected) {
    struct storage *s = f->storage;
    struct storage_state now;
    struct revision revision;
    struct entry entry;
    struct entry_list list;
    struct subtree subtree;
    struct body_ref ref = {0};
    struct transaction transaction;
    struct tag *tags;
    enum load_outcome outcome;
    uint64_t *oids, number, other;
    size_t count;
    uint8_t buffer[4];
    bool ok = expected == STORE_OK;

    assert_int_equal(commit_root(f, "data"), expected);
    assert_int_equal(storage_get_state(s, &now), expected);
    assert_int_equal(storage_load_before(s, ROOT_OID, PART_INODE, 2, &outcome, &revision), expected);
    revision_release(&revision);
    assert_int_equal(storage_load_revision(s, 1, &revision), expected);
    revision_release(&revision);
    assert_int_equal(storage_next_part(s, ROOT_OID, 0, 2, &number), expected);
    assert_int_equal(storage_lookup(s, ROOT_OID, "name0", 5, 2, &entry), expected);
    entry_release(&entry);
    assert_int_equal(storage_list(s, ROOT_OID, 2, &list), expected);
    assert_int_equal(list.count, ok ? 1 : 0);
    entry_list_release(&list);
    assert_int_equal(storage_list_from(s, ROOT_OID, 2, 0, 1, &list), expected);
    assert_int_equal(list.count, ok ? 1 : 0);
    entry_list_release(&list);
    assert_int_equal(storage_links(s, 2, 2, &list), expected);
    entry_list_release(&list);
    assert_int_equal(storage_named(s, ROOT_OID, "name0", 5, &list), expected);
    assert_int_equal(list.count, ok ? 1 : 0);
    entry_list_release(&list);
    assert_int_equal(storage_subtree(s, ROOT_OID, 2, &subtree), expected);
    assert_int_equal(storage_changed(s, 0, 5, &oids, &count), expected);
    free(oids);
    assert_int_equal(storage_revisions_between(s, 0, 5, &number), expected);
    assert_int_equal(number, ok ? 1 : 0);
    assert_int_equal(storage_body_append(s, (const uint8_t *)"body", 4, &ref), expected);
    if (!ok)
        ref = (struct body_ref){.file = 1, .length = 4};
    assert_int_equal(storage_body_read(s, &ref, buffer), expected);
    assert_int_equal(storage_body_reserve(s, 1, &number), expected);
    assert_int_equal(storage_transaction_before(s, UINT64_MAX, &transaction), expected);
    transaction_release(&transaction);
    assert_int_equal(storage_transaction_at(s, 1, &transaction), expected);
    transaction_release(&transaction);
    assert_int_equal(storage_touched(s, ROOT_OID, 2, &number), expected);
    assert_int_equal(storage_tag_set(s, "tag", 5, false), expected);
    assert_int_equal(storage_tag_get(s, "tag", &number), expected);
    assert_int_equal(storage_tag_list(s, &tags, &count), expected);
    free(tags);
    assert_int_equal(storage_tag_delete(s, "tag"), expected);
    assert_int_equal(storage_space(s, &number, &other), expected);
}

static void test_layers__trace_writes_a_line_for_each_call(void **state) {
    static const char *const operations[] = {
        "commit (base 0, 1 revisions, 0 ended, 1 added, 0 bodies) -> seq 1 tid ",
        "get_state () -> seq 1 ",
        "load_before (oid 1, part 0, before 2) -> data, revision 1 seq 1 ",
        "load_revision (1) -> oid 1 part 0 seq 1 4 bytes",
        "next_part (oid 1, from 0, before 2) -> 0",
        "lookup (parent 1, \"name0\", before 2) -> oid 2",
        "list (parent 1, before 2) -> 1",
        "list_from (parent 1, before 2, from 0, most 1) -> 1",
        "links (oid 2, before 2) -> 1",
        "named (parent 1, \"name0\") -> 1",
        "subtree (directory 1, before 2) -> seq 1",
        "changed (after 0, until 5) -> 1",
        "revisions_between (after 0, until 5) -> 1",
        "body_append (4 bytes) -> file 1, position 0",
        "body_read (file 1, position 0, 4 bytes)",
        "body_reserve (1) -> 1",
        "transaction_before (ffffffffffffffff) -> seq 1 ",
        "transaction_at (1) -> tid ",
        "touched (oid 1, before 2) -> 1",
        "tag_set (\"tag\", 0000000000000005)",
        "tag_get (\"tag\") -> 0000000000000005",
        "tag_list () -> 1",
        "tag_delete (\"tag\")",
        "space () -> ",
    };
    struct fixture *f = *state;
    call_all(f, STORE_OK);
    const char *line = f->lines;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        const char *line_end = strchr(line, '\n');
        assert_non_null(line_end);
        if (strncmp(line, operations[i], strlen(operations[i])) != 0)
            fail_msg("expected: %s\nfound: %.*s", operations[i], (int)(line_end - line), line);
        assert_true(strncmp(line_end - 3, " us", 3) == 0);
        assert_true(strstr(line, " = ok, ") < line_end);
        line = line_end + 1;
    }
    assert_string_equal(line, "");
}

static void test_layers__trace_tells_errors(void **state) {
    struct fixture *f = *state;
    struct storage_fault rule = {.op = "get_state", .nth = 1, .code = STORE_IO};
    struct storage_state now;
    storage_fault_set(f->fault, &rule);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_IO);
    assert_non_null(strstr(f->lines, " = input/output error, "));
}

static void test_layers__trace_shows_what_was_asked(void **state) {
    struct fixture *f = *state;
    char name[NAME_BYTES_MAX + 1], expected[NAME_BYTES_MAX + 64];
    struct entry entry;
    struct entry_list list;
    assert_int_equal(commit_root(f, "one"), STORE_OK);
    assert_int_equal(storage_tag_set(f->storage, "tag", 5, false), STORE_OK);
    assert_int_equal(storage_tag_set(f->storage, "tag", 6, true), STORE_OK);
    assert_non_null(strstr(f->lines, "tag_set (\"tag\", 0000000000000006, replace) = ok"));
    memset(name, 'n', sizeof name);
    f->lines[0] = '\0';
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, name, NAME_BYTES_MAX, 2, &entry), STORE_ABSENT);
    (void)snprintf(expected, sizeof expected, "lookup (parent 1, \"%.*s\", before 2)", NAME_BYTES_MAX, name);
    assert_non_null(strstr(f->lines, expected));
    f->lines[0] = '\0';
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, name, sizeof name, 2, &entry), STORE_ABSENT);
    assert_int_equal(storage_named(f->storage, ROOT_OID, name, sizeof name, &list), STORE_OK);
    assert_int_equal(list.count, 0);
    assert_string_equal(f->lines, ""); /* nothing has such a name: no storage is asked */
}

static void test_layers__fault_hits_every_operation(void **state) {
    struct fixture *f = *state;
    struct storage_fault rule = {.op = NULL, .nth = 1, .code = STORE_IO, .sticky = true};
    storage_fault_set(f->fault, &rule);
    call_all(f, STORE_IO);
    assert_int_equal(storage_fault_count(f->fault), 24);
    storage_fault_set(f->fault, NULL);
    assert_int_equal(storage_fault_count(f->fault), 0);
    call_all(f, STORE_OK);
}

static void test_layers__fault_hits_the_nth_call_only(void **state) {
    struct fixture *f = *state;
    struct storage_fault rule = {.op = "commit", .nth = 2, .code = STORE_FULL};
    struct storage_state now;
    storage_fault_set(f->fault, &rule);
    assert_int_equal(commit_root(f, "one"), STORE_OK);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(commit_root(f, "two"), STORE_FULL);
    assert_int_equal(storage_get_state(f->storage, &now), STORE_OK);
    assert_int_equal(now.last_seq, 1);
    assert_int_equal(commit_root(f, "two"), STORE_OK);
    assert_int_equal(storage_fault_count(f->fault), 3);
}

static void note_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    (void)problem;
}

static void test_layers__verify_passes_through(void **state) {
    struct fixture *f = *state;
    struct verify_options options = {.problem = note_problem};
    struct storage_fault rule = {.op = "verify", .nth = 2, .code = STORE_IO};
    uint64_t problems;
    storage_fault_set(f->fault, &rule);
    assert_int_equal(storage_verify(f->storage, &options, &problems), STORE_OK);
    assert_int_equal(problems, 0);
    assert_non_null(strstr(f->lines, "verify () -> 0 problems = ok"));
    assert_int_equal(storage_verify(f->storage, &options, &problems), STORE_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_layers__trace_writes_a_line_for_each_call), TEST(test_layers__trace_tells_errors),
        TEST(test_layers__trace_shows_what_was_asked),        TEST(test_layers__fault_hits_every_operation),
        TEST(test_layers__fault_hits_the_nth_call_only),      TEST(test_layers__verify_passes_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
