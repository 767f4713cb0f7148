/* The fault-injecting layer: the Nth call of an operation fails with a code instead of reaching the storage below. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/storage.h"

struct fault_storage {
    struct storage base;
    struct storage *below;
    pthread_mutex_t mutex; /* guards all below */
    bool active;
    struct storage_fault rule;
    uint64_t count;
};

static const struct storage_ops fault_ops;

static struct fault_storage *fault_of(struct storage *storage) {
    assert(storage->ops == &fault_ops);
    return (struct fault_storage *)storage;
}

static void fault_begin_reads(struct storage *base) {
    storage_begin_reads(fault_of(base)->below);
}

static void fault_end_reads(struct storage *base) {
    storage_end_reads(fault_of(base)->below);
}

/* STORE_OK: pass the call on. */
static int fault(struct storage *base, const char *op) {
    struct fault_storage *storage = fault_of(base);
    int rc = STORE_OK;
    (void)pthread_mutex_lock(&storage->mutex);
    if (storage->active && (!storage->rule.op || strcmp(storage->rule.op, op) == 0)) {
        storage->count++;
        if (storage->count == storage->rule.nth || (storage->rule.sticky && storage->count > storage->rule.nth))
            rc = storage->rule.code;
    }
    (void)pthread_mutex_unlock(&storage->mutex);
    return rc;
}

static void fault_close(struct storage *base) {
    struct fault_storage *storage = fault_of(base);
    storage_close(storage->below);
    (void)pthread_mutex_destroy(&storage->mutex);
    free(storage);
}

/* One operation: its own fault, or the call below. */
#define FAULT_OP(op, parameters, ...)                                                                                  \
    static int fault_##op parameters {                                                                                 \
        int rc = fault(base, #op);                                                                                     \
        return rc == STORE_OK ? storage_##op(fault_of(base)->below, __VA_ARGS__) : rc;                                 \
    }

/* Finding nothing is an answer of these, and no result: what they answer is empty already. */
#define FAULT_ANSWER_OP(op, parameters, ...)                                                                           \
    static int fault_##op parameters {                                                                                 \
        int rc = fault(base, #op);                                                                                     \
        if (rc == STORE_ABSENT)                                                                                        \
            return STORE_OK;                                                                                           \
        return rc == STORE_OK ? storage_##op(fault_of(base)->below, __VA_ARGS__) : rc;                                 \
    }

FAULT_OP(get_state, (struct storage * base, struct storage_state *state), state)
FAULT_ANSWER_OP(load_before,
                (struct storage * base, uint64_t oid, uint64_t part, uint64_t before, enum load_outcome *outcome,
                 struct revision *revision),
                oid, part, before, outcome, revision)
FAULT_OP(load_revision, (struct storage * base, uint64_t id, struct revision *revision), id, revision)
FAULT_OP(next_part, (struct storage * base, uint64_t oid, uint64_t from, uint64_t before, uint64_t *part), oid, from,
         before, part)
FAULT_OP(lookup,
         (struct storage * base, uint64_t parent, const char *name, size_t length, uint64_t before,
          struct entry *entry),
         parent, name, length, before, entry)
FAULT_ANSWER_OP(list, (struct storage * base, uint64_t parent, uint64_t before, struct entry_list *list), parent,
                before, list)
FAULT_ANSWER_OP(list_from,
                (struct storage * base, uint64_t parent, uint64_t before, uint64_t from, size_t most,
                 struct entry_list *list),
                parent, before, from, most, list)
FAULT_ANSWER_OP(links, (struct storage * base, uint64_t oid, uint64_t before, struct entry_list *list), oid, before,
                list)
FAULT_ANSWER_OP(named,
                (struct storage * base, uint64_t parent, const char *name, size_t length, struct entry_list *list),
                parent, name, length, list)
FAULT_OP(subtree, (struct storage * base, uint64_t directory, uint64_t before, struct subtree *subtree), directory,
         before, subtree)
FAULT_OP(changed, (struct storage * base, uint64_t after_seq, uint64_t until_seq, uint64_t **oids, size_t *count),
         after_seq, until_seq, oids, count)
