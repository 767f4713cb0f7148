/* Inside tool_random: shared by tests/random_*.c and tests/tool_random.c only.
 *
 * An operation is a flat record of what to do, chosen at random from a seed and its number alone; it is then done on one side and on
 * the other, and the two outcomes must be equal. So operations can be written to a trace, read back, and left out one by one.
 *
 *   random_choice.c      the numbers; which operation comes next, and on what
 *   random_operation.c   the kinds: names and weights, text for traces, doing one and comparing outcomes
 *   random_data.c        doing those on the content of files
 *   random_names.c       doing those on names and attributes
 *   random_tree.c        what a whole tree looks like, and how two differ
 *   random_moments.c     remembered moments of history
 *   random_reduce.c      the shortest trace that still fails
 */
#ifndef TIDFS_TESTS_RANDOM_H
#define TIDFS_TESTS_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define SLOTS       8   /* files that are kept open at a time */
#define PATH_SIZE   64  /* of a path below the root, with the NUL */
#define NAMES_MAX   128 /* entries of a directory */
#define PAGE        4096
#define BODY        65536  /* the largest piece that the store keeps of its own */
#define CHUNK       262144 /* the unit of a file's history */
#define FILE_BYTES  ((int64_t)5 * CHUNK)
#define FAR_BYTES   ((int64_t)5 << 30) /* now and then a file goes on from here */
#define SHARED      4                  /* files that several workers write */
#define SHARED_UNIT 64 /* units of such a file; a worker's are those whose number is its own modulo the workers */

/* Times that a program set lie before this, and the clock's after it: so a modification time says by itself whether something moved it since. */
#define SET_TIMES_END 1000000000

/* ---- random_operation.c ---- */

enum kind {
    /* of content, on a slot or, without one, on a path that is opened for it */
    KIND_OPEN,
    KIND_CLOSE,
    KIND_READ,
    KIND_WRITE,
    KIND_APPEND,
    KIND_MAP_READ,
    KIND_MAP_WRITE,
    KIND_TRUNCATE,
    KIND_FALLOCATE,
    KIND_COPY,
    KIND_SENDFILE,
    KIND_SEEK,
    KIND_SYNC,
    /* of names */
    KIND_CREATE,
    KIND_MKDIR,
    KIND_SYMLINK,
    KIND_MKNOD,
    KIND_LINK,
    KIND_RENAME,
    KIND_UNLINK,
    KIND_RMDIR,
    KIND_REMOVE_ALL,
    KIND_LIST,
    KIND_LIST_CHANGING,
    KIND_READLINK,
    KIND_ACCESS,
    /* of attributes, on a slot or a path */
    KIND_CHMOD,
    KIND_CHOWN,
    KIND_TIMES,
    KIND_SETXATTR,
    KIND_REMOVEXATTR,
    KIND_GETXATTR,
    /* of the mount, and of its history; done by the runner */
    KIND_RESTORE, /* bytes of an old file into one of the present, shared where the kernel lets it be done at once */
    KIND_REMOUNT,
    KIND_REMEMBER,
    KINDS
};

struct operation {
    enum kind kind;
    int slot, other;      /* -1: none */
    unsigned flags;       /* as the system call has them: of open, fallocate, rename; mode; what the kind says */
    int64_t offset, from; /* from: in the source of a copy */
    int64_t length;
    uint64_t seed; /* of what is written */
    char path[PATH_SIZE], second[PATH_SIZE];
};

/* What came of it. The state is that of the file after it, of the slot or of the path; zeros if there is none. */
struct outcome {
    int64_t result;
    int error;
    size_t read;   /* bytes in the side's buffer that must be equal */
    char note[96]; /* what does not hold on this side by itself; "" if all does */
    struct state {
        uint32_t mode, uid, gid;
        uint64_t nlink, size;
        struct timespec set; /* the modification time if a program set it, else 0 */
    } state, second;
};

struct open_file {
    int fd; /* -1: none */
    uint8_t *mapping;
};

/* One of the two directories. */
struct side {
    const char *name; /* for messages */
    char *root;       /* full path */
    int root_fd;
    struct open_file files[SLOTS];
    uint8_t *buffer; /* FILE_BYTES + 2 * CHUNK */
};

const char *kind_name(enum kind kind);
unsigned kind_weight(enum kind kind);

/* A line of a trace, without its end. */
void operation_format(const struct operation *operation, char *text, size_t size);
/* false: it is no such line. */
bool operation_parse(const char *text, struct operation *operation);
void operation_do(struct side *side, const struct operation *operation, struct outcome *outcome);
/* Prints what differs on stdout. true: nothing. */
bool outcomes_equal(const struct side sides[2], const struct outcome outcomes[2]);
/* The modification time if a program set it, else 0; always 0 for a FIFO, whose time the kernel moves when it is written, but not on FUSE. */
struct timespec set_time(const struct stat *stat);
void state_set(struct state *state, const struct stat *stat);
/* The outcome's states, of what the operation names. */
void operation_note_states(const struct side *side, const struct operation *operation, struct outcome *outcome);

/* Makes the directory `name` in `parent`, which must not be there. 0 or -1, with a message on stderr; so all of these. */
int side_init(struct side *side, const char *label, const char *parent, const char *name);
/* Opens its root, or closes that and all that is open in it. */
int side_open(struct side *side);
void side_close(struct side *side);
void side_release(struct side *side);

/* ---- random_choice.c ---- */

