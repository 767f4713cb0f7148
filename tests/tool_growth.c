/* Makes the stores on which scripts/bench measures growth: as many transactions and files as are asked for, one for one what the head would commit,
 * through the storage's interface. Their clock is their own: they took two years and have just ended.
 *
 *   tool_growth tree DIR FILES TRANSACTIONS
 *       FILES files, 100 in a directory, which 100 transactions make. Each transaction after those edits one file: three
 *       in place, and every fourth as editors do, by a new file that takes the name.
 *   tool_growth crowd DIR NAMES TEMPORARY TRANSACTIONS
 *       One directory `crowd` of NAMES files, made by 100 transactions. Each of the others edits one of them; TEMPORARY further files come and go
 *       in the directory meanwhile, the last of them before the last transaction.
 *
 * Prints three lines, each a tid and its time in seconds: of the oldest instant with all of its files, of a middle one and of the newest.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "store/storage.h"
#include "store/tid.h"

#define TREE_TRANSACTIONS 100 /* that make what is there from the beginning */
#define PER_DIRECTORY     100
#define YEARS_2           INT64_C(63072000) /* seconds */
#define TEXT_MAX          64
#define NAME_MAX_HERE     64
#define LIFE_MAX          512 /* transactions that a temporary file lives, at most; a power of two */

struct directory {
    uint64_t oid, parent, next_index, size;
    uint32_t subdirectories;
    bool dirty;
};

struct file {
    uint64_t oid, index;
    uint32_t directory;
};

struct growing {
    struct storage *storage;
    uint64_t next_oid, random;
    struct timespec clock;
    struct directory *directories; /* 0 is the root */
    size_t directory_count, directory_capacity;
    struct file *files;
    size_t file_count;
    const char *name_format; /* of a file's number, less what is a multiple of names_in_one */
    uint64_t names_in_one;
    uint32_t group, directory; /* of a tree, that gets the next file */

    /* the next transaction */
    struct new_revision *revisions;
    size_t revision_count, revision_capacity;
    struct new_entry *added;
    size_t added_count, added_capacity;
    struct ended_entry *ended;
    size_t ended_count, ended_capacity;
    struct new_body *bodies;
    size_t body_count, body_capacity;
    uint32_t *dirty; /* directories */
    size_t dirty_count, dirty_capacity;
};

/* What is made here need not survive a power cut: SQLite's own calls come here, too, and a million commits take minutes, not hours. */
int fsync(int fd) {
    (void)fd;
    return 0;
}

int fdatasync(int fd) {
    (void)fd;
    return 0;
}

static void die(const char *what, const char *why) {
    (void)fprintf(stderr, "tool_growth: %s: %s\n", what, why);
    exit(1);
}

static void check(int rc, const char *what) {
    if (rc != STORE_OK) {
        die(what, store_error_text(rc));
    }
}

static void *needed(void *memory) {
    if (memory == NULL) {
        die("memory", strerror(ENOMEM));
    }
    return memory;
}

/* Room for one more at the end of an array. */
#define RESERVE(items, count, capacity)                                                                                \
    do {                                                                                                               \
        if ((count) == (capacity)) {                                                                                   \
            (capacity) = (capacity) == 0 ? 256 : (capacity)*2;                                                         \
            (items) = needed(reallocarray((items), (capacity), sizeof *(items)));                                      \
        }                                                                                                              \
    } while (0)

/* The same in each run. xorshift64* */
static uint64_t below(struct growing *g, uint64_t limit) {
    g->random ^= g->random >> 12;
    g->random ^= g->random << 25;
    g->random ^= g->random >> 27;
    return g->random * UINT64_C(2685821657736338717) % limit;
}

/* ---- what a transaction holds ---- */

static void add_revision(struct growing *g, uint64_t oid, uint64_t part, bool directory, uint8_t *data, size_t length) {
    RESERVE(g->revisions, g->revision_count, g->revision_capacity);
    g->revisions[g->revision_count++] =
        (struct new_revision){.oid = oid, .part = part, .directory = directory, .data = data, .length = length};
}

static void add_inode(struct growing *g, uint64_t oid, const struct inode_record *record) {
    uint8_t *data;
    size_t length;
    check(inode_record_encode(record, &data, &length), "inode");
    add_revision(g, oid, PART_INODE, S_ISDIR(record->mode), data, length);
}

