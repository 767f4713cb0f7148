#include "fs/restoring.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/change_output.h"
#include "fs/command.h"
#include "fs/control.h"
#include "fs/json.h"
#include "fs/live.h"
#include "fs/output.h"
#include "store/tid.h"

#define USER_SIZE 256

/* ---------------------------------------------------------------- where */

/* A mount that shows the present shows this store's; but it must be the one that writes it. */
static bool may_change(const struct location *location) {
    bool present =
        location->kind == LOCATION_HEAD || location->kind == LOCATION_TOP || location->kind == LOCATION_OTHER;
    if (location->kind == LOCATION_STORE)
        return true;
    if (present && !(location->live && strcmp(location->live, location->point) == 0)) {
        output_error("%s is a read-only mount: nothing can be put back there; %s", location->point,
                     location->live ? "go to the writable mount of the store" : "mount the store without `ro`");
        if (location->live)
            output_error("which is %s", location->live);
        return false;
    }
    if (!present && !location->live) {
        output_error("%s is a view, and no mount writes the store: nothing can be put back; mount it, or name it with "
                     "--store %s",
                     location->point, location->store);
        return false;
    }
    return true;
}

bool restoring_open(struct subject *subject, bool change) {
    if (change && !may_change(&subject->location))
        return false;
    live_settle(&subject->location);
    return subject->store || subject_open(subject) == STORE_OK;
}

/* ---------------------------------------------------------------- planning */

static void show_progress(void *context, uint64_t done, uint64_t total) {
    progress_update(context, done, total);
}

struct restore_plan *restoring_plan(const struct restoring *restoring, uint64_t base) {
    struct progress progress;
    struct error err = {0};
    struct restore_plan *plan = NULL;
    struct store *store = restoring->subject->store;
    progress_init(&progress, "looking for changes");
    int rc = store_refresh(store, NULL, NULL);
    rc = rc < 0 ? rc
                : restore_plan_make(store, base ? base : store_last(store), &restoring->request, show_progress,
                                    &progress, &plan, &err);
    progress_clear(&progress);
    if (rc == STORE_OK)
        return plan;
    output_error("%s: %s", restoring->name, err.text[0] ? err.text : store_error_text(rc));
    return NULL;
}

/* ---------------------------------------------------------------- doing */

static int do_at_rest(const struct restore_order *order, const struct subject *subject, struct restore_result *result,
                      struct error *err) {
    const struct store_options options = {.writable = true, .log = &((struct subject *)subject)->sink.log};
    const struct head_options head_options = {.dirty_limit_bytes = UINT64_C(64) << 20};
    struct store *store = NULL;
    struct head *head = NULL;
    int rc = store_open(subject->location.store, &options, &store, err);
    if (rc == STORE_OK)
        rc = head_open(store, &head_options, &head, err);
    if (rc == STORE_OK) {
        rc = restore_run(store, head, &order->request, order->only_base, order->user, order->message, result, err);
        if (head_close(head) && rc == STORE_OK)
            rc = error_set(err, STORE_IO, "the store could not be closed well; `tidfs verify` checks it");
    }
    store_close(store);
    return rc;
}

static int perform(const struct restoring *restoring, struct restore_result *result, struct error *err) {
    struct subject *subject = restoring->subject;
    struct restore_order order = {.request = restoring->request, .only_base = restoring->only_base, .user = ""};
    char *message;
    char user[USER_SIZE];
    int rc = restore_message(subject->store, &restoring->request, restoring->message, &message);
    if (rc != STORE_OK)
        return error_set(err, (enum store_error)rc, "cannot say what it is about: %s; nothing was changed",
                         store_error_text(rc));
    order.message = message;
    if (subject->location.live) {
        struct control_restore_run answer = {0};
        rc = live_restore(subject->location.live, &order, &answer, err);
        result->outcome = answer.outcome <= RESTORE_CONFLICT ? (enum restore_outcome)answer.outcome : RESTORE_NOTHING;
        result->base = answer.base;
        result->tid = answer.tid;
    } else {
        const struct passwd *entry = getpwuid(getuid());
        (void)snprintf(user, sizeof user, "%s", entry ? entry->pw_name : "");
        if (!entry)
            (void)snprintf(user, sizeof user, "%u", (unsigned)getuid());
        order.user = user;
        rc = do_at_rest(&order, subject, result, err);
        restore_touched_release(&result->touched);
    }
    free(message);
    return rc;
}

