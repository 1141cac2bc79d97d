/* SPDX-License-Identifier: Apache-2.0 */
/* In which order the grid points are visited: KEN.md, "Selection of one row", steps 3 and 4. */
#ifndef KEN_LEVELS_H
#define KEN_LEVELS_H

#include "density.h"
#include "grid.h"

#include <stdint.h>

/*
 * order [k] receives the grid points by level, highest first, and within a level ascending. entries [k] and temporary
 * [ken_sort_temporary(k)] are overwritten; order may be the buffer of neither.
 */
void ken_levels_order(const struct ken_density *density, const struct ken_grid *grid, uint32_t *order, uint64_t *entries,
                      uint64_t *temporary);

#endif
