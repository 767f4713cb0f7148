/* Losses in words. */
#include <inttypes.h>
#include <stdio.h>

#include "store/storage_sqlite.h"
#include "store/tid.h"

#define NOTED_MOST 20 /* told one by one, of each class */

/* Losses that follow from others may be as many as there are objects. */
enum noted_class { NOTED_RECORDS, NOTED_CHANGES, NOTED_OBJECTS, NOTED_CLASSES };

void loss_teller_say(const struct loss_teller *teller, uint64_t oid, const char *text) {
    char path[VERIFY_PATH_MAX];
    const struct verify_problem what = {.path = oid != 0 ? sqlite_newest_path(teller->reader, oid, path) : NULL,
                                        .text = text};
    teller->told(teller->context, &what);
}

static const char *name_transaction(const struct loss_teller *teller, uint64_t seq, char text[96]) {
    struct value value = value_integer(seq);
    char tid[TID_TEXT_SIZE], when[TID_TIME_TEXT_SIZE];
    sqlite3_stmt *statement;
    struct transaction transaction;
    int rc = statement_get(teller->reader, STATEMENT_TRANSACTION_AT, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(teller->reader, statement);
    if (rc == STORE_OK)
        rc = transaction_row_decode(teller->reader, statement, &transaction, NULL);
    statement_reset(statement);
    if (rc != STORE_OK) {
        (void)snprintf(text, 96, "number %" PRIu64, seq);
        return text;
    }
    tid_format(transaction.tid, tid);
    tid_format_time(tid_to_time(transaction.tid), when);
    (void)snprintf(text, 96, "%s (%s)", tid, when);
    transaction_release(&transaction);
    return text;
}

static void describe_part(uint64_t part, char text[96]) {
    if (part == PART_INODE) {
        (void)snprintf(text, 96, "owner, permissions, size and times");
    } else if (part == PART_XATTRS) {
        (void)snprintf(text, 96, "extended attributes");
    } else if (part < LOSS_PART_ANY) {
        uint64_t start = (part - PART_CHUNK) << CHUNK_SHIFT;
        (void)snprintf(text, 96, "contents, bytes %" PRIu64 " to %" PRIu64 ",", start, start + CHUNK_BYTES - 1);
    } else {
        (void)snprintf(text, 96, "what may have changed");
    }
}

static void tell_revision(const struct loss_teller *teller, const struct loss *loss) {
    char text[512], part[96], from[96], until[96];
    describe_part(loss->part, part);
    if (loss->until == 0)
        (void)snprintf(text, sizeof text, "%s as transaction %s left them: lost", part,
                       name_transaction(teller, loss->seq, from));
    else
        (void)snprintf(text, sizeof text, "%s as transaction %s left them: lost, until transaction %s", part,
                       name_transaction(teller, loss->seq, from), name_transaction(teller, loss->until, until));
    loss_teller_say(teller, loss->oid, text);
}

static void tell_body(const struct loss_teller *teller, const struct loss *loss) {
    char text[256];
    if (loss->oid != 0)
        (void)snprintf(text, sizeof text,
                       "%" PRIu64 " bytes of contents are lost: body file %08" PRIu64 ", byte %" PRIu64
                       "; reading them is an error",
                       loss->until, loss->oid, loss->seq);
    else
        (void)snprintf(text, sizeof text,
                       "%" PRIu64 " bytes of contents are lost: body %" PRIu64 "; reading them is an error",
                       loss->until, loss->seq);
    loss_teller_say(teller, loss->part, text);
}

static enum noted_class class_of(const struct loss *loss) {
    if (loss->oid != 0)
        return NOTED_OBJECTS;
    return loss->part == LOSS_NOTED_RECORD ? NOTED_RECORDS : NOTED_CHANGES;
}

static void tell_noted(const struct loss_teller *teller, const struct loss *loss) {
    static const char *const texts[NOTED_CLASSES] = {
        [NOTED_RECORDS] = "the user and message of transaction %s are lost",
        [NOTED_CHANGES] = "some of what transaction %s changed is lost",
        [NOTED_OBJECTS] =
            "its names or contents as of transaction %s do not agree with its record of then: some of them are lost",
    };
    char text[512], which[96];
    (void)snprintf(text, sizeof text, texts[class_of(loss)], name_transaction(teller, loss->seq, which));
    loss_teller_say(teller, loss->oid, text);
}

static void tell_noted_number(const struct loss_teller *teller, enum noted_class which, uint64_t number) {
    static const char *const texts[NOTED_CLASSES] = {
        [NOTED_RECORDS] = "the users and messages of %" PRIu64 " transactions are lost",
        [NOTED_CHANGES] = "some of what each of %" PRIu64 " transactions changed is lost",
        [NOTED_OBJECTS] =
            "%" PRIu64 " times, the names or contents of a file or directory as of a transaction do not agree "
            "with its record of then: some of them are lost",
    };
    char text[256];
    (void)snprintf(text, sizeof text, texts[which], number);
    loss_teller_say(teller, 0, text);
}

static void tell_tag(const struct loss_teller *teller, const struct loss *loss) {
    char key[LOSS_TAG_KEY_SIZE], text[TAG_NAME_MAX + 32];
    struct value value = value_text(key, loss_tag_key(loss->id, key));
    sqlite3_stmt *statement;
    int rc = statement_get(teller->reader, STATEMENT_META_GET, &value, 1, &statement);
    if (rc == STORE_OK)
        rc = statement_step(teller->reader, statement);
    const struct value name = rc == STORE_OK ? column_value(statement, 0) : value_integer(0);
    if (name.kind == VALUE_BLOB && name.length <= TAG_NAME_MAX)
        (void)snprintf(text, sizeof text, "the tag %.*s is lost", (int)name.length, (const char *)name.bytes);
    else
        (void)snprintf(text, sizeof text, "tags are lost, if the damaged part of their table had others than are left");
    statement_reset(statement);
    loss_teller_say(teller, 0, text);
}

static void tell(const struct loss_teller *teller, const struct loss *loss) {
    char text[512], from[96], until[96];
    switch (loss->kind) {
    case LOSS_REVISION:
        tell_revision(teller, loss);
        break;
    case LOSS_ENTRIES:
        (void)snprintf(text, sizeof text, "names are lost%s: it cannot be listed as of transaction %s, until %s",
                       loss->part == LOSS_NAMES_OLD ? ", and others may be older ones" : "",
                       name_transaction(teller, loss->seq, from), name_transaction(teller, loss->until, until));
        loss_teller_say(teller, loss->oid, text);
        break;
    case LOSS_TIME:
        (void)snprintf(text, sizeof text, "when transaction number %" PRIu64 " was is lost", loss->seq);
        loss_teller_say(teller, 0, text);
        break;
    case LOSS_BODY:
        tell_body(teller, loss);
        break;
    case LOSS_NOTED:
        tell_noted(teller, loss);
        break;
    case LOSS_TAG:
        tell_tag(teller, loss);
        break;
    }
}

void loss_tell_all(const struct loss_teller *teller, const struct loss_list *losses, uint64_t first) {
    uint64_t noted[NOTED_CLASSES] = {0};
    for (size_t i = 0; i < losses->count; i++)
        if (losses->items[i].id >= first && losses->items[i].kind == LOSS_NOTED)
            noted[class_of(&losses->items[i])]++;
    for (size_t i = 0; i < losses->count; i++) {
        const struct loss *loss = &losses->items[i];
        if (loss->id >= first && (loss->kind != LOSS_NOTED || noted[class_of(loss)] <= NOTED_MOST))
            tell(teller, loss);
    }
    for (unsigned i = 0; i < NOTED_CLASSES; i++)
        if (noted[i] > NOTED_MOST)
            tell_noted_number(teller, (enum noted_class)i, noted[i]);
}
