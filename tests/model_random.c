/* Which operation comes next, and with what. The same seed makes the same operations, whatever their number. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/xattr.h>

#include "tests/model.h"

#define OBJECTS_WANTED 220 /* about so many are kept alive */

uint64_t model_random(struct model *model, uint64_t bound) {
    /* splitmix64 */
    uint64_t value = model->random += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return (value ^ value >> 31) % bound;
}

bool model_one_in(struct model *model, uint64_t n) {
    return model_random(model, n) == 0;
}

static uint32_t random32(struct model *model, uint32_t bound) {
    return (uint32_t)model_random(model, bound);
}

/* ---- what it is done to ---- */

static bool is_any(const struct object *object) {
    (void)object;
    return true;
}

static bool is_directory(const struct object *object) {
    return S_ISDIR(object->mode);
}

static bool is_file(const struct object *object) {
    return S_ISREG(object->mode);
}

/* One that is so, or now and then one that is not. */
static uint64_t pick(struct model *model, bool (*is)(const struct object *object)) {
    size_t count = model->tree.count, at = model_random(model, count);
    if (model_one_in(model, 40))
        is = is_any;
    for (size_t i = 0; i < count; i++, at = (at + 1) % count)
        if (is(&model->tree.objects[at]))
            return model->tree.objects[at].oid;
    return ROOT_OID;
}

/* A directory, and a name that it has, or may have. */
static uint64_t pick_name(struct model *model, bool that_is, uint32_t *id) {
    uint64_t oid = pick(model, is_directory);
    const struct object *directory = tree_find(&model->tree, oid);
    *id = random32(model, NAMES);
    for (int i = 0; i < 8 && that_is && !(directory->names && directory->names->count); i++)
        directory = tree_find(&model->tree, oid = pick(model, is_directory));
    if (that_is && directory->names && directory->names->count && !model_one_in(model, 20))
        *id = directory->names->items[random32(model, directory->names->count)].id;
    return oid;
}

static uint64_t random_size(struct model *model) {
    switch (model_random(model, 40)) {
    case 0:
        return model_random(model, 300 << 10);
    case 1:
    case 2:
        return 20000 + model_random(model, 80000);
    case 3:
        return 0;
    default:
        return 1 + model_random(model, model_one_in(model, 3) ? 6000 : 200);
    }
}

static uint64_t random_offset(struct model *model, const struct object *object, uint64_t size) {
    uint64_t offset = object->size && !model_one_in(model, 3) ? model_random(model, object->size + 1)
                      : model_one_in(model, 20)               ? model_random(model, 600 << 10)
                                                              : model_random(model, 3000);
    return offset + size > CONTENT_MAX ? 0 : offset;
}

static struct timespec random_time(struct model *model) {
    return (struct timespec){.tv_sec = (time_t)model_random(model, 5) * 1000000 - 1000000,
                             .tv_nsec = (long)model_random(model, 3) * 333333333};
}

/* ---- operations: each does it on both sides and compares the results ---- */

static int check(struct model *model, const char *what, int rc, int expected) {
    want(model, rc == expected, "%s: %d, expected %d", what, rc, expected);
    return rc;
}

static void op_make(struct model *model) {
    static const uint32_t types[] = {S_IFREG, S_IFREG, S_IFREG, S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFDIR,
                                     S_IFDIR, S_IFLNK, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};
    uint32_t id, type = types[model_random(model, sizeof types / sizeof types[0])];
    uint64_t parent = pick_name(model, false, &id), rdev = model_random(model, 0x10000);
    uint32_t mode = type | (type == S_IFLNK ? 0777 : random32(model, 010000)), target = random32(model, 1000);
    const struct head_caller caller = {random32(model, 3), random32(model, 3), model_one_in(model, 2) ? 022 : 0};
    char name[NAME_BYTES_MAX + 1], text[SYMLINK_BYTES_MAX + 1];
    struct head_attr attr = {0};
    size_t length = name_text(id, name);
    (void)target_text(target, text);
    int rc = head_make(model->head, parent, name, length, mode, rdev, type == S_IFLNK ? text : NULL, &caller, &attr);
    want(model, rc < 0 || attr.oid > model->tree.last_oid, "oid %" PRIu64 " was given out before", attr.oid);
    if (check(model, "make", rc, tree_make(&model->tree, parent, id, mode, rdev, target, &caller, attr.oid)) == 0) {
        compare_attr(model, tree_find(&model->tree, attr.oid), &attr);
        head_forget(model->head, attr.oid, 1);
    }
}

