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
