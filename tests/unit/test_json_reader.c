/* SPDX-License-Identifier: Apache-2.0 */
#include "json_reader.h"
#include "json_writer.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hands out a text in memory, and fails at the n-th read. */
struct text_source {
    struct ken_source source;
    const char *text;
    size_t reads, fail_at, largest;
    uint64_t waited_offset, waited_length;
};

static int text_wait(struct ken_source *source, uint64_t offset, uint64_t length, struct ken_error *error)
{
    struct text_source *text = (struct text_source *)source;
    (void)error;
    text->waited_offset = offset;
    text->waited_length = length;
    return KEN_OK;
}

static int text_read(struct ken_source *source, uint64_t offset, void *buffer, size_t length, struct ken_error *error)
{
    struct text_source *text = (struct text_source *)source;
    if (++text->reads == text->fail_at) return ken_fail(error, KEN_EIO, "on purpose");
    if (length > text->largest) text->largest = length;
    memcpy(buffer, text->text + offset, length);
    return KEN_OK;
}

static void text_close(struct ken_source *source)
{
    (void)source;
}

static const struct ken_source_ops text_ops = {.wait = text_wait, .read = text_read, .close = text_close};

/* Reads to the end and writes everything again, in compact form. */
static int copy(struct ken_json_reader *reader, struct ken_json_writer *writer, struct ken_error *error)
{
    for (;;) {
        int code = ken_json_next(reader, error);
        if (code) return code;
        switch (reader->token) {
        case KEN_JSON_END: return KEN_OK;
        case KEN_JSON_OBJECT: ken_json_begin_object(writer); break;
        case KEN_JSON_OBJECT_END: ken_json_end_object(writer); break;
        case KEN_JSON_ARRAY: ken_json_begin_array(writer); break;
        case KEN_JSON_ARRAY_END: ken_json_end_array(writer); break;
        case KEN_JSON_KEY: ken_json_key_bytes(writer, reader->text, reader->length); break;
        case KEN_JSON_STRING: ken_json_string_bytes(writer, reader->text, reader->length); break;
        case KEN_JSON_NUMBER: ken_json_raw(writer, reader->text, reader->length); break;
        case KEN_JSON_TRUE:
        case KEN_JSON_FALSE: ken_json_bool(writer, reader->token == KEN_JSON_TRUE); break;
        case KEN_JSON_NULL: ken_json_null(writer); break;
        }
    }
}

static int copy_memory(const char *text, size_t length, char **result, struct ken_error *error)
{
    struct ken_json_reader reader;
    struct ken_json_writer writer;
    size_t unused = 0;
    char *exact = malloc(length + !length); /* of just this size: a read beyond it is seen by sanitizers */
    memcpy(exact, text, length);
    ken_json_reader_open_memory(&reader, exact, length, "text", KEN_EBAD_DELTA);
    ken_json_writer_init(&writer);
    int code = copy(&reader, &writer, error);
    if (code)
        ken_json_writer_free(&writer);
    else
        ck_assert_int_eq(ken_json_writer_take(&writer, result, &unused), KEN_OK);
    ken_json_reader_free(&reader);
    free(exact);
    return code;
}

static const char *const good[][2] = {
    {"{}", "{}"},
    {" \t\r\n[ ] \n", "[]"},
    {"null", "null"},
    {"\"x\"", "\"x\""},
    {"{\"a\" : [1 , -2.5e+3,true,false , null,{}], \"b\":{\"c\":\"\"} }", "{\"a\":[1,-2.5e+3,true,false,null,{}],\"b\":{\"c\":\"\"}}"},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\uD83D\\ude00\"",
     "\"\\\"\\\\/\\b\\f\\n\\r\\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"\"\\u0000\\u001f\\u007f\"", "\"\\u0000\\u001f\x7f\""},
    {"[0,-0,0.0,1E5,1e-5,12345678901234567890123]", "[0,-0,0.0,1E5,1e-5,12345678901234567890123]"},
    {"\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\"", "\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\""},
    {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"}, /* the caller's to refuse */
};

START_TEST(well_formed_text_is_read)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct ken_error error = {0};
        char *result = NULL;
        ck_assert_msg(copy_memory(good[i][0], strlen(good[i][0]), &result, &error) == KEN_OK, "%s: %s", good[i][0], error.message);
        ck_assert_str_eq(result, good[i][1]);
        free(result);
    }
}
END_TEST