static void op_link(struct model *model) {
    uint32_t id;
    uint64_t oid = pick(model, is_file), parent = pick_name(model, false, &id);
    char name[NAME_BYTES_MAX + 1];
    struct head_attr attr;
    size_t length = name_text(id, name);
    int rc = head_link(model->head, oid, parent, name, length, &attr);
    if (check(model, "link", rc, tree_link(&model->tree, oid, parent, id)) == 0) {
        compare_attr(model, tree_find(&model->tree, oid), &attr);
        head_forget(model->head, oid, 1);
    }
}

static void op_remove(struct model *model) {
    uint32_t id;
    uint64_t parent = pick_name(model, true, &id);
    const struct object *directory = tree_find(&model->tree, parent), *object = NULL;
    char name[NAME_BYTES_MAX + 1];
    size_t length = name_text(id, name);
    if (S_ISDIR(directory->mode))
        object = tree_lookup(&model->tree, directory, id);
    bool want_directory = object && !model_one_in(model, 20) ? S_ISDIR(object->mode) : model_one_in(model, 2);
    int rc =
        want_directory ? head_rmdir(model->head, parent, name, length) : head_unlink(model->head, parent, name, length);
    (void)check(model, want_directory ? "rmdir" : "unlink", rc, tree_remove(&model->tree, parent, id, want_directory));
}

static void op_rename(struct model *model) {
    static const unsigned kinds[] = {0,
                                     0,
                                     0,
                                     0,
                                     RENAME_NOREPLACE,
                                     RENAME_EXCHANGE,
                                     RENAME_EXCHANGE,
                                     RENAME_WHITEOUT,
                                     RENAME_WHITEOUT | RENAME_NOREPLACE,
                                     RENAME_EXCHANGE | RENAME_NOREPLACE};
    unsigned flags = kinds[model_random(model, sizeof kinds / sizeof kinds[0])];
    uint32_t id, new_id;
    uint64_t parent = pick_name(model, true, &id), new_parent = pick_name(model, model_one_in(model, 2), &new_id);
    char name[NAME_BYTES_MAX + 1], new_name[NAME_BYTES_MAX + 1];
    size_t length = name_text(id, name), new_length = name_text(new_id, new_name);
    struct head_attr attr = {0};
    const struct object *from = tree_find(&model->tree, parent), *to = tree_find(&model->tree, new_parent);
    /* Two names of one file stay as they are, and there is no whiteout then. */
    bool same = S_ISDIR(from->mode) && S_ISDIR(to->mode) &&
                tree_lookup(&model->tree, from, id) == tree_lookup(&model->tree, to, new_id);
    int rc = head_rename(model->head, parent, name, length, new_parent, new_name, new_length, flags);
    if (rc == 0 && (flags & RENAME_WHITEOUT) && !same) {
        want(model, head_lookup(model->head, parent, name, length, &attr) == 0, "no whiteout");
        head_forget(model->head, attr.oid, 1);
    }
    (void)check(model, "rename", rc, tree_rename(&model->tree, parent, id, new_parent, new_id, flags, attr.oid));
}

static void op_write(struct model *model) {
    uint64_t oid = pick(model, is_file), size = random_size(model),
             offset = random_offset(model, tree_find(&model->tree, oid), size);
    bool keep_times = model_one_in(model, 4);
    uint64_t pattern = model_random(model, UINT64_MAX);
    for (uint64_t i = 0; i < size; i++)
        model->buffer[i] = (uint8_t)((pattern >> (i % 8 * 8)) + i / 8);
    int64_t done = head_write(model->head, oid, offset, size, model->buffer, keep_times);
    int expected = tree_write(&model->tree, oid, offset, size, model->buffer, keep_times);
    want(model, done == (expected < 0 ? expected : (int64_t)size),
         "write of %" PRIu64 " bytes at %" PRIu64 ": %" PRId64 ", expected %d", size, offset, done, expected);
}

