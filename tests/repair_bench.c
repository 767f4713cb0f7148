#include "tests/repair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/changing.h"

#define COMMITS     14
#define MANY        150
#define ANSWER_SIZE 16384
#define CONTENT_MAX (1 << 21)

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void run(const char *format, ...) {
    char command[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

uint64_t bench_below(struct bench *b, uint64_t limit) {
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return (b->random >> 11) % (limit ? limit : 1);
}

/* ---- questions ---- */

static void add_text(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add_text(char *text, const char *format, ...) {
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + used, ANSWER_SIZE - used, format, arguments);
    va_end(arguments);
}

static int find(struct store *store, uint64_t before, const char *path, uint64_t *oid) {
    int rc = STORE_OK;
    *oid = ROOT_OID;
    while (rc == STORE_OK && *path) {
        size_t length = strcspn(path, "/");
        uint32_t type;
        rc = store_lookup(store, *oid, path, length, before, oid, &type);
        path += length + (path[length] == '/');
    }
    return rc;
}

static int add_list(struct store *store, uint64_t oid, uint64_t before, char *text) {
    struct list_version *list;
    int rc = store_list(store, oid, before, &list);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < list->list.count; i++)
        add_text(text, "%s=%" PRIu64 ",", list->list.items[i].name, list->list.items[i].oid);
    store_release(store, list);
    return rc;
}

static int add_content(struct store *store, const struct inode_version *inode, uint64_t before, char *text) {
    uint8_t *buffer = malloc(CONTENT_MAX);
    size_t done = 0;
    assert_non_null(buffer);
    int rc = store_read(store, inode, before, 0, CONTENT_MAX, buffer, &done);
    if (rc == STORE_OK)
        add_text(text, "%zu bytes %016" PRIx64, done, (uint64_t)XXH3_64bits(buffer, done));
    free(buffer);
    return rc;
}

static int add_xattrs(struct store *store, uint64_t oid, uint64_t before, char *text) {
    struct xattrs_version *xattrs;
    int rc = store_xattrs(store, oid, before, &xattrs);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < xattrs->set.count; i++)
        add_text(text, " %s:%016" PRIx64, xattrs->set.items[i].name,
                 (uint64_t)XXH3_64bits(xattrs->set.items[i].value, xattrs->set.items[i].length));
    store_release(store, xattrs);
    return rc;
}

/* All that is to be known of a path at an instant; "error" if any of it cannot be read, "absent" if there is no such thing. */
static void ask(struct store *store, uint64_t before, const char *path, char answer[ANSWER_SIZE]) {
    uint64_t oid;
    struct inode_version *inode = NULL;
    answer[0] = '\0';
    int rc = find(store, before, path, &oid);
    if (rc == STORE_OK)
        rc = store_inode(store, oid, before, &inode);
    if (rc == STORE_OK) {
        const struct inode_record *record = &inode->record;
        add_text(answer, "%o %u:%u %u %" PRIu64 " %" PRId64 " %s ", record->mode, record->uid, record->gid,
                 record->nlink, record->size, (int64_t)record->mtime.tv_sec, record->target ? record->target : "");
        if (S_ISDIR(record->mode))
            rc = add_list(store, oid, before, answer);
        else if (S_ISREG(record->mode))
            rc = add_content(store, inode, before, answer);
        if (rc == STORE_OK && record->has_xattrs)
            rc = add_xattrs(store, oid, before, answer);
        store_release(store, inode);
    }
    if (rc != STORE_OK)
        strcpy(answer, rc == STORE_ABSENT ? "absent" : "error");
}

static void add_question(struct bench *b, struct store *store, uint64_t before, const char *path) {
    char answer[ANSWER_SIZE];
    ask(store, before, path, answer);
    if (b->question_count == b->question_capacity) {
        b->question_capacity = b->question_capacity ? b->question_capacity * 2 : 256;
        b->questions = reallocarray(b->questions, b->question_capacity, sizeof *b->questions);
        assert_non_null(b->questions);
    }
    b->questions[b->question_count++] =
        (struct question){.before = before, .path = strdup(path), .answer = strdup(answer)};
}

static void add_tree(struct bench *b, struct store *store, uint64_t before, uint64_t directory, const char *path) {
    struct list_version *list;
    add_question(b, store, before, path);
    assert_int_equal(store_list(store, directory, before, &list), STORE_OK);
    for (size_t i = 0; i < list->list.count; i++) {
        const struct entry *entry = &list->list.items[i];
        char below[1024];
        (void)snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", entry->name);
        if (S_ISDIR(entry->type)) {
            add_tree(b, store, before, entry->oid, below);
        } else {
            add_question(b, store, before, below);
            bench_add_image(b, store, before, entry->oid);
        }
    }
    store_release(store, list);
}

/* ---- the store ---- */

