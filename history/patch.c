#include "history/patch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "history/text.h"
#include "store/store.h"

/* ---------------------------------------------------------------- as git sees it */

static bool known_to_git(const struct change_side *side) {
    return side->oid != 0 && (S_ISREG(side->mode) || S_ISLNK(side->mode));
}

static unsigned git_mode(const struct change_side *side) {
    if (S_ISLNK(side->mode))
        return 0120000;
    return side->mode & S_IXUSR ? 0100755 : 0100644;
}

static bool same_type(const struct change *change) {
    return (change->old.mode & S_IFMT) == (change->new.mode &S_IFMT);
}

char patch_letter(const struct change *change) {
    bool old = known_to_git(&change->old), new = known_to_git(&change->new);
    if (!old || !new)
        return (char)(old ? 'D' : new ? 'A' : 0);
    if (!same_type(change))
        return 'T';
    if (strcmp(change->old_path, change->new_path) != 0)
        return 'R';
    bool differs = (change->what & CHANGED_CONTENT) != 0 || git_mode(&change->old) != git_mode(&change->new);
    return (char)(differs ? 'M' : 0);
}

bool patch_is_link(const struct change *change) {
    /* A rename told as two changes has another name on the other side as well, but not beside it. */
    return change->linked && ((change->kind == CHANGE_ADDED && !S_ISDIR(change->new.mode) && change->new.nlink > 1) ||
                              (change->kind == CHANGE_DELETED && !S_ISDIR(change->old.mode) && change->old.nlink > 1));
}

/* ---------------------------------------------------------------- names and attributes */

/* Of a byte of a name, which is never NUL. 0: it has no letter. */
static char escape_letter(char byte) {
    static const char escaped[] = "\a\b\t\n\v\f\r\"\\", letters[] = "abtnvfr\"\\";
    const char *found = strchr(escaped, byte);
    return (char)(found ? letters[found - escaped] : 0);
}

static bool is_plain(const char *name) {
    for (; *name; name++) {
        unsigned char byte = (unsigned char)*name;
        if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\')
            return false;
    }
    return true;
}

void patch_write_name(const char *prefix, const char *name, FILE *out) {
    if (is_plain(name)) {
        (void)fprintf(out, "%s%s", prefix, name);
        return;
    }
    (void)fprintf(out, "\"%s", prefix);
    for (; *name; name++) {
        unsigned char byte = (unsigned char)*name;
        char letter = escape_letter(*name);
        if (letter)
            (void)fprintf(out, "\\%c", letter);
        else if (byte < 0x20 || byte >= 0x7f)
            (void)fprintf(out, "\\%03o", (unsigned)byte);
        else
            (void)fputc(byte, out);
    }
    (void)fputc('"', out);
}

void patch_write_what(const struct change *change, unsigned what, FILE *out) {
    const struct change_side *old = &change->old, *new = &change->new;
    const char *separator = "";
    if (what & CHANGED_CONTENT) {
        (void)fputs("content", out);
        separator = ", ";
    }
    if (what & CHANGED_MODE) {
        (void)fprintf(out, "%smode %04o -> %04o", separator, old->mode & 07777U, new->mode & 07777U);
        separator = ", ";
    }
    if (what & CHANGED_OWNER) {
        (void)fprintf(out, "%sowner %" PRIu32 ":%" PRIu32 " -> %" PRIu32 ":%" PRIu32, separator, old->uid, old->gid,
                      new->uid, new->gid);
        separator = ", ";
    }
    if (what & CHANGED_XATTR) {
        (void)fprintf(out, "%sxattr", separator);
        separator = ", ";
    }
    if (what & CHANGED_TIMES)
        (void)fprintf(out, "%stimes", separator);
    if (what & CHANGED_UNREAD)
        (void)fputs(", of which some cannot be read", out);
}

/* ---------------------------------------------------------------- contents */

struct content {
    struct text text;
    uint8_t *buffer; /* owned */
};

