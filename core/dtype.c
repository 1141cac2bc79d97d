/* SPDX-License-Identifier: Apache-2.0 */
#include "dtype.h"
#include "error.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned bits;
    bool prunable;
} dtypes[KEN_DTYPE_COUNT] = {
#define X(name, bits, prunable) {#name, bits, prunable},
    KEN_DTYPE_MAP(X)
#undef X
};

const char *ken_dtype_name(enum ken_dtype dtype)
{
    KEN_ASSERT(dtype < KEN_DTYPE_COUNT);
    return dtypes[dtype].name;
}

unsigned ken_dtype_bits(enum ken_dtype dtype)
{
    KEN_ASSERT(dtype < KEN_DTYPE_COUNT);
    return dtypes[dtype].bits;
}

size_t ken_dtype_size(enum ken_dtype dtype)
{
    return ken_dtype_bits(dtype) / 8;
}

bool ken_dtype_is_prunable(enum ken_dtype dtype)
{
    KEN_ASSERT(dtype < KEN_DTYPE_COUNT);
    return dtypes[dtype].prunable;
}

bool ken_dtype_parse(const char *name, size_t length, enum ken_dtype *dtype)
{
    for (size_t i = 0; i < KEN_DTYPE_COUNT; i++) {
        if (strlen(dtypes[i].name) != length || memcmp(dtypes[i].name, name, length) != 0) continue;
        *dtype = (enum ken_dtype)i;
        return true;
    }
    return false;
}

/* ---- unaligned access: memcpy of a fixed size is one move */

static inline uint16_t load16(const void *in, size_t i)
{
    uint16_t bits;
    memcpy(&bits, (const unsigned char *)in + 2 * i, sizeof bits);
    return bits;
}

static inline uint32_t load32(const void *in, size_t i)
{
    uint32_t bits;
    memcpy(&bits, (const unsigned char *)in + 4 * i, sizeof bits);
    return bits;
}

static inline uint64_t load64(const void *in, size_t i)
{
    uint64_t bits;
    memcpy(&bits, (const unsigned char *)in + 8 * i, sizeof bits);
    return bits;
}

static inline double load_f64(const void *in, size_t i)
{
    double value;
    memcpy(&value, (const unsigned char *)in + 8 * i, sizeof value);
    return value;
}

static inline float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- widening */

static inline uint32_t f32_bits_of_f16(uint16_t half)
{
    const uint32_t exponent_mask = UINT32_C(0x1f) << 23, rebias = UINT32_C(112) << 23;
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13, exponent = bits & exponent_mask;
    uint32_t normal = bits + rebias + (exponent == exponent_mask ? rebias : 0); /* infinity and NaN keep an exponent of ones */
    uint32_t subnormal;
    float value = float_of_bits(bits + rebias + (UINT32_C(1) << 23)) - 0x1p-14F; /* exact: takes the implicit one away again */
    memcpy(&subnormal, &value, sizeof subnormal);
    return (exponent ? normal : subnormal) | (uint32_t)(half & 0x8000) << 16;
}

static inline uint32_t f32_bits_of_bf16(uint16_t bits)
{
    return (uint32_t)bits << 16;
}

static float clamped_float(double value)
{
    float narrow = (float)value;
    return isinf(narrow) && !isinf(value) ? copysignf(FLT_MAX, narrow) : narrow;
}

void ken_widen(enum ken_dtype dtype, const void *in, float *out, size_t n)
{
    unsigned char *bytes = (unsigned char *)out;
    switch (dtype) {
    case KEN_F32: memcpy(out, in, n * sizeof *out); break;
    case KEN_F16:
        for (size_t i = 0; i < n; i++) memcpy(bytes + 4 * i, &(uint32_t){f32_bits_of_f16(load16(in, i))}, 4);
        break;
    case KEN_BF16:
        for (size_t i = 0; i < n; i++) memcpy(bytes + 4 * i, &(uint32_t){f32_bits_of_bf16(load16(in, i))}, 4);
        break;
    case KEN_F64:
        for (size_t i = 0; i < n; i++) memcpy(bytes + 4 * i, &(float){clamped_float(load_f64(in, i))}, 4);
        break;
    default: KEN_ASSERT(!"prunable dtype");
    }
}

double ken_load(enum ken_dtype dtype, const void *in, size_t i)
{
    switch (dtype) {
    case KEN_F64: return load_f64(in, i);
    case KEN_F32: return (double)float_of_bits(load32(in, i));
    case KEN_F16: return (double)float_of_bits(f32_bits_of_f16(load16(in, i)));
    case KEN_BF16: return (double)float_of_bits(f32_bits_of_bf16(load16(in, i)));
    default: KEN_ASSERT(!"prunable dtype");
    }
    return 0;
}

/* ---- narrowing to 16 bits */

struct narrow_format {
    unsigned mantissa; /* stored bits */
    int least;         /* exponent of the smallest normal number */
    uint16_t infinity; /* its bits */
};
static const struct narrow_format f16_format = {10, -14, 0x7c00}, bf16_format = {7, -126, 0x7f80};

