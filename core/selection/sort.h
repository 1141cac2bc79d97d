/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting of packed entries: a 32-bit key above a 32-bit index. */
#ifndef KEN_SORT_H
#define KEN_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KEN_SORT_PIECE = 1 << 16 };

/* A float's place in the order of numbers: a < b exactly where key(a) < key(b); -0 and 0 have one key. NaN has no place. */
static inline uint32_t ken_float_key(float value)
{
    uint32_t bits;
    value += 0.0F; /* -0 becomes 0 */
    memcpy(&bits, &value, sizeof bits);
    return bits ^ ((uint32_t)((int32_t)bits >> 31) | UINT32_C(0x80000000));
}

static inline float ken_key_float(uint32_t key)
{
    float value;
    uint32_t bits = key ^ (key & UINT32_C(0x80000000) ? UINT32_C(0x80000000) : UINT32_C(0xffffffff));
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t ken_entry(uint32_t key, uint32_t index)
{
    return (uint64_t)key << 32 | index;
}

/* First position in [first, last) of sorted entries that is not below `least`, or last. Without branches that could be mispredicted. */
static inline size_t ken_entries_from(const uint64_t *entries, size_t first, size_t last, uint64_t least)
{
    size_t count = last - first;
    while (count > 1) {
        size_t half = count / 2;
        first += half & (0 - (size_t)(entries[first + half - 1] < least));
        count -= half;
    }
    if (count == 1) first += entries[first] < least;
    return first;
}

/* Sorts entries [n] by inserting: for few, or such as are out of order by a place or two. */
static inline void ken_sort_few(uint64_t *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t entry = entries[i];
        size_t at = i;
        for (; at > 0 && entries[at - 1] > entry; at--) entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

/* Entries of temporary space that ken_sort needs for n. */
static inline size_t ken_sort_temporary(size_t n)
{
    return n < KEN_SORT_PIECE ? n : KEN_SORT_PIECE;
}

/*
 * Sorts entries [n] ascending: by key, equal keys by index. The indexes must ascend on entry. O(n) whatever the keys are. temporary:
 * ken_sort_temporary(n) entries: up to 65536 a stable radix sort between the two buffers, above it a radix exchange in place down to
 * pieces of that size.
 */
void ken_sort(uint64_t *entries, size_t n, uint64_t *temporary);

#endif