static void op_truncate(struct model *model) {
    uint64_t oid = pick(model, is_file);
    const struct object *object = tree_find(&model->tree, oid);
    struct head_attr set = {.size = model_one_in(model, 3) ? 0 : random_offset(model, object, 0)}, attr;
    unsigned valid = HEAD_SET_SIZE | (model_one_in(model, 4) ? HEAD_KEEP_TIMES : 0);
    int rc = head_setattr(model->head, oid, valid, &set, &attr);
    if (check(model, "truncate", rc, tree_setattr(&model->tree, oid, valid, &set)) == 0)
        compare_attr(model, tree_find(&model->tree, oid), &attr);
}

static void op_setattr(struct model *model) {
    uint64_t oid = pick(model, is_any);
    struct head_attr attr, set = {.mode = random32(model, 010000),
                                  .uid = random32(model, 4),
                                  .gid = random32(model, 4),
                                  .atime = random_time(model),
                                  .mtime = random_time(model),
                                  .ctime = random_time(model)};
    static const unsigned bits[] = {HEAD_SET_MODE,      HEAD_SET_UID,    HEAD_SET_GID,
                                    HEAD_SET_ATIME,     HEAD_SET_MTIME,  HEAD_SET_ATIME_NOW,
                                    HEAD_SET_MTIME_NOW, HEAD_KEEP_TIMES, HEAD_SET_CTIME};
    unsigned valid = 0;
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if (model_one_in(model, 4))
            valid |= bits[i];
    int rc = head_setattr(model->head, oid, valid, &set, &attr);
    if (check(model, "setattr", rc, tree_setattr(&model->tree, oid, valid, &set)) == 0)
        compare_attr(model, tree_find(&model->tree, oid), &attr);
}

static void op_fallocate(struct model *model) {
    static const int modes[] = {0,
                                FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_ZERO_RANGE,
                                FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                FALLOC_FL_PUNCH_HOLE,
                                FALLOC_FL_COLLAPSE_RANGE};
    uint64_t oid = pick(model, is_file), length = random_size(model),
             offset = random_offset(model, tree_find(&model->tree, oid), length);
    int mode = modes[model_random(model, sizeof modes / sizeof modes[0])];
    bool keep_times = model_one_in(model, 4);
    (void)check(model, "fallocate", head_fallocate(model->head, oid, mode, offset, length, keep_times),
                tree_fallocate(&model->tree, oid, mode, offset, length, keep_times));
}

/* A file as of some instant whose content is still known; NULL. */
static const struct version *pick_version(struct model *model, uint64_t *before) {
    const struct history *history = &model->history;
    size_t recent = history->count < 40 ? history->count : 40;
    for (int i = 0; i < 20; i++) {
        const struct instant *instant =
            &history->items[model_one_in(model, 2) ? model_random(model, history->count)
                                                   : history->count - 1 - model_random(model, recent)];
        const struct version *version = instant->versions[model_random(model, instant->count)];
        *before = instant->seq + 1;
        if (!S_ISREG(version->object.mode) || version->object.content)
            return version;
    }
    return NULL;
}

