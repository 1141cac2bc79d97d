/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEN_BYTES_H
#define KEN_BYTES_H

#include <stdint.h>

/* a + b bytes, or the most that there is: what does not fit into 64 bits is more than any disk has. */
static inline uint64_t ken_bytes_add(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

#endif
