#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/control.h"
#include "fs/restore_order.h"
#include "tests/driver_faults.h"

#define LARGE ((size_t)100 * 1024)

/* ---- names ---- */

static int64_t lookup(struct world *world, const char *name, bool there) {
    struct fuse_entry_out entry;
    int rc = fake_lookup(&world->mount, world->nodes[0], name, &entry);
    if (rc == 0 && entry.nodeid != 0) {
        (void)fake_forget(&world->mount, entry.nodeid, 1);
    }
    return rc != 0 ? rc : (entry.nodeid != 0) == there ? 0 : FAKE_NO_REPLY;
}

static int64_t lookup_deep(struct world *world) {
    return lookup(world, "deep", true);
}
static int64_t lookup_nothing(struct world *world) {
    return lookup(world, "nothing", false);
}
static int64_t lookup_parent(struct world *world) {
    return lookup(world, "..", true);
}
static int64_t lookup_now(struct world *world) {
    return lookup(world, "now", true);
}
static int64_t lookup_step(struct world *world) {
    return lookup(world, "now~2", true);
}
static int64_t lookup_tag(struct world *world) {
    return lookup(world, "release^", true);
}
static int64_t lookup_instant(struct world *world) {
    char name[32];
    (void)snprintf(name, sizeof name, "%016" PRIx64, world->instants->tids[1]);
    return lookup(world, name, true);
}
static int64_t lookup_dir(struct world *world) {
    return lookup(world, "dir", true);
}
static int64_t lookup_no_time(struct world *world) {
    struct fuse_entry_out entry;
    int rc = fake_lookup(&world->mount, world->nodes[0], "no-such-tag", &entry);
    return rc == -ENOENT ? 0 : rc != 0 ? rc : FAKE_NO_REPLY;
}

static int64_t keep(struct world *world, int rc, uint64_t node) {
    if (rc == 0) {
        (void)fake_forget(&world->mount, node, 1);
    }
    return rc;
}
static int64_t make_file(struct world *world) {
    uint64_t node = 0;
    int rc = fake_mknod(&world->mount, world->nodes[0], "new", S_IFREG | 0644, &node);
    return keep(world, rc, node);
}
/* For what shows it: not in the directory that is asked. */
static int64_t make_elsewhere(struct world *world) {
    uint64_t node = 0;
    int rc = fake_mknod(&world->mount, world->nodes[1], "new", S_IFREG | 0644, &node);
    return keep(world, rc, node);
}
static int64_t make_device(struct world *world) {
    uint64_t node = 0;
    int rc = fake_mknod(&world->mount, world->nodes[0], "new", S_IFCHR | 0600, &node);
    return keep(world, rc, node);
}
static int64_t make_directory(struct world *world) {
    uint64_t node = 0;
    int rc = fake_mkdir(&world->mount, world->nodes[0], "new", 0755, &node);
    return keep(world, rc, node);
}
static int64_t make_symlink(struct world *world) {
    uint64_t node = 0;
    int rc = fake_symlink(&world->mount, world->nodes[0], "new", "where/it/leads", &node);
    return keep(world, rc, node);
}
static int64_t make_link(struct world *world) {
    return fake_link(&world->mount, world->nodes[1], world->nodes[0], "new");
}
static int64_t remove_hard(struct world *world) {
    return fake_unlink(&world->mount, world->nodes[0], "hard");
}
static int64_t remove_closed(struct world *world) {
    return fake_rmdir(&world->mount, world->nodes[0], "closed");
}
static int64_t rename_plainly(struct world *world) {
    return fake_rename(&world->mount, world->nodes[0], "sparse", world->nodes[1], "moved", 0);
}
static int64_t rename_over(struct world *world) {
    return fake_rename(&world->mount, world->nodes[0], "sparse", world->nodes[1], "file", 0);
}
static int64_t rename_directory(struct world *world) {
    return fake_rename(&world->mount, world->nodes[0], "turned", world->nodes[1], "turned", RENAME_NOREPLACE);
}
static int64_t rename_exchange(struct world *world) {
    /* Asked twice it would be as it was: but it is asked again only if it failed. */
    return fake_rename(&world->mount, world->nodes[0], "sparse", world->nodes[1], "file", RENAME_EXCHANGE);
}

