/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/kernel.h"
#include "selection/arrangement.h"

#include <arm_neon.h>
#include <string.h>

enum { MOST_IN_BUCKET = 16, BUCKETS_PER_VALUE = 4 };

static bool is_usable(void)
{
    return true; /* every 64-bit ARM has it */
}

typedef v4f wide;
typedef v4i wide_int;
enum { WIDE = 4 };

static inline wide least(wide a, wide b)
{
    return (wide)vminq_f32((float32x4_t)a, (float32x4_t)b);
}

static inline wide most(wide a, wide b)
{
    return (wide)vmaxq_f32((float32x4_t)a, (float32x4_t)b);
}

static inline unsigned lanes_outside(wide x, float low, float high)
{
    const uint32x4_t bits = {1, 2, 4, 8};
    uint32x4_t is = vorrq_u32(vcltq_f32((float32x4_t)x, vdupq_n_f32(low)), vcgtq_f32((float32x4_t)x, vdupq_n_f32(high)));
    return vaddvq_u32(vandq_u32(is, bits));
}

static inline void add_powers_of_one(double *sums, double v, double v2, double v4)
{
    float64x2_t power = {1, v}, square = vdupq_n_f64(v2), second = vmulq_f64(power, square), fourth = vdupq_n_f64(v4);
    vst1q_f64(sums, vaddq_f64(vld1q_f64(sums), power));
    vst1q_f64(sums + 2, vaddq_f64(vld1q_f64(sums + 2), second));
    vst1q_f64(sums + 4, vaddq_f64(vld1q_f64(sums + 4), vmulq_f64(power, fourth)));
    vst1q_f64(sums + 6, vaddq_f64(vld1q_f64(sums + 6), vmulq_f64(second, fourth)));
}

static inline void add_powers(double *const sums[4], const double *v, const double *v2, const double *v4)
{
    for (int i = 0; i < 4; i++) add_powers_of_one(sums[i], v[i], v2[i], v4[i]);
}

#include "selection/kernel_four.h"
#include "selection/kernel_vector.h"

static void widen_f16(const void *in, float *out, size_t n)
{
    const unsigned char *bytes = in;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        float16x4_t halves;
        memcpy(&halves, bytes + 2 * i, sizeof halves);
        vst1q_f32(out + i, vcvt_f32_f16(halves));
    }
    ken_kernel_scalar.widen_f16(bytes + 2 * i, out + i, n - i);
}

static void widen_bf16(const void *in, float *out, size_t n)
{
    const unsigned char *bytes = in;
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        uint16x4_t tops;
        memcpy(&tops, bytes + 2 * i, sizeof tops);
        vst1q_f32(out + i, vreinterpretq_f32_u32(vshll_n_u16(tops, 16)));
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

const struct ken_kernel ken_kernel_neon = {
    .name = "neon",
    .is_usable = is_usable,
    .elements = &ken_elements_scalar,
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
