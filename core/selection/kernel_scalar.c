/* SPDX-License-Identifier: Apache-2.0 */
/* The specification of all other kernels. */
#include "dtype.h"
#include "selection/exponential.h"
#include "selection/kernel.h"
#include "selection/kernels.h"
#include "selection/lagrange.h"
#include "selection/pair.h"
#include "selection/sort.h"
#include "selection/spread_lanes.h"
#include "selection/untaken.h"

#include <math.h>
#include <string.h>

static bool always_usable(void)
{
    return true;
}

static void widen_f16(const void *in, float *out, size_t n)
{
    ken_widen(KEN_F16, in, out, n);
}

static void widen_bf16(const void *in, float *out, size_t n)
{
    ken_widen(KEN_BF16, in, out, n);
}

/* ---- density */

static void sum_powers(double *powers, const float *x, size_t n, double min, double nodes_per_unit)
{
    for (size_t i = 0; i < n; i++) {
        double position = ((double)x[i] - min) * nodes_per_unit;
        size_t left = (size_t)position;
        double v = position - (double)left - 0.5, *sums = powers + left * KEN_BINS_NODES;
        ken_pair power = {1, v}, square = ken_pair_of(v * v);
        for (size_t p = 0; p < KEN_BINS_NODES; p += 2) {
            ken_pair_store(sums + p, ken_pair_load(sums + p) + power);
            power *= square;
        }
    }
}

static void weigh(double *weights, const double *powers, size_t nodes, double scale)
{
    memset(weights, 0, (nodes + KEN_BINS_NODES - 1) * sizeof *weights);
    for (size_t node = 0; node < nodes; node++, powers += KEN_BINS_NODES) {
        double own[KEN_BINS_NODES];
        if (powers[0] == 0) continue;
        ken_lagrange_weights(own, powers, scale);
        for (size_t i = 0; i < KEN_BINS_NODES; i++) weights[node + i] += own[i];
    }
}

static void gaussian(double *profile, size_t taps, double spacing)
{
    for (size_t t = 0; t <= taps; t++) {
        double distance = (double)t * spacing;
        profile[t] = ken_exp(-0.5 * distance * distance);
    }
}

static void convolve(double *values, const double *weights, size_t count, const double *profile, size_t width)
{
    for (size_t i = 0; i < count; i++) {
        if (weights[i] == 0) continue;
        ken_pair both = ken_pair_of(weights[i]);
        for (size_t t = 0; t < width; t += 2)
            ken_pair_store(values + i + t, ken_pair_load(values + i + t) + both * ken_pair_load(profile + t));
    }
}

static bool levels(const struct ken_bins *bins, uint32_t *level, size_t k)
{
    static const double shifter = 0x1.8p52;
    uint32_t any = 0;
    for (size_t j = 0; j < k; j++) {
        double f = ken_bins_at(bins, j), nearest = (f + shifter) - shifter;
        level[j] = (uint32_t)(int32_t)nearest | (fabs(f - nearest) > 0.5 - bins->bound ? KEN_UNCERTAIN : 0);
        any |= level[j];
    }
    return any & KEN_UNCERTAIN;
}

/* ---- sorting, and the nearest values */

static inline float value_at(const uint64_t *entries, size_t position)
{
    return ken_key_float((uint32_t)(entries[position] >> 32));
}

/* The first position that has the value of `position`. */
static size_t first_of_value(const uint64_t *entries, size_t position)
{
    uint64_t least = entries[position] >> 32 << 32;
    size_t stride = 1, last = position;
    while (last >= stride && entries[last - stride] >= least) {
        last -= stride;
        stride *= 2;
    }
    return ken_entries_from(entries, last >= stride ? last - stride + 1 : 0, last, least);
}

/* Of grid point g, with `start` the position of the first value that is not below it. */
static uint32_t nearest_to(float g, const uint64_t *entries, size_t n, size_t start)
{
    float left_value = start > 0 ? value_at(entries, start - 1) : -INFINITY, right_value = start < n ? value_at(entries, start) : INFINITY;
    float left = g - left_value, right = right_value - g;
    if (right < left) {
        if (ken_is_telling(right, right_value) || start + 1 == n || value_at(entries, start + 1) - g != right) return (uint32_t)start;
    } else if (left < right) {
        if (start == 1 || g - value_at(entries, start - 2) != left) return (uint32_t)(start - 1);
        if (ken_is_telling(left, left_value)) return (uint32_t)first_of_value(entries, start - 1);
    }
    return (uint32_t)start | KEN_TIED;
}

static void arrange(const float *x, size_t n, const struct ken_grid *grid, uint64_t *entries, uint32_t *nearest, void *work)
{
    for (size_t i = 0; i < n; i++) entries[i] = ken_entry(ken_float_key(x[i]), (uint32_t)i);
    ken_sort(entries, n, work);
    size_t start = 0;
    for (size_t j = 0; j < grid->k; j++) {
        float g = (float)ken_grid_point(grid, j);
        uint64_t least = ken_entry(ken_float_key(g), 0);
        size_t last = start, stride = 1;
        while (last < n && entries[last] < least) { /* most often a few positions further on */
            start = last + 1;
            last += stride;
            stride *= 2;
        }
        start = ken_entries_from(entries, start, last < n ? last : n, least);
        nearest[j] = nearest_to(g, entries, n, start);
    }
}

static size_t lowest_between(const float *x, const uint64_t *mask, size_t n, size_t column, float low, float high)
{
    enum { LOOKS = 24 };
    for (size_t looks = 0; looks < LOOKS && column < n; looks++) {
        uint64_t free = ~mask[column / 64] >> (column % 64);
        if (!free) {
            column = column / 64 * 64 + 64;
            continue;
        }
        column += (size_t)__builtin_ctzll(free);
        if (column < n && x[column] >= low && x[column] <= high) return column;
        column++;
    }
    return SIZE_MAX;
}

static size_t lowest_free(const uint64_t *entries, const uint64_t *free, size_t first, size_t last)
{
    uint32_t lowest = UINT32_MAX;
    size_t best = first;
    for (size_t position = first; position <= last;) {
        uint64_t bits = free[position / 64] >> (position % 64);
        if (!bits) {
            position = position / 64 * 64 + 64;
            continue;
        }
        position += (size_t)__builtin_ctzll(bits);
        if (position > last) break;
        uint32_t column = (uint32_t)entries[position];
        best = column < lowest ? position : best;
        lowest = column < lowest ? column : lowest;
        position++;
    }
    return best;
}

const struct ken_kernel ken_kernel_scalar = {
    .name = "scalar",
    .is_usable = always_usable,
    .elements = &ken_elements_scalar,
    .widen_f16 = widen_f16,
    .widen_bf16 = widen_bf16,
    .moments = ken_moments_of,
    .density = ken_density_exact,
    .spread = spread_values,
    .spread_at = spread_at,
    .sum_powers = sum_powers,
    .weigh = weigh,
    .gaussian = gaussian,
    .convolve = convolve,
    .levels = levels,
    .arrange = arrange,
    .lowest_between = lowest_between,
    .lowest_free = lowest_free,
};
