#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "store/head.h"
#include "tests/powercut_run.h"

/* ---- fingerprints ---- */

struct walk {
    struct storage *storage;
    uint64_t before;
    XXH3_state_t *sum;
    uint8_t *body; /* BODY_LIMIT bytes */
};

static void add_bytes(struct walk *walk, const void *data, size_t length) {
    uint64_t size = length;
    (void)XXH3_64bits_update(walk->sum, &size, sizeof size);
    if (length > 0)
        (void)XXH3_64bits_update(walk->sum, data, length);
}

static void add_numbers(struct walk *walk, const uint64_t *numbers, size_t count) {
    add_bytes(walk, numbers, count * sizeof *numbers);
}

static bool add_bodies(struct walk *walk, const struct revision *revision) {
    struct chunk chunk;
    if (chunk_decode(revision->data, revision->length, &chunk) != STORE_OK)
        return false;
    bool ok = true;
    for (size_t i = 0; i < chunk.count && ok; i++) {
        ok = storage_body_read(walk->storage, &chunk.extents[i].body, walk->body) == STORE_OK;
        if (ok)
            add_bytes(walk, walk->body, chunk.extents[i].body.length);
    }
    chunk_release(&chunk);
    return ok;
}

static bool add_part(struct walk *walk, uint64_t oid, uint64_t part) {
    enum load_outcome outcome;
    struct revision revision;
    if (storage_load_before(walk->storage, oid, part, walk->before, &outcome, &revision) != STORE_OK ||
        outcome != LOAD_DATA)
        return false;
    add_numbers(walk, (uint64_t[]){oid, part, revision.id, revision.seq}, 4);
    add_bytes(walk, revision.data, revision.length);
    bool ok = part < PART_CHUNK || add_bodies(walk, &revision);
    revision_release(&revision);
    return ok;
}

static bool add_object(struct walk *walk, uint64_t oid) {
    uint64_t part = 0;
    int rc;
    while ((rc = storage_next_part(walk->storage, oid, part, walk->before, &part)) == STORE_OK) {
        if (!add_part(walk, oid, part))
            return false;
        part++;
    }
    return rc == STORE_ABSENT;
}

static bool add_tree(struct walk *walk, uint64_t directory) {
    struct entry_list list;
    if (!add_object(walk, directory) || storage_list(walk->storage, directory, walk->before, &list) != STORE_OK)
        return false;
    bool ok = true;
    for (size_t i = 0; i < list.count && ok; i++) {
        const struct entry *entry = &list.items[i];
        add_numbers(walk, (uint64_t[]){entry->index, entry->oid, entry->born, entry->type}, 4);
        add_bytes(walk, entry->name, entry->name_length);
        ok = S_ISDIR(entry->type) ? add_tree(walk, entry->oid) : add_object(walk, entry->oid);
    }
    entry_list_release(&list);
    return ok;
}

static bool add_transaction(struct walk *walk, uint64_t seq) {
    struct transaction transaction;
    if (storage_transaction_at(walk->storage, seq, &transaction) != STORE_OK)
        return false;
    add_numbers(walk,
                (uint64_t[]){transaction.seq, transaction.tid, transaction.base, transaction.object_count,
                             (uint64_t)transaction.wall.tv_sec, (uint64_t)transaction.wall.tv_nsec},
                6);
    add_bytes(walk, transaction.user, strlen(transaction.user));
    add_bytes(walk, transaction.message, strlen(transaction.message));
    transaction_release(&transaction);
    return true;
}

bool fingerprint(struct storage *storage, uint64_t seq, uint64_t *value) {
    struct walk walk = {.storage = storage, .before = seq + 1, .sum = XXH3_createState(), .body = malloc(BODY_LIMIT)};
    bool ok = walk.sum && walk.body && XXH3_64bits_reset(walk.sum) == XXH_OK && add_transaction(&walk, seq) &&
              add_tree(&walk, ROOT_OID);
    if (ok)
        *value = XXH3_64bits_digest(walk.sum);
    (void)XXH3_freeState(walk.sum);
    free(walk.body);
    return ok;
}

/* ---- what must be there ---- */

struct expected {
    bool store;              /* there must be one */
    uint64_t acknowledged;   /* at least this transaction */
    uint64_t tags[RUN_TAGS]; /* as last acknowledged */
    uint64_t begun[RUN_TAGS];
    bool changing[RUN_TAGS]; /* begun may be found instead */
};

