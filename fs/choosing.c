#include "fs/choosing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/change_output.h"
#include "fs/output.h"
#include "history/text.h"

#define CONTEXT_LINES 3
#define HUNKED_MAX    ((size_t)64 << 20) /* larger files are asked about as a whole */

/* ---------------------------------------------------------------- asking */

enum answer { ANSWER_YES, ANSWER_NO, ANSWER_ALL, ANSWER_NONE, ANSWER_QUIT };

struct asking {
    struct store *store;
    uint64_t base;
    struct chosen *chosen;
    bool quit;
};

static void print_help(bool hunk) {
    const char *what = hunk ? "this hunk" : "this";
    printf("y - put %s back\n"
           "n - leave %s as it is\n"
           "q - quit; leave %s and all that follows\n",
           what, what, what);
    if (hunk)
        printf("a - put this hunk back, and all later ones of the file\n"
               "d - leave this hunk, and all later ones of the file\n");
    printf("? - print help\n");
}

/* The end of the input means quit: nothing is done that nobody asked for. */
static enum answer ask(const char *question, bool hunk) {
    static const struct {
        char letter;
        enum answer answer;
    } letters[] = {{'y', ANSWER_YES}, {'n', ANSWER_NO}, {'a', ANSWER_ALL}, {'d', ANSWER_NONE}, {'q', ANSWER_QUIT}};
    for (;;) {
        char line[64];
        printf("%s [y,n,q,%s?]? ", question, hunk ? "a,d," : "");
        (void)fflush(stdout);
        if (!fgets(line, sizeof line, stdin)) {
            (void)putchar('\n');
            return ANSWER_QUIT;
        }
        for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
            bool known = hunk || (letters[i].letter != 'a' && letters[i].letter != 'd');
            if (known && line[0] == letters[i].letter && line[1] == '\n')
                return letters[i].answer;
        }
        print_help(hunk);
    }
}

/* ---------------------------------------------------------------- hunks */

/* What the file is to hold: made of the old lines, and for each hunk that was chosen of the new ones. */
struct building {
    const char *old, *old_end;
    uint64_t old_line; /* of `old`, from 1 */
    FILE *out;
};

static const char *line_end(const char *line, const char *end) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    return newline ? newline + 1 : end;
}

static void copy_until(struct building *b, uint64_t line) {
    while (b->old < b->old_end && b->old_line < line) {
        const char *next = line_end(b->old, b->old_end);
        (void)fwrite(b->old, 1, (size_t)(next - b->old), b->out);
        b->old = next;
        b->old_line++;
    }
}

static void skip_line(struct building *b) {
    b->old = line_end(b->old, b->old_end);
    b->old_line++;
}

/* The lines of a hunk after its "@@" line, to what the new file has. */
static void apply_hunk(struct building *b, const char *body, const char *end) {
    for (const char *line = body, *next; line < end; line = next) {
        next = line_end(line, end);
        bool unended = next < end && *next == '\\'; /* "\ No newline at end of file" */
        if (*line == ' ')
            copy_until(b, b->old_line + 1);
        else if (*line == '-')
            skip_line(b);
        else if (*line == '+')
            (void)fwrite(line + 1, 1, (size_t)(next - line) - 1 - (unended ? 1 : 0), b->out);
        if (unended)
            next = line_end(next, end);
    }
}

/* Where the old lines of a hunk begin, from its "@@ -12,3 +12,4 @@". With a count of 0 it is the line before. */
static uint64_t hunk_start(const char *hunk) {
    char *at;
    uint64_t start = strtoull(hunk + 4, &at, 10);
    return *at == ',' && strtoull(at + 1, NULL, 10) == 0 ? start + 1 : start;
}

/* Nothing of a file's that could move the cursor is printed as it is. */
static void print_hunk(const char *hunk, const char *end) {
    for (const char *line = hunk, *next; line < end; line = next) {
        next = line_end(line, end);
        while (line < next && *line != '\n') {
            size_t length = (size_t)(next - line), shown = 0;
            while (shown < length && line[shown] != '\n' && line[shown] != '\t')
                shown++;
            output_text(stdout, line, shown);
            line += shown;
            for (; line < next && *line == '\t'; line++)
                (void)putchar('\t');
        }
        (void)putchar('\n');
    }
}

