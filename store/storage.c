/* The checked wrappers: every call to a storage passes through here, on every layer. What a caller must not do is
 * asserted; what may come from a kernel request, a record or a disk is answered with an error, and so is a result
 * that breaks the contract, because a damaged database can produce one. */
#include "store/storage.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void transaction_release(struct transaction *transaction) {
    free(transaction->user);
    free(transaction->message);
    *transaction = (struct transaction){0};
}

void revision_release(struct revision *revision) {
    free(revision->data);
    *revision = (struct revision){0};
}

void entry_release(struct entry *entry) {
    free(entry->name);
    *entry = (struct entry){0};
}

void entry_list_release(struct entry_list *list) {
    free(list->items);
    free(list->names);
    *list = (struct entry_list){0};
}

static bool is_oid(uint64_t oid) {
    return oid >= 1 && oid <= OID_MAX;
}

#ifndef NDEBUG /* only assertions use it */
static bool is_result(int rc) {
    return rc <= STORE_ABSENT && rc >= STORE_CONFLICT;
}
#endif

/* For operations that never find "nothing". */
static int without_absent(int rc) {
    assert(is_result(rc));
    return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
}

void storage_close(struct storage *storage) {
    if (storage)
        storage->ops->close(storage);
}

int storage_get_state(struct storage *storage, struct storage_state *state) {
    *state = (struct storage_state){0};
    int rc = without_absent(storage->ops->get_state(storage, state));
    if (rc == STORE_OK && (state->next_oid <= ROOT_OID || state->horizon > state->last_seq + 1))
        rc = STORE_CORRUPT;
    return rc;
}

void storage_begin_reads(struct storage *storage) {
    storage->ops->begin_reads(storage);
}

void storage_end_reads(struct storage *storage) {
    storage->ops->end_reads(storage);
}

int storage_load_before(struct storage *storage, uint64_t oid, uint64_t part, uint64_t before,
                        enum load_outcome *outcome, struct revision *revision) {
    assert(part <= INT64_MAX && before >= 1 && before <= SEQ_MAX);
    *revision = (struct revision){.oid = oid, .part = part};
    *outcome = LOAD_NO_OBJECT;
    if (!is_oid(oid))
        return STORE_OK;
    int rc = without_absent(storage->ops->load_before(storage, oid, part, before, outcome, revision));
    if (rc != STORE_OK)
        return rc;
    if (*outcome != LOAD_DATA && *outcome != LOAD_DELETED) {
        assert(!revision->data);
        return STORE_OK;
    }
    bool kept = revision->oid == oid && revision->part == part && revision->seq >= 1 && revision->seq < before &&
                revision->until >= before && (revision->data != NULL) == (*outcome == LOAD_DATA);
    if (!kept) {
        revision_release(revision);
        rc = STORE_CORRUPT;
    }
    return rc;
}

int storage_load_revision(struct storage *storage, uint64_t id, struct revision *revision) {
    *revision = (struct revision){0};
    if (id == 0 || id > INT64_MAX)
        return STORE_ABSENT;
    int rc = storage->ops->load_revision(storage, id, revision);
    assert(is_result(rc));
    if (rc == STORE_OK && (revision->id != id || !is_oid(revision->oid) || revision->until <= revision->seq)) {
        revision_release(revision);
        rc = STORE_CORRUPT;
    }
    return rc;
}

int storage_next_part(struct storage *storage, uint64_t oid, uint64_t from, uint64_t before, uint64_t *part) {
    assert(before >= 1 && before <= SEQ_MAX);
    if (!is_oid(oid) || from > INT64_MAX)
        return STORE_ABSENT;
    int rc = storage->ops->next_part(storage, oid, from, before, part);
    assert(is_result(rc));
    return rc == STORE_OK && *part < from ? STORE_CORRUPT : rc;
}

static bool is_entry_type(uint32_t type) {
    return type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFCHR || type == S_IFBLK ||
           type == S_IFIFO || type == S_IFSOCK;
}

