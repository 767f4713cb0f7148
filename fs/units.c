/* Durations, sizes and counts: see fs/units.h. */
#include "fs/units.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "store/error.h"

struct unit {
    const char *name; /* "" is the plain number */
    uint64_t factor;
};

static int parse(const char *text, const struct unit *units, size_t unit_count, uint64_t *result) {
    uint64_t value = 0;
    bool fits = true;
    const char *next = text;
    for (; *next >= '0' && *next <= '9'; next++) {
        fits = fits && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(*next - '0'), &value);
    }
    if (next == text)
        return STORE_INVALID;
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(next, units[i].name) != 0)
            continue;
        if (!fits || __builtin_mul_overflow(value, units[i].factor, &value) || value > INT64_MAX)
            return STORE_TOO_BIG;
        *result = value;
        return STORE_OK;
    }
    return STORE_INVALID;
}

int duration_parse(const char *text, uint64_t *ns) {
    static const struct unit units[] = {
        {"", NS_PER_SECOND},       {"ms", NS_PER_MS},           {"s", NS_PER_SECOND},
        {"m", NS_PER_SECOND * 60}, {"h", NS_PER_SECOND * 3600}, {"d", NS_PER_SECOND * 86400},
    };
    return parse(text, units, sizeof units / sizeof *units, ns);
}

int size_parse(const char *text, uint64_t *bytes) {
    static const struct unit units[] = {
        {"", 1},
        {"k", UINT64_C(1) << 10},
        {"K", UINT64_C(1) << 10},
        {"m", UINT64_C(1) << 20},
        {"M", UINT64_C(1) << 20},
        {"g", UINT64_C(1) << 30},
        {"G", UINT64_C(1) << 30},
        {"t", UINT64_C(1) << 40},
        {"T", UINT64_C(1) << 40},
    };
    return parse(text, units, sizeof units / sizeof *units, bytes);
}

int count_parse(const char *text, uint64_t *count) {
    static const struct unit units[] = {{"", 1}};
    return parse(text, units, 1, count);
}
