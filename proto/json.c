/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include "error.h"
#include "id.h"

#include <ctype.h>
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
    char text[PROTO_SHA256_TEXT + 1];
    proto_sha256_format(text, sha256);
    return json_string(text);
}

void proto_sha256_format(char text[PROTO_SHA256_TEXT + 1], const unsigned char sha256[32])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        text[2 * i] = digits[sha256[i] >> 4];
        text[2 * i + 1] = digits[sha256[i] & 15];
    }
    text[PROTO_SHA256_TEXT] = '\0';
}

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') return digit - '0';
    int lower = tolower((unsigned char)digit);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool proto_sha256_parse(const char *text, unsigned char sha256[32])
{
    if (strlen(text) != PROTO_SHA256_TEXT) return false;
    for (int i = 0; i < 32; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        sha256[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