static bool is_entry_name(const char *name, size_t length) {
    return length >= 1 && length <= NAME_BYTES_MAX && !memchr(name, '/', length) && !memchr(name, '\0', length) &&
           !(length == 1 && name[0] == '.') && !(length == 2 && name[0] == '.' && name[1] == '.');
}

static bool is_entry(const struct entry *entry, uint64_t before) {
    return is_oid(entry->oid) && is_oid(entry->parent) && entry->index >= ENTRY_INDEX_FIRST && entry->born < before &&
           entry->died >= before && is_entry_type(entry->type) && is_entry_name(entry->name, entry->name_length);
}

int storage_lookup(struct storage *storage, uint64_t parent, const char *name, size_t length, uint64_t before,
                   struct entry *entry) {
    assert(before >= 1 && before <= SEQ_MAX);
    *entry = (struct entry){0};
    if (!is_oid(parent) || !is_entry_name(name, length))
        return STORE_ABSENT;
    int rc = storage->ops->lookup(storage, parent, name, length, before, entry);
    assert(is_result(rc));
    if (rc == STORE_OK && (!is_entry(entry, before) || entry->parent != parent || entry->name_length != length ||
                           memcmp(entry->name, name, length) != 0)) {
        entry_release(entry);
        rc = STORE_CORRUPT;
    }
    return rc;
}

/* Every entry is one of the directory, visible, and after the one before. */
static int check_list(int rc, uint64_t parent, uint64_t before, struct entry_list *list) {
    for (size_t i = 0; rc == STORE_OK && i < list->count; i++) {
        const struct entry *entry = &list->items[i];
        if (!is_entry(entry, before) || entry->parent != parent || (i > 0 && entry[-1].index >= entry->index)) {
            entry_list_release(list);
            rc = STORE_CORRUPT;
        }
    }
    return rc;
}

int storage_list(struct storage *storage, uint64_t parent, uint64_t before, struct entry_list *list) {
    assert(before >= 1 && before <= SEQ_MAX);
    *list = (struct entry_list){0};
    if (!is_oid(parent))
        return STORE_OK;
    return check_list(without_absent(storage->ops->list(storage, parent, before, list)), parent, before, list);
}

int storage_list_from(struct storage *storage, uint64_t parent, uint64_t before, uint64_t from, size_t most,
                      struct entry_list *list) {
    assert(before >= 1 && before <= SEQ_MAX && most >= 1 && most <= INT64_MAX);
    *list = (struct entry_list){0};
    if (!is_oid(parent) || from > INT64_MAX)
        return STORE_OK;
    int rc = without_absent(storage->ops->list_from(storage, parent, before, from, most, list));
    rc = check_list(rc, parent, before, list);
    if (rc == STORE_OK && list->count > 0 && (list->count > most || list->items[0].index < from)) {
        entry_list_release(list);
        rc = STORE_CORRUPT;
    }
    return rc;
}

int storage_links(struct storage *storage, uint64_t oid, uint64_t before, struct entry_list *list) {
    assert(before >= 1 && before <= SEQ_MAX);
    *list = (struct entry_list){0};
    if (!is_oid(oid))
        return STORE_OK;
    int rc = without_absent(storage->ops->links(storage, oid, before, list));
    for (size_t i = 0; rc == STORE_OK && i < list->count; i++)
        if (!is_entry(&list->items[i], before) || list->items[i].oid != oid) {
            entry_list_release(list);
            rc = STORE_CORRUPT;
        }
    return rc;
}

int storage_named(struct storage *storage, uint64_t parent, const char *name, size_t length, struct entry_list *list) {
    *list = (struct entry_list){0};
    if (!is_oid(parent) || !is_entry_name(name, length))
        return STORE_OK;
    int rc = without_absent(storage->ops->named(storage, parent, name, length, list));
    for (size_t i = 0; rc == STORE_OK && i < list->count; i++) {
        const struct entry *entry = &list->items[i];
        if (!is_entry(entry, entry->died) || entry->parent != parent || entry->name_length != length ||
            memcmp(entry->name, name, length) != 0 || (i > 0 && entry[-1].died > entry->born)) {
            entry_list_release(list);
            rc = STORE_CORRUPT;
        }
    }
    return rc;
}