static struct expected expect(const struct run *run, size_t cut) {
    struct expected expected = {.store = run->base_store, .acknowledged = run->base_last};
    memcpy(expected.tags, run->base_tags, sizeof expected.tags);
    for (size_t i = 0; i < cut; i++) {
        const struct event *event = &run->recording.events[i];
        unsigned tag = event->kind >= EVENT_TAG_BEGIN ? (unsigned)event->name[1] - '0' : 0;
        if (event->kind == EVENT_CREATED)
            expected.store = true;
        if (event->kind == EVENT_SEALED)
            expected.acknowledged = event->offset;
        if (event->kind == EVENT_TAG_BEGIN) {
            expected.changing[tag] = true;
            expected.begun[tag] = event->offset;
        }
        if (event->kind == EVENT_TAG_DONE) {
            expected.changing[tag] = false;
            expected.tags[tag] = event->offset;
        }
    }
    return expected;
}

/* ---- looking ---- */

struct look {
    const struct run *run;
    struct expected expected;
    const char *directory; /* of the store */
    struct dice *dice;
    struct log log;
    char *why;
    size_t why_size;
};

static bool wrong(struct look *look, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(struct look *look, const char *format, ...) {
    /* The first that was found stays. */
    if (look->why[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(look->why, look->why_size, format, arguments);
        va_end(arguments);
    }
    return false;
}

/* No state that a power cut leaves is an error. */
static void note_line(void *context, enum log_level level, const char *line) {
    struct look *look = context;
    if (level <= LOG_LEVEL_WARNING)
        (void)wrong(look, "logged: %s", line);
}

static void note_problem(void *context, const struct verify_problem *problem) {
    (void)wrong(context, "verify: %s: %s", problem->path ? problem->path : "-", problem->text);
}

static bool look_verify(struct look *look, struct storage *storage) {
    uint64_t problems;
    int rc = storage_verify(storage, &(struct verify_options){.problem = note_problem, .context = look}, &problems);
    if (rc != STORE_OK)
        return wrong(look, "verify: %s", store_error_text(rc));
    return problems == 0 || wrong(look, "verify finds %" PRIu64 " problems", problems);
}

static bool look_tags(struct look *look, struct storage *storage) {
    struct tag *tags = NULL;
    size_t count = 0;
    uint64_t found[RUN_TAGS] = {0};
    bool ok = storage_tag_list(storage, &tags, &count) == STORE_OK || wrong(look, "the tags cannot be read");
    for (size_t i = 0; i < count && ok; i++) {
        unsigned number = (unsigned)tags[i].name[1] - '0';
        if (tags[i].name[0] != 't' || number >= RUN_TAGS)
            ok = wrong(look, "tag '%s' was never set", tags[i].name);
        else
            found[number] = tags[i].tid;
    }
    for (unsigned i = 0; i < RUN_TAGS && ok; i++)
        if (found[i] != look->expected.tags[i] && !(look->expected.changing[i] && found[i] == look->expected.begun[i]))
            ok = wrong(look, "tag t%u is %016" PRIx64 ", acknowledged was %016" PRIx64, i, found[i],
                       look->expected.tags[i]);
    free(tags);
    return ok;
}

static bool look_instant(struct look *look, struct storage *storage, uint64_t seq) {
    uint64_t found;
    if (!fingerprint(storage, seq, &found))
        return wrong(look, "transaction %" PRIu64 " cannot be read", seq);
    return found == look->run->fingerprints[seq] || wrong(look, "transaction %" PRIu64 " has another content", seq);
}

/* That a store is sound, at a transaction that was sealed and is not too old. */
static bool look_store(struct look *look, struct storage *storage) {
    struct storage_state state;
    if (storage_get_state(storage, &state) != STORE_OK)
        return wrong(look, "the state cannot be read");
    if (state.last_seq < look->expected.acknowledged || state.last_seq > look->run->last)
        return wrong(look, "the newest transaction is %" PRIu64 ", acknowledged was %" PRIu64 " of %" PRIu64,
                     state.last_seq, look->expected.acknowledged, look->run->last);
    if (!look_instant(look, storage, state.last_seq) || !look_tags(look, storage) || !look_verify(look, storage))
        return false;
    uint64_t first = dice_below(look->dice, 8) == 0 ? 1 : state.last_seq;
    for (uint64_t seq = first; seq < state.last_seq; seq++)
        if (!look_instant(look, storage, seq))
            return false;
    return true;
}

static bool look_reading(struct look *look) {
    struct storage *storage;
    struct error err = {0};
    if (storage_sqlite_open(look->directory, &(struct storage_open_options){.log = &look->log}, &storage, &err) !=
        STORE_OK)
        return wrong(look, "does not open for reading: %s", err.text);
    bool ok = look_store(look, storage);
    storage_close(storage);
    return ok;
}

/* ---- going on ---- */

static bool change(struct look *look, struct head *head, uint64_t last) {
    static uint8_t data[100000];
    char name[32];
    const struct head_caller caller = {1000, 1000, 022};
    struct head_attr attr;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i % 251);
    (void)snprintf(name, sizeof name, "after %" PRIu64, last);
    int rc = head_make(head, ROOT_OID, name, strlen(name), S_IFREG | 0644, 0, NULL, &caller, &attr);
    if (rc < 0)
        return wrong(look, "no file can be made: %s", strerror(-rc));
    int64_t done = head_write(head, attr.oid, 0, sizeof data, data, false);
    head_forget(head, attr.oid, 1);
    if (done != (int64_t)sizeof data)
        return wrong(look, "the file cannot be written");
    rc = head_seal(head, NULL, NULL, NULL);
    return rc == 0 || wrong(look, "a new commit is refused: %s", strerror(-rc));
}

static bool look_changed(struct look *look, struct store *store, uint64_t last) {
    struct storage *storage = store_storage(store);
    uint64_t sum;
    if (store_last(store) != last + 1)
        return wrong(look, "the new commit is transaction %" PRIu64 " after %" PRIu64, store_last(store), last);
    if (!fingerprint(storage, last + 1, &sum))
        return wrong(look, "the new transaction cannot be read");
    return look_instant(look, storage, last) && (dice_below(look->dice, 4) != 0 || look_verify(look, storage));
}

/* `looked`: it was found sound when it was open for reading. */
static bool look_writing(struct look *look, bool looked) {
    struct store *store;
    struct head *head = NULL;
    struct error err = {0};
    if (store_open(look->directory, &(struct store_options){.writable = true, .log = &look->log}, &store, &err) !=
        STORE_OK)
        return wrong(look, "does not open for writing: %s", err.text);
    uint64_t last = store_last(store);
    bool ok = looked || look_store(look, store_storage(store));
    if (ok && head_open(store, &(struct head_options){.dirty_limit_bytes = UINT64_C(1) << 24}, &head, &err) != STORE_OK)
        ok = wrong(look, "no head: %s", err.text);
    ok = ok && change(look, head, last);
    if (head && head_close(head) < 0)
        ok = wrong(look, "the head does not close");
    ok = ok && look_changed(look, store, last);
    store_close(store);
    return ok;
}

/* ---- a store that is being made ---- */

/* There is none yet, or a whole one; and then `init` makes one. */
static bool look_unmade(struct look *look) {
    struct storage *storage;
    struct error err = {0};
    int rc = storage_sqlite_open(look->directory, &(struct storage_open_options){.log = &look->log}, &storage, &err);
    if (rc == STORE_OK) {
        bool ok = look_store(look, storage);
        storage_close(storage);
        return ok && look_writing(look, true);
    }
    if (rc != STORE_NOT_A_STORE)
        return wrong(look, "half a store is no store, but: %s", err.text);
    rc = store_create(look->directory, 1000, 1000, &err);
    if (rc != STORE_OK)
        return wrong(look, "init after init was cut short: %s", err.text);
    struct store *store;
    if (store_open(look->directory, &(struct store_options){.log = &look->log}, &store, &err) != STORE_OK)
        return wrong(look, "the store made after all does not open: %s", err.text);
    bool ok = store_last(store) == 1 ? look_verify(look, store_storage(store))
                                     : wrong(look, "the store made after all is at %" PRIu64, store_last(store));
    store_close(store);
    return ok;
}

bool check_state(const struct run *run, const struct disk *disk, const char *root, struct dice *dice, char *why,
                 size_t why_size) {
    char directory[512];
    (void)snprintf(directory, sizeof directory, "%s/store", root);
    struct look look = {
        .run = run,
        .expected = expect(run, disk->cut),
        .directory = directory,
        .dice = dice,
        .why = why,
        .why_size = why_size,
    };
    look.log = (struct log){.write = note_line, .context = &look, .most = LOG_LEVEL_WARNING};
    why[0] = '\0';
    bool ok = !look.expected.store       ? look_unmade(&look)
              : dice_below(dice, 2) == 0 ? look_reading(&look) && look_writing(&look, true)
                                         : look_writing(&look, false);
    return ok && why[0] == '\0';
}
