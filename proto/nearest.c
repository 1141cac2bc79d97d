/* SPDX-License-Identifier: Apache-2.0 */
#include "nearest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { WORD_MAX = 63, PREFIX_LEAST = 3 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment: rows of the dynamic programme for the prefixes of a, the last three kept. */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b_length; j++) rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) row[j] = least(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

const char *proto_nearest(const char *word, const char *const *words, size_t count)
{
    size_t length = strlen(word);
    if (!length || length > WORD_MAX) return NULL;
    unsigned limit = length / 3 > 2 ? (unsigned)(length / 3) : 2;
    if (length <= limit) limit = (unsigned)length - 1; /* not all of it may change */
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(words[i]);
        if (other > WORD_MAX) continue;
        unsigned edits = distance(word, length, words[i], other);
        if (edits > limit || (nearest && edits == limit)) continue;
        nearest = words[i];
        limit = edits;
    }
    for (size_t i = 0; !nearest && length >= PREFIX_LEAST && i < count; i++)
        if (strncasecmp(words[i], word, length) == 0) nearest = words[i];
    return nearest;
}
