/* Many small histories (changing_rules.h), and all that history/ answers about them and does to them: with each allocation and each call of the storage
 * failing once. What it answers then is what it answers else, or the error; and what it does is done whole or not at all.
 *
 * The work of test_faults on more plans; test_faults has the calls below the storage.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "history/diff_private.h"
#include "history/log.h"
#include "history/past.h"
#include "history/patch.h"
#include "history/restore_private.h"
#include "history/text.h"
#include "history/view.h"
#include "store/lock.h"
#include "store/store_private.h"
#include "tests/changing_rules.h"
#include "tests/faults_inject.h"
#include "tests/tamper.h"

#define FILES_MAX 4
#define PATHS_MAX 24
#define FIRST     2 /* the seq of a rule's transactions */
#define UNDONE    3
#define LATER     4

/* ---- the store of a rule ---- */

struct specimen {
    const struct changing_rule *rule;
    struct {
        const char *path;
        uint8_t *data;
        size_t length;
    } files[FILES_MAX];
    size_t file_count;
    char paths[PATHS_MAX][64]; /* that its scripts name */
    size_t path_count;
};

static void take_file(struct specimen *s, const char *directory, const char *path) {
    char full[256];
    struct stat status;
    (void)snprintf(full, sizeof full, "%s/%s", directory, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0 && s->file_count < FILES_MAX);
    uint8_t *data = malloc((size_t)status.st_size + 1);
    assert_non_null(data);
    assert_int_equal(pread(fd, data, (size_t)status.st_size, 0), status.st_size);
    assert_int_equal(close(fd), 0);
    s->files[s->file_count].path = path;
    s->files[s->file_count].data = data;
    s->files[s->file_count++].length = (size_t)status.st_size;
}

static void take_path(struct specimen *s, const char *path) {
    for (size_t i = 0; i < s->path_count; i++)
        if (strcmp(s->paths[i], path) == 0)
            return;
    assert_true(s->path_count < PATHS_MAX);
    (void)snprintf(s->paths[s->path_count++], sizeof s->paths[0], "%s", path);
}

static void take_paths(struct specimen *s, const char *script) {
    char path[64], other[64];
    for (const char *line = script; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        int count = sscanf(line + 1, " %63s %63[^\n]", path, other);
        assert_true(count >= 1);
        take_path(s, path);
        if (count == 2 && strchr("rxl", line[0]))
            take_path(s, other);
    }
}

static void specimen_make(struct specimen *s, const struct changing_rule *rule) {
    struct changing *c = changing_new(1);
    struct error err = {0};
    const char *const scripts[] = {rule->first, rule->undone, rule->later};
    *s = (struct specimen){.rule = rule};
    for (size_t i = 0; i < 3; i++) {
        changing_play(c, scripts[i]);
        assert_int_equal(changing_commit(c, rule->name), FIRST + i);
        take_paths(s, scripts[i]);
    }
    assert_int_equal(head_close(c->head), 0);
    store_close(c->store);
    if (rule != changing_rules) /* with something on record as lost, what else may be lost is asked, too */
        record_lost_time(c->directory);
    take_file(s, c->directory, "tidfs.db");
    take_file(s, c->directory, LOCK_FILE);
    assert_int_equal(store_open(c->directory, &(struct store_options){.writable = true}, &c->store, &err), STORE_OK);
    assert_int_equal(head_open(c->store, &(struct head_options){0}, &c->head, &err), 0);
    changing_free(c);
}

static void specimen_release(struct specimen *s) {
    for (size_t i = 0; i < s->file_count; i++)
        free(s->files[i].data);
}

/* ---- one run ---- */

struct run {
    const struct specimen *specimen;
    char directory[64];
    struct store *store;
    struct storage *fault;  /* what the store reads through */
    struct head *head;      /* of those that write */
    uint64_t found;         /* the hash of what it answered */
    uint64_t memory, reads; /* how many calls could have failed */
    struct error err;
};

