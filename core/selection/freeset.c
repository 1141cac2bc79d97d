/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/freeset.h"

#include <stdbool.h>

size_t ken_freeset_words(size_t n)
{
    size_t total = 0;
    do {
        n = (n + 63) / 64;
        total += n;
    } while (n > 1);
    return total;
}

void ken_freeset_fill(struct ken_freeset *set, uint64_t *words, size_t n)
{
    set->depth = 0;
    do {
        size_t count = (n + 63) / 64;
        set->level[set->depth++] = words;
        for (size_t i = 0; i < count; i++) words[i] = UINT64_MAX;
        if (n % 64) words[count - 1] = UINT64_MAX >> (64 - n % 64);
        words += count;
        n = count;
    } while (n > 1);
}

/* The first position in a word behind word `word` of level 0. */
size_t ken_freeset_climb_up(const struct ken_freeset *set, size_t word)
{
    size_t at = word;
    for (unsigned level = 1; level < set->depth; level++) {
        uint64_t bits = set->level[level][at / 64] & ~(UINT64_MAX >> (63 - at % 64));
        at /= 64;
        if (!bits) continue;
        while (true) {
            at = at * 64 + (size_t)__builtin_ctzll(bits);
            if (level-- == 0) return at;
            bits = set->level[level][at];
        }
    }
    return KEN_FREESET_NONE;
}

/* The last position in a word before word `word` of level 0. */
size_t ken_freeset_climb_down(const struct ken_freeset *set, size_t word)
{
    size_t at = word;
    for (unsigned level = 1; level < set->depth; level++) {
        uint64_t bits = set->level[level][at / 64] & ~(UINT64_MAX << (at % 64));
        at /= 64;
        if (!bits) continue;
        while (true) {
            at = at * 64 + 63 - (size_t)__builtin_clzll(bits);
            if (level-- == 0) return at;
            bits = set->level[level][at];
        }
    }
    return KEN_FREESET_NONE;
}
