/* Revert, on the head: random histories and what each promise says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/restore.h"
#include "tests/changing.h"

static struct restore_request request_for(uint64_t before, const char *const *paths, size_t count) {
    return (struct restore_request){.kind = RESTORE_REVERT, .before = before, .paths = paths, .path_count = count};
}

/* The outcome is another than it should be: the plan tells why. */
static void fail_with_plan(struct changing *c, const struct restore_request *request, uint64_t base) {
    struct restore_plan *plan;
    struct error err = {0};
    size_t count;
    assert_int_equal(restore_plan_make(c->store, base, request, NULL, NULL, &plan, &err), STORE_OK);
    const struct restore_conflict *conflicts = restore_plan_conflicts(plan, &count);
    for (size_t i = 0; i < count; i++)
        print_error("conflict: %s: %s\n", conflicts[i].path, conflicts[i].why);
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    for (size_t i = 0; i < count; i++)
        print_error("step: %c %s %s\n", (char)steps[i].change.kind,
                    steps[i].change.old_path ? steps[i].change.old_path : "-",
                    steps[i].change.new_path ? steps[i].change.new_path : "-");
    restore_plan_free(plan);
    fail_msg("another outcome was expected");
}

static void run(struct changing *c, const struct restore_request *request, enum restore_outcome outcome) {
    struct restore_result result;
    struct error err = {0};
    if (restore_run(c->store, c->head, request, 0, "somebody", "revert", &result, &err) != STORE_OK)
        fail_msg("%s", err.text);
    if (result.outcome != outcome)
        fail_with_plan(c, request, result.base);
    restore_touched_release(&result.touched);
}

static void revert(struct changing *c, uint64_t before, const char *path) {
    const struct restore_request request = request_for(before, &path, 1);
    run(c, &request, RESTORE_DONE);
}

/* Everything but ctimes is as it was; and there is no difference to be found. */
static void assert_as_of(struct changing *c, uint64_t before, const char *path, const char *what) {
    char *is = changing_dump(c, store_last(c->store) + 1, path, true);
    char *was = changing_dump(c, before, path, true);
    changing_assert_same_text(what, is, was);
    free(is);
    free(was);
    const struct diff_options options = {
        .before_a = store_last(c->store) + 1, .before_b = before, .paths = &path, .path_count = 1};
    struct change_list changes;
    assert_int_equal(diff_run(c->store, &options, &changes), STORE_OK);
    for (size_t i = 0; i < changes.count; i++) /* a file with several names may be another than it was */
        assert_true(changes.items[i].kind == CHANGE_MODIFIED && changes.items[i].what == 0);
    change_list_release(&changes);
}

static void test_revert__of_all_to_any_instant_leaves_no_difference(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct changing *c = changing_new(seed);
        for (unsigned i = 0; i < 15; i++) {
            changing_random(c, 12);
            changing_commit(c, "changed");
        }
        for (unsigned i = 0; i < 12; i++) {
            char what[64];
            uint64_t before = 2 + changing_below(c, store_last(c->store));
            (void)snprintf(what, sizeof what, "seed %" PRIu64 ", try %u, before %" PRIu64, seed, i, before);
            const char *path = "";
            const struct restore_request request = request_for(before, &path, 1);
            struct restore_result result;
            struct error err = {0};
            if (restore_run(c->store, c->head, &request, 0, "somebody", what, &result, &err) != STORE_OK)
                fail_msg("%s: %s", what, err.text);
            if (result.outcome == RESTORE_CONFLICT)
                fail_with_plan(c, &request, result.base);
            restore_touched_release(&result.touched);
            assert_as_of(c, before, "", what);
            if (changing_below(c, 2)) {
                changing_random(c, 20);
                changing_commit(c, "changed");
            }
        }
        changing_free(c);
    }
}

/* Lines of a dump that are about other paths, without their links and times, which may change. */
static void keep_others(char *dump, const char *path) {
    char *to = dump;
    size_t length = strlen(path);
    for (char *line = dump, *next; *line; line = next) {
        next = strchr(line, '\n') + 1;
        bool is_below = strncmp(line + 1, path, length) == 0 && (line[1 + length] == ' ' || line[1 + length] == '/');
        bool is_above = false;
        for (size_t i = 0; i <= length; i++)
            is_above |= (i == 0 || path[i] == '/') && strncmp(line + 1, path, i) == 0 && line[1 + i] == ' ';
        if (is_below || is_above)
            continue;
        memmove(to, line, (size_t)(next - line));
        to += next - line;
    }
    *to = '\0';
}

