/* Requests to a driver in this process: those that Linux would not send, and what takes a mount to see otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config.h"
#include "tests/fake_requests.h"
#include "tests/fake_store.h"

struct fixture {
    struct fake_mount mount;
    struct mount_options options;
    struct log log;
    struct fake_instants instants;
    char base[64], directory[80];
    uint64_t head, deep;
};

static void quiet(void *context, enum log_level level, const char *line) {
    (void)context;
    (void)level;
    (void)line;
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = {0};
    assert_non_null(f);
    strcpy(f->base, "/tmp/test_driver_requests.XXXXXX");
    assert_non_null(mkdtemp(f->base));
    (void)snprintf(f->directory, sizeof f->directory, "%s/store", f->base);
    assert_true(fake_store_make(f->directory, &f->instants));
    mount_options_init(&f->options);
    f->options.commit_interval_ns = 0;
    f->log.write = quiet;
    if (fake_kernel_start(f->directory, &f->options, &f->log, 0, &f->mount.kernel, &err) != STORE_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(fake_walk(&f->mount, FUSE_ROOT_ID, "head", &f->head), 0);
    assert_int_equal(fake_walk(&f->mount, f->head, "dir/sub/deep", &f->deep), 0);
    *state = f;
    return 0;
}

/* Whatever was asked: what is there can be committed, and is sound. */
static int tear_down(void **state) {
    struct fixture *f = *state;
    uint64_t fingerprint;
    assert_int_equal(fake_kernel_stop(f->mount.kernel, NULL), STORE_OK);
    assert_true(fake_store_check(f->directory, 0, true, &fingerprint));
    assert_true(fake_store_remove(f->base));
    mount_options_release(&f->options);
    free(f);
    return 0;
}

static void test_driver_requests__times_have_a_second_of_nanoseconds(void **state) {
    struct fixture *f = *state;
    const struct fuse_setattr_in wrong[] = {
        {.valid = FATTR_ATIME, .atimensec = 1000000000},
        {.valid = FATTR_MTIME, .mtimensec = 1000000000},
        {.valid = FATTR_CTIME, .ctimensec = UINT32_MAX},
        {.valid = FATTR_MTIME | FATTR_SIZE, .mtimensec = UINT32_MAX, .size = 1},
    };
    struct fuse_attr attr;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(fake_setattr(&f->mount, f->deep, &wrong[i], NULL), -EINVAL);
    }
    const struct fuse_setattr_in right = {
        .valid = FATTR_MTIME, .mtime = 1, .mtimensec = 999999999, .atimensec = 1U << 30};
    assert_int_equal(fake_setattr(&f->mount, f->deep, &right, &attr), 0);
    assert_int_equal(attr.mtimensec, 999999999);
    assert_int_equal(attr.size, 100000);
}

static void test_driver_requests__sizes_are_not_negative(void **state) {
    struct fixture *f = *state;
    const struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = UINT64_MAX};
    assert_int_equal(fake_setattr(&f->mount, f->deep, &in, NULL), -EINVAL);
}

static void test_driver_requests__mknod_makes_what_a_directory_can_hold(void **state) {
    struct fixture *f = *state;
    static const uint32_t types[] = {0, S_IFDIR, S_IFLNK, 0x3000, S_IFMT};
    struct fuse_attr attr;
    uint64_t node;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        assert_int_equal(fake_mknod(&f->mount, f->head, "new", types[i] | 0644, &node), -EINVAL);
    }
    assert_int_equal(fake_mknod(&f->mount, f->head, "new", 0xffff0000U | S_IFREG | 0644, &node), 0);
    assert_int_equal(fake_getattr(&f->mount, node, &attr), 0);
    assert_int_equal(attr.mode, S_IFREG | 0644);
    assert_int_equal(fake_mkdir(&f->mount, f->head, "directory", 0xffff0000U | 0755, &node), 0);
    assert_int_equal(fake_getattr(&f->mount, node, &attr), 0);
    assert_int_equal(attr.mode, S_IFDIR | 0755);
}

static void test_driver_requests__reads_end_where_files_do(void **state) {
    struct fixture *f = *state;
    static const struct fuse_read_in wrong[] = {{.offset = UINT64_C(1) << 63, .size = 4096},
                                                {.offset = UINT64_MAX, .size = 1},
                                                {.offset = UINT64_MAX - 4095, .size = 4096}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct fake_request request = {
            .opcode = FUSE_READ, .node = f->deep, .parts = {{&wrong[i], sizeof wrong[i]}}};
        assert_int_equal(fake_kernel_ask(f->mount.kernel, &request, NULL), -EINVAL);
    }
    uint8_t byte[4096];
    assert_int_equal(fake_read(&f->mount, f->deep, INT64_MAX - 1, byte, sizeof byte), 0);
}

