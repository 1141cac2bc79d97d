/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/kernel.h"
#include "selection/kernel_x86.h"
#include "selection/lagrange.h"
#include "selection/arrangement.h"

#include <immintrin.h>
#include <string.h>

enum { MOST_IN_BUCKET = 5, BUCKETS_PER_VALUE = 4 };

static bool is_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && has_f16c();
}

typedef v16f wide;
typedef v16i wide_int;
enum { WIDE = 16 };

static inline wide least(wide a, wide b)
{
    return (wide)_mm512_min_ps((__m512)a, (__m512)b);
}

static inline wide most(wide a, wide b)
{
    return (wide)_mm512_max_ps((__m512)a, (__m512)b);
}

static inline unsigned lanes_outside(wide x, float low, float high)
{
    return _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(low), _CMP_LT_OQ) | _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(high), _CMP_GT_OQ);
}

/* ---- density */

/* The weights of a node and those behind it stay in lanes, and move on by one for the next node. */
static void weigh(double *weights, const double *powers, size_t nodes, double scale)
{
    v8d column[KEN_BINS_NODES], sum = {0};
    for (int p = 0; p < KEN_BINS_NODES; p++) column[p] = load8d(ken_lagrange[p]) * (scale / KEN_LAGRANGE_DIVISOR);
    for (size_t node = 0; node < nodes; node++, powers += KEN_BINS_NODES) {
        v8d low = (powers[0] * column[0] + powers[1] * column[1]) + (powers[2] * column[2] + powers[3] * column[3]);
        sum += low + ((powers[4] * column[4] + powers[5] * column[5]) + (powers[6] * column[6] + powers[7] * column[7]));
        weights[node] = sum[0];
        sum = __builtin_shufflevector(sum, (v8d){0}, 1, 2, 3, 4, 5, 6, 7, 8);
    }
    memcpy(weights + nodes, &sum, (KEN_BINS_NODES - 1) * sizeof *weights);
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

/* ---- buckets, 32 at a time */

enum { BUCKETS_AT_ONCE = 32 };

/* Inclusive sums of 32 numbers: within each quarter by shifts, then the ends of the quarters before are added. */
static inline __m512i sums_of_16_bits(__m512i a)
{
    a = _mm512_add_epi16(a, _mm512_bslli_epi128(a, 2));
    a = _mm512_add_epi16(a, _mm512_bslli_epi128(a, 4));
    a = _mm512_add_epi16(a, _mm512_bslli_epi128(a, 8));
    __m512i ends = _mm512_shuffle_epi8(a, _mm512_set1_epi16(0x0f0e));
    __m512i one = _mm512_maskz_shuffle_i64x2(0xfc, ends, ends, 0x90), two = _mm512_maskz_shuffle_i64x2(0xf0, ends, ends, 0x40);
    __m512i three = _mm512_maskz_shuffle_i64x2(0xc0, ends, ends, 0x00);
    return _mm512_add_epi16(_mm512_add_epi16(a, one), _mm512_add_epi16(two, three));
}

static inline void note_large(struct arrangement *a, size_t b, uint32_t large)
{
    for (; large; b += 4, large >>= 4)
        if (large & 15) a->large[a->large_count++] = (uint32_t)b;
}

static void counts_to_begins(struct arrangement *a)
{
    const __m512i most = _mm512_set1_epi16(MOST_IN_BUCKET), last = _mm512_set1_epi16(31);
    __m512i before = _mm512_setzero_si512();
    for (size_t b = 0; b < a->buckets; b += BUCKETS_AT_ONCE) {
        __m512i counts = _mm512_loadu_si512(a->ends + b), sums = _mm512_add_epi16(sums_of_16_bits(counts), before);
        uint32_t large = _mm512_cmpgt_epu16_mask(counts, most);
        if (large) note_large(a, b, large);
        _mm512_storeu_si512(a->ends + b, _mm512_sub_epi16(sums, counts));
        before = _mm512_permutexvar_epi16(last, sums);
    }
}

/* The last position so far where the value differs from the one before: the most of such positions, lane by lane. */
static void find_first(const struct arrangement *a, uint32_t *first)
{
    const __m512i iota = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0), none = _mm512_setzero_si512();
    __m512i before = none;
    for (size_t p = 0; p < a->n; p += 16) {
        __mmask16 differs = _mm512_cmp_ps_mask(_mm512_loadu_ps(a->value + p), _mm512_loadu_ps(a->value + (ptrdiff_t)p - 1), _CMP_NEQ_UQ);
        __m512i at = _mm512_maskz_add_epi32(differs, iota, _mm512_set1_epi32((int)p));
        at = _mm512_max_epu32(at, _mm512_alignr_epi32(at, none, 15));
        at = _mm512_max_epu32(at, _mm512_alignr_epi32(at, none, 14));
        at = _mm512_max_epu32(at, _mm512_alignr_epi32(at, none, 12));
        at = _mm512_max_epu32(_mm512_max_epu32(at, _mm512_alignr_epi32(at, none, 8)), before);
        _mm512_storeu_si512(first + p, at);
        before = _mm512_permutexvar_epi32(_mm512_set1_epi32(15), at);
    }
}

