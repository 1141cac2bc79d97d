/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 defines it: shortest forms only, no surrogates, nothing above U+10FFFF. */
#ifndef KEN_UTF8_H
#define KEN_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length (1 to 4) of the sequence that text [length] begins with, its code point in *code (may be NULL); 0 if malformed or cut short. */
size_t ken_utf8_sequence(const char *text, size_t length, uint32_t *code);
/* Bytes at the beginning of text [length] that are valid: length if all are. */
size_t ken_utf8_valid(const char *text, size_t length);
/* Writes the code point, which must not be a surrogate nor above U+10FFFF, to text [4] and returns its length. */
size_t ken_utf8_encode(char *text, uint32_t code);
/*
 * Whether a code point shows as itself within a line: no control, no separator of lines, and none of the marks that turn the direction of
 * the text around them, with which a name could show as another (Unicode: General_Category Cc, Zl, Zp, and Bidi_Control).
 */
bool ken_utf8_is_plain(uint32_t code);

#endif
