#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/control.h"
#include "fs/restore_order.h"
#include "tests/requests.h"

#define ZEROS       512 /* behind each payload */
#define NAME_ROOM   5000
#define WRITE_LIMIT ((size_t)128 * 1024)

/* ---- values ---- */

static uint8_t take(struct input *input) {
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

static uint64_t take_bytes(struct input *input, size_t count) {
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++) {
        number |= (uint64_t)take(input) << 8 * i;
    }
    return number;
}

static uint64_t take_number(struct input *input) {
    static const uint64_t numbers[] = {
        0,
        1,
        2,
        3,
        511,
        512,
        4095,
        4096,
        4097,
        65535,
        65536,
        65537,
        131071,
        131072,
        131073,
        1 << 20,
        (1 << 20) + 1,
        INT32_MAX,
        UINT32_MAX,
        UINT64_C(1) << 32,
        UINT64_C(1) << 40,
        INT64_MAX - 65536,
        INT64_MAX - 4096,
        INT64_MAX - 1,
        INT64_MAX,
        UINT64_C(1) << 63,
        UINT64_MAX - 65536,
        UINT64_MAX - 1,
        UINT64_MAX,
    };
    uint8_t choice = take(input);
    if (choice < sizeof numbers / sizeof *numbers) {
        return numbers[choice];
    }
    if (choice < 128) {
        return take_bytes(input, 2) * (choice < 64 ? 1 : 256);
    }
    return choice < 224 ? take_bytes(input, 3) : take_bytes(input, 8);
}

/* What is small, most of the time. */
static uint64_t take_small(struct input *input, uint64_t limit) {
    uint8_t choice = take(input);
    return choice < 240 ? choice % limit : take_number(input);
}

static uint64_t take_node(struct input *input, const struct known *known) {
    uint8_t choice = take(input);
    if (choice < 176 && known->node_count > 0) {
        return known->nodes[choice % known->node_count];
    }
    if (choice < 208 && known->head != 0) {
        return known->head;
    }
    switch (choice % 8) {
    case 0:
        return take_small(input, 8);
    case 1:
        return UINT64_C(1) << 60 | take_small(input, 32); /* objects of the head */
    case 2:
        return UINT64_C(1) << 62 | take_small(input, 64); /* versions of files */
    case 3:
        return UINT64_C(2) << 60 | take_small(input, 64); /* the node table */
    case 4:
        return known->nodes[known->node_count > 0 ? take(input) % known->node_count : 0] + take_small(input, 4);
    default:
        return take_number(input);
    }
}

/* ---- payloads ---- */

struct payload {
    uint8_t *bytes;
    size_t length;
};

static void put(struct payload *payload, const void *data, size_t length) {
    if (length <= REQUESTS_PAYLOAD_MAX - ZEROS - payload->length) {
        memcpy(payload->bytes + payload->length, data, length);
        payload->length += length;
    }
}

static void put_zeros(struct payload *payload, size_t length) {
    if (length <= REQUESTS_PAYLOAD_MAX - ZEROS - payload->length) {
        payload->length += length; /* that is what there is */
    }
}

static void put_input(struct payload *payload, struct input *input, size_t length) {
    size_t there = length < input->left ? length : input->left;
    put(payload, input->at, there);
    input->at += there;
    input->left -= there;
    put_zeros(payload, length - there);
}

static size_t take_name(struct input *input, const struct known *known, char name[NAME_ROOM]) {
    static const char *const names[] = {
        "",
        ".",
        "..",
        "/",
        "a/b",
        "file",
        "dir",
        "sub",
        "deep",
        "link",
        "fifo",
        "gone",
        "turned",
        "sparse",
        "closed",
        "hard",
        "head",
        "at",
        "before",
        "versions",
        "README",
        "now",
        "now~1",
        "now^",
        "now~999",
        "2026",
        "1969",
        "9999",
        "2026-11-22T10:30:00.25+01:00",
        "-1s",
        "-999999999w",
        "today",
        "@0",
        "@99999999999999",
        "@GMT-2026.11.22-10.30.00",
        "release",
        "release~1",
        "release^",
        "0000000000000000",
        "ffffffffffffffff",
        "\xff\xfe",
        "a",
        "b",
        "c",
        "d",
        "lost+found",
    };
    enum { COUNT = sizeof names / sizeof *names };
    uint8_t choice = take(input);
    if (choice < 2 * COUNT) {
        return (size_t)snprintf(name, NAME_ROOM, "%s", names[choice % COUNT]);
    }
    if (choice < 120 && known->instants.count > 0) {
        return (size_t)snprintf(name, NAME_ROOM, "%016" PRIx64 "%s",
                                known->instants.tids[choice % known->instants.count], choice < 108 ? "" : "~1");
    }
    if (choice < 136) { /* long ones, and what is too long by one */
        static const size_t lengths[] = {254, 255, 256, 1024, 4095, 4096, NAME_ROOM - 1};
        size_t length = lengths[choice % (sizeof lengths / sizeof *lengths)];
        memset(name, 'x', length);
        name[length] = '\0';
        return length;
    }
    size_t length = choice % 24;
    for (size_t i = 0; i < length; i++) {
        name[i] = (char)take(input);
    }
    name[length] = '\0';
    return strlen(name);
}

