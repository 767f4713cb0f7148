/* Undo where it meets what came later: one rule a case, each with the transaction that a conflict names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/restore.h"
#include "tests/changing_rules.h"

/* The plan as text: "CONFLICT PATH: WHY, LATER" for each conflict, where LATER is the seq of the transaction in the way. */
static void assert_conflicts(struct changing *c, const uint64_t *seqs, size_t seq_count, const char *expected) {
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = seq_count};
    struct restore_plan *plan;
    struct error err = {0};
    char text[1024] = "";
    size_t count;
    assert_int_equal(restore_plan_make(c->store, store_last(c->store), &request, NULL, NULL, &plan, &err), STORE_OK);
    const struct restore_conflict *conflicts = restore_plan_conflicts(plan, &count);
    for (size_t i = 0; i < count; i++) {
        struct transaction later = {0};
        size_t length = strlen(text);
        if (conflicts[i].later)
            assert_int_equal(storage_transaction_before(store_storage(c->store), conflicts[i].later + 1, &later),
                             STORE_OK);
        (void)snprintf(text + length, sizeof text - length, "%s: %s, %u\n", conflicts[i].path, conflicts[i].why,
                       (unsigned)later.seq);
        transaction_release(&later);
    }
    assert_string_equal(text, expected);
    restore_plan_free(plan);
}

static enum restore_outcome undo_several(struct changing *c, const uint64_t *seqs, size_t seq_count) {
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = seq_count};
    struct restore_result result;
    struct error err = {0};
    if (restore_run(c->store, c->head, &request, 0, "somebody", "undo", &result, &err) != STORE_OK)
        fail_msg("%s", err.text);
    restore_touched_release(&result.touched);
    return result.outcome;
}

static enum restore_outcome undo(struct changing *c, uint64_t seq) {
    return undo_several(c, &seq, 1);
}

static void assert_content(struct changing *c, const char *path, const char *expected) {
    char *text = changing_read(c, path);
    assert_string_equal(text, expected);
    free(text);
}

static void test_undo__meets_what_came_later(void **state) {
    (void)state;
    for (size_t i = 0; i < changing_rule_count; i++) {
        const struct changing_rule *rule = &changing_rules[i];
        struct changing *c = changing_new(1);
        print_message("%s\n", rule->name);
        changing_play(c, rule->first);
        changing_commit(c, "first");
        changing_play(c, rule->undone);
        uint64_t seq = changing_commit(c, "undone");
        changing_play(c, rule->later);
        uint64_t last = changing_commit(c, "later");
        assert_conflicts(c, &seq, 1, rule->conflicts);
        char *before = changing_dump(c, last + 1, "", true);
        enum restore_outcome outcome = undo(c, seq);
        char *after = changing_dump(c, store_last(c->store) + 1, "", true);
        assert_true((outcome == RESTORE_CONFLICT) == (rule->conflicts[0] != '\0'));
        if (outcome != RESTORE_DONE)
            changing_assert_same_text(rule->name, after, before);
        for (size_t k = 0; k < 6 && rule->expected[k][0]; k++)
            assert_content(c, rule->expected[k][0], rule->expected[k][1]);
        /* Undone is undone. */
        if (outcome == RESTORE_DONE)
            assert_int_not_equal(undo(c, seq), RESTORE_DONE);
        free(before);
        free(after);
        changing_free(c);
    }
}

/* Undone together, the two newest give what was before both. */
static void test_undo__of_the_two_newest_gives_the_state_before_both(void **state) {
    (void)state;
    static const uint64_t seqs[] = {3, 4};
    for (size_t i = 0; i < changing_rule_count; i++) {
        const struct changing_rule *rule = &changing_rules[i];
        struct changing *c = changing_new(1);
        const char *const scripts[] = {rule->first, rule->undone, rule->later};
        for (size_t k = 0; k < 3; k++) {
            changing_play(c, scripts[k]);
            changing_commit(c, "played");
        }
        assert_int_not_equal(undo_several(c, seqs, 2), RESTORE_CONFLICT);
        char *is = changing_dump(c, store_last(c->store) + 1, "", false), *was = changing_dump(c, 3, "", false);
        changing_assert_same_text(rule->name, is, was);
        free(is);
        free(was);
        changing_free(c);
    }
}