/* Two directories of files, of which each commit changes some. */
static void change_many(struct changing *c, int commit) {
    char path[32], text[64];
    for (int k = 0; k < MANY; k++) {
        if (commit > 0 && (k * 7 + commit) % 5 != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/f%d", k % 3 ? "many" : "some", k);
        (void)snprintf(text, sizeof text, "file %d as of commit %d", k, commit);
        if (commit == 3 && k % 8 == 0)
            changing_save(c, path, text);
        else
            changing_write(c, path, text);
    }
}

static void make_store(struct bench *b, bool large_store) {
    struct changing *c = changing_new(7);
    char text[600];
    if (large_store) {
        (void)changing_mkdir(c, "many");
        (void)changing_mkdir(c, "some");
    }
    for (int i = 0; i < COMMITS; i++) {
        changing_random(c, 12);
        if (large_store)
            change_many(c, i);
        (void)snprintf(text, sizeof text, "file-%d", i % 5);
        changing_write(c, text, "some content that changes ");
        /* Larger ones, for body files and overflow pages. */
        char *large = malloc(200001);
        assert_non_null(large);
        for (int k = 0; k < 200000; k++)
            large[k] = (char)('a' + (k * (i + 3) / 7) % 26);
        large[i % 2 ? 200000 : 9000] = '\0';
        changing_write(c, i % 2 ? "large" : "medium", large);
        free(large);
        (void)changing_commit(c, "a change");
        if (i == COMMITS - 4) { /* what comes after this is in the log, below */
            assert_int_equal(head_close(c->head), 0);
            store_close(c->store);
            struct error err = {0};
            const struct store_options options = {.writable = true};
            const struct head_options head_options = {.dirty_limit_bytes = UINT64_C(1) << 30};
            assert_int_equal(store_open(c->directory, &options, &c->store, &err), STORE_OK);
            assert_int_equal(head_open(c->store, &head_options, &c->head, &err), STORE_OK);
        }
    }
    b->last = store_last(c->store);
    for (uint64_t before = 2; before <= b->last + 1; before++)
        add_tree(b, c->store, before, ROOT_OID, "");
    run("cp -a '%s' '%s'", c->directory, b->logged);
    assert_int_equal(head_close(c->head), 0);
    store_close(c->store);
    run("cp -a '%s' '%s'", c->directory, b->sound);
    struct error err = {0};
    const struct store_options options = {.writable = true};
    const struct head_options head_options = {.dirty_limit_bytes = UINT64_C(1) << 30};
    assert_int_equal(store_open(c->directory, &options, &c->store, &err), STORE_OK);
    assert_int_equal(head_open(c->store, &head_options, &c->head, &err), STORE_OK);
    changing_free(c);
}

static int set_up(void **state, bool large) {
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    /* In memory if there is such a place: the time of a repair is mostly that of its syncs. */
    strcpy(b->directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test_repair.XXXXXX" : "/tmp/test_repair.XXXXXX");
    assert_non_null(mkdtemp(b->directory));
    (void)snprintf(b->sound, sizeof b->sound, "%s/sound", b->directory);
    (void)snprintf(b->logged, sizeof b->logged, "%s/logged", b->directory);
    (void)snprintf(b->store, sizeof b->store, "%s/store", b->directory);
    b->random = 1;
    make_store(b, large);
    *state = b;
    return 0;
}

int bench_set_up(void **state) {
    return set_up(state, false);
}

int bench_set_up_large(void **state) {
    return set_up(state, true);
}

int bench_tear_down(void **state) {
    struct bench *b = *state;
    run("rm -rf '%s'", b->directory);
    for (size_t i = 0; i < b->question_count; i++) {
        free(b->questions[i].path);
        free(b->questions[i].answer);
    }
    free(b->questions);
    bench_release_images(b);
    repair_result_release(&b->result);
    free(b);
    return 0;
}

void bench_fresh(struct bench *b, bool with_log) {
    run("rm -rf '%s' && cp -a '%s' '%s'", b->store, with_log ? b->logged : b->sound, b->store);
    b->what[0] = b->told[0] = '\0';
}

uint64_t bench_hash(struct bench *b, const char *file) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", b->store, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t *bytes = malloc(CONTENT_MAX);
    assert_non_null(bytes);
    ssize_t length = read(fd, bytes, CONTENT_MAX);
    assert_true(length >= 0 && length < CONTENT_MAX);
    uint64_t hash = XXH3_64bits(bytes, (size_t)length);
    free(bytes);
    (void)close(fd);
    return hash;
}

void bench_assert_same_files(struct bench *b) {
    run("cmp -s '%s/tidfs.db' '%s/tidfs.db' && diff -r '%s/bodies' '%s/bodies'", b->sound, b->store, b->sound,
        b->store);
}

void bench_copy_page(struct bench *b, uint64_t from, uint64_t to) {
    char path[256];
    uint8_t page[4096];
    (void)snprintf(path, sizeof path, "%s/tidfs.db", b->store);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, page, sizeof page, (off_t)((from - 1) * sizeof page)), sizeof page);
    assert_int_equal(pwrite(fd, page, sizeof page, (off_t)((to - 1) * sizeof page)), sizeof page);
    (void)close(fd);
}

/* ---- damaged, and repaired ---- */

