/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing elements bit for bit, whatever their dtype, and walking through the result. */
#ifndef KEN_BITS_H
#define KEN_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Elements [n] of `size` bytes (1, 2, 4 or 8) that differ between a and b. */
uint64_t ken_bits_count(const void *a, const void *b, size_t n, size_t size);
/* As ken_bits_count; sets bit (first + i) of bits where element i differs, and leaves all others. */
uint64_t ken_bits_mark(const void *a, const void *b, size_t n, size_t size, unsigned char *bits, uint64_t first);
/* Number of bits set in bytes [length]. */
uint64_t ken_bits_ones(const unsigned char *bits, size_t length);

#endif
