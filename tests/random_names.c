/* Operations on names and attributes. */
#include "tests/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static void set_result(struct outcome *outcome, int64_t result) {
    outcome->result = result < 0 ? -1 : result;
    outcome->error = result < 0 ? errno : 0;
}

/* ---------------------------------------------------------------- listing */

static void names_add(struct names *names, const struct dirent *entry) {
    int at = names->count;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || at == NAMES_MAX)
        return;
    for (; at > 0 && strcmp(names->name[at - 1], entry->d_name) > 0; at--) {
        memcpy(names->name[at], names->name[at - 1], PATH_SIZE);
        names->type[at] = names->type[at - 1];
        names->ino[at] = names->ino[at - 1];
    }
    (void)snprintf(names->name[at], PATH_SIZE, "%.*s", PATH_SIZE - 1, entry->d_name);
    names->type[at] = entry->d_type;
    names->ino[at] = entry->d_ino;
    names->count++;
}

int names_read(int directory, const char *path, struct names *names) {
    struct dirent *entry;
    names->count = 0;
    int fd = openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        close(fd);
        return -1;
    }
    while ((errno = 0, entry = readdir(stream)) != NULL)
        names_add(names, entry);
    int error = errno;
    closedir(stream);
    errno = error;
    return error != 0 ? -1 : names->count;
}

int names_remove_all(int directory, const char *path) {
    struct names *names = malloc(sizeof *names);
    int fd = openat(directory, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = fd < 0 || names == NULL || names_read(fd, ".", names) < 0 ? -1 : 0;
    for (int i = 0; rc == 0 && i < names->count; i++) {
        rc = names->type[i] == DT_DIR ? names_remove_all(fd, names->name[i]) : unlinkat(fd, names->name[i], 0);
    }
    if (rc == 0)
        rc = unlinkat(directory, path, AT_REMOVEDIR);
    int error = errno;
    if (fd >= 0)
        close(fd);
    free(names);
    errno = error;
    return rc;
}

/* The names and types go to the buffer, to be compared; the numbers must be those that stat tells. */
static void do_list(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct names names;
    set_result(outcome, names_read(side->root_fd, operation->path, &names));
    for (int i = 0; i < names.count && outcome->result >= 0; i++) {
        char path[2 * PATH_SIZE];
        struct stat stat;
        (void)snprintf(path, sizeof path, "%s/%s", operation->path, names.name[i]);
        if (fstatat(side->root_fd, path, &stat, AT_SYMLINK_NOFOLLOW) != 0 || stat.st_ino != names.ino[i] ||
            IFTODT(stat.st_mode) != names.type[i]) {
            (void)snprintf(outcome->note, sizeof outcome->note, "%s is listed as another than it is", names.name[i]);
        }
        int length =
            snprintf((char *)side->buffer + outcome->read, PATH_SIZE + 8, "%s %d\n", names.name[i], names.type[i]);
        outcome->read += length > 0 ? (size_t)length : 0;
    }
}

#define TEMPORARY 24
#define FEW       160  /* bytes of entries */
#define ENDLESS   2000 /* entries: a listing of so many will never end */

static bool is_temporary(const char *name) {
    return strncmp(name, "tmp", 3) == 0;
}

static void temporary_name(uint64_t number, char name[static 32]) {
    (void)snprintf(name, 32, "tmp%d", (int)(number % TEMPORARY));
}

/* A few entries at a time, so that every few the filesystem must find its place again; and after each a name is made or removed. */
static int list_and_change(int fd, struct random *random, struct names *seen) {
    _Alignas(struct dirent64) char buffer[FEW + sizeof(struct dirent64)];
    char name[32];
    ssize_t got;
    int count = 0;
    while ((got = getdents64(fd, buffer, FEW)) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(buffer + at);
            names_add(seen, (const struct dirent *)entry);
            at += entry->d_reclen;
            if (++count == ENDLESS) {
                errno = ELOOP;
                return -1;
            }
            temporary_name(random_next(random), name);
            if (unlinkat(fd, name, 0) != 0 && mknodat(fd, name, S_IFREG | 0600, 0) != 0)
                return -1;
        }
    }
    return (int)got;
}

