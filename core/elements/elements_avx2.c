/* SPDX-License-Identifier: Apache-2.0 */
#include "elements/elements.h"

#include <immintrin.h>

#define LOAD_F16
typedef double lanes_of_f16 __attribute__((vector_size(64)));
static inline lanes_of_f16 load_f16(const unsigned char *at)
{
    typedef float eight __attribute__((vector_size(32)));
    return __builtin_convertvector((eight)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)at)), lanes_of_f16);
}

#define CELL_LANES 4
#include "elements/elements_lanes.h"

typedef uint32_t word;
enum { WORD = 32 };

static inline __m256i load(const unsigned char *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

/* Where elements are equal, all bits of theirs are set. */
static inline word differing(const unsigned char *a, const unsigned char *b, size_t size)
{
    word equal = 0;
    if (size == 1) return ~(word)_mm256_movemask_epi8(_mm256_cmpeq_epi8(load(a), load(b)));
    if (size == 2) {
        __m256i both = _mm256_packs_epi16(_mm256_cmpeq_epi16(load(a), load(b)), _mm256_cmpeq_epi16(load(a + 32), load(b + 32)));
        return ~(word)_mm256_movemask_epi8(_mm256_permute4x64_epi64(both, 0xd8));
    }
    for (size_t v = 0; v < size; v++) {
        __m256i left = load(a + v * 32), right = load(b + v * 32);
        unsigned some = size == 4 ? (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(left, right)))
                                  : (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(left, right)));
        equal |= some << (v * 32 / size);
    }
    return ~equal;
}

/* All bits of the elements whose bit is set among the lowest. */
static inline __m256i spread_bits(word bits, size_t size)
{
    const __m256i of_16 = _mm256_set_epi16((short)0x8000, 0x4000, 0x2000, 0x1000, 0x800, 0x400, 0x200, 0x100, 128, 64, 32, 16, 8, 4, 2, 1);
    const __m256i of_8 = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1), of_4 = _mm256_set_epi64x(8, 4, 2, 1);
    if (size == 2) return _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_set1_epi16((short)bits), of_16), of_16);
    if (size == 4) return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)bits), of_8), of_8);
    return _mm256_cmpeq_epi64(_mm256_and_si256(_mm256_set1_epi64x(bits), of_4), of_4);
}

static inline void merge_word(const unsigned char *a, const unsigned char *b, word bits, unsigned char *out, size_t size)
{
    for (size_t v = 0; v < size; v++) {
        __m256i merged = _mm256_blendv_epi8(load(b + v * 32), load(a + v * 32), spread_bits(bits >> (v * 32 / size), size));
        _mm256_storeu_si256((__m256i *)(void *)(out + v * 32), merged);
    }
}

#include "elements/elements_words.h"

static size_t gather(const void *values, const unsigned char *bits, uint64_t first, size_t n, size_t size, void *out)
{
    return ken_elements_scalar.gather(values, bits, first, n, size, out);
}

const struct ken_elements ken_elements_avx2 = {
    .count = count,
    .mark = mark,
    .merge = merge,
    .gather = gather,
    .any_non_finite = any_non_finite,
    .squares = squares,
    .cells = cells,
};
