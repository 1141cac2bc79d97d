/* SPDX-License-Identifier: Apache-2.0 */
/* The density of a row to a proven relative error, in time independent of how the values lie: docs/design/selection.md, "Spreading". */
#ifndef KEN_SPREAD_H
#define KEN_SPREAD_H

#include "selection/density.h"

#include <stddef.h>

/*
 * Distance of nodes: 0.4 h, whose trapezoidal sum has a relative error of 2 exp(-pi^2 / (2 * 0.4^2)) = 8e-14. Reach: the 36 nearest nodes,
 * so that all beyond 18 * 0.4 h = 7.2 h are left out: 3 exp(-7.2^2) = 9e-23 of a value; and four with a weight of 0.
 */
#define KEN_SPREAD_SPACING 0.4
enum { KEN_SPREAD_LANES = 40 };

/*
 * exp(-(x-t)^2 / 2h^2) is, up to a constant, the sum over equidistant nodes m of exp(-(x-m)^2 / h^2) exp(-(m-t)^2 / h^2). So each value
 * is spread once over the nodes near it, and each density is a sum over the nodes near its point; nothing is ever subtracted.
 */
struct ken_spread {
    double origin, per_node; /* node position of x: (x - origin) * per_node */
    double *node;            /* sums of the spread values, with margins */
    size_t nodes;
    double factor; /* what a sum over nodes is multiplied by to become f */
    double bound;  /* relative error of ken_kernel's spread_at, where f is at least 1/4 or at least that of a single value */
};

/* Bytes of scratch for rows of n values. A multiple of 8. */
size_t ken_spread_scratch(size_t n);
/* Spreads the row's values. scratch (aligned to 8) is borrowed. O(n). */
void ken_spread_init(struct ken_spread *spread, const struct ken_density *density, void *scratch);

#endif
