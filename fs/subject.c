#include "fs/subject.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/live.h"
#include "fs/output.h"
#include "fs/suggest.h"

static bool found(int rc, const struct error *err) {
    if (rc)
        output_error("%s", err->text[0] ? err->text : store_error_text(rc));
    return rc == 0;
}

static void init(struct subject *subject) {
    *subject = (struct subject){0};
    log_sink_init(&subject->sink, LOG_LEVEL_WARNING);
}

/* With --mount: a path in some mount of the same store, or from the root of the tree. */
static int place_in(struct location *location, const char *path, struct error *err) {
    struct location other;
    int rc = locate_path(path, &other, err);
    if (rc == 0 && other.path && strcmp(other.store, location->store) == 0) {
        location_release(location);
        *location = other;
        return 0;
    }
    if (rc == 0)
        location_release(&other);
    if (path[0] != '/' || rc == STORE_NOT_A_STORE)
        rc = location_set_path(location, path);
    else if (rc == 0)
        rc = error_set(err, STORE_INVALID, "%s: lies in no tree of the store that --mount names; leave --mount out",
                       path);
    return rc;
}

bool subject_find(struct subject *subject, const struct subject_options *options, const char *path) {
    struct location *location = &subject->location;
    struct error err = {0};
    int rc;
    init(subject);
    if (options->store) {
        rc = locate_store(options->store, location, &err);
        if (rc == 0 && path)
            rc = location_set_path(location, path);
    } else if (options->mount) {
        rc = locate_path(options->mount, location, &err);
        if (rc == 0 && path)
            rc = place_in(location, path, &err);
    } else {
        rc = locate_path(path ? path : ".", location, &err);
    }
    if (rc == 0 && path && !location->path)
        rc = error_set(&err, STORE_INVALID, "%s: not in a tree; name something below /head, /at/WHEN or /before/WHEN",
                       path);
    if (rc == 0)
        rc = locate_check_store(location, &err);
    if (rc == STORE_NOT_A_STORE && !options->store) {
        output_error("%s; name one, or a store with --store", err.text);
        return false;
    }
    return found(rc, &err);
}

char *subject_place(const struct subject *subject, const struct subject_options *options, const char *path) {
    struct subject other;
    char *place = NULL;
    if (subject_find(&other, options, path)) {
        if (strcmp(other.location.store, subject->location.store) != 0) {
            output_error("%s: lies in another store, %s; ask for it alone", path, other.location.store);
        } else {
            place = other.location.path;
            other.location.path = NULL;
        }
    }
    subject_release(&other);
    return place;
}

bool subject_find_any(struct subject *subject, const char *path) {
    struct error err = {0};
    init(subject);
    if (locate_is_store(path))
        return found(locate_store(path, &subject->location, &err), &err);
    /* What is no mount either is most likely meant as a store: opening it will say what is wrong with it. */
    if (locate_path(path, &subject->location, &err) == 0)
        return found(locate_check_store(&subject->location, &err), &err);
    return found(locate_store(path, &subject->location, &err), &err);
}

/* Who may look at a mount need not be allowed to read the store beneath it. */
static void say_not_ours(const struct location *location, const struct error *err) {
    const char *top = location->top;
    output_error("%s: this command reads the store itself, which only its owner may; %s%s%s%s%s", err->text,
                 top ? "ls(1), cat(1) and diff(1) of what is below "
                     : "ask the owner for a mount that shows its history",
                 top ? top : "", top ? "/at and " : "", top ? top : "",
                 top ? "/versions work for all whom the mount lets in there" : "");
}

int subject_open(struct subject *subject) {
    struct error err = {0};
    const struct store_options options = {.log = &subject->sink.log};
    const char *directory = subject->location.store;
    int rc = store_open(directory, &options, &subject->store, &err);
    char *file = NULL;
    if (rc && asprintf(&file, "%s/tidfs.db", directory) < 0)
        file = NULL;
    if (rc && file && access(file, R_OK) && errno == EACCES)
        say_not_ours(&subject->location, &err);
    else if (rc)
        output_error("%s", err.text);
    free(file);
    return rc;
}

bool subject_suggest_tag(struct subject *subject, const char *tag, char nearest[TAG_NAME_MAX + 1]) {
    struct tag *tags = NULL;
    size_t count = 0, best = SIZE_MAX;
    if (!subject->store && subject_open(subject))
        return false;
    (void)storage_tag_list(store_storage(subject->store), &tags, &count); /* what there is */
    for (size_t i = 0; i < count; i++) {
        size_t distance = suggest_distance(tag, tags[i].name);
        if (distance < best) {
            best = distance;
            memcpy(nearest, tags[i].name, sizeof tags[i].name);
        }
    }
    free(tags);
    return best != SIZE_MAX;
}

