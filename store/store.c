/* Making, opening and committing to a store. Reading is store_read.c.
 *
 * A store is opened in this order, and closed in the reverse: writer's lock, storage (and its layers), cache. Whoever has
 * the lock therefore is the only one whose storage may commit.
 */
#include "store/store.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/repair.h"
#include "store/store_private.h"

#define CACHE_BYTES_DEFAULT (UINT64_C(64) << 20)

/* ---- making ---- */

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

int store_create(const char *directory, uint32_t uid, uint32_t gid, struct error *err) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    bool made = mkdir(directory, 0700) == 0;
    if (!made && errno != EEXIST) {
        return error_set(err, store_error_from_errno(errno), "cannot make %s: %s", directory, strerror(errno));
    }
    struct stat status;
    if (!made && stat(directory, &status) == 0 && !S_ISDIR(status.st_mode)) {
        return error_set(err, STORE_EXISTS, "%s is not a directory", directory);
    }
    /* Transaction 1: the root directory. */
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
    struct new_revision revision = {.oid = ROOT_OID, .part = PART_INODE, .directory = true};
    uint8_t *data = NULL;
    int rc = inode_record_encode(&root, &data, &revision.length);
    if (rc != STORE_OK) {
        error_set(err, rc, "cannot make a store in %s: %s", directory, store_error_text(rc));
    } else {
        char user[256];
        name_user(user, sizeof user);
        revision.data = data;
        const struct commit commit = {
            .wall = now,
            .user = user,
            .message = "store created",
            .next_oid = ROOT_OID + 1,
            .revisions = &revision,
            .revision_count = 1,
        };
        rc = storage_sqlite_create_with(directory, &commit, err);
    }
    free(data);
    if (rc != STORE_OK && made) {
        (void)rmdir(directory);
    }
    return rc;
}

static bool has_bodies(const char *path) {
    char *bodies = NULL;
    struct stat status;
    bool there = asprintf(&bodies, "%s/bodies", path) >= 0 && lstat(bodies, &status) == 0;
    free(bodies);
    return there;
}

/* Writes nothing. A store without a lock file, or with one that cannot be read, has no writer that could be kept out. *fd: -1, or to be closed at the end. */
static int keep_writers_out(const char *path, int *fd, struct error *err) {
    struct lock_holder holder = {0};
    *fd = -1;
    int rc = reader_lock_acquire(path, fd);
    if (rc != STORE_LOCKED) {
        *fd = rc == STORE_OK ? *fd : -1;
        return rc == STORE_NO_MEMORY ? error_set(err, rc, "no memory to repair %s", path) : STORE_OK;
    }
    *fd = -1;
    if (writer_lock_holder(path, &holder) == STORE_OK && holder.mount_point[0] != '\0') {
        rc = error_set(err, STORE_LOCKED, "%s is mounted on %s: unmount it with `tidfs umount %s` first", path,
                       holder.mount_point, holder.mount_point);
    } else {
        rc = error_set(err, STORE_LOCKED, "%s is in use by another process; try again when that is done", path);
    }
    lock_holder_release(&holder);
    return rc;
}

int store_repair(const char *directory, const struct repair_options *options, struct repair_result *result,
                 struct error *err) {
    char user[256];
    struct repair_options with_user = *options;
    struct writer_lock *lock = NULL;
    int reading = -1;
    struct stat status;
    *result = (struct repair_result){0};
    char *path = realpath(directory, NULL);
    char *database = NULL;
    int looked = path != NULL ? 0 : errno, rc = STORE_OK;
    if (path != NULL && asprintf(&database, "%s/tidfs.db", path) < 0) {
        database = NULL;
        looked = ENOMEM;
    }
    if (database != NULL && lstat(database, &status) != 0) {
        looked = errno;
    }
    /* The lock leaves a file: so only in what is a store, as far as can be told of a damaged one. */
    if (looked != 0 && looked != ENOENT && looked != ENOTDIR) {
        rc = error_set(err, (enum store_error)store_error_from_errno(looked), "cannot look for a store at %s: %s",
                       directory, strerror(looked));
    } else if (looked == ENOENT && path != NULL && has_bodies(path)) {
        rc = error_set(
            err, STORE_NOT_A_STORE,
            "%s/tidfs.db is missing, and with it all names and history: put it back from a copy, or rename one "
            "that is left beside it (tidfs.db.damaged-*), and repair that",
            directory);
    } else if (looked != 0) {
        rc = error_set(err, STORE_NOT_A_STORE, "there is no store at %s to repair", directory);
    } else if (!S_ISREG(status.st_mode)) {
        rc = error_set(err, STORE_NOT_A_STORE,
                       "%s/tidfs.db is no regular file: put the database itself there, and repair that", directory);
    }
    if (rc == STORE_OK) {
        rc = options->scratch != NULL ? keep_writers_out(path, &reading, err)
                                      : writer_lock_acquire(path, "", &lock, err);
    }
    if (rc == STORE_OK) {
        name_user(user, sizeof user);
        with_user.user = user;
        rc = storage_sqlite_repair(path, &with_user, result, err);
    }
    if (reading >= 0) {
        (void)close(reading);
    }
    writer_lock_release(lock);
    free(database);
    free(path);
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
