/* Scenarios of history/: views, dates, logs, differences, patches, what puts back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/diff.h"
#include "history/log.h"
#include "history/past.h"
#include "history/patch.h"
#include "history/resolve.h"
#include "history/restore.h"
#include "tests/faults_world.h"

#define DEPTH_MAX 8
#define NAMES_MAX 16

/* ---- views ---- */

struct names {
    struct {
        char text[32];
        uint64_t oid;
        uint32_t type;
    } items[NAMES_MAX];
    size_t count;
};

static bool take_name(void *context, const struct view_entry *entry) {
    struct names *names = context;
    if (names->count == NAMES_MAX)
        return false;
    memcpy(names->items[names->count].text, entry->name, entry->length);
    names->items[names->count].text[entry->length] = '\0';
    names->items[names->count].oid = entry->oid;
    names->items[names->count++].type = entry->type; /* without attributes, if they cannot be read */
    return true;
}

static int read_file(struct world *w, uint64_t revision, uint64_t size) {
    static uint8_t buffer[BODY_BYTES];
    size_t done = 0;
    uint64_t hole = 0;
    int rc = view_file_read(w->store, revision, 0, size < sizeof buffer ? size : sizeof buffer, buffer, &done);
    if (rc == 0) {
        world_read(w, buffer, done);
        rc = size ? view_file_seek(w->store, revision, 0, SEEK_HOLE, &hole) : 0;
    }
    world_read_number(w, hole);
    return rc;
}

static int read_file_attributes(struct world *w, uint64_t revision, uint32_t type) {
    char text[256];
    size_t length = 0;
    int rc = 0;
    if (type == S_IFLNK) {
        rc = view_file_readlink(w->store, revision, text, sizeof text, &length);
        if (rc == 0)
            world_read(w, text, length);
    }
    if (rc == 0)
        rc = view_file_listxattr(w->store, revision, text, sizeof text, &length);
    if (rc == 0)
        world_read(w, text, length);
    if (rc == 0) {
        rc = view_file_getxattr(w->store, revision, "user.colour", text, sizeof text, &length);
        if (rc == 0)
            world_read(w, text, length);
        rc = rc == -ENODATA ? 0 : rc;
    }
    return rc;
}

static int read_directory(struct world *w, struct view *view, uint64_t directory, unsigned depth) {
    struct names names = {0};
    char text[256];
    size_t length = 0;
    int rc = view_readdir(view, directory, 0, true, take_name, &names);
    if (rc == 0)
        rc = view_listxattr(view, directory, text, sizeof text, &length);
    for (size_t i = 0; i < names.count && rc == 0; i++) {
        struct view_attr attr;
        world_read(w, names.items[i].text, strlen(names.items[i].text));
        rc = view_lookup(view, directory, names.items[i].text, strlen(names.items[i].text), &attr);
        if (rc == 0)
            rc = view_getattr(view, names.items[i].oid, &attr);
        if (rc < 0)
            break;
        world_read_number(w, attr.ino);
        world_read_number(w, attr.stat.st_mode);
        world_read_number(w, (uint64_t)attr.stat.st_size);
        if (names.items[i].type == S_IFDIR && depth < DEPTH_MAX) {
            uint64_t parent = 0;
            rc = view_parent(view, names.items[i].oid, &parent);
            world_read_number(w, parent);
            if (rc == 0)
                rc = read_directory(w, view, names.items[i].oid, depth + 1);
            continue;
        }
        if (names.items[i].type == S_IFREG)
            rc = read_file(w, attr.revision, (uint64_t)attr.stat.st_size);
        if (rc == 0)
            rc = read_file_attributes(w, attr.revision, names.items[i].type);
    }
    return rc;
}

/* Some instants, each by a view of its own; the cache and the pool of views are too small for all. */
static int read_views(struct world *w) {
    int rc = 0;
    for (uint64_t before = store_last(w->store) + 1; before > 1 && rc == 0; before -= 2) {
        struct view *view;
        rc = view_pool_open(w->pool, before, &view);
        if (rc < 0)
            break;
        struct view_attr attr;
        rc = view_walk(view, "dir", &attr);
        rc = rc == -ENOENT ? 0 : rc;
        if (rc == 0)
            rc = read_directory(w, view, ROOT_OID, 0);
        view_pool_done(w->pool, view);
        (void)view_pool_sweep(w->pool, UINT64_MAX);
        if (before == 2)
            break;
    }
    return -rc;
}

/* ---- dates and tags ---- */

static int resolve(struct world *w) {
    static const char *const texts[] = {"now", "first", "large~1", "^", "@1", "2000-01-01", "2020", "-1h", "yesterday"};
    const struct timespec now = {.tv_sec = 4000000000};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct resolved resolved;
        int rc = resolve_text(w->store, texts[i], strlen(texts[i]), i % 2 ? RESOLVE_AT : RESOLVE_BEFORE, now, &resolved,
                              &w->err);
        if (rc == STORE_OK)
            world_read_number(w, resolved.before);
        else if (resolve_errno(rc) == ENOENT || resolve_errno(rc) == EINVAL)
            world_read_number(w, i);
        else
            return resolve_errno(rc);
    }
    w->err.text[0] = '\0';
    return 0;
}

