/* The checked wrappers of store/storage.h: a storage whose answers break the contract is told apart from one that keeps it, whatever it is that
 * it makes up, and what no storage should be asked never reaches it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/storage.h"

#define DIRECTORY 7
#define BEFORE    10

/* Answers what it is told to, and counts how often it was asked. */
struct liar {
    struct storage base;
    unsigned asked;
    int rc;
    struct storage_state state;
    struct revision revision;
    enum load_outcome outcome;
    struct entry entries[2];
    size_t entry_count;
    struct subtree subtree;
    struct transaction transaction;
    uint64_t part, seq;
};

static struct liar *liar_of(struct storage *storage) {
    struct liar *liar = (struct liar *)storage;
    liar->asked++;
    return liar;
}

static struct revision copy_revision(const struct revision *revision) {
    struct revision copy = *revision;
    if (copy.data) {
        copy.data = malloc(copy.length + 1);
        assert_non_null(copy.data);
        memcpy(copy.data, revision->data, copy.length);
    }
    return copy;
}

static int liar_get_state(struct storage *storage, struct storage_state *state) {
    *state = liar_of(storage)->state;
    return STORE_OK;
}

static int liar_load_before(struct storage *storage, uint64_t oid, uint64_t part, uint64_t before,
                            enum load_outcome *outcome, struct revision *revision) {
    struct liar *liar = liar_of(storage);
    (void)oid;
    (void)part;
    (void)before;
    *outcome = liar->outcome;
    *revision = copy_revision(&liar->revision);
    return STORE_OK;
}

static int liar_load_revision(struct storage *storage, uint64_t id, struct revision *revision) {
    (void)id;
    *revision = copy_revision(&liar_of(storage)->revision);
    return STORE_OK;
}

static int liar_next_part(struct storage *storage, uint64_t oid, uint64_t from, uint64_t before, uint64_t *part) {
    (void)oid;
    (void)from;
    (void)before;
    *part = liar_of(storage)->part;
    return STORE_OK;
}

static int liar_lookup(struct storage *storage, uint64_t parent, const char *name, size_t length, uint64_t before,
                       struct entry *entry) {
    struct liar *liar = liar_of(storage);
    (void)parent;
    (void)name;
    (void)length;
    (void)before;
    *entry = liar->entries[0];
    entry->name = calloc(1, 2 * NAME_BYTES_MAX); /* a lie about the length stays inside */
    assert_non_null(entry->name);
    strcpy(entry->name, liar->entries[0].name);
    return STORE_OK;
}

static int answer_list(struct storage *storage, struct entry_list *list) {
    const struct liar *liar = liar_of(storage);
    char *end;
    list->items = calloc(2, sizeof *list->items);
    list->names = end = calloc(1, 1024);
    list->count = liar->entry_count;
    assert_non_null(list->items);
    assert_non_null(list->names);
    for (size_t i = 0; i < list->count; i++) {
        list->items[i] = liar->entries[i];
        list->items[i].name = end;
        end = stpcpy(end, liar->entries[i].name) + 1;
    }
    return liar->rc;
}

static int liar_list(struct storage *storage, uint64_t parent, uint64_t before, struct entry_list *list) {
    (void)parent;
    (void)before;
    return answer_list(storage, list);
}

static int liar_list_from(struct storage *storage, uint64_t parent, uint64_t before, uint64_t from, size_t most,
                          struct entry_list *list) {
    (void)parent;
    (void)before;
    (void)from;
    (void)most;
    return answer_list(storage, list);
}

static int liar_named(struct storage *storage, uint64_t parent, const char *name, size_t length,
                      struct entry_list *list) {
    (void)parent;
    (void)name;
    (void)length;
    return answer_list(storage, list);
}

static int liar_subtree(struct storage *storage, uint64_t directory, uint64_t before, struct subtree *subtree) {
    (void)directory;
    (void)before;
    *subtree = liar_of(storage)->subtree;
    return STORE_OK;
}

