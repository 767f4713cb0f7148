/* The grammar of <when>: a recursive descent over the bytes, one function a form. See history/when.h for the grammar.
 *
 * The first bytes decide the form, and from then on there is no way back: "2026-13" is a bad date and not a tag. So the forms are
 * told apart in parse_base alone, and errors speak of the form that was meant.
 */
#include "history/when.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "store/tid.h"

#define SECONDS_PER_DAY 86400
#define QUOTE_MAX       64 /* bytes of the text that an error repeats */

struct parser {
    const char *text, *end; /* the whole of it, for errors */
    const char *next;       /* the first byte that is not parsed yet */
    const char *base_end;   /* where the steps begin */
    struct error *err;
};

/* Copies text for an error message: bytes that a terminal would act on become '?'. */
static void quote(const char *text, size_t length, char quoted[QUOTE_MAX + 4]) {
    size_t shown = length < QUOTE_MAX ? length : QUOTE_MAX;
    for (size_t i = 0; i < shown; i++) {
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
        quoted[i] = '?';
        if (!control)
            quoted[i] = text[i];
    }
    if (shown < length)
        memcpy(quoted + shown, "...", sizeof "...");
    else
        quoted[shown] = '\0';
}

__attribute__((format(printf, 2, 3))) static int refuse(const struct parser *parser, const char *format, ...) {
    char quoted[QUOTE_MAX + 4], reason[256];
    quote(parser->text, (size_t)(parser->end - parser->text), quoted);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments); /* cut, if need be */
    va_end(arguments);
    return error_set(parser->err, STORE_INVALID, "\"%s\" is not a time: %s", quoted, reason);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Length of the run of digits at `text`. */
static size_t digits_at(const char *text, const char *end) {
    size_t count = 0;
    while (count < (size_t)(end - text) && is_digit(text[count]))
        count++;
    return count;
}

static bool looks_like_tid(const char *text, size_t length) {
    if (length != TID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!is_hex_digit(text[i]))
            return false;
    }
    return true;
}

static bool text_is(const char *text, size_t length, const char *word) {
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

static const char *const keywords[] = {"now", "today", "yesterday"};

/* The keyword that the text is in any mix of cases, or NULL. */
static const char *keyword_like(const char *text, size_t length) {
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (length == strlen(keywords[i]) && strncasecmp(text, keywords[i], length) == 0)
            return keywords[i];
    }
    return NULL;
}

/* ---- what the forms are made of ---- */

static bool at_end(const struct parser *parser) {
    return parser->next == parser->base_end;
}

static bool next_is(const struct parser *parser, char c) {
    return !at_end(parser) && *parser->next == c;
}

static bool skip(struct parser *parser, char c) {
    if (!next_is(parser, c))
        return false;
    parser->next++;
    return true;
}

/* Exactly `digits` digits, at most 4. */
static bool take_fixed(struct parser *parser, size_t digits, int *value) {
    if (digits > (size_t)(parser->base_end - parser->next))
        return false;
    int result = 0;
    for (size_t i = 0; i < digits; i++) {
        if (!is_digit(parser->next[i]))
            return false;
        result = result * 10 + (parser->next[i] - '0');
    }
    parser->next += digits;
    *value = result;
    return true;
}

/* One digit or more. False if there is none, or if the number is above INT64_MAX; *present tells which. */
static bool take_number(struct parser *parser, const char *end, uint64_t *value, bool *present) {
    uint64_t result = 0;
    *present = false;
    for (; parser->next < end && is_digit(*parser->next); parser->next++) {
        *present = true;
        if (__builtin_mul_overflow(result, 10, &result) ||
            __builtin_add_overflow(result, (uint64_t)(*parser->next - '0'), &result) || result > INT64_MAX)
            return false;
    }
    *value = result;
    return *present;
}