static void put_name(struct payload *payload, struct input *input, const struct known *known) {
    char name[NAME_ROOM];
    put(payload, name, take_name(input, known, name) + 1);
}

static uint32_t take_mode(struct input *input) {
    static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, 0, 0xf000, 0x3000};
    uint8_t choice = take(input);
    uint32_t type = types[(choice & 15) % (sizeof types / sizeof *types)];
    return choice < 224 ? type | (uint32_t)(choice >> 4) * 0111 : type | (uint32_t)take_bytes(input, 4);
}

/* ---- by opcode ---- */

static void build_setattr(struct payload *payload, struct input *input) {
    struct fuse_setattr_in in = {.valid = (uint32_t)take_bytes(input, 2),
                                 .size = take_number(input),
                                 .atime = take_number(input),
                                 .mtime = take_number(input),
                                 .ctime = take_number(input),
                                 .atimensec = (uint32_t)take_number(input),
                                 .mtimensec = (uint32_t)take_number(input),
                                 .ctimensec = (uint32_t)take_number(input),
                                 .mode = take_mode(input),
                                 .uid = (uint32_t)take_small(input, 3),
                                 .gid = (uint32_t)take_small(input, 3)};
    if (take(input) < 128) { /* the rest is lost without a size */
        in.valid &= ~(uint32_t)FATTR_SIZE;
    }
    put(payload, &in, sizeof in);
}

static void build_rename(struct payload *payload, struct input *input, const struct known *known, bool two) {
    const struct fuse_rename2_in in = {.newdir = take_node(input, known), .flags = (uint32_t)take_small(input, 9)};
    put(payload, &in, two ? sizeof in : sizeof(struct fuse_rename_in));
    put_name(payload, input, known);
    put_name(payload, input, known);
}

static void build_write(struct payload *payload, struct input *input) {
    uint64_t wanted = take_number(input);
    struct fuse_write_in in = {.offset = take_number(input),
                               .size = (uint32_t)(wanted % (WRITE_LIMIT + 1)),
                               .write_flags = take(input) % 8,
                               .lock_owner = take(input)};
    put(payload, &in, sizeof in);
    if (payload->length + in.size + ZEROS <= REQUESTS_PAYLOAD_MAX) {
        memset(payload->bytes + payload->length, take(input), in.size);
        payload->length += in.size;
    }
}

static void build_read(struct payload *payload, struct input *input, const struct known *known, bool listing,
                       uint64_t *size) {
    struct fuse_read_in in = {.offset = listing && take(input) < 128 ? take_small(input, 64) : take_number(input),
                              .size = (uint32_t)take_number(input)};
    /* What is asked for must arrive. */
    if (known->room < (UINT64_C(1) << 20) + 256 && in.size > known->room / 2) {
        in.size %= (uint32_t)(known->room / 2);
    }
    *size = in.size;
    put(payload, &in, sizeof in);
}

/* An access list: as it should be, but for what the input does to it. */
static void put_acl(struct payload *payload, struct input *input) {
    uint8_t acl[4 + 8 * 8] = {2};
    size_t entries = take(input) % 9;
    static const uint16_t tags[] = {1, 4, 16, 32, 2, 8, 0, 3};
    for (size_t i = 0; i < entries; i++) {
        uint8_t *entry = acl + 4 + 8 * i;
        entry[0] = (uint8_t)tags[take(input) % 8];
        entry[2] = take(input);
        memset(entry + 4, i < 4 ? 255 : take(input), 4);
    }
    if (take(input) < 64) {
        acl[take(input) % sizeof acl] ^= take(input);
    }
    size_t length = 4 + 8 * entries;
    put(payload, acl, take(input) < 224 ? length : length - 1 - take(input) % 4);
}

