/* tidfs ls: gathers the entries, sorts them by the bytes of their names, and prints them in one of three forms. */
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/arguments.h"
#include "fs/command.h"
#include "fs/instant.h"
#include "fs/json.h"
#include "fs/output.h"
#include "history/patch.h"

#define OWNER_SIZE 64

struct request {
    const char *when;
    const char *path; /* as given; NULL: none */
    bool attributes;  /* needed for what is printed */
    bool details;     /* -l */
    bool itself;      /* -d: a directory, and not what is in it */
    const struct common_options *common;
};

struct item {
    char *name;
    uint32_t type;
    bool readable; /* attr is filled */
    struct view_attr attr;
};
struct items {
    struct item *items;
    size_t count, size;
    bool failed; /* out of memory */
};

static void items_release(struct items *items) {
    for (size_t i = 0; i < items->count; i++)
        free(items->items[i].name);
    free(items->items);
}

/* attr may be NULL: it cannot be read, or is not needed. */
static bool items_add(struct items *items, const char *name, size_t length, uint32_t type,
                      const struct view_attr *attr) {
    if (items->count == items->size) {
        size_t size = items->size ? 2 * items->size : 64;
        struct item *grown = realloc(items->items, size * sizeof *grown);
        items->failed = !grown;
        if (!grown)
            return false;
        items->items = grown;
        items->size = size;
    }
    struct item *item = &items->items[items->count];
    *item = (struct item){.name = strndup(name, length), .type = type, .readable = attr != NULL};
    items->failed = !item->name;
    if (items->failed)
        return false;
    if (attr)
        item->attr = *attr;
    items->count++;
    return true;
}

static bool take_entry(void *context, const struct view_entry *entry) {
    return items_add(context, entry->name, entry->length, entry->type, entry->attr);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

/* ---------------------------------------------------------------- one entry */

static char type_letter(uint32_t type) {
    switch (type & S_IFMT) {
    case S_IFDIR:
        return 'd';
    case S_IFLNK:
        return 'l';
    case S_IFIFO:
        return 'p';
    case S_IFSOCK:
        return 's';
    case S_IFCHR:
        return 'c';
    case S_IFBLK:
        return 'b';
    default:
        return '-';
    }
}

/* "drwxr-sr-t", as ls(1) writes it. */
static void format_mode(uint32_t mode, char text[11]) {
    static const char letters[] = "rwxrwxrwx";
    text[0] = type_letter(mode);
    for (int i = 0; i < 9; i++)
        text[1 + i] = '-';
    for (int i = 0; i < 9; i++) {
        if (mode & (0400U >> i))
            text[1 + i] = letters[i];
    }
    if (mode & S_ISUID)
        text[3] = mode & S_IXUSR ? 's' : 'S';
    if (mode & S_ISGID)
        text[6] = mode & S_IXGRP ? 's' : 'S';
    if (mode & S_ISVTX)
        text[9] = mode & S_IXOTH ? 't' : 'T';
    text[10] = 0;
}

static void name_owner(uid_t uid, char text[OWNER_SIZE]) {
    const struct passwd *user = getpwuid(uid);
    if (user)
        (void)snprintf(text, OWNER_SIZE, "%s", user->pw_name);
    else
        (void)snprintf(text, OWNER_SIZE, "%lu", (unsigned long)uid);
}

static void name_group(gid_t gid, char text[OWNER_SIZE]) {
    const struct group *group = getgrgid(gid);
    if (group)
        (void)snprintf(text, OWNER_SIZE, "%s", group->gr_name);
    else
        (void)snprintf(text, OWNER_SIZE, "%lu", (unsigned long)gid);
}

static void format_size(const struct stat *stat, char text[OUTPUT_BYTES_SIZE]) {
    if (S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode))
        (void)snprintf(text, OUTPUT_BYTES_SIZE, "%u, %u", major(stat->st_rdev), minor(stat->st_rdev));
    else
        (void)snprintf(text, OUTPUT_BYTES_SIZE, "%" PRIu64, (uint64_t)stat->st_size);
}