/* A revision of a file with a short text of its own. */
static void write_file(struct growing *g, uint64_t oid, uint64_t number) {
    char *text = needed(malloc(TEXT_MAX));
    int length = snprintf(text, TEXT_MAX, "object %" PRIu64 ", as of change %" PRIu64 "\n", oid, number);
    uint64_t id, sum = XXH3_64bits(text, (size_t)length);
    check(storage_body_reserve(g->storage, 1, &id), "body");
    RESERVE(g->bodies, g->body_count, g->body_capacity);
    g->bodies[g->body_count++] =
        (struct new_body){.id = id, .data = (uint8_t *)text, .length = (uint32_t)length, .sum = sum};
    struct inode_record record = {.mode = S_IFREG | 0644,
                                  .nlink = 1,
                                  .size = (uint64_t)length,
                                  .allocated = (uint64_t)length,
                                  .atime = g->clock,
                                  .mtime = g->clock,
                                  .ctime = g->clock,
                                  .btime = g->clock};
    add_inode(g, oid, &record);
    struct extent extent = {.length = (uint32_t)length,
                            .body = {.length = (uint32_t)length, .position = id, .sum = sum}};
    struct chunk chunk = {.extents = &extent, .count = 1};
    uint8_t *data;
    size_t data_length;
    check(chunk_encode(&chunk, &data, &data_length), "chunk");
    add_revision(g, oid, PART_CHUNK, false, data, data_length);
}

static void make_dirty(struct growing *g, uint32_t directory) {
    if (!g->directories[directory].dirty) {
        g->directories[directory].dirty = true;
        RESERVE(g->dirty, g->dirty_count, g->dirty_capacity);
        g->dirty[g->dirty_count++] = directory;
    }
}

/* Returns the entry's index. */
static uint64_t add_name(struct growing *g, uint32_t parent, const char *name, uint64_t oid, uint32_t type) {
    struct directory *directory = &g->directories[parent];
    make_dirty(g, parent);
    RESERVE(g->added, g->added_count, g->added_capacity);
    g->added[g->added_count++] = (struct new_entry){.parent = directory->oid,
                                                    .index = directory->next_index,
                                                    .oid = oid,
                                                    .type = type,
                                                    .name = needed(strdup(name)),
                                                    .name_length = strlen(name)};
    directory->size++;
    directory->subdirectories += type == S_IFDIR;
    return directory->next_index++;
}

static void end_name(struct growing *g, uint32_t parent, uint64_t index) {
    make_dirty(g, parent);
    g->directories[parent].size--;
    RESERVE(g->ended, g->ended_count, g->ended_capacity);
    g->ended[g->ended_count++] = (struct ended_entry){.parent = g->directories[parent].oid, .index = index};
}

static void end_object(struct growing *g, uint64_t oid) {
    add_revision(g, oid, PART_INODE, false, NULL, 0);
}

static uint32_t make_directory(struct growing *g, uint32_t parent, const char *name) {
    RESERVE(g->directories, g->directory_count, g->directory_capacity);
    uint32_t number = (uint32_t)g->directory_count++;
    g->directories[number] =
        (struct directory){.oid = g->next_oid++, .parent = g->directories[parent].oid, .next_index = ENTRY_INDEX_FIRST};
    add_name(g, parent, name, g->directories[number].oid, S_IFDIR);
    make_dirty(g, number);
    return number;
}

static struct file make_file(struct growing *g, uint32_t parent, const char *name) {
    uint64_t oid = g->next_oid++;
    write_file(g, oid, 0);
    return (struct file){.oid = oid, .directory = parent, .index = add_name(g, parent, name, oid, S_IFREG)};
}

/* One of those that stay. */
static void make_numbered(struct growing *g, uint64_t number, uint32_t parent) {
    char name[NAME_MAX_HERE];
    (void)snprintf(name, sizeof name, g->name_format, number % g->names_in_one);
    g->files[number] = make_file(g, parent, name);
}

static void add_directories(struct growing *g) {
    for (size_t i = 0; i < g->dirty_count; i++) {
        struct directory *directory = &g->directories[g->dirty[i]];
        struct inode_record record = {.mode = S_IFDIR | 0755,
                                      .nlink = 2 + directory->subdirectories,
                                      .size = directory->size,
                                      .parent = directory->parent,
                                      .next_index = directory->next_index,
                                      .atime = g->clock,
                                      .mtime = g->clock,
                                      .ctime = g->clock,
                                      .btime = g->clock};
        add_inode(g, directory->oid, &record);
        directory->dirty = false;
    }
    g->dirty_count = 0;
}

