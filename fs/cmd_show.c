#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/arguments.h"
#include "fs/change_output.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/output.h"
#include "fs/pager.h"
#include "fs/subject.h"
#include "store/tid.h"

struct request {
    const char *when; /* NULL: what one stands in */
    struct change_output output;
    const struct common_options *common;
};

/* What is shown. */
struct answer {
    struct transaction transaction;
    struct tag *tags; /* of the store */
    size_t tag_count;
    bool changes_known;
    struct change_list changes;
};

static void answer_release(struct answer *answer) {
    transaction_release(&answer->transaction);
    free(answer->tags);
    if (answer->changes_known)
        change_list_release(&answer->changes);
    *answer = (struct answer){0};
}

/* ---------------------------------------------------------------- finding it */

static bool find_seq(struct subject *subject, const char *text, uint64_t *seq) {
    enum resolve_how how = RESOLVE_AT;
    char tid[TID_TEXT_SIZE];
    uint64_t before = 1;
    enum subject_source source = text ? SUBJECT_TYPED : SUBJECT_OF_VIEW;
    if (!text)
        text = subject_when(subject, tid, &how);
    /* By its seq alone: a transaction whose changes are packed away can still be shown. */
    if (subject_resolve_seq(subject, text, how, source, &before))
        return false;
    *seq = before - 1;
    if (*seq == 0)
        output_error("%s is before the first transaction: there is nothing to show", text);
    return *seq > 0;
}

static bool find(struct subject *subject, const struct request *request, struct answer *answer) {
    uint64_t seq;
    if (!find_seq(subject, request->when, &seq))
        return false;
    struct storage *storage = store_storage(subject->store);
    int rc = storage_transaction_at(storage, seq, &answer->transaction);
    if (rc == 0) {
        rc = storage_tag_list(storage, &answer->tags, &answer->tag_count);
        if (rc == STORE_CORRUPT) /* a tag that is damaged, which was said: no reason to show nothing */
            rc = 0;
    }
    if (rc) {
        output_error("cannot read %s: %s", subject->location.store, store_error_text(rc));
        return false;
    }
    struct diff_options options = {.before_a = seq, .before_b = seq + 1};
    /* A mount of a subdirectory shows nothing else. */
    const char *subdir = subject->location.subdir;
    if (subdir && *subdir) {
        options.paths = &subdir;
        options.path_count = 1;
    }
    answer->changes_known = change_output_find(&request->output, subject->store, &options, &answer->changes);
    return true;
}

/* ---------------------------------------------------------------- printing it */

static void print_json(const struct answer *answer) {
    const struct transaction *transaction = &answer->transaction;
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_tid(&json, "tid", transaction->tid);
    json_time(&json, "time", tid_to_time(transaction->tid));
    json_time(&json, "clock", transaction->wall);
    json_string(&json, "user", transaction->user);
    json_begin_array(&json, "tags", false);
    for (size_t i = 0; i < answer->tag_count; i++) {
        if (answer->tags[i].tid == transaction->tid)
            json_string(&json, NULL, answer->tags[i].name);
    }
    json_end_array(&json);
    json_number(&json, "objects", transaction->object_count);
    json_string(&json, "message", transaction->message);
    json_end_object(&json);
}

static void print_message(const char *message) {
    if (!*message)
        return;
    (void)putchar('\n');
    while (*message) {
        size_t length = strcspn(message, "\n");
        if (length > 0) {
            (void)fputs("    ", stdout);
            output_text(stdout, message, length);
        }
        (void)putchar('\n');
        message += length + (message[length] == '\n');
    }
}

static void print_header(const struct answer *answer, bool utc) {
    const struct transaction *transaction = &answer->transaction;
    char text[OUTPUT_TIME_SIZE], tid[TID_TEXT_SIZE];
    uint64_t by_clock;
    tid_format(transaction->tid, tid);
    printf("%stransaction %s%s\n", colour(COLOUR_TID), tid, colour(COLOUR_NONE));
    output_time(tid_to_time(transaction->tid), utc, text);
    printf("Time:  %s\n", text);
    /* They differ when the clock had stepped back, or several transactions came at the same instant. */
    if (!tid_from_time(transaction->wall, &by_clock) || by_clock != transaction->tid) {
        output_time(transaction->wall, utc, text);
        printf("Clock: %s\n", text);
    }
    const char *user = *transaction->user ? transaction->user : "-";
    (void)fputs("User:  ", stdout);
    output_text(stdout, user, strlen(user));
    (void)putchar('\n');
    for (size_t i = 0; i < answer->tag_count; i++) {
        if (answer->tags[i].tid != transaction->tid)
            continue;
        (void)fputs("Tag:   ", stdout);
        output_text(stdout, answer->tags[i].name, strlen(answer->tags[i].name));
        (void)putchar('\n');
    }
    print_message(transaction->message);
    if (answer->changes_known && (answer->changes.count > 0 || answer->changes.gap_count > 0))
        (void)putchar('\n');
}

static int print(const struct request *request, const struct subject *subject, const struct answer *answer) {
    colour_init(request->common->colour);
    pager_begin(!request->common->no_pager);
    if (request->output.formats == CHANGE_FORMAT_JSON)
        print_json(answer);
    else
        print_header(answer, request->common->utc);
    enum change_printed printed = CHANGES_NOT_PRINTED;
    if (answer->changes_known)
        printed = change_output_print(&request->output, subject->store, &answer->changes, NULL);
    int status = output_finish();
    if (printed == CHANGES_PRINTED_IN_PART)
        change_output_say_in_part();
    return printed == CHANGES_PRINTED ? status : EXIT_FAILED;
}

int cmd_show(int argc, char **argv) {
    static const struct option options[] = {
        CHANGE_OUTPUT_OPTIONS, ARGUMENTS_JSON, ARGUMENTS_UTC, ARGUMENTS_PAGER, ARGUMENTS_SUBJECT, {0},
    };
    struct arguments arguments;
    struct request request = {.common = &arguments.common};
    struct answer answer = {0};
    int option;
    arguments_init(&arguments, argc, argv, CHANGE_OUTPUT_SHORT, options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        if (!change_output_take(&request.output, option))
            return arguments.status;
    }
    const char *wrong = change_output_settle(&request.output, &arguments.common, CHANGE_FORMAT_LIST);
    if (wrong)
        return command_usage_error(argv[0], "%s", wrong);
    if (arguments.operand_count > 1)
        return command_usage_error(argv[0], "one transaction only; `tidfs diff WHEN^..WHEN PATH` shows a part of it");
    if (arguments.operand_count == 1)
        request.when = arguments.operands[0];

    struct subject subject;
    int status = EXIT_FAILED;
    if (subject_find(&subject, &arguments.common.where, NULL) && find(&subject, &request, &answer))
        status = print(&request, &subject, &answer);
    answer_release(&answer);
    subject_release(&subject);
    return status;
}
