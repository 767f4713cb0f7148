#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/head.h"
#include "store/storage_sqlite_connection.h"
#include "tests/powercut_run.h"
#include "tests/sample.h"

void run_release(struct run *run) {
    recording_release(&run->recording);
    free(run->fingerprints);
}

void run_sealed(struct run *run, struct store *store) {
    uint64_t last = store_last(store);
    run->fingerprints = reallocarray(run->fingerprints, last + 1, sizeof *run->fingerprints);
    assert_non_null(run->fingerprints);
    recording_note(EVENT_SEALED, NULL, last);
    for (; run->last < last; run->last++)
        assert_true(fingerprint(store_storage(store), run->last + 1, &run->fingerprints[run->last + 1]));
}

void run_tag(struct store *store, unsigned number, uint64_t tid) {
    char name[8];
    (void)snprintf(name, sizeof name, "t%u", number);
    recording_note(EVENT_TAG_BEGIN, name, tid);
    int rc =
        tid ? storage_tag_set(store_storage(store), name, tid, true) : storage_tag_delete(store_storage(store), name);
    assert_true(rc == STORE_OK || (tid == 0 && rc == STORE_ABSENT));
    recording_note(EVENT_TAG_DONE, name, tid);
}

static void tag_something(struct store *store, struct dice *dice) {
    uint64_t tid = dice_below(dice, 4) == 0 ? 0 : 1 + dice_below(dice, UINT64_C(1) << 40);
    run_tag(store, (unsigned)dice_below(dice, RUN_TAGS), tid);
}

/* As the checkpointer does it, but now. */
static void checkpoint(const struct store *store, struct dice *dice) {
    static const int modes[] = {SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE};
    struct connection *connection;
    struct error err;
    char path[512];
    (void)snprintf(path, sizeof path, "%s/" DATABASE_FILE, store_directory(store));
    if (connection_open(path, CONNECTION_WRITE, NULL, &connection, &err) != STORE_OK)
        fail_msg("%s", err.text);
    (void)sqlite3_wal_checkpoint_v2(connection->db, "main", modes[dice_below(dice, 3)], NULL, NULL);
    connection_close(connection);
}

/* ---- making a store ---- */

void workload_create(struct run *run, const char *root, struct dice *dice) {
    char directory[512];
    struct store *store;
    struct error err;
    (void)dice;
    run->name = "create";
    (void)snprintf(directory, sizeof directory, "%s/store", root);
    recording_begin(&run->recording, root);
    if (store_create(directory, 1000, 1000, &err) != STORE_OK)
        fail_msg("%s", err.text);
    recording_note(EVENT_CREATED, NULL, 0);
    assert_int_equal(store_open(directory, &(struct store_options){0}, &store, &err), STORE_OK);
    run_sealed(run, store);
    store_close(store);
    recording_end(&run->recording);
}

/* ---- commits by hand ---- */

#define SAMPLE_FILES 12

struct sample_file {
    uint64_t oid;   /* 0: there is none */
    uint64_t based; /* the transaction that it was made on: it can be removed in a later one */
};

static void change_sample(struct sample *sample, struct sample_file files[SAMPLE_FILES], struct dice *dice) {
    static uint8_t large[BODY_MAX];
    size_t at = dice_below(dice, SAMPLE_FILES);
    char name[16], text[64];
    (void)snprintf(name, sizeof name, "file%zu", at);
    (void)snprintf(text, sizeof text, "%016" PRIx64 " and more", dice_throw(dice));
    struct sample_file *file = &files[at];
    if (!file->oid) {
        file->oid = sample_make(sample, ROOT_OID, name, S_IFREG | 0644, text);
        file->based = sample_last(sample);
        return;
    }
    switch (dice_below(dice, 6)) {
    case 0:
        if (file->based == sample_last(sample))
            break;
        sample_remove(sample, ROOT_OID, name);
        file->oid = 0;
        break;
    case 1:
        sample_set_xattr(sample, file->oid, "user.x", text);
        break;
    case 2: {
        for (size_t i = 0; i < sizeof large; i++)
            large[i] = (uint8_t)dice_throw(dice);
        struct extent extents[2] = {{.length = sizeof large}, {.start = sizeof large, .length = sizeof large}};
        extents[0].body = sample_body(sample, large, sizeof large);
        extents[1].body = sample_body(sample, large, sizeof large);
        sample_set_chunk(sample, file->oid, 0, &(struct chunk){extents, 2}, 2 * sizeof large);
        sample->objects[file->oid].record.allocated = 2 * sizeof large;
        break;
    }
    case 3:
        sample_chmod(sample, file->oid, (uint32_t)dice_below(dice, 0777));
        break;
    default:
        sample_write(sample, file->oid, text);
    }
}