static int liar_transaction(struct storage *storage, uint64_t key, struct transaction *transaction) {
    (void)key;
    *transaction = liar_of(storage)->transaction;
    transaction->user = strdup("");
    transaction->message = strdup("");
    return STORE_OK;
}

static int liar_touched(struct storage *storage, uint64_t oid, uint64_t before, uint64_t *seq) {
    (void)oid;
    (void)before;
    *seq = liar_of(storage)->seq;
    return STORE_OK;
}

static const struct storage_ops liar_ops = {
    .name = "liar",
    .get_state = liar_get_state,
    .load_before = liar_load_before,
    .load_revision = liar_load_revision,
    .next_part = liar_next_part,
    .lookup = liar_lookup,
    .list = liar_list,
    .list_from = liar_list_from,
    .links = liar_list,
    .named = liar_named,
    .subtree = liar_subtree,
    .transaction_before = liar_transaction,
    .transaction_at = liar_transaction,
    .touched = liar_touched,
};

static uint8_t bytes[] = "abc";
static char first_name[] = "name", second_name[] = "other", near_name[] = "nama", long_name[] = "names";

static struct entry make_entry(uint64_t index, char *name) {
    return (struct entry){.parent = DIRECTORY,
                          .index = index,
                          .oid = 9,
                          .born = 3,
                          .died = UINT64_MAX,
                          .type = S_IFREG,
                          .name = name,
                          .name_length = (uint32_t)strlen(name)};
}

/* All answers true. */
static struct liar make_honest(void) {
    return (struct liar){
        .base = {.ops = &liar_ops},
        .state = {.last_seq = 9, .last_tid = 99, .next_oid = 20, .format = 1},
        .revision = {.id = 5, .oid = 9, .part = 2, .seq = 3, .until = 12, .data = bytes, .length = 3},
        .outcome = LOAD_DATA,
        .entries = {make_entry(4, first_name), make_entry(6, second_name)},
        .entry_count = 2,
        .subtree = {.id = 4, .seq = 8, .until = 12},
        .transaction = {.seq = 6, .tid = 60},
        .part = 3,
        .seq = 8,
    };
}

/* ---- states, revisions, marks, transactions ---- */

static void test_storage__a_state_that_cannot_be_is_corrupt(void **state) {
    struct liar liar = make_honest();
    struct storage_state got;
    (void)state;
    assert_int_equal(storage_get_state(&liar.base, &got), STORE_OK);
    liar.state.next_oid = ROOT_OID;
    assert_int_equal(storage_get_state(&liar.base, &got), STORE_CORRUPT);
    liar = make_honest();
    liar.state.horizon = liar.state.last_seq + 1;
    assert_int_equal(storage_get_state(&liar.base, &got), STORE_OK);
    liar.state.horizon++;
    assert_int_equal(storage_get_state(&liar.base, &got), STORE_CORRUPT);
}

static int load(struct liar *liar) {
    struct revision revision;
    enum load_outcome outcome;
    int rc = storage_load_before(&liar->base, 9, 2, BEFORE, &outcome, &revision);
    if (rc == STORE_OK)
        revision_release(&revision);
    else
        assert_null(revision.data);
    return rc;
}

static void test_storage__a_load_of_something_else_is_corrupt(void **state) {
    static const struct revision lies[] = {
        {.id = 5, .oid = 8, .part = 2, .seq = 3, .until = 12, .data = bytes, .length = 3},
        {.id = 5, .oid = 9, .part = 1, .seq = 3, .until = 12, .data = bytes, .length = 3},
        {.id = 5, .oid = 9, .part = 2, .seq = 0, .until = 12, .data = bytes, .length = 3},
        {.id = 5, .oid = 9, .part = 2, .seq = BEFORE, .until = 12, .data = bytes, .length = 3},
        {.id = 5, .oid = 9, .part = 2, .seq = 3, .until = BEFORE - 1, .data = bytes, .length = 3},
        {.id = 5, .oid = 9, .part = 2, .seq = 3, .until = 12},
    };
    (void)state;
    struct liar liar = make_honest();
    assert_int_equal(load(&liar), STORE_OK);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        liar.revision = lies[i];
        assert_int_equal(load(&liar), STORE_CORRUPT);
    }
    liar = make_honest();
    liar.outcome = LOAD_DELETED; /* with data */
    assert_int_equal(load(&liar), STORE_CORRUPT);
    liar.revision.data = NULL;
    assert_int_equal(load(&liar), STORE_OK);
}

