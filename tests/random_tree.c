/* What a tree looks like, read back by system calls, and how two trees differ. */
#include "tests/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <xxhash.h>

#define SEEK_FROM     (4 * FILE_BYTES) /* larger files are read where they have data */
#define DIFFERENCES   10
#define ATTRIBUTE_MAX 1024

static int trouble(const char *path) {
    (void)fprintf(stderr, "tool_random: %s: %s\n", path, strerror(errno));
    return -1;
}

/* A name below a directory. "" is the directory itself. */
static void join(char path[static 4096], const char *directory, const char *name) {
    size_t length = strnlen(directory, 4095);
    memcpy(path, directory, length);
    path[length] = '\0';
    if (length > 0 && name[0] != '\0')
        (void)snprintf(path + length, 4096 - length, "/%s", name);
    else
        (void)snprintf(path + length, 4096 - length, "%s", name);
}

/* ---------------------------------------------------------------- content */

/* The next range that may hold data, from *start. 0: none; -1: error. */
static int next_range(int fd, int64_t size, int64_t *start, int64_t *end) {
    if (*start >= size)
        return 0;
    if (size <= SEEK_FROM) {
        *end = size;
        return 1;
    }
    int64_t data = lseek(fd, *start, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? 0 : -1;
    *start = data - data % PAGE;
    *end = lseek(fd, data, SEEK_HOLE);
    return *end < 0 ? -1 : 1;
}

/* Pages of zeros are left out: that makes a hole and what reads like one the same. */
static int hash_content(int fd, int64_t size, uint64_t *hash) {
    static const uint8_t zeros[PAGE];
    size_t capacity = (size_t)256 * PAGE;
    uint8_t *buffer = malloc(capacity);
    int64_t start = 0, end;
    int rc = buffer == NULL ? -1 : 1;
    *hash = 0;
    while (rc > 0 && (rc = next_range(fd, size, &start, &end)) > 0) {
        while (start < end) {
            ssize_t got = pread(fd, buffer, capacity, start);
            if (got <= 0) {
                errno = got == 0 ? ENODATA : errno;
                rc = -1;
                break;
            }
            for (ssize_t at = 0; at < got; at += PAGE) {
                size_t length = got - at < PAGE ? (size_t)(got - at) : PAGE;
                if (memcmp(buffer + at, zeros, length) != 0)
                    *hash = XXH3_64bits_withSeed(buffer + at, length, *hash + (uint64_t)(start + at));
            }
            start += got;
        }
    }
    free(buffer);
    return rc < 0 ? -1 : 0;
}

static int read_content(const char *path, struct entry *entry) {
    char target[4200];
    int rc = 0;
    if (S_ISLNK(entry->stat.st_mode)) {
        ssize_t length = readlink(path, target, sizeof target);
        if (length < 0)
            return trouble(path);
        entry->content = XXH3_64bits(target, (size_t)length);
    } else if (S_ISREG(entry->stat.st_mode) && entry->stat.st_size > 0) {
        int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        rc = fd < 0 ? -1 : hash_content(fd, entry->stat.st_size, &entry->content);
        if (rc < 0)
            (void)trouble(path);
        if (fd >= 0)
            close(fd);
    }
    return rc;
}

/* ---------------------------------------------------------------- attributes */

/* Those that programs here set: what labels a security module adds is no matter. In any order: sums of hashes. */
static int read_attributes(const char *path, struct entry *entry) {
    char list[4096];
    uint8_t value[ATTRIBUTE_MAX];
    ssize_t length = llistxattr(path, list, sizeof list);
    if (length < 0)
        return errno == ENOTSUP ? 0 : trouble(path);
    for (const char *name = list; name < list + length; name += strlen(name) + 1) {
        if (strncmp(name, "security.", 9) == 0)
            continue;
        ssize_t size = lgetxattr(path, name, value, sizeof value);
        if (size < 0)
            return trouble(path);
        entry->attributes += XXH3_64bits_withSeed(value, (size_t)size, XXH3_64bits(name, strlen(name)));
    }
    return 0;
}

/* ---------------------------------------------------------------- walking */

static struct entry *tree_add(struct tree *tree, const char *path) {
    if (tree->count == tree->capacity) {
        size_t capacity = tree->capacity == 0 ? 64 : tree->capacity * 2;
        struct entry *entries = realloc(tree->entries, capacity * sizeof *entries);
        if (entries == NULL)
            return NULL;
        tree->entries = entries;
        tree->capacity = capacity;
    }
    struct entry *entry = &tree->entries[tree->count];
    *entry = (struct entry){.path = strdup(path), .link = tree->count};
    if (entry->path == NULL)
        return NULL;
    tree->count++;
    return entry;
}

static int read_below(const char *root, const char *directory, struct tree *tree);

static int read_entry(const char *root, const char *path, struct tree *tree) {
    char full[4096];
    struct entry *entry = tree_add(tree, path);
    if (entry == NULL)
        return trouble("memory");
    join(full, root, path);
    if (lstat(full, &entry->stat) != 0)
        return trouble(full);
    /* Hard links are few among few: no index is needed. */
    for (size_t i = 0; entry->stat.st_nlink > 1 && !S_ISDIR(entry->stat.st_mode) && i + 1 < tree->count; i++) {
        if (tree->entries[i].stat.st_ino == entry->stat.st_ino) {
            entry->link = i;
            break;
        }
    }
    if (read_content(full, entry) != 0 || read_attributes(full, entry) != 0)
        return -1;
    return S_ISDIR(entry->stat.st_mode) ? read_below(root, path, tree) : 0;
}

static int read_below(const char *root, const char *directory, struct tree *tree) {
    char path[4096];
    struct names *names = malloc(sizeof *names);
    join(path, root, directory);
    int rc = names == NULL ? -1 : 0;
    if (rc == 0 && names_read(AT_FDCWD, path, names) < 0)
        rc = trouble(path);
    for (int i = 0; rc == 0 && i < names->count; i++) {
        join(path, directory, names->name[i]);
        rc = read_entry(root, path, tree);
    }
    free(names);
    return rc;
}

int tree_read(const char *root, struct tree *tree) {
    *tree = (struct tree){.count = 0};
    int rc = read_below(root, "", tree);
    if (rc != 0)
        tree_release(tree);
    return rc;
}

void tree_release(struct tree *tree) {
    for (size_t i = 0; i < tree->count; i++)
        free(tree->entries[i].path);
    free(tree->entries);
    *tree = (struct tree){.count = 0};
}

/* ---------------------------------------------------------------- comparing */

static bool times_equal(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* What differs, in a word; NULL: nothing. */
static const char *difference(const struct entry *a, const struct entry *b, enum tree_rule rule) {
    const struct stat *x = &a->stat, *y = &b->stat;
    if (x->st_mode != y->st_mode)
        return "mode";
    if (x->st_uid != y->st_uid || x->st_gid != y->st_gid)
        return "owner";
    if (x->st_nlink != y->st_nlink)
        return "number of links";
    if ((S_ISCHR(x->st_mode) || S_ISBLK(x->st_mode)) && x->st_rdev != y->st_rdev)
        return "device";
    if (x->st_size != y->st_size && (rule == TREE_SAME || !S_ISDIR(x->st_mode)))
        return "size";
    if (a->content != b->content)
        return "content";
    if (a->attributes != b->attributes)
        return "extended attributes";
    if (a->link != b->link)
        return "object that it is a link of";
    if (!times_equal(set_time(x), set_time(y)) || (rule == TREE_SAME && !times_equal(x->st_mtim, y->st_mtim)))
        return "modification time";
    if (rule == TREE_SAME && !times_equal(x->st_ctim, y->st_ctim))
        return "change time";
    return NULL;
}

static void describe(const char *which, const struct tree *tree, const struct entry *entry) {
    const struct stat *stat = &entry->stat;
    printf("    %s: mode %o owner %u:%u links %lu size %lld content %016llx attributes %016llx mtime %lld.%09ld "
           "ctime %lld.%09ld%s%s\n",
           which, stat->st_mode, stat->st_uid, stat->st_gid, (unsigned long)stat->st_nlink, (long long)stat->st_size,
           (unsigned long long)entry->content, (unsigned long long)entry->attributes, (long long)stat->st_mtim.tv_sec,
           stat->st_mtim.tv_nsec, (long long)stat->st_ctim.tv_sec, stat->st_ctim.tv_nsec,
           tree->entries[entry->link].path == entry->path ? "" : " is ",
           tree->entries[entry->link].path == entry->path ? "" : tree->entries[entry->link].path);
}

/* The first byte that differs. */
static void describe_content(const char *root_a, const char *root_b, const char *path) {
    char full[4096];
    static uint8_t a[CHUNK], b[CHUNK];
    join(full, root_a, path);
    int fd_a = open(full, O_RDONLY | O_CLOEXEC);
    join(full, root_b, path);
    int fd_b = open(full, O_RDONLY | O_CLOEXEC);
    for (int64_t offset = 0; fd_a >= 0 && fd_b >= 0; offset += CHUNK) {
        ssize_t got_a = pread(fd_a, a, sizeof a, offset), got_b = pread(fd_b, b, sizeof b, offset);
        if (got_a <= 0 || got_b != got_a)
            break;
        ssize_t at = 0;
        while (at < got_a && a[at] == b[at])
            at++;
        if (at < got_a) {
            ssize_t last = got_a - 1;
            while (a[last] == b[last])
                last--;
            printf("    bytes %lld to %lld of that chunk differ; the first is %#x and %#x\n", (long long)offset + at,
                   (long long)offset + last, a[at], b[at]);
            break;
        }
    }
    if (fd_a >= 0)
        close(fd_a);
    if (fd_b >= 0)
        close(fd_b);
}

bool trees_equal(const struct tree *a, const struct tree *b, enum tree_rule rule, const char *root_a,
                 const char *root_b) {
    size_t i = 0, j = 0;
    int found = 0;
    while ((i < a->count || j < b->count) && found < DIFFERENCES) {
        int order = i == a->count ? 1 : j == b->count ? -1 : strcmp(a->entries[i].path, b->entries[j].path);
        if (order != 0) {
            const struct entry *only = order < 0 ? &a->entries[i++] : &b->entries[j++];
            printf("  only in the %s: %s\n", order < 0 ? "first" : "second", only->path);
            found++;
            continue;
        }
        const char *what = difference(&a->entries[i], &b->entries[j], rule);
        /* Once a name is missing, the numbers of the links are shifted. */
        if (what != NULL && !(found > 0 && strncmp(what, "object", 6) == 0)) {
            printf("  %s differs in its %s\n", a->entries[i].path, what);
            describe("first", a, &a->entries[i]);
            describe("second", b, &b->entries[j]);
            if (strcmp(what, "content") == 0 && root_a != NULL && root_b != NULL)
                describe_content(root_a, root_b, a->entries[i].path);
            found++;
        }
        i++;
        j++;
    }
    return found == 0;
}

int sides_equal(const struct side sides[2]) {
    struct tree trees[2];
    if (tree_read(sides[0].root, &trees[0]) != 0)
        return -1;
    int rc = tree_read(sides[1].root, &trees[1]);
    if (rc == 0)
        rc = trees_equal(&trees[0], &trees[1], TREE_LIKE, sides[0].root, sides[1].root) ? 1 : 0;
    tree_release(&trees[0]);
    if (rc >= 0)
        tree_release(&trees[1]);
    return rc;
}