static void put_xattr_name(struct payload *payload, struct input *input) {
    static const char *const names[] = {"user.a",
                                        "user.b",
                                        "user.",
                                        "trusted.t",
                                        "security.capability",
                                        "security.selinux",
                                        "system.posix_acl_access",
                                        "system.posix_acl_default",
                                        "system.other",
                                        "tidfs.tid",
                                        "tidfs.",
                                        "",
                                        "user",
                                        "nothing.known",
                                        "user.a/b",
                                        "user.\xff"};
    uint8_t choice = take(input);
    char name[300];
    if (choice < 240) {
        const char *fixed = names[choice % (sizeof names / sizeof *names)];
        put(payload, fixed, strlen(fixed) + 1);
        return;
    }
    (void)snprintf(name, sizeof name, "user.%0*d", (int)(choice == 240 ? 250 : choice == 241 ? 251 : choice % 16), 1);
    put(payload, name, strlen(name) + 1);
}

static void build_setxattr(struct payload *payload, struct input *input, const struct known *known) {
    struct fuse_setxattr_in in = {.flags = (uint32_t)take_small(input, 4)};
    uint64_t size = take_number(input) % 70000;
    size_t header = known->extended_setxattr ? sizeof in : FUSE_COMPAT_SETXATTR_IN_SIZE;
    put(payload, &in, header);
    put_xattr_name(payload, input);
    size_t before = payload->length;
    if (take(input) < 96) {
        put_acl(payload, input);
    } else if (size < 64) {
        put_input(payload, input, (size_t)size);
    } else {
        put_zeros(payload, (size_t)size);
    }
    in.size = (uint32_t)(payload->length - before);
    memcpy(payload->bytes, &in, header);
}

static void build_getxattr(struct payload *payload, struct input *input, bool list, uint64_t *size) {
    const struct fuse_getxattr_in in = {.size = (uint32_t)take_number(input)};
    *size = in.size;
    put(payload, &in, sizeof in);
    if (!list) {
        put_xattr_name(payload, input);
    }
}

static void build_forgets(struct payload *payload, struct input *input, const struct known *known) {
    struct fuse_batch_forget_in in = {.count = take(input) % 8};
    put(payload, &in, sizeof in);
    for (uint32_t i = 0; i < in.count; i++) {
        const struct fuse_forget_one one = {.nodeid = take_node(input, known), .nlookup = take_number(input)};
        put(payload, &one, sizeof one);
    }
}

/* ---- ioctl ---- */

/* An order that says something, for pieces of it. malloc'ed; NULL: none. */
static uint8_t *make_order(struct input *input, const struct known *known, size_t *length) {
    static const char *const paths[] = {"",        "file", "dir", "dir/sub/deep", "gone", "turned",
                                        "nowhere", "/",    "..",  "dir//sub",     "a"};
    enum { PATHS = sizeof paths / sizeof *paths };
    const char *chosen[3];
    uint64_t seqs[3];
    struct restore_choice choices[2] = {0};
    struct restore_order order = {.user = take(input) < 200 ? "" : "somebody",
                                  .message = take(input) < 128 ? "" : "why"};
    struct restore_request *request = &order.request;
    uint8_t *block = NULL;
    request->kind = take(input) % 2 == 0 ? RESTORE_REVERT : RESTORE_UNDO;
    request->before = take_small(input, 12);
    request->keep_new = take(input) % 2 != 0;
    order.only_base = take_small(input, 2);
    request->path_count = take(input) % 4;
    request->seq_count = take(input) % 4;
    request->choice_count = take(input) < 192 ? 0 : take(input) % 3;
    for (size_t i = 0; i < 3; i++) {
        chosen[i] = paths[take(input) % PATHS];
        seqs[i] = take(input) < 64 && known->instants.count > 0 ? known->instants.seqs[i % known->instants.count]
                                                                : take_small(input, 12);
    }
    for (size_t i = 0; i < request->choice_count; i++) {
        choices[i] = (struct restore_choice){.path = paths[take(input) % PATHS],
                                             .comes = take(input) % 2 != 0,
                                             .whole = take(input) % 2 != 0,
                                             .data = (const uint8_t *)"content",
                                             .length = take(input) % 8};
    }
    request->paths = chosen;
    request->seqs = seqs;
    request->choices = choices;
    return restore_order_encode(&order, &block, length) == STORE_OK ? block : NULL;
}

static void build_piece(struct control_restore_piece *piece, struct input *input, const struct known *known) {
    size_t length = 0;
    piece->id = take(input) < 160 ? 0 : take(input) < 200 ? known->order_id : take_small(input, 8);
    uint8_t *order = take(input) < 224 ? make_order(input, known, &length) : NULL;
    if (order != NULL && length < sizeof piece->data) {
        size_t from = take(input) < 224 ? 0 : take(input) % length;
        memcpy(piece->data, order + from, length - from);
        piece->length = length - from;
        if (take(input) < 32) {
            piece->data[take_bytes(input, 2) % length] ^= take(input);
        }
    } else {
        piece->length = take_number(input);
        memset(piece->data, take(input), sizeof piece->data);
    }
    free(order);
}