static void test_storage__a_revision_of_another_id_is_corrupt(void **state) {
    struct liar liar = make_honest();
    struct revision revision;
    (void)state;
    assert_int_equal(storage_load_revision(&liar.base, 5, &revision), STORE_OK);
    revision_release(&revision);
    assert_int_equal(storage_load_revision(&liar.base, 6, &revision), STORE_CORRUPT);
    liar.revision.oid = 0;
    assert_int_equal(storage_load_revision(&liar.base, 5, &revision), STORE_CORRUPT);
    liar.revision.oid = OID_MAX + 1;
    assert_int_equal(storage_load_revision(&liar.base, 5, &revision), STORE_CORRUPT);
    liar = make_honest();
    liar.revision.until = liar.revision.seq;
    assert_int_equal(storage_load_revision(&liar.base, 5, &revision), STORE_CORRUPT);
    assert_null(revision.data);
}

static void test_storage__places_outside_of_what_was_asked_are_corrupt(void **state) {
    struct liar liar = make_honest();
    struct subtree subtree;
    struct transaction transaction;
    uint64_t found;
    (void)state;
    assert_int_equal(storage_next_part(&liar.base, 9, 3, BEFORE, &found), STORE_OK);
    assert_int_equal(storage_next_part(&liar.base, 9, 4, BEFORE, &found), STORE_CORRUPT);

    assert_int_equal(storage_subtree(&liar.base, DIRECTORY, BEFORE, &subtree), STORE_OK);
    assert_int_equal(storage_subtree(&liar.base, DIRECTORY, 8, &subtree), STORE_CORRUPT);
    assert_int_equal(storage_subtree(&liar.base, DIRECTORY, 13, &subtree), STORE_CORRUPT);

    assert_int_equal(storage_touched(&liar.base, 9, BEFORE, &found), STORE_OK);
    assert_int_equal(storage_touched(&liar.base, 9, 8, &found), STORE_CORRUPT);
    liar.seq = 0;
    assert_int_equal(storage_touched(&liar.base, 9, BEFORE, &found), STORE_CORRUPT);

    assert_int_equal(storage_transaction_before(&liar.base, 61, &transaction), STORE_OK);
    transaction_release(&transaction);
    assert_int_equal(storage_transaction_before(&liar.base, 60, &transaction), STORE_CORRUPT);
    assert_null(transaction.user);
    assert_int_equal(storage_transaction_at(&liar.base, 6, &transaction), STORE_OK);
    transaction_release(&transaction);
    assert_int_equal(storage_transaction_at(&liar.base, 7, &transaction), STORE_CORRUPT);
    assert_null(transaction.user);
}

/* ---- entries ---- */

/* What the four ways to entries say of the liar's. */
struct said {
    int lookup, list, list_from, links, named;
};

static struct said ask_entries(struct liar *liar) {
    struct said said;
    struct entry entry;
    struct entry_list list;
    said.lookup = storage_lookup(&liar->base, DIRECTORY, "name", 4, BEFORE, &entry);
    if (said.lookup == STORE_OK)
        entry_release(&entry);
    assert_null(entry.name);
    said.list = storage_list(&liar->base, DIRECTORY, BEFORE, &list);
    entry_list_release(&list);
    said.list_from = storage_list_from(&liar->base, DIRECTORY, BEFORE, 4, 2, &list);
    entry_list_release(&list);
    said.links = storage_links(&liar->base, 9, BEFORE, &list);
    entry_list_release(&list);
    liar->entry_count = 1;
    said.named = storage_named(&liar->base, DIRECTORY, "name", 4, &list);
    entry_list_release(&list);
    return said;
}

