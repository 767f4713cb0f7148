/* history/text.h: comparing and merging, against what git does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <git2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "history/text.h"

static struct text text_of(const char *string) {
    return (struct text){.data = (const uint8_t *)string, .length = strlen(string)};
}

/* ---------------------------------------------------------------- differences */

static void test_text__a_nul_near_the_beginning_is_binary(void **state) {
    (void)state;
    static uint8_t bytes[TEXT_SNIFF + 1];
    struct text text = {.data = bytes, .length = sizeof bytes};
    memset(bytes, 'x', sizeof bytes);
    assert_false(text_is_binary(&text));
    bytes[TEXT_SNIFF] = 0;
    assert_false(text_is_binary(&text));
    bytes[TEXT_SNIFF - 1] = 0;
    assert_true(text_is_binary(&text));
    text.length = TEXT_SNIFF - 1;
    assert_false(text_is_binary(&text));
    assert_false(text_is_binary(&(struct text){0}));
    assert_false(text_is_binary(&(struct text){.data = (const uint8_t *)"\xff\xfe", .length = 2}));
}

static void test_text__what_is_too_long_for_lines_is_binary(void **state) {
    (void)state;
    uint8_t *bytes = malloc(TEXT_LINES_MAX + 1);
    assert_non_null(bytes);
    memset(bytes, 'x', TEXT_LINES_MAX + 1);
    struct text text = {.data = bytes, .length = TEXT_LINES_MAX};
    assert_false(text_is_binary(&text));
    text.length++;
    assert_true(text_is_binary(&text));
    free(bytes);
}

