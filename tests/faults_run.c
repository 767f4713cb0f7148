/* Every scenario under every rule. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/faults_world.h"

#define RUN_SECONDS   60 /* a run that takes longer hangs */
#define PROBLEMS_TOLD 12
#define CALLS_MAX     100000

/* What fails, and what may be told of it. */
struct rule {
    const char *name;
    struct inject_rule inject;
    int expected[3]; /* errnos */
};

#define FILES (INJECT_WRITES | INJECT_SQLITE_WRITES)
#define SYNCS (INJECT_SYNCS | INJECT_SQLITE_SYNCS)
#define READS (INJECT_READS | INJECT_SQLITE_READS)
#define RULE(groups_, code_, ...)                                                                                      \
    {                                                                                                                  \
#groups_ " " #code_, {.groups = groups_, .code = code_ }, {                                                    \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define STICKY(groups_, code_, ...)                                                                                    \
    {                                                                                                                  \
#groups_ " " #code_ " from then on", {.groups = groups_, .code = code_, .sticky = true }, {                    \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define HALVES(groups_)                                                                                                \
    {                                                                                                                  \
#groups_ " by halves", {.groups = (groups_), .halves = true, .sticky = true }, {                               \
            0                                                                                                          \
        }                                                                                                              \
    }

static const struct rule rules[] = {
    RULE(INJECT_MEMORY, ENOMEM, ENOMEM),
    STICKY(INJECT_MEMORY, ENOMEM, ENOMEM),
    RULE(INJECT_SQLITE_MEMORY, ENOMEM, ENOMEM),
    STICKY(INJECT_SQLITE_MEMORY, ENOMEM, ENOMEM),
    RULE(INJECT_THREADS, EAGAIN, ENOMEM),
    RULE(INJECT_LOOKS, EIO, EIO),
    RULE(INJECT_LOOKS, ENOMEM, ENOMEM),
    RULE(INJECT_LOOKS, EINTR, 0),
    RULE(INJECT_READS, EIO, EIO),
    RULE(INJECT_READS, EINTR, 0),
    HALVES(INJECT_READS),
    RULE(INJECT_WRITES, ENOSPC, ENOSPC),
    RULE(INJECT_WRITES, EDQUOT, ENOSPC),
    RULE(INJECT_WRITES, EIO, EIO),
    RULE(INJECT_WRITES, EROFS, EROFS),
    RULE(INJECT_WRITES, EINTR, 0),
    HALVES(INJECT_WRITES),
    RULE(INJECT_SYNCS, EIO, EIO),
    RULE(INJECT_SYNCS, EINTR, 0),
    RULE(INJECT_SQLITE_LOOKS, EIO, EIO, EROFS), /* what cannot be opened for writing, SQLite opens for reading */
    RULE(INJECT_SQLITE_LOCKS, EIO, EIO, EBUSY), /* a lock of the shared memory that fails is one that another has */
    RULE(INJECT_SQLITE_READS, EIO, EIO),
    RULE(INJECT_SQLITE_READS, EINTR, 0),
    HALVES(INJECT_SQLITE_READS),
    RULE(INJECT_SQLITE_WRITES, ENOSPC, ENOSPC),
    RULE(INJECT_SQLITE_WRITES, EDQUOT, ENOSPC),
    RULE(INJECT_SQLITE_WRITES, EIO, EIO),
    RULE(INJECT_SQLITE_WRITES, EINTR, 0),
    HALVES(INJECT_SQLITE_WRITES),
    RULE(INJECT_SQLITE_SYNCS, EIO, EIO),
    RULE(INJECT_SQLITE_RESULTS, SQLITE_BUSY, EBUSY),
    RULE(INJECT_SQLITE_RESULTS, SQLITE_FULL, ENOSPC),
    RULE(INJECT_SQLITE_RESULTS, SQLITE_IOERR, EIO),
    RULE(INJECT_SQLITE_RESULTS, SQLITE_NOMEM, ENOMEM),
    STICKY(FILES, ENOSPC, ENOSPC),
    STICKY(FILES | SYNCS, EIO, EIO),
    STICKY(INJECT_LOOKS | READS | INJECT_SQLITE_LOOKS, EIO, EIO, EROFS),
};

/* ---- one run ---- */

static struct {
    char what[256]; /* the run, for whoever reads why it ended here */
    unsigned problems;
    uint64_t scenarios, runs, hits, sites;
} progress;

static void told_by_signal(int number) {
    (void)!write(STDERR_FILENO, progress.what, strlen(progress.what));
    (void)!write(STDERR_FILENO, "\n", 1);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void problem(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (progress.problems++ < PROBLEMS_TOLD)
        print_error("%s (%s): %s\n", progress.what, inject_call(), text);
}

static bool is_expected(const struct rule *rule, int code) {
    for (size_t i = 0; i < sizeof rule->expected / sizeof rule->expected[0]; i++)
        if (rule->expected[i] && rule->expected[i] == code)
            return true;
    return false;
}

static void check_result(const struct scenario *scenario, const struct rule *rule, struct world *w, int code,
                         uint64_t clean) {
    bool told = scenario->tells && is_expected(rule, EIO) && inject_hit();
    if (code == 0 && w->read != clean && !told)
        problem("succeeded, but read something else");
    if (w->broken)
        problem("%s", w->broken);
    if (code != 0 && !inject_hit())
        problem("errno %d although nothing failed", code);
    /* Changes that were sealed, and that there is no memory to take back, are lost, and the head says so. */
    bool lost = rule->inject.sticky && (rule->inject.groups & INJECT_MEMORY) && scenario->writes && code == EIO;
    /* The journal with which a database is made keeps no errno: of the quota SQLite knows nothing. */
    bool quota = rule->inject.code == EDQUOT && scenario->makes && code == EIO;
    if (code != 0 && inject_hit() && !is_expected(rule, code) && !lost && !quota)
        problem("errno %d; log: %s error: %s", code, world_log(w), w->err.text);
    /* Of a full disk and the like those tell who know what to do about it. */
    if (code == EIO && !w->err.text[0] && !world_log(w)[0])
        problem("errno %d, and nothing is said", code);
    if (code == 0 && w->first != 0 && !is_expected(rule, w->first))
        problem("errno %d of the step that failed; log: %s", w->first, world_log(w));
}

static void check_again(const struct scenario *scenario, const struct rule *rule, struct world *w, int code,
                        uint64_t clean) {
    w->read = 0;
    world_forget_log(w);
    w->err.text[0] = '\0';
    int again = scenario->again(w);
    bool final = scenario->writes && (is_expected(rule, EIO) || is_expected(rule, EROFS)) && code != 0;
    if (again != 0 && (!final || again != EIO))
        problem("errno %d when the fault was lifted; log: %s error: %s", again, world_log(w), w->err.text);
    if (again == 0 && w->read != clean)
        problem("read something else when the fault was lifted");
}

static void check_instants(const struct world *w, const struct instants *clean) {
    struct instants now;
    uint64_t base = world_template_instants()->last;
    world_instants(w->directory, &now);
    if (now.last < base || now.last > clean->last)
        problem("the store is at transaction %" PRIu64, now.last);
    for (uint64_t before = 2; before <= now.last + 1 && before <= clean->last + 1; before++)
        if (now.hash[before] != clean->hash[before])
            problem("instant %" PRIu64 " shows something else", before);
}

struct clean {
    uint64_t read;
    struct instants instants;
};

/* Its calls are our own, and fail once. */
static bool has_sites(const struct rule *rule) {
    const unsigned own = INJECT_MEMORY | INJECT_THREADS | INJECT_LOOKS | INJECT_READS | INJECT_WRITES | INJECT_SYNCS |
                         INJECT_SQLITE_RESULTS;
    return (rule->inject.groups & ~own) == 0 && !rule->inject.sticky && !rule->inject.halves;
}

#define NEW_SITE (UINT64_MAX - 1)

/* N 0: without faults, filling *clean; NEW_SITE: as that rule says. Returns whether something was hit. */
static bool run(const struct scenario *scenario, const struct rule *rule, uint64_t nth, struct clean *clean,
                uint64_t *count) {
    struct world w;
    (void)alarm(RUN_SECONDS);
    if (nth == NEW_SITE)
        (void)snprintf(progress.what, sizeof progress.what, "%s, %s, a new place", scenario->name, rule->name);
    else
        (void)snprintf(progress.what, sizeof progress.what, "%s, %s, N=%" PRIu64, scenario->name, rule->name, nth);
    world_begin(&w, scenario->empty);
    int64_t live = inject_live(), sqlite_live = inject_sqlite_live();
    int descriptors = inject_descriptors();
    int code = scenario->open ? scenario->open(&w) : 0;
    if (code != 0)
        fail_msg("%s: cannot be opened: errno %d, %s", scenario->name, code, w.err.text);
    w.sticky = rule->inject.sticky;
    struct inject_rule inject = rule->inject;
    inject.nth = nth == NEW_SITE ? 0 : nth ? nth : UINT64_MAX;
    inject.sites = has_sites(rule);
    inject_arm(&inject);
    code = scenario->act(&w);
    inject_disarm();
    *count = inject_count();
    bool hit = inject_hit();
    if (nth == 0) {
        if (code != 0)
            fail_msg("%s: errno %d without faults; log: %s error: %s", scenario->name, code, world_log(&w), w.err.text);
        clean->read = w.read;
    } else {
        check_result(scenario, rule, &w, code, clean->read);
    }
    if (scenario->again && hit)
        check_again(scenario, rule, &w, code, clean->read);
    (scenario->close ? scenario->close : world_close)(&w);
    if (inject_live() != live)
        problem("%" PRId64 " allocations are left", inject_live() - live);
    if (inject_sqlite_live() != sqlite_live)
        problem("%" PRId64 " allocations of SQLite's are left", inject_sqlite_live() - sqlite_live);
    if (inject_descriptors() != descriptors)
        problem("%d descriptors are left", inject_descriptors() - descriptors);
    if (scenario->loses)
        clean->instants = (struct instants){0};
    else if (nth == 0 && !scenario->empty)
        world_instants(w.directory, &clean->instants);
    else if (scenario->writes && !scenario->empty)
        check_instants(&w, &clean->instants);
    world_end(&w);
    progress.runs++;
    progress.hits += hit;
    (void)alarm(0);
    return hit;
}

/* ---- all runs ---- */

static uint64_t number_of(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t percent(void) {
    uint64_t faults = number_of("FAULTS", 2);
    return faults > 100 ? 100 : faults;
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state >> 11;
}

static void try_rule(const struct scenario *scenario, const struct rule *rule, struct clean *clean, uint64_t *random) {
    uint64_t count, ignored;
    (void)run(scenario, rule, 0, clean, &count);
    /* Whatever the share is, each place of the code that makes such a call sees it fail once, wherever it is come by first. */
    while (percent() > 0 && percent() < 100 && has_sites(rule) && inject_has_new_sites() &&
           run(scenario, rule, NEW_SITE, clean, &ignored))
        progress.sites++;
    uint64_t tries = (count * percent() + 99) / 100, least = percent() == 0 ? 1 : 3;
    if (tries < least || scenario->slow)
        tries = count < least ? count : least;
    if (percent() < 100) {
        for (uint64_t i = 0; i < tries; i++) {
            uint64_t from = i * count / tries, to = (i + 1) * count / tries;
            (void)run(scenario, rule, 1 + from + next_random(random) % (to - from), clean, &ignored);
        }
        return;
    }
    for (uint64_t nth = 1; run(scenario, rule, nth, clean, &ignored); nth++)
        assert_true(nth < CALLS_MAX);
}

void scenario_run(const struct scenario *scenario) {
    const char *only = getenv("ONLY"), *only_rule = getenv("RULE");
    uint64_t random = number_of("SEED", 1) * 2654435761 + 1;
    static struct clean clean;
    if (only && *only && !strstr(scenario->name, only))
        return;
    (void)signal(SIGALRM, told_by_signal);
    (void)signal(SIGABRT, told_by_signal);
    progress.problems = 0;
    progress.scenarios++;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        if (!(scenario->without & rules[i].inject.groups) && (!only_rule || strstr(rules[i].name, only_rule)))
            try_rule(scenario, &rules[i], &clean, &random);
    if (progress.problems > 0)
        fail_msg("%u problems", progress.problems);
}

void scenario_totals(void) {
    print_message("    FAULTS=%" PRIu64 " SEED=%" PRIu64 ": %" PRIu64 " runs of %" PRIu64
                  " scenarios under %zu rules, %" PRIu64 " of them with a fault, %" PRIu64 " at a place of its own\n",
                  percent(), number_of("SEED", 1), progress.runs, progress.scenarios, sizeof rules / sizeof rules[0],
                  progress.hits, progress.sites);
}
