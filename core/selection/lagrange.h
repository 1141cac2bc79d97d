/* SPDX-License-Identifier: Apache-2.0 */
/* Interpolation of degree 7: docs/design/selection.md, "Binning". */
#ifndef KEN_LAGRANGE_H
#define KEN_LAGRANGE_H

#include "selection/bins.h"

/*
 * Lagrange's polynomials for nodes -3 to 4: the coefficients of v^0 to v^7 times KEN_LAGRANGE_DIVISOR; v in [-1/2, 1/2] is the place off
 * the middle of nodes 0 and 1.
 */
static const double ken_lagrange[KEN_BINS_NODES][KEN_BINS_NODES] = {
    {-1575, 15435, -77175, 385875, 385875, -77175, 15435, -1575},
    {450, -6174, 51450, -771750, 771750, -51450, 6174, -450},
    {7252, -69860, 327348, -264740, -264740, 327348, -69860, 7252},
    {-2072, 27944, -218232, 529480, -529480, 218232, -27944, 2072},
    {-3920, 33040, -75600, 46480, 46480, -75600, 33040, -3920},
    {1120, -13216, 50400, -92960, 92960, -50400, 13216, -1120},
    {448, -2240, 4032, -2240, -2240, 4032, -2240, 448},
    {-128, 896, -2688, 4480, -4480, 2688, -896, 128},
};
#define KEN_LAGRANGE_DIVISOR 645120.0

/* weights [8] receive `scale` times the nodes' weights for values whose sums of v^0 to v^7 are given. */
static inline void ken_lagrange_weights(double *weights, const double powers[KEN_BINS_NODES], double scale)
{
    double sums[KEN_BINS_NODES] = {0};
    for (int p = 0; p < KEN_BINS_NODES; p++)
        for (int node = 0; node < KEN_BINS_NODES; node++) sums[node] += powers[p] * ken_lagrange[p][node];
    for (int node = 0; node < KEN_BINS_NODES; node++) weights[node] = sums[node] * (scale / KEN_LAGRANGE_DIVISOR);
}

#endif
