/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vector kernels share, in the compiler's vector types: a file that includes it is compiled for one instruction set, and defines
 * before:
 *   MOST_IN_BUCKET, BUCKETS_PER_VALUE          see sort_buckets() and arrange_by_buckets()
 *   sort_buckets(uint64_t *entries, size_t n)  sorts entries that are out of order only within buckets of at most MOST_IN_BUCKET
 *   add_powers(double *const sums[4], const double *v, const double *v2, const double *v4)  sums[i] [8] += v[i]^0 to v[i]^7, for four
 *   wide, WIDE, least(wide, wide), most(wide, wide)           a register of WIDE floats, and the smaller and larger ones of two
 *   wide_int, lanes_outside(wide x, float low, float high)    one of integers; bits of the lanes below low or above high
 *   find_nearest(const struct arrangement *a, uint32_t *nearest)
 *   BUCKETS_AT_ONCE, counts_to_begins(struct arrangement *a)  ends [buckets] of counts, with that many zeros behind, become begins; large
 *                                                             receives multiples of four with a count above MOST_IN_BUCKET among four
 *   find_first(const struct arrangement *a, uint32_t *first)  first [n] receives the first position with the value of each position
 *   weigh(double *weights, const double *powers, size_t nodes, double scale)
 */
#ifndef KEN_KERNEL_VECTOR_H
#define KEN_KERNEL_VECTOR_H

#include "selection/exponential.h"
#include "selection/kernel.h"
#include "selection/kernels.h"
#include "selection/lagrange.h"
#include "selection/sort.h"
#include "selection/spread_lanes.h"
#include "selection/untaken.h"

#include <math.h>
#include <string.h>

/* ---- moments: value i into lane i % 8, as the specification says */

static inline v8d load_widened(const float *x)
{
    v8f narrow;
    memcpy(&narrow, x, sizeof narrow);
    return __builtin_convertvector(narrow, v8d);
}

static void find_range(struct ken_moments *moments, const float *x, size_t n)
{
    float min = x[0], max = x[0];
    size_t i = 0;
    if (n >= WIDE) {
        wide low, high, next;
        memcpy(&low, x, sizeof low);
        high = low;
        for (; i + WIDE <= n; i += WIDE) {
            memcpy(&next, x + i, sizeof next);
            low = least(low, next);
            high = most(high, next);
        }
        for (int lane = 0; lane < WIDE; lane++) {
            min = low[lane] < min ? low[lane] : min;
            max = high[lane] > max ? high[lane] : max;
        }
    }
    for (; i < n; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
    }
    moments->min = min + 0.0F; /* -0 becomes 0 */
    moments->max = max + 0.0F;
}

/* Lanes 0 to 3 and 4 to 7: longer vectors than the machine has would be kept in memory. */
struct halves {
    v4d low, high;
};

static inline void add_halves(struct halves *sums, v4d low, v4d high)
{
    sums->low += low;
    sums->high += high;
}

static inline v4d load_four(const float *x)
{
    v4f narrow;
    memcpy(&narrow, x, sizeof narrow);
    return __builtin_convertvector(narrow, v4d);
}

static double lanes_of(const struct halves *sums, const float *x, size_t first, size_t n, double mean, bool squared)
{
    double lanes[KEN_LANES];
    memcpy(lanes, sums, sizeof lanes);
    for (size_t lane = 0; first + lane < n; lane++) {
        double distance = (double)x[first + lane] - mean;
        lanes[lane] += squared ? distance * distance : (double)x[first + lane];
    }
    return ken_lanes_sum(lanes) / (double)n;
}

static struct ken_moments moments_of(const float *x, size_t n)
{
    struct ken_moments moments;
    struct halves sums = {{0}, {0}}, squares = {{0}, {0}};
    size_t i = 0;
    find_range(&moments, x, n);
    for (; i + KEN_LANES <= n; i += KEN_LANES) add_halves(&sums, load_four(x + i), load_four(x + i + 4));
    moments.mean = lanes_of(&sums, x, i, n, 0, false);
    for (i = 0; i + KEN_LANES <= n; i += KEN_LANES) {
        v4d low = load_four(x + i) - moments.mean, high = load_four(x + i + 4) - moments.mean;
        add_halves(&squares, low * low, high * high);
    }
    moments.s = sqrt(lanes_of(&squares, x, i, n, moments.mean, true));
    return moments;
}

