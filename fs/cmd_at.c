#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/json.h"
#include "fs/output.h"
#include "fs/subject.h"
#include "history/log.h"
#include "store/tid.h"

struct question {
    const char *when;
    const char *path; /* NULL: none */
    enum resolve_how how;
    bool json, utc, verbose;
};

/* STORE_ABSENT if the tree has no such path as of `before`. */
static int find_in_view(struct store *store, const char *path, uint64_t before) {
    uint64_t oid = ROOT_OID;
    struct inode_version *inode;
    int rc = store_inode(store, oid, before, &inode);
    /* Before the first transaction even the root is missing, and is shown as an empty directory. */
    if (rc == STORE_ABSENT && !*path)
        return 0;
    while (rc == 0 && *path) {
        bool directory = S_ISDIR(inode->record.mode);
        size_t length = strcspn(path, "/");
        uint32_t type;
        store_release(store, inode);
        rc = directory ? store_lookup(store, oid, path, length, before, &oid, &type) : STORE_ABSENT;
        if (rc == 0)
            rc = store_inode(store, oid, before, &inode);
        path += length;
        path += *path == '/';
    }
    if (rc == 0)
        store_release(store, inode);
    return rc;
}

/* "03f8…, 2026-11-22T…" of a transaction, or "" if it cannot be read. */
static void describe(struct store *store, uint64_t seq, bool utc, char *text, size_t size) {
    struct transaction transaction;
    text[0] = 0;
    if (seq == 0 || storage_transaction_at(store_storage(store), seq, &transaction))
        return;
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE];
    tid_format(transaction.tid, tid);
    output_time(tid_to_time(transaction.tid), utc, time);
    (void)snprintf(text, size, "%s, %s", tid, time);
    transaction_release(&transaction);
}

/* Says that the path was not there, and what is known of when it was. */
static void say_absent(struct store *store, const char *path, uint64_t before, bool utc) {
    uint64_t oid = 0;
    struct revision revision;
    enum load_outcome outcome = LOAD_NO_OBJECT;
    char when[128];
    if (before > 1 && log_find_path(store, path, before - 1, &oid) == 0) {
        int rc = storage_load_before(store_storage(store), oid, PART_INODE, before, &outcome, &revision);
        if (rc == 0 && outcome == LOAD_DELETED) {
            describe(store, revision.seq, utc, when, sizeof when);
            output_error("%s: not there then: it was deleted before, in %s; ~1 of that shows it", path, when);
            return;
        }
        if (rc == 0 && outcome == LOAD_DATA)
            revision_release(&revision);
        output_error("%s: not there then: it had been moved or replaced before", path);
        return;
    }
    if (log_find_path(store, path, store_last(store), &oid) == 0)
        output_error("%s: not there yet then; a later view has it", path);
    else
        output_error("%s: not there then, nor in any view", path);
}

static void print_json(const struct question *question, const struct resolved *resolved, const char *tree_path,
                       const char *view_path) {
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_string(&json, "when", question->when);
    json_string(&json, "how", question->how == RESOLVE_BEFORE ? "before" : "at");
    json_tid(&json, "tid", resolved->tid);
    if (resolved->tid)
        json_time(&json, "time", resolved->time);
    else
        json_null(&json, "time");
    json_bool(&json, "moving", resolved->moving);
    if (question->path)
        json_string(&json, "tree_path", tree_path);
    json_string(&json, "path", view_path);
    json_end_object(&json);
}

static void print_line(FILE *out, const struct question *question, const struct resolved *resolved) {
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE] = "-";
    tid_format(resolved->tid, tid);
    if (resolved->tid)
        output_time(resolved->time, question->utc, time);
    (void)fprintf(out, "%s  %s", tid, time);
}

static int answer(struct subject *subject, const struct question *question) {
    struct resolved resolved;
    const struct location *location = &subject->location;
    if (subject_resolve(subject, question->when, question->how, &resolved))
        return EXIT_FAILED;

    const char *tree_path = question->path ? location->path : "";
    int rc = find_in_view(subject->store, tree_path, resolved.before);
    if (rc == STORE_ABSENT) {
        say_absent(subject->store, tree_path, resolved.before, question->utc);
        return EXIT_FAILED;
    }
    if (rc) {
        output_error("cannot read %s: %s", location->store, store_error_text(rc));
        return EXIT_FAILED;
    }
    char *view_path = location_view_path(location, question->how == RESOLVE_BEFORE, resolved.name, tree_path);
    int status = EXIT_FAILED;
    if (question->json) {
        print_json(question, &resolved, tree_path, view_path);
        status = output_finish();
    } else if (question->path && !view_path) {
        output_error("%s: no mount of %s shows that instant; mount it with `tidfs mount`", question->path,
                     location->store);
    } else if (question->path) {
        if (question->verbose || isatty(STDERR_FILENO)) {
            print_line(stderr, question, &resolved);
            (void)fputc('\n', stderr);
        }
        output_name(stdout, view_path);
        (void)fputc('\n', stdout);
        status = output_finish();
    } else {
        print_line(stdout, question, &resolved);
        if (view_path) {
            (void)fputs("  ", stdout);
            output_name(stdout, view_path);
        }
        (void)fputc('\n', stdout);
        status = output_finish();
    }
    free(view_path);
    return status;
}

int cmd_at(int argc, char **argv) {
    enum { OPTION_STORE = 0x100, OPTION_MOUNT, OPTION_BEFORE, OPTION_JSON, OPTION_UTC };
    static const struct option options[] = {
        {"before", no_argument, NULL, OPTION_BEFORE},
        {"verbose", no_argument, NULL, 'v'},
        {"json", no_argument, NULL, OPTION_JSON},
        {"utc", no_argument, NULL, OPTION_UTC},
        {"store", required_argument, NULL, OPTION_STORE},
        {"mount", required_argument, NULL, OPTION_MOUNT},
        {0},
    };
    struct subject_options where = {0};
    struct question question = {.how = RESOLVE_AT};
    struct arguments arguments;
    int option;
    arguments_init(&arguments, argc, argv, "v", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case OPTION_STORE:
            where.store = arguments.value;
            break;
        case OPTION_MOUNT:
            where.mount = arguments.value;
            break;
        case OPTION_BEFORE:
            question.how = RESOLVE_BEFORE;
            break;
        case OPTION_JSON:
            question.json = true;
            break;
        case OPTION_UTC:
            question.utc = true;
            break;
        case 'v':
            question.verbose = true;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count < 1)
        return command_usage_error(argv[0], "when? A time, a tid or a tag is needed");
    if (arguments.operand_count > 2)
        return command_usage_error(argv[0], "more than one path");
    if (where.store && where.mount)
        return command_usage_error(argv[0], "--store and --mount exclude each other");
    question.when = arguments.operands[0];
    question.path = arguments.operand_count > 1 ? arguments.operands[1] : NULL;

    struct subject subject;
    int status = EXIT_FAILED;
    if (subject_find(&subject, &where, question.path))
        status = answer(&subject, &question);
    subject_release(&subject);
    return status;
}
