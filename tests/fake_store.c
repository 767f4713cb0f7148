#include "tests/fake_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "history/view.h"
#include "store/head.h"

/* ---- making ---- */

struct making {
    struct store *store;
    struct head *head;
    struct fake_instants *instants;
    bool failed;
};

static void expect(struct making *making, const char *what, int64_t rc) {
    if (rc < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror((int)-rc));
        making->failed = true;
    }
}

static uint64_t make(struct making *making, uint64_t parent, const char *name, uint32_t mode, const char *target) {
    const struct head_caller caller = {0, 0, 022};
    struct head_attr attr = {0};
    int rc = head_make(making->head, parent, name, strlen(name), mode, 0x103, target, &caller, &attr);
    expect(making, name, rc);
    if (rc == 0) {
        head_forget(making->head, attr.oid, 1);
    }
    return attr.oid;
}

static void fill(struct making *making, uint64_t oid, uint64_t offset, size_t size, int byte) {
    uint8_t *data = malloc(size);
    if (data == NULL) {
        making->failed = true;
        return;
    }
    memset(data, byte, size);
    for (size_t at = 0; at < size; at += 509) {
        data[at] = (uint8_t)(at >> 4);
    }
    expect(making, "write", head_write(making->head, oid, offset, size, data, false));
    free(data);
}

static void commit(struct making *making, const char *message) {
    struct fake_instants *instants = making->instants;
    uint64_t tid = 0;
    expect(making, message, head_seal(making->head, NULL, message, &tid));
    instants->tids[instants->count] = tid;
    instants->seqs[instants->count++] = store_last(making->store);
}

static void make_tree(struct making *making) {
    static const uint8_t acl[] = {2, 0,   0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,  6,
                                  0, 232, 3,   0,   0,   4,   0,  5, 0,   255, 255, 255, 255, 16, 0,
                                  7, 0,   255, 255, 255, 255, 32, 0, 1,   0,   255, 255, 255, 255};
    struct head *head = making->head;
    struct head_attr attr;
    uint64_t file = make(making, ROOT_OID, "file", S_IFREG | 0644, NULL);
    uint64_t dir = make(making, ROOT_OID, "dir", S_IFDIR | 0755, NULL);
    uint64_t sub = make(making, dir, "sub", S_IFDIR | S_ISGID | 0770, NULL);
    uint64_t deep = make(making, sub, "deep", S_IFREG | S_ISGID | 0664, NULL);
    uint64_t gone = make(making, ROOT_OID, "gone", S_IFREG | 0600, NULL);
    uint64_t turned = make(making, ROOT_OID, "turned", S_IFREG | 0644, NULL);
    uint64_t sparse = make(making, ROOT_OID, "sparse", S_IFREG | 0644, NULL);
    uint64_t closed = make(making, ROOT_OID, "closed", S_IFDIR | 0700, NULL);
    (void)make(making, ROOT_OID, "link", S_IFLNK | 0777, "dir/sub/deep");
    (void)make(making, dir, "fifo", S_IFIFO | 0600, NULL);
    fill(making, file, 0, 200, 'a');
    fill(making, deep, 0, 200000, 'b');
    fill(making, gone, 0, 70000, 'c');
    fill(making, turned, 0, 5, 'd');
    fill(making, sparse, 1 << 20, 4096, 'e');
    expect(making, "xattr", head_setxattr(head, deep, "user.a", "value", 5, 0));
    expect(making, "acl", head_setxattr(head, deep, "system.posix_acl_access", acl, sizeof acl, 0));
    expect(making, "default acl", head_setxattr(head, closed, "system.posix_acl_default", acl, sizeof acl, 0));
    if (head_link(head, deep, ROOT_OID, "hard", 4, &attr) == 0) {
        head_forget(head, deep, 1);
    }
    commit(making, "all of it");
    fill(making, deep, 65530, 20, 'f');
    expect(making, "unlink", head_unlink(head, ROOT_OID, "gone", 4));
    expect(making, "unlink", head_unlink(head, ROOT_OID, "turned", 6));
    turned = make(making, ROOT_OID, "turned", S_IFDIR | 0711, NULL);
    (void)make(making, turned, "a", S_IFREG | 0644, NULL);
    commit(making, "changed");
    expect(making, "rename", head_rename(head, ROOT_OID, "file", 4, sub, "file", 4, 0));
    expect(making, "truncate", head_setattr(head, deep, HEAD_SET_SIZE, &(struct head_attr){.size = 100000}, &attr));
    commit(making, "moved");
    fill(making, file, 100, 5, 'g');
    commit(making, "newest");
}