static void test_revert__of_a_path_leaves_the_others_alone(void **state) {
    (void)state;
    static const char *const paths[] = {"d0", "d1", "d0/d1", "d2/f1", "f0", "d1/d2", "d0/f1"};
    unsigned done = 0;
    for (uint64_t seed = 100; seed <= 140; seed++) {
        struct changing *c = changing_new(seed);
        for (unsigned i = 0; i < 12; i++) {
            changing_random(c, 15);
            changing_commit(c, "changed");
        }
        for (unsigned i = 0; i < 8; i++) {
            char what[96];
            const char *path = paths[changing_below(c, sizeof paths / sizeof *paths)];
            uint64_t before = 2 + changing_below(c, store_last(c->store)), now = store_last(c->store) + 1;
            (void)snprintf(what, sizeof what, "seed %" PRIu64 ", try %u, before %" PRIu64 ", %s", seed, i, before,
                           path);
            const struct restore_request request = request_for(before, &path, 1);
            struct restore_result result;
            struct error err = {0};
            int rc = restore_run(c->store, c->head, &request, 0, "somebody", what, &result, &err);
            if (rc == STORE_ABSENT)
                continue; /* it was not there, nor is it */
            if (rc != STORE_OK)
                fail_msg("%s: %s", what, err.text);
            restore_touched_release(&result.touched);
            if (result.outcome == RESTORE_CONFLICT)
                continue; /* what was a directory on the way is none now */
            done += result.outcome == RESTORE_DONE;
            char *is = changing_dump(c, store_last(c->store) + 1, path, true);
            char *was = changing_dump(c, before, path, true);
            /* Names of the same file elsewhere stay, so that its links may be more. */
            if (!strstr(was, " 2 links") && !strstr(was, " 3 links") && !strstr(is, " 2 links") &&
                !strstr(is, " 3 links"))
                changing_assert_same_text(what, is, was);
            free(is);
            free(was);
            char *others = changing_dump(c, store_last(c->store) + 1, "", true);
            char *others_before = changing_dump(c, now, "", true);
            bool linked = strstr(others, " 2 links") || strstr(others, " 3 links") || strstr(others_before, " 2 links");
            keep_others(others, path);
            keep_others(others_before, path);
            if (!linked)
                changing_assert_same_text(what, others, others_before);
            free(others);
            free(others_before);
        }
        changing_free(c);
    }
    assert_true(done > 20);
}

static void test_revert__keeps_objects_that_are_there(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    uint64_t directory = changing_mkdir(c, "a"), file = changing_write(c, "a/f", "one\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_rename(c, "a", "b", 0);
    changing_write(c, "b/f", "two\n");
    changing_rename(c, "b/f", "b/g", 0);
    changing_commit(c, "moved");
    revert(c, before, "");
    assert_int_equal(changing_find(c, "a"), directory);
    assert_int_equal(changing_find(c, "a/f"), file);
    assert_as_of(c, before, "", "moved back");
    /* A file that replaced another keeps being that one: who has it open sees the old content. */
    changing_save(c, "a/f", "three\n");
    changing_commit(c, "saved");
    uint64_t saved = changing_find(c, "a/f");
    assert_int_not_equal(saved, file);
    revert(c, before, "a/f");
    assert_int_equal(changing_find(c, "a/f"), saved);
    assert_as_of(c, before, "a/f", "unsaved");
    changing_free(c);
}

static void test_revert__moves_in_circles(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "a");
    changing_mkdir(c, "a/b");
    changing_write(c, "f", "f\n");
    changing_write(c, "g", "g\n");
    changing_write(c, "h", "h\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_rename(c, "f", "g", RENAME_EXCHANGE);
    changing_rename(c, "g", "h", RENAME_EXCHANGE);
    changing_rename(c, "a/b", "x", 0);
    changing_rename(c, "a", "x/b", 0);
    changing_rename(c, "x", "a", 0);
    changing_commit(c, "turned");
    revert(c, before, "");
    assert_as_of(c, before, "", "turned back");
    changing_free(c);
}

static void test_revert__restores_links(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "one\n");
    changing_link(c, "a", "b");
    changing_link(c, "a", "c");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_remove(c, "a");
    changing_save(c, "b", "two\n");
    changing_rename(c, "c", "d", 0);
    changing_link(c, "d", "e");
    changing_commit(c, "changed");
    revert(c, before, "");
    assert_as_of(c, before, "", "linked");
    changing_remove(c, "a");
    changing_remove(c, "b");
    changing_remove(c, "c");
    changing_commit(c, "removed");
    revert(c, before, "");
    assert_as_of(c, before, "", "all made anew");
    changing_free(c);
}

