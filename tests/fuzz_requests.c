/* Fuzzes the driver with FUSE requests below the kernel's own checks: any opcode, node, name, size and offset, in any order.
 *
 * An input's first byte says how the store is mounted; the rest are requests (tests/requests.h). What must hold: no crash, no leak, no failed assertion; each
 * request that is to have an answer has one, and one only, of a plausible length, whose error is an errno that something explains. Afterwards the head
 * seals, the store verifies, and the instant that was there before is what it was.
 *
 * A mount is kept for a number of inputs (FUZZ_KEEP in the environment, 64 if it is not there), since making it costs more than they do; each kind of mount
 * has a store of its own. So an input that fails may need those before it: they are written to a file as they come, whose directory is told at the beginning and
 * stays when the process does not end well. That file is an input as well: first byte 255, then each of them behind its length in two bytes.
 *
 * The corpus in tests/data/fuzz_requests grew from what `FUZZ_CORPUS=DIRECTORY` has this program write and leave: two files for each opcode, that look up some nodes
 * and then send it in several ways, one to a writable mount and one to another kind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/config.h"
#include "tests/fake_requests.h"
#include "tests/requests.h"

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int __lsan_do_recoverable_leak_check(void);

#define KEEP_DEFAULT 64
#define SEQUENCE     255
#define REQUESTS_MAX 256 /* of one input */

