/* SPDX-License-Identifier: Apache-2.0 */
/* Method `density`: the columns at the densest places of the row. */
#include "selection/density.h"
#include "selection/kernel.h"
#include "selection/mask.h"
#include "selection/methods.h"
#include "selection/spread.h"

#include <string.h>

enum {
    DIRECT = 32, /* n up to which every density is summed in full */
    FEW = 8      /* sums in full that a row may cost otherwise */
};
#define TOLERANCE 1e-12 /* densities this close are told apart by the sum in full: KEN.md */

static size_t scratch_bytes(size_t n)
{
    return n * sizeof(uint64_t) + ken_spread_scratch(n);
}

/* The highest density first: densities are not negative, so their bits have their order. */
static uint64_t key_of_density(double f)
{
    uint64_t bits;
    memcpy(&bits, &f, sizeof bits);
    return ~bits;
}

static double density_of_key(uint64_t key)
{
    double f;
    memcpy(&f, &(uint64_t){~key}, sizeof f);
    return f;
}

/* Sums in full, each distinct value once. */
struct sums {
    const struct ken_density *density;
    float value[FEW];
    double f[FEW];
    size_t count;
};

/* The sum in full at x; false if that would be one too many. */
static bool sum_in_full(struct sums *sums, float x, double *f)
{
    size_t i = 0;
    while (i < sums->count && sums->value[i] != x) i++;
    if (i == FEW) return false;
    if (i == sums->count) {
        sums->value[i] = x;
        sums->f[i] = ken_kernel()->density(sums->density, (double)x);
        sums->count++;
    }
    *f = sums->f[i];
    return true;
}

/*
 * Sums in full what is too near to the k-th density to be told from it. Where these are many, their values lie on a plateau, and the
 * densities as they are decide. An error in a density that is not near to the k-th cannot matter.
 */
static void settle_boundary(const struct ken_density *density, double bound, uint64_t *keys, size_t k)
{
    double kth = density_of_key(ken_kth_smallest(keys, density->n, k)), tolerance = 2.5 * bound + TOLERANCE;
    uint64_t highest = key_of_density(kth * (1 + tolerance)), lowest = key_of_density(kth * (1 - tolerance));
    struct sums sums = {.density = density};
    double f;
    for (size_t i = 0; i < density->n; i++)
        if (keys[i] >= highest && keys[i] <= lowest && !sum_in_full(&sums, density->x[i], &f)) return;
    for (size_t i = 0; i < density->n; i++)
        if (keys[i] >= highest && keys[i] <= lowest && sum_in_full(&sums, density->x[i], &f)) keys[i] = key_of_density(f);
}

static void find_densities(const struct ken_density *density, uint64_t *keys, size_t k, void *scratch)
{
    struct ken_spread spread;
    if (density->n <= DIRECT) {
        for (size_t i = 0; i < density->n; i++) keys[i] = key_of_density(ken_kernel()->density(density, (double)density->x[i]));
        return;
    }
    ken_spread_init(&spread, density, scratch);
    for (size_t i = 0; i < density->n; i++) keys[i] = key_of_density(ken_kernel()->spread_at(&spread, (double)density->x[i]));
    settle_boundary(density, spread.bound, keys, k);
}

static void select_density(const struct ken_row *row, size_t k, uint64_t seed, uint64_t *mask, void *scratch)
{
    (void)seed;
    uint64_t *keys = scratch;
    struct ken_moments moments = ken_kernel()->moments(row->x, row->n);
    if (moments.min == moments.max) {
        ken_mask_set_first(mask, k);
        return;
    }
    struct ken_density density;
    ken_density_init(&density, row->x, row->n, &moments);
    find_densities(&density, keys, k, keys + row->n);
    ken_take_smallest(keys, row->n, k, mask);
}

const struct ken_selector ken_selector_density = {scratch_bytes, select_density};
