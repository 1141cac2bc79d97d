/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include "json_writer.h"
#include "unit.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void assert_text(struct ken_json_writer *writer, const char *expected)
{
    const char *text = NULL;
    size_t length = 0;
    ck_assert_int_eq(ken_json_writer_finish(writer, &text, &length), KEN_OK);
    ck_assert_str_eq(text, expected);
    ck_assert_uint_eq(length, strlen(expected));
    ken_json_writer_free(writer);
}

static void write_sample(struct ken_json_writer *writer)
{
    ken_json_begin_object(writer);
    ken_json_key(writer, "a");
    ken_json_begin_array(writer);
    ken_json_uint(writer, UINT64_MAX);
    ken_json_int(writer, INT64_MIN);
    ken_json_bool(writer, true);
    ken_json_bool(writer, false);
    ken_json_null(writer);
    ken_json_begin_array(writer);
    ken_json_end_array(writer);
    ken_json_begin_object(writer);
    ken_json_end_object(writer);
    ken_json_double(writer, -1.5);
    ken_json_end_array(writer);
    ken_json_key_bytes(writer, "b", 1);
    ken_json_raw(writer, "{\"x\":1}", 7);
    ken_json_key(writer, "c");
    ken_json_string(writer, "d");
    ken_json_end_object(writer);
}

#define SAMPLE "{\"a\":[18446744073709551615,-9223372036854775808,true,false,null,[],{},-1.5],\"b\":{\"x\":1},\"c\":\"d\"}"

START_TEST(values_get_their_commas)
{
    struct ken_json_writer writer;
    ken_json_writer_init(&writer);
    write_sample(&writer);
    assert_text(&writer, SAMPLE);
}
END_TEST

START_TEST(strings_are_escaped_only_where_json_demands)
{
    struct ken_json_writer writer;
    ken_json_writer_init(&writer);
    ken_json_string_bytes(&writer, "a\"\\/\b\f\n\r\t\x01\x1f\x7f\0\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80<&", 24);
    assert_text(&writer, "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80<&\"");
}
END_TEST

START_TEST(malformed_utf8_is_an_error_that_stays)
{
    static const char *const bad[] = {"\x80",  "\xc0\x80", "\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                                      "a\xff", "\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ken_json_writer writer;
        ken_json_writer_init(&writer);
        ken_json_begin_array(&writer);
        ken_json_string(&writer, bad[i]);
        ken_json_end_array(&writer);
        char *text = NULL;
        size_t length = 0;
        ck_assert_int_eq(ken_json_writer_take(&writer, &text, &length), KEN_EINVALID);
        ck_assert_ptr_null(text);
    }
}
END_TEST

/* Expected: ECMAScript's text of the same number. */
static const struct {
    double value;
    const char *text;
} doubles[] = {
    {0, "0"},
    {-0.0, "0"},
    {1, "1"},
    {-1, "-1"},
    {0.5, "0.5"},
    {0.1, "0.1"},
    {0.1 + 0.2, "0.30000000000000004"},
    {1.0 / 3, "0.3333333333333333"},
    {100, "100"},
    {123456.789, "123456.789"},
    {1e20, "100000000000000000000"},
    {123456789012345680000.0, "123456789012345680000"},
    {1e21, "1e+21"},
    {1e30, "1e+30"},
    {1.5e30, "1.5e+30"},
    {1e-6, "0.000001"},
    {1.25e-6, "0.00000125"},
    {1e-7, "1e-7"},
    {-1.25e-7, "-1.25e-7"},
    {9007199254740993.0, "9007199254740992"},
    {5e-324, "5e-324"},
    {2.2250738585072014e-308, "2.2250738585072014e-308"},
    {2.225073858507201e-308, "2.225073858507201e-308"},
    {1.7976931348623157e308, "1.7976931348623157e+308"},
    {-1.7976931348623157e308, "-1.7976931348623157e+308"},
    {9.5, "9.5"},
    {4.35, "4.35"},
    {2.0 / 3, "0.6666666666666666"},
    {NAN, "null"},
    {INFINITY, "null"},
    {-INFINITY, "null"},
};

START_TEST(doubles_are_the_shortest_text)
{
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        struct ken_json_writer writer;
        ken_json_writer_init(&writer);
        ken_json_double(&writer, doubles[i].value);
        assert_text(&writer, doubles[i].text);
    }
}
END_TEST

/* A 64-bit linear congruential generator. */
static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state ^ *state >> 29;
}

