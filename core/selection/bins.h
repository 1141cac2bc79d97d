/* SPDX-License-Identifier: Apache-2.0 */
/* The density of a row at its grid points, fast and with a proven absolute error: docs/design/selection.md, "Binning". */
#ifndef KEN_BINS_H
#define KEN_BINS_H

#include "selection/density.h"
#include "selection/grid.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Nodes stand a seventh of a bandwidth apart or less. Each value is replaced by weights on the nine nodes around it (interpolation of
 * degree 8), the nodes are convolved with the Gaussian, and densities between nodes are interpolated in turn. Either a node is every
 * per_node-th grid point, or a grid point is every per_point-th node.
 */
struct ken_bins {
    const double *at_node; /* density at node 0, 1, ...; four more on either side */
    const double *between; /* [per_node, 10] weights of nodes -4 to 4 for grid points around a node, and a zero */
    size_t per_node, per_point;
    double bound; /* absolute error of every density */
};

/* Bytes of scratch for rows of n values, a multiple of 8: at most 870 KB, for large n 4 bytes a value. */
size_t ken_bins_scratch(size_t n);
/* Bins the row's values. scratch (aligned to 8) is borrowed. False if the row's range is too wide for the scratch. O(n). */
bool ken_bins_init(struct ken_bins *bins, const struct ken_density *density, const struct ken_grid *grid, void *scratch);
/* f [count] receives the densities at grid points first, first + 1, ... */
void ken_bins_evaluate(const struct ken_bins *bins, size_t first, size_t count, double *f);

#endif
