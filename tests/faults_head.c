/* Scenarios of the head: each of its operations in turn. One that fails has changed nothing, and is done again when the fault is lifted. */
#include "tests/faults_world.h"
#include "tests/head_fixture.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/xattr.h>

#define STEPS_MAX 40

static int step_make_file(struct fixture *f) {
    return make(f, "new", S_IFREG | 0644, NULL);
}
static int step_make_directory(struct fixture *f) {
    return make(f, "dir/made", S_IFDIR | 0755, NULL);
}
static int step_make_symlink(struct fixture *f) {
    return make(f, "dir/made/sym", S_IFLNK | 0777, "to somewhere");
}
static int step_make_device(struct fixture *f) {
    return make(f, "dir/made/fifo", S_IFIFO | 0600, NULL);
}
static int step_link(struct fixture *f) {
    return link_(f, "dir/large", "large too");
}
static int step_rename(struct fixture *f) {
    return rename_(f, "new", "dir/new", 0);
}
static int step_rename_over(struct fixture *f) {
    return rename_(f, "dir/small", "dir/new", 0);
}
static int step_exchange(struct fixture *f) {
    return rename_(f, "dir/made", "text", RENAME_EXCHANGE);
}
static int step_whiteout(struct fixture *f) {
    return rename_(f, "large too", "larger", RENAME_WHITEOUT);
}
static int step_unlink(struct fixture *f) {
    return remove_(f, "dir/hard", false);
}
static int step_unlink_new(struct fixture *f) {
    return remove_(f, "text/fifo", false);
}
static int step_unlink_last(struct fixture *f) {
    return remove_(f, "text/sym", false);
}
static int step_remove_directory(struct fixture *f) {
    return remove_(f, "text", true);
}
static int step_seal(struct fixture *f) {
    return head_seal(f->head, NULL, NULL, NULL);
}
static int step_seal_message(struct fixture *f) {
    return head_seal(f->head, "tester", "a message", NULL);
}
static int step_readdir(struct fixture *f) {
    struct names names = {0};
    uint64_t oid;
    int rc = walk(f, "dir", &oid, NULL);
    if (rc == 0)
        rc = head_readdir(f->head, oid, UINT64_MAX, collect, &names);
    free(names.items);
    return rc;
}

static int step_write_small(struct fixture *f) {
    return write_(f, "dir/small", 3, 100, 1, 100);
}
static int step_write_hole(struct fixture *f) {
    return write_(f, "dir/small", 700000, 10, 2, 10);
}
static int step_write_large(struct fixture *f) {
    return write_(f, "dir/large", 1000, 131072, 3, 131072);
}
/* Through several chunks: what fails may have done some of it. */
static int step_write_long(struct fixture *f) {
    static uint8_t data[600000];
    uint64_t oid;
    int rc = walk(f, "dir/large", &oid, NULL);
    memset(data, 'l', sizeof data);
    for (size_t at = 0; at < sizeof data && rc == 0;) {
        int64_t written = head_write(f->head, oid, 100 + at, sizeof data - at, data + at, false);
        if (written <= 0)
            rc = written < 0 ? (int)written : -EIO;
        else
            at += (size_t)written;
    }
    return rc;
}
static int step_copy_long(struct fixture *f) {
    uint64_t source, target;
    int rc = walk(f, "dir/large", &source, NULL);
    if (rc == 0)
        rc = walk(f, "text", &target, NULL);
    for (uint64_t at = 0; at < 590000 && rc == 0;) {
        uint64_t copied = 0;
        rc = head_copy_range(f->head, source, 0, at, target, at + 50, 590000 - at, false, &copied);
        if (rc == 0 && copied == 0)
            rc = -EIO;
        at += copied;
    }
    return rc;
}
static int step_truncate(struct fixture *f) {
    return set(f, "dir/large", HEAD_SET_SIZE, &(struct head_attr){.size = 200000});
}
static int step_grow(struct fixture *f) {
    return set(f, "text", HEAD_SET_SIZE, &(struct head_attr){.size = 5000});
}
static int allocate(struct fixture *f, const char *path, int mode, uint64_t offset, uint64_t length) {
    uint64_t oid;
    int rc = walk(f, path, &oid, NULL);
    return rc < 0 ? rc : head_fallocate(f->head, oid, mode, offset, length, false);
}
static int step_punch(struct fixture *f) {
    return allocate(f, "dir/large", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5000, 9000);
}
static int step_zero(struct fixture *f) {
    return allocate(f, "dir/small", FALLOC_FL_ZERO_RANGE, 10, 4000);
}
static int step_copy(struct fixture *f) {
    return copy(f, "dir/large", 0, 100, "text", 6000, 100000);
}
static int step_copy_past(struct fixture *f) {
    return copy(f, "dir/large", 3, 0, "dir/small", 20000, 60000);
}
static int step_read(struct fixture *f) {
    static uint8_t buffer[100000];
    size_t done;
    uint64_t result;
    uint64_t oid;
    int rc = walk(f, "dir/small", &oid, NULL);
    if (rc == 0)
        rc = head_read(f->head, oid, 5, sizeof buffer, buffer, &done);
    if (rc == 0)
        rc = head_seek(f->head, oid, 0, SEEK_HOLE, &result);
    return rc;
}

