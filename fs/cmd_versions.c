#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/command.h"
#include "fs/json.h"
#include "fs/live.h"
#include "fs/output.h"
#include "fs/pager.h"
#include "fs/subject.h"
#include "fs/units.h"
#include "fs/utf8.h"
#include "fs/view_limit.h"
#include "history/diff.h"
#include "history/past.h"
#include "history/patch.h"
#include "store/tid.h"

#define SIZE_COLUMNS 12
#define KIND_COLUMNS 14

struct request {
    const char *path;
    uint64_t most;
    bool json, utc, follow, reverse;
    bool in_part; /* something of what was told is lost or damaged */
};

/* ---------------------------------------------------------------- one version */

static const struct {
    unsigned bit;
    const char *name;
} parts[] = {
    {CHANGED_CONTENT, "content"}, {CHANGED_MODE, "mode"},   {CHANGED_OWNER, "owner"},
    {CHANGED_XATTR, "xattr"},     {CHANGED_TIMES, "times"}, {CHANGED_UNREAD, "unread"},
};

static const char *kind_name(const struct past_version *version) {
    switch (version->kind) {
    case CHANGE_ADDED:
        return "added";
    case CHANGE_DELETED:
        return "deleted";
    case CHANGE_RENAMED:
        return "renamed";
    case CHANGE_TYPE:
        return "type";
    default:
        return "modified";
    }
}

static const char *damage(const struct past_version *version) {
    return version->unknown == STORE_LOST ? "lost" : "damaged";
}

/* Neither gone nor lost. */
static bool is_there(const struct past_version *version) {
    return version->oid && !version->unknown;
}

/* Where it can be opened, malloc'ed; NULL: it is gone or lost, or nowhere mounted. */
static char *opens(const struct location *location, const struct past_version *version) {
    return is_there(version) ? location_view_path(location, false, version->tid, version->path) : NULL;
}

/* As one word for a shell. What would move a terminal's cursor or turn its text, or is no UTF-8, is written as the escapes of $'…'. */
static void put_word(FILE *out, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:@%";
    size_t length = strlen(word);
    bool harmless = true;
    uint32_t character;
    if (length > 0 && strspn(word, plain) == length) {
        (void)fputs(word, out);
        return;
    }
    for (size_t i = 0, bytes; i < length && harmless; i += bytes) {
        bytes = utf8_decode(word + i, length - i, &character);
        harmless = bytes > 0 && character >= 0x20 && (character < 0x7f || character >= 0xa0) &&
                   (character < 0x2028 || character > 0x202e) && (character < 0x2066 || character > 0x2069);
    }
    (void)fputs(harmless ? "'" : "$'", out);
    for (; *word; word++) {
        unsigned char byte = (unsigned char)*word;
        if (harmless && byte == '\'')
            (void)fputs("'\\''", out);
        else if (!harmless && (byte < 0x20 || byte >= 0x7f))
            (void)fprintf(out, "\\%03o", byte);
        else if (!harmless && (byte == '\'' || byte == '\\'))
            (void)fprintf(out, "\\%c", byte);
        else
            (void)fputc(byte, out);
    }
    (void)fputc('\'', out);
}

/* What shows it, mounted or not, malloc'ed; NULL: it is gone or lost. */
static char *command(const struct location *location, const struct past_version *version) {
    char *text = NULL, tid[TID_TEXT_SIZE];
    size_t length = 0;
    FILE *out = is_there(version) ? open_memstream(&text, &length) : NULL;
    if (!out)
        return NULL;
    tid_format(version->tid, tid);
    (void)fprintf(out, "tidfs %s --store ", S_ISREG(version->mode) ? "cat" : S_ISDIR(version->mode) ? "ls" : "ls -l");
    put_word(out, location->store);
    (void)fprintf(out, " %s ", tid);
    /* From the root of the tree; no name is taken for an option then. */
    char *path = NULL;
    bool whole = asprintf(&path, "/%s", version->path) >= 0;
    if (whole)
        put_word(out, path);
    free(whole ? path : NULL);
    if (fclose(out) == 0 && whole)
        return text;
    free(text);
    return NULL;
}