/* ---- density */

/* ken_exp() of x <= 0 in eight lanes. */
static inline v8d exp_lanes(v8d x)
{
    const v8d shifter = (v8d){0} + 0x1.8p52;
    v8l is_low = x < -700;
    v8d clipped = (v8d)(((v8l)((v8d){0} - 700) & is_low) | ((v8l)x & ~is_low));
    v8d shifted = clipped * 0x1.71547652b82fep0 + shifter, k = shifted - shifter;
    v8d r = (clipped - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
    v8d r2 = r * r, r4 = r2 * r2;
    v8d low = (1.0 / 2 + r * (1.0 / 6)) + r2 * (1.0 / 24 + r * (1.0 / 120));
    v8d middle = (1.0 / 720 + r * (1.0 / 5040)) + r2 * (1.0 / 40320 + r * (1.0 / 362880));
    v8d high = (1.0 / 3628800 + r * (1.0 / 39916800)) + r2 * (1.0 / 479001600 + r * (1.0 / 6227020800.0));
    v8d minus_one = (low + r4 * (middle + r4 * high)) * r2 + r;
    v8d scale = (v8d)(((v8l)shifted + 1023) << 52);
    return (v8d)((v8l)(scale + scale * minus_one) & ~is_low);
}

static double density_at(const struct ken_density *density, double g)
{
    const float *x = density->x;
    size_t n = density->n, i = 0;
    double exponent = density->exponent, lanes[KEN_LANES];
    v8d sums = {0};
    for (; i + KEN_LANES <= n; i += KEN_LANES) {
        v8d distance = g - load_widened(x + i);
        sums += exp_lanes(distance * distance * exponent);
    }
    memcpy(lanes, &sums, sizeof lanes);
    for (size_t lane = 0; i < n; i++, lane++) {
        double distance = g - (double)x[i];
        lanes[lane] += ken_exp(distance * distance * exponent);
    }
    return ken_lanes_sum(lanes) * density->weight;
}

/* The first `count` of eight values; a constant but at the end of a row. */
static inline __attribute__((always_inline)) void sum_eight(double *powers, v8d x, size_t count, double min, double nodes_per_unit)
{
    double unused[KEN_BINS_NODES] = {0}, *sums[8], v[3][8];
    int left[8];
    v8d position = (x - min) * nodes_per_unit;
    v8i lefts = __builtin_convertvector(position, v8i);
    v8d v1 = position - __builtin_convertvector(lefts, v8d) - 0.5, v2 = v1 * v1, v4 = v2 * v2;
    memcpy(left, &lefts, sizeof left);
    memcpy(v[0], &v1, sizeof v1);
    memcpy(v[1], &v2, sizeof v2);
    memcpy(v[2], &v4, sizeof v4);
    for (size_t lane = 0; lane < 8; lane++) sums[lane] = lane < count ? powers + (size_t)(unsigned)left[lane] * KEN_BINS_NODES : unused;
    add_powers(sums, v[0], v[1], v[2]);
    add_powers(sums + 4, v[0] + 4, v[1] + 4, v[2] + 4);
}

static void sum_powers(double *powers, const float *x, size_t n, double min, double nodes_per_unit)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) sum_eight(powers, load_widened(x + i), 8, min, nodes_per_unit);
    if (i == n) return;
    float last[8] = {0};
    memcpy(last, x + i, (n - i) * sizeof *x);
    sum_eight(powers, load_widened(last), n - i, min, nodes_per_unit);
}

static void gaussian(double *profile, size_t taps, double spacing)
{
    const v8d iota = {0, 1, 2, 3, 4, 5, 6, 7};
    for (size_t t = 0; t <= taps; t += 8) {
        v8d distance = (iota + (double)t) * spacing, value = exp_lanes(-0.5 * distance * distance);
        memcpy(profile + t, &value, sizeof value);
    }
}

/* Eight weights at a time, so that what is loaded is what was stored: a store that is read in part is waited for. */
static void convolve(double *values, const double *weights, size_t count, const double *profile, size_t width)
{
    enum { TOGETHER = 8 };
    for (size_t i = 0; i < count; i += TOGETHER) {
        const double *w = weights + i;
        double any = 0;
        for (int lane = 0; lane < TOGETHER; lane++) any += fabs(w[lane]);
        if (any == 0) continue;
        for (size_t t = 0; t < width + TOGETHER - 1; t += 8) {
            const double *p = profile + t;
            v8d low = (w[0] * load8d(p) + w[1] * load8d(p - 1)) + (w[2] * load8d(p - 2) + w[3] * load8d(p - 3));
            v8d high = (w[4] * load8d(p - 4) + w[5] * load8d(p - 5)) + (w[6] * load8d(p - 6) + w[7] * load8d(p - 7));
            v8d sum = load8d(values + i + t) + (low + high);
            memcpy(values + i + t, &sum, sizeof sum);
        }
    }
}

