/* SPDX-License-Identifier: Apache-2.0 */
#include "json_writer.h"
#include "error.h"
#include "utf8.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 4096, DIGITS_MAX = 17 };

void ken_json_writer_init(struct ken_json_writer *writer)
{
    *writer = (struct ken_json_writer){0};
}

void ken_json_writer_init_sink(struct ken_json_writer *writer, int (*write)(void *opaque, const void *bytes, size_t length), void *opaque)
{
    *writer = (struct ken_json_writer){.write = write, .opaque = opaque};
}

static void flush(struct ken_json_writer *writer)
{
    if (writer->length && !writer->code) writer->code = writer->write(writer->opaque, writer->text, writer->length);
    writer->length = 0;
}

/* Makes room for `more` bytes and a NUL; false if an error is latched. */
static bool reserve(struct ken_json_writer *writer, size_t more)
{
    if (writer->write && writer->length + more >= PIECE) flush(writer);
    if (writer->code) return false;
    if (more < writer->capacity - writer->length) return true;
    size_t capacity = writer->capacity ? writer->capacity : PIECE;
    while (capacity - writer->length <= more) {
        if (capacity > SIZE_MAX / 2) goto out_of_memory;
        capacity *= 2;
    }
    char *text = realloc(writer->text, capacity);
    if (!text) goto out_of_memory;
    writer->text = text;
    writer->capacity = capacity;
    return true;
out_of_memory:
    writer->code = KEN_ENOMEM;
    return false;
}

static void put(struct ken_json_writer *writer, const char *bytes, size_t length)
{
    while (length) {
        size_t piece = writer->write && length > PIECE / 2 ? PIECE / 2 : length;
        if (!reserve(writer, piece)) return;
        memcpy(writer->text + writer->length, bytes, piece);
        writer->length += piece;
        bytes += piece;
        length -= piece;
    }
}

int ken_json_writer_finish(struct ken_json_writer *writer, const char **text, size_t *length)
{
    KEN_ASSERT(writer->code || !writer->depth);
    if (writer->write) {
        KEN_ASSERT(!text && !length);
        flush(writer);
        return writer->code;
    }
    if (!reserve(writer, 0)) return writer->code;
    writer->text[writer->length] = '\0';
    if (text) *text = writer->text;
    if (length) *length = writer->length;
    return KEN_OK;
}

int ken_json_writer_take(struct ken_json_writer *writer, char **text, size_t *length)
{
    *text = NULL;
    int code = ken_json_writer_finish(writer, NULL, length);
    if (!code) {
        *text = writer->text;
        writer->text = NULL;
    }
    ken_json_writer_free(writer);
    return code;
}

void ken_json_writer_free(struct ken_json_writer *writer)
{
    free(writer->text);
    *writer = (struct ken_json_writer){0};
}

static void put_value(struct ken_json_writer *writer, const char *bytes, size_t length)
{
    if (writer->comma) put(writer, ",", 1);
    put(writer, bytes, length);
    writer->comma = true;
}

static void begin(struct ken_json_writer *writer, const char *bracket)
{
    put_value(writer, bracket, 1);
    writer->comma = false;
    writer->depth++;
}

static void end(struct ken_json_writer *writer, const char *bracket)
{
    KEN_ASSERT(writer->depth);
    put(writer, bracket, 1);
    writer->comma = true;
    writer->depth--;
}

void ken_json_begin_object(struct ken_json_writer *writer)
{
    begin(writer, "{");
}

void ken_json_end_object(struct ken_json_writer *writer)
{
    end(writer, "}");
}

void ken_json_begin_array(struct ken_json_writer *writer)
{
    begin(writer, "[");
}

void ken_json_end_array(struct ken_json_writer *writer)
{
    end(writer, "]");
}

void ken_json_key(struct ken_json_writer *writer, const char *key)
{
    ken_json_key_bytes(writer, key, strlen(key));
}

void ken_json_key_bytes(struct ken_json_writer *writer, const char *key, size_t length)
{
    ken_json_string_bytes(writer, key, length);
    put(writer, ":", 1);
    writer->comma = false;
}

void ken_json_string(struct ken_json_writer *writer, const char *text)
{
    ken_json_string_bytes(writer, text, strlen(text));
}