static void build_commit(struct control_commit *commit, struct input *input) {
    uint8_t choice = take(input);
    commit->by_caller = choice % 2;
    memset(commit->user, 'u', choice & 2 ? choice : 0);
    memset(commit->message, 'm', choice & 4 ? sizeof commit->message - (choice & 8 ? 1 : 0) : (size_t)choice / 16);
    if (choice == 255) {
        memset(commit->user, 'u', sizeof commit->user);
    }
}

static void build_ioctl(struct payload *payload, struct input *input, const struct known *known) {
    union {
        struct control_commit commit;
        struct control_status status;
        struct control_restore_piece piece;
        struct control_restore_run run;
    } argument;
    size_t size = 0;
    struct fuse_ioctl_in in = {.flags = FUSE_IOCTL_DIR};
    memset(&argument, 0, sizeof argument);
    switch (take(input) % 8) {
    case 0:
        in.cmd = CONTROL_STATUS;
        size = sizeof argument.status;
        break;
    case 1:
        in.cmd = CONTROL_COMMIT;
        size = sizeof argument.commit;
        build_commit(&argument.commit, input);
        break;
    case 2:
    case 3:
    case 4:
        in.cmd = CONTROL_RESTORE_PIECE;
        size = sizeof argument.piece;
        build_piece(&argument.piece, input, known);
        break;
    case 5:
    case 6:
        in.cmd = CONTROL_RESTORE_RUN;
        size = sizeof argument.run;
        argument.run.id = take(input) < 200 ? known->order_id : take_small(input, 8);
        break;
    default:
        in.cmd = (uint32_t)(take(input) < 64 ? FS_IOC_GETFLAGS : take_bytes(input, 4));
        break;
    }
    in.in_size = in.out_size = (uint32_t)size;
    if (take(input) < 16) {
        in.flags = take(input);
        in.in_size = (uint32_t)(take_number(input) % (sizeof argument + 1));
        in.out_size = (uint32_t)take_number(input);
    }
    put(payload, &in, sizeof in);
    put(payload, &argument, sizeof argument);
}

/* ---- all of them ---- */

static void build_payload(struct payload *payload, struct input *input, const struct known *known,
                          struct built *built) {
    const uint8_t small[8] = {take(input)};
    switch (built->request.opcode) {
    case FUSE_LOOKUP:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        put_name(payload, input, known);
        break;
    case FUSE_REMOVEXATTR:
        put_xattr_name(payload, input);
        break;
    case FUSE_FORGET:
        put(payload, &(struct fuse_forget_in){.nlookup = take_small(input, 3)}, sizeof(struct fuse_forget_in));
        break;
    case FUSE_BATCH_FORGET:
        build_forgets(payload, input, known);
        break;
    case FUSE_SETATTR:
        build_setattr(payload, input);
        break;
    case FUSE_MKNOD:
        put(payload, &(struct fuse_mknod_in){.mode = take_mode(input), .rdev = small[0], .umask = small[0] & 0777U},
            sizeof(struct fuse_mknod_in));
        put_name(payload, input, known);
        break;
    case FUSE_MKDIR:
        put(payload, &(struct fuse_mkdir_in){.mode = take_mode(input)}, sizeof(struct fuse_mkdir_in));
        put_name(payload, input, known);
        break;
    case FUSE_SYMLINK:
        put_name(payload, input, known);
        put_name(payload, input, known);
        break;
    case FUSE_LINK:
        put(payload, &(struct fuse_link_in){.oldnodeid = take_node(input, known)}, sizeof(struct fuse_link_in));
        put_name(payload, input, known);
        break;
    case FUSE_RENAME:
    case FUSE_RENAME2:
        build_rename(payload, input, known, built->request.opcode == FUSE_RENAME2);
        break;
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        build_read(payload, input, known, built->request.opcode != FUSE_READ, &built->size);
        break;
    case FUSE_WRITE:
        build_write(payload, input);
        break;
    case FUSE_SETXATTR:
        build_setxattr(payload, input, known);
        break;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
        build_getxattr(payload, input, built->request.opcode == FUSE_LISTXATTR, &built->size);
        break;
    case FUSE_IOCTL:
        build_ioctl(payload, input, known);
        break;
    case FUSE_FALLOCATE:
        put(payload,
            &(struct fuse_fallocate_in){
                .offset = take_number(input), .length = take_number(input), .mode = (uint32_t)take_small(input, 128)},
            sizeof(struct fuse_fallocate_in));
        break;
    case FUSE_LSEEK:
        put(payload, &(struct fuse_lseek_in){.offset = take_number(input), .whence = (uint32_t)take_small(input, 6)},
            sizeof(struct fuse_lseek_in));
        break;
    case FUSE_COPY_FILE_RANGE:
        put(payload,
            &(struct fuse_copy_file_range_in){.off_in = take_number(input),
                                              .nodeid_out =
                                                  small[0] < 64 ? built->request.node : take_node(input, known),
                                              .off_out = take_number(input),
                                              .len = take_number(input),
                                              .flags = small[0] == 255},
            sizeof(struct fuse_copy_file_range_in));
        break;
    case FUSE_INTERRUPT:
        put(payload, &(struct fuse_interrupt_in){.unique = known->last_unique + take_small(input, 4) * 2},
            sizeof(struct fuse_interrupt_in));
        break;
    case FUSE_INIT:
        put(payload, &(struct fuse_init_in){.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION},
            sizeof(struct fuse_init_in));
        break;
    default: /* those with little or nothing in them, and those that nobody knows */
        put_input(payload, input, small[0] % 64);
        break;
    }
}

