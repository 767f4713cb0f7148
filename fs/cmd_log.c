#include <inttypes.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "fs/arguments.h"
#include "fs/change_output.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/live.h"
#include "fs/log_activity.h"
#include "fs/output.h"
#include "fs/pager.h"
#include "fs/subject.h"
#include "fs/units.h"
#include "fs/view_limit.h"
#include "history/log.h"
#include "store/tid.h"

#define USER_WIDTH     8                 /* columns; longer names push the rest aside */
#define FLUSH_AFTER_NS (100 * NS_PER_MS) /* what is printed is seen after this */
#define PROGRESS_LOG   "reading the log"

struct request {
    const char *range;  /* NULL: all */
    char *const *paths; /* as given */
    size_t path_count;  /* 0: all */
    const char *since, *until;
    const char *user, *grep; /* NULL: any */
    bool fixed, ignore_case;
    regex_t regex; /* of grep, unless fixed */
    uint64_t most;
    bool json, utc, follow, reverse;
    bool activity;
    enum activity_unit unit;
    struct change_output changes;
};

/* What a walk of the log does with what it finds. */
struct log_reader {
    struct subject *subject;
    const struct request *request;
    struct log_options options;
    struct log_walk *walk;
    struct timespec flushed;
    uint64_t seen, shown;
    bool in_part; /* something of what was shown is lost or damaged */
};

/* ---------------------------------------------------------------- one transaction */

static void print_json(const struct transaction *transaction) {
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_tid(&json, "tid", transaction->tid);
    json_time(&json, "time", tid_to_time(transaction->tid));
    json_time(&json, "clock", transaction->wall);
    json_string(&json, "user", transaction->user);
    json_number(&json, "objects", transaction->object_count);
    json_string(&json, "message", transaction->message);
    json_end_object(&json);
}

static void print_line(const struct transaction *transaction, bool utc) {
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    tid_format(transaction->tid, tid);
    output_time(tid_to_time(transaction->tid), utc, time);
    printf("%s%s%s  %s  ", colour(COLOUR_TID), tid, colour(COLOUR_NONE), time);
    const char *user = *transaction->user ? transaction->user : "-";
    output_text(stdout, user, strlen(user));
    if (strlen(user) < USER_WIDTH)
        printf("%*s", (int)(USER_WIDTH - strlen(user)), "");
    printf(" %4" PRIu64 " object%s", transaction->object_count, transaction->object_count == 1 ? "" : "s");
    size_t first_line = strcspn(transaction->message, "\n");
    if (first_line > 0) {
        printf("%s  ", transaction->object_count == 1 ? " " : "");
        output_text(stdout, transaction->message, first_line);
    }
    (void)fputc('\n', stdout);
}

/* What it changed, of the paths if there are any. */
static bool print_changes(struct log_reader *reader, const struct transaction *transaction) {
    struct store *store = reader->subject->store;
    struct diff_options options = {
        .before_a = transaction->seq,
        .before_b = transaction->seq + 1,
    };
    struct change_list changes;
    options.paths = log_walk_paths(reader->walk, &options.path_count);
    /* A mount of a subdirectory knows of nothing else. */
    const char *subdir = reader->subject->location.subdir;
    if (options.path_count == 0 && subdir && *subdir) {
        options.paths = &subdir;
        options.path_count = 1;
    }
    if (!change_output_find(&reader->request->changes, store, &options, &changes))
        return false;
    enum change_printed printed = change_output_print(&reader->request->changes, store, &changes, NULL);
    change_list_release(&changes);
    reader->in_part |= printed == CHANGES_PRINTED_IN_PART;
    return printed != CHANGES_NOT_PRINTED;
}

/* The first line is seen at once, and the others soon, however long it takes to find the next. */
static void flush_in_time(struct log_reader *reader) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now))
        return;
    uint64_t ns = (uint64_t)(now.tv_sec - reader->flushed.tv_sec) * NS_PER_SECOND + (uint64_t)now.tv_nsec -
                  (uint64_t)reader->flushed.tv_nsec;
    if (reader->shown == 1 || ns >= FLUSH_AFTER_NS) {
        (void)fflush(stdout); /* output_finish sees what went wrong */
        reader->flushed = now;
    }
}

