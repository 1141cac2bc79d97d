/* SPDX-License-Identifier: Apache-2.0 */
/* The density of a row at its grid points, fast and with a proven absolute error: docs/design/selection.md, "Binning". */
#ifndef KEN_BINS_H
#define KEN_BINS_H

#include "selection/density.h"
#include "selection/grid.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEN_BINS_NODES = 8 }; /* of one interpolation, four on either side of a value */
/* A bit of a level, set until the level is certain. */
#define KEN_UNCERTAIN (UINT32_C(1) << 31)

/*
 * Nodes stand a sixth of a bandwidth apart or less. Each value is replaced by weights on the eight nodes around it (interpolation of
 * degree 7), the nodes are convolved with the Gaussian, and densities between nodes are interpolated in turn. Either a node is every
 * per_node-th grid point, or a grid point is every per_point-th node.
 */
struct ken_bins {
    const double *at_node; /* density at node 0, 1, ...; three more before, and some behind */
    const double *between; /* [per_node, 8] weights of nodes -3 to 4 for grid points from one node to the next */
    size_t per_node, per_point;
    double bound; /* absolute error of every density */
};

/* Bytes of scratch for rows of n values, a multiple of 64: at most 1.1 MB, for large n 4 bytes a value. */
size_t ken_bins_scratch(size_t n);
/* Bins the row's values. scratch (aligned to 64) is borrowed. False if the row's range is too wide for the scratch. O(n). */
bool ken_bins_init(struct ken_bins *bins, const struct ken_density *density, const struct ken_grid *grid, void *scratch);
/* The density at grid point j. */
double ken_bins_at(const struct ken_bins *bins, size_t j);

#endif