/* "." and digits, or nothing. */
static int take_fraction(struct parser *parser, long *ns) {
    *ns = 0;
    if (!skip(parser, '.'))
        return STORE_OK;
    size_t digits = digits_at(parser->next, parser->base_end);
    if (digits == 0)
        return refuse(parser, "digits are missing after the point, as in 10:30:00.25");
    for (size_t i = 0; i < 9; i++)
        *ns = *ns * 10 + (i < digits ? parser->next[i] - '0' : 0);
    parser->next += digits;
    return STORE_OK;
}

/* The one way out for everything that names an instant: what no tid can stand for is refused. */
static int set_instant(const struct parser *parser, struct timespec instant, struct when *out) {
    uint64_t tid;
    if (!tid_from_time(instant, &tid))
        return refuse(parser, "it lies outside the years 1900 to 5908");
    out->instant = instant;
    return STORE_OK;
}

static int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Fields as they were written: month and day count from 1. */
struct date {
    int year, month, day, hour, minute, second;
    long ns;
    int64_t zone_seconds; /* east of UTC */
};

static int check_day(const struct parser *parser, const struct date *date) {
    if (date->month < 1 || date->month > 12)
        return refuse(parser, "there is no month %02d, only 01 to 12, as in 2026-11", date->month);
    int days = days_in_month(date->year, date->month);
    if (date->day < 1 || date->day > days)
        return refuse(parser, "%04d-%02d has the days 01 to %02d, not %02d", date->year, date->month, days, date->day);
    return STORE_OK;
}

static int check_clock(const struct parser *parser, const struct date *date) {
    if (date->hour > 23)
        return refuse(parser, "hours are 00 to 23, not %02d, as in 2026-11-22T10:30", date->hour);
    if (date->minute > 59)
        return refuse(parser, "minutes are 00 to 59, not %02d, as in 2026-11-22T10:30", date->minute);
    if (date->second == 60)
        return refuse(parser, "a minute has the seconds 00 to 59; leap seconds have no name of their own");
    if (date->second > 59)
        return refuse(parser, "seconds are 00 to 59, not %02d, as in 2026-11-22T10:30:00", date->second);
    return STORE_OK;
}

static int set_date(const struct parser *parser, const struct date *date, struct when *out) {
    struct tm tm = {
        .tm_year = date->year - 1900,
        .tm_mon = date->month - 1,
        .tm_mday = date->day,
        .tm_hour = date->hour,
        .tm_min = date->minute,
        .tm_sec = date->second,
    };
    /* timegm fails for no date of four digits, and its -1 is one of them. */
    struct timespec instant = {.tv_sec = timegm(&tm) - date->zone_seconds, .tv_nsec = date->ns};
    out->kind = WHEN_INSTANT;
    return set_instant(parser, instant, out);
}

/* ---- dates ---- */

static int parse_zone(struct parser *parser, struct date *date) {
    if (at_end(parser) || skip(parser, 'Z') || skip(parser, 'z'))
        return STORE_OK;
    bool east = next_is(parser, '+');
    if (!skip(parser, '+') && !skip(parser, '-'))
        return refuse(parser, "what follows the time of day is no time zone, as Z, +01:00 or -0730 are");
    int hours, minutes;
    bool complete = take_fixed(parser, 2, &hours);
    if (complete) {
        skip(parser, ':');
        complete = take_fixed(parser, 2, &minutes);
    }
    if (!complete)
        return refuse(parser, "a time zone has hours and minutes, as in +01:00 or -0730");
    if (hours > 23 || minutes > 59)
        return refuse(parser, "a time zone goes up to 23:59, as in +01:00");
    int64_t seconds = hours * 3600 + minutes * 60;
    date->zone_seconds = east ? seconds : -seconds;
    return STORE_OK;
}

