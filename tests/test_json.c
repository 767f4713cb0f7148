/* fs/json.h: valid output whatever the strings hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fs/json.h"

struct output {
    struct json json;
    char *text;
    size_t length;
};

static void begin(struct output *output) {
    FILE *out = open_memstream(&output->text, &output->length);
    assert_non_null(out);
    json_init(&output->json, out);
}

static void assert_wrote(struct output *output, const char *expected) {
    assert_int_equal(fclose(output->json.out), 0);
    assert_string_equal(output->text, expected);
    free(output->text);
}

static void test_json__objects_and_arrays(void **state) {
    (void)state;
    struct output output;
    begin(&output);
    json_begin_object(&output.json, NULL);
    json_string(&output.json, "name", "value");
    json_number(&output.json, "number", UINT64_MAX);
    json_bool(&output.json, "yes", true);
    json_null(&output.json, "none");
    json_begin_array(&output.json, "empty", true);
    json_end_array(&output.json);
    json_begin_array(&output.json, "list", false);
    json_number(&output.json, NULL, 1);
    json_begin_object(&output.json, NULL);
    json_end_object(&output.json);
    json_end_array(&output.json);
    json_end_object(&output.json);
    assert_wrote(&output, "{\"name\": \"value\", \"number\": 18446744073709551615, \"yes\": true, \"none\": null, "
                          "\"empty\": [], \"list\": [1, {}]}\n");
}

static void test_json__lines(void **state) {
    (void)state;
    struct output output;
    begin(&output);
    json_begin_array(&output.json, NULL, true);
    json_string(&output.json, NULL, "a");
    json_string(&output.json, NULL, "b");
    json_end_array(&output.json);
    assert_wrote(&output, "[\n\"a\",\n\"b\"\n]\n");
}

static void test_json__control_characters_are_escaped(void **state) {
    (void)state;
    struct output output;
    begin(&output);
    json_string(&output.json, NULL, "\"\\/\n\t\x01\x1b\x7f\xc2\x9b\xe2\x80\xa8\xc3\xa9");
    assert_wrote(&output, "\"\\\"\\\\/\\n\\t\\u0001\\u001b\\u007f\\u009b\\u2028\xc3\xa9\"\n");
}

static void test_json__what_is_not_utf8_comes_with_its_bytes(void **state) {
    (void)state;
    struct output output;
    begin(&output);
    json_begin_object(&output.json, NULL);
    json_string(&output.json, "path", "caf\xe9");
    json_string(&output.json, "one", "\xff");
    json_string(&output.json, "three", "\xff\xfe\xfd");
    json_end_object(&output.json);
    assert_wrote(&output, "{\"path\": \"caf\xef\xbf\xbd\", \"path_base64\": \"Y2Fm6Q==\", "
                          "\"one\": \"\xef\xbf\xbd\", \"one_base64\": \"/w==\", "
                          "\"three\": \"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\", \"three_base64\": \"//79\"}\n");
}

static void test_json__tids_and_times(void **state) {
    (void)state;
    struct output output;
    begin(&output);
    json_begin_object(&output.json, NULL);
    json_tid(&output.json, "tid", UINT64_C(0x03c4857600000000));
    json_tid(&output.json, "none", 0);
    json_time(&output.json, "time", (struct timespec){.tv_sec = 1514802600, .tv_nsec = 5});
    json_string(&output.json, "null", NULL);
    json_end_object(&output.json);
    assert_wrote(&output, "{\"tid\": \"03c4857600000000\", \"none\": null, "
                          "\"time\": \"2018-01-01T10:30:00.000000005Z\", \"null\": null}\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__objects_and_arrays),
        cmocka_unit_test(test_json__lines),
        cmocka_unit_test(test_json__control_characters_are_escaped),
        cmocka_unit_test(test_json__what_is_not_utf8_comes_with_its_bytes),
        cmocka_unit_test(test_json__tids_and_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
