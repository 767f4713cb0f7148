/* The SQLite storage through the checked wrappers: directories, and what changed in them. */
#include "tests/storage_fixture.h"

/* ---- entries ---- */
static void test_storage__names_are_bytes(void **state) {
    struct fixture *f = *state;
    static const char odd[] = "\xff\x01' OR 1 --\n\xc3";
    char longest[NAME_BYTES_MAX + 2];
    struct entry entry;
    memset(longest, 'n', sizeof longest);
    longest[NAME_BYTES_MAX] = '\0';
    f->next_oid = 4;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "a");
    revise(f, 3, PART_INODE, false, "b");
    add(f, ROOT_OID, 3, odd, 2, S_IFREG);
    add(f, ROOT_OID, 4, longest, 3, S_IFREG);
    commit(f);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, odd, strlen(odd), 2, &entry), STORE_OK);
    assert_int_equal(entry.oid, 2);
    assert_int_equal(entry.born, 1);
    assert_true(entry.died == FOREVER);
    assert_string_equal(entry.name, odd);
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, longest, NAME_BYTES_MAX, 2, &entry), STORE_OK);
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, odd, strlen(odd) - 1, 2, &entry), STORE_ABSENT);
    longest[NAME_BYTES_MAX] = 'n';
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, longest, NAME_BYTES_MAX + 1, 2, &entry), STORE_ABSENT);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, odd, strlen(odd), 1, &entry), STORE_ABSENT);
}

static void test_storage__entries_move_to_the_past(void **state) {
    struct fixture *f = *state;
    struct entry entry;
    struct entry_list links;
    f->next_oid = 4;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "x");
    add(f, ROOT_OID, 3, "old", 2, S_IFREG);
    commit(f);
    /* Renamed, and the name taken by another in the same transaction. */
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "x");
    revise(f, 3, PART_INODE, false, "y");
    end(f, ROOT_OID, 3);
    add(f, ROOT_OID, 4, "new", 2, S_IFREG);
    add(f, ROOT_OID, 5, "old", 3, S_IFREG);
    commit(f);
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, NULL);
    end(f, ROOT_OID, 4);
    commit(f);

    assert_string_equal(list(f, ROOT_OID, 1), "");
    assert_string_equal(list(f, ROOT_OID, 2), "old,");
    assert_string_equal(list(f, ROOT_OID, 3), "new,old,");
    assert_string_equal(list(f, ROOT_OID, 4), "old,");
    assert_string_equal(list(f, 77, 4), "");

    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "old", 3, 2, &entry), STORE_OK);
    assert_int_equal(entry.oid, 2);
    assert_int_equal(entry.died, 2);
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "old", 3, 3, &entry), STORE_OK);
    assert_int_equal(entry.oid, 3);
    entry_release(&entry);
    assert_int_equal(storage_lookup(f->storage, ROOT_OID, "new", 3, 4, &entry), STORE_ABSENT);

    assert_int_equal(storage_links(f->storage, 2, 3, &links), STORE_OK);
    assert_int_equal(links.count, 1);
    assert_string_equal(links.items[0].name, "new");
    entry_list_release(&links);
    assert_int_equal(storage_links(f->storage, 2, 4, &links), STORE_OK);
    assert_int_equal(links.count, 0);
    entry_list_release(&links);
}