/* Minutes and seconds after the hour: both with colons, or both without. */
static int parse_minutes(struct parser *parser, struct date *date) {
    bool colons = next_is(parser, ':');
    if (!colons && digits_at(parser->next, parser->base_end) == 0) /* the hour alone */
        return STORE_OK;
    if (colons)
        parser->next++;
    if (!take_fixed(parser, 2, &date->minute))
        return refuse(parser, "minutes have two digits, as in 10:30 or 1030");
    bool seconds = colons ? next_is(parser, ':') : digits_at(parser->next, parser->base_end) > 0;
    if (!colons && next_is(parser, ':'))
        return refuse(parser, "a time of day has all its colons or none, as in 10:30:00 or 103000");
    if (!seconds)
        return STORE_OK;
    if (colons)
        parser->next++;
    if (!take_fixed(parser, 2, &date->second))
        return refuse(parser, "seconds have two digits, as in 10:30:00 or 103000");
    return take_fraction(parser, &date->ns);
}

static int parse_clock(struct parser *parser, struct date *date) {
    if (!take_fixed(parser, 2, &date->hour))
        return refuse(parser, "hours have two digits, as in 2026-11-22T10:30");
    int rc = parse_minutes(parser, date);
    if (rc < 0)
        return rc;
    if (next_is(parser, ':') || digits_at(parser->next, parser->base_end) > 0)
        return refuse(parser, "a time of day is written 10:30, 10:30:00 or 10:30:00.25, or the same without colons");
    if (next_is(parser, '.'))
        return refuse(parser, "only seconds have a fraction, as in 10:30:00.25");
    rc = check_clock(parser, date);
    return rc < 0 ? rc : parse_zone(parser, date);
}

static int parse_date(struct parser *parser, struct when *out) {
    struct date date = {.month = 1, .day = 1};
    int rc;
    if (!take_fixed(parser, 4, &date.year))
        return refuse(parser, "a year has four digits, as in 2026-11-22");
    if (!at_end(parser)) {
        if (!skip(parser, '-') || !take_fixed(parser, 2, &date.month))
            return refuse(parser, "a date is written 2026, 2026-11 or 2026-11-22 (seconds since 1970 begin with @)");
    }
    rc = check_day(parser, &date);
    if (rc < 0)
        return rc;
    if (!at_end(parser)) {
        if (!skip(parser, '-') || !take_fixed(parser, 2, &date.day))
            return refuse(parser, "a day follows the month as two digits, as in 2026-11-22");
        rc = check_day(parser, &date);
        if (rc < 0)
            return rc;
    }
    if (!at_end(parser)) {
        if (!skip(parser, 'T') && !skip(parser, 't') && !skip(parser, ' '))
            return refuse(parser, "the time of day follows the date after T or one space, as in 2026-11-22T10:30");
        rc = parse_clock(parser, &date);
        if (rc < 0)
            return rc;
    }
    if (!at_end(parser))
        return refuse(parser, "something follows the time zone; a whole time is 2026-11-22T10:30:00.25+01:00");
    return set_date(parser, &date, out);
}

static int parse_samba(struct parser *parser, struct when *out) {
    struct date date = {0};
    int *const fields[] = {&date.year, &date.month, &date.day, &date.hour, &date.minute, &date.second};
    static const char separators[] = "-..-..";
    parser->next += strlen("@GMT");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!skip(parser, separators[i]) || !take_fixed(parser, i == 0 ? 4 : 2, fields[i]))
            return refuse(parser, "Samba's form is @GMT-2026.11.22-10.30.00");
    }
    if (!at_end(parser))
        return refuse(parser, "something follows the seconds; Samba's form is @GMT-2026.11.22-10.30.00");
    int rc = check_day(parser, &date);
    if (rc == STORE_OK)
        rc = check_clock(parser, &date);
    return rc < 0 ? rc : set_date(parser, &date, out);
}

/* ---- the other forms ---- */

