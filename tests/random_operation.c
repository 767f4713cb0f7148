/* The kinds of operations: their names, their text, and the outcomes of one on both sides. */
#include "tests/random.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct {
    const char *name;
    unsigned weight;
} kinds[KINDS] = {
    [KIND_OPEN] = {"open", 60},
    [KIND_CLOSE] = {"close", 25},
    [KIND_READ] = {"read", 60},
    [KIND_WRITE] = {"write", 90},
    [KIND_APPEND] = {"append", 15},
    [KIND_MAP_READ] = {"map-read", 25},
    [KIND_MAP_WRITE] = {"map-write", 40},
    [KIND_TRUNCATE] = {"truncate", 30},
    [KIND_FALLOCATE] = {"fallocate", 30},
    [KIND_COPY] = {"copy", 25},
    [KIND_SENDFILE] = {"sendfile", 8},
    [KIND_SEEK] = {"seek", 20},
    [KIND_SYNC] = {"sync", 6},
    [KIND_CREATE] = {"create", 35},
    [KIND_MKDIR] = {"mkdir", 25},
    [KIND_SYMLINK] = {"symlink", 12},
    [KIND_MKNOD] = {"mknod", 5},
    [KIND_LINK] = {"link", 20},
    [KIND_RENAME] = {"rename", 50},
    [KIND_UNLINK] = {"unlink", 30},
    [KIND_RMDIR] = {"rmdir", 15},
    [KIND_REMOVE_ALL] = {"remove-all", 3},
    [KIND_LIST] = {"list", 12},
    [KIND_LIST_CHANGING] = {"list-changing", 4},
    [KIND_READLINK] = {"readlink", 4},
    [KIND_ACCESS] = {"access", 8},
    [KIND_CHMOD] = {"chmod", 12},
    [KIND_CHOWN] = {"chown", 8},
    [KIND_TIMES] = {"times", 25},
    [KIND_SETXATTR] = {"setxattr", 14},
    [KIND_REMOVEXATTR] = {"removexattr", 6},
    [KIND_GETXATTR] = {"getxattr", 8},
    [KIND_RESTORE] = {"restore", 8},
    [KIND_REMOUNT] = {"remount", 0},
    [KIND_REMEMBER] = {"remember", 0},
};

const char *kind_name(enum kind kind) {
    return kinds[kind].name;
}

unsigned kind_weight(enum kind kind) {
    return kinds[kind].weight;
}

/* ---------------------------------------------------------------- text */

void operation_format(const struct operation *operation, char *text, size_t size) {
    (void)snprintf(text, size,
                   "%s slot=%d other=%d flags=%#x offset=%" PRId64 " from=%" PRId64 " length=%" PRId64 " seed=%" PRIu64
                   " path=%s second=%s",
                   kinds[operation->kind].name, operation->slot, operation->other, operation->flags, operation->offset,
                   operation->from, operation->length, operation->seed, operation->path, operation->second);
}

/* A number after "<name>=", at *text, which goes on behind it. */
static bool parse_number(const char **text, const char *name, int64_t *number) {
    size_t length = strlen(name);
    char *end;
    *text += strspn(*text, " ");
    if (strncmp(*text, name, length) != 0 || (*text)[length] != '=')
        return false;
    errno = 0;
    *number = (int64_t)strtoull(*text + length + 1, &end, 0);
    if (end == *text + length + 1 || errno != 0)
        return false;
    *text = end;
    return true;
}

static bool parse_path(const char **text, const char *name, char path[static PATH_SIZE]) {
    size_t length = strlen(name);
    *text += strspn(*text, " ");
    if (strncmp(*text, name, length) != 0 || (*text)[length] != '=')
        return false;
    *text += length + 1;
    length = strcspn(*text, " \n");
    if (length >= PATH_SIZE)
        return false;
    memcpy(path, *text, length);
    path[length] = '\0';
    *text += length;
    return true;
}

bool operation_parse(const char *text, struct operation *operation) {
    int64_t slot, other, flags, seed;
    size_t length = strcspn(text, " ");
    *operation = (struct operation){.kind = KINDS};
    for (enum kind kind = 0; kind < KINDS; kind++) {
        if (strlen(kinds[kind].name) == length && memcmp(kinds[kind].name, text, length) == 0)
            operation->kind = kind;
    }
    text += length;
    bool good = operation->kind != KINDS && parse_number(&text, "slot", &slot) &&
                parse_number(&text, "other", &other) && parse_number(&text, "flags", &flags) &&
                parse_number(&text, "offset", &operation->offset) && parse_number(&text, "from", &operation->from) &&
                parse_number(&text, "length", &operation->length) && parse_number(&text, "seed", &seed) &&
                parse_path(&text, "path", operation->path) && parse_path(&text, "second", operation->second) &&
                slot >= -1 && slot < SLOTS && other >= -1 && other < SLOTS;
    if (good) {
        operation->slot = (int)slot;
        operation->other = (int)other;
        operation->flags = (unsigned)flags;
        operation->seed = (uint64_t)seed;
    }
    return good;
}

/* ---------------------------------------------------------------- doing */

struct timespec set_time(const struct stat *stat) {
    bool is_set = stat->st_mtim.tv_sec < SET_TIMES_END && !S_ISFIFO(stat->st_mode);
    return is_set ? stat->st_mtim : (struct timespec){0};
}

