/* SPDX-License-Identifier: Apache-2.0 */
#include "utf8.h"

size_t ken_utf8_sequence(const char *text, size_t length, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length of the sequence */
    const unsigned char *bytes = (const unsigned char *)text;
    if (!length) return 0;
    unsigned char first = bytes[0];
    size_t want = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (!want || want > length) return 0;
    uint32_t value = want == 1 ? first : first & (0x7fU >> want);
    for (size_t i = 1; i < want; i++) {
        if ((bytes[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (bytes[i] & 0x3fU);
    }
    bool surrogate = value >= 0xd800 && value < 0xe000;
    if (value < least[want] || value > 0x10ffff || surrogate) return 0;
    if (code) *code = value;
    return want;
}

size_t ken_utf8_valid(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t sequence = (unsigned char)text[at] < 0x80 ? 1 : ken_utf8_sequence(text + at, length - at, NULL);
        if (!sequence) break;
        at += sequence;
    }
    return at;
}

size_t ken_utf8_encode(char *text, uint32_t code)
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6) text[i] = (char)(0x80 | (code & 0x3f));
    text[0] = (char)(length == 1 ? code : lead[length] | code);
    return length;
}

bool ken_utf8_is_plain(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } odd[] = {{0, 0x1f}, {0x7f, 0x9f}, {0x61c, 0x61c}, {0x200e, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        if (code >= odd[i].first && code <= odd[i].last) return false;
    return true;
}
