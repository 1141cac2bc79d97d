/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/levels.h"
#include "selection/bins.h"
#include "selection/sort.h"
#include "selection/spread.h"

#include <math.h>
#include <stdbool.h>

enum {
    DIRECT = 1024, /* n k up to which every density is summed in full */
    FEW = 4,       /* sums in full that a row may cost otherwise */
    PART = 256     /* grid points whose densities are computed at a time */
};
/* Until its level is certain, an entry lacks the highest bit that all levels have when inverted. */
#define UNCERTAIN (UINT64_C(1) << 63)

struct levels {
    const struct ken_density *density;
    const struct ken_grid *grid;
    uint64_t *entries; /* [k] ken_entry(~level, j): ascending is highest level first, then j */
};

/* Nearest integer, halves to even, of 0 <= f < 2^51: the addition leaves no bits below the unit. */
static inline double rounded(double f)
{
    double shifted = f + 0x1p52;
    return shifted - 0x1p52;
}

/* The entry of grid point j, certain where no half-integer is within `error` of f. */
static inline uint64_t entry_of(size_t j, double f, double error)
{
    double level = rounded(f > 0 ? f : 0);
    uint64_t entry = ken_entry(~(uint32_t)level, (uint32_t)j);
    return fabs(f - level) > 0.5 - error ? entry & ~UNCERTAIN : entry;
}

static inline bool is_certain(uint64_t entry)
{
    return entry & UNCERTAIN;
}

static void level_exactly(const struct levels *levels, size_t j)
{
    levels->entries[j] = entry_of(j, ken_density_exact(levels->density, ken_grid_point(levels->grid, j)), -1);
}

/* Each step returns how many entries are still uncertain. */

static size_t level_by_bins(const struct levels *levels, void *scratch)
{
    struct ken_bins bins;
    size_t k = levels->grid->k, uncertain = 0;
    if (!ken_bins_init(&bins, levels->density, levels->grid, scratch)) {
        for (size_t j = 0; j < k; j++) levels->entries[j] = j;
        return k;
    }
    for (size_t first = 0; first < k; first += PART) {
        double f[PART];
        size_t count = k - first < PART ? k - first : PART;
        ken_bins_evaluate(&bins, first, count, f);
        for (size_t i = 0; i < count; i++) {
            uint64_t entry = entry_of(first + i, f[i], bins.bound);
            uncertain += !is_certain(entry);
            levels->entries[first + i] = entry;
        }
    }
    return uncertain;
}

static size_t level_by_spread(const struct levels *levels, void *scratch)
{
    struct ken_spread spread;
    size_t uncertain = 0;
    ken_spread_init(&spread, levels->density, scratch);
    for (size_t j = 0; j < levels->grid->k; j++) {
        if (is_certain(levels->entries[j])) continue;
        double f = ken_spread_at(&spread, ken_grid_point(levels->grid, j));
        levels->entries[j] = entry_of(j, f, spread.bound * f);
        uncertain += !is_certain(levels->entries[j]);
    }
    return uncertain;
}

/* The last word on what is uncertain: sums in full where they are few, else (a plateau at a half-integer) the nearest integer found. */
static void settle(const struct levels *levels, size_t uncertain)
{
    bool few = uncertain <= FEW;
    for (size_t j = 0; uncertain > 0; j++) {
        if (is_certain(levels->entries[j])) continue;
        uncertain--;
        if (few)
            level_exactly(levels, j);
        else
            levels->entries[j] |= UNCERTAIN;
    }
}

static void find_levels(const struct levels *levels, void *scratch)
{
    size_t k = levels->grid->k;
    if (k <= DIRECT && levels->density->n * k <= DIRECT) {
        for (size_t j = 0; j < k; j++) level_exactly(levels, j);
        return;
    }
    if (levels->density->weight * (double)levels->density->n < 0.499) { /* no density is above c: all levels are 0 */
        for (size_t j = 0; j < k; j++) levels->entries[j] = entry_of(j, 0, 0);
        return;
    }
    size_t uncertain = level_by_bins(levels, scratch);
    if (uncertain > FEW) uncertain = level_by_spread(levels, scratch);
    settle(levels, uncertain);
}

size_t ken_levels_scratch(size_t n)
{
    size_t bins = ken_bins_scratch(n), spread = ken_spread_scratch(n);
    return bins > spread ? bins : spread;
}

void ken_levels_sort(const struct ken_density *density, const struct ken_grid *grid, uint64_t *entries, uint64_t *temporary, void *scratch)
{
    struct levels levels = {density, grid, entries};
    find_levels(&levels, scratch);
    ken_sort(entries, grid->k, temporary);
}