int storage_subtree(struct storage *storage, uint64_t directory, uint64_t before, struct subtree *subtree) {
    assert(before >= 1 && before <= SEQ_MAX);
    *subtree = (struct subtree){0};
    if (!is_oid(directory))
        return STORE_ABSENT;
    int rc = storage->ops->subtree(storage, directory, before, subtree);
    assert(is_result(rc));
    return rc == STORE_OK && (subtree->seq >= before || subtree->until < before) ? STORE_CORRUPT : rc;
}

int storage_changed(struct storage *storage, uint64_t after_seq, uint64_t until_seq, uint64_t **oids, size_t *count) {
    *oids = NULL;
    *count = 0;
    return without_absent(storage->ops->changed(storage, after_seq, until_seq, oids, count));
}

int storage_revisions_between(struct storage *storage, uint64_t after_seq, uint64_t until_seq, uint64_t *count) {
    *count = 0;
    return without_absent(storage->ops->revisions_between(storage, after_seq, until_seq, count));
}

int storage_body_read(struct storage *storage, const struct body_ref *ref, uint8_t *buffer) {
    if (ref->length == 0 || ref->length > BODY_LIMIT || ref->position > INT64_MAX)
        return STORE_CORRUPT;
    return without_absent(storage->ops->body_read(storage, ref, buffer));
}

int storage_body_append(struct storage *storage, const uint8_t *data, uint32_t length, struct body_ref *ref) {
    assert(length >= 1 && length <= BODY_LIMIT);
    int rc = without_absent(storage->ops->body_append(storage, data, length, ref));
    assert(rc != STORE_OK || (ref->file != 0 && ref->length == length));
    return rc;
}

int storage_body_reserve(struct storage *storage, uint64_t count, uint64_t *first) {
    int rc = without_absent(storage->ops->body_reserve(storage, count, first));
    assert(rc != STORE_OK || *first != 0);
    return rc;
}

static bool is_revision_list(const struct commit *commit) {
    for (size_t i = 0; i < commit->revision_count; i++) {
        const struct new_revision *revision = &commit->revisions[i];
        if (!is_oid(revision->oid) || revision->oid >= commit->next_oid || revision->part > INT64_MAX ||
            revision->length > INT32_MAX)
            return false;
    }
    return true;
}

static bool is_entry_changes(const struct commit *commit) {
    for (size_t i = 0; i < commit->added_count; i++) {
        const struct new_entry *entry = &commit->added[i];
        if (!is_oid(entry->parent) || !is_oid(entry->oid) || entry->oid >= commit->next_oid ||
            entry->index < ENTRY_INDEX_FIRST || entry->index >= INT64_MAX || !is_entry_type(entry->type) ||
            !is_entry_name(entry->name, entry->name_length))
            return false;
    }
    for (size_t i = 0; i < commit->ended_count; i++)
        if (!is_oid(commit->ended[i].parent) || commit->ended[i].index > INT64_MAX)
            return false;
    return true;
}

static bool is_body_list(const struct commit *commit) {
    for (size_t i = 0; i < commit->body_count; i++) {
        const struct new_body *body = &commit->bodies[i];
        if (body->id == 0 || body->id > INT64_MAX || body->length == 0 || body->length > BODY_LIMIT)
            return false;
    }
    return true;
}

