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