/* ---- attributes ---- */

static int64_t ask_attributes(struct world *world) {
    return fake_getattr(&world->mount, world->nodes[0], NULL);
}
static int64_t change_mode(struct world *world) {
    const struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 0640};
    return fake_setattr(&world->mount, world->nodes[0], &in, NULL);
}
static int64_t change_owner(struct world *world) {
    const struct fuse_setattr_in in = {.valid = FATTR_UID | FATTR_GID, .uid = 7, .gid = 8};
    return fake_setattr(&world->mount, world->nodes[0], &in, NULL);
}
static int64_t change_size(struct world *world) {
    const struct fuse_setattr_in in = {.valid = FATTR_SIZE, .size = 70001};
    return fake_setattr(&world->mount, world->nodes[0], &in, NULL);
}
static int64_t change_times(struct world *world) {
    const struct fuse_setattr_in in = {
        .valid = FATTR_ATIME | FATTR_MTIME | FATTR_MTIME_NOW, .atime = 1, .atimensec = 2};
    return fake_setattr(&world->mount, world->nodes[0], &in, NULL);
}
static int64_t ask_target(struct world *world) {
    char target[4096];
    return fake_readlink(&world->mount, world->nodes[0], target, sizeof target);
}
static int64_t ask_disk(struct world *world) {
    return fake_statfs(&world->mount, world->nodes[0], NULL);
}

static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 2,   0,  7,
                              0, 5, 0,   0,   0,   4,   0,  5, 0,   255, 255, 255, 255, 16, 0,
                              7, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};

static int64_t set_xattr(struct world *world) {
    return fake_setxattr(&world->mount, world->nodes[0], "user.new", "some value", 10, 0);
}
static int64_t set_large_xattr(struct world *world) {
    static const char value[60000];
    return fake_setxattr(&world->mount, world->nodes[0], "user.a", value, sizeof value, 0);
}
static int64_t set_acl(struct world *world) {
    return fake_setxattr(&world->mount, world->nodes[0], "system.posix_acl_access", acl, sizeof acl, 0);
}
static int64_t ask_xattr(struct world *world) {
    char value[256];
    int64_t length = fake_getxattr(&world->mount, world->nodes[0], "user.a", value, sizeof value);
    return length < 0 ? length : length == 5 && memcmp(value, "value", 5) == 0 ? 0 : FAKE_NO_REPLY;
}
static int64_t ask_xattrs(struct world *world) {
    char list[1024];
    int64_t length = fake_listxattr(&world->mount, world->nodes[0], list, sizeof list);
    return length < 0 ? length : length > 0 ? 0 : FAKE_NO_REPLY;
}
static int64_t remove_xattr(struct world *world) {
    int rc = fake_removexattr(&world->mount, world->nodes[0], "user.a");
    return rc;
}

/* ---- content ---- */

static int64_t read_all(struct world *world) {
    uint8_t *buffer = malloc(LARGE);
    int64_t got = buffer == NULL ? -ENOMEM : fake_read(&world->mount, world->nodes[0], 0, buffer, LARGE);
    free(buffer);
    return got == 0 ? FAKE_NO_REPLY : got;
}

