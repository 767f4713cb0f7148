/* Revert by examples: what is outside of the named paths, what is to be kept, and steps that were picked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history/restore.h"
#include "store/store.h"
#include "tests/changing_rules.h"
#include "tests/tamper.h"

/* A line each: conflicts as "! PATH: WHY", or if there are none steps as "KIND OLD NEW". */
static void assert_plan(struct changing *c, const struct restore_request *request, const char *expected) {
    struct restore_plan *plan;
    struct error err = {0};
    char text[2048] = "";
    size_t count;
    assert_int_equal(restore_plan_make(c->store, store_last(c->store), request, NULL, NULL, &plan, &err), STORE_OK);
    const struct restore_conflict *conflicts = restore_plan_conflicts(plan, &count);
    for (size_t i = 0; i < count; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "! %s: %s\n", conflicts[i].path,
                       conflicts[i].why);
    bool conflicted = count > 0;
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    for (size_t i = 0; i < count && !conflicted; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%c %s %s\n", (char)steps[i].change.kind,
                       steps[i].change.old_path ? steps[i].change.old_path : "-",
                       steps[i].change.new_path ? steps[i].change.new_path : "-");
    assert_string_equal(text, expected);
    restore_plan_free(plan);
}

static enum restore_outcome run(struct changing *c, const struct restore_request *request) {
    struct restore_result result;
    struct error err = {0};
    if (restore_run(c->store, c->head, request, 0, "somebody", "revert", &result, &err) != STORE_OK)
        fail_msg("%s", err.text);
    restore_touched_release(&result.touched);
    return result.outcome;
}

static void assert_content(struct changing *c, const char *path, const char *expected) {
    char *text = changing_read(c, path);
    assert_string_equal(text, expected);
    free(text);
}

static struct restore_request request_for(uint64_t before, const char *const *paths, size_t count) {
    return (struct restore_request){.kind = RESTORE_REVERT, .before = before, .paths = paths, .path_count = count};
}

/* All, to each of its instants: no difference is left. */
static void test_revert__of_small_histories_leaves_no_difference(void **state) {
    (void)state;
    for (size_t i = 0; i < changing_rule_count * 2; i++) {
        const struct changing_rule *rule = &changing_rules[i / 2];
        struct changing *c = changing_new(1);
        const char *const scripts[] = {rule->first, rule->undone, rule->later};
        const char *path = "";
        for (size_t k = 0; k < 3; k++) {
            changing_play(c, scripts[k]);
            changing_commit(c, "played");
        }
        const struct restore_request request = request_for(3 + i % 2, &path, 1);
        assert_int_not_equal(run(c, &request), RESTORE_CONFLICT);
        char *is = changing_dump(c, store_last(c->store) + 1, "", true), *was = changing_dump(c, 3 + i % 2, "", true);
        changing_assert_same_text(rule->name, is, was);
        free(is);
        free(was);
        changing_free(c);
    }
}