void workload_commits(struct run *run, struct dice *dice) {
    struct sample *sample = sample_new(NULL);
    struct sample_file files[SAMPLE_FILES] = {0};
    char root[64];
    run->name = "commits";
    run->base_store = true;
    (void)snprintf(root, sizeof root, "%s", sample->directory);
    *strrchr(root, '/') = '\0';
    run_sealed(run, sample->store);
    run->base_last = run->last;
    recording_begin(&run->recording, root);
    for (int round = 0; round < 16; round++) {
        for (uint64_t n = 1 + dice_below(dice, 5); n > 0; n--)
            change_sample(sample, files, dice);
        (void)sample_commit(sample, "round");
        run_sealed(run, sample->store);
        if (dice_below(dice, 3) == 0)
            tag_something(sample->store, dice);
        if (dice_below(dice, 5) == 0)
            checkpoint(sample->store, dice);
        if (dice_below(dice, 6) == 0)
            sample_reopen(sample, NULL);
    }
    store_close(sample->store);
    sample->store = NULL;
    recording_end(&run->recording);
    sample_free(sample);
}

/* ---- the head, as the driver uses it ---- */

struct headed {
    struct run *run;
    struct store *store;
    struct head *head;
    struct dice *dice;
    char directory[512];
};

static void open_head(struct headed *headed, uint64_t dirty_limit) {
    struct error err;
    if (store_open(headed->directory, &(struct store_options){.writable = true}, &headed->store, &err) != STORE_OK)
        fail_msg("%s", err.text);
    if (head_open(headed->store, &(struct head_options){.dirty_limit_bytes = dirty_limit}, &headed->head, &err) !=
        STORE_OK)
        fail_msg("%s", err.text);
}

static void close_head(struct headed *headed) {
    assert_int_equal(head_close(headed->head), 0);
    run_sealed(headed->run, headed->store);
    store_close(headed->store);
}

static void begin_headed(struct headed *headed, struct run *run, const char *root, struct dice *dice) {
    struct error err;
    *headed = (struct headed){.run = run, .dice = dice};
    (void)snprintf(headed->directory, sizeof headed->directory, "%s/store", root);
    if (store_create(headed->directory, 1000, 1000, &err) != STORE_OK)
        fail_msg("%s", err.text);
    open_head(headed, UINT64_C(1) << 20);
    run_sealed(run, headed->store);
    run->base_store = true;
    run->base_last = run->last;
    recording_begin(&run->recording, root);
}

static const struct head_caller caller = {1000, 1000, 022};

/* 0: there is none. */
static uint64_t find(struct headed *headed, const char *name) {
    struct head_attr attr;
    if (head_lookup(headed->head, ROOT_OID, name, strlen(name), &attr) < 0)
        return 0;
    head_forget(headed->head, attr.oid, 1);
    return attr.oid;
}

static uint64_t make_file(struct headed *headed, const char *name) {
    struct head_attr attr;
    assert_int_equal(head_make(headed->head, ROOT_OID, name, strlen(name), S_IFREG | 0644, 0, NULL, &caller, &attr), 0);
    head_forget(headed->head, attr.oid, 1);
    return attr.oid;
}

static void write_file(struct headed *headed, uint64_t oid, uint64_t offset, size_t size) {
    uint8_t *data = malloc(size);
    assert_non_null(data);
    uint64_t seed = dice_throw(headed->dice);
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)((seed += i * 2654435761U) >> 13);
    assert_int_equal(head_write(headed->head, oid, offset, size, data, false), (int64_t)size);
    free(data);
}

static void seal_head(struct headed *headed) {
    assert_int_equal(head_seal(headed->head, NULL, NULL, NULL), 0);
    run_sealed(headed->run, headed->store);
}

