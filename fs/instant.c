#include "fs/instant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/output.h"
#include "fs/view_limit.h"
#include "history/past.h"
#include "history/path.h"

/* ---------------------------------------------------------------- when it was there */

/* It led somewhere until transaction `ended->died`, which is not after the instant. */
static void say_gone(const struct instant *instant, const char *shown, const struct past_name *ended) {
    struct store *store = instant->subject.store;
    uint64_t before = instant->resolved.before;
    char when[SUBJECT_TRANSACTION_SIZE], path[1024];
    enum load_outcome outcome = LOAD_NO_OBJECT;
    struct revision revision;
    subject_name_transaction(&instant->subject, ended->died, instant->utc, when);
    int rc = storage_load_before(store_storage(store), ended->oid, PART_INODE, before, &outcome, &revision);
    if (rc == 0 && outcome == LOAD_DATA) {
        revision_release(&revision);
        output_error("%s: not there then: it lost that name before, in %s; what it was is then %s", shown, when,
                     path_of(store, ended->oid, before, path, sizeof path));
    } else {
        output_error("%s: not there then: it was deleted before, in %s; ~1 of that shows it", shown, when);
    }
}

static void say_absent(const struct instant *instant, const char *tree_path, const char *shown) {
    struct store *store = instant->subject.store;
    uint64_t before = instant->resolved.before;
    struct past_names names = {0};
    int rc = past_names_load(store, tree_path, store_last(store), &names);
    if (rc < 0) {
        output_error("%s: not there then; when it was cannot be read: %s", shown, store_error_text(rc));
        return;
    }
    /* Newest first: the last one that came later, and the first one that ended
   * before. */
    const struct past_name *later = NULL, *earlier = NULL;
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        if (names.items[i].born >= before)
            later = &names.items[i];
        else if (!earlier && names.items[i].died < before)
            earlier = &names.items[i];
    }
    if (earlier) {
        say_gone(instant, shown, earlier);
    } else if (later) {
        char when[SUBJECT_TRANSACTION_SIZE];
        subject_name_transaction(&instant->subject, later->born, instant->utc, when);
        output_error("%s: not there yet then: it came later, in %s", shown, when);
    } else {
        view_limit_say_never(shown, "then");
    }
    past_names_release(&names);
}

/* The first `length` bytes of tree_path lead to something that has nothing
 * below it. */
static void say_no_directory(struct instant *instant, const char *tree_path, size_t length, const char *shown,
                             const struct view_attr *attr) {
    char *target = S_ISLNK(attr->stat.st_mode) ? instant_readlink(instant, shown, attr) : NULL;
    if (target)
        output_error("%s: /%.*s was then a symlink to %s, which is not followed; "
                     "name what you mean",
                     shown, (int)length, tree_path, target);
    else
        output_error("%s: /%.*s was then no directory", shown, (int)length, tree_path);
    free(target);
}

/* ---------------------------------------------------------------- the interface */

bool instant_open(struct instant *instant, const struct subject_options *where, const char *path, const char *when,
                  enum resolve_how how, bool utc) {
    static const struct view_pool_options options = {.idle_max = 1, .idle_ns = UINT64_MAX};
    *instant = (struct instant){.utc = utc};
    struct subject *subject = &instant->subject;
    if (!subject_find(subject, where, path) || subject_resolve(subject, when, how, SUBJECT_TYPED, &instant->resolved))
        return false;
    instant->pool = view_pool_new(subject->store, &options);
    if (!instant->pool) {
        output_error("out of memory");
        return false;
    }
    int rc = view_pool_open(instant->pool, instant->resolved.before, &instant->view);
    if (rc)
        output_error("cannot open the view %s of %s: %s", when, subject->location.store, strerror(-rc));
    return rc == 0;
}

bool instant_find(struct instant *instant, const char *tree_path, const char *shown, struct view_attr *attr) {
    int rc = view_getattr(instant->view, ROOT_OID, attr);
    const char *at = tree_path;
    while (rc == 0 && *at) {
        if (!S_ISDIR(attr->stat.st_mode)) {
            say_no_directory(instant, tree_path, (size_t)(at - tree_path) - 1, shown, attr);
            return false;
        }
        size_t length = strcspn(at, "/");
        rc = view_lookup(instant->view, attr->oid, at, length, attr);
        at += length;
        at += *at == '/';
    }
    if (rc == -ENOENT)
        say_absent(instant, tree_path, shown);
    else if (rc)
        output_error("%s: cannot be read: %s", shown, strerror(-rc));
    return rc == 0;
}

char *instant_readlink(struct instant *instant, const char *shown, const struct view_attr *attr) {
    size_t length = 0;
    char *target = calloc(1, SYMLINK_BYTES_MAX + 1);
    int rc = target ? view_file_readlink(instant->subject.store, attr->revision, target, SYMLINK_BYTES_MAX, &length)
                    : -ENOMEM;
    if (rc == 0)
        return target;
    output_error("%s: cannot be read: %s", shown, strerror(-rc));
    free(target);
    return NULL;
}

void instant_release(struct instant *instant) {
    if (instant->view)
        view_pool_done(instant->pool, instant->view);
    if (instant->pool)
        view_pool_free(instant->pool);
    subject_release(&instant->subject);
    instant->view = NULL;
    instant->pool = NULL;
}