bool fake_store_make(const char *directory, struct fake_instants *instants) {
    struct making making = {.instants = instants};
    struct error err = {0};
    *instants = (struct fake_instants){0};
    if (store_create(directory, 0, 0, &err) != STORE_OK ||
        store_open(directory, &(struct store_options){.writable = true}, &making.store, &err) != STORE_OK) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    if (head_open(making.store, &(struct head_options){.dirty_limit_bytes = 1 << 26}, &making.head, &err) != STORE_OK) {
        fprintf(stderr, "%s\n", err.text);
        making.failed = true;
    } else {
        make_tree(&making);
        if (instants->count > 2 &&
            storage_tag_set(store_storage(making.store), "release", instants->tids[1], false) < 0) {
            making.failed = true;
        }
        expect(&making, "close", head_close(making.head));
    }
    store_close(making.store);
    return !making.failed;
}

/* ---- copying and removing: directories within directories, and files ---- */

static bool copy_file(int from, int to) {
    struct stat stat;
    if (fstat(from, &stat) != 0) {
        return false;
    }
    for (off_t left = stat.st_size; left > 0;) {
        uint8_t buffer[65536];
        ssize_t got = read(from, buffer, sizeof buffer);
        if (got <= 0 || write(to, buffer, (size_t)got) != got) {
            return false;
        }
        left -= got;
    }
    return true;
}