static bool show_transaction(struct log_reader *reader, const struct transaction *transaction) {
    bool done = true;
    if (reader->request->json) {
        print_json(transaction);
    } else {
        if (reader->request->changes.formats && reader->shown > 0)
            (void)fputc('\n', stdout);
        print_line(transaction, reader->request->utc);
        if (reader->request->changes.formats)
            done = print_changes(reader, transaction);
    }
    reader->shown++;
    flush_in_time(reader);
    return done;
}

/* ---------------------------------------------------------------- which transactions */

static bool matches(const struct request *request, const struct transaction *transaction) {
    if (request->user && strcmp(request->user, transaction->user) != 0)
        return false;
    if (!request->grep)
        return true;
    if (!request->fixed)
        return regexec(&request->regex, transaction->message, 0, NULL, 0) == 0;
    return (request->ignore_case ? strcasestr(transaction->message, request->grep)
                                 : strstr(transaction->message, request->grep)) != NULL;
}

static void fail_to_read(const struct log_reader *reader, int rc) {
    output_error("log: cannot read %s: %s", reader->subject->location.store, store_error_text(rc));
}

/* The tag that a <when> names, if the store does not have it, and one that was perhaps meant. */
static bool suggest(const struct log_reader *reader, const char *text, size_t length, struct when *when,
                    char nearest[TAG_NAME_MAX + 1]) {
    uint64_t tid;
    return when_parse(text, length, (struct timespec){.tv_sec = time(NULL)}, when, NULL) == 0 &&
           when->kind == WHEN_TAG &&
           storage_tag_get(store_storage(reader->subject->store), when->tag, &tid) == STORE_ABSENT &&
           subject_suggest_tag(reader->subject, when->tag, nearest);
}

static void say_wrong(const struct log_reader *reader, int code, const struct error *err) {
    const struct request *request = reader->request;
    const char *dots = request->range ? strstr(request->range, "..") : NULL;
    const char *last = dots ? dots + 2 : request->range;
    const struct {
        const char *text;
        size_t length;
    } named[] = {{request->range, dots ? (size_t)(dots - request->range) : 0},
                 {last, last ? strlen(last) : 0},
                 {request->since, request->since ? strlen(request->since) : 0},
                 {request->until, request->until ? strlen(request->until) : 0}};
    struct when when;
    char nearest[TAG_NAME_MAX + 1];
    for (size_t i = 0; code == RESOLVE_NO_TAG && i < sizeof named / sizeof *named; i++) {
        if (named[i].length > 0 && suggest(reader, named[i].text, named[i].length, &when, nearest)) {
            output_error("log: %s; did you mean %s?", err->text, nearest);
            return;
        }
    }
    output_error("log: %s", err->text);
}

static bool choose_range(struct log_reader *reader) {
    const struct request *request = reader->request;
    struct store *store = reader->subject->store;
    struct log_range *range = &reader->options.range;
    struct timespec now;
    struct error err = {0};
    uint64_t end;
    *range = (struct log_range){.first = 1, .last = store_last(store)};
    if (clock_gettime(CLOCK_REALTIME, &now)) {
        output_error("cannot read the clock");
        return false;
    }
    int rc = request->range ? log_parse_range(store, request->range, now, range, &err) : 0;
    if (rc == 0 && request->since) {
        rc = log_parse_first(store, request->since, strlen(request->since), now, &end, &err);
        if (rc == 0 && end > range->first)
            range->first = end;
    }
    if (rc == 0 && request->until) {
        rc = log_parse_last(store, request->until, strlen(request->until), now, &end, &err);
        if (rc == 0 && end < range->last)
            range->last = end;
    }
    if (rc)
        say_wrong(reader, rc, &err);
    return rc == 0;
}

/* ---------------------------------------------------------------- walking */

static bool open_walk(struct log_reader *reader) {
    size_t absent = 0;
    int rc = log_walk_open(reader->subject->store, &reader->options, &reader->walk, &absent);
    if (rc == STORE_ABSENT)
        view_limit_say_absent(reader->subject, reader->options.paths[absent], reader->request->paths[absent],
                              reader->options.range.last, reader->request->utc);
    else if (rc == STORE_LOST && reader->request->path_count > 0)
        output_error("%s: nobody knows what it was: names above it are lost, as `tidfs verify --repair` put on record",
                     reader->request->paths[absent]);
    else if (rc)
        fail_to_read(reader, rc);
    return rc == 0;
}

