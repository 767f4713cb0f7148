#include "tests/damage.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "store/record.h"

static uint64_t mix(uint64_t hash, const void *bytes, size_t length) {
    return XXH3_64bits_withSeed(bytes, length, hash);
}

static uint64_t mix_number(uint64_t hash, uint64_t number) {
    return mix(hash, &number, sizeof number);
}

static uint64_t mix_text(uint64_t hash, const char *text) {
    return mix(hash, text, strlen(text));
}

/* What was true at the instant; not what came later. */
static uint64_t mix_entry(uint64_t hash, const struct entry *entry) {
    hash = mix_number(hash, entry->parent);
    hash = mix_number(hash, entry->index);
    hash = mix_number(hash, entry->oid);
    hash = mix_number(hash, entry->born);
    hash = mix_number(hash, entry->type);
    return mix(hash, entry->name, entry->name_length);
}

static uint64_t mix_list(uint64_t hash, struct entry_list *list) {
    hash = mix_number(hash, list->count);
    for (size_t i = 0; i < list->count; i++)
        hash = mix_entry(hash, &list->items[i]);
    entry_list_release(list);
    return hash;
}

static uint64_t mix_transaction(uint64_t hash, struct transaction *transaction) {
    hash = mix_number(hash, transaction->seq);
    hash = mix_number(hash, transaction->tid);
    hash = mix_number(hash, transaction->base);
    hash = mix_number(hash, (uint64_t)transaction->wall.tv_sec);
    hash = mix_number(hash, transaction->object_count);
    hash = mix_text(hash, transaction->user);
    hash = mix_text(hash, transaction->message);
    transaction_release(transaction);
    return hash;
}

static int mix_content(struct storage *storage, const uint8_t *data, size_t length, uint64_t *hash) {
    static uint8_t body[BODY_LIMIT];
    struct chunk chunk;
    int rc = chunk_decode(data, length, &chunk);
    if (rc != STORE_OK)
        return rc;
    for (size_t i = 0; i < chunk.count && rc == STORE_OK; i++) {
        rc = storage_body_read(storage, &chunk.extents[i].body, body);
        if (rc == STORE_OK)
            *hash = mix(*hash, body + chunk.extents[i].skip, chunk.extents[i].length);
    }
    chunk_release(&chunk);
    return rc;
}

static int ask_load(struct storage *storage, const struct question *question, uint64_t *hash) {
    enum load_outcome outcome;
    struct revision revision = {0};
    int rc = storage_load_before(storage, question->oid, question->part, question->before, &outcome, &revision);
    if (rc != STORE_OK)
        return rc;
    /* Whether what is not there yet will ever be is no part of the state at the
   * instant. */
    *hash = mix_number(*hash, outcome == LOAD_NOT_YET ? LOAD_NO_OBJECT : outcome);
    if (outcome == LOAD_DELETED || outcome == LOAD_DATA)
        *hash = mix_number(*hash, revision.seq);
    if (outcome != LOAD_DATA)
        return STORE_OK;
    *hash = mix(*hash, revision.data, revision.length);
    *hash = mix_number(*hash, revision.id);
    if (question->kind == ASK_CONTENT)
        rc = mix_content(storage, revision.data, revision.length, hash);
    revision_release(&revision);
    return rc;
}

static int ask_lookup(struct storage *storage, const struct question *question, uint64_t *hash) {
    struct entry entry;
    int rc = storage_lookup(storage, question->oid, question->name, strlen(question->name), question->before, &entry);
    if (rc == STORE_OK) {
        *hash = mix_entry(*hash, &entry);
        entry_release(&entry);
    }
    return rc;
}

static int ask_transaction(struct storage *storage, const struct question *question, uint64_t *hash) {
    struct transaction transaction;
    int rc = storage_transaction_at(storage, question->before - 1, &transaction);
    if (rc != STORE_OK)
        return rc;
    uint64_t tid = transaction.tid;
    *hash = mix_transaction(*hash, &transaction);
    rc = storage_transaction_before(storage, tid + 1, &transaction);
    if (rc == STORE_OK)
        *hash = mix_transaction(*hash, &transaction);
    return rc;
}

static int ask_tags(struct storage *storage, uint64_t *hash) {
    struct tag *tags;
    size_t count;
    int rc = storage_tag_list(storage, &tags, &count);
    if (rc != STORE_OK) {
        free(tags);
        return rc;
    }
    for (size_t i = 0; i < count; i++)
        *hash = mix_number(mix_text(*hash, tags[i].name), tags[i].tid);
    *hash = mix_number(*hash, count);
    free(tags);
    return STORE_OK;
}

static int ask_changed(struct storage *storage, const struct question *question, uint64_t *hash) {
    uint64_t *oids;
    size_t count;
    int rc = storage_changed(storage, question->before - 2, question->before - 1, &oids, &count);
    if (rc != STORE_OK)
        return rc;
    *hash = mix_number(*hash, count);
    *hash = mix(*hash, oids, count * sizeof *oids);
    free(oids);
    return STORE_OK;
}

/* A negative error, or STORE_OK with what is the same for the same answer,
 * absence included. */