FAULT_OP(revisions_between, (struct storage * base, uint64_t after_seq, uint64_t until_seq, uint64_t *count), after_seq,
         until_seq, count)
FAULT_OP(body_read, (struct storage * base, const struct body_ref *ref, uint8_t *buffer), ref, buffer)
FAULT_OP(body_append, (struct storage * base, const uint8_t *data, uint32_t length, struct body_ref *ref), data, length,
         ref)
FAULT_OP(body_reserve, (struct storage * base, uint64_t count, uint64_t *first), count, first)
FAULT_OP(commit, (struct storage * base, const struct commit *commit, struct transaction *done), commit, done)
FAULT_OP(transaction_before, (struct storage * base, uint64_t tid, struct transaction *transaction), tid, transaction)
FAULT_OP(transaction_at, (struct storage * base, uint64_t seq, struct transaction *transaction), seq, transaction)
FAULT_OP(touched, (struct storage * base, uint64_t oid, uint64_t before, uint64_t *seq), oid, before, seq)
FAULT_OP(tag_get, (struct storage * base, const char *name, uint64_t *tid), name, tid)
FAULT_OP(tag_set, (struct storage * base, const char *name, uint64_t tid, bool replace), name, tid, replace)
FAULT_OP(tag_delete, (struct storage * base, const char *name), name)
FAULT_OP(tag_list, (struct storage * base, struct tag **tags, size_t *count), tags, count)
FAULT_OP(space, (struct storage * base, uint64_t *database_bytes, uint64_t *body_bytes), database_bytes, body_bytes)
FAULT_OP(verify, (struct storage * base, const struct verify_options *options, uint64_t *problems), options, problems)

static const struct storage_ops fault_ops = {
    .name = "fault",
    .close = fault_close,
    .begin_reads = fault_begin_reads,
    .end_reads = fault_end_reads,
    .get_state = fault_get_state,
    .load_before = fault_load_before,
    .load_revision = fault_load_revision,
    .next_part = fault_next_part,
    .lookup = fault_lookup,
    .list = fault_list,
    .list_from = fault_list_from,
    .links = fault_links,
    .named = fault_named,
    .subtree = fault_subtree,
    .changed = fault_changed,
    .revisions_between = fault_revisions_between,
    .body_read = fault_body_read,
    .body_append = fault_body_append,
    .body_reserve = fault_body_reserve,
    .commit = fault_commit,
    .transaction_before = fault_transaction_before,
    .transaction_at = fault_transaction_at,
    .touched = fault_touched,
    .tag_get = fault_tag_get,
    .tag_set = fault_tag_set,
    .tag_delete = fault_tag_delete,
    .tag_list = fault_tag_list,
    .space = fault_space,
    .verify = fault_verify,
};

int storage_fault_open(struct storage *below, struct storage **out) {
    struct fault_storage *storage = calloc(1, sizeof *storage);
    if (!storage || pthread_mutex_init(&storage->mutex, NULL) != 0) {
        free(storage);
        return STORE_NO_MEMORY;
    }
    storage->base.ops = &fault_ops;
    storage->below = below;
    *out = &storage->base;
    return STORE_OK;
}

void storage_fault_set(struct storage *base, const struct storage_fault *rule) {
    struct fault_storage *storage = fault_of(base);
    (void)pthread_mutex_lock(&storage->mutex);
    storage->active = rule != NULL;
    storage->rule = rule ? *rule : (struct storage_fault){0};
    storage->count = 0;
    (void)pthread_mutex_unlock(&storage->mutex);
}

uint64_t storage_fault_count(const struct storage *base) {
    assert(base->ops == &fault_ops);
    struct fault_storage *storage =
        (struct fault_storage *)(uintptr_t)base; /* the mutex changes, what is seen does not */
    (void)pthread_mutex_lock(&storage->mutex);
    uint64_t count = storage->count;
    (void)pthread_mutex_unlock(&storage->mutex);
    return count;
}
