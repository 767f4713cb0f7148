/* Diffs of random histories against a comparison of both trees path by path. TIDFS_TEST_SEED and TIDFS_TEST_ROUNDS choose another history. */
#include "tests/diff_fixture.h"

#include <fcntl.h>

static uint64_t random_below(struct fixture *f, uint64_t bound) {
    f->random = f->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (f->random >> 33) % bound;
}

/* A directory of the head, and a name that it may have or not. */
static uint64_t random_slot(struct fixture *f, char name[2]) {
    uint64_t oid = ROOT_OID;
    struct head_attr attr;
    for (uint64_t depth = random_below(f, 5);; depth--) {
        name[0] = (char)('a' + random_below(f, 4));
        name[1] = '\0';
        if (depth == 0 || head_lookup(f->head, oid, name, 1, &attr) != 0)
            return oid;
        head_forget(f->head, attr.oid, 1);
        if (S_ISDIR(attr.mode))
            oid = attr.oid;
    }
}

static uint64_t random_object(struct fixture *f) {
    struct head_attr attr;
    char name[2];
    uint64_t directory = random_slot(f, name);
    if (head_lookup(f->head, directory, name, 1, &attr) != 0)
        return directory;
    head_forget(f->head, attr.oid, 1);
    return attr.oid;
}

/* Few values, so that things become equal again. */
static void random_attributes(struct fixture *f, uint64_t oid) {
    struct head_attr set = {.mode = random_below(f, 2) ? 0644 : 0755,
                            .uid = (uint32_t)random_below(f, 2),
                            .atime = {1000, 0},
                            .mtime = {1000 + (time_t)random_below(f, 2), 0}};
    struct head_attr attr;
    char value[2] = {(char)('0' + random_below(f, 2)), '\0'};
    switch (random_below(f, 8)) {
    case 0:
        (void)head_setattr(f->head, oid, HEAD_SET_MODE, &set, &attr);
        break;
    case 1:
        (void)head_setattr(f->head, oid, HEAD_SET_UID, &set, &attr);
        break;
    case 2:
        (void)head_setxattr(f->head, oid, "user.a", value, 1, 0);
        break;
    case 3:
        (void)head_removexattr(f->head, oid, "user.a");
        break;
    case 4:
        (void)head_write(f->head, oid, random_below(f, 3), 1, (const uint8_t *)value, false);
        break;
    default:
        (void)head_setattr(f->head, oid, HEAD_SET_MTIME | HEAD_SET_ATIME, &set, &attr);
        break;
    }
}

static void random_make(struct fixture *f, uint64_t directory, const char *name) {
    static const uint32_t types[] = {S_IFDIR, S_IFDIR, S_IFREG, S_IFREG, S_IFREG, S_IFLNK, S_IFIFO};
    uint32_t type = types[random_below(f, sizeof types / sizeof types[0])];
    struct head_attr attr;
    const char *target = type != S_IFLNK ? NULL : random_below(f, 2) ? "x" : "y";
    if (head_make(f->head, directory, name, 1, type | 0755, 0, target, &caller, &attr) != 0)
        return;
    head_forget(f->head, attr.oid, 1);
    struct head_attr set = {.mtime = {1000, 0}, .atime = {1000, 0}};
    if (type == S_IFREG)
        (void)head_write(f->head, attr.oid, 0, 1, (const uint8_t *)(random_below(f, 2) ? "0" : "1"), false);
    (void)head_setattr(f->head, attr.oid, HEAD_SET_MTIME | HEAD_SET_ATIME, &set, &attr);
}

