/* SPDX-License-Identifier: Apache-2.0 */
#include "selection/bins.h"
#include "selection/exponential.h"
#include "selection/kernel.h"

#include <math.h>
#include <string.h>

enum {
    NODES = KEN_BINS_NODES,
    BEFORE = NODES / 2 - 1, /* nodes of an interpolation before the one at the left of a value */
    MOST_PER_NODE = 1024,
    MARGIN = 32,        /* more values and weights than are used, so that kernels can go on to the end of a vector */
    ENOUGH_ROOM = 12288 /* nodes: more are not made room for unless they are few beside n */
};

struct precision {
    double nodes;     /* per bandwidth, at least */
    double reach;     /* bandwidths: where the Gaussian is cut */
    double remainder; /* what it has fallen to there */
    double bound;     /* of the error, as a part of c */
};
static const struct precision precisions[] = {
    {6, 5.6, 1.56e-7, 7.1e-7}, {8, 6.1, 8.4e-9, 5.5e-8}, {12, 6.8, 9.1e-11, 1.7e-9}, {20, 7.5, 6.2e-13, 2.6e-11}};
enum { PRECISIONS = sizeof precisions / sizeof *precisions };
/* How many grid points may be expected to stay uncertain before it pays to place the nodes closer: each costs a sum in full. */
#define EXPECTED 0.3

/* ---- interpolation */

/*
 * Lagrange's polynomials for nodes -3 to 4, 645120 times the coefficients of v^0 to v^7; v in [-1/2, 1/2] is the place off the middle of
 * nodes 0 and 1.
 */
static const double lagrange[NODES][NODES] = {
    {-1575, 15435, -77175, 385875, 385875, -77175, 15435, -1575},
    {450, -6174, 51450, -771750, 771750, -51450, 6174, -450},
    {7252, -69860, 327348, -264740, -264740, 327348, -69860, 7252},
    {-2072, 27944, -218232, 529480, -529480, 218232, -27944, 2072},
    {-3920, 33040, -75600, 46480, 46480, -75600, 33040, -3920},
    {1120, -13216, 50400, -92960, 92960, -50400, 13216, -1120},
    {448, -2240, 4032, -2240, -2240, 4032, -2240, 448},
    {-128, 896, -2688, 4480, -4480, 2688, -896, 128},
};
#define LAGRANGE_DIVISOR 645120.0

/* weights [8] += scale times the nodes' weights for values whose sums of v^0 to v^7 are given. */
static inline void add_weights(double *weights, const double powers[NODES], double scale)
{
    double sums[NODES] = {0};
    for (int p = 0; p < NODES; p++)
        for (int node = 0; node < NODES; node++) sums[node] += powers[p] * lagrange[p][node];
    for (int node = 0; node < NODES; node++) weights[node] += sums[node] * scale;
}

/* ---- the parts of the scratch */

struct layout {
    double *between; /* [per_node, NODES] */
    double *powers;  /* [nodes, NODES] */
    double *weights; /* [nodes + NODES - 1 + MARGIN] */
    double *values;  /* [nodes + NODES - 1 + 2 taps + MARGIN] */
    double *profile; /* [2 taps + 1], with zeros around it */
    size_t nodes, taps;
};

/* Nodes that a row of n values may have. */
static size_t room_for(size_t n)
{
    size_t most = (size_t)(ken_density_widest(n) * precisions[PRECISIONS - 1].nodes) * 2 + 64, proportional = n / 26;
    if (most < ENOUGH_ROOM) return most;
    return proportional > ENOUGH_ROOM ? proportional : ENOUGH_ROOM;
}

static size_t up_to_lines(size_t doubles)
{
    return (doubles + 7) / 8 * 8;
}

size_t ken_bins_scratch(size_t n)
{
    return (room_for(n) * (NODES + 2) + MOST_PER_NODE * NODES + 1024) * sizeof(double) / 64 * 64;
}

static bool lay_out(struct layout *layout, size_t nodes, size_t taps, size_t per_node, size_t bytes, double *scratch)
{
    layout->nodes = nodes;
    layout->taps = taps;
    layout->between = scratch;
    layout->powers = layout->between + per_node * NODES;
    layout->weights = layout->powers + nodes * NODES;
    layout->values = layout->weights + up_to_lines(nodes + NODES - 1 + MARGIN);
    layout->profile = layout->values + up_to_lines(nodes + NODES - 1 + 2 * taps + MARGIN) + KEN_CONVOLVE_PADDING;
    return (size_t)(layout->profile + 2 * taps + 1 + KEN_CONVOLVE_PADDING - scratch) * sizeof *scratch <= bytes;
}

