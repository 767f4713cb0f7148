#include "fs/change_output.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/change_stat.h"
#include "fs/json.h"
#include "fs/output.h"
#include "fs/pager.h"
#include "fs/utf8.h"
#include "history/patch.h"

#define CONTEXT_LINES 3

/* ---------------------------------------------------------------- options */

bool change_output_take(struct change_output *output, int option) {
    switch (option) {
    case 'p':
        output->formats |= CHANGE_FORMAT_PATCH;
        return true;
    case OPTION_CHANGE_STAT:
        output->formats |= CHANGE_FORMAT_STAT;
        return true;
    case OPTION_CHANGE_NAME_STATUS:
        output->formats |= CHANGE_FORMAT_NAME_STATUS;
        return true;
    case OPTION_CHANGE_NO_RENAMES:
        output->no_renames = true;
        return true;
    case OPTION_CHANGE_IGNORE_TIMES:
        output->ignore_times = true;
        return true;
    default:
        return false;
    }
}

const char *change_output_settle(struct change_output *output, const struct common_options *common,
                                 enum change_format format) {
    output->null = common->null;
    if (common->json) {
        if (output->formats)
            return "--json goes without --patch, --stat and --name-status";
        if (output->null)
            return "--json goes without -z";
        output->formats = CHANGE_FORMAT_JSON;
    }
    if (output->null && !output->formats)
        output->formats = CHANGE_FORMAT_NAME_STATUS;
    if (!output->formats)
        output->formats = format;
    if ((output->formats & CHANGE_FORMAT_NAME_STATUS) && output->formats != CHANGE_FORMAT_NAME_STATUS)
        return "--name-status goes without --patch and --stat";
    if (output->null && output->formats != CHANGE_FORMAT_NAME_STATUS)
        return "-z goes with --name-status";
    return NULL;
}

void change_output_prepare(const struct change_output *output, struct diff_options *options) {
    options->no_renames = output->no_renames;
    options->ignore_times = output->ignore_times;
    options->each_file =
        (output->formats & (CHANGE_FORMAT_NAME_STATUS | CHANGE_FORMAT_STAT | CHANGE_FORMAT_PATCH)) != 0;
}

static void show_progress(void *context, uint64_t done, uint64_t total) {
    progress_update(context, done, total);
}

bool change_output_find(const struct change_output *output, struct store *store, const struct diff_options *options,
                        struct change_list *list) {
    struct progress progress;
    struct diff_options prepared = *options;
    progress_init(&progress, "looking for changes");
    change_output_prepare(output, &prepared);
    prepared.progress = show_progress;
    prepared.context = &progress;
    int rc = diff_run(store, &prepared, list);
    /* Of paths that changed only because a directory above was renamed, this tells. */
    if (rc == 0 && list->count == 0 && prepared.path_count > 0 && !prepared.each_file && !prepared.no_renames) {
        rc = diff_paths_moved(store, &prepared, &prepared.each_file);
        if (rc == 0 && prepared.each_file)
            rc = diff_run(store, &prepared, list);
    }
    progress_clear(&progress);
    if (rc == STORE_PACKED)
        output_error("what was there before is packed away; `tidfs info` says up to when");
    else if (rc)
        output_error("cannot read %s: %s", store_directory(store), store_error_text(rc));
    return rc == 0;
}

/* ---------------------------------------------------------------- a line for each */

/* Whether it can be shown as it is: UTF-8 without control characters and what quotes are made of. */
static bool is_harmless(const char *name) {
    size_t length = strlen(name), bytes;
    uint32_t character = 0;
    for (size_t i = 0; i < length; i += bytes) {
        bytes = utf8_decode(name + i, length - i, &character);
        if (bytes == 0 || character < 0x20 || (character >= 0x7f && character < 0xa0) || character == '"' ||
            character == '\\')
            return false;
        /* Line separators, and marks that change the direction of what follows. */
        if ((character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069))
            return false;
    }
    return true;
}

static void print_path(const char *path, const struct change_side *side) {
    const char *slash = S_ISDIR(side->mode) ? "/" : "";
    if (!*path)
        (void)putchar('.');
    else if (is_harmless(path))
        (void)fputs(path, stdout);
    else
        patch_write_name("", path, stdout);
    (void)fputs(slash, stdout);
}

