#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/arguments.h"
#include "fs/change_output.h"
#include "fs/command.h"
#include "fs/live.h"
#include "fs/output.h"
#include "fs/pager.h"
#include "fs/subject.h"
#include "fs/view_limit.h"
#include "history/past.h"
#include "store/tid.h"

struct request {
    char *range;      /* owned; what `from` and `to` of a range point into */
    const char *from; /* NULL: before the first transaction */
    const char *to;   /* NULL: what one stands in */
    char **paths;     /* as given */
    size_t path_count;
    const char *unclear; /* of the paths, one that could have been meant as a WHEN; or NULL */
    bool exit_code;
    struct change_output output;
    const struct common_options *common;
};

/* ---------------------------------------------------------------- the two sides */

static bool needs_seal(const char *text) {
    struct when when;
    return when_parse(text, strlen(text), (struct timespec){.tv_sec = time(NULL)}, &when, NULL) == 0 && when.needs_seal;
}

static bool resolve_to(struct subject *subject, const struct request *request, uint64_t *before) {
    const struct location *location = &subject->location;
    const char *text = request->to;
    enum resolve_how how = RESOLVE_AT;
    struct resolved resolved;
    enum subject_source source = text ? SUBJECT_TYPED : SUBJECT_OF_VIEW;
    char tid[TID_TEXT_SIZE];
    if (!text && location->kind == LOCATION_VIEW && location->view_tid == 0) {
        *before = 1;
        return true;
    }
    if (!text)
        text = subject_when(subject, tid, &how);
    if (subject_resolve(subject, text, how, source, &resolved))
        return false;
    *before = resolved.before;
    return true;
}

static bool resolve_sides(struct subject *subject, const struct request *request, struct diff_options *options) {
    struct resolved resolved;
    bool in_view = subject->location.when || subject->location.kind == LOCATION_VIEW;
    if ((request->from && needs_seal(request->from)) || (request->to ? needs_seal(request->to) : !in_view)) {
        live_settle(&subject->location);
        /* It was opened before if there was a tag to look for. */
        int rc = subject->store ? store_refresh(subject->store, NULL, NULL) : 0;
        if (rc < 0) {
            output_error("cannot read %s: %s", subject->location.store, store_error_text(rc));
            return false;
        }
    }
    options->before_a = 1;
    if (request->from) {
        if (subject_resolve(subject, request->from, RESOLVE_AT, SUBJECT_TYPED, &resolved))
            return false;
        options->before_a = resolved.before;
    }
    return resolve_to(subject, request, &options->before_b);
}

/* ---------------------------------------------------------------- paths */

/* Neither side has it: says when it was there. */
static void say_when(const struct request *request, const struct subject *subject, const char *shown,
                     const struct past_names *names) {
    char born[SUBJECT_TRANSACTION_SIZE], died[SUBJECT_TRANSACTION_SIZE];
    bool utc = request->common->utc;
    if (names->count == 0) {
        if (shown == request->unclear)
            output_error("%s: no time, no tag, and no path in any state; `tidfs tag` lists tags, `tidfs ls WHEN` what "
                         "there was",
                         shown);
        else
            view_limit_say_never(shown, "in either state");
        return;
    }
    const struct past_name *newest = &names->items[0];
    subject_name_transaction(subject, newest->born, utc, born);
    if (newest->died == UINT64_MAX) {
        output_error("%s: neither state has it; it is there since %s", shown, born);
        return;
    }
    subject_name_transaction(subject, newest->died, utc, died);
    output_error("%s: neither state has it; it was there from %s, until %s", shown, born, died);
}

/* False: said that neither side has the path. */
static bool check_path(const struct request *request, const struct subject *subject, const struct diff_options *options,
                       const char *place, const char *shown) {
    struct past_names names = {0};
    int rc = past_names_load(subject->store, place, store_last(subject->store), &names);
    if (rc < 0) {
        output_error("%s: cannot be looked up: %s", shown, store_error_text(rc));
        return false;
    }
    bool there = false;
    for (size_t i = 0; rc == 0 && i < names.count && !there; i++) {
        const struct past_name *name = &names.items[i];
        there = (name->born < options->before_a && options->before_a <= name->died) ||
                (name->born < options->before_b && options->before_b <= name->died);
    }
    if (!there)
        say_when(request, subject, shown, &names);
    past_names_release(&names);
    return there;
}

