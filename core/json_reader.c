/* SPDX-License-Identifier: Apache-2.0 */
#include "json_reader.h"

#include "digest.h"
#include "utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 65536, NO_BYTE = -1 };

/* What may come next. */
enum state { VALUE, FIRST_VALUE, KEY, FIRST_KEY, AFTER_VALUE };

/* ---- bytes */

int ken_json_reader_open(struct ken_json_reader *reader, struct ken_source *source, uint64_t offset, uint64_t length, const char *subject,
                         int code, struct ken_error *error)
{
    KEN_ASSERT(offset <= source->size && length <= source->size - offset);
    *reader = (struct ken_json_reader){.source = source, .base = offset, .total = length, .subject = subject, .code = code};
    reader->piece = malloc(PIECE);
    if (!reader->piece) return ken_fail_no_memory(error, subject);
    return ken_source_wait(source, offset, length, error);
}

void ken_json_reader_open_memory(struct ken_json_reader *reader, const char *text, size_t length, const char *subject, int code)
{
    *reader = (struct ken_json_reader){
        .window = text, .window_length = length, .total = length, .loaded = length, .subject = subject, .code = code};
}

void ken_json_reader_free(struct ken_json_reader *reader)
{
    free(reader->piece);
    free(reader->buffer);
    *reader = (struct ken_json_reader){0};
}

static uint64_t here(const struct ken_json_reader *reader)
{
    return reader->base + reader->loaded - (reader->window_length - reader->at);
}

static int fail_at(const struct ken_json_reader *reader, struct ken_error *error, uint64_t position, const char *reason)
{
    return ken_fail(error, reader->code, "%s: byte %" PRIu64 ": %s", reader->subject, position, reason);
}

/* Fails at the byte that comes next. */
static int fail_here(const struct ken_json_reader *reader, const char *reason)
{
    return fail_at(reader, reader->error, here(reader), reason);
}

/* Sees to it that the window has a byte to give, unless the text is at its end. */
static int fill(struct ken_json_reader *reader)
{
    if (reader->at < reader->window_length || reader->loaded == reader->total) return KEN_OK;
    uint64_t rest = reader->total - reader->loaded;
    size_t length = rest < PIECE ? (size_t)rest : PIECE;
    int code = ken_source_read(reader->source, reader->base + reader->loaded, reader->piece, length, reader->error);
    if (code) return code;
    reader->window = reader->piece;
    reader->window_length = length;
    reader->at = 0;
    reader->loaded += length;
    return KEN_OK;
}

static int peek(struct ken_json_reader *reader, int *byte)
{
    int code = fill(reader);
    *byte = !code && reader->at < reader->window_length ? (unsigned char)reader->window[reader->at] : NO_BYTE;
    return code;
}

static int skip_space(struct ken_json_reader *reader, int *byte)
{
    for (;; reader->at++) {
        int code = peek(reader, byte);
        if (code) return code;
        if (*byte != ' ' && *byte != '\n' && *byte != '\r' && *byte != '\t') return KEN_OK;
    }
}

/* ---- text of tokens */

static int append(struct ken_json_reader *reader, const char *bytes, size_t length)
{
    if (length >= reader->capacity - reader->length) {
        size_t capacity = reader->capacity ? reader->capacity : 256;
        while (capacity - reader->length <= length) capacity *= 2; /* cannot wrap: what is read is in memory already, or was of this size */
        char *buffer = realloc(reader->buffer, capacity);
        if (!buffer) return ken_fail_no_memory(reader->error, reader->subject);
        reader->buffer = buffer;
        reader->capacity = capacity;
    }
    memcpy(reader->buffer + reader->length, bytes, length);
    reader->length += length;
    reader->buffer[reader->length] = '\0';
    reader->text = reader->buffer;
    return KEN_OK;
}

/* Four hexadecimal digits of a \u escape. */
static int read_hex(struct ken_json_reader *reader, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++, reader->at++) {
        int byte;
        int code = peek(reader, &byte);
        if (code) return code;
        int digit = ken_hex_digit(byte);
        if (digit < 0) return fail_here(reader, "expected four hexadecimal digits after \\u");
        *value = *value << 4 | (uint32_t)digit;
    }
    return KEN_OK;
}