static void op_copy_range(struct model *model) {
    uint64_t before = 0, target = pick(model, is_file), source = pick(model, is_file), copied = 0, expected_copied;
    const struct version *version = model_one_in(model, 2) ? pick_version(model, &before) : NULL;
    if (!version)
        before = 0;
    const struct object *from = version ? &version->object : tree_find(&model->tree, source);
    uint64_t length = model_one_in(model, 4) ? CONTENT_MAX : random_size(model),
             offset = model_random(model, from->size + 1);
    bool keep_times = model_one_in(model, 4);
    if (model_one_in(model, 3))
        offset = 0;
    if (!before && from->oid == target) {
        /* Not over itself, nor past its end, which would move. */
        length = (from->size - offset) / 2;
    }
    uint64_t most = length < from->size - offset ? length : from->size - offset;
    uint64_t to =
        !before && from->oid == target ? offset + length : random_offset(model, tree_find(&model->tree, target), most);
    int rc = head_copy_range(model->head, from->oid, before, offset, target, to, length, keep_times, &copied);
    if (!version && S_ISDIR(from->mode) && length)
        offset = 0; /* its size is the number of names */
    int expected = tree_copy_range(&model->tree, from, offset, target, to, length, keep_times, &expected_copied);
    if (before && S_ISDIR(from->mode) && expected == -EISDIR)
        expected = -EINVAL;
    (void)check(model, "copy_range", rc, expected);
    want(model, copied == expected_copied, "copy_range copies %" PRIu64 " bytes, expected %" PRIu64, copied,
         expected_copied);
}

static void op_setxattr(struct model *model) {
    static uint8_t value[XATTR_VALUE_MAX];
    uint64_t oid = pick(model, is_any);
    unsigned which = random32(model, XATTRS);
    uint32_t length = random32(model, model_one_in(model, 100) ? XATTR_VALUE_MAX + 1
                                      : model_one_in(model, 5) ? 4000
                                                               : 60),
             seed = length ? random32(model, 200) : 0;
    int flags = model_one_in(model, 6) ? XATTR_CREATE : model_one_in(model, 6) ? XATTR_REPLACE : 0;
    xattr_value(length, seed, value);
    (void)check(model, "setxattr", head_setxattr(model->head, oid, xattr_names[which], value, length, flags),
                tree_setxattr(&model->tree, oid, which, length, seed, flags));
}

static void op_set_acl(struct model *model) {
    bool inherited = model_one_in(model, 2);
    uint64_t oid = pick(model, inherited ? is_directory : is_any);
    struct acl acl = {.kind = model_one_in(model, 5) ? ACL_NONE : model_one_in(model, 3) ? ACL_MINIMAL : ACL_EXTENDED};
    uint8_t value[64];
    int flags = model_one_in(model, 8) ? XATTR_CREATE : model_one_in(model, 8) ? XATTR_REPLACE : 0;
    if (acl.kind != ACL_NONE)
        acl.user = random32(model, 8), acl.group = random32(model, 8), acl.other = random32(model, 8);
    if (acl.kind == ACL_EXTENDED)
        acl.named = random32(model, 8), acl.mask = random32(model, 8);
    size_t length = acl_encode(&acl, value);
    (void)check(model, "setxattr of an ACL",
                head_setxattr(model->head, oid, xattr_names[XATTRS + inherited], value, length, flags),
                tree_set_acl(&model->tree, oid, inherited, &acl, flags));
}

static void op_removexattr(struct model *model) {
    uint64_t oid = pick(model, is_any);
    unsigned which = random32(model, XATTRS + 2);
    (void)check(model, "removexattr", head_removexattr(model->head, oid, xattr_names[which]),
                tree_removexattr(&model->tree, oid, which));
}

/* Open files and their like: an object may lose its last name while somebody holds it. */
static void op_hold(struct model *model) {
    struct head_attr attr;
    uint64_t *held = &model->held[model_random(model, HELD)];
    if (model->in_transaction)
        return; /* what it takes back would have to be told apart */
    if (*held) {
        head_forget(model->head, *held, 1);
        tree_forget(&model->tree, *held);
        *held = 0;
        return;
    }
    uint64_t oid = pick(model, model_one_in(model, 4) ? is_directory : is_file);
    if (check(model, "hold", head_hold(model->head, oid, &attr), tree_find(&model->tree, oid)->gone ? -ESTALE : 0) ==
        0) {
        tree_hold(&model->tree, oid);
        *held = oid;
    }
}

