/* Pages of a damaged database: what is read of them, byte by byte, and what is passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/storage_sqlite_page.h"

#define PAGES    24
#define ROWS_MAX 64

enum { INDEX_INTERIOR = 2, TABLE_INTERIOR = 5, INDEX_LEAF = 10, TABLE_LEAF = 13 };

struct found {
    bool gap; /* a NULL row */
    bool has_rowid, page_right;
    uint64_t page, rowid, first; /* first: the first value, if it is an integer */
    uint32_t root;
    size_t count, last_length;
};

struct database {
    char path[64];
    uint8_t pages[PAGES + 1][PAGE_BYTES]; /* from 1 */
    struct page_file *file;
    struct found found[ROWS_MAX];
    size_t found_count;
    int answer; /* of who is told of rows */
};

static void put2(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put4(uint8_t *at, uint32_t value) {
    put2(at, value >> 16);
    put2(at + 2, value & 0xffff);
}

static int set_up(void **state) {
    struct database *db = calloc(1, sizeof *db);
    assert_non_null(db);
    strcpy(db->path, "/tmp/test_page.XXXXXX");
    int fd = mkstemp(db->path);
    assert_true(fd >= 0);
    (void)close(fd);
    *state = db;
    return 0;
}

static int tear_down(void **state) {
    struct database *db = *state;
    page_file_close(db->file);
    (void)unlink(db->path);
    free(db);
    return 0;
}

static void make_page(struct database *db, uint64_t number, uint8_t type) {
    uint8_t *page = db->pages[number] + (number == 1 ? 100 : 0);
    page[0] = type;
    put2(page + 5, PAGE_SUMMED);
}

/* Adds a cell with these bytes at the place `at` of the page. */
static void put_cell_at(struct database *db, uint64_t number, size_t at, const void *bytes, size_t length) {
    uint8_t *page = db->pages[number], *header = page + (number == 1 ? 100 : 0);
    unsigned cells = (unsigned)(header[3] << 8 | header[4]);
    bool interior = header[0] == INDEX_INTERIOR || header[0] == TABLE_INTERIOR;
    put2(header + (interior ? 12 : 8) + 2 * (size_t)cells, (unsigned)at);
    put2(header + 3, cells + 1);
    if (at + length <= PAGE_BYTES)
        memcpy(page + at, bytes, length);
}

/* The same, before the other cells. */
static void put_cell(struct database *db, uint64_t number, const void *bytes, size_t length) {
    uint8_t *header = db->pages[number] + (number == 1 ? 100 : 0);
    size_t at = (size_t)(header[5] << 8 | header[6]) - length;
    put2(header + 5, (unsigned)at);
    put_cell_at(db, number, at, bytes, length);
}

/* A row of one small integer: with a rowid, or without one. */
static void put_row(struct database *db, uint64_t number, uint8_t rowid, uint8_t value) {
    put_cell(db, number, (uint8_t[]){3, rowid, 2, 1, value}, 5);
}

static void put_entry(struct database *db, uint64_t number, uint8_t value) {
    put_cell(db, number, (uint8_t[]){3, 2, 1, value}, 4);
}

static void put_child(struct database *db, uint64_t number, uint32_t child, uint8_t value) {
    uint8_t cell[] = {0, 0, 0, 0, 3, 2, 1, value};
    put4(cell, child);
    put_cell(db, number, cell, sizeof cell);
}

/* Writes the pages with right checksums, and opens them. */
static void open_pages(struct database *db, const uint32_t *roots, size_t count) {
    int fd = open(db->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    for (uint32_t number = 1; number <= PAGES; number++) {
        uint64_t sum = htole64(page_sum(number, db->pages[number]));
        if (db->pages[number][PAGE_SUMMED] == 0) /* else it is to be wrong */
            memcpy(db->pages[number] + PAGE_SUMMED, &sum, sizeof sum);
        assert_int_equal(pwrite(fd, db->pages[number], PAGE_BYTES, (off_t)(number - 1) * PAGE_BYTES), PAGE_BYTES);
    }
    (void)close(fd);
    assert_int_equal(page_file_open(db->path, roots, count, &db->file, NULL), STORE_OK);
    assert_int_equal(page_file_count(db->file), PAGES);
}

static int note_row(void *context, const struct page_row *row) {
    struct database *db = context;
    assert_true(db->found_count < ROWS_MAX);
    struct found *found = &db->found[db->found_count++];
    *found = (struct found){.gap = !row};
    if (row) {
        *found = (struct found){.has_rowid = row->has_rowid,
                                .page_right = row->page_right,
                                .page = row->page,
                                .rowid = row->rowid,
                                .root = row->root,
                                .count = row->count};
        if (row->count > 0 && row->values[0].kind == VALUE_INTEGER)
            found->first = row->values[0].integer;
        if (row->count > 0 && row->values[row->count - 1].kind == VALUE_BLOB)
            found->last_length = row->values[row->count - 1].length;
    }
    return db->answer;
}

static void scan(struct database *db) {
    db->found_count = 0;
    assert_int_equal(page_file_scan(db->file, note_row, db), db->answer);
}

static void walk(struct database *db, uint32_t root) {
    db->found_count = 0;
    assert_int_equal(page_file_walk(db->file, root, note_row, db), db->answer);
}

/* ---- rows ---- */

static int check_values(void *context, const struct page_row *row) {
    static const uint64_t integers[] = {UINT64_MAX, 0x102, UINT64_MAX - 0xfffe, 0x1020304, 0x10203040506, UINT64_MAX,
                                        0,          1};
    ++*(unsigned *)context;
    assert_int_equal(row->rowid, UINT64_MAX);
    assert_int_equal(row->count, 12);
    assert_int_equal(row->values[0].kind, VALUE_NULL);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(row->values[i + 1].kind, VALUE_INTEGER);
        assert_true(row->values[i + 1].integer == integers[i]);
    }
    assert_int_equal(row->values[9].kind, VALUE_BLOB);
    assert_memory_equal(row->values[9].bytes, "ab", 2);
    assert_int_equal(row->values[10].kind, VALUE_TEXT);
    assert_memory_equal(row->values[10].bytes, "xyz", 3);
    assert_int_equal(row->values[11].length, 0);
    assert_non_null(row->values[11].bytes);
    return STORE_OK;
}

static void test_page__each_type_of_value_is_read(void **state) {
    static const uint8_t record[] = {13, 0,    1,    2,    3,    4,    5,    6,    8,    9,   16,  19,  12,  0xff,
                                     1,  2,    0xff, 0,    1,    1,    2,    3,    4,    1,   2,   3,   4,   5,
                                     6,  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'a', 'b', 'x', 'y', 'z'};
    struct database *db = *state;
    uint8_t cell[64] = {sizeof record, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}; /* the largest rowid */
    unsigned rows = 0;
    memcpy(cell + 10, record, sizeof record);
    make_page(db, 2, TABLE_LEAF);
    put_cell(db, 2, cell, 10 + sizeof record);
    open_pages(db, (uint32_t[]){2}, 1);
    assert_int_equal(page_file_scan(db->file, check_values, &rows), STORE_OK);
    assert_int_equal(rows, 1);
}

/* Beside one that is a row, on each page, none of these is. */
static void test_page__what_is_no_row_is_passed_over(void **state) {
    static const struct {
        const char *what;
        size_t length;
        uint8_t bytes[24];
    } cells[] = {
        {"a header longer than the record", 5, {3, 7, 4, 1, 9}},
        {"a header shorter than itself", 5, {3, 7, 0, 1, 9}},
        {"a header that does not end", 4, {1, 7, 0x81, 1}},
        {"a type that does not end", 5, {2, 7, 2, 0x81, 1}},
        {"a number with a point", 12, {10, 7, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0}},
        {"a reserved type", 5, {3, 7, 2, 10, 9}},
        {"an integer beyond the end", 5, {3, 7, 2, 2, 9}},
        {"bytes beyond the end", 5, {3, 7, 2, 18, 9}},
        {"thirteen columns", 16, {14, 7, 14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
        {"more than any row has", 8, {0xff, 0xff, 0xff, 0xff, 0x7f, 7, 2, 1}},
        {"more than there is", 5, {120, 7, 2, 1, 9}},
    };
    struct database *db = *state;
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        memset(db->pages, 0, sizeof db->pages);
        make_page(db, 2, TABLE_LEAF);
        put_cell_at(db, 2, PAGE_SUMMED - cells[i].length, cells[i].bytes, cells[i].length);
        put2(db->pages[2] + 5, 3000);
        put_row(db, 2, 5, 42);
        open_pages(db, (uint32_t[]){2}, 1);
        scan(db);
        if (db->found_count != 1 || db->found[0].first != 42)
            fail_msg("%s is taken for a row", cells[i].what);
        assert_int_equal(db->found[0].root, 2);
        page_file_close(db->file);
        db->file = NULL;
    }
}

/* Cells whose beginning is at the very end of a page. */
static void test_page__nothing_is_read_beyond_a_page(void **state) {
    struct database *db = *state;
    make_page(db, 2, TABLE_LEAF);
    put_cell_at(db, 2, PAGE_SUMMED - 1, (uint8_t[]){0x81}, 1);    /* a length that goes on */
    put_cell_at(db, 2, PAGE_SUMMED - 2, (uint8_t[]){3, 0x81}, 2); /* a rowid */
    put_cell_at(db, 2, PAGE_SUMMED, "", 0);
    put_cell_at(db, 2, 65535, "", 0);
    make_page(db, 3, INDEX_INTERIOR);
    put_cell_at(db, 3, PAGE_SUMMED - 3, (uint8_t[]){0, 0, 0}, 3); /* a child that is cut off */
    open_pages(db, (uint32_t[]){2, 3}, 2);
    scan(db);
    assert_int_equal(db->found_count, 0);
    walk(db, 3);
    assert_int_equal(db->found_count, 1);
    assert_true(db->found[0].gap);
}

/* A header may promise more cells than a page has room for. */
static void test_page__a_page_has_room_for_so_many_cells(void **state) {
    struct database *db = *state;
    make_page(db, 2, TABLE_LEAF);
    put_row(db, 2, 5, 42);
    put2(db->pages[2] + 3, 65535);
    open_pages(db, (uint32_t[]){2}, 1);
    scan(db);
    assert_true(db->found_count >= 1);
    assert_int_equal(db->found[0].first, 42);
}

/* ---- long rows ---- */

/* A row whose bytes go on in pages 5 and 6. */
static void put_long_row(struct database *db, uint32_t next) {
    const size_t length = 8200, bytes = length - 4; /* 4 of header */
    const size_t least = (PAGE_SUMMED - 12) * 32 / 255 - 23, most = PAGE_SUMMED - 35;
    size_t local = least + (length - least) % (PAGE_SUMMED - 4);
    local = local <= most ? local : least;
    uint8_t *large = calloc(1, local + 10);
    assert_non_null(large);
    const uint64_t type = bytes * 2 + 12;
    const uint8_t head[] = {
        (uint8_t)(0x80 | length >> 7),        length & 0x7f,         7, 4, (uint8_t)(0x80 | type >> 14),
        (uint8_t)(0x80 | (type >> 7 & 0x7f)), (uint8_t)(type & 0x7f)};
    memcpy(large, head, sizeof head);
    put4(large + 3 + local, next);
    put_cell(db, 2, large, 3 + local + 4);
    free(large);
}

static void test_page__long_rows_are_followed_as_far_as_they_lead(void **state) {
    static const struct {
        uint32_t next, after;
        bool found;
    } chains[] = {
        {5, 6, true}, {0, 0, false}, {1, 0, false}, {PAGES + 1, 0, false}, {5, 0, false}, {5, PAGES + 1, false},
    };
    struct database *db = *state;
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        memset(db->pages, 0, sizeof db->pages);
        make_page(db, 2, TABLE_LEAF);
        put_long_row(db, chains[i].next);
        put4(db->pages[5], chains[i].after);
        open_pages(db, (uint32_t[]){2}, 1);
        scan(db);
        assert_int_equal(db->found_count, chains[i].found ? 1 : 0);
        if (chains[i].found)
            assert_int_equal(db->found[0].last_length, 8196);
        page_file_close(db->file);
        db->file = NULL;
    }
}

/* ---- trees ---- */

static void test_page__rows_know_their_tree(void **state) {
    struct database *db = *state;
    make_page(db, 1, TABLE_LEAF);
    put_row(db, 1, 1, 11);
    make_page(db, 2, TABLE_INTERIOR);
    put_cell(db, 2, (uint8_t[]){0, 0, 0, 3, 9}, 5);
    put_cell(db, 2, (uint8_t[]){0, 0, 0, 1, 9}, 5);         /* page 1 is nobody's child */
    put_cell(db, 2, (uint8_t[]){0, 0, 0, PAGES + 1, 9}, 5); /* nor is one that is not there */
    put_cell(db, 2, (uint8_t[]){0, 0, 0, 3, 9}, 5);         /* once is enough */
    put_cell_at(db, 2, PAGE_SUMMED - 3, "", 0);
    put4(db->pages[2] + 8, 4);
    make_page(db, 3, TABLE_LEAF);
    put_row(db, 3, 1, 31);
    make_page(db, 4, TABLE_LEAF);
    put_row(db, 4, 2, 41);
    db->pages[4][PAGE_SUMMED] = 1; /* wrong */
    make_page(db, 5, TABLE_LEAF);  /* of no tree */
    put_row(db, 5, 3, 51);
    make_page(db, 6, INDEX_LEAF);
    put_entry(db, 6, 61);
    db->pages[7][0] = 99;
    open_pages(db, (uint32_t[]){1, 2, PAGES + 9}, 3);
    scan(db);
    static const struct found expected[] = {
        {.page = 1, .root = 1, .first = 11, .page_right = true},
        {.page = 3, .root = 2, .first = 31, .page_right = true},
        {.page = 4, .root = 2, .first = 41},
        {.page = 5, .first = 51, .page_right = true},
        {.page = 6, .first = 61, .page_right = true},
    };
    assert_int_equal(db->found_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(db->found[i].page, expected[i].page);
        assert_int_equal(db->found[i].root, expected[i].root);
        assert_int_equal(db->found[i].first, expected[i].first);
        assert_int_equal(db->found[i].page_right, expected[i].page_right);
    }
    db->answer = STORE_FULL; /* ends it */
    scan(db);
    assert_int_equal(db->found_count, 1);
}

static void test_page__the_end_of_a_table_is_known_if_what_leads_there_is_right(void **state) {
    struct database *db = *state;
    make_page(db, 2, TABLE_INTERIOR);
    put4(db->pages[2] + 8, 3);
    make_page(db, 3, TABLE_LEAF);
    make_page(db, 4, TABLE_INTERIOR); /* leads to a page that is wrong */
    put4(db->pages[4] + 8, 5);
    make_page(db, 5, TABLE_LEAF);
    db->pages[5][PAGE_SUMMED] = 1;
    make_page(db, 6, TABLE_INTERIOR); /* to itself */
    put4(db->pages[6] + 8, 6);
    make_page(db, 7, TABLE_INTERIOR); /* to an index */
    put4(db->pages[7] + 8, 8);
    make_page(db, 8, INDEX_LEAF);
    make_page(db, 9, TABLE_INTERIOR); /* out of the file */
    put4(db->pages[9] + 8, PAGES + 1);
    make_page(db, 10, TABLE_INTERIOR); /* to page 1 */
    put4(db->pages[10] + 8, 1);
    open_pages(db, (uint32_t[]){0}, 0);
    assert_true(page_file_has_end(db->file, 2));
    assert_true(page_file_has_end(db->file, 3));
    for (uint32_t root = 4; root <= 10; root++)
        assert_false(page_file_has_end(db->file, root));
    assert_false(page_file_has_end(db->file, 0));
    assert_false(page_file_has_end(db->file, 1));
}

static void test_page__gaps_of_an_index_are_told_in_their_place(void **state) {
    struct database *db = *state;
    make_page(db, 2, INDEX_INTERIOR);
    put_child(db, 2, 3, 20);
    put_child(db, 2, 4, 40);  /* wrong */
    put_child(db, 2, 3, 60);  /* was there already */
    put_child(db, 2, 99, 80); /* is not there */
    put4(db->pages[2] + 8, 5);
    make_page(db, 3, INDEX_LEAF);
    put_entry(db, 3, 10);
    make_page(db, 4, INDEX_LEAF);
    put_entry(db, 4, 30);
    db->pages[4][PAGE_SUMMED] = 1;
    make_page(db, 5, TABLE_LEAF); /* no page of an index */
    open_pages(db, (uint32_t[]){2}, 1);
    walk(db, 2);
    static const uint64_t expected[] = {10, 20, 0, 40, 0, 60, 0, 80, 0}; /* 0: a gap */
    assert_int_equal(db->found_count, 9);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(db->found[i].gap, expected[i] == 0);
        assert_int_equal(db->found[i].first, expected[i]);
    }
    walk(db, 1);
    assert_int_equal(db->found_count, 1);
    assert_true(db->found[0].gap);
    db->answer = STORE_FULL;
    walk(db, 2);
    assert_int_equal(db->found_count, 1);
}

