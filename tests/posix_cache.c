/* Caches tell the truth: one process changes a file by some call, another looks at it by another, and sees what is.
 *
 * Three tables of ways to change and three of ways to look, for contents, attributes and names; each way to change is crossed with each
 * way to look. What must be seen is kept in memory that both processes share.
 */
#include "tests/posix.h"

#include <dirent.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/xattr.h>

#define ROUNDS 12

/* Runs change in this process and look in another, in turn. */
struct pair {
    void (*change)(void *state, unsigned round);
    void (*look)(void *state, unsigned round);
    void *state;
    struct turns turns;
};

static void look_in_turn(void *argument) {
    struct pair *pair = argument;
    for (unsigned round = 0; round < ROUNDS; round++) {
        (void)turns_take(pair->turns.to_child[0]);
        pair->look(pair->state, round);
        turns_pass(pair->turns.to_parent[1]);
    }
}

static void change_in_turn(struct pair *pair) {
    turns_init(&pair->turns);
    pid_t child = child_start(look_in_turn, pair);
    must(close(pair->turns.to_parent[1]));
    for (unsigned round = 0; round < ROUNDS; round++) {
        pair->change(pair->state, round);
        turns_pass(pair->turns.to_child[1]);
        if (!turns_take(pair->turns.to_parent[0]))
            break;
    }
    child_end(child);
}

/* ---------------------------------------------------------------- contents */

#define ROOM 131072

struct content {
    size_t size;
    uint8_t bytes[ROOM];
    /* Of one process each: */
    int fd, direct;
    uint8_t *map;
    unsigned seed;
};

static size_t pick(struct content *content, size_t below) {
    return below ? (size_t)rand_r(&content->seed) % below : 0;
}

/* Some bytes for some place, in the model already. */
static void choose(struct content *content, unsigned round, size_t *at, size_t *length) {
    *at = pick(content, ROOM - 1);
    *length = 1 + pick(content, round % 3 ? 5000 : 60000);
    if (*at + *length > ROOM)
        *length = ROOM - *at;
    fill_pattern(content->bytes + *at, *length, *at, round + 2);
    if (*at + *length > content->size)
        content->size = *at + *length;
}

static void change_pwrite(void *state, unsigned round) {
    struct content *content = state;
    size_t at, length;
    choose(content, round, &at, &length);
    must_equal(pwrite(content->fd, content->bytes + at, length, (off_t)at), length);
}

static void change_reopen_write(void *state, unsigned round) {
    struct content *content = state;
    size_t at, length;
    choose(content, round, &at, &length);
    int fd = must(open("file", O_WRONLY));
    must_equal(pwrite(fd, content->bytes + at, length, (off_t)at), length);
    must(close(fd));
}

static void change_append(void *state, unsigned round) {
    struct content *content = state;
    size_t length = 1 + pick(content, 3000);
    if (content->size + length > ROOM)
        length = ROOM - content->size;
    fill_pattern(content->bytes + content->size, length, content->size, round + 2);
    int fd = must(open("file", O_WRONLY | O_APPEND));
    must_equal(write(fd, content->bytes + content->size, length), length);
    content->size += length;
    must(close(fd));
}

static void change_mmap(void *state, unsigned round) {
    struct content *content = state;
    if (!content->map)
        content->map = must(mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, content->fd, 0));
    size_t at = pick(content, content->size), length = content->size - at < 9000 ? content->size - at : 9000;
    fill_pattern(content->bytes + at, length, at, round + 2);
    memcpy(content->map + at, content->bytes + at, length);
}

static void resize_model(struct content *content, size_t size) {
    memset(content->bytes + size, 0, ROOM - size);
    content->size = size;
}

static void change_ftruncate(void *state, unsigned round) {
    struct content *content = state;
    size_t size = round % 2 ? ROOM : 1 + pick(content, ROOM);
    if (size < content->size)
        resize_model(content, size);
    content->size = size;
    must(ftruncate(content->fd, (off_t)size));
}