/* The next one that is asked for. STORE_ABSENT at the end. */
static int next_match(struct log_reader *reader, struct progress *progress, struct transaction *transaction) {
    int rc;
    while ((rc = log_walk_next(reader->walk, transaction)) == 0) {
        if (progress)
            progress_update(progress, ++reader->seen, 0);
        if (matches(reader->request, transaction))
            return 0;
        transaction_release(transaction);
    }
    return rc;
}

static int show_all(struct log_reader *reader) {
    struct transaction transaction;
    bool done = open_walk(reader);
    int rc = 0;
    for (uint64_t i = 0; done && i < reader->request->most && !ferror(stdout); i++) {
        rc = next_match(reader, NULL, &transaction);
        if (rc)
            break;
        done = show_transaction(reader, &transaction);
        transaction_release(&transaction);
    }
    if (rc < 0)
        fail_to_read(reader, rc);
    return done && rc >= 0 && !reader->in_part ? EXIT_DONE : EXIT_FAILED;
}

/* The newest `most`, of which the oldest is shown first: they are found before the first can be shown. */
static int show_newest_reversed(struct log_reader *reader) {
    struct transaction transaction;
    struct progress progress;
    uint64_t *seqs = NULL;
    size_t count = 0, capacity = 0;
    int rc = 0;
    reader->options.reverse = false;
    bool done = open_walk(reader);
    progress_init(&progress, PROGRESS_LOG);
    while (done && count < reader->request->most && (rc = next_match(reader, &progress, &transaction)) == 0) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            uint64_t *more = reallocarray(seqs, capacity, sizeof *seqs);
            if (!more)
                rc = STORE_NO_MEMORY;
            seqs = more ? more : seqs;
        }
        if (rc == 0)
            seqs[count++] = transaction.seq;
        transaction_release(&transaction);
        if (rc)
            break;
    }
    progress_clear(&progress);
    while (done && rc >= 0 && count > 0 && !ferror(stdout)) {
        rc = storage_transaction_at(store_storage(reader->subject->store), seqs[--count], &transaction);
        if (rc)
            break;
        done = show_transaction(reader, &transaction);
        transaction_release(&transaction);
    }
    if (rc < 0)
        fail_to_read(reader, rc);
    free(seqs);
    return done && rc >= 0 && !reader->in_part ? EXIT_DONE : EXIT_FAILED;
}

static int show_activity(struct log_reader *reader) {
    const struct request *request = reader->request;
    struct activity activity;
    struct progress progress;
    struct transaction transaction;
    int rc = 0;
    bool done = open_walk(reader);
    activity_init(&activity, request->utc);
    progress_init(&progress, PROGRESS_LOG);
    for (uint64_t i = 0; done && i < request->most && (rc = next_match(reader, &progress, &transaction)) == 0; i++) {
        if (!activity_add(&activity, tid_to_time(transaction.tid).tv_sec, transaction.object_count)) {
            output_error("out of memory");
            done = false;
        }
        transaction_release(&transaction);
    }
    progress_clear(&progress);
    if (rc < 0)
        fail_to_read(reader, rc);
    done = done && rc >= 0;
    if (done && request->json)
        activity_print_json(&activity, request->unit);
    else if (done)
        activity_print(&activity, request->unit, activity_columns());
    activity_release(&activity);
    return done ? EXIT_DONE : EXIT_FAILED;
}

/* Why there is nothing to show: it is all later. */
static void say_too_early(const struct log_reader *reader) {
    const struct request *request = reader->request;
    const char *dots = request->range ? strstr(request->range, "..") : NULL;
    const char *asked = dots ? dots + 2 : request->range;
    asked = request->until ? request->until : asked && *asked ? asked : "that view";
    if (reader->options.range.last == 0)
        subject_say_before_first(reader->subject, asked, request->utc);
}

static int show(struct log_reader *reader) {
    if (reader->request->activity)
        return show_activity(reader);
    if (reader->request->reverse && reader->request->most != UINT64_MAX)
        return show_newest_reversed(reader);
    return show_all(reader);
}

/* ---------------------------------------------------------------- where */

