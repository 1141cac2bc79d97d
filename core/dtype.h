/* SPDX-License-Identifier: Apache-2.0 */
/* The dtypes of safetensors, and arithmetic between the floating-point ones. */
#ifndef KEN_DTYPE_H
#define KEN_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name as in the file, bits per element, prunable: F64, F32, F16 and BF16 take part in selection, all others are copied. */
#define KEN_DTYPE_MAP(X) \
    X(F64, 64, true)     \
    X(F32, 32, true)     \
    X(F16, 16, true)     \
    X(BF16, 16, true)    \
    X(C64, 64, false)    \
    X(I64, 64, false)    \
    X(U64, 64, false)    \
    X(I32, 32, false)    \
    X(U32, 32, false)    \
    X(I16, 16, false)    \
    X(U16, 16, false)    \
    X(I8, 8, false)      \
    X(U8, 8, false)      \
    X(BOOL, 8, false)    \
    X(F8_E5M2, 8, false) \
    X(F8_E4M3, 8, false) \
    X(F8_E8M0, 8, false) \
    X(F6_E2M3, 6, false) \
    X(F6_E3M2, 6, false) \
    X(F4, 4, false)

enum ken_dtype {
#define X(name, bits, prunable) KEN_##name,
    KEN_DTYPE_MAP(X)
#undef X
        KEN_DTYPE_COUNT
};

/* The dtype's name in a safetensors header. */
const char *ken_dtype_name(enum ken_dtype dtype);
/* Bits of one element; 4 and 6 for the packed kinds. */
unsigned ken_dtype_bits(enum ken_dtype dtype);
/* Bytes of one element; 0 for the packed kinds. */
size_t ken_dtype_size(enum ken_dtype dtype);
bool ken_dtype_is_prunable(enum ken_dtype dtype);
/* Finds a dtype by name[length]; false if there is none of that name. */
bool ken_dtype_parse(const char *name, size_t length, enum ken_dtype *dtype);

/* All below take prunable dtypes only, and any alignment of `in` and `out`. */

/* in [n] -> out float32 [n]: F16 and BF16 exactly, F64 rounded to nearest even and clamped to the largest finite value (NaN and infinity
 * stay). */
void ken_widen(enum ken_dtype dtype, const void *in, float *out, size_t n);
/* in [n] of dtype `from` -> out [n] of dtype `to`, rounded to nearest even as IEEE 754 does (overflow gives infinity). Same dtype: a copy
 * of the bits. */
void ken_convert(enum ken_dtype from, const void *in, enum ken_dtype to, void *out, size_t n);
/* Element i of in, exactly. */
double ken_load(enum ken_dtype dtype, const void *in, size_t i);
/* Rounds value once to dtype (nearest even), clamped to the largest finite value, and stores it as element i of out. */
void ken_store(enum ken_dtype dtype, void *out, size_t i, double value);
/* Index of the first NaN or infinity of in [n], or n. */
size_t ken_first_non_finite(enum ken_dtype dtype, const void *in, size_t n);

#endif