/* ---- values to nodes, nodes to nodes, nodes to grid points */

static void weigh_nodes(const struct layout *layout, double scale)
{
    memset(layout->weights, 0, (layout->nodes + NODES - 1 + MARGIN) * sizeof *layout->weights);
    for (size_t node = 0; node < layout->nodes; node++) {
        const double *powers = layout->powers + node * NODES;
        if (powers[0] > 0) add_weights(layout->weights + node, powers, scale);
    }
}

static void convolve(const struct layout *layout, double spacing)
{
    size_t taps = layout->taps, width = 2 * taps + 1;
    memset(layout->profile - KEN_CONVOLVE_PADDING, 0, (width + 2 * KEN_CONVOLVE_PADDING) * sizeof *layout->profile);
    for (size_t t = 0; t <= taps; t++) {
        double distance = (double)t * spacing;
        layout->profile[taps + t] = layout->profile[taps - t] = ken_exp(-0.5 * distance * distance);
    }
    memset(layout->values, 0, (layout->nodes + NODES - 1 + 2 * taps + MARGIN) * sizeof *layout->values);
    ken_kernel()->convolve(layout->values, layout->weights, layout->nodes + NODES - 1, layout->profile, width);
}

static void weigh_between(const struct layout *layout, size_t per_node)
{
    memset(layout->between, 0, per_node * NODES * sizeof *layout->between);
    for (size_t i = 0; i < per_node; i++) {
        double powers[NODES] = {1}, v = (double)i / (double)per_node - 0.5;
        for (int p = 1; p < NODES; p++) powers[p] = powers[p - 1] * v;
        add_weights(layout->between + i * NODES, powers, 1 / LAGRANGE_DIVISOR);
    }
}

static bool init_with(struct ken_bins *bins, const struct ken_density *density, const struct ken_grid *grid,
                      const struct precision *precision, double *scratch)
{
    double h = density->h, range = density->max - density->min, widest = h / precision->nodes, ratio = grid->step / widest;
    size_t room = room_for(density->n);
    if (range / widest > (double)room || ratio > (double)room) return false;
    bins->per_point = ratio > 1 ? (size_t)ceil(ratio) : 1;
    bins->per_node = ratio > 1 ? 1 : ratio * MOST_PER_NODE < 1 ? MOST_PER_NODE : (size_t)(1 / ratio);
    double distance = grid->step * (double)bins->per_node / (double)bins->per_point, spacing = distance / h;
    struct layout layout;
    size_t nodes = (size_t)(range / distance) + 3, taps = (size_t)ceil(precision->reach / spacing);
    if (!lay_out(&layout, nodes, taps, bins->per_node, ken_bins_scratch(density->n), scratch)) return false;
    memset(layout.powers, 0, nodes * NODES * sizeof *layout.powers);
    ken_kernel()->sum_powers(layout.powers, density->x, density->n, density->min, 1 / distance);
    weigh_nodes(&layout, density->weight / LAGRANGE_DIVISOR);
    convolve(&layout, spacing);
    if (bins->per_node > 1) weigh_between(&layout, bins->per_node);
    bins->between = layout.between;
    bins->at_node = layout.values + taps + BEFORE;
    bins->nodes = nodes - 1;
    /*
     * Interpolating twice, 0.233 spacing^8 each, the second time on values with the error of the first; cutting the Gaussian; rounding, of
     * grid points too, which are where they were rounded to.
     */
    double squared = spacing * spacing, fourth = squared * squared, largest = fmax(fabs(density->min), fabs(density->max));
    double error = 0.233 * 2.5 * fourth * fourth + 2.25 * precision->remainder + 1e-12 + 0x1p-51 * largest / h;
    bins->bound = density->weight * (double)density->n * error;
    return true;
}

bool ken_bins_init(struct ken_bins *bins, const struct ken_density *density, const struct ken_grid *grid, void *scratch)
{
    double c = density->weight * (double)density->n;
    int i = 0;
    while (i + 1 < PRECISIONS && 2 * (double)grid->k * c * precisions[i].bound > EXPECTED) i++;
    while (!init_with(bins, density, grid, &precisions[i], scratch))
        if (i-- == 0) return false;
    return true;
}

double ken_bins_at(const struct ken_bins *bins, size_t j)
{
    if (bins->per_node == 1) return bins->at_node[j * bins->per_point];
    const double *value = bins->at_node + j / bins->per_node - BEFORE, *weight = bins->between + j % bins->per_node * NODES;
    double even = 0, odd = 0;
    for (int i = 0; i < NODES; i += 2) {
        even += value[i] * weight[i];
        odd += value[i + 1] * weight[i + 1];
    }
    return even + odd;
}