/* Fails or not. */
static void random_change(struct fixture *f) {
    char name[2], other[2];
    struct head_attr attr;
    uint64_t directory = random_slot(f, name), to = random_slot(f, other);
    switch (random_below(f, 16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        random_make(f, directory, name);
        break;
    case 4:
    case 5:
    case 6:
        (void)head_rename(f->head, directory, name, 1, to, other, 1, 0);
        break;
    case 7:
        (void)head_rename(f->head, directory, name, 1, to, other, 1, RENAME_EXCHANGE);
        break;
    case 8:
    case 9:
        if (head_link(f->head, random_object(f), directory, name, 1, &attr) == 0)
            head_forget(f->head, attr.oid, 1);
        break;
    case 10:
    case 11:
        (void)head_unlink(f->head, directory, name, 1);
        break;
    case 12:
        (void)head_rmdir(f->head, directory, name, 1);
        break;
    default:
        random_attributes(f, random_object(f));
        break;
    }
}

/* ---- a tree, read as a whole ---- */

struct node {
    char *path;
    uint64_t oid, parent;
    struct inode_record record; /* without its target */
    char *content;              /* of a file or symlink, with its length before it; and the attributes, as text */
    char *xattrs;
    bool away, told; /* for test_apply */
    struct node *above;
    char *name;
};
struct tree {
    struct node *items;
    size_t count, capacity;
};

static void tree_release(struct tree *tree) {
    for (size_t i = 0; i < tree->count; i++) {
        free(tree->items[i].path);
        free(tree->items[i].content);
        free(tree->items[i].xattrs);
        free(tree->items[i].name);
    }
    free(tree->items);
}

static void read_node(struct fixture *f, uint64_t oid, uint64_t before, struct node *node) {
    struct inode_version *inode;
    struct xattrs_version *xattrs;
    uint8_t buffer[64] = {0};
    size_t done = 0;
    assert_int_equal(store_inode(f->store, oid, before, &inode), STORE_OK);
    node->oid = oid;
    node->record = inode->record;
    node->record.target = NULL;
    if (S_ISREG(inode->record.mode))
        assert_int_equal(store_read(f->store, inode, before, 0, sizeof buffer - 1, buffer, &done), STORE_OK);
    /* Holes read as zeros, which end no text here. */
    for (size_t i = 0; i < done; i++)
        buffer[i] = buffer[i] ? buffer[i] : '.';
    node->content = strdup(inode->record.target ? inode->record.target : (char *)buffer);
    char text[64] = "";
    if (inode->record.has_xattrs) {
        assert_int_equal(store_xattrs(f->store, oid, before, &xattrs), STORE_OK);
        if (xattrs->set.count == 1)
            (void)snprintf(text, sizeof text, "%s=%.*s", xattrs->set.items[0].name, (int)xattrs->set.items[0].length,
                           (const char *)xattrs->set.items[0].value);
        store_release(f->store, xattrs);
    }
    node->xattrs = strdup(text);
    store_release(f->store, inode);
}

static void read_directory(struct fixture *f, struct tree *tree, const char *path, uint64_t oid, uint64_t before) {
    struct list_version *list;
    assert_int_equal(store_list(f->store, oid, before, &list), STORE_OK);
    for (size_t i = 0; i < list->list.count; i++) {
        const struct entry *entry = &list->list.items[i];
        assert_true(tree->count < tree->capacity);
        struct node *node = &tree->items[tree->count++];
        size_t size = strlen(path) + entry->name_length + 2;
        *node = (struct node){.parent = oid, .path = malloc(size), .name = strdup(entry->name)};
        assert_non_null(node->path);
        (void)snprintf(node->path, size, "%s%s%s", path, path[0] ? "/" : "", entry->name);
        read_node(f, entry->oid, before, node);
        if (entry->type == S_IFDIR)
            read_directory(f, tree, node->path, entry->oid, before);
    }
    store_release(f->store, list);
}

static int compare_nodes(const void *a, const void *b) {
    return strcmp(((const struct node *)a)->path, ((const struct node *)b)->path);
}

static struct node *tree_find(const struct tree *tree, const char *path) {
    struct node key = {.path = (char *)(uintptr_t)path};
    return bsearch(&key, tree->items, tree->count, sizeof *tree->items, compare_nodes);
}

/* Sorted by path; the root is left out. */
static void tree_read(struct fixture *f, uint64_t before, struct tree *tree) {
    *tree = (struct tree){.capacity = 100000};
    tree->items = calloc(tree->capacity, sizeof *tree->items);
    assert_non_null(tree->items);
    if (before > 1)
        read_directory(f, tree, "", ROOT_OID, before);
    qsort(tree->items, tree->count, sizeof *tree->items, compare_nodes);
    for (size_t i = 0; i < tree->count; i++) {
        struct node *node = &tree->items[i];
        const char *slash = strrchr(node->path, '/');
        if (slash) {
            char *directory = strndup(node->path, (size_t)(slash - node->path));
            node->above = tree_find(tree, directory);
            assert_non_null(node->above);
            free(directory);
        }
    }
}

static bool tree_has(const struct tree *tree, uint64_t oid) {
    for (size_t i = 0; i < tree->count; i++)
        if (tree->items[i].oid == oid)
            return true;
    return false;
}

/* What differs, from the definition. */
static unsigned compare(const struct node *a, const struct node *b) {
    unsigned what = 0;
    bool same_object = a->oid == b->oid, directory = S_ISDIR(a->record.mode);
    bool same_mtime =
        a->record.mtime.tv_sec == b->record.mtime.tv_sec && a->record.mtime.tv_nsec == b->record.mtime.tv_nsec;
    bool same_atime =
        a->record.atime.tv_sec == b->record.atime.tv_sec && a->record.atime.tv_nsec == b->record.atime.tv_nsec;
    if (!directory && strcmp(a->content, b->content) != 0)
        what |= CHANGED_CONTENT;
    if (a->record.mode != b->record.mode)
        what |= CHANGED_MODE;
    if (a->record.uid != b->record.uid || a->record.gid != b->record.gid)
        what |= CHANGED_OWNER;
    if (strcmp(a->xattrs, b->xattrs) != 0)
        what |= CHANGED_XATTR;
    if (directory ? same_object && a->record.next_index == b->record.next_index && a->record.size == b->record.size &&
                        (!same_mtime || !same_atime)
                  : !same_mtime || (same_object && !same_atime))
        what |= CHANGED_TIMES;
    return what;
}

static unsigned compare_roots(struct fixture *f, uint64_t a, uint64_t b) {
    struct node x = {0}, y = {0};
    if (a == 1 || b == 1)
        return 0;
    read_node(f, ROOT_OID, a, &x);
    read_node(f, ROOT_OID, b, &y);
    unsigned what = compare(&x, &y);
    free(x.content);
    free(x.xattrs);
    free(y.content);
    free(y.xattrs);
    return what;
}

/* What no_renames must give. */
static char *expected_by_path(const struct tree *a, const struct tree *b, unsigned root) {
    size_t size = (a->count + b->count + 1) * 256, i = 0, j = 0;
    char *text = calloc(1, size);
    assert_non_null(text);
    if (root != 0)
        add_words(text, size, &(struct change){.kind = 'M', .old_path = "", .new_path = "", .what = root});
    while (i < a->count || j < b->count) {
        const struct node *x = i < a->count ? &a->items[i] : NULL, *y = j < b->count ? &b->items[j] : NULL;
        int order = !x ? 1 : !y ? -1 : strcmp(x->path, y->path);
        struct change change = {0};
        if (order < 0) {
            change = (struct change){.kind = 'D', .old_path = x->path, .linked = tree_has(b, x->oid)};
            i++;
        } else if (order > 0) {
            change = (struct change){.kind = 'A', .new_path = y->path, .linked = tree_has(a, y->oid)};
            j++;
        } else {
            bool same_type = (x->record.mode & S_IFMT) == (y->record.mode & S_IFMT);
            change = (struct change){.kind = same_type ? 'M' : 'T',
                                     .old_path = x->path,
                                     .new_path = y->path,
                                     .replaced = x->oid != y->oid,
                                     .what = same_type ? compare(x, y) : 0};
            i++;
            j++;
            if (same_type && change.what == 0)
                continue;
        }
        add_words(text, size, &change);
    }
    return text;
}

/* ---- what must hold of every diff ---- */

static void check_order(const struct change_list *changes) {
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *x = &changes->items[i];
        const char *path = x->new_path ? x->new_path : x->old_path;
        assert_int_equal(x->old_path != NULL, x->old.oid != 0);
        assert_int_equal(x->new_path != NULL, x->new.oid != 0);
        if (x->kind != CHANGE_MODIFIED && x->kind != CHANGE_RENAMED)
            assert_int_equal(x->what, 0);
        if (i > 0) {
            const struct change *before = &changes->items[i - 1];
            assert_true(strcmp(before->new_path ? before->new_path : before->old_path, path) <= 0);
        }
        for (size_t j = 0; j < i; j++) {
            const struct change *y = &changes->items[j];
            assert_false(x->new_path && y->new_path && strcmp(x->new_path, y->new_path) == 0);
            assert_false(x->old_path && y->old_path && strcmp(x->old_path, y->old_path) == 0);
        }
    }
}