static void print_json(const struct location *location, const struct past_version *version) {
    struct json json;
    char mode[8];
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_tid(&json, "tid", version->tid);
    json_time(&json, "time", version->time);
    json_string(&json, "kind", kind_name(version));
    if (version->kind == CHANGE_MODIFIED || version->kind == CHANGE_RENAMED) {
        json_begin_array(&json, "changed", false);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (version->what & parts[i].bit)
                json_string(&json, NULL, parts[i].name);
        json_end_array(&json);
    }
    if (version->unknown)
        json_string(&json, "unknown", damage(version));
    json_string(&json, "path", version->path);
    if (version->old_path)
        json_string(&json, "old_path", version->old_path);
    if (version->oid) {
        (void)snprintf(mode, sizeof mode, "%04o", version->mode & 07777U);
        json_string(&json, "type", patch_type_name(version->mode));
        if (!version->unknown) {
            json_string(&json, "mode", mode);
            json_number(&json, "size", version->size);
        }
        json_number(&json, "object", version->oid);
    }
    char *path = opens(location, version);
    json_string(&json, "opens", path);
    free(path);
    char *shows = command(location, version);
    json_string(&json, "command", shows);
    free(shows);
    json_end_object(&json);
}

/* What differs from the version before: new content has a new time as a rule, and that goes without saying. */
static void print_kind(const struct past_version *version) {
    char text[64] = "";
    unsigned what = version->what & CHANGED_CONTENT ? version->what & ~(unsigned)CHANGED_TIMES : version->what;
    if (version->kind != CHANGE_MODIFIED || version->unknown)
        what = 0;
    size_t length = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (what & parts[i].bit)
            length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", length ? "," : "", parts[i].name);
    enum colour kind = version->kind == CHANGE_ADDED     ? COLOUR_ADDED
                       : version->kind == CHANGE_DELETED ? COLOUR_REMOVED
                                                         : COLOUR_HUNK;
    const char *word = version->unknown ? damage(version) : length ? text : kind_name(version);
    printf("%s%-*s%s", colour(kind), KIND_COLUMNS, word, colour(COLOUR_NONE));
}

static void print_line(const struct location *location, const struct past_version *version, bool utc) {
    char tid[TID_TEXT_SIZE], time[OUTPUT_TIME_SIZE], size[OUTPUT_BYTES_SIZE] = "-";
    tid_format(version->tid, tid);
    output_time(version->time, utc, time);
    if (is_there(version) && S_ISDIR(version->mode))
        (void)snprintf(size, sizeof size, "%" PRIu64 " name%s", version->size, version->size == 1 ? "" : "s");
    else if (is_there(version))
        output_bytes(version->size, size);
    printf("%s  %s%s%s  %*s  ", time, colour(COLOUR_TID), tid, colour(COLOUR_NONE), SIZE_COLUMNS, size);
    print_kind(version);
    char *path = opens(location, version);
    (void)fputs("  ", stdout);
    if (path || !is_there(version)) {
        output_name(stdout, path ? path : "-");
    } else {
        char *shows = command(location, version);
        (void)fputs(shows ? shows : version->path, stdout);
        free(shows);
    }
    free(path);
    if (version->old_path) {
        (void)fputs("  from ", stdout);
        output_name(stdout, version->old_path);
    }
    (void)fputc('\n', stdout);
}

static void print_version(const struct subject *subject, struct request *request, const struct past_version *version) {
    request->in_part |= version->unknown || (version->what & CHANGED_UNREAD);
    if (request->json)
        print_json(&subject->location, version);
    else
        print_line(&subject->location, version, request->utc);
}

/* ---------------------------------------------------------------- all of them */

/* The newest first: each is printed as it is found. */
static int show(struct subject *subject, struct request *request, struct past_walk *walk) {
    struct past_version version;
    int rc = 0;
    for (uint64_t i = 0; i < request->most && !ferror(stdout) && (rc = past_walk_next(walk, &version)) == 0; i++) {
        print_version(subject, request, &version);
        past_version_release(&version);
        if (i == 0)
            (void)fflush(stdout); /* output_finish sees what went wrong */
    }
    return rc;
}

