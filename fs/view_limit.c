#include "fs/view_limit.h"

#include "fs/output.h"
#include "history/past.h"
#include "store/tid.h"

bool view_limit_applies(const struct location *location) {
    return location->kind == LOCATION_AT || location->kind == LOCATION_BEFORE || location->kind == LOCATION_VIEW;
}

/* The newest transaction up to a tid; 0 if there is none. */
static int find_last(struct store *store, uint64_t tid, uint64_t *last) {
    struct transaction transaction;
    int rc = storage_transaction_before(store_storage(store), tid + 1, &transaction);
    *last = 0;
    if (rc == 0) {
        *last = transaction.seq;
        transaction_release(&transaction);
    }
    return rc == STORE_ABSENT ? 0 : rc;
}

bool view_limit_lower(struct subject *subject, const struct location *location, uint64_t *last) {
    struct resolved resolved;
    uint64_t limit = 0;
    if (!view_limit_applies(location))
        return true;
    if (location->kind == LOCATION_VIEW) {
        int rc = find_last(subject->store, location->view_tid, &limit);
        if (rc) {
            output_error("cannot read %s: %s", location->store, store_error_text(rc));
            return false;
        }
    } else {
        if (subject_resolve(subject, location->when, location->kind == LOCATION_AT ? RESOLVE_AT : RESOLVE_BEFORE,
                            &resolved))
            return false;
        limit = resolved.before - 1;
    }
    *last = limit < *last ? limit : *last;
    return true;
}

void view_limit_say_absent(struct subject *subject, const char *command, const char *tree_path, const char *shown,
                           uint64_t last, bool utc) {
    uint64_t newest = store_last(subject->store);
    struct past_names names;
    struct transaction transaction;
    if (last >= newest || past_names_load(subject->store, tree_path, newest, &names)) {
        output_error("%s: %s: no view%s has it", command, shown, last < newest ? " up to that time" : "");
        return;
    }
    int rc = storage_transaction_at(store_storage(subject->store), names.items[names.count - 1].born, &transaction);
    past_names_release(&names);
    if (rc) {
        output_error("%s: cannot read %s: %s", command, subject->location.store, store_error_text(rc));
        return;
    }
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    tid_format(transaction.tid, tid);
    output_time(tid_to_time(transaction.tid), utc, time);
    transaction_release(&transaction);
    output_error("%s: %s: no view up to that time has it; it came at %s, with %s", command, shown, time, tid);
}