/* The node at a path after what is away is away; NULL if there is none. */
static struct node *find_now(struct tree *tree, const char *path) {
    char *copy = strdup(path), *rest = copy;
    struct node *above = NULL;
    assert_non_null(copy);
    while (rest) {
        char *name = strsep(&rest, "/");
        struct node *found = NULL;
        for (size_t i = 0; i < tree->count && !found; i++) {
            struct node *node = &tree->items[i];
            if (!node->away && node->above == above && strcmp(node->name, name) == 0)
                found = node;
        }
        above = found;
        if (!found)
            break;
    }
    free(copy);
    return above;
}

static void put(struct tree *tree, struct node *node, const char *path) {
    const char *slash = strrchr(path, '/');
    struct node *above = NULL;
    assert_null(find_now(tree, path));
    if (slash) {
        char *directory = strndup(path, (size_t)(slash - path));
        above = find_now(tree, directory);
        assert_non_null(above);
        free(directory);
    }
    free(node->name);
    node->name = strdup(slash ? slash + 1 : path);
    node->above = above;
    node->away = false;
    node->told = true;
}

/* Applies the changes to `a` as the header says, and compares with `b`. */
static void check_apply(struct tree *a, const struct tree *b, const struct change_list *changes, bool by_path) {
    struct node **moved = calloc(changes->count + 1, sizeof *moved);
    assert_non_null(moved);
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        if (change->old_path && change->old_path[0]) {
            moved[i] = tree_find(a, change->old_path);
            assert_non_null(moved[i]);
            assert_int_equal(moved[i]->oid, change->old.oid);
        }
        if (change->kind == CHANGE_RENAMED && change->replaced) {
            struct node *replaced = tree_find(a, change->new_path);
            assert_non_null(replaced);
            replaced->away = true;
        }
    }
    for (size_t i = 0; i < changes->count; i++)
        if (moved[i])
            moved[i]->away = true;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *change = &changes->items[i];
        if (!change->new_path || !change->new_path[0])
            continue;
        if (!moved[i]) {
            assert_true(a->count < a->capacity);
            moved[i] = &a->items[a->count++];
            *moved[i] = (struct node){.away = true};
        }
        put(a, moved[i], change->new_path);
        moved[i]->oid = change->new.oid;
    }
    free(moved);
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->items[i].away)
            continue;
        count++;
        for (const struct node *above = a->items[i].above; above; above = above->above)
            assert_false(above->away);
    }
    assert_int_equal(count, b->count);
    for (size_t i = 0; i < b->count; i++) {
        const struct node *wanted = &b->items[i], *got = find_now(a, wanted->path);
        assert_non_null(got);
        if (got->told) {
            assert_int_equal(got->oid, wanted->oid);
            continue;
        }
        assert_int_equal(got->record.mode & S_IFMT, wanted->record.mode & S_IFMT);
        assert_int_equal(compare(got, wanted), 0);
        if (!by_path && got->oid != wanted->oid && !S_ISDIR(got->record.mode))
            assert_true(got->record.nlink == 1 && wanted->record.nlink == 1);
    }
}

