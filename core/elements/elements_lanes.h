/* SPDX-License-Identifier: Apache-2.0 */
/* What all instruction sets share, in the compiler's vector types: every file that includes this has it compiled for its own. */
#ifndef KEN_ELEMENTS_LANES_H
#define KEN_ELEMENTS_LANES_H

#include "elements/elements.h"
#include "error.h"
#include "simd.h"

#include <stdbool.h>
#include <string.h>

enum { SUM_LANES = 8 };

/* Whether all bits of `exponent` are set in any of the values: the most that is set in one, which compilers make vectors of. */
#define ANY_NON_FINITE(word, exponent)                           \
    do {                                                         \
        const unsigned char *bytes = values;                     \
        word most = 0;                                           \
        for (size_t i = 0; i < n; i++) {                         \
            word bits;                                           \
            memcpy(&bits, bytes + i * sizeof bits, sizeof bits); \
            bits &= (exponent);                                  \
            most = bits > most ? bits : most;                    \
        }                                                        \
        return most == (exponent);                               \
    } while (0)

static bool any_non_finite(enum ken_dtype dtype, const void *values, size_t n)
{
    switch (dtype) {
    case KEN_F64: ANY_NON_FINITE(uint64_t, UINT64_C(0x7ff0000000000000));
    case KEN_F32: ANY_NON_FINITE(uint32_t, UINT32_C(0x7f800000));
    case KEN_F16: ANY_NON_FINITE(uint16_t, 0x7c00);
    default: KEN_ASSERT(dtype == KEN_BF16); ANY_NON_FINITE(uint16_t, 0x7f80);
    }
}
#undef ANY_NON_FINITE

static inline v8d load_f64(const unsigned char *at)
{
    v8d values;
    memcpy(&values, at, sizeof values);
    return values;
}

#ifndef LOAD_F32
static inline v8d load_f32(const unsigned char *at)
{
    v8f values;
    memcpy(&values, at, sizeof values);
    return __builtin_convertvector(values, v8d);
}

static inline v8d load_bf16(const unsigned char *at)
{
    v8us halves;
    memcpy(&halves, at, sizeof halves);
    v8u bits = __builtin_convertvector(halves, v8u) << 16;
    return __builtin_convertvector((v8f)bits, v8d);
}
#endif

#ifndef LOAD_F16
/* Exponents are moved from a bias of 15 to 127; what was subnormal is made normal by the multiplication. */
static inline v8d load_f16(const unsigned char *at)
{
    v8us halves;
    memcpy(&halves, at, sizeof halves);
    v8u bits = __builtin_convertvector(halves, v8u);
    v8f magnitude = (v8f)((bits & 0x7fff) << 13) * 0x1p112F;
    return __builtin_convertvector((v8f)((v8u)magnitude | (bits & 0x8000) << 16), v8d);
}
#endif

/* load(at) is of eight values; what is left at the end is filled up with zeros, whose terms are 0. */
#define SQUARES(load, size)                                                                               \
    do {                                                                                                  \
        const unsigned char *left = a, *right = b;                                                        \
        v8d sums = {0};                                                                                   \
        size_t i = 0;                                                                                     \
        for (; i + SUM_LANES <= n; i += SUM_LANES) {                                                      \
            v8d difference = load(left + i * (size)) - load(right + i * (size));                          \
            sums += difference * difference;                                                              \
        }                                                                                                 \
        if (i < n) {                                                                                      \
            unsigned char last[2][SUM_LANES * (size)] = {{0}};                                            \
            memcpy(last[0], left + i * (size), (n - i) * (size));                                         \
            memcpy(last[1], right + i * (size), (n - i) * (size));                                        \
            v8d difference = load(last[0]) - load(last[1]);                                               \
            sums += difference * difference;                                                              \
        }                                                                                                 \
        return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7])); \
    } while (0)

static double squares(enum ken_dtype dtype, const void *a, const void *b, size_t n)
{
    switch (dtype) {
    case KEN_F64: SQUARES(load_f64, 8);
    case KEN_F32: SQUARES(load_f32, 4);
    case KEN_F16: SQUARES(load_f16, 2);
    default: KEN_ASSERT(dtype == KEN_BF16); SQUARES(load_bf16, 2);
    }
}
#undef SQUARES

#include "elements/elements_cells.h"

#endif