static void change_truncate(void *state, unsigned round) {
    struct content *content = state;
    size_t size = round % 2 ? ROOM : 1 + pick(content, ROOM);
    if (size < content->size)
        resize_model(content, size);
    content->size = size;
    must(truncate("file", (off_t)size));
}

static void change_rewrite(void *state, unsigned round) {
    struct content *content = state;
    resize_model(content, 0);
    content->size = 1 + pick(content, ROOM - 1);
    fill_pattern(content->bytes, content->size, 0, round + 2);
    int fd = must(open("file", O_WRONLY | O_TRUNC));
    must_equal(write(fd, content->bytes, content->size), content->size);
    must(close(fd));
}

static void change_punch(void *state, unsigned round) {
    struct content *content = state;
    (void)round;
    size_t at = pick(content, ROOM - 1), length = 1 + pick(content, ROOM - at);
    if (fallocate(content->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)length)) {
        must_be(errno == EOPNOTSUPP, "fallocate: got %s", strerrorname_np(errno));
        posix_skip("fallocate: EOPNOTSUPP");
    }
    memset(content->bytes + at, 0, length);
}

static void change_fallocate(void *state, unsigned round) {
    struct content *content = state;
    size_t size = 1 + pick(content, ROOM - 1);
    if (round % 3 == 2) {
        resize_model(content, 10);
        must(ftruncate(content->fd, 10));
    }
    if (fallocate(content->fd, 0, 0, (off_t)size)) {
        must_be(errno == EOPNOTSUPP, "fallocate: got %s", strerrorname_np(errno));
        posix_skip("fallocate: EOPNOTSUPP");
    }
    content->size = size > content->size ? size : content->size;
}

static void change_copy(void *state, unsigned round) {
    struct content *content = state;
    size_t at, length;
    choose(content, round, &at, &length);
    int source = must(open("source", O_RDWR | O_CREAT, 0644));
    must_equal(pwrite(source, content->bytes + at, length, 17), length);
    loff_t from = 17, to = (loff_t)at;
    while (length > 0) {
        ssize_t copied = must(copy_file_range(source, &from, content->fd, &to, length, 0));
        must_be(copied > 0, "copy_file_range: expected more");
        length -= (size_t)copied;
    }
    must(close(source));
}

static void change_direct(void *state, unsigned round) {
    struct content *content = state;
    size_t at = pick(content, ROOM / 4096) * 4096, length = 4096;
    uint8_t *buffer = aligned_alloc(4096, length);
    must_be(buffer, "out of memory");
    if (!content->direct)
        content->direct = open("file", O_RDWR | O_DIRECT);
    if (content->direct < 0)
        posix_skip("O_DIRECT: %s", strerrorname_np(errno));
    fill_pattern(buffer, length, at, round + 2);
    memcpy(content->bytes + at, buffer, length);
    content->size = at + length > content->size ? at + length : content->size;
    must_equal(pwrite(content->direct, buffer, length, (off_t)at), length);
    free(buffer);
}