/* Memory for replies is of the driver's choosing. */
static void test_driver_requests__what_is_asked_for_may_be_larger_than_any_reply(void **state) {
    struct fixture *f = *state;
    static const struct fuse_read_in all = {.size = UINT32_MAX};
    static const struct {
        struct fuse_getxattr_in in;
        char name[8];
    } value = {{.size = UINT32_MAX}, "user.a"};
    const struct fake_request requests[] = {
        {.opcode = FUSE_READ, .node = f->deep, .parts = {{&all, sizeof all}}},
        {.opcode = FUSE_READDIR, .node = f->head, .parts = {{&all, sizeof all}}},
        {.opcode = FUSE_READDIRPLUS, .node = f->head, .parts = {{&all, sizeof all}}},
        {.opcode = FUSE_GETXATTR, .node = f->deep, .parts = {{&value, sizeof value}}},
        {.opcode = FUSE_LISTXATTR, .node = f->deep, .parts = {{&value.in, sizeof value.in}}},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct fake_reply reply;
        assert_int_equal(fake_kernel_ask(f->mount.kernel, &requests[i], &reply), 0);
        assert_true(reply.length > 0 && reply.length <= 100000);
        fake_reply_release(&reply);
    }
}

static void test_driver_requests__a_second_init_and_unknown_opcodes_are_refused(void **state) {
    struct fixture *f = *state;
    const struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
    const struct fake_request second = {.opcode = FUSE_INIT, .parts = {{&init, sizeof init}}};
    const struct fake_request unknown = {.opcode = 4000, .node = FUSE_ROOT_ID, .parts = {{&init, sizeof init}}};
    assert_int_equal(fake_kernel_ask(f->mount.kernel, &second, NULL), -EIO);
    assert_int_equal(fake_kernel_ask(f->mount.kernel, &unknown, NULL), -ENOSYS);
    assert_int_equal(fake_getattr(&f->mount, f->head, NULL), 0);
}

/* Linux knows of no part of a mount that is read-only: a mode that allows it is all that it asks for. */
static void test_driver_requests__only_the_head_is_written(void **state) {
    struct fixture *f = *state;
    const struct fuse_setattr_in mode = {.valid = FATTR_MODE, .mode = 0777}, size = {.valid = FATTR_SIZE};
    uint64_t places[] = {FUSE_ROOT_ID, 0, 0, 0}, file, node;
    char path[64];
    (void)snprintf(path, sizeof path, "at/%016" PRIx64, f->instants.tids[FAKE_INSTANTS - 1]);
    assert_int_equal(fake_walk(&f->mount, FUSE_ROOT_ID, "at", &places[1]), 0);
    assert_int_equal(fake_walk(&f->mount, FUSE_ROOT_ID, path, &places[2]), 0);
    assert_int_equal(fake_walk(&f->mount, places[2], "dir", &places[3]), 0);
    assert_int_equal(fake_walk(&f->mount, places[3], "sub/deep", &file), 0);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const uint64_t place = places[i];
        assert_int_equal(fake_mknod(&f->mount, place, "new", S_IFREG | 0644, &node), -EROFS);
        assert_int_equal(fake_mkdir(&f->mount, place, "new", 0755, &node), -EROFS);
        assert_int_equal(fake_symlink(&f->mount, place, "new", "target", &node), -EROFS);
        assert_int_equal(fake_link(&f->mount, f->deep, place, "new"), -EROFS);
        assert_int_equal(fake_unlink(&f->mount, place, "hard"), -EROFS);
        assert_int_equal(fake_rmdir(&f->mount, place, "closed"), -EROFS);
        assert_int_equal(fake_rename(&f->mount, place, "sub", place, "new", 0), -EROFS);
        assert_int_equal(fake_rename(&f->mount, f->head, "dir", place, "new", 0), -EROFS);
        assert_int_equal(fake_rename(&f->mount, place, "sub", f->head, "new", 0), -EXDEV);
        assert_int_equal(fake_setattr(&f->mount, place, &mode, NULL), -EROFS);
        assert_int_equal(fake_setxattr(&f->mount, place, "user.new", "x", 1, 0), -EROFS);
        assert_int_equal(fake_removexattr(&f->mount, place, "user.new"), -EROFS);
    }
    assert_int_equal(fake_setattr(&f->mount, file, &mode, NULL), -EROFS);
    assert_int_equal(fake_setattr(&f->mount, file, &size, NULL), -EROFS);
    assert_int_equal(fake_write(&f->mount, file, 0, "x", 1), -EROFS);
    assert_int_equal(fake_fallocate(&f->mount, file, 0, 0, 200000), -EROFS);
    assert_int_equal(fake_copy(&f->mount, f->deep, 0, file, 0, 100), -EROFS);
    assert_int_equal(fake_setxattr(&f->mount, file, "user.a", "x", 1, 0), -EROFS);
    assert_int_equal(fake_removexattr(&f->mount, file, "user.a"), -EROFS);
    assert_int_equal(fake_link(&f->mount, file, f->head, "new"), -EXDEV);
}

