#include "fs/locate.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/live.h"
#include "fs/real_path.h"
#include "store/tid.h"

/* ---------------------------------------------------------------- what is mounted */

struct mount {
    char *point, *source; /* never NULL */
    char *root;           /* the directory of the filesystem that is mounted there: "/" but for bind mounts */
    bool tidfs;
};
struct mount_table {
    struct mount *items;
    size_t count;
};

static void mount_table_release(struct mount_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        free(table->items[i].point);
        free(table->items[i].source);
        free(table->items[i].root);
    }
    free(table->items);
    *table = (struct mount_table){0};
}

/* mountinfo writes space, tab, newline, backslash and # as \ooo. */
static char *unescape(const char *text) {
    char *plain = malloc(strlen(text) + 1);
    if (!plain)
        return NULL;
    char *to = plain;
    while (*text) {
        if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' && text[3] >= '0' &&
            text[3] <= '7') {
            *to++ = (char)(((text[1] - '0') << 6) | ((text[2] - '0') << 3) | (text[3] - '0'));
            text += 4;
        } else {
            *to++ = *text++;
        }
    }
    *to = 0;
    return plain;
}

/* A line: id parent major:minor ROOT POINT options [tags…] - TYPE SOURCE super-options. False if out of memory; a line that reads
 * otherwise is skipped. */
static bool mount_table_add(struct mount_table *table, char *line) {
    char *fields[5], *save = NULL;
    for (size_t i = 0; i < 5; i++) {
        fields[i] = strtok_r(i ? NULL : line, " \n", &save);
        if (!fields[i])
            return true;
    }
    char *word;
    while ((word = strtok_r(NULL, " \n", &save)) && strcmp(word, "-") != 0)
        ;
    const char *type = strtok_r(NULL, " \n", &save);
    const char *source = strtok_r(NULL, " \n", &save);
    if (!type || !source)
        return true;

    struct mount mount = {
        .point = unescape(fields[4]),
        .source = unescape(source),
        .root = unescape(fields[3]),
        .tidfs = strcmp(type, "fuse.tidfs") == 0,
    };
    struct mount *items = realloc(table->items, (table->count + 1) * sizeof *items);
    if (items)
        table->items = items;
    if (!items || !mount.point || !mount.source || !mount.root) {
        free(mount.point);
        free(mount.source);
        free(mount.root);
        return false;
    }
    items[table->count++] = mount;
    return true;
}

static int mount_table_read(struct mount_table *table, struct error *err) {
    static const char file[] = "/proc/self/mountinfo";
    *table = (struct mount_table){0};
    FILE *in = fopen(file, "re");
    if (!in)
        return error_set(err, STORE_IO, "cannot read %s: %s; is /proc mounted?", file, strerror(errno));
    char *line = NULL;
    size_t size = 0;
    int rc = 0;
    while (rc == 0 && getline(&line, &size, in) > 0) {
        if (!mount_table_add(table, line))
            rc = error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    if (rc == 0 && ferror(in))
        rc = error_set(err, STORE_IO, "cannot read %s", file);
    free(line);
    (void)fclose(in);
    if (rc)
        mount_table_release(table);
    return rc;
}

/* What follows `directory` in `path` ("" or begins with a slash), or NULL if path is not in it. */
static const char *below(const char *directory, const char *path) {
    assert(directory && path);
    size_t length = strlen(directory);
    if (strcmp(directory, "/") == 0)
        return path;
    if (strncmp(directory, path, length) != 0 || (path[length] != 0 && path[length] != '/'))
        return NULL;
    return path + length;
}

/* The mount that an absolute path without symlinks lies in: the longest mount point, of equal ones the last. */
static const struct mount *mount_table_find(const struct mount_table *table, const char *path) {
    const struct mount *best = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *mount = &table->items[i];
        assert(mount->point);
        if (below(mount->point, path) && (!best || strlen(mount->point) >= strlen(best->point)))
            best = mount;
    }
    return best;
}

/* ---------------------------------------------------------------- paths */

/* "a/b" of "/a//b/": slashes only between components. Out of memory: NULL. */
static char *trimmed(const char *path) {
    char *copy = malloc(strlen(path) + 1);
    if (!copy)
        return NULL;
    char *to = copy;
    for (const char *from = path; *from; from++) {
        if (*from != '/')
            *to++ = *from;
        else if (to > copy && to[-1] != '/')
            *to++ = '/';
    }
    if (to > copy && to[-1] == '/')
        to--;
    *to = 0;
    return copy;
}

static char *joined(const char *first, const char *second) {
    char *both = NULL;
    if (asprintf(&both, "%s%s%s", first, *first && *second ? "/" : "", second) < 0)
        return NULL;
    return both;
}

/* ---------------------------------------------------------------- places in a mount */

/* What stands below /versions, as `real`: a path, which means that of the present, or one version of it, which is where a view has it. */
static int place_versions(struct location *location, const char *rest, const char *real, char **path) {
    struct stat stat;
    const char *name = strrchr(rest, '/');
    bool version = name && name > rest && lstat(real, &stat) == 0 && !S_ISDIR(stat.st_mode);
    location->kind = version ? LOCATION_AT : LOCATION_HEAD;
    if (version) {
        location->when = strdup(name + 1);
        if (!location->when)
            return STORE_NO_MEMORY;
    }
    char *above = strndup(rest, version ? (size_t)(name - rest) : strlen(rest));
    *path = above ? trimmed(above) : NULL;
    free(above);
    return 0;
}

