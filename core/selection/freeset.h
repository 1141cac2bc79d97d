/* SPDX-License-Identifier: Apache-2.0 */
/* The set of positions not yet taken: bits, with a bit above for every word that is not empty, and so on up to one word. */
#ifndef KEN_FREESET_H
#define KEN_FREESET_H

#include <stddef.h>
#include <stdint.h>

enum { KEN_FREESET_DEPTH = 6 }; /* 64^6 positions are more than a row has */
#define KEN_FREESET_NONE SIZE_MAX

struct ken_freeset {
    uint64_t *level[KEN_FREESET_DEPTH]; /* level[0]: one bit a position; each further one: one bit a word of the one below */
    unsigned depth;                     /* levels in use; the last is a single word */
};

/* Words that the set takes for n positions. */
size_t ken_freeset_words(size_t n);
/* Makes `words` [ken_freeset_words(n)] the set of all positions 0 to n-1, n >= 1. The words are borrowed. */
void ken_freeset_fill(struct ken_freeset *set, uint64_t *words, size_t n);

/* Takes out a position that is in the set. */
static inline void ken_freeset_remove(struct ken_freeset *set, size_t position)
{
    for (unsigned level = 0; level < set->depth; level++) {
        uint64_t *word = &set->level[level][position / 64];
        *word &= ~(UINT64_C(1) << (position % 64));
        if (*word) break;
        position /= 64;
    }
}

size_t ken_freeset_climb_up(const struct ken_freeset *set, size_t word);
size_t ken_freeset_climb_down(const struct ken_freeset *set, size_t word);

/* The first position >= `position` (at most n - 1) in the set, or KEN_FREESET_NONE. */
static inline size_t ken_freeset_from(const struct ken_freeset *set, size_t position)
{
    uint64_t bits = set->level[0][position / 64] & UINT64_MAX << (position % 64);
    if (bits) return position / 64 * 64 + (size_t)__builtin_ctzll(bits);
    return ken_freeset_climb_up(set, position / 64);
}

/* The first position >= `position` in the set, if it is in the same word of 64; else KEN_FREESET_NONE. */
static inline size_t ken_freeset_soon(const struct ken_freeset *set, size_t position)
{
    uint64_t bits = set->level[0][position / 64] >> (position % 64);
    return bits ? position + (size_t)__builtin_ctzll(bits) : KEN_FREESET_NONE;
}

/* The last position <= `position` (at most n - 1) in the set, or KEN_FREESET_NONE. */
static inline size_t ken_freeset_until(const struct ken_freeset *set, size_t position)
{
    uint64_t bits = set->level[0][position / 64] & UINT64_MAX >> (63 - position % 64);
    if (bits) return position / 64 * 64 + 63 - (size_t)__builtin_clzll(bits);
    return ken_freeset_climb_down(set, position / 64);
}

#endif