static int read_symlink(const struct inode_version *inode, struct content *content) {
    content->buffer = (uint8_t *)strdup(inode->record.target);
    content->text.length = content->buffer ? (size_t)inode->record.size : 0;
    return content->buffer ? STORE_OK : STORE_NO_MEMORY;
}

static int read_file(struct store *store, const struct inode_version *inode, uint64_t size, struct content *content) {
    uint64_t before;
    if (size == 0)
        return STORE_OK;
    content->buffer = malloc(size);
    if (!content->buffer)
        return STORE_NO_MEMORY;
    int rc = store_version_instant(store, inode, &before);
    if (rc == STORE_OK)
        rc = store_read(store, inode, before, 0, size, content->buffer, &content->text.length);
    return rc == STORE_OK && content->text.length < size ? STORE_CORRUPT : rc;
}

/* One side, wholly; git has no content for what it does not know. content_release is due on error, too. */
static int content_read(struct store *store, const struct change_side *side, const char *path, struct content *content,
                        struct error *err) {
    *content = (struct content){0};
    if (!known_to_git(side))
        return STORE_OK;
    if (side->size > PATCH_SIZE_MAX)
        return error_set(err, STORE_TOO_BIG, "%s: %" PRIu64 " MiB are too much for a patch, which takes at most %d MiB",
                         path, side->size >> 20, (int)(PATCH_SIZE_MAX >> 20));
    struct inode_version *inode = NULL;
    int rc = store_inode_by_revision(store, side->revision, &inode);
    if (rc == STORE_OK)
        rc = S_ISLNK(inode->record.mode) ? read_symlink(inode, content) : read_file(store, inode, side->size, content);
    store_release(store, inode);
    if (rc == STORE_ABSENT)
        rc = STORE_CORRUPT;
    content->text.data = content->buffer;
    if (rc)
        return error_set(err, rc, "%s: cannot be read: %s", path, store_error_text(rc));
    return STORE_OK;
}

static void content_release(struct content *content) {
    free(content->buffer);
    *content = (struct content){0};
}

/* ---------------------------------------------------------------- one file's patch */

/* What a "diff --git" section is about. */
struct section {
    const char *old_path, *new_path; /* never NULL */
    unsigned old_mode, new_mode;     /* git's; 0: not there */
    bool compared;                   /* the contents were: the ids and the diff are filled */
    char old_id[TEXT_ID_SIZE], new_id[TEXT_ID_SIZE];
    struct text_diff diff;
};

static void section_release(struct section *section) {
    text_diff_release(&section->diff);
}

/* Fills ids and diff from what stands on the two sides, either of which may be NULL. */
static int section_compare(struct section *section, struct store *store, const struct change_side *old,
                           const struct change_side *new, unsigned context, struct error *err) {
    static const struct change_side nothing = {0};
    static const char no_id[] = "0000000000000000000000000000000000000000";
    struct content old_content, new_content = {0};
    int rc = content_read(store, old ? old : &nothing, section->old_path, &old_content, err);
    if (rc == 0)
        rc = content_read(store, new ? new : &nothing, section->new_path, &new_content, err);
    if (rc == 0)
        rc = text_diff(&old_content.text, &new_content.text, context, true, &section->diff, err);
    memcpy(section->old_id, no_id, sizeof no_id);
    memcpy(section->new_id, no_id, sizeof no_id);
    if (rc == 0 && old)
        rc = text_id(&old_content.text, section->old_id, err);
    if (rc == 0 && new)
        rc = text_id(&new_content.text, section->new_id, err);
    section->compared = rc == 0;
    content_release(&old_content);
    content_release(&new_content);
    return rc;
}

/* "--- a/name": a name with a space is followed by a tab, so that it is known where it ends. */
static void write_label(const char *label, const char *prefix, const char *name, bool present, FILE *out) {
    (void)fputs(label, out);
    if (present)
        patch_write_name(prefix, name, out);
    else
        (void)fputs("/dev/null", out);
    (void)fputs(present && strchr(name, ' ') ? "\t\n" : "\n", out);
}