static void test_storage__named_tells_every_life_of_a_name(void **state) {
    struct fixture *f = *state;
    struct entry_list lives;
    f->next_oid = 5;
    begin(f);
    revise(f, ROOT_OID, PART_INODE, true, "r");
    revise(f, 2, PART_INODE, false, "x");
    revise(f, 3, PART_INODE, true, "d");
    revise(f, 4, PART_INODE, false, "y");
    add(f, ROOT_OID, 3, "name", 2, S_IFREG);
    add(f, ROOT_OID, 4, "names", 4, S_IFREG);
    add(f, ROOT_OID, 5, "dir", 3, S_IFDIR);
    add(f, 3, 3, "name", 4, S_IFREG);
    commit(f);
    begin(f); /* replaced */
    revise(f, ROOT_OID, PART_INODE, true, "r");
    end(f, ROOT_OID, 3);
    add(f, ROOT_OID, 6, "name", 4, S_IFREG);
    commit(f);
    begin(f); /* gone */
    revise(f, ROOT_OID, PART_INODE, true, "r");
    end(f, ROOT_OID, 6);
    commit(f);
    assert_int_equal(storage_named(f->storage, ROOT_OID, "name", 4, &lives), STORE_OK);
    assert_int_equal(lives.count, 2);
    assert_int_equal(lives.items[1].died, 3);
    entry_list_release(&lives);
    begin(f); /* back */
    revise(f, ROOT_OID, PART_INODE, true, "r");
    add(f, ROOT_OID, 7, "name", 2, S_IFREG);
    commit(f);

    static const struct entry expected[] = {
        {.oid = 2, .index = 3, .born = 1, .died = 2},
        {.oid = 4, .index = 6, .born = 2, .died = 3},
        {.oid = 2, .index = 7, .born = 4, .died = FOREVER},
    };
    assert_int_equal(storage_named(f->storage, ROOT_OID, "name", 4, &lives), STORE_OK);
    assert_int_equal(lives.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(lives.items[i].name, "name");
        assert_int_equal(lives.items[i].type, S_IFREG);
        assert_int_equal(lives.items[i].parent, ROOT_OID);
        assert_int_equal(lives.items[i].oid, expected[i].oid);
        assert_int_equal(lives.items[i].index, expected[i].index);
        assert_int_equal(lives.items[i].born, expected[i].born);
        assert_true(lives.items[i].died == expected[i].died);
    }
    entry_list_release(&lives);
    assert_int_equal(storage_named(f->storage, ROOT_OID, "none", 4, &lives), STORE_OK);
    assert_int_equal(lives.count, 0);
    assert_int_equal(storage_named(f->storage, ROOT_OID, "..", 2, &lives), STORE_OK);
    assert_int_equal(lives.count, 0);
    assert_int_equal(storage_named(f->storage, 77, "name", 4, &lives), STORE_OK);
    assert_int_equal(lives.count, 0);
}

/* A model beside the store: each name's life, at random, compared at every instant. */
/* The list, read `most` at a time, is the list. */
static void assert_parts(struct fixture *f, const struct entry_list *whole, uint64_t before, size_t most) {
    struct entry_list part;
    uint64_t from = 0;
    size_t seen = 0;
    do {
        assert_int_equal(storage_list_from(f->storage, ROOT_OID, before, from, most, &part), STORE_OK);
        assert_true(part.count <= most);
        for (size_t i = 0; i < part.count; i++, seen++) {
            assert_true(seen < whole->count);
            assert_int_equal(part.items[i].index, whole->items[seen].index);
            assert_int_equal(part.items[i].oid, whole->items[seen].oid);
            assert_string_equal(part.items[i].name, whole->items[seen].name);
            from = part.items[i].index + 1;
        }
        entry_list_release(&part);
    } while (seen < whole->count);
    assert_int_equal(storage_list_from(f->storage, ROOT_OID, before, from, most, &part), STORE_OK);
    assert_int_equal(part.count, 0);
    entry_list_release(&part);
}