static void put_escape(struct ken_json_writer *writer, char byte)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = byte ? strchr(plain, byte) : NULL;
    char escape[8] = {'\\'};
    if (found)
        escape[1] = letters[found - plain];
    else
        snprintf(escape + 1, sizeof escape - 1, "u%04x", (unsigned)byte);
    put(writer, escape, strlen(escape));
}

void ken_json_string_bytes(struct ken_json_writer *writer, const char *text, size_t length)
{
    if (ken_utf8_valid(text, length) < length && !writer->code) writer->code = KEN_EINVALID;
    put_value(writer, "\"", 1);
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] >= 0x20 && text[i] != '"' && text[i] != '\\') continue;
        put(writer, text + written, i - written);
        put_escape(writer, text[i]);
        written = i + 1;
    }
    put(writer, text + written, length - written);
    put(writer, "\"", 1);
}

void ken_json_uint(struct ken_json_writer *writer, uint64_t value)
{
    char text[24];
    put_value(writer, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, value));
}

void ken_json_uints(struct ken_json_writer *writer, const uint64_t *values, size_t count)
{
    ken_json_begin_array(writer);
    for (size_t i = 0; i < count; i++) ken_json_uint(writer, values[i]);
    ken_json_end_array(writer);
}

void ken_json_int(struct ken_json_writer *writer, int64_t value)
{
    char text[24];
    put_value(writer, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value));
}

void ken_json_bool(struct ken_json_writer *writer, bool value)
{
    put_value(writer, value ? "true" : "false", value ? 4 : 5);
}

void ken_json_null(struct ken_json_writer *writer)
{
    put_value(writer, "null", 4);
}

/* Cuts the text of a "%e" into digits, without the decimal point (whatever the locale has there) and trailing zeros, and the exponent. */
static size_t split(const char *text, char digits[DIGITS_MAX], int *exponent)
{
    size_t count = 0;
    for (; *text != 'e'; text++)
        if (*text >= '0' && *text <= '9') digits[count++] = *text;
    *exponent = (int)strtol(text + 1, NULL, 10);
    while (count > 1 && digits[count - 1] == '0') count--;
    return count;
}

/* Fewest digits of a positive finite value, which is 0.d1d2d3... * 10^*point; returns how many. */
static size_t shortest(double value, char digits[DIGITS_MAX], int *point)
{
    char text[64];
    /* What 15 digits can say of a normal number, they say in one way only, so cutting its zeros gives the shortest. */
    int precision = value >= DBL_MIN ? DBL_DIG : 1;
    do {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
    } while (precision++ < DIGITS_MAX && strtod(text, NULL) != value);
    size_t count = split(text, digits, point);
    ++*point;
    return count;
}

/* Lays the digits out as ECMAScript's Number::toString does; returns the length. */
static size_t lay_out(char text[40], const char *digits, size_t count, int point)
{
    int n = (int)count;
    if (n <= point && point <= 21) return (size_t)snprintf(text, 40, "%.*s%.*s", n, digits, point - n, "000000000000000000000");
    if (0 < point && point <= 21) return (size_t)snprintf(text, 40, "%.*s.%.*s", point, digits, n - point, digits + point);
    if (-6 < point && point <= 0) return (size_t)snprintf(text, 40, "0.%.*s%.*s", -point, "000000", n, digits);
    return (size_t)snprintf(text, 40, "%.1s%s%.*se%+d", digits, n > 1 ? "." : "", n - 1, digits + 1, point - 1);
}

void ken_json_double(struct ken_json_writer *writer, double value)
{
    char digits[DIGITS_MAX], text[42];
    int point = 0;
    size_t sign = value < 0;
    if (!isfinite(value)) {
        ken_json_null(writer);
    } else if (value == 0) {
        put_value(writer, "0", 1);
    } else {
        size_t count = shortest(fabs(value), digits, &point);
        text[0] = '-';
        put_value(writer, text, 0);
        put(writer, text, sign + lay_out(text + sign, digits, count, point));
    }
}

void ken_json_raw(struct ken_json_writer *writer, const char *json, size_t length)
{
    put_value(writer, json, length);
}

void ken_json_filler(struct ken_json_writer *writer, const char *bytes, size_t length)
{
    put(writer, bytes, length);
    writer->comma = false;
}