static void test_revert__makes_missing_directories_above(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "a");
    changing_chmod(c, "a", 0700);
    changing_mkdir(c, "a/b");
    changing_write(c, "a/b/f", "one\n");
    changing_write(c, "a/other", "two\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_remove(c, "a");
    changing_commit(c, "removed");
    revert(c, before, "a/b/f");
    char *text = changing_read(c, "a/b/f");
    assert_string_equal(text, "one\n");
    free(text);
    assert_int_equal(changing_find(c, "a/other"), 0);
    changing_remove(c, "a");
    changing_write(c, "a", "a file\n");
    changing_commit(c, "in the way");
    const char *path = "a/b/f";
    const struct restore_request request = request_for(before, &path, 1);
    run(c, &request, RESTORE_CONFLICT);
    changing_free(c);
}

/* A directory that came from elsewhere goes with all that is in it, and what is there no more stays away. */
static void test_revert__takes_a_full_directory_away(void **state) {
    struct changing *c = changing_new(1);
    char path[32];
    (void)state;
    changing_mkdir(c, "d");
    changing_mkdir(c, "d/sub");
    for (int i = 0; i < 40; i++) {
        (void)snprintf(path, sizeof path, "d/%s%d", i % 2 ? "sub/" : "", i);
        changing_write(c, path, "one\n");
    }
    uint64_t before = changing_commit(c, "made") + 1;
    changing_rename(c, "d", "e", 0);
    changing_remove(c, "e/0");
    changing_commit(c, "renamed");
    revert(c, before, "e");
    assert_int_equal(changing_find(c, "e"), 0);
    changing_free(c);
}

static void test_revert__to_the_present_does_nothing(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "one\n");
    uint64_t last = changing_commit(c, "made");
    const char *path = "";
    const struct restore_request request = request_for(last + 1, &path, 1);
    run(c, &request, RESTORE_NOTHING);
    assert_int_equal(store_last(c->store), last);
    /* What is pending is committed first, and is part of what is reverted. */
    changing_write(c, "a", "two\n");
    run(c, &request, RESTORE_DONE);
    assert_int_equal(store_last(c->store), last + 2);
    assert_as_of(c, last + 1, "", "what was pending");
    changing_free(c);
}

static void test_revert__keep_new_deletes_and_moves_nothing(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "a");
    changing_write(c, "a/f", "one\n");
    changing_write(c, "a/g", "g\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_write(c, "a/f", "two\n");
    changing_write(c, "a/new", "new\n");
    changing_rename(c, "a/g", "a/h", 0);
    changing_commit(c, "changed");
    const char *path = "";
    struct restore_request request = request_for(before, &path, 1);
    request.keep_new = true;
    run(c, &request, RESTORE_DONE);
    static const char *const expected[][2] = {{"a/f", "one\n"}, {"a/new", "new\n"}, {"a/g", "g\n"}, {"a/h", "g\n"}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        char *text = changing_read(c, expected[i][0]);
        assert_string_equal(text, expected[i][1]);
        free(text);
    }
    changing_free(c);
}

