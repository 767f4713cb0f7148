/* The options of a mount: one table of all names, and two readers, of lists and of files, that share it. See fs/config.h. */
#include "fs/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/suggest.h"
#include "fs/units.h"
#include "history/when.h"

#define DEFAULT_COMMIT_INTERVAL_NS NS_PER_SECOND
#define DEFAULT_DIRTY_LIMIT_BYTES  (UINT64_C(64) << 20)
#define DEFAULT_CACHE_BYTES        (UINT64_C(64) << 20)
#define DEFAULT_POOL_SIZE          16
#define DEFAULT_POOL_TIMEOUT_NS    (300 * NS_PER_SECOND)
#define POOL_CACHE_UNSET           UINT64_MAX

#define YEAR_NS (NS_PER_SECOND * 86400 * 365)

enum option_type {
    OPTION_FLAG,     /* sets a bool to `most` */
    OPTION_ACCESS,   /* ro and rw */
    OPTION_TEXT,     /* a string */
    OPTION_HISTORY,  /* owner or all */
    OPTION_DURATION, /* a uint64_t in least..most nanoseconds */
    OPTION_SIZE,     /* a uint64_t in least..most bytes */
    OPTION_COUNT,    /* a uint64_t in least..most */
    OPTION_KERNEL,   /* sets kernel[most] to the name */
    OPTION_IGNORED,  /* without a value, or with any */
};

struct option {
    const char *name;
    size_t offset; /* of its field in struct mount_options */
    uint64_t least, most;
    const char *range; /* least..most, for people */
    enum option_type type;
    bool one_mount; /* belongs to -o alone */
};

#define FIELD(name) offsetof(struct mount_options, name)