/* Fills kind, when and path from a path in the mount's filesystem ("/head/a"; "" is its top), whose whole path is `real`. */
static int place(struct location *location, const char *inside, const char *real, const struct control_status *status) {
    static const struct {
        const char *directory;
        enum location_kind kind;
        bool has_when;
    } places[] = {
        {"/head", LOCATION_HEAD, false},
        {"/at", LOCATION_AT, true},
        {"/before", LOCATION_BEFORE, true},
    };
    char *path = NULL;

    if (status->single_view) {
        location->kind = LOCATION_VIEW;
        location->view_tid = status->view_tid;
        path = trimmed(inside);
    } else if (!*inside) {
        location->kind = LOCATION_TOP;
        path = strdup("");
    } else {
        location->kind = LOCATION_OTHER;
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            const char *rest = below(places[i].directory, inside);
            if (!rest || (places[i].has_when && !*rest))
                continue;
            location->kind = places[i].kind;
            if (places[i].has_when) {
                size_t length = strcspn(rest + 1, "/");
                location->when = strndup(rest + 1, length);
                if (!location->when)
                    return STORE_NO_MEMORY;
                rest += 1 + length;
            }
            path = trimmed(rest);
        }
        const char *rest = below("/versions", inside);
        if (rest && *rest && place_versions(location, rest, real, &path))
            return STORE_NO_MEMORY;
        if (location->kind == LOCATION_OTHER)
            return 0;
    }
    if (path)
        location->path = joined(status->subdir, path);
    free(path);
    return location->path ? 0 : STORE_NO_MEMORY;
}

/* Remembers what a mount of the store is good for. `own` is the one that was named. */
static int consider(struct location *location, const struct mount *mount, const struct control_status *status,
                    bool own) {
    if (status->writable && (own || !location->live)) {
        free(location->live);
        location->live = strdup(mount->point);
        if (!location->live)
            return STORE_NO_MEMORY;
    }
    if (!status->single_view && strcmp(mount->root, "/") == 0 && (own || !location->top)) {
        free(location->top);
        free(location->top_subdir);
        location->top = strdup(mount->point);
        location->top_subdir = trimmed(status->subdir);
        if (!location->top || !location->top_subdir)
            return STORE_NO_MEMORY;
    }
    return 0;
}

/* Whether the store that a mount shows is not what has its path now. What may not be looked at, as another user's, opening it refuses. */
static bool is_moved(const char *store, const struct control_status *status) {
    struct stat stat;
    char *file = joined(store, "tidfs.db");
    bool moved = false;
    if (file && status->store_inode && lstat(file, &stat) == 0)
        moved = stat.st_dev != status->store_device || stat.st_ino != status->store_inode;
    else if (file && status->store_inode)
        moved = errno == ENOENT || errno == ENOTDIR;
    free(file);
    return moved;
}

