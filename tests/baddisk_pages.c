#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/baddisk.h"

struct page {
    uint64_t number;
    bool lost;
    unsigned char data[BADDISK_PAGE]; /* what the disk has; zeros where it has nothing */
};

struct pages {
    pthread_mutex_t mutex; /* all below */
    struct page **items;   /* ascending number */
    size_t count, capacity;
};

struct pages *pages_new(void) {
    struct pages *pages = calloc(1, sizeof *pages);
    if (pages && pthread_mutex_init(&pages->mutex, NULL) != 0) {
        free(pages);
        return NULL;
    }
    return pages;
}

void pages_free(struct pages *pages) {
    if (!pages)
        return;
    for (size_t i = 0; i < pages->count; i++)
        free(pages->items[i]);
    free(pages->items);
    (void)pthread_mutex_destroy(&pages->mutex);
    free(pages);
}

/* Where the page is, or would be. */
static size_t find(const struct pages *pages, uint64_t number) {
    size_t low = 0, high = pages->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pages->items[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int keep(struct pages *pages, int fd, uint64_t number) {
    size_t at = find(pages, number);
    if (at < pages->count && pages->items[at]->number == number) {
        pages->items[at]->lost = false; /* dirty again, as a whole page */
        return 0;
    }
    if (pages->count == pages->capacity) {
        size_t capacity = pages->capacity ? 2 * pages->capacity : 64;
        struct page **grown = realloc(pages->items, capacity * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        pages->items = grown;
        pages->capacity = capacity;
    }
    struct page *page = calloc(1, sizeof *page);
    if (!page)
        return -ENOMEM;
    page->number = number;
    if (pread(fd, page->data, sizeof page->data, (off_t)(number * BADDISK_PAGE)) < 0) {
        free(page);
        return -EIO;
    }
    memmove(pages->items + at + 1, pages->items + at, (pages->count - at) * sizeof *pages->items);
    pages->items[at] = page;
    pages->count++;
    return 0;
}

int pages_before_write(struct pages *pages, int fd, uint64_t offset, size_t size) {
    int rc = 0;
    (void)pthread_mutex_lock(&pages->mutex);
    for (uint64_t number = offset / BADDISK_PAGE; size > 0 && number <= (offset + size - 1) / BADDISK_PAGE && rc == 0;
         number++)
        rc = keep(pages, fd, number);
    (void)pthread_mutex_unlock(&pages->mutex);
    return rc;
}

/* Drops those for which keep is false. Mutex held. */
static void filter(struct pages *pages, bool (*stays)(const struct page *page, uint64_t argument), uint64_t argument) {
    size_t kept = 0;
    for (size_t i = 0; i < pages->count; i++)
        if (stays(pages->items[i], argument))
            pages->items[kept++] = pages->items[i];
        else
            free(pages->items[i]);
    pages->count = kept;
}

static bool below(const struct page *page, uint64_t size) {
    return page->number * BADDISK_PAGE < size;
}

void pages_cut(struct pages *pages, uint64_t size) {
    (void)pthread_mutex_lock(&pages->mutex);
    filter(pages, below, size);
    (void)pthread_mutex_unlock(&pages->mutex);
}

static bool is_lost(const struct page *page, uint64_t unused) {
    (void)unused;
    return page->lost;
}

void pages_synced(struct pages *pages, bool failed) {
    (void)pthread_mutex_lock(&pages->mutex);
    for (size_t i = 0; failed && i < pages->count; i++)
        pages->items[i]->lost = true;
    filter(pages, is_lost, 0);
    (void)pthread_mutex_unlock(&pages->mutex);
}

int pages_forget(struct pages *pages, int fd, bool all) {
    struct stat status;
    int rc = 0;
    (void)pthread_mutex_lock(&pages->mutex);
    if (pages->count > 0 && fstat(fd, &status) < 0)
        rc = -EIO;
    for (size_t i = 0; i < pages->count && rc == 0; i++) {
        const struct page *page = pages->items[i];
        uint64_t start = page->number * BADDISK_PAGE, size = (uint64_t)status.st_size;
        size_t length = start >= size ? 0 : size - start < BADDISK_PAGE ? (size_t)(size - start) : BADDISK_PAGE;
        if ((all || page->lost) && length > 0 && pwrite(fd, page->data, length, (off_t)start) != (ssize_t)length)
            rc = -EIO;
    }
    for (size_t i = 0; i < pages->count; i++)
        pages->items[i]->lost = !all && !pages->items[i]->lost; /* those that stay */
    filter(pages, is_lost, 0);
    for (size_t i = 0; i < pages->count; i++)
        pages->items[i]->lost = false;
    (void)pthread_mutex_unlock(&pages->mutex);
    return rc;
}