static void write_rename(const struct section *section, FILE *out) {
    (void)fprintf(out, "similarity index %u%%\nrename from ", section->compared ? section->diff.similarity : 100);
    patch_write_name("", section->old_path, out);
    (void)fputs("\nrename to ", out);
    patch_write_name("", section->new_path, out);
    (void)fputc('\n', out);
}

/* git leaves names with spaces unquoted here too, and patch(1) then finds no end of them. */
static void write_header_name(const char *prefix, const char *name, FILE *out) {
    if (is_plain(name) && strchr(name, ' '))
        (void)fprintf(out, "\"%s%s\"", prefix, name);
    else
        patch_write_name(prefix, name, out);
}

static void section_write(const struct section *section, FILE *out) {
    unsigned old_mode = section->old_mode, new_mode = section->new_mode;
    (void)fputs("diff --git ", out);
    write_header_name("a/", section->old_path, out);
    (void)fputc(' ', out);
    write_header_name("b/", section->new_path, out);
    (void)fputc('\n', out);
    if (!old_mode)
        (void)fprintf(out, "new file mode %06o\n", new_mode);
    else if (!new_mode)
        (void)fprintf(out, "deleted file mode %06o\n", old_mode);
    else if (old_mode != new_mode)
        (void)fprintf(out, "old mode %06o\nnew mode %06o\n", old_mode, new_mode);
    if (strcmp(section->old_path, section->new_path) != 0)
        write_rename(section, out);

    if (!section->compared || strcmp(section->old_id, section->new_id) == 0)
        return;
    (void)fprintf(out, "index %s..%s", section->old_id, section->new_id);
    if (old_mode == new_mode)
        (void)fprintf(out, " %06o", new_mode);
    (void)fputc('\n', out);
    if (section->diff.length == 0)
        return;
    if (!section->diff.binary) {
        write_label("--- ", "a/", section->old_path, old_mode != 0, out);
        write_label("+++ ", "b/", section->new_path, new_mode != 0, out);
    }
    (void)fwrite(section->diff.body, 1, section->diff.length, out);
}

/* ---------------------------------------------------------------- what git has no words for */

const char *patch_type_name(uint32_t mode) {
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "directory";
    case S_IFIFO:
        return "fifo";
    case S_IFSOCK:
        return "socket";
    case S_IFCHR:
        return "character device";
    case S_IFBLK:
        return "block device";
    case S_IFLNK:
        return "symlink";
    default:
        return "file";
    }
}

/* Something that git does not know, as it comes or goes. */
static void write_unknown(const char *verb, const struct change_side *side, const char *path, FILE *out) {
    (void)fprintf(out, "tidfs: %s %s ", verb, patch_type_name(side->mode));
    patch_write_name("", path, out);
    (void)fprintf(out, " (mode %04o, owner %" PRIu32 ":%" PRIu32 ")\n", side->mode & 07777U, side->uid, side->gid);
}

/* Permissions that are more or less than what git gives a file of that executability. */
static bool unusual(const struct change_side *side) {
    return S_ISREG(side->mode) && (side->mode & 07777U) != (git_mode(side) & 07777U);
}

/* What is to be said of a pair's attributes: not the content, nor the times of what has another content, nor what git can say. */
static unsigned unsaid(const struct change *change) {
    unsigned what = change->what & (CHANGED_MODE | CHANGED_OWNER | CHANGED_XATTR | CHANGED_TIMES);
    if (known_to_git(&change->new)) {
        if (change->what & CHANGED_CONTENT)
            what &= ~(unsigned)CHANGED_TIMES;
        if (!unusual(&change->old) && !unusual(&change->new))
            what &= ~(unsigned)CHANGED_MODE;
    } else {
        what |= change->what & CHANGED_CONTENT;
    }
    return what;
}

