/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/kernel.h"
#include "selection/vectors.h"

#include <immintrin.h>
#include <string.h>

enum { MOST_IN_BUCKET = 16, BUCKETS_PER_VALUE = 4 };

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
}

static inline v16f load16f(const float *x)
{
    v16f vector;
    memcpy(&vector, x, sizeof vector);
    return vector;
}

struct halves {
    __m256 low, high;
};

static inline v16f least(v16f a, v16f b)
{
    struct halves left, right;
    memcpy(&left, &a, sizeof a);
    memcpy(&right, &b, sizeof b);
    left = (struct halves){_mm256_min_ps(left.low, right.low), _mm256_min_ps(left.high, right.high)};
    memcpy(&a, &left, sizeof a);
    return a;
}

static inline v16f most(v16f a, v16f b)
{
    struct halves left, right;
    memcpy(&left, &a, sizeof a);
    memcpy(&right, &b, sizeof b);
    left = (struct halves){_mm256_max_ps(left.low, right.low), _mm256_max_ps(left.high, right.high)};
    memcpy(&a, &left, sizeof a);
    return a;
}

static inline v8d powers_of(double v, double v2, double v4)
{
    v4d low = {1, v, v2, v * v2}, high = low * v4;
    return (v8d){low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
}

/* There is no minimum of 64 bits: few entries are out of order, and those by a place or two. */
static void sort_buckets(uint64_t *entries, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        uint64_t entry = entries[i];
        size_t at = i;
        for (; at > 0 && entries[at - 1] > entry; at--) entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

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
        __m256i wide = _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(bytes + 2 * i))), 16);
        _mm256_storeu_si256((__m256i *)(out + i), wide);
    }
    ken_kernel_scalar.widen_bf16(bytes + 2 * i, out + i, n - i);
}

const struct ken_kernel ken_kernel_avx2 = {
    .name = "avx2",
    .is_usable = is_usable,
    .widen_f16 = widen_f16,
    .widen_bf16 = widen_bf16,
    .moments = moments_of,
    .density = density_at,
    .sum_powers = sum_powers,
    .weigh = weigh,
    .gaussian = gaussian,
    .convolve = convolve,
    .levels = levels_of,
    .arrange = arrange,
};
