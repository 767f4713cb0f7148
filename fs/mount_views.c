#include "fs/mount_views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include "fs/mount.h"

#define COUNT 3

static const char *const names[COUNT] = {"at", "before", "versions"};

static char *path_of_views(const char *point, size_t i) {
    char *path;
    return asprintf(&path, "%s/%s", strcmp(point, "/") == 0 ? "" : point, names[i]) < 0 ? NULL : path;
}

/* Changing a mount sets all its flags, so those that it has are given again. */
static unsigned long flags_of(const struct statvfs *mount) {
    static const struct {
        unsigned long has, flag;
    } flags[] = {{ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV},           {ST_NOEXEC, MS_NOEXEC},
                 {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME}};
    unsigned long result = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        result |= mount->f_flag & flags[i].has ? flags[i].flag : 0;
    }
    return result;
}

static int protect(const char *path) {
    struct statvfs mounted;
    if (statvfs(path, &mounted) != 0 || mount(path, path, NULL, MS_BIND, NULL) != 0) {
        return -errno;
    }
    if (mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags_of(&mounted), NULL) != 0) {
        int saved = errno;
        (void)umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH);
        return -saved;
    }
    return 0;
}

/* The first `count` of them. */
static void take_away(const char *point, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char *path = path_of_views(point, i);
        if (path != NULL) {
            (void)umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH);
        }
        free(path);
    }
}

int mount_views_protect(const char *point, struct error *err) {
    for (size_t i = 0; i < COUNT; i++) {
        char *path = path_of_views(point, i);
        int rc = path != NULL ? protect(path) : -ENOMEM;
        free(path);
        if (rc != 0) {
            take_away(point, i);
            return error_set(err, STORE_IO, "ro_views: cannot mount %s/%s read-only: %s", point, names[i],
                             strerror(-rc));
        }
    }
    return STORE_OK;
}

/* Not what somebody else mounted there. */
static bool is_ours(const char *point, const char *path) {
    struct mounted whole, views;
    bool ours = mount_find(point, &whole, NULL) == STORE_OK;
    if (ours) {
        ours = mount_find(path, &views, NULL) == STORE_OK && strcmp(views.type, MOUNT_TYPE) == 0 &&
               strcmp(views.source, whole.source) == 0 && views.read_only;
        mounted_release(&views);
    }
    mounted_release(&whole);
    return ours;
}

int mount_views_release(const char *point, bool lazy, bool *were, struct error *err) {
    bool released[COUNT] = {false};
    int rc = STORE_OK;
    for (size_t i = 0; i < COUNT && rc == STORE_OK; i++) {
        char *path = path_of_views(point, i);
        if (path == NULL) {
            rc = error_set(err, STORE_NO_MEMORY, "out of memory");
        } else if (is_ours(point, path)) {
            released[i] = umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0;
            if (!released[i]) {
                rc = error_set(err, errno == EBUSY ? STORE_LOCKED : STORE_IO,
                               errno == EBUSY ? "%s is in use" : "cannot unmount %s", path);
            }
        }
        free(path);
    }
    for (size_t i = 0; i < COUNT; i++) {
        char *path = rc != STORE_OK && released[i] ? path_of_views(point, i) : NULL;
        if (path != NULL) {
            (void)protect(path);
        }
        free(path);
    }
    if (were != NULL) {
        *were = released[0];
    }
    return rc;
}