/* However deep pages lead, a walk ends. */
static void test_page__a_walk_is_not_endless(void **state) {
    struct database *db = *state;
    for (uint32_t number = 2; number < PAGES; number++) {
        make_page(db, number, INDEX_INTERIOR);
        put4(db->pages[number] + 8, number + 1);
    }
    make_page(db, PAGES, INDEX_INTERIOR);
    put4(db->pages[PAGES] + 8, 2);
    open_pages(db, (uint32_t[]){2}, 1);
    walk(db, 2);
    assert_int_equal(db->found_count, 1);
    assert_true(db->found[0].gap);
}

/* ---- free pages ---- */

static void put_free(struct database *db, uint32_t trunk, uint32_t next, uint32_t leaves, const uint32_t *leaf,
                     uint32_t counted) {
    put4(db->pages[1] + 32, trunk);
    put4(db->pages[1] + 36, counted);
    if (trunk < 2 || trunk > PAGES)
        return;
    put4(db->pages[trunk], next);
    put4(db->pages[trunk] + 4, leaves);
    for (uint32_t i = 0; leaf && i < leaves; i++)
        put4(db->pages[trunk] + 8 + 4 * (size_t)i, leaf[i]);
}

/* Pages 5, 6 and 7 are free, as the list says; in 6 a row is left. Lists that cannot be right are not believed. */
static void test_page__free_pages_are_known_from_a_list_that_is_right(void **state) {
    static const struct {
        uint32_t trunk, next, leaves, leaf[2], counted;
        bool known, hides;
    } lists[] = {
        {5, 0, 2, {6, 7}, 3, true, true},
        {0, 0, 0, {0, 0}, 0, true, false},
        {5, 0, 2, {6, 7}, 4, false, true},         /* counts another number */
        {5, 5, 2, {6, 7}, 3, false, true},         /* leads to itself */
        {5, PAGES + 1, 2, {6, 7}, 3, false, true}, /* out of the file */
        {5, 1, 2, {6, 7}, 3, false, true},
        {2, 0, 0, {0, 0}, 1, false, false},             /* to a page of a tree */
        {5, 0, 2, {6, 2}, 3, false, false},             /* has a page of a tree */
        {5, 0, 2, {6, PAGES + 1}, 3, false, false},     /* or one that is none */
        {5, 0, 1 << 20, {0, 0}, 1 << 20, false, false}, /* is longer than a page */
        {PAGES + 5, 0, 0, {0, 0}, 1, false, false},
    };
    struct database *db = *state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        memset(db->pages, 0, sizeof db->pages);
        make_page(db, 2, TABLE_LEAF);
        make_page(db, 6, TABLE_LEAF);
        put_row(db, 6, 1, 66);
        if (lists[i].trunk == 2)
            put_free(db, 2, 0, 0, NULL, 1);
        else
            put_free(db, lists[i].trunk, lists[i].next, lists[i].leaves, lists[i].leaves <= 2 ? lists[i].leaf : NULL,
                     lists[i].counted);
        make_page(db, 2, TABLE_LEAF);
        open_pages(db, (uint32_t[]){2}, 1);
        assert_int_equal(page_file_knows_free(db->file), lists[i].known);
        scan(db);
        if ((db->found_count == 0) != lists[i].hides)
            fail_msg("list %zu: %zu rows", i, db->found_count);
        page_file_close(db->file);
        db->file = NULL;
    }
}

