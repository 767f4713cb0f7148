/* Transaction ids: see store/tid.h for the layout.
 *
 * The calendar arithmetic here is the proleptic Gregorian one, in days counted from 1970-01-01, and knows nothing
 * of time zones or of the C library's idea of local time. Leap seconds do not exist: a day has 86400 seconds.
 */
#include "store/tid.h"

#include <inttypes.h>
#include <stdio.h>

#define SECONDS_PER_DAY 86400
#define NS_PER_SECOND   UINT64_C(1000000000)
#define YEAR_FIRST      1900

/* ns within the minute = low * 29296875 / 2^21, which is low * 60e9 / 2^32 in lowest terms. */
#define FRACTION_MULTIPLIER UINT64_C(29296875)
#define FRACTION_SHIFT      21

struct civil_day {
    int64_t year;
    unsigned month; /* 1..12 */
    unsigned day;   /* 1..31 */
};

/* Days from 1970-01-01 to a date, for years after 0. Counting years from March puts the leap day last, so that the days before
 * a month need no table; 400 years are one period of 146097 days. */
static int64_t days_from_civil(int64_t year, unsigned month, unsigned day) {
    int64_t march_year = month <= 2 ? year - 1 : year;
    int64_t era = march_year / 400;
    int64_t year_of_era = march_year - era * 400;
    int64_t day_of_year = (int64_t)((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1);
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct civil_day civil_from_days(int64_t days) {
    days += 719468; /* from 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t march_month = (5 * day_of_year + 2) / 153;
    struct civil_day civil = {
        .month = (unsigned)(march_month < 10 ? march_month + 3 : march_month - 9),
        .day = (unsigned)(day_of_year - (153 * march_month + 2) / 5 + 1),
    };
    civil.year = year_of_era + era * 400 + (civil.month <= 2 ? 1 : 0);
    return civil;
}

/* Splits seconds since the epoch into a day and the second of that day, rounding towards the past. */
static void split_seconds(int64_t seconds, int64_t *day, int64_t *second_of_day) {
    *day = seconds / SECONDS_PER_DAY;
    *second_of_day = seconds % SECONDS_PER_DAY;
    if (*second_of_day < 0) {
        *second_of_day += SECONDS_PER_DAY;
        *day -= 1;
    }
}

bool tid_from_time(struct timespec when, uint64_t *tid) {
    if (when.tv_nsec < 0 || when.tv_nsec > 999999999)
        return false;

    int64_t day, second_of_day;
    split_seconds(when.tv_sec, &day, &second_of_day);
    struct civil_day civil = civil_from_days(day);
    /* The upper bound only keeps the multiplication below 64 bits; TID_MAX is checked at the end. */
    if (civil.year < YEAR_FIRST || civil.year > 9999)
        return false;

    uint64_t minutes = (uint64_t)(civil.year - YEAR_FIRST) * 12 + civil.month - 1;
    minutes = minutes * 31 + civil.day - 1;
    minutes = minutes * 24 + (uint64_t)second_of_day / 3600;
    minutes = minutes * 60 + (uint64_t)second_of_day / 60 % 60;
    uint64_t ns_in_minute = (uint64_t)second_of_day % 60 * NS_PER_SECOND + (uint64_t)when.tv_nsec;
    /* The last tick whose shown nanosecond, rounded down, is not after the instant: rounding the instant itself down to a tick
     * would miss the very tid whose time was shown. For the times that are shown it is the same as
     * ceil(ns * 2^21 / 29296875); for others it is the tick that ZODB gives. It stays below 2^32 for every ns. */
    uint64_t fraction = (((ns_in_minute + 1) << FRACTION_SHIFT) - 1) / FRACTION_MULTIPLIER;
    if (minutes > TID_MAX >> 32) /* before the sum below can wrap */
        return false;
    *tid = (minutes << 32) + fraction;
    return true;
}

struct timespec tid_to_time(uint64_t tid) {
    uint64_t minutes = tid >> 32;
    uint64_t fraction = tid & UINT32_MAX;
    uint64_t ns_in_minute = (fraction * FRACTION_MULTIPLIER) >> FRACTION_SHIFT;

    uint64_t minute = minutes % 60, hour = minutes / 60 % 24, days = minutes / (UINT64_C(60) * 24);
    uint64_t day = days % 31, month = days / 31 % 12, year = days / (UINT64_C(31) * 12);
    int64_t days_since_epoch = days_from_civil((int64_t)year + YEAR_FIRST, (unsigned)month + 1, 1) + (int64_t)day;
    int64_t seconds_of_day = (int64_t)(hour * 3600 + minute * 60 + ns_in_minute / NS_PER_SECOND);
    return (struct timespec){
        .tv_sec = days_since_epoch * SECONDS_PER_DAY + seconds_of_day,
        .tv_nsec = (long)(ns_in_minute % NS_PER_SECOND),
    };
}

bool tid_next(struct timespec now, uint64_t last, uint64_t *tid) {
    if (last >= TID_MAX)
        return false;
    uint64_t clock;
    if (!tid_from_time(now, &clock)) {
        /* A clock outside the range of tids is refused only where it would have to be used: before 1900 it is one that stepped
         * back. */
        if (now.tv_sec > 0)
            return false;
        clock = 0;
    }
    *tid = clock > last ? clock : last + 1;
    return true;
}

void tid_format(uint64_t tid, char text[TID_TEXT_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < TID_TEXT_SIZE - 1; i++)
        text[i] = digits[tid >> (60 - 4 * i) & 15];
    text[TID_TEXT_SIZE - 1] = '\0';
}

bool tid_parse(const char *text, size_t length, uint64_t *tid) {
    if (length != TID_TEXT_SIZE - 1)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return false;
        value = value << 4 | digit;
    }
    if (value > TID_MAX)
        return false;
    *tid = value;
    return true;
}

void tid_format_time(struct timespec when, char text[TID_TIME_TEXT_SIZE]) {
    int64_t day, second_of_day;
    split_seconds(when.tv_sec, &day, &second_of_day);
    struct civil_day civil = civil_from_days(day);
    (void)snprintf(text, TID_TIME_TEXT_SIZE, "%04" PRId64 "-%02u-%02uT%02u:%02u:%02u.%09ldZ", civil.year, civil.month,
                   civil.day, (unsigned)(second_of_day / 3600), (unsigned)(second_of_day / 60 % 60),
                   (unsigned)(second_of_day % 60), when.tv_nsec);
}
