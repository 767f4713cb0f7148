/* Orders to revert or undo as blocks of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "fs/restore_order.h"

static const char *const paths[] = {"", "a/b", "name\nwith a line's end"};
static const uint64_t seqs[] = {3, UINT64_C(1) << 40};
static const struct restore_choice choices[] = {{.path = "whole", .comes = true, .whole = true},
                                                {.path = "picked", .data = (const uint8_t *)"\0\1\2", .length = 3}};
static const struct restore_order sample = {.request = {.kind = RESTORE_UNDO,
                                                        .before = 7,
                                                        .paths = paths,
                                                        .path_count = 3,
                                                        .keep_new = true,
                                                        .choices = choices,
                                                        .choice_count = 2,
                                                        .seqs = seqs,
                                                        .seq_count = 2},
                                            .only_base = 12,
                                            .user = "",
                                            .message = "the message"};

static void test_restore_order__decodes_what_it_encodes(void **state) {
    uint8_t *block;
    size_t length;
    struct restore_order order;
    (void)state;
    assert_int_equal(restore_order_encode(&sample, &block, &length), STORE_OK);
    assert_int_equal(restore_order_decode(block, length, &order), STORE_OK);
    const struct restore_request *request = &order.request;
    assert_int_equal(request->kind, RESTORE_UNDO);
    assert_int_equal(request->before, 7);
    assert_true(request->keep_new);
    assert_int_equal(order.only_base, 12);
    assert_string_equal(order.user, "");
    assert_string_equal(order.message, "the message");
    assert_int_equal(request->path_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(request->paths[i], paths[i]);
    assert_int_equal(request->seq_count, 2);
    assert_memory_equal(request->seqs, seqs, sizeof seqs);
    assert_int_equal(request->choice_count, 2);
    assert_string_equal(request->choices[0].path, "whole");
    assert_true(request->choices[0].comes && request->choices[0].whole);
    assert_false(request->choices[1].comes || request->choices[1].whole);
    assert_string_equal(request->choices[1].path, "picked");
    assert_int_equal(request->choices[1].length, 3);
    assert_memory_equal(request->choices[1].data, "\0\1\2", 3);
    restore_order_release(&order);
    free(block);
}

/* Every block that is cut off, and every one with a wrong byte, in memory of its own size, so that a sanitizer sees what is read outside. */
static void test_restore_order__trusts_nothing(void **state) {
    uint8_t *block;
    size_t length;
    struct restore_order order;
    (void)state;
    assert_int_equal(restore_order_encode(&sample, &block, &length), STORE_OK);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *copy = malloc(cut + (cut == 0));
        assert_non_null(copy);
        memcpy(copy, block, cut);
        assert_int_equal(restore_order_decode(copy, cut, &order), STORE_INVALID);
        free(copy);
    }
    for (size_t at = 0; at < length; at++) {
        uint8_t *copy = malloc(length);
        assert_non_null(copy);
        memcpy(copy, block, length);
        copy[at] = 0xff;
        int rc = restore_order_decode(copy, length, &order);
        assert_true(rc == STORE_OK || rc == STORE_INVALID);
        restore_order_release(&order);
        free(copy);
    }
    free(block);
}

static void test_restore_order__is_bounded(void **state) {
    uint8_t *block, *content = calloc(1, RESTORE_ORDER_MAX);
    size_t length;
    const struct restore_choice large = {.path = "a", .data = content, .length = RESTORE_ORDER_MAX};
    const struct restore_order order = {
        .request = {.kind = RESTORE_REVERT, .before = 1, .choices = &large, .choice_count = 1},
        .user = "",
        .message = ""};
    (void)state;
    assert_non_null(content);
    assert_int_equal(restore_order_encode(&order, &block, &length), STORE_TOO_BIG);
    free(content);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore_order__decodes_what_it_encodes),
        cmocka_unit_test(test_restore_order__trusts_nothing),
        cmocka_unit_test(test_restore_order__is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