static const struct option option_table[] = {
    {.name = "ro", .type = OPTION_ACCESS},
    {.name = "rw", .type = OPTION_ACCESS},
    {.name = "at", .type = OPTION_TEXT, .offset = FIELD(at), .one_mount = true},
    {.name = "follow", .type = OPTION_FLAG, .offset = FIELD(follow), .most = true, .one_mount = true},
    {.name = "subdir", .type = OPTION_TEXT, .offset = FIELD(subdir), .one_mount = true},
    {.name = "allow_other", .type = OPTION_FLAG, .offset = FIELD(allow_other), .most = true},
    {.name = "no_allow_other", .type = OPTION_FLAG, .offset = FIELD(allow_other), .most = false},
    {.name = "history", .type = OPTION_HISTORY, .offset = FIELD(history)},
    {.name = "writeback_cache", .type = OPTION_FLAG, .offset = FIELD(writeback_cache), .most = true},
    {.name = "no_writeback_cache", .type = OPTION_FLAG, .offset = FIELD(writeback_cache), .most = false},
    {.name = "ro_views", .type = OPTION_FLAG, .offset = FIELD(ro_views), .most = true},
    {.name = "no_ro_views", .type = OPTION_FLAG, .offset = FIELD(ro_views), .most = false},
    {"commit-interval", FIELD(commit_interval_ns), NS_PER_MS, YEAR_NS, "1ms to 365d", OPTION_DURATION, false},
    {"dirty-limit", FIELD(dirty_limit_bytes), 1, INT64_MAX, "1 byte to 8388607T", OPTION_SIZE, false},
    {"cache-size", FIELD(cache_bytes), 1, INT64_MAX, "1 byte to 8388607T", OPTION_SIZE, false},
    {"historical-pool-size", FIELD(pool_size), 0, 1000000, "0 to 1000000", OPTION_COUNT, false},
    {"historical-timeout", FIELD(pool_timeout_ns), 0, YEAR_NS, "0 to 365d", OPTION_DURATION, false},
    {"historical-cache-size", FIELD(pool_cache_bytes), 1, INT64_MAX, "1 byte to 8388607T", OPTION_SIZE, false},

    {.name = "suid", .type = OPTION_KERNEL, .most = KERNEL_SUID},
    {.name = "nosuid", .type = OPTION_KERNEL, .most = KERNEL_SUID},
    {.name = "dev", .type = OPTION_KERNEL, .most = KERNEL_DEV},
    {.name = "nodev", .type = OPTION_KERNEL, .most = KERNEL_DEV},
    {.name = "exec", .type = OPTION_KERNEL, .most = KERNEL_EXEC},
    {.name = "noexec", .type = OPTION_KERNEL, .most = KERNEL_EXEC},
    {.name = "sync", .type = OPTION_KERNEL, .most = KERNEL_SYNC},
    {.name = "async", .type = OPTION_KERNEL, .most = KERNEL_SYNC},
    {.name = "dirsync", .type = OPTION_KERNEL, .most = KERNEL_DIRSYNC},
    {.name = "atime", .type = OPTION_KERNEL, .most = KERNEL_ATIME},
    {.name = "noatime", .type = OPTION_KERNEL, .most = KERNEL_ATIME},

    /* Always on. */
    {.name = "default_permissions", .type = OPTION_IGNORED},
    /* The kernel keeps no access times of its own for FUSE, so these choose nothing; libfuse does not know them. */
    {.name = "diratime", .type = OPTION_IGNORED},
    {.name = "nodiratime", .type = OPTION_IGNORED},
    {.name = "relatime", .type = OPTION_IGNORED},
    {.name = "norelatime", .type = OPTION_IGNORED},
    {.name = "strictatime", .type = OPTION_IGNORED},
    {.name = "nostrictatime", .type = OPTION_IGNORED},
    {.name = "lazytime", .type = OPTION_IGNORED},
    {.name = "nolazytime", .type = OPTION_IGNORED},
    /* For mount(8), fstab and those who read it. x-* and X-* are too, and are seen to by option_find. */
    {.name = "defaults", .type = OPTION_IGNORED},
    {.name = "auto", .type = OPTION_IGNORED},
    {.name = "noauto", .type = OPTION_IGNORED},
    {.name = "nofail", .type = OPTION_IGNORED},
    {.name = "user", .type = OPTION_IGNORED},
    {.name = "nouser", .type = OPTION_IGNORED},
    {.name = "users", .type = OPTION_IGNORED},
    {.name = "nousers", .type = OPTION_IGNORED},
    {.name = "owner", .type = OPTION_IGNORED},
    {.name = "noowner", .type = OPTION_IGNORED},
    {.name = "group", .type = OPTION_IGNORED},
    {.name = "nogroup", .type = OPTION_IGNORED},
    {.name = "comment", .type = OPTION_IGNORED},
    {.name = "_netdev", .type = OPTION_IGNORED},
};
#define OPTION_COUNT_ALL (sizeof option_table / sizeof *option_table)

/* The place that an option stands in, for errors and for what depends on it. */
struct place {
    const char *file; /* NULL: -o */
    unsigned long line;
    enum mount_options_source source; /* of -o */
};

__attribute__((format(printf, 4, 5))) static int fail(const struct place *place, struct error *err,
                                                      enum store_error code, const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); /* cut, if need be */
    va_end(arguments);
    if (place->file)
        return error_set(err, code, "%s:%lu: %s", place->file, place->line, text);
    return error_set(err, code, "-o: %s", text);
}

void mount_options_init(struct mount_options *options) {
    *options = (struct mount_options){
        .history = HISTORY_OWNER,
        .commit_interval_ns = DEFAULT_COMMIT_INTERVAL_NS,
        .dirty_limit_bytes = DEFAULT_DIRTY_LIMIT_BYTES,
        .cache_bytes = DEFAULT_CACHE_BYTES,
        .pool_size = DEFAULT_POOL_SIZE,
        .pool_timeout_ns = DEFAULT_POOL_TIMEOUT_NS,
        .pool_cache_bytes = POOL_CACHE_UNSET,
    };
}

void mount_options_release(struct mount_options *options) {
    free(options->at);
    free(options->subdir);
    mount_options_init(options);
}

/* ---- one option ---- */

