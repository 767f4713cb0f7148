/* What is changed while a commit is under way, whether that succeeds or fails, and those who wait for it.
 *
 * Whoever commits asks for the name of the user without holding a lock. Here he is kept there, between sealing and writing, for as long as a test
 * likes.
 */
#include <pthread.h>

#include "store/head_private.h"
#include "tests/head_chance.h"

#define FLYING_LIMIT UINT64_C(300000)

struct flight {
    struct fixture f; /* first: the fixture's own functions take it for one */
    struct chance chance;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closed, inside;
    pthread_t thread;
    int result, written;
    pid_t writer; /* 0: it has not begun */
};

static void pass_gate(void *context, uint32_t uid, char name[HEAD_USER_SIZE]) {
    struct flight *flight = context;
    pthread_mutex_lock(&flight->lock);
    while (flight->closed) {
        flight->inside = true;
        pthread_cond_broadcast(&flight->changed);
        pthread_cond_wait(&flight->changed, &flight->lock);
    }
    pthread_mutex_unlock(&flight->lock);
    (void)snprintf(name, HEAD_USER_SIZE, "u%u", uid);
}

static void open_flight(struct flight *flight, uint64_t limit) {
    struct fixture *f = &flight->f;
    struct error err = {0};
    (void)head_close(f->head);
    f->held_count = 0;
    const struct head_options options = {
        .commit_interval_ns = INTERVAL_NS, .dirty_limit_bytes = limit, .name_user = pass_gate, .name_context = flight};
    if (head_open(f->store, &options, &f->head, &err) != STORE_OK)
        fail_msg("%s", err.text);
    head_act_as(f->head, 1000);
}

static int set_up_flight(void **state) {
    struct flight *flight = calloc(1, sizeof *flight);
    assert_non_null(flight);
    pthread_mutex_init(&flight->lock, NULL);
    pthread_cond_init(&flight->changed, NULL);
    new_store(&flight->f);
    open_flight(flight, DIRTY_LIMIT * 64);
    flight->chance = (struct chance){.f = &flight->f, .seed = 20261123};
    *state = flight;
    return 0;
}

static int tear_down_flight(void **state) {
    struct flight *flight = *state;
    remove_store(&flight->f); /* which seals, and so comes by the gate */
    pthread_cond_destroy(&flight->changed);
    pthread_mutex_destroy(&flight->lock);
    free(flight);
    return 0;
}

static void *seal_all(void *context) {
    struct flight *flight = context;
    flight->result = head_seal(flight->f.head, NULL, NULL, NULL);
    return NULL;
}

/* What is pending is sealed, and not written before land(). Something must be. */
static void take_off(struct flight *flight) {
    assert_true(status(&flight->f).pending_objects > 0);
    pthread_mutex_lock(&flight->lock);
    flight->closed = true;
    flight->inside = false;
    assert_int_equal(pthread_create(&flight->thread, NULL, seal_all, flight), 0);
    while (!flight->inside)
        pthread_cond_wait(&flight->changed, &flight->lock);
    pthread_mutex_unlock(&flight->lock);
}

/* With this result of the storage's, which lasts: the commit thread tries again by itself. */
static void let_land(struct flight *flight, int code) {
    const struct storage_fault rule = {"commit", 1, code, true};
    storage_fault_set(flight->f.fault, code == STORE_OK ? NULL : &rule);
    pthread_mutex_lock(&flight->lock);
    flight->closed = false;
    pthread_cond_broadcast(&flight->changed);
    pthread_mutex_unlock(&flight->lock);
}

static void land(struct flight *flight, int code) {
    let_land(flight, code);
    pthread_join(flight->thread, NULL);
    storage_fault_set(flight->f.fault, NULL);
    assert_int_equal(flight->result, -store_error_errno(code));
}

/* All that there is stays as it is now when the commit is done, when all is sealed, and when it is read anew. */
static void assert_landing_changes_nothing(struct flight *flight, int code) {
    struct fixture *f = &flight->f;
    char *expected = dump(f);
    land(flight, code);
    assert_dump(f, expected);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_nothing_pending(f);
    assert_dump(f, expected);
    free(expected);
    f->held_count = 0;
    expected = dump(f);
    open_flight(flight, DIRTY_LIMIT * 64);
    assert_dump(f, expected);
    free(expected);
    assert_sound(f);
}

