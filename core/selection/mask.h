/* SPDX-License-Identifier: Apache-2.0 */
/* Masks of columns: bit i % 64 of word i / 64 is column i; ken_mask_words() in select.h. */
#ifndef KEN_MASK_H
#define KEN_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void ken_mask_set(uint64_t *mask, size_t column)
{
    mask[column / 64] |= UINT64_C(1) << (column % 64);
}

static inline bool ken_mask_has(const uint64_t *mask, size_t column)
{
    return mask[column / 64] >> (column % 64) & 1;
}

/* Sets columns 0 to count - 1. */
static inline void ken_mask_set_first(uint64_t *mask, size_t count)
{
    for (size_t word = 0; word < count / 64; word++) mask[word] = UINT64_MAX;
    if (count % 64) mask[count / 64] |= UINT64_MAX >> (64 - count % 64);
}

/* How many bits of mask [words] are set. */
static inline size_t ken_mask_count(const uint64_t *mask, size_t words)
{
    size_t count = 0;
    for (size_t word = 0; word < words; word++) count += (size_t)__builtin_popcountll(mask[word]);
    return count;
}

#endif
