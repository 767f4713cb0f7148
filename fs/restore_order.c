#include "fs/restore_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The block: numbers of 8 bytes in the machine's order (it never leaves it); bytes as their count, themselves, and a NUL. */

/* ---- writing ---- */

static void put_number(FILE *out, uint64_t number) {
    (void)fwrite(&number, sizeof number, 1, out);
}

static void put_bytes(FILE *out, const void *bytes, size_t length) {
    put_number(out, length);
    if (length > 0)
        (void)fwrite(bytes, 1, length, out);
    (void)fputc('\0', out);
}

static void put_text(FILE *out, const char *text) {
    put_bytes(out, text, strlen(text));
}

int restore_order_encode(const struct restore_order *order, uint8_t **block, size_t *length) {
    const struct restore_request *request = &order->request;
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    if (!out)
        return STORE_NO_MEMORY;
    put_number(out, request->kind);
    put_number(out, request->before);
    put_number(out, request->keep_new);
    put_number(out, order->only_base);
    put_text(out, order->user);
    put_text(out, order->message);
    put_number(out, request->path_count);
    for (size_t i = 0; i < request->path_count; i++)
        put_text(out, request->paths[i]);
    put_number(out, request->seq_count);
    for (size_t i = 0; i < request->seq_count; i++)
        put_number(out, request->seqs[i]);
    put_number(out, request->choice_count);
    for (size_t i = 0; i < request->choice_count; i++) {
        const struct restore_choice *choice = &request->choices[i];
        put_text(out, choice->path);
        put_number(out, choice->comes);
        put_number(out, choice->whole);
        put_bytes(out, choice->data, choice->length);
    }
    int rc = ferror(out) ? STORE_NO_MEMORY : STORE_OK;
    if (fclose(out) != 0)
        rc = STORE_NO_MEMORY;
    if (rc == STORE_OK && *length > RESTORE_ORDER_MAX)
        rc = STORE_TOO_BIG;
    if (rc == STORE_OK)
        *block = (uint8_t *)text;
    else
        free(text);
    return rc;
}

/* ---- reading ---- */

struct reader {
    const uint8_t *at;
    size_t left;
    bool bad; /* since then all reads give 0 */
};

static uint64_t take_number(struct reader *reader) {
    uint64_t number = 0;
    if (reader->bad || reader->left < sizeof number) {
        reader->bad = true;
        return 0;
    }
    memcpy(&number, reader->at, sizeof number);
    reader->at += sizeof number;
    reader->left -= sizeof number;
    return number;
}

static const uint8_t *take_bytes(struct reader *reader, size_t *length) {
    uint64_t count = take_number(reader);
    const uint8_t *bytes = reader->at;
    *length = 0;
    if (reader->bad || count >= reader->left || bytes[count] != '\0') {
        reader->bad = true;
        return (const uint8_t *)"";
    }
    *length = (size_t)count;
    reader->at += count + 1;
    reader->left -= (size_t)count + 1;
    return bytes;
}

/* Without a NUL in it. */
static const char *take_text(struct reader *reader) {
    size_t length;
    const char *text = (const char *)take_bytes(reader, &length);
    reader->bad |= strlen(text) != length;
    return text;
}

/* How many of something follow, of which each takes at least `least` bytes. */
static size_t take_count(struct reader *reader, size_t least) {
    uint64_t count = take_number(reader);
    reader->bad |= count > reader->left / least;
    return reader->bad ? 0 : (size_t)count;
}

int restore_order_decode(const uint8_t *block, size_t length, struct restore_order *order) {
    struct reader reader = {.at = block, .left = length};
    struct restore_request *request = &order->request;
    *order = (struct restore_order){0};
    uint64_t kind = take_number(&reader);
    reader.bad |= kind != RESTORE_REVERT && kind != RESTORE_UNDO;
    request->kind = kind == RESTORE_UNDO ? RESTORE_UNDO : RESTORE_REVERT;
    request->before = take_number(&reader);
    request->keep_new = take_number(&reader) != 0;
    order->only_base = take_number(&reader);
    order->user = take_text(&reader);
    order->message = take_text(&reader);

    size_t path_count = take_count(&reader, sizeof(uint64_t) + 1);
    const char **paths = calloc(path_count + 1, sizeof *paths);
    request->paths = paths;
    for (size_t i = 0; i < path_count && paths; i++)
        paths[i] = take_text(&reader);
    request->path_count = path_count;

    size_t seq_count = take_count(&reader, sizeof(uint64_t));
    uint64_t *seqs = calloc(seq_count + 1, sizeof *seqs);
    request->seqs = seqs;
    for (size_t i = 0; i < seq_count && seqs; i++)
        seqs[i] = take_number(&reader);
    request->seq_count = seq_count;

    size_t choice_count = take_count(&reader, 4 * sizeof(uint64_t) + 2);
    struct restore_choice *choices = calloc(choice_count + 1, sizeof *choices);
    request->choices = choices;
    for (size_t i = 0; i < choice_count && choices; i++) {
        choices[i].path = take_text(&reader);
        choices[i].comes = take_number(&reader) != 0;
        choices[i].whole = take_number(&reader) != 0;
        choices[i].data = take_bytes(&reader, &choices[i].length);
    }
    request->choice_count = choice_count;

    int rc = !paths || !seqs || !choices                                                     ? STORE_NO_MEMORY
             : reader.bad || reader.left > 0 || (!request->before && kind == RESTORE_REVERT) ? STORE_INVALID
                                                                                             : STORE_OK;
    if (rc != STORE_OK)
        restore_order_release(order);
    return rc;
}

void restore_order_release(struct restore_order *order) {
    free((void *)order->request.paths);
    free((void *)order->request.seqs);
    free((void *)order->request.choices);
    *order = (struct restore_order){0};
}