/* Asks for each hunk. *taken of *count are to be put back; `out` gets the content. */
static void ask_hunks(struct asking *asking, const struct text_diff *diff, const struct text *old, FILE *out,
                      size_t *taken, size_t *count) {
    const char *end = diff->body + diff->length;
    struct building b = {
        .old = (const char *)old->data, .old_end = (const char *)old->data + old->length, .old_line = 1, .out = out};
    enum answer answer = ANSWER_NO;
    for (const char *hunk = diff->body, *next; hunk < end; hunk = next) {
        const char *body = line_end(hunk, end);
        for (next = body; next < end && *next != '@';)
            next = line_end(next, end);
        if (answer != ANSWER_ALL && answer != ANSWER_NONE && answer != ANSWER_QUIT) {
            print_hunk(hunk, next);
            answer = ask("Put this hunk back", true);
        }
        if (answer == ANSWER_YES || answer == ANSWER_ALL) {
            copy_until(&b, hunk_start(hunk));
            apply_hunk(&b, body, next);
            (*taken)++;
        }
        (*count)++;
    }
    copy_until(&b, UINT64_MAX);
    asking->quit |= answer == ANSWER_QUIT;
}

/* ---------------------------------------------------------------- contents */

/* As it is now, or of a step's source. */
static int read_content(struct store *store, uint64_t oid, uint64_t before, uint8_t **data, size_t *length) {
    struct inode_version *inode;
    *data = NULL;
    int rc = store_inode(store, oid, before, &inode);
    if (rc != STORE_OK)
        return rc == STORE_ABSENT ? STORE_CORRUPT : rc;
    *data = malloc((size_t)inode->record.size + 1);
    rc = *data ? store_read(store, inode, before, 0, (size_t)inode->record.size, *data, length) : STORE_NO_MEMORY;
    store_release(store, inode);
    return rc;
}

static int read_both(struct asking *asking, const struct restore_step *step, uint8_t **now, struct text *old,
                     uint8_t **then, struct text *new) {
    int rc = read_content(asking->store, step->change.old.oid, asking->base + 1, now, &old->length);
    if (rc == STORE_OK && step->source)
        rc = read_content(asking->store, step->source, step->source_before, then, &new->length);
    old->data = *now;
    new->data = step->source ? *then : step->data;
    if (!step->source)
        new->length = step->length;
    return rc;
}

/* ---------------------------------------------------------------- steps */

static const char *step_path(const struct restore_step *step) {
    return step->change.old_path ? step->change.old_path : step->change.new_path;
}

static struct restore_choice *add_choice(struct asking *asking, const struct restore_step *step) {
    struct restore_choice *choice = &asking->chosen->choices[asking->chosen->count];
    *choice = (struct restore_choice){.path = strdup(step_path(step)), .comes = !step->change.old_path};
    if (!choice->path)
        return NULL;
    asking->chosen->count++;
    return choice;
}

static int take_whole(struct asking *asking, const struct restore_step *step) {
    struct restore_choice *choice = add_choice(asking, step);
    if (!choice)
        return STORE_NO_MEMORY;
    choice->whole = true;
    return STORE_OK;
}

static int ask_whole(struct asking *asking, const struct restore_step *step) {
    static const struct {
        enum change_kind kind;
        const char *question;
    } questions[] = {{CHANGE_ADDED, "Bring it back"},
                     {CHANGE_DELETED, "Delete it"},
                     {CHANGE_RENAMED, "Rename it back"},
                     {CHANGE_MODIFIED, "Put it back"},
                     {CHANGE_TYPE, "Put back what was there"}};
    const char *question = "Put it back";
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        if (questions[i].kind == step->change.kind)
            question = questions[i].question;
    }
    enum answer answer = ask(question, false);
    asking->quit |= answer == ANSWER_QUIT;
    return answer == ANSWER_YES ? take_whole(asking, step) : STORE_OK;
}

/* Some of the hunks make content that never was; all or none of them are no different from asking about the whole. */
static int ask_by_hunks(struct asking *asking, const struct restore_step *step, const struct text_diff *diff,
                        const struct text *old) {
    size_t taken = 0, count = 0, length = 0;
    char *content = NULL;
    FILE *out = open_memstream(&content, &length);
    if (!out)
        return STORE_NO_MEMORY;
    ask_hunks(asking, diff, old, out, &taken, &count);
    int rc = ferror(out) ? STORE_NO_MEMORY : STORE_OK;
    if (fclose(out) != 0)
        rc = STORE_NO_MEMORY;
    if (rc == STORE_OK && taken > 0 && taken == count) {
        rc = take_whole(asking, step);
    } else if (rc == STORE_OK && taken > 0) {
        struct restore_choice *choice = add_choice(asking, step);
        rc = choice ? STORE_OK : STORE_NO_MEMORY;
        if (choice) {
            choice->data = (const uint8_t *)content;
            choice->length = length;
            content = NULL;
        }
    }
    free(content);
    return rc;
}