/* What stood at a path that is named alone has gone elsewhere, with the directory above or without it. */
static void test_revert__of_a_path_whose_file_is_elsewhere(void **state) {
    (void)state;
    static const struct {
        const char *first, *later, *path, *plan;
        const char *expected[3][2];
    } cases[] = {
        {"d a\nw a/f 1\nd b\nw b/f 2", "r a/f g\nr a z\nr b a", "a/f", "M a/f a/f\n", {{"a/f", "1"}, {"g", "1"}}},
        {"d x\nd x/d", "r x/d e\n- x\nr e x", "x/d", "A - x/d\n", {{NULL}}},
        {"d d\nw d/f 1\nd d/e\nw d/e/g 1",
         "r d e",
         "d",
         "A - d\nA - d/e\nA - d/e/g\nA - d/f\n",
         {{"d/f", "1"}, {"d/e/g", "1"}, {"e/f", "1"}}},
        {"d p\nd p/d\nw p/d/f 1\nd p/d/e\nw p/d/e/g 1",
         "r p/d d",
         "p",
         "A - p/d\nA - p/d/e\nA - p/d/e/g\nA - p/d/f\n",
         {{"p/d/f", "1"}, {"p/d/e/g", "1"}}},
        {"d x\nd x/d\nw x/d/f 1",
         "- x\nw x 2",
         "x/d",
         "! x: something that is no directory is there now; revert it, too\n",
         {{"x", "2"}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct changing *c = changing_new(1);
        changing_play(c, cases[i].first);
        uint64_t before = changing_commit(c, "first") + 1;
        changing_play(c, cases[i].later);
        changing_commit(c, "later");
        const struct restore_request request = request_for(before, &cases[i].path, 1);
        assert_plan(c, &request, cases[i].plan);
        (void)run(c, &request);
        for (size_t k = 0; k < 3 && cases[i].expected[k][0]; k++)
            assert_content(c, cases[i].expected[k][0], cases[i].expected[k][1]);
        changing_free(c);
    }
}

/* A rename of which only one side is named: the other side stays as it is. */
static void test_revert__of_one_side_of_a_rename(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "d");
    changing_write(c, "d/f", "1\n");
    changing_write(c, "a", "a\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_rename(c, "d", "e", 0);
    changing_rename(c, "a", "b", 0);
    changing_commit(c, "renamed");
    const char *old = "d", *new = "e", *both[] = {"d", "b"}, *same[] = {"d/f", "d"};
    struct restore_request request = request_for(before, &old, 1);
    assert_plan(c, &request, "A - d\nA - d/f\n");
    request = request_for(before, &new, 1);
    assert_plan(c, &request, "D e -\nD e/f -\n");
    request.keep_new = true;
    assert_plan(c, &request, "");
    assert_int_equal(run(c, &request), RESTORE_NOTHING);
    request = request_for(before, same, 2);
    assert_plan(c, &request, "A - d\nA - d/f\n");
    request = request_for(before, both, 2);
    assert_plan(c, &request, "D b -\nA - d\nA - d/f\n");
    assert_int_equal(run(c, &request), RESTORE_DONE);
    assert_content(c, "d/f", "1\n");
    assert_content(c, "e/f", "1\n");
    assert_content(c, "b", "(absent)");
    changing_free(c);
}

/* What was renamed over something, and a directory that made room for a file and the other way about. */
static void test_revert__of_what_took_a_place(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "d");
    changing_write(c, "d/f", "1\n");
    changing_write(c, "a", "a\n");
    changing_write(c, "b", "b\n");
    changing_write(c, "k", "k\n");
    changing_symlink(c, "s", "target");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_rename(c, "a", "b", 0);
    changing_remove(c, "d");
    changing_write(c, "d", "a file\n");
    changing_remove(c, "k");
    changing_mkdir(c, "k");
    changing_write(c, "k/inside", "i\n");
    changing_remove(c, "s");
    changing_symlink(c, "s", "elsewhere");
    changing_commit(c, "changed");
    char *was = changing_dump(c, before, "", true);
    const char *path = "", *below[] = {"d/f"}, *holder[] = {"d"};
    struct restore_request request = request_for(before, &path, 1);
    request.keep_new = true;
    assert_plan(c, &request, "! k: there is something in it that is to be kept\n");
    request = request_for(before, below, 1);
    assert_plan(c, &request, "! d: something that is no directory is there now; revert it, too\n");
    request = request_for(before, holder, 1);
    assert_plan(c, &request, "T d d\nA - d/f\n");
    request = request_for(before, &path, 1);
    assert_int_equal(run(c, &request), RESTORE_DONE);
    char *is = changing_dump(c, store_last(c->store) + 1, "", true);
    changing_assert_same_text("all", is, was);
    free(is);
    free(was);
    changing_free(c);
}

/* The attributes of the root and of directories are changes like others. */
static void test_revert__of_attributes(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "d");
    changing_write(c, "f", "1\n");
    changing_set_xattr(c, "f", "user.a", "1");
    changing_set_xattr(c, "f", "user.b", "1");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_chmod(c, "", 0700);
    changing_set_xattr(c, "d", "user.a", "1");
    changing_chown(c, "d", 1000, 7);
    changing_set_xattr(c, "f", "user.a", "2");
    changing_set_xattr(c, "f", "user.b", NULL);
    changing_set_xattr(c, "f", "user.c", "3");
    changing_chown(c, "f", 7, 1000);
    changing_commit(c, "changed");
    const char *path = "";
    struct restore_request request = request_for(before, &path, 1);
    assert_plan(c, &request, "M  \nM d d\nM f f\n");
    char *was = changing_dump(c, before, "", true);
    assert_int_equal(run(c, &request), RESTORE_DONE);
    char *is = changing_dump(c, store_last(c->store) + 1, "", true);
    changing_assert_same_text("attributes", is, was);
    free(is);
    free(was);
    assert_int_equal(run(c, &request), RESTORE_NOTHING);
    changing_free(c);
}

