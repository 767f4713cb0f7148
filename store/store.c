/* Making, opening and committing to a store. Reading is store_read.c.
 *
 * A store is opened in this order, and closed in the reverse: writer's lock, storage (and its layers), cache. Whoever has
 * the lock therefore is the only one whose storage may commit.
 */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_private.h"

#define CACHE_BYTES_DEFAULT (UINT64_C(64) << 20)

/* ---- making ---- */

/* STORE_OK: it is there and empty; STORE_ABSENT: there is nothing. */
static int check_empty(const char *directory, struct error *err) {
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        if (errno == ENOENT) {
            return STORE_ABSENT;
        }
        if (errno == ENOTDIR) {
            return error_set(err, STORE_EXISTS, "%s is not a directory", directory);
        }
        return error_set(err, store_error_from_errno(errno), "cannot open %s: %s", directory, strerror(errno));
    }
    int rc = STORE_OK;
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            rc = error_set(err, STORE_EXISTS, "%s is not empty: a store needs a directory of its own", directory);
            break;
        }
    }
    if (rc == STORE_OK && errno != 0) {
        rc = error_set(err, STORE_IO, "cannot read %s: %s", directory, strerror(errno));
    }
    closedir(stream);
    return rc;
}

static int remove_below(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    if (where->level > 0) {
        (void)remove(path);
    }
    return 0;
}

/* The directory was empty before, so all that is in it now is the failed attempt's. */
static void remove_attempt(const char *directory, bool made) {
    (void)nftw(directory, remove_below, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (made) {
        (void)rmdir(directory);
    }
}

static void name_user(char *name, size_t size) {
    struct passwd entry;
    struct passwd *found = NULL;
    char buffer[4096];

    if (getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != NULL &&
        strlen(found->pw_name) < size) {
        strcpy(name, found->pw_name);
    } else {
        (void)snprintf(name, size, "%lu", (unsigned long)getuid());
    }
}

/* Transaction 1: the root directory. */
static int commit_root(struct store *store, uint32_t uid, uint32_t gid) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) {
        return STORE_IO;
    }
    const struct inode_record root = {
        .mode = S_IFDIR | 0755,
        .uid = uid,
        .gid = gid,
        .nlink = 2,
        .parent = ROOT_OID,
        .next_index = ENTRY_INDEX_FIRST,
        .atime = now,
        .mtime = now,
        .ctime = now,
        .btime = now,
    };
    uint8_t *data = NULL;
    size_t length = 0;
    int rc = inode_record_encode(&root, &data, &length);
    if (rc != STORE_OK) {
        return rc;
    }
    const struct new_revision revision = {
        .oid = ROOT_OID, .part = PART_INODE, .directory = true, .data = data, .length = length};
    char user[256];
    name_user(user, sizeof user);
    const struct commit commit = {
        .base = 0,
        .wall = now,
        .user = user,
        .message = "store created",
        .next_oid = ROOT_OID + 1,
        .revisions = &revision,
        .revision_count = 1,
    };
    rc = store_commit(store, &commit, NULL);
    free(data);
    return rc;
}

int store_create(const char *directory, uint32_t uid, uint32_t gid, struct error *err) {
    int rc = check_empty(directory, err);
    if (rc < 0) {
        return rc;
    }
    bool made = rc == STORE_ABSENT;
    if (made && mkdir(directory, 0700) != 0) {
        return error_set(err, store_error_from_errno(errno), "cannot make %s: %s", directory, strerror(errno));
    }
    struct store *store = NULL;
    const struct store_options options = {.writable = true};
    rc = storage_sqlite_create(directory, err);
    if (rc == STORE_OK) {
        rc = store_open(directory, &options, &store, err);
    }
    if (rc == STORE_OK) {
        rc = commit_root(store, uid, gid);
        if (rc != STORE_OK) {
            error_set(err, rc, "cannot write the first transaction of %s: %s", directory, store_error_text(rc));
        }
        store_close(store);
    }
    if (rc != STORE_OK) {
        remove_attempt(directory, made);
    }
    return rc;
}

/* ---- opening ---- */

static int open_storage(struct store *store, const struct store_options *options, struct error *err) {
    const struct storage_open_options storage_options = {.writable = options->writable, .log = options->log};
    int rc = storage_sqlite_open(store->directory, &storage_options, &store->storage, err);
    if (rc != STORE_OK || !options->trace) {
        return rc;
    }
    struct storage *traced;
    rc = storage_trace_open(store->storage, options->log, &traced);
    if (rc != STORE_OK) {
        return error_set(err, rc, "cannot trace %s: %s", store->directory, store_error_text(rc));
    }
    store->storage = traced;
    return STORE_OK;
}

