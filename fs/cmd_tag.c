#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/output.h"
#include "fs/subject.h"
#include "store/tid.h"

struct request {
    const char *name, *when;
    bool force, remove, json, utc;
};

static int list_tags(struct subject *subject, const struct request *request) {
    struct tag *tags = NULL;
    size_t count = 0;
    if (subject_open(subject))
        return EXIT_FAILED;
    int rc = storage_tag_list(store_storage(subject->store), &tags, &count);
    bool damaged = rc == STORE_CORRUPT;
    if (rc && !damaged) {
        output_error("cannot read the tags of %s: %s", subject->location.store, store_error_text(rc));
        return EXIT_FAILED;
    }
    if (request->json) {
        struct json json;
        json_init(&json, stdout);
        json_begin_array(&json, NULL, true);
        for (size_t i = 0; i < count; i++) {
            json_begin_object(&json, NULL);
            json_string(&json, "name", tags[i].name);
            json_tid(&json, "tid", tags[i].tid);
            json_time(&json, "time", tid_to_time(tags[i].tid));
            json_end_object(&json);
        }
        json_end_array(&json);
    }
    for (size_t i = 0; i < count && !request->json; i++) {
        char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
        tid_format(tags[i].tid, tid);
        output_time(tid_to_time(tags[i].tid), request->utc, time);
        printf("%s  %s  ", tid, time);
        output_name(stdout, tags[i].name);
        (void)fputc('\n', stdout);
    }
    free(tags);
    int status = output_finish();
    if (!damaged)
        return status;
    output_error("the tags of %s are not all there: some are damaged; set those anew, which takes --force",
                 subject->location.store);
    return EXIT_FAILED;
}

/* Tags may be set beside a mount that writes: the storage is opened for it without the writer's lock. */
static struct storage *open_for_tags(const struct subject *subject) {
    const struct storage_open_options options = {.writable = true, .log = (struct log *)&subject->sink.log};
    struct storage *storage = NULL;
    struct error err = {0};
    if (storage_sqlite_open(subject->location.store, &options, &storage, &err) == 0)
        return storage;
    output_error("%s", err.text);
    return NULL;
}

static void say_exists(struct storage *storage, const char *name, bool utc) {
    uint64_t tid;
    char text[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    if (storage_tag_get(storage, name, &tid)) {
        output_error("tag: %s exists already; --force moves it", name);
        return;
    }
    tid_format(tid, text);
    output_time(tid_to_time(tid), utc, time);
    output_error("tag: %s exists already, as %s, %s; --force moves it", name, text, time);
}

static bool is_time(const char *name) {
    struct when when;
    const struct timespec any = {.tv_sec = time(NULL)};
    return when_parse(name, strlen(name), any, &when, NULL) == 0 && when.kind != WHEN_TAG;
}

static int set_tag(struct subject *subject, const struct request *request) {
    struct error err = {0};
    struct resolved resolved;
    if (is_time(request->name)) {
        output_error("tag: \"%s\" is a time already and always means that; a tag needs a name that is none",
                     request->name);
        return EXIT_FAILED;
    }
    if (when_tag_name_check(request->name, strlen(request->name), &err)) {
        output_error("tag: %s", err.text);
        return EXIT_FAILED;
    }
    if (subject_resolve(subject, request->when ? request->when : "now", RESOLVE_AT, SUBJECT_TYPED, &resolved))
        return EXIT_FAILED;
    if (resolved.tid == 0) {
        output_error("tag: %s: there was no transaction yet", request->when);
        return EXIT_FAILED;
    }
    struct storage *storage = open_for_tags(subject);
    if (!storage)
        return EXIT_FAILED;
    int status = EXIT_FAILED;
    int rc = storage_tag_set(storage, request->name, resolved.tid, request->force);
    if (rc == STORE_EXISTS) {
        say_exists(storage, request->name, request->utc);
    } else if (rc) {
        output_error("cannot set the tag %s: %s", request->name, store_error_text(rc));
    } else {
        char tid[TID_TEXT_SIZE];
        tid_format(resolved.tid, tid);
        puts(tid);
        status = output_finish();
    }
    storage_close(storage);
    return status;
}

static int delete_tag(const struct subject *subject, const struct request *request) {
    struct storage *storage = open_for_tags(subject);
    if (!storage)
        return EXIT_FAILED;
    int rc = storage_tag_delete(storage, request->name);
    if (rc == STORE_ABSENT)
        output_error("tag: there is no tag %s; `tidfs tag` lists them", request->name);
    else if (rc)
        output_error("cannot delete the tag %s: %s", request->name, store_error_text(rc));
    storage_close(storage);
    return rc == 0 ? EXIT_DONE : EXIT_FAILED;
}

int cmd_tag(int argc, char **argv) {
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'},
        {"delete", no_argument, NULL, 'd'},
        ARGUMENTS_SUBJECT,
        ARGUMENTS_JSON,
        ARGUMENTS_UTC,
        {0},
    };
    struct request request = {0};
    struct arguments arguments;
    int option;
    arguments_init(&arguments, argc, argv, "", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case 'f':
            request.force = true;
            break;
        case 'd':
            request.remove = true;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count > (request.remove ? 1 : 2))
        return command_usage_error(argv[0], "too many arguments");
    if (arguments.operand_count == 0 && (request.remove || request.force))
        return command_usage_error(argv[0], "which tag?");
    if (request.remove && request.force)
        return command_usage_error(argv[0], "--delete and --force exclude each other");
    request.json = arguments.common.json;
    request.utc = arguments.common.utc;
    request.name = arguments.operand_count > 0 ? arguments.operands[0] : NULL;
    request.when = arguments.operand_count > 1 ? arguments.operands[1] : NULL;

    struct subject subject;
    int status = EXIT_FAILED;
    if (subject_find(&subject, &arguments.common.where, NULL)) {
        if (!request.name)
            status = list_tags(&subject, &request);
        else
            status = request.remove ? delete_tag(&subject, &request) : set_tag(&subject, &request);
    }
    subject_release(&subject);
    return status;
}