/* Names of the user's that look like those which put aside uses are passed over. */
static void test_revert__leaves_names_like_its_own_alone(void **state) {
    struct changing *c = changing_new(1);
    char name[32];
    (void)state;
    changing_write(c, "f", "f\n");
    changing_write(c, "g", "g\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_rename(c, "f", "g", RENAME_EXCHANGE);
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, ".tidfs-restore-%u", i);
        changing_write(c, name, "mine\n");
    }
    changing_commit(c, "changed");
    static const char *const paths[] = {"f", "g"};
    const struct restore_request request = request_for(before, paths, 2);
    assert_int_equal(run(c, &request), RESTORE_DONE);
    assert_content(c, "f", "f\n");
    assert_content(c, "g", "g\n");
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(name, sizeof name, ".tidfs-restore-%u", i);
        assert_content(c, name, "mine\n");
    }
    assert_int_equal(changing_find(c, ".tidfs-restore-4"), 0);
    changing_free(c);
}

/* ---- steps that were picked ---- */

static void test_revert__takes_picked_contents(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "d");
    changing_write(c, "gone", "gone\n");
    changing_write(c, "f", "1\n");
    changing_write(c, "w", "1\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_remove(c, "gone");
    changing_write(c, "f", "2\n");
    changing_chmod(c, "f", 0600);
    changing_write(c, "w", "2\n");
    changing_chmod(c, "d", 0700);
    uint64_t base = changing_commit(c, "changed");
    const char *path = "";
    const struct restore_choice choices[] = {
        {.path = "gone", .comes = true, .data = (const uint8_t *)"new\n", .length = 4},
        {.path = "f"},                                                  /* nothing is left of it */
        {.path = "d", .data = (const uint8_t *)"no file", .length = 7}, /* a directory has no content */
        {.path = "w", .data = (const uint8_t *)"2\n", .length = 2},     /* what is there already */
        {.path = "not in the plan", .whole = true},
    };
    struct restore_request request = request_for(before, &path, 1);
    request.choices = choices;
    request.choice_count = sizeof choices / sizeof *choices;
    assert_plan(c, &request, "M d d\nM f f\nA - gone\n");
    struct restore_plan *plan;
    struct error err = {0};
    size_t count;
    assert_int_equal(restore_plan_make(c->store, base, &request, NULL, NULL, &plan, &err), STORE_OK);
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    assert_int_equal(steps[2].length, 4);
    assert_memory_equal(steps[2].data, "new\n", 4);
    assert_int_equal(steps[2].change.new.size, 4);
    assert_int_equal(steps[1].length, 0);
    restore_plan_free(plan);
    assert_int_equal(run(c, &request), RESTORE_DONE);
    assert_content(c, "gone", "new\n");
    assert_content(c, "f", "");
    assert_content(c, "w", "2\n");
    struct head_attr attr;
    assert_int_equal(head_getattr(c->head, changing_find(c, "d"), &attr), 0);
    assert_int_equal(attr.mode & 07777, 0755);
    assert_int_equal(head_getattr(c->head, changing_find(c, "f"), &attr), 0);
    assert_int_equal(attr.mode & 07777, 0644);
    changing_free(c);
}

