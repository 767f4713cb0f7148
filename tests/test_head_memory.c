/* A head without memory at one place or another that needs much of it before it asks: which allocation fails is chosen by its size. */
#include "store/head_batch.h"
#include "tests/head_fixture.h"

static size_t refused, refused_count; /* allocations of so many bytes fail (0: none), in so many pieces (0: in any) */
static unsigned refusals;

static bool refuses(size_t count, size_t size) {
    if (!refused || count * size != refused || (refused_count && count != refused_count))
        return false;
    refusals++;
    return true;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
    return refuses(1, size) ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) {
    return refuses(count, size) ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size) {
    return refuses(1, size) ? NULL : __real_realloc(memory, size);
}

static void refuse(size_t size) {
    refused = size;
    refused_count = 0;
    refusals = 0;
}

static void grant(void) {
    refused = 0;
    assert_true(refusals > 0);
}

static int tear_down(void **state) {
    refused = 0;
    return teardown(state);
}

/* "f0", "f1"…, with `length` bytes each. */
static void make_files(struct fixture *f, int first, int count, size_t length) {
    char name[16];
    for (int i = first; i < first + count; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(make(f, name, S_IFREG | 0644, NULL), 0);
        if (length)
            assert_int_equal(write_(f, name, 0, length, i, length), 0);
    }
}

/* And keeps the objects in memory. */
static void make_held(struct fixture *f, int first, int count) {
    struct head_attr attr;
    char name[16];
    for (int i = first; i < first + count; i++) {
        (void)snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(head_make(f->head, ROOT_OID, name, strlen(name), S_IFREG | 0644, 0, NULL, &caller, &attr), 0);
    }
}

static void test_head_memory__a_table_that_cannot_grow_is_slower(void **state) {
    struct fixture *f = *state;
    static const struct {
        int files;
        size_t buckets, bytes;
    } tables[] = {{30, 16, 16 * sizeof(struct dentry *)}, {1500, 2048, 2048 * sizeof(struct object *)}};
    int made = 0;
    for (size_t i = 0; i < 2; i++) {
        refuse(tables[i].bytes);
        refused_count = tables[i].buckets;
        make_held(f, made, tables[i].files);
        grant();
        made += tables[i].files;
    }
    make_files(f, made, 1, 0);
    char *all = dump(f);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_dump(f, all);
    reopen(f);
    assert_dump(f, all);
    free(all);
}

static void test_head_memory__a_commit_that_cannot_be_put_together_waits(void **state) {
    struct fixture *f = *state;
    make_files(f, 0, 80, 50);
    char *all = dump(f);
    const size_t sizes[] = {
        sizeof(struct batch),          128 * sizeof(struct new_revision), 256 * sizeof(struct new_revision),
        128 * sizeof(struct new_body), 128 * sizeof(struct memory *),     128 * sizeof(struct snapshot)};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        refuse(sizes[i]);
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -ENOMEM);
        grant();
        assert_dump(f, all);
    }
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_dump(f, all);
    free(all);
    assert_sound(f);
}

static void take_line(void *context, enum log_level level, const char *line) {
    char *text = context;
    (void)level;
    (void)snprintf(text + strlen(text), 1000 - strlen(text), "%s\n", line);
}

/* Nothing was put together, so that names that came and went are still in the list. */
static void test_head_memory__what_is_lost_for_want_of_memory_is_told(void **state) {
    struct fixture *f = *state;
    char text[1000] = "";
    struct log log = {.write = take_line, .context = text, .most = LOG_LEVEL_ERROR};
    assert_int_equal(make(f, "passing", S_IFREG | 0644, NULL), 0);
    assert_int_equal(remove_(f, "passing", false), 0);
    assert_int_equal(make(f, "new", S_IFREG | 0644, NULL), 0);
    f->store->log = &log;
    refuse(sizeof(struct batch));
    assert_int_equal(head_close(f->head), -ENOMEM);
    grant();
    f->store->log = NULL;
    assert_non_null(strstr(text, "lost: what was written to /new\n"));
    assert_null(strstr(text, "passing"));
    store_close(f->store);
    open_all(f);
}

static void test_head_memory__a_directory_that_cannot_be_held(void **state) {
    struct fixture *f = *state;
    struct head_attr attr;
    struct names names = {0};
    make_files(f, 0, 300, 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    reopen(f);
    refuse(sizeof(struct directory));
    assert_int_equal(head_readdir(f->head, ROOT_OID, UINT64_MAX, collect, &names), -ENOMEM);
    assert_int_equal(head_lookup(f->head, ROOT_OID, "f1", 2, &attr), -ENOMEM);
    grant();
    refuse(sizeof(struct dentry) + sizeof "f1");
    assert_int_equal(head_lookup(f->head, ROOT_OID, "f1", 2, &attr), -ENOMEM); /* is there */
    assert_int_equal(head_lookup(f->head, ROOT_OID, "no", 2, &attr), -ENOMEM); /* is not */
    grant();
    assert_int_not_equal(oid_of(f, "f1"), 0);
    assert_int_equal(oid_of(f, "no"), 0);
}

static void test_head_memory__bytes_that_cannot_be_held(void **state) {
    struct fixture *f = *state;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(write_(f, "f", 0, 1000, 1, 1000), 0);
    char *before = dump(f);
    refuse(2000); /* twice what there is */
    assert_int_equal(write_(f, "f", 1000, 500, 2, 500), -ENOMEM);
    grant();
    refuse(777);
    assert_int_equal(write_(f, "f", 5000, 777, 2, 777), -ENOMEM);
    grant();
    assert_dump(f, before);
    free(before);
    assert_int_equal(write_(f, "f", 1000, 500, 2, 500), 0);

    /* Pieces that cannot be joined stay as they are. */
    assert_int_equal(make(f, "g", S_IFREG | 0644, NULL), 0);
    for (uint64_t at = 70; at-- > 0;) {
        if (at == 4)
            refuse((size_t)(70 - at - 1) * 10);
        assert_int_equal(write_(f, "g", at * 10, 10, (int)at, 10), 0);
    }
    grant();
    char *all = dump(f);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    reopen(f);
    assert_dump(f, all);
    free(all);
    assert_sound(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_head_memory__##name, setup, tear_down)
        TEST(a_table_that_cannot_grow_is_slower),
        TEST(a_commit_that_cannot_be_put_together_waits),
        TEST(what_is_lost_for_want_of_memory_is_told),
        TEST(a_directory_that_cannot_be_held),
        TEST(bytes_that_cannot_be_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
