/* What comes next: an operation's kind and its arguments, from the seed and its number. They are biased to where mistakes are: to the ends of
 * pages, bodies, chunks and files, and to names that exist.
 */
#include "tests/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

/* ---------------------------------------------------------------- numbers */

/* splitmix64 */
uint64_t random_next(struct random *random) {
    uint64_t value = random->state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

struct random random_of(uint64_t seed, uint64_t number) {
    struct random random = {seed};
    random.state = random_next(&random) ^ (number * UINT64_C(0xd1342543de82ef95));
    return random;
}

uint64_t random_below(struct random *random, uint64_t end) {
    return end == 0 ? 0 : random_next(random) % end;
}

bool random_chance(struct random *random, unsigned percent) {
    return random_below(random, 100) < percent;
}

/* ---------------------------------------------------------------- names */

/* Few, so that they collide. None has a character before '/', so that sorted names make sorted paths. */
#define POOL       "abcdefg"
#define PATH_GROWS 24 /* paths longer than this are not made longer */

/* A worker's names begin with its number. Not only in the root that all share: a symlink's target may be there next. */
static void pool_name(const struct chooser *chooser, struct random *random, char name[static 8]) {
    char letter = POOL[random_below(random, sizeof POOL - 1)];
    if (chooser->workers > 0) {
        (void)snprintf(name, 8, "%d%c", chooser->worker % 10, letter);
    } else {
        (void)snprintf(name, 8, "%c", letter);
    }
}

static void append_name(char path[static PATH_SIZE], const char *name) {
    size_t length = strlen(path);
    (void)snprintf(path + length, PATH_SIZE - length, "%s%s", length > 0 ? "/" : "", name);
}

static bool is_own(const struct chooser *chooser, const char *name) {
    return chooser->workers == 0 || name[0] == '0' + chooser->worker % 10;
}

/* Goes down from the root by names that exist, to anything or to directories only. The root itself is "". */
static void walk(const struct chooser *chooser, struct random *random, bool directories, char path[static PATH_SIZE]) {
    struct names names;
    path[0] = '\0';
    while (strlen(path) <= PATH_GROWS && (path[0] == '\0' || random_chance(random, 65))) {
        int mine[NAMES_MAX], count = 0;
        if (names_read(chooser->reference->root_fd, path[0] != '\0' ? path : ".", &names) < 0)
            return;
        for (int i = 0; i < names.count; i++) {
            if ((!directories || names.type[i] == DT_DIR) && is_own(chooser, names.name[i]))
                mine[count++] = i;
        }
        if (count == 0 || (directories && path[0] == '\0' && random_chance(random, 30)))
            return;
        int chosen = mine[random_below(random, (uint64_t)count)];
        append_name(path, names.name[chosen]);
        if (names.type[chosen] != DT_DIR)
            return;
    }
}

/* Nothing may be there. */
static void any_path(const struct chooser *chooser, struct random *random, char path[static PATH_SIZE]) {
    char name[8];
    path[0] = '\0';
    for (uint64_t depth = 1 + random_below(random, 3); depth > 0; depth--) {
        pool_name(chooser, random, name);
        append_name(path, name);
    }
}

static void existing_path(const struct chooser *chooser, struct random *random, char path[static PATH_SIZE]) {
    if (random_chance(random, 90))
        walk(chooser, random, false, path);
    if (path[0] == '\0')
        any_path(chooser, random, path);
}

static void directory_path(const struct chooser *chooser, struct random *random, char path[static PATH_SIZE]) {
    if (random_chance(random, 90))
        walk(chooser, random, true, path);
    if (path[0] == '\0')
        any_path(chooser, random, path);
}

/* A name in a directory that exists. */
static void new_path(const struct chooser *chooser, struct random *random, char path[static PATH_SIZE]) {
    char name[8];
    walk(chooser, random, true, path);
    pool_name(chooser, random, name);
    append_name(path, name);
}

/* ---------------------------------------------------------------- slots and places */

static int open_slot(const struct chooser *chooser, struct random *random) {
    int open[SLOTS], count = 0;
    for (int slot = 0; slot < SLOTS; slot++) {
        if (chooser->reference->files[slot].fd >= 0)
            open[count++] = slot;
    }
    return count == 0 ? -1 : open[random_below(random, (uint64_t)count)];
}

/* A slot mostly, or a path. */
static void choose_file(const struct chooser *chooser, struct random *random, unsigned percent,
                        struct operation *operation) {
    operation->slot = random_chance(random, percent) ? open_slot(chooser, random) : -1;
    if (operation->slot < 0)
        existing_path(chooser, random, operation->path);
}

static int64_t end_of(const struct chooser *chooser, const struct operation *operation) {
    const struct side *side = chooser->reference;
    struct stat stat;
    int rc = operation->slot >= 0 ? fstat(side->files[operation->slot].fd, &stat)
                                  : fstatat(side->root_fd, operation->path, &stat, 0);
    return rc == 0 && S_ISREG(stat.st_mode) ? stat.st_size : 0;
}

static int64_t choose_place(struct random *random, int64_t end) {
    int64_t place = 0;
    switch (random_below(random, 8)) {
    case 0:
        place = (int64_t)random_below(random, (uint64_t)FILE_BYTES);
        break;
    case 1:
        place = (int64_t)random_below(random, (uint64_t)FILE_BYTES / PAGE) * PAGE;
        break;
    case 2:
        place = (int64_t)random_below(random, (uint64_t)FILE_BYTES / BODY) * BODY;
        break;
    case 3:
        place = (int64_t)random_below(random, (uint64_t)FILE_BYTES / CHUNK) * CHUNK;
        break;
    case 4:
    case 5:
        place = end;
        break;
    case 6:
        place = (int64_t)random_below(random, (uint64_t)8 * PAGE);
        break;
    default:
        break;
    }
    static const int64_t spreads[] = {0, 0, 1, 100, PAGE};
    int64_t spread = spreads[random_below(random, COUNT(spreads))];
    place += (int64_t)random_below(random, (uint64_t)(2 * spread + 1)) - spread;
    if (random_below(random, 400) == 0)
        place += FAR_BYTES;
    int64_t most = place >= FAR_BYTES / 2 ? FAR_BYTES + FILE_BYTES : FILE_BYTES;
    return place < 0 ? 0 : place > most ? most : place;
}

static int64_t choose_length(struct random *random, int64_t offset) {
    static const int64_t exact[] = {1, 100, PAGE, BODY, CHUNK}, up_to[] = {100, PAGE, BODY, CHUNK, 3 * CHUNK};
    size_t size = random_below(random, 3) == 0 ? 4 : random_below(random, 4);
    int64_t length = random_chance(random, 30) ? exact[size] : 1 + (int64_t)random_below(random, (uint64_t)up_to[size]);
    int64_t most = (offset >= FAR_BYTES / 2 ? FAR_BYTES : 0) + FILE_BYTES - offset;
    if (random_chance(random, 20)) {
        /* To where something ends. */
        int64_t unit = random_chance(random, 50) ? BODY : CHUNK;
        length = unit - offset % unit;
    }
    if (length > most)
        length = most;
    return length < 1 ? 1 : length;
}

static void choose_range(const struct chooser *chooser, struct random *random, struct operation *operation) {
    operation->offset = choose_place(random, end_of(chooser, operation));
    operation->length = choose_length(random, operation->offset);
}

/* ---------------------------------------------------------------- kinds */

static unsigned choose_mode(struct random *random, unsigned always) {
    static const unsigned usual[] = {0644, 0600, 0755, 0777};
    if (geteuid() != 0 || random_chance(random, 50))
        return usual[random_below(random, COUNT(usual))] | always;
    return (unsigned)random_below(random, 010000);
}

static void choose_open(const struct chooser *chooser, struct random *random, struct operation *operation) {
    int access = random_chance(random, 75) ? O_RDWR : random_chance(random, 60) ? O_RDONLY : O_WRONLY;
    int flags = access;
    operation->slot = (int)random_below(random, SLOTS);
    if (random_chance(random, 40)) {
        flags |= O_CREAT | (random_chance(random, 15) ? O_EXCL : 0);
        new_path(chooser, random, operation->path);
    } else {
        existing_path(chooser, random, operation->path);
    }
    flags |= random_chance(random, 10) ? O_TRUNC : 0;
    flags |= random_chance(random, 10) ? O_APPEND : random_chance(random, 10) ? O_DIRECT : 0;
    flags |= random_chance(random, 5) ? O_NOFOLLOW : 0;
    flags |= random_chance(random, 3) ? O_DIRECTORY : 0;
    flags |= random_chance(random, 2) ? O_SYNC : 0;
    operation->flags = (unsigned)flags;
    operation->length = choose_mode(random, 0600);
}

static void choose_data(const struct chooser *chooser, struct random *random, struct operation *operation) {
    static const unsigned modes[] = {0,
                                     FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_ZERO_RANGE,
                                     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
    choose_file(chooser, random, 85, operation);
    choose_range(chooser, random, operation);
    operation->seed = random_next(random);
    switch (operation->kind) {
    case KIND_MAP_READ:
    case KIND_MAP_WRITE:
        operation->flags = (unsigned)random_below(random, 4);
        break;
    case KIND_TRUNCATE:
        operation->flags = (unsigned)random_below(random, 2);
        operation->offset = random_chance(random, 10) ? 0 : operation->offset;
        break;
    case KIND_FALLOCATE:
        operation->flags = modes[random_below(random, COUNT(modes))];
        break;
    case KIND_COPY:
    case KIND_SENDFILE:
        operation->other = operation->slot < 0 || random_chance(random, 60) ? open_slot(chooser, random) : -1;
        operation->from = choose_place(random, end_of(chooser, operation));
        if (operation->other < 0 && random_chance(random, 50))
            existing_path(chooser, random, operation->second);
        break;
    case KIND_SYNC:
        operation->flags = (unsigned)random_below(random, 3);
        break;
    default:
        break;
    }
}

/* Within this worker's units of a shared file. */
static void choose_shared(const struct chooser *chooser, struct random *random, struct operation *operation) {
    static const enum kind whole[] = {KIND_READ,      KIND_WRITE, KIND_WRITE,     KIND_MAP_READ,
                                      KIND_MAP_WRITE, KIND_COPY,  KIND_FALLOCATE, KIND_SYNC};
    static const enum kind part[] = {KIND_READ, KIND_WRITE, KIND_WRITE, KIND_READ, KIND_WRITE, KIND_SYNC};
    unsigned file = (unsigned)random_below(random, SHARED);
    int64_t size = shared_unit(file);
    int64_t places[2];
    for (int i = 0; i < 2; i++)
        places[i] =
            size * (chooser->worker +
                    chooser->workers * (int64_t)random_below(random, (uint64_t)(SHARED_UNIT / chooser->workers)));
    operation->kind =
        file % 2 == 0 ? whole[random_below(random, COUNT(whole))] : part[random_below(random, COUNT(part))];
    shared_path(file, operation->path);
    operation->seed = random_next(random);
    operation->offset = places[0];
    operation->from = places[1];
    operation->length = size;
    if (operation->kind == KIND_COPY) {
        shared_path((unsigned)random_below(random, SHARED) & ~1U, operation->second);
    } else if (operation->kind == KIND_FALLOCATE) {
        operation->flags =
            FALLOC_FL_KEEP_SIZE | (random_chance(random, 50) ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
    } else if (random_chance(random, 70)) {
        int64_t skip = (int64_t)random_below(random, (uint64_t)size);
        operation->offset += skip;
        operation->length = 1 + (int64_t)random_below(random, (uint64_t)(size - skip));
    }
}

static void choose_names(const struct chooser *chooser, struct random *random, struct operation *operation) {
    static const unsigned renames[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    switch (operation->kind) {
    case KIND_CREATE:
        new_path(chooser, random, operation->path);
        operation->flags = (unsigned)O_WRONLY | (random_chance(random, 50) ? O_EXCL : 0U);
        operation->length = choose_mode(random, 0600);
        break;
    case KIND_MKDIR:
        new_path(chooser, random, operation->path);
        operation->flags = choose_mode(random, 0700);
        break;
    case KIND_SYMLINK:
        new_path(chooser, random, operation->path);
        any_path(chooser, random, operation->second);
        if (random_chance(random, 50)) /* alone in its directory, where it leads somewhere more often */
            pool_name(chooser, random, operation->second);
        /* Long ones lead nowhere, not to a new file with a long name either. */
        operation->length = random_chance(random, 90) ? 0 : 300 + (int64_t)random_below(random, 4096 - 300);
        break;
    case KIND_MKNOD:
        new_path(chooser, random, operation->path);
        operation->flags = (random_chance(random, 50) ? S_IFIFO : S_IFSOCK) | choose_mode(random, 0600);
        break;
    case KIND_LINK:
        choose_file(chooser, random, 20, operation);
        new_path(chooser, random, operation->second);
        operation->flags = random_chance(random, 30) ? AT_SYMLINK_FOLLOW : 0;
        break;
    case KIND_RENAME:
        existing_path(chooser, random, operation->path);
        if (random_chance(random, 50)) {
            existing_path(chooser, random, operation->second);
        } else {
            new_path(chooser, random, operation->second);
        }
        operation->flags = renames[random_below(random, COUNT(renames))];
        break;
    case KIND_RMDIR:
    case KIND_REMOVE_ALL:
    case KIND_LIST:
    case KIND_LIST_CHANGING:
        directory_path(chooser, random, operation->path);
        operation->seed = random_next(random);
        break;
    default:
        existing_path(chooser, random, operation->path);
        operation->flags = operation->kind == KIND_ACCESS ? (unsigned)random_below(random, 8) : 0;
        break;
    }
}

static void choose_attributes(const struct chooser *chooser, struct random *random, struct operation *operation) {
    choose_file(chooser, random, 30, operation);
    operation->seed = random_next(random);
    switch (operation->kind) {
    case KIND_CHMOD:
        operation->flags = choose_mode(random, 0700);
        break;
    case KIND_CHOWN:
        operation->offset = (int64_t)random_below(random, 5) - 1;
        operation->length = (int64_t)random_below(random, 5) - 1;
        break;
    case KIND_TIMES:
        operation->flags = (unsigned)random_below(random, 4);
        break;
    default:
        operation->other = (int)random_below(random, 6);
        operation->length = (int64_t)random_below(random, 200);
        operation->flags = random_chance(random, 60) ? 0 : random_chance(random, 50) ? XATTR_CREATE : XATTR_REPLACE;
        break;
    }
}

/* Which moment and which of its files is the seed's to say. */
static void choose_restore(const struct chooser *chooser, struct random *random, struct operation *operation) {
    existing_path(chooser, random, operation->path);
    choose_range(chooser, random, operation);
    operation->from = random_chance(random, 50) ? operation->offset : choose_place(random, FILE_BYTES / 2);
    if (random_chance(random, 30)) {
        operation->from = operation->offset = 0;
        operation->length = FILE_BYTES;
    }
    operation->seed = random_next(random);
}

static enum kind choose_kind(struct random *random) {
    unsigned sum = 0;
    for (enum kind kind = 0; kind < KINDS; kind++)
        sum += kind_weight(kind);
    uint64_t chosen = random_below(random, sum);
    enum kind kind = 0;
    for (; chosen >= kind_weight(kind); kind++)
        chosen -= kind_weight(kind);
    return kind;
}

void operation_choose(const struct chooser *chooser, uint64_t number, struct operation *operation) {
    struct random random = random_of(chooser->seed, number);
    *operation = (struct operation){.kind = choose_kind(&random), .slot = -1, .other = -1};
    if (chooser->workers > 0 && random_chance(&random, 20)) {
        choose_shared(chooser, &random, operation);
    } else if (operation->kind == KIND_OPEN) {
        choose_open(chooser, &random, operation);
    } else if (operation->kind == KIND_CLOSE) {
        operation->slot = (int)random_below(&random, SLOTS);
    } else if (operation->kind <= KIND_SYNC) {
        choose_data(chooser, &random, operation);
    } else if (operation->kind <= KIND_ACCESS) {
        choose_names(chooser, &random, operation);
    } else if (operation->kind == KIND_RESTORE) {
        choose_restore(chooser, &random, operation);
    } else {
        choose_attributes(chooser, &random, operation);
    }
}

int64_t shared_unit(unsigned file) {
    return file % 2 == 0 ? 2 * PAGE : 3000;
}

void shared_path(unsigned file, char path[static PATH_SIZE]) {
    (void)snprintf(path, PATH_SIZE, "shared%u", file % SHARED);
}
