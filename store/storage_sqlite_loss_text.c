/* Losses in words. */
#include <inttypes.h>
#include <stdio.h>

#include "store/storage_sqlite.h"
#include "store/tid.h"

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

void loss_tell(const struct loss_teller *teller, const struct loss *loss) {
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
    case LOSS_NOTED: /* follows from the others */
        break;
    }
}
