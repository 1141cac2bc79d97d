/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vector files share: whole words of bits, 32 or 64 elements each. A file that includes this defines before:
 *   word, WORD                               the type of a word of bits, and how many it has
 *   differing(a, b, size)                    bit i: elements i of a and b differ
 *   merge_word(a, b, bits, out, size)        out receives a's elements where bits are set, else b's
 * and is compiled for one instruction set. The size is a constant wherever those are inlined.
 */
#ifndef KEN_ELEMENTS_WORDS_H
#define KEN_ELEMENTS_WORDS_H

#include "elements/elements_lanes.h"

/* bits: NULL where only the number is wanted. */
static inline uint64_t mark_words(const unsigned char *a, const unsigned char *b, size_t words, size_t size, unsigned char *bits)
{
    uint64_t found = 0;
    for (size_t w = 0; w < words; w++) {
        word marked = differing(a + w * WORD * size, b + w * WORD * size, size), before;
        found += (uint64_t)__builtin_popcountll(marked);
        if (!bits) continue;
        memcpy(&before, bits + w * sizeof before, sizeof before);
        marked |= before;
        memcpy(bits + w * sizeof marked, &marked, sizeof marked);
    }
    return found;
}

static uint64_t mark_by_size(const unsigned char *a, const unsigned char *b, size_t words, size_t size, unsigned char *bits)
{
    switch (size) {
    case 1: return mark_words(a, b, words, 1, bits);
    case 2: return mark_words(a, b, words, 2, bits);
    case 4: return mark_words(a, b, words, 4, bits);
    default: KEN_ASSERT(size == 8); return mark_words(a, b, words, 8, bits);
    }
}

static uint64_t count(const void *a, const void *b, size_t n, size_t size)
{
    const unsigned char *left = a, *right = b;
    size_t words = n / WORD, done = words * WORD;
    return mark_by_size(left, right, words, size, NULL) +
           ken_elements_scalar.count(left + done * size, right + done * size, n - done, size);
}

/* Elements, of n, before the first whole byte of bits. */
static inline size_t before_byte(uint64_t first, size_t n)
{
    size_t odd = (size_t)(-first % 8);
    return odd < n ? odd : n;
}

static uint64_t mark(const void *a, const void *b, size_t n, size_t size, unsigned char *bits, uint64_t first)
{
    const unsigned char *left = a, *right = b;
    size_t odd = before_byte(first, n), words = (n - odd) / WORD, end = odd + words * WORD;
    uint64_t found = ken_elements_scalar.mark(left, right, odd, size, bits, first);
    found += mark_by_size(left + odd * size, right + odd * size, words, size, bits + (first + odd) / 8);
    return found + ken_elements_scalar.mark(left + end * size, right + end * size, n - end, size, bits, first + end);
}

static inline void merge_words(const unsigned char *a, const unsigned char *b, const uint64_t *mask, unsigned char *out, size_t words,
                               size_t size)
{
    for (size_t w = 0; w < words; w++) {
        size_t at = w * WORD * size;
        merge_word(a + at, b + at, (word)(mask[w * WORD / 64] >> (w * WORD % 64)), out + at, size);
    }
}

static void merge(const void *a, const void *b, const uint64_t *mask, void *out, size_t n, size_t size)
{
    const unsigned char *left = a, *right = b;
    size_t words = n / 64 * (64 / WORD), done = words * WORD;
    switch (size) {
    case 2: merge_words(left, right, mask, out, words, 2); break;
    case 4: merge_words(left, right, mask, out, words, 4); break;
    default: KEN_ASSERT(size == 8); merge_words(left, right, mask, out, words, 8);
    }
    ken_elements_scalar.merge(left + done * size, right + done * size, mask + done / 64, (unsigned char *)out + done * size, n - done,
                              size);
}

#endif