static void test_text__differences(void **state) {
    (void)state;
    static const struct {
        const char *old, *new, *body;
        unsigned context;
        uint64_t added, removed;
        unsigned similarity;
    } cases[] = {
        {"", "", "", 3, 0, 0, 100},
        {"same\n", "same\n", "", 3, 0, 0, 100},
        {"a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n", 3, 1, 1, 66},
        {"a\nb\nc\n", "a\nx\nc\n", "@@ -2 +2 @@ a\n-b\n+x\n", 0, 1, 1, 66},
        {"", "a\nb\n", "@@ -0,0 +1,2 @@\n+a\n+b\n", 3, 2, 0, 0},
        {"a\n", "", "@@ -1 +0,0 @@\n-a\n", 3, 0, 1, 0},
        {"a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n", 3, 1, 1, 0},
        {"a\nb", "a\nc", "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n", 3,
         1, 1, 66},
        {"b", "a\nb", "@@ -1 +1,2 @@\n+a\n b\n\\ No newline at end of file\n", 3, 1, 0, 33},
        {"a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n", 3, 1, 1, 0},
        {"\xff\n", "\xfe\n", "@@ -1 +1 @@\n-\xff\n+\xfe\n", 3, 1, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text old = text_of(cases[i].old), new = text_of(cases[i].new);
        struct text_diff diff;
        struct error err = {0};
        assert_int_equal(text_diff(&old, &new, cases[i].context, true, &diff, &err), STORE_OK);
        assert_string_equal(diff.body, cases[i].body);
        assert_int_equal(diff.length, strlen(cases[i].body));
        assert_int_equal(diff.added, cases[i].added);
        assert_int_equal(diff.removed, cases[i].removed);
        assert_int_equal(diff.similarity, cases[i].similarity);
        assert_false(diff.binary);
        text_diff_release(&diff);
        assert_int_equal(text_diff(&old, &new, cases[i].context, false, &diff, &err), STORE_OK);
        assert_null(diff.body);
        assert_int_equal(diff.added, cases[i].added);
        assert_int_equal(diff.removed, cases[i].removed);
        assert_int_equal(diff.similarity, cases[i].similarity);
        text_diff_release(&diff);
    }
}

static void test_text__binary_differences(void **state) {
    (void)state;
    static const uint8_t old[] = "head\0old\0tail", new[] = "head\0new\0tail";
    struct text a = {.data = old, .length = sizeof old}, b = {.data = new, .length = sizeof new};
    struct text_diff diff;
    struct error err = {0};
    assert_int_equal(text_diff(&a, &b, 3, true, &diff, &err), STORE_OK);
    assert_true(diff.binary);
    assert_int_equal(strncmp(diff.body, "GIT binary patch\nliteral 14\n", 28), 0);
    assert_non_null(strstr(diff.body, "\n\nliteral 14\n"));
    assert_int_equal(diff.added + diff.removed, 0);
    assert_int_equal(diff.similarity, 11 * 100 / 14);
    text_diff_release(&diff);

    /* One side is enough. */
    b = text_of("text\n");
    assert_int_equal(text_diff(&a, &b, 3, false, &diff, &err), STORE_OK);
    assert_true(diff.binary);
    assert_null(diff.body);
    text_diff_release(&diff);

    /* Against nothing. */
    assert_int_equal(text_diff(&(struct text){0}, &a, 3, true, &diff, &err), STORE_OK);
    assert_int_equal(strncmp(diff.body, "GIT binary patch\nliteral 14\n", 28), 0);
    assert_non_null(strstr(diff.body, "\n\nliteral 0\n"));
    text_diff_release(&diff);
    assert_int_equal(text_diff(&a, &a, 3, true, &diff, &err), STORE_OK);
    assert_string_equal(diff.body, "");
    assert_int_equal(diff.similarity, 100);
    text_diff_release(&diff);
}

static void test_text__ids(void **state) {
    (void)state;
    struct text text = text_of("hello\n");
    struct error err = {0};
    char id[TEXT_ID_SIZE];
    assert_int_equal(text_id(&text, id, &err), STORE_OK);
    assert_string_equal(id, "ce013625030ba8dba906f756967f9e9ca394464a");
    assert_int_equal(text_id(&(struct text){0}, id, &err), STORE_OK);
    assert_string_equal(id, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

static void *compare_often(void *argument) {
    const struct text old = text_of("a\nb\n"), new = text_of("a\nc\n");
    for (int i = 0; i < 200; i++) {
        struct text_diff diff;
        struct error err;
        if (text_diff(&old, &new, 3, true, &diff, &err) != STORE_OK || diff.added != 1)
            return argument;
        text_diff_release(&diff);
    }
    return NULL;
}

/* First in this process, so that it is loaded by several at once. */
static void test_text__threads(void **state) {
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, compare_often, &threads), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failure = &threads;
        assert_int_equal(pthread_join(threads[i], &failure), 0);
        assert_null(failure);
    }
}

/* ---------------------------------------------------------------- merging */

static void test_text__merges(void **state) {
    (void)state;
    static const struct {
        const char *base, *ours, *theirs, *merged;
        bool clean;
    } cases[] = {
        {"a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n", "A\nb\nc\nd\nE\n", true},
        {"a\n", "a\n", "b\n", "b\n", true},
        {"a\n", "b\n", "b\n", "b\n", true},
        {"", "", "", "", true},
        {"a\n", "", "a\n", "", true},
        {"a\n", "b\n", "c\n", "<<<<<<< mine\nb\n=======\nc\n>>>>>>> yours\n", false},
        {"", "b\n", "c\n", "<<<<<<< mine\nb\n=======\nc\n>>>>>>> yours\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text base = text_of(cases[i].base), ours = text_of(cases[i].ours), theirs = text_of(cases[i].theirs);
        uint8_t *merged;
        size_t length;
        bool clean;
        struct error err = {0};
        assert_int_equal(text_merge(&base, &ours, &theirs, "mine", "yours", &merged, &length, &clean, &err), STORE_OK);
        assert_int_equal(clean, cases[i].clean);
        assert_non_null(merged);
        assert_int_equal(length, strlen(cases[i].merged));
        assert_memory_equal(merged, cases[i].merged, length);
        free(merged);
    }
}

static void test_text__binary_content_is_not_merged(void **state) {
    (void)state;
    struct text plain = text_of("a\n"), binary = {.data = (const uint8_t *)"a\0b", .length = 3};
    const struct text *sides[][3] = {{&binary, &plain, &plain}, {&plain, &binary, &plain}, {&plain, &plain, &binary}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t *merged = (uint8_t *)&plain;
        size_t length = 1;
        bool clean = true;
        struct error err = {0};
        assert_int_equal(text_merge(sides[i][0], sides[i][1], sides[i][2], "a", "b", &merged, &length, &clean, &err),
                         STORE_OK);
        assert_null(merged);
        assert_false(clean);
    }
}

/* Lines from a small choice, so that much is alike. */
static void vary(char *out, const char *base, unsigned *seed) {
    *out = 0;
    for (const char *line = base; *line;) {
        size_t length = strcspn(line, "\n") + 1;
        int dice = rand_r(seed) % 8;
        if (dice == 0)
            (void)sprintf(out + strlen(out), "%c{\n", 'a' + rand_r(seed) % 4);
        if (dice != 1)
            strncat(out, line, length);
        if (dice == 2)
            strcat(out, "\n");
        line += length;
    }
    if (*out && rand_r(seed) % 6 == 0)
        out[strlen(out) - 1] = 0;
}

static void save(const char *directory, const char *name, const char *content) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
    assert_int_equal(fclose(file), 0);
}

/* What `git merge-file` prints for the three files in the directory. Its status is the number of conflicts. */
static void merge_by_git(const char *directory, char *out, size_t size, bool *clean) {
    char command[512];
    (void)snprintf(command, sizeof command, "cd %s && git merge-file -p -q -L mine -L base -L yours ours base theirs",
                   directory);
    FILE *git = popen(command, "r");
    assert_non_null(git);
    size_t length = fread(out, 1, size - 1, git);
    out[length] = 0;
    int status = pclose(git);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 127);
    *clean = WEXITSTATUS(status) == 0;
}

