/* Threads at one store. Writers change the head, each below a directory of its own, and commit; others make transactions that are taken back, set tags,
 * and read: views of any instant while later ones come. The pool of views and the cache are small, so that both are always short of room; the
 * interval and the dirty limit seal at any moment, too.
 *
 * A writer counts. In its Nth round it does, one after the other,
 *     writes N to "count"                         every instant has count N or N - 1 beside the newest of the names
 *     makes the name N in "names"                 2 and removes N - KEPT
 *     in each third round, as one transaction:    "left" and "right" become N: no instant has them different
 *     commits, by fsync or with a message         the instant of that tid has N everywhere
 * so that any instant can be judged by itself, whoever sealed it. Of an instant that was looked at before, the sum of all that it shows is
 * the same again. What is taken back is seen nowhere.
 *
 * ROUNDS, how many in all (default 200), and SEED in the environment.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <xxhash.h>

#include "tests/model.h"
#include "tests/model_threads.h"

#define WRITERS      3
#define READERS      3
#define NAMES_KEPT   20
#define INSTANTS_MAX 100000
#define FILE_BYTES   40000 /* of "count": sometimes a body of its own */

struct crowd {
    char base[64], directory[96];
    struct store *store;
    struct head *head;
    struct view_pool *pool;
    uint64_t seed, rounds;
    _Atomic uint64_t round, writing; /* done in all; writers that are not done */
    _Atomic uint64_t views, aborts, tags;
    pthread_mutex_t lock; /* what follows */
    struct known {
        uint64_t seq, tid;
        uint64_t sum;             /* of all that it shows; 0: not looked at yet */
        uint64_t counts[WRITERS]; /* at least so far */
    } * known;
    size_t known_count;
};

struct member {
    struct crowd *crowd;
    pthread_t thread;
    uint64_t random;
    unsigned number;
    uint64_t directory, names, count, left, right; /* oids of a writer's */
    uint64_t done;                                 /* rounds */
};

static uint64_t next_random(struct member *member, uint64_t bound) {
    member->random = member->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (member->random >> 33) % bound;
}

/* cmocka's own assertions jump, which a thread cannot. */
#define must(crowd, condition, ...)                                                                                    \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            (void)fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                      \
            (void)fprintf(stderr, __VA_ARGS__);                                                                        \
            (void)fprintf(stderr, "\n    again: ROUNDS=%" PRIu64 " SEED=%" PRIu64 " tests/test_model\n",               \
                          (crowd)->rounds, (crowd)->seed);                                                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* ---- writers ---- */

static const struct head_caller caller = {1000, 1000, 022};

static uint64_t make(struct member *member, uint64_t parent, const char *name, uint32_t mode) {
    struct head_attr attr;
    int rc = head_make(member->crowd->head, parent, name, strlen(name), mode, 0, NULL, &caller, &attr);
    must(member->crowd, rc == 0, "cannot make %s: %d", name, rc);
    return attr.oid; /* held until the end */
}

static void write_count(struct member *member, uint64_t oid, uint64_t count, size_t size) {
    static const size_t step = sizeof count;
    uint8_t *bytes = malloc(size);
    must(member->crowd, bytes, "out of memory");
    for (size_t at = 0; at + step <= size; at += step)
        memcpy(bytes + at, &count, step);
    int64_t done = head_write(member->crowd->head, oid, 0, size, bytes, false);
    must(member->crowd, done == (int64_t)size, "a write: %" PRId64, done);
    free(bytes);
}

static int write_both(void *context) {
    struct member *member = context;
    write_count(member, member->left, member->done, 8);
    sched_yield();
    write_count(member, member->right, member->done, 8);
    return 0;
}

/* What nobody may ever see. */
static int spoil(void *context) {
    struct member *member = context;
    struct head_attr attr;
    if (head_make(member->crowd->head, ROOT_OID, "poison", 6, S_IFREG | 0644, 0, NULL, &caller, &attr) < 0)
        return 0;
    head_forget(member->crowd->head, attr.oid, 1);
    write_count(member, member->left, UINT64_MAX, 8);
    (void)head_rename(member->crowd->head, member->directory, "names", 5, ROOT_OID, "poison", 6, 0);
    return 1;
}

