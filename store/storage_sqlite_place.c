#include "store/storage_sqlite_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int place_take(struct place *place, const char *directory, const char *path, struct error *err) {
    struct stat status;
    *place = (struct place){.path = path, .name = path + strlen(directory) + 1};
    place->directory = (int)TEMP_FAILURE_RETRY(open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (place->directory < 0 ||
        TEMP_FAILURE_RETRY(fstatat(place->directory, place->name, &status, AT_SYMLINK_NOFOLLOW)) < 0)
        return error_set(err, (enum store_error)store_error_from_errno(errno), "cannot open %s: %s", path,
                         strerror(errno));
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
    return look(place, place->directory, place->name);
}

int place_is_found(const struct place *place) {
    return look(place, AT_FDCWD, place->path);
}
