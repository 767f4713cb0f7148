/* Contents at the newest state of a repaired store against what they were: a block reads as it was or not at all, and no end of a file is
 * missing without an error. */
#include "tests/repair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#define BLOCK 4096

/* A file's contents as of an instant. */
struct image {
    uint64_t before, oid, size;
    uint64_t *blocks; /* hashes */
};

static size_t block_count(uint64_t size) {
    return (size_t)((size + BLOCK - 1) / BLOCK);
}

/* Of one block, zeros behind the end of the file. */
static int hash_block(struct store *store, const struct inode_version *inode, uint64_t before, size_t block,
                      uint64_t *hash) {
    uint8_t buffer[BLOCK] = {0};
    size_t done = 0;
    int rc = store_read(store, inode, before, (uint64_t)block * BLOCK, BLOCK, buffer, &done);
    *hash = XXH3_64bits(buffer, sizeof buffer);
    return rc;
}

void bench_add_image(struct bench *b, struct store *store, uint64_t before, uint64_t oid) {
    struct inode_version *inode;
    assert_int_equal(store_inode(store, oid, before, &inode), STORE_OK);
    if (S_ISREG(inode->record.mode)) {
        struct image image = {.before = before, .oid = oid, .size = inode->record.size};
        image.blocks = calloc(block_count(image.size) + 1, sizeof *image.blocks);
        assert_non_null(image.blocks);
        for (size_t i = 0; i < block_count(image.size); i++)
            assert_int_equal(hash_block(store, inode, before, i, &image.blocks[i]), STORE_OK);
        b->images = reallocarray(b->images, b->image_count + 1, sizeof *b->images);
        assert_non_null(b->images);
        b->images[b->image_count++] = image;
    }
    store_release(store, inode);
}

void bench_release_images(struct bench *b) {
    for (size_t i = 0; i < b->image_count; i++)
        free(b->images[i].blocks);
    free(b->images);
}

static const struct image *find_image(const struct bench *b, uint64_t before, uint64_t oid) {
    for (size_t i = 0; i < b->image_count; i++)
        if (b->images[i].before == before && b->images[i].oid == oid)
            return &b->images[i];
    return NULL;
}

static void check_file(struct bench *b, struct store *store, uint64_t oid, const char *path,
                       const struct image *image) {
    struct inode_version *inode;
    uint64_t before = store_last(store) + 1, hash;
    bool error = false;
    if (store_inode(store, oid, before, &inode) != STORE_OK)
        return;
    uint64_t size = inode->record.size;
    for (size_t i = 0; i < block_count(size < image->size ? size : image->size); i++) {
        if (hash_block(store, inode, before, i, &hash) != STORE_OK)
            error = true;
        else if (hash != image->blocks[i] && (uint64_t)(i + 1) * BLOCK <= size)
            fail_msg("%s: /%s: other contents at byte %zu of %" PRIu64 " now\n%s", b->what, path, i * (size_t)BLOCK,
                     size, b->told);
    }
    if (size < image->size && !error)
        fail_msg("%s: /%s: had %" PRIu64 " bytes and has %" PRIu64 "\n%s", b->what, path, image->size, size, b->told);
    store_release(store, inode);
    b->lost_files += error;
}

static void check_tree(struct bench *b, struct store *store, uint64_t directory, const char *path) {
    struct list_version *list;
    if (store_list(store, directory, store_last(store) + 1, &list) != STORE_OK)
        fail_msg("%s: /%s cannot be listed\n%s", b->what, path, b->told);
    for (size_t i = 0; i < list->list.count; i++) {
        const struct entry *entry = &list->list.items[i];
        const struct image *image = find_image(b, store_last(store), entry->oid);
        char below[1024];
        (void)snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", entry->name);
        if (S_ISDIR(entry->type))
            check_tree(b, store, entry->oid, below);
        else if (S_ISREG(entry->type) && image) /* else it had been removed, and is back for want of a record of that */
            check_file(b, store, entry->oid, below, image);
    }
    store_release(store, list);
}

void bench_check_head(struct bench *b, struct store *store) {
    b->lost_files = 0;
    if (b->result.damaged)
        check_tree(b, store, ROOT_OID, "");
}
