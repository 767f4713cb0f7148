#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/damage.h"
#include "tests/sample.h"

#define CONTENT_BYTES 3000
#define COPY_FILES    16 /* in the directory of each further copy */

static const char *const names[] = {"dir", "sub", "file", "moved", "gone", "hard", "link", "table", "late", "v1", "no"};

const struct specimen_path specimen_paths[SPECIMEN_PATHS] = {
    {2, "/dir"}, {3, "/dir/sub"}, {4, "/moved"}, {4, "/dir/sub/hard"}, {5, "/link"}, {7, "/dir/sub/table"},
};

/* ---- what is in it ---- */

static const char *content(char *text, size_t length, unsigned seed) {
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + (seed + i * 7 + i / 13) % 26);
    text[length] = '\0';
    return text;
}

/* A file whose content is in the body table. */
static void make_table_file(struct sample *sample, uint64_t parent) {
    static const char text[] = "kept in the table";
    uint64_t id;
    assert_int_equal(storage_body_reserve(store_storage(sample->store), 1, &id), STORE_OK);
    uint64_t sum = XXH3_64bits(text, sizeof text);
    const struct new_body body = {.id = id, .data = (const uint8_t *)text, .length = sizeof text, .sum = sum};
    const struct commit commit = {
        .base = store_last(sample->store),
        .wall = sample->clock,
        .user = "tester",
        .message = "a body",
        .next_oid = sample->next_oid,
        .bodies = &body,
        .body_count = 1,
    };
    assert_int_equal(store_commit(sample->store, &commit, NULL), STORE_OK);
    struct extent extent = {.length = sizeof text, .body = {.position = id, .length = sizeof text, .sum = sum}};
    const struct chunk chunk = {.extents = &extent, .count = 1};
    uint64_t file = sample_make(sample, parent, "table", S_IFREG | 0644, NULL);
    sample_set_chunk(sample, file, 0, &chunk, sizeof text);
}

static void make_copies(struct sample *sample, unsigned copies) {
    char name[64], text[CONTENT_BYTES + 1];
    for (unsigned copy = 0; copy < copies; copy++) {
        (void)snprintf(name, sizeof name, "a directory with a name that takes some room %u", copy);
        uint64_t directory = sample_make(sample, ROOT_OID, name, S_IFDIR | 0755, NULL);
        for (unsigned i = 0; i < COPY_FILES; i++) {
            (void)snprintf(name, sizeof name, "a file with a name that takes some room %u", i);
            sample_make(sample, directory, name, S_IFREG | 0644, content(text, CONTENT_BYTES, i));
        }
        sample_commit(sample, "a copy");
        for (unsigned i = 0; i < COPY_FILES; i += 3) {
            (void)snprintf(name, sizeof name, "a file with a name that takes some room %u", i);
            sample_remove(sample, directory, name);
        }
        sample_commit(sample, "some less");
        for (uint64_t oid = ROOT_OID; oid < sample->next_oid; oid++)
            if (!sample->objects[oid].ended)
                sample_chmod(sample, oid, 0700 + copy);
        sample_commit(sample, "other permissions");
    }
}

/* Oids 2 and 3 are directories, 4 is a file. */
static struct sample *begin_store(unsigned copies) {
    char text[CONTENT_BYTES + 1];
    struct sample *sample = sample_new(NULL);
    uint64_t directory = sample_make(sample, ROOT_OID, "dir", S_IFDIR | 0755, NULL);
    uint64_t below = sample_make(sample, directory, "sub", S_IFDIR | 0700, NULL);
    uint64_t file = sample_make(sample, directory, "file", S_IFREG | 0644, content(text, CONTENT_BYTES, 1));
    sample_make(sample, ROOT_OID, "link", S_IFLNK | 0777, "dir/file");
    sample_make(sample, below, "gone", S_IFREG | 0600, "soon gone");
    uint64_t tid = sample_commit(sample, "first");
    assert_int_equal(storage_tag_set(store_storage(sample->store), "v1", tid, false), STORE_OK);
    sample_write(sample, file, content(text, CONTENT_BYTES, 2));
    sample_link(sample, file, below, "hard");
    sample_set_xattr(sample, file, "user.colour", "blue");
    sample_commit(sample, "second");
    make_table_file(sample, below);
    sample_remove(sample, below, "gone");
    sample_commit(sample, "third");
    make_copies(sample, copies);
    sample_move(sample, directory, "file", ROOT_OID, "moved");
    sample_chmod(sample, file, 0600);
    sample_commit(sample, "fourth");
    return sample;
}

static void end_store(struct sample *sample) {
    char text[CONTENT_BYTES + 1];
    sample_make(sample, ROOT_OID, "late", S_IFREG | 0644, content(text, CONTENT_BYTES, 3));
    sample_commit(sample, "last");
}

