#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/output.h"
#include "fs/restoring.h"
#include "history/log.h"

#define UNDONE_MAX 10000 /* transactions at a time; more are a revert's job */

struct chosen_seqs {
    uint64_t *seqs;
    size_t count, capacity;
};

static bool add(struct chosen_seqs *chosen, uint64_t seq) {
    for (size_t i = 0; i < chosen->count; i++) {
        if (chosen->seqs[i] == seq)
            return true;
    }
    if (chosen->count == UNDONE_MAX) {
        output_error("undo: more than %d transactions; `tidfs revert --at WHEN` puts back what was there at WHEN",
                     UNDONE_MAX);
        return false;
    }
    if (chosen->count == chosen->capacity) {
        size_t capacity = chosen->capacity ? chosen->capacity * 2 : 16;
        uint64_t *more = realloc(chosen->seqs, capacity * sizeof *more);
        if (!more) {
            output_error("out of memory");
            return false;
        }
        chosen->seqs = more;
        chosen->capacity = capacity;
    }
    chosen->seqs[chosen->count++] = seq;
    return true;
}

static bool add_operand(struct subject *subject, const char *text, struct chosen_seqs *chosen) {
    struct timespec now;
    struct error err = {0};
    if (clock_gettime(CLOCK_REALTIME, &now)) {
        output_error("cannot read the clock");
        return false;
    }
    if (strstr(text, "..")) {
        struct log_range range;
        if (log_parse_range(subject->store, text, now, &range, &err)) {
            output_error("undo: %s", err.text);
            return false;
        }
        if (range.first > range.last) {
            output_error("undo: %s: there is no transaction in it", text);
            return false;
        }
        for (uint64_t seq = range.last; seq >= range.first; seq--) {
            if (!add(chosen, seq))
                return false;
        }
        return true;
    }
    struct when when;
    uint64_t before = 0;
    int rc = when_parse(text, strlen(text), now, &when, &err);
    /* A tid means that very transaction: one of another store, or one mistyped, must not undo what happens to be next to it. */
    if (rc == 0)
        rc = resolve_check_tid(subject->store, &when, now, &err);
    if (rc == 0)
        rc = resolve_seq(subject->store, &when, RESOLVE_AT, now, &before, &err);
    if (rc == RESOLVE_FUTURE) {
        output_error("undo: %s: that lies in the future; what has not happened cannot be undone", text);
        return false;
    }
    if (rc) {
        output_error("undo: %s", err.text);
        return false;
    }
    if (before <= 1) {
        output_error("undo: %s: there was no transaction yet then", text);
        return false;
    }
    return add(chosen, before - 1);
}

int cmd_undo(int argc, char **argv) {
    static const struct option options[] = {
        {"dry-run", no_argument, NULL, 'n'},
        {"message", required_argument, NULL, 'm'},
        ARGUMENTS_JSON,
        ARGUMENTS_UTC,
        ARGUMENTS_SUBJECT,
        {0},
    };
    struct arguments arguments;
    struct subject subject = {0};
    struct restoring restoring = {.name = argv[0], .subject = &subject, .request = {.kind = RESTORE_UNDO}};
    struct chosen_seqs chosen = {0};
    int option;
    arguments_init(&arguments, argc, argv, "nm:", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case 'n':
            restoring.dry_run = true;
            break;
        case 'm':
            restoring.message = arguments.value;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count == 0)
        return command_usage_error(argv[0], "which transaction? `tidfs log` lists them; now is the newest");
    restoring.json = arguments.common.json;
    restoring.utc = arguments.common.utc;

    int status = EXIT_FAILED;
    bool found = restoring_message_is_good(&restoring) && subject_find(&subject, &arguments.common.where, NULL) &&
                 restoring_open(&subject, !restoring.dry_run);
    for (int i = 0; i < arguments.operand_count && found; i++)
        found = add_operand(&subject, arguments.operands[i], &chosen);
    if (found) {
        restoring.request.seqs = chosen.seqs;
        restoring.request.seq_count = chosen.count;
        status = restoring_run(&restoring);
    }
    free(chosen.seqs);
    subject_release(&subject);
    return status;
}
