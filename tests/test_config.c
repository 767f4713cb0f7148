/* fs/config.h: every option, every place that options come from, and the sentences for what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config.h"
#include "fs/units.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct timespec now = {.tv_sec = 1795343400};

/* A directory of the test's own, with the layout that read_files expects. */
struct fixture {
    char directory[64];
    char system_file[96], user_directory[96], user_file[128];
};

static void write_file(const char *path, const void *content, size_t length) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void write_text(const char *path, const char *text) {
    write_file(path, text, strlen(text));
}

static int set_up(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture)
        return -1;
    strcpy(fixture->directory, "/tmp/test_config.XXXXXX");
    if (!mkdtemp(fixture->directory))
        return -1;
    (void)snprintf(fixture->system_file, sizeof fixture->system_file, "%s/system.conf", fixture->directory);
    (void)snprintf(fixture->user_directory, sizeof fixture->user_directory, "%s/tidfs", fixture->directory);
    (void)snprintf(fixture->user_file, sizeof fixture->user_file, "%s/tidfs.conf", fixture->user_directory);
    *state = fixture;
    return mkdir(fixture->user_directory, 0700);
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    unlink(fixture->system_file);
    unlink(fixture->user_file);
    rmdir(fixture->user_directory);
    rmdir(fixture->directory);
    free(fixture);
    return 0;
}

/* Parses one -o list over the built-in values. */
static struct mount_options parse_as(const char *list, enum mount_options_source source) {
    struct mount_options options;
    struct error err = {0};
    mount_options_init(&options);
    if (mount_options_parse(&options, list, source, &err) != STORE_OK)
        fail_msg("%s: %s", list, err.text);
    return options;
}

static struct mount_options parse(const char *list) {
    return parse_as(list, SOURCE_COMMAND_LINE);
}

static void check_sentence(const struct error *err, const char *about, const char *part) {
    if (!strstr(err->text, part))
        fail_msg("%s gives: %s", about, err->text);
}

static void check_refused(const char *list, const char *part) {
    struct mount_options options;
    struct error err = {0};
    mount_options_init(&options);
    int rc = mount_options_parse(&options, list, SOURCE_COMMAND_LINE, &err);
    if (rc != STORE_INVALID && rc != STORE_TOO_BIG)
        fail_msg("%s is accepted", list);
    assert_int_equal(err.code, rc);
    check_sentence(&err, list, part);
    mount_options_release(&options);
}

static void test_config__built_in(void **state) {
    (void)state;
    struct mount_options options = parse("");
    assert_false(mount_options_read_only(&options));
    assert_null(options.at);
    assert_null(options.subdir);
    assert_false(options.follow);
    assert_false(options.allow_other);
    assert_false(options.writeback_cache);
    assert_false(options.ro_views);
    assert_int_equal(options.history, HISTORY_OWNER);
    assert_int_equal(options.commit_interval_ns, NS_PER_SECOND);
    assert_int_equal(options.dirty_limit_bytes, 64 << 20);
    assert_int_equal(options.cache_bytes, 64 << 20);
    assert_int_equal(options.pool_size, 16);
    assert_int_equal(options.pool_timeout_ns, 300 * NS_PER_SECOND);
    assert_int_equal(mount_options_pool_cache_bytes(&options), 32 << 20);
    char kernel[KERNEL_TEXT_SIZE];
    mount_options_kernel_text(&options, kernel);
    assert_string_equal(kernel, "");
    assert_int_equal(mount_options_check(&options, now, NULL), STORE_OK);
    mount_options_release(&options);
}

static void test_config__every_option(void **state) {
    (void)state;
    struct mount_options options =
        parse("ro,at=release-1,follow,subdir=a/b,allow_other,history=all,commit-interval=500ms,dirty-limit=1M,"
              "cache-size=2G,historical-pool-size=3,historical-timeout=6m,historical-cache-size=10k,writeback_cache,"
              "ro_views");
    assert_true(options.read_only);
    assert_string_equal(options.at, "release-1");
    assert_true(options.follow);
    assert_string_equal(options.subdir, "a/b");
    assert_true(options.allow_other);
    assert_int_equal(options.history, HISTORY_ALL);
    assert_int_equal(options.commit_interval_ns, 500 * NS_PER_MS);
    assert_int_equal(options.dirty_limit_bytes, 1 << 20);
    assert_int_equal(options.cache_bytes, UINT64_C(2) << 30);
    assert_int_equal(options.pool_size, 3);
    assert_int_equal(options.pool_timeout_ns, 360 * NS_PER_SECOND);
    assert_int_equal(mount_options_pool_cache_bytes(&options), 10240);
    assert_true(options.writeback_cache);
    assert_true(options.ro_views);
    assert_int_equal(mount_options_check(&options, now, NULL), STORE_OK);

    struct error err;
    assert_int_equal(mount_options_parse(&options,
                                         "rw,no_allow_other,history=owner,no_writeback_cache,historical-pool-size=0,"
                                         "historical-timeout=2h,at=@0,subdir=c",
                                         SOURCE_COMMAND_LINE, &err),
                     STORE_OK);
    assert_false(options.read_only);
    assert_string_equal(options.at, "@0");
    assert_string_equal(options.subdir, "c");
    assert_false(options.allow_other);
    assert_int_equal(options.history, HISTORY_OWNER);
    assert_false(options.writeback_cache);
    assert_int_equal(options.pool_size, 0);
    assert_int_equal(options.pool_timeout_ns, 7200 * NS_PER_SECOND);
    assert_int_equal(options.dirty_limit_bytes, 1 << 20);
    mount_options_release(&options);
    assert_null(options.at);
}