/* NULL if the name is not known. */
static const struct option *option_find(const char *name) {
    static const struct option for_others = {.name = "x-*", .type = OPTION_IGNORED};
    if (strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0)
        return &for_others;
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        if (strcmp(option_table[i].name, name) == 0)
            return &option_table[i];
    }
    return NULL;
}

static int fail_unknown(const struct place *place, const char *name, struct error *err) {
    if (strcmp(name, "remount") == 0) {
        return fail(
            place, err, STORE_INVALID,
            "a mount keeps its options as long as it lasts, so there is no remount: unmount it, then mount it with "
            "those that it is to have");
    }
    const char *nearest = NULL;
    size_t distance = SIZE_MAX;
    for (size_t i = 0; i < OPTION_COUNT_ALL; i++) {
        size_t candidate = suggest_distance(name, option_table[i].name);
        if (candidate < distance) {
            distance = candidate;
            nearest = option_table[i].name;
        }
    }
    if (nearest)
        return fail(place, err, STORE_INVALID, "unknown option \"%.64s\": did you mean %s?", name, nearest);
    if (strpbrk(name, " \t"))
        return fail(place, err, STORE_INVALID, "\"%.64s\" is no option: a line is `name = value` or a name", name);
    return fail(place, err, STORE_INVALID, "unknown option \"%.64s\": tidfs mount --help lists them", name);
}

static bool option_has_value(const struct option *option) {
    switch (option->type) {
    case OPTION_TEXT:
    case OPTION_HISTORY:
    case OPTION_DURATION:
    case OPTION_SIZE:
    case OPTION_COUNT:
        return true;
    default:
        return false;
    }
}

static const char *example_of(const struct option *option) {
    switch (option->type) {
    case OPTION_HISTORY:
        return "owner or all";
    case OPTION_DURATION:
        return "a whole number with ms, s, m, h or d, such as 500ms or 6m; without one it is seconds";
    case OPTION_SIZE:
        return "a whole number of bytes, or with k, M, G or T, such as 64M";
    case OPTION_COUNT:
        return "a whole number";
    default:
        return strcmp(option->name, "at") == 0 ? "a time, such as 2026-11-22T10:30 or a tag" : "a path";
    }
}

static int set_number(struct mount_options *options, const struct option *option, const char *value,
                      const struct place *place, struct error *err) {
    uint64_t number = 0;
    int rc;
    if (option->type == OPTION_DURATION)
        rc = duration_parse(value, &number);
    else if (option->type == OPTION_SIZE)
        rc = size_parse(value, &number);
    else
        rc = count_parse(value, &number);
    if (rc == STORE_INVALID) {
        return fail(place, err, STORE_INVALID, "%s is %s, not \"%.64s\"", option->name, example_of(option), value);
    }
    if (rc == STORE_TOO_BIG || number < option->least || number > option->most) {
        return fail(place, err, rc == STORE_TOO_BIG ? STORE_TOO_BIG : STORE_INVALID, "%s is %s, not \"%.64s\"",
                    option->name, option->range, value);
    }
    *(uint64_t *)((char *)options + option->offset) = number;
    return STORE_OK;
}

static int set_text(struct mount_options *options, const struct option *option, const char *value,
                    const struct place *place, struct error *err) {
    char *copy = strdup(value);
    if (!copy)
        return fail(place, err, STORE_NO_MEMORY, "out of memory");
    char **field = (char **)((char *)options + option->offset);
    free(*field);
    *field = copy;
    return STORE_OK;
}

static int set_history(struct mount_options *options, const struct option *option, const char *value,
                       const struct place *place, struct error *err) {
    if (strcmp(value, "owner") == 0)
        options->history = HISTORY_OWNER;
    else if (strcmp(value, "all") == 0)
        options->history = HISTORY_ALL;
    else
        return fail(place, err, STORE_INVALID, "history is %s, not \"%.64s\"", example_of(option), value);
    return STORE_OK;
}