/* ---------------------------------------------------------------- files that are open */

/* Where a place in the tree is in the writable mount, malloc'ed. NULL: that cannot be told. */
static char *mounted_path(const struct location *location, const char *path) {
    char *mounted = NULL;
    if (!location->live || !location->top || strcmp(location->live, location->top) != 0)
        return NULL;
    size_t length = strlen(location->top_subdir);
    if (strncmp(path, location->top_subdir, length) != 0 || (length > 0 && path[length] != '/'))
        return NULL;
    return asprintf(&mounted, "%s/head/%s", location->top, path + length + (length > 0)) < 0 ? NULL : mounted;
}

/* A kernel with a write-back cache keeps its own size and mtime of a file that is open: it takes new ones from programs alone, so this one gives it
 * those that the file has. With any other mount they agree already, and nothing is done. */
static void correct_open_files(const struct restoring *restoring, const struct restore_plan *plan) {
    size_t count;
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    for (size_t i = 0; i < count; i++) {
        const struct change *change = &steps[i].change;
        struct stat stat;
        bool kept = (change->kind == CHANGE_MODIFIED && !change->replaced) || change->kind == CHANGE_RENAMED;
        if (!kept || !S_ISREG(change->new.mode) || !(change->what & (CHANGED_CONTENT | CHANGED_TIMES)))
            continue;
        char *path = mounted_path(&restoring->subject->location, change->new_path);
        if (path && lstat(path, &stat) == 0 && S_ISREG(stat.st_mode)) {
            const struct timespec *mtime = &change->new.mtime;
            const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, *mtime};
            bool later = stat.st_mtim.tv_sec != mtime->tv_sec || stat.st_mtim.tv_nsec != mtime->tv_nsec;
            bool failed = (uint64_t)stat.st_size != change->new.size &&truncate(path, (off_t)change->new.size) != 0;
            if ((change->what & CHANGED_TIMES) && later)
                failed |= utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW) != 0;
            if (failed)
                output_error("%s: programs that have it open may see its old size or time until they close it", path);
        }
        free(path);
    }
}

/* ---------------------------------------------------------------- telling */

static bool print_steps(const struct restoring *restoring, const struct restore_plan *plan) {
    const struct change_output output = {.formats = restoring->json ? CHANGE_FORMAT_JSON : CHANGE_FORMAT_LIST};
    struct change_list list = {0};
    const struct restore_step *steps = restore_plan_steps(plan, &list.count);
    list.items = calloc(list.count + 1, sizeof *list.items);
    if (!list.items) {
        output_error("out of memory");
        return false;
    }
    for (size_t i = 0; i < list.count; i++)
        list.items[i] = steps[i].change;
    enum change_printed printed = change_output_print(&output, restoring->subject->store, &list, NULL);
    free(list.items); /* the paths are the plan's */
    return printed != CHANGES_NOT_PRINTED;
}

static void print_conflicts(const struct restoring *restoring, const struct restore_plan *plan) {
    size_t count;
    const struct restore_conflict *conflicts = restore_plan_conflicts(plan, &count);
    for (size_t i = 0; i < count; i++) {
        const struct restore_conflict *conflict = &conflicts[i];
        if (restoring->json) {
            struct json json;
            json_init(&json, stdout);
            json_begin_object(&json, NULL);
            json_string(&json, "kind", "conflict");
            json_string(&json, "path", conflict->path);
            json_string(&json, "why", conflict->why);
            json_tid(&json, "undone", conflict->undone);
            json_tid(&json, "later", conflict->later);
            json_end_object(&json);
            continue;
        }
        char undone[TID_TEXT_SIZE], later[TID_TEXT_SIZE];
        tid_format(conflict->undone, undone);
        tid_format(conflict->later, later);
        (void)fputs("tidfs: conflict: ", stderr);
        output_name(stderr, conflict->path);
        (void)fprintf(stderr, ": %s", conflict->why);
        if (conflict->later)
            (void)fprintf(stderr, ", in %s", later);
        if (conflict->undone)
            (void)fprintf(stderr, " (to undo: %s)", undone);
        (void)fputc('\n', stderr);
    }
}