/* ---------------------------------------------------------------- forms */

static void print_name(const struct request *request, const char *name) {
    if (request->common->null)
        (void)fputs(name, stdout);
    else
        output_name(stdout, name);
}

static void end_line(const struct request *request) {
    (void)fputc(request->common->null ? 0 : '\n', stdout);
}

struct widths {
    int links, owner, group, size;
};

static void widen(int *width, size_t length) {
    if ((int)length > *width)
        *width = (int)length;
}

/* The texts of one line of -l. Owners repeat, so that the last one is kept. */
struct columns {
    char mode[11], links[24], owner[OWNER_SIZE], group[OWNER_SIZE], size[OUTPUT_BYTES_SIZE];
    bool filled;
    uid_t uid;
    gid_t gid;
};

static void columns_fill(struct columns *columns, const struct stat *stat) {
    format_mode(stat->st_mode, columns->mode);
    (void)snprintf(columns->links, sizeof columns->links, "%" PRIu64, (uint64_t)stat->st_nlink);
    if (!columns->filled || columns->uid != stat->st_uid)
        name_owner(stat->st_uid, columns->owner);
    if (!columns->filled || columns->gid != stat->st_gid)
        name_group(stat->st_gid, columns->group);
    columns->filled = true;
    columns->uid = stat->st_uid;
    columns->gid = stat->st_gid;
    format_size(stat, columns->size);
}

/* False: a symlink's target cannot be read, which was said. */
static bool print_long(struct instant *instant, const struct request *request, const struct items *items) {
    struct widths widths = {0};
    struct columns columns = {0};
    bool all = true;
    for (size_t i = 0; i < items->count; i++) {
        if (!items->items[i].readable)
            continue;
        columns_fill(&columns, &items->items[i].attr.stat);
        widen(&widths.links, strlen(columns.links));
        widen(&widths.owner, strlen(columns.owner));
        widen(&widths.group, strlen(columns.group));
        widen(&widths.size, strlen(columns.size));
    }
    for (size_t i = 0; i < items->count && !ferror(stdout); i++) {
        const struct item *item = &items->items[i];
        char time[OUTPUT_TIME_SIZE];
        if (!item->readable) {
            printf("%c????????? ", type_letter(item->type));
            print_name(request, item->name);
            end_line(request);
            continue;
        }
        columns_fill(&columns, &item->attr.stat);
        output_time(item->attr.stat.st_mtim, request->common->utc, time);
        printf("%s %*s %-*s %-*s %*s %s ", columns.mode, widths.links, columns.links, widths.owner, columns.owner,
               widths.group, columns.group, widths.size, columns.size, time);
        print_name(request, item->name);
        if (S_ISLNK(item->attr.stat.st_mode)) {
            char *target = instant_readlink(instant, item->name, &item->attr);
            all = target && all;
            if (target) {
                (void)fputs(" -> ", stdout);
                print_name(request, target);
            }
            free(target);
        }
        end_line(request);
    }
    return all;
}

static bool print_json(struct instant *instant, const struct items *items) {
    struct json json;
    bool all = true;
    json_init(&json, stdout);
    for (size_t i = 0; i < items->count && !ferror(stdout); i++) {
        const struct item *item = &items->items[i];
        const struct stat *stat = &item->attr.stat;
        json_begin_object(&json, NULL);
        json_string(&json, "name", item->name);
        json_string(&json, "type", patch_type_name(item->type));
        if (item->readable) {
            char mode[8], owner[OWNER_SIZE], group[OWNER_SIZE];
            (void)snprintf(mode, sizeof mode, "%04o", stat->st_mode & 07777U);
            name_owner(stat->st_uid, owner);
            name_group(stat->st_gid, group);
            json_string(&json, "mode", mode);
            json_number(&json, "links", stat->st_nlink);
            json_number(&json, "uid", stat->st_uid);
            json_string(&json, "owner", owner);
            json_number(&json, "gid", stat->st_gid);
            json_string(&json, "group", group);
            json_number(&json, "size", (uint64_t)stat->st_size);
            json_time(&json, "time", stat->st_mtim);
            json_number(&json, "object", item->attr.oid);
            if (S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode)) {
                json_number(&json, "major", major(stat->st_rdev));
                json_number(&json, "minor", minor(stat->st_rdev));
            }
        }
        if (item->readable && S_ISLNK(stat->st_mode)) {
            char *target = instant_readlink(instant, item->name, &item->attr);
            all = target && all;
            json_string(&json, "target", target);
            free(target);
        }
        json_end_object(&json);
    }
    return all;
}

