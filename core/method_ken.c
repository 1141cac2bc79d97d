/* SPDX-License-Identifier: Apache-2.0 */
/* Method `ken`: the values nearest to the points of an equidistant grid, the densest points first. */
#include "density.h"
#include "grid.h"
#include "levels.h"
#include "mask.h"
#include "methods.h"
#include "untaken.h"
#include "sort.h"

/*
 * Scratch: entries [n] hold the sorted levels, then the sorted values; the temporary buffer of sorting; and what is needed for finding
 * levels, then, in the same place, the order of the grid points and the set of free values. For large n 12.3 bytes a value and 512 KiB.
 */
static size_t order_bytes(size_t n)
{
    return (n + 1) / 2 * sizeof(uint64_t);
}

static size_t scratch_bytes(size_t n)
{
    size_t levels = ken_levels_scratch(n), taking = order_bytes(n) + ken_untaken_scratch(n);
    return (n + ken_sort_temporary(n)) * sizeof(uint64_t) + (levels > taking ? levels : taking);
}

/* Position of the first entry of sorted entries [n] whose value is >= g. */
static size_t lower_bound(const uint64_t *entries, size_t n, float g)
{
    uint64_t least = ken_entry(ken_float_key(g), 0);
    size_t first = 0, last = n;
    while (first < last) {
        size_t middle = first + (last - first) / 2;
        if (entries[middle] < least)
            first = middle + 1;
        else
            last = middle;
    }
    return first;
}

static void take_in_order(const struct ken_row *row, const struct ken_grid *grid, const uint32_t *order, const uint64_t *entries,
                          void *untaken_scratch, uint64_t *mask)
{
    struct ken_untaken untaken;
    ken_untaken_init(&untaken, row->x, entries, row->n, untaken_scratch);
    for (size_t visit = 0; visit < grid->k; visit++) {
        float g = (float)ken_grid_point(grid, order[visit]);
        ken_mask_set(mask, ken_untaken_take(&untaken, g, lower_bound(entries, row->n, g)));
    }
}

/* k = 1: the grid is the minimum alone, whatever the density. */
static size_t first_column_of(const float *x, float value)
{
    size_t i = 0;
    while (!(x[i] == value)) i++;
    return i;
}

static void select_ken(const struct ken_row *row, size_t k, uint64_t seed, uint64_t *mask, void *scratch)
{
    (void)seed;
    size_t n = row->n;
    struct ken_moments moments = ken_moments_of(row->x, n);
    if (moments.min == moments.max) {
        ken_mask_set_first(mask, k);
        return;
    }
    if (k == 1) {
        ken_mask_set(mask, first_column_of(row->x, moments.min));
        return;
    }
    uint64_t *entries = scratch, *temporary = entries + n, *rest = temporary + ken_sort_temporary(n);
    uint32_t *order = (uint32_t *)rest;
    struct ken_density density;
    struct ken_grid grid = ken_grid_make((double)moments.min, (double)moments.max, k);
    ken_density_init(&density, row->x, n, &moments);
    ken_levels_sort(&density, &grid, entries, temporary, rest);
    for (size_t j = 0; j < k; j++) order[j] = (uint32_t)entries[j];
    for (size_t i = 0; i < n; i++) entries[i] = ken_entry(ken_float_key(row->x[i]), (uint32_t)i);
    ken_sort(entries, n, temporary);
    take_in_order(row, &grid, order, entries, (unsigned char *)order + order_bytes(n), mask);
}

const struct ken_selector ken_selector_ken = {scratch_bytes, select_ken};