static void test_config__kernel_options(void **state) {
    (void)state;
    char kernel[KERNEL_TEXT_SIZE];
    struct mount_options options = parse("nosuid,nodev,noexec,async,dirsync,noatime");
    mount_options_kernel_text(&options, kernel);
    assert_string_equal(kernel, "nosuid,nodev,noexec,async,dirsync,noatime");
    options = parse("nodev,exec,noexec,nosuid,suid");
    mount_options_kernel_text(&options, kernel);
    assert_string_equal(kernel, "suid,nodev,noexec");
}

static void test_config__options_of_mount_and_fstab(void **state) {
    (void)state;
    char kernel[KERNEL_TEXT_SIZE];
    struct mount_options options = parse(
        "defaults,auto,noauto,nofail,user,user=joe,users,owner,group,_netdev,comment=x,default_permissions,"
        "relatime,strictatime,nodiratime,lazytime,x-systemd.automount,x-systemd.idle-timeout=10,X-mount.mkdir=0755");
    mount_options_kernel_text(&options, kernel);
    assert_string_equal(kernel, "");
    assert_false(options.read_only);
    assert_null(options.at);
    assert_null(options.subdir);
}

static void test_config__escapes(void **state) {
    (void)state;
    struct mount_options options = parse(",subdir=a\\,b\\\\c\\d=e\\,,,ro,");
    assert_string_equal(options.subdir, "a,b\\c\\d=e,");
    assert_true(options.read_only);
    mount_options_release(&options);
    options = parse("subdir=x\\");
    assert_string_equal(options.subdir, "x\\");
    mount_options_release(&options);
}

