/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEN_BITS_H
#define KEN_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether bit i % 8 of byte i / 8 is set. */
static inline bool ken_bits_has(const unsigned char *bits, uint64_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}
/* Number of bits set in bytes [length]. */
uint64_t ken_bits_ones(const unsigned char *bits, size_t length);
/* Sets the first `ones` bits of `count`, and clears the others up to the end of the last byte. */
void ken_bits_fill(unsigned char *bits, size_t ones, size_t count);

#endif