static void test_storage__entries_that_cannot_be_are_corrupt(void **state) {
    static const struct {
        struct entry entry;
        const char *name;
    } lies[] = {
        {{.parent = DIRECTORY, .index = 4, .oid = 0, .born = 3, .died = UINT64_MAX, .type = S_IFREG}, "name"},
        {{.parent = DIRECTORY, .index = 4, .oid = OID_MAX + 1, .born = 3, .died = UINT64_MAX, .type = S_IFREG}, "name"},
        {{.parent = 0, .index = 4, .oid = 9, .born = 3, .died = UINT64_MAX, .type = S_IFREG}, "name"},
        {{.parent = DIRECTORY, .index = 2, .oid = 9, .born = 3, .died = UINT64_MAX, .type = S_IFREG}, "name"},
        {{.parent = DIRECTORY, .index = 4, .oid = 9, .born = 3, .died = UINT64_MAX, .type = 0}, "name"},
        {{.parent = DIRECTORY, .index = 4, .oid = 9, .born = 3, .died = UINT64_MAX, .type = S_IFREG}, "a/b"},
        {{.parent = DIRECTORY, .index = 4, .oid = 9, .born = 3, .died = UINT64_MAX, .type = S_IFREG}, "."},
        {{.parent = DIRECTORY, .index = 4, .oid = 9, .born = 3, .died = UINT64_MAX, .type = S_IFREG}, ".."},
        {{.parent = DIRECTORY, .index = 4, .oid = 9, .born = 3, .died = UINT64_MAX, .type = S_IFREG}, ""},
    };
    (void)state;
    struct liar liar = make_honest();
    struct said said = ask_entries(&liar);
    assert_memory_equal(&said, &(struct said){0}, sizeof said);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        char name[8];
        liar = make_honest();
        liar.entries[0] = lies[i].entry;
        liar.entries[0].name = strcpy(name, lies[i].name);
        liar.entries[0].name_length = (uint32_t)strlen(name);
        said = ask_entries(&liar);
        assert_int_equal(said.lookup, STORE_CORRUPT);
        assert_int_equal(said.list, STORE_CORRUPT);
        assert_int_equal(said.list_from, STORE_CORRUPT);
        assert_int_equal(said.links, STORE_CORRUPT);
        assert_int_equal(said.named, STORE_CORRUPT);
    }
    /* A NUL in the name, and a name longer than any. */
    liar = make_honest();
    liar.entries[0].name_length = 5;
    assert_int_equal(ask_entries(&liar).list, STORE_CORRUPT);
    liar.entries[0].name_length = NAME_BYTES_MAX + 1;
    assert_int_equal(ask_entries(&liar).list, STORE_CORRUPT);
}

static void test_storage__entries_of_another_time_are_corrupt(void **state) {
    (void)state;
    struct liar liar = make_honest();
    liar.entries[0].born = BEFORE;
    struct said said = ask_entries(&liar);
    assert_int_equal(said.lookup, STORE_CORRUPT);
    assert_int_equal(said.list, STORE_CORRUPT);
    assert_int_equal(said.links, STORE_CORRUPT);
    assert_int_equal(said.named, STORE_OK); /* of all times */
    liar = make_honest();
    liar.entries[0].died = BEFORE - 1;
    said = ask_entries(&liar);
    assert_int_equal(said.lookup, STORE_CORRUPT);
    assert_int_equal(said.list, STORE_CORRUPT);
    assert_int_equal(said.named, STORE_OK);
    liar.entries[0].died = liar.entries[0].born;
    assert_int_equal(ask_entries(&liar).named, STORE_CORRUPT);
}