/* ---- logs ---- */

static int walk_log(struct world *w, const char *range, const char *path, bool follow, bool reverse) {
    struct log_options options = {
        .paths = &path, .path_count = path ? 1 : 0, .follow = follow, .reverse = reverse, .range = {1, 100}};
    struct log_walk *walk;
    struct transaction transaction;
    const struct timespec now = {.tv_sec = 4000000000};
    size_t absent;
    int rc = log_parse_range(w->store, range, now, &options.range, &w->err);
    if (rc == STORE_OK)
        rc = log_walk_open(w->store, &options, &walk, &absent);
    if (rc != STORE_OK)
        return resolve_errno(rc < 0 ? rc : STORE_INVALID);
    while ((rc = log_walk_next(walk, &transaction)) == STORE_OK) {
        world_read_number(w, transaction.seq);
        world_read(w, transaction.message, strlen(transaction.message));
        transaction_release(&transaction);
    }
    size_t count;
    const char *const *paths = log_walk_paths(walk, &count);
    for (size_t i = 0; i < count && rc == STORE_ABSENT; i++)
        world_read(w, paths[i], strlen(paths[i]));
    log_walk_close(walk);
    return rc < 0 ? world_errno(rc) : 0;
}

static int read_logs(struct world *w) {
    int code = walk_log(w, "..", NULL, false, false);
    if (code == 0)
        code = walk_log(w, "first..large", NULL, false, true);
    if (code == 0)
        code = walk_log(w, "..", "text", true, false);
    if (code == 0)
        code = walk_log(w, "..large", "moved/new", true, true);
    if (code == 0)
        code = walk_log(w, "..", "dir", false, false);
    return code;
}

/* ---- what a path showed ---- */

static int read_past(struct world *w, const char *path, bool follow) {
    struct past_walk *walk;
    struct past_names names;
    struct past_version version;
    int rc = past_names_load(w->store, path, store_last(w->store), &names);
    if (rc == STORE_OK) {
        world_read_number(w, names.count);
        past_names_release(&names);
        rc = past_walk_open(w->store, path, 1, 100, follow, &walk);
    }
    if (rc != STORE_OK)
        return world_errno(rc);
    while ((rc = past_walk_next(walk, &version)) == STORE_OK) {
        world_read_number(w, version.seq);
        world_read_number(w, (uint64_t)version.kind);
        world_read_number(w, version.what);
        world_read(w, version.path, strlen(version.path));
        bool known = version.unknown == STORE_OK && !(version.what & CHANGED_UNREAD);
        past_version_release(&version);
        if (!known) { /* that says so, and is no answer */
            rc = STORE_CORRUPT;
            break;
        }
    }
    past_walk_close(walk);
    return rc < 0 ? world_errno(rc) : 0;
}

static int read_pasts(struct world *w) {
    char *origin = NULL;
    int code = read_past(w, "text", true);
    if (code == 0)
        code = read_past(w, "dir/small", true);
    if (code == 0)
        code = read_past(w, "moved", true);
    if (code == 0)
        code = read_past(w, "dir", false);
    if (code)
        return code;
    struct past_names names;
    int rc = past_names_load(w->store, "moved", 100, &names);
    if (rc != STORE_OK)
        return world_errno(rc);
    rc = past_origin(w->store, "moved", names.items[0].oid, names.items[0].born, &origin);
    past_names_release(&names);
    if (rc != STORE_OK)
        return world_errno(rc);
    world_read(w, origin, strlen(origin));
    free(origin);
    return 0;
}

/* ---- differences ---- */

static void read_change(struct world *w, const struct change *change) {
    world_read_number(w, change->kind);
    world_read_number(w, change->what);
    if (change->old_path)
        world_read(w, change->old_path, strlen(change->old_path));
    if (change->new_path)
        world_read(w, change->new_path, strlen(change->new_path));
}

/* A diff that says of something that it could not be told is no answer. */
static int whole_diff(struct world *w, const struct diff_options *options, struct change_list *changes) {
    int rc = diff_run(w->store, options, changes);
    bool whole = changes->gap_count == 0;
    for (size_t i = 0; i < changes->count && whole; i++)
        whole = !(changes->items[i].what & CHANGED_UNREAD);
    if (rc == STORE_OK && !whole) {
        change_list_release(changes);
        rc = STORE_CORRUPT;
    }
    return rc;
}

static int diff(struct world *w, const struct diff_options *options) {
    struct change_list changes;
    int rc = whole_diff(w, options, &changes);
    for (size_t i = 0; i < changes.count && rc == STORE_OK; i++)
        read_change(w, &changes.items[i]);
    change_list_release(&changes);
    return world_errno(rc);
}

