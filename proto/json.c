/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include "digest.h"
#include "error.h"
#include "id.h"

#include <stdlib.h>
#include <string.h>

json_t *proto_json_text(const char *text)
{
    json_t *string = json_string(text);
    if (string) return string;
    size_t length = strlen(text);
    size_t size = 4 * length + 16; /* every byte as \xNN, and what ken_printable wants at least */
    char *buffer = malloc(size);
    if (!buffer) return NULL;
    string = json_string(ken_printable(buffer, size, text, length));
    free(buffer);
    return string;
}

json_t *proto_json_text_or_null(const char *text)
{
    return text ? proto_json_text(text) : json_null();
}

json_t *proto_json_time(int64_t ms)
{
    if (!ms) return json_null();
    char text[PROTO_TIME_SIZE];
    proto_time_format(text, ms);
    return json_string(text);
}

json_t *proto_json_sha256(const unsigned char sha256[32])
{
    char text[KEN_SHA256_HEX_SIZE];
    return json_string(ken_hex_encode(text, sha256, KEN_SHA256_SIZE));
}

json_t *proto_json_set(json_t *object, const char *key, json_t *value)
{
    if (!object) {
        json_decref(value);
        return NULL;
    }
    if (json_object_set_new(object, key, value) == 0) return object;
    json_decref(object);
    return NULL;
}

json_t *proto_json_append(json_t *array, json_t *value)
{
    if (!array) {
        json_decref(value);
        return NULL;
    }
    if (json_array_append_new(array, value) == 0) return array;
    json_decref(array);
    return NULL;
}

json_t *proto_json_set_text(json_t *object, const char *key, const char *text)
{
    return proto_json_set(object, key, proto_json_text(text));
}

json_t *proto_json_set_number(json_t *object, const char *key, uint64_t number)
{
    return proto_json_set(object, key, json_integer((json_int_t)number));
}

static void write_object(struct ken_json_writer *writer, json_t *object)
{
    const char *key;
    json_t *value;
    ken_json_begin_object(writer);
    json_object_foreach(object, key, value)
    {
        ken_json_key(writer, key);
        proto_json_write(writer, value);
    }
    ken_json_end_object(writer);
}

static void write_array(struct ken_json_writer *writer, const json_t *array)
{
    ken_json_begin_array(writer);
    for (size_t i = 0; i < json_array_size(array); i++) proto_json_write(writer, json_array_get(array, i));
    ken_json_end_array(writer);
}

void proto_json_write(struct ken_json_writer *writer, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: write_object(writer, (json_t *)(uintptr_t)value); break; /* jansson iterates over what is not const */
    case JSON_ARRAY: write_array(writer, value); break;
    case JSON_STRING: ken_json_string_bytes(writer, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: ken_json_int(writer, json_integer_value(value)); break;
    case JSON_REAL: ken_json_double(writer, json_real_value(value)); break;
    case JSON_TRUE: ken_json_bool(writer, true); break;
    case JSON_FALSE: ken_json_bool(writer, false); break;
    case JSON_NULL: ken_json_null(writer); break;
    }
}

char *proto_json_line(const json_t *document)
{
    struct ken_json_writer writer;
    char *text;
    size_t length;
    ken_json_writer_init(&writer);
    proto_json_write(&writer, document);
    ken_json_filler(&writer, "\n", 1); /* so that a terminal's prompt begins on a line of its own */
    return ken_json_writer_take(&writer, &text, &length) ? NULL : text;
}
