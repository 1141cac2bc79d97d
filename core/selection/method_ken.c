/* SPDX-License-Identifier: Apache-2.0 */
/* Method `ken`: the values nearest to the points of an equidistant grid, the densest points first. */
#include "selection/density.h"
#include "selection/grid.h"
#include "selection/levels.h"
#include "selection/mask.h"
#include "selection/methods.h"
#include "selection/untaken.h"
#include "selection/sort.h"

/* Where every eighth grid point lies among the sorted values: the others are found between two of these, in whatever order they come. */
enum { ANCHOR = 8 };

static size_t anchor_bytes(size_t n)
{
    return (n / ANCHOR + 3) / 2 * sizeof(uint64_t);
}

/*
 * Scratch: entries [n] hold the sorted levels, then the sorted values; the temporary buffer of sorting; and what is needed for finding
 * levels, then, in the same place, the order of the grid points and the set of free values. For large n 13.2 bytes a value and 512 KiB.
 */
static size_t order_bytes(size_t n)
{
    return (n + 1) / 2 * sizeof(uint64_t);
}

static size_t scratch_bytes(size_t n)
{
    size_t levels = ken_levels_scratch(n), taking = order_bytes(n) + anchor_bytes(n) + ken_untaken_scratch(n);
    return (n + ken_sort_temporary(n)) * sizeof(uint64_t) + (levels > taking ? levels : taking);
}

static inline uint64_t least_entry(float g)
{
    return ken_entry(ken_float_key(g), 0);
}

/* anchors [(k - 1) / 8 + 2]: the last is n. */
static void find_anchors(const struct ken_grid *grid, const uint64_t *entries, size_t n, uint32_t *anchors)
{
    size_t position = 0, count = (grid->k - 1) / ANCHOR + 1;
    for (size_t anchor = 0; anchor < count; anchor++) {
        uint64_t least = least_entry((float)ken_grid_point(grid, anchor * ANCHOR));
        while (position < n && entries[position] < least) position++;
        anchors[anchor] = (uint32_t)position;
    }
    anchors[count] = (uint32_t)n;
}

static void take_in_order(const struct ken_grid *grid, const uint32_t *order, const uint64_t *entries, const uint32_t *anchors,
                          struct ken_untaken *untaken, uint64_t *mask)
{
    size_t position = 0, before = SIZE_MAX - 1;
    for (size_t visit = 0; visit < grid->k; visit++) {
        size_t j = order[visit];
        float g = (float)ken_grid_point(grid, j);
        uint64_t least = least_entry(g);
        size_t first = j == before + 1 ? position : anchors[j / ANCHOR];
        position = ken_entries_from(entries, first, anchors[j / ANCHOR + 1], least);
        ken_mask_set(mask, ken_untaken_take(untaken, g, position));
        before = j;
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
    struct ken_untaken untaken;
    uint32_t *anchors = order + order_bytes(n) / sizeof *order;
    ken_untaken_init(&untaken, entries, n, anchors + anchor_bytes(n) / sizeof *anchors);
    find_anchors(&grid, entries, n, anchors);
    take_in_order(&grid, order, entries, anchors, &untaken, mask);
}

const struct ken_selector ken_selector_ken = {scratch_bytes, select_ken};