static const struct kind {
    const char *options;
    uint32_t without;
} kinds[] = {
    {"rw", 0},
    {"writeback_cache", 0},
    {"allow_other,history=all", 0},
    {"subdir=dir", 0},
    {"rw", FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_DO_READDIRPLUS},
    {"ro", 0},
    {"at=now~1", 0},
    {"at=release,follow", 0},
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* One kind of mount, while it is kept. */
struct mount {
    struct fake_mount fake;
    struct mount_options options;
    struct known known;
    char directory[96];
    size_t inputs;     /* since it began */
    size_t interrupts; /* of this input */
    FILE *sequence;
};

/* All of this run. A fuzzer has no main of its own to hand it down from. */
static struct {
    char directory[64], template[80];
    struct fake_instants instants;
    uint64_t before, fingerprint; /* what must stay */
    size_t keep;
    struct mount mounts[KINDS];
    struct log log;
    char **arguments; /* of the program, with ours; held to the end */
} run;

static _Noreturn void fail(const struct built *built, const char *why) {
    if (built != NULL) {
        fprintf(stderr, "fuzz_requests: opcode %u, node %llx: %s\n", built->request.opcode,
                (unsigned long long)built->request.node, why);
    } else {
        fprintf(stderr, "fuzz_requests: %s\n", why);
    }
    abort();
}

/* ---- mounts ---- */

static void mount_begin(struct mount *mount, const struct kind *kind) {
    struct error err = {0};
    struct timespec now;
    (void)snprintf(mount->directory, sizeof mount->directory, "%s/%zu", run.directory, (size_t)(kind - kinds));
    mount_options_init(&mount->options);
    clock_gettime(CLOCK_REALTIME, &now);
    if (mount_options_parse(&mount->options, kind->options, SOURCE_COMMAND_LINE, &err) != STORE_OK ||
        mount_options_check(&mount->options, now, &err) != STORE_OK) {
        fail(NULL, err.text);
    }
    mount->options.commit_interval_ns = 0; /* when asked, so that a run can be repeated */
    if (!fake_store_copy(run.template, mount->directory)) {
        fail(NULL, "the store cannot be copied");
    }
    if (fake_kernel_start(mount->directory, &mount->options, &run.log, kind->without, &mount->fake.kernel, &err) !=
        STORE_OK) {
        fail(NULL, err.text);
    }
    const struct fuse_init_out *agreed = fake_kernel_init_out(mount->fake.kernel);
    mount->known = (struct known){.room = fake_kernel_room(mount->fake.kernel),
                                  .extended_setxattr = (agreed->flags & FUSE_SETXATTR_EXT) != 0,
                                  .stateless = kind->without == 0,
                                  .instants = run.instants};
    struct fuse_entry_out head;
    for (uint64_t node = FUSE_ROOT_ID; node <= 5; node++) {
        known_add(&mount->known, node);
    }
    if (fake_lookup(&mount->fake, FUSE_ROOT_ID, "head", &head) == 0 && head.nodeid != 0) {
        mount->known.head = head.nodeid;
        known_add(&mount->known, head.nodeid);
    }
    mount->inputs = 0;
    char path[128];
    (void)snprintf(path, sizeof path, "%s.inputs", mount->directory);
    mount->sequence = fopen(path, "we");
    if (mount->sequence == NULL || fputc(SEQUENCE, mount->sequence) == EOF) {
        fail(NULL, "the inputs cannot be noted");
    }
}

/* libFuzzer's own look takes what a thread holds at that moment for lost, now and then. So it is done where there are no threads. */
static void expect_no_leak(void) {
    for (size_t i = 0; i < KINDS; i++) {
        if (run.mounts[i].fake.kernel != NULL) {
            return;
        }
    }
    if (__lsan_do_recoverable_leak_check() != 0) {
        fail(NULL, "memory is lost");
    }
}

/* What is left when nobody asks any more. */
static void mount_end(struct mount *mount) {
    uint64_t fingerprint = 0;
    struct error err = {0};
    if (fake_kernel_stop(mount->fake.kernel, &err) != STORE_OK) {
        fail(NULL, err.text);
    }
    if (!fake_store_check(mount->directory, run.before, true, &fingerprint)) {
        fail(NULL, "the store is damaged");
    }
    if (fingerprint != run.fingerprint) {
        fail(NULL, "an earlier instant is another one now");
    }
    if (!fake_store_remove(mount->directory)) {
        fail(NULL, "the store cannot be removed");
    }
    mount_options_release(&mount->options);
    (void)fclose(mount->sequence);
    *mount = (struct mount){0};
    expect_no_leak();
}

static void note_input(struct mount *mount, const uint8_t *data, size_t size) {
    if (size <= UINT16_MAX) {
        (void)fputc((int)(size & 255), mount->sequence);
        (void)fputc((int)(size >> 8), mount->sequence);
        (void)fwrite(data, 1, size, mount->sequence);
        (void)fflush(mount->sequence); /* before it does harm */
    }
}

/* ---- one input ---- */

static void ask(struct mount *mount, struct built *built) {
    struct fake_kernel *kernel = mount->fake.kernel;
    struct fake_reply reply;
    uint64_t unique = fake_kernel_send(kernel, &built->request);
    if (unique == 0) {
        fail(built, "the driver reads no more");
    }
    mount->known.last_unique = unique;
    mount->interrupts += built->request.opcode == FUSE_INTERRUPT;
    if (!built->replied) {
        return;
    }
    if (!fake_kernel_wait(kernel, unique, FAKE_PATIENCE, &reply)) {
        fail(built, "no answer");
    }
    const char *why = reply_check(built, &reply, &mount->known);
    if (why != NULL) {
        fprintf(stderr, "fuzz_requests: error %d, %zu bytes\n", reply.error, reply.length);
        fail(built, why);
    }
    fake_reply_release(&reply);
}

/* Of what nobody waited for there may be notifications, and libfuse's EAGAIN to an interrupt of nothing. */
static void expect_no_more(struct mount *mount) {
    struct fake_reply reply;
    /* With each request that comes libfuse lets go of one such interrupt, and of what is left in the end never. */
    for (size_t i = 0; i < mount->interrupts + 2; i++) {
        if (fake_getattr(&mount->fake, FUSE_ROOT_ID, NULL) != 0) {
            fail(NULL, "the root cannot be asked for any more");
        }
    }
    mount->interrupts = 0;
    while (fake_kernel_claim(mount->fake.kernel, &reply)) {
        if (reply.unique != 0 && reply.error != -EAGAIN) {
            fail(NULL, "an answer to nothing");
        }
        fake_reply_release(&reply);
    }
}

static void expect_sealed(struct mount *mount) {
    uint64_t node = mount->known.head != 0 ? mount->known.head : FUSE_ROOT_ID;
    int rc = fake_fsync(&mount->fake, node, true);
    if (rc != 0) {
        fail(NULL, "the head does not seal");
    }
}

static void try_input(const uint8_t *data, size_t size) {
    const struct kind *kind = &kinds[data[0] % KINDS];
    struct mount *mount = &run.mounts[kind - kinds];
    struct input input = {data + 1, size - 1};
    struct built built;
    if (mount->fake.kernel == NULL) {
        mount_begin(mount, kind);
    }
    note_input(mount, data, size);
    for (size_t i = 0; i < REQUESTS_MAX && request_build(&input, &mount->known, &built); i++) {
        ask(mount, &built);
        free(built.payload);
    }
    expect_no_more(mount);
    expect_sealed(mount);
    if (++mount->inputs >= run.keep) {
        mount_end(mount);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    if (data[0] != SEQUENCE) {
        try_input(data, size);
        return 0;
    }
    for (size_t at = 1; at + 2 < size;) {
        size_t length = (size_t)data[at] | (size_t)data[at + 1] << 8;
        at += 2;
        length = length < size - at ? length : size - at;
        if (length > 0 && data[at] != SEQUENCE) {
            try_input(data + at, length);
        }
        at += length;
    }
    return 0;
}

/* ---- beginning and end of a run ---- */

static void end_all(void) {
    for (size_t i = 0; i < KINDS; i++) {
        if (run.mounts[i].fake.kernel != NULL) {
            mount_end(&run.mounts[i]);
        }
    }
    (void)fake_store_remove(run.directory);
}

/* What a corpus begins with: nodes that are there, and each opcode. A request is its opcode, the node and who asks, a byte for some, and what belongs to it. */
static bool write_corpus(const char *directory) {
    enum { ROOT, AT = 2, VERSIONS = 4, HEAD, DIR, SUB }; /* places of nodes as they become known, with /head */
    enum { NAME_FILE = 5, NAME_DIR, NAME_SUB, NAME_DEEP, NAME_LINK, NAME_SPARSE = 13, NAME_NOW = 21, NAME_TID = 96 };
    static const uint8_t begin[] = {
        0, HEAD, 0, 0, NAME_DIR,  0, DIR,      0, 0, NAME_SUB,    0, SUB,  0, 0, NAME_DEEP, 0, SUB, 0, 0, NAME_FILE,
        0, HEAD, 0, 0, NAME_LINK, 0, HEAD,     0, 0, NAME_SPARSE, 0, AT,   0, 0, NAME_NOW,  0, AT,  0, 0, NAME_TID,
        0, 13,   0, 0, NAME_DIR,  0, VERSIONS, 0, 0, NAME_DIR,    0, ROOT, 0, 0, NAME_DIR,
    };
    for (unsigned opcode = 0; opcode < 56; opcode++) {
        for (unsigned other = 0; other < 2; other++) {
            unsigned kind = other == 0 ? 0 : 1 + opcode % (KINDS - 1);
            char path[256];
            uint32_t random = kind * 977 + opcode + 1;
            (void)snprintf(path, sizeof path, "%s/%02u-%u", directory, opcode, kind);
            FILE *file = fopen(path, "we");
            if (file == NULL) {
                return false;
            }
            (void)fputc((int)kind, file);
            (void)fwrite(begin, 1, sizeof begin, file);
            for (unsigned i = 0; i < 6; i++) {
                (void)fputc((int)opcode, file);
                for (unsigned j = 0; j < 12; j++) {
                    random = random * 1103515245U + 12345U;
                    (void)fputc((int)(random >> 16 & 255), file);
                }
            }
            if (fclose(file) != 0) {
                return false;
            }
        }
    }
    return true;
}

/* Before those of the command line, which count more. */
static void give_option(int *count, char ***arguments, const char *option) {
    char **given = calloc((size_t)*count + 2, sizeof *given);
    if (given == NULL) {
        fail(NULL, "out of memory");
    }
    given[0] = (*arguments)[0];
    given[1] = (char *)(uintptr_t)option;
    memcpy(given + 2, *arguments + 1, (size_t)(*count - 1) * sizeof *given);
    run.arguments = *arguments = given;
    ++*count;
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    const char *corpus = getenv("FUZZ_CORPUS"), *keep = getenv("FUZZ_KEEP");
    give_option(count, arguments, "-detect_leaks=0"); /* see expect_no_leak */
    if (corpus != NULL) {
        exit(write_corpus(corpus) ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    run.keep = keep != NULL ? strtoul(keep, NULL, 10) : KEEP_DEFAULT;
    run.log.most = LOG_LEVEL_ERROR;
    /* In memory where that is to be had: nothing is lost with the power here. */
    (void)snprintf(run.directory, sizeof run.directory, "%s/fuzz_requests.XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(run.directory) == NULL) {
        fail(NULL, "no directory");
    }
    (void)snprintf(run.template, sizeof run.template, "%s/template", run.directory);
    if (!fake_store_make(run.template, &run.instants)) {
        fail(NULL, "no store");
    }
    run.before = run.instants.seqs[run.instants.count - 1] + 1;
    if (!fake_store_check(run.template, run.before, true, &run.fingerprint)) {
        fail(NULL, "the store is damaged from the beginning");
    }
    (void)atexit(end_all);
    fprintf(stderr, "fuzz_requests: stores, and what was asked of them, are in %s\n", run.directory);
    return 0;
}
