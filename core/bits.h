/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEN_BITS_H
#define KEN_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Number of bits set in bytes [length]. */
uint64_t ken_bits_ones(const unsigned char *bits, size_t length);
/* Sets the first `ones` bits of `count`, and clears the others up to the end of the last byte. */
void ken_bits_fill(unsigned char *bits, size_t ones, size_t count);

#endif