static bool moved(const struct change *change) {
    return change->old_path && change->new_path && strcmp(change->old_path, change->new_path) != 0;
}

/* New content has a new time as a rule: that goes without saying. */
static unsigned worth_saying(const struct change *change) {
    return change->what & CHANGED_CONTENT ? change->what & ~(unsigned)CHANGED_TIMES : change->what;
}

/* Files and directories are told apart by the slash; other types are named when they come or go. */
static const char *special_type(const struct change *change) {
    uint32_t mode = change->kind == CHANGE_ADDED ? change->new.mode : change->old.mode;
    if ((change->kind != CHANGE_ADDED && change->kind != CHANGE_DELETED) || S_ISREG(mode) || S_ISDIR(mode))
        return NULL;
    return patch_type_name(mode);
}

static void print_remark(const struct change *change) {
    unsigned what = change->kind == CHANGE_MODIFIED || change->kind == CHANGE_RENAMED ? worth_saying(change) : 0;
    const char *type = special_type(change);
    if (!what && !type && change->kind != CHANGE_TYPE && !patch_is_link(change))
        return;
    printf("  %s(", colour(COLOUR_DIM));
    if (change->kind == CHANGE_TYPE)
        printf("%s -> %s", patch_type_name(change->old.mode), patch_type_name(change->new.mode));
    if (type)
        printf("%s%s", type, patch_is_link(change) ? ", " : "");
    if (patch_is_link(change))
        (void)fputs(change->kind == CHANGE_ADDED ? "hard link" : "hard link removed", stdout);
    patch_write_what(change, what, stdout);
    printf(")%s", colour(COLOUR_NONE));
}

static void print_line(const struct change *change) {
    enum colour kind = change->kind == CHANGE_ADDED     ? COLOUR_ADDED
                       : change->kind == CHANGE_DELETED ? COLOUR_REMOVED
                                                        : COLOUR_HUNK;
    printf("%s%c%s  ", colour(kind), (char)change->kind, colour(COLOUR_NONE));
    if (!change->new_path || moved(change))
        print_path(change->old_path, &change->old);
    if (moved(change))
        (void)fputs(" -> ", stdout);
    if (change->new_path)
        print_path(change->new_path, &change->new);
    print_remark(change);
    (void)putchar('\n');
}

/* ---------------------------------------------------------------- git's letters */

static void print_field(const char *text, bool null, char separator) {
    if (null)
        (void)fputs(text, stdout);
    else
        patch_write_name("", text, stdout);
    (void)putchar(null ? 0 : separator);
}

static enum change_printed print_name_status(struct store *store, const struct change *change, bool null) {
    char letter = patch_letter(change);
    if (!letter)
        return CHANGES_PRINTED;
    if (letter != 'R') {
        printf("%c%c", letter, null ? 0 : '\t');
        print_field(letter == 'D' ? change->old_path : change->new_path, null, '\n');
        return CHANGES_PRINTED;
    }
    struct patch_measure measure;
    struct error err = {0};
    int rc = patch_measure(store, change, &measure, &err);
    if (rc)
        output_error("%s", err.text);
    if (rc && !store_error_is_damage(rc))
        return CHANGES_NOT_PRINTED;
    printf("R%03u%c", rc ? 0 : measure.similarity, null ? 0 : '\t');
    print_field(change->old_path, null, '\t');
    print_field(change->new_path, null, '\n');
    return rc ? CHANGES_PRINTED_IN_PART : CHANGES_PRINTED;
}

/* ---------------------------------------------------------------- patches */

/* The lines of one file's patch, each in its colour. What follows the first "@@" is content, until the next file begins; a line of the content
 * begins with one of " +-\\", so that the next file's begin is seen. */
