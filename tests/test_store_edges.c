/* A store where things are not as they mostly are: users without a name, paths that lead nowhere, horizons that moved, revisions of another kind,
 * bodies that share bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>
#include <xxhash.h>

#include "store/repair.h"
#include "store/store_private.h"
#include "tests/sample.h"

#define AT(seq) ((seq) + 1) /* the `before` that includes a transaction */

/* ---- users ---- */

static enum { USER_REAL, USER_UNKNOWN, USER_LONG, USER_ERROR } user_is;

int __real_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found);
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found);
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t size, struct passwd **found) {
    static char name[400];
    *found = NULL;
    if (user_is == USER_REAL)
        return __real_getpwuid_r(uid, entry, buffer, size, found);
    if (user_is == USER_ERROR)
        return EIO;
    if (user_is == USER_UNKNOWN)
        return 0;
    memset(name, 'l', sizeof name - 1);
    entry->pw_name = name;
    *found = entry;
    return 0;
}

static void test_store_edges__who_has_no_name_is_a_number(void **state) {
    (void)state;
    char expected[32];
    (void)snprintf(expected, sizeof expected, "%lu", (unsigned long)getuid());
    for (int i = USER_REAL; i <= USER_ERROR; i++) {
        struct transaction first;
        user_is = i;
        struct sample *sample = sample_new(NULL);
        user_is = USER_REAL;
        assert_int_equal(storage_transaction_at(store_storage(sample->store), 1, &first), STORE_OK);
        const struct passwd *entry = getpwuid(getuid());
        assert_string_equal(first.user, i == USER_REAL && entry ? entry->pw_name : expected);
        transaction_release(&first);
        sample_free(sample);
    }
}

/* ---- paths ---- */

static void test_store_edges__a_path_that_leads_nowhere_is_no_store(void **state) {
    (void)state;
    char directory[] = "/tmp/tidfs-store-XXXXXX", file[64], below[80], loop[64];
    struct store *store = NULL;
    struct error err;
    struct repair_result result;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(file, sizeof file, "%s/file", directory);
    (void)snprintf(below, sizeof below, "%s/below", file);
    (void)snprintf(loop, sizeof loop, "%s/loop", directory);
    assert_int_equal(close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    assert_int_equal(symlink("loop", loop), 0);
    const struct {
        const char *path;
        int code;
    } cases[] = {
        {file, STORE_NOT_A_STORE}, {below, STORE_NOT_A_STORE}, {loop, STORE_IO}, {directory, STORE_NOT_A_STORE}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(store_open(cases[i].path, &(struct store_options){0}, &store, &err), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].path));
        assert_int_equal(store_repair(cases[i].path, &(struct repair_options){0}, &result, &err), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].path));
    }
    assert_null(store);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(unlink(loop), 0);
    assert_int_equal(rmdir(directory), 0); /* nothing was left */
}

static void test_store_edges__a_directory_that_was_made_goes_with_what_failed(void **state) {
    (void)state;
    char parent[] = "/tmp/tidfs-store-XXXXXX", directory[64];
    struct rlimit before, limit;
    struct error err;
    assert_non_null(mkdtemp(parent));
    (void)snprintf(directory, sizeof directory, "%s/new", parent);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 5000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int rc = store_create(directory, 0, 0, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(rc < 0);
    assert_int_equal(access(directory, F_OK), -1);
    assert_int_equal(rmdir(parent), 0);
}

/* ---- instants ---- */

static int set_up(void **state) {
    *state = sample_new(NULL);
    return 0;
}

static int tear_down(void **state) {
    sample_free(*state);
    return 0;
}

/* The store may have heard of the horizon, or its storage alone. */
static void test_store_edges__what_is_packed_cannot_be_asked_for(void **state) {
    struct sample *sample = *state;
    uint64_t file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "text");
    sample_set_xattr(sample, file, "user.x", "y");
    sample_commit(sample, "2");
    sample_write(sample, file, "more");
    sample_commit(sample, "3");
    sample_move_horizon(sample, AT(2), 1);
    for (int heard = 1; heard >= 0; heard--) {
        struct store *store = sample->store;
        struct inode_version *inode;
        struct list_version *names;
        struct entry_list list;
        struct subtree_version *subtree;
        struct chunk_version *chunk;
        struct xattrs_version *xattrs;
        uint64_t oid;
        uint32_t type;
        atomic_store(&store->horizon, heard ? AT(2) : 0);
        assert_int_equal(store_inode(store, file, AT(2), &inode), STORE_PACKED);
        assert_int_equal(store_xattrs(store, file, AT(2), &xattrs), STORE_PACKED);
        assert_int_equal(store_list(store, ROOT_OID, AT(2), &names), STORE_PACKED);
        assert_int_equal(store_list_part(store, ROOT_OID, AT(2), 0, 5, &list), STORE_PACKED);
        assert_int_equal(store_lookup(store, ROOT_OID, "file", 4, AT(2), &oid, &type), STORE_PACKED);
        assert_int_equal(store_subtree(store, ROOT_OID, AT(2), &subtree), STORE_PACKED);
        assert_int_equal(store_chunk(store, file, 0, AT(2), &chunk), STORE_PACKED);
        assert_int_equal(store_inode(store, file, AT(3), &inode), STORE_OK);
        store_release(store, inode);
        assert_int_equal(store_list_part(store, ROOT_OID, AT(3), 0, 5, &list), STORE_OK);
        assert_int_equal(list.count, 1);
        entry_list_release(&list);
    }
}