static void forget_changes(struct growing *g) {
    for (size_t i = 0; i < g->revision_count; i++) {
        free((void *)(uintptr_t)g->revisions[i].data);
    }
    for (size_t i = 0; i < g->added_count; i++) {
        free((void *)(uintptr_t)g->added[i].name);
    }
    for (size_t i = 0; i < g->body_count; i++) {
        free((void *)(uintptr_t)g->bodies[i].data);
    }
    g->revision_count = g->added_count = g->ended_count = g->body_count = 0;
}

static struct commit commit_of(const struct growing *g, uint64_t base, const char *message) {
    return (struct commit){.base = base,
                           .wall = g->clock,
                           .user = "root",
                           .message = message,
                           .next_oid = g->next_oid,
                           .revisions = g->revisions,
                           .revision_count = g->revision_count,
                           .ended = g->ended,
                           .ended_count = g->ended_count,
                           .added = g->added,
                           .added_count = g->added_count,
                           .bodies = g->bodies,
                           .body_count = g->body_count};
}

static void commit(struct growing *g, uint64_t base) {
    add_directories(g);
    struct commit made = commit_of(g, base, "");
    check(storage_commit(g->storage, &made, NULL), "commit");
    forget_changes(g);
}

/* ---- stores ---- */

/* With its first transaction, of which the root is all. */
static void begin(struct growing *g, const char *path) {
    struct error err = {0};
    if (mkdir(path, 0700) != 0) {
        die(path, strerror(errno));
    }
    RESERVE(g->directories, g->directory_count, g->directory_capacity);
    g->directories[g->directory_count++] =
        (struct directory){.oid = ROOT_OID, .parent = ROOT_OID, .next_index = ENTRY_INDEX_FIRST};
    g->next_oid = ROOT_OID + 1;
    make_dirty(g, 0);
    add_directories(g);
    struct commit first = commit_of(g, 0, "store created");
    if (storage_sqlite_create_with(path, &first, &err) != STORE_OK) {
        die(path, err.text);
    }
    forget_changes(g);
    const struct storage_open_options options = {.writable = true};
    if (storage_sqlite_open(path, &options, &g->storage, &err) != STORE_OK) {
        die(path, err.text);
    }
}

/* Moves the clock to that of a transaction, of which there will be `count`. */
static void set_clock(struct growing *g, const struct timespec *now, uint64_t seq, uint64_t count) {
    int64_t ago_ms = (int64_t)((double)YEARS_2 * 1000 / (double)count * (double)(count - seq + 1));
    g->clock = *now;
    g->clock.tv_sec -= ago_ms / 1000 + 1;
    g->clock.tv_nsec = (999 - ago_ms % 1000) * 1000000;
}

/* Three of four in place. */
static void edit_one(struct growing *g, uint64_t seq) {
    uint64_t which = below(g, g->file_count);
    const struct file *file = &g->files[which];
    if (seq % 4 != 0) {
        write_file(g, file->oid, seq);
        return;
    }
    end_name(g, file->directory, file->index);
    end_object(g, file->oid);
    make_numbered(g, which, file->directory);
}

/* Files from..until - 1 of a tree as `tool_bench tree` makes it. */
static void make_part_of_tree(struct growing *g, uint64_t from, uint64_t until) {
    for (uint64_t i = from; i < until; i++) {
        char name[NAME_MAX_HERE];
        if (i % ((uint64_t)PER_DIRECTORY * 100) == 0) {
            (void)snprintf(name, sizeof name, "d%02" PRIu64, i / PER_DIRECTORY / 100);
            g->group = make_directory(g, 0, name);
        }
        if (i % PER_DIRECTORY == 0) {
            (void)snprintf(name, sizeof name, "d%02" PRIu64, i / PER_DIRECTORY % 100);
            g->directory = make_directory(g, g->group, name);
        }
        make_numbered(g, i, g->directory);
    }
}

static void make_part_of_crowd(struct growing *g, uint64_t from, uint64_t until) {
    if (from == 0) {
        g->directory = make_directory(g, 0, "crowd");
    }
    for (uint64_t i = from; i < until; i++) {
        make_numbered(g, i, g->directory);
    }
}

/* Files that come and go: each one that is there stands in the list of the transaction that removes it, by that one's seq. */
struct temporary {
    struct file *files;
    size_t count, capacity;
};