/* ---- each kind of change ---- */

static void change_first(struct fixture *f) {
    static const char *const files[] = {"d/old", "d/gone", "d/moved", "large", "d/replaced"};
    assert_int_equal(make(f, "d", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "d/empty", S_IFDIR | 0755, NULL), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        assert_int_equal(make(f, files[i], S_IFREG | 0644, NULL), 0);
        assert_int_equal(write_(f, files[i], 0, 300, (int)i, 300), 0);
    }
    assert_int_equal(write_(f, "large", 0, 900000, 7, 30000), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
}

static void change_second(struct fixture *f) {
    assert_int_equal(make(f, "d/new", S_IFREG | 0644, NULL), 0);
    assert_int_equal(write_(f, "d/new", 0, 500, 11, 500), 0);
    assert_int_equal(make(f, "d/short", S_IFREG | 0644, NULL), 0);
    assert_int_equal(write_(f, "d/short", 0, 500, 12, 500), 0);
    assert_int_equal(make(f, "d/sub", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(make(f, "d/sub/x", S_IFREG | 0644, NULL), 0);
    assert_int_equal(make(f, "kept", S_IFREG | 0644, NULL), 0);
    assert_int_equal(remove_(f, "d/old", false), 0);
    hold(f, "d/gone");
    assert_int_equal(remove_(f, "d/gone", false), 0);
    assert_int_equal(remove_(f, "d/empty", true), 0);
    assert_int_equal(rename_(f, "d/moved", "moved", 0), 0);
    assert_int_equal(write_(f, "large", 10, 100, 13, 100), 0);
    assert_int_equal(write_(f, "large", 600000, 100, 14, 100), 0);
    assert_int_equal(set_xattr(f, "large", "user.colour", "red", 3), 0);
}

static void change_third(struct fixture *f) {
    assert_int_equal(remove_(f, "d/new", false), 0); /* what the commit under way brings */
    hold(f, "d/sub/x");
    assert_int_equal(remove_(f, "d/sub/x", false), 0);
    assert_int_equal(remove_(f, "d/sub", true), 0);
    assert_int_equal(make(f, "d/old", S_IFREG | 0644, NULL), 0); /* what it ends, for a moment and for good */
    assert_int_equal(remove_(f, "d/old", false), 0);
    assert_int_equal(make(f, "d/empty", S_IFREG | 0600, NULL), 0);
    assert_int_equal(set(f, "d/short", HEAD_SET_SIZE, &(struct head_attr){.size = 0}), 0);
    assert_int_equal(write_(f, "d/short", 5, 7, 15, 7), 0);
    assert_int_equal(rename_(f, "moved", "d/moved", 0), 0);
    assert_int_equal(rename_(f, "kept", "d/replaced", 0), 0);
    assert_int_equal(write_(f, "large", 50, 100, 16, 100), 0);
    assert_int_equal(set(f, "large", HEAD_SET_MODE, &(struct head_attr){.mode = 0600}), 0);
    assert_int_equal(set_xattr(f, "large", "user.form", "round", 5), 0);
    assert_int_equal(make(f, "d/last", S_IFDIR | 0755, NULL), 0);
}

static void run_changes(struct flight *flight, int code) {
    change_first(&flight->f);
    uint64_t first = store_last(flight->f.store);
    change_second(&flight->f);
    take_off(flight);
    change_third(&flight->f);
    assert_landing_changes_nothing(flight, code);
    assert_int_equal(store_last(flight->f.store), code == STORE_OK ? first + 2 : first + 1);
}

static void test_head_flying__changes_beside_a_commit_are_in_the_next(void **state) {
    run_changes(*state, STORE_OK);
}

static void test_head_flying__changes_beside_a_commit_that_fails_join_it(void **state) {
    run_changes(*state, STORE_FULL);
}

static void test_head_flying__at_random(void **state) {
    static const int codes[] = {STORE_OK, STORE_FULL, STORE_OK, STORE_NO_MEMORY, STORE_READ_ONLY, STORE_LOCKED};
    struct flight *flight = *state;
    struct chance *chance = &flight->chance;
    for (unsigned round = 0; round < 150; round++) {
        do
            random_operation(chance);
        while (draw(chance, 12) != 0 || status(&flight->f).pending_objects == 0);
        random_hold(chance);
        take_off(flight);
        for (uint32_t i = draw(chance, 12); i > 0; i--)
            random_operation(chance);
        int code = codes[draw(chance, sizeof codes / sizeof codes[0])];
        if (round % 10 == 9) {
            assert_landing_changes_nothing(flight, code);
            continue;
        }
        char *expected = dump(&flight->f);
        land(flight, code);
        assert_dump(&flight->f, expected);
        free(expected);
        if (code != STORE_OK) /* or the disk is full for the operations that follow */
            assert_int_equal(head_seal(flight->f.head, NULL, NULL, NULL), 0);
    }
}

/* Memory may be short just then. */
static void test_head_flying__names_that_are_being_written_stay(void **state) {
    struct flight *flight = *state;
    struct fixture *f = &flight->f;
    change_first(f);
    assert_int_equal(make(f, "d/new", S_IFREG | 0644, NULL), 0);
    assert_int_equal(remove_(f, "d/old", false), 0);
    take_off(flight);
    assert_int_equal(make(f, "d/newer", S_IFREG | 0644, NULL), 0);
    assert_int_equal(oid_of(f, "d/old"), 0);
    assert_int_not_equal(oid_of(f, "d/gone"), 0);
    char *expected = dump(f);
    assert_int_not_equal(oid_of(f, "large"), 0); /* in the root, which is the one used last */
    head_lock(f->head);
    uint64_t budget = f->head->directory_budget;
    f->head->directory_budget = 1;
    directory_trim(f->head);
    f->head->directory_budget = budget;
    head_unlock(f->head);
    assert_dump(f, expected);
    assert_landing_changes_nothing(flight, STORE_OK);
    free(expected);
}

/* ---- who has done it ---- */

static void assert_last_user(struct fixture *f, const char *user) {
    struct transaction last;
    assert_int_equal(storage_transaction_at(store_storage(f->store), store_last(f->store), &last), STORE_OK);
    assert_string_equal(last.user, user);
    transaction_release(&last);
}

static void test_head_flying__a_commit_that_fails_forgets_nobody(void **state) {
    struct flight *flight = *state;
    struct fixture *f = &flight->f;
    assert_int_equal(make(f, "a", S_IFREG | 0644, NULL), 0);
    take_off(flight);
    land(flight, STORE_FULL);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_last_user(f, "u1000");

    assert_int_equal(make(f, "b", S_IFREG | 0644, NULL), 0);
    take_off(flight);
    head_act_as(f->head, 1001);
    assert_int_equal(make(f, "c", S_IFREG | 0644, NULL), 0);
    land(flight, STORE_NO_MEMORY);
    storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_NO_MEMORY, false});
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -ENOMEM); /* of both */
    head_act_as(f->head, 1001);
    assert_int_equal(set(f, "c", HEAD_SET_MODE, &(struct head_attr){.mode = 0600}), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_last_user(f, "");
}

/* ---- those who wait ---- */

static void *write_much(void *context) {
    struct flight *flight = context;
    pthread_mutex_lock(&flight->lock);
    flight->writer = gettid();
    pthread_mutex_unlock(&flight->lock);
    flight->written = write_(&flight->f, "f", 0, 4 * FLYING_LIMIT, 3, 4000);
    return NULL;
}

/* Waits until the writer has written to the limit, and sleeps. */
static void await_throttled(struct flight *flight) {
    for (bool sleeps = false; !sleeps;) {
        char path[64], text[256] = "";
        pthread_mutex_lock(&flight->lock);
        (void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)flight->writer);
        pthread_mutex_unlock(&flight->lock);
        uint64_t pending = status(&flight->f).pending_bytes;
        FILE *file = fopen(path, "re");
        if (file) {
            (void)!fgets(text, sizeof text, file);
            (void)fclose(file);
        }
        const char *name_end = strrchr(text, ')');
        sleeps = pending > FLYING_LIMIT && name_end && name_end[2] == 'S';
        (void)sched_yield();
    }
}