/* A row of operations under which the files of a directory live as they do under programs. */
static void change_head(struct headed *headed) {
    static const size_t sizes[] = {10, 700, 5000, 20000, 40000, 100000};
    struct dice *dice = headed->dice;
    char name[16];
    (void)snprintf(name, sizeof name, "f%" PRIu64, dice_below(dice, 8));
    uint64_t oid = find(headed, name);
    if (!oid)
        oid = make_file(headed, name);
    switch (dice_below(dice, 7)) {
    case 0:
        assert_int_equal(head_unlink(headed->head, ROOT_OID, name, strlen(name)), 0);
        break;
    case 1: {
        uint64_t fresh = find(headed, "new"); /* from before a power cut */
        if (!fresh)
            fresh = make_file(headed, "new");
        write_file(headed, fresh, 0, sizes[dice_below(dice, 6)]);
        seal_head(headed);
        assert_int_equal(head_rename(headed->head, ROOT_OID, "new", 3, ROOT_OID, name, strlen(name), 0), 0);
        break;
    }
    case 2:
        assert_int_equal(head_setxattr(headed->head, oid, "user.x", name, strlen(name), 0), 0);
        break;
    case 3: {
        struct head_attr attr;
        (void)snprintf(name, sizeof name, "d%" PRIu64, dice_throw(dice) % 1000);
        int rc = head_make(headed->head, ROOT_OID, name, strlen(name), S_IFDIR | 0755, 0, NULL, &caller, &attr);
        if (rc == 0)
            head_forget(headed->head, attr.oid, 1);
        break;
    }
    default:
        write_file(headed, oid, dice_below(dice, 3) * 30000, sizes[dice_below(dice, 6)]);
    }
}

static int change_nothing(void *context) {
    (void)context;
    return 0;
}

static void use_head(struct headed *headed, int rounds) {
    struct dice *dice = headed->dice;
    for (int round = 0; round < rounds; round++) {
        for (uint64_t n = 1 + dice_below(dice, 6); n > 0; n--)
            change_head(headed);
        if (dice_below(dice, 8) != 0)
            seal_head(headed);
        if (dice_below(dice, 8) == 0) {
            assert_int_equal(head_transaction(headed->head, change_nothing, headed, "somebody", "said", NULL), 0);
            run_sealed(headed->run, headed->store);
        }
        if (dice_below(dice, 3) == 0)
            tag_something(headed->store, dice);
        if (dice_below(dice, 6) == 0)
            checkpoint(headed->store, dice);
        if (dice_below(dice, 8) == 0) {
            close_head(headed);
            open_head(headed, UINT64_C(1) << 20);
        }
    }
}

void workload_head(struct run *run, const char *root, struct dice *dice) {
    struct headed headed;
    run->name = "head";
    begin_headed(&headed, run, root, dice);
    use_head(&headed, 14);
    close_head(&headed);
    recording_end(&run->recording);
}

/* Commits that are large enough for the checkpointer and for the limit of what is pending, which have threads of their own. */
void workload_large(struct run *run, const char *root, struct dice *dice) {
    struct headed headed;
    char name[16];
    run->name = "large";
    begin_headed(&headed, run, root, dice);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 600; i++) {
            (void)snprintf(name, sizeof name, "many%d", round * 600 + i);
            write_file(&headed, make_file(&headed, name), 0, i % 100 == 0 ? 50000 : 2500);
        }
        seal_head(&headed);
        use_head(&headed, 2);
    }
    close_head(&headed);
    recording_end(&run->recording);
}

/* ---- after a power cut ---- */

void workload_again(struct run *run, const struct run *from, const char *root, struct dice *dice) {
    struct headed headed = {.run = run, .dice = dice};
    struct tag *tags = NULL;
    size_t count = 0;
    run->name = "again";
    run->base_store = true;
    (void)snprintf(headed.directory, sizeof headed.directory, "%s/store", root);
    recording_begin(&run->recording, root);
    open_head(&headed, UINT64_C(1) << 20);

    /* What was found is what must stay. */
    run->base_last = run->last = store_last(headed.store);
    assert_in_range(run->last, 1, from->last);
    run->fingerprints = calloc(run->last + 1, sizeof *run->fingerprints);
    assert_non_null(run->fingerprints);
    memcpy(run->fingerprints, from->fingerprints, (run->last + 1) * sizeof *run->fingerprints);
    assert_int_equal(storage_tag_list(store_storage(headed.store), &tags, &count), STORE_OK);
    for (size_t i = 0; i < count; i++)
        run->base_tags[(unsigned)tags[i].name[1] - '0'] = tags[i].tid;
    free(tags);

    use_head(&headed, 4);
    close_head(&headed);
    recording_end(&run->recording);
}
