/* Running a plan (restore.h). */
#include "history/restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "history/restore_private.h"

struct running {
    struct store *store;
    struct head *head;
    const struct restore_request *request;
    uint64_t only_base;
    struct restore_plan *plan;
    struct restore_result *result;
    struct error *err;
    int code; /* enum store_error: why `change` gave up; STORE_OK: it knows that there is nothing to do */
};

#define GIVEN_UP (-ECANCELED) /* by `change`: running.code and running.result say why */

static int plan_again(struct running *run, uint64_t base) {
    restore_plan_free(run->plan);
    run->plan = NULL;
    run->result->base = base;
    if (run->only_base && run->only_base != base)
        return error_set(run->err, STORE_INVALID,
                         "something else was committed while you chose; nothing was changed: do it again");
    int rc = restore_plan_make(run->store, base, run->request, NULL, NULL, &run->plan, run->err);
    if (rc == STORE_OK)
        run->result->outcome = run->plan->conflict_count > 0   ? RESTORE_CONFLICT
                               : restore_plan_empty(run->plan) ? RESTORE_NOTHING
                                                               : RESTORE_DONE;
    if (rc == STORE_OK && run->result->outcome == RESTORE_DONE)
        rc = restore_plan_check(run->plan, run->err);
    return rc;
}

/* Inside of the transaction. The touched are gathered here, before it is durable, so that nothing can fail after it. */
static int change(void *context) {
    struct running *run = context;
    struct head_status status;
    head_get_status(run->head, &status);
    if (status.last_seq != run->result->base) {
        run->code = plan_again(run, status.last_seq);
        if (run->code != STORE_OK || run->result->outcome != RESTORE_DONE)
            return GIVEN_UP;
    }
    int rc = plan_apply(run->plan, run->head);
    if (rc == -ESTALE) /* an object of the plan that is not there after all: damage, and no commit of somebody else */
        rc = -EIO;
    return rc == 0 ? -store_error_errno(plan_touched(run->plan, &run->result->touched)) : rc;
}

static int explain(int rc, struct error *err) {
    switch (rc) {
    case -ENOSPC:
    case -EDQUOT:
        return error_set(err, STORE_FULL, "there is no space left below the store; nothing was changed");
    case -EROFS:
        return error_set(err, STORE_READ_ONLY, "the store is not open for writing; nothing was changed");
    case -EBUSY:
        return error_set(err, STORE_LOCKED, "another process writes the store; nothing was changed");
    case -ESTALE:
        return error_set(err, STORE_CONFLICT, "%s; nothing was changed", store_error_text(STORE_CONFLICT));
    case -ENOMEM:
        return error_set(err, STORE_NO_MEMORY, "out of memory; nothing was changed");
    case -E2BIG:
        return error_set(err, STORE_TOO_BIG, "the user or the message is too long; nothing was changed");
    default:
        return error_set(err, STORE_IO, "it could not be committed: %s; nothing was changed", strerror(-rc));
    }
}

int restore_run(struct store *store, struct head *head, const struct restore_request *request, uint64_t only_base,
                const char *user, const char *message, struct restore_result *result, struct error *err) {
    struct running run = {
        .store = store, .head = head, .request = request, .only_base = only_base, .result = result, .err = err};
    *result = (struct restore_result){0};
    /* What is pending belongs to what is put back; and a plan is made of committed instants. */
    int rc = head_seal(head, NULL, NULL, NULL);
    if (rc < 0)
        return explain(rc, err);
    rc = plan_again(&run, store_last(store));
    if (rc == STORE_OK && result->outcome == RESTORE_DONE) {
        rc = head_transaction(head, change, &run, user, message, &result->tid);
        if (rc == GIVEN_UP)
            rc = run.code;
        else if (rc < 0)
            rc = explain(rc, err);
    }
    if (rc != STORE_OK)
        restore_touched_release(&result->touched);
    restore_plan_free(run.plan);
    return rc;
}
