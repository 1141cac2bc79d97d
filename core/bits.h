/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEN_BITS_H
#define KEN_BITS_H

#include <stddef.h>
#include <stdint.h>

/* Number of bits set in bytes [length]. */
uint64_t ken_bits_ones(const unsigned char *bits, size_t length);

#endif
