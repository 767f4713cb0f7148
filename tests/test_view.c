#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "history/view.h"
#include "store/tid.h"
#include "tests/sample.h"

#define AT(seq) ((seq) + 1) /* the `before` that includes a transaction */
#define SECOND  UINT64_C(1000000000)

struct fixture {
    struct sample *sample;
    struct view_pool *pool;
};

static void new_pool(struct fixture *fixture, uint64_t idle_max, uint64_t idle_ns) {
    const struct view_pool_options options = {.idle_max = idle_max, .idle_ns = idle_ns};
    view_pool_free(fixture->pool);
    fixture->pool = view_pool_new(fixture->sample->store, &options);
    assert_non_null(fixture->pool);
}

static int setup(void **state) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->sample = sample_new(NULL);
    new_pool(fixture, 16, 300 * SECOND);
    *state = fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    view_pool_free(fixture->pool);
    sample_free(fixture->sample);
    free(fixture);
    return 0;
}

static struct view *open_view(struct fixture *fixture, uint64_t before) {
    struct view *view;
    assert_int_equal(view_pool_open(fixture->pool, before, &view), 0);
    assert_int_equal(view_before(view), before);
    return view;
}

static struct view_attr walk(struct view *view, const char *path) {
    struct view_attr attr;
    assert_int_equal(view_walk(view, path, &attr), 0);
    return attr;
}

/* The attributes of a path at an instant. */
static struct view_attr attr_at(struct fixture *fixture, uint64_t before, const char *path) {
    struct view *view = open_view(fixture, before);
    struct view_attr attr = walk(view, path);
    view_pool_done(fixture->pool, view);
    return attr;
}