static void set_access(struct mount_options *options, const struct option *option, const struct place *place) {
    options->read_only = strcmp(option->name, "ro") == 0;
    options->read_write = !options->read_only && !place->file && place->source == SOURCE_COMMAND_LINE;
}

/* value NULL: none was given. */
static int set_option(struct mount_options *options, const char *name, const char *value, const struct place *place,
                      struct error *err) {
    const struct option *option = option_find(name);
    if (!option)
        return fail_unknown(place, name, err);
    if (option->one_mount && place->file)
        return fail(place, err, STORE_INVALID, "%s belongs to one mount: give it there, with -o", name);
    if (option_has_value(option) && (!value || *value == '\0'))
        return fail(place, err, STORE_INVALID, "%s needs a value: %s", name, example_of(option));
    if (value && !option_has_value(option) && option->type != OPTION_IGNORED)
        return fail(place, err, STORE_INVALID, "%s takes no value", name);

    switch (option->type) {
    case OPTION_FLAG:
        *(bool *)((char *)options + option->offset) = option->most;
        return STORE_OK;
    case OPTION_ACCESS:
        set_access(options, option, place);
        return STORE_OK;
    case OPTION_TEXT:
        return set_text(options, option, value, place, err);
    case OPTION_HISTORY:
        return set_history(options, option, value, place, err);
    case OPTION_DURATION:
    case OPTION_SIZE:
    case OPTION_COUNT:
        return set_number(options, option, value, place, err);
    case OPTION_KERNEL:
        options->kernel[option->most] = option->name;
        return STORE_OK;
    case OPTION_IGNORED:
        break;
    }
    return STORE_OK;
}

/* ---- lists ---- */

/* Moves the next item of a list to `item`, without its escapes. Returns what follows it, or NULL after the last. */
static const char *next_item(const char *list, char *item) {
    for (; *list != '\0' && *list != ','; list++) {
        if (*list == '\\' && (list[1] == ',' || list[1] == '\\'))
            list++;
        *item++ = *list;
    }
    *item = '\0';
    return *list == ',' ? list + 1 : NULL;
}

int mount_options_parse(struct mount_options *options, const char *list, enum mount_options_source source,
                        struct error *err) {
    const struct place place = {.source = source};
    char *item = malloc(strlen(list) + 1);
    if (!item)
        return fail(&place, err, STORE_NO_MEMORY, "out of memory");
    int rc = STORE_OK;
    while (list && rc == STORE_OK) {
        list = next_item(list, item);
        if (*item == '\0')
            continue;
        char *value = strchr(item, '=');
        if (value)
            *value++ = '\0';
        rc = set_option(options, item, value, &place, err);
    }
    free(item);
    return rc;
}

/* ---- files ---- */

/* Cuts white space off both ends. */
static char *trim(char *text) {
    while (isspace((unsigned char)*text))
        text++;
    size_t length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    text[length] = '\0';
    return text;
}

static void cut_comment(char *line) {
    for (char *c = line; *c != '\0'; c++) {
        if (*c == '#' && (c == line || isspace((unsigned char)c[-1]))) {
            *c = '\0';
            return;
        }
    }
}

static int apply_line(struct mount_options *options, char *line, const struct place *place, struct error *err) {
    cut_comment(line);
    char *name = trim(line);
    if (*name == '\0')
        return STORE_OK;
    char *value = strchr(name, '=');
    if (value) {
        *value++ = '\0';
        name = trim(name);
        value = trim(value);
    }
    if (*name == '\0')
        return fail(place, err, STORE_INVALID, "an option's name is missing before =");
    return set_option(options, name, value, place, err);
}

/* What masks a file, by a link to it: an empty one. */
static bool is_null_device(const struct stat *status) {
    return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

/* A fifo would be waited for, maybe for ever, and a device may do anything. */
static int open_file(const char *path, FILE **file, struct error *err) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return STORE_ABSENT;
    if (fd >= 0 && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode) && !is_null_device(&status)) {
        (void)close(fd);
        return error_set(err, STORE_INVALID, "%s is no regular file, as a configuration has to be", path);
    }
    *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (*file)
        return STORE_OK;
    int saved_errno = errno;
    if (fd >= 0)
        (void)close(fd);
    return error_set(err, STORE_IO, "cannot open %s: %s", path, strerror(saved_errno));
}