static bool check_paths(struct subject *subject, const struct request *request, const struct diff_options *options) {
    for (size_t i = 0; i < request->path_count; i++) {
        if (!check_path(request, subject, options, options->paths[i], request->paths[i]))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------- operands */

static bool has_tag(struct subject *subject, const char *name) {
    uint64_t tid;
    return (subject->store || subject_open(subject) == 0) &&
           storage_tag_get(store_storage(subject->store), name, &tid) == 0;
}

enum meaning { MEANS_PATH, MEANS_WHEN, MEANS_EITHER };

/* What an operand in second place is. Nothing with a slash is a WHEN. What is neither now is perhaps a path of another time. */
static enum meaning classify(struct subject *subject, const struct request *request, const char *text) {
    struct stat stat;
    struct when when;
    if (strchr(text, '/'))
        return MEANS_PATH;
    bool is_when = when_parse(text, strlen(text), (struct timespec){.tv_sec = time(NULL)}, &when, NULL) == 0 &&
                   (when.kind != WHEN_TAG || has_tag(subject, when.tag));
    if (!is_when)
        return MEANS_PATH;
    return !request->common->where.store && lstat(text, &stat) == 0 ? MEANS_EITHER : MEANS_WHEN;
}

/* 0, or the exit status: said what is wrong. */
static int take_from(struct request *request, const struct arguments *arguments) {
    if (arguments->plain_count == 0)
        return command_usage_error(arguments->name, "since when? A time, a tid or a tag comes first");
    const char *first = arguments->operands[0];
    if (strchr(first, '/'))
        return command_usage_error(arguments->name, "%s is a path; a time, a tid or a tag comes first", first);
    const char *dots = strstr(first, "..");
    if (!dots) {
        request->from = first;
        return 0;
    }
    request->range = strdup(first);
    if (!request->range) {
        output_error("out of memory");
        return EXIT_FAILED;
    }
    char *second = request->range + (dots - first);
    *second = 0;
    request->from = *request->range ? request->range : NULL;
    request->to = second[2] ? second + 2 : NULL;
    return 0;
}

/* Where the store is looked for, if no option says it: where one of the paths is, else the current directory. */
static const char *find_by(const struct arguments *arguments) {
    int last = arguments->operand_count - 1;
    if (last >= 2 || (last == 1 && (arguments->plain_count < 2 || strchr(arguments->operands[1], '/'))))
        return arguments->operands[last];
    return NULL;
}

/* Finds the subject, and what the operands mean. 0, or the exit status: said what is wrong. */
static int take_operands(struct request *request, struct subject *subject, const struct arguments *arguments) {
    int status = take_from(request, arguments);
    if (status)
        return status;
    if (!subject_find(subject, &arguments->common.where, find_by(arguments)))
        return EXIT_FAILED;
    int paths = 1;
    if (!request->range && arguments->plain_count >= 2) {
        const char *second = arguments->operands[1];
        switch (classify(subject, request, second)) {
        case MEANS_EITHER:
            return command_usage_error(arguments->name,
                                       "%s is a time and a path too; write %s..%s for the time, or -- before the path",
                                       second, arguments->operands[0], second);
        case MEANS_WHEN:
            request->to = second;
            paths = 2;
            break;
        case MEANS_PATH:
            request->unclear = strchr(second, '/') ? NULL : second;
            break;
        }
    }
    request->paths = arguments->operands + paths;
    request->path_count = (size_t)(arguments->operand_count - paths);
    return 0;
}

/* ---------------------------------------------------------------- the command */

/* Each: false if something went wrong, which was said. */
static bool print(const struct request *request, const struct subject *subject, const struct change_list *changes,
                  bool *different) {
    size_t shown = 0;
    colour_init(request->common->colour);
    pager_begin(!request->common->no_pager);
    enum change_printed printed = change_output_print(&request->output, subject->store, changes, &shown);
    *different = shown > 0;
    bool written = output_finish() == EXIT_DONE;
    if (printed == CHANGES_PRINTED_IN_PART)
        change_output_say_in_part();
    return written && printed == CHANGES_PRINTED;
}

static bool compare(const struct request *request, struct subject *subject, bool *different) {
    struct diff_options options = {0};
    struct change_list changes = {0};
    bool done = false;
    char **places = calloc(request->path_count + 1, sizeof *places);
    if (!places) {
        output_error("out of memory");
        return false;
    }
    for (size_t i = 0; i < request->path_count; i++) {
        places[i] = subject_place(subject, &request->common->where, request->paths[i]);
        if (!places[i])
            goto out;
    }
    options.paths = (const char *const *)places;
    options.path_count = request->path_count;
    /* A mount of a subdirectory shows nothing else. */
    const char *subdir = subject->location.subdir;
    if (options.path_count == 0 && subdir && *subdir) {
        options.paths = &subdir;
        options.path_count = 1;
    }
    if (resolve_sides(subject, request, &options) && check_paths(subject, request, &options) &&
        change_output_find(&request->output, subject->store, &options, &changes)) {
        done = print(request, subject, &changes, different);
        change_list_release(&changes);
        if (done && !*different && options.before_b == 1 && request->to)
            subject_say_before_first(subject, request->to, request->common->utc);
    }
out:
    for (size_t i = 0; i < request->path_count; i++)
        free(places[i]);
    free(places);
    return done;
}

int cmd_diff(int argc, char **argv) {
    enum { OPTION_EXIT_CODE = 0x100 };
    static const struct option options[] = {
        CHANGE_OUTPUT_OPTIONS, {"exit-code", no_argument, NULL, OPTION_EXIT_CODE},
        ARGUMENTS_NULL,        ARGUMENTS_JSON,
        ARGUMENTS_UTC,         ARGUMENTS_PAGER,
        ARGUMENTS_SUBJECT,     {0},
    };
    struct arguments arguments;
    struct request request = {.common = &arguments.common};
    struct subject subject = {0};
    int option;
    arguments_init(&arguments, argc, argv, CHANGE_OUTPUT_SHORT, options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        if (option == OPTION_EXIT_CODE)
            request.exit_code = true;
        else if (!change_output_take(&request.output, option))
            return arguments.status;
    }
    const char *wrong = change_output_settle(&request.output, &arguments.common, CHANGE_FORMAT_LIST);
    if (wrong)
        return command_usage_error(argv[0], "%s", wrong);

    bool different = false;
    int status = take_operands(&request, &subject, &arguments);
    if (status == 0 && !compare(&request, &subject, &different))
        status = EXIT_FAILED;
    if (request.exit_code && status)
        status = EXIT_TROUBLE;
    else if (request.exit_code && different)
        status = EXIT_DIFFERENT;
    free(request.range);
    subject_release(&subject);
    return status;
}