static int show_reversed(struct subject *subject, struct request *request, struct past_walk *walk) {
    struct past_version *versions = NULL;
    struct progress progress;
    size_t count = 0, capacity = 0;
    int rc = 0;
    progress_init(&progress, "reading versions");
    while (rc == 0 && count < request->most) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            struct past_version *more = reallocarray(versions, capacity, sizeof *versions);
            if (!more) {
                rc = STORE_NO_MEMORY;
                break;
            }
            versions = more;
        }
        rc = past_walk_next(walk, &versions[count]);
        count += rc == 0;
        progress_update(&progress, count, 0);
    }
    progress_clear(&progress);
    while (count > 0) {
        count--;
        if (rc >= 0)
            print_version(subject, request, &versions[count]);
        past_version_release(&versions[count]);
    }
    free(versions);
    return rc;
}

static int answer(struct subject *subject, struct request *request, const struct common_options *common) {
    const struct location *location = &subject->location;
    struct past_walk *walk;
    if (!view_limit_applies(location))
        live_settle(location);
    if (subject_open(subject))
        return EXIT_FAILED;
    uint64_t last = store_last(subject->store);
    if (!view_limit_lower(subject, location, &last))
        return EXIT_FAILED;
    int rc = past_walk_open(subject->store, location->path, 1, last, request->follow, &walk);
    if (rc == STORE_ABSENT) {
        view_limit_say_absent(subject, location->path, request->path, last, request->utc);
        return EXIT_FAILED;
    }
    pager_begin(!common->no_pager);
    colour_init(common->colour);
    if (rc == 0)
        rc = request->reverse ? show_reversed(subject, request, walk) : show(subject, request, walk);
    past_walk_close(walk);
    if (rc == STORE_LOST && !walk) {
        output_error("%s: nobody knows what it was: names above it are lost, as `tidfs verify --repair` put on record",
                     request->path);
        (void)output_finish();
        return EXIT_FAILED;
    }
    if (rc < 0) {
        output_error("versions: cannot read %s: %s", location->store, store_error_text(rc));
        (void)output_finish();
        return EXIT_FAILED;
    }
    int status = output_finish();
    if (!request->in_part)
        return status;
    output_error(
        "%s: not all of it can be told: some is lost or damaged, as said there; `tidfs verify` tells all that is",
        request->path);
    return EXIT_FAILED;
}

int cmd_versions(int argc, char **argv) {
    enum { OPTION_FOLLOW = 0x100, OPTION_REVERSE };
    static const struct option options[] = {
        {"number", required_argument, NULL, 'n'},
        {"follow", no_argument, NULL, OPTION_FOLLOW},
        {"reverse", no_argument, NULL, OPTION_REVERSE},
        ARGUMENTS_SUBJECT,
        ARGUMENTS_JSON,
        ARGUMENTS_UTC,
        ARGUMENTS_PAGER,
        {0},
    };
    struct request request = {.most = UINT64_MAX};
    struct arguments arguments;
    int option;
    arguments_init(&arguments, argc, argv, "n:", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case 'n':
            if (count_parse(arguments.value, &request.most))
                return command_usage_error(argv[0], "-n %s: a number is needed", arguments.value);
            break;
        case OPTION_FOLLOW:
            request.follow = true;
            break;
        case OPTION_REVERSE:
            request.reverse = true;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count != 1)
        return command_usage_error(argv[0],
                                   arguments.operand_count ? "one path at a time" : "of what? A path is needed");
    request.path = arguments.operands[0];
    request.json = arguments.common.json;
    request.utc = arguments.common.utc;

    struct subject subject;
    int status = EXIT_FAILED;
    if (subject_find(&subject, &arguments.common.where, request.path))
        status = answer(&subject, &request, &arguments.common);
    subject_release(&subject);
    return status;
}