/* Eight densities to levels. */
static inline v8u level_lanes(v8d f, double certain)
{
    const v8d shifter = (v8d){0} + 0x1.8p52;
    v8d shifted = f + shifter, away = f - (shifted - shifter);
    v8d distance = (v8d)((v8l)away & INT64_MAX);
    v8l uncertain = (v8l)(distance > certain) & (int64_t)KEN_UNCERTAIN;
    return __builtin_convertvector(((v8l)shifted & ~(int64_t)KEN_UNCERTAIN & UINT32_MAX) | uncertain, v8u);
}

static bool levels_at_nodes(const struct ken_bins *bins, uint32_t *level, size_t k, double certain)
{
    v8u any = {0};
    for (size_t j = 0; j < k; j += 8) {
        v8d f = {0};
        if (bins->per_point == 1)
            f = load8d(bins->at_node + j);
        else
            for (size_t lane = 0; lane < 8 && j + lane < k; lane++) f[lane] = bins->at_node[(j + lane) * bins->per_point];
        v8u eight = level_lanes(f, certain);
        if (k - j >= 8) any |= eight;
        for (size_t lane = 0; k - j < 8 && lane < k - j; lane++) any[lane] |= eight[lane];
        memcpy(level + j, &eight, (k - j < 8 ? k - j : 8) * sizeof *level);
    }
    uint32_t all = 0;
    for (int lane = 0; lane < 8; lane++) all |= any[lane];
    return all & KEN_UNCERTAIN;
}

/* Eight nodes at a time: between two neighbours, grid points have the same weights everywhere. */
static bool levels_of(const struct ken_bins *bins, uint32_t *level, size_t k)
{
    enum { PART = 32 };
    double certain = 0.5 - bins->bound;
    size_t per_node = bins->per_node;
    if (per_node == 1) return levels_at_nodes(bins, level, k, certain);
    v8u any = {0};
    for (size_t first = 0; first * per_node < k; first += 8) {
        v8d value[KEN_BINS_NODES];
        for (size_t i = 0; i < KEN_BINS_NODES; i++) value[i] = load8d(bins->at_node + first + i - (KEN_BINS_NODES / 2 - 1));
        for (size_t part = 0; part < per_node; part += PART) {
            uint32_t found[PART][8];
            size_t places = per_node - part < PART ? per_node - part : PART;
            for (size_t place = 0; place < places; place++) {
                const double *w = bins->between + (part + place) * KEN_BINS_NODES;
                v8d f = (w[0] * value[0] + w[1] * value[1]) + (w[2] * value[2] + w[3] * value[3]);
                f += (w[4] * value[4] + w[5] * value[5]) + (w[6] * value[6] + w[7] * value[7]);
                v8u eight = level_lanes(f, certain);
                any |= eight; /* of points behind the last, too: then the caller counts in vain */
                memcpy(found[place], &eight, sizeof eight);
            }
            for (size_t node = 0; node < 8; node++) {
                size_t j = (first + node) * per_node + part;
                for (size_t place = 0; place < places && j + place < k; place++) level[j + place] = found[place][node];
            }
        }
    }
    uint32_t all = 0;
    for (int lane = 0; lane < 8; lane++) all |= any[lane];
    return all & KEN_UNCERTAIN;
}

/* ---- sorting, and the nearest values: docs/design/selection.md, "Arranging" */

enum { MOST_SUBS = 1 << 12, MOST_INSERTED = 64 };