static void test_revert__takes_choices(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "one\n");
    changing_write(c, "b", "one\n");
    changing_write(c, "d", "one\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_write(c, "a", "two\n");
    changing_write(c, "b", "two\n");
    changing_remove(c, "d");
    uint64_t base = changing_commit(c, "changed");
    const char *path = "";
    const struct restore_choice choices[] = {{.path = "a", .data = (const uint8_t *)"three\n", .length = 6},
                                             {.path = "d", .comes = true, .whole = true}};
    struct restore_request request = request_for(before, &path, 1);
    request.choices = choices;
    request.choice_count = 2;
    struct restore_result result;
    struct error err = {0};
    changing_write(c, "c", "meanwhile\n");
    assert_int_equal(restore_run(c->store, c->head, &request, base, "u", "m", &result, &err), STORE_INVALID);
    base = store_last(c->store);
    assert_int_equal(restore_run(c->store, c->head, &request, base, "u", "m", &result, &err), STORE_OK);
    assert_int_equal(result.outcome, RESTORE_DONE);
    restore_touched_release(&result.touched);
    char *text = changing_read(c, "a");
    assert_string_equal(text, "three\n");
    free(text);
    text = changing_read(c, "b");
    assert_string_equal(text, "two\n");
    free(text);
    text = changing_read(c, "d");
    assert_string_equal(text, "one\n");
    free(text);
    text = changing_read(c, "c");
    assert_string_equal(text, "meanwhile\n");
    free(text);
    changing_free(c);
}

static void test_revert__plans_what_it_does(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "a", "one\n");
    changing_write(c, "b", "one\n");
    changing_write(c, "c", "one\n");
    changing_write(c, "t", "one\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_write(c, "a", "two\n");
    changing_remove(c, "b");
    changing_rename(c, "c", "d", 0);
    changing_write(c, "e", "new\n");
    changing_remove(c, "t");
    changing_mkdir(c, "t");
    uint64_t base = changing_commit(c, "changed");
    const char *path = "";
    const struct restore_request request = request_for(before, &path, 1);
    struct restore_plan *plan;
    struct error err = {0};
    assert_int_equal(restore_plan_make(c->store, base, &request, NULL, NULL, &plan, &err), STORE_OK);
    size_t count;
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    char text[512] = "";
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof text - length, "%c %s %s %u\n", (char)steps[i].change.kind,
                       steps[i].change.old_path ? steps[i].change.old_path : "-",
                       steps[i].change.new_path ? steps[i].change.new_path : "-",
                       steps[i].change.kind == CHANGE_MODIFIED ? steps[i].change.what & ~(unsigned)CHANGED_TIMES : 0U);
    }
    assert_string_equal(text, "M a a 1\nA - b 0\nR d c 0\nD e - 0\nT t t 0\n");
    assert_int_equal(store_last(c->store), base);
    restore_plan_free(plan);
    char *message;
    assert_int_equal(restore_message(c->store, &request, NULL, &message), STORE_OK);
    assert_non_null(strstr(message, "revert / to 0"));
    free(message);
    changing_free(c);
}

/* The steps of a plan, as "M old new" lines. */
static void assert_steps(struct changing *c, const struct restore_request *request, const char *expected) {
    struct restore_plan *plan;
    struct error err = {0};
    size_t count;
    char text[512] = "";
    assert_int_equal(restore_plan_make(c->store, store_last(c->store), request, NULL, NULL, &plan, &err), STORE_OK);
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(text);
        (void)snprintf(text + length, sizeof text - length, "%c %s %s\n", (char)steps[i].change.kind,
                       steps[i].change.old_path ? steps[i].change.old_path : "-",
                       steps[i].change.new_path ? steps[i].change.new_path : "-");
    }
    assert_string_equal(text, expected);
    restore_plan_free(plan);
}

static void test_revert__tells_every_name_that_changes(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "f", "1\n");
    changing_link(c, "f", "g");
    changing_link(c, "f", "h");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_write(c, "f", "2\n");
    changing_rename(c, "h", "i", 0);
    changing_commit(c, "changed");
    const char *path = "f";
    struct restore_request request = request_for(before, &path, 1);
    assert_steps(c, &request, "M f f\nM g g\nM i i\n");
    path = "";
    assert_steps(c, &request, "M f f\nM g g\nR i h\n");
    changing_free(c);
}

