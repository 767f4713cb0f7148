#include "fs/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/command.h"
#include "fs/pager.h"
#include "fs/utf8.h"
#include "store/tid.h"

/* ---------------------------------------------------------------- text */

/* Bytes at text that may be shown as they are (one character), or 0. */
static size_t harmless(const char *text, size_t length) {
    uint32_t character = 0;
    size_t bytes = utf8_decode(text, length, &character);
    if (bytes == 0 || character < 0x20 || (character >= 0x7f && character < 0xa0))
        return 0;
    /* Line separators, and the marks that change the direction of what follows. */
    if ((character >= 0x2028 && character <= 0x202e) || (character >= 0x2066 && character <= 0x2069))
        return 0;
    return bytes;
}

static void put_escaped(FILE *out, char byte) {
    switch (byte) {
    case '\n':
        (void)fputs("\\n", out);
        break;
    case '\t':
        (void)fputs("\\t", out);
        break;
    case '\r':
        (void)fputs("\\r", out);
        break;
    default:
        (void)fprintf(out, "\\%03o", (unsigned)(unsigned char)byte);
    }
}

void output_text(FILE *out, const char *text, size_t length) {
    for (size_t i = 0; i < length;) {
        size_t bytes = harmless(text + i, length - i);
        if (bytes == 0)
            put_escaped(out, text[i]);
        else
            (void)fwrite(text + i, 1, bytes, out);
        i += bytes ? bytes : 1;
    }
}

void output_name(FILE *out, const char *name) {
    size_t length = strlen(name), i = 0;
    while (i < length) {
        size_t bytes = harmless(name + i, length - i);
        if (bytes == 0)
            break;
        i += bytes;
    }
    if (i == length || !(out == stdout ? pager_is_terminal() : isatty(fileno(out)))) {
        (void)fputs(name, out);
        return;
    }
    (void)fputs("$'", out);
    for (i = 0; i < length;) {
        size_t bytes = harmless(name + i, length - i);
        if (bytes == 0)
            put_escaped(out, name[i]);
        else if (name[i] == '\'' || name[i] == '\\')
            (void)fprintf(out, "\\%c", name[i]);
        else
            (void)fwrite(name + i, 1, bytes, out);
        i += bytes ? bytes : 1;
    }
    (void)fputc('\'', out);
}

void output_error(const char *format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    size_t shown = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;
    (void)fflush(stdout);
    (void)fputs("tidfs: ", stderr);
    /* Behind the pager both are shown by it. */
    if (isatty(STDERR_FILENO) || pager_is_terminal())
        output_text(stderr, line, shown);
    else
        (void)fwrite(line, 1, shown, stderr);
    (void)fputc('\n', stderr);
}

int output_finish(void) {
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    int saved = errno;
    pager_end();
    if (written)
        return EXIT_DONE;
    if (saved != EPIPE)
        output_error("cannot write to stdout: %s", strerror(saved));
    return EXIT_FAILED;
}

/* ---------------------------------------------------------------- numbers */

void output_time(struct timespec when, bool utc, char text[OUTPUT_TIME_SIZE]) {
    struct tm local;
    if (utc || !localtime_r(&when.tv_sec, &local)) {
        tid_format_time(when, text);
        return;
    }
    /* RFC 3339 offsets have whole minutes; those of before standard time did not. */
    int minutes = (int)(local.tm_gmtoff / 60);
    struct timespec shifted = {.tv_sec = when.tv_sec + (time_t)minutes * 60, .tv_nsec = when.tv_nsec};
    char shown[TID_TIME_TEXT_SIZE];
    tid_format_time(shifted, shown);
    size_t length = strlen(shown);
    if (length > 0 && shown[length - 1] == 'Z')
        shown[length - 1] = 0;
    unsigned ahead = (unsigned)abs(minutes);
    (void)snprintf(text, OUTPUT_TIME_SIZE, "%.*s%c%02u:%02u", TID_TIME_TEXT_SIZE - 1, shown, minutes < 0 ? '-' : '+',
                   ahead / 60 % 100, ahead % 60);
}

void output_bytes(uint64_t bytes, char text[OUTPUT_BYTES_SIZE]) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        (void)snprintf(text, OUTPUT_BYTES_SIZE, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
        return;
    }
    size_t unit = 0;
    while (unit + 1 < sizeof units / sizeof *units && bytes >> (10 * (unit + 2)))
        unit++;
    double value = (double)(bytes >> (10 * unit)) / 1024.0;
    (void)snprintf(text, OUTPUT_BYTES_SIZE, "%.1f %s", value, units[unit]);
}

void output_duration(uint64_t ns, char text[OUTPUT_BYTES_SIZE]) {
    uint64_t seconds = ns / 1000000000;
    if (seconds == 0)
        (void)snprintf(text, OUTPUT_BYTES_SIZE, "%" PRIu64 " ms", ns / 1000000);
    else if (seconds < 60)
        (void)snprintf(text, OUTPUT_BYTES_SIZE, "%" PRIu64 " s", seconds);
    else if (seconds < 3600)
        (void)snprintf(text, OUTPUT_BYTES_SIZE, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
    else
        (void)snprintf(text, OUTPUT_BYTES_SIZE, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds / 60 % 60);
}

/* ---------------------------------------------------------------- progress */

void progress_init(struct progress *progress, const char *label) {
    *progress = (struct progress){.label = label, .terminal = isatty(STDERR_FILENO) == 1};
    if (clock_gettime(CLOCK_MONOTONIC, &progress->started))
        progress->terminal = false;
}

void progress_update(struct progress *progress, uint64_t done, uint64_t total) {
    if (!progress->terminal)
        return;
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now))
        return;
    int64_t ms =
        (int64_t)(now.tv_sec - progress->started.tv_sec) * 1000 + (now.tv_nsec - progress->started.tv_nsec) / 1000000;
    if (ms < 1000)
        return;
    if (total > 0)
        (void)fprintf(stderr, "\r%s: %" PRIu64 " of %" PRIu64 " (%d %%)\033[K", progress->label, done, total,
                      (int)(100.0 * (double)(done < total ? done : total) / (double)total));
    else
        (void)fprintf(stderr, "\r%s: %" PRIu64 "\033[K", progress->label, done);
    (void)fflush(stderr);
    progress->shown = true;
}

void progress_clear(struct progress *progress) {
    if (!progress->shown)
        return;
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    progress->shown = false;
}