/* The last grid points not above x are found, and the place between them and the next. A grid point begins a bucket. */
static inline v8i bucket_lanes(const struct ken_grid *grid, v8f x, double per_unit, int subs)
{
    int last = (int)grid->k - 2;
    v8d position = (__builtin_convertvector(x, v8d) - grid->min) * per_unit;
    v8i j = __builtin_convertvector(position, v8i), over = j - last;
    j = last + (over & over >> 31); /* at most the last but one */
    v8d point = __builtin_convertvector(j, v8d);
    v8f left = __builtin_convertvector(point * grid->step + grid->min, v8f);
    v8f right = __builtin_convertvector((point + 1) * grid->step + grid->min, v8f);
    v8i is_last = j == last;
    right = (v8f)(((v8i)right & ~is_last) | ((v8i)((v8f){0} + (float)grid->max) & is_last));
    v8i cell = j - 1 - (v8i)(left <= x) - (v8i)(right <= x);
    v8i place = __builtin_convertvector((position - __builtin_convertvector(cell, v8d)) * (double)subs, v8i);
    place &= ~(place >> 31);
    over = place - (subs - 1);
    place = subs - 1 + (over & over >> 31);
    return cell * subs + place;
}

/* ken_float_key() in eight lanes. */
static inline v8u key_lanes(v8f x)
{
    v8i bits = (v8i)(x + 0.0F);
    return (v8u)(bits ^ ((bits >> 31) | INT32_MIN));
}

static void find_buckets_exactly(const struct arrangement *a, double per_unit)
{
    for (size_t i = 0; i < a->n; i += 8) {
        float padded[8];
        size_t count = a->n - i < 8 ? a->n - i : 8;
        for (size_t lane = 0; count < 8 && lane < 8; lane++) padded[lane] = a->x[lane < count ? i + lane : i];
        v8f x;
        memcpy(&x, count < 8 ? padded : a->x + i, sizeof x);
        v8i bucket = bucket_lanes(a->grid, x, per_unit, (int)a->subs);
        v8u key = key_lanes(x);
        memcpy(a->bucket + i, &bucket, sizeof bucket);
        memcpy(a->key + i, &key, sizeof key);
    }
}

/* Finds anew the buckets of those of WIDE values from `first` on whose bit is set. */
static void correct_buckets(const struct arrangement *a, const float *x, size_t first, unsigned is, double per_unit)
{
    for (size_t eight = 0; is >> eight; eight += 8) {
        uint32_t exact[8];
        v8f values = {0};
        if (!(is >> eight & 0xff)) continue;
        memcpy(&values, x + eight, (WIDE < 8 ? WIDE : 8) * sizeof *x);
        v8i bucket = bucket_lanes(a->grid, values, per_unit, (int)a->subs);
        memcpy(exact, &bucket, sizeof exact);
        for (unsigned lanes = is >> eight & 0xff; lanes; lanes &= lanes - 1) {
            size_t lane = (size_t)__builtin_ctz(lanes);
            a->bucket[first + eight + lane] = exact[lane];
        }
    }
}

/*
 * In float32, where the error is small beside the distance of grid points: a place that is not within `near` of a grid point is on the
 * right side of it. All others, most often few, are found exactly.
 */
static void find_buckets_roughly(const struct arrangement *a, double per_unit, float near)
{
    float min = (float)a->grid->min, scale = (float)per_unit, subs = (float)a->subs;
    for (size_t i = 0; i < a->n; i += WIDE) {
        float padded[WIDE];
        size_t count = a->n - i < WIDE ? a->n - i : WIDE;
        for (size_t lane = 0; count < WIDE && lane < WIDE; lane++) padded[lane] = a->x[lane < count ? i + lane : i];
        const float *values = count < WIDE ? padded : a->x + i;
        wide x;
        memcpy(&x, values, sizeof x);
        wide position = (x - min) * scale;
        wide between = position - __builtin_convertvector(__builtin_convertvector(position, wide_int), wide);
        wide_int bucket = __builtin_convertvector(position * subs, wide_int), bits = (wide_int)(x + 0.0F);
        wide_int key = bits ^ ((bits >> 31) | INT32_MIN);
        memcpy(a->bucket + i, &bucket, sizeof bucket);
        memcpy(a->key + i, &key, sizeof key);
        unsigned is = lanes_outside(between, near, 1 - near);
        if (is) correct_buckets(a, values, i, is, per_unit);
    }
}

static void find_buckets(const struct arrangement *a)
{
    const struct ken_grid *grid = a->grid;
    double per_unit = (double)(grid->k - 1) / (grid->max - grid->min);
    /* Three roundings of the place; and one of the grid point, in steps. Both twice over. */
    double near = (double)grid->k * 0x1.8p-22 + fmax(fabs(grid->min), fabs(grid->max)) * per_unit * 0x1p-23;
    bool fits = grid->max - grid->min < 0x1p127 && per_unit > 0x1p-100 && per_unit < 0x1p100;
    if (fits && near * (double)a->subs < 0.25)
        find_buckets_roughly(a, per_unit, (float)near);
    else
        find_buckets_exactly(a, per_unit);
}

