/* SPDX-License-Identifier: Apache-2.0 */
#include "bits.h"

#include <string.h>

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

void ken_bits_fill(unsigned char *bits, size_t ones, size_t count)
{
    memset(bits, 0, (count + 7) / 8);
    memset(bits, 0xff, ones / 8);
    if (ones % 8) bits[ones / 8] = (unsigned char)((1U << ones % 8) - 1);
}
