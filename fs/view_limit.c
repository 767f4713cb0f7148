#include "fs/view_limit.h"

#include "fs/output.h"
#include "history/past.h"

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
                            SUBJECT_OF_VIEW, &resolved))
            return false;
        limit = resolved.before - 1;
    }
    *last = limit < *last ? limit : *last;
    return true;
}

void view_limit_say_never(const char *shown, const char *when) {
    output_error("%s: not there %s, nor at any other time; `tidfs ls WHEN` shows what there was", shown, when);
}

void view_limit_say_absent(struct subject *subject, const char *tree_path, const char *shown, uint64_t last, bool utc) {
    uint64_t newest = store_last(subject->store);
    struct past_names names = {0};
    int rc = past_names_load(subject->store, tree_path, newest, &names);
    if (rc < 0) {
        output_error("%s: not there; when it was cannot be read: %s", shown, store_error_text(rc));
    } else if (names.count == 0) {
        view_limit_say_never(shown, last < newest ? "then" : "now");
    } else {
        char born[SUBJECT_TRANSACTION_SIZE];
        subject_name_transaction(subject, names.items[names.count - 1].born, utc, born);
        output_error("%s: not there yet then: it came later, in %s", shown, born);
    }
    past_names_release(&names);
}