static void print_coloured(const char *text, size_t length) {
    bool content = false;
    for (const char *line = text, *end = text + length; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline ? newline + 1 : end;
        enum colour kind = COLOUR_HEADER;
        if (strncmp(line, "tidfs: ", 7) == 0)
            kind = COLOUR_DIM;
        else if (line[0] == '@')
            kind = COLOUR_HUNK;
        else if (content && line[0] != 'd')
            kind = line[0] == '+' ? COLOUR_ADDED : line[0] == '-' ? COLOUR_REMOVED : COLOUR_NONE;
        content = line[0] == '@' || (content && line[0] != 'd');
        size_t shown = (size_t)(next - line) - (newline ? 1 : 0);
        (void)fputs(kind == COLOUR_NONE ? "" : colour(kind), stdout);
        (void)fwrite(line, 1, shown, stdout);
        (void)fputs(kind == COLOUR_NONE ? "" : colour(COLOUR_NONE), stdout);
        if (newline)
            (void)putchar('\n');
        line = next;
    }
}

/* A line that patch(1) and git skip. */
static void print_patch_remark(const char *text) {
    (void)fputs(colour(COLOUR_DIM), stdout);
    (void)fputs("tidfs: ", stdout);
    output_text(stdout, text, strlen(text));
    (void)fputs(colour(COLOUR_NONE), stdout);
    (void)putchar('\n');
}

static enum change_printed print_patch(struct store *store, const struct change *change) {
    struct error err = {0};
    int rc;
    if (!*colour(COLOUR_ADDED)) {
        rc = patch_write(store, change, CONTEXT_LINES, stdout, &err);
    } else {
        char *text = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&text, &length);
        rc = out ? patch_write(store, change, CONTEXT_LINES, out, &err) : STORE_NO_MEMORY;
        if (out && fclose(out) != 0 && rc == 0)
            rc = error_set(&err, STORE_NO_MEMORY, "out of memory");
        if (rc == 0)
            print_coloured(text, length);
        free(text);
    }
    if (rc && store_error_is_damage(rc)) {
        print_patch_remark(err.text);
        return CHANGES_PRINTED_IN_PART;
    }
    if (rc)
        output_error("%s", err.text[0] ? err.text : store_error_text(rc));
    return rc ? CHANGES_NOT_PRINTED : CHANGES_PRINTED;
}

/* ---------------------------------------------------------------- JSON */

static const char *kind_name(enum change_kind kind) {
    switch (kind) {
    case CHANGE_ADDED:
        return "added";
    case CHANGE_DELETED:
        return "deleted";
    case CHANGE_MODIFIED:
        return "modified";
    case CHANGE_RENAMED:
        return "renamed";
    case CHANGE_TYPE:
        return "type";
    }
    return NULL; /* not a kind */
}

static void print_json_side(struct json *json, const char *key, const struct change_side *side) {
    char mode[8];
    if (!side->oid) {
        json_null(json, key);
        return;
    }
    (void)snprintf(mode, sizeof mode, "%04o", side->mode & 07777U);
    json_begin_object(json, key);
    json_string(json, "type", patch_type_name(side->mode));
    json_string(json, "mode", mode);
    json_number(json, "uid", side->uid);
    json_number(json, "gid", side->gid);
    json_number(json, "nlink", side->nlink);
    json_number(json, "size", side->size);
    json_time(json, "mtime", side->mtime);
    json_number(json, "object", side->oid);
    json_end_object(json);
}

static void print_json(const struct change *change) {
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        {CHANGED_CONTENT, "content"}, {CHANGED_MODE, "mode"},   {CHANGED_OWNER, "owner"},
        {CHANGED_XATTR, "xattr"},     {CHANGED_TIMES, "times"}, {CHANGED_UNREAD, "unread"},
    };
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_string(&json, "kind", kind_name(change->kind));
    json_string(&json, "path", change->new_path ? change->new_path : change->old_path);
    if (moved(change))
        json_string(&json, "old_path", change->old_path);
    if (change->kind == CHANGE_MODIFIED || change->kind == CHANGE_RENAMED) {
        json_begin_array(&json, "changed", false);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (change->what & names[i].bit)
                json_string(&json, NULL, names[i].name);
        }
        json_end_array(&json);
    }
    json_bool(&json, "linked", patch_is_link(change));
    json_bool(&json, "replaced", change->replaced);
    print_json_side(&json, "old", &change->old);
    print_json_side(&json, "new", &change->new);
    json_end_object(&json);
}

/* ---------------------------------------------------------------- gaps */

