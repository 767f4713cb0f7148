/* Operations on a head at random: for the tests that cannot think of all orders themselves. */
#ifndef TIDFS_TESTS_HEAD_CHANCE_H
#define TIDFS_TESTS_HEAD_CHANCE_H

#include <linux/fs.h>

#include "tests/head_fixture.h"

#define PATHS 18

struct chance {
    struct fixture *f;
    uint64_t seed;
    char *end;
    int result;
};

static inline uint32_t draw(struct chance *chance, uint32_t below) {
    chance->seed = chance->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(chance->seed >> 33) % below;
}

static inline const char *draw_path(struct chance *chance) {
    static const char *const paths[PATHS] = {"a",   "b",   "c",   "d",   "e",     "f",     "a/a",   "a/b",   "a/c",
                                             "b/a", "b/b", "b/c", "c/a", "a/a/a", "a/a/b", "b/a/a", "b/a/b", "d/d"};
    return paths[draw(chance, PATHS)];
}

/* Most of these work, some do not, which changes nothing. */
static inline void random_operation(struct chance *chance) {
    struct fixture *f = chance->f;
    static const unsigned flags[] = {0, 0, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT};
    const char *path = draw_path(chance), *other = draw_path(chance);
    char name[16];
    (void)snprintf(name, sizeof name, "user.%u", draw(chance, 4));
    switch (draw(chance, 14)) {
    case 0:
    case 1:
        (void)make(f, path, S_IFDIR | 0777, NULL);
        break;
    case 2:
    case 3:
        (void)make(f, path, S_IFREG | 0666, NULL);
        break;
    case 4:
        (void)make(f, path, 0, other);
        break;
    case 5:
        (void)remove_(f, path, draw(chance, 2));
        break;
    case 6:
    case 7:
        (void)rename_(f, path, other, flags[draw(chance, 5)]);
        break;
    case 8:
        (void)link_(f, path, other);
        break;
    case 9:
        (void)write_(f, path, draw(chance, 60000), 1 + draw(chance, 50000), (int)draw(chance, 256), 20000);
        break;
    case 10:
        (void)set(f, path, draw(chance, 2) ? HEAD_SET_SIZE : HEAD_SET_MODE,
                  &(struct head_attr){.size = draw(chance, 90000), .mode = draw(chance, 01000)});
        break;
    case 11:
        (void)copy(f, path, 0, draw(chance, 30000), other, draw(chance, 30000), draw(chance, 60000));
        break;
    case 12:
        (void)set_xattr(f, path, name, path, strlen(path));
        break;
    default:
        (void)set_xattr(f, path, "system.posix_acl_default", acl, sizeof acl);
    }
}

static inline void random_hold(struct chance *chance) {
    struct fixture *f = chance->f;
    struct head_attr attr;
    if (f->held_count == HELD_MAX)
        head_forget(f->head, f->held[--f->held_count], 1);
    uint64_t oid = oid_of(f, draw_path(chance));
    if (oid && head_hold(f->head, oid, &attr) == 0)
        f->held[f->held_count++] = oid;
}

#endif