static void test_store_edges__the_instant_of_a_version_may_be_gone(void **state) {
    struct sample *sample = *state;
    struct inode_version *inode;
    uint64_t before, file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "one");
    sample_commit(sample, "2");
    assert_int_equal(store_inode(sample->store, file, AT(2), &inode), STORE_OK);
    assert_int_equal(store_version_instant(sample->store, inode, &before), STORE_OK);
    assert_int_equal(before, AT(2));
    sample_write(sample, file, "two");
    sample_commit(sample, "3");
    sample_commit(sample, "4");
    sample_move_horizon(sample, AT(2), 1); /* it has lived until the third */
    assert_int_equal(store_version_instant(sample->store, inode, &before), STORE_PACKED);
    struct inode_version *living;
    assert_int_equal(store_inode(sample->store, file, AT(3), &living), STORE_OK);
    sample_move_horizon(sample, AT(3), 1);
    assert_int_equal(store_version_instant(sample->store, living, &before), STORE_OK);
    assert_int_equal(before, AT(4));

    const struct inode_version nobody = {.revision = 4711};
    assert_int_equal(store_version_instant(sample->store, &nobody, &before), STORE_PACKED);
    struct storage *fault;
    assert_int_equal(storage_fault_open(sample->store->storage, &fault), STORE_OK);
    sample->store->storage = fault;
    storage_fault_set(fault, &(struct storage_fault){"load_revision", 1, STORE_IO, false});
    assert_int_equal(store_version_instant(sample->store, living, &before), STORE_IO);
    store_release(sample->store, living);
    store_release(sample->store, inode);
}

static void test_store_edges__only_a_revision_of_an_inode_is_a_version(void **state) {
    struct sample *sample = *state;
    struct inode_version *inode;
    uint64_t versions = 0, file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "text");
    sample_set_xattr(sample, file, "user.x", "y");
    sample_commit(sample, "2");
    sample_remove(sample, ROOT_OID, "file");
    sample_commit(sample, "3");
    for (uint64_t id = 1; id < 20; id++) { /* inodes, a chunk, attributes, and ends of each */
        struct revision revision;
        int rc = storage_load_revision(store_storage(sample->store), id, &revision);
        bool is_version = rc == STORE_OK && revision.part == PART_INODE && revision.data != NULL;
        if (rc == STORE_OK)
            revision_release(&revision);
        assert_int_equal(store_inode_by_revision(sample->store, id, &inode), is_version ? STORE_OK : STORE_ABSENT);
        if (is_version)
            store_release(sample->store, inode);
        versions += is_version;
    }
    assert_int_equal(versions, 4); /* the root's three, the file's one */
}

/* ---- bytes ---- */

static struct body_ref part_of(struct body_ref body, const uint8_t *bytes, uint32_t length) {
    body.length = length;
    body.sum = XXH3_64bits(bytes, length);
    return body;
}