/* "what it was before: lost". */
static const char *gap_text(const struct change_gap *gap, char text[64]) {
    const char *what = !gap->names ? "what it was" : gap->directory ? "names in it" : "names of it";
    const char *when = gap->old && gap->new ? "before and after" : gap->old ? "before" : "after";
    (void)snprintf(text, 64, "%s %s: %s", what, when, gap->why == STORE_LOST ? "lost" : "damaged");
    return text;
}

static void print_json_gap(const struct change_gap *gap) {
    struct json json;
    json_init(&json, stdout);
    json_begin_object(&json, NULL);
    json_string(&json, "kind", "unknown");
    json_string(&json, "path", gap->path);
    json_string(&json, "unknown", gap->names ? "names" : "object");
    json_begin_array(&json, "sides", false);
    if (gap->old)
        json_string(&json, NULL, "old");
    if (gap->new)
        json_string(&json, NULL, "new");
    json_end_array(&json);
    json_string(&json, "why", gap->why == STORE_LOST ? "lost" : "damaged");
    json_end_object(&json);
}

static void print_gap(const struct change_output *output, const struct change_gap *gap) {
    const struct change_side side = {.mode = gap->directory ? S_IFDIR : S_IFREG};
    const char *path = *gap->path ? gap->path : ".";
    char text[64], *line = NULL;
    (void)gap_text(gap, text);
    if (output->formats & CHANGE_FORMAT_JSON) {
        print_json_gap(gap);
    } else if (output->formats & CHANGE_FORMAT_LIST) {
        printf("%s?%s  ", colour(COLOUR_HUNK), colour(COLOUR_NONE));
        print_path(gap->path, &side);
        printf("  %s(%s)%s\n", colour(COLOUR_DIM), text, colour(COLOUR_NONE));
    } else if ((output->formats & CHANGE_FORMAT_PATCH) && asprintf(&line, "%s: %s", path, text) >= 0) {
        print_patch_remark(line);
        free(line);
    } else {
        output_error("%s: %s", path, text);
    }
}

/* ---------------------------------------------------------------- lists */

static enum change_printed print_change(const struct change_output *output, struct store *store,
                                        const struct change *change) {
    if (output->formats & CHANGE_FORMAT_LIST)
        print_line(change);
    if (output->formats & CHANGE_FORMAT_JSON)
        print_json(change);
    if (output->formats & CHANGE_FORMAT_NAME_STATUS)
        return print_name_status(store, change, output->null);
    if (output->formats & CHANGE_FORMAT_PATCH)
        return print_patch(store, change);
    return (change->what & CHANGED_UNREAD) ? CHANGES_PRINTED_IN_PART : CHANGES_PRINTED;
}

static size_t count_shown(const struct change_output *output, const struct change_list *list) {
    if (output->formats & (CHANGE_FORMAT_LIST | CHANGE_FORMAT_JSON | CHANGE_FORMAT_PATCH))
        return list->count;
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += patch_letter(&list->items[i]) != 0;
    return count;
}

enum change_printed change_output_print(const struct change_output *output, struct store *store,
                                        const struct change_list *list, size_t *shown) {
    bool whole = list->gap_count == 0;
    enum change_printed printed;
    if (shown)
        *shown = count_shown(output, list);
    if (output->formats & CHANGE_FORMAT_STAT) {
        printed = change_stat_print(store, list);
        if (printed == CHANGES_NOT_PRINTED)
            return printed;
        whole &= printed == CHANGES_PRINTED;
        if (output->formats != CHANGE_FORMAT_STAT && list->count > 0)
            (void)putchar('\n');
    }
    for (size_t i = 0; output->formats != CHANGE_FORMAT_STAT && i < list->count && !ferror(stdout); i++) {
        printed = print_change(output, store, &list->items[i]);
        if (printed == CHANGES_NOT_PRINTED)
            return printed;
        whole &= printed == CHANGES_PRINTED;
    }
    for (size_t i = 0; i < list->gap_count && !ferror(stdout); i++)
        print_gap(output, &list->gaps[i]);
    return whole ? CHANGES_PRINTED : CHANGES_PRINTED_IN_PART;
}

void change_output_say_in_part(void) {
    output_error("not all of it can be told: some is lost or damaged, as said there; `tidfs verify` tells all that is");
}