/* Numbers that are the same on each run. */
struct random {
    uint64_t state;
};
struct random random_of(uint64_t seed, uint64_t number);
uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t end);
bool random_chance(struct random *random, unsigned percent);

/* Who chooses. Paths that exist are found by looking at the reference side. */
struct chooser {
    uint64_t seed;
    const struct side *reference;
    int worker, workers; /* 0 of 0: alone, and all names are free */
};
void operation_choose(const struct chooser *chooser, uint64_t number, struct operation *operation);
/* Size of the unit that each worker has in turn of a shared file. Not whole pages in every other file: those take only
 * reads and writes, as a copy drops whole pages of the kernel's. */
int64_t shared_unit(unsigned file);
void shared_path(unsigned file, char path[static PATH_SIZE]);

/* ---- random_data.c, random_names.c ---- */

void data_do(struct side *side, const struct operation *operation, struct outcome *outcome);
void names_do(struct side *side, const struct operation *operation, struct outcome *outcome);
void attributes_do(struct side *side, const struct operation *operation, struct outcome *outcome);

/* The names in a directory, sorted, without . and .., of which `types` are what readdir says. Returns their count, or -1. Names
 * are cut at PATH_SIZE, and the list at NAMES_MAX. */
struct names {
    char name[NAMES_MAX][PATH_SIZE];
    unsigned char type[NAMES_MAX];
    ino_t ino[NAMES_MAX];
    int count;
};
int names_read(int directory, const char *path, struct names *names);
/* A directory with all that is in it. 0, or -1 with errno. */
int names_remove_all(int directory, const char *path);

/* ---- random_tree.c ---- */

/* What is below a directory, in the order of the paths; holes of files make no difference. */
struct entry {
    char *path;
    struct stat stat;
    uint64_t content;    /* hash of the data, or of the symlink's target */
    uint64_t attributes; /* hash of the extended attributes that programs set */
    size_t link;         /* the first entry that is the same object */
};

struct tree {
    struct entry *entries;
    size_t count, capacity;
};

/* 0, or -1 with a message on stderr. */
int tree_read(const char *root, struct tree *tree);
void tree_release(struct tree *tree);

/* LIKE: as a program can tell, where clocks and the sizes of directories may differ. SAME: an old state must be this to the nanosecond. */
enum tree_rule { TREE_LIKE, TREE_SAME };
/* Prints the first differences on stdout. The roots, for the place where contents differ, may be NULL. true: none. */
bool trees_equal(const struct tree *a, const struct tree *b, enum tree_rule rule, const char *root_a,
                 const char *root_b);
/* Both sides' trees. 1: equal; 0: not; -1: a tree cannot be read. */
int sides_equal(const struct side sides[2]);

/* ---- random_moments.c ---- */

struct moments {
    struct moment {
        char tid[32];
        struct tree tree;
    } * items;
    size_t count, capacity;
};

/* Runs the command, which prints a tid, and notes the tree at `root` as it is. 0 or -1. */
int moments_add(struct moments *moments, const char *command, const char *root);
/* Compares what `pattern`, in which % stands for the tid, shows in `name` with what was noted. 1, 0 or -1 as sides_equal. */
int moments_check(const struct moments *moments, size_t number, const char *pattern, const char *name);
/* Copies a range of a file that a moment had to operation->path on both sides: into the first by copy_file_range, into the second by
 * reading and writing. Does nothing if there is none. 1, or -1 if the view cannot be read. */
int moments_restore(const struct moments *moments, const char *pattern, const char *name, const struct side sides[2],
                    const struct operation *operation, struct outcome outcomes[2]);
void moments_release(struct moments *moments);
/* 0 if it succeeds; what it prints is in text, without the end of the line. */
int command_run(const char *command, char *text, size_t size);

/* ---- tool_random.c ---- */

struct options {
    const char *directories[2]; /* the one under test, and the reference */
    uint64_t seed, count;
    unsigned workers;          /* 0: alone */
    unsigned compare;          /* operations between comparisons of the trees */
    const char *remount;       /* NULL: never */
    unsigned remount_interval; /* operations between, on the average; so remember_interval */
    const char *remember, *at;
    unsigned remember_interval;
    const char *trace, *replay;
    bool reduce, figures;
};

/* Of one process; in memory that all of them share. */
struct figures {
    uint64_t done[KINDS], succeeded[KINDS];
};

/* What one run makes and does, in a directory `name` of its own on both sides. */
struct run {
    const struct options *options;
    char name[48];
    struct side sides[2]; /* the reference is the second */
    struct moments moments;
    FILE *trace;             /* NULL: none */
    struct figures *figures; /* [0] is of this process, [n] of the worker n - 1 */
    uint64_t comparisons, remounts, checks;
};

/* attempt: tells runs apart that follow each other. 0 or -1. */
int run_init(struct run *run, const struct options *options, unsigned attempt);
/* With its directories, if `remove`. */
void run_release(struct run *run, bool remove);
/* One operation on both. 1: equal outcomes; 0: not, said on stdout; -1: it cannot go on, said on stderr. So all of these. */
int run_operation(struct run *run, const struct operation *operation, struct figures *figures);
int run_trees(struct run *run);
/* The trees, and all moments, after a last remount. */
int run_end(struct run *run);

/* ---- random_reduce.c ---- */

struct trace {
    struct operation *operations;
    size_t count, capacity;
};
int trace_read(const char *path, struct trace *trace);
int trace_replay(const struct options *options, const struct trace *trace);
/* Leaves out what is not needed for the two sides to differ, and prints the rest. */
int trace_reduce(const struct options *options, struct trace *trace);

#endif