static void test_text__merges_as_git_does(void **state) {
    (void)state;
    char directory[] = "/tmp/tidfs-test-text.XXXXXX", command[64];
    unsigned seed = 20261122;
    assert_non_null(mkdtemp(directory));
    for (int i = 0; i < 100; i++) {
        static const char source[] = "a{\nb{\n\nc{\na{\n  x;\n}\nd{\nb{\n  x;\n}\na{\n\nc{\nd{\n  y;\n}\n";
        char base[512], ours[1024], theirs[1024], expected[4096];
        struct error err = {0};
        bool clean, git_clean;
        uint8_t *merged;
        size_t length;
        vary(base, source, &seed);
        vary(ours, base, &seed);
        vary(theirs, base, &seed);
        save(directory, "base", base);
        save(directory, "ours", ours);
        save(directory, "theirs", theirs);
        merge_by_git(directory, expected, sizeof expected, &git_clean);
        struct text texts[] = {text_of(base), text_of(ours), text_of(theirs)};
        assert_int_equal(text_merge(&texts[0], &texts[1], &texts[2], "mine", "yours", &merged, &length, &clean, &err),
                         STORE_OK);
        assert_int_equal(clean, git_clean);
        assert_string_equal((const char *)merged, expected);
        free(merged);
    }
    (void)snprintf(command, sizeof command, "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

/* ---------------------------------------------------------------- without libgit2 */

/* What is wrong with it. Calls of text.c go to the functions below (see the Makefile). */
static const struct broken {
    const char *symbol; /* NULL: there is no library */
    void *stand_in;     /* NULL: it has no such symbol */
} * broken;
static const git_error *reason;

void *__real_dlopen(const char *file, int flags);
void *__wrap_dlopen(const char *file, int flags);
void *__wrap_dlopen(const char *file, int flags) {
    return broken && !broken->symbol ? __real_dlopen("there is no such library", flags) : __real_dlopen(file, flags);
}

static const git_error *give_reason(void) {
    return reason;
}

void *__real_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name);
void *__wrap_dlsym(void *library, const char *name) {
    if (broken && broken->symbol && strcmp(name, broken->symbol) == 0)
        return broken->stand_in;
    const git_error *(*function)(void) = give_reason;
    void *symbol;
    memcpy(&symbol, &function, sizeof symbol);
    return broken && strcmp(name, "git_error_last") == 0 ? symbol : __real_dlsym(library, name);
}

/* Whatever it is called for. */
static int fails(void) {
    return -1;
}

static int compare(struct error *err) {
    struct text a = text_of("a\n"), b = text_of("b\n");
    struct text_diff diff;
    int rc = text_diff(&a, &b, 3, true, &diff, err);
    assert_null(diff.body);
    return rc;
}

static int merge(struct error *err) {
    struct text a = text_of("a\n"), b = text_of("b\n"), c = text_of("c\n");
    uint8_t *merged;
    size_t length;
    bool clean;
    int rc = text_merge(&a, &b, &c, "mine", "yours", &merged, &length, &clean, err);
    assert_null(merged);
    assert_false(clean);
    return rc;
}

static int identify(struct error *err) {
    struct text a = text_of("a\n");
    char id[TEXT_ID_SIZE];
    return text_id(&a, id, err);
}

static void test_text__says_what_is_wrong_with_libgit2(void **state) {
    (void)state;
    int (*function)(void) = fails;
    void *stand_in;
    memcpy(&stand_in, &function, sizeof stand_in);
    const struct broken missing = {0}, old = {.symbol = "git_odb_hash"},
                        stopped = {.symbol = "git_libgit2_init", .stand_in = stand_in};
    const struct {
        const struct broken *broken;
        const char *says;
    } loads[] = {{&missing, "cannot load libgit2, which compares texts"},
                 {&old, "has no git_odb_hash"},
                 {&stopped, "does not start"}};
    int (*const uses[])(struct error * err) = {compare, merge, identify};
    struct error err;
    for (size_t i = 0; i < 3; i++) {
        broken = loads[i].broken;
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(uses[k](&err), STORE_IO);
            assert_non_null(strstr(err.text, loads[i].says));
        }
    }
    const struct broken calls[] = {{"git_patch_from_buffers", stand_in},
                                   {"git_merge_file", stand_in},
                                   {"git_odb_hash", stand_in},
                                   {"git_patch_print", stand_in}};
    static const char *const says[] = {"cannot compare", "cannot merge", "cannot compute an id", "cannot compare"};
    char because[] = "because";
    const git_error full = {.message = because, .klass = GIT_ERROR_NOMEMORY},
                    other = {.message = because, .klass = GIT_ERROR_OS};
    for (size_t i = 0; i < 4; i++) {
        broken = &calls[i];
        reason = NULL;
        assert_int_equal(uses[i % 3](&err), STORE_IO);
        assert_non_null(strstr(err.text, says[i]));
        assert_non_null(strstr(err.text, "no reason given"));
        reason = &other;
        assert_int_equal(uses[i % 3](&err), STORE_IO);
        assert_non_null(strstr(err.text, "because"));
        reason = &full;
        assert_int_equal(uses[i % 3](&err), STORE_NO_MEMORY);
    }
    broken = NULL;
    assert_int_equal(identify(&err), STORE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__threads),
        cmocka_unit_test(test_text__a_nul_near_the_beginning_is_binary),
        cmocka_unit_test(test_text__what_is_too_long_for_lines_is_binary),
        cmocka_unit_test(test_text__differences),
        cmocka_unit_test(test_text__binary_differences),
        cmocka_unit_test(test_text__ids),
        cmocka_unit_test(test_text__merges),
        cmocka_unit_test(test_text__binary_content_is_not_merged),
        cmocka_unit_test(test_text__merges_as_git_does),
        cmocka_unit_test(test_text__says_what_is_wrong_with_libgit2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