/* Transactions from 2 on, of which some are undone together: what the newer undoing plans is what the older one meets. */
static void test_undo__of_several_meets_what_was_between(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *scripts[5];
        uint64_t undone[2];
        size_t undone_count;
        const char *conflicts;
        const char *expected[2]; /* path, content */
    } cases[] = {
        {"what comes back holds something else",
         {"w f 1", "w f 2", "w f 3", "- f"},
         {3, 5},
         2,
         "f: its content was changed since in the same lines, 0\n",
         {"f", "(absent)"}},
        {"a directory comes back inside of what was to go into it",
         {"d p\nd p/x", "r p/x x", "r p x/p", "- x/p"},
         {3, 5},
         2,
         "x: it would be inside of itself, 0\n",
         {NULL}},
        {"a file comes back into a directory that was to go",
         {"w k 1", "d d", "w d/f 1", "- d/f"},
         {3, 5},
         2,
         "d: there are later names in it, 0\n",
         {"d/f", "(absent)"}},
        {"a file comes back that stands for an older one",
         {"w f 1", "w f 2", "- f", "w f 2", "- f"},
         {3, 6},
         2,
         "",
         {"f", "1"}},
        {"a file goes back to a name that it has no more",
         {"w f 1", "w f 2", "r f g\nw g 3", "r g f"},
         {3, 5},
         2,
         "f: its content was changed since in the same lines, 4\n",
         {"f", "3"}},
        {"a name was given twice",
         {"w a 1\nl a f", "- f", "l a f", "- a"},
         {4},
         1,
         "f: its other names were removed since, 5\n",
         {"f", "1"}},
        {"lines that merged have a time of their own",
         {"w f 1|2|3|4|5|6|", "t f 77", "w f 1|two|3|4|5|6|", "w f 1|two|3|4|5|six|"},
         {3, 4},
         2,
         "",
         {"f", "1\n2\n3\n4\n5\nsix\n"}},
        {"what comes back cannot go on",
         {"w a 1", "r a b\nm b 600", "m b 711\nw a 9", "- b"},
         {3, 5},
         2,
         "a: something else has its name now, 4\nb: its mode was changed since, 0\n",
         {"a", "9"}},
        {"lines that merged merge again",
         {"w f 1|2|3|4|5|6|7|8|9|", "w f 1|B|3|4|5|6|7|8|9|", "w f 1|B|3|4|E|6|7|8|9|", "w f 1|B|3|4|E|6|7|H|9|"},
         {3, 4},
         2,
         "",
         {"f", "1\n2\n3\n4\n5\n6\n7\nH\n9\n"}},
        {"nothing", {"w f 1"}, {0}, 0, "", {"f", "1"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct changing *c = changing_new(1);
        print_message("%s\n", cases[i].name);
        for (size_t k = 0; k < 5 && cases[i].scripts[k]; k++) {
            changing_play(c, cases[i].scripts[k]);
            assert_int_equal(changing_commit(c, "played"), k + 2);
        }
        assert_conflicts(c, cases[i].undone, cases[i].undone_count, cases[i].conflicts);
        enum restore_outcome outcome = undo_several(c, cases[i].undone, cases[i].undone_count);
        assert_true((outcome == RESTORE_CONFLICT) == (cases[i].conflicts[0] != '\0'));
        assert_true((outcome == RESTORE_NOTHING) == (cases[i].undone_count == 0));
        if (cases[i].expected[0])
            assert_content(c, cases[i].expected[0], cases[i].expected[1]);
        changing_free(c);
    }
}

/* More objects than the tables of a draft begin with. */
static void test_undo__of_many(void **state) {
    struct changing *c = changing_new(1);
    char path[32];
    (void)state;
    changing_mkdir(c, "d");
    for (unsigned i = 0; i < 700; i++) {
        (void)snprintf(path, sizeof path, "d/%u", i);
        changing_write(c, path, path);
    }
    uint64_t before = changing_commit(c, "made") + 1;
    for (unsigned i = 0; i < 700; i++) {
        (void)snprintf(path, sizeof path, "d/%u", i);
        changing_remove(c, path);
    }
    changing_remove(c, "d");
    uint64_t seq = changing_commit(c, "removed");
    assert_int_equal(undo(c, seq), RESTORE_DONE);
    char *is = changing_dump(c, store_last(c->store) + 1, "", false), *was = changing_dump(c, before, "", false);
    changing_assert_same_text("many", is, was);
    free(is);
    free(was);
    assert_int_equal(undo(c, store_last(c->store)), RESTORE_DONE);
    assert_int_equal(changing_find(c, "d"), 0);
    changing_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undo__meets_what_came_later),
        cmocka_unit_test(test_undo__of_the_two_newest_gives_the_state_before_both),
        cmocka_unit_test(test_undo__of_several_meets_what_was_between),
        cmocka_unit_test(test_undo__of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