static int read_unicode_escape(struct ken_json_reader *reader, uint64_t start)
{
    static const char lone[] = "lone surrogate in a string";
    uint32_t unit = 0, low = 0;
    int code = read_hex(reader, &unit);
    if (code) return code;
    if (unit >= 0xdc00 && unit < 0xe000) return fail_at(reader, reader->error, start, lone);
    if (unit >= 0xd800 && unit < 0xdc00) {
        for (const char *want = "\\u"; *want; want++, reader->at++) {
            int byte;
            if ((code = peek(reader, &byte))) return code;
            if (byte != *want) return fail_at(reader, reader->error, start, lone);
        }
        if ((code = read_hex(reader, &low))) return code;
        if (low < 0xdc00 || low >= 0xe000) return fail_at(reader, reader->error, start, lone);
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    char text[4];
    return append(reader, text, ken_utf8_encode(text, unit));
}

/* An escape, of which the backslash comes next. */
static int read_escape(struct ken_json_reader *reader)
{
    static const char letters[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    uint64_t start = here(reader);
    int byte;
    reader->at++;
    int code = peek(reader, &byte);
    if (code) return code;
    const char *letter = byte > 0 ? strchr(letters, byte) : NULL;
    if (!letter && byte != 'u') return fail_at(reader, reader->error, start, "unknown escape in a string");
    reader->at++;
    return letter ? append(reader, plain + (letter - letters), 1) : read_unicode_escape(reader, start);
}

/* Appends what needs no decoding, up to a quote, a backslash or the end of the window. */
static int read_run(struct ken_json_reader *reader)
{
    size_t end = reader->at;
    while (end < reader->window_length && (unsigned char)reader->window[end] >= 0x20 && reader->window[end] != '"' &&
           reader->window[end] != '\\')
        end++;
    const char *run = reader->window + reader->at;
    size_t length = end - reader->at;
    reader->at = end;
    return append(reader, run, length);
}

/* A string, of which the opening quote comes next. */
static int read_string(struct ken_json_reader *reader)
{
    int byte = 0;
    reader->at++;
    do {
        int code = peek(reader, &byte);
        if (code) return code;
        if (byte == NO_BYTE) return fail_here(reader, "the text ends within a string");
        if (byte < 0x20) return fail_here(reader, "control character in a string");
        if ((code = byte == '\\' ? read_escape(reader) : read_run(reader))) return code;
    } while (byte != '"');
    reader->at++;
    if (ken_utf8_valid(reader->text, reader->length) < reader->length)
        return fail_at(reader, reader->error, reader->position, "a string is not valid UTF-8");
    return KEN_OK;
}

static const char *skip_digits(const char *text)
{
    while (*text >= '0' && *text <= '9') text++;
    return text;
}

static bool is_number(const char *text)
{
    if (*text == '-') text++;
    const char *end = skip_digits(text);
    if (end == text || (*text == '0' && end > text + 1)) return false;
    if (*end == '.') {
        text = end + 1;
        if ((end = skip_digits(text)) == text) return false;
    }
    if (*end == 'e' || *end == 'E') {
        text = end + 1 + (end[1] == '+' || end[1] == '-');
        if ((end = skip_digits(text)) == text) return false;
    }
    return *end == '\0';
}

static int read_number(struct ken_json_reader *reader)
{
    for (;; reader->at++) {
        int byte;
        int code = peek(reader, &byte);
        if (code) return code;
        bool more = (byte >= '0' && byte <= '9') || byte == '-' || byte == '+' || byte == '.' || byte == 'e' || byte == 'E';
        if (!more) break;
        if ((code = append(reader, &reader->window[reader->at], 1))) return code;
    }
    return is_number(reader->text) ? KEN_OK : ken_json_fail(reader, reader->error, "malformed number");
}

static int read_word(struct ken_json_reader *reader, const char *word)
{
    for (; *word; word++, reader->at++) {
        int byte;
        int code = peek(reader, &byte);
        if (code) return code;
        if (byte != *word) return ken_json_fail(reader, reader->error, "expected a value");
    }
    return KEN_OK;
}

/* ---- grammar */

static int enter(struct ken_json_reader *reader, bool object)
{
    if (reader->depth == KEN_JSON_DEPTH_MAX) return fail_here(reader, "nested too deeply");
    uint64_t bit = UINT64_C(1) << reader->depth++;
    reader->objects = object ? reader->objects | bit : reader->objects & ~bit;
    reader->token = object ? KEN_JSON_OBJECT : KEN_JSON_ARRAY;
    reader->state = object ? FIRST_KEY : FIRST_VALUE;
    reader->at++;
    return KEN_OK;
}

static int leave(struct ken_json_reader *reader, enum ken_json_token token)
{
    reader->depth--;
    reader->token = token;
    reader->state = AFTER_VALUE;
    reader->at++;
    return KEN_OK;
}

static bool in_object(const struct ken_json_reader *reader)
{
    return reader->objects >> (reader->depth - 1) & 1;
}

static int read_value(struct ken_json_reader *reader, int byte)
{
    reader->state = AFTER_VALUE;
    switch (byte) {
    case '{': return enter(reader, true);
    case '[': return enter(reader, false);
    case '"': reader->token = KEN_JSON_STRING; return read_string(reader);
    case 't': reader->token = KEN_JSON_TRUE; return read_word(reader, "true");
    case 'f': reader->token = KEN_JSON_FALSE; return read_word(reader, "false");
    case 'n': reader->token = KEN_JSON_NULL; return read_word(reader, "null");
    default: break;
    }
    if (byte != '-' && (byte < '0' || byte > '9')) return fail_here(reader, "expected a value");
    reader->token = KEN_JSON_NUMBER;
    return read_number(reader);
}

static int read_key(struct ken_json_reader *reader, int byte)
{
    if (byte != '"') return fail_here(reader, "expected a key");
    reader->token = KEN_JSON_KEY;
    reader->state = VALUE;
    int code = read_string(reader);
    if (!code) code = skip_space(reader, &byte);
    if (code) return code;
    if (byte != ':') return fail_here(reader, "expected ':' after a key");
    reader->at++;
    return KEN_OK;
}

static int read_after_value(struct ken_json_reader *reader, int byte)
{
    if (!reader->depth) {
        reader->token = KEN_JSON_END;
        return byte == NO_BYTE ? KEN_OK : fail_here(reader, "unexpected text after the value");
    }
    bool object = in_object(reader);
    if (byte == (object ? '}' : ']')) return leave(reader, object ? KEN_JSON_OBJECT_END : KEN_JSON_ARRAY_END);
    if (byte != ',') return fail_here(reader, object ? "expected ',' or '}'" : "expected ',' or ']'");
    reader->at++;
    int code = skip_space(reader, &byte);
    if (code) return code;
    reader->position = here(reader);
    return object ? read_key(reader, byte) : read_value(reader, byte);
}

int ken_json_next(struct ken_json_reader *reader, struct ken_error *error)
{
    int byte;
    reader->error = error;
    reader->length = 0;
    reader->text = "";
    int code = skip_space(reader, &byte);
    if (code) return code;
    reader->position = here(reader);
    switch ((enum state)reader->state) {
    case FIRST_VALUE:
        if (byte == ']') return leave(reader, KEN_JSON_ARRAY_END);
        return read_value(reader, byte);
    case VALUE: return read_value(reader, byte);
    case FIRST_KEY:
        if (byte == '}') return leave(reader, KEN_JSON_OBJECT_END);
        return read_key(reader, byte);
    case KEY: return read_key(reader, byte);
    case AFTER_VALUE: break;
    }
    return read_after_value(reader, byte);
}

int ken_json_expect(struct ken_json_reader *reader, enum ken_json_token token, const char *what, struct ken_error *error)
{
    int code = ken_json_next(reader, error);
    if (code || reader->token == token) return code;
    return ken_fail(error, reader->code, "%s: byte %" PRIu64 ": expected %s", reader->subject, reader->position, what);
}

int ken_json_skip(struct ken_json_reader *reader, struct ken_error *error)
{
    bool opened = reader->token == KEN_JSON_OBJECT || reader->token == KEN_JSON_ARRAY;
    unsigned outside = reader->depth - opened;
    while (reader->depth > outside) {
        int code = ken_json_next(reader, error);
        if (code) return code;
    }
    return KEN_OK;
}

int ken_json_fail(const struct ken_json_reader *reader, struct ken_error *error, const char *reason)
{
    return fail_at(reader, error, reader->position, reason);
}

bool ken_json_text_is(const struct ken_json_reader *reader, const char *text)
{
    return strlen(text) == reader->length && memcmp(reader->text, text, reader->length) == 0;
}

bool ken_json_uint64(const struct ken_json_reader *reader, uint64_t *value)
{
    if (reader->token != KEN_JSON_NUMBER) return false;
    *value = 0;
    for (const char *text = reader->text; *text; text++) {
        if (*text < '0' || *text > '9') return false;
        if (__builtin_mul_overflow(*value, 10, value) || __builtin_add_overflow(*value, (uint64_t)(*text - '0'), value)) return false;
    }
    return true;
}
