/* Buffers for replies. A megabyte from malloc comes from the kernel page by page, each time; so a few are kept. */
#include <stdlib.h>

#include "fs/driver_private.h"

#define KEPT_MAX   16
#define SMALL_SIZE 65536 /* malloc is good at these */

struct buffers {
    pthread_mutex_t lock;
    void *kept[KEPT_MAX]; /* lock; BUFFER_SIZE each */
    size_t count;         /* lock */
};

struct buffers *buffers_new(void) {
    struct buffers *buffers = calloc(1, sizeof *buffers);
    if (buffers != NULL && pthread_mutex_init(&buffers->lock, NULL) != 0) {
        free(buffers);
        return NULL;
    }
    return buffers;
}

void buffers_free(struct buffers *buffers) {
    if (buffers == NULL) {
        return;
    }
    while (buffers->count > 0) {
        free(buffers->kept[--buffers->count]);
    }
    pthread_mutex_destroy(&buffers->lock);
    free(buffers);
}

static bool is_kept_size(size_t size) {
    return size > SMALL_SIZE && size <= BUFFER_SIZE;
}

void *buffers_take(struct buffers *buffers, size_t size) {
    if (!is_kept_size(size)) {
        return malloc(size > 0 ? size : 1);
    }
    void *buffer = NULL;
    pthread_mutex_lock(&buffers->lock);
    if (buffers->count > 0) {
        buffer = buffers->kept[--buffers->count];
    }
    pthread_mutex_unlock(&buffers->lock);
    return buffer != NULL ? buffer : malloc(BUFFER_SIZE);
}

void buffers_give(struct buffers *buffers, void *buffer, size_t size) {
    if (buffer != NULL && is_kept_size(size)) {
        pthread_mutex_lock(&buffers->lock);
        if (buffers->count < KEPT_MAX) {
            buffers->kept[buffers->count++] = buffer;
            buffer = NULL;
        }
        pthread_mutex_unlock(&buffers->lock);
    }
    free(buffer);
}
