/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ken_text_free(struct ken_text *text)
{
    free(text->data);
    *text = (struct ken_text){0};
}

/* Makes room for `more` bytes and a NUL; false if there is none. */
static bool reserve(struct ken_text *text, size_t more)
{
    if (text->failed) return false;
    size_t need;
    if (__builtin_add_overflow(text->length, more, &need) || __builtin_add_overflow(need, 1, &need)) goto fail;
    if (need <= text->capacity) return true;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity < need)
        if (__builtin_mul_overflow(capacity, 2, &capacity)) goto fail;
    char *data = realloc(text->data, capacity);
    if (!data) goto fail;
    text->data = data;
    text->capacity = capacity;
    return true;
fail:
    text->failed = true;
    return false;
}

void ken_text_add(struct ken_text *text, const void *bytes, size_t length)
{
    if (!reserve(text, length)) return;
    if (length) memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void ken_text_add_string(struct ken_text *text, const char *string)
{
    ken_text_add(text, string, strlen(string));
}

void ken_text_add_number(struct ken_text *text, uint64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    ken_text_add(text, digits, (size_t)length);
}

static void add_escaped(struct ken_text *text, unsigned char byte)
{
    static const char short_forms[][2] = {{'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}};
    for (size_t i = 0; i < sizeof short_forms / sizeof *short_forms; i++)
        if (short_forms[i][0] == (char)byte) {
            ken_text_add(text, (char[]){'\\', short_forms[i][1]}, 2);
            return;
        }
    char code[8];
    snprintf(code, sizeof code, "\\u%04x", byte);
    ken_text_add(text, code, 6);
}

void ken_text_add_json(struct ken_text *text, const char *utf8, size_t length)
{
    ken_text_add(text, "\"", 1);
    size_t plain = 0; /* where the run of unescaped bytes began */
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)utf8[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
        ken_text_add(text, utf8 + plain, i - plain);
        add_escaped(text, byte);
        plain = i + 1;
    }
    ken_text_add(text, utf8 + plain, length - plain);
    ken_text_add(text, "\"", 1);
}

char *ken_text_take(struct ken_text *text, size_t *length)
{
    if (text->failed) {
        ken_text_free(text);
        return NULL;
    }
    char *data = text->data;
    if (length) *length = text->length;
    *text = (struct ken_text){0};
    return data;
}
