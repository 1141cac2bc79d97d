/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/kernel.h"
#include "selection/kernel_x86.h"
#include "selection/arrangement.h"

#include <immintrin.h>
#include <string.h>

enum { MOST_IN_BUCKET = 16, BUCKETS_PER_VALUE = 4 };

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx2") && has_f16c();
}

typedef v8f wide;
typedef v8i wide_int;
enum { WIDE = 8 };

static inline wide least(wide a, wide b)
{
    return (wide)_mm256_min_ps((__m256)a, (__m256)b);
}

static inline wide most(wide a, wide b)
{
    return (wide)_mm256_max_ps((__m256)a, (__m256)b);
}

static inline unsigned lanes_outside(wide x, float low, float high)
{
    __m256 below = _mm256_cmp_ps((__m256)x, _mm256_set1_ps(low), _CMP_LT_OQ);
    return (unsigned)_mm256_movemask_ps(_mm256_or_ps(below, _mm256_cmp_ps((__m256)x, _mm256_set1_ps(high), _CMP_GT_OQ)));
}

#include "selection/kernel_four.h"
#include "selection/kernel_vector.h"

static void widen_f16(const void *in, float *out, size_t n)
{
    const unsigned char *bytes = in;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(bytes + 2 * i))));
    ken_kernel_scalar.widen_f16(bytes + 2 * i, out + i, n - i);
}

static void widen_bf16(const void *in, float *out, size_t n)
{
    const unsigned char *bytes = in;
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(bytes + 2 * i))), 16);
        _mm256_storeu_si256((__m256i *)(out + i), bits);
    }
    ken_kernel_scalar.widen_bf16(bytes + 2 * i, out + i, n - i);
}

static size_t lowest_between(const float *x, const uint64_t *mask, size_t n, size_t column, float low, float high)
{
    return ken_kernel_scalar.lowest_between(x, mask, n, column, low, high);
}

static size_t lowest_free(const uint64_t *entries, const uint64_t *free, size_t first, size_t last)
{
    return ken_kernel_scalar.lowest_free(entries, free, first, last);
}

const struct ken_kernel ken_kernel_avx2 = {
    .name = "avx2",
    .is_usable = is_usable,
    .elements = &ken_elements_avx2,
    .widen_f16 = widen_f16,
    .widen_bf16 = widen_bf16,
    .moments = moments_of,
    .density = density_at,
    .spread = spread_values,
    .spread_at = spread_at,
    .sum_powers = sum_powers,
    .weigh = weigh,
    .gaussian = gaussian,
    .convolve = convolve,
    .levels = levels_of,
    .arrange = arrange,
    .lowest_between = lowest_between,
    .lowest_free = lowest_free,
};