static void test_storage__entries_of_something_else_are_corrupt(void **state) {
    (void)state;
    struct liar liar = make_honest();
    liar.entries[0].parent = DIRECTORY + 1;
    struct said said = ask_entries(&liar);
    assert_int_equal(said.lookup, STORE_CORRUPT);
    assert_int_equal(said.list, STORE_CORRUPT);
    assert_int_equal(said.links, STORE_OK);
    assert_int_equal(said.named, STORE_CORRUPT);
    liar = make_honest();
    liar.entries[1].oid = 10;
    said = ask_entries(&liar);
    assert_int_equal(said.list, STORE_OK);
    assert_int_equal(said.links, STORE_CORRUPT);
    liar = make_honest();
    liar.entries[0].name = near_name;
    said = ask_entries(&liar);
    assert_int_equal(said.lookup, STORE_CORRUPT);
    assert_int_equal(said.named, STORE_CORRUPT);
    liar.entries[0].name = long_name;
    liar.entries[0].name_length = 5;
    said = ask_entries(&liar);
    assert_int_equal(said.lookup, STORE_CORRUPT);
    assert_int_equal(said.named, STORE_CORRUPT);
}

static void test_storage__lists_out_of_order_or_too_long_are_corrupt(void **state) {
    struct entry_list list;
    (void)state;
    struct liar liar = make_honest();
    liar.entries[1].index = liar.entries[0].index;
    assert_int_equal(ask_entries(&liar).list, STORE_CORRUPT);

    liar = make_honest();
    assert_int_equal(storage_list_from(&liar.base, DIRECTORY, BEFORE, 4, 1, &list), STORE_CORRUPT);
    assert_int_equal(storage_list_from(&liar.base, DIRECTORY, BEFORE, 5, 2, &list), STORE_CORRUPT);
    assert_null(list.items);
    liar.entry_count = 0;
    assert_int_equal(storage_list_from(&liar.base, DIRECTORY, BEFORE, 5, 2, &list), STORE_OK);
    entry_list_release(&list);

    /* Two lives of a name that overlap. */
    liar = make_honest();
    liar.entries[1] = liar.entries[0];
    liar.entries[0].died = 5;
    liar.entries[1].born = 5;
    assert_int_equal(storage_named(&liar.base, DIRECTORY, "name", 4, &list), STORE_OK);
    entry_list_release(&list);
    liar.entries[1].born = 4;
    assert_int_equal(storage_named(&liar.base, DIRECTORY, "name", 4, &list), STORE_CORRUPT);
    assert_null(list.items);
}

static void test_storage__nothing_found_is_no_answer_of_a_list(void **state) {
    struct entry_list list;
    (void)state;
    struct liar liar = make_honest();
    liar.entry_count = 0;
    liar.rc = STORE_ABSENT;
    assert_int_equal(storage_list(&liar.base, DIRECTORY, BEFORE, &list), STORE_CORRUPT);
    entry_list_release(&list);
}

/* ---- what is not asked ---- */

static void test_storage__what_cannot_exist_is_not_looked_for(void **state) {
    static const uint64_t no_oids[] = {0, OID_MAX + 1};
    struct liar liar = make_honest();
    struct revision revision;
    enum load_outcome outcome;
    struct entry entry;
    struct entry_list list;
    struct subtree subtree;
    struct transaction transaction;
    uint64_t found;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint64_t none = no_oids[i];
        assert_int_equal(storage_load_before(&liar.base, none, 0, BEFORE, &outcome, &revision), STORE_OK);
        assert_int_equal(outcome, LOAD_NO_OBJECT);
        assert_int_equal(storage_next_part(&liar.base, none, 0, BEFORE, &found), STORE_ABSENT);
        assert_int_equal(storage_lookup(&liar.base, none, "name", 4, BEFORE, &entry), STORE_ABSENT);
        assert_int_equal(storage_list(&liar.base, none, BEFORE, &list), STORE_OK);
        assert_int_equal(list.count, 0);
        assert_int_equal(storage_list_from(&liar.base, none, BEFORE, 3, 2, &list), STORE_OK);
        assert_int_equal(storage_links(&liar.base, none, BEFORE, &list), STORE_OK);
        assert_int_equal(storage_named(&liar.base, none, "name", 4, &list), STORE_OK);
        assert_int_equal(list.count, 0);
        assert_int_equal(storage_subtree(&liar.base, none, BEFORE, &subtree), STORE_ABSENT);
        assert_int_equal(storage_touched(&liar.base, none, BEFORE, &found), STORE_ABSENT);
    }
    assert_int_equal(storage_next_part(&liar.base, 9, UINT64_MAX, BEFORE, &found), STORE_ABSENT);
    assert_int_equal(storage_list_from(&liar.base, DIRECTORY, BEFORE, UINT64_MAX, 2, &list), STORE_OK);
    assert_int_equal(storage_load_revision(&liar.base, 0, &revision), STORE_ABSENT);
    assert_int_equal(storage_load_revision(&liar.base, UINT64_MAX, &revision), STORE_ABSENT);
    assert_int_equal(storage_transaction_at(&liar.base, 0, &transaction), STORE_ABSENT);
    assert_int_equal(storage_transaction_at(&liar.base, SEQ_MAX + 1, &transaction), STORE_ABSENT);
    assert_int_equal(storage_lookup(&liar.base, DIRECTORY, "a/b", 3, BEFORE, &entry), STORE_ABSENT);
    assert_int_equal(storage_named(&liar.base, DIRECTORY, "..", 2, &list), STORE_OK);
    assert_int_equal(liar.asked, 0);
}