static const char *const bad[][2] = {
    {"", "text: byte 0: expected a value"},
    {"  ", "text: byte 2: expected a value"},
    {"\xef\xbb\xbf{}", "text: byte 0: expected a value"},
    {"{", "text: byte 1: expected a key"},
    {"[", "text: byte 1: expected a value"},
    {"[1", "text: byte 2: expected ',' or ']'"},
    {"{\"a\":1", "text: byte 6: expected ',' or '}'"},
    {"[1,]", "text: byte 3: expected a value"},
    {"[,1]", "text: byte 1: expected a value"},
    {"[1 2]", "text: byte 3: expected ',' or ']'"},
    {"[1}", "text: byte 2: expected ',' or ']'"},
    {"{\"a\":1]", "text: byte 6: expected ',' or '}'"},
    {"{\"a\":1,}", "text: byte 7: expected a key"},
    {"{\"a\"}", "text: byte 4: expected ':' after a key"},
    {"{\"a\":}", "text: byte 5: expected a value"},
    {"{a:1}", "text: byte 1: expected a key"},
    {"{'a':1}", "text: byte 1: expected a key"},
    {"{1:1}", "text: byte 1: expected a key"},
    {"]", "text: byte 0: expected a value"},
    {"}", "text: byte 0: expected a value"},
    {"{} {}", "text: byte 3: unexpected text after the value"},
    {"1 2", "text: byte 2: unexpected text after the value"},
    {"{}x", "text: byte 2: unexpected text after the value"},
    {"[1]// comment", "text: byte 3: unexpected text after the value"},
    {"/**/1", "text: byte 0: expected a value"},
    {"tru", "text: byte 0: expected a value"},
    {"True", "text: byte 0: expected a value"},
    {"nulL", "text: byte 0: expected a value"},
    {"truex", "text: byte 4: unexpected text after the value"},
    {"NaN", "text: byte 0: expected a value"},
    {"Infinity", "text: byte 0: expected a value"},
    {"-Infinity", "text: byte 0: malformed number"},
    {"01", "text: byte 0: malformed number"},
    {"-", "text: byte 0: malformed number"},
    {"+1", "text: byte 0: expected a value"},
    {".5", "text: byte 0: expected a value"},
    {"1.", "text: byte 0: malformed number"},
    {"1.e5", "text: byte 0: malformed number"},
    {"1e", "text: byte 0: malformed number"},
    {"1e+", "text: byte 0: malformed number"},
    {"1-2", "text: byte 0: malformed number"},
    {"--1", "text: byte 0: malformed number"},
    {"0x10", "text: byte 1: unexpected text after the value"},
    {"\"abc", "text: byte 4: the text ends within a string"},
    {"\"a\nb\"", "text: byte 2: control character in a string"},
    {"\"a\tb\"", "text: byte 2: control character in a string"},
    {"\"\\x41\"", "text: byte 1: unknown escape in a string"},
    {"\"\\", "text: byte 1: unknown escape in a string"},
    {"\"\\u12", "text: byte 5: expected four hexadecimal digits after \\u"},
    {"\"\\u12g4\"", "text: byte 5: expected four hexadecimal digits after \\u"},
    {"\"\\u+123\"", "text: byte 3: expected four hexadecimal digits after \\u"},
    {"\"\\ud800\"", "text: byte 1: lone surrogate in a string"},
    {"\"\\udc00\"", "text: byte 1: lone surrogate in a string"},
    {"\"a\\ud800\\u0041\"", "text: byte 2: lone surrogate in a string"},
    {"\"\\ud800\\ud800\"", "text: byte 1: lone surrogate in a string"},
    {"\"\\ud800\\n\"", "text: byte 1: lone surrogate in a string"},
    {"\"\\udc00\\ud800\"", "text: byte 1: lone surrogate in a string"},
    {"[\"\xff\"]", "text: byte 1: a string is not valid UTF-8"},
    {"\"\x80\"", "text: byte 0: a string is not valid UTF-8"},
    {"\"\xc0\x80\"", "text: byte 0: a string is not valid UTF-8"},
    {"\"\xc3\"", "text: byte 0: a string is not valid UTF-8"},
    {"\"\xc3\\u00a9\"", "text: byte 0: a string is not valid UTF-8"},
    {"\"\xe0\x80\x80\"", "text: byte 0: a string is not valid UTF-8"},
    {"\"\xed\xa0\x80\"", "text: byte 0: a string is not valid UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "text: byte 0: a string is not valid UTF-8"},
    {"\"\xf8\x88\x80\x80\x80\"", "text: byte 0: a string is not valid UTF-8"},
};

START_TEST(malformed_text_is_refused)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ken_error error = {0};
        char *result = NULL;
        int code = copy_memory(bad[i][0], strlen(bad[i][0]), &result, &error);
        ck_assert_msg(code == KEN_EBAD_DELTA, "%s: %s", bad[i][0], result);
        ck_assert_str_eq(error.message, bad[i][1]);
    }
}
END_TEST

