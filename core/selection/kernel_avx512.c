/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/kernel.h"
#include "selection/vectors.h"

#include <immintrin.h>
#include <string.h>

enum { MOST_IN_BUCKET = 5, BUCKETS_PER_VALUE = 4 };

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("f16c");
}

static inline v16f load16f(const float *x)
{
    return (v16f)_mm512_loadu_ps(x);
}

static inline v16f least(v16f a, v16f b)
{
    return (v16f)_mm512_min_ps((__m512)a, (__m512)b);
}

static inline v16f most(v16f a, v16f b)
{
    return (v16f)_mm512_max_ps((__m512)a, (__m512)b);
}

static inline v8d powers_of(double v, double v2, double v4)
{
    __m512d one = _mm512_set1_pd(1);
    __m512d first = _mm512_mask_broadcastsd_pd(one, 0xaa, _mm_set_sd(v)), second = _mm512_mask_broadcastsd_pd(one, 0xcc, _mm_set_sd(v2));
    return (v8d)_mm512_mul_pd(_mm512_mul_pd(first, second), _mm512_mask_broadcastsd_pd(one, 0xf0, _mm_set_sd(v4)));
}

/* ---- bitonic sorting: lanes in `larger` take the larger one of themselves and their partner */

static inline __m512i exchange(__m512i a, __m512i partner, __mmask8 larger)
{
    return _mm512_mask_max_epu64(_mm512_min_epu64(a, partner), larger, a, partner);
}

static inline __m512i by_1(__m512i a)
{
    return _mm512_shuffle_epi32(a, _MM_PERM_BADC);
}

static inline __m512i by_2(__m512i a)
{
    return _mm512_shuffle_i64x2(a, a, 0xb1);
}

static inline __m512i by_4(__m512i a)
{
    return _mm512_shuffle_i64x2(a, a, 0x4e);
}

static inline __m512i sorted_lanes(__m512i a)
{
    a = exchange(a, by_1(a), 0x66);
    a = exchange(a, by_2(a), 0x3c);
    a = exchange(a, by_1(a), 0x5a);
    a = exchange(a, by_4(a), 0xf0);
    a = exchange(a, by_2(a), 0xcc);
    return exchange(a, by_1(a), 0xaa);
}

/* Of lanes whose halves are sorted. */
static inline __m512i merged_lanes(__m512i a)
{
    a = exchange(a, _mm512_permutexvar_epi64(_mm512_set_epi64(0, 1, 2, 3, 4, 5, 6, 7), a), 0xf0);
    a = exchange(a, by_2(a), 0xcc);
    return exchange(a, by_1(a), 0xaa);
}

/* A bucket of five lies within eight lanes from a multiple of eight, or within those half-way between, four on either side at most. */
static void sort_buckets(uint64_t *entries, size_t n)
{
    const __m512i none = _mm512_set1_epi64(-1);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) _mm512_storeu_si512(entries + i, sorted_lanes(_mm512_loadu_si512(entries + i)));
    __mmask8 rest = (__mmask8)((1U << (n - i)) - 1);
    _mm512_mask_storeu_epi64(entries + i, rest, sorted_lanes(_mm512_mask_loadu_epi64(none, rest, entries + i)));
    for (i = 4; i + 8 <= n; i += 8) _mm512_storeu_si512(entries + i, merged_lanes(_mm512_loadu_si512(entries + i)));
    if (i >= n) return;
    rest = (__mmask8)((1U << (n - i)) - 1);
    _mm512_mask_storeu_epi64(entries + i, rest, merged_lanes(_mm512_mask_loadu_epi64(none, rest, entries + i)));
}

#include "selection/kernel_vector.h"

static void widen_f16(const void *in, float *out, size_t n)
{
    const unsigned char *bytes = in;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) _mm512_storeu_ps(out + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(bytes + 2 * i))));
    ken_kernel_scalar.widen_f16(bytes + 2 * i, out + i, n - i);
}

static void widen_bf16(const void *in, float *out, size_t n)
{
    const unsigned char *bytes = in;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i wide = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(bytes + 2 * i))), 16);
        _mm512_storeu_si512(out + i, wide);
    }
    ken_kernel_scalar.widen_bf16(bytes + 2 * i, out + i, n - i);
}

const struct ken_kernel ken_kernel_avx512 = {
    .name = "avx512",
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