/* Half of what only together gives a tree. */
static void test_revert__refuses_steps_that_do_not_fit(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "a");
    changing_mkdir(c, "a/b");
    changing_write(c, "f", "f\n");
    changing_write(c, "g", "g\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_rename(c, "a/b", "b", 0);
    changing_rename(c, "a", "b/a", 0);
    changing_rename(c, "f", "g", RENAME_EXCHANGE);
    changing_commit(c, "turned");
    const char *path = "";
    struct restore_request request = request_for(before, &path, 1);
    assert_plan(c, &request, "R b/a a\nR b a/b\nR g f\nR f g\n");
    struct restore_choice choice = {.path = "b", .whole = true};
    request.choices = &choice;
    request.choice_count = 1;
    assert_plan(c, &request, "! b/a/b: it would be inside of itself\n");
    assert_int_equal(run(c, &request), RESTORE_CONFLICT);
    choice.path = "f";
    assert_plan(c, &request, "! g: what is there is to stay, and something else is to come\n");
    assert_int_equal(run(c, &request), RESTORE_CONFLICT);
    choice.path = "b/a";
    assert_plan(c, &request, "R b/a a\n");
    assert_int_equal(run(c, &request), RESTORE_DONE);
    assert_int_not_equal(changing_find(c, "a"), 0);
    assert_content(c, "f", "g\n");
    changing_free(c);
}

/* ---- what cannot be ---- */

static void test_revert__to_what_comes_later_is_refused(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "f", "1\n");
    uint64_t base = changing_commit(c, "made");
    const char *path = "";
    const struct restore_request request = request_for(base + 2, &path, 1);
    struct restore_plan *plan;
    struct error err = {0};
    assert_int_equal(restore_plan_make(c->store, base, &request, NULL, NULL, &plan, &err), STORE_INVALID);
    assert_string_equal(err.text, "cannot revert to what comes later");
    changing_free(c);
}

/* What cannot be committed is told as what it is, and changes nothing. */
static void test_revert__says_why_it_was_not_committed(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "f", "1\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_write(c, "f", "2\n");
    uint64_t base = changing_commit(c, "changed");
    const char *path = "";
    const struct restore_request request = request_for(before, &path, 1);
    struct restore_result result;
    struct error err = {0};
    char *message = calloc(1, MESSAGE_MAX + 2);
    assert_non_null(message);
    memset(message, 'm', MESSAGE_MAX + 1);
    assert_int_equal(restore_run(c->store, c->head, &request, 0, "u", message, &result, &err), STORE_TOO_BIG);
    assert_non_null(strstr(err.text, "the user or the message is too long; nothing was changed"));
    assert_int_equal(store_last(c->store), base);
    assert_content(c, "f", "2\n");
    free(message);
    changing_free(c);
}

/* ---- messages ---- */