static int ask_step(struct asking *asking, const struct restore_step *step) {
    static const struct change_output output = {.formats = CHANGE_FORMAT_LIST};
    const struct change *change = &step->change;
    struct text old = {0}, new = {0};
    struct text_diff diff = {0};
    uint8_t *now = NULL, *then = NULL;
    struct error err = {0};
    int rc = STORE_OK;
    bool lines = change->kind == CHANGE_MODIFIED && (change->what & CHANGED_CONTENT) && S_ISREG(change->old.mode) &&
                 S_ISREG(change->new.mode) && change->old.size <= HUNKED_MAX && change->new.size <= HUNKED_MAX;
    if (lines)
        rc = read_both(asking, step, &now, &old, &then, &new);
    lines = lines && !text_is_binary(&old) && !text_is_binary(&new);
    if (rc == STORE_OK && lines)
        rc = text_diff(&old, &new, CONTEXT_LINES, true, &diff, &err);
    if (rc == STORE_OK) {
        struct change shown = *change;
        const struct change_list one = {.items = &shown, .count = 1};
        (void)change_output_print(&output, asking->store, &one, NULL);
        rc = lines && !diff.binary && diff.length > 0 ? ask_by_hunks(asking, step, &diff, &old)
                                                      : ask_whole(asking, step);
    }
    text_diff_release(&diff);
    free(now);
    free(then);
    return rc;
}

/* ---------------------------------------------------------------- all of them */

static bool is_below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return path && strncmp(path, directory, length) == 0 && path[length] == '/';
}

/* A directory that goes, perhaps for something else. */
static bool goes(const struct restore_step *step) {
    return (step->change.kind == CHANGE_DELETED || step->change.kind == CHANGE_TYPE) && S_ISDIR(step->change.old.mode);
}

static bool comes(const struct restore_step *step) {
    return (step->change.kind == CHANGE_ADDED || step->change.kind == CHANGE_TYPE) && S_ISDIR(step->change.new.mode);
}

/* Another name of a file that was asked about already, or something in a directory that is not to come. */
static bool is_settled(const struct restore_step *steps, size_t number, const bool *taken) {
    const struct change *change = &steps[number].change;
    bool modified = change->kind == CHANGE_MODIFIED && !change->replaced;
    for (size_t i = 0; i < number; i++) {
        const struct change *earlier = &steps[i].change;
        if (modified && earlier->kind == CHANGE_MODIFIED && !earlier->replaced && earlier->old.oid == change->old.oid)
            return true;
        if (!taken[i] && comes(&steps[i]) && is_below(change->new_path, earlier->new_path))
            return true;
    }
    return false;
}

/* Something in the directory was asked about and is to stay. */
static bool keeps_something(const struct restore_step *steps, size_t count, size_t number, const bool *taken) {
    for (size_t i = 0; i < count; i++) {
        if (!taken[i] && is_below(steps[i].change.old_path, steps[number].change.old_path))
            return true;
    }
    return false;
}

static int ask_one(struct asking *asking, const struct restore_step *step, bool *taken) {
    size_t before = asking->chosen->count;
    int rc = ask_step(asking, step);
    *taken = asking->chosen->count > before;
    return rc;
}

/* Directories that come are asked about before what is in them, those that go after it. */
static int ask_all(struct asking *asking, const struct restore_step *steps, size_t count, bool *taken) {
    int rc = STORE_OK;
    for (size_t i = 0; i < count && rc == STORE_OK && !asking->quit; i++) {
        if (!goes(&steps[i]) && !is_settled(steps, i, taken))
            rc = ask_one(asking, &steps[i], &taken[i]);
    }
    for (size_t i = count; i-- > 0 && rc == STORE_OK && !asking->quit;) {
        if (goes(&steps[i]) && !keeps_something(steps, count, i, taken))
            rc = ask_one(asking, &steps[i], &taken[i]);
    }
    return rc;
}

bool choose(struct store *store, uint64_t base, const struct restore_plan *plan, struct chosen *chosen) {
    size_t count;
    const struct restore_step *steps = restore_plan_steps(plan, &count);
    struct asking asking = {.store = store, .base = base, .chosen = chosen};
    *chosen = (struct chosen){.choices = calloc(count + 1, sizeof *chosen->choices)};
    bool *taken = calloc(count + 1, sizeof *taken);
    int rc = chosen->choices && taken ? ask_all(&asking, steps, count, taken) : STORE_NO_MEMORY;
    free(taken);
    if (rc == STORE_OK)
        return true;
    output_error("cannot compare what is there with what was: %s", store_error_text(rc));
    return false;
}

void chosen_release(struct chosen *chosen) {
    for (size_t i = 0; i < chosen->count; i++) {
        free((void *)chosen->choices[i].path);
        free((void *)chosen->choices[i].data);
    }
    free(chosen->choices);
    *chosen = (struct chosen){0};
}