static void end_temporary(struct growing *g, struct temporary *list) {
    for (size_t i = 0; i < list->count; i++) {
        end_name(g, list->files[i].directory, list->files[i].index);
        end_object(g, list->files[i].oid);
    }
    list->count = 0;
}

/* `count` of them, which are gone before transaction `last`. Half of them live for one transaction or two, a quarter twice as long, and so on. */
static void make_temporary(struct growing *g, struct temporary lists[LIFE_MAX], uint64_t count, uint64_t seq,
                           uint64_t last) {
    for (uint64_t i = 0; i < count && seq + 1 < last; i++) {
        uint64_t life = 2;
        while (life < LIFE_MAX && below(g, 2) == 0) {
            life *= 2;
        }
        life = 1 + below(g, life - 1);
        if (seq + life >= last) {
            life = last - 1 - seq;
        }
        struct temporary *list = &lists[(seq + life) % LIFE_MAX];
        char name[NAME_MAX_HERE];
        (void)snprintf(name, sizeof name, "temporary-%" PRIu64 "-%" PRIu64, seq, i);
        RESERVE(list->files, list->count, list->capacity);
        list->files[list->count++] = make_file(g, g->directory, name);
    }
}

static void print_instants(struct growing *g, uint64_t last) {
    const uint64_t instants[] = {TREE_TRANSACTIONS + 1, (TREE_TRANSACTIONS + 1 + last) / 2, last};
    for (size_t i = 0; i < sizeof instants / sizeof *instants; i++) {
        struct transaction transaction;
        check(storage_transaction_at(g->storage, instants[i], &transaction), "transaction");
        printf("%016" PRIx64 " %lld\n", transaction.tid, (long long)transaction.wall.tv_sec);
        transaction_release(&transaction);
    }
}

static int make_store(struct growing *g, const char *path, uint64_t files, uint64_t temporary, uint64_t last,
                      void (*make_part)(struct growing *g, uint64_t from, uint64_t until)) {
    static struct temporary lists[LIFE_MAX];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    set_clock(g, &now, 1, last);
    begin(g, path);
    g->files = needed(calloc(files, sizeof *g->files));
    uint64_t seq = 2, each = temporary / (last - TREE_TRANSACTIONS - 1) + 1, come = 0;
    for (; seq <= TREE_TRANSACTIONS + 1; seq++) {
        set_clock(g, &now, seq, last);
        make_part(g, files * (seq - 2) / TREE_TRANSACTIONS, files * (seq - 1) / TREE_TRANSACTIONS);
        commit(g, seq - 1);
    }
    g->file_count = files;
    for (; seq <= last; seq++) {
        set_clock(g, &now, seq, last);
        edit_one(g, seq);
        end_temporary(g, &lists[seq % LIFE_MAX]);
        uint64_t count = temporary - come < each ? temporary - come : each;
        make_temporary(g, lists, count, seq, last);
        come += count;
        commit(g, seq - 1);
    }
    print_instants(g, last);
    storage_close(g->storage);
    for (size_t i = 0; i < LIFE_MAX; i++) {
        free(lists[i].files);
    }
    free(g->directories);
    free(g->files);
    free(g->revisions);
    free(g->added);
    free(g->ended);
    free(g->bodies);
    free(g->dirty);
    return 0;
}

int main(int argc, char **argv) {
    struct growing g = {.random = 1};
    uint64_t numbers[3] = {0};
    for (int i = 3; i < argc && i < 6; i++) {
        numbers[i - 3] = strtoull(argv[i], NULL, 10);
    }
    if (argc == 5 && strcmp(argv[1], "tree") == 0 && numbers[0] > 0 && numbers[1] > TREE_TRANSACTIONS + 1) {
        g.name_format = "f%02" PRIu64;
        g.names_in_one = PER_DIRECTORY;
        return make_store(&g, argv[2], numbers[0], 0, numbers[1], make_part_of_tree);
    }
    if (argc == 6 && strcmp(argv[1], "crowd") == 0 && numbers[0] > 0 && numbers[2] > TREE_TRANSACTIONS + 1) {
        g.name_format = "name-%06" PRIu64;
        g.names_in_one = UINT64_MAX;
        return make_store(&g, argv[2], numbers[0], numbers[1], numbers[2], make_part_of_crowd);
    }
    (void)fputs("usage: tool_growth tree DIR FILES TRANSACTIONS\n"
                "       tool_growth crowd DIR NAMES TEMPORARY TRANSACTIONS\n",
                stderr);
    return 2;
}