static int diffs(struct world *w) {
    static const char *const paths[] = {"dir", "moved"};
    struct diff_options options = {.before_a = 2, .before_b = store_last(w->store) + 1};
    bool moved = false;
    int code = diff(w, &options);
    options.each_file = true;
    if (code == 0)
        code = diff(w, &options);
    options = (struct diff_options){
        .before_a = 3, .before_b = store_last(w->store), .paths = paths, .path_count = 2, .no_renames = true};
    if (code == 0)
        code = diff(w, &options);
    if (code == 0)
        code = world_errno(diff_paths_moved(w->store, &options, &moved));
    world_read_number(w, moved);
    return code;
}

/* ---- patches ---- */

struct patching {
    struct change_list changes;
    struct world *w;
    FILE *out;
};

static ssize_t take_patch(void *context, const char *text, size_t length) {
    struct patching *patching = context;
    world_read(patching->w, text, length);
    return (ssize_t)length;
}

/* Buffers that all fit in, so that how it is cut does not matter. */
static int open_patching(struct world *w) {
    struct patching *patching = calloc(1, sizeof *patching);
    if (!patching)
        return ENOMEM;
    w->own = patching;
    patching->w = w;
    int code = world_open_read(w);
    if (code)
        return code;
    const struct diff_options options = {.before_a = 2, .before_b = store_last(w->store) + 1, .each_file = true};
    int rc = whole_diff(w, &options, &patching->changes);
    patching->out = fopencookie(patching, "w", (cookie_io_functions_t){.write = take_patch});
    return rc != STORE_OK                                                        ? world_errno(rc)
           : patching->out && setvbuf(patching->out, NULL, _IOFBF, 1 << 20) == 0 ? 0
                                                                                 : ENOMEM;
}

static int patch(struct world *w) {
    struct patching *patching = w->own;
    int rc = STORE_OK;
    for (size_t i = 0; i < patching->changes.count && rc == STORE_OK; i++) {
        struct patch_measure measure = {0};
        const struct change *change = &patching->changes.items[i];
        if (patch_letter(change))
            rc = patch_measure(w->store, change, &measure, &w->err);
        world_read_number(w, measure.added);
        world_read_number(w, measure.removed);
        if (rc == STORE_OK)
            rc = patch_write(w->store, change, 3, patching->out, &w->err);
    }
    inject_pause();
    (void)fflush(patching->out);
    inject_resume();
    return world_errno(rc);
}

static void close_patching(struct world *w) {
    struct patching *patching = w->own;
    (void)fclose(patching->out);
    change_list_release(&patching->changes);
    world_close(w);
    free(patching);
}

/* ---- putting back ---- */

static const char *const everything[] = {""};
static const uint64_t undone[] = {4, 5};
static const struct restore_request revert_all = {
    .kind = RESTORE_REVERT, .before = 4, .paths = everything, .path_count = 1};
static const struct restore_request undo_some = {.kind = RESTORE_UNDO, .seqs = undone, .seq_count = 2};

static int plan_one(struct world *w, const struct restore_request *request) {
    struct restore_plan *plan;
    size_t count;
    int rc = restore_plan_make(w->store, store_last(w->store), request, NULL, NULL, &plan, &w->err);
    if (rc != STORE_OK)
        return rc < 0 ? world_errno(rc) : EBADF;
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    for (size_t i = 0; i < count; i++)
        read_change(w, &steps[i].change);
    const struct restore_conflict *conflicts = restore_plan_conflicts(plan, &count);
    for (size_t i = 0; i < count; i++)
        world_read(w, conflicts[i].path, strlen(conflicts[i].path));
    restore_plan_free(plan);
    char *message;
    rc = restore_message(w->store, request, "because", &message);
    if (rc != STORE_OK)
        return world_errno(rc);
    world_read(w, message, strlen(message));
    free(message);
    return 0;
}

static int plan(struct world *w) {
    int code = plan_one(w, &revert_all);
    return code ? code : plan_one(w, &undo_some);
}

static int restore(struct world *w, const struct restore_request *request) {
    struct restore_result result = {0};
    int rc = restore_run(w->store, w->head, request, 0, "tester", "put back", &result, &w->err);
    if (rc != STORE_OK)
        return rc < 0 ? world_errno(rc) : EBADF;
    restore_touched_release(&result.touched);
    return 0;
}

static int revert(struct world *w) {
    return restore(w, &revert_all);
}

static int undo(struct world *w) {
    return restore(w, &undo_some);
}

const struct scenario history_scenarios[] = {
    {.name = "views", .open = world_open_pool, .act = read_views, .again = read_views},
    {.name = "resolve", .open = world_open_read, .act = resolve, .again = resolve},
    {.name = "log", .open = world_open_read, .act = read_logs, .again = read_logs},
    {.name = "past", .open = world_open_read, .act = read_pasts, .again = read_pasts},
    {.name = "diff", .open = world_open_read, .act = diffs, .again = diffs},
    {.name = "patch", .open = open_patching, .act = patch, .again = patch, .close = close_patching},
    {.name = "plan", .open = world_open_read, .act = plan, .again = plan},
    {.name = "revert", .open = world_open_head, .act = revert, .again = revert, .writes = true},
    {.name = "undo", .open = world_open_head, .act = undo, .again = undo, .writes = true},
    {0},
};