/* Two of a chunk's bodies may begin at the same byte, and be two all the same. */
static void test_store_edges__bodies_are_the_same_if_all_of_them_is(void **state) {
    struct sample *sample = *state;
    static uint8_t bytes[BODY_MAX], found[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    const struct body_ref body = sample_body(sample, bytes, sizeof bytes);
    struct extent extents[] = {
        {.start = 0, .length = 100, .skip = 10, .body = body},
        {.start = 100, .length = 100, .skip = 20, .body = part_of(body, bytes, 5000)},
        {.start = 200, .length = 100, .skip = 30, .body = body},
    };
    const struct chunk_version chunk = {.chunk = {extents, 3}};
    assert_int_equal(store_read_chunk(sample->store, &chunk, 0, 300, found), STORE_OK);
    assert_memory_equal(found, bytes + 10, 100);
    assert_memory_equal(found + 100, bytes + 20, 100);
    assert_memory_equal(found + 200, bytes + 30, 100);
    extents[1].body = body;
    extents[1].body.sum ^= 1;
    assert_int_equal(store_read_chunk(sample->store, &chunk, 0, 300, found), STORE_CORRUPT);
    assert_int_equal(store_read_chunk(sample->store, &chunk, 0, 100, found), STORE_OK);
}

static void test_store_edges__a_body_has_a_length(void **state) {
    struct sample *sample = *state;
    uint8_t buffer[16];
    struct body_ref body = sample_body(sample, "0123456789", 10);
    assert_int_equal(store_read_body(sample->store, &body, 3, 4, buffer), STORE_OK);
    assert_memory_equal(buffer, "3456", 4);
    assert_int_equal(store_read_body(sample->store, &body, 11, 0, buffer), STORE_INVALID);
    assert_int_equal(store_read_body(sample->store, &body, 8, 3, buffer), STORE_INVALID);
    static const uint32_t lengths[] = {0, BODY_LIMIT + 1};
    for (size_t i = 0; i < 2; i++) {
        body.length = lengths[i];
        assert_int_equal(store_read_body(sample->store, &body, 0, 1, buffer), STORE_INVALID);
        assert_int_equal(storage_body_read(store_storage(sample->store), &body, buffer), STORE_CORRUPT);
    }
}

static void test_store_edges__data_to_the_end_and_behind_it(void **state) {
    struct sample *sample = *state;
    static uint8_t bytes[BODY_MAX];
    struct extent extents[CHUNK_BYTES / BODY_MAX];
    uint64_t result, file = sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, NULL);
    const struct body_ref body = sample_body(sample, bytes, sizeof bytes);
    for (uint32_t i = 0; i < CHUNK_BYTES / BODY_MAX; i++)
        extents[i] = (struct extent){.start = i * BODY_MAX, .length = BODY_MAX, .body = body};
    const struct chunk full = {extents, CHUNK_BYTES / BODY_MAX};
    sample_set_chunk(sample, file, 5, &full, CHUNK_BYTES); /* which a damaged store may have behind the end */
    sample_commit(sample, "2");
    struct inode_version *inode;
    assert_int_equal(store_inode(sample->store, file, AT(2), &inode), STORE_OK);
    assert_int_equal(store_seek(sample->store, inode, AT(2), 0, false, &result), STORE_ABSENT);
    store_release(sample->store, inode);
    sample_set_chunk(sample, file, 0, &full, CHUNK_BYTES);
    sample_commit(sample, "3");
    assert_int_equal(store_inode(sample->store, file, AT(3), &inode), STORE_OK);
    assert_int_equal(store_seek(sample->store, inode, AT(3), 5, true, &result), STORE_OK);
    assert_int_equal(result, CHUNK_BYTES);
    store_release(sample->store, inode);

    struct storage *fault;
    sample_reopen(sample, NULL);
    assert_int_equal(storage_fault_open(sample->store->storage, &fault), STORE_OK);
    sample->store->storage = fault;
    assert_int_equal(store_inode(sample->store, file, AT(3), &inode), STORE_OK);
    for (int hole = 0; hole < 2; hole++) {
        storage_fault_set(fault, &(struct storage_fault){"load_before", 1, STORE_IO, false});
        assert_int_equal(store_seek(sample->store, inode, AT(3), 5, hole, &result), STORE_IO);
    }
    struct list_version *names;
    storage_fault_set(fault, &(struct storage_fault){"list", 1, STORE_IO, false});
    assert_int_equal(store_list(sample->store, ROOT_OID, AT(3), &names), STORE_IO);
    store_release(sample->store, inode);
}

/* ---- words, and room ---- */

static void take_line(void *context, enum log_level level, const char *line) {
    (void)level;
    (void)snprintf(context, 64, "%s", line);
}

