#include "store/storage_sqlite_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

int place_take(struct place *place, const char *path, struct error *err) {
    char directory[4096] = ".";
    const char *name = name_of(path);
    struct stat status;
    *place = (struct place){.path = path, .directory = -1};
    if ((size_t)(name - path) >= sizeof directory)
        return error_set(err, STORE_INVALID, "%s: %s", path, strerror(ENAMETOOLONG));
    if (name != path) {
        memcpy(directory, path, (size_t)(name - path));
        directory[name - path] = '\0';
    }
    place->directory = (int)TEMP_FAILURE_RETRY(open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (place->directory < 0 || TEMP_FAILURE_RETRY(fstatat(place->directory, name, &status, AT_SYMLINK_NOFOLLOW)) < 0) {
        int code = errno;
        return error_set(err, (enum store_error)store_error_from_errno(code), "cannot open %s: %s", path,
                         strerror(code));
    }
    place->device = status.st_dev;
    place->inode = status.st_ino;
    return STORE_OK;
}

void place_release(struct place *place) {
    if (place->directory >= 0)
        (void)close(place->directory);
    place->directory = -1;
}

static int look(const struct place *place, int directory, const char *name) {
    struct stat status;
    if (TEMP_FAILURE_RETRY(fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW)) < 0)
        return errno == ENOENT || errno == ENOTDIR ? STORE_ABSENT : store_error_from_errno(errno);
    return status.st_dev == place->device && status.st_ino == place->inode ? STORE_OK : STORE_ABSENT;
}

int place_is_held(const struct place *place) {
    return look(place, place->directory, name_of(place->path));
}

int place_is_found(const struct place *place) {
    return look(place, AT_FDCWD, place->path);
}
