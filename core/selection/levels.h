/* SPDX-License-Identifier: Apache-2.0 */
/* In which order the grid points are visited: KEN.md, "Selection of one row", steps 3 and 4. */
#ifndef KEN_LEVELS_H
#define KEN_LEVELS_H

#include "selection/density.h"
#include "selection/grid.h"

#include <stdint.h>

/* Bytes of scratch for rows of n values; a multiple of 8. */
size_t ken_levels_scratch(size_t n);
/*
 * entries [k] receive the grid points (in their low 32 bits) by level, highest first, and within a level ascending. temporary
 * [ken_sort_temporary(k)] and scratch [ken_levels_scratch(n)] bytes, aligned to 8, are overwritten. O(n + k) whatever the values are.
 */
void ken_levels_sort(const struct ken_density *density, const struct ken_grid *grid, uint64_t *entries, uint64_t *temporary, void *scratch);

#endif