static void test_page__a_list_of_free_pages_in_damaged_pages_is_not_believed(void **state) {
    static const uint32_t wrong[] = {1, 5, 7};
    struct database *db = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        memset(db->pages, 0, sizeof db->pages);
        put_free(db, 5, 7, 1, (uint32_t[]){6}, 3); /* 5 has 6, and leads to 7 */
        db->pages[wrong[i]][PAGE_SUMMED] = 1;
        open_pages(db, (uint32_t[]){2}, 1);
        assert_false(page_file_knows_free(db->file));
        page_file_close(db->file);
        db->file = NULL;
    }
}

/* An index that says it begins at a free page. */
static void test_page__rows_of_a_free_page_are_of_no_tree(void **state) {
    struct database *db = *state;
    make_page(db, 6, INDEX_LEAF);
    put_entry(db, 6, 66);
    put_free(db, 5, 0, 1, (uint32_t[]){6}, 2);
    open_pages(db, (uint32_t[]){0}, 0);
    walk(db, 6);
    assert_int_equal(db->found_count, 1);
    assert_int_equal(db->found[0].first, 66);
    assert_int_equal(db->found[0].root, 0);
}

/* ---- files ---- */

static void test_page__files_that_cannot_be_read_are_told(void **state) {
    struct database *db = *state;
    struct error err = {0};
    struct page_file *file = NULL;
    uint32_t roots[80];
    assert_int_equal(page_file_open("/tmp/test_page.missing/tidfs.db", (uint32_t[]){0}, 0, &file, &err), STORE_IO);
    assert_non_null(strstr(err.text, "No such file"));
    page_file_close(NULL);
    /* A last page that is cut off is read with zeros behind it; more roots than are noted are no harm. */
    for (uint32_t i = 0; i < 80; i++)
        roots[i] = i + 2;
    make_page(db, PAGES, TABLE_LEAF);
    open_pages(db, roots, 80);
    page_file_close(db->file);
    assert_int_equal(truncate(db->path, (PAGES - 1) * PAGE_BYTES + 3), 0);
    assert_int_equal(page_file_open(db->path, roots, 80, &db->file, NULL), STORE_OK);
    assert_int_equal(page_file_count(db->file), PAGES);
    scan(db);
    assert_int_equal(db->found_count, 0);
    assert_int_equal(page_file_unreadable(db->file), 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(test_page__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_type_of_value_is_read),
        TEST(what_is_no_row_is_passed_over),
        TEST(nothing_is_read_beyond_a_page),
        TEST(a_page_has_room_for_so_many_cells),
        TEST(long_rows_are_followed_as_far_as_they_lead),
        TEST(rows_know_their_tree),
        TEST(the_end_of_a_table_is_known_if_what_leads_there_is_right),
        TEST(gaps_of_an_index_are_told_in_their_place),
        TEST(a_walk_is_not_endless),
        TEST(free_pages_are_known_from_a_list_that_is_right),
        TEST(a_list_of_free_pages_in_damaged_pages_is_not_believed),
        TEST(rows_of_a_free_page_are_of_no_tree),
        TEST(files_that_cannot_be_read_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