static bool read_clock(struct timespec *now) {
    if (clock_gettime(CLOCK_REALTIME, now) == 0)
        return true;
    output_error("cannot read the clock");
    return false;
}

/* Says what is wrong with `text`. */
static int refuse(struct subject *subject, const char *text, const struct when *when, int rc, const struct error *err) {
    char nearest[TAG_NAME_MAX + 1];
    if (rc == RESOLVE_FUTURE)
        output_error("%s: %s; `now` is the latest", text, err->text);
    else if (rc == RESOLVE_NO_TAG && subject_suggest_tag(subject, when->tag, nearest))
        output_error("%s; did you mean %s?", err->text, nearest);
    else
        output_error("%s", err->text);
    return rc;
}

/* All that comes before resolving. `now` is the clock after what was sealed. */
static int prepare(struct subject *subject, const char *text, enum subject_source source, struct when *when,
                   struct timespec *now) {
    struct error err = {0};
    if (!read_clock(now))
        return STORE_IO;
    int rc = when_parse(text, strlen(text), *now, when, &err);
    if (rc) {
        output_error("%s", err.text);
        return rc;
    }
    if (when->needs_seal)
        live_settle(&subject->location);
    if (!subject->store && (rc = subject_open(subject)))
        return rc;
    /* What was sealed just now is in the past only for a clock that is read again. */
    if (!read_clock(now))
        return STORE_IO;
    if (source == SUBJECT_TYPED && (rc = resolve_check_tid(subject->store, when, *now, &err)))
        return refuse(subject, text, when, rc, &err);
    return STORE_OK;
}

int subject_resolve(struct subject *subject, const char *text, enum resolve_how how, enum subject_source source,
                    struct resolved *resolved) {
    struct timespec now;
    struct when when;
    struct error err = {0};
    int rc = prepare(subject, text, source, &when, &now);
    if (rc)
        return rc;
    rc = resolve_text(subject->store, text, strlen(text), how, now, resolved, &err);
    return rc ? refuse(subject, text, &when, rc, &err) : STORE_OK;
}

int subject_resolve_seq(struct subject *subject, const char *text, enum resolve_how how, enum subject_source source,
                        uint64_t *before) {
    struct timespec now;
    struct when when;
    struct error err = {0};
    int rc = prepare(subject, text, source, &when, &now);
    if (rc)
        return rc;
    rc = resolve_seq(subject->store, &when, how, now, before, &err);
    return rc ? refuse(subject, text, &when, rc, &err) : STORE_OK;
}

void subject_name_transaction(const struct subject *subject, uint64_t seq, bool utc,
                              char text[SUBJECT_TRANSACTION_SIZE]) {
    struct transaction transaction;
    if (storage_transaction_at(store_storage(subject->store), seq, &transaction)) {
        (void)snprintf(text, SUBJECT_TRANSACTION_SIZE, "transaction %" PRIu64, seq);
        return;
    }
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    tid_format(transaction.tid, tid);
    output_time(tid_to_time(transaction.tid), utc, time);
    (void)snprintf(text, SUBJECT_TRANSACTION_SIZE, "%s, %s", tid, time);
    transaction_release(&transaction);
}

void subject_say_before_first(const struct subject *subject, const char *when, bool utc) {
    char first[SUBJECT_TRANSACTION_SIZE];
    if (store_last(subject->store) == 0) {
        output_error("%s: nothing was there yet; the store has no transactions", when);
        return;
    }
    subject_name_transaction(subject, 1, utc, first);
    output_error("%s: nothing was there yet; that is before the first transaction, %s", when, first);
}

const char *subject_when(const struct subject *subject, char tid[TID_TEXT_SIZE], enum resolve_how *how) {
    const struct location *location = &subject->location;
    *how = location->kind == LOCATION_BEFORE ? RESOLVE_BEFORE : RESOLVE_AT;
    if (location->kind == LOCATION_VIEW) {
        tid_format(location->view_tid, tid);
        return tid;
    }
    return location->when ? location->when : "now";
}

void subject_release(struct subject *subject) {
    store_close(subject->store);
    location_release(&subject->location);
    log_sink_release(&subject->sink);
    subject->store = NULL;
}