static void test_storage__references_that_cannot_be_are_corrupt(void **state) {
    static const struct body_ref lies[] = {
        {.file = 1, .position = 0, .length = 0},
        {.file = 1, .position = 0, .length = BODY_LIMIT + 1},
        {.file = 1, .position = UINT64_MAX, .length = 1},
    };
    struct liar liar = make_honest();
    uint8_t buffer[8];
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        assert_int_equal(storage_body_read(&liar.base, &lies[i], buffer), STORE_CORRUPT);
    assert_int_equal(liar.asked, 0);
}

static void test_storage__tags_without_a_name_are_not_asked_for(void **state) {
    struct liar liar = make_honest();
    char name[TAG_NAME_MAX + 2];
    uint64_t tid;
    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(storage_tag_get(&liar.base, "", &tid), STORE_ABSENT);
    assert_int_equal(storage_tag_get(&liar.base, name, &tid), STORE_ABSENT);
    assert_int_equal(storage_tag_delete(&liar.base, ""), STORE_ABSENT);
    assert_int_equal(storage_tag_set(&liar.base, "", 1, false), STORE_INVALID);
    assert_int_equal(storage_tag_set(&liar.base, name, 1, false), STORE_TOO_BIG);
    assert_int_equal(storage_tag_set(&liar.base, "a", UINT64_MAX, false), STORE_INVALID);
    assert_int_equal(liar.asked, 0);
}

/* ---- change sets ---- */

static const struct new_revision good_revision = {.oid = 9, .data = bytes, .length = 3};
static const struct new_entry good_entry = {
    .parent = DIRECTORY, .index = 3, .oid = 9, .type = S_IFREG, .name = "n", .name_length = 1};
static const struct ended_entry good_end = {.parent = DIRECTORY, .index = 3};
static const struct new_body good_body = {.id = 1, .data = bytes, .length = 3};

static struct commit make_commit(void) {
    return (struct commit){.base = 1, .user = "", .message = "", .next_oid = 20};
}

/* Refused before the storage sees it. */
static void assert_refused(const struct commit *commit, int code) {
    struct liar liar = make_honest();
    assert_int_equal(storage_commit(&liar.base, commit, NULL), code);
    assert_int_equal(liar.asked, 0);
}

static void test_storage__a_commit_of_what_cannot_be_is_refused(void **state) {
    struct commit commit = make_commit();
    char user[257];
    char *message = malloc(MESSAGE_MAX + 2);
    (void)state;
    assert_non_null(message);
    memset(user, 'u', 256);
    user[256] = '\0';
    memset(message, 'm', MESSAGE_MAX + 1);
    message[MESSAGE_MAX + 1] = '\0';
    commit.user = user;
    assert_refused(&commit, STORE_TOO_BIG);
    commit = make_commit();
    commit.message = message;
    assert_refused(&commit, STORE_TOO_BIG);
    free(message);
    commit = make_commit();
    commit.base = SEQ_MAX;
    assert_refused(&commit, STORE_INVALID);
    commit = make_commit();
    commit.wall.tv_nsec = -1;
    assert_refused(&commit, STORE_INVALID);
    commit.wall.tv_nsec = 1000000000;
    assert_refused(&commit, STORE_INVALID);
    commit = make_commit();
    commit.next_oid = ROOT_OID;
    assert_refused(&commit, STORE_INVALID);
    commit.next_oid = OID_MAX + 1;
    assert_refused(&commit, STORE_INVALID);
}

