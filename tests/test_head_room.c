/* A head on a disk that fills up: what is kept free, what is refused, and what is told of commits that fail. The disk's numbers and the memory
 * that there is no more are this program's own. */
#include <sys/statvfs.h>

#include "store/head_private.h"
#include "tests/head_fixture.h"

#define BLOCK 4096

static struct {
    uint64_t total, available; /* bytes */
    int error;
} disk;

int __real_statvfs64(const char *path, struct statvfs *status);
int __wrap_statvfs64(const char *path, struct statvfs *status);
int __wrap_statvfs64(const char *path, struct statvfs *status) {
    int rc = __real_statvfs64(path, status);
    if (disk.error) {
        errno = disk.error;
        return -1;
    }
    if (disk.total) {
        status->f_frsize = BLOCK;
        status->f_blocks = disk.total / BLOCK;
        status->f_bavail = disk.available / BLOCK;
    }
    return rc;
}

/* The Nth allocation from now fails; 0: none does. */
static unsigned allocations_left;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size) {
    if (allocations_left && --allocations_left == 0)
        return NULL;
    return __real_malloc(size);
}

struct room {
    struct fixture f; /* first: the fixture's own functions take it for one */
    char log_text[4096];
    struct log log;
    unsigned no_memory; /* which allocation fails once a commit is being written; 0: none */
};

static void write_log(void *context, enum log_level level, const char *line) {
    struct room *room = context;
    size_t used = strlen(room->log_text);
    (void)level;
    (void)snprintf(room->log_text + used, sizeof room->log_text - used, "%s\n", line);
}

/* Between sealing and writing. */
static void name_user(void *context, uint32_t uid, char name[HEAD_USER_SIZE]) {
    const struct room *room = context;
    (void)snprintf(name, HEAD_USER_SIZE, "u%u", uid);
    allocations_left = room->no_memory;
}

static void open_room(struct room *room) {
    struct fixture *f = &room->f;
    struct error err = {0};
    close_all(f);
    if (store_open(f->directory, &(struct store_options){.writable = true, .log = &room->log}, &f->store, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(storage_fault_open(f->store->storage, &f->fault), STORE_OK);
    f->store->storage = f->fault;
    const struct head_options options = {.commit_interval_ns = INTERVAL_NS,
                                         .dirty_limit_bytes = DIRTY_LIMIT,
                                         .name_user = name_user,
                                         .name_context = room};
    if (head_open(f->store, &options, &f->head, &err) != STORE_OK)
        fail_msg("%s", err.text);
    head_act_as(f->head, 7);
    room->log_text[0] = '\0';
}

static int set_up_room(void **state) {
    struct room *room = calloc(1, sizeof *room);
    assert_non_null(room);
    room->log = (struct log){.write = write_log, .context = room, .most = LOG_LEVEL_WARNING};
    new_store(&room->f);
    open_room(room);
    *state = room;
    return 0;
}

static int tear_down_room(void **state) {
    memset(&disk, 0, sizeof disk);
    allocations_left = 0;
    return teardown(state);
}

/* ---- room ---- */

static void test_head_room__what_is_kept_free_fits_the_disk(void **state) {
    struct room *room = *state;
    disk.total = UINT64_C(1) << 40;
    disk.available = disk.total / 2;
    open_room(room);
    uint64_t most = head_reserve(room->f.head);
    assert_true(most > 0);
    disk.total = most * 8;
    open_room(room);
    assert_int_equal(head_reserve(room->f.head), disk.total / 16);
    disk.error = EACCES; /* then nothing is known of it, and nothing refused */
    open_room(room);
    assert_int_equal(head_reserve(room->f.head), 0);
    assert_int_equal(make(&room->f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(write_(&room->f, "f", 0, 40000, 1, 40000), 0);
    assert_int_equal(head_seal(room->f.head, NULL, NULL, NULL), 0);
    assert_sound(&room->f);
}

static void test_head_room__what_is_written_and_pending_is_counted(void **state) {
    struct room *room = *state;
    struct fixture *f = &room->f;
    disk.total = UINT64_C(1) << 24;
    disk.available = disk.total;
    open_room(room);
    uint64_t reserve = head_reserve(f->head);
    disk.available = reserve + 100000;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(write_(f, "f", 0, 60000, 1, 20000), 0);
    assert_int_equal(write_(f, "f", 60000, 60000, 1, 20000), -ENOSPC);
    disk.available = reserve + 60000; /* some of which is promised to what is pending */
    assert_int_equal(write_(f, "f", 0, 20000, 1, 20000), -ENOSPC);
    disk.available = 40000; /* all of it */
    assert_int_equal(write_(f, "f", 0, 1, 1, 1), -ENOSPC);
    assert_int_equal(make(f, "g", S_IFREG | 0644, NULL), -ENOSPC);
    assert_int_equal(set_xattr(f, "f", "user.x", "y", 1), -ENOSPC);
    uint64_t copied;
    assert_int_equal(head_fallocate(f->head, oid_of(f, "f"), 0, 0, 10, false), -ENOSPC);
    assert_int_equal(head_copy_range(f->head, oid_of(f, "f"), 0, 0, oid_of(f, "f"), 100, 10, false, &copied), -ENOSPC);
    assert_int_equal(set(f, "f", HEAD_SET_MODE, &(struct head_attr){.mode = 0600}), 0);
    assert_int_equal(remove_(f, "f", false), 0); /* which makes room */
    disk.available = reserve + 100000;
    assert_int_equal(make(f, "g", S_IFREG | 0644, NULL), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_sound(f);
}

/* A body is not written in vain again and again. */
static void test_head_room__large_writes_are_refused_before_they_are_written(void **state) {
    struct room *room = *state;
    struct fixture *f = &room->f;
    uint64_t database, bodies, bodies_then;
    disk.total = UINT64_C(1) << 24;
    disk.available = disk.total / 16 + 50000;
    open_room(room);
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(storage_space(f->fault, &database, &bodies), STORE_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(write_(f, "f", 0, 100000, 1, 100000), -ENOSPC);
    assert_int_equal(storage_space(f->fault, &database, &bodies_then), STORE_OK);
    assert_int_equal(bodies_then, bodies);
    disk.total = 0;
    storage_fault_set(f->fault, &(struct storage_fault){"body_append", 2, STORE_FULL, false});
    assert_int_equal(write_(f, "f", 0, 100000, 1, 100000), -ENOSPC);
    assert_int_equal(write_(f, "f", 0, 100000, 1, 100000), 0);
}

/* ---- what is told ---- */

static void assert_told(struct room *room, const char *what) {
    if (!strstr(room->log_text, what))
        fail_msg("'%s' is not in: %s", what, room->log_text);
    room->log_text[0] = '\0';
}

static void test_head_room__each_reason_is_told_once_with_what_to_do(void **state) {
    static const struct {
        int code;
        const char *then;
    } reasons[] = {{STORE_FULL, "free some space"},
                   {STORE_READ_ONLY, "make its disk writable"},
                   {STORE_NO_MEMORY, "is tried again"},
                   {STORE_LOCKED, "is tried again"}};
    struct room *room = *state;
    struct fixture *f = &room->f;
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "f%zu", i);
        assert_int_equal(make(f, name, S_IFREG | 0644, NULL), 0);
        storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, reasons[i].code, true});
        room->log_text[0] = '\0';
        int expected = -store_error_errno(reasons[i].code);
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), expected);
        assert_told(room, reasons[i].then);
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), expected);
        assert_string_equal(room->log_text, "");
        assert_int_equal(status(f).refusal, reasons[i].code);
        assert_int_equal(make(f, "more", S_IFREG | 0644, NULL),
                         reasons[i].code == STORE_FULL || reasons[i].code == STORE_READ_ONLY ? expected : 0);
        assert_int_equal(remove_(f, "more", false), reasons[i].code == STORE_READ_ONLY ? expected
                                                    : reasons[i].code == STORE_FULL    ? -ENOENT
                                                                                       : 0);
        storage_fault_set(f->fault, NULL);
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
        assert_told(room, "nothing is lost");
    }
    assert_false(status(f).failed);
    assert_sound(f);
}