START_TEST(a_nul_byte_is_no_white_space_and_no_text)
{
    struct ken_error error = {0};
    char *result = NULL;
    ck_assert_int_eq(copy_memory("{}\0", 3, &result, &error), KEN_EBAD_DELTA);
    ck_assert_str_eq(error.message, "text: byte 2: unexpected text after the value");
    ck_assert_int_eq(copy_memory("\"\0\"", 3, &result, &error), KEN_EBAD_DELTA);
    ck_assert_str_eq(error.message, "text: byte 1: control character in a string");
    ck_assert_int_eq(copy_memory("\"\\\0\"", 4, &result, &error), KEN_EBAD_DELTA);
    ck_assert_str_eq(error.message, "text: byte 1: unknown escape in a string");
}
END_TEST

START_TEST(depth_is_bounded)
{
    char text[4 * KEN_JSON_DEPTH_MAX + 8];
    struct ken_error error = {0};
    char *result = NULL;
    memset(text, '[', KEN_JSON_DEPTH_MAX);
    memset(text + KEN_JSON_DEPTH_MAX, ']', KEN_JSON_DEPTH_MAX);
    ck_assert_int_eq(copy_memory(text, 2 * (size_t)KEN_JSON_DEPTH_MAX, &result, &error), KEN_OK);
    free(result);
    memset(text, '[', sizeof text);
    ck_assert_int_eq(copy_memory(text, sizeof text, &result, &error), KEN_EBAD_DELTA);
    ck_assert_str_eq(error.message, "text: byte 64: nested too deeply");
}
END_TEST

/* A text that does not fit into one piece, in which everything crosses a border of pieces for some `shift`. */
static char *long_text(size_t shift, size_t *length)
{
    static const char element[] = ",{\"k\\u00e9y\":\"\xe2\x82\xac\\ud83d\\ude00\",\"n\":-123.5e+10,\"t\":[true,false,null]}";
    size_t count = 3000, at = 0;
    char *text = malloc(shift + 2 + count * sizeof element + 2);
    text[at++] = '[';
    memset(text + at, ' ', shift);
    at += shift;
    text[at++] = '0';
    for (size_t i = 0; i < count; i++, at += sizeof element - 1) memcpy(text + at, element, sizeof element - 1);
    text[at++] = ']';
    *length = at;
    return text;
}

START_TEST(pieces_make_no_difference)
{
    for (size_t shift = 0; shift < 80; shift++) {
        size_t length = 0;
        char *text = long_text(shift, &length), *whole = NULL, *pieces = NULL;
        struct text_source source = {.source = {.ops = &text_ops, .size = length}, .text = text};
        struct ken_json_reader reader;
        struct ken_json_writer writer;
        ck_assert_int_eq(copy_memory(text, length, &whole, NULL), KEN_OK);
        ck_assert_int_eq(ken_json_reader_open(&reader, &source.source, 0, length, "text", KEN_EBAD_CHECKPOINT, NULL), KEN_OK);
        ken_json_writer_init(&writer);
        ck_assert_int_eq(copy(&reader, &writer, NULL), KEN_OK);
        ck_assert_int_eq(ken_json_writer_take(&writer, &pieces, &length), KEN_OK);
        ken_json_reader_free(&reader);
        ck_assert_str_eq(whole, pieces);
        ck_assert_uint_gt(source.reads, 2);
        ck_assert_uint_le(source.largest, 65536);
        free(whole);
        free(pieces);
        free(text);
    }
}
END_TEST