#define NAMES 200

static void count_name(void *context, const char *name, const struct fuse_entry_out *entry) {
    unsigned *seen = context;
    unsigned long number;
    char *end;
    (void)entry;
    if (name[0] == 'n' && (number = strtoul(name + 1, &end, 10)) < NAMES && *end == '\0') {
        if (++seen[number] > 1) { /* there may be no end to it */
            fail_msg("%s is listed again", name);
        }
    }
}

static void expect_each_once(struct fixture *f, uint64_t node) {
    for (int plus = 0; plus < 2; plus++) {
        unsigned seen[NAMES] = {0};
        assert_int_equal(fake_list(&f->mount, node, plus, count_name, seen), 0);
        for (size_t i = 0; i < NAMES; i++) {
            assert_int_equal(seen[i], 1);
        }
    }
}

/* A reply holds some of the names. */
static void test_driver_requests__a_listing_in_parts_has_each_name_once(void **state) {
    struct fixture *f = *state;
    uint64_t directory, node;
    assert_int_equal(fake_mkdir(&f->mount, f->head, "many", 0755, &directory), 0);
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(fake_mknod(&f->mount, directory, name, S_IFREG | 0644, &node), 0);
        assert_true(fake_forget(&f->mount, node, 1));
    }
    expect_each_once(f, directory);
    assert_int_equal(fake_fsync(&f->mount, directory, true), 0);
    expect_each_once(f, directory);
    char newest[64], path[80];
    assert_int_equal(fake_walk(&f->mount, FUSE_ROOT_ID, "at/now", &node), 0);
    assert_int_equal(fake_readlink(&f->mount, node, newest, sizeof newest), 0);
    (void)snprintf(path, sizeof path, "at/%s/many", newest);
    assert_int_equal(fake_walk(&f->mount, FUSE_ROOT_ID, path, &node), 0);
    expect_each_once(f, node);
}

/* As another process finds it. */
static uint64_t durable(const struct fixture *f) {
    struct storage *storage;
    struct storage_state now;
    struct storage_open_options options = {.writable = false};
    assert_int_equal(storage_sqlite_open(f->directory, &options, &storage, NULL), STORE_OK);
    assert_int_equal(storage_get_state(storage, &now), STORE_OK);
    storage_close(storage);
    return now.last_seq;
}

static void test_driver_requests__fsync_is_answered_when_all_is_committed(void **state) {
    struct fixture *f = *state;
    uint64_t seq = durable(f), node;
    assert_int_equal(fake_write(&f->mount, f->deep, 0, "x", 1), 1);
    assert_int_equal(fake_mkdir(&f->mount, f->head, "new", 0755, &node), 0);
    assert_int_equal(durable(f), seq);
    assert_int_equal(fake_fsync(&f->mount, f->deep, false), 0);
    assert_int_equal(durable(f), seq + 1);
    assert_int_equal(fake_rmdir(&f->mount, f->head, "new"), 0);
    assert_int_equal(fake_fsync(&f->mount, f->head, true), 0);
    assert_int_equal(durable(f), seq + 2);
}

static void test_driver_requests__forgetting_too_much_is_harmless(void **state) {
    struct fixture *f = *state;
    uint64_t view;
    struct fuse_entry_out entry;
    assert_int_equal(fake_walk(&f->mount, FUSE_ROOT_ID, "at/now", &view), 0);
    assert_true(fake_forget(&f->mount, f->deep, UINT64_MAX));
    assert_true(fake_forget(&f->mount, view, UINT64_MAX));
    assert_true(fake_forget_two(&f->mount, f->deep, view));
    assert_int_equal(fake_lookup(&f->mount, f->head, "hard", &entry), 0);
    assert_int_equal(entry.nodeid, f->deep);
    assert_int_equal(fake_walk(&f->mount, FUSE_ROOT_ID, "at/now", &view), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_driver_requests__times_have_a_second_of_nanoseconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__sizes_are_not_negative, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__mknod_makes_what_a_directory_can_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__reads_end_where_files_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__what_is_asked_for_may_be_larger_than_any_reply, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__a_second_init_and_unknown_opcodes_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__only_the_head_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__a_listing_in_parts_has_each_name_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__fsync_is_answered_when_all_is_committed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_driver_requests__forgetting_too_much_is_harmless, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
