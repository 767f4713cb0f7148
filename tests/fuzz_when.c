/* Fuzzes when_parse: whatever is accepted keeps the invariants of history/when.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history/when.h"
#include "store/tid.h"

/* 2026-11-22T10:30:00.25Z */
static const struct timespec now = {.tv_sec = 1795343400, .tv_nsec = 250000000};

/* Unlike assert, not to be compiled away. */
static void require(bool holds, const char *what) {
    if (holds)
        return;
    (void)fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static bool same_instant(struct timespec a, struct timespec b) {
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Writes what was parsed in the plainest form, without steps. */
static void format_plainly(const struct when *when, char text[WHEN_TAG_MAX + 1]) {
    if (when->kind == WHEN_TID)
        tid_format(when->tid, text);
    else if (when->kind == WHEN_TAG)
        memcpy(text, when->tag, sizeof when->tag);
    else if (when->kind == WHEN_NOW)
        memcpy(text, "now", sizeof "now");
    else
        tid_format_time(when->instant, text);
}

static void check_kind(const struct when *when) {
    uint64_t tid;
    switch (when->kind) {
    case WHEN_TID:
        require(when->tid <= TID_MAX, "a tid is at most TID_MAX");
        break;
    case WHEN_INSTANT:
    case WHEN_RELATIVE:
        require(tid_from_time(when->instant, &tid), "an instant has a tid");
        break;
    case WHEN_NOW:
        require(same_instant(when->instant, now), "now is the clock");
        break;
    case WHEN_TAG:
        require(memchr(when->tag, '\0', sizeof when->tag) != NULL, "a tag ends");
        require(when_tag_name_valid(when->tag), "a tag has a valid name");
        break;
    default:
        require(false, "the kind is known");
    }
    bool fixed = when->kind == WHEN_TID || when->kind == WHEN_INSTANT;
    require(when->moving == !fixed, "all but tids and dates move");
    require(when->needs_seal == (when->kind == WHEN_NOW), "only now needs a seal");
    require(when->steps <= WHEN_STEPS_MAX, "steps are bounded");
}

/* The plain form means the same, and so does the text with one more step. */
static void check_again(const struct when *when, const char *text, size_t length) {
    char plain[WHEN_TAG_MAX + 1];
    struct when again;
    format_plainly(when, plain);
    require(when_parse(plain, strlen(plain), now, &again, NULL) == STORE_OK, "the plain form is accepted");
    if (when->kind == WHEN_TID)
        require(again.kind == WHEN_TID && again.tid == when->tid, "the plain form is the same tid");
    else if (when->kind == WHEN_TAG)
        require(again.kind == WHEN_TAG && strcmp(again.tag, when->tag) == 0, "the plain form is the same tag");
    else
        require(same_instant(again.instant, when->instant), "the plain form is the same instant");

    char *longer = malloc(length + 1);
    require(longer != NULL, "there is memory");
    memcpy(longer, text, length);
    longer[length] = '^';
    int rc = when_parse(longer, length + 1, now, &again, NULL);
    free(longer);
    if (when->steps == WHEN_STEPS_MAX)
        require(rc == STORE_INVALID, "one step too many is refused");
    else
        require(rc == STORE_OK && again.kind == when->kind && again.steps == when->steps + 1,
                "one step more is counted");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;
    struct when when;
    struct error err = {0};
    int rc = when_parse(text, size, now, &when, &err);
    bool tag = when_tag_name_check(text, size, NULL) == STORE_OK;
    if (rc == STORE_OK) {
        check_kind(&when);
        check_again(&when, text, size);
        require(tag == (when.kind == WHEN_TAG && when.steps == 0 && memchr(text, '~', size) == NULL),
                "a tag's name is no other form");
    } else {
        require(rc == STORE_INVALID && err.code == STORE_INVALID, "a refusal is STORE_INVALID");
        require(strlen(err.text) > 0 && strlen(err.text) < sizeof err.text - 1, "a refusal is a whole sentence");
        require(!tag, "a valid tag name is accepted");
    }
    return 0;
}