/* Finds all paths, of which the first is the subject's; opens the store, and limits the range. */
static bool choose(struct log_reader *reader, const struct subject_options *where, char **tree_paths) {
    struct subject *subject = reader->subject;
    const struct request *request = reader->request;
    struct subject *others = calloc(request->path_count + 1, sizeof *others);
    bool settled = view_limit_applies(&subject->location), done = others != NULL;
    if (!done)
        output_error("out of memory");
    for (size_t i = 1; done && i < request->path_count; i++) {
        done = subject_find(&others[i], where, request->paths[i]);
        if (done && strcmp(others[i].location.store, subject->location.store) != 0) {
            output_error("log: %s and %s are in different stores; ask one after the other", request->paths[0],
                         request->paths[i]);
            done = false;
        }
        settled = settled && done && view_limit_applies(&others[i].location);
    }
    if (done && !settled)
        live_settle(&subject->location);
    done = done && subject_open(subject) == 0 && choose_range(reader) &&
           view_limit_lower(subject, &subject->location, &reader->options.range.last);
    for (size_t i = 0; done && i < request->path_count; i++) {
        const struct location *location = i == 0 ? &subject->location : &others[i].location;
        done = i == 0 || view_limit_lower(subject, location, &reader->options.range.last);
        tree_paths[i] = done ? strdup(location->path) : NULL;
        if (done && !tree_paths[i]) {
            output_error("out of memory");
            done = false;
        }
    }
    for (size_t i = 1; others && i < request->path_count; i++)
        subject_release(&others[i]);
    free(others);
    return done;
}

static int answer(const struct request *request, const struct common_options *common) {
    struct subject subject;
    struct log_reader reader = {.subject = &subject, .request = request};
    char **tree_paths = calloc(request->path_count + 1, sizeof *tree_paths);
    int status = EXIT_FAILED;
    if (!tree_paths) {
        output_error("out of memory");
        return EXIT_FAILED;
    }
    reader.options.paths = (const char *const *)tree_paths;
    reader.options.path_count = request->path_count;
    reader.options.follow = request->follow;
    reader.options.reverse = request->reverse;
    if (subject_find(&subject, &common->where, request->path_count ? request->paths[0] : NULL) &&
        choose(&reader, &common->where, tree_paths)) {
        pager_begin(!common->no_pager);
        colour_init(common->colour);
        status = show(&reader);
        log_walk_close(reader.walk);
        int finished = output_finish();
        if (reader.in_part)
            change_output_say_in_part();
        if (status == EXIT_DONE)
            say_too_early(&reader);
        status = status == EXIT_DONE ? finished : status;
    }
    subject_release(&subject);
    for (size_t i = 0; i < request->path_count; i++)
        free(tree_paths[i]);
    free(tree_paths);
    return status;
}

/* ---------------------------------------------------------------- arguments */

/* Whether the store has the tag: 1, 0, or -1 if that cannot be known, which was said. */
static int has_tag(const struct subject_options *where, const char *name) {
    struct subject subject;
    uint64_t tid;
    int rc = -1;
    if (subject_find(&subject, where, NULL) && subject_open(&subject) == 0)
        rc = storage_tag_get(store_storage(subject.store), name, &tid) == 0;
    subject_release(&subject);
    return rc;
}

/* Whether the first operand is a range and not a path: 1, 0 or -1. What has a slash or names a file is a path. */
static int is_range(const struct subject_options *where, const char *text) {
    struct stat stat;
    struct when when;
    if (strchr(text, '/') || (!where->store && lstat(text, &stat) == 0))
        return 0;
    if (strstr(text, "..") && strcmp(text, "..") != 0)
        return 1;
    if (when_parse(text, strlen(text), (struct timespec){.tv_sec = time(NULL)}, &when, NULL))
        return 0;
    return when.kind == WHEN_TAG ? has_tag(where, when.tag) : 1;
}

/* Tells operands apart. False: said why not. */
static bool take_operands(struct request *request, const struct arguments *arguments) {
    size_t count = (size_t)arguments->operand_count;
    if (count == 0)
        return true;
    int range = is_range(&arguments->common.where, arguments->operands[0]);
    if (range > 0)
        request->range = arguments->operands[0];
    request->paths = arguments->operands + (range > 0);
    request->path_count = count - (range > 0);
    return range >= 0;
}

