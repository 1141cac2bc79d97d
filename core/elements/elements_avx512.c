/* SPDX-License-Identifier: Apache-2.0 */
#include "elements/elements.h"

#include <immintrin.h>

#define LOAD_F16
typedef double lanes_of_f16 __attribute__((vector_size(64)));
static inline lanes_of_f16 load_f16(const unsigned char *at)
{
    return (lanes_of_f16)_mm512_cvtps_pd(_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)));
}

#define LOAD_F32
static inline lanes_of_f16 load_f32(const unsigned char *at)
{
    return (lanes_of_f16)_mm512_cvtps_pd(_mm256_loadu_ps((const float *)(const void *)at));
}

static inline lanes_of_f16 load_bf16(const unsigned char *at)
{
    const __m256i bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)at)), 16);
    return (lanes_of_f16)_mm512_cvtps_pd(_mm256_castsi256_ps(bits));
}

#define CELL_LANES 8
#include "elements/elements_lanes.h"

typedef uint64_t word;
enum { WORD = 64 };

static inline word differing(const unsigned char *a, const unsigned char *b, size_t size)
{
    word bits = 0;
    for (size_t v = 0; v < size; v++) {
        __m512i left = _mm512_loadu_si512(a + v * 64), right = _mm512_loadu_si512(b + v * 64);
        word some = size == 1   ? _mm512_cmpneq_epi8_mask(left, right)
                    : size == 2 ? _mm512_cmpneq_epi16_mask(left, right)
                    : size == 4 ? _mm512_cmpneq_epi32_mask(left, right)
                                : _mm512_cmpneq_epi64_mask(left, right);
        bits |= some << (v * 64 / size);
    }
    return bits;
}

static inline __m512i blend(__m512i a, __m512i b, word bits, size_t size)
{
    if (size == 2) return _mm512_mask_blend_epi16((__mmask32)bits, b, a);
    return size == 4 ? _mm512_mask_blend_epi32((__mmask16)bits, b, a) : _mm512_mask_blend_epi64((__mmask8)bits, b, a);
}

static inline void merge_word(const unsigned char *a, const unsigned char *b, word bits, unsigned char *out, size_t size)
{
    for (size_t v = 0; v < size; v++) {
        __m512i merged = blend(_mm512_loadu_si512(a + v * 64), _mm512_loadu_si512(b + v * 64), bits >> (v * 64 / size), size);
        _mm512_storeu_si512(out + v * 64, merged);
    }
}

#include "elements/elements_words.h"

/* Compressing into memory is slow on some machines, so it is done in registers, and all of one is written. */
static size_t gather_4(const unsigned char *values, const unsigned char *bits, size_t n, unsigned char *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i += 16) {
        uint16_t chosen;
        memcpy(&chosen, bits + i / 8, sizeof chosen);
        _mm512_storeu_si512(out + found * 4, _mm512_maskz_compress_epi32(chosen, _mm512_loadu_si512(values + i * 4)));
        found += (size_t)__builtin_popcount(chosen);
    }
    return found;
}

/* There is no such instruction for two bytes in what all of these machines have. */
static size_t gather_2(const unsigned char *values, const unsigned char *bits, size_t n, unsigned char *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i += 16) {
        uint16_t chosen;
        memcpy(&chosen, bits + i / 8, sizeof chosen);
        __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(values + i * 2)));
        _mm256_storeu_si256((__m256i *)(void *)(out + found * 2), _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(chosen, wide)));
        found += (size_t)__builtin_popcount(chosen);
    }
    return found;
}

static size_t gather(const void *values, const unsigned char *bits, uint64_t first, size_t n, size_t size, void *out)
{
    if (size != 2 && size != 4) return ken_elements_scalar.gather(values, bits, first, n, size, out);
    const unsigned char *from = values;
    unsigned char *to = out;
    size_t odd = before_byte(first, n), vectors = (n - odd) / 16 * 16, end = odd + vectors;
    size_t found = ken_elements_scalar.gather(from, bits, first, odd, size, to);
    const unsigned char *whole = bits + (first + odd) / 8;
    found +=
        size == 2 ? gather_2(from + odd * 2, whole, vectors, to + found * 2) : gather_4(from + odd * 4, whole, vectors, to + found * 4);
    return found + ken_elements_scalar.gather(from + end * size, bits, first + end, n - end, size, to + found * size);
}

const struct ken_elements ken_elements_avx512 = {
    .count = count,
    .mark = mark,
    .merge = merge,
    .gather = gather,
    .any_non_finite = any_non_finite,
    .squares = squares,
    .cells = cells,
};