static void write_pair(const struct change *change, FILE *out) {
    unsigned what = unsaid(change);
    bool moved = strcmp(change->old_path, change->new_path) != 0 && !known_to_git(&change->new);
    if (!what && !moved)
        return;
    (void)fprintf(out, "tidfs: %s%s ", moved ? "renamed " : "", patch_type_name(change->new.mode));
    if (moved) {
        patch_write_name("", change->old_path, out);
        (void)fputs(" -> ", out);
    }
    patch_write_name("", change->new_path, out);
    if (what) {
        (void)fputs(": ", out);
        patch_write_what(change, what, out);
    }
    (void)fputc('\n', out);
}

static void write_remarks(const struct change *change, FILE *out) {
    const struct change_side *old = &change->old, *new = &change->new;
    if (old->oid && new->oid && same_type(change)) {
        write_pair(change, out);
        return;
    }
    if (old->oid && !known_to_git(old))
        write_unknown("deleted", old, change->old_path, out);
    if (new->oid && !known_to_git(new)) {
        write_unknown("new", new, change->new_path, out);
    } else if (new->oid && (unusual(new) || patch_is_link(change))) {
        (void)fputs("tidfs: new file ", out);
        patch_write_name("", change->new_path, out);
        if (unusual(new))
            (void)fprintf(out, " (mode %04o)", new->mode & 07777U);
        if (patch_is_link(change))
            (void)fputs(", a hard link to one that was there", out);
        (void)fputc('\n', out);
    }
}

/* ---------------------------------------------------------------- changes */

int patch_write(struct store *store, const struct change *change, unsigned context, FILE *out, struct error *err) {
    const struct change_side *old = known_to_git(&change->old) ? &change->old : NULL;
    const struct change_side *new = known_to_git(&change->new) ? &change->new : NULL;
    bool two = old && new && !same_type(change); /* git wants those deleted and made anew */
    struct section sections[2] = {0};
    size_t count = 0;
    int rc = 0;
    if (patch_letter(change)) {
        sections[count++] = (struct section){
            .old_path = old ? change->old_path : change->new_path,
            .new_path = new && !two ? change->new_path : change->old_path,
            .old_mode = old ? git_mode(old) : 0,
            .new_mode = new && !two ? git_mode(new) : 0,
        };
        if (!old || !new || two || (change->what & CHANGED_CONTENT))
            rc = section_compare(&sections[0], store, old, two ? NULL : new, context, err);
    }
    if (rc == 0 && two) {
        sections[count++] =
            (struct section){.old_path = change->new_path, .new_path = change->new_path, .new_mode = git_mode(new)};
        rc = section_compare(&sections[1], store, NULL, new, context, err);
    }
    if (rc == 0) {
        write_remarks(change, out);
        for (size_t i = 0; i < count; i++)
            section_write(&sections[i], out);
    }
    for (size_t i = 0; i < count; i++)
        section_release(&sections[i]);
    return rc;
}

int patch_measure(struct store *store, const struct change *change, struct patch_measure *measure, struct error *err) {
    struct content old = {0}, new = {0};
    struct text_diff diff = {0};
    *measure = (struct patch_measure){.similarity = 100};
    if (change->old.oid && change->new.oid &&same_type(change) && !(change->what & CHANGED_CONTENT))
        return STORE_OK;
    if ((known_to_git(&change->old) && change->old.size > PATCH_SIZE_MAX) ||
        (known_to_git(&change->new) && change->new.size > PATCH_SIZE_MAX)) {
        *measure = (struct patch_measure){.binary = true};
        return STORE_OK;
    }
    int rc = content_read(store, &change->old, change->old_path, &old, err);
    if (rc == 0)
        rc = content_read(store, &change->new, change->new_path, &new, err);
    if (rc == 0)
        rc = text_diff(&old.text, &new.text, 0, false, &diff, err);
    if (rc == 0) {
        *measure = (struct patch_measure){
            .added = diff.added, .removed = diff.removed, .similarity = diff.similarity, .binary = diff.binary};
        text_diff_release(&diff);
    }
    content_release(&old);
    content_release(&new);
    return rc;
}
