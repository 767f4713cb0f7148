/* Fuzzes differences, merges and the names in patches. The first byte of an input says what the rest is; in what is two or three texts, a zero byte
 * that is not followed by another one separates them.
 *     d  two texts, after a byte for the lines of context: the difference, put on the old one, gives the new one
 *     m  three texts, of which the first is the base: what only one side changed is merged as that has it
 *     n  two names: a patch that is written with them can be read
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/patch.h"
#include "history/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, not to be compiled away. */
static void require(bool holds, const char *what) {
    if (holds)
        return;
    (void)fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

struct bytes {
    uint8_t *data; /* malloc'ed */
    size_t length;
};

static void add(struct bytes *bytes, const uint8_t *data, size_t length) {
    uint8_t *more = realloc(bytes->data, bytes->length + length + 1);
    require(more != NULL, "there is memory");
    if (length > 0)
        memcpy(more + bytes->length, data, length);
    bytes->data = more;
    bytes->length += length;
    more[bytes->length] = '\0';
}

/* Up to a zero byte alone, which is taken away; of two, one is meant. */
static struct bytes take_part(const uint8_t **data, size_t *size) {
    struct bytes part = {0};
    add(&part, NULL, 0);
    while (*size > 0) {
        bool zero = **data == 0, twice = zero && *size > 1 && (*data)[1] == 0;
        if (!zero || twice)
            add(&part, *data, 1);
        *data += 1 + twice;
        *size -= 1 + (size_t)twice;
        if (zero && !twice)
            break;
    }
    return part;
}

static struct text text_of(const struct bytes *bytes) {
    return (struct text){bytes->data, bytes->length};
}

static bool same(const struct bytes *one, const struct bytes *other) {
    return one->length == other->length && memcmp(one->data, other->data, one->length) == 0;
}

/* ---- differences ---- */

/* The length of the line at `at`, with its end. */
static size_t line_length(const uint8_t *at, size_t left) {
    const uint8_t *end = left > 0 ? memchr(at, '\n', left) : NULL;
    return end ? (size_t)(end - at) + 1 : left;
}

struct patching {
    const struct bytes *old;
    size_t at; /* in it */
    struct bytes new;
    uint64_t added, removed;
};

static void copy_lines(struct patching *patching, uint64_t count) {
    for (; count > 0; count--) {
        size_t length = line_length(patching->old->data + patching->at, patching->old->length - patching->at);
        require(length > 0, "the lines before a hunk are there");
        add(&patching->new, patching->old->data + patching->at, length);
        patching->at += length;
    }
}

/* "@@ -FROM[,COUNT] +FROM[,COUNT] @@": goes to where it begins. */
static void begin_hunk(struct patching *patching, const char *line, uint64_t *lines_before) {
    uint64_t from = 0, count = 1;
    char *end = NULL;
    require(strncmp(line, "@@ -", 4) == 0, "a hunk begins with its place");
    from = strtoull(line + 4, &end, 10);
    if (*end == ',')
        count = strtoull(end + 1, &end, 10);
    require(strncmp(end, " +", 2) == 0, "and has another one");
    uint64_t before = count == 0 ? from : from - 1; /* lines of the old text */
    require(before >= *lines_before, "hunks are in order");
    copy_lines(patching, before - *lines_before);
    *lines_before = before + count;
}

/* A line of a hunk, without its sign; `ends`: it has an end of line of its own. */
static void apply_line(struct patching *patching, char sign, const uint8_t *line, size_t length, bool ends) {
    size_t shown = ends ? length : length - 1;
    if (sign != '+') {
        require(patching->old->length - patching->at >= shown &&
                    memcmp(patching->old->data + patching->at, line, shown) == 0,
                "the old text has the lines that are to go or stay");
        patching->at += shown;
    }
    if (sign != '-')
        add(&patching->new, line, shown);
    patching->added += sign == '+';
    patching->removed += sign == '-';
}

static void apply(struct patching *patching, const struct text_diff *diff) {
    static const char no_end[] = "\\ No newline at end of file\n";
    const uint8_t *at = (const uint8_t *)diff->body;
    size_t left = diff->length;
    uint64_t lines = 0;
    while (left > 0) {
        size_t length = line_length(at, left), next = line_length(at + length, left - length);
        bool ends = next != strlen(no_end) || memcmp(at + length, no_end, next) != 0;
        require(at[length - 1] == '\n', "a line of a patch ends");
        if (*at == '@')
            begin_hunk(patching, (const char *)at, &lines);
        else if (*at == ' ' || *at == '+' || *at == '-')
            apply_line(patching, (char)*at, at + 1, length - 1, ends);
        else
            require(false, "a line of a patch has a sign");
        length += ends ? 0 : next;
        at += length;
        left -= length;
    }
    add(&patching->new, patching->old->data + patching->at, patching->old->length - patching->at);
}

static void check_diff(const struct bytes *old, const struct bytes *new, unsigned context) {
    struct text old_text = text_of(old), new_text = text_of(new);
    struct text_diff diff, counts;
    struct error err = {0};
    struct patching patching = {.old = old};
    require(text_diff(&old_text, &new_text, context, true, &diff, &err) == STORE_OK, "texts can be compared");
    require(text_diff(&old_text, &new_text, context, false, &counts, &err) == STORE_OK, "and counted");
    require(counts.added == diff.added && counts.removed == diff.removed && counts.similarity == diff.similarity &&
                counts.binary == diff.binary && counts.body == NULL,
            "what is counted is what differs");
    require((diff.similarity == 100) == same(old, new) && diff.similarity <= 100, "only equal texts are wholly so");
    require(strlen(diff.body) <= diff.length, "a difference has a length");
    require((diff.length == 0) == same(old, new), "only equal texts have no difference");
    require(diff.binary == (text_is_binary(&old_text) || text_is_binary(&new_text)), "either text makes it binary");
    if (diff.binary) {
        require(diff.length == 0 || strncmp(diff.body, "GIT binary patch\n", 17) == 0, "a binary patch is git's");
    } else {
        apply(&patching, &diff);
        require(same(&patching.new, new), "the difference leads from the one to the other");
        require(patching.added == diff.added && patching.removed == diff.removed, "its lines are counted");
    }
    free(patching.new.data);
    text_diff_release(&diff);
    text_diff_release(&counts);
}

static void fuzz_diff(const uint8_t *data, size_t size) {
    if (size == 0)
        return;
    unsigned context = *data++ % 8;
    size--;
    struct bytes old = take_part(&data, &size), new = take_part(&data, &size);
    check_diff(&old, &new, context);
    check_diff(&new, &old, context);
    free(old.data);
    free(new.data);
}

/* ---- merges ---- */

static bool merged_as(const struct bytes *base, const struct bytes *ours, const struct bytes *theirs,
                      const struct bytes *expected) {
    struct text texts[] = {text_of(base), text_of(ours), text_of(theirs)};
    struct bytes merged = {0};
    struct error err = {0};
    bool clean = false;
    require(text_merge(&texts[0], &texts[1], &texts[2], "ours", "theirs", &merged.data, &merged.length, &clean, &err) ==
                STORE_OK,
            "texts can be merged");
    bool binary = text_is_binary(&texts[0]) || text_is_binary(&texts[1]) || text_is_binary(&texts[2]);
    require(!binary || (!clean && merged.data == NULL), "binary contents are not merged");
    require(binary || merged.data != NULL || merged.length == 0, "what is merged is there");
    bool as_expected = binary || !expected || (clean && same(&merged, expected));
    free(merged.data);
    return as_expected;
}

static void fuzz_merge(const uint8_t *data, size_t size) {
    struct bytes base = take_part(&data, &size), ours = take_part(&data, &size), theirs = take_part(&data, &size);
    require(merged_as(&base, &ours, &theirs, NULL), "any texts are merged somehow");
    require(merged_as(&base, &ours, &base, &ours), "what only we changed is as we have it");
    require(merged_as(&base, &base, &theirs, &theirs), "what only they changed is as they have it");
    require(merged_as(&base, &ours, &ours, &ours), "what both changed alike is so");
    free(base.data);
    free(ours.data);
    free(theirs.data);
}

/* ---- names ---- */

/* What a name in a patch means, after its prefix: as git's core.quotePath has it. */
static void expect_name(const char *written, const char *prefix, const char *name) {
    static const char letters[] = "abtnvfr\"\\", meant[] = "\a\b\t\n\v\f\r\"\\";
    bool quoted = *written == '"';
    const char *at = written + quoted;
    require(strncmp(at, prefix, strlen(prefix)) == 0, "a name has its prefix");
    at += strlen(prefix);
    for (; *name; name++) {
        unsigned char byte = (unsigned char)*at++;
        require(byte >= 0x20 && byte < 0x7f, "a written name is plain");
        if (quoted && byte == '\\') {
            const char *letter = *at ? strchr(letters, *at) : NULL;
            if (letter) {
                byte = (unsigned char)meant[letter - letters];
                at++;
            } else {
                require(at[0] >= '0' && at[0] <= '3' && at[1] >= '0' && at[1] <= '7' && at[2] >= '0' && at[2] <= '7',
                        "an escaped byte has three digits");
                byte = (unsigned char)((at[0] - '0') << 6 | (at[1] - '0') << 3 | (at[2] - '0'));
                at += 3;
            }
        }
        require(byte == (unsigned char)*name, "a written name means the name");
    }
    require(strcmp(at, quoted ? "\"" : "") == 0, "a written name ends");
}

/* All kinds of changes of things without contents; a patch of what is here is words alone. */
static void write_changes(struct bytes *old, struct bytes *new) {
    static const uint32_t types[] = {S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFREG};
    FILE *out = fopen("/dev/null", "we");
    require(out != NULL, "/dev/null opens");
    for (size_t i = 0; i < 2 * sizeof types / sizeof types[0]; i++) {
        uint32_t type = types[i / 2];
        struct change change = {.kind = CHANGE_RENAMED,
                                .what = CHANGED_MODE | CHANGED_OWNER | CHANGED_XATTR | CHANGED_TIMES,
                                .old_path = (char *)old->data,
                                .new_path = (char *)new->data,
                                .old = {.oid = 2, .revision = 2, .mode = type | 0644, .nlink = 1},
                                .new = {.oid = i % 2 == 0 ? 2 : 0, .revision = 3, .mode = type | 01755, .nlink = 2}};
        struct error err = {0};
        if (i % 2 != 0 && type == S_IFREG)
            continue; /* its content is not here */
        if (i % 2 != 0)
            change.kind = CHANGE_DELETED;
        require(patch_write(NULL, &change, 3, out, &err) == STORE_OK, "names are enough for a patch");
        patch_write_what(&change, change.what, out);
        (void)patch_letter(&change);
        (void)patch_is_link(&change);
    }
    (void)fclose(out);
}

static void fuzz_names(const uint8_t *data, size_t size) {
    static const char *const prefixes[] = {"", "a/"};
    struct bytes old = take_part(&data, &size), new = take_part(&data, &size);
    old.data[strlen((char *)old.data)] = '\0';
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        char *written = NULL;
        size_t length = 0;
        FILE *out = open_memstream(&written, &length);
        require(out != NULL, "there is memory");
        patch_write_name(prefixes[i], (char *)old.data, out);
        require(fclose(out) == 0, "there is memory");
        expect_name(written, prefixes[i], (char *)old.data);
        free(written);
    }
    write_changes(&old, &new);
    free(old.data);
    free(new.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    if (data[0] == 'n')
        fuzz_names(data + 1, size - 1);
    else if (data[0] == 'm')
        fuzz_merge(data + 1, size - 1);
    else
        fuzz_diff(data + 1, size - 1);
    return 0;
}
