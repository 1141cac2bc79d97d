/* SPDX-License-Identifier: Apache-2.0 */
/* The specification of all others. */
#include "elements/elements.h"
#include "elements/elements_lanes.h"

/* Whether element i of a and b differ; the size is a constant wherever this is inlined, as in all below. */
static inline bool differs(const unsigned char *a, const unsigned char *b, size_t i, size_t size)
{
    uint64_t left = 0, right = 0;
    memcpy(&left, a + i * size, size);
    memcpy(&right, b + i * size, size);
    return left != right;
}

static inline uint64_t count_sized(const void *a, const void *b, size_t n, size_t size)
{
    uint64_t found = 0;
    for (size_t i = 0; i < n; i++) found += differs(a, b, i, size);
    return found;
}

static inline uint64_t mark_sized(const void *a, const void *b, size_t n, size_t size, unsigned char *bits, uint64_t first)
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

static inline void merge_sized(const unsigned char *a, const unsigned char *b, const uint64_t *mask, unsigned char *out, size_t n,
                               size_t size)
{
    for (size_t i = 0; i < n; i++) memcpy(out + i * size, (mask[i / 64] >> (i % 64) & 1 ? a : b) + i * size, size);
}

/* Every element is written, and the next one goes over it if its bit is not set. */
static inline size_t gather_sized(const unsigned char *values, const unsigned char *bits, uint64_t first, size_t n, unsigned char *out,
                                  size_t size)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(out + found * size, values + i * size, size);
        found += bits[(first + i) / 8] >> ((first + i) % 8) & 1;
    }
    return found;
}

#define BY_SIZE(function, ...)                                           \
    do {                                                                 \
        switch (size) {                                                  \
        case 1: return function(__VA_ARGS__, 1);                         \
        case 2: return function(__VA_ARGS__, 2);                         \
        case 4: return function(__VA_ARGS__, 4);                         \
        default: KEN_ASSERT(size == 8); return function(__VA_ARGS__, 8); \
        }                                                                \
    } while (0)

static uint64_t count(const void *a, const void *b, size_t n, size_t size)
{
    BY_SIZE(count_sized, a, b, n);
}

static inline uint64_t mark_by_size(const void *a, const void *b, size_t n, unsigned char *bits, uint64_t first, size_t size)
{
    return mark_sized(a, b, n, size, bits, first);
}

static uint64_t mark(const void *a, const void *b, size_t n, size_t size, unsigned char *bits, uint64_t first)
{
    BY_SIZE(mark_by_size, a, b, n, bits, first);
}

static void merge(const void *a, const void *b, const uint64_t *mask, void *out, size_t n, size_t size)
{
    BY_SIZE(merge_sized, a, b, mask, out, n);
}

static size_t gather(const void *values, const unsigned char *bits, uint64_t first, size_t n, size_t size, void *out)
{
    BY_SIZE(gather_sized, values, bits, first, n, out);
}

const struct ken_elements ken_elements_scalar = {
    .count = count,
    .mark = mark,
    .merge = merge,
    .gather = gather,
    .any_non_finite = any_non_finite,
    .squares = squares,
    .cells = cells,
};