static int parse_epoch(struct parser *parser, struct when *out) {
    struct timespec instant;
    uint64_t seconds;
    bool present;
    parser->next++;
    bool negative = skip(parser, '-');
    if (!take_number(parser, parser->base_end, &seconds, &present)) {
        return present ? refuse(parser, "that many seconds lie outside the years 1900 to 5908")
                       : refuse(parser, "@ is followed by seconds since 1970, as in @1795343400.5");
    }
    int rc = take_fraction(parser, &instant.tv_nsec);
    if (rc < 0)
        return rc;
    if (!at_end(parser))
        return refuse(parser, "something follows the number; seconds since 1970 are written @1795343400.5");
    instant.tv_sec = negative ? -(int64_t)seconds : (int64_t)seconds;
    if (negative && instant.tv_nsec > 0) {
        instant.tv_sec -= 1;
        instant.tv_nsec = 1000000000 - instant.tv_nsec;
    }
    out->kind = WHEN_INSTANT;
    return set_instant(parser, instant, out);
}

static int64_t seconds_of_unit(char unit) {
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return SECONDS_PER_DAY;
    case 'w':
        return INT64_C(7) * SECONDS_PER_DAY;
    default:
        return 0;
    }
}

static void set_now(struct timespec now, struct when *out) {
    out->kind = WHEN_NOW;
    out->instant = now;
    out->needs_seal = true;
}

static int parse_ago(struct parser *parser, struct timespec now, struct when *out) {
    uint64_t amount;
    bool present;
    parser->next++;
    if (!take_number(parser, parser->base_end, &amount, &present)) {
        return present ? refuse(parser, "that is before the year 1900")
                       : refuse(parser, "- is followed by a number and a unit, as in -90s, -15m, -2h, -3d or -2w");
    }
    int64_t unit = at_end(parser) ? 0 : seconds_of_unit(*parser->next);
    if (unit == 0 || parser->next + 1 != parser->base_end)
        return refuse(parser, "a number is followed by one unit of s, m, h, d or w, as in -90s, -15m, -2h, -3d or -2w");
    parser->next++;
    if (amount == 0) {
        set_now(now, out);
        return STORE_OK;
    }
    int64_t offset;
    if (__builtin_mul_overflow((int64_t)amount, unit, &offset) ||
        __builtin_sub_overflow((int64_t)now.tv_sec, offset, &now.tv_sec))
        return refuse(parser, "that is before the year 1900");
    out->kind = WHEN_RELATIVE;
    return set_instant(parser, now, out);
}

/* 00:00 UTC of the day that is `days` before the clock's. */
static int parse_day_start(const struct parser *parser, struct timespec now, int days, struct when *out) {
    int64_t into_day = now.tv_sec % SECONDS_PER_DAY;
    if (into_day < 0)
        into_day += SECONDS_PER_DAY;
    struct timespec start = {0};
    if (__builtin_sub_overflow((int64_t)now.tv_sec, into_day + (int64_t)days * SECONDS_PER_DAY, &start.tv_sec))
        return refuse(parser, "the clock is outside the years 1900 to 5908");
    out->kind = WHEN_RELATIVE;
    return set_instant(parser, start, out);
}

static int parse_base(struct parser *parser, struct timespec now, struct when *out) {
    const char *base = parser->next;
    size_t length = (size_t)(parser->base_end - base);
    if (length == 0)
        return refuse(parser, "there is nothing to step back from, as there is in now~3 or release-1^");
    if (looks_like_tid(base, length)) {
        out->kind = WHEN_TID;
        return tid_parse(base, length, &out->tid)
                   ? STORE_OK
                   : refuse(parser, "16 hex digits are a transaction id, and the last one is 7fffffffffffffff");
    }
    if (*base == '@')
        return length >= 4 && memcmp(base, "@GMT", 4) == 0 ? parse_samba(parser, out) : parse_epoch(parser, out);
    if (*base == '-')
        return parse_ago(parser, now, out);
    if (digits_at(base, parser->base_end) >= 4)
        return parse_date(parser, out);
    if (text_is(base, length, "now")) {
        set_now(now, out);
        return STORE_OK;
    }
    if (text_is(base, length, "today"))
        return parse_day_start(parser, now, 0, out);
    if (text_is(base, length, "yesterday"))
        return parse_day_start(parser, now, 1, out);
    int rc = when_tag_name_check(base, length, parser->err);
    if (rc < 0)
        return rc;
    out->kind = WHEN_TAG;
    memcpy(out->tag, base, length);
    out->tag[length] = '\0';
    return STORE_OK;
}