/* The bits of value rounded once to nearest, ties to even; overflow gives infinity; a NaN stays one, quiet, with the top of its payload. */
static uint16_t narrow_bits(const struct narrow_format *format, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 48 & 0x8000);
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    unsigned shift = 52 - format->mantissa;
    if (exponent == 1024) {
        uint64_t payload = fraction ? fraction >> shift | UINT64_C(1) << (format->mantissa - 1) : 0;
        return (uint16_t)(sign | format->infinity | payload);
    }
    if (exponent == -1023) return sign; /* zero, or far below half of the smallest subnormal */
    uint64_t significand = fraction | UINT64_C(1) << 52, code = 0;
    if (exponent < format->least) {
        unsigned below = (unsigned)(format->least - exponent);
        if (below > format->mantissa + 1) return sign;
        shift += below;
    } else {
        code = (uint64_t)(exponent - format->least) << format->mantissa;
    }
    uint64_t half = UINT64_C(1) << (shift - 1), rest = significand & ((half << 1) - 1);
    /* The implicit one of a normal number and a carry out of the mantissa both add to the exponent, as they should. */
    code += significand >> shift;
    if (rest > half || (rest == half && (code & 1))) code++;
    return (uint16_t)(sign | (code < format->infinity ? code : format->infinity));
}

static uint16_t clamped_narrow_bits(const struct narrow_format *format, double value)
{
    uint16_t bits = narrow_bits(format, value);
    return (bits & 0x7fff) == format->infinity && isfinite(value) ? (uint16_t)(bits - 1) : bits;
}

void ken_convert(enum ken_dtype from, const void *in, enum ken_dtype to, void *out, size_t n)
{
    unsigned char *bytes = out;
    KEN_ASSERT(ken_dtype_is_prunable(from));
    if (from == to) {
        memcpy(out, in, n * ken_dtype_size(to));
        return;
    }
    switch (to) {
    case KEN_F64:
        for (size_t i = 0; i < n; i++) memcpy(bytes + 8 * i, &(double){ken_load(from, in, i)}, 8);
        break;
    case KEN_F32:
        for (size_t i = 0; i < n; i++) memcpy(bytes + 4 * i, &(float){(float)ken_load(from, in, i)}, 4);
        break;
    case KEN_F16:
        for (size_t i = 0; i < n; i++) memcpy(bytes + 2 * i, &(uint16_t){narrow_bits(&f16_format, ken_load(from, in, i))}, 2);
        break;
    case KEN_BF16:
        for (size_t i = 0; i < n; i++) memcpy(bytes + 2 * i, &(uint16_t){narrow_bits(&bf16_format, ken_load(from, in, i))}, 2);
        break;
    default: KEN_ASSERT(!"prunable dtype");
    }
}

void ken_store(enum ken_dtype dtype, void *out, size_t i, double value)
{
    unsigned char *bytes = (unsigned char *)out + ken_dtype_size(dtype) * i;
    switch (dtype) {
    case KEN_F64:
        if (isinf(value)) value = copysign(DBL_MAX, value);
        memcpy(bytes, &value, 8);
        break;
    case KEN_F32: memcpy(bytes, &(float){isinf(value) ? copysignf(FLT_MAX, (float)value) : clamped_float(value)}, 4); break;
    case KEN_F16: memcpy(bytes, &(uint16_t){clamped_narrow_bits(&f16_format, isinf(value) ? copysign(DBL_MAX, value) : value)}, 2); break;
    case KEN_BF16: memcpy(bytes, &(uint16_t){clamped_narrow_bits(&bf16_format, isinf(value) ? copysign(DBL_MAX, value) : value)}, 2); break;
    default: KEN_ASSERT(!"prunable dtype");
    }
}

/* ---- finiteness */

/* An exponent of ones. */
static inline bool is_non_finite(enum ken_dtype dtype, const void *in, size_t i)
{
    switch (dtype) {
    case KEN_F64: return (load64(in, i) & UINT64_C(0x7ff) << 52) == UINT64_C(0x7ff) << 52;
    case KEN_F32: return (load32(in, i) & UINT32_C(0x7f800000)) == UINT32_C(0x7f800000);
    case KEN_F16: return (load16(in, i) & 0x7c00) == 0x7c00;
    default: return (load16(in, i) & 0x7f80) == 0x7f80;
    }
}

/* Inlined with a constant dtype, the loop over a chunk has no branch inside and becomes vector code. */
static inline size_t first_non_finite(enum ken_dtype dtype, const void *in, size_t n)
{
    enum { CHUNK = 256 };
    size_t i = 0;
    for (; n - i >= CHUNK; i += CHUNK) {
        unsigned found = 0;
        for (size_t j = 0; j < CHUNK; j++) found |= is_non_finite(dtype, in, i + j);
        if (found) break;
    }
    while (i < n && !is_non_finite(dtype, in, i)) i++;
    return i;
}

size_t ken_first_non_finite(enum ken_dtype dtype, const void *in, size_t n)
{
    switch (dtype) {
    case KEN_F64: return first_non_finite(KEN_F64, in, n);
    case KEN_F32: return first_non_finite(KEN_F32, in, n);
    case KEN_F16: return first_non_finite(KEN_F16, in, n);
    case KEN_BF16: return first_non_finite(KEN_BF16, in, n);
    default: KEN_ASSERT(!"prunable dtype");
    }
    return n;
}