static void ask_damaged(struct bench *b) {
    const struct store_options options = {.writable = false};
    struct store *store = NULL;
    char answer[ANSWER_SIZE];
    bool opened = store_open(b->store, &options, &store, NULL) == STORE_OK;
    for (size_t i = 0; i < b->question_count; i++) {
        struct question *question = &b->questions[i];
        question->survived = false;
        if (!opened || store_last(store) + 1 < question->before)
            continue;
        ask(store, question->before, question->path, answer);
        question->survived = strcmp(answer, question->answer) == 0;
    }
    if (opened)
        store_close(store);
}

static void take_line(void *context, const struct verify_problem *what) {
    struct bench *b = context;
    size_t used = strlen(b->told);
    (void)snprintf(b->told + used, sizeof b->told - used, "  %s: %s\n", what->path ? what->path : "-", what->text);
}

static uint64_t verify(struct bench *b, struct store *store) {
    const struct verify_options options = {.problem = take_line, .context = b};
    uint64_t problems = 0;
    assert_int_equal(storage_verify(store_storage(store), &options, &problems), STORE_OK);
    return problems;
}

int bench_repair(struct bench *b) {
    char scratch[128];
    (void)snprintf(scratch, sizeof scratch, "%s/scratch", b->directory);
    const struct repair_options options = {.told = take_line, .context = b, .scratch = b->dry_run ? scratch : NULL};
    struct error err = {0};
    assert_true(!b->dry_run || mkdir(scratch, 0700) == 0);
    ask_damaged(b);
    repair_result_release(&b->result);
    b->result = (struct repair_result){0};
    int rc = store_repair(b->store, &options, &b->result, &err);
    assert_true(!b->dry_run || rmdir(scratch) == 0);
    if (rc != STORE_OK && rc != STORE_NOT_A_STORE)
        fail_msg("%s: %s", b->what, err.text);
    if (rc != STORE_OK || !b->result.damaged)
        return rc;
    if (b->result.left > 0) {
        struct store *store;
        const struct store_options store_options = {.writable = false};
        if (store_open(b->store, &store_options, &store, &err) == STORE_OK) {
            b->told[0] = '\0';
            (void)verify(b, store);
            store_close(store);
        }
        fail_msg("%s: %" PRIu64 " problems left\n%s", b->what, b->result.left, b->told);
    }
    return 1;
}

static void use_newest_state(struct bench *b, struct store *store) {
    const struct head_options options = {.dirty_limit_bytes = UINT64_C(1) << 30};
    const struct head_caller caller = {.uid = 1000, .gid = 1000};
    struct error err = {0};
    struct head *head;
    struct head_attr attr;
    struct list_version *list;
    uint64_t tid;
    if (head_open(store, &options, &head, &err) != STORE_OK)
        fail_msg("%s: %s", b->what, err.text);
    if (store_list(store, ROOT_OID, store_last(store) + 1, &list) != STORE_OK)
        fail_msg("%s: the root cannot be listed\n%s", b->what, b->told);
    store_release(store, list);
    assert_int_equal(head_make(head, ROOT_OID, "a new file", 10, S_IFREG | 0644, 0, NULL, &caller, &attr), 0);
    assert_int_equal(head_write(head, attr.oid, 0, 5, (const uint8_t *)"bytes", false), 5);
    head_forget(head, attr.oid, 1);
    assert_int_equal(head_seal(head, NULL, NULL, &tid), 0);
    assert_int_equal(head_close(head), 0);
}

void bench_check(struct bench *b) {
    const struct store_options options = {.writable = true};
    struct store *store = NULL;
    struct error err = {0};
    struct repair_result again;
    const struct repair_options repair_options = {.told = take_line, .context = b};
    char answer[ANSWER_SIZE];
    uint64_t hash = bench_hash(b, "tidfs.db");
    int rc = store_repair(b->store, &repair_options, &again, &err);
    if (rc != STORE_OK || again.damaged)
        fail_msg("%s: a second repair finds something: %s (%d)", b->what, err.text, rc);
    repair_result_release(&again);
    assert_int_equal(bench_hash(b, "tidfs.db"), hash);
    if (store_open(b->store, &options, &store, &err) != STORE_OK)
        fail_msg("%s: %s", b->what, err.text);
    /* The end of history may be lost without a trace, where it lay in the log alone. */
    uint64_t last = store_last(store) - (b->result.damaged ? 1 : 0);
    b->lost = 0;
    for (size_t i = 0; i < b->question_count; i++) {
        const struct question *question = &b->questions[i];
        if (question->before > last + 1)
            strcpy(answer, "error");
        else
            ask(store, question->before, question->path, answer);
        bool right = strcmp(answer, question->answer) == 0, error = strcmp(answer, "error") == 0;
        if (!right && (!error || question->survived))
            fail_msg("%s: /%s before %" PRIu64 "\n   was %s\n   and is %s%s\n%s", b->what, question->path,
                     question->before, question->answer, answer, question->survived ? " (the damaged store knew)" : "",
                     b->told);
        b->lost += !right;
    }
    bench_check_head(b, store);
    use_newest_state(b, store);
    b->told[0] = '\0';
    if (verify(b, store) != 0)
        fail_msg("%s: problems after a commit\n%s", b->what, b->told);
    store_close(store);
}