void state_set(struct state *state, const struct stat *stat) {
    *state = (struct state){.mode = stat->st_mode, .uid = stat->st_uid, .gid = stat->st_gid, .nlink = stat->st_nlink};
    /* What a directory's size is, each filesystem says in its own way. */
    if (!S_ISDIR(stat->st_mode))
        state->size = (uint64_t)stat->st_size;
    state->set = set_time(stat);
}

/* Of the slot; or else of both paths. */
void operation_note_states(const struct side *side, const struct operation *operation, struct outcome *outcome) {
    struct stat stat;
    if (operation->slot >= 0) {
        if (side->files[operation->slot].fd >= 0 && fstat(side->files[operation->slot].fd, &stat) == 0)
            state_set(&outcome->state, &stat);
    } else if (operation->path[0] != '\0' && fstatat(side->root_fd, operation->path, &stat, AT_SYMLINK_NOFOLLOW) == 0) {
        state_set(&outcome->state, &stat);
    }
    if (operation->kind == KIND_SYMLINK || operation->second[0] == '\0')
        return;
    if (fstatat(side->root_fd, operation->second, &stat, AT_SYMLINK_NOFOLLOW) == 0)
        state_set(&outcome->second, &stat);
}

void operation_do(struct side *side, const struct operation *operation, struct outcome *outcome) {
    *outcome = (struct outcome){.result = -1};
    errno = 0;
    if (operation->kind <= KIND_SYNC) {
        data_do(side, operation, outcome);
    } else if (operation->kind <= KIND_ACCESS) {
        names_do(side, operation, outcome);
    } else {
        attributes_do(side, operation, outcome);
    }
    operation_note_states(side, operation, outcome);
}

static void state_format(const struct state *state, char *text, size_t size) {
    if (state->mode == 0) {
        (void)snprintf(text, size, "nothing");
    } else {
        (void)snprintf(text, size, "mode %o owner %u:%u links %" PRIu64 " size %" PRIu64 " mtime %s%lld.%09ld",
                       state->mode, state->uid, state->gid, state->nlink, state->size,
                       state->set.tv_sec != 0 ? "" : "moved ", (long long)state->set.tv_sec, state->set.tv_nsec);
    }
}

static bool states_equal(const struct state *a, const struct state *b) {
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->nlink == b->nlink && a->size == b->size &&
           a->set.tv_sec == b->set.tv_sec && a->set.tv_nsec == b->set.tv_nsec;
}

bool outcomes_equal(const struct side sides[2], const struct outcome outcomes[2]) {
    const struct outcome *a = &outcomes[0], *b = &outcomes[1];
    size_t same = 0, length = a->read < b->read ? a->read : b->read;
    while (same < length && sides[0].buffer[same] == sides[1].buffer[same])
        same++;
    if (a->result == b->result && a->error == b->error && a->read == b->read && same == length && a->note[0] == '\0' &&
        b->note[0] == '\0' && states_equal(&a->state, &b->state) && states_equal(&a->second, &b->second))
        return true;
    for (int i = 0; i < 2; i++) {
        char state[128], second[128];
        state_format(&outcomes[i].state, state, sizeof state);
        state_format(&outcomes[i].second, second, sizeof second);
        printf("  %s: %" PRId64 " %s%s%s; then %s; second: %s\n", sides[i].name, outcomes[i].result,
               outcomes[i].error != 0 ? strerrorname_np(outcomes[i].error) : "",
               outcomes[i].note[0] != '\0' ? ": " : "", outcomes[i].note, state, second);
    }
    if (same < length) {
        printf("  byte %zu of what was read is %#x in %s and %#x in %s\n", same, sides[0].buffer[same], sides[0].name,
               sides[1].buffer[same], sides[1].name);
    }
    return false;
}

/* ---------------------------------------------------------------- sides */

int side_init(struct side *side, const char *label, const char *parent, const char *name) {
    *side = (struct side){.name = label, .root_fd = -1};
    for (int slot = 0; slot < SLOTS; slot++)
        side->files[slot].fd = -1;
    if (asprintf(&side->root, "%s/%s", parent, name) < 0) {
        side->root = NULL;
        return -1;
    }
    /* O_DIRECT wants whole pages. */
    side->buffer = aligned_alloc(PAGE, FILE_BYTES + 2 * CHUNK);
    if (side->buffer == NULL || mkdir(side->root, 0777) != 0) {
        (void)fprintf(stderr, "tool_random: %s: %s\n", side->root, strerror(errno));
        return -1;
    }
    return side_open(side);
}

int side_open(struct side *side) {
    side->root_fd = open(side->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (side->root_fd < 0)
        (void)fprintf(stderr, "tool_random: %s: %s\n", side->root, strerror(errno));
    return side->root_fd < 0 ? -1 : 0;
}

void side_close(struct side *side) {
    for (int slot = 0; slot < SLOTS; slot++) {
        struct operation closing = {.kind = KIND_CLOSE, .slot = slot};
        struct outcome outcome;
        data_do(side, &closing, &outcome);
    }
    if (side->root_fd >= 0)
        close(side->root_fd);
    side->root_fd = -1;
}

void side_release(struct side *side) {
    side_close(side);
    free(side->root);
    free(side->buffer);
    side->root = NULL;
    side->buffer = NULL;
}