/* The last name of something that is held goes. */
static void op_orphan(struct model *model) {
    char name[NAME_BYTES_MAX + 1];
    uint64_t oid = model->held[model_random(model, HELD)];
    const struct object *object = oid ? tree_find(&model->tree, oid) : NULL;
    if (!object || object->gone || object->nlink != 1)
        return;
    for (size_t i = 0; i < model->tree.count; i++) {
        const struct object *directory = &model->tree.objects[i];
        for (uint32_t j = 0; S_ISDIR(directory->mode) && j < directory->names->count; j++) {
            const struct name entry = directory->names->items[j];
            if (entry.oid != oid)
                continue;
            int rc = head_unlink(model->head, directory->oid, name, name_text(entry.id, name));
            (void)check(model, "unlink", rc, tree_remove(&model->tree, directory->oid, entry.id, false));
            return;
        }
    }
}

static void op_look(struct model *model) {
    compare_object(model, tree_find(&model->tree, pick(model, model_one_in(model, 2) ? is_any : is_file)));
}

static const struct {
    void (*run)(struct model *model);
    unsigned weight;
} operations[] = {
    {op_make, 22},    {op_link, 5},        {op_remove, 13},   {op_rename, 14},    {op_write, 22},
    {op_truncate, 5}, {op_setattr, 6},     {op_fallocate, 7}, {op_copy_range, 8}, {op_setxattr, 5},
    {op_set_acl, 3},  {op_removexattr, 3}, {op_hold, 4},      {op_orphan, 1},     {op_look, 12},
};

static void change(struct model *model) {
    unsigned total = 0;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        total += operations[i].weight;
    unsigned at = random32(model, total);
    size_t i = 0;
    while (at >= operations[i].weight)
        at -= operations[i++].weight;
    model->tree.now.tv_nsec += 1000;
    if (model->tree.now.tv_nsec >= 1000000000) {
        model->tree.now.tv_nsec -= 1000000000;
        model->tree.now.tv_sec++;
    }
    if (model_one_in(model, 1000)) /* a clock that is set, forward or back */
        model->tree.now.tv_sec += (time_t)model_random(model, 20000) - 8000;
    model_set_clock(model->tree.now);
    if (model->tree.count > OBJECTS_WANTED && operations[i].run == op_make && !model_one_in(model, 3))
        op_remove(model);
    else
        operations[i].run(model);
}

/* ---- groups of them, and what is not an operation on the tree ---- */

#define GIVE_UP 77

struct group {
    struct model *model;
    unsigned changes;
    bool give_up;
};

static int run_group(void *context) {
    struct group *group = context;
    struct model *model = group->model;
    for (unsigned i = 0; i < group->changes; i++)
        change(model);
    return group->give_up ? GIVE_UP : 0;
}

static void do_transaction(struct model *model) {
    struct group group = {model, random32(model, 40), model_one_in(model, 3)};
    uint32_t message = random32(model, 3);
    char text[256];
    struct tree saved;
    uint64_t tid = 0;
    (void)message_text(message, text);
    model_seal(model, NULL, 0);
    tree_copy(&model->tree, &saved);
    for (size_t i = 0; i < model->tree.count; i++)
        model->tree.objects[i].untouched = model->tree.objects[i].gone;
    model->in_transaction = true;
    int rc = head_transaction(model->head, run_group, &group, NULL, message ? text : NULL, &tid);
    model->in_transaction = false;
    want(model, rc == (group.give_up ? GIVE_UP : 0), "a transaction: %d", rc);
    if (group.give_up) {
        struct timespec now = model->tree.now;
        uint64_t last_oid = model->tree.last_oid;
        tree_release(&model->tree);
        model->tree = saved;
        model->tree.now = now;
        model->tree.last_oid = last_oid; /* those are not given out again */
        model->figures.aborts++;
        return;
    }
    tree_release(&saved);
    for (size_t i = 0; i < model->tree.count; i++)
        model->tree.objects[i].untouched = false;
    const struct instant *last = &model->history.items[model->history.count - 1];
    if (message || model->tree.pending) {
        want(model, tid > last->tid, "tid %016" PRIx64 " is not after %016" PRIx64, tid, last->tid);
        history_seal(&model->history, &model->tree, tid, MODEL_USER, message);
        model->figures.transactions++;
    } else {
        want(model, tid == last->tid, "a transaction of nothing got a tid");
    }
}

