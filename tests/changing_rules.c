/* Small histories for undo and revert (changing_rules.h). */
#include "tests/changing_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void changing_play(struct changing *c, const char *script) {
    char *copy = strdup(script), *saved = NULL;
    assert_non_null(copy);
    for (char *line = strtok_r(copy, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
        char path[64] = "", operand[64] = "";
        unsigned uid = 0, gid = 0;
        struct head_attr attr = {0};
        uint64_t oid;
        assert_true(sscanf(line + 1, "%63s %63[^\n]", path, operand) >= 1);
        for (char *at = operand; (at = strchr(at, '|')) != NULL;)
            *at = '\n';
        switch (line[0]) {
        case 'w':
            changing_write(c, path, operand);
            break;
        case 'b':
            oid = changing_write(c, path, "1");
            assert_int_equal(head_write(c->head, oid, 1, 1, (const uint8_t *)"", false), 1);
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
        case 'T':
            attr.atime = (struct timespec){.tv_sec = strtol(operand, NULL, 10), .tv_nsec = 1};
            assert_int_equal(head_setattr(c->head, changing_find(c, path), HEAD_SET_ATIME, &attr, &attr), 0);
            break;
        default:
            fail_msg("no such step: %s", line);
        }
    }
    free(copy);
}

const struct changing_rule changing_rules[] = {
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
    {"an added file has another owner", "w x 1", "w f 1", "o f 7:1000", "f: it was changed since, 4\n", {{"f", "1"}}},
    {"an added file has another group", "w x 1", "w f 1", "o f 1000:7", "f: it was changed since, 4\n", {{"f", "1"}}},
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
    {"a removed file is another now", "w f 1", "- f", "w f 2", "f: something else has its name now, 4\n", {{"f", "2"}}},
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
    {"a directory that became a file and is one again", "d f\nw f/x 1", "- f\nw f 2", "- f\nd f", "", {{"f/x", "1"}}},
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
    /* ---- seldom ---- */
    {"a saved file has another in its place that was there",
     "w f 1\nw g 5",
     "s f 2",
     "r g f",
     "f: its content was changed since in the same lines, 0\n",
     {{"f", "5"}}},
    {"what was renamed on, to a name that is looked at",
     "w a 1\nw c 2",
     "r a e\nr c b",
     "r e z\nr b a",
     "a: it was renamed since, 4\nz: it was renamed since, 4\n",
     {{"z", "1"}, {"a", "2"}}},
    {"what was renamed on, and its old directory is gone",
     "d d\nw d/a 1",
     "r d/a b",
     "r b c\n- d",
     "c: it was renamed since, 4\n",
     {{"c", "1"}}},
    {"a removed name was given again", "w f 1\nl f g", "- g", "l f g", "", {{"g", "1"}}},
    {"a file with two names that was saved and saved back",
     "w f 1\nl f g",
     "s f 2",
     "s f 1",
     "f: it was changed since, 4\n",
     {{"f", "1"}, {"g", "1"}}},
    {"a directory made anew is gone", "d d\nm d 700", "- d\nd d", "- d", "d: it was deleted since, 4\n", {{0}}},
    {"back into itself, by what moved above it",
     "d p\nd p/q\nd p/q/x",
     "r p/q/x x",
     "r p x/p",
     "x: it would be inside of itself, 0\n",
     {{0}}},
    {"a removed symlink was made again as another",
     "y l x",
     "- l",
     "y l z",
     "l: something else has its name now, 4\n",
     {{0}}},
    {"a removed file was made again with two names", "w f 1", "- f", "w f 1\nl f g", "", {{"f", "1"}, {"g", "1"}}},
    {"a removed file that had two names was made again",
     "w f 1\nl f g",
     "- f\n- g",
     "w f 1",
     "",
     {{"f", "1"}, {"g", "1"}}},
    {"a file comes back whose second name is nearer to the root",
     "d d\nw d/f 1\nl d/f z",
     "- d/f\n- z",
     "w k 1",
     "",
     {{"d/f", "1"}, {"z", "1"}}},
    {"a name comes back where something is that goes deeper",
     "d d\nw d/y 5\nw f 1\nl f z",
     "- z\nr d/y z",
     "w k 1",
     "",
     {{"d/y", "5"}, {"z", "1"}}},
    {"a directory comes back in the middle of a circle",
     "d N\nw N/c 1\nd s\nd s/O\nw s/O/s 7",
     "- N\nr s/O N\nr N/s t\nr s N/s\nr t s",
     "w k 1",
     "",
     {{"N/c", "1"}, {"s/O/s", "7"}}},
    {"lines that merge",
     "w f 1|2|3|4|5|6|",
     "w f 1|two|3|4|5|6|",
     "w f 1|two|3|4|5|six|",
     "",
     {{"f", "1\n2\n3\n4\n5\nsix\n"}}},
    {"a symlink comes back", "y l x\nd d\ny d/l y", "- l\n- d", "w k 1", "", {{"k", "1"}}},
    {"a symlink that was there was renamed to another's place", "y l x\ny m y", "r l m", "w k 1", "", {{"k", "1"}}},
    {"what was before is no text",
     "b f",
     "w f 1",
     "w f 2",
     "f: its content was changed since, and is no text that could be merged, 4\n",
     {{"f", "2"}}},
    {"a directory was replaced by another that has the like in it",
     "d a\nw a/f 1",
     "r a b\n- b/f\nd a\nw a/f 2",
     "w k 1",
     "",
     {{"a/f", "1"}}},
    {"into a directory that cannot go back",
     "d P\nd P/x",
     "r P/x x\nr P Q",
     "w P 9",
     "P: something else has its name now, 4\n",
     {{"P", "9"}}},
    {"a file went along into the directory that took its directory's place",
     "d a\nw a/f 1",
     "d t\nr a/f t/f\nr a b\nr t a\nm a/f 600",
     "w k 1",
     "",
     {{"a/f", "1"}}},
    {"an attribute without a value stays", "w f 1\na f", "- f", "w f 1\na f", "", {{"f", "1"}}},
    {"an attribute without a value is saved with the file", "w f 1\na f", "s f 2\na f", "w k 1", "", {{"f", "1"}}},
    {"a file with two names that was saved and saved back with its mode",
     "w f 1\nl f g",
     "s f 2",
     "s f 1\nm f 644",
     "f: it was changed since, 4\n",
     {{"f", "1"}, {"g", "1"}}},
    {"names in a directory were exchanged",
     "d d\nw d/a 1\nw d/b 2",
     "x d/a d/b",
     "w k 1",
     "",
     {{"d/a", "1"}, {"d/b", "2"}}},
    {"a time of access changed by a little", "w f 1\nt f 5", "T f 5", "w k 1", "", {{"f", "1"}}},
};
const size_t changing_rule_count = sizeof changing_rules / sizeof *changing_rules;