static void know(struct crowd *crowd, const struct member *writer, uint64_t tid) {
    struct transaction transaction;
    int rc = storage_transaction_before(store_storage(crowd->store), tid + 1, &transaction);
    must(crowd, rc == STORE_OK && transaction.tid == tid, "no transaction %016" PRIx64, tid);
    (void)pthread_mutex_lock(&crowd->lock);
    if (crowd->known_count < INSTANTS_MAX) {
        struct known *known = &crowd->known[crowd->known_count++];
        *known = (struct known){.seq = transaction.seq, .tid = tid};
        known->counts[writer->number] = writer->done;
    }
    (void)pthread_mutex_unlock(&crowd->lock);
    transaction_release(&transaction);
}

static void write_round(struct member *member) {
    struct crowd *crowd = member->crowd;
    char name[24];
    uint64_t tid = 0;
    member->done++;
    /* Once in memory, once in a body file. Always the same size: it is written in one piece. */
    write_count(member, member->count, member->done, FILE_BYTES);
    (void)snprintf(name, sizeof name, "%" PRIu64, member->done);
    head_forget(crowd->head, make(member, member->names, name, S_IFREG | 0600), 1);
    if (member->done > NAMES_KEPT) {
        (void)snprintf(name, sizeof name, "%" PRIu64, member->done - NAMES_KEPT);
        int rc = head_unlink(crowd->head, member->names, name, strlen(name));
        must(crowd, rc == 0, "cannot remove %s: %d", name, rc);
    }
    if (member->done % 3 == 0) {
        int rc = head_transaction(crowd->head, write_both, member, NULL, NULL, NULL);
        must(crowd, rc == 0, "a transaction: %d", rc);
    }
    if (member->done % 7 == 0) {
        int rc = head_transaction(crowd->head, spoil, member, NULL, "never", NULL);
        must(crowd, rc == 1, "a transaction that is taken back: %d", rc);
        crowd->aborts++;
    }
    if (next_random(member, 3) == 0)
        return; /* another one's commit may take it along, or the interval */
    int rc = head_seal(crowd->head, NULL, next_random(member, 2) ? "a round" : NULL, &tid);
    must(crowd, rc == 0, "sealing: %d", rc);
    know(crowd, member, tid);
}

static void *write_rounds(void *context) {
    struct member *member = context;
    while (atomic_fetch_add(&member->crowd->round, 1) < member->crowd->rounds)
        write_round(member);
    member->crowd->writing--;
    return NULL;
}

/* ---- readers ---- */

struct sum {
    struct member *member;
    struct view *view;
    uint64_t value, newest; /* of all; the greatest number among the names */
    uint64_t entries;
};

static uint64_t read_count(struct member *member, uint64_t revision, uint64_t size) {
    static const size_t step = sizeof(uint64_t);
    uint8_t bytes[FILE_BYTES];
    uint64_t first = 0, other;
    size_t done = 0;
    int rc = view_file_read(member->crowd->store, revision, 0, sizeof bytes, bytes, &done);
    must(member->crowd, rc == 0 && done == size, "reading a view: %d, %zu bytes", rc, done);
    if (done >= step)
        memcpy(&first, bytes, step);
    for (size_t at = 0; at + step <= done; at += step) {
        memcpy(&other, bytes + at, step);
        must(member->crowd, other == first, "a view shows half of a write: %" PRIu64 " and %" PRIu64, first, other);
    }
    return first;
}

static void add(struct sum *sum, const void *data, size_t length) {
    sum->value = XXH3_64bits_withSeed(data, length, sum->value);
}

static bool sum_entry(void *context, const struct view_entry *entry) {
    struct sum *sum = context;
    must(sum->member->crowd, entry->attr, "an entry that cannot be read");
    const struct stat *stat = &entry->attr->stat;
    const uint64_t numbers[] = {entry->oid,
                                entry->ino,
                                stat->st_mode,
                                (uint64_t)stat->st_size,
                                (uint64_t)stat->st_mtim.tv_sec,
                                (uint64_t)stat->st_mtim.tv_nsec,
                                (uint64_t)stat->st_ctim.tv_nsec};
    add(sum, entry->name, entry->length);
    add(sum, numbers, sizeof numbers);
    sum->entries++;
    uint64_t number = strtoull(entry->name, NULL, 10);
    if (number > sum->newest)
        sum->newest = number;
    if (S_ISREG(stat->st_mode)) {
        uint64_t count = read_count(sum->member, entry->attr->revision, (uint64_t)stat->st_size);
        add(sum, &count, sizeof count);
    }
    return true;
}

static void sum_directory(struct sum *sum, uint64_t oid) {
    int rc = view_readdir(sum->view, oid, 0, true, sum_entry, sum);
    must(sum->member->crowd, rc == 0, "listing a view: %d", rc);
}