static int step_chmod(struct fixture *f) {
    return set(f, "dir/small", HEAD_SET_MODE, &(struct head_attr){.mode = 0711});
}
static int step_chown(struct fixture *f) {
    return set(f, "text", HEAD_SET_UID | HEAD_SET_GID, &(struct head_attr){.uid = 5, .gid = 6});
}
static int step_times(struct fixture *f) {
    return set(f, "dir", HEAD_SET_ATIME | HEAD_SET_MTIME,
               &(struct head_attr){.atime = {.tv_sec = 1}, .mtime = {.tv_sec = 2}});
}
static int step_xattr(struct fixture *f) {
    return set_xattr(f, "text", "user.more", "some value", 10);
}
static int step_xattr_removed(struct fixture *f) {
    uint64_t oid;
    int rc = walk(f, "text", &oid, NULL);
    return rc < 0 ? rc : head_removexattr(f->head, oid, "user.colour");
}
static int step_act_as(struct fixture *f) {
    head_act_as(f->head, 1000); /* who it was is not known then, and nothing else */
    return 0;
}
static int step_tid(struct fixture *f) {
    char text[64];
    size_t length;
    uint64_t oid;
    int rc = walk(f, "dir/small", &oid, NULL);
    return rc < 0 ? rc : head_getxattr(f->head, oid, "tidfs.tid", text, sizeof text, &length);
}
static int step_acl(struct fixture *f) {
    return set_xattr(f, "text", "system.posix_acl_access", acl, sizeof acl);
}
static int step_acl_default(struct fixture *f) {
    return set_xattr(f, "dir", "system.posix_acl_default", acl, sizeof acl);
}
static int step_acl_inherited(struct fixture *f) {
    return make(f, "dir/heir", S_IFDIR | 0755, NULL);
}

static int change_much(void *context) {
    struct fixture *f = context;
    int rc = make(f, "group", S_IFDIR | 0755, NULL);
    if (rc == 0)
        rc = make(f, "group/file", S_IFREG | 0644, NULL);
    if (rc == 0)
        rc = write_(f, "group/file", 0, 200000, 5, 65536);
    if (rc == 0)
        rc = rename_(f, "dir/small", "group/small", 0);
    if (rc == 0)
        rc = remove_(f, "text", false);
    return rc;
}
static int step_transaction(struct fixture *f) {
    return head_transaction(f->head, change_much, f, "tester", "a group", NULL);
}

typedef int step(struct fixture *f);

/* What is done one after the other, and what the tree shows before each: known after the first run, which is without faults. */
struct steps {
    step *items[STEPS_MAX];
    uint64_t shows[STEPS_MAX];
    bool known;
};

static struct steps name_steps = {.items = {step_make_file, step_make_directory, step_make_symlink, step_make_device,
                                            step_link, step_rename, step_seal, step_rename_over, step_exchange,
                                            step_whiteout, step_readdir, step_unlink, step_unlink_new,
                                            step_seal_message, step_unlink_last, step_remove_directory, step_seal}};