/* ---- its files ---- */

static void read_file(const char *directory, struct specimen_file *file) {
    char path[256];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s/%s", directory, file->name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    file->length = (size_t)status.st_size;
    file->bytes = malloc(file->length + 1);
    assert_non_null(file->bytes);
    assert_int_equal(pread(fd, file->bytes, file->length, 0), file->length);
    (void)close(fd);
}

static void take_file(struct specimen *specimen, const char *directory, const char *name) {
    assert_in_range(specimen->file_count, 0, SPECIMEN_FILES_MAX - 1);
    struct specimen_file *file = &specimen->files[specimen->file_count++];
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    read_file(directory, file);
}

struct specimen_file *specimen_file(struct specimen *specimen, const char *name) {
    for (size_t i = 0; i < specimen->file_count; i++)
        if (strcmp(specimen->files[i].name, name) == 0)
            return &specimen->files[i];
    fail_msg("no file %s", name);
    return NULL;
}

static void take_questions(struct specimen *specimen, struct store *store) {
    struct storage_state state;
    assert_int_equal(storage_get_state(store_storage(store), &state), STORE_OK);
    specimen->last = state.last_seq;
    specimen->next_oid = state.next_oid;
    uint64_t oids = state.next_oid < 24 ? state.next_oid : 24; /* of the larger one the first ones, and then some */
    questions_make(&specimen->questions, store_storage(store), oids, names, sizeof names / sizeof names[0]);
}

static void reopen(struct sample *sample) {
    sample_reopen(sample, &(struct store_options){.writable = true});
}

void specimen_make(struct specimen *specimen, unsigned copies) {
    *specimen = (struct specimen){0};
    struct sample *sample = begin_store(copies);
    reopen(sample); /* all is in the database then */
    (void)snprintf(specimen->old.name, sizeof specimen->old.name, "tidfs.db");
    read_file(sample->directory, &specimen->old);
    end_store(sample);
    reopen(sample);
    take_questions(specimen, sample->store);
    sample_reopen(sample, &(struct store_options){.writable = false});
    take_file(specimen, sample->directory, "tidfs.db");
    take_file(specimen, sample->directory, "bodies/00000001");
    sample_free(sample);
}

/* Where a log's frames end; there may be room for more in the file. */
static size_t end_of_log(const char *path) {
    enum { HEADER = 32, FRAME_HEADER = 24, SALTS = 8, PAGE = 4096 };
    uint8_t header[HEADER], frame[FRAME_HEADER];
    size_t end = HEADER;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, header, sizeof header, 0), sizeof header);
    while (pread(fd, frame, sizeof frame, (off_t)end) == (ssize_t)sizeof frame &&
           memcmp(frame + 8, header + 16, SALTS) == 0)
        end += FRAME_HEADER + PAGE;
    (void)close(fd);
    return end;
}

/* The files are taken while the store is open, as a crash would leave them. */
void specimen_make_crashed(struct specimen *specimen) {
    char path[128];
    *specimen = (struct specimen){0};
    struct sample *sample = begin_store(0);
    (void)snprintf(path, sizeof path, "%s/tidfs.db-wal", sample->directory);
    specimen->log_of_last = end_of_log(path);
    end_store(sample);
    take_questions(specimen, sample->store);
    take_file(specimen, sample->directory, "tidfs.db");
    take_file(specimen, sample->directory, "tidfs.db-wal");
    take_file(specimen, sample->directory, "tidfs.db-shm");
    take_file(specimen, sample->directory, "bodies/00000001");
    sample_free(sample);
}

void specimen_release(struct specimen *specimen) {
    for (size_t i = 0; i < specimen->file_count; i++)
        free(specimen->files[i].bytes);
    free(specimen->old.bytes);
    questions_release(&specimen->questions);
}

static void remove_others(const char *directory) {
    static const char *const others[] = {"tidfs.db-wal", "tidfs.db-shm", "bodies/00000002"};
    char path[256];
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", directory, others[i]);
        (void)unlink(path);
    }
}

void specimen_put(const struct specimen *specimen, const char *directory) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/bodies", directory);
    (void)mkdir(path, 0700);
    remove_others(directory);
    for (size_t i = 0; i < specimen->file_count; i++) {
        const struct specimen_file *file = &specimen->files[i];
        (void)snprintf(path, sizeof path, "%s/%s", directory, file->name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, file->bytes, file->length), file->length);
        (void)close(fd);
    }
}

void specimen_write(const char *directory, const char *name, size_t offset, const void *bytes, size_t length) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, length, (off_t)offset), length);
    (void)close(fd);
}