static void test_store_edges__what_cannot_be_written_is_left_out(void **state) {
    (void)state;
    static const wchar_t wrong[] = {0x7fffffff, 0}; /* no character at all */
    char line[64] = "nothing";
    struct error err = {.text = "old"};
    const struct log log = {.write = take_line, .context = line, .most = LOG_LEVEL_DEBUG};
    assert_int_equal(error_set(&err, STORE_IO, "%ls", wrong), STORE_IO);
    assert_string_equal(err.text, "");
    log_write(&log, LOG_LEVEL_ERROR, "%ls", wrong);
    assert_string_equal(line, "nothing");
    log_write(&log, LOG_LEVEL_ERROR, "%s", "text");
    assert_string_equal(line, "text");
}

static void test_store_edges__a_cache_may_be_of_any_size(void **state) {
    struct sample *sample = *state;
    static const uint64_t sizes[] = {1, UINT64_C(1) << 40, UINT64_MAX / 2};
    sample_make(sample, ROOT_OID, "file", S_IFREG | 0644, "text");
    sample_commit(sample, "2");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct inode_version *root;
        sample_reopen(sample, &(struct store_options){
                                  .writable = true, .cache_bytes = sizes[i], .historic_cache_bytes = sizes[i]});
        for (uint64_t before = 2; before <= AT(2); before++) {
            assert_int_equal(store_inode(sample->store, ROOT_OID, before, &root), STORE_OK);
            assert_int_equal(root->record.size, before - 2);
            store_release(sample->store, root);
        }
    }
}

/* ---- a repair that only tells ---- */

/* It keeps writers out, and says who is in its way. */
static void test_store_edges__a_dry_repair_waits_for_who_writes(void **state) {
    struct sample *sample = *state;
    char scratch[] = "/tmp/test_scratch.XXXXXX", path[128], kept[128];
    const struct repair_options options = {.scratch = scratch};
    struct repair_result result;
    struct error err = {0};
    assert_non_null(mkdtemp(scratch));
    assert_int_equal(store_repair(sample->directory, &options, &result, &err), STORE_LOCKED);
    assert_non_null(strstr(err.text, "is in use by another process"));
    assert_int_equal(store_set_mount_point(sample->store, "/mnt/there"), STORE_OK);
    assert_int_equal(store_repair(sample->directory, &options, &result, &err), STORE_LOCKED);
    assert_non_null(strstr(err.text, "is mounted on /mnt/there"));
    store_close(sample->store);
    assert_int_equal(store_repair(sample->directory, &options, &result, &err), STORE_OK);
    assert_false(result.damaged);
    repair_result_release(&result);
    assert_int_equal(rmdir(scratch), 0); /* empty again */
    /* Without its database it is no store, whether bodies are left or not. */
    (void)snprintf(path, sizeof path, "%s/tidfs.db", sample->directory);
    (void)snprintf(kept, sizeof kept, "%s/kept", sample->directory);
    assert_int_equal(rename(path, kept), 0);
    assert_int_equal(store_repair(sample->directory, &options, &result, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "tidfs.db is missing"));
    assert_int_equal(store_repair("/tmp", &options, &result, &err), STORE_NOT_A_STORE);
    assert_non_null(strstr(err.text, "there is no store at /tmp to repair"));
    assert_int_equal(rename(kept, path), 0);
    assert_int_equal(store_open(sample->directory, &(struct store_options){.writable = true}, &sample->store, &err),
                     STORE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_store_edges__##name, set_up, tear_down)
        cmocka_unit_test(test_store_edges__who_has_no_name_is_a_number),
        cmocka_unit_test(test_store_edges__a_path_that_leads_nowhere_is_no_store),
        cmocka_unit_test(test_store_edges__a_directory_that_was_made_goes_with_what_failed),
        TEST(what_is_packed_cannot_be_asked_for),
        TEST(the_instant_of_a_version_may_be_gone),
        TEST(only_a_revision_of_an_inode_is_a_version),
        TEST(bodies_are_the_same_if_all_of_them_is),
        TEST(a_body_has_a_length),
        TEST(data_to_the_end_and_behind_it),
        TEST(a_cache_may_be_of_any_size),
        TEST(a_dry_repair_waits_for_who_writes),
        cmocka_unit_test(test_store_edges__what_cannot_be_written_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
