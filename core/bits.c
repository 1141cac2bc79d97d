/* SPDX-License-Identifier: Apache-2.0 */
#include "bits.h"

#include "error.h"

#include <stdbool.h>
#include <string.h>

/* Whether element i of a and b differ; the size is a constant wherever this is inlined. */
static inline bool differs(const unsigned char *a, const unsigned char *b, size_t i, size_t size)
{
    uint64_t left = 0, right = 0;
    memcpy(&left, a + i * size, size);
    memcpy(&right, b + i * size, size);
    return left != right;
}

static inline uint64_t count(const void *a, const void *b, size_t n, size_t size)
{
    uint64_t found = 0;
    for (size_t i = 0; i < n; i++) found += differs(a, b, i, size);
    return found;
}

static inline uint64_t mark(const void *a, const void *b, size_t n, size_t size, unsigned char *bits, uint64_t first)
{
    uint64_t found = 0;
    for (size_t i = 0; i < n;) {
        unsigned char *byte = &bits[(first + i) / 8], value = *byte;
        for (unsigned bit = (unsigned)((first + i) % 8); bit < 8 && i < n; bit++, i++) {
            bool is = differs(a, b, i, size);
            value = (unsigned char)(value | (unsigned)is << bit);
            found += is;
        }
        *byte = value;
    }
    return found;
}

uint64_t ken_bits_count(const void *a, const void *b, size_t n, size_t size)
{
    switch (size) {
    case 1: return count(a, b, n, 1);
    case 2: return count(a, b, n, 2);
    case 4: return count(a, b, n, 4);
    default: KEN_ASSERT(size == 8); return count(a, b, n, 8);
    }
}

uint64_t ken_bits_mark(const void *a, const void *b, size_t n, size_t size, unsigned char *bits, uint64_t first)
{
    switch (size) {
    case 1: return mark(a, b, n, 1, bits, first);
    case 2: return mark(a, b, n, 2, bits, first);
    case 4: return mark(a, b, n, 4, bits, first);
    default: KEN_ASSERT(size == 8); return mark(a, b, n, 8, bits, first);
    }
}

uint64_t ken_bits_ones(const unsigned char *bits, size_t length)
{
    uint64_t ones = 0;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, bits + i, 8);
        ones += (unsigned)__builtin_popcountll(word);
    }
    for (; i < length; i++) ones += (unsigned)__builtin_popcount(bits[i]);
    return ones;
}
