/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/levels.h"
#include "selection/bins.h"
#include "selection/kernel.h"
#include "selection/sort.h"
#include "selection/spread.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    DIRECT = 1024, /* n k up to which every density is summed in full */
    FEW = 4        /* sums in full that a row may cost otherwise */
};

struct levels {
    const struct ken_density *density;
    const struct ken_grid *grid;
    uint32_t *level; /* [k], with KEN_UNCERTAIN until it is certain */
};

/* Nearest integer, halves to even, of 0 <= f < 2^51: the addition leaves no bits below the unit. */
static inline double rounded(double f)
{
    double shifted = f + 0x1p52;
    return shifted - 0x1p52;
}

static void level_exactly(const struct levels *levels, size_t j)
{
    levels->level[j] = (uint32_t)rounded(ken_kernel()->density(levels->density, ken_grid_point(levels->grid, j)));
}

static size_t count_uncertain(const struct levels *levels)
{
    size_t count = 0;
    for (size_t j = 0; j < levels->grid->k; j++) count += levels->level[j] >> 31;
    return count;
}

/* Each step returns how many levels are still uncertain. */

static size_t level_by_bins(const struct levels *levels, void *scratch)
{
    struct ken_bins bins;
    size_t k = levels->grid->k;
    if (!ken_bins_init(&bins, levels->density, levels->grid, scratch)) {
        for (size_t j = 0; j < k; j++) levels->level[j] = KEN_UNCERTAIN;
        return k;
    }
    return ken_kernel()->levels(&bins, levels->level, k) ? count_uncertain(levels) : 0;
}

static size_t level_by_spread(const struct levels *levels, void *scratch)
{
    struct ken_spread spread;
    size_t uncertain = 0;
    ken_spread_init(&spread, levels->density, scratch);
    for (size_t j = 0; j < levels->grid->k; j++) {
        if (!(levels->level[j] & KEN_UNCERTAIN)) continue;
        double f = ken_kernel()->spread_at(&spread, ken_grid_point(levels->grid, j)), level = rounded(f);
        bool is_certain = fabs(f - level) <= 0.5 - spread.bound * f;
        levels->level[j] = (uint32_t)level | (is_certain ? 0 : KEN_UNCERTAIN);
        uncertain += !is_certain;
    }
    return uncertain;
}

/* The last word on what is uncertain: sums in full where they are few, else (a plateau at a half-integer) the nearest integer found. */
static void settle(const struct levels *levels, size_t uncertain)
{
    bool few = uncertain <= FEW;
    for (size_t j = 0; uncertain > 0; j++) {
        if (!(levels->level[j] & KEN_UNCERTAIN)) continue;
        uncertain--;
        if (few)
            level_exactly(levels, j);
        else
            levels->level[j] &= ~KEN_UNCERTAIN;
    }
}

size_t ken_levels_scratch(size_t n)
{
    size_t bins = ken_bins_scratch(n), spread = (ken_spread_scratch(n) + 63) / 64 * 64;
    return bins > spread ? bins : spread;
}

void ken_levels_find(const struct ken_density *density, const struct ken_grid *grid, uint32_t *level, void *scratch)
{
    struct levels levels = {density, grid, level};
    size_t k = grid->k;
    if (k <= DIRECT && density->n * k <= DIRECT) {
        for (size_t j = 0; j < k; j++) level_exactly(&levels, j);
        return;
    }
    if (density->weight * (double)density->n < 0.499) { /* no density is above c: all levels are 0 */
        memset(level, 0, k * sizeof *level);
        return;
    }
    size_t uncertain = level_by_bins(&levels, scratch);
    if (uncertain > FEW) uncertain = level_by_spread(&levels, scratch);
    settle(&levels, uncertain);
}

/* entries [runs] receive, for every run of equal levels, the level inverted above its first grid point. Densities are smooth: runs are few.
 */
static size_t find_runs(const uint32_t *levels, size_t k, uint64_t *entries)
{
    size_t runs = 1;
    entries[0] = ken_entry(~levels[0], 0);
    for (size_t j = 1; j < k; j++) {
        entries[runs] = ken_entry(~levels[j], (uint32_t)j); /* overwritten unless it is the first of a run */
        runs += levels[j] != levels[j - 1];
    }
    return runs;
}

void ken_levels_order(uint32_t *levels, size_t k, uint32_t *order, uint64_t *entries, uint64_t *temporary)
{
    size_t runs = find_runs(levels, k, entries), visit = 0;
    uint32_t *end = levels; /* [k], of the run that begins there */
    for (size_t run = 0; run < runs; run++) end[(uint32_t)entries[run]] = run + 1 < runs ? (uint32_t)entries[run + 1] : (uint32_t)k;
    ken_sort(entries, runs, temporary);
    for (size_t run = 0; run < runs; run++)
        for (uint32_t j = (uint32_t)entries[run], last = end[j]; j < last; j++) order[visit++] = j;
}
