/* SPDX-License-Identifier: Apache-2.0 */
/* The grid of a row: KEN.md, "Selection of one row", step 2. */
#ifndef KEN_GRID_H
#define KEN_GRID_H

#include <stddef.h>

struct ken_grid {
    double min, max, step;
    size_t k;
};

static inline struct ken_grid ken_grid_make(double min, double max, size_t k)
{
    return (struct ken_grid){.min = min, .max = max, .step = k > 1 ? (max - min) / (double)(k - 1) : 0, .k = k};
}

/* g[j], j < k. */
static inline double ken_grid_point(const struct ken_grid *grid, size_t j)
{
    return j + 1 == grid->k && j > 0 ? grid->max : (double)j * grid->step + grid->min;
}

#endif