static void test_storage__listing_agrees_with_a_model_at_every_instant(void **state) {
    enum { STEPS = 400, NAMES = 12 };
    struct fixture *f = *state;
    static uint64_t alive[STEPS + 2][NAMES]; /* the index of the entry, 0: none */
    uint64_t index = ENTRY_INDEX_FIRST;
    unsigned seed = 7;
    f->next_oid = 2 + NAMES;
    for (uint64_t seq = 1; seq <= STEPS; seq++) {
        char names[NAMES][8];
        begin(f);
        revise(f, ROOT_OID, PART_INODE, true, "r");
        memcpy(alive[seq + 1], alive[seq], sizeof alive[seq]);
        for (unsigned name = 0; name < NAMES; name++) {
            /* Names differ in how often they change, so that all levels come up. */
            if (rand_r(&seed) % (1 << name) != 0)
                continue;
            (void)snprintf(names[name], sizeof names[name], "n%u", name);
            if (alive[seq][name]) {
                end(f, ROOT_OID, alive[seq][name]);
                alive[seq + 1][name] = 0;
            }
            if (!alive[seq][name] || rand_r(&seed) % 3 == 0) {
                add(f, ROOT_OID, index, names[name], 2 + name, S_IFREG);
                alive[seq + 1][name] = index++;
            }
        }
        commit(f);
    }
    for (uint64_t before = 1; before <= STEPS + 1; before++) {
        struct entry_list entries;
        size_t expected = 0;
        assert_int_equal(storage_list(f->storage, ROOT_OID, before, &entries), STORE_OK);
        for (unsigned name = 0; name < NAMES; name++) {
            char text[8];
            struct entry entry;
            int length = snprintf(text, sizeof text, "n%u", name);
            int rc = storage_lookup(f->storage, ROOT_OID, text, (size_t)length, before, &entry);
            assert_int_equal(rc, alive[before][name] ? STORE_OK : STORE_ABSENT);
            if (rc != STORE_OK)
                continue;
            assert_int_equal(entry.index, alive[before][name]);
            entry_release(&entry);
            bool listed = false;
            for (size_t i = 0; i < entries.count; i++)
                listed = listed ||
                         (entries.items[i].index == alive[before][name] && strcmp(entries.items[i].name, text) == 0);
            assert_true(listed);
            expected++;
        }
        assert_int_equal(entries.count, expected);
        assert_parts(f, &entries, before, 1 + before % 5);
        entry_list_release(&entries);
    }
}

/* ---- subtree marks, touched, changed ---- */
static uint64_t subtree_seq(struct fixture *f, uint64_t directory, uint64_t before) {
    struct subtree subtree;
    int rc = storage_subtree(f->storage, directory, before, &subtree);
    return rc == STORE_OK ? subtree.seq : 0;
}

static void test_storage__a_change_marks_all_directories_above(void **state) {
    struct fixture *f = *state;
    struct subtree subtree;
    commit_tree(f);
    begin(f);
    revise(f, 4, PART_INODE, false, "changed");
    revise(f, 4, PART_CHUNK, false, "c");
    commit(f);
    for (uint64_t oid = 1; oid <= 5; oid++)
        if (oid != 4)
            assert_int_equal(subtree_seq(f, oid, 3), 2);
    assert_int_equal(subtree_seq(f, 6, 3), 1);
    assert_int_equal(subtree_seq(f, ROOT_OID, 2), 1);
    assert_int_equal(subtree_seq(f, ROOT_OID, 1), 0);
    assert_int_equal(storage_subtree(f->storage, ROOT_OID, 2, &subtree), STORE_OK);
    assert_int_equal(subtree.until, 2);
    uint64_t id = subtree.id;
    assert_int_equal(storage_subtree(f->storage, ROOT_OID, 3, &subtree), STORE_OK);
    assert_true(subtree.id != id && subtree.until == FOREVER);

    /* Directory 3 moves from 2 to 6: both are changed, and 5 is not. */
    begin(f);
    revise(f, 2, PART_INODE, true, "o");
    revise(f, 3, PART_INODE, true, "o");
    revise(f, 6, PART_INODE, true, "o");
    end(f, 2, 3);
    add(f, 6, 3, "three", 3, S_IFDIR);
    commit(f);
    assert_int_equal(subtree_seq(f, 2, 4), 3);
    assert_int_equal(subtree_seq(f, 5, 4), 2);
    begin(f);
    revise(f, 4, PART_INODE, false, "changed");
    commit(f);
    assert_int_equal(subtree_seq(f, 2, 5), 3);
    assert_int_equal(subtree_seq(f, 6, 5), 4);
}