static uint64_t view_count(struct sum *sum, uint64_t directory, const char *name) {
    struct view_attr attr;
    int rc = view_lookup(sum->view, directory, name, strlen(name), &attr);
    must(sum->member->crowd, rc == 0, "%s in a view: %d", name, rc);
    return read_count(sum->member, attr.revision, (uint64_t)attr.stat.st_size);
}

/* What one writer has in an instant: its own rules, and that nothing is older than is known. */
static void check_writer(struct sum *sum, const struct known *known, unsigned writer) {
    struct crowd *crowd = sum->member->crowd;
    struct view_attr directory, names;
    char name[8];
    (void)snprintf(name, sizeof name, "w%u", writer);
    int rc = view_lookup(sum->view, ROOT_OID, name, strlen(name), &directory);
    if (rc == 0)
        rc = view_lookup(sum->view, directory.oid, "names", 5, &names);
    must(crowd, rc == 0, "%s in a view: %d", name, rc);
    sum_directory(sum, directory.oid);
    sum->newest = sum->entries = 0;
    sum_directory(sum, names.oid);
    uint64_t count = view_count(sum, directory.oid, "count"), newest = sum->newest,
             left = view_count(sum, directory.oid, "left"), right = view_count(sum, directory.oid, "right");
    must(crowd, count == newest || count == newest + 1,
         "transaction %" PRIu64 " shows count %" PRIu64 " beside name %" PRIu64, known->seq, count, newest);
    must(crowd, sum->entries == (newest < NAMES_KEPT ? newest : NAMES_KEPT) || sum->entries == NAMES_KEPT + 1,
         "transaction %" PRIu64 " shows %" PRIu64 " names up to %" PRIu64, known->seq, sum->entries, newest);
    must(crowd, left == right && left <= count && left + 3 >= newest - newest % 3,
         "transaction %" PRIu64 " shows %" PRIu64 " and %" PRIu64 " with count %" PRIu64, known->seq, left, right,
         count);
    must(crowd, count >= known->counts[writer] && (!known->counts[writer] || count == newest),
         "transaction %" PRIu64 " shows count %" PRIu64 ", but %" PRIu64 " was committed", known->seq, count,
         known->counts[writer]);
}

static void look(struct member *member, size_t at) {
    struct crowd *crowd = member->crowd;
    struct sum sum = {.member = member};
    struct view_attr attr;
    (void)pthread_mutex_lock(&crowd->lock);
    struct known known = crowd->known[at];
    (void)pthread_mutex_unlock(&crowd->lock);
    int rc = view_pool_open(crowd->pool, known.seq + 1, &sum.view);
    must(crowd, rc == 0 && view_tid(sum.view) == known.tid, "a view of %" PRIu64 ": %d", known.seq, rc);
    rc = view_lookup(sum.view, ROOT_OID, "poison", 6, &attr);
    must(crowd, rc == -ENOENT, "transaction %" PRIu64 " shows what was taken back (%d)", known.seq, rc);
    sum_directory(&sum, ROOT_OID);
    for (unsigned writer = 0; writer < WRITERS; writer++)
        check_writer(&sum, &known, writer);
    view_pool_done(crowd->pool, sum.view);
    (void)pthread_mutex_lock(&crowd->lock);
    uint64_t before = crowd->known[at].sum;
    crowd->known[at].sum = sum.value;
    (void)pthread_mutex_unlock(&crowd->lock);
    must(crowd, before == 0 || before == sum.value, "transaction %" PRIu64 " does not show what it did", known.seq);
    crowd->views++;
}

static void *read_views(void *context) {
    struct member *member = context;
    struct crowd *crowd = member->crowd;
    while (crowd->writing) {
        (void)pthread_mutex_lock(&crowd->lock);
        size_t count = crowd->known_count;
        (void)pthread_mutex_unlock(&crowd->lock);
        /* An old one, or one of the newest. */
        look(member, next_random(member, 2) ? (size_t)next_random(member, count)
                                            : count - 1 - (size_t)next_random(member, count < 4 ? count : 4));
        if (next_random(member, 16) == 0)
            (void)view_pool_sweep(crowd->pool, UINT64_MAX);
    }
    return NULL;
}