static void run_throttled(struct flight *flight, int code) {
    struct fixture *f = &flight->f;
    pthread_t writer;
    open_flight(flight, FLYING_LIMIT);
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    take_off(flight);
    assert_int_equal(pthread_create(&writer, NULL, write_much, flight), 0);
    await_throttled(flight);
    assert_true(status(f).pending_bytes < 2 * FLYING_LIMIT);
    land(flight, code);
    pthread_join(writer, NULL);
    assert_int_equal(flight->written, 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    struct head_attr attr;
    assert_int_equal(head_getattr(f->head, oid_of(f, "f"), &attr), 0);
    assert_int_equal(attr.size, 4 * FLYING_LIMIT);
    assert_sound(f);
}

static void test_head_flying__who_writes_too_much_waits_for_the_commit(void **state) {
    run_throttled(*state, STORE_OK);
}

static void test_head_flying__who_waits_goes_on_when_the_commit_fails(void **state) {
    run_throttled(*state, STORE_NO_MEMORY);
}

/* What is asked of a head that takes no more is refused, and never waited for. */
static void test_head_flying__nobody_waits_for_a_commit_that_cannot_be(void **state) {
    struct flight *flight = *state;
    struct fixture *f = &flight->f;
    static const struct {
        bool failed;
        int refusal, expected;
    } cases[] = {{true, STORE_OK, -EIO}, {false, STORE_FULL, -ENOSPC}, {false, STORE_READ_ONLY, -EROFS}};
    assert_int_equal(make(f, "f", S_IFREG | 0644, NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        head_commit_hold(f->head); /* nobody commits, so whoever waits does for ever */
        head_lock(f->head);
        uint64_t bytes = f->head->working_bytes;
        f->head->working_bytes = f->head->options.dirty_limit_bytes + 1;
        f->head->limit_passed = true;
        f->head->failed = cases[i].failed;
        f->head->refusal = cases[i].refusal;
        head_unlock(f->head);
        assert_int_equal(write_(f, "f", 0, 10, 1, 10), cases[i].expected);
        head_lock(f->head);
        f->head->working_bytes = bytes;
        f->head->limit_passed = f->head->failed = false;
        f->head->refusal = STORE_OK;
        head_unlock(f->head);
        head_commit_release(f->head);
    }
    assert_int_equal(write_(f, "f", 0, 10, 1, 10), 0);
}

/* The results of so many commits are kept; whoever waited longer is told of the last that he saw. */
static void test_head_flying__who_was_asleep_for_long_learns_that_it_is_done(void **state) {
    struct flight *flight = *state;
    struct fixture *f = &flight->f;
    uint64_t tid = 0, old = status(f).last_tid;
    assert_int_equal(make(f, "a", S_IFREG | 0644, NULL), 0);
    take_off(flight);
    assert_int_equal(make(f, "b", S_IFREG | 0644, NULL), 0);
    head_lock(f->head);
    pthread_mutex_lock(&f->head->seal_lock);
    f->head->durable = f->head->number + TIDS_KEPT;
    pthread_mutex_unlock(&f->head->seal_lock);
    head_unlock(f->head);
    assert_int_equal(head_seal(f->head, NULL, NULL, &tid), 0);
    assert_int_equal(tid, old);
    head_lock(f->head);
    pthread_mutex_lock(&f->head->seal_lock);
    f->head->durable = f->head->number;
    f->head->tids[f->head->number % TIDS_KEPT] = 0;
    pthread_mutex_unlock(&f->head->seal_lock);
    head_unlock(f->head);
    assert_int_equal(head_seal(f->head, NULL, NULL, &tid), 0);
    assert_int_equal(tid, old);
    land(flight, STORE_OK);
    assert_int_equal(head_seal(f->head, NULL, NULL, &tid), 0);
    assert_true(tid > old);
    open_flight(flight, DIRTY_LIMIT);
    assert_int_not_equal(oid_of(f, "b"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_head_flying__##name, set_up_flight, tear_down_flight)
        TEST(changes_beside_a_commit_are_in_the_next),
        TEST(changes_beside_a_commit_that_fails_join_it),
        TEST(at_random),
        TEST(names_that_are_being_written_stay),
        TEST(a_commit_that_fails_forgets_nobody),
        TEST(who_writes_too_much_waits_for_the_commit),
        TEST(who_waits_goes_on_when_the_commit_fails),
        TEST(nobody_waits_for_a_commit_that_cannot_be),
        TEST(who_was_asleep_for_long_learns_that_it_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
