/* SPDX-License-Identifier: Apache-2.0 */
#include "levels.h"
#include "sort.h"

/* Nearest integer, halves to even, of 0 <= f < 2^51: the addition leaves no bits below the unit. */
static inline uint32_t level_of(double f)
{
    double shifted = f + 0x1p52;
    return (uint32_t)(shifted - 0x1p52);
}

void ken_levels_order(const struct ken_density *density, const struct ken_grid *grid, uint32_t *order, uint64_t *entries,
                      uint64_t *temporary)
{
    size_t k = grid->k;
    for (size_t j = 0; j < k; j++) {
        uint32_t level = level_of(ken_density_exact(density, ken_grid_point(grid, j)));
        entries[j] = ken_entry(~level, (uint32_t)j);
    }
    ken_sort(entries, k, temporary);
    for (size_t j = 0; j < k; j++) order[j] = (uint32_t)entries[j];
}