/* A name that is gone leads again to the file that still has another of its names of then. */
static void test_revert__links_to_what_still_has_a_name_of_then(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "h1", "h\n");
    changing_link(c, "h1", "h2");
    changing_write(c, "x", "x\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_remove(c, "h1");
    changing_write(c, "h2", "later\n");
    changing_rename(c, "x", "x2", 0);
    changing_commit(c, "changed");
    const char *path = "h1";
    struct restore_request request = request_for(before, &path, 1);
    assert_steps(c, &request, "A - h1\nM h2 h2\n");
    revert(c, before, "h1");
    assert_int_equal(changing_find(c, "h1"), changing_find(c, "h2"));
    char *text = changing_read(c, "h2");
    assert_string_equal(text, "h\n");
    free(text);
    changing_remove(c, "h1");
    changing_commit(c, "removed again");
    request.keep_new = true;
    run(c, &request, RESTORE_DONE);
    assert_int_equal(changing_find(c, "h1"), changing_find(c, "h2"));
    /* What has another name now, which nobody named, is copied. */
    revert(c, before, "x");
    assert_int_not_equal(changing_find(c, "x"), changing_find(c, "x2"));
    assert_int_not_equal(changing_find(c, "x2"), 0);
    changing_free(c);
}

static void test_revert__to_before_the_first_transaction_is_refused(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_write(c, "f", "1\n");
    uint64_t base = changing_commit(c, "made");
    const char *path = "";
    const struct restore_request request = request_for(1, &path, 1);
    struct restore_plan *plan;
    struct error err = {0};
    assert_int_equal(restore_plan_make(c->store, base, &request, NULL, NULL, &plan, &err), STORE_INVALID);
    assert_non_null(strstr(err.text, "before the first transaction: there is nothing to put back"));
    changing_free(c);
}