int storage_commit(struct storage *storage, const struct commit *commit, struct transaction *done) {
    assert(commit->user && commit->message);
    assert(commit->revisions || commit->revision_count == 0);
    assert(commit->ended || commit->ended_count == 0);
    assert(commit->added || commit->added_count == 0);
    assert(commit->bodies || commit->body_count == 0);
    struct transaction ignored = {0};
    if (!done)
        done = &ignored;
    *done = (struct transaction){0};
    if (strlen(commit->user) > 255 || strlen(commit->message) > MESSAGE_MAX)
        return STORE_TOO_BIG;
    if (commit->base >= SEQ_MAX - 1 || commit->wall.tv_nsec < 0 || commit->wall.tv_nsec > 999999999 ||
        commit->next_oid <= ROOT_OID || commit->next_oid > OID_MAX || !is_revision_list(commit) ||
        !is_entry_changes(commit) || !is_body_list(commit))
        return STORE_INVALID;
    int rc = without_absent(storage->ops->commit(storage, commit, done));
    assert(rc != STORE_OK || (done->seq == commit->base + 1 && done->tid != 0 && done->user && done->message));
    if (rc != STORE_OK || done == &ignored)
        transaction_release(done);
    return rc;
}

int storage_transaction_before(struct storage *storage, uint64_t tid, struct transaction *transaction) {
    *transaction = (struct transaction){0};
    int rc = storage->ops->transaction_before(storage, tid, transaction);
    assert(is_result(rc));
    if (rc == STORE_OK && transaction->tid >= tid) {
        transaction_release(transaction);
        rc = STORE_CORRUPT;
    }
    return rc;
}

int storage_transaction_at(struct storage *storage, uint64_t seq, struct transaction *transaction) {
    *transaction = (struct transaction){0};
    if (seq == 0 || seq > SEQ_MAX)
        return STORE_ABSENT;
    int rc = storage->ops->transaction_at(storage, seq, transaction);
    assert(is_result(rc));
    if (rc == STORE_OK && transaction->seq != seq) {
        transaction_release(transaction);
        rc = STORE_CORRUPT;
    }
    return rc;
}

int storage_touched(struct storage *storage, uint64_t oid, uint64_t before, uint64_t *seq) {
    assert(before >= 1 && before <= SEQ_MAX);
    if (!is_oid(oid))
        return STORE_ABSENT;
    int rc = storage->ops->touched(storage, oid, before, seq);
    assert(is_result(rc));
    return rc == STORE_OK && (*seq == 0 || *seq >= before) ? STORE_CORRUPT : rc;
}

static int check_tag_name(const char *name) {
    size_t length = strlen(name);
    return length == 0 ? STORE_INVALID : length > TAG_NAME_MAX ? STORE_TOO_BIG : STORE_OK;
}

int storage_tag_get(struct storage *storage, const char *name, uint64_t *tid) {
    if (check_tag_name(name) != STORE_OK)
        return STORE_ABSENT;
    int rc = storage->ops->tag_get(storage, name, tid);
    assert(is_result(rc));
    return rc;
}

int storage_tag_set(struct storage *storage, const char *name, uint64_t tid, bool replace) {
    int rc = check_tag_name(name);
    if (rc == STORE_OK && tid > INT64_MAX)
        rc = STORE_INVALID;
    return rc == STORE_OK ? without_absent(storage->ops->tag_set(storage, name, tid, replace)) : rc;
}

int storage_tag_delete(struct storage *storage, const char *name) {
    if (check_tag_name(name) != STORE_OK)
        return STORE_ABSENT;
    int rc = storage->ops->tag_delete(storage, name);
    assert(is_result(rc));
    return rc;
}

int storage_tag_list(struct storage *storage, struct tag **tags, size_t *count) {
    *tags = NULL;
    *count = 0;
    return without_absent(storage->ops->tag_list(storage, tags, count));
}

int storage_space(struct storage *storage, uint64_t *database_bytes, uint64_t *body_bytes) {
    *database_bytes = *body_bytes = 0;
    return without_absent(storage->ops->space(storage, database_bytes, body_bytes));
}

int storage_verify(struct storage *storage, const struct verify_options *options, uint64_t *problems) {
    assert(options->problem);
    *problems = 0;
    return without_absent(storage->ops->verify(storage, options, problems));
}
