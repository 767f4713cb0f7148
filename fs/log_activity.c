#include "fs/log_activity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fs/json.h"
#include "fs/pager.h"

#define AUTO_HOURS_SPAN ((time_t)3 * 24 * 3600)
#define EMPTY_MAX       3 /* empty periods in a row that are shown */
#define LABEL_COLUMNS   20
#define COUNT_COLUMNS   8

void activity_init(struct activity *activity, bool utc) {
    *activity = (struct activity){.utc = utc};
}

void activity_release(struct activity *activity) {
    free(activity->items);
    activity->items = NULL;
    activity->count = activity->capacity = 0;
}

/* ---------------------------------------------------------------- periods */

static void broken_down(bool utc, time_t when, struct tm *tm) {
    if (utc || !localtime_r(&when, tm))
        (void)gmtime_r(&when, tm);
}

static time_t start_of_day(bool utc, struct tm tm, int days) {
    tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
    tm.tm_mday += days;
    tm.tm_isdst = -1;
    return utc ? timegm(&tm) : mktime(&tm);
}

static struct activity_period period_of(bool utc, enum activity_unit unit, time_t when) {
    struct activity_period period = {0};
    struct tm tm;
    broken_down(utc, when, &tm);
    if (unit == ACTIVITY_DAY) {
        period.start = start_of_day(utc, tm, 0);
        period.end = start_of_day(utc, tm, 1);
    } else {
        period.start = when - (time_t)tm.tm_min * 60 - tm.tm_sec;
        period.end = period.start + 3600;
    }
    return period;
}

bool activity_add(struct activity *activity, time_t when, uint64_t objects) {
    struct activity_period *last = activity->count > 0 ? &activity->items[activity->count - 1] : NULL;
    if (!last || when < last->start || when >= last->end) {
        if (activity->count == activity->capacity) {
            size_t capacity = activity->capacity ? activity->capacity * 2 : 64;
            struct activity_period *items = reallocarray(activity->items, capacity, sizeof *items);
            if (!items)
                return false;
            activity->items = items;
            activity->capacity = capacity;
        }
        last = &activity->items[activity->count++];
        *last = period_of(activity->utc, ACTIVITY_HOUR, when);
    }
    last->transactions++;
    last->objects += objects;
    return true;
}

/* Makes it what is to be printed: oldest first, in periods of the unit. Returns that. */
static enum activity_unit settle(struct activity *activity, enum activity_unit unit) {
    struct activity_period *items = activity->items;
    size_t count = activity->count, kept = 0;
    if (count > 1 && items[0].start > items[count - 1].start)
        for (size_t i = 0; i < count / 2; i++) {
            struct activity_period other = items[i];
            items[i] = items[count - 1 - i];
            items[count - 1 - i] = other;
        }
    if (unit == ACTIVITY_AUTO)
        unit = count == 0 || items[count - 1].end - items[0].start <= AUTO_HOURS_SPAN ? ACTIVITY_HOUR : ACTIVITY_DAY;
    for (size_t i = 0; i < count && unit == ACTIVITY_DAY; i++) {
        struct activity_period day = period_of(activity->utc, ACTIVITY_DAY, items[i].start);
        day.transactions = items[i].transactions;
        day.objects = items[i].objects;
        if (kept > 0 && items[kept - 1].start == day.start) {
            items[kept - 1].transactions += day.transactions;
            items[kept - 1].objects += day.objects;
        } else {
            items[kept++] = day;
        }
    }
    if (unit == ACTIVITY_DAY)
        activity->count = kept;
    return unit;
}

/* ---------------------------------------------------------------- printing */

static void print_line(const struct activity *activity, enum activity_unit unit, const struct activity_period *period,
                       unsigned width, uint64_t most) {
    char label[64];
    struct tm tm;
    broken_down(activity->utc, period->start, &tm);
    if (strftime(label, sizeof label, unit == ACTIVITY_DAY ? "%Y-%m-%d %a" : "%Y-%m-%d %a %H:%M", &tm) == 0)
        label[0] = '\0';
    printf("%-*s", LABEL_COLUMNS, label);
    if (period->transactions == 0) {
        (void)fputs("-\n", stdout);
        return;
    }
    printf("%*" PRIu64 "  %s", COUNT_COLUMNS, period->transactions, colour(COLOUR_ADDED));
    /* What is not empty has a mark. */
    uint64_t marks = (uint64_t)((double)period->transactions / (double)most * (double)width);
    for (uint64_t i = 0; i < (marks ? marks : 1); i++)
        (void)fputc('#', stdout);
    printf("%s\n", colour(COLOUR_NONE));
}

void activity_print(struct activity *activity, enum activity_unit unit, unsigned columns) {
    unit = settle(activity, unit);
    unsigned used = LABEL_COLUMNS + COUNT_COLUMNS + 2;
    unsigned width = columns > used + 10 ? columns - used : 10;
    uint64_t most = 1;
    for (size_t i = 0; i < activity->count; i++)
        most = activity->items[i].transactions > most ? activity->items[i].transactions : most;
    for (size_t i = 0; i < activity->count; i++) {
        const struct activity_period *period = &activity->items[i];
        time_t at = i > 0 ? activity->items[i - 1].end : period->start;
        struct activity_period empty[EMPTY_MAX];
        size_t count = 0;
        while (at < period->start && count < EMPTY_MAX) {
            empty[count] = period_of(activity->utc, unit, at);
            at = empty[count++].end;
        }
        if (at < period->start)
            (void)fputs("...\n", stdout);
        else
            for (size_t j = 0; j < count; j++)
                print_line(activity, unit, &empty[j], width, most);
        print_line(activity, unit, period, width, most);
    }
}

void activity_print_json(struct activity *activity, enum activity_unit unit) {
    (void)settle(activity, unit);
    for (size_t i = 0; i < activity->count; i++) {
        const struct activity_period *period = &activity->items[i];
        struct json json;
        json_init(&json, stdout);
        json_begin_object(&json, NULL);
        json_time(&json, "from", (struct timespec){.tv_sec = period->start});
        json_time(&json, "until", (struct timespec){.tv_sec = period->end});
        json_number(&json, "transactions", period->transactions);
        json_number(&json, "objects", period->objects);
        json_end_object(&json);
    }
}

unsigned activity_columns(void) {
    const char *columns = getenv("COLUMNS");
    struct winsize size = {0};
    if (columns && strtoul(columns, NULL, 10) > 0 && strtoul(columns, NULL, 10) < 10000)
        return (unsigned)strtoul(columns, NULL, 10);
    if ((ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) &&
        size.ws_col > 0)
        return size.ws_col;
    return 80;
}