static void print_transaction(const struct restoring *restoring, uint64_t tid) {
    char text[TID_TEXT_SIZE];
    tid_format(tid, text);
    if (restoring->json) {
        struct json json;
        json_init(&json, stdout);
        json_begin_object(&json, NULL);
        json_string(&json, "kind", "transaction");
        json_tid(&json, "tid", tid);
        json_end_object(&json);
    } else {
        printf("transaction %s\n", text);
    }
}

static int tell(const struct restoring *restoring, const struct restore_result *result,
                const struct restore_plan *plan) {
    bool undo = restoring->request.kind == RESTORE_UNDO;
    if (result->outcome == RESTORE_CONFLICT) {
        (void)fflush(stdout);
        print_conflicts(restoring, plan);
        output_error("%s: nothing was changed; %s", restoring->name,
                     undo ? "what came later can be undone with it, and `tidfs revert --at WHEN PATH` puts back a path"
                          : "name the paths that can be put back, or move what is in the way");
        (void)output_finish();
        return EXIT_FAILED;
    }
    if (result->outcome == RESTORE_NOTHING) {
        if (!restoring->json)
            printf("nothing to do: %s\n", undo ? "all is as it was before" : "all is as it was then");
        return output_finish();
    }
    bool printed = print_steps(restoring, plan);
    if (printed && result->tid)
        print_transaction(restoring, result->tid);
    int status = output_finish();
    return printed ? status : EXIT_FAILED;
}

bool restoring_message_is_good(const struct restoring *restoring) {
    const char *message = restoring->message;
    if (message && !*message) {
        output_error("%s: the message is empty; leave it out, or say what was done", restoring->name);
        return false;
    }
    if (message && strlen(message) > CONTROL_MESSAGE_MAX) {
        output_error("%s: the message is too long: at most %d bytes", restoring->name, CONTROL_MESSAGE_MAX);
        return false;
    }
    return true;
}

/* What was done must be known also when it could not be printed. */
static void say_made(const struct restoring *restoring, uint64_t tid) {
    char text[TID_TEXT_SIZE];
    tid_format(tid, text);
    output_error("%s: it was done all the same, in transaction %s", restoring->name, text);
}

int restoring_run(const struct restoring *restoring) {
    struct restore_result result = {.base = 0};
    struct error err = {0};
    if (!restoring->dry_run && perform(restoring, &result, &err) != STORE_OK) {
        output_error("%s: %s", restoring->name, err.text);
        return EXIT_FAILED;
    }
    struct restore_plan *plan = restoring_plan(restoring, result.base);
    if (!plan) {
        if (result.tid)
            say_made(restoring, result.tid);
        return EXIT_FAILED;
    }
    if (restoring->dry_run) {
        size_t conflicts;
        (void)restore_plan_conflicts(plan, &conflicts);
        result.outcome = conflicts > 0 ? RESTORE_CONFLICT : restore_plan_empty(plan) ? RESTORE_NOTHING : RESTORE_DONE;
        if (result.outcome == RESTORE_DONE && restore_plan_check(plan, &err) != STORE_OK) {
            output_error("%s: %s", restoring->name, err.text);
            restore_plan_free(plan);
            return EXIT_FAILED;
        }
    }
    if (!restoring->dry_run && result.outcome == RESTORE_DONE)
        correct_open_files(restoring, plan);
    int status = tell(restoring, &result, plan);
    if (status != EXIT_DONE && result.tid)
        say_made(restoring, result.tid);
    restore_plan_free(plan);
    return status;
}
