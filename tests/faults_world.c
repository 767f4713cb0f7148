#include "tests/faults_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/lock.h"
#include "tests/changing.h"

#define FILES_MAX 8

/* The template's files, by their path in the store. */
static struct {
    char path[64];
    uint8_t *data;
    size_t length;
} files[FILES_MAX];
static size_t file_count;
static struct instants template_instants;

/* ---- the template ---- */

static void take_file(const char *directory, const char *path) {
    char full[256];
    struct stat status;
    (void)snprintf(full, sizeof full, "%s/%s", directory, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    assert_true(file_count < FILES_MAX);
    uint8_t *data = malloc((size_t)status.st_size + 1);
    assert_non_null(data);
    assert_int_equal(pread(fd, data, (size_t)status.st_size, 0), status.st_size);
    (void)close(fd);
    (void)snprintf(files[file_count].path, sizeof files[0].path, "%s", path);
    files[file_count].data = data;
    files[file_count++].length = (size_t)status.st_size;
}

static void fill(char *text, size_t size, int seed) {
    for (size_t i = 0; i < size - 1; i++)
        text[i] = (char)('a' + (i / 7 + i / 300 + (size_t)seed) % 26);
    text[size - 1] = '\0';
}

static void set_acl(struct changing *c, const char *path) {
    /* u::rwx u:5:rwx g::r-x m::rwx o::--- */
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,  7,
                                  0, 5, 0,   0,   0,   4,   0,  5, 0,   255, 255, 255, 255, 16, 0,
                                  7, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
    assert_int_equal(head_setxattr(c->head, changing_find(c, path), "system.posix_acl_access", acl, sizeof acl, 0), 0);
}

static void tag(struct changing *c, const char *name) {
    struct transaction newest;
    assert_int_equal(storage_transaction_at(store_storage(c->store), store_last(c->store), &newest), STORE_OK);
    assert_int_equal(storage_tag_set(store_storage(c->store), name, newest.tid, false), STORE_OK);
    transaction_release(&newest);
}

/* Some of everything, with a past. */
static void fill_store(struct changing *c) {
    static char large[BODY_BYTES];
    (void)changing_mkdir(c, "dir");
    (void)changing_mkdir(c, "dir/below");
    (void)changing_write(c, "text", "one\ntwo\nthree\nfour\nfive\n");
    (void)changing_write(c, "dir/small", "little");
    fill(large, sizeof large, 1);
    (void)changing_write(c, "dir/large", large);
    (void)changing_symlink(c, "link", "dir/small");
    (void)changing_commit(c, "first things");
    tag(c, "first");
    changing_set_xattr(c, "text", "user.colour", "blue");
    changing_set_xattr(c, "dir", "user.kind", "directory");
    set_acl(c, "dir/small");
    changing_link(c, "text", "dir/hard");
    (void)changing_commit(c, "attributes");
    changing_save(c, "dir/small", "little more");
    changing_rename(c, "dir/below", "moved", 0);
    (void)changing_write(c, "text", "one\n2\nthree\nfour\nfive\n");
    (void)changing_commit(c, "renames");
    fill(large, sizeof large, 2);
    (void)changing_write(c, "dir/large", large);
    (void)changing_write(c, "moved/new", "in the directory that moved\n");
    changing_chmod(c, "dir", 0700);
    (void)changing_commit(c, "large");
    tag(c, "large");
    changing_remove(c, "moved");
    changing_remove(c, "link");
    (void)changing_write(c, "text", "one\n2\nthree\nfour\n5\n");
    (void)changing_commit(c, "removals");
}

void world_make_template(void) {
    struct changing *c = changing_new(1);
    fill_store(c);
    assert_int_equal(head_close(c->head), 0);
    store_close(c->store);
    take_file(c->directory, "tidfs.db");
    take_file(c->directory, LOCK_FILE);
    take_file(c->directory, "bodies/00000001");
    world_instants(c->directory, &template_instants);
    const struct store_options options = {.writable = true};
    const struct head_options head_options = {0};
    struct error err = {0};
    assert_int_equal(store_open(c->directory, &options, &c->store, &err), STORE_OK);
    assert_int_equal(head_open(c->store, &head_options, &c->head, &err), 0);
    changing_free(c);
}

void world_remove_template(void) {
    for (size_t i = 0; i < file_count; i++)
        free(files[i].data);
    file_count = 0;
}

const struct instants *world_template_instants(void) {
    return &template_instants;
}

/* ---- one run's store ---- */

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER; /* the threads of a store log too */

static void note_line(void *context, enum log_level level, const char *line) {
    struct world *w = context;
    (void)level;
    (void)pthread_mutex_lock(&log_mutex);
    size_t used = strlen(w->logged);
    (void)snprintf(w->logged + used, sizeof w->logged - used, "%s\n", line);
    (void)pthread_mutex_unlock(&log_mutex);
}

const char *world_log(struct world *w) {
    (void)pthread_mutex_lock(&log_mutex);
    memcpy(w->log_text, w->logged, sizeof w->log_text);
    (void)pthread_mutex_unlock(&log_mutex);
    return w->log_text;
}

void world_forget_log(struct world *w) {
    (void)pthread_mutex_lock(&log_mutex);
    w->logged[0] = '\0';
    (void)pthread_mutex_unlock(&log_mutex);
}

void world_begin(struct world *w, bool empty) {
    *w = (struct world){.log = {.write = note_line, .context = w, .most = LOG_LEVEL_WARNING}};
    /* In memory, if there is such a place: thousands are made. */
    strcpy(w->directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test_faults.XXXXXX" : "/tmp/test_faults.XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    if (empty)
        return;
    char path[768];
    (void)snprintf(path, sizeof path, "%s/bodies", w->directory);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < file_count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", w->directory, files[i].path);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, files[i].data, files[i].length, 0), files[i].length);
        assert_int_equal(close(fd), 0);
    }
}

static void remove_files(const char *directory, bool itself) {
    char path[512];
    DIR *stream = opendir(directory);
    if (stream) {
        const struct dirent *entry;
        while ((entry = readdir(stream)) != NULL) {
            (void)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
            if (entry->d_name[0] != '.' && unlink(path) < 0 && errno == EISDIR)
                remove_files(path, true);
        }
        (void)closedir(stream);
    }
    if (itself)
        (void)rmdir(directory);
}

void world_empty(struct world *w) {
    remove_files(w->directory, false);
}

void world_end(struct world *w) {
    remove_files(w->directory, true);
}

void world_close(struct world *w) {
    if (w->pool)
        view_pool_free(w->pool);
    if (w->head)
        (void)head_close(w->head);
    store_close(w->store);
    w->pool = NULL;
    w->head = NULL;
    w->store = NULL;
}

static int open_store(struct world *w, bool writable) {
    const struct store_options options = {.writable = writable, .log = &w->log, .cache_bytes = UINT64_C(1) << 20};
    return world_errno(store_open(w->directory, &options, &w->store, &w->err));
}

int world_open_read(struct world *w) {
    return open_store(w, false);
}

int world_open_write(struct world *w) {
    return open_store(w, true);
}

int world_open_head(struct world *w) {
    const struct head_options options = {.dirty_limit_bytes = UINT64_C(1) << 30, .user = "tester"};
    int rc = world_open_write(w);
    return rc ? rc : world_errno(head_open(w->store, &options, &w->head, &w->err));
}

int world_open_pool(struct world *w) {
    const struct view_pool_options options = {.idle_max = 4, .idle_ns = 1000000000};
    int rc = world_open_read(w);
    if (rc == 0) {
        w->pool = view_pool_new(w->store, &options);
        rc = w->pool ? 0 : ENOMEM;
    }
    return rc;
}

void world_read(struct world *w, const void *data, size_t length) {
    w->read = XXH3_64bits_withSeed(data, length, w->read);
}

void world_read_number(struct world *w, uint64_t number) {
    world_read(w, &number, sizeof number);
}

int world_errno(int code) {
    return store_error_errno(code);
}

/* ---- what a store shows ---- */

static void tell_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    print_message("verify: %s: %s\n", problem->path ? problem->path : "-", problem->text);
}

void world_instants(const char *directory, struct instants *instants) {
    struct changing c = {0};
    struct error err = {0};
    uint64_t problems;
    if (store_open(directory, &(struct store_options){0}, &c.store, &err) != STORE_OK)
        fail_msg("%s", err.text);
    const struct verify_options options = {.problem = tell_problem};
    assert_int_equal(storage_verify(store_storage(c.store), &options, &problems), STORE_OK);
    assert_int_equal(problems, 0);
    instants->last = store_last(c.store);
    assert_true(instants->last + 1 < INSTANTS_MAX);
    for (uint64_t before = 2; before <= instants->last + 1; before++) {
        char *text = changing_dump(&c, before, "", false);
        instants->hash[before] = XXH3_64bits(text, strlen(text));
        free(text);
    }
    store_close(c.store);
}
