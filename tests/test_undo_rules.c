/* Undo where it meets what came later: one rule a case, each with the transaction that a conflict names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/restore.h"
#include "tests/changing.h"

/* The plan as text: "CONFLICT PATH: WHY, LATER" for each conflict, where LATER is the seq of the transaction in the way. */
static void assert_conflicts(struct changing *c, uint64_t seq, const char *expected) {
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1};
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

static enum restore_outcome undo(struct changing *c, uint64_t seq) {
    const struct restore_request request = {.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1};
    struct restore_result result;
    struct error err = {0};
    if (restore_run(c->store, c->head, &request, 0, "somebody", "undo", &result, &err) != STORE_OK)
        fail_msg("%s", err.text);
    restore_touched_release(&result.touched);
    return result.outcome;
}

static void assert_content(struct changing *c, const char *path, const char *expected) {
    char *text = changing_read(c, path);
    assert_string_equal(text, expected);
    free(text);
}

/* What each case does, as letters with operands: see `play`. Transactions: 1 made the store; `first` is 2, `undone` 3, `later` 4. */
struct rule {
    const char *name;
    const char *first, *undone, *later;
    const char *conflicts;      /* "": none */
    const char *expected[6][2]; /* path, content: after the undo */
};

/* A step a line: "w PATH TEXT", "s PATH TEXT" saves, "d PATH", "y PATH TARGET", "r PATH PATH", "x PATH PATH" exchanges, "l PATH PATH", "- PATH",
 * "m PATH MODE", "o PATH UID:GID", "a PATH VALUE" sets user.a, "A PATH" removes it, "t PATH SECONDS". */