static int64_t write_bytes(struct world *world, uint64_t offset, size_t size) {
    uint8_t *data = malloc(size);
    int64_t done = 0;
    size_t at = 0;
    for (size_t i = 0; data != NULL && i < size; i++) {
        data[i] = (uint8_t)(i * 31 + i / 257);
    }
    while (data != NULL && at < size && done >= 0) {
        done = fake_write(&world->mount, world->nodes[0], offset + at, data + at, size - at);
        at += done > 0 ? (size_t)done : 0;
        done = done == 0 ? FAKE_NO_REPLY : done;
    }
    free(data);
    return data == NULL ? -ENOMEM : done;
}
static int64_t write_little(struct world *world) {
    return write_bytes(world, 65500, 100);
}
static int64_t write_much(struct world *world) {
    return write_bytes(world, 4096, LARGE);
}
static int64_t make_durable(struct world *world) {
    return fake_fsync(&world->mount, world->nodes[0], false);
}
static int64_t make_directory_durable(struct world *world) {
    return fake_fsync(&world->mount, world->nodes[0], true);
}
/* For a commit of some size, with names, attributes and content. */
static int64_t change_much(struct world *world) {
    uint64_t node = 0;
    int64_t rc = write_much(world);
    for (int i = 0; rc >= 0 && i < 8; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "n%d", i);
        rc = fake_mknod(&world->mount, world->nodes[1], name, S_IFREG | 0600, &node);
        rc = keep(world, (int)rc, node);
    }
    return rc < 0 ? rc : set_xattr(world);
}
static int64_t copy_all(struct world *world) {
    return fake_copy(&world->mount, world->nodes[1], 0, world->nodes[0], 8192, LARGE);
}
static int64_t seek_hole(struct world *world) {
    return fake_lseek(&world->mount, world->nodes[0], 0, SEEK_HOLE);
}
static int64_t seek_data(struct world *world) {
    return fake_lseek(&world->mount, world->nodes[0], 0, SEEK_DATA);
}
static int64_t punch(struct world *world) {
    return fake_fallocate(&world->mount, world->nodes[0], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, 70000);
}
static int64_t allocate(struct world *world) {
    return fake_fallocate(&world->mount, world->nodes[0], 0, 90000, 100000);
}

/* ---- listings ---- */

static void count_name(void *context, const char *name, const struct fuse_entry_out *entry) {
    size_t *count = context;
    (void)name;
    (void)entry;
    ++*count;
}
/* An error may come after some names; but then not all came. */
static int64_t list(struct world *world, bool plus) {
    size_t count = 0;
    int rc = fake_list(&world->mount, world->nodes[0], plus, count_name, &count);
    if (rc == 0 && world->number != 0 && count != world->number) {
        return FAKE_NO_REPLY;
    }
    return rc;
}
static int64_t count_names(struct world *world) {
    int rc = fake_list(&world->mount, world->nodes[0], false, count_name, &world->number);
    return rc;
}
static int64_t list_names(struct world *world) {
    return list(world, false);
}
static int64_t list_plus(struct world *world) {
    return list(world, true);
}

/* ---- ioctl ---- */

static int64_t ask_status(struct world *world) {
    struct control_status *status = calloc(1, sizeof *status);
    int rc = status == NULL ? -ENOMEM : fake_ioctl(&world->mount, FUSE_ROOT_ID, CONTROL_STATUS, status, sizeof *status);
    free(status);
    return rc;
}
static int64_t commit(struct world *world) {
    struct control_commit *order = calloc(1, sizeof *order);
    if (order == NULL) {
        return -ENOMEM;
    }
    order->by_caller = 1;
    (void)snprintf(order->message, sizeof order->message, "why");
    int rc = fake_ioctl(&world->mount, FUSE_ROOT_ID, CONTROL_COMMIT, order, sizeof *order);
    free(order);
    return rc;
}

/* Piece and run: when the run failed the order is gone, so both again. */
static int64_t restore(struct world *world, const struct restore_request *request) {
    const struct restore_order order = {.request = *request, .user = "", .message = ""};
    struct control_restore_piece piece = {0};
    struct control_restore_run run = {0};
    uint8_t *block = NULL;
    size_t length = 0;
    if (restore_order_encode(&order, &block, &length) != STORE_OK || length > sizeof piece.data) {
        free(block);
        return FAKE_NO_REPLY;
    }
    memcpy(piece.data, block, length);
    piece.length = length;
    free(block);
    int rc = fake_ioctl(&world->mount, FUSE_ROOT_ID, CONTROL_RESTORE_PIECE, &piece, sizeof piece);
    run.id = piece.id;
    rc = rc != 0 ? rc : fake_ioctl(&world->mount, FUSE_ROOT_ID, CONTROL_RESTORE_RUN, &run, sizeof run);
    if (rc == 0 && run.code != STORE_OK) {
        rc = -store_error_errno((int)run.code);
    }
    return rc != 0 ? rc : run.outcome == RESTORE_DONE ? 0 : FAKE_NO_REPLY;
}
static int64_t revert(struct world *world) {
    const char *const paths[] = {"gone", "dir/sub/deep"};
    return restore(
        world, &(struct restore_request){
                   .kind = RESTORE_REVERT, .before = world->instants->seqs[0] + 1, .paths = paths, .path_count = 2});
}
static int64_t undo(struct world *world) {
    return restore(world,
                   &(struct restore_request){.kind = RESTORE_UNDO, .seqs = &world->instants->seqs[3], .seq_count = 1});
}