/* NULL, or why the pattern is none. */
static const char *compile(struct request *request, char *text, size_t size) {
    if (!request->grep || request->fixed)
        return NULL;
    int rc = regcomp(&request->regex, request->grep,
                     REG_EXTENDED | REG_NOSUB | REG_NEWLINE | (request->ignore_case ? REG_ICASE : 0));
    if (rc == 0)
        return NULL;
    (void)regerror(rc, &request->regex, text, size);
    return text;
}

enum { OPTION_SINCE = 0x100, OPTION_UNTIL, OPTION_USER, OPTION_GREP, OPTION_FOLLOW, OPTION_REVERSE, OPTION_ACTIVITY };

/* False: no option of the log, or a value that is wrong: *wrong says what is. */
static bool take_option(struct request *request, int option, const char *value, const char **wrong) {
    switch (option) {
    case 'n':
        if (count_parse(value, &request->most))
            *wrong = "-n: a number is needed";
        break;
    case 'i':
        request->ignore_case = true;
        break;
    case 'F':
        request->fixed = true;
        break;
    case OPTION_SINCE:
        request->since = value;
        break;
    case OPTION_UNTIL:
        request->until = value;
        break;
    case OPTION_USER:
        request->user = value;
        break;
    case OPTION_GREP:
        request->grep = value;
        break;
    case OPTION_FOLLOW:
        request->follow = true;
        break;
    case OPTION_REVERSE:
        request->reverse = true;
        break;
    case OPTION_ACTIVITY:
        request->activity = true;
        if (value && strcmp(value, "hour") == 0)
            request->unit = ACTIVITY_HOUR;
        else if (value && strcmp(value, "day") == 0)
            request->unit = ACTIVITY_DAY;
        else if (value)
            *wrong = "--activity: by hour or by day";
        break;
    default:
        return change_output_take(&request->changes, option);
    }
    return !*wrong;
}

/* NULL, or what does not go together. */
static const char *check(struct request *request) {
    static const struct common_options nothing = {0};
    if (request->json && request->changes.formats)
        return "--json lists transactions alone; `tidfs show --json TID` has the changes of one";
    if (request->activity && request->changes.formats)
        return "--activity shows no changes";
    if (request->follow && request->path_count == 0)
        return "--follow needs a path";
    if ((request->fixed || request->ignore_case) && !request->grep)
        return "-i and -F go with --grep";
    return change_output_settle(&request->changes, &nothing, 0);
}

int cmd_log(int argc, char **argv) {
    static const struct option options[] = {
        {"number", required_argument, NULL, 'n'},
        {"since", required_argument, NULL, OPTION_SINCE},
        {"until", required_argument, NULL, OPTION_UNTIL},
        {"user", required_argument, NULL, OPTION_USER},
        {"grep", required_argument, NULL, OPTION_GREP},
        {"ignore-case", no_argument, NULL, 'i'},
        {"fixed-strings", no_argument, NULL, 'F'},
        {"follow", no_argument, NULL, OPTION_FOLLOW},
        {"reverse", no_argument, NULL, OPTION_REVERSE},
        {"activity", optional_argument, NULL, OPTION_ACTIVITY},
        CHANGE_OUTPUT_OPTIONS,
        ARGUMENTS_SUBJECT,
        ARGUMENTS_JSON,
        ARGUMENTS_UTC,
        ARGUMENTS_PAGER,
        {0},
    };
    struct request request = {.most = UINT64_MAX};
    struct arguments arguments;
    char text[256];
    int option;
    arguments_init(&arguments, argc, argv, "n:iF" CHANGE_OUTPUT_SHORT, options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        const char *wrong = NULL;
        if (option == ARGUMENTS_STOP)
            return arguments.status;
        if (!take_option(&request, option, arguments.value, &wrong))
            return command_usage_error(argv[0], "%s, not %s", wrong ? wrong : "unknown option",
                                       arguments.value ? arguments.value : "that");
    }
    request.json = arguments.common.json;
    request.utc = arguments.common.utc;
    if (!take_operands(&request, &arguments))
        return EXIT_FAILED;
    const char *wrong = check(&request);
    if (!wrong && (wrong = compile(&request, text, sizeof text)))
        return command_usage_error(argv[0], "--grep %s: %s", request.grep, wrong);
    if (wrong)
        return command_usage_error(argv[0], "%s", wrong);
    int status = answer(&request, &arguments.common);
    if (request.grep && !request.fixed)
        regfree(&request.regex);
    return status;
}