/* What was there before and after is listed once; what came or went is no matter. */
static void check_seen(const struct names *before, const struct names *seen, struct outcome *outcome) {
    int at = 0;
    for (int i = 0; i < seen->count && outcome->note[0] == '\0'; i++) {
        if (is_temporary(seen->name[i]))
            continue;
        if (i > 0 && strcmp(seen->name[i], seen->name[i - 1]) == 0) {
            (void)snprintf(outcome->note, sizeof outcome->note, "%s is listed twice", seen->name[i]);
        } else if (at == before->count || strcmp(before->name[at++], seen->name[i]) != 0) {
            (void)snprintf(outcome->note, sizeof outcome->note, "%s is listed, or one before it is not", seen->name[i]);
        }
    }
    if (at != before->count && outcome->note[0] == '\0')
        (void)snprintf(outcome->note, sizeof outcome->note, "%d of %d are listed", at, before->count);
}

/* Makes and removes names while it lists. */
static void do_list_changing(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct names before, seen = {.count = 0};
    struct random random = random_of(operation->seed, 0);
    char name[32];
    int fd = openat(side->root_fd, operation->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : names_read(side->root_fd, operation->path, &before);
    for (uint64_t i = 0; rc >= 0 && i < TEMPORARY / 2; i++) {
        temporary_name(i, name);
        rc = mknodat(fd, name, S_IFREG | 0600, 0);
    }
    if (rc >= 0)
        rc = list_and_change(fd, &random, &seen);
    set_result(outcome, rc);
    if (rc >= 0)
        check_seen(&before, &seen, outcome);
    for (uint64_t i = 0; fd >= 0 && i < TEMPORARY; i++) {
        temporary_name(i, name);
        (void)unlinkat(fd, name, 0);
    }
    if (fd >= 0)
        close(fd);
}

/* ---------------------------------------------------------------- names */

/* A length makes the target so long. */
static void do_symlink(struct side *side, const struct operation *operation, struct outcome *outcome) {
    char target[4200];
    size_t length = strlen(operation->second);
    memcpy(target, operation->second, length + 1);
    for (; (int64_t)length < operation->length && length + 1 < sizeof target; length++)
        target[length] = 'x';
    target[length] = '\0';
    set_result(outcome, symlinkat(target, side->root_fd, operation->path));
}

static void do_readlink(struct side *side, const struct operation *operation, struct outcome *outcome) {
    set_result(outcome, readlinkat(side->root_fd, operation->path, (char *)side->buffer, 4200));
    outcome->read = outcome->result > 0 ? (size_t)outcome->result : 0;
}

static void do_create(struct side *side, const struct operation *operation, struct outcome *outcome) {
    int fd = openat(side->root_fd, operation->path, (int)operation->flags | O_CREAT | O_NONBLOCK | O_CLOEXEC,
                    (mode_t)operation->length);
    set_result(outcome, fd < 0 ? -1 : 0);
    if (fd >= 0)
        close(fd);
}

void names_do(struct side *side, const struct operation *operation, struct outcome *outcome) {
    int root = side->root_fd, slot = operation->slot;
    const char *path = operation->path, *second = operation->second;
    switch (operation->kind) {
    case KIND_CREATE:
        do_create(side, operation, outcome);
        break;
    case KIND_MKDIR:
        set_result(outcome, mkdirat(root, path, operation->flags));
        break;
    case KIND_SYMLINK:
        do_symlink(side, operation, outcome);
        break;
    case KIND_MKNOD:
        set_result(outcome, mknodat(root, path, operation->flags, 0));
        break;
    case KIND_LINK:
        set_result(outcome, slot >= 0 ? linkat(side->files[slot].fd, "", root, second, AT_EMPTY_PATH)
                                      : linkat(root, path, root, second, (int)operation->flags));
        break;
    case KIND_RENAME:
        set_result(outcome, renameat2(root, path, root, second, operation->flags));
        break;
    case KIND_UNLINK:
        set_result(outcome, unlinkat(root, path, 0));
        break;
    case KIND_RMDIR:
        set_result(outcome, unlinkat(root, path, AT_REMOVEDIR));
        break;
    case KIND_REMOVE_ALL:
        set_result(outcome, names_remove_all(root, path));
        break;
    case KIND_LIST:
        do_list(side, operation, outcome);
        break;
    case KIND_LIST_CHANGING:
        do_list_changing(side, operation, outcome);
        break;
    case KIND_READLINK:
        do_readlink(side, operation, outcome);
        break;
    default:
        set_result(outcome, faccessat(root, path, (int)operation->flags, 0));
        break;
    }
}

/* ---------------------------------------------------------------- attributes */

/* What was written through a mapping gets its time when it is written back, which may be later than a program's own setting of it. */
static void write_back(struct side *side, const struct operation *operation) {
    int fd = operation->slot >= 0
                 ? side->files[operation->slot].fd
                 : openat(side->root_fd, operation->path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        (void)fsync(fd);
    if (fd >= 0 && operation->slot < 0)
        close(fd);
}

static void do_times(struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct random random = random_of(operation->seed, 0);
    struct timespec times[2];
    for (int i = 0; i < 2; i++) {
        times[i].tv_sec = 100 + (time_t)random_below(&random, SET_TIMES_END - 200);
        times[i].tv_nsec = (long)random_below(&random, 1000000000);
    }
    if (operation->flags & 1U)
        times[0].tv_nsec = random_chance(&random, 50) ? UTIME_NOW : UTIME_OMIT;
    if (operation->flags & 2U)
        times[1].tv_nsec = random_chance(&random, 50) ? UTIME_NOW : UTIME_OMIT;
    write_back(side, operation);
    set_result(outcome, operation->slot >= 0 ? futimens(side->files[operation->slot].fd, times)
                                             : utimensat(side->root_fd, operation->path, times, AT_SYMLINK_NOFOLLOW));
}

/* An ACL as the kernel has it. */
struct acl {
    uint32_t version;
    struct {
        uint16_t tag, permissions;
        uint32_t id;
    } entries[5];
};
#define ACL_NAMES 2 /* the first two names are ACLs */

static const char *const attribute_names[] = {
    "system.posix_acl_access", "system.posix_acl_default", "user.a", "user.b", "user.name-that-is-longer", "trusted.t"};

static size_t attribute_value(const struct operation *operation, uint8_t value[static 512]) {
    struct random random = random_of(operation->seed, 1);
    if (operation->other < ACL_NAMES) {
        /* Who is not root must still be able to look at the whole tree. */
        unsigned owner = geteuid() == 0 ? 6 | (unsigned)random_below(&random, 2) : 7;
        struct acl acl = {
            .version = 2,
            .entries = {{0x01, (uint16_t)owner, UINT32_MAX},
                        {0x02, (uint16_t)random_below(&random, 8), 1 + (uint32_t)random_below(&random, 3)},
                        {0x04, (uint16_t)random_below(&random, 8), UINT32_MAX},
                        {0x10, (uint16_t)random_below(&random, 8), UINT32_MAX},
                        {0x20, (uint16_t)random_below(&random, 8), UINT32_MAX}}};
        memcpy(value, &acl, sizeof acl);
        return sizeof acl;
    }
    for (int64_t i = 0; i < operation->length; i++)
        value[i] = (uint8_t)random_next(&random);
    return (size_t)operation->length;
}

static void do_xattr(struct side *side, const struct operation *operation, struct outcome *outcome) {
    char path[4096];
    uint8_t value[512];
    const char *name = attribute_names[(size_t)operation->other % COUNT(attribute_names)];
    int fd = operation->slot >= 0 ? side->files[operation->slot].fd : -1;
    (void)snprintf(path, sizeof path, "%s/%s", side->root, operation->path);
    if (operation->kind == KIND_SETXATTR) {
        size_t size = attribute_value(operation, value);
        set_result(outcome, operation->slot >= 0 ? fsetxattr(fd, name, value, size, (int)operation->flags)
                                                 : lsetxattr(path, name, value, size, (int)operation->flags));
    } else if (operation->kind == KIND_REMOVEXATTR) {
        set_result(outcome, operation->slot >= 0 ? fremovexattr(fd, name) : lremovexattr(path, name));
    } else {
        size_t size = (size_t)operation->length;
        set_result(outcome, operation->slot >= 0 ? fgetxattr(fd, name, side->buffer, size)
                                                 : lgetxattr(path, name, side->buffer, size));
        outcome->read = outcome->result > 0 && size > 0 ? (size_t)outcome->result : 0;
    }
}

void attributes_do(struct side *side, const struct operation *operation, struct outcome *outcome) {
    int fd = operation->slot >= 0 ? side->files[operation->slot].fd : -1;
    uid_t owner = (uid_t)operation->offset;
    gid_t group = (gid_t)operation->length;
    switch (operation->kind) {
    case KIND_CHMOD:
        set_result(outcome, operation->slot >= 0 ? fchmod(fd, operation->flags)
                                                 : fchmodat(side->root_fd, operation->path, operation->flags, 0));
        break;
    case KIND_CHOWN:
        set_result(outcome, operation->slot >= 0
                                ? fchown(fd, owner, group)
                                : fchownat(side->root_fd, operation->path, owner, group, AT_SYMLINK_NOFOLLOW));
        break;
    case KIND_TIMES:
        do_times(side, operation, outcome);
        break;
    default:
        do_xattr(side, operation, outcome);
        break;
    }
}