static void print_names(const struct request *request, const struct items *items) {
    for (size_t i = 0; i < items->count && !ferror(stdout); i++) {
        print_name(request, items->items[i].name);
        end_line(request);
    }
}

/* ---------------------------------------------------------------- the command */

/* False: said what is wrong. */
static bool gather(struct instant *instant, const struct request *request, struct items *items) {
    const char *tree_path = instant->subject.location.path;
    const char *shown = request->path ? request->path : *tree_path ? tree_path : "/";
    struct view_attr attr;
    if (!instant_find(instant, tree_path, shown, &attr))
        return false;
    if (!S_ISDIR(attr.stat.st_mode) || request->itself) {
        if (!items_add(items, shown, strlen(shown), attr.stat.st_mode, &attr))
            output_error("out of memory");
        return !items->failed;
    }
    int rc = view_readdir(instant->view, attr.oid, 0, request->attributes, take_entry, items);
    if (items->failed)
        output_error("out of memory");
    else if (rc)
        output_error("%s: cannot be read: %s", shown, strerror(-rc));
    return rc == 0 && !items->failed;
}

static int list(struct instant *instant, const struct request *request) {
    struct items items = {0};
    bool all = gather(instant, request, &items);
    int status = EXIT_FAILED;
    if (all) {
        if (items.count > 1)
            qsort(items.items, items.count, sizeof *items.items, compare_names);
        pager_begin(!request->common->no_pager && !request->common->json && !request->common->null);
        if (request->common->json)
            all = print_json(instant, &items);
        else if (request->details)
            all = print_long(instant, request, &items);
        else
            print_names(request, &items);
        status = output_finish();
        if (instant->resolved.tid == 0)
            subject_say_before_first(&instant->subject, request->when, request->common->utc);
        for (size_t i = 0; i < items.count; i++)
            all = all && (items.items[i].readable || !request->attributes);
    }
    items_release(&items);
    return all ? status : EXIT_FAILED;
}

int cmd_ls(int argc, char **argv) {
    static const struct option options[] = {
        {"long", no_argument, NULL, 'l'},
        {"directory", no_argument, NULL, 'd'},
        ARGUMENTS_SUBJECT,
        ARGUMENTS_JSON,
        ARGUMENTS_NULL,
        ARGUMENTS_UTC,
        ARGUMENTS_PAGER,
        {0},
    };
    struct arguments arguments;
    struct request request = {.common = &arguments.common};
    int option;
    arguments_init(&arguments, argc, argv, "ld", options);
    while ((option = arguments_next(&arguments)) != ARGUMENTS_END) {
        switch (option) {
        case 'l':
            request.details = true;
            break;
        case 'd':
            request.itself = true;
            break;
        default:
            return arguments.status;
        }
    }
    if (arguments.operand_count < 1)
        return command_usage_error(argv[0], "when? A time, a tid or a tag is needed");
    if (arguments.operand_count > 2)
        return command_usage_error(argv[0], "more than one path");
    request.attributes = request.details || request.common->json;
    request.when = arguments.operands[0];
    request.path = arguments.operand_count > 1 ? arguments.operands[1] : NULL;

    /* A store, or a mount that is named, begins at its root; else one is somewhere already. */
    const struct subject_options *where = &request.common->where;
    const char *path = request.path ? request.path : where->store || where->mount ? "" : ".";
    struct instant instant;
    int status = EXIT_FAILED;
    if (instant_open(&instant, where, path, request.when, RESOLVE_AT, request.common->utc))
        status = list(&instant, &request);
    instant_release(&instant);
    return status;
}
