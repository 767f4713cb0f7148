/* Mistyped words: the optimal string alignment distance, with three rows of its table. */
#include "fs/suggest.h"

#include <stdint.h>
#include <string.h>

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t suggest_distance(const char *typed, const char *known) {
    size_t typed_length = strlen(typed), known_length = strlen(known);
    if (typed_length > SUGGEST_WORD_MAX || known_length > SUGGEST_WORD_MAX)
        return SIZE_MAX;

    /* Row i holds the distances from the first i letters typed to every start of `known`. */
    size_t rows[3][SUGGEST_WORD_MAX + 1];
    for (size_t k = 0; k <= known_length; k++)
        rows[0][k] = k;
    for (size_t t = 1; t <= typed_length; t++) {
        size_t *row = rows[t % 3], *above = rows[(t + 2) % 3], *two_above = rows[(t + 1) % 3];
        row[0] = t;
        for (size_t k = 1; k <= known_length; k++) {
            row[k] = least(above[k - 1] + (typed[t - 1] == known[k - 1] ? 0 : 1), least(above[k], row[k - 1]) + 1);
            if (t > 1 && k > 1 && typed[t - 1] == known[k - 2] && typed[t - 2] == known[k - 1])
                row[k] = least(row[k], two_above[k - 2] + 1);
        }
    }
    size_t distance = rows[typed_length % 3][known_length];
    size_t most = known_length / 3 > 1 ? known_length / 3 : 1;
    return distance <= most ? distance : SIZE_MAX;
}