static void do_tag(struct model *model) {
    struct storage *storage = store_storage(model->store);
    uint32_t i = random32(model, TAGS);
    bool set = model->tags[i].set, replace = model_one_in(model, 2);
    uint64_t tid = model->history.items[model_random(model, model->history.count)].tid, found = 0;
    char name[16];
    (void)snprintf(name, sizeof name, "tag-%02" PRIu32, i);
    int rc = storage_tag_get(storage, name, &found);
    want(model, rc == (set ? STORE_OK : STORE_ABSENT) && (!set || found == model->tags[i].tid), "tag %s is %016" PRIx64,
         name, found);
    if (model_one_in(model, 4)) {
        (void)check(model, "removing a tag", storage_tag_delete(storage, name), set ? STORE_OK : STORE_ABSENT);
        model->tags[i].set = false;
        return;
    }
    rc = storage_tag_set(storage, name, tid, replace);
    if (check(model, "setting a tag", rc, set && !replace ? STORE_EXISTS : STORE_OK) == STORE_OK) {
        model->tags[i].set = true;
        model->tags[i].tid = tid;
    }
}

/* Views that stay open while others come and go. */
static void do_view(struct model *model) {
    size_t slot = model_random(model, VIEWS), instant = model_random(model, model->history.count);
    if (model->views[slot].view && model_one_in(model, 3)) {
        view_pool_done(model->pool, model->views[slot].view);
        model->views[slot].view = NULL;
    }
    if (!model->views[slot].view) {
        int rc = view_pool_open(model->pool, model->history.items[instant].seq + 1, &model->views[slot].view);
        want(model, rc == 0, "a view of %zu: %d", instant + 1, rc);
        model->views[slot].instant = instant;
        model->figures.views++;
    }
    for (int i = 0; i < 5; i++)
        compare_view_somewhere(model, model->views[slot].view, &model->history.items[model->views[slot].instant]);
}

static void do_diff(struct model *model) {
    const struct history *history = &model->history;
    size_t a = model_random(model, history->count), b = model_random(model, history->count);
    if (model_one_in(model, 2))
        b = a + 1 + model_random(model, 5);
    compare_diff(model, &history->items[a], &history->items[b < history->count ? b : history->count - 1]);
    model->figures.diffs++;
}

static void do_whole_view(struct model *model) {
    const struct instant *instant = &model->history.items[model_random(model, model->history.count)];
    struct view *view;
    int rc = view_pool_open(model->pool, instant->seq + 1, &view);
    want(model, rc == 0, "a view of %" PRIu64 ": %d", instant->seq, rc);
    compare_view(model, view, instant);
    view_pool_done(model->pool, view);
}

static void do_reopen(struct model *model) {
    model_close(model);
    model_open(model);
    compare_head(model);
    compare_tags(model);
    model->figures.reopens++;
}

static void do_log(struct model *model) {
    compare_log(model);
    model->figures.logs++;
}

/* As fsync does; of nothing, perhaps. */
static void do_seal(struct model *model) {
    model_seal(model, NULL, 0);
}

static void do_commit(struct model *model) {
    model_seal(model, model_one_in(model, 2) ? "somebody" : NULL, 1 + random32(model, 1000));
}

static const struct {
    void (*run)(struct model *model);
    unsigned weight;
} events[] = {
    {change, 2300}, {do_reopen, 1}, {do_whole_view, 3}, {do_diff, 6},    {do_log, 6},
    {do_tag, 6},    {do_view, 30},  {do_seal, 24},      {do_commit, 12}, {do_transaction, 12},
};

void model_operation(struct model *model) {
    unsigned total = 0;
    model->operation++;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        total += events[i].weight;
    unsigned at = random32(model, total);
    size_t i = 0;
    while (at >= events[i].weight)
        at -= events[i++].weight;
    events[i].run(model);
}