static int open_cache(struct store *store, const struct store_options *options, struct error *err) {
    struct storage_state state;
    int rc = storage_get_state(store->storage, &state);
    if (rc != STORE_OK) {
        return error_set(err, rc, "cannot read the state of %s: %s", store->directory, store_error_text(rc));
    }
    uint64_t bytes = options->cache_bytes != 0 ? options->cache_bytes : CACHE_BYTES_DEFAULT;
    uint64_t historic = options->historic_cache_bytes != 0 ? options->historic_cache_bytes : bytes / 2;
    store->cache = cache_new(bytes, historic);
    store->list_bytes_max = historic / 2;
    if (store->cache == NULL) {
        return error_set(err, STORE_NO_MEMORY, "no memory for the cache");
    }
    cache_advance(store->cache, state.last_seq, NULL, 0);
    atomic_store(&store->horizon, state.horizon);
    return STORE_OK;
}

/* Takes the writer's lock, which leaves a file: so only in what is a store. */
static int take_lock(struct store *store, const struct store_options *options, struct error *err) {
    struct storage *storage;
    int rc = storage_sqlite_open(store->directory, &(struct storage_open_options){.log = options->log}, &storage, err);
    if (rc != STORE_OK) {
        return rc;
    }
    storage_close(storage);
    return writer_lock_acquire(store->directory, options->mount_point != NULL ? options->mount_point : "", &store->lock,
                               err);
}

int store_open(const char *directory, const struct store_options *options, struct store **store, struct error *err) {
    struct store *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return error_set(err, STORE_NO_MEMORY, "no memory to open %s", directory);
    }
    if (pthread_mutex_init(&made->advance_lock, NULL) != 0) {
        free(made);
        return error_set(err, STORE_NO_MEMORY, "no memory to open %s", directory);
    }
    made->log = options->log;
    int rc = STORE_OK;
    made->directory = realpath(directory, NULL);
    if (made->directory == NULL) {
        int code = errno == ENOENT || errno == ENOTDIR ? STORE_NOT_A_STORE : store_error_from_errno(errno);
        rc = error_set(err, code, "cannot open %s: %s", directory, strerror(errno));
    }
    if (rc == STORE_OK && options->writable) {
        rc = take_lock(made, options, err);
    }
    if (rc == STORE_OK) {
        rc = open_storage(made, options, err);
    }
    if (rc == STORE_OK) {
        rc = open_cache(made, options, err);
    }
    if (rc != STORE_OK) {
        store_close(made);
        return rc;
    }
    *store = made;
    return STORE_OK;
}

void store_close(struct store *store) {
    if (store == NULL) {
        return;
    }
    cache_free(store->cache);
    storage_close(store->storage);
    writer_lock_release(store->lock);
    pthread_mutex_destroy(&store->advance_lock);
    free(store->directory);
    free(store);
}

struct storage *store_storage(struct store *store) {
    return store->storage;
}

struct cache *store_cache(struct store *store) {
    return store->cache;
}

struct log *store_log(struct store *store) {
    return store->log;
}

const char *store_directory(const struct store *store) {
    return store->directory;
}

int store_set_mount_point(struct store *store, const char *mount_point) {
    return store->lock != NULL ? writer_lock_describe(store->lock, mount_point) : STORE_READ_ONLY;
}

uint64_t store_last(struct store *store) {
    return cache_last(store->cache);
}

uint64_t store_horizon(struct store *store) {
    return atomic_load(&store->horizon);
}

/* ---- moving on ---- */

/* The objects that a commit changes. Neighbours that repeat are dropped; others do no harm. */
static size_t changed_objects(const struct commit *commit, uint64_t *oids) {
    size_t count = 0;
    for (size_t i = 0; i < commit->revision_count; i++) {
        if (count == 0 || oids[count - 1] != commit->revisions[i].oid) {
            oids[count++] = commit->revisions[i].oid;
        }
    }
    return count;
}

int store_commit(struct store *store, const struct commit *commit, struct transaction *done) {
    /* Allocated first: nothing may fail between the commit and telling the cache. */
    uint64_t *oids = malloc((commit->revision_count + 1) * sizeof *oids);
    if (oids == NULL) {
        return STORE_NO_MEMORY;
    }
    pthread_mutex_lock(&store->advance_lock);
    int rc = storage_commit(store->storage, commit, done);
    if (rc == STORE_OK) {
        cache_advance(store->cache, commit->base + 1, oids, changed_objects(commit, oids));
    }
    pthread_mutex_unlock(&store->advance_lock);
    free(oids);
    return rc;
}

int store_refresh(struct store *store, uint64_t **oids, size_t *count) {
    uint64_t *changed = NULL;
    size_t changed_count = 0;

    pthread_mutex_lock(&store->advance_lock);
    uint64_t last = cache_last(store->cache);
    struct storage_state state;
    int rc = storage_get_state(store->storage, &state);
    if (rc == STORE_OK) {
        atomic_store(&store->horizon, state.horizon);
        rc = state.last_seq > last ? storage_changed(store->storage, last, state.last_seq, &changed, &changed_count)
                                   : STORE_ABSENT;
    }
    if (rc == STORE_OK) {
        cache_advance(store->cache, state.last_seq, changed, changed_count);
    }
    pthread_mutex_unlock(&store->advance_lock);
    if (rc != STORE_OK) {
        return rc;
    }
    if (oids != NULL) {
        *oids = changed;
        *count = changed_count;
    } else {
        free(changed);
    }
    return STORE_OK;
}
