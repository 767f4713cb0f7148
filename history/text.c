#include "history/text.h"

#include <dlfcn.h>
#include <git2.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- libgit2 */

#define STRING(name)          #name
#define EXPANDED_STRING(name) STRING(name)

/* The functions that are used. Their types come from the header, and the library is that header's: the build says its name. */
struct libgit2 {
    __typeof__(git_libgit2_init) *libgit2_init;
    __typeof__(git_error_last) *error_last;
    __typeof__(git_patch_from_buffers) *patch_from_buffers;
    __typeof__(git_patch_print) *patch_print;
    __typeof__(git_patch_free) *patch_free;
    __typeof__(git_merge_file) *merge_file;
    __typeof__(git_merge_file_result_free) *merge_file_result_free;
    __typeof__(git_odb_hash) *odb_hash;
};

/* Loads it at the first call of a process; later ones find it loaded and take half a microsecond, so nothing needs to be remembered here. It
 * stays loaded and is never shut down: both count their users, and the process's end is the end of them. */
static int libgit2_load(struct libgit2 *git, struct error *err) {
    static const char file[] = EXPANDED_STRING(TIDFS_LIBGIT2);
    static const struct {
        const char *name;
        size_t place;
    } symbols[] = {
        {"git_libgit2_init", offsetof(struct libgit2, libgit2_init)},
        {"git_error_last", offsetof(struct libgit2, error_last)},
        {"git_patch_from_buffers", offsetof(struct libgit2, patch_from_buffers)},
        {"git_patch_print", offsetof(struct libgit2, patch_print)},
        {"git_patch_free", offsetof(struct libgit2, patch_free)},
        {"git_merge_file", offsetof(struct libgit2, merge_file)},
        {"git_merge_file_result_free", offsetof(struct libgit2, merge_file_result_free)},
        {"git_odb_hash", offsetof(struct libgit2, odb_hash)},
    };
    void *library = dlopen(file, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
    if (!library)
        return error_set(err, STORE_IO, "cannot load libgit2, which compares texts: %s; install %s", dlerror(), file);
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (!symbol)
            return error_set(err, STORE_IO, "%s has no %s; install the libgit2 that tidfs was built with", file,
                             symbols[i].name);
        memcpy((char *)git + symbols[i].place, &symbol, sizeof symbol);
    }
    if (git->libgit2_init() < 0)
        return error_set(err, STORE_IO, "libgit2 does not start");
    return STORE_OK;
}

static int failed(const struct libgit2 *git, const char *what, struct error *err) {
    const git_error *error = git->error_last();
    if (error && error->klass == GIT_ERROR_NOMEMORY)
        return error_set(err, STORE_NO_MEMORY, "out of memory");
    return error_set(err, STORE_IO, "libgit2 cannot %s: %s", what, error ? error->message : "no reason given");
}

/* libgit2 takes a missing buffer for a missing file. */
static const char *bytes_of(const struct text *text) {
    return text->length ? (const char *)text->data : "";
}

/* ---------------------------------------------------------------- differences */

bool text_is_binary(const struct text *text) {
    if (text->length == 0)
        return false;
    if (text->length > TEXT_LINES_MAX)
        return true;
    return memchr(text->data, 0, text->length < TEXT_SNIFF ? text->length : TEXT_SNIFF) != NULL;
}

