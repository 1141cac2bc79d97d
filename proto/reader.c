/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"

#include "error.h"
#include "nearest.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { POINTER_BYTES = 512, SHOWN_BYTES = 96, DETAIL_BYTES = 512, MAX_FIELDS = 40, WORDS_BYTES = 160 };

/* ---- places and faults */

/* Appends "/key" escaped as RFC 6901 has it; false if there is no room. */
static bool append_key(char *pointer, size_t *used, const char *key)
{
    size_t at = *used;
    if (at + 1 >= POINTER_BYTES) return false;
    pointer[at++] = '/';
    for (; *key; key++) {
        bool escaped = *key == '~' || *key == '/';
        if (at + 2 >= POINTER_BYTES) return false;
        pointer[at++] = escaped ? '~' : *key;
        if (escaped) pointer[at++] = *key == '~' ? '0' : '1';
    }
    *used = at;
    return true;
}

static void append_place(char *pointer, size_t *used, const struct proto_place *place)
{
    char index[24];
    if (!place->parent) return;
    append_place(pointer, used, place->parent);
    snprintf(index, sizeof index, "%zu", place->index);
    append_key(pointer, used, place->key ? place->key : index);
}

/* A key too long for any field's name is left out: the pointer then leads to what holds it. */
static void add_fault(struct proto_reader *reader, bool later, const struct proto_place *place, const char *key, const char *detail)
{
    char pointer[POINTER_BYTES];
    size_t used = 0;
    append_place(pointer, &used, place);
    if (key) append_key(pointer, &used, key);
    pointer[used] = '\0';
    proto_fault_add(reader->faults, later, pointer, "%s", detail);
}

void proto_reader_fault(struct proto_reader *reader, const struct proto_place *place, const char *key, const char *format, ...)
{
    char detail[DETAIL_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    add_fault(reader, false, place, key, detail);
}

void proto_reader_later(struct proto_reader *reader, const struct proto_place *place, const char *key, const char *format, ...)
{
    char detail[DETAIL_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    add_fault(reader, true, place, key, detail);
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction or exponent";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    default: return "null";
    }
}

bool proto_reader_expect(struct proto_reader *reader, const struct proto_place *place, const json_t *value, json_type type,
                         const char *wanted)
{
    if (json_typeof(value) == type) return true;
    proto_reader_fault(reader, place, NULL, "must be %s, not %s", wanted, type_name(value));
    return false;
}

/* ---- objects */

static const struct proto_field *find_field(const struct proto_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(fields[i].name, name) == 0) return &fields[i];
    return NULL;
}

void proto_read_later(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    (void)value;
    (void)field;
    proto_reader_later(reader, place, NULL, "\"%s\" is not supported by this version", place->key);
}

void proto_read_other_kind(struct proto_reader *reader, const struct proto_place *place, const json_t *value, void *field)
{
    (void)value;
    (void)field;
    proto_reader_fault(reader, place, NULL, "jobs of kind \"%s\" do not take it", proto_kind_name(reader->kind));
}

/* Whether the document may have it. */
static bool is_taken(const struct proto_field *field)
{
    return field->read != proto_read_later && field->read != proto_read_other_kind;
}

static void unknown_field(struct proto_reader *reader, const struct proto_place *place, const char *key, const struct proto_field *fields,
                          size_t count)
{
    const char *names[MAX_FIELDS];
    char shown[SHOWN_BYTES];
    KEN_ASSERT(count <= MAX_FIELDS);
    size_t known = 0;
    for (size_t i = 0; i < count; i++)
        if (is_taken(&fields[i])) names[known++] = fields[i].name;
    const char *nearest = proto_nearest(key, names, known);
    ken_printable(shown, sizeof shown, key, strlen(key));
    proto_reader_fault(reader, place, key, "unknown field \"%s\"%s%s%s", shown, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                       nearest ? "\"?" : "");
}

void proto_read_fields(struct proto_reader *reader, const struct proto_place *place, const json_t *object, const struct proto_field *fields,
                       size_t count, void *target)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        struct proto_place at = {.parent = place, .key = fields[i].name};
        if (value) fields[i].read(reader, &at, value, (char *)target + fields[i].offset);
    }
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!find_field(fields, count, key)) unknown_field(reader, place, key, fields, count);
    }
}

/* ---- values */

int proto_read_word(struct proto_reader *reader, const struct proto_place *place, const json_t *value, const char *const *words,
                    size_t count)
{
    if (!proto_reader_expect(reader, place, value, JSON_STRING, "a string")) return -1;
    const char *word = json_string_value(value);
    char list[WORDS_BYTES] = "", shown[SHOWN_BYTES];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[i], word) == 0) return (int)i;
        const char *comma = !i ? "" : i + 1 < count ? ", " : " or ";
        int length = snprintf(list + used, sizeof list - used, "%s\"%s\"", comma, words[i]);
        used += (size_t)length;
        KEN_ASSERT(length > 0 && used < sizeof list);
    }
    ken_printable(shown, sizeof shown, word, strlen(word));
    proto_reader_fault(reader, place, NULL, "must be %s, not \"%s\"", list, shown);
    return -1;
}

bool proto_read_integer(struct proto_reader *reader, const struct proto_place *place, const json_t *value, uint64_t least, uint64_t most,
                        uint64_t *number)
{
    if (!proto_reader_expect(reader, place, value, JSON_INTEGER, "an integer")) return false;
    json_int_t integer = json_integer_value(value);
    if (integer < 0 || (uint64_t)integer < least || (uint64_t)integer > most) {
        if (most >= INT64_MAX)
            proto_reader_fault(reader, place, NULL, "must be at least %" PRIu64, least);
        else
            proto_reader_fault(reader, place, NULL, "must be from %" PRIu64 " to %" PRIu64, least, most);
        return false;
    }
    *number = (uint64_t)integer;
    return true;
}

size_t proto_count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) count += (*text & 0xc0) != 0x80;
    return count;
}

bool proto_has_control_characters(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        /* U+0080 to U+009F are c2 80 to c2 9f. */
        if (*at < ' ' || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0)) return true;
    }
    return false;
}

const char *proto_read_name(struct proto_reader *reader, const struct proto_place *place, const json_t *value, size_t most)
{
    if (!proto_reader_expect(reader, place, value, JSON_STRING, "a string")) return NULL;
    const char *text = json_string_value(value);
    size_t characters = proto_count_characters(text);
    if (!characters || characters > most) {
        proto_reader_fault(reader, place, NULL, "must have 1 to %zu characters", most);
        return NULL;
    }
    if (!proto_has_control_characters(text)) return text;
    proto_reader_fault(reader, place, NULL, "must not hold control characters");
    return NULL;
}

void proto_reader_set_text(struct proto_reader *reader, char **field, const char *text)
{
    *field = strdup(text);
    if (!*field) reader->no_memory = true;
}