/* ---- the nearest values, sixteen grid points at a time */

static inline __m512 four_rows(const float *value, const uint32_t *starts)
{
    __m512 rows = _mm512_castps128_ps512(_mm_loadu_ps(value + (ptrdiff_t)starts[0] - 2));
    rows = _mm512_insertf32x4(rows, _mm_loadu_ps(value + (ptrdiff_t)starts[4] - 2), 1);
    rows = _mm512_insertf32x4(rows, _mm_loadu_ps(value + (ptrdiff_t)starts[8] - 2), 2);
    return _mm512_insertf32x4(rows, _mm_loadu_ps(value + (ptrdiff_t)starts[12] - 2), 3);
}

static inline __m512 grid_lanes(const struct ken_grid *grid, size_t j)
{
    __m512d step = _mm512_set1_pd(grid->step), min = _mm512_set1_pd(grid->min), iota = _mm512_set_pd(7, 6, 5, 4, 3, 2, 1, 0);
    __m512d low = _mm512_add_pd(_mm512_mul_pd(_mm512_add_pd(iota, _mm512_set1_pd((double)j)), step), min);
    __m512d high = _mm512_add_pd(_mm512_mul_pd(_mm512_add_pd(iota, _mm512_set1_pd((double)(j + 8))), step), min);
    __m512 g = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
    __mmask16 is_last = _cvtu32_mask16(grid->k - j <= 16 ? 1U << (grid->k - 1 - j) : 0U);
    return _mm512_mask_mov_ps(g, is_last, _mm512_set1_ps((float)grid->max));
}

static void find_nearest(const struct arrangement *a, uint32_t *nearest)
{
    size_t k = a->grid->k;
    for (size_t j = 0; j < k; j += 16) {
        uint32_t starts[16] = {0};
        const uint16_t *end = a->ends + (ptrdiff_t)(j * a->subs) - 1;
        for (size_t lane = 0; lane < 16 && j + lane < k; lane++) starts[lane] = end[lane * a->subs];
        __m512 row0 = four_rows(a->value, starts), row1 = four_rows(a->value, starts + 1);
        __m512 row2 = four_rows(a->value, starts + 2), row3 = four_rows(a->value, starts + 3);
        __m512 low01 = _mm512_unpacklo_ps(row0, row1), high01 = _mm512_unpackhi_ps(row0, row1);
        __m512 low23 = _mm512_unpacklo_ps(row2, row3), high23 = _mm512_unpackhi_ps(row2, row3);
        __m512 left2 = _mm512_shuffle_ps(low01, low23, 0x44), left = _mm512_shuffle_ps(low01, low23, 0xee);
        __m512 right = _mm512_shuffle_ps(high01, high23, 0x44), right2 = _mm512_shuffle_ps(high01, high23, 0xee);
        __m512 g = grid_lanes(a->grid, j), four = _mm512_set1_ps(4);
        __m512 to_left = _mm512_sub_ps(g, left), to_right = _mm512_sub_ps(right, g);
        __mmask16 is_left = _mm512_cmp_ps_mask(to_left, to_right, _CMP_LT_OQ);
        __mmask16 is_right = _mm512_cmp_ps_mask(to_right, to_left, _CMP_LT_OQ);
        __mmask16 one_left = _mm512_cmp_ps_mask(_mm512_sub_ps(g, left2), to_left, _CMP_NEQ_UQ) |
                             _mm512_cmp_ps_mask(_mm512_mul_ps(four, to_left), _mm512_abs_ps(left), _CMP_LE_OQ);
        __mmask16 one_right = _mm512_cmp_ps_mask(_mm512_sub_ps(right2, g), to_right, _CMP_NEQ_UQ) |
                              _mm512_cmp_ps_mask(_mm512_mul_ps(four, to_right), _mm512_abs_ps(right), _CMP_LE_OQ);
        __mmask16 good = (is_left & one_left) | (is_right & one_right);
        __m512i start = _mm512_loadu_si512(starts);
        __m512i found = _mm512_mask_or_epi32(start, (__mmask16)~good, start, _mm512_set1_epi32((int)KEN_TIED));
        found = _mm512_mask_sub_epi32(found, good & is_left, start, _mm512_set1_epi32(1));
        _mm512_mask_storeu_epi32(nearest + j, _cvtu32_mask16(k - j < 16 ? (1U << (k - j)) - 1 : 0xffffU), found);
    }
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
        __m512i bits = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)(bytes + 2 * i))), 16);
        _mm512_storeu_si512(out + i, bits);
    }
    ken_kernel_scalar.widen_bf16(bytes + 2 * i, out + i, n - i);
}

