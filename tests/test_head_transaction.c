/* Atomic groups of operations: all of it or nothing, after failures of every kind and a crash. */
#include "tests/head_fixture.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/wait.h>

#define LARGE_BYTES (3U << 20)

/* ---- a tree, and a script that changes everything in it ---- */

static void make_tree(struct fixture *f) {
    static const char *const files[] = {"a", "b", "c", "big", "held", "orphan", "d1/x", "d1/y"};
    assert_int_equal(make(f, "d1", S_IFDIR | 0750, NULL), 0);
    assert_int_equal(make(f, "d2", S_IFDIR | 0777, NULL), 0);
    assert_int_equal(make(f, "d3", S_IFDIR | 0777, NULL), 0);
    assert_int_equal(make(f, "d1/inner", S_IFDIR | 0777, NULL), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        assert_int_equal(make(f, files[i], S_IFREG | 0666, NULL), 0);
        assert_int_equal(write_(f, files[i], 0, 100 + i, (int)i, 1000), 0);
    }
    assert_int_equal(make(f, "symlink", 0, "d1/x"), 0);
    assert_int_equal(make(f, "fifo", S_IFIFO | 0600, NULL), 0);
    assert_int_equal(link_(f, "c", "d1/c2"), 0);
    assert_int_equal(set_xattr(f, "a", "user.one", "1", 1), 0);
    assert_int_equal(set_xattr(f, "a", "user.two", "22", 2), 0);
    assert_int_equal(set_xattr(f, "a", "system.posix_acl_access", acl, sizeof acl), 0);
    assert_int_equal(set_xattr(f, "d1", "system.posix_acl_default", acl, sizeof acl), 0);
    assert_int_equal(write_(f, "big", 0, LARGE_BYTES, 1, LARGE_BYTES), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    f->instant = store_last(f->store) + 1;
    assert_int_equal(write_(f, "big", 500000, 200000, 2, 70000), 0);
    hold(f, "a");
    hold(f, "held");
    hold(f, "orphan");
    hold(f, "d1");
    hold(f, "d3");
    hold(f, "big");
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
    assert_int_equal(remove_(f, "orphan", false), 0);
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
}

static int make_many(struct fixture *f) {
    char path[32];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(path, sizeof path, "d2/many%d", i);
        int rc = make(f, path, S_IFREG | 0600, NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Made, written, unlinked: an orphan of the change's own, which it counts still. */
static int make_orphan(struct fixture *f) {
    struct head_attr attr;
    int rc = head_make(f->head, ROOT_OID, "temporary", 9, S_IFREG | 0600, 0, NULL, &caller, &attr);
    if (rc == 0)
        rc = write_oid(f, attr.oid, 0, 300, 7, 300);
    if (rc == 0)
        rc = remove_(f, "temporary", false);
    if (rc == 0)
        rc = write_oid(f, attr.oid, 100, 300, 8, 300);
    return rc;
}

static int punch(struct fixture *f) {
    uint64_t oid;
    int rc = walk(f, "b", &oid, NULL);
    return rc < 0 ? rc : head_fallocate(f->head, oid, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4000, 1200000, false);
}

static int remove_xattr(struct fixture *f) {
    uint64_t oid;
    int rc = walk(f, "d2/a", &oid, NULL);
    return rc < 0 ? rc : head_removexattr(f->head, oid, "user.two");
}

/* A number of a step, in the order in which they run. */
static int step(struct fixture *f, int number) {
    static const struct timespec past = {1000000000, 123456789};
    switch (number) {
    case 0:
        return make(f, "new", S_IFREG | 0666, NULL);
    case 1:
        return write_(f, "new", 10, 3000, 1, 500);
    case 2:
        return write_(f, "new", 5000, 100000, 2, 100000);
    case 3:
        return make(f, "newdir", S_IFDIR | 0777, NULL);
    case 4:
        return make(f, "newdir/file", S_IFREG | 0666, NULL);
    case 5:
        return make(f, "newdir/symlink", 0, "somewhere");
    case 6:
        return link_(f, "a", "newdir/a-link");
    case 7:
        return remove_(f, "c", false);
    case 8:
        return remove_(f, "d1/c2", false);
    case 9:
        return remove_(f, "held", false);
    case 10:
        return write_oid(f, f->held[1], 3, 200, 3, 200); /* it has no name now, but had one when all began */
    case 11:
        return rename_(f, "a", "d2/a", 0);
    case 12:
        return rename_(f, "big", "b", 0);
    case 13:
        return rename_(f, "d1", "symlink", RENAME_EXCHANGE);
    case 14:
        return rename_(f, "symlink/x", "symlink/y", RENAME_EXCHANGE);
    case 15:
        return remove_(f, "d3", true);
    case 16:
        return rename_(f, "symlink", "newdir/d1", 0);
    case 17:
        return set(f, "d2/a", HEAD_SET_MODE, &(struct head_attr){.mode = 0604});
    case 18:
        return set(f, "newdir/d1", HEAD_SET_UID | HEAD_SET_GID | HEAD_SET_MTIME | HEAD_SET_ATIME,
                   &(struct head_attr){.uid = 7, .gid = 8, .mtime = past, .atime = past});
    case 19:
        return set(f, "b", HEAD_SET_SIZE, &(struct head_attr){.size = 1500000});
    case 20:
        return set(f, "b", HEAD_SET_SIZE, &(struct head_attr){.size = 2500000});
    case 21:
        return write_(f, "b", 1400000, 300000, 4, 9000);
    case 22:
        return copy(f, "b", f->instant, 400000, "new", 150000, 2000000);
    case 23:
        return copy(f, "new", 0, 100, "newdir/d1/x", 3, 500000);
    case 24:
        return set_xattr(f, "d2/a", "user.three", "333", 3);
    case 25:
        return remove_xattr(f);
    case 26:
        return set_xattr(f, "newdir", "system.posix_acl_default", acl, sizeof acl);
    case 27:
        return make(f, "newdir/inherits", S_IFDIR | 0777, NULL);
    case 28:
        return punch(f);
    case 29:
        return make_orphan(f);
    case 30:
        return make(f, "d2/device", S_IFCHR | 0600, NULL);
    case 31:
        return rename_(f, "fifo", "d2/fifo", RENAME_WHITEOUT);
    case 32:
        return make_many(f);
    case 33:
        return write_(f, "d2/many7", 0, 2 * DIRTY_LIMIT, 5, 16000);
    case 34:
        return make(f, "d2/comes", S_IFDIR | 0777, NULL);
    case 35:
        return remove_(f, "d2/comes", true);
    case 36:
        return remove_(f, "newdir/d1/inner", true);
    default:
        return -ENODATA;
    }
}

#define STEPS 37

struct script {
    struct fixture *f;
    int steps; /* after so many it fails, if that is not all */
    char *end; /* what the change saw last; NULL: did not look */
    bool look;
};

static int run_script(void *context) {
    struct script *script = context;
    for (int i = 0; i < script->steps; i++) {
        int rc = step(script->f, i);
        if (rc < 0)
            return rc;
    }
    if (script->look)
        script->end = dump_try(script->f, true);
    return script->steps < STEPS ? -ECANCELED : 0;
}

static int transact(struct fixture *f, int steps, uint64_t *tid) {
    struct script script = {.f = f, .steps = steps};
    return head_transaction(f->head, run_script, &script, "ann", "all of it", tid);
}

/* ---- success ---- */

static void test_head_transaction__is_one_transaction_with_all_of_it(void **state) {
    struct fixture *f = *state, other = {0};
    struct script script = {.f = f, .steps = STEPS, .look = true};
    struct transaction transaction;
    uint64_t tid;
    make_tree(f);
    uint64_t last = store_last(f->store);
    assert_int_equal(head_transaction(f->head, run_script, &script, "ann", "all of it", &tid), 0);
    assert_int_equal(store_last(f->store), last + 1);
    assert_nothing_pending(f);
    assert_int_equal(storage_transaction_at(store_storage(f->store), last + 1, &transaction), STORE_OK);
    assert_int_equal(transaction.tid, tid);
    assert_string_equal(transaction.user, "ann");
    assert_string_equal(transaction.message, "all of it");
    transaction_release(&transaction);
    assert_non_null(script.end);
    assert_dump(f, script.end);
    free(script.end);

    /* The same script without a transaction leads to the same tree. */
    new_store(&other);
    make_tree(&other);
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(step(&other, i), 0);
    reopen(f);
    char *expected = dump_try(&other, false), *found = dump_try(f, false);
    assert_string_equal(found, expected);
    free(expected);
    free(found);
    assert_sound(f);
    remove_store(&other);
}

static int make_one(void *context) {
    return make(context, "one", S_IFREG | 0666, NULL);
}

static int do_nothing(void *context) {
    (void)context;
    return 0;
}

static void test_head_transaction__seals_what_is_pending_as_a_transaction_of_its_own(void **state) {
    struct fixture *f = *state;
    struct transaction transaction;
    uint64_t *oids, last = store_last(f->store);
    size_t count;
    assert_int_equal(make(f, "pending", S_IFREG | 0666, NULL), 0);
    assert_int_equal(head_transaction(f->head, make_one, f, NULL, "mine", NULL), 0);
    assert_int_equal(store_last(f->store), last + 2);
    assert_int_equal(storage_transaction_at(store_storage(f->store), last + 1, &transaction), STORE_OK);
    assert_string_equal(transaction.message, "");
    transaction_release(&transaction);
    assert_int_equal(storage_changed(store_storage(f->store), last + 1, last + 2, &oids, &count), STORE_OK);
    assert_int_equal(count, 2); /* the root and "one" */
    free(oids);
}

static void test_head_transaction__a_message_or_user_makes_one_even_of_nothing(void **state) {
    struct fixture *f = *state;
    uint64_t last = store_last(f->store), tid = 0, newest = status(f).last_tid;
    assert_int_equal(head_transaction(f->head, do_nothing, f, NULL, NULL, &tid), 0);
    assert_int_equal(store_last(f->store), last);
    assert_int_equal(tid, newest);
    assert_int_equal(head_transaction(f->head, do_nothing, f, NULL, "nothing", &tid), 0);
    assert_int_equal(store_last(f->store), last + 1);
    assert_true(tid > newest);
    assert_int_equal(head_transaction(f->head, do_nothing, f, "ann", NULL, NULL), 0);
    assert_int_equal(store_last(f->store), last + 2);
    assert_nothing_pending(f);
}

/* ---- what a change may not do ---- */

static int misuse(void *context) {
    struct fixture *f = context;
    struct head_attr attr;
    uint64_t orphan = f->held[2], copied, instant = f->instant;
    struct head_status now = status(f);
    assert_int_equal(now.last_seq, store_last(f->store));
    assert_int_equal(head_seal(f->head, NULL, NULL, NULL), -EDEADLK);
    assert_int_equal(head_transaction(f->head, do_nothing, f, NULL, "inner", NULL), -EDEADLK);
    assert_int_equal(head_getattr(f->head, orphan, &attr), 0);
    assert_int_equal(write_oid(f, orphan, 0, 10, 0, 10), -ESTALE);
    assert_int_equal(head_setattr(f->head, orphan, HEAD_SET_MODE, &attr, &attr), -ESTALE);
    assert_int_equal(head_setxattr(f->head, orphan, "user.x", "x", 1, 0), -ESTALE);
    assert_int_equal(head_removexattr(f->head, orphan, "user.x"), -ESTALE);
    assert_int_equal(head_fallocate(f->head, orphan, 0, 0, 1000, false), -ESTALE);
    assert_int_equal(head_copy_range(f->head, oid_of(f, "big"), instant, 0, orphan, 0, 10, false, &copied), -ESTALE);
    return 0;
}

static void test_head_transaction__refuses_what_it_could_not_take_back(void **state) {
    struct fixture *f = *state;
    static char long_user[257];
    make_tree(f);
    char *before = dump(f);
    uint64_t last = store_last(f->store);
    assert_int_equal(head_transaction(f->head, misuse, f, NULL, NULL, NULL), 0);
    memset(long_user, 'u', 256);
    assert_int_equal(head_transaction(f->head, do_nothing, f, long_user, "m", NULL), -E2BIG);
    assert_int_equal(store_last(f->store), last);
    assert_dump(f, before);
    /* outside of one, an orphan can be changed as ever */
    assert_int_equal(write_oid(f, f->held[2], 0, 10, 0, 10), 0);
    free(before);
}

/* ---- taking back ---- */

static void test_head_transaction__a_change_that_fails_leaves_everything_as_before(void **state) {
    struct fixture *f = *state;
    make_tree(f);
    char *before = dump(f);
    uint64_t last = store_last(f->store);
    for (int steps = 0; steps < STEPS; steps++) {
        assert_int_equal(transact(f, steps, NULL), -ECANCELED);
        assert_int_equal(store_last(f->store), last);
        assert_nothing_pending(f);
        assert_dump(f, before);
        assert_int_equal(head_seal(f->head, NULL, NULL, NULL), 0);
        assert_int_equal(store_last(f->store), last);
    }
    assert_int_equal(transact(f, STEPS, NULL), 0);
    assert_int_equal(store_last(f->store), last + 1);
    free(before);
    assert_sound(f);
}

static void test_head_transaction__references_outlive_it(void **state) {
    struct fixture *f = *state;
    struct head_attr attr;
    make_tree(f);
    assert_int_equal(make(f, "first", S_IFREG | 0666, NULL), 0);
    assert_int_equal(transact(f, STEPS - 1, NULL), -ECANCELED);
    assert_int_equal(make(f, "last", S_IFREG | 0666, NULL), 0);
    uint64_t first = oid_of(f, "first"), last = oid_of(f, "last");
    assert_true(last > first + 300);
    /* What it made is gone, though it counts one of these still (make_orphan). To give that back now is nothing. */
    for (uint64_t oid = first + 1; oid < last; oid++) {
        assert_int_equal(head_getattr(f->head, oid, &attr), -ESTALE);
        head_forget(f->head, oid, 1);
    }
    for (size_t i = 0; i < f->held_count; i++) {
        assert_int_equal(head_getattr(f->head, f->held[i], &attr), 0);
        head_forget(f->head, f->held[i], 1);
    }
    f->held_count = 0;
    /* The orphan is gone with its last reference. */
    assert_int_equal(head_getattr(f->head, f->held[2], &attr), -ESTALE);
    assert_sound(f);
}

static void test_head_transaction__a_held_object_that_cannot_be_loaded_again_is_an_error_until_it_can(void **state) {
    struct fixture *f = *state;
    struct head_attr attr;
    make_tree(f);
    char *before = dump(f);
    assert_int_equal(transact(f, STEPS - 1, NULL), -ECANCELED);
    storage_fault_set(f->fault, &(struct storage_fault){NULL, 1, STORE_IO, true});
    /* from the cache, if it is there */
    for (size_t i = 0; i < f->held_count; i++) {
        int rc = head_getattr(f->head, f->held[i], &attr);
        assert_true(rc == 0 || rc == -EIO);
    }
    storage_fault_set(f->fault, NULL);
    assert_dump(f, before);
    free(before);
}

/* ---- failures of the storage ---- */

/* The same tree in a new store. */
static void start_again(struct fixture *f) {
    remove_store(f);
    new_store(f);
    make_tree(f);
}

/* After a commit that failed for good: reading goes on, and a new head does too. */
static void assert_failed_for_good(struct fixture *f) {
    char *names = dump_try(f, false);
    assert_int_equal(transact(f, 0, NULL), -EIO);
    reopen(f);
    char *again = dump_try(f, false);
    assert_string_equal(again, names);
    free(names);
    free(again);
    assert_sound(f);
}

static int errno_of(int code) {
    return code == STORE_FULL ? -ENOSPC : code == STORE_NO_MEMORY ? -ENOMEM : -EIO;
}

/* Fails the Nth call, for all N: either all of it comes out or nothing, and the head goes on or has failed for good. */
static void fail_each_call(struct fixture *f, int code, bool sticky) {
    bool hit = true;
    int reverted = 0;
    make_tree(f);
    for (uint64_t nth = 1; hit; nth++) {
        char *before = dump(f);
        uint64_t last = store_last(f->store);
        storage_fault_set(f->fault, &(struct storage_fault){NULL, nth, code, sticky});
        int rc = transact(f, STEPS, NULL);
        hit = storage_fault_count(f->fault) >= nth;
        storage_fault_set(f->fault, NULL);
        assert_int_equal(store_last(f->store), rc == 0 ? last + 1 : last);
        if (rc < 0) {
            assert_int_equal(rc, errno_of(code));
            assert_nothing_pending(f);
            assert_dump(f, before);
            reverted++;
        }
        if (status(f).failed)
            assert_failed_for_good(f);
        if (rc == 0 || f->held_count == 0)
            start_again(f);
        free(before);
        assert_true(nth < 5000);
    }
    assert_true(reverted > 10);
}

static void test_head_transaction__any_call_of_the_storage_may_fail(void **state) {
    fail_each_call(*state, STORE_IO, false);
}

static void test_head_transaction__the_storage_may_fail_from_then_on(void **state) {
    fail_each_call(*state, STORE_NO_MEMORY, true);
}

static void test_head_transaction__the_disk_may_be_full_at_any_call(void **state) {
    fail_each_call(*state, STORE_FULL, false);
}

static void test_head_transaction__after_a_full_disk_all_goes_on(void **state) {
    struct fixture *f = *state;
    make_tree(f);
    char *before = dump(f);
    for (int i = 0; i < 3; i++) {
        storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, true});
        assert_int_equal(transact(f, STEPS, NULL), -ENOSPC);
        storage_fault_set(f->fault, NULL);
        assert_dump(f, before);
    }
    assert_false(status(f).failed);
    assert_int_equal(make(f, "more", S_IFREG | 0666, NULL), 0); /* at once: nothing waits to be tried again */
    assert_int_equal(transact(f, STEPS, NULL), 0);
    free(before);
    assert_sound(f);
}

static void test_head_transaction__pending_changes_that_cannot_be_sealed_end_it(void **state) {
    struct fixture *f = *state;
    uint64_t last = store_last(f->store);
    assert_int_equal(make(f, "pending", S_IFREG | 0666, NULL), 0);
    storage_fault_set(f->fault, &(struct storage_fault){"commit", 1, STORE_FULL, false});
    assert_int_equal(head_transaction(f->head, make_one, f, NULL, "mine", NULL), -ENOSPC);
    storage_fault_set(f->fault, NULL);
    assert_int_equal(store_last(f->store), last);
    assert_true(oid_of(f, "pending") != 0); /* and still pending */
    assert_int_equal(oid_of(f, "one"), 0);
    assert_int_equal(head_transaction(f->head, make_one, f, NULL, "mine", NULL), 0);
    assert_int_equal(store_last(f->store), last + 2);
}

/* ---- a crash in the middle ---- */

static int run_and_crash(void *context) {
    struct script *script = context;
    (void)run_script(script);
    _exit(42);
}

static void test_head_transaction__a_crash_leaves_what_was_sealed_before(void **state) {
    struct fixture *f = *state;
    make_tree(f);
    f->held_count = 0;
    char *before = dump(f);
    uint64_t last = store_last(f->store);
    close_all(f);
    pid_t child = fork();
    if (child == 0) {
        open_all(f);
        struct script script = {.f = f, .steps = 9};
        (void)head_transaction(f->head, run_and_crash, &script, NULL, "never", NULL);
        _exit(1);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 42);
    open_all(f);
    assert_int_equal(store_last(f->store), last);
    assert_dump(f, before);
    free(before);
    assert_sound(f);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_head_transaction__is_one_transaction_with_all_of_it),
        TEST(test_head_transaction__seals_what_is_pending_as_a_transaction_of_its_own),
        TEST(test_head_transaction__a_message_or_user_makes_one_even_of_nothing),
        TEST(test_head_transaction__refuses_what_it_could_not_take_back),
        TEST(test_head_transaction__a_change_that_fails_leaves_everything_as_before),
        TEST(test_head_transaction__references_outlive_it),
        TEST(test_head_transaction__a_held_object_that_cannot_be_loaded_again_is_an_error_until_it_can),
        TEST(test_head_transaction__any_call_of_the_storage_may_fail),
        TEST(test_head_transaction__the_storage_may_fail_from_then_on),
        TEST(test_head_transaction__the_disk_may_be_full_at_any_call),
        TEST(test_head_transaction__after_a_full_disk_all_goes_on),
        TEST(test_head_transaction__pending_changes_that_cannot_be_sealed_end_it),
        TEST(test_head_transaction__a_crash_leaves_what_was_sealed_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