static bool is_replied(uint32_t opcode) {
    return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

bool request_build(struct input *input, const struct known *known, struct built *built) {
    static const uint8_t opcodes[] = {
        FUSE_LOOKUP,
        FUSE_LOOKUP,
        FUSE_LOOKUP,
        FUSE_FORGET,
        FUSE_GETATTR,
        FUSE_SETATTR,
        FUSE_READLINK,
        FUSE_SYMLINK,
        FUSE_MKNOD,
        FUSE_MKNOD,
        FUSE_MKDIR,
        FUSE_UNLINK,
        FUSE_RMDIR,
        FUSE_RENAME,
        FUSE_LINK,
        FUSE_OPEN,
        FUSE_READ,
        FUSE_WRITE,
        FUSE_WRITE,
        FUSE_STATFS,
        FUSE_RELEASE,
        FUSE_FSYNC,
        FUSE_SETXATTR,
        FUSE_GETXATTR,
        FUSE_LISTXATTR,
        FUSE_REMOVEXATTR,
        FUSE_FLUSH,
        FUSE_INIT,
        FUSE_OPENDIR,
        FUSE_READDIR,
        FUSE_RELEASEDIR,
        FUSE_FSYNCDIR,
        FUSE_GETLK,
        FUSE_SETLK,
        FUSE_SETLKW,
        FUSE_ACCESS,
        FUSE_CREATE,
        FUSE_INTERRUPT,
        FUSE_BMAP,
        FUSE_DESTROY,
        FUSE_IOCTL,
        FUSE_IOCTL,
        FUSE_POLL,
        FUSE_BATCH_FORGET,
        FUSE_FALLOCATE,
        FUSE_READDIRPLUS,
        FUSE_RENAME2,
        FUSE_LSEEK,
        FUSE_COPY_FILE_RANGE,
        FUSE_READDIRPLUS,
        FUSE_RENAME2,
        FUSE_FALLOCATE,
        FUSE_COPY_FILE_RANGE,
        FUSE_SETATTR,
        FUSE_IOCTL,
    };
    *built = (struct built){0};
    if (input->left == 0) {
        return false;
    }
    uint8_t choice = take(input);
    struct fake_request *request = &built->request;
    request->opcode = choice < 250 ? opcodes[choice % sizeof opcodes] : (uint32_t)take_bytes(input, 2);
    if (request->opcode == FUSE_NOTIFY_REPLY) {
        return request_build(input, known, built);
    }
    request->node = take_node(input, known);
    uint8_t how = take(input);
    request->caller =
        (struct fake_caller){.uid = how & 1 ? 1000 : 0, .gid = how & 2 ? 1000 : 0, .pid = how & 4 ? 1 : 0};
    if (how >= 248) {
        request->length = (uint32_t)take_number(input);
    }
    struct payload payload = {.bytes = calloc(1, REQUESTS_PAYLOAD_MAX)};
    if (payload.bytes == NULL) {
        abort();
    }
    build_payload(&payload, input, known, built);
    built->payload = payload.bytes;
    built->replied = is_replied(request->opcode);
    request->parts[0] = (struct fake_part){payload.bytes, payload.length + ZEROS};
    return true;
}
