/* SPDX-License-Identifier: Apache-2.0 */
/* In which order the grid points are visited: KEN.md, "Selection of one row", steps 3 and 4. */
#ifndef KEN_LEVELS_H
#define KEN_LEVELS_H

#include "selection/density.h"
#include "selection/grid.h"

#include <stdint.h>

/* Bytes of scratch for rows of n values; a multiple of 64. */
size_t ken_levels_scratch(size_t n);
/* levels [k] receive the levels of the grid points. scratch: ken_levels_scratch(n) bytes, aligned to 64. O(n + k) whatever the values are.
 */
void ken_levels_find(const struct ken_density *density, const struct ken_grid *grid, uint32_t *levels, void *scratch);
/*
 * order [k] receives the grid points by level, highest first, and within a level ascending. levels [k], entries [k] and temporary
 * [ken_sort_temporary(k)] are overwritten. O(k).
 */
void ken_levels_order(uint32_t *levels, size_t k, uint32_t *order, uint64_t *entries, uint64_t *temporary);

#endif