static int parse_steps(struct parser *parser, struct when *out) {
    parser->next = parser->base_end;
    while (parser->next < parser->end) {
        char c = *parser->next++;
        uint64_t steps = 1;
        bool present = true, fits = true;
        if (c == '~')
            fits = take_number(parser, parser->end, &steps, &present);
        else if (c != '^')
            return refuse(parser, "after a step only ~ with a number, or ^, can follow, as in now~3^");
        else if (digits_at(parser->next, parser->end) > 0)
            return refuse(parser, "^ takes no number: two transactions earlier is ^^ or ~2");
        if (!present)
            return refuse(parser, "~ is followed by a number of transactions, as in now~3");
        if (!fits || steps > WHEN_STEPS_MAX - out->steps)
            return refuse(parser, "no store has that many transactions to step back");
        out->steps += steps;
    }
    return STORE_OK;
}

int when_parse(const char *text, size_t length, struct timespec now, struct when *out, struct error *err) {
    if (length == 0)
        return error_set(err, STORE_INVALID, "a time is missing: say for example now, -2h, 2026-11-22 or a tag");
    struct parser parser = {.text = text, .end = text + length, .next = text, .base_end = text, .err = err};
    while (parser.base_end < parser.end && *parser.base_end != '~' && *parser.base_end != '^')
        parser.base_end++;

    struct when result = {0};
    int rc = parse_base(&parser, now, &result);
    if (rc == STORE_OK)
        rc = parse_steps(&parser, &result);
    if (rc < 0)
        return rc;
    result.moving = result.kind != WHEN_TID && result.kind != WHEN_INSTANT;
    *out = result;
    return STORE_OK;
}

/* ---- tags ---- */

/* Why the bytes of a name are not acceptable, or NULL. */
static const char *bytes_refused(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= 0x20 || c == 0x7f)
            return "a tag has no spaces or control characters";
        if (strchr("/~^@:", c))
            return "a tag has none of the characters / ~ ^ @ :";
        if (c == '.' && i + 1 < length && text[i + 1] == '.')
            return "a tag has no two points in a row, which separate the ends of a range";
    }
    return NULL;
}

/* Why a name could be taken for another form, or NULL. */
static const char *form_refused(const char *text, size_t length) {
    size_t digits = digits_at(text, text + length);
    if (looks_like_tid(text, length))
        return "16 hex digits are always a transaction id";
    if (keyword_like(text, length))
        return "now, today and yesterday are times, written in lower case";
    if (digits >= 4)
        return "a name that begins with four digits is a date";
    size_t date_like = 0;
    while (date_like < length && (is_digit(text[date_like]) || text[date_like] == '-'))
        date_like++;
    if (date_like == length)
        return "digits and hyphens alone are a date, and a year has four digits, as in 2026-11-22";
    return NULL;
}

int when_tag_name_check(const char *text, size_t length, struct error *err) {
    const char *reason = NULL;
    if (length == 0)
        reason = "a tag has a name, such as release-1";
    else if (length > WHEN_TAG_MAX)
        reason = "a tag has at most 255 bytes";
    else if (*text == '-' || *text == '.' || text[length - 1] == '.')
        reason = "a tag begins with no - or . and ends with no .";
    if (!reason)
        reason = bytes_refused(text, length);
    if (!reason)
        reason = form_refused(text, length);
    if (!reason)
        return STORE_OK;
    char quoted[QUOTE_MAX + 4];
    quote(text, length, quoted);
    return error_set(err, STORE_INVALID, "\"%s\" is neither a time nor the name of a tag: %s", quoted, reason);
}

bool when_tag_name_valid(const char *name) {
    return when_tag_name_check(name, strlen(name), NULL) == STORE_OK;
}