static void expect_text(struct fixture *fixture, uint64_t revision, const char *expected) {
    char buffer[256];
    size_t done;
    assert_int_equal(view_file_read(fixture->sample->store, revision, 0, sizeof buffer, (uint8_t *)buffer, &done), 0);
    assert_int_equal(done, strlen(expected));
    assert_memory_equal(buffer, expected, done);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static struct view_pool_statistics statistics_of(struct fixture *fixture) {
    struct view_pool_statistics statistics;
    view_pool_get_statistics(fixture->pool, &statistics);
    return statistics;
}

/* ---- the tree ---- */

static void test_view__shows_the_tree_as_it_was(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    uint64_t directory = sample_make(sample, ROOT_OID, "dir", S_IFDIR | 0750, NULL);
    uint64_t file = sample_make(sample, directory, "file", S_IFREG | 0640, "one");
    sample_make(sample, directory, "link", S_IFLNK | 0777, "file");
    sample_commit(sample, "2");
    sample_write(sample, file, "second");
    sample_commit(sample, "3");
    sample_remove(sample, directory, "file");
    sample_commit(sample, "4");

    struct view_attr old = attr_at(fixture, AT(2), "dir/file");
    assert_int_equal(old.oid, file);
    assert_int_equal(old.stat.st_size, 3);
    assert_int_equal(old.stat.st_mode, S_IFREG | 0640);
    assert_int_equal(old.stat.st_uid, 1000);
    assert_int_equal(old.stat.st_blocks, 1);
    assert_true(old.stat.st_blksize >= 4096);
    expect_text(fixture, old.revision, "one");
    expect_text(fixture, attr_at(fixture, AT(3), "/dir//file/").revision, "second");

    struct view *view = open_view(fixture, AT(4));
    struct view_attr attr;
    assert_int_equal(view_walk(view, "dir/file", &attr), -ENOENT);
    assert_int_equal(view_walk(view, "dir/link/x", &attr), -ENOTDIR);
    assert_int_equal(view_walk(view, "", &attr), 0);
    assert_int_equal(attr.oid, ROOT_OID);
    assert_int_equal(view_lookup(view, directory, "link", 4, &attr), 0);
    char target[16];
    size_t length;
    assert_int_equal(view_file_readlink(sample->store, attr.revision, target, 2, &length), 0);
    assert_int_equal(length, 4);
    assert_memory_equal(target, "fi", 2);
    assert_int_equal(view_file_readlink(sample->store, old.revision, target, 2, &length), -EINVAL);
    char long_name[300];
    memset(long_name, 'x', sizeof long_name);
    assert_int_equal(view_lookup(view, directory, long_name, sizeof long_name, &attr), -ENAMETOOLONG);
    assert_int_equal(view_getattr(view, file, &attr), -ENOENT);
    view_pool_done(fixture->pool, view);
}

static void test_view__before_the_first_commit_is_an_empty_directory(void **state) {
    struct fixture *fixture = *state;
    struct view *view = open_view(fixture, 1);
    struct view_attr attr = walk(view, "");
    assert_int_equal(attr.stat.st_mode, S_IFDIR | 0555);
    assert_int_equal(attr.stat.st_mtime, 0);
    assert_int_equal(attr.ino, VIEW_INO_DIRECTORY);
    assert_int_equal(view_tid(view), 0);
    assert_int_equal(view_lookup(view, ROOT_OID, "x", 1, &attr), -ENOENT);
    assert_int_equal(view_getattr(view, 2, &attr), -ENOENT);
    uint64_t parent;
    assert_int_equal(view_parent(view, ROOT_OID, &parent), 0);
    assert_int_equal(parent, ROOT_OID);
    assert_int_equal(view_readdir(view, ROOT_OID, 0, true, NULL, NULL), 0);
    size_t length = 1;
    assert_int_equal(view_listxattr(view, ROOT_OID, NULL, 0, &length), 0);
    assert_int_equal(length, 0);
    assert_int_equal(view_getxattr(view, ROOT_OID, "tidfs.tid", NULL, 0, &length), -ENODATA);
    view_pool_done(fixture->pool, view);
}

static void test_view__root_has_the_time_of_its_commit_and_the_rest_its_own(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    sample->clock.tv_nsec = 123456789;
    uint64_t directory = sample_make(sample, ROOT_OID, "dir", S_IFDIR | 0755, NULL);
    sample_make(sample, directory, "file", S_IFREG | 0644, "one");
    struct timespec made = sample->clock;
    sample_commit(sample, "2");
    sample_chmod(sample, directory, 0700);
    uint64_t tid = sample_commit(sample, "3");
    struct timespec commit_time = tid_to_time(tid);

    struct view_attr root = attr_at(fixture, AT(3), "");
    assert_int_equal(root.stat.st_mtim.tv_sec, commit_time.tv_sec);
    assert_int_equal(root.stat.st_mtim.tv_nsec, commit_time.tv_nsec);
    struct view_attr file = attr_at(fixture, AT(3), "dir/file");
    assert_int_equal(file.stat.st_mtim.tv_sec, made.tv_sec);
    assert_int_equal(file.stat.st_mtim.tv_nsec, 123456789);
    assert_int_equal(attr_at(fixture, AT(3), "dir").stat.st_mode, S_IFDIR | 0700);
    assert_int_equal(attr_at(fixture, AT(2), "dir").stat.st_mode, S_IFDIR | 0755);
}

static void test_view__parent(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    uint64_t a = sample_make(sample, ROOT_OID, "a", S_IFDIR | 0755, NULL);
    uint64_t b = sample_make(sample, ROOT_OID, "b", S_IFDIR | 0755, NULL);
    uint64_t c = sample_make(sample, a, "c", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(sample, a, "file", S_IFREG | 0755, NULL);
    sample_commit(sample, "2");
    sample_move(sample, a, "c", b, "c");
    sample_commit(sample, "3");
    uint64_t parent;
    struct view *old = open_view(fixture, AT(2));
    struct view *new = open_view(fixture, AT(3));
    assert_int_equal(view_parent(old, c, &parent), 0);
    assert_int_equal(parent, a);
    assert_int_equal(view_parent(new, c, &parent), 0);
    assert_int_equal(parent, b);
    assert_int_equal(view_parent(new, ROOT_OID, &parent), 0);
    assert_int_equal(parent, ROOT_OID);
    assert_int_equal(view_parent(new, file, &parent), -ENOTDIR);
    view_pool_done(fixture->pool, old);
    view_pool_done(fixture->pool, new);
}

/* ---- identity ---- */

static void test_view__ino_is_equal_if_and_only_if_the_version_is(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    uint64_t a = sample_make(sample, ROOT_OID, "a", S_IFDIR | 0755, NULL);
    uint64_t b = sample_make(sample, a, "b", S_IFDIR | 0755, NULL);
    sample_make(sample, ROOT_OID, "other", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(sample, b, "file", S_IFREG | 0644, "same size 1");
    sample_make(sample, b, "still", S_IFREG | 0644, "still");
    sample_link(sample, file, ROOT_OID, "hard");
    sample_commit(sample, "2");
    sample_write(sample, file, "same size 2");
    sample_commit(sample, "3");

    static const struct {
        const char *path;
        bool same;
    } cases[] = {{"", false},     {"a", false},        {"a/b", false}, {"a/b/file", false},
                 {"hard", false}, {"a/b/still", true}, {"other", true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct view_attr old = attr_at(fixture, AT(2), cases[i].path);
        struct view_attr new = attr_at(fixture, AT(3), cases[i].path);
        assert_int_equal(old.ino == new.ino, cases[i].same);
        assert_int_equal(old.ino, old.stat.st_ino);
        assert_true((old.ino & VIEW_INO_FILE) != 0);
        assert_int_equal((old.ino & VIEW_INO_DIRECTORY) == VIEW_INO_DIRECTORY, S_ISDIR(old.stat.st_mode));
    }
    assert_int_equal(attr_at(fixture, AT(3), "hard").ino, attr_at(fixture, AT(3), "a/b/file").ino);
    assert_int_equal(attr_at(fixture, AT(3), "hard").stat.st_nlink, 2);
    assert_true(attr_at(fixture, AT(3), "other").ino != attr_at(fixture, AT(3), "a/b").ino);
}

static void test_view__attributes_alone_make_another_version(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "x");
    sample_commit(sample, "2");
    sample_chmod(sample, file, 0600);
    sample_commit(sample, "3");
    sample_set_xattr(sample, file, "user.a", "1");
    sample_commit(sample, "4");
    uint64_t inos[] = {attr_at(fixture, AT(2), "file").ino, attr_at(fixture, AT(3), "file").ino,
                       attr_at(fixture, AT(4), "file").ino};
    assert_true(inos[0] != inos[1] && inos[1] != inos[2] && inos[0] != inos[2]);
}

/* ---- listing ---- */

struct listing {
    char text[1024];
    size_t most, seen;
    uint64_t last_index;
    bool with_attr;
};

static bool add_to_listing(void *context, const struct view_entry *entry) {
    struct listing *listing = context;
    assert_int_equal(strlen(entry->name), entry->length);
    assert_int_equal(entry->attr != NULL, listing->with_attr);
    if (entry->attr != NULL) {
        assert_int_equal(entry->attr->ino, entry->ino);
        assert_int_equal(entry->attr->oid, entry->oid);
        assert_int_equal(entry->attr->stat.st_mode & S_IFMT, entry->type);
    }
    if (listing->seen == listing->most) {
        return false;
    }
    listing->seen++;
    listing->last_index = entry->index;
    strcat(listing->text, entry->name);
    strcat(listing->text, " ");
    return true;
}

/* What test_view__readdir_goes_on_where_it_stopped made. */
static void assert_listings(struct fixture *fixture) {
    for (int with_attr = 0; with_attr < 2; with_attr++) {
        struct view *view = open_view(fixture, AT(2));
        struct listing listing = {.most = 2, .with_attr = with_attr != 0};
        assert_int_equal(view_readdir(view, ROOT_OID, 0, with_attr != 0, add_to_listing, &listing), 0);
        assert_string_equal(listing.text, "z y ");
        listing.most = 100;
        assert_int_equal(view_readdir(view, ROOT_OID, listing.last_index + 1, with_attr != 0, add_to_listing, &listing),
                         0);
        assert_string_equal(listing.text, "z y x w ");
        view_pool_done(fixture->pool, view);
        view = open_view(fixture, AT(3));
        listing = (struct listing){.most = 100, .with_attr = with_attr != 0};
        assert_int_equal(view_readdir(view, ROOT_OID, 0, with_attr != 0, add_to_listing, &listing), 0);
        assert_string_equal(listing.text, "z x w new ");
        assert_int_equal(view_readdir(view, 99, 0, false, add_to_listing, &listing), -ENOENT);
        view_pool_done(fixture->pool, view);
    }
}

static void test_view__readdir_goes_on_where_it_stopped(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    sample_make(sample, ROOT_OID, "z", S_IFREG | 0644, NULL);
    sample_make(sample, ROOT_OID, "y", S_IFDIR | 0755, NULL);
    sample_make(sample, ROOT_OID, "x", S_IFREG | 0644, NULL);
    sample_make(sample, ROOT_OID, "w", S_IFLNK | 0777, "z");
    sample_commit(sample, "2");
    sample_remove(sample, ROOT_OID, "y");
    sample_make(sample, ROOT_OID, "new", S_IFREG | 0644, NULL);
    sample_commit(sample, "3");
    assert_listings(fixture);

    /* The same when no list is small enough to be kept, and each is read in parts. */
    const struct store_options options = {.writable = true, .historic_cache_bytes = 1};
    view_pool_free(fixture->pool);
    fixture->pool = NULL;
    sample_reopen(sample, &options);
    assert_true(store_list_is_large(sample->store, 1));
    new_pool(fixture, 16, 300 * SECOND);
    assert_listings(fixture);
}

/* ---- files by revision ---- */

static void test_view__file_version_is_read_by_its_revision_alone(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    uint64_t revision = attr_at(fixture, AT(2), "file").revision;
    sample_write(sample, file, "different");
    sample_commit(sample, "3");
    sample_remove(sample, ROOT_OID, "file");
    sample_commit(sample, "4");

    expect_text(fixture, revision, "one");
    struct view_attr attr;
    assert_int_equal(view_file_getattr(sample->store, revision, &attr), 0);
    assert_int_equal(attr.ino, VIEW_INO_FILE | revision);
    assert_int_equal(attr.stat.st_size, 3);
    uint64_t oid, before;
    assert_int_equal(view_file_source(sample->store, revision, &oid, &before), 0);
    assert_int_equal(oid, file);
    assert_int_equal(before, AT(2));
    uint64_t result;
    assert_int_equal(view_file_seek(sample->store, revision, 0, SEEK_DATA, &result), 0);
    assert_int_equal(result, 0);
    assert_int_equal(view_file_seek(sample->store, revision, 0, SEEK_HOLE, &result), 0);
    assert_int_equal(result, 3);
    assert_int_equal(view_file_seek(sample->store, revision, 3, SEEK_HOLE, &result), -ENXIO);
    assert_int_equal(view_file_seek(sample->store, revision, 0, SEEK_SET, &result), -EINVAL);
    assert_int_equal(view_file_getattr(sample->store, 987654, &attr), -ESTALE);
    sample_reopen(sample, NULL);
    expect_text(fixture, revision, "one");
}

static void test_view__file_version_outlives_the_horizon_if_it_lived_on(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    sample_make(sample, ROOT_OID, "lives", S_IFREG | 0644, "lives");
    uint64_t gone = sample_make(sample, ROOT_OID, "gone", S_IFREG | 0644, "gone");
    sample_commit(sample, "2");
    uint64_t lives_revision = attr_at(fixture, AT(2), "lives").revision;
    uint64_t gone_revision = attr_at(fixture, AT(2), "gone").revision;
    sample_write(sample, gone, "changed");
    sample_commit(sample, "3");
    sample_commit(sample, "4");
    sample_move_horizon(sample, 4, 1);
    expect_text(fixture, lives_revision, "lives");
    uint8_t buffer[10];
    size_t done;
    assert_int_equal(view_file_read(sample->store, gone_revision, 0, 10, buffer, &done), -ESTALE);
    uint64_t oid, before;
    assert_int_equal(view_file_source(sample->store, lives_revision, &oid, &before), 0);
    assert_int_equal(before, 5);
}

/* ---- extended attributes ---- */

static void test_view__xattrs_as_of_the_view(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    uint64_t directory = sample_make(sample, ROOT_OID, "dir", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    sample_set_xattr(sample, directory, "user.a", "first");
    sample_set_xattr(sample, file, "user.b", "file");
    sample_commit(sample, "3");
    sample_set_xattr(sample, directory, "user.a", "2nd");
    sample_commit(sample, "4");

    char value[64];
    size_t length;
    struct view *view = open_view(fixture, AT(3));
    assert_int_equal(view_getxattr(view, directory, "user.a", NULL, 0, &length), 0);
    assert_int_equal(length, 5);
    assert_int_equal(view_getxattr(view, directory, "user.a", value, sizeof value, &length), 0);
    assert_memory_equal(value, "first", 5);
    assert_int_equal(view_getxattr(view, directory, "user.a", value, 4, &length), -ERANGE);
    assert_int_equal(view_getxattr(view, directory, "user.z", value, sizeof value, &length), -ENODATA);
    assert_int_equal(view_listxattr(view, directory, value, sizeof value, &length), 0);
    assert_int_equal(length, 7);
    assert_memory_equal(value, "user.a", 7);
    assert_int_equal(view_listxattr(view, directory, NULL, 0, &length), 0);
    assert_int_equal(length, 7);
    assert_int_equal(view_listxattr(view, directory, value, 6, &length), -ERANGE);
    uint64_t revision = walk(view, "file").revision;
    assert_int_equal(view_file_getxattr(sample->store, revision, "user.b", value, sizeof value, &length), 0);
    assert_memory_equal(value, "file", 4);
    assert_int_equal(view_file_listxattr(sample->store, revision, value, sizeof value, &length), 0);
    assert_int_equal(length, 7);
    view_pool_done(fixture->pool, view);

    view = open_view(fixture, AT(2));
    assert_int_equal(view_getxattr(view, directory, "user.a", value, sizeof value, &length), -ENODATA);
    assert_int_equal(view_listxattr(view, directory, value, sizeof value, &length), 0);
    assert_int_equal(length, 0);
    view_pool_done(fixture->pool, view);
}

static void test_view__virtual_xattrs_name_the_version(void **state) {
    struct fixture *fixture = *state;
    struct sample *sample = fixture->sample;
    uint64_t directory = sample_make(sample, ROOT_OID, "dir", S_IFDIR | 0755, NULL);
    uint64_t file = sample_make(sample, directory, "file", S_IFREG | 0644, "one");
    struct timespec made = sample->clock;
    uint64_t first = sample_commit(sample, "2");
    sample_write(sample, file, "two");
    uint64_t second = sample_commit(sample, "3");
    sample_commit(sample, "4");

    char value[64] = "";
    char expected[64];
    size_t length;
    struct view *view = open_view(fixture, AT(4));
    uint64_t revision = walk(view, "dir/file").revision;
    assert_int_equal(view_file_getxattr(sample->store, revision, "tidfs.tid", value, sizeof value, &length), 0);
    tid_format(second, expected);
    assert_int_equal(length, 16);
    assert_memory_equal(value, expected, 16);
    assert_int_equal(view_getxattr(view, directory, "tidfs.tid", value, sizeof value, &length), 0);
    assert_memory_equal(value, expected, 16); /* a directory's version includes what is below it */
    assert_int_equal(view_file_getxattr(sample->store, revision, "tidfs.oid", value, sizeof value, &length), 0);
    snprintf(expected, sizeof expected, "%u", (unsigned)file);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(value, expected, length);
    assert_int_equal(view_file_getxattr(sample->store, revision, "tidfs.created", value, sizeof value, &length), 0);
    tid_format_time(made, expected);
    assert_memory_equal(value, expected, length);
    assert_int_equal(view_file_listxattr(sample->store, revision, value, sizeof value, &length), 0);
    assert_int_equal(length, 0);
    view_pool_done(fixture->pool, view);
    view = open_view(fixture, AT(2));
    assert_int_equal(view_getxattr(view, directory, "tidfs.tid", value, sizeof value, &length), 0);
    tid_format(first, expected);
    assert_memory_equal(value, expected, 16);
    view_pool_done(fixture->pool, view);
}

/* ---- the pool ---- */

static void make_commits(struct fixture *fixture, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        sample_commit(fixture->sample, "empty");
    }
}

static void test_view__one_view_for_an_instant(void **state) {
    struct fixture *fixture = *state;
    make_commits(fixture, 3);
    struct view *one = open_view(fixture, 3);
    struct view *two = open_view(fixture, 3);
    struct view *other = open_view(fixture, 4);
    assert_ptr_equal(one, two);
    assert_ptr_not_equal(one, other);
    struct view_pool_statistics statistics = statistics_of(fixture);
    assert_int_equal(statistics.open, 2);
    assert_int_equal(statistics.opened, 2);
    assert_int_equal(statistics.reused, 1);
    assert_int_equal(statistics.idle, 0);
    view_pool_done(fixture->pool, one);
    assert_int_equal(statistics_of(fixture).idle, 0);
    view_pool_done(fixture->pool, two);
    assert_int_equal(statistics_of(fixture).idle, 1);
    view_pool_done(fixture->pool, other);
    one = open_view(fixture, 3);
    statistics = statistics_of(fixture);
    assert_int_equal(statistics.opened, 2);
    assert_int_equal(statistics.reused, 2);
    assert_int_equal(statistics.idle, 1);
    view_pool_done(fixture->pool, one);
}

static void test_view__idle_views_are_bounded_in_total(void **state) {
    struct fixture *fixture = *state;
    new_pool(fixture, 3, 300 * SECOND);
    make_commits(fixture, 9);
    for (uint64_t before = 1; before <= 10; before++) {
        view_pool_done(fixture->pool, open_view(fixture, before));
        assert_in_range(statistics_of(fixture).idle, 1, 3);
    }
    struct view_pool_statistics statistics = statistics_of(fixture);
    assert_int_equal(statistics.expired, 7);
    assert_int_equal(statistics.open, 3);
    view_pool_done(fixture->pool, open_view(fixture, 8)); /* the three newest are what is left */
    assert_int_equal(statistics_of(fixture).opened, 10);
    view_pool_done(fixture->pool, open_view(fixture, 7));
    assert_int_equal(statistics_of(fixture).opened, 11);
    view_pool_done(fixture->pool, open_view(fixture, 8)); /* used last before 7, so still there; 9 went */
    assert_int_equal(statistics_of(fixture).opened, 11);
}

static void test_view__a_pool_of_none_keeps_none(void **state) {
    struct fixture *fixture = *state;
    new_pool(fixture, 0, 300 * SECOND);
    view_pool_done(fixture->pool, open_view(fixture, 2));
    assert_int_equal(statistics_of(fixture).open, 0);
}

static void test_view__sweep_drops_what_is_idle_for_too_long(void **state) {
    struct fixture *fixture = *state;
    new_pool(fixture, 16, 10 * SECOND);
    make_commits(fixture, 3);
    struct view *busy = open_view(fixture, 2);
    assert_true(view_pool_sweep(fixture->pool, now_ns()) == UINT64_MAX);
    uint64_t before_done = now_ns();
    view_pool_done(fixture->pool, open_view(fixture, 3));
    uint64_t after_done = now_ns();
    assert_in_range(view_pool_sweep(fixture->pool, after_done + 4 * SECOND), 6 * SECOND - (after_done - before_done),
                    6 * SECOND);
    assert_int_equal(statistics_of(fixture).idle, 1);
    assert_true(view_pool_sweep(fixture->pool, after_done + 10 * SECOND) == UINT64_MAX);
    struct view_pool_statistics statistics = statistics_of(fixture);
    assert_int_equal(statistics.idle, 0);
    assert_int_equal(statistics.open, 1);
    assert_int_equal(statistics.expired, 1);
    view_pool_done(fixture->pool, busy);
}

static void test_view__what_is_packed_or_not_yet_is_refused(void **state) {
    struct fixture *fixture = *state;
    make_commits(fixture, 3);
    struct view *view = NULL;
    assert_int_equal(view_pool_open(fixture->pool, 0, &view), -EINVAL);
    assert_int_equal(view_pool_open(fixture->pool, 6, &view), -EINVAL);
    sample_move_horizon(fixture->sample, 3, 1);
    assert_int_equal(view_pool_open(fixture->pool, 3, &view), -ESTALE);
    assert_int_equal(view_pool_open(fixture->pool, 4, &view), 0);
    view_pool_done(fixture->pool, view);
    assert_int_equal(statistics_of(fixture).opened, 1);
}

static void test_view__an_open_view_is_refused_whole_when_it_is_packed(void **state) {
    struct fixture *fixture = *state;
    sample_make(fixture->sample, ROOT_OID, "file", S_IFREG | 0644, "one");
    make_commits(fixture, 3);
    struct view *view = open_view(fixture, 3);
    struct view_attr attr = walk(view, "file");
    sample_move_horizon(fixture->sample, 3, 1);
    assert_int_equal(view_walk(view, "file", &attr), -ESTALE);
    assert_int_equal(view_readdir(view, ROOT_OID, 0, false, NULL, NULL), -ESTALE);
    view_pool_done(fixture->pool, view);
}

struct users {
    struct fixture *fixture;
    _Atomic bool stop;
    _Atomic uint64_t wrong, opened;
};

static void *use_pool(void *argument) {
    struct users *users = argument;
    uint64_t random = (uint64_t)(uintptr_t)&random;

    for (int i = 0; i < 3000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t before = 1 + (random >> 40) % 9;
        struct view *view;
        if (view_pool_open(users->fixture->pool, before, &view) != 0) {
            atomic_fetch_add(&users->wrong, 1);
            continue;
        }
        struct view_attr attr;
        if (view_before(view) != before || view_walk(view, "", &attr) != 0) {
            atomic_fetch_add(&users->wrong, 1);
        }
        view_pool_done(users->fixture->pool, view);
        atomic_fetch_add(&users->opened, 1);
    }
    return NULL;
}

static void *sweep_pool(void *argument) {
    struct users *users = argument;
    while (!atomic_load(&users->stop)) {
        (void)view_pool_sweep(users->fixture->pool, now_ns() + 5 * SECOND);
        usleep(100);
    }
    return NULL;
}

static void test_view__pool_is_used_by_many_threads(void **state) {
    struct fixture *fixture = *state;
    make_commits(fixture, 8);
    new_pool(fixture, 3, 5 * SECOND);
    struct users users = {.fixture = fixture};
    pthread_t threads[4], sweeper;
    assert_int_equal(pthread_create(&sweeper, NULL, sweep_pool, &users), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use_pool, &users), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    atomic_store(&users.stop, true);
    pthread_join(sweeper, NULL);
    assert_int_equal(atomic_load(&users.wrong), 0);
    struct view_pool_statistics statistics = statistics_of(fixture);
    assert_in_range(statistics.idle, 0, 3);
    assert_int_equal(statistics.open, statistics.idle);
    assert_int_equal(statistics.opened, statistics.expired + statistics.open);
    assert_int_equal(statistics.opened + statistics.reused, atomic_load(&users.opened));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_view__shows_the_tree_as_it_was),
        TEST(test_view__before_the_first_commit_is_an_empty_directory),
        TEST(test_view__root_has_the_time_of_its_commit_and_the_rest_its_own),
        TEST(test_view__parent),
        TEST(test_view__ino_is_equal_if_and_only_if_the_version_is),
        TEST(test_view__attributes_alone_make_another_version),
        TEST(test_view__readdir_goes_on_where_it_stopped),
        TEST(test_view__file_version_is_read_by_its_revision_alone),
        TEST(test_view__file_version_outlives_the_horizon_if_it_lived_on),
        TEST(test_view__xattrs_as_of_the_view),
        TEST(test_view__virtual_xattrs_name_the_version),
        TEST(test_view__one_view_for_an_instant),
        TEST(test_view__idle_views_are_bounded_in_total),
        TEST(test_view__a_pool_of_none_keeps_none),
        TEST(test_view__sweep_drops_what_is_idle_for_too_long),
        TEST(test_view__what_is_packed_or_not_yet_is_refused),
        TEST(test_view__an_open_view_is_refused_whole_when_it_is_packed),
        TEST(test_view__pool_is_used_by_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