/* Nothing is told that is none, and nothing as two that is one. */
static void check_sense(const struct tree *a, const struct tree *b, const struct change_list *changes,
                        const struct diff_options *options) {
    bool by_path = options->no_renames || options->each_file;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *x = &changes->items[i];
        const struct node *old = x->old_path && x->old_path[0] ? tree_find(a, x->old_path) : NULL;
        const struct node *new = x->new_path && x->new_path[0] ? tree_find(b, x->new_path) : NULL;
        assert_false(options->no_renames && x->kind == CHANGE_RENAMED);
        if (x->kind == CHANGE_RENAMED) {
            assert_int_equal(x->old.oid, x->new.oid);
            assert_int_equal(x->what, compare(old, new));
            assert_true(options->each_file || old->parent != new->parent || strcmp(old->name, new->name) != 0);
        }
        if (x->kind == CHANGE_RENAMED && options->each_file) {
            assert_null(tree_find(b, x->old_path));
            assert_null(tree_find(a, x->new_path));
            assert_false(S_ISDIR(x->old.mode) || x->replaced);
        }
        if (x->kind == CHANGE_MODIFIED && old) {
            assert_int_equal(x->what, compare(old, new));
            assert_int_equal(x->replaced, x->old.oid != x->new.oid);
            assert_true(x->what != 0 || (!by_path && x->replaced && (x->old.nlink > 1 || x->new.nlink > 1)));
        }
        if (x->kind == CHANGE_DELETED || x->kind == CHANGE_ADDED)
            assert_int_equal(x->linked, x->kind == CHANGE_ADDED ? tree_has(a, new->oid) : tree_has(b, old->oid));
        if (by_path || x->kind != CHANGE_DELETED)
            continue;
        for (size_t j = 0; j < changes->count; j++) {
            const struct change *y = &changes->items[j];
            if (y->kind != CHANGE_ADDED)
                continue;
            assert_int_not_equal(x->old.oid, y->new.oid);
            const struct node *added = tree_find(b, y->new_path);
            assert_false(added->parent == old->parent && strcmp(added->name, old->name) == 0);
        }
    }
}