static int remove_one(void *context) {
    return remove_(context, "f", false);
}

/* A transaction of nothing but a message leaves nothing pending when it is refused. */
static void test_head_room__a_change_that_is_refused_is_told_of_each_time(void **state) {
    struct room *room = *state;
    struct fixture *f = &room->f;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, true});
    assert_int_equal(head_seal(f->head, NULL, "nothing but this", NULL), -ENOSPC);
    assert_told(room, "free some space");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(head_transaction(f->head, remove_one, f, NULL, NULL, NULL), -ENOSPC);
        assert_told(room, "what it would have changed is as it was");
    }
    storage_fault_set(f->fault, NULL);
    assert_int_equal(head_transaction(f->head, remove_one, f, NULL, NULL, NULL), 0);
    assert_int_equal(oid_of(f, "f"), 0);
}

/* What it takes to try again was kept when the change was made. */
static void test_head_room__a_commit_is_taken_back_without_memory(void **state) {
    struct room *room = *state;
    struct fixture *f = &room->f;
    for (unsigned nth = 2; nth <= 4; nth++) { /* the first is that of the commit itself */
        char name[16];
        (void)snprintf(name, sizeof name, "f%u", nth);
        assert_int_equal(make(f, name, S_IFREG | 0644, NULL), 0);
        assert_int_equal(write_(f, name, 0, 100, 1, 100), 0);
        char *expected = dump(f);
        storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, true});
        room->no_memory = nth;
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -ENOSPC);
        assert_told(room, "free some space");
        room->no_memory = allocations_left = 0;
        storage_fault_set(f->fault, NULL);
        assert_dump(f, expected);
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
        open_room(room);
        assert_dump(f, expected);
        free(expected);
    }
    assert_sound(f);
}

static void test_head_room__a_disk_that_fails_is_the_end(void **state) {
    struct room *room = *state;
    struct fixture *f = &room->f;
    struct head_attr attr;
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    uint64_t oid = oid_of(f, "f");
    storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_IO, false});
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -EIO);
    assert_told(room, "no more changes are taken");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -EIO);
    assert_string_equal(room->log_text, "");
    assert_int_equal(make(f, "g", S_IFREG | 0644, NULL), -EIO);
    assert_int_equal(head_setattr(f->head, oid, HEAD_SET_UID, &(struct head_attr){0}, &attr), -EIO);
    assert_int_equal(head_removexattr(f->head, oid, "user.x"), -EIO);
    assert_int_equal(head_transaction(f->head, remove_one, f, NULL, NULL, NULL), -EIO);
    open_room(room);
    assert_int_equal(oid_of(f, "f"), 0);
    assert_sound(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_head_room__##name, set_up_room, tear_down_room)
        TEST(what_is_kept_free_fits_the_disk),
        TEST(what_is_written_and_pending_is_counted),
        TEST(large_writes_are_refused_before_they_are_written),
        TEST(each_reason_is_told_once_with_what_to_do),
        TEST(a_change_that_is_refused_is_told_of_each_time),
        TEST(a_commit_is_taken_back_without_memory),
        TEST(a_disk_that_fails_is_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