static struct steps data_steps = {.items = {step_write_small, step_read, step_write_hole, step_write_large, step_seal,
                                            step_truncate, step_grow, step_punch, step_read, step_zero, step_copy,
                                            step_copy_past, step_seal, step_read, step_write_long, step_copy_long,
                                            step_seal}};
static struct steps attribute_steps = {.items = {step_act_as, step_tid, step_chmod, step_chown, step_times, step_xattr,
                                                 step_xattr_removed, step_seal, step_acl, step_acl_default,
                                                 step_acl_inherited, step_seal}};
static struct steps transaction_steps = {.items = {step_write_small, step_transaction}};

static uint64_t what_shows(struct fixture *f) {
    inject_pause();
    char *text = dump_try(f, false);
    uint64_t hash = text ? XXH3_64bits(text, strlen(text)) : 0;
    free(text);
    inject_resume();
    return hash;
}

static int act(struct world *w, struct steps *steps) {
    struct fixture f = {.store = w->store, .head = w->head};
    for (size_t i = 0; steps->items[i]; i++) {
        if (!steps->known)
            steps->shows[i] = what_shows(&f);
        int rc = steps->items[i](&f);
        if (rc == 0)
            continue;
        w->first = -rc;
        inject_disarm();
        bool partly = steps->items[i] == step_write_long || steps->items[i] == step_copy_long;
        if (!partly && what_shows(&f) != steps->shows[i])
            w->broken = "the step that failed has changed something";
        if (status(&f).failed)
            return EIO;
        rc = steps->items[i](&f);
        if (rc != 0)
            w->broken = "the step fails again when the fault is lifted";
        if (rc != 0)
            return -rc;
    }
    steps->known = true;
    return 0;
}

static int act_names(struct world *w) {
    return act(w, &name_steps);
}
static int act_data(struct world *w) {
    return act(w, &data_steps);
}
static int act_attributes(struct world *w) {
    return act(w, &attribute_steps);
}
static int act_transaction(struct world *w) {
    return act(w, &transaction_steps);
}

/* ---- the thread that moves the log ---- */

#define FILES_MANY  90 /* with so many attributes the log grows to more than the 1,024 pages at which it moves */
#define VALUE_BYTES 60000
#define WAIT_MS     5000

/* Enough for the log to be moved once, which is waited for. What comes of it is told in the log and not here. */
static int act_checkpoint(struct world *w) {
    static const char value[VALUE_BYTES] = "v";
    struct fixture f = {.store = w->store, .head = w->head};
    uint64_t moved = inject_checkpoints();
    int rc = make(&f, "many", S_IFDIR | 0755, NULL);
    for (int i = 0; i < FILES_MANY && rc == 0; i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "many/%d", i);
        rc = make(&f, path, S_IFREG | 0644, NULL);
        if (rc == 0)
            rc = set_xattr(&f, path, "user.large", value, sizeof value);
    }
    if (rc == 0)
        rc = head_seal(f.head, NULL, NULL, NULL);
    for (int i = 0; i < WAIT_MS && rc == 0 && inject_checkpoints() == moved; i++)
        (void)usleep(1000);
    if (rc == 0 && inject_checkpoints() == moved)
        w->broken = "the log was not moved";
    return -rc;
}

static int seal_again(struct world *w) {
    return -head_seal(w->head, NULL, NULL, NULL);
}

const struct scenario head_scenarios[] = {
    {.name = "head_names", .open = world_open_head, .act = act_names, .writes = true},
    {.name = "head_data", .open = world_open_head, .act = act_data, .writes = true},
    {.name = "head_attributes", .open = world_open_head, .act = act_attributes, .writes = true},
    {.name = "head_transaction", .open = world_open_head, .act = act_transaction, .writes = true},
    {.name = "checkpoint",
     .open = world_open_head,
     .act = act_checkpoint,
     .again = seal_again,
     .writes = true,
     .slow = true,
     .without = ~(unsigned)(INJECT_WRITES | INJECT_SQLITE_WRITES | INJECT_SYNCS | INJECT_SQLITE_SYNCS)},
    {0},
};
