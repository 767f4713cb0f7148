#include "fs/json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "fs/utf8.h"
#include "store/tid.h"

void json_init(struct json *json, FILE *out) {
    *json = (struct json){.out = out};
}

static void put(const struct json *json, const char *text) {
    (void)fputs(text, json->out);
}

/* The text in quotes; bytes that are not UTF-8 become U+FFFD. Returns whether all of them were. */
static bool put_quoted(const struct json *json, const char *text, size_t length) {
    bool exact = true;
    (void)fputc('"', json->out);
    for (size_t i = 0; i < length;) {
        uint32_t character = 0;
        size_t bytes = utf8_decode(text + i, length - i, &character);
        if (bytes == 0) {
            put(json, "\xef\xbf\xbd");
            exact = false;
            i++;
            continue;
        }
        /* U+2028 and U+2029 are legal in JSON but not in older JavaScript, and controls above U+007F upset terminals. */
        if (character == '\n')
            put(json, "\\n");
        else if (character == '\t')
            put(json, "\\t");
        else if (character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 ||
                 character == 0x2029)
            (void)fprintf(json->out, "\\u%04" PRIx32, character);
        else if (character == '"' || character == '\\')
            (void)fprintf(json->out, "\\%c", (int)character);
        else
            (void)fwrite(text + i, 1, bytes, json->out);
        i += bytes;
    }
    (void)fputc('"', json->out);
    return exact;
}

/* The comma, the line and the key that come before a value. */
static void before_value(struct json *json, const char *key) {
    struct json_level *level = &json->levels[json->depth];
    if (json->depth == 0) {
        assert(!key);
        return;
    }
    assert(level->array == !key);
    if (level->filled)
        (void)fputc(',', json->out);
    if (level->lines)
        (void)fputc('\n', json->out);
    else if (level->filled)
        (void)fputc(' ', json->out);
    level->filled = true;
    if (key) {
        (void)put_quoted(json, key, strlen(key));
        put(json, ": ");
    }
}

static void after_value(const struct json *json) {
    if (json->depth == 0)
        (void)fputc('\n', json->out);
}

static void begin(struct json *json, const char *key, bool array, bool lines) {
    before_value(json, key);
    assert(json->depth < JSON_DEPTH_MAX);
    json->depth++;
    json->levels[json->depth] = (struct json_level){.array = array, .lines = lines};
    put(json, array ? "[" : "{");
}

static void end(struct json *json, bool array) {
    assert(json->depth > 0 && json->levels[json->depth].array == array);
    if (json->levels[json->depth].lines && json->levels[json->depth].filled)
        (void)fputc('\n', json->out);
    json->depth--;
    put(json, array ? "]" : "}");
    after_value(json);
}

void json_begin_object(struct json *json, const char *key) {
    begin(json, key, false, false);
}

void json_end_object(struct json *json) {
    end(json, false);
}

void json_begin_array(struct json *json, const char *key, bool lines) {
    begin(json, key, true, lines);
}

void json_end_array(struct json *json) {
    end(json, true);
}

static void put_base64(const struct json *json, const char *text, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)text;
    (void)fputc('"', json->out);
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (left > 1)
            group |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2)
            group |= bytes[i + 2];
        char four[] = {digits[group >> 18], digits[(group >> 12) & 63], '=', '=', 0};
        if (left > 1)
            four[2] = digits[(group >> 6) & 63];
        if (left > 2)
            four[3] = digits[group & 63];
        put(json, four);
    }
    (void)fputc('"', json->out);
}

void json_string(struct json *json, const char *key, const char *text) {
    if (!text) {
        json_null(json, key);
        return;
    }
    before_value(json, key);
    bool exact = put_quoted(json, text, strlen(text));
    if (!exact && key) {
        put(json, ", \"");
        put(json, key);
        put(json, "_base64\": ");
        put_base64(json, text, strlen(text));
    }
    after_value(json);
}

void json_number(struct json *json, const char *key, uint64_t value) {
    before_value(json, key);
    (void)fprintf(json->out, "%" PRIu64, value);
    after_value(json);
}

void json_bool(struct json *json, const char *key, bool value) {
    before_value(json, key);
    put(json, value ? "true" : "false");
    after_value(json);
}

void json_null(struct json *json, const char *key) {
    before_value(json, key);
    put(json, "null");
    after_value(json);
}

void json_tid(struct json *json, const char *key, uint64_t tid) {
    if (tid == 0) {
        json_null(json, key);
        return;
    }
    char text[TID_TEXT_SIZE];
    tid_format(tid, text);
    json_string(json, key, text);
}

void json_time(struct json *json, const char *key, struct timespec when) {
    char text[TID_TIME_TEXT_SIZE];
    tid_format_time(when, text);
    json_string(json, key, text);
}
