/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/sort.h"

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS, DIGITS_OF_ENTRY = 64 / DIGIT_BITS };

static inline size_t digit_of(uint64_t entry, unsigned digit)
{
    return (size_t)(entry >> (digit * DIGIT_BITS)) & (DIGITS - 1);
}

static void starts_of_counts(uint32_t *counts)
{
    uint32_t start = 0;
    for (size_t value = 0; value < DIGITS; value++) {
        uint32_t count = counts[value];
        counts[value] = start;
        start += count;
    }
}

/* The bits in which entries differ: digits that are the same in all are neither counted nor sorted by. */
static uint64_t varying_bits(const uint64_t *entries, size_t n)
{
    uint64_t varying = 0;
    for (size_t i = 1; i < n; i++) varying |= entries[i] ^ entries[0];
    return varying;
}

/* Least significant digit first, from digit `first` to the top; stable. n <= KEN_SORT_PIECE. */
static void sort_piece(uint64_t *entries, size_t n, uint64_t *temporary, unsigned first)
{
    uint64_t *from = entries, *to = temporary, varying = varying_bits(entries, n);
    for (unsigned digit = first; digit < DIGITS_OF_ENTRY; digit++) {
        uint32_t start[DIGITS] = {0};
        if (digit_of(varying, digit) == 0) continue;
        for (size_t i = 0; i < n; i++) start[digit_of(from[i], digit)]++;
        starts_of_counts(start);
        for (size_t i = 0; i < n; i++) to[start[digit_of(from[i], digit)]++] = from[i];
        uint64_t *other = from;
        from = to;
        to = other;
    }
    if (from != entries) memcpy(entries, from, n * sizeof *entries);
}

/* Most significant digit first, in place: every entry is moved once to the bucket of its digit. ends [DIGITS] becomes the buckets' ends. */
static bool exchange(uint64_t *entries, size_t n, unsigned digit, size_t *ends)
{
    size_t next[DIGITS] = {0}, start = 0;
    for (size_t i = 0; i < n; i++) next[digit_of(entries[i], digit)]++;
    if (next[digit_of(entries[0], digit)] == n) return false;
    for (size_t value = 0; value < DIGITS; value++) {
        size_t count = next[value];
        next[value] = start;
        start += count;
        ends[value] = start;
    }
    for (size_t value = 0; value < DIGITS; value++) {
        while (next[value] < ends[value]) {
            uint64_t entry = entries[next[value]];
            for (size_t home = digit_of(entry, digit); home != value; home = digit_of(entry, digit)) {
                uint64_t displaced = entries[next[home]];
                entries[next[home]++] = entry;
                entry = displaced;
            }
            entries[next[value]++] = entry;
        }
    }
    return true;
}

/* Sorts on digit `digit` and all below it. At most 8 calls deep: one a digit. */
static void sort_large(uint64_t *entries, size_t n, uint64_t *temporary, unsigned digit)
{
    size_t ends[DIGITS], start = 0;
    while (!exchange(entries, n, digit, ends)) {
        if (digit == 0) return;
        digit--;
    }
    for (size_t value = 0; value < DIGITS; value++) {
        size_t count = ends[value] - start;
        if (count > KEN_SORT_PIECE)
            sort_large(entries + start, count, temporary, digit - 1);
        else if (count > 1)
            sort_piece(entries + start, count, temporary, 0);
        start = ends[value];
    }
}

void ken_sort(uint64_t *entries, size_t n, uint64_t *temporary)
{
    if (n < 2) return;
    if (n <= KEN_SORT_PIECE)
        sort_piece(entries, n, temporary, DIGITS_OF_ENTRY / 2);
    else
        sort_large(entries, n, temporary, DIGITS_OF_ENTRY - 1);
}