static void test_restore_message__names_what_it_can(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    uint64_t seqs[203];
    changing_write(c, "f", "1\n");
    for (size_t i = 0; i < 203; i++)
        seqs[i] = 2;
    assert_int_equal(changing_commit(c, "why\nmore"), 2);
    static const char *const paths[] = {"", "b", "c", "d", "e", "f"};
    struct restore_request request = request_for(3, paths, 4);
    char *message;
    assert_int_equal(restore_message(c->store, &request, NULL, &message), STORE_OK);
    assert_memory_equal(message, "revert / b c d to 0", 19);
    free(message);
    assert_int_equal(restore_message(c->store, &(struct restore_request){.kind = RESTORE_UNDO}, NULL, &message),
                     STORE_OK);
    assert_string_equal(message, ""); /* of nothing there is nothing to say */
    free(message);
    request.path_count = 6;
    assert_int_equal(restore_message(c->store, &request, "said\n\n", &message), STORE_OK);
    assert_memory_equal(message, "said\n\nrevert / b c and 3 more to 0", 34);
    free(message);
    request.before = 1; /* there is no transaction before it */
    assert_int_equal(restore_message(c->store, &request, "", &message), STORE_OK);
    assert_memory_equal(message, "\n\nrevert / b c and 3 more to ", 29);
    free(message);
    request.before = 9;
    assert_int_equal(restore_message(c->store, &request, NULL, &message), STORE_CORRUPT);
    request = (struct restore_request){.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = 203};
    assert_int_equal(restore_message(c->store, &request, NULL, &message), STORE_OK);
    assert_memory_equal(message, "undo 203 transactions\n\nundo 0", 29);
    assert_null(strstr(message, "more\nundo"));
    assert_string_equal(message + strlen(message) - strlen(": why\nand 3 more"), ": why\nand 3 more");
    free(message);
    request.seq_count = 1;
    assert_int_equal(restore_message(c->store, &request, NULL, &message), STORE_OK);
    assert_non_null(strstr(message, ": why\nmore"));
    free(message);
    seqs[0] = 9;
    assert_int_equal(restore_message(c->store, &request, NULL, &message), STORE_CORRUPT);
    changing_free(c);
}

/* ---- what is damaged ---- */

#define LARGE 150000 /* bytes: several bodies in a body file */

/* `text` again and again. */
static char *large(const char *text) {
    char *content = malloc(LARGE + 1);
    assert_non_null(content);
    for (size_t i = 0; i < LARGE; i++)
        content[i] = text[i % strlen(text)];
    content[LARGE] = '\0';
    return content;
}

static void change_byte(const struct changing *c, off_t at) {
    char path[128], byte;
    (void)snprintf(path, sizeof path, "%s/bodies/00000001", c->directory);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    assert_int_equal(close(fd), 0);
}

static void assert_refused(struct changing *c, const struct restore_request *request, int code, const char *why) {
    struct restore_result result;
    struct error err = {0};
    uint64_t last = store_last(c->store);
    assert_int_equal(restore_run(c->store, c->head, request, 0, "somebody", "revert", &result, &err), code);
    assert_string_equal(err.text, why);
    assert_int_equal(result.tid, 0);
    assert_null(result.touched.oids);
    assert_int_equal(store_last(c->store), last);
}

#define DAMAGED                                                                                                        \
    "f: it cannot be put back: some of what it was is damaged; nothing was changed; `tidfs verify` tells more, and "   \
    "`tidfs verify --repair` keeps what can still be read"

/* Nothing that was read before is in memory. */
static struct changing *reopened(struct changing *c) {
    const struct store_options options = {.writable = true};
    const struct head_options head_options = {.dirty_limit_bytes = UINT64_C(64) << 20};
    assert_int_equal(head_close(c->head), 0);
    store_close(c->store);
    assert_int_equal(store_open(c->directory, &options, &c->store, NULL), STORE_OK);
    assert_int_equal(head_open(c->store, &head_options, &c->head, NULL), STORE_OK);
    return c;
}

static void test_revert__puts_nothing_damaged_in_the_place_of_what_is_good(void **state) {
    struct changing *c = changing_new(1);
    const char *path = "f";
    char *one = large("one "), *two = large("two "), *longer = large("longer");
    (void)state;
    changing_write(c, "f", one);
    const struct restore_request request = request_for(changing_commit(c, "one") + 1, &path, 1);
    changing_write(c, "f", two);
    const uint64_t seq = changing_commit(c, "two");
    const struct restore_request undo = {.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1};
    change_byte(c, LARGE - 1);
    assert_refused(reopened(c), &request, STORE_CORRUPT, DAMAGED);
    assert_refused(c, &undo, STORE_CORRUPT, DAMAGED);
    /* The same if it is to be another file again. */
    changing_save(c, "f", longer);
    changing_commit(c, "saved");
    assert_refused(c, &request, STORE_CORRUPT, DAMAGED);
    assert_content(c, "f", longer);
    /* Where nothing is, nothing is lost by it. */
    changing_remove(c, "f");
    changing_commit(c, "removed");
    assert_int_equal(run(c, &request), RESTORE_DONE);
    change_byte(c, LARGE - 1);
    assert_content(reopened(c), "f", one);
    free(one);
    free(two);
    free(longer);
    changing_free(c);
}

