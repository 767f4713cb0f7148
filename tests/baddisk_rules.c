#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/baddisk.h"

#define RULES_MAX 32
#define GLOB_SIZE 64

static const char *const op_names[BADDISK_OPS] = {"read",      "write",  "fsync",  "open",  "create", "truncate",
                                                  "fallocate", "rename", "unlink", "mkdir", "statfs", "access"};

static const struct {
    const char *name;
    int number;
} errors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
              {"ENOMEM", ENOMEM}, {"EACCES", EACCES}, {"EINTR", EINTR},   {"short", 0}};

struct rule {
    unsigned ops; /* bits */
    char glob[GLOB_SIZE];
    int error; /* 0: no more than `most` bytes at a time */
    size_t most;
    uint64_t from, to; /* bytes [from, to) of the file; others go well */
    uint64_t skip;     /* so many more go well first */
    uint64_t times;    /* so many more fail; UINT64_MAX: all */
};

struct rules {
    pthread_mutex_t mutex; /* all below */
    struct rule rules[RULES_MAX];
    size_t count;
    bool limited, told, track;
    int full_error;
    uint64_t left;
    uint64_t counts[BADDISK_OPS], failed;
};

struct rules *rules_new(void) {
    struct rules *rules = calloc(1, sizeof *rules);
    if (rules && pthread_mutex_init(&rules->mutex, NULL) != 0) {
        free(rules);
        return NULL;
    }
    return rules;
}

void rules_free(struct rules *rules) {
    if (!rules)
        return;
    (void)pthread_mutex_destroy(&rules->mutex);
    free(rules);
}

static int error_number(const char *name) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].number;
    return -1;
}

static bool parse_number(const char *text, uint64_t *number) {
    char *end;
    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *number = value;
    return errno == 0 && *end == '\0';
}

