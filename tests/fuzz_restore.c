/* Fuzzes reverting and undoing: plans, and what is done by them, after changes of all kinds.
 *
 * An input is a list of steps on a copy of a small store (tests/fake_store.h): changes to its newest tree, seals, and orders, which are made up from the bytes
 * or are the bytes that a command would send. What must hold: a plan that can be made is what is done; conflicts and orders that are refused change nothing; after a
 * revert of all there is the tree as it was; and in the end the store verifies, and an instant that was there before is what it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/restore_order.h"
#include "history/diff.h"
#include "history/restore.h"
#include "store/head.h"
#include "tests/fake_store.h"

#define STEPS_MAX 64

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of this process. */
static struct {
    char base[64], template[80], directory[80];
    struct fake_instants instants;
    uint64_t before, fingerprint; /* what must stay */
} made;

/* Unlike assert, not to be compiled away. */
static void require(bool holds, const char *what) {
    if (holds)
        return;
    (void)fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

/* One input, while it is tried. */
struct trial {
    const uint8_t *data;
    size_t size;
    struct store *store;
    struct head *head;
};

static unsigned take(struct trial *trial) {
    if (trial->size == 0)
        return 0;
    trial->size--;
    return *trial->data++;
}

/* ---- changes ---- */

/* 0: none, or no object of that name. */
static uint64_t find(struct trial *trial, uint64_t parent, const char *name) {
    struct head_attr attr;
    if (head_lookup(trial->head, parent, name, strlen(name), &attr) != 0)
        return 0;
    head_forget(trial->head, attr.oid, 1);
    return attr.oid;
}

static uint64_t take_directory(struct trial *trial) {
    static const char *const names[] = {"dir", "turned", "a", "closed"};
    unsigned choice = take(trial) % 6;
    uint64_t directory = choice < 2 ? ROOT_OID : find(trial, ROOT_OID, names[choice - 2]);
    if (choice == 2 && directory != 0 && take(trial) % 2 == 0)
        directory = find(trial, directory, "sub");
    return directory != 0 ? directory : ROOT_OID;
}

static const char *take_name(struct trial *trial) {
    static const char *const names[] = {"dir",    "sub",  "file", "deep", "hard", "turned",
                                        "sparse", "link", "fifo", "a",    "b",    "c"};
    return names[take(trial) % (sizeof names / sizeof names[0])];
}

/* Lines, some of them changed, so that texts can be merged. */
static void write_lines(struct trial *trial, uint64_t oid) {
    char text[256];
    size_t length = 0;
    unsigned changed = take(trial), lines = take(trial) % 16;
    for (unsigned i = 0; i < lines; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "line %u%s\n", i,
                                   changed % 16 == i   ? " changed"
                                   : changed / 16 == i ? " too"
                                                       : "");
    struct head_attr set = {.size = take(trial) % 2 == 0 ? length : changed * 700U};
    if (head_setattr(trial->head, oid, HEAD_SET_SIZE, &set, &set) == 0)
        (void)head_write(trial->head, oid, changed % 5 == 4 ? changed * 500 : 0, length, (const uint8_t *)text, false);
}

static void change_attributes(struct trial *trial, uint64_t oid) {
    unsigned choice = take(trial);
    struct head_attr set = {.mode = choice * 9 & 07777, .uid = choice % 3};
    char value = (char)take(trial);
    set.mtime.tv_sec = choice;
    if (choice % 4 == 0)
        (void)head_setattr(trial->head, oid, HEAD_SET_MODE, &set, &set);
    else if (choice % 4 == 1)
        (void)head_setattr(trial->head, oid, HEAD_SET_UID | HEAD_SET_MTIME, &set, &set);
    else if (choice % 4 == 2)
        (void)head_setxattr(trial->head, oid, choice & 4 ? "user.a" : "user.b", &value, 1, 0);
    else
        (void)head_removexattr(trial->head, oid, choice & 4 ? "user.a" : "user.b");
}

/* Whatever cannot be done is not. */
static void change_names(struct trial *trial, unsigned what) {
    static const struct head_caller caller = {0, 0, 022};
    static const uint32_t types[] = {S_IFREG | 0644, S_IFDIR | 0755, S_IFLNK | 0777, S_IFIFO | 0600};
    uint64_t parent = take_directory(trial), other = 0;
    const char *name = take_name(trial), *new_name;
    size_t length = strlen(name);
    struct head_attr attr;
    switch (what) {
    case 0:
        what = take(trial) % 4;
        if (head_make(trial->head, parent, name, length, types[what], 0, what == 2 ? "dir/sub" : NULL, &caller,
                      &attr) == 0)
            head_forget(trial->head, attr.oid, 1);
        break;
    case 1:
        (void)head_unlink(trial->head, parent, name, length);
        break;
    case 2:
        (void)head_rmdir(trial->head, parent, name, length);
        break;
    case 3:
        other = take_directory(trial);
        new_name = take_name(trial);
        (void)head_rename(trial->head, parent, name, length, other, new_name, strlen(new_name),
                          take(trial) % 4 == 0 ? RENAME_EXCHANGE : 0);
        break;
    default:
        other = find(trial, take_directory(trial), take_name(trial));
        if (other != 0 && head_link(trial->head, other, parent, name, length, &attr) == 0)
            head_forget(trial->head, other, 1);
        break;
    }
}

static void change(struct trial *trial, unsigned what) {
    uint64_t oid;
    if (what > 1) {
        change_names(trial, what - 2);
        return;
    }
    uint64_t parent = take_directory(trial);
    oid = find(trial, parent, take_name(trial));
    if (oid != 0 && what == 0)
        write_lines(trial, oid);
    else if (oid != 0)
        change_attributes(trial, oid);
}

/* ---- orders ---- */

static void expect_tree(struct trial *trial, uint64_t before) {
    struct diff_options options = {.before_a = before, .before_b = store_last(trial->store) + 1};
    struct change_list changes;
    require(diff_run(trial->store, &options, &changes) == STORE_OK, "what was put back can be compared");
    for (size_t i = 0; i < changes.count; i++) {
        /* A file of several names that had gone is another object now, under the same ones: nothing else tells them apart. */
        const struct change *change = &changes.items[i];
        require(change->kind == CHANGE_MODIFIED && change->what == 0 && change->replaced && change->old.nlink > 1 &&
                    change->old.nlink == change->new.nlink,
                "what was reverted is as it was");
    }
    change_list_release(&changes);
}

/* restore_run does what the plan says. */
static void carry_out(struct trial *trial, const struct restore_order *order) {
    struct restore_plan *plan = NULL;
    struct restore_result result = {0};
    struct error err = {0}, run_err = {0};
    const struct restore_request *request = &order->request;
    size_t conflicts = 0, steps = 0;
    uint64_t base = store_last(trial->store);
    bool all = request->kind == RESTORE_REVERT && request->path_count == 1 && request->paths[0][0] == '\0' &&
               !request->keep_new && request->choice_count == 0;
    int planned = restore_plan_make(trial->store, base, request, NULL, NULL, &plan, &err);
    int rc = restore_run(trial->store, trial->head, request, order->only_base, "somebody", order->message, &result,
                         &run_err);
    require(rc == STORE_OK || (rc == (int)run_err.code && strlen(run_err.text) > 0), "a refusal has a reason");
    if (planned == STORE_OK) {
        (void)restore_plan_conflicts(plan, &conflicts);
        (void)restore_plan_steps(plan, &steps);
        require(rc == STORE_OK || rc == STORE_INVALID || rc == STORE_FULL || rc == STORE_TOO_BIG,
                "what can be planned can be done");
    } else {
        require(planned == (int)err.code && strlen(err.text) > 0, "a refusal has a reason");
        require(rc == planned || (rc == STORE_INVALID && order->only_base != 0), "a plan is refused as the deed is");
    }
    if (rc == STORE_OK) {
        enum restore_outcome expected = conflicts > 0              ? RESTORE_CONFLICT
                                        : restore_plan_empty(plan) ? RESTORE_NOTHING
                                                                   : RESTORE_DONE;
        require(result.outcome == expected && result.base == base, "what is done is what the plan says");
    }
    uint64_t expected_last = base + (rc == STORE_OK && result.outcome == RESTORE_DONE);
    require(store_last(trial->store) == expected_last, "one transaction is made, or none");
    if (rc == STORE_OK && all && conflicts == 0)
        expect_tree(trial, request->before);
    char *message;
    (void)restore_message(trial->store, request, "why", &message);
    free(message);
    restore_touched_release(&result.touched);
    restore_plan_free(plan);
}

static void order_of_bytes(struct trial *trial) {
    struct restore_order order;
    if (restore_order_decode(trial->data, trial->size, &order) != STORE_OK)
        return;
    carry_out(trial, &order);
    restore_order_release(&order);
    trial->size = 0;
}

static void order_made_up(struct trial *trial) {
    static const char *const paths[] = {"",     "dir",  "dir/sub", "dir/sub/deep", "dir/sub/file", "turned/a", "a",
                                        "hard", "link", "nowhere", "..",           "dir//sub",     "/"};
    enum { PATHS = sizeof paths / sizeof paths[0], MOST = 3 };
    const char *chosen[MOST];
    uint64_t seqs[MOST], last = store_last(trial->store);
    struct restore_choice choices[MOST];
    unsigned how = take(trial);
    struct restore_order order = {.message = how & 1 ? "why" : "", .only_base = how & 2 ? last - (how >> 7) : 0};
    struct restore_request *request = &order.request;
    request->kind = how & 4 ? RESTORE_UNDO : RESTORE_REVERT;
    request->keep_new = how & 8;
    request->before = take(trial) % (last + 3);
    request->path_count = how & 16 ? 1 : take(trial) % (MOST + 1);
    request->seq_count = take(trial) % (MOST + 1);
    request->choice_count = how & 32 ? take(trial) % (MOST + 1) : 0;
    for (size_t i = 0; i < MOST; i++) {
        chosen[i] = how & 16 ? "" : paths[take(trial) % PATHS];
        seqs[i] = how & 64 ? last - i : take(trial) % (last + 2);
        choices[i] = (struct restore_choice){.data = (const uint8_t *)"content", .length = 7};
        if (i < request->choice_count) {
            choices[i].path = paths[take(trial) % PATHS];
            choices[i].comes = take(trial) % 2;
            choices[i].whole = take(trial) % 2;
        }
    }
    request->paths = chosen;
    request->seqs = seqs;
    request->choices = choices;
    carry_out(trial, &order);
}

/* ---- one input ---- */

static void step(struct trial *trial) {
    enum { CHANGES = 7, SEAL = CHANGES, SEAL_TOO, ORDER, ORDER_TOO, BYTES, KINDS };
    unsigned what = take(trial) % KINDS;
    if (what < CHANGES) {
        change(trial, what);
        return;
    }
    require(head_seal(trial->head, NULL, NULL, NULL) == 0, "the head seals");
    if (what == BYTES)
        order_of_bytes(trial);
    else if (what >= ORDER)
        order_made_up(trial);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct trial trial = {.data = data, .size = size};
    struct error err = {0};
    uint64_t fingerprint = 0;
    if (size == 0)
        return 0;
    require(fake_store_copy(made.template, made.directory), "the store can be copied");
    require(store_open(made.directory, &(struct store_options){.writable = true, .cache_bytes = 1 << 20}, &trial.store,
                       &err) == STORE_OK &&
                head_open(trial.store, &(struct head_options){.dirty_limit_bytes = 1U << 20}, &trial.head, &err) ==
                    STORE_OK,
            "the store opens");
    for (unsigned i = 0; i < STEPS_MAX && trial.size > 0; i++)
        step(&trial);
    require(head_close(trial.head) == 0, "the head closes");
    store_close(trial.store);
    require(fake_store_check(made.directory, made.before, true, &fingerprint), "the store is sound");
    require(fingerprint == made.fingerprint, "an earlier instant is what it was");
    require(fake_store_remove(made.directory), "the store can be removed");
    return 0;
}

/* ---- beginning and end ---- */

static void end_all(void) {
    (void)fake_store_remove(made.base);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    (void)snprintf(made.base, sizeof made.base, "%s/fuzz_restore.XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(mkdtemp(made.base) != NULL && atexit(end_all) == 0, "there is a place");
    (void)snprintf(made.template, sizeof made.template, "%s/template", made.base);
    (void)snprintf(made.directory, sizeof made.directory, "%s/store", made.base);
    require(fake_store_make(made.template, &made.instants), "there is a store");
    made.before = made.instants.seqs[made.instants.count - 1] + 1;
    require(fake_store_check(made.template, made.before, true, &made.fingerprint), "it is sound");
    return 0;
}