/* Looks at the other mounts of the store. One that does not answer is of no use. */
static int consider_all(struct location *location, const struct mount_table *table) {
    for (size_t i = 0; i < table->count; i++) {
        const struct mount *mount = &table->items[i];
        struct control_status status;
        if (!mount->tidfs || strcmp(mount->source, location->store) != 0 ||
            mount_table_find(table, mount->point) != mount || live_status(mount->point, &status, NULL))
            continue;
        bool own = location->point && strcmp(mount->point, location->point) == 0;
        if (!own && is_moved(location->store, &status))
            continue;
        int rc = consider(location, mount, &status, own);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---------------------------------------------------------------- following a path */

/* What was asked of the mount in which a path was last. */
struct follower {
    const struct mount_table *table;
    const struct mount *asked;
    bool single_view;
};

/* Where an absolute path lies in the mount's filesystem: "/head/a", malloc'ed. */
static char *inside_of(const struct mount *mount, const char *real) {
    char *inside = NULL;
    const char *rest = below(mount->point, real);
    const char *root = strcmp(mount->root, "/") == 0 ? "" : mount->root;
    if (asprintf(&inside, "%s%s", root, strcmp(rest, "/") == 0 ? "" : rest) < 0)
        return NULL;
    return inside;
}

/* In a tree, names of the present say nothing of other times. What leads there is a matter of the kernel's: other filesystems, and the
 * names in /at and /before that move. */
static int rule_of(void *context, const char *directory, struct error *err) {
    static const char *const parents[] = {"/at", "/before"};
    struct follower *follower = context;
    const struct mount *mount = mount_table_find(follower->table, directory);
    if (!mount || !mount->tidfs)
        return REAL_PATH_FOLLOW;
    if (mount != follower->asked) {
        struct control_status status;
        if (live_status(mount->point, &status, err))
            return STORE_IO;
        follower->asked = mount;
        follower->single_view = status.single_view;
    }
    char *inside = inside_of(mount, directory);
    if (!inside)
        return error_set(err, STORE_NO_MEMORY, "out of memory");
    int rule = REAL_PATH_KEEP_LAST;
    if (follower->single_view || below("/head", inside) || below("/versions", inside))
        rule = REAL_PATH_BY_NAME;
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) {
        const char *rest = below(parents[i], inside);
        if (rest && *rest)
            rule = REAL_PATH_BY_NAME;
    }
    free(inside);
    return rule;
}

/* Fills the location from an absolute path. STORE_ABSENT if it is in no mount of tidfs. */
static int locate_in(const struct mount_table *table, const char *real, struct location *location, struct error *err) {
    const struct mount *mount = mount_table_find(table, real);
    if (!mount || !mount->tidfs)
        return STORE_ABSENT;
    struct control_status status;
    if (live_status(mount->point, &status, err))
        return STORE_IO;
    int rc = STORE_NO_MEMORY;
    char *inside = inside_of(mount, real);
    location->store = strdup(mount->source);
    location->point = strdup(mount->point);
    location->subdir = trimmed(status.subdir);
    location->moved = location->store && is_moved(location->store, &status);
    if (inside && location->store && location->point && location->subdir)
        rc = place(location, inside, real, &status);
    if (rc == 0)
        rc = consider_all(location, table);
    free(inside);
    return rc ? error_set(err, rc, "out of memory") : 0;
}

int locate_path(const char *path, struct location *location, struct error *err) {
    *location = (struct location){0};
    struct mount_table table;
    struct follower follower = {.table = &table};
    char *real = NULL, *from = NULL;
    int rc = mount_table_read(&table, err);
    if (rc)
        return rc;
    /* The shell may call the current directory otherwise, by a symlink that leads elsewhere by now. */
    if (path[0] != '/' && !(from = getcwd(NULL, 0)))
        rc = error_set(err, STORE_IO, "%s: the current directory cannot be found: %s", path, strerror(errno));
    if (rc == 0)
        rc = real_path(from ? from : "/", path, rule_of, &follower, &real, err);
    if (rc == 0)
        rc = locate_in(&table, real, location, err);
    if (rc == STORE_ABSENT)
        rc = error_set(err, STORE_NOT_A_STORE, "%s: not in a mount of tidfs", path);
    free(real);
    free(from);
    mount_table_release(&table);
    if (rc)
        location_release(location);
    return rc;
}

int locate_check_store(const struct location *location, struct error *err) {
    if (!location->moved)
        return 0;
    return error_set(
        err, STORE_INVALID,
        "the store mounted on %s is not at %s any more: it was moved, or something else was put there; move it back, "
        "or unmount it and mount it from where it is now",
        location->point, location->store);
}

bool locate_is_store(const char *directory) {
    char *file = joined(directory, "tidfs.db");
    bool is = file && access(file, F_OK) == 0;
    free(file);
    return is;
}

int locate_store(const char *directory, struct location *location, struct error *err) {
    *location = (struct location){.kind = LOCATION_STORE};
    location->store = realpath(directory, NULL);
    if (!location->store)
        return error_set(err, STORE_NOT_A_STORE, "%s: %s; `tidfs init` makes a store", directory, strerror(errno));
    struct mount_table table;
    int rc = mount_table_read(&table, err);
    if (rc == 0) {
        rc = consider_all(location, &table);
        if (rc)
            (void)error_set(err, rc, "out of memory");
        mount_table_release(&table);
    }
    if (rc)
        location_release(location);
    return rc;
}

int location_set_path(struct location *location, const char *path) {
    char *plain = malloc(strlen(path) + 1);
    if (!plain)
        return STORE_NO_MEMORY;
    size_t end = 0;
    for (const char *from = path; *from;) {
        size_t length = strcspn(from, "/");
        if (length == 2 && strncmp(from, "..", 2) == 0) {
            while (end > 0 && plain[end - 1] != '/')
                end--;
            end -= end > 0;
        } else if (length > 0 && !(length == 1 && *from == '.')) {
            if (end > 0)
                plain[end++] = '/';
            memcpy(plain + end, from, length);
            end += length;
        }
        from += length;
        from += strspn(from, "/");
    }
    plain[end] = 0;
    free(location->path);
    location->path = plain;
    return 0;
}

void location_release(struct location *location) {
    free(location->store);
    free(location->point);
    free(location->when);
    free(location->path);
    free(location->live);
    free(location->top);
    free(location->top_subdir);
    free(location->subdir);
    *location = (struct location){0};
}

char *location_view_path(const struct location *location, bool before, uint64_t name, const char *path) {
    if (!location->top)
        return NULL;
    const char *rest = path;
    if (*location->top_subdir) {
        rest = below(location->top_subdir, path);
        if (!rest)
            return NULL;
        rest += *rest == '/';
    }
    char tid[TID_TEXT_SIZE], *result = NULL;
    tid_format(name, tid);
    if (asprintf(&result, "%s/%s/%s%s%s", strcmp(location->top, "/") == 0 ? "" : location->top,
                 before ? "before" : "at", tid, *rest ? "/" : "", rest) < 0)
        return NULL;
    return result;
}