static void change_replace(void *state, unsigned round) {
    struct content *content = state;
    resize_model(content, 0);
    content->size = 1 + pick(content, ROOM - 1);
    fill_pattern(content->bytes, content->size, 0, round + 2);
    int fd = must(open("new", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    must_equal(write(fd, content->bytes, content->size), content->size);
    must(close(fd));
    must(rename("new", "file"));
}

static void compare(const struct content *content, const uint8_t *got, size_t size) {
    must_equal(size, content->size);
    for (size_t i = 0; i < size; i++)
        must_be(got[i] == content->bytes[i], "byte %zu of %zu: expected %d, got %d", i, size, content->bytes[i],
                got[i]);
}

static void read_and_compare(const struct content *content, int fd) {
    static uint8_t buffer[ROOM + 1];
    compare(content, buffer, (size_t)must(pread(fd, buffer, sizeof buffer, 0)));
}

static void look_open(void *state, unsigned round) {
    (void)round;
    int fd = must(open("file", O_RDONLY));
    read_and_compare(state, fd);
    must(close(fd));
}

static void look_held(void *state, unsigned round) {
    struct content *content = state;
    if (round == 0)
        content->fd = must(open("file", O_RDONLY));
    read_and_compare(content, content->fd);
}

static void look_mmap(void *state, unsigned round) {
    (void)round;
    const struct content *content = state;
    int fd = must(open("file", O_RDONLY));
    uint8_t *map = must(mmap(NULL, ROOM, PROT_READ, MAP_SHARED, fd, 0));
    compare(content, map, (size_t)status_of_fd(fd).st_size);
    must(munmap(map, ROOM));
    must(close(fd));
}

static void look_held_mmap(void *state, unsigned round) {
    struct content *content = state;
    if (round == 0) {
        content->fd = must(open("file", O_RDWR));
        content->map = must(mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, content->fd, 0));
    }
    compare(content, content->map, (size_t)status_of_fd(content->fd).st_size);
}

static void look_stat(void *state, unsigned round) {
    (void)round;
    const struct content *content = state;
    struct statx st;
    must_equal(status_of("file").st_size, content->size);
    must(statx(AT_FDCWD, "file", 0, STATX_SIZE, &st));
    must_equal(st.stx_size, content->size);
}

static void look_seek(void *state, unsigned round) {
    struct content *content = state;
    if (round == 0)
        content->fd = must(open("file", O_RDONLY));
    must_equal(lseek(content->fd, 0, SEEK_END), content->size);
    /* Where SEEK_DATA sees a hole there are only zeros. */
    off_t at = 0;
    while (at < (off_t)content->size) {
        off_t data = lseek(content->fd, at, SEEK_DATA);
        must_be(data >= at || errno == ENXIO, "SEEK_DATA: got %s", strerrorname_np(errno));
        for (off_t i = at; i < (data < 0 ? (off_t)content->size : data); i++)
            must_be(content->bytes[i] == 0, "SEEK_DATA takes the byte at %lld for a hole", (long long)i);
        if (data < 0)
            break;
        at = must(lseek(content->fd, data, SEEK_HOLE));
    }
}

static void look_direct(void *state, unsigned round) {
    struct content *content = state;
    static uint8_t *buffer;
    if (round == 0) {
        buffer = aligned_alloc(4096, ROOM);
        content->direct = open("file", O_RDONLY | O_DIRECT);
        if (content->direct < 0)
            posix_skip("O_DIRECT: %s", strerrorname_np(errno));
    }
    must_be(buffer, "out of memory");
    compare(content, buffer, (size_t)must(pread(content->direct, buffer, ROOM, 0)));
}

static void look_copy(void *state, unsigned round) {
    (void)round;
    struct content *content = state;
    int fd = must(open("file", O_RDONLY)), copy = must(open("copy", O_RDWR | O_CREAT | O_TRUNC, 0644));
    while (must(copy_file_range(fd, NULL, copy, NULL, ROOM, 0)) > 0)
        ;
    read_and_compare(content, copy);
    must(close(copy));
    must(close(fd));
}

struct way {
    const char *name;
    void (*run)(void *state, unsigned round);
    bool names; /* changes what the name leads to, or asks what was held before */
};

static const struct way content_changes[] = {
    {"pwrite", change_pwrite, false},       {"reopen-write", change_reopen_write, false},
    {"append", change_append, false},       {"mmap", change_mmap, false},
    {"ftruncate", change_ftruncate, false}, {"truncate", change_truncate, false},
    {"rewrite", change_rewrite, false},     {"punch", change_punch, false},
    {"fallocate", change_fallocate, false}, {"copy-range", change_copy, false},
    {"direct", change_direct, false},       {"replace", change_replace, true},
};

static const struct way content_looks[] = {
    {"open", look_open, false},          {"held", look_held, true},  {"mmap", look_mmap, false},
    {"held-mmap", look_held_mmap, true}, {"stat", look_stat, false}, {"seek", look_seek, true},
    {"direct", look_direct, true},       {"copy", look_copy, false},
};

/* A way to change and a way to look. */
struct crossing {
    const struct way *change, *look;
};

/* The model is shared; descriptors and mappings are each process's own. */
static struct content *shared_content, own_content;
static const struct crossing *current;

static void with_own(const struct way *way, struct content *own, unsigned round) {
    own->size = shared_content->size;
    memcpy(own->bytes, shared_content->bytes, ROOM);
    way->run(own, round);
    shared_content->size = own->size;
    memcpy(shared_content->bytes, own->bytes, ROOM);
}

static void change_content(void *state, unsigned round) {
    (void)state;
    with_own(current->change, &own_content, round);
}

static void look_at_content(void *state, unsigned round) {
    (void)state;
    with_own(current->look, &own_content, round);
}

static void run_content(const void *row) {
    current = row;
    shared_content = shared_memory(sizeof *shared_content);
    shared_content->size = 70000;
    fill_pattern(shared_content->bytes, 70000, 0, 1);
    put_pattern("file", 70000, 1);
    own_content.seed = 7;
    own_content.fd = must(open("file", O_RDWR));
    struct pair pair = {.change = change_content, .look = look_at_content};
    change_in_turn(&pair);
}

/* ---------------------------------------------------------------- attributes */

struct attributes {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    nlink_t nlink;
    struct timespec mtime;
    off_t size;
    char xattr[16];
    struct timespec ctime; /* not before this */
};

static int held = -1; /* of each process */

static void change_chmod(void *state, unsigned round) {
    struct attributes *attributes = state;
    attributes->mode = 0600 | (round & 077);
    must(chmod("file", attributes->mode));
}
static void change_fchmod(void *state, unsigned round) {
    struct attributes *attributes = state;
    attributes->mode = 0600 | (round & 077);
    must(fchmod(held, attributes->mode));
}
static void change_chown(void *state, unsigned round) {
    struct attributes *attributes = state;
    if (geteuid() != 0)
        posix_skip("needs root");
    attributes->uid = ALICE + round;
    attributes->gid = STAFF + round;
    must(chown("file", attributes->uid, attributes->gid));
}
static void change_utimes(void *state, unsigned round) {
    struct attributes *attributes = state;
    attributes->mtime = (struct timespec){.tv_sec = 1000 + round, .tv_nsec = (long)round * 1001};
    must(utimensat(AT_FDCWD, "file", (struct timespec[]){{1, 2}, attributes->mtime}, 0));
}
static void change_xattr(void *state, unsigned round) {
    struct attributes *attributes = state;
    if (round % 4 == 3)
        attributes->xattr[0] = '\0';
    else
        snprintf(attributes->xattr, sizeof attributes->xattr, "value %u", round % 100);
    if (round % 4 == 3)
        must(removexattr("second", "user.x"));
    else
        must(setxattr("second", "user.x", attributes->xattr, strlen(attributes->xattr), 0));
}
static void change_links(void *state, unsigned round) {
    struct attributes *attributes = state;
    if (round % 2)
        must(unlink("third"));
    else
        must(link("file", "third"));
    attributes->nlink = round % 2 ? 2 : 3;
}
static void change_size(void *state, unsigned round) {
    struct attributes *attributes = state;
    attributes->size += round;
    static char zeros[64];
    must_equal(pwrite(held, zeros, round, attributes->size - round), round);
    attributes->mtime.tv_nsec = -1;
}
static void change_acl(void *state, unsigned round) {
    struct attributes *attributes = state;
    struct {
        uint32_t version;
        struct {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[3];
    } acl = {2,
             {{1, 6, UINT32_MAX}, {4, (uint16_t)(round & 7), UINT32_MAX}, {32, (uint16_t)(round / 2 & 7), UINT32_MAX}}};
    if (setxattr("file", "system.posix_acl_access", &acl, sizeof acl, 0)) {
        must_be(errno == EOPNOTSUPP, "an ACL: got %s", strerrorname_np(errno));
        posix_skip("no ACLs here");
    }
    attributes->mode = 0600 | (round & 7) << 3 | (round / 2 & 7);
}

static void compare_status(const struct attributes *attributes, const struct stat *st) {
    must_equal(st->st_mode & 07777, attributes->mode);
    must_equal(st->st_uid, attributes->uid);
    must_equal(st->st_gid, attributes->gid);
    must_equal(st->st_nlink, attributes->nlink);
    must_equal(st->st_size, attributes->size);
    if (attributes->mtime.tv_nsec >= 0) {
        must_equal(st->st_mtim.tv_sec, attributes->mtime.tv_sec);
        must_equal(st->st_mtim.tv_nsec, attributes->mtime.tv_nsec);
    }
    must_be(compare_times(attributes->ctime, st->st_ctim) < 0, "ctime is older than the last change");
}

static void look_at_path(void *state, unsigned round) {
    (void)round;
    struct stat st = status_of("file");
    compare_status(state, &st);
}
static void look_at_second(void *state, unsigned round) {
    (void)round;
    struct stat st = status_of("second");
    compare_status(state, &st);
}
static void look_at_held(void *state, unsigned round) {
    if (round == 0)
        held = must(open("file", O_RDONLY));
    struct stat st = status_of_fd(held);
    compare_status(state, &st);
}
static void look_after_open(void *state, unsigned round) {
    (void)round;
    int fd = must(open("file", O_RDONLY));
    struct stat st = status_of_fd(fd);
    compare_status(state, &st);
    must(close(fd));
}
static void look_at_xattr(void *state, unsigned round) {
    (void)round;
    const struct attributes *attributes = state;
    char value[32];
    ssize_t length = getxattr("file", "user.x", value, sizeof value);
    must_be(length >= 0 || errno == ENODATA, "getxattr: got %s", strerrorname_np(errno));
    must_equal(length < 0 ? 0 : length, strlen(attributes->xattr));
    must_be(length <= 0 || !memcmp(value, attributes->xattr, (size_t)length), "getxattr: expected %s, got %.*s",
            attributes->xattr, (int)length, value);
    char list[256];
    ssize_t total = must(listxattr("file", list, sizeof list));
    must_equal(memmem(list, (size_t)total, "user.x", 7) != NULL, attributes->xattr[0] != 0);
}
static void look_at_access(void *state, unsigned round) {
    (void)round;
    const struct attributes *attributes = state;
    if (geteuid() != 0)
        posix_skip("needs root");
    become(BOB + 1000, VISITORS + 1000);
    for (int bit = 1; bit < 8; bit *= 2)
        must_equal(faccessat(AT_FDCWD, "file", bit, AT_EACCESS) == 0, (attributes->mode & (mode_t)bit) != 0);
    become(0, 0);
}

static const struct way attribute_changes[] = {
    {"chmod", change_chmod, false},      {"fchmod", change_fchmod, false}, {"chown", change_chown, false},
    {"utimensat", change_utimes, false}, {"xattr", change_xattr, false},   {"link", change_links, false},
    {"pwrite", change_size, false},      {"acl", change_acl, false},
};
static const struct way attribute_looks[] = {
    {"lstat", look_at_path, false},     {"lstat-of-second-name", look_at_second, false},
    {"fstat", look_at_held, false},     {"open-fstat", look_after_open, false},
    {"getxattr", look_at_xattr, false}, {"access", look_at_access, false},
};

static void change_attributes(void *state, unsigned round) {
    struct attributes *attributes = state;
    attributes->ctime = status_of("file").st_ctim;
    let_time_pass();
    current->change->run(state, round);
    if (round == 0 && current->change->run == change_size)
        attributes->ctime.tv_sec--; /* a write of nothing */
}

static void run_attributes(const void *row) {
    current = row;
    struct attributes *attributes = shared_memory(sizeof *attributes);
    put_file("file", "some text");
    must(link("file", "second"));
    held = must(open("file", O_RDWR));
    struct stat st = status_of("file");
    *attributes = (struct attributes){
        .mode = st.st_mode & 07777, .uid = st.st_uid, .gid = st.st_gid, .nlink = 2, .mtime = st.st_mtim, .size = 9};
    struct pair pair = {.change = change_attributes, .look = current->look->run, .state = attributes};
    change_in_turn(&pair);
}

/* ---------------------------------------------------------------- names */

/* What "directory/name" is: nothing (0), or of this type and inode. */
struct name {
    mode_t type;
    ino_t inode;
    char target[16]; /* of a symlink */
};

#define NAME "directory/name"

static void note_name(struct name *name, const char *target) {
    struct stat st;
    *name = (struct name){0};
    if (fstatat(AT_FDCWD, NAME, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        name->type = st.st_mode & S_IFMT;
        name->inode = st.st_ino;
    }
    snprintf(name->target, sizeof name->target, "%s", target);
}

static void change_create(void *state, unsigned round) {
    if (round % 2)
        must(unlink(NAME));
    else
        put_file(NAME, "x");
    note_name(state, "");
}
static void change_mkdir(void *state, unsigned round) {
    must(round % 2 ? rmdir(NAME) : mkdir(NAME, 0755));
    note_name(state, "");
}
static void change_link_name(void *state, unsigned round) {
    if (round == 0)
        put_file("file", "x");
    must(round % 2 ? unlink(NAME) : link("file", NAME));
    note_name(state, "");
}
static void change_rename_name(void *state, unsigned round) {
    if (round == 0)
        must(mkdir("elsewhere", 0755));
    must(round % 2 ? rename(NAME, "elsewhere") : rename("elsewhere", NAME));
    note_name(state, "");
}
static void change_rename_over(void *state, unsigned round) {
    (void)round;
    put_file("directory/new", "x");
    must(rename("directory/new", NAME));
    note_name(state, "");
}
static void change_exchange(void *state, unsigned round) {
    if (round == 0) {
        must(mkdir("elsewhere", 0755));
        put_file(NAME, "x");
    }
    must(renameat2(AT_FDCWD, "elsewhere", AT_FDCWD, NAME, RENAME_EXCHANGE));
    note_name(state, "");
}
static void change_symlink(void *state, unsigned round) {
    char target[16];
    snprintf(target, sizeof target, "target%u", round % 100);
    if (round > 0)
        must(unlink(NAME));
    must(symlink(target, NAME));
    note_name(state, target);
}
static void change_directory(void *state, unsigned round) {
    (void)round;
    must(mkdir("other", 0755));
    put_file("other/name", "x");
    must(renameat2(AT_FDCWD, "other", AT_FDCWD, "directory", RENAME_EXCHANGE));
    unlink("other/name");
    must(rmdir("other"));
    note_name(state, "");
}

static void look_lstat(void *state, unsigned round) {
    (void)round;
    const struct name *name = state;
    struct stat st = {0};
    if (lstat(NAME, &st)) {
        must_be(errno == ENOENT, "lstat: got %s", strerrorname_np(errno));
        st = (struct stat){0};
    }
    must_equal(st.st_mode & S_IFMT, name->type);
    must_equal(st.st_ino, name->inode);
}
static void look_by_open(void *state, unsigned round) {
    (void)round;
    const struct name *name = state;
    int fd = open(NAME, O_PATH | O_NOFOLLOW);
    must_be(fd >= 0 || errno == ENOENT, "open: got %s", strerrorname_np(errno));
    must_equal(fd >= 0, name->type != 0);
    if (fd >= 0)
        must_equal(status_of_fd(fd).st_ino, name->inode);
    close(fd);
}
static void look_for_entry(const struct name *name, DIR *directory) {
    struct dirent *entry;
    int found = 0;
    while ((entry = readdir(directory))) {
        if (strcmp(entry->d_name, "name") != 0)
            continue;
        found++;
        must_equal(entry->d_ino, name->inode);
        must_equal(DTTOIF(entry->d_type), name->type);
    }
    must_equal(found, name->type != 0);
}
static void look_readdir(void *state, unsigned round) {
    (void)round;
    DIR *directory = opendir("directory");
    must_be(directory, "opendir: got %s", strerrorname_np(errno));
    look_for_entry(state, directory);
    closedir(directory);
}
static void look_rewind(void *state, unsigned round) {
    static DIR *directory;
    if (round == 0)
        directory = opendir("directory");
    must_be(directory, "opendir: got %s", strerrorname_np(errno));
    rewinddir(directory);
    look_for_entry(state, directory);
}
static void look_readlink(void *state, unsigned round) {
    (void)round;
    const struct name *name = state;
    char target[32];
    ssize_t length = readlink(NAME, target, sizeof target);
    if (name->type != S_IFLNK) {
        must_be(length == -1 && errno == (name->type ? EINVAL : ENOENT), "readlink: got %s", strerrorname_np(errno));
        return;
    }
    must_equal(length, strlen(name->target));
    must_be(!memcmp(target, name->target, (size_t)length), "readlink: expected %s, got %.*s", name->target, (int)length,
            target);
}
static void look_by_making(void *state, unsigned round) {
    (void)round;
    const struct name *name = state;
    int rc = mkdir(NAME, 0755);
    must_be(rc == 0 ? name->type == 0 : name->type != 0 && errno == EEXIST, "mkdir: got %s",
            rc ? strerrorname_np(errno) : "success");
    if (rc == 0)
        must(rmdir(NAME));
}

static const struct way name_changes[] = {
    {"create", change_create, false},           {"mkdir", change_mkdir, false},
    {"link", change_link_name, false},          {"rename", change_rename_name, false},
    {"rename-over", change_rename_over, false}, {"exchange", change_exchange, false},
    {"symlink", change_symlink, false},         {"exchange-directories", change_directory, true},
};
static const struct way name_looks[] = {
    {"lstat", look_lstat, false},     {"open", look_by_open, false},      {"readdir", look_readdir, false},
    {"rewinddir", look_rewind, true}, {"readlink", look_readlink, false}, {"mkdir", look_by_making, false},
};

static void run_names(const void *row) {
    const struct crossing *what = row;
    struct pair pair = {
        .change = what->change->run, .look = what->look->run, .state = shared_memory(sizeof(struct name))};
    must(mkdir("directory", 0755));
    change_in_turn(&pair);
}

/* ---------------------------------------------------------------- all of them */

static void cross(const char *what, void (*run)(const void *row), const struct way *changes, size_t change_count,
                  const struct way *looks, size_t look_count) {
    char name[128];
    for (size_t i = 0; i < change_count; i++) {
        for (size_t j = 0; j < look_count; j++) {
            struct crossing pair = {&changes[i], &looks[j]};
            snprintf(name, sizeof name, "%s-%s-seen-by-%s", what, changes[i].name, looks[j].name);
            if (!changes[i].names || !looks[j].names)
                posix_case("cache", name, run, &pair);
        }
    }
}

void posix_cache(void) {
    cross("content", run_content, content_changes, COUNT(content_changes), content_looks, COUNT(content_looks));
    cross("attributes", run_attributes, attribute_changes, COUNT(attribute_changes), attribute_looks,
          COUNT(attribute_looks));
    cross("name", run_names, name_changes, COUNT(name_changes), name_looks, COUNT(name_looks));
}