START_TEST(a_part_of_a_source_is_read)
{
    struct text_source source = {.source = {.ops = &text_ops, .size = 12}, .text = "skipped[1] x"};
    struct ken_json_reader reader;
    struct ken_error error = {0};
    ck_assert_int_eq(ken_json_reader_open(&reader, &source.source, 7, 3, "file", KEN_EBAD_CHECKPOINT, NULL), KEN_OK);
    ck_assert_uint_eq(source.waited_offset, 7);
    ck_assert_uint_eq(source.waited_length, 3);
    ck_assert_int_eq(ken_json_expect(&reader, KEN_JSON_ARRAY, "an array", NULL), KEN_OK);
    ck_assert_uint_eq(reader.position, 7);
    ck_assert_int_eq(ken_json_expect(&reader, KEN_JSON_STRING, "a string", &error), KEN_EBAD_CHECKPOINT);
    ck_assert_str_eq(error.message, "file: byte 8: expected a string");
    ck_assert_int_eq(ken_json_next(&reader, NULL), KEN_OK);
    ck_assert_int_eq(ken_json_next(&reader, NULL), KEN_OK);
    ck_assert_int_eq(reader.token, KEN_JSON_END);
    ken_json_reader_free(&reader);
}
END_TEST

START_TEST(the_error_of_the_source_is_passed_on)
{
    for (size_t fail_at = 1; fail_at < 4; fail_at++) {
        size_t length = 0;
        char *text = long_text(0, &length);
        struct text_source source = {.source = {.ops = &text_ops, .size = length}, .text = text, .fail_at = fail_at};
        struct ken_json_reader reader;
        struct ken_error error = {0};
        int code = ken_json_reader_open(&reader, &source.source, 0, length, "text", KEN_EBAD_CHECKPOINT, NULL);
        while (!code) code = ken_json_next(&reader, &error);
        ck_assert_int_eq(code, KEN_EIO);
        ck_assert_str_eq(error.message, "on purpose");
        ck_assert_uint_eq(source.reads, fail_at);
        ken_json_reader_free(&reader);
        free(text);
    }
}
END_TEST

START_TEST(values_are_skipped_whole)
{
    struct ken_json_reader reader;
    const char *text = "{\"a\":{\"x\":[1,{}]},\"b\":3,\"c\":[[]]}";
    ken_json_reader_open_memory(&reader, text, strlen(text), "text", KEN_EBAD_DELTA);
    ck_assert_int_eq(ken_json_expect(&reader, KEN_JSON_OBJECT, "an object", NULL), KEN_OK);
    for (const char *key = "a\0b\0c"; *key; key += 2) {
        ck_assert_int_eq(ken_json_expect(&reader, KEN_JSON_KEY, "a key", NULL), KEN_OK);
        ck_assert(ken_json_text_is(&reader, key));
        ck_assert(!ken_json_text_is(&reader, "ab"));
        ck_assert_int_eq(ken_json_next(&reader, NULL), KEN_OK);
        ck_assert_int_eq(ken_json_skip(&reader, NULL), KEN_OK);
        if (*key == 'c') break;
    }
    ck_assert_int_eq(ken_json_expect(&reader, KEN_JSON_OBJECT_END, "the end", NULL), KEN_OK);
    ck_assert_int_eq(ken_json_expect(&reader, KEN_JSON_END, "the end", NULL), KEN_OK);
    ken_json_reader_free(&reader);
}
END_TEST

static const struct {
    const char *text;
    bool fits;
    uint64_t value;
} integers[] = {
    {"0", true, 0},
    {"7", true, 7},
    {"18446744073709551615", true, UINT64_MAX},
    {"9223372036854775808", true, UINT64_C(1) << 63},
    {"18446744073709551616", false, 0},
    {"18446744073709551625", false, 0},
    {"184467440737095516150", false, 0},
    {"99999999999999999999999999999999999999999", false, 0},
    {"-1", false, 0},
    {"-0", false, 0},
    {"1.0", false, 0},
    {"1e3", false, 0},
    {"\"1\"", false, 0},
    {"true", false, 0},
};

START_TEST(integers_are_checked_for_their_range)
{
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        struct ken_json_reader reader;
        uint64_t value = 0;
        ken_json_reader_open_memory(&reader, integers[i].text, strlen(integers[i].text), "text", KEN_EBAD_DELTA);
        ck_assert_int_eq(ken_json_next(&reader, NULL), KEN_OK);
        ck_assert_msg(ken_json_uint64(&reader, &value) == integers[i].fits, "%s", integers[i].text);
        if (integers[i].fits) ck_assert_uint_eq(value, integers[i].value);
        ken_json_reader_free(&reader);
    }
}
END_TEST

UNIT_MAIN("json_reader", well_formed_text_is_read, malformed_text_is_refused, a_nul_byte_is_no_white_space_and_no_text, depth_is_bounded,
          pieces_make_no_difference, a_part_of_a_source_is_read, the_error_of_the_source_is_passed_on, values_are_skipped_whole,
          integers_are_checked_for_their_range)