static void count_buckets(struct arrangement *a)
{
    memset(a->ends - 4, 0, (a->buckets + 4 + BUCKETS_AT_ONCE) * sizeof *a->ends);
    for (size_t i = 0; i < a->n; i++) a->ends[a->bucket[i]]++;
    counts_to_begins(a);
}

static void fill_buckets(const struct arrangement *a)
{
    for (size_t i = 0; i < a->n; i++) a->entries[a->ends[a->bucket[i]]++] = ken_entry(a->key[i], (uint32_t)i);
}

/* Those that sort_buckets() would not. Buckets and keys of columns are overwritten. */
static void sort_large_buckets(const struct arrangement *a)
{
    for (size_t i = 0; i < a->large_count; i++) {
        const uint16_t *ends = a->ends + a->large[i];
        size_t begin = ends[-1];
        for (size_t b = 0; b < 4 && a->large[i] + b < a->buckets; begin = ends[b++]) {
            if (ends[b] - begin > MOST_INSERTED)
                ken_sort(a->entries + begin, ends[b] - begin, (uint64_t *)a->bucket);
            else if (ends[b] - begin > MOST_IN_BUCKET)
                ken_sort_few(a->entries + begin, ends[b] - begin);
        }
    }
}

/* Values, and whether some are equal. */
static bool find_values(const struct arrangement *a)
{
    int32_t equal = 0;
    for (size_t p = 0; p < a->n; p++) a->value[p] = ken_key_float((uint32_t)(a->entries[p] >> 32));
    for (size_t p = 1; p < a->n; p++) equal |= a->value[p] == a->value[p - 1];
    a->value[-2] = a->value[-1] = -INFINITY;
    a->value[a->n] = a->value[a->n + 1] = INFINITY;
    return equal;
}

/* Nearest positions to the first ones of their value. first [n] is overwritten. */
static void move_to_first(const struct arrangement *a, uint32_t *first, uint32_t *nearest)
{
    find_first(a, first);
    for (size_t j = 0; j < a->grid->k; j++) nearest[j] = nearest[j] & KEN_TIED ? nearest[j] : first[nearest[j]];
}

/* Not where rounding makes grid points lie elsewhere than between their neighbours, nor where counts need more bits. */
static bool has_buckets(size_t n, const struct ken_grid *grid)
{
    double largest = fmax(fabs(grid->min), fabs(grid->max));
    return n < 65536 && grid->step >= largest * 0x1p-23 && grid->step >= 0x1p-149;
}

static bool arrange_by_buckets(const float *x, size_t n, const struct ken_grid *grid, uint64_t *entries, uint32_t *nearest, void *work)
{
    struct arrangement a = {.x = x, .grid = grid, .n = n, .subs = 1, .entries = entries};
    if (!has_buckets(n, grid)) return false;
    while (grid->k * a.subs < BUCKETS_PER_VALUE * n / 2 && a.subs < MOST_SUBS) a.subs *= 2;
    a.buckets = grid->k * a.subs;
    a.bucket = work;
    a.key = a.bucket + (n + 15) / 16 * 16;
    a.value = (float *)(a.key + (n + 15) / 16 * 16) + 16;
    a.large = (uint32_t *)(a.value + (n + 2 + 15) / 16 * 16);
    a.ends = (uint16_t *)(a.large + (n * BUCKETS_PER_VALUE / 4 + 16) / 16 * 16) + 32;
    find_buckets(&a);
    count_buckets(&a);
    fill_buckets(&a);
    sort_large_buckets(&a);
    sort_buckets(entries, n);
    bool has_equals = find_values(&a);
    find_nearest(&a, nearest);
    if (has_equals) move_to_first(&a, a.bucket, nearest);
    return true;
}

static void arrange(const float *x, size_t n, const struct ken_grid *grid, uint64_t *entries, uint32_t *nearest, void *work)
{
    if (!arrange_by_buckets(x, n, grid, entries, nearest, work)) ken_kernel_scalar.arrange(x, n, grid, entries, nearest, work);
}

#endif
