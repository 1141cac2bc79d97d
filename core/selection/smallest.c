/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/mask.h"
#include "selection/methods.h"

enum { DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS };

/* The keys whose bits from `shift` on are below `prefix` are all taken, and `need` of the `count` that have just that prefix. */
struct boundary {
    unsigned shift;
    uint64_t prefix;
    size_t need, count;
};

/* Goes one digit further down. */
static void narrow(struct boundary *at, const uint64_t *keys, size_t n)
{
    size_t counts[DIGITS] = {0}, digit = 0;
    unsigned above = at->shift;
    at->shift -= DIGIT_BITS;
    for (size_t i = 0; i < n; i++)
        if (above == 64 || keys[i] >> above == at->prefix) counts[keys[i] >> at->shift & (DIGITS - 1)]++;
    while (counts[digit] < at->need) at->need -= counts[digit++];
    at->prefix = at->prefix << DIGIT_BITS | digit;
    at->count = counts[digit];
}

uint64_t ken_kth_smallest(const uint64_t *keys, size_t n, size_t k)
{
    struct boundary at = {.shift = 64, .prefix = 0, .need = k, .count = n};
    while (at.shift > 0) narrow(&at, keys, n);
    return at.prefix;
}

void ken_take_smallest(const uint64_t *keys, size_t n, size_t k, uint64_t *mask)
{
    struct boundary at = {.shift = 64, .prefix = 0, .need = k, .count = n};
    while (at.need < at.count && at.shift > 0)
        narrow(&at, keys, n); /* until the boundary falls between two prefixes, or within equal keys */
    if (at.shift == 64) {
        ken_mask_set_first(mask, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t prefix = keys[i] >> at.shift;
        bool is_tie = prefix == at.prefix && at.need > 0;
        if (is_tie) at.need--;
        mask[i / 64] |= (uint64_t)(prefix < at.prefix || is_tie) << (i % 64);
    }
}