/* Of a tree with something of everything each step alone does what it says and nothing else. */
static void test_revert__does_one_step_alone(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    changing_mkdir(c, "gone");
    changing_mkdir(c, "gone/deep");
    changing_write(c, "gone/deep/x", "x\n");
    changing_write(c, "gone/y", "y\n");
    changing_mkdir(c, "d");
    changing_write(c, "d/f", "1\n");
    changing_write(c, "a", "1\n");
    uint64_t before = changing_commit(c, "made") + 1;
    changing_remove(c, "gone");
    changing_rename(c, "d", "e", 0);
    changing_write(c, "e/f", "2\n");
    changing_chmod(c, "a", 0600);
    changing_mkdir(c, "new");
    changing_write(c, "new/z", "z\n");
    uint64_t base = changing_commit(c, "changed");
    const char *path = "";
    static const struct {
        const char *path;
        bool comes;
        const char *steps;
    } tries[] = {
        {"a", false, "M a a\n"},
        {"gone/y", true, "A - gone\nA - gone/y\n"},
        {"gone/deep/x", true, "A - gone\nA - gone/deep\nA - gone/deep/x\n"},
        {"gone", true, "A - gone\n"},
        {"e", false, "R e d\n"},
        {"e/f", false, "M e/f e/f\n"},
        {"new/z", false, "D new/z -\n"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        const struct restore_choice choice = {.path = tries[i].path, .comes = tries[i].comes, .whole = true};
        struct restore_request request = request_for(before, &path, 1);
        request.choices = &choice;
        request.choice_count = 1;
        assert_steps(c, &request, tries[i].steps);
        run(c, &request, RESTORE_DONE);
        revert(c, base + 1, "");
    }
    /* With something in it that is to stay it does not go. */
    const struct restore_choice choice = {.path = "new", .whole = true};
    struct restore_request request = request_for(before, &path, 1);
    request.choices = &choice;
    request.choice_count = 1;
    run(c, &request, RESTORE_CONFLICT);
    changing_free(c);
}

/* Any steps of any plan, chosen at random: what was not chosen is as it was. */
static void test_revert__does_any_steps_alone(void **state) {
    (void)state;
    unsigned done = 0;
    for (uint64_t seed = 200; seed <= 230; seed++) {
        struct changing *c = changing_new(seed);
        for (unsigned i = 0; i < 10; i++) {
            changing_random(c, 12);
            changing_commit(c, "changed");
        }
        for (unsigned i = 0; i < 6; i++) {
            uint64_t before = 2 + changing_below(c, store_last(c->store) - 1);
            const char *path = "";
            struct restore_request request = request_for(before, &path, 1);
            struct restore_plan *plan;
            struct error err = {0};
            size_t count, chosen = 0;
            assert_int_equal(restore_plan_make(c->store, store_last(c->store), &request, NULL, NULL, &plan, &err),
                             STORE_OK);
            const struct restore_step *steps = restore_plan_steps(plan, &count);
            struct restore_choice *choices = calloc(count + 1, sizeof *choices);
            assert_non_null(choices);
            for (size_t k = 0; k < count; k++) {
                const struct change *change = &steps[k].change;
                if (changing_below(c, 2))
                    choices[chosen++] =
                        (struct restore_choice){.path = change->old_path ? change->old_path : change->new_path,
                                                .comes = !change->old_path,
                                                .whole = true};
            }
            request.choices = choices;
            request.choice_count = chosen;
            struct restore_result result;
            if (chosen > 0) {
                struct restore_plan *partial;
                size_t kept, conflicts;
                assert_int_equal(
                    restore_plan_make(c->store, store_last(c->store), &request, NULL, NULL, &partial, &err), STORE_OK);
                (void)restore_plan_conflicts(partial, &conflicts);
                const struct restore_step *left = restore_plan_steps(partial, &kept);
                for (size_t k = 0; k < kept && conflicts == 0; k++) {
                    /* Chosen, another name of what was chosen, or a directory that something needs. */
                    bool asked = left[k].change.kind == CHANGE_ADDED && S_ISDIR(left[k].change.new.mode);
                    asked |= left[k].change.kind == CHANGE_MODIFIED && left[k].change.old.nlink > 1;
                    for (size_t n = 0; n < chosen && !asked; n++)
                        asked = strcmp(choices[n].path, left[k].change.old_path ? left[k].change.old_path
                                                                                : left[k].change.new_path) == 0;
                    if (!asked)
                        fail_msg("seed %" PRIu64 ": %c %s was not chosen", seed, (char)left[k].change.kind,
                                 left[k].change.old_path ? left[k].change.old_path : left[k].change.new_path);
                }
                restore_plan_free(partial);
                if (restore_run(c->store, c->head, &request, 0, "somebody", "some", &result, &err) != STORE_OK)
                    fail_msg("seed %" PRIu64 ": %s", seed, err.text);
                done += result.outcome == RESTORE_DONE;
                restore_touched_release(&result.touched);
            }
            free(choices);
            restore_plan_free(plan);
        }
        changing_free(c);
    }
    assert_true(done > 20);
}

static void test_revert__of_what_never_was_says_so(void **state) {
    struct changing *c = changing_new(1);
    (void)state;
    const char *path = "nothing";
    const struct restore_request request = request_for(2, &path, 1);
    struct restore_plan *plan;
    struct error err = {0};
    assert_int_equal(restore_plan_make(c->store, 1, &request, NULL, NULL, &plan, &err), STORE_ABSENT);
    assert_non_null(strstr(err.text, "nothing: it is not there now"));
    changing_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revert__of_all_to_any_instant_leaves_no_difference),
        cmocka_unit_test(test_revert__of_a_path_leaves_the_others_alone),
        cmocka_unit_test(test_revert__keeps_objects_that_are_there),
        cmocka_unit_test(test_revert__moves_in_circles),
        cmocka_unit_test(test_revert__restores_links),
        cmocka_unit_test(test_revert__makes_missing_directories_above),
        cmocka_unit_test(test_revert__takes_a_full_directory_away),
        cmocka_unit_test(test_revert__to_the_present_does_nothing),
        cmocka_unit_test(test_revert__keep_new_deletes_and_moves_nothing),
        cmocka_unit_test(test_revert__takes_choices),
        cmocka_unit_test(test_revert__plans_what_it_does),
        cmocka_unit_test(test_revert__tells_every_name_that_changes),
        cmocka_unit_test(test_revert__links_to_what_still_has_a_name_of_then),
        cmocka_unit_test(test_revert__to_before_the_first_transaction_is_refused),
        cmocka_unit_test(test_revert__does_one_step_alone),
        cmocka_unit_test(test_revert__does_any_steps_alone),
        cmocka_unit_test(test_revert__of_what_never_was_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