static void write_files(struct run *run) {
    char path[128];
    strcpy(run->directory, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test_history.XXXXXX" : "/tmp/test_history.XXXXXX");
    assert_non_null(mkdtemp(run->directory));
    (void)snprintf(path, sizeof path, "%s/bodies", run->directory);
    assert_int_equal(mkdir(path, 0700), 0);
    for (size_t i = 0; i < run->specimen->file_count; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", run->directory, run->specimen->files[i].path);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, run->specimen->files[i].data, run->specimen->files[i].length, 0),
                         run->specimen->files[i].length);
        assert_int_equal(close(fd), 0);
    }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status, (void)type, (void)where;
    return remove(path);
}

static void remove_files(const struct run *run) {
    assert_int_equal(nftw(run->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void run_open(struct run *run, bool writable) {
    const struct store_options options = {.writable = writable, .cache_bytes = 1}; /* so that all is read */
    const struct head_options head_options = {.dirty_limit_bytes = UINT64_C(1) << 30};
    assert_int_equal(store_open(run->directory, &options, &run->store, &run->err), STORE_OK);
    assert_int_equal(storage_fault_open(run->store->storage, &run->fault), STORE_OK);
    run->store->storage = run->fault;
    run->head = NULL;
    if (writable)
        assert_int_equal(head_open(run->store, &head_options, &run->head, &run->err), 0);
}

static void run_close(struct run *run) {
    if (run->head)
        (void)head_close(run->head);
    store_close(run->store);
}

/* ---- what is asked ---- */

static void found(struct run *run, const void *data, size_t length) {
    run->found = XXH3_64bits_withSeed(data, length, run->found);
}

static void found_number(struct run *run, uint64_t number) {
    found(run, &number, sizeof number);
}

static void found_text(struct run *run, const char *text) {
    found(run, text ? text : "", text ? strlen(text) + 1 : 0);
}

static void found_change(struct run *run, const struct change *change) {
    found_number(run, change->kind);
    found_number(run, change->what);
    found_text(run, change->old_path);
    found_text(run, change->new_path);
}

/* Without the transactions that are in the way: who they were is told if it can be read. */
static int plan(struct run *run, const struct restore_request *request) {
    struct restore_plan *made;
    size_t count;
    int rc = restore_plan_make(run->store, store_last(run->store), request, NULL, NULL, &made, &run->err);
    if (rc != STORE_OK)
        return rc;
    const struct restore_conflict *conflicts = restore_plan_conflicts(made, &count);
    for (size_t i = 0; i < count; i++) {
        found_text(run, conflicts[i].path);
        found_text(run, conflicts[i].why);
    }
    const struct restore_step *steps = restore_plan_steps(made, &count);
    for (size_t i = 0; i < count; i++) {
        found_change(run, &steps[i].change);
        found(run, steps[i].data ? steps[i].data : (const uint8_t *)"", steps[i].data ? steps[i].length : 0);
    }
    restore_plan_free(made);
    return STORE_OK;
}

static int ask_undo(struct run *run) {
    static const uint64_t seqs[] = {UNDONE, LATER};
    const struct restore_request one = {.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = 1};
    const struct restore_request two = {.kind = RESTORE_UNDO, .seqs = seqs, .seq_count = 2};
    int rc = plan(run, &one);
    return rc == STORE_OK ? plan(run, &two) : rc;
}

static int ask_revert(struct run *run) {
    const char *path = "";
    struct restore_request request = {.kind = RESTORE_REVERT, .before = FIRST + 1, .paths = &path, .path_count = 1};
    int rc = plan(run, &request);
    request.keep_new = true;
    if (rc == STORE_OK)
        rc = plan(run, &request);
    request.before = UNDONE + 1;
    return rc == STORE_OK ? plan(run, &request) : rc;
}

/* Of each path alone: what it holds comes from elsewhere and goes elsewhere. */
static int ask_paths(struct run *run) {
    int rc = STORE_OK;
    for (size_t i = 0; i < run->specimen->path_count && rc == STORE_OK; i++) {
        const char *path = run->specimen->paths[i];
        const struct restore_request request = {
            .kind = RESTORE_REVERT, .before = FIRST + 1, .paths = &path, .path_count = 1};
        rc = plan(run, &request);
        if (rc == STORE_ABSENT) { /* neither then nor now */
            found_text(run, path);
            rc = STORE_OK;
        }
    }
    return rc;
}

/* Every other step, by what the whole plan says. */
static int ask_choices(struct run *run) {
    struct restore_choice choices[PATHS_MAX] = {0};
    struct restore_plan *whole;
    size_t count, chosen = 0;
    const char *path = "";
    struct restore_request request = {.kind = RESTORE_REVERT, .before = FIRST + 1, .paths = &path, .path_count = 1};
    int rc = restore_plan_make(run->store, store_last(run->store), &request, NULL, NULL, &whole, &run->err);
    if (rc != STORE_OK)
        return rc;
    const struct restore_step *steps = restore_plan_steps(whole, &count);
    request.choices = choices;
    for (size_t start = 0; start < 2 && rc == STORE_OK; start++) {
        chosen = 0;
        for (size_t i = start; i < count && chosen < PATHS_MAX; i += 2) {
            const struct change *change = &steps[i].change;
            choices[chosen++] = (struct restore_choice){.path = change->old_path ? change->old_path : change->new_path,
                                                        .comes = !change->old_path,
                                                        .whole = i % 3 != 0,
                                                        .data = (const uint8_t *)"picked",
                                                        .length = i % 2 ? 6 : 0};
        }
        request.choice_count = chosen;
        rc = plan(run, &request);
    }
    restore_plan_free(whole);
    return rc;
}

static void note_progress(void *context, uint64_t done, uint64_t total) {
    (void)context, (void)done, (void)total;
}

static int diffs(struct run *run) {
    int rc = STORE_OK;
    for (unsigned way = 0; way < 24 && rc == STORE_OK; way++) {
        static const enum diff_strategy strategies[] = {DIFF_AUTO, DIFF_WALK, DIFF_SCAN};
        const char *path = run->specimen->paths[way % run->specimen->path_count];
        const struct diff_options options = {.before_a = way & 1 ? UNDONE : LATER + 1,
                                             .before_b = way & 1 ? LATER + 1 : UNDONE,
                                             .each_file = (way & 2) != 0,
                                             .paths = &path,
                                             .path_count = way & 4 ? 1 : 0,
                                             .progress = note_progress};
        struct change_list changes;
        rc = diff_run_by(run->store, &options, strategies[way / 8], &changes);
        for (size_t i = 0; i < changes.count && rc == STORE_OK; i++)
            found_change(run, &changes.items[i]);
        change_list_release(&changes);
    }
    return rc;
}

static ssize_t find_text(void *context, const char *text, size_t length) {
    found(context, text, length);
    return (ssize_t)length;
}

static int patches(struct run *run) {
    static char buffer[1 << 16]; /* all fits in, so that how it is cut does not matter */
    const struct diff_options options = {.before_a = UNDONE, .before_b = LATER + 1, .each_file = true};
    struct change_list changes;
    inject_pause();
    FILE *out = fopencookie(run, "w", (cookie_io_functions_t){.write = find_text});
    assert_true(out && setvbuf(out, buffer, _IOFBF, sizeof buffer) == 0);
    inject_resume();
    int rc = diff_run(run->store, &options, &changes);
    for (size_t i = 0; i < changes.count && rc == STORE_OK; i++) {
        struct patch_measure measure = {0};
        if (patch_letter(&changes.items[i]))
            rc = patch_measure(run->store, &changes.items[i], &measure, &run->err);
        found_number(run, measure.added);
        if (rc == STORE_OK)
            rc = patch_write(run->store, &changes.items[i], 3, out, &run->err);
    }
    inject_pause();
    assert_int_equal(fclose(out), 0);
    inject_resume();
    change_list_release(&changes);
    return rc;
}

static int past(struct run *run, const char *path) {
    struct past_walk *walk;
    struct past_version version;
    int rc = past_walk_open(run->store, path, FIRST, LATER, true, &walk);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_OK : rc;
    while ((rc = past_walk_next(walk, &version)) == STORE_OK) {
        found_number(run, version.seq);
        found_number(run, (uint64_t)version.kind);
        found_number(run, version.what);
        found_text(run, version.path);
        found_text(run, version.old_path);
        past_version_release(&version);
    }
    past_walk_close(walk);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

static int log_of(struct run *run, const char *const *paths, size_t count, bool reverse) {
    const struct log_options options = {
        .paths = paths, .path_count = count, .follow = count == 1, .reverse = reverse, .range = {FIRST, LATER}};
    struct log_walk *walk;
    struct transaction transaction;
    size_t absent;
    int rc = log_walk_open(run->store, &options, &walk, &absent);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_OK : rc;
    while ((rc = log_walk_next(walk, &transaction)) == STORE_OK) {
        found_number(run, transaction.seq);
        transaction_release(&transaction);
    }
    log_walk_close(walk);
    return rc == STORE_ABSENT ? STORE_OK : rc;
}

static int pasts(struct run *run) {
    const char *paths[PATHS_MAX];
    int rc = STORE_OK;
    for (size_t i = 0; i < run->specimen->path_count && rc == STORE_OK; i++) {
        paths[i] = run->specimen->paths[i];
        rc = past(run, paths[i]);
        if (rc == STORE_OK)
            rc = log_of(run, &paths[i], 1, i % 2 == 0);
    }
    return rc == STORE_OK ? log_of(run, paths, run->specimen->path_count, false) : rc;
}

static bool find_name(void *context, const struct view_entry *entry) {
    struct run *run = context;
    found(run, entry->name, entry->length);
    found_number(run, entry->oid);
    return true;
}

/* What there is to ask about a file, an attribute of which need not be there. 0 or a negative errno. */
static int view_file(struct run *run, const struct view_attr *attr) {
    uint8_t text[64];
    size_t done = 0;
    uint64_t number = 0, oid;
    struct view_attr again;
    int rc = view_file_getattr(run->store, attr->revision, &again);
    if (rc == 0)
        rc = view_file_source(run->store, attr->revision, &oid, &number);
    if (rc == 0 && S_ISLNK(attr->stat.st_mode))
        rc = view_file_readlink(run->store, attr->revision, (char *)text, sizeof text, &done);
    else if (rc == 0)
        rc = view_file_read(run->store, attr->revision, 0, sizeof text, text, &done);
    found(run, text, rc == 0 ? done : 0);
    if (rc == 0 && S_ISREG(attr->stat.st_mode) && attr->stat.st_size)
        rc = view_file_seek(run->store, attr->revision, 0, SEEK_HOLE, &number);
    if (rc == 0)
        rc = view_file_listxattr(run->store, attr->revision, (char *)text, sizeof text, &done);
    if (rc == 0)
        rc = view_file_getxattr(run->store, attr->revision, "user.a", text, sizeof text, &done);
    found_number(run, number);
    return rc == -ENODATA ? 0 : rc;
}

static int view_path(struct run *run, struct view *view, const char *path) {
    char text[64];
    size_t length = 0;
    struct view_attr attr;
    uint64_t parent = 0;
    int rc = view_walk(view, path, &attr);
    if (rc == -ENOENT || rc == -ENOTDIR)
        return 0;
    if (rc == 0 && !S_ISDIR(attr.stat.st_mode))
        return view_file(run, &attr);
    if (rc == 0)
        rc = view_parent(view, attr.oid, &parent);
    if (rc == 0)
        rc = view_readdir(view, attr.oid, 0, true, find_name, run);
    if (rc == 0)
        rc = view_listxattr(view, attr.oid, text, sizeof text, &length);
    if (rc == 0)
        rc = view_getxattr(view, attr.oid, "user.a", text, sizeof text, &length);
    found_number(run, parent);
    return rc == -ENODATA ? 0 : rc;
}

static int views(struct run *run) {
    struct view_pool *pool = view_pool_new(run->store, &(struct view_pool_options){.idle_max = 1});
    int rc = pool ? 0 : -ENOMEM;
    for (uint64_t before = FIRST; before <= LATER + 1 && rc == 0; before++) {
        struct view *view;
        rc = view_pool_open(pool, before, &view);
        if (rc < 0)
            break;
        rc = view_path(run, view, "");
        for (size_t i = 0; i < run->specimen->path_count && rc == 0; i++)
            rc = view_path(run, view, run->specimen->paths[i]);
        view_pool_done(pool, view);
    }
    if (pool)
        view_pool_free(pool);
    switch (rc) {
    case 0:
        return STORE_OK;
    case -ENOMEM:
        return STORE_NO_MEMORY;
    case -EIO:
        return STORE_IO;
    case -ENOENT: /* what a walk has found is gone: of two answers one is wrong */
    case -ESTALE:
        return STORE_ABSENT;
    default:
        return STORE_CORRUPT;
    }
}

/* ---- what is done ---- */

static int restore(struct run *run, const struct restore_request *request) {
    struct restore_result result = {0};
    int rc = restore_run(run->store, run->head, request, 0, "tester", "put back", &result, &run->err);
    if (rc != STORE_OK)
        return rc;
    found_number(run, result.outcome);
    found_number(run, result.touched.oid_count);
    found_number(run, result.touched.name_count);
    restore_touched_release(&result.touched);
    return STORE_OK;
}

static int undo(struct run *run) {
    static const uint64_t seq = UNDONE;
    return restore(run, &(struct restore_request){.kind = RESTORE_UNDO, .seqs = &seq, .seq_count = 1});
}

static int revert(struct run *run) {
    const char *path = "";
    return restore(
        run, &(struct restore_request){.kind = RESTORE_REVERT, .before = FIRST + 1, .paths = &path, .path_count = 1});
}

static const struct work {
    const char *name;
    int (*ask)(struct run *run); /* enum store_error */
    bool writes;
} works[] = {
    {"the plan of an undo", ask_undo, false},
    {"the plan of a revert", ask_revert, false},
    {"the plans of reverting each path", ask_paths, false},
    {"the plan of some steps", ask_choices, false},
    {"differences", diffs, false},
    {"patches", patches, false},
    {"pasts and logs", pasts, false},
    {"views", views, false},
    {"an undo", undo, true},
    {"a revert", revert, true},
};

/* ---- every N ---- */

enum fault { FAULT_NONE, FAULT_MEMORY, FAULT_READS, FAULT_ABSENCE, FAULT_LOSS };

static const int read_codes[] = {[FAULT_READS] = STORE_IO, [FAULT_ABSENCE] = STORE_ABSENT, [FAULT_LOSS] = STORE_LOST};

#define NEW_SITE UINT64_MAX /* not the Nth, but the first from a place from which none failed (faults_inject.h) */

static uint64_t runs;

static void arm(struct run *run, enum fault fault, uint64_t nth) {
    /* Without faults both count. */
    storage_fault_set(run->fault,
                      &(struct storage_fault){.nth = fault >= FAULT_READS ? nth : 0, .code = read_codes[fault]});
    inject_arm(&(struct inject_rule){.groups = INJECT_MEMORY | INJECT_THREADS,
                                     .nth = fault != FAULT_MEMORY ? UINT64_MAX
                                            : nth == NEW_SITE     ? 0
                                                                  : nth,
                                     .sites = true,
                                     .code = ENOMEM,
                                     .this_thread = true});
}

/* Whether it may be what comes of a fault. What is not found may be taken for what never was, and is never taken for want of memory; what is lost is not
 * taken for anything else. */
static bool is_told_rightly(enum fault fault, int rc) {
    switch (fault) {
    case FAULT_NONE:
        return false;
    case FAULT_MEMORY:
        return rc == STORE_NO_MEMORY;
    case FAULT_READS:
        return rc == STORE_IO;
    case FAULT_LOSS:
        return rc == STORE_LOST || rc == STORE_CORRUPT || rc == STORE_IO;
    case FAULT_ABSENCE:
        break;
    }
    return rc == STORE_CORRUPT || rc == STORE_LOST || rc == STORE_ABSENT || rc == STORE_INVALID || rc == STORE_IO;
}

/* Does the work in `run`, whose store is there. Returns whether an allocation failed. */
static bool run_once(struct run *run, const struct work *work, enum fault fault, uint64_t nth, uint64_t expected) {
    int64_t live = inject_live();
    char what[256];
    run->found = 0;
    run->err.text[0] = '\0';
    run_open(run, work->writes);
    uint64_t last = store_last(run->store);
    arm(run, fault, nth);
    int rc = work->ask(run);
    inject_disarm();
    run->memory = inject_count();
    run->reads = storage_fault_count(run->fault);
    storage_fault_set(run->fault, NULL);
    (void)snprintf(what, sizeof what, "%s, %s, %s %" PRIu64, run->specimen->rule->name, work->name,
                   fault == FAULT_MEMORY ? inject_call() : "read", nth);
    if (rc == STORE_OK && (fault == FAULT_MEMORY || fault == FAULT_READS) && run->found != expected)
        fail_msg("%s: the answer is another", what);
    if (rc != STORE_OK && !is_told_rightly(fault, rc))
        fail_msg("%s: %d %s", what, rc, run->err.text);
    if (rc != STORE_OK && store_last(run->store) != last)
        fail_msg("%s: failed, and yet committed", what);
    run_close(run);
    if (inject_live() != live)
        fail_msg("%s: leaks", what);
    runs++;
    return inject_hit();
}

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static bool begin_run(struct run *run, const struct work *work) {
    if (work->writes) {
        remove_files(run);
        write_files(run);
    }
    return true;
}

/* Each `step`th call of all works together; *left: how many are passed over before the next. Whatever that is, an allocation fails at each place that
 * makes one. */
static void sweep(const struct specimen *s, const struct work *work, uint64_t step, uint64_t *left) {
    struct run run = {.specimen = s};
    write_files(&run);
    (void)run_once(&run, work, FAULT_NONE, 0, 0);
    const uint64_t expected = run.found, counts[] = {0, run.memory, run.reads, run.reads, run.reads};
    while (inject_has_new_sites() && begin_run(&run, work) && run_once(&run, work, FAULT_MEMORY, NEW_SITE, expected))
        ;
    for (enum fault fault = FAULT_MEMORY; fault <= FAULT_LOSS; fault++) {
        uint64_t nth = *left + 1;
        for (; nth <= counts[fault]; nth += step) {
            (void)begin_run(&run, work);
            (void)run_once(&run, work, fault, nth, expected);
        }
        *left = nth - counts[fault] - 1;
    }
    remove_files(&run);
}

static void test_history__answers_rightly_or_fails(void **state) {
    (void)state;
    uint64_t percent = number_of("FAULTS", 2), seed = number_of("SEED", 1), histories = 0;
    uint64_t step = percent == 0 ? 1000 : percent >= 100 ? 1 : 100 / percent, left = seed % step;
    const char *only = getenv("ONLY");
    for (size_t i = 0; i < changing_rule_count; i++) {
        struct specimen s;
        if (only && !strstr(changing_rules[i].name, only))
            continue;
        specimen_make(&s, &changing_rules[i]);
        for (size_t k = 0; k < sizeof works / sizeof *works; k++)
            sweep(&s, &works[k], step, &left);
        specimen_release(&s);
        histories++;
    }
    print_message("    FAULTS=%" PRIu64 " SEED=%" PRIu64 ": %" PRIu64 " runs about %" PRIu64 " histories\n", percent,
                  seed, runs, histories);
}

/* ---- tables that grow ---- */

#define MANY 800

static int add_incarnation(struct draft *draft, uint64_t i) {
    return draft_stands_for(draft, i + 1000, draft->order);
}

static int add_entry(struct draft *draft, uint64_t i) {
    struct draft_entry *entry;
    char name[24];
    int length = snprintf(name, sizeof name, "%" PRIu64, i);
    return draft_entry(draft, draft->order, name, (size_t)length, &entry);
}

static int add_node(struct draft *draft, uint64_t i) {
    struct draft_node *node;
    return draft_node(draft, i + 2, &node); /* the oids of what was made first */
}

static int add_conflict(struct restore_plan *plan, uint64_t i) {
    (void)i;
    return plan_conflict(plan, strdup("path"), "why", 0, 0);
}

/* Fails the Nth allocation of `add`, for each N, and then lets it. */
static void assert_adds(struct restore_plan *plan, int (*add)(struct draft *draft, uint64_t i), uint64_t i) {
    for (uint64_t nth = 1;; nth++) {
        inject_arm(&(struct inject_rule){.groups = INJECT_MEMORY, .nth = nth, .code = ENOMEM, .this_thread = true});
        int rc = add ? add(&plan->draft, i) : add_conflict(plan, i);
        inject_disarm();
        if (!inject_hit()) {
            assert_int_equal(rc, STORE_OK);
            return;
        }
        if (rc == STORE_OK)
            return; /* it can do without */
        assert_int_equal(rc, STORE_NO_MEMORY);
    }
}

static void test_draft__grows_or_says_that_it_cannot(void **state) {
    (void)state;
    struct changing *c = changing_new(1);
    struct restore_plan plan = {0};
    struct draft_node *root, *node;
    char path[24];
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "f%u", i);
        changing_write(c, path, "");
    }
    uint64_t first = changing_find(c, "f0"), last = changing_commit(c, "many");
    assert_int_equal(first, 2);
    assert_int_equal(draft_init(&plan.draft, c->store, last), STORE_OK);
    assert_int_equal(draft_node(&plan.draft, ROOT_OID, &root), STORE_OK);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_adds(&plan, add_node, i);
        assert_adds(&plan, add_entry, i);
        assert_adds(&plan, add_incarnation, i);
        assert_adds(&plan, NULL, i);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        struct draft_entry *entry;
        int length = snprintf(path, sizeof path, "%" PRIu64, i);
        size_t count = plan.draft.entry_count;
        assert_int_equal(draft_entry(&plan.draft, root, path, (size_t)length, &entry), STORE_OK);
        assert_int_equal(plan.draft.entry_count, count); /* each is there once */
        assert_int_equal(draft_incarnation(&plan.draft, i + 1000, &node), STORE_OK);
        assert_ptr_equal(node, root);
    }
    assert_int_equal(plan.conflict_count, MANY);
    for (size_t i = 0; i < plan.conflict_count; i++)
        free(plan.conflicts[i].path);
    free(plan.conflicts);
    draft_release(&plan.draft);
    changing_free(c);
}

/* ---- texts ---- */

static void test_text__a_diff_of_equal_texts_may_lack_memory(void **state) {
    const struct text text = {.data = (const uint8_t *)"same\n", .length = 5};
    struct text_diff diff;
    struct error err = {0};
    (void)state;
    inject_arm(&(struct inject_rule){.groups = INJECT_MEMORY, .nth = 1, .code = ENOMEM, .this_thread = true});
    int rc = text_diff(&text, &text, 3, true, &diff, &err);
    inject_disarm();
    assert_int_equal(rc, STORE_NO_MEMORY);
    assert_non_null(strstr(err.text, "out of memory"));
    assert_int_equal(text_diff(&text, &text, 3, true, &diff, &err), STORE_OK);
    assert_string_equal(diff.body, "");
    text_diff_release(&diff);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history__answers_rightly_or_fails),
        cmocka_unit_test(test_draft__grows_or_says_that_it_cannot),
        cmocka_unit_test(test_text__a_diff_of_equal_texts_may_lack_memory),
    };
    inject_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
