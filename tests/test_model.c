/* Random operations on a store and on a plain model of it that keeps every instant (tests/model.h): everything that can be read of either is compared, in the
 * course of the run and, all instants, at its end.
 *
 * OPERATIONS, how many (default 20000), and SEED, which (default: the clock), in the environment. For the second test, with several
 * threads, see tests/model_threads.c.
 */
#include <limits.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/model.h"
#include "tests/model_threads.h"

/* ---- the clock ---- */

static _Atomic(int64_t) clock_ns = -1; /* -1: that of the system */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now) {
    int64_t ns = clock_ns;
    if (ns < 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return __real_clock_gettime(clock, now);
    *now = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return 0;
}

void model_set_clock(struct timespec now) {
    clock_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- runs ---- */

void model_fail(const struct model *model, const char *file, int line, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    print_error("%s:%d: operation %" PRIu64 ": %s\n    again: OPERATIONS=%" PRIu64 " SEED=%" PRIu64
                " tests/test_model\n",
                file, line, model->operation, text, model->operation, model->seed);
    _fail(file, line);
    abort();
}

uint64_t model_knob(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return otherwise;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end || *text == '-' || value == ULLONG_MAX)
        fail_msg("%s=%s is no number", name, text);
    return value;
}

/* Caches of any size, and pools, so that what is evicted and loaded again varies. */
void model_open(struct model *model) {
    static const uint64_t caches[] = {64 << 10, 1 << 20, 0};
    const struct store_options store_options = {.writable = true, .cache_bytes = caches[model_random(model, 3)]};
    /* It seals only when it is told to, so that the model knows what each transaction holds. */
    const struct head_options options = {.dirty_limit_bytes = UINT64_C(1) << 40, .user = MODEL_USER};
    const struct view_pool_options pool = {.idle_max = model_random(model, 4), .idle_ns = UINT64_C(1000000000)};
    struct error err = {0};
    int rc = store_open(model->directory, &store_options, &model->store, &err);
    if (rc == STORE_OK)
        rc = head_open(model->store, &options, &model->head, &err);
    want(model, rc == 0, "%s", err.text);
    model->pool = view_pool_new(model->store, &pool);
    assert_non_null(model->pool);
}

void model_close(struct model *model) {
    for (size_t i = 0; i < VIEWS; i++) {
        if (model->views[i].view)
            view_pool_done(model->pool, model->views[i].view);
        model->views[i].view = NULL;
    }
    /* What has no name is no more; the rest is sealed. */
    for (size_t i = 0; i < HELD; i++) {
        if (model->held[i])
            tree_forget(&model->tree, model->held[i]);
        model->held[i] = 0;
    }
    bool pending = model->tree.pending;
    view_pool_free(model->pool);
    int rc = head_close(model->head);
    want(model, rc == 0, "closing: %d", rc);
    if (pending) {
        struct transaction last;
        rc = storage_transaction_before(store_storage(model->store), INT64_MAX, &last);
        want(model, rc == STORE_OK && last.seq == model->history.count + 1, "closing sealed nothing");
        history_seal(&model->history, &model->tree, last.tid, MODEL_USER, 0);
        transaction_release(&last);
    }
    want(model, store_last(model->store) == model->history.count, "%" PRIu64 " transactions, expected %zu",
         store_last(model->store), model->history.count);
    store_close(model->store);
    model->tree.last_oid = model->history.last_oid; /* nobody has heard of those that were taken back */
}

void model_seal(struct model *model, const char *user, uint32_t message) {
    char text[256];
    uint64_t tid = 0, last = model->history.items[model->history.count - 1].tid;
    (void)message_text(message, text);
    int rc = head_seal(model->head, user, message ? text : NULL, &tid);
    want(model, rc == 0, "sealing: %d", rc);
    if (!message && !user && !model->tree.pending) {
        want(model, tid == last, "nothing was sealed, and got a tid");
        return;
    }
    want(model, tid > last, "tid %016" PRIx64 " is not after %016" PRIx64, tid, last);
    history_seal(&model->history, &model->tree, tid, user ? user : MODEL_USER, message);
    model->figures.seals++;
}

static void note_problem(void *context, const struct verify_problem *problem) {
    (void)context;
    print_message("verify: %s: %s\n", problem->path ? problem->path : "-", problem->text);
}

void model_verify(struct store *store) {
    uint64_t problems = 0;
    const struct verify_options options = {.problem = note_problem};
    assert_int_equal(storage_verify(store_storage(store), &options, &problems), STORE_OK);
    assert_int_equal(problems, 0);
}

void model_new_store(char base[64], char directory[96]) {
    struct error err = {0};
    (void)snprintf(base, 64, "%s/test_model.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(base));
    (void)snprintf(directory, 96, "%s/store", base);
    if (store_create(directory, 0, 0, &err) < 0)
        fail_msg("%s", err.text);
}

void model_remove_store(const char *base) {
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf %s", base);
    assert_int_equal(system(command), 0);
}

static void model_init(struct model *model) {
    struct head_attr root;
    struct transaction first;
    *model =
        (struct model){.seed = model_knob("SEED", (uint64_t)time(NULL)), .operations = model_knob("OPERATIONS", 20000)};
    model->random = model->seed;
    model->buffer = malloc(CONTENT_MAX);
    assert_non_null(model->buffer);
    model_set_clock((struct timespec){.tv_sec = 1700000000});
    model_new_store(model->base, model->directory);
    model_open(model);
    assert_int_equal(head_getattr(model->head, ROOT_OID, &root), 0);
    tree_init(&model->tree, &root);
    model->tree.now = (struct timespec){.tv_sec = 1700000000};
    assert_int_equal(storage_transaction_at(store_storage(model->store), 1, &first), STORE_OK);
    history_seal(&model->history, &model->tree, first.tid, "", 0);
    transaction_release(&first);
}

static void test_model__everything_is_as_in_a_plain_model(void **state) {
    static struct model model;
    (void)state;
    model_init(&model);
    while (model.operation < model.operations)
        model_operation(&model);
    model_close(&model);
    model_open(&model);
    compare_head(&model);
    compare_tags(&model);
    compare_all_instants(&model);
    model_verify(model.store);
    model_close(&model);
    (void)printf("    OPERATIONS=%" PRIu64 " SEED=%" PRIu64 ": %zu instants, %" PRIu64 " groups (%" PRIu64
                 " taken back), %" PRIu64 " reopens, %" PRIu64 " diffs, %" PRIu64 " logs\n",
                 model.operations, model.seed, model.history.count, model.figures.transactions + model.figures.aborts,
                 model.figures.aborts, model.figures.reopens, model.figures.diffs, model.figures.logs);
    model_remove_store(model.base);
    tree_release(&model.tree);
    history_release(&model.history);
    free(model.buffer);
    clock_ns = -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model__everything_is_as_in_a_plain_model),
        cmocka_unit_test(test_threads__views_stay_as_they_are_while_others_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
