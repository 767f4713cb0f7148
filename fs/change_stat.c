#include "fs/change_stat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fs/output.h"
#include "fs/pager.h"
#include "history/patch.h"

#define COLUMNS_DEFAULT 80
#define GRAPH_MIN       10

struct row {
    char *name; /* owned */
    struct patch_measure measure;
    uint64_t old_size, new_size;
    const char *unread; /* why there are no lines, though it is text perhaps; NULL: there are */
};

struct table {
    struct row *rows;
    size_t count;
    size_t name_width, lines_width, bytes_width, graph_width;
    uint64_t most; /* lines that changed in one file */
};

static void table_release(struct table *table) {
    for (size_t i = 0; i < table->count; i++)
        free(table->rows[i].name);
    free(table->rows);
    *table = (struct table){0};
}

/* ---------------------------------------------------------------- names */

/* "dir/{old => new}/file": whole directories that both begin with or end in are written once. */
static void write_renamed(const char *old, const char *new, FILE *out) {
    size_t old_length = strlen(old), new_length = strlen(new);
    size_t shorter = old_length < new_length ? old_length : new_length;
    size_t start = 0, end = 0;
    for (size_t i = 0; i < shorter && old[i] == new[i]; i++) {
        if (old[i] == '/')
            start = i + 1;
    }
    /* The slash before the common end may be the one after the common start. */
    size_t limit = start ? start - 1 : 0;
    for (size_t i = 1; i <= shorter - limit && old[old_length - i] == new[new_length - i]; i++) {
        if (old[old_length - i] == '/')
            end = i;
    }
    if (start + end == 0) {
        (void)fprintf(out, "%s => %s", old, new);
        return;
    }
    size_t old_middle = old_length > start + end ? old_length - start - end : 0;
    size_t new_middle = new_length > start + end ? new_length - start - end : 0;
    (void)fprintf(out, "%.*s{%.*s => %.*s}%s", (int)start, new, (int)old_middle, old + start, (int)new_middle,
                  new + start, new + new_length - end);
}

static char *row_name(const struct change *change, char letter) {
    char *name = NULL;
    size_t length;
    FILE *out = open_memstream(&name, &length);
    if (!out)
        return NULL;
    const char *old = change->old_path, *new = change->new_path;
    if (letter != 'R') {
        patch_write_name("", letter == 'D' ? old : new, out);
    } else if (strpbrk(old, "\"\\\n\t") || strpbrk(new, "\"\\\n\t")) {
        patch_write_name("", old, out);
        (void)fputs(" => ", out);
        patch_write_name("", new, out);
    } else {
        char *both = NULL;
        size_t both_length;
        FILE *middle = open_memstream(&both, &both_length);
        if (middle) {
            write_renamed(old, new, middle);
            if (fclose(middle) == 0)
                patch_write_name("", both, out);
            free(both);
        }
    }
    if (fclose(out) != 0 || length == 0) {
        free(name);
        return NULL;
    }
    return name;
}

/* ---------------------------------------------------------------- widths */