static void test_storage__touched_walks_back_through_the_log(void **state) {
    struct fixture *f = *state;
    uint64_t seq;
    commit_tree(f);
    begin(f);
    revise(f, 4, PART_INODE, false, "changed");
    commit(f);
    begin(f);
    revise(f, 6, PART_INODE, true, "changed");
    commit(f);
    assert_int_equal(storage_touched(f->storage, ROOT_OID, 4, &seq), STORE_OK);
    assert_int_equal(seq, 3);
    assert_int_equal(storage_touched(f->storage, 4, 4, &seq), STORE_OK);
    assert_int_equal(seq, 2);
    assert_int_equal(storage_touched(f->storage, 4, 2, &seq), STORE_OK);
    assert_int_equal(seq, 1);
    assert_int_equal(storage_touched(f->storage, 4, 1, &seq), STORE_ABSENT);
    assert_int_equal(storage_touched(f->storage, 3, 4, &seq), STORE_OK);
    assert_int_equal(seq, 2);
}

/* The objects, in order, with a comma after each. */
static const char *changed(struct fixture *f, uint64_t after, uint64_t until) {
    static char text[256];
    uint64_t *oids;
    size_t count;
    assert_int_equal(storage_changed(f->storage, after, until, &oids, &count), STORE_OK);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%" PRIu64 ",", oids[i]);
    free(oids);
    return text;
}

/* 1: the tree; 2 and 3: file 4, two parts each; 4: nothing; 5: directory 6. */
static void commit_changes(struct fixture *f) {
    commit_tree(f);
    for (int i = 0; i < 2; i++) {
        begin(f);
        revise(f, 4, PART_CHUNK, false, "c");
        revise(f, 4, PART_INODE, false, "changed");
        commit(f);
    }
    begin(f);
    commit(f);
    begin(f);
    revise(f, 6, PART_INODE, true, "changed");
    commit(f);
}

static void test_storage__changed_names_each_object_once(void **state) {
    struct fixture *f = *state;
    commit_changes(f);
    assert_string_equal(changed(f, 1, 3), "4,");
    assert_string_equal(changed(f, 1, FOREVER), "4,6,");
    assert_string_equal(changed(f, 0, FOREVER), "1,2,3,4,5,6,");
    assert_string_equal(changed(f, 5, FOREVER), "");
    assert_string_equal(changed(f, FOREVER, FOREVER), "");
}

static void test_storage__changed_ends_where_it_is_told_to(void **state) {
    struct fixture *f = *state;
    assert_string_equal(changed(f, 0, FOREVER), ""); /* no transaction yet */
    commit_changes(f);
    assert_string_equal(changed(f, 0, 1), "1,2,3,4,5,6,");
    assert_string_equal(changed(f, 0, 0), "");
    assert_string_equal(changed(f, 1, 2), "4,");
    assert_string_equal(changed(f, 2, 2), "");
    assert_string_equal(changed(f, 3, 2), "");
    assert_string_equal(changed(f, 3, 4), ""); /* an empty transaction */
    assert_string_equal(changed(f, 3, 5), "6,");
}

static void test_storage__revisions_between_counts_without_reading(void **state) {
    struct fixture *f = *state;
    static const struct {
        uint64_t after, until, count;
    } cases[] = {
        {0, FOREVER, 11}, {0, 1, 6}, {0, 0, 0}, {1, 2, 2}, {1, 3, 4}, {2, 2, 0},
        {3, 2, 0},        {3, 4, 0}, {4, 5, 1}, {5, 5, 0}, {5, 6, 0}, {FOREVER, FOREVER, 0},
    };
    uint64_t count;
    assert_int_equal(storage_revisions_between(f->storage, 0, FOREVER, &count), STORE_OK);
    assert_int_equal(count, 0);
    commit_changes(f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(storage_revisions_between(f->storage, cases[i].after, cases[i].until, &count), STORE_OK);
        assert_int_equal(count, cases[i].count);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_storage__names_are_bytes),
        TEST(test_storage__entries_move_to_the_past),
        TEST(test_storage__named_tells_every_life_of_a_name),
        TEST(test_storage__listing_agrees_with_a_model_at_every_instant),
        TEST(test_storage__a_change_marks_all_directories_above),
        TEST(test_storage__touched_walks_back_through_the_log),
        TEST(test_storage__changed_names_each_object_once),
        TEST(test_storage__changed_ends_where_it_is_told_to),
        TEST(test_storage__revisions_between_counts_without_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