static int ask(struct storage *storage, const struct question *question, uint64_t *hash) {
    struct entry_list list = {0};
    struct subtree subtree;
    uint64_t number;
    int rc = STORE_INVALID;
    *hash = 1;
    switch (question->kind) {
    case ASK_LOAD:
    case ASK_CONTENT:
        rc = ask_load(storage, question, hash);
        break;
    case ASK_LOOKUP:
        rc = ask_lookup(storage, question, hash);
        break;
    case ASK_LIST:
        rc = storage_list(storage, question->oid, question->before, &list);
        if (rc == STORE_OK)
            *hash = mix_list(*hash, &list);
        break;
    case ASK_LINKS:
        rc = storage_links(storage, question->oid, question->before, &list);
        if (rc == STORE_OK)
            *hash = mix_list(*hash, &list);
        break;
    case ASK_SUBTREE:
        rc = storage_subtree(storage, question->oid, question->before, &subtree);
        if (rc == STORE_OK)
            *hash = mix_number(mix_number(*hash, subtree.id), subtree.seq);
        break;
    case ASK_TOUCHED:
        rc = storage_touched(storage, question->oid, question->before, &number);
        if (rc == STORE_OK)
            *hash = mix_number(*hash, number);
        break;
    case ASK_CHANGED:
        rc = ask_changed(storage, question, hash);
        break;
    case ASK_TRANSACTION:
        rc = ask_transaction(storage, question, hash);
        break;
    case ASK_TAG:
        rc = storage_tag_get(storage, question->name, &number);
        if (rc == STORE_OK)
            *hash = mix_number(*hash, number);
        break;
    case ASK_TAGS:
        rc = ask_tags(storage, hash);
        break;
    }
    if (rc == STORE_ABSENT)
        *hash = 0;
    return rc < 0 ? rc : STORE_OK;
}

static void add(struct questions *questions, struct storage *storage, struct question question) {
    if (questions->count == questions->capacity) {
        questions->capacity = questions->capacity ? questions->capacity * 2 : 256;
        questions->items = reallocarray(questions->items, questions->capacity, sizeof *questions->items);
        assert_non_null(questions->items);
    }
    assert_int_equal(ask(storage, &question, &question.answer), STORE_OK);
    questions->items[questions->count++] = question;
}

void questions_make(struct questions *questions, struct storage *storage, uint64_t oids, const char *const *names,
                    size_t name_count) {
    static const uint64_t parts[] = {PART_INODE, PART_XATTRS, PART_CHUNK + 1};
    struct storage_state state;
    *questions = (struct questions){0};
    assert_int_equal(storage_get_state(storage, &state), STORE_OK);
    questions->last = state.last_seq;
    for (uint64_t before = 1; before <= state.last_seq + 1; before++) {
        for (uint64_t oid = ROOT_OID; oid <= oids; oid++) {
            for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
                add(questions, storage,
                    (struct question){.kind = ASK_LOAD, .oid = oid, .part = parts[i], .before = before});
            add(questions, storage,
                (struct question){.kind = ASK_CONTENT, .oid = oid, .part = PART_CHUNK, .before = before});
            for (enum question_kind kind = ASK_LIST; kind <= ASK_TOUCHED; kind++)
                add(questions, storage, (struct question){.kind = kind, .oid = oid, .before = before});
            if (oid <= 4) /* directories, and what is none */
                for (size_t i = 0; i < name_count; i++)
                    add(questions, storage,
                        (struct question){.kind = ASK_LOOKUP, .oid = oid, .name = names[i], .before = before});
        }
        if (before > 1)
            for (enum question_kind kind = ASK_CHANGED; kind <= ASK_TRANSACTION; kind++)
                add(questions, storage, (struct question){.kind = kind, .before = before});
    }
    for (size_t i = 0; i < name_count; i++)
        add(questions, storage, (struct question){.kind = ASK_TAG, .name = names[i]});
    add(questions, storage, (struct question){.kind = ASK_TAGS});
}

void questions_release(struct questions *questions) {
    free(questions->items);
    *questions = (struct questions){0};
}

struct answers questions_ask(const struct questions *questions, struct storage *storage, uint64_t last) {
    struct answers answers = {0};
    for (size_t i = 0; i < questions->count; i++) {
        const struct question *question = &questions->items[i];
        uint64_t answer;
        if (question->before > last + 1 || (question->before == 0 && last < questions->last))
            continue; /* tags belong to no instant */
        int rc = ask(storage, question, &answer);
        if (rc == STORE_OK && answer == question->answer) {
            answers.right++;
        } else if (rc == STORE_OK) {
            if (answers.wrong++ == 0)
                answers.first_wrong = *question;
        } else {
            answers.refused++;
            if (!store_error_is_damage(rc)) {
                answers.other_error = true;
                answers.other = rc;
            }
        }
    }
    return answers;
}

bool questions_refused(struct storage *storage, uint64_t oid, uint64_t before) {
    const struct question inode = {.kind = ASK_LOAD, .oid = oid, .part = PART_INODE, .before = before};
    const struct question content = {.kind = ASK_CONTENT, .oid = oid, .part = PART_CHUNK, .before = before};
    uint64_t answer;
    return ask(storage, &inode, &answer) < 0 || ask(storage, &content, &answer) < 0;
}

const char *question_text(const struct question *question) {
    static const char *const kinds[] = {"load",    "content", "lookup",      "list", "links", "subtree",
                                        "touched", "changed", "transaction", "tag",  "tags"};
    static char text[160];
    (void)snprintf(text, sizeof text, "%s of oid %" PRIu64 " part %" PRIu64 " name %s before %" PRIu64,
                   kinds[question->kind], question->oid, question->part, question->name ? question->name : "-",
                   question->before);
    return text;
}