START_TEST(doubles_read_back)
{
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next(&state);
        if (i % 4 == 0) bits &= ~(UINT64_C(0x7ff) << 52); /* subnormal */
        double value = 0;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        struct ken_json_writer writer;
        const char *text = NULL;
        ken_json_writer_init(&writer);
        ken_json_double(&writer, value);
        ck_assert_int_eq(ken_json_writer_finish(&writer, &text, NULL), KEN_OK);
        ck_assert(strtod(text, NULL) == value);
        ken_json_writer_free(&writer);
    }
}
END_TEST

START_TEST(the_locale_is_of_no_matter)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) /* where none is installed, nothing is tested */
        if (setlocale(LC_ALL, names[i])) break;
    struct ken_json_writer writer;
    ken_json_writer_init(&writer);
    ken_json_double(&writer, 1234.5);
    assert_text(&writer, "1234.5");
}
END_TEST

struct sink {
    char text[40000];
    size_t length, calls, fail_at;
};

static int sink_write(void *opaque, const void *bytes, size_t length)
{
    struct sink *sink = opaque;
    if (++sink->calls == sink->fail_at) return KEN_ENO_SPACE;
    ck_assert_uint_le(length, 4096);
    ck_assert_uint_le(sink->length + length, sizeof sink->text);
    memcpy(sink->text + sink->length, bytes, length);
    sink->length += length;
    return KEN_OK;
}

static void write_long(struct ken_json_writer *writer)
{
    static char filler[9000];
    memset(filler, 'x', sizeof filler);
    ken_json_begin_array(writer);
    for (int i = 0; i < 1000; i++) ken_json_int(writer, i);
    ken_json_string_bytes(writer, filler, sizeof filler);
    for (int i = 0; i < 1000; i++) ken_json_bool(writer, i % 2);
    ken_json_end_array(writer);
}

START_TEST(a_sink_gets_the_same_bytes)
{
    static struct sink sink;
    struct ken_json_writer memory, piped;
    const char *text = NULL;
    size_t length = 0;
    ken_json_writer_init(&memory);
    ken_json_writer_init_sink(&piped, sink_write, &sink);
    write_long(&memory);
    write_long(&piped);
    ck_assert_int_eq(ken_json_writer_finish(&memory, &text, &length), KEN_OK);
    ck_assert_int_eq(ken_json_writer_finish(&piped, NULL, NULL), KEN_OK);
    ck_assert_uint_gt(sink.calls, 3);
    ck_assert_uint_eq(sink.length, length);
    ck_assert_mem_eq(sink.text, text, length);
    ken_json_writer_free(&memory);
    ken_json_writer_free(&piped);
}
END_TEST

START_TEST(an_error_of_the_sink_stays)
{
    for (size_t fail_at = 1; fail_at < 5; fail_at++) {
        static struct sink sink;
        struct ken_json_writer writer;
        sink = (struct sink){.fail_at = fail_at};
        ken_json_writer_init_sink(&writer, sink_write, &sink);
        write_long(&writer);
        ck_assert_int_eq(ken_json_writer_finish(&writer, NULL, NULL), KEN_ENO_SPACE);
        ck_assert_uint_eq(sink.calls, fail_at);
        ken_json_writer_free(&writer);
    }
}
END_TEST

START_TEST(a_taken_text_is_the_callers)
{
    struct ken_json_writer writer;
    char *text = NULL;
    size_t length = 0;
    ken_json_writer_init(&writer);
    write_sample(&writer);
    ck_assert_int_eq(ken_json_writer_take(&writer, &text, &length), KEN_OK);
    ck_assert_str_eq(text, SAMPLE);
    free(text);
}
END_TEST

START_TEST(filler_stands_between_values)
{
    struct ken_json_writer writer;
    ken_json_writer_init(&writer);
    ken_json_uint(&writer, 1);
    ken_json_filler(&writer, "\n", 1);
    ken_json_uint(&writer, 2);
    assert_text(&writer, "1\n2");
}
END_TEST

UNIT_MAIN("json_writer", values_get_their_commas, strings_are_escaped_only_where_json_demands, malformed_utf8_is_an_error_that_stays,
          doubles_are_the_shortest_text, doubles_read_back, the_locale_is_of_no_matter, a_sink_gets_the_same_bytes,
          an_error_of_the_sink_stays, a_taken_text_is_the_callers, filler_stands_between_values)