static void test_revert__replaces_what_is_damaged_and_leaves_what_stays(void **state) {
    struct changing *c = changing_new(1);
    const char *path = "f";
    char *one = large("one "), *two = large("two "), *three = large("two ");
    (void)state;
    memcpy(three + LARGE - 4, "end.", 4);
    changing_write(c, "f", one);
    const struct restore_request to_one = request_for(changing_commit(c, "one") + 1, &path, 1);
    changing_write(c, "f", two);
    const struct restore_request to_two = request_for(changing_commit(c, "two") + 1, &path, 1);
    const char end[] = "end.";
    uint64_t oid = changing_find(c, "f");
    assert_int_equal(head_write(c->head, oid, LARGE - 4, 4, (const uint8_t *)end, false), 4);
    changing_commit(c, "three");
    change_byte(c, LARGE); /* the first of two, which three has as well */
    assert_int_equal(run(reopened(c), &to_two), RESTORE_DONE);
    assert_int_equal(run(c, &to_one), RESTORE_DONE);
    assert_content(c, "f", one);
    assert_refused(c, &to_two, STORE_CORRUPT, DAMAGED);
    /* Where nobody can tell what is there, the head lets go of nothing. */
    changing_save(c, "f", three);
    changing_commit(c, "saved");
    change_database(c->directory,
                    "UPDATE revision SET sum = sum + 1 WHERE part > 1 AND seq = (SELECT max(seq) FROM txn)");
    assert_refused(reopened(c), &to_one, STORE_IO,
                   "it could not be committed: Input/output error; nothing was changed");
    free(one);
    free(two);
    free(three);
    changing_free(c);
}

/* What was said is kept whole; what is added to it is cut. */
static void test_restore_message__is_no_longer_than_may_be(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    char *said = calloc(1, MESSAGE_MAX + 2);
    assert_non_null(said);
    changing_write(c, "f", "1\n");
    const uint64_t seq = changing_commit(c, "message");
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1};
    memset(said, 's', MESSAGE_MAX - 4);
    char *message;
    assert_int_equal(restore_message(c->store, &request, said, &message), STORE_OK);
    assert_int_equal(strlen(message), MESSAGE_MAX);
    assert_string_equal(message + MESSAGE_MAX - 6, "ss\n\nun");
    free(message);
    memset(said, 's', MESSAGE_MAX + 1);
    assert_int_equal(restore_message(c->store, &request, said, &message), STORE_OK);
    assert_true(strlen(message) > MESSAGE_MAX);
    free(message);
    free(said);
    changing_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revert__of_small_histories_leaves_no_difference),
        cmocka_unit_test(test_revert__of_a_path_whose_file_is_elsewhere),
        cmocka_unit_test(test_revert__of_one_side_of_a_rename),
        cmocka_unit_test(test_revert__of_what_took_a_place),
        cmocka_unit_test(test_revert__of_attributes),
        cmocka_unit_test(test_revert__leaves_names_like_its_own_alone),
        cmocka_unit_test(test_revert__takes_picked_contents),
        cmocka_unit_test(test_revert__refuses_steps_that_do_not_fit),
        cmocka_unit_test(test_revert__to_what_comes_later_is_refused),
        cmocka_unit_test(test_revert__says_why_it_was_not_committed),
        cmocka_unit_test(test_revert__puts_nothing_damaged_in_the_place_of_what_is_good),
        cmocka_unit_test(test_revert__replaces_what_is_damaged_and_leaves_what_stays),
        cmocka_unit_test(test_restore_message__names_what_it_can),
        cmocka_unit_test(test_restore_message__is_no_longer_than_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