static void test_storage__a_commit_of_bad_revisions_is_refused(void **state) {
    struct new_revision revision;
    struct commit commit = make_commit();
    (void)state;
    commit.revisions = &revision;
    commit.revision_count = 1;
    for (int lie = 0; lie < 4; lie++) {
        revision = good_revision;
        if (lie == 0)
            revision.oid = 0;
        if (lie == 1)
            revision.oid = commit.next_oid;
        if (lie == 2)
            revision.part = UINT64_MAX;
        if (lie == 3)
            revision.length = (size_t)INT32_MAX + 1;
        assert_refused(&commit, STORE_INVALID);
    }
}

static void test_storage__a_commit_of_bad_entries_is_refused(void **state) {
    struct new_entry entry;
    struct ended_entry end;
    struct commit commit = make_commit();
    (void)state;
    commit.added = &entry;
    commit.added_count = 1;
    for (int lie = 0; lie < 7; lie++) {
        entry = good_entry;
        if (lie == 0)
            entry.parent = 0;
        if (lie == 1)
            entry.oid = 0;
        if (lie == 2)
            entry.oid = commit.next_oid;
        if (lie == 3)
            entry.index = 2;
        if (lie == 4)
            entry.index = UINT64_MAX;
        if (lie == 5)
            entry.type = 0;
        if (lie == 6)
            entry.name = "/";
        assert_refused(&commit, STORE_INVALID);
    }
    commit = make_commit();
    commit.ended = &end;
    commit.ended_count = 1;
    end = good_end;
    end.parent = 0;
    assert_refused(&commit, STORE_INVALID);
    end = good_end;
    end.index = UINT64_MAX;
    assert_refused(&commit, STORE_INVALID);
}

static void test_storage__a_commit_of_bad_bodies_is_refused(void **state) {
    struct new_body body;
    struct commit commit = make_commit();
    (void)state;
    commit.bodies = &body;
    commit.body_count = 1;
    for (int lie = 0; lie < 4; lie++) {
        body = good_body;
        if (lie == 0)
            body.id = 0;
        if (lie == 1)
            body.id = UINT64_MAX;
        if (lie == 2)
            body.length = 0;
        if (lie == 3)
            body.length = BODY_LIMIT + 1;
        assert_refused(&commit, STORE_INVALID);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_storage__a_state_that_cannot_be_is_corrupt),
        cmocka_unit_test(test_storage__a_load_of_something_else_is_corrupt),
        cmocka_unit_test(test_storage__a_revision_of_another_id_is_corrupt),
        cmocka_unit_test(test_storage__places_outside_of_what_was_asked_are_corrupt),
        cmocka_unit_test(test_storage__entries_that_cannot_be_are_corrupt),
        cmocka_unit_test(test_storage__entries_of_another_time_are_corrupt),
        cmocka_unit_test(test_storage__entries_of_something_else_are_corrupt),
        cmocka_unit_test(test_storage__lists_out_of_order_or_too_long_are_corrupt),
        cmocka_unit_test(test_storage__nothing_found_is_no_answer_of_a_list),
        cmocka_unit_test(test_storage__what_cannot_exist_is_not_looked_for),
        cmocka_unit_test(test_storage__references_that_cannot_be_are_corrupt),
        cmocka_unit_test(test_storage__tags_without_a_name_are_not_asked_for),
        cmocka_unit_test(test_storage__a_commit_of_what_cannot_be_is_refused),
        cmocka_unit_test(test_storage__a_commit_of_bad_revisions_is_refused),
        cmocka_unit_test(test_storage__a_commit_of_bad_entries_is_refused),
        cmocka_unit_test(test_storage__a_commit_of_bad_bodies_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