static bool equal(const struct text *a, const struct text *b) {
    return a->length == b->length && (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

/* Of contents that are not equal, so that less than the longer one is common. */
static unsigned similarity_of(const struct text *old, const struct text *new, uint64_t common) {
    size_t longer = old->length > new->length ? old->length : new->length;
    return (unsigned)((double)common * 100 / (double)longer);
}

/* What both begin with and end in: as good as it gets without reading lines. */
static uint64_t common_ends(const struct text *old, const struct text *new) {
    size_t shorter = old->length < new->length ? old->length : new->length;
    size_t start = 0, end = 0;
    while (start < shorter && old->data[start] == new->data[start])
        start++;
    while (end < shorter - start && old->data[old->length - 1 - end] == new->data[new->length - 1 - end])
        end++;
    return start + end;
}

struct gathering {
    FILE *body; /* NULL: only count */
    struct text_diff *diff;
    uint64_t removed_bytes;
    bool full; /* there was no memory for the body */
};

static int take_line(const git_diff_delta *delta, const git_diff_hunk *hunk, const git_diff_line *line, void *context) {
    struct gathering *gathering = context;
    (void)delta, (void)hunk;
    switch (line->origin) {
    case GIT_DIFF_LINE_FILE_HDR:
        return 0;
    case GIT_DIFF_LINE_ADDITION:
        gathering->diff->added++;
        break;
    case GIT_DIFF_LINE_DELETION:
        gathering->diff->removed++;
        gathering->removed_bytes += line->content_len;
        break;
    default:
        break;
    }
    if (!gathering->body)
        return 0;
    if (line->origin == GIT_DIFF_LINE_CONTEXT || line->origin == GIT_DIFF_LINE_ADDITION ||
        line->origin == GIT_DIFF_LINE_DELETION)
        (void)fputc(line->origin, gathering->body);
    (void)fwrite(line->content, 1, line->content_len, gathering->body);
    gathering->full = ferror(gathering->body) != 0;
    return gathering->full ? -1 : 0;
}

/* Fills the diff's counts and body. */
static int compare(const struct text *old, const struct text *new, unsigned context, bool body, struct text_diff *diff,
                   struct error *err) {
    struct libgit2 git;
    int rc = libgit2_load(&git, err);
    if (rc)
        return rc;
    const git_diff_options options = {
        .version = GIT_DIFF_OPTIONS_VERSION,
        .flags = diff->binary ? GIT_DIFF_SHOW_BINARY | GIT_DIFF_FORCE_BINARY
                              : GIT_DIFF_FORCE_TEXT | GIT_DIFF_INDENT_HEURISTIC,
        .context_lines = context,
        .max_size = -1, /* none: what is too large has become binary already */
    };
    struct gathering gathering = {.diff = diff};
    git_patch *patch = NULL;
    if (body) {
        gathering.body = open_memstream(&diff->body, &diff->length);
        if (!gathering.body)
            return error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    bool bad = git.patch_from_buffers(&patch, bytes_of(old), old->length, NULL, bytes_of(new), new->length, NULL,
                                      &options) != 0 ||
               git.patch_print(patch, take_line, &gathering) != 0;
    if (bad && !gathering.full)
        rc = failed(&git, "compare", err);
    if (gathering.body && fclose(gathering.body) != 0)
        gathering.full = true;
    git.patch_free(patch);
    if (gathering.full)
        rc = error_set(err, STORE_NO_MEMORY, "out of memory");
    if (rc == 0 && !diff->binary)
        diff->similarity = similarity_of(old, new, old->length - gathering.removed_bytes);
    return rc;
}

int text_diff(const struct text *old, const struct text *new, unsigned context, bool body, struct text_diff *diff,
              struct error *err) {
    *diff = (struct text_diff){.similarity = 100, .binary = text_is_binary(old) || text_is_binary(new)};
    if (equal(old, new)) {
        if (body && !(diff->body = strdup("")))
            return error_set(err, STORE_NO_MEMORY, "out of memory");
        return STORE_OK;
    }
    if (diff->binary)
        diff->similarity = similarity_of(old, new, common_ends(old, new));
    if (diff->binary && !body)
        return STORE_OK;
    int rc = compare(old, new, context, body, diff, err);
    if (rc)
        text_diff_release(diff);
    return rc;
}

void text_diff_release(struct text_diff *diff) {
    free(diff->body);
    *diff = (struct text_diff){0};
}

int text_id(const struct text *text, char id[TEXT_ID_SIZE], struct error *err) {
    struct libgit2 git;
    git_oid name;
    int rc = libgit2_load(&git, err);
    if (rc)
        return rc;
    if (git.odb_hash(&name, bytes_of(text), text->length, GIT_OBJECT_BLOB) != 0)
        return failed(&git, "compute an id", err);
    for (size_t i = 0; i < GIT_OID_RAWSZ; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", name.id[i]);
    return STORE_OK;
}

/* ---------------------------------------------------------------- merging */

static git_merge_file_input input_of(const struct text *text) {
    return (git_merge_file_input){
        .version = GIT_MERGE_FILE_INPUT_VERSION,
        .ptr = bytes_of(text),
        .size = text->length,
    };
}

int text_merge(const struct text *base, const struct text *ours, const struct text *theirs, const char *our_label,
               const char *their_label, uint8_t **merged, size_t *length, bool *clean, struct error *err) {
    *merged = NULL;
    *length = 0;
    *clean = false;
    if (text_is_binary(base) || text_is_binary(ours) || text_is_binary(theirs))
        return STORE_OK;
    struct libgit2 git;
    int rc = libgit2_load(&git, err);
    if (rc)
        return rc;

    const git_merge_file_input inputs[] = {input_of(base), input_of(ours), input_of(theirs)};
    const git_merge_file_options options = {
        .version = GIT_MERGE_FILE_OPTIONS_VERSION,
        .our_label = our_label,
        .their_label = their_label,
        .flags = GIT_MERGE_FILE_SIMPLIFY_ALNUM, /* as the command */
    };
    git_merge_file_result result = {0};
    if (git.merge_file(&result, &inputs[0], &inputs[1], &inputs[2], &options) != 0)
        return failed(&git, "merge", err);
    *merged = malloc(result.len + 1);
    if (*merged) {
        if (result.len > 0)
            memcpy(*merged, result.ptr, result.len);
        (*merged)[result.len] = 0;
        *length = result.len;
        *clean = result.automergeable;
    } else {
        rc = error_set(err, STORE_NO_MEMORY, "out of memory");
    }
    git.merge_file_result_free(&result);
    return rc;
}