/* ---- forgetting ---- */

static int64_t forget(struct world *world) {
    for (uint64_t i = 0; i < STEP_NODES; i++) {
        (void)fake_forget(&world->mount, world->nodes[i], 3);
    }
    (void)fake_forget_two(&world->mount, world->nodes[0], world->nodes[1]);
    return fake_getattr(&world->mount, FUSE_ROOT_ID, NULL);
}

#define HEAD     "head"
#define SUB      "head/dir/sub"
#define DEEP     "head/dir/sub/deep"
#define OLD      "at/%0"
#define OLD_SUB  "at/%0/dir/sub"
#define OLD_DEEP "at/%0/dir/sub/deep"
#define SHARED   "allow_other,history=all"

const struct step steps[] = {
    {"lookup", "rw", {SUB}, NULL, lookup_deep},
    {"lookup_of_nothing", "rw", {SUB}, NULL, lookup_nothing},
    {"lookup_of_parent", "rw", {SUB}, NULL, lookup_parent},
    {"lookup_in_view", "rw", {OLD_SUB}, NULL, lookup_deep},
    {"lookup_of_nothing_in_view", "rw", {OLD_SUB}, NULL, lookup_nothing},
    {"lookup_of_parent_in_view", "rw", {OLD_SUB}, NULL, lookup_parent},
    {"lookup_in_root", "rw", {""}, NULL, lookup_nothing},
    {"lookup_of_now", "rw", {"at", SUB}, make_elsewhere, lookup_now},
    {"lookup_of_step", "rw", {"at"}, NULL, lookup_step},
    {"lookup_of_tag", "rw", {"at"}, NULL, lookup_tag},
    {"lookup_of_instant", "rw", {"at"}, NULL, lookup_instant},
    {"lookup_of_no_time", "rw", {"at"}, NULL, lookup_no_time},
    {"lookup_before", "rw", {"before"}, NULL, lookup_instant},
    {"lookup_of_versions", "rw", {"versions"}, NULL, lookup_dir},
    {"lookup_of_versions_shared", SHARED, {"versions"}, NULL, lookup_dir},
    {"lookup_of_version", "rw", {"versions/dir/sub/deep"}, NULL, lookup_instant},
    {"lookup_of_version_now", "rw", {"versions/dir/sub/deep"}, NULL, lookup_now},
    {"lookup_of_versions_parent", "rw", {"versions/dir/sub/deep"}, NULL, lookup_parent},
    {"lookup_read_only", "ro", {SUB}, NULL, lookup_deep},
    {"lookup_following", "at=release,follow", {"dir/sub"}, NULL, lookup_deep},
    {"getattr", "rw", {DEEP}, NULL, ask_attributes},
    {"getattr_in_view", "rw", {OLD_SUB}, NULL, ask_attributes},
    {"getattr_of_version", "rw", {OLD_DEEP}, NULL, ask_attributes},
    {"getattr_of_versions", SHARED, {"versions/dir/sub/deep"}, NULL, ask_attributes},
    {"getattr_read_only", "ro", {DEEP}, NULL, ask_attributes},
    {"getattr_following", "at=release,follow", {""}, NULL, ask_attributes},
    {"chmod", "rw", {"head/hard"}, NULL, change_mode},
    {"chown", "rw", {DEEP}, NULL, change_owner},
    {"truncate", "rw", {DEEP}, NULL, change_size},
    {"utimens", "rw", {DEEP}, NULL, change_times},
    {"readlink", "rw", {"head/link"}, NULL, ask_target},
    {"readlink_in_view", "rw", {OLD "/link"}, NULL, ask_target},
    {"readlink_of_now", "rw", {"at/now"}, NULL, ask_target},
    {"mknod", "rw", {SUB}, NULL, make_file},
    {"mknod_shared", SHARED, {SUB}, NULL, make_file},
    {"mknod_below_default_acl", "rw", {"head/closed"}, NULL, make_file},
    {"mknod_device", "rw", {HEAD}, NULL, make_device},
    {"mkdir", "rw", {"head/closed"}, NULL, make_directory},
    {"symlink", "rw", {HEAD}, NULL, make_symlink},
    {"link", "rw", {HEAD, DEEP}, NULL, make_link},
    {"unlink", "rw", {HEAD}, NULL, remove_hard},
    {"rmdir", "rw", {HEAD}, NULL, remove_closed},
    {"rename", "rw", {HEAD, SUB}, NULL, rename_plainly},
    {"rename_over", "rw", {HEAD, SUB}, NULL, rename_over},
    {"rename_directory", "rw", {HEAD, SUB}, NULL, rename_directory},
    {"rename_exchange", "rw", {HEAD, SUB}, NULL, rename_exchange},
    {"read", "rw", {DEEP}, NULL, read_all},
    {"read_in_view", "rw", {OLD_DEEP}, NULL, read_all},
    {"read_read_only", "ro", {DEEP}, NULL, read_all},
    {"read_readme", "rw", {"README"}, NULL, read_all},
    {"write", "rw", {DEEP}, NULL, write_little},
    {"write_much", "rw", {DEEP}, NULL, write_much},
    {"write_back", "writeback_cache", {DEEP}, NULL, write_much},
    {"fsync", "rw", {DEEP, SUB}, change_much, make_durable},
    {"fsync_shared", SHARED, {DEEP, SUB}, change_much, make_durable},
    {"fsync_of_little", "rw", {DEEP, SUB}, write_little, make_durable},
    {"fsyncdir", "rw", {SUB}, make_directory, make_directory_durable},
    {"setxattr", "rw", {DEEP}, NULL, set_xattr},
    {"setxattr_large", "rw", {DEEP}, NULL, set_large_xattr},
    {"setxattr_of_acl", "rw", {"head/sparse"}, NULL, set_acl},
    {"getxattr", "rw", {DEEP}, NULL, ask_xattr},
    {"getxattr_in_view", "rw", {OLD_DEEP}, NULL, ask_xattr},
    {"listxattr", "rw", {DEEP}, NULL, ask_xattrs},
    {"listxattr_in_view", "rw", {OLD "/closed"}, NULL, ask_xattrs},
    {"removexattr", "rw", {DEEP}, NULL, remove_xattr},
    {"readdir", "rw", {HEAD}, count_names, list_names},
    {"readdirplus", "rw", {HEAD}, count_names, list_plus},
    {"readdir_in_view", "rw", {OLD}, count_names, list_names},
    {"readdirplus_in_view", "rw", {OLD}, count_names, list_plus},
    {"readdirplus_read_only", "ro", {HEAD}, count_names, list_plus},
    {"readdirplus_of_at", "rw", {"at"}, count_names, list_plus},
    {"readdirplus_of_versions", "rw", {"versions/dir/sub/deep"}, count_names, list_plus},
    {"statfs", "rw", {""}, NULL, ask_disk},
    {"copy_file_range", "rw", {"head/sparse", DEEP}, NULL, copy_all},
    {"copy_from_view", "rw", {"head/sparse", OLD_DEEP}, NULL, copy_all},
    {"lseek", "rw", {"head/sparse"}, NULL, seek_data},
    {"lseek_waiting", "rw", {"head/sparse"}, NULL, seek_hole},
    {"lseek_in_view", "rw", {OLD "/sparse"}, NULL, seek_data},
    {"fallocate", "rw", {DEEP}, NULL, allocate},
    {"fallocate_hole", "rw", {DEEP}, NULL, punch},
    {"status", "rw", {""}, NULL, ask_status},
    {"status_read_only", "ro", {""}, NULL, ask_status},
    {"commit", "rw", {DEEP, SUB}, change_much, commit},
    {"revert", "rw", {""}, NULL, revert},
    {"undo", "rw", {""}, NULL, undo},
    {"forget", "rw", {DEEP, OLD_DEEP, "at/now"}, NULL, forget},
    {.name = NULL},
};
