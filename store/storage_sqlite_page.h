/* Private to storage_sqlite*.c: the pages of a damaged tidfs.db read without SQLite, for repair.
 *
 * SQLite stops at the first page that makes no sense. Here every page is taken by itself: its cells are decoded as far as they are sane, so that
 * a page that is lost takes its own rows with it and no others. https://www.sqlite.org/fileformat2.html has every byte.
 *
 * Invariants
 *  1. Nothing is read outside a page or a payload, whatever the bytes say, and every chain of pages ends.
 *  2. Nothing is written.
 *  3. A page is what its parent page takes it for if that is known; without a parent, what its first byte says. What stands in
 *     pages of content only is never taken for rows: its first byte is 0.
 *
 * Threads: a file belongs to its caller. Ownership: rows live during the callback.
 */
#ifndef TIDFS_STORE_STORAGE_SQLITE_PAGE_H
#define TIDFS_STORE_STORAGE_SQLITE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"
#include "store/page_vfs.h"
#include "store/storage_sqlite_statement.h"

#define PAGE_COLUMNS_MAX 12

/* A row of a table or an entry of an index. */
struct page_row {
    uint64_t page;
    bool page_right; /* the checksum of the page is */
    uint32_t root;   /* the page at which its tree begins, as far as that can be told; else 0 */
    bool has_rowid;
    uint64_t rowid;
    size_t count;
    struct value values[PAGE_COLUMNS_MAX]; /* NULL columns that stand for the rowid are NULL here too */
};

struct page_file;

/* roots: the first pages of all trees, `count` of them, at most 64; copied. */
int page_file_open(const char *path, const uint32_t *roots, size_t count, struct page_file **file, struct error *err);
/* NULL is legal. */
void page_file_close(struct page_file *file);
uint64_t page_file_count(const struct page_file *file);
/* Pages that the disk would not give, so far; they are taken for empty. */
uint64_t page_file_unreadable(const struct page_file *file);

/* True if it is certain which pages are free. Else pages of no tree that are scanned may be such, and have rows that are gone. */
bool page_file_knows_free(const struct page_file *file);

/* True if the pages that lead to a table's last row are all right, so that no row is missing behind the last one that a scan finds. */
bool page_file_has_end(struct page_file *file, uint32_t root);

/* The entries of an index in its order, from the page `root` on. `row` is given NULL where a page or an entry cannot be believed, between the entries beside
 * what it had: between two entries without such a NULL nothing is missing. */
int page_file_walk(struct page_file *file, uint32_t root, int (*row)(void *context, const struct page_row *row),
                   void *context);

/* Every row of every page that is in no list of free ones. `row` returns an error to end the scan with it. */
int page_file_scan(struct page_file *file, int (*row)(void *context, const struct page_row *row), void *context);

#endif
