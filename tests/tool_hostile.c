/* Makes the hostile stores (tests/hostile.h) for tests/mount_hostile.sh.
 *
 *     tool_hostile list                 their names, a line each
 *     tool_hostile base DIRECTORY       the store that they are made from
 *     tool_hostile change DIRECTORY NAME   makes a copy of it the store of that name
 */
#include <stdio.h>
#include <string.h>

#include "tests/hostile.h"

static int change(const char *directory, const char *name) {
    for (size_t i = 0; i < hostile_store_count; i++) {
        if (strcmp(hostile_stores[i].name, name) == 0) {
            hostile_change(directory, &hostile_stores[i]);
            return 0;
        }
    }
    (void)fprintf(stderr, "no store is called %s\n", name);
    return 2;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        for (size_t i = 0; i < hostile_store_count; i++)
            puts(hostile_stores[i].name);
        return 0;
    }
    if (argc == 3 && strcmp(argv[1], "base") == 0) {
        hostile_make_base(argv[2]);
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "change") == 0)
        return change(argv[2], argv[3]);
    (void)fputs("usage: tool_hostile list | base DIRECTORY | change DIRECTORY NAME\n", stderr);
    return 2;
}