/* The lanes of x [n] from `column` on that lie between low and high; 16 of them at most. */
static inline uint64_t between(const float *x, size_t n, size_t column, __m512 low, __m512 high)
{
    if (column >= n) return 0;
    __mmask16 present = (__mmask16)(n - column < 16 ? (1U << (n - column)) - 1 : 0xffff);
    __m512 sixteen = _mm512_maskz_loadu_ps(present, x + column);
    return _mm512_mask_cmp_ps_mask(_mm512_mask_cmp_ps_mask(present, low, sixteen, _CMP_LE_OQ), sixteen, high, _CMP_LE_OQ);
}

static size_t lowest_between(const float *x, const uint64_t *mask, size_t n, size_t column, float low, float high)
{
    enum { WORDS = 32 };
    __m512 lows = _mm512_set1_ps(low), highs = _mm512_set1_ps(high);
    uint64_t from = UINT64_MAX << (column % 64);
    size_t word = column / 64, last = (n + 63) / 64;
    for (size_t end = last - word > WORDS ? word + WORDS : last; word < end; word++, from = UINT64_MAX) {
        uint64_t free = ~mask[word] & from;
        if (!free) continue;
        size_t first = word * 64;
        free &= (between(x, n, first, lows, highs) | between(x, n, first + 16, lows, highs) << 16) |
                (between(x, n, first + 32, lows, highs) << 32 | between(x, n, first + 48, lows, highs) << 48);
        if (free) return first + (size_t)__builtin_ctzll(free);
    }
    return SIZE_MAX;
}

static size_t lowest_free(const uint64_t *entries, const uint64_t *free, size_t first, size_t last)
{
    const __m512i iota = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    __m512i lowest = _mm512_set1_epi64(-1); /* columns above positions */
    for (size_t at = first / 8 * 8; at <= last; at += 8) {
        unsigned bits = (unsigned)(free[at / 64] >> (at % 64)) & 0xff;
        if (at < first) bits &= 0xffU << (first - at);
        if (last - at < 7) bits &= 0xffU >> (7 - (last - at));
        __m512i columns = _mm512_slli_epi64(_mm512_maskz_loadu_epi64((__mmask8)bits, entries + at), 32);
        __m512i both = _mm512_or_epi64(columns, _mm512_add_epi64(iota, _mm512_set1_epi64((int64_t)at)));
        lowest = _mm512_mask_min_epu64(lowest, (__mmask8)bits, lowest, both);
    }
    return (uint32_t)_mm512_reduce_min_epu64(lowest);
}

const struct ken_kernel ken_kernel_avx512 = {
    .name = "avx512",
    .is_usable = is_usable,
    .elements = &ken_elements_avx512,
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