static bool same_path(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The change of `changes` that `wanted` is when the sides are swapped. */
static bool has_mirrored(const struct change_list *changes, const struct change *wanted) {
    enum change_kind kind = wanted->kind == CHANGE_ADDED     ? CHANGE_DELETED
                            : wanted->kind == CHANGE_DELETED ? CHANGE_ADDED
                                                             : wanted->kind;
    for (size_t i = 0; i < changes->count; i++) {
        const struct change *x = &changes->items[i];
        if (x->kind == kind && x->what == wanted->what && same_path(x->old_path, wanted->new_path) &&
            same_path(x->new_path, wanted->old_path) && x->linked == wanted->linked &&
            x->old.revision == wanted->new.revision && x->new.revision == wanted->old.revision &&
            (kind == CHANGE_RENAMED || x->replaced == wanted->replaced))
            return true;
    }
    return false;
}

static void check_mirror(const struct change_list *forward, const struct change_list *backward) {
    size_t replaced[2] = {0, 0}, missing[2] = {0, 0};
    const struct change_list *lists[2] = {forward, backward};
    for (int way = 0; way < 2; way++)
        for (size_t i = 0; i < lists[way]->count; i++) {
            const struct change *x = &lists[way]->items[i];
            replaced[way] += x->kind == CHANGE_RENAMED && x->replaced;
            if (has_mirrored(lists[1 - way], x))
                continue;
            assert_int_equal(x->kind, CHANGE_ADDED); /* what a rename replaced, told the other way */
            missing[way]++;
        }
    assert_int_equal(missing[0], replaced[1]);
    assert_int_equal(missing[1], replaced[0]);
}

static void check_same(const struct change_list *a, const struct change_list *b) {
    char *x = changes_text(a), *y = changes_text(b);
    assert_string_equal(x, y);
    free(x);
    free(y);
}

/* With paths to look at, the same is told as without, as far as it lies there. */
static void check_filter(struct fixture *f, const struct diff_options *options, const struct change_list *all,
                         const struct tree *a, const struct tree *b) {
    const struct tree *from = random_below(f, 2) ? a : b;
    if (from->count == 0)
        return;
    const char *path = from->items[random_below(f, from->count)].path;
    struct diff_options filtered = *options;
    filtered.paths = &path;
    filtered.path_count = 1;
    struct change_list some = {.items = calloc(all->count + 1, sizeof *some.items)}, got;
    struct diff diff = {.filtered = true, .options = &filtered};
    assert_non_null(some.items);
    for (size_t i = 0; i < all->count; i++)
        if (diff_wants(&diff, all->items[i].old_path, all->items[i].new_path))
            some.items[some.count++] = all->items[i];
    for (enum diff_strategy strategy = DIFF_SCAN; strategy <= DIFF_WALK; strategy++) {
        run(f, &filtered, strategy, &got);
        check_same(&some, &got);
        change_list_release(&got);
    }
    free(some.items);
}

static void check_mode(struct fixture *f, const struct diff_options *options, const struct tree *b) {
    struct change_list scanned, walked, backward;
    struct tree a;
    struct diff_options reverse = *options;
    bool by_path = options->no_renames || options->each_file;
    reverse.before_a = options->before_b;
    reverse.before_b = options->before_a;
    tree_read(f, options->before_a, &a);
    run(f, options, DIFF_SCAN, &scanned);
    run(f, options, DIFF_WALK, &walked);
    check_same(&scanned, &walked);
    check_order(&scanned);
    check_sense(&a, b, &scanned, options);
    check_filter(f, options, &scanned, &a, b);
    run(f, &reverse, DIFF_AUTO, &backward);
    check_mirror(&scanned, &backward);
    if (options->no_renames) {
        char *text = changes_text(&scanned);
        char *expected = expected_by_path(&a, b, compare_roots(f, options->before_a, options->before_b));
        assert_string_equal(text, expected);
        free(text);
        free(expected);
    }
    check_apply(&a, b, &scanned, by_path); /* spends a */
    tree_release(&a);
    change_list_release(&scanned);
    change_list_release(&walked);
    change_list_release(&backward);
}

static void check_pair(struct fixture *f, uint64_t before_a, uint64_t before_b) {
    struct tree b;
    tree_read(f, before_b, &b);
    struct diff_options options = {.before_a = before_a, .before_b = before_b};
    check_mode(f, &options, &b);
    options.no_renames = true;
    check_mode(f, &options, &b);
    options = (struct diff_options){.before_a = before_a, .before_b = before_b, .each_file = true};
    check_mode(f, &options, &b);
    tree_release(&b);
}

static void test_diff_random__histories_agree_with_the_trees(void **state) {
    struct fixture *f = *state;
    const char *seed = getenv("TIDFS_TEST_SEED"), *rounds = getenv("TIDFS_TEST_ROUNDS");
    f->random = seed ? strtoull(seed, NULL, 10) : 4;
    uint64_t transactions = rounds ? strtoull(rounds, NULL, 10) : 60;
    for (uint64_t i = 0; i < transactions; i++) {
        for (uint64_t changes = 1 + random_below(f, 12); changes > 0; changes--)
            random_change(f);
        (void)seal(f);
        uint64_t last = store_last(f->store) + 1, near = last > 4 ? last - 1 - random_below(f, 4) : 1;
        check_pair(f, near, last);
        check_pair(f, 1 + random_below(f, last), 1 + random_below(f, last));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_diff_random__histories_agree_with_the_trees, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
