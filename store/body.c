#include "store/body.h"

#include <assert.h>
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

#include "store/transfer.h"

#define OPEN_FILES     64 /* descriptors kept open; a store of 10 TB has ten thousand files */
#define FILE_NAME_SIZE 12

struct open_file {
    uint32_t number; /* 0: the slot is free */
    int fd;
    unsigned users;
    uint64_t last_use;
};

struct body_files {
    int directory;
    bool writable;
    struct log *log;

    pthread_mutex_t mutex; /* guards all below */
    struct open_file files[OPEN_FILES];
    uint64_t uses;
    uint32_t file;           /* that is appended to; 0: none is yet */
    uint64_t position;       /* of the next append in it */
    bool new_file;           /* the next append begins file + 1, whatever the position */
    uint32_t dirty_first;    /* files with finished appends since the last flush; 0: none */
    struct body_end written; /* the end of the highest finished append */
    bool directory_dirty;    /* a file may have been created since the last flush */
    bool failed;             /* invariant 3 */
};

static void format_file_name(uint32_t number, char name[FILE_NAME_SIZE]) {
    (void)snprintf(name, FILE_NAME_SIZE, "%08" PRIu32, number);
}

/* The number in a body file's name, or 0 if it is no such name. */
static uint32_t parse_file_name(const char *name) {
    if (strlen(name) < 8 || strspn(name, "0123456789") != strlen(name))
        return 0;
    errno = 0;
    unsigned long number = strtoul(name, NULL, 10);
    return errno == 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

int body_files_create(const char *store_directory, struct error *err) {
    int store = (int)TEMP_FAILURE_RETRY(open(store_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (store < 0)
        return error_set(err, store_error_from_errno(errno), "cannot open %s: %s", store_directory, strerror(errno));
    int rc = STORE_OK;
    if (mkdirat(store, BODY_DIRECTORY, 0700) < 0)
        rc = error_set(err, store_error_from_errno(errno), "cannot make %s/" BODY_DIRECTORY ": %s", store_directory,
                       strerror(errno));
    (void)close(store);
    return rc;
}

static int cannot_list(const struct body_files *bodies, int saved_errno) {
    log_write(bodies->log, LOG_LEVEL_ERROR, "cannot list the directory of body files: %s", strerror(saved_errno));
    return store_error_from_errno(saved_errno);
}

static int cannot_look(const struct body_files *bodies, const char *name, int saved_errno) {
    log_write(bodies->log, LOG_LEVEL_ERROR, "cannot look at body file %s: %s", name, strerror(saved_errno));
    errno = saved_errno;
    return store_error_from_errno(saved_errno);
}

/* Calls back for each file with such a name, which are not always all the numbers from 1. */
static int each_file(const struct body_files *bodies,
                     int (*found)(const struct body_files *bodies, uint32_t number, void *context), void *context) {
    int fd = (int)TEMP_FAILURE_RETRY(openat(bodies->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (!directory) {
        int rc = cannot_list(bodies, errno);
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    int rc = STORE_OK;
    const struct dirent *entry;
    while (errno = 0, rc == STORE_OK && (entry = readdir(directory)) != NULL) {
        uint32_t number = parse_file_name(entry->d_name);
        if (number != 0)
            rc = found(bodies, number, context);
    }
    if (rc == STORE_OK && errno != 0)
        rc = cannot_list(bodies, errno);
    (void)closedir(directory);
    return rc;
}

static int keep_highest(const struct body_files *bodies, uint32_t number, void *last) {
    (void)bodies;
    if (number > *(uint32_t *)last)
        *(uint32_t *)last = number;
    return STORE_OK;
}

static int add_space(const struct body_files *bodies, uint32_t number, void *bytes) {
    char name[FILE_NAME_SIZE];
    struct stat status;
    format_file_name(number, name);
    if (fstatat(bodies->directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        *(uint64_t *)bytes += (uint64_t)status.st_blocks * 512;
    else if (errno != ENOENT)
        return cannot_look(bodies, name, errno);
    return STORE_OK;
}

/* The highest numbered body file, 0 if there is none. */
static int find_last_file(const struct body_files *bodies, uint32_t *last) {
    *last = 0;
    return each_file(bodies, keep_highest, last);
}

/* Body files are regular files in the directory itself. Anything else would be waited for, or lead to what is no part of the store. */
static int refuse_file(const struct body_files *bodies, const char *name) {
    log_write(bodies->log, LOG_LEVEL_ERROR, "body file %s is no regular file", name);
    return STORE_CORRUPT;
}

/* 0 for a file that is not there. */
static int file_size(const struct body_files *bodies, uint32_t number, uint64_t *size) {
    char name[FILE_NAME_SIZE];
    struct stat status;
    format_file_name(number, name);
    *size = 0;
    if (fstatat(bodies->directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? STORE_OK : cannot_look(bodies, name, errno);
    if (!S_ISREG(status.st_mode))
        return refuse_file(bodies, name);
    *size = (uint64_t)status.st_size;
    return STORE_OK;
}

/* Finds where to append: at the end of the last file, or in a new one if committed bytes are missing. */
static int find_append_position(struct body_files *bodies, struct body_end committed) {
    uint32_t last;
    uint64_t committed_size = 0;
    int rc = find_last_file(bodies, &last);
    if (rc == STORE_OK && committed.file != 0)
        rc = file_size(bodies, committed.file, &committed_size);
    if (rc == STORE_OK && committed_size < committed.end) {
        log_write(bodies->log, LOG_LEVEL_ERROR,
                  "body file %08" PRIu32 " is damaged: it has %" PRIu64 " bytes and should have at least %" PRIu64,
                  committed.file, committed_size, committed.end);
        bodies->new_file = true;
    }
    bodies->file = last > committed.file ? last : committed.file;
    if (rc == STORE_OK && bodies->file != 0)
        rc = file_size(bodies, bodies->file, &bodies->position);
    return rc;
}

void body_files_only_read(struct body_files *bodies) {
    bodies->writable = false;
}

int body_files_open(const char *store_directory, bool writable, struct body_end committed, struct log *log,
                    struct body_files **out, struct error *err) {
    struct body_files *bodies = calloc(1, sizeof *bodies);
    char *path = NULL;
    if (!bodies || asprintf(&path, "%s/" BODY_DIRECTORY, store_directory) < 0) {
        free(bodies);
        return error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", store_directory);
    }
    bodies->log = log;
    bodies->writable = writable;
    bodies->written = committed;
    bodies->directory_dirty = true; /* a process that was killed may have left a file whose name is not durable */
    int rc = STORE_OK;
    bodies->directory = (int)TEMP_FAILURE_RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (bodies->directory < 0 && errno == ENOTDIR) /* as a symlink is, too, with these flags */
        rc = error_set(err, STORE_CORRUPT, "%s, which holds the contents of large files, is no directory of the store",
                       path);
    else if (bodies->directory < 0)
        rc = error_set(err, errno == ENOENT ? STORE_CORRUPT : store_error_from_errno(errno),
                       "cannot open %s, which holds the contents of large files: %s", path, strerror(errno));
    else if (pthread_mutex_init(&bodies->mutex, NULL) != 0) {
        (void)close(bodies->directory);
        rc = error_set(err, STORE_NO_MEMORY, "cannot open %s: out of memory", path);
    }
    if (rc < 0) {
        free(path);
        free(bodies);
        return rc;
    }
    if (writable) {
        rc = find_append_position(bodies, committed);
        if (rc == STORE_CORRUPT)
            (void)error_set(
                err, rc,
                "%s: what stands for its newest file is no regular file: put the file itself there, or take "
                "that away",
                path);
        else if (rc < 0)
            (void)error_set(err, rc, "cannot list %s: %s", path, store_error_text(rc));
    }
    free(path);
    if (rc < 0)
        body_files_close(bodies);
    else
        *out = bodies;
    return rc;
}

void body_files_close(struct body_files *bodies) {
    if (!bodies)
        return;
    for (size_t i = 0; i < OPEN_FILES; i++) {
        assert(bodies->files[i].users == 0);
        if (bodies->files[i].number != 0)
            (void)close(bodies->files[i].fd);
    }
    (void)close(bodies->directory);
    (void)pthread_mutex_destroy(&bodies->mutex);
    free(bodies);
}

/* A file in use: a slot of the table, or a descriptor of its own when every slot is in use. */
struct file_use {
    struct open_file *slot; /* NULL: fd is closed after use */
    int fd;
};

/* The slot that has the file, or the free or idle slot used longest ago, or NULL. Mutex held. */
static struct open_file *choose_slot(struct body_files *bodies, uint32_t number) {
    struct open_file *oldest = NULL;
    for (size_t i = 0; i < OPEN_FILES; i++) {
        struct open_file *file = &bodies->files[i];
        if (file->number == number)
            return file;
        if (file->users == 0 && (!oldest || file->last_use < oldest->last_use))
            oldest = file;
    }
    return oldest;
}

/* STORE_ABSENT if there is no such file. Mutex held. */
static int use_file_locked(struct body_files *bodies, uint32_t number, int more_flags, struct file_use *use) {
    struct open_file *slot = choose_slot(bodies, number);
    if (!slot || slot->number != number) {
        char name[FILE_NAME_SIZE];
        format_file_name(number, name);
        struct stat status;
        more_flags |= (bodies->writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
        int fd = (int)TEMP_FAILURE_RETRY(openat(bodies->directory, name, more_flags, 0600));
        int saved_errno = fd < 0 ? errno : 0;
        if (fd >= 0 && fstat(fd, &status) < 0) {
            int rc = cannot_look(bodies, name, errno);
            (void)close(fd);
            return rc;
        }
        if (fd >= 0 && !S_ISREG(status.st_mode)) {
            (void)close(fd);
            return refuse_file(bodies, name);
        }
        if (fd < 0) {
            if (saved_errno == ENOENT)
                return STORE_ABSENT;
            if (saved_errno == ELOOP || saved_errno == ENXIO || saved_errno == EISDIR)
                return refuse_file(bodies, name);
            log_write(bodies->log, LOG_LEVEL_ERROR, "cannot open body file %s: %s", name, strerror(saved_errno));
            errno = saved_errno;
            return store_error_from_errno(saved_errno);
        }
        if (!slot) {
            *use = (struct file_use){.slot = NULL, .fd = fd};
            return STORE_OK;
        }
        if (slot->number != 0)
            (void)close(slot->fd); /* written through this descriptor or not, the file is synced by number */
        slot->number = number;
        slot->fd = fd;
    }
    slot->users++;
    slot->last_use = ++bodies->uses;
    *use = (struct file_use){.slot = slot, .fd = slot->fd};
    return STORE_OK;
}

static int use_file(struct body_files *bodies, uint32_t number, struct file_use *use) {
    (void)pthread_mutex_lock(&bodies->mutex);
    int rc = use_file_locked(bodies, number, 0, use);
    (void)pthread_mutex_unlock(&bodies->mutex);
    return rc;
}

static void end_use(struct body_files *bodies, struct file_use *use) {
    if (!use->slot) {
        (void)close(use->fd);
        return;
    }
    (void)pthread_mutex_lock(&bodies->mutex);
    use->slot->users--;
    (void)pthread_mutex_unlock(&bodies->mutex);
}

/* Gives out the place of the next body, beginning a new file where one is due. */
static int reserve(struct body_files *bodies, uint32_t length, struct body_ref *ref, struct file_use *use) {
    int rc = STORE_OK;
    (void)pthread_mutex_lock(&bodies->mutex);
    if (bodies->failed) {
        rc = STORE_IO;
    } else if (bodies->file == 0 || bodies->new_file || bodies->position + length > BODY_FILE_BYTES) {
        rc = bodies->file == UINT32_MAX ? STORE_FULL : use_file_locked(bodies, bodies->file + 1, O_CREAT | O_EXCL, use);
        if (rc == STORE_OK) {
            bodies->file++;
            bodies->position = 0;
            bodies->new_file = false;
            bodies->directory_dirty = true;
        }
    } else {
        rc = use_file_locked(bodies, bodies->file, 0, use);
    }
    if (rc == STORE_ABSENT) {
        log_write(bodies->log, LOG_LEVEL_ERROR, "body file %08" PRIu32 " has vanished", bodies->file);
        rc = STORE_IO;
    }
    if (rc == STORE_OK) {
        ref->file = bodies->file;
        ref->position = bodies->position;
        bodies->position += length;
    }
    (void)pthread_mutex_unlock(&bodies->mutex);
    return rc;
}

int body_files_append(struct body_files *bodies, const uint8_t *data, uint32_t length, struct body_ref *ref) {
    assert(length > 0 && length <= BODY_LIMIT);
    if (!bodies->writable)
        return STORE_READ_ONLY;
    struct file_use use;
    *ref = (struct body_ref){.length = length, .sum = XXH3_64bits(data, length)};
    int rc = reserve(bodies, length, ref, &use);
    if (rc != STORE_OK)
        return rc;
    if (transfer_write(use.fd, data, length, ref->position) < 0) {
        int saved_errno = errno;
        rc = store_error_from_errno(saved_errno);
        /* On a full disk every writer hears it himself. */
        log_write(bodies->log, rc == STORE_FULL ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
                  "cannot write body file %08" PRIu32 ": %s", ref->file, strerror(saved_errno));
    }
    end_use(bodies, &use);

    (void)pthread_mutex_lock(&bodies->mutex);
    uint64_t end = ref->position + length;
    if (rc == STORE_OK) {
        if (bodies->dirty_first == 0 || ref->file < bodies->dirty_first)
            bodies->dirty_first = ref->file;
        if (ref->file > bodies->written.file || (ref->file == bodies->written.file && end > bodies->written.end))
            bodies->written = (struct body_end){.file = ref->file, .end = end};
    } else if (ref->file == bodies->file && end == bodies->position) {
        bodies->position = ref->position; /* nobody was told of it, so a full disk wastes no positions */
    }
    (void)pthread_mutex_unlock(&bodies->mutex);
    return rc;
}

int body_files_read(struct body_files *bodies, const struct body_ref *ref, uint8_t *buffer) {
    struct file_use use;
    int rc = ref->position > (uint64_t)INT64_MAX - ref->length ? STORE_ABSENT : use_file(bodies, ref->file, &use);
    if (rc == STORE_ABSENT) {
        log_write(bodies->log, LOG_LEVEL_ERROR, "body file %08" PRIu32 " is missing", ref->file);
        return STORE_CORRUPT;
    }
    if (rc < 0)
        return rc;
    ssize_t got = transfer_read(use.fd, buffer, ref->length, ref->position);
    int saved_errno = got < 0 ? errno : 0;
    if (got < 0) {
        rc = store_error_from_errno(saved_errno);
        log_write(bodies->log, LOG_LEVEL_ERROR,
                  "cannot read the %" PRIu32 " bytes at %" PRIu64 " of body file %08" PRIu32 ": %s", ref->length,
                  ref->position, ref->file, strerror(saved_errno));
    } else if ((size_t)got < ref->length) {
        log_write(bodies->log, LOG_LEVEL_ERROR,
                  "body file %08" PRIu32 " is damaged: it ends at byte %" PRIu64
                  ", inside or before the body at %" PRIu64,
                  ref->file, ref->position + (size_t)got, ref->position);
        rc = STORE_CORRUPT;
    }
    end_use(bodies, &use);
    if (got < 0)
        errno = saved_errno;
    if (rc == STORE_OK && XXH3_64bits(buffer, ref->length) != ref->sum) {
        log_write(bodies->log, LOG_LEVEL_ERROR,
                  "body file %08" PRIu32 " is damaged: wrong checksum of the %" PRIu32 " bytes at %" PRIu64, ref->file,
                  ref->length, ref->position);
        rc = STORE_CORRUPT;
    }
    return rc;
}

int body_files_look(struct body_files *bodies, uint32_t number) {
    struct file_use use;
    int rc = use_file(bodies, number, &use);
    if (rc == STORE_OK)
        end_use(bodies, &use);
    return rc;
}

int body_files_flush(struct body_files *bodies, struct body_end *end) {
    (void)pthread_mutex_lock(&bodies->mutex);
    uint32_t first = bodies->dirty_first, last = bodies->written.file;
    bool directory_dirty = bodies->directory_dirty, failed = bodies->failed;
    *end = bodies->written;
    bodies->dirty_first = 0;
    bodies->directory_dirty = false;
    (void)pthread_mutex_unlock(&bodies->mutex);
    if (failed)
        return STORE_IO;

    int rc = STORE_OK;
    for (uint32_t number = first; first != 0 && number <= last && rc == STORE_OK; number++) {
        struct file_use use;
        rc = use_file(bodies, number, &use);
        if (rc != STORE_OK)
            break;
        if (TEMP_FAILURE_RETRY(fdatasync(use.fd)) < 0) {
            rc = STORE_IO; /* whatever the reason: invariant 3 */
            log_write(bodies->log, LOG_LEVEL_ERROR, "cannot sync body file %08" PRIu32 ": %s", number, strerror(errno));
        }
        end_use(bodies, &use);
    }
    if (rc == STORE_OK && directory_dirty && TEMP_FAILURE_RETRY(fsync(bodies->directory)) < 0) {
        rc = STORE_IO;
        log_write(bodies->log, LOG_LEVEL_ERROR, "cannot sync the directory of body files: %s", strerror(errno));
    }
    if (rc != STORE_OK) {
        (void)pthread_mutex_lock(&bodies->mutex);
        bodies->failed = true;
        (void)pthread_mutex_unlock(&bodies->mutex);
        log_write(bodies->log, LOG_LEVEL_ERROR, "no more large contents are stored until the store is opened again");
        rc = rc == STORE_ABSENT ? STORE_IO : rc;
    }
    return rc;
}

int body_files_space(const struct body_files *bodies, uint64_t *bytes) {
    *bytes = 0;
    return each_file(bodies, add_space, bytes);
}