int mount_options_read_file(struct mount_options *options, const char *path, struct error *err) {
    FILE *file;
    int opened = open_file(path, &file, err);
    if (opened != STORE_OK)
        return opened;
    struct place place = {.file = path};
    char *line = NULL;
    size_t capacity = 0;
    int rc = STORE_OK;
    while (rc == STORE_OK) {
        errno = 0;
        ssize_t length = getline(&line, &capacity, file);
        if (length < 0) {
            if (!feof(file))
                rc = error_set(err, STORE_IO, "cannot read %s: %s", path, strerror(errno));
            break;
        }
        place.line++;
        if (strlen(line) != (size_t)length)
            rc = fail(&place, err, STORE_INVALID, "the line has a NUL byte: this is no configuration file");
        else
            rc = apply_line(options, line, &place, err);
    }
    free(line);
    (void)fclose(file); /* only read */
    return rc;
}

int mount_options_read_files(struct mount_options *options, const char *system_file, const char *xdg_config_home,
                             const char *home, struct error *err) {
    int rc = mount_options_read_file(options, system_file, err);
    if (rc < 0)
        return rc;
    char *path = NULL;
    int length = 0;
    if (xdg_config_home && *xdg_config_home == '/')
        length = asprintf(&path, "%s/tidfs/tidfs.conf", xdg_config_home);
    else if (home && *home == '/')
        length = asprintf(&path, "%s/.config/tidfs/tidfs.conf", home);
    else
        return STORE_OK;
    if (length < 0)
        return error_set(err, STORE_NO_MEMORY, "out of memory");
    rc = mount_options_read_file(options, path, err);
    free(path);
    return rc < 0 ? rc : STORE_OK;
}

/* ---- all of them together ---- */

static bool path_has_parent(const char *path) {
    while (*path != '\0') {
        size_t length = strcspn(path, "/");
        if (length == 2 && memcmp(path, "..", 2) == 0)
            return true;
        path += length;
        path += strspn(path, "/");
    }
    return false;
}

int mount_options_check(const struct mount_options *options, struct timespec now, struct error *err) {
    if (options->subdir && path_has_parent(options->subdir))
        return error_set(err, STORE_INVALID, "subdir=%.128s: a path below the root has no ..", options->subdir);
    if (!options->at) {
        if (options->follow)
            return error_set(err, STORE_INVALID, "follow goes with a tag to follow: -o at=TAG,follow");
        return STORE_OK;
    }
    if (options->read_write)
        return error_set(err, STORE_INVALID, "at=%.128s is a view of the past, which is read-only: leave out rw",
                         options->at);
    struct when when;
    int rc = when_parse(options->at, strlen(options->at), now, &when, err);
    if (rc < 0)
        return rc;
    if (options->follow && when.kind != WHEN_TAG)
        return error_set(err, STORE_INVALID, "follow goes with a tag, and at=%.128s is none", options->at);
    return STORE_OK;
}

bool mount_options_read_only(const struct mount_options *options) {
    return options->read_only || options->at;
}

uint64_t mount_options_pool_cache_bytes(const struct mount_options *options) {
    if (options->pool_cache_bytes == POOL_CACHE_UNSET)
        return options->cache_bytes / 2;
    return options->pool_cache_bytes < options->cache_bytes ? options->pool_cache_bytes : options->cache_bytes;
}

void mount_options_kernel_text(const struct mount_options *options, char text[KERNEL_TEXT_SIZE]) {
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < KERNEL_GROUP_COUNT; i++) {
        if (!options->kernel[i])
            continue;
        int added =
            snprintf(text + length, KERNEL_TEXT_SIZE - length, "%s%s", length > 0 ? "," : "", options->kernel[i]);
        length += (size_t)added;
    }
}