/* "read,write" or "all". */
static bool parse_ops(char *text, unsigned *ops) {
    char *rest = NULL;
    *ops = strcmp(text, "all") == 0 ? (1U << BADDISK_OPS) - 1 : 0;
    if (*ops)
        return true;
    for (const char *name = strtok_r(text, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        unsigned op = 0;
        while (op < BADDISK_OPS && strcmp(op_names[op], name) != 0)
            op++;
        if (op == BADDISK_OPS)
            return false;
        *ops |= 1U << op;
    }
    return *ops != 0;
}

/* "OPS GLOB ERROR [range FROM TO] [after N] [times N]", or with "short MOST" for ERROR. */
static bool parse_rule(char *rest, struct rule *rule) {
    *rule = (struct rule){.to = UINT64_MAX, .times = UINT64_MAX};
    char *ops = strtok_r(NULL, " ", &rest);
    const char *glob = strtok_r(NULL, " ", &rest), *error = strtok_r(NULL, " ", &rest);
    if (!ops || !glob || !error || !parse_ops(ops, &rule->ops) || strlen(glob) >= sizeof rule->glob)
        return false;
    strcpy(rule->glob, glob);
    rule->error = error_number(error);
    if (rule->error < 0)
        return false;
    if (rule->error == 0) {
        uint64_t most;
        if (!parse_number(strtok_r(NULL, " ", &rest), &most) || most == 0)
            return false;
        rule->most = most;
    }
    for (const char *word = strtok_r(NULL, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        const char *value = strtok_r(NULL, " ", &rest);
        bool right = strcmp(word, "range") == 0
                         ? parse_number(value, &rule->from) && parse_number(strtok_r(NULL, " ", &rest), &rule->to)
                     : strcmp(word, "after") == 0 ? parse_number(value, &rule->skip)
                     : strcmp(word, "times") == 0 ? parse_number(value, &rule->times)
                                                  : false;
        if (!right)
            return false;
    }
    return true;
}

static int obey_space(struct rules *rules, char *rest) {
    const char *bytes = strtok_r(NULL, " ", &rest), *error = strtok_r(NULL, " ", &rest);
    const char *hidden = strtok_r(NULL, " ", &rest);
    uint64_t left;
    if (bytes && strcmp(bytes, "off") == 0) {
        rules->limited = false;
        return 0;
    }
    int number = error ? error_number(error) : ENOSPC;
    if (!parse_number(bytes, &left) || number <= 0 || (hidden && strcmp(hidden, "hidden") != 0))
        return -EINVAL;
    rules->limited = true;
    rules->left = left;
    rules->full_error = number;
    rules->told = !hidden;
    return 0;
}

static int obey(struct rules *rules, char *line) {
    char *rest = NULL;
    const char *verb = strtok_r(line, " ", &rest);
    if (!verb)
        return 0;
    if (strcmp(verb, "clear") == 0) {
        rules->count = 0;
        rules->limited = false;
        return 0;
    }
    if (strcmp(verb, "track") == 0) {
        rules->track = true;
        return 0;
    }
    if (strcmp(verb, "count") == 0) {
        memset(rules->counts, 0, sizeof rules->counts);
        rules->failed = 0;
        return 0;
    }
    if (strcmp(verb, "left") == 0)
        return obey_space(rules, rest);
    struct rule rule;
    if (strcmp(verb, "fail") != 0 || rules->count == RULES_MAX || !parse_rule(rest, &rule))
        return -EINVAL;
    rules->rules[rules->count++] = rule;
    return 0;
}

int rules_obey(struct rules *rules, const char *line) {
    char *copy = strdup(line);
    if (!copy)
        return -ENOMEM;
    (void)pthread_mutex_lock(&rules->mutex);
    int rc = obey(rules, copy);
    (void)pthread_mutex_unlock(&rules->mutex);
    free(copy);
    return rc;
}

int rules_decide(struct rules *rules, enum baddisk_op op, const char *name, uint64_t offset, size_t *size) {
    int rc = 0;
    (void)pthread_mutex_lock(&rules->mutex);
    rules->counts[op]++;
    for (size_t i = 0; i < rules->count && rc == 0; i++) {
        struct rule *rule = &rules->rules[i];
        bool ranged = size && op != BADDISK_TRUNCATE;
        if (!(rule->ops & 1U << op) || fnmatch(rule->glob, name, 0) != 0 || rule->times == 0 ||
            (ranged && (offset >= rule->to || offset + *size <= rule->from)))
            continue;
        if (rule->skip > 0) {
            rule->skip--;
            continue;
        }
        rule->times -= rule->times != UINT64_MAX;
        rules->failed++;
        if (rule->error)
            rc = -rule->error;
        else if (size && *size > rule->most)
            *size = rule->most;
    }
    (void)pthread_mutex_unlock(&rules->mutex);
    return rc;
}

int64_t rules_take_space(struct rules *rules, uint64_t bytes) {
    int64_t got = (int64_t)bytes;
    (void)pthread_mutex_lock(&rules->mutex);
    if (rules->limited && bytes > 0) {
        uint64_t left = rules->left / BADDISK_PAGE * BADDISK_PAGE;
        got = bytes <= rules->left ? (int64_t)bytes : left > 0 ? (int64_t)left : -rules->full_error;
        if (got > 0)
            rules->left -= (uint64_t)got;
        else
            rules->failed++;
    }
    (void)pthread_mutex_unlock(&rules->mutex);
    return got;
}

void rules_give_space(struct rules *rules, uint64_t bytes) {
    (void)pthread_mutex_lock(&rules->mutex);
    if (rules->limited)
        rules->left += bytes;
    (void)pthread_mutex_unlock(&rules->mutex);
}

bool rules_space(struct rules *rules, uint64_t *left) {
    (void)pthread_mutex_lock(&rules->mutex);
    bool told = rules->limited && rules->told;
    *left = rules->left;
    (void)pthread_mutex_unlock(&rules->mutex);
    return told;
}

bool rules_track(struct rules *rules) {
    (void)pthread_mutex_lock(&rules->mutex);
    bool track = rules->track;
    (void)pthread_mutex_unlock(&rules->mutex);
    return track;
}

void rules_report(struct rules *rules, FILE *out) {
    (void)pthread_mutex_lock(&rules->mutex);
    for (size_t op = 0; op < BADDISK_OPS; op++)
        (void)fprintf(out, "%s %llu\n", op_names[op], (unsigned long long)rules->counts[op]);
    (void)fprintf(out, "failed %llu\n", (unsigned long long)rules->failed);
    (void)pthread_mutex_unlock(&rules->mutex);
}
