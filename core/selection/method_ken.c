/* SPDX-License-Identifier: Apache-2.0 */
/* Method `ken`: the values nearest to the points of an equidistant grid, the densest points first. */
#include "selection/density.h"
#include "selection/grid.h"
#include "selection/kernel.h"
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
 * Scratch: entries [n] hold runs of levels, then the sorted values; a temporary buffer of sorting; the order of the grid points; and what
 * is needed for finding levels, then, in the same place, the set of free values and the nearest ones. For large n 16.5 bytes a value and
 * 512 KiB.
 */
struct layout {
    uint64_t *entries, *temporary;
    uint32_t *order;
    /* finding levels */
    uint32_t *levels;
    void *levels_scratch;
    /* taking; rows of up to KEN_ARRANGE_MOST values are arranged by the kernel and need no anchors */
    void *untaken_scratch;
    uint32_t *anchors, *nearest;
    void *work;
};

static void *place(unsigned char **at, size_t bytes)
{
    void *memory = *at;
    *at += (bytes + 63) / 64 * 64;
    return memory;
}

static size_t lay_out(struct layout *layout, size_t n, unsigned char *scratch)
{
    unsigned char *at = scratch;
    layout->entries = place(&at, n * sizeof *layout->entries);
    layout->temporary = place(&at, ken_sort_temporary(n) * sizeof *layout->temporary);
    layout->order = place(&at, n * sizeof *layout->order);
    unsigned char *levels_end = at, *taking_end = at;
    layout->levels = place(&levels_end, n * sizeof *layout->levels);
    layout->levels_scratch = place(&levels_end, ken_levels_scratch(n));
    layout->untaken_scratch = place(&taking_end, ken_untaken_scratch(n));
    if (n <= KEN_ARRANGE_MOST) {
        layout->nearest = place(&taking_end, n * sizeof *layout->nearest);
        layout->work = place(&taking_end, ken_arrange_scratch(n));
    } else {
        layout->anchors = place(&taking_end, anchor_bytes(n));
    }
    return (size_t)((levels_end > taking_end ? levels_end : taking_end) - scratch);
}

static size_t scratch_bytes(size_t n)
{
    struct layout layout;
    return lay_out(&layout, n, NULL);
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

static void take_between_anchors(const struct ken_grid *grid, const struct layout *layout, struct ken_untaken *untaken, uint64_t *mask)
{
    const uint32_t *anchors = layout->anchors;
    size_t position = 0, before = SIZE_MAX - 1;
    for (size_t visit = 0; visit < grid->k; visit++) {
        size_t j = layout->order[visit];
        float g = (float)ken_grid_point(grid, j);
        size_t first = j == before + 1 ? position : anchors[j / ANCHOR];
        position = ken_entries_from(layout->entries, first, anchors[j / ANCHOR + 1], least_entry(g));
        ken_mask_set(mask, ken_untaken_take(untaken, g, position));
        before = j;
    }
}

static void take_nearest(const struct ken_grid *grid, const struct layout *layout, struct ken_untaken *untaken, uint64_t *mask)
{
    for (size_t visit = 0; visit < grid->k; visit++) {
        size_t j = layout->order[visit];
        uint32_t nearest = layout->nearest[j], column;
        size_t free = nearest & KEN_TIED ? KEN_FREESET_NONE : ken_freeset_soon(&untaken->free, nearest);
        if (free != KEN_FREESET_NONE && layout->entries[free] >> 32 == layout->entries[nearest] >> 32) {
            column = ken_untaken_take_at(untaken, free);
        } else {
            float g = (float)ken_grid_point(grid, j);
            size_t start = nearest & ~KEN_TIED;
            if (!(nearest & KEN_TIED)) start += layout->entries[start] < least_entry(g);
            column = ken_untaken_take(untaken, g, start);
        }
        ken_mask_set(mask, column);
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
    struct ken_moments moments = ken_kernel()->moments(row->x, n);
    if (moments.min == moments.max) {
        ken_mask_set_first(mask, k);
        return;
    }
    if (k == 1) {
        ken_mask_set(mask, first_column_of(row->x, moments.min));
        return;
    }
    struct layout layout;
    struct ken_density density;
    struct ken_untaken untaken;
    struct ken_grid grid = ken_grid_make((double)moments.min, (double)moments.max, k);
    lay_out(&layout, n, scratch);
    ken_density_init(&density, row->x, n, &moments);
    ken_levels_find(&density, &grid, layout.levels, layout.levels_scratch);
    ken_levels_order(layout.levels, k, layout.order, layout.entries, layout.temporary);
    ken_untaken_init(&untaken, row->x, layout.entries, n, mask, layout.untaken_scratch);
    if (n <= KEN_ARRANGE_MOST) {
        ken_kernel()->arrange(row->x, n, &grid, layout.entries, layout.nearest, layout.work);
        take_nearest(&grid, &layout, &untaken, mask);
    } else {
        for (size_t i = 0; i < n; i++) layout.entries[i] = ken_entry(ken_float_key(row->x[i]), (uint32_t)i);
        ken_sort(layout.entries, n, layout.temporary);
        find_anchors(&grid, layout.entries, n, layout.anchors);
        take_between_anchors(&grid, &layout, &untaken, mask);
    }
}

const struct ken_selector ken_selector_ken = {scratch_bytes, select_ken};