/* from_fd and to_fd are directories. */
static bool copy_all(int from_fd, int to_fd) {
    DIR *directory = fdopendir(from_fd);
    bool good = directory != NULL;
    const struct dirent *entry;
    while (good && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        bool is_directory = entry->d_type == DT_DIR;
        int from = openat(from_fd, entry->d_name, O_RDONLY | O_CLOEXEC);
        if (is_directory && mkdirat(to_fd, entry->d_name, 0700) != 0) {
            good = false;
        }
        int to = openat(to_fd, entry->d_name, is_directory ? O_RDONLY | O_CLOEXEC : O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        good = good && from >= 0 && to >= 0 && (is_directory ? copy_all(from, to) : copy_file(from, to));
        if (from >= 0 && !is_directory) {
            close(from);
        }
        if (to >= 0) {
            close(to);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return good;
}

bool fake_store_copy(const char *from, const char *to) {
    if (mkdir(to, 0700) != 0) {
        return false;
    }
    int from_fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC), to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = from_fd >= 0 && to_fd >= 0 && copy_all(from_fd, to_fd);
    if (to_fd >= 0) {
        close(to_fd);
    }
    return good;
}

static bool remove_all(int parent, const char *name) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool good = directory != NULL;
    while (good && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            good = entry->d_type == DT_DIR ? remove_all(fd, entry->d_name) : unlinkat(fd, entry->d_name, 0) == 0;
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    return good && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

bool fake_store_remove(const char *directory) {
    return remove_all(AT_FDCWD, directory);
}

/* ---- checking ---- */

struct reading {
    struct store *store;
    struct view *view;
    XXH3_state_t *hash;
    bool exactly;
    int failed;
};

static void hash(struct reading *reading, const void *data, size_t length) {
    (void)XXH3_64bits_update(reading->hash, data, length);
}

static void read_xattrs(struct reading *reading, const struct view_attr *attr) {
    static char names[65536], value[65536];
    bool directory = S_ISDIR(attr->stat.st_mode);
    size_t length = 0, value_length = 0;
    reading->failed |= directory ? view_listxattr(reading->view, attr->oid, names, sizeof names, &length)
                                 : view_file_listxattr(reading->store, attr->revision, names, sizeof names, &length);
    for (const char *name = names; name < names + length; name += strlen(name) + 1) {
        reading->failed |=
            directory ? view_getxattr(reading->view, attr->oid, name, value, sizeof value, &value_length)
                      : view_file_getxattr(reading->store, attr->revision, name, value, sizeof value, &value_length);
        hash(reading, name, strlen(name) + 1);
        hash(reading, value, value_length);
    }
}

static void read_content(struct reading *reading, const struct view_attr *attr) {
    static uint8_t data[65536];
    size_t done = 0;
    for (uint64_t at = 0; S_ISREG(attr->stat.st_mode) && at < (uint64_t)attr->stat.st_size && !reading->failed;
         at += done) {
        reading->failed |= view_file_read(reading->store, attr->revision, at, sizeof data, data, &done);
        if (done == 0) {
            reading->failed = -EIO;
        }
        hash(reading, data, done);
    }
    if (S_ISLNK(attr->stat.st_mode)) {
        reading->failed |= view_file_readlink(reading->store, attr->revision, (char *)data, sizeof data, &done);
        hash(reading, data, done);
    }
}

static bool read_one(void *context, const struct view_entry *entry);

static void read_object(struct reading *reading, const struct view_attr *attr) {
    const struct stat *stat = &attr->stat;
    const uint64_t put[] = {stat->st_mode, stat->st_nlink, stat->st_uid,
                            stat->st_gid,  stat->st_rdev,  S_ISDIR(stat->st_mode) ? 0 : (uint64_t)stat->st_size};
    const uint64_t numbers[] = {attr->oid,
                                attr->ino,
                                (uint64_t)stat->st_blocks,
                                (uint64_t)stat->st_mtim.tv_sec,
                                (uint64_t)stat->st_mtim.tv_nsec,
                                (uint64_t)stat->st_ctim.tv_sec,
                                (uint64_t)stat->st_ctim.tv_nsec};
    hash(reading, put, sizeof put);
    if (reading->exactly) {
        hash(reading, numbers, sizeof numbers);
    }
    read_xattrs(reading, attr);
    read_content(reading, attr);
    if (S_ISDIR(attr->stat.st_mode)) {
        reading->failed |= view_readdir(reading->view, attr->oid, 0, true, read_one, reading);
    }
}

static bool read_one(void *context, const struct view_entry *entry) {
    struct reading *reading = context;
    if (entry->length == 5 && memcmp(entry->name, "again", 5) == 0) {
        return true;
    }
    hash(reading, entry->name, entry->length);
    if (entry->attr == NULL) {
        reading->failed = -EIO;
    } else {
        read_object(reading, entry->attr);
    }
    return reading->failed == 0;
}

static int read_all(struct store *store, uint64_t before, bool exactly, uint64_t *fingerprint) {
    struct view_pool *pool = view_pool_new(store, &(struct view_pool_options){.idle_max = 1});
    struct reading reading = {.store = store, .hash = XXH3_createState(), .exactly = exactly};
    struct view_attr root;
    int rc = pool == NULL || reading.hash == NULL ? -ENOMEM : view_pool_open(pool, before, &reading.view);
    if (rc == 0) {
        (void)XXH3_64bits_reset(reading.hash);
        rc = view_getattr(reading.view, ROOT_OID, &root);
        if (rc == 0) {
            read_object(&reading, &root);
            rc = reading.failed;
        }
        *fingerprint = XXH3_64bits_digest(reading.hash);
        view_pool_done(pool, reading.view);
    }
    if (pool != NULL) {
        view_pool_free(pool);
    }
    (void)XXH3_freeState(reading.hash);
    return rc;
}

static void print_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    fprintf(stderr, "verify: %s: %s\n", problem->path != NULL ? problem->path : "-", problem->text);
}

bool fake_store_check(const char *directory, uint64_t before, bool exactly, uint64_t *fingerprint) {
    struct store *store;
    struct error err = {0};
    uint64_t problems = 0;
    if (store_open(directory, &(struct store_options){0}, &store, &err) != STORE_OK) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    int rc = storage_verify(store_storage(store), &(struct verify_options){.problem = print_problem}, &problems);
    int read = rc == STORE_OK ? read_all(store, before != 0 ? before : store_last(store) + 1, exactly, fingerprint) : 0;
    if (rc != STORE_OK || read != 0) {
        fprintf(stderr, "the store cannot be read: %s\n", rc != STORE_OK ? store_error_text(rc) : strerror(-read));
    }
    store_close(store);
    return rc == STORE_OK && problems == 0 && read == 0;
}