/* Sets tags to what there is, and reads them; reads the head; asks for the state of everything. */
static void *tag_and_look(void *context) {
    struct member *member = context;
    struct crowd *crowd = member->crowd;
    struct storage *storage = store_storage(crowd->store);
    while (crowd->writing) {
        struct view_pool_statistics statistics;
        struct head_status status;
        uint64_t tid = 0;
        char name[8];
        (void)pthread_mutex_lock(&crowd->lock);
        uint64_t set = crowd->known[next_random(member, crowd->known_count)].tid;
        (void)pthread_mutex_unlock(&crowd->lock);
        (void)snprintf(name, sizeof name, "t%u", (unsigned)next_random(member, 5));
        int rc = storage_tag_set(storage, name, set, true);
        if (rc == STORE_OK)
            rc = storage_tag_get(storage, name, &tid);
        must(crowd, rc == STORE_OK && tid == set, "tag %s: %s", name, store_error_text(rc));
        crowd->tags++;
        view_pool_get_statistics(crowd->pool, &statistics);
        must(crowd, statistics.idle <= 2 && statistics.open <= statistics.idle + READERS, "%" PRIu64 " views are open",
             statistics.open);
        head_get_status(crowd->head, &status);
        must(crowd, !status.failed && status.last_seq <= store_last(crowd->store) + 1, "the head has failed");
    }
    return NULL;
}

/* ---- the test ---- */

static void open_crowd(struct crowd *crowd) {
    const struct store_options store_options = {.writable = true, .cache_bytes = 256 << 10};
    const struct head_options options = {.commit_interval_ns = 3000000, .dirty_limit_bytes = 100000, .user = "crowd"};
    const struct view_pool_options pool = {.idle_max = 2, .idle_ns = 1000000};
    struct error err = {0};
    if (store_open(crowd->directory, &store_options, &crowd->store, &err) < 0 ||
        head_open(crowd->store, &options, &crowd->head, &err) < 0)
        fail_msg("%s", err.text);
    crowd->pool = view_pool_new(crowd->store, &pool);
    assert_non_null(crowd->pool);
}

static void start_writer(struct member *member) {
    char name[8];
    uint64_t tid;
    (void)snprintf(name, sizeof name, "w%u", member->number);
    member->directory = make(member, ROOT_OID, name, S_IFDIR | 0700);
    member->names = make(member, member->directory, "names", S_IFDIR | 0700);
    member->count = make(member, member->directory, "count", S_IFREG | 0600);
    member->left = make(member, member->directory, "left", S_IFREG | 0600);
    member->right = make(member, member->directory, "right", S_IFREG | 0600);
    if (member->number < WRITERS - 1)
        return;
    assert_int_equal(head_seal(member->crowd->head, NULL, NULL, &tid), 0);
    know(member->crowd, member, tid);
}

void test_threads__views_stay_as_they_are_while_others_write(void **state) {
    static struct crowd crowd;
    static void *(*const roles[])(void *) = {write_rounds, write_rounds, write_rounds, read_views,
                                             read_views,   read_views,   tag_and_look};
    struct member members[sizeof roles / sizeof roles[0]];
    (void)state;
    crowd.seed = model_knob("SEED", (uint64_t)time(NULL));
    crowd.rounds = model_knob("ROUNDS", 200);
    crowd.writing = WRITERS;
    crowd.known = calloc(INSTANTS_MAX, sizeof *crowd.known);
    assert_non_null(crowd.known);
    assert_int_equal(pthread_mutex_init(&crowd.lock, NULL), 0);
    model_new_store(crowd.base, crowd.directory);
    open_crowd(&crowd);
    for (unsigned i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        members[i] = (struct member){.crowd = &crowd, .number = i, .random = crowd.seed + i};
        if (i < WRITERS)
            start_writer(&members[i]);
    }
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        assert_int_equal(pthread_create(&members[i].thread, NULL, roles[i], &members[i]), 0);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        assert_int_equal(pthread_join(members[i].thread, NULL), 0);
    for (size_t i = 0; i < crowd.known_count; i++)
        look(&members[WRITERS], i);
    view_pool_free(crowd.pool);
    assert_int_equal(head_close(crowd.head), 0);
    model_verify(crowd.store);
    (void)printf("    ROUNDS=%" PRIu64 " SEED=%" PRIu64 ": %" PRIu64 " transactions by %d threads, %" PRIu64
                 " views, %" PRIu64 " tags, %" PRIu64 " taken back\n",
                 crowd.rounds, crowd.seed, store_last(crowd.store), WRITERS, crowd.views, crowd.tags, crowd.aborts);
    store_close(crowd.store);
    model_remove_store(crowd.base);
    (void)pthread_mutex_destroy(&crowd.lock);
    free(crowd.known);
}
