/* Remembered moments: what the tree was, and that its view still shows it. */
#include "tests/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int command_run(const char *command, char *text, size_t size) {
    FILE *output = popen(command, "re");
    if (output == NULL) {
        (void)fprintf(stderr, "tool_random: '%s': %s\n", command, strerror(errno));
        return -1;
    }
    size_t length = fread(text, 1, size - 1, output);
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    int status = pclose(output);
    if (status != 0)
        (void)fprintf(stderr, "tool_random: '%s' failed (status %d)\n", command, status);
    return status == 0 ? 0 : -1;
}

int moments_add(struct moments *moments, const char *command, const char *root) {
    if (moments->count == moments->capacity) {
        size_t capacity = moments->capacity == 0 ? 16 : moments->capacity * 2;
        struct moment *items = realloc(moments->items, capacity * sizeof *items);
        if (items == NULL) {
            (void)fprintf(stderr, "tool_random: out of memory\n");
            return -1;
        }
        moments->items = items;
        moments->capacity = capacity;
    }
    struct moment *moment = &moments->items[moments->count];
    if (command_run(command, moment->tid, sizeof moment->tid) != 0 || tree_read(root, &moment->tree) != 0)
        return -1;
    moments->count++;
    return 0;
}

/* The pattern with the tid in the place of its first %. */
static void view_path(const char *pattern, const char *tid, const char *name, char *path, size_t size) {
    size_t before = strcspn(pattern, "%");
    const char *after = pattern[before] != '\0' ? pattern + before + 1 : "";
    (void)snprintf(path, size, "%.*s%s%s/%s", (int)before, pattern, tid, after, name);
}

int moments_check(const struct moments *moments, size_t number, const char *pattern, const char *name) {
    const struct moment *moment = &moments->items[number];
    struct tree tree;
    char path[4096];
    view_path(pattern, moment->tid, name, path, sizeof path);
    if (tree_read(path, &tree) != 0)
        return -1;
    bool equal = trees_equal(&tree, &moment->tree, TREE_SAME, NULL, NULL);
    if (!equal)
        printf("  first is what %s shows now, second what the head was at that moment\n", path);
    tree_release(&tree);
    return equal ? 1 : 0;
}

/* The one of the moment's files with data that the number says. NULL: it has none. */
static const struct entry *some_file(const struct tree *tree, uint64_t number) {
    size_t count = 0;
    for (size_t i = 0; i < tree->count; i++)
        count += S_ISREG(tree->entries[i].stat.st_mode) && tree->entries[i].stat.st_size > 0;
    for (size_t i = 0, left = count == 0 ? 0 : number % count; count > 0 && i < tree->count; i++) {
        if (S_ISREG(tree->entries[i].stat.st_mode) && tree->entries[i].stat.st_size > 0 && left-- == 0)
            return &tree->entries[i];
    }
    return NULL;
}

static int64_t copy_shared(int source, int target, const struct operation *operation) {
    off_t from = operation->from, to = operation->offset;
    int64_t copied = 0;
    ssize_t step = 1;
    while (step > 0 && copied < operation->length) {
        step = copy_file_range(source, &from, target, &to, (size_t)(operation->length - copied), 0);
        copied += step > 0 ? step : 0;
    }
    return step < 0 && copied == 0 ? -1 : copied;
}

static int64_t copy_by_hand(int source, int target, const struct operation *operation, uint8_t *buffer) {
    int64_t length = operation->length < FILE_BYTES ? operation->length : FILE_BYTES;
    ssize_t got = pread(source, buffer, (size_t)length, operation->from);
    return got <= 0 ? got : pwrite(target, buffer, (size_t)got, operation->offset);
}

int moments_restore(const struct moments *moments, const char *pattern, const char *name, const struct side sides[2],
                    const struct operation *operation, struct outcome outcomes[2]) {
    char path[4096], full[8192];
    const struct moment *moment = moments->count == 0 ? NULL : &moments->items[operation->seed % moments->count];
    const struct entry *file = moment == NULL ? NULL : some_file(&moment->tree, operation->seed >> 32);
    outcomes[0] = outcomes[1] = (struct outcome){.result = 0};
    if (file == NULL)
        return 1;
    view_path(pattern, moment->tid, name, path, sizeof path);
    (void)snprintf(full, sizeof full, "%s/%s", path, file->path);
    int source = open(full, O_RDONLY | O_CLOEXEC);
    if (source < 0) {
        (void)fprintf(stderr, "tool_random: %s: %s\n", full, strerror(errno));
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        struct stat stat;
        int target = openat(sides[i].root_fd, operation->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        /* What the errno would be depends on the way of copying, so that is not compared. */
        if (target < 0 || fstat(target, &stat) != 0 || !S_ISREG(stat.st_mode)) {
            outcomes[i].result = -1;
        } else if (i == 0) {
            outcomes[i].result = copy_shared(source, target, operation);
        } else {
            outcomes[i].result = copy_by_hand(source, target, operation, sides[i].buffer);
        }
        if (target >= 0)
            close(target);
        operation_note_states(&sides[i], operation, &outcomes[i]);
    }
    close(source);
    return 1;
}

void moments_release(struct moments *moments) {
    for (size_t i = 0; i < moments->count; i++)
        tree_release(&moments->items[i].tree);
    free(moments->items);
    *moments = (struct moments){.count = 0};
}