static void test_config__refused(void **state) {
    (void)state;
    static const struct {
        const char *list, *part;
    } cases[] = {
        {"comit-interval=1", "unknown option \"comit-interval\": did you mean commit-interval?"},
        {"commit_interval=1", "did you mean commit-interval?"},
        {"historic-cache-size=1", "did you mean historical-cache-size?"},
        {"ro,folow", "did you mean follow?"},
        {"writeback-cache", "did you mean writeback_cache?"},
        {"frobnicate", "unknown option \"frobnicate\": tidfs mount --help"},
        {"=1", "unknown option \"\""},
        {"at", "at needs a value: a time, such as"},
        {"at=", "at needs a value"},
        {"subdir", "subdir needs a value: a path"},
        {"history", "history needs a value: owner or all"},
        {"history=none", "history is owner or all, not \"none\""},
        {"follow=1", "follow takes no value"},
        {"ro=", "ro takes no value"},
        {"nosuid=1", "nosuid takes no value"},
        {"commit-interval=0", "commit-interval is 1ms to 365d, not \"0\""},
        {"commit-interval=1x", "ms, s, m, h or d, such as 500ms"},
        {"commit-interval=366d", "commit-interval is 1ms to 365d"},
        {"commit-interval=99999999999999999999", "commit-interval is 1ms to 365d"},
        {"historical-timeout=-1", "historical-timeout is a whole number"},
        {"dirty-limit=0", "dirty-limit is 1 byte to 8388607T"},
        {"cache-size=64MB", "cache-size is a whole number of bytes, or with k, M, G or T, such as 64M, not \"64MB\""},
        {"cache-size=9999999999T", "cache-size is 1 byte to 8388607T, not \"9999999999T\""},
        {"historical-pool-size=1k", "historical-pool-size is a whole number, not \"1k\""},
        {"historical-pool-size=1000001", "0 to 1000000"},
        {"historical-cache-size=", "historical-cache-size needs a value"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_refused(cases[i].list, cases[i].part);
}

static void test_config__files_and_precedence(void **state) {
    const struct fixture *fixture = *state;
    write_text(fixture->system_file, "# the system's\n"
                                     "\n"
                                     "cache-size = 10M\n"
                                     "  commit-interval=2s   # slower\n"
                                     "\thistorical-pool-size\t=\t4\r\n"
                                     "allow_other\n"
                                     "#dirty-limit = 1\n"
                                     "nosuid");
    write_text(fixture->user_file, "cache-size = 20M\nhistorical-pool-size = 5\nno_allow_other\n");
    struct mount_options options;
    struct error err = {0};

    mount_options_init(&options);
    assert_int_equal(mount_options_read_files(&options, fixture->system_file, NULL, NULL, &err), STORE_OK);
    assert_int_equal(options.cache_bytes, 10 << 20);
    assert_int_equal(options.pool_size, 4);
    assert_true(options.allow_other);
    assert_string_equal(options.kernel[KERNEL_SUID], "nosuid");

    mount_options_init(&options);
    assert_int_equal(mount_options_read_files(&options, fixture->system_file, fixture->directory, "/nowhere", &err),
                     STORE_OK);
    assert_int_equal(mount_options_parse(&options, "cache-size=30M", SOURCE_COMMAND_LINE, &err), STORE_OK);
    assert_int_equal(mount_options_parse(&options, "ro", SOURCE_COMMAND_LINE, &err), STORE_OK);
    assert_int_equal(options.cache_bytes, 30 << 20);                      /* -o over both files */
    assert_int_equal(options.pool_size, 5);                               /* the user's over the system's */
    assert_int_equal(options.commit_interval_ns, 2 * NS_PER_SECOND);      /* the system's over the built-in */
    assert_int_equal(options.dirty_limit_bytes, 64 << 20);                /* built-in */
    assert_int_equal(mount_options_pool_cache_bytes(&options), 15 << 20); /* half of the last word on cache-size */
    assert_false(options.allow_other);
    assert_true(options.read_only);
}

static void test_config__user_file_under_home(void **state) {
    const struct fixture *fixture = *state;
    char home[96], config[128], from[160];
    (void)snprintf(home, sizeof home, "%s/home", fixture->directory);
    (void)snprintf(config, sizeof config, "%s/.config", home);
    (void)snprintf(from, sizeof from, "%s/tidfs", config);
    assert_int_equal(mkdir(home, 0700), 0);
    assert_int_equal(mkdir(config, 0700), 0);
    assert_int_equal(symlink(fixture->user_directory, from), 0);
    write_text(fixture->user_file, "cache-size = 1M\n");

    static const char *const no_xdg[] = {NULL, "", "relative"};
    for (size_t i = 0; i < COUNT(no_xdg); i++) {
        struct mount_options options;
        mount_options_init(&options);
        assert_int_equal(mount_options_read_files(&options, fixture->system_file, no_xdg[i], home, NULL), STORE_OK);
        assert_int_equal(options.cache_bytes, 1 << 20);
    }
    struct mount_options options;
    mount_options_init(&options);
    assert_int_equal(mount_options_read_files(&options, fixture->system_file, "/nowhere", home, NULL), STORE_OK);
    assert_int_equal(options.cache_bytes, 64 << 20);
    assert_int_equal(mount_options_read_files(&options, fixture->system_file, NULL, "home", NULL), STORE_OK);
    assert_int_equal(options.cache_bytes, 64 << 20);
    assert_int_equal(unlink(from), 0);
    assert_int_equal(rmdir(config), 0);
    assert_int_equal(rmdir(home), 0);
}

static void test_config__file_errors_name_file_and_line(void **state) {
    const struct fixture *fixture = *state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"# x\n\ncahce-size = 1M\n", ":3: unknown option \"cahce-size\": did you mean cache-size?"},
        {"cache-size = \n", ":1: cache-size needs a value"},
        {"cache-size\n", ":1: cache-size needs a value"},
        {"cache-size 64M\n", ":1: \"cache-size 64M\" is no option: a line is `name = value`"},
        {"ro\nhistorical-timeout = soon\n", ":2: historical-timeout is a whole number"},
        {"= 1\n", ":1: an option's name is missing"},
        {"at = 2026\n", ":1: at belongs to one mount"},
        {"follow\n", ":1: follow belongs to one mount"},
        {"subdir = a\n", ":1: subdir belongs to one mount"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct mount_options options;
        struct error err = {0};
        mount_options_init(&options);
        write_text(fixture->user_file, cases[i].text);
        assert_int_equal(mount_options_read_file(&options, fixture->user_file, &err), STORE_INVALID);
        check_sentence(&err, cases[i].text, cases[i].part);
        check_sentence(&err, cases[i].text, fixture->user_file);
        mount_options_release(&options);
    }
    struct mount_options options;
    struct error err = {0};
    mount_options_init(&options);
    write_file(fixture->user_file, "ro\n\0\n", 5);
    assert_int_equal(mount_options_read_file(&options, fixture->user_file, &err), STORE_INVALID);
    check_sentence(&err, "NUL", ":2: the line has a NUL byte");
}

static void test_config__files_that_are_not_there(void **state) {
    const struct fixture *fixture = *state;
    struct mount_options options;
    struct error err = {0};
    mount_options_init(&options);
    assert_int_equal(mount_options_read_file(&options, fixture->user_file, &err), STORE_ABSENT);
    assert_int_equal(mount_options_read_files(&options, fixture->system_file, fixture->directory, NULL, &err),
                     STORE_OK);
    assert_int_equal(mount_options_read_file(&options, fixture->directory, &err), STORE_INVALID);
    check_sentence(&err, "a directory", fixture->directory);
    /* Which nobody writes to: it is not waited for. */
    assert_int_equal(mkfifo(fixture->user_file, 0600), 0);
    assert_int_equal(mount_options_read_file(&options, fixture->user_file, &err), STORE_INVALID);
    check_sentence(&err, "a fifo", "is no regular file");
    assert_int_equal(unlink(fixture->user_file), 0);
    write_text(fixture->user_file, "");
    assert_int_equal(mount_options_read_file(&options, fixture->user_file, &err), STORE_OK);
    /* Which is how a file is masked, by a link to it. */
    assert_int_equal(mount_options_read_file(&options, "/dev/null", &err), STORE_OK);
    assert_int_equal(mount_options_read_file(&options, "/dev/zero", &err), STORE_INVALID);
    check_sentence(&err, "a device", "is no regular file");
}

static void check_together(const char *list, enum mount_options_source source, const char *part) {
    struct mount_options options = parse_as(list, source);
    struct error err = {0};
    int rc = mount_options_check(&options, now, &err);
    if (part) {
        if (rc != STORE_INVALID)
            fail_msg("%s is accepted", list);
        check_sentence(&err, list, part);
    } else if (rc != STORE_OK) {
        fail_msg("%s: %s", list, err.text);
    }
    mount_options_release(&options);
}

static void test_config__combinations(void **state) {
    (void)state;
    static const struct {
        const char *list, *part; /* part NULL: accepted */
    } cases[] = {
        {"follow", "follow goes with a tag"},
        {"follow,at=2026", "at=2026 is none"},
        {"follow,at=now", "at=now is none"},
        {"follow,at=03f8a3c100d2e4b7", "is none"},
        {"follow,at=release-1", NULL},
        {"follow,at=release-1~2", NULL},
        {"rw,at=2026", "read-only: leave out rw"},
        {"at=2026,rw,ro", NULL},
        {"ro,at=2026,rw", "read-only: leave out rw"},
        {"at=-2h", NULL},
        {"at=2026-13", "no month 13"},
        {"at=a b", "spaces"},
        {"rw", NULL},
        {"ro", NULL},
        {"subdir=..", "has no .."},
        {"subdir=a/../b", "has no .."},
        {"subdir=/..a/b../...", NULL},
        {"subdir=a/..", "has no .."},
        {"subdir=/a/b/", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        check_together(cases[i].list, SOURCE_COMMAND_LINE, cases[i].part);
}

/* mount(8) adds rw to what fstab says. */
static void test_config__rw_from_mount_is_no_wish(void **state) {
    (void)state;
    check_together("rw,at=2026", SOURCE_MOUNT_HELPER, NULL);
    struct mount_options options = parse_as("rw,at=2026", SOURCE_MOUNT_HELPER);
    assert_true(mount_options_read_only(&options));
    mount_options_release(&options);
    options = parse_as("ro,rw", SOURCE_MOUNT_HELPER);
    assert_false(mount_options_read_only(&options));
}

static void test_config__pool_cache_is_within_the_cache(void **state) {
    (void)state;
    struct mount_options options = parse("cache-size=1M,historical-cache-size=2M");
    assert_int_equal(mount_options_pool_cache_bytes(&options), 1 << 20);
    options = parse("historical-cache-size=2M,cache-size=8M");
    assert_int_equal(mount_options_pool_cache_bytes(&options), 2 << 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__built_in),
        cmocka_unit_test(test_config__every_option),
        cmocka_unit_test(test_config__kernel_options),
        cmocka_unit_test(test_config__options_of_mount_and_fstab),
        cmocka_unit_test(test_config__escapes),
        cmocka_unit_test(test_config__refused),
        cmocka_unit_test_setup_teardown(test_config__files_and_precedence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_config__user_file_under_home, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_config__file_errors_name_file_and_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_config__files_that_are_not_there, set_up, tear_down),
        cmocka_unit_test(test_config__combinations),
        cmocka_unit_test(test_config__rw_from_mount_is_no_wish),
        cmocka_unit_test(test_config__pool_cache_is_within_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
