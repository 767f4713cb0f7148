#include <inttypes.h>
#include <stdio.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/live.h"
#include "fs/output.h"
#include "store/tid.h"

#define REQUEST_KINDS (sizeof((struct control_status *)0)->requests / sizeof(struct control_request))

static void print_json(const struct control_status *status, const char *point) {
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_string(&json, "store", status->store);
    json_string(&json, "mount", point);
    json_bool(&json, "writable", status->writable);
    json_bool(&json, "failed", status->failed);
    json_tid(&json, "last_tid", status->last_tid);
    json_number(&json, "last_seq", status->last_seq);
    if (status->single_view)
        json_tid(&json, "view_tid", status->view_tid);
    if (*status->subdir)
        json_string(&json, "subdir", status->subdir);

    json_begin_object(&json, "pending");
    json_number(&json, "objects", status->pending_objects);
    json_number(&json, "bytes", status->pending_bytes);
    json_number(&json, "next_seal_ns", status->next_seal_ns);
    json_end_object(&json);

    json_begin_object(&json, "views");
    json_number(&json, "open", status->views_open);
    json_number(&json, "idle", status->views_idle);
    json_number(&json, "opened", status->views_opened);
    json_number(&json, "reused", status->views_reused);
    json_number(&json, "expired", status->views_expired);
    json_end_object(&json);

    json_begin_object(&json, "cache");
    json_number(&json, "hits", status->cache_hits);
    json_number(&json, "misses", status->cache_misses);
    json_number(&json, "bytes", status->cache_bytes);
    json_number(&json, "historic_bytes", status->cache_historic_bytes);
    json_end_object(&json);

    json_number(&json, "commits", status->commits);
    json_number(&json, "head_objects", status->head_objects);
    json_begin_object(&json, "requests");
    for (size_t i = 0; i < REQUEST_KINDS && *status->requests[i].name; i++)
        json_number(&json, status->requests[i].name, status->requests[i].count);
    json_end_object(&json);
    json_end_object(&json);
}

static void print_tid(const char *label, uint64_t tid, bool utc) {
    char text[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    if (tid == 0) {
        printf("%s none\n", label);
        return;
    }
    tid_format(tid, text);
    output_time(tid_to_time(tid), utc, time);
    printf("%s %s  %s\n", label, text, time);
}

static void print_pending(const struct control_status *status) {
    char bytes[OUTPUT_BYTES_SIZE], soon[OUTPUT_BYTES_SIZE];
    if (status->pending_objects == 0 && status->pending_bytes == 0) {
        printf("pending:   nothing\n");
        return;
    }
    output_bytes(status->pending_bytes, bytes);
    printf("pending:   %" PRIu64 " object%s, %s", status->pending_objects, status->pending_objects == 1 ? "" : "s",
           bytes);
    if (status->next_seal_ns > 0) {
        output_duration(status->next_seal_ns, soon);
        printf(", to be sealed in %s", soon);
    }
    (void)fputc('\n', stdout);
}

static void print_requests(const struct control_status *status) {
    bool any = false;
    for (size_t i = 0; i < REQUEST_KINDS && *status->requests[i].name; i++) {
        if (status->requests[i].count == 0)
            continue;
        printf("%s %s %" PRIu64, any ? "," : "requests: ", status->requests[i].name, status->requests[i].count);
        any = true;
    }
    if (any)
        (void)fputc('\n', stdout);
}

static void print_text(const struct control_status *status, const char *point, bool utc) {
    char bytes[OUTPUT_BYTES_SIZE], historic[OUTPUT_BYTES_SIZE];
    printf("mount:     ");
    output_name(stdout, point);
    printf("\nstore:     ");
    output_name(stdout, status->store);
    printf("\naccess:    %s\n", status->failed
                                    ? "read-only, after a failed commit: see the system log, and mount it again"
                                : status->writable ? "writable"
                                                   : "read-only");
    if (*status->subdir) {
        printf("subdir:    ");
        output_name(stdout, status->subdir);
        (void)fputc('\n', stdout);
    }
    if (status->single_view)
        print_tid("view:     ", status->view_tid, utc);
    print_tid("newest:   ", status->last_tid, utc);
    if (status->writable)
        print_pending(status);
    printf("commits:   %" PRIu64 " since it was mounted\n", status->commits);
    printf("views:     %" PRIu64 " open, %" PRIu64 " of them idle; %" PRIu64 " opened, %" PRIu64 " reused, %" PRIu64
           " expired\n",
           status->views_open, status->views_idle, status->views_opened, status->views_reused, status->views_expired);
    output_bytes(status->cache_bytes, bytes);
    output_bytes(status->cache_historic_bytes, historic);
    printf("cache:     %s, %s of it history; %" PRIu64 " hits, %" PRIu64 " misses\n", bytes, historic,
           status->cache_hits, status->cache_misses);
    printf("objects:   %" PRIu64 " of the present in memory\n", status->head_objects);
    print_requests(status);
}

int cmd_status(int argc, char **argv) {
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {"utc", no_argument, NULL, 'u'}, {0}};
    struct arguments arguments;
    bool json = false, utc = false;
    int option;
    arguments_init(&arguments, argc, argv, "", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        if (option == ARGUMENTS_STOP)
            return arguments.status;
        if (option == 'j')
            json = true;
        else
            utc = true;
    }
    if (arguments.operand_count > 1)
        return command_usage_error(argv[0], "more than one directory");

    struct location location;
    struct control_status status;
    struct error err = {0};
    if (locate_path(arguments.operand_count ? arguments.operands[0] : ".", &location, &err)) {
        output_error("%s", err.text);
        return EXIT_FAILED;
    }
    int result = EXIT_FAILED;
    if (live_status(location.point, &status, &err)) {
        output_error("%s", err.text);
    } else {
        if (json)
            print_json(&status, location.point);
        else
            print_text(&status, location.point, utc);
        result = output_finish();
    }
    location_release(&location);
    return result;
}