static void play(struct changing *c, const char *script) {
    char *copy = strdup(script), *saved = NULL;
    assert_non_null(copy);
    for (char *line = strtok_r(copy, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
        char path[64] = "", operand[64] = "";
        unsigned uid = 0, gid = 0;
        struct head_attr attr = {0};
        assert_true(sscanf(line + 1, "%63s %63[^\n]", path, operand) >= 1);
        switch (line[0]) {
        case 'w':
            changing_write(c, path, operand);
            break;
        case 's':
            changing_save(c, path, operand);
            break;
        case 'd':
            changing_mkdir(c, path);
            break;
        case 'y':
            changing_symlink(c, path, operand);
            break;
        case 'r':
            changing_rename(c, path, operand, 0);
            break;
        case 'x':
            changing_rename(c, path, operand, RENAME_EXCHANGE);
            break;
        case 'l':
            changing_link(c, path, operand);
            break;
        case '-':
            changing_remove(c, path);
            break;
        case 'm':
            changing_chmod(c, path, (uint32_t)strtoul(operand, NULL, 8));
            break;
        case 'o':
            assert_int_equal(sscanf(operand, "%u:%u", &uid, &gid), 2);
            changing_chown(c, path, uid, gid);
            break;
        case 'a':
            changing_set_xattr(c, path, "user.a", operand);
            break;
        case 'A':
            changing_set_xattr(c, path, "user.a", NULL);
            break;
        case 't':
            attr.mtime.tv_sec = attr.atime.tv_sec = strtol(operand, NULL, 10);
            assert_int_equal(
                head_setattr(c->head, changing_find(c, path), HEAD_SET_ATIME | HEAD_SET_MTIME, &attr, &attr), 0);
            break;
        default:
            fail_msg("no such step: %s", line);
        }
    }
    free(copy);
}

static void test_undo__meets_what_came_later(void **state) {
    (void)state;
    static const struct rule rules[] = {
        /* ---- renamed ---- */
        {"back into a directory that is gone",
         "d d\nw d/f 1",
         "r d/f f",
         "- d",
         "f: its directory is gone, 4\n",
         {{"f", "1"}}},
        {"back to a name that is taken",
         "w a 1",
         "r a b",
         "w a 2",
         "a: something else has its name now, 4\n",
         {{"a", "2"}, {"b", "1"}}},
        {"back into itself", "d x\nd x/d", "r x/d d", "r x d/x", "d: it would be inside of itself, 4\n", {{0}}},
        {"what was deleted since", "w a 1", "r a b", "- b", "b: it was deleted since, 4\n", {{"a", "(absent)"}}},
        {"what was renamed back already", "w a 1", "r a b", "r b a", "", {{"a", "1"}, {"b", "(absent)"}}},
        {"what was renamed on", "w a 1", "r a b", "r b c", "c: it was renamed since, 4\n", {{"c", "1"}}},
        {"what was renamed on from a directory that is gone",
         "w a 1\nd d",
         "r a d/b",
         "r d/b c\n- d",
         "c: it was renamed since, 4\n",
         {{"c", "1"}}},
        /* ---- added ---- */
        {"an added file was renamed", "w x 1", "w f 1", "r f g", "g: it was renamed since, 4\n", {{"g", "1"}}},
        {"an added file was renamed, and another has its name",
         "w x 1",
         "w f 1",
         "r f g\nw f 2",
         "g: it was renamed since, 4\n",
         {{"f", "2"}}},
        {"an added file was deleted", "w x 1", "w f 1", "- f", "", {{"f", "(absent)"}}},
        {"an added file became a directory",
         "w x 1",
         "w f 1",
         "- f\nd f",
         "f: something else has its name now, 4\n",
         {{0}}},
        {"an added file was saved again", "w x 1", "w f 1", "s f 2", "f: it was changed since, 4\n", {{"f", "2"}}},
        {"an added file has other attributes", "w x 1", "w f 1", "a f 2", "f: it was changed since, 4\n", {{"f", "1"}}},
        {"an added file has another owner",
         "w x 1",
         "w f 1",
         "o f 7:1000",
         "f: it was changed since, 4\n",
         {{"f", "1"}}},
        {"an added file has another group",
         "w x 1",
         "w f 1",
         "o f 1000:7",
         "f: it was changed since, 4\n",
         {{"f", "1"}}},
        {"an added name is the last one",
         "w a 1",
         "l a b",
         "- a",
         "b: its other names were removed since, 4\n",
         {{"b", "1"}}},
        {"an added name was renamed", "w a 1", "l a b", "r b c", "", {{"a", "1"}, {"c", "1"}}},
        {"an added file's directory is gone", "d d", "w d/f 1", "- d", "", {{0}}},
        {"an added file's directory is a file", "d d", "w d/f 1", "- d\nw d 2", "", {{"d", "2"}}},
        /* ---- removed ---- */
        {"a removed file was made again", "w f 1", "- f", "w f 1", "", {{"f", "1"}}},
        {"a removed file is another now",
         "w f 1",
         "- f",
         "w f 2",
         "f: something else has its name now, 4\n",
         {{"f", "2"}}},
        {"a removed file is a symlink now", "w f 1", "- f", "y f x", "f: something else has its name now, 4\n", {{0}}},
        {"a removed directory was made again", "d d\nw d/f 1", "- d", "d d", "", {{"d/f", "1"}}},
        {"a removed directory is a file",
         "d d\nw d/f 1",
         "- d",
         "w d 2",
         "d: something else has its name now, 4\nd/f: its directory is gone, 0\n",
         {{"d", "2"}}},
        {"a removed file's directory was replaced",
         "d d\nd d/e\nw d/e/f 1\nd x",
         "- d/e/f",
         "- d/e\nr x d/e",
         "",
         {{"d/e/f", "1"}}},
        {"a removed file's directory became a file",
         "d d\nd d/e\nw d/e/f 1\nd x",
         "- d/e/f",
         "- d/e\nw d/e 2",
         "d/e/f: its directory is gone, 4\n",
         {{"d/e", "2"}}},
        {"a removed file's directories were made again",
         "d d\nd d/e\nw d/e/f 1\nw d/e/g 1",
         "- d/e/f",
         "- d\nd d\nd d/e",
         "",
         {{"d/e/f", "1"}}},
        {"a removed file's directories are gone",
         "d d\nd d/e\nw d/e/f 1\nw d/e/g 1",
         "- d/e/f",
         "- d",
         "d/e/f: its directory is gone, 4\n",
         {{0}}},
        /* ---- replaced ---- */
        {"a saved file was deleted", "w f 1", "s f 2", "- f", "f: it was deleted since, 4\n", {{"f", "(absent)"}}},
        {"a saved file's directory is gone", "d d\nw d/f 1", "s d/f 2", "- d", "d/f: it was deleted since, 4\n", {{0}}},
        {"a file saved as it was is gone", "w f 1", "s f 1\nm f 600", "- f", "", {{"f", "(absent)"}}},
        {"a saved file became a symlink", "w f 1", "s f 2", "- f\ny f x", "f: it was changed since, 4\n", {{0}}},
        {"a file that became a symlink", "w f 1", "- f\ny f x", "w g 1", "", {{"f", "1"}}},
        {"a file that became a symlink and is another one now",
         "w f 1",
         "- f\ny f x",
         "- f\ny f y",
         "f: it was changed since, 4\n",
         {{0}}},
        {"a file that became a symlink and is one again", "w f 1", "- f\ny f x", "- f\nw f 1", "", {{"f", "1"}}},
        {"a file that became a directory", "w f 1", "- f\nd f", "w g 1", "", {{"f", "1"}}},
        {"a file that became a directory with something in it",
         "w f 1",
         "- f\nd f",
         "w f/x 1",
         "f: it was changed since, 4\n",
         {{"f/x", "1"}}},
        {"a directory that became a file", "d f\nw f/x 1", "- f\nw f 2", "w g 1", "", {{"f/x", "1"}}},
        {"a directory that became a file and is one again",
         "d f\nw f/x 1",
         "- f\nw f 2",
         "- f\nd f",
         "",
         {{"f/x", "1"}}},
        {"a symlink that leads elsewhere", "y f x", "- f\ny f y", "w g 1", "", {{"g", "1"}}},
        {"a file with two names that was saved", "w f 1\nl f g", "s f 2", "w x 1", "", {{"f", "1"}, {"g", "1"}}},
        {"a file with two names that was saved and changed",
         "w f 1\nl f g",
         "s f 2",
         "w f 3",
         "f: it was changed since, 4\n",
         {{"f", "3"}, {"g", "1"}}},
        /* ---- changed ---- */
        {"a changed file was deleted", "w f 1", "w f 2", "- f", "f: it was deleted since, 4\n", {{0}}},
        {"a touched file was deleted", "w f 1", "t f 5", "- f", "", {{0}}},
        {"a changed file is another that was there",
         "w f 1\nw g 1",
         "w f 2",
         "- f\nr g f",
         "f: it was deleted since, 4\n",
         {{"f", "1"}}},
        {"a changed file was made again with its directory",
         "d d\nw d/f 1",
         "w d/f 2",
         "- d\nd d\nw d/f 2",
         "",
         {{"d/f", "1"}}},
        {"a changed file was changed back", "w f 1", "w f 2", "w f 1", "", {{"f", "1"}}},
        {"a changed file has no content",
         "w f 1",
         "w f 2",
         "w f",
         "f: its content was changed since in the same lines, 4\n",
         {{"f", ""}}},
        {"the uid changed again", "w f 1", "o f 5:1000", "o f 6:1000", "f: its owner was changed since, 4\n", {{0}}},
        {"the gid changed again", "w f 1", "o f 1000:5", "o f 1000:6", "f: its owner was changed since, 4\n", {{0}}},
        {"the uid changed back", "w f 1", "o f 5:1000", "o f 1000:6", "", {{"f", "1"}}},
        {"the gid changed back", "w f 1", "o f 5:5", "o f 5:1000", "", {{"f", "1"}}},
        {"the mode changed back", "w f 1", "m f 600", "m f 644", "", {{"f", "1"}}},
        {"the uid changed, where the gid had", "w f 1", "o f 1000:5", "o f 9:5", "", {{"f", "1"}}},
        {"a directory made anew", "d d\nm d 700", "- d\nd d", "w d/x 1", "", {{"d/x", "1"}}},
        {"a directory made anew that is a file",
         "d d\nm d 700",
         "- d\nd d",
         "- d\nw d 2",
         "d: it was changed since, 4\n",
         {{"d", "2"}}},
        {"a file that became a symlink with another name", "w f 1", "- f\ny f x", "l f g", "", {{"f", "1"}}},
        {"a renamed and changed file was deleted",
         "w a 1",
         "r a b\nm b 600",
         "- b",
         "b: it was deleted since, 4\n",
         {{"a", "(absent)"}}},
        {"an attribute came and changed",
         "w f 1",
         "a f 1",
         "a f 2",
         "f: its extended attributes were changed since, 4\n",
         {{0}}},
        {"an attribute came and went", "w f 1", "a f 1", "A f", "", {{"f", "1"}}},
        {"an attribute changed and went",
         "w f 1\na f 1",
         "a f 2",
         "A f",
         "f: its extended attributes were changed since, 4\n",
         {{0}}},
        {"an attribute went and came back", "w f 1\na f 1", "A f", "a f 1", "", {{"f", "1"}}},
        {"an attribute went and came as another",
         "w f 1\na f 1",
         "A f",
         "a f 22",
         "f: its extended attributes were changed since, 4\n",
         {{0}}},
        {"an attribute came without a value", "w f 1", "a f", "w g 1", "", {{"g", "1"}}},
        {"an attribute lost its value", "w f 1\na f 1", "a f", "w g 1", "", {{"g", "1"}}},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        const struct rule *rule = &rules[i];
        struct changing *c = changing_new(1);
        print_message("%s\n", rule->name);
        play(c, rule->first);
        changing_commit(c, "first");
        play(c, rule->undone);
        uint64_t seq = changing_commit(c, "undone");
        play(c, rule->later);
        uint64_t last = changing_commit(c, "later");
        assert_conflicts(c, seq, rule->conflicts);
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
        cmocka_unit_test(test_undo__of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