static size_t digits(uint64_t number) {
    char text[24];
    return (size_t)snprintf(text, sizeof text, "%" PRIu64, number);
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t terminal_width(void) {
    struct winsize size;
    if (!pager_is_terminal())
        return COLUMNS_DEFAULT;
    const char *columns = getenv("COLUMNS");
    unsigned long number = columns ? strtoul(columns, NULL, 10) : 0;
    if (number > 0 && number < 10000)
        return number;
    /* The pager has stdout, but stdin is mostly still the terminal's. */
    for (int fd = STDOUT_FILENO; fd >= 0; fd--) {
        if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
            return size.ws_col;
    }
    return COLUMNS_DEFAULT;
}

/* What stands in the place of a number of lines; NULL: the number does. */
static const char *label(const struct row *row) {
    return row->unread ? row->unread : row->measure.binary ? "Bin" : NULL;
}

static int64_t growth(const struct row *row) {
    return (int64_t)row->new_size - (int64_t)row->old_size;
}

/* The graph has what the name leaves, and a third at least where names are long. */
static void set_widths(struct table *table) {
    for (size_t i = 0; i < table->count; i++) {
        const struct row *row = &table->rows[i];
        char text[24];
        uint64_t lines = row->measure.added + row->measure.removed;
        table->name_width = larger(table->name_width, strlen(row->name));
        table->lines_width = larger(table->lines_width, label(row) ? strlen(label(row)) : digits(lines));
        if (!label(row))
            table->bytes_width =
                larger(table->bytes_width, (size_t)snprintf(text, sizeof text, "%+" PRId64, growth(row)));
        if (lines > table->most)
            table->most = lines;
    }
    size_t taken = strlen("  |   ") + table->lines_width + table->bytes_width + 1;
    size_t width = terminal_width();
    size_t room = width > taken + 2 * (size_t)GRAPH_MIN ? width - taken : 2 * (size_t)GRAPH_MIN;
    size_t graph = table->most < room ? (size_t)table->most : room;
    if (table->name_width + graph > room) {
        size_t least = larger(room * 3 / 8, GRAPH_MIN);
        if (graph > least)
            graph = room > table->name_width + least ? room - table->name_width : least;
        if (table->name_width > room - graph)
            table->name_width = room - graph;
    }
    table->graph_width = graph;
}

/* ---------------------------------------------------------------- printing */

/* Of a name that is too long the end is shown, from a slash on if there is one. */
static void print_name(const char *name, size_t width) {
    size_t length = strlen(name);
    if (length <= width) {
        printf("%-*s", (int)width, name);
        return;
    }
    const char *end = name + (length - (width - 3));
    const char *slash = strchr(end, '/');
    printf("...%-*s", (int)(width - 3), slash ? slash : end);
}

/* Neither kind vanishes in scaling. */
static uint64_t scaled(uint64_t lines, const struct table *table) {
    if (table->most <= table->graph_width || lines == 0)
        return lines;
    return 1 + (uint64_t)((double)lines * (double)(table->graph_width - 1) / (double)table->most);
}

static void print_bar(char mark, enum colour kind, uint64_t length) {
    if (length == 0)
        return;
    (void)fputs(colour(kind), stdout);
    for (uint64_t i = 0; i < length; i++)
        (void)putchar(mark);
    (void)fputs(colour(COLOUR_NONE), stdout);
}

static void print_row(const struct table *table, const struct row *row) {
    const struct patch_measure *measure = &row->measure;
    (void)putchar(' ');
    print_name(row->name, table->name_width);
    if (label(row)) {
        printf(" | %*s %" PRIu64 " -> %" PRIu64 " bytes\n", (int)table->lines_width, label(row), row->old_size,
               row->new_size);
        return;
    }
    uint64_t lines = measure->added + measure->removed;
    printf(" | %*" PRIu64 " %+*" PRId64, (int)table->lines_width, lines, (int)table->bytes_width, growth(row));
    if (lines > 0) {
        uint64_t whole = scaled(lines, table);
        uint64_t added =
            measure->added < measure->removed ? scaled(measure->added, table) : whole - scaled(measure->removed, table);
        /* What is 1 for its own sake may be all that there is room for. */
        if (measure->added > 0 && measure->removed > 0 && whole < 2)
            whole = 2;
        if (measure->added > 0 && added == 0)
            added = 1;
        (void)putchar(' ');
        print_bar('+', COLOUR_ADDED, added);
        print_bar('-', COLOUR_REMOVED, whole - added);
    }
    (void)putchar('\n');
}

static void print_totals(const struct table *table) {
    uint64_t added = 0, removed = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < table->count; i++) {
        added += table->rows[i].measure.added;
        removed += table->rows[i].measure.removed;
        bytes += growth(&table->rows[i]);
    }
    printf(" %zu file%s changed", table->count, table->count == 1 ? "" : "s");
    if (added > 0 || removed == 0)
        printf(", %" PRIu64 " insertion%s(+)", added, added == 1 ? "" : "s");
    if (removed > 0 || added == 0)
        printf(", %" PRIu64 " deletion%s(-)", removed, removed == 1 ? "" : "s");
    printf(", %+" PRId64 " byte%s\n", bytes, bytes == 1 || bytes == -1 ? "" : "s");
}

static enum change_printed measure_all(struct table *table, struct store *store, const struct change_list *list) {
    enum change_printed result = CHANGES_PRINTED;
    struct progress progress;
    struct error err = {0};
    progress_init(&progress, "comparing files");
    table->rows = calloc(list->count ? list->count : 1, sizeof *table->rows);
    if (!table->rows) {
        output_error("out of memory");
        return CHANGES_NOT_PRINTED;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct change *change = &list->items[i];
        char letter = patch_letter(change);
        if (!letter)
            continue;
        progress_update(&progress, i, list->count);
        struct row *row = &table->rows[table->count++];
        row->old_size = letter == 'A' ? 0 : change->old.size;
        row->new_size = letter == 'D' ? 0 : change->new.size;
        row->name = row_name(change, letter);
        int rc = row->name ? patch_measure(store, change, &row->measure, &err)
                           : error_set(&err, STORE_NO_MEMORY, "out of memory");
        if (rc) {
            progress_clear(&progress);
            output_error("%s", err.text);
        }
        if (rc && !store_error_is_damage(rc))
            return CHANGES_NOT_PRINTED;
        if (rc) {
            row->unread = rc == STORE_LOST ? "Lost" : "Damaged";
            result = CHANGES_PRINTED_IN_PART;
        }
    }
    progress_clear(&progress);
    return result;
}

enum change_printed change_stat_print(struct store *store, const struct change_list *list) {
    struct table table = {0};
    enum change_printed measured = measure_all(&table, store, list);
    if (measured != CHANGES_NOT_PRINTED && table.count > 0) {
        set_widths(&table);
        for (size_t i = 0; i < table.count && !ferror(stdout); i++)
            print_row(&table, &table.rows[i]);
        print_totals(&table);
    }
    table_release(&table);
    return measured;
}
